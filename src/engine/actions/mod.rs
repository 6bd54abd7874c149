//! Actions: what `uses:` names, what it is given, and what it runs.
//!
//! [`resolve`] finds every action before the job's first step, and [`store`] fetches those of other repositories. An
//! action builds what its step runs: [`javascript`] a process in node, [`docker`] one in a new container. [`checkout`] is
//! `actions/checkout` of the run's repository, done by this program. Composite actions are steps inside a step, so they
//! are part of `job::steps`.

pub(super) mod checkout;
pub(super) mod docker;
pub(super) mod inputs;
pub(super) mod javascript;
pub(super) mod reference;
pub(super) mod resolve;
pub mod store;

/// When an action runs: before the first step, as its step, or after the last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// `pre`.
    Pre,
    /// `main`.
    Main,
    /// `post`.
    Post,
}
