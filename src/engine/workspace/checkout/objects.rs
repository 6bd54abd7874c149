//! Objects of the repository, for the git folder of a job.
//!
//! The git folder of a job on this machine is complete, so that it also works where only the workspace is mounted, as
//! in `docker run -v $PWD:/src`. Git never changes an object, so the folder contains hard links to the objects, like a
//! local `git clone`. A container of a job could change them, so there the folder refers to the repository's objects,
//! which are mounted read-only at their own path.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Request;
use super::error::CheckoutError;
use super::files::{Target, copy_if_there};
use super::git_folder::Objects;
use crate::files::{Folder, read_text};

/// Returns the real paths of the folders with the objects of a repository: its own, and those that it borrows from.
/// Containers can read them, and a repository can name any folder, so each must be part of a git folder and contain
/// nothing but objects.
///
/// # Errors
/// A folder is not part of a git folder, contains other files, or cannot be read.
pub(crate) fn folders(own: &Path) -> Result<Vec<PathBuf>, CheckoutError> {
    let mut found = vec![checked(own)?];
    let mut next = 0;
    while let Some(folder) = found.get(next).cloned() {
        next += 1;
        let alternates = read_text(&folder.join("info/alternates")).unwrap_or_default();
        // A relative path is relative to the objects folder.
        let others = alternates.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for other in others.map(|line| folder.join(line)) {
            // Git ignores a folder that does not exist.
            if !other.is_dir() {
                continue;
            }
            let other = checked(&other)?;
            if !found.contains(&other) {
                found.push(other);
            }
        }
    }
    Ok(found)
}

/// Returns the first objects folder that is neither in the git folder of the repository nor below an `allowed` folder.
/// Containers may not read it. `None` if they may read all folders.
pub(crate) fn of_others<'f>(folders: &'f [PathBuf], git_folder: &Path, allowed: &[PathBuf]) -> Option<&'f Path> {
    let own = [git_folder].into_iter().chain(allowed.iter().map(PathBuf::as_path));
    let readable: Vec<PathBuf> = own.filter_map(|folder| folder.canonicalize().ok()).collect();
    let is_readable = |folder: &Path| readable.iter().any(|allowed| folder.starts_with(allowed));
    folders.iter().map(PathBuf::as_path).find(|folder| !is_readable(folder))
}

/// Returns the real path of a folder that has the objects of a git folder, and nothing else.
fn checked(folder: &Path) -> Result<PathBuf, CheckoutError> {
    let unread = |source| CheckoutError::Copy { path: folder.to_owned(), source };
    let path = folder.canonicalize().map_err(unread)?;
    if !path.parent().is_some_and(|above| above.join("HEAD").symlink_metadata().is_ok() && above.join("refs").is_dir())
    {
        return Err(CheckoutError::NotInGitFolder(path));
    }
    for entry in fs::read_dir(&path).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let (name, kind) = (entry.file_name(), entry.file_type().map_err(unread)?);
        let name = name.as_encoded_bytes();
        let is_temporary = name.starts_with(b"tmp_") || name.starts_with(b"incoming-") || name.ends_with(b".lock");
        let fits = if kind.is_dir() {
            name == b"pack" || name == b"info" || is_loose(name) || is_temporary
        } else {
            kind.is_file() && is_temporary
        };
        if !fits {
            return Err(CheckoutError::NotOnlyObjects { path, name: entry.file_name() });
        }
    }
    Ok(path)
}

/// Whether a folder with this name contains loose objects.
fn is_loose(name: &[u8]) -> bool {
    name.len() == 2 && name.iter().all(u8::is_ascii_hexdigit)
}

/// Brings the objects of other folders into a copy: as hard links if they are requested and possible, and as copies
/// otherwise.
pub(super) fn bring(folders: &[PathBuf], target: &Target, request: &Request) -> Result<(), CheckoutError> {
    let unwritten = |source| CheckoutError::Write { path: target.path().join(".git/objects"), source };
    let objects =
        target.git_folder().and_then(|folder| folder.make_folders(Path::new("objects"))).map_err(unwritten)?;
    for folder in folders {
        let names = fs::read_dir(folder).and_then(|entries| {
            let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
            names.collect::<io::Result<Vec<_>>>()
        });
        let mut names = names.map_err(unwritten)?;
        names.retain(|name| name == "pack" || is_loose(name.as_encoded_bytes()));
        // Packs come last: if an object is packed in the meantime, it is found as a loose object or in a pack.
        names.sort_by_key(|name| name == "pack");
        for name in names {
            request.proceed()?;
            let to = objects.make_folders(Path::new(&name));
            to.and_then(|to| bring_files(&folder.join(&name), &to, request)).map_err(unwritten)?;
        }
    }
    Ok(())
}

fn bring_files(from: &Path, to: &Folder, request: &Request) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let name = entry.file_name();
        let bytes = name.as_encoded_bytes();
        // Skips files that git is still writing, and indexes over packs that may be gone.
        if bytes.starts_with(b"tmp_") || bytes.ends_with(b".lock") || bytes.starts_with(b"multi-pack-index") {
            continue;
        }
        let (from, name) = (entry.path(), Path::new(&name));
        let linked = if request.objects == Objects::Linked {
            to.hard_link(name, &from)
        } else {
            Err(io::ErrorKind::Unsupported.into())
        };
        match linked {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {}
            // Hard links are not allowed, or the file is on another file system or belongs to another user.
            Err(_) => copy_if_there(&from, to, name, &request.abort)?,
        }
    }
    Ok(())
}
