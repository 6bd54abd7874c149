//! Orders: what a person asks of a run, and the answer.

use serde::{Deserialize, Serialize};

use super::{JobId, StepNumber};

/// An order to a run's worker, sent over its control socket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// End the run: running steps get INT, TERM, KILL; steps and jobs with `always()` or `cancelled()` still run.
    Cancel,
    /// End the run now: every process is killed and no further step starts.
    ForceCancel,
    /// Start another attempt of this run once the current one has ended.
    Rerun {
        /// What to run again.
        what: RerunScope,
    },
    /// Go on with a run whose worker was lost, from the first step that had not completed.
    Resume,
    /// Give a place in a concurrency group up: another run, or another job, wants it.
    Yield {
        /// The group.
        group: String,
        /// The job that has the place; nothing when the run as a whole has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
        /// Who wants it.
        to: String,
    },
    /// Send one byte whenever the journal has grown; the connection stays open. Takes no reply.
    Watch,
}

/// What a new attempt runs again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RerunScope {
    /// Every job.
    All,
    /// Jobs that did not succeed, and the jobs that need them.
    Failed,
    /// This job, and the jobs that need it.
    Job(JobId),
    /// This job from one of its steps on, in the files that its last attempt left, and the jobs that need it.
    Step {
        /// The job.
        job: JobId,
        /// The first step that runs again.
        step: StepNumber,
    },
}

/// The worker's answer to an order; it is also a record, so every reader sees who asked and what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The order will be carried out.
    Accepted,
    /// The order will not be carried out, and why.
    Rejected {
        /// Completes "rejected: …".
        reason: String,
    },
}
