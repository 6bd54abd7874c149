//! Secrets that are assembled on the screen: `er2\u{1b}[1Ghunt` shows `hunter2`, and so do backspaces and carriage returns.
//!
//! No part of such a line is a secret, and parts of it may have been written long before the last one, as with a progress
//! bar. Therefore what was written is followed as a reader sees it. Where a line shows a secret, the row is erased and
//! masked by the text that follows it.

use super::Masker;
use crate::visible::row::{PlainRow, moves};

/// Erases the row and shows a mask.
const COVER: &[u8] = b"\r\x1b[2K***";

/// Length in bytes of the visible text of a line past which it is not followed any more.
const MAX_FOLLOWED: usize = 64 * 1024;

/// Covers secrets that lines show because their cursor moves.
#[derive(Default)]
pub struct RowMask {
    /// The last line as it was written, while its cursor has not moved and it has no newline.
    begun: Vec<u8>,
    /// What the last line shows, once its cursor has moved.
    shown: Option<Box<PlainRow>>,
    /// The same without the mark at its beginning, such as `##[warning]`, which readers of logs do not show.
    unmarked: Option<Box<PlainRow>>,
    /// Whether the last line is not followed any more.
    is_too_long: bool,
}

impl RowMask {
    /// Takes masked text that is about to be written, and adds a cover behind each line that shows a secret. The number of
    /// lines stays.
    pub fn cover(&mut self, masker: &Masker, text: &mut Vec<u8>) {
        if masker.patterns.is_empty() || (self.shown.is_none() && !moves(text)) {
            return self.follow(text);
        }
        let mut covered = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let body = line.strip_suffix(b"\n");
            self.line(masker, body.unwrap_or(line), &mut covered);
            if body.is_some() {
                covered.push(b'\n');
                *self = Self::default();
            }
        }
        *text = covered;
    }

    /// Takes text in which no cursor moves.
    fn follow(&mut self, text: &[u8]) {
        let last = match memchr::memrchr(b'\n', text) {
            Some(newline) => {
                *self = Self::default();
                &text[newline + 1..]
            }
            None => text,
        };
        if self.begun.len() + last.len() <= MAX_FOLLOWED {
            self.begun.extend_from_slice(last);
        } else {
            self.is_too_long = true;
        }
    }

    /// Takes the whole of a line, or a part of it.
    fn line(&mut self, masker: &Masker, part: &[u8], covered: &mut Vec<u8>) {
        covered.extend_from_slice(part);
        if self.shown.is_none() && !moves(part) {
            return self.follow(part);
        }
        if self.is_too_long {
            return;
        }
        if self.shown.is_none() {
            let row = |text: &[u8]| {
                let mut row = Box::<PlainRow>::default();
                row.push(text);
                row
            };
            self.shown = Some(row(&self.begun));
            let start = [&self.begun, part].concat();
            self.unmarked = mark(&start).map(|length| row(&start[length.min(self.begun.len())..self.begun.len()]));
            if let (Some(unmarked), Some(length)) = (&mut self.unmarked, mark(&start)) {
                // The rest of the mark is in this part.
                unmarked.push(&part[length.saturating_sub(self.begun.len())..]);
            }
        } else if let Some(unmarked) = &mut self.unmarked {
            unmarked.push(part);
        }
        let Some(shown) = &mut self.shown else { return };
        shown.push(part);
        let text = shown.text();
        self.is_too_long = text.len() > MAX_FOLLOWED;
        if masker.finds(&text) || self.unmarked.as_ref().is_some_and(|row| masker.finds(&row.text())) {
            covered.extend_from_slice(COVER);
            shown.push(COVER);
            if let Some(unmarked) = &mut self.unmarked {
                unmarked.push(COVER);
            }
        }
    }
}

/// Returns the length of the mark at the beginning of a line: `##[word]`.
fn mark(line: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(b"##[")?;
    let end = rest.iter().position(|byte| !byte.is_ascii_alphabetic() && *byte != b'-')?;
    (rest[end] == b']').then_some(3 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visible::row::plain;

    /// Returns what is written of portions.
    fn written(secret: &str, portions: &[&str]) -> String {
        let (masker, mut rows) = (Masker::new([secret]), RowMask::default());
        let mut all = Vec::new();
        for portion in portions {
            let mut text = portion.as_bytes().to_vec();
            rows.cover(&masker, &mut text);
            all.extend_from_slice(&text);
        }
        String::from_utf8(all).expect("text")
    }

    #[test]
    fn what_the_cursor_assembles_is_covered() {
        for portions in [
            &["    er2\rhunt"][..],
            &["er2\u{1b}[1G", "    er2\rhunt\n"],
            &["huXter2\u{1b}[5D", "n"],
            &["huXter2\u{8}\u{8}\u{8}\u{8}\u{8}n\n"],
            &["hun__ter2\u{1b}[4G\u{1b}[2P"],
            &["ter2\r\u{1b}[3@hun"],
            &["hunter", "\u{1b}[s\r\u{1b}[u2"],
            &["xx\r\u{1b}[Khunter", "\u{1b}[1C\u{1b}[1D2\n"],
            &["\u{1b}[1Ahun", "\u{1b}[0mte\u{1b}[31mr2\n"],
            &["    er2\u{9b}1Ghunt"],
            &["    er2", "\u{1b}[31m", "\r", "h", "u", "n", "t", "!"],
            &["hunter1\u{1b}[7G\u{1b}[X2 of it"],
        ] {
            let all = written("hunter2", portions);
            for line in all.lines() {
                let shown = plain(line.as_bytes());
                assert!(!shown.contains("hunter2") && shown.contains("***"), "{all:?}: {shown}");
            }
            let count = |text: &str| memchr::memchr_iter(b'\n', text.as_bytes()).count();
            assert_eq!(count(&all), count(&portions.concat()));
        }
    }

    #[test]
    fn the_mark_of_a_line_is_not_part_of_what_is_shown() {
        for portions in [
            &["##[warning]    er2\rhunt\n"][..],
            &["##[error]", "    er2\rhunt"],
            &["##[gro", "up]    er2\u{1b}[1Ghunt"],
            &["##[command]    er2", "\r", "hunt"],
        ] {
            let all = written("hunter2", portions);
            let shown = plain(&all.as_bytes()[mark(all.as_bytes()).expect("a mark")..all.trim_end().len()]);
            assert!(!shown.contains("hunter2") && shown.contains("***"), "{all:?}: {shown}");
        }
        let (masker, mut rows) = (Masker::new(["hunter2"]), RowMask::default());
        let mut text = b"##[warning]10%\r20%\n".to_vec();
        rows.cover(&masker, &mut text);
        assert_eq!(text, b"##[warning]10%\r20%\n");
    }

    #[test]
    fn other_lines_are_written_as_they_are() {
        for portions in [
            &["plain\n", "two lines\nno end"][..],
            &["10%\r", "20%\r", "done\n"],
            &["\u{1b}[1mbold\u{1b}[0m\r\n", "crlf\r\n"],
            &["hunt\ner2\r\n", "hunt\r", "\ner2"],
            &["hunter\r\u{1b}[K2\n", "hunter\n\u{1b}[A2"],
            &["h\u{1b}[2Cunter2"],
        ] {
            assert_eq!(written("hunter2", portions), portions.concat());
        }
        assert_eq!(written("", &["hunt\r\n"]), "hunt\r\n");
    }

    #[test]
    fn the_cover_itself_is_followed_and_does_not_repeat() {
        let all = written("hunter2", &["    er2\rhunt", "\u{1b}[0m", "\r10%", "\r20%\n"]);
        assert_eq!(all.matches("***").count(), 1, "{all:?}");
        assert_eq!(plain(all.trim_end().as_bytes()), "20%");
    }

    #[test]
    fn a_line_without_end_is_followed_up_to_a_length() {
        let masker = Masker::new(["hunter2"]);
        let mut rows = RowMask::default();
        for _ in 0..1000 {
            let mut text = b"\r".iter().chain(&[b'x'; 999]).copied().collect::<Vec<_>>();
            rows.cover(&masker, &mut text);
        }
        assert!(!rows.is_too_long, "what is visible counts");
        for text in ["y".repeat(MAX_FOLLOWED + 1), "\n".to_owned() + &"y".repeat(MAX_FOLLOWED + 1)] {
            rows.cover(&masker, &mut text.into_bytes());
            assert!(rows.is_too_long && rows.begun.len() <= MAX_FOLLOWED);
        }
        let mut text = b"\n    er2\rhunt".to_vec();
        rows.cover(&masker, &mut text);
        assert!(text.ends_with(COVER));
    }
}
