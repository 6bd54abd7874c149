//! Output that a user reads: nothing is misleading, and nothing appears twice.

use crate::project::Project;

/// A matrix that fails for one reason, a matrix that needs another machine, and jobs that do not start.
const LEGS: &str = r"
  test:
    strategy: {fail-fast: false, matrix: {n: [1, 2, 3]}}
    runs-on: ubuntu-latest
    steps:
      - name: Work
        run: |
          seq -f 'before %.0f' 100
          echo 'error: cannot find module x'
          seq -f 'after %.0f' 100
          exit 1
  moon: {strategy: {matrix: {n: [1, 2]}}, runs-on: moon, steps: [{run: echo never}]}
  after: {needs: test, runs-on: ubuntu-latest, steps: [{run: echo never}]}
";

#[test]
fn legs_with_one_reason_are_named_once() {
    let project = Project::of_jobs(LEGS);
    let said = project.run(&[]);
    let reason = "not runnable here: moon ×2 (1, 2): no runner for `moon`; ";
    said.expect(
        1,
        &["\n✗ test ×3  ", "\n    1, 2, 3\n", "› Work (exit code 1)", "\n– moon ×2  ", "✗ test ×3 › Work", reason],
    );
    let summary = said.out().split("\n\n").skip(1).collect::<Vec<_>>().join("\n\n");
    assert_eq!(summary.matches("cannot find module x").count(), 1, "{summary}");
    assert_eq!(summary.matches("no runner for").count(), 2, "in the table and in the last line: {summary}");
}

#[test]
fn a_run_can_succeed_without_the_legs_that_need_another_machine() {
    let jobs =
        "  a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}\n  moon: {runs-on: moon, steps: [{run: echo}]}\n";
    let project = Project::of_jobs(jobs);
    project.run(&[]).expect(1, &["not runnable here: moon: no runner for `moon`"]);
    let left_out = "skipped, because they need another machine: moon: no runner for `moon`";
    project.run(&["--skip-unrunnable"]).expect(0, &["✓ success in ", left_out]);
    project.configure("skip_unrunnable = true\n");
    project.run(&[]).expect(0, &[left_out]);
    let project = Project::of_jobs("  a: {runs-on: '${{ vars.nothing }}', steps: [{run: echo hi}]}\n");
    project.run(&["--skip-unrunnable"]).expect(1, &["names no label"]);
}

#[test]
fn the_log_of_a_failure_is_an_excerpt_and_a_job_without_one_has_its_reason() {
    let project = Project::of_jobs(LEGS);
    project.run(&[]).expect(1, &[]);
    let failed = project.call(&["logs", "--failed", "--job", "test.1"]);
    failed.expect(0, &["⋮ 90 lines\nbefore 91\n", "error: cannot find module x\n", "\nafter 100\n", "--all-lines"]);
    assert!(!failed.out().contains("before 90\n") && !failed.out().contains("after 50\n"), "{}", failed.out());
    let whole = project.call(&["logs", "--failed", "--job", "test.1", "--all-lines"]);
    whole.expect(0, &["before 1\n", "after 50\n"]);
    project.call(&["logs", "--job", "after"]).expect(0, &["after\n– skipped: needs `test`, which failed\n"]);
    project.call(&["logs", "--job", "moon.1"]).expect(0, &["moon (1)\n– skipped: not runnable here (no runner"]);
    project.call(&["logs", "--failed"]).expect(0, &["✗ failure: a job failed; not runnable here: moon ×2"]);
    project.write(
        ".github/workflows/ci.yml",
        "name: CI\non: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n",
    );
    project.run(&[]).expect(0, &[]);
    project.call(&["logs", "--failed"]).expect(0, &["nothing failed in "]);
}

#[test]
fn a_job_that_fails_before_its_first_step_has_its_reason_in_the_log() {
    let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{uses: nobody/nothing@v9}]}\n");
    project.run(&["--offline"]).expect(1, &[]);
    for args in [&["logs"][..], &["logs", "--failed"]] {
        project.call(args).expect(0, &["a\n✗ failure: not started: `nobody/nothing@v9` is not in the cache"]);
    }
}

#[test]
fn the_leg_that_made_the_others_end_is_named() {
    let project = Project::of_jobs(
        "  a:\n    strategy: {max-parallel: 2, matrix: {n: [1, 2, 3]}}\n    runs-on: ubuntu-latest\n    steps: [{run: 'test ${{ matrix.n }} = 1 && exec sleep 1000; exit 1'}]\n",
    );
    project.run(&["--max-parallel", "2"]).expect(1, &["fail-fast: a (2) failed"]);
    assert_eq!(project.job("a.1")["reason"], "fail-fast: a (2) failed");
    assert_eq!(project.job("a.3")["reason"], "cancelled before it started (fail-fast: a (2) failed)");
}

#[test]
fn a_run_of_uncommitted_changes_says_so_and_keeps_them() {
    let project = Project::of_jobs(
        "  a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout@v4}, {run: cat new changed}]}\n",
    );
    project.write("changed", "one\n");
    project.commit();
    project.write("changed", "two\n");
    project.write("new", "value of the day\n");
    project.write("private", "TOKEN=hunter2hunter2\n");
    let said = project.run(&["--secret", "OTHER=value of the day", "--secret-file", "private"]);
    said.expect(0, &["two"]);
    let run = project.show();
    assert_eq!(run["dirty"], serde_json::json!(["changed", "new", "private"]));
    let version = format!("main@{}+3", &run["sha"].as_str().expect("a commit")[..7]);
    project.call(&["runs"]).expect(0, &[&version]);
    project.call(&["runs", "--json"]).expect(0, &["\"changed\":3"]);
    project.call(&["show"]).expect(0, &[&version, "not committed: 3 files", "\n  changed\n  new\n", "--diff"]);
    project.call(&["screenshot"]).expect(0, &[&version]);
    project.write("changed", "three\n");
    let diff = project.call(&["show", "--diff"]);
    diff.expect(0, &["-one\n+two\n", "+++ b/new\n@@ -0,0 +1,1 @@\n+***\n", "(left out: private holds secrets)"]);
    assert!(!String::from_utf8_lossy(&project.everything_written()).contains("hunter2"));
    project.commit();
    project.run(&[]).expect(0, &[]);
    project.call(&["show", "--diff"]).expect(0, &["ran exactly what is in its commit"]);
    assert_eq!(project.show()["dirty"], serde_json::json!([]));
    project.git(&["checkout", "--quiet", "--detach"]);
    project.run(&[]).expect(0, &[]);
    let sha = project.show()["sha"].as_str().expect("a commit")[..7].to_owned();
    project.call(&["show"]).expect(0, &[&format!(" on push · {sha} · attempt 1")]);
}

#[test]
fn an_environment_named_by_an_expression_is_recorded_with_its_value() {
    let project = Project::new(
        "on: {workflow_dispatch: {inputs: {target: {default: prod}}}}\njobs:\n  a:\n    environment: {name: '${{ inputs.target }}-eu'}\n    runs-on: ubuntu-latest\n    steps: [{run: echo hi}]\n  b: {environment: {name: dev, deployment: false}, runs-on: ubuntu-latest, steps: [{run: echo hi}]}\n",
    );
    project.run(&["--event", "workflow_dispatch"]).expect(0, &[]);
    assert_eq!(project.job("a")["environment"], "prod-eu");
    assert_eq!(project.job("b")["environment"], serde_json::Value::Null);
    project.call(&["screenshot", "--keys", "6"]).expect(0, &["prod-eu"]);
}
