//! Conclusion of a run, from the ends of its jobs.

use crate::model::Conclusion;

use super::RunEnd;

/// The ends of jobs so far.
#[derive(Default)]
pub(super) struct Verdict {
    failed: bool,
    cancelled: bool,
    succeeded: bool,
    not_runnable: Vec<String>,
}

impl Verdict {
    /// Takes the end of a job into account.
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

    /// Takes the cancel of the run into account.
    pub(super) fn cancel(&mut self) {
        self.cancelled = true;
    }

    /// Takes a job into account that cannot run on this machine, so that the run does not succeed.
    pub(super) fn not_runnable(&mut self, job: &str, what: &str) {
        self.not_runnable.push(format!("{job}: {what}"));
    }

    /// Returns how the run ended.
    pub(super) fn conclude(&self) -> RunEnd {
        // The failure of one job is not explained by another job that could not run, so both are named.
        let too = if self.failed { "a job failed; " } else { "" };
        let reason = (!self.not_runnable.is_empty())
            .then(|| format!("{too}not runnable here: {}", self.not_runnable.join("; ")));
        let conclusion = match () {
            () if self.failed => Conclusion::Failure,
            () if self.cancelled => Conclusion::Cancelled,
            () if reason.is_some() => Conclusion::Failure,
            () if self.succeeded => Conclusion::Success,
            () => Conclusion::Skipped,
        };
        RunEnd { conclusion, reason }
    }
}
