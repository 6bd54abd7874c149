//! Downloads logs and artifacts, which are in a storage behind a signed link.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, Uri};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use tokio::time::Instant;

use crate::files;

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
        let mut part = Part::new(into)?;
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
            part.write(&data)?;
        }
        part.finish(into)?;
        Ok(Downloaded { bytes })
    }
}

/// An incomplete download: a file beside its target, removed on drop unless it was finished.
struct Part {
    file: File,
    path: PathBuf,
}

/// Minimum age of a partial file that is removed because its process is not found. The process of a younger file may be
/// in a container, where this process cannot see it.
const LEFTOVER_AGE: Duration = Duration::from_mins(1);

impl Part {
    fn new(into: &Path) -> Result<Self, ApiError> {
        let name = into.file_name().unwrap_or_default().to_string_lossy();
        let start = format!(".{name}.");
        remove_leftovers(into.parent().unwrap_or(Path::new(".")), &start);
        let name = format!("{start}{}-{:08x}.part", std::process::id(), super::dice());
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

/// Removes the partial files of killed processes.
fn remove_leftovers(folder: &Path, start: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(start)?.strip_suffix(".part")?.split_once('-'));
        let Some(process) = number.and_then(|(number, _)| Pid::from_raw(number.parse().ok()?)) else { continue };
        let age = entry.metadata().and_then(|file| file.modified()).ok().and_then(|time| time.elapsed().ok());
        if test_kill_process(process) == Err(Errno::SRCH) && age.is_some_and(|age| age >= LEFTOVER_AGE) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Fails after `finish`, which has moved the file.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn parts_of_killed_processes_are_removed() {
        let home = tempfile::tempdir().expect("a folder");
        let mut child = std::process::Command::new("true").spawn().expect("starts");
        child.wait().expect("ends");
        let (dead, alive) = (child.id(), std::process::id());
        let old = SystemTime::now() - 2 * LEFTOVER_AGE;
        for (name, time) in [
            (format!(".a.{dead}-1.part"), old),
            (format!(".a.{dead}-2.part"), SystemTime::now()),
            (format!(".a.{alive}-3.part"), old),
            (format!(".b.{dead}-4.part"), old),
            (".a.x-5.part".to_owned(), old),
        ] {
            File::create(home.path().join(name)).and_then(|file| file.set_modified(time)).expect("made");
        }
        let part = Part::new(&home.path().join("a")).expect("made");
        let left = |number: u32| {
            let mut entries = fs::read_dir(home.path()).expect("a folder").flatten();
            entries.any(|entry| entry.file_name().to_string_lossy().ends_with(&format!("-{number}.part")))
        };
        assert_eq!([1, 2, 3, 4, 5].map(left), [false, true, true, true, true]);
        drop(part);
    }
}
