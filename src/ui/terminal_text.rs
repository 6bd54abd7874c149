//! Text for a terminal. All text reaches a terminal through this module. [`crate::visible`] defines which characters
//! are allowed.
//!
//! Names, reasons, messages and log lines of a repository, a run or a server are untrusted: they may contain control
//! sequences that move the cursor, write to the clipboard or hide earlier text, newlines that forge lines of our
//! output, and invisible characters that make one text look like another. The screen uses [`clean`]; the command line
//! prints [`TerminalText`], which [`text!`] creates by cleaning every argument. The printing functions accept no other
//! type.

use std::borrow::Cow;
use std::fmt;
use std::fmt::{Alignment, Write};

use ratatui::style::Style;
use vte::{Params, Parser, Perform};

use super::link;
use super::link::Link;
use super::log_reader::LogReader;
use super::sgr;
use super::text::width;
use super::theme::Colours;
use crate::visible::{has_unsafe, is_unsafe};

/// Returns the text as one line without unsafe characters: newlines and tabs become blanks, and other unsafe characters
/// are removed.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let blank = |c: char| if matches!(c, '\n' | '\t') { ' ' } else { c };
    Cow::Owned(text.chars().map(blank).filter(|c| !is_unsafe(*c)).collect())
}

/// Returns the control sequences that alert a user of a terminal: the bell, and the two desktop notifications that
/// terminals support.
#[must_use]
pub fn alert(text: &str) -> String {
    let text = clean(text);
    format!("\x07\x1b]9;{text}\x07\x1b]777;notify;cuelight;{text}\x07")
}

/// Returns the text as one line with `�` for every unsafe character except tabs, which become blanks. Used where
/// a hidden character could deceive, for instance in confirmations.
#[must_use]
pub fn reveal(text: &str) -> String {
    let show = |c: char| match c {
        '\t' => ' ',
        c if is_unsafe(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(show).collect()
}

/// Text that is safe to print. Its only special characters are newlines, tabs and colours that this program adds. It
/// has no `Display` on purpose, because `format!` would turn it into a plain `String`.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct TerminalText(String);

impl TerminalText {
    /// Cleans text of several lines, such as a message of a server. Newlines and tabs stay.
    #[must_use]
    pub fn lines(text: &str) -> Self {
        Self(text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_unsafe(*c)).collect())
    }

    /// Cleans an untrusted message and indents all lines after the first, so that none of them looks like a line of
    /// this program.
    #[must_use]
    pub fn paragraph(text: &str) -> Self {
        let indented = text.lines().enumerate().map(|(number, line)| match number {
            0 => line.to_owned(),
            _ if line.starts_with("  ") || line.is_empty() => format!("\n{line}"),
            _ => format!("\n  {line}"),
        });
        Self::lines(&indented.collect::<String>())
    }

    /// Cleans text of several lines that this program coloured, such as a rendered diagnostic. Newlines, tabs and
    /// colours stay.
    #[must_use]
    pub fn coloured(text: &str) -> Self {
        Self(Cleaner::read(text, true))
    }

    /// Returns a line of a log in the form that a terminal would show. Colours stay unless they are disabled, other
    /// control sequences are dropped, and overwritten text is replaced by the text that overwrote it.
    #[must_use]
    pub fn log_line(line: &[u8], colours: Colours) -> Self {
        let mut text = Self::default();
        text.push_log_line(line, colours);
        text
    }

    /// Appends a line of a log, as [`TerminalText::log_line`] returns it.
    pub fn push_log_line(&mut self, line: &[u8], colours: Colours) {
        // Most lines are plain, and a log may have millions of them, so a plain line causes no allocation.
        if let (Ok(text), false) = (std::str::from_utf8(line), has_unsafe(line)) {
            self.0.push_str(text);
            return;
        }
        let text = String::from_utf8_lossy(line);
        let colours = if colours == Colours::None { Colours::None } else { Colours::Terminal };
        let mut painter = Painter { text: &mut self.0, written: Style::new() };
        for (part, style) in LogReader::spans(text.as_bytes(), colours) {
            let style = if colours == Colours::None { Style::new() } else { Style { underline_color: None, ..style } };
            painter.push(&part, style);
        }
        painter.finish();
    }

    /// Escapes the unsafe characters of a JSON document, which occur only in its strings. Also escapes `##[`, which
    /// GitHub's runner takes for a command anywhere in a line.
    #[must_use]
    pub fn json(document: &str) -> Self {
        let mut text = String::with_capacity(document.len());
        for c in document.chars() {
            if is_unsafe(c) && c != '\n' {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    write!(text, "\\u{unit:04x}").expect("writing to a string cannot fail");
                }
            } else {
                text.push(c);
            }
        }
        Self(text.replace("##[", "\\u0023#["))
    }

    /// Returns the text in another style. The default style leaves it unchanged.
    #[must_use]
    pub fn styled(self, style: Style) -> Self {
        if style == Style::new() || self.0.is_empty() {
            return self;
        }
        Self(format!("{}{}{}", sgr::sequence(style), self.0, sgr::RESET))
    }

    /// Returns the text as a hyperlink, which a terminal without hyperlinks shows as the text alone.
    #[must_use]
    pub fn linked(self, link: &Link) -> Self {
        Self(format!("{}{}{}", link::sequence(Some(&link.address)), self.0, link::sequence(None)))
    }

    /// Appends a text.
    pub fn push(&mut self, text: &Self) {
        self.0.push_str(&text.0);
    }

    /// Removes the text, and keeps its memory for the next one.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends a text and a newline.
    pub fn push_line(&mut self, text: &Self) {
        self.push(text);
        self.0.push('\n');
    }

    /// Removes trailing blanks.
    #[must_use]
    pub fn trim_end(self) -> Self {
        Self(self.0.trim_end().to_owned())
    }

    /// Replaces each character with the result of `change`, such as its ASCII equivalent from
    /// [`crate::ui::theme::Theme::spelled`]. An unsafe result is ignored.
    #[must_use]
    pub fn map(self, change: impl Fn(char) -> char) -> Self {
        let safe = |c: char| Some(change(c)).filter(|new| !is_unsafe(*new)).unwrap_or(c);
        Self(self.0.chars().map(safe).collect())
    }

    /// Whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the text with its colour sequences.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text without colours.
    #[must_use]
    pub fn plain(&self) -> Cow<'_, str> {
        if self.0.contains('\u{1b}') { Cow::Owned(Cleaner::read(&self.0, false)) } else { Cow::Borrowed(&self.0) }
    }

    /// Returns the width in columns.
    #[must_use]
    pub fn width(&self) -> usize {
        width(&self.plain())
    }

    /// Formats arguments as they are. Only [`text!`] calls it, which wraps all arguments in [`Argument`].
    #[doc(hidden)]
    #[must_use]
    pub fn from_arguments(arguments: fmt::Arguments<'_>) -> Self {
        Self(arguments.to_string())
    }
}

impl FromIterator<TerminalText> for TerminalText {
    fn from_iter<I: IntoIterator<Item = TerminalText>>(texts: I) -> Self {
        texts.into_iter().fold(Self::default(), |mut all, text| {
            all.push(&text);
            all
        })
    }
}

/// Types that can be arguments of [`text!`]: everything with a `Display`, cleaned to one line, and [`TerminalText`].
pub trait ToTerminal {
    /// Returns the text to print.
    fn to_terminal(&self) -> Cow<'_, TerminalText>;
}

impl<T: fmt::Display + ?Sized> ToTerminal for T {
    fn to_terminal(&self) -> Cow<'_, TerminalText> {
        Cow::Owned(TerminalText(clean(&self.to_string()).into_owned()))
    }
}

impl ToTerminal for TerminalText {
    fn to_terminal(&self) -> Cow<'_, TerminalText> {
        Cow::Borrowed(self)
    }
}

impl ToTerminal for &TerminalText {
    fn to_terminal(&self) -> Cow<'_, TerminalText> {
        Cow::Borrowed(*self)
    }
}

/// An argument of [`text!`]. Width and alignment of the format count columns.
#[doc(hidden)]
pub struct Argument<'a, T: ?Sized>(pub &'a T);

impl<T: ToTerminal + ?Sized> fmt::Display for Argument<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_terminal();
        // Counting columns takes several times as long as printing, and most arguments have no width.
        let Some(columns) = f.width() else { return f.write_str(&text.0) };
        let missing = columns.saturating_sub(text.width());
        let before = match f.align() {
            Some(Alignment::Right) => missing,
            Some(Alignment::Center) => missing / 2,
            _ => 0,
        };
        write!(f, "{:before$}{}{:after$}", "", text.0, "", after = missing - before)
    }
}

/// Whether a format has no inline arguments such as `{name}`, which would bypass the cleaning.
#[doc(hidden)]
#[must_use]
pub const fn takes_all_arguments(format: &str) -> bool {
    let bytes = format.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        if bytes[at] == b'{' {
            if !matches!(bytes[at + 1], b'}' | b':' | b'{') {
                return false;
            }
            at += 1;
        }
        at += 1;
    }
    true
}

/// Like `format!`, but returns [`TerminalText`]. The format is trusted, and every argument is cleaned. Arguments must
/// follow the format; only widths may be inline.
macro_rules! text {
    ($format:literal $(, $argument:expr)* $(,)?) => {{
        const {
            assert!(
                $crate::ui::terminal_text::takes_all_arguments($format),
                "pass arguments after the format, so that they are cleaned"
            );
        }
        $crate::ui::terminal_text::TerminalText::from_arguments(
            format_args!($format $(, $crate::ui::terminal_text::Argument(&$argument))*)
        )
    }};
}
pub(crate) use text;

/// Writes spans of text, with a sequence wherever the style changes.
struct Painter<'t> {
    text: &'t mut String,
    /// Style at the end of the text so far.
    written: Style,
}

impl Painter<'_> {
    fn push(&mut self, part: &str, style: Style) {
        if style != self.written {
            self.text.push_str(&sgr::sequence(style));
            self.written = style;
        }
        self.text.push_str(part);
    }

    fn finish(self) {
        if self.written != Style::new() {
            self.text.push_str(sgr::RESET);
        }
    }
}

/// Parses text that this program coloured. Keeps newlines, tabs and optionally the colours.
struct Cleaner<'t> {
    painter: Painter<'t>,
    colours: bool,
    style: Style,
}

impl Cleaner<'_> {
    fn read(text: &str, colours: bool) -> String {
        let mut cleaned = String::with_capacity(text.len());
        let painter = Painter { text: &mut cleaned, written: Style::new() };
        let mut cleaner = Cleaner { painter, colours, style: Style::new() };
        Parser::new().advance(&mut cleaner, text.as_bytes());
        cleaner.painter.finish();
        cleaned
    }

    fn push(&mut self, c: char) {
        self.painter.push(c.encode_utf8(&mut [0; 4]), self.style);
    }
}

impl Perform for Cleaner<'_> {
    fn print(&mut self, c: char) {
        if !is_unsafe(c) {
            self.push(c);
        }
    }

    fn execute(&mut self, byte: u8) {
        if matches!(byte, b'\t' | b'\n') {
            self.push(char::from(byte));
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: char) {
        if self.colours && action == 'm' && intermediates.is_empty() {
            self.style = sgr::apply(params, self.style, Style::new(), Colours::Terminal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::hostile;
    use crate::visible::Visible;
    use proptest::prelude::*;
    use ratatui::style::Color;

    #[test]
    fn every_argument_is_cleaned_and_padded_by_columns() {
        let name = "a\u{1b}[2J\nb\u{202e}\u{e0041}\u{200b}";
        assert_eq!(text!("{} · {}", name, 3).as_str(), "a[2J b · 3");
        let width = 6;
        assert_eq!(text!("{:<width$}|{:>4}|", "日本", "x").as_str(), "日本  |   x|");
        let red = text!("{}", "red").styled(Style::new().fg(Color::Red));
        assert_eq!(text!("{:>5}{{}}", red).as_str(), "  \u{1b}[0;31mred\u{1b}[0m{}");
        assert_eq!((red.width(), TerminalText::default().styled(Style::new().fg(Color::Red))), (3, text!("")));
    }

    #[test]
    fn a_format_that_names_an_argument_does_not_compile() {
        let formats = ["{} {:<20} {:<width$} {{name}}", "{name}", "{} {0}"];
        assert_eq!(formats.map(takes_all_arguments), [true, false, false]);
    }

    #[test]
    fn a_log_line_matches_what_a_terminal_shows() {
        for (line, plain, coloured) in [
            ("plain ✓", "plain ✓", "plain ✓"),
            ("a\tb", "a\tb", "a\tb"),
            ("\u{1b}[32mok\u{1b}[0m x", "ok x", "\u{1b}[0;32mok\u{1b}[0m x"),
            ("\u{1b}[1;38;5;9mend", "end", "\u{1b}[0;1;91mend\u{1b}[0m"),
            ("10%\r50%\r100%", "100%", "100%"),
            ("\u{1b}[31m1%\r2%", "2%", "\u{1b}[0;31m2%\u{1b}[0m"),
            ("\u{1b}[31mabcd\u{1b}[m\u{8}\u{8}\u{8}x", "axcd", "\u{1b}[0;31ma\u{1b}[0mx\u{1b}[0;31mcd\u{1b}[0m"),
            ("from windows\r", "from windows", "from windows"),
            ("\u{1b}[2Jgone\u{1b}]0;title\u{7}\u{1b}[10;10Hhere", "gone here", "gone here"),
            ("bell\u{7}\u{8}\u{0}\u{202e}\u{200b}", "bell", "bell"),
            ("\u{1b}[8mhidden", "hidden", "hidden"),
        ] {
            assert_eq!(TerminalText::log_line(line.as_bytes(), Colours::None).as_str(), plain, "{line:?}");
            assert_eq!(TerminalText::log_line(line.as_bytes(), Colours::Terminal).as_str(), coloured, "{line:?}");
        }
        assert_eq!(TerminalText::log_line(b"a\xff\x07b", Colours::None).as_str(), "a\u{fffd}b");
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({"name": "a\u{9b}\u{202e}\u{e0041}##[error]\n", "ö": "✓"});
        let text = TerminalText::json(&value.to_string());
        assert_eq!(text.as_str(), r#"{"name":"a\u009b\u202e\udb40\udc41\u0023#[error]\n","ö":"✓"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(text.as_str()).expect("JSON"), value);
    }

    #[test]
    fn a_question_shows_what_is_hidden() {
        assert_eq!(reveal("rm\u{202e} x\u{200b}\t\u{1b}[8m\u{e0041}\u{61c}"), "rm� x� �[8m��");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_what_secrets_are_looked_for_in(text in hostile::any_text()) {
            for line in text.split(['\n', '\r']) {
                // A tab may be shown as a blank.
                let line = &line.replace('\t', " ");
                let shown = [clean(line).into_owned(), TerminalText::log_line(line.as_bytes(), Colours::None).0];
                let readings = Visible::readings(line.as_bytes());
                for shown in &shown {
                    let is_reading = |reading: &Visible| reading.text() == shown.as_bytes();
                    prop_assert!(shown == line || readings.iter().any(is_reading), "{shown:?} of {line:?}");
                }
            }
        }

        #[test]
        fn nothing_unsafe_passes(text in any::<String>()) {
            let safe = |text: &str, also: &[char]| text.chars().all(|c| also.contains(&c) || !is_unsafe(c));
            prop_assert!(safe(&clean(&text), &[]) && safe(&reveal(&text), &[]));
            let argument = text!("{}", text);
            prop_assert!(safe(argument.as_str(), &[]));
            prop_assert!(safe(TerminalText::lines(&text).as_str(), &['\n', '\t']));
            let paragraph = TerminalText::paragraph(&text);
            prop_assert!(safe(paragraph.as_str(), &['\n', '\t']));
            prop_assert!(paragraph.as_str().lines().skip(1).all(|line| line.is_empty() || line.starts_with("  ")));
            prop_assert!(safe(TerminalText::log_line(text.as_bytes(), Colours::None).as_str(), &['\t']));
            let coloured = TerminalText::coloured(&text);
            prop_assert!(safe(&coloured.plain(), &['\n', '\t']));
            let document = serde_json::Value::from(text.as_str()).to_string();
            prop_assert!(safe(TerminalText::json(&document).as_str(), &[]));
        }
    }
}
