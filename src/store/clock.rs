//! The clock of records and of the history.

use std::time::SystemTime;

use crate::model::Timestamp;

/// Returns the number of minutes from Monday 00:00 to a time, in local time.
#[must_use]
pub fn minute_of_week(at: Timestamp) -> u16 {
    let local = at.instant().to_zoned(jiff::tz::TimeZone::system());
    let day = i32::from(local.weekday().to_monday_zero_offset());
    let minute = (day * 24 + i32::from(local.hour())) * 60 + i32::from(local.minute());
    u16::try_from(minute).unwrap_or_default()
}

/// Returns the number of minutes from midnight to a time, in local time.
#[must_use]
pub fn minute_of_day(at: Timestamp) -> u16 {
    minute_of_week(at) % (24 * 60)
}

/// Returns the time now.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
