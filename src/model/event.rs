//! Facts. A backend emits [`Event`]s, the outlet makes them [`Record`]s, and every reader folds the same records.
//!
//! An event is generic in its output payload: inside the engine it is bytes that were not masked yet, in a record it is
//! a [`LineRange`] of the step's log file. Log text never queues towards a reader.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Command, Conclusion, EndReason, Explanation, Gate, JobId, Reply, Service, StepNumber, Timestamp};

/// A fact with its place and time in the journal of one run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Counts from 1 within a journal, without gaps.
    pub seq: u64,
    /// When the outlet wrote it.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Lines of one step's log, as a record names them: `first..first + count`, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LineRange {
    /// The first line.
    pub first: u64,
    /// How many lines.
    pub count: u64,
}

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<O = LineRange> {
    /// An attempt of the run began. Jobs announced by [`Event::JobsPlanned`] after this belong to it.
    RunStarted {
        /// From 1.
        attempt: u32,
        /// The run's name (`run-name`, or the workflow's name).
        name: String,
    },
    /// The run as a whole is held back.
    RunWaiting {
        /// By what.
        gate: Gate,
        /// The attempt that is to begin.
        attempt: u32,
        /// The run's name.
        name: String,
    },
    /// These jobs exist. With `replaces`, they are the legs of a matrix (or the jobs of a called workflow) that was
    /// one entry until its values were known.
    JobsPlanned {
        /// In the order of the workflow file.
        jobs: Vec<JobOutline>,
        /// The entry that these take the place of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<JobId>,
    },
    /// A job is held back although the jobs it needs have ended.
    JobWaiting {
        /// Which.
        job: JobId,
        /// By what.
        gate: Gate,
    },
    /// The condition of a job or step was evaluated.
    Decided {
        /// Of which job.
        job: JobId,
        /// Of which step; nothing for the job's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepNumber>,
        /// Why it came out as it did.
        explanation: Explanation,
    },
    /// A job began.
    JobStarted {
        /// Which.
        job: JobId,
        /// Its name, now that every expression in it is known.
        name: String,
        /// Where it runs, in words: `host`, `docker ci-base:local`.
        sandbox: String,
    },
    /// A job's steps are known. Sent once before the first step, and again when posts or expanded steps are added;
    /// steps already known keep their number.
    StepsPlanned {
        /// Of which job.
        job: JobId,
        /// All steps, in order.
        steps: Vec<StepOutline>,
    },
    /// An image that a job needs is being brought here, or is here.
    ImagePulled {
        /// Which job.
        job: JobId,
        /// The image.
        image: String,
        /// How many bytes are here.
        done: u64,
        /// How many there are, as far as it is known.
        total: u64,
    },
    /// A service of a job is in another state than before.
    ServiceChanged {
        /// Of which job.
        job: JobId,
        /// The service as it is now.
        service: Service,
    },
    /// A step began.
    StepStarted {
        /// In which job.
        job: JobId,
        /// Which.
        step: StepNumber,
        /// Its name, now that every expression in it is known.
        name: String,
    },
    /// A process group was started for a step, so that it can be found and ended if the worker is lost.
    ProcessStarted {
        /// In which job.
        job: JobId,
        /// For which step.
        step: StepNumber,
        /// The process group's id on this machine.
        pgid: i32,
    },
    /// A step wrote to its log.
    Output {
        /// In which job.
        job: JobId,
        /// Which step.
        step: StepNumber,
        /// What it wrote.
        output: O,
    },
    /// A notice, warning or error with a place, from a command or a problem matcher.
    Annotated {
        /// In which job.
        job: JobId,
        /// In which step.
        step: StepNumber,
        /// What was said.
        annotation: Annotation,
    },
    /// A step ended.
    StepFinished {
        /// In which job.
        job: JobId,
        /// Which.
        step: StepNumber,
        /// Before `continue-on-error`.
        outcome: Conclusion,
        /// After `continue-on-error`.
        conclusion: Conclusion,
        /// Exit code of its process, when there was one and it exited.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// Signal that ended its process.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<Signal>,
        /// Why, in words, when it did not succeed or was skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A job ended.
    JobFinished {
        /// Which.
        job: JobId,
        /// After `continue-on-error`, as the run counts it.
        conclusion: Conclusion,
        /// Whether `continue-on-error` lets the run succeed although this job did not.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        allowed_failure: bool,
        /// Why, in words, when it did not succeed or was skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Its outputs, those that hold a secret left out as GitHub does.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        outputs: IndexMap<String, String>,
        /// `environment.url`, once known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment_url: Option<String>,
    },
    /// Somebody gave an order.
    Ordered {
        /// What was asked.
        command: Command,
        /// What came of it.
        reply: Reply,
    },
    /// The attempt ended.
    RunFinished {
        /// How.
        conclusion: Conclusion,
        /// Why, where no job explains it.
        #[serde(flatten)]
        reason: Option<EndReason>,
    },
    /// A fact of a later version of the journal. Readers keep it and pass it on, and it changes nothing.
    #[serde(other)]
    Unknown,
}

/// A job as it is announced, before it runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobOutline {
    /// Its id in the run.
    pub id: JobId,
    /// The job's key in the workflow file (all legs of a matrix share it).
    pub key: String,
    /// Its name, as far as it is known.
    pub name: String,
    /// The jobs it needs, legs spelled out.
    pub needs: Vec<JobId>,
    /// The environment it deploys to, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Id of the job that calls the workflow this one comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<JobId>,
}

/// A step as it is announced, before it runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StepOutline {
    /// Its number in the job.
    pub number: StepNumber,
    /// Its name, as far as it is known.
    pub name: String,
    /// Where it comes from.
    pub kind: StepKind,
}

/// Where a step comes from.
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

/// A remark with a place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Annotation {
    /// How bad.
    pub level: Level,
    /// What is wrong.
    pub message: String,
    /// A short heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A path relative to the workspace.
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

/// How bad an annotation is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For information.
    Notice,
    /// Worth a look.
    Warning,
    /// Wrong.
    Error,
}

impl Level {
    /// The level's name, as GitHub's workflow commands have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A signal, by number, shown by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signal(pub i32);

impl Signal {
    /// Its name where it is a common one (`SIGSEGV`), else its number in words.
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
