//! Where a job's processes run: on this machine, or in a container of an engine that speaks Docker's API.
//!
//! The engine's other parts deal in paths of this machine. [`Sandbox::inside`] says what a path is called where the
//! processes run, and [`Sandbox::outside`] the way back.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::io::AsyncRead;

pub mod docker;
pub mod host;

/// A place where processes run.
pub trait Sandbox: Send + Sync {
    /// The place in words, for people: `host`, `docker ci-base:local`.
    fn describe(&self) -> String;

    /// The environment that every process of the place starts from.
    fn environment(&self) -> &[(OsString, OsString)];

    /// The shells that a step without `shell:` gets, best first.
    fn shells(&self) -> &'static [&'static str] {
        &["bash", "sh"]
    }

    /// A path of this machine as processes of the place see it.
    fn inside(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    /// A path that a process of the place named, as a path of this machine. One that leads to nothing here is returned as
    /// it is.
    fn outside(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    /// Finds a program on a search path of the place; an absolute path stands for itself.
    fn find<'a>(&'a self, program: &'a str, path: &'a OsStr) -> BoxFuture<'a, Option<PathBuf>>;

    /// Starts a process in a group of its own.
    ///
    /// # Errors
    /// The program does not exist or cannot be executed, or the place has no room for it.
    fn start<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, io::Result<Child>>;

    /// Makes what was written below this path visible to processes of the place. Only a place on another machine has
    /// something to do.
    ///
    /// # Errors
    /// The place cannot be reached.
    fn send<'a>(&'a self, _path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        ready(Ok(())).boxed()
    }

    /// Brings what processes of the place wrote below this path here. The other half of [`Sandbox::send`].
    ///
    /// # Errors
    /// The place cannot be reached.
    fn fetch<'a>(&'a self, _path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        ready(Ok(())).boxed()
    }

    /// Ends, at once, every process that carries this `RUNNER_TRACKING_ID`, and says how many there were.
    fn reap<'a>(&'a self, tracking_id: &'a str) -> BoxFuture<'a, usize>;
}

/// A process to be started. All its paths are as the place sees them.
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
    /// The id of its process group, where it is one of this machine that can be signalled by its number.
    pub group: Option<i32>,
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
    /// Killed because its container had no memory left.
    OutOfMemory,
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

impl Interrupt {
    /// Its name for `kill -s`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Int => "INT",
            Self::Term => "TERM",
            Self::Kill => "KILL",
        }
    }
}
