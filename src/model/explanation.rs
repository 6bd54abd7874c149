//! Explanation of a condition: every operand with its text and its value.

use serde::{Deserialize, Serialize};

/// Maximum length in characters of a value that is shown in full.
const SHOWN: usize = 120;

/// An operand and its result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The operand as written.
    pub text: String,
    /// Result of the operand.
    pub outcome: Outcome,
    /// Operands of the operand, in the order in which they are written, without literals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operands: Vec<Explanation>,
}

/// Result of an operand.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The value: a primitive as a literal, an array or an object as JSON.
    Value(String),
    /// The operand was not evaluated: an earlier operand decided.
    NotNeeded,
    /// The evaluation failed, with the reason.
    Failed(String),
}

impl Explanation {
    /// Applies a function to every text, to mask secrets.
    pub fn for_each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        change(&mut self.text);
        if let Outcome::Value(text) | Outcome::Failed(text) = &mut self.outcome {
            change(text);
        }
        self.operands.iter_mut().for_each(|operand| operand.for_each_text(change));
    }

    /// Shortens every text to one line of limited length. Secrets must be masked first, because a truncated secret
    /// would not be recognized.
    pub fn shorten(&mut self) {
        self.for_each_text(&mut |text| *text = one_line(text));
    }

    /// Returns the tree as lines, one for each operand, indented below its parent.
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
            // The message is shown at the operand that failed, and not repeated above it.
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

/// Returns a text as one line: whitespace becomes one blank, and long text is truncated.
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
    fn texts_are_masked_before_they_are_truncated() {
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
    fn an_explanation_survives_serialization() {
        let text = r#"{"text":"a","outcome":{"value":"1"},"operands":[{"text":"b","outcome":"not_needed"}]}"#;
        let read: Explanation = serde_json::from_str(text).expect("an explanation");
        assert_eq!(serde_json::to_string(&read).expect("serialises"), text);
    }
}
