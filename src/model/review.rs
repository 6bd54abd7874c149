//! Reviews of deployments: environments whose rules hold back jobs until a reviewer approves or a timer ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Gate, JobId, Phase, Timestamp};

/// Words that mark an environment as production when they are a part of its name, as in `prod-eu`.
const PRODUCTION: [&str; 2] = ["prod", "production"];

/// Whether an environment is named like production.
#[must_use]
pub fn is_production(environment: &str) -> bool {
    let mut words = environment.split(|c: char| !c.is_alphanumeric());
    words.any(|word| PRODUCTION.iter().any(|name| word.eq_ignore_ascii_case(name)))
}

/// An environment that holds back jobs of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PendingReview {
    /// Id of the environment on the server.
    pub id: u64,
    /// Name of the environment.
    pub environment: String,
    /// Users and teams, one of whom must approve; empty if the environment waits only for its timer or for an app.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<String>,
    /// Why the user whose token is used may not review; `None` if the user may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<ReviewRefusal>,
    /// End of the environment's wait timer; `None` without a timer, or before it has started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_until: Option<Timestamp>,
    /// Time since which the environment waits. In an event it is set only if the server reports the time; in the state
    /// of a run, always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Jobs that wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobId>,
}

/// Why the user may not review a deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ReviewRefusal {
    /// The environment prevents reviews by the user who started the run.
    #[error("you may not approve your own deployment")]
    OwnDeployment,
    /// The user is not among the reviewers.
    #[error("you are not a reviewer")]
    NotReviewer,
    /// The environment has no reviewers: its timer or an app decides.
    #[error("it needs no review: a timer or an app decides")]
    NoReviewers,
    /// The token lacks the permission.
    #[error("the token may not review deployments")]
    Token,
    /// A reason that the server does not report, or that only later versions know.
    #[error("the server does not allow it")]
    #[serde(other)]
    Unknown,
}

/// A review that was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Review {
    /// Names of the environments.
    pub environments: Vec<String>,
    /// Whether the deployment was approved; otherwise it was rejected.
    pub approved: bool,
    /// Name of the reviewer.
    pub by: String,
    /// Comment of the reviewer; may be empty.
    pub comment: String,
    /// Time at which the review was recorded.
    pub at: Timestamp,
}

impl PendingReview {
    /// Whether the user may review the environment.
    #[must_use]
    pub fn may_review(&self) -> bool {
        self.refusal.is_none()
    }

    /// Whether the environment is named like production, so that a review must be confirmed by typing the name.
    #[must_use]
    pub fn is_production(&self) -> bool {
        is_production(&self.environment)
    }

    /// Returns what the jobs wait for: `waits for a review of production (maria, olu)`.
    #[must_use]
    pub fn reason(&self) -> String {
        let name = &self.environment;
        let timer = if self.wait_until.is_some() { " and its wait timer" } else { "" };
        match self.reviewers.as_slice() {
            [] => self.gate().reason(),
            reviewers => format!("waits for a review of {name} ({}){timer}", reviewers.join(", ")),
        }
    }

    /// Returns what a run waits for: the reason of a single review, or the environments of several.
    #[must_use]
    pub fn reasons(reviews: &[Self]) -> String {
        match reviews {
            [only] => only.reason(),
            several => {
                let names: Vec<&str> = several.iter().map(|review| review.environment.as_str()).collect();
                format!("waits for reviews of {}", names.join(", "))
            }
        }
    }

    /// Returns the phase of the jobs that wait.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::Waiting(self.gate())
    }

    /// Returns what the jobs wait for.
    #[must_use]
    pub fn gate(&self) -> Gate {
        let environment = self.environment.clone();
        match self.wait_until {
            _ if !self.reviewers.is_empty() => Gate::Review(environment),
            Some(until) => Gate::Timer { environment, until },
            None => Gate::Protection(environment),
        }
    }

    /// Returns how long the environment has waited; zero if the start is not known.
    #[must_use]
    pub fn waited(&self, now: Timestamp) -> Duration {
        self.since.map(|since| now.since(since)).unwrap_or_default()
    }
}

impl Review {
    /// Returns the review as a sentence: `maria approved production: ship it`.
    #[must_use]
    pub fn text(&self) -> String {
        let verb = if self.approved { "approved" } else { "rejected" };
        let comment = if self.comment.is_empty() { String::new() } else { format!(": {}", self.comment) };
        format!("{} {verb} {}{comment}", self.by, self.environments.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::pending_review;

    #[test]
    fn environments_named_like_production_are_recognised() {
        for (name, expected) in [
            ("production", true),
            ("Prod", true),
            ("prod-eu", true),
            ("eu/production", true),
            ("reproduction", false),
            ("product", false),
            ("preprod", false),
            ("staging", false),
        ] {
            assert_eq!(pending_review(1, name, &[]).is_production(), expected, "{name}");
        }
    }

    #[test]
    fn the_reason_names_reviewers_and_timer() {
        let review = pending_review(1, "production", &["maria", "olu"]);
        assert_eq!(review.reason(), "waits for a review of production (maria, olu)");
        let timed = PendingReview { wait_until: Some(Timestamp(9)), ..review };
        assert_eq!(timed.reason(), "waits for a review of production (maria, olu) and its wait timer");
        let timer = PendingReview { reviewers: Vec::new(), ..timed };
        assert_eq!(timer.reason(), "waits for the timer of production until 1970-01-01 00:00 UTC");
    }

    #[test]
    fn records_of_earlier_and_later_versions_are_read() {
        let read = |text: &str| serde_json::from_str::<PendingReview>(text).expect("a review");
        let bare = read(r#"{"id": 7, "environment": "prod"}"#);
        assert_eq!(bare, PendingReview { jobs: Vec::new(), ..pending_review(7, "prod", &[]) });
        let later = read(r#"{"id": 7, "environment": "prod", "refusal": "full moon", "colour": "red"}"#);
        assert_eq!(later.refusal, Some(ReviewRefusal::Unknown));
    }
}
