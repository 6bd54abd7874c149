//! Parses the text of workflows and actions into typed values.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::diagnostic::{Diagnostic, Severity};
use super::elaborate::{Elaborator, NO_EXPRESSIONS, SYNTAX};
use super::expr::{Expr, Vocabulary};
use super::literals;
use super::locked;
use super::schema;
use super::source::{Source, Span, Spanned};
use super::syntax::{
    CallSecrets, Concurrency, Condition, InputDefinition, InputKind, JobBody, JobDefinition, NamedValues, RunDefaults,
    Snapshot, Steering, StepAction, StepDefinition, StepsJob, Strategy, Trigger, Workflow,
};
use super::template::{Template, TemplateKind};
use super::validate;
use super::yaml;
use super::yaml::{Document, Problem};

/// A parsed file and its diagnostics.
#[derive(Debug)]
pub struct Parsed<T> {
    /// The parsed workflow or action; `None` if GitHub would refuse to run the file.
    pub value: Option<T>,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses a workflow file. Even if the result has a value, its diagnostics can contain errors that do not stop a run;
/// see [`validate::check_tolerated`].
#[must_use]
pub fn parse(source: &Arc<Source>) -> Parsed<Workflow> {
    let (workflow, mut diagnostics, tolerated) = parse_parts(source);
    let broken = diagnostics.iter().any(|found| found.severity == Severity::Error);
    diagnostics.extend(tolerated);
    Parsed { value: workflow.filter(|_| !broken), diagnostics }
}

/// Parses the valid parts of a workflow, and returns them with all diagnostics. This makes it possible to check the
/// callers of a workflow that has errors, and to show the graph of a run that a server started despite the errors. The
/// workflow is `None` if the text is not valid YAML.
#[must_use]
pub fn parse_partial(source: &Arc<Source>) -> (Option<Workflow>, Vec<Diagnostic>) {
    let (workflow, mut diagnostics, tolerated) = parse_parts(source);
    diagnostics.extend(tolerated);
    (workflow, diagnostics)
}

/// Returns the valid parts of a workflow, its errors, and errors that do not stop a run.
fn parse_parts(source: &Arc<Source>) -> (Option<Workflow>, Vec<Diagnostic>, Vec<Diagnostic>) {
    let (root, mut diagnostics) = match template(source, &schema::workflow::ROOT) {
        Ok(read) => read,
        Err(problem) => return (None, vec![problem], Vec::new()),
    };
    let workflow = workflow(source, &root, &mut diagnostics);
    diagnostics.extend(validate::check(&root));
    (Some(workflow), diagnostics, validate::check_tolerated(&root))
}

pub(super) fn template(
    source: &Arc<Source>,
    schema: &'static schema::Schema,
) -> Result<(Template, Vec<Diagnostic>), Diagnostic> {
    let Document { mut root, unused_anchors } = yaml::read(&source.text)
        .map_err(|Problem { span, message, hint }| Diagnostic { hint, ..Diagnostic::error(SYNTAX, span, message) })?;
    literals::resolve(&mut root);
    let mut elaborator = Elaborator::new(source);
    let template = elaborator.read(&root, schema, NO_EXPRESSIONS);
    for span in unused_anchors {
        let hint = "remove it, or add an alias with `*`";
        elaborator.report(Diagnostic::warning(SYNTAX, span, "unused anchor").hint(hint));
    }
    Ok((template, elaborator.diagnostics))
}

/// Returns the value of a key; `None` if the key is missing or its value is null.
pub(super) fn get<'t>(template: &'t Template, key: &str) -> Option<&'t Template> {
    let TemplateKind::Mapping(entries) = &template.kind else { return None };
    let matches = |(name, value): &&(Template, Template)| {
        name.literal() == Some(key) && !matches!(value.kind, TemplateKind::Null)
    };
    entries.iter().find(matches).map(|(_, value)| value)
}

pub(super) fn entries(template: &Template) -> impl Iterator<Item = (Spanned<String>, &Template)> {
    let entries = match &template.kind {
        TemplateKind::Mapping(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|(key, value)| (Spanned::new(key.literal().unwrap_or_default().to_owned(), key.span), value))
}

pub(super) fn owned(template: Option<&Template>) -> Option<Template> {
    template.cloned()
}

pub(super) fn text(template: &Template) -> Spanned<String> {
    Spanned::new(template.literal().unwrap_or_default().to_owned(), template.span)
}

/// Reads a string, or a sequence of strings.
pub(super) fn texts(template: Option<&Template>) -> Vec<Spanned<String>> {
    match template.map(|template| (&template.kind, template)) {
        None | Some((TemplateKind::Null, _)) => Vec::new(),
        Some((TemplateKind::Sequence(items), _)) => items.iter().map(text).collect(),
        Some((_, one)) => vec![text(one)],
    }
}

fn pairs(template: Option<&Template>) -> Vec<(Spanned<String>, Template)> {
    template.map(|template| entries(template).map(|(key, value)| (key, value.clone())).collect()).unwrap_or_default()
}

/// Reads a mapping from names to values, which may be computed.
fn named_values(template: Option<&Template>) -> NamedValues {
    match template {
        Some(whole) if is_computed(whole) => NamedValues::Computed(whole.clone()),
        written => NamedValues::Written(pairs(written)),
    }
}

/// Whether a value is an expression for a mapping, or a mapping with expressions as keys.
pub(super) fn is_computed(value: &Template) -> bool {
    let is_name = |key: &Template| key.literal().is_some_and(|name| !name.starts_with("${{"));
    match &value.kind {
        TemplateKind::Expression(_) | TemplateKind::Interpolated(_) => true,
        TemplateKind::Mapping(entries) => !entries.iter().all(|(key, _)| is_name(key)),
        _ => false,
    }
}

fn flag(template: Option<&Template>) -> bool {
    matches!(template.map(|template| &template.kind), Some(TemplateKind::Bool(true)))
}

fn workflow(source: &Arc<Source>, root: &Template, diagnostics: &mut Vec<Diagnostic>) -> Workflow {
    let jobs: Vec<_> = get(root, "jobs")
        .map(|jobs| entries(jobs).map(|(id, value)| job(id, value, diagnostics)).collect())
        .unwrap_or_default();
    super::needs::check(&jobs, diagnostics);
    Workflow {
        source: Arc::clone(source),
        name: get(root, "name").map(text).filter(|name| !name.value.is_empty()),
        run_name: owned(get(root, "run-name")),
        triggers: triggers(root),
        env: owned(get(root, "env")),
        defaults: run_defaults(root),
        concurrency: concurrency(root),
        permissions: owned(get(root, "permissions")),
        cache_mode: get(root, "cache-mode").map(text),
        dependencies: locked::read(root),
        jobs: jobs.into_iter().map(Arc::new).collect(),
    }
}

fn run_defaults(template: &Template) -> RunDefaults {
    let run = get(template, "defaults").and_then(|defaults| get(defaults, "run"));
    RunDefaults {
        computed: run.filter(|run| is_computed(run)).cloned(),
        shell: owned(run.and_then(|run| get(run, "shell"))),
        working_directory: owned(run.and_then(|run| get(run, "working-directory"))),
    }
}

fn concurrency(template: &Template) -> Option<Concurrency> {
    let written = get(template, "concurrency")?;
    match &written.kind {
        TemplateKind::Mapping(_) if !is_computed(written) => Some(Concurrency::Written {
            group: owned(get(written, "group"))?,
            cancel_in_progress: owned(get(written, "cancel-in-progress")),
            queue: owned(get(written, "queue")),
        }),
        _ => Some(Concurrency::Short(written.clone())),
    }
}

fn triggers(root: &Template) -> Vec<Trigger> {
    let on = entries(root).find(|(key, _)| key.value == "on").map(|(_, on)| on);
    let Some(on) = on else { return Vec::new() };
    match &on.kind {
        TemplateKind::Mapping(_) => entries(on).map(|(event, value)| trigger(event, value)).collect(),
        _ => texts(Some(on)).into_iter().map(|event| trigger(event, on)).collect(),
    }
}

fn trigger(event: Spanned<String>, value: &Template) -> Trigger {
    const FILTERS: &[&str] = &["branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore"];
    let filters = entries(value).filter(|(key, _)| FILTERS.contains(&key.value.as_str()));
    let schedules = match (&value.kind, event.value.as_str()) {
        (TemplateKind::Sequence(items), "schedule") => {
            let schedules =
                items.iter().filter_map(|item| Some((text(get(item, "cron")?), get(item, "timezone").map(text))));
            schedules.collect()
        }
        _ => Vec::new(),
    };
    Trigger {
        types: texts(get(value, "types")),
        filters: filters.map(|(key, patterns)| (key, texts(Some(patterns)))).collect(),
        schedules,
        workflows: texts(get(value, "workflows")),
        inputs: get(value, "inputs").map(|inputs| entries(inputs).map(input).collect()).unwrap_or_default(),
        outputs: get(value, "outputs")
            .map(|outputs| {
                entries(outputs).filter_map(|(name, output)| Some((name, get(output, "value")?.clone()))).collect()
            })
            .unwrap_or_default(),
        secrets: get(value, "secrets")
            .map(|secrets| entries(secrets).map(|(name, secret)| (name, flag(get(secret, "required")))).collect())
            .unwrap_or_default(),
        event,
    }
}

fn input((name, value): (Spanned<String>, &Template)) -> InputDefinition {
    let kind = match get(value, "type").and_then(Template::literal) {
        Some("boolean") => InputKind::Boolean,
        Some("number") => InputKind::Number,
        Some("choice") => {
            InputKind::Choice(texts(get(value, "options")).into_iter().map(|option| option.value).collect())
        }
        Some("environment") => InputKind::Environment,
        _ => InputKind::String,
    };
    InputDefinition {
        name,
        description: get(value, "description").and_then(Template::literal).map(str::to_owned),
        required: flag(get(value, "required")),
        kind,
        default: owned(get(value, "default")),
    }
}

fn job(id: Spanned<String>, value: &Template, diagnostics: &mut Vec<Diagnostic>) -> JobDefinition {
    check_id(&id, "job", diagnostics);
    let body = match get(value, "uses") {
        Some(uses) => JobBody::Call {
            uses: text(uses),
            with: pairs(get(value, "with")),
            secrets: match get(value, "secrets") {
                None => CallSecrets::None,
                Some(secrets) if secrets.literal() == Some("inherit") => CallSecrets::Inherit,
                named => CallSecrets::Named(pairs(named)),
            },
        },
        None => JobBody::Steps(Box::new(StepsJob {
            runs_on: get(value, "runs-on").cloned().unwrap_or(Template { span: id.span, kind: TemplateKind::Null }),
            environment: owned(get(value, "environment")),
            outputs: pairs(get(value, "outputs")),
            env: owned(get(value, "env")),
            defaults: run_defaults(value),
            timeout_minutes: owned(get(value, "timeout-minutes")),
            cancel_timeout_minutes: owned(get(value, "cancel-timeout-minutes")),
            continue_on_error: owned(get(value, "continue-on-error")),
            container: owned(get(value, "container")),
            services: named_values(get(value, "services")),
            snapshot: get(value, "snapshot").map(snapshot),
            steps: steps(get(value, "steps"), diagnostics),
        })),
    };
    let strategy = get(value, "strategy").map(|strategy| {
        if is_computed(strategy) {
            return Strategy::Computed(strategy.clone());
        }
        Strategy::Written {
            matrix: owned(get(strategy, "matrix")),
            fail_fast: owned(get(strategy, "fail-fast")),
            max_parallel: owned(get(strategy, "max-parallel")),
        }
    });
    JobDefinition {
        name: owned(get(value, "name")),
        needs: texts(get(value, "needs")),
        condition: condition(get(value, "if")),
        strategy,
        concurrency: concurrency(value),
        permissions: owned(get(value, "permissions")),
        cache_mode: get(value, "cache-mode").map(text),
        body,
        id,
    }
}

fn snapshot(written: &Template) -> Snapshot {
    Snapshot {
        image_name: get(written, "image-name").unwrap_or(written).clone(),
        version: owned(get(written, "version")),
        condition: condition(get(written, "if")),
    }
}

pub(super) fn condition(written: Option<&Template>) -> Condition {
    let expr = match written.map(|written| &written.kind) {
        Some(TemplateKind::Expression(expr)) => expr.clone(),
        _ => AFTER_SUCCESS.clone(),
    };
    let written = written.map(|template| {
        let text = match &template.kind {
            TemplateKind::Expression(expr) => unwrapped(expr).to_owned(),
            _ => String::new(),
        };
        Spanned::new(text, template.span)
    });
    Condition { expr, written }
}

/// Returns a condition as written, without the `success() && (…)` that GitHub adds to it.
fn unwrapped(expr: &Expr) -> &str {
    let text = expr.text();
    if expr.prefix() == 0 { text } else { text[expr.prefix()..].strip_suffix(')').unwrap_or(text) }
}

/// The default condition: `success()`.
static AFTER_SUCCESS: LazyLock<Expr> =
    LazyLock::new(|| Expr::condition("", &Vocabulary::ANY).expect("an empty condition is valid"));

pub(super) fn steps(written: Option<&Template>, diagnostics: &mut Vec<Diagnostic>) -> Vec<StepDefinition> {
    let Some(TemplateKind::Sequence(items)) = written.map(|steps| &steps.kind) else { return Vec::new() };
    let mut taken: HashMap<String, Span> = HashMap::new();
    let mut counts = HashMap::new();
    for id in items.iter().filter_map(|item| get(item, "id")).map(text) {
        check_id(&id, "step", diagnostics);
        if let Some(first) = taken.insert(id.value.to_ascii_lowercase(), id.span) {
            let message = format!("duplicate step id `{}`; first used in line {}", id.value, first.line);
            diagnostics.push(Diagnostic::error("id", id.span, message).hint("rename one of the two"));
        }
    }
    items.iter().map(|item| step(item, &mut taken, &mut counts, diagnostics)).collect()
}

fn step(
    item: &Template,
    taken: &mut HashMap<String, Span>,
    counts: &mut HashMap<String, usize>,
    diagnostics: &mut Vec<Diagnostic>,
) -> StepDefinition {
    let action = match (get(item, "uses"), steering(item, diagnostics)) {
        (Some(uses), _) => StepAction::Uses { reference: text(uses), with: named_values(get(item, "with")) },
        (None, Some(steering)) => StepAction::Steer(steering),
        (None, None) => StepAction::Run {
            script: get(item, "run").cloned().unwrap_or(Template { span: item.span, kind: TemplateKind::Null }),
            shell: owned(get(item, "shell")),
            working_directory: owned(get(item, "working-directory")),
        },
    };
    let id = get(item, "id").map_or_else(|| generated_id(&action, item.span, taken, counts), |id| text(id).value);
    StepDefinition {
        span: item.span,
        id,
        name: owned(get(item, "name")),
        condition: condition(get(item, "if")),
        env: owned(get(item, "env")),
        continue_on_error: owned(get(item, "continue-on-error")),
        timeout_minutes: owned(get(item, "timeout-minutes")),
        background: flag(get(item, "background")),
        action,
    }
}

fn steering(item: &Template, diagnostics: &mut Vec<Diagnostic>) -> Option<Steering> {
    let (key, value) =
        entries(item).find(|(key, _)| matches!(&*key.value, "wait" | "wait-all" | "cancel" | "parallel"))?;
    Some(match key.value.as_str() {
        "wait" => Steering::Wait(texts(Some(value))),
        "cancel" => Steering::Cancel(text(value)),
        "parallel" => Steering::Parallel(steps(Some(value), diagnostics)),
        _ => Steering::WaitAll,
    })
}

/// Generates the id of a step: `__run`, `__actions_checkout` or `__self`, with the suffix `_2`, `_3`, … if that id is
/// taken. `counts` holds the last suffix of each id.
fn generated_id(
    action: &StepAction,
    span: Span,
    taken: &mut HashMap<String, Span>,
    counts: &mut HashMap<String, usize>,
) -> String {
    let base = match action {
        StepAction::Run { .. } => "__run".to_owned(),
        StepAction::Steer(steering) => format!("__{}", steering.key()),
        StepAction::Uses { reference, .. } => {
            let reference = reference.value.as_str();
            let name = if reference.starts_with("./") || reference.starts_with("$/") {
                "self".to_owned()
            } else if let Some(image) = reference.strip_prefix("docker://") {
                image.to_owned()
            } else {
                let name = reference.split('@').next().unwrap_or_default();
                name.split('/').take(2).collect::<Vec<_>>().join("_")
            };
            let name = name.replace(|c: char| !is_id_char(c), "_");
            format!("__{name}")
        }
    };
    // GitHub truncates generated ids to 100 characters. All characters here are ASCII.
    let mut id = base[..base.len().min(100)].to_owned();
    let count = counts.entry(id.to_ascii_lowercase()).or_insert(1);
    while taken.contains_key(&id.to_ascii_lowercase()) {
        *count += 1;
        let end = format!("_{count}");
        id = format!("{}{end}", &base[..base.len().min(100 - end.len())]);
    }
    taken.insert(id.to_ascii_lowercase(), span);
    id
}

fn is_id_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Checks an id. It must have fewer than 100 characters, only letters, digits, `-` and `_`, and start with a letter or
/// `_`, but not with `__`, which is reserved for generated ids.
fn check_id(id: &Spanned<String>, what: &str, diagnostics: &mut Vec<Diagnostic>) {
    let text = id.value.as_str();
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let wrong = if text.len() >= 100 {
        "an id has at most 99 characters"
    } else if text.starts_with("__") {
        "an id cannot start with `__`"
    } else if !first || !text.chars().all(is_id_char) {
        "an id starts with a letter or `_` and has only letters, digits, `-` and `_`"
    } else {
        return;
    };
    let mut good: String = text.trim_start_matches('_').chars().map(|c| if is_id_char(c) { c } else { '_' }).collect();
    good.truncate(99);
    let begins_well = good.starts_with(|c: char| c.is_ascii_alphabetic());
    let hint = format!("write `{}{good}`", if begins_well { "" } else { "_" });
    diagnostics.push(Diagnostic::error("id", id.span, format!("invalid {what} id `{text}`: {wrong}")).hint(hint));
}
