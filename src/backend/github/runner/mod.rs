//! Self-hosted runners on this machine, and the logs of the jobs that they carry out.
//!
//! GitHub's API has no log of a running job. The runner itself writes one below its folder, in `_diag/pages`, and
//! uploads it when the job ends. File names, formats and times here are those of GitHub's runner, `actions/runner`
//! version 2.
//!
//! - [`job_message`]: which job a runner carries out
//! - [`pages`]: the log that it writes
//!
//! The files are those of another user, usually, and nothing in them is trusted: a log is only shown for the job that
//! the runner names, and the log that GitHub serves after the end of the job replaces it.

mod job_message;
mod pages;

pub use pages::{JobLog, Line};

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::files::{self, FileError, Folder};

use job_message::JobMessage;

/// File in the folder of a runner with its name.
const SETTINGS: &str = ".runner";

/// Folder of a runner with its own logs and the logs of its jobs.
const DIAGNOSTICS: &str = "_diag";

/// Name of the program that waits for jobs, in the folder `bin` of a runner.
const LISTENER: &str = "Runner.Listener";

/// Maximum size of the settings of a runner, in bytes.
const MAX_SETTINGS: u64 = 1 << 20;

/// Maximum age of the list of runners. Listing them reads an entry of `/proc` per process.
const MAX_AGE: Duration = Duration::from_secs(30);

/// Byte order mark in UTF-8, with which .NET starts its text files.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A job in progress, as its server describes it.
#[derive(Clone, Debug)]
pub struct RemoteJob {
    /// Host name of the server.
    pub host: String,
    /// Repository as `owner/name`.
    pub repository: String,
    /// Id of the run.
    pub run: u64,
    /// Number of the run's attempt.
    pub attempt: u32,
    /// Id of the job.
    pub id: u64,
    /// Name of the job.
    pub name: String,
    /// Whether no other job in progress of the run has the same name and runner.
    pub is_unique: bool,
    /// Name of the runner.
    pub runner: String,
}

/// Why the log that a runner on this machine writes cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// A file or folder of the runner cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Path of the file or folder.
        path: PathBuf,
        /// Why not.
        source: FileError,
    },
    /// The runner does not name a job.
    #[error("the newest Worker log in {} does not name a job", .0.display())]
    NoJob(PathBuf),
    /// The runner names another job.
    #[error("the newest Worker log in {} is about another job", .0.display())]
    OtherJob(PathBuf),
    /// Several jobs could be the one that the runner names.
    #[error("the Worker log in {} does not tell apart two jobs of the same name", .0.display())]
    Ambiguous(PathBuf),
    /// A configured folder cannot be read, so it is unknown whether it is the folder of the job's runner.
    #[error("whether it is the one in {} is unknown: cannot read its {SETTINGS}: {source}", folder.display())]
    Unknown {
        /// Folder of the runner.
        folder: PathBuf,
        /// Why its settings cannot be read.
        source: FileError,
    },
}

impl RunnerError {
    /// Returns a function that wraps an error of a file or folder of the runner.
    fn unreadable<E: Into<FileError>>(path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |error| Self::Unreadable { path, source: error.into() }
    }
}

/// The runners on this machine: those in configured folders, and those that this user runs. The folders of other users
/// are not searched for, because any of them could offer a log.
#[derive(Debug, Default)]
pub struct Runners {
    folders: Vec<PathBuf>,
    known: Mutex<Option<(Instant, Vec<Known>)>>,
}

/// A runner.
#[derive(Clone, Debug)]
struct Known {
    /// Name of the runner; `None` if its settings cannot be read.
    name: Option<String>,
    folder: PathBuf,
}

/// The settings of a runner, as far as they matter.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    agent_name: String,
}

impl Runners {
    /// Returns the runners in these folders, and those that this user runs.
    #[must_use]
    pub fn new(folders: &[PathBuf]) -> Self {
        Self { folders: folders.to_vec(), known: Mutex::default() }
    }

    /// Opens the log that a runner on this machine writes for a job. `None` if the job's runner is not on this machine.
    /// Reads files: not for an async task.
    ///
    /// # Errors
    /// The runner is on this machine, or may be, but its log cannot be read or attributed to the job.
    pub fn open(&self, job: &RemoteJob) -> Result<Option<JobLog>, RunnerError> {
        let known = self.known();
        let mut refused = None;
        for runner in known.iter().filter(|runner| runner.name.as_ref() == Some(&job.runner)) {
            // Runners of several servers may have the same name.
            match open(&runner.folder, job) {
                Ok(log) => return Ok(Some(log)),
                Err(error) => refused = Some(error),
            }
        }
        if let Some(error) = refused {
            return Err(error);
        }
        // GitHub's own runners have names of this form.
        let is_hosted = job.runner.starts_with("GitHub Actions ");
        let unknown = known.iter().find(|runner| runner.name.is_none()).filter(|_| !is_hosted);
        let Some(unknown) = unknown else { return Ok(None) };
        match name(&unknown.folder) {
            // It can be read meanwhile.
            Ok(_) => Ok(None),
            Err(source) => Err(RunnerError::Unknown { folder: unknown.folder.clone(), source }),
        }
    }

    /// Returns the runners, from the last list if it is not too old.
    fn known(&self) -> Vec<Known> {
        // A poisoned lock only means that a list was not finished.
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*known {
            Some((at, list)) if at.elapsed() < MAX_AGE => list.clone(),
            _ => {
                let running = running().into_iter().filter(|folder| !self.folders.contains(folder));
                let folders = self.folders.iter().cloned().chain(running);
                let list: Vec<Known> = folders.map(|folder| Known { name: name(&folder).ok(), folder }).collect();
                *known = Some((Instant::now(), list.clone()));
                list
            }
        }
    }
}

/// Returns the name of the runner in a folder.
fn name(folder: &Path) -> Result<String, FileError> {
    let text = files::read(&folder.join(SETTINGS), MAX_SETTINGS)?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let settings: Settings = serde_json::from_slice(text).map_err(std::io::Error::from)?;
    Ok(settings.agent_name)
}

/// Opens the log of a job in the folder of its runner.
fn open(folder: &Path, job: &RemoteJob) -> Result<JobLog, RunnerError> {
    let diagnostics = folder.join(DIAGNOSTICS);
    let opened = Folder::open(&diagnostics).map_err(RunnerError::unreadable(&diagnostics))?;
    let message = JobMessage::newest(&opened, &diagnostics)?;
    if !message.is_of_run(job) {
        return Err(RunnerError::OtherJob(diagnostics));
    }
    match message.check_run {
        Some(id) if id == job.id => {}
        Some(_) => return Err(RunnerError::OtherJob(diagnostics)),
        None if message.name != job.name => return Err(RunnerError::OtherJob(diagnostics)),
        None if !job.is_unique => return Err(RunnerError::Ambiguous(diagnostics)),
        None => {}
    }
    JobLog::open(&diagnostics, &message.timeline, &message.job)
}

/// Returns the folders of the runners that this user runs. `/proc` shows the program of a process only to its user, and
/// is missing outside of Linux.
fn running() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let is_process = process.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok());
        let Some(program) = is_process.then(|| std::fs::read_link(process.path().join("exe")).ok()).flatten() else {
            continue;
        };
        // A runner replaces its programs when it updates itself.
        let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.trim_end_matches(" (deleted)") == LISTENER
            && let Some(folder) = program.parent().and_then(Path::parent)
            && !folders.iter().any(|known| known == folder)
        {
            folders.push(folder.to_owned());
        }
    }
    folders
}

#[cfg(test)]
mod tests;
