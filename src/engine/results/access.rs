//! Which caches a run may use, based on its ref and its event, by GitHub's rules.

use crate::engine::context::RunFacts;

/// Events that people without write access to the repository can trigger. Unless `cache-mode` is set, runs of these
/// events only restore caches: most of them run on the default branch, and every other run could restore a cache that
/// was saved there.
const UNTRUSTED: &[&str] = &[
    "discussion",
    "discussion_comment",
    "fork",
    "issue_comment",
    "issues",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_target",
    "watch",
    "workflow_run",
];

/// What a job may do with caches: the values of `cache-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum CacheMode {
    /// Nothing.
    None,
    /// Restore only.
    Read,
    /// Restore and save.
    Write,
    /// Save only.
    WriteOnly,
}

impl CacheMode {
    /// Parses the mode written in a workflow. `None` if the text is not one of the four modes.
    pub(in crate::engine) fn parse(word: &str) -> Option<Self> {
        [Self::None, Self::Read, Self::Write, Self::WriteOnly].into_iter().find(|mode| mode.word() == word)
    }

    /// Returns the value of `ACTIONS_CACHE_MODE`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
            Self::WriteOnly => "write-only",
        }
    }

    /// Whether entries may be restored.
    pub(in crate::engine) fn reads(self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }

    /// Whether entries may be saved.
    pub(in crate::engine) fn writes(self) -> bool {
        matches!(self, Self::Write | Self::WriteOnly)
    }
}

/// The caches that a run may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct CacheAccess {
    /// Ref under which the run saves caches.
    pub(in crate::engine) own: String,
    /// Refs whose caches the run may restore, in the order of preference.
    pub(in crate::engine) readable: Vec<String>,
    /// What a job without `cache-mode` may do.
    pub(in crate::engine) mode: CacheMode,
}

impl CacheAccess {
    /// Determines the caches of a run from its ref, the base branch of its pull request and the default branch.
    pub(in crate::engine) fn of(facts: &RunFacts) -> Self {
        let own = facts.git_ref.clone();
        let text = |value: Option<&serde_json::Value>| value.and_then(|value| value.as_str()).map(str::to_owned);
        let request = facts.event.get("pull_request");
        let base = text(request.and_then(|request| request.get("base")).and_then(|base| base.get("ref")));
        let default = text(facts.event.get("repository").and_then(|repository| repository.get("default_branch")));
        let mut readable = vec![own.clone()];
        for branch in [base, default].into_iter().flatten() {
            let full = format!("refs/heads/{branch}");
            if !readable.contains(&full) {
                readable.push(full);
            }
        }
        let mode = if UNTRUSTED.contains(&facts.event_name.as_str()) { CacheMode::Read } else { CacheMode::Write };
        Self { own, readable, mode }
    }

    /// Returns the refs with their permissions for a mode, as tokens list them: 1 to read, 2 to write, 3 for both. Refs
    /// without a permission are left out.
    pub(super) fn permissions(&self, mode: CacheMode) -> Vec<(String, u8)> {
        let permission = |scope: &String| u8::from(mode.reads()) + 2 * u8::from(mode.writes() && *scope == self.own);
        let permissions = self.readable.iter().map(|scope| (scope.clone(), permission(scope)));
        permissions.filter(|(_, permission)| *permission > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing;
    use serde_json::json;

    #[test]
    fn a_run_restores_from_its_branch_its_base_and_the_default_branch() {
        let repository = json!({"default_branch": "main"});
        let request = json!({"base": {"ref": "release"}});
        for (event, git_ref, payload, readable, mode) in [
            ("push", "refs/heads/main", json!({"repository": repository}), &["refs/heads/main"][..], CacheMode::Write),
            (
                "push",
                "refs/tags/v1",
                json!({"repository": repository}),
                &["refs/tags/v1", "refs/heads/main"],
                CacheMode::Write,
            ),
            (
                "pull_request",
                "refs/pull/1/merge",
                json!({"repository": repository, "pull_request": request}),
                &["refs/pull/1/merge", "refs/heads/release", "refs/heads/main"],
                CacheMode::Write,
            ),
            (
                "pull_request_target",
                "refs/heads/main",
                json!({"repository": repository, "pull_request": request}),
                &["refs/heads/main", "refs/heads/release"],
                CacheMode::Read,
            ),
            ("issue_comment", "refs/heads/main", json!({}), &["refs/heads/main"], CacheMode::Read),
        ] {
            let facts = RunFacts {
                event_name: event.to_owned(),
                git_ref: git_ref.to_owned(),
                event: payload,
                ..testing::facts()
            };
            let access = CacheAccess::of(&facts);
            assert_eq!(
                (access.own.as_str(), &access.readable[..], access.mode),
                (git_ref, &readable.iter().map(|of| (*of).to_owned()).collect::<Vec<_>>()[..], mode),
                "{event}"
            );
        }
    }
}
