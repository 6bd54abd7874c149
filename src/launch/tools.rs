//! Lists the installations of languages that the `actions/setup-…` actions find on this machine, and changes the list
//! of installations that the user has added.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::engine::tools::added;
use crate::engine::tools::find::{Search, in_folder};
use crate::store::StoreError;
use crate::store::folder::RunsDir;

pub use crate::engine::tools::{Installation, Tool};

/// Why an installation is not added or removed.
#[derive(Debug, thiserror::Error)]
pub enum ToolsError {
    /// The folder has no installation.
    #[error("no Python, Node.js, Go or Java in {}: its folder `bin` must have the program", .0.display())]
    Nothing(PathBuf),
    /// The path is not UTF-8, or contains a newline.
    #[error("the path {0:?} cannot be written as a line of text")]
    Path(PathBuf),
    /// The folder was not added.
    #[error("{} was not added; `cuelight tools` lists what is found", .0.display())]
    NotAdded(PathBuf),
    /// The state folder cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the installations on this machine, grouped by tool, the newest of each first.
pub async fn list(runs: &RunsDir) -> Vec<Installation> {
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let added = added::list(runs.state());
    let search = Search { environment: &environment, added: &added };
    let mut found = Vec::new();
    for tool in Tool::ALL {
        found.extend(search.installations(tool).await);
    }
    found
}

/// Adds a folder with installations in its `bin`, and returns the installations.
///
/// # Errors
/// The folder has no installation, its path is not a line of UTF-8 text, or the state folder cannot be written.
pub async fn add(runs: &RunsDir, folder: &Path) -> Result<Vec<Installation>, ToolsError> {
    let nothing = || ToolsError::Nothing(folder.to_owned());
    let home = folder.canonicalize().map_err(|_| nothing())?;
    if home.to_str().is_none_or(|path| path.contains(['\n', '\r'])) {
        return Err(ToolsError::Path(home));
    }
    let found = in_folder(&home).await;
    if found.is_empty() {
        return Err(nothing());
    }
    added::add(runs.state(), &home).map_err(StoreError::io("write", runs.state()))?;
    Ok(found)
}

/// Removes a folder from the list of added ones. The folder itself does not change.
///
/// # Errors
/// The folder was not added, or the state folder cannot be written.
pub fn remove(runs: &RunsDir, folder: &Path) -> Result<(), ToolsError> {
    // A folder that is gone can be removed by the path that it had.
    let home = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    if added::remove(runs.state(), &home).map_err(StoreError::io("write", runs.state()))? {
        Ok(())
    } else {
        Err(ToolsError::NotAdded(folder.to_owned()))
    }
}
