//! Environments of this machine that jobs deploy to. Their rules hold a job back before it starts.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::{Conclusion, JobId};

/// Why a job may not enter an environment, or its end there cannot be recorded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct EnvironmentError(pub String);

/// A job in an environment; `None` for an environment without rules on this machine.
pub type Entered = Result<Option<Box<dyn JobDeployment>>, EnvironmentError>;

/// The environments of this machine.
pub trait EnvironmentGate: Send + Sync {
    /// Waits until the rules of an environment let a job in. Records what the job waits for. Dropping the future gives the wait up.
    ///
    /// # Errors
    /// The rules do not let the job pass, or they cannot be read.
    fn enter(self: Arc<Self>, job: JobId, environment: String) -> BoxFuture<'static, Entered>;
}

/// A job that deploys to an environment of this machine. One that is dropped before its end counts as interrupted.
pub trait JobDeployment: Send {
    /// Records how the job ended.
    ///
    /// # Errors
    /// The end cannot be recorded.
    fn end(self: Box<Self>, conclusion: Conclusion, reason: Option<&str>) -> Result<(), EnvironmentError>;
}
