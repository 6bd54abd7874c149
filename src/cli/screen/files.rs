//! Watches on folders: of the state, where runs appear and end, and of a repository, where files are written.
//!
//! Both wait in the kernel: nothing wakes up while nothing happens.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::engine::git::{GitError, git};

/// Endings of the files that editors keep beside the one that is written.
const TEMPORARY: [&str; 5] = ["~", ".swp", ".swx", ".tmp", "4913"];

/// So many paths are given to git at a time.
const ARGUMENTS: usize = 1000;

/// Tells when something appears or ends in the state folder, until it is dropped.
pub(super) struct State {
    /// Goes on as long as it lives; `None` where the system has no watch.
    _watcher: Option<RecommendedWatcher>,
    changed: mpsc::Receiver<()>,
}

impl State {
    pub(super) fn watch(state: &Path) -> Self {
        let (tell, changed) = mpsc::channel(1);
        let tells = move |event: notify::Result<notify::Event>| {
            let is_news = |event: &notify::Event| !matches!(event.kind, EventKind::Access(AccessKind::Open(_)));
            if event.as_ref().is_ok_and(is_news) {
                // One that was not taken yet stands for this one too.
                let _ = tell.try_send(());
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
    pub(super) async fn changed(&mut self) {
        if self.changed.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Tells which files of a repository are written, those that git ignores left out.
pub(super) struct Files {
    root: PathBuf,
    watcher: RecommendedWatcher,
    events: mpsc::UnboundedReceiver<notify::Event>,
}

impl Files {
    /// Watches every folder with a file that git does not ignore: what is ignored may be large, and written all the time.
    ///
    /// # Errors
    /// Git cannot list the files, or the system cannot watch that many folders.
    pub(super) fn watch(root: &Path) -> Result<Self, String> {
        let (tell, events) = mpsc::unbounded_channel();
        let tells = move |event: notify::Result<notify::Event>| {
            if let Ok(event) = event {
                // Whoever listened may be gone.
                let _ = tell.send(event);
            }
        };
        let watcher = notify::recommended_watcher(tells).map_err(|error| error.to_string())?;
        let mut files = Self { root: root.to_owned(), watcher, events };
        let listed = git(root, ["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
        let listed = listed.map_err(|error| error.to_string())?;
        let names = listed.split('\0').filter(|name| !name.is_empty());
        let mut folders: HashSet<&Path> = names.flat_map(|name| Path::new(name).ancestors().skip(1)).collect();
        folders.insert(Path::new(""));
        for folder in folders {
            files.add(&root.join(folder))?;
        }
        Ok(files)
    }

    fn add(&mut self, folder: &Path) -> Result<(), String> {
        match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
            // It was removed meanwhile.
            Err(_) if !folder.is_dir() => Ok(()),
            watched => watched.map_err(|error| error.to_string()),
        }
    }

    /// Waits for the next files that are written, by their paths from the root. They may be ones that git ignores.
    pub(super) async fn written(&mut self) -> Vec<String> {
        loop {
            let Some(event) = self.events.recv().await else { return std::future::pending().await };
            let is_written = match event.kind {
                EventKind::Create(_) | EventKind::Remove(_) => true,
                EventKind::Modify(what) => !matches!(what, ModifyKind::Metadata(_)),
                EventKind::Access(what) => what == AccessKind::Close(AccessMode::Write),
                EventKind::Any | EventKind::Other => false,
            };
            if !is_written {
                continue;
            }
            let mut paths: Vec<PathBuf> = event.paths;
            if matches!(
                event.kind,
                EventKind::Create(CreateKind::Folder | CreateKind::Any) | EventKind::Modify(ModifyKind::Name(_))
            ) {
                let folders: Vec<PathBuf> = paths.iter().filter(|path| path.is_dir()).cloned().collect();
                for folder in folders {
                    paths.extend(self.enter(&folder));
                }
            }
            let written: Vec<String> = paths.iter().filter_map(|path| self.name(path)).collect();
            if !written.is_empty() {
                return written;
            }
        }
    }

    /// Watches a folder that has appeared, and says which files are in it already.
    fn enter(&mut self, folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut todo = vec![folder.to_owned()];
        while let Some(folder) = todo.pop() {
            let inside = folder.strip_prefix(&self.root).ok().and_then(Path::to_str).map(str::to_owned);
            let Some(name) = inside.filter(|name| !is_git(name)) else { continue };
            if is_ignored(&self.root, &name) {
                continue;
            }
            // More folders than the system watches are not watched; what is in them now is still told.
            let _ = self.add(&folder);
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    todo.push(entry.path());
                } else {
                    found.push(entry.path());
                }
            }
        }
        found
    }

    /// The path of a file from the root; `None` of a folder, of git's own files and of what editors keep for themselves.
    fn name(&self, path: &Path) -> Option<String> {
        let name = path.strip_prefix(&self.root).ok()?.to_str()?;
        let last = name.rsplit('/').next().unwrap_or(name);
        let temporary = last.starts_with(".#") || TEMPORARY.iter().any(|ending| last.ends_with(ending));
        (!name.is_empty() && !is_git(name) && !temporary && !path.is_dir()).then(|| name.to_owned())
    }
}

fn is_git(name: &str) -> bool {
    name == ".git" || name.starts_with(".git/")
}

/// Whether git ignores a folder.
fn is_ignored(root: &Path, name: &str) -> bool {
    git(root, ["check-ignore", "--quiet", "--", name]).is_ok()
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
        let mut files = Files::watch(&root).expect("watched");
        let mut told = HashSet::new();
        for name in ["src/a.rs", "out/large", "src/new/deep/b.rs", "x.log", ".git/notes", "src/.a.rs.swp", "last"] {
            write(name);
        }
        while !told.contains("last") || !told.contains("src/new/deep/b.rs") {
            let written = tokio::time::timeout(std::time::Duration::from_secs(20), files.written()).await;
            told.extend(written.expect("what was written is told"));
        }
        let mut told: Vec<String> = told.into_iter().collect();
        told.sort();
        assert_eq!(told, ["last", "src/a.rs", "src/new/deep/b.rs", "x.log"]);
        let mut known = belonging(&root, &told).expect("git");
        known.sort();
        assert_eq!(known, ["last", "src/a.rs", "src/new/deep/b.rs"]);
    }
}
