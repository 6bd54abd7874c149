//! Reads commits and branches with git, for the payloads of events.

use std::path::Path;

use super::git::{GitError, git};

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Id of the commit.
    pub id: String,
    /// Id of its tree.
    pub tree: String,
    /// Time of the commit, in ISO 8601 with the committer's time zone.
    pub time: String,
    /// Ids of the parent commits: none for the first commit, several for a merge.
    pub parents: Vec<String>,
    /// Time at which the change was written, in ISO 8601 with the author's time zone.
    pub authored: String,
    /// Who wrote the change.
    pub author: Person,
    /// Who made the commit.
    pub committer: Person,
    /// The whole message.
    pub message: String,
}

/// The author or committer of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Name.
    pub name: String,
    /// Email address.
    pub email: String,
}

/// Option that prints the fields of [`Commit`], one per line; the message, which may have several lines, comes last.
const FORMAT: &str = "--format=%H%n%T%n%cI%n%aI%n%P%n%an%n%ae%n%cn%n%ce%n%B";

/// Returns the commits that are reachable from `until` but not from `since`. Without `since`, these are all commits
/// that are reachable from `until`. Returns only the newest `limit` of them, oldest first.
///
/// # Errors
/// A commit does not exist, or git failed.
pub fn commits(root: &Path, since: Option<&str>, until: &str, limit: usize) -> Result<Vec<Commit>, GitError> {
    let range = since.map_or_else(|| until.to_owned(), |since| format!("{since}..{until}"));
    let limit = format!("--max-count={limit}");
    let log = ["log", "-z", "--reverse", "--no-show-signature", "--no-color", FORMAT, &limit, "--end-of-options"];
    let listed = git(root, log.into_iter().chain([range.as_str(), "--"]))?;
    Ok(listed.split('\0').filter_map(commit).collect())
}

fn commit(record: &str) -> Option<Commit> {
    let mut fields = record.splitn(10, '\n').map(str::to_owned);
    let mut next = || fields.next();
    let (id, tree, time, authored) = (next()?, next()?, next()?, next()?);
    let parents = next()?.split_whitespace().map(str::to_owned).collect();
    let author = Person { name: next()?, email: next()? };
    let committer = Person { name: next()?, email: next()? };
    let message = next()?.trim_end_matches('\n').to_owned();
    Some(Commit { id, tree, time, parents, authored, author, committer, message })
}

/// Returns the commit that a name such as a branch refers to. `None` if this repository has no such commit.
#[must_use]
pub fn newest(root: &Path, name: &str) -> Option<Commit> {
    commits(root, None, name, 1).ok()?.pop()
}

/// Returns the commit that the upstream of the current branch had when it was fetched or pushed last. `None` if the
/// branch has no upstream.
#[must_use]
pub fn upstream(root: &Path) -> Option<String> {
    let found = git(root, ["rev-parse", "--verify", "--quiet", "--end-of-options", "@{upstream}^{commit}"]).ok()?;
    Some(found.trim().to_owned())
}

/// Returns the commit that a branch had before its new commits: its upstream, or the first parent of the newest commit
/// if everything is pushed or there is no upstream. `None` if the newest commit has no parent either.
#[must_use]
pub fn before(upstream: Option<String>, newest: &Commit) -> Option<String> {
    upstream.filter(|upstream| *upstream != newest.id).or_else(|| newest.parents.first().cloned())
}

/// Whether `old` is an ancestor of `new`, so that moving a branch from one to the other loses nothing. `false` if git
/// fails.
#[must_use]
pub fn is_ancestor(root: &Path, old: &str, new: &str) -> bool {
    git(root, ["merge-base", "--is-ancestor", "--end-of-options", old, new]).is_ok()
}

/// Returns the short name of the repository's default branch: the one that `origin` names, else `main` or `master`.
/// `None` if none of them exists.
#[must_use]
pub fn default_branch(root: &Path) -> Option<String> {
    let candidates = [
        "refs/remotes/origin/HEAD",
        "refs/remotes/origin/main",
        "refs/remotes/origin/master",
        "refs/heads/main",
        "refs/heads/master",
    ];
    let listed = git(root, ["for-each-ref", "--format=%(refname) %(symref)"].into_iter().chain(candidates)).ok()?;
    let found: Vec<_> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
    let (name, target) = candidates.iter().find_map(|wanted| found.iter().find(|(name, _)| name == wanted))?;
    let full = if target.is_empty() { name } else { target };
    ["refs/remotes/origin/", "refs/heads/"].iter().find_map(|prefix| full.strip_prefix(prefix)).map(str::to_owned)
}

/// Returns the number of the pull request that the branch was fetched from, as `gh pr checkout` records it: its
/// upstream is `refs/pull/N/head`. `None` for any other upstream.
#[must_use]
pub fn pull_request(root: &Path, branch: &str) -> Option<u64> {
    let merge = git(root, ["config", "--get", &format!("branch.{branch}.merge")]).ok()?;
    merge.trim().strip_prefix("refs/pull/")?.strip_suffix("/head")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> (tempfile::TempDir, impl Fn(&[&str]) -> String) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        let call = move |args: &[&str]| {
            let who = ["-c", "user.name=Ada L", "-c", "user.email=ada@example.org"];
            git(&root, who.into_iter().chain(args.iter().copied())).expect("git works").trim().to_owned()
        };
        call(&["init", "-q", "-b", "main"]);
        (folder, call)
    }

    fn commit(call: &impl Fn(&[&str]) -> String, message: &str) -> String {
        call(&["commit", "-q", "--allow-empty", "-m", message]);
        call(&["rev-parse", "HEAD"])
    }

    #[test]
    fn commits_have_their_message_time_and_people_oldest_first() {
        let (folder, call) = repository();
        let first = commit(&call, "one");
        let second = commit(&call, "two\n\nbody: a\n\nlast line");
        let all = commits(folder.path(), None, &second, 10).expect("listed");
        assert_eq!(all.iter().map(|commit| commit.id.as_str()).collect::<Vec<_>>(), [&first, &second]);
        let newest = &all[1];
        assert_eq!(newest.message, "two\n\nbody: a\n\nlast line");
        assert_eq!(newest.author, Person { name: "Ada L".to_owned(), email: "ada@example.org".to_owned() });
        assert_eq!((&newest.committer, newest.tree.len(), newest.time.len()), (&newest.author, 40, 25));
        assert_eq!((&all[0].parents, &newest.parents), (&vec![], &vec![first.clone()]));
        let since = commits(folder.path(), Some(&first), &second, 10).expect("listed");
        assert_eq!(since, all[1..]);
        assert_eq!(commits(folder.path(), None, &second, 1).expect("listed"), all[1..], "the newest ones");
        assert!(commits(folder.path(), Some("nowhere"), &second, 1).is_err());
    }

    #[test]
    fn a_branch_had_before_what_its_upstream_has_or_else_the_parent() {
        let (folder, call) = repository();
        let before = |head: &str| before(upstream(folder.path()), &newest(folder.path(), head).expect("a commit"));
        let first = commit(&call, "one");
        assert_eq!(before(&first), None);
        let second = commit(&call, "two");
        let third = commit(&call, "three");
        assert_eq!(before(&third).as_ref(), Some(&second));
        call(&["branch", "up", &first]);
        call(&["branch", "-q", "--set-upstream-to=up"]);
        assert_eq!(before(&third).as_ref(), Some(&first));
        call(&["branch", "-qf", "up", &third]);
        assert_eq!(before(&third).as_ref(), Some(&second), "everything is pushed");
        assert!(is_ancestor(folder.path(), &first, &third) && !is_ancestor(folder.path(), &third, &first));
    }

    #[test]
    fn the_default_branch_is_the_remotes_or_the_usual_one() {
        let (folder, call) = repository();
        assert_eq!(default_branch(folder.path()), None);
        let first = commit(&call, "one");
        assert_eq!(default_branch(folder.path()).as_deref(), Some("main"));
        call(&["update-ref", "refs/remotes/origin/develop", &first]);
        assert_eq!(default_branch(folder.path()).as_deref(), Some("main"));
        call(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/develop"]);
        assert_eq!(default_branch(folder.path()).as_deref(), Some("develop"));
    }

    #[test]
    fn a_branch_of_a_pull_request_knows_its_number() {
        let (folder, call) = repository();
        assert_eq!(pull_request(folder.path(), "main"), None);
        call(&["config", "branch.main.merge", "refs/heads/main"]);
        assert_eq!(pull_request(folder.path(), "main"), None);
        call(&["config", "branch.main.merge", "refs/pull/12/head"]);
        assert_eq!(pull_request(folder.path(), "main"), Some(12));
    }
}
