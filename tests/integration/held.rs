//! Steps that are held after they failed or at a breakpoint: they are retried, skipped, given up or cancelled, their job
//! goes back to an earlier step, or the time runs out.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use crate::actions::has_node;
use crate::docker::{docker, has};
use crate::project::{Project, Said, until};
use crate::survival::{kill, worker_of};

/// A job whose second step fails until its workspace has a file.
const JOB: &str = "  a:
    runs-on: ubuntu-latest
    steps:
      - run: echo FIRST=kept >> $GITHUB_ENV; echo $PWD > $AT/workspace
      - {id: second, run: 'echo tried; test -e mended && echo \"x=$FIRST\" >> $GITHUB_OUTPUT'}
      - run: echo third ${{ steps.second.outputs.x }} ${{ steps.second.outcome }}
      - {if: failure(), run: echo failed}
";

fn hold(project: &Project, more: &[&str]) -> Command {
    let mut command = project.command(&[&["run", "--trust", "--on-failure", "hold"], more].concat());
    command.env("AT", project.home());
    command
}

/// Waits until a step of the run is held.
#[track_caller]
pub(crate) fn wait_held(project: &Project) {
    until("the step is held", || (project.call(&["held", "list"]).code() == 0).then_some(()));
}

/// Starts a run in the background, and waits until its step is held.
fn start_held(project: &Project) {
    Said(hold(project, &["--detach"]).output().expect("starts")).expect(0, &[]);
    wait_held(project);
}

/// Returns a project with these jobs, whose run has a held step.
fn held(jobs: &str) -> Project {
    let project = Project::of_jobs(jobs);
    start_held(&project);
    project
}

fn attached(project: &Project) -> Child {
    project.command(&["attach"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
}

#[track_caller]
fn ends(attached: Child, code: i32, words: &[&str]) -> Said {
    let said = Said(attached.wait_with_output().expect("ends"));
    said.expect(code, words);
    said
}

#[test]
fn a_held_step_is_mended_and_retried() {
    let project = held(JOB);
    project.call(&["held", "list"]).expect(0, &["a › Run echo tried", "exit code 1"]);
    project
        .call(&["held", "list", "--linear"])
        .expect(0, &["a: step ", "Run echo tried", ", failed and is held until "]);
    project.call(&["show", "--linear"]).expect(0, &["a: held, step ", "\nnext: `cuelight held retry "]);
    project.call(&["runs", "--linear"]).expect(0, &[": held until ", ", a step failed: exit code 1, run "]);
    let json = project.call(&["held", "list", "--json"]);
    json.expect(0, &["\"step\":3", "\"reason\":\"exit code 1\"", "\"order\":null"]);
    project.call(&["show"]).expect(0, &["‖", "held", "failed and held until", "exit code 1"]);
    let reason = project.job("a")["steps"][2]["reason"].to_string();
    assert!(reason.contains("failed and held until") && reason.contains("exit code 1"), "{reason}");
    // Without a terminal, who follows the run gets the exit code of a hold.
    ends(attached(&project), 77, &["failed and held until", "cuelight held retry"]);
    let mut shell = project.command(&["shell"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    shell.stdin.take().expect("a pipe").write_all(b"echo in $PWD with $FIRST").expect("written");
    let workspace = fs::read_to_string(project.home().join("workspace")).expect("written").trim().to_owned();
    Said(shell.wait_with_output().expect("ends")).expect(0, &[&format!("in {workspace} with kept")]);

    // The step fails again, because nothing has changed, and is held again.
    project.call(&["held", "retry"]).expect(0, &["runs again"]);
    let tries = |count: usize| {
        let tried = || project.call(&["logs", "--job", "a"]).out().matches("The step failed and is held").count();
        until("the step is held again", || (tried() == count).then_some(()));
        wait_held(&project);
    };
    ends(attached(&project), 77, &["tried"]);
    tries(2);
    fs::write(format!("{workspace}/mended"), "").expect("written");
    project.call(&["held", "retry", "--job", "a"]).expect(0, &["runs again"]);

    let said = ends(attached(&project), 0, &["third kept success", "failed and held until", "cuelight held retry"]);
    assert_eq!(said.out().matches("tried").count() - said.out().matches("Run echo tried").count(), 3, "{}", said.out());
    assert_eq!(project.job("a")["steps"][2]["status"], "success");
    project.call(&["held", "retry"]).expect(3, &["no step of", "is held"]);
}

#[test]
fn a_step_that_runs_again_replaces_its_summary_and_its_annotations() {
    let project = held(
        "  a:
    runs-on: ubuntu-latest
    steps:
      - run: 'echo sum >> $GITHUB_STEP_SUMMARY; echo \"::notice::one\"'
      - run: 'echo part >> $GITHUB_STEP_SUMMARY; echo \"::notice::two\"; test -e mended'
",
    );
    let tried = |count: usize| {
        let log = || project.call(&["logs", "--job", "a", "--step", "3"]).out();
        until("the step is held again", || (log().matches("is held").count() == count).then_some(()));
        wait_held(&project);
        assert_eq!(project.call(&["logs", "--summary"]).out(), "sum\n\npart\n\n");
        for step in [1, 2] {
            let annotations = project.job("a")["steps"][step]["annotations"].clone();
            assert_eq!(annotations.as_array().map(Vec::len), Some(1), "{annotations}");
        }
    };
    tried(1);
    project.call(&["held", "retry"]).expect(0, &["runs again"]);
    tried(2);
    project.call(&["held", "retry", "--from", "2"]).expect(0, &["runs again"]);
    tried(3);
    project.call(&["cancel"]).expect(0, &[]);
    ends(attached(&project), 130, &[]);
}

/// A job that checks out its repository and fails until a file of it is mended.
fn of_files(container: &str) -> Project {
    let jobs = format!(
        "  a:
    runs-on: ubuntu-latest
{container}    steps:
      - uses: actions/checkout@v4
      - run: echo job > made; echo job > both
      - run: 'echo tried; test \"$(cat value new/file)\" = \"goodnew\"; test ! -e gone; sh tool'
"
    );
    let project = Project::of_jobs(&jobs);
    for (name, text) in [("value", "bad"), ("gone", "1"), ("both", "1"), ("tool", "exit 1"), (".gitignore", "/target")]
    {
        project.write(name, text);
    }
    start_held(&project);
    for (name, text) in
        [("value", "goo"), ("new/file", "new"), ("both", "user"), ("tool", "echo mended"), ("target/ignored", "x")]
    {
        project.write(name, text);
    }
    fs::remove_file(project.root().join("gone")).expect("removed");
    project
}

fn is_synced_and_retried(project: &Project) {
    let brought = ["new      new/file", "changed  value", "changed  tool", "deleted  gone", "kept     both"];
    let said = project.call(&["held", "sync"]);
    said.expect(4, &brought).expect(4, &["--force"]);
    assert!(!said.text().contains("ignored"), "{}", said.text());
    project.call(&["held", "retry", "--sync"]).expect(4, &["kept     both", "no step runs again"]);
    project.write("value", "good");
    project.call(&["held", "retry", "--sync", "--force"]).expect(0, &["changed  both", "changed  value", "runs again"]);
    ends(attached(project), 0, &["mended"]);
    project.call(&["held", "sync"]).expect(3, &["no step of"]);
}

#[test]
fn changed_files_are_brought_into_the_workspace_of_a_held_job() {
    is_synced_and_retried(&of_files(""));
}

#[test]
fn changed_files_are_brought_into_the_container_of_a_held_job() {
    if !has(&["ci-base:local"]) {
        return;
    }
    is_synced_and_retried(&of_files("    container: ci-base:local\n"));
}

#[test]
fn a_removed_container_ends_the_hold() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project =
        held(&JOB.replace("    steps:", "    container: ci-base:local\n    steps:").replace("$AT/workspace", "/tmp/x"));
    let label = format!("label=dev.cuelight.run={}", project.run_id());
    let container = docker(&["ps", "--quiet", "--filter", &label]).expect("docker answers");
    docker(&["rm", "--force", &container]).expect("removed");
    until("the hold ends", || (project.call(&["held", "list"]).code() == 3).then_some(()));
    let reason = "exit code 1; while it was held, the container of the job was stopped or removed";
    ends(attached(&project), 1, &[reason]);
    assert_eq!(project.job("a")["steps"][3]["reason"], reason);
}

#[test]
fn a_job_without_a_copy_of_the_files_is_not_synced() {
    let project = held(JOB);
    project.call(&["held", "sync"]).expect(4, &["has not checked out this repository"]);
    project.call(&["cancel"]).expect(0, &[]);
    ends(attached(&project), 130, &["cancelled"]);
}

#[test]
fn the_jobs_that_can_be_synced_run_again_and_the_others_are_named() {
    let jobs = "  a:
    runs-on: ubuntu-latest
    steps: [{run: exit 3}]
  b:
    runs-on: ubuntu-latest
    steps: [{uses: actions/checkout@v4}, {run: test -e mended}]
";
    let project = Project::of_jobs(jobs);
    Said(hold(&project, &["--detach", "--max-parallel", "2"]).output().expect("starts")).expect(0, &[]);
    until("both are held", || (project.call(&["held", "list"]).out().lines().count() == 2).then_some(()));
    project.write("mended", "");
    let refusal = "a: the job has not checked out this repository";
    project.call(&["held", "sync"]).expect(4, &[refusal, "b › new      mended"]);
    let said = project.call(&["held", "retry", "--sync"]);
    said.expect(4, &[refusal, "b has all your changes", "b › Run test -e mended runs again"]);
    assert!(!said.out().contains("a › Run exit 3 runs again"), "{}", said.out());
    until("the other job succeeds", || (project.job("b")["status"] == "success").then_some(()));
    project.call(&["held", "continue"]).expect(0, &["a › Run exit 3 fails"]);
    ends(attached(&project), 1, &["exit code 3"]);
}

#[test]
fn an_order_without_a_run_is_for_the_one_that_is_held() {
    let project = held(JOB);
    let first = project.run_id();
    project.write(
        ".github/workflows/later.yml",
        "on: push\njobs: {b: {runs-on: ubuntu-latest, steps: [{run: exit 7}]}}\n",
    );
    project.commit();
    project.call(&["run", "later", "--trust"]).expect(1, &["exit code 7"]);
    project.call(&["held", "list"]).expect(0, &["a › Run echo tried"]);
    let second = project.call(&["run", "later", "--trust", "--detach", "--on-failure", "hold"]).out().trim().to_owned();
    until("the second is held", || (project.call(&["held", "list", &second]).code() == 0).then_some(()));
    project.call(&["held", "skip"]).expect(2, &["several runs have held steps", &first, &second]);
    project.call(&["held", "continue", &second]).expect(0, &["fails"]);
    ends(attached(&project), 1, &["exit code 7"]);
    project.call(&["held", "skip"]).expect(0, &["a › Run echo tried", "counts as a success"]);
    project.call(&["attach", &first]).expect(0, &["third"]);
}

#[test]
fn a_hold_that_ended_with_its_worker_names_the_way_on() {
    let project = held(JOB);
    let id = project.run_id();
    kill(worker_of(&id));
    let way = format!("`cuelight resume {id}`");
    project.call(&["held"]).expect(0, &["Nothing is held", &way]);
    project.call(&["held", "retry"]).expect(3, &["no step of", "is held", &way]);
}

#[test]
fn a_held_step_is_skipped_or_fails() {
    let project = held(JOB);
    project.call(&["held", "skip"]).expect(0, &["counts as a success"]);
    ends(attached(&project), 0, &["third", "success"]);
    assert_eq!(project.job("a")["steps"][2]["reason"], "failed, and skipped by a person while it was held");

    let project = held(JOB);
    project.call(&["held", "continue"]).expect(0, &["fails"]);
    let said = ends(attached(&project), 1, &["failed", "exit code 1"]);
    assert!(!said.out().contains("third kept"), "{}", said.out());
}

#[test]
fn steps_that_fail_beside_each_other_are_held_apart() {
    let jobs = "  a:
    runs-on: ubuntu-latest
    steps:
      - {id: beside, background: true, run: 'exit 4'}
      - run: exit 5
      - {wait: beside}
      - run: echo after
";
    let project = held(jobs);
    let listed = || project.call(&["held", "list"]).out().lines().count();
    until("both are held", || (listed() == 2).then_some(()));
    in_shell(&project, "echo $GITHUB_JOB").expect(0, &["a"]);
    project.call(&["held", "skip"]).expect(0, &["Run exit 4 counts as a success", "Run exit 5 counts as a success"]);
    ends(attached(&project), 0, &["after"]);
}

#[test]
fn a_held_background_step_has_a_shell() {
    let project = held(
        "  a:
    runs-on: ubuntu-latest
    steps:
      - {id: beside, background: true, run: 'exit 4', env: {OWN: mine}}
      - {wait: beside}
",
    );
    in_shell(&project, "echo it is $OWN").expect(0, &["it is mine"]);
    project.call(&["held", "continue"]).expect(0, &["fails"]);
    ends(attached(&project), 1, &["exit code 4"]);
}

#[test]
fn the_hold_of_failed_steps_is_turned_on_and_off_while_the_run_goes_on() {
    let jobs = "  a:
    runs-on: ubuntu-latest
    steps:
      - run: until test -e $AT/first; do sleep 0.01; done; exit 3
      - run: echo second
      - run: until test -e $AT/third; do sleep 0.01; done; exit 4
      - {if: failure(), run: echo failed}
";
    let project = Project::of_jobs(jobs);
    project.call_with("AT", project.home(), &["run", "--trust", "--detach"]).expect(0, &[]);
    until("the run has started", || (project.call(&["held", "on"]).code() == 0).then_some(()));
    project.call(&["held", "on"]).expect(0, &["that fail are held"]);
    fs::write(project.home().join("first"), "").expect("written");
    wait_held(&project);
    project.call(&["held", "off"]).expect(0, &["end their jobs"]);
    // The step that is held stays held.
    project.call(&["held", "skip"]).expect(0, &["counts as a success"]);
    fs::write(project.home().join("third"), "").expect("written");
    ends(attached(&project), 1, &["second", "exit code 4", "failed"]);
    project.call(&["held", "on"]).expect(4, &["has ended"]);
}

#[test]
fn a_resumed_run_holds_failed_steps_as_it_did_before_its_worker_was_lost() {
    let jobs = "  a:
    runs-on: ubuntu-latest
    steps: [{run: 'touch $AT/begun; until test -e $AT/go; do sleep 0.01; done; exit 3'}]
";
    for (given, turned) in [("end", "on"), ("hold", "off")] {
        let project = Project::of_jobs(jobs);
        let command = |args: &[&str]| project.call_with("AT", project.home(), args);
        command(&["run", "--trust", "--detach", "--on-failure", given]).expect(0, &[]);
        until("the step runs", || project.home().join("begun").exists().then_some(()));
        project.call(&["held", turned]).expect(0, &[]);
        kill(worker_of(&project.run_id()));
        command(&["resume", "--trust", "--detach"]).expect(0, &[]);
        fs::write(project.home().join("go"), "").expect("written");
        if turned == "on" {
            wait_held(&project);
            project.call(&["held", "continue"]).expect(0, &["fails"]);
        }
        ends(attached(&project), 1, &["exit code 3"]);
    }
}

#[test]
fn a_held_job_leaves_its_slot_to_another_and_waits_for_one_before_it_goes_on() {
    let jobs = "  a:
    runs-on: ubuntu-latest
    steps: [{run: exit 3}]
  b:
    runs-on: ubuntu-latest
    steps: [{run: 'touch $AT/begun; until test -e $AT/go; do sleep 0.01; done; echo b ends'}]
  c:
    needs: a
    runs-on: ubuntu-latest
    steps: [{run: echo c runs}]
";
    let project = Project::of_jobs(jobs);
    Said(hold(&project, &["--detach", "--max-parallel", "1"]).output().expect("starts")).expect(0, &[]);
    wait_held(&project);
    until("the other job runs", || project.home().join("begun").exists().then_some(()));
    project.call(&["held", "skip"]).expect(0, &["counts as a success"]);
    let log = || project.call(&["logs", "--job", "a"]).out();
    until("the job waits for a slot", || log().contains("Waits for a free slot").then_some(()));
    fs::write(project.home().join("go"), "").expect("written");
    ends(attached(&project), 0, &["b ends", "c runs"]);
}

#[test]
fn a_cancel_ends_a_hold() {
    let project = held(JOB);
    project.call(&["cancel"]).expect(0, &[]);
    ends(attached(&project), 130, &["cancelled"]);
}

/// The program of a JavaScript action that fails until its workspace has a file.
const ACTION: &str = "const fs = require('fs'); if (!fs.existsSync('mended')) process.exit(6);";

#[test]
fn an_action_that_is_retried_keeps_the_post_of_its_first_try() {
    if !has_node() {
        return;
    }
    let project =
        Project::of_jobs("  a:\n    runs-on: ubuntu-latest\n    steps: [{run: pwd > $AT/workspace}, {uses: $/act}]\n");
    project.write("act/action.yml", "runs: {using: node20, main: main.js, post: post.js}\n");
    project.write("act/main.js", ACTION);
    project.write("act/post.js", "console.log('tidied');");
    start_held(&project);
    let workspace = fs::read_to_string(project.home().join("workspace")).expect("written").trim().to_owned();
    fs::write(format!("{workspace}/mended"), "").expect("written");
    project.call(&["held", "retry"]).expect(0, &["runs again"]);
    let said = ends(attached(&project), 0, &["exit code 6"]);
    assert_eq!(said.out().matches("tidied").count(), 1, "{}", said.out());
}

#[test]
fn allowed_failures_are_not_held() {
    let jobs = "  a:\n    runs-on: ubuntu-latest\n    steps:\n      - {run: exit 1, continue-on-error: true}\n      - run: echo after\n";
    let project = Project::of_jobs(jobs);
    Said(hold(&project, &[]).output().expect("starts")).expect(0, &["after"]);
}

#[test]
fn a_script_gets_an_exit_code_and_comes_back() {
    let project = Project::of_jobs(JOB);
    Said(hold(&project, &[]).output().expect("starts")).expect(77, &["failed and held until", "cuelight held retry"]);
    project.call(&["held", "skip"]).expect(0, &[]);
    ends(attached(&project), 0, &["third"]);
    // The next workflow does not start beside it.
    let project = Project::of_jobs(JOB);
    project.write(
        ".github/workflows/later.yml",
        "on: push\njobs: {b: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n",
    );
    project.commit();
    let said = Said(hold(&project, &[]).output().expect("starts"));
    said.expect(77, &["failed and held until"]);
    assert_eq!(project.call(&["runs"]).out().lines().count(), 1, "{}", said.text());
    project.call(&["cancel"]).expect(0, &[]);
    hold(&project, &["--hold-minutes", "0"]).output().map(Said).expect("starts").expect(2, &["--hold-minutes"]);
    project.run(&["--hold-minutes", "5"]).expect(2, &["add --on-failure hold or --break"]);
}

/// Runs a command line in the shell of the held job, and returns its output.
fn in_shell(project: &Project, line: &str) -> Said {
    let mut shell = project.command(&["shell"]);
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    shell.stdin.take().expect("a pipe").write_all(line.as_bytes()).expect("written");
    Said(shell.wait_with_output().expect("ends"))
}

/// Waits until the step with this number has failed and been held `count` times.
fn wait_held_again(project: &Project, count: usize) {
    let held = || project.call(&["logs", "--job", "a"]).out().matches("The step failed and is held").count();
    until("the step is held again", || (held() == count).then_some(()));
    wait_held(project);
}

/// A job whose last step but one fails until its workspace has a file. The second step prints what later steps changed.
fn of_state(container: &str) -> String {
    format!(
        "  a:
    runs-on: ubuntu-latest
{container}    outputs: {{made: '${{{{ steps.make.outputs.made }}}}'}}
    steps:
      - run: echo BASE=kept >> $GITHUB_ENV; mkdir -p later; echo $PWD/early >> $GITHUB_PATH
      - name: Make
        id: make
        run: |
          case :$PATH: in *:$PWD/later:*) path=later ;; *:$PWD/early:*) path=early ;; esac
          echo x >> count
          echo \"made late=${{LATE-unset}} base=$BASE path=$path use=[${{{{ steps.use.outputs.x }}}}] count=$(grep -c x count)\"
          echo MADE=$(grep -c x count) >> $GITHUB_ENV
          echo made=$(grep -c x count) >> $GITHUB_OUTPUT
          printf open
      - name: Use
        id: use
        run: |
          echo LATE=late >> $GITHUB_ENV; echo BASE=changed >> $GITHUB_ENV
          echo $PWD/later >> $GITHUB_PATH; echo x=used >> $GITHUB_OUTPUT
      - {{name: Check, run: 'test $BASE = changed; test -e mended'}}
      - {{name: Last, run: 'echo last $MADE ${{{{ steps.make.outputs.made }}}} ${{{{ steps.use.outputs.x }}}} $BASE'}}
"
    )
}

fn goes_back(project: &Project) {
    start_held(project);
    let from = |step: &str| project.call(&["held", "retry", "--from", step]);
    from("Last").expect(4, &["can only go back to a step of the workflow file before the held step"]);
    from("Set up job").expect(4, &["can only go back"]);
    from("Mak").expect(3, &["has no step `Mak`"]);
    from("Make").expect(0, &["a runs again from Make"]);
    wait_held_again(project, 2);
    let step = |name: &str| {
        let job = project.job("a");
        job["steps"].as_array().expect("steps").iter().find(|step| step["name"] == name).expect("a step").clone()
    };
    for (name, status) in [("Make", "success"), ("Use", "success"), ("Check", "waiting")] {
        assert_eq!(step(name)["status"], status, "{name}");
    }
    in_shell(project, "touch mended").expect(0, &[]);
    from(&step("Use")["number"].to_string()).expect(0, &["a runs again from Use"]);
    let said = ends(attached(project), 0, &["last 2 2 used changed"]);
    let log = project.call(&["logs", "--job", "a", "--step", "Make"]).out();
    let made = |count: u8| format!("made late=unset base=kept path=early use=[] count={count}");
    let runs_again = "The step runs again; its result was success";
    for part in [&made(1), &made(2), "open", runs_again] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!log.contains("openmade") && !log.contains("open##"), "{log}");
    assert_eq!(log.matches("count=1").count(), 1, "{log}");
    assert_eq!(said.out().matches("made late=").count(), 2, "{}", said.out());
    assert_eq!(project.job("a")["outputs"]["made"], "2");
    let records = project.call(&["attach", "--json"]).out();
    let tries = |name: &str| {
        let step = format!("\"step\":{},", step(name)["number"]);
        records.lines().filter(|line| line.contains("step_finished") && line.contains(&step)).count()
    };
    assert_eq!((tries("Make"), tries("Use"), tries("Check"), tries("Last")), (2, 3, 1, 1));
}

#[test]
fn a_held_job_goes_back_to_an_earlier_step_and_finds_the_state_before_it() {
    goes_back(&Project::of_jobs(&of_state("")));
}

#[test]
fn a_held_job_in_a_container_goes_back_to_an_earlier_step() {
    if !has(&["ci-base:local"]) {
        return;
    }
    goes_back(&Project::of_jobs(&of_state("    container: ci-base:local\n")));
}

/// Main and post phase of an action that tells from its state which of them runs, as actions commonly do. The main
/// phase fails until the workspace has a file.
const PHASES: &str = "const fs = require('fs');
if (process.env.STATE_isPost) { console.log('tidied ' + process.env.STATE_isPost); process.exit(0); }
fs.appendFileSync(process.env.GITHUB_STATE, 'isPost=' + (fs.existsSync('mended') ? 'second' : 'first') + '\\n');
console.log('main ran');
if (!fs.existsSync('mended')) process.exit(6);";

#[test]
fn the_main_phase_of_an_action_that_runs_again_sees_no_state_of_its_first_try() {
    if !has_node() {
        return;
    }
    let project = Project::of_jobs(
        "  a:\n    runs-on: ubuntu-latest\n    steps: [{uses: $/act}, {run: 'echo next; test -e fixed'}]\n",
    );
    project.write("act/action.yml", "runs: {using: node20, main: act.js, post: act.js}\n");
    project.write("act/act.js", PHASES);
    start_held(&project);
    in_shell(&project, "touch mended").expect(0, &[]);
    project.call(&["held", "retry"]).expect(0, &["runs again"]);
    wait_held_again(&project, 2);
    project.call(&["held", "retry", "--from", "Run $/act"]).expect(0, &["runs again from Run $/act"]);
    wait_held_again(&project, 3);
    project.call(&["held", "skip"]).expect(0, &[]);
    let said = ends(attached(&project), 0, &["tidied second"]);
    let count = |text: &str| said.out().matches(text).count();
    assert_eq!((count("main ran"), count("tidied")), (3, 1), "{}", said.out());
}

/// A job with a breakpoint before its second step.
const STOPS: &str = "  a:
    runs-on: ubuntu-latest
    steps:
      - run: echo FIRST=kept >> $GITHUB_ENV; echo one
      - {name: Ship it, id: ship, env: {OWN: mine}, run: 'echo shipped $FIRST $(cat note)'}
      - run: echo last ${{ steps.ship.outcome }}
";

/// Starts a run that stops before a step, and waits until the step is held.
fn stopped(project: &Project, at: &str) {
    project.call(&["run", "--trust", "--detach", "--break", at]).expect(0, &[]);
    wait_held(project);
}

#[test]
fn a_run_stops_before_a_step_and_its_person_continues_skips_or_cancels() {
    let project = Project::of_jobs(STOPS);
    project.call(&["held"]).expect(0, &["Nothing is held."]);
    let said = project.call(&["run", "--trust", "--break", "a/ship"]);
    said.expect(77, &["one", "held before it runs, until", "cuelight held"]);
    assert!(!said.out().contains("shipped"), "{}", said.out());
    project.call(&["held", "list"]).expect(0, &["a › Ship it  held before it runs"]);
    project.call(&["held", "list", "--json"]).expect(0, &["\"reason\":null", "\"before\":true", "\"step\":3"]);
    // Without a command, what is held in all runs is listed.
    project.call(&["held"]).expect(0, &[&format!("{}  a › Ship it  held before it runs", project.run_id())]);
    project.call(&["held", "--json"]).expect(0, &["\"before\":true", &project.run_id()]);
    project.call(&["runs", "--status", "held"]).expect(0, &[&project.run_id()[9..]]);
    project.call(&["show"]).expect(0, &["‖", "Ship it", "held before it runs, until"]);
    assert_eq!(project.job("a")["steps"][2]["started"], serde_json::Value::Null);
    in_shell(&project, "echo here $FIRST $OWN; echo noted > note").expect(0, &["here kept mine"]);
    project.call(&["held", "continue"]).expect(0, &["a › Ship it runs"]);
    ends(attached(&project), 0, &["shipped kept noted", "last success"]);

    stopped(&project, "a/3");
    project.call(&["held", "skip"]).expect(0, &["a › Ship it is skipped"]);
    let said = ends(attached(&project), 0, &["last skipped"]);
    assert!(!said.out().contains("shipped"), "{}", said.out());
    assert_eq!(project.job("a")["steps"][2]["status"], "skipped");

    stopped(&project, "a/Ship it");
    project.call(&["held", "retry", "--from", "2"]).expect(0, &["runs again from Run echo FIRST"]);
    until("it stops again", || {
        (project.call(&["logs", "--job", "a", "--step", "3"]).out().matches("held before").count() == 2).then_some(())
    });
    project.call(&["cancel"]).expect(0, &[]);
    let said = ends(attached(&project), 130, &["cancelled"]);
    assert!(!said.out().contains("shipped"), "{}", said.out());
}

#[test]
fn a_breakpoint_at_an_unknown_step_is_an_error_before_the_run_starts() {
    let project = Project::of_jobs(STOPS);
    for (at, words) in [
        ("a/shipp", "job `a` has no step `shipp`; did you mean `ship`?"),
        ("b/ship", "no job `b` for the breakpoint `b/ship`; there are `a`"),
        ("a", "`a` names no step: write JOB/STEP"),
    ] {
        project.call(&["run", "--trust", "--break", at]).expect(2, &[words]);
    }
    project.call(&["runs"]).expect(0, &["There are no runs"]);
    project.call(&["run", "--trust", "--remote", "ci", "--break", "a/ship"]).expect(2, &["--break"]);
}

#[test]
fn a_run_stops_before_a_step_in_a_container_and_takes_changed_files() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let jobs = "  a:
    runs-on: ubuntu-latest
    container: ci-base:local
    steps:
      - uses: actions/checkout@v4
      - run: echo FIRST=kept >> $GITHUB_ENV
      - {id: ship, env: {OWN: mine}, run: 'echo shipped $FIRST $(cat value) $(cat made)'}
";
    let project = Project::of_jobs(jobs);
    project.write("value", "old");
    stopped(&project, "a/ship");
    in_shell(&project, "cat value; echo inside > made; echo $FIRST $OWN").expect(0, &["old", "kept mine"]);
    project.write("value", "new");
    project.call(&["held", "sync"]).expect(0, &["changed  value"]);
    project.call(&["held", "continue"]).expect(0, &["runs"]);
    ends(attached(&project), 0, &["shipped kept new inside"]);
}

#[test]
fn the_shell_of_a_held_step_in_a_container_has_its_environment_and_folder() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(
        "  a:
    runs-on: ubuntu-latest
    container: {image: 'ci-base:local', env: {CE: of the container}}
    steps:
      - run: mkdir sub; echo FIRST=kept >> $GITHUB_ENV
      - {run: exit 4, working-directory: sub, env: {OWN: it is mine}}
",
    );
    project.call(&["run", "--trust", "--detach", "--on-failure", "hold"]).expect(0, &[]);
    wait_held(&project);
    let is_complete = || {
        let said = in_shell(&project, "pwd; echo $FIRST, $OWN, $CE");
        said.expect(0, &["/repository/sub\n", "kept, it is mine, of the container"]);
    };
    is_complete();
    project.call(&["held", "continue"]).expect(0, &[]);
    ends(attached(&project), 1, &["exit code 4"]);
    is_complete();
}

/// Opens the shell of a held job whose failed step has no process in the job's sandbox, before and after the run ends.
fn has_a_shell_without_a_process(container: &str, step: &str) {
    let project = held(&format!(
        "  a:
    runs-on: ubuntu-latest
{container}    env: {{OF: job}}
    steps:
      - {{run: echo FIRST=kept >> $GITHUB_ENV; exit 3, continue-on-error: true, env: {{OTHER: step}}}}
      - {step}
"
    ));
    let opens = || {
        let said = in_shell(&project, "pwd; echo $OF $FIRST [$OTHER] $GITHUB_JOB");
        said.expect(0, &["/repository\n", "job kept [] a"]);
    };
    opens();
    project.call(&["held", "continue"]).expect(0, &["fails"]);
    ends(attached(&project), 1, &[]);
    opens();
}

#[test]
fn a_held_checkout_has_a_shell_in_the_workspace() {
    has_a_shell_without_a_process("", "{uses: actions/checkout@v4, with: {ref: missing}}");
}

#[test]
fn a_held_docker_action_has_a_shell_in_the_workspace() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let step = "{uses: 'docker://ci-base:local', with: {entrypoint: /bin/false}}";
    has_a_shell_without_a_process("", step);
    has_a_shell_without_a_process("    container: ci-base:local\n", step);
}

#[test]
fn the_shell_of_a_held_step_has_its_secrets_without_asking() {
    let jobs = "  a:
    runs-on: ubuntu-latest
    steps: [{run: exit 4, env: {TOK: '${{ secrets.TOK }}'}}]
";
    let project = Project::of_jobs(jobs);
    let value = "s3cret-of-the-run";
    project.run(&["--detach", "--on-failure", "hold", "--secret", &format!("TOK={value}")]).expect(0, &[]);
    wait_held(&project);
    in_shell(&project, "echo it is $TOK").expect(0, &["it is s3cret-of-the-run"]);
    let written = project.everything_written();
    assert!(!written.windows(value.len()).any(|text| text == value.as_bytes()), "it stays in memory");
    project.call(&["held", "continue"]).expect(0, &["fails"]);
    ends(attached(&project), 1, &["exit code 4"]);
    let said = in_shell(&project, "echo it is $TOK");
    assert!(said.code() != 0 && said.text().contains("needs the secret TOK"), "{}", said.text());
}
