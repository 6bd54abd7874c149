//! Failures of commands: the message for people and the exit code for scripts.

use std::io;

use super::style;
use crate::backend::github::address::AddressError;
use crate::backend::github::auth::AuthError;
use crate::backend::github::client::ApiError;
use crate::backend::github::environments::EnvironmentError;
use crate::backend::github::environments::rollback::RollbackError;
use crate::backend::github::poller::steer::SteerError;
use crate::backend::github::poller::{PollError, SubmitError};
use crate::backend::github::workflows::WorkflowError;
use crate::backend::github::workflows::dispatch::DispatchError;
use crate::backend::remote_run::RemoteRunError;
use crate::backend::runs::RunsError;
use crate::config::ConfigError;
use crate::launch::branches::BranchError;
use crate::launch::commands::CommandError;
use crate::launch::deploy::DeployError;
use crate::launch::triggers::TriggerError;
use crate::launch::trust::Untrusted;
use crate::launch::{LaunchError, PayloadError, Refusal, SecretError, SpawnError};
use crate::model::LookupError;
use crate::model::rollback::TargetError;
use crate::repo::git::GitError;
use crate::repo::snapshot::SnapshotError;
use crate::repo::workflows::WorkflowFileError;
use crate::store::{StoreError, hint, is_full};
use crate::ui::terminal_text::TerminalText;
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::source::Source;

use super::exit::Exit;

/// A failed command. An empty message is not printed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    form: Form,
}

/// Kind of a message, which determines how the message is made safe for a terminal.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// Text of this program, which may quote foreign names and messages.
    Message,
    /// Like `Message`, but not about an error.
    Note,
    /// Rendered diagnostics.
    Plain,
    /// Rendered diagnostics that this program has coloured.
    Coloured,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), form: Form::Message }
    }

    /// Creates a failure whose message consists of rendered diagnostics. `colour` is whether this program has coloured
    /// them.
    pub(crate) fn rendered(exit: Exit, message: String, colour: bool) -> Self {
        Self { exit, message, form: if colour { Form::Coloured } else { Form::Plain } }
    }

    /// Creates the failure of a workflow with faults: each with its source line, or in a sentence for a screen reader.
    pub(crate) fn of_faults<'f>(faults: impl Iterator<Item = (&'f Source, &'f Diagnostic)>) -> Self {
        let (colour, is_linear) = (style::colour_of_errors(), style::is_linear());
        let written: Vec<_> = faults
            .map(|(source, fault)| if is_linear { fault.sentence(source) } else { fault.render(source, colour) })
            .collect();
        Self::rendered(Exit::Failed, written.join(if is_linear { "\n" } else { "\n\n" }), colour)
    }

    /// Creates a result that is not an error: its message has no heading.
    pub(crate) fn note(exit: Exit, message: String) -> Self {
        Self { exit, message, form: Form::Note }
    }

    /// Whether the message is about an error.
    pub(crate) fn is_error(&self) -> bool {
        !matches!(self.form, Form::Note)
    }

    /// Returns the message, safe for a terminal.
    pub(crate) fn text(&self) -> TerminalText {
        match self.form {
            Form::Message | Form::Note => TerminalText::paragraph(&self.message),
            Form::Plain => TerminalText::lines(&self.message),
            Form::Coloured => TerminalText::coloured(&self.message),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error {
            StoreError::NoSuchRun { .. } | StoreError::NoRunOf { .. } => Exit::NotFound,
            StoreError::Ambiguous { .. } => Exit::Usage,
            StoreError::NotLocal { .. } => Exit::Rejected,
            StoreError::Io { .. }
            | StoreError::Damaged { .. }
            | StoreError::Newer { .. }
            | StoreError::UnknownKind { .. }
            | StoreError::NoHome
            | StoreError::NotUtf8(_) => Exit::Unavailable,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<LookupError> for Failure {
    fn from(error: LookupError) -> Self {
        let exit = if matches!(error, LookupError::Several { .. } | LookupError::WhichJob { .. }) {
            Exit::Usage
        } else {
            Exit::NotFound
        };
        Self::new(exit, error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // The reader has closed the output of a listing, and wants no more of it. This counts as success. The output
            // of a command with a result never fails in this way, see `style::Stdout`.
            io::ErrorKind::BrokenPipe => Self::new(Exit::Success, ""),
            // Errors of files come as a `StoreError` with their path, so this one is about standard output.
            _ if is_full(&error) => Self::new(Exit::Unavailable, "cannot write to standard output: the disk is full"),
            io::ErrorKind::FileTooLarge => {
                Self::new(Exit::Unavailable, format!("cannot write to standard output: {error}{}", hint(&error)))
            }
            _ => Self::new(Exit::Unavailable, error.to_string()),
        }
    }
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        let exit = if matches!(error, GitError::Missing(_)) { Exit::Unavailable } else { Exit::NotFound };
        Self::new(exit, error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<WorkflowFileError> for Failure {
    fn from(error: WorkflowFileError) -> Self {
        match error {
            WorkflowFileError::NotUtf8 { file, source } => {
                Self::of_faults(std::iter::once((&*file, &Diagnostic::not_utf8(source, &file))))
            }
            error => Self::new(Exit::NotFound, error.to_string()),
        }
    }
}

impl From<TriggerError> for Failure {
    fn from(error: TriggerError) -> Self {
        let exit = if matches!(error, TriggerError::NoEvent { .. }) { Exit::Usage } else { Exit::NotFound };
        Self::new(exit, error.to_string())
    }
}

impl From<PayloadError> for Failure {
    fn from(error: PayloadError) -> Self {
        let exit = if matches!(error, PayloadError::Unreadable { .. }) { Exit::NotFound } else { Exit::Usage };
        Self::new(exit, error.to_string())
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Store(error) => error.into(),
            SecretError::Unreadable { .. } => Self::new(Exit::NotFound, error.to_string()),
            SecretError::NotInEnvironment(_) | SecretError::NotGivenAgain(_) | SecretError::Malformed { .. } => {
                Self::new(Exit::Usage, error.to_string())
            }
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Faults(faults) => Self::of_faults(faults.iter().map(|(source, fault)| (&**source, fault))),
            Refusal::Event { .. } | Refusal::Leg(_) | Refusal::Breakpoint(_) | Refusal::Inputs(_) => {
                Self::new(Exit::Usage, refusal.to_string())
            }
            Refusal::Job { .. } | Refusal::WorkingTree(_) => Self::new(Exit::NotFound, refusal.to_string()),
        }
    }
}

impl From<Untrusted> for Failure {
    fn from(error: Untrusted) -> Self {
        Self::new(Exit::Rejected, error.to_string())
    }
}

impl From<SpawnError> for Failure {
    fn from(error: SpawnError) -> Self {
        match error {
            SpawnError::Store(error) => error.into(),
            SpawnError::Busy => Self::new(Exit::Rejected, error.to_string()),
            SpawnError::Process { .. } => Self::new(Exit::Unavailable, error.to_string()),
        }
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Repository(error) => error.into(),
            LaunchError::Config(error) => error.into(),
            LaunchError::Changed => Self::new(Exit::Rejected, error.to_string()),
            LaunchError::Workflow(error) => error.into(),
            LaunchError::Payload(error) => error.into(),
            LaunchError::Secret(error) => error.into(),
            LaunchError::Refused(refusal) => refusal.into(),
            LaunchError::Untrusted(error) => error.into(),
            LaunchError::Store(error) => error.into(),
            LaunchError::Worker(error) => error.into(),
        }
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        match error {
            DeployError::Repository(error) => error.into(),
            DeployError::Config(_) | DeployError::NoReason(_) => Self::new(Exit::Usage, error.to_string()),
            DeployError::Untrusted(error) => error.into(),
            DeployError::Store(error) => error.into(),
            DeployError::Worker(error) => error.into(),
            DeployError::NoEnvironments(_)
            | DeployError::UnknownEnvironment { .. }
            | DeployError::Release(_)
            | DeployError::Rollback(TargetError::Unknown { .. })
            | DeployError::Unknown { .. }
            | DeployError::NothingOpen(_) => Self::new(Exit::NotFound, error.to_string()),
            DeployError::Rollback(_)
            | DeployError::Closed(_)
            | DeployError::Overridable { .. }
            | DeployError::Locked(_)
            | DeployError::OnItsWay(_)
            | DeployError::Moved(_)
            | DeployError::Plan(_)
            | DeployError::NotDeliverable(_)
            | DeployError::Target(_) => Self::new(Exit::Rejected, error.to_string()),
        }
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Secret(error) => error.into(),
            CommandError::Untrusted(error) => error.into(),
            CommandError::Launch(error) => (*error).into(),
            CommandError::Store(error) => error.into(),
            CommandError::Worker(error) => error.into(),
            CommandError::NoAnswer { .. } | CommandError::Unanswered(_) | CommandError::Unwatched { .. } => {
                Self::new(Exit::Unavailable, error.to_string())
            }
            CommandError::Refused(_)
            | CommandError::Sync(_)
            | CommandError::Closed(_)
            | CommandError::Unavailable { .. }
            | CommandError::Ended { .. }
            | CommandError::WorkerLost
            | CommandError::Step(_) => Self::new(Exit::Rejected, error.to_string()),
        }
    }
}

impl From<AddressError> for Failure {
    fn from(error: AddressError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let exit = match &error {
            ApiError::Store(_)
            | ApiError::Setup(_)
            | ApiError::Held(_)
            | ApiError::Unreachable { .. }
            | ApiError::Server { .. }
            | ApiError::Doubtful { .. } => Exit::Unavailable,
            ApiError::Refused { status: 404 | 410, .. } => Exit::NotFound,
            ApiError::Path(_) => Exit::Usage,
            ApiError::Refused { .. } | ApiError::TooLarge { .. } | ApiError::Redirect(_) => Exit::Rejected,
        };
        // Servers return the same status for resources that the token may not see.
        let private = matches!(error, ApiError::Refused { status: 404, .. });
        let hint = if private { "; a private repository needs a token: see `cuelight auth status`" } else { "" };
        Self::new(exit, format!("{error}{hint}"))
    }
}

impl From<PollError> for Failure {
    fn from(error: PollError) -> Self {
        match error {
            PollError::Api(error) => error.into(),
            PollError::Auth(error) => error.into(),
            PollError::Address(error) => error.into(),
            PollError::Store(error) => error.into(),
            PollError::Log { .. } => {
                let exit = if error.is_transient() { Exit::Unavailable } else { Exit::NotFound };
                Self::new(exit, error.to_string())
            }
            PollError::UnknownHost(_) => Self::new(Exit::Usage, error.to_string()),
            PollError::Denied { .. } => Self::new(Exit::Rejected, error.to_string()),
            PollError::Malformed { .. } | PollError::Digest(_) | PollError::Gone => {
                Self::new(Exit::Unavailable, error.to_string())
            }
        }
    }
}

impl From<EnvironmentError> for Failure {
    fn from(error: EnvironmentError) -> Self {
        match error {
            EnvironmentError::Poll(error) => error.into(),
            EnvironmentError::Unknown { .. } => Self::new(Exit::NotFound, error.to_string()),
        }
    }
}

impl From<RollbackError> for Failure {
    fn from(error: RollbackError) -> Self {
        match error {
            RollbackError::Environment(error) => error.into(),
            RollbackError::Dispatch(error) => error.into(),
            RollbackError::Rerun(error) => error.into(),
            RollbackError::Store(error) => error.into(),
            RollbackError::Target(TargetError::Unknown { .. }) => Self::new(Exit::NotFound, error.to_string()),
            RollbackError::Target(_) | RollbackError::NoMethod { .. } => Self::new(Exit::Rejected, error.to_string()),
        }
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Poll(error) => error.into(),
            SubmitError::Command(error) => error.into(),
        }
    }
}

impl From<RunsError> for Failure {
    fn from(error: RunsError) -> Self {
        match error {
            RunsError::Store(error) => error.into(),
            RunsError::Config(error) => error.into(),
            RunsError::Address(error) => error.into(),
            RunsError::Poll(error) => error.into(),
            RunsError::Submit(error) => error.into(),
            RunsError::Download(error) => error.into(),
            RunsError::Delete(error) => error.into(),
            RunsError::Lookup(error) => error.into(),
            RunsError::NoRepository(_) => Self::new(Exit::Usage, error.to_string()),
            RunsError::NoCheckout(_)
            | RunsError::NoRun(_)
            | RunsError::Workflow { .. }
            | RunsError::NeverRun(_)
            | RunsError::Git(_) => Self::new(Exit::NotFound, error.to_string()),
            RunsError::PullRequest { .. } => Self::new(Exit::Usage, error.to_string()),
        }
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Git(error) => error.into(),
            SnapshotError::Index(_) => Self::new(Exit::Unavailable, error.to_string()),
        }
    }
}

impl From<BranchError> for Failure {
    fn from(error: BranchError) -> Self {
        match error {
            BranchError::Store(error) => error.into(),
            BranchError::Git(error) => Self::new(Exit::Rejected, error.to_string()),
        }
    }
}

impl From<RemoteRunError> for Failure {
    fn from(error: RemoteRunError) -> Self {
        match error {
            RemoteRunError::Config(error) => error.into(),
            RemoteRunError::Git(error) => error.into(),
            RemoteRunError::Untrusted(error) => error.into(),
            RemoteRunError::File(error) => error.into(),
            RemoteRunError::Snapshot(error) => error.into(),
            RemoteRunError::Branch(error) => error.into(),
            RemoteRunError::Poll(error) => error.into(),
            RemoteRunError::Steer(error) => error.into(),
            RemoteRunError::NoRemote | RemoteRunError::NoInputs(_) => Self::new(Exit::Usage, error.to_string()),
            RemoteRunError::NotStartable(_) => Self::new(Exit::Rejected, error.to_string()),
            RemoteRunError::NoBranch { .. } | RemoteRunError::NoRun { .. } | RemoteRunError::Interrupted => {
                Self::new(Exit::Unavailable, error.to_string())
            }
        }
    }
}

impl From<WorkflowError> for Failure {
    fn from(error: WorkflowError) -> Self {
        match error {
            WorkflowError::Api(error) => error.into(),
            WorkflowError::Malformed { .. } => Self::new(Exit::Unavailable, error.to_string()),
            WorkflowError::Unknown { .. } => Self::new(Exit::NotFound, error.to_string()),
            WorkflowError::Ambiguous { .. } => Self::new(Exit::Usage, error.to_string()),
        }
    }
}

impl From<DispatchError> for Failure {
    fn from(error: DispatchError) -> Self {
        let exit = match error {
            DispatchError::Workflow(error) => return error.into(),
            DispatchError::Disabled { .. } | DispatchError::OtherEvents { .. } => Exit::Rejected,
            DispatchError::NoFile { .. } => Exit::NotFound,
            DispatchError::Input(_) => Exit::Usage,
            DispatchError::NoRun { .. } | DispatchError::SeveralRuns { .. } | DispatchError::Doubtful(_) => {
                Exit::Unavailable
            }
        };
        Self::new(exit, error.to_string())
    }
}

impl From<SteerError> for Failure {
    fn from(error: SteerError) -> Self {
        match error {
            SteerError::Poll(error) => error.into(),
            SteerError::Workflow(error) => error.into(),
            SteerError::Dispatch(error) => error.into(),
            SteerError::Late { .. } => Self::new(Exit::Unavailable, error.to_string()),
        }
    }
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Api(error) => error.into(),
            AuthError::Store(error) => error.into(),
            AuthError::NoClientId(_) | AuthError::NoToken(_) => Self::new(Exit::Usage, error.to_string()),
            AuthError::Unreadable { .. } => Self::new(Exit::NotFound, error.to_string()),
            AuthError::Command { .. } | AuthError::Login(_) => Self::new(Exit::Rejected, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::demo::DemoError;

    #[test]
    fn a_closed_pipe_is_a_success() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Success, ""));
    }

    #[test]
    fn a_full_disk_is_named_with_what_cannot_be_written() {
        let full = || io::Error::from(rustix::io::Errno::NOSPC);
        let failure = Failure::from(full());
        let message = "cannot write to standard output: the disk is full";
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Unavailable, message));
        let failure = Failure::from(DemoError::Write { folder: "/demo".into(), source: full() });
        let reason = "No space left on device (os error 28) (the disk is full: `cuelight clean` removes old runs)";
        assert_eq!(failure.message, format!("cannot unpack the demo into /demo: {reason}"));
        let source = io::Error::from(rustix::io::Errno::ACCESS);
        let failure = Failure::from(DemoError::Write { folder: "/demo".into(), source });
        assert_eq!(failure.message, "cannot unpack the demo into /demo: Permission denied (os error 13)");
    }
}
