//! Lists and deletes the cache entries that steps saved with `actions/cache`.

use std::cmp::Reverse;

use crate::store::StoreError;
use crate::store::cache::{Cache, CacheEntry};
use crate::store::folder::RunsDir;

/// Lists the entries of a repository, given as `owner/name`, or of all repositories, newest first.
///
/// # Errors
/// The state folder cannot be read.
pub fn list(runs: &RunsDir, repository: Option<&str>) -> Result<Vec<CacheEntry>, StoreError> {
    let mut listed = Vec::new();
    for cache in Cache::all(runs)? {
        listed.extend(of(&cache, repository)?);
    }
    listed.sort_by_key(|entry| Reverse(entry.created));
    Ok(listed)
}

/// Deletes the entries with a key in a repository, given as `owner/name`, or in all repositories. Returns the entries.
///
/// # Errors
/// The state folder cannot be read, or an entry cannot be removed.
pub fn delete(runs: &RunsDir, repository: Option<&str>, key: &str) -> Result<Vec<CacheEntry>, StoreError> {
    let mut deleted = Vec::new();
    for cache in Cache::all(runs)? {
        for entry in of(&cache, repository)?.into_iter().filter(|entry| entry.key == key) {
            cache.remove(&entry)?;
            deleted.push(entry);
        }
    }
    Ok(deleted)
}

fn of(cache: &Cache, repository: Option<&str>) -> Result<Vec<CacheEntry>, StoreError> {
    let mut entries = cache.entries()?;
    entries.retain(|entry| repository.is_none_or(|name| entry.repository.eq_ignore_ascii_case(name)));
    Ok(entries)
}
