//! State of a job between two steps, from which it can resume after its worker was lost.
//!
//! A checkpoint is written after every step that leaves no background step running, and before a step is held.
//! Values that came from a named secret are *sealed*: the file holds the secret's name in place of its value, and
//! `resume` puts the value back. A value masked at run time (`::add-mask::`) has no name, so it is not written at all;
//! the job is marked as not resumable, with the reason.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::model::Conclusion;

/// Why a job cannot resume from a checkpoint, as a message. If a secret is missing, the message names the variable,
/// output or state that needs it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotResumable(String);

/// State of a job between two steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Number of the job's steps that have ended.
    pub done: usize,
    /// Status of the job after these steps. Steps with `if: always()` may still follow a failure or a cancellation.
    pub status: Status,
    /// `env` of the workflow and the job, and variables that steps wrote to `GITHUB_ENV`.
    pub env: IndexMap<String, String>,
    /// Folders written to `GITHUB_PATH`, newest first.
    pub path: Vec<String>,
    /// The `steps` context.
    pub steps: IndexMap<String, StepResult>,
    /// State that phases of an action saved for later phases (`GITHUB_STATE`), by step.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub states: IndexMap<String, IndexMap<String, String>>,
    /// Dependency folders of earlier runs that were brought into the workspace, relative to it. `hashFiles` leaves them
    /// out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warm_folders: Vec<PathBuf>,
    /// Environment and working directory of the last failed step, for `cuelight shell`. `None` if no step
    /// failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedStep>,
    /// Why the job cannot resume from here and can only start over; `None` if it can resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_resumable: Option<String>,
}

/// Environment and working directory of a failed step; those of its job if the step had no process in the job's sandbox.
/// Paths are paths inside the job's sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FailedStep {
    /// Variables of the step that a shell in the sandbox does not have by itself.
    pub env: IndexMap<String, String>,
    /// Working directory.
    pub cwd: String,
    /// Text of its `run:` script. `None` for a step that has no script, or has not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
}

impl FailedStep {
    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        self.env.values_mut().chain([&mut self.cwd]).chain(&mut self.script)
    }

    /// Returns the script with `***` in place of its secrets, as in a log. `None` if nothing of it may be shown.
    #[must_use]
    pub fn shown_script(&self) -> Option<String> {
        let script = self.script.as_deref()?.trim_end();
        // Every second part is the name of a secret.
        let parts = script.split(MARK).enumerate().map(|(at, part)| if at % 2 == 0 { part } else { "***" });
        Some(parts.collect::<String>()).filter(|script| !script.is_empty())
    }

    /// Returns a copy for `cuelight shell` that is kept in memory: only its script is sealed, because it is shown.
    #[must_use]
    pub fn with_sealed_script(
        mut self,
        secrets: &IndexMap<String, String>,
        holds_secret: &dyn Fn(&str) -> bool,
    ) -> Self {
        if let Some(script) = &mut self.script {
            // A script that cannot be sealed is cleared, and not shown.
            let _ = seal(script, secrets, holds_secret);
        }
        self
    }

    /// Whether the environment or the working directory contains sealed secrets.
    #[must_use]
    pub fn needs_secrets(&self) -> bool {
        self.env.values().chain([&self.cwd]).any(|text| text.contains(MARK))
    }

    /// Returns a copy with the sealed secrets put back. A variable with a secret that is not in `secrets` is dropped,
    /// and such a working directory is cleared.
    #[must_use]
    pub fn opened(mut self, secrets: &IndexMap<String, String>) -> Self {
        self.env.retain(|_, value| open(value, secrets));
        if !open(&mut self.cwd, secrets) {
            self.cwd.clear();
        }
        self
    }
}

/// Status of a job, as in `job.status`.
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
    /// Returns GitHub's word for the status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }

    /// Updates the status after a step: a failed step changes `success` to `failure`. Other results change nothing.
    pub fn merge(&mut self, step: Conclusion) {
        if *self == Self::Success && step == Conclusion::Failure {
            *self = Self::Failure;
        }
    }
}

/// An entry of the `steps` context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// Outputs of the step.
    pub outputs: IndexMap<String, String>,
    /// Result before `continue-on-error`.
    pub outcome: Conclusion,
    /// Result after `continue-on-error`.
    pub conclusion: Conclusion,
}

/// Surrounds the name of a secret in a sealed value. A value that already contains this character is not stored:
/// otherwise a step could write the name of a secret that was not passed to it, and get the secret on `resume`.
const MARK: char = '\u{1}';

/// What a text contains that has to be cleared because its secret has no name.
const MASKED: &str = "a value that was masked while the job ran";

/// Puts the secrets back into a sealed text. Returns whether all of them are in `secrets`.
fn open(text: &mut String, secrets: &IndexMap<String, String>) -> bool {
    if !text.contains(MARK) {
        return true;
    }
    for (name, secret) in secrets {
        *text = text.replace(&format!("{MARK}{name}{MARK}"), secret);
    }
    !text.contains(MARK)
}

/// Replaces the secrets in a text with their names, each between two [`MARK`]s. A text that cannot be sealed is
/// cleared.
///
/// # Errors
/// The text cannot be sealed. The error names the content that prevents it, for a message of the form "… contains …".
fn seal(
    text: &mut String,
    secrets: &IndexMap<String, String>,
    holds_secret: &dyn Fn(&str) -> bool,
) -> Result<(), &'static str> {
    let fault = if text.contains(MARK) {
        "the control character U+0001"
    } else if holds_secret(text) {
        for (name, secret) in secrets.iter().filter(|(_, secret)| !secret.trim().is_empty()) {
            *text = text.replace(secret.as_str(), &format!("{MARK}{name}{MARK}"));
        }
        if !holds_secret(text) {
            return Ok(());
        }
        MASKED
    } else {
        return Ok(());
    };
    text.clear();
    Err(fault)
}

/// Clears a text that contains a secret.
///
/// # Errors
/// The text was cleared. The error names what it contained, as in [`seal`].
fn scrub(text: &mut String, holds_secret: &dyn Fn(&str) -> bool) -> Result<(), &'static str> {
    if !holds_secret(text) {
        return Ok(());
    }
    text.clear();
    Err(MASKED)
}

impl Checkpoint {
    /// Returns a copy that is safe to write: named secrets are sealed. `holds_secret` reports whether the masker still
    /// finds a secret in a text.
    #[must_use]
    pub fn sealed(&self, secrets: &IndexMap<String, String>, holds_secret: &dyn Fn(&str) -> bool) -> Self {
        self.cleared(holds_secret, &|text| seal(text, secrets, holds_secret))
    }

    /// Returns a copy of a sealed checkpoint without the texts that have become secret since it was written. Other
    /// texts stay sealed.
    #[must_use]
    pub fn scrubbed(&self, holds_secret: &dyn Fn(&str) -> bool) -> Self {
        self.cleared(holds_secret, &|text| scrub(text, holds_secret))
    }

    /// Returns a copy without the names that contain a secret, and with all texts passed through `clear`. The copy is
    /// not resumable if a text that the job needs was cleared.
    fn cleared(
        &self,
        holds_secret: &dyn Fn(&str) -> bool,
        clear: &dyn Fn(&mut String) -> Result<(), &'static str>,
    ) -> Self {
        let mut copy = self.clone();
        let mut unsealable = copy.drop_names(holds_secret).then(|| "a name contains a secret".to_owned());
        copy.for_each_text(&mut |place, text| {
            if let Err(fault) = clear(text) {
                unsealable = Some(format!("{place} contains {fault}"));
            }
        });
        copy.not_resumable = copy.not_resumable.or(unsealable);
        // The failed step is only for `cuelight shell`, so a value that cannot be sealed is cleared and the job can
        // still resume.
        for text in copy.failed.iter_mut().flat_map(FailedStep::texts) {
            let _ = clear(text);
        }
        copy
    }

    /// Reverses [`Self::sealed`], given the secrets.
    ///
    /// # Errors
    /// The job cannot resume from this checkpoint, or it needs a secret that is not in `secrets`.
    pub fn opened(mut self, secrets: &IndexMap<String, String>) -> Result<Self, NotResumable> {
        if let Some(reason) = self.not_resumable {
            return Err(NotResumable(reason));
        }
        let mut missing = None;
        self.for_each_text(&mut |place, text| {
            if !open(text, secrets) {
                missing = Some(format!("{place} needs a secret that was not given"));
            }
        });
        missing.map_or(Ok(self), |reason| Err(NotResumable(reason)))
    }

    /// Drops the variables, states and outputs whose names contain a secret. Returns whether anything that the job
    /// needs to resume was dropped.
    fn drop_names(&mut self, holds_secret: &dyn Fn(&str) -> bool) -> bool {
        let mut dropped = false;
        let mut drop_from = |texts: &mut IndexMap<String, String>| {
            let before = texts.len();
            texts.retain(|name, _| !holds_secret(name));
            dropped |= texts.len() < before;
        };
        drop_from(&mut self.env);
        self.states.values_mut().for_each(&mut drop_from);
        self.steps.values_mut().for_each(|step| drop_from(&mut step.outputs));
        for texts in self.failed.iter_mut().map(|failed| &mut failed.env) {
            texts.retain(|name, _| !holds_secret(name));
        }
        dropped
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
    fn a_name_that_a_step_wrote_into_a_value_is_not_opened() {
        let secrets: IndexMap<String, String> = [("KEY".to_owned(), "hunter2".to_owned())].into();
        let forged = checkpoint("\u{1}KEY\u{1}").sealed(&secrets, &|text| text.contains("hunter2"));
        assert_eq!(forged.env["TOKEN"], "");
        let error = forged.opened(&secrets).expect_err("the job does not continue in the middle");
        assert_eq!(error.to_string(), "environment variable TOKEN contains the control character U+0001");
    }

    #[test]
    fn a_named_secret_is_sealed_and_opened() {
        let secrets: IndexMap<String, String> = [("KEY".to_owned(), "hunter2".to_owned())].into();
        let written = checkpoint("Bearer hunter2").sealed(&secrets, &|text| text.contains("hunter2"));
        assert!(!serde_json::to_string(&written).expect("serialises").contains("hunter2"));
        assert_eq!(written.opened(&secrets), Ok(checkpoint("Bearer hunter2")));
    }

    #[test]
    fn a_value_masked_at_run_time_is_not_written_and_the_job_cannot_resume() {
        let written = checkpoint("found-out").sealed(&IndexMap::new(), &|text| text.contains("found-out"));
        assert_eq!(written.env["TOKEN"], "");
        let error = written.opened(&IndexMap::new()).expect_err("cannot go on");
        assert!(error.to_string().contains("TOKEN"), "{error}");
    }

    #[test]
    fn a_name_that_holds_a_secret_is_not_written_either() {
        let named = |name: &str| -> IndexMap<String, String> { [(name.to_owned(), "1".to_owned())].into() };
        let result = |outputs| StepResult { outputs, outcome: Conclusion::Success, conclusion: Conclusion::Success };
        let failed = FailedStep { env: named("found-out"), cwd: "/".to_owned(), script: None };
        for checkpoint in [
            Checkpoint { env: named("found-out"), failed: Some(failed), ..Checkpoint::default() },
            Checkpoint { steps: [("a".to_owned(), result(named("x-found-out")))].into(), ..Checkpoint::default() },
            Checkpoint { states: [("a".to_owned(), named("found-out"))].into(), ..Checkpoint::default() },
        ] {
            let written = checkpoint.sealed(&IndexMap::new(), &|text| text.contains("found-out"));
            assert!(!serde_json::to_string(&written).expect("serialises").contains("found-out"));
            assert_eq!(written.opened(&IndexMap::new()), Err(NotResumable("a name contains a secret".to_owned())));
        }
    }

    #[test]
    fn a_failed_step_has_no_variables_whose_secrets_are_missing() {
        let secrets: IndexMap<String, String> =
            [("KEY", "hunter2"), ("OTHER", "hunter3")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let env = [("A", "plain"), ("B", "x hunter2"), ("C", "hunter2 hunter3")];
        let env: IndexMap<_, _> = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let failed = FailedStep { env: env.clone(), cwd: "/hunter3".to_owned(), script: None };
        let checkpoint = Checkpoint { failed: Some(failed.clone()), ..Checkpoint::default() };
        let written = checkpoint.sealed(&secrets, &|text| text.contains("hunter")).failed.expect("kept");
        assert_eq!(written.clone().opened(&secrets), failed);
        let some = secrets.iter().take(1).map(|(name, value)| (name.clone(), value.clone())).collect();
        let known = env.into_iter().take(2).collect();
        assert_eq!(written.opened(&some), FailedStep { env: known, cwd: String::new(), script: None });
    }

    #[test]
    fn the_script_of_a_failed_step_is_shown_without_its_secrets() {
        let secrets: IndexMap<String, String> = [("KEY".to_owned(), "hunter2".to_owned())].into();
        let shown = |script: &str| {
            let failed = FailedStep { script: Some(script.to_owned()), ..FailedStep::default() };
            let checkpoint = Checkpoint { failed: Some(failed), ..Checkpoint::default() };
            let written = checkpoint.sealed(&secrets, &|text| text.contains("hunter"));
            assert!(!serde_json::to_string(&written).expect("serialises").contains("hunter"));
            let failed = written.failed.expect("kept");
            assert!(!failed.needs_secrets(), "no secret is asked for only to show the script");
            failed.opened(&secrets).shown_script()
        };
        assert_eq!(shown("make test\n").as_deref(), Some("make test"));
        assert_eq!(shown("curl -u a:hunter2 x\nhunter2 y\n").as_deref(), Some("curl -u a:*** x\n*** y"));
        assert_eq!(shown("masked at run time: hunter3"), None);
    }

    #[test]
    fn a_missing_secret_is_named_by_its_place() {
        let secrets: IndexMap<String, String> = [("KEY".to_owned(), "hunter2".to_owned())].into();
        let written = checkpoint("hunter2").sealed(&secrets, &|text| text.contains("hunter2"));
        assert!(written.opened(&IndexMap::new()).expect_err("needs KEY").to_string().contains("TOKEN"));
    }
}
