//! The process of one step: its command, environment, output, and the results it leaves for later steps.
//!
//! A `run:` step ([`script`]) and every action build an [`Invocation`](invocation::Invocation). [`mod@env`] assembles
//! the environment layer by layer. [`process`] runs the process to its end: [`output`] reads its output, executes
//! [`workflow_command`]s and applies problem [`matcher`]s, and [`command_files`] reads the results that it wrote to
//! files.
//!
//! Modules here do not use the job's other steps: a step needs only [`StepContext`](context::StepContext).

pub(super) mod artifacts;
pub(super) mod command_files;
pub(super) mod context;
pub(super) mod end;
pub(super) mod env;
pub(super) mod invocation;
pub(super) mod matcher;
mod output;
pub(super) mod process;
pub(super) mod script;
pub(crate) mod shell;
mod workflow_command;
