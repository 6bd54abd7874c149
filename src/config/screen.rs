//! Settings of the screen: appearance and alerts.

use crate::model::is_within;

/// The settings of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScreenConfig {
    /// Glyph set.
    pub glyphs: GlyphChoice,
    /// Colour palette.
    pub colours: ColourChoice,
    /// Background of the terminal.
    pub background: BackgroundChoice,
    /// Whether the icons of running jobs are animated.
    pub motion: bool,
    /// Whether a followed log is scrolled by the terminal's scroll region.
    pub scroll_region: bool,
    /// Whether an alert rings the terminal's bell and sends a terminal notification.
    pub bell: bool,
    /// Shell command that is started when a run fails.
    pub on_failure: Option<String>,
    /// Shell command that is started when a run or job starts to wait, for an approval or for a concurrency group.
    pub on_wait: Option<String>,
    /// Hours of the day without bell, terminal notifications and commands. The screen still shows alerts.
    pub quiet: Option<QuietHours>,
}

impl Default for ScreenConfig {
    fn default() -> Self {
        Self {
            glyphs: GlyphChoice::Auto,
            colours: ColourChoice::Auto,
            background: BackgroundChoice::Auto,
            motion: true,
            scroll_region: true,
            bell: true,
            on_failure: None,
            on_wait: None,
            quiet: None,
        }
    }
}

/// Choice of the glyph set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlyphChoice {
    /// Unicode if the locale supports it.
    Auto,
    /// Unicode.
    Unicode,
    /// ASCII.
    Ascii,
}

impl GlyphChoice {
    /// Names of the choices in a file.
    pub(super) const WORDS: &[(&str, Self)] =
        &[("auto", Self::Auto), ("unicode", Self::Unicode), ("ascii", Self::Ascii)];
}

/// Choice of the colour palette.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourChoice {
    /// The terminal's colours, or none if the environment disables colours.
    Auto,
    /// The terminal's sixteen colours.
    Terminal,
    /// Blue and orange instead of green and red.
    ColourBlind,
    /// No colours.
    None,
}

impl ColourChoice {
    /// Names of the choices in a file.
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("auto", Self::Auto),
        ("terminal", Self::Terminal),
        ("colour-blind", Self::ColourBlind),
        ("none", Self::None),
    ];
}

/// Choice of the background for which colours are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackgroundChoice {
    /// The one that the terminal names in `COLORFGBG`; without it, dark.
    Auto,
    /// Dark.
    Dark,
    /// Light.
    Light,
}

impl BackgroundChoice {
    /// Names of the choices in a file.
    pub(super) const WORDS: &[(&str, Self)] = &[("auto", Self::Auto), ("dark", Self::Dark), ("light", Self::Light)];
}

/// A range of times of the day, in minutes after midnight. A range that ends before it starts spans midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    from: u16,
    to: u16,
}

impl QuietHours {
    /// Parses `22:00-07:00`. Returns `None` if the text is not two different times of the day.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let (from, to) = text.split_once('-')?;
        let quiet = Self { from: time(from)?, to: time(to)? };
        (quiet.from != quiet.to).then_some(quiet)
    }

    /// Returns the range as it is written in a file.
    #[must_use]
    pub fn written(self) -> String {
        let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        format!("{}-{}", time(self.from), time(self.to))
    }

    /// Whether the range contains a minute of the day.
    #[must_use]
    pub fn contains(self, minute: u16) -> bool {
        is_within(self.from, self.to, minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_may_span_midnight() {
        let at = |text: &str, hour: u16, minute: u16| {
            QuietHours::parse(text).map(|quiet| quiet.contains(hour * 60 + minute))
        };
        for (hour, minute, quiet) in [(21, 59, false), (22, 0, true), (23, 59, true), (6, 59, true), (7, 0, false)] {
            assert_eq!(at("22:00-07:00", hour, minute), Some(quiet), "{hour}:{minute}");
        }
        assert_eq!((at("09:30 - 10:00", 9, 45), at("09:30-10:00", 10, 0)), (Some(true), Some(false)));
        for wrong in ["", "22:00", "22-7", "24:00-07:00", "22:00-22:00", "22:60-23:00", "a:b-c:d"] {
            assert_eq!(QuietHours::parse(wrong), None, "{wrong}");
        }
    }
}
