//! A run in sentences for a screen reader: one line for each change, without glyphs, columns, colours and the output of
//! steps.

use std::io;

use crate::model::{
    Conclusion, Event, Gate, Job, JobId, Phase, Record, Run, StepKind, StepNumber, Summary, first_names,
};
use crate::report::style::{Out, Style};
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::text::counted;

use super::ending::{causes, first_line, is_in_end, named, took};
use super::lines::MAX_NAMES;
use super::{Lines, Logs, Printer, diagnosis, held};

/// Prints a run as sentences.
pub struct Linear {
    style: Style,
    /// Prints changes that are the same in both forms.
    lines: Lines,
    /// Whether each sentence names the run, because those of several runs are printed.
    names_run: bool,
    /// Number of the attempt whose start was printed last; 0 before the first.
    announced: u32,
}

impl Default for Linear {
    fn default() -> Self {
        let style = Style::linear();
        Self { style, lines: Lines::new(style), names_run: false, announced: 0 }
    }
}

impl Linear {
    /// Returns a printer for one of several runs.
    pub fn of_several() -> Self {
        Self { names_run: true, ..Self::default() }
    }

    /// Returns the sentence about the state of a run.
    #[must_use]
    pub fn state(run: &Summary) -> TerminalText {
        let style = Style::linear();
        let title = run.info.numbered().unwrap_or_else(|| run.name.clone());
        let branch = run.info.branch();
        let branch = if branch.is_empty() { text!("") } else { text!(" on {}", branch) };
        let time = took(run.started, run.finished);
        let why = if let Phase::Waiting(gate) = &run.phase { text!(", {}", gate.reason()) } else { text!("") };
        let word = style.word(&run.phase);
        let rest = text!("{}{}{}, run {}", word, time, why, run.info.id);
        style.spelled(text!("{}{}: {}", title, branch, rest))
    }

    /// Prints the states of the jobs of a run, then what [`Printer::end`] prints.
    ///
    /// # Errors
    /// The output cannot be written, or a log cannot be read.
    pub fn whole(&mut self, run: &Run, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        run.jobs.values().try_for_each(|job| self.job(run, job, out))?;
        self.end(run, logs, out)
    }

    /// Returns the names of what a sentence is about.
    fn of(&self, run: &Run, job: Option<&JobId>) -> TerminalText {
        match job.map(|job| run.job_name(job)) {
            Some(job) if self.names_run => text!("{}, {}", run.title(), job),
            Some(job) => text!("{}", job),
            None => text!("{}", run.title()),
        }
    }

    fn say(&self, run: &Run, job: Option<&JobId>, what: &TerminalText, out: &mut Out<'_>) -> io::Result<()> {
        out.line(self.style.spelled(text!("{}: {}", self.of(run, job), what)))
    }

    fn end_of_step(&self, run: &Run, id: &JobId, number: StepNumber, out: &mut Out<'_>) -> io::Result<()> {
        let Some(step) = run.step(id, number) else { return Ok(()) };
        if step.outcome.is_none_or(|outcome| !outcome.is_bad()) {
            return Ok(());
        }
        let allowed = if step.phase.conclusion().is_some_and(Conclusion::is_bad) { "" } else { ", allowed" };
        let reason = step.reason.as_deref().map(|reason| text!(", {}", first_line(reason))).unwrap_or_default();
        let word = self.style.word(&step.outcome.map_or(step.phase.clone(), Phase::Done));
        self.say(run, Some(id), &text!("step {}, {}: {}{}{}", number, step.name, word, allowed, reason), out)
    }

    fn job(&self, run: &Run, job: &Job, out: &mut Out<'_>) -> io::Result<()> {
        let allowed = if job.allowed_failure { ", allowed" } else { "" };
        let time = took(job.started, job.finished);
        let is_good = job.phase.conclusion() == Some(Conclusion::Success);
        // The reason of a deployment stands in the last sentence.
        let reason = job
            .why()
            .filter(|_| !is_good && !run.info.is_deployment())
            .map(|reason| text!(", {}", first_line(&reason)));
        let word = self.style.word(&job.phase);
        self.say(run, Some(&job.id), &text!("{}{}{}{}", word, allowed, time, reason.unwrap_or_default()), out)
    }
}

impl Printer for Linear {
    fn record(&mut self, run: &Run, record: &Record, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        match &record.event {
            Event::RunStarted { attempt, .. } if *attempt == self.announced => Ok(()),
            Event::RunStarted { attempt, .. } => {
                self.announced = *attempt;
                let attempt = run.named_attempt().map(|attempt| text!(", {}", attempt)).unwrap_or_default();
                self.say(run, None, &text!("started{}, run {}", attempt, run.info.id), out)
            }
            Event::RunWaiting { gate, .. } => self.say(run, None, &text!("waiting, {}", gate.reason()), out),
            // The end of a job is printed with the jobs that can start.
            Event::JobWaiting { gate: Gate::Needs, .. } => Ok(()),
            Event::JobWaiting { job, gate } => self.say(run, Some(job), &text!("waiting, {}", gate.reason()), out),
            Event::JobStarted { job, .. } => self.say(run, Some(job), &text!("started"), out),
            Event::StepStarted { job, step: number, .. } => {
                match run.step(job, *number).filter(|step| step.kind != StepKind::Job) {
                    Some(step) => self.say(run, Some(job), &text!("step {}, {}", number, step.name), out),
                    None => Ok(()),
                }
            }
            Event::StepHeld { job, step: number, .. } => match run.step(job, *number) {
                Some(step) => {
                    let mut said = TerminalText::default();
                    for line in held::waiting(&run.info.id, job, step, self.style) {
                        let before = if said.is_empty() { "" } else { ", " };
                        said.push(&text!("{}{}", before, line));
                    }
                    self.say(run, Some(job), &said, out)
                }
                None => Ok(()),
            },
            Event::StepFinished { job, step, .. } => self.end_of_step(run, job, *step, out),
            Event::JobFinished { job, .. } => match run.jobs.get(job) {
                Some(job) => self.job(run, job, out),
                None => Ok(()),
            },
            Event::ServiceChanged { job, service } => {
                let word = self.style.service(service.state);
                self.say(run, Some(job), &text!("service {}, {}", service.name, word), out)
            }
            Event::ReviewsPending { .. } | Event::Reviewed { .. } | Event::Ordered { .. } => {
                self.lines.record(run, record, logs, out)
            }
            _ => Ok(()),
        }
    }

    fn waiting(&mut self, run: &Run, jobs: &[&JobId], gate: &Gate, out: &mut Out<'_>) -> io::Result<()> {
        if *gate == Gate::Needs {
            return Ok(());
        }
        let count = counted(jobs.len() as u64, "job");
        let names = first_names(jobs.iter().map(|job| run.job_name(job)), MAX_NAMES);
        self.say(run, None, &text!("{} waiting, {}: {}", count, gate.reason(), names), out)
    }

    fn end(&mut self, run: &Run, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        for (cause, jobs) in causes(run, logs)? {
            let (title, values) = named(&jobs);
            let line = first_line(&cause.line);
            let place = Some(cause.place.text.as_str()).filter(|place| !line.contains(place)).unwrap_or_default();
            let reason = cause.reason.map(first_line).filter(|reason| !is_in_end(run, reason)).unwrap_or_default();
            let parts = [values.as_str(), reason, line, place];
            let parts = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
            out.line(self.style.spelled(text!("failed: {}, step {}: {}", title, cause.step, parts)))?;
        }
        if let Some(failed) = diagnosis::of(run, logs)? {
            out.print(&self.style.spelled(failed.before_end(run, self.style)))?;
        }
        let time = took(run.started, run.finished);
        let reason = run.why().map(|reason| text!(", {}", first_line(&reason))).unwrap_or_default();
        let word = self.style.word(&run.phase);
        self.say(run, None, &text!("{}{}{}", word, time, reason), out)?;
        if run.phase.conclusion().is_some_and(Conclusion::is_bad) {
            out.line(text!("next: `cuelight logs {} --failed` prints the log of what failed", run.info.id))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::annotation;
    use crate::report::testing::Story;

    #[test]
    fn each_change_is_a_sentence_without_signs() {
        let mut story = Story::new(&["Lint", "Test"]);
        story.step("Lint", 2, "Check", &["a long line"], 0);
        story.finish("Lint", Conclusion::Success);
        story.step("Test", 2, "Run the tests", &["ok", "src/a.c:3: wrong"], 1);
        story.annotate("Test", 2, annotation("src/a.c", 3, "wrong"));
        story.finish("Test", Conclusion::Failure);
        story.end(Conclusion::Failure);
        let text = story.print(&mut Linear::default());
        insta::assert_snapshot!(text);
        assert!(text.is_ascii(), "{text}");
    }
}
