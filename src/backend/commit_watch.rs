//! Follows all runs of a commit on a server, from the first after a push until the last has ended.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::model::{Conclusion, EndReason, Record, Run, RunId};
use crate::store::folder::RunFolder;
use crate::store::runs::RunStore;
use crate::store::{StoreError, history};

use super::github::address::Repository;
use super::github::client::ApiError;
use super::github::poller::{PollError, Poller};
use super::local::follow::Follower;

/// Time between two requests for the first run of a commit.
const FIRST_INTERVAL: Duration = Duration::from_secs(5);

/// Time between two requests for further runs of a commit.
const INTERVAL: Duration = Duration::from_secs(15);

/// Maximum number of reports that wait to be received.
const MAX_REPORTS: usize = 64;

/// A commit of a repository on a server.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The repository.
    pub repository: Repository,
    /// Id of the commit.
    pub sha: String,
}

/// What happened to the runs of a commit. [`CommitWatch::runs`] returns their states.
#[derive(Debug)]
pub enum Change {
    /// A run has new records. They are already applied.
    Records(RunId, Vec<Record>),
    /// The server does not respond. The request is repeated.
    Unanswered(PollError),
}

/// Combined result of the runs of a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// No run failed or was cancelled. A run that was replaced by a newer one of its concurrency group counts as good.
    Good,
    /// A run failed.
    Failed,
    /// No run failed, and at least one was cancelled.
    Cancelled,
}

/// Reports that the tasks of a watch send.
enum Report {
    Listed(Result<Vec<RunFolder>, PollError>),
    /// A run is mirrored, and its folder has the state at the server.
    Opened(RunId),
    /// The server no longer has the run.
    Gone(RunId),
    Records(RunId, Vec<Record>),
    Failed(StoreError),
}

/// Follows all runs of a commit.
pub struct CommitWatch {
    poller: Poller,
    commit: Commit,
    store: RunStore,
    /// The runs in the order in which they were found.
    found: Vec<RunId>,
    opened: HashSet<RunId>,
    tasks: JoinSet<()>,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    /// Time of the next request for the list of runs; `None` while one is in progress.
    list_at: Option<Instant>,
    /// Whether the list showed no further run after all known runs had ended.
    is_settled: bool,
}

impl CommitWatch {
    /// Returns a watch that has not sent a request yet.
    #[must_use]
    pub fn new(poller: Poller, commit: Commit) -> Self {
        Self {
            poller,
            commit,
            store: RunStore::default(),
            found: Vec::new(),
            opened: HashSet::new(),
            tasks: JoinSet::new(),
            reports: mpsc::channel(MAX_REPORTS),
            list_at: Some(Instant::now()),
            is_settled: false,
        }
    }

    /// Returns the runs in the order in which they were found.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.found.iter().filter_map(|run| self.store.run(run))
    }

    /// Returns the combined result of the runs so far.
    #[must_use]
    pub fn ending(&self) -> Ending {
        let bad: Vec<Conclusion> = self
            .runs()
            .filter(|run| !is_superseded(run))
            .filter_map(|run| run.phase.conclusion().filter(|conclusion| conclusion.is_bad()))
            .collect();
        match bad.as_slice() {
            [] => Ending::Good,
            bad if bad.iter().all(|conclusion| *conclusion == Conclusion::Cancelled) => Ending::Cancelled,
            _ => Ending::Failed,
        }
    }

    /// Waits for the next change. Returns `None` once all runs have ended, at least one was found, and a later request
    /// found no further one. The future may be dropped at any time.
    ///
    /// # Errors
    /// The server refuses, or a folder cannot be read or written.
    pub async fn next(&mut self) -> Result<Option<Change>, PollError> {
        loop {
            let has_ended =
                |run: &RunId| self.opened.contains(run) && self.store.run(run).is_none_or(|run| run.phase.is_done());
            let have_all_ended = !self.found.is_empty() && self.found.iter().all(has_ended);
            if have_all_ended && self.is_settled {
                return Ok(None);
            }
            // The end of the last run may have started another one.
            if have_all_ended && let Some(at) = &mut self.list_at {
                *at = (*at).min(Instant::now());
            }
            let list_at = self.list_at.unwrap_or_else(Instant::now);
            tokio::select! {
                Some(report) = self.reports.1.recv() => {
                    if let Some(change) = self.take(report, have_all_ended)? {
                        return Ok(Some(change));
                    }
                }
                () = sleep_until(list_at), if self.list_at.is_some() => self.list(),
            }
        }
    }

    fn list(&mut self) {
        self.list_at = None;
        let (poller, commit, reports) = (self.poller.clone(), self.commit.clone(), self.reports.0.clone());
        self.tasks.spawn(async move {
            let listed = poller.runs_of(&commit.repository, &commit.sha).await;
            // The watch may have been dropped.
            let _ = reports.send(Report::Listed(listed)).await;
        });
    }

    fn take(&mut self, report: Report, have_all_ended: bool) -> Result<Option<Change>, PollError> {
        match report {
            Report::Listed(Ok(folders)) => {
                let new: Vec<RunFolder> =
                    folders.into_iter().rev().filter(|folder| !self.found.contains(folder.id())).collect();
                self.is_settled = new.is_empty() && have_all_ended;
                for folder in new {
                    self.store.open(history::info(&folder)?);
                    self.found.push(folder.id().clone());
                    self.tasks.spawn(follow(self.poller.clone(), folder, self.reports.0.clone()));
                }
                let interval = if self.found.is_empty() { FIRST_INTERVAL } else { INTERVAL };
                self.list_at = Some(Instant::now() + interval);
            }
            Report::Listed(Err(error)) if error.is_transient() => {
                self.list_at = Some(Instant::now() + INTERVAL);
                return Ok(Some(Change::Unanswered(error)));
            }
            Report::Listed(Err(error)) => return Err(error),
            Report::Opened(run) => {
                self.opened.insert(run);
            }
            Report::Gone(run) => self.found.retain(|known| *known != run),
            Report::Records(run, records) => {
                for record in &records {
                    self.store.apply(&run, record);
                }
                return Ok(Some(Change::Records(run, records)));
            }
            Report::Failed(error) => return Err(error.into()),
        }
        Ok(None)
    }
}

/// Whether a run was replaced by a newer run of its concurrency group.
#[must_use]
pub fn is_superseded(run: &Run) -> bool {
    matches!(run.reason, Some(EndReason::GroupYielded { .. }))
}

/// Mirrors a run and reports its records until the run or the watch ends.
async fn follow(poller: Poller, folder: RunFolder, reports: mpsc::Sender<Report>) {
    let run = folder.id().clone();
    // Retries until the server responds.
    while let Err(error) = poller.watch_run(&folder).await {
        if matches!(error, PollError::Api(ApiError::Refused { status: 404 | 410, .. })) {
            let _ = reports.send(Report::Gone(run)).await;
            return;
        }
        tracing::debug!(%error, %run, "a run is not mirrored yet");
        sleep(FIRST_INTERVAL).await;
    }
    poller.focus(&run).await;
    let mut follower = Follower::new(folder);
    // Report the state that the server returned first: a run that was only listed has no jobs yet.
    let known = follower.poll();
    let mut is_watched = reports.send(report(&run, known)).await.is_ok();
    is_watched = is_watched && reports.send(Report::Opened(run.clone())).await.is_ok();
    while is_watched && let Some(records) = follower.next().await.transpose() {
        is_watched = reports.send(report(&run, records)).await.is_ok();
    }
}

fn report(run: &RunId, records: Result<Vec<Record>, StoreError>) -> Report {
    records.map_or_else(Report::Failed, |records| Report::Records(run.clone(), records))
}
