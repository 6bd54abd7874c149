//! Computes the state of runs from their records.
//!
//! [`RunStore::apply`] is total and idempotent: it cannot fail, and applying a record again changes nothing. Whatever
//! records a crash has lost, no phase moves backwards within an attempt: what has ended stays ended. There are three
//! exceptions. A failed step that is held waits, and is in progress again once it is released. The other two are for
//! mirrors of remote runs. A run that is in progress may wait again, because GitHub reports a run as waiting while one
//! of its jobs waits for a review. And a run that ended without any job starts over when the same attempt starts again:
//! the list of runs on a server shows that a run has ended, but not which jobs it had.
//!
//! - `chronology`: records of mirrors in the order of their times
//! - `jobs`: the jobs of a run
//! - `reviews`: pending reviews of deployments
//! - `steps`: the state of a job and its steps

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::model::{
    Command, Conclusion, Event, Gate, Phase, Record, Reply, Review, Run, RunId, RunInfo, Timestamp, WorkingTree,
};

mod chronology;
mod jobs;
mod reviews;
mod steps;
#[cfg(test)]
mod tests;

pub use chronology::chronological;

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
            trees: if info.remote.is_none() { BTreeMap::from([(1, WorkingTree::of(&info))]) } else { BTreeMap::new() },
            info,
            attempt: 0,
            phase: Phase::Queued,
            reason: None,
            started: None,
            finished: None,
            jobs: IndexMap::new(),
            reviews: Vec::new(),
            holds: false,
            reviewed: Vec::new(),
            seq: 0,
        });
    }

    /// Adds a run in the state to which its earlier records led, or replaces the run with this id.
    pub fn resume(&mut self, run: Run) {
        self.runs.insert(run.info.id.clone(), run);
    }

    /// Removes a run.
    pub fn close(&mut self, id: &RunId) {
        self.runs.shift_remove(id);
    }

    /// Returns a run; `None` if it was not added.
    #[must_use]
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.runs.get(id)
    }

    /// Returns all runs, in the order in which they were added.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.values()
    }

    /// Applies a record to a run. Records of an unknown run or job, and records that were applied before, change
    /// nothing.
    pub fn apply(&mut self, id: &RunId, record: &Record) {
        let Some(run) = self.runs.get_mut(id) else { return };
        if record.seq <= run.seq {
            return;
        }
        run.seq = record.seq;
        fold(run, record.at, &record.event);
    }
}

/// Whether a job of the current attempt is known.
fn has_jobs(run: &Run) -> bool {
    run.jobs.values().any(|job| job.attempt == run.attempt)
}

/// Resets the state that belongs to one attempt only.
fn forget_attempt(run: &mut Run) {
    run.reviews.clear();
    run.holds = false;
}

fn fold(run: &mut Run, at: Timestamp, event: &Event) {
    match event {
        Event::RunStarted { attempt, name } => {
            let is_known = *attempt == run.attempt;
            let waited = is_known && matches!(run.phase, Phase::Waiting(_));
            let is_new = *attempt > run.attempt || (is_known && run.phase.is_done() && !has_jobs(run));
            if is_new || waited {
                if is_new {
                    forget_attempt(run);
                }
                run.attempt = *attempt;
                run.name.clone_from(name);
                run.phase = Phase::Running;
                run.reason = None;
                run.started = run.started.filter(|_| waited).or(Some(at));
                run.finished = None;
            }
        }
        Event::WorkingTreeRead { attempt, tree } => {
            run.trees.insert(*attempt, tree.clone());
            if *attempt >= run.attempt {
                run.info.set_working_tree(tree);
            }
        }
        Event::RunWaiting { gate, attempt, name } => {
            let is_new = *attempt > run.attempt;
            if is_new || matches!(run.phase, Phase::Queued | Phase::Waiting(_) | Phase::Running) {
                run.started = run.started.filter(|_| !is_new);
                if is_new {
                    forget_attempt(run);
                }
                run.attempt = run.attempt.max(*attempt);
                run.name.clone_from(name);
                run.phase = Phase::Waiting(gate.clone());
                run.reason = None;
                run.finished = None;
                if matches!(gate, Gate::Concurrency { .. }) {
                    jobs::wait_for(run, gate);
                }
            }
        }
        Event::JobsPlanned { jobs, replaces } => {
            if !run.phase.is_done() {
                jobs::plan(run, jobs, replaces.as_ref());
            }
        }
        Event::Ordered { command: Command::Cancel | Command::ForceCancel, reply: Reply::Accepted, .. } => {
            if !run.phase.is_done() {
                run.phase = Phase::Stopping;
            }
        }
        Event::Ordered { command: Command::Hold { on }, reply: Reply::Accepted, .. } => run.holds = *on,
        Event::RunFinished { conclusion, reason } => {
            if !run.phase.is_done() {
                run.phase = Phase::Done(*conclusion);
                run.reason.clone_from(reason);
                run.finished = Some(at);
                run.reviews.clear();
                // How active jobs ended is unknown: they count as failed or cancelled. Jobs that never started count as
                // cancelled.
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
        Event::ReviewsPending { environments } => {
            if !run.phase.is_done() {
                reviews::pend(run, environments, at);
            }
        }
        Event::Reviewed { environments, approved, by, comment } => run.reviewed.push(Review {
            environments: environments.clone(),
            approved: *approved,
            by: by.clone(),
            comment: comment.clone(),
            at,
        }),
        // Environments that still wait after their review, for example for a timer, are in the next list.
        Event::Ordered { command: Command::Review { environments, .. }, reply: Reply::Accepted, .. } => {
            run.reviews.retain(|review| !environments.contains(&review.id));
        }
        Event::Ordered { .. } | Event::Notified { .. } | Event::Unknown => {}
        Event::JobWaiting { job, .. }
        | Event::Decided { job, .. }
        | Event::JobStarted { job, .. }
        | Event::JobFinished { job, .. }
        | Event::DeploymentRecorded { job, .. }
        | Event::StepsPlanned { job, .. }
        | Event::ServiceChanged { job, .. }
        | Event::TrafficObserved { job, .. }
        | Event::StepStarted { job, .. }
        | Event::StepHeld { job, .. }
        | Event::StepReleased { job, .. }
        | Event::ProcessStarted { job, .. }
        | Event::Output { job, .. }
        | Event::LineGrew { job, .. }
        | Event::RunnerFound { job, .. }
        | Event::Annotated { job, .. }
        | Event::StepFinished { job, .. } => {
            if let Some(job) = run.jobs.get_mut(job) {
                steps::fold_job(job, at, event);
            }
        }
    }
}
