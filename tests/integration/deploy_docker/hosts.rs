//! Deployments to two hosts, which are two engines.

use std::time::Duration;

use crate::project::{Said, until};
use crate::survival::kill_workers_of;

use super::engine::Engine;
use super::load::under_load;
use super::service::{Service, page_at};

/// Short name of the second host.
const SECOND: &str = "second.sock";

/// A service on two hosts.
struct Pair {
    service: Service,
    second: Engine,
}

impl Pair {
    /// Creates the service without a deployed release. `None` where no second engine can be started.
    fn new(environment: &str) -> Option<Self> {
        let second = Engine::start()?;
        let service = Service::new(environment, "")?;
        let images = ["v1", "v2", "sick"].map(|tag| service.image(tag));
        second.load(&[&images[..], &["cuelight-router:local".to_owned()]].concat());
        let pair = Self { service, second };
        pair.settle(environment);
        Some(pair)
    }

    fn settle(&self, environment: &str) {
        let first = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        let hosts = format!("hosts = ['{first}', '{}']\nreplicas = 2", self.second.host());
        self.service.settle(environment, &hosts);
    }

    fn call(&self, args: &[&str]) -> Said {
        self.service.call(args)
    }

    /// Returns the release that each host serves.
    fn pages(&self) -> [Option<String>; 2] {
        [self.service.page(), page_at(&self.second.address, self.service.port)]
    }

    /// Returns the names of the replicas on the second host, sorted.
    fn on_second(&self) -> Vec<String> {
        let filter = "label=dev.cuelight.role=replica";
        let list = self.second.docker(&["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]).expect("it answers");
        let mut names: Vec<String> = list.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Returns the ids of all containers on the second host.
    fn ids_on_second(&self) -> String {
        self.second.docker(&["ps", "-aq", "--no-trunc"]).expect("it answers")
    }

    #[track_caller]
    fn serves(&self, release: &str) {
        assert_eq!(self.pages(), [Some(release.to_owned()), Some(release.to_owned())]);
    }
}

#[test]
fn no_request_is_lost_on_either_of_two_hosts() {
    let Some(pair) = Pair::new("strategy = 'rolling'") else { return };
    pair.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    pair.serves("v1");
    let plan = pair.call(&["deploy", "live", "v2", "--plan"]).out();
    assert!(
        plan.lines().any(|line| line == format!("{SECOND}:")) && plan.contains("before the other hosts follow"),
        "{plan}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&pair.call(&["deploy", "live", "v2", "--plan", "--json"]).out()).expect("JSON");
    assert_eq!(json["steps"][0]["host"], "docker.sock", "{json}");
    let (port, address) = (pair.service.port, pair.second.address.clone());
    for (strategy, release) in [
        ("strategy = 'rolling'", "v2"),
        ("strategy = 'canary'\ncanary.steps = ['10%', 'pause 1s', '50%']", "v1"),
        ("strategy = 'blue-green'\nkeep_old = '1m'", "v2"),
    ] {
        pair.settle(strategy);
        let (requests, failures) = under_load(&[("127.0.0.1", port), (&address, port)], || {
            pair.call(&["deploy", "live", release]).expect(0, &["is live"]);
        });
        eprintln!("{strategy:?}: {requests} requests, {} failed", failures.len());
        assert_eq!(failures, Vec::<String>::new(), "{strategy}: of {requests} requests");
        assert!(requests > 100, "{requests} requests are too few to show anything");
        pair.serves(release);
    }
    let (requests, failures) = under_load(&[("127.0.0.1", port), (&address, port)], || {
        pair.call(&["rollback", "live", "--yes=live"]).expect(0, &["is live"]);
    });
    assert_eq!(failures, Vec::<String>::new(), "rollback: of {requests} requests");
    pair.serves("v1");
}

#[test]
fn a_bad_host_takes_both_back_and_a_bad_release_reaches_only_the_first() {
    let Some(mut pair) = Pair::new("strategy = 'blue-green'") else { return };
    pair.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    let before = pair.ids_on_second();
    let barrier = pair.call(&["deploy", "live", "sick"]);
    barrier.expect(1, &["/health: 500", "serves again", "nothing was changed"]);
    assert_eq!(pair.ids_on_second(), before, "the second host is not touched");
    pair.serves("v1");
    // The image of v2 is another one on the second host, where it is never healthy.
    let (v2, sick) = (pair.service.image("v2"), pair.service.image("sick"));
    pair.second.docker(&["tag", &sick, &v2]).expect("tagged");
    let failed = pair.call(&["deploy", "live", "v2"]);
    failed.expect(1, &[&format!("({SECOND}: Wait until green is healthy) failed"), "serves again"]);
    pair.call(&["explain"]).expect(0, &[SECOND, "the health check is answered with an error"]);
    pair.serves("v1");
    assert_eq!(pair.ids_on_second(), before, "the replicas of v1 were not replaced");
    assert_eq!(pair.service.running(), pair.service.replicas(&["blue-1", "blue-2"]));
    // The lock of another deployment on the second host.
    let owner = "touch /run/held; echo ada@web since 10:00 >/run/cuelight.owner; exec 9>/run/cuelight.lock; flock 9; \
                 while test -e /run/held; do sleep 0.1; done";
    let router = pair.service.container("router");
    pair.second.docker(&["exec", "-d", &router, "sh", "-c", owner]).expect("locked");
    let locked = || pair.second.docker(&["exec", &router, "sh", "-c", "! flock -n /run/cuelight.lock true"]);
    until("the lock is taken", locked);
    let refused = pair.call(&["deploy", "live", "v2"]);
    refused.expect(1, &[SECOND, "another deployment", "ada@web since 10:00", "nothing was changed"]);
    assert_eq!(pair.ids_on_second(), before);
    assert_eq!(pair.service.running(), pair.service.replicas(&["blue-1", "blue-2"]));
    pair.second.docker(&["exec", &router, "rm", "/run/held"]).expect("unlocked");
    // The same engine under two names.
    let twice = "hosts = ['unix:///var/run/docker.sock', 'unix:///run/docker.sock']\nreplicas = 2";
    pair.service.settle("strategy = 'blue-green'", twice);
    pair.call(&["deploy", "live", "v2"]).expect(1, &["is the engine of an earlier host, too"]);
    pair.settle("strategy = 'canary'\ncanary.steps = ['10%', 'pause']");
    // A host that does not answer: before the first change nothing is changed, and in the middle all others go back.
    let run = pair.call(&["deploy", "live", "v2", "--detach"]).out().trim().to_owned();
    until("the canary waits", || pair.service.position(&run).filter(|position| position["done"] == 3));
    pair.second.stop();
    pair.call(&["promote", "live"]).expect(0, &[]);
    until("it has failed", || pair.call(&["deploys"]).out().contains("cannot roll back").then_some(()));
    assert_eq!(pair.service.page().as_deref(), Some("v1"));
    let unreachable = pair.call(&["deploy", "live", "v2"]);
    unreachable.expect(1, &[&format!("{SECOND}: no Docker engine answers at unix://"), "nothing was changed"]);
    pair.second.go_on();
    until("the second host serves again", || pair.pages()[1].clone());
    pair.call(&["abort", "live"]).expect(0, &["serves again"]);
    pair.serves("v1");
    assert_eq!(pair.on_second(), pair.service.replicas(&["blue-1", "blue-2"]));
}

#[test]
fn a_deployment_to_two_hosts_that_is_killed_at_any_step_goes_on_or_back() {
    let Some(pair) = Pair::new("strategy = 'blue-green'") else { return };
    pair.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    let mut live = "v1";
    let (mut resumed, mut aborted) = (0, 0);
    for step in 0.. {
        let next = if live == "v1" { "v2" } else { "v1" };
        let run = pair.call(&["deploy", "live", next, "--detach"]).out().trim().to_owned();
        let is_reached = until(&format!("step {step}"), || {
            let position = pair.service.position(&run)?;
            let done = position["done"].as_u64().unwrap_or_default();
            (done >= step || position["has_ended"] == true).then_some(position["has_ended"] != true)
        });
        std::thread::sleep(Duration::from_millis((step * 70) % 200));
        kill_workers_of(&run);
        let what = format!("step {step}, {next} over {live}");
        assert!(pair.pages().iter().all(Option::is_some), "{what}: nothing serves while it is interrupted");
        if pair.service.has_ended(&run) {
            live = next;
        } else if step % 2 == 0 {
            pair.call(&["resume", &run]).expect(0, &[]);
            (live, resumed) = (next, resumed + 1);
        } else {
            pair.call(&["abort", "live"]).expect(0, &["serves again"]);
            aborted += 1;
        }
        until(&what, || pair.service.has_ended(&run).then_some(()));
        pair.serves(live);
        assert_eq!((pair.service.running().len(), pair.on_second().len()), (2, 2), "{what}");
        if !is_reached {
            break;
        }
    }
    assert!(resumed >= 4 && aborted >= 4, "{resumed} resumed, {aborted} aborted");
}
