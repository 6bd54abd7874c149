//! A workflow as a JSON document, in the form of GitHub's own package for workflows.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::diagnostic::Diagnostic;
use super::expr::Value;
use super::parse;
use super::plan::{MAX_CALL_DEPTH, Plan};
use super::source::Source;
use super::syntax::{JobBody, NamedValues, StepAction, Workflow};
use super::template::{Piece, Template, TemplateKind};

/// Why a workflow has no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// A called workflow has errors.
    #[error("{} has errors", file.name)]
    Refused {
        /// The called workflow.
        file: Arc<Source>,
        /// Errors and warnings of the called workflow.
        diagnostics: Vec<Diagnostic>,
    },
    /// Called workflows are nested deeper than [`MAX_CALL_DEPTH`] levels. Contains the `uses` of the deepest call.
    #[error("{0}: called workflows are nested deeper than {MAX_CALL_DEPTH} levels")]
    TooDeep(String),
}

/// Returns the jobs of a plan as JSON, after matrix expansion. The jobs of called workflows are left out.
#[must_use]
pub fn expanded(plan: &Plan) -> Json {
    let jobs = plan.jobs().iter().filter(|job| job.caller.is_none()).map(|job| {
        let matrix = job.leg.as_ref().map_or(Json::Null, |leg| leg.matrix.to_json());
        json!({
            "id": job.key, "type": kind(&job.definition.body), "name": job.name,
            "needs": job.definition.needs.iter().map(|need| need.value.as_str()).collect::<Vec<_>>(),
            "matrix": matrix,
        })
    });
    json!({"jobs": jobs.collect::<Vec<_>>()})
}

fn kind(body: &JobBody) -> &'static str {
    match body {
        JobBody::Steps(_) => "job",
        JobBody::Call { .. } => "reusableWorkflowJob",
    }
}

/// Returns the jobs of a workflow as JSON, as the parser converts them: with default names, conditions and ids, but
/// without matrix expansion. The jobs of a called workflow are included if `read` returns its source.
///
/// # Errors
/// A called workflow has errors, or called workflows are nested deeper than [`MAX_CALL_DEPTH`] levels.
pub fn jobs(workflow: &Workflow, read: &dyn Fn(&str) -> Option<Arc<Source>>) -> Result<Vec<Json>, DocumentError> {
    jobs_within(workflow, read, MAX_CALL_DEPTH)
}

fn jobs_within(
    workflow: &Workflow,
    read: &dyn Fn(&str) -> Option<Arc<Source>>,
    levels: usize,
) -> Result<Vec<Json>, DocumentError> {
    let jobs = workflow.jobs.iter().map(|job| {
        let name = job.name.as_ref().map_or_else(|| json!(job.id.value), token);
        let mut document = json!({
            "type": kind(&job.body), "id": job.id.value, "name": name,
            "needs": job.needs.iter().map(|need| need.value.as_str()).collect::<Vec<_>>(),
            "if": marked(job.condition.expr.text()),
        });
        match &job.body {
            JobBody::Steps(body) => {
                document["runs-on"] = token(&body.runs_on);
                if let Some(env) = &body.env {
                    document["env"] = token(env);
                }
                let steps = body.steps.iter().map(|step| {
                    let mut document = json!({"id": step.id, "if": marked(step.condition.expr.text())});
                    if let Some(name) = &step.name {
                        document["name"] = token(name);
                    }
                    match &step.action {
                        StepAction::Run { script, .. } => document["run"] = written(script, &workflow.source),
                        StepAction::Steer(_) => {}
                        StepAction::Uses { reference, with } => {
                            document["uses"] = json!(reference.value);
                            document["with"] = match with {
                                NamedValues::Computed(whole) => token(whole),
                                NamedValues::Written(with) => {
                                    let with = with.iter().map(|(name, value)| (name.value.clone(), token(value)));
                                    with.collect::<serde_json::Map<_, _>>().into()
                                }
                            };
                        }
                    }
                    document
                });
                document["steps"] = steps.collect();
            }
            JobBody::Call { uses, .. } => {
                document["ref"] = json!(uses.value);
                if let Some(source) = read(&uses.value) {
                    let parsed = parse(&source);
                    let refused = DocumentError::Refused { file: source, diagnostics: parsed.diagnostics };
                    let called = parsed.value.ok_or(refused)?;
                    let levels = levels.checked_sub(1).filter(|levels| *levels > 0);
                    let levels = levels.ok_or_else(|| DocumentError::TooDeep(uses.value.clone()))?;
                    document["jobs"] = json!(jobs_within(&called, read, levels)?);
                }
            }
        }
        Ok(document)
    });
    jobs.collect()
}

fn marked(expression: &str) -> Json {
    json!(format!("${{{{ {} }}}}", expression.trim()))
}

/// Returns a script as JSON. Like GitHub's package for workflows, keeps a block scalar with expressions as spelled in
/// the file, including the indentation, which the script that runs does not have.
fn written(script: &Template, source: &Source) -> Json {
    let spelled = source.text.get(script.span.start as usize..).unwrap_or_default();
    let block = spelled.starts_with(['|', '>']) && matches!(script.kind, TemplateKind::Interpolated(_));
    let Some((_, body)) = spelled.split_once('\n').filter(|_| block) else { return token(script) };
    // The block ends at a line that is indented less than its first line.
    let indentation = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let blank = |line: &str| line.trim().is_empty();
    let least = body.lines().find(|line| !blank(line)).map(indentation).unwrap_or_default();
    let lines = body.split_inclusive('\n');
    let text: String = lines.take_while(|line| blank(line) || indentation(line) >= least).collect();
    let end = text.trim_end_matches(['\n', '\r', ' ']).len();
    let last = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
    json!(text[..last])
}

fn token(template: &Template) -> Json {
    match &template.kind {
        TemplateKind::Null => Json::Null,
        TemplateKind::Bool(value) => json!(value),
        TemplateKind::Number(value, _) => Value::Number(*value).to_json(),
        TemplateKind::Text(text) => json!(text.as_ref()),
        TemplateKind::Expression(expr) => marked(expr.text()),
        TemplateKind::Interpolated(pieces) => {
            let pieces = pieces.iter().map(|piece| match piece {
                Piece::Text(text) => text.to_string(),
                Piece::Expression(expr) => format!("${{{{ {} }}}}", expr.text().trim()),
            });
            json!(pieces.collect::<String>())
        }
        TemplateKind::Sequence(items) => items.iter().map(token).collect(),
        TemplateKind::Mapping(entries) => {
            let entries =
                entries.iter().map(|(key, value)| (key.literal().unwrap_or_default().to_owned(), token(value)));
            entries.collect::<serde_json::Map<_, _>>().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_called_workflow_is_included_with_its_jobs() {
        let read = |name: &str| {
            let text = match name {
                "o/r/b.yml@v1" => "on: workflow_call\njobs: {b: {runs-on: x}}\n",
                "o/r/self.yml@v1" => "on: workflow_call\njobs: {c: {uses: o/r/self.yml@v1}}\n",
                "o/r/bad.yml@v1" => "jobs: [",
                _ => return None,
            };
            Some(Source::new(name, text))
        };
        let calling = |uses: &str| {
            let text = format!("on: workflow_call\njobs: {{a: {{uses: '{uses}'}}}}\n");
            jobs(&parse(&Source::new("a.yml", text)).value.expect("a workflow"), &read)
        };
        let found = calling("o/r/b.yml@v1").expect("a document");
        assert_eq!((&found[0]["ref"], &found[0]["jobs"][0]["id"]), (&json!("o/r/b.yml@v1"), &json!("b")));
        assert_eq!(calling("o/r/none.yml@v1").expect("a document")[0]["jobs"], Json::Null);
        assert!(matches!(calling("o/r/self.yml@v1"), Err(DocumentError::TooDeep(_))));
        assert!(matches!(calling("o/r/bad.yml@v1"), Err(DocumentError::Refused { .. })));
    }
}
