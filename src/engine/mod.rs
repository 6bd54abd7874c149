//! Carries out a plan: decides which jobs may start, runs their steps, and reports every fact to an [`outlet::Outlet`].
//!
//! [`attempt`] is the main loop: it asks the pure [`scheduler`] for decisions, evaluates conditions and matrices, and
//! spawns a task for each job. A job sets up its environment and runs its steps in order; background steps run in
//! parallel with the others. `step::process` runs the process of a step, and `step::output` handles its output.
//!
//! The engine reports only what it has observed: it never records the end of a process whose exit it has not seen.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use indexmap::IndexMap;
use tokio::sync::mpsc;

use crate::model::{JobId, Step};
use crate::store::folder::RunFolder;
use crate::workflow::expr::Object;

pub mod actions;
pub mod attempt;
pub(crate) mod blocking;
pub mod cancel;
pub mod checkpoint;
pub mod concurrency;
pub mod context;
pub mod environments;
pub mod hold;
pub mod job;
pub mod mask;
pub mod outlet;
pub(crate) mod panics;
mod program;
pub mod results;
pub mod reusable;
pub mod sandbox;
pub mod scheduler;
pub mod services;
pub(crate) mod slot;
pub mod step;
#[cfg(test)]
pub(crate) mod testing;
pub mod tools;
pub mod workspace;

/// Options of a run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether jobs run in the repository's own folder instead of a private copy per job.
    pub in_place: bool,
    /// Whether `runs-on` is ignored, so that jobs run on this machine or in `sandbox`.
    pub any_runner: bool,
    /// Sandboxes by label, in lower case, from the configuration: `host`, `docker`, `docker:image`.
    pub runs_on: IndexMap<String, String>,
    /// Sandbox of every job without a `container`, regardless of its `runs-on`. `None` if `runs-on` decides.
    pub sandbox: Option<String>,
    /// Image of jobs in Docker that name no image.
    pub image: String,
    /// Whether a supervisor inside the container starts the steps, instead of one `docker exec` per step.
    pub supervisor: bool,
    /// Whether containers get Docker's socket.
    pub docker_socket: bool,
    /// Folders of other repositories whose git objects containers may read.
    pub git_objects: Vec<PathBuf>,
    /// How many failed jobs keep their container for `cuelight shell`.
    pub keep_failed: usize,
    /// Dependency folders with which jobs start, each with the names of its lock files.
    pub warm_start: IndexMap<String, Vec<String>>,
    /// Whether jobs start without the dependency folders of earlier runs.
    pub cold: bool,
    /// Commits of the called workflows of other repositories, by `owner/name/path@ref`.
    pub called_commits: IndexMap<String, String>,
    /// Variables of all steps. They override `env` of the workflow and its jobs.
    pub env: IndexMap<String, String>,
    /// Whether to keep `::debug::` lines and set `RUNNER_DEBUG`.
    pub debug: bool,
    /// Pauses between signals.
    pub grace: cancel::Grace,
}

/// A job that resumes in the middle of its steps.
#[derive(Clone, Debug)]
pub struct Resumed {
    /// State after the job's last finished step.
    pub checkpoint: checkpoint::Checkpoint,
    /// Steps that had ended, as they were recorded.
    pub finished: Vec<Step>,
    /// Why these steps are not run again, as a message.
    pub why: String,
}

/// State that all jobs of a run share.
pub struct RunContext {
    /// Id of the run, for messages.
    pub run: String,
    /// Facts that are known before the first job.
    pub facts: context::RunFacts,
    /// The `github` context made from `facts`.
    pub github: Object,
    /// Receives everything that the engine observes.
    pub outlet: Arc<dyn outlet::Outlet>,
    /// Where jobs acquire their concurrency groups.
    pub concurrency: Arc<dyn concurrency::ConcurrencyGate>,
    /// Where jobs enter the environments that they deploy to.
    pub environments: Arc<dyn environments::EnvironmentGate>,
    /// Sandbox for processes on this machine itself.
    pub host: Arc<dyn sandbox::Sandbox>,
    /// All providers of sandboxes.
    pub providers: sandbox::providers::Providers,
    /// Resolver and cache for actions of other repositories.
    pub actions: actions::store::Store,
    /// State folder, shared by all runs of this machine. It contains the locks that coordinate them.
    pub state: PathBuf,
    /// Folder of the run. The address of the Docker engine is written there before any resource is created.
    pub folder: RunFolder,
    /// Path of the user's repository.
    pub repository: PathBuf,
    /// Parent of the folders of all jobs.
    pub work: PathBuf,
    /// Tool cache shared by all runs. `RUNNER_TOOL_CACHE` of a job on this machine is a folder with links to these
    /// tools.
    pub tool_cache: PathBuf,
    /// Options of the run.
    pub options: Options,
    /// Services for actions: artifacts and caches.
    pub results: results::Results,
    /// Failed steps that wait for a person.
    pub holds: Arc<hold::Holds>,
    /// Time at which the attempt began.
    pub begun: SystemTime,
    /// Receives the time at which a checkout has copied files of the user's working tree.
    pub checkout_done: mpsc::UnboundedSender<SystemTime>,
}

impl RunContext {
    /// Returns the text that marks the processes of a job. It ends in a slash, so that no mark is a prefix of another.
    #[must_use]
    pub fn tracking_id(&self, job: &JobId) -> String {
        format!("{}{job}/", sandbox::run_tracking_id(&self.folder))
    }
}
