//! The folder that a checkout fills, and functions that copy files of a working tree into it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;

use super::error::CheckoutError;
use super::{Request, has_link};
use crate::files::{Folder, open_own};
use crate::repo::git::Abort;

/// Number of files up to which one thread copies them all: starting a thread takes as long as copying one or two files.
const FEW: usize = 64;

/// Number of bytes that are copied between two checks for an interrupt.
const PORTION: u64 = 64 * 1024 * 1024;

/// Result of copying a list of files.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// Files and links.
    pub(super) files: Vec<PathBuf>,
    /// Submodules: folders that git lists as one entry. They are created empty in the copy.
    pub(super) submodules: Vec<PathBuf>,
    /// Repositories and worktrees inside the folder, which git does not follow. They are missing from the copy.
    pub(super) left_out: Vec<PathBuf>,
}

/// An open folder that a checkout fills. A process that a step left behind may replace any file or folder in it with a
/// link or a FIFO, so no entry is opened by its path.
pub(super) struct Target {
    path: PathBuf,
    folder: Folder,
}

impl Target {
    /// Opens a folder and empties it. The folder itself is kept, because it may be a step's working directory. A file
    /// or a link in its place is removed. With `keep_files`, only its git folder is removed, if it has one.
    ///
    /// # Errors
    /// The folder cannot be created, or an entry in it or in its place cannot be removed.
    pub(super) fn open(path: &Path, keep_files: bool) -> io::Result<Self> {
        let folder = match Folder::above(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(path))?;
                Folder::above(path)
            }
            above => above,
        };
        let (above, name) = folder?;
        let folder = above.make_in_place(name)?;
        clear(&folder, keep_files)?;
        Ok(Self { path: path.to_owned(), folder })
    }

    /// Returns the path of the folder, for git and for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Opens the git folder, and creates it if necessary.
    pub(super) fn git_folder(&self) -> io::Result<Folder> {
        self.folder.make_folders(Path::new(".git"))
    }
}

/// Empties a folder. With `keep_files`, only its git folder is removed. A folder without a git folder is not a
/// checkout, so it is emptied in any case.
pub(super) fn clear(folder: &Folder, keep_files: bool) -> io::Result<()> {
    let git = Path::new(".git");
    if keep_files && folder.folder(git).is_ok() { folder.remove_folder(git) } else { folder.clear() }
}

/// Copies a regular file of a git folder if it exists. Links are not followed, because they could lead to any file of
/// this machine.
pub(super) fn copy_if_there(from: &Path, to: &Folder, name: &Path, abort: &Abort) -> io::Result<()> {
    match open_own(from).and_then(|from| copy(&from, to, name, abort)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies a regular file with its permissions, and returns the copy. An interrupt is noticed between two portions.
///
/// # Errors
/// The file cannot be read or written, or the copy was interrupted.
pub(in crate::engine::workspace) fn copy(from: &File, to: &Folder, name: &Path, abort: &Abort) -> io::Result<File> {
    // Never opens a FIFO that a step put there, which would block the copy.
    let mut copy = to.create(name)?;
    // The kernel copies, and shares the blocks if the file system supports it.
    while io::copy(&mut from.take(PORTION), &mut copy)? == PORTION {
        if abort.is_set() {
            return Err(io::Error::other(CheckoutError::Interrupted));
        }
    }
    copy.set_permissions(from.metadata()?.permissions())?;
    Ok(copy)
}

/// Copies the listed files that exist. With `keep_files`, the target may already contain files.
pub(super) fn copy_files(
    from: &Path,
    to: &Folder,
    files: &[PathBuf],
    request: &Request,
) -> Result<Copied, CheckoutError> {
    let threads = if files.len() > FEW { thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let copy = |portion: &[PathBuf]| {
        let mut folders = Folders { from, to, request, last: None };
        let (mut copied, mut nested) = (Vec::with_capacity(portion.len()), Vec::new());
        for file in portion {
            request.proceed()?;
            match folders.copy(file).map_err(|source| CheckoutError::Copy { path: file.clone(), source })? {
                Entry::File => copied.push(file.clone()),
                Entry::Folder => nested.push(file.clone()),
                Entry::None => {}
            }
        }
        Ok((copied, nested))
    };
    let ends: Vec<Result<_, CheckoutError>> = thread::scope(|scope| {
        let portions = files.chunks(files.len().div_ceil(threads).max(1));
        let workers: Vec<_> = portions.map(|portion| scope.spawn(|| copy(portion))).collect();
        workers.into_iter().map(|worker| worker.join().expect("copying does not panic")).collect()
    });
    let (files, nested): (Vec<_>, Vec<_>) = ends.into_iter().collect::<Result<_, _>>()?;
    let (left_out, submodules) = nested.concat().into_iter().partition(|folder| is_left_out(folder));
    Ok(Copied { files: files.concat(), submodules, left_out })
}

/// Whether git lists a folder as a separate repository: with a trailing slash, unlike a submodule.
fn is_left_out(folder: &Path) -> bool {
    folder.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Kind of a listed path.
enum Entry {
    /// A file or a link.
    File,
    /// A folder that is a repository.
    Folder,
    /// The path does not exist, is below a link, or is a FIFO or another special file.
    None,
}

/// Copier of files that checks a folder only once for consecutive files in it.
struct Folders<'a> {
    from: &'a Path,
    to: &'a Folder,
    request: &'a Request,
    /// Folder of the previous file, and the same folder in the copy, unless the repository has a link in its place.
    last: Option<(PathBuf, Option<Folder>)>,
}

impl Folders<'_> {
    /// Copies a file or a link. A folder, which is a submodule, is created empty.
    fn copy(&mut self, file: &Path) -> io::Result<Entry> {
        let from = self.from.join(file);
        let kind = match from.symlink_metadata() {
            Ok(data) => data.file_type(),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Entry::None);
            }
            Err(error) => return Err(error),
        };
        let request = self.request;
        let (folder, name) = file.parent().zip(file.file_name()).ok_or(io::ErrorKind::InvalidInput)?;
        let Some(to) = self.enter(folder)? else { return Ok(Entry::None) };
        let name = Path::new(name);
        if kind.is_dir() {
            if !is_left_out(file) {
                to.make_folders(name)?;
            }
            return Ok(Entry::Folder);
        }
        if request.keep_files {
            to.remove_any(name)?;
        }
        if kind.is_symlink() {
            to.link(name, &fs::read_link(from)?)?;
        } else if kind.is_file() {
            copy(&open_own(&from)?, to, name, &request.abort)?;
        } else {
            return Ok(Entry::None);
        }
        Ok(Entry::File)
    }

    /// Returns a folder of the copy, and creates it if necessary. `None` if the repository has a link in its place: in
    /// that case the files that git lists below it do not exist, as in `git status`.
    fn enter(&mut self, folder: &Path) -> io::Result<Option<&Folder>> {
        if self.last.as_ref().is_none_or(|(last, _)| last != folder) {
            let made = if has_link(self.from, folder) { None } else { Some(self.make(folder)?) };
            self.last = Some((folder.to_owned(), made));
        }
        Ok(self.last.as_ref().and_then(|(_, made)| made.as_ref()))
    }

    /// Opens a folder of the copy, and creates it if necessary. Files and links that a step put in its place are
    /// removed.
    fn make(&self, folder: &Path) -> io::Result<Folder> {
        if !self.request.keep_files {
            return self.to.make_folders(folder);
        }
        let start = self.to.folder(Path::new(""))?;
        folder.iter().try_fold(start, |made, name| made.make_in_place(Path::new(name)))
    }
}
