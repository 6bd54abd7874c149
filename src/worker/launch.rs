//! Starts a worker: a process that outlives its parent.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use rustix::process::{Pid, test_kill_process_group};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::model::RerunScope;
use crate::store::folder::RunFolder;
use crate::store::{StoreError, lock};

use super::Mode;

/// Maximum time to wait for a worker to leave the session of its parent.
const SESSION_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The run folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run already has a worker.
    #[error("the run is in progress")]
    Busy,
    /// The process could not be started.
    #[error("cannot start a worker ({}): {source}", program.display())]
    Process {
        /// Program of the worker.
        program: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
}

/// What a worker reads from its standard input: the texts that must not be in the process list.
#[derive(Serialize, Deserialize)]
pub struct WorkerInput {
    /// Values of the secrets, by name.
    pub secrets: IndexMap<String, String>,
    /// Reason for an abort; empty in other modes.
    pub reason: String,
}

/// Starts a worker for another attempt of a run, as [`spawn`] does.
///
/// # Errors
/// The run already has a worker, or the worker cannot be started.
pub fn respawn(folder: &RunFolder, mode: &Mode, secrets: &IndexMap<String, String>) -> Result<(), SpawnError> {
    spawn(folder, lock::take(&folder.lock())?.ok_or(SpawnError::Busy)?, mode, secrets)
}

/// Starts a worker for a run folder whose lock is `held`.
///
/// Secrets and the reason for an abort are passed through a pipe: they are neither in the folder nor in the process
/// list. The run's lock is handed over as the worker's standard output, so that a starting run is always locked.
///
/// # Errors
/// The worker cannot be started.
pub fn spawn(
    folder: &RunFolder,
    held: File,
    mode: &Mode,
    secrets: &IndexMap<String, String>,
) -> Result<(), SpawnError> {
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
    let reason = if let Mode::Abort { reason } = mode { reason.clone() } else { String::new() };
    let input = WorkerInput { secrets: secrets.clone(), reason };
    let input = serde_json::to_vec(&input).expect("texts always serialise");
    let written = pipe.write_all(&input).map_err(failed);
    // Wakes readers that watch the state folder. A failure does no harm: a list of runs is correct whenever it is read.
    let launched = files::create_own(&folder.runs().launched());
    let _ = launched.and_then(|mut file| file.write_all(folder.id().as_str().as_bytes()));
    drop(pipe);
    wait_for_session(&mut worker);
    // Reaps the worker, which would otherwise stay a zombie until this process ends.
    thread::spawn(move || worker.wait());
    written
}

/// Waits until a worker leads a session, or has ended. Before that, closing the terminal of this process would end the
/// worker.
///
/// The leader of a session also leads a process group with the same number, and a worker creates no other group. This
/// function checks the group, because `getsid` does not work everywhere: in a container whose first process belongs to
/// a session outside of it, `getsid` returns 0.
fn wait_for_session(worker: &mut Child) {
    let Some(pid) = i32::try_from(worker.id()).ok().and_then(Pid::from_raw) else { return };
    let until = Instant::now() + SESSION_TIMEOUT;
    while Instant::now() < until && test_kill_process_group(pid).is_err() {
        if !matches!(worker.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn worker_log(folder: &RunFolder) -> Result<File, StoreError> {
    let path = folder.worker_log();
    files::append_own(&path).map_err(StoreError::io("open", path))
}

impl Mode {
    /// Returns the arguments of the worker's command line for this mode. They contain no text that a person wrote,
    /// which is in [`WorkerInput`].
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        match self {
            Self::Start => Vec::new(),
            Self::Resume => vec!["--resume".to_owned()],
            Self::Abort { .. } => vec!["--abort".to_owned()],
            Self::Rerun(RerunScope::All) => vec!["--rerun".to_owned()],
            Self::Rerun(RerunScope::Failed) => vec!["--rerun-failed".to_owned()],
            Self::Rerun(RerunScope::Job(job)) => vec!["--rerun-job".to_owned(), job.to_string()],
            Self::Rerun(RerunScope::Step { job, step }) => {
                vec!["--rerun-job".to_owned(), job.to_string(), "--from-step".to_owned(), step.to_string()]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobId, StepNumber};

    #[test]
    fn arguments_hold_no_text_that_a_person_wrote() {
        let abort = Mode::Abort { reason: "the password hunter2 leaked".to_owned() };
        assert_eq!(abort.arguments(), ["--abort"]);
        let step = RerunScope::Step { job: JobId::new("a"), step: StepNumber(2) };
        assert_eq!(Mode::Rerun(step).arguments(), ["--rerun-job", "a", "--from-step", "2"]);
    }
}
