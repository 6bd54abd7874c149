//! The ledger of the environments of a repository: what was requested, decided and done, and by whom. It is
//! append-only; what is live, waiting or locked is computed from its entries.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{EnvironmentState, RecordedDeployment, RecordedState, written};
use crate::model::environment::{Outcome, Release};
use crate::model::{JobId, RunId, Timestamp};

/// A person who acted on an environment, as identified by the operating system and git. The identity is not verified.
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

    /// Whether both are the same person: by mail address, or by user and machine if one of them has no address.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        if self.email.is_empty() || other.email.is_empty() {
            return self.user == other.user && self.host == other.host;
        }
        self.email.eq_ignore_ascii_case(&other.email)
    }
}

/// An entry of the ledger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Time of the entry.
    pub at: Timestamp,
    /// Who performed the action.
    pub by: Actor,
    /// The environment.
    pub environment: String,
    /// The run of the deployment that the entry is about; `None` for an entry about the environment, such as a lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<RunId>,
    /// The job that deploys, if it is a job of a workflow. A review without a job is about all jobs of the run that
    /// wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The action.
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
    /// A person asked for the deployment.
    Manual,
    /// The deployment rolls back to an earlier release.
    Rollback,
    /// A job of a workflow deploys.
    Job,
}

/// The image of a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReleaseImage {
    /// Name, whose tag may move to another image.
    pub name: String,
    /// The image itself: `repository@sha256:…` if a registry has it, else its id, `sha256:…`.
    pub id: String,
    /// The image on hosts where the name stands for another one than on the first host, by the name of the host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub elsewhere: BTreeMap<String, String>,
}

impl ReleaseImage {
    /// Returns an image that is the same on all hosts.
    #[must_use]
    pub fn new(name: String, id: String) -> Self {
        Self { name, id, elsewhere: BTreeMap::new() }
    }

    /// Returns the image of a host; `None` stands for the only host.
    #[must_use]
    pub fn on_host(&self, host: Option<&str>) -> Self {
        let id = host.and_then(|host| self.elsewhere.get(host)).unwrap_or(&self.id);
        Self::new(self.name.clone(), id.clone())
    }

    /// Returns the image itself, as it is on each host; may repeat one.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.id).chain(self.elsewhere.values())
    }
}

/// The action that an entry records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// A deployment was requested.
    Requested {
        /// The release.
        release: Release,
        /// The release that was live at that time; `None` if there was none, or if it was not known.
        from: Option<Release>,
        /// Why the deployment was requested.
        cause: Cause,
    },
    /// What the target was found to serve before the deployment changed it, if the ledger did not know that it was live.
    Found {
        /// The release; `None` if none served.
        release: Option<Release>,
    },
    /// Files with uncommitted changes are deployed with the commit. The reason names them.
    Changed,
    /// The image of the release was determined: before its first replica was started or, if the target fetches images out
    /// of sight, once the replicas run.
    Image(ReleaseImage),
    /// Images of earlier releases were removed. The reason names them.
    RemovedImages,
    /// Rules of the environment were overridden for the deployment.
    Overrode,
    /// The deployment was approved.
    Approved,
    /// The deployment was rejected.
    Rejected,
    /// The deployment passed its gates and begins, or continues after an interruption.
    Began,
    /// The deployment was promoted: it continues after a pause; with `full`, past all pauses.
    Promoted {
        /// Whether all pauses are skipped.
        full: bool,
    },
    /// The deployment was paused.
    Paused,
    /// A person aborted the deployment.
    Aborted,
    /// A person let the deployment continue after its worker died.
    Resumed,
    /// The deployment ended.
    Ended {
        /// How the deployment ended.
        outcome: Outcome,
    },
    /// A server recorded the deployment, or its new state.
    Recorded(RecordedDeployment),
    /// The server did not record the deployment, or its new state, for the reason of the entry.
    NotRecorded,
    /// The environment was stopped automatically: the release of the deployment no longer runs.
    Stopped,
    /// The environment was locked.
    Locked {
        /// End of the lock; `None` if it lasts until a person unlocks the environment.
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
            Self::Requested { cause: Cause::Manual | Cause::Job, .. } => "requested",
            Self::Requested { cause: Cause::Rollback, .. } => "requested rollback",
            Self::Found { .. } => "found",
            Self::Changed => "has uncommitted changes",
            Self::Image(_) => "has the image",
            Self::RemovedImages => "removed old images",
            Self::Overrode => "overrode the rules",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Began => "began",
            Self::Promoted { full: false } => "promoted",
            Self::Promoted { full: true } => "promoted fully",
            Self::Paused => "paused",
            Self::Aborted => "aborted",
            Self::Resumed => "resumed",
            Self::Ended { outcome } => outcome.word(),
            Self::Recorded(RecordedDeployment { state, .. }) => match state {
                None => "was recorded on its server",
                Some(RecordedState::InProgress) => "was recorded as in progress",
                Some(RecordedState::Success) => "was recorded as success",
                Some(RecordedState::Failure) => "was recorded as failure",
                Some(RecordedState::Error) => "was recorded as error",
                Some(RecordedState::Inactive) => "was recorded as inactive",
            },
            Self::NotRecorded => "was not recorded on its server",
            Self::Stopped => "stopped",
            Self::Locked { .. } => "locked",
            Self::Unlocked => "unlocked",
        }
    }
}

/// A lock of an environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lock {
    /// Who locked the environment.
    pub by: Actor,
    /// Time at which the environment was locked.
    pub since: Timestamp,
    /// End of the lock; `None` if it lasts until a person unlocks the environment.
    pub until: Option<Timestamp>,
    /// Reason of the lock; may be empty.
    pub reason: String,
}

impl Lock {
    /// Returns how long the lock lasts, in words: `1h30m left`. `None` if it lasts until a person unlocks the
    /// environment.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Option<String> {
        let left = self.until?.since(now).as_secs();
        let whole = if left < 60 { left } else { left / 60 * 60 };
        Some(format!("{} left", written(Duration::from_secs(whole))))
    }

    /// Returns the lock in words: `locked by ada@web since 2026-11-24 02:15 UTC: database migration`.
    #[must_use]
    pub fn text(&self, now: Timestamp) -> String {
        let end = self.until.zip(self.left(now));
        let until = end.map(|(until, left)| format!(" until {} ({left})", until.clock())).unwrap_or_default();
        let reason = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        format!("locked by {} since {}{until}{reason}", self.by.name(), self.since.clock())
    }
}

/// A line of a ledger file that is not an entry: it is damaged, or another program wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnreadableLine {
    /// Position in the file, as `file:line`.
    pub position: String,
    /// Why the line cannot be read.
    pub reason: String,
    /// The environment that the line names; `None` if the line may be about any environment.
    pub environment: Option<String>,
    /// Number of entries before it.
    pub after: usize,
}

impl UnreadableLine {
    /// Whether the line may be about an environment.
    #[must_use]
    pub fn is_about(&self, environment: &str) -> bool {
        self.environment.as_deref().is_none_or(|named| named == environment)
    }
}

impl fmt::Display for UnreadableLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not an entry of the ledger: {}", self.position, self.reason)
    }
}

/// The ledger of a repository's environments: its entries and its unreadable lines, both in the order of the file.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Ledger {
    entries: Vec<Entry>,
    unreadable: Vec<UnreadableLine>,
}

impl Ledger {
    /// Creates a ledger from these entries, oldest first.
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> Self {
        Self { entries, unreadable: Vec::new() }
    }

    /// Creates a ledger from the entries and the unreadable lines of a file, both in the order of the file.
    #[must_use]
    pub fn with_unreadable(entries: Vec<Entry>, unreadable: Vec<UnreadableLine>) -> Self {
        Self { entries, unreadable }
    }

    /// Returns the entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the lines of the file that are not entries, in order.
    #[must_use]
    pub fn unreadable(&self) -> &[UnreadableLine] {
        &self.unreadable
    }

    /// Returns the state of an environment according to the entries.
    #[must_use]
    pub fn of(&self, environment: &str) -> EnvironmentState {
        let unreadable = self.unreadable.iter().filter(|line| line.is_about(environment));
        EnvironmentState::fold(environment, &self.entries, unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_says_when_it_ends_and_how_long_that_is() {
        let by = Actor { user: "ada".to_owned(), host: "web".to_owned(), email: String::new() };
        let reason = "migration".to_owned();
        let lock = |until| Lock { by: by.clone(), since: Timestamp(0), until, reason: reason.clone() };
        let text = |until| lock(until).text(Timestamp(60_000));
        let since = "locked by ada@web since 1970-01-01 00:00 UTC";
        assert_eq!(text(None), format!("{since}: migration"));
        let until = Some(Timestamp(5_479_000));
        assert_eq!(text(until), format!("{since} until 1970-01-01 01:31 UTC (1h30m left): migration"));
        assert_eq!(lock(Some(Timestamp(90_000))).left(Timestamp(60_000)).as_deref(), Some("30s left"));
    }

    #[test]
    fn entries_are_read_as_they_were_written() {
        let release = Release { sha: "9093b37".to_owned(), reference: "v1".to_owned(), tag: Some("v1".to_owned()) };
        let actions = [
            Action::Requested { release: release.clone(), from: None, cause: Cause::Manual },
            Action::Found { release: Some(release) },
            Action::Found { release: None },
            Action::Began,
            Action::Ended { outcome: Outcome::Failed },
            Action::Locked { until: Some(Timestamp(9)) },
        ];
        for action in actions {
            let entry = Entry {
                at: Timestamp(1),
                by: Actor { user: "ada".to_owned(), host: "web".to_owned(), email: String::new() },
                environment: "production".to_owned(),
                deployment: Some(RunId::new("v1")),
                job: Some(JobId::new("deploy")),
                action,
                reason: String::new(),
            };
            let line = serde_json::to_string(&entry).expect("written");
            assert_eq!(serde_json::from_str::<Entry>(&line).expect("read"), entry, "{line}");
        }
    }
}
