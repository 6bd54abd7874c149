//! The run's repository over git's HTTP protocol, from which the real `actions/checkout` fetches.
//!
//! The commit of a run may not have been pushed, so the action fetches from this machine. A job on this machine fetches
//! from the folder, which containers do not see. `git upload-pack` answers them; it only reads.

use std::io;
use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdout, Command};

use crate::engine::context::RunFacts;
use crate::repo::git::{Access, command};

use super::answer::Answer;
use super::error::ServiceError;
use super::router::{header, parameter, read};
use super::service::Service;

/// Path prefix of the repository: `/git/OWNER/NAME`.
pub(super) const PATH: &str = "/git/";

/// The program of git that serves a fetch.
const SERVICE: &str = "git-upload-pack";

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

/// Characters of the names of repositories on GitHub.
const NAME_CHARACTERS: &str = "-._0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Maximum size in bytes of an unpacked request.
const MAX_REQUEST: usize = 64 * 1024 * 1024;

/// Number of bytes of git's output that are read at a time.
const PORTION: usize = 64 * 1024;

/// Returns the settings with which git fetches the repository from this machine instead of from GitHub: from `folder` if
/// the client sees it, else from the server at `base`. They affect only the client and the programs that it starts.
/// Repositories whose names begin with the name of this one are left on GitHub.
pub(super) fn client_settings(
    facts: &RunFacts,
    base: &str,
    token: &str,
    folder: Option<&Path>,
) -> Vec<(String, String)> {
    let name = &facts.repository;
    let here = format!("{}{PATH}{name}", base.trim_end_matches('/'));
    let here = folder.map_or(here, |folder| format!("file://{}", folder.display()));
    let there = format!("https://github.com/{name}");
    let mut settings = vec![
        (format!("url.{here}.insteadOf"), there.clone()),
        (format!("http.{base}.extraHeader"), format!("Authorization: Bearer {token}")),
        ("safe.directory".to_owned(), "*".to_owned()),
        // For a folder, the client itself starts the program that answers.
        ("uploadpack.allowAnySHA1InWant".to_owned(), "true".to_owned()),
    ];
    // Git replaces any address that begins with the value, and of several values the longest. An address with each
    // character that a name may contain is therefore replaced by itself. The action does not use the form with `.git`.
    settings.extend(NAME_CHARACTERS.chars().map(|next| {
        let longer = format!("{there}{next}");
        (format!("url.{longer}.insteadOf"), longer)
    }));
    settings
}

/// Answers a request of a git client. `called` is its path below [`PATH`].
pub(super) async fn answer(
    service: &Service,
    called: &str,
    request: Request<Incoming>,
) -> Result<Answer, ServiceError> {
    let bad_route = || ServiceError::BadRoute(called.to_owned());
    let name = service.facts.repository.as_str();
    let start = called.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name));
    let rest = start.map(|start| &called[start.len()..]).ok_or_else(bad_route)?;
    let rest = rest.strip_prefix(".git").unwrap_or(rest);
    let protocol = header(&request, "git-protocol").unwrap_or_default().to_owned();
    match (request.method(), rest) {
        (&Method::GET, "/info/refs") if parameter(request.uri(), "service").as_deref() == Some(SERVICE) => {
            // Version 2 of the protocol has no such line.
            let line = format!("# service={SERVICE}\n");
            let line = format!("{:04x}{line}0000", line.len() + 4);
            let before = if protocol.contains("version=2") { Bytes::new() } else { line.into() };
            let git = start_git(&service.repository, &protocol, true)?;
            Ok(output(git, before, "application/x-git-upload-pack-advertisement"))
        }
        (&Method::POST, "/git-upload-pack") => {
            let is_packed = header(&request, CONTENT_ENCODING.as_str()) == Some("gzip");
            let body = read(request).await?;
            let body = if is_packed { unpacked(&body)? } else { body };
            let mut git = start_git(&service.repository, &protocol, false)?;
            let mut input = git.stdin.take().expect("a pipe");
            // Git answers while it reads. If it has ended, its output tells the client why.
            tokio::spawn(async move { input.write_all(&body).await });
            Ok(output(git, Bytes::new(), "application/x-git-upload-pack-result"))
        }
        _ => Err(bad_route()),
    }
}

/// Starts `git upload-pack` on the repository. With `advertise`, it lists the refs and ends. It is killed if the client
/// goes away.
fn start_git(repository: &Path, protocol: &str, advertise: bool) -> Result<Child, ServiceError> {
    let mut git = command(repository, Access::Guarded);
    for setting in SETTINGS {
        git.args(["-c", setting]);
    }
    git.args(["upload-pack", "--stateless-rpc"]).args(advertise.then_some("--advertise-refs")).arg(".");
    git.env("GIT_PROTOCOL", protocol);
    let mut git = Command::from(git);
    let stdin = if advertise { Stdio::null() } else { Stdio::piped() };
    git.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    git.spawn().map_err(ServiceError::Io)
}

/// Returns the answer with `before` and the output of git, while git writes it.
fn output(mut git: Child, before: Bytes, media_type: &'static str) -> Answer {
    let stdout = git.stdout.take().expect("a pipe");
    let next = async |(mut git, mut stdout): (Child, ChildStdout)| {
        let mut portion = vec![0; PORTION];
        let read = stdout.read(&mut portion).await;
        match read {
            Ok(0) => match git.wait().await {
                Ok(status) if status.success() => None,
                // The client must not take a part for the whole.
                Ok(status) => Some((Err(io::Error::other(format!("git upload-pack: {status}"))), (git, stdout))),
                Err(error) => Some((Err(error), (git, stdout))),
            },
            Ok(count) => {
                portion.truncate(count);
                Some((Ok(Frame::data(Bytes::from(portion))), (git, stdout)))
            }
            Err(error) => Some((Err(error), (git, stdout))),
        }
    };
    let first = stream::iter((!before.is_empty()).then(|| Ok(Frame::data(before))));
    let body = futures_util::StreamExt::chain(first, stream::unfold((git, stdout), next));
    let mut answer = Response::new(UnsyncBoxBody::new(StreamBody::new(body)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

/// Unpacks a request that git has compressed, which it does above 1 KiB.
fn unpacked(body: &[u8]) -> Result<Vec<u8>, ServiceError> {
    // Git writes the header without optional fields.
    let data = body.strip_prefix(&[0x1f, 0x8b, 8, 0]).and_then(|after| after.get(6..));
    let data = data.ok_or_else(|| ServiceError::Invalid("the request is not compressed with gzip".to_owned()))?;
    miniz_oxide::inflate::decompress_to_vec_with_limit(data, MAX_REQUEST)
        .map_err(|error| ServiceError::Invalid(format!("the request cannot be unpacked: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing;
    use crate::repo::git::git;

    /// Calls git in a folder, and returns what it prints.
    fn call(folder: &Path, args: &[&str]) -> String {
        let who = ["-c", "user.name=Ada", "-c", "user.email=a@b"];
        git(folder, who.iter().chain(args)).expect("git works").trim().to_owned()
    }

    #[tokio::test]
    async fn only_refs_that_github_has_too_are_listed() {
        let root = tempfile::tempdir().expect("a folder");
        let call = |args: &[&str]| call(root.path(), args);
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
        let git = start_git(root.path(), "", true).expect("started");
        let listed = git.wait_with_output().await.expect("ended").stdout;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let names: Vec<_> = listed.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        let names: Vec<_> = names.iter().filter_map(|name| name.split('\0').next()).collect();
        assert_eq!(names, ["HEAD", "refs/heads/main", "refs/pull/1/merge", "refs/tags/v1"]);
    }

    #[test]
    fn only_the_repository_of_the_run_is_fetched_from_this_machine() {
        let facts = RunFacts { repository: "o/app".to_owned(), ..testing::facts() };
        let folder = tempfile::tempdir().expect("a folder");
        for (seen, here) in [
            (None, "http://172.18.0.1:4000/git/o/app".to_owned()),
            (Some(folder.path()), format!("file://{}", folder.path().display())),
        ] {
            let settings = client_settings(&facts, "http://172.18.0.1:4000/", "token", seen);
            let settings: Vec<_> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let leads_to = |address: &str| {
                let options = settings.iter().flat_map(|setting| ["-c", setting]);
                call(folder.path(), &options.chain(["ls-remote", "--get-url", address]).collect::<Vec<_>>())
            };
            assert_eq!(leads_to("https://github.com/o/app"), here);
            assert_eq!(leads_to("https://github.com/o/app/"), format!("{here}/"));
            for next in NAME_CHARACTERS.chars() {
                let other = format!("https://github.com/o/app{next}docs");
                assert_eq!(leads_to(&other), other);
            }
        }
    }

    #[test]
    fn compressed_requests_are_unpacked() {
        let packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x033006*O\xcc+Q0\x04\x02\x00\x08\xaco9\x0d\x00\x00\x00";
        assert_eq!(unpacked(packed).expect("unpacked"), b"0032want 1111");
        for broken in [&packed[..9], &packed[..14], b"0032want 1111", b""] {
            assert!(matches!(unpacked(broken), Err(ServiceError::Invalid(_))), "{broken:?}");
        }
    }
}
