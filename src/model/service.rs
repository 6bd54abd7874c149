//! Services of a job: containers beside it.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A service as it was last seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Service {
    /// Its key in the workflow.
    pub name: String,
    /// Its image.
    pub image: String,
    /// How it is.
    pub state: ServiceState,
    /// Where its ports are reached by the job's steps, by the container's port.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub ports: IndexMap<String, String>,
    /// What its health check said last, or why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How often the engine started it again.
    #[serde(default)]
    pub restarts: u64,
}

/// How a service is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// It runs, and its health check has not passed yet.
    Starting,
    /// It runs, and has no health check.
    Running,
    /// Its health check passed.
    Healthy,
    /// Its health check failed as often as it may.
    Unhealthy,
    /// It ended.
    Exited,
    /// It was stopped with its job.
    Stopped,
}

impl ServiceState {
    /// The word people read.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Exited => "exited",
            Self::Stopped => "stopped",
        }
    }

    /// Whether something is wrong with it.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Unhealthy | Self::Exited)
    }
}
