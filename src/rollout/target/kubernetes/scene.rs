//! Determines the running releases from a workload and its `ReplicaSets`. The functions are pure.
//!
//! The release of the current template is in the slot that an annotation of the workload names, and everything else
//! in the other one. The annotation and the template are changed together.

use serde_json::Value;

use super::objects::{Condition, Controller, ReplicaSet};
use super::rollout::{self, Phase, Rollout};
use crate::model::deployment::{IMAGE_PLACES, KubernetesSettings, Observed, Plan, Slot};

/// Annotation of the workload: the slot of its current template.
pub(super) const SLOT: &str = "cuelight.dev/slot";

/// Annotation of the workload: the name of the `ReplicaSet` that the last deployment replaced.
pub(super) const FORMER: &str = "cuelight.dev/former";

/// Annotation of the template: the commit of its release.
pub(super) const SHA: &str = "cuelight.dev/sha";

/// Annotation of the template: the name of its release, for people.
pub(super) const RELEASE: &str = "cuelight.dev/release";

/// Annotation of the template: the image of its release. The other annotations are valid only while the container has
/// this image.
pub(super) const IMAGE: &str = "cuelight.dev/image";

/// Annotations of a `ReplicaSet` with the number of the revision, for a Deployment and a Rollout.
const REVISIONS: [&str; 2] = ["deployment.kubernetes.io/revision", rollout::REVISION];

/// Labels that the controllers add to the template of a `ReplicaSet`.
const HASHES: [&str; 2] = ["pod-template-hash", rollout::HASH];

/// A workload and its `ReplicaSets`.
#[derive(Clone, Default, Debug)]
pub(super) struct Scene {
    pub(super) workload: Controller,
    /// The other part of a Rollout; `None` for a Deployment.
    pub(super) rollout: Option<Rollout>,
    /// The `ReplicaSets`, newest revision first.
    pub(super) sets: Vec<ReplicaSet>,
}

/// Progress of a rollout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// All pods have the current template and are available, and no others are left.
    Done,
    /// The rollout is in progress.
    Going(String),
    /// The controller reports that the progress deadline has passed.
    Stalled(String),
    /// The controller waits at a step of a Rollout, whose pods are available.
    Held(String),
    /// A person must decide, because an analysis of a Rollout was inconclusive.
    Undecided(String),
    /// The workload is paused.
    Paused,
}

impl Scene {
    pub(super) fn new(workload: Controller, rollout: Option<Rollout>, mut sets: Vec<ReplicaSet>) -> Self {
        sets.retain(|set| set.metadata.is_of(&workload.metadata));
        sets.sort_by_key(|set| std::cmp::Reverse(revision(set)));
        Self { workload, rollout, sets }
    }

    /// Returns the slot of the current template.
    pub(super) fn slot(&self) -> Slot {
        let named = self.workload.metadata.annotations.get(SLOT);
        named.and_then(|name| Slot::named(name)).unwrap_or(Slot::Blue)
    }

    /// Returns the `ReplicaSet` of the current template. `None` until the controller has created it.
    pub(super) fn current(&self) -> Option<&ReplicaSet> {
        let template = &self.workload.spec.template;
        let Some(rollout) = &self.rollout else {
            return self.sets.iter().find(|set| plain(&set.spec.template) == *template);
        };
        // The server completes the template of a ReplicaSet, but not that of a Rollout, so they are not equal. Until the
        // controller has seen a change of the Rollout, the images show whether the template was changed.
        let set = self.sets.iter().find(|set| hash(set) == Some(&rollout.status.current_pod_hash))?;
        (self.is_seen() || images(&set.spec.template).eq(images(template))).then_some(set)
    }

    /// Returns the `ReplicaSets` of a slot, newest first.
    pub(super) fn of(&self, slot: Slot) -> impl Iterator<Item = &ReplicaSet> {
        let current = self.current().map(|set| &set.metadata.uid);
        let is_current_slot = slot == self.slot();
        self.sets.iter().filter(move |set| (Some(&set.metadata.uid) == current) == is_current_slot)
    }

    /// Returns the `ReplicaSet` that stands for a slot: the one with the most available pods or, if there are none,
    /// with the most pods, and of those the newest.
    pub(super) fn main(&self, slot: Slot) -> Option<&ReplicaSet> {
        self.of(slot).min_by_key(|set| std::cmp::Reverse((available(set), pods(set))))
    }

    /// Returns the `ReplicaSet` that a rollback restores. It is in the slot without the current template.
    pub(super) fn former(&self) -> Option<&ReplicaSet> {
        let slot = self.slot().other();
        let name = self.workload.metadata.annotations.get(FORMER);
        self.of(slot).find(|set| Some(&set.metadata.name) == name).or_else(|| self.main(slot))
    }

    /// Returns the number of pods of all `ReplicaSets`. The status of the workload is not used, because it may
    /// briefly combine counts of different times.
    pub(super) fn pods(&self) -> u32 {
        self.sets.iter().map(pods).sum()
    }

    /// Returns the state of the environment.
    pub(super) fn observed(&self, settings: &KubernetesSettings) -> Observed {
        let available = |slot| -> u32 { self.of(slot).map(available).sum() };
        let all = available(Slot::Blue) + available(Slot::Green);
        let mut observed = Observed::default();
        for slot in Slot::ALL {
            let replicas = self.of(slot).map(pods).sum();
            let state = observed.slot_mut(slot);
            state.release =
                self.main(slot).filter(|_| replicas > 0).and_then(|set| release_of(&set.spec.template, settings));
            state.replicas = replicas;
            state.healthy = available(slot);
            let set_weight = |set: &ReplicaSet| self.rollout.as_ref()?.weight(hash(set)?);
            // Without a router, Services distribute requests evenly over pods that are ready.
            let share = (100 * available(slot)).checked_div(all).unwrap_or_default() as u8;
            state.weight =
                self.of(slot).map(set_weight).reduce(|one, other| Some(one? + other?)).flatten().unwrap_or(share);
            // Pods that a Rollout keeps for a rollback, or does not use after an abort, count as drained.
            let is_used = self.rollout.as_ref().is_none_or(|rollout| slot == self.slot() && !rollout.status.abort);
            state.open = if state.weight > 0 || is_used { replicas } else { 0 };
        }
        observed.note = self.rollout.as_ref().and_then(Rollout::note);
        // The weights are rounded down, but must add up to 100.
        let (blue, green) = (observed.slot(Slot::Blue).weight, observed.slot(Slot::Green).weight);
        if blue > 0 && green > 0 {
            observed.slot_mut(Slot::Blue).weight = 100 - green;
        }
        observed
    }

    /// Whether the controller has seen the last change of the workload.
    pub(super) fn is_seen(&self) -> bool {
        self.workload.status.observed_generation >= self.workload.metadata.generation
    }

    /// Whether the current template has the release that a plan has for its slot. Another client may have changed the
    /// template without the annotation that names the slot.
    pub(super) fn is_of(&self, slot: Slot, plan: &Plan, settings: &KubernetesSettings) -> bool {
        let Some(release) = plan.release(slot) else { return true };
        let found = release_of(&self.workload.spec.template, settings);
        // A former template that this program did not make is restored unchanged, so it does not name its commit.
        let is_restored = slot != plan.new.slot && found.is_some() && found == plan.found.slot(slot).release;
        is_restored || found.as_deref() == Some(&*release.sha)
    }

    /// Returns how far the rollout of the current template has come.
    pub(super) fn stage(&self) -> Stage {
        let Controller { spec, status, .. } = &self.workload;
        // A paused workload is never done, even if all pods are available: a person wants to decide how to continue.
        if spec.paused {
            return Stage::Paused;
        }
        let Some(current) = self.current().filter(|_| self.is_seen()) else {
            let ends_first = self.is_seen() && spec.strategy["type"] == "Recreate";
            let text = if ends_first { "the former pods end first" } else { "the controller begins" };
            return Stage::Going(text.to_owned());
        };
        if let Some(rollout) = &self.rollout {
            return self.stage_of(rollout, current);
        }
        let old = self.pods() - pods(current);
        let updated = current.status.replicas.min(current.spec.replicas);
        let ready = available(current);
        if updated >= spec.replicas && ready >= spec.replicas && old == 0 && status.replicas <= spec.replicas {
            return Stage::Done;
        }
        let mut text = format!("{updated} of {} pods updated, {ready} available, {old} old", spec.replicas);
        if let Some(failure) = self.condition("ReplicaFailure").filter(|one| one.status == "True") {
            text = format!("{text}; {}: {}", failure.reason, failure.message);
        }
        match self.condition("Progressing") {
            // Right after an undo, the condition is still about the ReplicaSet of the release that was undone.
            Some(Condition { status, reason, message, .. })
                if status == "False" && message.contains(&format!("\"{}\"", current.metadata.name)) =>
            {
                Stage::Stalled(format!("{reason}: {message} {text}"))
            }
            _ => Stage::Going(text),
        }
    }

    /// Returns how far a Rollout has come with its current template.
    fn stage_of(&self, rollout: &Rollout, current: &ReplicaSet) -> Stage {
        let old = self.pods() - pods(current);
        let pods = format!(
            "{} of {} pods updated, {} available, {old} old",
            pods(current),
            self.workload.spec.replicas,
            available(current)
        );
        let text = rollout.note().map_or_else(|| pods.clone(), |note| format!("{note}; {pods}"));
        match rollout.phase(&current.metadata.name) {
            Phase::Healthy => Stage::Done,
            Phase::Waits => Stage::Held(text),
            Phase::Inconclusive => Stage::Undecided(text),
            Phase::Degraded => Stage::Stalled(text),
            Phase::Progressing => Stage::Going(text),
        }
    }

    /// Whether the container of the release has a `preStop` hook.
    pub(super) fn has_pre_stop(&self, settings: &KubernetesSettings) -> bool {
        let template = &self.workload.spec.template;
        let container = container(template, settings).and_then(|index| containers(template).get(index));
        container.is_some_and(|container| container.pointer("/lifecycle/preStop").is_some())
    }

    /// Returns a condition of the workload.
    pub(super) fn condition(&self, kind: &str) -> Option<&Condition> {
        self.workload.status.conditions.iter().find(|condition| condition.kind == kind)
    }
}

/// Returns the number of the revision of a `ReplicaSet`.
pub(super) fn revision(set: &ReplicaSet) -> u64 {
    let number = REVISIONS.into_iter().find_map(|name| set.metadata.annotations.get(name));
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Returns the hash of the template of a `ReplicaSet`, by which its pods are labelled.
fn hash(set: &ReplicaSet) -> Option<&String> {
    HASHES.into_iter().find_map(|name| set.metadata.labels.get(name))
}

/// Returns a label selector for the pods of a `ReplicaSet`.
pub(super) fn selector(set: &ReplicaSet) -> Option<String> {
    HASHES.into_iter().find_map(|name| Some(format!("{name}={}", set.metadata.labels.get(name)?)))
}

/// Returns the images of a template.
fn images(template: &Value) -> impl Iterator<Item = &Value> {
    containers(template).iter().map(|container| &container["image"])
}

/// Returns the number of pods that a `ReplicaSet` has, or is about to have.
pub(super) fn pods(set: &ReplicaSet) -> u32 {
    set.spec.replicas.max(set.status.replicas)
}

/// Returns the number of available pods of a `ReplicaSet`. Pods that are about to be removed do not count.
fn available(set: &ReplicaSet) -> u32 {
    set.status.available_replicas.min(set.spec.replicas)
}

/// Returns the template of a `ReplicaSet` without the label of its controller.
pub(super) fn plain(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        for name in HASHES {
            labels.shift_remove(name);
        }
    }
    template
}

/// Returns the containers of a template.
pub(super) fn containers(template: &Value) -> &[Value] {
    template.pointer("/spec/containers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Returns the index of the container that has the image of the release. `None` if the container that the settings name
/// is missing, or if they name none and there are several.
pub(super) fn container(template: &Value, settings: &KubernetesSettings) -> Option<usize> {
    let all = containers(template);
    match &settings.container {
        Some(name) => all.iter().position(|one| one["name"] == **name),
        None => (all.len() == 1).then_some(0),
    }
}

/// Returns an annotation of a template.
pub(super) fn annotation<'t>(template: &'t Value, name: &str) -> Option<&'t str> {
    template.get("metadata")?.get("annotations")?.get(name)?.as_str()
}

/// Returns the commit of the release of a template. If this program did not make the template, returns the name in its
/// image instead or, if the image has another name than releases have, the image.
fn release_of(template: &Value, settings: &KubernetesSettings) -> Option<String> {
    let image = containers(template).get(container(template, settings)?)?.get("image")?.as_str()?;
    let noted = annotation(template, SHA).filter(|_| annotation(template, IMAGE) == Some(image));
    Some(noted.or_else(|| name_in(&settings.image, image)).unwrap_or(image).to_owned())
}

/// Returns the part of an image that replaces the placeholder of the image in the settings. `None` if the image does
/// not match, or the settings have several placeholders.
fn name_in<'i>(settings: &str, image: &'i str) -> Option<&'i str> {
    let place = IMAGE_PLACES.into_iter().find(|place| settings.contains(place))?;
    let (before, after) = settings.split_once(place)?;
    let name = image.strip_prefix(before)?.strip_suffix(after)?;
    let is_only = !after.contains('{') && !name.is_empty() && !name.contains(['/', ':', '@']);
    is_only.then_some(name)
}
