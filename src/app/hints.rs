//! A box with the possible continuations of a key sequence.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::ui::frame;
use crate::ui::frame::Framed;
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

use super::action::PREFIXES;
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

/// Draws the continuations of the pressed keys, at the right end of the rows above `below`.
pub(super) fn draw(
    pressed: &[Key],
    continuations: &[Continuation],
    state: &AppState,
    theme: Theme,
    subject: Subject<'_>,
    below: Rect,
    buffer: &mut Buffer,
) {
    let keys = continuations.iter().map(|one| text::width(&one.rest)).max().unwrap_or_default() as u16;
    let line = |one: &Continuation| {
        let (entry, reason) = (one.action.entry(), unavailable(one.action, state, subject));
        reason.map_or_else(|| entry.doc.to_owned(), |reason| format!("{}: {reason}", entry.name))
    };
    let docs = continuations.iter().map(|one| text::columns(&line(one))).max().unwrap_or_default();
    let width = (keys + docs + 6).min(MAX_COLUMNS).min(below.width);
    // A narrow strip beside the box would show only the ends of texts.
    let width = if below.width - width < MIN_BESIDE { below.width } else { width };
    let height = (continuations.len() as u16 + 2).min(below.y);
    let area = Rect { x: below.right() - width, y: below.y - height, width, height };
    let pressed: Vec<String> = pressed.iter().map(ToString::to_string).collect();
    let pressed = pressed.join(" ");
    let title = name(&pressed).map_or_else(|| pressed.clone(), |name| format!("{pressed}  {name}"));
    let framed = Framed { area, title, suffix: "Esc: cancel".to_owned(), focused: true, ..Framed::default() };
    frame::popup(framed, theme, buffer, |inside, buffer| {
        for (one, y) in continuations.iter().zip(inside.y..inside.bottom()) {
            let is_available = unavailable(one.action, state, subject).is_none();
            let (key_style, style) = if is_available {
                (theme.style(Hue::Accent), Style::new())
            } else {
                (theme.style(Hue::Dim), theme.style(Hue::Dim))
            };
            text::put(buffer, inside.x + 1, y, keys, &one.rest, key_style);
            let room = inside.width.saturating_sub(keys + 4);
            let line = line(one);
            let doc = text::clip(&line, usize::from(room), theme.ellipsis());
            text::put(buffer, inside.x + keys + 3, y, room, &doc, style);
        }
        None
    });
}
