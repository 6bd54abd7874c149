//! How a job ends.

use std::time::Duration;

use indexmap::IndexMap;

use crate::engine::panics::Panic;
use crate::model::{Conclusion, Event, JobId};

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobEnd {
    /// Conclusion of the job.
    pub(crate) conclusion: Conclusion,
    /// Whether the job failed, but `continue-on-error` lets the run continue as if it had succeeded.
    pub(crate) allowed_failure: bool,
    /// Reason of the conclusion, as a message; `None` if the conclusion needs no explanation.
    pub(crate) reason: Option<String>,
    /// Outputs of the job.
    pub(crate) outputs: IndexMap<String, String>,
    /// `environment.url`, evaluated; `None` if it is not set or empty.
    pub(crate) environment_url: Option<String>,
    /// Why the job did not run on this machine, or `None` if it could run. Unless the run may skip the job, the run
    /// fails.
    pub(crate) not_runnable: Option<NotRunnable>,
}

/// Why a job did not run on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NotRunnable {
    /// The job needs another machine. Holds the reason.
    Elsewhere(String),
    /// The job cannot run on any machine: its `runs-on` is invalid, or its sandbox is unknown. Holds the reason.
    Nowhere(String),
}

impl NotRunnable {
    /// Returns the reason.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Elsewhere(reason) | Self::Nowhere(reason) => reason,
        }
    }

    /// Returns the end of the job: it is skipped for this reason.
    pub(crate) fn end(self) -> JobEnd {
        let reason = Some(format!("not runnable here ({})", self.text()));
        JobEnd { reason, not_runnable: Some(self), ..JobEnd::of(Conclusion::Skipped) }
    }
}

impl JobEnd {
    /// Creates an end without details.
    pub(crate) fn of(conclusion: Conclusion) -> Self {
        Self {
            conclusion,
            allowed_failure: false,
            reason: None,
            outputs: IndexMap::new(),
            environment_url: None,
            not_runnable: None,
        }
    }

    /// Creates a failure with its reason.
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::of(Conclusion::Failure) }
    }

    /// Creates the failure of a job whose task panicked.
    pub(crate) fn panicked(panic: &Panic) -> Self {
        Self::failed(format!("internal error: the job's task {panic}"))
    }

    /// Creates the end of a job that did not end in time after it was force-cancelled.
    pub(crate) fn given_up(after: Duration) -> Self {
        let reason = format!("abandoned: it did not end within {} s of a forced cancellation", after.as_secs());
        Self { reason: Some(reason), ..Self::of(Conclusion::Cancelled) }
    }

    /// Appends a reason.
    pub(crate) fn add_reason(&mut self, reason: String) {
        self.reason = Some(match self.reason.take() {
            Some(first) => format!("{first}; {reason}"),
            None => reason,
        });
    }

    /// Returns the event that records the end.
    pub(crate) fn event(&self, job: &JobId) -> Event {
        Event::JobFinished {
            job: job.clone(),
            conclusion: self.conclusion,
            allowed_failure: self.allowed_failure,
            reason: self.reason.clone(),
            outputs: self.outputs.clone(),
            environment_url: self.environment_url.clone(),
        }
    }
}
