//! The ledger of the environments of a repository: what was asked, decided and done, and by whom. Entries are only ever
//! added; what is live, what waits and what is locked is their fold.

use serde::{Deserialize, Serialize};

use crate::model::environment::{DeploymentSource, DeploymentState, Environment, EnvironmentDeployment, Release};
use crate::model::{RunId, Timestamp};

/// Who did something, as far as this machine knows. It is a record, not a proof.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Actor {
    /// User of the operating system.
    pub user: String,
    /// Name of the machine.
    pub host: String,
    /// Mail address in git's settings; empty without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub email: String,
}

impl Actor {
    /// Returns `user@host`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}@{}", self.user, self.host)
    }

    /// Whether a text names the person: user, `user@host` or mail address.
    #[must_use]
    pub fn is(&self, written: &str) -> bool {
        let is = |name: &str| !name.is_empty() && name.eq_ignore_ascii_case(written);
        is(&self.user) || is(&self.name()) || is(&self.email)
    }

    /// Whether both are the same person: by mail address, or by user and machine where one of them has no address.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        if self.email.is_empty() || other.email.is_empty() {
            return self.user == other.user && self.host == other.host;
        }
        self.email.eq_ignore_ascii_case(&other.email)
    }
}

/// An entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Time of the entry.
    pub at: Timestamp,
    /// Who did it.
    pub by: Actor,
    /// The environment.
    pub environment: String,
    /// The run of the deployment that the entry is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<RunId>,
    /// What was done.
    #[serde(flatten)]
    pub action: Action,
    /// Reason or comment of the person, or why a deployment ended; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Why a deployment was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A person asked for it.
    Manual,
    /// It brings an earlier release back.
    Rollback,
}

/// How a deployment ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The release is live.
    Succeeded,
    /// The former release is live again.
    RolledBack,
    /// It failed, and what is there now is not known to be good.
    Failed,
    /// It ended before it changed anything.
    Cancelled,
    /// Its worker died.
    Interrupted,
}

impl Outcome {
    /// Returns the outcome as a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What an entry records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// A deployment was requested.
    Requested {
        /// The release.
        release: Release,
        /// The release that was live.
        from: Option<Release>,
        /// Why.
        cause: Cause,
    },
    /// Rules of the environment were overridden for the deployment.
    Overrode,
    /// The deployment was approved.
    Approved,
    /// The deployment was rejected.
    Rejected,
    /// The deployment passed its gates and begins, or goes on.
    Began,
    /// The deployment was let go on after a pause; with `full`, past all pauses.
    Promoted {
        /// Whether all pauses are skipped.
        full: bool,
    },
    /// The deployment was paused.
    Paused,
    /// A person aborted the deployment.
    Aborted,
    /// The deployment ended.
    Ended {
        /// How.
        outcome: Outcome,
    },
    /// The environment was locked.
    Locked {
        /// End of the lock; `None` until it is unlocked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// The environment was unlocked.
    Unlocked,
}

impl Action {
    /// Returns the action as a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Requested { cause: Cause::Manual, .. } => "requested",
            Self::Requested { cause: Cause::Rollback, .. } => "requested rollback",
            Self::Overrode => "overrode the rules",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Began => "began",
            Self::Promoted { full: false } => "promoted",
            Self::Promoted { full: true } => "promoted fully",
            Self::Paused => "paused",
            Self::Aborted => "aborted",
            Self::Ended { outcome } => outcome.word(),
            Self::Locked { .. } => "locked",
            Self::Unlocked => "unlocked",
        }
    }
}

/// A lock of an environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lock {
    /// Who locked it.
    pub by: Actor,
    /// When.
    pub since: Timestamp,
    /// Its end; `None` until it is unlocked.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

impl Lock {
    /// Returns the lock in words: `locked by ada@web since 2026-11-24 02:15 UTC: database migration`.
    #[must_use]
    pub fn text(&self) -> String {
        let until = self.until.map(|until| format!(" until {}", until.clock())).unwrap_or_default();
        let reason = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        format!("locked by {} since {}{until}{reason}", self.by.name(), self.since.clock())
    }
}

/// A deployment, according to its entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeploymentRecord {
    /// The run that carries it out.
    pub run: RunId,
    /// The environment.
    pub environment: String,
    /// The release.
    pub release: Release,
    /// The release that was live when it was requested.
    pub from: Option<Release>,
    /// Why it was made.
    pub cause: Cause,
    /// Who asked for it.
    pub creator: Actor,
    /// Time of the request.
    pub created: Timestamp,
    /// Whether it passed its gates.
    pub began: bool,
    /// Who approved it.
    pub approved: Option<Actor>,
    /// Whether the rules of the environment do not count.
    pub overridden: bool,
    /// How it ended; `None` while it goes on.
    pub outcome: Option<Outcome>,
    /// Time of its end.
    pub ended: Option<Timestamp>,
    /// Why it was made, or why it ended.
    pub reason: String,
}

/// The entries of a repository's environments, in order.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Ledger {
    entries: Vec<Entry>,
}

impl Ledger {
    /// Returns the ledger with these entries, oldest first.
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// Returns the entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the lock of an environment.
    #[must_use]
    pub fn lock(&self, environment: &str, now: Timestamp) -> Option<Lock> {
        let is_lock = |entry: &&Entry| matches!(entry.action, Action::Locked { .. } | Action::Unlocked);
        let last = self.entries.iter().rev().filter(|entry| entry.environment == environment).find(is_lock)?;
        match &last.action {
            Action::Locked { until } if until.is_none_or(|until| now < until) => {
                Some(Lock { by: last.by.clone(), since: last.at, until: *until, reason: last.reason.clone() })
            }
            _ => None,
        }
    }

    /// Returns the deployments to an environment, newest first.
    #[must_use]
    pub fn deployments(&self, environment: &str) -> Vec<DeploymentRecord> {
        let mut all: Vec<DeploymentRecord> = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.environment == environment) {
            let Some(run) = &entry.deployment else { continue };
            if let Action::Requested { release, from, cause } = &entry.action {
                all.push(DeploymentRecord {
                    run: run.clone(),
                    environment: environment.to_owned(),
                    release: release.clone(),
                    from: from.clone(),
                    cause: cause.clone(),
                    creator: entry.by.clone(),
                    created: entry.at,
                    began: false,
                    approved: None,
                    overridden: false,
                    outcome: None,
                    ended: None,
                    reason: entry.reason.clone(),
                });
                continue;
            }
            let Some(record) = all.iter_mut().find(|record| record.run == *run) else { continue };
            match &entry.action {
                Action::Began => {
                    record.began = true;
                    (record.outcome, record.ended) = (None, None);
                }
                Action::Approved => record.approved = Some(entry.by.clone()),
                Action::Overrode => record.overridden = true,
                Action::Ended { outcome } => {
                    (record.outcome, record.ended) = (Some(*outcome), Some(entry.at));
                    record.reason.clone_from(&entry.reason);
                }
                _ => {}
            }
        }
        all.reverse();
        all
    }

    /// Returns a deployment by its run.
    #[must_use]
    pub fn deployment(&self, environment: &str, run: &RunId) -> Option<DeploymentRecord> {
        self.deployments(environment).into_iter().find(|record| record.run == *run)
    }

    /// Returns the last deployment that succeeded, by the order of the entries: the clock may have been set back.
    #[must_use]
    pub fn live(&self, environment: &str) -> Option<DeploymentRecord> {
        let all = self.deployments(environment);
        let ended = self.entries.iter().rev().filter(|entry| matches!(entry.action, Action::Ended { .. }));
        let mut good = ended.filter_map(|entry| {
            let run = entry.deployment.as_ref()?;
            all.iter().find(|record| record.run == *run && record.outcome == Some(Outcome::Succeeded))
        });
        good.next().cloned()
    }

    /// Returns why the release that serves is not known: a deployment began after the last that succeeded, and left the
    /// target in no known state.
    #[must_use]
    pub fn unknown(&self, environment: &str) -> Option<String> {
        let newest = self.deployments(environment).into_iter().find(|record| record.began)?;
        let how = match newest.outcome? {
            Outcome::Failed => "failed",
            Outcome::Interrupted => "was interrupted",
            Outcome::Cancelled => "was ended",
            Outcome::Succeeded | Outcome::RolledBack => return None,
        };
        Some(format!("not known what serves: the deployment of {} {how} on its way", newest.release.title()))
    }

    /// Returns the deployment whose release serves. `None` if nothing serves, or it is not known.
    #[must_use]
    pub fn serving(&self, environment: &str) -> Option<DeploymentRecord> {
        self.live(environment).filter(|_| self.unknown(environment).is_none())
    }

    /// Returns the release of a deployment that began after this one. What this one left must not be touched then.
    #[must_use]
    pub fn superseded_by(&self, environment: &str, run: &RunId) -> Option<DeploymentRecord> {
        let newer = self.deployments(environment).into_iter().take_while(|record| record.run != *run);
        newer.into_iter().find(|record| record.began)
    }

    /// Returns an environment with its deployments, as those of servers are shown.
    #[must_use]
    pub fn environment(&self, name: &str, now: Timestamp) -> Environment {
        let live = self.serving(name).map(|live| live.run);
        let deployments = self.deployments(name).into_iter().map(|record| {
            let is_live = live.as_ref() == Some(&record.run);
            record.shown(is_live)
        });
        Environment {
            source: DeploymentSource::Local,
            unknown: self.unknown(name),
            deployments: deployments.collect(),
            locked: self.lock(name, now).map(|lock| lock.text()),
            ..Environment::named(name)
        }
    }
}

impl DeploymentRecord {
    /// Returns the state in GitHub's words.
    #[must_use]
    pub fn state(&self, is_live: bool) -> DeploymentState {
        match self.outcome {
            None if self.began => DeploymentState::InProgress,
            None => DeploymentState::Waiting,
            Some(Outcome::Succeeded) if is_live => DeploymentState::Success,
            Some(Outcome::Succeeded | Outcome::Cancelled) => DeploymentState::Inactive,
            Some(Outcome::RolledBack | Outcome::Failed) => DeploymentState::Failure,
            Some(Outcome::Interrupted) => DeploymentState::Error,
        }
    }

    fn shown(self, is_live: bool) -> EnvironmentDeployment {
        EnvironmentDeployment {
            state: self.state(is_live),
            succeeded: self.outcome == Some(Outcome::Succeeded),
            // One that was rolled back left the environment as it was.
            began: self.began && self.outcome != Some(Outcome::RolledBack),
            creator: self.creator.user,
            created: self.created,
            ended: self.ended,
            description: self.reason,
            run: None,
            local: Some(self.run),
            job: None,
            url: None,
            release: self.release,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(tag: &str) -> Release {
        Release { sha: format!("{tag}-sha"), reference: tag.to_owned(), tag: Some(tag.to_owned()) }
    }

    fn entry(at: u64, run: &str, action: Action) -> Entry {
        let by = Actor { user: "ada".to_owned(), host: "web".to_owned(), email: String::new() };
        let deployment = (!run.is_empty()).then(|| RunId::new(run));
        Entry { at: Timestamp(at), by, environment: "production".to_owned(), deployment, action, reason: String::new() }
    }

    fn deployed(at: u64, run: &str, outcome: Option<Outcome>) -> Vec<Entry> {
        let requested = Action::Requested { release: release(run), from: None, cause: Cause::Manual };
        let mut entries = vec![entry(at, run, requested), entry(at + 1, run, Action::Began)];
        entries.extend(outcome.map(|outcome| entry(at + 2, run, Action::Ended { outcome })));
        entries
    }

    #[test]
    fn the_last_success_is_live_whatever_failed_after_it() {
        let entries = [
            deployed(1, "v1", Some(Outcome::Succeeded)),
            deployed(10, "v2", Some(Outcome::Succeeded)),
            deployed(20, "v3", Some(Outcome::RolledBack)),
        ];
        let ledger = Ledger::new(entries.concat());
        assert_eq!(ledger.live("production").map(|live| live.run), Some(RunId::new("v2")));
        let environment = ledger.environment("production", Timestamp(99));
        let states: Vec<_> = environment.deployments.iter().map(|one| one.state.word().to_owned()).collect();
        assert_eq!(states, ["failure", "success", "inactive"]);
        assert_eq!(environment.current().map(|one| one.release.name().to_owned()), Some("v2".to_owned()));
        assert_eq!(ledger.live("staging"), None);
    }

    #[test]
    fn an_interrupted_deployment_that_begins_again_is_open() {
        let mut entries = deployed(1, "v1", Some(Outcome::Interrupted));
        entries.push(entry(9, "v1", Action::Began));
        let record = Ledger::new(entries).deployment("production", &RunId::new("v1")).expect("known");
        assert_eq!((record.outcome, record.state(false)), (None, DeploymentState::InProgress));
    }

    #[test]
    fn a_lock_ends_by_itself_or_by_a_person() {
        let locked = entry(5, "", Action::Locked { until: Some(Timestamp(10)) });
        let ledger = Ledger::new(vec![locked.clone()]);
        assert!(
            ledger.lock("production", Timestamp(9)).is_some() && ledger.lock("production", Timestamp(10)).is_none()
        );
        let unlocked = Ledger::new(vec![locked, entry(6, "", Action::Unlocked)]);
        assert_eq!(unlocked.lock("production", Timestamp(7)), None);
    }

    #[test]
    fn entries_are_read_as_they_were_written() {
        for entry in deployed(1, "v1", Some(Outcome::Failed)) {
            let line = serde_json::to_string(&entry).expect("written");
            assert_eq!(serde_json::from_str::<Entry>(&line).expect("read"), entry, "{line}");
        }
    }
}
