//! Text at the beginning of a shell.

use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::text::counted;

/// Maximum number of lines of a script that are shown.
const MAX_LINES: usize = 20;

/// Returns the script of the step that failed, to be repeated in the shell. The rest of a long script is only counted.
pub fn failed_script(script: &str) -> TerminalText {
    let mut shown = text!("Its step failed in this script:");
    for line in script.lines().take(MAX_LINES) {
        shown.push(&text!("\n    {}", line));
    }
    let more = script.lines().count().saturating_sub(MAX_LINES);
    if more > 0 {
        shown.push(&text!("\n    and {}", counted(more as u64, "more line")));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_script_is_cut_and_cannot_write_to_the_terminal() {
        assert_eq!(
            failed_script("make \u{1b}[2Jtest\nfalse").as_str(),
            "Its step failed in this script:\n    make [2Jtest\n    false"
        );
        let long = "x\n".repeat(MAX_LINES + 2);
        let shown = failed_script(&long);
        assert!(shown.as_str().ends_with("x\n    and 2 more lines"), "{}", shown.as_str());
        assert_eq!(shown.as_str().lines().count(), MAX_LINES + 2);
    }
}
