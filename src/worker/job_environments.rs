//! Applies the rules of this machine's environments to the jobs of a run that deploy to them, and records the
//! deployments in the ledger.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::time::sleep;

use crate::config::Config;
use crate::engine::concurrency::{ConcurrencyGate, GroupRequest};
use crate::engine::environments::{Entered, EnvironmentError, EnvironmentGate, JobDeployment};
use crate::engine::outlet::Outlet;
use crate::model::deployment::{
    Action, Actor, Cause, DeploymentRecord, Entry, EnvironmentSettings, Outcome, workflow_name,
};
use crate::model::environment::Release;
use crate::model::{Conclusion, Event, JobId, PendingReview, RunInfo};
use crate::repo::git::{Access, Repository};
use crate::repo::uncommitted::{changed_files, named};
use crate::rollout::gates::{self, Closed, GateFacts, GateKind, Refused};
use crate::rollout::ledger::{self, LOOK_EVERY, Latest, LedgerFile};
use crate::rollout::recording::{Connect, server_of};
use crate::rollout::release::{self, NamedRelease};
use crate::store::StoreError;
use crate::store::clock::{minute_of_week, now};
use crate::store::concurrency::Ticket;
use crate::store::folder::RunFolder;

use super::concurrency::ConcurrencyQueue;
use super::job_notices::JobNotices;
use super::outlet::RunOutlet;
use super::working_tree;

/// The environments of a run's repository, for one attempt.
pub(super) struct JobEnvironments {
    folder: RunFolder,
    info: RunInfo,
    /// Files that differed from the commit when the run was requested.
    dirty: Vec<String>,
    /// Root of the repository.
    repository: PathBuf,
    outlet: Arc<RunOutlet>,
    concurrency: Arc<ConcurrencyQueue>,
    /// The settings at the start of the attempt; `None` if they cannot be read. Commands of notifications, and whether a
    /// server records deployments, come only from these settings, which the user has trusted: a job may have changed the
    /// file since.
    trusted: Option<Config>,
    /// Environment of the worker process, for the notifications.
    environment: Vec<(OsString, OsString)>,
    /// Connects to the server that records deployments.
    connect: Connect,
    /// Reviews that jobs wait for.
    reviews: Mutex<Vec<PendingReview>>,
    /// Notifications about jobs that have ended, and their records on a server, which may not be sent yet.
    notices: Mutex<Vec<JobNotices>>,
}

impl JobEnvironments {
    pub(super) fn new(
        folder: &RunFolder,
        (info, dirty): (&RunInfo, Vec<String>),
        (repository, environment): (PathBuf, &[(OsString, OsString)]),
        (outlet, concurrency, connect): (&Arc<RunOutlet>, &Arc<ConcurrencyQueue>, Connect),
    ) -> Arc<Self> {
        Arc::new(Self {
            trusted: Config::load(Some(&repository)).ok(),
            folder: folder.clone(),
            info: info.clone(),
            dirty,
            repository,
            outlet: Arc::clone(outlet),
            concurrency: Arc::clone(concurrency),
            environment: environment.to_vec(),
            connect,
            reviews: Mutex::default(),
            notices: Mutex::default(),
        })
    }

    /// Waits for the notifications about jobs that have ended, and for their records, for a limited time.
    pub(super) async fn finish(&self) {
        let notices = std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(notices.into_iter().map(JobNotices::finish)).await;
    }

    /// Returns the files that differ from the commit for a job of this attempt. A sync into a held job may add files at
    /// any time, and another job may deploy what that job makes of them.
    fn uncommitted(&self) -> Vec<String> {
        working_tree::uncommitted(&self.outlet.run(), &self.dirty).to_vec()
    }

    /// Requests the deployment of a job to an environment. Returns an error if the rules of the environment refuse the
    /// release.
    fn request(self: Arc<Self>, job: JobId, settings: EnvironmentSettings) -> Result<Visit, EnvironmentError> {
        let repository = Repository::discover(&self.repository).map_err(failed)?;
        let ledger = LedgerFile::of(&self.folder.runs(), &repository.common);
        let found = release::resolve(&self.repository, &self.info.sha).map_err(failed)?;
        let reference = self.info.ref_name.clone();
        let uncommitted = self.uncommitted();
        let release = NamedRelease { release: Release { reference, ..found.release.clone() }, uncommitted, ..found };
        let read = ledger.read().map_err(failed)?;
        Refused::check(&gates::policy(&settings, &read, &release)).map_err(failed)?;
        let from = read.of(&settings.name).live().map(|live| live.release.clone());
        let NamedRelease { release, uncommitted, .. } = release;
        let by = ledger::actor(&repository);
        let server = server_of(&settings, self.connect, self.repository.clone(), self.folder.runs());
        let notices = JobNotices::new(
            (self.folder.id(), &job),
            &settings,
            &release,
            &by,
            (&self.repository, &self.environment),
            (&self.outlet, &ledger, server),
        );
        let visit = Visit {
            latest: Latest::new(ledger.clone(), settings.name.clone()),
            ledger,
            by,
            settings,
            release,
            job,
            stage: Stage::Requested,
            turn: None,
            notices: Some(notices),
            environments: self,
        };
        let requested = Action::Requested { release: visit.release.clone(), from, cause: Cause::Job };
        visit
            .append(requested, &format!("job {} of {}", visit.job, visit.environments.info.workflow))
            .map_err(failed)?;
        visit.record_files(&uncommitted).map_err(failed)?;
        Ok(visit)
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
            let Some(settings) = config.environment_of_job(&environment) else { return Ok(None) };
            let trusted = self.trusted.as_ref().and_then(|config| config.environment_of_job(&environment));
            let notify = trusted.and_then(|settings| settings.notify.clone());
            let record = trusted.and_then(|settings| settings.record);
            let visit = self.request(job, EnvironmentSettings { notify, record, ..settings.clone() })?;
            Ok(Some(Box::new(visit) as Box<dyn JobDeployment>))
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

fn failed(error: impl std::fmt::Display) -> EnvironmentError {
    EnvironmentError(error.to_string())
}

/// Deployment of a job to an environment, from its request to its end.
struct Visit {
    environments: Arc<JobEnvironments>,
    ledger: LedgerFile,
    latest: Latest,
    by: Actor,
    settings: EnvironmentSettings,
    release: Release,
    job: JobId,
    stage: Stage,
    /// The turn of the deployment; `None` before the deployment has it, and after its end.
    turn: Option<Ticket>,
    /// Notifications about the job, and its record on a server; `None` once it has ended.
    notices: Option<JobNotices>,
}

/// How far a deployment has come, according to the ledger.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Requested,
    Begun,
    Ended,
}

impl Visit {
    fn append(&self, action: Action, reason: &str) -> Result<(), StoreError> {
        self.ledger.append(&self.entry(action, reason))
    }

    fn entry(&self, action: Action, reason: &str) -> Entry {
        Entry {
            at: now(),
            by: self.by.clone(),
            environment: self.settings.name.clone(),
            deployment: Some(self.environments.folder.id().clone()),
            job: Some(self.job.clone()),
            action,
            reason: self.environments.outlet.masker().mask_text(reason),
        }
    }

    /// Records the end of the deployment, notifies people of it, and reports it to the server that records it.
    ///
    /// # Errors
    /// The ledger cannot be written. People and the server learn of the end all the same.
    fn record_end(&mut self, outcome: Outcome, reason: &str) -> Result<(), StoreError> {
        self.stage = Stage::Ended;
        let recorded = self.append(Action::Ended { outcome }, reason);
        if let Some(mut notices) = self.notices.take() {
            notices.ended(outcome, reason);
            self.environments.notices.lock().unwrap_or_else(PoisonError::into_inner).push(notices);
        }
        recorded
    }

    /// Records the files that differ from the commit of the release.
    fn record_files(&self, files: &[String]) -> Result<(), StoreError> {
        if files.is_empty() { Ok(()) } else { self.ledger.append_once(self.entry(Action::Changed, &named(files))) }
    }

    /// Checks the changed files again, because the user may have changed the working tree while the job waited, and a
    /// checkout copies the files as they are then, or may have brought files into a job that was held meanwhile.
    fn check_files(&self) -> Result<(), EnvironmentError> {
        let JobEnvironments { repository, info, .. } = &*self.environments;
        let mut files = changed_files(repository, Access::Trusted, &info.sha).map_err(failed)?;
        files.extend(self.environments.uncommitted());
        files.sort_unstable();
        files.dedup();
        gates::check_files(&self.settings, &self.release, &files).map_err(failed)?;
        self.record_files(&files).map_err(failed)
    }

    /// Returns the gates that hold the job back now, or an error if a reviewer has rejected its deployment.
    fn closed(&mut self) -> Result<Vec<Closed>, EnvironmentError> {
        let settings = &self.settings;
        let state = self.latest.state().map_err(failed)?;
        let record: Option<&DeploymentRecord> = state.of_job(self.environments.folder.id(), &self.job);
        if let Some(rejected) = record.and_then(|record| record.rejected.as_ref()) {
            return Err(EnvironmentError(rejected.clone()));
        }
        let at = now();
        Ok(gates::closed(&GateFacts { settings, state, record, now: at, minute_of_week: minute_of_week(at) }))
    }

    /// Waits until every gate is open, and records which gate the job waits for. Returns an error once a reviewer
    /// rejects the deployment.
    async fn pass_gates(&mut self) -> Result<(), EnvironmentError> {
        let (environments, job) = (Arc::clone(&self.environments), self.job.clone());
        let _pending = Pending { environments: &environments, job: &job };
        let mut reported: Option<Vec<GateKind>> = None;
        loop {
            let closed = self.closed()?;
            let kinds: Vec<GateKind> = closed.iter().map(|one| one.kind).collect();
            let Some(first) = closed.first() else { return Ok(()) };
            if reported.as_ref() != Some(&kinds) {
                let had_approval = reported.is_some_and(|kinds| kinds.contains(&GateKind::Approval));
                let approval = closed.iter().find(|one| one.kind == GateKind::Approval && !had_approval);
                if let Some((notices, approval)) = self.notices.as_mut().zip(approval) {
                    notices.waits(&approval.sentence);
                }
                environments.set_review(&job, kinds.contains(&GateKind::Approval).then_some(&self.settings));
                let gate = first.gate(&self.settings.name);
                environments.outlet.record(Event::JobWaiting { job: job.clone(), gate });
                reported = Some(kinds);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Returns the concurrency group through which the deployment gets its turn.
    fn group(&self) -> GroupRequest {
        GroupRequest { group: workflow_name(&self.settings.name), cancel_in_progress: false, queue_all: true }
    }
}

impl JobDeployment for Visit {
    fn wait(&mut self) -> BoxFuture<'_, Result<(), EnvironmentError>> {
        async move {
            self.pass_gates().await?;
            let queue = Arc::clone(&self.environments.concurrency);
            drop(queue.acquire(self.job.clone(), self.group()).await.map_err(failed)?);
            Ok(())
        }
        .boxed()
    }

    fn begin(&mut self) -> BoxFuture<'_, Result<bool, EnvironmentError>> {
        async move {
            let turn = self.environments.concurrency.take(self.job.clone(), &self.group()).await.map_err(failed)?;
            let Some(turn) = turn else { return Ok(false) };
            if !self.closed()?.is_empty() {
                return Ok(false);
            }
            self.check_files()?;
            self.append(Action::Began, "").map_err(failed)?;
            (self.stage, self.turn) = (Stage::Begun, Some(turn));
            if let Some(notices) = &mut self.notices {
                notices.began();
            }
            Ok(true)
        }
        .boxed()
    }

    fn end(mut self: Box<Self>, conclusion: Conclusion, reason: Option<&str>) -> Result<(), EnvironmentError> {
        let (outcome, why) = match conclusion {
            Conclusion::Success => (Outcome::Succeeded, ""),
            Conclusion::Cancelled => (Outcome::Failed, "its job was cancelled"),
            _ => (Outcome::Failed, "its job failed"),
        };
        let recorded = self.record_end(outcome, reason.unwrap_or(why));
        drop(self.turn.take());
        recorded.map_err(|error| EnvironmentError(format!("the ledger lacks the end of its deployment: {error}")))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let (outcome, reason) = match self.stage {
            Stage::Requested => (Outcome::Cancelled, "its job did not begin"),
            Stage::Begun => (Outcome::Interrupted, "its job was given up"),
            Stage::Ended => return,
        };
        if let Err(error) = self.record_end(outcome, reason) {
            tracing::error!(%error, "the ledger of the environment lacks an entry");
        }
    }
}
