//! Progress and conclusions, in GitHub's terms.
//!
//! Runs, jobs and steps share one [`Phase`], so one table defines every glyph, colour and word on the screen.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Progress of a run, job or step. `Done` is final within an attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Ready to start as soon as it is scheduled.
    #[default]
    Queued,
    /// Waits, with the reason.
    Waiting(Gate),
    /// In progress.
    Running,
    /// In progress, but being cancelled. Its conclusion is still open.
    Stopping,
    /// Ended.
    Done(Conclusion),
}

/// Why a job or run waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Needed jobs have not ended.
    Needs,
    /// Another run or job holds the concurrency group.
    Concurrency {
        /// Name of the group. Empty if the name is not known.
        group: String,
        /// Holder of the group: a run, or a run and its job. Empty if the holder is not known.
        holder: String,
    },
    /// The limit of concurrent jobs on this machine, or the matrix's `max-parallel`.
    Capacity,
    /// A resource on this machine, such as a port, with its description.
    Resource(String),
    /// A rule of an environment of this machine, as a sentence about the environment.
    Rule(String),
    /// A person, who decides how a job continues after a failed step, or before a step with a breakpoint.
    Held {
        /// Reason of the failure, as a message; `None` if the step has not run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Time at which the step fails if no person decides.
        until: Timestamp,
    },
    /// A review of the environment with this name.
    Review(String),
    /// The wait timer of an environment (remote runs).
    Timer {
        /// Name of the environment.
        environment: String,
        /// End of the timer.
        until: Timestamp,
    },
    /// Protection rules of the environment with this name, if the server does not report which ones (remote runs).
    Protection(String),
    /// A runner with these labels (remote runs).
    Runner(Vec<String>),
    /// A state that this version does not know, in the server's word (remote runs).
    Other(String),
}

/// Beginning of the warning in the log of a step that failed and is held. The reason of the failure follows.
pub const FAILED_AND_HELD: &str = "The step failed and is held: ";

/// How a run, job or step ended, in GitHub's terms.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Succeeded.
    Success,
    /// Failed.
    Failure,
    /// Cancelled.
    Cancelled,
    /// Never started, because of its condition or because it cannot run here.
    Skipped,
    /// Reached its time limit.
    TimedOut,
    /// Waits for a person (remote runs).
    ActionRequired,
    /// Ended without a result (remote checks).
    Neutral,
    /// Marked as stale by the server, because it took too long (remote checks).
    Stale,
    /// The run could not be started at all.
    StartupFailure,
}

impl Phase {
    /// Returns the conclusion; `None` if the run, job or step has not ended.
    #[must_use]
    pub fn conclusion(&self) -> Option<Conclusion> {
        match self {
            Self::Done(conclusion) => Some(*conclusion),
            _ => None,
        }
    }

    /// Whether the run, job or step has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// Whether the run, job or step has started and not ended.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Running | Self::Stopping)
    }

    /// Whether a step is held: it waits for a person.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Waiting(Gate::Held { .. }))
    }

    /// Whether a step failed and is held.
    #[must_use]
    pub fn is_held_after_failure(&self) -> bool {
        matches!(self, Self::Waiting(Gate::Held { reason: Some(_), .. }))
    }

    /// Returns the state as a word, for users and scripts.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued | Self::Waiting(Gate::Runner(_)) => "queued",
            Self::Waiting(Gate::Concurrency { .. }) => "pending",
            Self::Waiting(_) => "waiting",
            Self::Running => "in_progress",
            Self::Stopping => "stopping",
            Self::Done(conclusion) => conclusion.word(),
        }
    }
}

impl Gate {
    /// Returns the reason as text.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Needs => "jobs it needs have not ended".to_owned(),
            Self::Concurrency { group, .. } if group.is_empty() => "another run holds its concurrency group".to_owned(),
            Self::Concurrency { group, holder } if holder.is_empty() => format!("another run holds the group {group}"),
            Self::Concurrency { group, holder } => format!("another run holds the group {group}: {holder}"),
            Self::Capacity => "waits for a free slot".to_owned(),
            Self::Resource(resource) => format!("waits for {resource}"),
            Self::Rule(sentence) => sentence.clone(),
            Self::Held { reason: Some(reason), until } => format!("failed and held until {}: {reason}", until.clock()),
            Self::Held { reason: None, until } => format!("held before it runs, until {}", until.clock()),
            Self::Review(name) => format!("waits for a review of {name}"),
            Self::Timer { environment, until } => {
                format!("waits for the timer of {environment} until {}", until.clock())
            }
            Self::Protection(name) if name.is_empty() => "waits for the protection rules of its environment".to_owned(),
            Self::Protection(name) => format!("waits for the protection rules of {name}"),
            Self::Runner(labels) if labels.is_empty() => "waits for a runner".to_owned(),
            Self::Runner(labels) => format!("waits for a runner with {}", labels.join(", ")),
            Self::Other(word) => format!("its state is `{word}`"),
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

    /// Returns GitHub's word, as in its API.
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

    /// Returns the end of a run, job or step as a verb, for a sentence: "Deploy timed out".
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Success => "succeeded",
            Self::Failure => "failed",
            Self::Cancelled => "was cancelled",
            Self::Skipped => "was skipped",
            Self::TimedOut => "timed out",
            Self::ActionRequired => "needs action",
            Self::Neutral => "ended",
            Self::Stale => "is stale",
            Self::StartupFailure => "could not start",
        }
    }

    /// Whether the run, job or step failed, exceeded its time limit, or could not be started.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failure | Self::TimedOut | Self::StartupFailure)
    }

    /// Whether this conclusion keeps a run from succeeding.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failure | Self::TimedOut | Self::StartupFailure | Self::Cancelled | Self::ActionRequired)
    }
}
