//! One job: prepares its place, runs its steps, tells its outputs, leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::{Conclusion, Event, JobId, LineRange, StepKind, StepNumber, StepOutline};
use crate::workflow::expr::{Contexts, NoFiles, Object, Scope, Status, Value};
use crate::workflow::names;
use crate::workflow::syntax::{JobBody, JobDefinition, RunDefaults, StepsJob, Workflow};

use super::checkpoint::Checkpoint;
use super::hash_files::Workspace;
use super::matcher::Matchers;
use super::steps::{Frame, StepEnd, Steps};
use super::stop::{Stop, StopRule};
use super::{Resumed, Shared, checkpoint, context, labels, preflight, steps};

/// GitHub's limit for a job without `timeout-minutes`.
const DEFAULT_TIMEOUT: Duration = Duration::from_hours(6);

/// How a job ended.
#[derive(Clone, Debug)]
pub(super) struct JobEnd {
    /// Its conclusion.
    pub(super) conclusion: Conclusion,
    /// Whether its `continue-on-error` lets the run go on.
    pub(super) allowed_failure: bool,
    /// Why, in words.
    pub(super) reason: Option<String>,
    /// Its outputs.
    pub(super) outputs: IndexMap<String, String>,
    /// `environment.url`.
    pub(super) environment_url: Option<String>,
    /// Why it cannot run on this machine, when that is so: the run is then no success.
    pub(super) not_runnable: Option<String>,
}

impl JobEnd {
    /// An end with nothing to tell but how.
    #[must_use]
    pub(super) fn of(conclusion: Conclusion) -> Self {
        Self {
            conclusion,
            allowed_failure: false,
            reason: None,
            outputs: IndexMap::new(),
            environment_url: None,
            not_runnable: None,
        }
    }

    /// The fact that readers are told.
    #[must_use]
    pub(super) fn event(&self, job: &JobId) -> Event {
        Event::JobFinished {
            job: job.clone(),
            conclusion: self.conclusion,
            allowed_failure: self.allowed_failure,
            reason: self.reason.clone(),
            outputs: self.outputs.clone(),
            environment_url: self.environment_url.clone(),
        }
    }
}

/// A job about to run.
pub(super) struct JobTask {
    pub(super) shared: Arc<Shared>,
    pub(super) id: JobId,
    pub(super) name: String,
    pub(super) definition: Arc<JobDefinition>,
    pub(super) workflow: Arc<Workflow>,
    /// `github needs strategy matrix secrets vars inputs`.
    pub(super) contexts: Contexts,
    /// Whether the run had been cancelled before the job began (`if: always()`): then the cancel is not meant for it.
    pub(super) cancelled_at_start: bool,
    /// What the status functions answered when its `if` was decided.
    pub(super) job_status: Status,
    pub(super) stop: watch::Receiver<Stop>,
    pub(super) resumed: Option<Resumed>,
}

/// Where a job's files are, and everything else that its steps share and do not change.
pub(super) struct Place {
    pub(super) shared: Arc<Shared>,
    pub(super) id: JobId,
    /// The working directory of its steps.
    pub(super) workspace: PathBuf,
    /// `RUNNER_TEMP`.
    pub(super) temp: PathBuf,
    pub(super) github: Object,
    pub(super) runner: Object,
    /// `github needs strategy matrix secrets vars inputs runner`.
    pub(super) contexts: Contexts,
    /// `defaults.run` of the job over the workflow's.
    pub(super) defaults: RunDefaults,
    /// Marks every process of the job.
    pub(super) tracking_id: String,
}

impl JobTask {
    /// Runs the job and tells how it ended.
    pub(super) async fn run(mut self) -> JobEnd {
        let definition = Arc::clone(&self.definition);
        let JobBody::Steps(body) = &definition.body else {
            return JobEnd {
                reason: Some("a calling job runs no steps".to_owned()),
                ..JobEnd::of(Conclusion::Failure)
            };
        };
        let end = match self.refusal(body) {
            Some(end) => end,
            None => self.carry_out(body).await,
        };
        self.shared.outlet.record(end.event(&self.id));
        end
    }

    /// Why the job must not even start.
    fn refusal(&self, body: &StepsJob) -> Option<JobEnd> {
        let scope = Scope { contexts: &self.contexts, status: self.job_status, host: &NoFiles };
        if let Err(reason) = labels::place(body, &scope, &self.shared.options) {
            return Some(JobEnd {
                reason: Some(format!("not runnable here ({reason})")),
                not_runnable: Some(reason),
                ..JobEnd::of(Conclusion::Skipped)
            });
        }
        let missing = preflight::missing_actions(&body.steps, &self.shared.repository, &self.shared.facts.repository);
        missing.map(|reason| JobEnd { reason: Some(reason), ..JobEnd::of(Conclusion::Failure) })
    }

    async fn carry_out(&mut self, body: &StepsJob) -> JobEnd {
        let outlet = Arc::clone(&self.shared.outlet);
        let sandbox = self.shared.sandbox.describe();
        outlet.record(Event::JobStarted { job: self.id.clone(), name: self.name.clone(), sandbox });
        outlet.record(Event::StepsPlanned { job: self.id.clone(), steps: self.outline(body) });
        let place = match self.set_up() {
            Ok(place) => place,
            Err(reason) => return JobEnd { reason: Some(reason), ..JobEnd::of(Conclusion::Failure) },
        };
        self.tell_finished();
        let mut end = self.run_steps(body, &place).await;
        if let Some(missed) = place.leave_nothing().await {
            end.reason.get_or_insert(missed);
        }
        end
    }

    /// The steps as they are known before the first: GitHub's two of its own around those of the file.
    fn outline(&self, body: &StepsJob) -> Vec<StepOutline> {
        let scope = Scope { contexts: &self.contexts, status: self.job_status, host: &NoFiles };
        let number = |count: usize| StepNumber(count as u32);
        let mut steps = vec![StepOutline { number: number(1), name: "Set up job".to_owned(), kind: StepKind::Job }];
        for (index, step) in body.steps.iter().enumerate() {
            let name = names::step_name(step, &scope);
            steps.push(StepOutline { number: number(index + 2), name, kind: StepKind::Main });
        }
        let last = number(body.steps.len() + 2);
        steps.push(StepOutline { number: last, name: "Complete job".to_owned(), kind: StepKind::Job });
        steps
    }

    /// Tells again of the steps that ended before the worker was lost: this attempt is to be read on its own.
    fn tell_finished(&self) {
        let Some(resumed) = &self.resumed else { return };
        let outlet = &self.shared.outlet;
        for step in &resumed.finished {
            let (job, number) = (self.id.clone(), step.number);
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
                reason: step.reason.clone().or_else(|| Some("done before the worker was lost".to_owned())),
            };
            outlet.record(end.event(&self.id, number));
        }
    }

    /// Makes the job's folders and its event file.
    fn set_up(&self) -> Result<Place, String> {
        let number = StepNumber(1);
        let started = Event::StepStarted { job: self.id.clone(), step: number, name: "Set up job".to_owned() };
        self.shared.outlet.record(started);
        let ready = self.place();
        let end = match &ready {
            Ok(_) => StepEnd::of(Conclusion::Success),
            Err(reason) => StepEnd { reason: Some(reason.clone()), ..StepEnd::of(Conclusion::Failure) },
        };
        self.shared.outlet.record(end.event(&self.id, number));
        ready
    }

    fn place(&self) -> Result<Place, String> {
        let shared = &self.shared;
        let name = shared.facts.repository.rsplit('/').next().unwrap_or("work");
        let root = shared.work.join(self.id.as_str());
        let (parent, workspace) = if shared.options.in_place {
            (shared.repository.parent().unwrap_or(&shared.repository).to_owned(), shared.repository.clone())
        } else {
            (root.join(name), root.join(name).join(name))
        };
        let temp = root.join("_temp");
        let event_path = temp.join("_github_workflow").join("event.json");
        let made = (|| {
            // A job that goes on keeps its workspace and nothing else.
            match fs::remove_dir_all(&temp) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            if self.resumed.is_none() && !shared.options.in_place && workspace.exists() {
                fs::remove_dir_all(&workspace)?;
            }
            fs::create_dir_all(&workspace)?;
            fs::create_dir_all(event_path.parent().expect("the event file has a folder"))?;
            fs::write(&event_path, serde_json::to_vec(&shared.facts.event)?)
        })();
        made.map_err(|error: std::io::Error| format!("cannot make the job's folder {}: {error}", root.display()))?;

        let text = |path: &Path| Value::string(path.to_string_lossy().into_owned());
        let mut github = shared.github.clone();
        github.insert("job".to_owned(), Value::string(self.definition.id.value.clone()));
        github.insert("workspace".to_owned(), text(&workspace));
        github.insert("event_path".to_owned(), text(&event_path));
        let runner = context::runner(&temp, &shared.tool_cache, &parent, shared.options.debug);
        let mut contexts = self.contexts.clone();
        contexts.set("github", Value::object(github.clone()));
        contexts.set("runner", Value::object(runner.clone()));
        let (own, outer) = match &self.definition.body {
            JobBody::Steps(body) => (&body.defaults, &self.workflow.defaults),
            JobBody::Call { .. } => (&self.workflow.defaults, &self.workflow.defaults),
        };
        let defaults = RunDefaults {
            shell: own.shell.clone().or_else(|| outer.shell.clone()),
            working_directory: own.working_directory.clone().or_else(|| outer.working_directory.clone()),
        };
        Ok(Place {
            shared: Arc::clone(shared),
            id: self.id.clone(),
            workspace,
            temp,
            github,
            runner,
            contexts,
            defaults,
            tracking_id: shared.tracking_id(&self.id),
        })
    }

    async fn run_steps(&mut self, body: &StepsJob, place: &Place) -> JobEnd {
        let failed = |reason| JobEnd { reason: Some(reason), ..JobEnd::of(Conclusion::Failure) };
        let host = Workspace::at(&place.workspace);
        let scope = Scope { contexts: &place.contexts, status: self.job_status, host: &host };
        let timeout = match body.timeout_minutes.as_ref().map(|minutes| steps::minutes(minutes, &scope)).transpose() {
            Ok(timeout) => timeout.unwrap_or(DEFAULT_TIMEOUT),
            Err(reason) => return failed(reason),
        };
        let start = match self.start(body, &scope) {
            Ok(start) => start,
            Err(reason) => return failed(reason),
        };
        let stop = StopRule::new(self.stop.clone(), self.cancelled_at_start, Instant::now() + timeout);
        let mut steps = Steps { place, stop, env: start.env, path: start.path, matchers: Matchers::default() };
        let mut frame = Frame { steps: start.steps, status: start.status, ..Frame::default() };
        let mut reason = None;
        for (index, step) in body.steps.iter().enumerate().skip(start.done) {
            let end = steps.top_level(&mut frame, step, StepNumber(index as u32 + 2)).await;
            if reason.is_none() && end.conclusion == Conclusion::Failure {
                reason = end.reason;
            }
            self.checkpoint(index + 1, &frame, &steps);
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

    /// The environment of the workflow and the job, or the state that a lost worker left.
    fn start(&self, body: &StepsJob, scope: &Scope<'_>) -> Result<Checkpoint, String> {
        if let Some(resumed) = &self.resumed {
            return Ok(resumed.checkpoint.clone());
        }
        let mut start = Checkpoint::default();
        for (env, whose) in [(&self.workflow.env, "workflow"), (&body.env, "job")] {
            let Some(env) = env else { continue };
            let value = env.evaluate(scope).map_err(|error| {
                let place = error.span;
                format!("{}:{}:{}: `env` of the {whose}: {error}", self.workflow.source.name, place.line, place.column)
            })?;
            start.env.extend(steps::texts(&value));
        }
        Ok(start)
    }

    /// "Complete job": outputs, the environment's address, `continue-on-error`.
    fn complete(&self, body: &StepsJob, steps: &Steps<'_>, frame: &Frame, mut end: JobEnd) -> JobEnd {
        let outlet = &self.shared.outlet;
        let number = StepNumber(body.steps.len() as u32 + 2);
        let name = "Complete job".to_owned();
        outlet.record(Event::StepStarted { job: self.id.clone(), step: number, name });
        let contexts = steps.contexts(frame);
        let host = Workspace::at(&steps.place.workspace);
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
        let url = body.environment.as_ref().and_then(|environment| steps::entry(environment, "url"));
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
        outlet.record(told.event(&self.id, number));
        if let Some(wrong) = wrong {
            end.conclusion = Conclusion::Failure;
            end.reason.get_or_insert(wrong);
        }
        end
    }

    /// Writes down how the job stands, so that it can go on if the worker is lost.
    fn checkpoint(&self, done: usize, frame: &Frame, steps: &Steps<'_>) {
        let now = Checkpoint {
            done,
            status: frame.status,
            env: steps.env.clone(),
            path: steps.path.clone(),
            steps: frame.steps.clone(),
            not_resumable: None,
        };
        let outlet = &self.shared.outlet;
        outlet.checkpoint(&self.id, &now.sealed(&self.shared.facts.secrets, &|text| outlet.holds_secret(text)));
    }
}

impl Place {
    /// Ends every process of the job that is still there, and empties its temp folder, which may hold secrets.
    async fn leave_nothing(&self) -> Option<String> {
        self.shared.sandbox.reap(&self.tracking_id).await;
        match fs::remove_dir_all(&self.temp) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Some(format!("cannot empty {}: {error}", self.temp.display()))
            }
            _ => None,
        }
    }
}
