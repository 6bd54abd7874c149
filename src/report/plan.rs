//! What a workflow would run: its graph, and one line per job.

use std::io::IsTerminal;

use crate::app::panes::graph::picture as picture_of;
use crate::launch::triggers::TriggerDecision;
use crate::model::{Event, JobId, Record, RunId, RunInfo, Timestamp};
use crate::store::runs::RunStore;
use crate::ui::export::Picture;
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::text::{counted, width};
use crate::ui::theme::{Colours, Theme};
use crate::workflow::outline::outline;
use crate::workflow::plan::Plan;

use super::style;
use super::style::Style;

/// Width of the graph in columns if the output is not a terminal.
const COLUMNS: u16 = 500;

/// Returns the graph as the screen draws it before the run starts.
pub fn graph(plan: &Plan) -> Picture {
    let id = RunId::new("plan");
    let mut store = RunStore::default();
    store.open(RunInfo { id: id.clone(), ..RunInfo::default() });
    let jobs = plan.jobs().iter().map(outline).collect();
    store.apply(&id, &Record { seq: 1, at: Timestamp(0), event: Event::JobsPlanned { jobs, replaces: None } });
    let style = style::Style::of_output();
    let theme = Theme { glyphs: style.glyphs(), colours: Colours::None, motion: false, ..Theme::default() };
    let terminal = std::io::stdout().is_terminal().then(crossterm::terminal::size);
    let columns = terminal.and_then(Result::ok).map_or(COLUMNS, |(columns, _)| columns);
    store.run(&id).map(|run| picture_of(run, theme, columns).into()).unwrap_or_default()
}

/// Lists which workflows an event runs, and why: a table, or a sentence about each for a screen reader.
pub fn overview(decided: &[TriggerDecision], style: Style) -> TerminalText {
    let columns = style::column(decided.iter().map(|one| width(&one.name)));
    let line = |one: &TriggerDecision| {
        if style.is_linear() {
            text!("{}: {}, {}\n", one.name, one.word(), one.reason())
        } else {
            text!("{:<columns$}  {:<7}  {}\n", one.name, one.word(), one.reason())
        }
    };
    decided.iter().map(line).collect()
}

/// Returns a sentence per job, for a screen reader.
pub fn sentences(plan: &Plan) -> TerminalText {
    let jobs = plan.jobs();
    let mut lines = text!("{}", counted(jobs.len() as u64, "job"));
    for (at, job) in jobs.iter().enumerate() {
        let named = |id: &JobId| jobs.iter().find(|job| job.id == *id).map_or(id.to_string(), |job| job.name.clone());
        let needs: Vec<String> = job.needs.iter().map(named).collect();
        let start = match needs.as_slice() {
            [] => text!("starts at once"),
            [one] => text!("starts after {}", one),
            [several @ .., last] => text!("starts after {} and {}", several.join(", "), last),
        };
        let condition = job.definition.condition.written.as_ref();
        let condition = condition.map(|written| text!(", if {}", written.value.trim())).unwrap_or_default();
        let unknown = if job.leg.is_none() { ", its matrix is known during the run" } else { "" };
        lines.push(&text!("\n{}: {} {}{}{}", at + 1, job.name, start, condition, unknown));
    }
    lines
}

/// Returns the graph, and a line per job.
pub fn lines(plan: &Plan) -> TerminalText {
    let mut lines = TerminalText::default();
    if plan.jobs().len() > 1 {
        lines.push_line(&graph(plan).text());
    }
    for (at, job) in plan.jobs().iter().enumerate() {
        let needs: Vec<_> = job.needs.iter().map(ToString::to_string).collect();
        let needs = if needs.is_empty() { text!("") } else { text!("  needs {}", needs.join(", ")) };
        let unknown = if job.leg.is_none() { "  (its matrix is known during the run)" } else { "" };
        let condition = job.definition.condition.written.as_ref();
        let condition = condition.map(|written| text!("  if {}", written.value.trim())).unwrap_or_default();
        if at > 0 {
            lines.push(&text!("\n"));
        }
        let name = if job.name == job.id.as_str() { text!("") } else { text!(" {}", job.name) };
        lines.push(&text!("{:<20}{}{}{}{}", job.id, name, needs, condition, unknown).trim_end());
    }
    lines
}
