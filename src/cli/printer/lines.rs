//! A run as lines for people: what each job prints behind its name, groups folded, and what it came to at the end.
//!
//! A group is one line however much it holds. When its step fails, the groups that hold an error are shown after all.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::cli::style::{Colour, Style, duration};
use crate::model::{
    Command, Conclusion, Event, Gate, JobId, LineRange, Record, Reply, RerunScope, Run, Service, ServiceState, Step,
    StepKind, StepNumber,
};
use crate::store::first_error::FirstError;

use super::ending::{ending, first_line, took};
use super::text::{shown, tagged};
use super::{Logs, Printer};

/// Longer names of jobs are cut in the prefix.
const LONGEST_PREFIX: usize = 24;

/// So many folded groups of a step are remembered, the last ones, in case it fails.
const REMEMBERED: usize = 32;

/// So many lines of a group are shown when it is opened, those around its error.
const OPENED: u64 = 60;

/// Prints lines.
pub(in crate::cli) struct Lines {
    style: Style,
    /// Steps that printed and have not ended.
    steps: HashMap<(JobId, StepNumber), Progress>,
    /// Images whose pull was told of: a line a job and image is enough.
    pulled: HashSet<(JobId, String)>,
}

/// How far a step's output was printed.
#[derive(Default)]
struct Progress {
    /// The group that is open: its title and its first line.
    open: Option<(String, u64)>,
    /// Groups that were folded.
    folded: VecDeque<(String, LineRange)>,
    /// Lines seen.
    lines: u64,
}

impl Lines {
    pub(in crate::cli) fn new(style: Style) -> Self {
        Self { style, steps: HashMap::new(), pulled: HashSet::new() }
    }

    fn prefix(&self, run: &Run, job: &JobId) -> String {
        let width = run.jobs.values().map(|job| job.name.chars().count()).max().unwrap_or(0).min(LONGEST_PREFIX);
        let name = run.jobs.get(job).map_or(job.as_str(), |job| job.name.as_str());
        let cut: String = if name.chars().count() > width {
            name.chars().take(width.saturating_sub(1)).chain(std::iter::once('…')).collect()
        } else {
            name.to_owned()
        };
        let colour = Colour::Job(run.jobs.get_index_of(job).unwrap_or_default());
        self.style.spelled(self.style.paint(colour, &format!("{cut:<width$} │ ")))
    }

    fn output(
        &mut self,
        run: &Run,
        (job, number): (&JobId, StepNumber),
        range: LineRange,
        logs: &dyn Logs,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let (style, prefix) = (self.style, self.prefix(run, job));
        let key = (job.clone(), number);
        if !self.steps.contains_key(&key) {
            let name = step(run, job, number).map(|step| step.name.as_str()).unwrap_or_default();
            let heading = style.spelled(format!("▸ {name}"));
            writeln!(out, "{prefix}{}", style.paint(Colour::Bold, &heading))?;
        }
        let progress = self.steps.entry(key).or_default();
        progress.lines = range.first;
        logs.lines(run, job, number, range, &mut |line| {
            let text = shown(line, style.colour);
            let at = progress.lines;
            progress.lines += 1;
            // A group that begins inside another ends it, as on GitHub's page.
            let begins = text.strip_prefix("##[group]");
            if begins.is_some() || text.starts_with("##[endgroup]") {
                if let Some((title, first)) = progress.open.take() {
                    let range = LineRange { first, count: at - first };
                    let folded = style.spelled(format!("  ▸ {title} ({})", lines(range.count)));
                    writeln!(out, "{prefix}{}", style.paint(Colour::Dim, &folded))?;
                    progress.folded.push_back((title, range));
                    if progress.folded.len() > REMEMBERED {
                        progress.folded.pop_front();
                    }
                }
                progress.open = begins.map(|title| (title.to_owned(), at + 1));
                return Ok(());
            }
            if progress.open.is_some() {
                return Ok(());
            }
            writeln!(out, "{prefix}  {}", tagged(text, style))
        })
    }

    /// Shows what a failed step's groups hide: the group that it ended in, and those with an error in them.
    fn unfold(
        &self,
        run: &Run,
        (job, number): (&JobId, StepNumber),
        progress: Progress,
        logs: &dyn Logs,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let (style, prefix) = (self.style, self.prefix(run, job));
        let last = progress.open.map(|(title, first)| (title, LineRange { first, count: progress.lines - first }));
        let ended_in = last.as_ref().map(|(_, range)| range.first);
        for (title, range) in progress.folded.into_iter().chain(last) {
            let mut finder = FirstError::default();
            let mut at = range.first;
            logs.lines(run, job, number, range, &mut |line| {
                finder.look(at, &shown(line, false));
                at += 1;
                Ok(())
            })?;
            let end = range.first + range.count;
            let (first, end) = match finder.best() {
                Some((error, _)) => {
                    let first = error.saturating_sub(OPENED / 2).max(range.first);
                    (first, end.min(first + OPENED))
                }
                None if ended_in == Some(range.first) => (end.saturating_sub(OPENED).max(range.first), end),
                None => continue,
            };
            let heading = style.spelled(format!("  ▾ {title}"));
            writeln!(out, "{prefix}{}", style.paint(Colour::Dim, &heading))?;
            let left_out = |count: u64| style.spelled(format!("{prefix}    ⋮ {}", lines(count)));
            if first > range.first {
                writeln!(out, "{}", left_out(first - range.first))?;
            }
            logs.lines(run, job, number, LineRange { first, count: end - first }, &mut |line| {
                writeln!(out, "{prefix}    {}", tagged(shown(line, style.colour), style))
            })?;
            if end < range.first + range.count {
                writeln!(out, "{}", left_out(range.first + range.count - end))?;
            }
        }
        Ok(())
    }
}

impl Printer for Lines {
    fn record(&mut self, run: &Run, record: &Record, logs: &dyn Logs, out: &mut dyn Write) -> io::Result<()> {
        let style = self.style;
        match &record.event {
            Event::RunStarted { attempt, name } => {
                let attempt = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                let of = format!("({} on {}{attempt}) run {}", run.info.workflow, run.info.event, run.info.id);
                writeln!(out, "{} {}", style.paint(Colour::Bold, name), style.paint(Colour::Dim, &of))
            }
            Event::RunWaiting { gate, name, .. } => {
                let text = format!("{} {name} is pending: {}", style.glyph(&run.phase), gate.reason());
                writeln!(out, "{text}")
            }
            Event::JobWaiting { job, gate } => {
                let text = match gate {
                    Gate::Resource(what) => format!("waits for {what}"),
                    other => format!("· pending: {}", other.reason()),
                };
                writeln!(out, "{}{}", self.prefix(run, job), style.paint(Colour::Dim, &style.spelled(text)))
            }
            Event::ImagePulled { job, image, .. } if self.pulled.insert((job.clone(), image.clone())) => {
                let text = style.spelled(format!("the image {image} is being pulled"));
                writeln!(out, "{}{}", self.prefix(run, job), style.paint(Colour::Dim, &text))
            }
            Event::ServiceChanged { job, service } => {
                let colour = if service.state.is_bad() { Colour::Red } else { Colour::Dim };
                writeln!(out, "{}{}", self.prefix(run, job), style.paint(colour, &state_of(service)))
            }
            Event::Output { job, step, output } => self.output(run, (job, *step), *output, logs, out),
            Event::StepFinished { job, step: number, outcome, .. } => {
                let progress = self.steps.remove(&(job.clone(), *number));
                if let (Some(progress), true) = (progress, *outcome == Conclusion::Failure) {
                    self.unfold(run, (job, *number), progress, logs, out)?;
                }
                let Some(step) = step(run, job, *number) else { return Ok(()) };
                // The two steps around those of the file are told only when something is wrong with them.
                if step.kind == StepKind::Job && step.phase.conclusion() == Some(Conclusion::Success) {
                    return Ok(());
                }
                let (glyph, ending) = (style.glyph(&step.phase), style.paint(Colour::Dim, &ending_of(step)));
                writeln!(out, "{}{glyph} {}{ending}", self.prefix(run, job), step.name)
            }
            Event::JobFinished { job, conclusion, reason, .. } => {
                let Some(finished) = run.jobs.get(job) else { return Ok(()) };
                let time = took(finished).map(|time| format!(" in {time}")).unwrap_or_default();
                let reason = reason.as_ref().filter(|_| *conclusion != Conclusion::Success);
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                let text = format!("{} {}{time}{reason}", style.glyph(&finished.phase), conclusion.word());
                writeln!(out, "{}{}", self.prefix(run, job), style.paint(Colour::Bold, &text))
            }
            Event::Ordered { command, reply } => {
                let text = format!("{}: {}", order(command), answer(reply));
                writeln!(out, "{}", style.paint(Colour::Yellow, &text))
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, run: &Run, logs: &dyn Logs, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(ending(run, self.style, logs)?.as_bytes())
    }
}

/// A service and how it is: where it is reached once it is up, and what is wrong with it.
fn state_of(service: &Service) -> String {
    let up = matches!(service.state, ServiceState::Running | ServiceState::Healthy);
    let reached = service.ports.iter().filter(|_| up).map(|(inside, outside)| {
        let of = if inside == outside { String::new() } else { format!(" for {inside}") };
        format!("localhost:{outside}{of}")
    });
    let reached = reached.collect::<Vec<_>>().join(", ");
    let detail = service.detail.as_deref().filter(|_| service.state.is_bad()).map(first_line).unwrap_or_default();
    let mut text = format!("service {} {}", service.name, service.state.word());
    for part in [reached.as_str(), detail].into_iter().filter(|part| !part.is_empty()) {
        let _ = write!(text, "  {part}");
    }
    text
}

fn lines(count: u64) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}

/// An order in words.
fn order(command: &Command) -> String {
    match command {
        Command::Cancel => "cancel".to_owned(),
        Command::ForceCancel => "cancel at once".to_owned(),
        Command::Rerun { what: RerunScope::All } => "run again".to_owned(),
        Command::Rerun { what: RerunScope::Failed } => "run again what failed".to_owned(),
        Command::Rerun { what: RerunScope::Job(job) } => format!("run {job} again"),
        Command::Rerun { what: RerunScope::Step { job, step } } => format!("run {job} again from step {step}"),
        Command::Resume => "resume".to_owned(),
        Command::Yield { group, to, .. } => format!("give the group {group} up for {to}"),
        Command::Watch => "watch".to_owned(),
    }
}

fn answer(reply: &Reply) -> String {
    match reply {
        Reply::Accepted => "accepted".to_owned(),
        Reply::Rejected { reason } => format!("rejected: {reason}"),
    }
}

fn step<'r>(run: &'r Run, job: &JobId, number: StepNumber) -> Option<&'r Step> {
    run.jobs.get(job)?.steps.iter().find(|step| step.number == number)
}

/// What stands behind a finished step's name.
fn ending_of(step: &Step) -> String {
    let mut text = String::new();
    if let (Some(started), Some(finished)) = (step.started, step.finished) {
        let _ = write!(text, "  {}", duration(finished.since(started)));
    }
    let succeeded = step.outcome == Some(Conclusion::Success);
    if let Some(reason) = step.reason.as_ref().filter(|_| !succeeded) {
        let _ = write!(text, "  {}", first_line(reason));
    }
    if step.outcome == Some(Conclusion::Failure) && step.phase.conclusion() == Some(Conclusion::Success) {
        text.push_str(" (allowed)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::printer::testing::{Story, annotation};

    const PLAIN: Style = Style { colour: false, ascii: false };

    fn told(story: &Story, style: Style) -> String {
        story.print(&mut Lines::new(style))
    }

    fn mixed() -> Story {
        let mut story = Story::new(&["build", "test"]);
        story.step("build", 2, "Compile", &["##[group]Environment", "A=1", "B=2", "##[endgroup]", "done"], 0);
        story.step("build", 3, "Silent", &[], 0);
        story.finish("build", Conclusion::Success);
        let log = ["##[group]Unit tests", "ok one", "E   assert 1 == 2", "##[endgroup]", "##[group]Quiet", "nothing"];
        story.step("test", 2, "Run the tests", &[&log[..], &["##[endgroup]", "##[error]one failed"]].concat(), 1);
        story.annotate("test", 2, annotation("tests/one.py", 7, "assert 1 == 2"));
        story.finish("test", Conclusion::Failure);
        story.end(Conclusion::Failure);
        story
    }

    #[test]
    fn jobs_have_prefixes_groups_fold_and_a_failure_opens_what_holds_it() {
        insta::assert_snapshot!("mixed", told(&mixed(), PLAIN));
    }

    #[test]
    fn ascii_terminals_get_ascii() {
        let text = told(&mixed(), Style { ascii: true, ..PLAIN });
        assert!(text.is_ascii(), "{text}");
    }

    #[test]
    fn colour_is_only_added() {
        let coloured = told(&mixed(), Style { colour: true, ..PLAIN });
        let plain: Vec<_> = coloured.lines().map(|line| shown(line.as_bytes(), false)).collect();
        assert_eq!(plain.join("\n") + "\n", told(&mixed(), PLAIN));
    }

    #[test]
    fn a_step_that_ends_inside_a_group_shows_its_end() {
        let mut story = Story::new(&["a"]);
        let lines: Vec<String> = (1..=200).map(|number| format!("line {number}")).collect();
        let log: Vec<&str> = std::iter::once("##[group]Long").chain(lines.iter().map(String::as_str)).collect();
        story.step("a", 2, "Work", &log, 3);
        story.finish("a", Conclusion::Failure);
        story.end(Conclusion::Failure);
        let text = told(&story, PLAIN);
        assert!(text.contains("▾ Long\n") && text.contains("⋮ 140 lines\n"), "{text}");
        assert!(text.contains("    line 200\n") && !text.contains("    line 140\n"), "{text}");
    }

    #[test]
    fn orders_are_told_in_words() {
        let rejected = Reply::Rejected { reason: "it has ended".to_owned() };
        assert_eq!(order(&Command::Rerun { what: RerunScope::Job(JobId::new("a")) }), "run a again");
        assert_eq!(answer(&rejected), "rejected: it has ended");
    }
}
