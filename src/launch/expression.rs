//! Evaluation of expressions outside of a run, with contexts from the caller or those of a run.

use std::path::Path;

use indexmap::IndexMap;

use crate::engine::workspace::hash_files::WorkspaceFiles;
use crate::model::Explanation;
use crate::store::folder::RunFolder;
use crate::store::spec::{RunSpec, WorkSpec};
use crate::store::{StoreError, history};
use crate::worker::prepare::{self, Refusal};
use crate::workflow::expr::{
    Contexts, EvalError, Expr, Function, Host, NoFiles, ParseError, Scope, Status, Value, Vocabulary,
};
use crate::workflow::schema::availability::CONTEXTS;

/// Why an expression cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum ExpressionError {
    /// The text is not an expression.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The evaluation failed.
    #[error(transparent)]
    Evaluate(#[from] EvalError),
}

/// Evaluates an expression without `${{ }}` around it. Only the given contexts are defined, and `hashFiles` only with a
/// workspace.
///
/// # Errors
/// The expression is invalid, or its evaluation fails.
pub fn evaluate(text: &str, contexts: &Contexts, workspace: Option<&Path>) -> Result<Value, ExpressionError> {
    let names: Vec<_> = contexts.iter().map(|(name, _)| name).collect();
    let files = workspace.map(WorkspaceFiles::at);
    let vocabulary = Vocabulary {
        contexts: Some(&names),
        functions: if files.is_some() { &[Function::HashFiles] } else { &[] },
        jobs_named: false,
    };
    let host = files.as_ref().map_or(&NoFiles as &dyn Host, |files| files);
    let expr = Expr::parse(text, &vocabulary)?;
    Ok(expr.evaluate(&Scope { contexts, status: Status::default(), host })?)
}

/// Why the contexts of a run are not known.
#[derive(Debug, thiserror::Error)]
pub enum ContextsError {
    /// The folder of the run cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The workflow of the run cannot be planned.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No workflow ran on this machine.
    #[error("{0} is not a run of a workflow on this machine: give the contexts with --contexts FILE")]
    NotHere(String),
}

/// Returns the contexts `github`, `inputs` and `vars` of the newest attempt of a run. Its token is not known.
///
/// # Errors
/// The run is a deployment or on a server, or cannot be read.
pub fn contexts_of_run(folder: &RunFolder) -> Result<Contexts, ContextsError> {
    let WorkSpec::WorkflowRun(mut spec) = RunSpec::read(folder)?.work else {
        return Err(ContextsError::NotHere(folder.id().to_string()));
    };
    let run = history::read(folder)?;
    if let Some((_, newest)) = run.trees.last_key_value() {
        // Another ref may have been checked out before a later attempt.
        spec.git_ref = spec.git_ref_of(newest);
    }
    let mut prepared = prepare::prepare(&run.info, &spec, IndexMap::new(), run.attempt.max(1))?;
    prepared.facts.token.replace_range(.., "***");
    Ok(prepared.contexts())
}

/// How an expression was evaluated.
#[derive(Debug)]
pub struct Explained {
    /// The value, or the error of the evaluation.
    pub value: Result<Value, EvalError>,
    /// The value of each operand.
    pub explanation: Explanation,
    /// Contexts that the expression reads and that were not given, so that their values are empty.
    pub missing: Vec<String>,
}

/// Evaluates an expression, with or without `${{ }}` around it, and records the value of each operand. All contexts and
/// functions of a step's `if` are available; `workspace` is the folder of `hashFiles`.
///
/// # Errors
/// The expression is invalid.
pub fn explain(text: &str, contexts: &Contexts, workspace: &Path) -> Result<Explained, ParseError> {
    let inside = text.trim().strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(text).trim();
    let names: Vec<_> = CONTEXTS.iter().copied().chain(contexts.iter().map(|(name, _)| name)).collect();
    let vocabulary = Vocabulary { contexts: Some(&names), functions: Function::EXTRA, jobs_named: true };
    let files = WorkspaceFiles::at(workspace);
    let scope = Scope { contexts, status: Status::default(), host: &files };
    let expr = Expr::parse(inside, &vocabulary)?;
    let (value, mut explanation) = expr.explain(&scope);
    explanation.shorten();
    let mut missing: Vec<String> = Vec::new();
    for read in expr.roots() {
        if contexts.get(&read.context.text).is_none()
            && !missing.iter().any(|name| name.eq_ignore_ascii_case(&read.context.text))
        {
            missing.push(read.context.text.clone());
        }
    }
    Ok(Explained { value, explanation, missing })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts() -> Contexts {
        let mut contexts = Contexts::new();
        contexts.set("github", Value::from(serde_json::json!({"ref": "refs/heads/main"})));
        contexts
    }

    #[test]
    fn only_given_contexts_are_known_and_files_only_with_a_workspace() {
        let home = tempfile::tempdir().expect("a folder");
        let value = |text, workspace| evaluate(text, &contexts(), workspace).map(|value| value.to_text());
        assert_eq!(value("github.ref", None).expect("a value"), "refs/heads/main");
        assert!(matches!(value("inputs.x", None), Err(ExpressionError::Parse(_))));
        assert!(matches!(value("hashFiles('**')", None), Err(ExpressionError::Parse(_))));
        assert_eq!(value("hashFiles('**')", Some(home.path())).expect("a value"), "");
        assert!(matches!(value("fromJSON('{')", None), Err(ExpressionError::Evaluate(_))));
    }

    #[test]
    fn an_explanation_knows_every_context_and_the_marks_around_an_expression_do_not_matter() {
        let folder = Path::new("/nowhere");
        for text in ["github.ref == 'x' || inputs.x", " ${{ github.ref == 'x' || inputs.x }}"] {
            let Explained { value, explanation, missing } = explain(text, &contexts(), folder).expect("no fault");
            assert_eq!(missing, ["inputs"]);
            assert_eq!(value.expect("a value").to_text(), "");
            assert!(explanation.lines().iter().any(|line| line.contains("refs/heads/main")), "{explanation:?}");
        }
        assert!(explain("github.", &contexts(), folder).is_err());
    }
}
