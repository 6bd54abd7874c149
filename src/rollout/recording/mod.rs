//! Records a deployment on a server, beside the record of this machine.
//!
//! The server never holds a deployment back and never changes how it ends; the end only waits for the server for a
//! limited time. A separate task reports the newest state, and tries again after an error that may pass. A state that the
//! server refuses is not sent again, but the next one is. The ledger keeps the id and the state that the server has. A
//! deployment is created at most once: if an attempt was interrupted before the id was in the ledger, the next one looks
//! for the run's deployment on the server first.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::sync::watch::error::RecvError;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::model::deployment::{
    Action, Actor, Cause, DeploymentRecord, Entry, EnvironmentSettings, EnvironmentState, RecordOn, RecordedDeployment,
    RecordedState,
};
use crate::model::environment::Release;
use crate::model::{Event, JobId, RunId, is_production};
use crate::store::StoreError;
use crate::store::clock::now;
use crate::store::folder::RunsDir;

use super::ledger::LedgerFile;
use super::outlet::Outlet;

mod server;
#[cfg(test)]
mod tests;

use server::shortened;
pub use server::{Connect, DeploymentServer, MAX_DESCRIPTION, NewDeployment, ServerError, Status};

/// Pause after the first failed attempt. Each later pause is twice as long as the one before.
const PAUSE: Duration = Duration::from_secs(1);

/// Maximum pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// How long the end of a deployment waits for the server.
const LAST: Duration = Duration::from_secs(10);

/// Number of older deployments whose states the server gets, too, if it lacks them.
const MAX_OLDER: usize = 10;

/// Name of the strategy of a deployment by a job of a workflow.
pub const BY_JOB: &str = "job";

/// Where the records of a deployment go, and who writes them.
#[derive(Clone)]
pub struct Records {
    /// Ledger of the repository.
    pub ledger: LedgerFile,
    /// Outlet for events of the run.
    pub outlet: Arc<dyn Outlet>,
    /// The run of the deployment.
    pub run: RunId,
    /// The job of that run.
    pub job: JobId,
    /// The job in the entries of the ledger, if a job of a workflow deploys; `None` if the run itself is the deployment.
    pub deploys: Option<JobId>,
    /// Name of the environment.
    pub environment: String,
    /// Person who runs the worker process.
    pub by: Actor,
}

/// Returns what a server is to record about a deployment when it begins.
#[must_use]
pub fn new_deployment(
    settings: &EnvironmentSettings,
    release: &Release,
    (cause, creator): (&Cause, &Actor),
    (run, job): (&RunId, Option<&JobId>),
) -> NewDeployment {
    // The steps of a job decide how it deploys.
    let strategy = if *cause == Cause::Job { BY_JOB } else { settings.strategy.name() };
    let what = if *cause == Cause::Rollback { "rollback" } else { strategy };
    NewDeployment {
        run: run.clone(),
        job: job.cloned(),
        sha: release.sha.clone(),
        environment: settings.name.clone(),
        description: shortened(&format!("{}: {what} by {}", release.name(), creator.user)),
        is_production: is_production(&settings.name),
        is_transient: settings.auto_stop.is_some(),
        strategy,
        release: release.name().to_owned(),
    }
}

/// Returns the server that records the deployments to an environment; `None` if none does. `root` is the repository.
#[must_use]
pub fn server_of(settings: &EnvironmentSettings, connect: Connect, root: PathBuf, runs: RunsDir) -> Option<Server> {
    settings.record.map(|RecordOn::GitHub| -> Server { Box::new(move || connect(root.clone(), runs.clone())) })
}

/// Reports the states of one deployment to a server.
pub struct Recorder {
    wanted: watch::Sender<Option<Wanted>>,
    records: Records,
    task: Option<JoinHandle<()>>,
}

/// The newest state.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Wanted {
    status: Status,
    /// Whether the deployment began, so that the server is to have it.
    has_begun: bool,
}

impl Recorder {
    /// Creates a recorder. Without `server`, nothing is recorded. `is_first` is whether no earlier attempt can have
    /// created the deployment on the server. Must be called inside a tokio runtime.
    #[must_use]
    pub fn new(server: Option<Server>, new: NewDeployment, records: Records, is_first: bool) -> Self {
        let (wanted, receiver) = watch::channel(None);
        let task = server.map(|server| {
            let reporting = Reporting {
                server,
                connected: None,
                new,
                records: records.clone(),
                may_exist: !is_first,
                unwritten: None,
                noted: None,
                is_recorded: false,
            };
            tokio::spawn(reporting.serve(receiver))
        });
        Self { wanted, records, task }
    }

    /// Reports a state. Does not wait until the server has it. Without an earlier state in progress, a deployment that
    /// the server does not have stays unknown to it.
    pub fn report(&self, state: RecordedState, description: &str, url: Option<&str>) {
        let description = shortened(&self.records.outlet.masked(description));
        let status = Status { state, description, url: url.map(str::to_owned) };
        self.wanted.send_modify(|wanted| {
            let begins = matches!(state, RecordedState::InProgress | RecordedState::Success);
            let has_begun = begins || wanted.as_ref().is_some_and(|wanted| wanted.has_begun);
            *wanted = Some(Wanted { status, has_begun });
        });
    }

    /// Waits until the server has the last state, for a limited time.
    pub async fn finish(self) {
        let Self { wanted, records, task } = self;
        drop(wanted);
        let Some(mut task) = task else { return };
        if timeout(LAST, &mut task).await.is_err() {
            task.abort();
            let late = format!("no success within {} s after the end of the deployment", LAST.as_secs());
            let record = records.record();
            let late = match record.as_ref().and_then(|record| record.not_recorded.as_ref()) {
                Some(cause) => format!("{late}: {cause}"),
                None => late,
            };
            records.note(record.and_then(|record| record.recorded).map(|known| known.page), &late);
        }
    }
}

/// Connects to the server of a repository.
pub type Server = Box<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn DeploymentServer>, ServerError>> + Send + Sync>;

impl Records {
    fn state(&self) -> Result<EnvironmentState, StoreError> {
        Ok(self.ledger.read()?.of(&self.environment))
    }

    /// Returns the deployment according to the ledger; `None` if the ledger cannot be read.
    fn record(&self) -> Option<DeploymentRecord> {
        let state = self.state().ok()?;
        let own = match &self.deploys {
            Some(job) => state.of_job(&self.run, job),
            None => state.deployment(&self.run),
        };
        own.cloned()
    }

    fn is_own(&self, record: &DeploymentRecord) -> bool {
        record.run == self.run && record.job == self.deploys
    }

    /// Returns the deployment as the server has it, according to the ledger.
    fn recorded(&self) -> Option<RecordedDeployment> {
        self.record()?.recorded
    }

    /// Appends an entry about the deployment.
    fn append(&self, action: Action, reason: &str) -> Result<(), StoreError> {
        self.append_about((&self.run, self.deploys.as_ref()), action, reason)
    }

    /// Appends an entry about a deployment to the environment.
    fn append_about(
        &self,
        (run, job): (&RunId, Option<&JobId>),
        action: Action,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.ledger.append(&Entry {
            at: now(),
            by: self.by.clone(),
            environment: self.environment.clone(),
            deployment: Some(run.clone()),
            job: job.cloned(),
            action,
            reason: reason.to_owned(),
        })
    }

    /// Records why the server does not have the deployment or its state.
    fn note(&self, page: Option<String>, failure: &str) {
        let failure = self.outlet.masked(failure);
        if let Err(error) = self.append(Action::NotRecorded, &failure) {
            tracing::warn!(%error, "the ledger lacks that the deployment is not recorded on its server");
        }
        let job = self.job.clone();
        self.outlet.record(Event::DeploymentRecorded { job, page, failure: Some(failure) });
    }
}

/// Why a state was not reported.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReportError {
    /// Whether another attempt to report the same state may succeed.
    fn may_pass(&self) -> bool {
        match self {
            Self::Server(error) => error.may_pass(),
            Self::Store(_) => true,
        }
    }
}

/// The task that reports states.
struct Reporting {
    server: Server,
    connected: Option<Arc<dyn DeploymentServer>>,
    new: NewDeployment,
    records: Records,
    /// Whether the server may have the deployment although the ledger has no id of it.
    may_exist: bool,
    /// The deployment as the server has it, while the ledger cannot be written.
    unwritten: Option<RecordedDeployment>,
    /// The failure that was noted last.
    noted: Option<String>,
    /// Whether the run has the event that names the page.
    is_recorded: bool,
}

impl Reporting {
    /// Reports each new state, until the sender is dropped and the last state is reported or refused.
    async fn serve(mut self, mut wanted: watch::Receiver<Option<Wanted>>) {
        // `settled` is the state that the server has or has refused.
        let (mut settled, mut pause, mut is_last) = (None, PAUSE, false);
        loop {
            let newest = wanted.borrow_and_update().clone().filter(|newest| settled.as_ref() != Some(newest));
            if let Some(newest) = newest {
                match self.report(&newest).await {
                    Ok(()) => {
                        (settled, pause) = (Some(newest), PAUSE);
                        self.noted = None;
                    }
                    Err(error) => {
                        self.note(&error);
                        if error.may_pass() {
                            // Neither a new state nor the end of the deployment waits for the end of a long pause.
                            let next = timeout(pause, changed(&mut wanted, is_last)).await;
                            pause = (pause * 2).min(MAX_PAUSE);
                            if matches!(next, Ok(Err(_))) {
                                (is_last, pause) = (true, PAUSE);
                            }
                            continue;
                        }
                        settled = Some(newest);
                    }
                }
            }
            if wanted.changed().await.is_err() {
                return;
            }
        }
    }

    /// Records why a state was not reported, unless the last attempt failed for the same reason.
    fn note(&mut self, error: &ReportError) {
        let failure = error.to_string();
        if self.noted.as_ref() != Some(&failure) {
            let page = self.records.recorded().map(|known| known.page);
            self.records.note(page, &failure);
            self.noted = Some(failure);
        }
    }

    async fn report(&mut self, wanted: &Wanted) -> Result<(), ReportError> {
        let known = self.unwritten.clone().or_else(|| self.records.recorded());
        if known.is_none() && !wanted.has_begun {
            return Ok(());
        }
        let server = match &self.connected {
            Some(server) => Arc::clone(server),
            None => Arc::clone(self.connected.insert((self.server)().await?)),
        };
        let mut record = match known.filter(|known| is_on(&*server, known)) {
            Some(known) => known,
            None => self.create(&*server).await?,
        };
        if record.state != Some(wanted.status.state) {
            server.report(record.id, &wanted.status).await?;
            record.state = Some(wanted.status.state);
            self.unwritten = Some(record.clone());
        }
        self.write()?;
        if !std::mem::replace(&mut self.is_recorded, true) || self.noted.is_some() {
            let (job, page) = (self.records.job.clone(), Some(record.page.clone()));
            self.records.outlet.record(Event::DeploymentRecorded { job, page, failure: None });
        }
        if let Err(error) = self.report_older(&*server, &wanted.status).await {
            // The next deployment to the environment tries again.
            tracing::warn!(%error, "the states of older deployments are not recorded on their server");
        }
        Ok(())
    }

    /// Creates the deployment on the server, unless the server has it.
    async fn create(&mut self, server: &dyn DeploymentServer) -> Result<RecordedDeployment, ReportError> {
        if Release::of_image(&self.new.sha).is_some() {
            return Err(ServerError::NoCommit(self.new.release.clone()).into());
        }
        let found = if self.may_exist {
            // The ids in the ledger are those of other deployments, such as earlier attempts of the job.
            let state = self.records.state()?;
            let known = state.deployments().filter_map(|record| record.recorded.as_ref());
            let others: Vec<u64> = known.filter(|known| is_on(server, known)).map(|known| known.id).collect();
            server.find(&self.new, &others).await?
        } else {
            None
        };
        // From here on, the request may have been carried out although no answer came.
        self.may_exist = true;
        let id = match found {
            Some(id) => id,
            None => server.create(&self.new).await?,
        };
        let record = RecordedDeployment {
            server: server.host().to_owned(),
            repository: server.repository(),
            id,
            page: server.page(&self.new.environment),
            state: None,
        };
        self.unwritten = Some(record.clone());
        if let Err(error) = self.write() {
            // The state is reported nevertheless, and the ledger is written again after that.
            tracing::warn!(%error, "the ledger lacks the id of the deployment on its server");
        }
        Ok(record)
    }

    /// Writes to the ledger what the server has, unless that is done.
    fn write(&mut self) -> Result<(), StoreError> {
        if let Some(record) = &self.unwritten {
            self.records.append(Action::Recorded(record.clone()), "")?;
            self.unwritten = None;
        }
        Ok(())
    }

    /// Reports the states of older deployments that the server lacks: their worker was killed, the server did not respond,
    /// this deployment took their place, or one of them is live again.
    async fn report_older(&self, server: &dyn DeploymentServer, own: &Status) -> Result<(), ReportError> {
        let state = self.records.state()?;
        let older = state.deployments().skip_while(|record| !self.records.is_own(record)).skip(1).take(MAX_OLDER);
        for record in older {
            let outdated = outdated(record, state.is_live(record), own.state);
            let Some((known, wanted)) = outdated.filter(|(known, _)| is_on(server, known)) else { continue };
            let description = match wanted {
                RecordedState::Inactive => format!("replaced by {}", self.new.release),
                _ => record.outcome.map(|outcome| outcome.word().to_owned()).unwrap_or_default(),
            };
            let url = own.url.clone().filter(|_| wanted == RecordedState::Success);
            server.report(known.id, &Status { state: wanted, description, url }).await?;
            let record_now = RecordedDeployment { state: Some(wanted), ..known.clone() };
            let about = (&record.run, record.job.as_ref());
            self.records.append_about(about, Action::Recorded(record_now), "")?;
        }
        Ok(())
    }
}

/// Whether a deployment is recorded in the repository of a server. The repository here may have had another remote.
fn is_on(server: &dyn DeploymentServer, known: &RecordedDeployment) -> bool {
    known.server == server.host() && known.repository == server.repository()
}

/// Waits until there is a new state; fails once there will be none. Waits forever if that is known already.
async fn changed(wanted: &mut watch::Receiver<Option<Wanted>>, is_last: bool) -> Result<(), RecvError> {
    if is_last { pending().await } else { wanted.changed().await }
}

/// Returns an older deployment as the server has it, and its present state, if that is another one. `own` is the state of
/// the deployment that reports: until it has succeeded, no older one is replaced.
fn outdated(
    record: &DeploymentRecord,
    is_live: bool,
    own: RecordedState,
) -> Option<(&RecordedDeployment, RecordedState)> {
    let known = record.recorded.as_ref()?;
    let wanted = RecordedState::of(record, is_live).filter(|wanted| known.state != Some(*wanted))?;
    let is_due = wanted != RecordedState::Inactive || own == RecordedState::Success;
    is_due.then_some((known, wanted))
}
