//! A run as lines for people: what each job prints behind its name, groups folded, and a table at the end.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::cli::style::{Colour, Style, duration};
use crate::model::{Conclusion, Event, Job, JobId, Level, LineRange, Record, Run, Step, StepKind, StepNumber};
use crate::store::first_error::FirstError;

use super::{Logs, Printer};

/// Longer names of jobs are cut in the prefix.
const LONGEST_PREFIX: usize = 24;

/// Prints lines.
pub(in crate::cli) struct Lines {
    style: Style,
    /// Groups that are open, by step: title and how many lines they hide.
    groups: HashMap<(JobId, StepNumber), (String, usize)>,
    /// Steps whose heading was printed.
    headed: Vec<(JobId, StepNumber)>,
}

impl Lines {
    pub(in crate::cli) fn new(style: Style) -> Self {
        Self { style, groups: HashMap::new(), headed: Vec::new() }
    }

    fn prefix(&self, run: &Run, job: &JobId) -> String {
        let width = run.jobs.values().map(|job| job.name.chars().count()).max().unwrap_or(0).min(LONGEST_PREFIX);
        let name = run.jobs.get(job).map_or(job.as_str(), |job| job.name.as_str());
        let cut: String = if name.chars().count() > width {
            name.chars().take(width.saturating_sub(1)).chain(std::iter::once('…')).collect()
        } else {
            name.to_owned()
        };
        let bar = if self.style.ascii { '|' } else { '│' };
        self.style.paint(Colour::Dim, &format!("{cut:<width$} {bar} "))
    }

    fn output(&mut self, run: &Run, job: &JobId, number: StepNumber, range: LineRange, logs: &Logs) -> io::Result<()> {
        let prefix = self.prefix(run, job);
        let mut out = io::BufWriter::new(io::stdout().lock());
        let key = (job.clone(), number);
        if !self.headed.contains(&key) {
            self.headed.push(key.clone());
            let name = step(run, job, number).map(|step| step.name.clone()).unwrap_or_default();
            let mark = if self.style.ascii { '>' } else { '▸' };
            writeln!(out, "{prefix}{}", self.style.paint(Colour::Bold, &format!("{mark} {name}")))?;
        }
        logs.lines(run, job, number, range, &mut |line| {
            let text = shown(line, self.style.colour);
            if let Some(title) = text.strip_prefix("##[group]") {
                self.groups.insert(key.clone(), (title.to_owned(), 0));
                return Ok(());
            }
            if text.starts_with("##[endgroup]") {
                return match self.groups.remove(&key) {
                    Some((title, hidden)) => {
                        let folded = format!("  ▸ {title} ({hidden} lines)");
                        let folded = if self.style.ascii { folded.replace('▸', ">") } else { folded };
                        writeln!(out, "{prefix}{}", self.style.paint(Colour::Dim, &folded))
                    }
                    None => Ok(()),
                };
            }
            if let Some((_, hidden)) = self.groups.get_mut(&key) {
                *hidden += 1;
                return Ok(());
            }
            writeln!(out, "{prefix}  {}", self.tagged(&text))
        })?;
        out.flush()
    }

    /// A line whose tag is shown as a word in its colour.
    fn tagged(&self, text: &str) -> String {
        let tags = [
            ("##[error]", "error: ", Colour::Red),
            ("##[warning]", "warning: ", Colour::Yellow),
            ("##[notice]", "notice: ", Colour::Blue),
            ("##[debug]", "debug: ", Colour::Dim),
        ];
        for (tag, word, colour) in tags {
            if let Some(rest) = text.strip_prefix(tag) {
                return self.style.paint(colour, &format!("{word}{rest}"));
            }
        }
        text.to_owned()
    }

    fn say(&self, run: &Run, job: &JobId, text: &str) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{}{text}", self.prefix(run, job))
    }
}

impl Printer for Lines {
    fn record(&mut self, run: &Run, record: &Record, logs: &Logs) -> io::Result<()> {
        match &record.event {
            Event::RunStarted { attempt, name } => {
                let attempt = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                let of = format!("{} on {}{attempt}", run.workflow, run.event);
                let line = format!(
                    "{} {}",
                    self.style.paint(Colour::Bold, name),
                    self.style.paint(Colour::Dim, &format!("({of}) run {}", run.id))
                );
                writeln!(io::stdout().lock(), "{line}")
            }
            Event::Output { job, step, output } => self.output(run, job, *step, *output, logs),
            Event::StepFinished { job, step: number, .. } => {
                self.groups.remove(&(job.clone(), *number));
                let Some(step) = step(run, job, *number) else { return Ok(()) };
                // The two steps around those of the file are told only when something is wrong with them.
                if step.kind == StepKind::Job && step.phase.conclusion() == Some(Conclusion::Success) {
                    return Ok(());
                }
                let text = format!("{} {}{}", self.style.glyph(&step.phase), step.name, ending(self.style, step));
                self.say(run, job, &text)
            }
            Event::JobFinished { job, conclusion, reason, .. } => {
                let Some(finished) = run.jobs.get(job) else { return Ok(()) };
                let time = took(finished).map(|time| format!(" in {time}")).unwrap_or_default();
                let reason = reason.as_ref().filter(|_| *conclusion != Conclusion::Success);
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                let text = format!("{} {}{time}{reason}", self.style.glyph(&finished.phase), conclusion.word());
                self.say(run, job, &self.style.paint(Colour::Bold, &text))
            }
            Event::Ordered { command, reply } => {
                let text = format!("{command:?}: {reply:?}");
                writeln!(io::stdout().lock(), "{}", self.style.paint(Colour::Yellow, &text))
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, run: &Run, logs: &Logs) -> io::Result<()> {
        let mut text = String::from("\n");
        text.push_str(&table(run, self.style));
        text.push_str(&failures(run, self.style, logs)?);
        text.push_str(&closing(run, self.style));
        io::stdout().lock().write_all(text.as_bytes())
    }
}

/// The jobs of a run, how each ended, and how long it took.
pub(in crate::cli) fn table(run: &Run, style: Style) -> String {
    let width = run.jobs.values().map(|job| job.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for job in run.jobs.values() {
        let mut word = job.phase.word().to_owned();
        if job.allowed_failure {
            word.push_str(" (allowed)");
        }
        let time = took(job).unwrap_or_default();
        let reason = job.reason.as_ref().filter(|_| job.phase.conclusion() != Some(Conclusion::Success));
        let reason =
            reason.map(|reason| format!("  {}", reason.lines().next().unwrap_or_default())).unwrap_or_default();
        let url = job.environment_url.as_ref().map(|url| format!("  {url}")).unwrap_or_default();
        let glyph = style.glyph(&job.phase);
        let row =
            format!("{glyph} {:<width$}  {word:<18}{time:>8}{}{url}", job.name, style.paint(Colour::Dim, &reason));
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

/// For each job that failed, the first line that says what is wrong, and where it stands.
fn failures(run: &Run, style: Style, logs: &Logs) -> io::Result<String> {
    let mut text = String::new();
    let failed = run
        .jobs
        .values()
        .filter(|job| matches!(job.phase.conclusion(), Some(Conclusion::Failure | Conclusion::TimedOut)));
    for job in failed {
        let ended = |step: &&Step| step.phase.conclusion() == Some(Conclusion::Failure);
        let Some(step) = job.steps.iter().find(ended) else { continue };
        let (line, place) = first_error(run, job, step, logs)?;
        let heading = format!("\n{} {} › {}", style.glyph(&job.phase), job.name, step.name);
        let heading = if style.ascii { heading.replace('›', ">") } else { heading };
        let reason = step.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let _ = writeln!(text, "{}{reason}", style.paint(Colour::Bold, &heading));
        let _ = writeln!(text, "    {}", style.paint(Colour::Red, line.lines().next().unwrap_or_default()));
        if !place.is_empty() {
            let _ = writeln!(text, "    {}", style.paint(Colour::Dim, &place));
        }
    }
    Ok(text)
}

/// What is wrong with a failed step, and where that stands: an error with a place, a line that looks like an error, a
/// warning with a place, the last words.
fn first_error(run: &Run, job: &Job, step: &Step, logs: &Logs) -> io::Result<(String, String)> {
    let placed = |level: Level| {
        let found = step.annotations.iter().find(|found| found.level == level && found.file.is_some())?;
        let line = found.line.map(|line| format!(":{line}")).unwrap_or_default();
        Some((found.message.clone(), format!("{}{line}", found.file.as_deref().unwrap_or_default())))
    };
    if let Some(found) = placed(Level::Error) {
        return Ok(found);
    }
    let mut finder = FirstError::default();
    let mut number = 0;
    logs.lines(run, &job.id, step.number, LineRange { first: 0, count: step.lines }, &mut |line| {
        finder.look(number, &String::from_utf8_lossy(line));
        number += 1;
        Ok(())
    })?;
    let in_log = |(number, line): (u64, String)| (line, format!("line {} of its log", number + 1));
    let found = finder.best().map(in_log).or_else(|| placed(Level::Warning)).or_else(|| finder.found().map(in_log));
    Ok(found.unwrap_or_else(|| ("it printed nothing".to_owned(), String::new())))
}

/// How the run ended, and what to do next.
fn closing(run: &Run, style: Style) -> String {
    let word = run.phase.word();
    let time = match (run.started, run.finished) {
        (Some(started), Some(finished)) => format!(" in {}", duration(finished.since(started))),
        _ => String::new(),
    };
    let reason = run.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let mut text =
        format!("\n{} {}{reason}\n", style.glyph(&run.phase), style.paint(Colour::Bold, &format!("{word}{time}")));
    if run.phase.conclusion().is_some_and(Conclusion::is_bad) {
        let next = format!("cuelight logs {id} --failed · cuelight rerun {id} --failed", id = run.id);
        let next = if style.ascii { next.replace('·', "|") } else { next };
        let _ = writeln!(text, "  {}", style.paint(Colour::Dim, &next));
    }
    text
}

fn step<'r>(run: &'r Run, job: &JobId, number: StepNumber) -> Option<&'r Step> {
    run.jobs.get(job)?.steps.iter().find(|step| step.number == number)
}

fn took(job: &Job) -> Option<String> {
    Some(duration(job.finished?.since(job.started?)))
}

/// What stands behind a finished step's name.
fn ending(style: Style, step: &Step) -> String {
    let mut text = String::new();
    if let (Some(started), Some(finished)) = (step.started, step.finished) {
        let _ = write!(text, "  {}", duration(finished.since(started)));
    }
    let succeeded = step.outcome == Some(Conclusion::Success);
    if let Some(reason) = step.reason.as_ref().filter(|_| !succeeded) {
        let _ = write!(text, "  {}", reason.lines().next().unwrap_or_default());
    }
    if step.outcome == Some(Conclusion::Failure) && step.phase.conclusion() == Some(Conclusion::Success) {
        text.push_str(" (allowed)");
    }
    style.paint(Colour::Dim, &text)
}

/// A line fit for a terminal: colours stay on one, and every other control sequence is dropped.
pub(in crate::cli) fn shown(line: &[u8], colour: bool) -> String {
    let text = String::from_utf8_lossy(line);
    if !text.contains(|c: char| c.is_control()) {
        return text.into_owned();
    }
    let mut cleaner = Cleaner { text: String::with_capacity(text.len()), colour, dressed: false };
    vte::Parser::new().advance(&mut cleaner, text.as_bytes());
    if cleaner.dressed {
        cleaner.text.push_str("\u{1b}[0m");
    }
    cleaner.text
}

struct Cleaner {
    text: String,
    colour: bool,
    dressed: bool,
}

impl vte::Perform for Cleaner {
    fn print(&mut self, c: char) {
        self.text.push(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\t' => self.text.push('\t'),
            // A carriage return writes over what stands there, as progress bars do: the last version counts.
            b'\r' => {}
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &vte::Params, _: &[u8], _: bool, action: char) {
        if action == 'm' && self.colour {
            let params: Vec<_> =
                params.iter().map(|group| group.iter().map(u16::to_string).collect::<Vec<_>>().join(":")).collect();
            let _ = write!(self.text, "\u{1b}[{}m", params.join(";"));
            self.dressed = true;
        }
    }
}
