//! A preview of what would run, for a user who is asked to allow it.

/// Maximum number of consecutive blanks after the first character of a line. Indentation and columns need fewer, so
/// longer sequences are replaced by their length.
const MAX_BLANKS: usize = 8;

/// A preview of what would run. The texts are copied from the files without change, so a front end must make them safe
/// for its terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    lines: Vec<PreviewLine>,
}

/// A line of a preview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewLine {
    /// The text. Lines below it with a greater depth belong to it.
    pub text: String,
    /// Levels of indentation.
    pub depth: usize,
    /// Whether the line shows a danger, which a person should see before anything else.
    pub is_dangerous: bool,
    /// Where the line is shown.
    pub shown: Shown,
}

/// Where a line of a preview is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In the summary and in the full preview.
    Always,
    /// Only in the summary, in place of lines that are left out.
    InSummary,
    /// In the full preview. A dangerous line is also shown in the summary.
    InWhole,
}

impl Preview {
    /// Maximum width of a line in columns. Longer lines are wrapped, so that no terminal cuts them off.
    pub const COLUMNS: usize = 72;

    /// Adds a line.
    pub fn push(&mut self, line: PreviewLine) {
        self.lines.push(line);
    }

    /// Returns the lines of the summary or of the full preview, wrapped. Dangerous lines start with `!`. Long sequences
    /// of blanks are replaced by their length, so that they cannot hide the rest of a line.
    #[must_use]
    pub fn lines(&self, whole: bool) -> Vec<String> {
        let is_shown = |line: &&PreviewLine| match line.shown {
            Shown::Always => true,
            Shown::InSummary => !whole,
            Shown::InWhole => whole || line.is_dangerous,
        };
        let mut lines = Vec::new();
        for line in self.lines.iter().filter(is_shown) {
            let mark = if line.is_dangerous { '!' } else { ' ' };
            let indentation = "  ".repeat(line.depth);
            for (number, row) in
                rows(&without_blanks(&line.text), Self::COLUMNS - indentation.len() - 4).iter().enumerate()
            {
                let continued = if number == 0 { "" } else { "| " };
                lines.push(format!("{mark} {indentation}{continued}{row}").trim_end().to_owned());
            }
        }
        lines
    }

    /// Whether the full preview shows something that the summary does not.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.lines.iter().any(|line| line.shown == Shown::InWhole && !line.is_dangerous)
    }
}

/// Replaces each long sequence of blanks by its length, and removes blanks at the end.
fn without_blanks(text: &str) -> String {
    // The Braille pattern without dots looks like a blank, but Unicode does not count it as one.
    let is_blank = |c: char| c.is_whitespace() || c == '\u{2800}';
    let mut shown = String::new();
    let mut blanks = String::new();
    for c in text.trim_end_matches(is_blank).chars() {
        if is_blank(c) {
            blanks.push(c);
            continue;
        }
        let count = blanks.chars().count();
        if count > MAX_BLANKS {
            shown.push_str(&format!(" <{count} blanks> "));
            blanks.clear();
        }
        shown.push_str(&std::mem::take(&mut blanks));
        shown.push(c);
    }
    shown
}

/// Splits text into rows of `columns`. Every character beyond ASCII counts as two columns, because it may be that wide.
fn rows(text: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        let width = if c.is_ascii() { 1 } else { 2 };
        if used + width > columns {
            rows.push(String::new());
            used = 0;
        }
        used += width;
        if let Some(row) = rows.last_mut() {
            row.push(c);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, is_dangerous: bool, shown: Shown) -> PreviewLine {
        PreviewLine { text: text.to_owned(), depth: 1, is_dangerous, shown }
    }

    #[test]
    fn nothing_hides_behind_blanks_or_an_edge() {
        let mut preview = Preview::default();
        let hidden = format!("echo a{}; curl evil", " ".repeat(130));
        let other = format!("a{}b{}c", "\u{2800}".repeat(9), "\u{a0}\t".repeat(5));
        for text in [hidden.as_str(), &other, &"x".repeat(100), "  indented        it"] {
            preview.push(line(text, false, Shown::Always));
        }
        let expected = [
            "    echo a <130 blanks> ; curl evil".to_owned(),
            "    a <9 blanks> b <10 blanks> c".to_owned(),
            format!("    {}", "x".repeat(66)),
            format!("    | {}", "x".repeat(34)),
            "      indented        it".to_owned(),
        ];
        assert_eq!(preview.lines(false), expected);
        assert!(preview.lines(true).iter().all(|line| line.chars().count() <= Preview::COLUMNS));
    }

    #[test]
    fn the_summary_has_what_is_dangerous_and_the_whole_has_everything() {
        let mut preview = Preview::default();
        preview.push(line("a", false, Shown::Always));
        preview.push(line("b", false, Shown::InWhole));
        preview.push(line("c", true, Shown::InWhole));
        preview.push(line("1 more line", false, Shown::InSummary));
        assert_eq!(preview.lines(false), ["    a", "!   c", "    1 more line"]);
        assert_eq!(preview.lines(true), ["    a", "    b", "!   c"]);
        assert!(preview.is_cut());
        let mut dangerous = Preview::default();
        dangerous.push(line("a", false, Shown::Always));
        dangerous.push(line("c", true, Shown::InWhole));
        assert_eq!(dangerous.lines(false), dangerous.lines(true));
        assert!(!dangerous.is_cut(), "the summary shows everything");
    }
}
