//! Deployments to a Rollout of Argo Rollouts.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use super::rig::Rig;
use crate::project::until;
use crate::survival::kill_workers_of;

const CANARY: &str = "strategy = 'canary'\ncanary.steps = ['20%', 'pause', '60%', 'pause']";

const STEPS: &str =
    "canary: {maxSurge: 1, maxUnavailable: 0, steps: [{setWeight: 20}, {pause: {}}, {setWeight: 60}, {pause: {}}]}";

const BLUE_GREEN: &str = "blueGreen: {activeService: web, previewService: next, autoPromotionEnabled: false, scaleDownDelaySeconds: 20, abortScaleDownDelaySeconds: 1}";

impl Rig {
    /// Waits until the Rollout has a phase, and its deployment has noticed: the last note on the screen has this text.
    fn rests(&self, run: &str, phase: &str, text: &str) {
        until(&format!("the Rollout is {phase}"), || (self.field("{.status.phase}") == phase).then_some(()));
        until(&format!("the screen shows {text:?}"), || self.note(run).filter(|note| note.contains(text)));
    }

    /// Returns what a deployment shows about the Rollout.
    fn note(&self, run: &str) -> Option<String> {
        let shown: Value = serde_json::from_str(&self.call(&["show", run, "--json"]).out()).ok()?;
        shown["jobs"][0]["traffic"]["note"].as_str().map(str::to_owned)
    }

    /// Returns the selector of the Service `web`: which pods get the traffic.
    fn active(&self) -> String {
        self.kubectl(&["get", "service", "web", "-o", "jsonpath={.spec.selector}"]).unwrap_or_default()
    }

    fn is_healthy(&self) {
        until("the Rollout is healthy", || (self.field("{.status.phase}") == "Healthy").then_some(()));
    }

    /// Waits until this number of pods has a release.
    fn has(&self, release: &str, replicas: u64) {
        let pods = (format!("rig/web:{release}"), replicas);
        until(&format!("{replicas} pods of {release}"), || self.running().contains(&pods).then_some(()));
    }
}

#[test]
fn a_canary_is_promoted_step_by_step_aborted_and_undone() {
    let Some(rig) = Rig::with_rollout(CANARY, "", STEPS) else { return };
    let steps = [
        "Start 1 replica of v2 in green",
        "Send 20 % of the traffic to green",
        "Wait for `cuelight promote`",
        "Stop blue",
    ];
    rig.call(&["deploy", "live", "v2", "--plan"]).expect(0, &steps);
    let run = rig.begun("v2", 3);
    rig.rests(&run, "Paused", "CanaryPauseStep, step 2 of 4: pause");
    rig.has("v2", 1);
    rig.call(&["promote", "live"]).expect(0, &[]);
    rig.rests(&run, "Paused", "step 4 of 4: pause");
    rig.has("v2", 3);
    rig.call(&["promote", "live"]).expect(0, &[]);
    rig.ended(&run);
    rig.settled("v2", 5);
    rig.is_healthy();
    // Aborted at its first pause, the former release gets all traffic, and its template.
    let run = rig.begun("v3", 3);
    rig.rests(&run, "Paused", "step 2 of 4");
    rig.call(&["abort", "live"]).expect(0, &["goes back to the former release"]);
    rig.ended(&run);
    rig.settled("v2", 5);
    rig.is_healthy();
    assert_eq!((rig.image().as_str(), rig.revisions()), ("rig/web:v2", 3), "the former revision is used again");
    rig.call(&["logs", &run]).expect(0, &["the Rollout web is aborted: the former pods get all traffic"]);
    // Promoted fully, the pauses of the Rollout are skipped, too.
    let run = rig.begun("v3", 3);
    rig.rests(&run, "Paused", "step 2 of 4");
    rig.call(&["promote", "live", "--full"]).expect(0, &[]);
    rig.ended(&run);
    rig.settled("v3", 5);
    rig.is_healthy();
}

#[test]
fn a_canary_that_never_becomes_ready_is_undone() {
    let Some(rig) = Rig::with_rollout(CANARY, "progress_deadline = '5s'", STEPS) else { return };
    rig.call(&["deploy", "live", "bad"]).expect(1, &["ProgressDeadlineExceeded", "v1", "serves again"]);
    rig.settled("v1", 5);
    rig.is_healthy();
    rig.call(&["deploys"]).expect(0, &["rolled back"]);
}

#[test]
fn a_canary_whose_worker_was_killed_goes_on_or_goes_back() {
    let Some(rig) = Rig::with_rollout(CANARY, "", STEPS) else { return };
    for done in 0..4 {
        let run = rig.begun("v2", done);
        kill_workers_of(&run);
        rig.call(&["abort", "live"]).expect(0, &["serves again"]);
        rig.settled("v1", 5);
        rig.is_healthy();
    }
    let run = rig.begun("v2", 3);
    kill_workers_of(&run);
    rig.call(&["resume", &run, "--detach"]).expect(0, &[]);
    until("it has ended", || {
        rig.call(&["promote", "live", "--full"]);
        rig.has_ended(&run).then_some(())
    });
    rig.settled("v2", 5);
    rig.is_healthy();
}

#[test]
fn a_release_that_another_client_aborted_is_undone_and_can_be_retried() {
    let Some(rig) = Rig::with_rollout(CANARY, "", STEPS) else { return };
    let abort = || {
        let patch = r#"{"status": {"abort": true}}"#;
        rig.kubectl(&["patch", "rollout", "web", "--subresource=status", "--type=merge", "-p", patch])
            .expect("aborted");
    };
    let run = rig.begun("v2", 3);
    rig.rests(&run, "Paused", "step 2 of 4");
    abort();
    rig.ended(&run);
    rig.call(&["show", &run]).expect(0, &["RolloutAborted", "v1", "serves again"]);
    rig.settled("v1", 5);
    // A release that is in the Rollout, but aborted, is retried.
    rig.kubectl(&["patch", "rollout", "web", "--type=json", "-p", SET_V2]).expect("changed");
    rig.has("v2", 1);
    abort();
    rig.settled("v1", 5);
    let run = rig.begun("v2", 3);
    rig.rests(&run, "Paused", "step 2 of 4");
    rig.call(&["promote", "live", "--full"]).expect(0, &[]);
    rig.ended(&run);
    rig.settled("v2", 5);
}

const SET_V2: &str = r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "rig/web:v2"}]"#;

#[test]
fn a_blue_green_rollout_switches_after_a_person_and_goes_back_to_pods_that_still_run() {
    let Some(rig) = Rig::with_rollout("strategy = 'blue-green'\npause = 'person'\nkeep_old = '20s'", "", BLUE_GREEN)
    else {
        return;
    };
    rig.is_healthy();
    let deploy = |release: &str| {
        let run = rig.begun(release, 2);
        rig.rests(&run, "Paused", "BlueGreenPause");
        rig.has(release, 5);
        (run, rig.active())
    };
    for release in ["v2", "v3"] {
        let (run, before) = deploy(release);
        rig.call(&["promote", "live"]).expect(0, &[]);
        until("the service has switched", || (rig.active() != before).then_some(()));
        until("the former pods are kept", || {
            rig.call(&["logs", &run]).out().contains("keeps running for 20s").then_some(())
        });
    }
    // The pods of v2 still run, so the traffic moves without a pause.
    let before = rig.active();
    rig.call(&["rollback", "live", "--yes=live", "--detach"]).expect(0, &[]);
    until("the service has switched back", || (rig.active() != before && rig.image() == "rig/web:v2").then_some(()));
    rig.is_healthy();
}

#[test]
fn a_blue_green_rollout_that_is_aborted_before_its_switch_moves_no_traffic() {
    let Some(rig) = Rig::with_rollout("strategy = 'blue-green'\npause = 'person'", "", BLUE_GREEN) else { return };
    rig.is_healthy();
    let before = rig.active();
    let run = rig.begun("v2", 2);
    rig.rests(&run, "Paused", "BlueGreenPause");
    rig.call(&["abort", "live"]).expect(0, &["goes back to the former release"]);
    rig.ended(&run);
    assert_eq!((rig.active(), rig.image()), (before, "rig/web:v1".to_owned()));
    rig.is_healthy();
}

#[test]
fn an_analysis_that_fails_aborts_the_canary_and_is_named() {
    let Some(rig) = Rig::with_rollout(CANARY, "", STEPS) else { return };
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = server.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut client in server.incoming().map_while(Result::ok) {
            let _ = client.read(&mut [0; 1024]);
            let _ = client
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\nconnection: close\r\n\r\n{\"errors\": 9.5}");
        }
    });
    rig.apply(&format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {{name: errors}}\nspec:\n  metrics:\n  - name: errors\n    \
         successCondition: result < 1\n    provider: {{web: {{url: 'http://127.0.0.1:{port}/', jsonPath: '{{$.errors}}'}}}}\n"
    ));
    let analysis = r#"{"spec": {"strategy": {"canary": {"steps": [
        {"setWeight": 20}, {"pause": {}}, {"analysis": {"templates": [{"templateName": "errors"}]}}, {"setWeight": 60}, {"pause": {}}
    ]}}}}"#;
    rig.kubectl(&["patch", "rollout", "web", "--type=merge", "-p", analysis]).expect("changed");
    let run = rig.begun("v2", 3);
    rig.rests(&run, "Paused", "step 2 of 5");
    rig.call(&["promote", "live"]).expect(0, &[]);
    rig.ended(&run);
    rig.call(&["show", &run]).expect(0, &["RolloutAborted", "\"errors\" assessed Failed", "v1", "serves again"]);
    rig.settled("v1", 5);
    rig.call(&["explain", &run]).expect(0, &["an analysis of the Rollout failed"]);
}

#[test]
fn a_rollout_that_does_something_else_than_its_environment_is_refused() {
    let Some(rig) = Rig::with_rollout(CANARY, "", STEPS) else { return };
    for (strategy, message) in [
        ("strategy = 'rolling'", "has the strategy canary, and the environment `rolling`: write strategy = \"canary\""),
        ("strategy = 'blue-green'", "has the strategy canary, and the environment `blue-green`"),
        (
            "strategy = 'canary'\ncanary.steps = ['20%', 'pause 5m']",
            "write canary.steps = [\"20%\", \"pause\", \"60%\", \"pause\"], or change the Rollout",
        ),
    ] {
        rig.settle(strategy, "");
        rig.call(&["deploy", "live", "v2", "--plan"]).expect(4, &["the Rollout web", message]);
        rig.call(&["deploy", "live", "v2"]).expect(1, &[message, "nothing was changed"]);
    }
    rig.settle(CANARY, "replicas = 3");
    let shares = "has no trafficRouting, so shares are numbers of its 3 pods: 20% is not possible; possible: 25%, 33%, 50%, 67%, 75%";
    rig.call(&["deploy", "live", "v2", "--plan"]).expect(4, &[shares]);
    rig.settle(CANARY, "context = 'rig-viewer'");
    let right = "restricted: viewer may not get rollouts in the namespace";
    rig.call(&["deploy", "live", "v2", "--plan"]).expect(4, &[right, "grant it with a Role"]);
    assert_eq!(rig.image(), "rig/web:v1");
}
