//! Routes requests to the parts of the server.

use std::sync::Arc;
use std::time::Instant;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, HeaderName, HeaderValue, RANGE};
use hyper::{Method, Request, StatusCode, Uri};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::engine::blocking::in_place;
use crate::files;
use crate::store::artifacts;
use crate::store::clock::now;

use super::answer::{Answer, Download, Range};
use super::caches::own_upload;
use super::error::ServiceError;
use super::links::{Links, Target};
use super::oidc::Issuer;
use super::service::Service;
use super::token::{Scope, TokenIds};
use super::{answer, artifacts as artifact_service, block_list, caches, containers, git, oidc, rest};

/// Maximum size in bytes of the body of a request, unless the body is data to store.
const MAX_REQUEST: usize = 8 * 1024 * 1024;

/// Path prefix of Twirp methods.
const TWIRP: &str = "/twirp/github.actions.results.api.v1.";

/// Path of version 1 of the cache service.
const CACHE_V1: &str = "/_apis/artifactcache/";

/// Answers a request. `address` is the address that the client connected to.
pub(super) async fn answer(service: Arc<Service>, address: String, request: Request<Incoming>) -> Answer {
    let began = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answered = route(&service, &address, request).await;
    let mut answer = answered.unwrap_or_else(|error| {
        // Never log the full URL, which contains a signature.
        tracing::debug!(%method, path, %error, "refused");
        if git::shows_text(&path) { answer::plain_refusal(&error) } else { answer::refusal(&error) }
    });
    let status = answer.status().as_u16();
    tracing::debug!(%method, path, status, took = ?began.elapsed(), "request to the results service");
    let headers = answer.headers_mut();
    // Azure clients expect these headers in every answer.
    for name in ["x-ms-request-id", "x-ms-client-request-id"] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("cuelight"));
    }
    headers.insert(HeaderName::from_static("x-ms-version"), HeaderValue::from_static("2021-08-06"));
    answer
}

async fn route(service: &Service, address: &str, request: Request<Incoming>) -> Result<Answer, ServiceError> {
    let path = request.uri().path().to_owned();
    let links = Links::new(&service.signer, address);
    if let Some(target) = Target::parse(&path) {
        return blob(service, &links, target, request).await;
    }
    if let Some(called) = path.strip_prefix(TWIRP) {
        return twirp(service, &links, called, request).await;
    }
    if let Some(called) = path.strip_prefix(CACHE_V1) {
        return cache_v1(service, &links, called, request).await;
    }
    if path.starts_with(containers::ARTIFACTS) || path.starts_with(containers::CONTAINERS) {
        let session = service.session(&authenticated(service, &request, Scope::Results)?)?;
        return containers::answer(service, session.job.as_str(), address, request).await;
    }
    if let Some(called) = path.strip_prefix(git::PATH) {
        let session = service.session(&authenticated(service, &request, Scope::Results)?)?;
        // On GitHub, everyone may fetch a public repository.
        if !session.reads_contents && service.facts.visibility() != "public" {
            return Err(ServiceError::Denied("the job has no `permissions: contents: read`"));
        }
        return git::answer(service, &links, called, request).await;
    }
    if let Some(called) = path.strip_prefix(rest::PATH) {
        return rest::answer(service, &links, address, called, request).await;
    }
    if let Some(called) = path.strip_prefix(oidc::PATH) {
        return in_place(|| identity(service, address, called, &request));
    }
    Err(ServiceError::BadRoute(path))
}

/// Issues an identity token, or describes the issuer.
fn identity(
    service: &Service,
    address: &str,
    called: &str,
    request: &Request<Incoming>,
) -> Result<Answer, ServiceError> {
    let issuer = format!("http://{address}{}", oidc::PATH);
    let key = || Issuer::of_machine(&service.run.runs().oidc_key()).map_err(ServiceError::Identity);
    let document = match (request.method(), called) {
        (&Method::GET, "/.well-known/openid-configuration") => oidc::configuration(&issuer),
        (&Method::GET, "/.well-known/jwks") => key()?.keys(),
        (&Method::GET | &Method::POST, "") => {
            let session = service.session(&authenticated(service, request, Scope::Identity)?)?;
            let denied = ServiceError::Denied("the job has no `permissions: id-token: write`");
            let claims = &session.identity.as_ref().ok_or(denied)?.claims;
            let audience = parameter(request.uri(), "audience");
            let token = key()?.token(&service.facts, claims, audience.as_deref(), &issuer, now().0 / 1000);
            json!({"value": token.map_err(ServiceError::Identity)?})
        }
        _ => return Err(ServiceError::BadRoute(called.to_owned())),
    };
    Ok(answer::json(StatusCode::OK, &document))
}

async fn twirp(
    service: &Service,
    links: &Links<'_>,
    called: &str,
    request: Request<Incoming>,
) -> Result<Answer, ServiceError> {
    let ids = authenticated(service, &request, Scope::Results)?;
    let Some((name, method)) = called.split_once('/').filter(|_| request.method() == Method::POST) else {
        return Err(ServiceError::BadRoute(called.to_owned()));
    };
    let uploads = &service.uploads;
    let value = match name {
        "ArtifactService" => {
            let session = service.session(&ids)?;
            let context = artifact_service::Context { ids: &ids, job: session.job.as_str(), uploads, links };
            let call = read_json(request).await?;
            in_place(|| service.artifacts.call(method, call, &context))?
        }
        "CacheService" => {
            let mode = service.session(&ids)?.cache_mode;
            let context = caches::Context { job: &ids.job, mode, uploads, links };
            let call = read_json(request).await?;
            in_place(|| service.caches.call(method, &call, &context))?
        }
        _ => return Err(ServiceError::BadRoute(called.to_owned())),
    };
    Ok(answer::json(StatusCode::OK, &value))
}

async fn cache_v1(
    service: &Service,
    links: &Links<'_>,
    called: &str,
    request: Request<Incoming>,
) -> Result<Answer, ServiceError> {
    let ids = authenticated(service, &request, Scope::Results)?;
    let mode = service.session(&ids)?.cache_mode;
    let context = caches::Context { job: &ids.job, mode, uploads: &service.uploads, links };
    let parameter = |name: &str| parameter(request.uri(), name).unwrap_or_default();
    match (request.method().as_str(), called.split_once('/').unwrap_or((called, ""))) {
        ("GET", ("cache", "")) => {
            let keys: Vec<_> = parameter("keys").split(',').map(|key| key.trim().to_owned()).collect();
            in_place(|| service.caches.look_up(&keys, &parameter("version"), &context))
        }
        ("GET", ("caches", "")) => in_place(|| service.caches.list(&parameter("key"), &context)),
        ("POST", ("caches", "")) => {
            let call = read_json(request).await?;
            in_place(|| service.caches.begin(&call, &context))
        }
        ("POST", ("caches", id)) => {
            let call = read_json(request).await?;
            in_place(|| service.caches.end(id, &call, &context))
        }
        ("PATCH", ("caches", id)) => {
            let upload = own_upload(id, &context)?;
            let range = header(&request, "content-range").and_then(content_range);
            let offset = range.ok_or_else(|| ServiceError::Invalid("`Content-Range` is missing".to_owned()))?;
            upload.put_range(offset, request.into_body()).await?;
            let mut answer = answer::empty(StatusCode::NO_CONTENT);
            // Version 3 of actions/cache waits until the connection is closed.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            Ok(answer)
        }
        _ => Err(ServiceError::BadRoute(called.to_owned())),
    }
}

/// Reads or writes the data of a signed link, with the protocol of Azure's blob storage.
async fn blob(
    service: &Service,
    links: &Links<'_>,
    target: Target,
    request: Request<Incoming>,
) -> Result<Answer, ServiceError> {
    let signature = parameter(request.uri(), "sig").unwrap_or_default();
    let access = if request.method() == Method::PUT { "write" } else { "read" };
    if !links.allow(access, request.uri().path(), &signature) {
        return Err(ServiceError::Unauthenticated);
    }
    match (request.method(), target) {
        (&Method::PUT, Target::Upload(id)) => {
            let upload = service.uploads.get(&id)?;
            match parameter(request.uri(), "comp").as_deref() {
                None => upload.put(request.into_body()).await?,
                Some("block") => {
                    let id = parameter(request.uri(), "blockid").unwrap_or_default();
                    let id = block_list::block_id(&id).map_err(|error| ServiceError::Invalid(error.to_string()))?;
                    upload.put_block(&id, request.into_body()).await?;
                }
                Some("blocklist") => {
                    let text = String::from_utf8(read(request, MAX_REQUEST).await?);
                    let blocks = block_list::parse(&text.unwrap_or_default());
                    let blocks = blocks.map_err(|error| ServiceError::Invalid(error.to_string()))?;
                    in_place(|| upload.commit(&blocks))?;
                }
                Some(other) => return Err(ServiceError::BadRoute(format!("comp={other}"))),
            }
            let mut answer = answer::empty(StatusCode::CREATED);
            answer.headers_mut().insert(hyper::header::ETAG, HeaderValue::from_static("\"0\""));
            let modified = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            answer
                .headers_mut()
                .extend(HeaderValue::from_str(&modified).ok().map(|at| (hyper::header::LAST_MODIFIED, at)));
            Ok(answer)
        }
        (&Method::GET, Target::File(id, at)) => in_place(|| containers::download(service, id, at)),
        (&Method::GET | &Method::HEAD, target) => {
            let range = header(&request, "x-ms-range").or_else(|| header(&request, RANGE.as_str()));
            let download = in_place(|| download(service, &target))?;
            Ok(download.answer(range.and_then(Range::parse), request.method() == Method::GET))
        }
        (method, _) => Err(ServiceError::BadRoute(method.to_string())),
    }
}

fn download(service: &Service, target: &Target) -> Result<Download, ServiceError> {
    match target {
        Target::Upload(_) | Target::File(..) => Err(ServiceError::NotFound("artifact or cache entry")),
        Target::Cache(id) => service.caches.download(id),
        Target::Object(id) => service.lfs.download(id),
        Target::Artifact(id) => {
            let artifact = service.artifacts.get(*id)?;
            let file = files::open_own(&artifacts::data(&service.run, *id))?;
            let name = Some(artifact.file_name());
            Ok(Download { file, size: artifact.size, media_type: artifact.media_type, name })
        }
    }
}

/// Returns the job that the request's token belongs to.
fn authenticated(service: &Service, request: &Request<Incoming>, scope: Scope) -> Result<TokenIds, ServiceError> {
    let token = header(request, AUTHORIZATION.as_str()).and_then(|header| {
        let (kind, token) = header.split_once(' ')?;
        kind.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let ids = token.and_then(|token| service.signer.ids(token, scope, now().0 / 1000));
    ids.ok_or(ServiceError::Unauthenticated)
}

pub(super) fn header<'r>(request: &'r Request<Incoming>, name: &str) -> Option<&'r str> {
    request.headers().get(name)?.to_str().ok()
}

/// Returns the decoded value of a query parameter, in which `+` stands for a space. `None` if the URL does not have the
/// parameter.
pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| percent_decoded(&value.replace('+', " ")))
}

/// Decodes percent-encoded text. Invalid sequences stay as they are.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        let code = (*first == b'%').then(|| u8::try_from(digit(0)? * 16 + digit(1)?).ok()).flatten();
        if let Some(byte) = code {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the offset of the data of a request, from its `Content-Range`: `bytes 0-99/*`. `None` if the header is
/// invalid.
fn content_range(header: &str) -> Option<u64> {
    header.trim().strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// Reads the body of a request, which may have up to `limit` bytes.
pub(super) async fn read(request: Request<Incoming>, limit: usize) -> Result<Vec<u8>, ServiceError> {
    let body = Limited::new(request.into_body(), limit).collect().await;
    body.map(|body| body.to_bytes().to_vec()).map_err(|_| ServiceError::TooLarge(limit as u64))
}

pub(super) async fn read_json<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, ServiceError> {
    let body = read(request, MAX_REQUEST).await?;
    serde_json::from_slice(&body).map_err(|error| ServiceError::Invalid(format!("not a valid request: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let uri: Uri = "/x?keys=a%2Cb%20c&sig=&blockid=YQ%3D%3D&plus=a+b&broken=%zz%-1%4".parse().expect("an address");
        for (name, expected) in [
            ("keys", Some("a,b c")),
            ("sig", Some("")),
            ("blockid", Some("YQ==")),
            ("plus", Some("a b")),
            ("broken", Some("%zz%-1%4")),
            ("none", None),
        ] {
            assert_eq!(parameter(&uri, name).as_deref(), expected, "{name}");
        }
        assert_eq!(percent_decoded("v1+build%2F2"), "v1+build/2", "the path of a tag");
        assert_eq!(percent_decoded("%+1%E2%82%ac%"), "%+1€%", "a sign is not a digit");
        assert_eq!(content_range("bytes 33554432-67108863/*"), Some(33_554_432));
        assert_eq!(content_range("bytes */*"), None);
    }
}
