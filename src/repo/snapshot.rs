//! Commits the working tree as it is, and pushes the commit to a branch of a server. The user's branch, index and stash
//! do not change.

use std::fs;
use std::io;
use std::path::Path;

use crate::files::{self, FileError};

use super::git::{Access, DIFF, GitError, Repository, git, git_on_index, git_with};

/// Why the working tree cannot be committed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The index cannot be copied.
    #[error("cannot copy the git index: {0}")]
    Index(#[from] FileError),
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        Self::Index(error.into())
    }
}

/// Commits the tracked files of a working tree, and the new ones that are not ignored, on top of its current commit.
/// Returns the id of the new commit, which no ref names. `index` is the path of a temporary file that must not exist:
/// it becomes a copy of the index, and is removed. Files with a name in `left_out`, in any folder and case, are
/// committed only if the current commit has them.
///
/// # Errors
/// Git failed, or the index cannot be copied.
pub fn commit(
    repository: &Repository,
    access: Access,
    index: &Path,
    left_out: &[&str],
    message: &str,
) -> Result<String, SnapshotError> {
    let root = &repository.root;
    let own = git(root, ["rev-parse", "--git-path", "index"])?;
    match files::open(&root.join(own.trim_end_matches('\n'))) {
        Ok(mut from) => io::copy(&mut from, &mut files::create_own(index)?).map(drop)?,
        Err(error) if error.is_missing() => {}
        Err(error) => return Err(error.into()),
    }
    let tree = tree(repository, access, index, left_out);
    // This removes only the copy.
    let _ = fs::remove_file(index);
    let tree = tree?;
    let (name, email) = (format!("user.name={}", repository.actor), format!("user.email={}", email(repository)));
    let mut args = vec!["-c", &name, "-c", &email, "commit-tree", "-m", message];
    if !repository.sha.is_empty() {
        args.extend(["-p", &repository.sha]);
    }
    args.push(&tree);
    Ok(git_with(root, access, args)?.trim().to_owned())
}

/// Writes the tree of the files and returns its id.
fn tree(repository: &Repository, access: Access, index: &Path, left_out: &[&str]) -> Result<String, GitError> {
    let Repository { root, sha, .. } = repository;
    let patterns: Vec<String> = left_out.iter().map(|name| format!(":(exclude,top,icase,glob)**/{name}")).collect();
    git_on_index(index, root, access, ["add", "--update", "--", ":(top)"])?;
    let all = ["add", "--all", "--", ":(top)"].into_iter().chain(patterns.iter().map(String::as_str));
    git_on_index(index, root, access, all)?;
    // A file of the last commit stays, whatever its name, because servers already have it. A file that is only in the
    // index is not on servers yet.
    let added = if sha.is_empty() {
        git_on_index(index, root, access, ["ls-files", "-z", ":(top)"])?
    } else {
        let added = DIFF.into_iter().chain(["--cached", "--name-only", "--diff-filter=A", "-z", sha, "--"]);
        git_on_index(index, root, access, added)?
    };
    let is_left_out = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        left_out.iter().any(|secret| name.eq_ignore_ascii_case(secret))
    };
    for path in added.split('\0').filter(is_left_out) {
        let path = format!(":(top,literal){path}");
        git_on_index(index, root, access, ["rm", "--quiet", "--cached", "--force", "--", &path])?;
    }
    Ok(git_on_index(index, root, access, ["write-tree"])?.trim().to_owned())
}

/// Returns the number of files that differ between a commit and its parent.
///
/// # Errors
/// Git failed.
pub fn changed(root: &Path, sha: &str) -> Result<usize, GitError> {
    let names = ["diff-tree", "--root", "-r", "--no-commit-id", "--name-only", "-z", sha];
    Ok(git_with(root, Access::Trusted, names)?.split_terminator('\0').count())
}

fn email(repository: &Repository) -> &str {
    if repository.email.is_empty() { "cuelight@localhost" } else { &repository.email }
}

/// Pushes a commit to a new branch of a remote.
///
/// # Errors
/// The branch exists, or the server refuses or gives no answer.
pub fn push(root: &Path, remote: &str, commit: &str, branch: &str) -> Result<(), GitError> {
    // An empty expected value means that the branch must not exist.
    let (lease, refs) = (format!("--force-with-lease=refs/heads/{branch}:"), format!("{commit}:refs/heads/{branch}"));
    git_with(root, Access::Trusted, push_of(&lease, remote, &refs)).map(drop)
}

/// Returns the arguments of a push of one ref and nothing else, whatever the user's settings add to other pushes.
fn push_of<'a>(lease: &'a str, remote: &'a str, refs: &'a str) -> [&'a str; 9] {
    ["push", "--quiet", "--no-verify", "--no-follow-tags", "--no-signed", lease, "--", remote, refs]
}

/// Deletes a branch of a remote, if it is still at a commit. Does nothing if the remote has no such branch.
///
/// # Errors
/// The branch is at another commit, or the server refuses or gives no answer.
pub fn delete(root: &Path, remote: &str, commit: &str, branch: &str) -> Result<(), GitError> {
    let full = format!("refs/heads/{branch}");
    let (lease, refs) = (format!("--force-with-lease={full}:{commit}"), format!(":{full}"));
    let deleted = git_with(root, Access::Trusted, push_of(&lease, remote, &refs));
    let Err(error) = deleted else { return Ok(()) };
    // Looks for the branch at the address for pushes, because fetches may use another address.
    let address = git_with(root, Access::Trusted, ["remote", "get-url", "--push", remote]);
    let found =
        address.and_then(|address| git_with(root, Access::Trusted, ["ls-remote", "--quiet", address.trim(), &full]));
    match found {
        Ok(found) if found.trim().is_empty() => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files_of(root: &Path, commit: &str) -> String {
        let listed = git(root, ["ls-tree", "-r", "--name-only", commit]).expect("a tree");
        listed.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_working_tree_is_committed_and_nothing_of_the_user_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("repository");
        fs::create_dir_all(root.join("deep")).expect("made");
        let write = |name: &str, text: &str| fs::write(root.join(name), text).expect("written");
        git(&root, ["init", "-q", "-b", "main"]).expect("git init");
        for name in ["kept", "changed", "staged", "gone", "deep/.secrets"] {
            write(name, "one\n");
        }
        write(".gitignore", "ignored\n");
        let example = "KEY=\n".repeat(13);
        write("env.example", &example);
        git(&root, ["add", "--all"]).expect("git add");
        git(&root, ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "x"]).expect("git commit");
        write("changed", "two\n");
        write("staged", "two\n");
        git(&root, ["add", "staged"]).expect("git add");
        write("staged", "three\n");
        write("deep/.secrets", "tracked\n");
        for name in ["new", "ignored", ".secrets", ".Secrets", "deep/.SECRETS"] {
            write(name, "new\n");
        }
        // Servers do not have a file that is only in the index.
        git(&root, ["add", "--intent-to-add", ".secrets"]).expect("git add");
        git(&root, ["add", "deep/.SECRETS"]).expect("git add");
        // Nor do they have a renamed file with new content, although it resembles one that they have.
        fs::create_dir(root.join("sub")).expect("made");
        git(&root, ["mv", "env.example", "sub/.secrets"]).expect("git mv");
        write("sub/.secrets", &format!("{example}TOKEN=x\n"));
        git(&root, ["config", "push.followTags", "true"]).expect("git config");
        git(&root, ["-c", "user.name=A", "-c", "user.email=a@b", "tag", "-a", "v9", "-m", "x"]).expect("git tag");
        fs::remove_file(root.join("gone")).expect("removed");

        let state = || {
            let status = git(&root, ["status", "--porcelain=v1", "--untracked-files=all"]).expect("a status");
            let refs = git(&root, ["for-each-ref"]).expect("refs");
            (status, refs, git(&root, ["rev-parse", "HEAD"]).expect("a commit"), git(&root, ["diff", "--cached"]))
        };
        let before = format!("{:?}", state());
        let repository = Repository::discover(&root).expect("a repository");
        let index = folder.path().join("index");
        let sha =
            commit(&repository, Access::Guarded, &index, &[".secrets"], "A tree\n\n[skip ci]").expect("committed");
        assert_eq!(format!("{:?}", state()), before);
        assert!(!index.exists() && !folder.path().join("index.lock").exists());
        assert_eq!(files_of(&root, &sha), ".gitignore changed deep/.secrets kept new staged");
        assert_eq!(changed(&root, &sha).expect("counted"), 6, "changed deep/.secrets env.example gone new staged");
        let text = |name: &str| git(&root, ["show", &format!("{sha}:{name}")]).expect("a file");
        assert_eq!(
            (text("changed"), text("staged"), text("deep/.secrets")),
            ("two\n".into(), "three\n".into(), "tracked\n".into())
        );
        assert_eq!(git(&root, ["rev-parse", &format!("{sha}^")]).expect("a parent").trim(), repository.sha);

        let server = folder.path().join("server.git");
        git(folder.path(), ["init", "-q", "--bare", "server.git"]).expect("git init");
        git(&root, ["remote", "add", "origin", server.to_str().expect("text")]).expect("git remote");
        push(&root, "origin", &sha, "cuelight/x").expect("pushed");
        let on_server = || git_with(&root, Access::Trusted, ["ls-remote", "origin"]).expect("refs");
        assert_eq!(on_server(), format!("{sha}\trefs/heads/cuelight/x\n"));
        push(&root, "origin", &repository.sha, "cuelight/x").expect_err("it exists");
        delete(&root, "origin", &repository.sha, "cuelight/x").expect_err("it is at another commit");
        delete(&root, "origin", &sha, "cuelight/x").expect("deleted");
        delete(&root, "origin", &sha, "cuelight/x").expect("it is gone");
        assert_eq!(on_server(), "");
        assert_eq!(format!("{:?}", state()), before);
    }
}
