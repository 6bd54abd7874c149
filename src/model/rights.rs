//! What the user's token may change in a repository on a server.

use std::collections::BTreeMap;

/// What a token may change in a repository. The default, which applies until more is known, allows everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rights {
    /// Why the token may not change runs and workflows; `None` if it may.
    pub actions: Option<Denied>,
    /// Why the token may not review deployments; `None` if it may.
    pub deployments: Option<Denied>,
    /// Whether the server limits re-runs: see [`MAX_RERUNS`] and [`MAX_RERUN_AGE`].
    pub limits_reruns: bool,
    /// Whether jobs can run with the debugger of the server.
    pub debugger: Debugger,
}

/// Whether jobs of a repository can run with the debugger of its server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Debugger {
    /// The settings do not enable the debugger.
    #[default]
    Off,
    /// The server has no debugger.
    Missing,
    /// The settings enable the debugger, and the server has one.
    Offered,
}

/// Maximum number of re-runs of a run on GitHub.
pub const MAX_RERUNS: u32 = 50;

/// Whether a run has reached GitHub's limit of re-runs with this attempt. The first attempt is not a re-run.
#[must_use]
pub fn is_rerun_too_often(attempt: u32) -> bool {
    attempt > MAX_RERUNS
}

/// Age in days after which GitHub does not re-run a run.
pub const MAX_RERUN_AGE: u64 = 30;

/// Why a token may not change something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// There is no token.
    #[error("the server requires a token: see `cuelight auth login`")]
    NoToken,
    /// The token lacks this scope, which every change needs.
    #[error("the token lacks the scope `{0}`")]
    Scope(&'static str),
    /// The token lacks a permission.
    #[error("the token lacks the permission `{}: write`", .0.word())]
    Permission(Permission),
    /// The user may only read the repository.
    #[error("you may only read the repository")]
    Role,
    /// The repository accepts no changes.
    #[error("the repository is archived")]
    Archived,
}

/// A permission of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permission {
    /// The permission to change runs and workflows.
    Actions,
    /// The permission to review deployments.
    Deployments,
}

impl Permission {
    /// All permissions.
    pub const ALL: [Self; 2] = [Self::Actions, Self::Deployments];

    /// Returns the server's name of the permission.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Actions => "actions",
            Self::Deployments => "deployments",
        }
    }
}

/// Known rights, by host and repository.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KnownRights(BTreeMap<(String, String), Rights>);

impl KnownRights {
    /// Stores the rights in a repository, which is named as `owner/name`. Returns whether they changed.
    pub fn insert(&mut self, host: &str, repository: &str, rights: Rights) -> bool {
        self.0.insert(key(host, repository), rights) != Some(rights)
    }

    /// Returns the rights in a repository, which is named as `owner/name`; `None` if they are not known.
    #[must_use]
    pub fn of(&self, host: &str, repository: &str) -> Option<Rights> {
        self.0.get(&key(host, repository)).copied()
    }
}

/// Returns the key of a repository. Names of hosts and repositories are compared ignoring case.
fn key(host: &str, repository: &str) -> (String, String) {
    (host.to_ascii_lowercase(), repository.to_ascii_lowercase())
}
