//! Hosts the work of a run in a separate process, so that the run outlives the terminal that started it.
//!
//! [`launch`] starts the process, [`control`] receives commands, and [`recovery`] closes a run whose process died.
//! [`carry_out`] is the main function of the process: it holds the socket, records commands and results, and closes
//! attempts, for any kind of [`work`]. The run of a workflow is one implementation of [`work::Work`].

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use indexmap::IndexMap;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::engine::cancel::Cancellation;
use crate::engine::mask::Masker;
use crate::engine::outlet::Outlet;
use crate::engine::panics::{Panic, caught};
use crate::model::capabilities::Unavailable;
use crate::model::{Command, Conclusion, EndReason, Event, JobId, Reply, RerunScope, Run};
use crate::rollout::recording::Connect;
use crate::store::folder::RunFolder;
use crate::store::spec::{RunSpec, WorkSpec};
use crate::store::{StoreError, history};

pub mod caches;
pub mod checkpoints;
mod concurrency;
pub mod control;
mod deployment_run;
mod file_records;
mod held_commands;
mod job_environments;
mod job_notices;
pub mod launch;
pub mod outlet;
pub mod prepare;
pub mod recovery;
pub mod rerun;
pub mod work;
mod workflow_run;
mod working_tree;

use control::PendingCommand;
use deployment_run::DeploymentRun;
use outlet::RunOutlet;
use work::{AttemptHost, Ended, Rejected, Work};
use workflow_run::WorkflowRun;

/// Reason for starting a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The first attempt of a run.
    Start,
    /// Another attempt.
    Rerun(RerunScope),
    /// Another attempt that continues where a lost worker stopped.
    Resume,
    /// Another attempt of a deployment, which restores the release that was live before it.
    Abort {
        /// Reason that the person gave; may be empty.
        reason: String,
    },
}

/// Maximum number of commands that wait for a reply.
const MAX_PENDING_COMMANDS: usize = 16;

/// Interval for checking whether the folder of the run still exists. A run that only waits, such as one whose failed
/// step is held, writes nothing and would not notice.
const FOLDER_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// How long the worker waits until the last replies are written. On a busy machine that takes a moment, and a client
/// without its reply takes an accepted command for a lost one. A follower that is stopped and reads nothing delays the
/// end by this long.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(2);

/// Carries out a run in this process: one attempt, and further ones as long as they are requested. The caller holds the
/// run's lock. `environment` is inherited by steps on this machine. `connect` reaches the server that records
/// deployments, too.
///
/// # Errors
/// The run folder cannot be read or written, has a newer version, or is the mirror of a run on a server. Errors of the
/// run itself are in its records.
pub async fn carry_out(
    folder: &RunFolder,
    mode: Mode,
    secrets: IndexMap<String, String>,
    environment: Vec<(OsString, OsString)>,
    connect: Connect,
) -> Result<Conclusion, StoreError> {
    let RunSpec { info, work, .. } = RunSpec::read(folder)?;
    let work: Box<dyn Work> = match work {
        WorkSpec::WorkflowRun(spec) => {
            Box::new(WorkflowRun::new(folder.clone(), info, *spec, (secrets, environment), connect))
        }
        WorkSpec::Deployment(spec) => Box::new(DeploymentRun::new(folder.clone(), *spec, environment, connect)),
        WorkSpec::Remote(_) => return Err(StoreError::NotLocal { path: folder.spec_path() }),
    };
    host(folder, mode, &*work).await
}

/// Hosts work until no further attempt is requested.
async fn host(folder: &RunFolder, mode: Mode, work: &dyn Work) -> Result<Conclusion, StoreError> {
    let listener = control::bind(&folder.socket()).map_err(StoreError::io("open the socket", folder.socket()))?;
    let (asked, mut commands) = mpsc::channel(MAX_PENDING_COMMANDS);
    let (grown, growing) = watch::channel(0);
    let mut server = tokio::spawn(control::serve(listener, asked, growing, work.environments()));
    let mut mode = Some(mode);
    let mut conclusion = Conclusion::Success;
    // Text that became secret in one attempt stays secret in the next.
    let mut masker = Masker::default();
    while let Some(now) = mode.take() {
        let attempt = HostedRun { folder, work, grown: &grown };
        (conclusion, mode) = attempt.attempt(now, &mut masker, &mut commands, &mut server).await?;
    }
    drop(commands);
    if !server.is_finished() {
        let _ = tokio::time::timeout(LAST_ANSWERS_TIMEOUT, server).await;
    }
    let _ = std::fs::remove_file(folder.socket());
    Ok(conclusion)
}

/// A run and its work.
struct HostedRun<'w> {
    folder: &'w RunFolder,
    work: &'w dyn Work,
    grown: &'w watch::Sender<u64>,
}

impl HostedRun<'_> {
    /// Carries out one attempt. Returns its conclusion, and the next attempt if one was requested.
    async fn attempt(
        &self,
        mode: Mode,
        masker: &mut Masker,
        commands: &mut mpsc::Receiver<PendingCommand>,
        server: &mut JoinHandle<()>,
    ) -> Result<(Conclusion, Option<Mode>), StoreError> {
        let info = history::info(self.folder)?;
        let store = history::replay(self.folder, info.clone())?;
        let before = store.run(self.folder.id()).expect("it was replayed").clone();
        let number = before.attempt + 1;
        let attempt = self.work.attempt(&mode, &before).await;
        let own = attempt.iter().flat_map(|attempt| attempt.secrets());
        let secrets: Vec<String> = self.work.secrets().into_iter().chain(own).collect();
        masker.add_all(secrets.iter().map(String::as_str));
        let (cancel, cancelled) = watch::channel(Cancellation::None);
        history::begin(self.folder)?;
        let outlet =
            RunOutlet::open(self.folder, info, number, store, masker.clone(), self.grown.clone(), cancel.clone())?;
        let attempt = match attempt {
            Ok(attempt) => attempt,
            Err(Rejected(reason)) => {
                if let Mode::Rerun(what) = mode {
                    let reply = Reply::Rejected { reason };
                    outlet.record(Event::Ordered { command: Command::Rerun { what, debug: false }, reply, by: None });
                }
                outlet.close();
                self.finish(&before);
                return Ok((before.phase.conclusion().unwrap_or(Conclusion::Failure), None));
            }
        };
        let (displace, displaced) = mpsc::channel(MAX_PENDING_COMMANDS);
        let (order, orders) = mpsc::channel(MAX_PENDING_COMMANDS);
        let host = AttemptHost {
            folder: self.folder.clone(),
            attempt: number,
            outlet: Arc::clone(&outlet),
            cancelled,
            displaced,
            orders,
        };
        let takes = attempt.takes();
        let running = caught(attempt.run(host));
        let (Ended { conclusion, reason }, next) =
            Desk { outlet: &outlet, cancel: &cancel, displace: &displace, order: &order, takes }
                .answer(running, commands, server)
                .await;
        outlet.close();
        *masker = outlet.masker();
        outlet.record(Event::RunFinished { conclusion, reason });
        self.finish(&outlet.run());
        Ok((conclusion, next))
    }

    /// Records the end of an attempt in the history, and removes files that are no longer needed.
    fn finish(&self, run: &Run) {
        if !run.phase.is_done() || !self.folder.journal().exists() {
            // The end of the run could not be written, so the next command finds the run without a worker and closes
            // it; or the folder was removed, and must not come back in the history.
            return;
        }
        if let Err(error) = history::finish(self.folder, run) {
            tracing::warn!(%error, "cannot record the end of the run in the history");
        }
        self.work.clean_up(run);
    }
}

/// Answers commands during an attempt.
struct Desk<'w> {
    outlet: &'w RunOutlet,
    cancel: &'w watch::Sender<Cancellation>,
    displace: &'w mpsc::Sender<(JobId, String)>,
    order: &'w mpsc::Sender<PendingCommand>,
    /// Whether the work takes a command itself.
    takes: fn(&Command) -> bool,
}

impl Desk<'_> {
    /// Answers commands until the attempt has ended. Returns how it ended, and the next attempt if one was requested.
    ///
    /// A panic of the attempt, or of the server that takes commands, ends the attempt as a failure that names the
    /// panic.
    async fn answer(
        &self,
        running: impl Future<Output = Result<Ended, Panic>>,
        commands: &mut mpsc::Receiver<PendingCommand>,
        server: &mut JoinHandle<()>,
    ) -> (Ended, Option<Mode>) {
        tokio::pin!(running);
        let (mut next, mut yielded, mut panicked) = (None, None, None);
        let mut asked = FuturesUnordered::new();
        let mut checks = tokio::time::interval(FOLDER_CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = &mut running => {
                    // Commands that were passed to the work get its replies, even if one of them ended the attempt.
                    while let Some((command, answer, reply)) = asked.next().await {
                        self.replied(command, answer, reply);
                    }
                    let ended = match (ended, panicked) {
                        (Err(panic), _) => failed(format!("the task of the run {panic}")),
                        (Ok(_), Some(reason)) => Ended { conclusion: Conclusion::Failure, reason: Some(reason) },
                        (Ok(Ended { conclusion, reason }), None) => {
                            let yielded = yielded.filter(|_| conclusion == Conclusion::Cancelled);
                            Ended { conclusion, reason: reason.or(yielded) }
                        }
                    };
                    return (ended, next);
                }
                Some((command, answer)) = commands.recv() => {
                    if let Some(replied) = self.pass_on(&command) {
                        asked.push(async move { (command, answer, replied.await) });
                        continue;
                    }
                    let reply = self.reply(&command, &mut next, &mut yielded);
                    self.outlet.record(Event::Ordered { command, reply: reply.clone(), by: None });
                    // The client may be gone; all other readers get the record.
                    let _ = answer.send(reply);
                }
                Some((command, answer, reply)) = asked.next() => {
                    self.replied(command, answer, reply);
                }
                _ = checks.tick() => self.outlet.check_folder(),
                served = &mut *server, if panicked.is_none() => {
                    // Without the server, the run could no longer be cancelled.
                    let panic = served.map_or_else(|error| Panic::of(error).to_string(), |()| "ended".to_owned());
                    panicked = failed(format!("the task of the control socket {panic}")).reason;
                    Cancellation::Force.ask(self.cancel);
                }
            }
        }
    }

    /// Records and sends the reply of the work to a command.
    fn replied(
        &self,
        command: Command,
        answer: oneshot::Sender<Reply>,
        reply: Result<Reply, oneshot::error::RecvError>,
    ) {
        let ending = || Reply::Rejected { reason: "the run is about to end".to_owned() };
        let reply = reply.unwrap_or_else(|_| ending());
        self.outlet.record(Event::Ordered { command, reply: reply.clone(), by: None });
        // The client may be gone; all other readers get the record.
        let _ = answer.send(reply);
    }

    /// Passes a command to the work, if the work takes it. Returns the receiver of the reply. `None` if the work does
    /// not take the command, or already has too many.
    fn pass_on(&self, command: &Command) -> Option<oneshot::Receiver<Reply>> {
        if !(self.takes)(command) {
            return None;
        }
        let (reply, replied) = oneshot::channel();
        self.order.try_send((command.clone(), reply)).ok().map(|()| replied)
    }

    fn reply(&self, command: &Command, next: &mut Option<Mode>, yielded: &mut Option<EndReason>) -> Reply {
        let rejected = |reason: &str| Reply::Rejected { reason: reason.to_owned() };
        match command {
            Command::Cancel => self.raise(Cancellation::Cancel),
            Command::ForceCancel => self.raise(Cancellation::Force),
            Command::Yield { group, job, to } => {
                let reason = EndReason::GroupYielded { group: group.clone(), to: to.clone() };
                match job {
                    None => {
                        let reply = self.raise(Cancellation::Cancel);
                        if reply == Reply::Accepted {
                            *yielded = Some(reason);
                        }
                        reply
                    }
                    Some(job) => match self.displace.try_send((job.clone(), reason.text().into_owned())) {
                        Ok(()) => Reply::Accepted,
                        Err(_) => rejected("the run is about to end"),
                    },
                }
            }
            Command::Rerun { debug: true, .. } => rejected(&Unavailable::KeepsDebug.to_string()),
            Command::Rerun { what: RerunScope::Step { .. }, .. } => {
                rejected("the run is in progress: jobs can be re-run from a step once it has ended")
            }
            Command::Rerun { what, .. } => {
                *next = Some(Mode::Rerun(what.clone()));
                Reply::Accepted
            }
            Command::Resume => rejected("the run is in progress"),
            Command::Deployment { .. } => rejected(&Unavailable::NotDeployment.to_string()),
            Command::Review { .. } => rejected(&Unavailable::NothingToReview.to_string()),
            Command::Held { .. } | Command::Synced { .. } => rejected(&Unavailable::NotHeld.to_string()),
            Command::Hold { .. } => rejected(&Unavailable::HoldsJobs.to_string()),
            Command::Delete => rejected(&Unavailable::NotEnded.to_string()),
            Command::ApproveFork
            | Command::DeleteLogs
            | Command::Dispatch { .. }
            | Command::RerunWithDebugger { .. } => rejected(&Unavailable::Local.to_string()),
            Command::Watch => rejected("`watch` is answered by the socket"),
        }
    }

    fn raise(&self, to: Cancellation) -> Reply {
        if to.ask(self.cancel) {
            Reply::Accepted
        } else {
            Reply::Rejected { reason: "the run is already being cancelled".to_owned() }
        }
    }
}

/// Returns the end of an attempt that failed because of a bug in cuelight.
fn failed(message: String) -> Ended {
    tracing::error!(%message, "the attempt is ended");
    Ended { conclusion: Conclusion::Failure, reason: Some(EndReason::Panicked(message)) }
}

#[cfg(test)]
mod tests;
