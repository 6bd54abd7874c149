//! Runs one step: evaluates its environment, condition and timeout, carries it out, applies `continue-on-error`, and
//! holds the step if it failed and the run holds failed steps.

use std::sync::Arc;

use tokio::time::Instant;

use crate::engine::cancel::unless_lost;
use crate::engine::checkpoint::{Status, StepResult};
use crate::engine::context;
use crate::engine::outlet::StepLog;
use crate::engine::step::end::StepEnd;
use crate::engine::step::script::Script;
use crate::model::{Conclusion, Event, HeldOrder, StepNumber, Timestamp};
use crate::store::clock::now;
use crate::workflow::display_names;
use crate::workflow::expr::{Contexts, Scope, Status as StatusFunctions, Value};
use crate::workflow::syntax::{RunDefaults, StepAction, StepDefinition};

use super::Steps;
use super::scope::{Completed, Condition, PreparedStep, RunningStep, StepRef, StepScope};

/// Reason recorded for a failed step that a person skipped while it was held. Such a step counts as a success.
const SKIPPED: &str = "failed, and skipped by a person while it was held";

impl Steps<'_> {
    /// Runs a step of the job, writes its output to a separate log, and records how it ended.
    pub(in crate::engine::job) async fn top_level(
        &mut self,
        scope: &mut StepScope,
        step: &StepRef,
        number: StepNumber,
    ) -> StepEnd {
        let outlet = &self.job.shared.outlet;
        let mut log = Arc::clone(outlet).log(&self.job.id, number);
        let end = self.step(scope, step, &mut *log, number).await;
        log.finish();
        outlet.record(end.event(&self.job.id, number));
        end
    }

    /// Runs a step to its end, and again if a person retries it while it is held. A step whose condition does not hold
    /// ends without being carried out. A step of a composite action shares the record and the log of the step that uses
    /// the action.
    pub(super) async fn step(
        &mut self,
        scope: &mut StepScope,
        step: &StepRef,
        log: &mut dyn StepLog,
        number: StepNumber,
    ) -> StepEnd {
        if self.cancel.is_cancelled() {
            scope.job_cancelled();
        }
        let done = match self.prepare(scope, step, Condition::Written(&step.condition), Some(number)) {
            Err(end) => Completed::of(end),
            Ok(prepared) => {
                if scope.action.is_none() {
                    self.record_start(number, &prepared);
                }
                let asked = self.cancel.asked();
                loop {
                    // Each try has the whole time limit of the step.
                    let own = prepared.timeout.map(|timeout| Instant::now() + timeout);
                    let deadline = [own, scope.deadline].into_iter().flatten().min();
                    let running = RunningStep { step, prepared: &prepared, number, deadline };
                    let done = unless_lost(asked.clone(), Box::pin(self.carry_out(scope, &running, log))).await;
                    let mut done = done.unwrap_or_else(|| Completed::of(StepEnd::lost()));
                    match self.hold(scope, &running, &mut done, log).await {
                        Some(HeldOrder::Retry) => {
                            // An action registers its post in its first try only.
                            if let Some(post) = done.post {
                                post.register(&mut scope.posts);
                            }
                        }
                        Some(HeldOrder::Skip) => {
                            let end = StepEnd { reason: Some(SKIPPED.to_owned()), ..StepEnd::of(Conclusion::Success) };
                            break Completed { end, ..done };
                        }
                        Some(HeldOrder::Continue) | None => break done,
                    }
                }
            }
        };
        self.complete(scope, step, done)
    }

    /// Holds a failed step of the job until a person decides how to continue, if the run holds failed steps. Steps of
    /// composite actions, and steps that `continue-on-error` allows to fail, are not held. Stores a checkpoint before
    /// the wait. Returns the order, or `None` if the step is not held, the time limit has passed, or the step was
    /// cancelled. If the container of the steps ends during the wait, the hold ends, and the reason of the failure
    /// mentions it.
    async fn hold(
        &mut self,
        scope: &StepScope,
        running: &RunningStep<'_>,
        done: &mut Completed,
        log: &mut dyn StepLog,
    ) -> Option<HeldOrder> {
        let shared = &self.job.shared;
        let limit = shared.holds.limit()?.min(self.cancel.rest());
        if scope.action.is_some() || done.end.outcome != Conclusion::Failure || self.cancel.is_cancelled() {
            return None;
        }
        let mut allowed = done.end.clone();
        self.allow_failure(scope, running.step, &mut allowed);
        if allowed.conclusion == Conclusion::Success {
            return None;
        }
        self.checkpoint(scope);
        let (job, step) = (self.job.id.clone(), running.number);
        let order = shared.holds.hold(&job, step);
        let until = Timestamp(now().0.saturating_add(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)));
        let reason = done.end.reason.clone().unwrap_or_else(|| "failed".to_owned());
        log.write(format!("##[warning]The step failed and is held: {reason}\n").as_bytes());
        log.flush();
        shared.outlet.record(Event::StepHeld { job: job.clone(), step, reason: reason.clone(), until });
        let order = tokio::select! {
            order = order => order.ok(),
            error = self.job.container_end() => {
                done.end.reason = Some(format!("{reason}; while it was held, {error}"));
                None
            }
            _ = self.cancel.must_end(false, Some(Instant::now() + limit)) => None,
        };
        shared.outlet.record(Event::StepReleased { job, step, order });
        order
    }

    /// Records that a step of the job has started.
    pub(super) fn record_start(&self, number: StepNumber, prepared: &PreparedStep) {
        let (job, name) = (self.job.id.clone(), prepared.name.clone());
        self.job.shared.outlet.record(Event::StepStarted { job, step: number, name });
    }

    /// Applies the results of a step to its scope: registers its post, adds it to the `steps` context if it has an id,
    /// and updates the status. Returns the end of the step, after `continue-on-error`.
    pub(super) fn complete(&mut self, scope: &mut StepScope, step: &StepRef, done: Completed) -> StepEnd {
        let Completed { mut end, outputs, post, .. } = done;
        if let Some(post) = post {
            post.register(&mut scope.posts);
        }
        if end.outcome == Conclusion::Failure {
            self.allow_failure(scope, step, &mut end);
        }
        if !step.has_generated_id() {
            let result = StepResult { outputs, outcome: end.outcome, conclusion: end.conclusion };
            scope.steps.insert(step.id.clone(), result);
        }
        if self.cancel.is_cancelled() {
            scope.job_cancelled();
        }
        scope.merge(end.conclusion);
        end
    }

    /// Returns the contexts for the expressions of a scope's steps.
    pub(in crate::engine::job) fn contexts(&self, scope: &StepScope) -> Contexts {
        let mut contexts = self.job.contexts.clone();
        let mut env = self.env.clone();
        env.extend(scope.overlay.clone());
        contexts.set("env", context::env(&env));
        contexts.set("steps", context::steps(&scope.steps));
        contexts.set("job", context::job(scope.job_status(), &self.job.job_facts()));
        if let Some(action) = &scope.action {
            contexts.set("inputs", action.inputs.clone());
            let mut github = action.github.clone();
            github.insert("action_status", Value::string(scope.status.word()));
            contexts.set("github", Value::object(github));
        }
        contexts
    }

    /// Evaluates the environment, condition, timeout and name of a step. If `number` is given and the step is not in a
    /// composite action, records the explanation of the condition.
    ///
    /// # Errors
    /// The end of a step that does not run: it is skipped, or an expression cannot be evaluated.
    pub(super) fn prepare(
        &mut self,
        scope: &StepScope,
        step: &StepDefinition,
        condition: Condition<'_>,
        number: Option<StepNumber>,
    ) -> Result<PreparedStep, StepEnd> {
        let host = self.files();
        let mut contexts = self.contexts(scope);
        let mut overlay = scope.overlay.clone();
        if let Some(own) = &step.env {
            let evaluated = own.texts(&Scope { contexts: &contexts, status: scope.functions(), host: &host });
            overlay.extend(evaluated.map_err(|error| StepEnd::failed(format!("`env`: {error}")))?);
            let mut env = self.env.clone();
            env.extend(overlay.clone());
            contexts.set("env", context::env(&env));
        }
        let under = |status| Scope { contexts: &contexts, status, host: &host };
        let decided = match condition {
            Condition::Always => Ok(true),
            Condition::Written(condition) => {
                let (holds, explanation) = condition.decide(&under(scope.functions()));
                if let (Some(explanation), Some(step), None) = (explanation, number, &scope.action) {
                    let job = self.job.id.clone();
                    self.job.shared.outlet.record(Event::Decided { job, step: Some(step), explanation });
                }
                holds
            }
        };
        match decided {
            Ok(true) if !self.cancel.is_over() => {}
            Ok(_) => {
                return Err(StepEnd {
                    reason: Some(self.why_skipped(scope, condition)),
                    ..StepEnd::of(Conclusion::Skipped)
                });
            }
            Err(error) => return Err(StepEnd::failed(format!("`if`: {error}"))),
        }
        let in_cancelled_job = StatusFunctions { success: false, failure: false, cancelled: true };
        let survives_cancel = match condition {
            Condition::Always => true,
            // The condition held although the job was already cancelled.
            Condition::Written(_) if scope.job_status() == Status::Cancelled => true,
            Condition::Written(condition) => {
                condition.expr.evaluate(&under(in_cancelled_job)).is_ok_and(|value| value.is_truthy())
            }
        };
        let evaluated = under(scope.functions());
        let timeout = step.timeout_minutes.as_ref().map(|limit| limit.minutes(&evaluated)).transpose();
        let timeout = timeout.map_err(|error| StepEnd::failed(error.to_string()))?;
        let name = display_names::step_name(step, &evaluated);
        Ok(PreparedStep { contexts, overlay, name, survives_cancel, timeout })
    }

    fn why_skipped(&mut self, scope: &StepScope, condition: Condition<'_>) -> String {
        let written = match condition {
            Condition::Always => None,
            Condition::Written(condition) => condition.written.as_ref(),
        };
        match (written, scope.status) {
            _ if self.cancel.is_over() => "the job was ended".to_owned(),
            (Some(written), _) => format!("`if: {}` was false", written.value.trim()),
            (None, Status::Cancelled) => "the job was cancelled".to_owned(),
            (None, _) => "an earlier step failed".to_owned(),
        }
    }

    async fn carry_out(&mut self, scope: &StepScope, step: &RunningStep<'_>, log: &mut dyn StepLog) -> Completed {
        match &step.step.action {
            StepAction::Run { script, shell, working_directory } => {
                let invocation = {
                    let host = self.files();
                    let contexts = &step.prepared.contexts;
                    let evaluated = Scope { contexts, status: scope.functions(), host: &host };
                    // `defaults.run` does not apply to the steps of composite actions.
                    let defaults = match &scope.action {
                        Some(_) => Ok(RunDefaults::default()),
                        None => self.job.defaults.resolve(&evaluated),
                    };
                    let defaults = match defaults {
                        Ok(defaults) => defaults,
                        Err(error) => return Completed::failed(format!("`defaults.run`: {error}")),
                    };
                    let script = Script {
                        id: &step.step.id,
                        body: script,
                        shell: shell.as_ref().or(defaults.shell.as_ref()),
                        working_directory: working_directory.as_ref().or(defaults.working_directory.as_ref()),
                    };
                    let path = self.search_path(&step.prepared.overlay);
                    script.invocation(&self.context(step.number), &evaluated, &path).await
                };
                match invocation {
                    Ok(invocation) => self.execute(scope, step, invocation, log).await,
                    Err(error) => Completed::failed(error.to_string()),
                }
            }
            StepAction::Uses { .. } => self.uses(scope, step, log).await,
            StepAction::Steer(steering) => {
                Completed::failed(format!("`{}` is only possible in the steps of a job", steering.key()))
            }
        }
    }

    /// Applies `continue-on-error`, which is evaluated only if the step failed.
    fn allow_failure(&self, scope: &StepScope, step: &StepDefinition, end: &mut StepEnd) {
        let Some(allowed) = &step.continue_on_error else { return };
        let contexts = self.contexts(scope);
        let host = self.files();
        match allowed.evaluate(&Scope { contexts: &contexts, status: scope.functions(), host: &host }) {
            Ok(value) if value.is_truthy() => end.conclusion = Conclusion::Success,
            Ok(_) => {}
            Err(error) => end.reason = Some(format!("`continue-on-error`: {error}")),
        }
    }
}
