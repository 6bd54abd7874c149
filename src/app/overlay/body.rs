//! The text of a dialog above its fields. Lines that are too long are wrapped, and the text scrolls if it has more rows
//! than there is room for.

use std::cell::Cell;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::panes::{Cx, motion};
use crate::ui::frame::Scroll;
use crate::ui::text;
use crate::ui::theme::Hue;

/// Columns beside the text.
const MARGINS: u16 = 2;

/// Lines of text with their hues. A line in [`Hue::Accent`] is a heading.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    lines: Vec<(String, Hue)>,
    /// First row on the screen.
    offset: usize,
    /// Number of rows below the last one on the screen and above the first one, when they were drawn last.
    hidden: Cell<usize>,
}

impl Body {
    pub(super) fn new(lines: Vec<(String, Hue)>) -> Self {
        Self { lines, offset: 0, hidden: Cell::new(0) }
    }

    /// Returns the number of rows in an area of this width.
    pub(super) fn height(&self, columns: u16) -> usize {
        self.rows(columns).len()
    }

    /// Scrolls. Returns `false` for an action that is not a motion by pages.
    pub(super) fn act(&mut self, action: Action, height: usize) -> bool {
        let pages = matches!(action, Action::PageDown | Action::PageUp | Action::HalfDown | Action::HalfUp);
        let to = motion(action, self.offset, self.hidden.get() + 1, height).filter(|_| pages);
        self.offset = to.unwrap_or(self.offset);
        to.is_some()
    }

    /// Returns the rows in an area of this width. Rows after the first one of a line are indented as the line is.
    fn rows(&self, columns: u16) -> Vec<(String, Hue)> {
        let columns = usize::from(columns.saturating_sub(MARGINS)).max(1);
        let rows = self.lines.iter().flat_map(|(line, hue)| {
            let rows = text::wrap_indented(line, columns, 0);
            rows.into_iter().map(move |row| (row, *hue))
        });
        rows.collect()
    }

    /// Draws as many rows as fit into an area. Returns the visible part, and the row below the last one.
    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) -> (Scroll, u16) {
        let (rows, shown) = (self.rows(area.width), usize::from(area.height));
        let hidden = rows.len().saturating_sub(shown);
        self.hidden.set(hidden);
        let first = self.offset.min(hidden);
        let room = area.width.saturating_sub(MARGINS);
        let mut y = area.y;
        for (row, hue) in rows.iter().skip(first).take(shown) {
            let style: Style = if *hue == Hue::Accent { cx.theme.heading() } else { cx.theme.style(*hue) };
            let row = text::clip(row, usize::from(room), cx.theme.ellipsis());
            text::put(buffer, area.x + 1, y, room, &row, style);
            y += 1;
        }
        (Scroll { first, shown, all: rows.len() }, y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_wrapped_with_their_indentation() {
        let lines =
            [("production: from v1 to v2", Hue::Accent), ("", Hue::Plain), ("  1 Wait until it is", Hue::Plain)];
        let body = Body::new(lines.map(|(line, hue)| (line.to_owned(), hue)).to_vec());
        let rows: Vec<String> = body.rows(18).into_iter().map(|(row, _)| row).collect();
        assert_eq!(rows, ["production: from", "v1 to v2", "", "  1 Wait until", "  it is"]);
        assert_eq!((body.height(18), body.height(80)), (5, 3));
    }

    #[test]
    fn only_motions_by_pages_scroll() {
        let mut body = Body::new(vec![(String::new(), Hue::Plain); 20]);
        body.hidden.set(15);
        assert!(!body.act(Action::Down, 5) && !body.act(Action::Open, 5) && body.offset == 0);
        assert!(body.act(Action::PageDown, 5) && body.offset == 4);
        for _ in 0..9 {
            body.act(Action::PageDown, 5);
        }
        assert_eq!(body.offset, 15);
    }
}
