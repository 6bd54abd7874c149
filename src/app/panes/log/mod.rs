//! Panel 4, Log: the output of a step. The pane holds one window of lines, however long the log is.
//!
//! The reading position never moves by itself. The pane follows the end of the log until the user moves up; from then
//! on, the border counts the new lines. While a window is loading, the previous one stays on the screen. Searches for
//! text, groups and errors run on other threads, which return only line numbers.

mod copy;
mod draw;
mod jump;
mod matches;
mod placeholder;
mod rows;
mod status;
#[cfg(test)]
mod tests;
mod window;
mod within;

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

use crate::app::action::Action;
use crate::app::msg::{Effect, RenderedPage};
use crate::app::selection::Selection;
use crate::store::logs::pattern::Pattern;
use crate::store::logs::query::{LogKey, LogSearchResult, PageRequest, Query, SearchSlot};
use crate::ui::layout::Panel;
use crate::ui::text;

use super::{Cx, Pane, keep_visible, motion};
use jump::{Jump, Search};
use matches::Matches;
use rows::{Groups, Rows};
use window::{Size, Window};

/// Columns per keypress when scrolling sideways.
const SIDEWAYS: usize = 16;

/// Rows per notch of the mouse wheel.
const WHEEL: i64 = 3;

/// Regular expressions for the lines that start and end a group.
const GROUP_START: &str = r"^##\[group\]";
const GROUP_END: &str = r"^##\[endgroup\]";

/// The view of one log.
#[derive(Clone, Debug)]
pub(in crate::app) struct Log {
    key: Option<LogKey>,
    /// Length of the log in lines.
    lines: u64,
    /// Length in bytes of the last line while it has no newline.
    open: u64,
    window: Option<Window>,
    /// The unanswered request, and the size of the log at that time; `None` if no request is unanswered.
    requested: Option<(PageRequest, Size)>,
    /// First line on the screen, unless the end is followed.
    top: u64,
    /// Line at the cursor.
    cursor: u64,
    /// Whether the end of the log stays on the screen.
    follows: bool,
    /// Length of the log when the user moved away from its end.
    seen: u64,
    /// First column on the screen.
    left: usize,
    wrap: bool,
    times: bool,
    /// Rows of the pane.
    height: u64,
    /// Columns of the pane.
    columns: u16,
    /// Rows of the line at the cursor that are above the pane, if it is wrapped and taller than the pane.
    skipped: usize,
    /// Whether to bring the match in the line at the cursor into view.
    reveal: bool,
    group_starts: Matches,
    group_ends: Matches,
    groups: Groups,
    search: Option<Search>,
    /// Pattern of the visible lines; `None` if all lines are visible.
    keep: Option<Search>,
    errors: Option<Matches>,
    /// Pending jump.
    jump: Option<Jump>,
    marks: BTreeSet<u64>,
    /// The other end of the selected lines; `None` if no lines are selected.
    anchor: Option<u64>,
    /// Id of the last search that was requested.
    last_search: u64,
    /// Cancellations of searches that are no longer needed, to be sent with the next effects.
    cancellations: Vec<Effect>,
}

/// A reading position, to come back to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::app) struct Position {
    top: u64,
    cursor: u64,
    follows: bool,
}

impl Default for Log {
    fn default() -> Self {
        let matches = |slot, text: &str| {
            let pattern = Pattern { text: text.to_owned(), is_regex: true, inverted: false };
            Matches::new(slot, Query::Matches(pattern))
        };
        Self {
            key: None,
            lines: 0,
            open: 0,
            window: None,
            requested: None,
            top: 0,
            cursor: 0,
            follows: true,
            seen: 0,
            left: 0,
            wrap: false,
            times: false,
            height: 1,
            columns: 0,
            skipped: 0,
            reveal: false,
            group_starts: matches(SearchSlot::Groups, GROUP_START),
            group_ends: matches(SearchSlot::GroupEnds, GROUP_END),
            groups: Groups::default(),
            search: None,
            keep: None,
            errors: None,
            jump: None,
            marks: BTreeSet::new(),
            anchor: None,
            last_search: 0,
            cancellations: Vec::new(),
        }
    }
}

impl Pane for Log {
    fn sync(&mut self, cx: &Cx, selection: &mut Selection) -> Vec<Effect> {
        let (key, size) = match (selection.run_id(), selection.step(cx.state)) {
            (Some(run), Some((job, step))) => {
                let key = LogKey { run: run.clone(), job: job.id.clone(), attempt: job.attempt, step: step.number };
                (Some(key), Size { lines: step.lines, open: step.open })
            }
            _ => (None, Size::default()),
        };
        self.show(key, size, cx.size)
    }

    fn act(&mut self, action: Action, _: &Cx, _: &mut Selection) {
        self.handle(action);
    }

    fn click(&mut self, _: usize, row: usize, _: &Cx, _: &mut Selection) {
        if !self.wrap && self.rows().count() > 0 {
            self.unfollow();
            let rows = self.rows();
            self.cursor = rows.line(rows.row(self.top) + row as u64);
        }
    }

    fn wheel(&mut self, down: bool, _: &Cx, _: &mut Selection) {
        self.scroll_by(if down { WHEEL } else { -WHEEL });
    }

    fn open(&mut self, _: &Cx, _: &mut Selection) -> Option<Panel> {
        self.toggle_group();
        None
    }

    /// Clears the selection of lines, the pattern of visible lines, or the search: the first that is set.
    fn close(&mut self) -> bool {
        if self.anchor.take().is_some() {
            return true;
        }
        let (kept, searched) = (self.keep.is_some(), self.search.is_some());
        match (kept, searched) {
            (true, _) => self.keep_matching(None),
            (false, true) => self.search_for(None),
            (false, false) => {}
        }
        kept || searched
    }

    fn parent(&self) -> Option<Panel> {
        Some(Panel::Jobs)
    }

    fn title(&self, cx: &Cx, selection: &Selection) -> Option<String> {
        let (job, step) = selection.step(cx.state)?;
        // A long job name is cut so that the step's name is visible, too.
        let job = text::clip_middle(&job.name, usize::from(cx.size.0 / 3), cx.theme.ellipsis());
        Some(format!("Log{}{job}{}{} {}", cx.theme.dot(), cx.theme.arrow(), step.number, step.name))
    }

    fn title_suffix(&self, cx: &Cx, selection: &Selection) -> String {
        self.status(selection.step(cx.state).map(|(_, step)| step), cx.state.now, cx.theme)
    }

    fn draw(&self, cx: &Cx, selection: &Selection, area: Rect, buffer: &mut Buffer) {
        let start = selection.step(cx.state).and_then(|(_, step)| step.started);
        if !self.draw_lines(cx, start, area, buffer) {
            placeholder::draw(&placeholder::lines(cx.state, selection), cx, area, buffer);
        }
    }
}

impl Log {
    /// Whether the end of the log is followed.
    pub(in crate::app) fn follows(&self) -> bool {
        self.follows
    }

    /// Follows the end of the log from now on, and clears the selection of lines.
    pub(in crate::app) fn follow(&mut self) {
        (self.follows, self.anchor) = (true, None);
    }

    /// Returns the key of the log on the screen; `None` if no step is selected.
    pub(in crate::app) fn key(&self) -> Option<&LogKey> {
        self.key.as_ref()
    }

    /// Carries out a motion, or changes a display option.
    fn handle(&mut self, action: Action) {
        match action {
            Action::Left => self.left = self.left.saturating_sub(SIDEWAYS),
            Action::Right if !self.wrap => self.left = self.left.saturating_add(SIDEWAYS).min(self.widest()),
            Action::Wrap => {
                self.wrap = !self.wrap;
                (self.left, self.skipped) = (0, 0);
            }
            Action::Times => self.times = !self.times,
            Action::Bottom if self.anchor.is_none() => self.follows = true,
            Action::FoldAll => self.groups.fold_all(true),
            Action::UnfoldAll => self.groups.fold_all(false),
            Action::Mark if !self.marks.remove(&self.cursor) => {
                self.marks.insert(self.cursor);
            }
            Action::NextMark => {
                let next = self.marks.range(self.cursor + 1..).next().or(self.marks.first()).copied();
                self.go_if(next);
            }
            Action::Select => {
                self.unfollow();
                self.anchor = self.anchor.xor(Some(self.cursor));
            }
            _ if self.move_within(action) => {}
            _ => {
                let from = self.cursor;
                let rows = self.rows();
                let (at, count) = (rows.row(self.cursor), rows.count());
                let Some(to) = motion(action, at as usize, count as usize, self.height as usize) else { return };
                self.cursor = rows.line(to as u64);
                self.enter_line(from);
                if (to as u64) < at {
                    self.unfollow();
                } else if to as u64 + 1 == count && self.anchor.is_none() {
                    // A user who moves down to the end wants to follow the log.
                    self.follows = true;
                }
            }
        }
    }

    /// Folds or unfolds the group of the line at the cursor.
    fn toggle_group(&mut self) {
        if let Some(first) = self.groups.toggle(self.cursor) {
            self.unfollow();
            self.cursor = first;
        }
    }

    /// Scrolls by rows. The cursor moves only as far as it must to stay on the screen.
    fn scroll_by(&mut self, by: i64) {
        let step = if by < 0 { Action::Up } else { Action::Down };
        if (0..by.unsigned_abs()).filter(|_| self.move_within(step)).count() > 0 {
            return;
        }
        let from = self.cursor;
        let rows = self.rows();
        let last = rows.count().saturating_sub(self.height);
        let before = rows.row(self.top);
        let top = before.saturating_add_signed(by).min(last);
        let cursor = rows.row(self.cursor).clamp(top, top + self.height - 1);
        (self.top, self.cursor) = (rows.line(top), rows.line(cursor));
        self.enter_line(from);
        if top < before {
            self.unfollow();
        } else if top == last && by > 0 && self.anchor.is_none() {
            self.follows = true;
        }
    }

    fn unfollow(&mut self) {
        if self.follows {
            self.follows = false;
            self.seen = self.lines;
        }
    }

    fn size(&self) -> Size {
        Size { lines: self.lines, open: self.open }
    }

    fn rows(&self) -> Rows<'_> {
        match &self.keep {
            Some(keep) => Rows::Kept(&keep.matches.found),
            None => Rows::Folded { lines: self.lines, hidden: self.groups.hidden() },
        }
    }

    /// Shows a log of this size in a pane of this size, and returns the effects that load missing lines and search new
    /// ones. A different log, or one that became shorter, starts at its end; only the search, the display options and a
    /// pending jump to an error or a line are kept.
    fn show(&mut self, key: Option<LogKey>, size: Size, (columns, height): (u16, u16)) -> Vec<Effect> {
        let mut effects = std::mem::take(&mut self.cancellations);
        // When a replay steps back, a log becomes shorter.
        if key != self.key || size.lines < self.lines {
            let searches = [&self.search, &self.keep].into_iter().flatten().map(|search| &search.matches);
            let others = [Some(&self.group_starts), Some(&self.group_ends), self.errors.as_ref()];
            effects.extend(searches.chain(others.into_iter().flatten()).filter_map(Matches::cancellation));
            let search = self.search.take().and_then(|search| Search::new(SearchSlot::Search, search.pattern));
            *self = Self {
                key,
                wrap: self.wrap,
                times: self.times,
                groups: Groups::new(self.groups.folded),
                search,
                last_search: self.last_search,
                jump: self.jump.take().filter(|jump| !matches!(jump, Jump::Match { .. })),
                ..Self::default()
            };
        }
        (self.lines, self.open) = (size.lines, size.open);
        (self.columns, self.height) = (columns, u64::from(height.max(1)));
        if matches!(self.jump, Some(Jump::Error { .. })) {
            self.errors.get_or_insert_with(|| Matches::new(SearchSlot::Errors, Query::Errors));
        }
        self.jump_if_found();
        let Some(key) = &self.key else { return effects };
        let matches = [Some(&mut self.group_starts), Some(&mut self.group_ends), self.errors.as_mut()];
        let searches =
            [self.search.as_mut(), self.keep.as_mut()].map(|search| search.map(|search| &mut search.matches));
        let id = &mut self.last_search;
        let requests = matches
            .into_iter()
            .chain(searches)
            .flatten()
            .filter_map(|matches| matches.request(id, key, size.complete()));
        effects.extend(requests.map(Effect::SearchLog));
        effects.extend(self.scroll().map(Effect::LoadPage));
        self.reveal_match();
        effects
    }

    /// Keeps the cursor on the screen, and returns a request for missing lines. `None` if no lines are missing, or if
    /// another request is unanswered.
    fn scroll(&mut self) -> Option<PageRequest> {
        let rows = self.rows();
        let (count, height) = (rows.count(), self.height);
        let last = count.saturating_sub(height);
        let (top, cursor) = if self.follows {
            (last, count.saturating_sub(1))
        } else {
            let cursor = rows.row(self.cursor);
            let top = rows.row(self.top).min(last) as usize;
            (keep_visible(top, cursor as usize, count as usize, height as usize) as u64, cursor)
        };
        let wanted = rows.lines(top..top + height);
        let around = rows.lines(top.saturating_sub(height)..top + 2 * height);
        // While the pattern has no match, the reading position does not change.
        if count > 0 {
            (self.top, self.cursor) = (rows.line(top), rows.line(cursor));
        }
        let covered = self.window.as_ref().is_some_and(|window| window.covers(&wanted, self.size()));
        if covered || wanted.is_empty() || self.requested.is_some() {
            return None;
        }
        let request = PageRequest { key: self.key.clone()?, lines: around };
        self.requested = Some((request.clone(), self.size()));
        Some(request)
    }

    /// Shows a page of lines if it answers the last request.
    pub(in crate::app) fn take_page(&mut self, page: RenderedPage) {
        let Some((_, of)) = self.requested.take_if(|(requested, _)| *requested == page.request) else { return };
        self.window = Some(Window { request: page.request, of, lines: page.lines });
    }

    /// Adds results of the last search of a slot. Results of earlier searches are ignored.
    pub(in crate::app) fn take_matches(&mut self, result: &LogSearchResult) {
        let slot = result.search.slot;
        let matches = match slot {
            SearchSlot::Search => self.search.as_mut().map(|search| &mut search.matches),
            SearchSlot::Keep => self.keep.as_mut().map(|search| &mut search.matches),
            SearchSlot::Errors => self.errors.as_mut(),
            SearchSlot::Groups => Some(&mut self.group_starts),
            SearchSlot::GroupEnds => Some(&mut self.group_ends),
            SearchSlot::Run => None,
        };
        if let Some(matches) = matches {
            matches.take(result);
        }
        if matches!(slot, SearchSlot::Groups | SearchSlot::GroupEnds) && result.done {
            self.groups.set(&self.group_starts.found, &self.group_ends.found);
        }
    }

    /// Returns the reading position.
    pub(in crate::app) fn position(&self) -> Position {
        Position { top: self.top, cursor: self.cursor, follows: self.follows }
    }

    /// Goes back to an earlier reading position.
    pub(in crate::app) fn return_to(&mut self, position: Position) {
        Position { top: self.top, cursor: self.cursor, follows: self.follows } = position;
    }

    /// Returns the address of the link marked by a cell's colour, if the link is on the screen.
    pub(in crate::app) fn address(&self, mark: Color) -> Option<&str> {
        let links = self.loaded().flat_map(|line| &line.line.links);
        links.into_iter().find(|link| link.mark == mark).map(|link| &*link.address)
    }
}
