//! Evaluates expressions in a protocol of JSON lines, for `cuelight eval` and test data of other programs.
//!
//! A request is `{"id", "expr", "contexts", "workspace"}`; only the given contexts are defined, and `hashFiles` is
//! available if a workspace is given. The answer is `{"id", "kind", "value"}` or `{"id", "error": {"kind",
//! "message"}}`. Numbers that JSON cannot represent are the strings `NaN`, `Infinity` and `-Infinity`.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;

use crate::launch::expression;
use crate::launch::expression::ExpressionError;
use crate::workflow::expr::{Contexts, ParseErrorKind, Value};

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: serde_json::Value,
    expr: String,
    #[serde(default)]
    contexts: serde_json::Map<String, serde_json::Value>,
    workspace: Option<PathBuf>,
}

/// Answers a request, which is one line.
#[must_use]
pub fn answer(line: &str) -> serde_json::Value {
    let request: Request = match serde_json::from_str(line) {
        Ok(request) => request,
        Err(error) => return json!({"id": null, "error": {"kind": "request", "message": error.to_string()}}),
    };
    let contexts: Contexts = request.contexts.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
    let id = request.id;
    match expression::evaluate(&request.expr, &contexts, request.workspace.as_deref()) {
        Ok(value) => json!({"id": id, "kind": value.kind(), "value": plain(&value)}),
        Err(error) => json!({"id": id, "error": {"kind": kind(&error), "message": error.to_string()}}),
    }
}

/// Returns the phase in which an error was found.
fn kind(error: &ExpressionError) -> &'static str {
    match error {
        ExpressionError::Parse(error) if error.kind == ParseErrorKind::InvalidSymbol => "lexing",
        ExpressionError::Parse(_) => "parsing",
        ExpressionError::Evaluate(_) => "evaluation",
    }
}

/// Converts a value to JSON, with strings for the numbers that JSON cannot represent.
fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Number(number) if !number.is_finite() => value.to_text().into(),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(object) => object.iter().map(|(name, value)| (name.to_owned(), plain(value))).collect(),
        _ => value.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_an_answer() {
        let answer = |request: serde_json::Value| answer(&request.to_string());
        let on_main = json!({"github": {"ref": "main"}});
        let request = json!({"id": 1, "expr": "github.ref == 'main'", "contexts": on_main});
        assert_eq!(answer(request), json!({"id": 1, "kind": "Boolean", "value": true}));
        let values = [("Infinity", "Number", json!("Infinity")), ("", "Null", json!(null))];
        for (expr, kind, value) in values {
            assert_eq!(answer(json!({"id": 2, "expr": expr})), json!({"id": 2, "kind": kind, "value": value}));
        }
        let message = "Unexpected symbol: ')'. Located at position 5 within expression: 1 < )";
        let error = json!({"id": 4, "error": {"kind": "parsing", "message": message}});
        assert_eq!(answer(json!({"id": 4, "expr": "1 < )"})), error);
        for (expr, kind) in [("#", "lexing"), ("fromJSON('{')", "evaluation"), ("hashFiles('**')", "parsing")] {
            assert_eq!(answer(json!({"expr": expr}))["error"]["kind"], kind, "{expr}");
        }
        assert_eq!(super::answer("nonsense")["error"]["kind"], "request");
    }

    #[test]
    fn a_workspace_brings_hash_files() {
        let folder = tempfile::tempdir().unwrap();
        let request = json!({"expr": "hashFiles('**')", "workspace": folder.path()});
        assert_eq!(answer(&request.to_string()), json!({"id": null, "kind": "String", "value": ""}));
    }
}
