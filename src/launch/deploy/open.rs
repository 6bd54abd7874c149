//! Finds deployments that are in progress or can be continued, and the way back to an earlier release.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::lanes::MAX_DEPLOYMENTS;
use super::{DeployError, DeployRequest, Deployments, PreparedDeployment};
use crate::launch::commands::{self, CommandError};
use crate::model::deployment::{Cause, DeploymentRecord, EnvironmentState, Outcome};
use crate::model::environment::{Environment, Release};
use crate::model::rollback::{RollbackRequest, TargetError};
use crate::model::{Command, DeploymentOrder, Phase, Run, Timestamp};
use crate::rollout::driver::Position;
use crate::rollout::gates::{self, Closed, GateFacts};
use crate::rollout::ledger::LedgerFile;
use crate::rollout::plan::PlanError;
use crate::rollout::release;
use crate::store::clock::{minute_of_week, now};
use crate::store::folder::RunFolder;
use crate::store::spec::{DeploymentSpec, RunSpec};
use crate::store::{StoreError, history, lock};

/// Maximum time that [`settle`] waits: the target may take long to report what it runs.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time between two looks at the run of a deployment in [`settle`].
const SETTLE_POLL: Duration = Duration::from_millis(20);

/// A deployment that is in progress, or that can be continued.
pub struct OpenDeployment {
    /// Record of the deployment in the ledger.
    pub record: DeploymentRecord,
    /// Folder of the run.
    pub folder: RunFolder,
    /// Whether the worker runs.
    pub is_running: bool,
}

impl OpenDeployment {
    /// Whether the deployment acts on the target, or did so when it was interrupted or failed halfway, and its release
    /// is not live yet.
    fn is_on_its_way(&self) -> bool {
        self.record.began && self.record.outcome != Some(Outcome::Succeeded)
    }
}

/// How an earlier release is restored.
pub enum WayBack {
    /// By aborting the deployment in progress: the release that it replaces still runs.
    Abort(Box<OpenDeployment>),
    /// By deploying the earlier release.
    Deploy(DeployRequest),
}

impl Deployments {
    /// Returns the newest deployment to an environment that is in progress, keeps the former release, or was
    /// interrupted. A deployment that acts on the target takes precedence over newer ones that wait. Commands can be
    /// sent to the result.
    ///
    /// # Errors
    /// The environment or deployment does not exist, a job of a run carries it out, or the state folder cannot be read.
    pub fn open(&self, name: &str) -> Result<OpenDeployment, DeployError> {
        let open = self.find_open(name)?;
        if open.record.cause == Cause::Job { Err(by_job(&open.record)) } else { Ok(open) }
    }

    fn find_open(&self, name: &str) -> Result<OpenDeployment, DeployError> {
        let ledger = self.ledger()?;
        self.require_known(name, &ledger)?;
        self.newest_open(&ledger.of(name), usize::MAX).ok_or_else(|| DeployError::NothingOpen(name.to_owned()))
    }

    /// Returns the open deployment among the newest `most` of an environment. `None` if none of them is open.
    pub(super) fn newest_open(&self, state: &EnvironmentState, most: usize) -> Option<OpenDeployment> {
        let open = state.deployments().take(most).filter_map(|record| {
            let folder = self.runs.folder(record.run.clone());
            let position = || Position::read(&folder).ok().flatten();
            // A worker that only waits to stop the environment, or for a server to record the end, takes no commands.
            let only_waits = |position: Position| {
                position.has_ended || (record.outcome == Some(Outcome::Succeeded) && position.auto_stop().is_some())
            };
            let is_running = lock::is_held(&folder.lock())
                && (record.cause != Cause::Job || (record.began && record.outcome.is_none()))
                && (record.outcome.is_none() || !position().is_some_and(only_waits));
            let is_left = || {
                matches!(record.outcome, None | Some(Outcome::Interrupted | Outcome::Failed))
                    && state.superseded_by(&record.run).is_none()
                    && position().is_some_and(|position| !position.has_ended)
            };
            (is_running || is_left()).then(|| OpenDeployment { record: record.clone(), folder, is_running })
        });
        // A deployment that acts on the target takes precedence over one that was left halfway, which a person must end
        // first; that one over one that keeps the former release; and all of them over deployments that wait in the queue.
        let mut open: Vec<_> = open.collect();
        let has_begun = |one: &OpenDeployment| one.is_running && one.record.began;
        let acts = open.iter().position(|one| has_begun(one) && one.record.outcome.is_none());
        let is_left = |one: &OpenDeployment| !one.is_running && one.record.began;
        let begun = || open.iter().position(is_left).or_else(|| open.iter().position(has_begun));
        let at = acts.or_else(begun).unwrap_or_default();
        (!open.is_empty()).then(|| open.swap_remove(at))
    }

    /// Describes the deployment that changed an environment last, if it was left halfway, with the commands that continue or
    /// undo it. `None` if it was not, or if another attempt of it has begun.
    pub(super) fn left_halfway(&self, state: &EnvironmentState) -> Option<String> {
        let record = state.left_halfway()?;
        let is_running = lock::is_held(&self.runs.folder(record.run.clone()).lock());
        (!is_running).then(|| self.halfway(record)).flatten()
    }

    /// Describes a deployment without a worker that was left halfway: its release, how it ended, its position, and the
    /// commands that continue or undo it. `None` if no command of this program does.
    fn halfway(&self, record: &DeploymentRecord) -> Option<String> {
        let how = if record.outcome == Some(Outcome::Failed) { "failed" } else { "was interrupted" };
        let at = self.position(record).map(|at| format!(" at {at}"));
        if at.is_none() && record.cause != Cause::Job {
            // Its folder was removed, so there is nothing to continue or undo it with.
            return None;
        }
        Some(format!("{} {how}{}: {}", record.release.title(), at.unwrap_or_default(), record.ways_out()?))
    }

    /// Returns all deployments whose workers run, of the environments that have settings. Those that have not begun come
    /// first.
    ///
    /// # Errors
    /// The settings are invalid, or the state folder cannot be read.
    pub fn running(&self) -> Result<Vec<OpenDeployment>, DeployError> {
        let states = self.states(&self.ledger()?)?;
        let records = states.values().flat_map(EnvironmentState::deployments);
        let running = records.filter(|record| record.cause != Cause::Job).filter_map(|record| {
            let folder = self.runs.folder(record.run.clone());
            let is_running = lock::is_held(&folder.lock());
            is_running.then(|| OpenDeployment { record: record.clone(), folder, is_running })
        });
        let mut running: Vec<_> = running.collect();
        running.sort_by_key(|open| open.record.began);
        Ok(running)
    }

    /// Returns what a promotion of the deployment in progress to an environment would end, in words. `None` if the
    /// deployment is not paused and does not wait for a person.
    pub(super) fn promotable(&self, state: &EnvironmentState) -> Option<String> {
        let open = self.newest_open(state, MAX_DEPLOYMENTS)?;
        let is_steered = open.is_running && open.record.began && open.record.cause != Cause::Job;
        let position = Position::read(&open.folder).ok().flatten().filter(|_| is_steered)?;
        let waits = || match &position.decision {
            Some(why) => format!("waits for a person: {why}"),
            None => "waits for a person".to_owned(),
        };
        let waits = position.waits_for_person().then(waits);
        position.pause(open.record.paused).map(str::to_owned).or(waits)
    }

    /// Returns the deployment without a worker that may have left the environment halfway.
    pub(super) fn left_by(&self, prepared: &PreparedDeployment) -> Result<Option<OpenDeployment>, DeployError> {
        let open = self.newest_open(&self.ledger()?.of(&prepared.settings().name), MAX_DEPLOYMENTS);
        Ok(open.filter(|open| !open.is_running && open.is_on_its_way()))
    }

    /// Returns the error about an environment for which no plan can be made. If a deployment has left it between two releases,
    /// the error names the commands that continue and undo that one.
    pub(super) fn no_plan(&self, prepared: &PreparedDeployment, error: PlanError) -> DeployError {
        match self.left_by(prepared) {
            Ok(Some(left)) if error.is_between() => {
                let run = &left.record.run;
                DeployError::OnItsWay(format!("{error} goes back, `cuelight resume {run}` goes on"))
            }
            _ => DeployError::Plan(error),
        }
    }

    /// Returns a sentence about the deployment that changes an environment now, for whose end a further one waits. `None`
    /// if none does.
    ///
    /// # Errors
    /// The state folder cannot be read.
    pub fn waits_behind(&self, name: &str) -> Result<Option<String>, DeployError> {
        let open = self.newest_open(&self.ledger()?.of(name), MAX_DEPLOYMENTS);
        Ok(open.filter(|open| open.is_running && open.is_on_its_way()).map(|open| {
            let release = open.record.release.title();
            let at = self.position(&open.record).map(|at| format!(" ({at})")).unwrap_or_default();
            format!("{release} is on its way{at}; this deployment waits for its end")
        }))
    }

    /// Returns when an environment is stopped automatically; `None` if no deployment waits to do that. `position` is that of
    /// the live deployment.
    pub(super) fn stops(&self, state: &EnvironmentState, position: Option<&Position>) -> Option<Timestamp> {
        let live = state.live()?;
        let (after, since) = (position?.auto_stop()?, live.ended?);
        lock::is_held(&self.runs.folder(live.run.clone()).lock()).then(|| since.after(after))
    }

    /// Sends an order to the worker of a deployment, in the name of the local user.
    ///
    /// # Errors
    /// The deployment was left halfway, the worker refuses the order, or it does not answer.
    pub async fn order(&self, open: &OpenDeployment, order: DeploymentOrder) -> Result<(), CommandError> {
        if let Some(halfway) = self.halfway(&open.record).filter(|_| !open.is_running) {
            return Err(CommandError::Refused(halfway));
        }
        commands::submit(&open.folder, &Command::Deployment { order, by: Some(self.actor()) }).await
    }

    /// Asks the worker of a deployment to restore the former release. Returns `false` if no worker runs:
    /// [`commands::abort_interrupted`] then undoes the deployment.
    ///
    /// # Errors
    /// The worker refuses the order, or does not answer.
    pub async fn ask_to_abort(&self, open: &OpenDeployment, reason: &str) -> Result<bool, CommandError> {
        if !open.is_running {
            return Ok(false);
        }
        match self.order(open, DeploymentOrder::Abort { reason: reason.to_owned() }).await {
            // The worker died a moment ago, so the deployment is undone like any other that lost its worker.
            Err(CommandError::WorkerLost) => Ok(false),
            answered => answered.map(|()| true),
        }
    }

    /// Returns a sentence about a deployment whose abort was accepted, if that withdraws it. `None` if the deployment has begun,
    /// perhaps only after it was found and before its worker took the order.
    ///
    /// # Errors
    /// The state folder cannot be read.
    pub fn withdrawn(&self, open: &OpenDeployment) -> Result<Option<String>, DeployError> {
        let state = self.ledger()?.of(&open.record.environment);
        Ok(state.deployment(&open.record.run).unwrap_or(&open.record).withdrawn())
    }

    /// Whether this machine rolls back an environment: the environment has settings here, or a deployment to it is in
    /// progress here.
    ///
    /// # Errors
    /// The settings are invalid, and no deployment is in progress.
    pub fn rolls_back(&self, name: &str) -> Result<bool, DeployError> {
        if self.find_open(name).is_ok_and(|open| open.is_on_its_way()) {
            return Ok(true);
        }
        Ok(self.all_settings()?.contains_key(name))
    }

    /// Returns how an earlier release of an environment is restored, as [`Self::way_back`] does, from the release that the
    /// target runs. It is asked only in a trusted repository, and only if its answer matters: a release to restore that the
    /// ledger knows is restored from any other one.
    ///
    /// # Errors
    /// As for [`Self::way_back`], and the trust cannot be determined.
    pub async fn find_way_back(&self, wanted: &RollbackRequest) -> Result<WayBack, DeployError> {
        let recorded = self.way_back(wanted, None);
        let is_settled = match &recorded {
            Ok(WayBack::Abort(_)) | Err(DeployError::OnItsWay(_)) => true,
            Ok(WayBack::Deploy(_)) => wanted.to.is_some(),
            Err(_) => false,
        };
        if is_settled {
            return recorded;
        }
        match self.serves_instead_of_recorded(&wanted.environment).await? {
            Some(serving) => self.way_back(wanted, Some(&serving)),
            None => recorded,
        }
    }

    /// Returns how an earlier release of an environment is restored. A deployment in progress is aborted, because
    /// another one would wait for its end; one that was interrupted or failed halfway is undone, too. `serving` is the
    /// release that the target runs, if the ledger has another one as live, or none.
    ///
    /// # Errors
    /// Nothing is live, the live release is not the one that is named, no earlier release is known, or aborting the
    /// deployment in progress would not restore the release that is named.
    pub fn way_back(&self, wanted: &RollbackRequest, serving: Option<&Release>) -> Result<WayBack, DeployError> {
        let name = &wanted.environment;
        if let Ok(open) = self.find_open(name)
            && open.is_on_its_way()
        {
            return self.way_back_from(open, wanted);
        }
        self.settings(name)?;
        let state = self.ledger()?.of(name);
        let shown = state.shown(now());
        let shown = match serving {
            Some(serving) => shown.with_serving(serving),
            None => shown,
        };
        if let Some(unknown) = state.unknown().filter(|_| !shown.is_known_to_roll_back()) {
            let last = state.last_success().map(|live| live.release.title());
            return Err(DeployError::Unknown {
                name: name.clone(),
                unknown: unknown.to_owned(),
                last: last.unwrap_or_else(|| "RELEASE".to_owned()),
            });
        }
        let found = match shown.rollback(wanted) {
            // A commit may have other tags than the one that it was deployed with.
            Err(error @ (TargetError::Moved { .. } | TargetError::Unknown { .. })) => {
                shown.rollback(&self.by_commit(wanted)).map_err(|_| error)
            }
            found => found,
        };
        let (_, to) = match found {
            Err(TargetError::NothingLive(_)) if self.open(name).is_ok() => {
                return Err(DeployError::OnItsWay(format!(
                    "nothing is live in {name}, and the deployment to it only waits to begin: `cuelight abort {name}` \
                     withdraws it"
                )));
            }
            found => found?,
        };
        Ok(WayBack::Deploy(DeployRequest {
            environment: name.clone(),
            release: Some(to.release.sha.clone()),
            cause: Cause::Rollback,
            reason: wanted.reason.clone(),
            overrides: false,
            trust: false,
        }))
    }

    /// Returns a request with commits in place of the tags of this repository that it names.
    fn by_commit(&self, wanted: &RollbackRequest) -> RollbackRequest {
        let commit =
            |name: &String| release::commit_of_tag(&self.repository.root, name).unwrap_or_else(|| name.clone());
        RollbackRequest { to: wanted.to.as_ref().map(commit), from: wanted.from.as_ref().map(commit), ..wanted.clone() }
    }

    /// Checks that the target still runs the release that a rollback was shown to replace. It is asked again, because others
    /// may have deployed while a person read what would be done.
    ///
    /// # Errors
    /// Another release runs there by now, or as for [`Self::plan`].
    pub async fn check_replaced(
        &self,
        prepared: &PreparedDeployment,
        shown: Option<&Release>,
    ) -> Result<(), DeployError> {
        let plan = self.plan(prepared).await?;
        let (found, _) = prepared.replaced(Some(&plan));
        let is_other = found.is_some_and(|found| shown.is_none_or(|shown| shown.sha != found.sha));
        if is_other { Err(DeployError::Moved(prepared.settings().name.clone())) } else { Ok(()) }
    }

    fn way_back_from(&self, open: OpenDeployment, wanted: &RollbackRequest) -> Result<WayBack, DeployError> {
        let record = &open.record;
        let names = |named: Option<&String>, release: Option<&Release>| {
            let root = &self.repository.root;
            named.is_none_or(|named| release.is_some_and(|release| release::is_named(root, release, named)))
        };
        let leads_back = record.cause == Cause::Manual
            && names(wanted.to.as_ref(), record.from.as_ref())
            && names(wanted.from.as_ref(), Some(&record.release));
        if leads_back {
            return Ok(WayBack::Abort(Box::new(open)));
        }
        let at = self.position(record).map(|at| format!(" ({at})")).unwrap_or_default();
        let (title, environment) = (record.release.title(), record.environment.clone());
        Err(DeployError::OnItsWay(match record.cause {
            Cause::Rollback if !open.is_running => format!(
                "the rollback of {environment} to {title} stopped halfway{at}: `cuelight resume {}` goes on with it",
                record.run
            ),
            Cause::Rollback => format!(
                "{environment} is being rolled back to {title}{at}: `cuelight attach {}` follows it",
                record.run
            ),
            Cause::Job => return Err(by_job(record)),
            Cause::Manual => format!(
                "{title} is on its way to {environment}{at}: `cuelight abort {environment}` brings {} back",
                record.former()
            ),
        }))
    }
}

/// Returns the state of the environment that a run deploys to, according to the ledger, and the position of the deployment
/// in its plan, in words. `None` if the run is not a deployment by this machine.
///
/// # Errors
/// The run or the ledger cannot be read.
pub fn state_of(folder: &RunFolder) -> Result<Option<(EnvironmentState, Option<String>)>, StoreError> {
    let work = RunSpec::read(folder)?.work;
    let Some(deployment) = work.deployment() else { return Ok(None) };
    let state = LedgerFile::of(&folder.runs(), &deployment.scope).read()?.of(&deployment.settings.name);
    let position = state.deployment(folder.id()).and_then(|record| position(folder, record));
    Ok(Some((state, position)))
}

/// Returns the environment of a deployment whose release is live, with what its target reports now. `None` for any other run, and
/// if the repository of the deployment cannot be read any more.
pub async fn observed_of(folder: &RunFolder) -> Option<Environment> {
    let (state, _) = state_of(folder).ok()??;
    state.deployment(folder.id()).filter(|record| state.is_live(record))?;
    let work = RunSpec::read(folder).ok()?.work;
    let deployment = work.deployment()?;
    let deployments = Arc::new(Deployments::of(&folder.runs(), &deployment.repository).ok()?);
    deployments.observed(Some(&deployment.settings.name)).await.ok()?.pop()
}

/// Returns the position of a deployment in its plan, in words, with the pause that a person has requested of its worker.
/// `None` until it has passed its gates, or if the position cannot be read.
pub(super) fn position(folder: &RunFolder, record: &DeploymentRecord) -> Option<String> {
    let is_paused = record.paused && lock::is_held(&folder.lock());
    Some(Position::read(folder).ok()??.text_with_pause(is_paused))
}

/// Waits until a deployment that was started a moment ago waits at a gate or in the queue, has begun, or has ended, so that
/// the next command finds it there. Returns after 5 s at the latest.
pub fn settle(folder: &RunFolder) {
    let until = Instant::now() + SETTLE_TIMEOUT;
    let is_settled = |run: Run| {
        matches!(run.phase, Phase::Waiting(_) | Phase::Done(_))
            || run.jobs.values().any(|job| job.phase != Phase::Queued)
    };
    while Instant::now() < until && lock::is_held(&folder.lock()) && !history::read(folder).is_ok_and(is_settled) {
        thread::sleep(SETTLE_POLL);
    }
}

/// Returns the error about a deployment that a job of a run carries out.
fn by_job(record: &DeploymentRecord) -> DeployError {
    let (title, environment, run) = (record.release.title(), &record.environment, &record.run);
    DeployError::OnItsWay(format!(
        "a job of {run} deploys {title} to {environment}: `cuelight cancel {run}` ends it, `cuelight attach {run}` follows it"
    ))
}

/// Returns a sentence about a deployment in progress that waits for a person, with the commands to decide. `None` if the run
/// is not a deployment, or does not wait for a person.
#[must_use]
pub fn awaited(folder: &RunFolder) -> Option<String> {
    let spec = RunSpec::read(folder).ok()?;
    let name = &spec.work.deployment()?.settings.name;
    let position = Position::read(folder).ok()?.filter(Position::waits_for_person)?;
    let ((at, all), step) = (position.step(), position.step_name());
    lock::is_held(&folder.lock()).then(|| match &position.decision {
        Some(why) => format!("{name} waits for a person at step {at}/{all} ({step}): {why}"),
        None => format!(
            "{name} waits for a person at step {at}/{all} ({step}): `cuelight promote {name}` goes on, \
             `cuelight abort {name}` goes back"
        ),
    })
}

/// Returns the gates that hold back an interrupted deployment that is to be continued.
///
/// # Errors
/// The ledger cannot be read.
pub(in crate::launch) fn closed_to_resume(
    folder: &RunFolder,
    deployment: &DeploymentSpec,
) -> Result<Vec<Closed>, StoreError> {
    let settings = &deployment.settings;
    let state = LedgerFile::of(&folder.runs(), &deployment.scope).read()?.of(&settings.name);
    let at = now();
    let record = state.deployment(folder.id());
    Ok(gates::closed(&GateFacts { settings, state: &state, record, now: at, minute_of_week: minute_of_week(at) }))
}
