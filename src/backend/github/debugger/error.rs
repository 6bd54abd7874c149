//! Errors of the debugger.

use std::io;
use std::time::Duration;

use crate::backend::github::client::ApiError;
use crate::backend::github::poller::PollError;
use crate::launch::shell::ShellError;
use crate::model::capabilities::Unavailable;
use crate::store::StoreError;

use super::endpoint::EndpointError;
use super::socket::MAX_MESSAGE;

/// Why the debugger of a job cannot be used. No message contains the token or the address of the tunnel.
#[derive(Debug, thiserror::Error)]
pub enum DebuggerError {
    /// The settings, the server or the state of the run do not allow the debugger.
    #[error("{run}: {reason}")]
    Unavailable {
        /// Id of the run.
        run: String,
        /// The reason.
        reason: Unavailable,
    },
    /// The job has ended.
    #[error("{job} has ended: `cuelight rerun {run} --job {job_id} --debugger` runs it again with the debugger")]
    Ended {
        /// Id of the run.
        run: String,
        /// Name of the job.
        job: String,
        /// Id of the job.
        job_id: String,
    },
    /// The server names no debugger for a running job.
    #[error(
        "{job} runs without the debugger, or the token may not use it: once the run has ended, \
         `cuelight rerun {run} --job {job_id} --debugger` runs it again with the debugger"
    )]
    Missing {
        /// Id of the run.
        run: String,
        /// Name of the job.
        job: String,
        /// Id of the job.
        job_id: String,
    },
    /// No job is named, and the choice is not clear.
    #[error(transparent)]
    Job(#[from] ShellError),
    /// The run cannot be read from its server.
    #[error(transparent)]
    Poll(#[from] PollError),
    /// The server does not name the debugger.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The run's folder cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no token to send.
    #[error("the debugger needs a token: see `cuelight auth login`")]
    NoToken,
    /// The server named an address that must not get the token. Nothing was sent to it.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The tunnel cannot be reached.
    #[error("cannot reach the debugger at {host}: {reason}")]
    Unreachable {
        /// Host of the tunnel.
        host: String,
        /// The cause.
        reason: String,
    },
    /// The tunnel does not open the connection.
    #[error("{}", refusal(host, *.status))]
    Refused {
        /// Host of the tunnel.
        host: String,
        /// Status of its answer.
        status: u16,
    },
    /// The connection broke.
    #[error("the connection to the debugger broke: {0}")]
    Lost(String),
    /// The debugger closed the connection.
    #[error("the debugger closed the connection{}", if .0.is_empty() { String::new() } else { format!(": {}", .0) })]
    Closed(String),
    /// The debugger does not answer.
    #[error("the debugger gave no answer for {} s", .0.as_secs())]
    Silent(Duration),
    /// A message is too large.
    #[error("the debugger sent a message of more than {} MiB", MAX_MESSAGE >> 20)]
    TooLarge,
    /// A message is not a JSON object.
    #[error("the debugger sent a message that is not a JSON object: its version may not be supported")]
    Malformed,
    /// The debugger refuses a request.
    #[error("the debugger refused `{request}`{}", if reason.is_empty() { String::new() } else { format!(": {reason}") })]
    Rejected {
        /// Name of the request.
        request: &'static str,
        /// The message of the debugger; may be empty.
        reason: String,
    },
    /// The debugger accepts a request, but the job does not continue.
    #[error("the debugger accepted `{0}`, but the job did not go on: try again, or leave with `:disconnect`")]
    Ignored(&'static str),
    /// No variable has this path.
    #[error("no variable `{0}`: `:vars` lists the contexts")]
    NoVariable(String),
    /// The output of the debugger cannot be printed.
    #[error(transparent)]
    Output(#[from] io::Error),
}

fn refusal(host: &str, status: u16) -> String {
    match status {
        401 | 403 => format!(
            "the tunnel {host} refused the token ({status}): it must be one of a user who may write to the repository"
        ),
        404 | 502..=504 => format!("the tunnel {host} has no debugger ({status}): the job may have ended"),
        _ => format!("the tunnel {host} did not open a web socket (status {status})"),
    }
}
