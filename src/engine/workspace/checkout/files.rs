//! Copies the files of a working tree.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::Request;
use super::error::CheckoutError;
use crate::files;
use crate::files::open_own;
use crate::repo::git::Abort;

/// Number of files up to which one thread copies them all: starting a thread costs as much as copying one or two files.
const FEW: usize = 64;

/// Number of bytes that are copied between two looks at the interrupt.
const PORTION: u64 = 64 * 1024 * 1024;

/// What was copied of a list of files.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// Number of files and links.
    pub(super) files: usize,
    /// Folders that git lists as one entry: submodules, which exist and are empty in the copy.
    pub(super) submodules: Vec<PathBuf>,
    /// Repositories and worktrees below the folder that git does not follow into. The copy has nothing of them.
    pub(super) left_out: Vec<PathBuf>,
}

/// Empties a folder but keeps it: it may be a step's working directory. With `keep_files`, only its git folder is removed,
/// if it has one.
pub(super) fn clear(target: &Path, keep_files: bool) -> io::Result<()> {
    if target.is_symlink() {
        // The target of a link must not be emptied.
        fs::remove_file(target)?;
    }
    fs::create_dir_all(target)?;
    if keep_files && target.join(".git").is_dir() {
        return remove(&target.join(".git"));
    }
    for entry in fs::read_dir(target)? {
        remove(&entry?.path())?;
    }
    Ok(())
}

/// Removes a file, or a folder with everything in it. Of a link, the link alone is removed.
fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(data) if data.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Copies a regular file of a git folder if it exists. A link could lead to any file of this machine.
pub(super) fn copy_if_there(from: &Path, to: &Path, abort: &Abort) -> io::Result<()> {
    match copy(from, to, abort) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies a regular file with its permissions. An interrupt is noticed between two portions.
fn copy(from: &Path, to: &Path, abort: &Abort) -> io::Result<()> {
    let from = open_own(from)?;
    // Never a pipe that a step put there, which would hold the copy.
    let mut copy = files::create_own(to)?;
    // The kernel copies, and shares the blocks if the file system supports it.
    while io::copy(&mut (&from).take(PORTION), &mut copy)? == PORTION {
        if abort.is_set() {
            return Err(io::Error::other(CheckoutError::Interrupted));
        }
    }
    copy.set_permissions(from.metadata()?.permissions())
}

/// Copies the listed files, as far as they exist. With `keep_files`, the target may have files already.
pub(super) fn copy_files(
    from: &Path,
    to: &Path,
    files: &[PathBuf],
    request: &Request,
) -> Result<Copied, CheckoutError> {
    let threads = if files.len() > FEW { thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let copied = AtomicUsize::new(0);
    let copy = |portion: &[PathBuf]| {
        let mut folders = Folders { from, to, request, last: None, made: HashSet::new() };
        let mut nested = Vec::new();
        for file in portion {
            request.proceed()?;
            match folders.copy(file).map_err(|source| CheckoutError::Copy { path: file.clone(), source })? {
                Entry::File => drop(copied.fetch_add(1, Ordering::Relaxed)),
                Entry::Folder => nested.push(file.clone()),
                Entry::None => {}
            }
        }
        Ok(nested)
    };
    let ends: Vec<Result<Vec<PathBuf>, CheckoutError>> = thread::scope(|scope| {
        let portions = files.chunks(files.len().div_ceil(threads).max(1));
        let workers: Vec<_> = portions.map(|portion| scope.spawn(|| copy(portion))).collect();
        workers.into_iter().map(|worker| worker.join().expect("copying does not panic")).collect()
    });
    let nested: Vec<PathBuf> = ends.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let (left_out, submodules) = nested.into_iter().partition(|folder| is_left_out(folder));
    Ok(Copied { files: copied.into_inner(), submodules, left_out })
}

/// Git lists a submodule by its path, and any other repository with a slash at its end.
fn is_left_out(folder: &Path) -> bool {
    folder.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// What a listed path was.
enum Entry {
    /// A file or a link.
    File,
    /// A folder that is a repository.
    Folder,
    /// Does not exist, or is a FIFO or the like.
    None,
}

/// Copies files, checking each folder only once for consecutive files in it.
struct Folders<'a> {
    from: &'a Path,
    to: &'a Path,
    request: &'a Request,
    /// Folder of the previous file, and whether it is part of the repository.
    last: Option<(PathBuf, bool)>,
    /// Folders of the copy that were seen to be folders, and no links that a step made.
    made: HashSet<PathBuf>,
}

impl Folders<'_> {
    /// Copies a file or a link. A tracked file may have been deleted.
    fn copy(&mut self, file: &Path) -> io::Result<Entry> {
        let (from, to) = (self.from.join(file), self.to.join(file));
        let kind = match from.symlink_metadata() {
            Ok(data) => data.file_type(),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Entry::None);
            }
            Err(error) => return Err(error),
        };
        if !self.enter(file.parent().unwrap_or(Path::new("")))? {
            return Ok(Entry::None);
        }
        if kind.is_dir() {
            if !is_left_out(file) {
                fs::create_dir_all(to)?;
            }
            return Ok(Entry::Folder);
        }
        if self.request.keep_files {
            remove(&to)?;
        }
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
        } else if kind.is_file() {
            copy(&from, &to, &self.request.abort)?;
        } else {
            return Ok(Entry::None);
        }
        Ok(Entry::File)
    }

    /// Creates a folder of the copy. Returns `false` if the repository has a link in its place: as in `git status`, the
    /// files that git lists below it do not exist then.
    fn enter(&mut self, folder: &Path) -> io::Result<bool> {
        if let Some((last, ours)) = &self.last
            && last == folder
        {
            return Ok(*ours);
        }
        let linked = |folder: &&Path| self.from.join(folder).is_symlink();
        let ours = !folder.ancestors().filter(|folder| !folder.as_os_str().is_empty()).any(|folder| linked(&folder));
        if ours {
            if self.request.keep_files {
                self.make_way(folder)?;
            }
            fs::create_dir_all(self.to.join(folder))?;
        }
        self.last = Some((folder.to_owned(), ours));
        Ok(ours)
    }

    /// Removes files and links where the copy has folders: a link would lead out of the copy.
    fn make_way(&mut self, folder: &Path) -> io::Result<()> {
        let mut above: Vec<&Path> = folder.ancestors().filter(|folder| !folder.as_os_str().is_empty()).collect();
        above.reverse();
        for folder in above {
            if self.made.insert(folder.to_owned()) {
                let place = self.to.join(folder);
                if place.symlink_metadata().is_ok_and(|data| !data.is_dir()) {
                    fs::remove_file(&place)?;
                }
            }
        }
        Ok(())
    }
}
