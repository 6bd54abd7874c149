//! Folders with a file that describes them. Readers ignore a folder without this file, and its modification time is the
//! time of the last use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::files;
use crate::model::Timestamp;

use super::StoreError;

/// Returns the paths in a folder; none if there is no folder.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn below(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::io("read the folder", folder)(error)),
    }
}

/// Returns the time of the last use of a folder from its description.
///
/// # Errors
/// The description cannot be read.
pub(super) fn last_use(description: &Path) -> io::Result<Timestamp> {
    let used = fs::symlink_metadata(description)?.modified()?;
    let used = used.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(Timestamp(u64::try_from(used.as_millis()).unwrap_or_default()))
}

/// Records in the description of a folder that the folder is used now.
pub(super) fn record_use(description: &Path) {
    // If this fails, the recorded time of the last use is only too old.
    let _ = files::open_own(description).and_then(|description| description.set_modified(SystemTime::now()));
}

/// Gives a new folder its final path by one rename. Returns `false` if a folder is there already.
///
/// # Errors
/// The folder cannot be moved.
pub(super) fn appear(staged: &Path, folder: &Path) -> Result<bool, StoreError> {
    match fs::rename(staged, folder) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
            Ok(false)
        }
        Err(error) => Err(StoreError::io("write", folder)(error)),
    }
}

/// Removes a folder, first the file `description` in it, so that readers never see a partly removed folder. Another
/// call continues an interrupted removal. A missing folder is not an error.
///
/// # Errors
/// The folder cannot be removed.
pub(super) fn remove(folder: &Path, description: &str) -> Result<(), StoreError> {
    files::unless_missing(fs::remove_file(folder.join(description)))
        .and_then(|()| files::unless_missing(fs::remove_dir_all(folder)))
        .map_err(StoreError::io("remove", folder))
}
