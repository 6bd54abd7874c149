//! `actions/checkout` of the run's repository: a private copy of the user's files, with a separate git folder.
//!
//! The copy has the files that a push of the working tree would contain: tracked files in their current state, and new
//! files that are not ignored. Its git folder has the repository's objects and copies its index, so `git log`, `git
//! describe` and `git status` work as in the repository. A job cannot change the user's repository through the copy,
//! not even with `git push`: the only remote of the copy is the repository's own `origin`.
//!
//! Nothing is fetched, except objects that a partial clone lacks. A step gets the whole history that the repository has
//! here, unless it requests a depth, and submodules in their current state here.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::thread;

use self::error::CheckoutError;
use self::files::{Copied, Target, clear, copy_files};
use self::git_folder::{Depth, Objects, Origin, Wanted};
use self::sparse::Sparse;
use crate::files::{Folder, Links};
use crate::repo::git;
use crate::repo::git::{Abort, Access, GitError, git_until};

pub(in crate::engine) mod error;
pub(super) mod files;
pub(in crate::engine) mod git_folder;
pub(crate) mod objects;
pub(in crate::engine) mod sparse;

#[cfg(test)]
mod attacks;

/// First line of a Git LFS pointer, which git stores in place of the actual file.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Maximum size in bytes of a Git LFS pointer.
const MAX_LFS_POINTER: u64 = 1024;

/// Maximum number of paths to name in a message.
const NAMED: usize = 5;

/// What a step requests to check out.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Request {
    /// Ref to check out; `None` for the working tree.
    pub(in crate::engine) wanted: Option<String>,
    /// Whether to keep files that earlier steps made in the folder.
    pub(in crate::engine) keep_files: bool,
    /// Part of the history to include; `None` for all of it.
    pub(in crate::engine) depth: Option<Depth>,
    /// Part of the files to check out; `None` for all of them.
    pub(in crate::engine) sparse: Option<Sparse>,
    /// Submodules that are filled.
    pub(in crate::engine) submodules: Submodules,
    /// Whether to warn about files whose content Git LFS has not fetched.
    pub(in crate::engine) lfs: bool,
    /// How the copy gets the repository's objects.
    pub(in crate::engine) objects: Objects,
    /// Folders of other repositories whose objects may be borrowed.
    pub(in crate::engine) git_objects: Vec<PathBuf>,
    /// Flag that interrupts the checkout.
    pub(in crate::engine) abort: Abort,
}

impl Request {
    /// Runs git with guarded access until the checkout is interrupted.
    fn git<A: AsRef<OsStr>>(&self, folder: &Path, args: impl IntoIterator<Item = A>) -> Result<String, GitError> {
        git_until(Some(&self.abort), folder, Access::Guarded, args)
    }

    /// Runs git in the copy, with the user's filters and fetches, until the checkout is interrupted.
    fn git_trusted<A: AsRef<OsStr>>(&self, copy: &Path, args: impl IntoIterator<Item = A>) -> Result<String, GitError> {
        git_until(Some(&self.abort), copy, Access::Trusted, args)
    }

    /// Returns an error once the checkout is interrupted.
    fn proceed(&self) -> Result<(), CheckoutError> {
        if self.abort.is_set() { Err(CheckoutError::Interrupted) } else { Ok(()) }
    }
}

/// Submodules that a checkout fills.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::engine) enum Submodules {
    #[default]
    None,
    /// Submodules of the repository.
    Direct,
    /// Submodules of the repository, and their submodules.
    Recursive,
}

/// Result of a checkout.
#[derive(Debug, Default)]
pub(in crate::engine) struct CheckedOut {
    /// Lines for the log.
    pub(in crate::engine) lines: Vec<String>,
    /// Requests of the step that could not be fulfilled.
    pub(in crate::engine) warnings: Vec<String>,
    /// Id of the commit; empty if the repository has no commits.
    pub(in crate::engine) commit: String,
    /// Files and links of working trees that were copied, relative to the folder.
    pub(in crate::engine) files: Vec<PathBuf>,
}

/// Fills a folder with the repository's files. Empties it first, unless the request keeps its files.
///
/// # Errors
/// The ref is unknown, git fails, a file cannot be copied or written, the repository has objects that it must not use,
/// or the checkout was interrupted.
pub(in crate::engine) fn check_out(
    repository: &Path,
    target: &Path,
    request: &Request,
) -> Result<CheckedOut, CheckoutError> {
    let unwritten = |source| CheckoutError::Write { path: target.to_owned(), source };
    request.proceed()?;
    let target = Target::open(target, request.keep_files).map_err(unwritten)?;
    // Each call mostly waits for git to start, so both run in parallel.
    let (origin, files) = thread::scope(|scope| {
        let wanted = request.wanted.is_some();
        let files =
            scope.spawn(move || if wanted { Ok(Vec::new()) } else { git::files(repository, Some(&request.abort)) });
        (Origin::of(repository, request), files.join().expect("listing does not panic"))
    });
    let (origin, files) = (origin?, files?);
    let wanted = request.wanted.as_deref().map(|name| resolve(repository, name, request)).transpose()?;
    origin.write(repository, &target, wanted.as_ref(), request)?;
    let mut done = CheckedOut {
        commit: wanted.as_ref().map(|wanted| &*wanted.commit).or(origin.commit()).unwrap_or_default().to_owned(),
        ..CheckedOut::default()
    };
    if let Some(wanted) = &wanted {
        origin.bring_objects(&target, request)?;
        put_commit(repository, target.path(), wanted, request)?;
        done.lines.push(format!("Checked out {} ({}).", wanted.name, wanted.commit));
    } else {
        origin.copy_index(&target, &request.abort)?;
        let bring = || origin.bring_objects(&target, request);
        let copied = if let Some(sparse) = &request.sparse {
            // Git reads objects to check out a commit.
            bring()?;
            sparse.set(target.path(), request)?;
            copy_files(repository, target.folder(), &sparse.choose(target.path(), files, request)?, request)?
        } else {
            thread::scope(|scope| {
                // Many objects take as long as many files, so both are copied in parallel.
                let brought = scope.spawn(bring);
                let copied = copy_files(repository, target.folder(), &files, request);
                brought.join().expect("linking does not panic").and(copied)
            })?
        };
        done.lines = described(repository, &copied, request);
        done.files = copied.files;
    }
    if request.depth.is_none() && origin.is_shallow() {
        done.lines
            .push(format!("{} is a shallow clone: only the commits that it has are copied.", repository.display()));
    }
    if request.submodules != Submodules::None {
        fill_submodules(repository, &target, request, &mut done)?;
    }
    if request.lfs {
        let pointers = lfs_pointers(&target, request)?;
        if !pointers.is_empty() {
            let (count, named) = (pointers.len(), named(pointers.iter().map(PathBuf::as_path)));
            done.warnings.push(format!(
                "`lfs: true`: the content of {count} of the files is not here, run `git lfs pull` in {}: {named}",
                repository.display()
            ));
        }
    }
    Ok(done)
}

/// Fills a folder of the workspace that processes of a container may change in the meantime. The copy is made in
/// `apart`, which they cannot see, and moved from there. Therefore no file is read or written through a link that these
/// processes put in place of a file or folder. Every user of the container may change the copy.
///
/// # Errors
/// The same as for [`check_out`], or the path of the folder contains a link.
pub(in crate::engine) fn check_out_apart(
    repository: &Path,
    workspace: &Path,
    target: &Path,
    apart: &Path,
    request: &Request,
) -> Result<CheckedOut, CheckoutError> {
    let made = check_out(repository, apart, &Request { keep_files: false, ..request.clone() });
    let moved = made.and_then(|done| {
        open_to_all(apart);
        request.proceed()?;
        let moved = || -> io::Result<()> {
            let root = Folder::open(workspace)?;
            let target = root.make_folders(target.strip_prefix(workspace).map_err(io::Error::other)?)?;
            target.open_to_all();
            clear(&target, request.keep_files)?;
            Folder::open(apart)?.move_into(&target)
        };
        moved().map_err(|source| CheckoutError::Write { path: target.to_owned(), source })?;
        Ok(done)
    });
    // If this fails, the rest is removed with the run.
    let _ = fs::remove_dir_all(apart);
    moved
}

/// Allows every user of a container to change a copy.
fn open_to_all(copy: &Path) {
    for entry in walkdir::WalkDir::new(copy).into_iter().flatten() {
        let Ok(data) = entry.metadata() else { continue };
        let mode = data.permissions().mode();
        let wanted = if data.is_dir() { mode | 0o777 } else { mode | 0o666 };
        if !data.is_symlink() && wanted != mode {
            // Some file systems have no permission bits.
            let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(wanted));
        }
    }
}

/// Returns lines for the log about copied and skipped files.
fn described(repository: &Path, copied: &Copied, request: &Request) -> Vec<String> {
    let count = file_count(copied.files.len());
    let mut lines = vec![format!("Copied {count} of the working tree of {}.", repository.display())];
    if !copied.left_out.is_empty() {
        let named = named(copied.left_out.iter().map(PathBuf::as_path));
        lines.push(format!("Left out, as repositories or worktrees inside this one: {named}."));
    }
    if !copied.submodules.is_empty() && request.submodules == Submodules::None {
        let named = named(copied.submodules.iter().map(PathBuf::as_path));
        lines.push(format!("Left empty, as submodules that the step does not ask for: {named}."));
    }
    lines
}

/// Returns a number of files for a message, as `2 files`.
pub(in crate::engine) fn file_count(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// Lists paths in a message: the first few, and the number of further ones.
pub(super) fn named<'p>(paths: impl ExactSizeIterator<Item = &'p Path>) -> String {
    let more = paths.len().saturating_sub(NAMED);
    let mut names: Vec<String> =
        paths.take(NAMED).map(|path| path.display().to_string().trim_end_matches('/').to_owned()).collect();
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}

/// Resolves a ref of the repository to a commit.
fn resolve(repository: &Path, wanted: &str, request: &Request) -> Result<Wanted, CheckoutError> {
    // No ref starts with a dash, and git would take such a name for an option.
    let names =
        if wanted.starts_with('-') { vec![] } else { vec![wanted.to_owned(), format!("refs/remotes/origin/{wanted}")] };
    let found = names
        .iter()
        .find_map(|name| request.git(repository, ["rev-parse", "--verify", &format!("{name}^{{commit}}")]).ok());
    request.proceed()?;
    let unknown = || CheckoutError::Unknown { wanted: wanted.to_owned(), repository: repository.to_owned() };
    let commit = found.ok_or_else(unknown)?.trim().to_owned();
    Ok(Wanted { commit, name: wanted.to_owned() })
}

/// Checks out the files of a commit, on its branch if the step named one.
fn put_commit(repository: &Path, target: &Path, wanted: &Wanted, request: &Request) -> Result<(), CheckoutError> {
    if let Some(sparse) = &request.sparse {
        sparse.set(target, request)?;
    }
    let branch = wanted.name.strip_prefix("refs/heads/").unwrap_or(&wanted.name);
    let is_branch = request.git(repository, ["rev-parse", "--verify", &format!("refs/heads/{branch}")]).is_ok();
    let how: &[&str] = if is_branch { &["-B", branch] } else { &["--detach"] };
    let checkout = ["checkout", "--quiet", "--force"].into_iter().chain(how.iter().copied()).chain([&*wanted.commit]);
    request.git_trusted(target, checkout)?;
    Ok(())
}

/// Fills the submodules of a copy from those that are checked out in the repository: with their working trees, or with
/// the recorded commits if a ref is checked out. Warns about each submodule that is left empty.
fn fill_submodules(
    repository: &Path,
    target: &Target,
    request: &Request,
    done: &mut CheckedOut,
) -> Result<(), CheckoutError> {
    let copy = target.path();
    let entries = ["config", "-z", "-f", ".gitmodules", "--get-regexp", r"^submodule\..*\.(path|url)$"];
    // Git fails without this file, and would follow a link.
    let has_entries = copy.join(".gitmodules").symlink_metadata().is_ok_and(|data| data.is_file());
    let entries = if has_entries { request.git(copy, entries).unwrap_or_default() } else { String::new() };
    let entries: Vec<_> = entries.split('\0').filter_map(|entry| entry.split_once('\n')).collect();
    let value = |name: &str, key: &str| {
        let key = format!("submodule.{name}.{key}");
        entries.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    };
    let own = common_folder(repository, request)?;
    for (path, commit) in submodules(copy, request)? {
        let named = entries.iter().find_map(|(key, value)| {
            let name = key.strip_prefix("submodule.")?.strip_suffix(".path")?;
            (Path::new(value) == path).then_some(name)
        });
        let shown = path.display();
        let Some(name) = named else {
            done.warnings.push(format!("{shown} is left empty: it is a repository without an entry in .gitmodules"));
            continue;
        };
        let (from, to) = (repository.join(&path), copy.join(&path));
        // Without a git folder, git would treat the folder as a part of the repository.
        if !from.join(".git").exists() {
            done.warnings.push(format!(
                "the submodule {shown} is left empty: it is not checked out here, run `git submodule update --init \"{shown}\"`"
            ));
            continue;
        }
        let git_folder = common_folder(&from, request)?;
        let is_ours = |folder: &Path| folder.starts_with(&own) || is_below(folder, &from);
        if has_link(repository, &path) || has_link(copy, &path) || !is_ours(&git_folder) {
            done.warnings.push(format!(
                "the submodule {shown} is left empty: its git folder, {}, is not part of the repository",
                git_folder.display()
            ));
            continue;
        }
        if request.objects != Objects::Linked
            && let Some(other) = objects::folders(&git_folder.join("objects"))?.iter().find(|folder| !is_ours(folder))
        {
            done.warnings.push(format!(
                "the submodule {shown} is left empty: it has objects in {}, which a container does not see",
                other.display()
            ));
            continue;
        }
        let deeper = if request.submodules == Submodules::Recursive { Submodules::Recursive } else { Submodules::None };
        let inner = Request {
            wanted: request.wanted.is_some().then_some(commit),
            depth: request.depth,
            submodules: deeper,
            lfs: request.lfs,
            objects: if request.objects == Objects::Linked { Objects::Linked } else { Objects::Copied },
            abort: request.abort.clone(),
            ..Request::default()
        };
        let filled = check_out(&from, &to, &inner)?;
        done.lines.extend(filled.lines.into_iter().map(|line| format!("Submodule {shown}: {line}")));
        done.warnings.extend(filled.warnings);
        done.files.extend(filled.files.into_iter().map(|file| path.join(file)));
        git_folder::add_submodule(target, name, value(name, "url").unwrap_or_default())?;
    }
    Ok(())
}

/// Returns the real path of the folder with the objects and refs of a repository.
fn common_folder(repository: &Path, request: &Request) -> Result<PathBuf, CheckoutError> {
    let path = git::common_folder(Some(&request.abort), repository)?;
    path.canonicalize().map_err(|source| CheckoutError::Copy { path, source })
}

/// Whether a path, which must be free of links, is below a folder.
fn is_below(path: &Path, folder: &Path) -> bool {
    folder.canonicalize().is_ok_and(|folder| path.starts_with(folder))
}

/// Whether a path relative to `folder` contains a link.
pub(super) fn has_link(folder: &Path, path: &Path) -> bool {
    path.ancestors().any(|part| !part.as_os_str().is_empty() && folder.join(part).is_symlink())
}

/// Returns the submodules in the index of a copy, with their recorded commits. Leaves out the submodules outside of a
/// sparse checkout.
fn submodules(target: &Path, request: &Request) -> Result<Vec<(PathBuf, String)>, GitError> {
    let listed = request.git(target, ["ls-files", "-s", "-t", "-z"])?;
    let entries = listed.split('\0').filter_map(|entry| {
        let (about, path) = entry.split_once('\t')?;
        let commit = about.strip_prefix("H 160000 ")?.split(' ').next()?;
        Some(git::in_tree(target, PathBuf::from(path)).map(|path| (path, commit.to_owned())))
    });
    entries.collect()
}

/// Returns the tracked files of a copy that are Git LFS pointers.
fn lfs_pointers(target: &Target, request: &Request) -> Result<Vec<PathBuf>, GitError> {
    let is_pointer = |path: &PathBuf| {
        let text = target.folder().read(path, Links::Refuse, MAX_LFS_POINTER);
        text.is_ok_and(|text| text.starts_with(LFS_POINTER))
    };
    Ok(git::files(target.path(), Some(&request.abort))?.into_iter().filter(is_pointer).collect())
}

/// Resolves a path below the workspace, or returns `None` if it leads out of it, even through a link. This must be
/// strict, because the folder that a step names is emptied.
pub(in crate::engine) fn inside(workspace: &Path, path: &str) -> Option<PathBuf> {
    let mut inside = workspace.to_owned();
    for part in workspace.join(path).strip_prefix(workspace).ok()?.components() {
        match part {
            Component::Normal(name) => inside.push(name),
            Component::ParentDir if inside != workspace => drop(inside.pop()),
            Component::CurDir => {}
            _ => return None,
        }
    }
    let real = inside.ancestors().find_map(|folder| folder.canonicalize().ok())?;
    is_below(&real, workspace).then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, symlink};

    use crate::repo::git::{git, git_with};

    /// Checks out the working tree, or a ref, and returns the lines for the log.
    fn check_out(from: &Path, to: &Path, wanted: Option<&str>) -> Result<String, CheckoutError> {
        let request = Request { wanted: wanted.map(str::to_owned), ..Request::default() };
        super::check_out(from, to, &request).map(|done| done.lines.join("\n"))
    }

    const WHO: [&str; 4] = ["-c", "user.name=A", "-c", "user.email=a@b"];

    /// Creates an empty repository `from` in a temporary folder.
    fn repository() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir(&from).expect("made");
        git(&from, ["init", "-q", "-b", "main"]).expect("git init");
        (folder, from, to)
    }

    fn write(root: &Path, name: impl AsRef<Path>, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("in the repository")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn commit(root: &Path) {
        git(root, ["add", "."]).expect("git add");
        git(root, WHO.into_iter().chain(["commit", "-qm", "x"])).expect("git commit");
    }

    fn says(root: &Path, args: &str) -> String {
        git(root, args.split(' ')).expect(args).trim_end().to_owned()
    }

    #[test]
    fn the_copy_has_the_working_tree_and_the_same_git_status() {
        let (_folder, from, to) = repository();
        for name in ["kept", "changed", "deleted", "staged"] {
            write(&from, name, "1");
        }
        write(&from, ".gitignore", "ignored\n");
        write(&from, "sub/run.sh", "#!/bin/sh\n");
        fs::set_permissions(from.join("sub/run.sh"), fs::Permissions::from_mode(0o755)).expect("set");
        symlink("kept", from.join("link")).expect("linked");
        commit(&from);
        git(&from, ["tag", "v1"]).expect("git tag");
        git(&from, ["branch", "side"]).expect("git branch");
        write(&from, "changed", "2");
        write(&from, "staged", "2");
        git(&from, ["add", "staged"]).expect("git add");
        write(&from, "new", "1");
        write(&from, "ignored", "1");
        fs::remove_file(from.join("deleted")).expect("removed");

        let summary = check_out(&from, &to, None).expect("checked out");
        assert!(summary.starts_with("Copied 7 files"), "{summary}");
        let text = |name: &str| fs::read_to_string(to.join(name)).ok();
        assert_eq!((text("changed").as_deref(), text("new").as_deref()), (Some("2"), Some("1")));
        assert_eq!((text("ignored"), text("deleted")), (None, None));
        assert_eq!(fs::read_link(to.join("link")).expect("a link"), Path::new("kept"));
        assert_eq!(fs::metadata(to.join("sub/run.sh")).expect("there").permissions().mode() & 0o111, 0o111);
        assert_eq!(says(&to, "status --porcelain"), " M changed\n D deleted\nM  staged\n?? new");
        assert_eq!(says(&to, "rev-parse --abbrev-ref HEAD"), "main");
        assert_eq!(says(&to, "describe --tags"), "v1");
        assert_eq!(
            says(&to, "rev-parse origin/side HEAD").lines().collect::<Vec<_>>(),
            vec![says(&from, "rev-parse HEAD"); 2]
        );
        assert_eq!(says(&to, "fsck"), "");

        // A commit of a job does not reach the repository.
        let before = says(&from, "count-objects");
        git(&to, WHO.into_iter().chain(["commit", "-qam", "y"])).expect("git commit");
        assert_eq!(says(&from, "log --oneline").lines().count(), 1);
        assert_eq!(says(&from, "count-objects"), before);
    }

    #[test]
    fn a_ref_is_checked_out_as_committed() {
        let (_folder, from, to) = repository();
        write(&from, "a", "1");
        commit(&from);
        git(&from, ["tag", "v1"]).expect("git tag");
        git(&from, ["branch", "side"]).expect("git branch");
        write(&from, "a", "2");
        commit(&from);
        write(&from, "a", "3");
        let sha = says(&from, "rev-parse v1");
        git(&from, ["update-ref", "refs/remotes/origin/far", &sha]).expect("git update-ref");
        for (wanted, text, branch) in [
            ("main", "2", "main"),
            ("HEAD", "2", "HEAD"),
            ("refs/heads/side", "1", "side"),
            ("v1", "1", "HEAD"),
            (&sha, "1", "HEAD"),
            ("far", "1", "HEAD"),
        ] {
            check_out(&from, &to, Some(wanted)).expect(wanted);
            assert_eq!(fs::read_to_string(to.join("a")).expect("there"), text, "{wanted}");
            assert_eq!(says(&to, "rev-parse --abbrev-ref HEAD"), branch, "{wanted}");
            assert_eq!(says(&to, "status --porcelain"), "", "{wanted}");
        }
        for wanted in ["none", "--force", "0000000000000000000000000000000000000000"] {
            let error = check_out(&from, &to, Some(wanted)).expect_err(wanted).to_string();
            assert!(error.contains(wanted) && error.contains("fetch it"), "{error}");
        }
    }

    #[test]
    fn a_push_from_the_copy_cannot_reach_the_repository() {
        let (folder, from, to) = repository();
        write(&from, "a", "1");
        commit(&from);
        check_out(&from, &to, None).expect("checked out");
        assert_eq!(says(&to, "remote"), "");
        assert!(git_with(&to, Access::Trusted, ["push", "origin", "main:pushed"]).is_err());
        // With an origin, the push goes to the same server as the repository's own pushes.
        git(folder.path(), ["init", "-q", "--bare", "up.git"]).expect("git init");
        git(&from, ["remote", "add", "origin", "../up.git"]).expect("git remote");
        check_out(&from, &to, None).expect("checked out");
        git_with(&to, Access::Trusted, ["push", "-q", "origin", "main:pushed"]).expect("git push");
        assert_eq!(says(&from, "branch --list pushed"), "");
        // Guarded git does not enter a bare repository by itself.
        let pushed = fs::read_to_string(folder.path().join("up.git/refs/heads/pushed")).expect("a branch");
        assert_eq!(pushed.trim(), says(&from, "rev-parse HEAD"));
    }

    #[test]
    fn every_kind_of_repository_is_copied() {
        // No commit yet.
        let (folder, from, to) = repository();
        write(&from, "a", "1");
        check_out(&from, &to, None).expect("checked out");
        assert_eq!(says(&to, "status --porcelain --branch"), "## No commits yet on main\n?? a");
        commit(&from);
        write(&from, "b", "1");
        commit(&from);
        // A detached HEAD and a split index.
        git(&from, ["checkout", "-q", "--detach"]).expect("git checkout");
        git(&from, ["update-index", "--split-index"]).expect("git update-index");
        write(&from, "c", "1");
        git(&from, ["add", "c"]).expect("git add");
        check_out(&from, &to, None).expect("checked out");
        assert_eq!(says(&to, "status --porcelain --branch"), "## HEAD (no branch)\nA  c");
        // A worktree.
        git(&from, ["worktree", "add", "-qb", "side", "../tree"]).expect("git worktree");
        check_out(&folder.path().join("tree"), &to, None).expect("checked out");
        assert_eq!(says(&to, "status --porcelain --branch"), "## side");
        // A shallow clone.
        let address = format!("file://{}", from.display());
        git_with(folder.path(), Access::Trusted, ["clone", "-q", "--depth", "1", "--branch", "side", &address, "flat"])
            .expect("git clone");
        check_out(&folder.path().join("flat"), &to, None).expect("checked out");
        assert_eq!(says(&to, "log --oneline").lines().count(), 1);
        assert_eq!(says(&to, "remote get-url origin"), address);
        // SHA-256 as the hash.
        git(folder.path(), ["init", "-q", "--object-format=sha256", "long"]).expect("git init");
        let long = folder.path().join("long");
        write(&long, "a", "1");
        commit(&long);
        check_out(&long, &to, None).expect("checked out");
        assert_eq!((says(&to, "status --porcelain").as_str(), says(&to, "rev-parse HEAD").len()), ("", 64));
    }

    #[test]
    fn files_that_changed_their_type_match_git_status() {
        let (folder, from, to) = repository();
        write(&folder.path().join("elsewhere"), "x", "not of the repository");
        for name in ["linked/x", "grown", "piped", "a/b/c"] {
            write(&from, name, "1");
        }
        let odd = OsStr::from_bytes(b"odd\xff\n");
        write(&from, odd, "1");
        commit(&from);
        fs::remove_dir_all(from.join("linked")).expect("removed");
        symlink("../elsewhere", from.join("linked")).expect("linked");
        fs::remove_file(from.join("grown")).expect("removed");
        write(&from, "grown/inside", "1");
        fs::remove_file(from.join("piped")).expect("removed");
        rustix::fs::mknodat(rustix::fs::CWD, from.join("piped"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .expect("a pipe");
        fs::remove_dir_all(from.join("a/b")).expect("removed");
        write(&from, "a/b", "1");
        git(&from, ["init", "-q", "nested"]).expect("git init");
        write(&from, "nested/file", "1");

        check_out(&from, &to, None).expect("checked out");
        assert!(to.join("linked").is_symlink() && to.join("grown/inside").is_file() && to.join(odd).is_file());
        assert!(!to.join("piped").exists() && to.join("a/b").is_file());
        assert!(!to.join("nested").exists());
    }

    #[test]
    fn only_paths_below_the_workspace_are_inside() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("w");
        write(&root, "sub/file", "1");
        symlink(folder.path(), root.join("out")).expect("linked");
        for (path, expected) in [
            ("sub/file", Some("sub/file")),
            ("./new/deep", Some("new/deep")),
            ("sub/../sub", Some("sub")),
            (".", Some("")),
            ("..", None),
            ("sub/../../w2", None),
            ("/etc/passwd", None),
            ("out", None),
            ("out/x", None),
        ] {
            assert_eq!(inside(&root, path), expected.map(|path| root.join(path)), "{path}");
        }
        let absolute = root.join("sub/file");
        assert_eq!(inside(&root, absolute.to_str().expect("text")), Some(absolute));
    }

    #[test]
    fn a_link_at_the_target_is_not_followed() {
        let (folder, from, to) = repository();
        write(&from, "a", "1");
        write(&folder.path().join("precious"), "x", "1");
        symlink("precious", &to).expect("linked");
        check_out(&from, &to, None).expect("checked out");
        assert!(folder.path().join("precious/x").is_file() && !to.is_symlink() && to.join("a").is_file());
    }

    #[test]
    fn many_files_are_copied_by_several_threads() {
        let (_folder, from, to) = repository();
        for n in 0..150 {
            write(&from, format!("d{}/f{n}", n % 40), "x");
        }
        let summary = check_out(&from, &to, None).expect("checked out");
        assert!(summary.starts_with("Copied 150 files"), "{summary}");
    }

    #[test]
    fn the_git_folder_is_whole_without_the_repository() {
        let (folder, from, to) = repository();
        write(&from, "a", "1");
        commit(&from);
        // The source has packed objects, loose objects, and objects that it borrows from another repository.
        git(&from, ["gc", "-q"]).expect("git gc");
        write(&from, "b", "1");
        commit(&from);
        git_with(folder.path(), Access::Trusted, ["clone", "-q", "--shared", "from", "near"]).expect("git clone");
        let near = folder.path().join("near");
        write(&near, "c", "1");
        commit(&near);
        git(&near, ["worktree", "add", "-qb", "side", "../tree"]).expect("git worktree");
        write(&near, "c", "2");
        for (objects, name) in
            [(Objects::Linked, "linked"), (Objects::Copied, "copied"), (Objects::Borrowed, "borrowed")]
        {
            let request = Request { objects, git_objects: vec![from.clone()], ..Request::default() };
            super::check_out(&near, &to.join(name), &request).expect(name);
            super::check_out(&folder.path().join("tree"), &to.join(name).join("of-tree"), &request).expect(name);
            assert_eq!(says(&to.join(name), "log --oneline").lines().count(), 3, "{name}");
        }
        for gone in ["from", "near", "tree"] {
            fs::rename(folder.path().join(gone), folder.path().join(format!("{gone}-gone"))).expect("renamed");
        }
        for name in ["linked", "copied", "linked/of-tree", "copied/of-tree"] {
            let copy = to.join(name);
            assert_eq!(says(&copy, "log --oneline").lines().count(), 3, "{name}");
            assert_eq!(says(&copy, "fsck --full"), "", "{name}");
            let status = if name.contains('/') { "" } else { " M c\n?? of-tree/" };
            assert_eq!(says(&copy, "status --porcelain"), status, "{name}");
        }
        assert!(git(&to.join("borrowed"), ["log"]).is_err());
        let id = says(&to.join("copied"), "rev-parse HEAD");
        let object = format!(".git/objects/{}/{}", &id[..2], &id[2..]);
        let links = |name: &str| fs::metadata(to.join(name).join(&object)).expect("loose").nlink();
        assert_eq!((links("copied"), links("linked") > 1), (1, true));
    }

    #[test]
    fn a_depth_cuts_the_history_and_the_refs() {
        let (_folder, from, to) = repository();
        for n in 1..=4 {
            write(&from, "a", &n.to_string());
            commit(&from);
            git(&from, ["tag", &format!("v{n}")]).expect("git tag");
        }
        git(&from, ["checkout", "-q", "-b", "side", "v2"]).expect("git checkout");
        write(&from, "b", "1");
        commit(&from);
        git(&from, ["checkout", "-q", "main"]).expect("git checkout");
        git(&from, WHO.into_iter().chain(["merge", "-q", "-m", "x", "side"])).expect("git merge");
        write(&from, "a", "new");
        let checked_out = |commits: usize, tags: bool, wanted: Option<&str>| {
            let depth = Some(Depth { commits, tags });
            let request = Request { wanted: wanted.map(str::to_owned), depth, ..Request::default() };
            let done = super::check_out(&from, &to, &request).expect("checked out");
            assert_eq!((done.warnings, says(&to, "rev-parse HEAD")), (vec![], done.commit));
            let count = says(&to, "log --oneline").lines().count();
            let refs =
                says(&to, "for-each-ref --format=%(refname:short)").lines().map(str::to_owned).collect::<Vec<_>>();
            (count, refs)
        };
        let own = ["main", "origin/main"].map(str::to_owned);
        for (depth, count) in [(1, 1), (2, 3), (3, 5), (4, 6), (5, 6), (99, 6)] {
            assert_eq!(checked_out(depth, false, None), (count, own.to_vec()), "{depth}");
            assert_eq!(says(&to, "status --porcelain"), " M a", "{depth}");
        }
        assert_eq!(checked_out(1, true, None).1.len(), 6);
        assert_eq!(checked_out(1, false, Some("v2")), (1, vec!["v2".to_owned()]));
        let side = ["side", "origin/side"].map(str::to_owned);
        assert_eq!(checked_out(2, false, Some("side")), (2, side.to_vec()));
        assert_eq!(says(&to, "fsck --no-dangling"), "");
    }

    #[test]
    fn a_sparse_checkout_has_a_part_of_the_files_and_the_same_git_status() {
        let (_folder, from, to) = repository();
        for name in ["top", "a/x", "a/deep/y", "b/x", "b/c/z", "b/d/w"] {
            write(&from, name, "1");
        }
        commit(&from);
        write(&from, "a/x", "2");
        write(&from, "b/x", "2");
        for name in ["new", "a/new", "b/new", "b/d/new"] {
            write(&from, name, "1");
        }
        let checked_out = |patterns: &[&str], cone: bool, wanted: Option<&str>| {
            let patterns = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
            let sparse = Some(Sparse { patterns, cone });
            let request = Request { wanted: wanted.map(str::to_owned), sparse, ..Request::default() };
            let done = super::check_out(&from, &to, &request).expect("checked out");
            let mut files: Vec<String> = git::files(&to, None)
                .expect("listed")
                .iter()
                .filter(|file| to.join(file).is_file())
                .map(|file| file.display().to_string())
                .collect();
            files.sort();
            (files.join(" "), done.lines.join(" "), says(&to, "status --porcelain"))
        };
        let (files, line, status) = checked_out(&["a"], true, None);
        assert_eq!((files.as_str(), status.as_str()), ("a/deep/y a/new a/x new top", " M a/x\n?? a/new\n?? new"));
        assert!(line.starts_with("Copied 5 files"), "{line}");
        let (files, _, status) = checked_out(&["b/c", "a/deep/"], true, None);
        assert_eq!(
            (files.as_str(), status.as_str()),
            ("a/deep/y a/new a/x b/c/z b/new b/x new top", " M a/x\n M b/x\n?? a/new\n?? b/new\n?? new")
        );
        let (files, ..) = checked_out(&["/b/*", "!/b/d"], false, None);
        assert!(files.starts_with("a/new b/c/z b/d/new b/new b/x new"), "{files}");
        assert_eq!(checked_out(&["a"], true, Some("main")).0, "a/deep/y a/x top");
        assert_eq!(
            checked_out(&["/b/d"], false, Some("main")),
            ("b/d/w".to_owned(), format!("Checked out main ({}).", says(&from, "rev-parse main")), String::new())
        );
    }

    /// Adds a repository as a submodule, from a folder beside it.
    fn add_submodule(root: &Path, from: &Path, path: &str) {
        let allow =
            ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", from.to_str().expect("text"), path];
        git_with(root, Access::Trusted, allow).expect("git submodule");
        commit(root);
    }

    #[test]
    fn submodules_are_filled_if_a_step_asks_for_them() {
        let (folder, from, to) = repository();
        for (name, inner) in [("deep", None), ("lib", Some("deep"))] {
            git(folder.path(), ["init", "-q", "-b", "main", name]).expect("git init");
            let root = folder.path().join(name);
            write(&root, "file", name);
            commit(&root);
            if let Some(inner) = inner {
                add_submodule(&root, &folder.path().join(inner), "in ner");
            }
        }
        add_submodule(&from, &folder.path().join("lib"), "li b");
        add_submodule(&from, &folder.path().join("deep"), "away");
        git(&from, ["init", "-q", "stray"]).expect("git init");
        write(&from.join("stray"), "file", "1");
        commit(&from.join("stray"));
        commit(&from);
        let update =
            ["-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", "--recursive", "li b"];
        git_with(&from, Access::Trusted, update).expect("git submodule");
        git_with(&from, Access::Trusted, ["submodule", "--quiet", "deinit", "-f", "away"]).expect("git submodule");
        let recorded = says(&from.join("li b"), "rev-parse HEAD");
        write(&from.join("li b"), "file", "changed");
        let checked_out = |submodules: Submodules, wanted: Option<&str>| {
            let request = Request { submodules, wanted: wanted.map(str::to_owned), ..Request::default() };
            let done = super::check_out(&from, &to, &request).expect("checked out");
            let text = |name: &str| fs::read_to_string(to.join(name)).ok();
            (text("li b/file"), text("li b/in ner/file"), done)
        };
        let (file, deep, done) = checked_out(Submodules::None, None);
        assert_eq!((file, deep, done.warnings), (None, None, vec![]));
        assert!(
            done.lines.iter().any(|line| line.ends_with("does not ask for: away, li b, stray.")),
            "{:?}",
            done.lines
        );
        let (file, deep, done) = checked_out(Submodules::Direct, None);
        assert_eq!((file.as_deref(), deep), (Some("changed"), None));
        assert!(
            done.warnings[0].contains("submodule away is left empty: it is not checked out here"),
            "{:?}",
            done.warnings
        );
        assert!(done.warnings[1].starts_with("stray is left empty"), "{:?}", done.warnings);
        let status = git(&to, ["submodule", "status", "--", "li b"]).expect("git submodule");
        assert!(status.starts_with(&format!(" {recorded} li b")), "{status}");
        let (file, deep, _) = checked_out(Submodules::Recursive, None);
        assert_eq!((file.as_deref(), deep.as_deref()), (Some("changed"), Some("deep")));
        let (file, deep, _) = checked_out(Submodules::Recursive, Some("main"));
        assert_eq!((file.as_deref(), deep.as_deref()), (Some("lib"), Some("deep")));
        assert_eq!(says(&to.join("li b"), "rev-parse HEAD"), recorded);
    }

    #[test]
    fn a_checkout_that_does_not_clean_keeps_new_files_and_follows_no_link() {
        let (folder, from, to) = repository();
        for name in ["a", "sub/b", "c", "d/e"] {
            write(&from, name, "1");
        }
        commit(&from);
        let request = Request { keep_files: true, ..Request::default() };
        super::check_out(&from, &to, &request).expect("checked out");
        // Changes that a step may make in the meantime.
        write(&to, "made", "1");
        write(&to, "a", "changed");
        write(folder.path(), "precious/b", "1");
        write(folder.path(), "precious-file", "1");
        fs::remove_dir_all(to.join("sub")).expect("removed");
        symlink("../precious", to.join("sub")).expect("linked");
        fs::remove_file(to.join("c")).expect("removed");
        symlink("../precious-file", to.join("c")).expect("linked");
        fs::remove_dir_all(to.join("d")).expect("removed");
        write(&to, "d", "a file");
        for (root, name) in [(&from, "sub/b"), (&from, "c")] {
            write(root, name, "2");
        }
        super::check_out(&from, &to, &request).expect("checked out");
        let text = |name: &str| fs::read_to_string(to.join(name)).ok();
        assert_eq!(
            (text("made").as_deref(), text("a").as_deref(), text("d/e").as_deref()),
            (Some("1"), Some("1"), Some("1"))
        );
        assert_eq!((text("sub/b").as_deref(), text("c").as_deref()), (Some("2"), Some("2")));
        let outer = |name: &str| fs::read_to_string(folder.path().join(name)).expect("there");
        assert_eq!((outer("precious/b").as_str(), outer("precious-file").as_str()), ("1", "1"));
        // A folder without a git folder is not a checkout.
        fs::remove_dir_all(to.join(".git")).expect("removed");
        super::check_out(&from, &to, &request).expect("checked out");
        assert_eq!(text("made"), None);
        write(&to, "made", "1");
        super::check_out(&from, &to, &Request { wanted: Some("main".to_owned()), ..request }).expect("checked out");
        assert_eq!((text("made").as_deref(), text("c").as_deref()), (Some("1"), Some("1")));
        check_out(&from, &to, None).expect("checked out");
        assert_eq!(text("made"), None);
    }

    #[test]
    fn what_is_left_out_is_named_and_the_count_is_of_files() {
        let (_folder, from, to) = repository();
        write(&from, "a", "1");
        commit(&from);
        git(&from, ["worktree", "add", "-qb", "side", "wt/side"]).expect("git worktree");
        for nested in ["vendor/lib", "empty"] {
            git(&from, ["init", "-q", nested]).expect("git init");
            write(&from, format!("{nested}/file"), "1");
        }
        commit(&from.join("vendor/lib"));
        let lines = check_out(&from, &to, None).expect("checked out");
        let expected = "of the working tree of";
        assert!(lines.starts_with("Copied 1 file ") && lines.contains(expected), "{lines}");
        assert!(lines.ends_with("inside this one: empty, vendor/lib, wt/side."), "{lines}");
        assert_eq!(says(&to, "status --porcelain"), "");
        for n in 0..6 {
            git(&from, ["init", "-q", &format!("more{n}")]).expect("git init");
        }
        let lines = check_out(&from, &to, None).expect("checked out");
        assert!(lines.ends_with(", and 4 more."), "{lines}");
    }

    #[test]
    fn files_without_their_content_are_named() {
        let (_folder, from, to) = repository();
        write(&from, "big", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
        write(&from, "small", "version 1");
        commit(&from);
        for (lfs, count) in [(true, 1), (false, 0)] {
            let done = super::check_out(&from, &to, &Request { lfs, ..Request::default() }).expect("checked out");
            assert_eq!(done.warnings.len(), count);
            assert!(done.warnings.iter().all(|warning| warning.ends_with(": big")), "{:?}", done.warnings);
        }
    }
}
