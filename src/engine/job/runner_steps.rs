//! The steps that the runner adds to those of the file (to prepare, around actions, to clean up), and the numbering of all.

use std::sync::Arc;

use crate::engine::outlet::{Outlet, StepLog};
use crate::engine::step::end::StepEnd;
use crate::model::{Conclusion, Event, JobId, StepKind, StepNumber, StepOutline};

/// A step of the runner, with its log.
pub(super) struct RunnerStep {
    outlet: Arc<dyn Outlet>,
    log: Box<dyn StepLog>,
    job: JobId,
    number: StepNumber,
}

/// Why a step of the runner did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RunnerStepError {
    /// The job was cancelled meanwhile.
    #[error("cancelled before its first step")]
    Cancelled,
    /// It failed; holds the reason.
    #[error("{0}")]
    Failed(String),
}

impl RunnerStepError {
    /// Returns the conclusion of the step, and of the job that cannot go on without it.
    pub(super) fn conclusion(&self) -> Conclusion {
        match self {
            Self::Cancelled => Conclusion::Cancelled,
            Self::Failed(_) => Conclusion::Failure,
        }
    }
}

impl RunnerStep {
    /// Records that the step has started.
    pub(super) fn start(outlet: &Arc<dyn Outlet>, job: &JobId, number: StepNumber, name: &str) -> Self {
        outlet.record(Event::StepStarted { job: job.clone(), step: number, name: name.to_owned() });
        let log = Arc::clone(outlet).log(job, number);
        Self { outlet: Arc::clone(outlet), log, job: job.clone(), number }
    }

    /// Returns its number.
    pub(super) fn number(&self) -> StepNumber {
        self.number
    }

    /// Returns its log.
    pub(super) fn log(&mut self) -> &mut dyn StepLog {
        &mut *self.log
    }

    /// Writes a line, and makes readers learn of it at once.
    pub(super) fn say(&mut self, line: &str) {
        self.log.write(format!("{line}\n").as_bytes());
        self.log.flush();
    }

    /// Records how the step ended.
    pub(super) fn close(mut self, end: &StepEnd) {
        self.log.finish();
        self.outlet.record(end.event(&self.job, self.number));
    }

    /// Ends the step with its result, which is returned.
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

/// The steps of a job, numbered as they become known.
#[derive(Clone, Debug, Default)]
pub(super) struct StepSequence {
    steps: Vec<StepOutline>,
}

impl StepSequence {
    /// Adds a step at the end.
    pub(super) fn add(&mut self, name: &str, kind: StepKind) -> StepNumber {
        let number = StepNumber(self.steps.len() as u32 + 1);
        self.steps.push(StepOutline { number, name: name.to_owned(), kind });
        number
    }

    /// Returns all steps.
    pub(super) fn all(self) -> Vec<StepOutline> {
        self.steps
    }

    /// Returns the newest step alone, for the record that announces it.
    pub(super) fn last(&self) -> Vec<StepOutline> {
        self.steps.last().cloned().into_iter().collect()
    }
}
