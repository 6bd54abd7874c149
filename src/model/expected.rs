//! How long a run and its jobs are expected to take.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Job, Run, Timestamp};

/// How long recent successful runs and their jobs took. Empty if there are none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expected {
    /// Time from the start of the run to its end, including the time in which its jobs waited for runners; `None` if no
    /// earlier run shows it.
    pub run: Option<Duration>,
    /// Time from the start of each job to its end, excluding the time in which it waited, by the name of the job.
    pub jobs: BTreeMap<String, Duration>,
}

impl Expected {
    /// Returns the expected total duration of a job in progress. `None` without an estimate, or once the job has taken
    /// longer.
    #[must_use]
    pub fn of_job(&self, job: &Job, now: Timestamp) -> Option<Duration> {
        let started = job.started.filter(|_| goes_on(job))?;
        self.jobs.get(&job.name).copied().filter(|whole| *whole > now.since(started))
    }

    /// Returns the expected remaining time of a run in progress. `None` without an estimate, once the run has taken
    /// longer, and while one of its jobs waits for a person.
    #[must_use]
    pub fn rest_of(&self, run: &Run, now: Timestamp) -> Option<Duration> {
        let is_held = || run.jobs.values().any(|job| job.progress().is_held());
        let started = run.started.filter(|_| run.phase.is_active() && run.reviews.is_empty() && !is_held())?;
        self.run?.checked_sub(now.since(started)).filter(|rest| !rest.is_zero())
    }
}

/// Whether a job progresses by itself. The duration of a held step depends on a person and cannot be predicted.
fn goes_on(job: &Job) -> bool {
    job.phase.is_active() && !job.progress().is_held()
}
