//! Borders shared by neighbouring panes and joined where they meet, with a title on the left and a suffix on the right.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::box_drawing::{DOWN, LEFT, RIGHT, UP, joint};
use super::text::{clip, put, width};
use super::theme::{Colours, Hue, Theme};

/// Visible part of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scroll {
    /// Number of rows above the visible ones.
    pub first: usize,
    /// Number of visible rows.
    pub shown: usize,
    /// Number of all rows.
    pub all: usize,
}

impl Scroll {
    /// Returns the first row and the number of rows of a mark beside `height` rows; `None` if all rows are visible.
    fn mark(self, height: usize) -> Option<(usize, usize)> {
        if height == 0 || self.all <= self.shown {
            return None;
        }
        let length = (height * self.shown / self.all).clamp(1, height);
        let hidden = self.all - self.shown;
        Some(((height - length) * self.first.min(hidden) / hidden, length))
    }
}

/// The border of a pane.
#[derive(Clone, Debug, Default)]
pub struct Framed {
    /// Area of the pane, including its borders. Neighbours overlap by their shared border.
    pub area: Rect,
    /// Text at the left end of the upper border.
    pub title: String,
    /// Titles of panes that share this place and are not on the screen, shown before and after the title if there is
    /// room.
    pub tabs: (Vec<String>, Vec<String>),
    /// Text at the right end of the upper border; empty for none.
    pub suffix: String,
    /// Shorter text in place of the suffix if title, tabs and suffix do not fit side by side; empty for none. Without
    /// colours, the numbers of the tabs are enough.
    pub short_suffix: String,
    /// Visible part of the pane's list, marked at the right border; `None` for a pane without a list.
    pub scroll: Option<Scroll>,
    /// Whether the pane has the focus.
    pub focused: bool,
}

/// Returns the area inside the borders.
#[must_use]
pub fn inside(area: Rect) -> Rect {
    Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height.saturating_sub(2) }
}

/// Draws the borders of all panes, then their titles.
pub fn draw(panes: &[Framed], theme: Theme, buffer: &mut Buffer) {
    let screen = buffer.area;
    let mut grid = vec![0_u8; usize::from(screen.width) * usize::from(screen.height)];
    for pane in panes {
        border(pane.area.intersection(screen), |x, y, directions| {
            grid[usize::from(y - screen.y) * usize::from(screen.width) + usize::from(x - screen.x)] |= directions;
        });
    }
    let dim = theme.style(Hue::Dim);
    for (cell, directions) in buffer.content.iter_mut().zip(&grid) {
        if *directions != 0 {
            cell.set_symbol(joint(*directions, theme.glyphs)).set_style(dim);
        }
    }
    for pane in panes.iter().filter(|pane| pane.focused) {
        let accent = Style::reset().patch(theme.style(Hue::Accent));
        border(pane.area.intersection(screen), |x, y, _| {
            buffer[(x, y)].set_style(accent);
        });
    }
    for pane in panes {
        titles(pane, theme, buffer);
        scroll_mark(pane, theme, buffer);
    }
}

/// Marks the visible part of a list at the right border.
fn scroll_mark(pane: &Framed, theme: Theme, buffer: &mut Buffer) {
    let area = pane.area.intersection(buffer.area);
    let height = area.height.saturating_sub(2);
    let Some((first, length)) = pane.scroll.and_then(|scroll| scroll.mark(usize::from(height))) else { return };
    let style = Style::reset().patch(theme.style(if pane.focused { Hue::Accent } else { Hue::Plain }));
    for y in (area.y + 1..area.bottom() - 1).skip(first).take(length) {
        put(buffer, area.right() - 1, y, 1, theme.pick("┃", "#"), style);
    }
}

/// Calls `mark` with the column, row and directions of every cell of a border.
fn border(area: Rect, mut mark: impl FnMut(u16, u16, u8)) {
    if area.width < 2 || area.height < 2 {
        return;
    }
    let (left, top, right, bottom) = (area.left(), area.top(), area.right() - 1, area.bottom() - 1);
    for x in left + 1..right {
        mark(x, top, LEFT | RIGHT);
        mark(x, bottom, LEFT | RIGHT);
    }
    for y in top + 1..bottom {
        mark(left, y, UP | DOWN);
        mark(right, y, UP | DOWN);
    }
    mark(left, top, DOWN | RIGHT);
    mark(right, top, DOWN | LEFT);
    mark(left, bottom, UP | RIGHT);
    mark(right, bottom, UP | LEFT);
}

/// Draws a box over the contents of the buffer: clears its area, draws its border, and calls `content` with the area
/// inside, which returns the visible part of its list. A wide character that the left border cuts in half is cleared,
/// too.
pub fn popup(
    framed: Framed,
    theme: Theme,
    buffer: &mut Buffer,
    content: impl FnOnce(Rect, &mut Buffer) -> Option<Scroll>,
) {
    let area = framed.area.intersection(buffer.area);
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            buffer[(x, y)].reset();
        }
        if let Some(x) = area.left().checked_sub(1).filter(|x| *x >= buffer.area.left())
            && width(buffer[(x, y)].symbol()) > 1
        {
            buffer[(x, y)].set_symbol(" ");
        }
    }
    // The box gets a separate buffer, so that its border is not joined to borders below it.
    let mut top = Buffer::empty(area);
    let pane = Framed { area, ..framed };
    draw(std::slice::from_ref(&pane), theme, &mut top);
    let scroll = content(inside(area), &mut top);
    scroll_mark(&Framed { scroll, ..pane }, theme, &mut top);
    buffer.merge(&top);
}

/// The texts of an upper border, from left to right.
struct Heading<'p> {
    before: String,
    title: String,
    after: String,
    suffix: &'p str,
    /// Number of columns for all of them.
    room: usize,
}

/// Returns the texts of a pane's upper border; `None` if it is too narrow for any.
fn heading(pane: &Framed, area: Rect, theme: Theme) -> Option<Heading<'_>> {
    let room = usize::from(area.width.saturating_sub(4));
    if room < 3 {
        return None;
    }
    let suffix = suffix(pane, room, theme);
    // The suffix is more important than the end of a long title.
    let reserved = if suffix.is_empty() { 0 } else { (width(suffix) + 4).min(room * 2 / 3) };
    let title =
        format!(" {} ", clip(&pane.title, (room - 2).saturating_sub(reserved).max(room.min(14) - 2), theme.ellipsis()));
    let (before, after) = tabs(pane, room.saturating_sub(width(&title) + reserved), theme);
    Some(Heading { before, title, after, suffix, room })
}

/// Returns the tab in the upper border of a pane at a column of the screen; `None` if no tab is there.
#[must_use]
pub fn tab_at(pane: &Framed, theme: Theme, column: u16) -> Option<&str> {
    let Heading { before, title, after, .. } = heading(pane, pane.area, theme)?;
    let column = usize::from(column.checked_sub(pane.area.x + 2)?);
    let (text, tabs, column) = match column.checked_sub(width(&before)) {
        None => (before, &pane.tabs.0, column),
        Some(column) => (after, &pane.tabs.1, column.checked_sub(width(&title))?),
    };
    let (mut from, mut found) = (0, None);
    for tab in tabs.iter().filter(|_| column < width(&text)) {
        // Every form of a tab begins with its number.
        let number = tab.split(' ').next().unwrap_or_default();
        let at = from + text[from..].find(number)?;
        if width(&text[..at]) > column {
            break;
        }
        (from, found) = (at + number.len(), Some(tab.as_str()));
    }
    found
}

fn titles(pane: &Framed, theme: Theme, buffer: &mut Buffer) {
    let area = pane.area.intersection(buffer.area);
    let Some(Heading { before, title, after, suffix, room }) = heading(pane, area, theme) else { return };
    let style = Style::reset().patch(if pane.focused { theme.style(Hue::Accent) } else { Style::new() });
    let dim = Style::reset().patch(theme.style(Hue::Dim));
    let x = put(buffer, area.x + 2, area.y, room as u16, &before, dim);
    let x = put(buffer, x, area.y, room as u16, &title, style);
    put(buffer, x, area.y, room as u16, &after, dim);
    let left = room.saturating_sub(width(&before) + width(&title) + width(&after) + 1);
    if !suffix.is_empty() && left > 8 {
        let suffix = format!(" {} ", clip(suffix, left.saturating_sub(2), theme.ellipsis()));
        let x = area.right() - 2 - width(&suffix) as u16;
        put(buffer, x, area.y, left as u16, &suffix, style);
    }
}

/// Returns the suffix of a pane, or its shorter form if the longer one needs room of the title or the tabs. Without
/// colours, the words of the suffix are more important than the names of the tabs, whose numbers are enough.
fn suffix(pane: &Framed, room: usize, theme: Theme) -> &str {
    if pane.short_suffix.is_empty() {
        return &pane.suffix;
    }
    let columns = |(before, after): (String, String)| width(&before) + width(&after);
    let whole = columns(tabs(pane, usize::MAX, theme));
    let rest = room.checked_sub(width(&pane.title) + 2 + width(&pane.suffix) + 4);
    let fits = rest.is_some_and(|rest| match theme.colours {
        Colours::None => whole == 0 || columns(tabs(pane, rest, theme)) > 0,
        Colours::Terminal | Colours::ColourBlind => whole <= rest,
    });
    if fits { &pane.suffix } else { &pane.short_suffix }
}

/// Returns the tabs before and after the title of a pane, within this many columns: with dots between them, without
/// dots, only their numbers, or no tabs.
fn tabs(pane: &Framed, room: usize, theme: Theme) -> (String, String) {
    let whole = |tab: &String| tab.clone();
    let number = |tab: &String| tab.split(' ').next().unwrap_or_default().to_owned();
    let shown = |between: &str, tab: &dyn Fn(&String) -> String| {
        let joined = |tabs: &[String]| tabs.iter().map(tab).collect::<Vec<_>>().join(between);
        let (before, after) = (joined(&pane.tabs.0), joined(&pane.tabs.1));
        let before = if before.is_empty() { before } else { format!(" {before}{}", between.trim_end()) };
        let after = if after.is_empty() { after } else { format!("{}{after} ", between.trim_start()) };
        (width(&before) + width(&after) <= room).then_some((before, after))
    };
    let forms = [shown(theme.dot(), &whole), shown(" ", &whole), shown(" ", &number)];
    forms.into_iter().flatten().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::Glyphs;

    fn picture(theme: Theme) -> Vec<String> {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 24, 7));
        let pane = |area, title: &str, suffix: &str| Framed {
            area,
            title: title.to_owned(),
            suffix: suffix.to_owned(),
            ..Framed::default()
        };
        let panes = [
            pane(Rect::new(0, 0, 10, 4), "1 Runs", ""),
            pane(Rect::new(9, 0, 15, 4), "2 Graph", ""),
            pane(Rect::new(0, 3, 24, 4), "4 Log", "12 lines"),
        ];
        draw(&panes, theme, &mut buffer);
        (0..7).map(|y| (0..24).map(|x| buffer[(x, y)].symbol()).collect()).collect()
    }

    #[test]
    fn neighbours_share_their_borders() {
        insta::assert_snapshot!(picture(Theme::default()).join("\n"));
    }

    #[test]
    fn ascii_borders_are_ascii() {
        assert!(picture(Theme { glyphs: Glyphs::Ascii, ..Theme::default() }).iter().all(|line| line.is_ascii()));
    }

    #[test]
    fn a_list_that_does_not_fit_has_a_mark_that_moves_with_it() {
        let mark = |first, shown, all| Scroll { first, shown, all }.mark(10);
        assert_eq!(mark(0, 10, 10), None);
        assert_eq!(mark(0, 10, 20), Some((0, 5)));
        assert_eq!(mark(5, 10, 20), Some((2, 5)));
        assert_eq!(mark(10, 10, 20), Some((5, 5)));
        assert_eq!(mark(990, 10, 1000), Some((9, 1)));
        assert_eq!(mark(usize::MAX, 10, 1000), Some((9, 1)));
    }

    #[test]
    fn the_short_suffix_replaces_one_that_takes_room_of_the_tabs() {
        let line = |width: u16, colours: Colours| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, width, 3));
            let pane = Framed {
                area: buffer.area,
                title: "3 Jobs".to_owned(),
                tabs: (vec!["1 Runs".to_owned()], vec!["4 Log".to_owned()]),
                suffix: "7 ok, 1 allowed".to_owned(),
                short_suffix: "7+ 1!".to_owned(),
                ..Framed::default()
            };
            draw(&[pane], Theme { colours, ..Theme::default() }, &mut buffer);
            (0..width).map(|x| buffer[(x, 0)].symbol()).collect::<String>()
        };
        let whole = "┌─ 1 Runs · 3 Jobs · 4 Log ────── 7 ok, 1 allowed ─┐";
        assert_eq!(line(52, Colours::Terminal), whole);
        assert_eq!(line(52, Colours::None), whole);
        assert_eq!(line(42, Colours::Terminal), "┌─ 1 Runs · 3 Jobs · 4 Log ────── 7+ 1! ─┐");
        assert_eq!(line(42, Colours::None), "┌─ 1 3 Jobs 4 ───────── 7 ok, 1 allowed ─┐");
    }

    #[test]
    fn a_tab_is_found_where_it_is_drawn() {
        let tabs = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let found = |width: u16, column: u16| {
            let pane = Framed {
                area: Rect::new(0, 0, width, 3),
                title: "3 Jobs".to_owned(),
                tabs: (tabs(&["1 Runs", "2 Graph"]), tabs(&["5 Services"])),
                ..Framed::default()
            };
            tab_at(&pane, Theme::default(), column).map(str::to_owned)
        };
        // ┌─ 1 Runs · 2 Graph · 3 Jobs · 5 Services ───┐
        let places = [(2, None), (3, Some("1 Runs")), (8, Some("1 Runs")), (12, Some("2 Graph")), (23, None)];
        for (column, tab) in places.into_iter().chain([(33, Some("5 Services")), (45, None)]) {
            assert_eq!(found(48, column).as_deref(), tab, "{column}");
        }
        // ┌─ 1 2 3 Jobs 5 ─┐
        for (column, tab) in [(3, Some("1 Runs")), (5, Some("2 Graph")), (8, None), (14, Some("5 Services"))] {
            assert_eq!(found(20, column).as_deref(), tab, "{column}");
        }
    }

    #[test]
    fn a_box_leaves_no_half_of_a_wide_character() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 3));
        for y in 0..3 {
            put(&mut buffer, 1, y, 10, "日本語日本", Style::new());
        }
        let area = Rect::new(4, 0, 4, 3);
        popup(Framed { area, ..Framed::default() }, Theme::default(), &mut buffer, |_, _| None);
        let row: String = (0..12).map(|x| buffer[(x, 1)].symbol()).collect();
        assert!(row.starts_with(" 日  │"), "{row}");
    }
}
