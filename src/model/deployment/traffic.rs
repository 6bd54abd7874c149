//! Traffic of the slots of an environment, as it is sampled while a deployment is in progress.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plan::{Slot, SlotState};
use crate::model::Timestamp;

/// Counters of the answers of one or more replicas, since their router started.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Counters {
    /// Number of requests that ended, with or without an answer.
    pub requests: u64,
    /// Number of answers with a status of 500 or more, and of requests without a whole answer: the connection failed or
    /// broke, or the answer was invalid or too late.
    pub errors: u64,
    /// Number of requests whose answer had a status.
    #[serde(default)]
    pub answers: u64,
    /// Time until the answers began, all answers together. Samples of older versions have none.
    #[serde(default)]
    pub time: Duration,
}

impl Counters {
    /// Adds the counters of another replica.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            errors: self.errors + other.errors,
            answers: self.answers + other.answers,
            time: self.time + other.time,
        }
    }

    /// Returns the counters of the answers since an earlier count. A router that was restarted counts from zero, so all
    /// of its answers are then newer.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        if self.requests < earlier.requests || self.errors < earlier.errors {
            return self;
        }
        Self {
            requests: self.requests - earlier.requests,
            errors: self.errors - earlier.errors,
            answers: self.answers.saturating_sub(earlier.answers),
            time: self.time.saturating_sub(earlier.time),
        }
    }

    /// Returns the mean time until an answer began; zero if there were no answers.
    #[must_use]
    pub fn latency(self) -> Duration {
        let nanoseconds = self.time.as_nanos().checked_div(self.answers.into()).unwrap_or_default();
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// A slot with replicas, at one time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotTraffic {
    /// Short name of the host; `None` unless the target has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The slot.
    pub slot: Slot,
    /// Title of the release in the slot: `v1.4.2 9093b37`.
    pub title: String,
    /// Replicas and share of the traffic.
    pub state: SlotState,
    /// Counters of the slot's replicas; `None` if the target does not count requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
}

/// The slots with replicas, as observed at one time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TrafficSample {
    /// Time of the observation.
    pub at: Timestamp,
    /// The slots with replicas.
    pub slots: Vec<SlotTraffic>,
    /// Message of the controller of the target; `None` if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl TrafficSample {
    /// Returns the same slot of the same host; `None` if it had no replicas.
    #[must_use]
    pub fn slot(&self, same: &SlotTraffic) -> Option<&SlotTraffic> {
        self.slots.iter().find(|traffic| traffic.slot == same.slot && traffic.host == same.host)
    }

    /// Returns the answers of a slot since an earlier sample, and the time between the two. `None` unless both samples
    /// count requests of the slot.
    #[must_use]
    pub fn since(&self, earlier: &Self, slot: &SlotTraffic) -> Option<(Counters, Duration)> {
        let count = |sample: &Self| sample.slot(slot)?.counters;
        Some((count(self)?.since(count(earlier)?), self.at.since(earlier.at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, counters: Option<Counters>) -> TrafficSample {
        TrafficSample { at: Timestamp(at), slots: vec![slot(Slot::Green, None, counters)], note: None }
    }

    fn slot(slot: Slot, host: Option<&str>, counters: Option<Counters>) -> SlotTraffic {
        let (host, state) = (host.map(str::to_owned), SlotState::default());
        SlotTraffic { host, slot, title: "v2".to_owned(), state, counters }
    }

    #[test]
    fn answers_are_counted_between_two_samples_of_a_slot() {
        let counters = |requests, errors| Counters {
            requests,
            errors,
            answers: requests,
            time: Duration::from_millis(5 * requests),
        };
        let first = sample(1_000, Some(counters(90, 1)));
        let second = sample(3_000, Some(counters(100, 4)));
        let green = slot(Slot::Green, None, None);
        assert_eq!(second.since(&first, &green), Some((counters(10, 3), Duration::from_secs(2))));
        assert_eq!(counters(10, 3).latency(), Duration::from_millis(5));
        assert_eq!(Counters::default().latency(), Duration::ZERO);
        // The router was restarted.
        assert_eq!(first.since(&second, &green).map(|(seen, _)| seen), Some(counters(90, 1)));
        assert_eq!(second.since(&first, &slot(Slot::Blue, None, None)), None);
        assert_eq!(second.since(&first, &slot(Slot::Green, Some("web2"), None)), None);
        assert_eq!(second.since(&sample(1_000, None), &green), None);
    }
}
