//! Carries out a plan: decides what may start, runs the steps, and reports every fact to an [`outlet::Outlet`].
//!
//! [`attempt`] is the loop: it takes turns with the pure [`scheduler`], decides conditions and matrices, and starts a
//! task for each job. A job prepares its place, and runs its steps one after the other: a script in a shell,
//! or an action. One step's process is driven in `process`, and what it writes passes through `output`.
//!
//! The engine observes and reports. It never says how a thing ended without having seen it end.

pub mod checkpoint;
pub mod mask;
pub mod outlet;
pub mod sandbox;
pub mod scheduler;
pub mod stop;

mod command;
mod command_files;
mod environment;
mod matcher;
mod shell;
