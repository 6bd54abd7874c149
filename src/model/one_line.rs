//! Untrusted text inside a line of our output.

/// Returns a text as one line: each control character, including line ends, becomes `\u{fffd}`. Names of files and
/// folders may contain line ends, and could forge a line of our output.
#[must_use]
pub fn in_one_line(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}
