//! Reads an answer that must not be stored.

use http::Method;

use super::transport::Outgoing;
use super::{ApiError, Client, Form, MAX_REFUSAL, Priority};

impl Client {
    /// Returns the JSON at a path of the API, at most 64 KiB, which is not written to the cache: for answers that are
    /// valid only now, or that give access to something. The request is not retried.
    ///
    /// # Errors
    /// Requests to the server are held back, the server cannot be reached, it refuses or redirects the request, or its
    /// answer is too large.
    pub async fn unstored(&self, path: &str) -> Result<Vec<u8>, ApiError> {
        let inner = &*self.inner;
        let uri = inner.request(path, Form::Json)?;
        let _permit = inner.place(Priority::User, true).await?;
        let outgoing = Outgoing { method: Method::GET, uri, headers: inner.headers(Form::Json), body: None };
        let mut incoming = inner.transport.send(outgoing).await.map_err(|fault| inner.broken(fault))?;
        inner.judge(&mut incoming).await?;
        if incoming.status != 200 {
            return Err(inner.failed(&format!("status {}", incoming.status)));
        }
        let body = incoming.whole(MAX_REFUSAL).await.map_err(|fault| inner.broken(fault))?;
        body.ok_or(ApiError::TooLarge { limit: MAX_REFUSAL as u64 })
    }
}
