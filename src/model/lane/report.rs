//! What a target of deployments reports, or why it reports nothing.

use std::time::Duration;

use crate::model::Timestamp;
use crate::model::deployment::{Counters, Observed, Slot};

/// A report of a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reported {
    /// State of both slots.
    pub observed: Observed,
    /// When the target was asked.
    pub at: Timestamp,
    /// The requests that failed lately; `None` if the target does not count them, or has not counted twice.
    pub requests: Option<Requests>,
}

/// Requests to an environment between two reports of its target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Requests {
    /// The answers.
    pub counters: Counters,
    /// The time between the two reports.
    pub length: Duration,
}

/// Why a target did not report what it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoReport {
    /// It did not answer in time.
    NoAnswer,
    /// It could not be asked, or answered with an error. One line.
    Failed(String),
}

impl Reported {
    /// Returns the number of healthy replicas and the number of all replicas in slots with traffic. `None` if there are
    /// no replicas in such slots.
    #[must_use]
    pub fn health(&self) -> Option<(u32, u32)> {
        let serving = || Slot::ALL.map(|slot| self.observed.slot(slot)).into_iter().filter(|slot| slot.weight > 0);
        let all = serving().map(|slot| slot.replicas).sum();
        (all > 0).then(|| (serving().map(|slot| slot.healthy.min(slot.replicas)).sum(), all))
    }
}

impl Requests {
    /// Whether at least a tenth of the requests failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        let Counters { requests, errors, .. } = self.counters;
        errors > 0 && errors >= requests / 10
    }

    /// Describes the failed requests: `6/6 failed`. `None` if no request failed.
    #[must_use]
    pub fn failed_short(&self) -> Option<String> {
        let Counters { requests, errors, .. } = self.counters;
        (errors > 0).then(|| format!("{errors}/{} failed", requests.max(errors)))
    }

    /// Describes the failed requests and their time: `6/6 failed in 1m`. `None` if no request failed.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        Some(format!("{} in {}", self.failed_short()?, minutes(self.length)))
    }
}

impl NoReport {
    /// Maximum number of characters of an error that are kept.
    const MAX_LENGTH: usize = 160;

    /// Returns the reason for an error, of which the first line is kept.
    #[must_use]
    pub fn failed(error: &str) -> Self {
        let line = error.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unknown error");
        let mut kept: String = line.chars().take(Self::MAX_LENGTH).collect();
        if kept.len() < line.len() {
            kept.push('…');
        }
        Self::Failed(kept)
    }

    /// Returns the reason as a sentence without its full stop.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::NoAnswer => "its target does not answer".to_owned(),
            Self::Failed(error) => format!("its target reports nothing: {error}"),
        }
    }

    /// Returns the reason in a few columns.
    #[must_use]
    pub fn short(&self) -> &'static str {
        match self {
            Self::NoAnswer => "no answer",
            Self::Failed(_) => "no report",
        }
    }

    /// Returns the end of a line with the last report: `no answer since`, `no report since: exit code 1`.
    #[must_use]
    pub fn since(&self) -> String {
        match self {
            Self::NoAnswer => format!("{} since", self.short()),
            Self::Failed(error) => format!("{} since: {error}", self.short()),
        }
    }
}

/// Returns a length in its largest unit, rounded down, and in seconds below a minute: `2h`, `59m`, `20s`.
pub(super) fn minutes(length: Duration) -> String {
    match length.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ ..7_200 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_target_is_told_in_one_line() {
        let error = NoReport::failed("two Compose projects run the service `shop`\nstop one of them");
        assert_eq!(error.text(), "its target reports nothing: two Compose projects run the service `shop`");
        assert_eq!(error.since(), "no report since: two Compose projects run the service `shop`");
        assert_eq!(NoReport::failed(&"a".repeat(500)), NoReport::Failed(format!("{}…", "a".repeat(160))));
        assert_eq!(NoReport::failed("\n").text(), "its target reports nothing: unknown error");
        let silent = NoReport::NoAnswer;
        assert_eq!(
            (silent.text(), silent.since().as_str()),
            ("its target does not answer".to_owned(), "no answer since")
        );
    }
}
