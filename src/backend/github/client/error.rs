//! Errors of the client.

use std::io;

use crate::store::StoreError;

use super::link::Condition;

/// Why a request failed. No message contains a token, a header or a signed link.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No request was sent, because the server must not be contacted now.
    #[error("{0}")]
    Held(Condition),
    /// The server cannot be reached, or the connection broke. If the request was a change, it was not sent.
    #[error("cannot reach {host}: {reason}")]
    Unreachable {
        /// Host of the server.
        host: String,
        /// The cause.
        reason: String,
    },
    /// The server failed: status 5xx, or an answer that cannot be read.
    #[error("{host} failed: {reason}")]
    Server {
        /// Host of the server.
        host: String,
        /// The cause.
        reason: String,
    },
    /// A change was sent, but it is unknown whether it took effect: read the state before sending it again.
    #[error("it is unknown whether {host} carried out the request: {reason}")]
    Doubtful {
        /// Host of the server.
        host: String,
        /// The cause.
        reason: String,
    },
    /// The server refuses the request.
    #[error("{}", refusal(*.status, message))]
    Refused {
        /// Status of the answer: 4xx.
        status: u16,
        /// Message of the server, in one line, of at most 500 characters; or empty.
        message: String,
        /// Permissions that the server names for the request, such as `actions=write`; `None` if it names none.
        needs: Option<String>,
        /// Whether it was the storage behind a link that refused, not the server itself.
        by_storage: bool,
    },
    /// The answer is larger than the limit.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A redirect that is not followed.
    #[error("the server redirected {0}")]
    Redirect(RedirectFault),
    /// The path of a request is invalid.
    #[error("not a path of the API: `{0}`")]
    Path(String),
    /// The client cannot be created: this machine has no certificates, or the proxy is not supported.
    #[error("{0}")]
    Setup(String),
    /// A file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a redirect is not followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RedirectFault {
    /// There were more than three redirects in a row.
    #[error("too often")]
    TooMany,
    /// The target is neither https nor on this machine, or is not an address.
    #[error("to an address that is not safe")]
    Unsafe,
}

impl ApiError {
    /// Whether the same request may succeed later without a change of the request or the token.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Held(_) | Self::Unreachable { .. } | Self::Server { .. })
    }

    /// Returns the status of a refusal; `None` for other errors.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub(super) fn io(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| StoreError::io(what, path)(error).into()
    }
}

fn refusal(status: u16, message: &str) -> String {
    let meaning = match status {
        401 => "the token was rejected",
        403 => "not allowed",
        404 => "not found",
        409 => "conflict with its present state",
        410 => "gone",
        422 => "not valid",
        _ => "refused",
    };
    if message.is_empty() { format!("{meaning} ({status})") } else { format!("{meaning} ({status}): {message}") }
}
