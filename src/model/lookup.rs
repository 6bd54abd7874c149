//! Finds the jobs and steps of a run that a user names: a job by its id, its key or its name, a step by its number or
//! its name.

use super::{
    Conclusion, Job, JobId, PendingReview, RerunScope, Run, RunId, Step, StepNumber, is_same_name, suggestion,
};

/// Why a name does not identify a job, a step or an environment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No job has the name.
    #[error("{run} has no job `{wanted}`{hint}")]
    NoJob {
        /// The run.
        run: RunId,
        /// The name as given.
        wanted: String,
        /// The end of the message: the most similar name, or the ids of the jobs.
        hint: String,
    },
    /// No step has the name.
    #[error("{run} has no step `{wanted}` here{hint}; `cuelight show {run}` lists the steps")]
    NoStep {
        /// The run.
        run: RunId,
        /// The name as given.
        wanted: String,
        /// The most similar name; empty if there is none.
        hint: String,
    },
    /// No environment with the name waits for a review.
    #[error("no environment `{wanted}` of {run} waits for a review{hint}")]
    NoReview {
        /// The run.
        run: RunId,
        /// The name as given.
        wanted: String,
        /// The end of the message: the most similar of the environments that wait, or all of them.
        hint: String,
    },
    /// No job was named, and it is not clear which one is meant.
    #[error("{run}: name the job of the step, one of {}", ids.join(", "))]
    WhichJob {
        /// The run.
        run: RunId,
        /// The ids of the jobs that may be meant.
        ids: Vec<String>,
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

    /// Returns the jobs with this id, key or name; never an empty list. The case of letters matters only if it
    /// distinguishes jobs.
    fn jobs_named(&self, wanted: &str) -> Result<Vec<&Job>, LookupError> {
        let mut jobs: Vec<_> = self.jobs.values().filter(|job| job.is_named(wanted)).collect();
        if jobs.is_empty() {
            let is_meant = |job: &&Job| job.names().iter().any(|name| is_same_name(name, wanted));
            jobs = self.jobs.values().filter(is_meant).collect();
        }
        if jobs.is_empty() {
            let hint = suggestion(
                wanted,
                self.jobs.values().flat_map(Job::names),
                "it has",
                self.jobs.keys().map(JobId::as_str),
            );
            return Err(LookupError::NoJob { run: self.info.id.clone(), wanted: wanted.to_owned(), hint });
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

    /// Returns the names of a job and of a step, which may be given together as `JOB/STEP`; `step` overrides that one. A
    /// name that is a job's stays whole, because names of jobs may have slashes, and so does one that starts with no
    /// job, for the error about it.
    #[must_use]
    pub fn job_and_step<'n>(&self, job: Option<&'n str>, step: Option<&'n str>) -> (Option<&'n str>, Option<&'n str>) {
        let Some(name) = job.filter(|name| self.jobs_named(name).is_err()) else { return (job, step) };
        let mut parts = name.rmatch_indices('/').map(|(at, _)| (name[..at].trim(), name[at + 1..].trim()));
        match parts.find(|(job, _)| self.jobs_named(job).is_ok()) {
            Some((job, of_job)) => (Some(job), step.or(Some(of_job).filter(|step| !step.is_empty()))),
            None => (job, step),
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
        let found = job.step_named(step).ok_or_else(|| self.no_step(step))?;
        Ok(RerunScope::Step { job: job.id.clone(), step: found.number })
    }

    /// Returns the job whose steps are re-run if no job is named: the only one with steps that failed, or the only job.
    ///
    /// # Errors
    /// No job failed, or several did.
    pub fn job_to_repeat(&self) -> Result<&Job, LookupError> {
        let failed = |job: &&Job| job.phase.conclusion().is_some_and(Conclusion::is_bad) && !job.steps.is_empty();
        let failed: Vec<&Job> = self.jobs.values().filter(failed).collect();
        let meant: Vec<&Job> = if failed.is_empty() { self.jobs.values().collect() } else { failed };
        match meant[..] {
            [one] => Ok(one),
            _ => Err(LookupError::WhichJob {
                run: self.info.id.clone(),
                ids: meant.iter().map(|job| job.id.to_string()).collect(),
            }),
        }
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
            let hint = suggestion(wanted, known.clone(), "it waits for", known);
            LookupError::NoReview { run: self.info.id.clone(), wanted: wanted.to_owned(), hint }
        })
    }

    /// Returns the error for a step that does not exist.
    #[must_use]
    pub fn no_step(&self, wanted: &str) -> LookupError {
        let steps = self.jobs.values().flat_map(|job| &job.steps).map(|step| step.name.as_str());
        let hint = suggestion(wanted, steps, "", std::iter::empty());
        LookupError::NoStep { run: self.info.id.clone(), wanted: wanted.to_owned(), hint }
    }
}

impl Job {
    /// Whether this is the job's id, key or name.
    #[must_use]
    pub fn is_named(&self, wanted: &str) -> bool {
        self.names().contains(&wanted)
    }

    fn names(&self) -> [&str; 3] {
        [self.id.as_str(), &self.key, &self.name]
    }

    /// Returns the step with this number or name; `None` if there is none. The case of letters matters only if it
    /// distinguishes steps.
    #[must_use]
    pub fn step_named(&self, wanted: &str) -> Option<&Step> {
        let exact = self.steps.iter().find(|step| step.name == wanted);
        exact.or_else(|| self.steps.iter().find(|step| step.is_named(wanted)))
    }
}

impl Step {
    /// Whether this is the step's number or name, in any case of letters.
    #[must_use]
    pub fn is_named(&self, wanted: &str) -> bool {
        self.number.to_string() == wanted || is_same_name(&self.name, wanted)
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
