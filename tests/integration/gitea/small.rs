//! A small server that answers like Gitea, for what needs no real one.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::project::Project;
use crate::servers::Said;

/// A server with one run in progress, which answers like Gitea 1.26.
struct Small {
    project: Project,
    /// The requests that the server received.
    requests: Arc<Mutex<Vec<String>>>,
    /// Whether the run has ended.
    ended: Arc<AtomicBool>,
}

/// The log of the job while it runs, and what is added when it ends.
const LOG: [&str; 2] =
    ["2026-11-28T14:14:11.0000000Z the first line\n", "2026-11-28T14:14:12.0000000Z the last line\n"];

/// Returns the status, the headers and the body of the answer about the log of the job.
fn log(request: &str, has_ended: bool) -> (&'static str, String, String) {
    let text = if has_ended { LOG.concat() } else { LOG[0].to_owned() };
    let range = request.lines().find_map(|line| line.strip_prefix("range: bytes="));
    let from: usize = range.and_then(|range| range.split('-').next()?.parse().ok()).unwrap_or_default();
    if from >= text.len() {
        return ("416 Range Not Satisfiable", String::new(), String::new());
    }
    let range = format!("Content-Range: bytes {from}-{}/{}\r\n", text.len() - 1, text.len());
    ("206 Partial Content", range, text[from..].to_owned())
}

fn small() -> Small {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let api = format!("http://{}/api/v1", listener.local_addr().expect("an address"));
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let ended = Arc::<AtomicBool>::default();
    let (seen, has_ended) = (Arc::clone(&requests), Arc::clone(&ended));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
            let mut rest = String::new();
            reader.read_line(&mut line).expect("a request");
            while reader.read_line(&mut rest).is_ok_and(|count| count > 2) {}
            let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches("/api/v1/repos/aura/small/");
            seen.lock().expect("a list").push(line.trim_end().to_owned());
            let has_ended = has_ended.load(Ordering::SeqCst);
            if path == "actions/jobs/9/logs" {
                let (status, headers, body) = log(&rest.to_ascii_lowercase(), has_ended);
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {length}");
                let _ = write!(stream, "{head}\r\n\r\n{body}");
                continue;
            }
            let (status, end) =
                if has_ended { ("completed", "2026-11-28T14:14:13Z") } else { ("in_progress", "1970-01-01T00:00:00Z") };
            let conclusion = has_ended.then_some("success");
            let run = json!({
                "id": 7, "run_number": 7, "display_title": "Build", "path": "ci.yml@refs/heads/main", "event": "push",
                "run_attempt": 0, "head_sha": "532e4cef38be4826053bba01873e391f5e16a12a", "actor": {"login": "olu"},
                "status": status, "conclusion": conclusion, "started_at": "2026-11-28T14:14:10Z", "completed_at": end,
                "html_url": "http://127.0.0.1/aura/small/actions/runs/7",
            });
            let job = json!({
                "id": 9, "run_id": 7, "name": "build", "run_attempt": 1, "status": status, "conclusion": conclusion,
                "started_at": "2026-11-28T14:14:10Z", "completed_at": end, "runner_name": "rig",
                "steps": [{
                    "name": "Build", "number": 1, "status": status, "conclusion": conclusion,
                    "started_at": "2026-11-28T14:14:10Z", "completed_at": end,
                }],
            });
            let workflow =
                json!({"id": "ci.yml", "name": "ci.yml", "path": ".github/workflows/ci.yml", "state": "active"});
            let body = match path.split('?').next().unwrap_or_default() {
                "actions/runs" => json!({"total_count": 1, "workflow_runs": [run]}),
                "actions/runs/7" => run,
                "actions/runs/7/jobs" => json!({"total_count": 1, "jobs": [job]}),
                "actions/workflows" => json!({"total_count": 1, "workflows": [workflow]}),
                _ => Value::Null,
            };
            let status = if body.is_null() { "404 Not Found" } else { "200 OK" };
            let body = body.to_string();
            let length = body.len();
            // The program may have closed the connection.
            let _ = write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        }
    });
    let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n");
    project.configure(&format!("[github.hosts.\"127.0.0.1\"]\nkind = \"gitea\"\napi_url = \"{api}\"\n"));
    Small { project, requests, ended }
}

#[test]
fn the_end_of_a_job_is_recorded_after_its_last_line() {
    let Small { project, ended, .. } = small();
    let mut attach = project.command(&["attach", "127.0.0.1/aura/small/7", "--json"]);
    let mut following = attach.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    let mut records = Vec::new();
    for line in BufReader::new(following.stdout.take().expect("piped")).lines() {
        let record: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        let event = record["event"].as_str().unwrap_or_default().to_owned();
        if event == "output" {
            ended.store(true, Ordering::SeqCst);
        }
        records.push(event);
    }
    let code = following.wait().expect("ends").code();
    assert_eq!(code, Some(0), "{records:?}");
    let at =
        |name: &str| records.iter().rposition(|event| event == name).unwrap_or_else(|| panic!("{name}: {records:?}"));
    assert_eq!(records.iter().filter(|event| *event == "output").count(), 2, "{records:?}");
    assert!(at("output") < at("job_finished"), "{records:?}");
}

#[test]
fn a_run_has_the_folder_of_its_repository_and_cannot_be_cancelled() {
    let Small { project, requests, .. } = small();
    let said = |args: &[&str]| Said::from(project.command(args).output().expect("starts"));
    let repository = "127.0.0.1/aura/small";
    let listed = said(&["runs", "-R", repository, "--json"]);
    assert_eq!(listed.code, Some(0), "{}", listed.error);
    let run: Value = serde_json::from_str(listed.out.lines().next().expect("a run")).expect("JSON");
    assert_eq!(run["workflow"], ".github/workflows/ci.yml", "{run}");
    let one = format!("{repository}/7");
    let cancelled = said(&["cancel", &one]);
    assert_eq!(cancelled.code, Some(4), "{}", cancelled.error);
    assert!(
        cancelled.error.contains("Gitea's API cannot cancel runs: cancel the run on its page"),
        "{}",
        cancelled.error
    );
    let requests = requests.lock().expect("a list");
    assert!(requests.iter().all(|request| request.starts_with("GET ")), "{requests:?}");
}
