//! Tests with objects that an API server of version 1.37 sent during a rollout that failed and was undone.

mod requests;
mod rollouts;

use serde_json::{Value, json};

use super::evidence::ailment;
use super::objects::Pod;
use super::scene::{IMAGE, SHA, SLOT, Scene, Stage};
use super::*;
use crate::model::deployment::{SlotState, Strategy, TargetSettings, Versioned};
use crate::rollout::testing::{kubernetes, release, settings};

const RECORDED: &str = include_str!("../../../../../tests/fixtures/kubernetes/rollout.json");

fn recorded(moment: &str) -> (Value, Value) {
    let mut all: Value = serde_json::from_str(RECORDED).expect("JSON");
    (all[moment]["deployment"].take(), all[moment]["sets"].take())
}

fn scene_of((deployment, sets): (Value, Value)) -> Scene {
    let read = (serde_json::from_value(deployment), serde_json::from_value(sets));
    Scene::new(read.0.expect("a Deployment"), None, read.1.expect("ReplicaSets"))
}

fn environment(strategy: Strategy) -> EnvironmentSettings {
    EnvironmentSettings { target: TargetSettings::Kubernetes(kubernetes()), ..settings(strategy, 1, &[]) }
}

const ROLLING: Strategy = Strategy::Rolling { max_surge: 2, max_unavailable: 1 };

/// A plan that replaces `v1` in blue by `v2` in green.
fn plan() -> Plan {
    let old = Some(Versioned { slot: Slot::Blue, release: release("v1"), replicas: 3 });
    let new = Versioned { slot: Slot::Green, release: release("v2"), replicas: 3 };
    Plan {
        host: None,
        address: None,
        new,
        old,
        steps: Vec::new(),
        found: Observed::default(),
        images: std::collections::BTreeMap::new(),
    }
}

fn slot(release: &str, replicas: u32, healthy: u32, weight: u8) -> SlotState {
    SlotState { release: Some(release.to_owned()), replicas, healthy, open: replicas, weight }
}

#[test]
fn what_runs_is_read_from_the_replica_sets() {
    for (moment, blue, green) in [
        ("steady", slot("v1", 3, 3, 100), SlotState::default()),
        // With a surge, the unhealthy release has a pod, and the other one still has all of its pods.
        ("going", slot("bad", 1, 0, 0), slot("v1", 3, 3, 100)),
        ("stalled", slot("bad", 1, 0, 0), slot("v1", 3, 3, 100)),
        ("undone", slot("v1", 3, 3, 100), slot("bad", 1, 0, 0)),
    ] {
        let observed = scene_of(recorded(moment)).observed(&kubernetes());
        assert_eq!((observed.slot(Slot::Blue), observed.slot(Slot::Green)), (&blue, &green), "{moment}");
    }
}

#[test]
fn a_note_about_the_release_holds_only_for_its_image() {
    for (noted, image, expected) in [
        ("rig/web:v1", "rig/web:v1", "abc"),
        ("rig/web:v2", "rig/web:v1", "v1"),
        ("rig/web:v2", "other/web:v1", "other/web:v1"),
        ("rig/web:v2", "rig/web:a/b", "rig/web:a/b"),
    ] {
        let (mut deployment, mut sets) = recorded("steady");
        for template in [&mut deployment["spec"]["template"], &mut sets[0]["spec"]["template"]] {
            template["metadata"]["annotations"] = json!({SHA: "abc", IMAGE: noted});
            template["spec"]["containers"][0]["image"] = json!(image);
        }
        let observed = scene_of((deployment, sets)).observed(&kubernetes());
        assert_eq!(observed.slot(Slot::Blue).release.as_deref(), Some(expected), "{noted} {image}");
    }
}

#[test]
fn a_timeout_counts_only_for_the_current_replica_set() {
    let stage = |moment| scene_of(recorded(moment)).stage();
    let going = "1 of 3 pods updated, 0 available, 3 old";
    assert_eq!(stage("steady"), Stage::Done);
    assert_eq!(stage("going"), Stage::Going(going.to_owned()));
    let stalled = "ProgressDeadlineExceeded: ReplicaSet \"web-5b64ffb84b\" has timed out progressing.";
    assert_eq!(stage("stalled"), Stage::Stalled(format!("{stalled} {going}")));
    assert_eq!(stage("undone"), Stage::Going("the controller begins".to_owned()));
    // The controller has seen the undo, and its condition is still about the release that was undone.
    let (mut deployment, sets) = recorded("undone");
    deployment["status"]["observedGeneration"] = deployment["metadata"]["generation"].clone();
    assert_eq!(
        scene_of((deployment.clone(), sets.clone())).stage(),
        Stage::Going("3 of 3 pods updated, 3 available, 1 old".to_owned())
    );
    deployment["spec"]["paused"] = json!(true);
    assert_eq!(scene_of((deployment, sets)).stage(), Stage::Paused);
    let (mut deployment, sets) = recorded("steady");
    deployment["spec"]["paused"] = json!(true);
    assert_eq!(scene_of((deployment, sets)).stage(), Stage::Paused, "although all pods are there");
}

#[test]
fn a_release_changes_the_image_and_the_strategy_and_nothing_else() {
    let scene = scene_of(recorded("steady"));
    let wanted = Wanted::new(&scene, Slot::Green, &plan(), &environment(ROLLING), &kubernetes()).expect("a container");
    let patch = wanted.patch(&scene).expect("a change");
    let paths: Vec<&str> = patch.as_array().expect("a list").iter().filter_map(|one| one["path"].as_str()).collect();
    let expected = ["/metadata/annotations", "/spec/template", "/spec/strategy", "/metadata/resourceVersion"];
    assert_eq!(paths, expected);
    assert_eq!(patch[0]["value"][SLOT], "green");
    let mut template = scene.workload.spec.template.clone();
    template["spec"]["containers"][0]["image"] = json!("rig/web:v2");
    let names = json!({SHA: release("v2").sha, "cuelight.dev/release": "v2", IMAGE: "rig/web:v2"});
    template["metadata"]["annotations"] = names;
    assert_eq!(patch[1]["value"], template);
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}});
    assert_eq!(patch[2]["value"], strategy);
    assert_eq!(patch[3]["value"], scene.workload.metadata.resource_version.as_str());
    // A second attempt finds nothing to change.
    let mut changed = scene.clone();
    changed.workload.metadata.annotations.insert(SLOT.to_owned(), "green".to_owned());
    changed.workload.spec.template = template;
    changed.workload.spec.strategy = strategy;
    let again = Wanted::new(&changed, Slot::Green, &plan(), &environment(ROLLING), &kubernetes()).expect("a container");
    assert_eq!(again.patch(&changed), None);
    let recreate = Wanted::new(&scene, Slot::Green, &plan(), &environment(Strategy::Recreate), &kubernetes());
    let patch = recreate.expect("a container").patch(&scene).expect("a change");
    assert_eq!(patch[2]["value"], json!({"type": "Recreate"}));
}

/// Returns the objects during a rollout: `v2` in green has a pod that is not ready, and `v1` is in blue.
fn half_way() -> (Value, Value) {
    let (mut deployment, mut sets) = recorded("stalled");
    deployment["metadata"]["annotations"][SLOT] = json!("green");
    for template in [&mut deployment["spec"]["template"], &mut sets[0]["spec"]["template"]] {
        template["metadata"]["annotations"] = json!({SHA: release("v2").sha, IMAGE: "rig/web:v2"});
        template["spec"]["containers"][0]["image"] = json!("rig/web:v2");
    }
    (deployment, sets)
}

/// Carries out a patch of a Deployment, as the API server does.
fn carry_out(deployment: &mut Value, patch: &Value) {
    for operation in patch.as_array().expect("a list") {
        let (parent, key) = operation["path"].as_str().and_then(|path| path.rsplit_once('/')).expect("a path");
        deployment.pointer_mut(parent).expect("an object")[key] = operation["value"].clone();
    }
}

#[test]
fn a_way_back_that_is_done_changes_nothing_more() {
    let (mut deployment, sets) = half_way();
    let patch = |deployment: &Value, plan: &Plan, environment: &EnvironmentSettings| {
        let scene = scene_of((deployment.clone(), sets.clone()));
        Wanted::new(&scene, Slot::Blue, plan, environment, &kubernetes()).expect("a container").patch(&scene)
    };
    for environment in [environment(ROLLING), environment(Strategy::Recreate)] {
        let first = patch(&deployment, &plan(), &environment).expect("the way back");
        carry_out(&mut deployment, &first);
        assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "rig/web:v1");
        assert_eq!(patch(&deployment, &plan(), &environment), None);
        deployment = half_way().0;
    }
}

#[test]
fn a_deployment_that_ends_before_its_first_change_leaves_everything_as_it_was() {
    let own = KubernetesSettings { progress_deadline: Some(Duration::from_secs(99)), ..kubernetes() };
    let patch = |scene: &Scene, slot: Slot, plan: &Plan| {
        Wanted::new(scene, slot, plan, &environment(Strategy::Recreate), &own).expect("a container").patch(scene)
    };
    let scene = scene_of(recorded("steady"));
    assert_eq!(patch(&scene, Slot::Blue, &plan()), None);
    // The Deployment has revisions, but no pods.
    let (mut deployment, mut sets) = recorded("undone");
    deployment["spec"]["replicas"] = json!(0);
    for set in sets.as_array_mut().expect("a list") {
        set["spec"]["replicas"] = json!(0);
        set["status"] = json!({});
    }
    let plan = Plan { new: Versioned { slot: Slot::Blue, ..plan().new }, old: None, ..plan() };
    let scene = scene_of((deployment.clone(), sets.clone()));
    assert_eq!(patch(&scene, Slot::Green, &plan), None);
    // Once the deployment has changed the template, a rollback restores the template that it replaced.
    let before = deployment["spec"]["template"].clone();
    carry_out(&mut deployment, &patch(&scene, Slot::Blue, &plan).expect("a change"));
    assert_ne!(deployment["spec"]["template"], before);
    let back = patch(&scene_of((deployment.clone(), sets)), Slot::Green, &plan).expect("a change");
    carry_out(&mut deployment, &back);
    assert_eq!((&deployment["spec"]["template"], &deployment["spec"]["replicas"]), (&before, &json!(0)));
}

#[test]
fn the_former_release_gets_the_template_and_the_number_of_pods_that_it_had() {
    let scene = scene_of(half_way());
    let former = scene.main(Slot::Blue).expect("v1").spec.template.clone();
    let changed = |plan: &Plan, own: &KubernetesSettings| {
        let wanted = Wanted::new(&scene, Slot::Blue, plan, &environment(ROLLING), own).expect("a container");
        wanted.patch(&scene).expect("a change")
    };
    let value = |patch: &Value, path: &str| -> Option<Value> {
        patch.as_array()?.iter().find(|one| one["path"] == path).map(|one| one["value"].clone())
    };
    let patch = changed(&plan(), &kubernetes());
    let mut restored = value(&patch, "/spec/template").expect("a template");
    assert_eq!(value(&patch, "/metadata/annotations").expect("annotations")[SLOT], "blue");
    assert_eq!(value(&patch, "/spec/replicas"), None);
    restored["metadata"]["labels"]["pod-template-hash"] = former["metadata"]["labels"]["pod-template-hash"].clone();
    assert_eq!(restored, former);
    let own = KubernetesSettings { replicas: Some(9), ..kubernetes() };
    let four = Plan { old: plan().old.map(|old| Versioned { replicas: 4, ..old }), ..plan() };
    assert_eq!(value(&changed(&four, &own), "/spec/replicas"), Some(json!(4)));
    // Without a release that served before, the former template is still restored, with no pods.
    let nothing = Plan { old: None, ..plan() };
    let patch = changed(&nothing, &kubernetes());
    assert!(value(&patch, "/spec/template").is_some());
    assert_eq!(value(&patch, "/spec/replicas"), Some(json!(0)));
}

#[test]
fn a_container_must_be_named_if_there_are_several_and_a_tag_if_the_image_has_one() {
    let (mut deployment, sets) = recorded("steady");
    let other = json!({"name": "proxy", "image": "proxy:1"});
    deployment["spec"]["template"]["spec"]["containers"].as_array_mut().expect("a list").push(other);
    let scene = scene_of((deployment, sets));
    let wanted = |own: &KubernetesSettings, plan: &Plan| {
        Wanted::new(&scene, Slot::Green, plan, &environment(ROLLING), own)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let error = "the Deployment web has the containers web, proxy: name one of them in target.container";
    assert_eq!(wanted(&kubernetes(), &plan()), Err(error.to_owned()));
    let named = KubernetesSettings { container: Some("proxy".to_owned()), ..kubernetes() };
    assert_eq!(wanted(&named, &plan()), Ok(()));
    let tagged = KubernetesSettings { image: "web:{tag}".to_owned(), ..named };
    let mut untagged = plan();
    untagged.new.release.tag = None;
    assert!(
        wanted(&tagged, &untagged).is_err_and(|error| error.contains("has no tag, and target.image is `web:{tag}`"))
    );
}

#[test]
fn what_is_wrong_with_a_pod_is_told_with_its_evidence() {
    let all: Value = serde_json::from_str(RECORDED).expect("JSON");
    let pods: Vec<Pod> = serde_json::from_value(all["pods"].clone()).expect("pods");
    let first = ailment(&pods[0]).expect("it is ill");
    let text = format!(
        "{}: CrashLoopBackOff: back-off 10s restarting failed container, restarted 3 times",
        pods[0].metadata.name
    );
    assert_eq!((first.text, first.is_error), (text, true));
    let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    let container = |state: Value, last: Value, restarts: u32| json!({"containerStatuses": [{"name": "web", "state": state, "lastState": last, "restartCount": restarts}]});
    for (status, expected) in [
        (container(waiting("ContainerCreating", ""), json!({}), 0), None),
        (container(json!({"running": {}}), json!({}), 0), None),
        (
            container(waiting("ErrImagePull", "rpc error: not found"), json!({}), 0),
            Some(("web-1: ErrImagePull: rpc error: not found", true)),
        ),
        (
            container(waiting("CreateContainerConfigError", "secret \"db\" not found"), json!({}), 0),
            Some(("web-1: CreateContainerConfigError: secret \"db\" not found", true)),
        ),
        (
            container(json!({"running": {}}), json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), 2),
            Some(("web-1: container web ended, exit code 137, OOMKilled, restarted 2 times", true)),
        ),
        (
            json!({"phase": "Pending", "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"
            }]}),
            Some(("web-1: Unschedulable: 0/1 nodes are available", false)),
        ),
        (
            json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}),
            Some(("web-1: Failed: Evicted: low on memory", false)),
        ),
    ] {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "web-1"}, "status": status})).expect("a pod");
        let found = ailment(&pod);
        let found = found.as_ref().map(|found| (found.text.as_str(), found.is_error));
        assert_eq!(found, expected, "{pod:?}");
    }
}

#[test]
fn the_ends_of_the_containers_of_a_pod_are_reported_without_those_that_prepare_it() {
    let ended = json!({"terminated": {"exitCode": 3}});
    let one = |name: &str, state: &Value, last: &Value, restarts: u32| json!({"name": name, "state": state, "lastState": last, "restartCount": restarts});
    let (running, waiting) = (json!({"running": {}}), json!({"waiting": {"reason": "CrashLoopBackOff"}}));
    let status = json!({
        "initContainerStatuses": [one("prepare", &ended, &json!({}), 4)],
        "containerStatuses": [
            one("well", &running, &json!({}), 0),
            one("again", &running, &ended, 1),
            one("down", &ended, &json!({}), 0),
            one("waits", &waiting, &ended, 2),
        ],
    });
    let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "web-1"}, "status": status})).expect("a pod");
    let all: Vec<_> = evidence::replicas(&pod).map(|one| (one.id, one.restarts, one.is_down)).collect();
    let expected =
        [("web-1/well", 0, false), ("web-1/again", 1, false), ("web-1/down", 0, true), ("web-1/waits", 2, true)];
    assert_eq!(all, expected.map(|(id, restarts, is_down)| (id.to_owned(), restarts, is_down)));
    let end = evidence::replicas(&pod).nth(1).expect("the second").end;
    assert_eq!(end, "web-1: container again has ended and was started again, exit code 3, restarted once");
}
