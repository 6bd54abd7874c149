//! Searches a log.
//!
//! The log is read in blocks of 1 MiB. Lines without control sequences are searched as they are in the file; each other
//! line is searched as it is shown. The results are lines; [`LineMatcher::ranges`] returns the parts that matched.

use std::ops::{ControlFlow, Range};

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

use super::index::{Index, SPACING};
use super::reader::LogReader;
use crate::store::StoreError;
use crate::visible::row;

/// Number of bytes that are read at a time. A match must lie within this many bytes of its line.
const BLOCK: usize = 1024 * 1024;

/// Number of bytes of a block that are searched again with the next one, in a line longer than a block, so that a
/// regular expression finds a match across the border.
const OVERLAP: usize = 4 * 1024;

/// A compiled search pattern.
#[derive(Clone, Debug)]
pub struct LineMatcher(Matcher);

#[derive(Clone, Debug)]
enum Matcher {
    Literal(Box<memmem::Finder<'static>>),
    Regex(Regex),
}

/// Why a pattern cannot be searched for.
#[derive(Debug, thiserror::Error)]
pub enum LineMatcherError {
    /// The text is empty, which every line contains.
    #[error("nothing to search for")]
    Empty,
    /// The regular expression is invalid.
    #[error("{0}")]
    Regex(#[from] regex::Error),
}

impl LineMatcherError {
    /// Returns a notice in one line: the pattern is searched for as plain text, and why.
    #[must_use]
    pub fn one_line(&self) -> String {
        let text = self.to_string();
        let reason = text.lines().last().unwrap_or_default();
        format!("searched as plain text, as it is not a regular expression: {}", reason.trim_start_matches("error: "))
    }
}

impl LineMatcher {
    /// Returns a matcher for literal text.
    ///
    /// # Errors
    /// The text is empty.
    pub fn literal(text: &str, case_sensitive: bool) -> Result<Self, LineMatcherError> {
        match text {
            "" => Err(LineMatcherError::Empty),
            _ if case_sensitive => Ok(Self(Matcher::Literal(Box::new(memmem::Finder::new(text).into_owned())))),
            _ => Self::regex(&regex::escape(text), false),
        }
    }

    /// Returns a matcher for a regular expression within each line; `^` and `$` are the ends of the line.
    ///
    /// # Errors
    /// The expression is empty or invalid.
    pub fn regex(pattern: &str, case_sensitive: bool) -> Result<Self, LineMatcherError> {
        if pattern.is_empty() {
            return Err(LineMatcherError::Empty);
        }
        let regex = RegexBuilder::new(pattern).case_insensitive(!case_sensitive).multi_line(true).crlf(true).build()?;
        Ok(Self(Matcher::Regex(regex)))
    }

    /// Returns the matches in a line, from left to right. Empty matches are left out.
    #[must_use]
    pub fn ranges(&self, line: &[u8]) -> Vec<Range<usize>> {
        match &self.0 {
            Matcher::Literal(finder) => {
                let len = finder.needle().len();
                finder.find_iter(line).map(|start| start..start + len).collect()
            }
            Matcher::Regex(regex) => {
                regex.find_iter(line).map(|found| found.range()).filter(|r| !r.is_empty()).collect()
            }
        }
    }

    fn find(&self, text: &[u8], at: usize) -> Option<Range<usize>> {
        match &self.0 {
            Matcher::Literal(finder) => {
                let start = at + finder.find(&text[at..])?;
                Some(start..start + finder.needle().len())
            }
            Matcher::Regex(regex) => regex.find_at(text, at).map(|found| found.range()),
        }
    }

    /// Finds the first match from the start of a line on, like [`LineMatcher::find`], but never across the end of a
    /// line.
    fn find_by_line(&self, text: &[u8], mut at: usize) -> Option<Range<usize>> {
        while at < text.len() {
            let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |newline| at + newline);
            if let Some(found) = self.find(&text[at..end], 0) {
                return Some(at + found.start..at + found.end);
            }
            at = end + 1;
        }
        None
    }

    /// Reports the matching lines of a text. `number` returns the number of the line that contains a position in it,
    /// and is called with increasing positions.
    fn search_lines(
        &self,
        text: &[u8],
        mut number: impl FnMut(usize) -> u64,
        report: &mut impl FnMut(u64) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut at = 0;
        // Whether to search line by line. An expression that matches across lines would scan to the end of the text
        // from each line.
        let mut by_line = false;
        while at < text.len()
            && let Some(range) = if by_line { self.find_by_line(text, at) } else { self.find(text, at) }
        {
            if range.start == text.len() && text.ends_with(b"\n") {
                break;
            }
            let end = memchr::memchr(b'\n', &text[range.start..]).map_or(text.len(), |n| range.start + n);
            let begin = memchr::memrchr(b'\n', &text[..range.start]).map_or(0, |n| n + 1);
            // The expression may have matched across the end of the line, and may not match within it.
            by_line |= range.end > end;
            let is_match = range.end <= end || self.find(&text[begin..end], 0).is_some();
            if is_match {
                report(number(range.start))?;
            }
            at = end + 1;
        }
        ControlFlow::Continue(())
    }

    fn overlap(&self) -> usize {
        match &self.0 {
            Matcher::Literal(finder) => (finder.needle().len() - 1).min(BLOCK / 2),
            Matcher::Regex(_) => OVERLAP,
        }
    }
}

impl LogReader {
    /// Passes the numbers of the matching lines among `lines` to `found`, in order and each once. Ends early if `found`
    /// breaks, or if `stop`, which is called before every block, returns true.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn search(
        &self,
        query: &LineMatcher,
        lines: Range<u64>,
        stop: &dyn Fn() -> bool,
        mut found: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let Some(start) = self.seek(lines.start)? else { return Ok(()) };
        let mut buffer = vec![0; BLOCK];
        // Offset of the start of `buffer` in the log.
        let mut offset = start;
        let mut numbers = LineNumbers { index: self.index(), offset: start, line: lines.start };
        let mut kept = 0;
        let mut reported = None;
        let mut report = |line: u64| {
            if line >= lines.end {
                return ControlFlow::Break(());
            }
            if reported.replace(line) == Some(line) { ControlFlow::Continue(()) } else { found(line) }
        };
        while numbers.line < lines.end && !stop() {
            let from = offset + kept as u64;
            let wanted = usize::try_from(self.bytes() - from).unwrap_or(usize::MAX).min(BLOCK - kept);
            let read = self.read(&mut buffer[kept..kept + wanted], from)?;
            let filled = kept + read;
            let is_last = read == 0 || from + read as u64 == self.bytes();
            let complete = memchr::memrchr(b'\n', &buffer[..filled]).map(|newline| newline + 1);
            let text = match complete {
                Some(end) if !is_last => &buffer[..end],
                // The end of the log, or as much of a long line as can be searched at once.
                _ => &buffer[..filled],
            };
            let in_long_line = complete.is_none() && !is_last;

            for stretch in (Stretches { text, at: 0 }) {
                let flow = match stretch {
                    Stretch::Plain(at) => {
                        let number = |position| numbers.at(text, offset, at.start + position);
                        query.search_lines(&text[at.clone()], number, &mut report)
                    }
                    Stretch::Line(at) if query.find(&row::shown(&text[at.clone()]), 0).is_some() => {
                        report(numbers.at(text, offset, at.start))
                    }
                    Stretch::Line(_) => ControlFlow::Continue(()),
                };
                if flow.is_break() {
                    return Ok(());
                }
            }

            if is_last {
                return Ok(());
            }
            let used = if in_long_line { text.len() - query.overlap().min(text.len() / 2) } else { text.len() };
            numbers.at(text, offset, used);
            offset += used as u64;
            buffer.copy_within(used..filled, 0);
            kept = filled - used;
        }
        Ok(())
    }
}

/// The numbers of lines at growing offsets in a log. Newlines are counted only from the last entry of the index on.
struct LineNumbers<'i> {
    index: &'i Index,
    /// The last offset, and the number of the line that contains it.
    offset: u64,
    line: u64,
}

impl LineNumbers<'_> {
    /// Returns the number of the line that contains a position in a text that starts at an offset in the log.
    fn at(&mut self, text: &[u8], start: u64, position: usize) -> u64 {
        let offset = start + position as u64;
        if offset > self.offset + SPACING
            && let Some(entry) = self.index.last_until(offset)
            && entry.offset > self.offset
        {
            (self.offset, self.line) = (entry.offset, entry.line);
        }
        // The position may be before the last one: a match in a long line may lie in the overlap of two blocks.
        if offset > self.offset {
            let from = usize::try_from(self.offset - start).unwrap_or(position);
            self.line += memchr::memchr_iter(b'\n', &text[from..position]).count() as u64;
            self.offset = offset;
        }
        self.line
    }
}

/// A range of a text: either lines that are shown without change, or one line that is shown differently.
enum Stretch {
    Plain(Range<usize>),
    Line(Range<usize>),
}

/// The parts of a text, in order.
struct Stretches<'t> {
    text: &'t [u8],
    at: usize,
}

impl Iterator for Stretches<'_> {
    type Item = Stretch;

    fn next(&mut self) -> Option<Stretch> {
        let start = self.at;
        let rest = Some(&self.text[start..]).filter(|rest| !rest.is_empty())?;
        let control = row::first_control(rest);
        let begin = control.map(|control| memchr::memrchr(b'\n', &rest[..control]).map_or(0, |newline| newline + 1));
        let is_line = begin == Some(0);
        let length = match (control, begin) {
            (Some(control), Some(0)) => {
                memchr::memchr(b'\n', &rest[control..]).map_or(rest.len(), |newline| control + newline + 1)
            }
            (_, begin) => begin.unwrap_or(rest.len()),
        };
        self.at = start + length;
        Some(if is_line { Stretch::Line(start..self.at) } else { Stretch::Plain(start..self.at) })
    }
}
