//! Lengths of time, as a person writes them.

use std::time::Duration;

/// Returns a length of time as it is written in settings: `90s`, `5m`, `1h30m`.
#[must_use]
pub fn written(length: Duration) -> String {
    let (millis, seconds) = (length.subsec_millis(), length.as_secs());
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"), (u64::from(millis), "ms")];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}"));
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.concat() }
}

/// Parses a length of time such as `90s`, `30m` or `1h30m`. `None` if the text is something else or is negative.
#[must_use]
pub fn parsed(text: &str) -> Option<Duration> {
    text.trim().parse::<jiff::SignedDuration>().ok().and_then(|length| Duration::try_from(length).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_in_settings() {
        for (millis, expected) in [
            (0, "0s"),
            (250, "250ms"),
            (90_000, "1m30s"),
            (300_000, "5m"),
            (5_400_000, "1h30m"),
            (90_061_000, "25h1m1s"),
        ] {
            let length = Duration::from_millis(millis);
            assert_eq!((written(length), parsed(expected)), (expected.to_owned(), Some(length)));
        }
    }

    #[test]
    fn other_texts_are_no_lengths() {
        for text in ["", "2", "soon", "-2h", "08:00"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
