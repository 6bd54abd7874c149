//! The state folder: a folder per run with the files that are written during the run, data that runs share, and caches
//! that readers compute from them.
//!
//! The folder of a run can be read with `less`, copied into a bug report, and removed with `rm`. The journal in it is
//! authoritative: [`runs::RunStore`] computes the current state of any number of runs from the records of their
//! journals, without access to the clock or to files.

pub mod artifacts;
pub mod atomic;
pub mod cache;
pub mod clock;
pub mod concurrency;
mod described;
pub mod digest;
pub mod first_error;
pub mod folder;
pub mod history;
pub mod ids;
pub mod journal;
pub mod json;
pub mod lock;
pub mod logs;
pub mod numbers;
pub mod runs;
pub mod seal;
pub mod spec;
pub mod summaries;
pub mod warm;

use std::io;
use std::path::PathBuf;

/// Why data of the store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system returned an error.
    #[error("cannot {what} {}: {source}{}", path.display(), hint(source))]
    Io {
        /// The failed operation: completes "cannot …".
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The content of the file is not valid.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with the content.
        reason: String,
    },
    /// The file was written by a newer version of cuelight.
    #[error("{} is of version {version}, and this cuelight reads up to version {supported}: update cuelight", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version of the file.
        version: u32,
        /// Newest version that can be read.
        supported: u32,
    },
    /// The file describes a run of a kind that this version does not know.
    #[error("{} is a run of the unknown kind `{kind}`: update cuelight", path.display())]
    UnknownKind {
        /// The file.
        path: PathBuf,
        /// The kind.
        kind: String,
    },
    /// The run is on a server, and this machine cannot carry it out.
    #[error("{} is a run on a server", path.display())]
    NotLocal {
        /// The file.
        path: PathBuf,
    },
    /// No run fits the name.
    #[error("there is no run `{wanted}`; {}", instead(nearest.as_deref()))]
    NoSuchRun {
        /// The name as given.
        wanted: String,
        /// The most similar id.
        nearest: Option<String>,
    },
    /// No run of the repository was carried out on this machine. Mirrors of runs on servers do not count.
    #[error("there is no run of {repository} yet; --all takes the newest run of all repositories")]
    NoRunOf {
        /// The repository, `owner/name`.
        repository: String,
    },
    /// Several runs fit the name.
    #[error("`{wanted}` could be any of {}; `cuelight runs` lists them", candidates.join(", "))]
    Ambiguous {
        /// The name as given.
        wanted: String,
        /// Ids of the matching runs; only the first few if there are many.
        candidates: Vec<String>,
    },
    /// The user has no home folder.
    #[error("no home folder to keep runs in: set CUELIGHT_STATE_DIR to a folder of yours")]
    NoHome,
    /// The path of the state folder is not UTF-8, but steps get it as text.
    #[error("the path of the state folder, {0:?}, is not UTF-8: set CUELIGHT_STATE_DIR to another folder")]
    NotUtf8(PathBuf),
}

/// Returns what helps a user who named an unknown run.
fn instead(nearest: Option<&str>) -> String {
    nearest.map_or_else(|| "`cuelight runs` lists the runs here".to_owned(), |id| format!("did you mean `{id}`?"))
}

impl StoreError {
    /// Whether the cause of the error is that a file or folder does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Returns a function that wraps an error of the file system. `what` completes "cannot …".
    pub fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}

/// Whether an error means that the disk, or the quota of the user, is full.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Returns advice, in brackets, for an error of writing: the disk or the quota is full, or the file is too large. Empty
/// for other errors.
#[must_use]
pub fn space_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if is_full(error) => FULL,
        io::ErrorKind::FileTooLarge => " (`ulimit -f` limits the size of files)",
        _ => "",
    }
}

/// Returns the advice of [`space_hint`] for the message of another program in the `C` locale.
#[must_use]
pub fn space_hint_in(message: &str) -> &'static str {
    let is_full = ["No space left on device", "Disk quota exceeded"].iter().any(|text| message.contains(text));
    if is_full { FULL } else { "" }
}

const FULL: &str = " (the disk is full: `cuelight clean` removes old runs)";

/// Returns advice, in brackets, for an error of a file in the state folder. Empty if no advice is known.
#[must_use]
pub fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            " (set CUELIGHT_STATE_DIR to a folder that can be written)"
        }
        _ => space_hint(error),
    }
}
