//! Why a run ended.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Reason for the end of an attempt, where no job explains it.
///
/// In records, a reason is a text for users together with a cause for programs: `"reason": "worker lost", "cause":
/// {"kind": "worker_lost"}`. Records of earlier versions have the text alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub enum EndReason {
    /// The worker died, and another process closed the run.
    WorkerLost,
    /// Another run or job took the concurrency group.
    GroupYielded {
        /// Name of the group.
        group: String,
        /// Run, or run and job, that took the group.
        to: String,
    },
    /// The run could not start: a file has errors, or the request does not fit it. Holds the message with quoted source
    /// lines.
    NotStarted(String),
    /// A task of the worker panicked, which is a bug in cuelight. The message names the task.
    Panicked(String),
    /// The run folder was written by a newer version, or is damaged. Used in lists only, never in records.
    Unreadable(String),
    /// A message of the worker, possibly of several lines.
    Message(String),
}

/// Serialized form of a reason.
#[derive(Serialize, Deserialize)]
struct Wire {
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
}

/// Machine-readable part of a reason.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Cause {
    WorkerLost,
    GroupYielded {
        group: String,
        to: String,
    },
    NotStarted,
    Panicked,
    Unreadable,
    /// A cause of a later version, whose text is used as a message.
    #[serde(other)]
    Unknown,
}

/// Text of [`EndReason::WorkerLost`], the only form in earlier versions.
const WORKER_LOST: &str = "worker lost";

/// Prefix of the message of [`EndReason::Panicked`].
const INTERNAL_ERROR: &str = "internal error: ";

impl EndReason {
    /// Returns the reason as text.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::WorkerLost => WORKER_LOST,
            Self::GroupYielded { group, to } => {
                return Cow::Owned(format!("the group {group} was given to {to}"));
            }
            Self::Panicked(message) => return Cow::Owned(format!("{INTERNAL_ERROR}{message}")),
            Self::NotStarted(text) | Self::Unreadable(text) | Self::Message(text) => text,
        })
    }

    /// Applies a function to every text that comes from a workflow or a program, to mask secrets.
    pub fn for_each_text(&mut self, visit: &mut dyn FnMut(&mut String)) {
        match self {
            Self::WorkerLost => {}
            Self::GroupYielded { group, to } => {
                visit(group);
                visit(to);
            }
            Self::NotStarted(text) | Self::Panicked(text) | Self::Unreadable(text) | Self::Message(text) => visit(text),
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl From<Wire> for EndReason {
    fn from(Wire { reason, cause }: Wire) -> Self {
        match cause {
            None if reason == WORKER_LOST => Self::WorkerLost,
            Some(Cause::WorkerLost) => Self::WorkerLost,
            Some(Cause::GroupYielded { group, to }) => Self::GroupYielded { group, to },
            Some(Cause::NotStarted) => Self::NotStarted(reason),
            Some(Cause::Panicked) => Self::Panicked(reason.strip_prefix(INTERNAL_ERROR).unwrap_or(&reason).to_owned()),
            Some(Cause::Unreadable) => Self::Unreadable(reason),
            None | Some(Cause::Unknown) => Self::Message(reason),
        }
    }
}

impl From<EndReason> for Wire {
    fn from(reason: EndReason) -> Self {
        let text = reason.text().into_owned();
        let cause = match reason {
            EndReason::WorkerLost => Some(Cause::WorkerLost),
            EndReason::GroupYielded { group, to } => Some(Cause::GroupYielded { group, to }),
            EndReason::NotStarted(_) => Some(Cause::NotStarted),
            EndReason::Panicked(_) => Some(Cause::Panicked),
            EndReason::Unreadable(_) => Some(Cause::Unreadable),
            EndReason::Message(_) => None,
        };
        Self { reason: text, cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conclusion, Event};

    fn finished(json: &str) -> Option<EndReason> {
        let json = format!(r#"{{"event":"run_finished","conclusion":"failure"{json}}}"#);
        match serde_json::from_str::<Event>(&json).expect("a record") {
            Event::RunFinished { conclusion: Conclusion::Failure, reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_reason_is_recorded_as_text_and_cause() {
        let text = || "x".to_owned();
        for reason in [
            EndReason::WorkerLost,
            EndReason::GroupYielded { group: text(), to: "r (job)".to_owned() },
            EndReason::NotStarted(text()),
            EndReason::Panicked(text()),
            EndReason::Message(text()),
        ] {
            let event: Event = Event::RunFinished { conclusion: Conclusion::Failure, reason: Some(reason.clone()) };
            let json = serde_json::to_value(&event).expect("serialises");
            assert_eq!(json["reason"], *reason.text(), "scripts read the text");
            assert_eq!(serde_json::from_value::<Event>(json).expect("reads"), event);
        }
        assert_eq!(finished(""), None);
    }

    #[test]
    fn records_of_earlier_and_later_versions_are_read() {
        assert_eq!(finished(r#","reason":"worker lost""#), Some(EndReason::WorkerLost));
        assert_eq!(finished(r#","reason":"no disk""#), Some(EndReason::Message("no disk".to_owned())));
        let later = r#","reason":"struck by lightning","cause":{"kind":"lightning","volts":9}"#;
        assert_eq!(finished(later), Some(EndReason::Message("struck by lightning".to_owned())));
    }
}
