//! Runs one step: evaluates its environment, condition and timeout, carries it out, and applies `continue-on-error`.
//! Holds the step before it runs if it has a breakpoint, and after it failed if the run holds failed steps.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::{Instant, timeout};

use crate::engine::cancel::{KillReason, unless_lost};
use crate::engine::checkpoint::{FailedStep, Status, StepResult};
use crate::engine::context;
use crate::engine::outlet::StepLog;
use crate::engine::step::end::{StepEnd, minutes};
use crate::engine::step::script::Script;
use crate::model::{Conclusion, Event, FAILED_AND_HELD, HeldOrder, StepNumber};
use crate::store::clock::now;
use crate::workflow::display_names;
use crate::workflow::expr::{Contexts, Scope, Status as StatusFunctions, Value};
use crate::workflow::syntax::{RunDefaults, StepAction, StepDefinition};

use super::Steps;
use super::scope::{Completed, Condition, PreparedStep, RunningStep, StepRef, StepScope};

/// Reason recorded for a failed step that a person skipped while it was held. Such a step counts as a success.
const SKIPPED: &str = "failed, and skipped by a person while it was held";

/// Reason recorded for a step that a person skipped at its breakpoint.
const NOT_RUN: &str = "skipped by a person before it ran";

/// How long a job waits for a slot after a hold before this is written to its log.
const SLOT_NOTICE: Duration = Duration::from_millis(50);

/// What a job does after it has begun a step.
pub(in crate::engine::job) enum Next {
    /// The step has ended; the next one follows.
    After(StepEnd),
    /// A person sends the job back to this step.
    Back(StepNumber),
}

/// How a hold ended.
enum Release {
    Ordered(HeldOrder),
    /// The time limit of the hold has passed.
    Expired,
    /// The job or the background step was cancelled.
    Cancelled,
    /// The container of the steps has ended, with the error.
    Lost(String),
}

/// Returns the words about a hold whose time limit has passed.
fn expired(limit: Duration) -> String {
    format!("held for {}, and nobody decided how its job goes on", minutes(limit))
}

impl Steps<'_> {
    /// Runs a step of the job, writes its output to a separate log, and records how it ended.
    pub(in crate::engine::job) async fn top_level(
        &mut self,
        scope: &mut StepScope,
        step: &StepRef,
        number: StepNumber,
    ) -> Next {
        let outlet = &self.job.shared.outlet;
        let mut log = Arc::clone(outlet).log(&self.job.id, number);
        let next = self.with_holds(scope, step, &mut *log, number).await;
        log.finish();
        if let Next::After(end) = &next {
            outlet.record(end.event(&self.job.id, number));
        }
        next
    }

    /// Runs a step of the job to its end: after its breakpoint, and again if a person retries it while it is held. A
    /// step whose condition does not hold ends without a hold.
    async fn with_holds(
        &mut self,
        scope: &mut StepScope,
        step: &StepRef,
        log: &mut dyn StepLog,
        number: StepNumber,
    ) -> Next {
        self.follow_cancel(scope);
        let mut prepared = self.prepare(scope, step, Condition::Written(&step.condition), Some(number));
        if let Ok(ready) = &prepared {
            match self.stop_before(scope, number, &ready.overlay, log).await {
                Ok(false) => {}
                Ok(true) => {
                    // The job may have been cancelled, and its files may have changed.
                    self.follow_cancel(scope);
                    prepared = self.prepare(scope, step, Condition::Written(&step.condition), Some(number));
                }
                Err(Next::After(end)) => return Next::After(self.complete(scope, step, Completed::of(end))),
                Err(back) => return back,
            }
        }
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(end) => return Next::After(self.not_run(scope, step, end)),
        };
        self.record_start(number, &prepared);
        let done = loop {
            let mut done = self.try_once(scope, step, &prepared, log, number).await;
            if !self.is_to_be_held(scope, step, &done.end) {
                break done;
            }
            let reason = done.end.reason.clone().unwrap_or_else(|| "failed".to_owned());
            self.checkpoint(scope);
            let environment = self.failed.clone().unwrap_or_default();
            match self.hold(number, Some(&reason), environment, log).await {
                Release::Ordered(order @ (HeldOrder::Retry | HeldOrder::RetryFrom(_))) => {
                    // An action registers its post in its first try only.
                    if let Some(post) = done.post {
                        post.register(&mut scope.posts);
                    }
                    if let HeldOrder::RetryFrom(from) = order {
                        return Next::Back(from);
                    }
                    self.job.artifacts.forget(number..=number);
                }
                Release::Ordered(HeldOrder::Skip) => {
                    let end = StepEnd { reason: Some(SKIPPED.to_owned()), ..StepEnd::of(Conclusion::Success) };
                    break Completed { end, ..done };
                }
                Release::Lost(error) => {
                    done.end.reason = Some(format!("{reason}; while it was held, {error}"));
                    break done;
                }
                Release::Expired => {
                    done.end.reason = Some(format!("{reason}; {}", expired(self.job.shared.holds.limit())));
                    break done;
                }
                Release::Ordered(HeldOrder::Continue) | Release::Cancelled => break done,
            }
        };
        Next::After(self.complete(scope, step, done))
    }

    /// Runs a step of a composite action to its end. It shares the record and the log of the step that uses the action,
    /// and is not held.
    pub(super) async fn step(
        &mut self,
        scope: &mut StepScope,
        step: &StepRef,
        log: &mut dyn StepLog,
        number: StepNumber,
    ) -> StepEnd {
        self.follow_cancel(scope);
        match self.prepare(scope, step, Condition::Written(&step.condition), Some(number)) {
            Err(end) => self.not_run(scope, step, end),
            Ok(prepared) => {
                let done = self.try_once(scope, step, &prepared, log, number).await;
                self.complete(scope, step, done)
            }
        }
    }

    /// Completes a step that does not run, because it is skipped or an expression cannot be evaluated.
    fn not_run(&mut self, scope: &mut StepScope, step: &StepRef, end: StepEnd) -> StepEnd {
        if end.outcome == Conclusion::Failure {
            self.failed = Some(self.without_process(&scope.overlay));
        }
        self.complete(scope, step, Completed::of(end))
    }

    fn follow_cancel(&mut self, scope: &mut StepScope) {
        if self.cancel.is_cancelled() {
            scope.job_cancelled();
        }
    }

    /// Runs a step once. Each try has the whole time limit of the step. If the step fails without a process in the job's
    /// sandbox, as a Docker action or the built-in checkout does, `cuelight shell` gets the environment of the job.
    async fn try_once(
        &mut self,
        scope: &StepScope,
        step: &StepRef,
        prepared: &PreparedStep,
        log: &mut dyn StepLog,
        number: StepNumber,
    ) -> Completed {
        let own = prepared.timeout.map(|timeout| Instant::now() + timeout);
        let deadline = [own, scope.deadline].into_iter().flatten().min();
        let running = RunningStep { step, prepared, number, deadline };
        let asked = self.cancel.asked();
        let earlier = self.failed.take();
        let done = unless_lost(asked, Box::pin(self.carry_out(scope, &running, log))).await;
        let done = done.unwrap_or_else(|| Completed::of(StepEnd::lost()));
        if self.failed.is_none() {
            let has_failed = done.end.outcome == Conclusion::Failure;
            self.failed = if has_failed { Some(self.without_process(&prepared.overlay)) } else { earlier };
        }
        done
    }

    /// Whether a step is held because it failed. Steps that `continue-on-error` allows to fail are not.
    fn is_to_be_held(&mut self, scope: &StepScope, step: &StepRef, end: &StepEnd) -> bool {
        if !self.job.shared.holds.is_on() || end.outcome != Conclusion::Failure || self.cancel.is_cancelled() {
            return false;
        }
        let mut allowed = end.clone();
        self.allow_failure(scope, step, &mut allowed);
        allowed.conclusion != Conclusion::Success
    }

    /// Holds the job before a step that has a breakpoint. `overlay` is the `env` of the step. Returns whether the step
    /// was held.
    ///
    /// # Errors
    /// What follows instead of the step: it ended without running, or the job goes back.
    pub(super) async fn stop_before(
        &mut self,
        scope: &StepScope,
        number: StepNumber,
        overlay: &IndexMap<String, String>,
        log: &mut dyn StepLog,
    ) -> Result<bool, Next> {
        if !self.job.shared.holds.stops_before(&self.job.id, self.done, number) || self.cancel.is_cancelled() {
            return Ok(false);
        }
        let environment = self.without_process(overlay);
        self.checkpoint_for_shell(scope, Some(&environment));
        let end = match self.hold(number, None, environment, log).await {
            Release::Ordered(HeldOrder::RetryFrom(from)) => return Err(Next::Back(from)),
            Release::Ordered(HeldOrder::Skip) => {
                StepEnd { reason: Some(NOT_RUN.to_owned()), ..StepEnd::of(Conclusion::Skipped) }
            }
            Release::Expired => StepEnd::failed(format!("did not run: {}", expired(self.job.shared.holds.limit()))),
            Release::Lost(error) => StepEnd::failed(format!("did not run: while it was held, {error}")),
            Release::Ordered(HeldOrder::Retry | HeldOrder::Continue) | Release::Cancelled => return Ok(true),
        };
        Err(Next::After(end))
    }

    /// Holds a step until a person decides how its job continues. `reason` is the reason of its failure; `None` if it
    /// has not run. `environment` is that of the step.
    async fn hold(
        &mut self,
        number: StepNumber,
        reason: Option<&str>,
        environment: FailedStep,
        log: &mut dyn StepLog,
    ) -> Release {
        let shared = &self.job.shared;
        let limit = shared.holds.limit();
        // A held job uses no processor, unless other steps of it run.
        let leaves_slot = self.written.is_none() && !self.is_beside;
        if leaves_slot {
            self.slot.release();
        }
        let clock = self.cancel.stop_clock();
        let job = self.job.id.clone();
        let environment =
            environment.with_sealed_script(&shared.facts.secrets, &|text| shared.outlet.holds_secret(text));
        let order = shared.holds.hold(&job, number, self.trail.numbers(), environment);
        let until = now().after(limit);
        let line = match reason {
            Some(reason) => format!("##[warning]{FAILED_AND_HELD}{reason}\n"),
            None => "##[warning]The step is held before it runs\n".to_owned(),
        };
        log.write(line.as_bytes());
        log.flush();
        let reason = reason.map(str::to_owned);
        shared.outlet.record(Event::StepHeld { job: job.clone(), step: number, reason, until });
        let mut unrecorded = None;
        let release = tokio::select! {
            ordered = order => match ordered {
                Ok(ordered) => {
                    unrecorded = Some(ordered.unrecorded);
                    Release::Ordered(ordered.order)
                }
                Err(_) => Release::Expired,
            },
            error = self.job.container_end() => Release::Lost(error.to_string()),
            why = self.cancel.must_end(false, Some(Instant::now() + limit)) => match why {
                KillReason::TimedOut => Release::Expired,
                _ => Release::Cancelled,
            },
        };
        let order = match release {
            Release::Ordered(order) => Some(order),
            _ => None,
        };
        if matches!(release, Release::Expired) {
            log.write(format!("##[warning]{}\n", expired(limit)).as_bytes());
        }
        shared.outlet.record(Event::StepReleased { job, step: number, order });
        drop(unrecorded);
        if leaves_slot && matches!(release, Release::Ordered(_) | Release::Expired) {
            self.take_slot(log).await;
        }
        drop(clock);
        release
    }

    /// Waits for a slot for the job after a hold, unless the job is cancelled meanwhile.
    async fn take_slot(&mut self, log: &mut dyn StepLog) {
        let slot = self.slot;
        let mut acquired = pin!(slot.acquire());
        if timeout(SLOT_NOTICE, &mut acquired).await.is_ok() {
            return;
        }
        log.write(b"Waits for a free slot: other jobs run\n");
        log.flush();
        tokio::select! {
            () = acquired => {}
            _ = self.cancel.must_end(false, None) => {}
        }
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
