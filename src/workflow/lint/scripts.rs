//! Lint rules for the contents of scripts.

use super::references::collect;
use super::{span_of, steps};
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::expr::{ExprKind, ExprNode, Function, PathKey, Reference};
use crate::workflow::syntax::{StepAction, StepDefinition, Workflow};
use crate::workflow::template::{Piece, Template, TemplateKind};

/// Paths of the `github` context with untrusted input, from GitHub's page on script injections. `*` is any key.
const UNTRUSTED: &[&[&str]] = &[
    &["event", "issue", "title"],
    &["event", "issue", "body"],
    &["event", "pull_request", "title"],
    &["event", "pull_request", "body"],
    &["event", "pull_request", "head", "ref"],
    &["event", "pull_request", "head", "label"],
    &["event", "pull_request", "head", "repo", "default_branch"],
    &["event", "discussion", "title"],
    &["event", "discussion", "body"],
    &["event", "comment", "body"],
    &["event", "review", "body"],
    &["event", "review_comment", "body"],
    &["event", "pages", "*", "page_name"],
    &["event", "commits", "*", "message"],
    &["event", "commits", "*", "author", "email"],
    &["event", "commits", "*", "author", "name"],
    &["event", "head_commit", "message"],
    &["event", "head_commit", "author", "email"],
    &["event", "head_commit", "author", "name"],
    &["head_ref"],
];

/// Deprecated commands and their replacements.
const DEPRECATED: &[(&str, &str)] = &[
    ("::set-output name=", "echo \"name=value\" >> \"$GITHUB_OUTPUT\""),
    ("::save-state name=", "echo \"name=value\" >> \"$GITHUB_STATE\""),
    ("::set-env name=", "echo \"name=value\" >> \"$GITHUB_ENV\""),
    ("::add-path::", "echo \"path\" >> \"$GITHUB_PATH\""),
];

/// Reports untrusted input in scripts.
pub(super) fn injections(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for script in steps(workflow).filter_map(script) {
        let mut expressions = Vec::new();
        collect(script, &mut expressions);
        for (expr, _) in expressions {
            let mut untrusted = Vec::new();
            expr.tree().into_iter().for_each(|tree| reaching(tree, &mut untrusted));
            for reference in untrusted {
                let text = &expr.text()[reference.extent.start..reference.extent.end];
                let message = format!("`{text}` is untrusted input and is inserted into the script");
                let hint = format!("pass it as `env: {{ VALUE: ${{{{ {text} }}}} }}` and use \"$VALUE\" in the script");
                let location = span_of(&workflow.source, script.span, text);
                found.push(Diagnostic::warning("script-injection", location, message).hint(hint));
            }
        }
    }
}

/// Reports deprecated workflow commands.
pub(super) fn deprecated_commands(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for step in steps(workflow) {
        let StepAction::Run { script, .. } = &step.action else { continue };
        for (command, instead) in DEPRECATED {
            if texts(script).any(|text| text.contains(command)) {
                let name = command.trim_start_matches(':').split([' ', ':']).next().unwrap_or_default();
                let message = format!("the workflow command `{name}` is deprecated");
                let location = span_of(&workflow.source, script.span, command);
                found.push(
                    Diagnostic::warning("deprecated-commands", location, message).hint(format!("write {instead}")),
                );
            }
        }
    }
}

/// Returns the script of a `run` step or of `actions/github-script`; `None` for other steps.
fn script(step: &StepDefinition) -> Option<&Template> {
    match &step.action {
        StepAction::Run { script, .. } => Some(script),
        StepAction::Uses { reference, with } if reference.value.starts_with("actions/github-script@") => {
            with.iter().find(|(name, _)| name.value.eq_ignore_ascii_case("script")).map(|(_, script)| script)
        }
        StepAction::Uses { .. } | StepAction::Steer(_) => None,
    }
}

fn texts(template: &Template) -> impl Iterator<Item = &str> {
    let pieces = match &template.kind {
        TemplateKind::Interpolated(pieces) => pieces.as_slice(),
        _ => &[],
    };
    let between = pieces.iter().filter_map(|piece| match piece {
        Piece::Text(text) => Some(&**text),
        Piece::Expression(_) => None,
    });
    template.literal().into_iter().chain(between)
}

/// Collects the untrusted references whose text can become part of the value. The result of a comparison, for example,
/// is a boolean, which contains no text.
fn reaching<'e>(node: &'e ExprNode, found: &mut Vec<Reference<'e>>) {
    match &node.kind {
        ExprKind::Compare { .. } | ExprKind::Not(_) => return,
        ExprKind::Call { function: Function::Contains | Function::StartsWith | Function::EndsWith, .. } => return,
        _ => {}
    }
    match node.reference() {
        Some(reference) if is_untrusted(&reference) => found.push(reference),
        Some(_) => {}
        None => node.children().into_iter().for_each(|child| reaching(child, found)),
    }
}

fn is_untrusted(reference: &Reference<'_>) -> bool {
    let agrees = |(key, name): (&PathKey<'_>, &&str)| match key {
        PathKey::Name(written, _) => *name == "*" || written.eq_ignore_ascii_case(name),
        PathKey::Every | PathKey::Computed(_) => true,
    };
    reference.context.text.eq_ignore_ascii_case("github")
        && UNTRUSTED
            .iter()
            .any(|path| path.len() == reference.path.len() && reference.path.iter().zip(*path).all(agrees))
}
