//! Starts a worker: a process that outlives the one that starts it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use indexmap::IndexMap;

use crate::model::RerunScope;
use crate::store::folder::RunFolder;
use crate::store::{StoreError, lock};

use super::Mode;

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The run's folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run has a worker already.
    #[error("the run is in progress")]
    Busy,
    /// The process could not be started.
    #[error("cannot start a worker ({}): {source}", program.display())]
    Process {
        /// The program.
        program: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
}

/// Starts a worker on a run's folder.
///
/// The secrets go through a pipe: neither the folder nor the process list ever holds them. The run's lock is taken here
/// and handed over as the worker's standard output, so a run that is being started always has a holder.
///
/// # Errors
/// The run has a worker already, or none can be started.
pub fn spawn(folder: &RunFolder, mode: &Mode, secrets: &IndexMap<String, String>) -> Result<(), SpawnError> {
    let held = lock::take(&folder.lock())?.ok_or(SpawnError::Busy)?;
    let program =
        std::env::current_exe().map_err(|source| SpawnError::Process { program: "cuelight".into(), source })?;
    let failed = |source| SpawnError::Process { program: program.clone(), source };
    let log = worker_log(folder)?;
    let mut worker = Command::new(&program)
        .arg("worker")
        .arg(folder.path())
        .args(mode.arguments())
        .stdin(Stdio::piped())
        .stdout(held)
        .stderr(log)
        .spawn()
        .map_err(failed)?;
    let mut pipe = worker.stdin.take().expect("standard input was asked for");
    let secrets = serde_json::to_vec(secrets).expect("texts always serialise");
    let written = pipe.write_all(&secrets).map_err(failed);
    // Wakes readers that watch the state folder. Nothing depends on it: a list is right whenever it is read.
    let _ = std::fs::write(folder.runs().launched(), folder.id().as_str());
    drop(pipe);
    // A worker may end long before this process, which would keep its entry in the table of processes until then.
    std::thread::spawn(move || worker.wait());
    written
}

fn worker_log(folder: &RunFolder) -> Result<File, StoreError> {
    let path = folder.worker_log();
    OpenOptions::new().create(true).append(true).open(&path).map_err(StoreError::io("open", path))
}

impl Mode {
    /// Returns the arguments of the worker's command line for this mode.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        match self {
            Self::Start => Vec::new(),
            Self::Resume => vec!["--resume".to_owned()],
            Self::Rerun(RerunScope::All) => vec!["--rerun".to_owned()],
            Self::Rerun(RerunScope::Failed) => vec!["--rerun-failed".to_owned()],
            Self::Rerun(RerunScope::Job(job)) => vec!["--rerun-job".to_owned(), job.to_string()],
            Self::Rerun(RerunScope::Step { job, step }) => {
                vec!["--rerun-job".to_owned(), job.to_string(), "--from-step".to_owned(), step.to_string()]
            }
        }
    }
}
