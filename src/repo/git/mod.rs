//! Reads information about a repository with the `git` program, which applies the user's configuration. A call takes
//! about 2 ms.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;
use std::time::Duration;

use super::address::without_credentials;
use crate::files::{self, FileError};
use crate::model::RepositoryId;

mod readable;
mod runner;

use readable::{check_git_files, check_named, linked_git_folder};
pub use runner::{Abort, Access, POINTERS, command, git, git_capped, git_on_index, git_until, git_with};
use runner::{failed, run, run_until};

/// Why git cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// Git is not installed or cannot be started.
    #[error("git cannot be started ({0}): install it, cuelight needs it to find the repository")]
    Missing(std::io::Error),
    /// The folder is not in a git working tree.
    #[error("{} is not in a git working tree: run `git init` there, or change to a repository", .0.display())]
    NoRepository(PathBuf),
    /// A folder between the current one and the root is itself a git folder, whose configuration git would apply.
    #[error("{} is in a bare git repository: change to a working tree", .0.display())]
    Bare(PathBuf),
    /// The configuration of the repository places its files elsewhere.
    #[error("the configuration of {} puts its files into {}, which has no `.git`: remove `core.worktree`", git_folder.display(), root.display())]
    Misplaced {
        /// The repository's git folder.
        git_folder: PathBuf,
        /// The folder named in its configuration.
        root: PathBuf,
    },
    /// The path of the repository or of its git folder is not UTF-8 or contains a newline: git prints it as a line, and
    /// steps get it as text.
    #[error("the path of the repository, {path:?}, {fault}: rename the folder")]
    Unnameable {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A file that git reads is not a regular file, or is too large.
    #[error("git cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why git cannot read it.
        source: FileError,
    },
    /// A call did not end within its time limit.
    #[error("`git {what}` in {} did not end within {} s: is a FIFO or a device among the files there?", folder.display(), limit.as_secs())]
    TooSlow {
        /// The command.
        what: String,
        /// The folder in which it ran.
        folder: PathBuf,
        /// The time limit.
        limit: Duration,
    },
    /// A call was interrupted.
    #[error("`git {what}` in {} was interrupted", folder.display())]
    Interrupted {
        /// The command.
        what: String,
        /// The folder in which it ran.
        folder: PathBuf,
    },
    /// The index has an entry that git itself would never write.
    #[error("the git index of {} names {path:?}, which is not a path in the repository: `git rm --cached` removes it", folder.display())]
    NotInTree {
        /// The folder that was listed.
        folder: PathBuf,
        /// The path.
        path: PathBuf,
    },
    /// A call failed.
    #[error("`git {what}` failed in {}: {message}", folder.display())]
    Failed {
        /// The command.
        what: String,
        /// The folder in which it ran.
        folder: PathBuf,
        /// Git's error output.
        message: String,
    },
}

/// Id of the commit of a folder that is not in a git repository.
pub const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// State of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Root of the working tree.
    pub root: PathBuf,
    /// Folder of objects and refs, shared by worktrees.
    pub common: PathBuf,
    /// Whether the shared folder lists the root as one of its worktrees. A `.git` file in the root that names the
    /// folder is not enough: anyone can write one.
    pub is_known_worktree: bool,
    /// Id of the current commit; empty before the first one, and zeros outside of a git repository.
    pub sha: String,
    /// Full ref: the current branch, or a tag on a detached commit, or the id of the commit itself.
    pub git_ref: String,
    /// `owner/name` from the address of `origin`, else `local/` and the name of the folder.
    pub slug: String,
    /// The address of `origin`; empty without one.
    pub origin: String,
    /// Name of the user, for `github.actor`.
    pub actor: String,
    /// Mail address of the user; empty if git has none.
    pub email: String,
}

impl Repository {
    /// Returns the state of a folder that is not in a git repository.
    #[must_use]
    pub fn unversioned(folder: &Path, slug: &str) -> Self {
        Self {
            root: folder.to_owned(),
            common: folder.to_owned(),
            is_known_worktree: false,
            sha: NO_COMMIT.to_owned(),
            git_ref: "refs/heads/main".to_owned(),
            slug: slug.to_owned(),
            origin: String::new(),
            actor: "local".to_owned(),
            email: String::new(),
        }
    }

    /// Reads the repository that contains a folder.
    ///
    /// # Errors
    /// Git is missing, the folder is not in a working tree, or git refuses to read the repository.
    pub fn discover(folder: &Path) -> Result<Self, GitError> {
        if let Some(bare) =
            folder.ancestors().take_while(|folder| !is_root(folder)).find(|folder| is_git_folder(folder))
        {
            return Err(GitError::Bare(bare.to_owned()));
        }
        folder.ancestors().find(|folder| is_root(folder)).map_or(Ok(()), check_git_files)?;
        // In parallel, the two calls take as long as one.
        let (facts, config) = thread::scope(|scope| {
            let config = scope.spawn(|| git(folder, ["config", "-z", "--get-regexp", KEYS]));
            let facts = run(folder, Access::Guarded, &FACTS.map(OsString::from));
            (facts, config.join().expect("reading a configuration does not panic").unwrap_or_default())
        });
        let facts = facts?;
        let lines: Vec<&[u8]> = facts.stdout.split(|byte| *byte == b'\n').collect();
        let (folders, head) = match *lines.as_slice() {
            [root, common, own, sha, full, b""] if facts.status.success() => ([root, common, own], Some((sha, full))),
            // Before the first commit, HEAD does not exist: git fails after it has printed the folders.
            [root, common, own, b"HEAD", b""] | [root, common, own, b""] => ([root, common, own], None),
            [_, _, _, _, ..] => {
                return Err(GitError::Unnameable { path: folder.to_owned(), fault: "contains a newline" });
            }
            _ => return Err(not_discovered(folder, &facts)),
        };
        let [root, common, git_folder] = folders.map(utf8_path);
        let (root, common, git_folder) = (root?, common?, git_folder?);
        for entry in config.split('\0') {
            if let Some(("core.excludesfile" | "core.attributesfile", path)) = entry.split_once('\n') {
                check_named(&root, path)?;
            }
        }
        if linked_git_folder(&root) != git_folder.canonicalize().ok() {
            return Err(GitError::Misplaced { git_folder, root });
        }
        let (sha, full) = match head {
            Some((sha, full)) => (text(sha), text(full)),
            None => (String::new(), git(&root, ["symbolic-ref", "HEAD"])?.trim().to_owned()),
        };
        let git_ref = if full == "HEAD" {
            let tag = git(&root, ["describe", "--tags", "--exact-match"]).unwrap_or_default();
            if tag.trim().is_empty() { sha.clone() } else { format!("refs/tags/{}", tag.trim()) }
        } else {
            full
        };
        let value = |key: &str| {
            // The last entry counts: the repository's configuration comes after the user's.
            let entries = config.split('\0').filter_map(|entry| entry.split_once('\n'));
            entries.rev().find(|(name, _)| *name == key).map(|(_, value)| value).unwrap_or_default()
        };
        let origin = without_credentials(value("remote.origin.url").trim());
        let slug = slug(&origin).unwrap_or_else(|| {
            let name = root.file_name().map(|name| name.to_string_lossy().into_owned());
            format!("local/{}", name.unwrap_or_else(|| "repository".to_owned()))
        });
        let actor = value("user.name").to_owned();
        let actor = if actor.is_empty() { "local".to_owned() } else { actor };
        let email = value("user.email").trim().to_owned();
        let is_known_worktree = is_known_worktree(&root, &git_folder, &common);
        Ok(Self { root, common, is_known_worktree, sha, git_ref, slug, origin, actor, email })
    }

    /// Returns the root if the repository is named after its folder, because `origin` does not name it. Other
    /// repositories may have the same name. `None` if `origin` names the repository.
    #[must_use]
    pub fn folder_of_name(&self) -> Option<&Path> {
        slug(&self.origin).is_none().then_some(&self.root)
    }

    /// Returns the identity of this repository, by which its runs are found.
    #[must_use]
    pub fn id(&self) -> RepositoryId {
        RepositoryId { name: self.slug.clone(), folder: self.folder_of_name().map(Path::to_owned) }
    }
}

/// Returns the folder of objects and refs of a repository, which its worktrees share, as git prints it.
///
/// # Errors
/// As for [`git_until`].
pub fn common_folder(abort: Option<&Abort>, folder: &Path) -> Result<PathBuf, GitError> {
    let printed =
        git_until(abort, folder, Access::Guarded, ["rev-parse", "--path-format=absolute", "--git-common-dir"])?;
    Ok(PathBuf::from(printed.trim_end_matches('\n')))
}

/// Returns the reason why git found no repository.
fn not_discovered(folder: &Path, facts: &Output) -> GitError {
    let message = String::from_utf8_lossy(&facts.stderr);
    let none = ["not a git repository", "must be run in a work tree"];
    if none.iter().any(|words| message.contains(words)) {
        GitError::NoRepository(folder.to_owned())
    } else if message.contains("cannot use bare repository") {
        GitError::Bare(folder.to_owned())
    } else {
        failed(folder, &FACTS.map(OsString::from), facts)
    }
}

/// Returns a path that git printed.
fn utf8_path(printed: &[u8]) -> Result<PathBuf, GitError> {
    let path = PathBuf::from(OsString::from_vec(printed.to_vec()));
    if path.to_str().is_some() { Ok(path) } else { Err(GitError::Unnameable { path, fault: "is not UTF-8" }) }
}

fn text(printed: &[u8]) -> String {
    String::from_utf8_lossy(printed).into_owned()
}

/// Keys of the configuration that are read: keys of facts about the repository, and keys that name files for git to
/// read.
const KEYS: &str = r"^(remote\.origin\.url|user\.(name|email)|core\.(excludesfile|attributesfile))$";

/// Arguments that print the folders, then commit and ref.
const FACTS: [&str; 8] = [
    "rev-parse",
    "--path-format=absolute",
    "--show-toplevel",
    "--git-common-dir",
    "--absolute-git-dir",
    "HEAD",
    "--symbolic-full-name",
    "HEAD",
];

/// Whether git accepts a folder as a git folder, whatever its name.
fn is_git_folder(folder: &Path) -> bool {
    folder.join("HEAD").symlink_metadata().is_ok() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}

/// Whether git accepts a folder as the root of a working tree.
fn is_root(folder: &Path) -> bool {
    let link = folder.join(".git");
    link.is_file() || is_git_folder(&link)
}

/// The `diff` command with the options of every call. It starts no program that the repository names, not even git in a
/// submodule.
pub const DIFF: [&str; 5] = ["diff", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty"];

/// Whether the git folder of a worktree is in the shared folder and names the root of the worktree.
fn is_known_worktree(root: &Path, git_folder: &Path, common: &Path) -> bool {
    if !git_folder.starts_with(common.join("worktrees")) {
        return false;
    }
    let Ok(text) = files::read_text(&git_folder.join("gitdir")) else { return false };
    let named = git_folder.join(text.trim());
    // The last component is not resolved: a link from elsewhere to the worktree's `.git` does not make a worktree.
    let is_link = root.join(".git").is_symlink();
    !is_link
        && named.ends_with(".git")
        && named.parent().and_then(|folder| folder.canonicalize().ok()).as_deref() == Some(root)
}

/// Returns `owner/name` of an address such as `git@host:owner/name.git`. `None` if the address has another form.
fn slug(url: &str) -> Option<String> {
    let path = url.trim().trim_end_matches('/').trim_end_matches(".git");
    let mut parts = path.rsplit(['/', ':']);
    let (name, owner) = (parts.next()?, parts.next()?);
    let fine = |part: &str| {
        !["", ".", ".."].contains(&part) && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    (fine(name) && fine(owner) && url.contains(':')).then(|| format!("{owner}/{name}"))
}

/// Returns the files that a checkout of the working tree would have: tracked ones and new ones that are not ignored.
///
/// # Errors
/// The call failed or was interrupted, or the index names a path that is not in the working tree.
pub fn files(root: &Path, abort: Option<&Abort>) -> Result<Vec<PathBuf>, GitError> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z"].map(OsString::from);
    let listed = run_until(abort, root, Access::Guarded, &list)?;
    if !listed.status.success() {
        return Err(failed(root, &list, &listed));
    }
    let names = listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| in_tree(root, PathBuf::from(OsString::from_vec(name.to_vec())))).collect()
}

/// Checks that a path from an index is below the root of the working tree and not in a git folder, and returns the
/// path. An index that was not written by git may contain any path.
///
/// # Errors
/// The path is elsewhere.
pub fn in_tree(folder: &Path, path: PathBuf) -> Result<PathBuf, GitError> {
    let bytes = path.as_os_str().as_bytes();
    // Git prints a slash after a repository that is not a submodule.
    let bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
    let is_plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.eq_ignore_ascii_case(b".git");
    if bytes.split(|byte| *byte == b'/').all(is_plain) {
        Ok(path)
    } else {
        Err(GitError::NotInTree { folder: folder.to_owned(), path })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn slugs_come_from_addresses() {
        for (url, expected) in [
            ("git@github.com:aura/platform.git", Some("aura/platform")),
            ("https://github.com/aura/platform", Some("aura/platform")),
            ("ssh://git@host:22/aura/platform.git/", Some("aura/platform")),
            ("/srv/git/platform", None),
            ("https://github.com/a/..", None),
            ("https://github.com/../b", None),
            ("https://github.com/a/..git", None),
            ("", None),
        ] {
            assert_eq!(slug(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn only_paths_of_the_working_tree_are_taken_from_an_index() {
        let taken = |path: &str| in_tree(Path::new("/r"), PathBuf::from(path));
        for path in ["a", "a/b", "vendor/lib/", "..a/b..", ".gitignore", "a/.github/b", "-x"] {
            assert_eq!(taken(path).expect(path), Path::new(path));
        }
        for path in
            ["", "/", "/etc/passwd", "../a", "a/../../b", "a//b", "./a", "a/..", ".git/config", "a/.GIT/x", ".gIt"]
        {
            let error = taken(path).expect_err(path).to_string();
            assert!(error.contains(&format!("{path:?}")), "{error}");
        }
    }

    fn repository() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("exists").join("repo");
        std::fs::create_dir(&root).expect("made");
        git(&root, ["init", "-q", "-b", "main"]).expect("git init");
        (folder, root)
    }

    fn commit(root: &Path) {
        git(root, ["add", "."]).expect("git add");
        let who = ["-c", "user.name=A", "-c", "user.email=a@b"];
        git(root, who.into_iter().chain(["commit", "-qm", "x"])).expect("git commit");
    }

    #[test]
    fn a_repository_is_known_before_and_after_its_first_commit() {
        let (folder, root) = repository();
        assert!(matches!(Repository::discover(folder.path()), Err(GitError::NoRepository(_))));
        let fresh = Repository::discover(&root).expect("found");
        assert_eq!((fresh.sha.as_str(), fresh.git_ref.as_str(), &fresh.root), ("", "refs/heads/main", &root));
        assert_eq!((fresh.slug.as_str(), &fresh.common), ("local/repo", &root.join(".git")));
        std::fs::write(root.join("a b.txt"), "x").expect("written");
        std::fs::create_dir(root.join("sub")).expect("made");
        assert_eq!(files(&root.join("sub"), None).expect("listed"), Vec::<PathBuf>::new());
        assert_eq!(files(&root, None).expect("listed"), [PathBuf::from("a b.txt")]);
        commit(&root);
        let known = Repository::discover(&root.join("sub")).expect("found");
        assert_eq!((known.sha.len(), known.root == root), (40, true));
        git(&root, ["checkout", "-q", "--detach"]).expect("git checkout");
        assert_eq!(Repository::discover(&root).expect("found").git_ref, known.sha);
        git(&root, ["tag", "v1"]).expect("git tag");
        assert_eq!(Repository::discover(&root).expect("found").git_ref, "refs/tags/v1");
    }

    #[test]
    fn the_address_and_the_user_come_from_the_configuration() {
        let (_folder, root) = repository();
        git(&root, ["remote", "add", "origin", "git@github.com:aura/platform.git"]).expect("git remote");
        git(&root, ["config", "user.name", "Ada L"]).expect("git config");
        let known = Repository::discover(&root).expect("found");
        assert_eq!((known.slug.as_str(), known.actor.as_str()), ("aura/platform", "Ada L"));
        assert_eq!(known.origin, "git@github.com:aura/platform.git");
    }

    #[test]
    fn a_worktree_is_a_repository_and_a_bare_one_has_no_files() {
        let (folder, root) = repository();
        std::fs::write(root.join("a"), "x").expect("written");
        commit(&root);
        let tree = root.with_file_name("tree");
        git(
            &root,
            [OsStr::new("worktree"), OsStr::new("add"), OsStr::new("-qb"), OsStr::new("side"), tree.as_os_str()],
        )
        .expect("git worktree");
        let known = Repository::discover(&tree).expect("found");
        assert_eq!((known.git_ref.as_str(), &known.root), ("refs/heads/side", &tree));
        assert_eq!(known.common, root.join(".git"));
        let bare = folder.path().join("bare");
        git(folder.path(), ["init", "-q", "--bare", "bare"]).expect("git init");
        let error = Repository::discover(&bare).expect_err("no files");
        assert!(error.to_string().contains("working tree"), "{error}");
    }

    #[test]
    fn names_that_are_no_text_are_listed_as_they_are() {
        let (_folder, root) = repository();
        let name = PathBuf::from(OsString::from_vec(b"a\xff\nb".to_vec()));
        std::fs::write(root.join(&name), "x").expect("written");
        assert_eq!(files(&root, None).expect("listed"), [name]);
    }

    #[test]
    fn a_path_that_is_not_a_line_of_text_is_refused() {
        let (folder, root) = repository();
        let top = folder.path().canonicalize().expect("exists");
        for (name, fault) in
            [(&b"a\nb"[..], "contains a newline"), (b"\n", "contains a newline"), (b"a\xff", "is not UTF-8")]
        {
            let odd = top.join(OsStr::from_bytes(name));
            std::fs::rename(&root, &odd).expect("moved");
            for committed in [false, true] {
                if committed {
                    std::fs::write(odd.join("file"), name).expect("written");
                    commit(&odd);
                }
                let error = Repository::discover(&odd).expect_err("an odd name").to_string();
                assert!(
                    error.contains(fault) && error.ends_with("rename the folder") && !error.contains('\n'),
                    "{error}"
                );
            }
            // The odd folder also holds the git folder of another root.
            let other = top.join("other");
            git(
                &odd,
                [OsStr::new("worktree"), OsStr::new("add"), OsStr::new("-fqB"), OsStr::new("b"), other.as_os_str()],
            )
            .expect("git worktree");
            let error = Repository::discover(&other).expect_err("an odd git folder").to_string();
            assert!(error.contains(fault), "{error}");
            git(&odd, ["worktree", "remove", "--force", "../other"]).expect("git worktree");
            std::fs::rename(&odd, &root).expect("moved");
        }
        let odd = top.join("\u{1b}[31m\r");
        std::fs::rename(&root, &odd).expect("moved");
        assert_eq!(Repository::discover(&odd).expect("found").root, odd);
    }

    #[test]
    fn what_git_refuses_is_told_in_its_words() {
        let (_folder, root) = repository();
        std::fs::write(root.join(".git/config"), "[core\n").expect("written");
        let error = Repository::discover(&root).expect_err("a broken configuration").to_string();
        assert!(error.contains("config"), "{error}");
    }
}
