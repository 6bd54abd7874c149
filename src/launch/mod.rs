//! Plans and starts runs, for every front end: this module uses neither the command line nor the terminal.
//!
//! A [`LaunchRequest`] describes a run. [`plan`] reads the repository, the workflow, the settings and the secrets once
//! and returns a [`Planned`] run, which has no folder yet. Its [`Consent`] is the trust question. [`start`] runs
//! exactly what was planned: it writes the run's folder, starts the worker, and returns a [`Started`] run.
//!
//! - [`request`]: the request, and the document of the run (`run.json`)
//! - [`mod@called`]: the workflows that a workflow calls
//! - [`candidates`]: values that complete a command line
//! - [`event`]: the payload of the event
//! - [`triggers`]: the workflows that an event runs, and why
//! - [`trust`]: whether a repository may run on this machine, and what would run
//! - [`secrets`]: where secrets come from, and which ones a workflow names
//! - [`deploy`]: deployments to environments
//! - [`commands`]: commands for a run: cancel, rerun, resume, delete
//! - [`held`]: later changes of the user's files for jobs whose step is held
//! - [`shell`]: a shell in the environment of a running or failed job
//! - [`artifacts`] and [`caches`]: what steps uploaded and saved; [`upload`]: what a person adds to it;
//!   [`cache_download`]: the files of a cache entry
//! - [`branches`]: temporary branches on servers
//! - [`tools`]: languages on this machine that setup actions find
//! - [`clean`]: removal of old runs and leftovers
//! - [`doctor`]: checks of the requirements of runs
//! - [`expression`]: expressions evaluated outside of a run; [`expression_protocol`]: the same as JSON lines
//! - [`demo`]: projects that are part of the program

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;

use indexmap::IndexMap;

use crate::config::{ApiChoice, Config, ConfigError};
use crate::engine::mask::Masker;
use crate::model::{RepositoryId, RunInfo, WorkingTree};
use crate::repo::git::{Access, GitError, Repository};
use crate::repo::uncommitted::Uncommitted;
use crate::repo::workflows;
use crate::repo::workflows::WorkflowFileError;
use crate::store::folder::{RunFolder, RunsDir, locate};
use crate::store::spec::{RunSpec, WorkSpec, WorkflowSpec, ref_name};
use crate::store::{StoreError, atomic, numbers};
use crate::worker::launch::spawn;
use crate::worker::{Mode, prepare, recovery};
use crate::workflow;
use crate::workflow::plan::{Plan, PlanContexts};

pub mod artifacts;
pub mod branches;
pub mod cache_download;
pub mod caches;
pub mod called;
pub mod candidates;
pub mod clean;
pub mod commands;
pub mod compose;
pub mod demo;
pub mod deploy;
pub mod doctor;
pub mod env_file;
pub mod event;
pub mod expression;
pub mod expression_protocol;
pub mod held;
mod job_review;
pub mod request;
pub mod secrets;
pub mod shell;
pub mod tools;
pub mod triggers;
pub mod trust;
pub mod upload;

pub use crate::engine::sandbox::provider::{FollowedLine, ProviderError};
pub use crate::worker::launch::SpawnError;
pub use crate::worker::prepare::Refusal;
pub use event::{Payload, PayloadError};
pub use request::LaunchRequest;
pub use secrets::{SecretError, SecretSource};

use called::{Others, called};
use trust::{Consent, Subject, Trust, Untrusted};

/// The event of a run if neither its request nor the triggers of its workflow suggest one.
pub const PUSH: &str = "push";

/// The word for the newest run.
pub const LATEST: &str = "latest";

/// Why a run does not start.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The folder is not in a repository, or git cannot read it.
    #[error(transparent)]
    Repository(#[from] GitError),
    /// The settings are invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The workflows have changed since they were shown with the trust question.
    #[error("the workflow was changed since it was shown: start it again")]
    Changed,
    /// The workflow file cannot be found or read.
    #[error(transparent)]
    Workflow(#[from] WorkflowFileError),
    /// The event's payload cannot be read.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A secret has no value, or a file with secrets cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The workflow has errors, or the request does not fit it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The repository is not trusted to run on this machine.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The state folder cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The worker cannot be started.
    #[error(transparent)]
    Worker(#[from] SpawnError),
}

/// A run that can start: its inputs were read, and its folder is not written yet.
pub struct Planned {
    info: RunInfo,
    spec: WorkflowSpec,
    plan: Arc<Plan>,
    secrets: IndexMap<String, String>,
    consent: Consent,
    unknown: Vec<String>,
    /// The uncommitted changes, which are read in the background.
    uncommitted: JoinHandle<Uncommitted>,
    /// The request, if workflows of other repositories were left out because the repository is not trusted.
    incomplete: Option<Box<LaunchRequest>>,
}

/// A run with a folder and a worker.
#[derive(Debug)]
pub struct Started {
    /// The run's folder.
    pub folder: RunFolder,
}

impl Planned {
    /// Returns the identity of the run. Its id is assigned when it starts.
    #[must_use]
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// Returns the spec of the run. Its number is provisional until the run starts.
    #[must_use]
    pub fn spec(&self) -> &WorkflowSpec {
        &self.spec
    }

    /// Returns the jobs that would run.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns a note, for the start of the run, about paths of the event that the workflow reads and that this machine
    /// cannot fill in. `None` if there are no such paths.
    #[must_use]
    pub fn unknown(&self) -> Option<String> {
        let paths: Vec<_> = self.unknown.iter().map(|path| format!("github.event.{path}")).collect();
        let (first, verb) = (self.unknown.first()?, if paths.len() == 1 { "is" } else { "are" });
        Some(format!(
            "{} {verb} empty: unknown on this machine; set it with --event-set {first}=VALUE",
            paths.join(", ")
        ))
    }

    /// Returns the trust question about the repository.
    #[must_use]
    pub fn consent(&self) -> &Consent {
        &self.consent
    }

    /// Returns the trust question about the repository, to answer it.
    pub fn consent_mut(&mut self) -> &mut Consent {
        &mut self.consent
    }
}

/// Plans a run: reads its inputs and checks that it can start. Writes no folder, but fetches the called workflows of
/// other repositories into the cache if the repository is trusted.
///
/// # Errors
/// See [`LaunchError`]. A repository that is not trusted is not an error here: [`start`] refuses it.
pub fn plan(runs: &RunsDir, request: &LaunchRequest) -> Result<Planned, LaunchError> {
    let repository = request.repository()?;
    let secret_files: Vec<_> =
        request.secrets.iter().filter_map(SecretSource::file).filter_map(|path| path.canonicalize().ok()).collect();
    let uncommitted = uncommitted(runs, &repository, secret_files.clone());
    let config = Config::load(Some(&repository.root))?;
    let path = workflows::find(request.workflow.as_deref(), &request.folder, &repository.root)?;
    let (name, text) = (workflows::relative(&path, &repository.root), workflows::read(&path)?);
    let payload = request.payload.read()?;
    // Secrets that do not depend on the workflow are read first: a missing one is reported before errors of the file.
    let given = secrets::given(&request.secrets)?;
    let workflow = prepare::parse(&name, &text)?;
    let offline = request.offline || config.offline;
    let settings = config.named_by_repository().to_vec();
    let trust = if request.needs_trust() { trust::of(runs, &repository, &settings)? } else { Trust::Given };
    // The settings and workflows of the repository decide what is fetched, and with which program, so nothing is
    // fetched for a repository that is not trusted.
    let others = match trust {
        Trust::Given => Others::fetched(&config.actions, &repository.root, offline),
        Trust::Missing(_) => Others::Unread,
    };
    let called = called(&workflow, &repository.root, &others, &request.jobs);
    let incomplete = (trust != Trust::Given && called.is_incomplete()).then(|| Box::new(request.clone()));
    let api = config.github.api;
    let event = request.event.as_deref().or_else(|| workflow::triggers::likely_event(&workflow)).unwrap_or(PUSH);
    let (info, mut spec) = request.spec(&repository, config, &workflow, event, &payload);
    let unknown = event::unknown::paths(&workflow, &info.event, &spec.payload);
    let secrets = secrets::with_named(given, &request.secrets, &workflow, &called);
    spec.called = called.texts();
    spec.called_commits = called.commits();
    spec.secrets = secrets.keys().cloned().collect();
    spec.secret_files = secret_files;
    spec.local_api = match api {
        ApiChoice::Local => true,
        ApiChoice::GitHub => false,
        ApiChoice::ByToken => !secrets.contains_key(prepare::TOKEN),
    };
    spec.run_number = numbers::next(runs, &info.repository, &info.workflow)?;
    let plan = Arc::new(prepare::plan(&info, &spec, workflow, &|path| called.callee(path), secrets.clone(), 1)?.plan);
    let subject = Subject { name: info.workflow.clone(), plan: Ok(Arc::clone(&plan)), sandbox: spec.sandbox.clone() };
    let consent = Consent::new(repository, settings, trust, vec![subject]);
    Ok(Planned { info, spec, plan, secrets, consent, unknown, uncommitted, incomplete })
}

/// Starts to read the uncommitted changes of a repository on another thread, because this takes git as long as the rest
/// of the planning. If git cannot list them, the run may start, because its steps may use no file, but it counts as one
/// with changes.
fn uncommitted(runs: &RunsDir, repository: &Repository, secrets: Vec<PathBuf>) -> JoinHandle<Uncommitted> {
    let (access, root, sha) = (trust::access(runs, repository), repository.root.clone(), repository.sha.clone());
    thread::spawn(move || {
        Uncommitted::read(&root, access, &sha, &secrets).unwrap_or_else(|error| {
            tracing::warn!(%error, "the uncommitted changes are not recorded");
            Uncommitted::unlisted(&error)
        })
    })
}

/// Returns the trust question about a repository and all its workflows, whatever event triggers them. Reads called
/// workflows of other repositories only from the cache and from sources of the configuration.
///
/// # Errors
/// There is no repository, its settings are invalid, or the state folder cannot be read.
pub fn consent(runs: &RunsDir, folder: &Path) -> Result<Consent, LaunchError> {
    let repository = Repository::discover(folder)?;
    let config = Config::load(Some(&repository.root))?;
    let settings = config.named_by_repository().to_vec();
    let trust = trust::of(runs, &repository, &settings)?;
    let access = if trust == Trust::Given { Access::Trusted } else { Access::Guarded };
    let subjects = workflows::list(&repository.root).into_iter().map(|path| {
        let name = workflows::relative(&path, &repository.root);
        let plan = workflows::read(&path).map_err(LaunchError::from).and_then(|text| {
            let workflow = prepare::parse(&name, &text)?;
            let called = called::known(&workflow, &repository.root, &config, access);
            let known = PlanContexts { knows_every_file: true, ..PlanContexts::default() };
            Ok(Plan::new(workflow, &known, &|path| called.callee(path)).map_err(Refusal::Faults)?)
        });
        Subject { name, plan: plan.map(Arc::new).map_err(Arc::new), sandbox: None }
    });
    let subjects = subjects.collect();
    Ok(Consent::new(repository, settings, trust, subjects))
}

/// Returns the trust question about another attempt of a run.
///
/// # Errors
/// The run or its repository cannot be read, or its workflow has errors.
pub fn consent_of_attempt(folder: &RunFolder) -> Result<Consent, LaunchError> {
    let spec = RunSpec::read(folder)?;
    let workflow = match spec.work {
        WorkSpec::WorkflowRun(workflow) => workflow,
        WorkSpec::Deployment(deployment) => {
            let trust::AttemptTrust { repository, settings, trust } = trust::of_folder(folder, &deployment.repository)?;
            return Ok(Consent::new(repository, settings, trust, Vec::new()));
        }
        WorkSpec::Remote(_) => return Err(StoreError::NotLocal { path: folder.spec_path() }.into()),
    };
    let trust::AttemptTrust { repository, settings, trust } = trust::of_run(folder, &spec.info, &workflow)?;
    let plan = prepare::prepare(&spec.info, &workflow, IndexMap::new(), 1)?.plan;
    let subject =
        Subject { name: spec.info.workflow.clone(), plan: Ok(Arc::new(plan)), sandbox: workflow.sandbox.clone() };
    let consent = Consent::new(repository, settings, trust, vec![subject]);
    Ok(consent.of_attempt(folder.clone(), spec.info, *workflow))
}

/// Starts a planned run: writes its folder and starts its worker. If workflows of other repositories were left out of
/// the plan, first fetches them and plans the run again.
///
/// # Errors
/// The repository is not trusted, a workflow of another repository cannot be fetched, the workflows have changed since
/// the run was planned, the state folder cannot be written, or no worker can be started.
pub fn start(runs: &RunsDir, planned: Planned) -> Result<Started, LaunchError> {
    planned.consent.require()?;
    let planned = match planned.incomplete {
        Some(request) => {
            let whole = plan(runs, &request)?;
            // The workflows must be the ones that were shown.
            let is_same = |(name, text): (&String, &String)| whole.spec.called.get(name) == Some(text);
            if whole.spec.text != planned.spec.text || !planned.spec.called.iter().all(is_same) {
                return Err(LaunchError::Changed);
            }
            whole
        }
        None => planned,
    };
    let secrets = planned.secrets.clone();
    let (folder, held) = write(runs, planned)?;
    spawn(&folder, held, &Mode::Start, &secrets)?;
    Ok(Started { folder })
}

/// Assigns the number of a planned run and writes its folder. Returns the folder with its lock, for a worker.
///
/// # Errors
/// The repository is not trusted, or the state folder cannot be written.
fn write(runs: &RunsDir, planned: Planned) -> Result<(RunFolder, File), LaunchError> {
    planned.consent.require()?;
    let Planned { mut info, mut spec, secrets, uncommitted, .. } = planned;
    let uncommitted = uncommitted.join().expect("reading changes does not panic");
    let masker = Masker::new(secrets.values().map(String::as_str));
    spec.dirty = uncommitted.files.iter().map(|file| masker.mask_text(file)).collect();
    info.changed = spec.dirty.len();
    spec.run_number = numbers::take(runs, &info.repository, &info.workflow)?;
    let (folder, held) = runs.create_locked(info.created)?;
    if !uncommitted.diff.is_empty() {
        let (path, diff) = (folder.diff(1), masker.mask_text(&uncommitted.diff));
        atomic::write_unsynced(&path, diff.as_bytes()).map_err(StoreError::io("write", &path))?;
    }
    RunSpec::of_workflow(info, spec).write(&folder)?;
    Ok((folder, held))
}

/// Finds a run by its id, the beginning or the end of its id, or `latest`: the newest run of the repository around
/// `folder`, or of this machine if there is no folder or it is not in a repository.
///
/// # Errors
/// No run matches, or more than one.
pub fn find(runs: &RunsDir, wanted: &str, folder: Option<&Path>) -> Result<RunFolder, StoreError> {
    match folder.filter(|_| wanted == LATEST).and_then(home) {
        Some(repository) => runs.newest_of(&repository),
        None => runs.find(wanted),
    }
}

/// Returns the repository around a folder; `None` outside of repositories.
#[must_use]
pub fn home(folder: &Path) -> Option<RepositoryId> {
    Repository::discover(folder).ok().map(|repository| repository.id())
}

/// Returns what is checked out in the repository around a folder: what a run that starts now uses.
///
/// # Errors
/// The folder is not in a repository, or git cannot read it.
pub fn checked_out(runs: &RunsDir, folder: &Path) -> Result<WorkingTree, GitError> {
    let repository = Repository::discover(folder)?;
    let access = trust::access(runs, &repository);
    let files = Uncommitted::read(&repository.root, access, &repository.sha, &[])?.files;
    Ok(WorkingTree::new(ref_name(&repository.git_ref), &repository.sha, files))
}

/// Returns the state folder of the user after closing every run that lost its worker. Commands that read runs must use
/// this function.
///
/// # Errors
/// There is no home folder, or the state folder cannot be read.
pub async fn open() -> Result<RunsDir, StoreError> {
    let runs = locate()?;
    close_lost(&runs).await?;
    Ok(runs)
}

/// Closes every run whose worker died, and returns their number.
///
/// # Errors
/// The state folder cannot be read. A run that cannot be closed is left for the next call.
pub async fn close_lost(runs: &RunsDir) -> Result<usize, StoreError> {
    recovery::close_all(runs).await
}

#[cfg(test)]
mod tests;
