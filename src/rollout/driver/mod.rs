//! Carries out a deployment: gates, queue, the steps of the plan, and the way back when one of them fails.
//!
//! On the screen a deployment is a job with a step for each step of its plan. The steps of the way back are added when it
//! begins.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::deployment::{Action, Actor, Cause, EnvironmentSettings, Observed, Outcome, Plan, PlanStep};
use crate::model::environment::Release;
use crate::model::{Conclusion, Event, JobId, JobOutline, RunId, StepKind, StepNumber, StepOutline, Timestamp};
use crate::store::StoreError;
use crate::store::folder::RunFolder;

use super::check::CheckError;
use super::ledger::LedgerFile;
use super::notify::Notifier;
use super::outlet::{Outlet, Progress};
use super::plan::{self, PlanError};
use super::shell::Shell;
use super::target::{Target, TargetError};

mod controls;
mod end;
mod entry;
mod position;
mod steps;
#[cfg(test)]
mod tests;

pub use controls::{Asked, Stop};
pub use position::Position;

use controls::{Controls, Interrupt, Stage};

/// What is deployed where, and for whom.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The environment.
    pub settings: EnvironmentSettings,
    /// The release.
    pub release: Release,
    /// Why.
    pub cause: Cause,
    /// Who asked for it.
    pub creator: Actor,
    /// The person of the worker process.
    pub worker: Actor,
}

impl Subject {
    /// Returns the name of the run: `Deploy v1.4.2 9093b37 to production`.
    #[must_use]
    pub fn title(&self) -> String {
        let (release, environment) = (self.release.title(), &self.settings.name);
        match self.cause {
            Cause::Rollback => format!("Roll {environment} back to {release}"),
            Cause::Manual => format!("Deploy {release} to {environment}"),
        }
    }
}

/// The place in a queue; deployments to one environment take turns.
pub type Turn = Box<dyn Send + Sync>;

/// The queue of an environment.
pub trait Queue: Send + Sync {
    /// Waits for the turn. A newer deployment replaces an older one that waits, unless it `is_patient`.
    ///
    /// # Errors
    /// The reason why it cannot be had.
    fn wait(&self, is_patient: bool) -> BoxFuture<'_, Result<Turn, QueueError>>;
}

/// Why a deployment does not get its turn.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct QueueError(pub String);

/// What a deployment works with.
pub struct Tools {
    /// Folder of the run.
    pub folder: RunFolder,
    /// Number of the attempt.
    pub attempt: u32,
    /// Receives records and logs.
    pub outlet: Arc<dyn Outlet>,
    /// Where replicas run.
    pub target: Arc<dyn Target>,
    /// Where the commands of checks run.
    pub shell: Shell,
    /// The entries of the repository.
    pub ledger: LedgerFile,
    /// The queue of the environment.
    pub queue: Arc<dyn Queue>,
    /// Returns the release of a commit.
    pub known: KnownRelease,
    /// Returns the minute of the week in local time.
    pub minute_of_week: fn(Timestamp) -> u16,
}

/// Returns the release of a commit, if it is known.
pub type KnownRelease = Arc<dyn Fn(&str) -> Option<Release> + Send + Sync>;

/// How an attempt of a deployment ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeploymentEnd {
    /// Conclusion of the run.
    pub conclusion: Conclusion,
    /// Why, if it did not succeed.
    pub reason: Option<String>,
}

/// How an attempt begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Begin {
    /// At the written position, or at the gates.
    Forward,
    /// With the way back, for this reason.
    Back(String),
}

/// Why a step, or what comes before the steps, did not succeed.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("a later deployment, of {0}, has begun: what this one left is not touched")]
    Superseded(String),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error("the new release was bad {count} times while it was watched; the last answer: {last}")]
    Analysis { count: u32, last: String },
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("{}", .0.reason())]
    Interrupted(Interrupt),
}

/// A deployment in progress.
struct Driver {
    subject: Subject,
    tools: Tools,
    controls: Controls,
    job: JobId,
    /// Number of steps that were announced.
    announced: Vec<StepOutline>,
    turn: Option<Turn>,
    notifier: Notifier,
}

/// Carries out an attempt of a deployment. Records everything but the end of the run.
pub async fn carry_out(
    subject: Subject,
    tools: Tools,
    asked: tokio::sync::mpsc::Receiver<Asked>,
    stop: tokio::sync::watch::Receiver<Stop>,
    begin: Begin,
) -> DeploymentEnd {
    let run = tools.folder.id().clone();
    let controls = Controls::new(asked, stop, tools.ledger.clone(), run);
    let job = JobId::new(&subject.settings.name);
    let notifier = Notifier::new(subject.settings.notify.clone(), tools.shell.clone());
    let mut driver = Driver { subject, tools, controls, job, announced: Vec::new(), turn: None, notifier };
    driver.announce();
    let (outcome, reason) = driver.run(begin).await;
    driver.end(outcome, reason).await
}

impl Driver {
    fn run_id(&self) -> &RunId {
        self.tools.folder.id()
    }

    fn record(&self, event: Event) {
        self.tools.outlet.record(event);
    }

    /// Announces the deployment as a job.
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
        let mut position = match self.position(&begin).await {
            Ok(position) => position,
            Err(error) => return (Outcome::Cancelled, Some(error.to_string())),
        };
        if let Begin::Back(reason) = begin {
            position.back.get_or_insert(reason);
        }
        let name = self.announced_name();
        let environment = Some(self.subject.settings.name.clone());
        self.record(Event::JobStarted { job: self.job.clone(), name, sandbox: "host".to_owned(), environment });
        if self.outcome() != Some(Outcome::Succeeded) {
            self.append(Action::Began, String::new());
        }
        self.plan_steps(&position.plan.steps.clone(), &position.plan, StepKind::Main);
        for done in 1..=position.done {
            self.finish_step(StepNumber(done as u32), Conclusion::Success, Some("done before".to_owned()));
        }
        let trouble = match position.back.clone() {
            Some(reason) => Err((reason, true)),
            None => self.forward(&mut position).await,
        };
        let outcome = match trouble {
            Ok(()) => (Outcome::Succeeded, None),
            Err((reason, false)) => (Outcome::Failed, Some(reason)),
            Err((reason, true)) => self.back(&mut position, reason).await,
        };
        if outcome.0 != Outcome::Failed {
            position.has_ended = true;
            if let Err(error) = position.write(&self.tools.folder) {
                tracing::warn!(%error, "the end of the deployment is not in its position");
            }
        }
        outcome
    }

    fn announced_name(&self) -> String {
        format!("{} to {}", self.subject.release.title(), self.subject.settings.name)
    }

    /// Returns where the deployment is: behind its gates, with a plan and its turn.
    async fn position(&mut self, begin: &Begin) -> Result<Position, Trouble> {
        let written = Position::read(&self.tools.folder)?;
        if written.is_none() {
            if let Begin::Back(reason) = begin {
                return Err(Trouble::Interrupted(Interrupt::Back(reason.clone())));
            }
            self.pass_gates().await?;
        }
        let queue = Arc::clone(&self.tools.queue);
        let turn = self.controlled(async move { queue.wait(false).await }).await.map_err(Trouble::Interrupted)?;
        self.turn = Some(turn?);
        if let Some(position) = written {
            let ledger = self.tools.ledger.read()?;
            return match ledger.superseded_by(&self.subject.settings.name, self.run_id()) {
                Some(later) => Err(Trouble::Superseded(later.release.title())),
                None => Ok(position),
            };
        }
        // The lock may have been taken while the deployment waited for its turn.
        self.pass_gates().await?;
        let progress = Progress::new(&self.tools.outlet, &self.job, StepNumber(1));
        let observed = self.tools.target.observe(&progress).await?;
        let (settings, known) = (&self.subject.settings, Arc::clone(&self.tools.known));
        let plan = plan::plan(settings, &observed, &self.subject.release, |sha| known(sha))?;
        let position = Position { plan, done: 0, back: None, has_ended: false };
        position.write(&self.tools.folder)?;
        Ok(position)
    }

    /// Waits for something while commands are answered.
    async fn controlled<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Interrupt> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                interrupt = self.controls.next(&self.subject) => {
                    if let Some(interrupt) = interrupt {
                        return Err(interrupt);
                    }
                }
            }
        }
    }

    /// Announces more steps.
    fn plan_steps(&mut self, steps: &[PlanStep], plan: &Plan, kind: StepKind) {
        for step in steps {
            let number = StepNumber(self.announced.len() as u32 + 1);
            self.announced.push(StepOutline { number, name: plan.describe(step), kind, background: false });
        }
        self.record(Event::StepsPlanned { job: self.job.clone(), steps: self.announced.clone() });
    }

    fn finish_step(&self, step: StepNumber, conclusion: Conclusion, reason: Option<String>) {
        let (job, outcome) = (self.job.clone(), conclusion);
        self.record(Event::StepFinished { job, step, outcome, conclusion, exit_code: None, signal: None, reason });
    }

    /// Carries out the steps that are left. On an error, returns why, and whether to go back.
    async fn forward(&mut self, position: &mut Position) -> Result<(), (String, bool)> {
        while let Some(step) = position.plan.steps.get(position.done).cloned() {
            let number = StepNumber(position.done as u32 + 1);
            let all = position.plan.steps.len();
            if let Err(error) = position.write(&self.tools.folder) {
                return Err((error.to_string(), true));
            }
            self.controls.stage = Stage::Step;
            let result = self.step(&step, &position.plan.clone(), number, true).await;
            match result {
                Ok(()) => position.done += 1,
                Err(Trouble::Interrupted(Interrupt::AtOnce)) => {
                    self.finish_step(number, Conclusion::Cancelled, None);
                    return Err((
                        format!("ended at once at step {number}/{all}: what is there is left as it is"),
                        false,
                    ));
                }
                Err(Trouble::Interrupted(interrupt)) => {
                    let reason = interrupt.reason().to_owned();
                    self.finish_step(number, Conclusion::Cancelled, Some(reason.clone()));
                    return Err((reason, true));
                }
                Err(error) => {
                    self.finish_step(number, Conclusion::Failure, Some(error.to_string()));
                    let name = position.plan.describe(&step);
                    let reason = format!("step {number}/{all} ({name}) failed: {error}");
                    if self.subject.cause == Cause::Rollback {
                        let why = "a rollback is not undone by itself; look at what runs, then deploy or abort";
                        return Err((format!("{reason}; {why}"), false));
                    }
                    return Err((reason, true));
                }
            }
        }
        Ok(())
    }

    /// Brings the former release back.
    async fn back(&mut self, position: &mut Position, reason: String) -> (Outcome, Option<String>) {
        self.controls.stage = Stage::Back;
        position.back = Some(reason.clone());
        if let Err(error) = position.write(&self.tools.folder) {
            return (Outcome::Failed, Some(format!("{reason}; {error}")));
        }
        let plan = position.plan.clone();
        let begun = &plan.steps[..plan.steps.len().min(position.done + 1)];
        let new = plan.new.slot;
        let may_run = begun.iter().any(|step| matches!(step, PlanStep::Start { slot, .. } if *slot == new));
        let steps = match self.way_back(&plan, may_run).await {
            Ok(steps) => steps,
            Err(error) => return (Outcome::Failed, Some(format!("{reason}; it cannot go back: {error}"))),
        };
        let same = plan.old.as_ref().is_some_and(|old| old.release.sha == plan.new.release.sha);
        if same && steps.iter().any(|step| matches!(step, PlanStep::Start { .. })) {
            let why = "the former release is the same commit, so it is not started again";
            return (Outcome::Failed, Some(format!("{reason}; {why}")));
        }
        let first = self.announced.len();
        self.plan_steps(&steps, &plan, StepKind::Post);
        for (at, step) in steps.iter().enumerate() {
            let number = StepNumber((first + at) as u32 + 1);
            if let Err(error) = self.step(step, &plan, number, false).await {
                self.finish_step(number, Conclusion::Failure, Some(error.to_string()));
                let name = plan.describe(step);
                return (Outcome::Failed, Some(format!("{reason}; on the way back, {name} failed: {error}")));
            }
        }
        let now = match &plan.old {
            Some(old) => format!("{} serves again", old.release.title()),
            None => "nothing is left of it".to_owned(),
        };
        let outcome = if position.done == 0 && steps.is_empty() { Outcome::Cancelled } else { Outcome::RolledBack };
        (outcome, Some(format!("{reason}; {now}")))
    }

    async fn way_back(&self, plan: &Plan, may_run: bool) -> Result<Vec<PlanStep>, Trouble> {
        let number = StepNumber(self.announced.len() as u32);
        let progress = Progress::new(&self.tools.outlet, &self.job, number);
        let observed: Observed = self.tools.target.observe(&progress).await?;
        Ok(plan::back(&self.subject.settings, plan, &observed, may_run))
    }
}
