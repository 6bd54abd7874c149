//! A deployment as people and servers name it: what was live before it, its state, and what a person can do about it.

use super::{Cause, DeploymentRecord, Outcome};
use crate::model::environment::{DeploymentState, EnvironmentDeployment, Origin, title_of};

impl DeploymentRecord {
    /// Returns the title of the release that was live before: `nothing` if none was, or `unknown` if that is not known.
    #[must_use]
    pub fn former(&self) -> String {
        title_of(self.from.as_ref(), !self.from_unknown)
    }

    /// Returns the state of the deployment as GitHub would report it.
    #[must_use]
    pub fn state(&self, is_live: bool) -> DeploymentState {
        match self.outcome {
            None if self.began => DeploymentState::InProgress,
            None if self.approved.is_some() => DeploymentState::Queued,
            None => DeploymentState::Waiting,
            Some(Outcome::Succeeded) if is_live => DeploymentState::Success,
            Some(Outcome::Succeeded | Outcome::Cancelled) => DeploymentState::Inactive,
            Some(Outcome::RolledBack | Outcome::Failed) => DeploymentState::Failure,
            Some(Outcome::Interrupted) => DeploymentState::Error,
        }
    }

    /// Returns how the deployment came about.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            is_found: false,
            is_rollback: self.cause == Cause::Rollback,
            approved_by: self.approved.as_ref().map(|by| by.user.clone()),
            overridden: self.overridden,
            reason: self.reason.clone(),
        }
    }

    /// Returns the deployment in the form that deployments on servers have.
    pub(super) fn shown(&self, is_live: bool) -> EnvironmentDeployment {
        EnvironmentDeployment {
            state: self.state(is_live),
            succeeded: self.outcome == Some(Outcome::Succeeded),
            // A deployment that was undone left the environment as it was.
            began: self.began && !self.outcome.is_some_and(Outcome::is_undone),
            creator: self.creator.user.clone(),
            created: self.created,
            ended: self.ended,
            description: self.end_reason.clone(),
            origin: self.origin(),
            outcome: self.outcome,
            run: None,
            local: Some(self.run.clone()),
            job: None,
            url: None,
            release: self.release.clone(),
        }
    }

    /// Returns the state in words: see [`words`](crate::model::environment::DeploymentState::words).
    #[must_use]
    pub fn state_words(&self, is_live: bool) -> String {
        self.state(is_live).words(self.outcome == Some(Outcome::Succeeded), self.outcome)
    }

    /// Returns the state as the end of a sentence: see [`clause`](crate::model::environment::DeploymentState::clause).
    #[must_use]
    pub fn state_clause(&self, is_live: bool) -> String {
        self.state(is_live).clause(self.outcome == Some(Outcome::Succeeded), self.outcome)
    }

    /// Returns what an abort does if the deployment has not begun, as a sentence without its full stop; `None` if it has.
    #[must_use]
    pub fn withdrawn(&self) -> Option<String> {
        let (title, environment) = (self.release.title(), &self.environment);
        (!self.began).then(|| format!("{title} to {environment} is withdrawn: nothing was started"))
    }

    /// Returns the commands with which a person continues or undoes a deployment that has no worker. `None` if it was not left
    /// halfway, or if no command of this program does that.
    #[must_use]
    pub fn ways_out(&self) -> Option<String> {
        let resume = format!("`cuelight resume {}`", self.run);
        let abort = format!("`cuelight abort {}`", self.environment);
        // Until the next command notices that the worker has died, the deployment has no end.
        match (self.outcome.unwrap_or(Outcome::Interrupted), &self.cause) {
            (Outcome::Interrupted, _) if !self.began => Some(resume),
            (Outcome::Interrupted, Cause::Job) => Some(resume),
            (Outcome::Interrupted, Cause::Manual | Cause::Rollback) => Some(format!("{resume} or {abort}")),
            (Outcome::Failed, Cause::Manual | Cause::Rollback) if self.began => Some(abort),
            _ => None,
        }
    }
}
