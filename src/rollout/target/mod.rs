//! Targets: where the replicas of an environment run.
//!
//! # Adding a target
//!
//! Add a folder beside [`script`] that implements [`Target`], and a line in [`of`]. A target that has several hosts is one
//! [`Target`] for each; see [`Targets`]. The settings of the target belong
//! in `model/deployment/target.rs`, `config/environments/target.rs` and the `match` over kinds in
//! `config/environments/mod.rs`, which also checks what a kind can deliver. Its failures are a variant of
//! [`TargetError`]. Stored settings do not name their kind, so a new kind needs a required field that no other kind has.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending, ready};

use crate::model::RunId;
use crate::model::deployment::{
    Counters, EnvironmentSettings, Observed, Plan, PlanStep, Probe, ReleaseImage, Slot, TargetSettings,
};
use crate::model::environment::Release;
use crate::store::StoreError;

use super::check::Answer;
use super::ledger::COMPOSE_STATE;
use super::outlet::Progress;
use super::shell::{CommandError, Shell};

pub mod compose;
pub mod docker;
mod hosts;
pub mod kubernetes;
mod replica;
pub mod script;

pub use hosts::{HostTraffic, Targets};
pub use replica::ReplicaState;

use compose::ComposeTarget;
use docker::DockerTarget;
use kubernetes::KubernetesTarget;
use script::Script;

/// Returns the targets of an environment, one for each of its hosts, for one deployment. `kept` is the file with the saved
/// state of a target of commands; a target of Compose has another one beside it.
#[must_use]
pub fn of(settings: &EnvironmentSettings, deployment: &RunId, shell: Shell, kept: PathBuf) -> Targets {
    let (settings, deployment) = (settings.clone(), deployment.clone());
    match settings.target.clone() {
        TargetSettings::Script(target) => Targets::from(Script::new(settings, target, deployment, shell, kept)),
        TargetSettings::Compose(target) => {
            let last_file = kept.with_extension(COMPOSE_STATE);
            Targets::from(ComposeTarget::new(settings, target, deployment, shell, last_file))
        }
        TargetSettings::Docker(target) => {
            let on = |host: Option<&String>| {
                let target = (target.clone(), host.cloned());
                DockerTarget::new(settings.clone(), target, deployment.clone(), shell.clone())
            };
            match &*target.hosts {
                [] => Targets::from(on(None)),
                [host] => Targets::from(on(Some(host))),
                hosts => Targets::on_hosts(hosts, |host| Arc::new(on(Some(host)))),
            }
        }
        TargetSettings::Kubernetes(target) => Targets::from(KubernetesTarget::new(settings, target, deployment, shell)),
    }
}

/// Returns the target of an environment whose target is commands, for tests.
#[cfg(test)]
pub(crate) fn script_of(
    settings: &EnvironmentSettings,
    deployment: &RunId,
    shell: Shell,
    kept: PathBuf,
) -> Arc<dyn Target> {
    let TargetSettings::Script(target) = settings.target.clone() else { panic!("{:?}", settings.target) };
    Arc::new(Script::new(settings.clone(), target, deployment.clone(), shell, kept))
}

/// Why a target failed.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A command did not succeed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The `status` command printed something other than a status.
    #[error("line {line} of the status command is `{text}`: expected SLOT COMMIT REPLICAS HEALTHY WEIGHT")]
    Status {
        /// Number of the line, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// The Docker engine or the router failed.
    #[error(transparent)]
    Docker(#[from] docker::DockerFault),
    /// Compose or the Docker engine failed, or Compose cannot deploy the service in this way.
    #[error(transparent)]
    Compose(#[from] compose::ComposeFault),
    /// The Kubernetes cluster failed, or refused a request.
    #[error(transparent)]
    Kubernetes(#[from] kubernetes::KubernetesFault),
    /// The saved state of the target cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target failed on one of several hosts.
    #[error("{host}: {error}")]
    Host {
        /// Name of the host.
        host: String,
        /// The error.
        error: Box<TargetError>,
    },
    /// Two addresses lead to the same engine.
    #[error("{host} is the engine of an earlier host, too: name each engine once in target.hosts")]
    SameEngine {
        /// Name of the host.
        host: String,
    },
}

impl TargetError {
    /// Whether the target gave no answer, so that nothing is known about its replicas.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Docker(error) => error.is_unanswered(),
            Self::Compose(error) => error.is_unanswered(),
            Self::Kubernetes(error) => error.is_transient(),
            Self::Host { error, .. } => error.is_unanswered(),
            Self::Command(_) | Self::Status { .. } | Self::Store(_) | Self::SameEngine { .. } => false,
        }
    }
}

/// Runs the replicas of an environment on one host, and carries out steps on them. Every step names a target state and
/// must be idempotent.
pub trait Target: Send + Sync {
    /// Returns the observed state of both slots.
    fn observe<'t>(&'t self, progress: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>>;

    /// Returns the state with which a deployment would begin, for a plan that is only shown. It differs from
    /// [`Self::observe`] for a target that a deployment repairs first, which the note then says.
    fn foresee<'t>(&'t self, progress: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>> {
        self.observe(progress)
    }

    /// Checks whether the target can carry out a plan: before the plan is shown, and before its first step.
    fn can_carry_out<'t>(&'t self, _: &'t Plan) -> BoxFuture<'t, Result<(), TargetError>> {
        ready(Ok(())).boxed()
    }

    /// Fetches the image of a release, unless it is here as its registry has it. `None` for a target that fetches no
    /// images itself.
    fn image<'t>(
        &'t self,
        _: &'t Release,
        _: &'t Progress,
    ) -> BoxFuture<'t, Result<Option<ReleaseImage>, TargetError>> {
        ready(Ok(None)).boxed()
    }

    /// Returns the image that the replicas of a slot run, as the target reports it. `None` for a target that fetches images
    /// itself, see [`Self::image`], and while none is reported.
    fn running_image<'t>(
        &'t self,
        _: Slot,
        _: &'t Plan,
        _: &'t Progress,
    ) -> BoxFuture<'t, Result<Option<ReleaseImage>, TargetError>> {
        ready(Ok(None)).boxed()
    }

    /// Removes images of earlier releases that no container uses. Returns the names of the removed ones.
    fn remove_images<'t>(&'t self, _: &'t [ReleaseImage]) -> BoxFuture<'t, Result<Vec<String>, TargetError>> {
        ready(Ok(Vec::new())).boxed()
    }

    /// Carries out a step: start, weight, drain or stop. A health step is passed to this function once it has
    /// succeeded.
    fn act<'t>(
        &'t self,
        step: &'t PlanStep,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Result<(), TargetError>>;

    /// Checks once whether all replicas of a slot are healthy.
    fn health<'t>(&'t self, slot: Slot, plan: &'t Plan, progress: &'t Progress) -> BoxFuture<'t, Answer>;

    /// Runs the probe of a smoke test or an analysis once.
    fn check<'t>(
        &'t self,
        probe: &'t Probe,
        limit: Duration,
        slot: Slot,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Answer>;

    /// Returns the replicas of the new release that this deployment has started, whether they run or not; empty for a
    /// target that does not report single replicas. `None` if the target does not answer.
    fn replicas<'t>(&'t self, _: &'t Plan) -> BoxFuture<'t, Option<Vec<ReplicaState>>> {
        ready(Some(Vec::new())).boxed()
    }

    /// Writes the known facts about the replicas of a slot that failed a check to the log of the step. Returns a
    /// summary as a phrase, or `None` if nothing is known.
    fn evidence<'t>(&'t self, _: Slot, _: &'t Progress) -> BoxFuture<'t, Option<String>> {
        ready(None).boxed()
    }

    /// Pauses or resumes the step in progress, if the target carries out steps by itself. Does nothing for other
    /// targets: the deployment pauses before its next step.
    fn pause(&self, _is_paused: bool) -> BoxFuture<'_, Result<(), TargetError>> {
        ready(Ok(())).boxed()
    }

    /// Lets a target that carries out steps by itself skip its own waits, because the deployment was promoted fully. Does
    /// nothing for other targets.
    fn promote_fully(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        ready(Ok(())).boxed()
    }

    /// Returns the observed state of both slots, and the counters of blue and green, for the screen. `None` if the
    /// target counts no requests, or does not answer. Called every few seconds while a deployment is in progress.
    fn traffic(&self) -> BoxFuture<'_, Option<(Observed, [Counters; 2])>> {
        ready(None).boxed()
    }

    /// Returns the observed state of both slots for the screen, if the target changes them by itself but counts no
    /// requests. `None` for other targets, or if the target does not answer. Called as often as [`Self::traffic`].
    fn slots(&self) -> BoxFuture<'_, Option<Observed>> {
        ready(None).boxed()
    }

    /// Waits until something may have changed what the target runs. The target reports that by itself and is not asked
    /// repeatedly. Never ends for a target that reports no changes.
    fn changed(&self) -> BoxFuture<'_, ()> {
        pending().boxed()
    }

    /// Checks that the target answers, without changing it. Called for each of several hosts before the first one is
    /// locked. For a rollback, the hosts that do not answer are left out.
    fn reach(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        ready(Ok(())).boxed()
    }

    /// Takes the lock of the environment, which also holds back deployments from other machines. The lock is held until
    /// [`Self::unlock`], or until this process ends. `owner` is shown to others who want the lock. With `is_patient`,
    /// waits for as long as another process holds it.
    fn lock<'t>(&'t self, _owner: &'t str, _is_patient: bool) -> BoxFuture<'t, Result<(), TargetError>> {
        ready(Ok(())).boxed()
    }

    /// Returns the holder of the lock for which [`Self::lock`] waits at this moment, if that may take long.
    fn awaited_lock(&self) -> Option<String> {
        None
    }

    /// Releases the lock. Does nothing if the lock is not held.
    fn unlock(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}
