//! Adds artifacts to runs of this machine, and entries to the cache of a repository, from files that a person names.
//!
//! - [`artifact`]: an archive as `actions/upload-artifact` makes it
//! - [`cache`]: an archive as `actions/cache` makes it, which that action restores

use std::fs;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::folder::{RunsDir, make_private};
use crate::store::{StoreError, lock};

pub mod artifact;
pub mod cache;

/// Name of the folder in which an upload is prepared.
const STAGING: &str = "staging";

/// Returns the path of the lock on the folder in which an upload is prepared.
fn lock_of(parent: &Path) -> PathBuf {
    parent.join(STAGING).with_extension("lock")
}

/// Returns the folders that uploads have left because their process was killed: of caches, and of artifacts of all
/// runs.
///
/// # Errors
/// The state folder cannot be read.
pub fn interrupted(runs: &RunsDir) -> Result<Vec<PathBuf>, StoreError> {
    let of_runs = runs.list()?.into_iter().map(|id| runs.folder(id).artifacts());
    let parents = std::iter::once(runs.uploads()).chain(of_runs);
    let left = parents.filter(|parent| parent.join(STAGING).is_dir() && !lock::is_held(&lock_of(parent)));
    Ok(left.map(|parent| parent.join(STAGING)).collect())
}

/// Removes a folder of [`interrupted`], unless another upload uses it meanwhile. Returns whether it was removed.
///
/// # Errors
/// The folder cannot be removed.
pub fn remove_interrupted(folder: &Path) -> Result<bool, StoreError> {
    let held = match lock::take(&folder.with_extension("lock")) {
        // Its run was removed meanwhile.
        Err(error) if error.is_missing() => return Ok(false),
        held => held?,
    };
    if held.is_none() {
        return Ok(false);
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true).map_err(StoreError::io("remove", folder)),
    }
}

/// A folder in which an upload is prepared, on the file system of its target. Removed when it is dropped.
struct Staging {
    folder: PathBuf,
    _one_at_a_time: File,
}

impl Staging {
    /// Creates the folder, and removes what a killed process left. `None` while another process has it.
    fn below(parent: &Path) -> Result<Option<Self>, StoreError> {
        let make = |folder: &Path| make_private(folder).map_err(StoreError::io("make the folder", folder));
        make(parent)?;
        let Some(one_at_a_time) = lock::take(&lock_of(parent))? else { return Ok(None) };
        let folder = parent.join(STAGING);
        // A folder that cannot be removed cannot be made, either.
        let _ = fs::remove_dir_all(&folder);
        make(&folder)?;
        Ok(Some(Self { folder, _one_at_a_time: one_at_a_time }))
    }

    fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // It may have become the folder of what was uploaded.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::model::Timestamp;

    /// Waits for at most 20 seconds, because a program that another test starts at this moment has a copy of every
    /// lock until its `exec`.
    pub(super) fn until(mut is_done: impl FnMut() -> bool) {
        let started = Instant::now();
        while !is_done() {
            assert!(started.elapsed() < Duration::from_secs(20), "it is not done");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_a_killed_upload_left_is_found_and_removed_unless_another_uses_it() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        assert_eq!(interrupted(&runs).expect("nothing"), Vec::<PathBuf>::new());
        let run = runs.create(Timestamp(1_700_000_000_000)).expect("made");
        for parent in [runs.uploads(), run.artifacts()] {
            let staging = Staging::below(&parent).expect("made").expect("free");
            fs::write(staging.path().join("data"), "half").expect("written");
            assert!(Staging::below(&parent).expect("there").is_none(), "another upload is in progress");
            let folder = staging.path().to_owned();
            assert_eq!(interrupted(&runs).expect("listed"), Vec::<PathBuf>::new(), "it is in progress");
            assert!(!remove_interrupted(&folder).expect("it is in progress"));
            drop(staging);
            assert!(!folder.exists());
            // A killed process removes nothing.
            fs::create_dir(&folder).expect("made");
            fs::write(folder.join("data"), "half").expect("written");
            until(|| interrupted(&runs).expect("listed") == [folder.clone()]);
            until(|| remove_interrupted(&folder).expect("removed"));
            assert!(!folder.exists());
        }
    }
}
