//! Containers of jobs and actions: they get neither Docker's socket nor the tools of other runs unless that is asked for.

use crate::docker::{has, nothing_left};
use crate::project::Project;

const LOOKS: &str = r#"
  a:
    runs-on: ubuntu-latest
    container: 'ci-base:local'
    steps:
      - run: test -S /var/run/docker.sock && echo "a socket" || echo "no socket"
      - run: test "$RUNNER_TOOL_CACHE" = /__t; ls /__t; echo tools=$(ls /__t | wc -l); echo evil > /__t/node
      - {uses: 'docker://ci-base:local', with: {entrypoint: /bin/sh, args: '-c "test -S /var/run/docker.sock && echo socket=yes || echo socket=no"'}}"#;

#[test]
fn a_container_gets_no_socket_and_no_tools_of_other_runs() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(LOOKS);
    for _ in 0..2 {
        project.run(&[]).expect(0, &["no socket", "socket=no", "tools=0"]);
    }
    let tools = project.state().parent().expect("a parent").join("cache/cuelight/tools");
    assert!(!tools.join("node").exists());
    assert!(!project.call(&["doctor"]).text().contains("Docker's socket"));
}

#[test]
fn what_is_asked_for_is_said_by_doctor_and_in_the_record() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(LOOKS);
    project.configure("[docker]\nsocket = true\n");
    project.run(&[]).expect(0, &["a socket", "socket=yes", "Docker's socket is mounted"]);
    assert!(project.call(&["doctor"]).text().contains("containers get Docker's socket"));
    let spec = std::fs::read_to_string(project.run_folder().join("run.json")).expect("there");
    assert!(spec.contains("\"docker_socket\": true"));
    nothing_left(&project.run_id());
}

#[test]
fn a_repository_cannot_ask_for_the_socket() {
    let project = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}");
    project.write(".cuelight.toml", "[docker]\nsocket = true\n");
    project.commit();
    let said = project.run(&[]);
    assert!(said.code() != 0 && said.text().contains("docker.socket"), "{}", said.text());
}
