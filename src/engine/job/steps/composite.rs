//! Composite actions: steps inside the step that uses them, with separate inputs and status.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::engine::actions::inputs;
use crate::engine::actions::resolve::{MAX_DEPTH, ResolvedAction};
use crate::engine::checkpoint::Status;
use crate::engine::outlet::StepLog;
use crate::engine::step::end::StepEnd;
use crate::model::Conclusion;
use crate::workflow::display_names;
use crate::workflow::expr::{Object, Scope, Value};

use super::Steps;
use super::scope::{Completed, CompositeUse, Post, RunningStep, StepRef, StepScope};

impl Steps<'_> {
    /// Returns the scope for the steps of a composite action, or `None` if the action is nested deeper than
    /// [`MAX_DEPTH`].
    pub(super) fn composite_scope(
        &self,
        outer: &StepScope,
        step: &RunningStep<'_>,
        action: &ResolvedAction,
        inputs: &IndexMap<String, String>,
    ) -> Option<StepScope> {
        let depth = outer.action.as_ref().map_or(0, |outer| outer.depth) + 1;
        let used = CompositeUse {
            inputs: inputs::context(inputs),
            github: self.composite_github(action),
            depth,
            job: outer.job_status(),
            survives_cancel: step.prepared.survives_cancel,
        };
        // `env` of the step that uses the action applies only inside the action; variables that the action's steps
        // write to `GITHUB_ENV` apply to the whole job.
        let overlay = step.prepared.overlay.clone();
        (depth <= MAX_DEPTH).then(|| StepScope {
            overlay,
            action: Some(used),
            deadline: step.deadline,
            ..StepScope::default()
        })
    }

    /// Runs the steps of a composite action inside the step that uses it.
    pub(super) async fn composite(
        &mut self,
        outer: &StepScope,
        step: &RunningStep<'_>,
        action: &Arc<ResolvedAction>,
        inputs: &IndexMap<String, String>,
        log: &mut dyn StepLog,
    ) -> Completed {
        let Some(mut scope) = self.composite_scope(outer, step, action, inputs) else {
            return Completed::failed(format!("composite actions nest deeper than {MAX_DEPTH}"));
        };
        let mut reason = None;
        for inner in StepRef::of_action(action, step.step) {
            let end = self.step(&mut scope, &inner, log, step.number).await;
            if reason.is_none() && !matches!(end.conclusion, Conclusion::Success | Conclusion::Skipped) {
                reason = end.reason.map(|reason| format!("{}: {reason}", self.name_of(&scope, &inner)));
            }
        }
        let (outputs, failed) = self.composite_outputs(&scope, action);
        let end = match (scope.status, failed) {
            (Status::Success, None) => StepEnd::of(Conclusion::Success),
            (Status::Success, Some(reason)) => StepEnd::failed(reason),
            (Status::Failure, _) => StepEnd { reason, ..StepEnd::of(Conclusion::Failure) },
            (Status::Cancelled, _) => StepEnd { reason, ..StepEnd::of(Conclusion::Cancelled) },
        };
        Completed { outputs, post: Some(composite_post(step, action, scope)), ..Completed::of(end) }
    }

    /// Returns the name of a step of a composite action for messages: its name, or its id.
    fn name_of(&self, scope: &StepScope, step: &StepRef) -> String {
        if step.name.is_none() && !step.has_generated_id() {
            return step.id.clone();
        }
        let contexts = self.contexts(scope);
        let host = self.files();
        display_names::step_name(step, &Scope { contexts: &contexts, status: scope.functions(), host: &host })
    }

    /// Evaluates the outputs of a composite action. The second value describes the last output that cannot be
    /// evaluated; `None` if all can.
    fn composite_outputs(
        &self,
        scope: &StepScope,
        action: &ResolvedAction,
    ) -> (IndexMap<String, String>, Option<String>) {
        let contexts = self.contexts(scope);
        let host = self.files();
        let evaluated = Scope { contexts: &contexts, status: scope.functions(), host: &host };
        let mut outputs = IndexMap::new();
        let mut failed = None;
        for (name, value) in &action.action.outputs {
            match value.as_ref().map(|value| value.evaluate(&evaluated)).transpose() {
                Ok(value) => {
                    outputs.insert(name.value.clone(), value.map(|value| value.to_text()).unwrap_or_default());
                }
                Err(error) => failed = Some(format!("output `{}`: {error}", name.value)),
            }
        }
        (outputs, failed)
    }

    fn composite_github(&self, action: &ResolvedAction) -> Object {
        let path = |path: &Path| Value::string(self.job.sandbox.inside(path).to_string_lossy().into_owned());
        let mut github = self.job.github.clone();
        github.insert("action_path".to_owned(), path(&action.folder));
        for (name, value) in action.identity() {
            github.insert(name.to_owned(), Value::string(value));
        }
        github
    }
}

/// Returns the post step of a composite action, which runs the posts of its steps.
pub(super) fn composite_post(step: &RunningStep<'_>, action: &Arc<ResolvedAction>, mut scope: StepScope) -> Post {
    let inner = std::mem::take(&mut scope.posts);
    let post = Post::of(step.step.clone(), Arc::clone(action), step.prepared.name.clone());
    Post { inner, scope: Some(scope), ..post }
}
