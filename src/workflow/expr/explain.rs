//! Why an expression came out as it did: every operand with its text and its value.

use super::Expr;
use super::error::EvalError;
use super::evaluate;
use super::node::{Node, NodeKind};
use super::scope::Scope;
use super::value::Value;

/// The longest text of a value that is shown whole, in characters.
const SHOWN: usize = 120;

/// An operand and what came of it.
///
/// Values are as they are, secrets included; [`Explanation::render`] asks for a mask.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    /// The operand as written.
    pub text: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The operands that it was made from, in the order in which they are written. Literals, which explain themselves,
    /// are left out.
    pub operands: Vec<Explanation>,
}

/// What came of an operand.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// It has a value.
    Value(Value),
    /// It was not needed: an operand before it had decided.
    Skipped,
    /// It has no value.
    Failed(EvalError),
}

pub(super) fn explain(expr: &Expr, scope: &Scope<'_>) -> Explanation {
    let trace = evaluate::trace(expr, scope);
    let Some(root) = expr.tree() else {
        return Explanation {
            text: expr.text().to_owned(),
            outcome: Outcome::Value(Value::Null),
            operands: Vec::new(),
        };
    };
    explain_node(root, expr.text(), &trace)
}

fn explain_node(node: &Node, text: &str, trace: &evaluate::Trace) -> Explanation {
    let outcome = match trace.get(&node.extent) {
        Some(Ok(value)) => Outcome::Value(value.clone()),
        Some(Err(error)) => Outcome::Failed(error.clone()),
        None => Outcome::Skipped,
    };
    // What was not evaluated has nothing to tell, and a path such as `github.event.name` is told whole.
    let operands = if matches!(outcome, Outcome::Skipped) {
        Vec::new()
    } else {
        operands(node).into_iter().map(|operand| explain_node(operand, text, trace)).collect()
    };
    Explanation { text: text[node.extent.start..node.extent.end].to_owned(), outcome, operands }
}

fn operands(node: &Node) -> Vec<&Node> {
    let told: Vec<&Node> = match node.reference() {
        Some(reference) => reference.computed().collect(),
        None => node.children(),
    };
    told.into_iter().filter(|operand| !matches!(operand.kind, NodeKind::Literal(_))).collect()
}

impl Explanation {
    /// The tree as text, one operand a line, each below what it belongs to. Every value passes `mask` before it is cut
    /// to a line's length, so that no part of a secret remains.
    #[must_use]
    pub fn render(&self, mask: &dyn Fn(&str) -> String) -> String {
        let mut lines = String::new();
        self.render_below(&mut lines, "", "", mask);
        lines
    }

    fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    fn render_below(&self, lines: &mut String, first: &str, rest: &str, mask: &dyn Fn(&str) -> String) {
        let text = one_line(&mask(&self.text));
        let outcome = match &self.outcome {
            Outcome::Value(value) => format!("= {}", one_line(&mask(&literal(value)))),
            Outcome::Skipped => "(not needed)".to_owned(),
            // The message stands where it happened; above, it would only be repeated.
            Outcome::Failed(_) if self.operands.iter().any(Self::failed) => "failed".to_owned(),
            Outcome::Failed(error) => format!("failed: {}", one_line(&mask(&error.to_string()))),
        };
        lines.extend([first, &text, "  ", &outcome, "\n"]);
        for (position, operand) in self.operands.iter().enumerate() {
            let last = position + 1 == self.operands.len();
            let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            operand.render_below(lines, &format!("{rest}{branch}"), &format!("{rest}{below}"), mask);
        }
    }
}

/// A value as a reader wants it: literals as they are written, sequences and objects as JSON.
fn literal(value: &Value) -> String {
    if value.is_primitive() { value.to_literal() } else { value.to_json().to_string() }
}

/// A text in one line: blanks and line ends become one blank, and what is too long is cut.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Contexts, NoFiles, Status, Vocabulary};
    use super::*;

    fn rendered(text: &str) -> String {
        let contexts: Contexts = [
            ("github", json!({"ref": "refs/heads/dev", "event": {"labels": [{"name": "a"}, {"name": "b"}]}})),
            ("steps", json!({"scan": {"outputs": {"key": "s3cret", "log": "x".repeat(200)}}})),
            ("matrix", json!({"step": "scan"})),
        ]
        .map(|(name, json)| (name, Value::from(json)))
        .into_iter()
        .collect();
        let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
        let expr = Expr::condition(text, &Vocabulary::ANY).unwrap();
        expr.explain(&scope).render(&|text| text.replace("s3cret", "***"))
    }

    #[test]
    fn a_false_condition_shows_the_operand_that_decided() {
        let text = "(github.ref == 'refs/heads/main' || false) && steps.scan.outputs.key != ''";
        insta::assert_snapshot!(rendered(text), @r#"
        success() && ((github.ref == 'refs/heads/main' || false) && steps.scan.outputs.key != '')  = false
        ├─ success()  = true
        ├─ github.ref == 'refs/heads/main' || false  = false
        │  └─ github.ref == 'refs/heads/main'  = false
        │     └─ github.ref  = 'refs/heads/dev'
        └─ steps.scan.outputs.key != ''  (not needed)
        "#);
    }

    #[test]
    fn calls_and_computed_indexes_show_what_they_read() {
        let text = "always() && (contains(github.event.labels.*.name, 'c') || !steps[matrix.step].outputs.nope)";
        insta::assert_snapshot!(rendered(text), @r#"
        always() && (contains(github.event.labels.*.name, 'c') || !steps[matrix.step].outputs.nope)  = true
        ├─ always()  = true
        └─ contains(github.event.labels.*.name, 'c') || !steps[matrix.step].outputs.nope  = true
           ├─ contains(github.event.labels.*.name, 'c')  = false
           │  └─ github.event.labels.*.name  = ["a","b"]
           └─ !steps[matrix.step].outputs.nope  = true
              └─ steps[matrix.step].outputs.nope  = null
                 └─ matrix.step  = 'scan'
        "#);
    }

    #[test]
    fn a_failure_is_shown_where_it_happened() {
        insta::assert_snapshot!(rendered("fromJSON(github.ref).key == 1"), @r#"
        success() && (fromJSON(github.ref).key == 1)  failed
        ├─ success()  = true
        └─ fromJSON(github.ref).key == 1  failed
           └─ fromJSON(github.ref).key  failed
              └─ fromJSON(github.ref)  failed: Error parsing fromJson: `refs` is no value at line 1, column 1
                 └─ github.ref  = 'refs/heads/dev'
        "#);
    }

    #[test]
    fn secrets_are_masked_and_long_values_cut() {
        let text = rendered("failure() || steps.scan.outputs.key == steps.scan.outputs.log");
        assert!(text.contains("steps.scan.outputs.key  = '***'\n"), "{text}");
        assert!(text.contains(&format!("steps.scan.outputs.log  = '{}…\n", "x".repeat(SHOWN - 1))), "{text}");
    }

    #[test]
    fn an_empty_expression_is_null() {
        let expr = Expr::parse(" ", &Vocabulary::ANY).unwrap();
        let scope = Scope { contexts: &Contexts::new(), status: Status::default(), host: &NoFiles };
        let explanation = expr.explain(&scope);
        assert_eq!(explanation.outcome, Outcome::Value(Value::Null));
        assert_eq!(explanation.operands, []);
    }
}
