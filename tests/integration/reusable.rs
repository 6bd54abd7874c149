//! Reusable workflows of other repositories, served by git.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::project::Project;

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
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=T", "-c", "user.email=t@t"];
        let done = Command::new("git").arg("-C").arg(&root).args(who).args(arguments).output().expect("git starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
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
