//! The selection: one run, and a job or a step of it. Every pane shows the same selection.

use crate::model::{Conclusion, Job, JobId, Run, RunId, Step, StepKind, StepNumber};

use super::state::{AppState, has_failed};

/// The selected run, job and step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Selection {
    run: Option<RunId>,
    job: Option<JobSelection>,
    follows: bool,
}

/// A selected job, or one of its steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct JobSelection {
    pub(super) job: JobId,
    /// The selected step; `None` when the job as a whole is selected.
    pub(super) step: Option<StepNumber>,
}

impl JobSelection {
    /// Selects a job as a whole.
    pub(super) fn whole(job: JobId) -> Self {
        Self { job, step: None }
    }
}

impl Default for Selection {
    fn default() -> Self {
        Self { run: None, job: None, follows: true }
    }
}

impl Selection {
    /// Returns the id of the selected run; `None` if no run is selected.
    pub(super) fn run_id(&self) -> Option<&RunId> {
        self.run.as_ref()
    }

    /// Returns the selected run; `None` before its records have arrived.
    pub(super) fn run<'s>(&self, state: &'s AppState) -> Option<&'s Run> {
        state.run(self.run.as_ref()?)
    }

    /// Returns the ids of the selected job or step; `None` if no job is selected.
    pub(super) fn job_selection(&self) -> Option<&JobSelection> {
        self.job.as_ref()
    }

    /// Returns the id of the selected job, or of the job of the selected step; `None` if no job is selected.
    pub(super) fn job_id(&self) -> Option<&JobId> {
        self.job.as_ref().map(|selection| &selection.job)
    }

    /// Returns the selected job, or the job of the selected step; `None` if no job is selected or its records have not
    /// arrived.
    pub(super) fn job<'s>(&self, state: &'s AppState) -> Option<&'s Job> {
        self.run(state)?.jobs.get(self.job_id()?)
    }

    /// Returns the step whose log is shown, with its job: the selected step, else the most relevant step of the
    /// selected job. `None` if no job is selected or no step is relevant.
    pub(super) fn step<'s>(&self, state: &'s AppState) -> Option<(&'s Job, &'s Step)> {
        let job = self.job(state)?;
        let step = match self.job.as_ref()?.step {
            Some(number) => job.steps.iter().find(|step| step.number == number),
            None => relevant_step(job),
        };
        Some((job, step?))
    }

    /// Whether the selection follows the running job and step. It stops when the user selects another job or step.
    pub(super) fn follows(&self) -> bool {
        self.follows
    }

    /// Selects a run. If it is a different one, no job is selected and the running step is followed.
    pub(super) fn select_run(&mut self, run: Option<RunId>) {
        if run != self.run {
            *self = Self { run, ..Self::default() };
        }
    }

    /// Selects a job or a step of the selected run, and stops following the running step.
    pub(super) fn select(&mut self, job: JobSelection) {
        self.job = Some(job);
        self.follows = false;
    }

    /// Follows the running step from now on.
    pub(super) fn follow(&mut self) {
        self.follows = true;
    }

    /// Moves to a job or step without changing whether the running step is followed.
    pub(super) fn move_to(&mut self, job: Option<JobSelection>) {
        self.job = job;
    }
}

/// Returns the most relevant step of a job: the last running step with output, because background steps come before the
/// steps that run beside them; else the first running step; else the first held step; else the first failed step; else
/// the first cancelled step; else the last step with output; `None` if there is no such step. For a job on a server, the
/// first step of the workflow file comes before the last one with output, because the log of such a job arrives as a
/// whole.
pub(super) fn relevant_step(job: &Job) -> Option<&Step> {
    let steps = &job.steps;
    let running = || steps.iter().filter(|step| step.phase.is_active());
    running()
        .rfind(|step| step.lines > 0)
        .or_else(|| running().next())
        .or_else(|| steps.iter().find(|step| step.phase.is_held()))
        .or_else(|| steps.iter().find(|step| has_failed(&step.phase)))
        .or_else(|| steps.iter().find(|step| step.phase.conclusion().is_some_and(Conclusion::is_bad)))
        .or_else(|| steps.iter().find(|step| step.kind == StepKind::Main).filter(|_| job.remote.is_some()))
        .or_else(|| steps.iter().rev().find(|step| step.lines > 0))
}
