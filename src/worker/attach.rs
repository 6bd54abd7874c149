//! Follows a run: its records as they come, until it has ended, however it ends.

use std::time::Duration;

use crate::model::Record;
use crate::store::folder::RunFolder;
use crate::store::journal::JournalReader;
use crate::store::{StoreError, lock};

use super::control::Watch;
use super::recovery;

/// How long to wait for a worker that holds the lock and does not listen yet.
const SETTLE: Duration = Duration::from_millis(2);

/// Reads one run's records while its worker writes them.
pub struct Follower {
    folder: RunFolder,
    journal: JournalReader,
    watch: Option<Watch>,
}

impl Follower {
    /// A follower at the beginning of a run.
    #[must_use]
    pub fn new(folder: RunFolder) -> Self {
        let journal = JournalReader::new(folder.journal());
        Self { folder, journal, watch: None }
    }

    /// The next records, at least one; `None` once the run has no worker and all its records were read.
    ///
    /// A run whose worker died is closed here, and what closes it are records like any other.
    ///
    /// # Errors
    /// The journal cannot be read, or a lost run cannot be closed.
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
                        // What was written before the end is read first.
                        let records = self.journal.poll()?;
                        if !records.is_empty() {
                            return Ok(Some(records));
                        }
                    }
                }
                None => match Watch::start(&self.folder.socket()).await {
                    Ok(watch) => self.watch = Some(watch),
                    Err(_) if lock::is_held(&self.folder.lock()) => tokio::time::sleep(SETTLE).await,
                    Err(_) => {
                        // Between the last look and now the worker may have written its last words.
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
