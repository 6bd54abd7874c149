//! The working tree that the jobs of an attempt use: a commit with uncommitted changes.

use serde::{Deserialize, Serialize};

use super::RunInfo;
use super::run::marked;

/// Maximum number of files whose names are kept with a working tree.
const MAX_NAMES: usize = 1000;

/// The working tree that the jobs of an attempt use. Every attempt of a run on this machine reads it again.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WorkingTree {
    /// Branch or tag, without `refs/heads/` or `refs/tags/`.
    pub ref_name: String,
    /// Commit; empty in a repository without commits.
    pub sha: String,
    /// Number of files that differed from the commit, or were new, for at least one job of the attempt.
    #[serde(default)]
    pub changed: usize,
    /// Names of these files, sorted: at most 1,000. Empty for the first attempt of a run, whose `run.json` has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

impl WorkingTree {
    /// Returns the working tree at a commit in which these files, in any order, differ from it.
    #[must_use]
    pub fn new(ref_name: &str, sha: &str, mut files: Vec<String>) -> Self {
        files.sort_unstable();
        files.dedup();
        let changed = files.len();
        files.truncate(MAX_NAMES);
        Self { ref_name: ref_name.to_owned(), sha: sha.to_owned(), changed, files }
    }

    /// Returns the working tree of a run's first attempt, without the names of its files.
    #[must_use]
    pub fn of(info: &RunInfo) -> Self {
        let RunInfo { ref_name, sha, changed, .. } = info;
        Self { ref_name: ref_name.clone(), sha: sha.clone(), changed: *changed, files: Vec::new() }
    }

    /// Returns branch and commit as they are shown: `main@b835125+3`.
    #[must_use]
    pub fn version(&self) -> String {
        let branch = if self.ref_name == self.sha { "" } else { &self.ref_name };
        match (branch, marked(&self.sha, self.changed)) {
            (branch, commit) if commit.is_empty() => branch.to_owned(),
            ("", commit) => commit,
            (branch, commit) => format!("{branch}@{commit}"),
        }
    }
}

impl RunInfo {
    /// Replaces branch, commit and number of changed files by those of a working tree.
    pub fn set_working_tree(&mut self, tree: &WorkingTree) {
        self.ref_name.clone_from(&tree.ref_name);
        self.sha.clone_from(&tree.sha);
        self.changed = tree.changed;
    }
}
