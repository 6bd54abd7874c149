//! Brings later changes of the user's files into the workspaces of jobs whose step is held.

use std::path::Path;

use tokio::task::spawn_blocking;

use crate::config::{Config, ConfigError};
use crate::engine::workspace::sync::Checkouts;
use crate::model::capabilities::Unavailable;
use crate::model::deployment::{Action, Entry};
use crate::model::{Command, Job, JobId, RerunScope, RunId, Timestamp};
use crate::repo::git::{Access, GitError, Repository};
use crate::repo::uncommitted::{changed_files, named};
use crate::rollout::gates::{self, Refused};
use crate::rollout::ledger::{self, LedgerFile};
use crate::store::clock::now;
use crate::store::folder::RunFolder;
use crate::store::spec::RunSpec;
use crate::store::{StoreError, history, seal};

use super::commands::CommandError;
use super::{commands, trust};

pub use crate::engine::workspace::sync::{Changes, SyncError};

/// Why the files of a held job cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum HeldError {
    /// No step of the job is held.
    #[error("{job}: {}", Unavailable::NotHeld)]
    NotHeld {
        /// Name of the job.
        job: String,
    },
    /// The job runs in the folder of the repository.
    #[error("the job runs in the repository's own folder: it has every change already")]
    InPlace,
    /// The folder of the run was not created on this machine. Its notes would choose which files are written.
    #[error("the folder of {0} was not made on this machine: its notes would choose which files are written")]
    Foreign(RunId),
    /// The job deploys, and the rules of the environment refuse the changes.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The settings of the environment are invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Git cannot read the repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The run is not one of a workflow on this machine.
    #[error("{0}")]
    Unavailable(Unavailable),
    /// The run's folder cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files cannot be synced.
    #[error("{job}: {source}")]
    Sync {
        /// Name of the job.
        job: String,
        /// The reason.
        source: Box<SyncError>,
    },
    /// The run cannot record which files it uses now.
    #[error("the files were brought, but the run does not name them: {0}")]
    NotRecorded(#[from] Box<CommandError>),
}

/// Brings the files of the user's repository that were added, changed or deleted since the checkout into the workspace
/// of a held job. Ignored files are not brought, unless the workspace has them from the checkout. Files that the job
/// changed as well are only overwritten with `force`. The run records that it uses changed files. No held step of the job
/// can go on meanwhile.
///
/// # Errors
/// No step of the job is held, the job has no copy of the working tree on this machine, the folder of the run was not
/// made on this machine, the job deploys to an environment that refuses the changes, a file cannot be read or written,
/// another sync of the job takes longer than ten seconds, or the worker does not record the sync.
pub async fn sync(folder: &RunFolder, job: &JobId, force: bool) -> Result<Changes, HeldError> {
    let (of, held) = (folder.clone(), job.clone());
    let (changes, _checkouts) =
        spawn_blocking(move || bring(&of, &held, force)).await.expect("a sync does not panic")?;
    // Some files may have been brought before the error.
    let is_partial = matches!(changes, Err(SyncError::File { .. } | SyncError::Incomplete { .. }));
    let recorded = if is_partial || changes.as_ref().is_ok_and(Changes::brought) {
        commands::submit(folder, &Command::Synced { job: job.clone() }).await
    } else {
        Ok(())
    };
    let changes = changes.map_err(|source| failed(folder, job, source))?;
    recorded.map_err(Box::new)?;
    Ok(changes)
}

/// Returns the files of the user that changed after a job copied them in a step that a re-run keeps: the re-run does not
/// use the changes. Empty for a re-run of whole jobs.
///
/// # Errors
/// The run's folder cannot be read, or git cannot read the repository.
pub fn left_out(folder: &RunFolder, scope: &RerunScope) -> Result<Vec<String>, HeldError> {
    let (spec, run) = (RunSpec::read(folder)?, history::read(folder)?);
    let (RerunScope::Step { job: id, step }, Some(workflow)) = (scope, spec.work.workflow()) else {
        return Ok(Vec::new());
    };
    let Some(job) = run.jobs.get(id).filter(|_| !workflow.in_place) else { return Ok(Vec::new()) };
    let failed = |source| failed(folder, id, source);
    let Some(checkouts) = Checkouts::lock(&folder.checkouts(id)).map_err(failed)? else { return Ok(Vec::new()) };
    let sha = run.trees.get(&job.attempt).map_or(&run.info.sha, |tree| &tree.sha);
    // Files that were changed back to the commit are not among the changes now.
    let mut names = changed_files(&workflow.repository, Access::Guarded, sha)?;
    names.extend(run.uncommitted().iter().chain(&workflow.dirty).cloned());
    names.sort_unstable();
    names.dedup();
    let started = run.step(id, *step).and_then(|step| step.started);
    checkouts.lacking(&workflow.repository, names, started.unwrap_or(Timestamp(u64::MAX))).map_err(failed)
}

/// Returns the error of a job whose files cannot be synced. The job has its id if the run cannot be read.
fn failed(folder: &RunFolder, job: &JobId, source: SyncError) -> HeldError {
    let name = history::read(folder).ok().and_then(|run| run.jobs.get(job).map(|job| job.name.clone()));
    HeldError::Sync { job: name.unwrap_or_else(|| job.to_string()), source: Box::new(source) }
}

/// Brings the files. Returns what was done, and the lock on the job's checkouts.
fn bring(folder: &RunFolder, job: &JobId, force: bool) -> Result<(Result<Changes, SyncError>, Checkouts), HeldError> {
    let spec = RunSpec::read(folder)?;
    let workflow = spec.work.workflow().ok_or(HeldError::Unavailable(Unavailable::HoldsHere))?;
    if workflow.in_place {
        return Err(HeldError::InPlace);
    }
    if !seal::is_valid(folder)? {
        return Err(HeldError::Foreign(folder.id().clone()));
    }
    let checkouts = Checkouts::lock(&folder.checkouts(job)).map_err(|source| failed(folder, job, source))?;
    // The job may have continued before the lock was free.
    let run = history::read(folder)?;
    let known = run.jobs.get(job);
    let Some(job) = known.filter(|job| job.held().next().is_some()) else {
        return Err(HeldError::NotHeld { job: known.map_or_else(|| job.to_string(), |job| job.name.clone()) });
    };
    let checkouts = checkouts.ok_or_else(|| failed(folder, &job.id, SyncError::NotCheckedOut))?;
    if let Some(environment) = &job.environment {
        check_deployed(folder, &workflow.repository, &run.info.sha, (job, environment))?;
    }
    Ok((checkouts.sync(&workflow.repository, force), checkouts))
}

/// Waits until no sync of a job is in progress. As long as the result exists, none begins.
///
/// # Errors
/// A sync takes longer than ten seconds.
pub(super) async fn without_sync(folder: &RunFolder, job: &JobId) -> Result<Option<Checkouts>, SyncError> {
    let note = folder.checkouts(job);
    spawn_blocking(move || Checkouts::lock(&note)).await.expect("locking does not panic")
}

/// Checks the files that a deploying job would get in the same way as when the job began, and records them in the
/// ledger.
fn check_deployed(
    folder: &RunFolder,
    root: &Path,
    sha: &str,
    (job, environment): (&Job, &str),
) -> Result<(), HeldError> {
    let config = Config::load(Some(root))?;
    let Some(settings) = config.environment_of_job(environment) else { return Ok(()) };
    let repository = Repository::discover(root)?;
    let ledger = LedgerFile::of(&folder.runs(), &repository.common);
    let state = ledger.read()?.of(&settings.name);
    let Some(deployment) = state.of_job(folder.id(), &job.id) else { return Ok(()) };
    let files = changed_files(root, trust::access(&folder.runs(), &repository), sha)?;
    gates::check_files(settings, &deployment.release, &files)?;
    if files.is_empty() {
        return Ok(());
    }
    let changed = Entry {
        at: now(),
        by: ledger::actor(&repository),
        environment: settings.name.clone(),
        deployment: Some(folder.id().clone()),
        job: Some(job.id.clone()),
        action: Action::Changed,
        reason: named(&files),
    };
    Ok(ledger.append_once(changed)?)
}
