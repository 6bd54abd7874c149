//! Explains why jobs and steps ran, were skipped, or wait.

use serde_json::{Value as Json, json};

use crate::model::legs;
use crate::model::{
    Conclusion, Explanation, Job, JobId, Outcome, PendingReview, Phase, Run, RunId, ServerKind, Step, Timestamp, Wait,
};
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::theme::Hue;

use super::style::Style;
use super::{first_line, waiting};

/// A job or a step, with the result of its condition.
pub struct Decided<'r> {
    job: &'r Job,
    /// The job, and further legs of its matrix that were skipped for the same kind of reason.
    legs: Vec<&'r Job>,
    step: Option<&'r Step>,
    /// The run, and the review that holds back the job; `None` if no review does.
    review: Option<(&'r RunId, &'r PendingReview)>,
}

impl<'r> Decided<'r> {
    fn phase(&self) -> &'r Phase {
        self.step.map_or(&self.job.phase, |step| &step.phase)
    }

    fn reason(&self) -> Option<&'r str> {
        self.step.map_or(&self.job.reason, |step| &step.reason).as_deref()
    }

    fn explanation(&self) -> Option<&'r Explanation> {
        self.step.map_or(&self.job.explanation, |step| &step.explanation).as_ref()
    }

    /// Whether this is the decision about `job`, and a review holds the job back.
    pub fn names_review_of(&self, job: &JobId) -> bool {
        self.review.is_some() && self.job.id == *job
    }

    /// Whether the condition was evaluated, the job or step was skipped without a condition, or a review holds it back.
    pub fn has_explanation(&self) -> bool {
        let skipped = self.phase().conclusion() == Some(Conclusion::Skipped);
        self.explanation().is_some() || self.review.is_some() || (skipped && self.reason().is_some())
    }

    fn as_text(&self, style: Style, now: Timestamp) -> TerminalText {
        let name = self.step.map(|step| text!(" › {} {}", step.number, step.name)).unwrap_or_default();
        let (job, values) = legs::titled(&self.legs).unwrap_or_else(|| (self.job.name.clone(), String::new()));
        let heading = style.bold(text!("{}{}", job, name));
        let skipped = self.phase().conclusion() == Some(Conclusion::Skipped);
        let reason = self.step.map_or_else(|| legs::reason(&self.legs), |step| step.reason.clone());
        let reason = reason.filter(|_| skipped);
        let word = style.word(self.phase());
        let reason = reason.map_or_else(|| text!("{}", word), |reason| text!("{}: {}", word, first_line(&reason)));
        if style.is_linear() {
            return self.sentences((job.as_str(), values.as_str()), &reason, style, now);
        }
        let mut lines = text!("{} {}  {}\n", style.glyph(self.phase()), heading, style.paint(Hue::Dim, reason));
        if let Some((run, review)) = self.review {
            lines.push_line(&text!("    {}", waiting(review, run, style, now)));
        }
        if !values.is_empty() {
            lines.push_line(&style.paint(Hue::Dim, text!("    {}", values)));
        }
        for line in self.explanation().map(Explanation::lines).unwrap_or_default() {
            lines.push_line(&text!("    {}", line));
        }
        lines
    }

    /// Returns the decision for a screen reader: a sentence with the name of the job, what distinguishes its legs, and the
    /// state with its reason, and the lines of the explanation.
    fn sentences(
        &self,
        (job, values): (&str, &str),
        state: &TerminalText,
        style: Style,
        now: Timestamp,
    ) -> TerminalText {
        let step = self.step.map(|step| text!(", step {}, {}", step.number, step.name)).unwrap_or_default();
        let legs = if values.is_empty() { text!("") } else { text!(" ({})", values) };
        let state = match self.review {
            Some((run, review)) => waiting(review, run, style, now),
            None => state.clone(),
        };
        let mut lines = text!("{}{}{}: {}\n", job, legs, step, state);
        if let Some(condition) = self.explanation() {
            lines.push(&explanation(condition, style));
        }
        lines
    }

    /// Returns one JSON object for each leg.
    pub fn documents(&self) -> Vec<Json> {
        self.legs.iter().map(|job| Self { job, legs: vec![job], ..*self }.leg_as_json()).collect()
    }

    fn leg_as_json(&self) -> Json {
        json!({
            "job": self.job.id, "step": self.step.map(|step| step.number),
            "name": self.step.map_or(&self.job.name, |step| &step.name), "status": self.phase().word(),
            "reason": self.reason(), "explanation": self.explanation(),
            "review": self.review.map(|(_, review)| review.document()),
        })
    }
}

/// Returns the decisions about these jobs and their steps. With `step`, returns only those about the step with this
/// number or name. Legs of a matrix that ended without steps and for similar reasons share a decision.
pub fn decided<'r>(run: &'r Run, jobs: impl IntoIterator<Item = &'r Job>, step: Option<&str>) -> Vec<Decided<'r>> {
    let of_job = |job: &'r Job| {
        let is_it = move |found: &&Step| step.is_none_or(|step| found.is_named(step));
        let steps = job.steps.iter().filter(is_it);
        let steps = steps.map(move |step| Decided { job, legs: vec![job], step: Some(step), review: None });
        let review = run.review_of(job).map(|review| (&run.info.id, review));
        step.is_none().then(|| Decided { job, legs: vec![job], step: None, review }).into_iter().chain(steps)
    };
    let of_legs = |legs: Vec<&'r Job>| {
        let is_plain = |job: &&Job| job.steps.is_empty() && job.explanation.is_none();
        if legs.len() > 1 && step.is_none() && legs.iter().all(is_plain) {
            return vec![Decided { job: legs[0], legs, step: None, review: None }];
        }
        legs.into_iter().flat_map(of_job).collect()
    };
    legs::alike(jobs).into_iter().flat_map(of_legs).collect()
}

/// Formats how a condition or an expression was evaluated: as a tree, or for a screen reader with a sentence about the whole,
/// and then one about each of its operands.
pub fn explanation(explanation: &Explanation, style: Style) -> TerminalText {
    let mut lines = TerminalText::default();
    if style.is_linear() {
        push_operands(&mut lines, explanation);
    } else {
        explanation.lines().iter().for_each(|line| lines.push_line(&style.spelled(text!("{}", line))));
    }
    lines
}

fn push_operands(lines: &mut TerminalText, explanation: &Explanation) {
    let outcome = match &explanation.outcome {
        Outcome::Value(value) if value.is_empty() => "is empty".to_owned(),
        Outcome::Value(value) => format!("is {value}"),
        Outcome::NotNeeded => "was not needed".to_owned(),
        Outcome::Failed(error) => format!("failed: {error}"),
    };
    lines.push_line(&text!("{} {}", explanation.text, outcome));
    explanation.operands.iter().for_each(|operand| push_operands(lines, operand));
}

/// Formats decisions for people.
pub fn page(decided: &[Decided], style: Style, now: Timestamp) -> TerminalText {
    let mut page = TerminalText::default();
    for (at, one) in decided.iter().enumerate() {
        if at > 0 && !style.is_linear() {
            page.push(&text!("\n"));
        }
        page.push(&one.as_text(style, now));
    }
    page
}

/// Formats what jobs wait for, with the command that ends each wait. `run` is the run as commands name it, and `server`
/// the kind of its server; `None` for a run on this machine.
pub fn waits(waits: &[Wait], run: &str, server: Option<ServerKind>, style: Style) -> TerminalText {
    let mut page = TerminalText::default();
    for wait in waits {
        let between = if style.is_linear() { ": " } else { "  " };
        page.push_line(&text!("{}{}{}", style.bold(&wait.name), between, wait.cause.to_string()));
        if let Some(remedy) = wait.cause.remedy(run, server) {
            let before = if style.is_linear() { "next: " } else { "    " };
            page.push_line(&text!("{}{}", before, style.paint(Hue::Dim, remedy)));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing;
    use crate::report::testing::Story;

    #[test]
    fn a_screen_reader_gets_a_condition_without_box_drawing() {
        let operand = |text: &str, outcome| Explanation { text: text.to_owned(), outcome, operands: Vec::new() };
        let operands = vec![
            operand("github.ref", Outcome::Value("'refs/heads/dev'".to_owned())),
            operand("inputs.force", Outcome::NotNeeded),
        ];
        let outcome = Outcome::Value("false".to_owned());
        let whole = Explanation { text: "github.ref == 'x' && inputs.force".to_owned(), outcome, operands };
        assert_eq!(
            explanation(&whole, Style::linear()).as_str(),
            "github.ref == 'x' && inputs.force is false\ngithub.ref is 'refs/heads/dev'\ninputs.force was not needed\n"
        );
    }

    #[test]
    fn a_screen_reader_gets_one_sentence_about_a_job_that_waits() {
        let run = Story::of(testing::two_reviews(Timestamp(0))).run();
        let mut decided = decided(&run, run.jobs.values(), None);
        decided.retain(Decided::has_explanation);
        let page = page(&decided, Style::linear(), Timestamp(60_000));
        let lines: Vec<&str> = page.as_str().lines().collect();
        let asks =
            "Deploy to staging: needs review of staging by maria or olu; approve with `cuelight approve staging ";
        assert!(lines[0].starts_with(asks), "{lines:#?}");
        assert_eq!(lines.len(), 3, "{lines:#?}");
    }
}
