//! Facts about a repository, from the `git` program: it brings the user's configuration, and a call costs 2 ms.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why git could not tell.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no program.
    #[error("git cannot be started ({0}): install it, cuelight needs it to find the repository")]
    Missing(std::io::Error),
    /// The folder is in no repository, or in one without files.
    #[error("{} is not in a git repository with files: run `git init` there, or go to one", .0.display())]
    NoRepository(PathBuf),
    /// A call failed.
    #[error("`git {what}` failed in {}: {message}", folder.display())]
    Failed {
        /// The call.
        what: String,
        /// Where.
        folder: PathBuf,
        /// What git said.
        message: String,
    },
}

/// What is known about a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The top of its files.
    pub root: PathBuf,
    /// The folder of its objects and refs, shared by its worktrees.
    pub common: PathBuf,
    /// The commit; empty before the first.
    pub sha: String,
    /// The full ref: the branch that is checked out, or a tag on a detached commit, or the commit itself.
    pub git_ref: String,
    /// `owner/name`, from the address of `origin`, else from the folder's name.
    pub slug: String,
    /// The user's name for `github.actor`.
    pub actor: String,
}

impl Repository {
    /// A folder that stands for a repository without being one.
    #[must_use]
    pub fn unversioned(folder: &Path, slug: &str) -> Self {
        Self {
            root: folder.to_owned(),
            common: folder.to_owned(),
            sha: "0".repeat(40),
            git_ref: "refs/heads/main".to_owned(),
            slug: slug.to_owned(),
            actor: "local".to_owned(),
        }
    }

    /// Looks at the repository that a folder is in.
    ///
    /// # Errors
    /// There is no git, or the folder is in no repository.
    pub fn discover(folder: &Path) -> Result<Self, GitError> {
        let places = git(folder, ["rev-parse", "--path-format=absolute", "--show-toplevel", "--git-common-dir"]);
        let places = match places {
            Ok(places) => places,
            Err(GitError::Missing(error)) => return Err(GitError::Missing(error)),
            Err(_) => return Err(GitError::NoRepository(folder.to_owned())),
        };
        let mut lines = places.lines();
        let (root, common) =
            (PathBuf::from(lines.next().unwrap_or_default()), PathBuf::from(lines.next().unwrap_or_default()));
        // One call tells branch and commit; it fails before the first commit.
        let head = git(&root, ["rev-parse", "HEAD", "--symbolic-full-name", "HEAD"]);
        let (sha, full) = match &head {
            Ok(head) => {
                let mut lines = head.lines();
                (lines.next().unwrap_or_default().to_owned(), lines.next().unwrap_or_default().to_owned())
            }
            Err(_) => (String::new(), git(&root, ["symbolic-ref", "HEAD"]).unwrap_or_default().trim().to_owned()),
        };
        let git_ref = if full == "HEAD" || full.is_empty() {
            let tag = git(&root, ["describe", "--tags", "--exact-match"]).unwrap_or_default();
            if tag.trim().is_empty() { sha.clone() } else { format!("refs/tags/{}", tag.trim()) }
        } else {
            full
        };
        let config = git(&root, ["config", "--get-regexp", r"^(remote\.origin\.url|user\.name)$"]).unwrap_or_default();
        let value =
            |key: &str| config.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).unwrap_or_default();
        let slug = slug(value("remote.origin.url")).unwrap_or_else(|| {
            let name = root.file_name().map(|name| name.to_string_lossy().into_owned());
            format!("local/{}", name.unwrap_or_else(|| "repository".to_owned()))
        });
        let actor = value("user.name").to_owned();
        let actor = if actor.is_empty() { "local".to_owned() } else { actor };
        Ok(Self { root, common, sha, git_ref, slug, actor })
    }
}

/// `owner/name` of an address such as `git@host:owner/name.git`.
fn slug(url: &str) -> Option<String> {
    let path = url.trim().trim_end_matches('/').trim_end_matches(".git");
    let mut parts = path.rsplit(['/', ':']);
    let (name, owner) = (parts.next()?, parts.next()?);
    let fine = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    (fine(name) && fine(owner) && url.contains(':')).then(|| format!("{owner}/{name}"))
}

/// The files that a checkout of the working tree would have: tracked ones and new ones that are not ignored.
///
/// # Errors
/// The call failed.
pub fn files(root: &Path) -> Result<Vec<PathBuf>, GitError> {
    let listed = git(root, ["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z"])?;
    Ok(listed.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect())
}

/// Runs git in a folder and gives what it printed.
///
/// # Errors
/// It cannot be started, or it failed.
pub fn git<A: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = A>) -> Result<String, GitError> {
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(&args)
        .envs([("GIT_OPTIONAL_LOCKS", "0"), ("GIT_TERMINAL_PROMPT", "0"), ("LC_ALL", "C")])
        // A git hook that starts us points these at its own repository.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null())
        .output()
        .map_err(GitError::Missing)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(GitError::Failed {
        what: args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" "),
        folder: folder.to_owned(),
        message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_come_from_addresses() {
        for (url, expected) in [
            ("git@github.com:aura/platform.git", Some("aura/platform")),
            ("https://github.com/aura/platform", Some("aura/platform")),
            ("ssh://git@host:22/aura/platform.git/", Some("aura/platform")),
            ("/srv/git/platform", None),
            ("", None),
        ] {
            assert_eq!(slug(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_repository_is_known_before_and_after_its_first_commit() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("exists");
        assert!(matches!(Repository::discover(&root), Err(GitError::NoRepository(_))));
        git(&root, ["init", "-q", "-b", "main"]).expect("git init");
        let fresh = Repository::discover(&root).expect("found");
        assert_eq!((fresh.sha.as_str(), fresh.git_ref.as_str(), &fresh.root), ("", "refs/heads/main", &root));
        std::fs::write(root.join("a b.txt"), "x").expect("written");
        std::fs::create_dir(root.join("sub")).expect("made");
        assert_eq!(files(&root.join("sub")).expect("listed"), Vec::<PathBuf>::new());
        assert_eq!(files(&root).expect("listed"), [PathBuf::from("a b.txt")]);
        git(&root, ["add", "."]).expect("git add");
        git(&root, ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "x"]).expect("git commit");
        let known = Repository::discover(&root.join("sub")).expect("found");
        assert_eq!((known.sha.len(), known.root == root), (40, true));
        git(&root, ["checkout", "-q", "--detach"]).expect("git checkout");
        assert_eq!(Repository::discover(&root).expect("found").git_ref, known.sha);
    }
}
