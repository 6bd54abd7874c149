//! When a running step is ended, and which steps of a cancelled job still run.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Level of cancellation requested for a job. The level never falls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Cancellation {
    /// No cancellation was requested.
    #[default]
    None,
    /// End the job, but run the steps whose `if` holds in a cancelled job (`always()`, `cancelled()`).
    Cancel,
    /// End the job at once.
    Force,
    /// End the job at once, as a failure: its machine is lost.
    Lost,
}

impl Cancellation {
    /// Raises the requested level to `self`. Returns whether the level changed.
    pub fn ask(self, asked: &watch::Sender<Self>) -> bool {
        asked.send_if_modified(|now| {
            let higher = self > *now;
            *now = (*now).max(self);
            higher
        })
    }

    /// Whether this level ends a job. A job that started after its run was cancelled (`if: always()`) ignores
    /// [`Self::Cancel`].
    fn ends(self, ignores_cancel: bool) -> bool {
        self >= if ignores_cancel { Self::Force } else { Self::Cancel }
    }

    /// Returns why a process must end at once; `None` if it may continue.
    fn at_once(self) -> Option<KillReason> {
        match self {
            Self::Lost => Some(KillReason::Lost),
            Self::Force => Some(KillReason::Forced),
            Self::None | Self::Cancel => None,
        }
    }
}

/// How long the remaining steps of a cancelled job may run. GitHub's default.
const CANCEL_TIMEOUT: Duration = Duration::from_mins(5);

/// Pauses while a process is being ended, as in GitHub's runner.
#[derive(Clone, Copy, Debug)]
pub struct Grace {
    /// Between INT and TERM.
    pub after_int: Duration,
    /// Between TERM and KILL.
    pub after_term: Duration,
    /// Between TERM and KILL of a background step that a `cancel` step ends.
    pub after_cancel: Duration,
    /// How long output may stay open after the process has exited: a daemon that it started may hold the pipe.
    pub after_exit: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        Self {
            after_int: Duration::from_millis(7500),
            after_term: Duration::from_millis(2500),
            after_cancel: Duration::from_millis(7500),
            after_exit: Duration::from_secs(5),
        }
    }
}

/// Why a process is ended early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KillReason {
    /// The `timeout-minutes` of the step passed.
    TimedOut,
    /// The job was cancelled, or its time limit passed.
    Cancelled,
    /// A `cancel` step ended this background step.
    StepCancelled,
    /// The job must end at once.
    Forced,
    /// The machine of the job is lost.
    Lost,
}

impl KillReason {
    /// Whether the process is killed without time to end by itself.
    pub(crate) fn is_at_once(self) -> bool {
        matches!(self, Self::Forced | Self::Lost)
    }
}

/// The time limit of a job. Its clock stands still while a step of the job is held.
#[derive(Clone, Copy, Debug)]
struct TimeLimit {
    /// When the limit passes, unless the clock stands still meanwhile.
    deadline: Instant,
    /// Number of steps that are held.
    held: usize,
    /// Since when the clock stands still, while steps are held.
    since: Instant,
}

impl TimeLimit {
    /// Returns when the limit passes; `None` while the clock stands still.
    fn deadline(&self) -> Option<Instant> {
        (self.held == 0).then_some(self.deadline)
    }
}

/// Keeps the clock of a job's time limit still until it is dropped.
#[derive(Debug)]
pub(crate) struct StoppedClock(watch::Sender<TimeLimit>);

impl Drop for StoppedClock {
    fn drop(&mut self) {
        self.0.send_modify(|limit| {
            limit.held -= 1;
            if limit.held == 0 {
                limit.deadline += limit.since.elapsed();
            }
        });
    }
}

/// Watches the cancellation of one job, and its time limit.
#[derive(Clone, Debug)]
pub(crate) struct CancelWatch {
    asked: watch::Receiver<Cancellation>,
    /// For a background step: whether a `cancel` step ends it. `None` for other steps.
    of_step: Option<watch::Receiver<bool>>,
    ignores_cancel: bool,
    /// Time limit of the job, which the watches of all its steps share.
    limit: watch::Sender<TimeLimit>,
    cancelled_at: Option<Instant>,
    timed_out: bool,
}

impl CancelWatch {
    /// Returns a watch over a job with the time limit `deadline`.
    pub(crate) fn new(asked: watch::Receiver<Cancellation>, ignores_cancel: bool, deadline: Instant) -> Self {
        let limit = watch::Sender::new(TimeLimit { deadline, held: 0, since: deadline });
        Self { asked, of_step: None, ignores_cancel, limit, cancelled_at: None, timed_out: false }
    }

    /// Returns a watch for a background step of the job, which also ends when `of_step` becomes true.
    pub(crate) fn for_step(&self, of_step: watch::Receiver<bool>) -> Self {
        Self { of_step: Some(of_step), ..self.clone() }
    }

    /// Whether a `cancel` step ends this background step.
    pub(crate) fn is_step_cancelled(&self) -> bool {
        self.of_step.as_ref().is_some_and(|asked| *asked.borrow())
    }

    /// Returns a receiver of the cancellation requested for the job.
    pub(crate) fn asked(&self) -> watch::Receiver<Cancellation> {
        self.asked.clone()
    }

    /// Whether the job or this background step was cancelled, or the job's time limit has passed. Once `true`, it stays
    /// `true`.
    pub(crate) fn is_cancelled(&mut self) -> bool {
        let now = Instant::now();
        if self.cancelled_at.is_none() {
            if self.asked.borrow().ends(self.ignores_cancel) || self.is_step_cancelled() {
                self.cancelled_at = Some(now);
            } else if self.limit.borrow().deadline().is_some_and(|deadline| now >= deadline) {
                self.timed_out = true;
                self.cancelled_at = Some(now);
            }
        }
        self.cancelled_at.is_some()
    }

    /// Stops the clock of the job's time limit until the result is dropped.
    pub(crate) fn stop_clock(&self) -> StoppedClock {
        self.limit.send_modify(|limit| {
            if limit.held == 0 {
                limit.since = Instant::now();
            }
            limit.held += 1;
        });
        StoppedClock(self.limit.clone())
    }

    /// Whether no further step may start: the job must end at once, or at least [`CANCEL_TIMEOUT`] has passed since it
    /// was cancelled.
    pub(crate) fn is_over(&mut self) -> bool {
        let too_long = |at: Instant| at.elapsed() >= CANCEL_TIMEOUT;
        *self.asked.borrow() >= Cancellation::Force || (self.is_cancelled() && self.cancelled_at.is_some_and(too_long))
    }

    /// Whether the job was cancelled because its time limit passed.
    pub(crate) fn timed_out(&self) -> bool {
        self.timed_out
    }

    /// Waits until the running step must be ended, and returns why. A step that `survives_cancel` continues in a
    /// cancelled job for up to [`CANCEL_TIMEOUT`], but not after a `cancel` step. `deadline` is the time limit of the
    /// step; `None` if the step has none.
    pub(crate) async fn must_end(&mut self, survives_cancel: bool, deadline: Option<Instant>) -> KillReason {
        let mut clock = self.limit.subscribe();
        loop {
            if let Some(why) = self.asked.borrow().at_once() {
                return why;
            }
            if self.is_step_cancelled() {
                return KillReason::StepCancelled;
            }
            let cancelled = self.is_cancelled();
            if cancelled && (!survives_cancel || self.is_over()) {
                return KillReason::Cancelled;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return KillReason::TimedOut;
            }
            let of_job = clock.borrow_and_update().deadline();
            let limit = self.cancelled_at.map_or(of_job, |at| Some(at + CANCEL_TIMEOUT));
            let next = [deadline, limit].into_iter().flatten().min();
            let passes = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => pending().await,
                }
            };
            let of_step = async {
                match &mut self.of_step {
                    Some(asked) => changed(asked).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = changed(&mut self.asked) => {}
                () = of_step => {}
                () = changed(&mut clock) => {}
                () = passes => {}
            }
        }
    }

    /// Waits until the job must end at once, and returns why.
    pub(crate) async fn at_once(&mut self) -> KillReason {
        loop {
            if let Some(why) = self.asked.borrow().at_once() {
                return why;
            }
            changed(&mut self.asked).await;
        }
    }
}

/// Waits until a job that has no [`CancelWatch`] yet is cancelled.
pub(crate) async fn cancelled(mut asked: watch::Receiver<Cancellation>, ignores_cancel: bool) {
    while !asked.borrow().ends(ignores_cancel) {
        changed(&mut asked).await;
    }
}

/// How long work on a lost machine may take to finish and write its log.
const LOST_TIMEOUT: Duration = Duration::from_secs(3);

/// Carries out work of a job. Returns `None` if the job's machine is lost and the work does not finish within
/// [`LOST_TIMEOUT`] after that.
pub(crate) async fn unless_lost<T>(
    mut asked: watch::Receiver<Cancellation>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let lost = async {
        while *asked.borrow() != Cancellation::Lost {
            changed(&mut asked).await;
        }
        tokio::time::sleep(LOST_TIMEOUT).await;
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = lost => None,
    }
}

/// Waits for a change. Never returns once the sender is dropped.
pub(crate) async fn changed<T>(asked: &mut watch::Receiver<T>) {
    if asked.changed().await.is_err() {
        pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn watch_of(ignores_cancel: bool) -> (watch::Sender<Cancellation>, CancelWatch) {
        let (ask, asked) = watch::channel(Cancellation::None);
        (ask, CancelWatch::new(asked, ignores_cancel, Instant::now() + 10 * MINUTE))
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_times_out_before_its_job() {
        let (_ask, mut job) = watch_of(false);
        assert_eq!(job.must_end(false, Some(Instant::now() + MINUTE)).await, KillReason::TimedOut);
        assert!(!job.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_timeout_cancels_its_step_and_leaves_always_steps_five_minutes() {
        let (_ask, mut job) = watch_of(false);
        assert_eq!(job.must_end(false, None).await, KillReason::Cancelled);
        assert!(job.timed_out());
        let before = Instant::now();
        assert_eq!(job.must_end(true, None).await, KillReason::Cancelled);
        assert_eq!(before.elapsed(), CANCEL_TIMEOUT);
        assert!(job.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_of_a_job_stands_still_while_a_step_is_held() {
        let (_ask, job) = watch_of(false);
        let (mut held, mut beside) = (job.clone(), job.for_step(watch::channel(false).1));
        let begun = Instant::now();
        let hold = async {
            tokio::time::sleep(9 * MINUTE).await;
            let (one, two) = (held.stop_clock(), held.stop_clock());
            let why = held.must_end(false, Some(Instant::now() + 60 * MINUTE)).await;
            drop(one);
            assert!(!held.is_cancelled(), "the other step is still held");
            drop(two);
            why
        };
        let (of_hold, of_other) = tokio::join!(hold, beside.must_end(false, None));
        assert_eq!((of_hold, of_other), (KillReason::TimedOut, KillReason::Cancelled));
        assert_eq!((begun.elapsed(), beside.timed_out()), (70 * MINUTE, true));
        let mut later = job.clone();
        assert!(later.is_cancelled(), "all watches share the time limit");
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_survives_a_cancel_is_still_ended_by_force() {
        let (ask, mut job) = watch_of(false);
        ask.send(Cancellation::Cancel).expect("watched");
        assert_eq!(job.must_end(false, None).await, KillReason::Cancelled);
        let asks = async {
            tokio::time::sleep(MINUTE).await;
            ask.send(Cancellation::Force).expect("watched");
        };
        let (why, ()) = tokio::join!(job.must_end(true, None), asks);
        assert_eq!(why, KillReason::Forced);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancel_step_ends_one_background_step_even_if_it_survives_a_cancelled_job() {
        let (_ask, mut job) = watch_of(false);
        let (cancel, asked) = watch::channel(false);
        let (mut step, mut other) = (job.for_step(asked), job.for_step(watch::channel(false).1));
        let asks = async {
            tokio::time::sleep(MINUTE).await;
            cancel.send_replace(true);
        };
        let (why, ()) = tokio::join!(step.must_end(true, None), asks);
        assert_eq!((why, step.is_cancelled(), step.timed_out()), (KillReason::StepCancelled, true, false));
        assert!(!job.is_cancelled() && !other.is_cancelled());
        assert_eq!(other.must_end(false, None).await, KillReason::Cancelled, "the job's time limit is for all steps");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_machine_ends_every_step_and_is_not_hidden_by_a_cancel() {
        let (ask, mut job) = watch_of(true);
        assert!(Cancellation::Lost.ask(&ask) && !Cancellation::Force.ask(&ask));
        assert_eq!(job.must_end(true, None).await, KillReason::Lost);
        assert_eq!(job.at_once().await, KillReason::Lost);
        assert!(job.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_started_after_the_cancel_ignores_it() {
        let (ask, mut job) = watch_of(true);
        ask.send(Cancellation::Cancel).expect("watched");
        assert!(!job.is_cancelled());
        ask.send(Cancellation::Force).expect("watched");
        assert!(job.is_cancelled());
    }
}
