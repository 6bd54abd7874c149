//! What is true about a run, as the fold of its records leaves it (`store::RunStore` does the folding).

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{
    Annotation, Conclusion, EndReason, Explanation, JobId, Phase, RunId, Service, Signal, StepKind, StepNumber,
    Timestamp,
};

/// What a run is a run of: known before its first record, and never changed by one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RunInfo {
    /// Id of the run.
    pub id: RunId,
    /// Repository as `owner/name`. Empty in index lines of older versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub repository: String,
    /// Path of the workflow file, relative to the repository.
    pub workflow: String,
    /// Name of the event that started the run.
    pub event: String,
    /// Branch or tag, without `refs/heads/` or `refs/tags/`.
    pub ref_name: String,
    /// Commit; empty in a repository without commits.
    pub sha: String,
    /// Time at which the run was created.
    pub created: Timestamp,
}

/// A run of a workflow, as its records describe it.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// What the run is a run of.
    pub info: RunInfo,
    /// Name of the run: the workflow's path until the first record with a name.
    pub name: String,
    /// Number of the attempt, from 1; 0 before the first one.
    pub attempt: u32,
    /// How far it is.
    pub phase: Phase,
    /// Why it ended so, when no job tells it.
    pub reason: Option<EndReason>,
    /// When the current attempt began.
    pub started: Option<Timestamp>,
    /// When the current attempt ended.
    pub finished: Option<Timestamp>,
    /// Its jobs, in the order of the file.
    pub jobs: IndexMap<JobId, Job>,
    /// The highest sequence number folded in.
    pub seq: u64,
}

/// A job of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Job {
    /// Its id in the run.
    pub id: JobId,
    /// Its key in the workflow file.
    pub key: String,
    /// Its name.
    pub name: String,
    /// The jobs it needs.
    pub needs: Vec<JobId>,
    /// The environment it deploys to.
    pub environment: Option<String>,
    /// That environment's address, once known.
    pub environment_url: Option<String>,
    /// The job that calls the workflow this one comes from.
    pub caller: Option<JobId>,
    /// Where it runs, once it began.
    pub sandbox: Option<String>,
    /// The attempt whose logs are its own: an untouched job keeps an earlier one.
    pub attempt: u32,
    /// How far it is.
    pub phase: Phase,
    /// Whether its failure does not fail the run.
    pub allowed_failure: bool,
    /// Why it ended so.
    pub reason: Option<String>,
    /// Why its condition held or not, where one is written.
    pub explanation: Option<Explanation>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Its outputs.
    pub outputs: IndexMap<String, String>,
    /// Its services, as they were last seen, by name.
    pub services: IndexMap<String, Service>,
    /// Its steps, by number.
    pub steps: Vec<Step>,
}

/// A step of a job.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Its number in the job.
    pub number: StepNumber,
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub kind: StepKind,
    /// How far it is; `Done` holds the conclusion after `continue-on-error`.
    pub phase: Phase,
    /// Before `continue-on-error`, once it ended.
    pub outcome: Option<Conclusion>,
    /// Exit code of its process.
    pub exit_code: Option<i32>,
    /// Signal that ended its process.
    pub signal: Option<Signal>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// Why its condition held or not, where one is written.
    pub explanation: Option<Explanation>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// How many lines its log has.
    pub lines: u64,
    /// Its annotations, in order.
    pub annotations: Vec<Annotation>,
    /// Process groups started for it that have not been told ended.
    pub process_groups: Vec<i32>,
}
