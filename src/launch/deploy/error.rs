//! Why a deployment does not start.

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

/// Why a deployment does not start, or nothing is known of one.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The folder is not in a repository, or git cannot read it.
    #[error(transparent)]
    Repository(#[from] GitError),
    /// The settings are invalid.
    #[error(transparent)]
    Config(Arc<ConfigError>),
    /// What goes past the rules, or stops others, is asked for without a reason.
    #[error("{0} needs a reason, for the people who find it: give --reason TEXT")]
    NoReason(&'static str),
    /// The repository has no environments.
    #[error("{}/.cuelight.toml has no environments: `cuelight config --example` shows what to write", .0.display())]
    NoEnvironments(PathBuf),
    /// The repository has other environments.
    #[error("no environment `{name}` in .cuelight.toml; {}", match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.join(", ")),
    })]
    UnknownEnvironment {
        /// The name as given.
        name: String,
        /// One with a similar name.
        near: Option<String>,
        /// All of them.
        known: Vec<String>,
    },
    /// The release does not exist.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// There is no release to go back to.
    #[error(transparent)]
    Rollback(#[from] RollbackTargetError),
    /// Rules of the environment do not let the release pass.
    #[error(transparent)]
    Closed(#[from] Refused),
    /// The environment is locked already, or not at all.
    #[error("{0}")]
    Locked(String),
    /// What serves in the environment is not known, so there is nothing to go back from.
    #[error("{name}: {unknown}; `cuelight deploy {name} {last}` puts the last good release there")]
    Unknown {
        /// Name of the environment.
        name: String,
        /// Why it is not known.
        unknown: String,
        /// The last release that was deployed with success.
        last: String,
    },
    /// A deployment is on its way, and its end is waited for or decided first.
    #[error("{0}")]
    OnItsWay(String),
    /// No deployment to the environment is in progress.
    #[error("no deployment to {0} is in progress")]
    NothingOpen(String),
    /// The repository is not trusted to run on this machine.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The target does not say what runs.
    #[error("cannot find out what runs: {0}")]
    Target(#[from] TargetError),
    /// The state folder cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The worker cannot be started.
    #[error(transparent)]
    Worker(#[from] SpawnError),
}

impl DeployError {
    /// Whether the folder is in no repository at all.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        matches!(self, Self::Repository(_))
    }
}
