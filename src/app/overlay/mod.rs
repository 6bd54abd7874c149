//! What comes on top of the panes: the help, a question, a list to pick from.
//!
//! Keys go to the overlay alone while there is one. Where text can be typed, only keys that are not characters keep
//! their meaning.

pub(super) mod dialogs;
pub(super) mod form;
pub(super) mod log_search;
pub(super) mod prompt;
pub(super) mod trust;

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::action::{ACTIONS, Action, Context};
use super::keymap::Keymap;
use super::msg::Effect;
use super::palette::{command, fit};
use super::state::AppState;
use crate::model::Summary;
use crate::model::capabilities::Unavailable;
use crate::model::{JobId, RunId};
use crate::store::logs::pattern::Pattern;
use crate::store::logs::query::LogKey;
use crate::ui::frame;
use crate::ui::frame::Framed;
use crate::ui::layout::middle;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::availability::unavailable;
use super::panes::{Cx, empty, keep_visible, motion};
use form::Form;
use log_search::Matches;
use prompt::Prompt;
use trust::TrustQuestion;

/// What is on top of the panes.
#[derive(Clone, Debug)]
pub(in crate::app) enum Overlay {
    /// The keys of a panel.
    Help {
        /// Of which panel.
        context: Context,
        /// What is searched for.
        filter: String,
        /// The first row shown.
        offset: usize,
    },
    /// Something to be decided.
    Question(Question),
    /// Whether the repository may run on this machine.
    Trust(TrustQuestion),
    /// Something to be picked from a list by typing a part of it.
    Picker(Picker),
    /// What a workflow is to be started with.
    Form(Form),
    /// Something that is typed at the foot of the screen.
    Prompt(Prompt),
    /// Something that is looked for in all logs of the run.
    Matches(Matches),
    /// What the program says about itself; drawn by whoever owns that record.
    Diagnostics,
}

/// Something to be decided.
#[derive(Clone, Debug)]
pub(in crate::app) struct Question {
    /// What it is about.
    pub title: String,
    /// What there is to know.
    pub text: Vec<String>,
    /// What can be answered.
    pub choices: Vec<Choice>,
    /// The choice that is selected.
    pub at: usize,
}

/// An answer to a question.
#[derive(Clone, Debug)]
pub(in crate::app) struct Choice {
    /// The key that gives it.
    pub key: char,
    /// What it means.
    pub label: String,
    /// What is done then; nothing for "no".
    pub effects: Vec<Effect>,
}

/// Something to be picked.
#[derive(Clone, Debug)]
pub(in crate::app) struct Picker {
    /// What it is about.
    pub title: String,
    /// What was typed.
    pub filter: String,
    /// Whether `grep TEXT` can be typed, too.
    pub commands: bool,
    /// What there is to pick, and what is done then.
    pub rows: Vec<(String, Pick)>,
    /// Which of the rows that match is selected.
    pub at: usize,
}

/// What is done with a row that was picked.
#[derive(Clone, Debug)]
pub(in crate::app) enum Pick {
    /// The action is carried out.
    Act(Action),
    /// It is filled in.
    Fill(Form),
    /// The run is shown.
    Run(RunId),
    /// The job is shown.
    Job(JobId),
    /// Files are watched, for this workflow or for all.
    Watch(Option<String>),
    /// The text is looked for in all logs of the run.
    SearchRun(String),
    /// The line is shown, with what was looked for.
    Line {
        /// In which log.
        log: LogKey,
        /// Which line, from 0.
        line: u64,
        /// What was looked for.
        pattern: Pattern,
    },
}

/// What an overlay made of a key.
#[derive(Clone, Debug)]
pub(in crate::app) enum Outcome {
    /// It stays.
    Stays,
    /// It is done, and this is to be done.
    Closes(Vec<Effect>),
    /// It is done, and this was picked.
    Picked(Pick),
}

impl Overlay {
    /// The help for a panel.
    #[must_use]
    pub(in crate::app) fn help(context: Context) -> Self {
        Self::Help { context, filter: String::new(), offset: 0 }
    }

    /// Whether characters are typed into it.
    #[must_use]
    pub(in crate::app) fn takes_text(&self) -> bool {
        !matches!(self, Self::Question(_) | Self::Trust(_) | Self::Diagnostics)
    }

    /// Whether this character has a meaning of its own here: typed text, or the key of a choice.
    pub(in crate::app) fn wants(&self, c: char) -> bool {
        match self {
            Self::Question(question) => question.choices.iter().any(|choice| choice.key == c),
            Self::Trust(_) => TrustQuestion::wants(c),
            _ => self.takes_text(),
        }
    }

    /// A character was typed.
    pub(in crate::app) fn character(&mut self, c: char) -> Outcome {
        match self {
            Self::Help { filter, offset, .. } => {
                filter.push(c);
                *offset = 0;
            }
            Self::Picker(picker) => {
                picker.filter.push(c);
                picker.at = 0;
            }
            Self::Question(question) => {
                if let Some(choice) = question.choices.iter().find(|choice| choice.key == c) {
                    return Outcome::Closes(choice.effects.clone());
                }
            }
            Self::Trust(trust) => {
                if let Some(effects) = trust.answer(c) {
                    return Outcome::Closes(effects);
                }
            }
            Self::Form(form) => form.character(c),
            Self::Prompt(prompt) => prompt.add(&c.to_string()),
            Self::Matches(matches) => matches.character(c),
            Self::Diagnostics => {}
        }
        Outcome::Stays
    }

    /// The last character typed is taken back.
    pub(in crate::app) fn backspace(&mut self) {
        match self {
            Self::Help { filter, .. } => drop(filter.pop()),
            Self::Picker(picker) => drop(picker.filter.pop()),
            Self::Form(form) => form.backspace(),
            Self::Prompt(prompt) => drop(prompt.text.pop()),
            Self::Matches(matches) => matches.backspace(),
            Self::Question(_) | Self::Trust(_) | Self::Diagnostics => {}
        }
    }

    /// An action that has a meaning here.
    pub(in crate::app) fn act(&mut self, action: Action, height: usize) -> Outcome {
        match (self, action) {
            (_, Action::Back) => return Outcome::Closes(Vec::new()),
            (Self::Help { offset, .. }, _) => {
                if let Some(to) = motion(action, *offset, usize::MAX, height) {
                    *offset = to.min(ACTIONS.len());
                }
            }
            (Self::Question(question), Action::Open) => {
                return Outcome::Closes(question.choices[question.at].effects.clone());
            }
            (Self::Question(question), _) => {
                question.at = motion(action, question.at, question.choices.len(), height).unwrap_or(question.at);
            }
            (Self::Trust(trust), _) => trust.act(action, height),
            (Self::Picker(picker), Action::Open) => {
                let row = picker.matching().get(picker.at).map(|row| row.1.clone());
                return row.map_or(Outcome::Stays, Outcome::Picked);
            }
            (Self::Picker(picker), _) => {
                let len = picker.matching().len();
                picker.at = motion(action, picker.at, len, height).unwrap_or(picker.at);
            }
            (Self::Form(form), Action::Open) => {
                return form.confirm().map_or(Outcome::Stays, |start| Outcome::Closes(vec![start]));
            }
            (Self::Form(form), _) => form.at = motion(action, form.at, form.len(), height).unwrap_or(form.at),
            (Self::Matches(matches), Action::Open) => {
                let found = matches.selected().map(|(log, line, pattern)| Pick::Line { log, line, pattern });
                return found.map_or(Outcome::Stays, Outcome::Picked);
            }
            (Self::Matches(matches), _) => matches.act(action, height.saturating_sub(1)),
            (Self::Prompt(_) | Self::Diagnostics, _) => {}
        }
        Outcome::Stays
    }

    /// Where it is on a screen.
    #[must_use]
    pub(in crate::app) fn area(&self, screen: Rect) -> Rect {
        match self {
            Self::Help { .. } => middle(screen, 112, screen.height.saturating_sub(2)),
            Self::Question(question) => {
                let lines =
                    question.text.iter().map(String::as_str).chain(question.choices.iter().map(|c| c.label.as_str()));
                let widest = lines.map(text::width).max().unwrap_or_default().max(text::width(&question.title)) as u16;
                let rows = question.text.len() + question.choices.len() + usize::from(!question.text.is_empty());
                middle(screen, widest + 10, rows as u16 + 2)
            }
            Self::Picker(picker) => middle(screen, 76, (picker.rows.len() as u16 + 4).clamp(8, 20)),
            Self::Trust(trust) => {
                let (width, height) = trust.size();
                middle(screen, width + 2, height.saturating_add(2))
            }
            Self::Form(form) => middle(screen, 76, form.rows() as u16 + 2),
            Self::Prompt(_) => Rect { y: screen.bottom().saturating_sub(1), height: 1.min(screen.height), ..screen },
            Self::Matches(_) => {
                middle(screen, screen.width.saturating_sub(2).min(160), screen.height.saturating_sub(2))
            }
            Self::Diagnostics => middle(screen, screen.width.saturating_sub(4), screen.height.saturating_sub(4)),
        }
    }

    pub(in crate::app) fn draw(
        &self,
        cx: &Cx,
        keymap: &Keymap,
        summary: Option<&Summary>,
        screen: Rect,
        buffer: &mut Buffer,
    ) {
        let area = self.area(screen).intersection(buffer.area);
        let (title, suffix) = match self {
            Self::Help { context, filter, .. } => {
                let typed = if filter.is_empty() { "type to search".to_owned() } else { format!("/{filter}") };
                (format!("Keys: {}", context.name()), typed)
            }
            Self::Question(question) => (question.title.clone(), String::new()),
            Self::Picker(picker) => (picker.title.clone(), String::new()),
            Self::Trust(trust) => {
                let height = usize::from(frame::inside(area).height);
                ("Not trusted to run on this machine yet".to_owned(), trust.remark(height))
            }
            Self::Form(form) => (form.title(), String::new()),
            Self::Prompt(prompt) => return prompt.draw(cx, area, buffer),
            Self::Matches(matches) => ("Lines of all steps".to_owned(), matches.remark()),
            Self::Diagnostics => ("Diagnostics".to_owned(), String::new()),
        };
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                buffer[(x, y)].reset();
            }
        }
        // Only the box is to be joined up, not the borders below it.
        let mut top = Buffer::empty(area);
        frame::draw(&[Framed { area, title, suffix, focused: true }], cx.theme, &mut top);
        let inside = frame::inside(area);
        match self {
            Self::Help { context, filter, offset } => {
                draw_help(*context, filter, *offset, cx, keymap, summary, inside, &mut top);
            }
            Self::Question(question) => question.draw(cx, inside, &mut top),
            Self::Picker(picker) => picker.draw(cx, inside, &mut top),
            Self::Trust(trust) => trust.draw(cx, inside, &mut top),
            Self::Form(form) => form.draw(cx, inside, &mut top),
            Self::Matches(matches) => matches.draw(cx, inside, &mut top),
            Self::Prompt(_) | Self::Diagnostics => {}
        }
        buffer.merge(&top);
    }
}

impl Question {
    fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        let mut rows = area.y..area.bottom();
        for (line, y) in self.text.iter().zip(&mut rows) {
            let shown = text::clip(line, usize::from(area.width.saturating_sub(2)), cx.theme.ellipsis());
            text::put(buffer, area.x + 1, y, area.width.saturating_sub(2), &shown, Style::new());
        }
        let mut rows = rows.skip(usize::from(!self.text.is_empty()));
        for (at, choice) in self.choices.iter().enumerate() {
            let Some(y) = rows.next() else { break };
            let x = text::put(buffer, area.x + 2, y, 1, &choice.key.to_string(), cx.theme.style(Hue::Accent));
            let shown =
                text::clip_middle(&choice.label, usize::from(area.width.saturating_sub(6)), cx.theme.ellipsis());
            text::put(buffer, x + 2, y, area.width.saturating_sub(5), &shown, Style::new());
            select(at == self.at, cx, Rect { y, height: 1, ..area }, buffer);
        }
    }
}

impl Picker {
    /// The rows that hold what was typed, letter by letter in this order; what fits best comes first.
    fn matching(&self) -> Vec<Cow<'_, (String, Pick)>> {
        if let Some(command) = command(&self.filter).filter(|_| self.commands) {
            return vec![Cow::Owned(command)];
        }
        let fits = self.rows.iter().filter_map(|row| Some((fit(&self.filter, &row.0)?, row)));
        let mut rows: Vec<_> = fits.collect();
        rows.sort_by_key(|(fit, _)| std::cmp::Reverse(*fit));
        rows.into_iter().map(|(_, row)| Cow::Borrowed(row)).collect()
    }

    fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        typed(&self.filter, cx, area, buffer);
        let list = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        let rows = self.matching();
        if rows.is_empty() {
            empty("nothing has these letters in this order", cx, list, buffer);
        }
        let offset = keep_visible(0, self.at, rows.len(), usize::from(list.height));
        for ((at, row), y) in rows.iter().enumerate().skip(offset).zip(list.y..list.bottom()) {
            let shown = text::clip(&row.0, usize::from(area.width.saturating_sub(4)), cx.theme.ellipsis());
            text::put(buffer, area.x + 2, y, area.width.saturating_sub(3), &shown, Style::new());
            select(at == self.at, cx, Rect { y, height: 1, ..area }, buffer);
        }
    }
}

/// What was typed, in the first row of a box.
pub(in crate::app) fn typed(text: &str, cx: &Cx, area: Rect, buffer: &mut Buffer) {
    let x = text::put(buffer, area.x + 1, area.y, area.width, "> ", cx.theme.style(Hue::Accent));
    let x = text::put(buffer, x, area.y, area.right().saturating_sub(x + 1), text, Style::new());
    text::put(buffer, x, area.y, 1, " ", cx.theme.selected());
}

/// Marks the selected row.
fn select(selected: bool, cx: &Cx, row: Rect, buffer: &mut Buffer) {
    if selected {
        buffer.set_style(row.intersection(buffer.area), cx.theme.selected());
        text::put(buffer, row.x, row.y, 1, cx.theme.bar(), Style::new());
    }
}

/// The keys of a panel, then those that mean the same everywhere; what can do nothing now says why.
#[expect(clippy::too_many_arguments, reason = "the parts of the help, and where to draw it")]
fn draw_help(
    context: Context,
    filter: &str,
    offset: usize,
    cx: &Cx,
    keymap: &Keymap,
    summary: Option<&Summary>,
    area: Rect,
    buffer: &mut Buffer,
) {
    let mut rows = help_rows(context, filter, cx.state, keymap, summary);
    if rows.is_empty() {
        rows.push((String::new(), "no key does that".to_owned(), None));
    }
    let offset = offset.min(rows.len().saturating_sub(usize::from(area.height)));
    for ((keys, doc, reason), y) in rows.into_iter().skip(offset).zip(area.y..area.bottom()) {
        let dim = cx.theme.style(Hue::Dim);
        let (key_style, style) =
            if reason.is_some() { (dim, dim) } else { (cx.theme.style(Hue::Accent), Style::new()) };
        let keys = text::clip(&keys, 16, cx.theme.ellipsis());
        text::put(buffer, area.x + 1, y, 16, &keys, key_style);
        let doc = match reason {
            Some(reason) => format!("{} ({reason})", doc.split([';', ',']).next().unwrap_or_default()),
            None => doc,
        };
        let room = area.width.saturating_sub(20);
        text::put(buffer, area.x + 19, y, room, &text::clip(&doc, usize::from(room), cx.theme.ellipsis()), style);
    }
}

fn help_rows(
    context: Context,
    filter: &str,
    state: &AppState,
    keymap: &Keymap,
    summary: Option<&Summary>,
) -> Vec<(String, String, Option<Unavailable>)> {
    let own = ACTIONS.iter().filter(|entry| entry.contexts.contains(&context));
    let everywhere = ACTIONS.iter().filter(|entry| entry.contexts.contains(&Context::Everywhere));
    let mut rows = Vec::new();
    for entry in own.chain(everywhere) {
        let keys: Vec<String> = keymap.keys(entry.action).iter().map(ToString::to_string).collect();
        let keys = if keys.is_empty() { "(no key)".to_owned() } else { keys.join(" ") };
        let found = filter.is_empty() || keys == filter || format!("{} {}", entry.name, entry.doc).contains(filter);
        if found {
            rows.push((keys, entry.doc.to_owned(), unavailable(entry.action, state, summary)));
        }
    }
    rows
}
