//! Deployments whose worker is killed at every step. They are then resumed or aborted.

use std::time::Duration;

use crate::project::until;

use super::service::{Service, kill_worker};

/// Kills the worker of a deployment of v2 over v1 before and in each step, then resumes or aborts it.
fn killed_at_each_step(strategy: &str, replicas: u32) {
    let Some(service) = Service::new(strategy, &format!("replicas = {replicas}")) else { return };
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    let mut live = "v1";
    let (mut at, mut resumed, mut aborted) = (0, 0, 0);
    loop {
        let next = if live == "v1" { "v2" } else { "v1" };
        let run = service.call(&["deploy", "live", next, "--detach"]).out().trim().to_owned();
        let reached = reach(&service, &run, at);
        // Wait into the step, for a different time in each.
        std::thread::sleep(Duration::from_millis((at as u64 * 70) % 200));
        kill_worker(&run);
        let what = format!("{strategy}, step {at}, {next} over {live}");
        let is_over = service.position(&run).is_some_and(|position| position["has_ended"] == true);
        if is_over {
            live = next;
        } else if at % 2 == 0 {
            service.call(&["resume", &run]).expect(0, &[]);
            live = next;
            resumed += 1;
        } else {
            service.call(&["abort", "live"]).expect(0, &["serves again"]);
            aborted += 1;
        }
        settled(&service, &run, live, replicas, &what);
        if !reached {
            break;
        }
        at += 1;
    }
    assert!(at >= 5, "the plan has at least 5 steps, and {at} were seen");
    assert!(resumed > 0 && aborted > 0, "{resumed} resumed, {aborted} aborted");
}

/// Waits until this number of steps is done. Returns whether the deployment has as many steps.
fn reach(service: &Service, run: &str, wanted: usize) -> bool {
    until(&format!("step {wanted}"), || {
        let position = service.position(run)?;
        let done = position["done"].as_u64().unwrap_or_default() as usize;
        let all = position["plan"]["steps"].as_array().map_or(0, Vec::len);
        (done >= wanted || position["has_ended"] == true).then_some(done >= wanted && wanted < all)
    })
}

/// Asserts that a deployment has ended, and that one release has its replicas and all requests.
fn settled(service: &Service, run: &str, live: &str, replicas: u32, what: &str) {
    let serves_alone = || {
        let pages = (0..6).all(|_| service.page().as_deref() == Some(live));
        (pages && service.running().len() == replicas as usize).then_some(())
    };
    until(what, serves_alone);
    until(what, || (service.position(run)?["has_ended"] == true).then_some(()));
    service.call(&["abort", "live"]).expect(3, &["no deployment to live is in progress"]);
    assert_eq!(service.page().as_deref(), Some(live), "{what}");
}

#[test]
fn a_blue_green_deployment_that_is_killed_at_any_step_goes_on_or_back() {
    killed_at_each_step("strategy = 'blue-green'", 1);
}

#[test]
fn a_rolling_deployment_that_is_killed_at_any_step_goes_on_or_back() {
    killed_at_each_step("strategy = 'rolling'", 2);
}
