//! Checks the matrices, containers, actions and runner labels of jobs.

use std::collections::HashSet;

use super::{jobs_with_steps, steps};
use crate::model::nearest;
use crate::workflow::diagnostic::{Diagnostic, Severity};
use crate::workflow::expr::PathKey;
use crate::workflow::parse::{entries, get};
use crate::workflow::source::Spanned;
use crate::workflow::syntax::{JobBody, JobDefinition, StepAction, Strategy, Workflow};
use crate::workflow::template::{Template, TemplateKind};

/// Reports container registry passwords that are written in the file as plain text.
pub(super) fn credentials(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for job in jobs_with_steps(workflow) {
        let services = job.services.iter().map(|(_, service)| service);
        for container in job.container.iter().chain(services) {
            let password = get(container, "credentials").and_then(|credentials| get(credentials, "password"));
            if let Some(password) = password.filter(|password| password.literal().is_some()) {
                let message = "the password is in the file, readable by anyone with access to the repository";
                let hint = "store it as a secret and write `${{ secrets.NAME }}`";
                found.push(Diagnostic::warning("credentials", password.span, message).hint(hint));
            }
        }
    }
}

/// Reports jobs without steps. GitHub's schema allows them, but GitHub refuses to run the workflow.
pub(super) fn without_steps(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for job in &workflow.jobs {
        if matches!(&job.body, JobBody::Steps(steps) if steps.steps.is_empty()) {
            let message = format!("the job `{}` has no steps: GitHub refuses the workflow", job.id.value);
            let hint = "add `steps`, or call a workflow with `uses`";
            found.push(Diagnostic::warning("job-steps", job.id.span, message).hint(hint));
        }
    }
}

/// Reports third-party actions that are not pinned to a commit, and images with an empty tag.
pub(super) fn pins(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for step in steps(workflow) {
        let StepAction::Uses { reference, .. } = &step.action else { continue };
        let text = reference.value.as_str();
        if let Some(image) = text.strip_prefix("docker://") {
            if image.ends_with(':') {
                let message = format!("the image `{image}` has an empty tag");
                let hint = format!("write `docker://{image}latest`, or another tag");
                found.push(Diagnostic::warning("action", reference.span, message).hint(hint));
            }
            continue;
        }
        let Some((name, version)) = text.split_once('@') else { continue };
        let owner = name.split('/').next().unwrap_or_default();
        let is_commit = version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_commit && !matches!(owner, "actions" | "github" | "." | "$") {
            let message = format!("`{version}` of `{name}` can be moved to other code");
            let hint = "pin the commit, with the version in a comment after it";
            let found_here = Diagnostic::warning("action-pin", reference.span, message).hint(hint);
            found.push(Diagnostic { severity: Severity::Info, ..found_here });
        }
    }
}

/// Reports duplicate values and mixed types in a matrix, and keys and values in `exclude` that the matrix does not
/// have.
pub(super) fn matrices(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    let matrices = workflow.jobs.iter().filter_map(|job| job.strategy.as_ref()?.matrix());
    for matrix in matrices.clone() {
        for (key, values) in entries(matrix).filter(|(key, _)| !matches!(key.value.as_str(), "include" | "exclude")) {
            mixed_types(&key, values, found);
            let mut seen = HashSet::new();
            for value in items(Some(values)) {
                // The kind is part of the key, because `true` and `'true'` are different values.
                let literal = value.literal().map(|text| (text, std::mem::discriminant(&value.kind)));
                if let Some((text, _)) = literal.filter(|literal| !seen.insert(*literal)) {
                    let first = text.lines().find(|line| !line.is_empty()).unwrap_or_default();
                    let message = format!("duplicate value `{first}` in `{}`: the same job runs twice", key.value);
                    found.push(Diagnostic::warning("matrix", value.span, message).hint("remove one of the two"));
                }
            }
        }
    }
    for matrix in matrices.filter(|matrix| is_known(matrix)) {
        for (key, wanted) in items(get(matrix, "exclude")).flat_map(entries) {
            let values = values_of(matrix, &key.value);
            if values.is_empty() {
                let message = format!("`exclude` has no effect: the matrix has no key `{}`", key.value);
                let keys: Vec<_> = entries(matrix).map(|(key, _)| key.value).collect();
                let keys: Vec<_> = keys.iter().map(String::as_str).filter(|key| *key != "exclude").collect();
                let hint = match nearest(&key.value, keys.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the keys are {}", keys.join(", ")),
                };
                found.push(Diagnostic::warning("matrix", key.span, message).hint(hint));
            } else if !values.iter().any(|value| agrees(wanted, value)) {
                let message = format!("`exclude` has no effect: `{}` never has this value", key.value);
                let known: Vec<_> = values.iter().filter_map(|value| value.literal()).collect();
                let hint = if known.is_empty() {
                    "write the value as in the matrix".to_owned()
                } else {
                    format!("the values are {}", known.join(", "))
                };
                found.push(Diagnostic::warning("matrix", wanted.span, message).hint(hint));
            }
        }
    }
}

/// Whether the keys of a matrix and the number of its combinations are known from the file alone.
pub(super) fn is_known(matrix: &Template) -> bool {
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

/// Returns the values of a matrix key, from its list and from `include`.
pub(super) fn values_of<'t>(matrix: &'t Template, key: &str) -> Vec<&'t Template> {
    let vector = if matches!(key, "include" | "exclude") { None } else { get(matrix, key) };
    let included = items(get(matrix, "include")).filter_map(|item| get(item, key));
    items(vector).chain(included).collect()
}

/// Whether a value contains everything in `wanted`. An expression matches any value.
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

/// Labels of GitHub-hosted runners, from GitHub's documentation, by operating system.
const HOSTED: &[(&str, &[&str])] = &[
    ("ubuntu", &["latest", "slim", "22.04", "24.04", "26.04", "22.04-arm", "24.04-arm", "26.04-arm"]),
    ("windows", &["latest", "2022", "2025", "2025-vs2026", "11-arm", "11-vs2026-arm"]),
    ("macos", &["latest", "14", "15", "26", "15-intel", "26-intel"]),
];

/// Suffixes of labels of larger hosted runners.
const SIZES: &[&str] = &["large", "xlarge", "cores", "arm64"];

/// Reports labels that look like a GitHub-hosted runner but do not exist, and jobs whose labels name different
/// operating systems.
pub(super) fn labels(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for job in &workflow.jobs {
        let JobBody::Steps(body) = &job.body else { continue };
        for label in from_matrix(job, &body.runs_on) {
            hosted(label, found);
        }
    }
    for job in jobs_with_steps(workflow) {
        let labels = match get(&job.runs_on, "labels").unwrap_or(&job.runs_on) {
            Template { kind: TemplateKind::Sequence(items), .. } => items.iter().collect(),
            label => vec![label],
        };
        let mut system: Option<&str> = None;
        for label in labels {
            let Some(family) = hosted(label, found) else { continue };
            if system.is_some_and(|system| system != family) {
                let message = format!("no runner is both {} and {family}", system.unwrap_or_default());
                found.push(
                    Diagnostic::warning("runner-label", label.span, message)
                        .hint("use a matrix to run the job on each of them"),
                );
            }
            system = Some(family);
        }
    }
}

/// Returns the values of the matrix keys that `runs-on` uses as labels without change.
fn from_matrix<'w>(job: &'w JobDefinition, runs_on: &'w Template) -> Vec<&'w Template> {
    let Some(matrix) = job.strategy.as_ref().and_then(Strategy::matrix) else { return Vec::new() };
    let labels = match get(runs_on, "labels").unwrap_or(runs_on) {
        Template { kind: TemplateKind::Sequence(items), .. } => items.as_slice(),
        label => std::slice::from_ref(label),
    };
    let keys = labels.iter().filter_map(|label| {
        let TemplateKind::Expression(expr) = &label.kind else { return None };
        let reference = expr.tree()?.reference()?;
        let is_matrix = reference.context.text.eq_ignore_ascii_case("matrix");
        match reference.path.as_slice() {
            [PathKey::Name(key, _)] if is_matrix => Some((*key).to_owned()),
            _ => None,
        }
    });
    keys.flat_map(|key| values_of(matrix, &key)).collect()
}

/// Reports a label that looks like a GitHub-hosted runner but does not exist. Returns the operating system that the
/// label names; `None` for other labels.
fn hosted(label: &Template, found: &mut Vec<Diagnostic>) -> Option<&'static str> {
    let (family, version) = label.literal()?.split_once('-')?;
    let (family, versions) = HOSTED.iter().find(|(name, _)| name.eq_ignore_ascii_case(family))?;
    let sized = SIZES.iter().any(|size| version.ends_with(size));
    if !sized && !versions.contains(&version.to_ascii_lowercase().as_str()) {
        let message = format!("unknown GitHub-hosted runner `{family}-{version}`");
        let available: Vec<_> = versions.iter().map(|version| format!("{family}-{version}")).collect();
        let hint = format!("available: {}", available.join(", "));
        found.push(Diagnostic::warning("runner-label", label.span, message).hint(hint));
    }
    Some(family)
}

/// Reports matrix keys whose scalars are of different types, such as `3.9` and `'3.10'`.
fn mixed_types(key: &Spanned<String>, values: &Template, found: &mut Vec<Diagnostic>) {
    let kind = |value: &Template| match value.kind {
        TemplateKind::Bool(_) => Some("a boolean"),
        TemplateKind::Number(..) => Some("a number"),
        TemplateKind::Text(_) | TemplateKind::Interpolated(_) => Some("a string"),
        _ => None,
    };
    let mut kinds = items(Some(values)).filter_map(|value| Some((value, kind(value)?)));
    let Some((_, first)) = kinds.next() else { return };
    if let Some((value, other)) = kinds.find(|(_, other)| *other != first) {
        let message = format!("the values of `{}` have different types: {first} and {other}", key.value);
        let remark = Diagnostic::warning("matrix", value.span, message).hint("quote all of them, or none");
        found.push(Diagnostic { severity: Severity::Info, ..remark });
    }
}
