//! Events of a run. The engine emits [`Event`]s, the outlet turns them into [`Record`]s, and every reader folds the
//! same records.
//!
//! An event is generic over its output: inside the engine the output is bytes that are not masked yet, and in a record
//! it is a [`LineRange`] of the step's log file. Log text is never sent to readers.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::deployment::{NotifyChannel, NotifyEvent, SlotTraffic};
use super::{
    Command, Conclusion, EndReason, Explanation, Gate, HeldOrder, JobId, PendingReview, Reply, RunnerLog, Service,
    StepNumber, Timestamp, WorkingTree,
};

/// An event with its sequence number and time in the journal of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Sequence number: counts from 1 within a journal, without gaps.
    pub seq: u64,
    /// Time of the event. In a mirror, this is the server's time; otherwise, it is the time at which the record was
    /// written.
    pub at: Timestamp,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// Lines of a step's log: `first..first + count`, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LineRange {
    /// First line.
    pub first: u64,
    /// Number of lines.
    pub count: u64,
}

/// Something that happened in a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<O = LineRange> {
    /// An attempt of the run started. Jobs of later [`Event::JobsPlanned`] events belong to it.
    RunStarted {
        /// Number of the attempt, from 1.
        attempt: u32,
        /// Name of the run (`run-name`, or the name of the workflow).
        name: String,
    },
    /// The working tree was read: at the start of an attempt after the first, and when changes were brought into the
    /// workspace of a held job. Replaces what was known about the attempt.
    WorkingTreeRead {
        /// Number of the attempt, which may not have started yet.
        attempt: u32,
        /// The working tree that the jobs of the attempt use.
        tree: WorkingTree,
    },
    /// The run as a whole waits.
    RunWaiting {
        /// What the run waits for.
        gate: Gate,
        /// Number of the attempt that is about to start.
        attempt: u32,
        /// Name of the run.
        name: String,
    },
    /// Jobs were planned. With `replaces`, they are the legs of a matrix (or the jobs of a called workflow) that was
    /// planned as one job before its values were known.
    JobsPlanned {
        /// Jobs in the order of the workflow file.
        jobs: Vec<JobOutline>,
        /// Job that is replaced by these; `None` if they are additional jobs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<JobId>,
    },
    /// A job waits before its start.
    JobWaiting {
        /// Id of the job.
        job: JobId,
        /// What the job waits for.
        gate: Gate,
    },
    /// The condition of a job or step was evaluated.
    Decided {
        /// Id of the job.
        job: JobId,
        /// Number of the step; `None` for the condition of the job.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepNumber>,
        /// Explanation of the result.
        explanation: Explanation,
    },
    /// A job started.
    JobStarted {
        /// Id of the job.
        job: JobId,
        /// Name of the job with all expressions evaluated.
        name: String,
        /// Where the job runs: `host`, `docker ci-base:local`.
        sandbox: String,
        /// Environment that the job deploys to, with all expressions evaluated; `None` if it does not deploy, or in a
        /// mirror.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment: Option<String>,
    },
    /// The steps of a job were planned. This is recorded once before the first step, and again when steps are added;
    /// numbers of known steps do not change.
    StepsPlanned {
        /// Id of the job.
        job: JobId,
        /// All steps, in order.
        steps: Vec<StepOutline>,
    },
    /// An image for a job is being downloaded, or exists.
    ImagePulled {
        /// Id of the job.
        job: JobId,
        /// Name of the image.
        image: String,
        /// Bytes downloaded so far.
        done: u64,
        /// Total number of bytes; 0 if it is not known.
        total: u64,
    },
    /// The state of a service changed.
    ServiceChanged {
        /// Id of the job.
        job: JobId,
        /// The new state of the service.
        service: Service,
    },
    /// The slots of an environment were observed while a deployment is in progress.
    TrafficObserved {
        /// Id of the job that deploys.
        job: JobId,
        /// The slots with replicas.
        slots: Vec<SlotTraffic>,
        /// Message of the controller of the target, as [`Observed::note`](crate::model::deployment::Observed::note).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// A step started.
    StepStarted {
        /// Id of the job.
        job: JobId,
        /// Number of the step.
        step: StepNumber,
        /// Name of the step with all expressions evaluated.
        name: String,
    },
    /// A process group was started for a step. Recorded so that it can be killed if the worker is lost.
    ProcessStarted {
        /// Id of the job.
        job: JobId,
        /// Number of the step.
        step: StepNumber,
        /// Id of the process group on this machine.
        pgid: i32,
    },
    /// A step wrote to its log.
    Output {
        /// Id of the job.
        job: JobId,
        /// Number of the step.
        step: StepNumber,
        /// The output.
        output: O,
    },
    /// The last line of a step's log, which has no newline yet, has grown. An [`Event::Output`] reports the line once
    /// it is complete.
    LineGrew {
        /// Id of the job.
        job: JobId,
        /// Number of the step.
        step: StepNumber,
        /// Number of the line, from 0.
        line: u64,
        /// Length of the line so far, in bytes.
        bytes: u64,
    },
    /// A job of a mirror runs on a runner of this machine: its log is read there while it grows, or cannot be.
    RunnerFound {
        /// Id of the job.
        job: JobId,
        /// The log of the runner.
        log: RunnerLog,
    },
    /// A command or a problem matcher reported a notice, warning or error.
    Annotated {
        /// Id of the job.
        job: JobId,
        /// Number of the step.
        step: StepNumber,
        /// The annotation.
        annotation: Annotation,
    },
    /// A step failed or is about to run, and waits until a person decides how its job continues.
    StepHeld {
        /// Id of the job.
        job: JobId,
        /// Number of the step.
        step: StepNumber,
        /// Reason of the failure, as a message; `None` if the step has not run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Time at which the step fails if no person decides.
        until: Timestamp,
    },
    /// A held step was released. If its job goes back to an earlier step, the steps from there on are queued again.
    StepReleased {
        /// Id of the job.
        job: JobId,
        /// Number of the step.
        step: StepNumber,
        /// The order; `None` if the time ran out or the job was cancelled.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<HeldOrder>,
    },
    /// A step ended.
    StepFinished {
        /// Id of the job.
        job: JobId,
        /// Number of the step.
        step: StepNumber,
        /// Result before `continue-on-error`.
        outcome: Conclusion,
        /// Result after `continue-on-error`.
        conclusion: Conclusion,
        /// Exit code of the process, if it ran and exited.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// Signal that killed the process; `None` if none did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<Signal>,
        /// Reason, as a message, if the step did not succeed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A job ended.
    JobFinished {
        /// Id of the job.
        job: JobId,
        /// Result of the job, before `continue-on-error` is applied.
        conclusion: Conclusion,
        /// Whether `continue-on-error` lets the run succeed although this job failed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        allowed_failure: bool,
        /// Reason, as a message, if the job did not succeed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Outputs, except outputs that contain a secret, as on GitHub.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        outputs: IndexMap<String, String>,
        /// `environment.url`, once known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment_url: Option<String>,
    },
    /// The environments that hold back jobs of the attempt. Replaces the list of the previous event of this kind.
    ReviewsPending {
        /// All pending reviews; empty if no job waits any longer.
        environments: Vec<PendingReview>,
    },
    /// A deployment was approved or rejected.
    Reviewed {
        /// Names of the environments.
        environments: Vec<String>,
        /// Whether the deployment was approved.
        approved: bool,
        /// Name of the reviewer.
        by: String,
        /// Comment of the reviewer.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        comment: String,
    },
    /// People were notified of a deployment, or could not be.
    Notified {
        /// Id of the job that deploys.
        job: JobId,
        /// Destination of the notification.
        channel: NotifyChannel,
        /// Event of the deployment that the notification reports.
        about: NotifyEvent,
        /// The notification in one sentence.
        message: String,
        /// Why it did not arrive; `None` if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    /// A server recorded a deployment or its new state, or did not.
    DeploymentRecorded {
        /// Id of the job that deploys.
        job: JobId,
        /// Page of the environment on the server; `None` if the deployment is not recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page: Option<String>,
        /// Why the server did not record the deployment or its new state; `None` if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    /// A command was given to the run.
    Ordered {
        /// The command.
        command: Command,
        /// The reply.
        reply: Reply,
        /// User of the server whose token sent the command; `None` for a run of this machine, or if the server named
        /// none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// The attempt ended.
    RunFinished {
        /// Conclusion of the attempt.
        conclusion: Conclusion,
        /// Reason, where no job explains it.
        #[serde(flatten)]
        reason: Option<EndReason>,
    },
    /// An event of a later version, which readers ignore.
    #[serde(other)]
    Unknown,
}

/// Outline of a job, which is shown before the job runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobOutline {
    /// Id of the job in the run.
    pub id: JobId,
    /// Key of the job in the workflow file, shared by all legs of a matrix.
    pub key: String,
    /// Name of the job, as far as it is known.
    pub name: String,
    /// Needed jobs, one id for each leg.
    pub needs: Vec<JobId>,
    /// Environment that the job deploys to, as written; `None` if it does not deploy, or if the name is an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Id of the job that calls the workflow of this job; `None` for a job of the run's own workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<JobId>,
    /// Id of the job on its server, for a run on a server that lists the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<u64>,
}

/// Outline of a step, which is shown before the step runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StepOutline {
    /// Number of the step in the job.
    pub number: StepNumber,
    /// Name of the step, as far as it is known.
    pub name: String,
    /// Origin of the step.
    pub kind: StepKind,
    /// Whether later steps do not wait for the step to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub background: bool,
    /// Short name of a step of a deployment, for the picture of its plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Origin of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// "Set up job" and "Complete job".
    Job,
    /// The `pre` of an action.
    Pre,
    /// A step of the workflow file.
    Main,
    /// The `post` of an action.
    Post,
}

/// A message about a job, or about a position in a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Annotation {
    /// Severity.
    pub level: Level,
    /// Message.
    pub message: String,
    /// Title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Path relative to the workspace; `None` if the message is not about a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// First line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Last line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_line: Option<u32>,
    /// First column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Last column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_column: Option<u32>,
}

/// Severity of an annotation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A notice.
    Notice,
    /// A warning.
    Warning,
    /// An error.
    Error,
}

impl Level {
    /// Returns the name of the level in GitHub's workflow commands.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A signal number, displayed as a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signal(pub i32);

impl Signal {
    /// Returns the name of a common signal (`SIGSEGV`), else `signal` and the number.
    #[must_use]
    pub fn name(self) -> String {
        let name = match self.0 {
            1 => "SIGHUP",
            2 => "SIGINT",
            3 => "SIGQUIT",
            4 => "SIGILL",
            6 => "SIGABRT",
            8 => "SIGFPE",
            9 => "SIGKILL",
            11 => "SIGSEGV",
            13 => "SIGPIPE",
            14 => "SIGALRM",
            15 => "SIGTERM",
            other => return format!("signal {other}"),
        };
        name.to_owned()
    }
}
