//! Runs steps, of a job and of the composite actions it uses, with GitHub's rules: environment, condition, timeout,
//! the step itself, `continue-on-error`, and what a cancelled job still does.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::Instant;

use crate::model::{Conclusion, Event, JobId, Signal, StepNumber};
use crate::workflow::display_names;
use crate::workflow::expr::{Contexts, Scope, Status as Functions, Value};
use crate::workflow::syntax;
use crate::workflow::syntax::{ActionRuns, JobBody, JobDefinition, StepAction, StepDefinition};

use super::actions::posts::Post;
use super::actions::resolve::Known;
use super::cancel::CancelWatch;
use super::checkpoint::{FailedStep, Status, StepResult};
use super::job::environment::JobEnvironment;
use super::outlet::StepLog;
use super::workspace::hash_files::WorkspaceFiles;
use super::{actions, context};
use command_files::Left;
use matcher::Matchers;

pub(super) mod command_files;
mod env;
pub(super) mod matcher;
mod output;
pub mod process;
pub(super) mod script;
pub(super) mod shell;
mod workflow_command;

/// How a step ended.
#[derive(Clone, Debug)]
pub(super) struct StepEnd {
    pub(super) outcome: Conclusion,
    pub(super) conclusion: Conclusion,
    pub(super) exit_code: Option<i32>,
    pub(super) signal: Option<Signal>,
    pub(super) reason: Option<String>,
}

impl StepEnd {
    pub(super) fn of(conclusion: Conclusion) -> Self {
        Self { outcome: conclusion, conclusion, exit_code: None, signal: None, reason: None }
    }

    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::of(Conclusion::Failure) }
    }

    pub(super) fn event(&self, job: &JobId, step: StepNumber) -> Event {
        Event::StepFinished {
            job: job.clone(),
            step,
            outcome: self.outcome,
            conclusion: self.conclusion,
            exit_code: self.exit_code,
            signal: self.signal,
            reason: self.reason.clone(),
        }
    }
}

/// A step, wherever it is defined: it outlives the step, as what its action does after the job's last step needs it.
#[derive(Clone)]
pub(super) struct StepRef {
    home: Home,
    index: usize,
    key: String,
}

#[derive(Clone)]
enum Home {
    Job(Arc<JobDefinition>),
    Action(Arc<Known>),
}

impl StepRef {
    /// A step of a job.
    pub(super) fn of_job(job: &Arc<JobDefinition>, index: usize) -> Self {
        Self { home: Home::Job(Arc::clone(job)), index, key: index.to_string() }
    }

    /// A step of a composite action that another step uses.
    pub(super) fn inside(action: Arc<Known>, index: usize, outer: &Self) -> Self {
        Self { home: Home::Action(action), index, key: format!("{}/{index}", outer.key) }
    }

    /// Names this use of the step in its job: the places of the steps around it, outermost first.
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

impl Deref for StepRef {
    type Target = StepDefinition;

    fn deref(&self) -> &StepDefinition {
        let steps = match &self.home {
            Home::Job(job) => match &job.body {
                JobBody::Steps(body) => &body.steps,
                JobBody::Call { .. } => panic!("only a job with steps has a step"),
            },
            Home::Action(known) => match &known.action.runs {
                ActionRuns::Composite { steps } => steps,
                _ => panic!("only a composite action has steps"),
            },
        };
        &steps[self.index]
    }
}

/// When something is to be done.
#[derive(Clone, Copy)]
pub(super) enum Condition<'c> {
    /// Whatever happened.
    Always,
    /// When this holds.
    Written(&'c syntax::Condition),
}

/// A sequence of steps with a status of its own: the job's, or those of one use of a composite action.
#[derive(Debug, Default)]
pub(super) struct StepScope {
    /// The `steps` context.
    pub(super) steps: IndexMap<String, StepResult>,
    /// `job.status`, or the composite action's own.
    pub(super) status: Status,
    /// `env` of the step that uses the composite action: it covers what the job's environment says.
    pub(super) overlay: IndexMap<String, String>,
    /// The composite action.
    pub(super) action: Option<actions::Use>,
    /// When the step that uses the composite action must have ended.
    pub(super) deadline: Option<Instant>,
    /// What is to be done after the last step, in the order in which it was registered.
    pub(super) posts: Vec<Post>,
}

impl StepScope {
    /// What the status functions answer.
    pub(super) fn functions(&self) -> Functions {
        Functions {
            success: self.status == Status::Success,
            failure: self.status == Status::Failure,
            cancelled: self.status == Status::Cancelled,
        }
    }
}

/// Runs the steps of one job.
pub(super) struct Steps<'j> {
    pub(super) place: &'j JobEnvironment,
    pub(super) stop: CancelWatch,
    /// The job's environment: `env` of workflow and job, and what `GITHUB_ENV` added.
    pub(super) env: IndexMap<String, String>,
    /// What `GITHUB_PATH` added, the last one first.
    pub(super) path: Vec<String>,
    pub(super) matchers: Matchers,
    /// What an action's phases left for its later ones (`STATE_…`), by the step's key.
    pub(super) states: IndexMap<String, IndexMap<String, String>>,
    /// Steps whose posts are registered.
    pub(super) registered: HashSet<String>,
    /// The last step that failed.
    pub(super) failed: Option<FailedStep>,
}

/// A step whose condition holds.
pub(super) struct Ready {
    /// Everything its expressions may see, its own `env` included.
    pub(super) contexts: Contexts,
    /// Its own `env` over that of the steps around it.
    pub(super) overlay: IndexMap<String, String>,
    pub(super) name: String,
    /// Whether its condition would hold in a cancelled job too.
    pub(super) survives_cancel: bool,
    pub(super) timeout: Option<Duration>,
}

/// A step in progress.
pub(super) struct Task<'s> {
    pub(super) step: &'s StepRef,
    pub(super) ready: &'s Ready,
    pub(super) number: StepNumber,
    /// When it must have ended: its own `timeout-minutes` or, inside a composite action, what is left of the outer one.
    pub(super) deadline: Option<Instant>,
}

/// What came of a step that was started.
pub(super) struct Ran {
    pub(super) end: StepEnd,
    pub(super) outputs: IndexMap<String, String>,
    /// What it left for its later phases.
    pub(super) state: IndexMap<String, String>,
    /// What is to be done after the last step.
    pub(super) post: Option<Post>,
}

impl Ran {
    pub(super) fn of(end: StepEnd) -> Self {
        Self { end, outputs: IndexMap::new(), state: IndexMap::new(), post: None }
    }

    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self::of(StepEnd::failed(reason))
    }
}

impl Steps<'_> {
    /// Runs a step of the job itself: with its own records and its own log.
    pub(super) async fn top_level(&mut self, frame: &mut StepScope, step: &StepRef, number: StepNumber) -> StepEnd {
        let outlet = &self.place.shared.outlet;
        let mut log = Arc::clone(outlet).log(&self.place.id, number);
        let end = self.step(frame, step, &mut *log, number).await;
        log.finish();
        outlet.record(end.event(&self.place.id, number));
        end
    }

    /// Runs a step. Steps of composite actions share the record and the log of the step that uses the action.
    pub(super) async fn step(
        &mut self,
        frame: &mut StepScope,
        step: &StepRef,
        log: &mut dyn StepLog,
        number: StepNumber,
    ) -> StepEnd {
        if self.stop.is_cancelled() {
            frame.status = Status::Cancelled;
        }
        let Ran { mut end, outputs, post, .. } =
            match self.prepare(frame, step, Condition::Written(&step.condition), Some(number)) {
                Err(end) => Ran::of(end),
                Ok(ready) => {
                    if frame.action.is_none() {
                        let (job, name) = (self.place.id.clone(), ready.name.clone());
                        self.place.shared.outlet.record(Event::StepStarted { job, step: number, name });
                    }
                    let own = ready.timeout.map(|timeout| Instant::now() + timeout);
                    let deadline = [own, frame.deadline].into_iter().flatten().min();
                    let task = Task { step, ready: &ready, number, deadline };
                    Box::pin(self.carry_out(frame, &task, log)).await
                }
            };
        if let Some(post) = post {
            Post::add(post, &mut frame.posts);
        }
        if end.outcome == Conclusion::Failure {
            self.allow_failure(frame, step, &mut end);
        }
        // Ids that the parser made up are not part of the `steps` context.
        if !step.id.starts_with("__") {
            let result = StepResult { outputs, outcome: end.outcome, conclusion: end.conclusion };
            frame.steps.insert(step.id.clone(), result);
        }
        if self.stop.is_cancelled() {
            frame.status = Status::Cancelled;
        }
        frame.status.merge(end.conclusion);
        end
    }

    /// The contexts of a frame's steps.
    pub(super) fn contexts(&self, frame: &StepScope) -> Contexts {
        let mut contexts = self.place.contexts.clone();
        let mut env = self.env.clone();
        env.extend(frame.overlay.clone());
        contexts.set("env", context::env(&env));
        contexts.set("steps", context::steps(&frame.steps));
        contexts.set("job", context::job(frame.status, &self.place.job_facts()));
        if let Some(action) = &frame.action {
            contexts.set("inputs", action.inputs.clone());
            let mut github = action.github.clone();
            github.insert("action_status", Value::string(frame.status.word()));
            contexts.set("github", Value::object(github));
        }
        contexts
    }

    /// Evaluates what stands before the step itself: environment, condition, name, timeout.
    pub(super) fn prepare(
        &mut self,
        frame: &StepScope,
        step: &StepDefinition,
        condition: Condition<'_>,
        number: Option<StepNumber>,
    ) -> Result<Ready, StepEnd> {
        let host = WorkspaceFiles::at(&self.place.workspace);
        let mut contexts = self.contexts(frame);
        let mut overlay = frame.overlay.clone();
        if let Some(own) = &step.env {
            let scope = Scope { contexts: &contexts, status: frame.functions(), host: &host };
            let own = own.texts(&scope).map_err(|error| StepEnd::failed(format!("`env`: {error}")))?;
            overlay.extend(own);
            let mut env = self.env.clone();
            env.extend(overlay.clone());
            contexts.set("env", context::env(&env));
        }
        let under = |status| Scope { contexts: &contexts, status, host: &host };
        let decided = match condition {
            Condition::Always => Ok(true),
            Condition::Written(condition) => {
                let (holds, explanation) = condition.decide(&under(frame.functions()));
                if let (Some(explanation), Some(step), None) = (explanation, number, &frame.action) {
                    let job = self.place.id.clone();
                    self.place.shared.outlet.record(Event::Decided { job, step: Some(step), explanation });
                }
                holds
            }
        };
        match decided {
            Ok(true) if !self.stop.is_over() => {}
            Ok(_) => {
                return Err(StepEnd {
                    reason: Some(self.why_skipped(frame, condition)),
                    ..StepEnd::of(Conclusion::Skipped)
                });
            }
            Err(error) => return Err(StepEnd::failed(format!("`if`: {error}"))),
        }
        let in_cancelled_job = Functions { success: false, failure: false, cancelled: true };
        let survives_cancel = match condition {
            Condition::Always => true,
            Condition::Written(condition) => {
                condition.expr.evaluate(&under(in_cancelled_job)).is_ok_and(|value| value.is_truthy())
            }
        };
        let scope = under(frame.functions());
        let timeout = step.timeout_minutes.as_ref().map(|limit| limit.minutes(&scope)).transpose();
        let timeout = timeout.map_err(|error| StepEnd::failed(error.to_string()))?;
        let name = display_names::step_name(step, &scope);
        Ok(Ready { contexts, overlay, name, survives_cancel, timeout })
    }

    fn why_skipped(&mut self, frame: &StepScope, condition: Condition<'_>) -> String {
        let written = match condition {
            Condition::Always => None,
            Condition::Written(condition) => condition.written.as_ref(),
        };
        match (written, frame.status) {
            _ if self.stop.is_over() => "the job was ended".to_owned(),
            (Some(written), _) => format!("`if: {}` was false", written.value.trim()),
            (None, Status::Cancelled) => "the job was cancelled".to_owned(),
            (None, _) => "an earlier step failed".to_owned(),
        }
    }

    async fn carry_out(&mut self, frame: &StepScope, task: &Task<'_>, log: &mut dyn StepLog) -> Ran {
        match &task.step.action {
            StepAction::Run { script, shell, working_directory } => {
                let run = script::Run { script, shell: shell.as_ref(), working_directory: working_directory.as_ref() };
                script::run(self, frame, task, &run, log).await
            }
            StepAction::Uses { .. } => actions::run(self, frame, task, log).await,
            StepAction::Steer(steering) => Ran::failed(format!("`{}` does not run in this version", steering.key())),
        }
    }

    /// `continue-on-error` is looked at only when the step failed.
    fn allow_failure(&self, frame: &StepScope, step: &StepDefinition, end: &mut StepEnd) {
        let Some(allowed) = &step.continue_on_error else { return };
        let contexts = self.contexts(frame);
        let host = WorkspaceFiles::at(&self.place.workspace);
        let scope = Scope { contexts: &contexts, status: frame.functions(), host: &host };
        match allowed.evaluate(&scope) {
            Ok(value) if value.is_truthy() => end.conclusion = Conclusion::Success,
            Ok(_) => {}
            Err(error) => end.reason = Some(format!("`continue-on-error`: {error}")),
        }
    }

    /// Where a step's programs are looked for.
    pub(super) fn search_path(&self, overlay: &IndexMap<String, String>) -> OsString {
        let own = overlay.get("PATH").or_else(|| self.env.get("PATH")).map(OsStr::new);
        let machine = self.place.sandbox.environment();
        let machine = machine.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
        env::search_path(own.or(machine), &self.path)
    }

    /// Takes in what a step's process left for the steps after it.
    pub(super) fn take_in(&mut self, number: StepNumber, left: &mut Left) {
        self.env.extend(std::mem::take(&mut left.env));
        for folder in std::mem::take(&mut left.path) {
            self.path.retain(|known| *known != folder);
            self.path.insert(0, folder);
        }
        if !left.summary.is_empty() {
            self.place.shared.outlet.summary(&self.place.id, number, &left.summary);
        }
    }
}
