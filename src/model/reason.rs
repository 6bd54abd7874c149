//! Why a run ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an attempt of a run ended, where no job explains it. In records it is a text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum EndReason {
    /// The worker died, and the run was closed by another program.
    WorkerLost,
    /// A message of the worker, of one line or more.
    Message(String),
}

/// The text of [`EndReason::WorkerLost`].
const WORKER_LOST: &str = "worker lost";

impl EndReason {
    /// Returns the text for people, as it is in records.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::WorkerLost => WORKER_LOST,
            Self::Message(text) => text,
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl From<String> for EndReason {
    fn from(text: String) -> Self {
        if text == WORKER_LOST { Self::WorkerLost } else { Self::Message(text) }
    }
}

impl From<EndReason> for String {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::WorkerLost => WORKER_LOST.to_owned(),
            EndReason::Message(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_text_in_records() {
        let message = EndReason::Message("no such image".to_owned());
        for (reason, text) in [(EndReason::WorkerLost, "\"worker lost\""), (message, "\"no such image\"")] {
            assert_eq!(serde_json::to_string(&reason).expect("serialises"), text);
            assert_eq!(serde_json::from_str::<EndReason>(text).expect("reads"), reason);
        }
    }
}
