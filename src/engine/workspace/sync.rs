//! Brings later changes of the user's files into the copy that a job has checked out.
//!
//! A checkout notes when it copied the files. A file has changed since if its ctime is later: no program can set that time.
//! So a checkout costs nothing more, and a job that keeps or sets the times of its files does not matter.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::files::{Folder, Links, open_own, read_own};
use crate::repo::git;
use crate::repo::git::GitError;
use crate::store::atomic;

use super::checkout::named;

/// Maximum size in bytes of the note about the checkouts of a job.
const MAX_NOTE: u64 = 64 * 1024 * 1024;

/// How far the times of files may be behind the clock: the kernel sets them from its last tick.
const TICK: Duration = Duration::from_millis(20);

/// Where the files of a checkout come from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::engine) enum Source {
    /// The working tree of the user.
    WorkingTree,
    /// A part of it.
    Sparse,
    /// A commit: the ref that the step requested.
    Commit(String),
}

/// A checkout of the run's repository by a job. Times are in nanoseconds since 1970.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::engine) struct Checkout {
    /// The workspace of the job, on this machine. No process of the job can replace it.
    workspace: PathBuf,
    /// The folder that was filled, relative to the workspace.
    folder: PathBuf,
    /// Where the files come from.
    pub(in crate::engine) source: Source,
    /// Whether the job works on a copy of the folder on another machine.
    pub(in crate::engine) elsewhere: bool,
    /// Whether every user of a container may change the files.
    pub(in crate::engine) open_to_all: bool,
    /// When it began to read the user's files.
    pub(in crate::engine) since: i64,
    /// When it had written the last copy.
    #[serde(default)]
    until: i64,
    /// Files that were brought later: the ctime of the user's file, and of the copy.
    #[serde(default)]
    brought: BTreeMap<String, (i64, i64)>,
}

/// What a sync did. Paths are relative to the repository.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Changes {
    /// Files that the copy did not have.
    pub new: Vec<PathBuf>,
    /// Files that replaced another content.
    pub changed: Vec<PathBuf>,
    /// Files that were removed from the copy.
    pub deleted: Vec<PathBuf>,
    /// Files that differ, but that the job changed as well: they were left as they are.
    pub kept: Vec<PathBuf>,
}

impl fmt::Display for Changes {
    /// Writes one line that names the files.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { new, changed, deleted, kept } = self;
        let parts =
            [(new, "new"), (changed, "changed"), (deleted, "deleted"), (kept, "kept, as the job changed them too")];
        let parts = parts
            .into_iter()
            .filter(|(paths, _)| !paths.is_empty())
            .map(|(paths, word)| format!("{word}: {}", named(paths.iter().map(PathBuf::as_path))));
        let parts = parts.collect::<Vec<_>>().join("; ");
        to.write_str(if parts.is_empty() { "the workspace has all your changes" } else { &parts })
    }
}

/// Why the files of a job cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The job has no copy of the repository.
    #[error("the job has not checked out this repository")]
    NotCheckedOut,
    /// The job works on another machine.
    #[error("the files of the job are on the machine of its Docker engine: change them with `cuelight shell`")]
    Elsewhere,
    /// The job works on the files of a commit.
    #[error("the job has checked out {0}, not the working tree: its files are those of a commit")]
    OfCommit(String),
    /// Git cannot list the files.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A file cannot be brought.
    #[error("cannot bring {}: {source}", .path.display())]
    File {
        /// The file, relative to the repository.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The note about the checkouts cannot be read or written.
    #[error("cannot use the note about the job's checkouts, {}: {source}", .path.display())]
    Note {
        /// The note.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
}

impl Checkout {
    /// Returns a checkout of the working tree that starts now.
    pub(in crate::engine) fn begin(elsewhere: bool, open_to_all: bool) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(TICK);
        let since = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        let [workspace, folder] = [PathBuf::new(), PathBuf::new()];
        let (source, brought) = (Source::WorkingTree, BTreeMap::new());
        Self { workspace, folder, source, elsewhere, open_to_all, since, until: 0, brought }
    }

    /// Notes that the files of a folder in a workspace have been copied, in place of an earlier checkout into it.
    ///
    /// # Errors
    /// The note cannot be written, or the folder is not in the workspace.
    pub(in crate::engine) fn end(
        mut self,
        workspace: &Path,
        folder: &Path,
        source: Source,
        note: &Path,
    ) -> Result<(), SyncError> {
        let outside = |_| SyncError::File { path: folder.to_owned(), source: io::ErrorKind::InvalidInput.into() };
        let folder = folder.strip_prefix(workspace).map_err(outside)?.to_owned();
        let mut all = read(note)?;
        all.retain(|other| other.folder != folder);
        // The time of a file that is written after the copies, by the clock that gave the copies their times.
        write(note, &all)?;
        self.until = ctime(&fs::metadata(note).map_err(fault(note))?);
        (self.workspace, self.folder, self.source) = (workspace.to_owned(), folder, source);
        all.push(self);
        write(note, &all)
    }
}

/// Brings the changes of a repository's files into the checkouts of a job that `note` lists. Files that the job changed as
/// well are only overwritten with `force`.
///
/// # Errors
/// The job has no copy of the working tree on this machine, or a file cannot be read or written. Files before it have been
/// brought then, and are noted.
pub fn sync(note: &Path, repository: &Path, force: bool) -> Result<Changes, SyncError> {
    let mut all = read(note)?;
    let mut error = SyncError::NotCheckedOut;
    let mut changes = None;
    let mut done = Ok(());
    for checkout in &mut all {
        match &checkout.source {
            _ if checkout.elsewhere => error = SyncError::Elsewhere,
            Source::Commit(wanted) => error = SyncError::OfCommit(wanted.clone()),
            Source::WorkingTree | Source::Sparse => {
                let (changes_so_far, absent) = (changes.take().unwrap_or_default(), HashSet::new());
                let mut sync = Sync { repository, checkout, force, changes: changes_so_far, absent };
                done = sync.run();
                changes = Some(sync.changes);
                if done.is_err() {
                    break;
                }
            }
        }
    }
    write(note, &all)?;
    done.and(changes.ok_or(error))
}

fn fault(path: &Path) -> impl Fn(io::Error) -> SyncError {
    let path = path.to_owned();
    move |source| SyncError::Note { path: path.clone(), source }
}

fn read(note: &Path) -> Result<Vec<Checkout>, SyncError> {
    let bytes = match read_own(note, MAX_NOTE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        bytes => bytes.map_err(fault(note))?,
    };
    serde_json::from_slice(&bytes).map_err(io::Error::from).map_err(fault(note))
}

fn write(note: &Path, all: &[Checkout]) -> Result<(), SyncError> {
    let bytes = serde_json::to_vec(all).map_err(io::Error::from).map_err(fault(note))?;
    fs::create_dir_all(note.parent().unwrap_or(note)).map_err(fault(note))?;
    atomic::write_unsynced(note, &bytes).map_err(fault(note))
}

fn ctime(data: &Metadata) -> i64 {
    data.ctime().saturating_mul(1_000_000_000).saturating_add(data.ctime_nsec())
}

/// Returns the metadata of a path, without following a link at its end. `None` if it does not exist.
fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Ok(data) => Ok(Some(data)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A sync of one checkout. Processes of the job may put a link in the place of anything in the copy: nothing is read or
/// written through its path.
struct Sync<'s> {
    repository: &'s Path,
    checkout: &'s mut Checkout,
    force: bool,
    changes: Changes,
    /// Folders of the user's files that the copy did not have when the sync began.
    absent: HashSet<PathBuf>,
}

impl Sync<'_> {
    fn run(&mut self) -> Result<(), SyncError> {
        let folder = &self.checkout.folder;
        let below = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let to = Folder::open(&self.checkout.workspace).and_then(|workspace| workspace.folder(below));
        let to = to.map_err(|source| SyncError::File { path: folder.clone(), source })?;
        let listed = git::files(self.repository, None)?;
        let known: HashSet<PathBuf> = listed.iter().cloned().collect();
        let is_absent = |folder: &&Path| {
            let found = to.folder(folder);
            !folder.as_os_str().is_empty() && found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let folders: HashSet<&Path> = listed.iter().filter_map(|path| path.parent()).collect();
        self.absent = folders.into_iter().filter(is_absent).map(Path::to_owned).collect();
        let there = self.files_of_copy(&to.path(), &known);
        for path in listed.iter().chain(&there) {
            self.bring(&to, path).map_err(|source| SyncError::File { path: path.clone(), source })?;
        }
        Ok(())
    }

    /// Returns the files of the copy that the checkout or a sync put there and that git does not list: those that are
    /// ignored by now or deleted, and the files of submodules.
    fn files_of_copy(&self, root: &Path, listed: &HashSet<PathBuf>) -> Vec<PathBuf> {
        let is_git = |name: &std::ffi::OsStr| name.eq_ignore_ascii_case(".git");
        let entries =
            walkdir::WalkDir::new(root).min_depth(1).into_iter().filter_entry(|entry| !is_git(entry.file_name()));
        let mut files = Vec::new();
        // Folders that the job made unreadable are its own.
        for entry in entries.flatten().filter(|entry| !entry.file_type().is_dir()) {
            let Ok(path) = entry.path().strip_prefix(root).map(Path::to_owned) else { continue };
            let Ok(data) = entry.metadata() else { continue };
            if !listed.contains(&path) && !self.is_of_job(&path, &data) {
                files.push(path);
            }
        }
        files
    }

    /// Whether the job made or changed a file of the copy, according to its metadata.
    fn is_of_job(&self, path: &Path, copy: &Metadata) -> bool {
        let brought = path.to_str().and_then(|path| self.checkout.brought.get(path));
        ctime(copy) > self.checkout.until && brought.is_none_or(|(_, written)| *written != ctime(copy))
    }

    /// Brings one file if it has changed.
    fn bring(&mut self, to: &Folder, path: &Path) -> io::Result<()> {
        let from = self.repository.join(path);
        // As in `git status`, files below a link do not exist.
        let is_linked =
            path.ancestors().skip(1).any(|part| self.repository.join(part).is_symlink() && part != Path::new(""));
        let user = if is_linked { None } else { look(&from)? };
        let (above, name) = path.parent().zip(path.file_name()).ok_or(io::ErrorKind::InvalidInput)?;
        let name = Path::new(name);
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        let parent = match to.folder(above) {
            Ok(parent) => Some(parent),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // The job put something else in the place of the folder.
            Err(_) if user.is_some() && !self.force => {
                self.keep(path, user.as_ref());
                return Ok(());
            }
            Err(_) => None,
        };
        let copy = parent.as_ref().map(|parent| look(&parent.path().join(name))).transpose()?.flatten();
        let Some(user) = user else {
            let (Some(parent), Some(copy)) = (parent, copy.filter(|copy| !copy.is_dir())) else { return Ok(()) };
            if self.is_of_job(path, &copy) && !self.force {
                self.changes.kept.push(path.to_owned());
            } else {
                parent.remove(name)?;
                self.changes.deleted.push(path.to_owned());
            }
            return Ok(());
        };
        let brought = path.to_str().and_then(|path| self.checkout.brought.get(path));
        // A file keeps its ctime when a folder above it is renamed.
        let is_old = || ctime(&user) < self.checkout.since && !self.is_in_new_folder(path);
        let is_unchanged = brought.map_or_else(is_old, |(brought, _)| *brought == ctime(&user));
        let is_sparse = self.checkout.source == Source::Sparse && copy.is_none();
        if is_unchanged || is_sparse || !(user.is_file() || user.is_symlink()) {
            return Ok(());
        }
        if let (Some(parent), Some(copy)) = (&parent, &copy) {
            if is_same(&from, &user, parent, name, copy) {
                return Ok(());
            }
            if self.is_of_job(path, copy) && !self.force {
                self.keep(path, Some(&user));
                return Ok(());
            }
        }
        let written = self.copy(&from, &user, &self.make(to, above)?, name)?;
        if let Some(path) = path.to_str() {
            self.checkout.brought.insert(path.to_owned(), (ctime(&user), written));
        }
        let list = if copy.is_some() { &mut self.changes.changed } else { &mut self.changes.new };
        list.push(path.to_owned());
        Ok(())
    }

    /// Whether the copy lacks the folder of a file because the user has made or renamed a folder since the checkout. If
    /// the user has not, the job removed the folder.
    fn is_in_new_folder(&self, path: &Path) -> bool {
        if !path.parent().is_some_and(|folder| self.absent.contains(folder)) {
            return false;
        }
        let mut above = path.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty());
        above.any(|part| {
            look(&self.repository.join(part)).ok().flatten().is_some_and(|it| ctime(&it) >= self.checkout.since)
        })
    }

    /// Names a file that the job changed, unless the user has not changed it since the checkout.
    fn keep(&mut self, path: &Path, user: Option<&Metadata>) {
        if user.is_none_or(|user| ctime(user) >= self.checkout.since) {
            self.changes.kept.push(path.to_owned());
        }
    }

    /// Copies a file or a link. Returns the ctime of the copy.
    fn copy(&self, from: &Path, user: &Metadata, to: &Folder, name: &Path) -> io::Result<i64> {
        to.remove_any(name)?;
        if user.is_symlink() {
            to.link(name, &fs::read_link(from)?)?;
            return Ok(look(&to.path().join(name))?.as_ref().map_or(0, ctime));
        }
        let mut from = open_own(from)?;
        let mut copy = to.create(name)?;
        io::copy(&mut from, &mut copy)?;
        let mode = from.metadata()?.permissions().mode() | if self.checkout.open_to_all { 0o666 } else { 0 };
        copy.set_permissions(Permissions::from_mode(mode & 0o777))?;
        Ok(ctime(&copy.metadata()?))
    }

    /// Opens a folder of the copy, which is made unless it exists. Whatever is in its place is removed.
    fn make(&self, to: &Folder, path: &Path) -> io::Result<Folder> {
        let mut made = to.folder(Path::new("."))?;
        for name in path.iter().map(Path::new).filter(|name| *name != Path::new(".")) {
            if let Ok(folder) = made.folder(name) {
                made = folder;
                continue;
            }
            made.remove_any(name)?;
            made = made.make_folders(name)?;
            if self.checkout.open_to_all {
                // Some file systems have no permission bits.
                let _ = made.set_own_mode(0o777);
            }
        }
        Ok(made)
    }
}

/// Whether a copy has the content of the user's file, and can be executed like it.
fn is_same(from: &Path, user: &Metadata, to: &Folder, name: &Path, copy: &Metadata) -> bool {
    if user.is_symlink() || copy.is_symlink() {
        let target = |path: &Path| fs::read_link(path).ok();
        return user.is_symlink() && copy.is_symlink() && target(from) == target(&to.path().join(name));
    }
    let looks_same = copy.is_file() && user.len() == copy.len() && (user.mode() ^ copy.mode()) & 0o111 == 0;
    let contents = || Some((open_own(from).ok()?, to.file(name, Links::Refuse).ok()?));
    looks_same && contents().is_some_and(|(one, other)| has_same_content(one, other).unwrap_or(false))
}

fn has_same_content(one: File, other: File) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    let (mut left, mut right) = ([0; 8192], [0; 8192]);
    loop {
        let count = one.read(&mut left)?;
        if count == 0 {
            return Ok(other.read(&mut right)? == 0);
        }
        if other.read_exact(&mut right[..count]).is_err() || left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::thread::sleep;

    use super::*;
    use crate::engine::workspace::checkout::{Request, check_out};
    use crate::repo::git::git;

    struct Case {
        home: tempfile::TempDir,
        from: PathBuf,
        to: PathBuf,
    }

    impl Case {
        /// Checks out a repository with these files into the workspace of a job.
        fn new(files: &[&str]) -> Self {
            let home = tempfile::tempdir().expect("a folder");
            let (from, to) = (home.path().join("from"), home.path().join("to"));
            fs::create_dir(&from).expect("made");
            git(&from, ["init", "-q", "-b", "main"]).expect("git init");
            let case = Self { home, from, to };
            for name in files {
                case.user(name, "1");
            }
            let tracked = files.iter().copied().filter(|name| !["gone", "sub/c"].contains(name));
            git(&case.from, ["add", "--"].into_iter().chain(tracked)).expect("git add");
            case.check_out(Source::WorkingTree);
            case
        }

        fn check_out(&self, source: Source) {
            tick();
            let begun = Checkout::begin(false, false);
            check_out(&self.from, &self.to, &Request::default()).expect("checked out");
            begun.end(self.home.path(), &self.to, source, &self.note()).expect("noted");
            tick();
        }

        fn note(&self) -> PathBuf {
            self.home.path().join("state/a.json")
        }

        fn user(&self, name: &str, text: &str) {
            put(&self.from.join(name), text);
        }

        fn job(&self, name: &str, text: &str) {
            put(&self.to.join(name), text);
        }

        fn copy(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.to.join(name)).ok()
        }

        /// Returns the new, changed, deleted and kept files of a sync.
        fn sync(&self, force: bool) -> [String; 4] {
            let Changes { new, changed, deleted, kept } =
                sync(&self.note(), &self.from, force).expect("brought up to date");
            tick();
            [new, changed, deleted, kept].map(|mut paths| {
                paths.sort();
                paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
            })
        }
    }

    /// Waits until the clock of the file system has moved on.
    fn tick() {
        sleep(2 * TICK);
    }

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn done(new: &str, changed: &str, deleted: &str, kept: &str) -> [String; 4] {
        [new, changed, deleted, kept].map(str::to_owned)
    }

    #[test]
    fn only_what_the_user_changed_is_brought() {
        let case = Case::new(&["a", "b", "sub/c", "gone", "sub/gone", "run.sh", ".gitignore"]);
        assert_eq!(case.sync(false), done("", "", "", ""));
        case.job("b", "job");
        case.job("made/by/job", "job");
        case.user("a", "2");
        case.user("deep/new/file", "2");
        fs::remove_file(case.from.join("gone")).expect("removed");
        fs::remove_file(case.from.join("sub/gone")).expect("removed");
        fs::set_permissions(case.from.join("run.sh"), Permissions::from_mode(0o755)).expect("set");
        symlink("a", case.from.join("link")).expect("linked");
        case.user(".gitignore", "ignored\nsub/c\n");
        case.user("ignored", "2");
        // It is ignored by now, but the copy has it.
        case.user("sub/c", "2");
        let expected = done("deep/new/file link", ".gitignore a run.sh sub/c", "gone sub/gone", "");
        assert_eq!(case.sync(false), expected);
        let copies = ["a", "b", "sub/c", "deep/new/file", "gone", "ignored", "made/by/job"].map(|name| case.copy(name));
        let copies = copies.each_ref().map(|text| text.as_deref().unwrap_or("-"));
        assert_eq!(copies, ["2", "job", "2", "2", "-", "-", "job"]);
        assert_eq!(fs::read_link(case.to.join("link")).expect("a link"), Path::new("a"));
        assert_eq!(fs::metadata(case.to.join("run.sh")).expect("there").mode() & 0o111, 0o111);
        assert_eq!(case.sync(false), done("", "", "", ""), "nothing has changed since");
        fs::remove_file(case.from.join("deep/new/file")).expect("removed");
        case.user("a", "3");
        assert_eq!(case.sync(false), done("", "a", "deep/new/file", ""), "what was brought is not of the job");
    }

    #[test]
    fn what_the_job_changed_is_named_and_overwritten_only_by_force() {
        let case = Case::new(&["a", "b", "c", "d/e", "same"]);
        for name in ["a", "b", "c"] {
            case.job(name, "job");
        }
        case.job("same", "2");
        fs::remove_dir_all(case.to.join("d")).expect("removed");
        put(&case.home.path().join("elsewhere/e"), "precious");
        symlink(case.home.path().join("elsewhere"), case.to.join("d")).expect("linked");
        for name in ["a", "d/e", "same"] {
            case.user(name, "2");
        }
        fs::remove_file(case.from.join("b")).expect("removed");
        // The job changed `c` alone, and made the change of `same` itself.
        assert_eq!(case.sync(false), done("", "", "", "a b d/e"));
        assert_eq!((case.copy("a").as_deref(), case.copy("b").as_deref()), (Some("job"), Some("job")));
        assert_eq!(case.sync(true), done("d/e", "a", "b", ""));
        assert_eq!((case.copy("a").as_deref(), case.copy("c").as_deref()), (Some("2"), Some("job")));
        assert_eq!(case.copy("d/e").as_deref(), Some("2"));
        assert_eq!(fs::read_to_string(case.home.path().join("elsewhere/e")).expect("there"), "precious");
        // The job changes what was brought, and the user does not.
        case.job("a", "again");
        assert_eq!(case.sync(false), done("", "", "", ""));
        case.user("a", "3");
        assert_eq!(case.sync(false), done("", "", "", "a"));
    }

    #[test]
    fn a_link_in_place_of_the_checkout_leads_nowhere() {
        let case = Case::new(&["a", "gone"]);
        put(&case.home.path().join("elsewhere/precious"), "1");
        fs::rename(&case.to, case.home.path().join("moved")).expect("moved");
        symlink(case.home.path().join("elsewhere"), &case.to).expect("linked");
        case.user("a", "2");
        fs::remove_file(case.from.join("gone")).expect("removed");
        sync(&case.note(), &case.from, true).expect_err("the folder is a link");
        let names = fs::read_dir(case.home.path().join("elsewhere")).expect("a folder").flatten();
        assert_eq!(names.map(|entry| entry.file_name()).collect::<Vec<_>>(), ["precious"]);
    }

    #[test]
    fn the_files_of_a_folder_that_the_user_renamed_are_brought() {
        let case = Case::new(&["src/a/x", "src/a/deep/y", "src/z"]);
        fs::rename(case.from.join("src/a"), case.from.join("src/b")).expect("renamed");
        assert_eq!(case.sync(false), done("src/b/deep/y src/b/x", "", "src/a/deep/y src/a/x", ""));
        assert_eq!(case.copy("src/b/deep/y").as_deref(), Some("1"));
        assert_eq!(case.sync(false), done("", "", "", ""));
        // What the job deleted stays so.
        fs::remove_file(case.to.join("src/z")).expect("removed");
        assert_eq!(case.sync(false), done("", "", "", ""));
    }

    #[test]
    fn a_copy_of_a_commit_or_on_another_machine_is_refused() {
        let case = Case::new(&["a"]);
        case.check_out(Source::Commit("v1".to_owned()));
        let refusal = || sync(&case.note(), &case.from, true).expect_err("refused").to_string();
        assert!(refusal().contains("has checked out v1"), "{}", refusal());
        let begun = Checkout::begin(true, true);
        begun.end(case.home.path(), &case.to, Source::WorkingTree, &case.note()).expect("noted");
        assert!(refusal().contains("Docker engine"), "{}", refusal());
        fs::remove_file(case.note()).expect("removed");
        assert_eq!(refusal(), "the job has not checked out this repository");
    }

    #[test]
    fn a_part_of_the_files_stays_a_part() {
        let case = Case::new(&["a", "b"]);
        fs::remove_file(case.to.join("b")).expect("removed");
        case.check_out(Source::Sparse);
        fs::remove_file(case.to.join("b")).expect("removed");
        for name in ["a", "b", "new"] {
            case.user(name, "2");
        }
        assert_eq!(case.sync(false), done("", "a", "", ""));
    }
}
