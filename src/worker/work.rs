//! The port between the worker process and what it hosts: a run of a workflow, or any other kind of work.
//!
//! The host holds the lock and the socket, answers commands, writes the journal, and closes every attempt. [`Work`] says
//! what an attempt does. A new kind of work is one implementation, one variant of [`WorkSpec`] in `run.json`, and one line
//! in [`super::carry_out`].
//!
//! [`WorkSpec`]: crate::store::spec::WorkSpec

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::engine::cancel::Cancellation;
use crate::model::{Conclusion, EndReason, JobId, Run};
use crate::store::folder::RunFolder;

use super::Mode;
use super::outlet::RunOutlet;

/// The work of one run, for as many attempts as are requested.
pub trait Work: Send + Sync {
    /// Returns the values to mask in everything that is written about the run.
    fn secrets(&self) -> Vec<String>;

    /// Plans the next attempt of the run, which has gone through `before` already. Writes nothing.
    ///
    /// # Errors
    /// The attempt cannot begin: the run stays what it is. Errors of the work itself are no rejection: the attempt begins
    /// and ends with them.
    fn attempt(&self, mode: &Mode, before: &Run) -> Result<Box<dyn HostedAttempt>, Rejected>;

    /// Removes what no later attempt needs. Called once the end of an attempt is on record.
    fn clean_up(&self, run: &Run);
}

/// A planned attempt.
pub trait HostedAttempt: Send {
    /// Returns values to mask that belong to this attempt alone.
    fn secrets(&self) -> Vec<String>;

    /// Carries the attempt out to its end. Records `RunStarted` once it may begin, and whatever happens then; the host
    /// records `RunFinished`. Ends soon after a cancellation.
    fn run(self: Box<Self>, host: AttemptHost) -> BoxFuture<'static, Ended>;
}

/// What the host gives to an attempt.
pub struct AttemptHost {
    /// The run's folder.
    pub folder: RunFolder,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Takes records, logs and checkpoints.
    pub outlet: Arc<RunOutlet>,
    /// Whether and how the attempt is cancelled.
    pub cancelled: watch::Receiver<Cancellation>,
    /// Jobs that must give their concurrency groups up, and why.
    pub displaced: mpsc::Receiver<(JobId, String)>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The run's conclusion.
    pub conclusion: Conclusion,
    /// Why, where no job explains it.
    pub reason: Option<EndReason>,
}

/// Why an attempt cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejected(pub String);
