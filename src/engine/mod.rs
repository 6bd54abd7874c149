//! Carries out a plan: decides what may start, runs the steps, and reports every fact to an [`outlet::Outlet`].
//!
//! [`attempt`] is the loop: it takes turns with the pure [`scheduler`], decides conditions and matrices, and starts a
//! task for each job. A job prepares its place, and runs its steps one after the other: a script in a shell,
//! or an action. One step's process is driven in `process`, and what it writes passes through `output`.
//!
//! The engine observes and reports. It never says how a thing ended without having seen it end.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::model::{JobId, Step};
use crate::store::folder::RunFolder;
use crate::workflow::expr::Object;

pub mod actions;
pub mod attempt;
pub mod cancel;
pub mod checkpoint;
pub mod concurrency;
pub mod context;
pub mod job;
pub mod mask;
pub mod outlet;
pub(crate) mod panics;
pub mod reusable;
pub mod sandbox;
pub mod scheduler;
pub mod services;
pub mod step;
#[cfg(test)]
pub(crate) mod testing;
pub mod workspace;

/// How a run is carried out.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Run in the repository's own folder instead of a private copy per job.
    pub in_place: bool,
    /// Run every job here, whatever its `runs-on` says.
    pub any_runner: bool,
    /// Sandboxes by label, in lower case, from the configuration: `host`, `docker`, `docker:image`.
    pub runs_on: IndexMap<String, String>,
    /// The sandbox of every job that asks for no container, whatever its label says.
    pub sandbox: Option<String>,
    /// The image of jobs in Docker that name none.
    pub image: String,
    /// Whether steps in containers are started by a supervisor inside, not one by one through the engine.
    pub supervisor: bool,
    /// What failed jobs in containers leave is kept of so many of them.
    pub keep_failed: usize,
    /// Keep `::debug::` lines and set `RUNNER_DEBUG`.
    pub debug: bool,
    /// The pauses between signals.
    pub grace: cancel::Grace,
}

/// A job that goes on in the middle of its steps.
#[derive(Clone, Debug)]
pub struct Resumed {
    /// How it stood after its last finished step.
    pub checkpoint: checkpoint::Checkpoint,
    /// The steps of the file that had ended, as they were told then.
    pub finished: Vec<Step>,
    /// Why they are not run again, in words.
    pub why: String,
}

/// What all jobs of a run share.
pub struct RunContext {
    /// The run's id, for marking processes.
    pub run: String,
    /// What was known before the first job.
    pub facts: context::RunFacts,
    /// The `github` context made from it.
    pub github: Object,
    /// Takes what is observed.
    pub outlet: Arc<dyn outlet::Outlet>,
    /// Where jobs acquire their concurrency groups.
    pub concurrency: Arc<dyn concurrency::ConcurrencyGate>,
    /// This machine as a place for processes.
    pub host: Arc<dyn sandbox::Sandbox>,
    /// All kinds of machines that jobs run on.
    pub providers: sandbox::providers::Providers,
    /// Where actions of other repositories come from.
    pub actions: actions::store::Store,
    /// The folder of everything that is kept between runs: its locks are between the runs of this machine.
    pub state: PathBuf,
    /// The run's own folder. What is made in a container engine is noted there first.
    pub folder: RunFolder,
    /// The user's repository.
    pub repository: PathBuf,
    /// Holds a folder per job.
    pub work: PathBuf,
    /// `RUNNER_TOOL_CACHE`.
    pub tool_cache: PathBuf,
    /// How to run.
    pub options: Options,
}

impl RunContext {
    /// Marks the processes of a job. Ends in a slash, so that no mark begins another.
    #[must_use]
    pub fn tracking_id(&self, job: &JobId) -> String {
        format!("{}{job}/", sandbox::run_tracking_id(&self.run))
    }
}
