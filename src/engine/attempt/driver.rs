//! Carries out the effects of an attempt: spawns the tasks of jobs, waits for concurrency groups, and records events.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::engine::RunContext;
use crate::engine::cancel::Cancellation;
use crate::engine::concurrency::{AcquireError, GroupRequest};
use crate::engine::job::end::JobEnd;
use crate::engine::job::spec::JobSpec;
use crate::engine::job::task::JobTask;
use crate::engine::panics::{Panic, caught};
use crate::engine::slot::{Slot, SlotRequest};
use crate::model::JobId;
use crate::store::concurrency::Ticket;

use super::state::{Attempt, Effect, Input};
use super::{AttemptStart, Orders, RunEnd};

/// How long jobs may take to end after a forced cancellation. A job that is blocked by a file system or a container
/// engine may never end.
const FORCE_TIMEOUT: Duration = Duration::from_mins(1);

/// Runs an attempt to its end.
pub async fn run(run: Arc<RunContext>, start: AttemptStart, orders: Orders) -> RunEnd {
    let mut attempt = Attempt::new(start, &run.facts, run.github.clone());
    let mut driver = Driver::new(run, orders);
    let mut input = Input::Begin;
    loop {
        attempt.update(input).into_iter().for_each(|effect| driver.carry_out(effect));
        input = match (driver.failure(), attempt.end()) {
            (Some(reason), _) => Input::OutletFailed(reason),
            (None, Some(end)) => return end,
            (None, None) => driver.next().await,
        };
        // Checked before the next input, so that a job which ends because of the failure does not start another job.
        if let Some(reason) = driver.failure() {
            attempt.update(Input::OutletFailed(reason)).into_iter().for_each(|effect| driver.carry_out(effect));
        }
    }
}

/// The tasks of an attempt, and the orders that it receives.
struct Driver {
    run: Arc<RunContext>,
    orders: Orders,
    /// Whether the run can still be cancelled: `false` once the sender is dropped.
    cancellable: bool,
    jobs: JoinSet<(JobId, Result<JobEnd, Panic>)>,
    cancellations: HashMap<JobId, watch::Sender<Cancellation>>,
    waits: JoinSet<(JobId, Result<Vec<Ticket>, AcquireError>)>,
    waiting: HashMap<JobId, AbortHandle>,
    held: HashMap<JobId, Vec<Ticket>>,
    /// Channel for the requests of jobs about their slots.
    slots: (mpsc::UnboundedSender<SlotRequest>, mpsc::UnboundedReceiver<SlotRequest>),
    /// Jobs that wait for a slot again.
    returning: HashMap<JobId, oneshot::Sender<()>>,
    /// When to give up on the jobs of a run that was force-cancelled; `None` if it was not.
    give_up_at: Option<Instant>,
    /// Whether the attempt has been notified that recording fails.
    failed: bool,
}

impl Driver {
    fn new(run: Arc<RunContext>, orders: Orders) -> Self {
        Self {
            run,
            orders,
            cancellable: true,
            jobs: JoinSet::new(),
            cancellations: HashMap::new(),
            waits: JoinSet::new(),
            waiting: HashMap::new(),
            held: HashMap::new(),
            slots: mpsc::unbounded_channel(),
            returning: HashMap::new(),
            give_up_at: None,
            failed: false,
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Record(event) => self.run.outlet.record(event),
            Effect::StartJob(spec) => self.start_job(*spec),
            Effect::CancelJob(id, asked) => {
                if let Some(cancellation) = self.cancellations.get(&id)
                    && asked.ask(cancellation)
                {
                    tracing::debug!(job = %id, ?asked, "asked to end");
                }
            }
            Effect::GrantSlot(id) => {
                // A job that was cancelled meanwhile no longer waits.
                self.returning.remove(&id).map(|job| job.send(()));
            }
            Effect::AcquireGroups(id, requests) => self.acquire(id, requests),
            Effect::ReleaseGroups(id) => {
                self.held.remove(&id);
                if let Some(wait) = self.waiting.remove(&id) {
                    wait.abort();
                }
            }
        }
    }

    fn start_job(&mut self, spec: JobSpec) {
        let id = spec.id.clone();
        let (cancellation, asked) = watch::channel(Cancellation::None);
        self.cancellations.insert(id.clone(), cancellation);
        let slot = Slot::new(id.clone(), self.slots.0.clone());
        let task = JobTask::new(Arc::clone(&self.run), spec, asked, slot);
        // Boxed, so that spawning moves a pointer and not the large future of a job.
        let task = Box::pin(task.run());
        self.jobs.spawn(async move { (id, caught(task).await) });
    }

    fn acquire(&mut self, id: JobId, requests: Vec<GroupRequest>) {
        let (gate, job) = (Arc::clone(&self.run.concurrency), id.clone());
        let mut requests = requests.into_iter();
        // Queues for the first group immediately, so that jobs keep the order in which they arrived.
        let mut next = requests.next().map(|first| Arc::clone(&gate).acquire(job.clone(), first));
        let acquire = async move {
            let mut tickets = Vec::new();
            while let Some(acquire) = next.take() {
                tickets.push(acquire.await?);
                next = requests.next().map(|request| Arc::clone(&gate).acquire(job.clone(), request));
            }
            Ok(tickets)
        };
        let job = id.clone();
        let wait = self.waits.spawn(async move {
            let acquired = caught(acquire).await;
            let failed = |panic| AcquireError::Failed(format!("internal error: the wait for its group {panic}"));
            (job, acquired.map_err(failed).flatten())
        });
        self.waiting.insert(id, wait);
    }

    /// Returns why recording fails, but only once; `None` before and after that.
    fn failure(&mut self) -> Option<String> {
        let failure = if self.failed { None } else { self.run.outlet.failure() };
        self.failed |= failure.is_some();
        failure
    }

    /// Waits for the next input.
    async fn next(&mut self) -> Input {
        loop {
            tokio::select! {
                Some(ended) = self.jobs.join_next() => {
                    // Tasks of jobs are never aborted and catch panics, so all of them return a result.
                    let Ok((id, end)) = ended else { continue };
                    if self.cancellations.remove(&id).is_none() {
                        // The driver gave up on this job earlier.
                        continue;
                    }
                    match end {
                        Ok(end) => return Input::JobEnded(id, end),
                        Err(panic) => {
                            self.run.host.reap(&self.run.tracking_id(&id)).await;
                            return Input::JobPanicked(id, panic);
                        }
                    }
                }
                Some(acquired) = self.waits.join_next() => {
                    let Ok((id, acquired)) = acquired else { continue };
                    // A job that no longer needs its groups was removed from `waiting`; its tickets are dropped here.
                    if self.waiting.remove(&id).is_none() {
                        continue;
                    }
                    return Input::GroupsAcquired(id.clone(), acquired.map(|tickets| drop(self.held.insert(id, tickets))));
                }
                Some(request) = self.slots.1.recv() => return match request {
                    SlotRequest::Release(id) => Input::SlotReleased(id),
                    SlotRequest::Acquire(id, granted) => {
                        self.returning.insert(id.clone(), granted);
                        Input::SlotWanted(id)
                    }
                },
                Some((id, reason)) = self.orders.displaced.recv() => return Input::Displaced(id, reason),
                changed = self.orders.stop.changed(), if self.cancellable => {
                    self.cancellable = changed.is_ok();
                    let asked = *self.orders.stop.borrow_and_update();
                    if asked == Cancellation::Force {
                        self.give_up_at.get_or_insert_with(|| Instant::now() + FORCE_TIMEOUT);
                    }
                    return Input::Cancelled(asked);
                }
                () = sleep_until(self.give_up_at.unwrap_or_else(Instant::now)),
                    if self.give_up_at.is_some() && !self.cancellations.is_empty() =>
                {
                    let Some(id) = self.cancellations.keys().next().cloned() else { continue };
                    self.cancellations.remove(&id);
                    self.run.host.reap(&self.run.tracking_id(&id)).await;
                    let end = JobEnd::given_up(FORCE_TIMEOUT);
                    return Input::JobEnded(id, end);
                }
            }
        }
    }
}
