//! One attempt of a run: which jobs start, when, and with which results.
//!
//! [`state`] is a state machine without a clock, tasks or files: it turns an [`Input`](state::Input) into
//! [`Effect`](state::Effect)s. It uses the [`scheduler`](super::scheduler); [`decide`] evaluates conditions and
//! matrices, [`start`] starts jobs, [`calls`] adds the jobs of called workflows, and [`groups`] requests concurrency
//! groups. [`driver`] carries out the effects: it spawns the tasks of jobs, and turns their ends into inputs.

use std::collections::HashMap;

use indexmap::IndexMap;
use tokio::sync::{mpsc, watch};

use super::Resumed;
use super::cancel::Cancellation;
use super::scheduler::Ending;
use crate::model::{Conclusion, JobId};
use crate::workflow::plan::Plan;

mod calls;
mod contexts;
mod decide;
mod driver;
mod groups;
mod start;
mod state;
#[cfg(test)]
mod tests;
mod verdict;

pub use driver::run;

/// Input of an attempt.
#[derive(Debug)]
pub struct AttemptStart {
    /// Jobs to run.
    pub plan: Plan,
    /// Results of jobs that are carried over from an earlier attempt.
    pub carried: IndexMap<JobId, CarriedJob>,
    /// Jobs that resume in the middle of their steps.
    pub resumed: HashMap<JobId, Resumed>,
    /// Maximum number of jobs that run at once on this machine.
    pub slots: usize,
    /// Whether the run can succeed without the jobs that need another machine.
    pub skips_unrunnable: bool,
}

/// A job whose result is carried over from an earlier attempt.
#[derive(Clone, Debug)]
pub struct CarriedJob {
    /// How the job ended.
    pub ending: Ending,
    /// Outputs of the job.
    pub outputs: IndexMap<String, String>,
}

/// Commands to an attempt in progress.
#[derive(Debug)]
pub struct Orders {
    /// Cancellation of the run.
    pub stop: watch::Receiver<Cancellation>,
    /// Jobs that must give up their concurrency groups, and why.
    pub displaced: mpsc::Receiver<(JobId, String)>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// Conclusion of the run.
    pub conclusion: Conclusion,
    /// Reason of the conclusion, and which jobs were left out; `None` if the ends of the jobs explain the conclusion.
    pub reason: Option<String>,
}
