//! Warm starts: a job starts with the dependency folders, such as `node_modules`, of the newest successful run of the
//! same job whose lock files had the same content.
//!
//! After a checkout, each dependency folder that the store has for these lock files is cloned into the workspace: the
//! copy shares the blocks of its files with the original until one of the two is changed. This needs a file system
//! such as Btrfs or XFS; on others, jobs always start without these folders. A clone is made outside the workspace and
//! moved to its place when it is complete.
//!
//! A job notes the folders that it may leave to later runs, in a file that steps in containers cannot reach. When the
//! run has succeeded, [`keep`] moves those of its successful jobs from the workspaces, which are removed then, to the
//! store.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::files::{Folder, Links};
use crate::model::{Conclusion, JobId, Run};
use crate::repo::git::Abort;
use crate::store::cache::CacheLimits;
use crate::store::clock::now;
use crate::store::digest::sha256;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::warm::{WarmEntry, WarmStore};
use crate::store::{StoreError, json};

use self::tree::{CloneOptions, Tree};

pub(in crate::engine) mod place;
mod relocate;
mod tree;

/// Maximum size of a lock file in bytes.
const MAX_LOCK_FILE: u64 = 64 * 1024 * 1024;

/// Maximum size of the note of a job in bytes.
const MAX_NOTE: u64 = 1024 * 1024;

/// Maximum depth of the folders in which lock files are searched for.
const MAX_DEPTH: usize = 8;

/// Maximum number of dependency folders of a job.
const MAX_FOLDERS: usize = 100;

/// Files that choose the version of a language, beside a lock file or in the workspace. Dependencies that were built
/// for one version may not work with another.
const VERSION_FILES: &[&str] = &[
    ".node-version",
    ".nvmrc",
    ".python-version",
    ".ruby-version",
    ".tool-versions",
    "mise.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
];

/// Name of the marker file that shows that a log has already explained why jobs start without dependency folders.
const UNSUPPORTED_MARK: &str = "unsupported";

/// Brings dependency folders into the workspace of a job.
pub(in crate::engine) struct WarmStart<'w> {
    /// Folder of the run.
    pub(in crate::engine) run: &'w RunFolder,
    /// Id of the job.
    pub(in crate::engine) job: &'w JobId,
    /// Returns the name of the repository, which is unique on this machine. Takes a few milliseconds.
    pub(in crate::engine) repository: &'w dyn Fn() -> String,
    /// Returns the digest of a [`Place`](place::Place): everything besides the lock files that must be the same.
    pub(in crate::engine) place: &'w dyn Fn() -> String,
    /// Dependency folders, each with the names of its lock files.
    pub(in crate::engine) folders: &'w IndexMap<String, Vec<String>>,
    /// Whether the job starts without the folders of earlier runs. It may still leave its own to later ones.
    pub(in crate::engine) cold: bool,
    /// Refs of the runs whose folders the job may use.
    pub(in crate::engine) readable: Vec<String>,
    /// Ref under which the folders of this run are stored; `None` if later runs must not use them.
    pub(in crate::engine) scope: Option<String>,
    /// The workspace, on this machine.
    pub(in crate::engine) workspace: PathBuf,
    /// The folder of the job, as its steps see it.
    pub(in crate::engine) root: PathBuf,
    /// Whether every user of a container may change the folders.
    pub(in crate::engine) open_to_all: bool,
}

/// Result of a warm start.
#[derive(Debug, Default)]
pub(in crate::engine) struct Brought {
    /// Lines for the log.
    pub(in crate::engine) lines: Vec<String>,
    /// Paths of the folders, relative to the workspace.
    pub(in crate::engine) folders: Vec<PathBuf>,
}

/// The dependency folders that a job may leave to later runs.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    repository: String,
    scope: String,
    place: String,
    root: PathBuf,
    /// The workspace, relative to the folder of workspaces.
    workspace: PathBuf,
    found: Vec<Dependencies>,
}

/// A dependency folder whose lock files are in a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Dependencies {
    /// Path of the folder, relative to the workspace.
    folder: PathBuf,
    /// Path of the folder with the lock files, relative to the workspace.
    above: PathBuf,
    /// Names of the lock files.
    locks: Vec<String>,
    /// Digest of `place`, the path of the folder, and the content of the lock files and the version files.
    key: String,
}

impl WarmStart<'_> {
    /// Brings dependency folders into `folder` of the workspace, which was just checked out, and notes which ones the
    /// run may leave to later runs. A folder that cannot be cloned is left out.
    pub(in crate::engine) fn begin(&self, folder: &Path, abort: &Abort) -> Brought {
        let mut brought = Brought::default();
        let Ok(below) = folder.strip_prefix(&self.workspace) else { return brought };
        let Ok(workspace) = Folder::open(&self.workspace) else { return brought };
        let locks = self.lock_files(&workspace, below);
        if locks.is_empty() {
            return brought;
        }
        let runs = self.run.runs();
        if let Err(error) = can_clone(&self.run.work()) {
            brought.lines.extend(told_once(&runs, &error));
            return brought;
        }
        let place = (self.place)();
        let found = self.dependencies(&workspace, &place, locks);
        let repository = (self.repository)();
        let store = WarmStore::of(&runs, &repository);
        for one in found.iter().filter(|_| !self.cold) {
            let Some(entry) = store.find(&one.key, &self.readable) else { continue };
            match self.bring(&workspace, one, &store, &entry, abort) {
                Ok(true) => {
                    brought.lines.push(one.taken(&entry));
                    brought.folders.push(one.folder.clone());
                }
                Ok(false) => {}
                Err(_) if abort.is_set() => break,
                Err(error) => brought.lines.push(format!(
                    "{} of run {} cannot be used, the job starts without it: {error}",
                    one.folder.display(),
                    entry.run
                )),
            }
        }
        self.note(repository, place, found);
        brought
    }

    /// Finds the names of the lock files below `below` by the paths of their folders.
    fn lock_files(&self, workspace: &Folder, below: &Path) -> BTreeMap<PathBuf, Vec<String>> {
        let root = workspace.path().join(below);
        let is_inner = |name: &str| name == ".git" || self.folders.keys().any(|folder| folder == name);
        let is_lock = |name: &str| self.folders.values().flatten().any(|lock| lock == name);
        let entries = WalkDir::new(&root).max_depth(MAX_DEPTH).into_iter();
        let entries = entries.filter_entry(|entry| {
            entry.depth() == 0 || !(entry.file_type().is_dir() && entry.file_name().to_str().is_some_and(is_inner))
        });
        let mut locks: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
        for entry in entries.flatten().filter(|entry| !entry.file_type().is_dir()) {
            let name = entry.file_name().to_str().filter(|name| is_lock(name));
            let above = entry.path().parent().and_then(|above| above.strip_prefix(&root).ok());
            if let (Some(name), Some(above)) = (name, above) {
                locks.entry(normal(&below.join(above))).or_default().push(name.to_owned());
            }
        }
        locks
    }

    /// Returns the dependency folders that have lock files, in the order of their paths.
    fn dependencies(
        &self,
        workspace: &Folder,
        place: &str,
        locks: BTreeMap<PathBuf, Vec<String>>,
    ) -> Vec<Dependencies> {
        let mut found = Vec::new();
        for (above, names) in locks {
            for (folder, of_folder) in self.folders {
                let present: Vec<_> = of_folder.iter().filter(|lock| names.contains(lock)).cloned().collect();
                if !present.is_empty() {
                    let path = above.join(folder);
                    found.extend(Dependencies::of(workspace, place, path, above.clone(), present));
                }
            }
        }
        found.truncate(MAX_FOLDERS);
        found
    }

    /// Clones a dependency folder of the store to its place. Returns whether it did: a folder that exists is kept.
    fn bring(
        &self,
        workspace: &Folder,
        one: &Dependencies,
        store: &WarmStore,
        entry: &WarmEntry,
        abort: &Abort,
    ) -> io::Result<bool> {
        if workspace.path().join(&one.folder).symlink_metadata().is_ok() {
            return Ok(false);
        }
        let apart = Apart::new(&self.run.work())?;
        let from = Folder::open(&store.open(entry))?;
        // Another run may have replaced the entry since it was found. The open folder is complete only if its
        // description is still there.
        if !store.is_current(entry) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another run has just replaced it"));
        }
        let tree = Tree::of(&from)?;
        if tree.len() != entry.files {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not complete"));
        }
        let roots = (entry.root.as_path(), self.root.as_path());
        tree.clone_to(&from, &Folder::open(&apart.0)?, &CloneOptions { roots, open_to_all: self.open_to_all, abort })?;
        workspace.place(&apart.0, &one.folder)?;
        Ok(true)
    }

    /// Notes the folders that later runs may use, together with those of earlier checkouts of the job.
    fn note(&self, repository: String, place: String, found: Vec<Dependencies>) {
        let Some(scope) = &self.scope else { return };
        let Ok(workspace) = self.workspace.strip_prefix(self.run.work()) else { return };
        let path = self.run.dependencies(self.job);
        let mut note: Note = json::read(&path, MAX_NOTE).ok().flatten().unwrap_or_default();
        note.found.retain(|known| found.iter().all(|one| one.folder != known.folder));
        note.found.extend(found);
        let note = Note {
            repository,
            scope: scope.clone(),
            place,
            root: self.root.clone(),
            workspace: workspace.to_owned(),
            found: note.found,
        };
        let above = self.run.checkpoints();
        let written = fs::create_dir_all(&above).map_err(StoreError::io("make the folder", above));
        if let Err(error) = written.and_then(|()| json::write_unsynced(&path, &note)) {
            tracing::debug!(%error, "later runs start without the dependency folders of this one");
        }
    }
}

impl Dependencies {
    /// Reads the lock files of a dependency folder. `None` if one of them is not a regular file, or is too large.
    fn of(workspace: &Folder, place: &str, folder: PathBuf, above: PathBuf, locks: Vec<String>) -> Option<Self> {
        let mut text = format!("{place}\0{}", folder.display());
        for lock in &locks {
            let content = workspace.read(&above.join(lock), Links::Refuse, MAX_LOCK_FILE).ok()?;
            text.push_str(&format!("\0{lock}\0{}", sha256(content, 32)));
        }
        let versions = VERSION_FILES.iter().flat_map(|name| [above.join(name), PathBuf::from(name)]);
        for path in versions {
            if let Ok(content) = workspace.read(&path, Links::Within, MAX_LOCK_FILE) {
                text.push_str(&format!("\0{}\0{}", path.display(), sha256(content, 32)));
            }
        }
        Some(Self { folder, above, locks, key: sha256(text, 32) })
    }

    /// Whether the lock files and version files have the same content as after the checkout.
    fn is_unchanged(&self, workspace: &Folder, place: &str) -> bool {
        let Self { folder, above, locks, key } = self.clone();
        Self::of(workspace, place, folder, above, locks).is_some_and(|now| now.key == key)
    }

    /// Returns the line for the log that names the run from which the folder comes.
    fn taken(&self, entry: &WarmEntry) -> String {
        let (folder, locks) = (self.folder.display(), self.locks.join(" and "));
        let (files, size) = (entry.files, entry.size as f64 / 1e6);
        let verb = if self.locks.len() == 1 { "is" } else { "are" };
        format!(
            "Warm start: {folder} ({files} files, {size:.1} MB) comes from run {}, because {locks} {verb} the same.",
            entry.run
        )
    }
}

/// A folder outside the workspace in which a clone is made. It is removed on drop, unless it was moved.
struct Apart(PathBuf);

impl Apart {
    fn new(work: &Path) -> io::Result<Self> {
        let random = getrandom::u64().map_err(io::Error::other)?;
        let path = work.join(format!(".warm-{random:016x}"));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // If this fails, the folder is removed together with the run.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Moves the dependency folders of the successful jobs of a run to the store, for later runs. A folder stays where it
/// is if its lock files or version files have changed, if it is empty, or if it is larger than the limit. Returns the
/// number of folders that were moved.
///
/// The run itself must have succeeded. A job may fail in a run that succeeds (`continue-on-error`), and may leave an
/// incomplete folder, so failed jobs are left out.
pub fn keep(folder: &RunFolder, run: &Run, limits: CacheLimits) -> usize {
    let jobs = run.jobs.values().filter(|job| job.phase.conclusion() == Some(Conclusion::Success));
    let notes = jobs.map(|job| folder.dependencies(&job.id));
    let notes: Vec<_> = notes.filter_map(|path| json::read::<Note>(&path, MAX_NOTE).ok().flatten()).collect();
    let Some(first) = notes.first() else { return 0 };
    // All jobs of a run have the same repository.
    let store = WarmStore::of(&folder.runs(), &first.repository);
    let mut kept = 0;
    for note in &notes {
        for one in &note.found {
            match keep_one(folder, note, one, &store, limits) {
                Ok(is_kept) => kept += usize::from(is_kept),
                Err(error) => {
                    tracing::debug!(%error, folder = %one.folder.display(), "a dependency folder is not kept");
                }
            }
        }
    }
    if let Err(error) = store.evict(limits, now()) {
        tracing::debug!(%error, "old dependency folders remain");
    }
    kept
}

/// Moves one folder to the store. Returns whether it did.
fn keep_one(
    run: &RunFolder,
    note: &Note,
    one: &Dependencies,
    store: &WarmStore,
    limits: CacheLimits,
) -> io::Result<bool> {
    let workspace = Folder::open(&run.work())?.folder(&note.workspace)?;
    if !one.is_unchanged(&workspace, &note.place) {
        return Ok(false);
    }
    let Ok(folder) = workspace.folder(&one.folder) else { return Ok(false) };
    let tree = Tree::of(&folder)?;
    if tree.len() == 0 || tree.size() > limits.bytes {
        return Ok(false);
    }
    let entry = WarmEntry {
        key: one.key.clone(),
        scope: note.scope.clone(),
        run: run.id().to_string(),
        root: note.root.clone(),
        files: tree.len(),
        size: tree.size(),
        created: now(),
        ..WarmEntry::default()
    };
    let staging = Apart::new(&run.work())?;
    // Only the last part of this path may be a link, if a link has replaced the folder since. A move does not follow a
    // link.
    let data = workspace.path().join(&one.folder);
    store.publish(&entry, &data, &staging.0).map_err(io::Error::other)
}

/// Checks whether files in a folder can share their blocks.
///
/// # Errors
/// The file system does not support it, or the folder cannot be written.
pub fn can_clone(folder: &Path) -> io::Result<()> {
    let apart = Apart::new(folder)?;
    let folder = Folder::open(&apart.0)?;
    folder.write(Path::new("from"), b"x")?;
    tree::share(&folder.file(Path::new("from"), Links::Refuse)?, &folder.create(Path::new("to"))?)
}

/// Returns the explanation why jobs start without dependency folders; `None` if an earlier log has it.
fn told_once(runs: &RunsDir, error: &io::Error) -> Option<String> {
    let mark = runs.warm().join(UNSUPPORTED_MARK);
    fs::create_dir_all(runs.warm()).ok()?;
    fs::File::create_new(mark).ok()?;
    Some(format!(
        "Jobs start without the dependency folders of earlier runs, because the file system of {} cannot clone files \
         ({error}). Btrfs and XFS can. This is logged only once.",
        runs.state().display()
    ))
}

/// Returns a relative path without `.`.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{Script, info, outline};
    use crate::model::{RunId, Timestamp};
    use crate::store::runs::RunStore;
    use std::os::unix::fs::symlink;

    struct Case {
        home: tempfile::TempDir,
        run: RunFolder,
        folders: IndexMap<String, Vec<String>>,
    }

    impl Case {
        /// Creates a run with the files in the workspace of its job `a`.
        fn new(files: &[(&str, &str)]) -> Self {
            let home = tempfile::tempdir().expect("a folder");
            let run = RunsDir::at(home.path()).create(Timestamp(1_700_000_000_000)).expect("made");
            let folders = [("node_modules", "package-lock.json|yarn.lock"), ("vendor/bundle", "Gemfile.lock")];
            let locks = |locks: &str| locks.split('|').map(str::to_owned).collect();
            let folders = folders.into_iter().map(|(folder, files)| (folder.to_owned(), locks(files))).collect();
            let case = Self { home, run, folders };
            for (name, text) in files {
                case.write(name, text);
            }
            case
        }

        fn workspace(&self) -> PathBuf {
            self.run.work().join("a/r/r")
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.workspace().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).and_then(|()| fs::write(path, text)).expect("written");
        }

        fn found(&self) -> Vec<Dependencies> {
            let job = JobId::new("a");
            let start = self.start(&job);
            let workspace = Folder::open(&start.workspace).expect("opened");
            start.dependencies(&workspace, &(start.place)(), start.lock_files(&workspace, Path::new("")))
        }

        fn start<'c>(&'c self, job: &'c JobId) -> WarmStart<'c> {
            WarmStart {
                run: &self.run,
                job,
                repository: &|| "o/r".to_owned(),
                place: &|| "host".to_owned(),
                folders: &self.folders,
                cold: false,
                readable: vec!["main".to_owned()],
                scope: Some("main".to_owned()),
                workspace: self.workspace(),
                root: self.run.work().join("a"),
                open_to_all: false,
            }
        }

        /// Keeps the folders of a successful run whose job ended like this.
        fn keep(&self, job: Conclusion, limits: CacheLimits) -> usize {
            let mut script = Script::new(Timestamp(0));
            script.start(vec![outline("a", "a", &[])]).job("a", "a", &[]).job_end("a", job).end(Conclusion::Success);
            let (id, mut runs) = (RunId::new("20261124-000000-0001"), RunStore::default());
            runs.open(info(id.clone(), Timestamp(0)));
            script.records.iter().for_each(|record| runs.apply(&id, record));
            keep(&self.run, runs.run(&id).expect("opened"), limits)
        }

        fn stored(&self, key: &str) -> Option<WarmEntry> {
            WarmStore::of(&RunsDir::at(self.home.path()), "o/r").find(key, &["main".to_owned()])
        }
    }

    #[test]
    fn folders_are_found_beside_their_lock_files() {
        let case = Case::new(&[
            ("package-lock.json", "1"),
            ("yarn.lock", "2"),
            ("web/package-lock.json", "1"),
            ("api/Gemfile.lock", ""),
            ("node_modules/inner/package-lock.json", ""),
            (".git/package-lock.json", ""),
            ("docs/readme", ""),
        ]);
        fs::create_dir(case.workspace().join("linked")).expect("made");
        symlink("/etc/passwd", case.workspace().join("linked/yarn.lock")).expect("linked");
        symlink("/etc", case.workspace().join("etc")).expect("linked");
        let found = case.found();
        let named: Vec<_> = found.iter().map(|one| (one.folder.to_str().expect("text"), one.locks.join(" "))).collect();
        assert_eq!(
            named,
            [
                ("node_modules", "package-lock.json yarn.lock".to_owned()),
                ("api/vendor/bundle", "Gemfile.lock".to_owned()),
                ("web/node_modules", "package-lock.json".to_owned()),
            ]
        );
        case.write("yarn.lock", "3");
        let again = case.found();
        assert!(again[0].key != found[0].key && again[1..] == found[1..]);
    }

    #[test]
    fn a_successful_run_leaves_real_folders_whose_lock_files_did_not_change() {
        let locks = ["a", "b", "c", "d", "e"].map(|folder| format!("{folder}/package-lock.json"));
        let case = Case::new(&locks.each_ref().map(|lock| (&**lock, "1")));
        let job = JobId::new("a");
        let found = case.found();
        case.start(&job).note("o/r".to_owned(), "host".to_owned(), found.clone());
        for folder in ["a", "b", "d"] {
            case.write(&format!("{folder}/node_modules/x/index.js"), "code");
        }
        symlink("../x/index.js", case.workspace().join("a/node_modules/link")).expect("linked");
        case.write("b/package-lock.json", "2");
        symlink(case.home.path(), case.workspace().join("c/node_modules")).expect("linked");
        case.write("d/node_modules/big", &"x".repeat(200));
        fs::create_dir(case.workspace().join("e/node_modules")).expect("made");
        let limits = CacheLimits { bytes: 100, days: 7 };
        assert_eq!(case.keep(Conclusion::Success, limits), 1);
        let stored = case.stored(&found[0].key).expect("stored");
        assert_eq!((stored.files, stored.root), (2, case.run.work().join("a")));
        assert!(found[1..].iter().all(|one| case.stored(&one.key).is_none()));
        assert!(!case.workspace().join("a/node_modules").exists() && case.workspace().join("b/node_modules").exists());
        assert_eq!(fs::read_dir(case.run.work()).expect("there").count(), 1, "nothing is left beside the workspace");
    }

    #[test]
    fn a_job_that_was_allowed_to_fail_leaves_nothing() {
        let case = Case::new(&[("package-lock.json", "1"), ("node_modules/half", "1")]);
        let job = JobId::new("a");
        let found = case.found();
        case.start(&job).note("o/r".to_owned(), "host".to_owned(), found.clone());
        for end in [Conclusion::Failure, Conclusion::TimedOut, Conclusion::Cancelled] {
            assert_eq!(case.keep(end, CacheLimits::default()), 0, "{end:?}");
        }
        assert!(case.stored(&found[0].key).is_none() && case.workspace().join("node_modules/half").exists());
    }

    #[test]
    fn another_version_of_the_language_is_another_folder() {
        let case = Case::new(&[("web/package-lock.json", "1"), (".nvmrc", "20")]);
        let before = case.found();
        case.write(".nvmrc", "22");
        let after = case.found();
        assert_ne!(before[0].key, after[0].key);
        case.write("web/.nvmrc", "22");
        assert_ne!(after[0].key, case.found()[0].key);
    }

    #[test]
    fn a_folder_that_is_not_complete_is_not_used() {
        let case = Case::new(&[("package-lock.json", "1")]);
        let job = JobId::new("a");
        let found = case.found();
        case.start(&job).note("o/r".to_owned(), "host".to_owned(), found.clone());
        case.write("node_modules/a", "1");
        case.write("node_modules/b", "2");
        assert_eq!(case.keep(Conclusion::Success, CacheLimits::default()), 1);
        let store = WarmStore::of(&RunsDir::at(case.home.path()), "o/r");
        let entry = case.stored(&found[0].key).expect("stored");
        fs::remove_file(store.open(&entry).join("a")).expect("removed");
        let start = case.start(&job);
        let workspace = Folder::open(&start.workspace).expect("opened");
        let error = start.bring(&workspace, &found[0], &store, &entry, &Abort::default()).expect_err("half of it");
        assert_eq!(error.to_string(), "it is not complete");
        assert!(!case.workspace().join("node_modules").exists());
        assert_eq!(fs::read_dir(case.run.work()).expect("there").count(), 1);
    }
}
