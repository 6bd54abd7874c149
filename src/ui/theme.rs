//! Appearance of every state: a table of glyphs, words and hues, and the colours of each hue in each palette.
//!
//! Meaning is carried by glyph and word first, and by colour second. The default palette uses the sixteen colours of
//! the terminal, so that the user's theme applies; the colour-blind palette uses the blue and orange contrast of Okabe
//! and Ito; without colours only bold, dim and reverse remain.

use ratatui::style::{Color, Modifier, Style};

use crate::model::{Conclusion, Level, Phase, ServiceState};

/// Which characters may be drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Glyphs {
    /// All characters.
    #[default]
    Unicode,
    /// ASCII only, for locales other than UTF-8 and for terminals that draw ambiguous characters wide.
    Ascii,
}

/// Which colours may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Colours {
    /// The sixteen terminal colours.
    #[default]
    Terminal,
    /// Blue and orange instead of green and red.
    ColourBlind,
    /// No colours, as with `NO_COLOR`.
    None,
}

/// Background of the terminal, which decides which colours are readable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Background {
    /// Darker than the text.
    #[default]
    Dark,
    /// Lighter than the text.
    Light,
}

impl Background {
    /// Returns the background that the value of `COLORFGBG` describes: the numbers of two of the sixteen colours, that
    /// of the text first and that of the background last. Terminals that set it are rxvt, Konsole and others. Dark
    /// without such a value: the terminal is not asked, because a late answer would be read as key presses.
    #[must_use]
    pub fn of_variable(value: Option<&str>) -> Self {
        let number = value.and_then(|value| value.rsplit(';').next()?.parse::<u8>().ok());
        // 8 is a dark grey.
        if matches!(number, Some(7 | 9..=15)) { Self::Light } else { Self::Dark }
    }
}

/// How the screen is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Theme {
    /// Allowed characters.
    pub glyphs: Glyphs,
    /// Allowed colours.
    pub colours: Colours,
    /// Background on which they must be readable.
    pub background: Background,
    /// Whether running rows are animated.
    pub motion: bool,
}

impl Default for Theme {
    fn default() -> Self {
        Self { glyphs: Glyphs::default(), colours: Colours::default(), background: Background::default(), motion: true }
    }
}

/// Meaning of a colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hue {
    /// Ordinary text.
    Plain,
    /// Text of less interest.
    Dim,
    /// The current position.
    Accent,
    /// Success.
    Good,
    /// Failure.
    Bad,
    /// Work in progress.
    Busy,
    /// A wait for a person.
    Review,
}

/// Appearance of a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Glyph, one column wide.
    pub glyph: &'static str,
    /// Word for the state.
    pub word: &'static str,
    /// Hue of the state.
    pub hue: Hue,
}

/// Animation frames of a running row, four per second. No frame is the glyph of another state.
const LAMP: [&str; 4] = ["●", "◉", "◎", "◉"];

/// Returns glyph, ASCII glyph, word and hue of a state. This is the only table of them.
fn row(phase: &Phase) -> (&'static str, &'static str, &'static str, Hue) {
    use crate::model::Gate;
    match phase {
        Phase::Queued | Phase::Waiting(Gate::Runner(_)) => ("○", "o", "queued", Hue::Dim),
        Phase::Waiting(Gate::Review(_)) => ("◆", "?", "needs review", Hue::Review),
        Phase::Waiting(Gate::Held { .. }) => ("‖", "H", "held", Hue::Review),
        Phase::Waiting(Gate::Concurrency { .. }) => ("·", ".", "pending", Hue::Dim),
        Phase::Waiting(_) => ("·", ".", "waiting", Hue::Dim),
        Phase::Running => ("●", "*", "running", Hue::Busy),
        Phase::Stopping => ("◍", "*", "stopping", Hue::Busy),
        Phase::Done(conclusion) => match conclusion {
            Conclusion::Success => ("✓", "+", "success", Hue::Good),
            Conclusion::Failure => ("✗", "X", "failure", Hue::Bad),
            Conclusion::TimedOut => ("⧖", "T", "timed out", Hue::Bad),
            Conclusion::StartupFailure => ("‼", "E", "could not start", Hue::Bad),
            Conclusion::ActionRequired => ("◆", "?", "action required", Hue::Review),
            Conclusion::Cancelled => ("⊘", "c", "cancelled", Hue::Dim),
            Conclusion::Skipped => ("–", "-", "skipped", Hue::Dim),
            Conclusion::Neutral => ("!", "!", "neutral", Hue::Busy),
            Conclusion::Stale => ("~", "~", "stale", Hue::Dim),
        },
    }
}

impl Theme {
    /// Returns the appearance of a state.
    #[must_use]
    pub fn look(&self, phase: &Phase) -> Look {
        let (unicode, ascii, word, hue) = row(phase);
        Look { glyph: self.pick(unicode, ascii), word, hue }
    }

    /// Returns the glyph of a state at the time `now`, in milliseconds. A running state is animated unless motion is
    /// off.
    #[must_use]
    pub fn lamp(&self, phase: &Phase, now: u64) -> &'static str {
        if *phase == Phase::Running && self.motion && self.glyphs == Glyphs::Unicode {
            LAMP[(now / 250) as usize % LAMP.len()]
        } else {
            self.look(phase).glyph
        }
    }

    /// Returns the style of a state.
    #[must_use]
    pub fn phase(&self, phase: &Phase) -> Style {
        self.style(row(phase).3)
    }

    /// Returns the appearance of a service's state.
    #[must_use]
    pub fn service(&self, state: ServiceState) -> Look {
        let (unicode, ascii, hue) = match state {
            ServiceState::Starting => ("◔", "~", Hue::Busy),
            ServiceState::Running => ("?", "?", Hue::Plain),
            ServiceState::Healthy => ("✓", "+", Hue::Good),
            ServiceState::Unhealthy | ServiceState::Exited => ("✗", "X", Hue::Bad),
            ServiceState::Stopped => ("–", "-", Hue::Dim),
            ServiceState::Unknown => ("?", "?", Hue::Dim),
        };
        let word = if state == ServiceState::Running { "up, no check" } else { state.word() };
        Look { glyph: self.pick(unicode, ascii), word, hue }
    }

    /// Returns the style of an annotation.
    #[must_use]
    pub fn level(&self, level: Level) -> Style {
        match level {
            Level::Error => self.style(Hue::Bad),
            Level::Warning => self.style(Hue::Busy),
            Level::Notice => self.style(Hue::Accent),
        }
    }

    /// Returns the style of a hue.
    #[must_use]
    pub fn style(&self, hue: Hue) -> Style {
        let plain = Style::new();
        let shaped = match hue {
            Hue::Plain | Hue::Good | Hue::Busy => plain,
            Hue::Dim => plain.add_modifier(Modifier::DIM),
            Hue::Accent | Hue::Bad | Hue::Review => plain.add_modifier(Modifier::BOLD),
        };
        let is_light = self.background == Background::Light;
        let colour = match (self.colours, hue) {
            (Colours::None, _) | (_, Hue::Plain | Hue::Dim) => return shaped,
            // Of the sixteen colours, cyan, green and yellow are hardly readable on white. These of the 256 colours have a
            // contrast of at least 4.5 to it.
            (Colours::Terminal, Hue::Accent) if is_light => Color::Indexed(25),
            (Colours::Terminal, Hue::Good) if is_light => Color::Indexed(28),
            (Colours::Terminal, Hue::Bad) if is_light => Color::Indexed(160),
            (Colours::Terminal, Hue::Busy) if is_light => Color::Indexed(130),
            (Colours::Terminal, Hue::Review) if is_light => Color::Indexed(90),
            (Colours::ColourBlind, Hue::Accent | Hue::Busy) if is_light => Color::Indexed(24),
            (Colours::ColourBlind, Hue::Good) if is_light => Color::Indexed(26),
            (Colours::ColourBlind, Hue::Bad) if is_light => Color::Indexed(130),
            (Colours::ColourBlind, Hue::Review) if is_light => Color::Indexed(94),
            (Colours::Terminal, Hue::Accent) => Color::Cyan,
            (Colours::Terminal, Hue::Good) => Color::Green,
            (Colours::Terminal, Hue::Bad) => Color::Red,
            (Colours::Terminal, Hue::Busy) => Color::Yellow,
            (Colours::Terminal, Hue::Review) => Color::Magenta,
            // The nearest of the 256 colours to sky blue, blue, vermilion and orange.
            (Colours::ColourBlind, Hue::Accent | Hue::Busy) => Color::Indexed(74),
            (Colours::ColourBlind, Hue::Good) => Color::Indexed(32),
            (Colours::ColourBlind, Hue::Bad) => Color::Indexed(166),
            (Colours::ColourBlind, Hue::Review) => Color::Indexed(214),
        };
        shaped.fg(colour)
    }

    /// Returns the style of a heading.
    #[must_use]
    pub fn heading(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Returns a style for the item at `place`, one of six that are easy to tell apart. None of the six has the colour
    /// of success, failure or work in progress.
    #[must_use]
    pub fn nth(&self, place: usize) -> Style {
        const COLOURS: [Color; 6] =
            [Color::Cyan, Color::Magenta, Color::Blue, Color::LightCyan, Color::LightMagenta, Color::LightBlue];
        // The same on a light background: teal, purple, blue and their darker shades.
        const ON_LIGHT: [u8; 6] = [24, 90, 20, 60, 53, 18];
        match (self.colours, self.background) {
            (Colours::None, _) => Style::new(),
            (_, Background::Dark) => Style::new().fg(COLOURS[place % COLOURS.len()]),
            (_, Background::Light) => Style::new().fg(Color::Indexed(ON_LIGHT[place % ON_LIGHT.len()])),
        }
    }

    /// Returns a character, replaced by its ASCII equivalent if the theme needs it.
    #[must_use]
    pub fn spelled(&self, sign: char) -> char {
        match (self.glyphs, sign) {
            (Glyphs::Unicode, _) => sign,
            (_, '│' | '·' | '├') => '|',
            (_, '▸' | '›') => '>',
            (_, '▾') => 'v',
            (_, '⋮') => ':',
            (_, '…') => '~',
            (_, '└') => '`',
            (_, '─') => '-',
            (_, '×') => 'x',
            _ => sign,
        }
    }

    /// Returns the style of the selected row: reverse video, which stays readable in every terminal theme.
    #[must_use]
    pub fn selected(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Returns the bar in front of the selected row.
    #[must_use]
    pub fn bar(&self) -> &'static str {
        self.pick("▌", ">")
    }

    /// Returns the mark for clipped text.
    #[must_use]
    pub fn ellipsis(&self) -> &'static str {
        self.pick("…", "~")
    }

    /// Returns the separator between the parts of a line.
    #[must_use]
    pub fn dot(&self) -> &'static str {
        self.pick(" · ", " - ")
    }

    /// Returns the arrow between a whole and its part, such as a job and its step.
    #[must_use]
    pub fn arrow(&self) -> &'static str {
        self.pick(" › ", " > ")
    }

    /// Returns one of two forms of a glyph.
    #[must_use]
    pub fn pick(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => unicode,
            Glyphs::Ascii => ascii,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Gate, Timestamp};
    use crate::ui::text::width;

    fn phases() -> Vec<Phase> {
        use Conclusion::{
            ActionRequired, Cancelled, Failure, Neutral, Skipped, Stale, StartupFailure, Success, TimedOut,
        };
        let ends = [Success, Failure, Cancelled, Skipped, TimedOut, ActionRequired, Neutral, Stale, StartupFailure];
        let mut phases = vec![Phase::Queued, Phase::Running, Phase::Stopping];
        let held = Gate::Held { reason: Some("exit code 1".to_owned()), until: Timestamp(0) };
        phases.extend([Gate::Needs, Gate::Capacity, Gate::Review("prod".to_owned()), held].map(Phase::Waiting));
        phases.extend(ends.map(Phase::Done));
        phases
    }

    #[test]
    fn every_glyph_is_one_column_and_ascii_is_ascii() {
        use ServiceState::{Exited, Healthy, Running, Starting, Stopped, Unhealthy, Unknown};
        let ascii = Theme { glyphs: Glyphs::Ascii, ..Theme::default() };
        for phase in phases() {
            assert_eq!(width(Theme::default().look(&phase).glyph), 1, "{phase:?}");
            assert!(ascii.look(&phase).glyph.is_ascii() && width(ascii.lamp(&phase, 500)) == 1, "{phase:?}");
        }
        for state in [Starting, Running, Healthy, Unhealthy, Exited, Stopped, Unknown] {
            assert_eq!(width(Theme::default().service(state).glyph), 1, "{state:?}");
            assert!(ascii.service(state).glyph.is_ascii(), "{state:?}");
        }
        for text in [ascii.bar(), ascii.ellipsis(), ascii.dot(), ascii.arrow()] {
            assert!(text.is_ascii());
        }
    }

    #[test]
    fn the_palette_without_colours_has_none() {
        let none = Theme { colours: Colours::None, ..Theme::default() };
        for phase in phases() {
            assert_eq!((none.phase(&phase).fg, none.phase(&phase).bg), (None, None));
        }
    }

    #[test]
    fn good_bad_and_busy_are_distinguishable() {
        let on = [Background::Dark, Background::Light];
        for (colours, background) in on.iter().flat_map(|on| [(Colours::Terminal, *on), (Colours::ColourBlind, *on)]) {
            let theme = Theme { colours, background, ..Theme::default() };
            let styles = [Hue::Good, Hue::Bad, Hue::Busy, Hue::Review].map(|hue| theme.style(hue).fg);
            for (at, style) in styles.iter().enumerate() {
                assert!(styles.iter().skip(at + 1).all(|other| other != style));
            }
        }
    }

    /// Contrast of one of the 256 colours to white, by the formula of the Web Content Accessibility Guidelines.
    fn contrast_to_white(index: u8) -> f64 {
        let index = u32::from(index - 16);
        let level = |step: u32| f64::from(if step == 0 { 0 } else { 55 + 40 * step }) / 255.0;
        let linear = |value: f64| if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) };
        let [red, green, blue] = [index / 36, index / 6 % 6, index % 6].map(|step| linear(level(step)));
        1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
    }

    #[test]
    fn every_colour_on_a_light_background_is_readable() {
        for colours in [Colours::Terminal, Colours::ColourBlind] {
            let theme = Theme { colours, background: Background::Light, ..Theme::default() };
            let hues = [Hue::Accent, Hue::Good, Hue::Bad, Hue::Busy, Hue::Review].map(|hue| theme.style(hue).fg);
            for colour in hues.into_iter().chain((0..6).map(|place| theme.nth(place).fg)) {
                let Some(Color::Indexed(index)) = colour else { panic!("{colour:?} depends on the terminal") };
                assert!(contrast_to_white(index) >= 4.5, "{index}: {}", contrast_to_white(index));
            }
        }
    }

    #[test]
    fn the_background_is_read_from_the_variable_of_the_terminal() {
        for (value, light) in [
            (Some("0;15"), true),
            (Some("0;default;7"), true),
            (Some("15;0"), false),
            (Some("15;8"), false),
            (Some("x"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(Background::of_variable(value) == Background::Light, light, "{value:?}");
        }
    }

    #[test]
    fn running_glyphs_are_animated_only_if_allowed() {
        let theme = Theme::default();
        assert_ne!(theme.lamp(&Phase::Running, 0), theme.lamp(&Phase::Running, 250));
        assert_eq!(theme.lamp(&Phase::Queued, 0), theme.lamp(&Phase::Queued, 250));
        let still = Theme { motion: false, ..theme };
        assert_eq!(still.lamp(&Phase::Running, 0), still.lamp(&Phase::Running, 250));
    }
}
