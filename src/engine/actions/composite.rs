//! Composite actions: steps inside the step that uses them, with inputs and a status of their own.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::engine::checkpoint::Status;
use crate::engine::outlet::StepLog;
use crate::engine::step::{Ran, StepEnd, StepRef, StepScope, Steps, Task};
use crate::engine::workspace::hash_files::WorkspaceFiles;
use crate::model::Conclusion;
use crate::workflow::expr::{Object, Scope, Value};
use crate::workflow::syntax::ActionRuns;

use super::posts::Post;
use super::resolve::Known;
use super::{MAX_DEPTH, Use, inputs};

/// The frame of a composite action's steps; nothing where they nest too deep.
pub(super) fn frame(
    steps: &Steps<'_>,
    outer: &StepScope,
    task: &Task<'_>,
    known: &Known,
    given: &IndexMap<String, String>,
) -> Option<StepScope> {
    let depth = outer.action.as_ref().map_or(0, |outer| outer.depth) + 1;
    let used = Use { inputs: inputs::context(given), github: github(steps, known), depth };
    // What the using step sets is seen inside and not after it; what the inside exports goes to the whole job.
    let overlay = task.ready.overlay.clone();
    (depth <= MAX_DEPTH).then(|| StepScope {
        overlay,
        action: Some(used),
        deadline: task.deadline,
        ..StepScope::default()
    })
}

/// The steps inside an action that is used by a step.
pub(super) fn inner(known: &Arc<Known>, outer: &StepRef) -> Vec<StepRef> {
    let count = match &known.action.runs {
        ActionRuns::Composite { steps } => steps.len(),
        _ => 0,
    };
    (0..count).map(|index| StepRef::inside(Arc::clone(known), index, outer)).collect()
}

/// Runs the steps of a composite action inside the step that uses it.
pub(super) async fn run(
    steps: &mut Steps<'_>,
    outer: &StepScope,
    task: &Task<'_>,
    known: &Arc<Known>,
    given: &IndexMap<String, String>,
    log: &mut dyn StepLog,
) -> Ran {
    let Some(mut own) = frame(steps, outer, task, known, given) else {
        return Ran::failed(format!("composite actions nest deeper than {MAX_DEPTH}"));
    };
    let mut reason = None;
    for step in inner(known, task.step) {
        let end = steps.step(&mut own, &step, log, task.number).await;
        if reason.is_none() && end.conclusion != Conclusion::Success {
            reason = end.reason.map(|reason| format!("{}: {reason}", step.id));
        }
    }
    let contexts = steps.contexts(&own);
    let host = WorkspaceFiles::at(&steps.place.workspace);
    let scope = Scope { contexts: &contexts, status: own.functions(), host: &host };
    let mut outputs = IndexMap::new();
    let mut failed = None;
    for (name, value) in &known.action.outputs {
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
    let inner = std::mem::take(&mut own.posts);
    let post = Post::of(task.step.clone(), Arc::clone(known), task.ready.name.clone());
    Ran { outputs, post: Some(Post { inner, frame: Some(own), ..post }), ..Ran::of(end) }
}

fn github(steps: &Steps<'_>, known: &Known) -> Object {
    let path = |path: &Path| Value::string(steps.place.sandbox.inside(path).to_string_lossy().into_owned());
    let mut github = steps.place.github.clone();
    github.insert("action_path".to_owned(), path(&known.folder));
    for (name, value) in super::identity(known) {
        github.insert(name.to_owned(), Value::string(value));
    }
    github
}
