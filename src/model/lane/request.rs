//! Requests about an environment, and what a deployment would do.

use std::time::Duration;

use crate::model::RunId;
use crate::model::environment::Release;
use crate::model::rollback::Changes;

/// A request about an environment of this machine. A request that fails is answered with a notice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LaneRequest {
    /// Show what a deployment of a release would do. Answered by a [`DeploymentPreview`].
    Plan {
        /// Name of the environment.
        environment: String,
        /// Tag, branch or commit.
        release: String,
    },
    /// Show what a rollback would do. Answered by a [`DeploymentPreview`].
    PlanRollback {
        /// Name of the environment.
        environment: String,
        /// Commit of the release to restore; `None` for the last other release that succeeded.
        to: Option<String>,
    },
    /// Carry out the deployment or rollback that was shown.
    Start {
        /// Number of the [`DeploymentPreview`]. It becomes invalid when the next one is requested.
        question: u64,
        /// Reason for the ledger; may be empty.
        reason: String,
    },
    /// Let the deployment continue after a pause.
    Promote {
        /// Name of the environment.
        environment: String,
        /// The deployment that was shown.
        run: RunId,
        /// Whether all later pauses are skipped, too.
        full: bool,
    },
    /// Stop the former release that is kept running after a success.
    StopKept {
        /// Name of the environment.
        environment: String,
        /// The deployment that was shown.
        run: RunId,
    },
    /// Let the deployment wait before its next step.
    Pause {
        /// Name of the environment.
        environment: String,
        /// The deployment that was shown.
        run: RunId,
    },
    /// Abort the deployment: the former release is restored.
    Abort {
        /// Name of the environment.
        environment: String,
        /// The deployment that was shown.
        run: RunId,
        /// Reason for the ledger; may be empty.
        reason: String,
    },
    /// Lock the environment.
    Lock {
        /// Name of the environment.
        environment: String,
        /// Reason, for people who want to deploy.
        reason: String,
        /// How long the lock lasts; `None` if it lasts until the environment is unlocked.
        length: Option<Duration>,
    },
    /// Unlock the environment.
    Unlock {
        /// Name of the environment.
        environment: String,
        /// Reason for the ledger; may be empty.
        reason: String,
    },
}

/// What a deployment or a rollback would do, as it is shown before it is confirmed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeploymentPreview {
    /// Name of the environment.
    pub environment: String,
    /// The release that is replaced: the live one or, if a deployment is aborted, the one that was being deployed.
    /// `None` if there is none.
    pub from: Option<Release>,
    /// The release that is live afterwards; `None` if an aborted deployment was the first one.
    pub to: Option<Release>,
    /// Whether it is not known what is live or, for an abort, what was live before, so that `from` or `to` is `None`.
    pub former_unknown: bool,
    /// How the deployment or rollback is done.
    pub way: DeploymentWay,
    /// The commits that are undone by a rollback, or new in a deployment.
    pub changes: Changes,
    /// What a person should know first: gates that the deployment waits for, missing variables, unreadable lines of the
    /// ledger.
    pub notes: Vec<String>,
}

/// How a deployment or a rollback is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeploymentWay {
    /// A release is deployed with these steps; empty if they are planned once another deployment has ended.
    Deploy(Vec<String>),
    /// An earlier release is deployed with these steps.
    RollBack {
        /// The steps in words.
        steps: Vec<String>,
        /// Whether the release still runs, so that no replica is started and only the traffic moves.
        is_instant: bool,
    },
    /// The deployment in progress is aborted.
    Abort,
}
