//! Runs on servers. A poller writes them into run folders, so they are listed and followed like any others; what is left
//! is to tell the poller which runs are looked at, and to pass on commands.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::backend::github::poller::{Links, PollError, Poller};
use crate::model::feed::{Connection, Feed, Notice};
use crate::model::{Command, JobId, Reply, RunId};
use crate::store::history;

use super::Serving;

/// How long a run is selected before its server is asked for it.
const REST: Duration = Duration::from_millis(150);

impl Serving {
    /// Lists the runs of the settings' repositories and of this checkout from now on.
    pub(super) fn watch_servers(&self) {
        if let Some(poller) = self.poller.clone() {
            tokio::spawn(report(self.feed.clone(), watch_unasked(poller, self.folder.clone())));
        }
    }

    /// Whether a run is on a server.
    pub(super) fn is_mirror(&self, run: &RunId) -> bool {
        self.poller.is_some() && history::is_mirror(&self.runs.folder(run.clone()))
    }

    /// Mirrors a run from now on, if it is on a server, and asks for it most often.
    pub(super) fn open_mirror(&mut self, run: &RunId) {
        if self.is_mirror(run)
            && let Some(poller) = self.poller.clone()
        {
            let (run, folder, feed) = (run.clone(), self.runs.folder(run.clone()), self.feed.clone());
            // Runs that the selection only passes are not opened.
            self.opening.abort_all();
            self.opening.spawn(async move {
                sleep(REST).await;
                let opened = async {
                    poller.focus(folder.id()).await;
                    poller.open(&folder).await?;
                    poller.focus(folder.id()).await;
                    Ok(())
                };
                report(feed, opened).await;
                run
            });
        }
    }

    /// Downloads the log of a job that has ended.
    pub(super) fn load_log(&self, run: &RunId, job: JobId) {
        let Some(poller) = self.poller.clone() else { return };
        let folder = self.runs.folder(run.clone());
        tokio::spawn(report(self.feed.clone(), async move { poller.load_logs(&folder, &[job]).await }));
    }

    /// Sends a command to the server of a run. Nothing waits for the answer: servers may be slow.
    pub(super) fn ask_server(&self, run: RunId, command: Command) {
        let Some(poller) = self.poller.clone() else { return };
        let (folder, feed) = (self.runs.folder(run.clone()), self.feed.clone());
        tokio::spawn(async move {
            let reply = match poller.submit(&folder, &command).await {
                Ok(()) => Reply::Accepted,
                Err(error) => Reply::Rejected { reason: error.to_string() },
            };
            // The screen may be closed.
            let _ = feed.send(Feed::Replied { run, command, reply }).await;
        });
    }
}

/// Lists the runs of the settings' repositories and of a checkout from now on.
async fn watch_unasked(poller: Poller, folder: PathBuf) -> Result<(), PollError> {
    let repositories = poller.repositories(&folder).await?;
    poller.watch(&repositories).await
}

/// Reports the error of something that is done for the screen. Servers that do not answer are shown as a state.
async fn report(feed: mpsc::Sender<Feed>, done: impl Future<Output = Result<(), PollError>>) {
    match done.await {
        Err(error) if error.is_transient() => tracing::debug!(%error, "a server gives no answer"),
        // The screen may be closed.
        Err(error) => drop(feed.send(Feed::Notice(Notice::bad(error.to_string()))).await),
        Ok(()) => {}
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

/// Returns the state of the first link that is broken, with the name of its server.
pub(super) fn broken(poller: &Poller) -> Option<Connection> {
    let links = poller.links();
    let links = links.borrow();
    links.iter().find_map(|(name, link)| match link.connection() {
        Connection::Stale { since, trouble, reason } => {
            Some(Connection::Stale { since, trouble, reason: format!("{name}: {reason}") })
        }
        Connection::Offline { trouble, reason } => {
            Some(Connection::Offline { trouble, reason: format!("{name}: {reason}") })
        }
        Connection::Live | Connection::Replay => None,
    })
}
