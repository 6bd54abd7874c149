//! Runs survive the end of their viewers, and runs whose worker died are closed and resumed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::docker::{skip, skip_even_in_ci};
use crate::project::{Project, until};

/// A job with three steps, the second of which waits for a file in the folder `$DOOR`.
const WAITING: &str = r#"
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    outputs: {x: "${{ steps.one.outputs.x }}"}
    steps:
      - {id: one, run: 'echo first; echo x=1 >> $GITHUB_OUTPUT; echo KEPT=yes >> $GITHUB_ENV; echo here > file'}
      - run: |
          echo $$ > "$DOOR/waiting"
          (setsid bash -c 'exec -a "$DOOR/sleeper" sleep 1234' &)
          while [ ! -e "$DOOR/open" ]; do sleep 0.05; done
          echo second $KEPT $(cat file) ${{ steps.one.outputs.x }}
      - run: echo third
  b: {runs-on: ubuntu-latest, needs: a, steps: [{run: 'echo b got ${{ needs.a.outputs.x }}'}]}
"#;

/// A run that ends at once.
const SHORT: &str = "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n";

struct Waiting {
    project: Project,
    door: tempfile::TempDir,
}

impl Waiting {
    fn new() -> Self {
        Self { project: Project::new(WAITING), door: tempfile::tempdir().expect("a folder") }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.env("DOOR", self.door.path());
        command
    }

    fn start(&self) {
        let done = self.command(&["run", "--trust", "--detach"]).output().expect("starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        self.wait_for_step();
    }

    fn wait_for_step(&self) {
        let waiting = self.door.path().join("waiting");
        until("the second step runs", || waiting.exists().then_some(()));
    }

    fn open(&self) {
        fs::write(self.door.path().join("open"), "").expect("written");
    }

    fn worker(&self) -> i32 {
        worker_of(&self.project.run_id())
    }
}

/// Returns the ids of the processes whose command line matches.
pub(crate) fn pids(fits: impl Fn(&str) -> bool) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let command = fs::read(PathBuf::from(format!("/proc/{pid}/cmdline"))).unwrap_or_default();
        fits(&String::from_utf8_lossy(&command).replace('\0', " "))
    })
    .collect()
}

/// Returns the workers of a run, or of all runs below a folder.
pub(crate) fn workers_of(run: &str) -> Vec<i32> {
    pids(|command| command.contains(" worker ") && command.contains(run))
}

/// Returns the worker of a run, which has one.
#[track_caller]
pub(crate) fn worker_of(run: &str) -> i32 {
    // A process that the worker starts has its command line for a moment.
    until("one worker", || match workers_of(run)[..] {
        [worker] => Some(worker),
        _ => None,
    })
}

/// Waits until no process has a command line that matches: a killed process is listed until the kernel has removed it.
#[track_caller]
pub(crate) fn until_none(fits: impl Fn(&str) -> bool) {
    until("no process of it is left", || pids(&fits).is_empty().then_some(()));
}

pub(crate) fn kill(pid: i32) {
    assert!(try_kill(pid));
}

/// Kills a process and waits until it is dead, because it holds its locks until then. Returns whether it was still
/// running.
pub(crate) fn try_kill(pid: i32) -> bool {
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill starts").success();
    let is_dead = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let has_ended = stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with(['Z', 'X']));
        // The first thread may be dead before the others, which share its open files.
        let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        has_ended && threads <= 1
    };
    until("the process is dead", || is_dead().then_some(()));
    killed
}

/// Kills the worker of a run and waits until it is gone. It may end by itself meanwhile. Returns whether a process was
/// killed.
#[track_caller]
pub(crate) fn kill_workers_of(run: &str) -> bool {
    // A process that the worker has just forked has its command line, too, so one of them may be found first.
    let mut killed = false;
    until("the worker is gone", || {
        let workers = workers_of(run);
        for worker in &workers {
            killed |= try_kill(*worker);
        }
        workers.is_empty().then_some(())
    });
    killed
}

/// Sends a signal to a process.
fn signal(name: &str, pid: u32) {
    let done = Command::new("kill").args([name, &pid.to_string()]).status().expect("kill starts");
    assert!(done.success());
}

#[test]
fn killing_the_printer_leaves_the_run_running_and_attach_shows_all() {
    let waiting = Waiting::new();
    let mut printer = waiting.command(&["run", "--trust"]).stdout(Stdio::null()).spawn().expect("starts");
    waiting.wait_for_step();
    printer.kill().expect("killed");
    printer.wait().expect("gone");
    waiting.open();
    waiting.project.call(&["attach"]).expect(0, &["first", "second yes here 1", "third", "b got 1"]);
}

#[test]
fn a_run_with_a_killed_worker_is_closed_and_resumed() {
    let waiting = Waiting::new();
    waiting.start();
    kill(waiting.worker());
    waiting.project.call(&["runs"]).expect(0, &["failure", "worker lost"]);
    let sleeper = waiting.door.path().join("sleeper").display().to_string();
    until_none(|command| command.starts_with(&sleeper));
    let run = waiting.project.show();
    assert_eq!((run["status"].clone(), run["reason"].clone()), ("failure".into(), "worker lost".into()));
    waiting.project.call(&["logs", "--job", "a"]).expect(0, &["first"]);

    waiting.open();
    let said = waiting.command(&["resume", "--trust"]).output().expect("starts");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.status.code(), Some(0), "{text}");
    assert!(text.contains("second yes here 1") && text.contains("third") && text.contains("b got 1"), "{text}");
    let job = waiting.project.job("a");
    assert_eq!(job["steps"][1]["reason"], "done before the worker was lost");
    waiting.project.call(&["logs", "--job", "a"]).expect(0, &["first"]);
    waiting.project.call(&["resume", "--trust"]).expect(4, &["was not interrupted"]);
}

/// In a container that was entered from outside, the session and the process group of the first process have no number.
/// The kernel calls both 0.
#[test]
fn a_run_starts_in_a_container_whose_session_is_outside() {
    let script = "read -r _ _ _ _ group session _ < /proc/self/stat; echo $group $session";
    let inside = |program: &str, args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--pid", "--fork", "--mount-proc", program]).args(args);
        command
    };
    let Ok(numbers) = inside("bash", &["-c", script]).output() else {
        return skip("there is no program `unshare`");
    };
    if !numbers.status.success() {
        // The kernel of CI may refuse it.
        return skip_even_in_ci("`unshare` cannot make a container of processes here");
    }
    assert_eq!(String::from_utf8_lossy(&numbers.stdout), "0 0\n");

    let project = Project::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'sleep 99 & echo hi'}]}}\n");
    let outside = project.command(&["run", "--trust"]);
    let mut command = inside(env!("CARGO_BIN_EXE_cuelight"), &["run", "--trust"]);
    command.current_dir(project.root()).stdin(Stdio::null());
    for (name, value) in outside.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let said = command.output().expect("starts");
    let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert_eq!(said.status.code(), Some(0), "{text}");
    assert!(text.contains("hi") && text.contains("success"), "{text}");
}

#[test]
fn an_unwritable_state_folder_is_reported() {
    let project = Project::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n");
    let file = project.root().join("a-file");
    fs::write(&file, "").expect("written");
    let said =
        project.command(&["run", "--trust"]).env("CUELIGHT_STATE_DIR", file.join("state")).output().expect("starts");
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(5), "{text}");
    assert!(text.contains("cannot") && text.contains("a-file"), "{text}");
}

#[test]
fn a_full_disk_ends_the_run_with_the_reason_and_keeps_its_logs() {
    let project = Project::new(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: echo kept}, {run: 'yes | head -c 200000000'}, {run: echo never}]\n",
    );
    // A limit on file sizes makes writes fail like a full disk.
    let script = format!("ulimit -f 2048; trap '' XFSZ; exec {} run --trust", env!("CARGO_BIN_EXE_cuelight"));
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(project.root()).env("CUELIGHT_STATE_DIR", project.state());
    let said = command.output().expect("starts");
    let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert_eq!(said.status.code(), Some(1), "{text}");
    assert!(text.contains("cannot write") && !text.contains("never\n"), "{text}");
    project.call(&["logs", "--step", "2"]).expect(0, &["kept"]);
}

#[test]
fn an_interrupt_of_attach_leaves_the_run_in_progress_and_one_of_run_cancels_it() {
    let waiting = Waiting::new();
    let mut owner = waiting.command(&["run", "--trust"]);
    let owner = owner.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    waiting.wait_for_step();
    let id = waiting.project.run_id();
    let mut watcher = waiting.command(&["attach"]);
    let mut watcher = watcher.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(watcher.stdout.take().expect("piped")).lines();
    assert!(lines.next().expect("a line").expect("read").contains(&id), "it follows the run");
    signal("-INT", watcher.id());
    let said = watcher.wait_with_output().expect("ends");
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!((said.status.code(), text), (Some(130), format!("still running: cuelight attach {id}\n")));
    assert_eq!(waiting.project.show()["status"], "in_progress");

    signal("-INT", owner.id());
    let said = owner.wait_with_output().expect("ends");
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(text.contains("cancelling") && text.contains(r"Ctrl-\, or `run --detach`"), "{text}");
    assert_eq!((said.status.code(), waiting.project.show()["status"].clone()), (Some(130), "cancelled".into()));
}

#[test]
fn a_quit_signal_leaves_the_run_of_its_own_command_in_progress() {
    let waiting = Waiting::new();
    waiting.project.write(".github/workflows/later.yml", SHORT);
    waiting.project.commit();
    let owner = waiting.command(&["run", "--trust"]).stderr(Stdio::piped()).spawn().expect("starts");
    waiting.wait_for_step();
    signal("-QUIT", owner.id());
    let said = owner.wait_with_output().expect("ends");
    assert!(String::from_utf8_lossy(&said.stderr).contains("still running: cuelight attach "));
    assert_eq!(waiting.project.call(&["runs"]).out().lines().count(), 1, "the next workflow does not start");
    assert_eq!(waiting.project.show()["status"], "in_progress");
    waiting.open();
    waiting.project.call(&["attach"]).expect(0, &["b got 1"]);
}

#[test]
fn the_newest_run_is_that_of_the_repository_unless_all_are_meant() {
    let (one, other) = (Project::new(SHORT), Project::new(SHORT));
    let other_root = one.home().join("other");
    std::fs::rename(other.root(), &other_root).expect("moved");
    let here = |args: &[&str]| {
        let mut command = one.command(args);
        crate::project::Said(command.current_dir(&other_root).output().expect("starts"))
    };
    here(&["show"]).expect(3, &["there is no run of local/other yet; --all"]);
    one.run(&[]).expect(0, &[]);
    let first = one.run_id();
    for command in ["show", "logs", "cancel", "rerun", "shell", "attach", "explain"] {
        here(&[command]).expect(3, &["there is no run of local/other yet; --all"]);
    }
    here(&["show", "--all"]).expect(0, &[&first]);
    here(&["show", &first]).expect(0, &[&first]);
    here(&["run", "--trust"]).expect(0, &[]);
    one.call(&["show"]).expect(0, &[&first]);
    assert!(!one.call(&["show", "--all"]).out().contains(&first), "the newest of the machine");
    assert_eq!(one.call(&["runs"]).out().lines().count(), 1);
    one.call(&["runs", "--all"]).expect(0, &["local/other", "local/repository"]);
    let again = format!("Re-running {first}, attempt 2: .github/workflows/ci.yml of local/repository");
    one.call(&["rerun", "--trust"]).expect(0, &[&again]);
}
