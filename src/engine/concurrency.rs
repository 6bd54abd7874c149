//! Turns in the concurrency groups of this machine.
//!
//! The engine says which turns it wants; whoever hosts it stands in line, among all runs of the machine.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::JobId;
use crate::store::concurrency::Ticket;
use crate::workflow::expr::Scope;
use crate::workflow::syntax::Concurrency;

/// A turn that a run or a job wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupRequest {
    /// The group.
    pub group: String,
    /// Whether whoever has the turn is to be cancelled.
    pub cancel_in_progress: bool,
    /// Whether the others that wait keep their places; mostly they are cancelled.
    pub queue_all: bool,
}

impl GroupRequest {
    /// What `concurrency` says, now that its expressions have values.
    ///
    /// # Errors
    /// An expression without a value, or a group without a name, in words.
    pub fn new(concurrency: &Concurrency, scope: &Scope<'_>) -> Result<Self, String> {
        let failed = |error| format!("`concurrency` cannot be evaluated: {error}");
        let group = concurrency.group.evaluate(scope).map_err(failed)?.to_text();
        if group.trim().is_empty() {
            return Err("the group of `concurrency` is empty".to_owned());
        }
        let cancel = concurrency.cancel_in_progress.as_ref().map(|cancel| cancel.evaluate(scope));
        let cancel = cancel.transpose().map_err(failed)?;
        let cancel_in_progress = cancel.is_some_and(|cancel| cancel.to_text() == "true");
        Ok(Self { group, cancel_in_progress, queue_all: concurrency.queue_all })
    }
}

/// Why there is no turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AcquireError {
    /// It would wait for itself.
    Deadlock(String),
    /// The state folder cannot be used.
    Failed(String),
}

/// The lines of this machine.
pub trait ConcurrencyGate: Send + Sync {
    /// Stands in line for a job at once, tells readers what it waits for, and ends when the job has its turn, which lasts until
    /// the ticket is dropped. Dropping the future leaves the line.
    fn turn(self: Arc<Self>, job: JobId, wanted: GroupRequest) -> BoxFuture<'static, Result<Ticket, AcquireError>>;
}
