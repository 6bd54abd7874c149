//! Client of one server with one token: every request to a server goes through it.
//!
//! - [`Client::get`]: a read: conditional, retried, and shared with the other processes of the user
//! - [`Client::pages`]: the pages of a list, one after another
//! - [`Client::file`]: a file at a commit
//! - [`Client::unstored`]: a read whose answer must not be stored
//! - [`Client::send`]: a change: sent one at a time per host, and never twice
//! - [`Client::download`]: a log or an artifact, to a file
//! - [`Client::tail`]: the end of a log that grows
//! - [`Client::probe`]: whether the token may change a repository, on servers that report it without a change
//! - [`Client::link`]: whether the server responds, and if not, why and until when
//!
//! [`budget`] decides when resources are polled.
//!
//! The modules below: [`transport`] sends requests, [`mod@verdict`] interprets an answer, [`link`] holds requests back,
//! [`queue`] orders them, [`answers`] stores answers, and [`denials`] remembers the permissions that the token lacks.

mod answers;
pub mod budget;
mod denials;
mod download;
mod error;
mod file;
mod link;
mod pages;
mod queue;
mod send;
mod tail;
pub(in crate::backend::github) mod transport;
mod unstored;
mod verdict;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, Uri};
use serde::de::IgnoredAny;
use tokio::sync::watch;

use crate::model::{ServerKind, Timestamp};
use crate::store::clock;
use crate::store::folder::{RunsDir, make_private};

use super::address::Host;
use super::auth::Token;
use super::wire::gitea;

use answers::{Answers, Stored};
use denials::Denials;
use link::Link;
use queue::{Permit, Queue};
use transport::{Fault, Incoming, Outgoing, Transport};
use verdict::{Facts, Verdict, verdict};

pub use download::Downloaded;
pub use error::{ApiError, RedirectFault};
pub use link::{Condition, LinkState, Rate};
pub use pages::Pages;
pub use queue::Priority;
pub use send::{Change, Done, Mutation, Ready};
pub use tail::MAX_TAIL;

/// Maximum size of an answer in JSON, in bytes: a page of a hundred jobs has some hundred kilobytes.
const MAX_ANSWER: usize = 8 << 20;
/// Maximum size of a file that is not a download, in bytes: workflows have some kilobytes.
const MAX_FILE: usize = 1 << 20;
/// Maximum number of downloads and tails in flight, so that a slow one does not block other requests.
const MAX_DOWNLOADS: usize = 1;
/// Maximum number of requests of all kinds in flight: GitHub asks clients to send few at once.
const MAX_IN_FLIGHT: usize = 2;
/// Maximum size of the body of a refusal that is read, in bytes.
const MAX_REFUSAL: usize = 64 << 10;
/// Maximum number of characters of a server's message.
const MAX_MESSAGE: usize = 500;
/// Maximum number of redirects of one request.
const MAX_REDIRECTS: usize = 3;
/// Maximum number of URLs in [`Inner::seen`]. All are forgotten when a further one is added.
const MAX_SEEN: usize = 4096;

/// A client of one host with one token. Clones share everything.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    host: Host,
    authorization: Option<HeaderValue>,
    transport: Transport,
    downloads: Arc<Queue>,
    in_flight: Arc<Queue>,
    link: Link,
    answers: Answers,
    denials: Denials,
    state: RunsDir,
    /// Digests of the bodies that callers got, by URL.
    seen: Mutex<HashMap<String, u64>>,
}

/// How old an answer may be to be returned without a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Freshness(pub Duration);

impl Freshness {
    /// Sends a request, unless it is a poll and the server asked polls of the path to wait.
    pub const NOW: Self = Self(Duration::ZERO);
    /// Accepts a stored answer of any age. Sends a request only if there is none.
    pub const ANY: Self = Self(Duration::MAX);
}

/// Expected form of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// JSON. Anything else is a failure of the server.
    Json,
    /// The bytes of a file.
    Raw,
}

/// An answer to a read.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The body. In the JSON form it is well-formed.
    pub body: Bytes,
    /// Path of the next page, for [`Client::get`]; `None` on the last one.
    pub next: Option<String>,
    /// Time of the data: when the server last gave or confirmed it.
    pub at: Timestamp,
    /// Whether the body differs from the previous one for this path in this process; true for the first.
    pub changed: bool,
    /// Origin of the answer.
    pub source: AnswerSource,
}

/// Origin of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerSource {
    /// The cache. No request was sent.
    Stored,
    /// The cache, after the server confirmed the answer: the request is not charged.
    Confirmed,
    /// The server: the request is charged.
    Charged,
}

impl Client {
    /// Creates a client without sending a request.
    ///
    /// # Errors
    /// The state folder cannot be written, or this machine has no certificates.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(host: Host, token: Option<&Token>, state: &RunsDir) -> Result<Self, ApiError> {
        let owner = token.map_or_else(|| "anonymous".to_owned(), Token::fingerprint);
        let folder = state.github_answers();
        let answers = Answers::new(&folder, &format!("{owner}.{}", host.name()))
            .map_err(ApiError::io("make the folder", &folder))?;
        let pause = state.github_host(&format!("{}.{owner}.pause", host.name()));
        let hosts = pause.parent().unwrap_or(state.state());
        make_private(hosts).map_err(ApiError::io("make the folder", hosts))?;
        let inner = Inner {
            authorization: token.and_then(Token::header),
            transport: Transport::new()?,
            downloads: Queue::new(MAX_DOWNLOADS),
            in_flight: Queue::new(MAX_IN_FLIGHT),
            link: Link::new(pause, answers.newest()),
            answers,
            denials: Denials::new(state.github_host(&format!("{}.{owner}.denied", host.name()))),
            state: state.clone(),
            seen: Mutex::default(),
            host,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns the host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.inner.host
    }

    /// Whether the client has a token.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.inner.authorization.is_some()
    }

    /// Returns the value of the `Authorization` header with the token; `None` without a token.
    pub(in crate::backend::github) fn authorization(&self) -> Option<HeaderValue> {
        self.inner.authorization.clone()
    }

    /// Returns a receiver of the state of the link and of its changes.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<LinkState> {
        self.inner.link.watch()
    }

    /// Returns the JSON at a path of the API, such as `/repos/o/r/actions/runs?per_page=30`: the stored answer if it is
    /// fresh enough, else the server's answer, which is then stored.
    ///
    /// A poll gets the stored answer for as long as the server asks polls of the path to wait (`x-poll-interval`). A
    /// failed request is sent again: twice for the user, once for a poll. While no request may be sent, a request of
    /// the user waits up to 30 s, and a poll up to 5 s, before it fails with [`ApiError::Held`].
    ///
    /// # Errors
    /// The request failed. See [`ApiError::is_transient`] for whether it may succeed later.
    pub async fn get(&self, path: &str, freshness: Freshness, priority: Priority) -> Result<Answer, ApiError> {
        self.get_as(Form::Json, path, freshness, priority).await
    }

    /// Returns the content at a path of the API in the given form, like [`Self::get`].
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn get_as(
        &self,
        form: Form,
        path: &str,
        freshness: Freshness,
        priority: Priority,
    ) -> Result<Answer, ApiError> {
        let inner = &*self.inner;
        let uri = inner.request(path, form)?;
        let key = format!("{uri} {form:?}");
        let is_fresh = |stored: &Stored| stored.is_fresh(freshness, priority);
        // An answer has some megabytes at most: it is not read where it is never fresh enough.
        let may_be_fresh = freshness != Freshness::NOW || priority != Priority::User;
        let mut failures = 0;
        loop {
            if may_be_fresh && let Some(stored) = inner.answers.read(&key).filter(is_fresh) {
                return Ok(inner.answer(&key, stored, AnswerSource::Stored));
            }
            inner.wait(priority, failures == 0).await?;
            let permit = inner.in_flight.enter(priority).await;
            // While this request waited, another may have stored the answer, or reached a limit.
            let stored = match inner.answers.read(&key) {
                Some(stored) if is_fresh(&stored) => return Ok(inner.answer(&key, stored, AnswerSource::Stored)),
                stored => stored,
            };
            if inner.held(priority, failures == 0).is_some() {
                continue;
            }
            let result = inner.read(&key, &uri, form, stored).await;
            drop(permit);
            match result {
                Err(error) if priority.retries(&error, failures) => failures += 1,
                result => return result,
            }
        }
    }
}

impl Priority {
    /// Whether to send a failed read again. `before` is the number of its earlier failures.
    fn retries(self, error: &ApiError, before: u32) -> bool {
        let most = match self {
            Self::User => 2,
            Self::Visible | Self::Background => 1,
        };
        before < most && matches!(error, ApiError::Unreachable { .. } | ApiError::Server { .. })
    }

    /// Returns how long a request waits, in total, while no request may be sent.
    fn patience(self) -> Duration {
        match self {
            Self::User => Duration::from_secs(30),
            Self::Visible | Self::Background => Duration::from_secs(5),
        }
    }
}

impl Stored {
    /// Whether the answer is fresh enough, or the server must not be polled again yet.
    fn is_fresh(&self, freshness: Freshness, priority: Priority) -> bool {
        let is_poll = priority != Priority::User;
        let interval = if is_poll { Duration::from_secs(self.poll_interval) } else { Duration::ZERO };
        clock::now().since(self.at) < freshness.0.max(interval)
    }
}

impl Inner {
    fn uri(&self, path: &str) -> Result<Uri, ApiError> {
        self.host.uri(path).ok_or_else(|| ApiError::Path(path.chars().take(200).collect()))
    }

    /// Returns the address of a read, rewritten for the kind of server.
    fn request(&self, path: &str, form: Form) -> Result<Uri, ApiError> {
        match self.host.kind() {
            ServerKind::GitHub => self.uri(path),
            ServerKind::Gitea => self.uri(&gitea::request(path, form == Form::Raw).ok_or_else(not_offered)?),
        }
    }

    /// Returns the body of an answer rewritten into GitHub's form; `None` if it is not JSON.
    fn json(&self, uri: &Uri, body: Vec<u8>) -> Option<Vec<u8>> {
        match self.host.kind() {
            ServerKind::GitHub => serde_json::from_slice::<IgnoredAny>(&body).is_ok().then_some(body),
            ServerKind::Gitea => {
                let mut value = serde_json::from_slice(&body).ok()?;
                gitea::answer(uri.query(), &mut value);
                serde_json::to_vec(&value).ok()
            }
        }
    }

    fn answer(&self, key: &str, stored: Stored, source: AnswerSource) -> Answer {
        let mut hasher = DefaultHasher::new();
        stored.body.hash(&mut hasher);
        let digest = hasher.finish();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MAX_SEEN && !seen.contains_key(key) {
            seen.clear();
        }
        let changed = seen.insert(key.to_owned(), digest) != Some(digest);
        Answer { body: stored.body, next: stored.next, at: stored.at, changed, source }
    }

    /// Returns why no request may be sent now, and how long that lasts; `None` if one may be sent. The failure of
    /// another request does not delay the first try of a request of the user.
    fn held(&self, priority: Priority, is_first: bool) -> Option<(Option<Duration>, Condition)> {
        let held = self.link.hold(clock::now())?;
        let is_try = is_first && priority == Priority::User && matches!(held.1, Condition::Failing { .. });
        (!is_try).then_some(held)
    }

    /// Waits until a request may be sent. Fails if that takes too long for its priority, and at once if the token was
    /// rejected.
    async fn wait(&self, priority: Priority, is_first: bool) -> Result<(), ApiError> {
        let mut patience = priority.patience();
        while let Some((left, condition)) = self.held(priority, is_first) {
            let Some(left) = left.filter(|left| *left <= patience) else { return Err(ApiError::Held(condition)) };
            patience -= left;
            tokio::time::sleep(left).await;
        }
        Ok(())
    }

    /// Waits until a request may be sent and fewer than the maximum are in flight.
    async fn place(&self, priority: Priority, is_first: bool) -> Result<Permit, ApiError> {
        loop {
            self.wait(priority, is_first).await?;
            let permit = self.in_flight.enter(priority).await;
            // While this request waited, the answer to another may have forbidden it.
            if self.held(priority, is_first).is_none() {
                return Ok(permit);
            }
        }
    }

    /// Returns the headers of every request to the API.
    fn headers(&self, form: Form) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT,
            HeaderValue::from_static(match form {
                Form::Json => "application/vnd.github+json",
                Form::Raw => "application/vnd.github.raw+json",
            }),
        );
        headers.insert("x-github-api-version", HeaderValue::from_static("2022-11-28"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers
    }

    /// Sends a read, and stores its answer. The server may confirm the `stored` one.
    async fn read(&self, key: &str, uri: &Uri, form: Form, stored: Option<Stored>) -> Result<Answer, ApiError> {
        let mut headers = self.headers(form);
        let etag = stored.as_ref().and_then(|stored| HeaderValue::from_str(stored.etag.as_deref()?).ok());
        if let Some(etag) = etag {
            headers.insert(IF_NONE_MATCH, etag);
        }
        let mut uri = uri.clone();
        for _ in 0..=MAX_REDIRECTS {
            let outgoing = Outgoing { method: Method::GET, uri: uri.clone(), headers: headers.clone(), body: None };
            let mut incoming = self.transport.send(outgoing).await.map_err(|fault| self.broken(fault))?;
            match self.judge(&mut incoming).await? {
                Verdict::NotModified => {
                    let Some(mut stored) = stored else { return Err(self.failed("304 without a condition")) };
                    stored.at = clock::now();
                    match verdict::poll_interval(&incoming) {
                        interval if interval == stored.poll_interval => self.answers.confirm(key, stored.at),
                        interval => {
                            stored.poll_interval = interval;
                            self.answers.write(key, &stored);
                        }
                    }
                    return Ok(self.answer(key, stored, AnswerSource::Confirmed));
                }
                Verdict::Redirect => {
                    // The repository was renamed. The target is on the same server, so it may get the token.
                    let location = incoming.header("location").unwrap_or_default();
                    let path = self.host.path_of(location).ok_or(ApiError::Redirect(RedirectFault::Unsafe))?;
                    uri = self.uri(&path)?;
                }
                _ => {
                    let next = incoming.header("link").and_then(verdict::next_page);
                    let next = next.and_then(|next| self.host.path_of(next));
                    let etag = incoming.header("etag").map(str::to_owned);
                    let poll_interval = verdict::poll_interval(&incoming);
                    let limit = match form {
                        Form::Json => MAX_ANSWER,
                        Form::Raw => MAX_FILE,
                    };
                    let body = incoming.whole(limit).await.map_err(|fault| self.broken(fault))?;
                    let mut body = body.ok_or(ApiError::TooLarge { limit: limit as u64 })?;
                    if form == Form::Json {
                        body = self.json(&uri, body).ok_or_else(|| self.failed("an answer that is not JSON"))?;
                    }
                    let stored = Stored { etag, next, body: body.into(), at: clock::now(), poll_interval };
                    self.answers.write(key, &stored);
                    return Ok(self.answer(key, stored, AnswerSource::Charged));
                }
            }
        }
        Err(ApiError::Redirect(RedirectFault::TooMany))
    }

    /// Interprets an answer of the API and reports it to the link. Returns only [`Verdict::Done`],
    /// [`Verdict::NotModified`] or [`Verdict::Redirect`]; everything else is an error.
    async fn judge(&self, incoming: &mut Incoming) -> Result<Verdict, ApiError> {
        let is_refusal = (400..500).contains(&incoming.status);
        let body = match is_refusal.then(|| incoming.whole(MAX_REFUSAL)) {
            Some(body) => body.await.map_err(|fault| self.broken(fault))?.unwrap_or_default(),
            None => Vec::new(),
        };
        let now = clock::now();
        let header = |name: &str| incoming.header(name);
        let rate = verdict::rate(&header, now);
        if let Some(scopes) = header("x-oauth-scopes") {
            self.link.scopes(scopes);
        }
        let has_token = self.authorization.is_some();
        let facts = Facts { status: incoming.status, header: &header, body: &body, has_token, now };
        let condition = match verdict(&facts) {
            Verdict::Failed => return Err(self.failed(&format!("status {}", incoming.status))),
            Verdict::Limited(until) => self.link.limited(now, rate, until),
            Verdict::Paused(length) => self.link.paused(now, length),
            Verdict::TokenRefused => self.link.refused(now),
            Verdict::SsoNeeded(page) => self.link.sso_needed(page),
            Verdict::Refused => {
                self.link.answered(now, rate);
                return Err(refused(incoming, &body, false));
            }
            done @ (Verdict::Done | Verdict::NotModified | Verdict::Redirect) => {
                self.link.answered(now, rate);
                return Ok(done);
            }
        };
        Err(ApiError::Held(condition))
    }

    /// Reports to the link that a request got no answer, and returns its error.
    fn broken(&self, fault: Fault) -> ApiError {
        let (Fault::NotSent(reason) | Fault::Lost(reason)) = fault;
        let host = self.host.authority();
        self.link.failed(clock::now(), &format!("cannot reach {host}: {reason}"), dice());
        ApiError::Unreachable { host, reason }
    }

    /// Reports to the link that an answer shows a failure of the server, and returns the error.
    fn failed(&self, reason: &str) -> ApiError {
        let host = self.host.name().to_owned();
        self.link.failed(clock::now(), &format!("{host} failed: {reason}"), dice());
        ApiError::Server { host, reason: reason.to_owned() }
    }
}

/// Returns the error of a request that this kind of server does not support.
fn not_offered() -> ApiError {
    let message = "the server does not support this".to_owned();
    ApiError::Refused { status: 404, message, needs: None, by_storage: false }
}

/// Returns the error of a refusal, with the message from its JSON body. HTML pages have no message.
fn refused(incoming: &Incoming, body: &[u8], by_storage: bool) -> ApiError {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = value.as_ref().and_then(|value| value.get("message")?.as_str()).unwrap_or_default();
    let line = message.split(char::is_control).collect::<Vec<_>>().join(" ");
    let needs = incoming.header("x-accepted-github-permissions").filter(|needs| !needs.is_empty());
    ApiError::Refused {
        status: incoming.status,
        message: line.chars().take(MAX_MESSAGE).collect(),
        needs: needs.map(str::to_owned),
        by_storage,
    }
}

/// Returns a random number for the jitter.
fn dice() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}
