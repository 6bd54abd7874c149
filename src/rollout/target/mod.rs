//! Targets: where the replicas of an environment run.
//!
//! # Adding a target
//!
//! A folder beside [`script`] that implements [`Target`]; its settings in `model/deployment/settings.rs` and
//! `config/environments`; a line where the worker chooses the target.

use futures_util::future::BoxFuture;

use crate::model::deployment::{Observed, Plan, PlanStep, Slot};
use crate::store::StoreError;

use super::check::Answer;
use super::outlet::Progress;
use super::shell::CommandError;

pub mod script;

/// Why a target did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A command did not succeed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The `status` command printed something else than a status.
    #[error("line {line} of the status command is `{text}`: write SLOT COMMIT REPLICAS HEALTHY WEIGHT")]
    Status {
        /// Number of the line, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// What the target had last cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Carries out steps where replicas run. Every step names a state: one that is repeated must have the same effect.
pub trait Target: Send + Sync {
    /// Returns what runs.
    fn observe<'t>(&'t self, progress: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>>;

    /// Carries out a step: start, weight, drain or stop. Of other steps it only learns that they went well.
    fn act<'t>(
        &'t self,
        step: &'t PlanStep,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Result<(), TargetError>>;

    /// Asks once whether all replicas of a slot are healthy.
    fn health<'t>(&'t self, slot: Slot, plan: &'t Plan, progress: &'t Progress) -> BoxFuture<'t, Answer>;
}
