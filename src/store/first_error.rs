//! Finds the first line of a failed log that describes the error.
//!
//! The last `##[error]` line of a step usually reports only its exit code. The useful line is an earlier one that a
//! compiler or a test printed, so lines are ranked by patterns, and the first line of the best rank is chosen. An exit
//! code is never chosen.

use std::ops::{ControlFlow, Range};
use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use crate::model::{FAILED_AND_HELD, LineRange};

use super::StoreError;
use super::logs::{LineMatcher, LogReader};

/// Patterns by rank, best first. Each matches what well-known tools print.
const RANKED: &[&str] = &[
    // Compilers and linters with a source location: rustc, gcc, clang, go, tsc, ruff, mypy, eslint.
    r"^error(\[\w+\])?: |^\S+:\d+(:\d+)?:? (fatal )?error\b|^\S+\(\d+,\d+\): error\b|^\S+\.\w+:\d+:\d+: \w",
    // Assertions and failed tests: pytest, cargo, go, jest, TAP, junit.
    r"^E   +\S|^AssertionError|^assertion .* failed|panicked at|^--- FAIL|^FAILED\b|^FAIL\b|^not ok\b|✕ |✗ ",
    // Lines marked as errors by the step, tools that print `error`, and the exceptions of Python, Java and JavaScript.
    r"(?i)^##\[error\]|^npm ERR!|^fatal: |^error: |^ERROR\b|Error: |^[\w.]+Exception\b|command not found|No such file or directory|^make: \*\*\*",
    // Lines that only announce an error.
    r"^Traceback",
];

static PATTERNS: LazyLock<RegexSet> = LazyLock::new(|| RegexSet::new(RANKED).expect("the patterns are written here"));

/// [`RANKED`] for searching raw log files, where colour sequences may come before the text of a line.
static QUERIES: LazyLock<Vec<LineMatcher>> = LazyLock::new(|| {
    let coloured = |pattern: &&str| pattern.replace('^', r"^(?:\x1b\[[\d;]*m)*");
    let query = |pattern| LineMatcher::regex(&coloured(pattern), true).expect("the patterns are written here");
    RANKED.iter().map(query).collect()
});

/// Maximum number of lines of one rank that [`lines`] examines.
const MOST: usize = 1000;

/// Matches a source location: at the start of a line, after the arrow of rustc, or as Python and Rust's panics print
/// it.
static PLACE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"^\s*(?:-->\s*)?([\w./\\@+-]*\.\w+):(\d+)(?::(\d+))?\b|^\s*File "([^"]+)", line (\d+)|panicked at ([\w./\\-]+):(\d+)(?::(\d+))?"#;
    Regex::new(pattern).expect("the pattern is written here")
});

/// Maximum distance in lines between an error and its location, which rustc and pytest print after the error, and
/// Python before it.
const PLACE_BEHIND: u64 = 4;

/// Maximum length of the part of a line that is examined, in bytes. Messages begin near the start of a line.
const LONGEST: usize = 2000;

/// Finds the line that describes the error while the log is read: call [`look`](Self::look) with every line in order.
#[derive(Debug, Default)]
pub struct FirstError {
    best: Option<Found>,
    last: Option<(u64, String)>,
    /// The last location before the current line: Python prints the location before the message.
    passed: Option<(u64, Place)>,
}

/// A source location in a log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The file, as the log names it.
    pub file: String,
    /// The whole location: `file:line` or `file:line:column`.
    pub text: String,
}

#[derive(Debug)]
struct Found {
    rank: usize,
    number: u64,
    line: String,
    place: Option<Place>,
}

impl FirstError {
    /// Examines the next line. Exit codes, holds and group markers are skipped, and control sequences are ignored.
    pub fn look(&mut self, number: u64, line: &str) {
        let line = plain(cut(line));
        let line = line.trim_end();
        if !says_something(line) {
            return;
        }
        let text = without_mark(line);
        self.last = Some((number, text.trim().to_owned()));
        let place = place(text);
        if let (Some(best), Some(place)) = (&mut self.best, &place)
            && best.place.is_none()
            && number <= best.number + PLACE_BEHIND
        {
            best.place = Some(place.clone());
        }
        let limit = self.best.as_ref().map_or(RANKED.len(), |best| best.rank);
        if let Some(rank) = PATTERNS.matches(line).iter().next().filter(|rank| *rank < limit) {
            let before = self.passed.take().filter(|(at, _)| number <= at + PLACE_BEHIND).map(|(_, place)| place);
            let place = place.clone().or(before);
            self.best = Some(Found { rank, number, line: text.trim().to_owned(), place });
        }
        if let Some(place) = place {
            self.passed = Some((number, place));
        }
    }

    /// Returns the best line that looks like an error, and its number; `None` if no line does.
    #[must_use]
    pub fn best(&self) -> Option<(u64, String)> {
        self.best.as_ref().map(|best| (best.number, best.line.clone()))
    }

    /// Returns the best line, else the last line with any text, and its number; `None` for a log without either.
    #[must_use]
    pub fn found(&self) -> Option<(u64, String)> {
        self.best().or_else(|| self.last.clone())
    }

    /// Returns the source location that the best line or its neighbours contain; `None` if there is no such location.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.best.as_ref()?.place.clone()
    }
}

/// Returns the lines of a log that best describe the failure, in order: the lines of the best rank that occurs. Of
/// adjacent lines only the first counts. If `stop` returns `true`, which is checked before every block of the log, only
/// the lines found by then are returned.
///
/// # Errors
/// The log cannot be read.
pub fn lines(log: &LogReader, lines: Range<u64>, stop: &dyn Fn() -> bool) -> Result<Vec<u64>, StoreError> {
    for query in QUERIES.iter() {
        let mut hits: Vec<u64> = Vec::new();
        log.search(query, lines.clone(), stop, |number| {
            hits.push(number);
            if hits.len() < MOST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let mut found: Vec<u64> = Vec::new();
        let mut before = None;
        for number in hits {
            let mut counts = false;
            log.visit(number, |line| {
                counts = says_something(plain(cut(&String::from_utf8_lossy(line.bytes))).trim_end());
                ControlFlow::Break(())
            })?;
            if counts {
                let follows = before.is_some_and(|before| number == before + 1);
                before = Some(number);
                found.extend((!follows).then_some(number));
            }
        }
        if !found.is_empty() || stop() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Returns the file and the line number that a line of a log names; `None` if it contains no source location.
#[must_use]
pub fn place_in(line: &str) -> Option<(String, Option<u32>)> {
    let found = PLACE.captures(line)?;
    let mut parts = found.iter().skip(1).flatten().map(|part| part.as_str());
    Some((parts.next()?.to_owned(), parts.next().and_then(|line| line.parse().ok())))
}

/// Returns the text of a line without the mark of an error, a warning or a notice.
fn without_mark(line: &str) -> &str {
    let marks = ["##[error]", "##[warning]", "##[notice]"];
    marks.iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line)
}

/// Whether a line is more than an exit code, a hold or a group marker.
fn says_something(line: &str) -> bool {
    let text = without_mark(line);
    !text.trim().is_empty()
        && !is_exit_code(text)
        && !text.starts_with(FAILED_AND_HELD)
        && !line.starts_with("##[group]")
        && !line.starts_with("##[endgroup]")
}

fn is_exit_code(text: &str) -> bool {
    text.starts_with("Process completed with exit code") || text.starts_with("exit code ")
}

fn place(text: &str) -> Option<Place> {
    let found = PLACE.captures(text)?;
    let parts: Vec<_> = found.iter().skip(1).flatten().map(|part| part.as_str()).collect();
    Some(Place { file: (*parts.first()?).to_owned(), text: parts.join(":") })
}

/// Returns at most the first [`LONGEST`] bytes of a line.
fn cut(line: &str) -> &str {
    &line[..line.floor_char_boundary(LONGEST)]
}

/// Returns the line without control sequences.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..at]);
        let end = rest[at + 2..].find(|c: char| ('@'..='~').contains(&c)).map_or(rest.len(), |end| at + 3 + end);
        rest = &rest[end.min(rest.len())..];
    }
    plain.push_str(rest);
    plain
}

/// Maximum number of lines of a log that is shown whole.
const WHOLE: u64 = 60;

/// Number of lines of an excerpt before the first error.
const BEFORE: u64 = 10;

/// Number of lines of an excerpt from the first error on.
const FROM: u64 = 20;

/// Number of lines of an excerpt at the end of the log.
const LAST: u64 = 10;

/// Returns the lines to show of a failed step whose log has `lines` lines: some around the first error and the last
/// ones. `error` is the line number of the first error, if known. A short log is shown whole.
#[must_use]
pub fn excerpt(error: Option<u64>, lines: u64) -> Vec<LineRange> {
    let range = |first: u64, end: u64| LineRange { first, count: end - first };
    let last = lines.saturating_sub(if error.is_some() { LAST } else { BEFORE + FROM });
    let (first, end) = error.map_or((last, last), |at| (at.saturating_sub(BEFORE), (at + FROM).min(lines)));
    match () {
        () if lines <= WHOLE => vec![range(0, lines)],
        () if end >= last => vec![range(first.min(last), lines)],
        () => vec![range(first, end), range(last, lines)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(log: &str) -> Option<String> {
        let mut finder = FirstError::default();
        log.lines().enumerate().for_each(|(number, line)| finder.look(number as u64, line));
        finder.found().map(|(_, line)| line)
    }

    #[test]
    fn what_is_wrong_is_found_and_the_exit_code_is_not() {
        for (log, expected) in [
            (
                "collecting\n\u{1b}[31mE   assert 1 == 2\u{1b}[0m\nFAILED tests/a.py::b\n##[error]Process completed with exit code 1.",
                Some("E   assert 1 == 2"),
            ),
            ("building\nsrc/a.c:3:1: error: no\n##[error]Something", Some("src/a.c:3:1: error: no")),
            ("error[E0308]: mismatched types\n  --> a.rs", Some("error[E0308]: mismatched types")),
            ("Traceback (most recent call last):\n  File \"a.py\", line 3\nValueError: no", Some("ValueError: no")),
            ("npm ERR! missing script", Some("npm ERR! missing script")),
            ("a\nb\n##[error]no coverage", Some("no coverage")),
            ("a\nsome last words\n\n", Some("some last words")),
            ("last words\n##[warning]The step failed and is held: exit code 4", Some("last words")),
            ("##[warning]The step failed and is held: exit code 4", None),
            ("a\n##[warning]no coverage", Some("no coverage")),
            ("", None),
        ] {
            assert_eq!(first(log).as_deref(), expected, "{log}");
        }
    }

    #[test]
    fn the_lines_of_the_best_rank_are_found_in_a_log() {
        use crate::model::Timestamp;
        use crate::store::logs::LogWriter;
        let folder = tempfile::tempdir().expect("a folder");
        for (at, (log, expected)) in [
            ("Error: later\n\x1b[31mE   assert a\x1b[0m\nE   and b\nfine\nFAILED tests/a.py::b\n", vec![1, 4]),
            ("fine\n##[error]no coverage\n##[error]Process completed with exit code 1.\n", vec![1]),
            ("all\nis\nfine\n", vec![]),
        ]
        .into_iter()
        .enumerate()
        {
            let path = folder.path().join(at.to_string());
            LogWriter::new(&path).append(log.as_bytes(), Timestamp(0)).expect("written");
            let reader = LogReader::open(&path).expect("read").expect("there");
            assert_eq!(lines(&reader, 0..u64::MAX, &|| false).expect("read"), expected, "{log}");
        }
        assert_eq!(place_in("src/a.c:3:1: error: no"), Some(("src/a.c".to_owned(), Some(3))));
        assert_eq!(place_in("nothing here"), None);
    }

    #[test]
    fn the_place_stands_in_the_line_or_next_to_it() {
        for (log, expected) in [
            ("src/a.c:3:1: error: no", Some("src/a.c:3:1")),
            ("error[E0308]: mismatched types\n  --> src/a.rs:7:9\n", Some("src/a.rs:7:9")),
            ("E   assert 1 == 2\n\ntests/a.py:12: AssertionError", Some("tests/a.py:12")),
            ("Traceback (most recent call last):\n  File \"b/a.py\", line 3\n    x\nValueError: no", Some("b/a.py:3")),
            ("thread 'x' panicked at src/b.rs:4:5:\nno", Some("src/b.rs:4:5")),
            ("error: no\n1\n2\n3\n4\nfar/away.c:1:2", None),
            ("at 12:30:59\nerror: no", None),
        ] {
            let mut finder = FirstError::default();
            log.lines().enumerate().for_each(|(number, line)| finder.look(number as u64, line));
            assert_eq!(finder.place().map(|place| place.text).as_deref(), expected, "{log}");
        }
    }

    #[test]
    fn an_excerpt_has_the_first_error_and_the_end() {
        let shown = |error, lines| {
            let ranges = excerpt(error, lines);
            ranges.iter().map(|range| (range.first, range.first + range.count)).collect::<Vec<_>>()
        };
        assert_eq!(shown(Some(3), 60), [(0, 60)], "a short log is shown whole");
        assert_eq!(shown(Some(100), 1000), [(90, 120), (990, 1000)]);
        assert_eq!(shown(Some(3), 1000), [(0, 23), (990, 1000)]);
        assert_eq!(shown(Some(980), 1000), [(970, 1000)]);
        assert_eq!(shown(Some(999), 1000), [(989, 1000)]);
        assert_eq!(shown(None, 1000), [(970, 1000)]);
    }
}
