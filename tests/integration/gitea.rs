//! A real Gitea server with a runner that executes its jobs. Runs are listed, followed with their growing logs,
//! started, run again and deleted. Tokens lack rights, and the server is stopped and started in between.
//!
//! `../shared/gitea/build.sh` built the programs, in the folder that `CUELIGHT_GITEA` names. A folder `fixture` beside
//! them contains the data of a stopped server, which saves the first start.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::project::{Project, until};
use crate::servers::Said;

const REPOSITORY: &str = "127.0.0.1/aura/platform";

/// A server, and a project whose settings name it.
struct Rig {
    scripts: PathBuf,
    programs: PathBuf,
    data: TempDir,
    tokens: Value,
    project: Project,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Rig {
    /// Starts the server. `None`, with a remark, if its programs do not exist.
    fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let scripts = root.ancestors().map(|above| above.join("shared/gitea")).find(|folder| folder.is_dir());
        let programs = std::env::var_os("CUELIGHT_GITEA").map(PathBuf::from);
        let programs = programs.filter(|folder| folder.join("bin/gitea").is_file());
        let (Some(scripts), Some(programs)) = (scripts, programs) else {
            // This is not a failure of `.ci/run` either, because building the server takes minutes.
            let _ = writeln!(std::io::stderr(), "SKIPPED: CUELIGHT_GITEA names no folder that ../shared/gitea built");
            return None;
        };
        let data = tempfile::tempdir().expect("a folder");
        let is_new = !programs.join("fixture").is_dir();
        if !is_new {
            let from = programs.join("fixture/.");
            let copied = Command::new("cp").arg("-r").arg(from).arg(data.path()).status().expect("cp starts");
            assert!(copied.success(), "the data is copied");
        }
        let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n");
        let mut rig = Self { scripts, programs, data, tokens: Value::Null, project };
        let started = rig.up(is_new);
        rig.tokens = started["tokens"].clone();
        let settings = format!(
            "[github.hosts.\"127.0.0.1\"]\nkind = \"gitea\"\napi_url = \"{}\"\n",
            started["api"].as_str().expect("an address")
        );
        rig.project.configure(&settings);
        Some(rig)
    }

    /// Starts the programs, and returns the description of the server. For a new server, waits for the runs of the
    /// first pushes.
    fn up(&self, is_new: bool) -> Value {
        let mut up = Command::new(self.scripts.join("up.sh"));
        up.arg(self.data.path()).env("BUILT", &self.programs).stderr(Stdio::null());
        if is_new {
            up.env("WAIT", "1");
        }
        let output = up.output().expect("up.sh starts");
        serde_json::from_slice(&output.stdout).expect("a description of the server")
    }

    fn stop(&self) {
        let mut down = Command::new(self.scripts.join("down.sh"));
        let stopped = down.arg(self.data.path()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(stopped.is_ok_and(|stopped| stopped.success()), "the server is stopped");
    }

    fn said(&self, user: &str, args: &[&str]) -> Said {
        let mut command = self.project.command(args);
        command.env("GH_ENTERPRISE_TOKEN", self.tokens[user].as_str().expect("a token")).env("no_proxy", "127.0.0.1");
        command.output().expect("starts").into()
    }

    /// Runs a command with the token of the owner, checks its exit code, and returns its output and remarks.
    fn expect(&self, code: i32, args: &[&str]) -> String {
        let said = self.said("maria", args);
        assert_eq!(said.code, Some(code), "{args:?}: {}{}", said.out, said.error);
        format!("{}{}", said.out, said.error)
    }

    /// Starts a workflow without following its run, and returns the number of the run.
    fn dispatch(&self, workflow: &str) -> String {
        let started = self.expect(0, &["dispatch", workflow, "-R", REPOSITORY, "--detach"]);
        let found = started.lines().find_map(|line| line.rsplit_once("/aura/platform/"));
        found.unwrap_or_else(|| panic!("{started}")).1.to_owned()
    }

    /// Returns the number of lines with this text in the server's journal of requests.
    fn requests(&self, part: &str) -> usize {
        let journal = fs::read_to_string(self.data.path().join("log/gitea.log")).expect("a journal");
        journal.lines().filter(|line| line.contains(part)).count()
    }
}

fn part(text: &str, wanted: &str) -> usize {
    text.find(wanted).unwrap_or_else(|| panic!("{wanted}: {text}"))
}

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

#[test]
fn runs_of_a_gitea_server_are_followed_and_steered() {
    let Some(rig) = Rig::start() else { return };
    let listed = rig.expect(0, &["runs", "-R", REPOSITORY]);
    assert!(listed.lines().count() >= 13 && listed.contains("Fix the answer"), "{listed}");

    // The log of a running job.
    let long = rig.expect(0, &["dispatch", "long.yml", "-R", REPOSITORY, "--input", "seconds=30"]);
    assert!(part(&long, "tick 1 of 30") < part(&long, "✓ Count"), "it grows while the step runs: {long}");
    assert!(part(&long, "tick 30 of 30") < part(&long, "✓ Next"), "{long}");
    assert!(!long.contains("protection rules"), "{long}");
    let shown = rig.expect(0, &["show", "latest", "-R", REPOSITORY, "--json"]);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let needs = shown["jobs"].as_array().expect("jobs").iter().map(|job| job["needs"].clone()).collect::<Vec<_>>();
    assert_eq!(needs, [serde_json::json!([]), serde_json::json!(["slow"])], "its workflow file is found");

    let wide = rig.expect(0, &["dispatch", "matrix.yml", "-R", REPOSITORY]);
    assert!(wide.contains("✓ success in"), "{wide}");

    let failing = rig.expect(1, &["dispatch", "failing.yml", "-R", REPOSITORY]);
    part(&failing, "✗ failure in");
    let failed = rig.expect(0, &["logs", "latest", "-R", REPOSITORY, "--failed"]);
    part(&failed, "Error: deliberate");
    let number = listed_number(&rig);
    let name = format!("{REPOSITORY}/{number}");
    let again = rig.expect(1, &["rerun", &name, "--failed"]);
    part(&again, "attempt 2");
    part(&rig.expect(0, &["show", &name]), "✓ Flaky (green from the second attempt)  success");
    part(&rig.expect(1, &["rerun", &name, "--job", "bad"]), "attempt 3");

    // A job without a runner.
    let stuck = format!("{REPOSITORY}/{}", rig.dispatch("stuck.yml"));
    let why = rig.expect(0, &["explain", &stuck]);
    part(&why, "gpu  waits for a runner with self-hosted, gpu: no runner of the repository has these labels");
    assert!(!why.contains("cuelight cancel"), "the server has none: {why}");
    let before = rig.requests("/cancel");
    part(&rig.expect(4, &["cancel", &stuck]), "Gitea's API cannot cancel runs");
    assert_eq!(rig.requests("/cancel"), before, "it is not asked");

    // Tokens and users without the rights.
    let refused = rig.said("maria_read", &["rerun", &name, "--detach"]);
    assert!(refused.code == Some(4) && refused.error.contains("required=[write:repository]"), "{}", refused.error);
    let before = rig.requests("/rerun");
    let refused = rig.said("maria_read", &["rerun", &name, "--detach"]);
    assert!(refused.code == Some(4) && refused.error.contains("the token lacks the permission"), "{}", refused.error);
    assert_eq!(rig.requests("/rerun"), before, "what it may not is found out once");
    let reader = rig.said("ines", &["rerun", &name, "--detach"]);
    assert!(reader.code == Some(4) && reader.error.contains("you may only read"), "{}", reader.error);
    let scopeless = rig.said("maria_noscope", &["runs", "-R", REPOSITORY]);
    assert!(scopeless.error.contains("required=[read:repository]"), "{}", scopeless.error);

    // The server is away for a while.
    rig.stop();
    let away = rig.expect(0, &["show", &name]);
    assert!(away.contains("cannot reach 127.0.0.1") && away.contains("showing the last known state"), "{away}");
    part(&rig.expect(5, &["delete", &name]), "cannot reach 127.0.0.1");
    rig.up(false);
    until("the server answers", || {
        let said = rig.said("maria", &["delete", &name]);
        (said.code == Some(0)).then_some(())
    });
    part(&rig.expect(3, &["show", &name]), "404");
}

/// Returns the number of the newest run.
fn listed_number(rig: &Rig) -> u64 {
    let listed = rig.expect(0, &["runs", "-R", REPOSITORY, "--json"]);
    let newest: Value = serde_json::from_str(listed.lines().next().expect("a run")).expect("JSON");
    newest["remote"]["id"].as_u64().expect("a number")
}
