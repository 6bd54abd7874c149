//! Which workflows an event fires, and why.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::repo::changed;
use crate::repo::git::Repository;
use crate::workflow;
use crate::workflow::diagnostic::Severity;
use crate::workflow::source::Source;
use crate::workflow::triggers::{ChangedFiles, Decision, TriggerEvent, decide};

use super::{Exit, Failure, run};

/// A workflow file and what the event does to it.
pub(super) struct TriggerDecision {
    /// The file.
    pub(super) path: PathBuf,
    /// Its path in the repository.
    pub(super) name: String,
    /// Whether it fires, or what to do about a file with errors: nobody knows what that one would do.
    pub(super) decision: Result<Decision, String>,
}

impl TriggerDecision {
    pub(super) fn word(&self) -> &'static str {
        match self.decision {
            Ok(Decision::Runs(_)) => "fires",
            Ok(Decision::Skipped(_)) => "rests",
            Err(_) => "broken",
        }
    }

    pub(super) fn reason(&self) -> &str {
        match &self.decision {
            Ok(Decision::Runs(reason) | Decision::Skipped(reason)) | Err(reason) => reason,
        }
    }
}

/// Decides about every workflow of the repository, in the order of their names.
pub(super) fn all(
    repository: &Repository,
    event: &str,
    payload: &Map<String, Json>,
) -> Result<Vec<TriggerDecision>, Failure> {
    decided(repository, None, &occurrence(repository, event, payload))
}

/// Decides about one workflow, or about every one, when a push brings these files and no others. The one that is asked for
/// is not held back by filters for branches: somebody works on this one.
pub(super) fn by_change(
    repository: &Repository,
    workflow: Option<&str>,
    files: &[String],
) -> Result<Vec<TriggerDecision>, Failure> {
    let occurrence = TriggerEvent {
        name: "push".to_owned(),
        activity: None,
        git_ref: workflow.is_none().then(|| repository.git_ref.clone()),
        workflow: None,
        changes: ChangedFiles::Since("a moment ago".to_owned(), files.to_vec()),
    };
    decided(repository, workflow, &occurrence)
}

fn decided(
    repository: &Repository,
    only: Option<&str>,
    occurrence: &TriggerEvent,
) -> Result<Vec<TriggerDecision>, Failure> {
    let paths = run::workflows(&repository.root).into_iter();
    let wanted = paths.filter(|path| only.is_none_or(|only| *path == repository.root.join(only)));
    let decided = wanted.map(|path| {
        let text = std::fs::read(&path)
            .map_err(|error| Failure::new(Exit::Unavailable, format!("cannot read {}: {error}", path.display())))?;
        let name = path.strip_prefix(&repository.root).unwrap_or(&path).to_string_lossy().into_owned();
        let parsed = workflow::parse(&Source::new(name.clone(), String::from_utf8_lossy(&text).into_owned()));
        let decision = parsed.value.map_or_else(
            || {
                let errors = parsed.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
                let noun = if errors == 1 { "error" } else { "errors" };
                Err(format!("{errors} {noun}: see cuelight lint {name}"))
            },
            |workflow| Ok(decide(&workflow, occurrence)),
        );
        Ok(TriggerDecision { path, name, decision })
    });
    decided.collect()
}

/// Those that fire or are broken, as GitHub fails the latter at once; none is a failure that tells each one's reason.
pub(super) fn firing(
    repository: &Repository,
    event: &str,
    payload: &Map<String, Json>,
) -> Result<Vec<TriggerDecision>, Failure> {
    let (resting, firing): (Vec<_>, Vec<_>) =
        all(repository, event, payload)?.into_iter().partition(|one| matches!(one.decision, Ok(Decision::Skipped(_))));
    if firing.is_empty() {
        let message = if resting.is_empty() {
            format!("there is no workflow in {}", repository.root.join(run::WORKFLOWS).display())
        } else {
            let reasons = resting.iter().map(|one| format!("\n  {}: {}", one.name, one.reason()));
            format!("no workflow runs on this `{event}`:{}", reasons.collect::<String>())
        };
        return Err(Failure::new(Exit::NotFound, message));
    }
    Ok(firing)
}

fn occurrence(repository: &Repository, event: &str, payload: &Map<String, Json>) -> TriggerEvent {
    let text = |path: &[&str]| {
        let (first, rest) = path.split_first()?;
        let value = rest.iter().try_fold(payload.get(*first)?, |value, key| value.get(key))?;
        value.as_str().map(str::to_owned)
    };
    let root = repository.root.as_path();
    let (git_ref, changes) = match event {
        "push" => {
            let git_ref = text(&["ref"]).unwrap_or_else(|| repository.git_ref.clone());
            let changes = changed::of_push(root, text(&["before"]).as_deref(), text(&["after"]).as_deref());
            (Some(git_ref), changes)
        }
        "pull_request" | "pull_request_target" => {
            let base = text(&["pull_request", "base", "ref"]);
            let changes = changed::of_pull_request(root, base.as_deref());
            let parted = changes.as_ref().ok().map(|changed| changed.since.trim_start_matches("origin/").to_owned());
            (base.or(parted.filter(|name| name != "HEAD")), changes)
        }
        "workflow_run" => (text(&["workflow_run", "head_branch"]), changed::of_push(root, None, None)),
        _ => (None, changed::of_push(root, None, None)),
    };
    TriggerEvent {
        name: event.to_owned(),
        activity: text(&["action"]),
        git_ref,
        workflow: text(&["workflow_run", "name"]),
        changes: match changes {
            Ok(changed) => ChangedFiles::Since(changed.since, changed.files),
            Err(error) => ChangedFiles::Unknown(error.to_string()),
        },
    }
}

/// The payload in a file.
pub(super) fn payload(path: &Path) -> Result<Map<String, Json>, Failure> {
    let text = run::read(path)?;
    let given: Json = serde_json::from_str(&text).map_err(|error| {
        let place = format!("{}:{}:{}", path.display(), error.line(), error.column());
        Failure::new(Exit::Usage, format!("{place}: the event's payload is no JSON: {error}"))
    })?;
    match given {
        Json::Object(given) => Ok(given),
        _ => Err(Failure::new(Exit::Usage, format!("{}: the event's payload must be an object", path.display()))),
    }
}
