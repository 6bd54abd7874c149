//! Parses action manifests.

use std::sync::Arc;

use super::diagnostic::{Diagnostic, Severity};
use super::elaborate::SYNTAX;
use super::parse::{Parsed, condition, entries, get, owned, steps, template, text};
use super::schema;
use super::source::{Source, Spanned};
use super::syntax::{Action, ActionInput, ActionRuns};
use super::template::{Template, TemplateKind};

/// Parses an action manifest. The result has a value if GitHub's runner accepts the manifest. The runner ignores much
/// that GitHub's editor reports as an error, such as an unknown key. If there is no value, the first diagnostics are
/// the runner's errors.
#[must_use]
pub fn parse_action(source: &Arc<Source>) -> Parsed<Action> {
    let (root, refused) = match template(source, &schema::action::RUNNER) {
        Ok(read) => read,
        Err(problem) => return Parsed { value: None, diagnostics: vec![problem] },
    };
    let mut diagnostics = refused;
    diagnostics.retain(|found| found.severity == Severity::Error);
    diagnostics.extend(get(&root, "runs").and_then(check_runs));
    let value = diagnostics.is_empty().then(|| action(source, &root));
    if let Ok((strict, found)) = template(source, &schema::action::ROOT) {
        let others = found.into_iter().chain(check_published(&strict));
        let others: Vec<_> = others.filter(|found| !diagnostics.contains(found)).collect();
        diagnostics.extend(others);
    }
    Parsed { value, diagnostics }
}

/// Returns the valid parts of an action manifest, so that steps that use the action can be checked even if the manifest
/// has errors. `None` if the text is not valid YAML.
pub(super) fn parse_action_partial(source: &Arc<Source>) -> Option<Action> {
    template(source, &schema::action::RUNNER).ok().map(|(root, _)| action(source, &root))
}

/// Checks `using` and the key that its value requires, as the runner does. Returns the first error.
fn check_runs(runs: &Template) -> Option<Diagnostic> {
    let supported = || format!("write one of {}", schema::action::USING.join(", "));
    let Some(using) = get(runs, "using") else {
        let message = "required key `using` is missing in `runs`";
        return Some(Diagnostic::error(SYNTAX, runs.span, message).hint(supported()));
    };
    let name = using.literal().unwrap_or_default().to_ascii_lowercase();
    let needed = match name.as_str() {
        "docker" => "image",
        "composite" => "steps",
        _ if schema::action::USING.contains(&name.as_str()) => "main",
        _ => {
            let message = format!("unexpected value `{name}` for `using`");
            return Some(Diagnostic::error(SYNTAX, using.span, message).hint(supported()));
        }
    };
    let message = format!("required key `{needed}` is missing in `runs`");
    let missing = || Diagnostic::error(SYNTAX, runs.span, message).hint(format!("add `{needed}: …`"));
    get(runs, needed).is_none().then(missing)
}

/// Reports missing keys that only a published action needs, and keys in inputs that GitHub ignores.
fn check_published(root: &Template) -> Vec<Diagnostic> {
    const INPUT_KEYS: &[&str] = &["description", "required", "default", "deprecationMessage"];
    let missing = ["name", "description"].into_iter().filter(|key| !entries(root).any(|(name, _)| name.value == *key));
    let missing = missing.map(|key| {
        let message = format!("required key `{key}` is missing in `action`");
        Diagnostic::error("action", root.span, message).hint(format!("add `{key}: …`, for the page of the action"))
    });
    let keys = get(root, "inputs").into_iter().flat_map(entries).flat_map(|(_, input)| entries(input));
    let ignored = keys.filter(|(key, _)| !INPUT_KEYS.contains(&key.value.as_str())).map(|(key, _)| {
        let message = format!("GitHub ignores the key `{}` of an input", key.value);
        let hint = format!("inputs of an action are strings; the keys are {}", INPUT_KEYS.join(", "));
        Diagnostic::warning("action", key.span, message).hint(hint)
    });
    missing.chain(ignored).collect()
}

fn action(source: &Arc<Source>, root: &Template) -> Action {
    let inputs = get(root, "inputs").map(|inputs| {
        let inputs = entries(inputs).map(|(name, input)| ActionInput {
            name,
            required: get(input, "required")
                .and_then(Template::literal)
                .is_some_and(|it| it.eq_ignore_ascii_case("true")),
            default: owned(get(input, "default")),
            deprecation: entries(input)
                .find(|(key, _)| key.value == "deprecationMessage")
                .and_then(|(_, message)| message.literal().map(str::to_owned)),
        });
        inputs.collect()
    });
    let outputs = get(root, "outputs")
        .map(|outputs| entries(outputs).map(|(name, output)| (name, owned(get(output, "value")))).collect());
    Action {
        source: Arc::clone(source),
        name: get(root, "name").map(|name| text(name).value).unwrap_or_default(),
        inputs: inputs.unwrap_or_default(),
        outputs: outputs.unwrap_or_default(),
        runs: get(root, "runs").map_or(ActionRuns::Composite { steps: Vec::new() }, runs),
    }
}

fn runs(runs: &Template) -> ActionRuns {
    let string = |key: &str| get(runs, key).map(|value| text(value).value);
    let when = |key: &str| get(runs, key).map(|value| condition(Some(value)));
    let using = get(runs, "using").map_or_else(|| Spanned::new(String::new(), runs.span), text);
    match using.value.to_ascii_lowercase().as_str() {
        "composite" => ActionRuns::Composite { steps: steps(get(runs, "steps"), &mut Vec::new()) },
        "docker" => ActionRuns::Docker {
            image: get(runs, "image").map_or_else(|| Spanned::new(String::new(), runs.span), text),
            entrypoint: string("entrypoint"),
            pre_entrypoint: string("pre-entrypoint"),
            pre_if: when("pre-if"),
            post_entrypoint: string("post-entrypoint"),
            post_if: when("post-if"),
            args: match get(runs, "args").map(|args| &args.kind) {
                Some(TemplateKind::Sequence(args)) => args.clone(),
                _ => Vec::new(),
            },
            env: owned(get(runs, "env")),
        },
        _ => ActionRuns::JavaScript {
            using,
            main: string("main").unwrap_or_default(),
            pre: string("pre"),
            pre_if: when("pre-if"),
            post: string("post"),
            post_if: when("post-if"),
        },
    }
}
