//! Where the engine puts what it observes. The worker implements this over a run folder; tests keep it in memory.
//!
//! Masking, ordering and writing are the outlet's: the engine hands over what it saw and never sees a file of the run
//! folder. A write that fails does not fail the call. The outlet remembers it, and the engine asks
//! [`Outlet::failure`] before it starts anything new.

use std::sync::Arc;

use crate::model::{Event, JobId, StepNumber};

use super::checkpoint::Checkpoint;

/// Takes facts and log text.
pub trait Outlet: Send + Sync {
    /// Puts a fact into the journal.
    fn record(&self, event: Event);

    /// Opens the log of a step. Nothing is created until something is written.
    fn log(self: Arc<Self>, job: &JobId, step: StepNumber) -> Box<dyn StepLog>;

    /// Appends to the summary of a step (Markdown).
    fn summary(&self, job: &JobId, step: StepNumber, markdown: &str);

    /// Writes down how a job stands between two steps.
    fn checkpoint(&self, job: &JobId, checkpoint: &Checkpoint);

    /// From now on this text never reaches disk, in any encoding the masker knows.
    fn add_mask(&self, secret: &str);

    /// Whether the text holds a secret. Job outputs that do are dropped, as on GitHub.
    fn holds_secret(&self, text: &str) -> bool;

    /// Why nothing more can be written, once that is so.
    fn failure(&self) -> Option<String>;
}

/// The log of one step. Bytes may come in any portions; a secret that is cut by them is masked all the same.
pub trait StepLog: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]);

    /// Tells readers about what was written, if they were not told yet.
    fn flush(&mut self);

    /// Ends the log: what was held back is written, a last line without a newline stays as it is.
    fn finish(&mut self);
}
