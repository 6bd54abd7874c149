//! Case-insensitive comparison of text, character by character, like .NET's `OrdinalIgnoreCase`.
//!
//! Every character is folded to upper case. Two kinds of characters are unchanged: those whose upper case has several
//! letters (`ß`), and those outside ASCII whose upper case is an ASCII letter (`ı`, `ſ`). So they never equal an ASCII
//! letter.

use std::borrow::Cow;
use std::cmp::Ordering;

/// Folds a text to the form in which it is looked up and compared.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| upper_case(c) == c) { Cow::Borrowed(text) } else { text.chars().map(upper_case).collect() }
}

/// Whether two texts differ at most in case.
pub(super) fn equal(left: &str, right: &str) -> bool {
    if left.is_ascii() && right.is_ascii() {
        return left.eq_ignore_ascii_case(right);
    }
    left.chars().map(upper_case).eq(right.chars().map(upper_case))
}

/// Compares two texts without regard to case, by the UTF-16 units of their upper case. So `_` follows `Z`, and an emoji
/// comes before U+FFFD, as on GitHub.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    fold(left).encode_utf16().cmp(fold(right).encode_utf16())
}

/// Returns the number of UTF-16 units of a text, the unit in which GitHub counts lengths, positions and memory.
pub(super) fn units(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

fn upper_case(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_uppercase();
    }
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) if !upper.is_ascii() => upper,
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
    fn order_is_by_utf_16_units_of_upper_case() {
        for (less, more) in [("a", "_"), ("Z", "_"), ("a", "B"), ("ab", "abc"), ("i", "İ"), ("\u{1f600}", "\u{fffd}")]
        {
            assert_eq!(compare(less, more), Ordering::Less, "{less} {more}");
            assert_eq!(compare(more, less), Ordering::Greater, "{less} {more}");
        }
    }

    #[test]
    fn units_are_utf_16() {
        for (text, count) in [("", 0), ("abc", 3), ("é", 1), ("😊", 2)] {
            assert_eq!(units(text), count, "{text}");
        }
    }
}
