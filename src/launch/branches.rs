//! Temporary branches on servers, for runs of the working tree there. A branch is recorded before it is pushed, and its
//! record is removed after the branch, so that a later process can remove what a killed one left.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files;
use crate::repo::git::{Access, GitError, Repository};
use crate::repo::snapshot;
use crate::store::clock::now;
use crate::store::folder::{RunsDir, make_private};
use crate::store::{StoreError, atomic, ids, lock};

use super::trust;

/// Maximum size of a record in bytes.
const MAX_RECORD: u64 = 64 * 1024;

/// A branch on a server that exists as long as its run is followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// Name of the branch.
    pub name: String,
    /// The commit that the branch points to.
    pub sha: String,
    /// The repository on the server, as `OWNER/NAME`.
    pub repository: String,
    /// Root of the local repository.
    pub root: PathBuf,
    /// Name of the remote that the branch is pushed to.
    pub remote: String,
}

/// An error while creating or removing a temporary branch.
#[derive(Debug, thiserror::Error)]
pub enum BranchError {
    /// The record of the branch cannot be written or removed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Git failed, or the server refuses.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// A branch that this process pushed. Dropping the value removes the branch from its server.
#[derive(Debug)]
pub struct TemporaryBranch {
    branch: Branch,
    record: PathBuf,
    /// Lock on the record, held as long as the branch is needed.
    lock: Option<File>,
}

/// Returns an unused name for a branch.
#[must_use]
pub fn new_name() -> String {
    format!("cuelight/{}", ids::new_id(now(), None))
}

impl TemporaryBranch {
    /// Records a branch and pushes it.
    ///
    /// # Errors
    /// The state folder cannot be written, or the server refuses.
    pub fn push(runs: &RunsDir, branch: Branch) -> Result<Self, BranchError> {
        let folder = runs.github_branches();
        make_private(&folder).map_err(StoreError::io("make the folder", &folder))?;
        let stem = branch.name.replace('/', "-");
        let record = folder.join(format!("{stem}.json"));
        let lock = lock::take(&record.with_extension("lock"))?;
        let text =
            serde_json::to_vec(&branch).map_err(|error| StoreError::io("write", &record)(io::Error::other(error)))?;
        atomic::write(&record, &text).map_err(StoreError::io("write", &record))?;
        let temporary = Self { branch, record, lock };
        let Branch { root, remote, sha, name, .. } = &temporary.branch;
        snapshot::push(root, remote, sha, name)?;
        Ok(temporary)
    }

    /// Returns the branch.
    #[must_use]
    pub fn branch(&self) -> &Branch {
        &self.branch
    }

    /// Removes the branch from its server. Returns the branch with the error if that fails, for instance because the
    /// server gives no answer. Its record then stays.
    #[must_use]
    pub fn remove(mut self) -> Option<Leftover> {
        let fault = Some(self.take_away().err()?);
        Some(Leftover { branch: self.branch.clone(), fault })
    }

    fn take_away(&mut self) -> Result<(), BranchError> {
        let Some(lock) = self.lock.take() else { return Ok(()) };
        remove(&self.branch, &self.record, lock)
    }
}

impl Drop for TemporaryBranch {
    fn drop(&mut self) {
        if let Err(error) = self.take_away() {
            tracing::warn!(branch = %self.branch.name, %error, "a temporary branch is left on its server");
        }
    }
}

/// Deletes a branch and then its record. `_lock` is the lock on the record.
fn remove(branch: &Branch, record: &Path, _lock: File) -> Result<(), BranchError> {
    snapshot::delete(&branch.root, &branch.remote, &branch.sha, &branch.name)?;
    for file in [record.to_owned(), record.with_extension("lock")] {
        fs::remove_file(&file).map_err(StoreError::io("remove", &file))?;
    }
    Ok(())
}

/// Returns the branches that processes left on servers, each with its record and the lock on it.
fn left(runs: &RunsDir) -> Vec<(Branch, PathBuf, File)> {
    let Ok(entries) = fs::read_dir(runs.github_branches()) else { return Vec::new() };
    let mut records: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    records.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    records.sort();
    let left = records.into_iter().filter_map(|record| {
        let lock = lock::take(&record.with_extension("lock")).ok().flatten()?;
        // Skips a record that its process has removed meanwhile, and a file that is not a record.
        let branch = serde_json::from_slice(&files::read_own(&record, MAX_RECORD).ok()?).ok()?;
        Some((branch, record, lock))
    });
    left.collect()
}

/// Returns the branches on servers that were left by processes that ended early.
#[must_use]
pub fn leftovers(runs: &RunsDir) -> Vec<Branch> {
    left(runs).into_iter().map(|(branch, ..)| branch).collect()
}

/// Result of removing a branch that a process left on a server. Its text is a note for people.
#[derive(Debug)]
pub struct Leftover {
    /// The branch.
    pub branch: Branch,
    /// Why it is still there; `None` if it is removed.
    pub fault: Option<BranchError>,
}

impl fmt::Display for Leftover {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Branch { name, repository, .. } = &self.branch;
        match &self.fault {
            None => write!(to, "removed the branch {name} of {repository}, which an earlier run had left behind"),
            Some(fault) => write!(to, "the branch {name} of {repository} could not be removed: {fault}"),
        }
    }
}

/// Removes the branches on servers that were left by processes that ended early, if their repository is still trusted.
pub fn remove_leftovers(runs: &RunsDir) -> Vec<Leftover> {
    let removed = left(runs).into_iter().filter_map(|(branch, record, lock)| {
        let removed = match Repository::discover(&branch.root) {
            Ok(repository) if trust::access(runs, &repository) == Access::Trusted => remove(&branch, &record, lock),
            // The branch stays, and `cuelight doctor` reports it.
            Ok(_) => return None,
            Err(error) => Err(error.into()),
        };
        Some(Leftover { branch, fault: removed.err() })
    });
    removed.collect()
}
