//! Where a job's processes run. The host is the first place; a container engine is another file behind [`Sandbox`].

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use futures_util::future::BoxFuture;
use tokio::io::AsyncRead;

pub mod host;

/// A place where processes run.
pub trait Sandbox: Send + Sync {
    /// The place in words, for people: `host`.
    fn describe(&self) -> String;

    /// The environment that every process of the place starts from.
    fn environment(&self) -> &[(OsString, OsString)];

    /// Starts a process in a group of its own.
    ///
    /// # Errors
    /// The program does not exist or cannot be executed, or the machine has no room for it.
    fn start(&self, launch: &Launch) -> io::Result<Child>;

    /// Ends, at once, every process that carries this `RUNNER_TRACKING_ID`, and says how many there were.
    fn reap<'a>(&'a self, tracking_id: &'a str) -> BoxFuture<'a, usize>;
}

/// A process to be started.
#[derive(Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
}

/// A started process. Its parts are apart so that one task can wait for all of them at once.
pub struct Child {
    /// The id of its process group on this machine.
    pub group: i32,
    /// What it writes. Standard output and standard error are one stream, so lines keep the order in which they were
    /// written, which two streams would lose.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
    /// Ready when the process itself has ended; its children may still hold the output open.
    pub exit: BoxFuture<'static, io::Result<Exit>>,
    /// Sends a signal to the whole group. A group that is gone is no error.
    pub signal: Box<dyn Fn(Interrupt) + Send + Sync>,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// The signals that end a step, politest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interrupt {
    /// SIGINT.
    Int,
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}
