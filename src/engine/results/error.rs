//! Reasons to refuse a request, and the statuses and codes that clients understand.

use std::io;

use hyper::StatusCode;

use crate::store::StoreError;

use super::oidc::OidcError;

/// Why a request is refused. Clients print the message to the log of the step.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServiceError {
    /// The request has no token of this run, or its link was not signed by this run.
    #[error("the token or signature does not belong to this run")]
    Unauthenticated,
    /// The token belongs to another job or does not allow the request, or there are too many uploads.
    #[error("{0}")]
    Denied(&'static str),
    /// The method or path does not exist.
    #[error("no such method: {0}")]
    BadRoute(String),
    /// Only GitHub can answer the request.
    #[error("{0} is not available on this machine: set `[github] api = \"github\"` to use GitHub")]
    OnlyGitHub(String),
    /// The artifact, cache entry or upload does not exist.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The name or key is taken.
    #[error("{0}")]
    Taken(&'static str),
    /// A resource of GitHub's API with this value of a field exists already.
    #[error("the field `{field}` of a {resource} has a value that another one already has")]
    Duplicate {
        /// Kind of the resource, as GitHub names it.
        resource: &'static str,
        /// The field.
        field: &'static str,
    },
    /// The request cannot be read, or a value in it is invalid.
    #[error("{0}")]
    Invalid(String),
    /// The body of the request has an encoding that the server does not know.
    #[error("requests with the encoding `{0}` are not supported: use gzip or none")]
    UnknownEncoding(String),
    /// The data is larger than the limit.
    #[error("larger than the limit of {0} bytes")]
    TooLarge(u64),
    /// The client ended the connection before the end of its data.
    #[error("the upload was interrupted")]
    Interrupted,
    /// The disk is full.
    #[error("no space left on the disk of the run")]
    DiskFull,
    /// No identity token can be issued.
    #[error(transparent)]
    Identity(OidcError),
    /// The store of runs returned an error.
    #[error("{0}")]
    Store(StoreError),
    /// Git cannot serve the repository.
    #[error("git cannot serve the repository: {0}")]
    Git(String),
    /// The file system returned an error.
    #[error("the data cannot be read or written: {0}")]
    Io(io::Error),
}

impl From<io::Error> for ServiceError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::DiskFull,
            _ => Self::Io(error),
        }
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io { source, .. } if matches!(Self::from(io::Error::from(source.kind())), Self::DiskFull) => {
                Self::DiskFull
            }
            error => Self::Store(error),
        }
    }
}

impl ServiceError {
    /// Returns the status of the answer. Clients retry after 500 and 503. Only errors of this machine, which may be
    /// temporary, have status 500; no error has 503.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::BadRoute(_) | Self::OnlyGitHub(_) | Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Taken(_) => StatusCode::CONFLICT,
            Self::Duplicate { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Invalid(_) | Self::Interrupted => StatusCode::BAD_REQUEST,
            Self::UnknownEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::Identity(_) | Self::Store(_) | Self::Git(_) | Self::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the error code of Twirp, which is the protocol of the artifact and cache services.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Denied(_) => "permission_denied",
            Self::BadRoute(_) | Self::OnlyGitHub(_) => "bad_route",
            Self::NotFound(_) => "not_found",
            Self::Taken(_) | Self::Duplicate { .. } => "already_exists",
            Self::Invalid(_) | Self::UnknownEncoding(_) => "invalid_argument",
            Self::TooLarge(_) | Self::DiskFull => "resource_exhausted",
            Self::Interrupted => "canceled",
            Self::Identity(_) | Self::Store(_) | Self::Git(_) | Self::Io(_) => "internal",
        }
    }
}
