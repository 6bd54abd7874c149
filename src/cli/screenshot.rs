//! `screenshot`: a picture of the screen at any moment of a run, at any size.
//!
//! The picture is drawn by the code of the real screen, so the pictures in the README always show the actual program.

use std::time::Duration;

use crate::app::keymap;
use crate::app::keymap::UnknownKey;
use crate::report::style;
use crate::tui::offscreen;
use crate::ui::theme::{Colours, Glyphs, Theme};

use super::{Exit, Failure, Outcome, RunArg};

/// Latest moment after the start of a run. No run takes longer.
const MAX_MOMENT: Duration = Duration::from_secs(1 << 32);

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cuelight screenshot latest --format svg > screen.svg
  cuelight screenshot --at 3 --size 80x24 --keys 'e/warning<enter>'")]
pub(super) struct Args {
    #[command(flatten)]
    run: RunArg,
    /// Seconds after the start of the run [default: its end]
    #[arg(long, value_name = "SECONDS")]
    at: Option<f64>,
    /// Size in columns and rows
    #[arg(long, default_value = "120x40", value_parser = size)]
    size: (u16, u16),
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Keys that are pressed before the screen is drawn: characters, and other keys by name in angle brackets
    #[arg(long, default_value = "", hide_default_value = true, value_parser = keys)]
    keys: Keys,
    /// Draw with ASCII characters only
    #[arg(long)]
    ascii: bool,
    /// Colours of the picture
    #[arg(long, value_enum, default_value_t)]
    colours: Palette,
}

/// Keys to press.
#[derive(Clone)]
struct Keys(Vec<crossterm::event::KeyEvent>);

/// The colours of a picture.
#[derive(clap::ValueEnum, Clone, Copy, Default)]
enum Palette {
    /// The 16 colours of the terminal
    #[default]
    Terminal,
    /// Blue and orange in place of green and red
    ColourBlind,
    /// No colours
    None,
}

impl From<Palette> for Colours {
    fn from(palette: Palette) -> Self {
        match palette {
            Palette::Terminal => Self::Terminal,
            Palette::ColourBlind => Self::ColourBlind,
            Palette::None => Self::None,
        }
    }
}

#[derive(clap::ValueEnum, Clone, Copy, Default)]
enum Format {
    /// Plain text
    #[default]
    Text,
    /// Text with ANSI colours
    Ansi,
    /// An SVG picture
    Svg,
}

/// Error for a text that is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected columns and rows, each up to 500, such as 120x40")]
struct NotASize;

/// Parses `120x40`.
fn size(text: &str) -> Result<(u16, u16), NotASize> {
    let size = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    size.filter(|(width, height)| (1..=500).contains(width) && (1..=500).contains(height)).ok_or(NotASize)
}

fn keys(text: &str) -> Result<Keys, UnknownKey> {
    keymap::typed(text).map(Keys)
}

pub(super) fn run(args: &Args) -> Outcome {
    let folder = args.run.find()?;
    let glyphs = if args.ascii { Glyphs::Ascii } else { Glyphs::Unicode };
    let theme = Theme { glyphs, colours: args.colours.into(), motion: false, ..Theme::default() };
    let moment = args.at.map(|seconds| {
        Duration::try_from_secs_f64(seconds.max(0.0)).map_or(MAX_MOMENT, |moment| moment.min(MAX_MOMENT))
    });
    let picture = offscreen::picture(&folder, moment, args.size, &args.keys.0, theme)?;
    style::print(&match args.format {
        Format::Text => picture.text(),
        Format::Ansi => picture.ansi(),
        Format::Svg => picture.svg(),
    })
    .map_err(Failure::from)?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_keys_are_read() {
        assert_eq!(
            (size("80x24"), size("80").is_err(), size("0x9").is_err(), size("9x70000").is_err()),
            (Ok((80, 24)), true, true, true)
        );
        assert_eq!(keys("e/a<enter>").map(|keys| keys.0.len()), Ok(4));
        assert!(keys("<hyper>").is_err());
    }
}
