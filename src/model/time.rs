//! Time in records.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC. The model never reads a clock; the writer of a record sets the time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug, Default)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns the time since `earlier`, or zero if `earlier` is later than this time (clocks can step back).
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Returns the time at which this length of time has passed.
    #[must_use]
    pub fn after(self, length: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Returns date, hour and minute in UTC: `2026-11-24 02:15 UTC`.
    #[must_use]
    pub fn clock(self) -> String {
        self.instant().strftime("%Y-%m-%d %H:%M UTC").to_string()
    }

    /// Returns the time as a timestamp of `jiff`; the Unix epoch if it is beyond the year 9999.
    #[must_use]
    pub fn instant(self) -> jiff::Timestamp {
        i64::try_from(self.0).ok().and_then(|time| jiff::Timestamp::from_millisecond(time).ok()).unwrap_or_default()
    }
}

/// Whether a minute of a day or a week is in the range that starts at `from` and ends before `to`. A range that ends
/// before it begins spans the end of the day or week.
#[must_use]
pub fn is_within(from: u16, to: u16, minute: u16) -> bool {
    if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}
