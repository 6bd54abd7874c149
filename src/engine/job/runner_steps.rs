//! Steps that the runner adds to the steps of the workflow file (set up, `pre` and `post` of actions, clean up), and
//! the numbering of all steps.

use std::sync::Arc;

use crate::engine::outlet::{Outlet, StepLog};
use crate::engine::step::end::StepEnd;
use crate::model::{Conclusion, Event, JobId, StepKind, StepNumber, StepOutline};

/// A step added by the runner, and its log.
pub(super) struct RunnerStep {
    outlet: Arc<dyn Outlet>,
    log: Box<dyn StepLog>,
    job: JobId,
    number: StepNumber,
}

/// Why a step of the runner did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RunnerStepError {
    /// The job was cancelled while the step ran.
    #[error("cancelled before its first step")]
    Cancelled,
    /// The step failed; holds the reason.
    #[error("{0}")]
    Failed(String),
}

impl RunnerStepError {
    /// Returns the conclusion of the step, and of the job if it cannot continue without the step.
    pub(super) fn conclusion(&self) -> Conclusion {
        match self {
            Self::Cancelled => Conclusion::Cancelled,
            Self::Failed(_) => Conclusion::Failure,
        }
    }
}

impl RunnerStep {
    /// Records that the step has started, and opens its log.
    pub(super) fn start(outlet: &Arc<dyn Outlet>, job: &JobId, number: StepNumber, name: &str) -> Self {
        outlet.record(Event::StepStarted { job: job.clone(), step: number, name: name.to_owned() });
        let log = Arc::clone(outlet).log(job, number);
        Self { outlet: Arc::clone(outlet), log, job: job.clone(), number }
    }

    /// Returns the number of the step.
    pub(super) fn number(&self) -> StepNumber {
        self.number
    }

    /// Returns the log of the step.
    pub(super) fn log(&mut self) -> &mut dyn StepLog {
        &mut *self.log
    }

    /// Writes a line, or several, without the last line end, to the log and notifies readers.
    pub(super) fn say(&mut self, text: &str) {
        self.log.write(text.as_bytes());
        self.log.write(b"\n");
        self.log.flush();
    }

    /// Ends the log, and records the end of the step.
    pub(super) fn close(mut self, end: &StepEnd) {
        self.log.finish();
        self.outlet.record(end.event(&self.job, self.number));
    }

    /// Ends the step according to `result`, and returns `result`. An error is also written to the log.
    pub(super) fn end<T>(mut self, result: Result<T, RunnerStepError>) -> Result<T, RunnerStepError> {
        let end = match &result {
            Ok(_) => StepEnd::of(Conclusion::Success),
            Err(error) => {
                self.log.write(format!("##[error]{error}\n").as_bytes());
                StepEnd { reason: Some(error.to_string()), ..StepEnd::of(error.conclusion()) }
            }
        };
        self.close(&end);
        result
    }
}

/// Steps of a job, numbered in the order in which they become known.
#[derive(Clone, Debug, Default)]
pub(super) struct StepSequence {
    steps: Vec<StepOutline>,
}

impl StepSequence {
    /// Adds a step of the runner at the end, and returns its number.
    pub(super) fn add(&mut self, name: &str, kind: StepKind) -> StepNumber {
        self.push(name, kind, false)
    }

    /// Adds a step of the file at the end, and returns its number.
    pub(super) fn add_of_file(&mut self, name: &str, background: bool) -> StepNumber {
        self.push(name, StepKind::Main, background)
    }

    fn push(&mut self, name: &str, kind: StepKind, background: bool) -> StepNumber {
        let number = StepNumber(self.steps.len() as u32 + 1);
        self.steps.push(StepOutline { number, name: name.to_owned(), kind, background, label: None });
        number
    }

    /// Returns all steps.
    pub(super) fn all(self) -> Vec<StepOutline> {
        self.steps
    }

    /// Returns only the newest step, for the event that lists it before it starts.
    pub(super) fn last(&self) -> Vec<StepOutline> {
        self.steps.last().cloned().into_iter().collect()
    }
}
