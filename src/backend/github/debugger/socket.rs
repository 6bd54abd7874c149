//! A web socket with limits. Each message of the debugger protocol is one text message, without further framing.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use http::header::{AUTHORIZATION, USER_AGENT as USER_AGENT_HEADER};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::net;
use crate::net::{Connection, USER_AGENT};

use super::DebuggerError;
use super::endpoint::Endpoint;

/// Maximum size of a message in bytes: as much as GitHub's runner accepts itself.
pub(super) const MAX_MESSAGE: usize = 10 << 20;
/// Maximum time to reach the tunnel.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum time from the request for a web socket to its answer, for which the tunnel has to reach the runner.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time to send a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// Time between two pings, which keep the tunnel open.
const PING: Duration = Duration::from_secs(25);
/// Maximum number of pings in a row without any frame in between, not even a pong. Pings are counted instead of time,
/// because this program receives nothing while it is suspended (Ctrl-Z).
const MAX_UNANSWERED: u32 = 4;
/// Time after which a silent connection is given up.
pub(super) const SILENCE: Duration = PING.saturating_mul(MAX_UNANSWERED);
/// Maximum time for the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum number of characters of the reason for which the other side closes the connection.
const MAX_REASON: usize = 200;

/// A web socket to a debugger.
pub(super) struct Socket<S> {
    stream: WebSocketStream<S>,
    pings: Interval,
    /// Number of pings since the last frame.
    unanswered: u32,
}

impl Socket<Connection> {
    /// Connects to a debugger, through the proxy of the environment.
    pub(super) async fn open(endpoint: &Endpoint, authorization: HeaderValue) -> Result<Self, DebuggerError> {
        let host = endpoint.authority().to_owned();
        let unreachable = |reason: String| DebuggerError::Unreachable { host: host.clone(), reason };
        let invalid = || unreachable("its address is not valid".to_owned());
        let server = endpoint.server().ok_or_else(invalid)?;
        let mut request = endpoint.socket().ok_or_else(invalid)?.into_client_request().map_err(|_| invalid())?;
        request.headers_mut().insert(USER_AGENT_HEADER, USER_AGENT);
        // The library hands the request to the `log` facade, at its lowest level. This program never installs a logger
        // there, which a test of the imports checks.
        request.headers_mut().insert(AUTHORIZATION, authorization);
        let connection = net::connect(server, CONNECT_TIMEOUT).await.map_err(|error| unreachable(error.to_string()))?;
        let opening = client_async_with_config(request, connection, Some(limits()));
        match timeout(OPEN_TIMEOUT, opening).await {
            Ok(Ok((stream, _))) => Ok(Self::over(stream)),
            Ok(Err(Error::Http(answer))) => Err(DebuggerError::Refused { host, status: answer.status().as_u16() }),
            Ok(Err(error)) => Err(unreachable(cause(&error))),
            Err(_) => Err(unreachable(format!("no answer for {} s", OPEN_TIMEOUT.as_secs()))),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) fn over(stream: WebSocketStream<S>) -> Self {
        let mut pings = interval_at(Instant::now() + PING, PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { stream, pings, unanswered: 0 }
    }

    pub(super) async fn send(&mut self, text: String) -> Result<(), DebuggerError> {
        self.transmit(Message::text(text)).await
    }

    async fn transmit(&mut self, message: Message) -> Result<(), DebuggerError> {
        match timeout(SEND_TIMEOUT, self.stream.send(message)).await {
            Ok(sent) => sent.map_err(|error| lost(&error)),
            Err(_) => Err(DebuggerError::Silent(SEND_TIMEOUT)),
        }
    }

    /// Returns the next text message. May be dropped at any time without losing a message.
    pub(super) async fn receive(&mut self) -> Result<String, DebuggerError> {
        loop {
            let message = tokio::select! {
                message = self.stream.next() => message,
                _ = self.pings.tick() => {
                    if self.unanswered >= MAX_UNANSWERED {
                        return Err(DebuggerError::Silent(SILENCE));
                    }
                    self.unanswered += 1;
                    self.transmit(Message::Ping("cuelight".into())).await?;
                    continue;
                }
            };
            self.unanswered = 0;
            match message {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(frame))) => {
                    let reason = frame.map(|frame| frame.reason.as_str().chars().take(MAX_REASON).collect());
                    return Err(DebuggerError::Closed(reason.unwrap_or_default()));
                }
                // The library answers pings. The runner sends only text messages.
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(lost(&error)),
                None => return Err(DebuggerError::Closed(String::new())),
            }
        }
    }

    /// Closes the connection. An error is ignored, because the connection ends in any case.
    pub(super) async fn close(mut self) {
        let _ = timeout(CLOSE_TIMEOUT, self.stream.close(None)).await;
    }
}

/// Limits of a connection, so that a server cannot exhaust the memory.
pub(super) fn limits() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE))
}

fn lost(error: &Error) -> DebuggerError {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => DebuggerError::Closed(String::new()),
        Error::Capacity(_) => DebuggerError::TooLarge,
        error => DebuggerError::Lost(cause(error)),
    }
}

/// Returns the cause of an error without any part of a request or an answer.
fn cause(error: &Error) -> String {
    match error {
        Error::Io(error) => net::innermost(error),
        Error::Protocol(error) => error.to_string(),
        Error::Utf8(_) => "a text is not UTF-8".to_owned(),
        Error::Capacity(_) | Error::AttackAttempt => "the answer is too large".to_owned(),
        _ => "the answer cannot be understood".to_owned(),
    }
}
