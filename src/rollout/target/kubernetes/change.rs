//! Computes how a workload must change to have a release. The functions are pure.

use serde_json::{Value, json};

use super::error::KubernetesFault;
use super::scene::{self, FORMER, IMAGE, RELEASE, SHA, SLOT, Scene};
use crate::model::deployment::{EnvironmentSettings, KubernetesSettings, Plan, Slot, Strategy, image_of};
use crate::model::environment::Release;

/// Annotation of the workload that `kubectl rollout history` shows for a revision.
const CAUSE: &str = "kubernetes.io/change-cause";

/// State that a workload should have.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Wanted {
    slot: Slot,
    template: Value,
    /// Strategy; `None` for a Rollout, whose strategy stays as its manifest has it.
    strategy: Option<Value>,
    /// Number of pods; `None` to keep the current number.
    replicas: Option<u32>,
    /// Progress deadline in seconds; `None` to keep the current value.
    progress_deadline: Option<u64>,
    cause: String,
    /// Name of the `ReplicaSet` that a rollback restores; `None` if this is a rollback.
    former: Option<String>,
}

impl Wanted {
    /// Returns the state in which only the release of `slot` runs.
    ///
    /// The former release gets the whole template that it had. If there was none, the template that was there before is
    /// restored, with the number of pods that it had. Any other release gets the current template with its image. The
    /// same release always gets the same template, so that the controller reuses the `ReplicaSet` of an earlier
    /// revision.
    pub(super) fn new(
        scene: &Scene,
        slot: Slot,
        plan: &Plan,
        environment: &EnvironmentSettings,
        settings: &KubernetesSettings,
    ) -> Result<Self, KubernetesFault> {
        let is_new = slot == plan.new.slot;
        // Whether there is nothing to roll back: the rollback is done, or the current template does not have the new
        // release. The template is then kept.
        let is_back = !is_new && (scene.slot() == slot || !scene.is_of(plan.new.slot, plan, settings));
        let release = plan.release(slot);
        let former = scene.former().filter(|_| !is_new && !is_back);
        let template = match (former, release) {
            (Some(set), _) => scene::plain(&set.spec.template),
            (None, Some(release)) if !is_back => with_release(scene, release, settings)?,
            (None, _) => scene.workload.spec.template.clone(),
        };
        let count = match &plan.old {
            _ if is_new => plan.new.replicas,
            Some(old) => old.replicas,
            None => Slot::ALL.into_iter().map(|slot| plan.found.slot(slot).replicas).sum(),
        };
        let is_restored = !is_new && plan.old.is_none();
        let is_set = settings.replicas.is_some() || is_restored || scene.workload.spec.replicas == 0;
        // A `ReplicaSet` without pods did not run before. In that case, a rollback restores the current template.
        let running = scene.main(slot.other()).filter(|set| scene::pods(set) > 0);
        let replaced = running.or_else(|| scene.current());
        let name = release.map_or_else(|| "the former template".to_owned(), Release::title);
        Ok(Self {
            slot: if is_back { scene.slot() } else { slot },
            template,
            strategy: (!is_back && scene.rollout.is_none()).then(|| strategy(&environment.strategy)),
            replicas: is_set.then_some(count),
            progress_deadline: settings.progress_deadline.filter(|_| !is_back).map(|deadline| deadline.as_secs()),
            cause: format!("{name}, deployed by cuelight"),
            former: replaced.filter(|_| is_new).map(|set| set.metadata.name.clone()),
        })
    }

    /// Whether the template of the workload must change.
    pub(super) fn changes_template(&self, scene: &Scene) -> bool {
        scene.workload.spec.template != self.template
    }

    /// Returns the JSON patch that changes the workload to this state; `None` if nothing must change. The server refuses
    /// the patch if the workload has changed since it was read.
    pub(super) fn patch(&self, scene: &Scene) -> Option<Value> {
        let (metadata, spec) = (&scene.workload.metadata, &scene.workload.spec);
        let mut annotations = metadata.annotations.clone();
        if scene.slot() != self.slot {
            annotations.insert(SLOT.to_owned(), self.slot.name().to_owned());
        }
        if self.changes_template(scene) {
            annotations.insert(CAUSE.to_owned(), self.cause.clone());
            annotations.extend(self.former.clone().map(|former| (FORMER.to_owned(), former)));
        }
        let all = [
            (annotations != metadata.annotations).then(|| ("/metadata/annotations", json!(annotations))),
            self.changes_template(scene).then(|| ("/spec/template", self.template.clone())),
            self.strategy.clone().filter(|own| *own != spec.strategy).map(|own| ("/spec/strategy", own)),
            self.replicas.filter(|own| *own != spec.replicas).map(|own| ("/spec/replicas", json!(own))),
            self.progress_deadline
                .filter(|own| Some(*own) != spec.progress_deadline_seconds)
                .map(|own| ("/spec/progressDeadlineSeconds", json!(own))),
            spec.paused.then(|| ("/spec/paused", json!(false))),
        ];
        let changes: Vec<_> = all.into_iter().flatten().collect();
        if changes.is_empty() {
            return None;
        }
        Some(patch(scene, changes))
    }
}

/// Returns the JSON patch that sets these values, with their paths. The server refuses it if the workload has changed
/// since it was read.
pub(super) fn patch<'p>(scene: &Scene, values: impl IntoIterator<Item = (&'p str, Value)>) -> Value {
    let version = ("/metadata/resourceVersion", json!(scene.workload.metadata.resource_version));
    let operation = |(path, value)| json!({"op": "add", "path": path, "value": value});
    values.into_iter().chain([version]).map(operation).collect()
}

/// Returns the current template with the image and the names of a release.
fn with_release(scene: &Scene, release: &Release, settings: &KubernetesSettings) -> Result<Value, KubernetesFault> {
    let image = image_of(&settings.image, release)?;
    let mut template = scene.workload.spec.template.clone();
    let unknown = || {
        let names = scene::containers(&scene.workload.spec.template).iter().filter_map(|one| one["name"].as_str());
        let containers = names.collect::<Vec<_>>().join(", ");
        KubernetesFault::Container { workload: settings.workload.to_string(), containers }
    };
    let index = scene::container(&template, settings).ok_or_else(unknown)?;
    template["spec"]["containers"][index]["image"] = json!(image);
    if !template["metadata"].is_object() {
        template["metadata"] = json!({});
    }
    let metadata = &mut template["metadata"];
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = json!({});
    }
    for (name, value) in [(SHA, &*release.sha), (RELEASE, release.name()), (IMAGE, &*image)] {
        metadata["annotations"][name] = json!(value);
    }
    Ok(template)
}

/// Returns the strategy of a Deployment. The settings refuse other strategies than `rolling` and `recreate` for this
/// target.
fn strategy(strategy: &Strategy) -> Value {
    match strategy {
        Strategy::Rolling { max_surge, max_unavailable } => {
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": max_surge, "maxUnavailable": max_unavailable}})
        }
        Strategy::Recreate | Strategy::BlueGreen { .. } | Strategy::Canary { .. } => json!({"type": "Recreate"}),
    }
}
