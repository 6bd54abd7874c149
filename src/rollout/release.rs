//! Resolves a tag, a branch or a commit to a release.

use std::path::Path;

use crate::model::deployment::EnvironmentState;
use crate::model::environment::Release;
use crate::repo::git::{GitError, git};

/// A release, with the names that the rules of environments refer to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedRelease {
    /// The release.
    pub release: Release,
    /// Tags at the commit.
    pub tags: Vec<String>,
    /// Branches of this repository and its remotes that contain the commit, without the names of the remotes.
    pub branches: Vec<String>,
    /// Files with uncommitted changes that would be deployed with the commit.
    pub uncommitted: Vec<String>,
}

impl NamedRelease {
    /// Returns a release of which only the image is known, so that no tag or branch has it.
    #[must_use]
    pub fn of_image(release: Release) -> Self {
        Self { release, tags: Vec::new(), branches: Vec::new(), uncommitted: Vec::new() }
    }
}

/// Why there is no release.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The name does not resolve to a commit.
    #[error("`{0}` is not a tag, branch or commit of this repository")]
    Unknown(String),
    /// Nothing is committed yet on the branch that is checked out.
    #[error(
        "nothing is committed on {0} yet, so there is no release to deploy: commit something first, or name a release"
    )]
    NoCommit(String),
    /// The name is the id of an image of which nothing else is known.
    #[error("{0} is an image whose commit is not known, so it cannot be deployed: name a tag, branch or commit")]
    Image(String),
    /// Git cannot read the repository.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Returns the release of a tag, a branch or a commit; `HEAD` for what is checked out.
///
/// # Errors
/// The commit does not exist, only the image of the release is known, or git cannot read the repository.
pub fn resolve(root: &Path, name: &str) -> Result<NamedRelease, ReleaseError> {
    if let Some(image) = Release::of_image(name) {
        return Err(ReleaseError::Image(image.short().to_owned()));
    }
    let commit = format!("{name}^{{commit}}");
    let sha = git(root, ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])
        .map_err(|_| unknown(root, name))?;
    let sha = sha.trim().to_owned();
    let tags = lines(&git(root, ["tag", "--points-at", &sha])?);
    let format = "--format=%(refname)";
    let refs = lines(&git(root, ["for-each-ref", format, "--contains", &sha, "refs/heads", "refs/remotes"])?);
    let mut branches: Vec<String> = Vec::new();
    for full in &refs {
        add_branch(&mut branches, full);
    }
    let tag = tags.iter().find(|tag| *tag == name).or_else(|| tags.last()).cloned();
    let reference = match name {
        "HEAD" => git(root, ["symbolic-ref", "--quiet", "--short", "HEAD"]).unwrap_or_default().trim().to_owned(),
        name => name.to_owned(),
    };
    Ok(NamedRelease { release: Release { sha, reference, tag }, tags, branches, uncommitted: Vec::new() })
}

/// Returns the error for a name that does not resolve to a commit.
fn unknown(root: &Path, name: &str) -> ReleaseError {
    let branch = git(root, ["symbolic-ref", "--quiet", "--short", "HEAD"]).ok().filter(|_| name == "HEAD");
    branch.map_or_else(
        || ReleaseError::Unknown(name.to_owned()),
        |branch| ReleaseError::NoCommit(branch.trim().to_owned()),
    )
}

/// Adds the branch that a ref stands for, without the name of its remote, unless it is there already. Does nothing for
/// the full name of a ref of another kind.
pub fn add_branch(branches: &mut Vec<String>, full: &str) {
    let remote = || full.strip_prefix("refs/remotes/").and_then(|rest| rest.split_once('/')).map(|(_, name)| name);
    let branch = full.strip_prefix("refs/heads/").or_else(remote).filter(|branch| *branch != "HEAD");
    if let Some(branch) = branch.filter(|branch| !branches.iter().any(|known| known == branch)) {
        branches.push(branch.to_owned());
    }
}

/// Returns the release of a commit, from the deployments to an environment or from git, or the release of an image.
/// `None` if nothing has it.
#[must_use]
pub fn known(root: &Path, state: Option<&EnvironmentState>, sha: &str) -> Option<Release> {
    let deployed = state.and_then(|state| state.release(sha)).cloned();
    deployed.or_else(|| Release::of_image(sha)).or_else(|| Some(resolve(root, sha).ok()?.release))
}

/// Whether a text names a release: as for [`Release::is`], or by another tag of its commit than the one it was deployed with.
#[must_use]
pub fn is_named(root: &Path, release: &Release, name: &str) -> bool {
    release.is(name) || commit_of_tag(root, name).is_some_and(|commit| commit == release.sha)
}

/// Returns the commit of a tag; `None` if there is no such tag.
#[must_use]
pub fn commit_of_tag(root: &Path, name: &str) -> Option<String> {
    let found = resolve(root, name).ok()?;
    found.tags.iter().any(|tag| tag == name).then_some(found.release.sha)
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_knows_its_tags_and_the_branches_that_contain_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let call = |args: &[&str]| {
            let who = ["-c", "user.name=Ada L", "-c", "user.email=ada@example.org"];
            git(folder.path(), who.into_iter().chain(args.iter().copied())).expect("git works").trim().to_owned()
        };
        call(&["init", "-q", "-b", "main"]);
        let error = resolve(folder.path(), "HEAD").expect_err("no commit").to_string();
        assert!(error.starts_with("nothing is committed on main yet"), "{error}");
        call(&["commit", "-q", "--allow-empty", "-m", "one"]);
        call(&["tag", "v1"]);
        call(&["checkout", "-q", "-b", "topic"]);
        call(&["commit", "-q", "--allow-empty", "-m", "two"]);
        let v1 = resolve(folder.path(), "v1").expect("a tag");
        assert_eq!(
            (v1.release.title(), v1.tags, v1.branches),
            (format!("v1 {}", v1.release.short()), vec!["v1".to_owned()], vec!["main".to_owned(), "topic".to_owned()])
        );
        call(&["tag", "also-v1", "v1"]);
        assert!(v1.release.tag.as_deref() == Some("v1") && !v1.release.is("also-v1"));
        for name in ["v1", "also-v1", v1.release.short()] {
            assert!(is_named(folder.path(), &v1.release, name), "{name}");
        }
        for name in ["main", "topic", "v9"] {
            assert!(!is_named(folder.path(), &v1.release, name), "{name}");
        }
        call(&["tag", "-d", "also-v1"]);
        let head = resolve(folder.path(), "HEAD").expect("a commit");
        assert_eq!(
            (head.release.reference.as_str(), head.release.tag, head.branches),
            ("topic", None, vec!["topic".to_owned()])
        );
        let error = resolve(folder.path(), "v9").expect_err("unknown").to_string();
        assert_eq!(error, "`v9` is not a tag, branch or commit of this repository");
        let error = resolve(folder.path(), "--all").expect_err("an option").to_string();
        assert!(error.starts_with("`--all` is not"), "{error}");
        let error = resolve(folder.path(), "sha256:0123456789abcdef").expect_err("an image").to_string();
        assert!(error.contains("is an image whose commit is not known, so it cannot be deployed"), "{error}");
    }
}
