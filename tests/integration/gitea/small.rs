//! A small server that answers like Gitea, for what needs no real one.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::project::Project;
use crate::servers::Said;

/// Starts a server with one run in progress, which answers like Gitea 1.26. Also returns the requests that it got.
fn small() -> (Project, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let api = format!("http://{}/api/v1", listener.local_addr().expect("an address"));
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&requests);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
            let mut rest = String::new();
            reader.read_line(&mut line).expect("a request");
            while reader.read_line(&mut rest).is_ok_and(|count| count > 2) {}
            let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches("/api/v1/repos/aura/small/");
            seen.lock().expect("a list").push(line.trim_end().to_owned());
            let run = json!({
                "id": 7, "run_number": 7, "display_title": "Build", "path": "ci.yml@refs/heads/main", "event": "push",
                "run_attempt": 0, "head_sha": "532e4cef38be4826053bba01873e391f5e16a12a", "status": "in_progress",
                "started_at": "2026-11-28T14:14:10Z", "completed_at": "1970-01-01T00:00:00Z", "actor": {"login": "olu"},
                "html_url": "http://127.0.0.1/aura/small/actions/runs/7",
            });
            let job = json!({
                "id": 9, "run_id": 7, "name": "build", "run_attempt": 1, "status": "in_progress", "steps": [],
                "started_at": "2026-11-28T14:14:10Z", "completed_at": "1970-01-01T00:00:00Z",
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
    (project, requests)
}

#[test]
fn a_run_has_the_folder_of_its_repository_and_cannot_be_cancelled() {
    let (project, requests) = small();
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
