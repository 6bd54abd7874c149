//! The interface between the worker process and the work that it hosts: the run of a workflow, or another kind of work.
//!
//! The host holds the lock and the socket, answers commands, writes the journal, and closes every attempt. [`Work`]
//! carries out an attempt.
//!
//! # Adding a kind of work
//!
//! 1. An implementation of [`Work`], in a file beside this one. It only calls the code that does the work, which
//!    belongs to a module that `worker` imports, such as `engine` or `rollout`.
//! 2. A variant of [`WorkSpec`], its name in `KINDS` beside it, and a line in [`super::carry_out`].
//! 3. A function in `launch/` that plans and starts it, as `launch::plan` and `launch::start` do for workflows.
//!
//! Runs of the new kind can then be cancelled, rerun, listed and shown like any other. Commands that only this kind of
//! work knows are received by `Desk` in [`super`] like all others, and passed to the attempt through
//! [`AttemptHost::orders`] if [`HostedAttempt::takes`] accepts them. What a lost worker leaves is cleaned up by
//! [`super::recovery`].
//!
//! [`WorkSpec`]: crate::store::spec::WorkSpec

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::engine::cancel::Cancellation;
use crate::model::{Command, Conclusion, EndReason, JobId, Run};
use crate::store::folder::RunFolder;

use super::Mode;
use super::control::{Environments, PendingCommand};
use super::outlet::RunOutlet;

/// The work of one run, for any number of attempts.
pub trait Work: Send + Sync {
    /// Returns the values to mask in everything that is written about the run.
    fn secrets(&self) -> Vec<String>;

    /// Returns a function that gives the environment of the held or last failed step of a job, with its secrets, which are
    /// only in the memory of this process. By default, no job has one.
    fn environments(&self) -> Environments {
        Arc::new(|_| None)
    }

    /// Plans the next attempt. `before` is the run so far. Writes nothing. What takes long, such as reading the working
    /// tree, is done on other threads.
    ///
    /// # Errors
    /// The attempt cannot begin, and the run stays as it is. Errors of the work itself are not rejections: the attempt
    /// begins, and ends with them.
    fn attempt(&self, mode: &Mode, before: &Run) -> BoxFuture<'static, Planned>;

    /// Removes files that no later attempt needs. Called once the end of an attempt is recorded.
    fn clean_up(&self, run: &Run);
}

/// A planned attempt, or why it cannot begin.
pub type Planned = Result<Box<dyn HostedAttempt>, Rejected>;

/// A planned attempt.
pub trait HostedAttempt: Send {
    /// Returns values to mask in this attempt only.
    fn secrets(&self) -> Vec<String>;

    /// Returns a function that decides whether the work takes a command itself, through [`AttemptHost::orders`]. By
    /// default, the work takes no commands.
    fn takes(&self) -> fn(&Command) -> bool {
        |_| false
    }

    /// Carries out the attempt. Records `RunStarted` once it may begin, and everything that follows; the host records
    /// `RunFinished`. Must end soon after a cancellation.
    fn run(self: Box<Self>, host: AttemptHost) -> BoxFuture<'static, Ended>;
}

/// Resources of the host for an attempt.
pub struct AttemptHost {
    /// Folder of the run.
    pub folder: RunFolder,
    /// Number of the attempt, counted from 1.
    pub attempt: u32,
    /// Outlet for records, logs and checkpoints.
    pub outlet: Arc<RunOutlet>,
    /// Cancellation of the attempt.
    pub cancelled: watch::Receiver<Cancellation>,
    /// Jobs that must give up their concurrency groups, and why.
    pub displaced: mpsc::Receiver<(JobId, String)>,
    /// Commands that only this kind of work knows, if it [takes](HostedAttempt::takes) them.
    pub orders: mpsc::Receiver<PendingCommand>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Conclusion of the run.
    pub conclusion: Conclusion,
    /// Reason for the conclusion. `None` if the jobs explain it.
    pub reason: Option<EndReason>,
}

/// Why an attempt cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejected(pub String);
