//! Why a run ended.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an attempt of a run ended, where no job explains it.
///
/// In records it is a text for people and, beside it, the cause for programs: `"reason": "worker lost", "cause": {"kind":
/// "worker_lost"}`. Records of earlier versions have the text alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub enum EndReason {
    /// The worker died, and the run was closed by another program.
    WorkerLost,
    /// Another run or job took the concurrency group over.
    GroupYielded {
        /// Name of the group.
        group: String,
        /// The run, or the run and its job, that has the group now.
        to: String,
    },
    /// The run could not start: its files have errors, or the request does not fit them. Files are quoted.
    NotStarted(String),
    /// A task of the worker panicked, which is a fault of cuelight. The message names the task.
    Panicked(String),
    /// The run's folder was written by a newer version, or is damaged. Never in records, only in lists.
    Unreadable(String),
    /// A message of the worker, of one line or more.
    Message(String),
}

/// A reason as it is written.
#[derive(Serialize, Deserialize)]
struct Wire {
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
}

/// The part of a reason that programs read.
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
    /// A cause of a later version: its text is a message.
    #[serde(other)]
    Unknown,
}

/// The text of [`EndReason::WorkerLost`], which is all that earlier versions wrote.
const WORKER_LOST: &str = "worker lost";

/// Precedes the message of [`EndReason::Panicked`].
const INTERNAL_ERROR: &str = "internal error: ";

impl EndReason {
    /// Returns the reason for people.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::WorkerLost => WORKER_LOST,
            Self::GroupYielded { group, to } => {
                return Cow::Owned(format!("it gave the group {group} up for {to}"));
            }
            Self::Panicked(message) => return Cow::Owned(format!("{INTERNAL_ERROR}{message}")),
            Self::NotStarted(text) | Self::Unreadable(text) | Self::Message(text) => text,
        })
    }

    /// Visits every text that comes from a workflow or a program, to mask secrets in it.
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
    fn a_reason_is_a_text_and_a_cause_in_records() {
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
