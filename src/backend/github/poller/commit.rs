//! The commits of a repository on a server, and their runs.

use crate::backend::github::address::Repository;
use crate::backend::github::address::escaped;
use crate::backend::github::client::{Freshness, Priority};
use crate::backend::github::wire::repository::ListedCommit;
use crate::store::folder::RunFolder;

use super::{PollError, Poller};

/// Maximum number of runs of one commit.
const MAX_RUNS: usize = 100;

impl Poller {
    /// Resolves a branch, a tag, an abbreviated id, or another ref on the server to a full commit id.
    ///
    /// # Errors
    /// The server does not know the revision, or does not respond.
    pub async fn commit(&self, repository: &Repository, revision: &str) -> Result<String, PollError> {
        let client = self.client(&repository.host).await?;
        let path = format!("{}/commits/{}", repository.path(), escaped(revision));
        let answer = client.get(&path, Freshness::NOW, Priority::User).await?;
        let found: Option<ListedCommit> = serde_json::from_slice(&answer.body).ok();
        let malformed = || PollError::Malformed { host: repository.host.clone(), what: "a commit" };
        found.and_then(|commit| commit.sha).ok_or_else(malformed)
    }

    /// Fetches the runs of a commit, newest first and at most 100, mirrors them without their jobs, and returns their
    /// folders.
    ///
    /// # Errors
    /// The server gives no answer, or a folder cannot be written.
    pub async fn runs_of(&self, repository: &Repository, sha: &str) -> Result<Vec<RunFolder>, PollError> {
        let host = self.host(&repository.host).await?;
        let path = format!("{}/actions/runs?head_sha={}&per_page={MAX_RUNS}", repository.path(), escaped(sha));
        let answer = host.client.get(&path, Freshness::NOW, Priority::Visible).await?;
        let found = host.mirror_listed(repository, &answer.body, Priority::Visible).await?;
        Ok(found.into_iter().map(|run| self.0.runs.folder(run)).collect())
    }
}
