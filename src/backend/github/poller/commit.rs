//! The commits of a repository on a server, and their runs.

use crate::backend::github::address::Repository;
use crate::backend::github::address::escaped;
use crate::backend::github::client::{Freshness, Priority};
use crate::backend::github::mirror::folder::{RemoteId, spec, stub};
use crate::backend::github::wire::Page;
use crate::backend::github::wire::repository::ListedCommit;
use crate::backend::github::wire::runs::Run as WireRun;
use crate::store::folder::RunFolder;

use super::{PollError, Poller};

/// Maximum number of runs of one commit.
const MAX_RUNS: usize = 100;

impl Poller {
    /// Returns the full id of the commit that a server has for a branch, a tag, the beginning of an id, or another ref.
    ///
    /// # Errors
    /// The server does not know it, or gives no answer.
    pub async fn commit(&self, repository: &Repository, revision: &str) -> Result<String, PollError> {
        let client = self.client(&repository.host).await?;
        let path = format!("{}/commits/{}", repository.path(), escaped(revision));
        let answer = client.get(&path, Freshness::NOW, Priority::User).await?;
        let found: Option<ListedCommit> = serde_json::from_slice(&answer.body).ok();
        let malformed = || PollError::Malformed { host: repository.host.clone(), what: "a commit" };
        found.and_then(|commit| commit.sha).ok_or_else(malformed)
    }

    /// Asks for the runs of a commit, newest first, and mirrors them without their jobs.
    ///
    /// # Errors
    /// The server gives no answer, or a folder cannot be written.
    pub async fn runs_of(&self, repository: &Repository, sha: &str) -> Result<Vec<RunFolder>, PollError> {
        let client = self.client(&repository.host).await?;
        let path = format!("{}/actions/runs?head_sha={}&per_page={MAX_RUNS}", repository.path(), escaped(sha));
        let answer = client.get(&path, Freshness::NOW, Priority::Visible).await?;
        let malformed = || PollError::Malformed { host: repository.host.clone(), what: "a list of runs" };
        let body = serde_json::from_slice(&answer.body).map_err(|_| malformed())?;
        let mut found = Vec::new();
        for run in Page::<WireRun>::of(body).ok_or_else(malformed)?.list.items {
            let Some(remote) = run.id.map(|id| RemoteId {
                host: repository.host.clone(),
                repository: repository.full_name(),
                id,
                kind: client.host().kind(),
            }) else {
                continue;
            };
            let Some(spec) = spec(&remote, &run) else { continue };
            stub(&self.0.runs, &remote, &run)?;
            found.push(self.0.runs.folder(spec.info.id));
        }
        Ok(found)
    }
}
