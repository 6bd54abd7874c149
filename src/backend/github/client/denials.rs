//! Permissions that a token turned out to lack. Neither fine-grained tokens of GitHub nor tokens of Gitea list what
//! they may, so each refusal is remembered for a while, for all processes of the user.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::model::rights::Permission;
use crate::model::{ServerKind, Timestamp};
use crate::store::{atomic, clock};

use super::super::wire::gitea;
use super::answers::Stored;
use super::transport::Outgoing;
use super::{ApiError, Client, Form, Freshness, MAX_REFUSAL, Priority};

/// How long a refusal is remembered. The token may be granted more permissions later.
const MEMORY: Duration = Duration::from_mins(10);

/// Maximum size of the file, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// Refused permissions of one token.
pub(super) struct Denials {
    path: PathBuf,
}

/// Times of the last refusals in a repository, by permission.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
struct Refused {
    actions: Option<Timestamp>,
    deployments: Option<Timestamp>,
}

impl Refused {
    fn at(&mut self, permission: Permission) -> &mut Option<Timestamp> {
        match permission {
            Permission::Actions => &mut self.actions,
            Permission::Deployments => &mut self.deployments,
        }
    }
}

impl Denials {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn read(&self) -> BTreeMap<String, Refused> {
        let text = files::read_own(&self.path, MAX_FILE).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Whether a change was refused recently because the permission is missing. `path` is the path of the repository in
    /// the API.
    pub(super) fn has(&self, path: &str, permission: Permission, now: Timestamp) -> bool {
        let mut refused = self.read().get(path).copied().unwrap_or_default();
        refused.at(permission).is_some_and(|at| now.since(at) < MEMORY)
    }

    /// Records the permissions that a refusal names, such as `actions=write`, and drops refusals that are too old.
    pub(super) fn note(&self, path: &str, needs: &str, now: Timestamp) {
        let mut all = self.read();
        let lacks = |permission: &Permission| {
            needs.split([',', ';']).any(|need| need.trim() == format!("{}=write", permission.word()))
        };
        for permission in Permission::ALL.into_iter().filter(lacks) {
            *all.entry(of_repository(path)).or_default().at(permission) = Some(now);
        }
        all.retain(|_, refused| {
            Permission::ALL.into_iter().any(|one| refused.at(one).is_some_and(|at| now.since(at) < MEMORY))
        });
        if let Ok(text) = serde_json::to_vec(&all) {
            // If this fails, the server refuses the next change again.
            let _ = atomic::write_unsynced(&self.path, &text);
        }
    }
}

impl Client {
    /// Whether a change was refused recently because the permission is missing. `repository` is its path in the API.
    #[must_use]
    pub fn was_denied(&self, repository: &str, permission: Permission) -> bool {
        self.inner.denials.has(repository, permission, clock::now())
    }

    /// Finds out for [`Self::was_denied`] whether the token lacks the scope for changes of a repository. Does nothing
    /// on GitHub, where no request shows that without a change. The result is valid for 10 min, in all processes of the
    /// user.
    ///
    /// # Errors
    /// No request may be sent, or the server does not respond.
    pub async fn probe(&self, repository: &str, priority: Priority) -> Result<(), ApiError> {
        let inner = &*self.inner;
        if inner.host.kind() != ServerKind::Gitea || !self.has_token() {
            return Ok(());
        }
        let (path, body) = gitea::scope_probe(repository);
        let uri = inner.uri(&path)?;
        let key = format!("{} {uri}", Method::POST);
        let is_recent = |stored: Stored| stored.is_fresh(Freshness(MEMORY), Priority::User);
        if self.was_denied(repository, Permission::Actions) || inner.answers.read(&key).is_some_and(is_recent) {
            return Ok(());
        }
        let _permit = inner.place(priority, true).await?;
        let mut headers = inner.headers(Form::Json);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let outgoing = Outgoing { method: Method::POST, uri, headers, body: Some(Bytes::from_static(body.as_bytes())) };
        let mut incoming = inner.transport.send(outgoing).await.map_err(|fault| inner.broken(fault))?;
        match inner.judge(&mut incoming).await {
            Err(ApiError::Refused { status: 403, message, .. }) if gitea::needs(&message).is_some() => {
                inner.denials.note(&path, gitea::needs(&message).unwrap_or_default(), clock::now());
                return Ok(());
            }
            // Older versions do not have this path: a missing scope only shows when a change is refused.
            Err(ApiError::Refused { .. }) => {}
            Err(error) => return Err(error),
            // Read, so that the connection can be used again.
            Ok(_) => drop(incoming.whole(MAX_REFUSAL).await),
        }
        let stored = Stored { etag: None, next: None, body: Bytes::new(), at: clock::now(), poll_interval: 0 };
        inner.answers.write(&key, &stored);
        Ok(())
    }
}

/// Returns the path of the repository that a path of the API is about: `/repos/OWNER/NAME`.
fn of_repository(path: &str) -> String {
    path.split('/').take(4).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_permission_is_remembered_for_its_repository_and_for_a_while() {
        let folder = tempfile::tempdir().expect("a folder");
        let denials = Denials::new(folder.path().join("denied"));
        let now = Timestamp(1_000_000_000);
        denials.note("/repos/o/r/actions/runs/1/cancel", "actions=write", now);
        denials.note("/repos/o/x/actions/runs/1/cancel", "contents=read; deployments=write", now);
        let has = |path: &str, permission, now| denials.has(path, permission, now);
        assert!(has("/repos/o/r", Permission::Actions, now) && !has("/repos/o/r", Permission::Deployments, now));
        assert!(has("/repos/o/x", Permission::Deployments, now) && !has("/repos/o/x", Permission::Actions, now));
        assert!(!has("/repos/o/r", Permission::Actions, Timestamp(now.0 + 700_000)), "it may have been given since");
    }
}
