//! A real Gitea server with a runner that executes its jobs: runs listed, followed with their growing logs, started, run again
//! and deleted; tokens that may not; the server stopped and started in between.
//!
//! The programs are those that `../shared/gitea/build.sh` made, in the folder that `CUELIGHT_GITEA` names.
//! A folder `fixture` beside them, with the data of a server that was stopped, saves the first start.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
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
    /// Starts the server. `None`, with a remark, where its programs are not.
    fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let scripts = root.ancestors().map(|above| above.join("shared/gitea")).find(|folder| folder.is_dir());
        let programs = std::env::var_os("CUELIGHT_GITEA").map(PathBuf::from);
        let programs = programs.filter(|folder| folder.join("bin/gitea").is_file());
        let (Some(scripts), Some(programs)) = (scripts, programs) else {
            // Not a failure of `.ci/run` either: the server takes minutes to build.
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
        let folder = rig.project.home().join("config/cuelight");
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("config.toml"), settings).expect("written");
        Some(rig)
    }

    /// Starts the programs, and returns the description of the server. The runs of the first pushes are waited for.
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

    /// Returns the lines of the server's journal of requests that have a text.
    fn requests(&self, part: &str) -> usize {
        let journal = fs::read_to_string(self.data.path().join("log/gitea.log")).expect("a journal");
        journal.lines().filter(|line| line.contains(part)).count()
    }
}

fn part(text: &str, wanted: &str) -> usize {
    text.find(wanted).unwrap_or_else(|| panic!("{wanted}: {text}"))
}

#[test]
fn runs_of_a_gitea_server_are_followed_and_steered() {
    let Some(rig) = Rig::start() else { return };
    let listed = rig.expect(0, &["runs", "-R", REPOSITORY]);
    assert!(listed.lines().count() >= 13 && listed.contains("Fix the answer"), "{listed}");

    // The log of a job that runs.
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
    part(&rig.expect(4, &["cancel", &stuck]), "Gitea's API has no cancel");
    assert_eq!(rig.requests("/cancel"), before, "it is not asked");

    // Tokens and users that may not.
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
