//! A job on GitHub whose self-hosted runner is on this machine: its log grows before GitHub has it.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::project::{Project, until};
use crate::screen::Terminal;
use crate::servers::Said;

const TIMELINE: &str = "7e8d3f0a-16f4-4c8e-9c2b-3a5b8f2f9d10";
const JOB: &str = "fd34c1b2-0b9e-4f57-8d5c-6c2a1e7f0a11";
const SETUP: &str = "0a000000-0000-4000-8000-000000000001";
const BUILD: &str = "0b000000-0000-4000-8000-000000000002";

/// A server with a run whose job is in progress, and the folder of the runner that carries it out.
struct Rig {
    project: Project,
    runner: PathBuf,
    /// Whether the job has ended.
    ended: Arc<AtomicBool>,
}

/// Returns a line of the log, with its time in units of 100 ns after 14:14:10.
fn line(ticks: u64, text: &str) -> String {
    format!("2026-11-28T14:14:1{}.{:07}Z {text}\n", ticks / 10_000_000, ticks % 10_000_000)
}

/// The log that GitHub serves after the end of the job.
fn whole() -> String {
    let setup = line(1_000, "Current runner version: '2.330.0'");
    let build: String = (1..=200).map(|number| line(20_000_000 + number * 100, &format!("built {number}"))).collect();
    setup + &build + &line(30_000_000, "Cleaning up orphan processes")
}

fn job(has_ended: bool) -> Value {
    let (status, conclusion) = if has_ended { ("completed", Some("success")) } else { ("in_progress", None) };
    let end = has_ended.then_some("2026-11-28T14:14:13Z");
    let step = |number: u32, name: &str, start: &str, end: Option<&str>| {
        let status = if end.is_some() { "completed" } else { "in_progress" };
        json!({"name": name, "number": number, "status": status, "conclusion": end.map(|_| "success"),
            "started_at": start, "completed_at": end})
    };
    json!({
        "id": 9, "run_id": 7, "name": "build", "run_attempt": 1, "status": status, "conclusion": conclusion,
        "created_at": "2026-11-28T14:14:09Z", "started_at": "2026-11-28T14:14:10Z", "completed_at": end,
        "runner_name": "ci-1", "labels": ["self-hosted"],
        "steps": [
            step(1, "Set up job", "2026-11-28T14:14:10Z", Some("2026-11-28T14:14:11Z")),
            step(2, "Build", "2026-11-28T14:14:12Z", end),
        ],
    })
}

impl Rig {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let ended = Arc::<AtomicBool>::default();
        let has_ended = Arc::clone(&ended);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                let (mut line, mut rest) = (String::new(), String::new());
                if reader.read_line(&mut line).is_err() {
                    continue;
                }
                while reader.read_line(&mut rest).is_ok_and(|count| count > 2) {}
                let path = line.split(' ').nth(1).unwrap_or_default();
                let answer = answer(path, has_ended.load(Ordering::SeqCst), &address.to_string());
                // The program may have closed the connection.
                let _ = reader.get_mut().write_all(answer.as_bytes());
            }
        });
        let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n");
        let runner = project.home().join("runner");
        project.configure(&format!(
            "[github]\nrunners = [\"{}\"]\n[github.hosts.\"127.0.0.1\"]\napi_url = \"http://{address}\"\n",
            runner.display()
        ));
        Self { project, runner, ended }
    }

    /// Writes what the runner writes before the first step.
    fn start_job(&self) {
        fs::create_dir_all(self.runner.join("_diag/pages")).expect("a folder");
        fs::write(self.runner.join(".runner"), json!({"agentName": "ci-1"}).to_string()).expect("written");
        let github =
            [("server_url", "https://127.0.0.1"), ("repository", "aura/small"), ("run_id", "7"), ("run_attempt", "1")];
        let github: Vec<Value> = github.iter().map(|(key, value)| json!({"k": key, "v": value})).collect();
        let message = json!({
            "timeline": {"id": TIMELINE}, "jobId": JOB, "jobDisplayName": "build",
            "contextData": {
                "github": {"t": 2, "d": github},
                "job": {"t": 2, "d": [{"k": "check_run_id", "v": 9.0}]},
            },
        });
        let text = format!("[2026-11-28 14:14:10Z INFO Worker] Job message:\n {message:#}\n");
        fs::write(self.runner.join("_diag/Worker_20261128-141410-utc.log"), text).expect("written");
    }

    fn print(&self, record: &str, text: &str) {
        let path = self.runner.join(format!("_diag/pages/{TIMELINE}_{record}_1.log"));
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a page");
        file.write_all(text.as_bytes()).expect("written");
    }

    /// Writes a line of the step `Build` into both of its pages.
    fn build(&self, number: u64) {
        let ticks = 20_000_000 + number * 100;
        self.print(BUILD, &line(ticks - 1, &format!("built {number}")));
        self.print(JOB, &line(ticks, &format!("built {number}")));
    }

    /// Follows the run. Returns the program and the lines that it prints.
    fn attach(&self) -> (Child, impl Iterator<Item = String> + use<>) {
        let mut attach = self.project.command(&["attach", RUN]);
        let mut following = attach.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let lines = BufReader::new(following.stdout.take().expect("piped")).lines();
        (following, lines.map(|line| line.expect("text")))
    }

    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

fn answer(path: &str, has_ended: bool, address: &str) -> String {
    let reply = |status: &str, headers: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
    };
    if path == "/log" {
        return reply("200 OK", "", &whole());
    }
    let status = if has_ended { "completed" } else { "in_progress" };
    let run = json!({
        "id": 7, "name": "CI", "run_number": 7, "display_title": "Build it", "path": ".github/workflows/ci.yml",
        "event": "push", "run_attempt": 1, "head_sha": "532e4cef38be4826053bba01873e391f5e16a12a",
        "head_branch": "main", "actor": {"login": "olu"}, "status": status,
        "conclusion": has_ended.then_some("success"), "created_at": "2026-11-28T14:14:09Z",
        "run_started_at": "2026-11-28T14:14:09Z", "updated_at": "2026-11-28T14:14:13Z",
        "html_url": "http://127.0.0.1/aura/small/actions/runs/7",
    });
    match path.trim_start_matches("/repos/aura/small/").split('?').next().unwrap_or_default() {
        "actions/runs" => reply("200 OK", "", &json!({"total_count": 1, "workflow_runs": [run]}).to_string()),
        "actions/runs/7" => reply("200 OK", "", &run.to_string()),
        "actions/runs/7/attempts/1/jobs" => {
            reply("200 OK", "", &json!({"total_count": 1, "jobs": [job(has_ended)]}).to_string())
        }
        "actions/jobs/9/logs" if has_ended => reply("302 Found", &format!("Location: http://{address}/log\r\n"), ""),
        _ => reply("404 Not Found", "", "{\"message\": \"Not Found\"}"),
    }
}

const RUN: &str = "127.0.0.1/aura/small/7";

#[test]
fn the_log_of_a_job_is_followed_in_the_files_of_its_runner() {
    let rig = Rig::new();
    rig.start_job();
    rig.print(JOB, &line(1_000, "Current runner version: '2.330.0'"));
    let (mut following, mut lines) = rig.attach();
    let mut printed = Vec::new();
    let mut wait_for = |text: &str| {
        let found = lines.by_ref().inspect(|line| printed.push(line.clone())).any(|line| line.contains(text));
        assert!(found, "{text}: {printed:#?}");
    };
    wait_for("log from the runner ci-1 on this machine");
    wait_for("Current runner version");
    // The first line of a step waits for a poll, further ones do not.
    for number in 1..=20 {
        rig.build(number);
        wait_for(&format!("built {number}"));
    }
    // The page of a step is removed at its end. The rest of the log is only at the server.
    fs::remove_file(rig.runner.join(format!("_diag/pages/{TIMELINE}_{BUILD}_1.log"))).expect("removed");
    rig.end();
    let rest: Vec<String> = lines.collect();
    assert_eq!(following.wait().expect("ends").code(), Some(0), "{rest:#?}");
    let all: Vec<String> = printed.into_iter().chain(rest).collect();
    for number in 1..=200 {
        let count = all.iter().filter(|line| line.ends_with(&format!("built {number}"))).count();
        assert_eq!(count, 1, "{number}: {all:#?}");
    }
    let summary = Said::from(rig.project.command(&["logs", RUN, "--summary"]).output().expect("starts"));
    let why = "GitHub's API has no job summaries: they are only on the page of the run, http://127.0.0.1/aura/small";
    assert!(summary.code == Some(3) && summary.error.contains(why), "{}", summary.error);
    let logs = Said::from(rig.project.command(&["logs", RUN]).output().expect("starts"));
    assert_eq!((logs.code, logs.out.matches("built").count()), (Some(0), 200), "{}{}", logs.out, logs.error);
}

#[test]
fn the_log_of_a_runner_that_can_no_longer_be_read_is_fetched_after_the_job() {
    let rig = Rig::new();
    rig.start_job();
    rig.print(JOB, &line(1_000, "Current runner version: '2.330.0'"));
    let (mut following, mut lines) = rig.attach();
    for number in 1..=5 {
        rig.build(number);
        let text = format!("built {number}");
        assert!(lines.any(|line| line.ends_with(&text)), "{text}");
    }
    symlink("/dev/null", rig.runner.join(format!("_diag/pages/{TIMELINE}_{JOB}_2.log"))).expect("a link");
    assert!(lines.any(|line| line.contains("no log from the runner ci-1 on this machine")));
    rig.end();
    let rest: Vec<String> = lines.collect();
    assert_eq!(following.wait().expect("ends").code(), Some(0), "{rest:#?}");
    let logs = Said::from(rig.project.command(&["logs", RUN]).output().expect("starts"));
    assert_eq!((logs.code, logs.out.matches("built").count()), (Some(0), 200), "{}{}", logs.out, logs.error);
}

#[test]
fn the_screen_shows_the_lines_of_the_runner_or_why_there_are_none() {
    let rig = Rig::new();
    // The runner is there, but its files are not.
    fs::create_dir_all(&rig.runner).expect("a folder");
    fs::write(rig.runner.join(".runner"), json!({"agentName": "ci-1"}).to_string()).expect("written");
    let mut command = rig.project.in_terminal(&[]);
    command.env("CUELIGHT_GITHUB_REPOSITORIES", "127.0.0.1/aura/small");
    command.env("no_proxy", "127.0.0.1");
    let mut screen = Terminal::start(command, 40, 160);
    screen.wait_for("not from the runner ci-1 here: cannot read");
    rig.start_job();
    rig.print(JOB, &line(1_000, "Current runner version: '2.330.0'"));
    rig.print(SETUP, &line(999, "Current runner version: '2.330.0'"));
    until("the first page is read", || {
        let shown = Said::from(rig.project.command(&["show", RUN, "--json"]).output().expect("starts"));
        let shown: Value = serde_json::from_str(&shown.out).ok()?;
        (shown["jobs"][0]["runner_log"] == json!({"runner": "ci-1"})).then_some(())
    });
    for number in 1..=30 {
        rig.build(number);
    }
    screen.wait_for("built 30");
    assert!(screen.text().contains("FOLLOW"), "{}", screen.text());
    rig.end();
    screen.wait_for("built 200");
    screen.press("q");
    screen.ends_restored();
}
