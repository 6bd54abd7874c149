//! Commands to a run, and the replies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::deployment::Actor;
use super::{JobId, StepNumber};

/// A command to the worker of a run, sent over its control socket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Cancel the run: running steps get SIGINT, SIGTERM and SIGKILL in turn; steps and jobs with `always()` or
    /// `cancelled()` still run.
    Cancel,
    /// End the run at once: every process is killed and no further step starts.
    ForceCancel,
    /// Start another attempt of this run once the current one has ended.
    Rerun {
        /// Scope of the rerun.
        what: RerunScope,
        /// Whether the server logs debug lines in that attempt. A run on this machine
        /// refuses `true`, because it keeps its setting.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        debug: bool,
    },
    /// Start another attempt of this job on its server with the debugger: the job stops before each step.
    RerunWithDebugger {
        /// The job.
        job: JobId,
    },
    /// Approve or reject deployments that wait for a review.
    Review {
        /// Ids of the environments, as in [`PendingReview`](super::PendingReview).
        environments: Vec<u64>,
        /// Whether to approve; otherwise the deployments are rejected, and their jobs fail.
        approve: bool,
        /// Comment for the other reviewers; may be empty.
        comment: String,
    },
    /// Steer a deployment by this machine.
    Deployment {
        /// The request.
        order: DeploymentOrder,
        /// The person who sends the command; `None` for the user who started the worker.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Actor>,
    },
    /// Decide how a job continues whose step is held.
    Held {
        /// The job.
        job: JobId,
        /// The step.
        step: StepNumber,
        /// How the job continues.
        order: HeldOrder,
    },
    /// Record that the user's changes were brought into the workspace of a job whose step is held.
    Synced {
        /// The job.
        job: JobId,
    },
    /// Hold steps that fail from now on, or let them fail. Steps that are held already stay held. Also recorded,
    /// without being sent, at the start of an attempt that holds failed steps.
    Hold {
        /// Whether to hold them.
        on: bool,
    },
    /// Approve the run of a fork, so that it starts.
    ApproveFork,
    /// Remove the run from its server and from this machine.
    Delete,
    /// Remove the logs of the run from its server.
    DeleteLogs,
    /// Start this run by a dispatch of its workflow. This command is recorded but never sent, because the run exists
    /// only after the dispatch.
    Dispatch {
        /// Branch or tag.
        git_ref: String,
        /// Inputs that were sent, by name.
        inputs: BTreeMap<String, String>,
    },
    /// Resume a run whose worker was lost, from the first step that has not ended.
    Resume,
    /// Give up a concurrency group, because another run or job takes it.
    Yield {
        /// Name of the group.
        group: String,
        /// The job that holds or waits for the group; `None` for the run as a whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
        /// Run or job that takes the group.
        to: String,
    },
    /// Send one byte whenever the journal has grown. Keeps the connection open and has no reply.
    Watch,
}

/// A request of a person to a deployment by this machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentOrder {
    /// Continue after a pause.
    Promote {
        /// Whether all later pauses are skipped, too.
        full: bool,
    },
    /// Stop the former release, which is kept running after a success.
    StopKept,
    /// Pause before the next step.
    Pause,
    /// Roll back to the previous release.
    Abort {
        /// Reason; may be empty.
        reason: String,
    },
    /// Approve or reject the deployment.
    Review {
        /// Whether to approve the deployment; otherwise it ends before it begins.
        approve: bool,
        /// Comment; may be empty.
        comment: String,
    },
}

/// How a job continues whose step was held, after it failed or before it ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldOrder {
    /// Run the step, again if it has failed.
    Retry,
    /// Go back to this step of the job, and run again from there. Variables, folders of `PATH` and outputs are those
    /// before that step; files and services stay as they are.
    RetryFrom(StepNumber),
    /// Count a failed step as a success; skip one that has not run.
    Skip,
    /// Go on as without the hold: a failed step fails, and one that has not run runs.
    Continue,
}

/// Jobs that a new attempt runs again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RerunScope {
    /// Every job.
    All,
    /// Jobs that failed, were cancelled or have not ended, and the jobs that need them. Failures that
    /// `continue-on-error` allows do not count.
    Failed,
    /// This job, and the jobs that need it.
    Job(JobId),
    /// This job from one of its steps on, with the files of its last attempt, and the jobs that need it.
    Step {
        /// The job.
        job: JobId,
        /// First step that runs again.
        step: StepNumber,
    },
}

/// Reply of the worker to a command. It is recorded as well, so that every reader sees the command and its result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The command is carried out.
    Accepted,
    /// The command is refused.
    Rejected {
        /// Reason, to follow "rejected: ".
        reason: String,
    },
    /// The server did not answer: either the command was not sent, or it is unknown whether it is carried out.
    Unanswered {
        /// Cause.
        reason: String,
    },
}
