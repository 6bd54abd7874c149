//! Errors while finding a token or logging in.

use std::path::PathBuf;
use std::time::Duration;

use crate::files::FileError;
use crate::store::StoreError;

use super::super::client::ApiError;

/// Why no token can be found, or a login fails. No message contains a token.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The configured token file cannot be read.
    #[error("cannot read the token in {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: FileError,
    },
    /// A source has no valid token: its text is empty, too long, or has spaces or characters that are not printable
    /// ASCII.
    #[error("{0} holds no token")]
    NoToken(String),
    /// The configured command failed. Its output is not shown, as it may hold a token.
    #[error("the token command of {host} {failure}")]
    Command {
        /// Name of the host.
        host: String,
        /// How it failed.
        failure: CommandFailure,
    },
    /// The host has no client id, which `cuelight auth login` needs.
    #[error(
        "no client id for {0}: set client_id in [github.hosts.\"{0}\"], or use GH_TOKEN, `gh auth login`, a token file"
    )]
    NoClientId(String),
    /// The server refused the login.
    #[error("the login failed: {0}")]
    Login(LoginFailure),
    /// A request failed, or the client could not be created.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a command failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandFailure {
    /// Could not be started.
    #[error("cannot be started")]
    NotStarted,
    /// Ended with a failure, or printed more than 16 KiB.
    #[error("failed")]
    Failed,
    /// Took too long.
    #[error("did not finish within {} s", .0.as_secs())]
    TimedOut(Duration),
}

/// Why a login with a code fails.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LoginFailure {
    /// The user refused.
    #[error("it was refused on the page")]
    Denied,
    /// The code was not entered in time.
    #[error("the code was not entered in time")]
    Expired,
    /// Another error code or status of the server.
    #[error("the server answers `{0}`")]
    Other(String),
    /// The answer cannot be read.
    #[error("the server's answer cannot be read")]
    Unreadable,
}
