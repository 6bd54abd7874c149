//! Dependency folders of successful runs, such as `node_modules`, with which later runs of the same job start.
//!
//! Each entry is a folder `warm/<repository>/<id>/` of the state folder, with its description in `entry.json` and the
//! dependency folder in `data`. The id is the digest of key and scope. The folder appears by one rename, and its
//! description is removed first, so no reader uses a part of an entry. The modification time of the description is the
//! time of the last use.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

use super::cache::CacheLimits;
use super::digest::sha256;
use super::folder::{RunsDir, make_private};
use super::{StoreError, described, json};

/// Name of the file that describes an entry. Readers ignore an entry without this file.
const DESCRIPTION: &str = "entry.json";

/// Name of the dependency folder in an entry.
const DATA: &str = "data";

/// Maximum size of a description in bytes.
const MAX_DESCRIPTION: u64 = 64 * 1024;

/// A stored dependency folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WarmEntry {
    /// Digest of everything that must be the same for a run that starts with the folder: the job, where it runs, the
    /// path of the folder, and the content of its lock files.
    pub key: String,
    /// Full ref of the run that made the folder.
    pub scope: String,
    /// Id of that run.
    pub run: String,
    /// Folder of the job in that run, as its steps saw it. Files and links in the dependency folder may name it.
    pub root: PathBuf,
    /// Number of files and links.
    pub files: u64,
    /// Size of the files in bytes.
    pub size: u64,
    /// Time at which the entry was stored.
    pub created: Timestamp,
    /// Time of the last use: the modification time of the description.
    #[serde(skip)]
    pub used: Timestamp,
}

impl WarmEntry {
    /// Returns the id, which is the same for all entries with the same key and scope.
    #[must_use]
    pub fn id(&self) -> String {
        sha256(format!("{}\0{}", self.scope, self.key), 16)
    }
}

/// The dependency folders of one repository.
#[derive(Clone, Debug)]
pub struct WarmStore {
    path: PathBuf,
}

impl WarmStore {
    /// Returns the store of a repository. No other repository has the same `identity`.
    #[must_use]
    pub fn of(runs: &RunsDir, identity: &str) -> Self {
        Self { path: runs.warm().join(sha256(identity, 8)) }
    }

    /// Returns the stores of all repositories.
    ///
    /// # Errors
    /// The state folder cannot be read.
    pub fn all(runs: &RunsDir) -> Result<Vec<Self>, StoreError> {
        let stores = described::below(&runs.warm())?.into_iter().filter(|path| path.is_dir());
        Ok(stores.map(|path| Self { path }).collect())
    }

    /// Returns the newest entry for a key among those of the given scopes; `None` if there is none.
    #[must_use]
    pub fn find(&self, key: &str, scopes: &[String]) -> Option<WarmEntry> {
        let wanted =
            scopes.iter().map(|scope| WarmEntry { key: key.to_owned(), scope: scope.clone(), ..WarmEntry::default() });
        let found = wanted.filter_map(|wanted| read(&self.path.join(wanted.id())));
        found.max_by_key(|entry| entry.created)
    }

    /// Returns the path of the dependency folder of an entry, and records the time of this use.
    #[must_use]
    pub fn open(&self, entry: &WarmEntry) -> PathBuf {
        let folder = self.path.join(entry.id());
        described::record_use(&folder.join(DESCRIPTION));
        folder.join(DATA)
    }

    /// Whether the store still has this entry, of the same run.
    #[must_use]
    pub fn is_current(&self, entry: &WarmEntry) -> bool {
        let now = read(&self.path.join(entry.id()));
        now.is_some_and(|now| now.run == entry.run && now.created == entry.created)
    }

    /// Stores the dependency folder at `data` by moving it, in place of an older one with the same key and scope.
    /// `staging` is a new folder of the same file system that no other process uses. Returns `false` if another run has
    /// just stored the same folder.
    ///
    /// # Errors
    /// A folder cannot be moved, written or removed.
    pub fn publish(&self, entry: &WarmEntry, data: &Path, staging: &Path) -> Result<bool, StoreError> {
        let folder = self.path.join(entry.id());
        make_private(staging).map_err(StoreError::io("make the folder", staging))?;
        fs::rename(data, staging.join(DATA)).map_err(StoreError::io("move", data))?;
        json::write_unsynced(&staging.join(DESCRIPTION), entry)?;
        make_private(&self.path).map_err(StoreError::io("make the folder", &self.path))?;
        described::remove(&folder, DESCRIPTION)?;
        described::appear(staging, &folder)
    }

    /// Returns the entries, and the folders without a valid description, which interrupted removals left.
    fn scan(&self) -> Result<(Vec<WarmEntry>, Vec<PathBuf>), StoreError> {
        let (mut entries, mut remains) = (Vec::new(), Vec::new());
        for folder in described::below(&self.path)? {
            match read(&folder) {
                Some(entry) => entries.push(entry),
                None => remains.push(folder),
            }
        }
        Ok((entries, remains))
    }

    /// Returns the entries that exceed the limits, as for [caches](super::cache::Cache::beyond).
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn beyond(&self, limits: CacheLimits, now: Timestamp) -> Result<Vec<WarmEntry>, StoreError> {
        Ok(limits.beyond(self.scan()?.0, now, use_and_size))
    }

    /// Removes the entries [beyond](Self::beyond) the limits, and the remains of interrupted removals.
    ///
    /// # Errors
    /// The folder cannot be read, or an entry cannot be removed.
    pub fn evict(&self, limits: CacheLimits, now: Timestamp) -> Result<(), StoreError> {
        let (entries, remains) = self.scan()?;
        remains.iter().try_for_each(|folder| described::remove(folder, DESCRIPTION))?;
        limits.beyond(entries, now, use_and_size).iter().try_for_each(|entry| self.remove(entry))
    }

    /// Removes an entry. A missing entry is not an error.
    ///
    /// # Errors
    /// The folder cannot be removed.
    pub fn remove(&self, entry: &WarmEntry) -> Result<(), StoreError> {
        described::remove(&self.path.join(entry.id()), DESCRIPTION)
    }
}

fn use_and_size(entry: &WarmEntry) -> (Timestamp, u64) {
    (entry.used, entry.size)
}

/// Reads an entry. `None` if its description is missing, damaged or that of another entry.
fn read(folder: &Path) -> Option<WarmEntry> {
    let description = folder.join(DESCRIPTION);
    let mut entry: WarmEntry = json::read(&description, MAX_DESCRIPTION).ok().flatten()?;
    entry.used = described::last_use(&description).ok()?;
    folder.file_name().is_some_and(|name| name == entry.id().as_str()).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    struct Case {
        home: tempfile::TempDir,
        store: WarmStore,
    }

    impl Case {
        fn new() -> Self {
            let home = tempfile::tempdir().expect("a folder");
            let store = WarmStore::of(&RunsDir::at(home.path()), "o/r");
            Self { home, store }
        }

        /// Stores a folder with one file.
        fn store(&self, scope: &str, run: &str, created: u64) -> WarmEntry {
            let entry = WarmEntry {
                key: "k".to_owned(),
                scope: scope.to_owned(),
                run: run.to_owned(),
                files: 1,
                size: 4,
                created: Timestamp(created),
                ..WarmEntry::default()
            };
            let data = self.home.path().join("node_modules");
            fs::create_dir(&data).expect("made");
            fs::write(data.join("run"), run).expect("written");
            assert!(self.store.publish(&entry, &data, &self.home.path().join("staging")).expect("stored"));
            entry
        }

        fn found(&self, scopes: &[&str]) -> Option<String> {
            let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            let entry = self.store.find("k", &scopes)?;
            let run = fs::read_to_string(self.store.open(&entry).join("run")).expect("read");
            assert_eq!(run, entry.run);
            Some(run)
        }
    }

    #[test]
    fn the_newest_folder_of_the_readable_refs_is_found() {
        let case = Case::new();
        assert_eq!(case.found(&["main"]), None);
        case.store("main", "1", 1);
        case.store("main", "2", 2);
        case.store("topic", "3", 3);
        assert_eq!(case.found(&["main"]), Some("2".to_owned()));
        assert_eq!(case.found(&["topic", "main"]), Some("3".to_owned()));
        assert_eq!(case.found(&["other"]), None);
    }

    #[test]
    fn folders_beyond_the_limits_and_remains_are_removed() {
        let case = Case::new();
        let [old, new] = [case.store("main", "1", 1), case.store("topic", "2", 2)];
        let description = fs::File::options().append(true).open(case.store.path.join(old.id()).join(DESCRIPTION));
        description.and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH)).expect("set");
        fs::create_dir_all(case.store.path.join("half/data")).expect("made");
        let limits = CacheLimits { bytes: 7, days: 7 };
        let now = case.store.find("k", &["topic".to_owned()]).expect("there").used;
        let over = case.store.beyond(limits, now).expect("read");
        assert_eq!(over.iter().map(WarmEntry::id).collect::<Vec<_>>(), [old.id()]);
        case.store.evict(limits, now).expect("removed");
        assert_eq!(described::below(&case.store.path).expect("read"), [case.store.path.join(new.id())]);
    }

    #[test]
    fn a_replaced_entry_is_not_current() {
        let case = Case::new();
        let old = case.store("main", "1", 1);
        assert!(case.store.is_current(&old));
        let new = case.store("main", "2", 2);
        assert!(!case.store.is_current(&old) && case.store.is_current(&new));
        case.store.remove(&new).expect("removed");
        assert!(!case.store.is_current(&new));
    }

    #[test]
    fn an_entry_without_its_description_is_not_found() {
        let case = Case::new();
        let entry = case.store("main", "1", 1);
        fs::remove_file(case.store.path.join(entry.id()).join(DESCRIPTION)).expect("removed");
        assert_eq!(case.found(&["main"]), None);
        case.store("main", "2", 2);
        assert_eq!(case.found(&["main"]), Some("2".to_owned()));
    }
}
