//! The pages of a list, one after another.

use std::collections::HashSet;

use super::{Answer, ApiError, Client, Freshness, Priority};

/// Total size of pages, in bytes, after which no more are requested.
const MAX_BYTES: usize = 32 << 20;

/// The pages of a list. They end after the last page, before a page that was already returned, or at a limit.
pub struct Pages<'c> {
    client: &'c Client,
    freshness: Freshness,
    priority: Priority,
    next: Option<String>,
    seen: HashSet<String>,
    /// Number of pages that may still be requested.
    left: usize,
    bytes: usize,
}

impl Client {
    /// Returns the pages of a list, starting at `path`: at most `most` pages, and no more after 32 MiB. No request is
    /// sent before [`Pages::next`].
    #[must_use]
    pub fn pages(&self, path: &str, most: usize, freshness: Freshness, priority: Priority) -> Pages<'_> {
        let (next, seen) = (Some(path.to_owned()), HashSet::new());
        Pages { client: self, freshness, priority, next, seen, left: most, bytes: 0 }
    }
}

impl Pages<'_> {
    /// Requests the next page. `None` after the last one, or if a limit is reached.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub async fn next(&mut self) -> Result<Option<Answer>, ApiError> {
        if self.is_cut() {
            return Ok(None);
        }
        let Some(path) = self.next.take() else { return Ok(None) };
        let answer = self.client.get(&path, self.freshness, self.priority).await?;
        self.seen.insert(path);
        self.left -= 1;
        self.bytes = self.bytes.saturating_add(answer.body.len());
        self.next = answer.next.clone().filter(|next| !self.seen.contains(next));
        Ok(Some(answer))
    }

    /// Whether there are more pages than the limits allow.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.next.is_some() && (self.left == 0 || self.bytes > MAX_BYTES)
    }
}
