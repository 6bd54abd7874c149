//! Uncommitted changes of the working tree, which a run uses besides its commit.

use std::path::{Path, PathBuf};

use crate::files;

use super::git::{Abort, Access, DIFF, GitError, git_capped, git_until};

/// Maximum length of a diff in bytes.
const MAX_DIFF: usize = 1024 * 1024;

/// The files that differ from the commit, or are new and not ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uncommitted {
    /// Paths relative to the root, sorted.
    pub files: Vec<String>,
    /// Changes of the files in the format of `git diff`, with the content of new files; empty without changes. A diff
    /// of more than 1 MiB is truncated.
    pub diff: String,
}

impl Uncommitted {
    /// Reads the changes of the working tree since `sha`, the current commit, which is empty before the first one. The
    /// diff leaves out new files that are among `secrets`.
    ///
    /// # Errors
    /// Git cannot list the files.
    pub fn read(root: &Path, access: Access, sha: &str, secrets: &[PathBuf]) -> Result<Self, GitError> {
        Calls { root, access, abort: None }.uncommitted(sha, secrets)
    }

    /// Returns the changes of a working tree whose files git cannot list, with one entry that describes the failure:
    /// without an entry, the working tree would count as unchanged.
    #[must_use]
    pub fn unlisted(error: &GitError) -> Self {
        let files = vec!["(files that git could not list)".to_owned()];
        Self { files, diff: format!("(the changes cannot be listed: {error})\n") }
    }

    /// Reads the changes since `sha` as [`read`](Self::read) does, but also if another commit is checked out now. Ends
    /// early if it is interrupted.
    ///
    /// # Errors
    /// Git cannot list the files, the repository does not have the commit, or the call was interrupted.
    pub fn since(
        root: &Path,
        access: Access,
        sha: &str,
        secrets: &[PathBuf],
        abort: Option<&Abort>,
    ) -> Result<Self, GitError> {
        let calls = Calls { root, access, abort };
        if sha.is_empty() {
            return calls.uncommitted(sha, secrets);
        }
        let changed = calls.changed()?;
        let files = calls.names_since(sha, &changed)?;
        let since = (!files.is_empty()).then_some(sha);
        Ok(Self { files, diff: calls.diff(since, &changed, secrets) })
    }
}

/// Calls of git in a repository.
#[derive(Clone, Copy)]
struct Calls<'r> {
    root: &'r Path,
    access: Access,
    /// Interrupts the calls.
    abort: Option<&'r Abort>,
}

impl Calls<'_> {
    /// Returns the changes of the working tree since `sha`, the current commit, which is empty before the first one.
    fn uncommitted(self, sha: &str, secrets: &[PathBuf]) -> Result<Uncommitted, GitError> {
        let mut changed = self.changed()?;
        for (is_new, _) in &mut changed {
            *is_new |= sha.is_empty();
        }
        let since = changed.iter().any(|(is_new, _)| !is_new).then_some(sha);
        let diff = self.diff(since, &changed, secrets);
        Ok(Uncommitted { files: changed.into_iter().map(|(_, file)| file).collect(), diff })
    }

    /// Returns the files that differ from the current commit, sorted, and whether each of them is untracked.
    fn changed(self) -> Result<Vec<(bool, String)>, GitError> {
        let status =
            ["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=dirty"];
        let status = git_until(self.abort, self.root, self.access, status)?;
        let entries = status.split('\0');
        let mut changed: Vec<(bool, String)> =
            entries.filter_map(|entry| Some((entry.starts_with("??"), entry.get(3..)?.to_owned()))).collect();
        changed.sort_by(|(_, one), (_, other)| one.cmp(other));
        Ok(changed)
    }

    /// Returns the files that differ from the commit `sha`, or are `changed` since the current commit; sorted.
    fn names_since(self, sha: &str, changed: &[(bool, String)]) -> Result<Vec<String>, GitError> {
        let mut files = self.names(&[sha])?;
        files.extend(changed.iter().map(|(_, file)| file.clone()));
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Returns the files that differ between a commit and the working tree, or between two commits.
    fn names(self, commits: &[&str]) -> Result<Vec<String>, GitError> {
        let options = DIFF.into_iter().chain(["--name-only", "-z", "--end-of-options"]);
        let names = options.chain(commits.iter().copied()).chain(["--"]);
        let names = git_until(self.abort, self.root, self.access, names)?;
        Ok(names.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect())
    }

    /// Returns changes as a diff: those of files that git tracks `since` a commit, if it is given, and the content of
    /// files that are new.
    fn diff(self, since: Option<&str>, changed: &[(bool, String)], secrets: &[PathBuf]) -> String {
        let mut diff = String::new();
        if let Some(sha) = since {
            let since = DIFF.into_iter().chain(["--no-color", sha, "--"]);
            diff = match git_capped(self.abort, self.root, self.access, since, MAX_DIFF) {
                Ok(shown) => String::from_utf8_lossy(&shown).into_owned(),
                // The names are known, and rules about uncommitted changes need them.
                Err(error) => format!("(the changes cannot be shown: {error})\n"),
            };
        }
        for (_, file) in changed.iter().filter(|(is_new, _)| *is_new) {
            if diff.len() >= MAX_DIFF {
                break;
            }
            let is_secret = self.root.join(file).canonicalize().is_ok_and(|path| secrets.contains(&path));
            let shown = if is_secret { format!("(left out: {file} holds secrets)\n") } else { added(self.root, file) };
            diff.push_str(&shown);
        }
        if diff.len() >= MAX_DIFF {
            diff.truncate(diff.floor_char_boundary(MAX_DIFF));
            diff.push_str("\n(the rest is left out)\n");
        }
        diff
    }
}

/// Maximum number of files that a message or a record names.
const MAX_NAMED: usize = 20;

/// Returns the names of files for a message or a record: the first 20, and the number of others.
#[must_use]
pub fn named(files: &[String]) -> String {
    let mut names = files[..files.len().min(MAX_NAMED)].join(", ");
    if files.len() > MAX_NAMED {
        names.push_str(&format!(" and {} more", files.len() - MAX_NAMED));
    }
    names
}

/// Returns the files that differ from the commit `sha` or from the current commit, which may be different, or are new
/// and not ignored; sorted.
///
/// # Errors
/// Git failed, or the repository does not have the commit.
pub fn changed_files(root: &Path, access: Access, sha: &str) -> Result<Vec<String>, GitError> {
    let calls = Calls { root, access, abort: None };
    calls.names_since(sha, &calls.changed()?)
}

/// Returns the files that differ between two commits, sorted.
///
/// # Errors
/// Git failed, or the repository does not have one of the commits.
pub fn files_between(root: &Path, access: Access, one: &str, other: &str) -> Result<Vec<String>, GitError> {
    let mut files = Calls { root, access, abort: None }.names(&[one, other])?;
    files.sort();
    Ok(files)
}

/// Returns a new file as a diff.
fn added(root: &Path, file: &str) -> String {
    let mut diff = format!("diff --git a/{file} b/{file}\nnew file\n--- /dev/null\n+++ b/{file}\n");
    match files::read_repository_text(&root.join(file)) {
        Ok(text) => {
            diff.push_str(&format!("@@ -0,0 +1,{} @@\n", text.lines().count()));
            text.lines().for_each(|line| diff.extend(["+", line, "\n"]));
        }
        Err(_) => diff.push_str("(not a text file)\n"),
    }
    diff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::git::git;

    fn repository() -> (tempfile::TempDir, impl Fn(&str, &str)) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        git(&root, ["init", "-q", "-b", "main"]).expect("git init");
        (folder, move |name: &str, text: &str| std::fs::write(root.join(name), text).expect("written"))
    }

    fn commit(root: &Path) -> String {
        git(root, ["add", "--all"]).expect("git add");
        let user = ["-c", "user.name=A", "-c", "user.email=a@b"];
        git(root, user.into_iter().chain(["commit", "-qm", "x"])).expect("git commit");
        git(root, ["rev-parse", "HEAD"]).expect("a commit").trim().to_owned()
    }

    #[test]
    fn changed_new_and_deleted_files_are_listed_and_shown() {
        let (folder, write) = repository();
        let read = |sha: &str| Uncommitted::read(folder.path(), Access::Guarded, sha, &[]).expect("read");
        write("kept", "one\n");
        write("gone", "two\n");
        write("a b", "three\n");
        let files = |sha: &str| read(sha).files.join(" ");
        assert_eq!(files(""), "a b gone kept", "before the first commit");
        assert!(read("").diff.contains("+++ b/kept\n@@ -0,0 +1,1 @@\n+one\n"));
        let sha = commit(folder.path());
        assert_eq!(read(&sha), Uncommitted::default());
        write(".gitignore", "*.log\n");
        write("x.log", "ignored\n");
        write("kept", "changed\n");
        write("image", "\0\u{1}");
        std::fs::remove_file(folder.path().join("gone")).expect("removed");
        assert_eq!(files(&sha), ".gitignore gone image kept");
        let diff = read(&sha).diff;
        for part in ["-one\n+changed\n", "-two\n", "+*.log\n"] {
            assert!(diff.contains(part), "{part} is not in:\n{diff}");
        }
        git(folder.path(), ["add", "--all"]).expect("git add");
        assert_eq!(files(&sha), ".gitignore gone image kept", "what is staged is not committed");
        let since = |sha: &str| changed_files(folder.path(), Access::Guarded, sha).expect("listed").join(" ");
        assert_eq!(since(&sha), ".gitignore gone image kept");
        let next = commit(folder.path());
        assert_eq!((since(&sha).as_str(), since(&next).as_str()), (".gitignore gone image kept", ""));
        write("new", "");
        assert_eq!((since(&sha).as_str(), since(&next).as_str()), (".gitignore gone image kept new", "new"));
        let between =
            |one: &str, other: &str| files_between(folder.path(), Access::Guarded, one, other).expect("listed");
        assert_eq!(between(&sha, &next).join(" "), ".gitignore gone image kept");
        assert_eq!(between(&sha, &sha), Vec::<String>::new());
        let shown = |sha: &str| Uncommitted::since(folder.path(), Access::Guarded, sha, &[], None).expect("read").diff;
        assert!(shown(&sha).contains("-one\n+changed\n") && shown(&sha).contains("+++ b/new\n"), "{}", shown(&sha));
        assert!(!shown(&next).contains("+changed") && shown(&next).contains("+++ b/new\n"), "{}", shown(&next));
    }

    #[test]
    fn a_record_names_some_files_and_counts_the_rest() {
        let files: Vec<String> = (0..23).map(|number| number.to_string()).collect();
        assert_eq!(named(&files[..2]), "0, 1");
        assert!(named(&files).ends_with("18, 19 and 3 more"), "{}", named(&files));
        assert_eq!(named(&[]), "");
    }

    #[test]
    fn a_long_diff_is_cut() {
        let (folder, write) = repository();
        write("large", "");
        let sha = commit(folder.path());
        write("large", &"line\n".repeat(500_000));
        write("new", &"line\n".repeat(1000));
        let read = Uncommitted::read(folder.path(), Access::Guarded, &sha, &[]).expect("read");
        assert!(read.diff.len() < MAX_DIFF + 100 && read.diff.ends_with("(the rest is left out)\n"));
        assert_eq!(read.files.len(), 2);
    }
}
