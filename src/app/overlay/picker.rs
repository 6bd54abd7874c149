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
use crate::model::{JobId, RunId, Timestamp};
use crate::store::logs::pattern::Pattern;
use crate::store::logs::query::LogKey;
use crate::ui::frame::Scroll;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::drawn::Drawn;
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
    /// What the list is for, if its rows are releases of an environment of this machine.
    releases: Option<ReleasesOf>,
    rows: Vec<PickRow>,
    /// Text at the bottom while the selected row has none, and in place of the rows if there are none; may be empty.
    note: String,
    /// Why what was picked last does not exist, until the text is edited; `None` if it exists or nothing was picked.
    fault: Option<String>,
    /// Index of the selected row among the matching rows; `None` if no row is selected.
    selected: Option<usize>,
    /// Index of the row that is selected while nothing is typed; `None` to select none.
    preferred: Option<usize>,
    /// Whether the user has selected the row.
    has_moved: bool,
    drawn: Drawn,
}

/// Purpose of a list of releases, with the name of the environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::app) enum ReleasesOf {
    /// Deploy one of them, or any other release that is typed.
    Deploy(String),
    /// Go back to one of them. The list was opened at this time: what still runs is known from a target that was asked since.
    RollBack(String, Timestamp),
}

/// A row of a list to pick from.
#[derive(Clone, Debug)]
pub(in crate::app) struct PickRow {
    name: String,
    /// Description in a second column; may be empty.
    about: String,
    /// Key that does the same, or the age of the row, at the right edge; may be empty.
    key: String,
    /// Text at the bottom of the list while the row is selected; may be empty.
    note: String,
    pick: Pick,
}

impl From<(String, Pick)> for PickRow {
    fn from((name, pick): (String, Pick)) -> Self {
        Self { name, about: String::new(), key: String::new(), note: String::new(), pick }
    }
}

impl PickRow {
    pub(in crate::app) fn new(name: impl Into<String>, about: impl Into<String>, pick: Pick) -> Self {
        Self { about: about.into(), ..Self::from((name.into(), pick)) }
    }

    /// Shows a key or an age at the end of the row.
    pub(in crate::app) fn with_key(self, key: impl Into<String>) -> Self {
        Self { key: key.into(), ..self }
    }

    /// Shows a text at the bottom of the list while the row is selected.
    pub(in crate::app) fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Whether a word of the name is this text.
    fn is_named(&self, text: &str) -> bool {
        self.name.split(' ').any(|word| word == text)
    }

    /// Whether the name contains this text, in any case.
    fn is_named_like(&self, text: &str) -> bool {
        self.name.to_lowercase().contains(&text.to_lowercase())
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
        Self {
            title: title.to_owned(),
            filter: TextInput::default(),
            commands: false,
            later: None,
            releases: None,
            rows,
            note: String::new(),
            fault: None,
            selected: Some(0),
            preferred: Some(0),
            has_moved: false,
            drawn: Drawn::default(),
        }
    }

    /// Sets what the list is for. Its rows are releases.
    pub(in crate::app) fn of_releases(self, releases: ReleasesOf) -> Self {
        Self { releases: Some(releases), ..self }
    }

    /// Returns what the list is for, if its rows are releases.
    pub(super) fn releases(&self) -> Option<&ReleasesOf> {
        self.releases.as_ref()
    }

    /// Whether the list is for a deployment, so that any release can be typed.
    pub(in crate::app) fn deploys(&self) -> bool {
        matches!(self.releases, Some(ReleasesOf::Deploy(_)))
    }

    /// Shows why what was picked does not exist, until the text is edited.
    pub(super) fn refuse(&mut self, reason: String) {
        self.fault = Some(reason);
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
            let last = self.rows.len().saturating_sub(1);
            self.selected = self.selected.map(|at| at.min(last));
        }
    }

    /// Replaces the rows and the text at the bottom. A row that the user has selected stays selected if it is still
    /// there; otherwise the first row that matches the filter is selected, or without a filter the row with the index
    /// `preferred`. With `None`, Enter does nothing until the user selects a row.
    pub(super) fn replace(&mut self, rows: Vec<PickRow>, preferred: Option<usize>, note: String) {
        let moved_to = self.selected.filter(|_| self.has_moved);
        let kept = moved_to.and_then(|at| Some(self.matching().get(at)?.pick.clone()));
        (self.rows, self.preferred, self.note) = (rows, preferred, note);
        let is_same = |row: &PickRow| match (&row.pick, &kept) {
            (Pick::Lane(one), Some(Pick::Lane(other))) => one == other,
            _ => false,
        };
        let kept = self.matching().iter().position(|row| is_same(row));
        self.selected = kept.or_else(|| self.first_selected());
    }

    /// Returns the index of the row that is selected before the user selects one.
    fn first_selected(&self) -> Option<usize> {
        if self.filter.text().is_empty() { self.preferred } else { Some(0) }
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
            self.edited();
        }
        edits
    }

    pub(super) fn paste(&mut self, text: &str) {
        self.filter.insert(text);
        self.edited();
    }

    /// Selects again what is selected before the user selects a row, and forgets why the former text was refused.
    fn edited(&mut self) {
        (self.selected, self.has_moved, self.fault) = (self.first_selected(), false, None);
    }

    pub(super) fn act(&mut self, action: Action, height: usize) -> Outcome {
        let matching = self.matching();
        if action == Action::Open {
            let picked = self.selected.and_then(|at| Some(matching.get(at)?.pick.clone()));
            return picked.map_or(Outcome::Stays, Outcome::Picked);
        }
        // One row is for the text input.
        let rows = height.saturating_sub(1 + self.below());
        if let Some(to) = motion(action, self.selected.unwrap_or_default(), matching.len(), rows) {
            // From no row, the first step down leads to the first row.
            let to = if self.selected.is_none() && action == Action::Down { 0 } else { to };
            (self.selected, self.has_moved) = (Some(to), true);
        }
        Outcome::Stays
    }

    /// Selects the row that is drawn in a row of the screen, or picks it if it is selected.
    pub(super) fn click(&mut self, y: u16) -> Outcome {
        let Some(at) = self.drawn.at(y) else { return Outcome::Stays };
        if self.selected == Some(at) {
            return self.act(Action::Open, 0);
        }
        (self.selected, self.has_moved) = (Some(at), true);
        Outcome::Stays
    }

    /// Returns the number of rows below the list: one if there is a text at the bottom.
    fn below(&self) -> usize {
        usize::from(self.fault.is_some() || !self.note.is_empty() || self.rows.iter().any(|row| !row.note.is_empty()))
    }

    /// Returns the row that deploys the typed release; `None` if nothing is typed, or if a row has this name.
    fn typed_release(&self) -> Option<PickRow> {
        let Some(ReleasesOf::Deploy(environment)) = &self.releases else { return None };
        let typed = self.filter.text().trim();
        if typed.is_empty() || self.rows.iter().any(|row| row.is_named(typed)) {
            return None;
        }
        let plan = LaneRequest::Plan { environment: environment.clone(), release: typed.to_owned() };
        Some(PickRow::new(typed, "deploy the tag, branch or commit of this name", Pick::Lane(plan)))
    }

    /// Returns the rows whose names contain the letters of the filter in order, or whose descriptions contain its words,
    /// the best match first. A typed command replaces the rows. In a list of releases to deploy, which stay in their
    /// order, rows match by words only. The row for the typed release is the first one if the text is a part of another
    /// name, so that Enter never deploys `v1.9` if `v1` was typed. Otherwise it is the last one, because the
    /// text is then a word of a description.
    fn matching(&self) -> Vec<Cow<'_, PickRow>> {
        if let Some(command) = command(self.filter.text()).filter(|_| self.commands) {
            return vec![Cow::Owned(command.into())];
        }
        let typed = self.filter.text();
        let by_words =
            |row: &PickRow| text::holds(typed, &[&row.name, &row.about]).then(|| i32::from(row.is_named(typed.trim())));
        let score = |row: &PickRow| if self.deploys() { by_words(row) } else { row.score(typed) };
        let mut rows: Vec<_> = self.rows.iter().filter_map(|row| Some((score(row)?, row))).collect();
        rows.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        let mut rows: Vec<_> = rows.into_iter().map(|(_, row)| Cow::Borrowed(row)).collect();
        if let Some(release) = self.typed_release() {
            let is_part = rows.iter().any(|row| row.is_named_like(typed.trim()));
            rows.insert(if is_part { 0 } else { rows.len() }, Cow::Owned(release));
        }
        rows
    }

    /// Draws the list. Returns its visible part.
    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) -> Scroll {
        let list = input_row(&self.filter, true, cx, area, buffer);
        let rows = self.matching();
        if rows.is_empty() {
            let note = Some(self.note.as_str()).filter(|note| !note.is_empty());
            let why = self.later.map(Later::empty).or(note).filter(|_| self.rows.is_empty());
            empty(why.unwrap_or("no matches"), cx, list, buffer);
        }
        let list = self.draw_note(&rows, cx, list, buffer);
        let columns = |column: fn(&PickRow) -> &str, rows: &[Cow<'_, PickRow>]| {
            rows.iter().map(|row| text::columns(column(row))).max().unwrap_or_default()
        };
        let room = list.width.saturating_sub(4);
        let keys = columns(|row| &row.key, &rows).min(room / 4);
        // Names without a description take the whole row.
        let names = columns(|row| if row.about.is_empty() { "" } else { &row.name }, &rows).min(room / 2);
        let offset = keep_visible(0, self.selected.unwrap_or_default(), rows.len(), usize::from(list.height));
        self.drawn.clear();
        for ((at, row), y) in rows.iter().enumerate().skip(offset).zip(list.y..list.bottom()) {
            self.drawn.push(y..y + 1, at);
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
            mark_selected(Some(at) == self.selected, cx, Rect { y, height: 1, ..area }, buffer);
        }
        Scroll { first: offset, shown: list.height.into(), all: rows.len() }
    }

    /// Draws the text of the selected row, or that of the list, in the last row of an area. Returns the rows above it.
    fn draw_note(&self, rows: &[Cow<'_, PickRow>], cx: &Cx, area: Rect, buffer: &mut Buffer) -> Rect {
        // A list of one row is of more use than its description.
        if self.below() == 0 || area.height < 2 {
            return area;
        }
        let selected = self.selected.and_then(|at| rows.get(at));
        let note = selected.map(|row| row.note.as_str()).filter(|note| !note.is_empty());
        let note = note.or((!rows.is_empty()).then_some(self.note.as_str())).map(|note| (note, Hue::Dim));
        if let Some((note, hue)) = self.fault.as_deref().map(|fault| (fault, Hue::Bad)).or(note) {
            let room = area.width.saturating_sub(4);
            let note = text::clip(note, usize::from(room), cx.theme.ellipsis());
            text::put(buffer, area.x + 2, area.bottom() - 1, room, &note, cx.theme.style(hue));
        }
        Rect { height: area.height - 1, ..area }
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
    fn a_release_that_is_not_listed_can_be_typed() {
        let plan = |release: &str| {
            Pick::Lane(LaneRequest::Plan { environment: "staging".to_owned(), release: release.to_owned() })
        };
        let rows = [("v1.4.3 332e342", "(main) Fix the cart"), ("v1.4.2 322e342", "Add a map")];
        let rows = rows.map(|(name, about)| PickRow::new(name, about, plan(name)));
        let mut picker = Picker::new("Deploy", rows).of_releases(ReleasesOf::Deploy("staging".to_owned()));
        let mut names = |typed: &str| {
            picker.filter.clear();
            picker.paste(typed);
            picker.matching().iter().map(|row| row.name.clone()).collect::<Vec<_>>()
        };
        for (typed, expected) in [
            ("", vec!["v1.4.3 332e342", "v1.4.2 322e342"]),
            ("cart", vec!["v1.4.3 332e342", "cart"]),
            ("v1.4.2", vec!["v1.4.2 322e342"]),
            // The tags may have left out this one.
            ("v1", vec!["v1", "v1.4.3 332e342", "v1.4.2 322e342"]),
            ("V1.4", vec!["V1.4", "v1.4.3 332e342", "v1.4.2 322e342"]),
            ("322e", vec!["322e", "v1.4.2 322e342"]),
            ("topic", vec!["topic"]),
            ("vcart", vec!["vcart"]),
        ] {
            assert_eq!(names(typed), expected, "{typed}");
        }
    }

    #[test]
    fn without_a_preferred_row_enter_does_nothing_until_one_is_selected() {
        let rows =
            || ["v1.4.3", "v1.4.2"].map(|name| PickRow::new(name, "", Pick::Watch(Some(name.to_owned())))).to_vec();
        let mut picker = Picker::new("Deploy", rows());
        picker.replace(rows(), None, "select a release".to_owned());
        let picked = |picker: &mut Picker| match picker.act(Action::Open, 9) {
            Outcome::Picked(Pick::Watch(name)) => name,
            _ => None,
        };
        assert_eq!(picked(&mut picker), None);
        picker.act(Action::Down, 9);
        assert_eq!(picked(&mut picker).as_deref(), Some("v1.4.3"));
        picker.act(Action::Down, 9);
        assert_eq!(picked(&mut picker).as_deref(), Some("v1.4.2"));
        picker.paste("v1.4.2");
        assert_eq!(picked(&mut picker).as_deref(), Some("v1.4.2"));
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
