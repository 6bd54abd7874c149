//! Why a condition came out as it did: every operand with its text and its value.

use serde::{Deserialize, Serialize};

/// The longest text of a value that is shown whole, in characters.
const SHOWN: usize = 120;

/// An operand and what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The operand as written.
    pub text: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The operands that it was made from, in the order in which they are written. Literals, which explain themselves,
    /// are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operands: Vec<Explanation>,
}

/// What came of an operand.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has a value: a literal as it is written, a sequence or an object as JSON.
    Value(String),
    /// It was not needed: an operand before it had decided.
    NotNeeded,
    /// It has no value, and why.
    Failed(String),
}

impl Explanation {
    /// Changes every text, as masking does.
    pub fn for_each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        change(&mut self.text);
        if let Outcome::Value(text) | Outcome::Failed(text) = &mut self.outcome {
            change(text);
        }
        self.operands.iter_mut().for_each(|operand| operand.for_each_text(change));
    }

    /// Brings every text to one line of bounded length. What may hold a secret is masked before: half a one would not
    /// be found.
    pub fn shorten(&mut self) {
        self.for_each_text(&mut |text| *text = one_line(text));
    }

    /// The tree as lines, one operand each, below what it belongs to.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.add_lines(&mut lines, "", "");
        lines
    }

    fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    fn add_lines(&self, lines: &mut Vec<String>, first: &str, rest: &str) {
        let outcome = match &self.outcome {
            Outcome::Value(value) => format!("= {}", one_line(value)),
            Outcome::NotNeeded => "(not needed)".to_owned(),
            // The message stands where it happened; above, it would only be repeated.
            Outcome::Failed(_) if self.operands.iter().any(Self::failed) => "failed".to_owned(),
            Outcome::Failed(error) => format!("failed: {}", one_line(error)),
        };
        lines.push(format!("{first}{}  {outcome}", one_line(&self.text)));
        for (position, operand) in self.operands.iter().enumerate() {
            let last = position + 1 == self.operands.len();
            let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            operand.add_lines(lines, &format!("{rest}{branch}"), &format!("{rest}{below}"));
        }
    }
}

/// A text in one line: blanks and line ends become one blank, and what is too long is cut.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) if !line.ends_with('…') => format!("{}…", &line[..end]),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_changed_everywhere_before_they_are_cut() {
        let operand = |text: &str, outcome| Explanation { text: text.to_owned(), outcome, operands: Vec::new() };
        let mut whole = operand("s3cret\n == a", Outcome::Failed("no s3cret".to_owned()));
        whole.operands = vec![operand("a", Outcome::Value(format!("'{}s3cret'", "x".repeat(SHOWN - 3))))];
        whole.for_each_text(&mut |text| *text = text.replace("s3cret", "***"));
        whole.shorten();
        let cut = format!("└─ a  = '{}**…", "x".repeat(SHOWN - 3));
        assert_eq!(whole.lines(), ["*** == a  failed: no ***", &cut]);
        let before = whole.clone();
        whole.shorten();
        assert_eq!(whole, before, "cutting twice is cutting once");
    }

    #[test]
    fn it_is_read_back_as_it_was_written() {
        let text = r#"{"text":"a","outcome":{"value":"1"},"operands":[{"text":"b","outcome":"not_needed"}]}"#;
        let read: Explanation = serde_json::from_str(text).expect("an explanation");
        assert_eq!(serde_json::to_string(&read).expect("serialises"), text);
    }
}
