//! Runs on servers. A poller writes them to run folders, so they are listed and followed like any others. This module
//! informs the poller about the run that the user is looking at, and forwards commands.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::backend::github::address::Repository;
use crate::backend::github::poller::{Links, PollError, Poller, WatchFault};
use crate::backend::github::workflows::dispatch::Dispatch;
use crate::backend::github::workflows::{Dispatchable, file_name};
use crate::launch;
use crate::model::feed::{Connection, Feed, Notice, Polling, StartableWorkflow, WorkflowServer};
use crate::model::rights::KnownRights;
use crate::model::{Command, JobId, Reply, RepositoryId, RunId, Summary};
use crate::store::clock::now;
use crate::store::folder::RunFolder;
use crate::store::history;
use crate::workflow::inputs::BY_HAND;

use super::Serving;
use super::startable::input;

/// How long the terminal is without the focus before the user counts as away.
const AWAY_AFTER: Duration = Duration::from_mins(5);

/// How long a run must be selected before it is requested from its server.
const REST: Duration = Duration::from_millis(150);

impl Serving {
    /// Starts to list the runs of the repositories in the settings and of this checkout. Also removes temporary
    /// branches that killed processes left on servers.
    pub(super) fn watch_servers(&self) {
        if let Some(poller) = self.poller.clone() {
            tokio::spawn(report_faults(self.feed.clone(), poller.faults()));
            let watched = watch_unasked(self.feed.clone(), poller, self.folder.clone());
            tokio::spawn(report(self.feed.clone(), watched));
        }
    }

    /// Whether a run is on a server.
    pub(super) fn is_mirror(&self, run: &RunId) -> bool {
        self.poller.is_some() && history::is_mirror(&self.runs.folder(run.clone()))
    }

    /// Mirrors a run from now on if it is on a server and still selected after [`REST`], and polls it most often.
    pub(super) fn open_mirror(&mut self, run: &RunId) {
        if self.is_mirror(run)
            && let Some(poller) = self.poller.clone()
        {
            let (run, folder, feed) = (run.clone(), self.runs.folder(run.clone()), self.feed.clone());
            // A run is not opened if the selection moves on before [`REST`].
            self.opening.abort_all();
            self.opening.spawn(async move {
                sleep(REST).await;
                let opened = async {
                    poller.focus(folder.id()).await;
                    poller.open(&folder).await?;
                    poller.focus(folder.id()).await;
                    Ok(())
                };
                report(feed, unless_deleted(&folder, opened)).await;
                run
            });
        }
    }

    /// Notifies the poller whether the user is looking at the screen.
    pub(super) fn attend(&self, here: bool) {
        if let Some(poller) = self.poller.clone() {
            let away_from = (!here).then(|| now().after(AWAY_AFTER));
            tokio::spawn(async move { poller.attend(away_from).await });
        }
    }

    /// Downloads the log of a job that has ended.
    pub(super) fn load_log(&self, run: &RunId, job: JobId) {
        let Some(poller) = self.poller.clone() else { return };
        let folder = self.runs.folder(run.clone());
        tokio::spawn(report(self.feed.clone(), async move {
            unless_deleted(&folder, poller.load_logs(&folder, &[job])).await
        }));
    }

    /// Sends a command to the server of a run, after the commands that were sent before. Returns without waiting for
    /// the answer, as servers may be slow.
    pub(super) fn ask_server(&self, run: RunId, command: Command) {
        let Some(poller) = self.poller.clone() else { return };
        let (folder, feed) = (self.runs.folder(run.clone()), self.feed.clone());
        let turn = Arc::clone(&self.turn);
        tokio::spawn(async move {
            let _turn = turn.lock().await;
            let reply = match poller.submit(&folder, &command).await {
                Ok(()) => Reply::Accepted,
                Err(error) if error.is_unanswered() => Reply::Unanswered { reason: error.to_string() },
                Err(error) => Reply::Rejected { reason: error.to_string() },
            };
            // The screen may be closed.
            let _ = feed.send(Feed::Replied { run, command, reply }).await;
        });
    }
}

impl Serving {
    /// Reads branch, commit and number of changed files of this checkout.
    pub(super) fn read_head(&self) {
        let (folder, runs, feed) = (self.folder.clone(), self.runs.clone(), self.feed.clone());
        tokio::spawn(async move {
            let read = spawn_blocking(move || launch::checked_out(&runs, &folder));
            let head = match read.await.expect("reading does not panic") {
                Ok(tree) => tree.version(),
                Err(error) => error.to_string(),
            };
            // The screen may be closed.
            let _ = feed.send(Feed::Head(head)).await;
        });
    }

    /// Lists the workflows that can be dispatched in the repository of this checkout and in the repository of a run.
    pub(super) fn list_dispatchable(&self, run: Option<RunId>) {
        let Some(poller) = self.poller.clone() else { return };
        let (feed, folder) = (self.feed.clone(), self.folder.clone());
        let of_run = run.and_then(|run| repository_of(&self.runs.folder(run)));
        tokio::spawn(async move {
            let here = poller.checkout(&folder).ok().flatten();
            let repositories: BTreeSet<Repository> = here.into_iter().chain(of_run).collect();
            let mut listed = Vec::new();
            for repository in repositories {
                match poller.dispatchable(&repository).await {
                    Ok((found, branch, environments)) => {
                        let server = WorkflowServer { repository: repository.to_string(), branch };
                        listed.extend(found.into_iter().map(|one| startable(one, &server, &environments)));
                        let _ = feed.send(Feed::Dispatchable(listed.clone())).await;
                    }
                    Err(error) => notify(feed.clone(), Notice::bad(error.to_string())).await,
                }
            }
            // Also if there are none, so that the user does not wait for them.
            let _ = feed.send(Feed::Dispatchable(listed)).await;
        });
    }

    /// Starts a workflow on a server, and selects its run.
    pub(super) fn dispatch(&self, repository: &str, wanted: Dispatch) {
        let Some(poller) = self.poller.clone() else { return };
        let feed = self.feed.clone();
        let repository = match Repository::parse(repository, None) {
            Ok(repository) => repository,
            Err(error) => return drop(tokio::spawn(notify(feed, Notice::bad(error.to_string())))),
        };
        tokio::spawn(async move {
            let (file, on) = (file_name(&wanted.workflow), wanted.git_ref.as_deref().unwrap_or_default());
            notify(feed.clone(), Notice::news(format!("{file} is dispatched on {on}: waiting for its run"))).await;
            match poller.dispatch(&repository, &wanted).await {
                Ok((run, _)) => {
                    if let Ok(read) = history::read(&run) {
                        let _ = feed.send(Feed::Updated(vec![Summary::from(&read)])).await;
                    }
                    let _ = feed.send(Feed::Started(run.id().clone())).await;
                }
                Err(error) => notify(feed, Notice::bad(error.to_string())).await,
            }
        });
    }

    /// Enables or disables the workflow of a run.
    pub(super) fn enable_workflow(&self, run: &RunId, enable: bool) {
        let folder = self.runs.folder(run.clone());
        let (Some(poller), Some(repository)) = (self.poller.clone(), repository_of(&folder)) else { return };
        let feed = self.feed.clone();
        tokio::spawn(async move {
            let workflow = history::info(&folder).map(|info| info.workflow).unwrap_or_default();
            let notice = match poller.enable(&repository, &workflow, enable).await {
                Ok(workflow) => {
                    let done = if enable { "enabled" } else { "disabled" };
                    Notice::news(format!("{} of {repository} is {done}", workflow.file()))
                }
                Err(error) => Notice::bad(error.to_string()),
            };
            notify(feed, notice).await;
        });
    }
}

/// Sends a message to the user. The screen may be closed.
async fn notify(feed: mpsc::Sender<Feed>, notice: Notice) {
    let _ = feed.send(Feed::Notice(notice)).await;
}

/// Returns the repository of a run on a server.
fn repository_of(folder: &RunFolder) -> Option<Repository> {
    let info = history::info(folder).ok()?;
    Repository::parse(&info.repository, Some(&info.remote?.host)).ok()
}

/// Returns a workflow on a server as the screen shows it.
fn startable(one: Dispatchable, server: &WorkflowServer, environments: &BTreeSet<String>) -> StartableWorkflow {
    StartableWorkflow {
        name: one.workflow.name,
        workflow: one.workflow.path,
        server: Some(server.clone()),
        jobs: Vec::new(),
        events: vec![BY_HAND.to_owned()],
        inputs: one.inputs.iter().map(|definition| input(definition, environments)).collect(),
        secrets: Vec::new(),
    }
}

/// Starts to list the runs of the repositories in the settings and of a checkout.
async fn watch_unasked(feed: mpsc::Sender<Feed>, poller: Poller, folder: PathBuf) -> Result<(), PollError> {
    let repositories = poller.repositories(&folder).await?;
    let watched = repositories.iter().map(|repository| RepositoryId::named(repository.full_name())).collect();
    // The screen may be closed.
    let _ = feed.send(Feed::Watched(watched)).await;
    poller.watch(&repositories).await
}

/// Returns the result of an operation on a run. Any error counts as success if the run was deleted in the meantime.
async fn unless_deleted(
    folder: &RunFolder,
    done: impl Future<Output = Result<(), PollError>>,
) -> Result<(), PollError> {
    let result = done.await;
    if folder.spec_path().exists() { result } else { Ok(()) }
}

/// Reports the error of an operation. Servers that do not respond are shown as a state of the connection instead.
async fn report(feed: mpsc::Sender<Feed>, done: impl Future<Output = Result<(), PollError>>) {
    match done.await {
        Err(error) if error.is_transient() => tracing::debug!(%error, "a server gives no answer"),
        // The run was deleted meanwhile, which was reported.
        Err(PollError::Store(error)) if error.is_missing() => tracing::debug!(%error, "a run is gone"),
        // The screen may be closed.
        Err(error) => drop(feed.send(Feed::Notice(Notice::bad(error.to_string()))).await),
        Ok(()) => {}
    }
}

/// Reports each run that is no longer mirrored and each repository that is not listed, until the poller is dropped.
async fn report_faults(feed: mpsc::Sender<Feed>, mut faults: watch::Receiver<Option<WatchFault>>) {
    while faults.changed().await.is_ok() {
        let fault = faults.borrow_and_update().as_ref().map(ToString::to_string);
        if let Some(fault) = fault {
            // The screen may be closed.
            let _ = feed.send(Feed::Notice(Notice::bad(fault))).await;
        }
    }
}

/// Waits until the state of a link to a server changes; forever without servers.
pub(super) async fn changed(links: &mut Option<watch::Receiver<Links>>) {
    let is_changed = match links {
        Some(links) => links.changed().await.is_ok(),
        None => false,
    };
    if !is_changed {
        std::future::pending::<()>().await;
    }
}

/// Waits until the rights of tokens change, and returns them. Waits forever without servers.
pub(super) async fn learned(rights: &mut Option<watch::Receiver<KnownRights>>) -> KnownRights {
    if let Some(rights) = rights
        && rights.changed().await.is_ok()
    {
        return rights.borrow_and_update().clone();
    }
    std::future::pending().await
}

/// Returns the state of the first link that is broken, with the name of its server; otherwise the first server that has
/// not answered yet.
pub(super) fn not_live(poller: &Poller) -> Option<Connection> {
    let links = poller.links();
    let links = links.borrow();
    let asked = || links.iter().find(|(_, server)| server.link.answered.is_none());
    let broken = links.iter().find_map(|(name, server)| match server.link.connection() {
        Connection::Stale { since, trouble, reason } => {
            Some(Connection::Stale { since, trouble, reason: format!("{name}: {reason}") })
        }
        Connection::Offline { trouble, reason } => {
            Some(Connection::Offline { trouble, reason: format!("{name}: {reason}") })
        }
        Connection::Live | Connection::Replay | Connection::Asking { .. } => None,
    });
    broken.or_else(|| asked().map(|(name, _)| Connection::Asking { server: name.clone() }))
}

/// Returns the time of the next poll of any server, and the rest of the lowest rate limit. `None` if no poll is
/// scheduled.
pub(super) fn polling(poller: &Poller) -> Option<Polling> {
    let links = poller.links();
    let links = links.borrow();
    let next = links.values().filter_map(|server| server.next).min()?;
    let rates = links.values().filter_map(|server| server.link.rate);
    let budget = rates.min_by_key(|rate| rate.remaining).map(|rate| (rate.remaining, rate.limit));
    Some(Polling { next, budget })
}
