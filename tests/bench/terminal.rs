//! Cost of the screen in a real terminal: time to the first frame, latency from key to frame, bytes, wake-ups, memory.
//!
//! The program runs in a pseudo-terminal. `cargo bench --bench terminal` prints a table; `wrkflw` is measured the same
//! way if it is installed (`CUELIGHT_BENCH_WRKFLW`, or on `PATH`). Nothing is asserted, because machines differ.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use cuelight::model::testing;
use cuelight::model::testing::{Script, outline};
use cuelight::model::{Conclusion, JobId, RunId, StepNumber, Timestamp};
use cuelight::store::folder::RunsDir;
use cuelight::store::journal::JournalWriter;
use cuelight::store::logs::LogWriter;
use cuelight::store::spec::{RunSpec, WorkflowSpec};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

mod past_runs;
mod place;
mod table;

use place::Place;
use table::{median, ms, row};

/// Size of the terminal, in columns and rows.
const SIZE: (u16, u16) = (120, 40);

/// Timeout of each wait.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Environment variable that turns this program into a writer of lines for a step: `COUNT PER_SECOND`.
const LINES: &str = "CUELIGHT_BENCH_LINES";

fn main() {
    if let Ok(wanted) = std::env::var(LINES) {
        return write_lines(&wanted);
    }
    row("what, at 120x40", "figure", "budget");
    first_frame();
    idle();
    flood();
    followed(4, 40, "250 B a line");
    followed(50, 500, "8 KB a second");
    large_log();
    wrkflw();
}

/// Writes lines at a fixed rate. `wanted` is `COUNT PER_SECOND`.
fn write_lines(wanted: &str) {
    let numbers: Vec<u64> = wanted.split(' ').map(|number| number.parse().expect("a number")).collect();
    let [count, pace] = numbers[..] else { panic!("a number of lines, and how many a second") };
    let begun = Instant::now();
    let mut out = std::io::stdout().lock();
    let mut written = 0;
    while written < count {
        let due = (begun.elapsed().as_micros() as u64 * pace / 1_000_000 + 1).min(count);
        let mut portion = Vec::new();
        for line in written..due {
            writeln!(portion, "{line:>8} the quick brown fox jumps over lazy dog number {}", line * 7919 % 1_000_003)
                .expect("memory takes everything");
        }
        out.write_all(&portion).and_then(|()| out.flush()).expect("the step's output is open");
        written = due;
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A program in a pseudo-terminal that counts its output.
struct Terminal {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    output: Receiver<(Instant, Vec<u8>)>,
    screen: vt100::Parser,
    started: Instant,
    /// Time of the last output.
    latest: Instant,
    bytes: usize,
}

impl Terminal {
    fn start(command: CommandBuilder) -> Self {
        let size = PtySize { rows: SIZE.1, cols: SIZE.0, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).expect("a terminal");
        let mut reader = pty.master.try_clone_reader().expect("a reader");
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut portion = vec![0; 65_536];
            while let Ok(count @ 1..) = reader.read(&mut portion) {
                if sender.send((Instant::now(), portion[..count].to_vec())).is_err() {
                    break;
                }
            }
        });
        let keys = pty.master.take_writer().expect("a writer");
        let size = |size| NonZero::new(size).expect("not zero");
        let screen = vt100::Parser::new(size(SIZE.1), size(SIZE.0), 0);
        let started = Instant::now();
        let child = pty.slave.spawn_command(command).expect("started");
        Self { master: pty.master, child, keys, output, screen, started, latest: started, bytes: 0 }
    }

    fn cuelight(place: &Place, args: &[&str]) -> Self {
        let command = place.cuelight(args);
        let mut same = CommandBuilder::new(command.get_program());
        same.args(command.get_args());
        same.cwd(place.root());
        for (name, value) in command.get_envs() {
            same.env(name, value.unwrap_or_default());
        }
        same.env("TERM", "xterm-256color");
        same.env("LANG", "C.UTF-8");
        same.env_remove("NO_COLOR");
        same.env_remove("SSH_CONNECTION");
        Self::start(same)
    }

    fn press(&mut self, keys: &str) -> Instant {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).expect("the terminal takes keys");
        Instant::now()
    }

    /// Processes output, waiting up to `timeout` for it. Returns whether there was any.
    fn take(&mut self, timeout: Duration) -> bool {
        match self.output.recv_timeout(timeout) {
            Ok((at, bytes)) => {
                self.screen.process(&bytes);
                self.bytes += bytes.len();
                self.latest = at;
                true
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        }
    }

    /// Waits until the screen satisfies `wanted`. Returns the time of the output that did.
    fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> Instant {
        let end = Instant::now() + TIMEOUT;
        while !wanted(&self.screen.screen().contents()) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(self.take(left), "{what}:\n{}", self.screen.screen().contents());
        }
        self.latest
    }

    fn shows(&mut self, text: &str) -> Instant {
        self.until(text, |screen| screen.contains(text))
    }

    /// Processes all output for some time. Returns the number of bytes.
    fn listen(&mut self, time: Duration) -> usize {
        let (before, end) = (self.bytes, Instant::now() + time);
        while Instant::now() < end {
            self.take(end.saturating_duration_since(Instant::now()));
        }
        self.bytes - before
    }

    fn process(&self) -> Process {
        Process::of(self.child.process_id().expect("it runs"))
    }

    fn end(mut self) {
        // The program may already have exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.master);
    }
}

/// Statistics of a process from `/proc`.
struct Process {
    /// Voluntary context switches by thread.
    waits: HashMap<OsString, u64>,
    processor: Duration,
    /// Peak memory in MB.
    peak: f64,
}

impl Process {
    fn of(pid: u32) -> Self {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let field = |path: &Path, name: &str| -> u64 {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
        };
        let threads = fs::read_dir(folder.join("task")).into_iter().flatten().flatten();
        let waits = |thread: fs::DirEntry| {
            (thread.file_name(), field(&thread.path().join("status"), "voluntary_ctxt_switches:"))
        };
        let waits = threads.map(waits).collect();
        let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
        let times = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        let ticks: u64 = times.filter_map(|number| number.parse::<u64>().ok()).sum();
        // Linux reports processor time to programs in hundredths of a second, whatever the kernel's clock rate.
        let processor = Duration::from_millis(ticks * 10);
        Self { waits, processor, peak: field(&folder.join("status"), "VmHWM:") as f64 / 1024.0 }
    }
}

fn quick() -> Place {
    let place = Place::new("name: CI\non: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo done}]}}\n");
    assert!(place.cuelight(&["run", "--trust"]).status().expect("starts").success());
    place
}

fn first_frame() {
    let place = quick();
    let (first, whole) = frames(&place);
    row("from start to the first frame", &format!("{:.1} ms", ms(first)), "20 ms");
    row("from start to the latest run", &format!("{:.1} ms", ms(whole)), "");
    past_runs::long_history(&RunsDir::at(place.state()));
    let (first, whole) = frames(&place);
    row("the same with 100,000 past runs", &format!("{:.1} ms, {:.1} ms", ms(first), ms(whole)), "25 ms");
}

/// Returns the time from the start of the program to its first frame, and to the frame that shows a run. Both are the
/// median of 15 starts.
fn frames(place: &Place) -> (Duration, Duration) {
    let frame = || {
        let mut terminal = Terminal::cuelight(place, &[]);
        let seen = terminal.shows("1 Runs");
        let whole = terminal.shows("✓ success");
        let times = (seen - terminal.started, whole - terminal.started);
        terminal.end();
        times
    };
    let (first, whole): (Vec<_>, Vec<_>) = (0..15).map(|_| frame()).unzip();
    (median(first), median(whole))
}

fn idle() {
    let place = quick();
    let mut terminal = Terminal::cuelight(&place, &[]);
    terminal.shows("✓ success");
    terminal.listen(Duration::from_secs(1));
    let (bytes, waits, processor) = quiet(&mut terminal);
    let figure = format!("{bytes} B, {waits} wake-ups, {:.0} ms of processor", ms(processor));
    row("10 seconds idle", &figure, "0 B, no wake-ups");
    terminal.end();
}

/// Returns the cost of ten seconds without a key: bytes, wake-ups and processor time.
fn quiet(terminal: &mut Terminal) -> (usize, u64, Duration) {
    let before = terminal.process();
    let bytes = terminal.listen(Duration::from_secs(10));
    let after = terminal.process();
    // A thread that has ended meanwhile counts as one wake-up.
    let more = |(thread, count): (&OsString, &u64)| after.waits.get(thread).map_or(1, |now| now - count);
    (bytes, before.waits.iter().map(more).sum(), after.processor.saturating_sub(before.processor))
}

/// Creates a project whose only step writes lines at a fixed rate.
fn writing(count: u64, pace: u64) -> Place {
    let me = std::env::current_exe().expect("this program");
    let step = format!("{LINES}='{count} {pace}' '{}'", me.display());
    let workflow = "name: CI\non: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{name: Write, run: STEP}]}}\n";
    Place::new(&workflow.replace("STEP", &format!("\"{step}\"")))
}

fn flood() {
    const COUNT: u64 = 1_000_000;
    let place = writing(COUNT, 100_000);
    assert!(place.cuelight(&["run", "--trust", "--detach"]).status().expect("starts").success());
    let mut terminal = Terminal::cuelight(&place, &[]);
    terminal.shows("FOLLOW");
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        for (keys, wanted, there) in [("?", "Keys: ", true), ("\x1b", "Keys: ", false)] {
            let pressed = terminal.press(keys);
            let seen = terminal.until(keys, |screen| screen.contains(wanted) == there);
            times.push(seen.saturating_duration_since(pressed));
            terminal.listen(Duration::from_millis(37));
        }
    }
    terminal.shows("✓ success");
    times.sort_unstable();
    let figure = format!(
        "p50 {:.1} ms, p99 {:.1} ms of {} keys",
        ms(times[times.len() / 2]),
        ms(times[times.len() * 99 / 100]),
        times.len()
    );
    row("from a key to its frame while a step writes 100,000 lines/s", &figure, "p99 16 ms");
    let output = place.cuelight(&["show", "--json"]).stdout(std::process::Stdio::piped()).output().expect("starts");
    let run: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a run");
    let lines: u64 = run["jobs"][0]["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|step| step["lines"].as_u64())
        .max()
        .unwrap_or_default();
    let figure = format!("{} of {COUNT}, peak memory of the screen {:.1} MB", lines, terminal.process().peak);
    row("lines of that step in the log", &figure, "all");
    terminal.end();
}

fn followed(pace: u64, count: u64, budget: &str) {
    let place = writing(count + 2 * pace, pace);
    assert!(place.cuelight(&["run", "--trust", "--detach"]).status().expect("starts").success());
    let mut terminal = Terminal::cuelight(&place, &[]);
    terminal.shows("FOLLOW");
    terminal.listen(Duration::from_secs(1));
    let seconds = count / pace;
    let bytes = terminal.listen(Duration::from_secs(seconds)) as u64;
    let figure = format!("{} B a line, {:.1} KB a second", bytes / count, bytes as f64 / seconds as f64 / 1000.0);
    row(&format!("log followed at {pace} lines a second, clock and lamp included"), &figure, budget);
    terminal.end();
}

/// Measures a run whose only step wrote ten million lines. Only the line before the last contains `needle`.
fn large_log() {
    const COUNT: u64 = 10_000_000;
    let place = Place::new("name: CI\non: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}\n");
    let runs = RunsDir::at(place.state());
    let folder = runs.create(Timestamp(1_795_487_000_000)).expect("made");
    let info = testing::info(folder.id().clone(), Timestamp(1_795_487_000_000));
    RunSpec::of_workflow(info, WorkflowSpec::default()).write(&folder).expect("written");
    let (job, step) = (JobId::new("a"), StepNumber(1));
    let path = folder.log(&job, 1, step);
    let mut writer = LogWriter::new(&path);
    let mut portion = Vec::new();
    for line in 0..COUNT {
        let word = if line == COUNT - 2 { "needle" } else { "hay" };
        writeln!(
            portion,
            "{line:>8} of a build that has a lot to say about what it does and why: a stack of {word} in here"
        )
        .expect("memory takes everything");
        if portion.len() > 1 << 20 || line == COUNT - 1 {
            writer.append(&portion, Timestamp(1_795_487_000_000 + line / 100)).expect("written");
            portion.clear();
        }
    }
    // Every portion ends with a newline, so no partial line is left.
    let _ = writer.finish();
    let bytes = fs::metadata(&path).expect("there").len();
    let mut script = Script::new(Timestamp(1_795_487_000_000));
    script.start(vec![outline("a", "a", &[])]).job("a", "a", &["Write"]).step("a", 1, "Write", COUNT);
    script.step_end("a", 1, Conclusion::Success).job_end("a", Conclusion::Success).end(Conclusion::Success);
    let mut journal = JournalWriter::open(folder.journal()).expect("a journal");
    for record in script.records {
        journal.append(record.at, record.event).expect("written");
    }
    drop(journal);
    measure_large_log(&place, folder.id(), bytes);
}

fn measure_large_log(place: &Place, run: &RunId, bytes: u64) {
    let last = "9999999 of a build";
    let open = || {
        let mut terminal = Terminal::cuelight(place, &[run.as_str()]);
        let seen = terminal.shows(last) - terminal.started;
        (terminal, seen)
    };
    let opened: Vec<Duration> = (0..5)
        .map(|_| {
            let (terminal, seen) = open();
            terminal.end();
            seen
        })
        .collect();
    row(
        &format!("10 M lines ({:.2} GB): from start to its last lines", bytes as f64 / 1e9),
        &format!("{:.1} ms", ms(median(opened))),
        "150 ms",
    );
    let (mut terminal, _) = open();
    // The background search for groups ends before the measurement.
    terminal.listen(Duration::from_secs(3));
    terminal.press("4");
    let mut jumps = Vec::new();
    for _ in 0..15 {
        terminal.press("gg");
        terminal.shows("       0 of a build");
        terminal.listen(Duration::from_millis(50));
        let pressed = terminal.press("G");
        jumps.push(terminal.shows(last).saturating_duration_since(pressed));
        terminal.listen(Duration::from_millis(50));
    }
    row("same: from `G` at the start to the last lines", &format!("{:.1} ms", ms(median(jumps))), "10 ms");
    terminal.press("gg");
    terminal.shows("       0 of a build");
    terminal.press("/needl");
    terminal.until("the search is complete", |screen| screen.contains("/needl 1/1"));
    terminal.press("\x1b");
    terminal.until("the search is gone", |screen| !screen.contains("/needl"));
    terminal.press("gg/needl");
    let pressed = terminal.press("e");
    let found = terminal.until("the only match is found", |screen| screen.contains("/needle 1/1")) - pressed;
    let rate = bytes as f64 / 1e9 / found.as_secs_f64();
    row("same: literal search of the whole log", &format!("{:.0} ms, {rate:.2} GB/s", ms(found)), "1 GB/s");
    row("same: peak memory of the screen", &format!("{:.1} MB", terminal.process().peak), "60 MB");
    terminal.end();
}

/// Measures `wrkflw` in the same terminal: its first frame, and its cost while idle.
fn wrkflw() {
    let named = std::env::var_os("CUELIGHT_BENCH_WRKFLW").map(PathBuf::from);
    let on_path = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join("wrkflw")).find(|program| program.is_file())
    };
    let Some(program) = named.or_else(on_path) else {
        return row("wrkflw", "SKIPPED: not found, set CUELIGHT_BENCH_WRKFLW", "");
    };
    let place = quick();
    let start = || {
        let mut command = CommandBuilder::new(&program);
        command.arg("tui");
        command.cwd(place.root());
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        Terminal::start(command)
    };
    let frame = |_| {
        let mut terminal = start();
        let seen = terminal.until("its first frame", |screen| screen.contains("Workflows")) - terminal.started;
        terminal.end();
        seen
    };
    let first = median((0..7).map(frame).collect());
    let mut terminal = start();
    terminal.until("its first frame", |screen| screen.contains("Workflows"));
    terminal.listen(Duration::from_secs(2));
    let (bytes, waits, processor) = quiet(&mut terminal);
    row("wrkflw: from start to the first frame", &format!("{:.1} ms", ms(first)), "");
    let figure = format!("{bytes} B, {waits} wake-ups, {:.0} ms of processor", ms(processor));
    row("wrkflw: 10 seconds idle", &figure, "");
    terminal.end();
}
