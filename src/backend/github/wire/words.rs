//! The words of states, and their mapping to the model.
//!
//! Unknown words are kept and shown.

use crate::model::{Conclusion, Level};

/// Defines an enum of words.
macro_rules! words {
    ($(#[$about:meta])* pub enum $name:ident { $($(#[$of_word:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
        #[serde(from = "String")]
        pub enum $name {
            $($(#[$of_word])* $variant,)*
            /// A word unknown to this version.
            Other(String),
        }

        impl $name {
            /// Returns the word as the server wrote it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl super::Field for $name {}

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)*
                    _ => Self::Other(word),
                }
            }
        }
    };
}

words! {
    /// State of a run, job, step or check run.
    pub enum Status {
        /// Waits for a runner.
        Queued = "queued",
        /// Requested, but not queued yet.
        Requested = "requested",
        /// Waits for a concurrency group.
        Pending = "pending",
        /// Waits for the protection rules of an environment.
        Waiting = "waiting",
        /// In progress.
        InProgress = "in_progress",
        /// Ended.
        Completed = "completed",
    }
}

words! {
    /// How a run, job, step or check run ended.
    pub enum Ending {
        /// Succeeded.
        Success = "success",
        /// Failed.
        Failure = "failure",
        /// Cancelled.
        Cancelled = "cancelled",
        /// Skipped, because the condition was false or a needed job failed.
        Skipped = "skipped",
        /// Reached its time limit.
        TimedOut = "timed_out",
        /// Waits for an approval: the run of a fork.
        ActionRequired = "action_required",
        /// Ended without a result.
        Neutral = "neutral",
        /// Marked as stale by the server, because it took too long.
        Stale = "stale",
        /// The workflow file has errors.
        StartupFailure = "startup_failure",
    }
}

words! {
    /// Severity of an annotation.
    pub enum AnnotationLevel {
        /// A notice.
        Notice = "notice",
        /// A warning.
        Warning = "warning",
        /// An error.
        Failure = "failure",
    }
}

words! {
    /// Kind of a protection rule.
    pub enum RuleKind {
        /// A wait timer.
        WaitTimer = "wait_timer",
        /// A review.
        RequiredReviewers = "required_reviewers",
        /// A restriction of branches and tags.
        BranchPolicy = "branch_policy",
    }
}

words! {
    /// State of a deployment, or of a review of one.
    pub enum DeploymentState {
        /// Not started yet.
        Pending = "pending",
        /// Waits for protection rules.
        Waiting = "waiting",
        /// Queued.
        Queued = "queued",
        /// In progress.
        InProgress = "in_progress",
        /// Succeeded.
        Success = "success",
        /// Failed.
        Failure = "failure",
        /// Could not be carried out.
        Error = "error",
        /// Replaced by a later deployment.
        Inactive = "inactive",
        /// Approved.
        Approved = "approved",
        /// Rejected.
        Rejected = "rejected",
    }
}

impl Ending {
    /// Returns the conclusion of the model, and the word itself if the model has no equivalent.
    #[must_use]
    pub fn conclusion(&self) -> (Conclusion, Option<&str>) {
        let known = match self {
            Self::Success => Conclusion::Success,
            Self::Failure => Conclusion::Failure,
            Self::Cancelled => Conclusion::Cancelled,
            Self::Skipped => Conclusion::Skipped,
            Self::TimedOut => Conclusion::TimedOut,
            Self::ActionRequired => Conclusion::ActionRequired,
            Self::Neutral => Conclusion::Neutral,
            Self::Stale => Conclusion::Stale,
            Self::StartupFailure => Conclusion::StartupFailure,
            Self::Other(word) => return (Conclusion::Neutral, Some(word)),
        };
        (known, None)
    }
}

impl AnnotationLevel {
    /// Returns the level of the model. An unknown word counts as a notice.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Failure => Level::Error,
            Self::Warning => Level::Warning,
            Self::Notice | Self::Other(_) => Level::Notice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_conclusion_of_the_model_has_its_word_here() {
        for conclusion in Conclusion::ALL {
            assert_eq!(Ending::from(conclusion.word().to_owned()).conclusion(), (conclusion, None));
        }
        let other = Ending::from("brand_new".to_owned());
        assert_eq!((other.conclusion(), other.as_str()), ((Conclusion::Neutral, Some("brand_new")), "brand_new"));
    }

    #[test]
    fn words_survive() {
        for word in ["queued", "requested", "pending", "waiting", "in_progress", "completed", "brand_new_status"] {
            assert_eq!(Status::from(word.to_owned()).as_str(), word);
        }
        let levels = ["notice", "warning", "failure", "catastrophe"];
        let levels = levels.map(|word| AnnotationLevel::from(word.to_owned()).level());
        assert_eq!(levels, [Level::Notice, Level::Warning, Level::Error, Level::Notice]);
    }
}
