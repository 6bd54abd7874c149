//! The part of GitHub's REST API that actions need about their own repository and run, answered on this machine.
//!
//! - [`repository`]: the repository, its refs, commits and files, from git
//! - [`releases`]: releases created by steps, stored as records of the run
//! - [`own_run`]: the run, its jobs and artifacts
//!
//! Every other request is refused with a message that names the setting with which GitHub answers instead.

mod own_run;
mod releases;
mod repository;

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue, LINK};
use hyper::{Method, Request, StatusCode, Uri};
use serde_json::Value;

use crate::engine::blocking::in_place;

use super::answer;
use super::answer::Answer;
use super::error::ServiceError;
use super::links::Links;
use super::router::{header, parameter, percent_decoded};
use super::service::Service;

pub(super) use releases::Releases;

/// Path below which the API is served, as on a server of GitHub Enterprise.
pub(in crate::engine) const PATH: &str = "/api/v3";

/// Path of the GraphQL API, which is not served.
pub(in crate::engine) const GRAPHQL: &str = "/api/graphql";

/// Maximum number of entries on a page.
const MAX_PAGE: usize = 100;

/// What is needed to answer a request: the service, and the addresses from the client's view.
struct Context<'c> {
    service: &'c Service,
    links: &'c Links<'c>,
    /// Base address of the API from the client's view.
    base: String,
    /// `owner/name` of the repository.
    name: &'c str,
}

/// Answers a request. `called` is its path below [`PATH`].
pub(super) async fn answer(
    service: &Service,
    links: &Links<'_>,
    address: &str,
    called: &str,
    request: Request<Incoming>,
) -> Result<Answer, ServiceError> {
    let given = header(&request, AUTHORIZATION.as_str()).and_then(|header| header.split_once(' '));
    if given.is_none_or(|(_, token)| token.trim() != service.facts.token) {
        return Err(ServiceError::Unauthenticated);
    }
    let parts: Vec<_> = called.split('/').filter(|part| !part.is_empty()).map(percent_decoded).collect();
    let parts: Vec<_> = parts.iter().map(String::as_str).collect();
    let name = &service.facts.repository;
    let rest = match parts.as_slice() {
        ["repos", owner, repository, rest @ ..] if name.eq_ignore_ascii_case(&format!("{owner}/{repository}")) => rest,
        _ => return Err(elsewhere(called)),
    };
    let context = Context { service, links, base: format!("http://{address}{PATH}"), name };
    let get = request.method() == Method::GET;
    match rest {
        ["actions", "runs", id, rest @ ..] if get && *id == service.facts.run_id => {
            in_place(|| own_run::of_run(&context, rest, request.uri()))?.ok_or_else(|| elsewhere(called))
        }
        ["actions", "artifacts", rest @ ..] if get => own_run::artifact(&context, rest),
        ["releases", rest @ ..] => releases::answer(&context, rest, request).await?.ok_or_else(|| elsewhere(called)),
        rest if get => in_place(|| repository::answer(&context, rest, request.uri()))?.ok_or_else(|| elsewhere(called)),
        _ => Err(elsewhere(called)),
    }
}

/// Returns the error for a request that only GitHub can answer.
fn elsewhere(called: &str) -> ServiceError {
    ServiceError::OnlyGitHub(called.to_owned())
}

fn json(value: &Value) -> Answer {
    answer::json(StatusCode::OK, value)
}

/// Returns the requested page of a list, with links to the next and the last page if it is not the last. `wrap` creates
/// the body from the entries of the page and the total number of entries.
fn page(all: &[Value], uri: &Uri, base: &str, wrap: impl FnOnce(&[Value], usize) -> Value) -> Answer {
    let number = |name: &str, default: usize| {
        parameter(uri, name).and_then(|text| text.parse().ok()).filter(|number| *number > 0).unwrap_or(default)
    };
    let (size, page) = (number("per_page", 30).min(MAX_PAGE), number("page", 1));
    let first = (page - 1).saturating_mul(size).min(all.len());
    let end = first.saturating_add(size).min(all.len());
    let mut answer = json(&wrap(&all[first..end], all.len()));
    if end < all.len() {
        let path = uri.path().strip_prefix(PATH).unwrap_or_default();
        let others =
            uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("page="));
        let query: String = others.flat_map(|pair| [pair, "&"]).collect();
        let last = all.len().div_ceil(size);
        let to = |page: usize, name: &str| format!("<{base}{path}?{query}page={page}>; rel=\"{name}\"");
        let links = HeaderValue::from_str(&format!("{}, {}", to(page + 1, "next"), to(last, "last")));
        answer.headers_mut().extend(links.ok().map(|links| (LINK, links)));
    }
    answer
}

/// Returns the body of a page that is a plain list.
fn plain(page: &[Value], _: usize) -> Value {
    Value::Array(page.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_in_pages_with_links() {
        let all: Vec<_> = (0..5).map(Value::from).collect();
        let links = |uri: &'static str| {
            let answer = page(&all, &Uri::from_static(uri), "http://h/api/v3", plain);
            answer.headers().get(LINK).and_then(|links| links.to_str().ok().map(str::to_owned))
        };
        assert_eq!(links("/api/v3/repos/o/r/tags"), None);
        let next = "<http://h/api/v3/repos/o/r/tags?per_page=2&page=3>; rel=\"next\"";
        let last = "<http://h/api/v3/repos/o/r/tags?per_page=2&page=3>; rel=\"last\"";
        assert_eq!(links("/api/v3/repos/o/r/tags?page=2&per_page=2"), Some(format!("{next}, {last}")));
        assert_eq!(links("/api/v3/repos/o/r/tags?page=3&per_page=2"), None);
        assert_eq!(links("/api/v3/repos/o/r/tags?page=99999999999999999999&per_page=0"), None);
    }
}
