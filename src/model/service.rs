//! Services of a job.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Last known state of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Service {
    /// Key of the service in the workflow.
    pub name: String,
    /// Image of the service.
    pub image: String,
    /// State of the service.
    pub state: ServiceState,
    /// Addresses at which the job's steps reach its ports, by port of the container.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub ports: IndexMap<String, String>,
    /// Last output of the health check, or how the service ended; `None` if neither is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Number of restarts by the container engine.
    #[serde(default)]
    pub restarts: u64,
}

/// Returns the title of the group in the log of [`STOP_STEP`] that holds the log of a service.
#[must_use]
pub fn log_title(service: &str) -> String {
    format!("Log of service `{service}`")
}

/// Name of the step that removes the containers of a job, and prints the logs of its services before.
pub const STOP_STEP: &str = "Stop containers";

/// State of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Running, and its health check has not passed yet.
    Starting,
    /// Running, without a health check.
    Running,
    /// The health check passed.
    Healthy,
    /// The health check has failed the maximum number of times.
    Unhealthy,
    /// The service ended.
    Exited,
    /// The service was stopped with its job. A service of a Compose file has no container, or a stopped one.
    Stopped,
    /// Not observed: the container engine does not answer.
    Unknown,
}

impl ServiceState {
    /// Returns the word for the state.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Exited => "exited",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the state is a failure.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Unhealthy | Self::Exited)
    }
}
