//! Text on its way to a terminal: the one place that decides which characters may get there.
//!
//! Names, reasons, messages and log lines of a repository, a run or a server are hostile text: they may hold control
//! sequences that move the cursor, write to the clipboard or hide what stands before them, line ends that forge lines of
//! ours, and invisible characters that make one text look like another. [`clean`] is what the screen draws with;
//! [`TerminalText`] is what the command line prints: it is made by [`text!`], which cleans every argument, and printing
//! takes nothing else.

use std::borrow::Cow;
use std::fmt;
use std::fmt::{Alignment, Write};

use ratatui::style::Style;
use vte::{Params, Parser, Perform};

use super::sgr;
use super::text::width;
use super::theme::Colours;

/// Whether a character would change more than its own cell, or would change how the text around it is read: controls, the
/// separators of lines and paragraphs, marks that turn the direction of writing, every character that Unicode says is not
/// to be seen (`Default_Ignorable_Code_Point`, tag characters and fillers among them), and the tints of emoji, about whose
/// width terminals differ.
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

/// The text as one line without unsafe characters: line ends and tabs become blanks, the others are left out.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let blank = |c: char| if matches!(c, '\n' | '\t') { ' ' } else { c };
    Cow::Owned(text.chars().map(blank).filter(|c| !is_unsafe(*c)).collect())
}

/// The text as one line with `�` for every unsafe character but tabs: for a question whose answer depends on seeing
/// everything that is there.
#[must_use]
pub fn reveal(text: &str) -> String {
    let show = |c: char| match c {
        '\t' => ' ',
        c if is_unsafe(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(show).collect()
}

/// Text that a terminal shows as it is written: no character of it is unsafe but the line ends, tabs and colours that are
/// ours. It has no `Display` on purpose: in a `format!` it would lose its name.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct TerminalText(String);

impl TerminalText {
    /// Several lines of others, such as a message of a server: line ends and tabs stay.
    #[must_use]
    pub fn lines(text: &str) -> Self {
        Self(text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_unsafe(*c)).collect())
    }

    /// Several lines with colours of ours in them, such as a rendered diagnostic: line ends, tabs and colours stay.
    #[must_use]
    pub fn coloured(text: &str) -> Self {
        Self(Cleaner::read(text, true, true))
    }

    /// A line of a log as a terminal leaves it: colours stay where there are any, every other control sequence goes, and
    /// what a carriage return wrote over is gone.
    #[must_use]
    pub fn log_line(line: &[u8], colours: Colours) -> Self {
        let text = String::from_utf8_lossy(line);
        if !text.contains(is_unsafe) {
            return Self(text.into_owned());
        }
        Self(Cleaner::read(&text, colours != Colours::None, false))
    }

    /// A JSON document: unsafe characters, which only its strings can hold, become escapes. So do the `##[` that GitHub's
    /// runner takes for a command anywhere in a line.
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

    /// The same in another style. Text without a style stays as it is.
    #[must_use]
    pub fn styled(self, style: Style) -> Self {
        if style == Style::new() || self.0.is_empty() {
            return self;
        }
        Self(format!("{}{}{}", sgr::sequence(style), self.0, sgr::RESET))
    }

    /// Adds a text.
    pub fn push(&mut self, text: &Self) {
        self.0.push_str(&text.0);
    }

    /// Adds a text and ends the line.
    pub fn push_line(&mut self, text: &Self) {
        self.push(text);
        self.0.push('\n');
    }

    /// The same without blanks at its end.
    #[must_use]
    pub fn trim_end(self) -> Self {
        Self(self.0.trim_end().to_owned())
    }

    /// The same with signs of ours in place of others, as [`crate::ui::theme::Theme::spelled`] has them.
    #[must_use]
    pub fn map(self, change: impl Fn(char) -> char) -> Self {
        let safe = |c: char| Some(change(c)).filter(|new| !is_unsafe(*new)).unwrap_or(c);
        Self(self.0.chars().map(safe).collect())
    }

    /// Whether there is nothing to print.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, with the sequences of its colours.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text without its colours.
    #[must_use]
    pub fn plain(&self) -> Cow<'_, str> {
        if self.0.contains('\u{1b}') { Cow::Owned(Cleaner::read(&self.0, false, true)) } else { Cow::Borrowed(&self.0) }
    }

    /// How many columns it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        width(&self.plain())
    }

    /// Text of [`text!`], whose arguments are all [`Argument`]s.
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

/// What can be an argument of [`text!`]: everything that has a `Display`, cleaned to one line, and texts that are clean.
pub trait ToTerminal {
    /// The text that is printed.
    fn to_terminal(&self) -> TerminalText;
}

impl<T: fmt::Display + ?Sized> ToTerminal for T {
    fn to_terminal(&self) -> TerminalText {
        TerminalText(clean(&self.to_string()).into_owned())
    }
}

impl ToTerminal for TerminalText {
    fn to_terminal(&self) -> TerminalText {
        self.clone()
    }
}

impl ToTerminal for &TerminalText {
    fn to_terminal(&self) -> TerminalText {
        (*self).clone()
    }
}

/// An argument of [`text!`]. Width and alignment of the format count columns.
#[doc(hidden)]
pub struct Argument<'a, T: ?Sized>(pub &'a T);

impl<T: ToTerminal + ?Sized> fmt::Display for Argument<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_terminal();
        let missing = f.width().unwrap_or_default().saturating_sub(text.width());
        let before = match f.align() {
            Some(Alignment::Right) => missing,
            Some(Alignment::Center) => missing / 2,
            _ => 0,
        };
        write!(f, "{:before$}{}{:after$}", "", text.0, "", after = missing - before)
    }
}

/// Whether a format names no argument inside its braces: a name there would be printed as it is.
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

/// A [`TerminalText`] as `format!` makes a `String`: the format is ours, every argument is cleaned. Arguments stand after
/// the format, not in it; only widths may be named there.
macro_rules! text {
    ($format:literal $(, $argument:expr)* $(,)?) => {{
        const {
            assert!(
                $crate::ui::terminal_text::takes_all_arguments($format),
                "arguments stand after the format, so that they are cleaned"
            );
        }
        $crate::ui::terminal_text::TerminalText::from_arguments(
            format_args!($format $(, $crate::ui::terminal_text::Argument(&$argument))*)
        )
    }};
}
pub(crate) use text;

/// Takes what a terminal would be sent, and keeps text and, where it may, colours.
struct Cleaner {
    text: String,
    colours: bool,
    /// Whether line ends are kept, and a carriage return is only the end of one.
    lines: bool,
    style: Style,
    /// The style that the text so far ends with.
    written: Style,
    returned: bool,
}

impl Cleaner {
    fn read(text: &str, colours: bool, lines: bool) -> String {
        let text_of = String::with_capacity(text.len());
        let (style, written) = (Style::new(), Style::new());
        let mut cleaner = Self { text: text_of, colours, lines, style, written, returned: false };
        Parser::new().advance(&mut cleaner, text.as_bytes());
        if cleaner.written != Style::new() {
            cleaner.text.push_str(sgr::RESET);
        }
        cleaner.text
    }

    fn push(&mut self, c: char) {
        // Progress bars return to the start and write again: the last version counts. A return before the line's end
        // belongs to the end.
        if std::mem::take(&mut self.returned) {
            self.text.clear();
            self.written = Style::new();
        }
        if self.style != self.written {
            self.text.push_str(&sgr::sequence(self.style));
            self.written = self.style;
        }
        self.text.push(c);
    }
}

impl Perform for Cleaner {
    fn print(&mut self, c: char) {
        if !is_unsafe(c) {
            self.push(c);
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\t' => self.push('\t'),
            b'\n' if self.lines => self.push('\n'),
            b'\r' => self.returned = !self.lines,
            _ => {}
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
    fn a_log_line_is_as_a_terminal_leaves_it() {
        for (line, plain, coloured) in [
            ("plain ✓", "plain ✓", "plain ✓"),
            ("a\tb", "a\tb", "a\tb"),
            ("\u{1b}[32mok\u{1b}[0m x", "ok x", "\u{1b}[0;32mok\u{1b}[0m x"),
            ("\u{1b}[1;38;5;9mend", "end", "\u{1b}[0;1;91mend\u{1b}[0m"),
            ("10%\r50%\r100%", "100%", "100%"),
            ("\u{1b}[31m1%\r2%", "2%", "\u{1b}[0;31m2%\u{1b}[0m"),
            ("from windows\r", "from windows", "from windows"),
            ("\u{1b}[2Jgone\u{1b}]0;title\u{7}\u{1b}[10;10Hhere", "gonehere", "gonehere"),
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
        fn nothing_unsafe_passes(text in any::<String>()) {
            let safe = |text: &str, also: &[char]| text.chars().all(|c| also.contains(&c) || !is_unsafe(c));
            prop_assert!(safe(&clean(&text), &[]) && safe(&reveal(&text), &[]));
            let argument = text!("{}", text);
            prop_assert!(safe(argument.as_str(), &[]));
            prop_assert!(safe(TerminalText::lines(&text).as_str(), &['\n', '\t']));
            prop_assert!(safe(TerminalText::log_line(text.as_bytes(), Colours::None).as_str(), &['\t']));
            let coloured = TerminalText::coloured(&text);
            prop_assert!(safe(&coloured.plain(), &['\n', '\t']));
            let document = serde_json::Value::from(text.as_str()).to_string();
            prop_assert!(safe(TerminalText::json(&document).as_str(), &[]));
        }
    }
}
