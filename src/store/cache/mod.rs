//! Caches of repositories: files that steps saved with `actions/cache`, for later runs of the same repository.
//!
//! Each entry is a folder `cache/<repository>/<id>/` of the state folder, with its description in `entry.json` and its
//! bytes in `data`. The id is the digest of key, version and scope, and the folder appears by one rename: if two runs
//! save the same entry, the first one wins, and no partial entry is ever visible. The modification time of the
//! description is the time of the last use.

use std::fs;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files;
use crate::model::Timestamp;

use super::digest::sha256;
use super::folder::{RunsDir, make_private};
use super::{StoreError, described, json};

pub mod lookup;

use lookup::Lookup;

/// Name of the file that describes an entry. Readers ignore an entry without it.
const DESCRIPTION: &str = "entry.json";

/// Maximum size of a description in bytes.
const MAX_DESCRIPTION: u64 = 64 * 1024;

/// Maximum length of a key in bytes, as on GitHub.
pub const MAX_KEY: usize = 512;

/// Returns why a text cannot be a key, as on GitHub; `None` if it can.
#[must_use]
pub fn key_fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("it is empty")
    } else if text.contains(',') {
        Some("it contains a comma")
    } else if text.len() > MAX_KEY {
        Some("it is longer than 512 bytes")
    } else {
        None
    }
}

/// An entry of the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheEntry {
    /// Key that the step chose.
    pub key: String,
    /// Digest of the cached paths and the compression, computed by the client.
    pub version: String,
    /// Full ref of the run that saved the entry.
    pub scope: String,
    /// Repository as `owner/name`.
    pub repository: String,
    /// Size of the data in bytes.
    pub size: u64,
    /// Time at which the entry was saved.
    pub created: Timestamp,
    /// Time of the last use.
    #[serde(skip)]
    pub used: Timestamp,
}

impl CacheEntry {
    /// Returns the id, which is the same for all entries with the same key, version and scope.
    #[must_use]
    pub fn id(&self) -> String {
        sha256(format!("{}\0{}\0{}", self.scope, self.version, self.key), 16)
    }
}

/// Limits of the cache of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheLimits {
    /// Maximum size of all entries in bytes.
    pub bytes: u64,
    /// Number of days without use after which an entry is removed; 0 counts as 1.
    pub days: u64,
}

impl Default for CacheLimits {
    /// Returns GitHub's limits: 10 GiB per repository, and one week.
    fn default() -> Self {
        Self { bytes: 10 << 30, days: 7 }
    }
}

impl CacheLimits {
    /// Returns the entries that exceed the limits: those not used for too long, and the least recently used ones whose
    /// removal brings the total size down to the maximum. `of` returns the time of the last use of an entry, and its
    /// size in bytes.
    pub(super) fn beyond<E>(self, mut entries: Vec<E>, now: Timestamp, of: fn(&E) -> (Timestamp, u64)) -> Vec<E> {
        entries.sort_by_key(|entry| std::cmp::Reverse(of(entry).0));
        let mut total = 0_u64;
        entries.retain(|entry| {
            let (used, size) = of(entry);
            total = total.saturating_add(size);
            let aged = now.since(used).as_secs() / (24 * 60 * 60) >= self.days.max(1);
            aged || total > self.bytes
        });
        entries
    }
}

/// The cache of one repository.
#[derive(Clone, Debug)]
pub struct Cache {
    path: PathBuf,
}

impl Cache {
    /// Returns the cache of a repository. No other repository has the same `identity`.
    #[must_use]
    pub fn of(runs: &RunsDir, identity: &str) -> Self {
        Self { path: runs.cache().join(sha256(identity, 8)) }
    }

    /// Returns an id of an entry that no entry of another cache has.
    #[must_use]
    pub fn id_of(&self, entry: &CacheEntry) -> String {
        let name = self.path.file_name().unwrap_or_default();
        format!("{}/{}", name.to_string_lossy(), entry.id())
    }

    /// Returns the caches of all repositories.
    ///
    /// # Errors
    /// The state folder cannot be read.
    pub fn all(runs: &RunsDir) -> Result<Vec<Self>, StoreError> {
        Ok(described::below(&runs.cache())?.into_iter().map(|path| Self { path }).collect())
    }

    /// Lists the entries, newest first. Damaged entries are left out.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn entries(&self) -> Result<Vec<CacheEntry>, StoreError> {
        let (mut entries, _) = self.scan()?;
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.created));
        Ok(entries)
    }

    /// Returns the entries, and the folders of damaged ones.
    fn scan(&self) -> Result<(Vec<CacheEntry>, Vec<PathBuf>), StoreError> {
        let (mut entries, mut damaged) = (Vec::new(), Vec::new());
        for folder in described::below(&self.path)? {
            match read(&folder) {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => damaged.push(folder),
                Err(_) => {}
            }
        }
        Ok((entries, damaged))
    }

    /// Returns the entry for a lookup; `None` if no entry matches.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn find(&self, lookup: &Lookup<'_>) -> Result<Option<CacheEntry>, StoreError> {
        Ok(lookup::best(&self.entries()?, lookup).cloned())
    }

    /// Whether an entry with the same key, version and scope exists.
    #[must_use]
    pub fn contains(&self, entry: &CacheEntry) -> bool {
        whole(&self.path.join(entry.id())).is_some()
    }

    /// Opens the data of an entry, and records the time of this use. `None` if the entry was removed meanwhile, or is
    /// damaged.
    #[must_use]
    pub fn open(&self, id: &str) -> Option<(File, CacheEntry)> {
        let folder = self.path.join(id);
        let entry = whole(&folder)?;
        let data = files::open_own(&folder.join("data")).ok()?;
        described::record_use(&folder.join(DESCRIPTION));
        Some((data, entry))
    }

    /// Adds an entry. `staged` is a folder of the same file system with the file `data`; it becomes the folder of the
    /// entry. Returns `false` if an entry with the same id exists.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn publish(&self, entry: &CacheEntry, staged: &Path) -> Result<bool, StoreError> {
        json::write_unsynced(&staged.join(DESCRIPTION), entry)?;
        let folder = self.path.join(entry.id());
        if folder.exists() && whole(&folder).is_none() {
            // Damaged, by a power failure for example.
            let _ = fs::remove_dir_all(&folder);
        }
        make_private(&self.path).map_err(StoreError::io("make the folder", &self.path))?;
        described::appear(staged, &folder)
    }

    /// Removes an entry. A missing entry is not an error.
    ///
    /// # Errors
    /// The folder cannot be removed.
    pub fn remove(&self, entry: &CacheEntry) -> Result<(), StoreError> {
        described::remove(&self.path.join(entry.id()), DESCRIPTION)
    }

    /// Returns the entries that exceed the limits: those not used for too long, and the least recently used ones by
    /// which the cache is larger than the maximum size.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn beyond(&self, limits: CacheLimits, now: Timestamp) -> Result<Vec<CacheEntry>, StoreError> {
        Ok(limits.beyond(self.entries()?, now, use_and_size))
    }

    /// Removes the entries [beyond](Self::beyond) the limits, and returns them. Also removes damaged entries and the
    /// remains of interrupted removals.
    ///
    /// # Errors
    /// The folder cannot be read, or an entry cannot be removed.
    pub fn evict(&self, limits: CacheLimits, now: Timestamp) -> Result<Vec<CacheEntry>, StoreError> {
        let (entries, damaged) = self.scan()?;
        let evicted = limits.beyond(entries, now, use_and_size);
        evicted.iter().try_for_each(|entry| self.remove(entry))?;
        for folder in damaged {
            // If this fails, the next eviction removes the folder.
            let _ = described::remove(&folder, DESCRIPTION);
        }
        Ok(evicted)
    }
}

fn use_and_size(entry: &CacheEntry) -> (Timestamp, u64) {
    (entry.used, entry.size)
}

/// Reads an entry. `None` if it is damaged: its description is missing or invalid, or its data has another size.
///
/// # Errors
/// It is unknown whether the entry is damaged: a file cannot be read, or the name of the folder is not the id of the
/// entry.
fn read(folder: &Path) -> Result<Option<CacheEntry>, StoreError> {
    let (description, data) = (folder.join(DESCRIPTION), folder.join("data"));
    let mut entry = match json::read::<CacheEntry>(&description, MAX_DESCRIPTION) {
        Ok(Some(entry)) => entry,
        Ok(None) | Err(StoreError::Damaged { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    if folder.file_name().is_none_or(|name| name != entry.id().as_str()) {
        let reason = "its folder has another name".to_owned();
        return Err(StoreError::Damaged { path: description, reason });
    }
    entry.used = described::last_use(&description).map_err(StoreError::io("read", &description))?;
    match files::own_size(&data) {
        Ok(size) => Ok((size == entry.size).then_some(entry)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", data)(error)),
    }
}

/// Reads an entry. `None` if it is damaged or cannot be read.
fn whole(folder: &Path) -> Option<CacheEntry> {
    read(folder).ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::SystemTime;

    use super::*;

    fn entry(key: &str, size: u64, used: u64) -> CacheEntry {
        let text = |text: &str| text.to_owned();
        CacheEntry {
            key: text(key),
            version: text("v"),
            scope: text("refs/heads/main"),
            repository: text("o/r"),
            size,
            created: Timestamp(used),
            used: Timestamp(used),
        }
    }

    #[test]
    fn keys_are_those_that_clients_accept() {
        for (key, is_good) in [("npm-1", true), ("", false), ("a,b", false), (&"x".repeat(513), false)] {
            assert_eq!(key_fault(key).is_none(), is_good, "{key}");
        }
    }

    /// Publishes an entry with its data. Returns whether it is new.
    fn published(cache: &Cache, state: &Path, entry: &CacheEntry, data: &str) -> bool {
        let staged = state.join("staged");
        fs::create_dir_all(&staged).expect("made");
        fs::write(staged.join("data"), data).expect("written");
        cache.publish(entry, &staged).expect("published")
    }

    #[test]
    fn an_entry_is_saved_once_and_a_damaged_one_is_replaced() {
        let state = tempfile::tempdir().expect("a folder");
        let cache = Cache::of(&RunsDir::at(state.path()), "o/r");
        assert_eq!(cache.entries().expect("read"), []);
        let first = entry("npm-1", 4, 1);
        assert!(published(&cache, state.path(), &first, "data"));
        assert!(!published(&cache, state.path(), &first, "more"));
        assert!(cache.contains(&first));
        let (_, opened) = cache.open(&first.id()).expect("there");
        assert_eq!((opened.key.as_str(), opened.size), ("npm-1", 4));
        fs::write(cache.path.join(first.id()).join("data"), "dat").expect("written");
        assert!(!cache.contains(&first) && cache.open(&first.id()).is_none(), "half of it is not offered");
        assert!(published(&cache, state.path(), &first, "data"));
        cache.remove(&first).expect("removed");
        cache.remove(&first).expect("removed already");
        assert!(!cache.contains(&first));
    }

    #[test]
    fn an_interrupted_removal_is_continued_by_the_next_one() {
        let state = tempfile::tempdir().expect("a folder");
        let cache = Cache::of(&RunsDir::at(state.path()), "o/r");
        let removals: [&dyn Fn(&CacheEntry); 2] = [&|entry| cache.remove(entry).expect("removed"), &|_| {
            drop(cache.evict(CacheLimits::default(), Timestamp(1)).expect("removed"));
        }];
        for remove in removals {
            let (half, other) = (entry("npm-1", 4, 1), entry("npm-2", 4, 1));
            assert!(published(&cache, state.path(), &half, "data"));
            published(&cache, state.path(), &other, "data");
            fs::remove_file(cache.path.join(half.id()).join("entry.json")).expect("removed");
            remove(&half);
            assert!(!cache.path.join(half.id()).exists() && cache.contains(&other));
        }
    }

    #[test]
    fn damaged_entries_are_removed_with_those_that_are_too_old() {
        let state = tempfile::tempdir().expect("a folder");
        let cache = Cache::of(&RunsDir::at(state.path()), "o/r");
        let [cut, torn, moved, whole] = ["cut", "torn", "moved", "whole"].map(|key| entry(key, 4, 1));
        for entry in [&cut, &torn, &moved, &whole] {
            assert!(published(&cache, state.path(), entry, "data"));
        }
        let at = |entry: &CacheEntry| cache.path.join(entry.id());
        fs::write(at(&cut).join("data"), "dat").expect("written");
        fs::write(at(&torn).join("entry.json"), "{").expect("written");
        fs::rename(at(&moved), cache.path.join("elsewhere")).expect("moved");
        assert_eq!(cache.evict(CacheLimits::default(), Timestamp(1)).expect("removed"), []);
        // Another version of this program may give folders other names.
        let left = fs::read_dir(&cache.path).expect("there").flatten().map(|entry| entry.path());
        assert_eq!(left.collect::<BTreeSet<_>>(), [at(&whole), cache.path.join("elsewhere")].into());
    }

    #[test]
    fn a_use_is_noted() {
        let state = tempfile::tempdir().expect("a folder");
        let cache = Cache::of(&RunsDir::at(state.path()), "o/r");
        let saved = entry("npm-1", 4, 1);
        published(&cache, state.path(), &saved, "data");
        let description = File::options().append(true).open(cache.path.join(saved.id()).join("entry.json"));
        description.and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH)).expect("set");
        assert_eq!(cache.entries().expect("read")[0].used, Timestamp(0));
        assert!(cache.open(&saved.id()).is_some());
        assert!(cache.entries().expect("read")[0].used > Timestamp(0));
    }

    #[test]
    fn what_was_not_used_goes_first() {
        const DAY: u64 = 24 * 60 * 60 * 1000;
        let now = Timestamp(30 * DAY);
        let entries = [("a", 5, 29), ("b", 5, 30), ("c", 5, 28), ("old", 1, 20), ("later", 5, 31)];
        let entries = entries.map(|(key, size, day)| entry(key, size, day * DAY));
        for (bytes, days, expected) in [
            (100, 7, &["old"][..]),
            (15, 7, &["c", "old"]),
            (15, 30, &["c", "old"]),
            (100, 100, &[]),
            (0, 7, &["later", "b", "a", "c", "old"]),
        ] {
            let beyond = CacheLimits { bytes, days }.beyond(entries.to_vec(), now, use_and_size);
            let keys: Vec<_> = beyond.iter().map(|entry| entry.key.as_str()).collect();
            assert_eq!(keys, expected, "{bytes} bytes, {days} days");
        }
    }
}
