//! Phases of actions before the first step (`pre`) and after the last one (`post`).
//!
//! The post of an action is registered once per step, after the action's `pre` or main phase. Posts run in the reverse
//! order of registration. Posts inside a composite action run within the post of the step that uses it.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::engine::actions::resolve::ResolvedAction;
use crate::engine::actions::{Phase, inputs, resolve};
use crate::engine::cancel::unless_lost;
use crate::engine::outlet::StepLog;
use crate::engine::step::end::StepEnd;
use crate::model::{Conclusion, StepNumber};
use crate::workflow::expr::Scope;
use crate::workflow::syntax::{Action, ActionRuns, StepAction};

use super::Steps;
use super::composite::composite_post;
use super::scope::{Completed, Condition, Post, RunningStep, StepRef, StepScope};

impl Steps<'_> {
    /// Registers the post of a step whose action started in an earlier worker. Does nothing if the action did not start
    /// there or has no post. Posts inside composite actions are lost with that worker.
    pub(in crate::engine::job) fn register_post_again(&mut self, scope: &mut StepScope, step: &StepRef) {
        let StepAction::Uses { reference, .. } = &step.action else { return };
        let action = self
            .job
            .actions
            .get(&resolve::key(&reference.value, step.within()))
            .filter(|action| action.has_post())
            .cloned();
        let Some(action) = action.filter(|_| self.states.contains_key(step.key())) else { return };
        if self.registered.insert(step.key().to_owned()) {
            scope.posts.push(Post::of(step.clone(), action, format!("Run {}", reference.value)));
        }
    }

    /// Runs the `pre` phase of a step's action, if it has one, and adds the post that it registers to the scope.
    pub(in crate::engine::job) fn pre<'a>(
        &'a mut self,
        scope: &'a mut StepScope,
        step: &'a StepRef,
        number: StepNumber,
        log: &'a mut dyn StepLog,
    ) -> BoxFuture<'a, StepEnd> {
        async move {
            let Some(action) = resolve::with_pre(&self.job.actions, step, step.within()).cloned() else {
                return StepEnd::of(Conclusion::Success);
            };
            let done = self.around(scope, step, &action, Phase::Pre, log, number).await;
            if let Some(post) = done.post {
                post.register(&mut scope.posts);
            }
            scope.merge(done.end.conclusion);
            done.end
        }
        .boxed()
    }

    /// Runs the `post` phase of an action. For a composite action, runs the posts of its steps, the last registered one
    /// first.
    pub(in crate::engine::job) fn post<'a>(
        &'a mut self,
        scope: &'a mut StepScope,
        post: Post,
        number: StepNumber,
        log: &'a mut dyn StepLog,
    ) -> BoxFuture<'a, StepEnd> {
        async move {
            let Post { step, action, scope: inside, inner, .. } = post;
            let Some(mut inside) = inside else {
                let end = self.around(scope, &step, &action, Phase::Post, log, number).await.end;
                scope.merge(end.conclusion);
                return end;
            };
            inside.follow_job(scope.job_status());
            let mut worst = StepEnd::of(Conclusion::Success);
            for post in inner.into_iter().rev() {
                keep_first_failure(&mut worst, self.post(&mut inside, post, number, log).await);
            }
            scope.merge(worst.conclusion);
            worst
        }
        .boxed()
    }

    /// Runs a `pre` or `post` phase with the environment and inputs of the step that uses the action, which are
    /// evaluated now. For a composite action, runs the `pre` phases of its steps.
    async fn around(
        &mut self,
        scope: &mut StepScope,
        step: &StepRef,
        action: &Arc<ResolvedAction>,
        phase: Phase,
        log: &mut dyn StepLog,
        number: StepNumber,
    ) -> Completed {
        let composite = matches!(action.action.runs, ActionRuns::Composite { .. });
        let condition = if composite { Condition::Always } else { condition(&action.action, phase) };
        let mut prepared = match self.prepare(scope, step, condition, None) {
            Ok(prepared) => prepared,
            Err(end) => return Completed::of(end),
        };
        prepared.timeout = None;
        let running = RunningStep { step, prepared: &prepared, number, deadline: scope.deadline };
        let StepAction::Uses { with, .. } = &step.action else {
            return Completed::failed("the step uses no action");
        };
        let host = self.files();
        let evaluated = Scope { contexts: &prepared.contexts, status: scope.functions(), host: &host };
        let given = match inputs::given(with, &evaluated) {
            Ok(given) => given,
            Err(error) => return Completed::failed(error.to_string()),
        };
        if !composite {
            let asked = self.cancel.asked();
            let run = Box::pin(self.phase(scope, &running, action, given, phase, log));
            let done = unless_lost(asked, run).await;
            return done.unwrap_or_else(|| Completed::of(StepEnd::lost()));
        }
        let inputs = match inputs::inputs(&action.action, &given, &evaluated) {
            Ok(inputs) => inputs,
            Err(error) => return Completed::failed(error.to_string()),
        };
        let Some(mut inside) = self.composite_scope(scope, &running, action, &inputs) else {
            return Completed::failed("composite actions are nested too deeply");
        };
        inside.follow_job(scope.job_status());
        let mut worst = StepEnd::of(Conclusion::Success);
        for inner in StepRef::of_action(action, step) {
            keep_first_failure(&mut worst, self.pre(&mut inside, &inner, number, log).await);
        }
        Completed { post: Some(composite_post(&running, action, inside)), ..Completed::of(worst) }
    }
}

fn keep_first_failure(worst: &mut StepEnd, end: StepEnd) {
    if end.conclusion == Conclusion::Failure && worst.conclusion != Conclusion::Failure {
        *worst = end;
    }
}

/// Returns `pre-if` or `post-if`. If the manifest has none, the phase always runs.
fn condition(action: &Action, phase: Phase) -> Condition<'_> {
    let written = match &action.runs {
        ActionRuns::JavaScript { pre_if, post_if, .. } | ActionRuns::Docker { pre_if, post_if, .. } => {
            if phase == Phase::Pre { pre_if.as_ref() } else { post_if.as_ref() }
        }
        ActionRuns::Composite { .. } => None,
    };
    written.map_or(Condition::Always, Condition::Written)
}
