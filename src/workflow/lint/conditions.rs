//! Reports conditions that always have the same result.

use super::{jobs_with_steps, steps};
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::expr::{Contexts, Expr, ExprKind, Function, NoFiles, Scope, Status, Value, Vocabulary};
use crate::workflow::syntax::{Condition, Workflow};

/// Reports conditions with text around `${{ }}`, and other conditions whose result is the same in every run.
pub(super) fn check(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    let of_jobs = workflow.jobs.iter().map(|job| &job.condition);
    let of_snapshots = jobs_with_steps(workflow).filter_map(|job| Some(&job.snapshot.as_ref()?.condition));
    for condition in of_jobs.chain(of_snapshots).chain(steps(workflow).map(|step| &step.condition)) {
        let Some(written) = &condition.written else { continue };
        if is_text(workflow, condition) {
            let message = "the condition is always true: text around `${{ }}` makes it a non-empty string";
            let hint = "put the whole condition inside one `${{ }}`, or remove the `${{ }}`";
            found.push(Diagnostic::warning("if-cond", written.span, message).hint(hint));
        } else if let Some(value) = constant(&written.value) {
            let message = format!("the condition `{}` is always {value}", written.value.trim());
            let hint =
                if value { "remove the `if`" } else { "remove what never runs, or make it depend on a variable" };
            found.push(Diagnostic::warning("if-cond", written.span, message).hint(hint));
        }
    }
}

/// Whether the condition has text around its expressions, which GitHub converts to `format(…)`.
fn is_text(workflow: &Workflow, condition: &Condition) -> bool {
    let Some(written) = &condition.written else { return false };
    let source = &workflow.source.text;
    let range = written.span.start as usize..(written.span.end as usize).min(source.len());
    let spelled = source.get(range).unwrap_or_default();
    let is_converted = written.value.starts_with("format(") && spelled.contains("${{") && !spelled.contains("format(");
    is_converted && has_literal_text(&written.value)
}

/// Whether the first argument of `format(…)` is more than placeholders.
fn has_literal_text(text: &str) -> bool {
    let Ok(expr) = Expr::parse(text, &Vocabulary::ANY) else { return false };
    let Some(ExprKind::Call { arguments, .. }) = expr.tree().map(|tree| &tree.kind) else { return false };
    let Some(ExprKind::Literal(Value::String(format))) = arguments.first().map(|first| &first.kind) else {
        return false;
    };
    let mut rest = &**format;
    while let Some(after) = rest.strip_prefix('{') {
        let placeholder = after.split_once('}').filter(|(number, _)| number.parse::<usize>().is_ok());
        match placeholder {
            Some((_, next)) => rest = next,
            None => return true,
        }
    }
    !rest.is_empty()
}

/// Returns the value of a condition that is the same in every run; `None` if it varies.
fn constant(text: &str) -> Option<bool> {
    let expr = Expr::parse(text, &Vocabulary::ANY).ok()?;
    expr.tree()?;
    let mut varies = expr.calls_status_function() || !expr.roots().is_empty();
    expr.walk(&mut |node| varies |= matches!(&node.kind, ExprKind::Call { function: Function::HashFiles, .. }));
    if varies {
        return None;
    }
    let contexts = Contexts::new();
    let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
    expr.evaluate(&scope).ok().map(|value| value.is_truthy())
}
