//! Checks the files that git reads in every call. Git would block on a FIFO, and would read a device until memory is
//! exhausted.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::{GitError, is_root};
use crate::files::{self, FileError};

/// Maximum size in bytes of a file that git reads in every call.
const MAX_GIT_FILE: u64 = 1024 * 1024 * 1024;

/// Files of a git folder that git reads in every call, if they exist.
const ALWAYS_READ: [&str; 9] = [
    "commondir",
    "config",
    "config.worktree",
    "HEAD",
    "index",
    "packed-refs",
    "shallow",
    "info/exclude",
    "info/attributes",
];

/// Files that git reads in every folder of a working tree that it visits. Git does not follow a symbolic link in their
/// place.
const READ_IN_FOLDERS: [&str; 3] = [".gitignore", ".gitattributes", ".gitmodules"];

/// Maximum number of files and folders to search for one that blocks git.
const MAX_LOOKED_AT: usize = 500_000;

/// Checks the files that git reads in every call.
///
/// # Errors
/// One of these files is not a regular file, or is too large.
pub(super) fn check_git_files(root: &Path) -> Result<(), GitError> {
    let Some(own) = linked_git_folder(root) else { return Ok(()) };
    let common = files::read_text(&own.join("commondir")).ok().map(|common| own.join(common.trim()));
    for folder in [own].into_iter().chain(common) {
        ALWAYS_READ.iter().try_for_each(|name| check(folder.join(name)))?;
    }
    READ_IN_FOLDERS.iter().try_for_each(|name| check(root.join(name)))
}

/// Checks a file that the configuration of a repository names.
///
/// # Errors
/// The file is not a regular file, or is too large.
pub(super) fn check_named(root: &Path, value: &str) -> Result<(), GitError> {
    match (value.strip_prefix("~/"), std::env::home_dir()) {
        (Some(below), Some(home)) => check(home.join(below)),
        (Some(_), None) => Ok(()),
        (None, _) => check(root.join(value)),
    }
}

/// Checks a file. Git ignores a missing file and a folder.
fn check(path: PathBuf) -> Result<(), GitError> {
    let source = match files::size(&path) {
        Ok(size) if size > MAX_GIT_FILE => FileError::TooLarge { limit: MAX_GIT_FILE },
        Err(error @ FileError::NotRegular(_)) if !path.is_dir() => error,
        _ => return Ok(()),
    };
    Err(GitError::Unreadable { path, source })
}

/// Returns an error that names the file on which a long git call may be blocked, if there is one.
pub(super) fn waited_for(folder: &Path) -> Option<GitError> {
    let root = folder.ancestors().find(|folder| is_root(folder))?;
    let mut waiting = vec![root.to_owned()];
    let mut left = MAX_LOOKED_AT;
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            left = left.checked_sub(1)?;
            let Ok(kind) = entry.file_type() else { continue };
            let name = entry.file_name();
            if kind.is_dir() && name != ".git" {
                waiting.push(entry.path());
            } else if (kind.is_fifo() || kind.is_char_device())
                && READ_IN_FOLDERS.iter().any(|known| name == *known)
                && let Err(error) = check(entry.path())
            {
                return Some(error);
            }
        }
    }
    check_git_files(root).err()
}

/// Returns the git folder that the `.git` of a root is, or points to. `None` if there is none.
pub(super) fn linked_git_folder(root: &Path) -> Option<PathBuf> {
    let link = root.join(".git");
    let data = fs::metadata(&link).ok()?;
    if data.is_dir() {
        return link.canonicalize().ok();
    }
    let text = files::read_text(&link).ok()?;
    root.join(text.strip_prefix("gitdir:")?.trim()).canonicalize().ok()
}
