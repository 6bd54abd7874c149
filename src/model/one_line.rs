//! Text of others inside a line of ours.

/// Returns a text as one line: each control character, line ends included, becomes `\u{fffd}`. Names of files and folders
/// may contain them, and would begin a line of a message that looks like one of ours.
#[must_use]
pub fn in_one_line(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}
