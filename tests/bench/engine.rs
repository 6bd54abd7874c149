//! Speed of runs, compared with running the same work by the shell alone in the same benchmark.
//!
//! `cargo bench --bench engine` prints a table. Nothing is asserted, because machines differ: compare the ratios.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

mod place;
mod table;

use place::Place;
use table::{median, ms, row};

/// Runs the workflow of a project. Returns the time from the start of the command to its exit.
fn run(place: &Place) -> Duration {
    timed(place.cuelight(&["run", "--trust"]))
}

fn times(count: usize, mut act: impl FnMut() -> Duration) -> Duration {
    act();
    median((0..count).map(|_| act()).collect())
}

fn timed(mut command: Command) -> Duration {
    let started = Instant::now();
    assert!(command.status().expect("starts").success());
    started.elapsed()
}

fn steps(count: usize) -> String {
    let steps = "      - run: 'true'\n".repeat(count);
    format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n{steps}")
}

fn main() {
    row("what", "figure (median)", "budget");
    one_step();
    one_more_step();
    intake();
    both_cores();
}

fn one_step() {
    let place = Place::new(&steps(1));
    let time = times(15, || run(&place));
    row("a run of one `true` step, command to exit", &format!("{:.1} ms", ms(time)), "40 ms");
}

fn one_more_step() {
    const MANY: usize = 101;
    let (one, many) = (Place::new(&steps(1)), Place::new(&steps(MANY)));
    let script = one.folder.path().join("script.sh");
    fs::write(&script, "true").expect("written");
    let floor = times(5, || {
        let started = Instant::now();
        for _ in 0..MANY - 1 {
            timed({
                let mut bash = Command::new("bash");
                bash.arg("-e").arg(&script);
                bash
            });
        }
        started.elapsed() / (MANY as u32 - 1)
    });
    let (first, all) = (times(7, || run(&one)), times(7, || run(&many)));
    let step = all.saturating_sub(first) / (MANY as u32 - 1);
    let figure =
        format!("{:.2} ms, bash alone {:.2} ms, +{:.2} ms", ms(step), ms(floor), ms(step.saturating_sub(floor)));
    row("one more `run: true` step", &figure, "+1 ms, target +0.5 ms");
}

/// Output of a step: what it is, the command that prints it in a temporary folder, and the target.
struct Text {
    what: &'static str,
    command: &'static str,
    secrets: usize,
    target: &'static str,
}

fn intake() {
    const TEXTS: [Text; 5] = [
        Text { what: "20 M numbers", command: "seq 20000000", secrets: 0, target: ">= 80 % of the floor" },
        Text { what: "the same, 50 secrets", command: "seq 20000000", secrets: 50, target: ">= 40 % of the floor" },
        Text { what: "base64, 170 MB", command: "cat ../base64", secrets: 0, target: "" },
        Text { what: "source code, 170 MB", command: "cat ../prose", secrets: 0, target: "" },
        Text { what: "random bytes, 17 MB", command: "cat ../binary", secrets: 0, target: "" },
    ];
    let mut peak = 0;
    for Text { what, command, secrets, target } in TEXTS {
        let env: Vec<_> = (0..secrets).map(|n| format!("      S{n}: ${{{{ secrets.S{n} }}}}\n")).collect();
        let env = if secrets > 0 { format!("    env:\n{}", env.concat()) } else { String::new() };
        let job = format!("  a:\n    runs-on: ubuntu-latest\n{env}    steps: [{{run: cd $HERE && {command}}}]\n");
        let place = Place::new(&format!("on: push\njobs:\n{job}"));
        write_texts(place.folder.path(), command);
        let shell = |script: String| {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(script).current_dir(place.root());
            timed(shell)
        };
        let file = place.folder.path().join("floor.txt");
        let floor = times(5, || shell(format!("{command} > {}", file.display())));
        let size = file.metadata().expect("written").len();
        // The run is detached, so that the printer is not part of the measurement.
        let run = times(3, || {
            let started = Instant::now();
            let mut run = place.cuelight(&["run", "--trust", "--detach"]);
            run.env("HERE", place.root());
            for n in 0..secrets {
                run.args(["--secret", &format!("S{n}=secret-{n}-{:032x}", (n as u128 + 1).pow(17))]);
            }
            let output = run.stdout(Stdio::piped()).output().expect("starts");
            let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let folder = place.state().join("runs").join(&id);
            let time = wait_for_end(&folder, &mut peak, started);
            let log = folder.join("logs/a/002.log").metadata().expect("a log").len();
            assert_eq!(log, size, "no byte is lost");
            time
        });
        let share = floor.as_secs_f64() / run.as_secs_f64() * 100.0;
        let speed = size as f64 / run.as_secs_f64() / 1e6;
        let figure = format!("{:.0} ms = {speed:.0} MB/s, {share:.0} % of the floor", ms(run));
        row(&format!("{what} (floor: > file, {:.0} ms)", ms(floor)), &figure, target);
    }
    row("peak memory of the worker", &format!("{:.1} MB", peak as f64 / 1024.0), "30 MB");
}

/// Writes the file that a command reads.
fn write_texts(folder: &Path, command: &str) {
    const SIZE: usize = 170_000_000;
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let (name, text) = match command.rsplit('/').next() {
        Some(name @ "base64") => {
            const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let digit = |at: usize| if at % 77 == 76 { b'\n' } else { DIGITS[usize::from(random()) % 64] };
            (name, (0..SIZE).map(digit).collect())
        }
        Some(name @ "prose") => (name, include_bytes!("engine.rs").repeat(SIZE / include_bytes!("engine.rs").len())),
        Some(name @ "binary") => (name, (0..SIZE / 10).map(|_| random()).collect()),
        _ => return,
    };
    fs::write(folder.join(name), text).expect("written");
}

/// Waits for the last record of the journal. Updates `peak` with the worker's peak memory in KiB.
fn wait_for_end(folder: &Path, peak: &mut u64, started: Instant) -> Duration {
    let worker = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path()).find(|path| {
        let command = fs::read(path.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        command.contains(" worker ") && command.contains(&*folder.to_string_lossy())
    });
    loop {
        if let Some(status) = worker.as_ref().and_then(|path| fs::read_to_string(path.join("status")).ok()) {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
            *peak = line.trim().trim_end_matches(" kB").parse().unwrap_or(0).max(*peak);
        }
        if fs::read_to_string(folder.join("events.jsonl")).is_ok_and(|journal| journal.contains("\"run_finished\"")) {
            return started.elapsed();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn both_cores() {
    let job = |number: usize| {
        format!(
            "  j{number}:\n    runs-on: ubuntu-latest\n    steps:\n{}",
            "      - run: for i in 1 2 3 4 5 6 7 8 9; do :; done\n".repeat(10)
        )
    };
    let place = Place::new(&format!("on: push\njobs:\n{}", (0..100).map(job).collect::<String>()));
    let before = cpu();
    let time = times(1, || run(&place));
    // The processor time includes the uncounted first run.
    let busy = (cpu() - before) / 2.0 / time.as_secs_f64();
    row("100 jobs of 10 steps", &format!("{:.0} ms, {busy:.1} processors busy", ms(time)), "both cores busy");
}

/// Busy time of all processors since boot, in seconds.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> =
        stat.lines().next().unwrap_or_default().split_whitespace().skip(1).flat_map(str::parse).collect();
    // The first three fields are user, nice and system; idle and waiting times follow.
    fields.iter().take(3).sum::<f64>() / 100.0
}
