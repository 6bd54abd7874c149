//! Commands for a run, with the same rules for every front end.
//!
//! Commands for a run in progress go through its worker's socket. A run that has ended gets a new worker. In both cases
//! a run whose worker died is closed first.

use std::io;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::{Instant, sleep};

use crate::engine::sandbox::providers::Providers;
use crate::files;
use crate::model::capabilities::{Capabilities, Operation, Unavailable};
use crate::model::{Command, Conclusion, Reply, RerunScope, Run, RunId, is_production};
use crate::rollout::gates::Refused;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::spec::{RunSpec, WorkSpec};
use crate::store::{StoreError, history, lock};
use crate::worker::launch::{SpawnError, respawn};
use crate::worker::rerun::StepRerunError;
use crate::worker::{Mode, control, recovery, rerun as attempts};

use super::LaunchError;
use super::deploy::closed_to_resume;
use super::held;
use super::held::SyncError;
use super::job_review::review_jobs;
use super::secrets;
use super::secrets::{SecretError, SecretSource};
use super::trust;
use super::trust::{Trust, Untrusted};

/// Why a command for a run fails.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The worker refused.
    #[error("{0}")]
    Refused(String),
    /// Rules of the environment hold the deployment back.
    #[error(transparent)]
    Closed(#[from] Refused),
    /// The server did not answer: either the command was not sent, or it is unknown whether it is carried out.
    #[error("{0}")]
    Unanswered(String),
    /// The state of the run does not allow the command.
    #[error("{run}: {reason}")]
    Unavailable {
        /// The run.
        run: RunId,
        /// The reason.
        reason: Unavailable,
    },
    /// The run has ended.
    #[error("{run} has ended: {}", conclusion.word())]
    Ended {
        /// The run.
        run: RunId,
        /// How it ended.
        conclusion: Conclusion,
    },
    /// The worker had died, and the run was closed just now.
    #[error("the worker died; the run has been marked as ended")]
    WorkerLost,
    /// The run is on a server, and no program on this machine watches it. Only such a program can pass the command on.
    #[error("no program watches {run}: open it with `cuelight {run}` first")]
    Unwatched {
        /// The run.
        run: RunId,
    },
    /// The worker does not answer.
    #[error("the worker of {run} does not answer: {source}")]
    NoAnswer {
        /// The run.
        run: RunId,
        /// The error of the socket.
        source: io::Error,
    },
    /// A job cannot run again from the step.
    #[error(transparent)]
    Step(#[from] StepRerunError),
    /// A secret of the run has no value.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The repository of the run is not trusted, or the folder of the run comes from elsewhere.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The repository of the run or its settings cannot be read, or its trust cannot be determined.
    #[error(transparent)]
    Launch(Box<LaunchError>),
    /// The files of the held job are being synced.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The run's folder, or the ledger of its repository, cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The worker cannot be started.
    #[error(transparent)]
    Worker(#[from] SpawnError),
}

/// Who vouches for a run when another attempt of it starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrustedBy {
    /// The recorded answer to the trust question.
    Record,
    /// A person, for this attempt only.
    Person,
}

/// When a new attempt starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewAttempt {
    /// The attempt has started. Holds its number.
    Started(u32),
    /// The attempt starts once the current one has ended.
    Queued,
}

/// Carries out a person's command for a run: starts another attempt, deletes the run, records a review, or sends the
/// command to the worker or, for a run on a server, to the program that watches it. Secrets come from the environment.
///
/// # Errors
/// An error of the function for the command, such as [`rerun`]; the state of the run does not allow the command; or its
/// worker refuses the command or does not answer.
pub async fn submit(folder: &RunFolder, command: &Command) -> Result<(), CommandError> {
    let work = RunSpec::read(folder)?.work;
    if work.remote().is_some() {
        return ask_watcher(folder, command).await;
    }
    let is_deployment = work.deployment().is_some();
    let unavailable = |reason| Err(CommandError::Unavailable { run: folder.id().clone(), reason });
    match command {
        Command::Rerun { debug: true, .. } => unavailable(Unavailable::KeepsDebug),
        Command::Rerun { what, .. } => rerun(folder, what.clone(), &[], TrustedBy::Record).await.map(drop),
        Command::Resume => {
            if let Some(environment) = production_of(folder)? {
                let (run, why) = (folder.id(), "its name must be typed");
                let refusal = format!("{environment} is a production environment, and {why}: `cuelight resume {run}`");
                return Err(CommandError::Refused(refusal));
            }
            resume(folder, &[], TrustedBy::Record).await.map(drop)
        }
        Command::Deployment { .. } if !is_deployment => unavailable(Unavailable::NotDeployment),
        Command::Review { environments, approve, comment } if !is_deployment => match work.workflow() {
            Some(workflow) => review_jobs(folder, workflow, environments, (*approve, comment)),
            None => unavailable(Unavailable::NothingToReview),
        },
        Command::Hold { .. } if is_deployment => unavailable(Unavailable::HoldsJobs),
        Command::Held { job, .. } => {
            let _unsynced = held::without_sync(folder, job).await?;
            ask(folder, command).await
        }
        Command::Deployment { .. } | Command::Review { .. } | Command::Hold { .. } | Command::Synced { .. } => {
            ask(folder, command).await
        }
        Command::Delete => delete(&folder.runs(), folder.id()).await,
        Command::ApproveFork | Command::DeleteLogs | Command::Dispatch { .. } | Command::RerunWithDebugger { .. } => {
            unavailable(Unavailable::Local)
        }
        Command::Cancel | Command::ForceCancel | Command::Yield { .. } | Command::Watch => ask(folder, command).await,
    }
}

/// Cancels a run. With `force` no further step starts, not even with `always()`.
///
/// # Errors
/// The run has ended or is being cancelled already, or its worker does not answer.
pub async fn cancel(folder: &RunFolder, force: bool) -> Result<(), CommandError> {
    submit(folder, if force { &Command::ForceCancel } else { &Command::Cancel }).await
}

/// Starts another attempt of a run, at once or when the current one has ended.
///
/// # Errors
/// The run is not trusted, there is nothing to run again, a job cannot run again from the step, a secret is missing, or
/// the worker refuses or cannot be started.
pub async fn rerun(
    folder: &RunFolder,
    scope: RerunScope,
    secrets: &[SecretSource],
    trusted: TrustedBy,
) -> Result<NewAttempt, CommandError> {
    let spec = RunSpec::read(folder)?;
    if spec.work.deployment().is_some() {
        return Err(CommandError::Unavailable { run: folder.id().clone(), reason: Unavailable::Deployment });
    }
    require_trust(folder, &spec, trusted)?;
    if lock::is_held(&folder.lock()) {
        match ask(folder, &Command::Rerun { what: scope.clone(), debug: false }).await {
            Ok(()) => return Ok(NewAttempt::Queued),
            // The run ended between the two checks.
            Err(CommandError::Ended { .. } | CommandError::WorkerLost) => {}
            Err(error) => return Err(error),
        }
    }
    let run = ended(folder).await?;
    start(folder, &spec, &run, Command::Rerun { what: scope.clone(), debug: false }, Mode::Rerun(scope), secrets)
}

/// Returns the production environment that a run deploys to; `None` if the run is not a deployment to one.
///
/// # Errors
/// The run cannot be read.
pub fn production_of(folder: &RunFolder) -> Result<Option<String>, CommandError> {
    let work = RunSpec::read(folder)?.work;
    let environment = work.deployment().map(|deployment| &deployment.settings.name);
    Ok(environment.filter(|name| is_production(name)).cloned())
}

/// Starts another attempt of a run whose worker was lost, from the first step that had not completed.
///
/// # Errors
/// The run is not trusted, it did not lose its worker, a lock or a freeze holds the deployment back, a secret is
/// missing, or the worker cannot be started.
pub async fn resume(
    folder: &RunFolder,
    secrets: &[SecretSource],
    trusted: TrustedBy,
) -> Result<NewAttempt, CommandError> {
    let spec = RunSpec::read(folder)?;
    require_trust(folder, &spec, trusted)?;
    let run = ended(folder).await?;
    if let Some(deployment) = spec.work.deployment() {
        Refused::check(&closed_to_resume(folder, deployment)?)?;
    }
    start(folder, &spec, &run, Command::Resume, Mode::Resume, secrets)
}

/// Rolls back a deployment that ended midway, because its worker was lost or its own rollback failed.
///
/// # Errors
/// The run is not trusted, it is still in progress, or the worker cannot be started.
pub async fn abort_interrupted(
    folder: &RunFolder,
    reason: String,
    trusted: TrustedBy,
) -> Result<NewAttempt, CommandError> {
    require_trust(folder, &RunSpec::read(folder)?, trusted)?;
    let run = ended(folder).await?;
    if !run.phase.is_done() {
        return Err(CommandError::Unavailable { run: run.info.id, reason: Unavailable::NotEnded });
    }
    respawn(folder, &Mode::Abort { reason }, &IndexMap::new())?;
    Ok(NewAttempt::Started(run.attempt + 1))
}

/// Removes a run, with everything that providers hold for it: containers, networks, volumes and snapshots.
///
/// # Errors
/// The run is in progress, or its folder cannot be removed. A provider that does not answer is not an error:
/// `clean` finds the rest later.
pub async fn delete(runs: &RunsDir, run: &RunId) -> Result<(), CommandError> {
    let folder = runs.folder(run.clone());
    // Held until the folder is gone, so that no worker starts in it meanwhile.
    let Some(_held) = lock::take(&folder.lock())? else {
        return Err(CommandError::Unavailable { run: run.clone(), reason: Unavailable::NotEnded });
    };
    if let Err(error) = Providers::of_this_process().forget(std::slice::from_ref(&folder)).await {
        tracing::warn!(%run, %error, "not everything of a deleted run is removed");
    }
    Ok(history::remove(&folder)?)
}

/// Checks that a run is one of this machine and, unless a person vouches for it, that its repository is trusted and its
/// folder was made here.
fn require_trust(folder: &RunFolder, spec: &RunSpec, trusted: TrustedBy) -> Result<(), CommandError> {
    let found = match &spec.work {
        WorkSpec::Remote(_) => {
            return Err(CommandError::Unavailable { run: folder.id().clone(), reason: Unavailable::Remote });
        }
        _ if trusted == TrustedBy::Person => return Ok(()),
        WorkSpec::WorkflowRun(workflow) => trust::of_run(folder, &spec.info, workflow),
        WorkSpec::Deployment(deployment) => trust::of_folder(folder, &deployment.repository),
    };
    let found = found.map_err(|error| CommandError::Launch(Box::new(error)))?;
    match found.trust {
        Trust::Given => Ok(()),
        Trust::Missing(reason) => Err(Untrusted { root: found.repository.root, reason }.into()),
    }
}

/// Returns the state of a run. A run that lost its worker is closed first.
async fn ended(folder: &RunFolder) -> Result<Run, CommandError> {
    recovery::close(folder).await?;
    Ok(history::read(folder)?)
}

/// Starts a worker for another attempt, if the state of the run allows the command.
fn start(
    folder: &RunFolder,
    spec: &RunSpec,
    run: &Run,
    command: Command,
    mode: Mode,
    sources: &[SecretSource],
) -> Result<NewAttempt, CommandError> {
    if let Some(operation) = Operation::of(&command) {
        let unavailable = |reason| CommandError::Unavailable { run: run.info.id.clone(), reason };
        // The recorded phase decides: the lock may seem to be held for a moment, while a process that was started at
        // the same time still has a copy of it. The worker takes the lock itself.
        Capabilities::of_run(run).check(operation).map_err(unavailable)?;
    }
    let secrets = secrets::of_run(spec, sources)?;
    // The worker checks this too, but no caller sees its answer.
    if spec.work.workflow().is_some() {
        attempts::resumed(&mode, folder, run, &secrets)?;
    }
    respawn(folder, &mode, &secrets)?;
    Ok(NewAttempt::Started(run.attempt + 1))
}

/// Time limit for the answer to a command for a run on a server, which may wait for other changes and for the server.
const SERVER_TIMEOUT: Duration = Duration::from_mins(2);

/// Maximum time until a worker that holds the run's lock listens: it has to start and to read the run.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Time between two attempts to connect to a worker that does not listen yet.
const RETRY: Duration = Duration::from_millis(5);

/// Sends a command to the socket of a run. Waits for a worker that has been started and does not listen yet.
async fn order(folder: &RunFolder, command: &Command, timeout: Duration) -> io::Result<Reply> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        match control::order(&folder.socket(), command, timeout).await {
            Err(error) if is_not_listening(&error) && lock::is_held(&folder.lock()) && Instant::now() < deadline => {
                sleep(RETRY).await;
            }
            answered => return answered,
        }
    }
}

fn is_not_listening(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Sends a command to the program that watches a run on a server, which may be this one.
async fn ask_watcher(folder: &RunFolder, command: &Command) -> Result<(), CommandError> {
    let run = history::read(folder)?;
    if let Some(operation) = Operation::of(command) {
        let unavailable = |reason| CommandError::Unavailable { run: run.info.id.clone(), reason };
        Capabilities::of_run(&run).check(operation).map_err(unavailable)?;
    }
    match order(folder, command, SERVER_TIMEOUT).await {
        Ok(Reply::Accepted) => Ok(()),
        Ok(Reply::Rejected { reason }) => Err(CommandError::Refused(reason)),
        Ok(Reply::Unanswered { reason }) => Err(CommandError::Unanswered(reason)),
        Err(error) if is_not_listening(&error) => Err(CommandError::Unwatched { run: run.info.id }),
        Err(source) => Err(CommandError::NoAnswer { run: run.info.id, source }),
    }
}

/// Sends a command to the worker.
async fn ask(folder: &RunFolder, command: &Command) -> Result<(), CommandError> {
    match order(folder, command, control::ORDER_TIMEOUT).await {
        Ok(Reply::Accepted) => Ok(()),
        Ok(Reply::Rejected { reason }) => Err(CommandError::Refused(reason)),
        Ok(Reply::Unanswered { reason }) => Err(CommandError::Unanswered(reason)),
        Err(source) => {
            if recovery::close(folder).await? {
                return Err(CommandError::WorkerLost);
            }
            let run = history::read(folder)?;
            Err(match run.phase.conclusion() {
                Some(conclusion) => CommandError::Ended { run: run.info.id, conclusion },
                None => CommandError::NoAnswer { run: run.info.id, source },
            })
        }
    }
}

/// Maximum size in bytes of a worker's log from which the last line is read.
const MAX_WORKER_LOG: u64 = 16 * 1024 * 1024;

/// Returns the last line of the worker's log, or `nothing` if the log is empty or cannot be read.
#[must_use]
pub fn last_words(run: &RunFolder) -> String {
    let log = files::read_own_text(&run.worker_log(), MAX_WORKER_LOG).unwrap_or_default();
    log.lines().last().unwrap_or("nothing").to_owned()
}
