//! Sends one request and receives its answer, over octocrab.
//!
//! octocrab only carries requests: it has no token, follows no redirects, retries nothing and parses nothing. The
//! modules above build the requests and interpret the answers.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo};
use octocrab::{AuthState, OctoBody, Octocrab, OctocrabBuilder};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use super::error::ApiError;

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

type BoxError = Box<dyn Error + Send + Sync>;

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
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector: HttpsConnector<Proxied> = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| ApiError::Setup(format!("cannot use TLS: {error}")))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(Proxied { http, proxies: std::sync::Arc::new(Matcher::from_env()) });
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

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("cuelight/", env!("CARGO_PKG_VERSION")));

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

/// Returns the message of the innermost cause: the outer ones only repeat that a request failed.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Connects to a server, through the proxy that the environment names for it (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`).
#[derive(Clone)]
struct Proxied {
    http: HttpConnector,
    proxies: std::sync::Arc<Matcher>,
}

impl Service<Uri> for Proxied {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        // Plain HTTP is only for servers on this machine, which need no proxy.
        let is_https = server.scheme_str() == Some("https");
        let Some(proxy) = self.proxies.intercept(&server).filter(|_| is_https) else {
            let connecting = self.http.call(server);
            return Box::pin(async move { connecting.await.map_err(Into::into) });
        };
        if proxy.uri().scheme_str() != Some("http") {
            let kind = proxy.uri().scheme_str().unwrap_or_default().to_owned();
            return Box::pin(async move { Err(UnsupportedProxy(kind).into()) });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.http.clone());
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        let connecting = tunnel.call(server);
        Box::pin(async move { connecting.await.map_err(|error| format!("the proxy: {error}").into()) })
    }
}

/// A proxy URL with another scheme than `http`.
#[derive(Debug, thiserror::Error)]
#[error("proxy scheme `{0}://` is not supported: use `http://`")]
struct UnsupportedProxy(String);
