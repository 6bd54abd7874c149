//! The visible part of untrusted text: which characters are dropped before the text is shown, and which remain.
//!
//! The table of these characters has two users. [`crate::ui::terminal_text`] drops the characters on the way to a
//! terminal; the engine masks secrets in the remaining text, so that a dropped character cannot split a secret.

pub mod row;

use std::ops::Range;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use vte::{Parser, Perform};

/// Whether a character could affect more than its own cell, or change how the text around it is read: control
/// characters, line and paragraph separators, bidirectional marks, all invisible characters
/// (`Default_Ignorable_Code_Point`, including tag characters and fillers), and emoji modifiers, whose width differs
/// between terminals.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    if matches!(c, ' '..='~') {
        return false;
    }
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}')
        || matches!(c, '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}')
        || matches!(c, '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}')
        || matches!(c, '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns the number of columns of a character.
#[must_use]
pub fn char_width(c: char) -> usize {
    if is_sound_mark(c) { 1 } else { c.width().unwrap_or(0) }
}

/// Returns the number of columns of a text, as counted by the code that writes cells to the terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    // Fast path: most texts are ASCII, and are measured several times per frame.
    if text.is_ascii() { text.len() } else { text.width() + text.chars().filter(|c| is_sound_mark(*c)).count() }
}

/// Whether a character is one of the half-width voiced sound marks of katakana. Unicode treats them as part of the
/// preceding character, but terminals give them a cell.
fn is_sound_mark(c: char) -> bool {
    matches!(c, '\u{ff9e}' | '\u{ff9f}')
}

/// Whether the text has characters that are dropped before it is shown. Newlines and tabs do not count.
#[must_use]
pub fn has_unsafe(text: &[u8]) -> bool {
    // Logs seldom contain bytes other than these. The loop has no branches, so that the compiler compares sixteen or
    // more bytes at once.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    let all_plain = |part: &[u8]| part.iter().fold(true, |all, byte| all & is_plain(*byte));
    if text.chunks(128).all(all_plain) {
        return false;
    }
    text.utf8_chunks().any(|chunk| chunk.valid().contains(|c| is_unsafe(c) && !matches!(c, '\n' | '\t')))
}

/// A form in which a line is shown, with the position in the line of each shown byte.
#[derive(Debug, Default)]
pub struct Visible {
    text: Vec<u8>,
    /// Index in the line of each byte of `text`.
    places: Vec<usize>,
}

impl Visible {
    /// Returns the forms in which a line is shown; none if it is shown unchanged. Names and messages are shown without
    /// unsafe characters, lines of logs also without control sequences.
    #[must_use]
    pub fn readings(line: &[u8]) -> Vec<Self> {
        if !has_unsafe(line) {
            return Vec::new();
        }
        let mut readings = vec![Self::without_characters(line)];
        if line.contains(&0x1b) || row::first_c1(line).is_some() {
            readings.push(Self::without_sequences(line));
        }
        readings
    }

    /// Drops the unsafe characters.
    fn without_characters(line: &[u8]) -> Self {
        let mut visible = Self::default();
        each_character(line, |at, bytes, c| {
            if !is_unsafe(c) || c == '\t' {
                visible.push(at, bytes);
            }
            0
        });
        visible
    }

    /// Drops the unsafe characters and the control sequences, as a terminal does.
    fn without_sequences(line: &[u8]) -> Self {
        /// The text that is shown for the last character: the character or nothing. Inside a control sequence, a byte
        /// of the character may end the sequence; its other bytes are then shown as replacement characters.
        struct Shown(String);
        impl Perform for Shown {
            fn print(&mut self, c: char) {
                self.0.extend(Some(c).filter(|c| !is_unsafe(*c)));
            }
            fn execute(&mut self, byte: u8) {
                self.0.extend((byte == b'\t').then_some('\t'));
            }
        }
        let (mut visible, mut parser) = (Self::default(), Parser::new());
        each_character(line, |at, bytes, c| {
            let mut shown = Shown(String::new());
            match c {
                // C1 controls are parsed like the escape sequences that they stand for.
                '\u{80}'..='\u{9f}' => parser.advance(&mut shown, &[0x1b, c as u8 - 0x40]),
                c => parser.advance(&mut shown, c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            if shown.0.as_bytes() != bytes {
                visible.text.extend_from_slice(shown.0.as_bytes());
                visible.places.extend(std::iter::repeat_n(at, shown.0.len()));
                return 0;
            }
            visible.push(at, bytes);
            if c == '\t' {
                // A tab inside a control sequence does not end it.
                return 0;
            }
            // No sequence is open, so plain text is shown up to the next one.
            let after = &line[at + bytes.len()..];
            let plain = after.iter().take_while(|byte| matches!(byte, b' '..=b'~')).count();
            visible.push(at + bytes.len(), &after[..plain]);
            plain
        });
        visible
    }

    fn push(&mut self, at: usize, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        self.places.extend(at..at + bytes.len());
    }

    /// Returns the visible text.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns the range of the line that a range of the text comes from. `range` must not be empty.
    #[must_use]
    pub fn range(&self, range: Range<usize>) -> Range<usize> {
        self.places[range.start]..self.places[range.end - 1] + 1
    }

    /// Returns the index of the last visible byte up to an index in the line; 0 without one.
    #[must_use]
    pub fn at_or_before(&self, index: usize) -> usize {
        let count = self.places.partition_point(|place| *place <= index);
        count.checked_sub(1).map_or(0, |last| self.places[last])
    }

    /// Returns the index in the line at which the last `count` bytes of the text begin.
    #[must_use]
    pub fn last(&self, count: usize) -> usize {
        self.places.get(self.text.len().saturating_sub(count)).copied().unwrap_or(0)
    }
}

/// Visits each character with its index and its bytes; invalid bytes are replacement characters. `visit` returns how
/// many bytes after the character are skipped.
fn each_character(line: &[u8], mut visit: impl FnMut(usize, &[u8], char) -> usize) {
    let (mut at, mut next) = (0, 0);
    for chunk in line.utf8_chunks() {
        let valid = chunk.valid().char_indices().map(|(index, c)| (at + index, c.len_utf8(), c));
        let invalid = (at + chunk.valid().len(), chunk.invalid().len(), char::REPLACEMENT_CHARACTER);
        for (index, length, c) in valid.chain((invalid.1 > 0).then_some(invalid)) {
            if index >= next {
                next = index + length;
                next += visit(index, &line[index..next], c);
            }
        }
        at += chunk.valid().len() + chunk.invalid().len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_splits_nothing() {
        for line in [
            "hun\u{200b}ter2",
            "hun\u{ad}t\u{e0041}er\u{fe0f}2",
            "hun\u{1b}[1;31mter2",
            "hun\u{1b}[\u{1b}[0mter2",
            "hun\u{1b}[12\u{18}ter2",
            "hun\u{1b}[12\u{1a}ter2",
            "hun\u{1b}[1\u{8}mter2",
            "hun\u{1b}]0;title\u{7}ter2",
            "hun\u{1b}]0;t\u{1b}\\ter2",
            "hun\u{1b}Pq data\u{1b}\\ter2",
            "hun\u{1b}(Bter2",
            "hun\u{1b}[\u{ff}0mter2",
            "hun\u{9b}ter2",
            "hun\u{9b}31mter2",
            "h\u{0}u\u{8}n\u{7f}ter2",
            "hun\rter2",
        ] {
            let seen: Vec<_> = Visible::readings(line.as_bytes());
            let wanted = seen.iter().find(|seen| seen.text() == b"hunter2");
            let wanted = wanted.unwrap_or_else(|| panic!("{line:?}: {seen:?}"));
            assert_eq!((wanted.range(0..7), wanted.last(1), wanted.last(9)), (0..line.len(), line.len() - 1, 0));
        }
    }

    #[test]
    fn a_text_without_unsafe_characters_has_one_reading() {
        for line in ["plain\ttext\n", "✓ grün 日本", "", "a\u{301}"] {
            assert!(!has_unsafe(line.as_bytes()) && Visible::readings(line.as_bytes()).is_empty(), "{line:?}");
        }
        assert!(has_unsafe(&[&[b'x'; 500][..], b"\x1b"].concat()) && !has_unsafe(b"\xff\xc2"));
    }
}
