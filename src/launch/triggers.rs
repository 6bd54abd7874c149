//! Decides which workflows of a repository an event runs, and why.

use std::cell::LazyCell;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::model::in_one_line;
use crate::repo::changed::{self, Changed};
use crate::repo::git::{Access, GitError, Repository};
use crate::repo::workflows;
use crate::repo::workflows::WorkflowFileError;
use crate::workflow;
use crate::workflow::diagnostic::Severity;
use crate::workflow::source::Source;
use crate::workflow::triggers::{ChangedFiles, Comparison, Decision, TriggerEvent, decide, event_meant_by};

/// A workflow file and whether the event runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerDecision {
    /// The file.
    pub path: PathBuf,
    /// Path of the file in the repository.
    pub name: String,
    /// The decision.
    pub outcome: TriggerOutcome,
}

/// Whether an event runs a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerOutcome {
    /// The workflow runs, for this reason.
    Runs(String),
    /// The workflow is skipped, for this reason.
    Skipped(String),
    /// The file has errors. GitHub starts a run of such a file, which fails at once.
    Broken {
        /// Number of errors.
        errors: usize,
        /// The first error, in one line and with its line of the file.
        first: String,
    },
}

/// Why no workflow can run on an event.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// A workflow file cannot be read.
    #[error(transparent)]
    File(#[from] WorkflowFileError),
    /// The repository has no workflows.
    #[error("no workflow in {}", .0.display())]
    NoWorkflows(PathBuf),
    /// No workflow has the event, and its name resembles that of another event.
    #[error("there is no event `{event}`; did you mean `{near}`?")]
    NoEvent {
        /// The event.
        event: String,
        /// The event that is probably meant.
        near: &'static str,
    },
    /// Every workflow is skipped.
    #[error("no workflow runs on this `{event}`:{}", reasons(skipped))]
    AllSkipped {
        /// The event.
        event: String,
        /// All workflows, each with its reason.
        skipped: Vec<TriggerDecision>,
    },
}

fn reasons(skipped: &[TriggerDecision]) -> String {
    skipped.iter().fold(String::new(), |text, one| text + &format!("\n  {}: {}", one.name, one.reason()))
}

impl TriggerDecision {
    /// Whether the event runs the workflow.
    #[must_use]
    pub fn runs(&self) -> bool {
        matches!(self.outcome, TriggerOutcome::Runs(_))
    }

    /// Whether the file has errors.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(self.outcome, TriggerOutcome::Broken { .. })
    }

    /// Returns the decision in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.outcome {
            TriggerOutcome::Runs(_) => "runs",
            TriggerOutcome::Skipped(_) => "skipped",
            TriggerOutcome::Broken { .. } => "broken",
        }
    }

    /// Returns the errors of a workflow file in one line: its name, the first error, and the number of the others. `None`
    /// without errors.
    #[must_use]
    pub fn errors(&self) -> Option<String> {
        self.is_broken().then(|| format!("{}, {}", self.file(), self.reason()))
    }

    /// Returns the reason in one line: for a file with errors the first error, and the number of the others.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.outcome {
            TriggerOutcome::Runs(reason) | TriggerOutcome::Skipped(reason) => reason.clone(),
            TriggerOutcome::Broken { errors: 0 | 1, first } => first.clone(),
            TriggerOutcome::Broken { errors, first } => format!("{first} (and {} more)", errors - 1),
        }
    }

    /// Returns the name of the file without its folder.
    #[must_use]
    pub fn file(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }
}

/// Returns the decisions about all workflows of the repository, sorted by name.
///
/// # Errors
/// A workflow file cannot be read.
pub fn all(
    repository: &Repository,
    access: Access,
    event: &str,
    payload: &Map<String, Value>,
) -> Result<Vec<TriggerDecision>, WorkflowFileError> {
    decisions(repository, None, &trigger_event(repository, access, event, payload))
}

/// Returns the error about an event that runs none of the workflows because its name is mistyped.
#[must_use]
pub fn mistyped(event: &str, decided: &[TriggerDecision]) -> Option<TriggerError> {
    let near = event_meant_by(event).filter(|_| !decided.iter().any(TriggerDecision::runs))?;
    Some(TriggerError::NoEvent { event: event.to_owned(), near })
}

/// Decides about one workflow, or about all workflows, for a push that changes exactly these files. Branch filters do
/// not apply to a workflow that is named explicitly.
///
/// # Errors
/// A workflow file cannot be read.
pub fn by_change(
    repository: &Repository,
    workflow: Option<&str>,
    files: &[String],
) -> Result<Vec<TriggerDecision>, WorkflowFileError> {
    let event = TriggerEvent {
        name: "push".to_owned(),
        activity: None,
        git_ref: workflow.is_none().then(|| repository.git_ref.clone()),
        workflow: None,
        changes: LazyCell::new(Box::new(|| ChangedFiles::Since("a moment ago".to_owned(), files.to_vec()))),
    };
    decisions(repository, workflow, &event)
}

/// Returns the workflows that run, and the broken ones, whose runs GitHub lets fail at once.
///
/// # Errors
/// There are no workflows, all are skipped, the name of the event is mistyped, or a workflow file cannot be read.
pub fn running(
    repository: &Repository,
    access: Access,
    event: &str,
    payload: &Map<String, Value>,
) -> Result<Vec<TriggerDecision>, TriggerError> {
    let is_skipped = |one: &TriggerDecision| matches!(one.outcome, TriggerOutcome::Skipped(_));
    let decided = all(repository, access, event, payload)?;
    if let Some(error) = mistyped(event, &decided) {
        return Err(error);
    }
    let (skipped, running): (Vec<_>, Vec<_>) = decided.into_iter().partition(is_skipped);
    match (running.is_empty(), skipped.is_empty()) {
        (false, _) => Ok(running),
        (true, true) => Err(TriggerError::NoWorkflows(repository.root.join(workflows::FOLDER))),
        (true, false) => Err(TriggerError::AllSkipped { event: event.to_owned(), skipped }),
    }
}

fn decisions(
    repository: &Repository,
    only: Option<&str>,
    event: &TriggerEvent<'_>,
) -> Result<Vec<TriggerDecision>, WorkflowFileError> {
    let paths = workflows::list(&repository.root).into_iter();
    let wanted = paths.filter(|path| only.is_none_or(|only| *path == repository.root.join(only)));
    let decided = wanted.map(|path| {
        let name = path.strip_prefix(&repository.root).unwrap_or(&path).to_string_lossy().into_owned();
        let text = match workflows::read(&path) {
            Err(WorkflowFileError::NotUtf8 { .. }) => {
                let outcome = TriggerOutcome::Broken { errors: 1, first: "not UTF-8 text".to_owned() };
                return Ok(TriggerDecision { path, name, outcome });
            }
            read => read?,
        };
        let parsed = workflow::parse(&Source::new(name.clone(), text));
        let outcome = match parsed.value.map(|workflow| decide(&workflow, event)) {
            Some(Decision::Runs(reason)) => TriggerOutcome::Runs(reason),
            Some(Decision::Skipped(reason)) => TriggerOutcome::Skipped(reason),
            None => {
                let is_error = |found: &&workflow::diagnostic::Diagnostic| found.severity == Severity::Error;
                let mut errors = parsed.diagnostics.iter().filter(is_error);
                let first = errors.next().map(|found| format!("line {}: {}", found.span.line, found.message));
                let first = in_one_line(&first.unwrap_or_default());
                TriggerOutcome::Broken { errors: errors.count() + 1, first }
            }
        };
        Ok(TriggerDecision { path, name, outcome })
    });
    decided.collect()
}

fn trigger_event<'a>(
    repository: &'a Repository,
    access: Access,
    event: &str,
    payload: &'a Map<String, Value>,
) -> TriggerEvent<'a> {
    let text = |path: &[&str]| {
        let (first, rest) = path.split_first()?;
        let value = rest.iter().try_fold(payload.get(*first)?, |value, key| value.get(key))?;
        value.as_str().map(str::to_owned)
    };
    let root = repository.root.as_path();
    let of_push = |before: Option<String>, after: Option<String>| -> Comparison<'a> {
        Box::new(move || changed_files(changed::of_push(root, access, before.as_deref(), after.as_deref())))
    };
    let (git_ref, changes) = match event {
        "push" => {
            let git_ref = text(&["ref"]).unwrap_or_else(|| repository.git_ref.clone());
            (Some(git_ref), of_push(text(&["before"]), text(&["after"])))
        }
        "pull_request" | "pull_request_target" => {
            // Without a base in the payload, use the base that the changed files are compared with.
            let base = text(&["pull_request", "base", "ref"]);
            let changes = changed::of_pull_request(root, access, base.as_deref());
            let since = changes.as_ref().ok().map(|changed| changed.since.trim_start_matches("origin/").to_owned());
            let changes: Comparison<'a> = Box::new(move || changed_files(changes));
            (base.or(since.filter(|name| name != "HEAD")), changes)
        }
        "workflow_run" => (text(&["workflow_run", "head_branch"]), of_push(None, None)),
        _ => (None, of_push(None, None)),
    };
    TriggerEvent {
        name: event.to_owned(),
        activity: text(&["action"]),
        git_ref,
        workflow: text(&["workflow_run", "name"]),
        changes: LazyCell::new(changes),
    }
}

fn changed_files(changed: Result<Changed, GitError>) -> ChangedFiles {
    match changed {
        Ok(changed) => ChangedFiles::Since(changed.since, changed.files),
        Err(error) => ChangedFiles::Unknown(error.to_string()),
    }
}
