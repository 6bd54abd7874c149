//! Objects of the cluster, with the fields that deployments need. Templates of pods are kept whole, with fields that
//! this version does not know, because a rollback restores them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Objects of a list.
#[derive(Deserialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
}

/// Metadata of an object.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    /// Generation: the number of the last change of the specification.
    pub(super) generation: u64,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) owner_references: Vec<Owner>,
}

impl Meta {
    /// Whether the object belongs to another one.
    pub(super) fn is_of(&self, owner: &Self) -> bool {
        self.owner_references.iter().any(|reference| reference.uid == owner.uid)
    }
}

/// A reference to the owner of an object.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) uid: String,
}

/// A Deployment, or the part of a Rollout that is the same.
#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(default)]
pub(super) struct Controller {
    pub(super) metadata: Meta,
    pub(super) spec: ControllerSpec,
    pub(super) status: ControllerStatus,
}

/// Specification of a [`Controller`].
#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ControllerSpec {
    /// Number of pods. The server writes the default into Deployments, but not into Rollouts.
    #[serde(default = "one")]
    pub(super) replicas: u32,
    pub(super) paused: bool,
    pub(super) selector: Selector,
    pub(super) strategy: Value,
    pub(super) progress_deadline_seconds: Option<u64>,
    pub(super) template: Value,
}

/// Labels of the pods of a workload.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Selector {
    pub(super) match_labels: BTreeMap<String, String>,
}

impl Selector {
    /// Returns the labels as a label selector for a request. Other conditions of the selector are left out, so the
    /// owners of the returned objects must be checked.
    pub(super) fn text(&self) -> String {
        let labels: Vec<String> = self.match_labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        labels.join(",")
    }
}

fn one() -> u32 {
    1
}

/// Status of a [`Controller`], as it was last reported. The server leaves out counts that are 0.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ControllerStatus {
    #[serde(deserialize_with = "number")]
    pub(super) observed_generation: u64,
    pub(super) replicas: u32,
    pub(super) updated_replicas: u32,
    pub(super) available_replicas: u32,
    pub(super) conditions: Vec<Condition>,
}

/// Reads a number, which Rollouts write as a text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| serde::de::Error::custom("expected a number"))
}

/// A condition in the status of an object.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
}

/// A `ReplicaSet`: the pods of a template, of which a workload has one for each revision.
#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(default)]
pub(super) struct ReplicaSet {
    pub(super) metadata: Meta,
    pub(super) spec: ReplicaSetSpec,
    pub(super) status: ReplicaSetStatus,
}

/// Specification of a `ReplicaSet`.
#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(default)]
pub(super) struct ReplicaSetSpec {
    pub(super) replicas: u32,
    pub(super) template: Value,
}

/// Status of a `ReplicaSet`. Pods that are terminating are not counted.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ReplicaSetStatus {
    pub(super) replicas: u32,
    pub(super) available_replicas: u32,
}

/// A pod.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    pub(super) metadata: Meta,
    pub(super) status: PodStatus,
}

/// Status of a pod.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    pub(super) phase: String,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) conditions: Vec<Condition>,
    pub(super) init_container_statuses: Vec<ContainerStatus>,
    pub(super) container_statuses: Vec<ContainerStatus>,
}

/// Status of a container.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    pub(super) ready: bool,
    /// The image itself, as the node has it; empty until the container was started.
    #[serde(rename = "imageID")]
    pub(super) image_id: String,
    pub(super) restart_count: u32,
    pub(super) state: ContainerState,
    pub(super) last_state: ContainerState,
}

/// State of a container: waiting, running or terminated.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) waiting: Option<Waiting>,
    pub(super) terminated: Option<Terminated>,
}

/// State of a container that waits to start or restart.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default)]
pub(super) struct Waiting {
    pub(super) reason: String,
    pub(super) message: String,
}

/// State of a container that has ended.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Terminated {
    pub(super) exit_code: i64,
    pub(super) reason: String,
    pub(super) message: String,
}

/// An event about an object.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ObjectEvent {
    pub(super) reason: String,
    pub(super) message: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) count: Option<u32>,
    /// Time of the last occurrence, as RFC 3339; missing in events of newer sources.
    pub(super) last_timestamp: Option<String>,
    /// Time of the event; missing in events of older sources.
    pub(super) event_time: Option<String>,
}
