//! Concurrency groups: runs and jobs of this machine take turns, with real workers.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::project::{Project, until};
use crate::survival::{kill, worker_of};

/// A repository whose runs wait for a file in the folder `$DOOR`.
struct Door {
    project: Project,
    door: tempfile::TempDir,
}

impl Door {
    fn new(workflow: &str) -> Self {
        Self { project: Project::new(workflow), door: tempfile::tempdir().expect("a folder") }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.env("DOOR", self.door.path());
        command
    }

    /// Starts a run and returns its id.
    fn start(&self, args: &[&str]) -> String {
        let said = self.command(&[&["run", "ci", "--trust", "--detach"], args].concat()).output().expect("starts");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    }

    fn show(&self, run: &str) -> Value {
        let said = self.command(&["show", run, "--json"]).output().expect("starts");
        serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until a run has this status, and returns it.
    fn until(&self, run: &str, status: &str) -> Value {
        until(&format!("{run} is {status}: {}", self.show(run)), || {
            let shown = self.show(run);
            (shown["status"] == status).then_some(shown)
        })
    }

    /// Waits until the job of a run waits for its file.
    fn until_inside(&self, run: &str) {
        let inside = self.door.path().join(format!("in-{run}"));
        until(&format!("{run} runs"), || inside.exists().then_some(()));
    }

    fn open(&self) {
        fs::write(self.door.path().join("open"), "").expect("written");
    }

    /// Returns the lines that the jobs wrote, in order.
    fn log(&self) -> String {
        fs::read_to_string(self.door.path().join("log")).unwrap_or_default()
    }
}

fn reason(shown: &Value) -> String {
    shown["reason"].as_str().unwrap_or_default().to_owned()
}

/// Script of a job that waits for a file, and logs when it starts and ends.
const WAIT: &str = r#"run=$(basename "$(realpath "$RUNNER_TEMP/../../..")"); echo in >> "$DOOR/log"; touch "$DOOR/in-$run"; while [ ! -e "$DOOR/open" ]; do sleep 0.02; done; echo out >> "$DOOR/log""#;

fn workflow(concurrency: &str) -> String {
    format!(
        "on: push\nconcurrency: {concurrency}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          {WAIT}\n"
    )
}

#[test]
fn one_run_of_a_group_runs_and_a_newer_one_replaces_the_waiting_one() {
    let door = Door::new(&workflow("deploy-${{ github.ref_name }}"));
    let first = door.start(&[]);
    door.until_inside(&first);
    let second = door.start(&[]);
    let waiting = door.until(&second, "pending");
    assert_eq!(reason(&waiting), format!("another run holds the group deploy-main: {first}"));
    let third = door.start(&[]);
    let gone = door.until(&second, "cancelled");
    assert_eq!(reason(&gone), format!("the group deploy-main was given to {third}"));
    door.until(&third, "pending");
    door.project.call(&["runs"]).expect(0, &["another run holds the group deploy-main"]);
    door.open();
    door.until(&first, "success");
    door.until(&third, "success");
    assert_eq!(door.log(), "in\nout\nin\nout\n", "never two at a time");
}

#[test]
fn files_that_change_while_a_run_waits_count_for_it() {
    let door = Door::new(&workflow("x"));
    let first = door.start(&[]);
    door.until_inside(&first);
    let second = door.start(&[]);
    door.until(&second, "pending");
    door.project.write("new", "");
    door.open();
    door.until(&first, "success");
    let waited = door.until(&second, "success");
    assert_eq!((&door.show(&first)["changed"], &waited["dirty"]), (&Value::from(0), &serde_json::json!(["new"])));
}

#[test]
fn cancel_in_progress_cancels_the_running_one() {
    let door = Door::new(&workflow("{group: x, cancel-in-progress: \"${{ github.ref == 'refs/heads/main' }}\"}"));
    let first = door.start(&[]);
    door.until_inside(&first);
    let second = door.start(&[]);
    let gone = door.until(&first, "cancelled");
    assert_eq!(reason(&gone), format!("the group x was given to {second}"));
    door.until_inside(&second);
    door.open();
    door.until(&second, "success");
}

#[test]
fn worktrees_share_a_group_and_clones_do_not() {
    let door = Door::new(&workflow("{group: g, cancel-in-progress: true}"));
    let origin = "https://github.com/octo/app.git";
    door.project.git(&["remote", "add", "origin", origin]);
    door.project.git(&["worktree", "add", "--quiet", "-b", "side", "../side"]);
    let copy = door.project.home().join("copy");
    door.project.git(&["clone", "--quiet", ".", copy.to_str().expect("text")]);
    door.project.git(&["-C", "../copy", "remote", "set-url", "origin", origin]);
    let start_in = |folder: &str| {
        let mut command = door.command(&["run", "ci", "--trust", "--detach"]);
        let said = command.current_dir(door.project.home().join(folder)).output().expect("starts");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    };
    let first = door.start(&[]);
    door.until_inside(&first);
    let other = start_in("copy");
    door.until_inside(&other);
    assert_eq!(door.show(&first)["status"], "in_progress");
    let tree = start_in("side");
    door.until(&first, "cancelled");
    door.until_inside(&tree);
    assert_eq!(door.show(&other)["status"], "in_progress");
    door.open();
    for run in [&other, &tree] {
        door.until(run, "success");
    }
}

#[test]
fn a_killed_worker_releases_its_group_after_its_processes_are_killed() {
    let door = Door::new(&workflow("x"));
    let first = door.start(&[]);
    door.until_inside(&first);
    let second = door.start(&[]);
    door.until(&second, "pending");
    kill(worker_of(&first));
    door.until_inside(&second);
    let lost = door.until(&first, "failure");
    assert_eq!(reason(&lost), "worker lost");
    door.open();
    door.until(&second, "success");
    assert_eq!(door.log(), "in\nin\nout\n", "the first one's step did not go on");
}

#[test]
fn waiting_runs_can_be_cancelled_and_reruns_wait_too() {
    let door = Door::new(&workflow("x"));
    let first = door.start(&[]);
    door.until_inside(&first);
    let second = door.start(&[]);
    door.until(&second, "pending");
    door.project.call(&["cancel", &second]).expect(0, &[]);
    door.until(&second, "cancelled");
    // The worker of the run may still be ending.
    until("it can run again", || {
        let said = door.command(&["rerun", "--trust", &second, "--detach"]).output().expect("starts");
        said.status.success().then_some(())
    });
    let again = door.until(&second, "pending");
    assert_eq!(again["attempt"], 2);
    door.command(&["cancel", &first]).output().expect("starts");
    door.until(&first, "cancelled");
    door.until_inside(&second);
    door.open();
    door.until(&second, "success");
}

#[test]
fn jobs_of_a_group_take_turns_within_and_across_runs() {
    let door = Door::new(&format!(
        "on: push\njobs:\n  a:\n    concurrency: {{group: x, queue: max}}\n    strategy: {{fail-fast: false, matrix: {{n: [1, 2, 3]}}}}\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          {WAIT}\n  free: {{runs-on: ubuntu-latest, steps: [{{run: echo free}}]}}\n"
    ));
    let first = door.start(&["--max-parallel", "1"]);
    door.until_inside(&first);
    let waiting = until("a leg waits", || {
        let shown = door.show(&first);
        let jobs = shown["jobs"].as_array().cloned().unwrap_or_default();
        jobs.into_iter().find(|job| job["status"] == "pending")
    });
    assert_eq!(reason(&waiting), format!("another run holds the group x: {first} (a.1)"));
    let second = door.start(&["--job", "a"]);
    until("the other run waits", || {
        let jobs = door.show(&second)["jobs"].as_array().cloned().unwrap_or_default();
        (jobs.len() == 3 && jobs.iter().all(|job| job["status"] == "pending")).then_some(())
    });
    door.open();
    door.until(&first, "success");
    door.until(&second, "success");
    assert_eq!(door.log(), "in\nout\n".repeat(6));
}

#[test]
fn legs_of_one_group_displace_each_other_and_a_nested_group_does_not_deadlock() {
    let project = Project::new(
        "on: push\nconcurrency: whole\njobs:\n  a:\n    concurrency: x\n    strategy: {matrix: {n: [1, 2, 3]}}\n    runs-on: ubuntu-latest\n    steps: [{run: sleep 2}]\n  b: {concurrency: WHOLE, runs-on: ubuntu-latest, steps: [{run: echo never}]}\n  c: {needs: a, concurrency: \"${{ vars.nothing }}\", runs-on: ubuntu-latest, steps: [{run: echo}]}\n",
    );
    project.run(&[]);
    let status = |job: &str| project.job(job)["status"].clone();
    assert_eq!((status("a.1"), status("a.2"), status("a.3")), ("success".into(), "cancelled".into(), "success".into()));
    assert_eq!(status("b"), "cancelled");
    assert!(reason(&project.job("b")).contains("wait for itself"), "{}", project.job("b"));
    assert!(reason(&project.job("a.2")).contains("the group x was given to"), "{}", project.job("a.2"));
    let left = fs::read_dir(project.state().join("concurrency")).expect("groups").count();
    assert_eq!(left, 1, "nothing but the lock is left");
}

#[test]
fn a_called_workflow_queues_for_its_own_group() {
    let project = Project::new(
        "on: push\njobs:\n  a: {uses: ./.github/workflows/called.yml, with: {g: x}}\n  b: {uses: ./.github/workflows/called.yml, with: {g: x}}\n",
    );
    project.write(
        ".github/workflows/called.yml",
        "on: {workflow_call: {inputs: {g: {type: string}}}}\nconcurrency: {group: 'called-${{ inputs.g }}', queue: max}\njobs:\n  inner: {runs-on: ubuntu-latest, steps: [{run: 'test ! -e $HOME/.never; sleep 1; date +%s%N'}]}\n",
    );
    project.run(&["ci"]).expect(0, &["pending: another run holds the group called-x: "]);
}
