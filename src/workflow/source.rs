//! Source text with positions.

use std::sync::{Arc, OnceLock};

/// A file's text and the name it is shown under.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as the user gave it, or relative to the repository.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Where lines begin, once somebody asked for a place.
    lines: OnceLock<Vec<usize>>,
}

impl Source {
    /// Wraps text under a name.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into(), lines: OnceLock::new() })
    }

    /// The span of so many bytes from a byte offset of the text.
    ///
    /// # Panics
    /// When the offset is not at a character of the text.
    #[must_use]
    pub fn span(&self, start: usize, length: usize) -> Span {
        let lines = self
            .lines
            .get_or_init(|| std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1)).collect());
        let line = lines.partition_point(|line| *line <= start);
        let before = &self.text[lines[line - 1]..start];
        Span {
            start: start as u32,
            end: (start + length) as u32,
            line: line as u32,
            column: before.chars().count() as u32 + 1,
        }
    }
}

/// A stretch of a source: byte offsets, and line and column (in characters) of its start, both from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// Line of the first byte, from 1.
    pub line: u32,
    /// Column of the first byte in characters, from 1.
    pub column: u32,
}

/// A value and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Pairs a value with its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}
