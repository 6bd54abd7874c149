//! Machines that jobs run on.
//!
//! A [`Provider`](provider::Provider) is a kind of machine: this machine itself ([`host`]), or containers of a Docker
//! engine ([`docker`]). [`providers`] is the registry of all. A [`Sandbox`] is where the processes of a job run.
//!
//! Everything above a sandbox uses paths of this machine. [`Sandbox::inside`] translates a path to the one that the
//! processes see, and [`Sandbox::outside`] translates it back.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::io::AsyncRead;

pub mod container;
pub mod docker;
pub mod host;
pub mod provider;
pub mod providers;
pub mod shared;
pub mod terminal;
#[cfg(test)]
pub(crate) mod testing;

/// Returns the value of `RUNNER_TRACKING_ID` that the values of all jobs of a run begin with. It ends in a slash, so that
/// none is the beginning of another run's.
#[must_use]
pub fn run_tracking_id(run: &str) -> String {
    format!("cuelight/{run}/")
}

/// Where the processes of a job run.
pub trait Sandbox: Send + Sync {
    /// Returns a description for people: `host`, `docker ci-base:local`.
    fn describe(&self) -> String;

    /// Returns the environment that every process starts from.
    fn environment(&self) -> &[(OsString, OsString)];

    /// Returns the shells for a step without `shell:`, best first.
    fn shells(&self) -> &'static [&'static str] {
        &["bash", "sh"]
    }

    /// Translates a path of this machine to the one that processes of the sandbox see.
    fn inside(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    /// Translates a path that a process of the sandbox named to one of this machine. A path that does not exist here is
    /// returned unchanged.
    fn outside(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    /// Finds a program on a search path of the sandbox. An absolute path stands for itself.
    fn find<'a>(&'a self, program: &'a str, path: &'a OsStr) -> BoxFuture<'a, Option<PathBuf>>;

    /// Starts a process in a new process group.
    ///
    /// # Errors
    /// The program does not exist or cannot be executed, or the sandbox is out of resources.
    fn start<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, io::Result<Child>>;

    /// Copies what was written below this path to the sandbox. Only a sandbox on another machine has something to do.
    ///
    /// # Errors
    /// The sandbox does not answer.
    fn send<'a>(&'a self, _path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        ready(Ok(())).boxed()
    }

    /// Copies what processes of the sandbox wrote below this path to this machine. The other half of [`Sandbox::send`].
    ///
    /// # Errors
    /// The sandbox does not answer.
    fn fetch<'a>(&'a self, _path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        ready(Ok(())).boxed()
    }

    /// Kills every process with this `RUNNER_TRACKING_ID`. Returns how many there were.
    fn reap<'a>(&'a self, tracking_id: &'a str) -> BoxFuture<'a, usize>;
}

/// A process to start. All paths are those that the sandbox sees.
#[derive(Debug)]
pub struct Launch {
    /// Program.
    pub program: PathBuf,
    /// Arguments of the program.
    pub args: Vec<OsString>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Whole environment.
    pub env: Vec<(OsString, OsString)>,
}

/// A started process. Its parts are separate so that one task can wait for all of them at once.
pub struct Child {
    /// Process group, if it is one of this machine that can be signalled by its number.
    pub group: Option<i32>,
    /// Standard output and standard error as one stream, so that lines keep the order in which they were written.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
    /// Ready when the process itself has ended. Its children may still hold the output open.
    pub exit: BoxFuture<'static, io::Result<Exit>>,
    /// Sends a signal to the whole group. A group that is gone is not an error.
    pub signal: Box<dyn Fn(Interrupt) + Send + Sync>,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// A signal killed it.
    Signal(i32),
    /// The kernel killed it because its container had no memory left.
    OutOfMemory,
}

/// The signals that end a step, in the order in which they are sent.
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
    /// Returns the name for `kill -s`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Int => "INT",
            Self::Term => "TERM",
            Self::Kill => "KILL",
        }
    }
}
