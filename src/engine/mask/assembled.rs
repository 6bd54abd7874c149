//! Secrets that are assembled by cursor movement: `er2\u{1b}[1Ghunt` shows `hunter2`. Backspaces and carriage returns
//! have the same effect.
//!
//! No part of such a line is a secret, and some parts may have been written long before the last one, as with a
//! progress bar. Therefore the visible content of the last line is tracked. If it shows a secret, control sequences are
//! appended that erase the row and show a mask.

use super::Masker;
use crate::visible::row::{LongRow, PlainRow, moves};

/// Erases the row and shows a mask.
const COVER: &[u8] = b"\r\x1b[2K***";

/// Maximum length in bytes of the visible text that is tracked for a line. If a part of a longer line is overwritten,
/// the row is erased, whatever it shows.
const MAX_FOLLOWED: usize = 64 * 1024;

/// Covers secrets that appear on a line through cursor movement.
pub struct RowMask {
    last: Last,
}

/// The last line.
enum Last {
    /// The line as it was written, as long as the cursor has not moved.
    Text(Vec<u8>),
    /// The visible row, once the cursor has moved. If the line begins with a mark such as `##[warning]`, which readers
    /// of logs do not show, a second row without the mark follows.
    Rows(Vec<PlainRow>),
    /// A line that is too long to be tracked.
    Long(Box<LongRow>),
}

impl Default for RowMask {
    fn default() -> Self {
        Self { last: Last::Text(Vec::new()) }
    }
}

impl RowMask {
    /// Adds a cover to each line of `text` that shows a secret, or may show one. `text` is already masked and about to
    /// be written. The number of lines does not change.
    pub fn cover(&mut self, masker: &Masker, text: &mut Vec<u8>) {
        if masker.patterns.is_empty() || (matches!(self.last, Last::Text(_)) && !moves(text)) {
            return self.follow(text);
        }
        let mut covered = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let body = line.strip_suffix(b"\n");
            self.line(masker, body.unwrap_or(line), body.is_some(), &mut covered);
            if body.is_some() {
                covered.push(b'\n');
                *self = Self::default();
            }
        }
        *text = covered;
    }

    /// Tracks text without cursor movement.
    fn follow(&mut self, text: &[u8]) {
        let newline = memchr::memrchr(b'\n', text);
        if newline.is_some() {
            *self = Self::default();
        }
        let end = newline.map_or(text, |newline| &text[newline + 1..]);
        if let Last::Text(begun) = &mut self.last {
            if begun.len() + end.len() > MAX_FOLLOWED {
                self.last = Last::Long(Box::default());
            } else {
                begun.extend_from_slice(end);
            }
        }
    }

    /// Appends a line or a part of a line to `covered`, tracks it, and covers the line if it shows a secret. With `ends`,
    /// the line ends after the part, so that it need not be tracked.
    fn line(&mut self, masker: &Masker, part: &[u8], ends: bool, covered: &mut Vec<u8>) {
        let rows = match &mut self.last {
            Last::Text(_) if !moves(part) => {
                covered.extend_from_slice(part);
                return self.follow(part);
            }
            Last::Text(begun) => {
                let start = [begun.as_slice(), part].concat();
                if ends && !masker.has_form_of(&start) {
                    return covered.extend_from_slice(part);
                }
                let unmarked = mark(&start).map(|length| PlainRow::of(&start[length..]));
                [PlainRow::of(&start)].into_iter().chain(unmarked).collect()
            }
            Last::Rows(rows) => {
                for row in rows.iter_mut() {
                    row.push(part);
                }
                std::mem::take(rows)
            }
            Last::Long(row) => {
                if !row.is_overwritten_by(part) {
                    return covered.extend_from_slice(part);
                }
                covered.extend_from_slice(COVER);
                vec![PlainRow::of(&[COVER, part].concat())]
            }
        };
        covered.extend_from_slice(part);
        self.shows(masker, rows, covered);
    }

    /// Tracks `rows`, which the last line shows now, and covers the line if one of them shows a secret.
    fn shows(&mut self, masker: &Masker, mut rows: Vec<PlainRow>, covered: &mut Vec<u8>) {
        let texts: Vec<_> = rows.iter().map(PlainRow::text).collect();
        let is_long = texts.iter().any(|text| text.len() > MAX_FOLLOWED);
        self.last = if texts.iter().any(|text| masker.finds(text)) {
            covered.extend_from_slice(COVER);
            for row in &mut rows {
                row.push(COVER);
            }
            Last::Rows(rows)
        } else if is_long {
            Last::Long(Box::new(rows.swap_remove(0).into()))
        } else {
            Last::Rows(rows)
        };
    }
}

/// Returns the length in bytes of the mark `##[word]` at the beginning of a line; `None` if the line does not begin
/// with a mark.
fn mark(line: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(b"##[")?;
    let end = rest.iter().position(|byte| !byte.is_ascii_alphabetic() && *byte != b'-')?;
    (rest[end] == b']').then_some(3 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visible::row::plain;

    /// Returns the output for these portions.
    fn written(secret: &str, portions: &[impl AsRef<str>]) -> String {
        let (masker, mut rows) = (Masker::new([secret]), RowMask::default());
        let mut all = Vec::new();
        for portion in portions {
            let mut text = portion.as_ref().as_bytes().to_vec();
            rows.cover(&masker, &mut text);
            all.extend_from_slice(&text);
        }
        String::from_utf8(all).expect("text")
    }

    /// Returns a secret of 7 bytes with these portions, and one of 14 bytes, which is found in another way, with portions
    /// that have its letters in the same columns. No control sequence may end with one of the letters.
    fn for_both_secrets(portions: &[&str]) -> [(&'static str, Vec<String>); 2] {
        let longer = |c| match c {
            'h' => 'ħ',
            'n' => 'ṋ',
            't' => 'ṱ',
            'e' => 'é',
            'r' => 'ř',
            c => c,
        };
        let long = portions.iter().map(|portion| portion.chars().map(longer).collect()).collect();
        [("hunter2", portions.iter().map(|portion| (*portion).to_owned()).collect()), ("ħuṋṱéř2", long)]
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
            for (secret, portions) in for_both_secrets(portions) {
                let all = written(secret, &portions);
                for line in all.lines() {
                    let shown = plain(line.as_bytes());
                    assert!(!shown.contains(secret) && shown.contains("***"), "{all:?}: {shown}");
                }
                let count = |text: &str| memchr::memchr_iter(b'\n', text.as_bytes()).count();
                assert_eq!(count(&all), count(&portions.concat()));
            }
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
            for (secret, portions) in for_both_secrets(portions) {
                assert_eq!(written(secret, &portions), portions.concat());
            }
        }
        assert_eq!(written("", &["hunt\r\n"]), "hunt\r\n");
    }

    #[test]
    fn lines_are_covered_however_many_secrets_there_are() {
        let secrets: Vec<_> = (0..80).map(|n| format!("secret-number-{n}")).collect();
        for count in [1, 80] {
            let masker = Masker::new(secrets[..count].iter().map(String::as_str));
            assert_eq!(masker.has_form_of(b"\r\x1b[K 12 %"), count == 80, "{} forms", masker.patterns.len());
            let (mut rows, mut text) = (RowMask::default(), b"\r\x1b[K 12 %\n      -number-0\rsecret\n".to_vec());
            rows.cover(&masker, &mut text);
            let expected = [&b"\r\x1b[K 12 %\n      -number-0\rsecret"[..], COVER, b"\n"].concat();
            assert_eq!(text.escape_ascii().to_string(), expected.escape_ascii().to_string());
        }
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
        assert!(matches!(rows.last, Last::Rows(_)), "what is visible counts");
        for text in ["y".repeat(MAX_FOLLOWED + 1), "\n".to_owned() + &"y".repeat(MAX_FOLLOWED + 1)] {
            rows.cover(&masker, &mut text.into_bytes());
            assert!(matches!(rows.last, Last::Long(_)), "no memory is used for it");
        }
        let mut text = b"\n    er2\rhunt".to_vec();
        rows.cover(&masker, &mut text);
        assert!(text.ends_with(COVER));
    }

    #[test]
    fn what_the_cursor_assembles_in_a_very_long_line_is_covered() {
        let long = "x".repeat(MAX_FOLLOWED - 2);
        let begun = format!("{long}    er2");
        for portions in [
            &[&*begun, "\u{1b}[7Dhunt"][..],
            &[&long, "    er2", "\u{1b}[", "7", "Dhunt"],
            &["a\rb", &begun, "\u{1b}[7Dhunt"],
            &["    er2", &long, "\r", "hunt", "\u{1b}[K"],
            &["    er2", &long, "\rhunt\u{1b}[3C\u{1b}[K"],
            &[&long, "er2", "\u{1b}[K\u{1b}[m", "\r\u{1b}[P", "xx", "\u{1b}[65534Ghunt"],
            &[&long, &long, "hunter", "\u{8}r2"],
            &["##[error]", &begun, "\u{1b}[7Dhunt"],
            &[&long, "    er2\u{9b}7Dhunt"],
        ] {
            let all = written("hunter2", portions);
            let shown = plain(all.as_bytes());
            assert!(!shown.contains("hunter2") && all.contains("\u{1b}[2K***"), "{portions:?}: {}", shown.len());
        }
    }

    #[test]
    fn a_very_long_line_in_which_nothing_is_overwritten_stays() {
        let long = "x".repeat(MAX_FOLLOWED + 1);
        for portions in [
            &[&*long, "\r", "\nnext"][..],
            &[&long, "\u{1b}[31mred\u{1b}[m\u{1b}[K", "\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "\r\n"],
            &["\u{1b}[K", &long, &long, "\u{1b}[", "K\tend\r\u{1b}[0m\n"],
        ] {
            assert_eq!(written("hunter2", portions), portions.concat());
        }
    }
}
