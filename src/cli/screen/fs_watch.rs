//! Watches on folders: of the state, where runs appear and end, and of a repository, where files are written.
//!
//! Both wait in the kernel: nothing wakes up while nothing happens.

use std::collections::{BTreeSet, HashSet};
use std::mem::take;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, Event, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::repo::git::{GitError, git};

/// So many paths are given to git at a time.
const ARGUMENTS: usize = 1000;

/// Tells when something appears or ends in the state folder, until it is dropped.
pub(super) struct StateFolderWatch {
    /// Goes on as long as it lives; `None` where the system has no watch.
    _watcher: Option<RecommendedWatcher>,
    changed: Arc<Notify>,
}

impl StateFolderWatch {
    pub(super) fn watch(state: &Path) -> Self {
        let changed = Arc::new(Notify::new());
        let tell = Arc::clone(&changed);
        let tells = move |event: notify::Result<Event>| {
            if event.as_ref().is_ok_and(is_write) {
                tell.notify_one();
            }
        };
        let watched = || {
            // The folder may not be there before the first run.
            std::fs::create_dir_all(state.join("runs")).ok()?;
            let mut watcher = notify::recommended_watcher(tells).ok()?;
            watcher.watch(&state.join("runs"), RecursiveMode::NonRecursive).ok()?;
            watcher.watch(state, RecursiveMode::NonRecursive).ok()?;
            Some(watcher)
        };
        Self { _watcher: watched(), changed }
    }

    /// Waits for the next change. Never ends where the system has no watch.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Whether something was written, made, removed or renamed; reading is no change.
fn is_write(event: &Event) -> bool {
    match event.kind {
        EventKind::Create(_) | EventKind::Remove(_) => true,
        EventKind::Modify(what) => !matches!(what, ModifyKind::Metadata(_)),
        EventKind::Access(what) => what == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Other => event.need_rescan(),
    }
}

/// Tells which files of a repository are written. Folders that git ignores are not watched.
pub(super) struct RepositoryWatch {
    root: PathBuf,
    watcher: RecommendedWatcher,
    seen: Arc<Seen>,
}

/// What the watch saw and nobody asked for yet: of any number of events as much as there are files.
#[derive(Default)]
struct Seen {
    changes: Mutex<Changes>,
    some: Notify,
}

#[derive(Default)]
struct Changes {
    paths: HashSet<PathBuf>,
    /// The system saw more than it could tell.
    missed: bool,
}

impl Seen {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        // A set of paths is whole whenever nobody is in the middle of an insertion.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RepositoryWatch {
    /// Watches every folder with a file that git does not ignore: what is ignored may be large, and written all the time.
    ///
    /// # Errors
    /// Git cannot list the files, or the system cannot watch that many folders.
    pub(super) fn watch(root: &Path) -> Result<Self, String> {
        let seen = Arc::new(Seen::default());
        let tell = Arc::clone(&seen);
        let tells = move |event: notify::Result<Event>| {
            let Some(event) = event.ok().filter(is_write) else { return };
            let mut changes = tell.changes();
            changes.missed |= event.need_rescan();
            changes.paths.extend(event.paths);
            drop(changes);
            tell.some.notify_one();
        };
        let watcher = notify::recommended_watcher(tells).map_err(|error| error.to_string())?;
        let mut files = Self { root: root.to_owned(), watcher, seen };
        let names = files.list()?;
        files.add_folders_of(&names)?;
        Ok(files)
    }

    /// Every file that git does not ignore.
    fn list(&self) -> Result<Vec<String>, String> {
        let listed = git(&self.root, ["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
        let listed = listed.map_err(|error| error.to_string())?;
        Ok(listed.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    /// Watches the folders of these files.
    fn add_folders_of(&mut self, names: &[String]) -> Result<(), String> {
        let mut folders: HashSet<&Path> = names.iter().flat_map(|name| Path::new(name).ancestors().skip(1)).collect();
        folders.insert(Path::new(""));
        folders.into_iter().try_for_each(|folder| self.add(&self.root.join(folder)))
    }

    fn add(&mut self, folder: &Path) -> Result<(), String> {
        match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
            // It was removed meanwhile.
            Err(_) if !folder.is_dir() => Ok(()),
            watched => watched.map_err(|error| error.to_string()),
        }
    }

    /// Waits for the next files that are written, by their paths from the root. They may be ones that git ignores. Where the
    /// system could not tell all, it is every file.
    pub(super) async fn written(&mut self) -> Vec<String> {
        loop {
            self.seen.some.notified().await;
            let Changes { mut paths, missed } = take(&mut *self.seen.changes());
            let folders: Vec<PathBuf> = paths.iter().filter(|path| is_folder(path)).cloned().collect();
            paths.extend(self.enter(folders));
            let mut written: BTreeSet<String> = paths.iter().filter_map(|path| self.name(path)).collect();
            if missed {
                // What cannot be listed or watched now has changed all the same.
                let all = self.list().unwrap_or_default();
                let _ = self.add_folders_of(&all);
                written.extend(all);
            }
            if !written.is_empty() {
                return written.into_iter().collect();
            }
        }
    }

    /// Watches folders that have appeared, with all in them, and says which files are there already.
    fn enter(&mut self, folders: Vec<PathBuf>) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut todo = folders;
        // Level by level, so that git is asked once for each.
        while !todo.is_empty() {
            let inside = |path: &PathBuf| path.strip_prefix(&self.root).ok()?.to_str().map(str::to_owned);
            let names: Vec<String> = todo.iter().filter_map(inside).filter(|name| !is_git(name)).collect();
            let ignored = ignored(&self.root, &names);
            todo = Vec::new();
            for name in names.iter().filter(|name| !ignored.contains(*name)) {
                let folder = self.root.join(name);
                // More folders than the system watches are not watched; what is in them now is still told.
                let _ = self.add(&folder);
                for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                    let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                    if is_folder { todo.push(entry.path()) } else { found.push(entry.path()) }
                }
            }
        }
        found
    }

    /// The path of a file from the root; `None` of a folder, of git's own files and of what editors keep for themselves.
    fn name(&self, path: &Path) -> Option<String> {
        let name = path.strip_prefix(&self.root).ok()?.to_str()?;
        let last = name.rsplit('/').next().unwrap_or(name);
        (!name.is_empty() && !is_git(name) && !is_temporary(last) && !path.is_dir()).then(|| name.to_owned())
    }
}

/// Whether this is a folder itself, and not a link that leads to one somewhere.
fn is_folder(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| file.is_dir())
}

/// Whether a file's name is one that editors give to what they keep beside a file: vim, emacs, and many.
fn is_temporary(name: &str) -> bool {
    let endings = ["~", ".swp", ".swx", ".tmp"];
    let emacs = name.starts_with(".#") || (name.starts_with('#') && name.ends_with('#'));
    emacs || name == "4913" || endings.iter().any(|ending| name.ends_with(ending))
}

fn is_git(name: &str) -> bool {
    name == ".git" || name.starts_with(".git/")
}

/// Which of these folders git ignores. One that it cannot tell of, as inside a submodule, is as good as ignored.
fn ignored(root: &Path, names: &[String]) -> HashSet<String> {
    let check = ["-c", "core.quotePath=off", "check-ignore", "--"];
    let mut found = HashSet::new();
    for names in names.chunks(ARGUMENTS) {
        match git(root, check.into_iter().chain(names.iter().map(String::as_str))) {
            Ok(told) => found.extend(told.lines().map(str::to_owned)),
            // It fails without a word where it ignores none of them.
            Err(GitError::Failed { message, .. }) if message.is_empty() => {}
            // One that it cannot tell of says nothing of the others.
            Err(_) if names.len() > 1 => {
                found.extend(names.iter().flat_map(|name| ignored(root, std::slice::from_ref(name))));
            }
            Err(_) => found.extend(names.iter().cloned()),
        }
    }
    found
}

/// Those of the paths from the root that belong to the repository: git knows them, or would take them in.
///
/// # Errors
/// Git cannot say.
pub(super) fn belonging(root: &Path, names: &[String]) -> Result<Vec<String>, GitError> {
    let mut known = Vec::new();
    for names in names.chunks(ARGUMENTS) {
        let list = ["--literal-pathspecs", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--"];
        let listed = git(root, list.into_iter().chain(names.iter().map(String::as_str)))?;
        known.extend(listed.split('\0').filter(|name| !name.is_empty()).map(str::to_owned));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn written_files_are_told_and_ignored_ones_do_not_belong() {
        let home = tempfile::tempdir().expect("a folder");
        let root = home.path().canonicalize().expect("there");
        let write = |name: &str| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, "x").expect("written");
        };
        git(&root, ["init", "--quiet"]).expect("git");
        std::fs::write(root.join(".gitignore"), "out/\n*.log\n").expect("written");
        ["src/a.rs", "out/large", "README.md"].into_iter().for_each(write);
        let mut files = RepositoryWatch::watch(&root).expect("watched");
        let mut told = HashSet::new();
        for name in [
            "src/a.rs",
            "out/large",
            "src/new/deep/b.rs",
            "x.log",
            ".git/notes",
            "src/.a.rs.swp",
            "src/#a.rs#",
            "4913",
            "CVE-4913",
            "last",
        ] {
            write(name);
        }
        // A link that leads out is a file like any other, and nothing behind it is looked at.
        std::os::unix::fs::symlink("/", root.join("out-there")).expect("linked");
        while !told.contains("last") || !told.contains("src/new/deep/b.rs") {
            let written = tokio::time::timeout(std::time::Duration::from_secs(20), files.written()).await;
            told.extend(written.expect("what was written is told"));
        }
        let mut told: Vec<String> = told.into_iter().collect();
        told.sort();
        told.retain(|name| name != "out-there");
        assert_eq!(told, ["CVE-4913", "last", "src/a.rs", "src/new/deep/b.rs", "x.log"]);
        let mut known = belonging(&root, &told).expect("git");
        known.sort();
        assert_eq!(known, ["CVE-4913", "last", "src/a.rs", "src/new/deep/b.rs"]);
    }
}
