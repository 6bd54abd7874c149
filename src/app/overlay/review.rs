//! Reviews of deployments that wait: the environments of one or several runs, a comment, and the answer.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::panes::{Cx, empty, keep_visible, live_version, motion};
use crate::app::state::AppState;
use crate::app::text_input::{MODIFIERS, TextInput};
use crate::model::feed::Request;
use crate::model::{Command, PendingReview, ReviewRefusal, RunId, Timestamp};
use crate::ui::text;
use crate::ui::theme::Hue;

use super::drawn::Drawn;
use super::{Hint, Outcome, fitting, input_row, mark_selected};

/// Key that approves. Enter approves only on the line of that answer, because Enter is pressed too easily.
const APPROVE: char = 'A';

/// Key that rejects.
const REJECT: char = 'X';

/// Rows that every box has below the environments: comment and answers, or the name to type.
const ROWS_BELOW: u16 = 3;

/// Further rows of a box with room for them, besides the versions of the focused environment: two empty ones, and the
/// hint.
const MORE_ROWS_BELOW: u16 = 3;

/// Maximum width of the names of environments in columns.
const NAMES: usize = 30;

/// The environments that wait, and the answer so far.
#[derive(Clone, Debug)]
pub(in crate::app) struct ReviewBox {
    runs: Vec<RunId>,
    rows: Vec<Row>,
    comment: TextInput,
    /// Index of the focused line: the environments, then the comment and the two answers.
    selected: usize,
    confirmation: Option<Confirmation>,
    /// Why the last answer was not sent, or why an environment cannot be chosen; `None` to show the hint.
    fault: Option<&'static str>,
    drawn: Drawn,
}

/// An environment of a run.
#[derive(Clone, Debug)]
struct Row {
    run: RunId,
    name: String,
    /// The version to deploy, and the live version.
    versions: String,
    review: PendingReview,
    /// Whether a review of the environment was sent and not yet confirmed.
    requested: bool,
    checked: bool,
}

/// A pending answer that the user confirms by typing the names of environments.
#[derive(Clone, Debug)]
struct Confirmation {
    approve: bool,
    /// Name to type now.
    name: String,
    /// Names to type after it.
    rest: Vec<String>,
    typed: TextInput,
}

impl Row {
    fn may_review(&self) -> bool {
        self.review.may_review() && !self.requested
    }

    /// Returns the rows of the versions in a box of this width.
    fn versions_in(&self, columns: u16) -> Vec<String> {
        text::wrap(&self.versions, usize::from(columns.saturating_sub(2)).max(1))
    }
}

/// Kind of a line of the box.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Environment(usize),
    Comment,
    Answer { approve: bool },
}

impl ReviewBox {
    /// Returns a box with the environments of these runs. If only one environment of a run can be reviewed, it is
    /// chosen.
    pub(in crate::app) fn new(state: &AppState, runs: Vec<RunId>) -> Self {
        let mut rows = rows(state, &runs);
        for run in &runs {
            let mut possible = rows.iter_mut().filter(|row| row.run == *run && row.may_review());
            if let (Some(only), None) = (possible.next(), possible.next()) {
                only.checked = true;
            }
        }
        let selected = rows.iter().position(Row::may_review).unwrap_or_default();
        Self {
            runs,
            rows,
            comment: TextInput::default(),
            selected,
            confirmation: None,
            fault: None,
            drawn: Drawn::default(),
        }
    }

    /// Updates the environments, because another person may have answered, or a timer may have ended. Ends the
    /// confirmation if one of its environments can no longer be chosen.
    pub(in crate::app) fn refresh(&mut self, state: &AppState) {
        let at = self.line();
        let before = std::mem::replace(&mut self.rows, rows(state, &self.runs));
        let same = |row: &Row| before.iter().find(|old| old.run == row.run && old.review.id == row.review.id);
        for row in &mut self.rows {
            row.checked = same(row).is_some_and(|old| old.checked) && row.may_review();
        }
        self.selected = match at {
            Line::Environment(index) => index.min(self.rows.len()),
            Line::Comment => self.rows.len(),
            Line::Answer { approve } => self.rows.len() + if approve { 1 } else { 2 },
        };
        let is_chosen = |name: &String| self.chosen().any(|row| row.review.environment == *name);
        if self.confirmation.as_ref().is_some_and(|asked| !is_chosen(&asked.name) || !asked.rest.iter().all(is_chosen))
        {
            self.confirmation = None;
            self.fault = Some("it no longer waits");
        }
    }

    /// Returns the number of rows without the border, inside a border of this width.
    pub(super) fn height(&self, columns: u16) -> u16 {
        let versions = self.rows.iter().map(|row| row.versions_in(columns).len()).max().unwrap_or_default();
        text::limited(self.rows.len().max(1) + versions) + ROWS_BELOW + MORE_ROWS_BELOW
    }

    /// Returns the numbers of chosen environments and of all, for the border.
    pub(super) fn status(&self) -> String {
        format!("{} of {} chosen", self.chosen().count(), self.rows.len())
    }

    fn chosen(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.checked)
    }

    fn line(&self) -> Line {
        match self.selected.checked_sub(self.rows.len()) {
            None => Line::Environment(self.selected),
            Some(0) => Line::Comment,
            Some(below) => Line::Answer { approve: below == 1 },
        }
    }

    /// Edits the focused text, chooses an environment on space, or answers. `None` for any other key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Outcome> {
        if let Some(text) = self.text() {
            return text.key(key).then_some(Outcome::Stays);
        }
        let KeyCode::Char(c) = key.code else { return None };
        match c {
            _ if key.modifiers.intersects(MODIFIERS) => None,
            ' ' => {
                self.choose();
                Some(Outcome::Stays)
            }
            APPROVE => Some(self.answer(true)),
            REJECT => Some(self.answer(false)),
            _ => None,
        }
    }

    pub(super) fn paste(&mut self, pasted: &str) {
        if let Some(text) = self.text() {
            text.insert(pasted);
        }
    }

    /// Returns the focused text input; `None` if another line is focused.
    fn text(&mut self) -> Option<&mut TextInput> {
        match (&mut self.confirmation, self.selected.checked_sub(self.rows.len())) {
            (Some(confirmation), _) => Some(&mut confirmation.typed),
            (None, Some(0)) => Some(&mut self.comment),
            (None, _) => None,
        }
    }

    /// Chooses the focused environment, or undoes the choice.
    fn choose(&mut self) {
        self.fault = None;
        let Line::Environment(index) = self.line() else { return };
        let Some(row) = self.rows.get_mut(index) else { return };
        if row.may_review() {
            row.checked = !row.checked;
        } else {
            self.fault = Some("it cannot be selected; its row has the reason");
        }
    }

    /// Returns the hints for the footer: the keys of the focused line.
    pub(super) fn hints(&self) -> &'static [Hint] {
        const CLOSE: Hint = Hint::Key(Action::Back, "close");
        match (&self.confirmation, self.line()) {
            (Some(_), _) => &[Hint::Key(Action::Open, "confirm"), Hint::Key(Action::Back, "back")],
            (None, Line::Environment(_)) => {
                &[Hint::Note("space", "choose"), Hint::Note("A", "approve"), Hint::Note("X", "reject"), CLOSE]
            }
            (None, Line::Comment) => &[Hint::Note("type", "a comment"), Hint::Key(Action::Open, "answer"), CLOSE],
            (None, Line::Answer { .. }) => {
                &[Hint::Key(Action::Open, "this answer"), Hint::Note("A", "approve"), Hint::Note("X", "reject"), CLOSE]
            }
        }
    }

    /// Leaves the confirmation. Returns `false` if none is shown.
    pub(super) fn back(&mut self) -> bool {
        self.confirmation.take().is_some()
    }

    pub(super) fn act(&mut self, action: Action, height: usize) -> Outcome {
        if self.confirmation.is_some() {
            return if action == Action::Open { self.confirm() } else { Outcome::Stays };
        }
        match (action, self.line()) {
            (Action::Open, Line::Answer { approve }) => return self.answer(approve),
            (Action::Open, Line::Environment(_)) => self.selected = self.rows.len(),
            (Action::Open, Line::Comment) => self.selected += 1,
            _ => self.selected = motion(action, self.selected, self.rows.len() + 3, height).unwrap_or(self.selected),
        }
        Outcome::Stays
    }

    /// Focuses the line that is drawn in a row of the screen. An environment is chosen, or its choice undone. An answer is
    /// given if its line is focused already.
    pub(super) fn click(&mut self, y: u16) -> Outcome {
        let Some(at) = self.drawn.at(y).filter(|_| self.confirmation.is_none()) else { return Outcome::Stays };
        let was_focused = std::mem::replace(&mut self.selected, at) == at;
        match self.line() {
            Line::Environment(_) => self.choose(),
            Line::Answer { approve } if was_focused => return self.answer(approve),
            Line::Comment | Line::Answer { .. } => {}
        }
        Outcome::Stays
    }

    /// Sends the answer, or first asks the user to type the names of production environments. Shows a fault if no
    /// environment is chosen.
    fn answer(&mut self, approve: bool) -> Outcome {
        if self.chosen().next().is_none() {
            self.fault = Some("choose an environment with space first");
            return Outcome::Stays;
        }
        let production = self.chosen().filter(|row| row.review.is_production());
        let mut names: Vec<String> = production.map(|row| row.review.environment.clone()).collect();
        names.sort_unstable();
        names.dedup();
        self.ask(approve, names)
    }

    /// Asks the user to type the first of these names; without names, sends the answer.
    fn ask(&mut self, approve: bool, mut names: Vec<String>) -> Outcome {
        self.fault = None;
        if names.is_empty() {
            return Outcome::Closes(self.requests(approve));
        }
        let name = names.remove(0);
        self.confirmation = Some(Confirmation { approve, name, rest: names, typed: TextInput::default() });
        Outcome::Stays
    }

    /// Continues with the next name if the typed name is the expected one. Otherwise shows that it does not match.
    fn confirm(&mut self) -> Outcome {
        let Some(asked) = self.confirmation.take_if(|asked| asked.typed.text().trim() == asked.name) else {
            self.fault = Some("the name does not match");
            return Outcome::Stays;
        };
        self.ask(asked.approve, asked.rest)
    }

    /// Returns one request for each run that has chosen environments.
    fn requests(&self, approve: bool) -> Vec<Effect> {
        let submit = |run: &RunId| {
            let environments: Vec<u64> = self.chosen().filter(|row| row.run == *run).map(|row| row.review.id).collect();
            let comment = self.comment.text().trim().to_owned();
            let command = Command::Review { environments, approve, comment };
            Effect::Request(Request::Submit { run: run.clone(), command })
        };
        let has_chosen = |run: &&RunId| self.chosen().any(|row| row.run == **run);
        self.runs.iter().filter(has_chosen).map(submit).collect()
    }

    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        let focused = self.selected.min(self.rows.len().saturating_sub(1));
        let mut versions = self.rows.get(focused).map_or_else(Vec::new, |row| row.versions_in(area.width));
        // What is approved, and why an answer was not sent, are more important than a list of all environments. The
        // hint repeats keys of the footer.
        let room = area.height.saturating_sub(ROWS_BELOW);
        let fault = u16::from(self.fault.is_some());
        let wanted = text::limited(versions.len()) + fault;
        let shown = text::limited(self.rows.len().max(1)).min(room.saturating_sub(wanted).max(1)).min(room);
        versions.truncate(usize::from((room - shown).saturating_sub(fault)));
        let spare = room - shown - text::limited(versions.len());
        let (has_hint, has_gaps) = (spare > 0, spare >= MORE_ROWS_BELOW);
        let list = Rect { height: shown, ..area };
        if self.rows.is_empty() {
            empty("nothing waits for a review any more", cx, list, buffer);
        }
        let offset = keep_visible(0, focused, self.rows.len(), usize::from(shown));
        let names = self.rows.iter().map(|row| text::width(&self.named(row))).max().unwrap_or_default().min(NAMES);
        self.drawn.clear();
        for ((index, row), y) in self.rows.iter().enumerate().skip(offset).zip(list.top()..list.bottom()) {
            let line = Rect { y, height: 1, ..area };
            self.drawn.push(y..y + 1, index);
            self.draw_row(row, names as u16, cx, line, buffer);
            mark_selected(self.is_on(Line::Environment(index)), cx, line, buffer);
        }
        let mut y = list.bottom() + u16::from(has_gaps);
        let mut line = || {
            let row = Rect { y, height: u16::from(y < area.bottom()), ..area };
            y += 1;
            row
        };
        for versions in &versions {
            put(versions, cx.theme.style(Hue::Dim), cx, line(), buffer);
        }
        if has_gaps {
            line();
        }
        if let Some(asked) = &self.confirmation {
            let verb = if asked.approve { "approve" } else { "reject" };
            put(&format!("Type {} to {verb} it:", asked.name), Style::new(), cx, line(), buffer);
            input_row(&asked.typed, true, cx, line(), buffer);
            if has_hint {
                line();
            }
            return self.hint(&format!("Enter: {verb}  Esc: back"), cx, line(), buffer);
        }
        let row = line();
        self.drawn.push(row.y..row.bottom(), self.rows.len());
        let style = if self.is_on(Line::Comment) { cx.theme.style(Hue::Accent) } else { Style::new() };
        if row.height > 0 {
            let x = text::put(buffer, row.x + 1, row.y, row.width.saturating_sub(1), "comment", style);
            let input = Rect { x, width: row.right().saturating_sub(x), ..row };
            input_row(&self.comment, self.is_on(Line::Comment), cx, input, buffer);
        }
        for (key, approve, label) in [(APPROVE, true, "approve"), (REJECT, false, "reject: the jobs that wait fail")] {
            let row = line();
            self.drawn.push(row.y..row.bottom(), self.rows.len() + if approve { 1 } else { 2 });
            if row.height > 0 {
                let x = text::put(buffer, row.x + 2, row.y, 1, &key.to_string(), cx.theme.style(Hue::Accent));
                text::put(buffer, x + 2, row.y, row.width.saturating_sub(5), label, Style::new());
                mark_selected(self.is_on(Line::Answer { approve }), cx, row, buffer);
            }
        }
        let hint = match self.line() {
            Line::Environment(_) => "space: choose  Enter: comment  Esc: close",
            Line::Comment => "Enter: answer  Esc: close",
            Line::Answer { .. } => "Enter: this answer  Esc: close",
        };
        self.hint(hint, cx, line(), buffer);
    }

    fn is_on(&self, line: Line) -> bool {
        self.confirmation.is_none() && self.line() == line
    }

    /// Returns the name of a row: the environment, after its run if there are several.
    fn named(&self, row: &Row) -> String {
        let environment = &row.review.environment;
        if self.runs.len() > 1 { format!("{} {environment}", row.name) } else { environment.clone() }
    }

    fn draw_row(&self, row: &Row, names: u16, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        let ellipsis = cx.theme.ellipsis();
        let dim = cx.theme.style(Hue::Dim);
        let (mark, style) = match (row.may_review(), row.checked) {
            (false, _) => (" - ", dim),
            (true, true) => ("[x]", Style::new()),
            (true, false) => ("[ ]", Style::new()),
        };
        let x = text::put(buffer, area.x + 1, area.y, 3, mark, style) + 1;
        let name = self.named(row);
        text::put(buffer, x, area.y, names, &text::clip_middle(&name, usize::from(names), ellipsis), style);
        let waited = row.review.waited(cx.state.now);
        let waited = if waited.as_secs() == 0 { String::new() } else { text::duration(waited) };
        let right = text::columns(&waited);
        let x = x + names + 2;
        let room = area.right().saturating_sub(x + right + 3);
        let shown = remark(row, cx.state.now);
        text::put(buffer, x, area.y, room, &text::clip(&shown, usize::from(room), ellipsis), dim);
        text::put(buffer, area.right().saturating_sub(right + 1), area.y, right, &waited, dim);
    }

    /// Draws why the last answer was not sent, else the hint.
    fn hint(&self, hint: &str, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        match self.fault {
            Some(fault) => put(fault, cx.theme.style(Hue::Bad), cx, area, buffer),
            None => put(&fitting(hint, area.width.saturating_sub(2)), cx.theme.style(Hue::Dim), cx, area, buffer),
        }
    }
}

/// Draws a line of text.
fn put(line: &str, style: Style, cx: &Cx, area: Rect, buffer: &mut Buffer) {
    let room = area.width.saturating_sub(2);
    if area.height > 0 {
        let shown = text::clip(line, usize::from(room), cx.theme.ellipsis());
        text::put(buffer, area.x + 1, area.y, room, &shown, style);
    }
}

/// Returns why an environment cannot be chosen, who reviews it, and when its timer ends.
fn remark(row: &Row, now: Timestamp) -> String {
    let refusal = row.review.refusal.as_ref().map(ReviewRefusal::to_string);
    let refusal = refusal.or_else(|| row.requested.then(|| "a review was sent".to_owned()));
    let reviewers = Some(row.review.reviewers.join(", ")).filter(|names| !names.is_empty());
    let timer = row.review.wait_until.map(|end| match end.since(now) {
        left if left.is_zero() => "its timer has ended".to_owned(),
        left => format!("its timer ends in {}", text::duration(left)),
    });
    [refusal, reviewers, timer].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Returns the environments of these runs that wait.
fn rows(state: &AppState, runs: &[RunId]) -> Vec<Row> {
    let summaries = runs.iter().filter_map(|run| state.summary(run));
    let rows = summaries.flat_map(|run| {
        run.reviews.iter().map(move |review| {
            let sent = |command: &Command| {
                matches!(command, Command::Review { environments, .. } if environments.contains(&review.id))
            };
            let live = live_version(state, run, &review.environment);
            let live = live.map_or_else(String::new, |live| format!("; {live} is live"));
            Row {
                run: run.info.id.clone(),
                name: run.name.clone(),
                versions: format!("deploys {} to {}{live}", run.info.version(), review.environment),
                review: review.clone(),
                requested: state.pending(&run.info.id).any(sent),
                checked: false,
            }
        })
    });
    rows.collect()
}
