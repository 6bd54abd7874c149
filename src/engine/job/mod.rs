//! One job, from its preparation to its end.
//!
//! [`task`] is the job's whole life: [`preflight`] finds everything that it needs, [`environment`] makes its folders and
//! starts its machine, [`run_steps`] runs its [`steps`] in their order, and what it made is removed.
//! [`runner_steps`] are the steps that the runner adds to those of the file.

pub mod container;
pub(super) mod end;
pub(super) mod environment;
mod folders;
pub mod preflight;
mod run_steps;
mod runner_steps;
pub(super) mod runs_on;
pub(super) mod spec;
mod steps;
pub(super) mod task;
#[cfg(test)]
mod tests;
