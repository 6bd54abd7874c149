//! 4 Log: what a step wrote. The pane holds one window of lines, however long the log is.
//!
//! The reading position never moves by itself: the log is followed until the reader moves up, and then the border
//! tells how many lines came since. While lines are on their way the window before them stays on the screen. What is
//! looked for (text, groups, errors) is found on threads of their own, and only the numbers of lines come back.

mod draw;
mod finds;
mod rows;
mod seek;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Range;

use ratatui::style::Color;

use crate::app::action::Action;
use crate::app::msg::{Effect, RenderedLine, RenderedPage};
use crate::store::logs::pattern::Pattern;
use crate::store::logs::query::{LogError, LogKey, LogSearchResult, PageRequest, Query, SearchSlot};
use crate::ui::text;
use crate::ui::theme::Theme;

use super::{keep_visible, motion};
use finds::Finds;
use rows::{Groups, Rows};
use seek::{Search, Seek};

/// Columns that one press of a key moves sideways.
const SIDEWAYS: usize = 16;

/// So many lines can be copied: terminals take a clipboard of some 100 KB.
const MOST_COPIED: u64 = 2000;

/// What begins and ends a group.
const BEGINS: &str = r"^(##\[group\]|::group::)";
const ENDS: &str = r"^(##\[endgroup\]|::endgroup::)";

/// The view of one log.
#[derive(Clone, Debug)]
pub struct Log {
    key: Option<LogKey>,
    /// How many lines the log has.
    lines: u64,
    window: Option<Window>,
    /// What was asked for and has not come, and how long the log was known to be then.
    asked: Option<(PageRequest, u64)>,
    /// The first line shown, unless the end is followed.
    top: u64,
    /// The line that the reader is at.
    cursor: u64,
    /// Whether the reader let go of the end.
    held: bool,
    /// How many lines there were when the reader let go.
    seen: u64,
    /// The first column shown.
    left: usize,
    wrap: bool,
    times: bool,
    /// Lines that fit into the pane.
    height: u64,
    begins: Finds,
    ends: Finds,
    groups: Groups,
    search: Option<Search>,
    keep: Option<Search>,
    errors: Option<Finds>,
    /// Where to go once it is found.
    seek: Option<Seek>,
    marks: BTreeSet<u64>,
    /// The other end of the lines that are selected.
    anchor: Option<u64>,
    /// Searches that nobody waits for any more.
    stops: Vec<Effect>,
}

/// Lines that were loaded.
#[derive(Clone, Debug)]
struct Window {
    request: PageRequest,
    /// How long the log was known to be when they were asked for.
    of: u64,
    lines: Result<Vec<RenderedLine>, LogError>,
}

/// Where a reader is, to come back to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    top: u64,
    cursor: u64,
    held: bool,
}

impl Window {
    fn line(&self, number: u64) -> Option<&RenderedLine> {
        let lines = self.lines.as_ref().ok()?;
        lines.binary_search_by_key(&number, |line| line.number).ok().map(|at| &lines[at])
    }

    /// Whether these lines are there, or were asked for when the log was as long as now.
    fn covers(&self, wanted: &[Range<u64>], lines: u64) -> bool {
        let asked = |number: u64| self.request.lines.iter().any(|range| range.contains(&number));
        let known = |number: u64| self.line(number).is_some() || (self.of == lines && asked(number));
        wanted.iter().cloned().flatten().all(known)
    }
}

impl Default for Log {
    fn default() -> Self {
        let finds = |place, text: &str| {
            let pattern = Pattern { text: text.to_owned(), is_regex: true, inverted: false };
            Finds::new(place, Query::Matches(pattern))
        };
        Self {
            key: None,
            lines: 0,
            window: None,
            asked: None,
            top: 0,
            cursor: 0,
            held: false,
            seen: 0,
            left: 0,
            wrap: false,
            times: false,
            height: 1,
            begins: finds(SearchSlot::Groups, BEGINS),
            ends: finds(SearchSlot::GroupEnds, ENDS),
            groups: Groups::default(),
            search: None,
            keep: None,
            errors: None,
            seek: None,
            marks: BTreeSet::new(),
            anchor: None,
            stops: Vec::new(),
        }
    }
}

impl Log {
    /// Whether the end is followed.
    #[must_use]
    pub fn follows(&self) -> bool {
        !self.held
    }

    /// Which log is shown.
    #[must_use]
    pub fn key(&self) -> Option<&LogKey> {
        self.key.as_ref()
    }

    /// Moves, follows, wraps, folds, marks.
    pub(in crate::app) fn act(&mut self, action: Action) {
        match action {
            Action::Left => self.left = self.left.saturating_sub(SIDEWAYS),
            Action::Right if !self.wrap => self.left = self.left.saturating_add(SIDEWAYS).min(self.widest()),
            Action::Wrap => {
                self.wrap = !self.wrap;
                self.left = 0;
            }
            Action::Times => self.times = !self.times,
            Action::Follow => (self.held, self.anchor) = (false, None),
            Action::Bottom if self.anchor.is_none() => self.held = false,
            Action::FoldAll => self.groups.fold(true),
            Action::UnfoldAll => self.groups.fold(false),
            Action::Open => {
                if let Some(first) = self.groups.turn(self.cursor) {
                    self.let_go();
                    self.cursor = first;
                }
            }
            Action::Mark if !self.marks.remove(&self.cursor) => {
                self.marks.insert(self.cursor);
            }
            Action::NextMark => {
                let next = self.marks.range(self.cursor + 1..).next().or(self.marks.first()).copied();
                self.go_if(next);
            }
            Action::Select => {
                self.let_go();
                self.anchor = self.anchor.xor(Some(self.cursor));
            }
            _ => {
                let rows = self.rows();
                let (at, count) = (rows.row(self.cursor), rows.count());
                let Some(to) = motion(action, at as usize, count as usize, self.height as usize) else { return };
                self.cursor = rows.line(to as u64);
                if (to as u64) < at {
                    self.let_go();
                } else if to as u64 + 1 == count && self.anchor.is_none() {
                    // Whoever moves down to the end wants to stay there.
                    self.held = false;
                }
            }
        }
    }

    /// Scrolls by rows, as the wheel does. The reader's line stays in sight.
    pub(in crate::app) fn wheel(&mut self, by: i64) {
        let rows = self.rows();
        let last = rows.count().saturating_sub(self.height);
        let before = rows.row(self.top);
        let top = before.saturating_add_signed(by).min(last);
        let cursor = rows.row(self.cursor).clamp(top, top + self.height - 1);
        (self.top, self.cursor) = (rows.line(top), rows.line(cursor));
        if top < before {
            self.let_go();
        } else if top == last && by > 0 && self.anchor.is_none() {
            self.held = false;
        }
    }

    /// A row of the pane was clicked.
    pub(in crate::app) fn click(&mut self, row: usize) {
        if !self.wrap && self.rows().count() > 0 {
            self.let_go();
            let rows = self.rows();
            self.cursor = rows.line(rows.row(self.top) + row as u64);
        }
    }

    fn let_go(&mut self) {
        if !self.held {
            self.held = true;
            self.seen = self.lines;
        }
    }

    fn rows(&self) -> Rows<'_> {
        match &self.keep {
            Some(keep) => Rows::Kept(&keep.finds.found),
            None => Rows::Folded { lines: self.lines, hidden: self.groups.hidden() },
        }
    }

    /// Brings the view in line with what is selected, and says what is missing for it.
    pub(in crate::app) fn settle(&mut self, key: Option<LogKey>, lines: u64, height: u16) -> Vec<Effect> {
        let mut effects = std::mem::take(&mut self.stops);
        // A log has fewer lines than before where a replay went back.
        if key != self.key || lines < self.lines {
            effects.extend([&self.search, &self.keep].into_iter().flatten().filter_map(|search| search.finds.stop()));
            let others = [Some(&self.begins), Some(&self.ends), self.errors.as_ref()];
            effects.extend(others.into_iter().flatten().filter_map(Finds::stop));
            let search = self.search.take().and_then(|search| Search::new(SearchSlot::Search, search.pattern));
            *self = Self {
                key,
                wrap: self.wrap,
                times: self.times,
                groups: Groups::new(self.groups.folded),
                search,
                seek: self.seek.take().filter(|seek| !matches!(seek, Seek::Match { .. })),
                ..Self::default()
            };
        }
        self.lines = lines;
        self.height = u64::from(height.max(1));
        if matches!(self.seek, Some(Seek::Error { .. })) {
            self.errors.get_or_insert_with(|| Finds::new(SearchSlot::Errors, Query::Errors));
        }
        self.sought();
        let Some(key) = &self.key else { return effects };
        let finds = [Some(&mut self.begins), Some(&mut self.ends), self.errors.as_mut()];
        let searches = [self.search.as_mut(), self.keep.as_mut()].map(|search| search.map(|search| &mut search.finds));
        let scans = finds.into_iter().chain(searches).flatten().filter_map(|finds| finds.ask(key, lines));
        effects.extend(scans.map(Effect::SearchLog));
        effects.extend(self.scroll().map(Effect::LoadPage));
        effects
    }

    /// Keeps the reader's line in sight, and says which lines are missing.
    fn scroll(&mut self) -> Option<PageRequest> {
        let rows = self.rows();
        let (count, height) = (rows.count(), self.height);
        let last = count.saturating_sub(height);
        let (top, cursor) = if self.held {
            let cursor = rows.row(self.cursor);
            let top = rows.row(self.top).min(last) as usize;
            (keep_visible(top, cursor as usize, count as usize, height as usize) as u64, cursor)
        } else {
            (last, count.saturating_sub(1))
        };
        let wanted = rows.lines(top..top + height);
        let around = rows.lines(top.saturating_sub(height)..top + 2 * height);
        // While nothing is found yet the reader's place is not lost.
        if count > 0 {
            (self.top, self.cursor) = (rows.line(top), rows.line(cursor));
        }
        let covered = self.window.as_ref().is_some_and(|window| window.covers(&wanted, self.lines));
        if covered || wanted.is_empty() || self.asked.is_some() {
            return None;
        }
        let request = PageRequest { key: self.key.clone()?, lines: around };
        self.asked = Some((request.clone(), self.lines));
        Some(request)
    }

    /// Takes in lines, if they are those that were asked for.
    pub(in crate::app) fn take(&mut self, read: RenderedPage) {
        let Some((_, of)) = self.asked.take_if(|(asked, _)| *asked == read.request) else { return };
        self.window = Some(Window { request: read.request, of, lines: read.lines });
    }

    /// Takes in what was found, if it was looked for here.
    pub(in crate::app) fn found(&mut self, scanned: &LogSearchResult) {
        let search = |search: &mut Option<Search>| search.as_mut().is_some_and(|search| search.finds.take(scanned));
        match scanned.search.slot {
            SearchSlot::Search => drop(search(&mut self.search)),
            SearchSlot::Keep => drop(search(&mut self.keep)),
            SearchSlot::Errors => drop(self.errors.as_mut().map(|errors| errors.take(scanned))),
            SearchSlot::Groups => drop(self.begins.take(scanned)),
            SearchSlot::GroupEnds => drop(self.ends.take(scanned)),
            SearchSlot::Run => {}
        }
        if matches!(scanned.search.slot, SearchSlot::Groups | SearchSlot::GroupEnds) && scanned.done {
            self.groups.set(&self.begins.found, &self.ends.found);
        }
    }

    /// Where the reader is.
    pub(in crate::app) fn position(&self) -> Position {
        Position { top: self.top, cursor: self.cursor, held: self.held }
    }

    /// Goes back to where the reader was.
    pub(in crate::app) fn return_to(&mut self, position: Position) {
        Position { top: self.top, cursor: self.cursor, held: self.held } = position;
    }

    /// Where a link leads that is shown.
    pub(in crate::app) fn address(&self, mark: Color) -> Option<&str> {
        let lines = self.window.as_ref().and_then(|window| window.lines.as_ref().ok());
        let links = lines.into_iter().flatten().flat_map(|line| &line.line.links);
        links.into_iter().find(|link| link.mark == mark).map(|link| &*link.address)
    }

    /// The text of the reader's line, and of those after it that are loaded.
    pub(in crate::app) fn texts(&self) -> impl Iterator<Item = String> {
        let lines = self.window.as_ref().and_then(|window| window.lines.as_ref().ok());
        lines.into_iter().flatten().filter(|line| line.number >= self.cursor).map(|line| line.line.text())
    }

    /// The lines that are selected, and how many of them there are more than can be copied.
    pub(in crate::app) fn selection(&self) -> Option<(PageRequest, u64)> {
        let rows = self.rows();
        let (one, other) = (rows.row(self.anchor?), rows.row(self.cursor));
        let (first, end) = (one.min(other), one.max(other) + 1);
        let lines = rows.lines(first..end.min(first + MOST_COPIED));
        Some((PageRequest { key: self.key.clone()?, lines }, (end - first).saturating_sub(MOST_COPIED)))
    }

    /// The lines around what went wrong, once that is known.
    pub(in crate::app) fn excerpt(&self, around: u64) -> Option<PageRequest> {
        let errors = &self.errors.as_ref()?.found;
        let line = errors.get(errors.partition_point(|line| *line < self.cursor)).or(errors.last())?;
        let lines = line.saturating_sub(around)..(line + around + 1).min(self.lines);
        Some(PageRequest { key: self.key.clone()?, lines: vec![lines] })
    }

    /// How much there is and what of it is shown.
    pub(in crate::app) fn remark(&self, active: bool, theme: Theme) -> String {
        let mut parts = Vec::new();
        if let Some(anchor) = self.anchor {
            let rows = self.rows();
            parts.push(format!(
                "{} selected",
                text::counted(rows.row(anchor).abs_diff(rows.row(self.cursor)) + 1, "line")
            ));
        }
        if let Some(search) = &self.search {
            let total = search.finds.total(self.lines);
            let at = search.finds.number(self.cursor).filter(|_| self.held).map(|at| format!("{at}/"));
            let slash = if search.pattern.is_regex { "" } else { "/" };
            parts.push(format!("{slash}{} {}{total}", search.pattern.typed(), at.unwrap_or_default()));
        }
        if let Some(keep) = &self.keep {
            parts.push(format!("&{} {}", keep.pattern.typed(), keep.finds.total(self.lines)));
        }
        let searches = [&self.search, &self.keep].into_iter().flatten().map(|search| &search.finds);
        parts.extend(searches.chain(&self.errors).filter_map(|finds| finds.error.clone()));
        if let Some((at, of)) = self.error_at(self.cursor).filter(|_| self.held) {
            parts.push(format!("error {at}/{of}"));
        }
        if self.held {
            let new = self.lines.saturating_sub(self.seen);
            if new > 0 {
                parts.push(format!("{} new {}", text::count(new), if new == 1 { "line" } else { "lines" }));
            }
            parts.push(format!("line {}", text::count(self.cursor + 1)));
        } else if active {
            parts.push("FOLLOW".to_owned());
        }
        if self.wrap {
            parts.push("wrap".to_owned());
        }
        if self.left > 0 {
            parts.push(format!("column {}", self.left + 1));
        }
        if self.key.is_some() {
            parts.push(text::counted(self.lines, "line"));
        }
        parts.join(theme.dot())
    }

    /// The widest line that is loaded. While lines are on their way there is no telling.
    fn widest(&self) -> usize {
        if self.asked.is_some() {
            return usize::MAX;
        }
        let lines = self.window.as_ref().and_then(|window| window.lines.as_ref().ok());
        let widths = lines.into_iter().flatten().map(|line| line.line.width());
        widths.max().unwrap_or_default().saturating_sub(1)
    }
}
