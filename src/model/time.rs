//! Time in records.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC. The model never reads a clock; the writer of a record sets the time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug, Default)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns the time since `earlier`, or zero if it is in the future (clocks can step back).
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Returns date, hour and minute in UTC: `2026-11-24 02:15 UTC`.
    #[must_use]
    pub fn clock(self) -> String {
        let time = jiff::Timestamp::from_millisecond(i64::try_from(self.0).unwrap_or_default()).unwrap_or_default();
        time.strftime("%Y-%m-%d %H:%M UTC").to_string()
    }
}
