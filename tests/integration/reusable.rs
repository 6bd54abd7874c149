//! Reusable workflows of other repositories, served by git.

use std::fs;
use std::path::Path;

use crate::project::{Project, git};

/// Creates the repository `o/shared` below `home`, with a workflow that calls another one beside it, and the tag `v1`.
fn server(home: &Path) {
    let root = home.join("server/o/shared");
    let folder = root.join(".github/workflows");
    fs::create_dir_all(&folder).expect("made");
    let outer = "on:
  workflow_call:
    inputs: {who: {type: string, required: true}}
    secrets: {KEY: {required: true}}
    outputs: {greeting: {value: '${{ jobs.inner.outputs.greeting }}'}}
jobs:
  inner:
    uses: ./.github/workflows/inner.yml
    with: {who: '${{ inputs.who }}'}
    secrets: inherit
";
    let inner = "on:
  workflow_call:
    inputs: {who: {type: string}}
    outputs: {greeting: {value: '${{ jobs.say.outputs.greeting }}'}}
jobs:
  say:
    runs-on: ubuntu-latest
    outputs: {greeting: '${{ steps.say.outputs.greeting }}'}
    steps:
      - {id: say, run: 'echo greeting=hello ${{ inputs.who }} >> $GITHUB_OUTPUT'}
      - run: test -n '${{ secrets.KEY }}' && echo of ${{ job.workflow_ref }} in ${{ github.repository }}
";
    fs::write(folder.join("outer.yml"), outer).expect("written");
    fs::write(folder.join("inner.yml"), inner).expect("written");
    let git = |args: &[&str]| git(&root, &[&["-c", "user.name=T", "-c", "user.email=t@t"], args].concat());
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    git(&["tag", "v1"]);
}

#[test]
fn a_workflow_of_another_repository_is_called_with_inputs_secrets_and_outputs() {
    let project = Project::of_jobs(
        "  call:
    uses: o/shared/.github/workflows/outer.yml@v1
    with: {who: world}
    secrets: inherit
  after:
    needs: call
    runs-on: ubuntu-latest
    steps: [{run: 'echo got ${{ needs.call.outputs.greeting }}'}]
",
    );
    server(&project.home());
    project.configure(&format!("[actions]\n'o/shared' = 'file://{}/server'\n", project.home().display()));
    let offline = project.run(&["--offline", "--secret", "KEY=x1234"]);
    offline.expect(1, &["`o/shared@v1` is not in the cache, and --offline is set"]);
    let said = project.run(&["--secret", "KEY=x1234"]);
    said.expect(0, &["got hello world", "call / inner / say"]);
    said.expect(0, &["of o/shared/.github/workflows/inner.yml@v1 in "]);
    // Fetched workflows are also used without a network, and in plans and questions.
    project.run(&["--offline", "--secret", "KEY=x1234"]).expect(0, &["got hello world"]);
    project.call(&["plan", "ci"]).expect(0, &["call / inner / say"]);
    project.run(&[]).expect(1, &["needs the secret `KEY`"]);
}

#[test]
fn the_default_of_an_input_sees_the_inputs_of_its_own_workflow_when_planned_and_when_run() {
    let project = Project::new(
        "on: {workflow_dispatch: {inputs: {target: {type: string, default: of-the-caller}}}}
jobs: {call: {uses: ./.github/workflows/called.yml, with: {target: of-the-callee}}}
",
    );
    let called = "on:
  workflow_call:
    inputs:
      target: {type: string}
      name: {type: string, default: '${{ inputs.target }}'}
jobs:
  say: {name: 'job ${{ inputs.name }}', runs-on: ubuntu-latest, steps: [{run: 'echo ran ${{ inputs.name }}'}]}
";
    project.write(".github/workflows/called.yml", called);
    project.commit();
    project.call(&["plan", "ci", "--event", "workflow_dispatch"]).expect(0, &["call / job of-the-callee"]);
    project.run(&["ci", "--event", "workflow_dispatch"]).expect(0, &["call / job of-the-callee", "ran of-the-callee"]);
}

#[test]
fn every_workflow_that_cannot_be_had_is_listed_before_the_run() {
    let project = Project::of_jobs(
        "  one: {uses: o/shared/.github/workflows/none.yml@v1}
  two: {uses: o/shared/.github/workflows/outer.yml@v7}
  three:
    runs-on: ubuntu-latest
    steps: [{run: echo alone}]
",
    );
    server(&project.home());
    project.configure(&format!("[actions]\n'o/shared' = 'file://{}/server'\n", project.home().display()));
    let said = project.run(&[]);
    said.expect(1, &["none.yml@v1` cannot be read", "has no tag, branch or commit `v7`", "ci.yml:4:"]);
    assert!(!project.state().join("runs").exists(), "no run was started");
    project.run(&["--job", "three"]).expect(0, &["alone"]);
}

#[test]
fn an_action_beside_a_called_workflow_is_read_in_the_repository_of_that_workflow() {
    let project = Project::of_jobs("  call: {uses: o/shared/.github/workflows/acts.yml@v2}\n");
    server(&project.home());
    let root = project.home().join("server/o/shared");
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    };
    let action =
        |word: &str| format!("name: x\nruns: {{using: composite, steps: [{{shell: sh, run: echo {word}}}]}}\n");
    write(
        ".github/workflows/acts.yml",
        "on: workflow_call
jobs:
  act:
    runs-on: ubuntu-latest
    steps:
      - uses: $/act
      - uses: actions/checkout@v4
      - uses: ./act
      - uses: ./outer
      - run: echo at ${{ job.workflow_sha }} of ${{ job.workflow_repository }}
",
    );
    write("act/action.yml", &action("of the called workflow"));
    // `./` is the workspace, which has the files of the run's repository. In an action of the workspace, `$/` is the
    // workflow's repository as well.
    project.write("act/action.yml", &action("of the workspace"));
    project.write("outer/action.yml", "name: x\nruns: {using: composite, steps: [{uses: $/act}]}\n");
    project.commit();
    git(&root, &["add", "."]);
    git(&root, &["-c", "user.name=T", "-c", "user.email=t@t", "commit", "--quiet", "-m", "two"]);
    git(&root, &["tag", "v2"]);
    let commit = git(&root, &["rev-parse", "HEAD"]);
    project.configure(&format!("[actions]\n'o/shared' = 'file://{}/server'\n", project.home().display()));
    let said = project.run(&[]);
    said.expect(0, &["of the workspace", &format!("at {} of o/shared", commit.trim())]);
    assert_eq!(said.text().matches("of the called workflow\n").count(), 2, "{}", said.text());

    // A missing action is reported before the job starts, even if the run's repository has an action at the same path.
    write(
        ".github/workflows/acts.yml",
        "on: workflow_call\njobs: {act: {runs-on: ubuntu-latest, steps: [{run: echo begun}, {uses: $/outer}]}}\n",
    );
    git(&root, &["-c", "user.name=T", "-c", "user.email=t@t", "commit", "--quiet", "-am", "three"]);
    git(&root, &["tag", "v3"]);
    project.write(
        ".github/workflows/ci.yml",
        "name: CI\non: push\njobs: {call: {uses: o/shared/.github/workflows/acts.yml@v3}}\n",
    );
    let said = project.run(&[]);
    said.expect(1, &["not started: `$/outer` has no action.yml, action.yaml or Dockerfile (of o/shared)"]);
}
