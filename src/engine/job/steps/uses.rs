//! Runs steps that use an action: finds the action, evaluates its inputs, and runs one of its phases.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::timeout;

use crate::engine::actions::advice::{Applied, Surroundings};
use crate::engine::actions::checkout::CheckoutFailure;
use crate::engine::actions::docker::DockerActionError;
use crate::engine::actions::error::ActionError;
use crate::engine::actions::reference::{Reference, Remote};
use crate::engine::actions::resolve::ResolvedAction;
use crate::engine::actions::{Phase, advice, checkout, coverage, docker, inputs, javascript, resolve};
use crate::engine::blocking::in_place;
use crate::engine::cancel::{CancelWatch, KillReason};
use crate::engine::outlet::StepLog;
use crate::engine::results::Client;
use crate::engine::step::end::StepEnd;
use crate::engine::step::process::Limits;
use crate::engine::tools::setup;
use crate::model::{Conclusion, in_one_line};
use crate::repo::git::Abort;
use crate::workflow::expr::Scope;
use crate::workflow::syntax::{ActionRuns, StepAction};

use super::Steps;
use super::scope::{Completed, Post, RunningStep, StepScope};

/// Maximum size in bytes of a local action that is copied from another machine, including everything in its folder.
const MAX_LOCAL_ACTION: u64 = 2 << 30;

/// How long an interrupted checkout may take to end.
const ABORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reason recorded for a step that timed out before its process started.
const NOT_STARTED: &str = "timed out before its process started";

/// The target of `uses`, with its inputs.
enum Used {
    Checkout(IndexMap<String, String>),
    /// The built-in reader of coverage reports, with the message about it.
    Coverage(&'static str, IndexMap<String, String>),
    Image(String, IndexMap<String, String>),
    Action(Arc<ResolvedAction>, IndexMap<String, String>),
}

impl Steps<'_> {
    /// Runs the main phase of the action that a step uses, or the checkout or image that it names.
    pub(super) async fn uses(&mut self, scope: &StepScope, step: &RunningStep<'_>, log: &mut dyn StepLog) -> Completed {
        let mut cancel = self.cancel.clone();
        let found = self.find(scope, step);
        let found = match unless_ended(&mut cancel, step.limits(), "timed out before its action was found", found).await
        {
            Ok(found) => found,
            Err(end) => return Completed::of(end),
        };
        match found {
            Err(error) => Completed::failed(error.to_string()),
            Ok(Used::Checkout(given)) => self.check_out(step, &given, log).await,
            Ok(Used::Coverage(message, given)) => self.read_coverage(step, message, &given, log).await,
            Ok(Used::Image(image, given)) => {
                let invocation = docker::image(self.job, &image, &given);
                match prepared(&mut self.cancel, step.limits(), invocation).await {
                    Ok(invocation) => self.execute(scope, step, invocation, log).await,
                    Err(end) => Completed::of(end),
                }
            }
            Ok(Used::Action(action, given)) => {
                for warning in inputs::warnings(&action.action, &given) {
                    log.write(format!("##[warning]{warning}\n").as_bytes());
                }
                self.phase(scope, step, &action, given, Phase::Main, log).await
            }
        }
    }

    /// Runs one phase of an action, and keeps the state that it saves for the later phases.
    pub(super) async fn phase(
        &mut self,
        scope: &StepScope,
        step: &RunningStep<'_>,
        action: &Arc<ResolvedAction>,
        given: IndexMap<String, String>,
        phase: Phase,
        log: &mut dyn StepLog,
    ) -> Completed {
        let host = self.files();
        let evaluated = Scope { contexts: &step.prepared.contexts, status: scope.functions(), host: &host };
        let mut inputs = match inputs::inputs(&action.action, &given, &evaluated) {
            Ok(inputs) => inputs,
            Err(error) => return Completed::failed(error.to_string()),
        };
        let advice = self.advise(action, phase, step, &given);
        let advice = match unless_ended(&mut self.cancel.clone(), step.limits(), NOT_STARTED, advice).await {
            Ok(advice) => advice,
            Err(end) => return Completed::of(end),
        };
        for line in &advice.lines {
            log.write(format!("{line}\n").as_bytes());
        }
        inputs.extend(advice.inputs.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let lacks = match self.offer_tools(action, phase, &inputs, step.limits(), log).await {
            Ok(lacks) => lacks,
            Err(end) => return Completed::of(end),
        };
        let mut hint = None;
        let invocation = match &action.action.runs {
            ActionRuns::Composite { .. } => {
                let mut done = self.composite(scope, step, action, &inputs, log).await;
                let known = self.explanation(&done.end, action, phase, step, &given).await;
                done.end.explain(known);
                return done;
            }
            ActionRuns::JavaScript { using, .. } => match self.job.node_for(javascript::written_for(action)).await {
                Ok(node) => {
                    hint = javascript::needs_newer(action, &node.1);
                    javascript::invocation(action, phase, &inputs, &node, &self.context(step.number))
                        .map_err(|error| StepEnd::failed(error.to_string()))
                }
                Err(error) => Err(StepEnd::failed(format!("`{}` needs {}: {error}", action.reference, using.value))),
            },
            ActionRuns::Docker { .. } => {
                let (job, overlay) = (&self.env, &step.prepared.overlay);
                let is_set = |name: &str| job.contains_key(name) || overlay.contains_key(name);
                let inputs = docker::Inputs { given: &given, all: &inputs, is_set: &is_set };
                let invocation = docker::invocation(self.job, action, phase, &inputs, &evaluated, log);
                prepared(&mut self.cancel, step.limits(), invocation).await
            }
        };
        let key = step.step.key();
        let mut done = match invocation {
            Ok(mut invocation) => {
                let saved = match phase {
                    Phase::Pre => None,
                    Phase::Main => self.pre_states.get(key),
                    Phase::Post => self.states.get(key),
                };
                for (name, value) in saved.into_iter().flatten() {
                    invocation.variables.insert(format!("STATE_{name}"), value.clone());
                }
                invocation.github = action.identity();
                if advice.withhold {
                    invocation.client = Client::Script;
                } else if advice.from_containers && invocation.client == Client::JavaScript {
                    invocation.client = Client::Builder;
                }
                self.execute(scope, step, invocation, log).await
            }
            Err(end) => Completed::of(end),
        };
        let known = self.explanation(&done.end, action, phase, step, &given).await;
        done.end.explain(lacks.or(known).or(hint));
        // The saved state is for later phases of the same step.
        if phase == Phase::Pre {
            self.pre_states.entry(key.to_owned()).or_default().extend(done.state.clone());
        }
        self.states.entry(key.to_owned()).or_default().extend(std::mem::take(&mut done.state));
        if phase != Phase::Post && action.has_post() && self.registered.insert(key.to_owned()) {
            done.post = Some(Post::of(step.step.clone(), Arc::clone(action), step.prepared.name.clone()));
        }
        done
    }

    /// Adds tools of this machine, or of the job's container, to the tool cache, if the action looks for tools there.
    /// Returns a message about the tools that they do not have; `None` if nothing is missing.
    async fn offer_tools(
        &mut self,
        action: &ResolvedAction,
        phase: Phase,
        inputs: &IndexMap<String, String>,
        limits: Limits,
        log: &mut dyn StepLog,
    ) -> Result<Option<String>, StepEnd> {
        let job = self.job;
        let may_look = phase == Phase::Main && matches!(action.action.runs, ActionRuns::JavaScript { .. });
        let setup = action.remote.as_ref().filter(|_| may_look).and_then(setup::of);
        let Some(setup) = setup else { return Ok(None) };
        let (run, sandbox) = (&job.shared, &*job.sandbox);
        let offered = async {
            if job.is_container() {
                setup.offer_in_container(run, sandbox, sandbox.inside(&job.tools()), inputs, log).await
            } else {
                setup.offer(run, job.tools(), inputs, log).await
            }
        };
        unless_ended(&mut self.cancel, limits, NOT_STARTED, offered).await
    }

    /// Returns what the table of [`advice`] changes for the main phase of an action of another repository.
    async fn advise(
        &self,
        action: &ResolvedAction,
        phase: Phase,
        step: &RunningStep<'_>,
        given: &IndexMap<String, String>,
    ) -> Applied {
        let Some(remote) = advised(action, phase) else { return Applied::default() };
        let asks_for_api = advice::asks_for_api(remote) && self.job.shared.facts.local_api;
        let api = if asks_for_api { self.local_api().await } else { None };
        advice::apply(remote, &Surroundings { api, ..self.surroundings(action, step, given) }).await
    }

    /// Returns the explanation of a failure from the table of [`advice`].
    async fn explanation(
        &self,
        end: &StepEnd,
        action: &ResolvedAction,
        phase: Phase,
        step: &RunningStep<'_>,
        given: &IndexMap<String, String>,
    ) -> Option<String> {
        let remote = advised(action, phase).filter(|_| end.outcome == Conclusion::Failure)?;
        advice::explanation(remote, &self.surroundings(action, step, given)).await
    }

    /// Returns the properties of a step that the table of [`advice`] tests, without the address of the API.
    fn surroundings<'s>(
        &self,
        action: &ResolvedAction,
        step: &RunningStep<'_>,
        given: &'s IndexMap<String, String>,
    ) -> Surroundings<'s> {
        let (job, overlay) = (self.job, &step.prepared.overlay);
        let machine = if job.is_container() { &[] } else { job.shared.host.environment() };
        let own = self.env.iter().chain(overlay).map(|(name, value)| (name.into(), value.into()));
        let own = job.machine_variables().into_iter().map(|(name, value)| (name.into(), value.into())).chain(own);
        let is_here = !job.is_container() && !matches!(action.action.runs, ActionRuns::Docker { .. });
        Surroundings {
            given,
            path: is_here.then(|| self.search_path(overlay)),
            environment: machine.iter().cloned().chain(own).collect(),
            offline: job.shared.actions.is_offline(),
            api: None,
        }
    }

    /// Returns the address at which the steps of the job reach GitHub's API on this machine.
    async fn local_api(&self) -> Option<String> {
        let services = self.job.services(Client::JavaScript, &*self.job.sandbox).await.ok()?;
        services.variables.into_iter().find(|(name, _)| *name == "GITHUB_API_URL").map(|(_, address)| address)
    }

    /// Reads the coverage reports that a step names, and writes the coverage to its log and its summary.
    async fn read_coverage(
        &mut self,
        step: &RunningStep<'_>,
        message: &str,
        given: &IndexMap<String, String>,
        log: &mut dyn StepLog,
    ) -> Completed {
        let (job, number) = (self.job, step.number);
        if coverage::is_of_tests(given) {
            log.write(b"##[notice]Test results are not uploaded to codecov.io, and not read on this machine.\n");
            return Completed::of(StepEnd::of(Conclusion::Success));
        }
        log.write(format!("{message}\n").as_bytes());
        let outside = |path: &Path| job.sandbox.outside(path);
        for report in coverage::named(given, &outside) {
            // A report that is missing on the other machine is missing here too, and the error below names it.
            if let Err(error) = job.sandbox.fetch(&job.workspace.join(&report), coverage::MAX_REPORT).await {
                tracing::debug!(%error, report = %report.display(), "a coverage report is not on the other machine");
            }
        }
        let mut note = |text: &str| log.write(format!("{}\n", in_one_line(text)).as_bytes());
        match in_place(|| coverage::read(&job.workspace, given, &outside)) {
            Ok(coverage) => {
                coverage.lines().iter().for_each(|line| note(line));
                if let Some(warning) = coverage.warning() {
                    note(&format!("##[warning]{warning}"));
                }
                job.shared.outlet.summary(&job.id, number, &coverage.summary());
            }
            Err(error) if given.get("fail_ci_if_error").is_some_and(|fails| fails.trim() == "true") => {
                return Completed::failed(error.to_string());
            }
            Err(error) => note(&format!("##[warning]{error}")),
        }
        Completed::of(StepEnd::of(Conclusion::Success))
    }

    /// Finds what `uses` names, and evaluates the inputs in `with`. Fetches an action that is not on this machine yet.
    async fn find(&self, scope: &StepScope, step: &RunningStep<'_>) -> Result<Used, ActionError> {
        let StepAction::Uses { reference, with } = &step.step.action else {
            return Err(ActionError::NotUsed);
        };
        let job = self.job;
        let given = {
            let host = self.files();
            let scope = Scope { contexts: &step.prepared.contexts, status: scope.functions(), host: &host };
            inputs::given(with, &scope)?
        };
        let reference = reference.value.as_str();
        match Reference::parse(reference)? {
            Reference::Image(image) => Ok(Used::Image(image, given)),
            Reference::Local(path) => {
                let folder = job.workspace.join(&path);
                // If the job runs on another machine, a step may have changed the action there. If the action is
                // missing, the error below names it.
                if let Err(error) = job.sandbox.fetch(&folder, MAX_LOCAL_ACTION).await {
                    tracing::debug!(%error, reference, "a local action is not on the other machine");
                }
                let Some(read) = resolve::read(&job.workspace, Path::new(&path)) else {
                    return Err(ActionError::NotInWorkspace(reference.to_owned()));
                };
                Ok(Used::Action(Arc::new(ResolvedAction::local(reference, read?, &job.workspace, folder)), given))
            }
            Reference::Own(path) => {
                let key = resolve::key(reference, step.step.within());
                if let Some(known) = job.actions.get(&key) {
                    return Ok(Used::Action(Arc::clone(known), given));
                }
                let action = ResolvedAction::own(&path, step.step.action(), job.called.as_ref(), &job.shared)?;
                Ok(Used::Action(Arc::new(action), given))
            }
            Reference::Remote(remote) => {
                let other = given.get("repository").filter(|named| !named.is_empty());
                let own = other.is_none_or(|named| named.eq_ignore_ascii_case(&job.shared.facts.repository));
                if remote.is_checkout() && own && !job.shared.actions.is_mapped(&remote) {
                    return Ok(Used::Checkout(given));
                }
                if let Some(message) = resolve::reads_coverage(&remote, &job.shared) {
                    return Ok(Used::Coverage(message, given));
                }
                if let Some(known) = job.actions.get(reference) {
                    return Ok(Used::Action(Arc::clone(known), given));
                }
                // The preflight has fetched every action that it could find. Only an action written by an earlier step
                // can refer to one that is not fetched yet.
                let (action, _) = ResolvedAction::fetch(reference, remote, &job.shared).await?;
                Ok(Used::Action(Arc::new(action), given))
            }
        }
    }

    /// Runs `actions/checkout` for the repository of the run.
    async fn check_out(
        &mut self,
        step: &RunningStep<'_>,
        given: &IndexMap<String, String>,
        log: &mut dyn StepLog,
    ) -> Completed {
        let (job, limits, abort) = (self.job, step.limits(), Abort::default());
        let interrupt = abort.clone();
        let work = async move {
            let (stop, in_container) = (interrupt.clone(), job.is_container());
            let done = checkout::run(&job.shared, &job.workspace, in_container, given, interrupt, &mut *log).await?;
            let Some(checkout::Done { filled, copied, outputs }) = done else { return Ok(None) };
            if filled.source.is_of_user() {
                // The attempt may have ended, if it no longer waits for the step.
                let _ = job.shared.checkout_done.send(copied);
            }
            for line in job.start_warm(&filled.folder, &stop) {
                log.write(format!("{}\n", in_one_line(&line)).as_bytes());
            }
            job.sandbox.send(&filled.folder).await.map_err(CheckoutFailure::Unsent)?;
            let note = job.shared.folder.checkouts(&job.id);
            let (elsewhere, open_to_all) = (job.sandbox.is_elsewhere(), job.is_container());
            if let Err(error) = in_place(|| filled.record(&note, &job.workspace, elsewhere, open_to_all)) {
                tracing::warn!(%error, "later changes of the files cannot be brought to the job");
            }
            Ok::<_, CheckoutFailure>(Some(outputs))
        };
        let mut work = pin!(work);
        let late = "timed out before the files were checked out";
        match unless_ended(&mut self.cancel, limits, late, &mut work).await {
            Ok(Ok(Some(outputs))) => Completed::with_outputs(outputs),
            Ok(Ok(None)) => Completed::of(StepEnd::of(Conclusion::Success)),
            Ok(Err(error)) => Completed::failed(error.to_string()),
            Err(end) => {
                abort.set();
                // Wait until the work has stopped, unless a file system does not respond.
                let _ = timeout(ABORT_TIMEOUT, work).await;
                Completed::of(end)
            }
        }
    }
}

/// Returns the name of an action if the table of [`advice`] has a row for it, which applies only to its main phase.
fn advised(action: &ResolvedAction, phase: Phase) -> Option<&Remote> {
    action.remote.as_ref().filter(|remote| phase == Phase::Main && advice::is_known(remote))
}

/// Waits for `work`, unless the step must end first. `timed_out` is the reason of the end if the step's time limit
/// passes.
async fn unless_ended<T>(
    cancel: &mut CancelWatch,
    limits: Limits,
    timed_out: &str,
    work: impl Future<Output = T>,
) -> Result<T, StepEnd> {
    tokio::select! {
        done = work => Ok(done),
        why = cancel.must_end(limits.survives_cancel, limits.deadline) => Err(match why {
            KillReason::TimedOut => StepEnd::failed(timed_out),
            KillReason::Cancelled | KillReason::Forced => StepEnd::cancelled(),
            KillReason::StepCancelled => StepEnd::cancelled_by_step(),
            KillReason::Lost => StepEnd::lost(),
        }),
    }
}

/// Waits for the preparation of a step's process, unless the step must end first.
async fn prepared<T>(
    cancel: &mut CancelWatch,
    limits: Limits,
    work: impl Future<Output = Result<T, DockerActionError>>,
) -> Result<T, StepEnd> {
    unless_ended(cancel, limits, NOT_STARTED, work).await?.map_err(|error| StepEnd::failed(error.to_string()))
}
