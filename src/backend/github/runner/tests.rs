//! The files that a runner writes, and what is read of them.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::*;

const TIMELINE: &str = "7e8d3f0a-16f4-4c8e-9c2b-3a5b8f2f9d10";
const JOB: &str = "fd34c1b2-0b9e-4f57-8d5c-6c2a1e7f0a11";
const ONE: &str = "0a000000-0000-4000-8000-000000000001";
const TWO: &str = "0b000000-0000-4000-8000-000000000002";

/// The folder of a runner.
struct Fixture(TempDir);

impl Fixture {
    /// Returns the folder of a runner that carries out job 77 of run 5.
    fn new() -> Self {
        let fixture = Self(tempfile::tempdir().expect("a folder"));
        std::fs::create_dir_all(fixture.0.path().join("_diag/pages")).expect("a folder");
        fixture.name_it("ci-1");
        fixture.message("Worker_20261128-140000-utc.log", &message(Some(77), "5", "build"));
        fixture
    }

    fn name_it(&self, name: &str) {
        let settings = json!({"agentId": 3, "agentName": name, "gitHubUrl": "https://github.com/o/r"});
        self.write(".runner", &format!("\u{feff}{settings}"));
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.path().join(path), text).expect("written");
    }

    fn message(&self, file: &str, message: &serde_json::Value) {
        let text = serde_json::to_string_pretty(message).expect("JSON");
        let text = format!(
            "[2026-11-28 14:00:00Z INFO Worker] Version: 2.330.0\n[2026-11-28 14:00:00Z INFO Worker] Job message:\n \
             {text}\n[2026-11-28 14:00:00Z INFO JobRunner] Job ID {JOB}\n"
        );
        self.write(&format!("_diag/{file}"), &text);
    }

    fn page(record: &str, number: u32) -> String {
        format!("_diag/pages/{TIMELINE}_{record}_{number}.log")
    }

    /// Appends a text to a page, which starts with a byte order mark.
    fn print(&self, record: &str, number: u32, text: &str) {
        let path = self.path().join(Self::page(record, number));
        let mark = if path.exists() { "" } else { "\u{feff}" };
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a page");
        write!(file, "{mark}{text}").expect("written");
    }

    fn open(&self) -> Result<Option<JobLog>, RunnerError> {
        Runners::new(&[self.path().to_owned()]).open(&job())
    }

    fn log(&self) -> JobLog {
        self.open().expect("readable").expect("the job's runner")
    }

    fn refusal(&self) -> String {
        self.open().expect_err("refused").to_string()
    }
}

fn message(check_run: Option<u64>, run: &str, name: &str) -> serde_json::Value {
    let pairs = [("server_url", "https://github.com"), ("repository", "O/r"), ("run_id", run), ("run_attempt", "2")];
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| json!({"k": key, "v": value})).collect();
    let check_run = check_run.map(|id| json!({"k": "check_run_id", "v": id as f64}));
    json!({
        "messageType": "RunnerJobRequest",
        "timeline": {"id": TIMELINE, "changeId": 0, "location": null},
        "jobId": JOB,
        "jobDisplayName": name,
        "mask": [{"type": "regex", "value": "***"}],
        "contextData": {
            "github": {"t": 2, "d": pairs},
            "job": {"t": 2, "d": check_run.into_iter().collect::<Vec<_>>()},
        },
    })
}

fn job() -> RemoteJob {
    RemoteJob {
        host: "github.com".to_owned(),
        repository: "o/r".to_owned(),
        run: 5,
        attempt: 2,
        id: 77,
        name: "build".to_owned(),
        is_unique: true,
        runner: "ci-1".to_owned(),
    }
}

/// Returns a line that was written this many ticks of 100 ns after 14:00.
fn at(tick: u64, text: &str) -> String {
    format!("2026-11-28T14:00:00.{tick:07}Z {text}\n")
}

fn read(log: &mut JobLog) -> Vec<(Option<String>, String)> {
    let lines = log.read().expect("readable");
    let text = |line: Line| (line.step.map(|step| step.to_string()), String::from_utf8(line.text).expect("text"));
    lines.into_iter().map(text).collect()
}

fn of(step: &str, text: String) -> (Option<String>, String) {
    (Some(step.to_owned()), text)
}

#[test]
fn lines_come_once_from_the_page_that_has_them_first() {
    let fixture = Fixture::new();
    let mut log = fixture.log();
    assert_eq!(read(&mut log), []);
    fixture.print(JOB, 1, &at(11, "one"));
    fixture.print(ONE, 1, &(at(10, "one") + &at(20, "two")));
    assert_eq!(read(&mut log), [of(ONE, at(10, "one")), of(ONE, at(20, "two"))]);
    // The step ends, and its page is removed. The page of the job is still behind, also when the next step prints.
    std::fs::remove_file(fixture.path().join(Fixture::page(ONE, 1))).expect("removed");
    fixture.print(TWO, 1, &at(30, "three"));
    assert_eq!(read(&mut log), [of(TWO, at(30, "three"))]);
    fixture.print(JOB, 1, &(at(21, "two") + &at(31, "three") + &at(40, "of the job")));
    assert_eq!(read(&mut log), [(None, at(40, "of the job"))]);
    fixture.print(TWO, 1, &(at(39, "late copy") + &at(50, "four") + "with a second line\n" + "2026-11-28T14"));
    fixture.print(JOB, 1, &at(51, "four"));
    assert_eq!(
        read(&mut log),
        [of(TWO, at(50, "four")), of(TWO, "with a second line\n".to_owned())],
        "a line that is not whole waits"
    );
    fixture.print(JOB, 1, "with a second line\n");
    assert_eq!(read(&mut log), []);
}

#[test]
fn lines_of_two_outputs_in_another_order_are_not_doubled() {
    let fixture = Fixture::new();
    let mut log = fixture.log();
    fixture.print(ONE, 1, &(at(10, "out") + &at(11, "error")));
    assert_eq!(read(&mut log).len(), 2);
    fixture.print(JOB, 1, &(at(12, "error") + &at(13, "out") + &at(14, "out")));
    assert_eq!(read(&mut log), [(None, at(14, "out"))]);
}

#[test]
fn the_pages_of_very_many_steps_cost_no_more_than_those_of_a_few() {
    let fixture = Fixture::new();
    let mut log = fixture.log();
    let text = "x".repeat(1000);
    let record = |number: usize| format!("{number:08x}-0000-4000-8000-000000000001");
    for number in 0..40 {
        let lines: String = (0..40).map(|line| at(line, &text)).collect();
        fixture.print(&record(number), 1, &lines);
    }
    let lines = read(&mut log);
    let steps =
        |lines: Vec<(Option<String>, String)>| lines.into_iter().filter_map(|(step, _)| step).collect::<BTreeSet<_>>();
    assert!(lines.iter().map(|(_, text)| text.len()).sum::<usize>() <= 1 << 20);
    let first = steps(lines);
    assert_eq!(first.len(), 16);
    // The steps end, and the pages of others are read.
    for step in &first {
        std::fs::remove_file(fixture.path().join(Fixture::page(step, 1))).expect("removed");
    }
    assert_eq!(read(&mut log), []);
    let second = steps(read(&mut log));
    assert!(second.len() == 16 && second.is_disjoint(&first), "{second:?}");
}

#[test]
fn the_pages_of_a_long_log_follow_each_other() {
    let fixture = Fixture::new();
    // A job that has run for a while: its first page is gone.
    fixture.print(JOB, 2, &at(10, "second"));
    let mut log = fixture.log();
    assert_eq!(read(&mut log), [(None, at(10, "second"))]);
    fixture.print(JOB, 2, &at(20, "its end"));
    fixture.print(JOB, 3, &at(30, "third"));
    assert_eq!(read(&mut log), [(None, at(20, "its end")), (None, at(30, "third"))]);
    let long = "x".repeat(300 * 1024);
    fixture.print(TWO, 1, &at(40, &long));
    let parts = read(&mut log);
    assert_eq!(parts.iter().map(|(_, text)| text.len()).sum::<usize>(), at(40, &long).len());
    fixture.print(JOB, 3, &at(41, &long));
    assert_eq!(read(&mut log), [], "the parts of a long line have copies, too");
}

#[test]
fn only_the_job_that_the_runner_names_is_read() {
    let fixture = Fixture::new();
    let other = RemoteJob { runner: "ci-2".to_owned(), ..job() };
    let runners = Runners::new(&[fixture.path().to_owned()]);
    assert!(runners.open(&other).expect("nothing to read").is_none(), "another runner");
    for change in [
        |job: &mut RemoteJob| job.id = 78,
        |job: &mut RemoteJob| job.run = 6,
        |job: &mut RemoteJob| job.attempt = 1,
        |job: &mut RemoteJob| job.host = "ghe.example.com".to_owned(),
        |job: &mut RemoteJob| job.repository = "o/other".to_owned(),
    ] {
        let mut job = job();
        change(&mut job);
        let error = runners.open(&job).expect_err("another job").to_string();
        assert!(error.contains("is about another job"), "{error}");
    }
    // Without the id of the job, its name must be unique.
    fixture.message("Worker_20261128-150000-utc.log", &message(None, "5", "build"));
    assert!(fixture.open().expect("readable").is_some());
    let two = RemoteJob { is_unique: false, ..job() };
    assert!(runners.open(&two).expect_err("one of two").to_string().contains("does not tell apart"));
    fixture.message("Worker_20261128-160000-utc.log", &message(None, "5", "test"));
    assert!(fixture.refusal().contains("is about another job"), "the newest log counts");
    // The second file of a long log has no message.
    fixture.message("Worker_20261128-170000-utc.log", &message(Some(77), "5", "build"));
    fixture.write("_diag/Worker_20261128-180000-utc.log", "[2026-11-28 18:00:00Z INFO JobRunner] on it\n");
    assert!(fixture.open().expect("readable").is_some());
}

#[test]
fn what_is_not_a_runner_or_cannot_be_read_is_said() {
    let fixture = Fixture::new();
    fixture
        .write("_diag/Worker_20261128-190000-utc.log", "[2026-11-28 19:00:00Z INFO Worker] Job message:\n {\"jobId\"");
    assert!(fixture.refusal().contains("does not name a job"), "it is not whole yet");
    let mut hostile = message(Some(77), "5", "build");
    hostile["jobId"] = json!("../../../../../../../../etc/passwd\0xx");
    fixture.message("Worker_20261128-200000-utc.log", &hostile);
    assert!(fixture.refusal().contains("does not name a job"));
    fixture.message("Worker_20261128-210000-utc.log", &message(Some(77), "5", "build"));
    let mut log = fixture.log();
    symlink("/etc/passwd", fixture.path().join(Fixture::page(JOB, 1))).expect("a link");
    let error = log.read().expect_err("a link").to_string();
    assert!(error.contains(&format!("cannot read {}", fixture.path().display())), "{error}");
    std::fs::remove_dir_all(fixture.path().join("_diag/pages")).expect("removed");
    let error = fixture.refusal();
    assert!(error.starts_with("cannot read") && error.contains("_diag/pages: "), "{error}");
    fixture.write(".runner", "no JSON");
    let error = fixture.refusal();
    assert!(error.contains("whether it is the one in") && error.contains("cannot read its .runner"), "{error}");
    let hosted = RemoteJob { runner: "GitHub Actions 12".to_owned(), ..job() };
    assert!(Runners::new(&[fixture.path().to_owned()]).open(&hosted).expect("hosted").is_none());
}
