//! Finds the jobs and steps of a run that a user names: a job by its id, its key or its name, a step by its number or
//! its name.

use super::{Job, JobId, PendingReview, RerunScope, Run, RunId, Step, StepNumber, nearest};

/// Why a name does not identify a job, a step or an environment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No job has the name.
    #[error("{run} has no job `{wanted}`; it has {}", known.join(", "))]
    NoJob {
        /// The run.
        run: RunId,
        /// The name as given.
        wanted: String,
        /// The ids of all jobs.
        known: Vec<String>,
    },
    /// No step has the name.
    #[error("{run} has no step `{wanted}` here; `cuelight show {run}` lists the steps")]
    NoStep {
        /// The run.
        run: RunId,
        /// The name as given.
        wanted: String,
    },
    /// No environment with the name waits for a review.
    #[error("no environment `{wanted}` of {run} waits for a review{}", hint(nearest.as_deref(), known))]
    NoReview {
        /// The run.
        run: RunId,
        /// The name as given.
        wanted: String,
        /// The environments that wait.
        known: Vec<String>,
        /// The most similar of these environments.
        nearest: Option<String>,
    },
    /// Several jobs have the name, and one is needed.
    #[error("`{wanted}` matches several jobs: name one of {}", ids.join(", "))]
    Several {
        /// The name as given.
        wanted: String,
        /// The ids of the jobs that have it.
        ids: Vec<String>,
    },
}

impl Run {
    /// Returns a step of a job; `None` if the run has no such job, or the job no such step.
    #[must_use]
    pub fn step(&self, job: &JobId, number: StepNumber) -> Option<&Step> {
        self.jobs.get(job)?.steps.iter().find(|step| step.number == number)
    }

    /// Returns the name of a job; its id if the run has no such job.
    #[must_use]
    pub fn job_name<'r>(&'r self, job: &'r JobId) -> &'r str {
        self.jobs.get(job).map_or(job.as_str(), |job| job.name.as_str())
    }

    /// Returns the jobs with this id, key or name; all jobs for `None`.
    ///
    /// # Errors
    /// No job has this id, key or name.
    pub fn jobs_wanted(&self, wanted: Option<&str>) -> Result<Vec<&Job>, LookupError> {
        wanted.map_or_else(|| Ok(self.jobs.values().collect()), |wanted| self.jobs_named(wanted))
    }

    /// Returns the jobs with this id, key or name; never an empty list.
    fn jobs_named(&self, wanted: &str) -> Result<Vec<&Job>, LookupError> {
        let jobs: Vec<_> = self.jobs.values().filter(|job| job.is_named(wanted)).collect();
        if jobs.is_empty() {
            let known = self.jobs.keys().map(ToString::to_string).collect();
            return Err(LookupError::NoJob { run: self.info.id.clone(), wanted: wanted.to_owned(), known });
        }
        Ok(jobs)
    }

    /// Returns the only job with this id, key or name.
    ///
    /// # Errors
    /// No job has this id, key or name, or several do.
    pub fn job_named(&self, wanted: &str) -> Result<&Job, LookupError> {
        let jobs = self.jobs_named(wanted)?;
        match jobs.as_slice() {
            [only] => Ok(only),
            several => {
                let ids = several.iter().map(|job| job.id.to_string()).collect();
                Err(LookupError::Several { wanted: wanted.to_owned(), ids })
            }
        }
    }

    /// Returns the scope that re-runs a job, or all legs of a matrix. With `step`, the scope re-runs one job from that
    /// step on.
    ///
    /// # Errors
    /// The job or the step is missing, or several jobs have the name and a step is given.
    pub fn rerun_of(&self, job: &str, step: Option<&str>) -> Result<RerunScope, LookupError> {
        let Some(step) = step else {
            let found = self.jobs_named(job)?[0];
            return Ok(RerunScope::Job(JobId::new(if found.id.as_str() == job { job } else { &found.key })));
        };
        let job = self.job_named(job)?;
        let found = job.steps.iter().find(|one| one.is_named(step)).ok_or_else(|| self.no_step(step))?;
        Ok(RerunScope::Step { job: job.id.clone(), step: found.number })
    }

    /// Returns the jobs that a rerun carries out: the jobs of its scope, the jobs that need them, their callers, and
    /// the jobs that they call.
    #[must_use]
    pub fn jobs_of(&self, scope: &RerunScope) -> Vec<&JobId> {
        let is_chosen = |job: &&Job| match scope {
            RerunScope::All => true,
            RerunScope::Failed => {
                job.phase.conclusion().is_none_or(|conclusion| conclusion.is_bad() && !job.allowed_failure)
            }
            RerunScope::Job(wanted) => job.id == *wanted || job.key == wanted.as_str(),
            RerunScope::Step { job: wanted, .. } => job.id == *wanted,
        };
        with_dependants(self, self.jobs.values().filter(is_chosen).map(|job| &job.id).collect())
    }

    /// Returns the pending review of an environment.
    ///
    /// # Errors
    /// No environment with this name waits for a review.
    pub fn review_named(&self, wanted: &str) -> Result<&PendingReview, LookupError> {
        self.reviews.iter().find(|review| review.environment == wanted).ok_or_else(|| {
            let known = self.reviews.iter().map(|review| review.environment.as_str());
            LookupError::NoReview {
                run: self.info.id.clone(),
                wanted: wanted.to_owned(),
                nearest: nearest(wanted, known.clone()).map(str::to_owned),
                known: known.map(str::to_owned).collect(),
            }
        })
    }

    /// Returns the error for a step that does not exist.
    #[must_use]
    pub fn no_step(&self, wanted: &str) -> LookupError {
        LookupError::NoStep { run: self.info.id.clone(), wanted: wanted.to_owned() }
    }
}

impl Job {
    /// Whether this is the job's id, key or name.
    #[must_use]
    pub fn is_named(&self, wanted: &str) -> bool {
        [self.id.as_str(), &self.key, &self.name].contains(&wanted)
    }
}

impl Step {
    /// Whether this is the step's number or name.
    #[must_use]
    pub fn is_named(&self, wanted: &str) -> bool {
        self.number.to_string() == wanted || self.name == wanted
    }
}

/// Returns the given jobs, the jobs that need them, their callers, and the jobs that they call.
fn with_dependants<'r>(run: &'r Run, first: Vec<&'r JobId>) -> Vec<&'r JobId> {
    let mut again = first;
    loop {
        let more: Vec<_> = run
            .jobs
            .values()
            .filter(|job| !again.contains(&&job.id))
            .filter(|job| {
                let needs = job.needs.iter().any(|need| again.contains(&need));
                let called = job.caller.as_ref().is_some_and(|caller| again.contains(&caller));
                let calls = again.iter().any(|other| run.jobs[*other].caller.as_ref() == Some(&job.id));
                needs || called || calls
            })
            .map(|job| &job.id)
            .collect();
        if more.is_empty() {
            return again;
        }
        again.extend(more);
    }
}

/// Returns the end of a message: the environment that was probably meant, or all environments that wait.
fn hint(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => format!("; it waits for {}", known.join(", ")),
    }
}
