//! GitHub's words for how far something is and how it ended.
//!
//! One [`Phase`] serves runs, jobs and steps, so one table gives every glyph, colour and word on the screen.

use serde::{Deserialize, Serialize};

/// How far a run, job or step is. Terminal phases absorb late news: nothing leaves `Done`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Known, nothing holds it back except its turn.
    #[default]
    Queued,
    /// Held back, and by what.
    Waiting(Gate),
    /// In progress.
    Running,
    /// In progress, and asked to stop; it still ends with a real conclusion.
    Stopping,
    /// Ended.
    Done(Conclusion),
}

/// What holds a job or run back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Jobs it needs have not ended.
    Needs,
    /// Another run or job has its turn in a concurrency group.
    Concurrency {
        /// The group.
        group: String,
        /// Who has the turn: a run, or a run and its job.
        holder: String,
    },
    /// The machine's limit of jobs at once, or the matrix's `max-parallel`.
    Capacity,
    /// A resource on this machine, such as a port, named in words.
    Resource(String),
    /// An environment's reviewers.
    Review(String),
}

/// How something ended, in GitHub's words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Everything it promised was done.
    Success,
    /// It did not do what it promised.
    Failure,
    /// Stopped on request.
    Cancelled,
    /// Never started, by its condition or because it cannot run here.
    Skipped,
    /// Stopped by its own time limit.
    TimedOut,
    /// Waits for a person (remote runs).
    ActionRequired,
    /// Ended without a verdict (remote checks).
    Neutral,
    /// Overtaken before it ended (remote checks).
    Stale,
    /// The run could not be started at all.
    StartupFailure,
}

impl Phase {
    /// The conclusion, once there is one.
    #[must_use]
    pub fn conclusion(&self) -> Option<Conclusion> {
        match self {
            Self::Done(conclusion) => Some(*conclusion),
            _ => None,
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// Whether it has begun and not ended.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Running | Self::Stopping)
    }

    /// The word people and scripts read.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting(Gate::Concurrency { .. }) => "pending",
            Self::Waiting(_) => "waiting",
            Self::Running => "in_progress",
            Self::Stopping => "stopping",
            Self::Done(conclusion) => conclusion.word(),
        }
    }
}

impl Gate {
    /// What holds it back, in words.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Needs => "jobs it needs have not ended".to_owned(),
            Self::Concurrency { group, holder } => format!("another run holds the group {group}: {holder}"),
            Self::Capacity => "waits for a free place".to_owned(),
            Self::Resource(resource) => format!("waits for {resource}"),
            Self::Review(name) => format!("waits for a review of {name}"),
        }
    }
}

impl Conclusion {
    /// Every conclusion.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Failure,
        Self::Cancelled,
        Self::Skipped,
        Self::TimedOut,
        Self::ActionRequired,
        Self::Neutral,
        Self::Stale,
        Self::StartupFailure,
    ];

    /// GitHub's word, as in its API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::TimedOut => "timed_out",
            Self::ActionRequired => "action_required",
            Self::Neutral => "neutral",
            Self::Stale => "stale",
            Self::StartupFailure => "startup_failure",
        }
    }

    /// Whether a run that holds this must not be called a success.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failure | Self::TimedOut | Self::StartupFailure | Self::Cancelled | Self::ActionRequired)
    }
}
