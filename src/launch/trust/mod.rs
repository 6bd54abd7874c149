//! Trust in repositories. A workflow is a program, and on the host it can do everything that the user can do.
//!
//! The answer to the trust question is bound to what it was given for: the root of the repository and its git folder,
//! with the identity of both on the disk (another clone at the same path is another repository), the address of its
//! origin, and the settings of the repository that start programs or choose what runs. A worktree shares the trust of
//! its repository only if the repository lists the worktree; it is not enough that the worktree names the repository.
//! [`Consent`] is the question.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::files;
use crate::model::RunInfo;
use crate::repo::git::{Access, Repository};
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::spec::WorkflowSpec;
use crate::store::{StoreError, atomic, seal};

use super::LaunchError;

mod consent;
mod danger;
mod preview;

pub use consent::Consent;
pub(super) use consent::Subject;

/// A trusted repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// Root of the working tree. Entries of an earlier version of cuelight lack it and trust nothing.
    #[serde(default)]
    pub root: Identity,
    /// Folder of the repository's objects and refs.
    #[serde(default)]
    pub git: Identity,
    /// Address of `origin`; empty if the repository has none.
    pub origin: String,
    /// The settings of the repository that were trusted, as lines of TOML.
    #[serde(default)]
    pub settings: Vec<String>,
}

/// A folder and its identity on disk. The inode numbers of removed folders are soon reused, so the creation time is
/// compared as well, where the file system records it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Path of the folder.
    pub path: PathBuf,
    device: u64,
    inode: u64,
    /// Creation time of the folder, in nanoseconds since 1970. An earlier version did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<u64>,
}

impl Identity {
    fn of(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.canonicalize().map_err(StoreError::io("access", folder))?;
        let data = fs::metadata(&path).map_err(StoreError::io("access", &path))?;
        let made = data.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
        let made = made.and_then(|since| u64::try_from(since.as_nanos()).ok());
        Ok(Self { path, device: data.dev(), inode: data.ino(), made })
    }

    /// Whether `earlier` was recorded by a version that did not record the creation time, and is otherwise equal.
    fn is_clearer_than(&self, earlier: &Self) -> bool {
        let Self { path, device, inode, made } = self;
        made.is_some()
            && earlier.made.is_none()
            && (path, *device, *inode) == (&earlier.path, earlier.device, earlier.inode)
    }
}

/// Whether a repository may run on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The repository may run.
    Given,
    /// The repository may not run.
    Missing(Distrust),
}

/// Why a repository may not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The repository was never trusted.
    #[error("it is not trusted to run on this machine")]
    Unknown,
    /// The origin of the repository has changed since it was trusted.
    #[error("its origin has changed since it was trusted")]
    OtherOrigin,
    /// Another repository was trusted at the same path.
    #[error("it is not the repository that was trusted at this path")]
    OtherRepository,
    /// An earlier version of cuelight did not record when the repository's folders were created.
    #[error("it was trusted by an earlier version of cuelight, which did not record enough to recognise it")]
    EarlierVersion,
    /// The repository uses the git folder of a trusted repository that has another root.
    #[error("its `.git` points to the git folder of another repository, which is trusted")]
    OtherRoot,
    /// The trusted settings in the repository's `.cuelight.toml` have changed.
    #[error("its .cuelight.toml has changed since it was trusted")]
    OtherSettings,
    /// The folder of the run was not created on this machine.
    #[error("the folder of this run was not made on this machine")]
    ForeignRun,
}

impl Distrust {
    /// Returns advice for the user.
    fn hint(self) -> &'static str {
        match self {
            Self::ForeignRun => "review its run.json, then pass --trust for this attempt",
            _ => "review its workflows, then run `cuelight trust` there, or pass --trust for this run",
        }
    }
}

/// The error that a repository may not run, with the reason.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}: {}", root.display(), reason.hint())]
pub struct Untrusted {
    /// The root of the repository.
    pub root: PathBuf,
    /// Why it may not run.
    pub reason: Distrust,
}

impl Trusted {
    fn new(repository: &Repository, settings: &[String]) -> Result<Self, StoreError> {
        Ok(Self {
            root: Identity::of(&repository.root)?,
            git: Identity::of(&repository.common)?,
            origin: repository.origin.clone(),
            settings: settings.to_vec(),
        })
    }
}

/// Returns whether a repository may run. `settings` are the lines of TOML that its trust covers.
///
/// # Errors
/// The list of trusted repositories or the repository cannot be read.
pub fn of(runs: &RunsDir, repository: &Repository, settings: &[String]) -> Result<Trust, StoreError> {
    let own = Trusted::new(repository, settings)?;
    let all = list(runs)?;
    let of_root = all.iter().find(|trusted| trusted.root.path == own.root.path);
    let of_git = || all.iter().find(|trusted| trusted.git.path == own.git.path);
    let Some(known) = of_root.or_else(of_git) else { return Ok(Trust::Missing(Distrust::Unknown)) };
    // A git folder inside its root belongs to it, and a known worktree belongs to the repository that lists it.
    let is_inside = own.git.path == own.root.path.join(".git");
    let shares = repository.is_known_worktree || is_inside || known.root.path == own.root.path;
    let is_earlier = own.git.is_clearer_than(&known.git) || own.root.is_clearer_than(&known.root);
    let reason = if is_earlier {
        Distrust::EarlierVersion
    } else if known.git != own.git || (known.root.path == own.root.path && known.root != own.root) {
        Distrust::OtherRepository
    } else if !shares {
        Distrust::OtherRoot
    } else if known.origin != own.origin {
        Distrust::OtherOrigin
    } else if known.settings != own.settings {
        Distrust::OtherSettings
    } else {
        return Ok(Trust::Given);
    };
    Ok(Trust::Missing(reason))
}

/// Returns whether a repository may run with the settings that it has now.
///
/// # Errors
/// The repository's settings are invalid, or the repository or the list of trusted repositories cannot be read.
pub fn current(runs: &RunsDir, repository: &Repository) -> Result<Trust, LaunchError> {
    let config = Config::load(Some(&repository.root))?;
    Ok(of(runs, repository, config.named_by_repository())?)
}

/// Whether another attempt of a run may start, with the repository and the settings that this depends on.
pub(super) struct AttemptTrust {
    pub(super) repository: Repository,
    pub(super) settings: Vec<String>,
    pub(super) trust: Trust,
}

/// Returns whether another attempt of a run may start. A folder from another machine is not trusted, even if its
/// document names a repository that is trusted here.
///
/// # Errors
/// The repository is gone, its settings are invalid, or the state folder cannot be read.
pub(super) fn of_run(folder: &RunFolder, info: &RunInfo, spec: &WorkflowSpec) -> Result<AttemptTrust, LaunchError> {
    if spec.any_runner {
        let repository = Repository::unversioned(&spec.repository, &info.repository);
        let trust = if seal::is_valid(folder)? { Trust::Given } else { Trust::Missing(Distrust::ForeignRun) };
        return Ok(AttemptTrust { repository, settings: Vec::new(), trust });
    }
    of_folder(folder, &spec.repository)
}

/// Returns whether another attempt of a run that uses the repository at `root` may start.
///
/// # Errors
/// The repository is gone, its settings are invalid, or the state folder cannot be read.
pub(super) fn of_folder(folder: &RunFolder, root: &Path) -> Result<AttemptTrust, LaunchError> {
    let is_own = seal::is_valid(folder)?;
    let repository = Repository::discover(root)?;
    let settings = Config::load(Some(&repository.root))?.named_by_repository().to_vec();
    let trust = if is_own { of(&folder.runs(), &repository, &settings)? } else { Trust::Missing(Distrust::ForeignRun) };
    Ok(AttemptTrust { repository, settings, trust })
}

/// Returns the access that git has to programs and servers named by the repository. A repository whose trust cannot be
/// read is not trusted.
#[must_use]
pub fn access(runs: &RunsDir, repository: &Repository) -> Access {
    if matches!(current(runs, repository), Ok(Trust::Given)) { Access::Trusted } else { Access::Guarded }
}

/// Records that a repository is trusted from now on, with these settings.
///
/// # Errors
/// The state folder cannot be read or written.
pub fn grant(runs: &RunsDir, repository: &Repository, settings: &[String]) -> Result<(), StoreError> {
    let own = Trusted::new(repository, settings)?;
    let mut all = list(runs)?;
    // Entries of an earlier version have no root.
    all.retain(|trusted| !trusted.root.path.as_os_str().is_empty() && trusted.root.path != own.root.path);
    all.push(own);
    write(runs, &all)
}

/// Records that a repository and all its worktrees are no longer trusted.
///
/// # Errors
/// The state folder cannot be read or written.
pub fn revoke(runs: &RunsDir, repository: &Repository) -> Result<(), StoreError> {
    let own = Trusted::new(repository, &[])?;
    let mut all = list(runs)?;
    all.retain(|trusted| trusted.root.path != own.root.path && trusted.git.path != own.git.path);
    write(runs, &all)
}

/// Maximum size of the list in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Returns the trusted repositories.
///
/// # Errors
/// The list cannot be read.
pub fn list(runs: &RunsDir) -> Result<Vec<Trusted>, StoreError> {
    let path = path(runs);
    match files::read(&path, MAX_BYTES) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| StoreError::Damaged { path, reason: format!("{error}; remove it to be asked again") }),
        Err(error) if error.is_missing() => Ok(Vec::new()),
        Err(error) => Err(StoreError::io("read", path)(error.into())),
    }
}

fn path(runs: &RunsDir) -> PathBuf {
    runs.trust()
}

fn write(runs: &RunsDir, all: &[Trusted]) -> Result<(), StoreError> {
    let path = path(runs);
    fs::create_dir_all(runs.state()).map_err(StoreError::io("make the folder", runs.state()))?;
    let text = serde_json::to_vec_pretty(all).expect("paths and numbers serialise");
    atomic::write(&path, &text).map_err(StoreError::io("write", path))
}
