//! What a run came to, after its last record: the table of jobs, what is wrong with each that failed, what was remarked
//! with a place, and what to do next.

use std::fmt::Write as _;
use std::io;

use crate::cli::style::{Colour, Style, duration};
use crate::model::{Annotation, Conclusion, Job, Level, LineRange, Run, Step, StepKind};
use crate::store::first_error::FirstError;

use super::Logs;
use super::text::shown;

/// How far before a failed step's end its first error is looked for: more than anybody reads, and a moment's work.
const LOOK_BACK: u64 = 100_000;

/// How many annotations are listed; the rest is counted.
const ANNOTATIONS: usize = 10;

/// All that is said at the end of a run.
pub(super) fn ending(run: &Run, style: Style, logs: &dyn Logs) -> io::Result<String> {
    let text = format!(
        "\n{}{}{}{}",
        table(run, style),
        failures(run, style, logs)?,
        annotations(run, style),
        closing(run, style)
    );
    Ok(style.spelled(text))
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
        let reason = reason.map(|reason| format!("  {}", first_line(reason))).unwrap_or_default();
        let url = job.environment_url.as_ref().map(|url| format!("  {url}")).unwrap_or_default();
        let glyph = style.glyph(&job.phase);
        let row =
            format!("{glyph} {:<width$}  {word:<18}{time:>8}{}{url}", job.name, style.paint(Colour::Dim, &reason));
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

/// For each job that failed, the first line that says what is wrong, and where it stands.
fn failures(run: &Run, style: Style, logs: &dyn Logs) -> io::Result<String> {
    let mut text = String::new();
    let bad = |conclusion| matches!(conclusion, Some(Conclusion::Failure | Conclusion::TimedOut));
    for job in run.jobs.values().filter(|job| bad(job.phase.conclusion())) {
        let Some(step) = job.steps.iter().find(|step| bad(step.phase.conclusion())) else { continue };
        let (line, place) = first_error(run, job, step, logs)?;
        let heading = style.paint(Colour::Bold, &format!("{} › {}", job.name, step.name));
        let reason = step.reason.as_ref().map(|reason| format!(" ({})", first_line(reason))).unwrap_or_default();
        let _ = writeln!(text, "\n{} {heading}{reason}", style.glyph(&job.phase));
        let _ = writeln!(text, "    {}", style.paint(Colour::Red, first_line(&line)));
        if !place.is_empty() {
            let _ = writeln!(text, "    {}", style.paint(Colour::Dim, &place));
        }
    }
    Ok(text)
}

/// What is wrong with a failed step, and where that stands: an error with a place, a line that looks like an error, a
/// warning with a place, the last words.
fn first_error(run: &Run, job: &Job, step: &Step, logs: &dyn Logs) -> io::Result<(String, String)> {
    let placed = |level: Level| {
        let found = step.annotations.iter().find(|found| found.level == level && found.file.is_some())?;
        Some((found.message.clone(), place(found)))
    };
    if let Some(found) = placed(Level::Error) {
        return Ok(found);
    }
    let mut finder = FirstError::default();
    let mut number = step.lines.saturating_sub(LOOK_BACK);
    logs.lines(run, &job.id, step.number, LineRange { first: number, count: LOOK_BACK }, &mut |line| {
        finder.look(number, &shown(line, false));
        number += 1;
        Ok(())
    })?;
    let in_log = |(number, line): (u64, String)| {
        let place = finder.place().unwrap_or_else(|| format!("line {} of its log", number + 1));
        (line, place)
    };
    let found = finder.best().map(in_log).or_else(|| placed(Level::Warning)).or_else(|| finder.found().map(in_log));
    Ok(found.unwrap_or_else(|| ("it printed nothing".to_owned(), String::new())))
}

/// What was remarked about lines of files, the worst first.
fn annotations(run: &Run, style: Style) -> String {
    let of_step = |job: &'_ Job, step: &'_ Step| {
        let heading = format!("{} › {}", job.name, step.name);
        step.annotations.iter().map(|found| (found.clone(), heading.clone())).collect::<Vec<_>>()
    };
    let all = run.jobs.values().flat_map(|job| job.steps.iter().flat_map(move |step| of_step(job, step)));
    let mut placed: Vec<_> = all.filter(|(found, _)| found.file.is_some()).collect();
    if placed.is_empty() {
        return String::new();
    }
    placed.sort_by_key(|(found, _)| std::cmp::Reverse(found.level));
    let mut text = "\n".to_owned();
    for (found, heading) in placed.iter().take(ANNOTATIONS) {
        let (word, colour) = match found.level {
            Level::Error => ("error", Colour::Red),
            Level::Warning => ("warning", Colour::Yellow),
            Level::Notice => ("notice", Colour::Blue),
        };
        let title = found.title.as_ref().map(|title| format!("{title}: ")).unwrap_or_default();
        let said = format!("{}: {title}{}", place(found), first_line(&found.message));
        let heading = style.paint(Colour::Dim, &format!("  {heading}"));
        let _ = writeln!(text, "{} {said}{heading}", style.paint(colour, &format!("{word:<8}")));
    }
    if placed.len() > ANNOTATIONS {
        let more = format!("and {} more: cuelight show {} --json", placed.len() - ANNOTATIONS, run.info.id);
        let _ = writeln!(text, "{}", style.paint(Colour::Dim, &more));
    }
    text
}

/// `file:line:column`, as far as it is known.
fn place(found: &Annotation) -> String {
    let number = |number: Option<u32>| number.map(|number| format!(":{number}")).unwrap_or_default();
    let column = number(found.column.filter(|_| found.line.is_some()));
    format!("{}{}{column}", found.file.as_deref().unwrap_or_default(), number(found.line))
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
        let mut next = format!("cuelight logs {id} --failed · cuelight rerun {id} --failed", id = run.info.id);
        let failed = |job: &&Job| {
            let of_the_file = |step: &Step| step.kind == StepKind::Main && step.outcome == Some(Conclusion::Failure);
            job.steps.iter().any(of_the_file)
        };
        if let Some(job) = run.jobs.values().find(failed) {
            let _ = write!(next, " · cuelight shell {} {}", run.info.id, job.id);
        }
        let _ = writeln!(text, "  {}", style.paint(Colour::Dim, &next));
    }
    text
}

/// How long a job took, once it has ended.
pub(super) fn took(job: &Job) -> Option<String> {
    Some(duration(job.finished?.since(job.started?)))
}

/// The first line of a text that may have several.
pub(super) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
