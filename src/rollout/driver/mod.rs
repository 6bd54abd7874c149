//! Carries out a deployment: gates, queue, the steps of the plan, and a rollback when one of them fails.
//!
//! On the screen, a deployment is a job with a step for each step of its plan. The steps of a rollback are added when
//! the rollback begins.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;

use crate::model::deployment::{
    Action, Actor, Cause, DeploymentPlan, EnvironmentSettings, HostStep, NotifyEvent, Outcome, RecordedState, Slot,
};
use crate::model::environment::Release;
use crate::model::{Conclusion, Event, JobId, JobOutline, RunId, StepKind, StepNumber, StepOutline, Timestamp};
use crate::repo::git::GitError;
use crate::store::StoreError;
use crate::store::folder::RunFolder;

use super::check::CheckError;
use super::gates::Refused;
use super::ledger::{Latest, LedgerFile};
use super::notify::Notifier;
use super::outlet::Outlet;
use super::plan::PlanError;
use super::recording::{Recorder, Records, Server, new_deployment};
use super::shell::Shell;
use super::target::{TargetError, Targets};

mod back;
mod controls;
mod end;
mod entry;
mod image;
mod keep;
mod position;
mod restarts;
mod slots;
mod steps;
#[cfg(test)]
mod tests;
mod traffic;
mod watch;

pub use controls::{Asked, Stop};
pub use position::Position;

use controls::{Controls, Interrupt, Purpose, Stage};
use end::not_begun;
use restarts::Restarts;
use steps::Failed;
use traffic::Sampler;

/// The release, the environment and the people of a deployment.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The environment.
    pub settings: EnvironmentSettings,
    /// The release.
    pub release: Release,
    /// What caused the deployment.
    pub cause: Cause,
    /// Who asked for the deployment.
    pub creator: Actor,
    /// Person who runs the worker process.
    pub worker: Actor,
}

impl Subject {
    /// Returns the name of the run: `production: deploy v1.4.2 9093b37`. The environment comes first, because lists cut
    /// long names off at the end.
    #[must_use]
    pub fn title(&self) -> String {
        let (release, environment) = (self.release.title(), &self.settings.name);
        match self.cause {
            Cause::Rollback => format!("{environment}: roll back to {release}"),
            Cause::Manual | Cause::Job => format!("{environment}: deploy {release}"),
        }
    }
}

/// Exclusive right to deploy to an environment, held until it is dropped. Deployments to one environment take turns.
pub type Turn = Box<dyn Send + Sync>;

/// The queue of an environment.
pub trait Queue: Send + Sync {
    /// Waits for the turn. A newer deployment replaces an older one in the queue, unless the newer one `is_patient`.
    ///
    /// # Errors
    /// The turn cannot be acquired.
    fn wait(&self, is_patient: bool) -> BoxFuture<'_, Result<Turn, QueueError>>;
}

/// Why a deployment does not get its turn.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct QueueError(pub String);

/// Dependencies of a deployment.
pub struct Tools {
    /// Folder of the run.
    pub folder: RunFolder,
    /// Number of the attempt.
    pub attempt: u32,
    /// Outlet for records and logs.
    pub outlet: Arc<dyn Outlet>,
    /// The targets, one for each host, which run the replicas.
    pub targets: Arc<Targets>,
    /// Shell that runs the commands of checks.
    pub shell: Shell,
    /// Ledger of the repository.
    pub ledger: LedgerFile,
    /// The queue of the environment.
    pub queue: Arc<dyn Queue>,
    /// Connects to the server that records the deployment, too; `None` if none does.
    pub server: Option<Server>,
    /// Returns the release of a commit.
    pub known: KnownRelease,
    /// Returns the files that the deployment uses and that differ from the commit of its release.
    pub changed: ChangedFiles,
    /// Returns the minute of the week in local time.
    pub minute_of_week: fn(Timestamp) -> u16,
}

/// Returns the release of a commit, if it is known.
pub type KnownRelease = Arc<dyn Fn(&str) -> Option<Release> + Send + Sync>;

/// Returns the files of the working tree that differ from a commit.
pub type ChangedFiles = Arc<dyn Fn() -> Result<Vec<String>, GitError> + Send + Sync>;

/// How an attempt of a deployment ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeploymentEnd {
    /// Conclusion of the run.
    pub conclusion: Conclusion,
    /// Why the deployment did not succeed. `None` if it succeeded.
    pub reason: Option<String>,
}

/// How an attempt begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Begin {
    /// At the saved position, or at the gates.
    Forward,
    /// With a rollback, for the reason that the person gave; the reason may be empty.
    Back(String),
}

/// Why a step, or the preparation of the first step, did not succeed.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("superseded by a later deployment of {0}: the environment is left as it is")]
    Superseded(String),
    #[error(
        "{slot} holds {found}, and not {expected}: something else deploys there; its traffic and replicas stay as they are"
    )]
    Taken { slot: Slot, found: String, expected: String },
    #[error("cannot determine what is running: {0}")]
    Unobserved(TargetError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("{error}{evidence}")]
    Check { error: CheckError, evidence: String },
    #[error("the new release failed its analysis {}; last answer: {last}{evidence}", match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    })]
    Analysis { count: u32, last: String, evidence: String },
    #[error("a replica of the new release does not stay up: {what}{evidence}")]
    Ended { what: String, evidence: String },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("{0}")]
    Interrupted(Interrupt),
}

/// Why the steps of the plan ended early, and what comes next.
struct Halt {
    reason: String,
    next: AfterHalt,
}

/// What comes after steps that ended early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum AfterHalt {
    /// The environment is left as it is.
    Leave,
    /// Rollback after an abort or a cancellation.
    Back,
    /// Rollback after a failure.
    BackFromFault,
}

/// A deployment in progress.
struct Driver {
    subject: Subject,
    tools: Tools,
    controls: Controls,
    latest: Latest,
    job: JobId,
    /// Outlines of the steps that were recorded so far.
    announced: Vec<StepOutline>,
    turn: Option<Turn>,
    /// Whether this attempt has found that the release is live. It stays so if the ledger cannot be read later.
    is_live: bool,
    /// Whether this attempt has notified people of the success.
    has_notified: bool,
    /// Restarts of the replicas when the new release was first found healthy.
    restarts: Arc<Mutex<Restarts>>,
    /// Why hosts do not answer, by index. They are not locked during the turn, so they are not changed.
    silent: BTreeMap<usize, TargetError>,
    notifier: Notifier,
    recorder: Recorder,
}

/// Carries out an attempt of a deployment. Records everything but the end of the run.
pub async fn carry_out(
    subject: Subject,
    mut tools: Tools,
    asked: tokio::sync::mpsc::Receiver<Asked>,
    stop: tokio::sync::watch::Receiver<Stop>,
    begin: Begin,
) -> DeploymentEnd {
    let controls = Controls::new(asked, stop, &tools);
    let latest = Latest::new(tools.ledger.clone(), subject.settings.name.clone());
    let job = JobId::new(&subject.settings.name);
    let notifier = Notifier::new(subject.settings.notify.as_ref(), &tools.shell, &tools.outlet, &job);
    let recorder = recorder(&subject, &mut tools, &job);
    let mut driver = Driver {
        subject,
        tools,
        controls,
        latest,
        job,
        announced: Vec::new(),
        turn: None,
        is_live: false,
        has_notified: false,
        restarts: Arc::default(),
        silent: BTreeMap::new(),
        notifier,
        recorder,
    };
    driver.announce();
    let (outcome, reason) = Box::pin(driver.run(begin)).await;
    driver.end(outcome, reason).await
}

/// Returns the recorder of the deployment on its server.
fn recorder(subject: &Subject, tools: &mut Tools, job: &JobId) -> Recorder {
    let Subject { settings, release, cause, creator, worker } = subject;
    let run = tools.folder.id().clone();
    let new = new_deployment(settings, release, (cause, creator), (&run, None));
    let (ledger, outlet) = (tools.ledger.clone(), Arc::clone(&tools.outlet));
    let environment = settings.name.clone();
    let (job, by) = (job.clone(), worker.clone());
    let records = Records { ledger, outlet, run, job, deploys: None, environment, by };
    Recorder::new(tools.server.take(), new, records, tools.attempt == 1)
}

impl Driver {
    fn run_id(&self) -> &RunId {
        self.tools.folder.id()
    }

    fn record(&self, event: Event) {
        self.tools.outlet.record(event);
    }

    /// Records the start of the attempt, with the deployment as its only job.
    fn announce(&self) {
        let name = self.subject.title();
        self.record(Event::RunStarted { attempt: self.tools.attempt, name: name.clone() });
        let outline = JobOutline {
            id: self.job.clone(),
            key: self.job.to_string(),
            name,
            needs: Vec::new(),
            environment: Some(self.subject.settings.name.clone()),
            caller: None,
            remote: None,
        };
        self.record(Event::JobsPlanned { jobs: vec![outline], replaces: None });
    }

    /// Carries out the deployment. Returns how it ended, and why.
    async fn run(&mut self, begin: Begin) -> (Outcome, Option<String>) {
        let written = match Position::read(&self.tools.folder) {
            Ok(written) => written,
            Err(error) => return (Outcome::Failed, Some(error.to_string())),
        };
        let left = written.as_ref().map(Position::text);
        // A release that is live stays live, whatever the ledger lacks.
        if let Err(error) = self.note_again(&begin, written.is_some())
            && !self.has_succeeded()
        {
            return not_begun(&error.into(), left.as_deref());
        }
        self.controls.has_begun = written.is_some();
        let entered = match written {
            Some(position) => self.enter_again(position, begin).await,
            None => self.enter(begin).await,
        };
        let mut position = match entered {
            Ok(position) => position,
            Err(trouble) => return not_begun(&trouble, left.as_deref()),
        };
        // Noted again once the step waits; its analysis begins again.
        position.is_paused = false;
        position.is_undecided = false;
        position.decision = None;
        self.restarts = Arc::new(Mutex::new(position.restarts.clone()));
        let name = self.subject.title();
        let environment = Some(self.subject.settings.name.clone());
        self.record(Event::JobStarted { job: self.job.clone(), name, sandbox: "host".to_owned(), environment });
        if !self.has_succeeded()
            && let Err(error) = self.append(Action::Began, String::new())
        {
            return not_begun(&error.into(), left.as_deref());
        }
        if position.done == 0
            && let Err(error) = self.note_found(&position.plan)
        {
            return not_begun(&error.into(), left.as_deref());
        }
        let state = if self.has_succeeded() { RecordedState::Success } else { RecordedState::InProgress };
        self.report_state(state, left.as_deref().unwrap_or_default());
        if left.is_none() {
            self.notify(NotifyEvent::Started, "is being deployed", &format!("attach {}", self.run_id()));
        }
        self.plan_steps(&position.plan.steps(), &position.plan, StepKind::Main);
        for done in 1..=position.done {
            self.finish_step(StepNumber(done as u32), Conclusion::Success, Some("done earlier".to_owned()));
        }
        let sampler = Sampler::new(&self.tools, &self.job, &position.plan);
        let outcome = sampler.during(self.carry_on(&mut position)).await;
        if outcome.0 != Outcome::Failed {
            position.has_ended = true;
            if let Err(error) = position.write(&self.tools.folder) {
                tracing::warn!(%error, "the end of the deployment is not in its position");
            }
        }
        outcome
    }

    /// Records who continues or aborts a deployment that has ended, or whose worker died: the person who started this
    /// worker. Records nothing for a first attempt. `has_position` is whether an earlier attempt has passed the gates.
    fn note_again(&self, begin: &Begin, has_position: bool) -> Result<(), StoreError> {
        match begin {
            Begin::Back(reason) => self.append(Action::Aborted, reason.clone()),
            Begin::Forward if has_position || self.outcome().is_some() => self.append(Action::Resumed, String::new()),
            Begin::Forward => Ok(()),
        }
    }

    /// Carries out the remaining steps, or the rollback. Returns how the deployment ended, and why.
    async fn carry_on(&mut self, position: &mut Position) -> (Outcome, Option<String>) {
        let halt = match position.back.clone() {
            Some(reason) => Err(Halt { reason, next: AfterHalt::BackFromFault }),
            None => self.forward(position).await,
        };
        match halt {
            Ok(()) => (Outcome::Succeeded, None),
            Err(Halt { reason, next: AfterHalt::Leave }) if self.has_succeeded() => (Outcome::Succeeded, Some(reason)),
            Err(Halt { reason, next: AfterHalt::Leave }) => (Outcome::Failed, Some(reason)),
            Err(Halt { reason, next }) => match self.turn_for_back().await {
                Ok(()) => self.back(position, reason, next).await,
                Err(trouble) => {
                    let outcome = if self.has_succeeded() { Outcome::Succeeded } else { Outcome::Failed };
                    (outcome, Some(format!("{reason}; cannot roll back: {trouble}")))
                }
            },
        }
    }

    /// Waits for the turn before a rollback, if the deployment gave its turn up while it kept the former release. Returns
    /// an error if a later deployment has begun since.
    async fn turn_for_back(&mut self) -> Result<(), Trouble> {
        if self.turn.is_some() {
            return Ok(());
        }
        self.controls.stage = Stage::Back;
        self.wait_for_turn(Purpose::Back).await?;
        self.check_superseded()
    }

    /// Returns an error if a later deployment has begun.
    fn check_superseded(&self) -> Result<(), Trouble> {
        let state = self.tools.ledger.read()?.of(&self.subject.settings.name);
        match state.superseded_by(self.run_id()) {
            Some(later) => Err(Trouble::Superseded(later.release.title())),
            None => Ok(()),
        }
    }

    /// Whether the release is live: this attempt knows it, or the ledger records the success.
    fn has_succeeded(&self) -> bool {
        self.is_live || self.outcome() == Some(Outcome::Succeeded)
    }

    /// Runs `work` while answering commands.
    async fn controlled<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Interrupt> {
        self.controls.during(&self.subject, work, true).await
    }

    /// Records the outlines of further steps.
    fn plan_steps(&mut self, steps: &[HostStep], plan: &DeploymentPlan, kind: StepKind) {
        for step in steps {
            let number = StepNumber(self.announced.len() as u32 + 1);
            self.announced.push(StepOutline {
                number,
                name: plan.describe(step),
                kind,
                background: false,
                label: Some(plan.label(step)),
            });
        }
        self.record(Event::StepsPlanned { job: self.job.clone(), steps: self.announced.clone() });
    }

    fn finish_step(&self, step: StepNumber, conclusion: Conclusion, reason: Option<String>) {
        self.record(finished(&self.job, step, conclusion, reason));
    }

    /// Carries out the remaining steps, and writes the position before each, or before those that are carried out at the
    /// same time.
    async fn forward(&mut self, position: &mut Position) -> Result<(), Halt> {
        loop {
            let wave = position.wave();
            if wave.is_empty() {
                return self.check_end(position).await;
            }
            position.restarts = self.noted_restarts();
            if let Err(error) = position.write(&self.tools.folder) {
                return Err(Halt { reason: error.to_string(), next: AfterHalt::BackFromFault });
            }
            self.controls.stage = Stage::Step;
            let numbered: Vec<_> = (position.done as u32 + 1..).map(StepNumber).zip(wave).collect();
            if let Some(failed) = self.steps(&numbered, position, true).await.into_iter().next() {
                return Err(self.halted(failed, position));
            }
            position.done += numbered.len();
        }
    }

    /// Records the failure or the cancellation of a step, and decides what comes next.
    fn halted(&self, failed: Failed, position: &Position) -> Halt {
        let Failed { number, step, trouble: error } = failed;
        let all = position.plan.steps().len();
        if let Trouble::Interrupted(interrupt) = &error {
            if *interrupt == Interrupt::AtOnce {
                self.finish_step(number, Conclusion::Cancelled, None);
                let reason = format!("stopped immediately at step {number}/{all}: the environment is left as it is");
                return Halt { reason, next: AfterHalt::Leave };
            }
            let reason = error.to_string();
            self.finish_step(number, Conclusion::Cancelled, Some(reason.clone()));
            return Halt { reason, next: AfterHalt::Back };
        }
        self.finish_step(number, Conclusion::Failure, Some(error.to_string()));
        let reason = format!("step {number}/{all} ({}) failed: {error}", position.plan.describe(&step));
        if self.has_succeeded() {
            let release = self.subject.release.title();
            return Halt { reason: format!("{release} is live, but {reason}"), next: AfterHalt::Leave };
        }
        self.after_failure(&error, reason, position)
    }

    /// Decides what comes after a failure before the release is live.
    fn after_failure(&self, error: &Trouble, reason: String, position: &Position) -> Halt {
        match error {
            // Of several hosts, the others go back. The one that is taken is refused then, too.
            Trouble::Taken { .. } if !position.plan.has_hosts() => Halt { reason, next: AfterHalt::Leave },
            _ if self.subject.cause == Cause::Rollback => {
                let why = "a failed rollback is not undone automatically; check what is running, then deploy or abort";
                Halt { reason: format!("{reason}; {why}"), next: AfterHalt::Leave }
            }
            _ => Halt { reason, next: AfterHalt::BackFromFault },
        }
    }
}

/// Returns the event for the end of a step.
fn finished(job: &JobId, step: StepNumber, conclusion: Conclusion, reason: Option<String>) -> Event {
    let (job, outcome) = (job.clone(), conclusion);
    Event::StepFinished { job, step, outcome, conclusion, exit_code: None, signal: None, reason }
}
