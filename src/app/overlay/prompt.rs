//! A text prompt at the bottom of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::panes::Cx;
use crate::app::panes::log::Position;
use crate::app::selection::Selection;
use crate::app::text_input::TextInput;
use crate::ui::layout::Panel;
use crate::ui::text;
use crate::ui::theme::Hue;

/// Keys of every prompt.
const KEYS: &str = "Enter: keep  Esc: back";

/// Minimum width of the screen to show what the prompt does, in columns.
const MIN_NAMED: u16 = 40;

/// A prompt and its text.
#[derive(Clone, Debug)]
pub(in crate::app) struct Prompt {
    pub(in crate::app) kind: Kind,
    pub(in crate::app) text: TextInput,
    /// Reading position in the log when the prompt was opened.
    pub(in crate::app) log_position: Position,
    /// Selection when the prompt was opened.
    pub(in crate::app) selection: Selection,
}

/// Purpose of a prompt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::app) enum Kind {
    /// Goes to matching lines of the log.
    Search,
    /// Shows only matching lines of the log.
    Keep,
    /// Shows only rows of a list that contain the words.
    Filter(Panel),
}

impl Prompt {
    pub(in crate::app) fn new(kind: Kind, log_position: Position, selection: Selection) -> Self {
        Self { kind, text: TextInput::default(), log_position, selection }
    }

    /// Returns what the prompt does, and the key that opened it.
    fn label(&self) -> String {
        match self.kind {
            Kind::Search => "Search log /".to_owned(),
            Kind::Keep => "Keep lines &".to_owned(),
            Kind::Filter(panel) => format!("Filter {} /", panel.name().to_lowercase()),
        }
    }

    fn hint(&self) -> &'static str {
        match self.kind {
            Kind::Search => "text, or /expression/",
            Kind::Keep => "text, or /expression/; with ! before it: lines that do not match",
            Kind::Filter(Panel::Runs) => "words, or status:failure branch:main since:2d",
            Kind::Filter(Panel::Jobs) => "words, or status:failure",
            Kind::Filter(_) => "words that a row must have",
        }
    }

    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        for x in area.left()..area.right().min(buffer.area.right()) {
            buffer[(x, area.y)].reset();
        }
        let label = self.label();
        let (name, sign) = label.split_at(label.len() - 1);
        let room = if area.width < MIN_NAMED { 0 } else { area.width };
        let x = text::put(buffer, area.x + 1, area.y, room, name, cx.theme.style(Hue::Dim));
        let x = text::put(buffer, x, area.y, 1, sign, cx.theme.style(Hue::Accent));
        let row = Rect { x, width: area.right().saturating_sub(x + 1), ..area };
        let x = self.text.draw(true, cx.theme, row, buffer);
        let hints = [format!("{}  {KEYS}", self.hint()), self.hint().to_owned(), KEYS.to_owned()];
        let fits = |hint: &String| x + text::columns(hint) + 3 < area.right();
        if let Some(hint) = hints.iter().find(|hint| fits(hint)) {
            let width = text::columns(hint) + 1;
            text::put(buffer, area.right() - width, area.y, width, hint, cx.theme.style(Hue::Dim));
        }
    }
}
