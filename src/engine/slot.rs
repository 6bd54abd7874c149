//! The share of a job in the limit of jobs that run at once on this machine.
//!
//! A job starts with its slot. While it waits for the rules of an environment or is held, which may take hours, another
//! job can use the slot.

use tokio::sync::{mpsc, oneshot};

use crate::model::JobId;

/// A request of a job about its slot.
#[derive(Debug)]
pub(crate) enum SlotRequest {
    /// The job waits without its slot.
    Release(JobId),
    /// The job wants a slot again, and waits for the answer.
    Acquire(JobId, oneshot::Sender<()>),
}

/// The slot of a job.
#[derive(Debug)]
pub(crate) struct Slot {
    job: JobId,
    requests: mpsc::UnboundedSender<SlotRequest>,
}

impl Slot {
    /// Returns the slot of a job, whose requests go to its attempt.
    pub(crate) fn new(job: JobId, requests: mpsc::UnboundedSender<SlotRequest>) -> Self {
        Self { job, requests }
    }

    /// Gives the slot back, so that another job can start.
    pub(crate) fn release(&self) {
        // If the attempt has ended, no other job waits for the slot.
        let _ = self.requests.send(SlotRequest::Release(self.job.clone()));
    }

    /// Waits for a free slot.
    pub(crate) async fn acquire(&self) {
        let (granted, answer) = oneshot::channel();
        if self.requests.send(SlotRequest::Acquire(self.job.clone(), granted)).is_ok() {
            // If there is no answer, the attempt has ended.
            let _ = answer.await;
        }
    }
}
