//! Files from untrusted sources: those of a repository, and those that a step or a container created.
//!
//! Such a path may be a FIFO whose `open` never returns, a device, a file of 300 GB, or a link to a private file of the
//! user. Unless their names say otherwise, the functions here open regular files only, without blocking, and read at
//! most a given number of bytes; [`read_named`] also reads a pipe that a person names. A [`Folder`] also confines every
//! path below it: no link leads out of it. The files of the state folder count as untrusted, too, because a step on
//! this machine can replace any of them.

mod beneath;
mod folder;
mod own;
mod part;
mod regular;
mod repository;

pub use folder::{Folder, Links};
pub use own::{append_own, create_own, open_own, own_size, read_own, read_own_text, update_own};
pub use part::PartialFile;
pub use regular::{open, read, size};
pub use repository::{MAX_BYTES, read_named, read_repository, read_repository_text, read_text};

use std::io;
use std::path::{Component, Path, PathBuf};

/// Why a file cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system returned an error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The path is not a regular file: it is a folder, a FIFO, a socket or a device, or a link where none is allowed.
    #[error("{0}, not a regular file")]
    NotRegular(&'static str),
    /// The file is larger than the limit.
    #[error("larger than the limit of {limit} bytes")]
    TooLarge {
        /// Maximum size in bytes.
        limit: u64,
    },
    /// The path, or a link in it, leads out of the folder.
    #[error("the path leads out of its folder")]
    Outside,
    /// A link in the path is absolute or leads out of the file's repository.
    #[error("its path has a link that is absolute or leads out of {}", .0.display())]
    OutsideRepository(PathBuf),
}

/// Returns an absolute path without `.`, `..` and a slash at its end. This goes by the text of the path and does not
/// follow links.
#[must_use]
pub fn cleaned(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = clean.pop(),
            part => clean.push(part),
        }
    }
    clean
}

/// Returns the result of a removal, which succeeds if there was nothing to remove.
///
/// # Errors
/// The file or folder could not be removed.
pub fn unless_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// For callers that report I/O errors: a refused file is reported like any other error.
impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Io(error) => error,
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}

impl FileError {
    /// Whether the path does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}
