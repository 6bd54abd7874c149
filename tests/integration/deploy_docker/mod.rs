//! Deployments to Docker: containers behind the router.

mod engine;
mod hosts;
mod load;
mod service;
mod steps;

use std::fs;
use std::process::{Child, Command, Stdio};

use cuelight::rollout::target::docker::remove_service;

use crate::docker::docker;
use crate::project::until;
use crate::survival::kill_workers_of;

use service::{Service, get};

#[test]
fn what_runs_is_read_from_the_containers_alone() {
    let Some(service) = Service::new("strategy = 'blue-green'", "replicas = 2") else { return };
    service.call(&["deploy", "live", "v1"]).expect(0, &["started", "-blue-2 of", "is live"]);
    assert_eq!((service.page().as_deref(), service.running()), (Some("v1"), service.replicas(&["blue-1", "blue-2"])));
    // Even without the state folder, the next deployment finds out what runs.
    fs::remove_dir_all(service.project.state()).expect("removed");
    service.call(&["trust"]).expect(0, &[]);
    service.call(&["deploy", "live", "v2"]).expect(0, &["Stop blue", "is live"]);
    assert_eq!((service.page().as_deref(), service.running()), (Some("v2"), service.replicas(&["green-1", "green-2"])));
    // After a restart, the router has its weights again.
    docker(&["restart", "-t", "1", &service.container("router")]).expect("restarted");
    until("the router serves again", || service.page());
    // There are more replicas than the router has places for, so it gets another configuration.
    service.settle("strategy = 'rolling'\nmax_surge = 5", "replicas = 5");
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    let all: Vec<String> = (1..=5).map(|number| format!("blue-{number}")).collect();
    assert_eq!(service.running(), service.replicas(&all.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(service.page().as_deref(), Some("v1"));
    // If replicas of the live release are gone, the next deployment starts them again before it replaces them.
    docker(&["rm", "-f", &service.container("blue-3")]).expect("removed");
    service.call(&["deploy", "live", "v2"]).expect(0, &["is live"]);
    assert_eq!((service.page().as_deref(), service.running().len()), (Some("v2"), 5));
}

#[test]
fn a_configuration_that_the_router_has_not_read_is_read_by_the_next_deployment() {
    let Some(service) = Service::new("strategy = 'rolling'", "replicas = 5") else { return };
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    let router = service.container("router");
    let (inside, kept) = (format!("{router}:/etc/cuelight-router.cfg"), service.project.home().join("router.cfg"));
    let kept = kept.display().to_string();
    docker(&["cp", &inside, &kept]).expect("copied");
    service.settle("strategy = 'rolling'", "replicas = 1");
    // The second one finds no replicas with higher numbers any more, so the router has fewer places.
    for release in ["v2", "v1"] {
        service.call(&["deploy", "live", release]).expect(0, &["is live"]);
    }
    // A worker was killed after it had replaced the file.
    docker(&["cp", &kept, &inside]).expect("copied");
    service.settle("strategy = 'rolling'", "replicas = 5");
    service.call(&["deploy", "live", "v2"]).expect(0, &["is live"]);
    assert_eq!((service.page().as_deref(), service.running().len()), (Some("v2"), 5));
}

#[test]
fn all_that_deployments_of_a_service_left_is_removed() {
    let Some(service) = Service::new("strategy = 'rolling'", "replicas = 2") else { return };
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    let images = ["v1", "v2", "none"].map(|tag| format!("{}:{tag}", service.name));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let removed = runtime.block_on(remove_service(&service.name, &images)).expect("removed");
    let mut names: Vec<String> = removed.iter().map(|one| format!("{} {}", one.kind.word(), one.name)).collect();
    names.sort();
    let container = |name: &str| format!("container {}", service.container(name));
    let network = format!("network {}-live", service.name);
    let mut expected = vec![container("blue-1"), container("blue-2"), container("router"), network];
    expected.extend(images[..2].iter().map(|image| format!("image {image}")));
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!((service.page(), service.running()), (None, Vec::new()));
    let again = runtime.block_on(remove_service(&service.name, &images)).expect("nothing is left");
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn a_release_that_never_is_healthy_is_explained_and_gets_no_traffic() {
    let Some(service) = Service::new("strategy = 'blue-green'", "") else { return };
    let first = service.call(&["deploy", "live", "v1"]);
    first.expect(0, &["is live"]);
    assert_eq!(first.text().matches(":v1 is sha256:").count(), 1, "{}", first.text());
    let failed = service.call(&["deploy", "live", "ends"]);
    failed.expect(1, &["its last line: cannot open the database", "v1", "serves again", "likely cause: Wait until"]);
    service.call(&["explain"]).expect(0, &["the service end", "started again", "next: `cuelight logs "]);
    let failed = service.call(&["deploy", "live", "sick"]);
    failed.expect(1, &["GET", "/health: 500", "serves again"]);
    service.call(&["explain"]).expect(0, &["the health check is answered with an error", "/health: 500"]);
    service.call(&["logs", "--step", "2"]).expect(0, &["last lines of", "sick listens"]);
    assert_eq!((service.page().as_deref(), service.running()), (Some("v1"), service.replicas(&["blue-1"])));
    service.call(&["deploy", "live", "none"]).expect(1, &["none", "serves again"]);
    let explained = service.call(&["explain", "--json"]).out();
    let mut documents = explained.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let explained = documents.find(|document| document["failure"].is_object()).expect("a failure");
    // Without a network, Docker cannot ask the registry whether it has the image.
    let cause = &explained["failure"]["cause"];
    assert!(cause == "image_missing" || cause == "registry_unreachable", "{explained}");
    assert!(explained["failure"]["evidence"].as_str().is_some_and(|text| text.contains(":none")), "{explained}");
}

#[test]
fn a_release_that_does_not_stay_up_goes_back_although_it_was_healthy() {
    let Some(service) = Service::new("strategy = 'blue-green'\npause = 'person'", "replicas = 2") else { return };
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    // Its replicas end three seconds after each start, and are healthy in between.
    let failed = service.call(&["deploy", "live", "dies"]);
    failed.expect(1, &["does not stay up", "exit code 3", "restarted", "its last line: dies listens", "serves again"]);
    service.call(&["explain"]).expect(0, &["the service end", "started again"]);
    assert_eq!((service.page().as_deref(), service.running()), (Some("v1"), service.replicas(&["blue-1", "blue-2"])));
}

#[test]
fn replicas_that_are_being_stopped_are_not_taken_for_a_release_that_is_kept() {
    let Some(service) = Service::new("strategy = 'blue-green'", "") else { return };
    service.call(&["deploy", "live", "stays"]).expect(0, &["is live"]);
    // The release ends only when it is killed, some seconds after it was told to.
    let run = service.call(&["deploy", "live", "v1", "--detach"]).out().trim().to_owned();
    until("the stop of blue begins", || {
        let router = service.container("router");
        let state = docker(&["exec", &router, "sh", "-c", "echo show servers state | nc 127.0.0.1 9999"])?;
        // The administrative state is the seventh column.
        let blue =
            state.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|row| row.get(3) == Some(&"blue1"))?;
        (blue[6].parse::<u32>().ok()? & 1 == 1).then_some(())
    });
    kill_workers_of(&run);
    assert_eq!(service.running(), service.replicas(&["blue-1", "green-1"]));
    service.call(&["deploy", "live", "stays"]).expect(0, &["Stop blue", "Start 1 replica of stays in blue", "is live"]);
    assert_eq!((service.page().as_deref(), service.running()), (Some("stays"), service.replicas(&["blue-1"])));
}

#[test]
fn a_router_that_does_not_run_is_said_and_the_plan_is_the_one_that_is_carried_out() {
    let canary = "strategy = 'canary'\ncanary.steps = ['10%', '50%']";
    let Some(service) = Service::new(canary, "replicas = 2") else { return };
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    docker(&["kill", &service.container("router")]).expect("killed");
    let note = format!("the router {} does not run", service.container("router"));
    let plan = service.call(&["deploy", "live", "v2", "--plan"]);
    plan.expect(0, &[&note, "the deployment starts it first", "live: v1 ", "Send 10 % of the traffic to green"]);
    service.call(&["env", "live"]).expect(0, &[&note]);
    let run = service.call(&["deploy", "live", "v2", "--detach"]).out().trim().to_owned();
    until("it has ended", || service.has_ended(&run).then_some(()));
    let position = service.position(&run).expect("a position");
    let done = position["plan"]["steps"].as_array().map_or(0, Vec::len);
    let is_step = |line: &&str| line.trim_start().starts_with(|first: char| first.is_ascii_digit());
    assert_eq!(plan.out().lines().filter(is_step).count(), done, "{}", plan.out());
    assert_eq!(service.page().as_deref(), Some("v2"));
}

#[test]
fn a_kept_release_serves_at_once_when_the_live_one_has_ended() {
    let Some(service) = Service::new("strategy = 'blue-green'\nkeep_old = '10m'", "replicas = 2") else { return };
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    let run = service.call(&["deploy", "live", "v2", "--detach"]).out().trim().to_owned();
    until("v1 is kept", || {
        let position = service.position(&run)?;
        let steps = position["plan"]["steps"].as_array()?.len() as u64;
        (position["done"] == steps - 1 && service.page().as_deref() == Some("v2")).then_some(())
    });
    let started = || {
        let blue = service.replicas(&["blue-1", "blue-2"]);
        docker(&["inspect", "-f", "{{.Id}} {{.State.StartedAt}}", &blue[0], &blue[1]]).expect("v1 is kept")
    };
    let before = started();
    docker(&["kill", &service.container("green-1"), &service.container("green-2")]).expect("killed");
    until("nothing serves", || service.page().is_none().then_some(()));
    let rollback = service.call(&["rollback", "live", "--yes=live", "--detach"]);
    rollback.expect(0, &["this only moves the traffic", "Open blue, where v1 still runs"]);
    until("v1 serves again", || (service.page().as_deref() == Some("v1")).then_some(()));
    assert_eq!(started(), before, "no replica was started for the rollback");
    until("what has ended is removed", || (service.running() == service.replicas(&["blue-1", "blue-2"])).then_some(()));
}

#[test]
fn a_live_release_that_ends_again_and_again_is_not_taken_for_one_that_serves() {
    let canary = "strategy = 'canary'\ncanary.steps = ['10%', '50%']";
    let Some(service) = Service::new(canary, "") else { return };
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    let blue = service.container("blue-1");
    until("the engine has started the replica again three times", || {
        get("127.0.0.1", service.port, "/end");
        let restarts = docker(&["inspect", "-f", "{{.RestartCount}}", &blue])?;
        (restarts.trim().parse::<u32>().ok()? >= 3).then_some(())
    });
    until("it runs for a moment", || service.page());
    let note = format!("started again and again: {blue} (");
    service.call(&["env", "live"]).expect(0, &["0/1 healthy", &note]);
    let plan = service.call(&["deploy", "live", "v2", "--plan"]);
    plan.expect(0, &[&note, "Send 100 % of the traffic to green", "Stop blue"]);
    assert!(!plan.out().contains("10 %"), "nothing serves, so no share of the traffic is tried: {}", plan.out());
}

#[test]
fn replicas_whose_health_check_is_slow_serve() {
    let Some(service) = Service::new("strategy = 'rolling'", "replicas = 2") else { return };
    service.call(&["deploy", "live", "late"]).expect(0, &["is live"]);
    let refused = (0..30).filter(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        service.page().as_deref() != Some("late")
    });
    assert_eq!(refused.count(), 0, "requests that were not served");
}

#[test]
fn a_port_of_another_container_is_not_taken_from_it() {
    let Some(service) = Service::new("strategy = 'blue-green'", "") else { return };
    let (port, other) = (format!("{}:80", service.port), format!("{}-by-hand", service.name));
    docker(&["run", "-d", "--init", "--name", &other, "-p", &port, "busybox:local", "sleep", "60"]).expect("it runs");
    let refused = service.call(&["deploy", "live", "v1"]);
    refused.expect(1, &["is published by the container", &other, &format!("docker stop {other}"), "target.publish"]);
    assert_eq!(service.running(), service.replicas(&[]));
    docker(&["rm", "-f", &other]).expect("removed");
    let taken = service.container("blue-1");
    docker(&["create", "--name", &taken, "busybox:local"]).expect("made");
    service.call(&["deploy", "live", "v1"]).expect(1, &["a container that cuelight did not start is named", &taken]);
    docker(&["rm", &taken]).expect("removed: it was left alone");
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    // Another port for the router would interrupt the service.
    service.settle("strategy = 'blue-green'", "publish = 1");
    service.call(&["deploy", "live", "v2"]).expect(1, &["publishes port", "and target.publish is 1"]);
    assert_eq!(service.page().as_deref(), Some("v1"));
}

#[test]
fn deployments_from_two_machines_do_not_meet() {
    let steps = "strategy = 'canary'\ncanary.steps = ['10%', 'pause']";
    let Some(service) = Service::new(steps, "") else { return };
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    let run = service.call(&["deploy", "live", "v2", "--detach"]).out().trim().to_owned();
    until("the canary waits", || service.position(&run).filter(|position| position["done"] == 3));
    let elsewhere = |args: &[&str]| service.project.call_elsewhere(args);
    elsewhere(&["trust"]).expect(0, &[]);
    let refused = elsewhere(&["deploy", "live", "v1"]);
    refused.expect(1, &["another deployment to the environment is in progress", &run]);
    // The lock ends with the process that holds it.
    kill_workers_of(&run);
    let refused = elsewhere(&["deploy", "live", "v1"]);
    refused.expect(1, &["is between two releases", "10 % to green"]);
    service.call(&["abort", "live"]).expect(0, &[]);
    until("v1 serves alone", || (service.running() == service.replicas(&["blue-1"])).then_some(()));
    service.settle("strategy = 'blue-green'", "");
    elsewhere(&["deploy", "live", "v1"]).expect(0, &["is live"]);
}

#[test]
fn a_tag_that_has_moved_is_noticed_and_a_rollback_starts_the_former_image() {
    let Some(service) = Service::new("strategy = 'recreate'", "keep_images = 2") else { return };
    let id_of = |image: &str| docker(&["image", "inspect", "--format", "{{.Id}}", image]);
    for release in ["v1", "v2"] {
        service.call(&["deploy", "live", release]).expect(0, &["is live"]);
    }
    let (first, second) = (id_of(&service.image("v1")).expect("v1"), id_of(&service.image("v2")).expect("v2"));
    docker(&["tag", &service.image("v2"), &service.image("v1")]).expect("moved");
    service.call(&["rollback", "live", "--yes=live"]).expect(0, &["is the image of the earlier deployment", "is live"]);
    assert_eq!(service.page().as_deref(), Some("v1"), "the image that was v1, whatever its name stands for now");
    service.call(&["deploy", "live", "v2"]).expect(0, &["is live"]);
    let moved = format!("{} has moved: it was {first} when v1 ", service.image("v1"));
    service.call(&["deploy", "live", "v1"]).expect(0, &[&moved, &format!(", and is {second} now"), "is live"]);
    service.call(&["audit"]).expect(0, &["has the image", "has moved: it was "]);
    assert_eq!(service.page().as_deref(), Some("v2"), "a new deployment takes what the name stands for");
    // The images of the two newest releases stay: that of v1 and v2, which is the same now, and that of late.
    service.call(&["deploy", "live", "late"]).expect(0, &["is live"]);
    until("the image is removed", || id_of(&first).is_none().then_some(()));
    assert!(id_of(&second).is_some());
    until("it is in the ledger", || service.call(&["audit"]).out().contains("removed old images").then_some(()));
}

#[test]
fn a_router_with_many_connections_to_its_commands_is_changed_nevertheless() {
    let Some(service) = Service::new("strategy = 'blue-green'", "") else { return };
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    // Each worker that keeps a former release has a connection, and so has each screen.
    let router = service.container("router");
    let open = || {
        let mut command = Command::new("docker");
        command.args(["exec", "-i", &router, "nc", "127.0.0.1", "9999"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("docker starts")
    };
    let mut connections: Vec<Child> = (0..12).map(|_| open()).collect();
    until("all are connected", || {
        let sockets = docker(&["exec", &router, "netstat", "-tn"])?;
        (sockets.matches(":9999 ").count() >= 24).then_some(())
    });
    service.call(&["deploy", "live", "v2"]).expect(0, &["is live"]);
    assert_eq!(service.page().as_deref(), Some("v2"));
    for connection in &mut connections {
        connection.kill().expect("it runs");
        connection.wait().expect("ended");
    }
}
