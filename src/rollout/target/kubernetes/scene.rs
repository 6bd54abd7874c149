//! Determines the running releases from a Deployment and its `ReplicaSets`. The functions are pure.
//!
//! The release of the current template is in the slot that an annotation of the Deployment names, and everything else
//! in the other one. The annotation and the template are changed together.

use serde_json::Value;

use super::objects::{Condition, Deployment, ReplicaSet};
use crate::model::deployment::{IMAGE_PLACES, KubernetesSettings, Observed, Plan, Slot};

/// Annotation of the Deployment: the slot of its current template.
pub(super) const SLOT: &str = "cuelight.dev/slot";

/// Annotation of the Deployment: the name of the `ReplicaSet` that the last deployment replaced.
pub(super) const FORMER: &str = "cuelight.dev/former";

/// Annotation of the template: the commit of its release.
pub(super) const SHA: &str = "cuelight.dev/sha";

/// Annotation of the template: the name of its release, for people.
pub(super) const RELEASE: &str = "cuelight.dev/release";

/// Annotation of the template: the image of its release. The other annotations are valid only while the container has
/// this image.
pub(super) const IMAGE: &str = "cuelight.dev/image";

/// Annotation of a `ReplicaSet`: the number of the revision.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Label that the controller adds to the template of a `ReplicaSet`.
pub(super) const HASH: &str = "pod-template-hash";

/// A Deployment and its `ReplicaSets`.
#[derive(Clone, Default, Debug)]
pub(super) struct Scene {
    pub(super) deployment: Deployment,
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
    /// The Deployment is paused.
    Paused,
}

impl Scene {
    pub(super) fn new(deployment: Deployment, mut sets: Vec<ReplicaSet>) -> Self {
        sets.retain(|set| set.metadata.is_of(&deployment.metadata));
        sets.sort_by_key(|set| std::cmp::Reverse(revision(set)));
        Self { deployment, sets }
    }

    /// Returns the slot of the current template.
    pub(super) fn slot(&self) -> Slot {
        let named = self.deployment.metadata.annotations.get(SLOT);
        named.and_then(|name| Slot::ALL.into_iter().find(|slot| slot.name() == name)).unwrap_or(Slot::Blue)
    }

    /// Returns the `ReplicaSet` of the current template. `None` until the controller has created it.
    pub(super) fn current(&self) -> Option<&ReplicaSet> {
        self.sets.iter().find(|set| plain(&set.spec.template) == self.deployment.spec.template)
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
        let name = self.deployment.metadata.annotations.get(FORMER);
        self.of(slot).find(|set| Some(&set.metadata.name) == name).or_else(|| self.main(slot))
    }

    /// Returns the number of pods of all `ReplicaSets`. The status of the Deployment is not used, because it may
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
            state.open = replicas;
            // Services distribute requests evenly over pods that are ready.
            state.weight = (100 * available(slot)).checked_div(all).unwrap_or_default() as u8;
        }
        // The weights are rounded down, but must add up to 100.
        let (blue, green) = (observed.slot(Slot::Blue).weight, observed.slot(Slot::Green).weight);
        if blue > 0 && green > 0 {
            observed.slot_mut(Slot::Blue).weight = 100 - green;
        }
        observed
    }

    /// Whether the controller has seen the last change of the Deployment.
    pub(super) fn is_seen(&self) -> bool {
        self.deployment.status.observed_generation >= self.deployment.metadata.generation
    }

    /// Whether the current template has the release that a plan has for its slot. Another client may have changed the
    /// template without the annotation that names the slot.
    pub(super) fn is_of(&self, slot: Slot, plan: &Plan, settings: &KubernetesSettings) -> bool {
        let Some(release) = plan.release(slot) else { return true };
        let found = release_of(&self.deployment.spec.template, settings);
        // A former template that this program did not make is restored unchanged, so it does not name its commit.
        let is_restored = slot != plan.new.slot && found.is_some() && found == plan.found.slot(slot).release;
        is_restored || found.as_deref() == Some(&*release.sha)
    }

    /// Returns how far the rollout of the current template has come.
    pub(super) fn stage(&self) -> Stage {
        let Deployment { spec, status, .. } = &self.deployment;
        // A paused Deployment is never done, even if all pods are available: a person wants to decide how to continue.
        if spec.paused {
            return Stage::Paused;
        }
        let Some(current) = self.current().filter(|_| self.is_seen()) else {
            let ends_first = self.is_seen() && spec.strategy["type"] == "Recreate";
            let text = if ends_first { "the former pods end first" } else { "the controller begins" };
            return Stage::Going(text.to_owned());
        };
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

    /// Whether the container of the release has a `preStop` hook.
    pub(super) fn has_pre_stop(&self, settings: &KubernetesSettings) -> bool {
        let template = &self.deployment.spec.template;
        let container = container(template, settings).and_then(|index| containers(template).get(index));
        container.is_some_and(|container| container.pointer("/lifecycle/preStop").is_some())
    }

    /// Returns a condition of the Deployment.
    pub(super) fn condition(&self, kind: &str) -> Option<&Condition> {
        self.deployment.status.conditions.iter().find(|condition| condition.kind == kind)
    }
}

/// Returns the number of the revision of a `ReplicaSet`.
pub(super) fn revision(set: &ReplicaSet) -> u64 {
    set.metadata.annotations.get(REVISION).and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Returns the number of pods that a `ReplicaSet` has, or is about to have.
pub(super) fn pods(set: &ReplicaSet) -> u32 {
    set.spec.replicas.max(set.status.replicas)
}

/// Returns the number of available pods of a `ReplicaSet`. Pods that are about to be removed do not count.
fn available(set: &ReplicaSet) -> u32 {
    set.status.available_replicas.min(set.spec.replicas)
}

/// Returns the template of a `ReplicaSet` as the Deployment has it.
pub(super) fn plain(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.shift_remove(HASH);
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
