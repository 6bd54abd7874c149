//! The picture of a log.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::app::panes::{Cx, empty};
use crate::model::Timestamp;
use crate::ui::log::{Line, Mark};
use crate::ui::text;
use crate::ui::theme::Hue;

use super::Log;
use crate::app::msg::RenderedLine;

/// So many matches of a line are marked: a very long line may be full of them.
const MOST_MARKED: usize = 500;

/// Columns that the time of a line takes.
const TIME: u16 = 8;

impl Log {
    /// Draws the lines; `nothing` is said in their place when there are none. Times count from `start`.
    pub(in crate::app) fn draw(
        &self,
        cx: &Cx,
        nothing: &[String],
        start: Option<Timestamp>,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let window = match &self.window {
            Some(window) if self.lines > 0 => window,
            _ => return absence(nothing, cx, area, buffer),
        };
        let loaded = match &window.lines {
            Ok(lines) => lines,
            Err(error) => return empty(&error.to_string(), cx, area, buffer),
        };
        let rows = self.rows();
        // The file may be ahead of the records; what they have not told is not shown yet.
        let has_row =
            |line: &&RenderedLine| line.number < self.lines && rows.line(rows.row(line.number)) == line.number;
        let lines: Vec<&RenderedLine> = loaded.iter().filter(has_row).collect();
        if lines.is_empty() {
            let unmatched = self.keep.as_ref().filter(|keep| keep.finds.is_done(self.lines));
            return match unmatched {
                Some(keep) => {
                    let why = keep.finds.error.as_deref().unwrap_or("no line matches; Esc shows all");
                    empty(why, cx, area, buffer);
                }
                None => absence(nothing, cx, area, buffer),
            };
        }
        let digits = self.lines.to_string().len().max(4) as u16;
        let times = if self.times && area.width > 60 { TIME } else { 0 };
        let gutter = if area.width > 30 { digits + 3 + times } else { 1 };
        let text = Rect { x: area.x + gutter, width: area.width.saturating_sub(gutter + 1), ..area };
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
            let count = if self.wrap { line.rows(text.width) } else { 1 };
            let height = u16::try_from(count).unwrap_or(u16::MAX).min(area.bottom() - y);
            line.draw(Rect { y, height, ..text }, self.left, buffer);
            if !self.wrap && line.mark != Mark::EndGroup && line.width() > self.left + usize::from(text.width) {
                text::put(buffer, text.right(), y, 1, cx.theme.ellipsis(), cx.theme.style(Hue::Dim));
            }
            y += height;
            self.annotate(shown, cx, Rect { y: row.y, height: 1, ..text }, buffer);
            self.select(shown.number, cx, row, gutter, buffer);
        }
    }

    /// How many lines are folded below this one, and which error it is.
    fn annotate(&self, shown: &RenderedLine, cx: &Cx, row: Rect, buffer: &mut Buffer) {
        if let Some(below) = self.groups.below(shown.number).filter(|_| self.keep.is_none() && self.left == 0) {
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
            let width = text::width(&note) as u16;
            if row.width > width + 20 {
                text::put(buffer, row.right() - width, row.y, width, &note, cx.theme.style(Hue::Bad));
            }
        }
    }

    /// Shows that the reader is at this line, or has selected it.
    fn select(&self, number: u64, cx: &Cx, row: Rect, gutter: u16, buffer: &mut Buffer) {
        let selected =
            self.anchor.is_some_and(|anchor| (anchor.min(self.cursor)..=anchor.max(self.cursor)).contains(&number));
        if !self.held || !(selected || number == self.cursor) {
            return;
        }
        if cx.focused && selected {
            buffer.set_style(row, cx.theme.selected());
        } else if cx.focused {
            buffer.set_style(Rect { width: row.width.min(gutter), ..row }, cx.theme.selected());
        }
        text::put(buffer, row.x, row.y, 1, cx.theme.bar(), Style::new());
    }

    /// The line with what is searched for made visible.
    fn highlighted<'l>(&self, line: &'l Line) -> Cow<'l, Line> {
        let kept = self.keep.as_ref().filter(|keep| !keep.pattern.inverted);
        let Some(search) = self.search.as_ref().or(kept) else { return Cow::Borrowed(line) };
        let mut ranges = search.query.ranges(line.text().as_bytes());
        ranges.truncate(MOST_MARKED);
        if ranges.is_empty() {
            return Cow::Borrowed(line);
        }
        Cow::Owned(line.marked(&ranges, Style::new().add_modifier(Modifier::REVERSED)))
    }

    /// The first of the loaded lines to draw: what was scrolled to, or what ends at the last row.
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
        if !self.held {
            return last;
        }
        let top = lines.partition_point(|line| line.number < self.top).min(last);
        let cursor = lines.partition_point(|line| line.number <= self.cursor);
        // Wrapped lines before the reader's may need all of the rows.
        top.max(cursor.saturating_sub(fitting(&lines[..cursor])))
    }
}

/// Says why there is no log: in the middle, or with what there is to say about it from the top.
fn absence(told: &[String], cx: &Cx, area: Rect, buffer: &mut Buffer) {
    let [why, tree @ ..] = told else { return };
    if tree.is_empty() || area.height < 3 {
        return empty(why, cx, area, buffer);
    }
    let columns = area.width.saturating_sub(2);
    let rows = std::iter::once((why, cx.theme.style(Hue::Dim))).chain(tree.iter().map(|line| (line, Style::new())));
    for ((line, style), y) in rows.zip(area.top()..area.bottom()) {
        let line = line.replace("├─", cx.theme.pick("├─", "|-")).replace("└─", cx.theme.pick("└─", "`-"));
        let line = line.replace('│', cx.theme.pick("│", "|"));
        let shown = text::clip(&line, usize::from(columns), cx.theme.ellipsis());
        text::put(buffer, area.x + 1, y, columns, &shown, style);
    }
}
