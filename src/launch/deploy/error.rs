//! Errors of deployments.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::ConfigError;
use crate::model::rollback::TargetError as RollbackTargetError;
use crate::repo::git::GitError;
use crate::rollout::gates::Refused;
use crate::rollout::plan::PlanError;
use crate::rollout::release::ReleaseError;
use crate::rollout::target::TargetError;
use crate::store::StoreError;
use crate::worker::launch::SpawnError;

use crate::launch::trust::Untrusted;

/// Why a deployment cannot be started or inspected.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The folder is not in a repository, or git cannot read it.
    #[error(transparent)]
    Repository(#[from] GitError),
    /// The settings are invalid.
    #[error(transparent)]
    Config(Arc<ConfigError>),
    /// An override or a lock was requested without a reason.
    #[error("{0} needs a reason for others to read: give --reason TEXT")]
    NoReason(&'static str),
    /// The repository has no environments.
    #[error("{}/.cuelight.toml has no environments: `cuelight config --example` shows what to write", .0.display())]
    NoEnvironments(PathBuf),
    /// The repository has environments, but none with this name.
    #[error("no environment `{name}` in .cuelight.toml; {}", match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the environments are {}", known.join(", ")),
    })]
    UnknownEnvironment {
        /// The name as given.
        name: String,
        /// A known name that is similar.
        near: Option<String>,
        /// Names of all environments.
        known: Vec<String>,
    },
    /// The release does not exist.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// There is no release to go back to.
    #[error(transparent)]
    Rollback(#[from] RollbackTargetError),
    /// Rules of the environment reject the release.
    #[error(transparent)]
    Closed(#[from] Refused),
    /// Rules of the environment reject a deployment that a person asked for, who may override them.
    #[error(
        "{refused}\nin an emergency, `cuelight deploy {environment} {release} --override --reason TEXT` deploys nevertheless, \
             which the ledger records"
    )]
    Overridable {
        /// The rules.
        refused: Refused,
        /// Name of the environment.
        environment: String,
        /// Name of the release.
        release: String,
    },
    /// The environment is already locked, or is not locked.
    #[error("{0}")]
    Locked(String),
    /// It is unknown which release is live in the environment, so there is nothing to roll back from.
    #[error("{name}: {unknown}; `cuelight deploy {name} {last}` puts the last good release there")]
    Unknown {
        /// Name of the environment.
        name: String,
        /// Why the live release is not known.
        unknown: String,
        /// The last release that was deployed successfully, or a placeholder.
        last: String,
    },
    /// A deployment is in progress, and must end or be aborted first.
    #[error("{0}")]
    OnItsWay(String),
    /// The live release or the requested one is no longer what was shown.
    #[error("{0} has changed since this was shown, so nothing was done: look again, and repeat the request")]
    Moved(String),
    /// No deployment to the environment is in progress.
    #[error("no deployment to {0} is in progress: `cuelight deploys {0}` lists the earlier ones")]
    NothingOpen(String),
    /// The repository is not trusted to run on this machine.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// No plan can be made.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The target cannot carry out the plan.
    #[error("{0}")]
    NotDeliverable(TargetError),
    /// The target does not report what is running.
    #[error("cannot determine what is running: {0}")]
    Target(#[from] TargetError),
    /// The state folder cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The worker cannot be started.
    #[error(transparent)]
    Worker(#[from] SpawnError),
}

impl DeployError {
    /// Whether the folder is not in a repository, or git cannot read it.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        matches!(self, Self::Repository(_))
    }
}
