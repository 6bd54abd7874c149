//! Adds artifacts to runs of this machine, and entries to the cache of a repository, from files that a person names.
//!
//! - [`artifact`]: an archive as `actions/upload-artifact` makes it
//! - [`cache`]: an archive as `actions/cache` makes it, which that action restores

use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::store::folder::make_private;
use crate::store::{StoreError, lock};

pub mod artifact;
pub mod cache;

/// A folder in which an upload is prepared, on the file system of its target. Removed when it is dropped.
struct Staging {
    folder: PathBuf,
    _one_at_a_time: File,
}

impl Staging {
    /// Creates the folder. Waits while another process has it, and removes what a killed one left.
    fn below(parent: &Path) -> Result<Self, StoreError> {
        let make = |folder: &Path| make_private(folder).map_err(StoreError::io("make the folder", folder));
        make(parent)?;
        let one_at_a_time = lock::wait(&parent.join("staging.lock"))?;
        let folder = parent.join("staging");
        // A folder that cannot be removed cannot be made, either.
        let _ = fs::remove_dir_all(&folder);
        make(&folder)?;
        Ok(Self { folder, _one_at_a_time: one_at_a_time })
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
