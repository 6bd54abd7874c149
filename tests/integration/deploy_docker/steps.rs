//! Deployments whose worker is killed at every step. They are then resumed or aborted.

use std::time::Duration;

use crate::project::until;
use crate::survival::kill_workers_of;

use super::service::Service;

/// What a person does with a deployment whose worker was killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Resume,
    Abort,
}

/// Deploys v1 and v2 in turn. Kills the worker before and in each step, then resumes the deployment and, in another one,
/// aborts it.
fn killed_at_each_step(strategy: &str, replicas: u32) {
    let Some(service) = Service::new(strategy, &format!("replicas = {replicas}")) else { return };
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    let mut live = "v1";
    let mut done = [0, 0];
    for step in 0.. {
        let mut is_last = false;
        // The plan for several replicas is long: one of both at each step.
        let all = [Then::Resume, Then::Abort];
        let ways = if replicas > 1 { &all[step % 2..=step % 2] } else { &all[..] };
        for &then in ways {
            let next = if live == "v1" { "v2" } else { "v1" };
            let run = service.call(&["deploy", "live", next, "--detach"]).out().trim().to_owned();
            is_last |= !reach(&service, &run, step);
            // Wait into the step, for a different time in each.
            std::thread::sleep(Duration::from_millis((step as u64 * 70) % 200));
            kill_workers_of(&run);
            let what = format!("{strategy}, step {step}, {next} over {live}, {then:?}");
            let is_recreated = strategy.contains("recreate");
            assert!(is_recreated || service.page().is_some(), "{what}: nothing serves while it is interrupted");
            if service.has_ended(&run) {
                live = next;
            } else if then == Then::Resume {
                service.call(&["resume", &run]).expect(0, &[]);
                live = next;
                done[0] += 1;
            } else {
                service.call(&["abort", "live"]).expect(0, &["serves again"]);
                done[1] += 1;
            }
            settled(&service, &run, live, replicas, &what);
        }
        if is_last {
            break;
        }
    }
    assert!(done.into_iter().all(|count| count > 0), "{done:?} resumed and aborted");
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
    until(what, || service.has_ended(run).then_some(()));
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

#[test]
fn a_canary_that_is_killed_at_any_step_goes_on_or_back() {
    killed_at_each_step("strategy = 'canary'\ncanary.steps = ['10%', '50%']", 1);
}

#[test]
fn a_recreated_release_that_is_killed_at_any_step_goes_on_or_back() {
    killed_at_each_step("strategy = 'recreate'", 1);
}
