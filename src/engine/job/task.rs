//! Task of one job: prepares its environment, runs its steps, and cleans up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::engine::RunContext;
use crate::engine::actions::resolve;
use crate::engine::actions::resolve::{Actions, WorkflowRepository};
use crate::engine::cancel::{Cancellation, cancelled};
use crate::engine::environments::{EnvironmentError, JobDeployment};
use crate::engine::panics::caught;
use crate::engine::results::oidc::JobClaims;
use crate::engine::results::{CacheMode, Rights};
use crate::engine::sandbox::provider::ProviderError;
use crate::engine::slot::Slot;
use crate::engine::step::end::StepEnd;
use crate::model::service::STOP_STEP;
use crate::model::{Conclusion, Event, LineRange, StepKind, StepNumber, StepOutline};
use crate::store::space_hint;
use crate::workflow::display_names;
use crate::workflow::expr::{Object, Scope, Value};
use crate::workflow::outline;
use crate::workflow::syntax::{JobBody, RunDefaults, StepsJob};
use crate::workflow::template::MinutesError;

use super::end::JobEnd;
use super::environment::JobEnvironment;
use super::folders::{FolderOptions, Folders};
use super::preflight;
use super::preflight::Ready;
use super::runner_steps::{RunnerStep, RunnerStepError, StepSequence};
use super::spec::JobSpec;
use super::steps::background;
use super::steps::scope::StepRef;

/// Returns the end of a job that was cancelled while it waited to start.
fn never_started() -> JobEnd {
    let reason = Some("cancelled before it started".to_owned());
    JobEnd { reason, ..JobEnd::of(Conclusion::Cancelled) }
}

/// Time limit of a job without `timeout-minutes`. GitHub's default.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_hours(6);

/// How long a job keeps its slot while it waits for the rules of an environment.
const KEEPS_SLOT: Duration = Duration::from_millis(50);

/// A job that is ready to run.
pub(crate) struct JobTask {
    pub(super) run: Arc<RunContext>,
    pub(super) job: JobSpec,
    pub(super) cancellation: watch::Receiver<Cancellation>,
    pub(super) slot: Slot,
}

/// How the job ended, and the end of its step "Complete job". The latter is `None` if no step of the file could start.
pub(super) type WorkEnd = (JobEnd, Option<StepEnd>);

impl JobTask {
    /// Creates the task of a job. The job ends early when `cancellation` is raised.
    pub(crate) fn new(
        run: Arc<RunContext>,
        job: JobSpec,
        cancellation: watch::Receiver<Cancellation>,
        slot: Slot,
    ) -> Self {
        Self { run, job, cancellation, slot }
    }

    /// Runs the job and returns its end, which the attempt records.
    pub(crate) async fn run(self) -> JobEnd {
        let definition = Arc::clone(&self.job.definition);
        let JobBody::Steps(body) = &definition.body else {
            return JobEnd::failed("a job that calls a workflow runs no steps");
        };
        // A job that has not started can be cancelled: fetching images and actions may take long.
        let ready = tokio::select! {
            biased;
            () = self.cancelled() => Err(never_started()),
            ready = preflight::ready(&self.run, &self.job, body) => ready,
        };
        match ready {
            Err(end) => end,
            Ok(ready) => Box::pin(self.deploy(body, ready)).await,
        }
    }

    /// Runs the job. If it deploys to an environment with rules, first waits until they admit it, and afterwards
    /// records how the deployment ended.
    async fn deploy(&self, body: &StepsJob, mut ready: Ready) -> JobEnd {
        let deployment = tokio::select! {
            biased;
            () = self.cancelled() => return never_started(),
            deployment = self.admitted(body, &mut ready) => deployment,
        };
        match deployment {
            Err(end) => end,
            Ok(None) => self.carry_out(body, ready).await,
            Ok(Some(deployment)) => {
                let mut end = self.carry_out(body, ready).await;
                if let Err(error) = deployment.end(end.conclusion, end.reason.as_deref()) {
                    end.conclusion = Conclusion::Failure;
                    end.add_reason(error.to_string());
                }
                end
            }
        }
    }

    /// Waits until the job has its ports and, if it deploys to an environment with rules, until its deployment has
    /// begun. While the job waits for the rules, it holds neither its slot nor its ports. It takes the turn of the
    /// environment last, so that it never waits while it has the turn. Returns the end of the job if it is not
    /// admitted.
    async fn admitted(&self, body: &StepsJob, ready: &mut Ready) -> Result<Option<Box<dyn JobDeployment>>, JobEnd> {
        let failed = |error: EnvironmentError| JobEnd::failed(error.to_string());
        let mut deployment = None;
        if let Some(environment) = outline::deployment(body, &self.job.scope()) {
            let entering = Arc::clone(&self.run.environments).enter(self.job.id.clone(), environment);
            deployment = self.without_slot(entering).await.map_err(failed)?;
        }
        let Some(mut deployment) = deployment else {
            ready.claim_ports(&self.run, &self.job).await?;
            return Ok(None);
        };
        loop {
            self.without_slot(deployment.wait()).await.map_err(failed)?;
            ready.claim_ports(&self.run, &self.job).await?;
            if deployment.begin().await.map_err(failed)? {
                return Ok(Some(deployment));
            }
            // The environment was locked, or another deployment began, while this job waited for its slot and its
            // ports.
            ready.release_ports();
        }
    }

    /// Waits for `work`, and releases the slot of the job if `work` takes longer than [`KEEPS_SLOT`]. Afterwards, the
    /// job has its slot again, unless `work` failed.
    async fn without_slot<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        tokio::pin!(work);
        if let Ok(done) = timeout(KEEPS_SLOT, &mut work).await {
            return done;
        }
        self.slot.release();
        let done = work.await?;
        self.slot.acquire().await;
        Ok(done)
    }

    async fn cancelled(&self) {
        cancelled(self.cancellation.clone(), self.job.ignores_cancel).await;
    }

    async fn carry_out(&self, body: &StepsJob, mut ready: Ready) -> JobEnd {
        let sandbox = ready.machine.describe();
        let (job, name) = (self.job.id.clone(), self.job.name.clone());
        let environment = outline::deployment(body, &self.job.scope());
        self.run.outlet.record(Event::JobStarted { job, name, sandbox, environment });
        let mut sequence = StepSequence::default();
        let set_up = sequence.add("Set up job", StepKind::Job);
        let containers = ready.has_containers;
        let initialize = containers.then(|| sequence.add("Initialize containers", StepKind::Job));
        self.announce(self.outline(&ready.actions, sequence.clone()));

        let folders = Folders::of(&self.run, &self.job.id);
        let options = FolderOptions { keep_files: self.job.resumed.is_some(), open_to_all: ready.in_container };
        let made = folders.make(&self.run, options).map_err(|error| {
            let hint = space_hint(&error);
            RunnerStepError::Failed(format!("cannot create the job's folder {}: {error}{hint}", folders.root.display()))
        });
        let mut step = self.start(set_up, "Set up job");
        for line in std::mem::take(&mut ready.remarks) {
            step.say(&line);
        }
        if let Err(error) = step.end(made) {
            return JobEnd::failed(error.to_string());
        }
        let mut environment = self.environment(&folders, ready);
        let cache_mode = self.job.definition.cache_mode.as_ref().or(self.job.workflow.cache_mode.as_ref());
        let cache_mode = cache_mode.and_then(|mode| CacheMode::parse(&mode.value));
        // Without `permissions`, a job may read the repository.
        let reads_contents =
            self.permission("contents").is_none_or(|access| matches!(access.as_str(), "read" | "write"));
        environment.rights =
            Rights { identity: self.identity(environment.called.as_ref()), cache_mode, reads_contents };
        let work = Box::pin(async {
            if let Some(number) = initialize {
                self.initialize(body, &mut environment, &folders, number).await?;
            }
            environment.prepare_folders().map_err(|error| {
                let hint = space_hint(&error);
                RunnerStepError::Failed(format!("cannot create the job's tool cache and Docker config: {error}{hint}"))
            })?;
            self.record_finished();
            Ok::<_, RunnerStepError>(self.run_steps(body, &environment, &mut sequence).await)
        });
        // Cleans up even if the job panicked.
        let work = caught(work).await;
        let (mut end, complete) = match work {
            Ok(Ok((mut end, complete))) => {
                if end.conclusion == Conclusion::Failure {
                    // A service that died is more likely the cause of the failure than its consequence.
                    environment.troubles().into_iter().for_each(|trouble| end.add_reason(trouble));
                }
                (end, complete)
            }
            Ok(Err(error)) => {
                let reason = Some(error.to_string());
                (JobEnd { reason, ..JobEnd::of(RunnerStepError::conclusion(&error)) }, None)
            }
            Err(panic) => (JobEnd::panicked(&panic), None),
        };
        if matches!(end.conclusion, Conclusion::Failure | Conclusion::TimedOut) {
            environment.keep().await;
        }
        self.stop(&mut environment, containers, &mut sequence, &mut end).await;
        if let Some(complete) = complete {
            self.start_next(&mut sequence, "Complete job", StepKind::Job).close(&complete);
        }
        if let Some(missed) = environment.leave_nothing().await {
            end.reason.get_or_insert(missed);
        }
        end
    }

    /// Runs "Initialize containers": starts the job's container and services, within the time limit of the job.
    async fn initialize(
        &self,
        body: &StepsJob,
        environment: &mut JobEnvironment,
        folders: &Folders,
        number: StepNumber,
    ) -> Result<(), RunnerStepError> {
        let mut step = self.start(number, "Initialize containers");
        // An invalid time limit is reported later, when the steps are about to run.
        let limit = Self::limit(body, &self.job.scope()).unwrap_or(DEFAULT_TIMEOUT);
        let started = {
            let mut say = |line: &str| step.say(line);
            tokio::select! {
                started = environment.start(folders, &mut say) => {
                    started.map_err(|error| RunnerStepError::Failed(error.to_string()))
                }
                // `stop` removes containers that were started in the meantime.
                () = self.cancelled() => Err(RunnerStepError::Cancelled),
                () = tokio::time::sleep(limit) => {
                    Err(RunnerStepError::Failed("the job timed out before its first step".to_owned()))
                }
            }
        };
        step.end(started)
    }

    /// Runs "Stop containers", and removes everything else that the provider created for the job.
    async fn stop(
        &self,
        environment: &mut JobEnvironment,
        containers: bool,
        sequence: &mut StepSequence,
        end: &mut JobEnd,
    ) {
        let settled = end.conclusion != Conclusion::Cancelled;
        let stopped = if containers {
            let mut step = self.start_next(sequence, STOP_STEP, StepKind::Job);
            let stopped = environment.stop(settled, &mut |line: &str| step.say(line)).await;
            if let Err(error) = &stopped {
                step.say(&format!("##[warning]{error}"));
            }
            // This step succeeds even if a resource could not be removed, because the steps of the file have ended.
            step.close(&StepEnd::of(Conclusion::Success));
            stopped
        } else {
            environment.stop(settled, &mut |_: &str| ()).await
        };
        if let Err(error) = stopped {
            if matches!(error, ProviderError::Unavailable(_)) && end.conclusion == Conclusion::Success {
                // The services of the job are gone. They may have been gone before the last step needed them.
                end.conclusion = Conclusion::Failure;
            }
            let text = error.to_string();
            if end.reason.as_ref() != Some(&text) {
                end.add_reason(text);
            }
            if matches!(error, ProviderError::Unavailable(_)) {
                end.add_reason("run `cuelight clean` once the engine answers, to remove what is left there".to_owned());
            }
        }
    }

    /// Returns the time limit of the job. It applies to the start of the containers and to the steps separately.
    pub(super) fn limit(body: &StepsJob, scope: &Scope<'_>) -> Result<Duration, MinutesError> {
        let limit = body.timeout_minutes.as_ref().map(|limit| limit.minutes(scope)).transpose();
        limit.map(|limit| limit.unwrap_or(DEFAULT_TIMEOUT))
    }

    /// Starts a step of the runner.
    pub(super) fn start(&self, number: StepNumber, name: &str) -> RunnerStep {
        RunnerStep::start(&self.run.outlet, &self.job.id, number, name)
    }

    /// Adds a step of the runner and starts it.
    pub(super) fn start_next(&self, sequence: &mut StepSequence, name: &str, kind: StepKind) -> RunnerStep {
        let number = sequence.add(name, kind);
        self.announce(sequence.last());
        self.start(number, name)
    }

    fn announce(&self, steps: Vec<StepOutline>) {
        self.run.outlet.record(Event::StepsPlanned { job: self.job.id.clone(), steps });
    }

    /// Returns the steps that are known before the first one starts. Each `post` step is added when it starts.
    fn outline(&self, actions: &Actions, mut sequence: StepSequence) -> Vec<StepOutline> {
        let scope = self.job.scope();
        let all = StepRef::of_job(&self.job.definition);
        for step in all.iter().filter(|step| resolve::with_pre(actions, step, None).is_some()) {
            sequence.add(&format!("Pre {}", display_names::step_name(step, &scope)), StepKind::Pre);
        }
        for step in &all {
            sequence.add_of_file(&display_names::step_name(step, &scope), step.is_background());
        }
        if background::needs_final_wait(&all) {
            sequence.add(background::FINAL_WAIT, StepKind::Job);
        }
        sequence.all()
    }

    /// Records again the steps that an earlier attempt finished, because the records of each attempt must be complete.
    /// They do not start in this attempt, and their lines are recorded after their end.
    fn record_finished(&self) {
        let Some(resumed) = &self.job.resumed else { return };
        let outlet = &self.run.outlet;
        for step in &resumed.finished {
            let (job, number) = (self.job.id.clone(), step.number);
            // Its name was evaluated when it started.
            self.announce(vec![StepOutline {
                number,
                name: step.name.clone(),
                kind: step.kind,
                background: step.background,
                label: step.label.clone(),
            }]);
            for annotation in step.annotations.clone() {
                outlet.record(Event::Annotated { job: job.clone(), step: number, annotation });
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
            if step.lines > 0 {
                let output = LineRange { first: 0, count: step.lines };
                outlet.record(Event::Output { job, step: number, output });
            }
        }
    }

    /// Returns what the `permissions` of the job or its workflow grant for a scope: `read`, `write`, or another word for
    /// no access. `None` if neither sets permissions.
    fn permission(&self, of: &str) -> Option<String> {
        let JobSpec { definition, workflow, .. } = &self.job;
        let permissions = definition.permissions.as_ref().or(workflow.permissions.as_ref())?;
        Some(match permissions.evaluate(&self.job.scope()) {
            Ok(Value::Object(scopes)) => scopes.get(of).map(Value::to_text).unwrap_or_default(),
            Ok(all) => all.to_text().strip_suffix("-all").unwrap_or_default().to_owned(),
            Err(_) => String::new(),
        })
    }

    /// Returns the claims of identity tokens if the job has `permissions: id-token: write`. Unlike other permissions,
    /// it is never granted by default.
    fn identity(&self, called: Option<&WorkflowRepository>) -> Option<JobClaims> {
        let JobBody::Steps(body) = &self.job.definition.body else { return None };
        let known = self.job_workflow(called);
        let text = |key: &str| known.get(key).map(Value::to_text).unwrap_or_default();
        let may_write = self.permission("id-token").is_some_and(|access| access == "write");
        may_write.then(|| JobClaims {
            environment: outline::deployment(body, &self.job.scope()),
            workflow_ref: text("workflow_ref"),
            workflow_sha: text("workflow_sha"),
        })
    }

    /// Returns the entries of the `job` context about the workflow that contains the job.
    fn job_workflow(&self, called: Option<&WorkflowRepository>) -> Object {
        let commit = called.and_then(|called| called.commit.as_deref());
        self.run.facts.job_workflow(&self.job.workflow.source.name, commit)
    }

    fn environment(&self, folders: &Folders, ready: Ready) -> JobEnvironment {
        let mut contexts = self.job.contexts.clone();
        let mut github = self.run.github.clone();
        github.insert("job".to_owned(), Value::string(self.job.definition.id.value.clone()));
        contexts.set("github", Value::object(github));
        contexts.set("job", Value::object(self.job_workflow(ready.called.as_ref())));
        let (own, outer) = match &self.job.definition.body {
            JobBody::Steps(body) => (&body.defaults, &self.job.workflow.defaults),
            JobBody::Call { .. } => (&self.job.workflow.defaults, &self.job.workflow.defaults),
        };
        let defaults = RunDefaults {
            shell: own.shell.clone().or_else(|| outer.shell.clone()),
            working_directory: own.working_directory.clone().or_else(|| outer.working_directory.clone()),
            computed: own.computed.clone(),
        };
        JobEnvironment::new(&self.run, &self.job, folders, ready, contexts, defaults)
    }
}
