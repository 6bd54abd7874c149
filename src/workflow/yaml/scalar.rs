//! Types of scalars: the core schema of YAML 1.2.2, chapter 10.3, and the explicit tags of the same chapter.

use std::borrow::Cow;

use super::{TextStyle, YamlKind};

/// Why a scalar does not fit its tag. Tags have the names of the core schema, without `!!`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TagError {
    /// Quoted text with a tag of another type.
    #[error("quoted text cannot have the tag `!!{0}`")]
    Quoted(String),
    /// Text that is not a value of the type.
    #[error("`{text}` is not valid for the tag `!!{tag}`")]
    Misfit {
        /// The text.
        text: String,
        /// The tag.
        tag: String,
    },
    /// A tag that the core schema does not have.
    #[error("unknown tag `!!{0}`")]
    Unknown(String),
}

/// Determines the type of an untagged scalar. Quoted and block scalars are always strings.
pub(super) fn resolve(text: Cow<'_, str>, style: TextStyle) -> YamlKind<'_> {
    if style != TextStyle::Plain {
        return YamlKind::Text(text, style);
    }
    if is_null(&text) {
        YamlKind::Null
    } else if let Some(value) = boolean(&text) {
        YamlKind::Bool(value)
    } else if let Some(value) = number(&text) {
        YamlKind::Number(value, text)
    } else {
        YamlKind::Text(text, style)
    }
}

/// Determines the type of a scalar with a tag of the core schema (`str` of `!!str`).
///
/// # Errors
/// The text does not fit the tag, quoted text has a tag other than `str`, or the core schema does not have the tag.
pub(super) fn resolve_tagged<'s>(tag: &str, text: Cow<'s, str>, style: TextStyle) -> Result<YamlKind<'s>, TagError> {
    if tag == "str" {
        return Ok(YamlKind::Text(text, if style == TextStyle::Plain { TextStyle::Quoted } else { style }));
    }
    if style != TextStyle::Plain {
        return Err(TagError::Quoted(tag.to_owned()));
    }
    let misfit = || TagError::Misfit { text: text.to_string(), tag: tag.to_owned() };
    match tag {
        "null" if is_null(&text) => Ok(YamlKind::Null),
        "bool" => boolean(&text).map(YamlKind::Bool).ok_or_else(misfit),
        "int" => match integer(&text) {
            Some(value) => Ok(YamlKind::Number(value, text)),
            None => Err(misfit()),
        },
        "float" => match number(&text) {
            Some(value) => Ok(YamlKind::Number(value, text)),
            None => Err(misfit()),
        },
        "null" => Err(misfit()),
        _ => Err(TagError::Unknown(tag.to_owned())),
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

fn number(text: &str) -> Option<f64> {
    let first = *text.as_bytes().first()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    integer(text).or_else(|| float(text))
}

fn integer(text: &str) -> Option<f64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn radix(digits: &str, radix: u32) -> Option<f64> {
    if digits.is_empty() {
        return None;
    }
    digits.chars().try_fold(0.0, |value, digit| Some(value * f64::from(radix) + f64::from(digit.to_digit(radix)?)))
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" if unsigned.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let shaped = all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|digits| !digits.is_empty() && all_digits(digits));
    if shaped { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> YamlKind<'_> {
        resolve(Cow::Borrowed(text), TextStyle::Plain)
    }

    #[test]
    fn only_the_spellings_of_yaml_1_2_are_booleans_and_null() {
        for text in ["true", "True", "TRUE"] {
            assert_eq!(typed(text), YamlKind::Bool(true));
        }
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(typed(text), YamlKind::Null);
        }
        for text in ["yes", "on", "off", "tRUE", "nULL", "y"] {
            assert!(matches!(typed(text), YamlKind::Text(..)), "{text}");
        }
    }

    #[test]
    fn numbers_follow_the_core_schema() {
        let cases = [
            ("010", 10.0),
            ("0o10", 8.0),
            ("0xfF", 255.0),
            ("-1", -1.0),
            ("+12e03", 12000.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("3.10", 3.1),
            ("-.inf", f64::NEG_INFINITY),
        ];
        for (text, value) in cases {
            assert!(matches!(typed(text), YamlKind::Number(found, _) if found.total_cmp(&value).is_eq()), "{text}");
        }
        assert!(matches!(typed(".nan"), YamlKind::Number(value, _) if value.is_nan()));
        for text in ["1_000", "0b1", "-0x1", ".", "+", "-", "1e", "e1", "1.2.3", "0o8", "inf", "14.x"] {
            assert!(matches!(typed(text), YamlKind::Text(..)), "{text}");
        }
    }

    #[test]
    fn the_text_must_fit_the_tag() {
        let tagged = |tag, text, style| resolve_tagged(tag, Cow::Borrowed(text), style);
        assert!(matches!(tagged("str", "1", TextStyle::Plain), Ok(YamlKind::Text(..))));
        assert!(matches!(tagged("int", "1", TextStyle::Plain), Ok(YamlKind::Number(..))));
        for (tag, text) in [("int", "1.5"), ("bool", "yes"), ("float", "x"), ("null", "x"), ("binary", "aa")] {
            assert!(tagged(tag, text, TextStyle::Plain).is_err(), "{tag} {text}");
        }
        assert!(tagged("int", "1", TextStyle::Quoted).is_err());
    }
}
