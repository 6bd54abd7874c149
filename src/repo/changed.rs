//! Changed files for path filters: compares the working tree with the base of an event.

use std::path::Path;

use super::git::{Access, DIFF, GitError, git, git_with};

/// Files that changed since a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Name of the commit, for messages.
    pub since: String,
    /// Sorted paths relative to the root. A renamed file has both names.
    pub files: Vec<String>,
}

/// Returns the files that a push would change. They are compared with the event's `before`; without one, with the
/// upstream of the branch; if nothing differs from that, with the parent commit; and for a first commit, with an empty
/// tree. Includes uncommitted changes and new files, which runs on this machine use, unless `after`, the commit after
/// the push, exists here.
///
/// # Errors
/// Git failed to compare.
pub fn of_push(root: &Path, access: Access, before: Option<&str>, after: Option<&str>) -> Result<Changed, GitError> {
    // Forty zeros mean that there is no commit, as for a new branch.
    let known = |commit: &str| commit.bytes().any(|digit| digit != b'0') && exists(root, commit);
    if let Some(before) = before.filter(|before| known(before)) {
        return compare(root, access, before, after);
    }
    if let Ok(upstream) = git(root, ["rev-parse", "--abbrev-ref", "@{upstream}"]) {
        let changed = compare(root, access, upstream.trim(), after)?;
        if !changed.files.is_empty() {
            return Ok(changed);
        }
    }
    if exists(root, "HEAD^") {
        return compare(root, access, "HEAD^", after);
    }
    let empty = git(root, ["hash-object", "-t", "tree", "/dev/null"])?;
    let changed = compare(root, access, empty.trim(), after)?;
    Ok(Changed { since: "the beginning".to_owned(), ..changed })
}

/// Returns the files that a pull request into `base` would change: everything since the merge base. Without a base, the
/// default branch of `origin` is used or, if that is unknown, a branch `main` or `master`.
///
/// # Errors
/// Git failed to compare.
pub fn of_pull_request(root: &Path, access: Access, base: Option<&str>) -> Result<Changed, GitError> {
    let candidates = match base {
        Some(base) => vec![format!("origin/{base}"), base.to_owned()],
        None => ["origin/HEAD", "origin/main", "origin/master", "main", "master"].map(str::to_owned).to_vec(),
    };
    let base = candidates.iter().find(|name| exists(root, name)).unwrap_or(&candidates[0]);
    let parted = git(root, ["merge-base", base, "HEAD"])?;
    let changed = compare(root, access, parted.trim(), None)?;
    Ok(Changed { since: base.clone(), ..changed })
}

fn exists(root: &Path, commit: &str) -> bool {
    git(root, ["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{commit}^{{commit}}")]).is_ok()
}

fn compare(root: &Path, access: Access, since: &str, after: Option<&str>) -> Result<Changed, GitError> {
    let after = after.filter(|after| exists(root, after));
    let names = DIFF.into_iter().chain(["--name-only", "-z", since]).chain(after).chain(["--"]);
    let mut names = git_with(root, access, names)?;
    if after.is_none() {
        names.push_str(&git(root, ["ls-files", "--others", "--exclude-standard", "-z"])?);
    }
    let mut files: Vec<_> = names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    files.sort();
    files.dedup();
    Ok(Changed { since: since.to_owned(), files })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> (tempfile::TempDir, impl Fn(&[&str])) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        let call = move |args: &[&str]| {
            let who = ["-c", "user.name=A", "-c", "user.email=a@b"];
            git(&root, who.into_iter().chain(args.iter().copied())).expect("git works");
        };
        call(&["init", "-q", "-b", "main"]);
        (folder, call)
    }

    fn write(folder: &tempfile::TempDir, names: &[&str]) {
        for name in names {
            std::fs::write(folder.path().join(name), name).expect("written");
        }
    }

    #[test]
    fn a_push_changes_files_that_differ_from_its_base() {
        let (folder, call) = repository();
        let since = |before: Option<&str>, after: Option<&str>| {
            let changed = of_push(folder.path(), Access::Guarded, before, after).expect("compared");
            format!("{}: {}", changed.since, changed.files.join(" "))
        };
        write(&folder, &["a"]);
        call(&["add", "a"]);
        call(&["commit", "-qm", "1"]);
        assert_eq!(since(None, None), "the beginning: a");
        write(&folder, &["b"]);
        call(&["add", "b"]);
        call(&["commit", "-qm", "2"]);
        call(&["tag", "two"]);
        write(&folder, &["new"]);
        assert_eq!(since(None, None), "HEAD^: b new");
        assert_eq!(since(Some(&"0".repeat(40)), None), "HEAD^: b new");
        assert_eq!(since(Some("two"), None), "two: new");
        assert_eq!(since(Some("two^"), Some("two")), "two^: b");
        call(&["branch", "up"]);
        call(&["branch", "-q", "--set-upstream-to=up"]);
        assert_eq!(since(None, None), "up: new");
        call(&["mv", "a", "c"]);
        assert_eq!(since(None, None), "up: a c new");
    }

    #[test]
    fn a_pull_request_changes_files_since_the_merge_base() {
        let (folder, call) = repository();
        write(&folder, &["a"]);
        call(&["add", "a"]);
        call(&["commit", "-qm", "1"]);
        call(&["checkout", "-qb", "side"]);
        write(&folder, &["b"]);
        call(&["add", "b"]);
        call(&["commit", "-qm", "2"]);
        let changed = of_pull_request(folder.path(), Access::Guarded, None).expect("compared");
        assert_eq!((changed.since.as_str(), changed.files.as_slice()), ("main", &["b".to_owned()][..]));
        assert!(of_pull_request(folder.path(), Access::Guarded, Some("nowhere")).is_err());
    }
}
