//! One step's process: what it runs, its environment, what it writes, and what it leaves for later steps.
//!
//! A `run:` step ([`script`]) and every action build an [`Invocation`](invocation::Invocation). [`mod@env`] puts the
//! environment together, layer by layer. [`process`] runs the process to its end: [`output`] reads what it writes,
//! obeying [`workflow_command`]s and problem [`matcher`]s, and [`command_files`] has what it left in files.
//!
//! Nothing here knows the other steps of the job: [`StepContext`](context::StepContext) is all that a step needs.

pub(super) mod command_files;
pub(super) mod context;
pub(super) mod end;
pub(super) mod env;
pub(super) mod invocation;
pub(super) mod matcher;
mod output;
pub(super) mod process;
pub(super) mod script;
pub(super) mod shell;
mod workflow_command;
