//! `cuelight eval`: reads expressions and writes values, as JSON lines.
//!
//! A request is `{"id", "expr", "contexts", "workspace"}`; only the given contexts are defined, and `hashFiles` is
//! available if a workspace is given. The answer is `{"id", "kind", "value"}` or `{"id", "error": {"kind",
//! "message"}}`. Numbers that JSON cannot represent are the strings `NaN`, `Infinity` and `-Infinity`.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;

use super::style::document;
use super::{Exit, Outcome};
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

/// Answers every line of standard input. Fails if a request was invalid or an expression could not be evaluated.
pub(super) fn run() -> Outcome {
    let all = answer_all(io::stdin().lock(), io::stdout().lock())?;
    Ok(if all { Exit::Success } else { Exit::Failed })
}

/// Answers all requests. Returns whether every request has a value.
fn answer_all(requests: impl BufRead, mut answers: impl Write) -> io::Result<bool> {
    let mut all = true;
    for line in requests.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = answer(&line);
        all &= answer.get("error").is_none();
        writeln!(answers, "{}", document(&answer)?.as_str())?;
    }
    answers.flush()?;
    Ok(all)
}

fn answer(line: &str) -> serde_json::Value {
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

/// Name of the part that found an error.
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
    fn each_line_has_an_answer() {
        let requests = concat!(
            "{\"id\":1,\"expr\":\"github.ref == 'main'\",\"contexts\":{\"github\":{\"ref\":\"main\"}}}\n",
            "\n",
            "{\"id\":2,\"expr\":\"Infinity\"}\n",
            "{\"id\":3,\"expr\":\"\"}\n",
            "{\"id\":4,\"expr\":\"1 < )\"}\n",
            "{\"id\":5,\"expr\":\"#\"}\n",
            "{\"id\":6,\"expr\":\"fromJSON('{')\"}\n",
            "{\"id\":7,\"expr\":\"hashFiles('**')\"}\n",
            "nonsense\n",
        );
        let mut answers = Vec::new();
        assert!(!answer_all(requests.as_bytes(), &mut answers).unwrap());
        let answers: Vec<serde_json::Value> =
            String::from_utf8(answers).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answers.len(), 8);
        assert_eq!(answers[0], json!({"id": 1, "kind": "Boolean", "value": true}));
        assert_eq!(answers[1], json!({"id": 2, "kind": "Number", "value": "Infinity"}));
        assert_eq!(answers[2], json!({"id": 3, "kind": "Null", "value": null}));
        let message = "Unexpected symbol: ')'. Located at position 5 within expression: 1 < )";
        assert_eq!(answers[3], json!({"id": 4, "error": {"kind": "parsing", "message": message}}));
        for (answer, kind) in answers[4..].iter().zip(["lexing", "evaluation", "parsing", "request"]) {
            assert_eq!(answer["error"]["kind"], kind, "{answer}");
        }
    }

    #[test]
    fn a_workspace_brings_hash_files() {
        let folder = tempfile::tempdir().unwrap();
        let request = json!({"expr": "hashFiles('**')", "workspace": folder.path()});
        assert_eq!(answer(&request.to_string()), json!({"id": null, "kind": "String", "value": ""}));
    }
}
