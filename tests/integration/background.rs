//! Jobs with background steps: several processes of a job at the same time, on this machine and in containers.

use std::fs;

use crate::docker::{has, nothing_left};
use crate::project::{Project, Said, until};
use crate::survival::{kill, until_none, worker_of};

/// Steps that end only if they run at the same time, and a server that a `cancel` ends.
const STEPS: &str = r#"
    outputs: {o: '${{ steps.left.outputs.o }}${{ steps.right.outputs.o }}'}
    steps:
      - parallel:
          - name: left
            id: left
            run: touch l; until [ -e r ]; do sleep 0.02; done; echo "met right"; echo o=L >> "$GITHUB_OUTPUT"
          - name: right
            id: right
            run: touch r; until [ -e l ]; do sleep 0.02; done; echo "met left"; echo o=R >> "$GITHUB_OUTPUT"
      - name: server
        id: server
        background: true
        run: |
          trap 'echo "bye ${{ steps.left.outputs.o }}"; exit 0' TERM
          echo SERVED=yes >> "$GITHUB_ENV"
          touch up; while :; do sleep 0.02; done
      - {name: client, run: 'until [ -e up ]; do sleep 0.02; done; test -z "$SERVED"'}
      - {name: stop, cancel: server}
      - {name: after, run: 'test "$SERVED" = yes && test ${{ steps.server.outcome }} = cancelled'}
"#;

fn check(project: &Project, args: &[&str]) {
    let said = project.run(args);
    said.expect(0, &["met right", "met left", "server: cancelled (cancelled by a later step)"]);
    let job = project.job("a");
    let steps = job["steps"].as_array().expect("steps").iter().map(|step| {
        format!("{} {}", step["name"].as_str().expect("a name"), step["status"].as_str().expect("a status"))
    });
    let steps: Vec<_> = steps.filter(|step| !step.contains("containers") && !step.contains("job")).collect();
    let expected = [
        "left success",
        "right success",
        "Parallel group success",
        "server cancelled",
        "client success",
        "stop success",
        "after success",
    ];
    assert_eq!(steps, expected);
    assert_eq!(job["outputs"]["o"], "LR");
    let log = project.call(&["logs", "--step", "server"]);
    log.expect(0, &["bye L"]);
    assert!(!log.out().contains("met"), "{}", log.out());
}

#[test]
fn steps_run_at_once_on_this_machine() {
    let project = Project::of_jobs(&format!("  a:\n    runs-on: ubuntu-latest{STEPS}"));
    check(&project, &[]);
}

#[test]
fn steps_run_at_once_in_a_container() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(&format!("  a:\n    runs-on: ubuntu-latest\n    container: ci-base:local{STEPS}"));
    check(&project, &[]);
    nothing_left(&project.run_id());
    project.configure("[docker]\nsupervisor = false\n");
    project.call(&["run", "--trust"]).expect(0, &["Steps are started by Docker", "met right", "met left"]);
}

#[test]
fn a_failed_background_step_fails_the_job_at_its_end_and_is_shown() {
    let project = Project::of_jobs(
        "  a:
    runs-on: ubuntu-latest
    steps:
      - {name: bad, run: 'echo broken; exit 3', background: true}
      - {name: good, run: 'echo fine'}
      - {name: tidy, run: 'echo ${{ job.status }}', if: always()}
",
    );
    project.run(&[]).expect(1, &["success", "bad: exit code 3", "a › bad", "broken"]);
}

#[test]
fn a_job_continues_from_steps_where_no_background_step_was_open() {
    let project = Project::of_jobs(
        "  a:
    runs-on: ubuntu-latest
    steps:
      - {name: first, run: 'echo A=1 >> $GITHUB_ENV'}
      - {name: server, id: server, run: 'while :; do sleep 0.02; done', background: true}
      - {name: client, run: 'test $A = 1'}
      - {name: stop, cancel: server}
      - {name: last, run: 'test ${{ steps.server.conclusion }} = cancelled && test $A = 1 && exit 3'}
",
    );
    // The run fails, because the files of a job that succeeded would be removed.
    project.run(&[]).expect(1, &["exit code 3"]);
    let from = |step: &str| project.call(&["rerun", "--trust", "--job", "a", "--from-step", step]);
    let refusal = "a background step before it had not been waited for; re-run it from step 3";
    from("client").expect(4, &["a cannot continue from step 4: ", refusal]);
    from("last").expect(1, &["exit code 3"]);
    from("server").expect(1, &["✓ client", "exit code 3"]);
}

#[test]
fn a_lost_worker_leaves_no_background_process_and_its_job_resumes_before_the_background_step() {
    let project = Project::of_jobs(
        r#"  a:
    runs-on: ubuntu-latest
    steps:
      - {name: first, run: 'echo first'}
      - {name: server, id: server, run: 'echo $$ > "$DOOR/server"; while :; do sleep 0.02; done', background: true}
      - {name: client, run: 'echo $$ > "$DOOR/client"; while [ ! -e "$DOOR/open" ]; do sleep 0.02; done'}
      - {name: stop, cancel: server}
"#,
    );
    let door = tempfile::tempdir().expect("a folder");
    let command = |args: &[&str]| {
        let mut command = project.command(args);
        command.env("DOOR", door.path());
        Said(command.output().expect("starts"))
    };
    command(&["run", "--trust", "--detach"]).expect(0, &[]);
    for step in ["server", "client"] {
        until("both steps run", || door.path().join(step).exists().then_some(()));
    }
    let folder = project.run_folder().to_string_lossy().into_owned();
    kill(worker_of(&folder));
    until("the loss is noticed", || project.call(&["runs"]).text().contains("worker lost").then_some(()));
    until_none(|command| command.contains(&folder));
    fs::write(door.path().join("open"), "").expect("written");
    command(&["resume", "--trust"]).expect(0, &["✓ client", "server: cancelled"]);
    let job = project.job("a");
    let reasons: Vec<_> = job["steps"].as_array().expect("steps").iter().map(|step| step["reason"].as_str()).collect();
    assert_eq!(reasons[1..3], [Some("done before the worker was lost"), Some("cancelled by a later step")]);
}
