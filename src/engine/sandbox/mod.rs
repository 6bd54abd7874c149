//! Machines that jobs run on.
//!
//! A [`Provider`](provider::Provider) is a kind of machine: this machine itself ([`host`]), or containers of a Docker
//! engine ([`docker`]). [`providers`] is the registry. A [`Sandbox`] is where the processes of a job run.
//!
//! Code outside a sandbox uses paths of this machine. [`Sandbox::inside`] translates a path to the one that the
//! processes see, and [`Sandbox::outside`] translates it back.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::io::AsyncRead;

use crate::files;
use crate::files::FileError;
use crate::model::Signal;
use crate::store::folder::RunFolder;

pub mod compose;
pub mod container;
pub mod docker;
pub mod host;
pub mod network;
pub mod provider;
pub mod providers;
pub mod shared;
pub mod terminal;
#[cfg(test)]
pub(crate) mod testing;

/// Returns the common prefix of `RUNNER_TRACKING_ID` for all jobs of a run. It ends in a slash, so that it is not a
/// prefix of another run's.
#[must_use]
pub fn run_tracking_id(run: &RunFolder) -> String {
    format!("cuelight/{}@{}/", run.id(), run.identity())
}

/// Environment in which processes of a job run: this machine, or a container.
pub trait Sandbox: Send + Sync {
    /// Returns a description for users: `host`, `docker ci-base:local`.
    fn describe(&self) -> String;

    /// Whether the processes run in a container, which has its own programs and sees only shared folders of this
    /// machine.
    fn is_container(&self) -> bool;

    /// Whether the processes run on another machine. Files that they write are only here after [`Sandbox::fetch`].
    fn is_elsewhere(&self) -> bool {
        false
    }

    /// Returns the image whose programs the processes see; `None` if they do not run in a container.
    fn image(&self) -> Option<&str> {
        None
    }

    /// Returns the id of that image, which changes when the name refers to another image; `None` if it is not known.
    fn image_id(&self) -> Option<&str> {
        None
    }

    /// Returns the base environment of every process.
    fn environment(&self) -> &[(OsString, OsString)];

    /// Returns the variables that a shell in the sandbox has by itself. Variables of [`Self::environment`] that are
    /// missing here reach only the processes of steps.
    fn inherited(&self) -> &[(OsString, OsString)] {
        self.environment()
    }

    /// Returns the shells for a step without `shell:`, in the order of preference.
    fn shells(&self) -> &'static [&'static str] {
        &["bash", "sh"]
    }

    /// Translates a path of this machine to the path that processes of the sandbox see.
    fn inside(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    /// Translates a path inside the sandbox to a path of this machine. A path outside the shared folders is returned
    /// unchanged.
    fn outside(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    /// Reads a regular file of at most `limit` bytes, by its path inside the sandbox.
    ///
    /// # Errors
    /// The file cannot be read, is larger than `limit`, or this machine does not share it with the sandbox.
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
        files::read(path, limit)
    }

    /// Finds a program on a search path of the sandbox. An absolute path is returned as it is, if the program exists.
    /// `None` if there is no such program.
    fn find<'a>(&'a self, program: &'a str, path: &'a OsStr) -> BoxFuture<'a, Option<PathBuf>>;

    /// Starts a process in a new process group.
    ///
    /// # Errors
    /// The program does not exist or cannot be executed, or the sandbox is out of resources.
    fn start<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, io::Result<Child>>;

    /// Copies a file, or the content of a folder, to the same place in the sandbox. Does nothing unless the sandbox is
    /// on another machine.
    ///
    /// # Errors
    /// A file cannot be read, or the sandbox does not respond.
    fn send<'a>(&'a self, _path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        ready(Ok(())).boxed()
    }

    /// Copies a file or folder, written by processes of the sandbox, to this machine: at most `limit` bytes. The
    /// counterpart of [`Sandbox::send`].
    ///
    /// # Errors
    /// The sandbox does not respond, the file does not exist (`NotFound`), or it is larger (`FileTooLarge`).
    fn fetch<'a>(&'a self, _path: &'a Path, _limit: u64) -> BoxFuture<'a, io::Result<()>> {
        ready(Ok(())).boxed()
    }

    /// Kills every process whose `RUNNER_TRACKING_ID` starts with this id. Returns the number of killed processes. Does
    /// nothing in a container, whose processes end with it.
    fn reap<'a>(&'a self, tracking_id: &'a str) -> BoxFuture<'a, usize>;
}

/// A process to start. All paths are paths inside the sandbox.
#[derive(Debug)]
pub struct Launch {
    /// Program.
    pub program: PathBuf,
    /// Arguments of the program.
    pub args: Vec<OsString>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Complete environment.
    pub env: Vec<(OsString, OsString)>,
    /// Whether the process belongs to a background step, during which other steps start.
    pub background: bool,
}

/// A started process. The parts are separate so that one task can wait for all of them at once.
pub struct Child {
    /// Process group, if it is a group of this machine that can be signalled.
    pub group: Option<i32>,
    /// Standard output and standard error as one stream, so that lines keep the order in which they were written.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
    /// Resolves when the process itself has ended. Its children may still hold the output open.
    pub exit: BoxFuture<'static, io::Result<Exit>>,
    /// Sends a signal to the whole group. A group that no longer exists is not an error.
    pub signal: Box<dyn Fn(Interrupt) + Send + Sync>,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// The process exited with this code.
    Code(i32),
    /// A signal killed the process.
    Signal(i32),
    /// The kernel killed the process because its container ran out of memory.
    OutOfMemory,
}

impl fmt::Display for Exit {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(to, "exit code {code}"),
            Self::Signal(signal) => write!(to, "killed by {}", Signal(*signal).name()),
            Self::OutOfMemory => write!(to, "killed: the container ran out of memory"),
        }
    }
}

/// Signals that end a step, in the order in which they are sent.
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
