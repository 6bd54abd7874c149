//! A deployment in words: what was live before it, its state, and what a person can do about it.

use super::{Cause, DeploymentRecord, Outcome};
use crate::model::environment::title_of;

impl DeploymentRecord {
    /// Returns the title of the release that was live before: `nothing` if none was, or `unknown` if that is not known.
    #[must_use]
    pub fn former(&self) -> String {
        title_of(self.from.as_ref(), !self.from_unknown)
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
