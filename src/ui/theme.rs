//! What every state looks like: one table of glyphs, words and hues, and the colours a hue has in each palette.
//!
//! Meaning is carried by glyph and word first and by colour second. The default palette is the terminal's own sixteen
//! colours, so that the user's theme decides; the colour-blind one keeps to the blue and orange contrast of Okabe and
//! Ito's set; without colours only bold, dim and reverse remain.

use ratatui::style::{Color, Modifier, Style};

use crate::model::{Conclusion, Level, Phase, ServiceState};

/// Which characters may be drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Glyphs {
    /// Any.
    #[default]
    Unicode,
    /// Only those of ASCII, for a locale that is not UTF-8 and for terminals that draw ambiguous characters wide.
    Ascii,
}

/// Which colours may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Colours {
    /// The terminal's sixteen.
    #[default]
    Terminal,
    /// Blue and orange instead of green and red.
    ColourBlind,
    /// None at all, as `NO_COLOR` asks.
    None,
}

/// How the screen is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Theme {
    /// Which characters.
    pub glyphs: Glyphs,
    /// Which colours.
    pub colours: Colours,
    /// Whether running rows pulse.
    pub motion: bool,
}

impl Default for Theme {
    fn default() -> Self {
        Self { glyphs: Glyphs::default(), colours: Colours::default(), motion: true }
    }
}

/// What a thing means, as far as colour is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hue {
    /// Ordinary text.
    Plain,
    /// Of less interest.
    Dim,
    /// Where the user is.
    Accent,
    /// Went well.
    Good,
    /// Went wrong.
    Bad,
    /// Goes on.
    Busy,
    /// Waits for a person.
    Review,
}

/// How a state is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Its glyph, one column wide.
    pub glyph: &'static str,
    /// Its word.
    pub word: &'static str,
    /// Its hue.
    pub hue: Hue,
}

/// The frames of a lamp that is lit, at four a second. None of them is the sign of another state.
const LAMP: [&str; 4] = ["●", "◉", "◎", "◉"];

/// Glyph, ASCII glyph, word and hue of a state: the only place where they are written down.
fn row(phase: &Phase) -> (&'static str, &'static str, &'static str, Hue) {
    use crate::model::Gate;
    match phase {
        Phase::Queued => ("○", "o", "queued", Hue::Dim),
        Phase::Waiting(Gate::Review(_)) => ("◆", "?", "needs review", Hue::Review),
        Phase::Waiting(Gate::Concurrency { .. }) => ("·", ".", "pending", Hue::Dim),
        Phase::Waiting(_) => ("·", ".", "waiting", Hue::Dim),
        Phase::Running => ("●", "*", "running", Hue::Busy),
        Phase::Stopping => ("◍", "*", "stopping", Hue::Busy),
        Phase::Done(conclusion) => match conclusion {
            Conclusion::Success => ("✓", "+", "success", Hue::Good),
            Conclusion::Failure => ("✗", "X", "failure", Hue::Bad),
            Conclusion::TimedOut => ("⧖", "T", "timed out", Hue::Bad),
            Conclusion::StartupFailure => ("‼", "!", "could not start", Hue::Bad),
            Conclusion::ActionRequired => ("◆", "?", "action required", Hue::Review),
            Conclusion::Cancelled => ("⊘", "c", "cancelled", Hue::Dim),
            Conclusion::Skipped => ("–", "-", "skipped", Hue::Dim),
            Conclusion::Neutral => ("=", "=", "neutral", Hue::Dim),
            Conclusion::Stale => ("~", "~", "stale", Hue::Dim),
        },
    }
}

impl Theme {
    /// How a state is shown.
    #[must_use]
    pub fn look(&self, phase: &Phase) -> Look {
        let (unicode, ascii, word, hue) = row(phase);
        Look { glyph: self.pick(unicode, ascii), word, hue }
    }

    /// The glyph of a state at this moment, in milliseconds: a running one pulses, unless it must keep still.
    #[must_use]
    pub fn lamp(&self, phase: &Phase, now: u64) -> &'static str {
        if *phase == Phase::Running && self.motion && self.glyphs == Glyphs::Unicode {
            LAMP[(now / 250) as usize % LAMP.len()]
        } else {
            self.look(phase).glyph
        }
    }

    /// The style of a state.
    #[must_use]
    pub fn phase(&self, phase: &Phase) -> Style {
        self.style(row(phase).3)
    }

    /// How the state of a service is shown.
    #[must_use]
    pub fn service(&self, state: ServiceState) -> Look {
        let (unicode, ascii, hue) = match state {
            ServiceState::Starting => ("◔", "~", Hue::Busy),
            ServiceState::Running => ("?", "?", Hue::Plain),
            ServiceState::Healthy => ("✓", "+", Hue::Good),
            ServiceState::Unhealthy | ServiceState::Exited => ("✗", "X", Hue::Bad),
            ServiceState::Stopped => ("–", "-", Hue::Dim),
        };
        let word = if state == ServiceState::Running { "up, no check" } else { state.word() };
        Look { glyph: self.pick(unicode, ascii), word, hue }
    }

    /// The style of an annotation.
    #[must_use]
    pub fn level(&self, level: Level) -> Style {
        match level {
            Level::Error => self.style(Hue::Bad),
            Level::Warning => self.style(Hue::Busy),
            Level::Notice => self.style(Hue::Accent),
        }
    }

    /// The style of a hue.
    #[must_use]
    pub fn style(&self, hue: Hue) -> Style {
        let plain = Style::new();
        let shaped = match hue {
            Hue::Plain | Hue::Good | Hue::Busy => plain,
            Hue::Dim => plain.add_modifier(Modifier::DIM),
            Hue::Accent | Hue::Bad | Hue::Review => plain.add_modifier(Modifier::BOLD),
        };
        let colour = match (self.colours, hue) {
            (Colours::None, _) | (_, Hue::Plain | Hue::Dim) => return shaped,
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

    /// The style of a heading.
    #[must_use]
    pub fn heading(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The style of one of several things that are told apart by colour. None of the colours is that of a status.
    #[must_use]
    pub fn nth(&self, place: usize) -> Style {
        const COLOURS: [Color; 6] =
            [Color::Cyan, Color::Magenta, Color::Blue, Color::LightCyan, Color::LightMagenta, Color::LightBlue];
        if self.colours == Colours::None { Style::new() } else { Style::new().fg(COLOURS[place % COLOURS.len()]) }
    }

    /// A sign of ours as this theme writes it: of those beyond ASCII, the one that stands in for it.
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
            _ => sign,
        }
    }

    /// The style of the selected row: reverse video, which every terminal theme keeps readable.
    #[must_use]
    pub fn selected(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The bar before the selected row.
    #[must_use]
    pub fn bar(&self) -> &'static str {
        self.pick("▌", ">")
    }

    /// What stands for text that was cut off.
    #[must_use]
    pub fn ellipsis(&self) -> &'static str {
        self.pick("…", "~")
    }

    /// What stands between the parts of a line.
    #[must_use]
    pub fn dot(&self) -> &'static str {
        self.pick(" · ", " - ")
    }

    /// What leads from a whole to its part.
    #[must_use]
    pub fn arrow(&self) -> &'static str {
        self.pick(" › ", " > ")
    }

    /// One of two forms of a glyph.
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
    use crate::model::Gate;
    use crate::ui::text::width;

    fn phases() -> Vec<Phase> {
        use Conclusion::{
            ActionRequired, Cancelled, Failure, Neutral, Skipped, Stale, StartupFailure, Success, TimedOut,
        };
        let ends = [Success, Failure, Cancelled, Skipped, TimedOut, ActionRequired, Neutral, Stale, StartupFailure];
        let mut phases = vec![Phase::Queued, Phase::Running, Phase::Stopping];
        phases.extend([Gate::Needs, Gate::Capacity, Gate::Review("prod".to_owned())].map(Phase::Waiting));
        phases.extend(ends.map(Phase::Done));
        phases
    }

    #[test]
    fn every_glyph_is_one_column_and_ascii_is_ascii() {
        use ServiceState::{Exited, Healthy, Running, Starting, Stopped, Unhealthy};
        let ascii = Theme { glyphs: Glyphs::Ascii, ..Theme::default() };
        for phase in phases() {
            assert_eq!(width(Theme::default().look(&phase).glyph), 1, "{phase:?}");
            assert!(ascii.look(&phase).glyph.is_ascii() && width(ascii.lamp(&phase, 500)) == 1, "{phase:?}");
        }
        for state in [Starting, Running, Healthy, Unhealthy, Exited, Stopped] {
            assert_eq!(width(Theme::default().service(state).glyph), 1, "{state:?}");
            assert!(ascii.service(state).glyph.is_ascii(), "{state:?}");
        }
        for text in [ascii.bar(), ascii.ellipsis(), ascii.dot(), ascii.arrow()] {
            assert!(text.is_ascii());
        }
    }

    #[test]
    fn nothing_is_coloured_without_colours() {
        let none = Theme { colours: Colours::None, ..Theme::default() };
        for phase in phases() {
            assert_eq!((none.phase(&phase).fg, none.phase(&phase).bg), (None, None));
        }
    }

    #[test]
    fn good_bad_and_busy_never_look_alike() {
        for colours in [Colours::Terminal, Colours::ColourBlind] {
            let theme = Theme { colours, ..Theme::default() };
            let styles = [Hue::Good, Hue::Bad, Hue::Busy, Hue::Review].map(|hue| theme.style(hue).fg);
            for (at, style) in styles.iter().enumerate() {
                assert!(styles.iter().skip(at + 1).all(|other| other != style));
            }
        }
    }

    #[test]
    fn the_lamp_pulses_only_while_it_may() {
        let theme = Theme::default();
        assert_ne!(theme.lamp(&Phase::Running, 0), theme.lamp(&Phase::Running, 250));
        assert_eq!(theme.lamp(&Phase::Queued, 0), theme.lamp(&Phase::Queued, 250));
        let still = Theme { motion: false, ..theme };
        assert_eq!(still.lamp(&Phase::Running, 0), still.lamp(&Phase::Running, 250));
    }
}
