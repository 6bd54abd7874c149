//! Brings later changes of the user's files into the copy that a job has checked out.
//!
//! A checkout notes which files it copied, and when. A file of the user has changed since the checkout if its ctime is
//! later. A file of the copy belongs to the job unless the checkout copied it and its ctime lies within the time of the
//! checkout. No program can set a ctime, so this works even if a job moves files, or keeps or sets their modification
//! times, and a checkout takes hardly any longer.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::files;
use crate::files::Folder;
use crate::model::Timestamp;
use crate::repo::git::GitError;
use crate::store::{StoreError, json, lock, space_hint};

use self::bring::Sync;
use super::checkout::named;

mod bring;
#[cfg(test)]
mod tests;

/// Maximum size in bytes of the note about the checkouts of a job.
const MAX_NOTE: u64 = 64 * 1024 * 1024;

/// How far the times of files may be behind the clock: the kernel sets them from its last tick.
const TICK: Duration = Duration::from_millis(20);

/// How long to wait for another sync of the same job.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause between two attempts to take the lock, or between two readings of a clock.
const PAUSE: Duration = Duration::from_millis(1);

/// Where the files of a checkout come from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::engine) enum Source {
    /// The working tree of the user.
    WorkingTree,
    /// A part of the user's working tree.
    Sparse,
    /// A commit: the ref that the step requested.
    Commit(String),
}

/// A checkout of the run's repository by a job. Times are in nanoseconds since 1970.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Checkout {
    /// The workspace of the job, on this machine.
    workspace: PathBuf,
    /// The folder that was filled, relative to the workspace.
    folder: PathBuf,
    source: Source,
    /// Whether the job works on a copy of the folder on another machine.
    elsewhere: bool,
    /// Whether every user of a container may change the files.
    open_to_all: bool,
    /// When the checkout began. Copies have a later ctime, and so do files that the user has changed since then.
    since: i64,
    /// When the checkout ended. No copy has a later ctime, but files that the job has changed since then do.
    until: i64,
    /// Files that were copied, relative to the folder.
    files: HashSet<PathBuf>,
    /// Files that later syncs brought, each with the ctimes of the user's file and of the copy.
    brought: BTreeMap<String, (i64, i64)>,
}

/// Time at which a checkout began, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Begun(i64);

/// A folder that a checkout has filled.
#[derive(Debug)]
pub(in crate::engine) struct Filled {
    /// When the checkout began.
    pub(in crate::engine) begun: Begun,
    /// The folder, in the workspace of the job.
    pub(in crate::engine) folder: PathBuf,
    /// Where the files come from.
    pub(in crate::engine) source: Source,
    /// Files that were copied from working trees, relative to the folder.
    pub(in crate::engine) files: Vec<PathBuf>,
}

/// What a sync did. Paths are relative to the repository.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Changes {
    /// Files that the copy did not have.
    pub new: Vec<PathBuf>,
    /// Files whose content was replaced.
    pub changed: Vec<PathBuf>,
    /// Files that were removed from the copy.
    pub deleted: Vec<PathBuf>,
    /// Files that the job changed as well, which were left as they are.
    pub kept: Vec<PathBuf>,
}

impl Changes {
    /// Whether the sync changed the copy.
    #[must_use]
    pub fn brought(&self) -> bool {
        [&self.new, &self.changed, &self.deleted].iter().any(|paths| !paths.is_empty())
    }
}

impl fmt::Display for Changes {
    /// Writes one line that names the files.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { new, changed, deleted, kept } = self;
        let parts =
            [(new, "new"), (changed, "changed"), (deleted, "deleted"), (kept, "kept, as the job changed them too")];
        let parts = parts
            .into_iter()
            .filter(|(paths, _)| !paths.is_empty())
            .map(|(paths, word)| format!("{word}: {}", named(paths.iter().map(PathBuf::as_path))));
        let parts = parts.collect::<Vec<_>>().join("; ");
        to.write_str(if parts.is_empty() { "the workspace has all your changes" } else { &parts })
    }
}

/// Why the files of a job cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The job has no copy of the repository.
    #[error("the job has not checked out this repository")]
    NotCheckedOut,
    /// The job works on another machine.
    #[error("the files of the job are on the machine of its Docker engine: change them with `cuelight shell`")]
    Elsewhere,
    /// The job works on the files of a commit.
    #[error("the job has checked out {0}, not the working tree: its files are those of a commit")]
    OfCommit(String),
    /// Another sync takes longer than this one waits.
    #[error("another sync brings files to the job: try again when it has ended")]
    Busy,
    /// Git cannot list the files.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A file cannot be brought.
    #[error("cannot bring {}: {source}{}", .path.display(), space_hint(.source))]
    File {
        /// The file, relative to the repository, or the folder of the copy.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The note about the checkouts cannot be read, written or locked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sync has ended early, and has changed the workspace before.
    #[error("{source}; before that, the sync brought files: {changes}")]
    Incomplete {
        /// What was done.
        changes: Box<Changes>,
        /// Why the sync ended.
        source: Box<SyncError>,
    },
}

impl Begun {
    /// Returns the time of a checkout that begins now.
    pub(in crate::engine) fn now() -> Self {
        Self(nanoseconds(SystemTime::now() - TICK))
    }
}

impl Source {
    /// Whether the files are those that the user has now, which may differ from every commit.
    pub(in crate::engine) fn is_of_user(&self) -> bool {
        matches!(self, Self::WorkingTree | Self::Sparse)
    }
}

impl Filled {
    /// Adds the checkout to the note `note`, in place of earlier checkouts of the folder. Waits until files that change
    /// from now on get a later ctime than the copies.
    ///
    /// # Errors
    /// The note cannot be read or written or is in use, or the folder is not in the workspace.
    pub(in crate::engine) fn record(
        self,
        note: &Path,
        workspace: &Path,
        elsewhere: bool,
        open_to_all: bool,
    ) -> Result<(), SyncError> {
        let Self { begun: Begun(since), folder, source, mut files } = self;
        let outside = |_| SyncError::File { path: folder.clone(), source: io::ErrorKind::InvalidInput.into() };
        let folder = folder.strip_prefix(workspace).map_err(outside)?.to_owned();
        let above = note.parent().unwrap_or(note);
        fs::create_dir_all(above).map_err(StoreError::io("make the folder", above))?;
        let until = settled(note)?;
        let checkouts = Checkouts::lock_existing(note)?;
        let mut all = checkouts.read()?;
        // A checkout empties its folder, unless it keeps files.
        all.retain(|other| {
            let is_there = || workspace.join(&other.folder).join(".git").symlink_metadata().is_ok();
            other.folder != folder && (!other.folder.starts_with(&folder) || is_there())
        });
        // The note is text, so a file whose name is not valid UTF-8 is left out; it counts as a file of the job.
        files.retain(|file| file.to_str().is_some());
        let (workspace, files, brought) = (workspace.to_owned(), files.into_iter().collect(), BTreeMap::new());
        all.push(Checkout { workspace, folder, source, elsewhere, open_to_all, since, until, files, brought });
        Ok(json::write_unsynced(note, &all)?)
    }
}

/// The note about the checkouts of a job, locked against others that read or write it.
#[derive(Debug)]
pub struct Checkouts {
    note: PathBuf,
    _lock: File,
}

impl Checkouts {
    /// Locks a note, and waits up to ten seconds for another process that has locked it. `None` if the job has not
    /// checked out anything.
    ///
    /// # Errors
    /// Another process has locked it for too long, or the lock cannot be created.
    pub fn lock(note: &Path) -> Result<Option<Self>, SyncError> {
        if note.symlink_metadata().is_ok() { Self::lock_existing(note).map(Some) } else { Ok(None) }
    }

    fn lock_existing(note: &Path) -> Result<Self, SyncError> {
        let (path, started) = (lock_of(note), Instant::now());
        loop {
            if let Some(lock) = lock::take(&path)? {
                return Ok(Self { note: note.to_owned(), _lock: lock });
            }
            if started.elapsed() > LOCK_TIMEOUT {
                return Err(SyncError::Busy);
            }
            sleep(PAUSE);
        }
    }

    fn read(&self) -> Result<Vec<Checkout>, SyncError> {
        Ok(json::read(&self.note, MAX_NOTE)?.unwrap_or_default())
    }

    /// Returns which of these files of the repository were changed or deleted after a checkout of the working tree that
    /// ended by `end`, and were not brought into it since.
    ///
    /// # Errors
    /// The note cannot be read.
    pub fn lacking(&self, repository: &Path, mut names: Vec<String>, end: Timestamp) -> Result<Vec<String>, SyncError> {
        // A time in milliseconds is rounded down.
        let end = i64::try_from(end.0).unwrap_or(i64::MAX).saturating_add(1).saturating_mul(1_000_000);
        let mut all = self.read()?;
        all.retain(|checkout| checkout.source.is_of_user() && checkout.until <= end);
        names.retain(|name| {
            let user = repository.join(name).symlink_metadata().ok().map(|data| ctime(&data));
            all.iter().any(|checkout| match (user, checkout.brought.get(name)) {
                (Some(user), Some((brought, _))) => user != *brought,
                (Some(user), None) => user > checkout.since,
                (None, _) => checkout.workspace.join(&checkout.folder).join(name).symlink_metadata().is_ok(),
            })
        });
        Ok(names)
    }

    /// Brings the changes of a repository's files into the checkouts. Files that the job changed as well are only
    /// overwritten with `force`.
    ///
    /// # Errors
    /// The job has no copy of the working tree on this machine, or a file cannot be read or written. Files that were
    /// brought before the error are noted, and the error names them.
    pub fn sync(&self, repository: &Path, force: bool) -> Result<Changes, SyncError> {
        let mut all = self.read()?;
        let changes = sync_all(&mut all, repository, force);
        // Waits, so that files that the job changes from now on get a later ctime than the files that were brought.
        let noted = json::write_unsynced(&self.note, &all).and_then(|()| settled(&self.note));
        match (changes, noted) {
            (Ok(changes), Err(error)) => Err(incomplete(Some(changes), error.into())),
            // The first error is the cause: a full disk also keeps the note from being written.
            (changes, _) => changes,
        }
    }
}

fn sync_all(all: &mut [Checkout], repository: &Path, force: bool) -> Result<Changes, SyncError> {
    let mut changes = None;
    match bring_all(all, repository, force, &mut changes) {
        Ok(refused) => changes.ok_or(refused),
        Err(error) => Err(incomplete(changes, error)),
    }
}

/// Returns the error of a sync that has changed the workspace before, if there are such changes.
fn incomplete(changes: Option<Changes>, source: SyncError) -> SyncError {
    match changes {
        Some(changes) if changes.brought() => {
            SyncError::Incomplete { changes: Box::new(changes), source: Box::new(source) }
        }
        _ => source,
    }
}

/// Brings the changes into all checkouts, and adds what was done to `changes`. Returns why the last one without a copy of
/// the working tree on this machine was left out.
fn bring_all(
    all: &mut [Checkout],
    repository: &Path,
    force: bool,
    changes: &mut Option<Changes>,
) -> Result<SyncError, SyncError> {
    let mut refused = SyncError::NotCheckedOut;
    for checkout in all {
        match &checkout.source {
            _ if checkout.elsewhere => refused = SyncError::Elsewhere,
            Source::Commit(wanted) => refused = SyncError::OfCommit(wanted.clone()),
            Source::WorkingTree | Source::Sparse => {
                if let Some(to) = checkout.open()? {
                    let changes = changes.get_or_insert_default();
                    Sync { repository, checkout, force, changes, absent: HashSet::new() }.run(&to)?;
                }
            }
        }
    }
    Ok(refused)
}

fn lock_of(note: &Path) -> PathBuf {
    note.with_extension("lock")
}

/// Returns the time of the clock from which files get their ctime, and waits until that clock has moved on.
fn settled(note: &Path) -> Result<i64, StoreError> {
    let path = lock_of(note);
    let look = || {
        let file = files::append_own(&path)?;
        // Sets the ctime of the file, although the permissions stay as they are.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.metadata().map(|data| ctime(&data))
    };
    let moved_on = || {
        let (now, started) = (look()?, Instant::now());
        while look()? == now && started.elapsed() < TICK {
            sleep(PAUSE);
        }
        Ok(now)
    };
    moved_on().map_err(StoreError::io("use", &path))
}

/// Returns the ctime of a file in nanoseconds since 1970.
pub(crate) fn ctime(data: &Metadata) -> i64 {
    data.ctime().saturating_mul(1_000_000_000).saturating_add(data.ctime_nsec())
}

/// Returns how many of these files below a folder have changed since a time. Files that are gone are not counted.
pub(in crate::engine) fn changed_since(folder: &Path, files: &[PathBuf], since: SystemTime) -> usize {
    let since = nanoseconds(since);
    let is_later = |file: &&PathBuf| look(&folder.join(file)).ok().flatten().is_some_and(|data| ctime(&data) > since);
    files.iter().filter(is_later).count()
}

/// Returns a time in nanoseconds since 1970.
pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
    i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
}

/// Returns the metadata of a path, without following a link at its end. `None` if it does not exist.
fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Ok(data) => Ok(Some(data)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Checkout {
    /// Opens the folder of the copy. `None` if the job has removed it.
    fn open(&self) -> Result<Option<Folder>, SyncError> {
        // Does not follow links: a job on this machine may put one in the place of its workspace.
        let workspace = Folder::above(&self.workspace).and_then(|(above, name)| above.folder(name));
        match workspace.and_then(|workspace| workspace.folder(&self.folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SyncError::File { path: self.workspace.join(&self.folder), source }),
            Ok(folder) => Ok(Some(folder)),
        }
    }
}
