//! Speed of the store: appending output (compared with writing the same bytes to a plain file), reading pages of a
//! large log, searching it, and listing 100,000 runs.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use cuelight::engine::mask::{MaskStream, Masker};
use cuelight::model::{RunId, Timestamp};
use cuelight::store::folder::RunsDir;
use cuelight::store::history;
use cuelight::store::history::{Filter, StatusFilter};
use cuelight::store::logs::{LineMatcher, LogReader, LogWriter};

mod past_runs;

use past_runs::{RUNS, finished_run, long_history};

/// Size of one read from a pipe, in bytes.
const PORTION: usize = 64 * 1024;

/// Returns the output of `seq 1 count`.
fn seq(count: u32) -> Vec<u8> {
    (1..=count).fold(Vec::new(), |mut text, number| {
        writeln!(text, "{number}").expect("memory takes everything");
        text
    })
}

fn intake(c: &mut Criterion) {
    let lines = 1_000_000;
    let text = seq(lines);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("1.log");
    let clear = |path: &Path| {
        let _ = fs::remove_file(path);
        let _ = fs::remove_file(path.with_extension("idx"));
    };
    let mut group = c.benchmark_group("intake of a million lines");
    group.throughput(Throughput::Elements(u64::from(lines))).sample_size(20);
    group.bench_function("plain file", |b| {
        b.iter_batched(
            || clear(&path),
            |()| {
                let mut file = File::create(&path).expect("made");
                text.chunks(PORTION).for_each(|portion| file.write_all(portion).expect("written"));
            },
            BatchSize::PerIteration,
        );
    });
    let secrets: Vec<_> = (0..50).map(|n| format!("gh-secret-{n}-{:x}", n * 0x9e37_79b9_7f4a_u64)).collect();
    let maskers = [("no secret", Masker::default()), ("50 secrets", Masker::new(secrets.iter().map(String::as_str)))];
    for (name, masker) in &maskers {
        group.bench_function(*name, |b| {
            b.iter_batched(
                || clear(&path),
                |()| {
                    let mut writer = LogWriter::new(&path);
                    let (mut stream, mut masked) = (MaskStream::default(), Vec::new());
                    for (time, portion) in (1..).zip(text.chunks(PORTION)) {
                        stream.push(masker, portion, &mut masked);
                        writer.append(&masked, Timestamp(time)).expect("written");
                        masked.clear();
                    }
                    stream.finish(masker, &mut masked);
                    writer.append(&masked, Timestamp(1)).expect("written");
                    writer.finish()
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();

    let key: Vec<_> = (0..50).map(|line| format!("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj{line:024}")).collect();
    let masker = Masker::new([key.join("\n").as_str()]);
    let mut group = c.benchmark_group("a line at a time");
    group.throughput(Throughput::Elements(1));
    group.bench_function("with a private key as a secret", |b| {
        let (mut stream, mut masked) = (MaskStream::default(), Vec::new());
        b.iter(|| {
            masked.clear();
            stream.push(&masker, black_box(b"   Compiling something-or-other v1.2.3 (registry)\n"), &mut masked);
        });
    });
    group.finish();
}

fn reading(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("1.log");
    let mut writer = LogWriter::new(&path);
    let lines = 3_000_000_u64;
    let mut portion = Vec::new();
    for line in 0..lines {
        writeln!(
            portion,
            "2026-11-24T02:15:30Z line {line} of a build that has a lot to say about what it does and why"
        )
        .expect("memory takes everything");
        if portion.len() >= PORTION || line == lines - 1 {
            writer.append(&portion, Timestamp(line + 1)).expect("written");
            portion.clear();
        }
    }
    let bytes = fs::metadata(&path).expect("there").len();
    let open = || LogReader::open(&path).expect("readable").expect("written");

    let mut group = c.benchmark_group(format!("log of {} MB", bytes / 1_000_000));
    group.bench_function("open", |b| b.iter(open));
    let mut reader = open();
    group.bench_function("page in the middle", |b| b.iter(|| reader.page(black_box(lines / 2), 50).expect("read")));
    group.bench_function("page at the end", |b| b.iter(|| reader.page(black_box(lines - 50), 50).expect("read")));
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    let queries = [
        ("search, literal", LineMatcher::literal("line 2999999 of", true)),
        ("search, literal, any case", LineMatcher::literal("LINE 2999999 OF", false)),
        ("search, regular expression", LineMatcher::regex(r"line \d+999999 of", true)),
        ("search, every line", LineMatcher::literal("build", true)),
    ];
    for (name, query) in queries {
        let query = query.expect("it can be searched for");
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut found = 0;
                let count = |_| {
                    found += 1;
                    ControlFlow::Continue(())
                };
                reader.search(&query, 0..lines, &|| false, count).expect("read");
                found
            });
        });
    }
    fs::remove_file(path.with_extension("idx")).expect("there was one");
    group.bench_function("open without its index", |b| b.iter(open));
    group.finish();
}

/// Number of runs that a list shows.
const PAGE: usize = 50;

/// Runs the program on a state folder and returns its output.
fn cuelight(state: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cuelight"));
    let done = command.args(arguments).env("CUELIGHT_STATE_DIR", state).output().expect("started");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn listing(c: &mut Criterion) {
    let state = tempfile::tempdir().expect("a folder");
    let empty = tempfile::tempdir().expect("a folder");
    let runs = RunsDir::at(state.path());
    long_history(&runs);
    let last = finished_run(&runs, Timestamp(1_800_000_000_000));
    let all = Filter::default();
    let page = |filter: &Filter, before: Option<&RunId>| {
        let page = history::page(&runs, filter, before, PAGE).expect("listed");
        assert!(!page.runs.is_empty());
        page
    };
    let middle = runs.list().expect("listed").swap_remove(RUNS as usize / 2);
    let rare = Filter { workflow: Some("release".to_owned()), ..Filter::default() };
    let succeeded = Filter { status: StatusFilter::parse("success"), ..Filter::default() };

    let mut group = c.benchmark_group("100,000 runs");
    group.sample_size(20);
    group.bench_function("newest page", |b| b.iter(|| page(&all, None)));
    group.bench_function("page in the middle", |b| b.iter(|| page(&all, Some(&middle))));
    group.bench_function("newest page of a status", |b| b.iter(|| page(&succeeded, None)));
    group.bench_function("all runs of a rare workflow", |b| b.iter(|| page(&rare, None)));
    group.bench_function("find latest", |b| b.iter(|| runs.find("latest").expect("found")));
    group.bench_function("find by the beginning of the id", |b| {
        b.iter(|| runs.find(&middle.as_str()[..17]).expect("found"));
    });
    group.bench_function("find by the end of the id", |b| {
        b.iter(|| runs.find(&last.id().as_str()[9..]).expect("found"));
    });
    group.bench_function("unfinished", |b| b.iter(|| history::unfinished(&runs).expect("read")));
    group.bench_function("remove a run", |b| {
        b.iter_batched(
            || finished_run(&runs, Timestamp(1_800_000_000_000)),
            |folder| history::remove(&folder).expect("removed"),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("make the index again", |b| b.iter(|| history::rebuild(&runs).expect("made")));
    group.bench_function("read one run", |b| b.iter(|| history::read(&last).expect("read")));
    group.bench_function("`cuelight runs`", |b| b.iter(|| cuelight(state.path(), &["runs"])));
    group.bench_function("`cuelight runs` of an empty history", |b| b.iter(|| cuelight(empty.path(), &["runs"])));
    group.bench_function("`cuelight show latest`", |b| b.iter(|| cuelight(state.path(), &["show", "latest"])));
    group.finish();
}

criterion_group!(store, intake, reading, listing);
criterion_main!(store);
