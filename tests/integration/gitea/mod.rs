//! A real Gitea server with a runner that executes its jobs. Runs are listed, followed with their growing logs,
//! started, run again and deleted. Tokens lack rights, and the server is stopped and started in between.
//!
//! `../shared/gitea/build.sh` built the programs, in the folder that `CUELIGHT_GITEA` names. A folder `fixture` beside
//! them contains the data of a stopped server, which saves the first start.

mod away;
mod commands;
mod rights;
mod screen;
mod small;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::docker::skip_even_in_ci;
use crate::project::{Project, until};
use crate::screen::Terminal;
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
            // Building the server takes minutes, so `.ci/run` need not have it.
            skip_even_in_ci("CUELIGHT_GITEA names no folder that ../shared/gitea built");
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

    /// Stops the server but not its runner, and starts it again once `meanwhile` returns.
    fn restart(&self, meanwhile: impl FnOnce()) {
        let data = self.data.path();
        let file = data.join("gitea.pid");
        let pid = fs::read_to_string(&file).expect("a process").trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.expect("a process");
        kill_process(pid, Signal::TERM).expect("it runs");
        until("its end", || test_kill_process(pid).is_err().then_some(()));
        meanwhile();
        // Its process is not a child of this one, so that nothing is left of it after its end.
        let mut start = Command::new("sh");
        start.args(["-c", r#""$@" & echo $! > "$0""#]).arg(&file).arg(self.programs.join("bin/gitea"));
        start.arg("--config").arg(data.join("app.ini")).arg("--work-path").arg(data.join("data")).arg("web");
        let log = fs::OpenOptions::new().append(true).open(data.join("log/gitea.log")).expect("a journal");
        let out = log.try_clone().expect("a journal");
        let started = start.stdin(Stdio::null()).stdout(out).stderr(log).status();
        assert!(started.is_ok_and(|started| started.success()), "the server is started");
    }

    fn token(&self, user: &str) -> &str {
        self.tokens[user].as_str().expect("a token")
    }

    fn command(&self, user: &str, args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.env("GH_ENTERPRISE_TOKEN", self.token(user)).env("no_proxy", "127.0.0.1");
        command
    }

    fn said(&self, user: &str, args: &[&str]) -> Said {
        self.command(user, args).output().expect("starts").into()
    }

    /// Opens the screen on the runs of the repository.
    fn screen(&self, user: &str, rows: u16, columns: u16) -> Terminal {
        let mut command = self.project.in_terminal(&[]);
        command.env("GH_ENTERPRISE_TOKEN", self.token(user));
        command.env("no_proxy", "127.0.0.1");
        command.env("CUELIGHT_GITHUB_REPOSITORIES", REPOSITORY);
        Terminal::start(command, rows, columns)
    }

    /// Runs a command with the token of the owner, checks its exit code, and returns its output and remarks.
    fn expect(&self, code: i32, args: &[&str]) -> String {
        let said = self.said("maria", args);
        assert_eq!(said.code, Some(code), "{args:?}: {}{}", said.out, said.error);
        format!("{}{}", said.out, said.error)
    }

    /// Starts a workflow without following its run, and returns the name of the run.
    fn dispatch(&self, workflow: &str, inputs: &[&str]) -> String {
        let inputs = inputs.iter().flat_map(|input| ["--input", input]);
        let args: Vec<&str> = ["dispatch", workflow, "-R", REPOSITORY, "--detach"].into_iter().chain(inputs).collect();
        let started = self.expect(0, &args);
        let found = started.lines().find_map(|line| line.rsplit_once("/aura/platform/"));
        format!("{REPOSITORY}/{}", found.unwrap_or_else(|| panic!("{started}")).1)
    }

    /// Starts to follow a run, for [`finished`].
    fn follow(&self, run: &str) -> Child {
        let mut command = self.command("maria", &["attach", run]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
    }

    /// Returns a run as `show --json` prints it.
    fn show(&self, run: &str) -> Value {
        let said = self.said("maria", &["show", run, "--json"]);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.error))
    }

    /// Returns the newest run of the repository, as the list shows it.
    fn newest(&self) -> Value {
        let listed = self.expect(0, &["runs", "-R", REPOSITORY, "--json"]);
        serde_json::from_str(listed.lines().next().expect("a run")).expect("JSON")
    }

    /// Returns the number of lines with this text in the server's journal of requests.
    fn requests(&self, part: &str) -> usize {
        let journal = fs::read_to_string(self.data.path().join("log/gitea.log")).expect("a journal");
        journal.lines().filter(|line| line.contains(part)).count()
    }
}

/// Returns the name of a listed run.
fn name(run: &Value) -> String {
    format!("{REPOSITORY}/{}", run["remote"]["id"])
}

/// Returns the status of each job of a run, by its name.
fn statuses(run: &Value) -> Vec<(&str, &str)> {
    let jobs = run["jobs"].as_array().expect("jobs").iter();
    jobs.map(|job| (job["name"].as_str().expect("a name"), job["status"].as_str().expect("a status"))).collect()
}

/// Returns the position of a text.
#[track_caller]
fn part(text: &str, wanted: &str) -> usize {
    text.find(wanted).unwrap_or_else(|| panic!("{wanted}: {text}"))
}
