//! Reads the end of a log that grows at the server.

use bytes::Bytes;
use http::header::{ACCEPT, RANGE};
use http::{HeaderValue, Method};

use super::transport::Outgoing;
use super::{ApiError, Client, Form, Priority, Verdict};

/// Maximum number of bytes of one answer.
pub const MAX_TAIL: usize = 4 << 20;

impl Client {
    /// Returns the content at a path of the API from an offset on, at most [`MAX_TAIL`] bytes. Empty if there is
    /// nothing new, or if the server answers with status 404, 416 or 500. The request is not retried.
    ///
    /// # Errors
    /// No request may be sent, the server cannot be reached or refuses, or it answers without the requested range.
    pub async fn tail(&self, path: &str, from: u64, priority: Priority) -> Result<Bytes, ApiError> {
        let inner = &*self.inner;
        let uri = inner.request(path, Form::Raw)?;
        let _turn = inner.downloads.enter(priority).await;
        let _permit = inner.place(priority, true).await?;
        let mut headers = inner.headers(Form::Raw);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let range = format!("bytes={from}-{}", from + MAX_TAIL as u64 - 1);
        headers.insert(RANGE, HeaderValue::from_str(&range).expect("a range is text"));
        let outgoing = Outgoing { method: Method::GET, uri, headers, body: None };
        let mut incoming = inner.transport.send(outgoing).await.map_err(|fault| inner.broken(fault))?;
        let is_from = match incoming.status {
            // Gitea answers with 500 before the first line of a job.
            404 | 416 | 500 => return Ok(Bytes::new()),
            206 => incoming.header("content-range").is_some_and(|range| range.starts_with(&format!("bytes {from}-"))),
            200 => from == 0,
            _ => false,
        };
        if !is_from {
            return match inner.judge(&mut incoming).await? {
                Verdict::Done => Err(inner.failed("an answer without the requested part")),
                _ => Err(inner.failed("an unexpected status")),
            };
        }
        let body = incoming.whole(MAX_TAIL).await.map_err(|fault| inner.broken(fault))?;
        Ok(body.ok_or(ApiError::TooLarge { limit: MAX_TAIL as u64 })?.into())
    }
}
