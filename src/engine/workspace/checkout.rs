//! `actions/checkout` of the run's repository: a private copy of the user's files, with a separate git folder.
//!
//! The copy has the files that a push of the working tree would contain: tracked files in their current state, and new
//! files that are not ignored. Its git folder borrows the repository's objects and copies its index, so `git log`, `git
//! describe` and `git status` work as in the repository. A job cannot change the user's repository through it, not even
//! with `git push`: the only remote of the copy is the repository's own `origin`.
//!
//! The git folder is written directly, as `git clone` would take longer than everything else together.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::repo::address::without_credentials;
use crate::repo::git;
use crate::repo::git::{Access, GitError, git, git_with};

/// Why a workspace could not be filled.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum CheckoutError {
    #[error("{0}")]
    Git(#[from] GitError),
    #[error("`ref: {wanted}` names no commit that is in {}: fetch it first", repository.display())]
    Unknown { wanted: String, repository: PathBuf },
    #[error("cannot copy {}: {source}", path.display())]
    Copy { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Number of files up to which one thread copies them all: starting a thread costs as much as copying one or two files.
const FEW: usize = 64;

/// Keys of the repository's git configuration that the copy takes over: how objects are stored, how files are compared,
/// and where `origin` is.
const KEPT: &str = r"^(core\.(autocrlf|eol|filemode|symlinks|ignorecase)|extensions\.(objectformat|partialclone)|remote\.origin\.(url|promisor|partialclonefilter))$";

/// Fills a folder with the repository's files, and returns a summary in one line.
///
/// With `wanted`, the files are those of that ref, without the changes of the working tree.
///
/// # Errors
/// The ref is unknown, or a file cannot be copied.
pub(in crate::engine) fn check_out(
    repository: &Path,
    target: &Path,
    wanted: Option<&str>,
) -> Result<String, CheckoutError> {
    clear(target).map_err(|source| CheckoutError::Write { path: target.to_owned(), source })?;
    // Each call mostly waits for git to start, so both run in parallel.
    let (origin, files) = thread::scope(|scope| {
        let files = scope.spawn(|| if wanted.is_none() { git::files(repository) } else { Ok(Vec::new()) });
        (Origin::of(repository), files.join().expect("listing does not panic"))
    });
    let (origin, files) = (origin?, files?);
    origin.write(target)?;
    if let Some(wanted) = wanted {
        return put_commit(repository, target, wanted);
    }
    origin.copy_index(target)?;
    let copied = copy_files(repository, target, &files)?;
    Ok(format!("Copied {copied} files of the working tree of {}.", repository.display()))
}

/// Checks out the files of a commit, on its branch if `wanted` is one.
fn put_commit(repository: &Path, target: &Path, wanted: &str) -> Result<String, CheckoutError> {
    // No ref starts with a dash, and git would take it for an option.
    let names =
        if wanted.starts_with('-') { vec![] } else { vec![wanted.to_owned(), format!("refs/remotes/origin/{wanted}")] };
    let found =
        names.iter().find_map(|name| git(repository, ["rev-parse", "--verify", &format!("{name}^{{commit}}")]).ok());
    let unknown = || CheckoutError::Unknown { wanted: wanted.to_owned(), repository: repository.to_owned() };
    let found = found.ok_or_else(unknown)?;
    let found = found.trim();
    let branch = wanted.strip_prefix("refs/heads/").unwrap_or(wanted);
    let is_branch = git(repository, ["rev-parse", "--verify", &format!("refs/heads/{branch}")]).is_ok();
    let how: &[&str] = if is_branch { &["-B", branch] } else { &["--detach"] };
    git_with(target, Access::Trusted, ["checkout", "--quiet"].iter().chain(how).chain(&[found]))?;
    Ok(format!("Checked out {wanted} ({found})."))
}

/// Source of the copy's git folder.
struct Origin {
    /// Objects folder of the repository.
    objects: PathBuf,
    index: PathBuf,
    /// `shallow` file of a shallow repository: the commits whose parents are missing.
    shallow: PathBuf,
    /// Content of the `HEAD` file.
    head: String,
    /// Content of the `packed-refs` file.
    refs: String,
    /// Content of the `config` file.
    config: String,
}

impl Origin {
    fn of(repository: &Path) -> Result<Self, GitError> {
        thread::scope(|scope| {
            let config = scope.spawn(|| git(repository, ["config", "-z", "--get-regexp", KEPT]).unwrap_or_default());
            let refs = ["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags"];
            let refs = scope.spawn(move || git(repository, refs));
            let places = ["--git-common-dir", "--git-path", "index", "--git-path", "shallow"];
            let places = git(repository, ["rev-parse", "--path-format=absolute"].iter().chain(&places))?;
            let mut places = places.lines().map(PathBuf::from);
            let mut place = || places.next().unwrap_or_default();
            let (objects, index, shallow) = (place().join("objects"), place(), place());
            // Fails for a detached HEAD.
            let branch = git(repository, ["symbolic-ref", "--quiet", "HEAD"]).unwrap_or_default().trim().to_owned();
            let head = match branch.as_str() {
                "" => git(repository, ["rev-parse", "HEAD"])?.trim().to_owned(),
                branch => format!("ref: {branch}"),
            };
            let refs = refs.join().expect("listing does not panic")?;
            let config = config.join().expect("reading a configuration does not panic");
            Ok(Self {
                objects,
                index,
                shallow,
                head,
                refs: borrowed(&refs, &branch),
                config: configuration(&config, repository),
            })
        })
    }

    /// Writes the git folder, without an index.
    fn write(&self, target: &Path) -> Result<(), CheckoutError> {
        let folder = target.join(".git");
        let made = (|| {
            fs::create_dir_all(folder.join("objects/info"))?;
            fs::create_dir_all(folder.join("refs"))?;
            let mut alternates = self.objects.clone().into_os_string().into_encoded_bytes();
            alternates.push(b'\n');
            fs::write(folder.join("objects/info/alternates"), alternates)?;
            fs::write(folder.join("HEAD"), format!("{}\n", self.head))?;
            fs::write(folder.join("config"), &self.config)?;
            fs::write(folder.join("packed-refs"), &self.refs)?;
            copy_if_there(&self.shallow, &folder.join("shallow"))
        })();
        made.map_err(|source| CheckoutError::Write { path: folder, source })
    }

    /// Copies the index. It may be split over several files.
    fn copy_index(&self, target: &Path) -> Result<(), CheckoutError> {
        let folder = target.join(".git");
        let copied = (|| {
            copy_if_there(&self.index, &folder.join("index"))?;
            for entry in self.index.parent().map(fs::read_dir).transpose()?.into_iter().flatten() {
                let name = entry?.file_name();
                if name.to_string_lossy().starts_with("sharedindex.") {
                    copy_if_there(&self.index.with_file_name(&name), &folder.join(&name))?;
                }
            }
            Ok(())
        })();
        copied.map_err(|source| CheckoutError::Copy { path: self.index.clone(), source })
    }
}

/// Returns the repository's refs as in a clone: branches become those of `origin`, except for the branch that is
/// checked out.
fn borrowed(refs: &str, branch: &str) -> String {
    let mut borrowed = String::new();
    for line in refs.lines() {
        let Some((id, name)) = line.split_once(' ') else { continue };
        let theirs = name.strip_prefix("refs/heads/").map(|name| format!("refs/remotes/origin/{name}"));
        let own = (name == branch || theirs.is_none()).then(|| name.to_owned());
        for name in own.into_iter().chain(theirs) {
            borrowed.push_str(&format!("{id} {name}\n"));
        }
    }
    borrowed
}

/// Converts the output of `git config` for the repository to the configuration of the copy.
fn configuration(kept: &str, repository: &Path) -> String {
    let entries: Vec<(&str, &str)> = kept.split('\0').filter_map(|entry| entry.split_once('\n')).collect();
    let version = u8::from(entries.iter().any(|(name, _)| name.starts_with("extensions.")));
    let mut config =
        format!("[core]\n\trepositoryformatversion = {version}\n\tbare = false\n\tlogallrefupdates = true\n");
    for (name, value) in entries {
        let (section, key) = match name.strip_prefix("remote.origin.") {
            Some(key) => (r#"remote "origin""#, key),
            None => name.split_once('.').unwrap_or((name, "")),
        };
        // A relative URL is relative to the repository.
        let near = key == "url" && (value.starts_with("./") || value.starts_with("../"));
        let value = match key {
            _ if near => repository.join(value).to_string_lossy().into_owned(),
            "url" => without_credentials(value),
            _ => value.to_owned(),
        };
        let value = value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
        config.push_str(&format!("[{section}]\n\t{key} = \"{value}\"\n"));
    }
    if config.contains("[remote") {
        config.push_str("[remote \"origin\"]\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n");
    }
    config
}

/// Resolves a path below the workspace, or returns `None` if it leads out of it, even through a link. The folder that a
/// step names is emptied, so this must be strict.
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
    let ours = workspace.canonicalize().is_ok_and(|workspace| real.starts_with(workspace));
    ours.then_some(inside)
}

/// Empties a folder but keeps it: it may be a step's working directory.
fn clear(target: &Path) -> io::Result<()> {
    if target.is_symlink() {
        // The target of a link must not be emptied.
        fs::remove_file(target)?;
    }
    fs::create_dir_all(target)?;
    for entry in fs::read_dir(target)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

fn copy_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::copy(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies the listed files, and returns how many of them exist.
fn copy_files(from: &Path, to: &Path, files: &[PathBuf]) -> Result<usize, CheckoutError> {
    let threads = if files.len() > FEW { thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let copied = AtomicUsize::new(0);
    let copy = |portion: &[PathBuf]| {
        let mut folders = Folders { from, to, last: None };
        for file in portion {
            let done = folders.copy(file).map_err(|source| CheckoutError::Copy { path: file.clone(), source })?;
            copied.fetch_add(usize::from(done), Ordering::Relaxed);
        }
        Ok(())
    };
    let ends: Vec<Result<(), CheckoutError>> = thread::scope(|scope| {
        let portions = files.chunks(files.len().div_ceil(threads).max(1));
        let workers: Vec<_> = portions.map(|portion| scope.spawn(|| copy(portion))).collect();
        workers.into_iter().map(|worker| worker.join().expect("copying does not panic")).collect()
    });
    ends.into_iter().collect::<Result<(), _>>()?;
    Ok(copied.into_inner())
}

/// Copies files, checking each folder only once for consecutive files in it.
struct Folders<'a> {
    from: &'a Path,
    to: &'a Path,
    /// Folder of the previous file, and whether it is part of the repository.
    last: Option<(PathBuf, bool)>,
}

impl Folders<'_> {
    /// Copies a file or a link. Returns `false` if it does not exist: a tracked file may have been deleted.
    fn copy(&mut self, file: &Path) -> io::Result<bool> {
        let (from, to) = (self.from.join(file), self.to.join(file));
        let kind = match from.symlink_metadata() {
            Ok(data) => data.file_type(),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        if !self.enter(file.parent().unwrap_or(Path::new("")))? {
            return Ok(false);
        }
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
        } else if kind.is_dir() {
            // A submodule: git lists its folder, whose files belong to another repository.
            fs::create_dir_all(to)?;
        } else if kind.is_file() {
            // Shares the blocks if the file system supports it.
            fs::copy(from, to)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Creates a folder of the copy. Returns `false` if the repository has a link in its place: as in `git status`, the
    /// files that git lists below it do not exist then.
    fn enter(&mut self, folder: &Path) -> io::Result<bool> {
        if let Some((last, ours)) = &self.last
            && last == folder
        {
            return Ok(*ours);
        }
        let linked = |folder: &&Path| self.from.join(folder).is_symlink();
        let ours = !folder.ancestors().filter(|folder| !folder.as_os_str().is_empty()).any(|folder| linked(&folder));
        if ours {
            fs::create_dir_all(self.to.join(folder))?;
        }
        self.last = Some((folder.to_owned(), ours));
        Ok(ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

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
        // Git does not enter a bare repository by itself here.
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
        assert!(to.join("nested").is_dir() && !to.join("nested/file").exists());
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
        for n in 0..2 * FEW {
            write(&from, format!("d{}/f{n}", n % 40), "x");
        }
        let summary = check_out(&from, &to, None).expect("checked out");
        assert!(summary.starts_with(&format!("Copied {} files", 2 * FEW)), "{summary}");
    }
}
