//! Sends notifications to servers.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use ring::hmac;
use tokio::time::timeout;

use crate::net::{Connector, USER_AGENT, connector, innermost, is_loopback};
use crate::store::digest::hexadecimal;

/// Maximum time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum time from the start of a request to the end of its answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Maximum number of bytes that are read of the answer of a server that refuses a notification.
const MAX_ANSWER: usize = 4096;

/// Maximum number of characters of an answer that are shown.
const MAX_SHOWN: usize = 120;

/// Minimum length in bytes of a part of an address that is masked separately.
const MIN_SECRET_PART: usize = 6;

/// Header with the signature of a body: `sha256=` and the hexadecimal HMAC-SHA256 under the shared key.
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("x-cuelight-signature-256");

/// Why a server did not take a notification.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error("the address is not a URL")]
    NoUrl,
    #[error("the address must begin with https://; http:// is only for a server on this machine, such as localhost")]
    Insecure,
    #[error("the address has a user name or a password, which are not sent: leave them out")]
    Credentials,
    #[error("cannot use TLS: {0}")]
    Setup(io::Error),
    #[error("no answer within {} s", LIMIT.as_secs())]
    Late,
    #[error("cannot reach the server: {0}")]
    Unreachable(String),
    #[error("the server redirects ({0}), which is not followed: the address must be the final one")]
    Redirected(StatusCode),
    #[error("the server answered {status}{answer}")]
    Refused { status: StatusCode, answer: String, after: Option<Duration> },
}

impl PostError {
    /// Whether another attempt can have another result.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::NoUrl | Self::Insecure | Self::Credentials | Self::Setup(_) | Self::Redirected(_) => false,
            Self::Late | Self::Unreachable(_) => true,
            Self::Refused { status, .. } => {
                let is_busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
                status.is_server_error() || is_busy.contains(status)
            }
        }
    }

    /// Returns how long the server asks to wait before the next attempt; `None` if it does not ask for it.
    pub(super) fn after(&self) -> Option<Duration> {
        if let Self::Refused { after, .. } = self { *after } else { None }
    }
}

/// Sends documents to one address.
pub(super) struct Poster {
    uri: Uri,
    client: Client<Connector, Full<Bytes>>,
}

impl Poster {
    /// Creates a poster for an address.
    ///
    /// # Errors
    /// The address is invalid, or must not be used.
    pub(super) fn to(address: &str) -> Result<Self, PostError> {
        let uri: Uri = address.trim().parse().map_err(|_| PostError::NoUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(PostError::NoUrl);
        };
        if authority.as_str().contains('@') {
            return Err(PostError::Credentials);
        }
        if scheme != "https" && !(scheme == "http" && is_loopback(authority.host())) {
            return Err(PostError::Insecure);
        }
        let connector = connector(CONNECT_TIMEOUT).map_err(PostError::Setup)?;
        let client = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build(connector);
        Ok(Self { uri, client })
    }

    /// Sends a document once. Redirects are not followed.
    ///
    /// # Errors
    /// The server cannot be reached, or does not answer with success in time.
    pub(super) async fn post(&self, headers: &HeaderMap, body: &Bytes) -> Result<(), PostError> {
        let mut request = Request::post(self.uri.clone()).body(Full::new(body.clone())).expect("the parts are valid");
        *request.headers_mut() = headers.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(header::USER_AGENT, USER_AGENT);
        let sent = async {
            let response = self.client.request(request).await;
            let response = response.map_err(|error| PostError::Unreachable(self.redacted(&innermost(&error))))?;
            let status = response.status();
            if status.is_success() {
                return Ok(());
            }
            if status.is_redirection() {
                return Err(PostError::Redirected(status));
            }
            let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let after = seconds.map(Duration::from_secs);
            Err(PostError::Refused {
                status,
                answer: first_line(&self.redacted(&beginning(response.into_body()).await)),
                after,
            })
        };
        timeout(LIMIT, sent).await.unwrap_or(Err(PostError::Late))
    }

    /// Masks the address and its parts in a text.
    fn redacted(&self, text: &str) -> String {
        let path = self.uri.path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default();
        let mut parts = vec![self.uri.to_string(), path.clone()];
        parts.extend(path.split(['/', '?', '&', '=']).map(str::to_owned));
        parts.retain(|part| part.len() >= MIN_SECRET_PART);
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        parts.iter().fold(text.to_owned(), |text, part| text.replace(part, "***"))
    }
}

/// Returns the beginning of an answer. A word that is cut off at the end is left out, because it could be a part of the
/// address.
async fn beginning(mut body: impl BodyExt<Data = Bytes> + Unpin) -> String {
    let mut read = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        read.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
        if read.len() >= MAX_ANSWER {
            break;
        }
    }
    let is_cut = read.len() >= MAX_ANSWER;
    let text = String::from_utf8_lossy(&read[..read.len().min(MAX_ANSWER)]).into_owned();
    match text.rsplit_once(char::is_whitespace) {
        Some((whole, _)) if is_cut => whole.to_owned(),
        None if is_cut => String::new(),
        _ => text,
    }
}

/// Returns the first line of an answer after a colon. The line often contains the cause.
fn first_line(answer: &str) -> String {
    let line: String = answer.trim().lines().next().unwrap_or_default().chars().take(MAX_SHOWN).collect();
    if line.is_empty() { line } else { format!(": {line}") }
}

/// Returns the value of [`SIGNATURE`] for a body.
pub(super) fn signature(key: &str, body: &[u8]) -> HeaderValue {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), body);
    HeaderValue::try_from(format!("sha256={}", hexadecimal(tag.as_ref()))).expect("hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_https_and_this_machine_are_addresses() {
        for (address, expected) in [
            ("https://hooks.slack.com/services/T0/B0/x", None),
            ("http://localhost:9/x", None),
            ("http://127.0.0.1/x", None),
            ("http://[::1]:80/x", None),
            ("http://example.com/x", Some("must begin with https://")),
            ("http://127.0.0.1.example.com/x", Some("must begin with https://")),
            ("ftp://localhost/x", Some("must begin with https://")),
            ("https://ada:secret@example.com/x", Some("leave them out")),
            ("hooks.slack.com/services", Some("not a URL")),
            ("", Some("not a URL")),
        ] {
            let error = Poster::to(address).err().map(|error| error.to_string());
            match (error, expected) {
                (None, None) => {}
                (Some(error), Some(expected)) => assert!(error.contains(expected), "{address}: {error}"),
                (error, _) => panic!("{address}: {error:?}"),
            }
        }
    }

    #[tokio::test]
    async fn parts_of_the_address_are_shown_nowhere() {
        let poster = Poster::to("https://hooks.example.com/services/T00SECRET/B0?token=abcdef1").expect("a URL");
        for text in [
            "cannot POST /services/T00SECRET/B0?token=abcdef1",
            "unknown team T00SECRET",
            "https://hooks.example.com/services/T00SECRET/B0?token=abcdef1 is gone",
            "token abcdef1",
        ] {
            let shown = poster.redacted(text);
            assert!(!shown.contains("T00SECRET") && !shown.contains("abcdef1"), "{shown}");
        }
    }

    /// The example of RFC 4231, test case 2.
    #[test]
    fn documents_are_signed_with_hmac_sha256() {
        let signed = signature("Jefe", b"what do ya want for nothing?");
        assert_eq!(signed, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
