//! A list with a fuzzy search.

use std::borrow::Cow;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::panes::{Cx, empty, keep_visible, motion};
use crate::app::text_input::TextInput;
use crate::model::lane::LaneRequest;
use crate::model::rollback::RollbackRequest;
use crate::model::stored::StoredFile;
use crate::model::{JobId, RunId};
use crate::store::logs::pattern::Pattern;
use crate::store::logs::query::LogKey;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::faults::Faults;
use super::form::Form;
use super::{Outcome, input_row, mark_selected};

/// A list to pick from.
#[derive(Clone, Debug)]
pub(in crate::app) struct Picker {
    pub(super) title: String,
    filter: TextInput,
    /// Whether `grep TEXT` is accepted, too.
    commands: bool,
    /// Kind of the rows if some of them arrive after the list was opened.
    later: Option<Later>,
    /// Label of each row, and its effect.
    rows: Vec<(String, Pick)>,
    /// Index of the selected row among the matching rows.
    selected: usize,
}

/// Rows that arrive after the list was opened.
#[derive(Clone, Copy, Debug)]
struct Later {
    rows: LaterRows,
    has_arrived: bool,
}

/// Kind of rows that arrive later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::app) enum LaterRows {
    /// Workflows that can be started. The list grows as servers report theirs.
    Starts,
    /// Artifacts and cache entries.
    Stored,
}

impl Later {
    /// Returns the text that an empty list shows.
    fn empty(self) -> &'static str {
        match (self.rows, self.has_arrived) {
            (LaterRows::Starts, false) => "asking servers for their workflows",
            (LaterRows::Starts, true) => "no workflow to start",
            (LaterRows::Stored, false) => "looking for artifacts and caches",
            (LaterRows::Stored, true) => "the run has no artifacts, and its repository no caches",
        }
    }
}

/// Effect of a picked row.
#[derive(Clone, Debug)]
pub(in crate::app) enum Pick {
    /// Carries out the action.
    Act(Action),
    /// Opens the form.
    Fill(Form),
    /// Shows the errors of a workflow.
    Faults(Faults),
    /// Selects the run.
    Run(RunId),
    /// Selects the job.
    Job(JobId),
    /// Requests a preview of a rollback.
    RollBack {
        /// The repository: `HOST/OWNER/REPO`.
        repository: String,
        request: RollbackRequest,
    },
    /// Acts on an environment of this machine.
    Lane(LaneRequest),
    /// Opens the dialog that asks what to do with a stored file of the run.
    Stored(RunId, StoredFile),
    /// Starts watch mode for this workflow, or for all.
    Watch(Option<String>),
    /// Searches all logs of the run for the text.
    SearchRun(String),
    /// Goes to a line of a log.
    Line {
        log: LogKey,
        /// Number of the line, from 0.
        line: u64,
        /// The pattern that the line matched.
        pattern: Pattern,
    },
}

impl Picker {
    pub(in crate::app) fn new(title: &str, rows: Vec<(String, Pick)>) -> Self {
        Self { title: title.to_owned(), filter: TextInput::default(), commands: false, later: None, rows, selected: 0 }
    }

    /// Makes the picker accept a typed command, too: `grep TEXT`.
    pub(in crate::app) fn with_commands(self) -> Self {
        Self { commands: true, ..self }
    }

    /// Sets the kind of the rows that arrive after the list was opened.
    pub(in crate::app) fn with_later(self, rows: LaterRows) -> Self {
        Self { later: Some(Later { rows, has_arrived: false }), ..self }
    }

    /// Replaces the rows if they are of this kind.
    pub(in crate::app) fn refill(&mut self, kind: LaterRows, rows: Vec<(String, Pick)>) {
        if let Some(later) = self.later.as_mut().filter(|later| later.rows == kind) {
            later.has_arrived = true;
            self.rows = rows;
            self.selected = self.selected.min(self.rows.len().saturating_sub(1));
        }
    }

    /// Whether the list still waits for rows of this kind.
    pub(in crate::app) fn awaits(&self, kind: LaterRows) -> bool {
        self.later.is_some_and(|later| later.rows == kind && !later.has_arrived)
    }

    /// Returns the number of rows, including those that do not match.
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let edits = self.filter.key(key);
        if edits {
            self.selected = 0;
        }
        edits
    }

    pub(super) fn paste(&mut self, text: &str) {
        self.filter.insert(text);
        self.selected = 0;
    }

    pub(super) fn act(&mut self, action: Action, height: usize) -> Outcome {
        let matching = self.matching();
        if action == Action::Open {
            let picked = matching.get(self.selected).map(|row| row.1.clone());
            return picked.map_or(Outcome::Stays, Outcome::Picked);
        }
        // One row is for the text input.
        let rows = height.saturating_sub(1);
        self.selected = motion(action, self.selected, matching.len(), rows).unwrap_or(self.selected);
        Outcome::Stays
    }

    /// Returns the rows that contain the letters of the filter in order, the best match first. A typed command replaces
    /// the rows.
    fn matching(&self) -> Vec<Cow<'_, (String, Pick)>> {
        if let Some(command) = command(self.filter.text()).filter(|_| self.commands) {
            return vec![Cow::Owned(command)];
        }
        let mut rows: Vec<_> =
            self.rows.iter().filter_map(|row| Some((score(self.filter.text(), &row.0)?, row))).collect();
        rows.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        rows.into_iter().map(|(_, row)| Cow::Borrowed(row)).collect()
    }

    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        let list = input_row(&self.filter, true, cx, area, buffer);
        let rows = self.matching();
        if rows.is_empty() {
            let why = self.later.filter(|_| self.rows.is_empty()).map_or("no matches", Later::empty);
            empty(why, cx, list, buffer);
        }
        let offset = keep_visible(0, self.selected, rows.len(), usize::from(list.height));
        for ((at, row), y) in rows.iter().enumerate().skip(offset).zip(list.y..list.bottom()) {
            let shown = text::clip(&row.0, usize::from(area.width.saturating_sub(4)), cx.theme.ellipsis());
            let style = if matches!(row.1, Pick::Faults(_)) { cx.theme.style(Hue::Bad) } else { Style::new() };
            text::put(buffer, area.x + 2, y, area.width.saturating_sub(3), &shown, style);
            mark_selected(at == self.selected, cx, Rect { y, height: 1, ..area }, buffer);
        }
    }
}

/// Returns the row of a typed command, `grep TEXT`; `None` if the text is not a command.
fn command(typed: &str) -> Option<(String, Pick)> {
    let text = typed.strip_prefix("grep ").map(str::trim_start).filter(|text| !text.is_empty())?;
    Some((format!("find {text} in the logs of all steps"), Pick::SearchRun(text.to_owned())))
}

/// Scores how well a text matches the typed letters; a higher score is better. `None` if the text does not contain the
/// letters in order. Contiguous letters score best, above all at the start of a word.
fn score(typed: &str, text: &str) -> Option<i32> {
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<char>>();
    let (typed, text) = (lower(typed), lower(text));
    let typed: Vec<char> = typed.into_iter().filter(|c| *c != ' ').collect();
    let (mut score, mut next, mut last) = (0, 0, None);
    for wanted in typed {
        let starts = |at: usize| at == 0 || !text[at - 1].is_alphanumeric();
        let found = |at: &usize| text[*at] == wanted;
        // The position right after the previous letter, else a start of a word, else any position.
        let at = (next..text.len().min(next + 1)).find(|at| last.is_some() && found(at));
        let at = at.or_else(|| (next..text.len()).find(|at| found(at) && starts(*at)));
        let at = at.or_else(|| (next..text.len()).find(found))?;
        score += if last == at.checked_sub(1) && last.is_some() { 5 } else { 0 } + if starts(at) { 3 } else { 0 };
        score -= i32::from(last.is_none() && at > 0);
        (next, last) = (at + 1, Some(at));
    }
    Some(score)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_found_in_their_order_and_whole_words_score_best() {
        for (typed, text, found) in
            [("", "ci.yml", true), ("cpush", "ci.yml  push", true), ("PU", "push", true), ("hsup", "push", false)]
        {
            assert_eq!(score(typed, text).is_some(), found, "{typed} in {text}");
        }
        let best = |typed: &str, texts: &[&str]| {
            let best = texts.iter().max_by_key(|text| score(typed, text));
            best.map(|text| (*text).to_owned())
        };
        assert_eq!(best("stop", &["job Shared top", "stop  cancel the run"]).as_deref(), Some("stop  cancel the run"));
        assert_eq!(best("ts", &["job Contests", "job Test Scan"]).as_deref(), Some("job Test Scan"));
    }
}
