//! JSON as `toJSON` writes it and `fromJSON` reads it.
//!
//! The writer matches GitHub: an indent of two spaces, numbers and escapes as in the runner. The reader is as tolerant
//! as the runner's (Newtonsoft's `JsonTextReader`): it accepts comments, single quotes, names without quotes, a comma
//! before a closing bracket, raw newlines in strings, `NaN`, `Infinity`, `undefined` and `0x` numbers, and ignores
//! everything after the first value.

use super::object::Object;
use super::value::Value;
use super::{number, text};

/// Maximum nesting depth of JSON that `fromJSON` reads, as in the runner.
const MAX_DEPTH: usize = 100;

/// Writes a value piece by piece. Stops at the first error of `push` and returns it.
pub(super) fn write<E>(value: &Value, push: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    write_at(value, 0, push)
}

fn write_at<E>(value: &Value, level: usize, push: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    let line = |level: usize| format!("\n{:1$}", "", 2 * level);
    match value {
        Value::Null => push("null"),
        Value::String(text) => push(&quote(text)),
        Value::Bool(_) | Value::Number(_) => push(&value.to_text()),
        Value::Array(items) if items.is_empty() => push("[]"),
        Value::Object(object) if object.is_empty() => push("{}"),
        Value::Array(items) => {
            push("[")?;
            for (position, item) in items.iter().enumerate() {
                push(if position > 0 { "," } else { "" })?;
                push(&line(level + 1))?;
                write_at(item, level + 1, push)?;
            }
            push(&line(level))?;
            push("]")
        }
        Value::Object(object) => {
            push("{")?;
            for (position, (name, value)) in object.iter().enumerate() {
                push(if position > 0 { "," } else { "" })?;
                push(&format!("{}{}: ", line(level + 1), quote(name)))?;
                write_at(value, level + 1, push)?;
            }
            push(&line(level))?;
            push("}")
        }
    }
}

/// Quotes a string. Besides what JSON requires, the three line separators outside ASCII are escaped.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{8}' => quoted.push_str("\\b"),
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            '\u{c}' => quoted.push_str("\\f"),
            '\r' => quoted.push_str("\\r"),
            '\0'..='\u{1f}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                let escape = format!("\\u{:04x}", u32::from(c));
                quoted.push_str(&escape);
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

pub(super) fn to_serde(value: &Value) -> serde_json::Value {
    /// Largest magnitude up to which a double represents every integer exactly.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) if number.fract() == 0.0 && number.abs() <= EXACT => (*number as i64).into(),
        Value::Number(number) => (*number).into(),
        Value::String(text) => text.as_ref().into(),
        Value::Array(items) => items.iter().map(to_serde).collect(),
        Value::Object(object) => object.iter().map(|(name, value)| (name.to_owned(), to_serde(value))).collect(),
    }
}

/// Why and where a text is not valid JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at line {line}, column {column}")]
pub struct JsonError {
    fault: Fault,
    line: usize,
    column: usize,
}

/// The problem that a [`JsonError`] reports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("more than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("unexpected end")]
    End,
    /// The text ends, or has a character that is not allowed here.
    #[error("unexpected {} instead of {wanted}", .found.map_or_else(|| "end".to_owned(), |c| format!("`{c}`")))]
    Unexpected { found: Option<char>, wanted: String },
    #[error("unterminated string")]
    OpenString,
    #[error("unterminated comment")]
    OpenComment,
    #[error("`\\u` without four hexadecimal digits")]
    NotHexadecimal,
    #[error("unknown escape `\\{0}`")]
    UnknownEscape(char),
    #[error("`{0}` is not a value")]
    NotAValue(String),
}

/// Reads the first value of a text.
///
/// # Errors
/// The text does not begin with a valid value, or the value has more than [`MAX_DEPTH`] levels.
pub(super) fn read(text: &str) -> Result<Value, JsonError> {
    let mut reader = Reader { text, offset: 0 };
    reader.value(0).map_err(|fault| {
        let before = &text[..reader.offset.min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = text::units(before.rsplit('\n').next().unwrap_or_default()) + 1;
        JsonError { fault, line, column }
    })
}

struct Reader<'a> {
    text: &'a str,
    /// Offset of the next byte; after an error, the position of the error.
    offset: usize,
}

type Read<T> = Result<T, Fault>;

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Read<Value> {
        if depth > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        self.skip_blanks()?;
        match self.peek() {
            Some('[') => self.array(depth),
            Some('{') => self.object(depth),
            Some(quote @ ('"' | '\'')) => Ok(Value::string(self.string(quote)?)),
            Some(_) => self.word(),
            None => Err(Fault::End),
        }
    }

    fn array(&mut self, depth: usize) -> Read<Value> {
        self.bump();
        let mut items = Vec::new();
        loop {
            self.skip_blanks()?;
            if self.take(']') {
                return Ok(Value::array(items));
            }
            items.push(self.value(depth + 1)?);
            self.comma_before(']')?;
        }
    }

    fn object(&mut self, depth: usize) -> Read<Value> {
        self.bump();
        let mut object = Object::new();
        loop {
            self.skip_blanks()?;
            if self.take('}') {
                return Ok(Value::object(object));
            }
            let name = match self.peek() {
                Some(quote @ ('"' | '\'')) => self.string(quote)?,
                _ => self.run(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '-')).to_owned(),
            };
            self.skip_blanks()?;
            if !self.take(':') {
                return Err(self.unexpected("`:` after a name"));
            }
            let value = self.value(depth + 1)?;
            object.insert(name, value);
            self.comma_before('}')?;
        }
    }

    /// Reads the separator after an item: a comma, or the closing bracket, which is not consumed.
    fn comma_before(&mut self, close: char) -> Read<()> {
        self.skip_blanks()?;
        if self.take(',') || self.peek() == Some(close) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`,` or `{close}`")))
    }

    fn string(&mut self, quote: char) -> Read<String> {
        self.bump();
        let mut units: Vec<u16> = Vec::new();
        loop {
            let c = self.bump().ok_or(Fault::OpenString)?;
            if c == quote {
                // A Rust string cannot hold an unpaired surrogate.
                return Ok(String::from_utf16_lossy(&units));
            }
            let c = if c == '\\' { self.escape(&mut units)? } else { Some(c) };
            units.extend(c.into_iter().flat_map(|c| c.encode_utf16(&mut [0; 2]).to_vec()));
        }
    }

    /// Reads an escape sequence after its backslash. Returns its character, or pushes a `\u` unit onto `units`.
    fn escape(&mut self, units: &mut Vec<u16>) -> Read<Option<char>> {
        let c = self.bump().ok_or(Fault::OpenString)?;
        Ok(Some(match c {
            '"' | '\'' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let digits = self.text.get(self.offset..self.offset + 4).filter(|d| !d.starts_with('+'));
                let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
                units.push(unit.ok_or(Fault::NotHexadecimal)?);
                self.offset += 4;
                return Ok(None);
            }
            _ => return Err(Fault::UnknownEscape(c)),
        }))
    }

    fn word(&mut self) -> Read<Value> {
        let start = self.offset;
        let word = self.run(|c| c.is_alphanumeric() || matches!(c, '.' | '+' | '-' | '_'));
        let value = match word {
            "null" | "undefined" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "NaN" => Value::Number(f64::NAN),
            "" => return Err(self.unexpected("a value")),
            _ => Value::Number(number::parse(word)),
        };
        if matches!(value, Value::Number(number) if number.is_nan()) && word != "NaN" {
            self.offset = start;
            return Err(Fault::NotAValue(word.to_owned()));
        }
        Ok(value)
    }

    fn skip_blanks(&mut self) -> Read<()> {
        loop {
            self.run(char::is_whitespace);
            let rest = &self.text[self.offset..];
            if rest.starts_with("//") {
                self.run(|c| c != '\n');
            } else if let Some(comment) = rest.strip_prefix("/*") {
                self.offset += comment.find("*/").ok_or(Fault::OpenComment)? + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.offset..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.offset += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.bump();
        }
        found
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.offset..];
        let length = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.offset += length;
        &rest[..length]
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        Fault::Unexpected { found: self.peek(), wanted: wanted.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn written(value: &Value) -> String {
        let mut text = String::new();
        write::<()>(value, &mut |piece| {
            text.push_str(piece);
            Ok(())
        })
        .unwrap();
        text
    }

    #[test]
    fn json_is_written_as_github_writes_it() {
        for (json, text) in [
            (json!(null), "null"),
            (json!(0.1), "0.1"),
            (json!([]), "[]"),
            (json!({}), "{}"),
            (json!([1, [], {}]), "[\n  1,\n  [],\n  {}\n]"),
            (
                json!({"a": {"b": [true]}, "c": null}),
                "{\n  \"a\": {\n    \"b\": [\n      true\n    ]\n  },\n  \"c\": null\n}",
            ),
            (json!("q\"b\\s/\u{8}\t\n\u{c}\r\u{1}é\u{2028}"), r#""q\"b\\s/\b\t\n\f\r\u0001é\u2028""#),
        ] {
            assert_eq!(written(&Value::from(json)), text);
        }
    }

    #[test]
    fn reading_is_tolerant() {
        for (text, json) in [
            (" [ 1 , \"two\" ] ", json!([1, "two"])),
            ("[1,]", json!([1])),
            ("{'a': 1, b-c: 2,}", json!({"a": 1, "b-c": 2})),
            ("// why\n[/* one */ 1]", json!([1])),
            ("undefined", json!(null)),
            ("0x1F", json!(31)),
            ("-1.5e2", json!(-150)),
            ("\"a\nb\"", json!("a\nb")),
            (r#""\u00e9\ud83d\ude0a\/""#, json!("é😊/")),
            ("{\"a\":1,\"A\":2}", json!({"a": 2})),
            ("1 and more", json!(1)),
            ("{} }", json!({})),
        ] {
            assert_eq!(read(text), Ok(Value::from(json)), "{text}");
        }
        assert!(matches!(read("NaN"), Ok(Value::Number(number)) if number.is_nan()));
        assert_eq!(read("-Infinity"), Ok(Value::Number(f64::NEG_INFINITY)));
    }

    #[test]
    fn errors_have_a_position() {
        for (text, fault) in [
            ("", "unexpected end at line 1, column 1"),
            ("nope", "`nope` is not a value at line 1, column 1"),
            ("[1,", "unexpected end at line 1, column 4"),
            ("[1 2]", "unexpected `2` instead of `,` or `]` at line 1, column 4"),
            ("{\n  \"a\" 1}", "unexpected `1` instead of `:` after a name at line 2, column 7"),
            ("{", "unexpected end instead of `:` after a name at line 1, column 2"),
            ("\"abc", "unterminated string at line 1, column 5"),
            (r#""\x""#, "unknown escape `\\x` at line 1, column 4"),
            (r#""\u00g0""#, "`\\u` without four hexadecimal digits at line 1, column 4"),
            ("/* a", "unterminated comment at line 1, column 1"),
            ("]", "unexpected `]` instead of a value at line 1, column 1"),
        ] {
            assert_eq!(read(text).map_err(|error| error.to_string()), Err(fault.to_owned()), "{text}");
        }
        assert!(read(&"[".repeat(20_000)).is_err());
    }

    proptest! {
        #[test]
        fn json_round_trips(value in any_json()) {
            prop_assert_eq!(read(&written(&value)), Ok(value.clone()));
            prop_assert_eq!(Value::from(to_serde(&value)), value);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]{}:,'\"\\\\u0-9a/* \n-]{0,40}") {
            let _ = read(&text);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i32>().prop_map(|number| Value::Number(number.into())),
            any::<String>().prop_map(Value::string),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::array),
                prop::collection::vec(("[a-z]{1,3}", inner), 0..4)
                    .prop_map(|entries| Value::object(entries.into_iter().collect())),
            ]
        })
    }
}
