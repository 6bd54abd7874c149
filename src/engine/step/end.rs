//! How a step ends.

use std::time::Duration;

use crate::model::{Conclusion, Event, JobId, Signal, StepNumber};

/// Returns a time limit in the unit of workflow files, as `0.03 minutes`.
pub(in crate::engine) fn minutes(limit: Duration) -> String {
    let minutes = rounded(limit.as_secs_f64() / 60.0);
    if minutes == "1" { "1 minute".to_owned() } else { format!("{minutes} minutes") }
}

/// Returns a number with at most six digits after the point, because a product of floats has more: 0.03 × 60 / 60.
pub(in crate::engine) fn rounded(number: f64) -> String {
    ((number * 1e6).round() / 1e6).to_string()
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct StepEnd {
    /// Result before `continue-on-error`.
    pub(in crate::engine) outcome: Conclusion,
    /// Result after `continue-on-error`.
    pub(in crate::engine) conclusion: Conclusion,
    /// Exit code of the process; `None` if it did not exit by itself, for example because a signal killed it.
    pub(in crate::engine) exit_code: Option<i32>,
    /// Signal that killed the process, if any.
    pub(in crate::engine) signal: Option<Signal>,
    /// Reason of the result, as a message; `None` for a step that simply succeeded.
    pub(in crate::engine) reason: Option<String>,
}

impl StepEnd {
    /// Creates an end without details.
    pub(in crate::engine) fn of(conclusion: Conclusion) -> Self {
        Self { outcome: conclusion, conclusion, exit_code: None, signal: None, reason: None }
    }

    /// Creates a failure with its reason.
    pub(in crate::engine) fn failed(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::of(Conclusion::Failure) }
    }

    /// Creates the end of a step that was cancelled while it ran, or before its process started.
    pub(in crate::engine) fn cancelled() -> Self {
        Self { reason: Some("cancelled".to_owned()), ..Self::of(Conclusion::Cancelled) }
    }

    /// Creates the end of a background step that a `cancel` step ended.
    pub(in crate::engine) fn cancelled_by_step() -> Self {
        Self { reason: Some("cancelled by a later step".to_owned()), ..Self::of(Conclusion::Cancelled) }
    }

    /// Creates the end of a step whose job lost its machine.
    pub(in crate::engine) fn lost() -> Self {
        Self::failed("the connection to the machine of the job was lost")
    }

    /// Appends a possible cause to the reason of a failure. Does nothing for other results.
    pub(in crate::engine) fn explain(&mut self, more: Option<String>) {
        if self.outcome != Conclusion::Failure {
            return;
        }
        self.reason = [self.reason.take(), more].into_iter().flatten().reduce(|all, more| format!("{all}; {more}"));
    }

    /// Returns the event that records the end.
    pub(in crate::engine) fn event(&self, job: &JobId, step: StepNumber) -> Event {
        Event::StepFinished {
            job: job.clone(),
            step,
            outcome: self.outcome,
            conclusion: self.conclusion,
            exit_code: self.exit_code,
            signal: self.signal,
            reason: self.reason.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_written_as_in_the_file() {
        for (limit, expected) in [
            (0.03, "0.03 minutes"),
            (1.0, "1 minute"),
            (0.1, "0.1 minutes"),
            (0.7, "0.7 minutes"),
            (360.0, "360 minutes"),
        ] {
            assert_eq!(minutes(Duration::from_secs_f64(limit * 60.0)), expected);
        }
        assert_eq!(rounded(Duration::from_secs_f64(0.03 * 60.0).as_secs_f64()), "1.8");
    }
}
