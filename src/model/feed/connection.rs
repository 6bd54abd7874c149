//! The connection between a backend and the source of its runs.

use std::time::Duration;

use crate::model::Timestamp;

/// Time of the next request to a server, and what is left of its rate limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Polling {
    /// Time of the next request.
    pub next: Timestamp,
    /// Remaining and total requests of the current period, if the server reports them.
    pub budget: Option<(u64, u64)>,
}

/// State of the connection between a backend and the source of its runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Connection {
    /// Reports arrive in real time.
    #[default]
    Live,
    /// The reports are the records of a past run.
    Replay,
    /// A server has not answered yet.
    Asking {
        /// Name of the server.
        server: String,
    },
    /// No reports have arrived for a while, so the data may be outdated.
    Stale {
        /// Time of the last report.
        since: Timestamp,
        /// What is wrong.
        trouble: Trouble,
        /// Reason, in one line.
        reason: String,
    },
    /// The source has never answered.
    Offline {
        /// What is wrong.
        trouble: Trouble,
        /// Reason, in one line.
        reason: String,
    },
}

/// A problem with a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trouble {
    /// The source gives no answer.
    #[default]
    NoAnswer,
    /// The source must not be asked before this time.
    Paused {
        /// End of the pause.
        until: Timestamp,
    },
    /// The source does not accept the token.
    TokenRefused,
    /// The token must be authorized for single sign-on first.
    SsoNeeded,
}

impl Connection {
    /// Returns the age of the data; `None` if it is current, or nothing was ever reported.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::Stale { since, .. } => Some(now.since(*since)),
            Self::Live | Self::Replay | Self::Asking { .. } | Self::Offline { .. } => None,
        }
    }

    /// Returns why data is missing or outdated; `None` if it is neither.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Stale { reason, .. } | Self::Offline { reason, .. } => Some(reason),
            Self::Live | Self::Replay | Self::Asking { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stale_data_has_an_age() {
        let stale =
            Connection::Stale { since: Timestamp(1_000), trouble: Trouble::NoAnswer, reason: "no answer".to_owned() };
        assert_eq!(stale.age(Timestamp(4_000)), Some(Duration::from_secs(3)));
        assert_eq!(stale.age(Timestamp(500)), Some(Duration::ZERO), "a clock that was set back");
        assert_eq!(stale.reason(), Some("no answer"));
        let offline = Connection::Offline { trouble: Trouble::NoAnswer, reason: "no answer".to_owned() };
        assert_eq!((offline.age(Timestamp(4_000)), offline.reason()), (None, Some("no answer")));
        let asking = Connection::Asking { server: "github.com".to_owned() };
        for current in [Connection::Live, Connection::Replay, asking] {
            assert_eq!((current.age(Timestamp(4_000)), current.reason()), (None, None));
        }
    }
}
