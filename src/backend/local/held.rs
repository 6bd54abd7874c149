//! Sends orders for held steps, and syncs the files of their jobs. Requests about one job are carried out in the order
//! in which the user made them, so that no step runs again while files are still being synced.

use crate::launch::held;
use crate::model::feed::{Feed, Notice};
use crate::model::{Command, JobId, RunId};

use super::{Serving, submit};

impl Serving {
    /// Brings the user's changes into the files of a held job.
    pub(super) fn sync_held(&mut self, run: &RunId, job: &JobId) {
        let (folder, feed, synced) = (self.runs.folder(run.clone()), self.feed.clone(), job.clone());
        self.in_turn(run, job, async move {
            let notice = match held::sync(&folder, &synced, false).await {
                Ok(changes) => Notice { bad: !changes.kept.is_empty(), text: changes.to_string() },
                Err(error) => Notice::bad(error.to_string()),
            };
            // The screen may be closed.
            let _ = feed.send(Feed::Notice(notice)).await;
        });
    }

    /// Sends an order for a held step to the worker, and reports the reply.
    pub(super) fn order_held(&mut self, run: &RunId, job: &JobId, command: Command) {
        let (folder, feed, ordered) = (self.runs.folder(run.clone()), self.feed.clone(), run.clone());
        self.in_turn(run, job, async move {
            let reply = submit(&folder, &command).await;
            // The screen may be closed.
            let _ = feed.send(Feed::Replied { run: ordered, command, reply }).await;
        });
    }

    /// Starts work for a job once the work that was started for it before has ended.
    fn in_turn(&mut self, run: &RunId, job: &JobId, work: impl Future<Output = ()> + Send + 'static) {
        let key = (run.clone(), job.clone());
        self.held.retain(|_, task| !task.is_finished());
        let before = self.held.remove(&key);
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                // The result of a task that panicked is missing; the next one does not depend on it.
                let _ = before.await;
            }
            work.await;
        });
        self.held.insert(key, task);
    }
}
