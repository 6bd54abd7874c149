//! Conclusion of a run, from the ends of its jobs.

use indexmap::IndexMap;

use crate::engine::job::end::NotRunnable;
use crate::model::Conclusion;
use crate::model::legs::{by_reason, legs};

use super::RunEnd;

/// The ends of jobs so far.
#[derive(Default)]
pub(super) struct Verdict {
    failed: bool,
    cancelled: bool,
    succeeded: bool,
    /// Keys and names of the jobs that did not run here, by the reason.
    not_runnable: IndexMap<NotRunnable, Vec<(String, String)>>,
    /// Whether the run can succeed without the jobs that need another machine.
    skips_unrunnable: bool,
}

impl Verdict {
    /// Creates a verdict that has counted no jobs. With `skips_unrunnable`, the run can succeed without the jobs that
    /// need another machine.
    pub(super) fn new(skips_unrunnable: bool) -> Self {
        Self { skips_unrunnable, ..Self::default() }
    }

    /// Counts the end of a job.
    pub(super) fn count(&mut self, conclusion: Conclusion, allowed_failure: bool) {
        match conclusion {
            _ if allowed_failure => self.succeeded = true,
            Conclusion::Success | Conclusion::Neutral => self.succeeded = true,
            Conclusion::Skipped | Conclusion::Stale => {}
            Conclusion::Cancelled => self.cancelled = true,
            Conclusion::Failure | Conclusion::TimedOut | Conclusion::ActionRequired | Conclusion::StartupFailure => {
                self.failed = true;
            }
        }
    }

    /// Counts the cancellation of the run.
    pub(super) fn cancel(&mut self) {
        self.cancelled = true;
    }

    /// Counts a job that did not run here.
    pub(super) fn not_runnable(&mut self, key: &str, name: &str, why: NotRunnable) {
        self.not_runnable.entry(why).or_default().push((key.to_owned(), name.to_owned()));
    }

    /// Returns how the run ended.
    pub(super) fn conclude(&self) -> RunEnd {
        let (skipped, missed): (Vec<_>, Vec<_>) = self
            .not_runnable
            .iter()
            .partition(|(why, _)| self.skips_unrunnable && matches!(why, NotRunnable::Elsewhere(_)));
        let named = |groups: &[(&NotRunnable, &Vec<(String, String)>)]| {
            let jobs = groups
                .iter()
                .flat_map(|(why, jobs)| jobs.iter().map(|(key, name)| (why.text(), (key.as_str(), name.as_str()))));
            let named = by_reason(jobs).into_iter().map(|(why, jobs)| format!("{}: {why}", legs(jobs)));
            named.collect::<Vec<_>>().join("; ")
        };
        let mut reasons = Vec::new();
        // The jobs that could not run are not the only cause of the failure, so the reason also mentions the failed
        // job.
        reasons.extend((self.failed && !missed.is_empty()).then(|| "a job failed".to_owned()));
        reasons.extend((!missed.is_empty()).then(|| format!("not runnable here: {}", named(&missed))));
        reasons.extend(
            (!skipped.is_empty()).then(|| format!("skipped, because they need another machine: {}", named(&skipped))),
        );
        let conclusion = match () {
            () if self.failed => Conclusion::Failure,
            () if self.cancelled => Conclusion::Cancelled,
            () if !missed.is_empty() => Conclusion::Failure,
            () if self.succeeded => Conclusion::Success,
            () => Conclusion::Skipped,
        };
        RunEnd { conclusion, reason: (!reasons.is_empty()).then(|| reasons.join("; ")) }
    }
}
