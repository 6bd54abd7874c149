//! The task of one job: prepares its environment, runs its steps, reports its outputs, leaves nothing behind.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::actions::posts;
use crate::engine::actions::resolve::Actions;
use crate::engine::cancel::{CancelWatch, Cancellation, cancelled};
use crate::engine::checkpoint::Checkpoint;
use crate::engine::step::matcher::Matchers;
use crate::engine::step::{StepEnd, StepRef, StepScope, Steps};
use crate::engine::workspace::hash_files::WorkspaceFiles;
use crate::engine::{RunContext, checkpoint};
use crate::model::{Conclusion, Event, LineRange, StepKind, StepNumber, StepOutline};
use crate::workflow::display_names;
use crate::workflow::expr::{NoFiles, Scope, Value};
use crate::workflow::syntax::{JobBody, RunDefaults, StepsJob};

use super::end::JobEnd;
use super::environment::{Folders, JobEnvironment};
use super::preflight;
use super::preflight::Ready;
use super::runner_steps::{CANCELLED, RunnerStep, StepSequence};
use super::spec::JobSpec;

/// GitHub's limit for a job without `timeout-minutes`.
const DEFAULT_TIMEOUT: Duration = Duration::from_hours(6);

/// A job about to run.
pub(in crate::engine) struct JobTask {
    run: Arc<RunContext>,
    job: JobSpec,
    cancellation: watch::Receiver<Cancellation>,
}

impl JobTask {
    /// A task for a job that ends early when `cancellation` asks for it.
    pub(in crate::engine) fn new(
        run: Arc<RunContext>,
        job: JobSpec,
        cancellation: watch::Receiver<Cancellation>,
    ) -> Self {
        Self { run, job, cancellation }
    }

    /// Runs the job, and records how it ended.
    pub(in crate::engine) async fn run(self) -> JobEnd {
        let definition = Arc::clone(&self.job.definition);
        let JobBody::Steps(body) = &definition.body else {
            return JobEnd {
                reason: Some("a calling job runs no steps".to_owned()),
                ..JobEnd::of(Conclusion::Failure)
            };
        };
        // Images, actions and ports may be a long wait, and nothing of the job has started yet.
        let ready = tokio::select! {
            ready = preflight::ready(&self.run, &self.job, body) => ready,
            () = cancelled(self.cancellation.clone(), self.job.ignores_cancel) => {
                let reason = Some("cancelled before it started".to_owned());
                Err(JobEnd { reason, ..JobEnd::of(Conclusion::Cancelled) })
            }
        };
        let end = match ready {
            Err(end) => end,
            Ok(ready) => self.carry_out(body, ready).await,
        };
        self.run.outlet.record(end.event(&self.job.id));
        end
    }

    async fn carry_out(&self, body: &StepsJob, mut ready: Ready) -> JobEnd {
        let outlet = Arc::clone(&self.run.outlet);
        let sandbox = match &ready.container {
            Some(container) => format!("docker {}", container.image),
            None => self.run.host.describe(),
        };
        outlet.record(Event::JobStarted { job: self.job.id.clone(), name: self.job.name.clone(), sandbox });
        let mut line = StepSequence::default();
        let set_up = line.add("Set up job", StepKind::Job);
        let containers = !ready.services.is_empty() || ready.container.is_some();
        let initialize = containers.then(|| line.add("Initialize containers", StepKind::Job));
        let planned = self.outline(body, &ready.actions, line.clone());
        outlet.record(Event::StepsPlanned { job: self.job.id.clone(), steps: planned });

        let folders = Folders::of(&self.run, &self.job.id);
        let made = folders.make(&self.run, self.job.resumed.is_some());
        let made = made.map_err(|error| format!("cannot make the job's folder {}: {error}", folders.root.display()));
        let mut step = self.begin(set_up, "Set up job");
        for line in std::mem::take(&mut ready.remarks) {
            step.say(&line);
        }
        if let Err(reason) = step.end(made) {
            return JobEnd { reason: Some(reason), ..JobEnd::of(Conclusion::Failure) };
        }
        let mut place = self.place(&folders, &mut ready);
        let started = match initialize {
            None => Ok(()),
            Some(number) => {
                let mut step = self.begin(number, "Initialize containers");
                // What is wrong with the limit is told before the first step.
                let limit = Self::limit(body, &self.job.scope()).unwrap_or(DEFAULT_TIMEOUT);
                let started = {
                    let mut say = |line: &str| step.say(line);
                    tokio::select! {
                        started = place.start(&ready, &folders, &mut say) => started,
                        // What was started is found by its labels.
                        () = cancelled(self.cancellation.clone(), self.job.ignores_cancel) => Err(CANCELLED.to_owned()),
                        () = tokio::time::sleep(limit) => Err("the job's time was up before its first step".to_owned()),
                    }
                };
                step.end(started)
            }
        };
        self.tell_finished();
        let steps_ran = started.is_ok();
        let (mut end, told) = match started {
            Ok(()) => self.run_steps(body, &place, &mut line).await,
            Err(reason) => {
                let conclusion = if reason == CANCELLED { Conclusion::Cancelled } else { Conclusion::Failure };
                (JobEnd { reason: Some(reason), ..JobEnd::of(conclusion) }, None)
            }
        };
        if steps_ran && end.conclusion == Conclusion::Failure {
            // A service that died is likelier the cause than the consequence.
            for trouble in place.troubles() {
                let told = end.reason.take().map(|reason| format!("{reason}; {trouble}"));
                end.reason = Some(told.unwrap_or(trouble));
            }
        }
        if matches!(end.conclusion, Conclusion::Failure | Conclusion::TimedOut) {
            place.keep().await;
        }
        self.take_down(&mut place, containers, &mut line, &mut end).await;
        if let Some(told) = told {
            let name = "Complete job";
            let number = line.add(name, StepKind::Job);
            outlet.record(Event::StepsPlanned { job: self.job.id.clone(), steps: line.last() });
            self.begin(number, name).close(&told);
        }
        if let Some(missed) = place.leave_nothing().await {
            end.reason.get_or_insert(missed);
        }
        end
    }

    /// "Stop containers", and whatever else the job made in an engine.
    async fn take_down(&self, place: &mut JobEnvironment, containers: bool, line: &mut StepSequence, end: &mut JobEnd) {
        let settled = end.conclusion != Conclusion::Cancelled;
        let stopped = if containers {
            let number = line.add("Stop containers", StepKind::Job);
            self.run.outlet.record(Event::StepsPlanned { job: self.job.id.clone(), steps: line.last() });
            let mut step = self.begin(number, "Stop containers");
            let stopped = place.stop(settled, &mut |line| step.say(line)).await;
            // The job's own work is done; what is left is found by its labels.
            if let Err(reason) = &stopped {
                step.say(&format!("##[warning]{reason}"));
            }
            drop(step.end(Ok(())));
            stopped
        } else {
            place.stop(settled, &mut |_| ()).await
        };
        if let Err(reason) = stopped {
            let told = end.reason.take().map(|told| format!("{told}; {reason}"));
            end.reason = Some(told.unwrap_or(reason));
        }
    }

    /// How long the job's steps may take, and before them its containers.
    fn limit(body: &StepsJob, scope: &Scope<'_>) -> Result<Duration, String> {
        let limit = body.timeout_minutes.as_ref().map(|limit| limit.minutes(scope)).transpose();
        limit.map(|limit| limit.unwrap_or(DEFAULT_TIMEOUT)).map_err(|error| error.to_string())
    }

    /// Begins a step of the runner's own.
    fn begin(&self, number: StepNumber, name: &str) -> RunnerStep {
        RunnerStep::begin(&self.run.outlet, &self.job.id, number, name)
    }

    /// The steps as they are known before the first: the runner's own, and those of the file. What actions do around
    /// them is added when it is known.
    fn outline(&self, body: &StepsJob, actions: &Actions, mut line: StepSequence) -> Vec<StepOutline> {
        let scope = self.job.scope();
        for step in body.steps.iter().filter(|step| posts::with_pre(actions, step).is_some()) {
            line.add(&format!("Pre {}", display_names::step_name(step, &scope)), StepKind::Pre);
        }
        for step in &body.steps {
            line.add(&display_names::step_name(step, &scope), StepKind::Main);
        }
        line.steps
    }

    /// Tells again of the steps that an earlier attempt ended: this attempt is to be read on its own.
    fn tell_finished(&self) {
        let Some(resumed) = &self.job.resumed else { return };
        let outlet = &self.run.outlet;
        for step in &resumed.finished {
            let (job, number) = (self.job.id.clone(), step.number);
            if step.started.is_some() {
                outlet.record(Event::StepStarted { job: job.clone(), step: number, name: step.name.clone() });
            }
            if step.lines > 0 {
                let output = LineRange { first: 0, count: step.lines };
                outlet.record(Event::Output { job, step: number, output });
            }
            let conclusion = step.phase.conclusion().unwrap_or(Conclusion::Skipped);
            let end = StepEnd {
                outcome: step.outcome.unwrap_or(conclusion),
                conclusion,
                exit_code: step.exit_code,
                signal: step.signal,
                reason: step.reason.clone().or_else(|| Some(resumed.why.clone())),
            };
            outlet.record(end.event(&self.job.id, number));
        }
    }

    fn place(&self, folders: &Folders, ready: &mut Ready) -> JobEnvironment {
        let mut contexts = self.job.contexts.clone();
        let mut github = self.run.github.clone();
        github.insert("job".to_owned(), Value::string(self.job.definition.id.value.clone()));
        contexts.set("github", Value::object(github));
        let (own, outer) = match &self.job.definition.body {
            JobBody::Steps(body) => (&body.defaults, &self.job.workflow.defaults),
            JobBody::Call { .. } => (&self.job.workflow.defaults, &self.job.workflow.defaults),
        };
        let defaults = RunDefaults {
            shell: own.shell.clone().or_else(|| outer.shell.clone()),
            working_directory: own.working_directory.clone().or_else(|| outer.working_directory.clone()),
        };
        JobEnvironment::new(
            &self.run,
            &self.job.id,
            folders,
            ready,
            preflight::labels(&self.run, &self.job.id),
            contexts,
            defaults,
        )
    }

    async fn run_steps(
        &self,
        body: &StepsJob,
        place: &JobEnvironment,
        line: &mut StepSequence,
    ) -> (JobEnd, Option<StepEnd>) {
        let failed = |reason| (JobEnd { reason: Some(reason), ..JobEnd::of(Conclusion::Failure) }, None);
        let host = WorkspaceFiles::at(&place.workspace);
        let scope = Scope { contexts: &place.contexts, status: self.job.status, host: &host };
        let timeout = match Self::limit(body, &scope) {
            Ok(timeout) => timeout,
            Err(reason) => return failed(reason),
        };
        let start = match self.start(body, &scope) {
            Ok(start) => start,
            Err(reason) => return failed(reason),
        };
        let stop = CancelWatch::new(self.cancellation.clone(), self.job.ignores_cancel, Instant::now() + timeout);
        let mut steps = Steps {
            place,
            stop,
            env: start.env,
            path: start.path,
            matchers: Matchers::default(),
            states: start.states,
            registered: HashSet::new(),
            failed: None,
        };
        let mut frame = StepScope { steps: start.steps, status: start.status, ..StepScope::default() };
        let all: Vec<_> = (0..body.steps.len()).map(|index| StepRef::of_job(&self.job.definition, index)).collect();
        let mut reason = self.before(&all, &mut steps, &mut frame, line).await;
        let mut take = |end: StepEnd| {
            if reason.is_none() && end.conclusion == Conclusion::Failure {
                reason = end.reason;
            }
        };
        for (index, step) in all.iter().enumerate() {
            let number = line.add(&display_names::step_name(step, &scope), StepKind::Main);
            if index < start.done {
                posts::again(&mut steps, &mut frame, step);
                continue;
            }
            take(steps.top_level(&mut frame, step, number).await);
            self.checkpoint(index + 1, &frame, &steps);
        }
        for post in std::mem::take(&mut frame.posts).into_iter().rev() {
            let name = format!("Post {}", post.name);
            let number = line.add(&name, StepKind::Post);
            self.run.outlet.record(Event::StepsPlanned { job: self.job.id.clone(), steps: line.last() });
            let mut step = self.begin(number, &name);
            if steps.stop.is_cancelled() {
                frame.status = checkpoint::Status::Cancelled;
            }
            let end = posts::after(&mut steps, &mut frame, post, step.log(), number).await;
            if steps.stop.is_cancelled() {
                frame.status = checkpoint::Status::Cancelled;
            }
            step.close(&end);
            take(end);
        }
        let conclusion = match frame.status {
            _ if steps.stop.timed_out() => Conclusion::TimedOut,
            checkpoint::Status::Success => Conclusion::Success,
            checkpoint::Status::Failure => Conclusion::Failure,
            checkpoint::Status::Cancelled => Conclusion::Cancelled,
        };
        if conclusion == Conclusion::TimedOut {
            reason = Some(format!("the job took longer than its {} minutes", timeout.as_secs_f64() / 60.0));
        }
        self.complete(body, &steps, &frame, JobEnd { reason, ..JobEnd::of(conclusion) })
    }

    /// What actions of other repositories do before the first step. Returns why the first that failed did.
    async fn before(
        &self,
        all: &[StepRef],
        steps: &mut Steps<'_>,
        frame: &mut StepScope,
        line: &mut StepSequence,
    ) -> Option<String> {
        let with_pre: Vec<_> =
            all.iter().filter(|step| posts::with_pre(&steps.place.actions, step).is_some()).collect();
        let mut reason = None;
        for step in with_pre {
            let scope = Scope { contexts: &steps.place.contexts, status: self.job.status, host: &NoFiles };
            let name = format!("Pre {}", display_names::step_name(step, &scope));
            let number = line.add(&name, StepKind::Pre);
            let mut own = self.begin(number, &name);
            let end = posts::before(steps, frame, step, own.log(), number).await;
            own.close(&end);
            if end.conclusion == Conclusion::Failure {
                reason = reason.or(end.reason);
            }
        }
        reason
    }

    /// The environment of the workflow and the job, or the state that a lost worker left.
    fn start(&self, body: &StepsJob, scope: &Scope<'_>) -> Result<Checkpoint, String> {
        if let Some(resumed) = &self.job.resumed {
            return Ok(resumed.checkpoint.clone());
        }
        let mut start = Checkpoint::default();
        for (env, whose) in [(&self.job.workflow.env, "workflow"), (&body.env, "job")] {
            let Some(env) = env else { continue };
            let texts = env.texts(scope).map_err(|error| {
                let place = error.span;
                format!(
                    "{}:{}:{}: `env` of the {whose}: {error}",
                    self.job.workflow.source.name, place.line, place.column
                )
            })?;
            start.env.extend(texts);
        }
        Ok(start)
    }

    /// What the job gives: outputs, the environment's address, `continue-on-error`; and how "Complete job" ends.
    fn complete(
        &self,
        body: &StepsJob,
        steps: &Steps<'_>,
        frame: &StepScope,
        mut end: JobEnd,
    ) -> (JobEnd, Option<StepEnd>) {
        let outlet = &self.run.outlet;
        let contexts = steps.contexts(frame);
        let host = WorkspaceFiles::at(&steps.place.workspace);
        let scope = Scope { contexts: &contexts, status: frame.functions(), host: &host };
        let mut wrong = None;
        for (name, value) in &body.outputs {
            match value.evaluate(&scope).map(|value| value.to_text()) {
                // As on GitHub: an output that may hold a secret is dropped.
                Ok(text) if outlet.holds_secret(&text) => {}
                Ok(text) => drop(end.outputs.insert(name.value.clone(), text)),
                Err(error) => wrong = Some(format!("output `{}`: {error}", name.value)),
            }
        }
        let url = body.environment.as_ref().and_then(|environment| environment.entry("url"));
        match url.map(|url| url.evaluate(&scope)).transpose() {
            Ok(url) => end.environment_url = url.map(|url| url.to_text()).filter(|url| !url.is_empty()),
            Err(error) => wrong = Some(format!("`environment.url`: {error}")),
        }
        match body.continue_on_error.as_ref().map(|allowed| allowed.evaluate(&scope)).transpose() {
            Ok(allowed) => {
                let failed = matches!(end.conclusion, Conclusion::Failure | Conclusion::TimedOut);
                end.allowed_failure = failed && allowed.is_some_and(|value| value.is_truthy());
            }
            Err(error) => wrong = Some(format!("`continue-on-error`: {error}")),
        }
        let told = wrong.clone().map_or_else(|| StepEnd::of(Conclusion::Success), StepEnd::failed);
        if let Some(wrong) = wrong {
            end.conclusion = Conclusion::Failure;
            end.reason.get_or_insert(wrong);
        }
        (end, Some(told))
    }

    /// Writes down how the job stands, so that it can go on if the worker is lost.
    fn checkpoint(&self, done: usize, frame: &StepScope, steps: &Steps<'_>) {
        let now = Checkpoint {
            done,
            status: frame.status,
            env: steps.env.clone(),
            path: steps.path.clone(),
            steps: frame.steps.clone(),
            states: steps.states.clone(),
            failed: steps.failed.clone(),
            not_resumable: steps.place.has_containers().then(|| "its containers and services are gone".to_owned()),
        };
        let outlet = &self.run.outlet;
        outlet.checkpoint(&self.job.id, &now.sealed(&self.run.facts.secrets, &|text| outlet.holds_secret(text)));
    }
}
