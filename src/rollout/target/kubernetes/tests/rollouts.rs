//! Tests with a Rollout as its controller of version 1.10 reports it.

use serde_json::{Value, json};

use super::super::objects::{Controller, ReplicaSet};
use super::super::rollout::Rollout;
use super::super::scene::{IMAGE, SHA, SLOT, Scene, Stage};
use super::*;
use crate::model::deployment::{CanaryStep, Check, Pause, Probe, Timing, Workload};

/// Returns a Rollout between `v1` in blue and `v2` in green, with this strategy and these changes of its status.
fn scene(strategy: &Value, status: &Value) -> Scene {
    let template = |image: &str| json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}});
    let mut new = template("rig/web:v2");
    new["metadata"]["annotations"] = json!({SHA: release("v2").sha, IMAGE: "rig/web:v2"});
    let mut object = json!({
        "metadata": {"name": "web", "uid": "web", "generation": 7, "annotations": {SLOT: "green"}},
        "spec": {"replicas": 5, "strategy": strategy, "template": new},
        "status": {"observedGeneration": "7", "currentPodHash": "new", "stableRS": "old", "currentStepIndex": 1, "phase": "Paused",
            "message": "CanaryPauseStep", "controllerPause": true, "pauseConditions": [{"reason": "CanaryPauseStep"}]}
    });
    for (key, value) in status.as_object().expect("an object") {
        object["status"][key] = value.clone();
    }
    let set = |hash: &str, image: &str, replicas: u32, revision: &str| -> ReplicaSet {
        let labels = json!({"app": "web", "rollouts-pod-template-hash": hash});
        // The server completes the template of a ReplicaSet.
        let mut template = template(image);
        template["metadata"]["labels"] = labels.clone();
        template["spec"]["dnsPolicy"] = json!("ClusterFirst");
        let metadata = json!({"name": format!("web-{hash}"), "uid": hash, "labels": labels, "ownerReferences": [{"uid": "web"}],
            "annotations": {"rollout.argoproj.io/revision": revision}});
        let status = json!({"replicas": replicas, "availableReplicas": replicas});
        let set = json!({"metadata": metadata, "spec": {"replicas": replicas, "template": template}, "status": status});
        serde_json::from_value(set).expect("a ReplicaSet")
    };
    let sets = vec![set("old", "rig/web:v1", 4, "1"), set("new", "rig/web:v2", 1, "2")];
    let rollout: Rollout = serde_json::from_value(object.clone()).expect("a Rollout");
    let controller: Controller = serde_json::from_value(object).expect("a Rollout");
    Scene::new(controller, Some(rollout), sets)
}

fn steps() -> Value {
    json!({"canary": {"maxSurge": 1, "maxUnavailable": 0,
        "steps": [{"setWeight": 20}, {"pause": {}}, {"analysis": {}}, {"setWeight": 60}, {"pause": {"duration": "1m30s"}}, {"setWeight": 100}]}})
}

fn settings_of(strategy: Strategy) -> EnvironmentSettings {
    let own = KubernetesSettings { workload: Workload::Rollout("web".to_owned()), ..kubernetes() };
    EnvironmentSettings { target: TargetSettings::Kubernetes(own), ..settings(strategy, 5, &[]) }
}

#[test]
fn what_runs_is_read_from_the_rollout_and_its_replica_sets() {
    let blue_green = json!({"blueGreen": {"autoPromotionEnabled": false}});
    let routed = json!({"canary": {"trafficRouting": {"nginx": {}}, "steps": [{"setWeight": 5}]}});
    let shares = json!({"canary": {"weights": {"canary": {"weight": 5, "podTemplateHash": "new"}, "stable": {"weight": 95, "podTemplateHash": "old"}}}});
    for (strategy, status, weights, open) in [
        (steps(), json!({}), (80, 20), (4, 1)),
        (blue_green.clone(), json!({"blueGreen": {"activeSelector": "old"}}), (100, 0), (4, 1)),
        // The pods of the former release run on, without traffic.
        (blue_green, json!({"blueGreen": {"activeSelector": "new"}}), (0, 100), (0, 1)),
        (routed.clone(), shares, (95, 5), (4, 1)),
        (routed, json!({"abort": true}), (100, 0), (4, 0)),
    ] {
        let observed = scene(&strategy, &status).observed(&kubernetes());
        let (blue, green) = (observed.slot(Slot::Blue), observed.slot(Slot::Green));
        assert_eq!((blue.release.as_deref(), green.release.as_deref()), (Some("v1"), Some("v2")));
        assert_eq!(((blue.weight, green.weight), (blue.open, green.open)), (weights, open), "{strategy} {status}");
    }
}

#[test]
fn a_rollout_says_where_it_stands_and_why() {
    let pods = "1 of 5 pods updated, 1 available, 4 old";
    let held = format!("Rollout Paused, CanaryPauseStep, step 2 of 6: pause; {pods}");
    let analysis = json!({"currentStepIndex": 2, "phase": "Progressing", "message": "more replicas need to be updated", "controllerPause": false,
        "canary": {"currentStepAnalysisRunStatus": {"name": "web-2", "status": "Running"}}});
    let running = format!(
        "Rollout Progressing, more replicas need to be updated, step 3 of 6: analysis, analysis web-2 Running; {pods}"
    );
    let timed_out = |set: &str| json!({"phase": "Degraded", "message": format!("ProgressDeadlineExceeded: ReplicaSet \"{set}\" has timed out"), "controllerPause": false});
    let inconclusive =
        json!({"message": "InconclusiveAnalysisRun", "pauseConditions": [{"reason": "InconclusiveAnalysisRun"}]});
    let stage = |status: &Value| scene(&steps(), status).stage();
    assert_eq!(stage(&json!({})), Stage::Held(held));
    assert_eq!(stage(&analysis), Stage::Going(running));
    assert!(matches!(stage(&inconclusive), Stage::Undecided(text) if text.contains("InconclusiveAnalysisRun")));
    // In the middle of a step, with the analysis that knows nothing.
    let background = json!({"message": "InconclusiveAnalysisRun", "currentStepIndex": 3,
        "pauseConditions": [{"reason": "InconclusiveAnalysisRun", "startTime": "2026-11-30T12:00:00Z"}],
        "canary": {"currentBackgroundAnalysisRunStatus": {"name": "web-2-bg", "status": "Inconclusive", "message": "errors assessed Inconclusive due to inconclusive (1) > inconclusiveLimit (0)"}}});
    let shell = crate::rollout::shell::Shell { folder: std::env::temp_dir(), environment: Vec::new() };
    let settings = settings_of(Strategy::Canary { steps: vec![CanaryStep::Weight(20)] });
    let name = settings.name.clone();
    let TargetSettings::Kubernetes(own) = settings.target.clone() else { panic!("{:?}", settings.target) };
    let target = KubernetesTarget::new(settings, own, RunId::new("run-1"), shell);
    let why = target.decision_in(&stage(&background)).expect("a person decides");
    for part in [
        "InconclusiveAnalysisRun, step 4 of 6: 60%, analysis web-2-bg Inconclusive (errors assessed Inconclusive"
            .to_owned(),
        format!("a person decides: `cuelight promote {name} --full` or `cuelight abort {name}`"),
    ] {
        assert!(why.contains(&part), "{why}");
    }
    assert_eq!(target.decision_in(&stage(&json!({}))), None);
    assert!(matches!(stage(&timed_out("web-new")), Stage::Stalled(_)));
    assert!(matches!(stage(&timed_out("web-other")), Stage::Going(_)), "it is about the release that was undone");
    assert!(matches!(stage(&json!({"phase": "Degraded", "abort": true})), Stage::Stalled(_)));
    // Promoted, and the controller has not noticed yet.
    assert!(matches!(stage(&json!({"pauseConditions": []})), Stage::Going(_)));
    assert_eq!(stage(&json!({"observedGeneration": "6"})), Stage::Going("the controller begins".to_owned()));
    assert_eq!(stage(&json!({"phase": "Healthy", "controllerPause": false})), Stage::Done);
}

#[test]
fn a_share_has_begun_once_its_step_is_reached() {
    let begun = |index: usize, percent: u8| {
        scene(&steps(), &json!({"currentStepIndex": index})).rollout.expect("a Rollout").has_begun(percent)
    };
    for (index, percent, expected) in [(0, 20, true), (1, 60, false), (3, 60, true), (4, 100, false), (5, 100, true)] {
        assert_eq!(begun(index, percent), expected, "{index} {percent}");
    }
}

#[test]
fn the_strategy_of_the_environment_must_be_that_of_the_rollout() {
    use CanaryStep::{Pause as Hold, Weight};
    let canary = |steps: &[CanaryStep]| settings_of(Strategy::Canary { steps: steps.to_vec() });
    let (person, short) = (Hold(Pause::Person), |seconds| Hold(Pause::For(Duration::from_secs(seconds))));
    let blue_green = |pause| settings_of(Strategy::BlueGreen { pause });
    let kept = |settings: EnvironmentSettings, seconds| EnvironmentSettings {
        keep_old: Duration::from_secs(seconds),
        ..settings
    };
    let rolling = |max_surge, max_unavailable| settings_of(Strategy::Rolling { max_surge, max_unavailable });
    let (automatic, manual) =
        (json!({"blueGreen": {"autoPromotionSeconds": 60}}), json!({"blueGreen": {"autoPromotionEnabled": false}}));
    let plain = json!({"canary": {"maxSurge": "20%"}});
    let smoke = Check { probe: Probe::Exec("true".to_owned()), timing: Timing::default() };
    for (own, settings, expected) in vec![
        // The Rollout waits for longer, so the plan decides.
        (steps(), canary(&[Weight(20), person, Weight(60), short(89)]), None),
        (steps(), canary(&[Weight(20), short(5), Weight(60), short(89)]), None),
        (
            steps(),
            canary(&[Weight(20), person, Weight(60), short(90)]),
            Some("may end its pause of 1m30s before the environment does: write `pause: {}`"),
        ),
        (
            steps(),
            canary(&[Weight(20), person, Weight(60), person]),
            Some("write canary.steps = [\"20%\", \"pause\", \"60%\", \"pause 1m30s\"]"),
        ),
        (steps(), canary(&[Weight(20), person]), Some("and the environment others")),
        (steps(), kept(canary(&[Weight(20), person, Weight(60), short(89)]), 9), Some("removes old pods step by step")),
        (
            steps(),
            rolling(1, 0),
            Some("has the strategy canary, and the environment `rolling`: write strategy = \"canary\""),
        ),
        (
            json!({"canary": {"steps": [{"setWeight": 30}]}}),
            canary(&[Weight(30)]),
            Some("30% is not possible; possible: 17%, 20%, 33%"),
        ),
        (json!({"canary": {"trafficRouting": {}, "steps": [{"setWeight": 30}]}}), canary(&[Weight(30)]), None),
        (
            json!({"canary": {"trafficRouting": {"maxTrafficWeight": 1000}, "steps": [{"setWeight": 30}]}}),
            canary(&[Weight(30)]),
            Some("has shares of 1000 instead of percentages: remove maxTrafficWeight"),
        ),
        (manual.clone(), blue_green(Some(Pause::Person)), None),
        (manual.clone(), kept(blue_green(None), 30), None),
        (manual.clone(), kept(blue_green(None), 31), Some("removes old pods after 30s, and keep_old is 31s")),
        (
            manual,
            canary(&[Weight(20)]),
            Some("has the strategy blueGreen, and the environment `canary`: write strategy = \"blue-green\""),
        ),
        (automatic.clone(), blue_green(None), None),
        (automatic.clone(), blue_green(Some(Pause::For(Duration::from_secs(59)))), None),
        (
            automatic.clone(),
            blue_green(Some(Pause::For(Duration::from_mins(1)))),
            Some("may promote by itself before the end of the pause"),
        ),
        (
            automatic.clone(),
            EnvironmentSettings { smoke: Some(smoke), ..blue_green(None) },
            Some("may promote by itself before the end of the smoke test"),
        ),
        (automatic, blue_green(Some(Pause::Person)), Some("may promote by itself before the end of the pause")),
        (plain.clone(), rolling(1, 1), None),
        (plain, rolling(1, 0), Some("with maxSurge 1 and maxUnavailable 1 of 5: write these")),
    ] {
        let refusal = scene(&own, &json!({})).rollout.expect("a Rollout").refusal(&settings, 5);
        match expected {
            None => assert_eq!(refusal, None, "{own}"),
            Some(part) => assert!(refusal.as_ref().is_some_and(|text| text.contains(part)), "{own} {refusal:?}"),
        }
    }
}

#[test]
fn a_rollout_keeps_its_strategy_and_gets_the_template_of_the_former_release_without_the_hash() {
    let scene = scene(&steps(), &json!({}));
    let settings = settings_of(Strategy::Canary { steps: vec![CanaryStep::Weight(20)] });
    let wanted = Wanted::new(&scene, Slot::Blue, &plan(), &settings, &kubernetes()).expect("a container");
    let patch = wanted.patch(&scene).expect("a change");
    let paths: Vec<&str> = patch.as_array().expect("a list").iter().filter_map(|one| one["path"].as_str()).collect();
    assert_eq!(paths, ["/metadata/annotations", "/spec/template", "/metadata/resourceVersion"]);
    assert_eq!(patch[1]["value"]["metadata"]["labels"], json!({"app": "web"}));
    assert_eq!(patch[1]["value"]["spec"]["containers"][0]["image"], "rig/web:v1");
}
