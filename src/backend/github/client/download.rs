//! Downloads logs and artifacts, which are in a storage behind a signed link.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, Uri};
use tokio::time::Instant;

use crate::files::PartialFile;

use super::super::address::is_safe;
use super::transport::{Fault, Incoming, Outgoing};
use super::{ApiError, Client, Form, Inner, MAX_REDIRECTS, MAX_REFUSAL, Priority, RedirectFault, Verdict, refused};

/// Minimum number of bytes that must arrive within [`SPEED_WINDOW`]. A slower download fails.
const MIN_BYTES: u64 = 60_000;
/// Time over which the speed of a download is measured.
const SPEED_WINDOW: Duration = Duration::from_mins(1);

/// A finished download.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Downloaded {
    /// Size in bytes.
    pub bytes: u64,
}

impl Client {
    /// Downloads the content at a path of the API, such as `/repos/o/r/actions/jobs/1/logs`, to a file that only its
    /// owner can read. The file appears once it is complete. Redirects are followed without the token.
    ///
    /// # Errors
    /// As for [`Self::get`]; or the file cannot be written or would be larger than `limit` bytes; or a link leads to an
    /// address that is not safe, or through more than three redirects. An [`ApiError::Refused`] contains whether it was
    /// the storage that refused.
    pub async fn download(
        &self,
        path: &str,
        into: &Path,
        limit: u64,
        priority: Priority,
    ) -> Result<Downloaded, ApiError> {
        let inner = &*self.inner;
        let uri = inner.request(path, Form::Raw)?;
        let mut failures = 0;
        loop {
            let turn = inner.downloads.enter(priority).await;
            let permit = inner.place(priority, failures == 0).await?;
            let result = inner.fetch(uri.clone(), into, limit).await;
            drop((permit, turn));
            match result {
                Err(error) if priority.retries(&error, failures) => failures += 1,
                result => return result,
            }
        }
    }
}

impl Inner {
    async fn fetch(&self, uri: Uri, into: &Path, limit: u64) -> Result<Downloaded, ApiError> {
        let mut headers = self.headers(Form::Json);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let outgoing = Outgoing { method: Method::GET, uri: uri.clone(), headers, body: None };
        let mut incoming = self.transport.send(outgoing).await.map_err(|fault| self.broken(fault))?;
        let mut verdict = self.judge(&mut incoming).await?;
        let mut at = uri;
        for hop in 0.. {
            match verdict {
                Verdict::Done => return self.save(&mut incoming, into, limit).await,
                Verdict::Redirect if hop < MAX_REDIRECTS => {
                    at = self.location(&incoming, &at).ok_or(ApiError::Redirect(RedirectFault::Unsafe))?;
                    incoming = self.follow(&at).await?;
                    verdict = if incoming.status < 300 { Verdict::Done } else { Verdict::Redirect };
                }
                Verdict::Redirect => break,
                _ => return Err(self.failed("an unexpected status")),
            }
        }
        Err(ApiError::Redirect(RedirectFault::TooMany))
    }

    /// Returns the target of a redirect if it is safe: https, or on this machine if the API itself is.
    fn location(&self, incoming: &Incoming, from: &Uri) -> Option<Uri> {
        let text = incoming.header("location")?;
        let absolute = if text.starts_with('/') && !text.starts_with("//") {
            format!("{}://{}{text}", from.scheme_str()?, from.authority()?)
        } else {
            text.to_owned()
        };
        let is_local = self.host.api().starts_with("http://");
        absolute.parse().ok().filter(|to| is_safe(to) && (is_local || to.scheme_str() == Some("https")))
    }

    /// Requests the file from the storage, without the token, because the signed link grants access by itself.
    async fn follow(&self, at: &Uri) -> Result<Incoming, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let outgoing = Outgoing { method: Method::GET, uri: at.clone(), headers, body: None };
        // The message names only the cause, never the link.
        let mut incoming = self.transport.send(outgoing).await.map_err(|fault| self.storage_broken(fault))?;
        match incoming.status {
            200..=399 => Ok(incoming),
            400..=499 => {
                let body = incoming.whole(MAX_REFUSAL).await.map_err(|fault| self.storage_broken(fault))?;
                Err(refused(&incoming, &body.unwrap_or_default(), true))
            }
            status => Err(self.storage_failed(format!("status {status}"))),
        }
    }

    /// Returns the error of a download whose storage failed. It is not reported to the link, because the API did not
    /// fail.
    fn storage_broken(&self, fault: Fault) -> ApiError {
        let (Fault::NotSent(reason) | Fault::Lost(reason)) = fault;
        self.storage_failed(reason)
    }

    fn storage_failed(&self, reason: String) -> ApiError {
        ApiError::Server { host: format!("the storage of {}", self.host.name()), reason }
    }

    async fn save(&self, incoming: &mut Incoming, into: &Path, limit: u64) -> Result<Downloaded, ApiError> {
        let mut part = PartialFile::new(into, 0o600).map_err(ApiError::io("write", into))?;
        let mut bytes = 0_u64;
        let mut window = (Instant::now(), 0_u64);
        while let Some(data) = incoming.part().await.map_err(|fault| self.storage_broken(fault))? {
            bytes = bytes.saturating_add(data.len() as u64);
            if window.0.elapsed() >= SPEED_WINDOW {
                if bytes - window.1 < MIN_BYTES {
                    let seconds = SPEED_WINDOW.as_secs();
                    return Err(self.storage_failed(format!("less than {MIN_BYTES} bytes in {seconds} s")));
                }
                window = (Instant::now(), bytes);
            }
            if bytes > limit {
                return Err(ApiError::TooLarge { limit });
            }
            part.file().write_all(&data).map_err(ApiError::io("write", into))?;
        }
        part.finish().map_err(ApiError::io("write", into))?;
        Ok(Downloaded { bytes })
    }
}
