//! Checks inputs, secrets and outputs of local actions and called workflows.

use super::callees::Callees;
use super::types;
use super::types::Type;
use super::{manifests, references, steps, typed};
use crate::model::nearest;
use crate::workflow::diagnostic::{Diagnostic, Severity};
use crate::workflow::manifest::parse_action_partial;
use crate::workflow::parse_action;
use crate::workflow::planner;
use crate::workflow::source::{Source, Spanned};
use crate::workflow::syntax::{
    ActionRuns, CallSecrets, InputDefinition, JobBody, JobDefinition, StepAction, Trigger, Workflow, local_path,
};
use crate::workflow::template::Template;

/// Reports references to called workflows that GitHub does not accept.
pub(super) fn names(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for (uses, ..) in calls(workflow) {
        let (path, version) = uses.value.split_once('@').map_or((&*uses.value, None), |(path, at)| (path, Some(at)));
        let is_yaml = [".yml", ".yaml"].iter().any(|ending| path.ends_with(ending));
        let is_local = path.starts_with("./") || path.starts_with("$/");
        if !is_yaml || (is_local == version.is_some()) {
            let hint = "write `./.github/workflows/file.yml` or `owner/repository/.github/workflows/file.yml@ref`";
            let message = format!("`{}` does not name a workflow file", uses.value);
            found.push(Diagnostic::error("workflow-call", uses.span, message).hint(hint));
        }
    }
}

/// Checks each call of a workflow: that the file exists and can be called, that it has no errors, and that the call
/// passes the inputs and secrets that the called workflow declares.
pub(super) fn workflows(workflow: &Workflow, callees: &Callees<'_>, found: &mut Vec<Diagnostic>) {
    for (uses, with, secrets) in calls(workflow) {
        let Some(called) = callees.workflow(&uses.value) else {
            // Workflows of other repositories are usually not available.
            if local_path(&uses.value).is_some() && callees.files.is_complete() {
                found.push(planner::missing(uses));
            }
            continue;
        };
        let broken = called.diagnostics.iter().any(|found| found.severity == Severity::Error);
        report_file_errors("workflow-call", uses, &called.source, &called.diagnostics, broken, found);
        let Some(called) = &called.workflow else { continue };
        let Some(interface) = interface(called) else {
            let message = format!("`{}` cannot be called: it has no `workflow_call` under `on`", uses.value);
            found.push(Diagnostic::error("workflow-call", uses.span, message));
            continue;
        };
        inputs(uses, with, interface, found);
        passed(uses, secrets, interface, found);
    }
}

fn inputs(
    uses: &Spanned<String>,
    with: &[(Spanned<String>, Template)],
    interface: &Trigger,
    found: &mut Vec<Diagnostic>,
) {
    for (name, value) in with {
        let Some(input) = interface.inputs.iter().find(|input| same(&input.name, name)) else {
            let names = interface.inputs.iter().map(|input| &input.name);
            found.push(undefined("workflow-call", "input", name, uses, names));
            continue;
        };
        let (wanted, given) = (typed::of_input(&input.kind), types::of_template(value, &|_| Type::Any));
        let fits = match &wanted {
            // A string accepts numbers and booleans, too.
            Type::Text => given != Type::Null && !given.is_collection(),
            wanted => given == Type::Any || given == *wanted,
        };
        if !fits {
            let message =
                format!("input `{}` of `{}` must be {}, not {}", name.value, uses.value, wanted.name(), given.name());
            let found_here = Diagnostic::error("workflow-call", value.span, message);
            // GitHub treats null as a missing input.
            let severity = if given == Type::Null { Severity::Warning } else { Severity::Error };
            found.push(Diagnostic { severity, ..found_here });
        }
    }
    let missing = |input: &&InputDefinition| {
        input.required && input.default.is_none() && !with.iter().any(|(name, _)| same(&input.name, name))
    };
    for input in interface.inputs.iter().filter(missing) {
        let message = format!("required input `{}` of `{}` is missing", input.name.value, uses.value);
        found.push(Diagnostic::error("workflow-call", uses.span, message));
    }
}

fn passed(uses: &Spanned<String>, secrets: &CallSecrets, interface: &Trigger, found: &mut Vec<Diagnostic>) {
    let named = match secrets {
        CallSecrets::Inherit => return,
        CallSecrets::None => &[][..],
        CallSecrets::Named(named) => named,
    };
    for (name, _) in named {
        if !interface.secrets.iter().any(|(secret, _)| same(secret, name)) {
            let names = interface.secrets.iter().map(|(secret, _)| secret);
            found.push(undefined("workflow-call", "secret", name, uses, names));
        }
    }
    for (secret, _) in interface.secrets.iter().filter(|(_, required)| *required) {
        if !named.iter().any(|(name, _)| same(secret, name)) {
            let message = format!("required secret `{}` of `{}` is missing", secret.value, uses.value);
            found.push(Diagnostic::error("workflow-call", uses.span, message));
        }
    }
}

/// Checks the steps that use an action of this repository: its manifest, the files that the manifest names, and the
/// inputs. Problems with inputs are warnings, because GitHub runs an action with any inputs.
pub(super) fn actions(workflow: &Workflow, callees: &Callees<'_>, found: &mut Vec<Diagnostic>) {
    let files = callees.files;
    for step in steps(workflow) {
        let StepAction::Uses { reference, with } = &step.action else { continue };
        let Some(folder) = local_path(&reference.value).map(|folder| folder.trim_end_matches('/')) else {
            continue;
        };
        let inside = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let manifest = ["action.yml", "action.yaml"].iter().map(|name| inside(name));
        // An earlier step may create a missing action.
        let Some((path, text)) = manifest.into_iter().find_map(|path| Some((path.clone(), files.read(&path)?))) else {
            let dockerfile = || ["Dockerfile", "dockerfile"].iter().any(|name| files.read(&inside(name)).is_some());
            if files.is_complete() && !dockerfile() {
                let message = format!("`{}` has no action.yml in this repository", reference.value);
                let remark = Diagnostic::warning("action", reference.span, message);
                let remark =
                    remark.hint("an earlier step must create it, for example a checkout of another repository");
                found.push(Diagnostic { severity: Severity::Info, ..remark });
            }
            continue;
        };
        let source = Source::new(path, text);
        let parsed = parse_action(&source);
        report_file_errors("action", reference, &source, &parsed.diagnostics, parsed.value.is_none(), found);
        let Some(action) = parsed.value.or_else(|| parse_action_partial(&source)) else { continue };
        for input in &action.inputs {
            if input.deprecation.as_ref().is_some_and(|instead| instead.trim().is_empty()) {
                let message =
                    format!("`{}` deprecates its input `{}` without a message", reference.value, input.name.value);
                found.push(Diagnostic::warning("action", reference.span, message));
            }
        }
        for (message, hint) in broken_files(&action.runs, &|name| files.read(&inside(name)).is_some()) {
            let message = format!("`{}` {message}", reference.value);
            found.push(Diagnostic::warning("action", reference.span, message).hint(hint));
        }
        if let Some(using) = manifests::old_node(&action.runs) {
            let message =
                format!("`{}` runs on `{}`, which GitHub's runner no longer has", reference.value, using.value);
            found.push(
                Diagnostic::warning("action", reference.span, message).hint("write `using: node24` in its manifest"),
            );
        }
        let of_docker = matches!(action.runs, ActionRuns::Docker { .. });
        for (name, _) in with {
            match action.inputs.iter().find(|input| same(&input.name, name)) {
                Some(input) => {
                    // A deprecated input that is required is not reported, because the caller cannot omit it.
                    let needed = input.required && input.default.is_none();
                    if let Some(instead) = input.deprecation.as_ref().filter(|_| !needed) {
                        let instead = instead.split_whitespace().collect::<Vec<_>>().join(" ");
                        let instead = if instead.is_empty() { instead } else { format!(": {instead}") };
                        let message = format!("input `{}` is deprecated{instead}", name.value);
                        found.push(Diagnostic::warning("action", name.span, message).hint("remove it"));
                    }
                }
                // GitHub accepts these two inputs for every Docker action.
                None if of_docker && matches!(name.value.as_str(), "args" | "entrypoint") => {}
                None => {
                    let names = action.inputs.iter().map(|input| &input.name);
                    let unknown = undefined("action", "input", name, reference, names);
                    found.push(Diagnostic { severity: Severity::Warning, ..unknown });
                }
            }
        }
        let required = action.inputs.iter().filter(|input| input.required && input.default.is_none());
        for input in required.filter(|_| with.is_written()) {
            if !with.iter().any(|(name, _)| same(&input.name, name)) {
                let message = format!("required input `{}` of `{}` is missing", input.name.value, reference.value);
                found.push(Diagnostic::warning("action", reference.span, message));
            }
        }
    }
}

/// Returns messages and hints about files of an action that do not exist, and about conditions without a script.
fn broken_files(runs: &ActionRuns, is_there: &dyn Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if let ActionRuns::Docker { image, .. } = runs
        && !image.value.starts_with("docker://")
        && !is_there(image.value.trim_start_matches("./"))
    {
        let message = format!("has the image `{}`, which does not exist", image.value);
        found.push((
            message,
            "write the path of a Dockerfile in the action's folder, or `docker://image:tag`".to_owned(),
        ));
    }
    let ActionRuns::JavaScript { main, pre, pre_if, post, post_if, .. } = runs else { return found };
    for (key, script) in [("main", Some(main)), ("pre", pre.as_ref()), ("post", post.as_ref())] {
        if let Some(script) = script.filter(|script| !is_there(script.trim_start_matches("./"))) {
            let hint = format!("write a path relative to the action's folder for `{key}`, and commit the file");
            found.push((format!("has the `{key}` script `{script}`, which does not exist"), hint));
        }
    }
    for (key, condition, script) in [("pre", pre_if, pre), ("post", post_if, post)] {
        if condition.is_some() && script.is_none() {
            found.push((
                format!("has `{key}-if` without `{key}`"),
                format!("add `{key}: script.js`, or remove `{key}-if`"),
            ));
        }
    }
    found
}

/// Reports undefined outputs of needed jobs that call a workflow.
pub(super) fn outputs(workflow: &Workflow, callees: &Callees<'_>, found: &mut Vec<Diagnostic>) {
    // The outputs are computed once per job, because many expressions may read the same job.
    let called: Vec<_> = workflow.jobs.iter().map(|job| (&job.id, called_outputs(job, callees))).collect();
    let outputs = |needed: &JobDefinition| called.iter().find(|(id, _)| **id == needed.id)?.1.clone();
    for job in &workflow.jobs {
        references::outputs_of_needs(workflow, job, &outputs, found);
    }
}

/// Returns the outputs of a job that calls an available workflow; `None` for other jobs.
fn called_outputs(job: &JobDefinition, callees: &Callees<'_>) -> Option<Vec<String>> {
    let JobBody::Call { uses, .. } = &job.body else { return None };
    let called = callees.workflow(&uses.value)?;
    Some(interface(called.workflow.as_ref()?)?.outputs.iter().map(|(name, _)| name.value.clone()).collect())
}

fn interface(workflow: &Workflow) -> Option<&Trigger> {
    workflow.triggers.iter().find(|trigger| trigger.event.value == "workflow_call")
}

type Call<'w> = (&'w Spanned<String>, &'w [(Spanned<String>, Template)], &'w CallSecrets);

fn calls(workflow: &Workflow) -> impl Iterator<Item = Call<'_>> {
    workflow.jobs.iter().filter_map(|job| match &job.body {
        JobBody::Call { uses, with, secrets } => Some((uses, with.as_slice(), secrets)),
        JobBody::Steps(_) => None,
    })
}

/// Reports the errors of a file at the `uses` that names it: as errors if `broken` is set, that is, if the file cannot
/// be used at all, and otherwise as warnings.
fn report_file_errors(
    rule: &'static str,
    uses: &Spanned<String>,
    file: &Source,
    diagnostics: &[Diagnostic],
    broken: bool,
    found: &mut Vec<Diagnostic>,
) {
    for error in diagnostics.iter().filter(|found| found.severity == Severity::Error) {
        let at = format!("{}:{}:{}", file.name, error.span.line, error.span.column);
        let message = format!("`{}` has an error: {at}: {}", uses.value, error.message);
        let severity = if broken { Severity::Error } else { Severity::Warning };
        found.push(Diagnostic { severity, ..Diagnostic::error(rule, uses.span, message) });
    }
}

fn undefined<'n>(
    rule: &'static str,
    what: &str,
    name: &Spanned<String>,
    uses: &Spanned<String>,
    known: impl Iterator<Item = &'n Spanned<String>>,
) -> Diagnostic {
    let known: Vec<_> = known.map(|name| name.value.as_str()).collect();
    let found = Diagnostic::error(rule, name.span, format!("`{}` has no {what} `{}`", uses.value, name.value));
    match nearest(&name.value, known.iter().copied()) {
        Some(near) => found.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => found,
        None => found.hint(format!("available: {}", known.join(", "))),
    }
}

fn same(one: &Spanned<String>, other: &Spanned<String>) -> bool {
    one.value.eq_ignore_ascii_case(&other.value)
}
