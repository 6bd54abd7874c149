//! A single-line text input, as in prompts, pickers, forms and searches.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use tui_input::{Input, InputRequest};
use unicode_segmentation::UnicodeSegmentation;

use crate::ui::caret;
use crate::ui::terminal_text;
use crate::ui::text;
use crate::ui::theme::Theme;

/// Maximum number of characters of a text.
const MAX_TEXT: usize = 1000;

/// Modifiers of keys that do not type text.
pub(super) const MODIFIERS: KeyModifiers = KeyModifiers::CONTROL.union(KeyModifiers::ALT);

/// A text with a cursor.
#[derive(Clone, Debug, Default)]
pub(super) struct TextInput(Input);

impl From<String> for TextInput {
    /// Returns the text with the cursor at its end.
    fn from(text: String) -> Self {
        Self(Input::new(text))
    }
}

impl TextInput {
    /// Returns the text.
    pub(super) fn text(&self) -> &str {
        self.0.value()
    }

    /// Removes the text.
    pub(super) fn clear(&mut self) {
        self.0.reset();
    }

    /// Inserts text at the cursor, up to the maximum length. A tab and the end of a line become a blank, except the end
    /// of the last line; other control characters are left out.
    pub(super) fn insert(&mut self, text: &str) {
        let room = MAX_TEXT.saturating_sub(self.text().chars().count());
        let text = text.trim_end_matches(['\r', '\n']).replace("\r\n", "\n").replace(['\r', '\n', '\t'], " ");
        for c in text.chars().filter(|c| !c.is_control()).take(room) {
            self.0.handle(InputRequest::InsertChar(c));
        }
    }

    /// Handles an editing key: a character, or a key that moves the cursor or deletes. Returns `false` for any other
    /// key.
    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let request = match (key.code, control, alt) {
            (KeyCode::Char(c), false, false) => {
                self.insert(c.encode_utf8(&mut [0; 4]));
                return true;
            }
            (KeyCode::Left, false, false) => InputRequest::GoToPrevChar,
            (KeyCode::Right, false, false) => InputRequest::GoToNextChar,
            (KeyCode::Left, true, false) | (KeyCode::Left | KeyCode::Char('b'), false, true) => {
                InputRequest::GoToPrevWord
            }
            (KeyCode::Right, true, false) | (KeyCode::Right | KeyCode::Char('f'), false, true) => {
                InputRequest::GoToNextWord
            }
            (KeyCode::Home, ..) | (KeyCode::Char('a'), true, false) => InputRequest::GoToStart,
            (KeyCode::End, ..) | (KeyCode::Char('e'), true, false) => InputRequest::GoToEnd,
            (KeyCode::Backspace, false, false) | (KeyCode::Char('h'), true, false) => InputRequest::DeletePrevChar,
            (KeyCode::Delete, false, false) => InputRequest::DeleteNextChar,
            (KeyCode::Backspace, ..) | (KeyCode::Char('w'), true, false) => InputRequest::DeletePrevWord,
            (KeyCode::Delete, ..) | (KeyCode::Char('d'), false, true) => InputRequest::DeleteNextWord,
            (KeyCode::Char('u'), true, false) => InputRequest::DeleteFromStart,
            (KeyCode::Char('k'), true, false) => InputRequest::DeleteTillEnd,
            (KeyCode::Char('y'), true, false) => InputRequest::Yank,
            _ => return false,
        };
        self.0.handle(request);
        true
    }

    /// Draws as much of the text around the cursor as fits into a row. If `focused`, also draws the cursor, whose cell is
    /// the caret of the screen. Returns the column after the text.
    pub(super) fn draw(&self, focused: bool, theme: Theme, row: Rect, buffer: &mut Buffer) -> u16 {
        let text = self.text();
        let cursor = text.char_indices().nth(self.0.cursor()).map_or(text.len(), |(at, _)| at);
        let under = text[cursor..].graphemes(true).next().unwrap_or(" ");
        let room = usize::from(row.width).saturating_sub(columns(under).max(1));
        let mut starts = text[..cursor].grapheme_indices(true).map(|(at, _)| at).chain([cursor]);
        let first = starts.find(|at| columns(&text[*at..cursor]) <= room).unwrap_or(cursor);
        let end = text::put(buffer, row.x, row.y, row.width, &text[first..], Style::new());
        if !focused {
            return end;
        }
        let x = row.x + columns(&text[first..cursor]) as u16;
        let after = text::put(buffer, x, row.y, row.right().saturating_sub(x), under, caret::marked(theme.selected()));
        end.max(after)
    }
}

/// Returns the width of a text in columns.
fn columns(text: &str) -> usize {
    text::width(&terminal_text::clean(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::keymap::typed;
    use proptest::prelude::*;
    use ratatui::style::Modifier;

    fn input(keys: &str) -> TextInput {
        let mut input = TextInput::default();
        for key in typed(keys).expect("keys") {
            assert!(input.key(key), "{key:?} edits");
        }
        input
    }

    #[test]
    fn keys_move_and_delete() {
        for (keys, text) in [
            ("abc<left><left>x", "axbc"),
            ("abc<home>x<right>y<end>z", "xaybcz"),
            ("abc<ctrl-a>x<ctrl-e>y", "xabcy"),
            ("abc<left><backspace>", "ac"),
            ("abc<home><delete>", "bc"),
            ("one two<ctrl-w>", "one "),
            ("one two<alt-backspace>", "one "),
            ("one two<left><ctrl-u>", "o"),
            ("one two<alt-b>x", "one xtwo"),
            ("one two<alt-b><alt-b><alt-f>x", "one xtwo"),
            ("one two<ctrl-left>x", "one xtwo"),
            ("one two<home><alt-delete>", "two"),
            ("one two<home><alt-d>", "two"),
            ("one two<ctrl-left><ctrl-k>", "one "),
            ("one two<ctrl-w><home><ctrl-y>", "twoone "),
            ("日本<left><backspace>x", "x本"),
            ("e\u{301}x<backspace><backspace>", ""),
        ] {
            assert_eq!(input(keys).text(), text, "{keys}");
        }
        for key in
            ["<enter>", "<esc>", "<up>", "<down>", "<tab>", "<pageup>", "<ctrl-c>", "<ctrl-d>", "<ctrl-f>", "<f5>"]
        {
            let event = typed(key).expect("a key")[0];
            assert!(!TextInput::default().key(event), "{key} is left to others");
        }
    }

    #[test]
    fn pasted_text_has_no_control_characters_and_a_limit() {
        let mut input = input("ab<left>");
        input.insert("1\n2\x1b3");
        assert_eq!(input.text(), "a1 23b");
        let mut lines = TextInput::default();
        lines.insert("main\r\nfeature\tx\ry\n");
        assert_eq!(lines.text(), "main feature x y", "the lines are not glued together");
        input.insert(&"x".repeat(2 * MAX_TEXT));
        assert_eq!(input.text().len(), MAX_TEXT);
    }

    /// Draws the text in a row of 6 columns, and returns it with the cursor's cells in brackets.
    fn drawn(input: &TextInput) -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 1));
        input.draw(true, Theme::default(), buffer.area, &mut buffer);
        let cell = |cell: &ratatui::buffer::Cell| {
            let (open, close) = if cell.modifier.contains(Modifier::REVERSED) { ("[", "]") } else { ("", "") };
            format!("{open}{}{close}", cell.symbol())
        };
        buffer.content.iter().map(cell).collect()
    }

    #[test]
    fn the_cursor_is_always_visible() {
        for (keys, shown) in [
            ("", "[ ]     "),
            ("abc", "abc[ ]  "),
            ("abcdefgh", "defgh[ ]"),
            ("abcdefgh<left>", "cdefg[h]"),
            ("abcdefgh<home>", "[a]bcdef"),
            ("日本語", "本 語 [ ] "),
            ("日本語<left>", "日 本 [語] "),
        ] {
            assert_eq!(drawn(&input(keys)), shown, "{keys}");
        }
    }

    #[test]
    fn the_cursor_of_a_focused_input_is_the_caret() {
        let caret = |focused, keys| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 1));
            input(keys).draw(focused, Theme::default(), buffer.area, &mut buffer);
            caret::find(&buffer)
        };
        assert_eq!((caret(true, "abc"), caret(true, "日本<left>")), (Some((3, 0)), Some((2, 0))));
        assert_eq!(caret(false, "abc"), None);
    }

    proptest! {
        #[test]
        fn drawing_never_leaves_its_row(text in ".{0,40}", moves in 0_usize..40, x in 0_u16..12, width in 0_u16..12) {
            let mut input = TextInput::from(text);
            for _ in 0..moves {
                input.0.handle(InputRequest::GoToPrevChar);
            }
            let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 2));
            let row = Rect::new(x, 0, width, 1).intersection(buffer.area);
            input.draw(true, Theme::default(), row, &mut buffer);
            for (column, cell) in buffer.content.iter().enumerate() {
                let inside = (row.x..row.right()).contains(&(column as u16 % 12)) && column < 12;
                prop_assert!(inside || cell.symbol() == " ");
            }
        }
    }
}
