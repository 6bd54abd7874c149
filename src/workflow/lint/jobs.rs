//! What jobs say about their matrix, their containers and their actions.

use super::super::diagnostic::{Diagnostic, Severity};
use super::super::parse::{entries, get};
use super::super::source::Spanned;
use super::super::syntax::{StepAction, Workflow};
use super::super::template::{Template, TemplateKind};
use super::{jobs_with_steps, steps};

/// Passwords in the file.
pub(super) fn credentials(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for job in jobs_with_steps(workflow) {
        let services = job.services.iter().map(|(_, service)| service);
        for container in job.container.iter().chain(services) {
            let password = get(container, "credentials").and_then(|credentials| get(credentials, "password"));
            if let Some(password) = password.filter(|password| password.literal().is_some()) {
                let message = "the password stands in the file, for everybody who can read the repository";
                let hint = "store it as a secret and write `${{ secrets.NAME }}`";
                found.push(Diagnostic::warning("credentials", password.span, message).hint(hint));
            }
        }
    }
}

/// Actions of others that are not named by their commit.
pub(super) fn pins(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for step in steps(workflow) {
        let StepAction::Uses { reference, .. } = &step.action else { continue };
        let text = reference.value.as_str();
        let Some((name, version)) = text.split_once('@').filter(|_| !text.starts_with("docker://")) else { continue };
        let owner = name.split('/').next().unwrap_or_default();
        let is_commit = version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_commit && !matches!(owner, "actions" | "github" | "." | "$") {
            let message = format!("`{version}` of `{name}` can be moved to other code");
            let hint = "name the commit, with the version as a comment behind it";
            let found_here = Diagnostic::warning("action-pin", reference.span, message).hint(hint);
            found.push(Diagnostic { severity: Severity::Info, ..found_here });
        }
    }
}

/// Entries of `exclude` that no combination agrees with.
pub(super) fn excludes(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    let matrices = workflow.jobs.iter().filter_map(|job| job.strategy.as_ref()?.matrix.as_ref());
    for matrix in matrices.filter(|matrix| is_known(matrix)) {
        for (key, wanted) in items(get(matrix, "exclude")).flat_map(entries) {
            let values = values_of(matrix, &key.value);
            if values.is_empty() {
                let message = format!("nothing is excluded: the matrix has no `{}`", key.value);
                found.push(Diagnostic::warning("matrix", key.span, message));
            } else if !values.iter().any(|value| agrees(wanted, value)) {
                let message = format!("nothing is excluded: `{}` never has this value", key.value);
                found.push(Diagnostic::warning("matrix", wanted.span, message));
            }
        }
    }
}

/// Whether the keys and the number of combinations can be read off the file.
fn is_known(matrix: &Template) -> bool {
    let written_out = |(key, value): (Spanned<String>, &Template)| {
        !key.value.starts_with("${{")
            && !matches!(value.kind, TemplateKind::Expression(_) | TemplateKind::Interpolated(_))
    };
    matches!(matrix.kind, TemplateKind::Mapping(_))
        && entries(matrix).all(written_out)
        && items(get(matrix, "include")).all(|item| matches!(item.kind, TemplateKind::Mapping(_)))
}

fn items(sequence: Option<&Template>) -> impl Iterator<Item = &Template> {
    let items = match sequence.map(|sequence| &sequence.kind) {
        Some(TemplateKind::Sequence(items)) => items.as_slice(),
        _ => &[],
    };
    items.iter()
}

/// The values that a key of the matrix can have, from its vector and from `include`.
fn values_of<'t>(matrix: &'t Template, key: &str) -> Vec<&'t Template> {
    let vector = if matches!(key, "include" | "exclude") { None } else { get(matrix, key) };
    let included = items(get(matrix, "include")).filter_map(|item| get(item, key));
    items(vector).chain(included).collect()
}

/// Whether a value has everything that is wanted. An expression may become anything.
fn agrees(wanted: &Template, value: &Template) -> bool {
    use TemplateKind::{Expression, Interpolated, Mapping, Sequence};
    match (&wanted.kind, &value.kind) {
        (Expression(_) | Interpolated(_), _) | (_, Expression(_) | Interpolated(_)) => true,
        (Mapping(_), Mapping(_)) => {
            entries(wanted).all(|(key, wanted)| get(value, &key.value).is_some_and(|value| agrees(wanted, value)))
        }
        (Sequence(wanted), Sequence(values)) => {
            wanted.len() == values.len() && wanted.iter().zip(values).all(|(wanted, value)| agrees(wanted, value))
        }
        _ => match (wanted.literal(), value.literal()) {
            (Some(wanted), Some(value)) => wanted.eq_ignore_ascii_case(value),
            _ => false,
        },
    }
}
