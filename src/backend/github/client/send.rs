//! Sends changes: one at a time per host, at least a second apart, and never twice.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Uri};
use tokio::task::spawn_blocking;

use crate::model::ServerKind;
use crate::store::clock;
use crate::store::lock;

use super::super::wire::gitea;
use super::queue::Permit;
use super::transport::{Fault, Outgoing};
use super::{ApiError, Client, Form, Inner, MAX_ANSWER, Priority, Verdict, not_offered};

/// Shortest time between two changes on one host.
const BETWEEN: Duration = Duration::from_secs(1);

/// A request that changes something on the server.
#[derive(Clone, PartialEq, Debug)]
pub struct Mutation {
    /// HTTP method.
    pub change: Change,
    /// Path of the API, such as `/repos/o/r/actions/runs/1/cancel`.
    pub path: String,
    /// Body of the request; `None` for an empty one.
    pub body: Option<serde_json::Value>,
}

/// HTTP method of a mutation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// `POST`: performs an action.
    Post,
    /// `PUT`: sets something.
    Put,
    /// `DELETE`: removes something.
    Delete,
}

/// The answer to a change: status 2xx.
#[derive(Clone, Debug)]
pub struct Done {
    /// Status of the answer.
    pub status: u16,
    /// Body of the answer; often empty.
    pub body: Bytes,
}

impl Client {
    /// Waits for the turn of a change, and sends it once.
    ///
    /// # Errors
    /// As for [`Self::ready`] and [`Ready::send`].
    pub async fn send(&self, mutation: &Mutation) -> Result<Done, ApiError> {
        self.ready(mutation).await?.send().await
    }

    /// Waits for the turn of a change: earlier changes of all processes on this host have been answered, a second has
    /// passed since the last one, a request may be sent, and the maximum number in flight is not reached. Nothing is
    /// sent yet, so the future may be dropped at any time. Waiting reads and downloads do not delay changes.
    ///
    /// # Errors
    /// The change cannot be sent: [`ApiError::Held`]; its path is not valid; this kind of server does not support it;
    /// or the lock file cannot be opened.
    pub async fn ready<'c>(&'c self, mutation: &'c Mutation) -> Result<Ready<'c>, ApiError> {
        let inner = &*self.inner;
        let (path, body) = match inner.host.kind() {
            ServerKind::GitHub => (mutation.path.clone(), mutation.body.clone()),
            ServerKind::Gitea => gitea::change(&mutation.path, mutation.body.as_ref()).ok_or_else(not_offered)?,
        };
        let uri = inner.uri(&path)?;
        let turn = Turn::take(inner.state.github_host(&format!("{}.lock", inner.host.name()))).await?;
        // This priority puts the change ahead of waiting reads and downloads.
        let permit = inner.place(Priority::User, true).await?;
        let body = Bytes::from(body.as_ref().map(ToString::to_string).unwrap_or_default());
        Ok(Ready { inner, mutation, uri, body, turn, _permit: permit })
    }
}

/// A change whose turn has come. It counts as a request in flight, and other changes wait until it is
/// dropped.
pub struct Ready<'c> {
    inner: &'c Inner,
    mutation: &'c Mutation,
    uri: Uri,
    body: Bytes,
    turn: Turn,
    _permit: Permit,
}

impl Ready<'_> {
    /// Sends the change, once.
    ///
    /// # Errors
    /// The change was not made: [`ApiError::Held`], [`ApiError::Unreachable`], [`ApiError::Refused`]. A missing
    /// permission is remembered for [`Client::was_denied`]. Or it is unknown whether the change was made:
    /// [`ApiError::Doubtful`]; then the caller must read the state before it sends anything again.
    pub async fn send(self) -> Result<Done, ApiError> {
        let Self { inner, mutation, uri, body, turn, _permit } = self;
        let mut headers = inner.headers(Form::Json);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let method = match mutation.change {
            Change::Post => Method::POST,
            Change::Put => Method::PUT,
            Change::Delete => Method::DELETE,
        };
        turn.begin();
        let sent = inner.transport.send(Outgoing { method, uri, headers, body: Some(body) }).await;
        let mut incoming = match sent {
            Ok(incoming) => incoming,
            Err(Fault::NotSent(reason)) => return Err(inner.broken(Fault::NotSent(reason))),
            Err(Fault::Lost(reason)) => return Err(inner.doubtful(&reason)),
        };
        match inner.judge(&mut incoming).await {
            Ok(Verdict::Done) => {}
            Ok(_) => return Err(inner.doubtful(&format!("status {}", incoming.status))),
            Err(ApiError::Server { reason, .. } | ApiError::Unreachable { reason, .. }) => {
                return Err(inner.doubtful(&reason));
            }
            Err(error) => {
                if let ApiError::Refused { status: 403, needs, message, .. } = &error
                    && let Some(needs) = needs.as_deref().or_else(|| gitea::needs(message))
                {
                    inner.denials.note(&mutation.path, needs, clock::now());
                }
                return Err(error);
            }
        }
        // The status shows that the change was made; only the body of the answer is lost.
        let body = incoming.whole(MAX_ANSWER).await.ok().flatten().unwrap_or_default();
        Ok(Done { status: incoming.status, body: body.into() })
    }
}

impl Inner {
    fn doubtful(&self, reason: &str) -> ApiError {
        self.link.failed(clock::now(), &format!("cannot reach {}: {reason}", self.host.name()), super::dice());
        ApiError::Doubtful { host: self.host.name().to_owned(), reason: reason.to_owned() }
    }
}

/// The lock that a process holds while it sends a change to a host. The modification time of the lock file is the time
/// of the last change.
struct Turn {
    lock: File,
}

impl Turn {
    async fn take(path: PathBuf) -> Result<Self, ApiError> {
        let is_new = !path.exists();
        let locked = spawn_blocking(move || lock::wait(&path)).await;
        let lock = locked.map_err(|error| ApiError::Setup(error.to_string()))??;
        let last = lock.metadata().and_then(|file| file.modified()).ok().filter(|_| !is_new);
        let passed = last.map_or(BETWEEN, |last| SystemTime::now().duration_since(last).unwrap_or_default());
        tokio::time::sleep(BETWEEN.saturating_sub(passed)).await;
        Ok(Self { lock })
    }

    fn begin(&self) {
        let _ = self.lock.set_modified(SystemTime::now());
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.begin();
    }
}
