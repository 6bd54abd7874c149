//! Runs as a list, and one run with its jobs and steps.

use crate::model::{Expected, Job, Phase, Run, Step, Summary, Timestamp};
use crate::ui::run_columns::{Column, Columns, Naming, Row};
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::text::{clip, counted, duration};
use crate::ui::theme::Hue;

use super::style::Style;
use super::{Linear, first_line, since, table, waiting};

/// Lists runs, one per line of at most this many columns. If there are more runs, the last line names the option that
/// lists them.
pub fn listed(runs: &[Summary], more: bool, columns: Option<usize>, style: Style, now: Timestamp) -> TerminalText {
    let mut list = TerminalText::default();
    let first = runs.first().map(|run| &run.info.repository);
    let several = runs.iter().any(|run| Some(&run.info.repository) != first);
    let rows: Vec<Row> = runs.iter().map(|run| row(run, several, style, now)).collect();
    // The glyph and a blank precede the columns.
    let fitted = Columns::fit(&rows, columns.map(|columns| columns.saturating_sub(2)), Naming::Id);
    let ellipsis = style.spelled(text!("…"));
    for (run, row) in runs.iter().zip(&rows) {
        let mut line = text!("{} ", style.glyph(&run.phase));
        for (column, text) in fitted.cells(row, ellipsis.as_str()) {
            let is_plain = matches!(column, Column::Status | Column::Workflow | Column::Time | Column::Id);
            line.push(&if is_plain { text!("{}", text) } else { style.paint(Hue::Dim, text) });
        }
        list.push_line(&line.trim_end());
    }
    if let (true, Some(last)) = (more, runs.last()) {
        list.push_line(&style.paint(Hue::Dim, text!("older runs: --before {}", last.info.id)));
    }
    list
}

/// Lists runs for a screen reader, with a sentence for each. If there are more runs, the last sentence names the command that
/// lists them.
pub fn sentences(runs: &[Summary], more: bool) -> TerminalText {
    let mut list: TerminalText = runs.iter().map(|run| text!("{}\n", Linear::state(run))).collect();
    if let (true, Some(last)) = (more, runs.last()) {
        list.push_line(&text!("next: `cuelight runs --before {}` lists older runs", last.info.id));
    }
    list
}

/// Returns the texts of a run's row, with its repository if the list has runs of several.
fn row(summary: &Summary, several: bool, style: Style, now: Timestamp) -> Row {
    let note = match summary.reviews.as_slice() {
        [] => first_line(&summary.why().unwrap_or_default()).to_owned(),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { text!("") } else { text!(", and {}", counted(rest.len() as u64, "other")) };
            text!("{}{}", since(first, now), more).plain().into_owned()
        }
    };
    let row = Row::new(summary, style.word(&summary.phase), note, now);
    if several { row } else { row.without(Column::Repository) }
}

/// Shows a run, its jobs and their steps.
pub fn shown(run: &Run, expected: &Expected, style: Style, now: Timestamp) -> TerminalText {
    let info = &run.info;
    let phase = run.progress();
    let mut page = text!("{} {}  {}  {}\n", style.glyph(&phase), run.name, info.id, style.word(&phase));
    let part = info.part().map(|part| text!(" · only {}", part)).unwrap_or_default();
    // Without a `name:`, a workflow is called by its path.
    let origin = if run.name == info.workflow { info.repository.clone() } else { info.origin() };
    let on = text!("on {} · {} · attempt {}{}", info.event, info.version(), run.attempt, part);
    let origin = if origin.is_empty() { on } else { text!("{} {}", origin, on) };
    page.push_line(&style.paint(Hue::Dim, origin));
    earlier_attempts(run).for_each(|line| page.push_line(&style.paint(Hue::Dim, line)));
    if let Some(reason) = run.why().filter(|_| run.reviews.is_empty()) {
        page.push_line(&TerminalText::paragraph(&reason));
    }
    if let Some(rest) = expected.rest_of(run, now) {
        page.push_line(&text!("~{} left, based on the last successful runs", duration(rest)));
    }
    run.reviews.iter().for_each(|review| page.push_line(&waiting(review, &info.id, style, now)));
    run.reviewed.iter().for_each(|review| page.push_line(&text!("{}", review.text())));
    page.push(&text!("\n{}", table(run, style)));
    page.push_line(&style.paint(Hue::Dim, run.tally_in_words(" · ")));
    for job in run.jobs.values().filter(|job| !job.steps.is_empty()) {
        page.push_line(&text!("\n{} {}", style.glyph(job.progress()), style.bold(&job.name)));
        for step in &job.steps {
            page.push_line(&step_row(step, style));
        }
    }
    page
}

/// Maximum width of the name of a step before its time, in columns.
const MAX_STEP_NAME: usize = 44;

/// Maximum number of uncommitted files that are listed; the others are counted.
const MAX_CHANGES: usize = 20;

/// Lists the uncommitted changes that the newest attempt of a run used; empty if there were none.
pub fn changes(run: &Run, style: Style) -> TerminalText {
    let (mut list, all) = (TerminalText::default(), run.info.changed);
    if all > 0 {
        let of = counted(all as u64, "file");
        let heading = style.bold(text!("not committed: {} (cuelight show {} --diff)", of, run.info.id));
        list.push_line(&text!("\n{}", heading));
        let listed = run.uncommitted().iter().take(MAX_CHANGES);
        listed.clone().for_each(|file| list.push_line(&text!("  {}", file)));
        if all > listed.len() {
            list.push_line(&text!("  and {} more", all - listed.len()));
        }
        if let Some(edited) = run.edited() {
            list.push_line(&text!("{}", edited));
        }
    }
    list
}

/// Returns the answer to a request for the uncommitted changes of an attempt that has no diff.
pub fn without_diff(run: &Run) -> TerminalText {
    let id = &run.info.id;
    if run.info.changed == 0 {
        text!("{} ran exactly what is in its commit", id)
    } else {
        text!("{}: the changed files are known, but not how they were changed", id)
    }
}

/// Returns a line for each attempt before the newest one that ran other files, oldest first.
fn earlier_attempts(run: &Run) -> impl Iterator<Item = TerminalText> {
    let current = run.info.version();
    let earlier = run.trees.iter().filter(|(attempt, _)| **attempt < run.attempt);
    let versions = earlier.map(|(attempt, tree)| (attempt, tree.version()));
    versions
        .filter(move |(_, version)| *version != current)
        .map(|(attempt, version)| text!("attempt {} ran {}", attempt, version))
}

fn step_row(step: &Step, style: Style) -> TerminalText {
    let time = match (step.started, step.finished) {
        (Some(started), Some(finished)) => duration(finished.since(started)),
        _ => String::new(),
    };
    let reason = style.paint(Hue::Dim, first_line(&step.why().unwrap_or_default()));
    let glyph = style.glyph(&step.phase);
    let ellipsis = style.spelled(text!("…"));
    let name = clip(&step.name, MAX_STEP_NAME, ellipsis.as_str());
    text!("  {} {:>2} {:<MAX_STEP_NAME$} {:>8}  {}", glyph, step.number, name, time, reason).trim_end()
}

/// Formats the state of a job or a run with its reason.
pub fn because(phase: &Phase, reason: &str, style: Style) -> TerminalText {
    let glyph = if style.is_linear() { text!("") } else { text!("{} ", style.glyph(phase)) };
    text!("{}{}: {}", glyph, style.word(phase), TerminalText::paragraph(reason))
}

/// Returns the line above the log of a step.
pub fn heading(job: &Job, step: &Step, style: Style) -> TerminalText {
    style.bold(text!("{} / {} {}", job.name, step.number, step.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{info, summary};
    use crate::model::{Conclusion, Gate, JobId, RunId};
    use crate::report::testing::Story;
    use crate::ui::theme::Glyphs;

    #[test]
    fn the_times_of_steps_are_in_a_column_whatever_their_names() {
        let mut story = Story::new(&["a"]);
        story.step("a", 1, "Short", &[], 0);
        story.step("a", 2, &"long name ".repeat(8), &[], 0);
        let run = story.run();
        let steps = &run.jobs[&JobId::new("a")].steps;
        let ends = steps.iter().map(|step| {
            let row = step_row(step, Style::new(Glyphs::Unicode, false));
            row.as_str().chars().count()
        });
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends[0], ends[1], "{steps:#?}");
    }

    #[test]
    fn a_screen_reader_gets_a_sentence_about_each_run_and_the_way_to_older_ones() {
        let run = |id: &str, phase| summary(info(RunId::new(id), Timestamp(0)), "fail", phase);
        let held = Gate::Held { reason: Some("exit code 1".to_owned()), until: Timestamp(0) };
        let runs = [run("r2", Phase::Waiting(held)), run("r1", Phase::Done(Conclusion::Cancelled))];
        assert_eq!(
            sentences(&runs, true).as_str(),
            "fail on main: held until 1970-01-01 00:00 UTC, a step failed: exit code 1, run r2\n\
             fail on main: cancelled, run r1\n\
             next: `cuelight runs --before r1` lists older runs\n"
        );
        assert_eq!(sentences(&runs[1..], false).as_str(), "fail on main: cancelled, run r1\n");
        let why = because(&Phase::Done(Conclusion::Failure), "a job failed", Style::linear());
        assert_eq!(why.as_str(), "failure: a job failed");
    }
}
