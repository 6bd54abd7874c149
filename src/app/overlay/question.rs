//! A question with a few answers, each with its own key.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::panes::{Cx, keep_visible, motion};
use crate::app::text_input::MODIFIERS;
use crate::model::feed::Request;
use crate::model::lane::LaneRequest;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::{Outcome, mark_selected};

/// A question.
#[derive(Clone, Debug)]
pub(in crate::app) struct Question {
    pub(in crate::app) title: String,
    /// Lines above the answers.
    pub(in crate::app) text: Vec<String>,
    pub(in crate::app) choices: Vec<Choice>,
    selected: usize,
}

/// An answer to a question.
#[derive(Clone, Debug)]
pub(in crate::app) struct Choice {
    key: char,
    label: String,
    /// Effects of the answer; empty for "no".
    effects: Vec<Effect>,
}

impl Choice {
    pub(in crate::app) fn new(key: char, label: impl Into<String>, effects: Vec<Effect>) -> Self {
        Self { key, label: label.into(), effects }
    }
}

impl Question {
    /// Returns a question with its first answer selected.
    pub(in crate::app) fn new(title: &str, text: Vec<String>, choices: Vec<Choice>) -> Self {
        Self { title: title.to_owned(), text, choices, selected: 0 }
    }

    /// Returns the width of the widest line in columns.
    pub(super) fn columns(&self) -> u16 {
        let lines = self.text.iter().map(String::as_str).chain(self.choices.iter().map(|choice| choice.label.as_str()));
        text::limited(lines.chain([self.title.as_str()]).map(text::width).max().unwrap_or_default())
    }

    /// Returns the number of rows in a box of this width, without the border.
    pub(super) fn rows(&self, width: u16) -> u16 {
        let text = self.wrapped(width).len();
        text::limited(text + self.choices.len() + usize::from(text > 0))
    }

    /// Returns the rows of the text in a box of this width.
    fn wrapped(&self, width: u16) -> Vec<String> {
        let room = usize::from(width.saturating_sub(2).max(1));
        self.text.iter().flat_map(|line| text::wrap_indented(line, room, 0)).collect()
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Outcome> {
        let KeyCode::Char(c) = key.code else { return None };
        let choice = self.choices.iter().find(|choice| choice.key == c && !key.modifiers.intersects(MODIFIERS))?;
        Some(Outcome::Closes(choice.effects.clone()))
    }

    pub(super) fn act(&mut self, action: Action, height: usize) -> Outcome {
        if action == Action::Open {
            return Outcome::Closes(self.choices[self.selected].effects.clone());
        }
        self.selected = motion(action, self.selected, self.choices.len(), height).unwrap_or(self.selected);
        Outcome::Stays
    }

    /// Returns the effects of the answer that quits and does nothing else, if there is such an answer.
    pub(in crate::app) fn quits(&self) -> Option<Vec<Effect>> {
        let quits = self.choices.iter().find(|choice| choice.effects == [Effect::Quit]);
        quits.map(|choice| choice.effects.clone())
    }

    /// Returns the environment of this machine whose deployment an answer promotes; `None` if no answer does.
    pub(super) fn promotes(&self) -> Option<&str> {
        self.choices.iter().flat_map(|choice| &choice.effects).find_map(|effect| match effect {
            Effect::Request(Request::Lane(LaneRequest::Promote { environment, .. })) => Some(environment.as_str()),
            _ => None,
        })
    }

    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        // The answers are always visible; the text gets the other rows.
        let (room, height) = (area.width.saturating_sub(2), usize::from(area.height));
        let mut lines = self.wrapped(area.width);
        let shown = lines.len().min(height.saturating_sub(self.choices.len() + 1));
        if shown < lines.len() {
            let rest = lines.split_off(shown.saturating_sub(1)).join(" ");
            lines.extend((shown > 0).then(|| text::clip(&rest, usize::from(room), cx.theme.ellipsis()).into_owned()));
        }
        let mut rows = area.y..area.bottom();
        for (line, y) in lines.iter().zip(&mut rows) {
            text::put(buffer, area.x + 1, y, room, line, Style::new());
        }
        let rows = rows.skip(usize::from(!lines.is_empty()));
        let offset = keep_visible(0, self.selected, self.choices.len(), rows.len().max(1));
        for ((at, choice), y) in self.choices.iter().enumerate().skip(offset).zip(rows) {
            let x = text::put(buffer, area.x + 2, y, 1, &choice.key.to_string(), cx.theme.style(Hue::Accent));
            let room = usize::from(area.width.saturating_sub(6));
            let shown = text::clip_middle(&choice.label, room, cx.theme.ellipsis());
            text::put(buffer, x + 2, y, area.width.saturating_sub(5), &shown, Style::new());
            mark_selected(at == self.selected, cx, Rect { y, height: 1, ..area }, buffer);
        }
    }
}
