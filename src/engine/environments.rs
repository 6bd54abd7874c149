//! Environments of this machine that jobs deploy to. Their rules hold a job back before it starts.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::{Conclusion, JobId};

/// Why a job may not enter an environment, or why the end of its deployment cannot be recorded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct EnvironmentError(pub String);

/// Result of entering an environment; `None` if the environment has no rules on this machine.
pub type Entered = Result<Option<Box<dyn JobDeployment>>, EnvironmentError>;

/// The environments of this machine.
pub trait EnvironmentGate: Send + Sync {
    /// Requests the deployment of a job to an environment.
    ///
    /// # Errors
    /// The rules refuse the release of the job, or they cannot be read.
    fn enter(self: Arc<Self>, job: JobId, environment: String) -> BoxFuture<'static, Entered>;
}

/// A job that deploys to an environment of this machine. If it is dropped without `end`, the deployment counts as
/// interrupted, or as cancelled if it had not begun.
///
/// Only one deployment to an environment can have the turn. A job therefore first waits for everything else that it
/// needs, such as a slot, and takes the turn only when it begins.
pub trait JobDeployment: Send {
    /// Waits until the rules admit the job and no other deployment has the turn. Records what the job waits for.
    ///
    /// # Errors
    /// A reviewer rejects the deployment, or the state of the environment cannot be read.
    fn wait(&mut self) -> BoxFuture<'_, Result<(), EnvironmentError>>;

    /// Takes the turn and begins, unless the rules hold the job back or another deployment has the turn. Returns
    /// whether the deployment has begun: if so, the caller must start the job at once; otherwise, it must wait again.
    ///
    /// # Errors
    /// The same as for [`wait`](Self::wait), or the files of the repository have changed and the rules refuse the
    /// change.
    fn begin(&mut self) -> BoxFuture<'_, Result<bool, EnvironmentError>>;

    /// Records how the job ended.
    ///
    /// # Errors
    /// The end cannot be recorded.
    fn end(self: Box<Self>, conclusion: Conclusion, reason: Option<&str>) -> Result<(), EnvironmentError>;
}
