//! How the screen looks, and whom it calls.

/// The settings of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScreenConfig {
    /// Which signs it is drawn with.
    pub glyphs: GlyphChoice,
    /// Which colours it is drawn with.
    pub colours: ColourChoice,
    /// Whether signs of what runs move.
    pub motion: bool,
    /// Whether the terminal may be asked to move rows.
    pub scroll_region: bool,
    /// Whether a call rings the bell and is told by the terminal.
    pub bell: bool,
    /// What the shell runs when a run fails while the screen is open.
    pub on_failure: Option<String>,
    /// What the shell runs when a run or a job begins to wait, for a person or for its turn in a concurrency group, while the
    /// screen is open.
    pub on_wait: Option<String>,
    /// When nobody is called.
    pub quiet: Option<QuietHours>,
}

impl Default for ScreenConfig {
    fn default() -> Self {
        Self {
            glyphs: GlyphChoice::Auto,
            colours: ColourChoice::Auto,
            motion: true,
            scroll_region: true,
            bell: true,
            on_failure: None,
            on_wait: None,
            quiet: None,
        }
    }
}

/// The signs that a screen is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlyphChoice {
    /// Those that the locale has.
    Auto,
    /// Unicode's.
    Unicode,
    /// Those of every terminal.
    Ascii,
}

impl GlyphChoice {
    /// Their words.
    pub(super) const WORDS: &[(&str, Self)] =
        &[("auto", Self::Auto), ("unicode", Self::Unicode), ("ascii", Self::Ascii)];
}

/// The colours that a screen is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourChoice {
    /// The terminal's, unless the environment wants none.
    Auto,
    /// The terminal's sixteen.
    Terminal,
    /// Blue and orange in place of green and red.
    ColourBlind,
    /// None.
    None,
}

impl ColourChoice {
    /// Their words.
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("auto", Self::Auto),
        ("terminal", Self::Terminal),
        ("colour-blind", Self::ColourBlind),
        ("none", Self::None),
    ];
}

/// Hours of the day, in minutes after midnight. Those that end before they begin go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    from: u16,
    to: u16,
}

impl QuietHours {
    /// Reads `22:00-07:00`.
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

    /// As a file says it.
    #[must_use]
    pub fn written(self) -> String {
        let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        format!("{}-{}", time(self.from), time(self.to))
    }

    /// Whether this minute of the day is one of them.
    #[must_use]
    pub fn contains(self, minute: u16) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_go_over_midnight() {
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
