//! One attempt of a run: which jobs start, when, and what comes of them.
//!
//! [`state`] is a state machine without a clock, a task or a file: an [`Input`](state::Input) goes in, and
//! [`Effect`](state::Effect)s come out. It follows the [`scheduler`](super::scheduler); [`decide`] evaluates conditions and
//! matrices, [`start`] starts jobs, [`calls`] brings the jobs of called workflows in, and [`groups`] waits for concurrency
//! groups. [`driver`] carries the effects out: it spawns the tasks of jobs, and turns their ends into inputs.

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
mod outline;
mod start;
mod state;
#[cfg(test)]
mod tests;
mod verdict;

pub use driver::run;
pub use outline::{environment_name, outline};

/// What an attempt starts from.
#[derive(Debug)]
pub struct AttemptStart {
    /// The jobs.
    pub plan: Plan,
    /// Jobs whose results of an earlier attempt stand.
    pub carried: IndexMap<JobId, CarriedJob>,
    /// Jobs that go on in the middle of their steps.
    pub resumed: HashMap<JobId, Resumed>,
    /// How many jobs may run at once on this machine.
    pub slots: usize,
}

/// A job whose result of an earlier attempt stands.
#[derive(Clone, Debug)]
pub struct CarriedJob {
    /// How it ended.
    pub ending: Ending,
    /// Its outputs.
    pub outputs: IndexMap<String, String>,
}

/// What is asked of an attempt while it goes on.
#[derive(Debug)]
pub struct Orders {
    /// How the run is cancelled.
    pub stop: watch::Receiver<Cancellation>,
    /// Jobs that must leave their concurrency groups to others, and why.
    pub displaced: mpsc::Receiver<(JobId, String)>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// The run's conclusion.
    pub conclusion: Conclusion,
    /// Why, where no job explains it.
    pub reason: Option<String>,
}
