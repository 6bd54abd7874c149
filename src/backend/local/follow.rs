//! Follows a run: its records as they are written, until it has ended.
//!
//! Everything is read from the run's folder, so a run that a poller mirrors is followed like a local one.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::model::Record;
use crate::model::feed::{Feed, Notice};
use crate::store::folder::RunFolder;
use crate::store::journal::JournalReader;
use crate::store::{StoreError, history, lock};
use crate::worker::control::Watch;
use crate::worker::recovery;

/// Time between two attempts to connect to a worker that holds the lock and does not listen yet.
const RETRY: Duration = Duration::from_millis(2);

/// Reads the records of one run while its worker writes them.
pub struct Follower {
    folder: RunFolder,
    journal: JournalReader,
    watch: Option<Watch>,
}

impl Follower {
    /// Returns a follower before the first record of a run.
    #[must_use]
    pub fn new(folder: RunFolder) -> Self {
        let journal = JournalReader::new(folder.journal());
        Self { folder, journal, watch: None }
    }

    /// Waits for the next records and returns them, at least one; `None` once the run has no worker and all its records
    /// were returned.
    ///
    /// A run whose worker died is closed here. The records that close it are returned like any others.
    ///
    /// # Errors
    /// The journal cannot be read, or a run that lost its worker cannot be closed.
    pub async fn next(&mut self) -> Result<Option<Vec<Record>>, StoreError> {
        loop {
            let records = self.journal.poll()?;
            if !records.is_empty() {
                return Ok(Some(records));
            }
            match &mut self.watch {
                Some(watch) => {
                    if !watch.grown().await {
                        self.watch = None;
                        // Records from before the end come first.
                        let records = self.journal.poll()?;
                        if !records.is_empty() {
                            return Ok(Some(records));
                        }
                    }
                }
                None => match Watch::start(&self.folder.socket()).await {
                    Ok(watch) => self.watch = Some(watch),
                    Err(_) if lock::is_held(&self.folder.lock()) => tokio::time::sleep(RETRY).await,
                    Err(_) => {
                        // The worker may have written its last records since the last poll.
                        let mut records = self.journal.poll()?;
                        if records.is_empty() && recovery::close(&self.folder).await? {
                            records = self.journal.poll()?;
                        }
                        return Ok((!records.is_empty()).then_some(records));
                    }
                },
            }
        }
    }
}

/// Reports a run and its records, until the run has ended or the receiver of `feed` is dropped.
pub(super) async fn report(folder: RunFolder, feed: mpsc::Sender<Feed>) {
    if let Err(error) = report_all(folder, &feed).await {
        let _ = feed.send(Feed::Notice(Notice::bad(error.to_string()))).await;
    }
}

async fn report_all(folder: RunFolder, feed: &mpsc::Sender<Feed>) -> Result<(), StoreError> {
    let run = folder.id().clone();
    let mut is_sent = feed.send(Feed::Opened(history::info(&folder)?)).await.is_ok();
    let mut follower = Follower::new(folder);
    while is_sent && let Some(records) = follower.next().await? {
        is_sent = feed.send(Feed::Records { run: run.clone(), records }).await.is_ok();
    }
    Ok(())
}
