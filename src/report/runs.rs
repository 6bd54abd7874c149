//! Runs as a list, and one run with its jobs and steps.

use crate::model::{Expected, Job, Phase, Run, Step, Summary, Timestamp};
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::text::{clip, counted, duration, spent};
use crate::ui::theme::Hue;

use super::style::Style;
use super::{first_line, since, table, waiting};

/// Lists runs, one per line of at most this many columns. If there are more runs, the last line names the option that
/// lists them.
pub fn listed(runs: &[Summary], more: bool, columns: Option<usize>, style: Style, now: Timestamp) -> TerminalText {
    let mut list = TerminalText::default();
    let first = runs.first().map(|run| &run.info.repository);
    let several = runs.iter().any(|run| Some(&run.info.repository) != first);
    for summary in runs {
        list.push_line(&row(summary, several, columns, style, now));
    }
    if let (true, Some(last)) = (more, runs.last()) {
        list.push_line(&style.paint(Hue::Dim, text!("older runs: --before {}", last.info.id)));
    }
    list
}

/// Maximum width of a run's name in the list, in columns. Titles of runs on servers are whole sentences.
const MAX_NAME: usize = 40;

/// Returns the line of a run, with its repository if the list has runs of several. The most important parts come first,
/// because the other parts are left out on a narrow terminal.
fn row(summary: &Summary, several: bool, columns: Option<usize>, style: Style, now: Timestamp) -> TerminalText {
    let time = summary.started.map(|started| spent(started, summary.finished, now)).unwrap_or_default();
    let reason = match summary.reviews.as_slice() {
        [] => text!("{}", first_line(&summary.why().unwrap_or_default())),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { text!("") } else { text!(", and {}", counted(rest.len() as u64, "other")) };
            text!("{}{}", since(first, now), more)
        }
    };
    let info = &summary.info;
    let attempt = if summary.attempt > 1 { format!(" attempt {}", summary.attempt) } else { String::new() };
    let word = format!("{}{attempt}", style.word(&summary.phase));
    let repository = if several { text!("{:<20} ", info.repository) } else { text!("") };
    let name = info.numbered().map_or_else(|| summary.name.clone(), |title| format!("{title} {}", summary.name));
    let ellipsis = style.spelled(text!("…"));
    let mut row = text!("{} {}  {:<15} {:>8}  {}", style.glyph(&summary.phase), info.id, word, time, repository);
    let room = columns.map_or(MAX_NAME, |columns| columns.saturating_sub(row.width() + 1).min(MAX_NAME));
    let name = clip(&name, room, ellipsis.as_str()).into_owned();
    row.push(&text!("{:<20}", name));
    for part in
        [text!(" {:<20}", info.version()), text!(" {:<12}", info.event), text!("  {}", style.paint(Hue::Dim, reason))]
    {
        if columns.is_some_and(|columns| row.width() + part.clone().trim_end().width() >= columns) {
            break;
        }
        row.push(&part);
    }
    row.trim_end()
}

/// Shows a run, its jobs and their steps.
pub fn shown(run: &Run, expected: &Expected, style: Style, now: Timestamp) -> TerminalText {
    let info = &run.info;
    let phase = run.progress();
    let mut page = text!("{} {}  {}  {}\n", style.glyph(&phase), run.name, info.id, style.word(&phase));
    let origin = text!("{} on {} · {} · attempt {}", info.origin(), info.event, info.version(), run.attempt);
    page.push_line(&style.paint(Hue::Dim, origin));
    if let Some(reason) = run.why().filter(|_| run.reviews.is_empty()) {
        page.push_line(&TerminalText::paragraph(&reason));
    }
    if let Some(rest) = expected.rest_of(run, now) {
        page.push_line(&text!("~{} left, based on the last successful runs", duration(rest)));
    }
    run.reviews.iter().for_each(|review| page.push_line(&waiting(review, &info.id, style, now)));
    run.reviewed.iter().for_each(|review| page.push_line(&text!("{}", review.text())));
    page.push(&text!("\n{}", table(run, style)));
    for job in run.jobs.values().filter(|job| !job.steps.is_empty()) {
        page.push_line(&text!("\n{} {}", style.glyph(job.progress()), style.bold(&job.name)));
        for step in &job.steps {
            page.push_line(&step_row(step, style));
        }
    }
    page
}

/// Maximum number of uncommitted files that are listed; the others are counted.
const MAX_CHANGES: usize = 20;

/// Lists the uncommitted changes that a run used; empty if there were none.
pub fn changes(dirty: &[String], id: &str, style: Style) -> TerminalText {
    let mut list = TerminalText::default();
    if !dirty.is_empty() {
        let of = counted(dirty.len() as u64, "file");
        let heading = style.bold(text!("not committed: {} (cuelight show {} --diff)", of, id));
        list.push_line(&text!("\n{}", heading));
        dirty.iter().take(MAX_CHANGES).for_each(|file| list.push_line(&text!("  {}", file)));
        if dirty.len() > MAX_CHANGES {
            list.push_line(&text!("  and {} more", dirty.len() - MAX_CHANGES));
        }
    }
    list
}

fn step_row(step: &Step, style: Style) -> TerminalText {
    let time = match (step.started, step.finished) {
        (Some(started), Some(finished)) => duration(finished.since(started)),
        _ => String::new(),
    };
    let reason = style.paint(Hue::Dim, first_line(&step.why().unwrap_or_default()));
    let glyph = style.glyph(&step.phase);
    text!("  {} {:>2} {:<44} {:>8}  {}", glyph, step.number, step.name, time, reason).trim_end()
}

/// Formats the state of a job or a run with its reason.
pub fn because(phase: &Phase, reason: &str, style: Style) -> TerminalText {
    text!("{} {}: {}", style.glyph(phase), style.word(phase), TerminalText::paragraph(reason))
}

/// Returns the line above the log of a step.
pub fn heading(job: &Job, step: &Step, style: Style) -> TerminalText {
    style.bold(text!("{} / {} {}", job.name, step.number, step.name))
}
