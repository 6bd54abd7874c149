//! Watches the services of the repository's Compose file, and carries out orders for them.

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::launch::compose;
use crate::model::feed::{Feed, Notice};

use super::Serving;

impl Serving {
    /// Starts to report the services of the Compose file, if there is one. The task ends once the screen is closed.
    pub(super) fn watch_compose(&self) {
        let (folder, feed) = (self.folder.clone(), self.feed.clone());
        tokio::spawn(async move {
            let found = spawn_blocking(move || compose::of(&folder)).await;
            let Some(compose) = found.expect("reading a file does not panic") else { return };
            let (report, mut reports) = mpsc::channel(1);
            let watch = tokio::spawn(compose.watch(report));
            let mut shown = Vec::new();
            while let Some(services) = reports.recv().await {
                if shown != services {
                    shown.clone_from(&services);
                    if feed.send(Feed::Compose(services)).await.is_err() {
                        break;
                    }
                }
            }
            watch.abort();
        });
    }

    /// Starts or stops a service of the Compose file.
    pub(super) fn order_compose(&self, service: String, starts: bool) {
        let (runs, folder, feed) = (self.runs.clone(), self.folder.clone(), self.feed.clone());
        tokio::spawn(async move {
            let done = compose::order(&runs, &folder, &service, starts).await;
            let notice = match done {
                Ok(()) => Notice::news(format!("{service} {}", if starts { "started" } else { "stopped" })),
                Err(error) => Notice::bad(format!("{service}: {error}")),
            };
            // The receiver is gone if the screen was closed.
            let _ = feed.send(Feed::Notice(notice)).await;
        });
    }
}
