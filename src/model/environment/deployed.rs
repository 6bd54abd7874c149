//! Deployments to an environment, on a server or by this machine: their states, and how they came about and ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Release;
use crate::model::{Conclusion, Gate, Phase, RunId, Timestamp};

/// One attempt to deploy a release to an environment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EnvironmentDeployment {
    /// The release that is deployed.
    #[serde(flatten)]
    pub release: Release,
    /// Last observed state.
    #[serde(serialize_with = "word")]
    pub state: DeploymentState,
    /// Whether the deployment was ever observed as successful.
    pub succeeded: bool,
    /// Whether the deployment began. It may then have changed the environment.
    pub began: bool,
    /// Name of the user who deployed; may be empty.
    pub creator: String,
    /// Time at which the deployment was created.
    pub created: Timestamp,
    /// Time at which the deployment succeeded or failed; `None` before its end.
    pub ended: Option<Timestamp>,
    /// Description of the last state; for a deployment by this machine, why it ended. May be empty.
    pub description: String,
    /// How a deployment by this machine came about.
    #[serde(flatten)]
    pub origin: Origin,
    /// How a deployment by this machine ended; `None` for any other, and before the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Id of the run on the server; `None` if it is not known, or if this machine deployed.
    pub run: Option<u64>,
    /// Run of this machine that carried the deployment out; `None` for a deployment by a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<RunId>,
    /// Id of the job on the server; `None` if it is not known.
    pub job: Option<u64>,
    /// Address of the deployed application; `None` if the deployment names none.
    pub url: Option<String>,
}

/// How a deployment by this machine came about. All fields are empty for other deployments.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Origin {
    /// Whether the release was only found live: it ran before the first deployment by this machine, or another machine
    /// deployed it. The deployment was then created when it was found.
    #[serde(rename = "found", skip_serializing_if = "std::ops::Not::not")]
    pub is_found: bool,
    /// Whether the deployment is a rollback.
    #[serde(rename = "rollback", skip_serializing_if = "std::ops::Not::not")]
    pub is_rollback: bool,
    /// Name of the user who approved the deployment; `None` if nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Whether the rules of the environment were overridden.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub overridden: bool,
    /// Reason that the person gave; may be empty.
    #[serde(rename = "request_reason", skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How a deployment by this machine ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The release is live.
    Succeeded,
    /// The former release is live again.
    RolledBack,
    /// The deployment failed, and the state of the environment is not known to be good.
    Failed,
    /// The deployment ended before it changed anything.
    Cancelled,
    /// The worker of the deployment died.
    Interrupted,
}

impl Outcome {
    /// Whether the environment is as it was before the deployment.
    #[must_use]
    pub fn is_undone(self) -> bool {
        matches!(self, Self::RolledBack | Self::Cancelled)
    }

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

/// State of a deployment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeploymentState {
    /// The deployment has not begun.
    Pending,
    /// The deployment waits for the rules of the environment.
    Waiting,
    /// The deployment waits for a runner or, once it was approved, for its turn.
    Queued,
    /// The deployment is in progress.
    InProgress,
    /// The deployment succeeded, and no other one took its place.
    Success,
    /// The deployment failed.
    Failure,
    /// The deployment could not be carried out.
    Error,
    /// Another deployment took its place, or the deployment was removed.
    Inactive,
    /// A state that this version does not know, in the server's word.
    Other(String),
}

fn word<S: serde::Serializer>(state: &DeploymentState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.word())
}

impl DeploymentState {
    /// Returns the words for people, which are the same in all lists of deployments: `live`, `was live`, `failed`. They
    /// also depend on whether the deployment ever succeeded, and on how a deployment by this machine ended.
    #[must_use]
    pub fn words(&self, succeeded: bool, outcome: Option<Outcome>) -> String {
        let words = match (self, outcome) {
            (Self::Success, _) => "live",
            (Self::Inactive, _) if succeeded => "was live",
            (_, Some(outcome)) => outcome.word(),
            (Self::InProgress, None) => "in progress",
            (Self::Failure, None) => "failed",
            (Self::Other(word), None) => return word.replace('_', " "),
            (Self::Pending | Self::Waiting | Self::Queued | Self::Error | Self::Inactive, None) => self.word(),
        };
        words.to_owned()
    }

    /// Returns the state as the end of a sentence about the release: `is live`, `was rolled back`. It depends on the same as
    /// [`Self::words`].
    #[must_use]
    pub fn clause(&self, succeeded: bool, outcome: Option<Outcome>) -> String {
        let verb = match (self, outcome) {
            (Self::Success, _) => "is ",
            (Self::Inactive, _) if succeeded => "",
            (_, Some(Outcome::RolledBack | Outcome::Cancelled | Outcome::Interrupted)) => "was ",
            (_, Some(Outcome::Succeeded | Outcome::Failed)) | (Self::Failure, None) => "",
            (Self::Error, None) => "ended with an ",
            (
                Self::Pending | Self::Waiting | Self::Queued | Self::InProgress | Self::Inactive | Self::Other(_),
                None,
            ) => "is ",
        };
        format!("{verb}{}", self.words(succeeded, outcome))
    }

    /// Returns the word of the state, as servers write it.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Inactive => "inactive",
            Self::Other(word) => word,
        }
    }

    /// Returns the phase that looks like this state on the screen.
    #[must_use]
    pub fn phase(&self, environment: &str) -> Phase {
        match self {
            Self::Pending | Self::Waiting => Phase::Waiting(Gate::Protection(environment.to_owned())),
            Self::Queued => Phase::Queued,
            Self::InProgress => Phase::Running,
            Self::Success => Phase::Done(Conclusion::Success),
            Self::Failure | Self::Error => Phase::Done(Conclusion::Failure),
            Self::Inactive => Phase::Done(Conclusion::Skipped),
            Self::Other(_) => Phase::Done(Conclusion::Neutral),
        }
    }

    /// Whether the deployment has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Pending | Self::Waiting | Self::Queued | Self::InProgress)
    }
}

impl Origin {
    /// Returns what people decided about the deployment: `approved by olu`, `rules overridden`.
    fn decisions(&self) -> impl Iterator<Item = String> {
        let approved = self.approved_by.as_ref().map(|by| format!("approved by {by}"));
        approved.into_iter().chain(self.overridden.then(|| "rules overridden".to_owned()))
    }

    /// Describes a deployment that is not a plain one or has a reason: `rollback, approved by olu: errors at checkout`.
    /// `None` for any other.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let rollback = self.is_rollback.then(|| "rollback".to_owned());
        let marks = rollback.into_iter().chain(self.decisions()).collect::<Vec<_>>().join(", ");
        match (marks.is_empty(), self.reason.is_empty()) {
            (true, true) => None,
            (true, false) => Some(self.reason.clone()),
            (false, true) => Some(marks),
            (false, false) => Some(format!("{marks}: {}", self.reason)),
        }
    }
}

impl EnvironmentDeployment {
    /// Returns the time of the end, or of the creation while the deployment is in progress.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.ended.unwrap_or(self.created)
    }

    /// Returns the run that carries the deployment out, as commands name it. `repository` is the repository of the
    /// environment. `None` if no run is known.
    #[must_use]
    pub fn address(&self, repository: &str) -> Option<String> {
        let on_server = || self.run.map(|run| format!("{repository}/{run}"));
        self.local.as_ref().map(ToString::to_string).or_else(on_server)
    }

    /// Returns the state in words: see [`DeploymentState::words`].
    #[must_use]
    pub fn state_words(&self) -> String {
        self.state.words(self.succeeded, self.outcome)
    }

    /// Whether the deployment ended before it changed anything: it was withdrawn, rejected or refused.
    #[must_use]
    pub fn changed_nothing(&self) -> bool {
        match self.outcome {
            Some(Outcome::Cancelled) => true,
            Some(Outcome::Failed | Outcome::Interrupted) => !self.began,
            Some(Outcome::Succeeded | Outcome::RolledBack) | None => false,
        }
    }

    /// Returns the state as the end of a sentence: see [`DeploymentState::clause`].
    #[must_use]
    pub fn state_clause(&self) -> String {
        self.state.clause(self.succeeded, self.outcome)
    }

    /// Returns who deployed, and what is special about it: `rollback by ana, approved by olu`.
    #[must_use]
    pub fn by(&self) -> String {
        if self.origin.is_found {
            return self.description.clone();
        }
        let rollback = if self.origin.is_rollback { "rollback " } else { "" };
        let by = format!("{rollback}by {}", self.creator);
        std::iter::once(by).chain(self.origin.decisions()).collect::<Vec<_>>().join(", ")
    }

    /// Returns [`Self::by`] and, if they are known, why the deployment was made and why it ended: `by ana: fixes the
    /// cart`.
    #[must_use]
    pub fn by_and_why(&self) -> String {
        if self.origin.is_found {
            return self.by();
        }
        let whys = [&self.origin.reason, &self.description].into_iter().filter(|why| !why.is_empty());
        let whys = whys.map(String::as_str).collect::<Vec<_>>().join("; ");
        if whys.is_empty() { self.by() } else { format!("{}: {whys}", self.by()) }
    }

    /// Returns how long the deployment took from its creation to its end; `None` before the end.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        Some(self.ended?.since(self.created))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::deployment_of;

    #[test]
    fn a_state_has_one_wording() {
        use DeploymentState::{Error, Failure, InProgress, Inactive, Other, Success, Waiting};
        for (state, succeeded, outcome, expected) in [
            (Waiting, false, None, "waiting"),
            (InProgress, false, None, "in progress"),
            (Success, true, Some(Outcome::Succeeded), "live"),
            (Inactive, true, Some(Outcome::Succeeded), "was live"),
            (Inactive, true, None, "was live"),
            (Inactive, false, None, "inactive"),
            (Inactive, false, Some(Outcome::Cancelled), "cancelled"),
            (Failure, false, Some(Outcome::RolledBack), "rolled back"),
            (Failure, false, Some(Outcome::Failed), "failed"),
            (Failure, false, None, "failed"),
            (Error, false, Some(Outcome::Interrupted), "interrupted"),
            (Error, false, None, "error"),
            (Other("half_done".to_owned()), false, None, "half done"),
        ] {
            assert_eq!(state.words(succeeded, outcome), expected, "{state:?}");
        }
    }

    #[test]
    fn a_state_ends_a_sentence() {
        use DeploymentState::{Error, Failure, InProgress, Inactive, Success, Waiting};
        for (state, succeeded, outcome, expected) in [
            (Waiting, false, None, "is waiting"),
            (InProgress, false, None, "is in progress"),
            (Success, true, Some(Outcome::Succeeded), "is live"),
            (Inactive, true, Some(Outcome::Succeeded), "was live"),
            (Inactive, false, Some(Outcome::Cancelled), "was cancelled"),
            (Failure, false, Some(Outcome::RolledBack), "was rolled back"),
            (Failure, false, None, "failed"),
            (Error, false, None, "ended with an error"),
        ] {
            assert_eq!(state.clause(succeeded, outcome), expected, "{state:?}");
        }
    }

    #[test]
    fn the_reason_the_approver_and_the_end_of_a_deployment_are_said_together() {
        let plain = deployment_of("v1", DeploymentState::Success, Timestamp(0));
        assert_eq!((plain.by_and_why().as_str(), plain.origin.text()), ("by ines", None));
        let origin = Origin {
            is_found: false,
            is_rollback: true,
            approved_by: Some("olu".to_owned()),
            overridden: true,
            reason: "errors at checkout".to_owned(),
        };
        let back = EnvironmentDeployment { origin, description: "aborted by ada@web".to_owned(), ..plain };
        let by = "rollback by ines, approved by olu, rules overridden";
        assert_eq!(back.by_and_why(), format!("{by}: errors at checkout; aborted by ada@web"));
        let text = "rollback, approved by olu, rules overridden: errors at checkout";
        assert_eq!(back.origin.text().as_deref(), Some(text));
        let document = serde_json::to_value(&back).expect("JSON");
        assert_eq!((&document["rollback"], &document["approved_by"]), (&true.into(), &"olu".into()), "{document}");
    }
}
