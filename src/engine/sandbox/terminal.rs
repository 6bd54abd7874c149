//! Interactive shells in jobs: the shell that a provider opens, and the terminal that it uses.

use std::io;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::provider::ProviderError;
use crate::engine::checkpoint::FailedStep;
use crate::model::Job;
use crate::store::folder::RunFolder;

/// A request for a shell.
pub struct ShellRequest<'r> {
    /// Folder of the run.
    pub run: &'r RunFolder,
    /// Job, as in the journal.
    pub job: &'r Job,
    /// Service of the job to open the shell in, instead of the job itself.
    pub service: Option<&'r str>,
    /// Environment and folder of the held or last failed step, including its secrets; `None` to use the running step.
    pub failed: Option<FailedStep>,
}

/// A shell that is ready to run.
pub trait Shell: Send {
    /// Returns where the shell runs, for users: `the container of test`, or a folder.
    fn place(&self) -> String;

    /// Runs the shell until it ends, and removes the resources made for it. Returns its exit code.
    ///
    /// # Errors
    /// The shell does not start, or the connection to it is lost.
    fn run(self: Box<Self>, terminal: &mut dyn Terminal) -> BoxFuture<'_, Result<i32, ProviderError>>;
}

/// The user's terminal. A shell on this machine inherits it; for any other shell, the bytes are passed on.
pub trait Terminal: Send {
    /// Whether standard input and output are a terminal.
    fn is_terminal(&self) -> bool;

    /// Starts to read keys, unmodified. Must be called at most once.
    ///
    /// # Errors
    /// The terminal cannot be set up.
    fn attach(&mut self) -> io::Result<mpsc::Receiver<Input>>;

    /// Writes output of the shell.
    fn write(&mut self, bytes: &[u8]);
}

/// Input from the terminal.
#[derive(Debug)]
pub enum Input {
    /// Bytes of standard input.
    Bytes(Vec<u8>),
    /// The terminal was resized: columns and rows.
    Resized(u16, u16),
    /// Standard input has ended.
    End,
}
