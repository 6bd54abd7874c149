//! Holds of failed steps: the job keeps its machine, services and files until a person decides how to continue.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::model::{HeldOrder, JobId, StepNumber};

/// Where jobs wait at a failed step. Shared by all jobs of a run.
#[derive(Debug, Default)]
pub struct Holds {
    /// Maximum time for which a step is held; `None` if failed steps are not held.
    limit: Option<Duration>,
    waiting: Mutex<HashMap<(JobId, StepNumber), oneshot::Sender<HeldOrder>>>,
}

impl Holds {
    /// Returns the holds of a run. A failed step waits for up to `limit`; with `None`, failed steps are not held.
    #[must_use]
    pub fn new(limit: Option<Duration>) -> Self {
        Self { limit, waiting: Mutex::default() }
    }

    /// Returns the maximum time for which a failed step is held; `None` if failed steps are not held.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Holds a failed step of a job. Returns the receiver of the order that ends the hold.
    pub(super) fn hold(&self, job: &JobId, step: StepNumber) -> oneshot::Receiver<HeldOrder> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert((job.clone(), step), sender);
        receiver
    }

    /// Gives an order to a held step. Returns whether the step was still held.
    pub fn order(&self, job: &JobId, step: StepNumber, order: HeldOrder) -> bool {
        let held = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&(job.clone(), step));
        held.is_some_and(|held| held.send(order).is_ok())
    }
}
