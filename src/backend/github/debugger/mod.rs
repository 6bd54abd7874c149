//! GitHub's debugger of running jobs, a preview: a job that was re-run with it stops before each step, and a client can
//! inspect its variables, run commands in it and continue it.
//!
//! The server names a tunnel (`wss://*.devtunnels.ms`) to the runner of the job, which is checked before the token is
//! sent to it. Through the tunnel, the runner speaks the Debug Adapter Protocol. Neither is documented: both were taken
//! from the source of GitHub's runner and of its extension of Visual Studio Code, and tested only against a fake runner
//! that behaves like that source.
//!
//! - [`attach()`]: finds the debugger of a job and connects to it
//! - `endpoint`: checks which addresses may get the token
//! - `socket`: the web socket, with its limits
//! - `dap`: the messages of the protocol
//! - [`Session`]: the conversation
//! - [`Line`]: a line of input

mod attach;
mod dap;
mod endpoint;
mod error;
mod input;
mod session;
mod socket;
#[cfg(test)]
mod tests;

use std::io;

pub use attach::{Attached, attach};
pub use dap::{Evaluation, Event, Frame, Variable};
pub use endpoint::EndpointError;
pub use error::DebuggerError;
pub use input::{Line, LineError};
pub use session::{Session, State};

/// Receives the events of a conversation as they come. An error ends the operation.
pub type Report<'r> = &'r mut dyn FnMut(Event) -> io::Result<()>;
