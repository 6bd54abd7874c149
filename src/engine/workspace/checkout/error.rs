//! Errors of filling a workspace.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::repo::git::GitError;
use crate::store::{space_hint, space_hint_in};

/// Why a workspace could not be filled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckoutError {
    #[error("{}{}", .0, space_hint_in(&.0.to_string()))]
    Git(#[from] GitError),
    #[error("`ref: {wanted}` names no commit that is in {}: fetch it first", repository.display())]
    Unknown { wanted: String, repository: PathBuf },
    #[error("the repository has objects in {}, which is not in a git folder: git objects are read only from git folders", .0.display())]
    NotInGitFolder(PathBuf),
    #[error("the repository has objects in {}, which also contains {name:?}: git objects are read only from folders without other files", path.display())]
    NotOnlyObjects { path: PathBuf, name: OsString },
    #[error(
        "the repository borrows git objects from {}, which is not part of it: containers read them only if \
         `docker.git_objects` in your settings names a folder above it", .0.display()
    )]
    OfOthers(PathBuf),
    #[error("cannot copy {}: {source}{}", path.display(), space_hint(source))]
    Copy { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}{}", path.display(), space_hint(source))]
    Write { path: PathBuf, source: io::Error },
    #[error("the checkout was interrupted")]
    Interrupted,
}
