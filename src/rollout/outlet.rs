//! Interface through which a deployment writes its records. The worker writes them to a run folder; tests keep them in
//! memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::{Event, JobId, StepNumber};

/// Receives events and log text. The implementation masks, orders and writes them.
pub trait Outlet: Send + Sync {
    /// Appends an event to the journal.
    fn record(&self, event: Event);

    /// Opens the log of a step.
    fn log(&self, job: &JobId, step: StepNumber) -> Box<dyn StepLog>;

    /// Returns a text without secrets, for readers outside of the run.
    fn masked(&self, text: &str) -> String;
}

/// The log of one step.
pub trait StepLog: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]);

    /// Ends the log.
    fn finish(&mut self);
}

/// A step in progress: its log, and the processes that it starts.
pub struct Progress {
    outlet: Arc<dyn Outlet>,
    job: JobId,
    step: StepNumber,
    log: Mutex<Box<dyn StepLog>>,
    /// Why the step waits for the decision of a person; `None` if it does not.
    decision: watch::Sender<Option<String>>,
}

impl Progress {
    /// Opens the log of a step.
    #[must_use]
    pub fn new(outlet: &Arc<dyn Outlet>, job: &JobId, step: StepNumber) -> Self {
        let log = Mutex::new(outlet.log(job, step));
        Self { outlet: Arc::clone(outlet), job: job.clone(), step, log, decision: watch::Sender::new(None) }
    }

    fn log(&self) -> MutexGuard<'_, Box<dyn StepLog>> {
        // A panic between two writes leaves no inconsistent state.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends output of a process.
    pub fn write(&self, bytes: &[u8]) {
        self.log().write(bytes);
    }

    /// Appends a line.
    pub fn say(&self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// Sets why the target waits for the decision of a person within the step, with the commands to decide. `None` if it does
    /// not.
    pub fn decide(&self, why: Option<String>) {
        self.decision.send_if_modified(|known| {
            let is_new = *known != why;
            *known = why;
            is_new
        });
    }

    /// Returns a receiver of why the step waits for the decision of a person. It has changed at once if the step waits already.
    pub fn decision(&self) -> watch::Receiver<Option<String>> {
        let mut decision = self.decision.subscribe();
        if decision.borrow().is_some() {
            decision.mark_changed();
        }
        decision
    }

    /// Records a process group, which is ended if the worker dies.
    pub fn started(&self, pgid: i32) {
        self.outlet.record(Event::ProcessStarted { job: self.job.clone(), step: self.step, pgid });
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.log().finish();
    }
}
