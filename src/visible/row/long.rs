//! A row that is too long to keep.

use vte::{Params, Parser, Perform};

use super::{PlainRow, feed, moves};

/// A row that is too long to keep. It tracks only whether its text is overwritten.
#[derive(Default)]
pub struct LongRow {
    parser: Parser,
    cursor: Cursor,
    /// Whether the line so far ends in text, not in a control sequence that may continue.
    ends_in_text: bool,
}

/// State of the cursor of a long row.
#[derive(Default)]
struct Cursor {
    /// Whether the cursor is before the end of the text, so that more text would overwrite text. A carriage return at
    /// the end of a line overwrites nothing, because no text follows it.
    is_back: bool,
    has_moved: bool,
    has_printed: bool,
}

impl Perform for Cursor {
    fn print(&mut self, _: char) {
        self.has_moved |= self.is_back;
        self.has_printed = true;
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' => self.is_back = true,
            8 => self.has_moved = true,
            b'\t' => self.has_moved |= self.is_back,
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: char) {
        let erases_rest = || action == 'K' && params.iter().flatten().all(|param| *param == 0);
        match action {
            _ if !intermediates.is_empty() => {}
            'm' | 's' => {}
            _ if !self.is_back && erases_rest() => {}
            _ => self.has_moved = true,
        }
    }
}

/// Continues a row that has become too long to keep.
impl From<PlainRow> for LongRow {
    fn from(row: PlainRow) -> Self {
        let cursor = Cursor { is_back: row.row.0.moved, ..Cursor::default() };
        Self { parser: row.parser, cursor, ends_in_text: false }
    }
}

impl LongRow {
    /// Takes the next part of the line. Returns whether the line so far moves the cursor back and overwrites, erases or
    /// inserts text.
    pub fn is_overwritten_by(&mut self, part: &[u8]) -> bool {
        let is_text = !moves(part);
        // Skips parsing, which takes longer: a line of 100 MB may contain only such text.
        if is_text && self.ends_in_text {
            return false;
        }
        self.cursor.has_printed = false;
        feed(&mut self.parser, part, &mut self.cursor);
        self.ends_in_text = is_text && self.cursor.has_printed;
        self.cursor.has_moved
    }
}
