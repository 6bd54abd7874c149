//! Whom to call when somebody looks elsewhere, and when not to.

use crate::app::msg::AlertReason;
use crate::config::{QuietHours, ScreenConfig};

/// What is done when somebody is to be called.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Alerts {
    bell: bool,
    on_failure: Option<String>,
    on_wait: Option<String>,
    quiet: Option<QuietHours>,
}

impl Alerts {
    /// As the settings say.
    #[must_use]
    pub fn new(settings: &ScreenConfig) -> Self {
        Self {
            bell: settings.bell,
            on_failure: settings.on_failure.clone(),
            on_wait: settings.on_wait.clone(),
            quiet: settings.quiet,
        }
    }

    /// What terminals know: the bell, and two ways to tell the desktop.
    pub(super) fn bytes(&self, text: &str) -> Option<String> {
        let told = || format!("\x07\x1b]9;{text}\x07\x1b]777;notify;cuelight;{text}\x07");
        (self.bell && !self.is_quiet()).then(told)
    }

    /// The command for the shell.
    pub(super) fn command(&self, why: AlertReason) -> Option<&str> {
        let command = match why {
            AlertReason::Failed => &self.on_failure,
            AlertReason::Waits => &self.on_wait,
        };
        command.as_deref().filter(|_| !self.is_quiet())
    }

    fn is_quiet(&self) -> bool {
        self.quiet.is_some_and(|quiet| {
            let now = jiff::Zoned::now();
            quiet.contains((i16::from(now.hour()) * 60 + i16::from(now.minute())).unsigned_abs())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_called_in_quiet_hours() {
        let calls = |quiet: &str| {
            let command = Some("true".to_owned());
            Alerts::new(&ScreenConfig { on_wait: command, quiet: QuietHours::parse(quiet), ..ScreenConfig::default() })
        };
        let loud = calls("");
        assert_eq!((loud.bytes("x").is_some(), loud.command(AlertReason::Waits)), (true, Some("true")));
        assert_eq!(loud.command(AlertReason::Failed), None);
        // Together they are the whole day.
        let halves = [calls("00:00-12:00"), calls("12:00-00:00")];
        let told = halves.iter().filter(|calls| calls.bytes("x").is_some()).count();
        let commanded = halves.iter().filter(|calls| calls.command(AlertReason::Waits).is_some()).count();
        assert_eq!((told, commanded), (1, 1));
    }
}
