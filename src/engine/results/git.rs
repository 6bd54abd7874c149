//! The run's repository over git's HTTP protocol, from which the real `actions/checkout` fetches.
//!
//! The commit of a run may not have been pushed, so the action fetches from this machine. A job on this machine fetches
//! from the folder, which containers do not see. `git upload-pack` answers them; it only reads. They also get the
//! objects of Git LFS that the repository has.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::CONTENT_ENCODING;
use hyper::{Method, Request};
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::engine::blocking::in_place;
use crate::engine::context::RunFacts;

use super::answer::Answer;
use super::error::ServiceError;
use super::lfs;
use super::links::Links;
use super::router::{header, parameter, read};
use super::service::Service;
use super::upload_pack::UploadPack;

/// Path prefix of the repository: `/git/OWNER/NAME`.
pub(super) const PATH: &str = "/git/";

/// The program of git that serves a fetch.
const SERVICE: &str = "git-upload-pack";

/// Characters of the names of repositories on GitHub.
const NAME_CHARACTERS: &str = "-._0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Maximum size in bytes of a request, also of an unpacked one: more than 100,000 ids.
const MAX_REQUEST: usize = 8 * 1024 * 1024;

/// Time in which a client must send the body of a request.
const REQUEST_LIMIT: Duration = Duration::from_mins(1);

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

/// Whether the client of a path shows a refusal to its user as it is. Git does, and Git LFS reads JSON.
pub(super) fn shows_text(path: &str) -> bool {
    path.starts_with(PATH) && !path.contains(lfs::PATH)
}

/// Answers a request of a git client. `called` is its path below [`PATH`].
pub(super) async fn answer(
    service: &Service,
    links: &Links<'_>,
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
            let is_new = protocol.split(':').any(|part| part == "version=2");
            let before = if is_new { Bytes::new() } else { line.into() };
            let git = UploadPack::list(&service.repository, &protocol, permit(service).await?)?;
            git.answer(before, "application/x-git-upload-pack-advertisement").await
        }
        (&Method::POST, "/git-upload-pack") => {
            let permit = permit(service).await?;
            let body = body(request).await?;
            let git = UploadPack::reply(&service.repository, &protocol, body, permit)?;
            git.answer(Bytes::new(), "application/x-git-upload-pack-result").await
        }
        (&Method::POST, lfs::BATCH) => {
            let body = body(request).await?;
            in_place(|| service.lfs.batch(links, &body))
        }
        _ => Err(bad_route()),
    }
}

/// Waits until few enough fetches are in progress. A fetch is in progress as long as its permit exists.
async fn permit(service: &Service) -> Result<OwnedSemaphorePermit, ServiceError> {
    let permit = Arc::clone(&service.fetches).acquire_owned().await;
    permit.map_err(|error| ServiceError::Io(io::Error::other(error)))
}

/// Returns the body of a request, unpacked.
async fn body(request: Request<Incoming>) -> Result<Vec<u8>, ServiceError> {
    let encoding = header(&request, CONTENT_ENCODING.as_str()).unwrap_or("identity").to_ascii_lowercase();
    let is_packed = match encoding.as_str() {
        "identity" => false,
        "gzip" | "x-gzip" => true,
        _ => return Err(ServiceError::UnknownEncoding(encoding)),
    };
    let body = timeout(REQUEST_LIMIT, read(request, MAX_REQUEST)).await.map_err(|_| ServiceError::Interrupted)??;
    if is_packed { in_place(|| unpacked(&body)) } else { Ok(body) }
}

/// Unpacks a request that git has compressed, which it does above 1 KiB.
fn unpacked(body: &[u8]) -> Result<Vec<u8>, ServiceError> {
    let invalid = |fault: &str| ServiceError::Invalid(format!("the request cannot be unpacked: {fault}"));
    // Git writes the header without optional fields.
    let data = body.strip_prefix(&[0x1f, 0x8b, 8, 0]).and_then(|after| after.get(6..));
    let data = data.ok_or_else(|| invalid("it is not compressed with gzip"))?;
    // At the end are a checksum, which TCP makes unnecessary, and the length.
    let end = data.split_last_chunk::<4>().and_then(|(data, length)| Some((data.split_last_chunk::<4>()?.0, length)));
    let (data, length) = end.filter(|(data, _)| !data.is_empty()).ok_or_else(|| invalid("its end is missing"))?;
    let text = decompress_to_vec_with_limit(data, MAX_REQUEST).map_err(|error| match error.status {
        TINFLStatus::HasMoreOutput => ServiceError::TooLarge(MAX_REQUEST as u64),
        _ => invalid(&error.to_string()),
    })?;
    if text.len() == u32::from_le_bytes(*length) as usize { Ok(text) } else { Err(invalid("its length is wrong")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing;

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
                let options = settings.iter().flat_map(|setting| ["-c", setting.as_str()]);
                testing::git(folder.path(), &options.chain(["ls-remote", "--get-url", address]).collect::<Vec<_>>())
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
        let mut longer = packed.to_vec();
        longer[packed.len() - 4] += 1;
        for broken in [&packed[..9], &packed[..14], &packed[..18], &packed[..24], &longer[..], b"0032want 1111", b""] {
            assert!(matches!(unpacked(broken), Err(ServiceError::Invalid(_))), "{broken:?}");
        }
    }

    #[test]
    fn a_request_is_not_unpacked_beyond_the_limit() {
        for (length, fits) in [(MAX_REQUEST / 2, true), (MAX_REQUEST + 1, false)] {
            let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
            packed.extend(miniz_oxide::deflate::compress_to_vec(&vec![b'0'; length], 1));
            packed.extend([0; 4]);
            packed.extend((length as u32).to_le_bytes());
            match unpacked(&packed) {
                Ok(text) => assert!(fits && text.len() == length, "{}", text.len()),
                Err(error) => assert!(!fits && matches!(error, ServiceError::TooLarge(_)), "{error}"),
            }
        }
    }
}
