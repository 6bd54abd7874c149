//! A target in Kubernetes: a Deployment or a Rollout of Argo Rollouts, whose pods are the replicas.
//!
//! This workload must already exist. A step changes its template, and its controller in the cluster replaces the pods.
//! The running releases are always read from the workload and its `ReplicaSets`, so no information is lost if the state
//! folder is. A rollback restores the template of the former `ReplicaSet`, as `kubectl rollout undo` does.
//!
//! A Deployment gets its strategy from the environment, too. It cannot move shares of the traffic, so the settings refuse
//! strategies that need them. A Rollout keeps its own strategy, which must be that of the environment.
//!
//! - [`api`]: requests to the API server, with their time limits; [`objects`]: their answers
//! - [`rollout`]: what only a Rollout has; [`steer`]: promotes, aborts and retries it
//! - [`scene`]: the running releases; [`change`]: the changes of the workload
//! - [`evidence`]: why pods are not ready; [`image`]: which image they run
//! - [`lock`]: the lock against deployments from other machines

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::model::RunId;
use crate::model::deployment::{
    EnvironmentSettings, KubernetesSettings, Observed, Plan, PlanStep, Probe, ReleaseImage, Slot, Workload, written,
};
use crate::model::environment::Release;
use crate::rollout::check::{self, Answer};
use crate::rollout::outlet::Progress;
use crate::rollout::shell::Shell;

use super::{ReplicaState, Target, TargetError};

mod api;
mod change;
mod error;
mod evidence;
mod image;
mod lock;
mod objects;
mod rollout;
mod scene;
mod steer;
#[cfg(test)]
mod tests;

pub use error::KubernetesFault;

use api::{Call, Cluster, Resource, Verb};
use change::Wanted;
use evidence::ailment;
use lock::Lock;
use objects::{Controller, List, ReplicaSet};
use rollout::Rollout;
use scene::{Scene, Stage};

/// Time between two requests while a step waits for the cluster.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How long the controller may take to notice a change.
const NOTICED_WITHIN: Duration = Duration::from_mins(1);

/// Progress deadline of a workload that has none.
const PROGRESS_DEADLINE: Duration = Duration::from_mins(10);

/// A target in Kubernetes, for one deployment.
pub struct KubernetesTarget {
    settings: EnvironmentSettings,
    kubernetes: KubernetesSettings,
    deployment: RunId,
    shell: Shell,
    cluster: OnceCell<Cluster>,
    lock: tokio::sync::Mutex<Option<Lock>>,
    /// Whether this deployment has paused the rollout, and not another client.
    is_paused: AtomicBool,
    /// The last answer about the rollout, and when it came.
    last: Mutex<Option<(String, Instant)>>,
    /// When the API server last did not answer a check.
    gone: Mutex<Option<Instant>>,
}

impl KubernetesTarget {
    /// Returns the target of an environment. `shell` runs the commands of checks.
    #[must_use]
    pub(super) fn new(
        settings: EnvironmentSettings,
        kubernetes: KubernetesSettings,
        deployment: RunId,
        shell: Shell,
    ) -> Self {
        let (cluster, lock, last) = (OnceCell::new(), tokio::sync::Mutex::new(None), Mutex::new(None));
        let (is_paused, gone) = (AtomicBool::new(false), Mutex::new(None));
        Self { settings, kubernetes, deployment, shell, cluster, lock, is_paused, last, gone }
    }

    async fn cluster(&self) -> Result<&Cluster, KubernetesFault> {
        self.cluster.get_or_try_init(|| Cluster::open(&self.kubernetes, &self.shell.folder)).await
    }

    /// Returns the resource of the workload.
    fn resource(&self) -> Resource {
        match self.kubernetes.workload {
            Workload::Deployment(_) => Resource::Deployments,
            Workload::Rollout(_) => Resource::Rollouts,
        }
    }

    /// Reads the workload and its `ReplicaSets`. With `patient`, waits while the API server is unavailable.
    async fn scene(&self, patient: Option<&Progress>) -> Result<Scene, KubernetesFault> {
        let cluster = self.cluster().await?;
        let workload = &self.kubernetes.workload;
        let call = Call::get(self.resource(), workload.name());
        let object: Value = cluster.send(&call, patient).await.map_err(|error| match error {
            KubernetesFault::Missing { namespace, server, .. } => {
                KubernetesFault::NoWorkload { workload: workload.clone(), namespace, server }
            }
            error => error,
        })?;
        let read = |error: serde_json::Error| api::refused(&call, format!("its answer cannot be read: {error}"));
        let rollout = match workload {
            Workload::Deployment(_) => None,
            Workload::Rollout(_) => Some(Rollout::deserialize(&object).map_err(read)?),
        };
        let controller: Controller = serde_json::from_value(object).map_err(read)?;
        let labels = controller.spec.selector.text();
        let query = (!labels.is_empty()).then_some(("labelSelector", labels));
        let call = Call::list(Resource::ReplicaSets, query.into_iter().collect());
        let sets: List<ReplicaSet> = cluster.send(&call, patient).await?;
        Ok(Scene::new(controller, rollout, sets.items))
    }

    /// Makes sure that the lock is held, if it was taken. With `patient`, waits while the API server is unavailable.
    async fn confirm(&self, patient: Option<&Progress>) -> Result<(), KubernetesFault> {
        match self.lock.lock().await.as_ref() {
            Some(lock) => lock.confirm(patient).await,
            None => Ok(()),
        }
    }

    /// Changes the workload so that only the release of a slot runs. Returns `false` if that was already the case.
    async fn set(&self, slot: Slot, plan: &Plan, progress: &Progress) -> Result<bool, KubernetesFault> {
        let cluster = self.cluster().await?;
        loop {
            self.confirm(Some(progress)).await?;
            let scene = self.scene(Some(progress)).await?;
            let wanted = Wanted::new(&scene, slot, plan, &self.settings, &self.kubernetes)?;
            let Some(patch) = wanted.patch(&scene) else { return Ok(false) };
            // An abort changes the Rollout, which is then read again.
            if slot != plan.new.slot && wanted.changes_template(&scene) && self.abort(&scene, progress).await? {
                continue;
            }
            let workload = &self.kubernetes.workload;
            let call = Call::send(Verb::Patch, self.resource(), Some(workload.name()), &patch);
            match cluster.patient::<Controller>(&call, progress).await {
                Ok(changed) => {
                    let release = plan.release(slot).map_or_else(|| "its former template".to_owned(), Release::title);
                    let generation = changed.metadata.generation;
                    progress.say(&format!("{workload} has {release}, generation {generation}"));
                    if wanted.changes_template(&scene) && !scene.has_pre_stop(&self.kubernetes) {
                        progress.say(
                            "the container has no preStop hook, so requests may be lost when pods end: add one that sleeps some seconds",
                        );
                    }
                    return Ok(true);
                }
                // The controller or another client has changed the workload since it was read, or another deployment
                // has the lock.
                Err(KubernetesFault::Conflict { .. }) => sleep(LOOK_EVERY).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until `is_so` returns true for the cluster. Fails with `what` after the time limit.
    async fn until(
        &self,
        is_so: impl Fn(&Scene) -> bool,
        (what, limit): (&'static str, Duration),
        progress: &Progress,
    ) -> Result<(), KubernetesFault> {
        let end = Instant::now() + limit;
        while !is_so(&self.scene(Some(progress)).await?) {
            if Instant::now() >= end {
                return Err(KubernetesFault::TooSlow { what, limit });
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn carry_out(&self, step: &PlanStep, plan: &Plan, progress: &Progress) -> Result<(), KubernetesFault> {
        match step {
            PlanStep::Start { slot, .. } => {
                let is_changed = self.set(*slot, plan, progress).await?;
                // With the strategy `recreate`, new pods come only once the former ones have ended, which may take
                // long.
                let limit = ("the controller did not notice the change", NOTICED_WITHIN);
                self.until(Scene::is_seen, limit, progress).await?;
                if is_changed { Ok(()) } else { self.retry(progress).await }
            }
            PlanStep::Weight { slot, percent } => {
                self.set(*slot, plan, progress).await?;
                self.advance(*slot, *percent, plan, progress).await
            }
            PlanStep::Stop { slot, .. } => {
                self.set(slot.other(), plan, progress).await?;
                let is_empty = |scene: &Scene| scene.is_seen() && scene.of(*slot).map(scene::pods).sum::<u32>() == 0;
                let limit = self.settings.health.deadline;
                self.until(is_empty, ("the pods of the other release were not removed", limit), progress).await
            }
            // The cluster sends traffic to pods that are ready, and no longer to those that end.
            PlanStep::Healthy { .. } | PlanStep::Drain { .. } => Ok(()),
            PlanStep::Check { .. } | PlanStep::Pause(_) => Ok(()),
        }
    }

    /// Checks whether the rollout of a slot is done, and then the probe of the settings.
    async fn healthy(&self, slot: Slot, plan: &Plan, progress: &Progress) -> Result<Answer, KubernetesFault> {
        let scene = self.scene(None).await?;
        let workload = &self.kubernetes.workload;
        if scene.slot() != slot || !scene.is_of(slot, plan, &self.kubernetes) {
            return Ok(Answer::Hopeless(format!("the {workload} was set to another release meanwhile")));
        }
        let stage = scene.stage();
        progress.decide(self.decision_in(&stage));
        let text = match stage {
            stage @ (Stage::Done | Stage::Held(_)) => {
                let pods = scene.workload.spec.replicas;
                let pods = if pods == 1 { "1 pod is".to_owned() } else { format!("{pods} pods are") };
                let text = match stage {
                    Stage::Held(text) => format!("{slot}: {text}"),
                    _ => format!("{slot}: {pods} updated and available"),
                };
                let Some(probe) = &self.settings.health_check else { return Ok(Answer::Good(text)) };
                return Ok(self.check(probe, self.settings.health.timeout, slot, plan, progress).await);
            }
            Stage::Paused => {
                let how = if self.is_paused.load(Ordering::Relaxed) {
                    format!("`cuelight promote {}` continues", self.settings.name)
                } else {
                    format!("`{} {}` continues", self.resume_command(), workload.name())
                };
                return Ok(Answer::Paused(format!("the {workload} is paused: {how}")));
            }
            Stage::Undecided(text) => return Ok(Answer::Paused(format!("{text}; {}", self.decision()))),
            Stage::Going(text) => text,
            Stage::Stalled(text) if self.was_gone(&scene) => {
                format!("{text}; the API server was unavailable, so the progress deadline is counted again")
            }
            Stage::Stalled(text) => return Ok(Answer::Hopeless(text)),
        };
        let pods = match scene.current() {
            Some(set) => evidence::pods(self.cluster().await?, set).await,
            None => Ok(Vec::new()),
        };
        Ok(match pods {
            Ok(pods) => match pods.iter().filter_map(ailment).max_by_key(|one| one.is_error) {
                Some(ailment) if ailment.is_error => Answer::Bad(format!("{text}; {}", ailment.text)),
                Some(ailment) => Answer::Unknown(format!("{text}; {}", ailment.text)),
                None => Answer::Unknown(text),
            },
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => Answer::Unknown(format!("{text}; {error}")),
        })
    }

    /// Returns the image that the pods of a slot run, with its name in the template. `None` if another release has replaced
    /// that of the slot, or if no node has reported an image.
    async fn running(
        &self,
        slot: Slot,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<Option<ReleaseImage>, KubernetesFault> {
        let scene = self.scene(None).await?;
        let template = &scene.workload.spec.template;
        let found = scene::container(template, &self.kubernetes).and_then(|at| scene::containers(template).get(at));
        let text = |name: &str| found.and_then(|container| container[name].as_str());
        let (Some(container), Some(name), Some(set)) = (text("name"), text("image"), scene.current()) else {
            return Ok(None);
        };
        if scene.slot() != slot || !scene.is_of(slot, plan, &self.kubernetes) {
            return Ok(None);
        }
        let pods = evidence::pods(self.cluster().await?, set).await?;
        let mut images = image::running(&pods, container).into_iter();
        let Some((first, most)) = images.next() else { return Ok(None) };
        for (other, count) in images {
            progress.say(&format!("{count} of {} pods run {other}, and {most} run {first}", pods.len()));
        }
        Ok(Some(ReleaseImage::new(name.to_owned(), first)))
    }

    /// Returns the command that resumes the workload after another client has paused it, without its name.
    fn resume_command(&self) -> &'static str {
        match self.kubernetes.workload {
            Workload::Deployment(_) => "kubectl rollout resume deployment",
            Workload::Rollout(_) => "kubectl argo rollouts promote",
        }
    }

    /// Whether the API server was unavailable within the last progress deadline. Its controllers could not see progress
    /// meanwhile, and report a timeout as soon as it is back.
    fn was_gone(&self, scene: &Scene) -> bool {
        let deadline = scene.workload.spec.progress_deadline_seconds.map_or(PROGRESS_DEADLINE, Duration::from_secs);
        let gone = *self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let is_aborted = scene.rollout.as_ref().is_some_and(|rollout| rollout.status.abort);
        !is_aborted && gone.is_some_and(|gone| gone.elapsed() < deadline)
    }

    /// Returns the answer of a check. While the API server does not answer, returns [`Answer::Unknown`] with the last
    /// answer and its age.
    fn answer(&self, asked: Result<Answer, KubernetesFault>) -> Answer {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Ok(answer) => {
                *last = Some((answer.text().to_owned(), Instant::now()));
                answer
            }
            Err(error) if error.is_transient() => {
                *self.gone.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                let last = last.as_ref().map(|(text, at)| {
                    let age = Duration::from_secs(at.elapsed().as_secs());
                    format!("; {} ago: {text}", written(age))
                });
                Answer::Unknown(format!("{error}{}", last.unwrap_or_default()))
            }
            Err(error) => Answer::Bad(error.to_string()),
        }
    }
}

impl Target for KubernetesTarget {
    fn observe<'t>(&'t self, progress: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>> {
        async {
            // Before the deployment begins, an unavailable API server is reported at once.
            let is_begun = self.lock.lock().await.is_some();
            Ok(self.scene(is_begun.then_some(progress)).await?.observed(&self.kubernetes))
        }
        .boxed()
    }

    fn running_image<'t>(
        &'t self,
        slot: Slot,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Result<Option<ReleaseImage>, TargetError>> {
        async move { Ok(self.running(slot, plan, progress).await?) }.boxed()
    }

    fn act<'t>(
        &'t self,
        step: &'t PlanStep,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Result<(), TargetError>> {
        async move { Ok(self.carry_out(step, plan, progress).await?) }.boxed()
    }

    fn health<'t>(&'t self, slot: Slot, plan: &'t Plan, progress: &'t Progress) -> BoxFuture<'t, Answer> {
        self.healthy(slot, plan, progress).map(|asked| self.answer(asked)).boxed()
    }

    fn check<'t>(
        &'t self,
        probe: &'t Probe,
        limit: Duration,
        slot: Slot,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Answer> {
        check::ask_of_slot(probe, limit, &self.shell, (self.settings.name.as_str(), slot, plan), progress).boxed()
    }

    fn replicas<'t>(&'t self, plan: &'t Plan) -> BoxFuture<'t, Option<Vec<ReplicaState>>> {
        async move {
            let slot = plan.new.slot;
            // Pods that were there before may have ended before.
            if plan.found.slot(slot).replicas > 0 {
                return Some(Vec::new());
            }
            let (scene, cluster) = (self.scene(None).await.ok()?, self.cluster().await.ok()?);
            let set = scene.current().filter(|_| scene.slot() == slot)?;
            let pods = evidence::pods(cluster, set).await.ok()?;
            Some(pods.iter().flat_map(evidence::replicas).collect())
        }
        .boxed()
    }

    fn evidence<'t>(&'t self, slot: Slot, progress: &'t Progress) -> BoxFuture<'t, Option<String>> {
        async move {
            let (scene, cluster) = (self.scene(None).await.ok()?, self.cluster().await.ok()?);
            evidence::gather(cluster, &scene, slot, progress).await
        }
        .boxed()
    }

    fn pause(&self, is_paused: bool) -> BoxFuture<'_, Result<(), TargetError>> {
        async move {
            self.confirm(None).await?;
            let patch = json!([{"op": "add", "path": "/spec/paused", "value": is_paused}]);
            let call = Call::send(Verb::Patch, self.resource(), Some(self.kubernetes.workload.name()), &patch);
            self.cluster().await?.ask::<Controller>(&call).await?;
            self.is_paused.store(is_paused, Ordering::Relaxed);
            Ok(())
        }
        .boxed()
    }

    fn can_carry_out<'t>(&'t self, plan: &'t Plan) -> BoxFuture<'t, Result<(), TargetError>> {
        async move {
            if matches!(self.kubernetes.workload, Workload::Deployment(_)) {
                return Ok(());
            }
            let scene = self.scene(None).await?;
            let refusal = scene.rollout.and_then(|rollout| rollout.refusal(&self.settings, plan.new.replicas));
            let name = || self.kubernetes.workload.name().to_owned();
            refusal.map_or(Ok(()), |reason| Err(KubernetesFault::Differs { name: name(), reason }.into()))
        }
        .boxed()
    }

    fn promote_fully(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        async move { Ok(self.promote_rollout_fully().await?) }.boxed()
    }

    fn slots(&self) -> BoxFuture<'_, Option<Observed>> {
        async move { Some(self.scene(None).await.ok()?.observed(&self.kubernetes)) }.boxed()
    }

    fn lock<'t>(&'t self, owner: &'t str, is_patient: bool) -> BoxFuture<'t, Result<(), TargetError>> {
        async move {
            let name = format!("cuelight-{}", self.kubernetes.workload.name());
            let id = self.deployment.to_string();
            let taken = Lock::take(self.cluster().await?, name, &id, owner, is_patient).await?;
            *self.lock.lock().await = Some(taken);
            Ok(())
        }
        .boxed()
    }

    fn unlock(&self) -> BoxFuture<'_, ()> {
        async move {
            if let Some(held) = self.lock.lock().await.take() {
                held.release().await;
            }
        }
        .boxed()
    }
}
