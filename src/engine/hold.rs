//! Holds of steps: a job keeps its machine, services and files until a person decides how to continue. A step is held
//! after it has failed, or before it runs if it has a breakpoint.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::engine::checkpoint::FailedStep;
use crate::model::capabilities::Unavailable;
use crate::model::{HeldOrder, JobId, StepNumber};
use crate::store::spec::DEFAULT_HOLD_MINUTES;
use crate::workflow::breakpoints::Breakpoint;

/// The steps of a run that are held, and the breakpoints of the run. All jobs of the run share this value.
#[derive(Debug)]
pub struct Holds {
    /// Whether steps that fail are held.
    on: AtomicBool,
    /// Maximum time for which a step is held.
    limit: Duration,
    breakpoints: Vec<Breakpoint>,
    waiting: Mutex<HashMap<(JobId, StepNumber), Held>>,
}

/// An order that ends a hold.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) order: HeldOrder,
    /// Dropped once the end of the hold is recorded.
    pub(super) unrecorded: oneshot::Sender<Infallible>,
}

/// A step that is held.
#[derive(Debug)]
struct Held {
    /// Sender of the order that ends the hold.
    order: oneshot::Sender<Ordered>,
    /// Steps of the job from which it can run again, up to the held step.
    earlier: Vec<StepNumber>,
    /// Environment of the step, with its secrets, for `cuelight shell`.
    environment: FailedStep,
}

impl Holds {
    /// Returns the holds of a run whose failed steps are held for up to `limit`. With `None`, steps are not held until
    /// holding is [turned on](Self::turn), and then for the default time.
    #[must_use]
    pub fn new(limit: Option<Duration>) -> Self {
        let (on, limit) = (limit.is_some(), limit.unwrap_or(Duration::from_mins(DEFAULT_HOLD_MINUTES)));
        Self { on: AtomicBool::new(on), limit, breakpoints: Vec::new(), waiting: Mutex::default() }
    }

    /// Adds breakpoints, and sets the maximum time for which a step is held.
    #[must_use]
    pub fn with_breakpoints(self, breakpoints: Vec<Breakpoint>, limit: Duration) -> Self {
        Self { limit, breakpoints, ..self }
    }

    /// Whether a job stops before a step. `index` is the position of the step among the steps of the file.
    pub(super) fn stops_before(&self, job: &JobId, index: usize, step: StepNumber) -> bool {
        self.breakpoints.iter().any(|breakpoint| breakpoint.is_before(job, index, step))
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

    /// Returns the maximum time for which a step is held.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Holds a step of a job. `earlier` are the steps from which the job can run again, and `environment` is that of the
    /// step. Returns the receiver of the order that ends the hold.
    pub(super) fn hold(
        &self,
        job: &JobId,
        step: StepNumber,
        earlier: Vec<StepNumber>,
        environment: FailedStep,
    ) -> oneshot::Receiver<Ordered> {
        let (order, receiver) = oneshot::channel();
        let held = Held { order, earlier, environment };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert((job.clone(), step), held);
        receiver
    }

    /// Gives an order to a held step. Returns a receiver that fails once the end of the hold is recorded.
    ///
    /// # Errors
    /// The step is not held, or its job cannot go back to the step that the order names. It is then still held.
    pub fn order(
        &self,
        job: &JobId,
        step: StepNumber,
        order: HeldOrder,
    ) -> Result<oneshot::Receiver<Infallible>, Unavailable> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (job.clone(), step);
        let held = waiting.get(&key).ok_or(Unavailable::NotHeld)?;
        if let HeldOrder::RetryFrom(from) = order
            && !held.earlier.contains(&from)
        {
            return Err(Unavailable::NotEarlier);
        }
        let (unrecorded, recorded) = oneshot::channel();
        let sent = waiting.remove(&key).and_then(|held| held.order.send(Ordered { order, unrecorded }).ok());
        sent.map(|()| recorded).ok_or(Unavailable::NotHeld)
    }

    /// Returns the environment of the first held step of a job, with its secrets. `None` if no step of it is held.
    #[must_use]
    pub fn environment(&self, job: &JobId) -> Option<FailedStep> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let of_job = waiting.iter().filter(|((of, _), held)| of == job && !held.order.is_closed());
        of_job.min_by_key(|((_, step), _)| *step).map(|(_, held)| held.environment.clone())
    }
}
