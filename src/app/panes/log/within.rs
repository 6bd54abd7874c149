//! Reading within one line that is longer than the pane: moving through the rows of a wrapped line, and scrolling to
//! the columns of a match.

use std::ops::Range;

use crate::app::action::Action;
use crate::app::panes::motion;
use crate::ui::text::width;

use super::Log;

/// Width of a line's time in columns.
pub(super) const TIME: u16 = 8;

/// Columns of a line that stay visible to the left of a match.
const BEFORE_MATCH: usize = 10;

/// The columns to the left of the text.
#[derive(Clone, Copy)]
pub(super) struct Gutter {
    /// Columns of the line number.
    pub(super) digits: u16,
    /// Columns of the time; 0 if it is not shown.
    pub(super) times: u16,
    /// All columns before the text.
    pub(super) width: u16,
}

impl Log {
    /// Returns the columns before the text in a pane of this width.
    pub(super) fn gutter(&self, pane: u16) -> Gutter {
        let digits = self.lines.to_string().len().max(4) as u16;
        let times = if self.times && pane > 60 { TIME } else { 0 };
        Gutter { digits, times, width: if pane > 30 { digits + 3 + times } else { 1 } }
    }

    /// Returns the columns of text in a pane of this width. The last column is left for the mark of a cut line.
    pub(super) fn text_columns(&self, pane: u16) -> u16 {
        pane.saturating_sub(self.gutter(pane).width + 1)
    }

    /// Returns the number of rows of the line at the cursor that do not fit into the pane. 0 if the line fits or is not
    /// loaded.
    fn rows_below(&self) -> usize {
        let line = self.window.as_ref().filter(|_| self.wrap).and_then(|window| window.line(self.cursor));
        let rows = line.map_or(0, |line| line.line.rows(self.text_columns(self.columns)));
        rows.saturating_sub(self.height as usize)
    }

    /// Returns the number of rows of the line at the cursor that are above the pane.
    pub(super) fn rows_above(&self) -> usize {
        let below = self.rows_below();
        if self.follows { below } else { self.skipped.min(below) }
    }

    /// Moves within the line at the cursor. Returns `false` if the line has no further row in this direction.
    pub(super) fn move_within(&mut self, action: Action) -> bool {
        let (below, at) = (self.rows_below(), self.rows_above());
        if below == 0 || matches!(action, Action::Top | Action::Bottom) {
            return false;
        }
        let moved = motion(action, at, below + 1, self.height as usize).filter(|to| *to != at);
        if let Some(to) = moved {
            self.unfollow();
            self.skipped = to;
        }
        moved.is_some()
    }

    /// Shows the end of the line at the cursor if it was reached from below, otherwise its start.
    pub(super) fn enter_line(&mut self, from: u64) {
        if self.cursor != from {
            self.skipped = if self.cursor < from { usize::MAX } else { 0 };
        }
    }

    /// Brings the first match of the line at the cursor into view, once the line is loaded.
    pub(super) fn reveal_match(&mut self) {
        if !self.reveal {
            return;
        }
        let Some(line) = self.window.as_ref().and_then(|window| window.line(self.cursor)) else { return };
        self.reveal = false;
        let Some(search) = &self.search else { return };
        let text = line.line.text();
        let Some(found) = search.matcher.ranges(text.as_bytes()).into_iter().next() else { return };
        let Range { start, end } = text.floor_char_boundary(found.start)..text.ceil_char_boundary(found.end);
        let (start, end) = (width(&text[..start]), width(&text[..end]));
        let columns = usize::from(self.text_columns(self.columns)).max(1);
        if self.wrap {
            // Wide characters may move text to an earlier row than its column suggests, so one row is left free.
            let row = start / columns;
            let height = self.height as usize;
            if !(self.skipped..self.skipped.saturating_add(height.saturating_sub(1))).contains(&row) {
                self.skipped = row.saturating_sub(height / 3);
            }
        } else if start < self.left || end > self.left + columns {
            // If the match is visible from the start of the line, the line is not scrolled.
            self.left = if end <= columns { 0 } else { start.saturating_sub(BEFORE_MATCH.min(columns / 3)) };
        }
    }
}
