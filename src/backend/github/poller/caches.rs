//! Caches of repositories on servers.

use std::cmp::Reverse;

use crate::backend::github::address::{Repository, segment};
use crate::backend::github::client::{Change, Freshness, Mutation, Priority};
use crate::backend::github::wire::Page;
use crate::backend::github::wire::repository::Cache;
use crate::store::cache::CacheEntry;

use super::{PollError, Poller};

/// Maximum number of pages of caches, a hundred each.
const MAX_PAGES: usize = 20;

impl Poller {
    /// Fetches the cache entries of a repository from its server, newest first and at most 2000.
    ///
    /// # Errors
    /// The server gives no answer, or refuses.
    pub async fn caches(&self, repository: &Repository) -> Result<Vec<CacheEntry>, PollError> {
        let client = self.client(&repository.host).await?;
        let path = format!("{}/actions/caches?per_page=100", repository.path());
        let mut entries = Vec::new();
        let mut pages = client.pages(&path, MAX_PAGES, Freshness::NOW, Priority::User);
        while let Some(answer) = pages.next().await? {
            let malformed = || PollError::Malformed { host: repository.host.clone(), what: "a list of caches" };
            let page = Page::<Cache>::read(&answer.body, "actions_caches").ok_or_else(malformed)?;
            entries.extend(page.list.items.into_iter().filter_map(|found| {
                Some(CacheEntry {
                    key: found.key?,
                    version: String::new(),
                    scope: found.r#ref.unwrap_or_default(),
                    repository: repository.full_name(),
                    size: found.size_in_bytes.unwrap_or_default(),
                    created: found.created_at.map(|time| time.0).unwrap_or_default(),
                    used: found.last_accessed_at.map(|time| time.0).unwrap_or_default(),
                })
            }));
        }
        entries.sort_by_key(|entry| Reverse(entry.created));
        Ok(entries)
    }

    /// Deletes the entries with a key, of all branches, from the server of a repository, and returns them. Sends no
    /// deletion if there is no such entry.
    ///
    /// # Errors
    /// The user may not change workflows, the server gives no answer or refuses, or it is unknown whether the entries
    /// were deleted.
    pub async fn delete_caches(&self, repository: &Repository, key: &str) -> Result<Vec<CacheEntry>, PollError> {
        self.check_workflows(repository).await?;
        let mut entries = self.caches(repository).await?;
        entries.retain(|entry| entry.key == key);
        if !entries.is_empty() {
            let path = format!("{}/actions/caches?key={}", repository.path(), segment(key));
            self.client(&repository.host).await?.send(&Mutation { change: Change::Delete, path, body: None }).await?;
        }
        Ok(entries)
    }
}
