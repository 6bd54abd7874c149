//! The trust question: whether a repository may run on this machine. Shows a summary of what would run, or all of it.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::panes::{Cx, motion};
use crate::app::text_input::MODIFIERS;
use crate::model::Preview;
use crate::model::feed::Request;
use crate::ui::frame::Scroll;
use crate::ui::terminal_text;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::Outcome;

/// Key that trusts the repository. Enter does not, because it is pressed too easily.
const YES: char = 'y';

/// Key that refuses.
const NO: char = 'n';

/// Key that switches between the summary and the full preview.
const WHOLE: char = 'v';

/// Rows of the answers, and the empty row above them.
const ANSWER_ROWS: u16 = 4;

/// The question and the visible part of the preview.
#[derive(Clone, Debug)]
pub(in crate::app) struct TrustQuestion {
    question: u64,
    preview: Preview,
    /// Whether everything is shown, and not only the summary.
    whole: bool,
    lines: Vec<String>,
    /// Index of the first visible line.
    offset: usize,
    /// Whether a letter was typed that is no answer, for instance the first one of an environment's name. No letter is an
    /// answer then, until Enter or Backspace.
    is_typing: bool,
}

impl TrustQuestion {
    pub(in crate::app) fn new(question: u64, preview: Preview) -> Self {
        let lines = revealed(&preview, false);
        Self { question, preview, whole: false, lines, offset: 0, is_typing: false }
    }

    /// Closes the question if the key is an answer, or changes how much is shown. `None` for any other key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Outcome> {
        match key.code {
            _ if key.modifiers.intersects(MODIFIERS) => None,
            KeyCode::Enter | KeyCode::Backspace if self.is_typing => {
                self.is_typing = false;
                Some(Outcome::Stays)
            }
            KeyCode::Char(_) if self.is_typing => Some(Outcome::Stays),
            KeyCode::Char(YES) => {
                Some(Outcome::Closes(vec![Effect::Request(Request::Trust { question: self.question })]))
            }
            KeyCode::Char(NO) => Some(Outcome::Closes(Vec::new())),
            KeyCode::Char(WHOLE) => {
                self.whole = !self.whole;
                self.lines = revealed(&self.preview, self.whole);
                self.offset = 0;
                Some(Outcome::Stays)
            }
            _ => None,
        }
    }

    /// Handles a key without a meaning here.
    pub(in crate::app) fn mistyped(&mut self, key: KeyEvent) {
        self.is_typing |= matches!(key.code, KeyCode::Char(letter) if letter.is_alphanumeric());
    }

    /// Scrolls the preview. `height` is the number of rows inside the box.
    pub(super) fn act(&mut self, action: Action, height: usize) {
        let shown = height.saturating_sub(usize::from(ANSWER_ROWS));
        let last = self.lines.len().saturating_sub(shown);
        self.offset = motion(action, self.offset, last + 1, shown).unwrap_or(self.offset);
    }

    /// Returns the size of the question in columns and rows, without the border.
    pub(super) fn size(&self) -> (u16, u16) {
        let widest = self.lines.iter().map(|line| text::width(line)).max().unwrap_or_default();
        (
            widest.clamp(60, 110) as u16 + 2,
            u16::try_from(self.lines.len()).unwrap_or(u16::MAX - ANSWER_ROWS) + ANSWER_ROWS,
        )
    }

    /// Returns the number of lines below the visible part, for the border.
    pub(super) fn status(&self, height: usize) -> String {
        let shown = height.saturating_sub(usize::from(ANSWER_ROWS));
        match self.lines.len().saturating_sub(self.offset + shown) {
            0 => String::new(),
            below => format!("{below} more below"),
        }
    }

    /// Draws the question. Returns the visible part of the preview.
    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) -> Scroll {
        let room = area.width.saturating_sub(2);
        let bottom = area.bottom().saturating_sub(ANSWER_ROWS);
        for (line, y) in self.lines.iter().skip(self.offset).zip(area.y..bottom) {
            let shown = text::clip(line, usize::from(room), cx.theme.ellipsis());
            text::put(buffer, area.x + 1, y, room, &shown, Style::new());
        }
        let other = if self.whole { "show only a summary" } else { "show everything" };
        if self.is_typing {
            let said = "typed text is no answer: press Enter, and then one of the keys";
            text::put(buffer, area.x + 2, bottom, area.width.saturating_sub(3), said, cx.theme.style(Hue::Review));
        }
        let answers = [(YES, "trust this repository, and go on"), (NO, "not now: nothing is started"), (WHOLE, other)];
        for ((key, label), y) in answers.into_iter().zip(bottom + 1..area.bottom()) {
            let x = text::put(buffer, area.x + 2, y, 1, &key.to_string(), cx.theme.style(Hue::Accent));
            text::put(buffer, x + 2, y, area.width.saturating_sub(5), label, Style::new());
        }
        let shown = area.height.saturating_sub(ANSWER_ROWS).into();
        Scroll { first: self.offset, shown, all: self.lines.len() }
    }
}

/// Returns the lines of a preview, with control and invisible characters made visible.
fn revealed(preview: &Preview, whole: bool) -> Vec<String> {
    preview.lines(whole).iter().map(|line| terminal_text::reveal(line)).collect()
}
