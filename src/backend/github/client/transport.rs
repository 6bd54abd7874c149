//! Sends one request and receives its answer, over octocrab.
//!
//! octocrab only carries requests: it has no token, follows no redirects, retries nothing and parses nothing. The
//! modules above build the requests and interpret the answers.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use octocrab::{AuthState, OctoBody, Octocrab, OctocrabBuilder};
use tokio::time::timeout;

use super::error::ApiError;
use crate::net::{USER_AGENT, connector, innermost};

/// Maximum time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time from the start of a request to the head of its answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time between two parts of an answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum time from the head of an answer to its end, for answers that are read whole.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Connections to any number of servers. Must be made inside a tokio runtime.
pub(in crate::backend::github) struct Transport {
    octocrab: Octocrab,
}

/// A request that is ready to be sent.
pub(in crate::backend::github) struct Outgoing {
    pub(in crate::backend::github) method: Method,
    pub(in crate::backend::github) uri: Uri,
    pub(in crate::backend::github) headers: HeaderMap,
    pub(in crate::backend::github) body: Option<Bytes>,
}

/// An answer whose body has not been read.
pub(in crate::backend::github) struct Incoming {
    pub(in crate::backend::github) status: u16,
    pub(in crate::backend::github) headers: HeaderMap,
    body: BoxBody<Bytes, octocrab::Error>,
}

/// Why a request got no answer.
pub(in crate::backend::github) enum Fault {
    /// The request was not sent.
    NotSent(String),
    /// The connection broke or timed out after the request may have been sent.
    Lost(String),
}

impl Transport {
    /// Prepares connections. None is opened before the first request.
    ///
    /// # Errors
    /// This machine has no certificates.
    pub(in crate::backend::github) fn new() -> Result<Self, ApiError> {
        let connector =
            connector(CONNECT_TIMEOUT).map_err(|error| ApiError::Setup(format!("cannot use TLS: {error}")))?;
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            // A broken connection is an error here, not a second request.
            .retry_canceled_requests(false)
            .build::<_, OctoBody>(connector);
        let built = OctocrabBuilder::new_empty().with_service(client).with_auth(AuthState::None).build();
        let Ok(octocrab) = built;
        Ok(Self { octocrab })
    }

    pub(in crate::backend::github) async fn send(&self, outgoing: Outgoing) -> Result<Incoming, Fault> {
        let mut request = Request::new(outgoing.body.map_or_else(OctoBody::empty, OctoBody::from));
        *request.method_mut() = outgoing.method;
        *request.uri_mut() = outgoing.uri;
        *request.headers_mut() = outgoing.headers;
        request.headers_mut().insert(http::header::USER_AGENT, USER_AGENT);
        let response = match timeout(HEAD_TIMEOUT, self.octocrab.send(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(fault(&error)),
            Err(_) => return Err(Fault::Lost(format!("no answer for {} s", HEAD_TIMEOUT.as_secs()))),
        };
        let (head, body) = response.into_parts();
        Ok(Incoming { status: head.status.as_u16(), headers: head.headers, body })
    }
}

impl Incoming {
    /// Returns the value of a header, if it is text.
    pub(in crate::backend::github) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the next part of the body, or `None` at its end.
    pub(in crate::backend::github) async fn part(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            match timeout(BODY_TIMEOUT, self.body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Ok(Some(Err(error))) => return Err(Fault::Lost(innermost(&error))),
                Err(_) => return Err(Fault::Lost(format!("the answer paused for {} s", BODY_TIMEOUT.as_secs()))),
            }
        }
    }

    /// Reads the whole body, within 30 s. `None` if it is larger than `limit` bytes.
    pub(in crate::backend::github) async fn whole(&mut self, limit: usize) -> Result<Option<Vec<u8>>, Fault> {
        let reading = async {
            let mut whole = Vec::new();
            while let Some(part) = self.part().await? {
                if whole.len() + part.len() > limit {
                    return Ok(None);
                }
                whole.extend_from_slice(&part);
            }
            Ok(Some(whole))
        };
        let late = || Fault::Lost(format!("the answer took more than {} s", WHOLE_TIMEOUT.as_secs()));
        timeout(WHOLE_TIMEOUT, reading).await.unwrap_or_else(|_| Err(late()))
    }
}

fn fault(error: &octocrab::Error) -> Fault {
    let reason = innermost(error);
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect) {
            return Fault::NotSent(reason);
        }
        source = error.source();
    }
    Fault::Lost(reason)
}
