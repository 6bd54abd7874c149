//! Functions shared by all lists: motions, scrolling, rows, and the text of an empty list.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::Cx;

/// Returns the target row of a motion, in a list of `len` rows of which `height` are on the screen. `None` if the
/// action is not a motion.
pub(in crate::app) fn motion(action: Action, at: usize, len: usize, height: usize) -> Option<usize> {
    let page = height.max(2) - 1;
    let to = match action {
        Action::Down => at.saturating_add(1),
        Action::Up => at.saturating_sub(1),
        Action::HalfDown => at.saturating_add(height.div_ceil(2)),
        Action::HalfUp => at.saturating_sub(height.div_ceil(2)),
        Action::PageDown => at.saturating_add(page),
        Action::PageUp => at.saturating_sub(page),
        Action::Top => 0,
        Action::Bottom => usize::MAX,
        _ => return None,
    };
    Some(to.min(len.saturating_sub(1)))
}

/// Returns the filter's words, for the border; `None` for a list that is not filtered.
pub(super) fn filter_chip(filter: &str) -> Option<String> {
    (!filter.is_empty()).then(|| format!("/{filter}"))
}

/// Returns the first row to draw so that row `at` is visible, moving as little as possible.
pub(in crate::app) fn keep_visible(offset: usize, at: usize, len: usize, height: usize) -> usize {
    let highest = len.saturating_sub(height);
    offset.clamp((at + 1).saturating_sub(height), at.max((at + 1).saturating_sub(height))).min(highest)
}

/// A row of a list: glyph and name on the left, a remark after them, and a time at the right edge.
pub(super) struct ListRow<'r> {
    /// Columns before the glyph.
    pub(super) indent: u16,
    pub(super) glyph: &'r str,
    pub(super) style: Style,
    pub(super) name: &'r str,
    /// Column, from the left edge, at which remarks begin unless the name is longer.
    pub(super) tab: u16,
    pub(super) remark: &'r str,
    pub(super) remark_style: Style,
    pub(super) right: &'r str,
    pub(super) selected: bool,
}

impl ListRow<'_> {
    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        if let Some((x, room)) = self.head(cx, area, buffer)
            && room > 4
        {
            let remark = text::clip(self.remark, usize::from(room), cx.theme.ellipsis());
            text::put(buffer, x, area.y, room, &remark, self.remark_style);
        }
        mark_row(self.selected, cx, area, buffer);
    }

    /// Draws glyph, name and time. Returns the column at which remarks begin, and their room in columns. `None` if the
    /// area is too small for a row.
    pub(super) fn head(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)> {
        if area.width < 4 || area.height == 0 {
            return None;
        }
        let (y, end) = (area.y, area.right());
        let ellipsis = cx.theme.ellipsis();
        let right = text::columns(self.right);
        // Name and remark leave room for the time and a column on each side of it.
        let room_to = end.saturating_sub(if right == 0 { 1 } else { right + 2 });
        let x = area.x + 1 + self.indent;
        let after = text::put(buffer, x, y, 2, self.glyph, self.style) + 1;
        let name = text::clip(self.name, usize::from(room_to.saturating_sub(after)), ellipsis);
        let emphasis = if self.selected && cx.focused { cx.theme.style(Hue::Plain) } else { Style::new() };
        let after = text::put(buffer, after, y, room_to.saturating_sub(after), &name, emphasis);
        if area.width > right + 6 {
            text::put(buffer, end - right - 1, y, right, self.right, Style::new());
        }
        let x = (after + 2).max(area.x + self.tab);
        Some((x, room_to.saturating_sub(x)))
    }
}

/// Marks a row of a list if it is selected.
pub(super) fn mark_row(selected: bool, cx: &Cx, area: Rect, buffer: &mut Buffer) {
    if selected && area.width >= 4 && area.height > 0 {
        if cx.focused {
            buffer.set_style(Rect { height: 1, ..area }, cx.theme.selected());
        }
        text::put(buffer, area.x, area.y, 1, cx.theme.bar(), Style::new());
    }
}

/// Draws the text of an empty pane: in its middle, in as many rows as needed.
pub(in crate::app) fn empty(text: &str, cx: &Cx, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let mut rows = text::wrap(text, usize::from(area.width.saturating_sub(2).max(1)));
    if rows.len() > usize::from(area.height) {
        let rest = rows.split_off(usize::from(area.height) - 1).join(" ");
        rows.push(rest);
    }
    let top = area.y + (area.height - rows.len() as u16) / 2;
    for (y, row) in (top..).zip(rows) {
        let shown = text::clip(&row, usize::from(area.width), cx.theme.ellipsis());
        let x = area.x + (area.width - text::columns(&shown)) / 2;
        text::put(buffer, x, y, area.width, &shown, cx.theme.style(Hue::Dim));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_selected_row_is_always_visible(offset in 0_usize..300, at in 0_usize..200, more in 1_usize..200, height in 1_usize..60) {
            let len = at + more;
            let offset = keep_visible(offset, at, len, height);
            prop_assert!(offset <= at && at < offset + height);
            prop_assert!(offset == 0 || offset + height <= len);
        }
    }

    #[test]
    fn motions_stay_inside_the_list() {
        assert_eq!(motion(Action::Down, 4, 5, 10), Some(4));
        assert_eq!(motion(Action::Bottom, 0, 0, 10), Some(0));
        assert_eq!(motion(Action::PageUp, 3, 5, 10), Some(0));
        assert_eq!(motion(Action::Quit, 3, 5, 10), None);
    }
}
