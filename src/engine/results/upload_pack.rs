//! `git upload-pack`, the program that answers a fetch.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::engine::sandbox::Interrupt;
use crate::engine::sandbox::host::signal_group;
use crate::repo::git::{Access, command};

use super::answer::Answer;
use super::error::ServiceError;

/// What a fetch may ask for, as on GitHub: any commit, and a part of its objects. Of the refs, it learns those that
/// GitHub has too: not the stash, and not what was fetched from other repositories.
const SETTINGS: [&str; 6] = [
    "uploadpack.allowAnySHA1InWant=true",
    "uploadpack.allowFilter=true",
    "transfer.hideRefs=refs",
    "transfer.hideRefs=!refs/heads",
    "transfer.hideRefs=!refs/tags",
    "transfer.hideRefs=!refs/pull",
];

/// Maximum number of fetches of a run that are answered at a time. Others wait.
pub(super) const MAX_FETCHES: usize = 4;

/// Number of bytes of git's output that are read at a time.
const PORTION: usize = 64 * 1024;

/// Maximum number of bytes of git's error output that are kept, from its end.
const MAX_ERRORS: usize = 4 * 1024;

/// Time limit of the list of refs, until the client has all of it.
const LIST_LIMIT: Duration = Duration::from_mins(1);

/// Time that the error output of git may take to end after git itself.
const ERRORS_LIMIT: Duration = Duration::from_secs(1);

/// The program at work for a client. When this is dropped, it ends with everything that it has started.
pub(super) struct UploadPack {
    git: Child,
    stdout: ChildStdout,
    /// Reads the error output.
    errors: JoinHandle<String>,
    /// When the client must have all of the output; `None` without a limit.
    deadline: Option<Instant>,
    /// Counts this fetch among those in progress.
    _permit: OwnedSemaphorePermit,
}

impl UploadPack {
    /// Starts the program for a list of the refs. `protocol` is the client's `Git-Protocol` header.
    ///
    /// # Errors
    /// Git cannot be started.
    pub(super) fn list(repository: &Path, protocol: &str, permit: OwnedSemaphorePermit) -> Result<Self, ServiceError> {
        let mut git = upload_pack(repository, protocol);
        git.args(["--advertise-refs", "."]);
        Self::start(git, None, Some(Instant::now() + LIST_LIMIT), permit)
    }

    /// Starts the program for any other request of a client.
    ///
    /// # Errors
    /// Git cannot be started.
    pub(super) fn reply(
        repository: &Path,
        protocol: &str,
        request: Vec<u8>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, ServiceError> {
        let mut git = upload_pack(repository, protocol);
        git.arg(".");
        Self::start(git, Some(request), None, permit)
    }

    fn start(
        mut command: std::process::Command,
        input: Option<Vec<u8>>,
        deadline: Option<Instant>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, ServiceError> {
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        // In a separate process group, the program that packs the objects can be killed with it.
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut git = Command::from(command).kill_on_drop(true).spawn().map_err(ServiceError::Io)?;
        if let Some((mut stdin, input)) = git.stdin.take().zip(input) {
            // Git answers while it reads. If it has ended, its output has the reason for the client.
            tokio::spawn(async move { stdin.write_all(&input).await });
        }
        let stdout = git.stdout.take().expect("a pipe");
        let errors = tokio::spawn(end_of(git.stderr.take().expect("a pipe")));
        Ok(Self { git, stdout, errors, deadline, _permit: permit })
    }

    /// Returns the answer with `before` and the output, while git writes it.
    ///
    /// # Errors
    /// Git failed before it wrote anything.
    pub(super) async fn answer(mut self, before: Bytes, media_type: &'static str) -> Result<Answer, ServiceError> {
        let first = self.portion().await?;
        let rest = stream::unfold(first.is_some().then_some(self), async |git: Option<Self>| {
            let mut git = git?;
            match git.portion().await {
                Ok(portion) => portion.map(|portion| (Ok(Frame::data(portion)), Some(git))),
                // The client must not take a part for the whole.
                Err(error) => {
                    tracing::warn!(%error, "a fetch ended early");
                    Some((Err(io::Error::other(error.to_string())), None))
                }
            }
        });
        let begin = [Some(before).filter(|before| !before.is_empty()), first];
        let begin = begin.into_iter().flatten().map(|portion| Ok(Frame::data(portion)));
        let mut answer = Response::new(UnsyncBoxBody::new(StreamBody::new(stream::iter(begin).chain(rest))));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(answer)
    }

    /// Returns the next portion of the output; `None` after the last one.
    async fn portion(&mut self) -> Result<Option<Bytes>, ServiceError> {
        let Some(deadline) = self.deadline else { return self.read().await };
        let late = |_| Err(ServiceError::Git(format!("the refs were not listed within {} s", LIST_LIMIT.as_secs())));
        timeout_at(deadline, self.read()).await.unwrap_or_else(late)
    }

    async fn read(&mut self) -> Result<Option<Bytes>, ServiceError> {
        let mut portion = vec![0; PORTION];
        let count = self.stdout.read(&mut portion).await.map_err(ServiceError::Io)?;
        if count > 0 {
            portion.truncate(count);
            return Ok(Some(Bytes::from(portion)));
        }
        let status = self.git.wait().await.map_err(ServiceError::Io)?;
        if status.success() {
            return Ok(None);
        }
        let errors = timeout(ERRORS_LIMIT, &mut self.errors).await;
        let errors = errors.ok().and_then(Result::ok).filter(|errors| !errors.is_empty());
        Err(ServiceError::Git(errors.unwrap_or_else(|| status.to_string())))
    }
}

impl Drop for UploadPack {
    fn drop(&mut self) {
        // A process that was waited for has no id any more.
        if let Some(group) = self.git.id() {
            signal_group(group.cast_signed(), Interrupt::Kill);
        }
    }
}

/// Returns the call of the program, without the folder of the repository.
fn upload_pack(repository: &Path, protocol: &str) -> std::process::Command {
    let mut git = command(repository, Access::Guarded);
    for setting in SETTINGS {
        git.args(["-c", setting]);
    }
    git.args(["upload-pack", "--stateless-rpc"]).env("GIT_PROTOCOL", protocol);
    git
}

/// Reads an error output, and returns its last [`MAX_ERRORS`] bytes as text.
async fn end_of(mut stderr: ChildStderr) -> String {
    let (mut kept, mut portion) = (Vec::new(), vec![0; MAX_ERRORS]);
    while let Ok(count @ 1..) = stderr.read(&mut portion).await {
        kept.extend_from_slice(&portion[..count]);
        kept.drain(..kept.len().saturating_sub(MAX_ERRORS));
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::engine::testing;

    fn permit() -> OwnedSemaphorePermit {
        Arc::new(Semaphore::new(1)).try_acquire_owned().expect("free")
    }

    /// Starts a script in place of the program.
    fn script(text: &str, permit: OwnedSemaphorePermit) -> UploadPack {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", text]);
        UploadPack::start(command, None, None, permit).expect("started")
    }

    #[tokio::test]
    async fn only_refs_that_github_has_too_are_listed() {
        let root = tempfile::tempdir().expect("a folder");
        let call = |args: &[&str]| drop(testing::git(root.path(), args));
        call(&["init", "-q", "-b", "main"]);
        std::fs::write(root.path().join("f"), "1").expect("written");
        call(&["add", "."]);
        call(&["commit", "-qm", "one"]);
        call(&["tag", "v1"]);
        for name in ["refs/remotes/fork/main", "refs/pull/1/merge", "refs/notes/commits"] {
            call(&["update-ref", name, "HEAD"]);
        }
        std::fs::write(root.path().join("f"), "2").expect("written");
        call(&["stash"]);
        let git = UploadPack::list(root.path(), "", permit()).expect("started");
        let answer = git.answer(Bytes::new(), "text/plain").await.expect("listed");
        let listed = answer.into_body().collect().await.expect("whole").to_bytes();
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let names = listed.lines().filter_map(|line| line.split(' ').nth(1)?.split('\0').next());
        let names: Vec<_> = names.collect();
        assert_eq!(names, ["HEAD", "refs/heads/main", "refs/pull/1/merge", "refs/tags/v1"]);
    }

    #[tokio::test]
    async fn a_client_that_goes_away_ends_all_that_git_has_started() {
        let fetches = Arc::new(Semaphore::new(1));
        let permit = Arc::clone(&fetches).try_acquire_owned().expect("free");
        // The inner process would say so if it went on.
        let mut git = script("(sleep 20; echo alive >&2) & echo started; wait", permit);
        let errors = std::mem::replace(&mut git.errors, tokio::spawn(async { String::new() }));
        let answer = git.answer(Bytes::new(), "text/plain").await.expect("started");
        assert_eq!(fetches.available_permits(), 0, "the fetch is in progress");
        drop(answer);
        assert_eq!(errors.await.expect("no panic"), "");
        assert_eq!(fetches.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_failure_before_the_first_byte_is_refused_with_the_words_of_git() {
        let root = tempfile::tempdir().expect("a folder");
        let git = UploadPack::list(root.path(), "version=2", permit()).expect("started");
        let refused = git.answer(Bytes::from_static(b"before"), "text/plain").await;
        let Err(ServiceError::Git(errors)) = refused else { panic!("answered") };
        assert!(errors.contains("not appear to be a git repository"), "{errors}");
        let long = script("yes word | head -c 100000 >&2; echo last >&2; exit 3", permit());
        let Err(ServiceError::Git(errors)) = long.answer(Bytes::new(), "text/plain").await else { panic!("answered") };
        assert!(errors.ends_with("last") && errors.len() <= MAX_ERRORS, "{}", errors.len());
        let Err(ServiceError::Git(errors)) = script("exit 3", permit()).answer(Bytes::new(), "text/plain").await else {
            panic!("answered")
        };
        assert_eq!(errors, "exit status: 3");
    }

    #[tokio::test]
    async fn a_failure_after_the_first_byte_breaks_the_answer_off() {
        let whole = script("echo part; echo more", permit()).answer(Bytes::from_static(b"0000"), "text/plain").await;
        let whole = whole.expect("answered").into_body().collect().await.expect("whole").to_bytes();
        assert_eq!(whole, "0000part\nmore\n");
        let git = script("echo part; echo broken >&2; exit 3", permit());
        let answer = git.answer(Bytes::new(), "text/plain").await.expect("begun");
        let error = answer.into_body().collect().await.map(|_| ()).expect_err("broken off");
        assert!(error.to_string().contains("broken"), "{error}");
    }
}
