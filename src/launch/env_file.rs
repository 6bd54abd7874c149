//! Files in the `.env` format: one `NAME=VALUE` per line, as the shell, docker and `gh secret set --env-file` read it.
//!
//! - Empty lines, lines that start with `#`, and `export` before a name are skipped.
//! - A value in single quotes or backquotes is used unchanged. A value in double quotes may have the escapes `\n \r \t
//!   \" \' \\ \$`. Quoted values may span several lines, and only a comment may follow the closing quote.
//! - A value without quotes ends with its line, or where a blank and `#` start a comment.
//! - Outside single quotes and backquotes, `$NAME` and `${NAME}` stand for an earlier value of the same file. Any other
//!   `$` is an ordinary character, because a password may contain one. References never lead to the environment.
//!
//! Any other line is an error, so that no secret gets a wrong name or value. Messages never contain values.

use std::iter::Peekable;
use std::str::CharIndices;

use indexmap::IndexMap;

use crate::workflow::source::{Source, Span, decode};

/// A line that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{line}:{column}: {fault}")]
pub struct EnvFileError {
    /// Line, counted from 1.
    line: usize,
    /// Column, counted from 1 in characters.
    column: usize,
    fault: EnvFileFault,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
enum EnvFileFault {
    #[error("expected NAME=VALUE")]
    NotAPair,
    #[error("a name has letters, digits, `_`, `-` and `.`, and does not start with a digit")]
    Name,
    #[error("the quote is not closed")]
    Open,
    #[error("only a comment may follow the closing quote")]
    AfterQuote,
    #[error("unknown escape `\\{0}`: a backslash in double quotes is written `\\\\`")]
    Escape(char),
    #[error("not UTF-8 text")]
    Encoding,
}

/// Reads the pairs of a file. Of two with the same name, the later one counts.
///
/// # Errors
/// The first line that has another form.
pub(super) fn read(bytes: &[u8]) -> Result<IndexMap<String, String>, EnvFileError> {
    let text = decode(bytes).map_err(|wrong| EnvFileError {
        line: wrong.line,
        column: wrong.column,
        fault: EnvFileFault::Encoding,
    })?;
    let mut reader = Reader { text, rest: text.char_indices().peekable(), known: IndexMap::new() };
    reader.rest.next_if(|(_, c)| *c == '\u{feff}');
    while reader.pair()? {}
    Ok(reader.known)
}

fn at(text: &str, offset: usize, fault: EnvFileFault) -> EnvFileError {
    let Span { line, column, .. } = Source::new("", text).span(offset, 0);
    EnvFileError { line: line as usize, column: column as usize, fault }
}

struct Reader<'t> {
    text: &'t str,
    rest: Peekable<CharIndices<'t>>,
    /// Pairs so far.
    known: IndexMap<String, String>,
}

impl<'t> Reader<'t> {
    /// Reads the next pair. Returns `false` at the end of the file.
    fn pair(&mut self) -> Result<bool, EnvFileError> {
        while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        match self.rest.peek() {
            None => return Ok(false),
            Some((_, '#')) => {
                self.line();
                return Ok(true);
            }
            Some(_) => {}
        }
        let mut start = self.offset();
        let mut name = self.name();
        self.blanks();
        // `export=1` is a variable of that name.
        if name == "export" && self.rest.peek().is_none_or(|(_, c)| *c != '=') {
            start = self.offset();
            name = self.name();
            self.blanks();
        }
        if self.rest.next_if(|(_, c)| *c == '=').is_none() {
            return Err(at(self.text, start, EnvFileFault::NotAPair));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || !name.chars().all(is_name) || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(at(self.text, start, EnvFileFault::Name));
        }
        let value = self.value()?;
        self.known.insert(name.to_owned(), value);
        Ok(true)
    }

    fn offset(&mut self) -> usize {
        self.rest.peek().map_or(self.text.len(), |(offset, _)| *offset)
    }

    fn blanks(&mut self) {
        while self.rest.next_if(|(_, c)| matches!(c, ' ' | '\t')).is_some() {}
    }

    /// Takes everything up to a blank, a line break or `=`.
    fn name(&mut self) -> &'t str {
        let start = self.offset();
        while self.rest.next_if(|(_, c)| *c != '=' && !c.is_whitespace()).is_some() {}
        let end = self.offset();
        &self.text[start..end]
    }

    /// Takes the rest of the line, without its break.
    fn line(&mut self) -> &'t str {
        let start = self.offset();
        while self.rest.next_if(|(_, c)| *c != '\n').is_some() {}
        let end = self.offset();
        self.text[start..end].trim_end_matches('\r')
    }

    fn value(&mut self) -> Result<String, EnvFileError> {
        self.blanks();
        let start = self.offset();
        let Some((_, quote)) = self.rest.next_if(|(_, c)| matches!(c, '"' | '\'' | '`')) else {
            return Ok(self.unquoted());
        };
        let value = self.quoted(quote)?.ok_or_else(|| at(self.text, start, EnvFileFault::Open))?;
        self.blanks();
        let end = self.offset();
        let after = self.line();
        let is_end = after.is_empty() || after.starts_with('#');
        if is_end { Ok(value) } else { Err(at(self.text, end, EnvFileFault::AfterQuote)) }
    }

    /// Reads up to the end of the line, or to a comment.
    fn unquoted(&mut self) -> String {
        let start = self.offset();
        let line = self.line();
        // A `#` starts a comment only after a blank.
        let is_comment = |at: &usize| self.text[..start + at].ends_with([' ', '\t']);
        let end = line.match_indices('#').map(|(at, _)| at).find(is_comment).unwrap_or(line.len());
        self.resolved(line[..end].trim_end())
    }

    /// Reads up to the closing quote. Returns `None` if the file ends before.
    fn quoted(&mut self, quote: char) -> Result<Option<String>, EnvFileError> {
        let (mut value, mut plain) = (String::new(), String::new());
        while let Some((offset, c)) = self.rest.next() {
            match c {
                _ if c == quote => {
                    let tail = if quote == '"' { self.resolved(&plain) } else { plain };
                    return Ok(Some((value + &tail).replace("\r\n", "\n")));
                }
                '\\' if quote == '"' => {
                    let Some((_, escaped)) = self.rest.next() else { break };
                    let meant = match escaped {
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        '"' | '\'' | '\\' | '$' => escaped,
                        other => return Err(at(self.text, offset, EnvFileFault::Escape(other))),
                    };
                    // An escaped `$` starts no reference.
                    value += &self.resolved(&std::mem::take(&mut plain));
                    value.push(meant);
                }
                c => plain.push(c),
            }
        }
        Ok(None)
    }

    /// Replaces references to earlier values.
    fn resolved(&self, text: &str) -> String {
        let mut resolved = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            resolved.push_str(before);
            let (name, end) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                Some((name, end)) => (name, end),
                None => {
                    after.split_at(after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len()))
                }
            };
            if let Some(value) = self.known.get(name) {
                resolved.push_str(value);
                rest = end;
            } else {
                resolved.push('$');
                rest = after;
            }
        }
        resolved + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
        read(text.as_bytes()).map(|pairs| pairs.into_iter().collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_that_others_write_has_the_value_that_was_meant() {
        for (text, expected) in [
            ("", vec![]),
            ("# a comment\n\n  # another\nexport A=aval\n", vec![("A", "aval")]),
            ("\u{feff}A=1\r\nB=2\r\n", vec![("A", "1"), ("B", "2")]),
            ("export\tA = 1\nexport=2", vec![("A", "1"), ("export", "2")]),
            ("Q='qval'\nD=\"dval\" # tail\nH=ha#sh", vec![("Q", "qval"), ("D", "dval"), ("H", "ha#sh")]),
            ("A=x # c\nB=#x\nC= # c\nD=", vec![("A", "x"), ("B", "#x"), ("C", ""), ("D", "")]),
            (r#"A="l1\nl2\t\"\\\$""#, vec![("A", "l1\nl2\t\"\\$")]),
            (r"A='l1\nl2'", vec![("A", r"l1\nl2")]),
            ("A=`it's \"so\"`", vec![("A", "it's \"so\"")]),
            (
                "KEY=\"-----BEGIN\nabc=\n-----END\n\"\nB='1\r\n2'",
                vec![("KEY", "-----BEGIN\nabc=\n-----END\n"), ("B", "1\n2")],
            ),
            (
                "A=C:\\new\nB=it's\nC=hello  world \nD=x=y==",
                vec![("A", "C:\\new"), ("B", "it's"), ("C", "hello  world"), ("D", "x=y==")],
            ),
            ("A=1\nA=2", vec![("A", "2")]),
            ("lower.a-b_C9=é", vec![("lower.a-b_C9", "é")]),
        ] {
            let expected = expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            assert_eq!(pairs(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn references_lead_to_earlier_values_and_never_to_the_environment() {
        let text = "A=1\nB=${A}-$A\nC=\"$B$\"\nD='$A'\nE=\"\\$A\"\nF=pa$$w0rd$PATH${HOME}${\nG=$AB";
        let found = read(text.as_bytes()).expect("read");
        let values: Vec<&str> = found.values().map(String::as_str).collect();
        assert_eq!(values, ["1", "1-1", "1-1$", "$A", "$A", "pa$$w0rd$PATH${HOME}${", "$AB"]);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_at_its_place_without_its_value() {
        for (text, expected) in [
            ("A=1\nhunter2\n", "2:1: expected NAME=VALUE"),
            ("export hunter2", "1:8: expected NAME=VALUE"),
            ("export A B=1", "1:8: expected NAME=VALUE"),
            ("A: hunter2", "1:1: expected NAME=VALUE"),
            ("=hunter2", "1:1: a name has"),
            ("\n 1A=hunter2", "2:2: a name has"),
            ("\"A\"=hunter2", "1:1: a name has"),
            ("A='hunter2\nB=1\n", "1:3: the quote is not closed"),
            ("A=\"hunter2\\\"\n", "1:3: the quote is not closed"),
            ("A=\"x\"hunter2", "1:6: only a comment"),
            ("A='it'hunter2's'", "1:7: only a comment"),
            ("A=\"x\ny\\hunter2\"", "2:2: unknown escape `\\h`"),
        ] {
            let error = pairs(text).expect_err(text);
            assert!(error.starts_with(expected) && !error.contains("hunter2"), "{text:?}: {error}");
        }
        assert_eq!(read(b"A=1\nB=\xff").expect_err("latin-1").to_string(), "2:3: not UTF-8 text");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[A$={}'\"`\\\\# \\n]{0,30}") {
            let _ = read(text.as_bytes());
        }

        #[test]
        fn what_is_quoted_comes_back(value in "[^'\\r]{0,30}") {
            let found = read(format!("A='{value}' # c\nB=1").as_bytes());
            proptest::prop_assert_eq!(found.map(|pairs| pairs["A"].clone()), Ok(value));
        }
    }
}
