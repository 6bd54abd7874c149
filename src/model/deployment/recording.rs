//! Deployments by this machine that a server records, too.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DeploymentRecord, Outcome};

/// The kind of server on which deployments are recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordOn {
    /// The GitHub server of the repository.
    GitHub,
}

impl RecordOn {
    /// Name in settings.
    pub const GITHUB: &str = "github";
}

/// A deployment as its server records it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordedDeployment {
    /// Host name of the server.
    pub server: String,
    /// Repository on the server, as `owner/name`.
    pub repository: String,
    /// Id of the deployment on the server.
    pub id: u64,
    /// Page in a browser that lists the deployments to the environment.
    pub page: String,
    /// State that was reported last; `None` if none was reported yet.
    pub state: Option<RecordedState>,
}

impl RecordedDeployment {
    /// Whether `other` is the same deployment on the server, maybe in another state.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.server == other.server && self.repository == other.repository
    }
}

/// State of a deployment, as it is reported to a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedState {
    /// The deployment is in progress.
    InProgress,
    /// The release is live.
    Success,
    /// The deployment failed or was rolled back.
    Failure,
    /// The deployment was interrupted.
    Error,
    /// The release is no longer live, or the deployment ended before it changed anything.
    Inactive,
}

impl RecordedState {
    /// Returns the state as a word of GitHub's API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Inactive => "inactive",
        }
    }

    /// Returns the state of a deployment that ended.
    #[must_use]
    pub fn of_end(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Success,
            Outcome::RolledBack | Outcome::Failed => Self::Failure,
            Outcome::Interrupted => Self::Error,
            Outcome::Cancelled => Self::Inactive,
        }
    }

    /// Returns the present state of a deployment; `None` while it has not ended.
    #[must_use]
    pub fn of(record: &DeploymentRecord, is_live: bool) -> Option<Self> {
        Some(match record.outcome? {
            Outcome::Succeeded if !is_live => Self::Inactive,
            outcome => Self::of_end(outcome),
        })
    }
}

/// Writes the state in words.
impl fmt::Display for RecordedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::InProgress => "in progress",
            state => state.word(),
        })
    }
}

/// Returns what became of a record on a server, in words: that it was made, on which page it is, or why it was not made.
#[must_use]
pub fn recorded(page: Option<&str>, failure: Option<&str>) -> String {
    match (failure, page) {
        (Some(reason), None) => format!("the deployment is not recorded on GitHub: {reason}"),
        (Some(reason), Some(_)) => format!("the state of the deployment is not recorded on GitHub: {reason}"),
        (None, page) => format!("the deployment is recorded on GitHub: {}", page.unwrap_or_default()),
    }
}
