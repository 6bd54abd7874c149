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

/// The first byte of a file that is not valid UTF-8. GitHub reads workflow files as UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: the byte 0x{byte:02X} is not UTF-8: save the file as UTF-8")]
pub struct NotUtf8 {
    /// The byte.
    pub byte: u8,
    /// Offset of the byte in the file.
    pub at: usize,
    /// Line of the byte, from 1.
    pub line: usize,
    /// Column of the byte in characters, from 1.
    pub column: usize,
}

/// Decodes the text of a file as UTF-8.
///
/// # Errors
/// The first byte that is not UTF-8.
pub fn decode(bytes: &[u8]) -> Result<&str, NotUtf8> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let before = String::from_utf8_lossy(&bytes[..at]);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        NotUtf8 { byte: bytes[at], at, line, column }
    })
}

impl Source {
    /// Creates a source from a display name and a text.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into(), lines: OnceLock::new() })
    }

    /// Returns the span of `length` bytes from the byte offset `start`.
    ///
    /// # Panics
    /// If `start` is beyond the end of the text, or not on a character boundary.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_is_not_utf_8_is_named() {
        assert_eq!(decode("caf\u{e9}".as_bytes()), Ok("caf\u{e9}"));
        for (bytes, byte, at, line, column) in [
            (&b"on: push\nname: caf\xe9\n"[..], 0xe9, 18, 2, 10),
            (b"\xff\xfeo\x00", 0xff, 0, 1, 1),
            (b"a\n\xc3\xa9\xc3", 0xc3, 4, 2, 2),
        ] {
            assert_eq!(decode(bytes), Err(NotUtf8 { byte, at, line, column }));
        }
    }
}
