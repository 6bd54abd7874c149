//! Every attempt of a run uses the user's files as they are then, and records them.

use std::fs;

use crate::held::wait_held;
use crate::project::{Project, git, until};

/// A job that fails unless `value` is good, and one that does not depend on it.
const JOBS: &str = "  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: 'grep good value; test $GITHUB_SHA = $(git rev-parse HEAD)'
  b:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: cat value
";

fn project(jobs: &str) -> Project {
    let project = Project::of_jobs(jobs);
    project.write("value", "bad");
    project.commit();
    project
}

fn head(project: &Project) -> String {
    git(&project.root(), &["rev-parse", "HEAD"]).trim()[..7].to_owned()
}

/// Asserts the mark of the run: on all pages that show it.
#[track_caller]
fn is_marked(project: &Project, mark: &str) {
    let said = project.call(&["show"]);
    assert!(said.out().contains(&format!("· {mark} ·")), "{mark} is not in:\n{}", said.out());
    let said = project.call(&["runs"]);
    assert!(said.out().contains(&format!("{mark} ")), "{mark} is not in:\n{}", said.out());
}

#[test]
fn another_attempt_uses_the_files_as_they_are_then_and_says_so() {
    let project = project(JOBS);
    let first = head(&project);
    project.run(&[]).expect(1, &[&format!("on push, main@{first}) run ")]);
    is_marked(&project, &format!("main@{first}"));

    // Without a commit.
    project.write("value", "good");
    project.write("new", "");
    project.call(&["rerun", "--trust", "--failed"]).expect(0, &[&format!("attempt 2 with main@{first}+2")]);
    is_marked(&project, &format!("main@{first}+2"));
    project.call(&["show"]).expect(0, &[&format!("attempt 1 ran main@{first}"), "not committed: 2 files", "  value"]);
    project.call(&["show", "--diff"]).expect(0, &["-bad", "+good"]);
    let run = project.show();
    assert_eq!((run["changed"].clone(), run["dirty"].clone()), (2.into(), serde_json::json!(["new", "value"])));
    let changed = |attempt: usize| run["attempts"][attempt]["changed"].clone();
    assert_eq!((changed(0), changed(1)), (0.into(), 2.into()), "{run}");

    let first_attempt = project.call(&["show", "--attempt", "1", "--diff"]);
    first_attempt.expect(0, &["ran exactly what is in its commit"]);
    project.call(&["show", "--attempt", "1"]).expect(0, &[&format!("· main@{first} · attempt 1"), "failure"]);
    project.call(&["show", "--attempt", "2", "--diff"]).expect(0, &["+good"]);
    project.call(&["show", "--attempt", "3"]).expect(3, &["has no attempt 3"]);
    assert_eq!(project.call(&["show", "--json"]).out().lines().count(), 1, "one object, one line");

    // With a commit, whose files the kept job has not used.
    project.commit();
    let second = head(&project);
    let said = project.call_with("CUELIGHT_LINEAR", "1", &["rerun", "--trust", "--job", "a"]);
    said.expect(0, &[&format!("attempt 3 with main@{second}+2")]);
    is_marked(&project, &format!("main@{second}+2"));

    // Every job uses the commit.
    project.call(&["rerun", "--trust"]).expect(0, &[&format!("attempt 4 with main@{second})")]);
    is_marked(&project, &format!("main@{second}"));
    project.call(&["show", "--diff"]).expect(0, &["ran exactly what is in its commit"]);
    project.call(&["runs", "--commit", &second]).expect(0, &[&format!("main@{second}")]);

    // On another branch.
    project.git(&["checkout", "--quiet", "-b", "side"]);
    project.write("value", "bad");
    project.commit();
    project.call(&["rerun", "--trust"]).expect(1, &[]);
    is_marked(&project, &format!("side@{}", head(&project)));
    project.call(&["runs", "--branch", "side"]).expect(0, &[&format!("side@{}", head(&project))]);
}

#[test]
fn a_job_that_continues_from_a_step_is_marked_by_the_files_that_it_keeps() {
    let project = project(
        "  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - {name: Gate, run: 'grep good value; test -e $MARK'}
",
    );
    let mark = project.home().join("mark");
    project.write("value", "good");
    project.call_with("MARK", &mark, &["run", "--trust"]).expect(1, &[]);
    fs::write(&mark, "").expect("written");
    project.write("value", "bad");
    let again = project.call_with("MARK", &mark, &["rerun", "--trust", "--job", "a", "--from-step", "Gate"]);
    again.expect(0, &["good", "not used: 1 file that changed since (value); `cuelight rerun "]);
    is_marked(&project, &format!("main@{}+1", head(&project)));
}

#[test]
fn current_files_count_only_once_a_job_copies_them() {
    let project = project(
        "  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - {name: Gate, run: 'test -e $MARK'}
      - run: 'grep good value; test $GITHUB_SHA = $(git rev-parse HEAD)'
  b:
    runs-on: ubuntu-latest
    needs: a
    steps:
      - uses: actions/checkout@v4
      - run: cat value new
",
    );
    let (first, mark) = (head(&project), project.home().join("mark"));
    let marked = |args: &[&str]| project.call_with("MARK", &mark, args);
    project.write("value", "good");
    marked(&["run", "--trust"]).expect(1, &[]);
    project.write("value", "worse");
    project.write("new", "");
    project.commit();
    let again = ["rerun", "--trust", "--job", "a", "--from-step", "Gate"];
    marked(&again).expect(1, &[&format!("attempt 2 with main@{first}+1")]);
    is_marked(&project, &format!("main@{first}+1"));
    project.call(&["show", "--diff"]).expect(0, &["-bad", "+good"]);

    // The second job copies the current files.
    fs::write(&mark, "").expect("written");
    marked(&again).expect(0, &[&format!("attempt 3 with main@{first}+1"), "worse"]);
    is_marked(&project, &format!("main@{first}+2"));
    project.call(&["show"]).expect(0, &[&format!("attempt 2 ran main@{first}+1"), "  new", "  value"]);
}

#[test]
fn files_that_are_edited_between_two_jobs_mark_the_attempt() {
    let project = project(
        "  a:
    runs-on: ubuntu-latest
    steps:
      - run: 'until test -e $MARKS/first; do sleep 0.05; done'
      - uses: actions/checkout@v4
      - run: 'until test -e $MARKS/second; do sleep 0.05; done'
  b:
    runs-on: ubuntu-latest
    needs: a
    steps:
      - uses: actions/checkout@v4
      - run: cat value
",
    );
    let marks = project.home().join("marks");
    fs::create_dir(&marks).expect("made");
    project.call_with("MARKS", &marks, &["run", "--trust", "--detach"]).expect(0, &[]);
    is_marked(&project, &format!("main@{}", head(&project)));
    project.write("value", "one");
    fs::write(marks.join("first"), "").expect("written");
    until("the copied change is recorded", || (project.show()["changed"] == 1).then_some(()));
    assert_eq!(project.show()["attempts"][0]["edited"], false);
    let since = "1 file changed since the run began";
    project.call(&["logs", "--job", "a"]).expect(0, &[since]);
    project.write("value", "two");
    fs::write(marks.join("second"), "").expect("written");
    let edited = "edited during the attempt: not all of its jobs copied the same files";
    project.call(&["attach"]).expect(0, &[&format!("main@{}+1: {edited}", head(&project))]);
    project.call(&["attach", "--linear"]).expect(0, &[edited]);
    project.call(&["logs", "--job", "b"]).expect(0, &[since]);
    is_marked(&project, &format!("main@{}+1", head(&project)));
    project.call(&["show"]).expect(0, &[edited]);
    project.call(&["show", "--diff"]).expect(0, &["+two"]);
}

#[test]
fn a_sync_into_a_held_job_marks_the_run() {
    let project = project(JOBS);
    project.run(&["--on-failure", "hold", "--detach"]).expect(0, &[]);
    wait_held(&project);
    let head = head(&project);
    is_marked(&project, &format!("main@{head}"));
    project.call(&["held", "sync"]).expect(0, &["has all your changes"]);
    is_marked(&project, &format!("main@{head}"));
    project.write("value", "good");
    project.call(&["held", "retry", "--sync"]).expect(0, &["runs again"]);
    let end = format!("main@{head}+1: some files were changed after the run had started");
    project.call(&["attach"]).expect(0, &["bring changed files into a: accepted", &end]);
    is_marked(&project, &format!("main@{head}+1"));
    project.call(&["show", "--diff"]).expect(0, &["-bad", "+good"]);
}

/// An environment that takes only commits of a branch.
const SETTINGS: &str = "[environments.staging]
on = 'push:main'
strategy = 'rolling'
[environments.staging.target]
start = './start'
stop = './stop'
healthy = 'true'
replicas = 2
";

/// Starts a run whose first job is held, and brings a change into the job that the user undoes afterwards.
fn with_undone_sync(jobs: &str) -> Project {
    let project = project(jobs);
    project.write(".cuelight.toml", SETTINGS);
    project.commit();
    project.run(&["--on-failure", "hold", "--detach"]).expect(0, &[]);
    wait_held(&project);
    project.write("value", "good");
    project.call(&["held", "sync"]).expect(0, &["changed  value"]);
    project.write("value", "bad");
    project
}

#[test]
fn a_job_does_not_deploy_what_a_sync_brought_into_a_job_before_it() {
    let project = with_undone_sync(
        "  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: grep good value
  deploy:
    needs: build
    runs-on: ubuntu-latest
    environment: staging
    steps: [{run: echo deployed}]
",
    );
    let refused = "only a commit may be deployed to staging, and `value` has changed since";
    project.call(&["held", "retry"]).expect(0, &["runs again"]);
    project.call(&["attach"]).expect(1, &[refused]);
    // The next attempt keeps the job that used the change.
    project.call(&["rerun", "--trust", "--failed"]).expect(1, &[refused]);
    is_marked(&project, &format!("main@{}+1", head(&project)));
}

#[test]
fn changes_that_are_gone_stay_on_record_because_steps_ran_with_them() {
    let project = with_undone_sync(JOBS);
    let head = head(&project);
    project.call(&["show", "--diff"]).expect(0, &["+good"]);
    project.call(&["held", "sync"]).expect(0, &["changed  value"]);
    is_marked(&project, &format!("main@{head}+1"));
    project.call(&["show", "--diff"]).expect(0, &["+good"]);
    project.call(&["cancel"]).expect(0, &[]);
    project.call(&["attach"]).expect(130, &["cancelled"]);
}

#[test]
fn an_attempt_whose_files_cannot_be_read_does_not_pass_for_an_earlier_commit() {
    let project = project(JOBS);
    project.run(&[]).expect(1, &[]);
    let index = project.root().join(".git/index");
    let whole = fs::read(&index).expect("read");
    project.write("value", "good");
    fs::write(&index, "no index").expect("written");
    let said = project.call(&["rerun", "--trust"]);
    assert_ne!(said.code(), 0, "{}", said.text());
    assert!(said.text().contains("the files that this attempt would use cannot be read"), "{}", said.text());
    fs::write(&index, whole).expect("written");
    project.call(&["rerun", "--trust"]).expect(0, &["attempt 3 with main@"]);
    is_marked(&project, &format!("main@{}+1", head(&project)));
}
