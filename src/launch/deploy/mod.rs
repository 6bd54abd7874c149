//! Deployments to the environments of a repository: from a request to a started run, and what is known of them.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::config::Config;
use crate::model::deployment::{
    Action, Actor, Cause, DEPLOYMENT_EVENT, DeploymentRecord, Entry, EnvironmentSettings, Ledger, Observed, Outcome,
    Plan, RefRule, workflow_name, written,
};
use crate::model::environment::{BranchRule, Environment, Protection, Release};
use crate::model::rollback::RollbackRequest;
use crate::model::{Event, JobId, RunId, RunInfo, StepNumber, Timestamp, nearest};
use crate::repo::git::Repository;
use crate::rollout::driver::Position;
use crate::rollout::gates::{self, Closed, GateFacts};
use crate::rollout::ledger::{self, LedgerFile};
use crate::rollout::outlet::{Outlet, Progress, StepLog};
use crate::rollout::plan;
use crate::rollout::release::{self, NamedRelease};
use crate::rollout::shell::Shell;
use crate::rollout::target::Target;
use crate::rollout::target::script::Script;
use crate::store::clock::{minute_of_week, now};
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::lock;
use crate::store::spec::{DeploymentSpec, RunSpec};
use crate::worker::Mode;
use crate::worker::launch::spawn;

use super::trust::{self, Consent, Trust};

mod error;

pub use error::DeployError;

/// Returns the person at this machine, if a run is a deployment by it.
///
/// # Errors
/// The run cannot be read, or its repository is gone.
pub fn actor_of(folder: &RunFolder) -> Result<Option<Actor>, DeployError> {
    let spec = RunSpec::read(folder)?;
    let Some(deployment) = spec.work.deployment() else { return Ok(None) };
    Ok(Some(ledger::actor(&Repository::discover(&deployment.repository)?)))
}

/// The environments of a repository that this machine deploys to.
pub struct Deployments {
    runs: RunsDir,
    repository: Repository,
    settings: IndexMap<String, EnvironmentSettings>,
    /// What the repository's settings name, for its trust.
    named: Vec<String>,
}

/// What is asked of a deployment.
#[derive(Clone, Debug)]
pub struct DeployRequest {
    /// Name of the environment.
    pub environment: String,
    /// Tag, branch or commit; `None` for what is checked out.
    pub release: Option<String>,
    /// Why.
    pub cause: Cause,
    /// Reason of the person; may be empty.
    pub reason: String,
    /// Whether the rules of the environment do not count.
    pub overrides: bool,
    /// Whether to deploy from a repository that is not trusted.
    pub trust: bool,
}

/// A deployment that can start.
pub struct PreparedDeployment {
    request: DeployRequest,
    settings: EnvironmentSettings,
    release: NamedRelease,
    live: Option<Release>,
    closed: Vec<Closed>,
    consent: Consent,
}

impl Deployments {
    /// Reads the environments of the repository around a folder.
    ///
    /// # Errors
    /// There is no repository, or its settings have a fault.
    pub fn of(runs: &RunsDir, folder: &Path) -> Result<Self, DeployError> {
        let repository = Repository::discover(folder)?;
        let config = Config::load(Some(&repository.root))?;
        let named = config.named_by_repository().to_vec();
        Ok(Self { runs: runs.clone(), settings: config.environments().clone(), named, repository })
    }

    /// Returns the names of the environments.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.settings.keys().map(String::as_str)
    }

    /// Returns the repository.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Whether the repository has an environment.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.settings.contains_key(name)
    }

    fn file(&self) -> LedgerFile {
        LedgerFile::of(&self.runs, &self.repository.common)
    }

    /// Returns what was asked, decided and done.
    ///
    /// # Errors
    /// The state folder cannot be read.
    pub fn ledger(&self) -> Result<Ledger, DeployError> {
        Ok(self.file().read()?)
    }

    /// Returns the settings of an environment.
    ///
    /// # Errors
    /// The environment does not exist.
    pub fn settings(&self, name: &str) -> Result<&EnvironmentSettings, DeployError> {
        if self.settings.is_empty() {
            return Err(DeployError::NoEnvironments(self.repository.root.clone()));
        }
        self.settings.get(name).ok_or_else(|| DeployError::UnknownEnvironment {
            name: name.to_owned(),
            near: nearest(name, self.names()).map(str::to_owned),
            known: self.names().map(str::to_owned).collect(),
        })
    }

    /// Returns an environment with its rules and deployments, as those of servers are shown.
    ///
    /// # Errors
    /// The environment does not exist, or the state folder cannot be read.
    pub fn environment(&self, name: &str) -> Result<Environment, DeployError> {
        let settings = self.settings(name)?;
        let protection = Some(protection(settings));
        Ok(Environment { protection, ..self.ledger()?.environment(name, now()) })
    }

    /// Returns a request for the rollback of an environment, and what it goes from and to.
    ///
    /// # Errors
    /// Nothing is live, another release is than the one that is named, or no earlier one is known.
    pub fn rollback(&self, wanted: &RollbackRequest) -> Result<(DeployRequest, Release, Release), DeployError> {
        let environment = self.environment(&wanted.environment)?;
        if let Some(unknown) = &environment.unknown {
            let last = self.ledger()?.live(&wanted.environment).map(|live| live.release.title());
            return Err(DeployError::Unknown {
                name: wanted.environment.clone(),
                unknown: unknown.clone(),
                last: last.unwrap_or_else(|| "RELEASE".to_owned()),
            });
        }
        let (from, to) = environment.rollback(wanted)?;
        let (from, to) = (from.release.clone(), to.release.clone());
        let request = DeployRequest {
            environment: wanted.environment.clone(),
            release: Some(to.sha.clone()),
            cause: Cause::Rollback,
            reason: wanted.reason.clone(),
            overrides: false,
            trust: false,
        };
        Ok((request, from, to))
    }

    /// Reads what a request is about: the release, the rules about it, and trust. Nothing is written, and nothing of the
    /// repository runs. Rules that do not let the release pass are among [`PreparedDeployment::closed`].
    ///
    /// # Errors
    /// The environment or release does not exist, or the state or the repository cannot be read.
    pub fn prepare(&self, request: DeployRequest) -> Result<PreparedDeployment, DeployError> {
        let settings = self.settings(&request.environment)?.clone();
        let mut release = release::resolve(&self.repository.root, request.release.as_deref().unwrap_or("HEAD"))?;
        let ledger = self.ledger()?;
        if request.cause == Cause::Rollback
            && let Some(known) =
                ledger.deployments(&settings.name).iter().find(|one| one.release.sha == release.release.sha)
        {
            // As it was named when it was deployed.
            release.release = known.release.clone();
        }
        let mut closed = Vec::new();
        if request.cause == Cause::Manual {
            closed.extend(gates::policy(&settings, &ledger, &release));
        }
        let at = now();
        let minute_of_week = minute_of_week(at);
        let facts = GateFacts { settings: &settings, ledger: &ledger, record: None, now: at, minute_of_week };
        let is_rollback = request.cause == Cause::Rollback;
        closed.extend(gates::closed(&facts).into_iter().filter(|one| !is_rollback || one.holds_rollbacks()));
        let trust = if request.trust { Trust::Given } else { trust::of(&self.runs, &self.repository, &self.named)? };
        let consent = Consent::new(self.repository.clone(), self.named.clone(), trust, Vec::new());
        let live = ledger.serving(&settings.name).map(|live| live.release);
        Ok(PreparedDeployment { request, settings, release, live, closed, consent })
    }

    /// Returns the plan of a deployment, from what the target reports now.
    ///
    /// # Errors
    /// The repository is not trusted, the target does not report what runs, or there is no plan from there.
    pub async fn plan(&self, prepared: &PreparedDeployment) -> Result<Plan, DeployError> {
        prepared.consent.require()?;
        let file = self.file();
        let shell = Shell { folder: self.repository.root.clone(), environment: std::env::vars_os().collect() };
        let kept = file.observed(&prepared.settings.name);
        let target = Script::new(prepared.settings.clone(), RunId::default(), shell, kept);
        let outlet: Arc<dyn Outlet> = Arc::new(Unrecorded);
        let progress = Progress::new(&outlet, &JobId::new(&prepared.settings.name), StepNumber(1));
        let observed: Observed = target.observe(&progress).await?;
        let ledger = file.read()?;
        let deployed: Vec<Release> =
            ledger.deployments(&prepared.settings.name).into_iter().map(|record| record.release).collect();
        let known = |sha: &str| {
            let found = deployed.iter().find(|release| release.sha == sha).cloned();
            found.or_else(|| Some(release::resolve(&self.repository.root, sha).ok()?.release))
        };
        Ok(plan::plan(&prepared.settings, &observed, &prepared.release.release, known)?)
    }

    /// Starts a deployment: writes its folder and its entry, and starts its worker.
    ///
    /// # Errors
    /// The repository is not trusted, the state folder cannot be written, or no worker can be started.
    pub fn start(&self, prepared: PreparedDeployment) -> Result<RunFolder, DeployError> {
        prepared.require_open()?;
        prepared.consent.require()?;
        let PreparedDeployment { request, settings, release: NamedRelease { release, .. }, live, .. } = prepared;
        let by = self.actor();
        let info = RunInfo {
            workflow: workflow_name(&settings.name),
            event: DEPLOYMENT_EVENT.to_owned(),
            ref_name: release.tag.clone().unwrap_or_else(|| release.reference.clone()),
            sha: release.sha.clone(),
            ..info(&self.repository)
        };
        let (folder, held) = self.runs.create_locked(info.created)?;
        let entry = |action| Entry {
            at: now(),
            by: by.clone(),
            environment: settings.name.clone(),
            deployment: Some(folder.id().clone()),
            action,
            reason: request.reason.clone(),
        };
        let spec = DeploymentSpec {
            repository: self.repository.root.clone(),
            scope: self.repository.common.clone(),
            settings: settings.clone(),
            release: release.clone(),
            cause: request.cause.clone(),
            creator: by.clone(),
        };
        RunSpec::of_deployment(info, spec).write(&folder)?;
        let file = self.file();
        file.append(&entry(Action::Requested { release, from: live, cause: request.cause.clone() }))?;
        if request.overrides {
            file.append(&entry(Action::Overrode))?;
        }
        spawn(&folder, held, &Mode::Start, &IndexMap::new())?;
        Ok(folder)
    }

    /// Locks an environment.
    ///
    /// # Errors
    /// The environment does not exist, it is locked already, or the state folder cannot be written.
    pub fn lock(&self, name: &str, reason: &str, until: Option<Timestamp>) -> Result<(), DeployError> {
        self.settings(name)?;
        let at = now();
        let mut taken = None;
        let entry = self.entry(name, Action::Locked { until }, reason, at);
        let added = self.file().append_if(|ledger| {
            taken = ledger.lock(name, at);
            taken.is_none().then_some(entry)
        })?;
        match (added, taken) {
            (None, Some(lock)) => Err(DeployError::Locked(format!("{name} is already {}", lock.text()))),
            _ => Ok(()),
        }
    }

    /// Unlocks an environment.
    ///
    /// # Errors
    /// The environment does not exist, it is not locked, or the state folder cannot be written.
    pub fn unlock(&self, name: &str, reason: &str) -> Result<(), DeployError> {
        self.settings(name)?;
        let at = now();
        let entry = self.entry(name, Action::Unlocked, reason, at);
        let added = self.file().append_if(|ledger| ledger.lock(name, at).map(|_| entry))?;
        added.map(drop).ok_or_else(|| DeployError::Locked(format!("{name} is not locked")))
    }

    fn entry(&self, name: &str, action: Action, reason: &str, at: Timestamp) -> Entry {
        let (environment, reason) = (name.to_owned(), reason.to_owned());
        Entry { at, by: self.actor(), environment, deployment: None, action, reason }
    }

    /// Returns the person at this machine.
    #[must_use]
    pub fn actor(&self) -> Actor {
        ledger::actor(&self.repository)
    }

    /// Returns where a deployment is in its plan, in words; `None` before its gates.
    #[must_use]
    pub fn position(&self, run: &RunId) -> Option<String> {
        Some(Position::read(&self.runs.folder(run.clone())).ok()??.text())
    }

    /// Returns the deployment to an environment that goes on, keeps the former release, or was interrupted; the newest.
    ///
    /// # Errors
    /// The environment or deployment does not exist, or the state folder cannot be read.
    pub fn open(&self, name: &str) -> Result<OpenDeployment, DeployError> {
        self.settings(name)?;
        let ledger = self.ledger()?;
        let open = ledger.deployments(name).into_iter().filter_map(|record| {
            let folder = self.runs.folder(record.run.clone());
            let is_running = lock::is_held(&folder.lock());
            let is_left = ledger.superseded_by(name, &record.run).is_none()
                && matches!(record.outcome, None | Some(Outcome::Interrupted | Outcome::Failed))
                && Position::read(&folder).is_ok_and(|position| position.is_some_and(|position| !position.has_ended));
            (is_running || is_left).then_some(OpenDeployment { record, folder, is_running })
        });
        // One that acts on the target comes before those that wait for their turn.
        let mut open: Vec<_> = open.collect();
        let at = open.iter().position(|one| one.is_running && one.record.began).unwrap_or_default();
        if open.is_empty() { Err(DeployError::NothingOpen(name.to_owned())) } else { Ok(open.swap_remove(at)) }
    }
}

/// A deployment that goes on, or that can go on.
pub struct OpenDeployment {
    /// What the ledger has of it.
    pub record: DeploymentRecord,
    /// Folder of its run.
    pub folder: RunFolder,
    /// Whether its worker runs.
    pub is_running: bool,
}

impl PreparedDeployment {
    /// Returns the question whether the repository may run.
    pub fn consent_mut(&mut self) -> &mut Consent {
        &mut self.consent
    }

    /// Returns the settings of the environment.
    #[must_use]
    pub fn settings(&self) -> &EnvironmentSettings {
        &self.settings
    }

    /// Returns the release.
    #[must_use]
    pub fn release(&self) -> &Release {
        &self.release.release
    }

    /// Returns the release that is live.
    #[must_use]
    pub fn live(&self) -> Option<&Release> {
        self.live.as_ref()
    }

    /// Checks that no gate refuses the deployment, or that it is to go past them.
    ///
    /// # Errors
    /// The gates that refuse it.
    pub fn require_open(&self) -> Result<(), DeployError> {
        let refused: Vec<Closed> = self.closed.iter().filter(|closed| closed.refuses()).cloned().collect();
        if self.request.overrides || refused.is_empty() { Ok(()) } else { Err(DeployError::Closed(refused)) }
    }

    /// Returns the gates that are closed, in order.
    #[must_use]
    pub fn closed(&self) -> &[Closed] {
        &self.closed
    }
}

/// Returns the identity of a run of a repository.
fn info(repository: &Repository) -> RunInfo {
    RunInfo {
        repository: repository.slug.clone(),
        folder: repository.folder_of_name().map(Path::to_owned),
        created: now(),
        ..RunInfo::default()
    }
}

/// Returns the rules of an environment in the form of those on servers.
fn protection(settings: &EnvironmentSettings) -> Protection {
    let mut others: Vec<String> = settings.after.iter().map(|name| format!("after {name}")).collect();
    others.extend(settings.freeze.iter().map(|window| format!("frozen {}", window.written())));
    if !settings.wait.is_zero() && settings.wait.as_secs() < 60 {
        others.push(format!("waits {}", written(settings.wait)));
    }
    let patterns: Vec<String> = settings.on.iter().map(RefRule::written).collect();
    Protection {
        reviewers: settings.reviewers.clone(),
        prevents_self_review: settings.prevent_self_review,
        wait_minutes: settings.wait.as_secs() / 60,
        branches: if patterns.is_empty() { BranchRule::All } else { BranchRule::Patterns(patterns) },
        apps: Vec::new(),
        admins_bypass: None,
        others,
    }
}

/// Records nothing: what runs is only looked at.
struct Unrecorded;

impl Outlet for Unrecorded {
    fn record(&self, _: Event) {}

    fn log(&self, _: &JobId, _: StepNumber) -> Box<dyn StepLog> {
        Box::new(Self)
    }
}

impl StepLog for Unrecorded {
    fn write(&mut self, _: &[u8]) {}

    fn finish(&mut self) {}
}
