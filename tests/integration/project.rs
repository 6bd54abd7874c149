//! A temporary repository and state folder for each test, and functions that run the program on them.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use portable_pty::CommandBuilder;
use serde_json::Value;

/// Time limit for a condition to become true.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// Creates a repository with one committed workflow.
    pub(crate) fn new(workflow: &str) -> Self {
        let project = Self { folder: tempfile::tempdir().expect("a folder") };
        project.write(".github/workflows/ci.yml", workflow);
        project.git(&["init", "--quiet", "--initial-branch", "main"]);
        project.commit();
        project
    }

    /// Creates a project with a workflow that has these jobs and runs on push.
    pub(crate) fn of_jobs(jobs: &str) -> Self {
        Self::new(&format!("name: CI\non: push\njobs:\n{jobs}"))
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Returns the folder of the project, which contains the repository and the state folder.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    pub(crate) fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["-c", "user.name=T", "-c", "user.email=t@t", "commit", "--quiet", "--allow-empty", "-m", "x"]);
    }

    pub(crate) fn git(&self, args: &[&str]) {
        git(&self.root(), args);
    }

    /// Returns a command that runs the program in this repository and with its state folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cuelight"));
        command.args(args).current_dir(self.root()).env("CUELIGHT_STATE_DIR", self.state());
        // Ignores the settings of the user who runs the tests.
        command.env("XDG_CONFIG_HOME", self.folder.path().join("config"));
        // The cache is empty, as on a machine where the program never ran before.
        command.env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        for account in
            ["GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GH_HOST", "GH_CONFIG_DIR"]
        {
            command.env_remove(account);
        }
        command.env_remove("GITHUB_ACTIONS").env("LANG", "C.UTF-8").env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Returns the same command for a terminal.
    pub(crate) fn in_terminal(&self, args: &[&str]) -> CommandBuilder {
        let command = self.command(args);
        let mut same = CommandBuilder::new(command.get_program());
        same.args(command.get_args());
        same.cwd(self.root());
        for (name, value) in command.get_envs().filter(|(name, _)| *name != "NO_COLOR") {
            match value {
                Some(value) => same.env(name, value),
                None => same.env_remove(name),
            }
        }
        same.env_remove("NO_COLOR");
        same
    }

    pub(crate) fn call(&self, args: &[&str]) -> Said {
        Said(self.command(args).output().expect("the program starts"))
    }

    /// Calls the program with a further environment variable.
    pub(crate) fn call_with(&self, variable: &str, value: impl AsRef<OsStr>, args: &[&str]) -> Said {
        Said(self.command(args).env(variable, value).output().expect("the program starts"))
    }

    /// Calls the program as on another machine, with a separate state folder.
    pub(crate) fn call_elsewhere(&self, args: &[&str]) -> Said {
        self.call_with("CUELIGHT_STATE_DIR", self.home().join("elsewhere"), args)
    }

    /// Runs and trusts the workflow.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.call(&[&["run", "--trust"], args].concat())
    }

    /// Returns the run from `show --json`.
    pub(crate) fn show(&self) -> Value {
        let said = self.call(&["show", "--json"]);
        serde_json::from_str(&said.out()).unwrap_or_else(|error| panic!("{error}: {}", said.text()))
    }

    /// Returns a job from `show --json`.
    pub(crate) fn job(&self, id: &str) -> Value {
        let run = self.show();
        let jobs = run["jobs"].as_array().expect("jobs");
        jobs.iter().find(|job| job["id"] == id).unwrap_or_else(|| panic!("no job {id} in {run}")).clone()
    }

    /// Writes the user's configuration.
    pub(crate) fn configure(&self, text: &str) -> PathBuf {
        let file = self.folder.path().join("config/cuelight/config.toml");
        fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        fs::write(&file, text).expect("written");
        file
    }

    /// Returns the id of the only run.
    pub(crate) fn run_id(&self) -> String {
        self.run_folder().file_name().expect("a name").to_string_lossy().into_owned()
    }

    /// Returns the folder of the only run.
    pub(crate) fn run_folder(&self) -> PathBuf {
        let mut folders = fs::read_dir(self.state().join("runs")).expect("runs").flatten().map(|entry| entry.path());
        let folder = folders.next().expect("a run");
        assert_eq!(folders.next(), None, "one run");
        folder
    }

    /// Returns all bytes that runs wrote to disk, except workspaces.
    pub(crate) fn everything_written(&self) -> Vec<u8> {
        fn gather(folder: &Path, all: &mut Vec<u8>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() && path.file_name().is_some_and(|name| name != "work") {
                    gather(&path, all);
                } else if path.is_file() {
                    all.extend(fs::read(&path).unwrap_or_default());
                }
            }
        }
        let mut all = Vec::new();
        gather(&self.state(), &mut all);
        all
    }
}

/// Output of the program.
pub(crate) struct Said(pub(crate) Output);

impl Said {
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.out(), String::from_utf8_lossy(&self.0.stderr))
    }

    /// Asserts the exit code, and that the output contains all the texts.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, words: &[&str]) -> &Self {
        let text = self.text();
        assert_eq!(self.code(), code, "{text}");
        for word in words {
            assert!(text.contains(word), "`{word}` is not in:\n{text}");
        }
        self
    }
}

/// Runs git in a folder. Returns its output.
#[track_caller]
pub(crate) fn git(folder: &Path, args: &[&str]) -> String {
    let done = Command::new("git").arg("-C").arg(folder).args(args).output().expect("git starts");
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

/// Writes a script that can be executed, and makes its folder.
#[track_caller]
pub(crate) fn write_program(path: &Path, script: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(path, script).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("made executable");
}

/// Copies the content of a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("there").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Returns a port that is free on this machine, for a container to publish, and for names that no other test has. It is
/// below the ports that the system chooses for clients and servers, so that nothing takes it before the container does.
/// No test of this process gets one of the three ports after it.
pub(crate) fn port_to_publish() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Another process of tests begins elsewhere.
        let next = std::process::id().wrapping_mul(4).wrapping_add(NEXT.fetch_add(4, Ordering::Relaxed));
        let port = u16::try_from(FIRST + next % COUNT).expect("a port");
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until a condition is true.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut fact: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = fact() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(10));
    }
}
