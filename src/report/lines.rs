//! A run as lines for people: the output of each job after its name, groups folded, and the result of the run.
//!
//! A folded group is one line. When its step fails, the lines around the error of each group are shown, and the last
//! lines of a group that was open at the end.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;

use crate::model::deployment::{notified, recorded};
use crate::model::{
    Conclusion, Event, Gate, JobId, LineRange, Record, Run, Service, ServiceState, Step, StepKind, StepNumber,
    first_names,
};
use crate::report::style::{Out, Style};
use crate::store::first_error::FirstError;
use crate::ui::log::{Mark, tag};
use crate::ui::terminal_text::TerminalText;
use crate::ui::terminal_text::text;
use crate::ui::text::{clip, clip_start, counted, duration, width};
use crate::ui::theme::{Colours, Hue};

use super::clauses::MAX_NAMES;
use super::ending::{ending, first_line, took};
use super::orders::{answer, order};
use super::reviews::waiting;
use super::{Logs, Printer, held};

/// Maximum width of the name of a job or a step before its lines, in columns.
const MAX_PREFIX: usize = 24;

/// Maximum width of the name of the only job of a run before its lines, in columns: the name of a deployment has its
/// environment and its release.
const MAX_ONLY_PREFIX: usize = 40;

/// Maximum number of folded groups of a step that are remembered in case the step fails. Only the latest groups are
/// kept.
const MAX_FOLDED: usize = 32;

/// Maximum number of lines that are shown of an unfolded group. They are the lines around its error, or its last lines
/// if it has none.
const MAX_UNFOLDED: u64 = 60;

/// Prints a run as lines for people.
pub struct Lines {
    style: Style,
    /// Number of the attempt whose start was printed last; 0 before the first.
    announced: u32,
    /// Steps whose heading is printed and that have not ended.
    steps: HashMap<(JobId, StepNumber), Progress>,
    /// Images whose pull was printed: one line per job and image is enough.
    pulled: HashSet<(JobId, String)>,
    /// The step whose incomplete last line grew most recently; `None` before the first such line.
    grown: Option<(JobId, StepNumber)>,
}

/// Printed part of a step's output.
#[derive(Default)]
struct Progress {
    /// Title and first line of the open group; `None` if no group is open.
    open: Option<(TerminalText, u64)>,
    /// Folded groups.
    folded: VecDeque<(TerminalText, LineRange)>,
    /// Number of lines seen.
    lines: u64,
}

impl Lines {
    /// Returns a printer with this style.
    pub fn new(style: Style) -> Self {
        Self { style, announced: 0, steps: HashMap::new(), pulled: HashSet::new(), grown: None }
    }

    fn prefix(&self, run: &Run, job: &JobId) -> TerminalText {
        let columns = columns_of(run);
        let name = run.job_name(job);
        let place = run.jobs.get_index_of(job).unwrap_or_default();
        self.style.spelled(self.style.of_job(place, text!("{:<columns$} │ ", clip(name, columns, "…"))))
    }

    /// Returns the text for jobs that wait.
    fn waits(&self, gate: &Gate) -> TerminalText {
        let text = match gate {
            Gate::Resource(what) => text!("waits for {}", what),
            other => text!("· pending: {}", other.reason()),
        };
        self.style.paint(Hue::Dim, self.style.spelled(text))
    }

    /// Returns the prefix of a step's lines: the prefix of its job and, while other steps of the job run, the name of
    /// the step.
    fn step_prefix(&self, run: &Run, job: &JobId, number: StepNumber) -> TerminalText {
        let prefix = self.prefix(run, job);
        let steps = run.jobs.get(job).map_or(&[][..], |job| &job.steps);
        let running = || steps.iter().filter(|step| step.number == number || step.phase.is_active());
        if running().nth(1).is_none() {
            return prefix;
        }
        let printing = running().filter(|step| step.lines > 0);
        let columns = printing.map(|step| width(&step.name)).max().unwrap_or(0).min(MAX_PREFIX);
        let name = running().find(|step| step.number == number).map_or("", |step| step.name.as_str());
        let name = self.style.spelled(text!("{:<columns$} │ ", clip(name, columns, "…")));
        text!("{}{}", prefix, self.style.paint(Hue::Dim, name))
    }

    /// Prints the name of a step, unless it has already been printed.
    fn heading(&mut self, run: &Run, (job, number): (&JobId, StepNumber), out: &mut Out<'_>) -> io::Result<()> {
        let key = (job.clone(), number);
        if self.steps.contains_key(&key) {
            return Ok(());
        }
        let name = run.step(job, number).map(|step| step.name.as_str()).unwrap_or_default();
        let heading = self.style.bold(self.style.spelled(text!("▸ {}", name)));
        out.line(text!("{}{}", self.prefix(run, job), heading))?;
        self.steps.insert(key, Progress::default());
        Ok(())
    }

    fn output(
        &mut self,
        run: &Run,
        (job, number): (&JobId, StepNumber),
        range: LineRange,
        logs: &dyn Logs,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        self.heading(run, (job, number), out)?;
        let style = self.style;
        let key = (job.clone(), number);
        let prefix = self.step_prefix(run, job, number);
        let mut progress = self.steps.remove(&key).unwrap_or_default();
        progress.lines = range.first;
        let margin = text!("{}  ", prefix);
        let mut row = TerminalText::default();
        let printed = logs.lines(run, job, number, range, &mut |line| {
            let at = progress.lines;
            progress.lines += 1;
            let found = tag(line);
            // A group that starts inside another one ends it, as on GitHub's page.
            if let Some(found) = found.filter(|tag| matches!(tag.mark, Mark::Group | Mark::EndGroup)) {
                if let Some((title, first)) = progress.open.take() {
                    let range = LineRange { first, count: at - first };
                    out.line(text!("{}{}", prefix, folded(style, &title, range)))?;
                    progress.folded.push_back((title, range));
                    if progress.folded.len() > MAX_FOLDED {
                        progress.folded.pop_front();
                    }
                }
                let title = || (TerminalText::log_line(found.rest, Colours::None), at + 1);
                progress.open = (found.mark == Mark::Group).then(title);
                return Ok(());
            }
            if progress.open.is_some() {
                return Ok(());
            }
            row.clear();
            row.push(&margin);
            match found {
                Some(_) => row.push(&log_line(line, self.style)),
                None => row.push_log_line(line, style.colours()),
            }
            out.line(&row)
        });
        self.steps.insert(key, progress);
        printed
    }

    /// Ends the output of a step that has ended. A group that is still open ends with the step. If the step failed, the
    /// important lines of its groups are shown.
    fn close(
        &mut self,
        run: &Run,
        (job, number): (&JobId, StepNumber),
        logs: &dyn Logs,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        let Some(progress) = self.steps.remove(&(job.clone(), number)) else { return Ok(()) };
        if run.step(job, number).is_some_and(|step| step.outcome == Some(Conclusion::Failure)) {
            return self.unfold(run, (job, number), progress, logs, out);
        }
        match progress {
            Progress { open: Some((title, first)), lines, .. } => {
                let range = LineRange { first, count: lines - first };
                let prefix = self.step_prefix(run, job, number);
                out.line(text!("{}{}", prefix, folded(self.style, &title, range)))
            }
            _ => Ok(()),
        }
    }

    /// Prints hidden lines of a failed step: at most `MAX_UNFOLDED` lines of each group with an error, and of the group
    /// that was open at its end.
    fn unfold(
        &self,
        run: &Run,
        (job, number): (&JobId, StepNumber),
        progress: Progress,
        logs: &dyn Logs,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        let (style, prefix) = (self.style, self.step_prefix(run, job, number));
        let last = progress.open.map(|(title, first)| (title, LineRange { first, count: progress.lines - first }));
        let ended_in = last.as_ref().map(|(_, range)| range.first);
        for (title, range) in progress.folded.into_iter().chain(last) {
            let mut finder = FirstError::default();
            let mut at = range.first;
            logs.lines(run, job, number, range, &mut |line| {
                finder.look(at, TerminalText::log_line(line, Colours::None).as_str());
                at += 1;
                Ok(())
            })?;
            let end = range.first + range.count;
            let (first, end) = match finder.best() {
                Some((error, _)) => {
                    let first = error.saturating_sub(MAX_UNFOLDED / 2).max(range.first);
                    (first, end.min(first + MAX_UNFOLDED))
                }
                None if ended_in == Some(range.first) => (end.saturating_sub(MAX_UNFOLDED).max(range.first), end),
                None => continue,
            };
            let heading = style.spelled(text!("  ▾ {}", title));
            out.line(text!("{}{}", prefix, style.paint(Hue::Dim, heading)))?;
            let left_out = |count: u64| style.spelled(text!("{}    ⋮ {}", prefix, counted(count, "line")));
            if first > range.first {
                out.line(left_out(first - range.first))?;
            }
            logs.lines(run, job, number, LineRange { first, count: end - first }, &mut |line| {
                out.line(text!("{}    {}", prefix, log_line(line, self.style)))
            })?;
            if end < range.first + range.count {
                out.line(left_out(range.first + range.count - end))?;
            }
        }
        Ok(())
    }
}

impl Printer for Lines {
    fn record(&mut self, run: &Run, record: &Record, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        let style = self.style;
        match &record.event {
            // A run on a server may first be listed without its jobs. Its start is recorded again when the jobs become
            // known.
            Event::RunStarted { attempt, .. } if *attempt == self.announced => Ok(()),
            Event::RunStarted { attempt, name } => {
                self.announced = *attempt;
                let attempt = run.named_attempt().map(|attempt| text!(", {}", attempt)).unwrap_or_default();
                let info = &run.info;
                // Without a `name:`, a workflow is called by its path.
                let workflow = if *name == info.workflow { text!("") } else { text!("{} ", info.workflow) };
                let of = text!("({}on {}{}) run {}", workflow, info.event, attempt, info.id);
                out.line(text!("{} {}", style.bold(name), style.paint(Hue::Dim, of)))
            }
            Event::RunWaiting { gate, name, .. } => {
                let glyph = style.glyph(&run.phase);
                out.line(text!("{} {} is {}: {}", glyph, name, style.word(&run.phase), gate.reason()))
            }
            Event::JobWaiting { job, gate } => out.line(text!("{}{}", self.prefix(run, job), self.waits(gate))),
            Event::ImagePulled { job, image, .. } if self.pulled.insert((job.clone(), image.clone())) => {
                let text = style.paint(Hue::Dim, text!("pulling the image {}", image));
                out.line(text!("{}{}", self.prefix(run, job), text))
            }
            Event::RunnerFound { job, log } => {
                let text = match &log.unavailable {
                    None => text!("· log from the runner {} on this machine", log.runner),
                    Some(why) => text!("· no log from the runner {} on this machine: {}", log.runner, why),
                };
                out.line(text!("{}{}", self.prefix(run, job), style.paint(Hue::Dim, style.spelled(text))))
            }
            Event::ServiceChanged { job, service } => {
                let hue = if service.state.is_bad() { Hue::Bad } else { Hue::Dim };
                out.line(text!("{}{}", self.prefix(run, job), style.paint(hue, state_of(service, style))))
            }
            // The runner's own two steps get a heading only once they print something.
            Event::StepStarted { job, step: number, .. }
                if run.step(job, *number).is_some_and(|step| step.kind != StepKind::Job) =>
            {
                self.heading(run, (job, *number), out)
            }
            Event::Output { job, step: number, .. } if is_kept(run, job, *number) => Ok(()),
            Event::Output { job, step: number, output } => {
                self.output(run, (job, *number), *output, logs, out)?;
                // The log of a job on a server arrives after the end of its steps.
                if run.step(job, *number).is_some_and(|step| step.phase.is_done()) {
                    self.close(run, (job, *number), logs, out)?;
                }
                Ok(())
            }
            Event::LineGrew { job, step, .. } => {
                self.grown = Some((job.clone(), *step));
                Ok(())
            }
            Event::StepHeld { job, step: number, .. } => {
                let Some(step) = run.step(job, *number) else { return Ok(()) };
                let (prefix, mut mark) = (self.prefix(run, job), style.glyph(&step.phase));
                for line in held::waiting(&run.info.id, job, step, style) {
                    out.line(text!("{}{} {}", prefix, mark, line))?;
                    mark = text!(" ");
                }
                Ok(())
            }
            Event::StepFinished { job, step: number, .. } => {
                self.close(run, (job, *number), logs, out)?;
                let Some(step) = run.step(job, *number) else { return Ok(()) };
                // The runner's own two steps are printed only if they fail.
                if step.kind == StepKind::Job && step.phase.conclusion() == Some(Conclusion::Success) {
                    return Ok(());
                }
                let (glyph, ending) = (style.glyph(&step.phase), style.paint(Hue::Dim, ending_of(step)));
                out.line(text!("{}{} {}{}", self.prefix(run, job), glyph, step.name, ending))
            }
            Event::JobFinished { job, conclusion, reason, .. } => {
                let Some(finished) = run.jobs.get(job) else { return Ok(()) };
                let time = took(finished.started, finished.finished);
                // The reason of a deployment stands in the last line, which follows.
                let reason =
                    reason.as_ref().filter(|_| *conclusion != Conclusion::Success && !run.info.is_deployment());
                let reason = reason.map(|reason| text!(": {}", reason)).unwrap_or_default();
                let (glyph, word) = (style.glyph(finished.progress()), style.word(&finished.phase));
                let text = style.bold(text!("{}{}{}", word, time, reason));
                out.line(text!("{}{} {}", self.prefix(run, job), glyph, text))
            }
            Event::ReviewsPending { environments } => {
                environments.iter().try_for_each(|review| out.line(waiting(review, &run.info.id, style, record.at)))
            }
            Event::Reviewed { environments, approved, by, comment } => {
                let verb = if *approved { "approved" } else { "rejected" };
                let comment = if comment.is_empty() { text!("") } else { text!(": {}", first_line(comment)) };
                out.line(text!("{} {} {}{}", by, verb, environments.join(", "), comment))
            }
            Event::Notified { job, channel, about, message, failure: Some(reason) } => {
                let text = notified(*channel, *about, message, Some(reason));
                out.line(text!("{}{}", self.prefix(run, job), style.paint(Hue::Bad, text!("note: {}", text))))
            }
            Event::DeploymentRecorded { job, page, failure } => {
                let text = text!("note: {}", recorded(page.as_deref(), failure.as_deref()));
                let hue = if failure.is_some() { Hue::Bad } else { Hue::Dim };
                out.line(text!("{}{}", self.prefix(run, job), style.paint(hue, text)))
            }
            Event::Ordered { command, reply, by } => {
                let by = by.as_ref().map_or_else(|| text!(""), |by| text!(" by {}", by));
                out.line(style.paint(Hue::Busy, text!("{}{}: {}", order(command), by, answer(reply))))
            }
            _ => Ok(()),
        }
    }

    /// Returns the incomplete line that grew most recently; `None` if no line is incomplete, or if it is in a folded
    /// group. Its colours are shown once the line is complete.
    fn open_line(&self, run: &Run, logs: &dyn Logs, columns: usize) -> io::Result<Option<TerminalText>> {
        // This check is cheap: most runs have no such line, but may have thousands of steps.
        let Some(grown) = &self.grown else { return Ok(None) };
        let steps = run.jobs.values().flat_map(|job| job.steps.iter().map(move |step| (job, step)));
        let open = || steps.clone().filter(|(_, step)| step.open > 0 && step.phase.is_active());
        let last = open().find(|(job, step)| (&job.id, &step.number) == (&grown.0, &grown.1));
        let Some((job, step)) = last.or_else(|| open().next_back()) else { return Ok(None) };
        // The lines of a group are hidden while it is open.
        if self.steps.get(&(job.id.clone(), step.number)).is_some_and(|progress| progress.open.is_some()) {
            return Ok(None);
        }
        let mut text = None;
        let last = LineRange { first: step.lines.saturating_sub(1), count: 1 };
        logs.lines(run, &job.id, step.number, last, &mut |line| {
            let found = tag(line);
            if !found.as_ref().is_some_and(|tag| matches!(tag.mark, Mark::Group | Mark::EndGroup)) {
                let (label, rest) = found.map_or(("", line), |tag| (tag.label, tag.rest));
                text = Some(text!("{}{}", label, TerminalText::log_line(rest, Colours::None)));
            }
            Ok(())
        })?;
        let Some(text) = text else { return Ok(None) };
        let margin = text!("{}  ", self.step_prefix(run, &job.id, step.number));
        // The cursor needs a column after the line.
        let room = columns.saturating_sub(margin.width() + 1);
        let ellipsis = self.style.spelled(text!("…"));
        Ok(Some(text!("{}{}", margin, clip_start(text.as_str(), room, ellipsis.as_str()))))
    }

    fn waiting(&mut self, run: &Run, jobs: &[&JobId], gate: &Gate, out: &mut Out<'_>) -> io::Result<()> {
        let (style, columns) = (self.style, columns_of(run));
        let count = style.paint(Hue::Dim, text!("{:<columns$} │ ", counted(jobs.len() as u64, "job")));
        let names = jobs.iter().map(|job| run.job_name(job));
        let names = style.paint(Hue::Dim, text!(" ({})", first_names(names, MAX_NAMES)));
        out.line(text!("{}{}{}", style.spelled(count), self.waits(gate), style.spelled(names)))
    }

    fn end(&mut self, run: &Run, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        out.print(&ending(run, self.style, logs)?)
    }
}

/// Returns the width of the names of the jobs before their lines.
fn columns_of(run: &Run) -> usize {
    let most = if run.jobs.len() == 1 { MAX_ONLY_PREFIX } else { MAX_PREFIX };
    run.jobs.values().map(|job| width(&job.name)).max().unwrap_or(0).min(most)
}

/// Returns a line of a log. A runner command at its start is replaced by a label, and the line gets the hue of the
/// command.
pub fn log_line(line: &[u8], style: Style) -> TerminalText {
    match tag(line) {
        Some(tag) => {
            let rest = TerminalText::log_line(tag.rest, Colours::None);
            style.paint(tag.hue, text!("{}{}", style.spelled(text!("{}", tag.label)), rest))
        }
        None => TerminalText::log_line(line, style.colours()),
    }
}

/// Whether a step did not run in the current attempt of a run on this machine: it is skipped, or it keeps its result and
/// its lines, which an earlier attempt has printed.
pub(super) fn is_kept(run: &Run, job: &JobId, step: StepNumber) -> bool {
    // A server may not tell when a step started.
    let is_local = run.info.remote.is_none();
    is_local && run.step(job, step).is_some_and(|step| step.phase.is_done() && step.started.is_none())
}

/// Whether a line only ends a group.
pub fn ends_group(line: &[u8]) -> bool {
    tag(line).is_some_and(|tag| tag.mark == Mark::EndGroup)
}

/// Returns the line of a folded group.
fn folded(style: Style, title: &TerminalText, range: LineRange) -> TerminalText {
    let line = style.spelled(text!("  ▸ {} ({})", title, counted(range.count, "line")));
    style.paint(Hue::Dim, line)
}

/// Returns a service and its state, with its ports while it is up, or with the problem if its state is bad.
fn state_of(service: &Service, style: Style) -> TerminalText {
    let up = matches!(service.state, ServiceState::Running | ServiceState::Healthy);
    let reached = service.ports.iter().filter(|_| up).map(|(inside, outside)| {
        let of = if inside == outside { String::new() } else { format!(" for {inside}") };
        format!("localhost:{outside}{of}")
    });
    let reached = reached.collect::<Vec<_>>().join(", ");
    let detail = service.detail.as_deref().filter(|_| service.state.is_bad()).map(first_line).unwrap_or_default();
    let parts = [("  ", reached.as_str()), (": ", detail)].into_iter().filter(|(_, part)| !part.is_empty());
    let parts = parts.map(|(before, part)| text!("{}{}", before, part));
    std::iter::once(text!("service {} {}", service.name, style.service(service.state))).chain(parts).collect()
}

/// Returns the text after a finished step's name: its time, and why it did not succeed.
fn ending_of(step: &Step) -> TerminalText {
    let mut ending = TerminalText::default();
    if let (Some(started), Some(finished)) = (step.started, step.finished) {
        ending.push(&text!("  {}", duration(finished.since(started))));
    }
    let succeeded = step.outcome == Some(Conclusion::Success);
    // A step that succeeded without a start was kept from an earlier attempt.
    if let Some(reason) = step.reason.as_ref().filter(|_| !succeeded || step.started.is_none()) {
        ending.push(&text!("  {}", first_line(reason)));
    }
    if step.outcome == Some(Conclusion::Failure) && step.phase.conclusion() == Some(Conclusion::Success) {
        ending.push(&text!(" (allowed)"));
    }
    ending
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::annotation;
    use crate::report::testing::{Story, Terminal};
    use crate::ui::theme::Glyphs;

    fn printed(story: &Story, glyphs: Glyphs, colour: bool) -> String {
        story.print(&mut Lines::new(Style::new(glyphs, colour)))
    }

    fn plain(story: &Story) -> String {
        printed(story, Glyphs::Unicode, false)
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
    fn jobs_have_prefixes_groups_fold_and_a_failure_unfolds_its_group() {
        insta::assert_snapshot!("mixed", plain(&mixed()));
    }

    #[test]
    fn many_jobs_that_wait_for_the_same_have_one_line() {
        let names: Vec<String> = (1..=60).map(|number| format!("leg-{number}")).collect();
        let mut story = Story::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
        story.wait(&["leg-1"], &Gate::Capacity);
        let legs: Vec<&str> = names.iter().map(String::as_str).collect();
        story.wait(&legs, &Gate::Runner(vec!["tpu".to_owned()]));
        story.wait(&["leg-2", "leg-3"], &Gate::Capacity);
        let text = plain(&story);
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("pending")).collect();
        assert_eq!(
            lines,
            [
                "leg-1  │ · pending: waits for a free slot",
                "60 jobs │ · pending: waits for a runner with tpu (leg-1, leg-2, leg-3, …)",
                "2 jobs │ · pending: waits for a free slot (leg-2, leg-3)",
            ]
        );
    }

    #[test]
    fn ascii_terminals_get_ascii() {
        let text = printed(&mixed(), Glyphs::Ascii, false);
        assert!(text.is_ascii(), "{text}");
    }

    #[test]
    fn colour_is_only_added() {
        let coloured = printed(&mixed(), Glyphs::Unicode, true);
        assert!(coloured.contains("\u{1b}[0;1;31m"));
        assert_eq!(TerminalText::coloured(&coloured).plain(), plain(&mixed()));
    }

    #[test]
    fn a_step_that_ends_inside_a_group_shows_its_end() {
        let mut story = Story::new(&["a"]);
        let lines: Vec<String> = (1..=200).map(|number| format!("line {number}")).collect();
        let log: Vec<&str> = std::iter::once("##[group]Long").chain(lines.iter().map(String::as_str)).collect();
        story.step("a", 2, "Work", &log, 3);
        story.finish("a", Conclusion::Failure);
        story.end(Conclusion::Failure);
        let text = plain(&story);
        assert!(text.contains("▾ Long\n") && text.contains("⋮ 140 lines\n"), "{text}");
        assert!(text.contains("    line 200\n") && !text.contains("    line 140\n"), "{text}");
    }

    #[test]
    fn a_group_that_is_open_at_the_end_of_its_step_is_folded_whatever_the_end() {
        let mut story = Story::new(&["a"]);
        story.step("a", 2, "Green", &["##[group]One", "in one", "##[group]Two", "in two", "last"], 0);
        story.step("a", 3, "Empty", &["before", "##[group]Three"], 0);
        story.step("a", 4, "Next", &["outside"], 0);
        story.finish("a", Conclusion::Success);
        story.end(Conclusion::Success);
        let text = plain(&story);
        assert!(text.contains("▸ One (1 line)\n") && text.contains("▸ Two (2 lines)\n"), "{text}");
        assert!(text.contains("▸ Three (0 lines)\n") && text.contains("  outside\n"), "{text}");
        assert!(!text.contains("in two"), "{text}");
    }

    #[test]
    fn a_log_that_comes_after_the_end_of_its_job_is_printed_step_by_step() {
        let mut story = Story::new(&["a", "b"]);
        story.step("a", 2, "Build", &[], 0);
        story.step("a", 3, "Test", &[], 1);
        story.finish("a", Conclusion::Failure);
        story.late("a", 2, &["##[group]Run make", "cc a.c", "##[endgroup]", "built"]);
        story.late("a", 3, &["##[group]Run make test", "one failed", "##[endgroup]", "##[error]exit code 1"]);
        story.finish("b", Conclusion::Success);
        story.end(Conclusion::Failure);
        insta::assert_snapshot!("late", plain(&story));
    }

    #[test]
    fn a_step_that_an_earlier_attempt_ran_is_one_line() {
        let mut story = Story::new(&["a"]);
        story.kept("a", 2, "First", &["one", "two"], "kept from attempt 1");
        story.step("a", 3, "Second", &["three"], 0);
        let text = plain(&story);
        assert!(text.contains("a │ ✓ First  kept from attempt 1\na │ ▸ Second\na │   three\n"), "{text}");
        assert!(!text.contains("▸ First") && !text.contains("  one"), "{text}");
        let sentences = story.print(&mut crate::report::Linear::default());
        assert!(sentences.contains("a: step 2, First, kept from attempt 1\n"), "{sentences}");
        let commands = story.print(&mut crate::report::GitHub::new(Style::new(Glyphs::Unicode, false)));
        assert!(commands.contains("kept from attempt 1") && !commands.contains("one\n"), "{commands}");
    }

    #[test]
    fn lines_of_steps_that_run_at_once_are_marked_with_the_step() {
        let mut story = Story::new(&["build"]);
        story.step("build", 2, "Fetch", &["one", "two"], 0);
        let (lint, test) = (["##[group]Rules", "a", "##[endgroup]", "fine"], ["ok 1", "ok 2", "ok 3"]);
        story.steps_at_once("build", &[(3, "Lint", &lint), (4, "Unit tests", &test)]);
        story.step("build", 5, "Pack", &["packed"], 0);
        story.finish("build", Conclusion::Success);
        story.end(Conclusion::Success);
        insta::assert_snapshot!("at_once", plain(&story));
    }

    #[test]
    fn a_line_without_its_end_is_shown_below_the_others_while_it_grows() {
        let mut printer = Lines::new(Style::new(Glyphs::Unicode, false));
        let mut terminal = Terminal::new(Story::new(&["a", "b"]), 40, &mut printer);
        terminal.step("a", 2, "Test");
        terminal.prints("a", 2, "one\n..");
        assert_eq!(terminal.rows(3), ["a │ ▸ Test", "a │   one", "a │   .."]);
        terminal.prints("a", 2, "...");
        assert_eq!(terminal.rows(2), ["a │   one", "a │   ....."]);
        // Lines of another job appear above the incomplete line, and the line that grew last is shown.
        terminal.step("b", 2, "Fetch");
        assert_eq!(terminal.rows(3), ["a │   one", "b │ ▸ Fetch", "a │   ....."]);
        terminal.prints("b", 2, "begin\n\r10 %\r20 %");
        assert_eq!(terminal.rows(3), ["b │ ▸ Fetch", "b │   begin", "b │   20 %"]);
        terminal.prints("b", 2, "\r100 %\n");
        assert_eq!(terminal.rows(3), ["b │   begin", "b │   100 %", "a │   ....."]);
        terminal.prints("a", 2, &format!("{} end", "x".repeat(200)));
        let row = format!("a │   …{} end", "x".repeat(28));
        assert_eq!(terminal.rows(2), ["b │   100 %", &row]);
        assert_eq!(width(&row), 39, "the cursor stays in the row");
        terminal.prints("a", 2, "ed\n##[group]Hidden\nin it\nhalf");
        let whole = format!("a │   .....{} ended", "x".repeat(200));
        assert_eq!(terminal.rows(1), [whole], "what is folded stays hidden");
        terminal.prints("a", 2, "\n##[endgroup]\n##[error]it is");
        assert_eq!(terminal.rows(2), ["a │   ▸ Hidden (2 lines)", "a │   Error: it is"]);
    }

    #[test]
    fn only_whole_lines_are_printed_where_there_is_no_terminal() {
        let mut story = mixed();
        story.line_grew("build", 3, 0, 4);
        assert_eq!(plain(&story), plain(&mixed()));
    }
}
