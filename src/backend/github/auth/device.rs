//! Login with a code that the user enters on a page of the server (OAuth device flow).

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::super::address::Host;
use super::super::client::ApiError;
use super::super::client::transport::{Fault, Outgoing, Transport};
use super::{AuthError, LoginFailure, Token};

/// Requested scopes: all repositories, changes of workflows, and reading the user's organizations.
const SCOPES: &str = "repo read:org workflow";
/// Maximum size of an answer in bytes.
const MAX_ANSWER: usize = 64 << 10;
/// Seconds between two polls if the server names no interval.
const DEFAULT_INTERVAL: u64 = 5;
/// Seconds to add to the interval if the server sends `slow_down` without a number.
const SLOWER: u64 = 5;
/// Maximum interval that a server may ask for, in seconds.
const MAX_INTERVAL: u64 = 120;
/// Maximum time to wait until the user has entered the code, in seconds.
const MAX_WAIT: u64 = 1800;

/// A login that waits for the user.
pub struct DeviceLogin {
    transport: Transport,
    host: Host,
    client_id: String,
    code: DeviceCode,
}

#[derive(Deserialize)]
struct DeviceCode {
    #[serde(rename = "device_code")]
    device: String,
    user_code: String,
    verification_uri: String,
    expires_in: Option<u64>,
    interval: Option<u64>,
}

/// Response of a poll: whether the code was entered.
#[derive(Deserialize)]
struct Granted {
    access_token: Option<String>,
    error: Option<String>,
    interval: Option<u64>,
}

impl DeviceLogin {
    /// Requests a code from the server.
    ///
    /// # Errors
    /// There is no client id; or the server does not answer, refuses the client id, or sends an answer that cannot be
    /// read or names a page of another host.
    pub async fn start(host: Host, client_id: Option<&str>) -> Result<Self, AuthError> {
        let client_id = client_id.ok_or_else(|| AuthError::NoClientId(host.name().to_owned()))?;
        let transport = Transport::new()?;
        let request = json!({ "client_id": client_id, "scope": SCOPES });
        let body = post(&transport, &host, "/login/device/code", &request).await?;
        let code: DeviceCode = serde_json::from_slice(&body).map_err(|_| {
            let refusal: Option<Granted> = serde_json::from_slice(&body).ok();
            AuthError::Login(match refusal.and_then(|refusal| refusal.error) {
                Some(error) => failure(&error),
                None => LoginFailure::Unreadable,
            })
        })?;
        let is_shown =
            |text: &str| !text.is_empty() && text.len() < 200 && text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_page = code.verification_uri.starts_with(&format!("{}/", host.web()));
        if !is_shown(&code.user_code) || !is_shown(&code.verification_uri) || !is_page {
            return Err(AuthError::Login(LoginFailure::Unreadable));
        }
        Ok(Self { transport, host, client_id: client_id.to_owned(), code })
    }

    /// Returns the code that the user enters.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code.user_code
    }

    /// Returns the address of the page on which the code is entered. It is on the host itself.
    #[must_use]
    pub fn page(&self) -> &str {
        &self.code.verification_uri
    }

    /// Waits until the user has entered the code.
    ///
    /// # Errors
    /// The user refused or was too slow, or the server refuses or sends an answer that cannot be read. Failures that
    /// may pass, such as a lost connection, only lead to the next poll.
    pub async fn wait(self) -> Result<Token, AuthError> {
        let expires = self.code.expires_in.unwrap_or(MAX_WAIT).min(MAX_WAIT);
        let end = Instant::now() + Duration::from_secs(expires);
        let mut interval = self.code.interval.unwrap_or(DEFAULT_INTERVAL).min(MAX_INTERVAL);
        let request = json!({
            "client_id": self.client_id,
            "device_code": self.code.device,
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        });
        loop {
            // A fifth more than the server requires, because clocks and networks differ.
            sleep(Duration::from_millis(interval * 1200)).await;
            if Instant::now() >= end {
                return Err(AuthError::Login(LoginFailure::Expired));
            }
            let answer = match post(&self.transport, &self.host, "/login/oauth/access_token", &request).await {
                Ok(body) => serde_json::from_slice::<Granted>(&body),
                // The code stays valid while the network is down.
                Err(AuthError::Api(error)) if error.is_transient() => continue,
                Err(error) => return Err(error),
            };
            let answer = answer.map_err(|_| AuthError::Login(LoginFailure::Unreadable))?;
            if let Some(token) = answer.access_token.as_deref().and_then(Token::new) {
                return Ok(token);
            }
            match answer.error.as_deref() {
                Some("authorization_pending") => {}
                Some("slow_down") => interval = answer.interval.unwrap_or(interval + SLOWER).min(MAX_INTERVAL),
                Some(error) => return Err(AuthError::Login(failure(error))),
                None => return Err(AuthError::Login(LoginFailure::Unreadable)),
            }
        }
    }
}

/// Returns the meaning of an OAuth error code.
fn failure(error: &str) -> LoginFailure {
    match error {
        "access_denied" => LoginFailure::Denied,
        "expired_token" | "token_expired" => LoginFailure::Expired,
        other => LoginFailure::Other(other.chars().filter(|character| !character.is_control()).take(100).collect()),
    }
}

async fn post(
    transport: &Transport,
    host: &Host,
    path: &str,
    request: &serde_json::Value,
) -> Result<Vec<u8>, AuthError> {
    let uri = format!("{}{path}", host.web()).parse().map_err(|_| ApiError::Path(path.to_owned()))?;
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = Some(Bytes::from(request.to_string()));
    let unreachable = |fault: Fault| {
        let (Fault::NotSent(reason) | Fault::Lost(reason)) = fault;
        AuthError::Api(ApiError::Unreachable { host: host.name().to_owned(), reason })
    };
    let sent = transport.send(Outgoing { method: Method::POST, uri, headers, body }).await;
    let mut incoming = sent.map_err(unreachable)?;
    let body = incoming.whole(MAX_ANSWER).await.map_err(unreachable)?.unwrap_or_default();
    match incoming.status {
        // Errors of the flow come with status 200, or 400 from some servers.
        200 | 400 => Ok(body),
        500.. => {
            Err(ApiError::Server { host: host.name().to_owned(), reason: format!("status {}", incoming.status) }.into())
        }
        404 => Err(AuthError::Login(LoginFailure::Other("not found: the client id is not known here".to_owned()))),
        status => Err(AuthError::Login(LoginFailure::Other(format!("status {status}")))),
    }
}
