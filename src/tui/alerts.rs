//! Effects of an alert: control sequences and a shell command, except in quiet hours.

use crate::app::msg::AlertReason;
use crate::config::{QuietHours, ScreenConfig};
use crate::store::clock::{minute_of_day, now};
use crate::ui::terminal_text::alert;

/// Settings of alerts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Alerts {
    bell: bool,
    on_failure: Option<String>,
    on_wait: Option<String>,
    quiet: Option<QuietHours>,
}

impl Alerts {
    /// Returns alerts with these settings.
    #[must_use]
    pub fn new(settings: &ScreenConfig) -> Self {
        Self {
            bell: settings.bell,
            on_failure: settings.on_failure.clone(),
            on_wait: settings.on_wait.clone(),
            quiet: settings.quiet,
        }
    }

    /// Returns the control sequences of an alert; `None` if the bell is off, and during quiet hours.
    pub(super) fn bytes(&self, text: &str) -> Option<String> {
        (self.bell && !self.is_quiet()).then(|| alert(text))
    }

    /// Returns the shell command of an alert. `None` if no command is set, and during quiet hours.
    pub(super) fn command(&self, why: AlertReason) -> Option<&str> {
        let command = match why {
            AlertReason::Failed => &self.on_failure,
            AlertReason::Waits => &self.on_wait,
            AlertReason::Notified => &None,
        };
        command.as_deref().filter(|_| !self.is_quiet())
    }

    fn is_quiet(&self) -> bool {
        self.quiet.is_some_and(|quiet| quiet.contains(minute_of_day(now())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_have_no_alerts() {
        let alerts = |quiet: &str| {
            let command = Some("true".to_owned());
            Alerts::new(&ScreenConfig { on_wait: command, quiet: QuietHours::parse(quiet), ..ScreenConfig::default() })
        };
        let loud = alerts("");
        assert_eq!((loud.bytes("x").is_some(), loud.command(AlertReason::Waits)), (true, Some("true")));
        assert_eq!(loud.command(AlertReason::Failed), None);
        // Together, the two ranges are the whole day.
        let halves = [alerts("00:00-12:00"), alerts("12:00-00:00")];
        let sequences = halves.iter().filter(|alerts| alerts.bytes("x").is_some()).count();
        let commands = halves.iter().filter(|alerts| alerts.command(AlertReason::Waits).is_some()).count();
        assert_eq!((sequences, commands), (1, 1));
    }
}
