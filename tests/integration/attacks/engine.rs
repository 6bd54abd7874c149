//! Container engines that die or stop answering while a job runs. The job must fail soon, and no resource may stay.

use std::process::Stdio;

use crate::docker::{docker, has, nothing_left, of_run};
use crate::project::{Project, Said, copy, until};
use crate::relay::{Relay, Relaying};

const QUICK: &str = "\n  a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}";

/// Runs the workflow until `started` is in a log, and makes the engine fail. Returns the output of the run.
fn fails(project: &Project, relay: &Relay, how: Relaying, started: &str) -> Said {
    let child = project
        .command(&["run", "--trust"])
        .env("DOCKER_HOST", relay.address())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    until("the step runs", || project.call(&["logs"]).out().contains(started).then_some(()));
    relay.set(how);
    Said(child.wait_with_output().expect("ends"))
}

#[test]
fn a_job_whose_engine_dies_fails_and_the_next_cleaning_removes_what_it_left() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let jobs = "
  a:
    runs-on: ubuntu-latest
    container: ci-base:local
    steps:
      - {run: 'echo on; sleep 300 & wait', continue-on-error: true}
      - {run: echo ne''ver, if: always()}
      - {run: echo n''or, if: '!cancelled()'}";
    for (is_local, how) in
        [(true, Relaying::Cut), (true, Relaying::Stalled), (false, Relaying::Cut), (false, Relaying::Stalled)]
    {
        let project = Project::of_jobs(jobs);
        let relay = if is_local { Relay::local(&project.home()) } else { Relay::remote() };
        let said = fails(&project, &relay, how, "on\n");
        let lost = format!("lost the connection to the Docker engine at {}", relay.address());
        said.expect(1, &[&lost, "run `cuelight clean` once the engine answers, to remove what is left there"]);
        assert!(!said.text().contains("never\n") && !said.text().contains("nor\n"), "{how:?}: {}", said.text());
        assert_eq!(project.job("a")["status"], "failure");
        let run = project.run_id();
        assert!(!of_run(&run).is_empty(), "its container could not be removed");
        relay.set(Relaying::Open);
        let clean = project.command(&["clean"]).env("DOCKER_HOST", relay.address()).output().expect("starts");
        Said(clean).expect(0, &["removed"]);
        nothing_left(&run);
    }
}

#[test]
fn a_docker_action_or_a_service_whose_engine_dies_fails_its_job() {
    if !has(&["ci-base:local", "redis:7-alpine"]) {
        return;
    }
    let action = "
  a:
    runs-on: ubuntu-latest
    steps:
      - {uses: 'docker://ci-base:local', with: {entrypoint: /bin/sh, args: '-c \"echo on; sleep 300\"'}}";
    let service = "
  a:
    runs-on: ubuntu-latest
    services: {redis: {image: 'redis:7-alpine'}}
    steps: [{run: echo on; sleep 300}]";
    for (jobs, how) in [(action, Relaying::Cut), (action, Relaying::Stalled), (service, Relaying::Cut)] {
        let project = Project::of_jobs(jobs);
        let relay = Relay::local(&project.home());
        let said = fails(&project, &relay, how, "on\n");
        said.expect(1, &["lost the connection to the Docker engine at"]);
        relay.set(Relaying::Open);
        project.command(&["clean"]).env("DOCKER_HOST", relay.address()).output().expect("starts");
        nothing_left(&project.run_id());
    }
}

#[test]
fn an_engine_that_is_restarted_meanwhile_loses_no_job() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(
        "
  a:
    runs-on: ubuntu-latest
    container: ci-base:local
    steps: [{run: 'echo on; until [ -e go ]; do sleep 0.05; done; echo done'}]",
    );
    let relay = Relay::local(&project.home());
    let child = project
        .command(&["run", "--trust"])
        .env("DOCKER_HOST", relay.address())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    until("the step runs", || project.call(&["logs"]).out().contains("on\n").then_some(()));
    relay.set(Relaying::Cut);
    relay.set(Relaying::Open);
    let id = of_run(&project.run_id()).iter().find_map(|one| one.strip_prefix("container ").map(str::to_owned));
    crate::docker::docker(&["exec", &id.expect("a container"), "touch", "/__w/repository/repository/go"])
        .expect("touched");
    Said(child.wait_with_output().expect("ends")).expect(0, &["done"]);
    nothing_left(&project.run_id());
}

#[test]
fn folders_of_runs_from_elsewhere_name_no_engine_that_is_asked() {
    let (here, there) = (Project::of_jobs(QUICK), Project::of_jobs(QUICK));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("free");
    listener.set_nonblocking(true).expect("set");
    let address = format!("tcp://{}", listener.local_addr().expect("bound"));
    for project in [&here, &there] {
        project.run(&[]).expect(0, &[]);
    }
    // Two run folders arrive as in a bug report: one from another machine, and one from this machine that was sent back
    // with another address and without its end.
    let runs = here.state().join("runs");
    for (from, id) in [(there.run_folder(), "20200101-000000-0001"), (here.run_folder(), "20200101-000000-0002")] {
        let folder = runs.join(id);
        copy(&from, &folder);
        let journal = std::fs::read_to_string(folder.join("events.jsonl")).expect("there");
        let lines: Vec<&str> = journal.lines().filter(|line| !line.contains("\"run_finished\"")).collect();
        std::fs::write(folder.join("events.jsonl"), lines.join("\n") + "\n").expect("written");
        std::fs::write(folder.join("engine"), &address).expect("written");
    }
    here.call(&["runs"]).expect(0, &[]);
    for id in ["20200101-000000-0001", "20200101-000000-0002"] {
        here.call(&["show", id]);
        assert_ne!(here.call(&["shell", id, "a"]).code(), 0);
    }
    here.call(&["doctor"]);
    here.call(&["clean", "--all"]).expect(0, &["3 runs removed"]);
    assert_eq!(listener.accept().expect_err("no connection").kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn an_image_that_lost_its_tag_is_removed_with_the_others() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(
        "\n  a: {runs-on: ubuntu-latest, container: 'ci-base:local', steps: [{run: 'echo x > /new; false'}]}",
    );
    project.run(&[]).expect(1, &[]);
    let tag = format!("cuelight-kept:{}-a", project.run_id());
    let image = docker(&["image", "inspect", "--format", "{{.Id}}", &tag]).expect("it is kept");
    docker(&["tag", "ci-base:local", &tag]).expect("the tag moves to another image");
    docker(&["image", "rm", &tag]).expect("the tag is removed");
    docker(&["image", "inspect", &image]).expect("it is there without a tag");
    project.call(&["clean", "--all"]).expect(0, &[]);
    assert_eq!(docker(&["image", "inspect", &image]), None);
}
