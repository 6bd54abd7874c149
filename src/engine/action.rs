//! A `uses:` step: `actions/checkout` of this repository, and composite actions of this repository.

use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use tokio::task::spawn_blocking;

use crate::model::Conclusion;
use crate::workflow;
use crate::workflow::expr::{Object, Scope, Value};
use crate::workflow::source::{Source, Spanned};
use crate::workflow::syntax::{Action, ActionRuns, StepDefinition};
use crate::workflow::template::Template;

use super::checkpoint::Status;
use super::hash_files::Workspace;
use super::outlet::StepLog;
use super::steps::{Frame, Ran, StepEnd, Steps, Task};
use super::workspace;

/// How deep composite actions may nest: GitHub's limit.
pub(super) const MAX_DEPTH: usize = 9;

/// What an action's reference names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// `actions/checkout@…`.
    Checkout,
    /// `./path`.
    Local(String),
    /// `owner/name[/path]@ref`.
    Remote,
    /// `docker://image`.
    Image,
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// It is none of the four forms, in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("./").or_else(|| text.strip_prefix(".\\")) {
            return Ok(Self::Local(path.trim_end_matches('/').to_owned()));
        }
        if text.starts_with("docker://") {
            return Ok(Self::Image);
        }
        match text.split_once('@') {
            Some((name, version)) if name.contains('/') && !version.is_empty() => {
                Ok(if name.eq_ignore_ascii_case("actions/checkout") { Self::Checkout } else { Self::Remote })
            }
            _ => Err(format!("`{text}` is no action: write owner/name@ref, ./path or docker://image")),
        }
    }
}

/// A composite action in use: what its steps see besides their job.
#[derive(Clone, Debug)]
pub(super) struct Use {
    /// The `inputs` context.
    pub(super) inputs: Value,
    /// The `github` context with `action_path`.
    pub(super) github: Object,
    depth: usize,
}

/// The manifest of the action in a folder: its name for messages and its text.
pub(super) fn read_manifest(folder: &Path) -> Option<(String, String)> {
    ["action.yml", "action.yaml"].iter().find_map(|name| {
        let path = folder.join(name);
        Some((path.to_string_lossy().into_owned(), fs::read_to_string(path).ok()?))
    })
}

/// Runs the action to its end.
pub(super) async fn run(
    steps: &mut Steps<'_>,
    frame: &Frame,
    task: &Task<'_>,
    reference: &str,
    with: &[(Spanned<String>, Template)],
    log: &mut dyn StepLog,
) -> Ran {
    let given = match given(steps, frame, task, with) {
        Ok(given) => given,
        Err(reason) => return Ran::failed(reason),
    };
    match Reference::parse(reference) {
        Err(reason) => Ran::failed(reason),
        Ok(Reference::Checkout) => checkout(steps, &given, log).await,
        Ok(Reference::Local(path)) => {
            let folder = steps.place.workspace.join(&path);
            let shown = reference.trim_end_matches('/');
            let Some((name, text)) = read_manifest(&folder) else {
                return Ran::failed(format!(
                    "there is no action.yml in {reference} of the workspace; is actions/checkout missing before this step?"
                ));
            };
            let parsed = workflow::parse_action(&Source::new(name, text));
            if let Some(action) = parsed.value {
                local(steps, frame, task, &action, folder, given, log).await
            } else {
                let first = parsed.diagnostics.first().map(|problem| {
                    format!("{reference}/action.yml:{}:{}: {}", problem.span.line, problem.span.column, problem.message)
                });
                Ran::failed(first.unwrap_or_else(|| format!("{shown}/action.yml cannot be read")))
            }
        }
        Ok(Reference::Remote | Reference::Image) => Ran::failed(format!("`{reference}` cannot run in this version")),
    }
}

/// `with`, evaluated.
fn given(
    steps: &Steps<'_>,
    frame: &Frame,
    task: &Task<'_>,
    with: &[(Spanned<String>, Template)],
) -> Result<IndexMap<String, String>, String> {
    let host = Workspace::at(&steps.place.workspace);
    let scope = Scope { contexts: &task.ready.contexts, status: frame.functions(), host: &host };
    let entries = with.iter().map(|(name, value)| match value.evaluate(&scope) {
        Ok(value) => Ok((name.value.to_ascii_lowercase(), value.to_text())),
        Err(error) => Err(format!("`with.{}`: {error}", name.value)),
    });
    entries.collect()
}

/// Puts this repository's files where the action would put them.
async fn checkout(steps: &Steps<'_>, given: &IndexMap<String, String>, log: &mut dyn StepLog) -> Ran {
    let place = steps.place;
    let facts = &place.shared.facts;
    let input = |name: &str| given.get(name).map(String::as_str).filter(|value| !value.is_empty());
    if let Some(other) = input("repository").filter(|named| !named.eq_ignore_ascii_case(&facts.repository)) {
        return Ran::failed(format!(
            "cannot check out {other}: this version checks out only the repository it runs in"
        ));
    }
    if place.shared.options.in_place {
        log.write(b"The job runs in the repository's own folder: its files are here as they are.\n");
        return Ran { end: StepEnd::of(Conclusion::Success), outputs: IndexMap::new() };
    }
    let Some(target) = workspace::inside(&place.workspace, input("path").unwrap_or(".")) else {
        return Ran::failed("the `path` of a checkout must be inside the workspace: its folder is emptied first");
    };
    let (repository, wanted) = (place.shared.repository.clone(), input("ref").map(str::to_owned));
    let filled = spawn_blocking(move || workspace::check_out(&repository, &target, wanted.as_deref()));
    match filled.await.expect("filling a workspace does not panic") {
        Ok(filled) => {
            log.write(format!("{filled}\n").as_bytes());
            let outputs = [("ref".to_owned(), facts.git_ref.clone()), ("commit".to_owned(), facts.sha.clone())];
            Ran { end: StepEnd::of(Conclusion::Success), outputs: outputs.into() }
        }
        Err(error) => Ran::failed(error.to_string()),
    }
}

async fn local(
    steps: &mut Steps<'_>,
    frame: &Frame,
    task: &Task<'_>,
    action: &Action,
    folder: PathBuf,
    given: IndexMap<String, String>,
    log: &mut dyn StepLog,
) -> Ran {
    let depth = frame.action.as_ref().map_or(0, |outer| outer.depth) + 1;
    match &action.runs {
        ActionRuns::Composite { .. } if depth > MAX_DEPTH => {
            Ran::failed(format!("composite actions nest deeper than {MAX_DEPTH}"))
        }
        ActionRuns::Composite { steps: inner } => {
            let used = match inputs(steps, frame, task, action, given) {
                Ok(inputs) => Use { inputs, github: github(steps, &folder), depth },
                Err(reason) => return Ran::failed(reason),
            };
            composite(steps, task, action, inner, used, log).await
        }
        ActionRuns::JavaScript { using, .. } => {
            Ran::failed(format!("JavaScript actions ({}) do not run in this version", using.value))
        }
        ActionRuns::Docker { .. } => Ran::failed("Docker actions do not run in this version"),
    }
}

/// The `inputs` context: what was given, else the default, else nothing.
fn inputs(
    steps: &Steps<'_>,
    frame: &Frame,
    task: &Task<'_>,
    action: &Action,
    given: IndexMap<String, String>,
) -> Result<Value, String> {
    let host = Workspace::at(&steps.place.workspace);
    let scope = Scope { contexts: &task.ready.contexts, status: frame.functions(), host: &host };
    let mut inputs = Object::default();
    for input in &action.inputs {
        let name = input.name.value.to_ascii_lowercase();
        let value = match (given.get(&name), &input.default) {
            (Some(value), _) => Value::string(value.clone()),
            (None, Some(default)) => {
                let value = default.evaluate(&scope).map_err(|error| format!("default of input `{name}`: {error}"))?;
                Value::string(value.to_text())
            }
            (None, None) => Value::string(""),
        };
        inputs.insert(input.name.value.clone(), value);
    }
    Ok(Value::object(inputs))
}

fn github(steps: &Steps<'_>, folder: &Path) -> Object {
    let mut github = steps.place.github.clone();
    github.insert("action_path".to_owned(), Value::string(folder.to_string_lossy().into_owned()));
    github
}

/// Runs the steps of a composite action inside the step that uses it.
async fn composite(
    steps: &mut Steps<'_>,
    task: &Task<'_>,
    action: &Action,
    inner: &[StepDefinition],
    used: Use,
    log: &mut dyn StepLog,
) -> Ran {
    // What the using step sets is seen inside and not after it; what the inside exports goes to the whole job.
    let overlay = task.ready.overlay.clone();
    let mut own = Frame { overlay, action: Some(used), deadline: task.deadline, ..Frame::default() };
    let mut reason = None;
    for step in inner {
        let end = steps.step(&mut own, step, log, task.number).await;
        if reason.is_none() && end.conclusion != Conclusion::Success {
            reason = end.reason.map(|reason| format!("{}: {reason}", step.id));
        }
    }
    let contexts = steps.contexts(&own);
    let host = Workspace::at(&steps.place.workspace);
    let scope = Scope { contexts: &contexts, status: own.functions(), host: &host };
    let mut outputs = IndexMap::new();
    let mut failed = None;
    for (name, value) in &action.outputs {
        match value.as_ref().map(|value| value.evaluate(&scope)).transpose() {
            Ok(value) => {
                drop(outputs.insert(name.value.clone(), value.map(|value| value.to_text()).unwrap_or_default()));
            }
            Err(error) => failed = Some(format!("output `{}`: {error}", name.value)),
        }
    }
    let end = match (own.status, failed) {
        (Status::Success, None) => StepEnd::of(Conclusion::Success),
        (Status::Success, Some(reason)) => StepEnd::failed(reason),
        (Status::Failure, _) => StepEnd { reason, ..StepEnd::of(Conclusion::Failure) },
        (Status::Cancelled, _) => StepEnd { reason, ..StepEnd::of(Conclusion::Cancelled) },
    };
    Ran { end, outputs }
}
