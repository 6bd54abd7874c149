//! What actions do before the first step (`pre`) and after the last (`post`).
//!
//! A post is registered when its action starts, once per step, and posts run in reverse. Those of a composite action's
//! steps run inside the post of the step that uses it.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::engine::outlet::StepLog;
use crate::engine::step::{Condition, Ran, StepEnd, StepRef, StepScope, Steps, Task};
use crate::engine::workspace::hash_files::WorkspaceFiles;
use crate::model::{Conclusion, StepNumber};
use crate::workflow::expr::Scope;
use crate::workflow::syntax::{Action, ActionRuns, StepAction, StepDefinition};

use super::reference::Reference;
use super::resolve::{Actions, Known};
use super::{Phase, composite, has_post, inputs, phase};

/// Something to be done after the last step.
pub(in crate::engine) struct Post {
    /// The step whose action it is of.
    pub(in crate::engine) step: StepRef,
    /// What the step was called when it ran.
    pub(in crate::engine) name: String,
    pub(super) known: Arc<Known>,
    /// The frame of a composite action's steps.
    pub(super) frame: Option<StepScope>,
    /// Posts of a composite action's steps, in the order in which they were registered.
    pub(super) inner: Vec<Post>,
}

impl Post {
    /// Registers a post. What a composite action registered before the first step is done with what its steps gave since.
    pub(in crate::engine) fn add(self, posts: &mut Vec<Self>) {
        match posts.iter_mut().find(|known| known.step.key() == self.step.key()) {
            Some(known) => {
                known.name = self.name;
                known.frame = self.frame;
                known.inner.extend(self.inner);
            }
            // A composite action whose steps have none.
            None if self.frame.is_some() && self.inner.is_empty() => {}
            None => posts.push(self),
        }
    }

    pub(super) fn of(step: StepRef, known: Arc<Known>, name: String) -> Self {
        Self { step, name, known, frame: None, inner: Vec::new() }
    }
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Post").field("step", &self.step.key()).field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// The action of another repository that a step uses, when something of it is to be done before the first step.
pub(in crate::engine) fn with_pre<'k>(actions: &'k Actions, step: &StepDefinition) -> Option<&'k Arc<Known>> {
    let StepAction::Uses { reference, .. } = &step.action else { return None };
    let Ok(Reference::Remote(_)) = Reference::parse(&reference.value) else { return None };
    actions.get(&reference.value).filter(|known| has_pre(actions, known))
}

fn has_pre(actions: &Actions, known: &Known) -> bool {
    match &known.action.runs {
        ActionRuns::JavaScript { pre, .. } => pre.is_some(),
        ActionRuns::Docker { pre_entrypoint, .. } => pre_entrypoint.is_some(),
        ActionRuns::Composite { steps } => steps.iter().any(|step| with_pre(actions, step).is_some()),
    }
}

/// Registers the post of a step that was done before the worker was lost. Inside composite actions what is to be done
/// afterwards is not known any more.
pub(in crate::engine) fn again(steps: &mut Steps<'_>, frame: &mut StepScope, step: &StepRef) {
    let StepAction::Uses { reference, .. } = &step.action else { return };
    let known = steps.place.actions.get(&reference.value).filter(|known| has_post(&known.action)).cloned();
    let Some(known) = known.filter(|_| steps.states.contains_key(step.key())) else { return };
    if steps.registered.insert(step.key().to_owned()) {
        frame.posts.push(Post::of(step.clone(), known, format!("Run {}", reference.value)));
    }
}

/// Does what a step's action wants done before the first step. Posts that this registers are added to the frame.
pub(in crate::engine) fn before<'a>(
    steps: &'a mut Steps<'_>,
    frame: &'a mut StepScope,
    step: &'a StepRef,
    log: &'a mut dyn StepLog,
    number: StepNumber,
) -> BoxFuture<'a, StepEnd> {
    async move {
        let Some(known) = with_pre(&steps.place.actions, step).cloned() else {
            return StepEnd::of(Conclusion::Success);
        };
        let ran = around(steps, frame, step, &known, Phase::Pre, log, number).await;
        if let Some(post) = ran.post {
            post.add(&mut frame.posts);
        }
        frame.status.merge(ran.end.conclusion);
        ran.end
    }
    .boxed()
}

/// Does what an action wants done after the last step.
pub(in crate::engine) fn after<'a>(
    steps: &'a mut Steps<'_>,
    frame: &'a mut StepScope,
    post: Post,
    log: &'a mut dyn StepLog,
    number: StepNumber,
) -> BoxFuture<'a, StepEnd> {
    async move {
        let Post { step, known, frame: inside, inner, .. } = post;
        let Some(mut inside) = inside else {
            let end = around(steps, frame, &step, &known, Phase::Post, log, number).await.end;
            frame.status.merge(end.conclusion);
            return end;
        };
        // Status functions of posts look at the job.
        inside.status = frame.status;
        let mut worst = StepEnd::of(Conclusion::Success);
        for post in inner.into_iter().rev() {
            first_failure(&mut worst, after(steps, &mut inside, post, log, number).await);
        }
        frame.status.merge(worst.conclusion);
        worst
    }
    .boxed()
}

/// Runs a phase that has no step of its own in the file: with the environment and inputs of the step, evaluated now.
async fn around(
    steps: &mut Steps<'_>,
    frame: &mut StepScope,
    step: &StepRef,
    known: &Arc<Known>,
    when: Phase,
    log: &mut dyn StepLog,
    number: StepNumber,
) -> Ran {
    let composite = matches!(known.action.runs, ActionRuns::Composite { .. });
    let condition = if composite { Condition::Always } else { condition(&known.action, when) };
    let mut ready = match steps.prepare(frame, step, condition, None) {
        Ok(ready) => ready,
        Err(end) => return Ran::of(end),
    };
    ready.timeout = None;
    let deadline: Option<Instant> = frame.deadline;
    let task = Task { step, ready: &ready, number, deadline };
    let StepAction::Uses { with, .. } = &step.action else { return Ran::failed("the step uses nothing") };
    let host = WorkspaceFiles::at(&steps.place.workspace);
    let scope = Scope { contexts: &ready.contexts, status: frame.functions(), host: &host };
    let given = match inputs::given(with, &scope) {
        Ok(given) => given,
        Err(reason) => return Ran::failed(reason),
    };
    if !composite {
        return phase(steps, frame, &task, known, given, when, log).await;
    }
    let all = match inputs::inputs(&known.action, &given, &scope) {
        Ok(all) => all,
        Err(reason) => return Ran::failed(reason),
    };
    let Some(mut inside) = composite::frame(steps, frame, &task, known, &all) else {
        return Ran::failed("composite actions nest too deep");
    };
    inside.status = frame.status;
    let mut worst = StepEnd::of(Conclusion::Success);
    for inner in composite::inner(known, step) {
        first_failure(&mut worst, before(steps, &mut inside, &inner, log, number).await);
    }
    let inner = std::mem::take(&mut inside.posts);
    let post = Post::of(step.clone(), Arc::clone(known), ready.name.clone());
    Ran { post: Some(Post { inner, frame: Some(inside), ..post }), ..Ran::of(worst) }
}

/// Keeps the end that failed first.
fn first_failure(worst: &mut StepEnd, end: StepEnd) {
    if end.conclusion == Conclusion::Failure && worst.conclusion != Conclusion::Failure {
        *worst = end;
    }
}

/// `pre-if` and `post-if`: always, unless the manifest says something else.
fn condition(action: &Action, when: Phase) -> Condition<'_> {
    let written = match &action.runs {
        ActionRuns::JavaScript { pre_if, post_if, .. } | ActionRuns::Docker { pre_if, post_if, .. } => {
            if when == Phase::Pre { pre_if.as_ref() } else { post_if.as_ref() }
        }
        ActionRuns::Composite { .. } => None,
    };
    written.map_or(Condition::Always, Condition::Written)
}
