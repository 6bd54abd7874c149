//! Display names of jobs and steps, as on GitHub.

use super::expr::{Expr, Scope};
use super::matrix::Leg;
use super::syntax::{JobDefinition, Steering, StepAction, StepDefinition};
use super::template::{Piece, Template, TemplateKind};

/// Maximum length of a job name with its matrix values, in characters; GitHub truncates longer ones.
pub const MAX_NAME_LENGTH: usize = 100;

/// Maximum length of a name that an expression computes, in characters. It bounds the size of a plan, which keeps the
/// name of each leg.
const MAX_COMPUTED_LENGTH: usize = 1000;

/// Returns the display name of a job: `name`, or the job's id if the name is missing or blank, or cannot be evaluated.
/// An id, or a name without expressions, gets the leg's values as a suffix.
#[must_use]
pub fn job_name(job: &JobDefinition, leg: &Leg, scope: &Scope<'_>) -> String {
    match &job.name {
        Some(name) if name.literal().is_none() => {
            let named = name.evaluate(scope).map(|value| cut(value.to_text(), MAX_COMPUTED_LENGTH)).unwrap_or_default();
            if named.trim().is_empty() { with_suffix(&job.id.value, leg) } else { named }
        }
        Some(name) if !name.literal().unwrap_or_default().trim().is_empty() => {
            with_suffix(name.literal().unwrap_or_default(), leg)
        }
        _ => with_suffix(&job.id.value, leg),
    }
}

fn with_suffix(name: &str, leg: &Leg) -> String {
    cut(format!("{name}{}", leg.suffix), MAX_NAME_LENGTH)
}

/// Truncates a name to `length` characters. A truncated name ends in `...`.
fn cut(name: String, length: usize) -> String {
    if name.len() <= length || name.chars().nth(length).is_none() {
        return name;
    }
    name.chars().take(length - 3).chain("...".chars()).collect()
}

/// Returns the display name of a job whose `name` or matrix cannot be evaluated yet: its `name` if that is a literal,
/// otherwise its id.
#[must_use]
pub fn provisional_job_name(job: &JobDefinition) -> String {
    let literal = job.name.as_ref().and_then(Template::literal).filter(|name| !name.trim().is_empty());
    literal.unwrap_or(&job.id.value).to_owned()
}

/// Returns the display name of a step: `name`, or `Run` and the action or the first line of the script, or a fixed name
/// for a step that controls background steps. Expressions that cannot be evaluated yet, for example because they read
/// the outputs of earlier steps, are shown as written.
#[must_use]
pub fn step_name(step: &StepDefinition, scope: &Scope<'_>) -> String {
    let text = |template: &Template| match &template.kind {
        TemplateKind::Expression(expr) => evaluated(expr, scope),
        TemplateKind::Interpolated(pieces) => joined(pieces, |expr| evaluated(expr, scope)),
        _ => written(template),
    };
    named(step, &|template| cut(text(template), MAX_COMPUTED_LENGTH))
}

/// Returns the value of an expression as text; the expression as written if a context that it reads is missing in the
/// scope, or if it has no value.
fn evaluated(expr: &Expr, scope: &Scope<'_>) -> String {
    let is_known = expr.roots().iter().all(|root| scope.contexts.get(&root.context.text).is_some());
    let value = if is_known { expr.evaluate(scope).ok() } else { None };
    value.map_or_else(|| as_placeholder(expr), |value| value.to_text())
}

/// Returns an expression as it stands in a file.
fn as_placeholder(expr: &Expr) -> String {
    format!("${{{{ {} }}}}", expr.text().trim())
}

/// Returns the text of pieces, with the text that `shown` returns for their expressions.
fn joined(pieces: &[Piece], shown: impl Fn(&Expr) -> String) -> String {
    let pieces = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.to_string(),
        Piece::Expression(expr) => shown(expr),
    });
    pieces.collect()
}

/// Returns the display name of a step before its expressions can be evaluated: they are shown as written.
#[must_use]
pub fn as_written(step: &StepDefinition) -> String {
    named(step, &written)
}

fn named(step: &StepDefinition, shown: &dyn Fn(&Template) -> String) -> String {
    if let Some(name) = step.name.as_ref().map(shown).filter(|name| !name.trim().is_empty()) {
        return name;
    }
    match &step.action {
        StepAction::Run { script, .. } => {
            let script = shown(script);
            format!("Run {}", script.trim().lines().next().unwrap_or_default())
        }
        StepAction::Uses { reference, .. } => format!("Run {}", reference.value),
        StepAction::Steer(Steering::Wait(_)) => "Wait".to_owned(),
        StepAction::Steer(Steering::WaitAll) => "Wait for all".to_owned(),
        StepAction::Steer(Steering::Cancel(_)) => "Cancel".to_owned(),
        StepAction::Steer(Steering::Parallel(_)) => "Parallel group".to_owned(),
    }
}

/// Returns the text of a template as written, with its expressions.
#[must_use]
pub fn written(template: &Template) -> String {
    match &template.kind {
        TemplateKind::Expression(expr) => as_placeholder(expr),
        TemplateKind::Interpolated(pieces) => joined(pieces, as_placeholder),
        _ => template.literal().unwrap_or_default().to_owned(),
    }
}
