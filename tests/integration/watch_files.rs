//! `run --watch`: runs again when files change, until Ctrl-C.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::project::{Project, until};
use crate::screen::Terminal;

const WAITING: &str = "Waiting for a change of files; Ctrl-C ends.";

/// `cuelight run --watch` and the lines that it prints.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(project: &Project, args: &[&str]) -> Self {
        let mut command = project.command(&[&["run", "--watch", "--trust"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let (sender, lines) = channel();
        let out = child.stdout.take().expect("a pipe");
        let errors = child.stderr.take().expect("a pipe");
        let send = |stream: Box<dyn Read + Send>, sender: std::sync::mpsc::Sender<String>| {
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        };
        send(Box::new(out), sender.clone());
        send(Box::new(errors), sender);
        Self { child, lines }
    }

    /// Returns the lines up to the first one with this text.
    #[track_caller]
    fn until(&self, text: &str) -> String {
        let mut all = String::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_mins(1)).unwrap_or_else(|_| panic!("no `{text}`: {all}"));
            all.push_str(&line);
            all.push('\n');
            if line.contains(text) {
                return all;
            }
        }
    }

    /// Sends Ctrl-C, and returns the exit code.
    fn interrupt(&mut self) -> Option<i32> {
        self.end(Signal::INT)
    }

    fn end(&mut self, signal: Signal) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("sent");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_change_of_files_runs_what_a_push_of_it_would_run() {
    let of = |name: &str| {
        format!(
            "on: {{push: {{paths: [{name}]}}}}\njobs: {{{name}: {{runs-on: ubuntu-latest, steps: [{{uses: actions/checkout@v4}}, {{run: cat {name}}}]}}}}\n"
        )
    };
    let project = Project::new(&of("one"));
    project.write(".github/workflows/other.yml", &of("other"));
    project.write("one", "first\n");
    project.write("other", "x\n");
    let mut watch = Watch::start(&project, &[]);
    watch.until(WAITING);
    project.write("one", "second\n");
    let shown = watch.until(WAITING);
    assert!(shown.contains("one changed: .github/workflows/ci.yml runs") && shown.contains("second"), "{shown}");
    assert!(!shown.contains("other.yml runs"), "{shown}");
    project.write("README", "x");
    let shown = watch.until(WAITING);
    assert!(shown.contains("README changed: none of 2 workflows runs"), "{shown}");
    // An error in a workflow is printed, and files are still watched.
    project.write(".github/workflows/other.yml", "jobs: [");
    let shown = watch.until(WAITING);
    assert!(shown.contains("other.yml, line "), "{shown}");
    assert_eq!(watch.interrupt(), Some(130));
}

#[test]
fn a_change_during_a_run_replaces_it() {
    let project = Project::of_jobs(
        "  a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout@v4}, {run: 'cat word; test $(cat word) = end || sleep 1000'}]}\n",
    );
    project.write("word", "begin\n");
    let mut watch = Watch::start(&project, &["ci"]);
    watch.until("begin");
    project.write("word", "end\n");
    let shown = watch.until(WAITING);
    assert!(shown.contains("word changed: ") && shown.contains("cancelled") && shown.contains("│   end"), "{shown}");
    assert_eq!(watch.interrupt(), Some(130));
}

#[test]
fn a_workflow_without_push_is_run_again_with_its_event() {
    let project = Project::new(
        "on: workflow_dispatch\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'echo on ${{ github.event_name }}'}]}}\n",
    );
    project.write("file", "x");
    let mut watch = Watch::start(&project, &["ci"]);
    let shown = watch.until(WAITING);
    assert!(shown.contains("using its event `workflow_dispatch`") && shown.contains("on workflow_dispatch"), "{shown}");
    project.write("file", "y");
    let shown = watch.until(WAITING);
    assert!(
        shown.contains("file changed: .github/workflows/ci.yml runs") && shown.contains("on workflow_dispatch"),
        "{shown}"
    );
    assert_eq!(watch.interrupt(), Some(130));
}

#[test]
fn ctrl_c_ends_the_command_although_the_run_is_being_replaced() {
    // The step does not end at once, so that Ctrl-C comes before the next run.
    let project = Project::of_jobs(
        "  a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout@v4}, {run: \"trap '' INT; cat word; sleep 1000\"}]}\n",
    );
    project.write("word", "begin\n");
    let mut watch = Watch::start(&project, &["ci"]);
    watch.until("begin");
    project.write("word", "end\n");
    watch.until("word changed: ");
    assert_eq!(watch.interrupt(), Some(130));
    // Only one run has a folder.
    project.run_folder();
}

#[test]
fn ctrl_c_ends_the_command_at_the_trust_question() {
    let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: echo one}]}\n");
    let mut terminal = Terminal::start(project.in_terminal(&["run", "--watch"]), 24, 80);
    until("the question", || terminal.shows("Trust this repository?").then_some(()));
    terminal.press("\x03");
    assert_eq!(terminal.exit_code(), 130);
}

#[test]
fn a_workflow_that_does_not_exist_is_named_once_however_many_files_change() {
    let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: echo one}]}\n");
    let file = ".github/workflows/ci.yml";
    let text = fs::read_to_string(project.root().join(file)).expect("a workflow");
    let mut watch = Watch::start(&project, &["ci"]);
    watch.until(WAITING);
    fs::remove_file(project.root().join(file)).expect("removed");
    let shown = watch.until(WAITING);
    assert!(shown.contains("ci.yml does not exist"), "{shown}");
    for name in ["first", "second"] {
        project.write(name, "x");
        // So that it is a change of its own.
        std::thread::sleep(Duration::from_secs(1));
    }
    project.write(file, &text);
    let shown = watch.until(WAITING);
    assert!(shown.contains("ci.yml runs") && !shown.contains("does not exist"), "{shown}");
    // After a run, it is news again.
    fs::remove_file(project.root().join(file)).expect("removed");
    assert!(watch.until(WAITING).contains("ci.yml does not exist"));
    assert_eq!(watch.interrupt(), Some(130));
}

#[test]
fn a_closed_output_ends_the_command() {
    let project =
        Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: echo one}, {run: sleep 1; echo two}]}\n");
    let mut command = project.command(&["run", "--watch", "--trust"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.read_line(&mut String::new()).expect("a line");
    drop(out);
    let ended = until("its end", || child.try_wait().expect("a child"));
    let mut errors = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("text");
    assert_eq!((ended.code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn another_event_than_push_decides_about_every_change() {
    let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: echo on a push}]}\n");
    let of_request =
        "on: pull_request\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'echo on ${{ github.event_name }}'}]}}\n";
    project.write(".github/workflows/pr.yml", of_request);
    project.commit();
    project.write("file", "x");
    let mut watch = Watch::start(&project, &["--event", "pull_request"]);
    assert!(watch.until(WAITING).contains("on pull_request"));
    project.write("file", "y");
    let shown = watch.until(WAITING);
    assert!(shown.contains("file changed: .github/workflows/pr.yml runs"), "{shown}");
    assert!(shown.contains("on pull_request") && !shown.contains("error"), "{shown}");
    // A workflow that is added counts from then on.
    project.write(".github/workflows/too.yml", of_request);
    let shown = watch.until(WAITING);
    let both = ".github/workflows/too.yml changed: .github/workflows/pr.yml, .github/workflows/too.yml run";
    assert!(shown.contains(both), "{shown}");
    assert_eq!(watch.interrupt(), Some(130));
}

#[test]
fn a_run_that_is_cancelled_elsewhere_does_not_end_the_command() {
    let project = Project::of_jobs(
        "  a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout@v4}, {run: 'cat word; test $(cat word) = end || sleep 1000'}]}\n",
    );
    project.write("word", "begin\n");
    let mut watch = Watch::start(&project, &[]);
    watch.until("begin");
    project.call(&["cancel", &project.run_id()]).expect(0, &[]);
    watch.until(WAITING);
    project.write("word", "end\n");
    watch.until(WAITING);
    let runs = fs::read_dir(project.state().join("runs")).expect("runs").count();
    assert_eq!((runs, watch.end(Signal::QUIT)), (2, Some(130)), "Ctrl-\\ ends it, too");
}
