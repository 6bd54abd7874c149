//! Brings later changes of the user's files into the workspaces of jobs whose step is held.

use tokio::task::spawn_blocking;

use crate::engine::workspace::sync::Checkouts;
use crate::model::capabilities::Unavailable;
use crate::model::{JobId, RunId};
use crate::store::folder::RunFolder;
use crate::store::spec::RunSpec;
use crate::store::{StoreError, history, seal};

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
    /// The run is not one of a workflow on this machine.
    #[error("{0}")]
    Unavailable(Unavailable),
    /// The run's folder cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files cannot be synced.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

/// Brings the files of the user's repository that were added, changed or deleted since the checkout into the workspace
/// of a held job. Ignored files are not brought, unless the workspace has them from the checkout. Files that the job
/// changed as well are only overwritten with `force`. No held step of the job can go on meanwhile.
///
/// # Errors
/// No step of the job is held, the job has no copy of the working tree on this machine, the folder of the run was not
/// made on this machine, a file cannot be read or written, or another sync of the job takes longer than ten seconds.
pub fn sync(folder: &RunFolder, job: &JobId, force: bool) -> Result<Changes, HeldError> {
    let spec = RunSpec::read(folder)?;
    let workflow = spec.work.workflow().ok_or(HeldError::Unavailable(Unavailable::HoldsHere))?;
    if workflow.in_place {
        return Err(HeldError::InPlace);
    }
    if !seal::is_valid(folder)? {
        return Err(HeldError::Foreign(folder.id().clone()));
    }
    let checkouts = Checkouts::lock(&folder.checkouts(job))?;
    // The job may have gone on before the lock was free.
    let run = history::read(folder)?;
    let known = run.jobs.get(job);
    if known.is_none_or(|job| job.held().next().is_none()) {
        return Err(HeldError::NotHeld { job: known.map_or_else(|| job.to_string(), |job| job.name.clone()) });
    }
    Ok(checkouts.ok_or(SyncError::NotCheckedOut)?.sync(&workflow.repository, force)?)
}

/// Waits until no sync of a job is in progress. As long as the result exists, none begins.
///
/// # Errors
/// A sync takes longer than ten seconds.
pub(super) async fn without_sync(folder: &RunFolder, job: &JobId) -> Result<Option<Checkouts>, SyncError> {
    let note = folder.checkouts(job);
    spawn_blocking(move || Checkouts::lock(&note)).await.expect("locking does not panic")
}
