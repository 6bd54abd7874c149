//! Source text with positions.

use std::sync::{Arc, OnceLock};

/// The text of a file with its display name.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as the user gave it, or relative to the repository.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Byte offsets of line starts, computed on first use.
    lines: OnceLock<Vec<usize>>,
}

impl Source {
    /// Creates a source from a display name and a text.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into(), lines: OnceLock::new() })
    }

    /// Span of `length` bytes from the byte offset `start`.
    ///
    /// # Panics
    /// If `start` is not on a character boundary of the text.
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

/// A range of a source: byte offsets, and line and column of the start.
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

/// A value with its span.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Span of the value in the source.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Pairs a value with its span.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}
