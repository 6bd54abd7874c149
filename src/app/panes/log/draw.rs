//! Draws the lines of a log.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::app::msg::RenderedLine;
use crate::app::panes::{Cx, empty};
use crate::model::Timestamp;
use crate::ui::log::{Line, Mark};
use crate::ui::text;
use crate::ui::theme::Hue;

use super::Log;
use super::within::{Gutter, TIME};

/// Maximum number of highlighted matches of a line: a very long line may have any number of them.
const MAX_HIGHLIGHTS: usize = 500;

impl Log {
    /// Draws the lines, with times counted from `start`, or why none can be shown. Returns `false` if nothing was
    /// drawn.
    pub(super) fn draw_lines(&self, cx: &Cx, start: Option<Timestamp>, area: Rect, buffer: &mut Buffer) -> bool {
        let Some(window) = self.window.as_ref().filter(|_| self.lines > 0) else { return false };
        let loaded = match &window.lines {
            Ok(lines) => lines,
            Err(error) => {
                empty(&error.to_string(), cx, area, buffer);
                return true;
            }
        };
        let rows = self.rows();
        // The file may have more lines than the records have reported so far.
        let has_row =
            |line: &&RenderedLine| line.number < self.lines && rows.line(rows.row(line.number)) == line.number;
        let lines: Vec<&RenderedLine> = loaded.iter().filter(has_row).collect();
        if lines.is_empty() {
            let unmatched = self.keep.as_ref().filter(|keep| keep.matches.is_done(self.size().complete()));
            if let Some(keep) = unmatched {
                let why = keep.matches.error.as_deref().unwrap_or("no line matches; Esc shows all");
                empty(why, cx, area, buffer);
            }
            return unmatched.is_some();
        }
        let Gutter { digits, times, width: gutter } = self.gutter(area.width);
        let text = Rect { x: area.x + gutter, width: self.text_columns(area.width), ..area };
        let mut y = area.y;
        for shown in lines.iter().skip(self.first_drawn(&lines, text)) {
            if y >= area.bottom() {
                break;
            }
            let row = Rect { y, height: 1, ..area };
            if gutter > 1 {
                let number = format!("{:>width$}", shown.number + 1, width = usize::from(digits));
                let x = text::put(buffer, area.x + 1, y, digits, &number, cx.theme.style(Hue::Dim));
                if self.marks.contains(&shown.number) {
                    text::put(buffer, x, y, 1, cx.theme.pick("•", "*"), cx.theme.style(Hue::Accent));
                }
                if let (true, Some(time), Some(start)) = (times > 0, shown.time, start) {
                    let time = format!("{:>7}", text::duration(time.since(start)));
                    text::put(buffer, x + 1, y, TIME, &time, cx.theme.style(Hue::Dim));
                }
            }
            let line = self.highlighted(&shown.line);
            let above = if shown.number == self.cursor { self.rows_above() } else { 0 };
            let count = if self.wrap { line.rows(text.width).saturating_sub(above) } else { 1 };
            let height = u16::try_from(count).unwrap_or(u16::MAX).min(area.bottom() - y);
            let left = self.left_of(shown.number, &line, text.width);
            line.draw(Rect { y, height, ..text }, left + above * usize::from(text.width), buffer);
            let cut = |x, buffer: &mut Buffer| {
                text::put(buffer, x, y, 1, cx.theme.ellipsis(), cx.theme.style(Hue::Dim));
            };
            if left > self.left {
                // The mark of the cut is drawn in the column between the gutter and the text.
                cut(text.x.saturating_sub(1), buffer);
            }
            if !self.wrap && line.mark != Mark::EndGroup && line.width() > left + usize::from(text.width) {
                cut(text.right(), buffer);
            }
            y += height;
            self.annotate(shown, cx, Rect { y: row.y, height: 1, ..text }, buffer);
            self.draw_cursor(shown.number, cx, Rect { height, ..row }, buffer);
        }
        true
    }

    /// Returns the number of columns of a line that are left of the pane. These are the columns that the user scrolled
    /// past. While the log is followed, the start of the line that is still being written is left out as well, if its
    /// end would not fit.
    fn left_of(&self, number: u64, line: &Line, width: u16) -> usize {
        let is_written = self.follows && self.open > 0 && number + 1 == self.lines;
        let end = if is_written && !self.wrap { line.width().saturating_sub(width.into()) } else { 0 };
        end.max(self.left)
    }

    /// Draws the fold mark on the first line of a group, with the number of folded lines, and on an error line its
    /// position among the error lines.
    fn annotate(&self, shown: &RenderedLine, cx: &Cx, row: Rect, buffer: &mut Buffer) {
        if let Some(below) = self.groups.hidden_below(shown.number).filter(|_| self.keep.is_none() && self.left == 0) {
            let (glyph, hidden) = match below {
                0 => (cx.theme.pick("▾", "v"), String::new()),
                below => (cx.theme.pick("▸", ">"), format!(" ({} folded)", text::counted(below, "line"))),
            };
            text::put(buffer, row.x, row.y, 1, glyph, cx.theme.style(Hue::Accent));
            let x = row.x + (shown.line.width() as u16).min(row.width);
            text::put(buffer, x, row.y, row.right().saturating_sub(x), &hidden, cx.theme.style(Hue::Dim));
        }
        if let Some((at, of)) = self.error_at(shown.number) {
            let note = format!(" {} error {at}/{of}", cx.theme.pick("◀", "<"));
            let width = text::columns(&note);
            if row.width > width + 20 {
                text::put(buffer, row.right() - width, row.y, width, &note, cx.theme.style(Hue::Bad));
            }
        }
    }

    /// Marks the line at the cursor and the selected lines, in all their rows up to the right edge. A match in them is not
    /// reversed, so that it stands out. Marks nothing while the log is followed.
    fn draw_cursor(&self, number: u64, cx: &Cx, rows: Rect, buffer: &mut Buffer) {
        let selected =
            self.anchor.is_some_and(|anchor| (anchor.min(self.cursor)..=anchor.max(self.cursor)).contains(&number));
        if self.follows || !(selected || number == self.cursor) {
            return;
        }
        for position in rows.intersection(buffer.area).positions().filter(|_| cx.focused) {
            buffer[position].modifier.toggle(Modifier::REVERSED);
        }
        text::put(buffer, rows.x, rows.y, 1, cx.theme.bar(), Style::new());
    }

    /// Returns the line with its matches highlighted: the matches of the search or, without a search, of the pattern of
    /// visible lines.
    fn highlighted<'l>(&self, line: &'l Line) -> Cow<'l, Line> {
        let kept = self.keep.as_ref().filter(|keep| !keep.pattern.inverted);
        let Some(search) = self.search.as_ref().or(kept) else { return Cow::Borrowed(line) };
        let mut ranges = search.matcher.ranges(line.text().as_bytes());
        ranges.truncate(MAX_HIGHLIGHTS);
        if ranges.is_empty() {
            return Cow::Borrowed(line);
        }
        Cow::Owned(line.marked(&ranges, Style::new().add_modifier(Modifier::REVERSED)))
    }

    /// Returns the index of the first loaded line to draw: the top line or, while the log is followed, the first of the
    /// lines that end at the last row.
    fn first_drawn(&self, lines: &[&RenderedLine], area: Rect) -> usize {
        let height = usize::from(area.height);
        let fitting = |lines: &[&RenderedLine]| {
            if !self.wrap {
                return height.min(lines.len());
            }
            let mut rows = 0;
            let fits = |shown: &&&RenderedLine| {
                rows += shown.line.rows(area.width);
                rows <= height
            };
            lines.iter().rev().take_while(fits).count().max(1)
        };
        let last = lines.len().saturating_sub(fitting(lines));
        if self.follows {
            return last;
        }
        let top = lines.partition_point(|line| line.number < self.top).min(last);
        let cursor = lines.partition_point(|line| line.number <= self.cursor);
        // If wrapped lines before the cursor would push it off the pane, drawing starts further down.
        top.max(cursor.saturating_sub(fitting(&lines[..cursor])))
    }
}
