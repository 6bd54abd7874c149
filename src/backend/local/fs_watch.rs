//! Watches folders: the state folder, where runs appear and end; the ledgers of environments; and a repository, where
//! its settings and other files are written.
//!
//! All watches use kernel notifications, so nothing is polled.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::mem::take;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, Event, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use rustix::io::Errno;
use tokio::sync::Notify;

use crate::config::OF_REPOSITORY;
use crate::repo::git::{GitError, git};
use crate::repo::workflows::FOLDER;
use crate::store::folder::make_private;

/// Maximum number of paths in one call of git.
const MAX_ARGUMENTS: usize = 1000;

/// Why files cannot be watched.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    /// Git cannot list the files of the repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The state folder cannot be created, or there is no folder of workflows.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The system does not support watching, or too many folders are watched.
    #[error("{}", explained(.0))]
    System(#[from] notify::Error),
}

/// Returns the message of an error. If a system limit is reached, the message names the limit: the system's own message
/// is misleading.
fn explained(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the system watches no more folders: raise `fs.inotify.max_user_watches` with sysctl".to_owned()
        }
        notify::ErrorKind::Io(source) if source.raw_os_error() == Some(Errno::MFILE.raw_os_error()) => {
            "no more programs of this user can watch folders: raise `fs.inotify.max_user_instances` with sysctl"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

/// A watch on a few folders, not including their subfolders. Dropping it ends the watch.
pub(super) struct FolderWatch {
    _watcher: RecommendedWatcher,
    changed: Arc<Notify>,
}

impl FolderWatch {
    /// Watches for runs that appear, start an attempt, or end. `state` is created if it is missing.
    ///
    /// # Errors
    /// The folder cannot be created, or the system cannot watch it.
    pub(super) fn of_state(state: &Path) -> Result<Self, WatchError> {
        make_private(&state.join("runs"))?;
        Self::watch(&[&state.join("runs"), state], |_| true)
    }

    /// Watches for workflow files written in the repository that contains `folder`.
    ///
    /// # Errors
    /// The folder does not exist, or the system cannot watch it.
    pub(super) fn of_workflows(folder: &Path) -> Result<Self, WatchError> {
        let folders = folder.ancestors().map(|folder| folder.join(FOLDER));
        let found = folders.into_iter().find(|folder| folder.is_dir());
        Self::watch(&[&found.ok_or(io::ErrorKind::NotFound).map_err(io::Error::from)?], |_| true)
    }

    /// Watches for entries in the ledgers of environments. `folder` is created if it is missing.
    ///
    /// # Errors
    /// The folder cannot be created, or the system cannot watch it.
    pub(super) fn of_ledgers(folder: &Path) -> Result<Self, WatchError> {
        make_private(folder)?;
        Self::watch(&[folder], |_| true)
    }

    /// Watches the settings in the root of a repository, even if there are none yet.
    ///
    /// # Errors
    /// The system cannot watch the folder.
    pub(super) fn of_settings(root: &Path) -> Result<Self, WatchError> {
        Self::watch(&[root], |path| path.file_name().is_some_and(|name| name == OF_REPOSITORY))
    }

    /// Watches folders for changes of the paths for which `counts` returns true.
    fn watch(folders: &[&Path], counts: fn(&Path) -> bool) -> Result<Self, WatchError> {
        let changed = Arc::new(Notify::new());
        let notifier = Arc::clone(&changed);
        let on_event = move |event: notify::Result<Event>| {
            let is_change =
                |event: &Event| is_write(event) && (event.need_rescan() || event.paths.iter().any(|path| counts(path)));
            if event.as_ref().is_ok_and(is_change) {
                notifier.notify_one();
            }
        };
        let mut watcher = notify::recommended_watcher(on_event)?;
        folders.iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))?;
        Ok(Self { _watcher: watcher, changed })
    }

    /// Waits for a change. Changes since the last call count as one.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Whether an event is a write, a creation, a removal or a renaming. Reading is not a change.
fn is_write(event: &Event) -> bool {
    match event.kind {
        EventKind::Create(_) | EventKind::Remove(_) => true,
        EventKind::Modify(what) => !matches!(what, ModifyKind::Metadata(_)),
        EventKind::Access(what) => what == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Other => event.need_rescan(),
    }
}

/// A watch on the files of a repository. Folders that git ignores are not watched: they may be large and change all the
/// time.
pub(super) struct RepositoryWatch {
    root: PathBuf,
    watcher: RecommendedWatcher,
    seen: Arc<Seen>,
}

/// Changes that were seen and not collected yet. Their size is bounded by the number of files, not by the number of
/// events.
#[derive(Default)]
struct Seen {
    changes: Mutex<Changes>,
    some: Notify,
}

#[derive(Default)]
struct Changes {
    paths: HashSet<PathBuf>,
    /// Whether the system dropped events.
    missed: bool,
}

impl Seen {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        // The set stays consistent even if another thread panicked.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RepositoryWatch {
    /// Watches every folder with a file that git does not ignore, and the folders above it.
    ///
    /// # Errors
    /// Git cannot list the files, or the system cannot watch that many folders.
    pub(super) fn watch(root: &Path) -> Result<Self, WatchError> {
        let seen = Arc::new(Seen::default());
        let sink = Arc::clone(&seen);
        let on_event = move |event: notify::Result<Event>| {
            let Some(event) = event.ok().filter(is_write) else { return };
            let mut changes = sink.changes();
            changes.missed |= event.need_rescan();
            changes.paths.extend(event.paths);
            drop(changes);
            sink.some.notify_one();
        };
        let watcher = notify::recommended_watcher(on_event)?;
        let mut files = Self { root: root.to_owned(), watcher, seen };
        let names = files.list()?;
        files.add_folders_of(&names)?;
        Ok(files)
    }

    /// Returns every file that git does not ignore.
    pub(super) fn list(&self) -> Result<Vec<String>, GitError> {
        let listed = git(&self.root, ["ls-files", "--cached", "--others", "--exclude-standard", "-z"])?;
        Ok(listed.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    /// Watches the folders of these files.
    fn add_folders_of(&mut self, names: &[String]) -> notify::Result<()> {
        let mut folders: HashSet<&Path> = names.iter().flat_map(|name| Path::new(name).ancestors().skip(1)).collect();
        folders.insert(Path::new(""));
        folders.into_iter().try_for_each(|folder| self.add(&self.root.join(folder)))
    }

    fn add(&mut self, folder: &Path) -> notify::Result<()> {
        match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
            // The folder was removed in the meantime.
            Err(_) if !folder.is_dir() => Ok(()),
            watched => watched,
        }
    }

    /// Waits until files are written or removed, and returns their paths relative to the root, without git's files and
    /// temporary files of editors. Some of them may be ignored files. If the system dropped events, returns every file.
    pub(super) async fn written(&mut self) -> Vec<String> {
        loop {
            self.seen.some.notified().await;
            let Changes { mut paths, missed } = take(&mut *self.seen.changes());
            let folders: Vec<PathBuf> = paths.iter().filter(|path| is_folder(path)).cloned().collect();
            paths.extend(self.enter(folders));
            let mut written: BTreeSet<String> = paths.iter().filter_map(|path| self.name(path)).collect();
            if missed {
                // Files that cannot be listed and folders that cannot be watched now are left out.
                let all = self.list().unwrap_or_default();
                let _ = self.add_folders_of(&all);
                written.extend(all);
            }
            if !written.is_empty() {
                return written.into_iter().collect();
            }
        }
    }

    /// Watches new folders including all their subfolders, and returns the files that they already contain.
    fn enter(&mut self, folders: Vec<PathBuf>) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut todo = folders;
        // Visits the folders level by level, with one git call per level.
        while !todo.is_empty() {
            let inside = |path: &PathBuf| path.strip_prefix(&self.root).ok()?.to_str().map(str::to_owned);
            let names: Vec<String> = todo.iter().filter_map(inside).filter(|name| !is_git(name)).collect();
            let ignored = ignored(&self.root, &names);
            todo = Vec::new();
            for name in names.iter().filter(|name| !ignored.contains(*name)) {
                let folder = self.root.join(name);
                // A folder beyond the system's limit is not watched, but its current files are still returned.
                let _ = self.add(&folder);
                for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                    let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                    if is_folder { todo.push(entry.path()) } else { found.push(entry.path()) }
                }
            }
        }
        found
    }

    /// Returns the path of a file from the root; `None` for a folder, for git's files and for temporary files of
    /// editors.
    fn name(&self, path: &Path) -> Option<String> {
        let name = path.strip_prefix(&self.root).ok()?.to_str()?;
        let last = name.rsplit('/').next().unwrap_or(name);
        (!name.is_empty() && !is_git(name) && !is_temporary(last) && !path.is_dir()).then(|| name.to_owned())
    }
}

/// Whether a path is a folder and not a link to one.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.is_dir())
}

/// Whether a file name is one that an editor such as vim or emacs gives to temporary files.
fn is_temporary(name: &str) -> bool {
    let endings = ["~", ".swp", ".swx", ".tmp"];
    let emacs = name.starts_with(".#") || (name.starts_with('#') && name.ends_with('#'));
    emacs || name == "4913" || endings.iter().any(|ending| name.ends_with(ending))
}

fn is_git(name: &str) -> bool {
    name == ".git" || name.starts_with(".git/")
}

/// Returns the ignored folders. A folder for which git fails, such as one inside a submodule, counts as ignored.
fn ignored(root: &Path, names: &[String]) -> HashSet<String> {
    let check = ["-c", "core.quotePath=off", "check-ignore", "--"];
    let mut found = HashSet::new();
    for names in names.chunks(MAX_ARGUMENTS) {
        match git(root, check.into_iter().chain(names.iter().map(String::as_str))) {
            Ok(listed) => found.extend(listed.lines().map(str::to_owned)),
            // If none of them is ignored, git fails without a message.
            Err(GitError::Failed { message, .. }) if message.is_empty() => {}
            // One name can make git fail for all names, so each name is checked alone.
            Err(_) if names.len() > 1 => {
                found.extend(names.iter().flat_map(|name| ignored(root, std::slice::from_ref(name))));
            }
            Err(_) => found.extend(names.iter().cloned()),
        }
    }
    found
}

/// Returns the named files that git tracks or that could be added to git. Names are paths relative to the root.
///
/// # Errors
/// Git cannot list the files.
pub(super) fn belonging(root: &Path, names: &[String]) -> Result<Vec<String>, GitError> {
    let mut known = Vec::new();
    for names in names.chunks(MAX_ARGUMENTS) {
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
    async fn written_files_are_reported_and_ignored_ones_do_not_belong() {
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
        let mut seen = HashSet::new();
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
        // A link that leads out of the repository counts as a file, and nothing behind it is watched.
        std::os::unix::fs::symlink("/", root.join("out-there")).expect("linked");
        while !seen.contains("last") || !seen.contains("src/new/deep/b.rs") {
            let written = tokio::time::timeout(std::time::Duration::from_secs(20), files.written()).await;
            seen.extend(written.expect("written files are seen"));
        }
        let mut seen: Vec<String> = seen.into_iter().collect();
        seen.sort();
        seen.retain(|name| name != "out-there");
        assert_eq!(seen, ["CVE-4913", "last", "src/a.rs", "src/new/deep/b.rs", "x.log"]);
        let mut known = belonging(&root, &seen).expect("git");
        known.sort();
        assert_eq!(known, ["CVE-4913", "last", "src/a.rs", "src/new/deep/b.rs"]);
    }

    #[test]
    fn limits_of_the_system_are_named() {
        let text = |error: notify::Error| WatchError::from(error).to_string();
        let watches = notify::Error::new(notify::ErrorKind::MaxFilesWatch).add_path("/src".into());
        assert!(text(watches).ends_with("raise `fs.inotify.max_user_watches` with sysctl"));
        let instances = notify::Error::io(Errno::MFILE.into());
        assert!(text(instances).ends_with("raise `fs.inotify.max_user_instances` with sysctl"));
        assert_eq!(text(notify::Error::io(Errno::ACCESS.into())), "Permission denied (os error 13)");
    }

    #[tokio::test]
    async fn the_state_folder_is_made_and_runs_in_it_are_noticed() {
        let home = tempfile::tempdir().expect("a folder");
        let state = home.path().join("state");
        let watch = FolderWatch::of_state(&state).expect("watched");
        fs::create_dir(state.join("runs/20260101-000000-abcd")).expect("made");
        watch.changed().await;
        let file = home.path().join("file");
        fs::write(&file, "").expect("written");
        assert!(matches!(FolderWatch::of_state(&file), Err(WatchError::Io(_))));
    }
}
