//! A box with the possible continuations of a key sequence.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::ui::frame;
use crate::ui::frame::Framed;
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

use super::action::{Action, PREFIXES};
use super::availability::{Subject, unavailable};
use super::keymap::{Continuation, Key};
use super::state::AppState;

/// Maximum width of the box in columns.
const MAX_COLUMNS: u16 = 120;

/// Minimum number of columns beside the box.
const MIN_BESIDE: u16 = 16;

/// Returns the name of a prefix, if it has one.
pub(super) fn name(prefix: &str) -> Option<&'static str> {
    PREFIXES.iter().find(|known| known.key == prefix).map(|known| known.name)
}

/// A possible continuation.
struct Entry {
    action: Action,
    keys: String,
    /// Why the action is not available; `None` if it is.
    reason: Option<String>,
}

impl Entry {
    fn name(&self) -> &'static str {
        self.action.entry().name
    }

    /// Returns a text of the entry in a row of the box.
    fn cell(&self, x: usize, text: String, is_key: bool) -> Cell {
        Cell { x: text::limited(x), text, is_key, action: Some(self.action).filter(|_| self.reason.is_none()) }
    }

    /// Returns what the keys do, or why they do nothing now.
    fn text(&self) -> String {
        match &self.reason {
            None => self.action.entry().doc.to_owned(),
            Some(reason) => format!("{}: {reason}", self.name()),
        }
    }
}

/// A text in a row of the box.
struct Cell {
    /// Columns from the border.
    x: u16,
    text: String,
    is_key: bool,
    /// The action of the keys; `None` if it is not available.
    action: Option<Action>,
}

/// Draws the continuations of the pressed keys, at the right end of the rows above `below`. Returns the places of those
/// that are available.
pub(super) fn draw(
    pressed: &[Key],
    continuations: &[Continuation],
    state: &AppState,
    theme: Theme,
    subject: Subject<'_>,
    below: Rect,
    buffer: &mut Buffer,
) -> Vec<(Rect, Action)> {
    let entry = |one: &Continuation| Entry {
        action: one.action,
        keys: one.rest.clone(),
        reason: unavailable(one.action, state, subject).map(|reason| reason.to_string()),
    };
    let entries: Vec<Entry> = continuations.iter().map(entry).collect();
    let whole = whole(&entries, usize::from(below.width.min(MAX_COLUMNS).saturating_sub(2)));
    let widest = whole.iter().flatten().map(|cell| cell.x + text::columns(&cell.text)).max().unwrap_or_default();
    let width = (widest + 3).min(MAX_COLUMNS).min(below.width);
    // A narrow strip beside the box would show only the ends of texts.
    let width = if below.width - width < MIN_BESIDE { below.width } else { width };
    let room = usize::from(below.y.saturating_sub(2));
    let inside = usize::from(width.saturating_sub(2));
    let rows = [whole, clipped(&entries, inside, theme)].into_iter().find(|rows| rows.len() <= room);
    let rows = rows.unwrap_or_else(|| in_two_columns(&entries, inside, room, theme));
    let height = text::limited(rows.len() + 2).min(below.y);
    let area = Rect { x: below.right() - width, y: below.y - height, width, height };
    let pressed: Vec<String> = pressed.iter().map(ToString::to_string).collect();
    let pressed = pressed.join(" ");
    let title = name(&pressed).map_or_else(|| pressed.clone(), |name| format!("{pressed}  {name}"));
    let framed = Framed { area, title, suffix: "Esc: cancel".to_owned(), focused: true, ..Framed::default() };
    let mut places = Vec::new();
    frame::popup(framed, theme, buffer, |inside, buffer| {
        for (row, y) in rows.iter().zip(inside.y..inside.bottom()) {
            for Cell { x, text, is_key, action } in row {
                let style = match (action, is_key) {
                    (None, _) => theme.style(Hue::Dim),
                    (Some(_), true) => theme.style(Hue::Accent),
                    (Some(_), false) => Style::new(),
                };
                let x = inside.x + x;
                let end = text::put(buffer, x, y, inside.right().saturating_sub(x), text, style);
                places.extend(action.map(|action| (Rect { x, y, width: end.saturating_sub(x), height: 1 }, action)));
            }
        }
        None
    });
    places
}

/// Returns the width of the keys in columns.
fn columns_of_keys(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| text::width(&entry.keys)).max().unwrap_or_default()
}

/// Returns the rows of all entries in full, within this many columns. Entries that are not available for the same reason
/// share a row, so that the reason is read once.
fn whole(entries: &[Entry], columns: usize) -> Vec<Vec<Cell>> {
    let keys = columns_of_keys(entries);
    let mut rows = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let alike = |other: &&Entry| other.reason.is_some() && other.reason == entry.reason;
        if entries[..at].iter().any(|other| alike(&other)) {
            continue;
        }
        let sharing: Vec<&Entry> = entries.iter().filter(alike).collect();
        if let (2.., Some(reason)) = (sharing.len(), &entry.reason) {
            let named: Vec<String> = sharing.iter().map(|entry| format!("{} {}", entry.keys, entry.name())).collect();
            let line = format!("{}: {reason}", named.join(", "));
            let lines = text::wrap_indented(&line, columns.saturating_sub(2).max(1), 2);
            rows.extend(lines.into_iter().map(|text| vec![entry.cell(1, text, false)]));
            continue;
        }
        let lines = text::wrap(&entry.text(), columns.saturating_sub(keys + 4).max(1));
        let cells = lines.into_iter().map(|text| vec![entry.cell(keys + 3, text, false)]);
        let first = rows.len();
        rows.extend(cells);
        if let Some(row) = rows.get_mut(first) {
            row.push(entry.cell(1, entry.keys.clone(), true));
        }
    }
    rows
}

/// Returns the rows of all entries, one row each, within this many columns.
fn clipped(entries: &[Entry], columns: usize, theme: Theme) -> Vec<Vec<Cell>> {
    let keys = columns_of_keys(entries);
    let row = |entry: &Entry| {
        let text = text::clip(&entry.text(), columns.saturating_sub(keys + 4), theme.ellipsis()).into_owned();
        vec![entry.cell(1, entry.keys.clone(), true), entry.cell(keys + 3, text, false)]
    };
    entries.iter().map(row).collect()
}

/// Returns the names of all entries side by side, in at most `room` rows. If there is not enough room even so, the last
/// one says how many are missing.
fn in_two_columns(entries: &[Entry], columns: usize, room: usize, theme: Theme) -> Vec<Vec<Cell>> {
    let keys = columns_of_keys(entries);
    let half = columns / 2;
    let rows = entries.len().div_ceil(2).min(room);
    let shown = if entries.len() > 2 * rows { (2 * rows).saturating_sub(1) } else { entries.len() };
    let mut table: Vec<Vec<Cell>> = (0..rows).map(|_| Vec::new()).collect();
    for (at, entry) in entries.iter().take(shown).enumerate() {
        let x = at / rows * half;
        let name = text::clip(entry.name(), half.saturating_sub(keys + 3), theme.ellipsis()).into_owned();
        table[at % rows].extend([entry.cell(x + 1, entry.keys.clone(), true), entry.cell(x + keys + 2, name, false)]);
    }
    if let (1.., Some(last)) = (entries.len() - shown, table.last_mut()) {
        let text = format!("{} more: see ?", entries.len() - shown);
        last.push(Cell { x: text::limited(half + 1), text, is_key: false, action: None });
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(keys: &str, reason: Option<&str>) -> Entry {
        Entry { action: Action::Zoom, keys: keys.to_owned(), reason: reason.map(str::to_owned) }
    }

    fn texts(rows: &[Vec<Cell>]) -> Vec<String> {
        rows.iter().map(|row| row.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join("|")).collect()
    }

    #[test]
    fn a_shared_reason_is_shown_once_and_nothing_is_cut() {
        let entries = [entry("a", Some("none is open")), entry("b", None), entry("c", Some("none is open"))];
        assert_eq!(
            texts(&whole(&entries, 60)),
            ["a zoom, c zoom: none is open".to_owned(), format!("{}|b", Action::Zoom.entry().doc)]
        );
        assert_eq!(texts(&whole(&entries, 18))[..2], ["a zoom, c", "  zoom: none is"]);
    }

    #[test]
    fn entries_without_room_are_counted() {
        let entries: Vec<Entry> = ["a", "b", "c", "d", "e"].map(|keys| entry(keys, None)).into();
        let theme = Theme::default();
        assert_eq!(texts(&in_two_columns(&entries, 38, 3, theme)), ["a|zoom|d|zoom", "b|zoom|e|zoom", "c|zoom"]);
        assert_eq!(texts(&in_two_columns(&entries, 38, 2, theme)), ["a|zoom|c|zoom", "b|zoom|2 more: see ?"]);
        assert!(in_two_columns(&entries, 38, 0, theme).is_empty());
    }
}
