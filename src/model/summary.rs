//! Entry of the list of runs, with the deployments of its jobs.

use serde::{Deserialize, Serialize};

use super::{Conclusion, EndReason, PendingReview, Phase, Run, RunInfo, Timestamp};

/// Entry of the list of runs: the state of the newest attempt, without jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Identity of the run.
    #[serde(flatten)]
    pub info: RunInfo,
    /// Name of the run.
    pub name: String,
    /// Number of the attempt, from 1; 0 before the first attempt.
    pub attempt: u32,
    /// State of the attempt, as [`Run::progress`] returns it.
    pub phase: Phase,
    /// Reason for the end of the attempt, where no job explains it.
    #[serde(flatten)]
    pub reason: Option<EndReason>,
    /// Start of the attempt; `None` before it.
    pub started: Option<Timestamp>,
    /// End of the attempt; `None` before it.
    pub finished: Option<Timestamp>,
    /// Deployments of its jobs. Missing in index lines of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deployments: Vec<Deployment>,
    /// Environments that hold back jobs of the attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<PendingReview>,
}

/// Deployment of a job to an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Name of the environment: as written in the workflow, and evaluated once the job has started.
    pub environment: String,
    /// URL of the environment, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// State of the job.
    pub phase: Phase,
    /// End of the job, or its start while it runs; `None` before its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl From<&Run> for Summary {
    fn from(run: &Run) -> Self {
        // A skipped job does not deploy.
        let deploys = run.jobs.values().filter(|job| job.phase != Phase::Done(Conclusion::Skipped));
        let deployments = deploys.filter_map(|job| {
            let environment = job.environment.clone()?;
            let at = job.finished.or(job.started);
            Some(Deployment { environment, url: job.environment_url.clone(), phase: job.phase.clone(), at })
        });
        Self {
            info: run.info.clone(),
            name: run.name.clone(),
            attempt: run.attempt,
            phase: run.progress(),
            reason: run.reason.clone(),
            started: run.started,
            finished: run.finished,
            deployments: deployments.collect(),
            reviews: run.reviews.clone(),
        }
    }
}
