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
use crate::ui::frame::Scroll;
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
    rows: Vec<PickRow>,
    /// Index of the selected row among the matching rows.
    selected: usize,
}

/// A row of a list to pick from.
#[derive(Clone, Debug)]
pub(in crate::app) struct PickRow {
    name: String,
    /// Description in a second column; may be empty.
    about: String,
    /// Key that does the same, at the right edge; may be empty.
    key: String,
    pick: Pick,
}

impl From<(String, Pick)> for PickRow {
    fn from((name, pick): (String, Pick)) -> Self {
        Self { name, about: String::new(), key: String::new(), pick }
    }
}

impl PickRow {
    pub(in crate::app) fn new(name: impl Into<String>, about: impl Into<String>, pick: Pick) -> Self {
        Self { about: about.into(), ..Self::from((name.into(), pick)) }
    }

    /// Shows a key at the end of the row.
    pub(in crate::app) fn with_key(self, key: impl Into<String>) -> Self {
        Self { key: key.into(), ..self }
    }

    /// Scores how well the row matches the typed text: by the letters of its name, else by the words of its description.
    /// A higher score is better. `None` if it does not match.
    fn score(&self, typed: &str) -> Option<i32> {
        /// Below the score of every name.
        const BY_WORDS: i32 = -10_000;
        score(typed, &self.name).or_else(|| text::holds(typed, &[&self.name, &self.about]).then_some(BY_WORDS))
    }
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
    /// Opens the list of releases that this environment of this machine can go back to.
    Environment(String),
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
    pub(in crate::app) fn new(title: &str, rows: impl IntoIterator<Item = impl Into<PickRow>>) -> Self {
        let rows = rows.into_iter().map(Into::into).collect();
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
    pub(in crate::app) fn refill(&mut self, kind: LaterRows, rows: Vec<PickRow>) {
        if let Some(later) = self.later.as_mut().filter(|later| later.rows == kind) {
            later.has_arrived = true;
            self.rows = rows;
            self.selected = self.selected.min(self.rows.len().saturating_sub(1));
        }
    }

    /// Whether the list has the releases that an environment of this machine can go back to.
    pub(super) fn rolls_back(&self, name: &str) -> bool {
        let row = self.rows.first().map(|row| &row.pick);
        matches!(row, Some(Pick::Lane(LaneRequest::PlanRollback { environment, .. })) if environment == name)
    }

    /// Replaces the rows. A row that the user has moved to stays selected if it is still there.
    pub(super) fn replace(&mut self, rows: Vec<PickRow>) {
        let selected = self.matching().get(self.selected).filter(|_| self.selected > 0).map(|row| row.pick.clone());
        self.rows = rows;
        let is_same = |row: &PickRow| match (&row.pick, &selected) {
            (Pick::Lane(one), Some(Pick::Lane(other))) => one == other,
            _ => false,
        };
        self.selected = self.matching().iter().position(|row| is_same(row)).unwrap_or_default();
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
            let picked = matching.get(self.selected).map(|row| row.pick.clone());
            return picked.map_or(Outcome::Stays, Outcome::Picked);
        }
        // One row is for the text input.
        let rows = height.saturating_sub(1);
        self.selected = motion(action, self.selected, matching.len(), rows).unwrap_or(self.selected);
        Outcome::Stays
    }

    /// Returns the rows whose names contain the letters of the filter in order, or whose descriptions contain its words,
    /// the best match first. A typed command replaces the rows.
    fn matching(&self) -> Vec<Cow<'_, PickRow>> {
        if let Some(command) = command(self.filter.text()).filter(|_| self.commands) {
            return vec![Cow::Owned(command.into())];
        }
        let mut rows: Vec<_> = self.rows.iter().filter_map(|row| Some((row.score(self.filter.text())?, row))).collect();
        rows.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        rows.into_iter().map(|(_, row)| Cow::Borrowed(row)).collect()
    }

    /// Draws the list. Returns its visible part.
    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) -> Scroll {
        let list = input_row(&self.filter, true, cx, area, buffer);
        let rows = self.matching();
        if rows.is_empty() {
            let why = self.later.filter(|_| self.rows.is_empty()).map_or("no matches", Later::empty);
            empty(why, cx, list, buffer);
        }
        let columns = |column: fn(&PickRow) -> &str, rows: &[Cow<'_, PickRow>]| {
            rows.iter().map(|row| text::columns(column(row))).max().unwrap_or_default()
        };
        let room = list.width.saturating_sub(4);
        let keys = columns(|row| &row.key, &rows).min(room / 4);
        // Names without a description take the whole row.
        let names = columns(|row| if row.about.is_empty() { "" } else { &row.name }, &rows).min(room / 2);
        let offset = keep_visible(0, self.selected, rows.len(), usize::from(list.height));
        for ((at, row), y) in rows.iter().enumerate().skip(offset).zip(list.y..list.bottom()) {
            let ellipsis = cx.theme.ellipsis();
            let mut put = |x: u16, room: u16, text: &str, style: Style| {
                let x = area.x + 2 + x;
                text::put(buffer, x, y, room, &text::clip(text, usize::from(room), ellipsis), style);
            };
            let style = if matches!(row.pick, Pick::Faults(_)) { cx.theme.style(Hue::Bad) } else { Style::new() };
            let key_room = if keys == 0 { 0 } else { keys + 2 };
            if row.about.is_empty() {
                put(0, room - key_room, &row.name, style);
            } else {
                put(0, names, &row.name, style);
                put(names + 2, room.saturating_sub(names + 2 + key_room), &row.about, cx.theme.style(Hue::Dim));
            }
            let key = text::columns(&row.key).min(keys);
            put(room - key, key, &row.key, cx.theme.style(Hue::Accent));
            mark_selected(at == self.selected, cx, Rect { y, height: 1, ..area }, buffer);
        }
        Scroll { first: offset, shown: list.height.into(), all: rows.len() }
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
        assert_eq!(best("stop", &["job Shared top", "stop"]).as_deref(), Some("stop"));
        assert_eq!(best("ts", &["job Contests", "job Test Scan"]).as_deref(), Some("job Test Scan"));
    }

    #[test]
    fn names_match_by_letters_and_descriptions_by_words() {
        let row = PickRow::new("stop", "cancel the run; while it stops: kill it", Pick::Watch(None));
        for (typed, found) in [("stp", true), ("cancel", true), ("canc run", true), ("cnl", false), ("ancel", false)] {
            assert_eq!(row.score(typed).is_some(), found, "{typed}");
        }
        assert!(row.score("stop") > row.score("cancel"));
    }
}
