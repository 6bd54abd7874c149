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
    /// Waits until the rules of an environment admit a job. Records what the job waits for. Dropping the future ends
    /// the wait.
    ///
    /// # Errors
    /// The rules do not let the job pass, or they cannot be read.
    fn enter(self: Arc<Self>, job: JobId, environment: String) -> BoxFuture<'static, Entered>;
}

/// A job that deploys to an environment of this machine. If it is dropped without `end`, the deployment counts as
/// interrupted.
pub trait JobDeployment: Send {
    /// Records how the job ended: [`Conclusion::Skipped`] if none of its steps ran.
    ///
    /// # Errors
    /// The end cannot be recorded.
    fn end(self: Box<Self>, conclusion: Conclusion, reason: Option<&str>) -> Result<(), EnvironmentError>;
}
