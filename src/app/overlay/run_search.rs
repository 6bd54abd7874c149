//! A search in all logs of a run. Lines are found while the text is typed, and Enter goes to the selected line.

use std::cell::Cell;

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::app::action::Action;
use crate::app::panes::{Cx, keep_visible, motion};
use crate::app::text_input::{MODIFIERS, TextInput};
use crate::model::Run;
use crate::store::logs::pattern::Pattern;
use crate::store::logs::query::{LogKey, MAX_RUN_HITS, RunSearch, RunSearchResult};
use crate::ui::frame::Scroll;
use crate::ui::log::Line;
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

use super::drawn::Drawn;
use super::picker::Pick;
use super::{Outcome, input_row};

/// Width of the names of job and step in columns.
const NAMES: u16 = 30;

/// Maximum number of highlighted matches of a line.
const MAX_HIGHLIGHTS: usize = 8;

/// The search and its result.
#[derive(Clone, Debug)]
pub(in crate::app) struct RunSearchBox {
    input: TextInput,
    /// Whether the text was left by the previous search. The first typed character then replaces it.
    is_previous: bool,
    /// Logs to search in order, each with its number of lines and the names of its job and step.
    logs: Vec<(LogKey, u64, String)>,
    /// Id and pattern of the search whose result is shown; `None` if the text is empty.
    search: Option<(u64, Pattern)>,
    hits: Vec<Hit>,
    selected: usize,
    /// Whether a line of this search was on the screen: Enter goes to no line that the user has not seen.
    seen: Cell<bool>,
    done: bool,
    error: Option<String>,
    drawn: Drawn,
}

/// A matching line.
#[derive(Clone, Debug)]
struct Hit {
    /// Index of its log.
    log: usize,
    number: u64,
    line: Line,
}

impl RunSearchBox {
    /// Returns a search in the output that the steps of a run have printed so far.
    pub(in crate::app) fn new(run: &Run, text: String, theme: Theme) -> Self {
        let steps = run.jobs.values().flat_map(|job| job.steps.iter().map(move |step| (job, step)));
        let with_output = steps.filter(|(_, step)| step.lines > 0);
        let logs = with_output.map(|(job, step)| {
            let key = LogKey { run: run.info.id.clone(), job: job.id.clone(), attempt: job.attempt, step: step.number };
            (key, step.lines, format!("{}{}{} {}", job.name, theme.arrow(), step.number, step.name))
        });
        Self {
            is_previous: !text.is_empty(),
            input: TextInput::from(text),
            logs: logs.collect(),
            search: None,
            hits: Vec::new(),
            selected: 0,
            seen: Cell::new(false),
            done: true,
            error: None,
            drawn: Drawn::default(),
        }
    }

    /// Returns the text to search for.
    pub(in crate::app) fn text(&self) -> &str {
        self.input.text()
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let types = matches!(key.code, KeyCode::Char(_)) && !key.modifiers.intersects(MODIFIERS);
        if types && self.is_previous {
            self.input.clear();
        }
        let edits = self.input.key(key);
        self.is_previous &= !edits;
        edits
    }

    pub(super) fn paste(&mut self, text: &str) {
        if std::mem::take(&mut self.is_previous) {
            self.input.clear();
        }
        self.input.insert(text);
    }

    /// Returns the search to start, if the text has changed, and clears the result of the previous search. An empty
    /// text starts no search. Increments `last_id` for each search, so that results of earlier searches are dropped.
    pub(in crate::app) fn request(&mut self, last_id: &mut u64) -> Option<RunSearch> {
        let pattern = Pattern::parse(self.text(), false);
        if pattern.as_ref() == self.search.as_ref().map(|(_, pattern)| pattern) {
            return None;
        }
        (self.hits, self.selected, self.error) = (Vec::new(), 0, None);
        self.seen.set(false);
        self.done = pattern.is_none();
        self.search = pattern.map(|pattern| {
            *last_id += 1;
            (*last_id, pattern)
        });
        let (id, pattern) = self.search.clone()?;
        let logs = self.logs.iter().map(|(key, lines, _)| (key.clone(), *lines)).collect();
        Some(RunSearch { id, pattern, logs })
    }

    /// Whether a search is running.
    pub(in crate::app) fn is_active(&self) -> bool {
        !self.done
    }

    /// Adds a part of a result, unless it answers another search.
    pub(in crate::app) fn take(&mut self, result: RunSearchResult, theme: Theme) {
        if self.search.as_ref().is_none_or(|(id, _)| *id != result.id) {
            return;
        }
        self.done = result.done;
        match result.hits {
            Ok(hits) => self.hits.extend(hits.into_iter().map(|(log, line)| Hit {
                log,
                number: line.number,
                line: Line::parse(&line.bytes, theme),
            })),
            Err(error) => self.error = Some(error.to_string()),
        }
    }

    pub(super) fn act(&mut self, action: Action, height: usize) -> Outcome {
        if action == Action::Open {
            return self.picked().map_or(Outcome::Stays, Outcome::Picked);
        }
        // One row is for the text input.
        let rows = height.saturating_sub(1);
        self.selected = motion(action, self.selected, self.hits.len(), rows).unwrap_or(self.selected);
        Outcome::Stays
    }

    /// Selects the line that is drawn in a row of the screen, or goes to it if it is selected.
    pub(super) fn click(&mut self, y: u16) -> Outcome {
        match self.drawn.at(y) {
            Some(at) if at == self.selected => self.act(Action::Open, 0),
            Some(at) => {
                self.selected = at;
                Outcome::Stays
            }
            None => Outcome::Stays,
        }
    }

    /// Returns the jump to the selected line; `None` if no line is found, or none was seen.
    fn picked(&self) -> Option<Pick> {
        let hit = self.hits.get(self.selected).filter(|_| self.seen.get())?;
        let (log, pattern) = (self.logs.get(hit.log)?.0.clone(), self.search.as_ref()?.1.clone());
        Some(Pick::Line { log, line: hit.number, pattern })
    }

    /// Returns the number of found lines and of their logs, for the border; before a search, the number of all logs.
    pub(super) fn status(&self) -> String {
        if self.search.is_none() {
            return text::counted(self.logs.len() as u64, "log");
        }
        let mut steps: Vec<usize> = self.hits.iter().map(|hit| hit.log).collect();
        steps.dedup();
        let more = if self.done && self.hits.len() < MAX_RUN_HITS { "" } else { "+" };
        let count = text::count(self.hits.len() as u64);
        format!("{count}{more} in {} of {}", steps.len(), text::counted(self.logs.len() as u64, "log"))
    }

    /// Draws the search. Returns the visible part of the hits.
    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) -> Scroll {
        let list = input_row(&self.input, true, cx, area, buffer);
        let (shown, all) = (usize::from(list.height), self.hits.len());
        self.seen.set(all > 0);
        let scroll = Scroll { first: keep_visible(0, self.selected, all, shown), shown, all };
        let (matcher, wrong) = match self.search.as_ref().map(|(_, pattern)| pattern.query()) {
            Some(Ok((matcher, wrong))) => (Some(matcher), wrong.map(|wrong| wrong.one_line())),
            _ => (None, None),
        };
        let nothing = || match (&self.search, self.done) {
            (None, _) => "text, or /expression/".to_owned(),
            (Some(_), true) => "no line of any step matches".to_owned(),
            (Some(_), false) => "searching".to_owned(),
        };
        let message = self.error.clone().or(wrong).or_else(|| self.hits.is_empty().then(nothing));
        let mut y = list.y;
        if let Some(message) = message {
            let room = list.width.saturating_sub(2);
            let shown = text::clip(&message, usize::from(room), cx.theme.ellipsis());
            y = (y + 1).min(list.bottom());
            text::put(buffer, list.x + 1, y - 1, room, &shown, cx.theme.style(Hue::Dim));
        }
        let list = Rect { y, height: list.bottom() - y, ..list };
        let names = if list.width > 3 * NAMES { NAMES } else { list.width / 3 };
        let offset = keep_visible(0, self.selected, self.hits.len(), usize::from(list.height));
        self.drawn.clear();
        for ((at, hit), y) in self.hits.iter().enumerate().skip(offset).zip(list.y..list.bottom()) {
            self.drawn.push(y..y + 1, at);
            let first = at == offset || self.hits[at - 1].log != hit.log;
            let name = self.logs.get(hit.log).map(|(.., name)| name.as_str()).filter(|_| first).unwrap_or_default();
            let name = text::clip(name, usize::from(names), cx.theme.ellipsis());
            text::put(buffer, list.x + 1, y, names, &name, cx.theme.style(Hue::Accent));
            let number = format!("{:>6}", hit.number + 1);
            let x = text::put(buffer, list.x + names + 2, y, 9, &number, cx.theme.style(Hue::Dim)) + 2;
            let ranges = matcher.as_ref().map(|matcher| matcher.ranges(hit.line.text().as_bytes())).unwrap_or_default();
            let highlight = Style::new().add_modifier(Modifier::REVERSED);
            let room = Rect { x, y, width: list.right().saturating_sub(x + 1), height: 1 };
            hit.line.marked(&ranges[..ranges.len().min(MAX_HIGHLIGHTS)], highlight).draw(room, 0, buffer);
            if at == self.selected {
                let gutter = Rect { y, height: 1, width: x.saturating_sub(list.x + 1), ..list };
                buffer.set_style(gutter.intersection(buffer.area), cx.theme.selected());
                text::put(buffer, list.x, y, 1, cx.theme.bar(), Style::new());
            }
        }
        scroll
    }
}
