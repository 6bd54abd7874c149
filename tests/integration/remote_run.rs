//! `run --remote`: the working tree on a server. A repository on this machine takes the place of the server's
//! repository.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::json;

use crate::project::{git, until};
use crate::servers::{REPOSITORY, Said, Watching};

/// A checkout of the fake server's repository with uncommitted changes, and the repository to which it pushes.
struct Checkout {
    watching: Watching,
    server: PathBuf,
}

impl Checkout {
    fn new() -> Option<Self> {
        let watching = Watching::new("ci-green")?;
        let project = &watching.project;
        let steps = "jobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}\n";
        project.write(".github/workflows/rollback.yml", &format!("on: workflow_dispatch\n{steps}"));
        project.write(".github/workflows/nightly.yml", &format!("on: {{schedule: [{{cron: '0 3 * * *'}}]}}\n{steps}"));
        project.commit();
        let server = project.home().join("server.git");
        git(&project.home(), &["init", "--quiet", "--bare", "server.git"]);
        project.git(&["remote", "add", "origin", &format!("https://github.com/{REPOSITORY}")]);
        project.git(&["remote", "set-url", "--push", "origin", server.to_str().expect("text")]);
        project.call(&["trust"]).expect(0, &["is trusted"]);
        project.write("new.txt", "new\n");
        project.write(".secrets", "TOKEN=x\n");
        Some(Self { watching, server })
    }

    fn start(&self, args: &[&str]) -> Child {
        self.start_as("ghp_full", args)
    }

    fn start_as(&self, token: &str, args: &[&str]) -> Child {
        let args = [&["run", "--remote"], args].concat();
        let mut command = self.watching.command(token, &args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
    }

    /// Returns the branches on the server, each with its commit.
    fn branches(&self) -> Vec<(String, String)> {
        let refs = git(&self.server, &["for-each-ref", "--format=%(refname:lstrip=2) %(objectname)"]);
        refs.lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, sha)| (name.to_owned(), sha.to_owned()))
            .collect()
    }

    /// Waits for the branch of a run, and announces it to the fake server, as a push does on GitHub. Returns its name
    /// and its commit.
    fn pushed(&self) -> (String, String) {
        let (name, sha) = until("the branch", || self.branches().pop());
        let push = json!({"do": "push", "branch": name, "sha": sha, "message": "The working tree"});
        self.watching.fake.control("/_fake/do", push);
        (name, sha)
    }

    /// Moves the server's clock until a command has ended.
    fn end(&self, mut child: Child) -> Said {
        until("its end", || {
            self.watching.fake.advance(5);
            child.try_wait().expect("known")
        });
        child.wait_with_output().expect("ends").into()
    }

    /// Returns the state that a run must not change: branch, index, stash and files.
    fn state(&self) -> String {
        let root = self.watching.project.root();
        let of = |args: &[&str]| git(&root, args);
        let refs = of(&["for-each-ref"]);
        [refs, of(&["rev-parse", "HEAD"]), of(&["status", "--porcelain=v1", "-uall"]), of(&["stash", "list"])]
            .join("\n")
    }
}

#[test]
fn the_working_tree_runs_on_the_server_and_nothing_is_left_of_it() {
    let Some(checkout) = Checkout::new() else { return };
    let before = checkout.state();
    let child = checkout.start(&["ci"]);
    let (name, sha) = checkout.pushed();
    let files = git(&checkout.server, &["ls-tree", "-r", "--name-only", &sha]);
    assert!(files.contains("new.txt") && !files.contains(".secrets"), "{files}");
    assert!(name.starts_with("cuelight/"), "{name}");
    let said = checkout.end(child);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.error);
    assert!(said.error.contains(&format!("Started ci on {name} with 1 changed file: {REPOSITORY}")), "{}", said.error);
    assert!(said.out.contains("✓ success in"), "{}", said.out);
    assert_eq!((checkout.branches(), checkout.state()), (Vec::new(), before));
    assert!(!checkout.watching.cuelight(&["doctor"]).out.contains("left on a server"));
    checkout.watching.check_stats();
}

#[test]
fn a_workflow_is_dispatched_on_the_branch_and_cancelled_when_a_job_fails() {
    let Some(checkout) = Checkout::new() else { return };
    let child = checkout.start(&["rollback", "--fail-fast", "--input", "environment=staging", "--input", "version=v1"]);
    let (name, sha) = checkout.pushed();
    let message = git(&checkout.server, &["log", "-1", "--format=%B", &sha]);
    assert!(message.contains("[skip ci]"), "the push starts nothing else: {message}");
    let runs = format!("/repos/{REPOSITORY}/actions/runs?branch={}&event=workflow_dispatch", name.replace('/', "%2F"));
    let run = until("the run", || {
        checkout.watching.fake.advance(1);
        let run = checkout.watching.fake.value(&runs)["workflow_runs"][0].clone();
        (run["status"] == "in_progress").then_some(run)
    });
    checkout.watching.fake.advance(3);
    checkout.watching.fake.control("/_fake/do", json!({"do": "finish", "run": run["id"], "conclusion": "failure"}));
    let said = checkout.end(child);
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.error);
    assert_eq!(checkout.branches(), Vec::new());
}

#[test]
fn what_is_not_run_leaves_nothing_on_the_server() {
    let Some(checkout) = Checkout::new() else { return };
    let said = |args: &[&str]| checkout.watching.cuelight(&[&["run", "--remote"], args].concat());
    for (args, code, message) in [
        (&["nightly"][..], 4, "nightly.yml has neither `workflow_dispatch` nor `push`"),
        (&["nothing"], 3, "nothing"),
        (&["ci", "--input", "x=y"], 2, "ci.yml has no `workflow_dispatch` among its events"),
        (&["ci", "--job", "a"], 2, "cannot be used with"),
        (&[], 2, "missing `<WORKFLOW>`"),
    ] {
        let said = said(args);
        assert_eq!(said.code, Some(code), "{args:?}: {}", said.error);
        assert!(said.error.contains(message), "{args:?}: {}", said.error);
    }
    // If the server refuses the workflow after the push, the branch is removed again.
    let inputs = ["rollback", "--input", "environment=staging", "--input", "version=v1"];
    let child = checkout.start_as("github_pat_read", &inputs);
    checkout.pushed();
    let read_only = checkout.end(child);
    assert_eq!(read_only.code, Some(4), "{}", read_only.error);
    assert_eq!(checkout.branches(), Vec::new());
    let push_to = |to: &str| checkout.watching.project.git(&["remote", "set-url", "--push", "origin", to]);
    push_to("/does/not/exist");
    let unreachable = said(&["ci"]);
    assert_eq!(unreachable.code, Some(4), "{}", unreachable.error);
    assert!(unreachable.error.contains("/does/not/exist"), "{}", unreachable.error);
    // It is not known whether the push arrived, so `doctor` reports the branch, and the next run checks it.
    assert!(checkout.watching.cuelight(&["doctor"]).out.contains("may be left on a server"));
    push_to(checkout.server.to_str().expect("text"));
    let again = said(&["nightly"]);
    assert!(again.error.contains(", which an earlier run had left behind"), "{}", again.error);
    assert_eq!(checkout.branches(), Vec::new());
    checkout.watching.project.call(&["trust", "--revoke"]).expect(0, &[]);
    let untrusted = said(&["ci"]);
    assert_eq!(untrusted.code, Some(4), "{}", untrusted.error);
    assert!(untrusted.error.contains("cuelight trust"), "{}", untrusted.error);
    assert!(!checkout.watching.cuelight(&["doctor"]).out.contains("left on a server"));
}

#[test]
fn the_branch_of_a_killed_process_is_named_and_removed_by_the_next() {
    let Some(checkout) = Checkout::new() else { return };
    let mut child = checkout.start(&["rollback"]);
    let (name, _) = until("the branch", || checkout.branches().pop());
    // A running run still needs its branch.
    assert!(!checkout.watching.cuelight(&["doctor"]).out.contains("left on a server"));
    child.kill().expect("killed");
    child.wait().expect("ended");
    let doctor = checkout.watching.cuelight(&["doctor"]);
    assert!(doctor.out.contains(&format!("may be left on a server: {name} at {REPOSITORY} (of ")), "{}", doctor.out);
    let next = checkout.watching.cuelight(&["run", "--remote", "nightly"]);
    assert!(
        next.error
            .contains(&format!("removed the branch {name} of {REPOSITORY}, which an earlier run had left behind")),
        "{}",
        next.error
    );
    assert_eq!(checkout.branches(), Vec::new());
    assert!(!checkout.watching.cuelight(&["doctor"]).out.contains("left on a server"));
}
