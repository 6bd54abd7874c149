//! One job, from preparation to end.
//!
//! [`task`] runs the whole job: [`preflight`] finds and fetches everything that the job needs, [`folders`] creates its
//! folders, [`environment`] starts its machine, [`run_steps`] runs its [`steps`] in order, and everything created is
//! removed afterwards. [`runner_steps`] are the steps that the runner adds to the steps of the workflow file.

pub mod container;
mod docker_config;
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
