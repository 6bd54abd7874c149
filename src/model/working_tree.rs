//! The working tree that the jobs of an attempt use: a commit with uncommitted changes.

use serde::{Deserialize, Serialize};

use super::run::version;
use super::{Run, RunInfo};

/// Maximum number of files whose names are kept with a working tree.
const MAX_NAMES: usize = 1000;

/// The working tree that the jobs of an attempt use. Every attempt of a run on this machine reads it again.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WorkingTree {
    /// Branch or tag, without `refs/heads/` or `refs/tags/`.
    pub ref_name: String,
    /// Full name of the ref, such as `refs/tags/v1`. Empty for the first attempt of a run, whose request has it, and in
    /// the records of older versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub git_ref: String,
    /// Commit; empty in a repository without commits.
    pub sha: String,
    /// Number of files that differed from the commit, or were new, for at least one job of the attempt. There may be
    /// more if an earlier list of more than 1,000 files is a part of it.
    #[serde(default)]
    pub changed: usize,
    /// Names of these files, sorted: at most 1,000. Empty for the first attempt of a run, whose `run.json` has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Whether the files were edited between two jobs of the attempt that copied them, as far as the changes tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edited: bool,
}

impl WorkingTree {
    /// Returns the working tree at a commit in which these files, in any order, differ from it.
    #[must_use]
    pub fn new(ref_name: &str, sha: &str, mut files: Vec<String>) -> Self {
        files.sort_unstable();
        files.dedup();
        let changed = files.len();
        files.truncate(MAX_NAMES);
        let (ref_name, sha) = (ref_name.to_owned(), sha.to_owned());
        Self { ref_name, git_ref: String::new(), sha, changed, files, edited: false }
    }

    /// Returns the working tree with the full name of its ref, which may be empty.
    #[must_use]
    pub fn at_ref(self, git_ref: &str) -> Self {
        Self { git_ref: git_ref.to_owned(), ..self }
    }

    /// Returns the working tree with at least as many changed files as an earlier one, whose names are among those of this
    /// one: the list of the earlier one may have been cut.
    #[must_use]
    pub fn at_least(self, changed: usize) -> Self {
        Self { changed: self.changed.max(changed), ..self }
    }

    /// Returns the working tree of a run's first attempt, without the names of its files.
    #[must_use]
    pub fn of(info: &RunInfo) -> Self {
        let RunInfo { ref_name, sha, changed, .. } = info;
        Self { ref_name: ref_name.clone(), sha: sha.clone(), changed: *changed, ..Self::default() }
    }

    /// Returns branch and commit as they are shown: `main@b835125+3`.
    #[must_use]
    pub fn version(&self) -> String {
        version(&self.ref_name, &self.sha, self.changed)
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

impl Run {
    /// Returns in which way the files of the newest attempt changed while it ran; `None` if it is not known that they
    /// did.
    #[must_use]
    pub fn edited(&self) -> Option<&'static str> {
        let tree = self.trees.get(&self.attempt)?;
        if tree.edited {
            Some("edited during the attempt: not all of its jobs copied the same files")
        } else if self.attempt == 1 && !tree.files.is_empty() {
            // The files that had changed before a run are in its `run.json` alone.
            Some("some files were changed after the run had started")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_that_was_cut_is_counted_as_before() {
        let all: Vec<String> = (0..1500).map(|number| format!("file {number}")).collect();
        let first = WorkingTree::new("main", "b835125", all);
        assert_eq!((first.changed, first.files.len()), (1500, MAX_NAMES));
        let again = WorkingTree::new("main", "b835125", first.files).at_least(first.changed);
        assert_eq!(again.version(), "main@b835125+1500");
        let more = WorkingTree::new("main", "b835125", vec!["b".into(), "a".into(), "b".into()]).at_least(1);
        assert_eq!((more.changed, more.files), (2, vec!["a".to_owned(), "b".into()]));
    }
}
