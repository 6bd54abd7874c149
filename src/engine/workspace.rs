//! `actions/checkout` of the repository that the run is of: a private copy of the user's files, with a git folder of
//! its own.
//!
//! The copy has what a push of the working tree would bring: tracked files as they are now, and new files that are not
//! ignored. Its git folder borrows the repository's objects and copies its index, so `git log`, `git describe` and
//! `git status` tell the truth, and nothing a job does can change the user's repository.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::git::{self, GitError};

/// Why a workspace could not be filled.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckoutError {
    #[error("{0}")]
    Git(#[from] GitError),
    #[error("cannot copy {}: {source}", path.display())]
    Copy { path: PathBuf, source: io::Error },
}

/// Copying in one thread is fast enough up to this many files.
const FEW: usize = 500;

/// Fills a folder, and says what was done in one line.
///
/// With a `wanted` ref it is that commit's files that are put there, without the working tree's changes.
///
/// # Errors
/// The ref is unknown, or a file cannot be copied.
pub(super) fn check_out(repository: &Path, target: &Path, wanted: Option<&str>) -> Result<String, CheckoutError> {
    let copy = |path: &Path| {
        let path = path.to_owned();
        move |source| CheckoutError::Copy { path, source }
    };
    clear(target).map_err(copy(target))?;
    let (from, to) = (repository.to_string_lossy().into_owned(), target.to_string_lossy().into_owned());
    git::git(repository, ["clone", "--quiet", "--shared", "--no-checkout", &from, &to])?;
    if let Ok(url) = git::git(repository, ["remote", "get-url", "origin"]) {
        git::git(target, ["remote", "set-url", "origin", url.trim()])?;
    }
    if let Some(wanted) = wanted {
        let known = git::git(repository, ["rev-parse", "--verify", &format!("{wanted}^{{commit}}")])?;
        git::git(target, ["checkout", "--quiet", "--detach", known.trim()])?;
        return Ok(format!("Checked out {wanted} ({}).", known.trim()));
    }
    let index = git::git(repository, ["rev-parse", "--path-format=absolute", "--git-path", "index"])?;
    let index = Path::new(index.trim());
    if index.exists() {
        fs::copy(index, target.join(".git/index")).map_err(copy(index))?;
    }
    let files = git::files(repository)?;
    let threads = if files.len() > FEW { std::thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let portions = files.chunks(files.len().div_ceil(threads).max(1));
    let copied: Result<Vec<()>, CheckoutError> = std::thread::scope(|scope| {
        let workers: Vec<_> = portions
            .map(|portion| {
                scope.spawn(move || {
                    portion.iter().try_for_each(|file| {
                        copy_file(&repository.join(file), &target.join(file))
                            .map_err(|source| CheckoutError::Copy { path: file.clone(), source })
                    })
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("copying does not panic")).collect()
    });
    copied?;
    Ok(format!("Copied {} files of the working tree of {}.", files.len(), repository.display()))
}

/// Leaves the folder there and empty: it may be a step's working directory.
fn clear(target: &Path) -> io::Result<()> {
    fs::create_dir_all(target)?;
    for entry in fs::read_dir(target)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

/// Copies a file or a link. A tracked file that was deleted is not there, as in the working tree.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let kind = match from.symlink_metadata() {
        Ok(data) => data.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    if kind.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, to)
    } else if kind.is_dir() {
        // A submodule: git lists its folder, and its files are its own repository's.
        fs::create_dir_all(to)
    } else {
        // Shares the blocks where the file system can.
        fs::copy(from, to).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_copy_is_the_working_tree_and_its_git_tells_the_truth() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("sub")).expect("made");
        git::git(&from, ["init", "-q", "-b", "main"]).expect("git init");
        let write = |name: &str, text: &str| fs::write(from.join(name), text).expect("written");
        write("kept", "1");
        write("changed", "1");
        write("deleted", "1");
        write(".gitignore", "ignored\n");
        write("sub/run.sh", "#!/bin/sh\n");
        fs::set_permissions(from.join("sub/run.sh"), fs::Permissions::from_mode(0o755)).expect("set");
        std::os::unix::fs::symlink("kept", from.join("link")).expect("linked");
        git::git(&from, ["add", "."]).expect("git add");
        git::git(&from, ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "x"]).expect("git commit");
        write("changed", "2");
        write("new", "1");
        write("ignored", "1");
        fs::remove_file(from.join("deleted")).expect("removed");

        check_out(&from, &to, None).expect("checked out");
        let text = |name: &str| fs::read_to_string(to.join(name)).ok();
        assert_eq!((text("changed").as_deref(), text("new").as_deref()), (Some("2"), Some("1")));
        assert_eq!((text("ignored"), text("deleted")), (None, None));
        assert!(to.join("link").is_symlink());
        assert_eq!(fs::metadata(to.join("sub/run.sh")).expect("there").permissions().mode() & 0o111, 0o111);
        let status = git::git(&to, ["status", "--porcelain"]).expect("git status");
        assert_eq!(status, " M changed\n D deleted\n?? new\n");
        assert_eq!(git::git(&to, ["rev-parse", "--abbrev-ref", "HEAD"]).expect("git").trim(), "main");

        git::git(&to, ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qam", "y"]).expect("git commit");
        assert_eq!(git::git(&from, ["log", "--oneline"]).expect("git log").lines().count(), 1);

        check_out(&from, &to, Some("HEAD")).expect("checked out");
        assert_eq!((text("changed").as_deref(), text("new")), (Some("1"), None));
    }
}
