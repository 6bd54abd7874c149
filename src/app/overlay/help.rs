//! Searchable help: the keys of a panel, and the keys that are active in every panel, under headings.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::{ACTIONS, Action, Context, Entry};
use crate::app::availability::{Subject, unavailable};
use crate::app::keymap::{Keymap, Sequence};
use crate::app::panes::{Cx, motion};
use crate::app::state::AppState;
use crate::app::text_input::TextInput;
use crate::model::JobState;
use crate::model::capabilities::Unavailable;
use crate::ui::frame::Scroll;
use crate::ui::layout::PANELS;
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

use super::input_row;

/// Maximum width of the column of keys.
const KEYS: u16 = 17;

/// Minimum width of the help for all keys of an action. With less, only the first is shown.
const ALL_KEYS: u16 = 70;

/// Minimum width of the column of descriptions. With less, a description is below its key and name.
const MIN_DOC: u16 = 24;

/// What the signs in the header mean.
const SIGNS: [&str; 4] = [
    "main@3f2c1ab+2: branch and commit, and the number of files that differ from the commit in what ran",
    "!2: 2 errors were reported by steps of the run; `next-error` goes to them",
    "1 to review: a run or a deployment waits for a review; `review` answers it",
    "~2m left: the rest of the time that the last successful runs took",
];

/// Returns what the signs of jobs mean, which their rows and the counts in a narrow border have in place of words.
fn states(theme: Theme) -> String {
    let named = |state: JobState| format!("{} {}", theme.look(&state.phase()).glyph, state.word());
    JobState::ALL.map(named).join(", ")
}

/// A line of the help: texts with their columns and styles.
type Line = Vec<(u16, String, Style)>;

/// The help for a panel.
#[derive(Clone, Debug)]
pub(in crate::app) struct Help {
    context: Context,
    /// Actions for what is selected in the panel, each with what it does there.
    hints: Vec<(Action, &'static str)>,
    filter: TextInput,
    /// First row on the screen.
    offset: usize,
}

/// A row of the help.
enum Row {
    Heading(String),
    Blank,
    Note(String),
    Key {
        keys: Vec<String>,
        name: &'static str,
        doc: &'static str,
        /// Why the action is unavailable; `None` if it is available.
        reason: Option<Unavailable>,
    },
}

impl Help {
    pub(super) fn new(context: Context, hints: Vec<(Action, &'static str)>) -> Self {
        Self { context, hints, filter: TextInput::default(), offset: 0 }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let edits = self.filter.key(key);
        if edits {
            self.offset = 0;
        }
        edits
    }

    pub(super) fn paste(&mut self, text: &str) {
        self.filter.insert(text);
        self.offset = 0;
    }

    pub(super) fn act(&mut self, action: Action, height: usize) {
        // One row is for the text input. The end of the list is found when it is laid out.
        if let Some(to) = motion(action, self.offset, usize::MAX, height.saturating_sub(1)) {
            self.offset = to;
        }
    }

    /// Keeps the offset within the list after a change.
    pub(in crate::app) fn sync(&mut self, rows: usize, area: Rect) {
        // One row is for the text input.
        self.offset = self.offset.min(rows.saturating_sub(usize::from(area.height.saturating_sub(1))));
    }

    /// Returns the number of rows of the list in an area.
    pub(in crate::app) fn height(&self, cx: &Cx, keymap: &Keymap, subject: Subject<'_>, area: Rect) -> usize {
        self.lines(cx, keymap, subject, area.width).len()
    }

    pub(super) fn title(&self) -> String {
        format!("Keys: {}", self.context.name())
    }

    /// Draws the help. Returns the visible part of its list.
    pub(super) fn draw(
        &self,
        cx: &Cx,
        keymap: &Keymap,
        subject: Subject<'_>,
        area: Rect,
        buffer: &mut Buffer,
    ) -> Scroll {
        let list = input_row(&self.filter, true, cx, area, buffer);
        let lines = self.lines(cx, keymap, subject, list.width);
        if lines.is_empty() {
            let dim = cx.theme.style(Hue::Dim);
            text::put(buffer, list.x + 1, list.y, list.width.saturating_sub(2), "no matches", dim);
        }
        let (shown, all) = (usize::from(list.height), lines.len());
        for (line, y) in lines.iter().skip(self.offset).zip(list.y..list.bottom()) {
            for (x, text, style) in line {
                text::put(buffer, list.x + x, y, list.width.saturating_sub(*x), text, *style);
            }
        }
        Scroll { first: self.offset, shown, all }
    }

    /// Lays out the rows in a width. Texts that are too long for their columns continue in further lines.
    fn lines(&self, cx: &Cx, keymap: &Keymap, subject: Subject<'_>, width: u16) -> Vec<Line> {
        let rows = self.rows(cx, keymap, subject);
        let dim = cx.theme.style(Hue::Dim);
        let joined = |keys: &[String]| match keys {
            [] => "(no key)".to_owned(),
            [first, ..] if width < ALL_KEYS => first.clone(),
            all => all.join(", "),
        };
        let widest = |column: &dyn Fn(&Row) -> usize| text::limited(rows.iter().map(column).max().unwrap_or_default());
        let keys_width = widest(&|row| match row {
            Row::Key { keys, .. } => text::width(&joined(keys)),
            _ => 0,
        });
        let keys_width = keys_width.min(KEYS);
        let names_width = widest(&|row| match row {
            Row::Key { name, .. } => text::width(name),
            _ => 0,
        });
        let (names_at, beside) = (keys_width + 3, keys_width + names_width + 5);
        let is_below = width < beside + 1 + MIN_DOC;
        let docs_at = if is_below { 3 } else { beside };
        let wrapped = |text: &str, at: u16| text::wrap(text, usize::from(width.saturating_sub(at + 1).max(1)));
        let mut lines = Vec::new();
        for row in rows {
            match row {
                Row::Blank => lines.push(Vec::new()),
                Row::Note(note) => lines.extend(wrapped(&note, 1).into_iter().map(|note| vec![(1, note, dim)])),
                Row::Heading(heading) => lines.push(vec![(1, heading, cx.theme.heading())]),
                Row::Key { keys, name, doc, reason } => {
                    let (key_style, style) =
                        if reason.is_some() { (dim, dim) } else { (cx.theme.style(Hue::Accent), Style::new()) };
                    let doc = reason.map_or_else(|| doc.to_owned(), |reason| format!("{doc} ({reason})"));
                    let keys = text::wrap(&joined(&keys), usize::from(keys_width.max(1)));
                    let docs = wrapped(&doc, docs_at);
                    let first_doc = if is_below { keys.len() } else { 0 };
                    let mut row: Vec<Line> = vec![Vec::new(); keys.len().max(first_doc + docs.len())];
                    for (line, keys) in row.iter_mut().zip(keys) {
                        line.push((1, keys, key_style));
                    }
                    for (line, doc) in row.iter_mut().skip(first_doc).zip(docs) {
                        line.push((docs_at, doc, style));
                    }
                    row[0].push((names_at, name.to_owned(), dim));
                    lines.extend(row);
                }
            }
        }
        lines
    }

    /// Returns the actions of the panel, first those of its hints, then those of every panel and, in a replay, those of
    /// the replay, each under a heading, then what the signs mean. With a filter, these are the actions that match it by
    /// key, name or description, those of the other panels, and the signs that match it.
    fn rows(&self, cx: &Cx, keymap: &Keymap, subject: Subject<'_>) -> Vec<Row> {
        let state = cx.state;
        let of = |context: Context| move |entry: &&Entry| entry.contexts.contains(&context);
        let here = (format!("Here: {}", self.context.name()), self.context, false);
        let replay = (state.replay.is_some()).then(|| ("Replay".to_owned(), Context::Everywhere, true));
        let everywhere = ("Everywhere".to_owned(), Context::Everywhere, false);
        let others = PANELS.iter().map(|info| Context::Panel(info.panel)).filter(|other| *other != self.context);
        let others = others.map(|other| (format!("In {}", other.name()), other, false));
        let others = others.filter(|_| !self.filter.text().is_empty());
        let sections = [here].into_iter().chain(replay).chain([everywhere]).chain(others);
        let filter = self.filter.text();
        let mut rows: Vec<Row> = Vec::new();
        for (heading, context, is_of_replay) in sections {
            let entries =
                ACTIONS.iter().filter(of(context)).filter(|entry| entry.action.is_of_replay() == is_of_replay);
            let hints = self.hints.iter().filter(|_| context == self.context).map(|(action, hint)| {
                let entry = action.entry();
                // Where a key does what it always does, its description says more than the hint.
                (entry, if *hint == entry.hint { entry.doc } else { *hint })
            });
            let documented = hints.chain(entries.map(|entry| (entry, entry.doc)));
            let found = documented.filter_map(|(entry, doc)| self.row(entry, doc, state, keymap, subject));
            let mut found = found.peekable();
            let is_empty = found.peek().is_none();
            if is_empty && context == self.context && self.filter.text().is_empty() {
                rows.extend([Row::Heading(heading), Row::Note("only the keys that work everywhere".to_owned())]);
            } else if !is_empty {
                if !rows.is_empty() {
                    rows.push(Row::Blank);
                }
                rows.push(Row::Heading(heading));
                rows.extend(found);
            }
        }
        let legends = [("Signs of jobs", vec![states(cx.theme)]), ("In the header", SIGNS.map(str::to_owned).to_vec())];
        for (heading, notes) in legends {
            let mut notes = notes.into_iter().filter(|note| text::holds(filter, &[note])).peekable();
            if notes.peek().is_some() {
                rows.extend((!rows.is_empty()).then_some(Row::Blank));
                rows.push(Row::Heading(heading.to_owned()));
                rows.extend(notes.map(Row::Note));
            }
        }
        rows
    }

    /// Returns the row of an action with a description; `None` if it does not match the filter.
    fn row(
        &self,
        entry: &Entry,
        doc: &'static str,
        state: &AppState,
        keymap: &Keymap,
        subject: Subject<'_>,
    ) -> Option<Row> {
        let filter = self.filter.text();
        let keys: Vec<String> = keymap.keys(entry.action).iter().map(Sequence::to_string).collect();
        // The filter matches whole keys: the first of a sequence, but not the first letters of a key's name.
        let has_key =
            |key: &String| key.strip_prefix(filter).is_some_and(|rest| matches!(rest.chars().next(), None | Some(' ')));
        let matches = keys.iter().any(has_key) || text::holds(filter, &[entry.name, entry.hint, doc]);
        matches.then(|| {
            let reason = unavailable(entry.action, state, subject);
            Row::Key { keys, name: entry.name, doc, reason }
        })
    }
}
