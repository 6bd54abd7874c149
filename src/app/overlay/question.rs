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

use super::drawn::Drawn;
use super::{Outcome, mark_selected};

/// A question.
#[derive(Clone, Debug)]
pub(in crate::app) struct Question {
    pub(in crate::app) title: String,
    /// Lines above the answers.
    pub(in crate::app) text: Vec<String>,
    pub(in crate::app) choices: Vec<Choice>,
    selected: usize,
    drawn: Drawn,
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
        Self { title: title.to_owned(), text, choices, selected: 0, drawn: Drawn::default() }
    }

    /// Returns the width of the widest line in columns.
    pub(super) fn columns(&self) -> u16 {
        let lines = self.text.iter().map(String::as_str).chain(self.choices.iter().map(|choice| choice.label.as_str()));
        text::limited(lines.chain([self.title.as_str()]).map(text::width).max().unwrap_or_default())
    }

    /// Returns the number of rows in a box of this width, without the border.
    pub(super) fn rows(&self, width: u16) -> u16 {
        let text = self.wrapped(width).len();
        let answers = self.answers(width, usize::MAX, "").iter().map(Vec::len).sum::<usize>();
        text::limited(text + answers + usize::from(text > 0))
    }

    /// Returns the rows of each answer in a box of this width. An answer that is too long is wrapped while one of the
    /// `spare` rows is left, and clipped otherwise.
    fn answers(&self, width: u16, mut spare: usize, ellipsis: &str) -> Vec<Vec<String>> {
        let room = usize::from(width.saturating_sub(6).max(1));
        let answer = |choice: &Choice| {
            let mut rows = text::wrap_indented(&choice.label, room, 0);
            let shown = rows.len().min(spare.saturating_add(1)).max(1);
            spare -= shown - 1;
            if shown == 1 {
                return vec![text::clip_middle(&choice.label, room, ellipsis).into_owned()];
            }
            if shown < rows.len() {
                let rest = rows.split_off(shown - 1).join(" ");
                rows.push(text::clip(&rest, room, ellipsis).into_owned());
            }
            rows
        };
        self.choices.iter().map(answer).collect()
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

    /// Gives the answer that is drawn in a row of the screen.
    pub(super) fn click(&self, y: u16) -> Outcome {
        let choice = self.drawn.at(y).and_then(|at| self.choices.get(at));
        choice.map_or(Outcome::Stays, |choice| Outcome::Closes(choice.effects.clone()))
    }

    /// Returns the effects of the answer that quits and does nothing else, if there is such an answer.
    pub(in crate::app) fn quits(&self) -> Option<Vec<Effect>> {
        let quits = self.choices.iter().find(|choice| choice.effects == [Effect::Quit]);
        quits.map(|choice| choice.effects.clone())
    }

    /// Returns the environment of this machine whose deployment an answer promotes; `None` if no answer does.
    pub(super) fn promotes(&self) -> Option<&str> {
        self.choices.iter().flat_map(|choice| &choice.effects).find_map(|effect| match effect {
            Effect::Request(Request::Lane(
                LaneRequest::Promote { environment, .. } | LaneRequest::StopKept { environment, .. },
            )) => Some(environment.as_str()),
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
        let mut y = rows.start.saturating_add(u16::from(!lines.is_empty()));
        let left = usize::from(area.bottom().saturating_sub(y));
        let offset = keep_visible(0, self.selected, self.choices.len(), left.max(1));
        let answers = self.answers(area.width, left.saturating_sub(self.choices.len()), cx.theme.ellipsis());
        self.drawn.clear();
        for ((at, choice), answer) in self.choices.iter().enumerate().zip(answers).skip(offset) {
            let height = text::limited(answer.len());
            if y.saturating_add(height) > area.bottom() {
                break;
            }
            self.drawn.push(y..y + height, at);
            let x = text::put(buffer, area.x + 2, y, 1, &choice.key.to_string(), cx.theme.style(Hue::Accent));
            for (row, y) in answer.iter().zip(y..) {
                text::put(buffer, x + 2, y, area.width.saturating_sub(5), row, Style::new());
            }
            mark_selected(at == self.selected, cx, Rect { y, height, ..area }, buffer);
            y += height;
        }
    }
}
