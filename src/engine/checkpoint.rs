//! What a job must remember to go on after its worker was lost.
//!
//! A checkpoint is written after every step, so that a job can go on after any of them. Values that came from a named secret are *sealed*: the file holds the
//! secret's name in their place, and `resume` opens them with the secrets it is given. A value that holds text masked
//! at run time (`::add-mask::`) has no name to be sealed with, so the job is marked as not resumable, with the reason,
//! rather than writing the text.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::model::Conclusion;

/// How a job stands between two steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// How many steps of the file have ended.
    pub done: usize,
    /// `failure` or `cancelled` once the job is; steps with `always()` may still be ahead.
    pub status: Status,
    /// What `GITHUB_ENV` and the job set so far.
    pub env: IndexMap<String, String>,
    /// What `GITHUB_PATH` added, the last one first.
    pub path: Vec<String>,
    /// The `steps` context.
    pub steps: IndexMap<String, StepResult>,
    /// What phases of actions left for later ones, by step.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub states: IndexMap<String, IndexMap<String, String>>,
    /// Where the last step that failed ran, for a shell in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedStep>,
    /// Names the step, and why, when the job cannot go on from here but only from its first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_resumable: Option<String>,
}

/// The process of a step that failed: what it had besides the environment of its place, whose paths these are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FailedStep {
    /// Its own environment.
    pub env: IndexMap<String, String>,
    /// Its working directory.
    pub cwd: String,
}

impl FailedStep {
    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        self.env.values_mut().chain([&mut self.cwd])
    }

    /// Whether a secret must be given before it can be opened.
    #[must_use]
    pub fn needs_secrets(&self) -> bool {
        self.env.values().chain([&self.cwd]).any(|text| text.contains(MARK))
    }

    /// The copy that was sealed with its checkpoint, opened. A secret that is not given is left out.
    #[must_use]
    pub fn opened(mut self, secrets: &IndexMap<String, String>) -> Self {
        for text in self.texts() {
            for (name, secret) in secrets {
                *text = text.replace(&format!("{MARK}{name}{MARK}"), secret);
            }
        }
        self
    }
}

/// What `job.status` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No step failed.
    #[default]
    Success,
    /// A step failed.
    Failure,
    /// The job was cancelled.
    Cancelled,
}

impl Status {
    /// GitHub's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }

    /// Takes a step's result in: only a failure counts, and `cancelled` stays.
    pub fn merge(&mut self, step: Conclusion) {
        if *self == Self::Success && step == Conclusion::Failure {
            *self = Self::Failure;
        }
    }
}

/// An entry of the `steps` context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// Its outputs.
    pub outputs: IndexMap<String, String>,
    /// Before `continue-on-error`.
    pub outcome: Conclusion,
    /// After it.
    pub conclusion: Conclusion,
}

/// Stands around a secret's name in a sealed value. A control character no environment value of a sane tool holds; one
/// that does is kept from being opened by the marks not matching a known name.
const MARK: char = '\u{1}';

impl Checkpoint {
    /// A copy fit to be written: named secrets sealed. `holds_secret` tells what the masker would still find.
    #[must_use]
    pub fn sealed(&self, secrets: &IndexMap<String, String>, holds_secret: &dyn Fn(&str) -> bool) -> Self {
        let mut copy = self.clone();
        let mut unsealable = None;
        copy.for_each_text(&mut |place, text| {
            if !holds_secret(text) {
                return;
            }
            for (name, secret) in secrets.iter().filter(|(_, secret)| !secret.trim().is_empty()) {
                *text = text.replace(secret.as_str(), &format!("{MARK}{name}{MARK}"));
            }
            if holds_secret(text) {
                text.clear();
                unsealable = Some(format!("{place} holds a value that was masked while the job ran"));
            }
        });
        copy.not_resumable = copy.not_resumable.or(unsealable);
        // For a shell alone: what cannot be sealed is left out, and nothing else depends on it.
        for text in copy.failed.iter_mut().flat_map(FailedStep::texts) {
            if holds_secret(text) {
                for (name, secret) in secrets.iter().filter(|(_, secret)| !secret.trim().is_empty()) {
                    *text = text.replace(secret.as_str(), &format!("{MARK}{name}{MARK}"));
                }
                if holds_secret(text) {
                    text.clear();
                }
            }
        }
        copy
    }

    /// The copy that [`Self::sealed`] made, opened with the secrets at hand.
    ///
    /// # Errors
    /// The name of a secret that is needed and not given, or why the job cannot go on.
    pub fn opened(mut self, secrets: &IndexMap<String, String>) -> Result<Self, String> {
        if let Some(reason) = self.not_resumable {
            return Err(reason);
        }
        let mut missing = None;
        self.for_each_text(&mut |place, text| {
            if !text.contains(MARK) {
                return;
            }
            for (name, secret) in secrets {
                *text = text.replace(&format!("{MARK}{name}{MARK}"), secret);
            }
            if text.contains(MARK) {
                missing = Some(format!("{place} needs a secret that was not given"));
            }
        });
        missing.map_or(Ok(self), Err)
    }

    fn for_each_text(&mut self, act: &mut dyn FnMut(&str, &mut String)) {
        for (name, value) in &mut self.env {
            act(&format!("environment variable {name}"), value);
        }
        for value in &mut self.path {
            act("PATH", value);
        }
        for (step, state) in &mut self.states {
            for (name, value) in state {
                act(&format!("state {name} of step {step}"), value);
            }
        }
        for (id, step) in &mut self.steps {
            for (name, value) in &mut step.outputs {
                act(&format!("output {name} of step {id}"), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(value: &str) -> Checkpoint {
        Checkpoint { env: [("TOKEN".to_owned(), value.to_owned())].into(), ..Checkpoint::default() }
    }

    #[test]
    fn a_named_secret_is_sealed_and_opened_again() {
        let secrets: IndexMap<String, String> = [("KEY".to_owned(), "hunter2".to_owned())].into();
        let written = checkpoint("Bearer hunter2").sealed(&secrets, &|text| text.contains("hunter2"));
        assert!(!serde_json::to_string(&written).expect("serialises").contains("hunter2"));
        assert_eq!(written.opened(&secrets), Ok(checkpoint("Bearer hunter2")));
    }

    #[test]
    fn a_value_masked_at_run_time_is_not_written_and_the_job_says_so() {
        let written = checkpoint("found-out").sealed(&IndexMap::new(), &|text| text.contains("found-out"));
        assert_eq!(written.env["TOKEN"], "");
        let error = written.opened(&IndexMap::new()).expect_err("cannot go on");
        assert!(error.contains("TOKEN"), "{error}");
    }

    #[test]
    fn a_missing_secret_is_named_by_its_place() {
        let secrets: IndexMap<String, String> = [("KEY".to_owned(), "hunter2".to_owned())].into();
        let written = checkpoint("hunter2").sealed(&secrets, &|text| text.contains("hunter2"));
        assert!(written.opened(&IndexMap::new()).expect_err("needs KEY").contains("TOKEN"));
    }
}
