//! The plan of a deployment and the position in it, written before each step.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::model::deployment::{Plan, PlanStep, Slot};
use crate::model::lane::Kept;
use crate::store::folder::RunFolder;
use crate::store::{StoreError, json};

/// Maximum size in bytes of the position file.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A position in a plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// The plan.
    pub plan: Plan,
    /// Number of steps that are done.
    pub done: usize,
    /// Why the deployment rolls back; `None` while it goes forward.
    pub back: Option<String>,
    /// Whether the deployment has ended, so that nothing is left to do or to undo.
    pub has_ended: bool,
}

impl Position {
    /// Reads the position of a deployment; `None` if it has not passed its gates.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(folder: &RunFolder) -> Result<Option<Self>, StoreError> {
        json::read(&folder.deployment(), MAX_BYTES)
    }

    /// Writes the position.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &RunFolder) -> Result<(), StoreError> {
        json::write(&folder.deployment(), self)
    }

    /// Returns the number of the current step, from 1, and the number of all steps.
    #[must_use]
    pub fn step(&self) -> (usize, usize) {
        let all = self.plan.steps.len();
        ((self.done + 1).min(all), all)
    }

    /// Returns the current step in words; empty for a plan without steps.
    #[must_use]
    pub fn step_name(&self) -> String {
        let step = self.plan.steps.get(self.step().0.saturating_sub(1));
        step.map(|step| self.plan.describe(step)).unwrap_or_default()
    }

    /// Returns the former release that still runs, if the current step waits to stop it. `since` is the time of the
    /// success.
    #[must_use]
    pub fn kept(&self, since: Timestamp) -> Option<Kept> {
        let (slot, after) = self.stop_after().filter(|(slot, _)| *slot != self.plan.new.slot)?;
        let release = self.plan.release(slot)?.clone();
        Some(Kept { release, slot, until: since.after(after) })
    }

    /// Returns how long after the deployment the environment is stopped, if that is the current step.
    #[must_use]
    pub fn auto_stop(&self) -> Option<Duration> {
        self.stop_after().filter(|(slot, _)| *slot == self.plan.new.slot).map(|(_, after)| after)
    }

    /// Returns the slot that the current step stops, and how long after the success, if the step waits.
    fn stop_after(&self) -> Option<(Slot, Duration)> {
        match self.plan.steps.get(self.done)? {
            PlanStep::Stop { slot, after, .. } if !after.is_zero() => Some((*slot, *after)),
            _ => None,
        }
    }

    /// Returns the position in words: `step 4/9, Wait until green is healthy`.
    #[must_use]
    pub fn text(&self) -> String {
        let (at, all) = self.step();
        let step = self.step_name();
        let back = if self.back.is_some() { ", rolling back" } else { "" };
        format!("step {at}/{all}{back}, {step}")
    }
}
