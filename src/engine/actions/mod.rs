//! Actions that steps use: references in `uses:`, inputs, and the processes that run them.
//!
//! [`resolve`] finds the actions of a job before its first step, and [`store`] fetches actions of other repositories.
//! [`javascript`] and [`docker`] build the process of an action. [`checkout`] is the built-in `actions/checkout` for
//! the run's repository. [`advice`] adapts steps with certain actions to this machine, and [`coverage`] replaces one of
//! these actions. Composite actions are steps inside a step, so they are part of `job::steps`.

pub(super) mod advice;
pub(super) mod checkout;
pub(super) mod coverage;
pub(super) mod docker;
pub(crate) mod error;
pub(super) mod inputs;
pub(super) mod javascript;
pub mod partial;
pub(crate) mod reference;
pub(crate) mod resolve;
pub mod store;

/// Phase of an action: before the first step, as a step, or after the last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// `pre`.
    Pre,
    /// `main`.
    Main,
    /// `post`.
    Post,
}
