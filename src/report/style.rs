//! Styles of text on standard output and standard error, and the functions with which commands print.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::model::{Level, Phase, ServiceState};
use crate::ui::link::Link;
use crate::ui::terminal_text::{TerminalText, ToTerminal, alert, text};
use crate::ui::theme::{Background, Colours, Glyphs, Hue, Theme};

/// Returns the background that the terminal names in the environment.
pub fn background() -> Background {
    Background::of_variable(std::env::var("COLORFGBG").ok().as_deref())
}

/// Style of text on a stream: the glyphs of the screen's theme, with or without its colours, or sentences.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    theme: Theme,
    /// Whether reports consist of sentences for a screen reader.
    linear: bool,
}

impl Style {
    /// Returns the style for standard output: colours only on a terminal and without `NO_COLOR`; Unicode glyphs unless
    /// the locale is set to one without UTF-8.
    pub fn of_output() -> Self {
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
        let utf8 = locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        if is_linear() {
            return Self::linear();
        }
        let glyphs = if utf8 { Glyphs::Unicode } else { Glyphs::Ascii };
        Self::new(glyphs, moves_cursor() && wants_colour()).on(background())
    }

    /// Returns the style for standard error, which has the glyphs of standard output.
    pub fn of_errors() -> Self {
        let style = Self { linear: is_linear(), ..Self::new(Self::of_output().glyphs(), colour_of_errors()) };
        style.on(background())
    }

    /// Returns the style of sentences for a screen reader, without colours.
    pub fn linear() -> Self {
        Self { linear: true, ..Self::new(Glyphs::Ascii, false) }
    }

    /// Whether reports consist of sentences for a screen reader: without glyphs, columns and indentation.
    pub fn is_linear(self) -> bool {
        self.linear
    }

    /// Returns a style with these glyphs, with or without colours.
    pub fn new(glyphs: Glyphs, colour: bool) -> Self {
        let colours = if colour { Colours::Terminal } else { Colours::None };
        Self { theme: Theme { glyphs, colours, motion: false, ..Theme::default() }, linear: false }
    }

    fn on(mut self, background: Background) -> Self {
        self.theme.background = background;
        self
    }

    /// Returns the colours in use.
    pub fn colours(self) -> Colours {
        self.theme.colours
    }

    /// Returns the glyphs in use.
    pub fn glyphs(self) -> Glyphs {
        self.theme.glyphs
    }

    /// Paints a text in a hue.
    pub fn paint(self, hue: Hue, text: impl ToTerminal) -> TerminalText {
        self.dress(text, |text| text.styled(self.theme.style(hue)))
    }

    /// Formats a heading.
    pub fn bold(self, text: impl ToTerminal) -> TerminalText {
        self.dress(text, |text| text.styled(self.theme.heading()))
    }

    /// Paints a text in the colour of the job with this index in its run.
    pub fn of_job(self, place: usize, text: impl ToTerminal) -> TerminalText {
        self.dress(text, |text| text.styled(self.theme.nth(place)))
    }

    /// Paints a text in the style of annotations of this level.
    pub fn level(self, level: Level, text: impl ToTerminal) -> TerminalText {
        self.dress(text, |text| text.styled(self.theme.level(level)))
    }

    /// Makes a text a link to a file of this machine, on a terminal with colours. On a terminal over SSH the file would be
    /// looked for on another machine, so the text stays as it is.
    pub fn link(self, file: &Path, text: impl ToTerminal) -> TerminalText {
        let link = Link::to_file(file).filter(|_| std::env::var_os("SSH_CONNECTION").is_none());
        self.dress(text, |text| link.map_or(text.clone(), |link| text.linked(&link)))
    }

    fn dress(self, text: impl ToTerminal, dress: impl FnOnce(TerminalText) -> TerminalText) -> TerminalText {
        let text = text.to_terminal().into_owned();
        if self.theme.colours == Colours::None { text } else { dress(text) }
    }

    /// Returns the glyph of a status, in its colour.
    pub fn glyph(self, phase: &Phase) -> TerminalText {
        let look = self.theme.look(phase);
        self.paint(look.hue, look.glyph)
    }

    /// Returns the word of a status.
    pub fn word(self, phase: &Phase) -> &'static str {
        self.theme.look(phase).word
    }

    /// Returns the word of a service's state.
    pub fn service(self, state: ServiceState) -> &'static str {
        self.theme.service(state).word
    }

    /// Replaces characters that the terminal does not have.
    pub fn spelled(self, text: TerminalText) -> TerminalText {
        if self.theme.glyphs == Glyphs::Ascii { text.map(|c| self.theme.spelled(c)) } else { text }
    }
}

/// Whether `--linear` was given.
static LINEAR: OnceLock<()> = OnceLock::new();

/// Environment variable that asks for sentences: `true` or `1`. Empty, `false` and `0` do not.
const LINEAR_VARIABLE: &str = "CUELIGHT_LINEAR";

/// The variable that asks for sentences has another value than the variables of boolean settings, or `0` and `1`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("CUELIGHT_LINEAR: must be true or false, not `{0}`")]
pub struct LinearError(String);

/// Makes this process print sentences for a screen reader.
pub fn make_linear() {
    LINEAR.get_or_init(|| ());
}

/// Whether this process prints sentences for a screen reader instead of tables and rows that are redrawn.
pub fn is_linear() -> bool {
    LINEAR.get().is_some() || asks_for_sentences().unwrap_or(false)
}

/// Reads whether the environment asks for sentences.
///
/// # Errors
/// The variable has a value that is neither true nor false.
pub fn asks_for_sentences() -> Result<bool, LinearError> {
    let value = std::env::var_os(LINEAR_VARIABLE).unwrap_or_default();
    is_true(&value.to_string_lossy())
}

/// Returns the meaning of the variable's value.
fn is_true(value: &str) -> Result<bool, LinearError> {
    match value {
        "" | "false" | "0" => Ok(false),
        "true" | "1" => Ok(true),
        other => Err(LinearError(other.to_owned())),
    }
}

/// Returns why a run cannot be replayed here, and what shows it instead.
pub fn no_replay() -> &'static str {
    if is_linear() {
        "a replay is drawn on the screen, which the linear mode does not open; `cuelight show` prints the run in sentences"
    } else {
        "a replay needs a terminal; `cuelight screenshot --at SECONDS` draws one moment"
    }
}

/// Whether standard output is a terminal that carries out control sequences. None are used for a screen reader.
pub(super) fn moves_cursor() -> bool {
    !is_linear() && io::stdout().is_terminal() && !std::env::var("TERM").is_ok_and(|term| term == "dumb")
}

/// Returns the number of rows of the terminal at standard output; `None` without a terminal, or for one without control
/// sequences.
pub fn rows() -> Option<usize> {
    let size = moves_cursor().then(crossterm::terminal::size).and_then(Result::ok);
    size.map(|(_, rows)| rows.into()).filter(|rows| *rows > 0)
}

/// Returns the number of columns of the terminal at standard output; `None` without a terminal, or for one without
/// control sequences.
pub fn columns() -> Option<usize> {
    let size = moves_cursor().then(crossterm::terminal::size).and_then(Result::ok);
    size.map(|(columns, _)| columns.into()).filter(|columns| *columns > 0)
}

fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether GitHub's runner reads the output.
pub fn inside_actions() -> bool {
    std::env::var("GITHUB_ACTIONS").is_ok_and(|inside| inside == "true")
}

/// A stream for output. It accepts only [`TerminalText`]. If GitHub's runner reads the stream, only lines written by
/// [`Out::command`] and [`Out::commands`] can be commands.
pub struct Out<'w> {
    stream: &'w mut dyn Write,
    in_actions: bool,
}

impl<'w> Out<'w> {
    /// Returns the output to a stream.
    pub fn new(stream: &'w mut dyn Write) -> Self {
        Self { stream, in_actions: inside_actions() }
    }

    /// Returns the output to a stream. `in_actions` is whether GitHub's runner reads it, whatever the environment.
    #[cfg(test)]
    pub fn read_by_runner(stream: &'w mut dyn Write, in_actions: bool) -> Self {
        Self { stream, in_actions }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn line(&mut self, text: impl ToTerminal) -> io::Result<()> {
        self.print(&text.to_terminal())?;
        self.stream.write_all(b"\n")
    }

    /// Writes text as it is, line ends included.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn print(&mut self, text: &TerminalText) -> io::Result<()> {
        if !self.in_actions {
            return self.stream.write_all(text.as_str().as_bytes());
        }
        text.as_str().split_inclusive('\n').try_for_each(|line| self.stream.write_all(inert(line).as_bytes()))
    }

    /// Writes a line that may be a command for GitHub's runner.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn command(&mut self, text: &TerminalText) -> io::Result<()> {
        self.commands(text)?;
        self.stream.write_all(b"\n")
    }

    /// Writes lines that may be commands for GitHub's runner.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn commands(&mut self, lines: &TerminalText) -> io::Result<()> {
        self.stream.write_all(lines.as_str().as_bytes())
    }

    /// Rings the bell of a terminal, and shows a text as its notification.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn ring(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(alert(text).as_bytes())
    }

    /// Erases the row of the cursor on a terminal.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn erase_row(&mut self) -> io::Result<()> {
        self.stream.write_all(b"\r\x1b[K")
    }

    /// Erases this many rows above the row of the cursor on a terminal.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn erase_rows(&mut self, rows: usize) -> io::Result<()> {
        (0..rows).try_for_each(|_| self.stream.write_all(b"\x1b[1A\r\x1b[K"))
    }

    /// Writes the buffered text.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Escapes a line that GitHub's runner would take for a command. The runner reads `::` after leading blanks, and `##[`
/// anywhere in a line.
fn inert(line: &str) -> Cow<'_, str> {
    let line = if line.contains("##[") { Cow::Owned(line.replace("##[", "## [")) } else { Cow::Borrowed(line) };
    let blanks = line.len() - line.trim_start().len();
    if line[blanks..].starts_with("::") {
        Cow::Owned(format!("{} {}", &line[..=blanks], &line[blanks + 1..]))
    } else {
        line
    }
}

/// Whether a write has found standard output closed.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether the reader of standard output has closed it, as far as a write to [`Stdout`] has found.
pub fn is_closed() -> bool {
    IS_CLOSED.load(Ordering::Relaxed)
}

/// Standard output of a command whose exit code is a result. Once the reader has closed it, as `head` does, text is
/// dropped without an error: the command completes what it does, and ends with the exit code that it has otherwise.
pub struct Stdout(io::StdoutLock<'static>);

impl Stdout {
    /// Locks standard output.
    pub fn lock() -> Self {
        Self(io::stdout().lock())
    }
}

impl Write for Stdout {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if is_closed() { Ok(text.len()) } else { unless_closed(self.0.write(text), text.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if is_closed() { Ok(()) } else { unless_closed(self.0.flush(), ()) }
    }
}

/// Returns the result of a write to standard output, or if that is closed, `dropped`.
fn unless_closed<T>(written: io::Result<T>, dropped: T) -> io::Result<T> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            IS_CLOSED.store(true, Ordering::Relaxed);
            Ok(dropped)
        }
        written => written,
    }
}

/// Prints to standard output. Succeeds if the reader has closed it, see [`Stdout`].
///
/// # Errors
/// The output cannot be written.
pub fn print(text: &TerminalText) -> io::Result<()> {
    let mut stdout = Stdout::lock();
    let mut out = Out::new(&mut stdout);
    out.print(text)?;
    out.flush()
}

/// Prints a line to standard output.
///
/// # Errors
/// The output cannot be written.
pub fn line(text: &(impl ToTerminal + ?Sized)) -> io::Result<()> {
    print(&text!("{}\n", *text.to_terminal()))
}

/// Prints a JSON document in one line to standard output.
///
/// # Errors
/// The value cannot be serialized, or the output cannot be written.
pub fn json(value: &impl Serialize) -> io::Result<()> {
    line(&document(value)?)
}

/// Prints the answer of a command to standard output: a JSON document, or a line for people.
///
/// # Errors
/// The document cannot be serialized, or the output cannot be written.
pub fn answer(as_json: bool, document: &impl Serialize, text: &(impl ToTerminal + ?Sized)) -> io::Result<()> {
    if as_json { json(document) } else { line(text) }
}

/// Returns a JSON document in one line.
///
/// # Errors
/// The value cannot be serialized.
pub fn document(value: &impl Serialize) -> io::Result<TerminalText> {
    Ok(TerminalText::json(&serde_json::to_string(value)?))
}

/// Maximum width of a column of a table. A longer text moves the rest of its row to the right.
const MAX_COLUMN: usize = 200;

/// Returns the width of a column of a table: the maximum of the widths of its texts, at most [`MAX_COLUMN`]; 0 without
/// texts.
pub fn column(widths: impl Iterator<Item = usize>) -> usize {
    widths.max().unwrap_or_default().min(MAX_COLUMN)
}

/// Prints an error to standard error.
pub fn complain(message: &(impl ToTerminal + ?Sized)) {
    let style = Style::of_errors();
    let message = message.to_terminal();
    // A rendered diagnostic already has a heading.
    let has_heading = message.plain().starts_with("error:");
    let heading = if has_heading { TerminalText::default() } else { text!("{}: ", style.paint(Hue::Bad, "error")) };
    notice(&text!("{}{}", heading, *message));
}

/// Whether errors are printed in colour.
pub fn colour_of_errors() -> bool {
    !is_linear() && io::stderr().is_terminal() && wants_colour()
}

/// Prints a note to standard error.
pub fn notice(text: &(impl ToTerminal + ?Sized)) {
    let mut stderr = io::stderr().lock();
    // A closed standard error is ignored.
    let _ = Out::new(&mut stderr).line(&*text.to_terminal());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conclusion, Gate, Timestamp};
    use crate::store::history::StatusFilter;

    #[test]
    fn every_word_of_a_state_is_a_status_to_filter_by() {
        let held = Gate::Held { reason: None, until: Timestamp(0) };
        let gates = [Gate::Capacity, Gate::Review("production".to_owned()), Gate::Runner(Vec::new()), held];
        let phases = [Phase::Queued, Phase::Running, Phase::Stopping].into_iter();
        for phase in phases.chain(gates.map(Phase::Waiting)).chain(Conclusion::ALL.map(Phase::Done)) {
            let word = Style::new(Glyphs::Unicode, false).word(&phase);
            assert!(word.parse::<StatusFilter>().expect(word).matches(&phase), "{word}: {phase:?}");
        }
    }

    #[test]
    fn the_variable_for_sentences_is_true_or_false() {
        for (value, expected) in [("", false), ("0", false), ("false", false), ("1", true), ("true", true)] {
            assert_eq!(is_true(value), Ok(expected), "{value}");
        }
        let error = is_true("no").expect_err("neither true nor false").to_string();
        assert_eq!(error, "CUELIGHT_LINEAR: must be true or false, not `no`");
    }

    #[test]
    fn a_link_keeps_its_text() {
        let style = Style::new(Glyphs::Unicode, true);
        let link = style.link(Path::new("/a b/c.rs"), "c.rs:3");
        if std::env::var_os("SSH_CONNECTION").is_none() {
            assert_eq!(link.as_str(), "\u{1b}]8;;file:///a%20b/c.rs\u{1b}\\c.rs:3\u{1b}]8;;\u{1b}\\");
        }
        assert_eq!((link.plain().as_ref(), link.width()), ("c.rs:3", 6));
        let plain = Style::new(Glyphs::Ascii, false).link(Path::new("/a/c.rs"), "c.rs:3");
        assert_eq!(plain.as_str(), "c.rs:3");
    }

    #[test]
    fn a_column_has_a_width_that_can_be_printed() {
        let long = "x".repeat(70_000);
        let columns = column([3, long.len()].into_iter());
        assert_eq!((columns, text!("{:<columns$}|", "a").width()), (200, 201));
        assert_eq!(text!("{:<columns$}|", long).width(), 70_001);
    }
}
