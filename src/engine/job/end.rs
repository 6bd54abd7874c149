//! How a job ends.

use indexmap::IndexMap;

use crate::engine::panics::Panic;
use crate::model::{Conclusion, Event, JobId};

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobEnd {
    /// Its conclusion.
    pub(crate) conclusion: Conclusion,
    /// Whether its `continue-on-error` lets the run go on.
    pub(crate) allowed_failure: bool,
    /// Why, for people.
    pub(crate) reason: Option<String>,
    /// Its outputs.
    pub(crate) outputs: IndexMap<String, String>,
    /// `environment.url`.
    pub(crate) environment_url: Option<String>,
    /// Why it cannot run on this machine, if that is so: the run is then not a success.
    pub(crate) not_runnable: Option<String>,
}

impl JobEnd {
    /// An end with no detail.
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

    /// A failure with its reason.
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::of(Conclusion::Failure) }
    }

    /// A failure of this program.
    pub(crate) fn panicked(panic: &Panic) -> Self {
        Self::failed(format!("internal error: the job's task {panic}"))
    }

    /// Adds another reason to the one that is there.
    pub(crate) fn add_reason(&mut self, reason: String) {
        self.reason = Some(match self.reason.take() {
            Some(first) => format!("{first}; {reason}"),
            None => reason,
        });
    }

    /// Returns the record of the end.
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
