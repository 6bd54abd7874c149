//! How text is compared: without regard to case, character by character, as .NET's `OrdinalIgnoreCase` does it.
//!
//! Every character stands for its capital. Characters whose capital has several letters (`ß`) stand for themselves, and
//! so do those outside ASCII whose capital is an ASCII letter (`ı`, `ſ`): no foreign letter equals an ASCII one.

use std::borrow::Cow;
use std::cmp::Ordering;

/// The form of a text under which it is looked up and compared.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| capital(c) == c) { Cow::Borrowed(text) } else { text.chars().map(capital).collect() }
}

/// Whether two texts differ at most in case.
pub(super) fn equal(left: &str, right: &str) -> bool {
    if left.is_ascii() && right.is_ascii() {
        return left.eq_ignore_ascii_case(right);
    }
    left.chars().map(capital).eq(right.chars().map(capital))
}

/// The order of two texts without regard to case. Capitals are compared by their UTF-16 units, so `_` follows `Z` and
/// an emoji comes before U+FFFD, as on GitHub.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    fold(left).encode_utf16().cmp(fold(right).encode_utf16())
}

/// How many UTF-16 units a text has, which is how GitHub counts lengths, positions and memory.
pub(super) fn units(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

fn capital(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_uppercase();
    }
    let mut capitals = c.to_uppercase();
    match (capitals.next(), capitals.next()) {
        (Some(capital), None) if !capital.is_ascii() => capital,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_ignored_within_an_alphabet() {
        for (left, right, same) in [
            ("main", "MAIN", true),
            ("Straße", "STRASSE", false),
            ("Straße", "sTRAßE", true),
            ("ς", "Σ", true),
            ("ς", "σ", true),
            ("ı", "I", false),
            ("İ", "i", false),
            ("ſ", "S", false),
            ("абв", "АБВ", true),
            ("a", "ab", false),
        ] {
            assert_eq!(equal(left, right), same, "{left} {right}");
            assert_eq!(fold(left) == fold(right), same, "{left} {right}");
            assert_eq!(compare(left, right) == Ordering::Equal, same, "{left} {right}");
        }
    }

    #[test]
    fn order_is_that_of_capitals_in_utf_16() {
        for (less, more) in [("a", "_"), ("Z", "_"), ("a", "B"), ("ab", "abc"), ("i", "İ"), ("\u{1f600}", "\u{fffd}")]
        {
            assert_eq!(compare(less, more), Ordering::Less, "{less} {more}");
            assert_eq!(compare(more, less), Ordering::Greater, "{less} {more}");
        }
    }

    #[test]
    fn units_are_those_of_utf_16() {
        for (text, count) in [("", 0), ("abc", 3), ("é", 1), ("😊", 2)] {
            assert_eq!(units(text), count, "{text}");
        }
    }
}
