//! A run in sentences for a screen reader: one line for each change, without glyphs, columns, colours and the output of
//! steps.

use std::io;

use crate::model::{
    Conclusion, Event, Gate, Job, JobId, PendingReview, Phase, Record, Run, Step, StepKind, StepNumber, Summary,
    Timestamp,
};
use crate::report::style::{Out, Style};
use crate::store::clock::now;
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::text::counted;

use super::clauses;
use super::ending::{Cause, causes, first_line, is_in_end, named, took};
use super::lines::log_line;
use super::next_steps::{NextStep, next_steps};
use super::reviews::waiting;
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
    /// The pending reviews, as they were printed last.
    reviews: Vec<PendingReview>,
}

impl Default for Linear {
    fn default() -> Self {
        let style = Style::linear();
        Self { style, lines: Lines::new(style), names_run: false, announced: 0, reviews: Vec::new() }
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
        let time = took(run.started, run.finished);
        let state = clauses::of_run(&run.phase, &run.reviews, &time, run.why().as_deref(), style);
        style.spelled(text!("{}: {}, run {}", Self::title(run), state, run.info.id))
    }

    /// Returns the name of a run with its branch: `CI on main`.
    #[must_use]
    pub(super) fn title(run: &Summary) -> TerminalText {
        let title = run.info.numbered().unwrap_or_else(|| run.name.clone());
        let branch = run.info.branch();
        if branch.is_empty() { text!("{}", title) } else { text!("{} on {}", title, branch) }
    }

    /// Prints the states of the jobs of a run, then what [`Printer::end`] prints.
    ///
    /// # Errors
    /// The output cannot be written, or a log cannot be read.
    pub fn whole(&mut self, run: &Run, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        let now = now();
        run.jobs.values().try_for_each(|job| self.say(run, Some(&job.id), &self.state_of(run, job, now), out))?;
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
        out.line(self.style.spelled(text!("{}: {}", self.of(run, job), *what)))
    }

    fn end_of_step(&self, run: &Run, id: &JobId, number: StepNumber, out: &mut Out<'_>) -> io::Result<()> {
        let Some(step) = run.step(id, number) else { return Ok(()) };
        if let (None, Some(Conclusion::Success), Some(kept)) = (step.started, step.outcome, &step.reason) {
            return self.say(run, Some(id), &text!("{}, {}", step_of(run, step), first_line(kept)), out);
        }
        if step.outcome.is_none_or(|outcome| !outcome.is_bad()) {
            return Ok(());
        }
        let allowed = if step.phase.conclusion().is_some_and(Conclusion::is_bad) { "" } else { ", allowed" };
        let word = self.style.word(&step.outcome.map_or(step.phase.clone(), Phase::Done));
        let reason = step.reason.as_deref().map(first_line).filter(|reason| *reason != word);
        let reason = reason.map(|reason| text!(", {}", reason)).unwrap_or_default();
        self.say(run, Some(id), &text!("{}: {}{}{}", step_of(run, step), word, allowed, reason), out)
    }

    /// Returns the state of a job.
    fn state_of(&self, run: &Run, job: &Job, now: Timestamp) -> TerminalText {
        let style = self.style;
        if let Some(review) = run.review_of(job).filter(|_| !job.phase.is_active() && !job.phase.is_done()) {
            return waiting(review, &run.info.id, style, now);
        }
        if job.progress().is_held() {
            return clauses::held(job, style);
        }
        let allowed = if job.allowed_failure { ", allowed" } else { "" };
        let time = text!("{}{}", allowed, took(job.started, job.finished));
        let is_good = job.phase.conclusion() == Some(Conclusion::Success);
        // The reason of a deployment stands in the last sentence.
        let reason = job.why().filter(|_| !is_good && !run.info.is_deployment());
        let kept = run.kept_from(job).map(|kept| text!(", {}", kept)).unwrap_or_default();
        text!("{}{}", clauses::state(&job.phase, &time, reason.as_deref(), style), kept)
    }

    /// Prints the pending reviews, each with the jobs that did not wait for it before.
    fn pending(&mut self, run: &Run, at: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
        let known = std::mem::replace(&mut self.reviews, run.reviews.clone());
        for review in &run.reviews {
            let before = known.iter().find(|known| known.id == review.id && known.refusal == review.refusal);
            let is_new = |job: &&JobId| before.is_none_or(|before| !before.jobs.contains(job));
            let jobs: Vec<&str> = review.jobs.iter().filter(is_new).map(|job| run.job_name(job)).collect();
            let of = match (jobs.is_empty(), self.names_run) {
                (true, _) if before.is_some() => continue,
                (true, _) => text!("{}", run.title()),
                (false, true) => text!("{}, {}", run.title(), clauses::first_names(jobs.into_iter())),
                (false, false) => text!("{}", clauses::first_names(jobs.into_iter())),
            };
            out.line(self.style.spelled(text!("{}: {}", of, waiting(review, &run.info.id, self.style, at))))?;
        }
        Ok(())
    }

    /// Whether the sentence about a review has said that a job waits at a gate.
    fn is_said(&self, job: &JobId, gate: &Gate) -> bool {
        self.reviews.iter().any(|review| review.jobs.contains(job) && review.gate() == *gate)
    }

    /// Prints the first error of each failed job, and the likely cause of a failed deployment. Returns whether that names
    /// what to do next.
    ///
    /// # Errors
    /// The output cannot be written, or a log cannot be read.
    fn failures(&self, run: &Run, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<bool> {
        let diagnosis = diagnosis::of(run, logs)?;
        // The last sentence and the likely cause of a deployment say most of its errors.
        let is_told = |text: &str| {
            is_in_end(run, text)
                || diagnosis.as_ref().is_some_and(|failed| run.info.is_deployment() && failed.shows(text))
        };
        for (cause, jobs) in causes(run, logs)? {
            let (title, values) = named(&jobs);
            let Some(error) = error_of(&cause, &is_told, self.style) else { continue };
            let allowed = if jobs.iter().all(|job| job.is_allowed_failure()) { ", allowed" } else { "" };
            let parts = [values, error];
            let parts = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(", ");
            let of = if self.names_run { text!("{}, ", run.title()) } else { text!("") };
            out.line(self.style.spelled(text!("failed{}: {}{}, step {}: {}", allowed, of, title, cause.step, parts)))?;
        }
        if let Some(failed) = &diagnosis {
            out.print(&self.style.spelled(failed.before_end(run, self.style)))?;
        }
        Ok(diagnosis.is_some())
    }

    /// Prints the end of one of several runs: its errors, its state, and what to do next.
    ///
    /// # Errors
    /// The output cannot be written, or a log cannot be read.
    pub(super) fn end_of_one(&self, run: &Run, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        let names_next = self.failures(run, logs, out)?;
        let summary = Summary::from(run);
        let state = self.state_of_run(run);
        out.line(self.style.spelled(text!("{}: {}, run {}", Self::title(&summary), state, run.info.id)))?;
        if names_next { Ok(()) } else { self.print_next(run, out) }
    }

    /// Returns the state of a run with the numbers of its jobs.
    fn state_of_run(&self, run: &Run) -> TerminalText {
        let phase = run.progress();
        let time = took(run.started, run.finished);
        // The sentences about the jobs of a run in progress name the reviews.
        let (reason, reviews) = if phase.is_active() { (None, &[][..]) } else { (run.why(), run.reviews.as_slice()) };
        let state = clauses::of_run(&phase, reviews, &time, reason.as_deref(), self.style);
        text!("{}{}", state, clauses::tally(run))
    }

    fn print_next(&self, run: &Run, out: &mut Out<'_>) -> io::Result<()> {
        match Self::next(run) {
            next if next.is_empty() => Ok(()),
            next => out.line(self.style.spelled(next)),
        }
    }

    /// Returns the sentence about what to do next with a run; empty if nothing is to be done.
    fn next(run: &Run) -> TerminalText {
        let id = &run.info.id;
        let held = run.jobs.values().find_map(|job| Some((job, job.held().next()?)));
        if let Some((job, step)) = held {
            return held::ways(id, &job.id, step);
        }
        let next = next_steps(run).into_iter().map(|NextStep { command, does }| format!("`{command}` {does}"));
        match next.collect::<Vec<_>>().join(", ") {
            next if next.is_empty() => TerminalText::default(),
            next => text!("next: {}", next),
        }
    }
}

/// Returns the name of a step. Those that undo a deployment are not numbered, because they are not steps of its plan.
fn step_of(run: &Run, step: &Step) -> TerminalText {
    if run.info.is_deployment() && step.kind == StepKind::Post {
        text!("rolling back, {}", step.name)
    } else {
        text!("step {}, {}", step.number, step.name)
    }
}

/// Returns the reason of a failure and the line that describes it best, with its location; each is left out if the other
/// contains it. `None` if `is_told` returns true for both.
fn error_of(cause: &Cause<'_>, is_told: &dyn Fn(&str) -> bool, style: Style) -> Option<String> {
    let line = log_line(first_line(&cause.line).as_bytes(), style);
    let (line, reason) = (line.as_str(), cause.reason.map(first_line).unwrap_or_default());
    // Without a location, the line only says that the step printed nothing.
    if is_told(reason) && (is_told(line) || cause.place.text.is_empty()) {
        return None;
    }
    if !reason.is_empty() && reason.contains(line) {
        return Some(reason.to_owned());
    }
    let reason = if line.contains(reason) || is_told(reason) { "" } else { reason };
    let place = Some(cause.place.text.as_str()).filter(|place| !line.contains(place)).unwrap_or_default();
    let parts = [reason, line, place].into_iter().filter(|part| !part.is_empty());
    Some(parts.collect::<Vec<_>>().join(", "))
}

impl Printer for Linear {
    fn record(&mut self, run: &Run, record: &Record, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        match &record.event {
            Event::RunStarted { attempt, .. } if *attempt == self.announced => Ok(()),
            Event::RunStarted { attempt, .. } => {
                self.announced = *attempt;
                self.reviews.clear();
                let attempt = run.named_attempt().map(|attempt| text!(", {}", attempt)).unwrap_or_default();
                self.say(run, None, &text!("started{}, run {}", attempt, run.info.id), out)
            }
            Event::RunWaiting { gate, .. } => self.say(run, None, &clauses::waiting(gate, self.style), out),
            // The end of a job is printed with the jobs that can start.
            Event::JobWaiting { gate: Gate::Needs, .. } => Ok(()),
            Event::JobWaiting { job, gate } if self.is_said(job, gate) => Ok(()),
            Event::JobWaiting { job, gate } => self.say(run, Some(job), &clauses::waiting(gate, self.style), out),
            Event::JobStarted { job, .. } => self.say(run, Some(job), &text!("started"), out),
            Event::StepStarted { job, step: number, .. } => {
                match run.step(job, *number).filter(|step| step.kind != StepKind::Job) {
                    Some(step) => self.say(run, Some(job), &step_of(run, step), out),
                    None => Ok(()),
                }
            }
            Event::StepHeld { job, step: number, .. } => match run.step(job, *number) {
                Some(step) if step.phase.is_held() => {
                    self.say(run, Some(job), &held::announcement(step), out)?;
                    out.line(self.style.spelled(held::ways(&run.info.id, job, step)))
                }
                _ => Ok(()),
            },
            Event::StepFinished { job, step, .. } => self.end_of_step(run, job, *step, out),
            Event::JobFinished { job, .. } => match run.jobs.get(job) {
                Some(job) => self.say(run, Some(&job.id), &self.state_of(run, job, record.at), out),
                None => Ok(()),
            },
            Event::ServiceChanged { job, service } => {
                let word = self.style.service(service.state);
                self.say(run, Some(job), &text!("service {}, {}", service.name, word), out)
            }
            Event::ReviewsPending { .. } => self.pending(run, record.at, out),
            Event::Reviewed { .. } | Event::Ordered { .. } => self.lines.record(run, record, logs, out),
            _ => Ok(()),
        }
    }

    fn waiting(&mut self, run: &Run, jobs: &[&JobId], gate: &Gate, out: &mut Out<'_>) -> io::Result<()> {
        let jobs: Vec<&JobId> = jobs.iter().filter(|job| !self.is_said(job, gate)).copied().collect();
        if *gate == Gate::Needs || jobs.is_empty() {
            return Ok(());
        }
        let count = counted(jobs.len() as u64, "job");
        let names = clauses::first_names(jobs.iter().map(|job| run.job_name(job)));
        let state = clauses::waiting(gate, self.style);
        self.say(run, None, &text!("{} {}: {}", count, state, names), out)
    }

    fn end(&mut self, run: &Run, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        let names_next = self.failures(run, logs, out)?;
        self.say(run, None, &self.state_of_run(run), out)?;
        if let Some(edited) = run.edited() {
            out.line(text!("files: {}, {}", run.info.version(), edited))?;
        }
        if names_next { Ok(()) } else { self.print_next(run, out) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::annotation;
    use crate::model::{EndReason, StepOutline, testing};
    use crate::report::testing::Story;
    use crate::ui::theme::Glyphs;

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

    const RUN: &str = "20261124-000000-0001";

    /// Returns the lines that `show` prints about a run.
    fn shown(story: &Story) -> Vec<String> {
        let text = story.whole(|run, logs, out| Linear::default().whole(run, logs, out));
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_step_that_is_held_is_named_with_the_ways_on() {
        let mut story = Story::new(&["broken", "sleeper"]);
        story.hold("broken", 3, "Bad step", Some("exit code 1"));
        story.hold("sleeper", 2, "Sleep long", None);
        let text = story.print(&mut Linear::default());
        let until = "until 1970-01-01 00:30 UTC";
        for line in [
            format!("broken: step 3, Bad step, failed and is held {until}: exit code 1"),
            format!("sleeper: step 2, Sleep long, is held before it runs, {until}"),
        ] {
            assert_eq!(text.matches(&format!("{line}\n")).count(), 1, "{line}: {text}");
        }
        let retry =
            format!("next: `cuelight held retry {RUN} --sync` runs the step again with the files that you changed, ");
        assert!(text.contains(&retry), "{text}");
        let goes_on =
            format!("next: `cuelight held continue {RUN}` runs the step, `cuelight held skip {RUN}` skips it, ");
        assert!(text.contains(&goes_on), "{text}");
        assert!(text.contains(&format!("`cuelight shell {RUN} --job sleeper` opens a shell in its job\n")), "{text}");
        let shown = shown(&story);
        assert_eq!(shown[0], format!("broken: held, step 3, Bad step, exit code 1, {until}"));
        assert_eq!(shown[1], format!("sleeper: held, step 2, Sleep long, before it runs, {until}"));
        assert_eq!(shown[2], format!("CI: held {until}, a step failed: exit code 1, 2 jobs are held"));
        assert!(shown[3].starts_with(&retry) && shown.len() == 4, "{shown:#?}");
    }

    #[test]
    fn a_job_that_was_not_run_again_names_its_attempt() {
        let mut script = testing::Script::new(Timestamp(0));
        script.start(vec![testing::outline("a", "a", &[]), testing::outline("b", "b", &[])]);
        script.event(testing::job_finished("a", Conclusion::Success, None));
        script.event(testing::job_finished("b", Conclusion::Failure, Some("exit code 1")));
        script.event(testing::run_started(2));
        script.event(Event::JobsPlanned { jobs: vec![testing::outline("b", "b", &[])], replaces: None });
        let story = Story::of(script);
        let shown = shown(&story);
        assert!(shown[0].starts_with("a: success") && shown[0].ends_with(", kept from attempt 1"), "{shown:#?}");
        assert!(!shown[1].contains("kept"), "{shown:#?}");
        let table = crate::report::table(&story.run(), Style::linear());
        assert_eq!(table.as_str().matches("kept from attempt 1\n").count(), 1, "{}", table.as_str());
    }

    #[test]
    fn a_review_is_one_sentence_with_one_word_for_its_state() {
        let story = Story::of(testing::two_reviews(Timestamp(0)));
        let asks = "needs review of staging by maria or olu";
        let text = story.print(&mut Linear::default());
        let answer = format!("approve with `cuelight approve staging --run {RUN}`");
        assert!(text.contains(&format!("\nDeploy to staging: {asks}; {answer}\n")), "{text}");
        let refused = "until 1970-01-01 01:00 UTC; you may not approve your own deployment\n";
        assert!(text.contains(refused) && text.is_ascii() && !text.contains('?'), "{text}");
        let end = "CI: needs review of staging, canary and production, 1 job succeeded, 3 need a review";
        assert_eq!(text.lines().next_back(), Some(end), "{text}");
        assert!(!text.contains("waits for a review") && !text.contains("waiting, "), "{text}");
        let shown = shown(&story);
        assert!(shown[1].starts_with(&format!("Deploy to staging: {asks}, for ")), "{shown:#?}");
        assert!(shown[1].ends_with(&answer), "{shown:#?}");
        assert_eq!(shown.last().map(String::as_str), Some(end));
    }

    #[test]
    fn a_job_that_waits_for_a_review_is_announced_once() {
        let review = testing::pending_review(1, "gated", &["acc", "root"]);
        let gate = review.gate();
        let waits = Event::JobWaiting { job: JobId::new("dep"), gate };
        let pending = |jobs: &[&str]| {
            let jobs = jobs.iter().map(JobId::new).collect();
            Event::ReviewsPending { environments: vec![PendingReview { jobs, ..review.clone() }] }
        };
        let mut script = testing::Script::new(Timestamp(0));
        script.start(vec![testing::outline("dep", "dep", &[]), testing::outline("more", "more", &[])]);
        script.event(pending(&["dep"])).event(waits).event(pending(&["dep", "more"]));
        let text = Story::of(script).print(&mut Linear::default());
        let asks = "needs review of gated by acc or root; approve with";
        for job in ["dep", "more"] {
            assert_eq!(text.matches(&format!("\n{job}: {asks}")).count(), 1, "{text}");
        }
        assert_eq!(text.matches("needs review").count(), 3, "the last one is of the run: {text}");
    }

    #[test]
    fn every_form_of_the_summary_offers_the_same_next() {
        let start = || {
            let mut script = testing::Script::new(Timestamp(0));
            script.start(vec![testing::outline("a", "a", &[])]);
            script
        };
        let end = |reason| Event::RunFinished { conclusion: Conclusion::Failure, reason: Some(reason) };
        let mut not_started = start();
        not_started.event(end(EndReason::NotStarted("no such input".to_owned())));
        let mut lost = start();
        lost.event(end(EndReason::WorkerLost));
        let mut failed = Story::new(&["Test"]);
        failed.step("Test", 2, "Run", &["wrong"], 1);
        failed.finish("Test", Conclusion::Failure);
        failed.end(Conclusion::Failure);
        for (story, first, count) in [
            (Story::of(not_started), format!("cuelight rerun {RUN}"), 1),
            (Story::of(lost), format!("cuelight resume {RUN}"), 1),
            (failed, format!("cuelight logs {RUN} --failed"), 3),
        ] {
            let next: Vec<String> = next_steps(&story.run()).into_iter().map(|next| next.command).collect();
            assert_eq!((next.first(), next.len()), (Some(&first), count), "{next:?}");
            let linear = story.print(&mut Linear::default());
            let normal = story.print(&mut Lines::new(Style::new(Glyphs::Unicode, false)));
            for command in next {
                assert!(linear.contains(&format!("`{command}` ")), "{command}: {linear}");
                assert!(normal.contains(&format!("  {command}\n")), "{command}: {normal}");
            }
        }
    }

    #[test]
    fn a_cancelled_run_has_no_failed_parts_and_says_so_once() {
        let mut story = Story::new(&["sleeper"]);
        story.cancel_step("sleeper", 2, "Sleep long");
        story.finish("sleeper", Conclusion::Cancelled);
        story.end(Conclusion::Cancelled);
        let text = story.print(&mut Linear::default());
        assert!(text.contains("sleeper: step 2, Sleep long: cancelled\n"), "{text}");
        assert!(text.ends_with(&format!("next: `cuelight rerun {RUN}` runs it again\n")), "{text}");
        assert!(!text.contains("failed"), "{text}");
        let normal = story.print(&mut Lines::new(Style::new(Glyphs::Unicode, false)));
        assert!(normal.contains(&format!("cuelight rerun {RUN}\n")) && !normal.contains("--failed"), "{normal}");
    }

    #[test]
    fn an_allowed_failure_is_named_and_the_jobs_are_counted() {
        let mut story = Story::new(&["Style", "Test"]);
        story.step("Style", 2, "Check", &["a line is too long"], 1);
        story.finish_allowed("Style");
        story.step("Test", 2, "Run", &["ok"], 0);
        story.finish("Test", Conclusion::Success);
        story.end(Conclusion::Success);
        let text = story.print(&mut Linear::default());
        assert!(text.contains("failed, allowed: Style, step Check: exit code 1, a line is too long, "), "{text}");
        let end = ", 1 job succeeded, 1 failed and was allowed to\n";
        assert!(text.ends_with(end) && !text.contains("next:"), "{text}");
    }

    #[test]
    fn a_failed_deployment_tells_its_reason_at_the_step_and_at_the_end() {
        let reason = "the wind was wrong";
        let mut script = testing::Script::new(Timestamp(0));
        script.start(vec![testing::outline("prod", "prod", &[])]).job("prod", "prod", &["Start green", "Wait"]);
        script.step("prod", 2, "Wait", 0).event(testing::step_finished(
            "prod",
            2,
            Conclusion::Failure,
            1,
            Some(reason),
        ));
        let step = |number, name: &str, kind| StepOutline {
            number: StepNumber(number),
            name: name.to_owned(),
            kind,
            background: false,
            label: None,
        };
        let steps = vec![
            step(1, "Start green", StepKind::Main),
            step(2, "Wait", StepKind::Main),
            step(3, "Stop green", StepKind::Post),
        ];
        script.event(Event::StepsPlanned { job: JobId::new("prod"), steps });
        script.step("prod", 3, "Stop green", 0).step_end("prod", 3, Conclusion::Success);
        let end = format!("step 2/2 (Wait) failed: {reason}");
        script.event(testing::job_finished("prod", Conclusion::Failure, Some(&end)));
        script.event(Event::RunFinished { conclusion: Conclusion::Failure, reason: Some(EndReason::Message(end)) });
        let text = Story::of_deployment(script).print(&mut Linear::default());
        assert_eq!(text.matches(reason).count(), 2, "{text}");
        assert!(text.contains("\nprod: rolling back, Stop green\n") && !text.contains("step 3"), "{text}");
        assert!(!text.contains("failed: prod") && text.matches("next: ").count() == 1, "{text}");
    }

    #[test]
    fn an_error_does_not_repeat_the_reason_of_its_step() {
        let cause = |reason: &'static str, line: &str| Cause::new("Test", reason, line, "line 1 of its log");
        let error =
            |reason, line, is_told: &dyn Fn(&str) -> bool| error_of(&cause(reason, line), is_told, Style::linear());
        let none = |_: &str| false;
        assert_eq!(error("exit status: 1", "exit status: 1", &none).as_deref(), Some("exit status: 1"));
        let held = "##[warning]The step failed: exit code 1";
        let expected = "Warning: The step failed: exit code 1, line 1 of its log";
        assert_eq!(error("exit code 1", held, &none).as_deref(), Some(expected));
        assert_eq!(error("exit code 1", "wrong", &none).as_deref(), Some("exit code 1, wrong, line 1 of its log"));
        // What the last sentence of a deployment says is left out.
        let told = |text: &str| text == "exit code 1";
        assert_eq!(error("exit code 1", "wrong", &told).as_deref(), Some("wrong, line 1 of its log"));
        assert_eq!(error("exit code 1", "exit code 1", &told), None);
    }
}
