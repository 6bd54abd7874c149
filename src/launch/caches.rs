//! Lists, opens and deletes the cache entries that steps saved with `actions/cache`.

use std::cmp::Reverse;
use std::fs::File;

use crate::store::StoreError;
use crate::store::cache::{Cache, CacheEntry};
use crate::store::folder::RunsDir;

/// Lists the entries of a repository, given as `owner/name`, or of all repositories, newest first.
///
/// # Errors
/// The state folder cannot be read.
pub fn list(runs: &RunsDir, repository: Option<&str>) -> Result<Vec<CacheEntry>, StoreError> {
    Ok(identified(runs, repository)?.into_iter().map(|(_, entry)| entry).collect())
}

/// Lists the entries as [`list`] does, each with an id that no other entry has.
///
/// # Errors
/// The state folder cannot be read.
pub fn identified(runs: &RunsDir, repository: Option<&str>) -> Result<Vec<(String, CacheEntry)>, StoreError> {
    let mut listed = Vec::new();
    for cache in Cache::all(runs)? {
        listed.extend(of(&cache, repository)?.into_iter().map(|entry| (cache.id_of(&entry), entry)));
    }
    listed.sort_by_key(|(_, entry)| Reverse(entry.created));
    Ok(listed)
}

/// Deletes the entry with the id that [`identified`] returned. An entry that is gone already is not an error.
///
/// # Errors
/// The state folder cannot be read, or the entry cannot be removed.
pub fn delete_one(runs: &RunsDir, id: &str) -> Result<(), StoreError> {
    for cache in Cache::all(runs)? {
        if let Some(entry) = cache.entries()?.iter().find(|entry| cache.id_of(entry) == id) {
            cache.remove(entry)?;
        }
    }
    Ok(())
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

/// Opens the data of the newest entry with a key in a repository, given as `owner/name`, or in all repositories. With
/// `scope`, only entries of this full ref count. Also returns the number of older entries that count. `None` if there is
/// no entry.
///
/// # Errors
/// The state folder cannot be read.
pub fn open(
    runs: &RunsDir,
    repository: Option<&str>,
    key: &str,
    scope: Option<&str>,
) -> Result<Option<(File, CacheEntry, usize)>, StoreError> {
    let mut found = Vec::new();
    for cache in Cache::all(runs)? {
        let counts = |entry: &CacheEntry| entry.key == key && scope.is_none_or(|scope| entry.scope == scope);
        found.extend(of(&cache, repository)?.into_iter().filter(counts).map(|entry| (cache.clone(), entry)));
    }
    found.sort_by_key(|(_, entry)| Reverse(entry.created));
    let older = found.len().saturating_sub(1);
    // The newest one may have been removed meanwhile.
    let opened = found.iter().find_map(|(cache, entry)| cache.open(&entry.id()));
    Ok(opened.map(|(data, entry)| (data, entry, older)))
}

/// Returns the full ref of a branch. A name that begins with `refs/` is a full ref already.
pub(super) fn full_ref(name: &str) -> String {
    if name.starts_with("refs/") { name.to_owned() } else { format!("refs/heads/{name}") }
}

fn of(cache: &Cache, repository: Option<&str>) -> Result<Vec<CacheEntry>, StoreError> {
    let mut entries = cache.entries()?;
    entries.retain(|entry| repository.is_none_or(|name| entry.repository.eq_ignore_ascii_case(name)));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use std::fs;

    #[test]
    fn one_of_several_entries_with_a_key_is_deleted() {
        let state = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(state.path());
        // Two clones of a repository have the same name, but not the same cache.
        for (clone, scope, created) in [("a", "main", 1), ("a", "topic", 2), ("b", "main", 3)] {
            let staged = state.path().join("staged");
            fs::create_dir_all(&staged).and_then(|()| fs::write(staged.join("data"), "data")).expect("written");
            let entry = CacheEntry {
                key: "npm".to_owned(),
                version: "v".to_owned(),
                scope: scope.to_owned(),
                repository: "o/r".to_owned(),
                size: 4,
                created: Timestamp(created),
                ..CacheEntry::default()
            };
            assert!(Cache::of(&runs, clone).publish(&entry, &staged).expect("published"));
        }
        let all = identified(&runs, Some("o/r")).expect("listed");
        let created = |all: &[(String, CacheEntry)]| all.iter().map(|(_, entry)| entry.created.0).collect::<Vec<_>>();
        assert_eq!(created(&all), [3, 2, 1]);
        delete_one(&runs, &all[2].0).expect("deleted");
        assert_eq!(created(&identified(&runs, Some("o/r")).expect("listed")), [3, 2]);
        delete_one(&runs, &all[2].0).expect("deleted already");
        delete_one(&runs, &all[0].0).expect("deleted");
        assert_eq!(created(&identified(&runs, Some("o/r")).expect("listed")), [2]);
    }
}
