//! Finds out why pods are not ready: from their status, their events and their logs.

use super::api::{Call, Cluster, Resource};
use super::error::KubernetesFault;
use super::objects::{ContainerStatus, List, ObjectEvent, Pod, ReplicaSet};
use super::rollout::Rollout;
use super::scene::{self, Scene};
use crate::model::deployment::Slot;
use crate::rollout::outlet::Progress;
use crate::rollout::target::replica::ReplicaState;

/// Number of log lines that are kept of a failed container.
const LAST_LINES: usize = 50;

/// Maximum size in bytes of the log lines of a container.
const MAX_BYTES: u32 = 64 * 1024;

/// Maximum length in characters of one of these lines.
const MAX_LOG_LINE: usize = 2_000;

/// Maximum number of events that are kept of an object.
const LAST_EVENTS: usize = 10;

/// Maximum number of pods whose logs are kept for one failure.
const MAX_PODS: usize = 3;

/// Maximum length in characters of a line in a message.
const MAX_LINE: usize = 200;

/// Reasons of a waiting container that are errors. Retries of the kubelet may still succeed, for instance once an image
/// has been pushed.
const ERRORS: [&str; 9] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PostStartHookError",
];

/// Problem of a pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ailment {
    /// Name of the pod, and its problem.
    pub(super) text: String,
    /// Whether the problem is an error, and not only a reason to wait.
    pub(super) is_error: bool,
}

/// Returns the problem of a pod; `None` if the pod is ready, or only needs time.
pub(super) fn ailment(pod: &Pod) -> Option<Ailment> {
    let name = &pod.metadata.name;
    let of = |text: String, is_error| Some(Ailment { text: format!("{name}: {text}"), is_error });
    let status = &pod.status;
    if status.phase == "Failed" || !status.reason.is_empty() {
        // The controller has already replaced a pod that failed as a whole, for instance because it was evicted.
        return of(joined([&*status.phase, &status.reason, &status.message]), status.phase != "Failed");
    }
    let unscheduled = status.conditions.iter().find(|one| one.kind == "PodScheduled" && one.status == "False");
    if let Some(condition) = unscheduled {
        return of(joined([&*condition.reason, &condition.message]), false);
    }
    let text = unready(pod).find_map(|container| {
        let waiting = container.state.waiting.as_ref();
        if let Some(waiting) = waiting.filter(|waiting| ERRORS.contains(&&*waiting.reason)) {
            let ended = last_end(container);
            return Some(joined([&*waiting.reason, &waiting.message]) + &ended);
        }
        let has_failed = container.state.terminated.as_ref().is_some_and(|ended| ended.exit_code != 0);
        (has_failed || container.restart_count > 0)
            .then(|| format!("container {} ended{}", container.name, last_end(container)))
    });
    text.and_then(|text| of(text, true))
}

/// Returns which containers of a pod have ended, or were restarted, without those that prepare the pod.
pub(super) fn replicas(pod: &Pod) -> impl Iterator<Item = ReplicaState> {
    let pod_name = &pod.metadata.name;
    pod.status.container_statuses.iter().map(move |container| {
        let (name, restarts) = (&container.name, container.restart_count);
        let waits_again = container.state.waiting.is_some() && container.last_state.terminated.is_some();
        let is_down = container.state.terminated.is_some() || waits_again;
        let again = if restarts > 0 { " and was started again" } else { "" };
        let end = format!("{pod_name}: container {name} has ended{again}{}", last_end(container));
        ReplicaState { id: format!("{pod_name}/{name}"), restarts, is_down, end }
    })
}

/// Returns the containers of a pod that are not ready.
fn unready(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let all = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    all.filter(|container| !container.ready)
}

/// Returns the last exit code of a container with its reason, and the number of restarts; empty if it has not ended.
fn last_end(container: &ContainerStatus) -> String {
    let mut facts = Vec::new();
    let ended = container.state.terminated.as_ref().or(container.last_state.terminated.as_ref());
    if let Some(ended) = ended {
        facts.push(format!("exit code {}", ended.exit_code));
        facts.extend(Some(ended.reason.clone()).filter(|reason| !reason.is_empty() && reason != "Error"));
        facts.extend(Some(ended.message.trim().to_owned()).filter(|message| !message.is_empty()));
    }
    if container.restart_count > 0 {
        let times = container.restart_count;
        facts.push(if times == 1 { "restarted once".to_owned() } else { format!("restarted {times} times") });
    }
    if facts.is_empty() { String::new() } else { format!(", {}", facts.join(", ")) }
}

/// Joins the parts that are not empty, as `A: B`.
fn joined<'p>(parts: impl IntoIterator<Item = &'p str>) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

/// Lists the pods of a `ReplicaSet`.
pub(super) async fn pods(cluster: &Cluster, set: &ReplicaSet) -> Result<Vec<Pod>, KubernetesFault> {
    let query = scene::selector(set).map(|hash| ("labelSelector", hash)).into_iter().collect();
    let mut list: List<Pod> = cluster.ask(&Call::list(Resource::Pods, query)).await?;
    list.items.retain(|pod| pod.metadata.is_of(&set.metadata));
    list.items.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    Ok(list.items)
}

/// Writes evidence about the pods of a slot to the log of a step: the conditions of the workload and, for each pod
/// with a problem, the problem, the events and the last lines of the containers. Returns a summary; `None` if no
/// problem is found.
pub(super) async fn gather(cluster: &Cluster, scene: &Scene, slot: Slot, progress: &Progress) -> Option<String> {
    for note in scene.rollout.iter().filter_map(Rollout::note) {
        progress.say(&note);
    }
    for condition in &scene.workload.status.conditions {
        let text = joined([&*condition.reason, &condition.message]);
        progress.say(&format!("{} is {}: {text}", condition.kind, condition.status));
    }
    let failure = scene.condition("ReplicaFailure").filter(|condition| condition.status == "True");
    let mut summary = failure.map(|condition| joined([&*condition.reason, &condition.message]));
    let set = scene.main(slot)?;
    if summary.is_none() {
        say_events(cluster, &set.metadata.name, progress).await;
    }
    let pods = match pods(cluster, set).await {
        Ok(pods) => pods,
        Err(error) => {
            progress.say(&error.to_string());
            return summary.or_else(|| Some(error.to_string()));
        }
    };
    let mut ill: Vec<(&Pod, Ailment)> = pods.iter().filter_map(|pod| Some((pod, ailment(pod)?))).collect();
    ill.sort_by_key(|(_, ailment)| !ailment.is_error);
    for (pod, ailment) in ill.iter().take(MAX_PODS) {
        progress.say(&ailment.text);
        say_events(cluster, &pod.metadata.name, progress).await;
        let mut last = None;
        for container in unready(pod) {
            last = say_lines(cluster, pod, container, progress).await.or(last);
        }
        let last = last.map(|last| format!("; its last line: {last}")).unwrap_or_default();
        summary.get_or_insert_with(|| format!("{}{last}", ailment.text));
    }
    // A pod that runs, but whose probe fails, has no other problem than its events.
    if summary.is_none()
        && let Some(pod) = pods.iter().find(|pod| unready(pod).next().is_some())
    {
        let name = &pod.metadata.name;
        let warning = say_events(cluster, name, progress).await;
        for container in unready(pod) {
            say_lines(cluster, pod, container, progress).await;
        }
        summary = warning.map(|warning| format!("{name}: {}", beginning(&warning, MAX_LINE)));
    }
    summary
}

/// Writes the last events about an object to the log of a step. Returns the message of the last warning.
async fn say_events(cluster: &Cluster, name: &str, progress: &Progress) -> Option<String> {
    let query = vec![("fieldSelector", format!("involvedObject.name={name}"))];
    match cluster.ask::<List<ObjectEvent>>(&Call::list(Resource::Events, query)).await {
        Err(error) => {
            progress.say(&error.to_string());
            None
        }
        Ok(List { items: mut events }) => {
            let time = |event: &ObjectEvent| event.last_timestamp.clone().or_else(|| event.event_time.clone());
            events.sort_by_key(time);
            let skipped = events.len().saturating_sub(LAST_EVENTS);
            for event in &events[skipped..] {
                let count = event.count.filter(|count| *count > 1).map(|count| format!(", {count} times"));
                let (kind, reason) = (&event.kind, &event.reason);
                progress.say(&format!(
                    "event of {name}: {kind} {reason}: {}{}",
                    event.message,
                    count.unwrap_or_default()
                ));
            }
            let warning = events.iter().rfind(|event| event.kind == "Warning");
            warning.map(|event| event.message.trim().to_owned())
        }
    }
}

/// Writes the last lines of a container to the log of a step. After a restart, the lines of the previous run are
/// written. Returns the last line.
async fn say_lines(cluster: &Cluster, pod: &Pod, container: &ContainerStatus, progress: &Progress) -> Option<String> {
    let name = &pod.metadata.name;
    let has_ended = container.last_state.terminated.is_some() && container.state.terminated.is_none();
    let call = Call::get(Resource::Logs, name)
        .with("container", container.name.clone())
        .with("previous", has_ended.to_string())
        .with("tailLines", LAST_LINES.to_string())
        .with("limitBytes", MAX_BYTES.to_string());
    let text = match cluster.text(&call).await {
        Ok(text) => text,
        // A container that never ran has no log.
        Err(KubernetesFault::Refused { .. }) => return None,
        Err(error) => {
            progress.say(&error.to_string());
            return None;
        }
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    progress.say(&format!("last lines of {} in {name}:", container.name));
    for line in &lines {
        progress.say(&beginning(line, MAX_LOG_LINE));
    }
    lines.last().map(|line| beginning(line.trim(), MAX_LINE))
}

/// Returns at most the first `count` characters of a line.
fn beginning(line: &str, count: usize) -> String {
    line.chars().take(count).collect()
}
