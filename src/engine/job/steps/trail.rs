//! The way back to an earlier step: what each step of a job changed for the steps after it.
//!
//! Only changes are kept, not whole states, so that the memory for a job with many steps grows with what they write.
//! Files, services and masks are not undone.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::engine::checkpoint::Status;
use crate::engine::outlet::Outlet;
use crate::model::{Conclusion, JobId, StepNumber};

use super::scope::{StepRef, StepScope};
use super::{Steps, Written};

/// The steps of a job to which it can go back, in order. The last one is the current step.
#[derive(Default)]
pub(super) struct Trail(Vec<Entry>);

/// A step, and the state that it found.
struct Entry {
    number: StepNumber,
    /// Status of the job.
    status: Status,
    /// Reason of the first failure in the job.
    reason: Option<String>,
    /// Variables that the step wrote, in order, each with its value before.
    env: Vec<(String, Option<String>)>,
    /// Folders of `PATH`; `None` if the step added no folder.
    path: Option<Vec<String>>,
    /// Conclusion of the last try; `None` until it has ended.
    conclusion: Option<Conclusion>,
}

impl Trail {
    /// Returns the numbers of the steps.
    pub(super) fn numbers(&self) -> Vec<StepNumber> {
        self.0.iter().map(|entry| entry.number).collect()
    }

    /// Keeps what the current step is about to overwrite.
    pub(super) fn keep(&mut self, written: &Written, env: &IndexMap<String, String>, path: &[String]) {
        let Some(current) = self.0.last_mut() else { return };
        current.env.extend(written.env.keys().map(|name| (name.clone(), env.get(name).cloned())));
        if !written.path.is_empty() {
            current.path.get_or_insert_with(|| path.to_vec());
        }
    }
}

impl Steps<'_> {
    /// Notes that a step begins, so that the job can go back to it. `reason` is the reason of the first failure so far.
    pub(in crate::engine::job) fn begin(&mut self, scope: &StepScope, number: StepNumber, reason: Option<&str>) {
        let (status, reason) = (scope.status, reason.map(str::to_owned));
        self.trail.0.push(Entry { number, status, reason, env: Vec::new(), path: None, conclusion: None });
    }

    /// Notes how the current step ended.
    pub(in crate::engine::job) fn ended(&mut self, conclusion: Conclusion) {
        if let Some(current) = self.trail.0.last_mut() {
            current.conclusion = Some(conclusion);
        }
    }

    /// Forgets all steps: a background step, or a step that controls them, cannot be undone.
    pub(in crate::engine::job) fn close_way_back(&mut self) {
        self.trail.0.clear();
    }

    /// Goes back to an earlier step, or to the current one. `reached` are the steps of the job up to the current one.
    /// Returns how many steps the job goes back, and the reason of the first failure before the step. Adds a line to
    /// the logs of the steps that had ended.
    pub(in crate::engine::job) fn go_back(
        &mut self,
        scope: &mut StepScope,
        reached: &[StepRef],
        from: StepNumber,
    ) -> (usize, Option<String>) {
        let at = self.trail.0.iter().position(|entry| entry.number == from);
        let undone = self.trail.0.split_off(at.unwrap_or(self.trail.0.len()));
        let mut reason = None;
        for (step, entry) in reached.iter().rev().zip(undone.iter().rev()) {
            for (name, before) in entry.env.iter().rev() {
                match before {
                    Some(value) => drop(self.env.insert(name.clone(), value.clone())),
                    None => drop(self.env.shift_remove(name)),
                }
            }
            if let Some(path) = &entry.path {
                self.path.clone_from(path);
            }
            scope.steps.shift_remove(&step.id);
            scope.status = entry.status;
            reason.clone_from(&entry.reason);
        }
        if let (Some(first), Some(last)) = (undone.first(), undone.last()) {
            self.job.artifacts.forget(first.number..=last.number);
        }
        let job = &self.job.id;
        for entry in &undone {
            if let Some(conclusion) = entry.conclusion.filter(|conclusion| *conclusion != Conclusion::Skipped) {
                let text = format!("##[warning]The step runs again; its result was {}\n", conclusion.word());
                note(&self.job.shared.outlet, job, entry.number, &text);
            }
        }
        (undone.len().saturating_sub(1), reason)
    }
}

/// Adds a line to the log of a step that has ended.
fn note(outlet: &Arc<dyn Outlet>, job: &JobId, step: StepNumber, line: &str) {
    let mut log = Arc::clone(outlet).log(job, step);
    log.write(line.as_bytes());
    log.finish();
}
