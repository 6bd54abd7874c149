//! Hosts an engine run in its own process, so that a run outlives the terminal that started it.
//!
//! [`launch`] starts the process, [`control`] carries orders to it, and [`lost`] closes a run
//! whose process died. [`carry_out`] is what the process does; tests call it inside their own.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use tokio::sync::{mpsc, watch};

use crate::engine::actions::store::Store;
use crate::engine::attempt;
use crate::engine::attempt::{AttemptStart, CarriedJob, Orders, RunEnd};
use crate::engine::cancel::Cancellation;
use crate::engine::cancel::Grace;
use crate::engine::concurrency::{AcquireError, GroupRequest};
use crate::engine::mask::Masker;
use crate::engine::outlet::Outlet;
use crate::engine::sandbox::host::Host;
use crate::engine::sandbox::providers::Providers;
use crate::engine::{Options, Resumed, RunContext};
use crate::model::{Command, Conclusion, EndReason, Event, JobId, Reply, RerunScope, Run};
use crate::store::concurrency::Ticket;
use crate::store::folder::RunFolder;
use crate::store::spec::RunSpec;
use crate::store::{StoreError, history};

pub mod checkpoints;
mod concurrency;
pub mod control;
pub mod launch;
pub mod outlet;
pub mod prepare;
pub mod recovery;
pub mod rerun;

use concurrency::ConcurrencyQueue;
use control::PendingCommand;
use outlet::RunOutlet;
use prepare::{Prepared, prepare};

/// What a worker is started for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The first attempt of a run.
    Start,
    /// Another attempt.
    Rerun(RerunScope),
    /// Another attempt that goes on where a lost worker stopped.
    Resume,
}

/// How many orders may wait for an answer; more than a person gives.
const ORDERS: usize = 16;

/// How long the last answers may take.
const LAST_ANSWERS: std::time::Duration = std::time::Duration::from_millis(200);

/// Carries out a run in this process until nobody asks for more: listens for orders, runs an attempt, and another one
/// if that was asked for meanwhile. The caller holds the run's lock.
///
/// # Errors
/// The run's folder cannot be read or written. What goes wrong inside the run is told by its records.
pub async fn carry_out(
    folder: &RunFolder,
    mode: Mode,
    secrets: IndexMap<String, String>,
    inherited: Vec<(std::ffi::OsString, std::ffi::OsString)>,
) -> Result<Conclusion, StoreError> {
    let spec = RunSpec::read(folder)?;
    let listener = control::bind(&folder.socket()).map_err(StoreError::io("open the socket", folder.socket()))?;
    let (asked, mut orders) = mpsc::channel(ORDERS);
    let (grown, growing) = watch::channel(0);
    let server = tokio::spawn(control::serve(listener, asked, growing));
    let mut mode = Some(mode);
    let mut conclusion = Conclusion::Success;
    while let Some(now) = mode.take() {
        let worker = Worker { folder, spec: &spec, secrets: &secrets, inherited: &inherited, grown: &grown };
        let (end, next) = worker.attempt(now, &mut orders).await?;
        conclusion = end;
        mode = next;
    }
    drop(orders);
    // Who asked last gets the answer; who does not read it is not waited for.
    let _ = tokio::time::timeout(LAST_ANSWERS, server).await;
    let _ = std::fs::remove_file(folder.socket());
    Ok(conclusion)
}

struct Worker<'w> {
    folder: &'w RunFolder,
    spec: &'w RunSpec,
    secrets: &'w IndexMap<String, String>,
    inherited: &'w [(std::ffi::OsString, std::ffi::OsString)],
    grown: &'w watch::Sender<u64>,
}

impl Worker<'_> {
    /// Runs one attempt, and says whether another one was asked for.
    async fn attempt(
        &self,
        mode: Mode,
        orders: &mut mpsc::Receiver<PendingCommand>,
    ) -> Result<(Conclusion, Option<Mode>), StoreError> {
        let header = history::info(self.folder)?;
        let store = history::replay(self.folder, header.clone())?;
        let before = store.run(self.folder.id()).expect("it was replayed").clone();
        let attempt = before.attempt + 1;
        let prepared = prepare(self.spec, self.secrets.clone(), attempt);
        let token = prepared.as_ref().ok().map(|prepared| prepared.facts.token.clone());
        let masker = Masker::new(self.secrets.values().chain(&token).map(String::as_str));
        let (stop, stopped) = watch::channel(Cancellation::None);
        history::begin(self.folder)?;
        let outlet = RunOutlet::open(self.folder, header, attempt, store, masker, self.grown.clone(), stop.clone())?;
        let kept = rerun::kept(&mode, &before);
        let resumed = match rerun::resumed(&mode, self.folder, &before, self.secrets) {
            Ok(resumed) => resumed,
            Err(error) => {
                let reason = error.to_string();
                // Nothing began: the run stays what it was.
                if let Mode::Rerun(what) = mode {
                    let reply = Reply::Rejected { reason };
                    outlet.record(Event::Ordered { command: Command::Rerun { what }, reply });
                }
                outlet.close();
                self.leave(&before);
                return Ok((before.phase.conclusion().unwrap_or(Conclusion::Failure), None));
            }
        };
        // What an earlier attempt wrote down is no part of this one, but for what it goes on from.
        for job in before.jobs.keys().filter(|job| !kept.contains_key(*job)) {
            let path = self.folder.checkpoint(job);
            let done = resumed.get(job).map_or(0, |resumed| resumed.checkpoint.done);
            checkpoints::begin(&path, done).map_err(StoreError::io("write", &path))?;
        }
        let end = match prepared {
            Ok(prepared) => {
                for (job, resumed) in &resumed {
                    outlet.carry_over(&before.jobs[job], &resumed.finished);
                }
                let (displace, displaced) = mpsc::channel(ORDERS);
                let lines = ConcurrencyQueue::new(self.folder, &self.spec.slug, (attempt, &prepared.name), &outlet);
                let running = async {
                    // Held until the attempt has ended.
                    let _turn = match turn(&lines, prepared.turn.as_ref(), stopped.clone()).await {
                        Ok(turn) => turn,
                        Err(end) => return end,
                    };
                    outlet.record(Event::RunStarted { attempt, name: prepared.name.clone() });
                    let outlet = Arc::clone(&outlet);
                    self.run(prepared, (kept, resumed), outlet, Arc::clone(&lines), Orders { stop: stopped, displaced })
                        .await
                };
                listen(running, &outlet, &stop, &displace, orders).await
            }
            Err(refusal) => {
                outlet.record(Event::RunStarted { attempt, name: self.spec.workflow.clone() });
                let reason = Some(refusal.render(false));
                (RunEnd { conclusion: Conclusion::StartupFailure, reason }, None)
            }
        };
        let (RunEnd { conclusion, reason }, next) = end;
        outlet.close();
        outlet.record(Event::RunFinished { conclusion, reason: reason.map(EndReason::from) });
        self.leave(&outlet.run());
        Ok((conclusion, next))
    }

    async fn run(
        &self,
        prepared: Prepared,
        (kept, resumed): (IndexMap<JobId, CarriedJob>, HashMap<JobId, Resumed>),
        outlet: Arc<RunOutlet>,
        concurrency: Arc<ConcurrencyQueue>,
        orders: Orders,
    ) -> RunEnd {
        let spec = self.spec;
        let host = Arc::new(Host::new(self.inherited.iter().cloned()));
        let shared = RunContext {
            run: self.folder.id().to_string(),
            github: prepared.facts.github(),
            facts: prepared.facts,
            outlet,
            concurrency,
            providers: Providers::new(&host),
            host,
            actions: Store::new(
                cache("actions", self.folder),
                spec.actions.clone(),
                spec.repository.clone(),
                spec.offline,
            ),
            state: self.folder.state().to_owned(),
            folder: self.folder.clone(),
            repository: spec.repository.clone(),
            work: self.folder.work(),
            tool_cache: cache("tools", self.folder),
            options: Options {
                in_place: spec.in_place,
                any_runner: spec.any_runner,
                runs_on: spec.runs_on.clone(),
                supervisor: spec.supervisor,
                keep_failed: spec.keep_failed,
                sandbox: spec.sandbox.clone(),
                image: spec.image.clone(),
                debug: spec.debug,
                grace: Grace::default(),
            },
        };
        let start = AttemptStart { plan: prepared.plan, carried: kept, resumed, slots: spec.max_parallel };
        attempt::run(Arc::new(shared), start, orders).await
    }

    /// What is done once an attempt has ended: the history learns of it, and workspaces that nobody needs go.
    fn leave(&self, run: &Run) {
        if let Err(error) = history::finish(self.folder, run) {
            tracing::warn!(%error, "the end of the run cannot be noted in the history");
        }
        if run.phase.conclusion() == Some(Conclusion::Success) {
            let _ = std::fs::remove_dir_all(self.folder.work());
            let _ = std::fs::remove_dir_all(self.folder.checkpoints());
        }
    }
}

/// Waits for the turn of the run as a whole, where it wants one; cancelled meanwhile, or without one, it has ended.
async fn turn(
    lines: &ConcurrencyQueue,
    wanted: Option<&GroupRequest>,
    mut stopped: watch::Receiver<Cancellation>,
) -> Result<Option<Ticket>, RunEnd> {
    let Some(wanted) = wanted else { return Ok(None) };
    let turn = async { lines.wait(lines.enter(None, wanted)?).await };
    tokio::select! {
        turn = turn => match turn {
            Ok(ticket) => Ok(Some(ticket)),
            Err(AcquireError::Deadlock(reason) | AcquireError::Failed(reason)) => {
                Err(RunEnd { conclusion: Conclusion::StartupFailure, reason: Some(reason) })
            }
        },
        _ = stopped.wait_for(|asked| *asked != Cancellation::None) => {
            Err(RunEnd { conclusion: Conclusion::Cancelled, reason: None })
        }
    }
}

/// Answers orders while an attempt runs.
async fn listen(
    running: impl Future<Output = RunEnd>,
    outlet: &RunOutlet,
    stop: &watch::Sender<Cancellation>,
    displace: &mpsc::Sender<(JobId, String)>,
    orders: &mut mpsc::Receiver<PendingCommand>,
) -> (RunEnd, Option<Mode>) {
    tokio::pin!(running);
    let mut next = None;
    let mut gave_way = None;
    loop {
        tokio::select! {
            RunEnd { conclusion, reason } = &mut running => {
                let gave_way = gave_way.filter(|_| conclusion == Conclusion::Cancelled);
                return (RunEnd { conclusion, reason: reason.or(gave_way) }, next);
            }
            Some((command, answer)) = orders.recv() => {
                let reply = match &command {
                    Command::Cancel => raise(stop, Cancellation::Cancel),
                    Command::ForceCancel => raise(stop, Cancellation::Force),
                    Command::Yield { group, job, to } => {
                        let reason = format!("it gave the group {group} up for {to}");
                        match job {
                            None => {
                                let reply = raise(stop, Cancellation::Cancel);
                                if reply == Reply::Accepted {
                                    gave_way = Some(reason);
                                }
                                reply
                            }
                            Some(job) => match displace.try_send((job.clone(), reason)) {
                                Ok(()) => Reply::Accepted,
                                Err(_) => Reply::Rejected { reason: "the run is about to end".to_owned() },
                            },
                        }
                    }
                    Command::Rerun { what: RerunScope::Step { .. } } => Reply::Rejected {
                        reason: "the run is in progress: a job can run again from a step on once it has ended".to_owned(),
                    },
                    Command::Rerun { what } => {
                        next = Some(Mode::Rerun(what.clone()));
                        Reply::Accepted
                    }
                    Command::Resume => Reply::Rejected { reason: "the run is in progress".to_owned() },
                    Command::Watch => Reply::Rejected { reason: "a watch is no order".to_owned() },
                };
                outlet.record(Event::Ordered { command, reply: reply.clone() });
                // Who asked may be gone; the record tells everybody else.
                let _ = answer.send(reply);
            }
        }
    }
}

fn raise(stop: &watch::Sender<Cancellation>, to: Cancellation) -> Reply {
    if to.ask(stop) {
        Reply::Accepted
    } else {
        Reply::Rejected { reason: "the run is being stopped already".to_owned() }
    }
}

/// A folder that all runs share and that may be removed at any time.
fn cache(name: &str, folder: &RunFolder) -> PathBuf {
    let cache = directories::ProjectDirs::from("", "", "cuelight").map(|home| home.cache_dir().join(name));
    cache.unwrap_or_else(|| folder.path().join(name))
}
