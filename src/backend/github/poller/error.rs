//! Errors of watching and changing runs on servers.

use std::sync::Arc;

use crate::backend::github::address::{AddressError, Repository};
use crate::backend::github::auth::AuthError;
use crate::backend::github::client::ApiError;
use crate::backend::github::mirror::logs::LogError;
use crate::launch::commands::CommandError;
use crate::model::RunId;
use crate::model::rights::Denied;
use crate::store::StoreError;

/// Why data of a server cannot be fetched, mirrored or changed.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The server gives no answer, or refuses.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The token of the server cannot be read.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The settings name an invalid host or repository.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The server is not configured.
    #[error("{0} is not a known server: name it in the `[github.hosts]` of the settings")]
    UnknownHost(String),
    /// The answer is not what the API describes.
    #[error("{host} sent an answer without {what}")]
    Malformed {
        /// Name of the server.
        host: String,
        /// The missing part of the answer.
        what: &'static str,
    },
    /// The run's folder cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log of a job is not available.
    #[error("no log of {job}: {fault}")]
    Log {
        /// Name of the job.
        job: String,
        /// The error of the first job, if several logs are missing. Shared by all callers that wait for the log.
        fault: Arc<LogFault>,
    },
    /// The token may not change the repository.
    #[error("{repository}: {denied}")]
    Denied {
        /// The repository.
        repository: String,
        /// Why the token may not change it.
        denied: Denied,
    },
    /// The content of an artifact does not match its digest.
    #[error("the download of {0} is damaged: its digest does not match")]
    Digest(String),
    /// The task of the server or the run ended meanwhile.
    #[error("the run is no longer watched: open it again")]
    Gone,
}

/// Why the log of a job is not available.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// The server has no log, or does not respond.
    #[error(transparent)]
    Api(ApiError),
    /// The log was downloaded, but cannot be split into the logs of the steps.
    #[error(transparent)]
    Split(LogError),
}

/// Why runs are no longer watched.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WatchFault {
    /// The folder of a mirrored run cannot be read or written.
    #[error("{run} is no longer watched: {error}")]
    Run {
        /// The run.
        run: RunId,
        /// The error of the run's folder.
        #[source]
        error: Arc<StoreError>,
    },
    /// The server refuses to list the runs of a watched repository.
    #[error("the runs of {repository} are not listed: {error}")]
    List {
        /// The repository.
        repository: Repository,
        /// The refusal.
        #[source]
        error: Arc<PollError>,
    },
}

impl PollError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Api(error) => error.is_transient(),
            Self::Log { fault, .. } => matches!(&**fault, LogFault::Api(error) if error.is_transient()),
            _ => false,
        }
    }
}

/// Why a command was not sent to a server.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The run cannot be mirrored.
    #[error(transparent)]
    Poll(#[from] PollError),
    /// The command is refused.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl SubmitError {
    /// Whether the server did not respond, so that the command was not sent or may have been carried out.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Poll(error) => error.is_transient(),
            Self::Command(error) => matches!(error, CommandError::NoAnswer { .. } | CommandError::Unanswered(_)),
        }
    }
}
