//! A shell that a person uses in a job: what is asked of a provider, and what it asks of the terminal.

use std::io;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::provider::ProviderError;
use crate::engine::checkpoint::FailedStep;
use crate::model::Job;
use crate::store::folder::RunFolder;

/// Where a shell is wanted.
pub struct ShellRequest<'r> {
    /// The run.
    pub run: &'r RunFolder,
    /// The job, as its journal shows it.
    pub job: &'r Job,
    /// A service of the job instead of the job itself.
    pub service: Option<&'r str>,
    /// Environment and folder of the last step that failed, with its secrets.
    pub failed: Option<FailedStep>,
}

/// A shell that is ready to run.
pub trait Shell: Send {
    /// Where it runs, for people: `the container of test`, or a folder.
    fn place(&self) -> String;

    /// Runs the shell to its end, and removes what was made for it. Returns its exit code.
    ///
    /// # Errors
    /// It does not start, or the connection to it is lost.
    fn run(self: Box<Self>, terminal: &mut dyn Terminal) -> BoxFuture<'_, Result<i32, ProviderError>>;
}

/// The terminal of the person. A shell of this machine inherits it; any other passes the bytes on.
pub trait Terminal: Send {
    /// Whether it is a terminal, and not a pipe.
    fn is_terminal(&self) -> bool;

    /// Begins to read, with every key passed on unchanged. At most once.
    ///
    /// # Errors
    /// The terminal cannot be set up.
    fn attach(&mut self) -> io::Result<mpsc::Receiver<Input>>;

    /// Writes what the shell printed.
    fn write(&mut self, bytes: &[u8]);
}

/// What comes from the terminal.
#[derive(Debug)]
pub enum Input {
    /// Bytes of standard input.
    Bytes(Vec<u8>),
    /// The terminal has another size: columns and rows.
    Resized(u16, u16),
    /// Standard input is at its end.
    End,
}
