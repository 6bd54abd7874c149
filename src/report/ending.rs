//! The summary after a run's last record: the table of jobs, the first error of each failed job, the annotations of
//! files, and what to do next.

use std::io;

use indexmap::IndexMap;

use crate::model::legs::{self, alike, titled};
use crate::model::{Annotation, Conclusion, EndReason, Job, Level, LineRange, Phase, Run, Step, StepKind};
use crate::report::style::{Style, column};
use crate::store::first_error::FirstError;
use crate::ui::terminal_text::TerminalText;
use crate::ui::terminal_text::text;
use crate::ui::text::{duration, width};
use crate::ui::theme::{Colours, Hue};

use super::{Logs, diagnosis};

/// Number of lines at the end of a failed step's log in which its first error is searched. The limit keeps the search
/// of a very long log fast.
const LOOK_BACK: u64 = 100_000;

/// Maximum number of annotations that are listed; the others are counted.
const MAX_ANNOTATIONS: usize = 10;

/// Returns the summary at the end of a run.
pub(super) fn ending(run: &Run, style: Style, logs: &dyn Logs) -> io::Result<TerminalText> {
    let mut failures = failures(run, style, logs)?;
    if let Some(failed) = diagnosis::of(run, logs)? {
        failures.push(&text!("\n{}", failed.text(style)));
    }
    Ok(style.spelled(text!(
        "\n{}{}{}{}",
        table(run, style),
        failures,
        annotations(run, style, logs),
        closing(run, style)
    )))
}

/// Returns a table of the jobs of a run, with their results and durations. Legs of a matrix that did not succeed for
/// the same reason share a row.
pub fn table(run: &Run, style: Style) -> TerminalText {
    let succeeded = |job: &Job| job.phase.conclusion() == Some(Conclusion::Success);
    let rows = alike(run.jobs.values()).into_iter().map(|jobs| match titled(&jobs) {
        Some((title, values)) => (title, Some(values), jobs),
        None => (jobs[0].name.clone(), None, jobs),
    });
    let rows: Vec<_> = rows.collect();
    let columns = column(rows.iter().map(|(title, ..)| width(title)));
    let mut table = TerminalText::default();
    for (title, values, jobs) in rows {
        let job = jobs[0];
        let word = format!("{}{}", style.word(&job.phase), if job.allowed_failure { " (allowed)" } else { "" });
        let time = jobs.iter().filter_map(|job| Some(job.finished?.since(job.started?))).max();
        let time = time.map(duration).unwrap_or_default();
        let reason = legs::reason(&jobs).filter(|_| !succeeded(job));
        let reason = reason.map(|reason| text!("  {}", first_line(&reason))).unwrap_or_default();
        let url = job.environment_url.as_ref().map(|url| text!("  {}", url)).unwrap_or_default();
        let (glyph, reason) = (style.glyph(&job.phase), style.paint(Hue::Dim, reason));
        let row = text!("{} {:<columns$}  {:<18}{:>8}{}{}", glyph, title, word, time, reason, url);
        table.push_line(&row.trim_end());
        if let Some(values) = values {
            table.push_line(&style.paint(Hue::Dim, text!("    {}", values)));
        }
    }
    table
}

/// Returns the line that best describes the failure of each failed job, and its location. Legs of a matrix that failed
/// in the same step with the same line are named together.
fn failures(run: &Run, style: Style, logs: &dyn Logs) -> io::Result<TerminalText> {
    let mut causes: IndexMap<_, Vec<&Job>> = IndexMap::new();
    for job in run.jobs.values().filter(|job| is_failed(&job.phase)) {
        let Some(step) = failed_step(job) else { continue };
        let cause = (&job.key, &step.name, &step.reason, first_error(run, job, step, logs)?);
        causes.entry(cause).or_default().push(job);
    }
    let mut failures = TerminalText::default();
    for ((_, step, reason, (line, place)), jobs) in causes {
        let (title, values) = titled(&jobs).unwrap_or_else(|| (jobs[0].name.clone(), String::new()));
        let heading = style.bold(text!("{} › {}", title, step));
        let reason = reason.as_ref().map(|reason| text!(" ({})", first_line(reason))).unwrap_or_default();
        failures.push_line(&text!("\n{} {}{}", style.glyph(&jobs[0].phase), heading, reason));
        failures.push_line(&text!("    {}", style.paint(Hue::Bad, first_line(&line))));
        for detail in [linked(&place, style, logs), text!("{}", values)].iter().filter(|detail| !detail.is_empty()) {
            failures.push_line(&text!("    {}", style.paint(Hue::Dim, detail)));
        }
    }
    Ok(failures)
}

/// Whether a job or a step failed, or exceeded its time limit.
pub(super) fn is_failed(phase: &Phase) -> bool {
    matches!(phase.conclusion(), Some(Conclusion::Failure | Conclusion::TimedOut))
}

/// Returns the first failed step of a job; `None` if none failed.
pub(super) fn failed_step(job: &Job) -> Option<&Step> {
    job.steps.iter().find(|step| is_failed(&step.phase))
}

/// Returns the error of a failed step, and its location. The error is an annotation with a location, else a line that
/// looks like an error, else a warning with a location, else the last line with any text.
fn first_error(run: &Run, job: &Job, step: &Step, logs: &dyn Logs) -> io::Result<(String, String)> {
    let placed = |level: Level| {
        let found = step.annotations.iter().find(|found| found.level == level && found.file.is_some())?;
        Some((found.message.clone(), place(found)))
    };
    if let Some(found) = placed(Level::Error) {
        return Ok(found);
    }
    let finder = search(run, job, step, logs)?;
    let in_log = |(number, line): (u64, String)| {
        let place = finder.place().unwrap_or_else(|| format!("line {} of its log", number + 1));
        (line, place)
    };
    let found = finder.best().map(in_log).or_else(|| placed(Level::Warning)).or_else(|| finder.found().map(in_log));
    Ok(found.unwrap_or_else(|| ("no output".to_owned(), String::new())))
}

/// Searches the end of a step's log for its first error.
///
/// # Errors
/// The logs cannot be read.
pub fn search(run: &Run, job: &Job, step: &Step, logs: &dyn Logs) -> io::Result<FirstError> {
    let mut finder = FirstError::default();
    let mut number = step.lines.saturating_sub(LOOK_BACK);
    logs.lines(run, &job.id, step.number, LineRange { first: number, count: LOOK_BACK }, &mut |line| {
        finder.look(number, TerminalText::log_line(line, Colours::None).as_str());
        number += 1;
        Ok(())
    })?;
    Ok(finder)
}

/// Returns the annotations of files, the worst first, at most [`MAX_ANNOTATIONS`], and the number of the others.
fn annotations(run: &Run, style: Style, logs: &dyn Logs) -> TerminalText {
    let steps = run.jobs.values().flat_map(|job| job.steps.iter().map(move |step| (job, step)));
    let all = steps.flat_map(|(job, step)| step.annotations.iter().map(move |found| (found, job, step)));
    let mut placed: Vec<_> = all.filter(|(found, ..)| found.file.is_some()).collect();
    if placed.is_empty() {
        return TerminalText::default();
    }
    placed.sort_by_key(|(found, ..)| std::cmp::Reverse(found.level));
    let mut annotations = text!("\n");
    for (found, job, step) in placed.iter().take(MAX_ANNOTATIONS) {
        let level = style.level(found.level, format!("{:<8}", found.level.word()));
        let title = found.title.as_ref().map(|title| text!("{}: ", title)).unwrap_or_default();
        let heading = style.paint(Hue::Dim, text!("  {} › {}", job.name, step.name));
        let message = first_line(&found.message);
        annotations.push_line(&text!(
            "{} {}: {}{}{}",
            level,
            linked(&place(found), style, logs),
            title,
            message,
            heading
        ));
    }
    if placed.len() > MAX_ANNOTATIONS {
        let more = text!("and {} more: cuelight show {} --json", placed.len() - MAX_ANNOTATIONS, run.info.id);
        annotations.push_line(&style.paint(Hue::Dim, more));
    }
    annotations
}

/// Returns a location as a link to its file, if the repository of the run is here and has that file.
fn linked(place: &str, style: Style, logs: &dyn Logs) -> TerminalText {
    let file = place.split(':').next().and_then(|file| logs.file(file));
    file.map_or_else(|| text!("{}", place), |file| style.link(&file, place))
}

/// Returns `file:line:column`, as far as known.
fn place(found: &Annotation) -> String {
    let number = |number: Option<u32>| number.map(|number| format!(":{number}")).unwrap_or_default();
    let column = number(found.column.filter(|_| found.line.is_some()));
    format!("{}{}{column}", found.file.as_deref().unwrap_or_default(), number(found.line))
}

/// Returns the result of the run, and what to do next.
fn closing(run: &Run, style: Style) -> TerminalText {
    let id = &run.info.id;
    let time = match (run.started, run.finished) {
        (Some(started), Some(finished)) => text!(" in {}", duration(finished.since(started))),
        _ => TerminalText::default(),
    };
    let reason =
        run.reason.as_ref().map(|reason| text!(": {}", TerminalText::paragraph(&reason.text()))).unwrap_or_default();
    let word = style.bold(text!("{}{}", style.word(&run.phase), time));
    let mut closing = text!("\n{} {}{}\n", style.glyph(&run.phase), word, reason);
    if run.reason == Some(EndReason::WorkerLost) {
        closing.push_line(&text!("  {}", style.paint(Hue::Dim, text!("cuelight resume {}", id))));
    } else if run.phase.conclusion().is_some_and(Conclusion::is_bad) && run.info.is_deployment() {
        closing.push_line(&text!("  {}", style.paint(Hue::Dim, text!("cuelight logs {} · cuelight deploys", id))));
    } else if run.phase.conclusion().is_some_and(Conclusion::is_bad) {
        let mut next = text!("cuelight logs {} --failed · cuelight rerun {} --failed", id, id);
        let failed = |job: &&Job| {
            let of_the_file = |step: &Step| step.kind == StepKind::Main && step.outcome == Some(Conclusion::Failure);
            job.steps.iter().any(of_the_file)
        };
        if let Some(job) = run.jobs.values().find(failed).filter(|_| run.info.remote.is_none()) {
            next.push(&text!(" · cuelight shell {} {}", id, job.id));
        }
        closing.push_line(&text!("  {}", style.paint(Hue::Dim, next)));
    }
    closing
}

/// Returns the duration of a job; `None` unless it has started and ended.
pub(super) fn took(job: &Job) -> Option<String> {
    Some(duration(job.finished?.since(job.started?)))
}

/// Returns the first line of a text that may have several.
pub fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
