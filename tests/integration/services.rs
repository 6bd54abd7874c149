//! Services: they are healthy before the first step, steps can reach them, and their changes are recorded.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::docker::{docker, has, nothing_left};
use crate::project::{Project, until};

const IMAGES: &[&str] = &["ci-base:local", "redis:7-alpine", "postgres:15-alpine"];

/// A step that pings a redis.
const PING: &str = r#"import os, socket; s = socket.create_connection((os.environ["AT"], int(os.environ["PORT"])), 5); s.sendall(b"PING\r\n"); print(s.recv(9))"#;

#[test]
fn services_are_healthy_and_reached_from_the_machine_and_from_containers() {
    if !has(IMAGES) {
        return;
    }
    let ping = |at: &str, port: &str| {
        format!("      - {{shell: 'python3 {{0}}', run: '{PING}', env: {{AT: {at}, PORT: '{port}'}}}}\n")
    };
    let service = "    services:\n      redis: {image: 'redis:7-alpine', ports: [6379], options: '--health-cmd \"redis-cli ping\" --health-interval 1s'}\n";
    let assigned = "${{ job.services.redis.ports[''6379''] }}";
    let jobs = format!(
        "  host:\n    runs-on: ubuntu-latest\n{service}    steps:\n{}{}  inside:\n    runs-on: ubuntu-latest\n    container: ci-base:local\n{service}    steps:\n{}  labelled:\n    runs-on: in-docker\n{service}    steps:\n{}",
        ping("localhost", assigned),
        "      - run: test -n '${{ job.services.redis.network }}' && test -n '${{ job.services.redis.id }}'\n",
        ping("redis", "6379"),
        ping("localhost", assigned),
    );
    let project = Project::of_jobs(&jobs);
    project.configure("[runs-on]\nin-docker = 'docker:ci-base:local'\n");
    let said = project.run(&[]);
    said.expect(0, &["service redis starting", "service redis healthy  localhost:", "PONG"]);
    assert_eq!(said.out().matches("PONG").count(), 3, "{}", said.out());
    assert_eq!(project.job("host")["services"][0]["state"], "stopped");
    nothing_left(&project.run_id());
}

/// The log of a service is followed while its job runs, and kept afterwards.
#[test]
fn the_log_of_a_service_can_be_read_while_it_runs_and_afterwards() {
    if !has(IMAGES) {
        return;
    }
    let project = Project::of_jobs(
        "
  a:
    runs-on: ubuntu-latest
    services:
      redis: {image: 'redis:7-alpine'}
      busy: {image: 'redis:7-alpine', command: 'sh -c \"while sleep 0.1; do echo on; done\"'}
    steps: [{run: exec sleep 1000}]",
    );
    project.run(&["--detach"]).expect(0, &[]);
    let starts = "Redis is starting";
    let mut command = project.command(&["logs", "--service", "redis"]);
    until("the service runs", || (project.show()["jobs"][0]["services"][0]["state"] == "running").then_some(()));
    let mut follower = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(follower.stdout.take().expect("a pipe")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains(starts))), "the log is followed");
    // Following ends once its output is closed.
    let mut command = project.command(&["logs", "--service", "busy"]);
    let mut unread = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    let first = BufReader::new(unread.stdout.take().expect("a pipe")).lines().next();
    assert_eq!(first.expect("a line").expect("text"), "on");
    assert!(unread.wait().expect("it ends").success());
    project.call(&["cancel"]).expect(0, &[]);
    project.call(&["attach"]).expect(130, &[]);
    // The log ends with its container.
    assert!(follower.wait().expect("it ends").success());
    project.call(&["logs", "--service", "redis"]).expect(0, &[starts, "Ready to accept connections"]);
    project.call(&["logs", "--step", "Stop containers"]).expect(0, &["Log of service `redis`", starts]);
    project.call(&["logs", "--service", "db"]).expect(3, &["no service `db` in ", "redis"]);
    nothing_left(&project.run_id());
}

#[test]
fn an_unhealthy_service_fails_the_job_with_its_output() {
    if !has(IMAGES) {
        return;
    }
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    services:
      postgres:
        image: postgres:15-alpine
        env: {POSTGRES_PASSWORD: x}
        options: --health-cmd "echo no such luck; exit 1" --health-interval 1s --health-retries 2
      broken: {image: 'postgres:15-alpine', options: '--health-cmd pg_isready --health-interval 1s'}
    steps: [{run: echo never}]"#,
    );
    let said = project.run(&[]);
    said.expect(
        1,
        &[
            "service `postgres` (postgres:15-alpine) is unhealthy: its health check exits with 1: no such luck; its log ends:",
            "service `broken` (postgres:15-alpine) has ended: exit code 1; its log ends:",
            "POSTGRES_PASSWORD is",
        ],
    );
    assert!(!said.out().contains("never\n"));
    nothing_left(&project.run_id());
}

#[test]
fn a_missing_service_image_is_reported_with_its_position() {
    if !has(IMAGES) {
        return;
    }
    let project = Project::of_jobs(
        "
  a:
    runs-on: ubuntu-latest
    services:
      db:
        image: no-such-image:of-ours
    steps: [{run: echo never}]",
    );
    let place = ".github/workflows/ci.yml:9:16: service `db` needs the image no-such-image:of-ours";
    project.run(&[]).expect(1, &["not started", place]);
    assert_eq!(project.job("a")["started"], serde_json::Value::Null);
}

#[test]
fn without_an_engine_jobs_that_need_one_fail_before_they_start() {
    let project = Project::of_jobs(
        "
  a: {runs-on: ubuntu-latest, services: {redis: {image: 'redis:7-alpine'}}, steps: [{run: echo never}]}
  b: {runs-on: ubuntu-latest, container: 'redis:7-alpine', steps: [{run: echo never}]}
  c: {runs-on: ubuntu-latest, steps: [{uses: 'docker://redis:7-alpine'}]}
  d: {runs-on: ubuntu-latest, steps: [{run: echo fine}]}",
    );
    let said = project.call_with("DOCKER_HOST", "unix:///nowhere", &["run", "--trust"]);
    let why = "needs a container engine: no container engine answers (unix:///nowhere";
    let message = |who: &str| format!("not started: {who} {why}");
    let words = ["its service `redis`", "its container (redis:7-alpine)", "`docker://redis:7-alpine`"].map(message);
    said.expect(1, &[&words[0], &words[1], &words[2], "start Docker or podman, or set DOCKER_HOST", "fine"]);
    for job in ["a", "b", "c"] {
        assert_eq!(project.job(job)["started"], serde_json::Value::Null, "{job}");
    }
}

#[test]
fn the_end_of_a_service_is_recorded_immediately() {
    if !has(IMAGES) {
        return;
    }
    let project = Project::of_jobs(
        "
  a:
    runs-on: ubuntu-latest
    services: {redis: {image: 'redis:7-alpine'}}
    steps: [{run: 'echo on; until test -e \"$MARK\"; do sleep 0.1; done; exit 1'}]",
    );
    let mark = project.state().join("mark");
    let done = project.command(&["run", "--trust", "--detach"]).env("MARK", &mark).output().expect("starts");
    assert!(done.status.success());
    until("the step runs", || project.call(&["logs"]).out().contains("on\n").then_some(()));
    docker(&["kill", &format!("cuelight-{}-a.service.redis", project.run_id())]).expect("killed");
    until("the end is recorded", || (project.job("a")["services"][0]["state"] == "exited").then_some(()));
    assert_eq!(project.job("a")["status"], "in_progress", "the job goes on");
    std::fs::write(&mark, "").expect("written");
    project
        .call(&["attach"])
        .expect(1, &["service redis exited: exit code 137", "service `redis` exited: exit code 137"]);
}

#[test]
fn a_shared_port_waits_on_the_machine_but_not_in_docker() {
    if !has(IMAGES) {
        return;
    }
    let project = Project::of_jobs(&format!(
        "
  a:
    runs-on: ubuntu-latest
    strategy: {{matrix: {{n: [1, 2]}}}}
    services: {{redis: {{image: 'redis:7-alpine', ports: ['17213:6379']}}}}
    steps:
      - {{shell: 'python3 {{0}}', run: '{PING}', env: {{AT: localhost, PORT: 17213}}}}
      - run: sleep 1"
    ));
    let on_host = project.run(&["--max-parallel", "2"]);
    on_host.expect(0, &["waits for port 17213 of this machine, which a ("]);
    let in_docker = project.run(&["--max-parallel", "2", "--sandbox", "docker:ci-base:local"]);
    in_docker.expect(0, &["PONG"]);
    assert!(!in_docker.out().contains("waits for port"), "{}", in_docker.out());
}
