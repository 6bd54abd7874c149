//! Destination of everything that the engine observes. The worker writes it to a run folder; tests keep it in memory.
//!
//! The outlet masks, orders and writes everything: the engine itself never opens the journal or a log. A failed write
//! does not fail the call. The outlet remembers it, and the engine checks [`Outlet::failure`] before it starts anything
//! new.

use std::sync::Arc;

use crate::model::{Event, JobId, StepNumber};

use super::checkpoint::Checkpoint;

/// Receives events and log text.
pub trait Outlet: Send + Sync {
    /// Appends an event to the journal.
    fn record(&self, event: Event);

    /// Opens the log of a step. The file is created by the first write.
    fn log(self: Arc<Self>, job: &JobId, step: StepNumber) -> Box<dyn StepLog>;

    /// Appends to the summary of a step (Markdown).
    fn summary(&self, job: &JobId, step: StepNumber, markdown: &str);

    /// Stores the state of a job between two steps.
    fn checkpoint(&self, job: &JobId, checkpoint: &Checkpoint);

    /// Adds a secret to mask. From now on the text is never written, in any encoding that the masker knows.
    /// It need not be UTF-8.
    fn add_mask(&self, secret: &[u8]);

    /// Whether the text contains a secret. Job outputs that contain one are dropped, as on GitHub.
    fn holds_secret(&self, text: &str) -> bool;

    /// Returns why nothing more can be recorded; `None` if no write has failed.
    fn failure(&self) -> Option<String>;
}

/// The log of one step. Bytes may arrive in any portions; a secret that is split across portions is still masked.
pub trait StepLog: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]);

    /// Writes out the held text that cannot be the start of a secret, and notifies readers of the new bytes.
    fn flush(&mut self);

    /// Ends the log and writes the text that was held back. A last line without a newline stays without one.
    fn finish(&mut self);
}
