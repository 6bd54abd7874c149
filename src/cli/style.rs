//! Colour for terminals, words for everybody, and the one place where text leaves the program.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::model::{Conclusion, Phase};

/// How text to a stream is dressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) colour: bool,
    pub(super) ascii: bool,
}

/// The colours in use: the terminal's own sixteen, so its theme decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Dim,
    Bold,
    /// A job's own, by its place in the run.
    Job(usize),
}

impl Style {
    /// For standard output: colour only on a terminal and never against `NO_COLOR`; glyphs beyond ASCII only where the
    /// locale has them.
    pub(super) fn of_output() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
        let utf8 = locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        Self { colour: io::stdout().is_terminal() && !set("NO_COLOR") && !dumb, ascii: !utf8 }
    }

    pub(super) fn paint(self, colour: Colour, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Red => "31",
            Colour::Green => "32",
            Colour::Yellow => "33",
            Colour::Blue => "34",
            Colour::Dim => "2",
            Colour::Bold => "1",
            // Neither red, green nor yellow: those say how something ended.
            Colour::Job(place) => ["36", "35", "34", "96", "95", "94"][place % 6],
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Text of ours whose signs the terminal may lack: then with signs that it has.
    pub(super) fn spelled(self, text: String) -> String {
        if !self.ascii {
            return text;
        }
        text.chars()
            .map(|c| match c {
                '│' | '·' => '|',
                '▸' | '›' => '>',
                '▾' => 'v',
                '⋮' => ':',
                '…' => '~',
                '├' => '|',
                '└' => '`',
                '─' => '-',
                other => other,
            })
            .collect()
    }

    /// A glyph for how far something is, in its colour.
    pub(super) fn glyph(self, phase: &Phase) -> String {
        let (glyph, ascii, colour) = match phase {
            Phase::Queued => ("○", "o", Colour::Dim),
            Phase::Waiting(_) => ("·", ".", Colour::Dim),
            Phase::Running | Phase::Stopping => ("●", "*", Colour::Yellow),
            Phase::Done(Conclusion::Success) => ("✓", "+", Colour::Green),
            Phase::Done(Conclusion::Failure) => ("✗", "X", Colour::Red),
            Phase::Done(Conclusion::TimedOut) => ("⧖", "T", Colour::Red),
            Phase::Done(Conclusion::StartupFailure) => ("‼", "!", Colour::Red),
            Phase::Done(Conclusion::ActionRequired) => ("◆", "?", Colour::Yellow),
            Phase::Done(Conclusion::Cancelled) => ("⊘", "c", Colour::Dim),
            Phase::Done(Conclusion::Skipped) => ("–", "-", Colour::Dim),
            Phase::Done(Conclusion::Neutral | Conclusion::Stale) => ("=", "=", Colour::Dim),
        };
        self.paint(colour, if self.ascii { ascii } else { glyph })
    }
}

/// A duration as people say it: `0.4s`, `12s`, `3:05`, `1:02:09`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

/// Prints to standard output.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints a line to standard output.
pub(super) fn line(text: &str) -> io::Result<()> {
    print(&format!("{text}\n"))
}

/// Tells on standard error what went wrong.
pub(super) fn complain(text: &str) {
    let head = if colour_of_errors() { "\u{1b}[31merror\u{1b}[0m" } else { "error" };
    let text = text.strip_prefix("error").map_or(format!("{head}: {text}"), |rest| format!("{head}{rest}"));
    // With standard error closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether standard error is shown in colour.
pub(super) fn colour_of_errors() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Says something beside the result, on standard error.
pub(super) fn notice(text: &str) {
    // With standard error closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}
