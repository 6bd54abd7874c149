//! Concurrency groups of this machine.
//!
//! The engine requests groups; its host queues for them, among all runs of the machine.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::JobId;
use crate::store::concurrency::Ticket;
use crate::workflow::expr::Scope;
use crate::workflow::syntax::Concurrency;
use crate::workflow::template::TemplateError;

/// A request of a run or a job for a concurrency group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupRequest {
    /// The group.
    pub group: String,
    /// Whether the run or job that holds the group is cancelled.
    pub cancel_in_progress: bool,
    /// Whether the others that wait keep their places; by default they are cancelled.
    pub queue_all: bool,
}

/// Why `concurrency` requests no group.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GroupError {
    /// An expression could not be evaluated.
    #[error("`concurrency` cannot be evaluated: {0}")]
    Evaluate(#[from] TemplateError),
    /// The group has no name.
    #[error("the group of `concurrency` is empty")]
    Empty,
}

impl GroupRequest {
    /// Evaluates `concurrency`.
    ///
    /// # Errors
    /// An expression could not be evaluated, or the group has no name.
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
    /// Queues for a group at once, and returns a future that ends when the job holds it, which it does until the ticket is
    /// dropped. Records what the job waits for. Dropping the future leaves the queue.
    fn acquire(self: Arc<Self>, job: JobId, request: GroupRequest) -> BoxFuture<'static, Result<Ticket, AcquireError>>;
}
