//! The files of a dependency folder, and clones of them that share their blocks.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::{Timespec, Timestamps, UTIME_OMIT, futimens, ioctl_ficlone};

use super::relocate;
use crate::files::{Folder, Links};
use crate::repo::git::Abort;

/// Number of files up to which one thread clones them all.
const FEW: usize = 64;

/// Everything in a folder. Entries that are neither files nor folders nor links, such as sockets, are left out.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Paths of the folders, each after the one that contains it. The first is the folder itself, with an empty path.
    folders: Vec<PathBuf>,
    /// Files and links, ordered by folder.
    entries: Vec<Entry>,
    size: u64,
}

/// A file or a link.
#[derive(Debug)]
struct Entry {
    /// Index of its folder.
    folder: usize,
    name: OsString,
    is_link: bool,
}

/// How a folder is cloned.
pub(super) struct CloneOptions<'c> {
    /// Folder of the job that made the dependency folder, and of the one that gets the clone.
    pub(super) roots: (&'c Path, &'c Path),
    /// Whether every user may change the clone.
    pub(super) open_to_all: bool,
    /// Flag that interrupts the cloning.
    pub(super) abort: &'c Abort,
}

impl Tree {
    /// Lists a folder.
    ///
    /// # Errors
    /// Something in it cannot be read.
    pub(super) fn of(root: &Folder) -> io::Result<Self> {
        let mut tree = Self { folders: vec![PathBuf::new()], ..Self::default() };
        let mut index = 0;
        while let Some(path) = tree.folders.get(index).cloned() {
            let folder = root.folder(&path)?;
            for entry in fs::read_dir(folder.path())? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    tree.folders.push(path.join(entry.file_name()));
                } else if kind.is_file() || kind.is_symlink() {
                    tree.size += entry.metadata()?.len();
                    tree.entries.push(Entry { folder: index, name: entry.file_name(), is_link: kind.is_symlink() });
                }
            }
            index += 1;
        }
        Ok(tree)
    }

    /// Returns the number of files and links.
    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Returns the size of the files in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Clones the folder `from`, whose list this is, into the empty folder `to`, which no other process may change.
    /// Keeps permissions and modification times.
    ///
    /// # Errors
    /// A file cannot be cloned, the folder has changed meanwhile, or the clone was interrupted.
    pub(super) fn clone_to(&self, from: &Folder, to: &Folder, how: &CloneOptions<'_>) -> io::Result<()> {
        for path in &self.folders[1..] {
            to.make_folders(path)?;
        }
        let threads = if self.entries.len() > FEW { thread::available_parallelism().map_or(1, usize::from) } else { 1 };
        let portions = self.entries.chunks(self.entries.len().div_ceil(threads).max(1));
        thread::scope(|scope| {
            let workers: Vec<_> =
                portions.map(|portion| scope.spawn(move || self.clone_entries(portion, from, to, how))).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("cloning does not panic"))
        })?;
        relocate::environment(to, how.roots)?;
        // A folder's time changes with its entries, so inner folders come first.
        for path in self.folders.iter().rev() {
            let (old, new) = (from.folder(path)?, to.folder(path)?);
            let data = fs::metadata(old.path())?;
            new.set_own_mode(mode(&data, how.open_to_all.then_some(0o777)))?;
            set_modified(&new, &data)?;
        }
        Ok(())
    }

    fn clone_entries(&self, entries: &[Entry], from: &Folder, to: &Folder, how: &CloneOptions<'_>) -> io::Result<()> {
        for of_folder in entries.chunk_by(|one, other| one.folder == other.folder) {
            if how.abort.is_set() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let path = &self.folders[of_folder[0].folder];
            let (old, new) = (from.folder(path)?, to.folder(path)?);
            for Entry { name, is_link, .. } in of_folder {
                let name = Path::new(name);
                if *is_link {
                    let target = fs::read_link(old.path().join(name))?;
                    new.link(name, &relocate::path(&target, how.roots).unwrap_or(target))?;
                } else {
                    clone_file(&old.file(name, Links::Refuse)?, &new, name, how)?;
                }
            }
        }
        Ok(())
    }
}

fn clone_file(from: &File, to: &Folder, name: &Path, how: &CloneOptions<'_>) -> io::Result<()> {
    let clone = to.create(name)?;
    share(from, &clone)?;
    let data = from.metadata()?;
    clone.set_permissions(Permissions::from_mode(mode(&data, how.open_to_all.then_some(0o666))))?;
    set_modified(&clone, &data)
}

/// Gives a new file the content of another one without copying it: both share their blocks until one is changed.
///
/// # Errors
/// The file system does not support it, or the files are on different file systems.
pub(super) fn share(from: &File, to: &File) -> io::Result<()> {
    Ok(ioctl_ficlone(to, from)?)
}

/// Returns the permissions of a clone, without setuid, setgid and sticky bits.
fn mode(data: &fs::Metadata, more: Option<u32>) -> u32 {
    data.mode() & 0o777 | more.unwrap_or_default()
}

/// Sets the modification time. Build tools compare these times.
fn set_modified(to: impl std::os::fd::AsFd, data: &fs::Metadata) -> io::Result<()> {
    let unchanged = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let modified = Timespec { tv_sec: data.mtime(), tv_nsec: data.mtime_nsec() };
    Ok(futimens(to, &Timestamps { last_access: unchanged, last_modification: modified })?)
}
