//! `run --watch`: runs again when files change, until Ctrl-C.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::project::Project;

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
        let send = |stream: Box<dyn std::io::Read + Send>, sender: std::sync::mpsc::Sender<String>| {
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

    fn interrupt(&mut self) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        kill_process(pid, Signal::INT).expect("sent");
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
    // An error in a workflow is told, and files are watched on.
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
    assert!(shown.contains("file changed: ci.yml runs") && shown.contains("on workflow_dispatch"), "{shown}");
    assert_eq!(watch.interrupt(), Some(130));
}
