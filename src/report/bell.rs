//! Rings the terminal for notifications about a deployment that is followed.

use std::cell::OnceCell;
use std::io;

use crate::config::{Config, ScreenConfig};
use crate::model::deployment::NotifyChannel;
use crate::model::{Event, Record, Timestamp};
use crate::store::clock::{minute_of_day, now};

use super::style::{Out, moves_cursor};

/// Rings the terminal for notifications that are not older than this value. Does nothing without a terminal, if the user's
/// settings turn off the bell, or during quiet hours.
pub(super) struct Bell {
    since: Timestamp,
    /// The settings, read at the first notification.
    screen: OnceCell<ScreenConfig>,
}

impl Bell {
    pub(super) fn new() -> Self {
        Self { since: now(), screen: OnceCell::new() }
    }

    /// Rings for each of the records that is a notification for terminals.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(super) fn ring(&self, records: &[Record], out: &mut Out<'_>) -> io::Result<()> {
        let mut wanted = records.iter().filter_map(|record| message(record, self.since)).peekable();
        if wanted.peek().is_none() || !moves_cursor() {
            return Ok(());
        }
        // Invalid settings are ignored here, because the commands that need them report the error.
        let load = || Config::load(None).map_or_else(|_| ScreenConfig::default(), |config| config.screen);
        let screen = self.screen.get_or_init(load);
        if !screen.bell || screen.quiet.is_some_and(|quiet| quiet.contains(minute_of_day(now()))) {
            return Ok(());
        }
        wanted.try_for_each(|message| out.ring(message))
    }
}

/// Returns the text of a notification for terminals; `None` for other records, and for records older than `since`.
fn message(record: &Record, since: Timestamp) -> Option<&str> {
    match &record.event {
        Event::Notified { channel: NotifyChannel::Terminal, message, .. } if record.at >= since => Some(message),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobId;
    use crate::model::deployment::NotifyEvent;

    #[test]
    fn only_notifications_of_terminals_ring_and_not_those_of_the_past() {
        let record = |at, channel| Record {
            seq: 1,
            at: Timestamp(at),
            event: Event::Notified {
                job: JobId::new("production"),
                channel,
                about: NotifyEvent::Paused,
                message: "production: v2 waits".to_owned(),
                failure: None,
            },
        };
        for (record, expected) in [
            (record(10, NotifyChannel::Terminal), Some("production: v2 waits")),
            (record(9, NotifyChannel::Terminal), None),
            (record(10, NotifyChannel::Slack), None),
        ] {
            assert_eq!(message(&record, Timestamp(10)), expected);
        }
    }
}
