//! How a job ends.

use indexmap::IndexMap;

use crate::model::{Conclusion, Event, JobId};

/// How a job ended.
#[derive(Clone, Debug)]
pub(in crate::engine) struct JobEnd {
    /// Its conclusion.
    pub(in crate::engine) conclusion: Conclusion,
    /// Whether its `continue-on-error` lets the run go on.
    pub(in crate::engine) allowed_failure: bool,
    /// Why, in words.
    pub(in crate::engine) reason: Option<String>,
    /// Its outputs.
    pub(in crate::engine) outputs: IndexMap<String, String>,
    /// `environment.url`.
    pub(in crate::engine) environment_url: Option<String>,
    /// Why it cannot run on this machine, when that is so: the run is then no success.
    pub(in crate::engine) not_runnable: Option<String>,
}

impl JobEnd {
    /// An end with nothing to tell but how.
    #[must_use]
    pub(in crate::engine) fn of(conclusion: Conclusion) -> Self {
        Self {
            conclusion,
            allowed_failure: false,
            reason: None,
            outputs: IndexMap::new(),
            environment_url: None,
            not_runnable: None,
        }
    }

    /// The fact that readers are told.
    #[must_use]
    pub(in crate::engine) fn event(&self, job: &JobId) -> Event {
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
