//! Applies the rules of this machine's environments to the jobs of a run that deploy to them, and records the
//! deployments in the ledger.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::sleep;

use crate::config::Config;
use crate::engine::concurrency::{ConcurrencyGate, GroupRequest};
use crate::engine::environments::{Entered, EnvironmentError, EnvironmentGate, JobDeployment};
use crate::engine::outlet::Outlet;
use crate::model::deployment::{
    Action, Actor, Cause, DeploymentRecord, Entry, EnvironmentSettings, Outcome, workflow_name,
};
use crate::model::environment::Release;
use crate::model::{Conclusion, Event, JobId, PendingReview, RunId, RunInfo};
use crate::repo::git::{Access, Repository};
use crate::repo::uncommitted::{changed_files, named};
use crate::rollout::gates::{self, Closed, GateFacts, GateKind, Refused};
use crate::rollout::ledger::{self, LOOK_EVERY, Latest, LedgerFile};
use crate::rollout::release::{self, NamedRelease};
use crate::store::StoreError;
use crate::store::clock::{minute_of_week, now};
use crate::store::concurrency::Ticket;
use crate::store::folder::RunFolder;
use crate::store::history;

use super::concurrency::ConcurrencyQueue;
use super::outlet::RunOutlet;

/// The environments of a run's repository, for one attempt.
pub(super) struct JobEnvironments {
    folder: RunFolder,
    info: RunInfo,
    /// Root of the repository.
    repository: PathBuf,
    outlet: Arc<RunOutlet>,
    concurrency: Arc<ConcurrencyQueue>,
    /// Reviews that jobs wait for.
    reviews: Mutex<Vec<PendingReview>>,
}

impl JobEnvironments {
    pub(super) fn new(
        folder: &RunFolder,
        info: &RunInfo,
        repository: PathBuf,
        outlet: &Arc<RunOutlet>,
        concurrency: &Arc<ConcurrencyQueue>,
    ) -> Arc<Self> {
        Arc::new(Self {
            folder: folder.clone(),
            info: info.clone(),
            repository,
            outlet: Arc::clone(outlet),
            concurrency: Arc::clone(concurrency),
            reviews: Mutex::default(),
        })
    }

    /// Admits a job to an environment: waits for its gates and for its turn, and records the deployment. Returns an
    /// error if the rules of the environment refuse the release, or a reviewer rejects it.
    async fn admit(
        &self,
        job: JobId,
        settings: EnvironmentSettings,
    ) -> Result<Box<dyn JobDeployment>, EnvironmentError> {
        let repository = Repository::discover(&self.repository).map_err(failed)?;
        let name = settings.name.clone();
        let ledger = LedgerFile::of(&self.folder.runs(), &repository.common);
        let found = release::resolve(&self.repository, &self.info.sha).map_err(failed)?;
        let reference = self.info.ref_name.clone();
        let uncommitted = history::dirty(&self.folder).map_err(failed)?;
        let release = NamedRelease { release: Release { reference, ..found.release.clone() }, uncommitted, ..found };
        let read = ledger.read().map_err(failed)?;
        Refused::check(&gates::policy(&settings, &read, &release)).map_err(failed)?;
        let from = read.of(&name).live().map(|live| live.release.clone());
        let mut visit = Visit {
            latest: Latest::new(ledger.clone(), name.clone()),
            ledger,
            by: ledger::actor(&repository),
            outlet: Arc::clone(&self.outlet),
            settings,
            run: self.folder.id().clone(),
            job,
            has_begun: false,
            has_ended: false,
            turn: None,
        };
        let requested = Action::Requested { release: release.release.clone(), from, cause: Cause::Job };
        visit.append(requested, &format!("job {} of {}", visit.job, self.info.workflow)).map_err(failed)?;
        if !release.uncommitted.is_empty() {
            visit.append(Action::Changed, &named(&release.uncommitted)).map_err(failed)?;
        }
        loop {
            self.pass_gates(&mut visit).await?;
            let group = GroupRequest { group: workflow_name(&name), cancel_in_progress: false, queue_all: true };
            let turn = Arc::clone(&self.concurrency).acquire(visit.job.clone(), group).await.map_err(failed)?;
            if closed(&mut visit)?.is_empty() {
                visit.turn = Some(turn);
                break;
            }
            // A gate was closed meanwhile, for instance by a lock: the group is free for others until the gate opens.
        }
        self.check_files(&visit, release)?;
        visit.append(Action::Began, "").map_err(failed)?;
        visit.has_begun = true;
        Ok(Box::new(visit))
    }

    /// Checks the working tree again. The user may have changed it while the job waited, and a checkout copies the files
    /// as they are then.
    fn check_files(&self, visit: &Visit, release: NamedRelease) -> Result<(), EnvironmentError> {
        let uncommitted = changed_files(&self.repository, Access::Trusted, &self.info.sha).map_err(failed)?;
        if uncommitted.is_empty() || uncommitted == release.uncommitted {
            return Ok(());
        }
        let ledger = visit.ledger.read().map_err(failed)?;
        let release = NamedRelease { uncommitted, ..release };
        Refused::check(&gates::policy(&visit.settings, &ledger, &release)).map_err(failed)?;
        visit.append(Action::Changed, &named(&release.uncommitted)).map_err(failed)
    }

    /// Waits until every gate is open, and records which gate the job waits for. Returns an error once a reviewer
    /// rejects the deployment.
    async fn pass_gates(&self, visit: &mut Visit) -> Result<(), EnvironmentError> {
        let (job, settings) = (&visit.job.clone(), &visit.settings.clone());
        let _pending = Pending { environments: self, job };
        let mut reported: Option<Vec<GateKind>> = None;
        loop {
            let closed = closed(visit)?;
            let kinds: Vec<GateKind> = closed.iter().map(|one| one.kind).collect();
            let Some(first) = closed.first() else { return Ok(()) };
            if reported.as_ref() != Some(&kinds) {
                self.set_review(job, kinds.contains(&GateKind::Approval).then_some(settings));
                self.outlet.record(Event::JobWaiting { job: job.clone(), gate: first.gate(&settings.name) });
                reported = Some(kinds);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Records that a job waits for a review of the environment `of`; with `None`, that it no longer waits.
    fn set_review(&self, job: &JobId, of: Option<&EnvironmentSettings>) {
        let environments = {
            let mut reviews = self.reviews.lock().unwrap_or_else(PoisonError::into_inner);
            let before = reviews.clone();
            for review in reviews.iter_mut() {
                review.jobs.retain(|one| one != job);
            }
            if let Some(settings) = of {
                let id = 1 + reviews.iter().map(|review| review.id).max().unwrap_or_default();
                match reviews.iter_mut().find(|review| review.environment == settings.name) {
                    Some(review) => review.jobs.push(job.clone()),
                    None => reviews.push(PendingReview {
                        id,
                        environment: settings.name.clone(),
                        reviewers: settings.reviewers.clone(),
                        refusal: None,
                        wait_until: None,
                        since: None,
                        jobs: vec![job.clone()],
                    }),
                }
            }
            reviews.retain(|review| !review.jobs.is_empty());
            if *reviews == before {
                return;
            }
            reviews.clone()
        };
        self.outlet.record(Event::ReviewsPending { environments });
    }
}

impl EnvironmentGate for JobEnvironments {
    fn enter(self: Arc<Self>, job: JobId, environment: String) -> BoxFuture<'static, Entered> {
        async move {
            let config = Config::load(Some(&self.repository)).map_err(failed)?;
            // As on GitHub, the case of a name does not matter: another spelling must not bypass the rules.
            let wanted = environment.trim().to_lowercase();
            let found = config.environments().values().find(|settings| settings.name.to_lowercase() == wanted);
            match found {
                Some(settings) => self.admit(job, settings.clone()).await.map(Some),
                None => Ok(None),
            }
        }
        .boxed()
    }
}

/// A job's wait for a review. Dropping the value ends the wait.
struct Pending<'p> {
    environments: &'p JobEnvironments,
    job: &'p JobId,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.environments.set_review(self.job, None);
    }
}

/// Returns the gates that hold a job back now, or an error if a reviewer has rejected its deployment.
fn closed(visit: &mut Visit) -> Result<Vec<Closed>, EnvironmentError> {
    let settings = &visit.settings;
    let state = visit.latest.state().map_err(failed)?;
    let record: Option<&DeploymentRecord> = state.of_job(&visit.run, &visit.job);
    if let Some(rejected) = record.and_then(|record| record.rejected.as_ref()) {
        return Err(EnvironmentError(rejected.clone()));
    }
    let at = now();
    Ok(gates::closed(&GateFacts { settings, state, record, now: at, minute_of_week: minute_of_week(at) }))
}

fn failed(error: impl std::fmt::Display) -> EnvironmentError {
    EnvironmentError(error.to_string())
}

/// Deployment of a job to an environment, from its request to its end.
struct Visit {
    ledger: LedgerFile,
    latest: Latest,
    by: Actor,
    outlet: Arc<RunOutlet>,
    settings: EnvironmentSettings,
    run: RunId,
    job: JobId,
    has_begun: bool,
    has_ended: bool,
    turn: Option<Ticket>,
}

impl Visit {
    fn append(&self, action: Action, reason: &str) -> Result<(), StoreError> {
        self.ledger.append(&Entry {
            at: now(),
            by: self.by.clone(),
            environment: self.settings.name.clone(),
            deployment: Some(self.run.clone()),
            job: Some(self.job.clone()),
            action,
            reason: self.outlet.masker().mask_text(reason),
        })
    }
}

impl JobDeployment for Visit {
    fn end(mut self: Box<Self>, conclusion: Conclusion, reason: Option<&str>) -> Result<(), EnvironmentError> {
        self.has_ended = true;
        let (outcome, why) = match conclusion {
            Conclusion::Success => (Outcome::Succeeded, ""),
            Conclusion::Cancelled => (Outcome::Failed, "its job was cancelled"),
            Conclusion::Skipped => (Outcome::Cancelled, "its job did not begin"),
            _ => (Outcome::Failed, "its job failed"),
        };
        let ended = self.append(Action::Ended { outcome }, reason.unwrap_or(why));
        drop(self.turn.take());
        ended.map_err(|error| EnvironmentError(format!("the ledger lacks the end of its deployment: {error}")))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let outcome = if self.has_begun { Outcome::Interrupted } else { Outcome::Cancelled };
        let reason = if self.has_begun { "its job was given up" } else { "its job did not begin" };
        if let Err(error) = self.append(Action::Ended { outcome }, reason) {
            tracing::error!(%error, "the ledger of the environment lacks an entry");
        }
    }
}
