//! What is true about a run, as the fold of its records leaves it (`store::RunStore` does the folding).

use indexmap::IndexMap;

use super::{
    Annotation, Conclusion, Explanation, JobId, Phase, RunId, Service, Signal, StepKind, StepNumber, Timestamp,
};

/// A run of a workflow.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its name, once the first record tells it.
    pub name: String,
    /// The repository, as `owner/name`.
    pub repository: String,
    /// The workflow's file, relative to the repository.
    pub workflow: String,
    /// The event that started it.
    pub event: String,
    /// The branch or tag, short.
    pub ref_name: String,
    /// The commit, empty when the repository has none.
    pub sha: String,
    /// From 1; 0 until it began.
    pub attempt: u32,
    /// How far it is.
    pub phase: Phase,
    /// Why it ended so, when no job tells it.
    pub reason: Option<String>,
    /// When it was created.
    pub created: Timestamp,
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
