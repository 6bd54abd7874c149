//! `eval`: expressions over standard input, a JSON request a line in, an answer a line out.

use std::io::{self, BufRead, Write};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::engine::hash_files::Workspace;
use crate::workflow::expr::{
    Contexts, Expr, Function, Host, NoFiles, ParseErrorKind, Scope, Status, Value, Vocabulary,
};

use super::{Exit, Outcome};

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: Json,
    expr: String,
    #[serde(default)]
    contexts: serde_json::Map<String, Json>,
    workspace: Option<String>,
}

pub(super) fn run() -> Outcome {
    let mut exit = Exit::Success;
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(request) => answer(request),
            Err(error) => json!({"error": {"kind": "request", "message": error.to_string()}}),
        };
        if answer.get("error").is_some() {
            exit = Exit::Failed;
        }
        writeln!(io::stdout().lock(), "{answer}")?;
    }
    Ok(exit)
}

fn answer(request: Request) -> Json {
    let names: Vec<String> = request.contexts.keys().cloned().collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let functions: &[Function] = if request.workspace.is_some() { &[Function::HashFiles] } else { &[] };
    let vocabulary = Vocabulary { contexts: Some(&names), functions, jobs_named: false };
    let expr = match Expr::parse(&request.expr, &vocabulary) {
        Ok(expr) => expr,
        Err(error) => {
            let kind = if error.kind == ParseErrorKind::InvalidSymbol { "lexing" } else { "parsing" };
            return json!({"id": request.id, "error": {"kind": kind, "message": error.to_string()}});
        }
    };
    let contexts: Contexts = request.contexts.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
    let files = request.workspace.map(|folder| Workspace::at(Path::new(&folder)));
    let host: &dyn Host = files.as_ref().map_or(&NoFiles, |files| files);
    match expr.evaluate(&Scope { contexts: &contexts, status: Status::default(), host }) {
        Ok(value) => json!({"id": request.id, "kind": value.kind(), "value": written(&value)}),
        Err(error) => json!({"id": request.id, "error": {"kind": "evaluation", "message": error.to_string()}}),
    }
}

/// A value as JSON; numbers that JSON cannot write are words.
fn written(value: &Value) -> Json {
    match value {
        Value::Number(number) if number.is_nan() => "NaN".into(),
        Value::Number(number) if number.is_infinite() => if *number > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        other => other.to_json(),
    }
}
