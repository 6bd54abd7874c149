//! Deployments to Kubernetes, on a real API server: where `CUELIGHT_K8S` is the kubeconfig of a rig, in which pods run
//! or, in its cheap mode, only the controllers of Deployments and `ReplicaSets`, and of Rollouts where the rig has them.

mod rig;
mod rollouts;

use std::time::Duration;

use crate::project::until;
use crate::survival::kill_workers_of;

use rig::Rig;

const ROLLING: &str = "strategy = 'rolling'\nmax_surge = 1\nmax_unavailable = 0";

#[test]
fn a_deployment_rolls_and_goes_back_to_a_revision_of_its_history() {
    let Some(rig) = Rig::new(ROLLING, "") else { return };
    let steps = ["Start 3 replicas of v2 in green", "Wait until green is healthy", "Stop blue"];
    rig.call(&["deploy", "live", "v2", "--plan"]).expect(0, &steps);
    assert_eq!(rig.image(), "rig/web:v1", "a plan changes nothing");
    rig.call(&["deploy", "live", "v2"]).expect(0, &["Deployment web has v2", "3 pods are updated", "is live"]);
    rig.settled("v2", 3);
    let strategy = "{.spec.strategy.rollingUpdate.maxSurge}/{.spec.strategy.rollingUpdate.maxUnavailable}";
    assert_eq!(rig.field(strategy), "1/0");
    let history = rig.kubectl(&["rollout", "history", "deployment/web"]).expect("a history");
    assert!(history.contains("v2") && history.contains("deployed by cuelight"), "{history}");
    rig.call(&["deploy", "live", "v3"]).expect(0, &["is live"]);
    rig.call(&["rollback", "live", "--to", "v2", "--yes=live"]).expect(0, &["live: v2", "is live"]);
    rig.settled("v2", 3);
    assert_eq!(rig.revisions(), 3, "the revision of v2 is used again");
    assert_eq!(rig.field("{.metadata.annotations.deployment\\.kubernetes\\.io/revision}"), "4");
    // Even without the state folder, the next deployment determines the running release.
    std::fs::remove_dir_all(rig.project.state()).expect("removed");
    rig.settle("strategy = 'recreate'", "replicas = 2");
    rig.call(&["deploy", "live", "v1"]).expect(0, &["Stop ", "Start 2 replicas of v1", "is live"]);
    rig.settled("v1", 2);
    assert_eq!(rig.field("{.spec.strategy.type}"), "Recreate");
}

#[test]
fn a_stalled_rollout_is_undone_and_explained() {
    let Some(rig) = Rig::new(ROLLING, "progress_deadline = '5s'") else { return };
    let failed = rig.call(&["deploy", "live", "crash"]);
    failed.expect(1, &["ProgressDeadlineExceeded", "CrashLoopBackOff", "v1", "serves again"]);
    assert!(!failed.text().contains("during the rollback"), "{}", failed.text());
    rig.settled("v1", 3);
    assert_eq!(rig.revisions(), 2, "the former revision is used again, not a copy");
    rig.call(&["explain"]).expect(0, &["the service ends and is started again and again", "next: `cuelight logs "]);
    rig.call(&["deploy", "live", "v2"]).expect(0, &["is live"]);
}

#[test]
fn a_deployment_whose_worker_was_killed_goes_on_or_goes_back() {
    let Some(rig) = Rig::new(ROLLING, "") else { return };
    for done in 0..3 {
        for (release, order) in [("v2", "resume"), ("slow", "abort")] {
            let run = rig.begun(release, done.min(1));
            std::thread::sleep(Duration::from_millis(done * 150));
            kill_workers_of(&run);
            if rig.has_ended(&run) {
                rig.settled(release, 3);
            } else if order == "resume" {
                rig.call(&["resume", &run]).expect(0, &[]);
                rig.settled(release, 3);
            } else {
                rig.call(&["abort", "live"]).expect(0, &["serves again"]);
                rig.settled("v2", 3);
            }
        }
        rig.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    }
}

#[test]
fn a_rollout_is_paused_and_continues() {
    let Some(rig) = Rig::new(ROLLING, "") else { return };
    let run = rig.begun("slow", 1);
    rig.call(&["pause", "live"]).expect(0, &[]);
    assert_eq!(rig.field("{.spec.paused}"), "true");
    until("the controller has seen the pause", || {
        (rig.field("{.status.observedGeneration}") == rig.field("{.metadata.generation}")).then_some(())
    });
    let running = rig.running();
    assert!(running.len() == 2, "both releases run: {running:?}");
    // All new pods are ready, so only the pause holds the rollout.
    until("all pods are available", || (rig.field("{.status.availableReplicas}") == "4").then_some(()));
    assert_eq!(rig.running(), running);
    rig.call(&["promote", "live"]).expect(0, &[]);
    rig.ended(&run);
    rig.settled("slow", 3);
    rig.call(&["logs", &run, "--step", "2"]).expect(0, &["is paused: `cuelight promote live` continues"]);
}

#[test]
fn a_rollout_that_was_paused_by_a_killed_worker_stays_paused_until_it_is_promoted() {
    let Some(rig) = Rig::new(ROLLING, "") else { return };
    let run = rig.begun("slow", 1);
    rig.call(&["pause", "live"]).expect(0, &[]);
    kill_workers_of(&run);
    assert_eq!(rig.field("{.spec.paused}"), "true");
    rig.call(&["resume", &run, "--detach"]).expect(0, &[]);
    let log = || rig.call(&["logs", &run, "--step", "2"]).text();
    until("the resumed deployment waits for a person", || log().contains("paused by a person").then_some(()));
    assert_eq!(rig.field("{.spec.paused}"), "true");
    until("it goes on", || (rig.call(&["promote", "live"]).code() == 0).then_some(()));
    rig.ended(&run);
    rig.settled("slow", 3);
    assert_ne!(rig.field("{.spec.paused}"), "true");
}

#[test]
fn a_recreated_release_that_fails_is_undone_once() {
    let Some(rig) = Rig::new("strategy = 'recreate'", "progress_deadline = '5s'") else { return };
    let template = rig.field("{.spec.template}");
    rig.call(&["deploy", "live", "crash"]).expect(1, &["ProgressDeadlineExceeded", "serves again"]);
    rig.settled("v1", 3);
    assert_eq!((rig.field("{.spec.template}"), rig.revisions()), (template, 2));
    let revision = "{.metadata.annotations.deployment\\.kubernetes\\.io/revision}";
    assert_eq!(rig.field(revision), "3", "the way back changed the template once");
}

#[test]
fn of_two_machines_exactly_one_deploys() {
    let Some(rig) = Rig::new(ROLLING, "") else { return };
    rig.elsewhere(&["trust"]).expect(0, &[]);
    let run = rig.begun("slow", 1);
    rig.elsewhere(&["deploy", "live", "v3"]).expect(1, &["another deployment to the environment is in progress", &run]);
    rig.ended(&run);
    rig.settled("slow", 3);
    // A lock that its holder does not renew any more is taken.
    let run = rig.begun("v2", 0);
    kill_workers_of(&run);
    until("the controller is done", || (rig.running().len() == 1).then_some(()));
    rig.elsewhere(&["deploy", "live", "v3"]).expect(0, &["is live"]);
    rig.settled("v3", 3);
    // Both begin at the same time.
    let ended = std::thread::scope(|scope| {
        let other = scope.spawn(|| rig.elsewhere(&["deploy", "live", "slow"]));
        let own = rig.call(&["deploy", "live", "slow"]);
        [own, other.join().expect("it ends")]
    });
    let winners = ended.iter().filter(|said| said.code() == 0).count();
    let texts: Vec<String> = ended.iter().map(crate::project::Said::text).collect();
    assert!(winners == 1 && texts.iter().any(|text| text.contains("another deployment")), "{texts:?}");
}

#[test]
fn missing_rights_and_objects_are_named() {
    let Some(rig) = Rig::new(ROLLING, "context = 'rig-viewer'") else { return };
    let refused = rig.call(&["deploy", "live", "v2", "--plan"]);
    let right = format!("restricted: viewer may not get deployments in the namespace {}", rig.namespace);
    refused.expect(4, &[&right, "grant it with a Role"]);
    rig.call(&["deploy", "live", "v2"]).expect(1, &["restricted: viewer may not get leases", "nothing was changed"]);
    rig.settle(ROLLING, "context = 'moon'");
    rig.call(&["deploy", "live", "v2", "--plan"]).expect(4, &["cannot connect to Kubernetes", "moon"]);
    rig.settle(ROLLING, "");
    rig.kubectl(&["set", "image", "deployment/web", "web=rig/web:v3"]).expect("changed");
    rig.settled("v3", 3);
    rig.project.git(&["tag", "-d", "v3"]);
    rig.call(&["deploy", "live", "v2", "--plan"]).expect(4, &["live serves v3, which is not a commit or tag"]);
    rig.kubectl(&["delete", "deployment", "web", "--wait=false"]).expect("deleted");
    rig.call(&["deploy", "live", "v2", "--plan"]).expect(4, &["the Deployment web does not exist", "apply its"]);
}

#[test]
fn a_deployment_waits_for_an_api_server_that_is_gone_for_a_while() {
    let Some(rig) = Rig::new(ROLLING, "") else { return };
    let (proxy, kubeconfig) = rig.proxy();
    rig.settle(ROLLING, &format!("kubeconfig = '{}'", kubeconfig.display()));
    let run = rig.begun("slow", 1);
    let log = || rig.call(&["logs", &run, "--step", "2"]).text();
    until("an answer about the rollout", || log().contains("pods updated").then_some(()));
    proxy.cut(true);
    // Longer than the lease of the lock lasts.
    let is_long = |log: &str| (20..30).any(|age| log.contains(&format!("; {age}s ago: ")));
    until("the last answer is old", || is_long(&log()).then_some(()));
    assert_eq!(rig.position(&run).map(|position| position["has_ended"].clone()), Some(false.into()));
    // A deployment that waits for this one is planned when its turn comes.
    rig.call(&["deploy", "live", "v2", "--plan"]).expect(0, &["is on its way", "waits for its end"]);
    proxy.cut(false);
    rig.ended(&run);
    rig.settled("slow", 3);
    rig.call(&["logs", &run, "--step", "2"]).expect(0, &["no answer from the API server", "s ago: "]);
    proxy.cut(true);
    rig.call(&["deploy", "live", "v2", "--plan"]).expect(4, &["no answer from the API server"]);
    proxy.cut(false);
}

#[test]
fn pods_that_cannot_run_are_explained_from_their_status_and_events() {
    let Some(rig) = Rig::with_pods(ROLLING, "progress_deadline = '8s'") else { return };
    rig.call(&["deploy", "live", "none"]).expect(1, &["rig/web:none", "v1", "serves again"]);
    rig.call(&["explain"]).expect(0, &["rig/web:none does not exist, or may not be pulled"]);
    rig.call(&["logs", "--step", "2"]).expect(0, &["event of web-"]);
    rig.call(&["deploy", "live", "crash"]).expect(1, &["exit code 1", "serves again"]);
    rig.call(&["explain"]).expect(0, &["the service ends and is started again and again"]);
    rig.call(&["logs", "--step", "2"]).expect(0, &["last lines of web in web-"]);
    rig.call(&["deploy", "live", "bad"]).expect(1, &["HTTP probe failed with statuscode: 503", "serves again"]);
    rig.call(&["explain"]).expect(0, &["the health check is answered with an error"]);
    rig.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: few}\nspec: {hard: {pods: '3'}}\n");
    rig.call(&["deploy", "live", "v2"]).expect(1, &["exceeded quota", "serves again"]);
    rig.call(&["explain"]).expect(0, &["a quota of the namespace leaves no room"]);
    rig.kubectl(&["delete", "resourcequota", "few"]).expect("deleted");
    let pin = r#"{"spec": {"template": {"spec": {"nodeSelector": {"disk": "none"}}}}}"#;
    rig.settled("v1", 3);
    rig.kubectl(&["patch", "deployment", "web", "-p", pin]).expect("changed");
    rig.call(&["deploy", "live", "v2"]).expect(1, &["Unschedulable"]);
    rig.call(&["explain"]).expect(0, &["no node of the cluster has room for a pod"]);
}
