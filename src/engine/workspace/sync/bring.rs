//! A sync of one checkout: finds the files that the user or the job has changed since the checkout, and copies the
//! user's changes to the job.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::{Changes, Checkout, Source, SyncError, ctime, look};
use crate::engine::workspace::checkout::{files, has_link};
use crate::files::{Folder, Links, open_own};
use crate::repo::git;
use crate::repo::git::Abort;

/// Returns the folder of a file, and its name.
fn split(path: &Path) -> io::Result<(&Path, &Path)> {
    let (above, name) = path.parent().zip(path.file_name()).ok_or(io::ErrorKind::InvalidInput)?;
    Ok((above, Path::new(name)))
}

/// A sync of one checkout. Processes of the job may replace any file or folder of the copy with a link, so nothing in
/// the copy is read or written through its path.
pub(super) struct Sync<'s> {
    pub(super) repository: &'s Path,
    pub(super) checkout: &'s mut Checkout,
    pub(super) force: bool,
    pub(super) changes: &'s mut Changes,
    /// Folders of the user's files that the copy did not have when the sync began.
    pub(super) absent: HashSet<PathBuf>,
}

impl Sync<'_> {
    /// Brings all changes into the folder of the copy.
    ///
    /// # Errors
    /// Git cannot list the files, or a file cannot be brought.
    pub(super) fn run(&mut self, to: &Folder) -> Result<(), SyncError> {
        let listed = git::files(self.repository, None)?;
        let folders: HashSet<&Path> = listed.iter().filter_map(|path| path.parent()).collect();
        let is_absent = |folder: &&Path| to.folder(folder).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        self.absent = folders.into_iter().filter(is_absent).map(Path::to_owned).collect();
        let unlisted = self.unlisted(&listed);
        let in_one_folder = |one: &PathBuf, other: &PathBuf| one.parent() == other.parent();
        let mut changed = Vec::new();
        for files in unlisted.chunk_by(in_one_folder).chain(listed.chunk_by(in_one_folder)) {
            // As in `git status`, files below a link do not exist.
            let is_linked = files[0].parent().is_some_and(|folder| has_link(self.repository, folder));
            for path in files {
                let fault = |source| SyncError::File { path: path.clone(), source };
                let user = if is_linked { None } else { look(&self.repository.join(path)).map_err(fault)? };
                if user.as_ref().is_some_and(|user| self.is_unchanged(path, user)) {
                    continue;
                }
                match user.filter(|user| user.is_file() || user.is_symlink()) {
                    Some(user) => changed.push((path, user)),
                    None => self.delete(to, path).map_err(fault)?,
                }
            }
        }
        // Changed files come last, because a file may take the place of a folder whose files were deleted.
        for (path, user) in changed {
            self.bring(to, path, &user).map_err(|source| SyncError::File { path: path.clone(), source })?;
        }
        Ok(())
    }

    /// Returns the files that the checkout or a sync put into the copy and that git does not list: files that were
    /// deleted or are now ignored, and the files of submodules.
    fn unlisted(&self, listed: &[PathBuf]) -> Vec<PathBuf> {
        let listed: HashSet<&Path> = listed.iter().map(PathBuf::as_path).collect();
        let files = self.checkout.files.iter().map(PathBuf::as_path);
        let files = files.chain(self.checkout.brought.keys().map(Path::new)).filter(|path| !listed.contains(path));
        files.collect::<BTreeSet<_>>().into_iter().map(Path::to_owned).collect()
    }

    /// Returns the ctimes of the user's file and of the copy from an earlier sync.
    fn brought(&self, path: &Path) -> Option<(i64, i64)> {
        self.checkout.brought.get(path.to_str()?).copied()
    }

    /// Whether the job made or changed a file of the copy, according to its metadata.
    fn is_of_job(&self, path: &Path, copy: &Metadata) -> bool {
        let (written, Checkout { since, until, files, .. }) = (ctime(copy), &*self.checkout);
        let is_copied = *since < written && written <= *until && files.contains(path);
        !is_copied && self.brought(path).is_none_or(|(_, brought)| brought != written)
    }

    /// Whether the job made or changed a file in a folder of the copy.
    fn has_files_of_job(&self, path: &Path, folder: &Folder) -> bool {
        let root = folder.path();
        WalkDir::new(&root).min_depth(1).into_iter().any(|entry| {
            // A folder that cannot be read was made unreadable by the job.
            let Ok(entry) = entry else { return true };
            let below = entry.path().strip_prefix(&root).unwrap_or(entry.path());
            let is_of_job = || entry.metadata().map_or(true, |data| self.is_of_job(&path.join(below), &data));
            !entry.file_type().is_dir() && is_of_job()
        })
    }

    /// Whether the job put something else in the place of a folder of the copy, or of a folder above it.
    fn is_in_the_way(&self, to: &Folder, folder: &Path) -> bool {
        let place = folder.ancestors().find_map(|part| Some((part, to.folder(part.parent()?).ok()?)));
        place.is_some_and(|(part, above)| {
            let found = look(&above.path().join(part.file_name().unwrap_or_default()));
            found.is_ok_and(|found| found.is_some_and(|found| self.is_of_job(part, &found)))
        })
    }

    /// Whether a file of the user is the same as when it was copied.
    fn is_unchanged(&self, path: &Path, user: &Metadata) -> bool {
        match self.brought(path) {
            Some((brought, _)) => brought == ctime(user),
            // A file keeps its ctime when a folder above it is renamed.
            None => ctime(user) <= self.checkout.since && !self.is_in_new_folder(path),
        }
    }

    /// Whether the copy lacks the folder of a file because the user has made or renamed a folder since the checkout.
    /// Otherwise, the job removed the folder.
    fn is_in_new_folder(&self, path: &Path) -> bool {
        if !path.parent().is_some_and(|folder| self.absent.contains(folder)) {
            return false;
        }
        let mut above = path.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty());
        above.any(|part| {
            look(&self.repository.join(part)).ok().flatten().is_some_and(|it| ctime(&it) > self.checkout.since)
        })
    }

    /// Removes a file that the user does not have from the copy. Keeps it if the job changed it, unless `force` is set.
    fn delete(&mut self, to: &Folder, path: &Path) -> io::Result<()> {
        let (above, name) = split(path)?;
        let Ok(parent) = to.folder(above) else { return Ok(()) };
        let Some(copy) = look(&parent.path().join(name))?.filter(|copy| !copy.is_dir()) else { return Ok(()) };
        if self.is_of_job(path, &copy) && !self.force {
            self.changes.kept.push(path.to_owned());
        } else {
            parent.remove(name)?;
            self.changes.deleted.push(path.to_owned());
        }
        Ok(())
    }

    /// Brings a file or a link that the user has changed. Keeps the job's version if the job changed it as well, unless
    /// `force` is set.
    pub(super) fn bring(&mut self, to: &Folder, path: &Path, user: &Metadata) -> io::Result<()> {
        let from = self.repository.join(path);
        let (above, name) = split(path)?;
        let parent = to.folder(above).ok();
        let copy = parent.as_ref().map(|parent| look(&parent.path().join(name))).transpose()?.flatten();
        let is_of_job = match (&parent, &copy) {
            _ if copy.is_none() && self.checkout.source == Source::Sparse => return Ok(()),
            (Some(parent), Some(copy)) if is_same(&from, user, parent, name, copy) => return Ok(()),
            (Some(parent), Some(copy)) if copy.is_dir() => {
                parent.folder(name).map_or(true, |folder| self.has_files_of_job(path, &folder))
            }
            (_, Some(copy)) => self.is_of_job(path, copy),
            (Some(_), None) => false,
            (None, None) => self.is_in_the_way(to, above),
        };
        if is_of_job && !self.force {
            self.changes.kept.push(path.to_owned());
            return Ok(());
        }
        let written = self.copy(&from, user, to, (above, name))?;
        if let Some(path) = path.to_str() {
            self.checkout.brought.insert(path.to_owned(), (ctime(user), written));
        }
        let is_new = copy.is_none_or(|copy| copy.is_dir());
        let list = if is_new { &mut self.changes.new } else { &mut self.changes.changed };
        list.push(path.to_owned());
        Ok(())
    }

    /// Copies a file or a link. Nothing of the copy is removed before the user's file is open. Returns the ctime of the
    /// copy.
    fn copy(&self, from: &Path, user: &Metadata, to: &Folder, (above, name): (&Path, &Path)) -> io::Result<i64> {
        if user.is_symlink() {
            let target = fs::read_link(from)?;
            let to = self.make(to, above)?;
            to.link(name, &target)?;
            return Ok(look(&to.path().join(name))?.as_ref().map_or(0, ctime));
        }
        let from = open_own(from)?;
        let to = self.make(to, above)?;
        to.remove_any(name)?;
        // An incomplete copy is removed, because it would count as a change of the job.
        let copy = files::copy(&from, &to, name, &Abort::default()).inspect_err(|_| drop(to.remove(name)))?;
        if self.checkout.open_to_all {
            let mode = copy.metadata()?.permissions().mode() | 0o666;
            copy.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(ctime(&copy.metadata()?))
    }

    /// Opens a folder of the copy, and creates it if necessary. A file or link in its place is removed.
    fn make(&self, to: &Folder, path: &Path) -> io::Result<Folder> {
        path.iter().map(Path::new).try_fold(to.folder(Path::new(""))?, |above, name| {
            let is_new = above.folder(name).is_err();
            let made = above.make_in_place(name)?;
            if is_new && self.checkout.open_to_all {
                made.open_to_all();
            }
            Ok(made)
        })
    }
}

/// Whether a copy has the content of the user's file, and can be executed like it.
fn is_same(from: &Path, user: &Metadata, to: &Folder, name: &Path, copy: &Metadata) -> bool {
    if user.is_symlink() || copy.is_symlink() {
        let target = |path: &Path| fs::read_link(path).ok();
        return user.is_symlink() && copy.is_symlink() && target(from) == target(&to.path().join(name));
    }
    let looks_same = copy.is_file() && user.len() == copy.len() && (user.mode() ^ copy.mode()) & 0o111 == 0;
    let contents = || Some((open_own(from).ok()?, to.file(name, Links::Refuse).ok()?));
    looks_same && contents().is_some_and(|(one, other)| has_same_content(one, other).unwrap_or(false))
}

fn has_same_content(one: File, other: File) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    let (mut left, mut right) = ([0; 8192], [0; 8192]);
    loop {
        let count = one.read(&mut left)?;
        if count == 0 {
            return Ok(other.read(&mut right)? == 0);
        }
        if other.read_exact(&mut right[..count]).is_err() || left[..count] != right[..count] {
            return Ok(false);
        }
    }
}
