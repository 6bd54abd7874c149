//! The steps that a job has of its own (to prepare, around actions, to clean up), and the line of all its steps.

use std::sync::Arc;

use crate::engine::outlet::{Outlet, StepLog};
use crate::engine::step::StepEnd;
use crate::model::{Conclusion, Event, JobId, StepKind, StepNumber, StepOutline};

/// What a job says that was cancelled before its first step.
pub(super) const CANCELLED: &str = "cancelled before its first step";

/// A step of the runner's own, with a log.
pub(super) struct RunnerStep {
    outlet: Arc<dyn Outlet>,
    log: Box<dyn StepLog>,
    job: JobId,
    number: StepNumber,
}

impl RunnerStep {
    /// Tells that it has begun.
    pub(super) fn begin(outlet: &Arc<dyn Outlet>, job: &JobId, number: StepNumber, name: &str) -> Self {
        outlet.record(Event::StepStarted { job: job.clone(), step: number, name: name.to_owned() });
        let log = Arc::clone(outlet).log(job, number);
        Self { outlet: Arc::clone(outlet), log, job: job.clone(), number }
    }

    /// Where what it does is written.
    pub(super) fn log(&mut self) -> &mut dyn StepLog {
        &mut *self.log
    }

    /// Tells how it ended.
    pub(super) fn close(mut self, end: &StepEnd) {
        self.log.finish();
        self.outlet.record(end.event(&self.job, self.number));
    }

    /// Writes a line, at once for readers.
    pub(super) fn say(&mut self, line: &str) {
        self.log.write(format!("{line}\n").as_bytes());
        self.log.flush();
    }

    /// Ends the step with what came of it.
    pub(super) fn end(mut self, done: Result<(), String>) -> Result<(), String> {
        if let Err(reason) = &done {
            self.log.write(format!("##[error]{reason}\n").as_bytes());
        }
        self.close(&match &done {
            Ok(()) => StepEnd::of(Conclusion::Success),
            Err(reason) if reason == CANCELLED => {
                StepEnd { reason: Some(reason.clone()), ..StepEnd::of(Conclusion::Cancelled) }
            }
            Err(reason) => StepEnd::failed(reason.clone()),
        });
        done
    }
}

/// The steps of a job, numbered as they become known.
#[derive(Clone, Debug, Default)]
pub(super) struct StepSequence {
    pub(super) steps: Vec<StepOutline>,
}

impl StepSequence {
    /// Adds a step at the end.
    pub(super) fn add(&mut self, name: &str, kind: StepKind) -> StepNumber {
        let number = StepNumber(self.steps.len() as u32 + 1);
        self.steps.push(StepOutline { number, name: name.to_owned(), kind });
        number
    }

    /// The newest step alone, to be told of.
    pub(super) fn last(&self) -> Vec<StepOutline> {
        self.steps.last().cloned().into_iter().collect()
    }
}
