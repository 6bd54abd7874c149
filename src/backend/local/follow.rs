//! Follows a run: reads its records as they are written, until the run has ended.
//!
//! Everything is read from the run's folder, so a run that a poller mirrors is followed like a local one. The lock of a
//! mirror is free while nothing polls, so a mirror is followed until its end is recorded.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::model::feed::{Feed, Notice};
use crate::model::{Event, Expected, Record};
use crate::store::folder::RunFolder;
use crate::store::journal::JournalReader;
use crate::store::{StoreError, history, lock};
use crate::worker::control::Watch;
use crate::worker::recovery;

/// Time between two attempts to connect to a worker that holds the lock and does not listen yet.
const RETRY: Duration = Duration::from_millis(2);

/// Polling interval for the journal of a mirror whose poller has no socket.
const MIRROR_INTERVAL: Duration = Duration::from_millis(200);

/// Reads the records of one run while its worker writes them.
pub struct Follower {
    folder: RunFolder,
    journal: JournalReader,
    watch: Option<Watch>,
    /// Whether the run is on a server and only mirrored here.
    is_mirror: bool,
    /// Whether the end of the run was the last record about the run as a whole.
    has_ended: bool,
}

impl Follower {
    /// Returns a follower that starts at the first record of a run.
    #[must_use]
    pub fn new(folder: RunFolder) -> Self {
        let journal = JournalReader::new(folder.journal());
        let is_mirror = history::is_mirror(&folder);
        Self { folder, journal, watch: None, is_mirror, has_ended: false }
    }

    /// Returns the records written since the last call, without waiting.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn poll(&mut self) -> Result<Vec<Record>, StoreError> {
        let records = self.journal.poll()?;
        for record in &records {
            match record.event {
                Event::RunStarted { .. } | Event::RunWaiting { .. } => self.has_ended = false,
                Event::RunFinished { .. } => self.has_ended = true,
                _ => {}
            }
        }
        Ok(records)
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
            let records = self.poll()?;
            if !records.is_empty() {
                return Ok(Some(records));
            }
            match &mut self.watch {
                Some(watch) => {
                    if !watch.grown().await {
                        self.watch = None;
                        // Records from before the end come first.
                        let records = self.poll()?;
                        if !records.is_empty() {
                            return Ok(Some(records));
                        }
                    }
                }
                None => match Watch::start(&self.folder.socket()).await {
                    Ok(watch) => self.watch = Some(watch),
                    Err(_) if self.is_mirror && (!self.has_ended || lock::is_held(&self.folder.lock())) => {
                        tokio::time::sleep(MIRROR_INTERVAL).await;
                    }
                    Err(_) if lock::is_held(&self.folder.lock()) => tokio::time::sleep(RETRY).await,
                    Err(_) => {
                        // The worker may have written its last records since the last poll.
                        let mut records = self.poll()?;
                        if records.is_empty() && recovery::close(&self.folder).await? {
                            records = self.poll()?;
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
    if let Err(error) = report_all(folder, &feed).await
        // The run was deleted meanwhile, which was reported.
        && !error.is_missing()
    {
        let _ = feed.send(Feed::Notice(Notice::bad(error.to_string()))).await;
    }
}

async fn report_all(folder: RunFolder, feed: &mpsc::Sender<Feed>) -> Result<(), StoreError> {
    let run = folder.id().clone();
    let mut is_sent = feed.send(Feed::Opened(history::info(&folder)?)).await.is_ok();
    if is_sent && let Some(expected) = expected(folder.clone()).await {
        is_sent = feed.send(Feed::Expected { run: run.clone(), expected }).await.is_ok();
    }
    let mut follower = Follower::new(folder);
    while is_sent && let Some(records) = follower.next().await? {
        is_sent = feed.send(Feed::Records { run: run.clone(), records }).await.is_ok();
    }
    Ok(())
}

/// Returns how long a run in progress is expected to take; `None` without data.
async fn expected(folder: RunFolder) -> Option<Expected> {
    let reading = tokio::task::spawn_blocking(move || history::expected(&folder.runs(), &history::read(&folder)?));
    // Data that cannot be read counts as missing.
    reading.await.ok()?.ok().filter(|expected| *expected != Expected::default())
}
