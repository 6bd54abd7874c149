//! `screenshot`: a picture of the screen at any moment of a run, at any size.
//!
//! The picture is drawn by the code of the real screen: records are folded up to the moment, keys are pressed, and the
//! result is written to a file. So the pictures in the README show the program as it is.

use std::ops::ControlFlow;

use crate::app::App;
use crate::app::keymap;
use crate::app::keymap::{Keymap, UnknownKey};
use crate::app::msg::{Effect, Msg, RenderedPage};
use crate::model::Timestamp;
use crate::model::feed::Feed;
use crate::store::history;
use crate::store::logs::LogFiles;
use crate::store::logs::query::{LogSearchResult, Logs, RunSearchResult};
use crate::ui::export::Picture;
use crate::ui::theme::{Colours, Glyphs, Theme};

use super::{Exit, Failure, Outcome, RunArg, style};

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
    /// Keys to press before: characters, and other keys by name in angle brackets
    #[arg(long, default_value = "", value_parser = keys)]
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

/// A text that is not a size.
#[derive(Clone, Copy, Debug, thiserror::Error)]
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
    let header = history::info(&folder)?;
    let mut records = history::records(&folder, &header)?;
    let start = records.first().map_or(header.created, |record| record.at);
    let end = records.last().map_or(start, |record| record.at);
    let now = args.at.map_or(end, |seconds| Timestamp(start.0.saturating_add((seconds.max(0.0) * 1000.0) as u64)));
    records.retain(|record| record.at <= now);

    let glyphs = if args.ascii { Glyphs::Ascii } else { Glyphs::Unicode };
    let theme = Theme { glyphs, colours: args.colours.into(), motion: false };
    let mut screen = Screen { app: App::new(theme, Keymap::default()), logs: LogFiles::new(folder.runs()) };
    screen.send(Msg::Tick(now));
    screen.send(Msg::Resize(args.size.0, args.size.1));
    let id = header.id.clone();
    screen.send(Msg::Feed(Feed::Opened(header)));
    screen.send(Msg::Feed(Feed::Records { run: id, records }));
    for key in &args.keys.0 {
        screen.send(Msg::Key(*key));
    }
    let picture = Picture::draw(args.size.0, args.size.1, |buffer| screen.app.draw(buffer));
    style::print(&match args.format {
        Format::Text => picture.text(),
        Format::Ansi => picture.ansi(),
        Format::Svg => picture.svg(),
    })
    .map_err(Failure::from)?;
    Ok(Exit::Success)
}

/// The screen without a terminal: its requests for logs are answered at once, and other effects are ignored.
struct Screen {
    app: App,
    logs: LogFiles,
}

impl Screen {
    fn send(&mut self, msg: Msg) {
        let mut effects = self.app.update(msg);
        while let Some(effect) = effects.pop() {
            let answer = match effect {
                Effect::LoadPage(request) => Msg::Page(RenderedPage::new(self.logs.pages(request), self.app.theme())),
                Effect::SearchLog(search) => {
                    let mut lines = Vec::new();
                    let ended = self.logs.search(&search, &|| false, &mut |line| {
                        lines.push(line);
                        ControlFlow::Continue(())
                    });
                    Msg::LogSearched(LogSearchResult { search, found: ended.map(|()| lines), done: true })
                }
                Effect::SearchRun(search) => {
                    let mut hits = Vec::new();
                    let ended = self.logs.search_run(&search, &|| false, &mut |log, text| {
                        hits.push((log, text));
                        ControlFlow::Continue(())
                    });
                    Msg::RunSearched(RunSearchResult { id: search.id, hits: ended.map(|()| hits), done: true })
                }
                _ => continue,
            };
            effects.extend(self.app.update(answer));
        }
    }
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
