//! A target in Kubernetes: a Deployment, whose pods are the replicas.
//!
//! The Deployment must already exist. A step changes its template and its strategy, and the controller of the cluster
//! replaces the pods. The running releases are always read from the Deployment and its `ReplicaSets`, so no information
//! is lost if the state folder is. A rollback restores the template of the former `ReplicaSet`, as
//! `kubectl rollout undo` does. A Deployment cannot move shares of the traffic, so the settings refuse strategies that
//! need them.
//!
//! - [`api`]: requests to the API server, with their time limits; [`objects`]: their answers
//! - [`scene`]: the running releases; [`change`]: the changes of the Deployment
//! - [`evidence`]: why pods are not ready
//! - [`lock`]: the lock against deployments from other machines

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::model::RunId;
use crate::model::deployment::{
    EnvironmentSettings, KubernetesSettings, Observed, Plan, PlanStep, Probe, Slot, written,
};
use crate::model::environment::Release;
use crate::rollout::check::{self, Answer};
use crate::rollout::outlet::Progress;
use crate::rollout::shell::Shell;

use super::{Target, TargetError};

mod api;
mod change;
mod error;
mod evidence;
mod lock;
mod objects;
mod scene;
#[cfg(test)]
mod tests;

pub use error::KubernetesFault;

use api::{Call, Cluster, Resource, Verb};
use change::Wanted;
use evidence::ailment;
use lock::Lock;
use objects::{Deployment, List, ReplicaSet};
use scene::{Scene, Stage};

/// Time between two requests while a step waits for the cluster.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How long the controller may take to notice a change.
const NOTICED_WITHIN: Duration = Duration::from_mins(1);

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
        let is_paused = AtomicBool::new(false);
        Self { settings, kubernetes, deployment, shell, cluster, lock, is_paused, last }
    }

    async fn cluster(&self) -> Result<&Cluster, KubernetesFault> {
        self.cluster.get_or_try_init(|| Cluster::open(&self.kubernetes, &self.shell.folder)).await
    }

    /// Reads the Deployment and its `ReplicaSets`. With `patient`, waits while the API server is unavailable.
    async fn scene(&self, patient: Option<&Progress>) -> Result<Scene, KubernetesFault> {
        let cluster = self.cluster().await?;
        let name = &self.kubernetes.deployment;
        let call = Call::get(Resource::Deployments, name);
        let deployment: Deployment = cluster.send(&call, patient).await.map_err(|error| match error {
            KubernetesFault::Missing { name, namespace, server, .. } => {
                KubernetesFault::NoDeployment { name, namespace, server }
            }
            error => error,
        })?;
        let labels = deployment.spec.selector.text();
        let query = (!labels.is_empty()).then_some(("labelSelector", labels));
        let call = Call::list(Resource::ReplicaSets, query.into_iter().collect());
        let sets: List<ReplicaSet> = cluster.send(&call, patient).await?;
        Ok(Scene::new(deployment, sets.items))
    }

    /// Makes sure that the lock is held, if it was taken. With `patient`, waits while the API server is unavailable.
    async fn confirm(&self, patient: Option<&Progress>) -> Result<(), KubernetesFault> {
        match self.lock.lock().await.as_ref() {
            Some(lock) => lock.confirm(patient).await,
            None => Ok(()),
        }
    }

    /// Changes the Deployment so that only the release of a slot runs. Does nothing if that is already the case.
    async fn set(&self, slot: Slot, plan: &Plan, progress: &Progress) -> Result<(), KubernetesFault> {
        let cluster = self.cluster().await?;
        loop {
            self.confirm(Some(progress)).await?;
            let scene = self.scene(Some(progress)).await?;
            let wanted = Wanted::new(&scene, slot, plan, &self.settings, &self.kubernetes)?;
            let Some(patch) = wanted.patch(&scene) else { return Ok(()) };
            let name = &self.kubernetes.deployment;
            let call = Call::send(Verb::Patch, Resource::Deployments, Some(name), &patch);
            match cluster.patient::<Deployment>(&call, progress).await {
                Ok(changed) => {
                    let release = plan.release(slot).map_or_else(|| "its former template".to_owned(), Release::title);
                    let generation = changed.metadata.generation;
                    progress.say(&format!("Deployment {name} has {release}, generation {generation}"));
                    if wanted.changes_template(&scene) && !scene.has_pre_stop(&self.kubernetes) {
                        progress.say(
                            "the container has no preStop hook, so requests may be lost when pods end: add one that sleeps some seconds",
                        );
                    }
                    return Ok(());
                }
                // The controller or another client has changed the Deployment since it was read, or another deployment
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
                self.set(*slot, plan, progress).await?;
                // With the strategy `recreate`, new pods come only once the former ones have ended, which may take
                // long.
                self.until(Scene::is_seen, ("the controller did not notice the change", NOTICED_WITHIN), progress).await
            }
            PlanStep::Stop { slot, .. } => {
                self.set(slot.other(), plan, progress).await?;
                let is_empty = |scene: &Scene| scene.is_seen() && scene.of(*slot).map(scene::pods).sum::<u32>() == 0;
                let limit = self.settings.health.deadline;
                self.until(is_empty, ("the pods of the other release were not removed", limit), progress).await
            }
            // The cluster sends traffic to pods that are ready, and no longer to those that end.
            PlanStep::Healthy { .. } | PlanStep::Weight { .. } | PlanStep::Drain { .. } => Ok(()),
            PlanStep::Check { .. } | PlanStep::Pause(_) => Ok(()),
        }
    }

    /// Checks whether the rollout of a slot is done, and then the probe of the settings.
    async fn healthy(&self, slot: Slot, plan: &Plan, progress: &Progress) -> Result<Answer, KubernetesFault> {
        let scene = self.scene(None).await?;
        let name = &self.kubernetes.deployment;
        if scene.slot() != slot || !scene.is_of(slot, plan, &self.kubernetes) {
            return Ok(Answer::Hopeless(format!("the Deployment {name} was set to another release meanwhile")));
        }
        let text = match scene.stage() {
            Stage::Done => {
                let pods = scene.deployment.spec.replicas;
                let pods = if pods == 1 { "1 pod is".to_owned() } else { format!("{pods} pods are") };
                let text = format!("{slot}: {pods} updated and available");
                let Some(probe) = &self.settings.health_check else { return Ok(Answer::Good(text)) };
                return Ok(self.check(probe, self.settings.health.timeout, slot, plan, progress).await);
            }
            Stage::Paused => {
                let how = if self.is_paused.load(Ordering::Relaxed) {
                    format!("`cuelight promote {}` continues", self.settings.name)
                } else {
                    format!("`kubectl rollout resume deployment/{name}` continues")
                };
                return Ok(Answer::Paused(format!("the Deployment {name} is paused: {how}")));
            }
            Stage::Going(text) => text,
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
        async move {
            let variables = check::variables(&self.settings.name, slot, plan);
            check::ask(probe, limit, &self.shell, (slot.name(), &variables), progress).await
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
            let call = Call::send(Verb::Patch, Resource::Deployments, Some(&self.kubernetes.deployment), &patch);
            self.cluster().await?.ask::<Deployment>(&call).await?;
            self.is_paused.store(is_paused, Ordering::Relaxed);
            Ok(())
        }
        .boxed()
    }

    fn lock<'t>(&'t self, owner: &'t str, is_patient: bool) -> BoxFuture<'t, Result<(), TargetError>> {
        async move {
            let name = format!("cuelight-{}", self.kubernetes.deployment);
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
