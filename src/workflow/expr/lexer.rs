//! Splits the text of an expression into symbols.
//!
//! The meaning of a `.` depends on its context: it starts a number where an operand is expected (`1 < .5`), and is a
//! dereference elsewhere (`github.ref`). The parser passes in whether an operand is expected.

use super::node::{Comparison, Extent};
use super::number;

/// A symbol with its range.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) extent: Extent,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum TokenKind {
    Number(f64),
    /// A string literal, unquoted.
    String(String),
    /// A context, a function, a property, or a word such as `true`.
    Name,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `[`
    OpenIndex,
    /// `]`
    CloseIndex,
    Comma,
    Dot,
    Star,
    Not,
    And,
    Or,
    Compare(Comparison),
    /// Characters that do not form a symbol.
    Invalid,
}

#[derive(Clone)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, offset: 0 }
    }

    /// Returns the next symbol; `None` at the end of the text. `operand_due` is whether an operand may start here.
    pub(super) fn next(&mut self, operand_due: bool) -> Option<Token> {
        self.skip_blanks();
        let start = self.offset;
        let rest = &self.text[start..];
        let first = rest.chars().next()?;
        let (kind, length) = match first {
            '\'' => string(rest),
            '.' if operand_due => numeral(rest),
            '0'..='9' | '+' | '-' => numeral(rest),
            _ => punctuation(rest).unwrap_or_else(|| word(rest)),
        };
        self.offset += length;
        Some(Token { kind, extent: Extent { start, end: self.offset } })
    }

    /// Whether the next symbol is `(`, which makes the preceding name a function.
    pub(super) fn at_open(&mut self) -> bool {
        self.skip_blanks();
        self.text[self.offset..].starts_with('(')
    }

    fn skip_blanks(&mut self) {
        let rest = &self.text[self.offset..];
        self.offset += rest.len() - rest.trim_start().len();
    }
}

fn punctuation(rest: &str) -> Option<(TokenKind, usize)> {
    const SYMBOLS: &[(&str, TokenKind)] = &[
        ("&&", TokenKind::And),
        ("||", TokenKind::Or),
        ("==", TokenKind::Compare(Comparison::Equal)),
        ("!=", TokenKind::Compare(Comparison::NotEqual)),
        ("<=", TokenKind::Compare(Comparison::LessOrEqual)),
        (">=", TokenKind::Compare(Comparison::GreaterOrEqual)),
        ("<", TokenKind::Compare(Comparison::Less)),
        (">", TokenKind::Compare(Comparison::Greater)),
        ("!", TokenKind::Not),
        ("(", TokenKind::Open),
        (")", TokenKind::Close),
        ("[", TokenKind::OpenIndex),
        ("]", TokenKind::CloseIndex),
        (",", TokenKind::Comma),
        (".", TokenKind::Dot),
        ("*", TokenKind::Star),
    ];
    let (symbol, kind) = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol))?;
    Some((kind.clone(), symbol.len()))
}

/// Reads a string in single quotes; `''` is an escaped quote.
fn string(rest: &str) -> (TokenKind, usize) {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c != '\'' {
            text.push(c);
        } else if characters.next_if(|(_, next)| *next == '\'').is_some() {
            text.push('\'');
        } else {
            return (TokenKind::String(text), at + 1);
        }
    }
    (TokenKind::Invalid, rest.len())
}

/// Reads a number up to the next boundary other than `.`, so that `1..2` and `12px` are one invalid symbol each.
fn numeral(rest: &str) -> (TokenKind, usize) {
    let length = symbol_length(rest, |c| is_boundary(c) && c != '.');
    let number = number::parse(&rest[..length]);
    (if number.is_nan() { TokenKind::Invalid } else { TokenKind::Number(number) }, length)
}

fn word(rest: &str) -> (TokenKind, usize) {
    let length = symbol_length(rest, is_boundary);
    (if is_name(&rest[..length]) { TokenKind::Name } else { TokenKind::Invalid }, length)
}

/// Returns the length of a symbol in bytes. The symbol ends before the first character, except its own first one, for
/// which `ends` holds.
fn symbol_length(rest: &str, ends: impl Fn(char) -> bool) -> usize {
    rest.char_indices().skip(1).find(|(_, c)| ends(*c)).map_or(rest.len(), |(at, _)| at)
}

fn is_boundary(c: char) -> bool {
    matches!(c, '(' | '[' | ')' | ']' | ',' | '.' | '!' | '>' | '<' | '=' | '&' | '|') || c.is_whitespace()
}

/// Whether a text is a valid name: ASCII letters, digits, `_` and `-`, not starting with a digit or `-`.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(text: &str) -> Vec<(TokenKind, &str)> {
        let mut lexer = Lexer::new(text);
        let mut symbols: Vec<(TokenKind, &str)> = Vec::new();
        loop {
            let operand_due = !matches!(symbols.last(), Some((TokenKind::Name | TokenKind::Close | TokenKind::Dot, _)));
            let Some(token) = lexer.next(operand_due) else { return symbols };
            symbols.push((token.kind, &text[token.extent.start..token.extent.end]));
        }
    }

    #[test]
    fn symbols_have_kinds() {
        use TokenKind::{And, Close, CloseIndex, Comma, Compare, Dot, Name, Not, Number, Open, OpenIndex, Or, Star};
        for (text, kinds) in [
            ("", vec![]),
            (" \t\n\u{a0}", vec![]),
            ("a.b-c._1", vec![Name, Dot, Name, Dot, Name]),
            ("a.x[*]", vec![Name, Dot, Name, OpenIndex, Star, CloseIndex]),
            ("f(a,b)", vec![Name, Open, Name, Comma, Name, Close]),
            ("!a!=b", vec![Not, Name, Compare(Comparison::NotEqual), Name]),
            ("a<b<=c", vec![Name, Compare(Comparison::Less), Name, Compare(Comparison::LessOrEqual), Name]),
            ("a>b>=c", vec![Name, Compare(Comparison::Greater), Name, Compare(Comparison::GreaterOrEqual), Name]),
            ("a&&b||c", vec![Name, And, Name, Or, Name]),
            (".5", vec![Number(0.5)]),
            ("-1 +2 0x1F", vec![Number(-1.0), Number(2.0), Number(31.0)]),
            ("'it''s' ''", vec![TokenKind::String("it's".into()), TokenKind::String(String::new())]),
            ("''''", vec![TokenKind::String("'".into())]),
        ] {
            assert_eq!(symbols(text).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>(), kinds, "{text}");
        }
    }

    #[test]
    fn invalid_symbols_extend_to_the_next_boundary() {
        for (text, invalid) in [
            ("12px == 1", "12px"),
            ("1..2", "1..2"),
            ("a =b", "=b"),
            ("1 |2 |3", "|2"),
            ("a & b", "&"),
            ("\"x y\"", "\"x"),
            ("'open == 1", "'open == 1"),
            ("#1", "#1"),
            ("é(", "é"),
            ("😊 x", "😊"),
        ] {
            let found = symbols(text).into_iter().find(|(kind, _)| *kind == TokenKind::Invalid);
            assert_eq!(found.map(|(_, symbol)| symbol), Some(invalid), "{text}");
        }
    }
}
