//! Why a deployment failed: the cause, the line that shows it, and what to do next.

use std::io;

use serde_json::{Value, json};

use crate::model::deployment::{Diagnosis, diagnose};
use crate::model::{Job, LineRange, Run, Step};
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::theme::{Colours, Hue};

use super::Logs;
use super::ending::{failed_step, is_in_end};
use super::next_steps::is_failed;
use super::style::Style;

/// Number of lines at the end of a failed step's log that are read.
const LAST_LINES: u64 = 60;

/// Why a deployment failed.
pub struct Failed {
    /// The step that failed; `None` if the deployment failed before its first step.
    step: Option<String>,
    diagnosis: Diagnosis,
    next: String,
}

/// Reads why a deployment failed. `None` if the run is not a deployment or did not fail, or if no rule recognises the
/// cause.
///
/// # Errors
/// The logs cannot be read.
pub fn of(run: &Run, logs: &dyn Logs) -> io::Result<Option<Failed>> {
    let failed = run.jobs.values().find(|job| is_failed(&job.phase));
    let Some(job) = failed.filter(|_| run.info.is_deployment()) else { return Ok(None) };
    let step = failed_step(job);
    let reason = step.and_then(|step| step.reason.as_ref()).or(job.reason.as_ref()).cloned().unwrap_or_default();
    let log = step.map(|step| last_lines(run, job, step, logs)).transpose()?.unwrap_or_default();
    let Some(diagnosis) = diagnose(&reason, &log) else { return Ok(None) };
    let next = diagnosis.next(job.id.as_str(), run.info.id.as_str());
    Ok(Some(Failed { step: step.map(|step| step.name.clone()), diagnosis, next }))
}

fn last_lines(run: &Run, job: &Job, step: &Step, logs: &dyn Logs) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    let range = LineRange { first: step.lines.saturating_sub(LAST_LINES), count: LAST_LINES };
    logs.lines(run, &job.id, step.number, range, &mut |line| {
        lines.push(TerminalText::log_line(line, Colours::None).as_str().to_owned());
        Ok(())
    })?;
    Ok(lines)
}

impl Failed {
    /// Returns the cause, its evidence and the next command as lines.
    #[must_use]
    pub fn text(&self, style: Style) -> TerminalText {
        self.lines(true, style)
    }

    /// Whether the text has this line of the log, or of a reason.
    pub(super) fn shows(&self, line: &str) -> bool {
        self.diagnosis.evidence.contains(line.trim())
    }

    /// Returns the same, without evidence that the last line of the run repeats.
    pub(super) fn before_end(&self, run: &Run, style: Style) -> TerminalText {
        self.lines(!is_in_end(run, &self.diagnosis.evidence), style)
    }

    fn lines(&self, has_evidence: bool, style: Style) -> TerminalText {
        let of = self.step.as_ref().map(|step| text!("{}: ", step)).unwrap_or_default();
        let mut lines = TerminalText::default();
        lines.push_line(&text!("likely cause: {}{}", of, style.bold(self.diagnosis.sentence())));
        let indentation = if style.is_linear() { "" } else { "    " };
        if has_evidence {
            lines.push_line(&text!("{}{}", indentation, style.paint(Hue::Dim, &self.diagnosis.evidence)));
        }
        lines.push_line(&text!("{}next: {}", indentation, self.next));
        style.spelled(lines)
    }

    /// Returns the cause, its evidence and the next command as a JSON document.
    #[must_use]
    pub fn document(&self) -> Value {
        json!({"failure": {
            "step": self.step, "cause": self.diagnosis.cause, "sentence": self.diagnosis.sentence(),
            "evidence": self.diagnosis.evidence, "subject": self.diagnosis.subject, "next": self.next,
        }})
    }
}
