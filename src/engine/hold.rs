//! Holds of failed steps: the job keeps its machine, services and files until a person decides how to continue.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::model::{HeldOrder, JobId, StepNumber};
use crate::store::spec::DEFAULT_HOLD_MINUTES;

/// The failed steps of a run that are held, each with the sender of the order that ends its hold. All jobs of the run
/// share this value.
#[derive(Debug)]
pub struct Holds {
    /// Whether steps that fail are held.
    on: AtomicBool,
    /// Maximum time for which a step is held.
    limit: Duration,
    waiting: Mutex<HashMap<(JobId, StepNumber), oneshot::Sender<HeldOrder>>>,
}

impl Holds {
    /// Returns the holds of a run whose failed steps are held for up to `limit`. With `None`, steps are not held until
    /// holding is [turned on](Self::turn), and then for the default time.
    #[must_use]
    pub fn new(limit: Option<Duration>) -> Self {
        let (on, limit) = (limit.is_some(), limit.unwrap_or(Duration::from_mins(DEFAULT_HOLD_MINUTES)));
        Self { on: AtomicBool::new(on), limit, waiting: Mutex::default() }
    }

    /// Whether steps that fail are held.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// With `on`, holds the steps that fail from now on; otherwise, lets them fail. Steps that are already held stay
    /// held.
    pub fn turn(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Returns the maximum time for which a failed step is held; `None` if failed steps are not held.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.is_on().then_some(self.limit)
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
