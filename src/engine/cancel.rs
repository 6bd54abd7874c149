//! When a running step must be ended, and when a cancelled job's step may still run.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// What was asked of a job. Only ever raised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Cancellation {
    /// Nothing.
    #[default]
    None,
    /// End, but let `always()` and `cancelled()` steps do their work.
    Cancel,
    /// End now.
    Force,
}

impl Cancellation {
    /// Asks for this, unless as much was asked already; says whether it was news.
    pub fn ask(self, of: &watch::Sender<Self>) -> bool {
        of.send_if_modified(|now| {
            let higher = self > *now;
            *now = (*now).max(self);
            higher
        })
    }

    /// Whether a job is to end by this. One that began after the run was cancelled (`if: always()`) is not meant by that
    /// cancel, and `ignores_cancel`.
    fn ends(self, ignores_cancel: bool) -> bool {
        self >= if ignores_cancel { Self::Force } else { Self::Cancel }
    }
}

/// How long a cancelled job may go on with its `always()` steps: GitHub's default.
const CANCEL_TIMEOUT: Duration = Duration::from_mins(5);

/// Why a process is ended before it ended by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum KillReason {
    /// The step's own `timeout-minutes`.
    TimedOut,
    /// The job was cancelled, or its time was up.
    Cancelled,
    /// The job must end at once.
    Forced,
}

/// Watches over one job: its orders and its time.
#[derive(Debug)]
pub(super) struct CancelWatch {
    asked: watch::Receiver<Cancellation>,
    ignores_cancel: bool,
    deadline: Instant,
    cancelled_at: Option<Instant>,
    timed_out: bool,
}

impl CancelWatch {
    pub(super) fn new(asked: watch::Receiver<Cancellation>, ignores_cancel: bool, deadline: Instant) -> Self {
        Self { asked, ignores_cancel, deadline, cancelled_at: None, timed_out: false }
    }

    /// Looks at the orders and the time. Once true, it stays true.
    pub(super) fn is_cancelled(&mut self) -> bool {
        let now = Instant::now();
        if self.cancelled_at.is_none() {
            if self.asked.borrow().ends(self.ignores_cancel) {
                self.cancelled_at = Some(now);
            } else if now >= self.deadline {
                self.timed_out = true;
                self.cancelled_at = Some(now);
            }
        }
        self.cancelled_at.is_some()
    }

    /// Whether no further step may start.
    pub(super) fn is_over(&mut self) -> bool {
        let too_long = |at: Instant| at.elapsed() >= CANCEL_TIMEOUT;
        *self.asked.borrow() == Cancellation::Force || (self.is_cancelled() && self.cancelled_at.is_some_and(too_long))
    }

    /// Whether the job was ended by its own time limit.
    pub(super) fn timed_out(&self) -> bool {
        self.timed_out
    }

    /// Waits until the running step must be ended. `survives` says that its condition holds for a cancelled job too;
    /// `deadline` is the step's own.
    pub(super) async fn must_end(&mut self, survives: bool, deadline: Option<Instant>) -> KillReason {
        loop {
            if *self.asked.borrow() == Cancellation::Force {
                return KillReason::Forced;
            }
            let cancelled = self.is_cancelled();
            if cancelled && (!survives || self.is_over()) {
                return KillReason::Cancelled;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return KillReason::TimedOut;
            }
            let limit = self.cancelled_at.map_or(self.deadline, |at| at + CANCEL_TIMEOUT);
            let next = deadline.map_or(limit, |deadline| deadline.min(limit));
            tokio::select! {
                () = changed(&mut self.asked) => {}
                () = sleep_until(next) => {}
            }
        }
    }

    /// Waits until the job must end at once.
    pub(super) async fn forced(&mut self) {
        while *self.asked.borrow() != Cancellation::Force {
            changed(&mut self.asked).await;
        }
    }
}

/// Waits until a job is cancelled that no [`CancelWatch`] watches over yet.
pub(super) async fn cancelled(mut asked: watch::Receiver<Cancellation>, ignores_cancel: bool) {
    while !asked.borrow().ends(ignores_cancel) {
        changed(&mut asked).await;
    }
}

/// Waits for news; for ever once nobody can give any.
async fn changed(asked: &mut watch::Receiver<Cancellation>) {
    if asked.changed().await.is_err() {
        pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn rule(ignores_cancel: bool) -> (watch::Sender<Cancellation>, CancelWatch) {
        let (ask, asked) = watch::channel(Cancellation::None);
        (ask, CancelWatch::new(asked, ignores_cancel, Instant::now() + 10 * MINUTE))
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_times_out_before_its_job() {
        let (_ask, mut rule) = rule(false);
        assert_eq!(rule.must_end(false, Some(Instant::now() + MINUTE)).await, KillReason::TimedOut);
        assert!(!rule.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_out_of_time_cancels_its_step_and_lets_always_go_on_for_five_minutes() {
        let (_ask, mut rule) = rule(false);
        assert_eq!(rule.must_end(false, None).await, KillReason::Cancelled);
        assert!(rule.timed_out());
        let before = Instant::now();
        assert_eq!(rule.must_end(true, None).await, KillReason::Cancelled);
        assert_eq!(before.elapsed(), CANCEL_TIMEOUT);
        assert!(rule.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn cancel_spares_what_survives_it_and_force_spares_nothing() {
        let (ask, mut rule) = rule(false);
        ask.send(Cancellation::Cancel).expect("watched");
        assert_eq!(rule.must_end(false, None).await, KillReason::Cancelled);
        let asks = async {
            tokio::time::sleep(MINUTE).await;
            ask.send(Cancellation::Force).expect("watched");
        };
        let (why, ()) = tokio::join!(rule.must_end(true, None), asks);
        assert_eq!(why, KillReason::Forced);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_started_after_the_cancel_is_not_meant_by_it() {
        let (ask, mut rule) = rule(true);
        ask.send(Cancellation::Cancel).expect("watched");
        assert!(!rule.is_cancelled());
        ask.send(Cancellation::Force).expect("watched");
        assert!(rule.is_cancelled());
    }
}
