//! The fold of records into the state of runs.
//!
//! [`RunStore::apply`] is total and idempotent: it cannot fail, and a record that was folded already changes nothing.
//! In whatever order a crash leaves the records, no phase moves backwards within an attempt: what has ended stays ended.

//!
//! - `jobs`: the jobs of a run
//! - `steps`: the state of a job and its steps

use indexmap::IndexMap;

use crate::model::{Command, Conclusion, Event, Gate, Phase, Record, Reply, Run, RunId, RunInfo, Timestamp};

mod jobs;
mod steps;
#[cfg(test)]
mod tests;

/// The state of any number of runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunStore {
    runs: IndexMap<RunId, Run>,
}

impl RunStore {
    /// Adds a run in which nothing has happened yet. A known run stays as it is.
    pub fn open(&mut self, info: RunInfo) {
        self.runs.entry(info.id.clone()).or_insert_with(|| Run {
            name: info.workflow.clone(),
            info,
            attempt: 0,
            phase: Phase::Queued,
            reason: None,
            started: None,
            finished: None,
            jobs: IndexMap::new(),
            seq: 0,
        });
    }

    /// Removes a run.
    pub fn close(&mut self, id: &RunId) {
        self.runs.shift_remove(id);
    }

    /// Returns a run.
    #[must_use]
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.runs.get(id)
    }

    /// Returns all runs, in the order in which they were added.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.values()
    }

    /// Folds a record in. Records of an unknown run or job, and records that were folded before, change nothing.
    pub fn apply(&mut self, id: &RunId, record: &Record) {
        let Some(run) = self.runs.get_mut(id) else { return };
        if record.seq <= run.seq {
            return;
        }
        run.seq = record.seq;
        fold(run, record.at, &record.event);
    }
}

fn fold(run: &mut Run, at: Timestamp, event: &Event) {
    match event {
        Event::RunStarted { attempt, name } => {
            let waited = *attempt == run.attempt && matches!(run.phase, Phase::Waiting(_));
            if *attempt > run.attempt || waited {
                run.attempt = *attempt;
                run.name.clone_from(name);
                run.phase = Phase::Running;
                run.reason = None;
                run.started = Some(at);
                run.finished = None;
            }
        }
        Event::RunWaiting { gate, attempt, name } => {
            if *attempt > run.attempt || matches!(run.phase, Phase::Queued | Phase::Waiting(_)) {
                run.attempt = run.attempt.max(*attempt);
                run.name.clone_from(name);
                run.phase = Phase::Waiting(gate.clone());
                run.reason = None;
                run.started = None;
                run.finished = None;
            }
        }
        Event::JobsPlanned { jobs, replaces } => {
            if !run.phase.is_done() {
                jobs::plan(run, jobs, replaces.as_ref());
            }
        }
        Event::Ordered { command: Command::Cancel | Command::ForceCancel, reply: Reply::Accepted } => {
            if !run.phase.is_done() {
                run.phase = Phase::Stopping;
            }
        }
        Event::RunFinished { conclusion, reason } => {
            if !run.phase.is_done() {
                run.phase = Phase::Done(*conclusion);
                run.reason.clone_from(reason);
                run.finished = Some(at);
                // How active jobs ended is unknown: they count as failed or cancelled. Jobs that never started did not
                // fail.
                let cancelled = *conclusion == Conclusion::Cancelled;
                let lost = if cancelled { Conclusion::Cancelled } else { Conclusion::Failure };
                for job in run.jobs.values_mut() {
                    let end = if job.phase.is_active() { lost } else { Conclusion::Cancelled };
                    steps::close_job(job, end, at);
                }
            }
        }
        Event::ImagePulled { job, image, done, total } => {
            if let Some(job) = run.jobs.get_mut(job).filter(|job| !job.phase.is_active() && !job.phase.is_done()) {
                job.phase = Phase::Waiting(Gate::Resource(steps::pulling(image, *done, *total)));
            }
        }
        Event::Ordered { .. } | Event::Unknown => {}
        Event::JobWaiting { job, .. }
        | Event::Decided { job, .. }
        | Event::JobStarted { job, .. }
        | Event::JobFinished { job, .. }
        | Event::StepsPlanned { job, .. }
        | Event::ServiceChanged { job, .. }
        | Event::StepStarted { job, .. }
        | Event::ProcessStarted { job, .. }
        | Event::Output { job, .. }
        | Event::LineGrew { job, .. }
        | Event::Annotated { job, .. }
        | Event::StepFinished { job, .. } => {
            if let Some(job) = run.jobs.get_mut(job) {
                steps::fold_job(job, at, event);
            }
        }
    }
}
