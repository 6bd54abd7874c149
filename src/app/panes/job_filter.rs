//! The filter of the list of jobs: words, and the condition `status:`.

use crate::model::{Job, StepKind};
use crate::ui::text;

use super::status_filter::has_status;

/// Key of the condition, as it is typed.
const STATUS: &str = "status:";

/// A filter that the user typed.
pub(super) struct JobFilter {
    /// Values of the conditions, in lower case.
    statuses: Vec<String>,
    /// The other words.
    words: String,
}

impl JobFilter {
    /// Parses the text of a filter.
    pub(super) fn parse(text: &str) -> Self {
        let (statuses, words): (Vec<_>, Vec<_>) = text.split_whitespace().partition(|word| word.starts_with(STATUS));
        let value = |word: &str| word[STATUS.len()..].to_lowercase();
        Self { statuses: statuses.into_iter().map(value).collect(), words: words.join(" ") }
    }

    /// Whether a job meets all conditions, and one of the texts of its row or its steps has each word. `remarks` returns
    /// the texts of these rows that are not names.
    pub(super) fn matches(&self, job: &Job, remarks: impl FnOnce() -> Vec<String>) -> bool {
        if !self.statuses.iter().all(|value| has_status(&job.phase, value)) {
            return false;
        }
        if self.words.is_empty() {
            return true;
        }
        let environment = job.environment.as_deref().unwrap_or_default();
        let remarks = remarks();
        let own = [job.name.as_str(), &job.key, job.phase.word(), environment];
        // Every job has the runner's own steps.
        let steps = job.steps.iter().filter(|step| step.kind != StepKind::Job).map(|step| step.name.as_str());
        let texts: Vec<&str> = own.into_iter().chain(steps).chain(remarks.iter().map(String::as_str)).collect();
        text::holds(&self.words, &texts)
    }
}
