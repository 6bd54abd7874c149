//! `uses:` steps: what they name, what it is given, and how it runs.
//!
//! `resolve` finds every action before the job's first step, [`store`] brings those of other repositories here. A
//! JavaScript action runs in node, a Docker action in a container of its own, a composite action is steps inside a step.
//! `posts` has what actions do before the first and after the last step.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::workflow::expr::{Object, Scope, Value};
use crate::workflow::syntax::{Action, ActionRuns, StepAction};

use super::outlet::StepLog;
use super::step::{Ran, StepScope, Steps, Task};
use super::workspace::hash_files::WorkspaceFiles;

mod checkout;
mod composite;
mod docker;
mod inputs;
mod javascript;
pub(super) mod posts;
pub(super) mod reference;
pub(super) mod resolve;
pub mod store;

use posts::Post;
use reference::Reference;
use resolve::Known;

/// How deep composite actions may nest: GitHub's limit.
pub(super) const MAX_DEPTH: usize = 9;

/// A composite action in use: what its steps see besides their job.
#[derive(Clone, Debug)]
pub(super) struct Use {
    /// The `inputs` context.
    pub(super) inputs: Value,
    /// The `github` context with `action_path`.
    pub(super) github: Object,
    depth: usize,
}

/// When an action is run: before the first step, as its step, or after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Pre,
    Main,
    Post,
}

/// What a step uses, with what it is given.
enum Used {
    Checkout(IndexMap<String, String>),
    Image(String, IndexMap<String, String>),
    Action(Arc<Known>, IndexMap<String, String>),
}

/// Runs the step that uses an action to its end.
pub(super) async fn run(steps: &mut Steps<'_>, frame: &StepScope, task: &Task<'_>, log: &mut dyn StepLog) -> Ran {
    match find(steps, frame, task).await {
        Err(reason) => Ran::failed(reason),
        Ok(Used::Checkout(given)) => checkout::run(steps, &given, log).await,
        Ok(Used::Image(image, given)) => docker::run_image(steps, frame, task, &image, &given, log).await,
        Ok(Used::Action(known, given)) => {
            for warning in inputs::warnings(&known.action, &given) {
                log.write(format!("##[warning]{warning}\n").as_bytes());
            }
            phase(steps, frame, task, &known, given, Phase::Main, log).await
        }
    }
}

/// Runs one phase of an action.
async fn phase(
    steps: &mut Steps<'_>,
    frame: &StepScope,
    task: &Task<'_>,
    known: &Arc<Known>,
    given: IndexMap<String, String>,
    phase: Phase,
    log: &mut dyn StepLog,
) -> Ran {
    let inputs = {
        let host = WorkspaceFiles::at(&steps.place.workspace);
        let scope = Scope { contexts: &task.ready.contexts, status: frame.functions(), host: &host };
        inputs::inputs(&known.action, &given, &scope)
    };
    let inputs = match inputs {
        Ok(inputs) => inputs,
        Err(reason) => return Ran::failed(reason),
    };
    let mut ran = match &known.action.runs {
        ActionRuns::Composite { .. } => return composite::run(steps, frame, task, known, &inputs, log).await,
        ActionRuns::JavaScript { .. } => javascript::run(steps, frame, task, known, &inputs, phase, log).await,
        ActionRuns::Docker { .. } => docker::run(steps, frame, task, known, (&given, &inputs), phase, log).await,
    };
    // What it left is for its own later phases.
    steps.states.entry(task.step.key().to_owned()).or_default().extend(std::mem::take(&mut ran.state));
    if phase != Phase::Post && has_post(&known.action) && steps.registered.insert(task.step.key().to_owned()) {
        ran.post = Some(Post::of(task.step.clone(), Arc::clone(known), task.ready.name.clone()));
    }
    ran
}

/// Finds what a step uses and evaluates what it is given.
async fn find(steps: &Steps<'_>, frame: &StepScope, task: &Task<'_>) -> Result<Used, String> {
    let StepAction::Uses { reference, with } = &task.step.action else {
        return Err("the step uses nothing".to_owned());
    };
    let place = steps.place;
    let given = {
        let host = WorkspaceFiles::at(&place.workspace);
        let scope = Scope { contexts: &task.ready.contexts, status: frame.functions(), host: &host };
        inputs::given(with, &scope)?
    };
    let reference = reference.value.as_str();
    match Reference::parse(reference)? {
        Reference::Image(image) => Ok(Used::Image(image, given)),
        Reference::Local(path) => {
            let folder = place.workspace.join(&path);
            let Some(read) = resolve::read(&folder) else {
                return Err(format!(
                    "there is no action.yml in {reference} of the workspace; is actions/checkout missing before this step?"
                ));
            };
            Ok(Used::Action(local(reference, read?, folder), given))
        }
        Reference::Remote(remote) => {
            let other = given.get("repository").filter(|named| !named.is_empty());
            let own = other.is_none_or(|named| named.eq_ignore_ascii_case(&place.shared.facts.repository));
            if remote.is_checkout() && own && !place.shared.actions.is_mapped(&remote) {
                return Ok(Used::Checkout(given));
            }
            if let Some(known) = place.actions.get(reference) {
                return Ok(Used::Action(Arc::clone(known), given));
            }
            // Only an action that an earlier step made can name one that was not found before the job.
            let (known, _) = Known::fetch(reference, remote, &place.shared).await?;
            Ok(Used::Action(Arc::new(known), given))
        }
    }
}

fn local(reference: &str, action: Action, folder: PathBuf) -> Arc<Known> {
    let origin = "of the workspace".to_owned();
    Arc::new(Known { reference: reference.to_owned(), action, root: folder.clone(), folder, remote: None, origin })
}

fn has_post(action: &Action) -> bool {
    match &action.runs {
        ActionRuns::JavaScript { post, .. } => post.is_some(),
        ActionRuns::Docker { post_entrypoint, .. } => post_entrypoint.is_some(),
        ActionRuns::Composite { .. } => false,
    }
}

/// What earlier phases of a step's action left for later ones, as variables.
fn states(steps: &Steps<'_>, task: &Task<'_>) -> Vec<(String, String)> {
    let left = steps.states.get(task.step.key()).into_iter().flatten();
    left.map(|(name, value)| (format!("STATE_{name}"), value.clone())).collect()
}

/// What `github` says of an action of another repository while it runs.
fn identity(known: &Known) -> Vec<(&'static str, String)> {
    let Some(remote) = &known.remote else { return Vec::new() };
    vec![("action_repository", remote.repository.clone()), ("action_ref", remote.version.clone())]
}
