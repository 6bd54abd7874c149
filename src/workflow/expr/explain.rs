//! Explanation of a result: every operand with its text and its value.

use crate::model::{Explanation, Outcome};

use super::Expr;
use super::error::EvalError;
use super::evaluate;
use super::node::{ExprKind, ExprNode};
use super::scope::Scope;
use super::value::Value;

/// Evaluates an expression, and returns its value and the tree of its operands. Values are not masked, so they may
/// contain secrets.
pub(super) fn explain(expr: &Expr, scope: &Scope<'_>) -> (Result<Value, EvalError>, Explanation) {
    let Some(root) = expr.tree() else {
        let nothing = Outcome::Value(literal(&Value::Null));
        return (Ok(Value::Null), Explanation { text: expr.text().to_owned(), outcome: nothing, operands: Vec::new() });
    };
    let (value, trace) = evaluate::trace(root, expr.text(), scope);
    (value, explain_node(root, expr.text(), &trace))
}

fn explain_node(node: &ExprNode, text: &str, trace: &evaluate::Trace) -> Explanation {
    let outcome = match trace.get(&node.extent) {
        Some(Ok(value)) => Outcome::Value(literal(value)),
        Some(Err(error)) => Outcome::Failed(error.to_string()),
        None => Outcome::NotNeeded,
    };
    // The operands of a skipped node were not evaluated either.
    let operands = if outcome == Outcome::NotNeeded {
        Vec::new()
    } else {
        operands(node).into_iter().map(|operand| explain_node(operand, text, trace)).collect()
    };
    Explanation { text: text[node.extent.start..node.extent.end].to_owned(), outcome, operands }
}

/// Returns the operands that get a line in the explanation. A path such as `github.event.name` has one line, and
/// literals have none.
fn operands(node: &ExprNode) -> Vec<&ExprNode> {
    let shown: Vec<&ExprNode> = match node.reference() {
        Some(reference) => reference.computed().collect(),
        None => node.children(),
    };
    shown.into_iter().filter(|operand| !matches!(operand.kind, ExprKind::Literal(_))).collect()
}

/// Formats a value for display: primitives as literals, arrays and objects as JSON.
fn literal(value: &Value) -> String {
    if value.is_primitive() { value.to_literal() } else { value.to_json().to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workflow::expr::{Contexts, NoFiles, Status, Vocabulary};

    fn rendered(text: &str) -> String {
        let contexts: Contexts = [
            ("github", json!({"ref": "refs/heads/dev", "event": {"labels": [{"name": "a"}, {"name": "b"}]}})),
            ("steps", json!({"scan": {"outputs": {"key": "x"}}})),
            ("matrix", json!({"step": "scan"})),
        ]
        .map(|(name, json)| (name, Value::from(json)))
        .into_iter()
        .collect();
        let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
        let expr = Expr::condition(text, &Vocabulary::ANY).unwrap();
        expr.explain(&scope).1.lines().join("\n") + "\n"
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
    fn calls_and_computed_indexes_show_their_operands() {
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
              └─ fromJSON(github.ref)  failed: Error parsing fromJson: `refs` is not a value at line 1, column 1
                 └─ github.ref  = 'refs/heads/dev'
        "#);
    }

    #[test]
    fn an_empty_expression_is_null() {
        let expr = Expr::parse(" ", &Vocabulary::ANY).unwrap();
        let scope = Scope { contexts: &Contexts::new(), status: Status::default(), host: &NoFiles };
        let (value, explanation) = expr.explain(&scope);
        assert_eq!(value.ok(), Some(Value::Null));
        assert_eq!(explanation.outcome, Outcome::Value("null".to_owned()));
        assert_eq!(explanation.operands, []);
    }
}
