//! Files of a repository, and files that a person names.

use std::fs::File;
use std::path::Path;

use super::FileError;
use super::regular::{bounded, read};

/// Maximum size of a file in bytes. The largest workflow that GitHub takes has 1 MiB.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Reads a file of a repository: a regular file of at most [`MAX_BYTES`]. Links are followed.
///
/// # Errors
/// Does not exist, is not readable, is not a regular file, or is larger.
pub fn read_repository(path: &Path) -> Result<Vec<u8>, FileError> {
    read(path, MAX_BYTES)
}

/// Reads a file of a repository as text. Bytes that are not UTF-8 become U+FFFD.
///
/// # Errors
/// Like [`read_repository`].
pub fn read_text(path: &Path) -> Result<String, FileError> {
    read_repository(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads a file that a person names on the command line, of at most [`MAX_BYTES`]. It may be a pipe, as shells make them
/// for `<(…)`.
///
/// # Errors
/// Does not exist, is not readable, or is larger.
pub fn read_named(path: &Path) -> Result<Vec<u8>, FileError> {
    bounded(File::open(path)?, MAX_BYTES)
}
