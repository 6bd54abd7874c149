//! The plan of a deployment and the position in it, written before each step.

use std::io;

use serde::{Deserialize, Serialize};

use crate::files;
use crate::model::deployment::Plan;
use crate::store::folder::RunFolder;
use crate::store::{StoreError, atomic};

/// Maximum size in bytes of the file.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A position in a plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// The plan.
    pub plan: Plan,
    /// Number of steps that are done.
    pub done: usize,
    /// Why the deployment goes back; `None` while it goes forward.
    pub back: Option<String>,
    /// Whether it ended: nothing is left to do or to undo.
    pub has_ended: bool,
}

impl Position {
    /// Reads the position of a deployment; `None` if it has not passed its gates.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(folder: &RunFolder) -> Result<Option<Self>, StoreError> {
        let path = folder.deployment();
        match files::read_own(&path, MAX_BYTES) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| StoreError::Damaged { path, reason: error.to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", path)(error)),
        }
    }

    /// Writes the position.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &RunFolder) -> Result<(), StoreError> {
        let path = folder.deployment();
        let text = serde_json::to_vec_pretty(self).expect("numbers and texts always serialise");
        atomic::write(&path, &text).map_err(StoreError::io("write", path))
    }

    /// Returns the position in words: `step 4/9, Wait until green is healthy`.
    #[must_use]
    pub fn text(&self) -> String {
        let (at, all) = ((self.done + 1).min(self.plan.steps.len()), self.plan.steps.len());
        let step = self.plan.steps.get(at.saturating_sub(1)).map(|step| self.plan.describe(step)).unwrap_or_default();
        let back = if self.back.is_some() { ", on its way back" } else { "" };
        format!("step {at}/{all}{back}, {step}")
    }
}
