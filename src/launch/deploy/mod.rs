//! Plans and starts deployments to the environments of a repository, and reads what is recorded about them.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::config::{Config, ConfigError};
use crate::engine::mask::Masker;
use crate::launch::trust::{self, Trust};
use crate::model::deployment::{
    Action, Actor, DeploymentRecord, Entry, EnvironmentSettings, EnvironmentState, Ledger, Needed, RefRule, written,
};
use crate::model::environment::{BranchRule, Environment, Protection, Release};
use crate::model::lane::{Lane, NoReport};
use crate::model::{Timestamp, nearest};
use crate::repo::git::Repository;
use crate::rollout::ledger::{self, Latest, LedgerFile};
use crate::rollout::release;
use crate::rollout::target::script;
use crate::store::clock::now;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::spec::RunSpec;

mod details;
mod error;
mod lanes;
mod observed;
mod open;
mod prepared;

pub use error::DeployError;
pub use lanes::{LaneMemory, TargetReport};
pub(super) use open::closed_to_resume;
pub use open::{OpenDeployment, WayBack, awaited, observed_of, settle, state_of};
pub use prepared::{DeployRequest, PreparedDeployment};

/// Returns the local user if the run is a deployment by this machine. `None` for any other run.
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
    /// The settings, or their error, which must not block commands to a deployment in progress.
    config: Result<Config, Arc<ConfigError>>,
}

impl Deployments {
    /// Reads the environments of the repository around a folder. Only functions that need the settings report invalid
    /// settings.
    ///
    /// # Errors
    /// The folder is not in a repository.
    pub fn of(runs: &RunsDir, folder: &Path) -> Result<Self, DeployError> {
        let repository = Repository::discover(folder)?;
        let config = Config::load(Some(&repository.root)).map_err(Arc::new);
        Ok(Self { runs: runs.clone(), config, repository })
    }

    /// Returns the settings of all environments.
    ///
    /// # Errors
    /// The settings are invalid.
    pub fn all_settings(&self) -> Result<&IndexMap<String, EnvironmentSettings>, DeployError> {
        let config = self.config.as_ref().map_err(|error| DeployError::Config(Arc::clone(error)))?;
        Ok(config.environments())
    }

    /// Returns the release of a commit that a target reports. Without a name if this clone does not have the commit.
    fn release_of(&self, state: &EnvironmentState, sha: &str) -> Release {
        let unnamed = || Release { sha: sha.to_owned(), ..Release::default() };
        release::known(&self.repository.root, Some(state), sha).unwrap_or_else(unnamed)
    }

    /// Returns the states of all environments that have settings, by name and in the order of the settings.
    ///
    /// # Errors
    /// The settings are invalid.
    fn states(&self, ledger: &Ledger) -> Result<IndexMap<String, EnvironmentState>, DeployError> {
        Ok(self.all_settings()?.keys().map(|name| (name.clone(), ledger.of(name))).collect())
    }

    /// Returns where the server that records the deployments to an environment is set, as `file:line:column`. `None` if
    /// it is not set.
    #[must_use]
    pub fn origin_of_record(&self, environment: &str) -> Option<&str> {
        self.config.as_ref().ok()?.origin_in_environment(environment, "record")
    }

    /// Returns the settings of the repository that its trust covers, as lines of TOML. Empty if the settings are invalid.
    fn named(&self) -> &[String] {
        self.config.as_ref().map(Config::named_by_repository).unwrap_or_default()
    }

    /// Returns the folder of the runs.
    #[must_use]
    pub fn runs(&self) -> &RunsDir {
        &self.runs
    }

    /// Returns the repository.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Removes the record of all deployments, and what was observed of their targets. Nothing else is removed.
    ///
    /// # Errors
    /// The settings are invalid, or a file cannot be removed.
    pub fn forget(&self) -> Result<(), DeployError> {
        Ok(self.file().remove(self.all_settings()?.keys().map(String::as_str))?)
    }

    fn file(&self) -> LedgerFile {
        LedgerFile::of(&self.runs, &self.repository.common)
    }

    /// Returns a reader of what `fold` takes from the ledger. The ledger is read again only once it has grown.
    #[must_use]
    pub fn latest<T>(&self, fold: impl Fn(Ledger) -> T + Send + Sync + 'static) -> Latest<T> {
        Latest::of(self.file(), fold)
    }

    /// Whether the repository is trusted, with its settings as they are.
    ///
    /// # Errors
    /// The list of trusted repositories or the repository cannot be read.
    pub fn is_trusted(&self) -> Result<bool, DeployError> {
        Ok(trust::of(&self.runs, &self.repository, self.named())? == Trust::Given)
    }

    /// Returns the ledger of the repository: what was requested, decided and done.
    ///
    /// # Errors
    /// The state folder cannot be read.
    pub fn ledger(&self) -> Result<Ledger, DeployError> {
        Ok(self.file().read()?)
    }

    /// Returns the settings of an environment.
    ///
    /// # Errors
    /// The environment does not exist, or the settings are invalid.
    pub fn settings(&self, name: &str) -> Result<&EnvironmentSettings, DeployError> {
        let all = self.all_settings()?;
        if all.is_empty() {
            return Err(DeployError::NoEnvironments(self.repository.root.clone()));
        }
        let names = || all.keys().map(String::as_str);
        all.get(name).ok_or_else(|| DeployError::UnknownEnvironment {
            name: name.to_owned(),
            near: nearest(name, names()).map(str::to_owned),
            known: names().map(str::to_owned).collect(),
        })
    }

    /// Returns the environment variables that the commands of an environment need, and whether each is set here.
    ///
    /// # Errors
    /// The environment does not exist, or the settings are invalid.
    pub fn needed(&self, name: &str) -> Result<Vec<Needed>, DeployError> {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Ok(self.settings(name)?.needed(is_set))
    }

    /// Checks that an environment exists or existed: it has settings, or entries in the ledger.
    ///
    /// # Errors
    /// As for [`Self::settings`].
    pub fn require_known(&self, name: &str, ledger: &Ledger) -> Result<(), DeployError> {
        match self.settings(name) {
            Err(_) if ledger.entries().iter().any(|entry| entry.environment == name) => Ok(()),
            known => known.map(drop),
        }
    }

    /// Returns all environments, or the one with this name, with rules and deployments, in the form used for servers.
    /// Their health is known if the targets were asked; see [`Self::ask_targets`].
    ///
    /// # Errors
    /// The settings are invalid.
    pub fn shown(
        &self,
        ledger: &Ledger,
        only: Option<&str>,
        memory: &mut LaneMemory,
    ) -> Result<Vec<Environment>, DeployError> {
        let (at, states) = (now(), self.states(ledger)?);
        self.read_head(memory);
        let wanted = self.all_settings()?.values().filter(|settings| only.is_none_or(|name| name == settings.name));
        let shown = wanted.map(|settings| {
            let state = &states[&settings.name];
            let lane = self.lane(settings, &states, memory);
            let note = lane.current_report().and_then(|reported| reported.observed.note.clone());
            let facts: Vec<String> = lane.health_text().into_iter().chain(note).collect();
            let health = (!facts.is_empty()).then(|| facts.join(", "));
            let no_report = lane.no_report.as_ref().map(NoReport::text);
            let live_unknown = !lane.knows_live();
            let kept = lane.open.as_ref().and_then(|open| open.kept_text(at, &settings.name));
            // While a deployment changes the environment, fewer healthy replicas are not a fault.
            let impairment = lane.impairment().filter(|_| !lane.is_changing());
            let promotable = self.promotable(state);
            let left = self.left_halfway(state).map(|left| match self.shares(settings, &lane) {
                Some(shares) => format!("{left}; {shares}"),
                None => left,
            });
            // A lane has only the newest deployments.
            let deployments = state.shown(at).deployments;
            Environment {
                deployments,
                promotable,
                live_unknown,
                health,
                no_report,
                serves: lane.serves,
                impairment,
                left,
                kept,
                ..lane.environment
            }
        });
        Ok(shown.collect())
    }

    /// Returns how two releases share the traffic of an environment, as its target reports it or, if that reports nothing, as
    /// the commands of its last deployment have set it. `None` if only one gets traffic, or if that is not known.
    fn shares(&self, settings: &EnvironmentSettings, lane: &Lane) -> Option<String> {
        let reported = lane.current_report().map(|reported| reported.observed.clone());
        let recorded = || script::recorded(&self.file().observed(&settings.name)).ok();
        let observed = if settings.target.reports() { reported } else { recorded() };
        lane.shares(&observed?)
    }

    /// Locks an environment; without `until`, until it is unlocked.
    ///
    /// # Errors
    /// The reason is empty, the environment does not exist, it is locked already, or the state folder cannot be
    /// written.
    pub fn lock(&self, name: &str, reason: &str, until: Option<Timestamp>) -> Result<(), DeployError> {
        if reason.trim().is_empty() {
            return Err(DeployError::NoReason("a lock"));
        }
        let at = now();
        let entry = self.entry(name, Action::Locked { until }, reason, at);
        self.append_unless(&entry, |ledger| {
            let state = ledger.of(name);
            state.lock(at).map(|lock| DeployError::Locked(format!("{name} is already {}", lock.text(at))))
        })
    }

    /// Unlocks an environment.
    ///
    /// # Errors
    /// The environment does not exist, it is not locked, or the state folder cannot be written.
    pub fn unlock(&self, name: &str, reason: &str) -> Result<(), DeployError> {
        let at = now();
        self.append_unless(&self.entry(name, Action::Unlocked, reason, at), |ledger| {
            let is_open = ledger.of(name).lock(at).is_none();
            is_open.then(|| DeployError::Locked(format!("{name} is not locked")))
        })
    }

    /// Appends an entry about a known environment, unless `refuses` returns an error for the ledger.
    fn append_unless(
        &self,
        entry: &Entry,
        refuses: impl FnOnce(&Ledger) -> Option<DeployError>,
    ) -> Result<(), DeployError> {
        let mut refused = None;
        self.file().append_if(|ledger| {
            refused = self.require_known(&entry.environment, ledger).err().or_else(|| refuses(ledger));
            refused.is_none().then(|| entry.clone())
        })?;
        refused.map_or(Ok(()), Err)
    }

    fn entry(&self, name: &str, action: Action, reason: &str, at: Timestamp) -> Entry {
        let environment = name.to_owned();
        let reason = self.settings(name).map_or_else(|_| reason.to_owned(), |settings| masked(settings, reason));
        Entry { at, by: self.actor(), environment, deployment: None, job: None, action, reason }
    }

    /// Returns the local user.
    #[must_use]
    pub fn actor(&self) -> Actor {
        ledger::actor(&self.repository)
    }

    /// Returns the position of a deployment in its plan, in words, with the pause that a person has requested. `None` until it
    /// has passed its gates, or if the position cannot be read.
    #[must_use]
    pub fn position(&self, record: &DeploymentRecord) -> Option<String> {
        open::position(&self.runs.folder(record.run.clone()), record)
    }
}

/// Returns a reason for the ledger, with the secrets of the environment that are set here masked.
pub(super) fn masked(settings: &EnvironmentSettings, text: &str) -> String {
    let variables: Vec<_> = std::env::vars_os().collect();
    Masker::new(settings.secrets(&variables)).mask_text(text)
}

/// Converts the rules of an environment to the form that is used for environments on servers. `stops` is when it is stopped
/// automatically.
fn protection(settings: &EnvironmentSettings, state: &EnvironmentState, stops: Option<Timestamp>) -> Protection {
    let mut others: Vec<String> = settings.after.iter().map(|name| format!("after {name}")).collect();
    others.extend(settings.freeze.iter().map(|window| format!("frozen {}", window.written())));
    if !settings.wait.is_zero() && settings.wait.as_secs() < 60 {
        others.push(format!("waits {}", written(settings.wait)));
    }
    others.extend(settings.auto_stop.map(|after| {
        let rule = format!("stops {} after a deployment", written(after));
        match (stops, state.live()) {
            (Some(at), Some(live)) => format!("{rule}: {} at {}", live.release.name(), at.clock()),
            (None, Some(live)) => format!("{rule}, but no deployment waits to stop {}", live.release.name()),
            (_, None) => rule,
        }
    }));
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
