//! Overlays on top of the panes: help, questions, pickers, forms, prompts, searches.
//!
//! While an overlay is open, only the overlay receives keys. In a text input, only keys that do not edit text keep
//! their bindings.

mod body;
pub(super) mod dialogs;
mod drawn;
pub(super) mod faults;
pub(super) mod form;
mod help;
mod lanes;
pub(super) mod order;
pub(super) mod picker;
pub(super) mod prompt;
pub(super) mod question;
mod releases;
pub(super) mod review;
pub(super) mod rollback;
pub(super) mod run_search;
pub(super) mod summaries;
pub(super) mod trust;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::ui::frame;
use crate::ui::frame::Framed;
use crate::ui::layout;
use crate::ui::layout::popup;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::action::{Action, Context};
use super::availability::Subject;
use super::keymap::Keymap;
use super::msg::Effect;
use super::panes::Cx;
use super::text_input::TextInput;
use faults::Faults;
use form::Form;
use help::Help;
use order::OrderBox;
use picker::{Pick, Picker};
use prompt::Prompt;
use question::Question;
use review::ReviewBox;
use rollback::RollbackBox;
use run_search::RunSearchBox;
use summaries::Summaries;
use trust::TrustQuestion;

/// An overlay on top of the panes.
#[derive(Clone, Debug)]
pub(super) enum Overlay {
    /// The keys of a panel.
    Help(Help),
    /// A question.
    Question(Question),
    /// The deployments that wait for a review.
    Review(ReviewBox),
    /// A rollback to be confirmed.
    Rollback(RollbackBox),
    /// An order to an environment of this machine.
    Order(OrderBox),
    /// The trust question about the repository.
    Trust(TrustQuestion),
    /// A list to pick from.
    Picker(Picker),
    /// The inputs of a workflow.
    Form(Form),
    /// The errors of a workflow.
    Faults(Faults),
    /// The job summaries of a run.
    Summaries(Summaries),
    /// A text prompt at the bottom of the screen.
    Prompt(Prompt),
    /// A search in all logs of the run.
    RunSearch(RunSearchBox),
    /// The log of the program itself, which `tui` draws.
    Diagnostics,
}

/// A hint for the footer while an overlay is open.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hint {
    /// The first key of an action, and what it does here.
    Key(Action, &'static str),
    /// Keys without an action, and what they do here.
    Note(&'static str, &'static str),
}

/// Result of a key for an overlay.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The overlay stays open.
    Stays,
    /// The overlay closes, with these effects.
    Closes(Vec<Effect>),
    /// The overlay closes, and a row was picked.
    Picked(Pick),
}

impl Overlay {
    /// Returns the help for a panel. `hints` are the actions for what is selected there, each with what it does.
    pub(super) fn help(context: Context, hints: Vec<(Action, &'static str)>) -> Self {
        Self::Help(Help::new(context, hints))
    }

    /// Returns the environment of this machine whose open deployment the overlay acts on; `None` if it acts on none.
    pub(super) fn ordered(&self) -> Option<&str> {
        match self {
            Self::Question(question) => question.promotes(),
            Self::Order(order) => order.aborts(),
            _ => None,
        }
    }

    /// Handles a key that edits the overlay's text or answers its question. `None` for any other key, which is left to
    /// the key bindings.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Outcome> {
        let edits = match self {
            Self::Question(question) => return question.key(key),
            Self::Review(review) => return review.key(key),
            Self::Trust(trust) => return trust.key(key),
            Self::Help(help) => help.key(key),
            Self::Rollback(rollback) => rollback.key(key),
            Self::Order(order) => order.key(key),
            Self::Picker(picker) => picker.key(key),
            Self::Form(form) => form.key(key),
            Self::Prompt(prompt) => prompt.text.key(key),
            Self::RunSearch(search) => search.key(key),
            Self::Faults(_) | Self::Summaries(_) | Self::Diagnostics => false,
        };
        edits.then_some(Outcome::Stays)
    }

    /// Inserts pasted text into the overlay's text input.
    pub(super) fn paste(&mut self, text: &str) {
        match self {
            Self::Help(help) => help.paste(text),
            Self::Picker(picker) => picker.paste(text),
            Self::Form(form) => form.paste(text),
            Self::Review(review) => review.paste(text),
            Self::Rollback(rollback) => rollback.paste(text),
            Self::Order(order) => order.paste(text),
            Self::Prompt(prompt) => prompt.text.insert(text),
            Self::RunSearch(search) => search.paste(text),
            Self::Question(_) | Self::Trust(_) | Self::Faults(_) | Self::Summaries(_) | Self::Diagnostics => {}
        }
    }

    /// Handles a click on a row of the screen: selects what is there, or chooses it if it is selected already. An answer
    /// of a question is chosen at once.
    pub(super) fn click(&mut self, y: u16) -> Outcome {
        match self {
            Self::Question(question) => question.click(y),
            Self::Review(review) => review.click(y),
            Self::Picker(picker) => picker.click(y),
            Self::RunSearch(search) => search.click(y),
            Self::Form(form) => {
                form.click(y);
                Outcome::Stays
            }
            Self::Order(order) => {
                order.click(y);
                Outcome::Stays
            }
            Self::Help(_)
            | Self::Rollback(_)
            | Self::Trust(_)
            | Self::Faults(_)
            | Self::Summaries(_)
            | Self::Prompt(_)
            | Self::Diagnostics => Outcome::Stays,
        }
    }

    /// Handles a turn of the mouse wheel by one notch. `height` is the number of rows inside the overlay.
    pub(super) fn wheel(&mut self, down: bool, height: usize) -> Outcome {
        let action = match (&*self, down) {
            // Single steps go to another field there.
            (Self::Rollback(_) | Self::Order(_), true) => Action::HalfDown,
            (Self::Rollback(_) | Self::Order(_), false) => Action::HalfUp,
            (_, true) => Action::Down,
            (_, false) => Action::Up,
        };
        self.act(action, height)
    }

    /// Carries out an action. `height` is the number of rows inside the overlay.
    pub(super) fn act(&mut self, action: Action, height: usize) -> Outcome {
        if action == Action::Back {
            if let Self::Review(review) = self
                && review.back()
            {
                return Outcome::Stays;
            }
            return Outcome::Closes(Vec::new());
        }
        match self {
            Self::Help(help) => help.act(action, height),
            Self::Question(question) => return question.act(action, height),
            Self::Review(review) => return review.act(action, height),
            Self::Rollback(rollback) => return rollback.act(action, height),
            Self::Order(order) => return order.act(action, height),
            Self::Trust(trust) => trust.act(action, height),
            Self::Faults(faults) => faults.act(action, height),
            Self::Summaries(summaries) => summaries.act(action, height),
            Self::Picker(picker) => return picker.act(action, height),
            Self::Form(form) => return form.act(action, height),
            Self::RunSearch(search) => return search.act(action, height),
            Self::Prompt(_) | Self::Diagnostics => {}
        }
        Outcome::Stays
    }

    /// Returns the overlay's area on a screen.
    pub(super) fn area(&self, screen: Rect) -> Rect {
        match self {
            Self::Help(_) => popup(screen, 120, layout::between(screen).height),
            Self::Question(question) => {
                wrapped_popup(screen, question.columns().saturating_add(10), |columns| question.rows(columns))
            }
            Self::Rollback(rollback) => wrapped_popup(screen, 90, |columns| rollback.height(columns)),
            Self::Order(order) => wrapped_popup(screen, 90, |columns| order.height(columns)),
            Self::Review(review) => wrapped_popup(screen, 90, |columns| review.height(columns)),
            Self::Trust(trust) => {
                let (columns, rows) = trust.size();
                popup(screen, columns + 2, rows.saturating_add(2))
            }
            Self::Faults(faults) => {
                let (columns, rows) = faults.size();
                popup(screen, columns + 2, rows.saturating_add(2))
            }
            Self::Picker(picker) => {
                popup(screen, 112, (picker.rows() as u16 + 4).clamp(8, 20).min(layout::between(screen).height))
            }
            Self::Summaries(_) => popup(screen, 112, layout::between(screen).height),
            Self::Form(form) => popup(screen, 76, form.rows() as u16 + 2),
            Self::Prompt(_) => Rect { y: screen.bottom().saturating_sub(1), height: 1.min(screen.height), ..screen },
            Self::RunSearch(_) => popup(screen, 160, layout::between(screen).height),
            Self::Diagnostics => popup(screen, screen.width, layout::between(screen).height),
        }
    }

    /// Returns title and suffix of the border.
    fn titles(&self, area: Rect) -> (String, String) {
        match self {
            Self::Help(help) => (help.title(), String::new()),
            Self::Question(question) => (question.title.clone(), String::new()),
            Self::Rollback(_) => ("Roll back".to_owned(), String::new()),
            Self::Order(order) => (order.title(), String::new()),
            Self::Review(review) => ("Review deployments".to_owned(), review.status()),
            Self::Trust(trust) => {
                let rows = usize::from(frame::inside(area).height);
                ("Not trusted to run on this machine yet".to_owned(), trust.status(rows))
            }
            Self::Picker(picker) => (picker.title.clone(), String::new()),
            Self::Form(form) => (form.title(), String::new()),
            Self::Faults(faults) => (faults.title(), String::new()),
            Self::Summaries(_) => ("Job summaries".to_owned(), String::new()),
            Self::RunSearch(search) => ("Lines of all steps".to_owned(), search.status()),
            Self::Prompt(_) => (String::new(), String::new()),
            Self::Diagnostics => ("Diagnostics".to_owned(), String::new()),
        }
    }

    /// Returns the hints for the footer while the overlay is open: an action and what it does here, or a text in place
    /// of a key. Empty for the prompt, which takes the place of the footer.
    pub(super) fn hints(&self) -> &'static [Hint] {
        match self {
            Self::Help(_) => {
                &[Hint::Note("type", "search"), Hint::Note("up, down", "scroll"), Hint::Key(Action::Back, "close")]
            }
            Self::Picker(picker) if picker.deploys() => &[
                Hint::Note("type", "filter, or any tag, branch, commit"),
                Hint::Key(Action::Open, "show the plan"),
                Hint::Key(Action::Back, "close"),
            ],
            Self::Picker(_) => {
                &[Hint::Note("type", "filter"), Hint::Key(Action::Open, "choose"), Hint::Key(Action::Back, "close")]
            }
            Self::RunSearch(_) => {
                &[Hint::Note("type", "search"), Hint::Key(Action::Open, "go to"), Hint::Key(Action::Back, "close")]
            }
            Self::Form(form) => form.hints(),
            Self::Question(_) => &[Hint::Key(Action::Open, "choose"), Hint::Key(Action::Back, "close")],
            Self::Trust(_) => &[
                Hint::Note("y", "trust"),
                Hint::Note("n", "not now"),
                Hint::Note("v", "show all"),
                Hint::Note("up, down", "scroll"),
                Hint::Key(Action::Back, "close"),
            ],
            Self::Faults(_) => &[
                Hint::Key(Action::Edit, "open file"),
                Hint::Key(Action::Back, "close"),
                Hint::Note("up, down", "scroll"),
            ],
            Self::Review(review) => review.hints(),
            Self::Rollback(_) => &[
                Hint::Key(Action::Open, "roll back"),
                Hint::Key(Action::Back, "close"),
                Hint::Note("pagedown, pageup", "scroll"),
            ],
            Self::Order(order) => order.hints(),
            Self::Summaries(_) => &[Hint::Note("up, down", "scroll"), Hint::Key(Action::Back, "close")],
            Self::Diagnostics => &[Hint::Key(Action::Back, "close")],
            Self::Prompt(_) => &[],
        }
    }

    pub(super) fn draw(&self, cx: &Cx, keymap: &Keymap, subject: Subject<'_>, screen: Rect, buffer: &mut Buffer) {
        let area = self.area(screen).intersection(buffer.area);
        if let Self::Prompt(prompt) = self {
            return prompt.draw(cx, area, buffer);
        }
        let (title, suffix) = self.titles(area);
        let framed = Framed { area, title, suffix, focused: true, ..Framed::default() };
        frame::popup(framed, cx.theme, buffer, |inside, buffer| {
            match self {
                Self::Help(help) => return Some(help.draw(cx, keymap, subject, inside, buffer)),
                Self::Trust(trust) => return Some(trust.draw(cx, inside, buffer)),
                Self::Picker(picker) => return Some(picker.draw(cx, inside, buffer)),
                Self::Faults(faults) => return Some(faults.draw(cx, inside, buffer)),
                Self::Summaries(summaries) => return Some(summaries.draw(cx, inside, buffer)),
                Self::RunSearch(search) => return Some(search.draw(cx, inside, buffer)),
                Self::Form(form) => return Some(form.draw(cx, inside, buffer)),
                Self::Rollback(rollback) => return Some(rollback.draw(cx, inside, buffer)),
                Self::Order(order) => return Some(order.draw(cx, inside, buffer)),
                Self::Question(question) => question.draw(cx, inside, buffer),
                Self::Review(review) => review.draw(cx, inside, buffer),
                Self::Prompt(_) | Self::Diagnostics => {}
            }
            None
        });
    }
}

/// Returns the area of a popup of this width whose number of rows follows from the columns inside its border.
fn wrapped_popup(screen: Rect, width: u16, rows: impl FnOnce(u16) -> u16) -> Rect {
    let inside = frame::inside(popup(screen, width, 3));
    popup(screen, width, rows(inside.width).saturating_add(2))
}

/// Draws a text input in the first row of a box, with the cursor if it is focused, and returns the rows below it.
fn input_row(input: &TextInput, focused: bool, cx: &Cx, area: Rect, buffer: &mut Buffer) -> Rect {
    if area.is_empty() {
        return area;
    }
    let x = text::put(buffer, area.x + 1, area.y, area.width, "> ", cx.theme.style(Hue::Accent));
    let row = Rect { x, width: area.right().saturating_sub(x + 1), height: 1.min(area.height), ..area };
    input.draw(focused, cx.theme, row, buffer);
    Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }
}

/// Returns as many of the hints of a line, which two blanks separate, as fit into a number of columns.
fn fitting(hints: &str, columns: u16) -> String {
    let mut fitting = String::new();
    for hint in hints.split("  ") {
        let gap = if fitting.is_empty() { "" } else { "  " };
        if text::width(&fitting) + gap.len() + text::width(hint) > usize::from(columns) {
            break;
        }
        fitting.push_str(gap);
        fitting.push_str(hint);
    }
    fitting
}

/// Marks a row if it is selected.
fn mark_selected(selected: bool, cx: &Cx, row: Rect, buffer: &mut Buffer) {
    if selected {
        buffer.set_style(row.intersection(buffer.area), cx.theme.selected());
        text::put(buffer, row.x, row.y, 1, cx.theme.bar(), Style::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_that_do_not_fit_are_left_out_whole() {
        let hints = "space: choose  Enter: comment  Esc: close";
        assert_eq!(fitting(hints, 41), hints);
        assert_eq!(fitting(hints, 36), "space: choose  Enter: comment");
        assert_eq!(fitting(hints, 5), "");
    }
}
