//! A log line fit for a terminal.

use std::fmt::Write as _;

use crate::cli::style::{Colour, Style};

/// Tags at the start of a line, the word that is shown for each, and its colour.
const TAGS: [(&str, &str, Colour); 5] = [
    ("##[error]", "error: ", Colour::Red),
    ("##[warning]", "warning: ", Colour::Yellow),
    ("##[notice]", "notice: ", Colour::Blue),
    ("##[debug]", "debug: ", Colour::Dim),
    ("##[command]", "", Colour::Dim),
];

/// A line whose tag is shown as a word in its colour.
pub(super) fn tagged(text: String, style: Style) -> String {
    for (tag, word, colour) in TAGS {
        if let Some(rest) = text.strip_prefix(tag) {
            return style.paint(colour, &format!("{word}{rest}"));
        }
    }
    text
}

/// A line as a terminal leaves it: colours stay on one, every other control sequence is dropped, and what a carriage
/// return wrote over is gone.
pub(in crate::cli) fn shown(line: &[u8], colour: bool) -> String {
    let text = String::from_utf8_lossy(line);
    if !text.contains(|c: char| c.is_control()) {
        return text.into_owned();
    }
    let mut cleaner = Cleaner { text: String::with_capacity(text.len()), colour, ..Cleaner::default() };
    vte::Parser::new().advance(&mut cleaner, text.as_bytes());
    if cleaner.dressed {
        cleaner.text.push_str("\u{1b}[0m");
    }
    cleaner.text
}

#[derive(Default)]
struct Cleaner {
    text: String,
    colour: bool,
    dressed: bool,
    returned: bool,
}

impl vte::Perform for Cleaner {
    fn print(&mut self, c: char) {
        // Progress bars return to the start and write anew: the last version counts. A return before the line's end is
        // only the end's.
        if std::mem::take(&mut self.returned) {
            self.text.clear();
        }
        self.text.push(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\t' => self.print('\t'),
            b'\r' => self.returned = true,
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &vte::Params, _: &[u8], _: bool, action: char) {
        if action == 'm' && self.colour {
            let params: Vec<_> =
                params.iter().map(|group| group.iter().map(u16::to_string).collect::<Vec<_>>().join(":")).collect();
            let _ = write!(self.text, "\u{1b}[{}m", params.join(";"));
            self.dressed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_a_terminal_leaves_them() {
        for (line, plain, coloured) in [
            ("plain ✓", "plain ✓", "plain ✓"),
            ("a\tb", "a\tb", "a\tb"),
            ("\u{1b}[32mok\u{1b}[0m x", "ok x", "\u{1b}[32mok\u{1b}[0m x\u{1b}[0m"),
            ("10%\r50%\r100%", "100%", "100%"),
            ("from windows\r", "from windows", "from windows"),
            ("\u{1b}[2Jgone\u{1b}]0;title\u{7}\u{1b}[10;10Hhere", "gonehere", "gonehere"),
            ("bell\u{7}\u{8}\u{0}", "bell", "bell"),
        ] {
            assert_eq!(shown(line.as_bytes(), false), plain, "{line:?}");
            assert_eq!(shown(line.as_bytes(), true), coloured, "{line:?}");
        }
        assert_eq!(shown(b"a\xff\x07b", false), "a\u{fffd}b");
    }

    #[test]
    fn tags_become_words() {
        let style = Style { colour: false, ascii: false };
        for (line, expected) in [
            ("##[error]bad", "error: bad"),
            ("##[command]make", "make"),
            ("an ##[error] inside", "an ##[error] inside"),
        ] {
            assert_eq!(tagged(line.to_owned(), style), expected);
        }
    }
}
