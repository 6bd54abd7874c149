//! Searchable help: the keys of a panel, and the keys that are active in every panel.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::{ACTIONS, Action, Context};
use crate::app::availability::{Subject, unavailable};
use crate::app::keymap::{Keymap, Sequence};
use crate::app::panes::{Cx, motion};
use crate::app::state::AppState;
use crate::app::text_input::TextInput;
use crate::model::capabilities::Unavailable;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::input_row;

/// Width of the keys in columns.
const KEYS: u16 = 17;

/// The help for a panel.
#[derive(Clone, Debug)]
pub(in crate::app) struct Help {
    context: Context,
    filter: TextInput,
    /// First row on the screen.
    offset: usize,
}

/// A row of the help.
struct Row {
    keys: String,
    doc: &'static str,
    /// Why the action is unavailable; `None` if it is available.
    reason: Option<Unavailable>,
}

impl Help {
    pub(super) fn new(context: Context) -> Self {
        Self { context, filter: TextInput::default(), offset: 0 }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let edits = self.filter.key(key);
        if edits {
            self.offset = 0;
        }
        edits
    }

    pub(super) fn paste(&mut self, text: &str) {
        self.filter.insert(text);
        self.offset = 0;
    }

    pub(super) fn act(&mut self, action: Action, height: usize) {
        if let Some(to) = motion(action, self.offset, ACTIONS.len(), height) {
            self.offset = to;
        }
    }

    pub(super) fn title(&self) -> String {
        format!("Keys: {}", self.context.name())
    }

    pub(super) fn draw(&self, cx: &Cx, keymap: &Keymap, subject: Subject<'_>, area: Rect, buffer: &mut Buffer) {
        let list = input_row(&self.filter, true, cx, area, buffer);
        let rows = self.rows(cx.state, keymap, subject);
        let dim = cx.theme.style(Hue::Dim);
        if rows.is_empty() {
            text::put(buffer, list.x + KEYS + 2, list.y, list.width.saturating_sub(KEYS + 3), "no matches", dim);
        }
        let offset = self.offset.min(rows.len().saturating_sub(usize::from(list.height)));
        for (row, y) in rows.into_iter().skip(offset).zip(list.y..list.bottom()) {
            let (key_style, style) =
                if row.reason.is_some() { (dim, dim) } else { (cx.theme.style(Hue::Accent), Style::new()) };
            let keys = text::clip(&row.keys, usize::from(KEYS), cx.theme.ellipsis());
            text::put(buffer, list.x + 1, y, KEYS, &keys, key_style);
            let doc = match row.reason {
                Some(reason) => format!("{} ({reason})", row.doc.split([';', ',']).next().unwrap_or_default()),
                None => row.doc.to_owned(),
            };
            let room = list.width.saturating_sub(KEYS + 3);
            let doc = text::clip(&doc, usize::from(room), cx.theme.ellipsis());
            text::put(buffer, list.x + KEYS + 2, y, room, &doc, style);
        }
    }

    /// Returns the actions of the panel, then those of every panel, that match the filter by key, name or description.
    fn rows(&self, state: &AppState, keymap: &Keymap, subject: Subject<'_>) -> Vec<Row> {
        let own = ACTIONS.iter().filter(|entry| entry.contexts.contains(&self.context));
        let everywhere = ACTIONS.iter().filter(|entry| entry.contexts.contains(&Context::Everywhere));
        let filter = self.filter.text();
        let mut rows = Vec::new();
        for entry in own.chain(everywhere) {
            let keys: Vec<String> = keymap.keys(entry.action).iter().map(Sequence::to_string).collect();
            // The filter matches whole keys: the first of a sequence, but not the first letters of a key's name.
            let has_key = |key: &String| {
                key.strip_prefix(filter).is_some_and(|rest| matches!(rest.chars().next(), None | Some(' ')))
            };
            if keys.iter().any(has_key) || text::holds(filter, &[entry.name, entry.hint, entry.doc]) {
                let keys = if keys.is_empty() { "(no key)".to_owned() } else { keys.join(", ") };
                rows.push(Row { keys, doc: entry.doc, reason: unavailable(entry.action, state, subject) });
            }
        }
        rows
    }
}
