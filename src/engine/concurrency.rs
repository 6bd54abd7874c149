//! Concurrency groups of this machine.
//!
//! The engine requests groups; the worker queues for them among all runs of this machine.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::JobId;
use crate::store::concurrency::Ticket;
use crate::workflow::expr::Scope;
use crate::workflow::syntax::Concurrency;
use crate::workflow::template::TemplateError;

/// A request for a concurrency group, made by a run or a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupRequest {
    /// Name of the group.
    pub group: String,
    /// Whether to cancel the run or job that holds the group.
    pub cancel_in_progress: bool,
    /// Whether others that wait for the group keep waiting. By default they are cancelled.
    pub queue_all: bool,
}

/// Why a `concurrency` cannot be turned into a request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GroupError {
    /// An expression could not be evaluated.
    #[error("`concurrency` cannot be evaluated: {0}")]
    Evaluate(#[from] TemplateError),
    /// The name of the group is empty.
    #[error("the group of `concurrency` is empty")]
    Empty,
}

impl GroupRequest {
    /// Evaluates `concurrency`.
    ///
    /// # Errors
    /// An expression cannot be evaluated, or the name of the group is empty.
    pub fn new(concurrency: &Concurrency, scope: &Scope<'_>) -> Result<Self, GroupError> {
        let group = concurrency.group.evaluate(scope)?.to_text();
        if group.trim().is_empty() {
            return Err(GroupError::Empty);
        }
        let cancel = concurrency.cancel_in_progress.as_ref().map(|cancel| cancel.evaluate(scope)).transpose()?;
        let cancel_in_progress = cancel.is_some_and(|cancel| cancel.to_text() == "true");
        Ok(Self { group, cancel_in_progress, queue_all: concurrency.queue_all })
    }
}

/// Why a group cannot be acquired.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AcquireError {
    /// The job would wait for itself.
    #[error("{0}")]
    Deadlock(String),
    /// The state folder cannot be used.
    #[error("{0}")]
    Failed(String),
}

/// The concurrency groups of this machine.
pub trait ConcurrencyGate: Send + Sync {
    /// Enters the queue of a group immediately, and returns a future that resolves once the job holds the group. The
    /// job holds it until the ticket is dropped. Records what the job waits for. Dropping the future leaves the queue.
    fn acquire(self: Arc<Self>, job: JobId, request: GroupRequest) -> BoxFuture<'static, Result<Ticket, AcquireError>>;
}
