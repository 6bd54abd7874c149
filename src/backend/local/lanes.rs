//! Reports the environments of this machine when they change.
//!
//! The folder of the ledgers and the settings of the repository are watched. While the worker of a deployment runs, the
//! environments are also read at intervals, because the position of a deployment changes without an entry in the ledger.
//!
//! While the state of the targets is on the screen, targets that report changes by themselves, as a Docker engine does, are
//! asked again after each change: a release that ends again and again must not look healthy until the next look.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};

use crate::launch::deploy::{DeployError, Deployments, LaneMemory, TargetReport};
use crate::model::RunId;
use crate::model::feed::Feed;
use crate::model::lane::Lane;
use crate::store::clock::now;
use crate::store::folder::RunsDir;

use super::fs_watch::FolderWatch;
use super::{LIST_DELAY, Serving, changed};

/// Interval at which the environments are read while a release is on its way.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Interval at which the environments are read while a deployment has succeeded and only keeps the former release
/// running.
const KEPT_EVERY: Duration = Duration::from_secs(2);

/// Time after a requested look at which targets that count requests are asked again: the requests that fail now are the
/// difference of two counts.
const COUNT_AGAIN: Duration = Duration::from_secs(10);

/// How long changes of the targets are awaited after a requested look. The screen requests looks at most every five minutes
/// while it shows the environments.
const AWAITED: Duration = Duration::from_mins(6);

/// Time from a change of a target until it is asked, in which further changes follow: a container that ends is started again.
const SETTLES: Duration = Duration::from_secs(1);

/// Minimum time between two looks because of changes.
const CHANGED_AGAIN: Duration = Duration::from_secs(10);

/// Maximum number of requests that wait to be read.
const MAX_REQUESTS: usize = 4;

/// Starts to report the environments of the repository around a folder. Each message to the returned sender asks for
/// another look at their targets. The task ends once the screen is closed.
pub(super) fn report(runs: RunsDir, folder: PathBuf, feed: mpsc::Sender<Feed>) -> mpsc::Sender<()> {
    let (ask, asked) = mpsc::channel(MAX_REQUESTS);
    tokio::spawn(serve(runs, folder, feed, asked));
    ask
}

impl Serving {
    /// Asks for another look at the environments and their targets.
    pub(super) fn look_at_lanes(&self) {
        // If the queue is full, a look is about to begin anyway.
        let _ = self.lanes.as_ref().map(|lanes| lanes.try_send(()));
    }

    /// Reads the details of an environment in a separate task, because git may be slow, and reports them.
    pub(super) fn describe_lane(&mut self, environment: String) {
        let asks = self.described.entry(environment).or_insert_with_key(|environment| {
            describe(environment.clone(), self.runs.clone(), self.folder.clone(), self.feed.clone())
        });
        // If the queue is full, a read is about to begin anyway.
        let _ = asks.try_send(());
    }
}

/// Starts to report the details of an environment, once for each message to the returned sender. Messages while the
/// details are read are answered by one further read, so the last report is always the newest one. The task ends once
/// the sender is dropped or the screen is closed.
fn describe(environment: String, runs: RunsDir, folder: PathBuf, feed: mpsc::Sender<Feed>) -> mpsc::Sender<()> {
    let (ask, mut asked) = mpsc::channel(1);
    tokio::spawn(async move {
        while asked.recv().await.is_some() {
            let (name, runs, folder) = (environment.clone(), runs.clone(), folder.clone());
            let unreadable = |reason: String| Feed::LaneDetailsUnreadable { environment: environment.clone(), reason };
            let report = match spawn_blocking(move || Deployments::of(&runs, &folder)?.details(&name)).await {
                Ok(Ok(details)) => Feed::LaneDetails(Box::new(details)),
                Ok(Err(error)) => unreadable(error.to_string()),
                Err(error) => unreadable(error.to_string()),
            };
            if feed.send(report).await.is_err() {
                return;
            }
        }
    });
    ask
}

async fn serve(runs: RunsDir, folder: PathBuf, feed: mpsc::Sender<Feed>, mut asked: mpsc::Receiver<()>) {
    let (mut memory, mut known, mut shown) = (LaneMemory::default(), None, Vec::new());
    // Whether the environments were reported, even if there are none.
    let mut has_reported = false;
    // Why the last read failed.
    let mut fault = None;
    // The watch of the ledgers, once there are environments. It is tried once.
    let mut watch: Option<Option<FolderWatch>> = None;
    // The watch of the settings, once the repository is known. It is tried once.
    let mut settings: Option<Option<FolderWatch>> = None;
    // Whether targets are to be asked, and whether they were ever asked.
    let (mut looks, mut has_looked) = (false, false);
    // When requests are counted again.
    let mut counts_again = None;
    // Targets that were asked and have not answered yet.
    let mut asked_targets = JoinSet::new();
    // Changes of the targets that are awaited, until when, and when the targets are asked because of one.
    let (mut changes, mut awaited_until, mut change_due) = (JoinSet::new(), Instant::now(), None);
    // When the targets were asked last.
    let mut looked_at = Instant::now();
    loop {
        let asks = looks && asked_targets.is_empty();
        looks &= !asks;
        let read = read(known.take(), memory, asks.then_some(&mut asked_targets), (runs.clone(), folder.clone()));
        let Ok((deployments, kept, lanes)) = read.await else { return };
        (known, memory) = (deployments, kept);
        if asks {
            // The answers to this look show what has changed until now.
            (changes, looked_at) = (JoinSet::new(), Instant::now());
            let awaited = if looked_at < awaited_until { memory.changes() } else { Vec::new() };
            for change in awaited {
                changes.spawn(change);
            }
        }
        let before = open_runs(&shown);
        match lanes {
            Ok(lanes) if has_reported && lanes == shown && fault.is_none() => {}
            Ok(lanes) => {
                (shown, fault, has_reported) = (lanes.clone(), None, true);
                if feed.send(Feed::Lanes(lanes)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                let reason = error.to_string();
                if fault.as_ref() != Some(&reason) {
                    fault = Some(reason.clone());
                    if feed.send(Feed::LanesUnreadable(reason)).await.is_err() {
                        return;
                    }
                }
            }
        }
        let mut begins_watch = false;
        if let (None, Some(deployments)) = (&settings, &known) {
            let made = FolderWatch::of_settings(&deployments.repository().root);
            let made =
                made.inspect_err(|error| tracing::warn!(%error, "the settings of the repository are not watched"));
            (settings, known, begins_watch) = (Some(made.ok()), None, true);
        }
        if watch.is_none() && !shown.is_empty() {
            let made = FolderWatch::of_ledgers(&runs.environments());
            let made = made.inspect_err(|error| tracing::warn!(%error, "the ledgers of environments are not watched"));
            (watch, begins_watch) = (Some(made.ok()), true);
        }
        if begins_watch {
            // What was written before a watch began is read now.
            continue;
        }
        // What a target runs changes when a deployment ends, and when it stops the release that it replaced.
        if has_looked && !looks && before != open_runs(&shown) && !is_on_its_way(&shown) {
            looks = true;
            continue;
        }
        let goes_on = !open_runs(&shown).is_empty();
        let every = if is_on_its_way(&shown) { LOOK_EVERY } else { KEPT_EVERY };
        // A lock that ends by itself adds no entry to the ledger.
        let locks = shown.iter().filter_map(|lane| lane.lock.as_ref()?.until);
        let unlocks = locks.filter(|until| *until > now()).min();
        tokio::select! {
            request = asked.recv() => match request {
                // The settings or the checkout may have changed.
                Some(()) => {
                    (known, looks, has_looked) = (None, true, true);
                    counts_again = Some(Instant::now() + COUNT_AGAIN);
                    awaited_until = Instant::now() + AWAITED;
                }
                None => return,
            },
            () = changed(watch.iter().flatten().next()) => {
                sleep(LIST_DELAY).await;
            }
            () = changed(settings.iter().flatten().next()) => {
                sleep(LIST_DELAY).await;
                known = None;
            }
            // The user mends the settings that have a fault.
            () = sleep(KEPT_EVERY), if fault.is_some() => known = None,
            Some(report) = asked_targets.join_next() => {
                if let Ok(report) = report {
                    memory.remember(report);
                }
            }
            Some(_) = changes.join_next() => {
                let due = (Instant::now() + SETTLES).max(looked_at + CHANGED_AGAIN);
                change_due = Some(change_due.unwrap_or(due));
            }
            () = sleep_until(change_due.unwrap_or_else(Instant::now)), if change_due.is_some() => {
                (change_due, looks) = (None, true);
            }
            () = sleep_until(awaited_until), if !changes.is_empty() => changes = JoinSet::new(),
            () = sleep_until(counts_again.unwrap_or_else(Instant::now)), if counts_again.is_some() => {
                (counts_again, looks) = (None, looks || memory.counts_requests());
            }
            () = sleep(every), if goes_on => {}
            () = sleep(unlocks.map_or(every, |until| until.since(now()))), if unlocks.is_some() => {}
        }
    }
}

/// Returns the runs of the deployments whose workers run, and whether each has succeeded.
fn open_runs(lanes: &[Lane]) -> Vec<(RunId, bool)> {
    let running = lanes.iter().filter_map(|lane| lane.open.as_ref()).filter(|open| open.is_running);
    running.map(|open| (open.run.clone(), open.has_succeeded)).collect()
}

/// Whether a release is on its way.
fn is_on_its_way(lanes: &[Lane]) -> bool {
    lanes.iter().any(|lane| lane.on_its_way().is_some_and(|open| open.is_running))
}

type Read = (Option<Arc<Deployments>>, LaneMemory, Result<Vec<Lane>, DeployError>);

/// Reads the environments. Begins to ask their targets what they run if `targets` are given.
async fn read(
    known: Option<Arc<Deployments>>,
    mut memory: LaneMemory,
    targets: Option<&mut JoinSet<TargetReport>>,
    (runs, folder): (RunsDir, PathBuf),
) -> Result<Read, tokio::task::JoinError> {
    let found = match known {
        Some(known) => Ok(known),
        None => spawn_blocking(move || Deployments::of(&runs, &folder)).await?.map(Arc::new),
    };
    let deployments = match found {
        Ok(deployments) => deployments,
        Err(error) if error.is_outside() => return Ok((None, memory, Ok(Vec::new()))),
        Err(error) => return Ok((None, memory, Err(error))),
    };
    if let Some(targets) = targets {
        match deployments.look(&mut memory, None) {
            Ok(looks) => looks.into_iter().for_each(|look| drop(targets.spawn(look))),
            Err(error) => return Ok((Some(deployments), memory, Err(error))),
        }
    }
    let listed = spawn_blocking(move || {
        let lanes = deployments.lanes(&mut memory);
        (Some(deployments), memory, lanes)
    });
    listed.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_for_the_same_details_are_answered_together() {
        let (folder, state) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (feed, mut reports) = mpsc::channel(9);
        let runs = RunsDir::at(state.path());
        let ask = describe("staging".to_owned(), runs, folder.path().to_owned(), feed);
        // The task reads nothing before this test waits.
        assert_eq!((0..5).filter(|_| ask.try_send(()).is_ok()).count(), 1);
        drop(ask);
        let report = reports.recv().await;
        assert!(matches!(&report, Some(Feed::LaneDetailsUnreadable { environment, .. }) if environment == "staging"));
        assert!(reports.recv().await.is_none());
    }
}
