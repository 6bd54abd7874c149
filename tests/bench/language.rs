//! Speed of parsing, planning and linting workflow files, also compared with actionlint if it is installed.
//!
//! `cargo bench --bench language` prints a table. Nothing is asserted, because machines differ: compare the ratios.

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cuelight::workflow::plan::{Plan, PlanContexts};
use cuelight::workflow::source::Source;
use cuelight::workflow::{lint, parse};

mod table;

use table::{median, ms, row};

fn main() {
    row("what", "figure (median)", "budget");
    pipeline();
    legs();
    large();
    hostile();
    vs_actionlint();
}

/// Concatenates text.
fn joined(pieces: impl Iterator<Item = String>) -> String {
    pieces.collect::<Vec<_>>().concat()
}

/// Median time of `count` calls, after one uncounted call.
fn times(count: usize, mut act: impl FnMut()) -> Duration {
    act();
    let timed = |_| {
        let started = Instant::now();
        act();
        started.elapsed()
    };
    median((0..count).map(timed).collect())
}

/// Parses and plans a workflow. Returns the number of jobs, or `None` for a file with errors.
fn plan(text: &str) -> Option<usize> {
    let workflow = parse(&Source::new("ci.yml", text)).value?;
    let plan = Plan::new(Arc::new(workflow), &PlanContexts::default(), &|_| None).ok()?;
    Some(plan.jobs().len())
}

/// Measures a pipeline of typical size: a generated one, and the one of the seed if that is next to the repository.
fn pipeline() {
    let own = "name: CI
on:
  push: {branches: [main, develop]}
  pull_request: {branches: [main]}
env: {VERSION: '3.11'}
jobs:
"
    .to_owned()
        + &joined(["lint", "test", "security", "build"].iter().enumerate().map(|(place, job)| {
            let needs = if place == 0 { "" } else { "    needs: lint\n    if: github.ref != 'refs/heads/x'\n" };
            let run = "make build VERSION=${{ env.VERSION }}";
            let steps =
                joined((0..4).map(|step| format!("      - name: Step {step}\n        run: |\n          {run}\n")));
            format!(
                "  {job}:\n    name: {job}\n    runs-on: ubuntu-latest\n{needs}    services:\n      db:\n        \
                 image: postgres:15\n        ports: ['5432:5432']\n    steps:\n      - uses: actions/checkout@v4\n      \
                 - uses: actions/cache@v4\n        with:\n          path: ~/.cache\n          key: ${{{{ runner.os \
                 }}}}-${{{{ hashFiles('lock') }}}}\n{steps}"
            )
        }));
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/seed/.github/workflows/ci.yml");
    for (name, text) in [("generated", Some(own)), ("seed", fs::read_to_string(seed).ok())] {
        let Some(text) = text else { continue };
        let jobs = plan(&text).expect("a workflow");
        let time = times(2001, || {
            black_box(plan(black_box(&text)));
        });
        let what = format!("parse + plan a ci.yml ({name}, {} bytes, {jobs} jobs)", text.len());
        row(&what, &format!("{:.3} ms", ms(time)), "1 ms");
    }
}

fn legs() {
    let values: Vec<_> = (0..16).map(|value| value.to_string()).collect();
    let values = values.join(", ");
    let text = format!(
        "on: push\njobs:\n  a:\n    name: a ${{{{ matrix.x }}}} on ${{{{ matrix.y }}}}\n    runs-on: ubuntu-latest\n    \
         strategy:\n      matrix:\n        x: [{values}]\n        y: [{values}]\n        include: [{{x: 3, extra: \
         yes}}]\n    steps: [{{run: make}}]\n"
    );
    assert_eq!(plan(&text), Some(256));
    let time = times(201, || {
        black_box(plan(black_box(&text)));
    });
    row("parse + plan 256 legs", &format!("{:.2} ms", ms(time)), "5 ms");
}

fn large() {
    let mut text = "on: push\njobs:\n".to_owned();
    let mut job = 0;
    while text.len() < 5_000_000 {
        job += 1;
        let _ = write!(
            text,
            "  job{job}:\n    runs-on: ubuntu-latest\n    env: {{A: b, C: '${{{{ github.sha }}}}'}}\n    steps:\n"
        );
        for step in 0..20 {
            let _ = write!(
                text,
                "      - name: Step {step}\n        if: github.ref == 'refs/heads/main'\n        run: |\n          \
                 echo ${{{{ github.run_id }}}}\n          make step{step}\n"
            );
        }
    }
    let time = times(5, || {
        black_box(plan(black_box(&text)));
    });
    row(
        &format!("parse + plan {:.1} MB, {job} jobs", text.len() as f64 / 1e6),
        &format!("{:.0} ms", ms(time)),
        "300 ms",
    );
}

/// Measures files of ten kilobytes that are made to take long.
fn hostile() {
    const SIZE: usize = 10_000;
    let fill = |piece: &str| piece.repeat(SIZE / piece.len());
    let head = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: ";
    let bomb = joined((1..200).map(|n| format!("  k{n}: &a{n} [{}]\n", format!("*a{},", n - 1).repeat(6))));
    for (name, text) in [
        ("brackets", fill("[")),
        ("nested mappings", joined((0..SIZE / 90).map(|depth| format!("{}a:\n", " ".repeat(depth))))),
        ("aliases of aliases", format!("env:\n  k: &a0 [x]\n{bomb}")),
        (
            "an anchor used often",
            format!("on: push\nenv:\n  A: &a {}\nx: [{}]\n", "y".repeat(2000), "*a,".repeat(2500)),
        ),
        ("parentheses", format!("{head}${{{{ {} }}}}\n", fill("("))),
        ("a long condition", format!("{head}x\n        if: {}true\n", fill("github.sha == '' || "))),
        ("expressions", format!("{head}{}\n", fill("${{ 1 }}"))),
        ("open expressions", format!("{head}{}\n", fill("${{ "))),
        ("one key many times", format!("on: push\njobs:\n{}", fill("  a: {runs-on: x}\n"))),
        ("jobs that need each other", {
            let needs =
                |job: usize| format!("  j{job}: {{runs-on: x, needs: [j{}, j{}]}}\n", (job + 1) % 200, (job + 7) % 200);
            format!("on: push\njobs:\n{}", joined((0..200).map(needs)))
        }),
        ("a matrix of many vectors", {
            let vectors = joined((0..300).map(|key| format!("        k{key}: [1, 2, 3, 4]\n")));
            format!(
                "on: push\njobs:\n  a:\n    runs-on: x\n    strategy:\n      matrix:\n{vectors}    steps: [{{run: x}}]\n"
            )
        }),
        ("stars in a filter", format!("on: {{push: {{branches: ['{}']}}}}\njobs: {{a: {{runs-on: x}}}}\n", fill("*a"))),
    ] {
        let time = times(11, || {
            let parsed = parse(&Source::new("a.yml", text.as_str()));
            if let Some(workflow) = parsed.value {
                black_box(lint::check(&workflow, None));
                let _ = black_box(Plan::new(Arc::new(workflow), &PlanContexts::default(), &|_| None));
            }
        });
        row(&format!("hostile, {} bytes: {name}", text.len()), &format!("{:.2} ms", ms(time)), "milliseconds");
    }
}

/// Lints the valid files of the conformance corpus in one call.
fn vs_actionlint() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/workflows-ok/files");
    let mut files = Vec::new();
    gather(&corpus, &mut files);
    files.sort();
    if files.is_empty() {
        return row("lint vs actionlint", "SKIPPED: no conformance corpus", "");
    }
    let ours = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cuelight"));
        command.arg("lint").args(&files);
        command
    };
    let theirs = || {
        let mut command = Command::new("actionlint");
        command.args(["-shellcheck=", "-pyflakes="]).args(&files);
        command
    };
    let what = format!("lint {} files in one call", files.len());
    if Command::new("actionlint").arg("-version").stdout(Stdio::null()).status().is_err() {
        let time = times(21, || run(ours()));
        return row(&what, &format!("{:.1} ms, actionlint SKIPPED: not on PATH", ms(time)), "");
    }
    // The programs alternate, so that both run under the same load.
    let mut pairs: Vec<_> = (0..41)
        .map(|_| {
            let measure = |command: Command| {
                let started = Instant::now();
                run(command);
                started.elapsed()
            };
            (measure(ours()), measure(theirs()))
        })
        .collect();
    pairs.remove(0);
    let median = |pick: fn(&(Duration, Duration)) -> Duration, pairs: &[(Duration, Duration)]| {
        let mut times: Vec<_> = pairs.iter().map(pick).collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (ours, theirs) = (median(|pair| pair.0, &pairs), median(|pair| pair.1, &pairs));
    let share = ours.as_secs_f64() / theirs.as_secs_f64() * 100.0;
    let figure = format!("{:.1} ms, actionlint {:.1} ms: {share:.0} %", ms(ours), ms(theirs));
    row(&what, &figure, "100 %, target 50 %");
}

fn run(mut command: Command) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("starts");
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            gather(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml") {
            files.push(path);
        }
    }
}
