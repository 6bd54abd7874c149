//! Connections to servers over HTTP and HTTPS, through the proxy that the environment names for them.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

/// Name of this program in its requests.
pub const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("cuelight/", env!("CARGO_PKG_VERSION")));

/// Whether a host is this machine, by its name or by its address, which may be in brackets.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns the proxy that the environment names for a server; `None` if it is reached directly.
#[must_use]
pub fn proxy_for(server: &Uri) -> Option<Uri> {
    Matcher::from_env().intercept(server).map(|proxy| proxy.uri().clone())
}

type BoxError = Box<dyn Error + Send + Sync>;

/// Connects to servers, with TLS for `https`.
pub type Connector = HttpsConnector<Proxied>;

/// Returns a connector with a time limit for connecting. Must be called inside a tokio runtime.
///
/// # Errors
/// No root certificates are found on this machine.
pub fn connector(connect_timeout: Duration) -> io::Result<Connector> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(connect_timeout));
    let proxied = Proxied { http, proxies: Arc::new(Matcher::from_env()) };
    Ok(HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().wrap_connector(proxied))
}

/// A connection to a server, with TLS for `https`.
pub type Connection = TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>;

/// Opens a connection to a server for a protocol that starts with an HTTP request, such as web sockets.
///
/// # Errors
/// The server cannot be reached within the time limit, its certificate is not valid, or no root certificates are found
/// on this machine.
pub async fn connect(server: Uri, connect_timeout: Duration) -> io::Result<Connection> {
    let mut connector = connector(connect_timeout)?;
    // The connector limits only the time to reach the server or its proxy.
    let connecting = async {
        std::future::poll_fn(|context| connector.poll_ready(context)).await?;
        connector.call(server).await
    };
    match timeout(connect_timeout, connecting).await {
        Ok(Ok(stream)) => Ok(TokioIo::new(stream)),
        Ok(Err(error)) => Err(io::Error::other(innermost(&*error))),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Returns the message of the innermost cause of an error, because the outer messages only repeat that a request
/// failed.
#[must_use]
pub fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Connects to a server, through the proxy that the environment names for it (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`).
#[derive(Clone)]
pub struct Proxied {
    http: HttpConnector,
    proxies: Arc<Matcher>,
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
