//! Downloads: logs and artifacts, which lie in a storage behind a signed link.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::files;

use super::super::address::is_safe;
use super::transport::{Fault, Incoming, Outgoing};
use super::{ApiError, Client, Form, Inner, MAX_REDIRECTS, MAX_REFUSAL, Priority, RedirectFault, Verdict, refused};

/// A finished download.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Downloaded {
    /// Size in bytes.
    pub bytes: u64,
}

impl Client {
    /// Downloads what is at a path of the API, such as `/repos/o/r/actions/jobs/1/logs`, to a file that only its owner
    /// may read. The file appears when it is complete. Redirects are followed, without the token.
    ///
    /// # Errors
    /// Those of [`Self::get`]; the file cannot be written or would be larger than `limit` bytes; or a link leads to an
    /// address that is not safe. An [`ApiError::Refused`] has whether the storage refused.
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
            inner.wait(priority, failures == 0).await?;
            let permit = inner.queue.enter(priority).await;
            let result = inner.fetch(uri.clone(), into, limit).await;
            drop(permit);
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

    /// Returns the address that a redirect names, if it is safe: https, or on this machine as the API itself.
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

    /// Asks the storage: without the token, as the link holds its own permission.
    async fn follow(&self, at: &Uri) -> Result<Incoming, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let outgoing = Outgoing { method: Method::GET, uri: at.clone(), headers, body: None };
        // The text of the fault names the cause alone, never the link.
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

    /// A failure of the storage does not count as a failure of the link to the API.
    fn storage_broken(&self, fault: Fault) -> ApiError {
        let (Fault::NotSent(reason) | Fault::Lost(reason)) = fault;
        self.storage_failed(reason)
    }

    fn storage_failed(&self, reason: String) -> ApiError {
        ApiError::Server { host: format!("the storage of {}", self.host.name()), reason }
    }

    async fn save(&self, incoming: &mut Incoming, into: &Path, limit: u64) -> Result<Downloaded, ApiError> {
        let mut part = Part::new(into)?;
        let mut bytes = 0_u64;
        while let Some(data) = incoming.part().await.map_err(|fault| self.storage_broken(fault))? {
            bytes += data.len() as u64;
            if bytes > limit {
                return Err(ApiError::TooLarge { limit });
            }
            part.write(&data)?;
        }
        part.finish(into)?;
        Ok(Downloaded { bytes })
    }
}

/// A download that is not complete: a file beside its target, removed unless it is finished.
struct Part {
    file: File,
    path: PathBuf,
}

impl Part {
    fn new(into: &Path) -> Result<Self, ApiError> {
        let mut name = std::ffi::OsString::from(".");
        name.push(into.file_name().unwrap_or_default());
        name.push(format!(".{}-{:08x}.part", std::process::id(), super::dice()));
        let path = into.with_file_name(name);
        let file = files::create_own(&path).map_err(ApiError::io("write", &path))?;
        Ok(Self { file, path })
    }

    fn write(&mut self, data: &[u8]) -> Result<(), ApiError> {
        self.file.write_all(data).map_err(ApiError::io("write", &self.path))
    }

    fn finish(self, into: &Path) -> Result<(), ApiError> {
        fs::rename(&self.path, into).map_err(ApiError::io("write", into))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After `finish` nothing is there.
        let _ = fs::remove_file(&self.path);
    }
}
