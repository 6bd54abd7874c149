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
    !row::is_plain(text) && (memchr::memchr(b'\r', text).is_some() || row::first_control(text).is_some())
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
        let mut readings = vec![Self::default()];
        without_characters(line, &mut readings[0]);
        if has_sequences(line) {
            let mut reading = Self::default();
            without_sequences(line, &mut reading);
            readings.push(reading);
        }
        readings
    }

    /// Appends the texts of the [`readings`](Self::readings) of a line to `texts`, each with a newline. This takes a
    /// fraction of the time.
    pub fn append_texts(line: &[u8], texts: &mut Vec<u8>) {
        if !has_unsafe(line) {
            return;
        }
        without_characters(line, texts);
        texts.push(b'\n');
        if has_sequences(line) {
            // Invalid bytes are shown as replacement characters, even if they are a character without the colours
            // between them.
            match str::from_utf8(line).ok().and_then(|_| row::without_colours(line)) {
                Some(text) => texts.extend_from_slice(&text),
                None => without_sequences(line, texts),
            }
            texts.push(b'\n');
        }
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

/// Receives the shown text of a line, from left to right.
trait Shown {
    /// Adds bytes of the line, of which the first is at this index.
    fn keep(&mut self, at: usize, bytes: &[u8]);

    /// Adds text that is shown instead of the character at this index.
    fn replace(&mut self, at: usize, text: &str);
}

impl Shown for Visible {
    fn keep(&mut self, at: usize, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        self.places.extend(at..at + bytes.len());
    }

    fn replace(&mut self, at: usize, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
        self.places.extend(std::iter::repeat_n(at, text.len()));
    }
}

impl Shown for Vec<u8> {
    fn keep(&mut self, _: usize, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn replace(&mut self, _: usize, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }
}

/// Whether a line may have control sequences.
fn has_sequences(line: &[u8]) -> bool {
    memchr::memchr(0x1b, line).is_some() || row::first_c1(line).is_some()
}

/// Drops the unsafe characters.
fn without_characters(line: &[u8], shown: &mut impl Shown) {
    each_character(line, |at, bytes, c| {
        if !is_unsafe(c) || c == '\t' {
            shown.keep(at, bytes);
        }
        keep_plain(line, at + bytes.len(), shown)
    });
}

/// Drops the unsafe characters and the control sequences, as a terminal does.
fn without_sequences(line: &[u8], shown: &mut impl Shown) {
    /// The text that is shown for the last character: the character or nothing. Inside a control sequence, a byte
    /// of the character may end the sequence; its other bytes are then shown as replacement characters.
    struct Printed(String);
    impl Perform for Printed {
        fn print(&mut self, c: char) {
            self.0.extend(Some(c).filter(|c| !is_unsafe(*c)));
        }
        fn execute(&mut self, byte: u8) {
            self.0.extend((byte == b'\t').then_some('\t'));
        }
    }
    let mut parser = Parser::new();
    // Whether a control sequence may be open.
    let mut is_open = false;
    each_character(line, |at, bytes, c| {
        let begins = matches!(c, '\u{1b}' | '\u{80}'..='\u{9f}');
        if is_open || begins {
            let mut printed = Printed(String::new());
            match c {
                // C1 controls are parsed like the escape sequences that they stand for.
                '\u{80}'..='\u{9f}' => parser.advance(&mut printed, &[0x1b, c as u8 - 0x40]),
                c => parser.advance(&mut printed, c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            // A tab inside a control sequence does not end it.
            is_open = printed.0.as_bytes() != bytes || c == '\t';
            if printed.0.as_bytes() == bytes {
                shown.keep(at, bytes);
            } else {
                shown.replace(at, &printed.0);
            }
        } else if c == char::REPLACEMENT_CHARACTER && bytes != "\u{fffd}".as_bytes() {
            shown.replace(at, "\u{fffd}");
        } else if !is_unsafe(c) || c == '\t' {
            shown.keep(at, bytes);
        }
        if is_open { 0 } else { keep_plain(line, at + bytes.len(), shown) }
    });
}

/// Adds the printable ASCII characters from an index of the line up to the next other character. Returns their number.
fn keep_plain(line: &[u8], at: usize, shown: &mut impl Shown) -> usize {
    let after = &line[at..];
    let plain = after.iter().position(|byte| !matches!(byte, b' '..=b'~')).unwrap_or(after.len());
    shown.keep(at, &after[..plain]);
    plain
}

/// Visits each character with its index and its bytes; invalid bytes are replacement characters. `visit` returns how
/// many bytes after the character are skipped.
fn each_character(line: &[u8], mut visit: impl FnMut(usize, &[u8], char) -> usize) {
    let mut at = 0;
    while let Some(first) = line.get(at) {
        let (length, c) = if first.is_ascii() { (1, char::from(*first)) } else { character(&line[at..]) };
        let end = at + length;
        at = end + visit(at, &line[at..end], c);
    }
}

/// Returns the first character of a text that is not empty, with its length in bytes. Invalid bytes are a replacement
/// character.
fn character(text: &[u8]) -> (usize, char) {
    // No character begins with any other byte. In text that is not UTF-8 they are common.
    if !matches!(text[0], 0..=0x7f | 0xc2..=0xf4) {
        return (1, char::REPLACEMENT_CHARACTER);
    }
    let chunk = text[..text.len().min(4)].utf8_chunks().next();
    let first = chunk.as_ref().and_then(|chunk| chunk.valid().chars().next());
    let invalid = || (chunk.as_ref().map_or(1, |chunk| chunk.invalid().len()), char::REPLACEMENT_CHARACTER);
    first.map_or_else(invalid, |c| (c.len_utf8(), c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn a_colour_inside_a_character_leaves_no_character() {
        let line = b"caf\xc3\x1b[0m\xa9";
        let mut texts = Vec::new();
        Visible::append_texts(line, &mut texts);
        assert_eq!(String::from_utf8_lossy(&texts), "caf\u{fffd}[0m\u{fffd}\ncaf\u{fffd}\u{fffd}\n");
        let readings = Visible::readings(line);
        assert_eq!(texts, readings.iter().flat_map(|reading| [reading.text(), b"\n"].concat()).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn the_texts_are_those_of_the_readings(
            pieces in prop::collection::vec(prop::sample::select(vec![
                &b"ab"[..], b"\x1b[1m", b"\x1b[0;31m", b"\x1b", b"[", b"m", b"\r", b"\t", b"\x08", b"\x18", b"\x1b]0;t\x07",
                b"\xff", b"\xe2\x80", "\u{9b}".as_bytes(), "\u{200b}".as_bytes(), "\u{fffd}".as_bytes(), "\u{fc}".as_bytes(),
                b"\xc3", b"\xa9",
            ]), 0..20),
        ) {
            let line = pieces.concat();
            let mut texts = Vec::new();
            Visible::append_texts(&line, &mut texts);
            let expected: Vec<_> = Visible::readings(&line).iter().flat_map(|of| [of.text(), b"\n"].concat()).collect();
            prop_assert_eq!(texts.escape_ascii().to_string(), expected.escape_ascii().to_string());
            let is_unsafe = |c: char| is_unsafe(c) && c != '\t';
            prop_assert_eq!(has_unsafe(&line), line.utf8_chunks().any(|chunk| chunk.valid().contains(is_unsafe)));
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
