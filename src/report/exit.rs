//! Exit codes. `cuelight --help` prints them, and a test compares the README with them.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::LazyLock;

/// Exit code of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// The command succeeded; the run succeeded; the files have no errors.
    Success,
    /// The run failed or could not do all of its work, or a file has errors.
    Failed,
    /// The command line or a configuration file is invalid.
    Usage,
    /// A run, job, workflow, file or pending review does not exist.
    NotFound,
    /// The repository is not trusted, or the worker or the server refused the command.
    Rejected,
    /// The state folder or a worker's socket is not accessible, or a server does not respond.
    Unavailable,
    /// No run appeared in time.
    TimedOut,
    /// A bug in cuelight.
    Internal,
    /// A step is held, and no person at a terminal could decide how its job continues. The run is in progress.
    Held,
    /// The run was cancelled, or Ctrl-C left it in progress.
    Cancelled,
}

impl Exit {
    /// All codes, for the documentation.
    pub const ALL: [Self; 10] = [
        Self::Success,
        Self::Failed,
        Self::Usage,
        Self::NotFound,
        Self::Rejected,
        Self::Unavailable,
        Self::TimedOut,
        Self::Internal,
        Self::Held,
        Self::Cancelled,
    ];

    /// Returns the number for the shell. Shells use 130 for an interrupted command.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Rejected => 4,
            Self::Unavailable => 5,
            Self::TimedOut => 6,
            Self::Internal => 70,
            Self::Held => 77,
            Self::Cancelled => 130,
        }
    }

    /// Returns the meaning of the code, for the documentation.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done; the run succeeded; the files have no errors",
            Self::Failed => "the run failed or could not do all of its work; a file has errors",
            Self::Usage => "the command line or a configuration file cannot be understood",
            Self::NotFound => "no such run, job, workflow, file or pending review",
            Self::Rejected => {
                "refused: the repository is not trusted, or the worker or the server rejected the command"
            }
            Self::Unavailable => "the state folder, a worker or a server cannot be reached or written",
            Self::TimedOut => "no run appeared in time",
            Self::Internal => "a bug in cuelight",
            Self::Held => "a step is held, and the run goes on with `cuelight held`",
            Self::Cancelled => "the run was cancelled, or is no longer followed",
        }
    }
}

/// List of the codes for `--help`.
pub(crate) static HELP: LazyLock<String> = LazyLock::new(|| {
    Exit::ALL.iter().fold("Exit codes:".to_owned(), |mut text, exit| {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {:>3}  {}", exit.code(), exit.meaning());
        text
    })
});

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Exit {
    /// Returns the exit code of a command that followed a run with this conclusion.
    #[must_use]
    pub fn of(conclusion: crate::model::Conclusion) -> Self {
        use crate::model::Conclusion as C;
        match conclusion {
            C::Success | C::Neutral | C::Skipped => Self::Success,
            C::Cancelled => Self::Cancelled,
            C::Failure | C::TimedOut | C::StartupFailure | C::ActionRequired | C::Stale => Self::Failed,
        }
    }
}
