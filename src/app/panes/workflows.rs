//! Panel 0, Workflows: the workflows of this repository, with their triggers and the result of the last run of each,
//! and the jobs of the selected one as a graph. It takes the whole screen, and is shown first if there are no runs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::selection::Selection;
use crate::app::state::AppState;
use crate::model::feed::{BrokenWorkflow, Connection, StartableJob, StartableWorkflow};
use crate::model::{Summary, Timestamp};
use crate::ui::frame::Scroll;
use crate::ui::graph::{Node, Routes, sign};
use crate::ui::layout::Panel;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::file_name;
use super::graph::SHORTER;
use super::list::ListRow;
use super::{Cx, Pane, empty, keep_visible, motion};

/// Minimum width to show the list and the graph side by side, in columns.
const TWO_COLUMNS: u16 = 100;

/// The list of workflows.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Workflows {
    selected: usize,
    offset: usize,
}

/// A row of the list.
#[derive(Clone, Copy)]
pub(in crate::app) enum WorkflowRow<'s> {
    Startable(&'s StartableWorkflow),
    Broken(&'s BrokenWorkflow),
}

impl WorkflowRow<'_> {
    fn path(&self) -> &str {
        match self {
            Self::Startable(workflow) => &workflow.workflow,
            Self::Broken(workflow) => &workflow.workflow,
        }
    }
}

/// Returns the workflows of this repository: first those that can be started, then those with errors.
fn rows(state: &AppState) -> Vec<WorkflowRow<'_>> {
    let startable = state.startable.iter().map(WorkflowRow::Startable);
    startable.chain(state.broken.iter().map(WorkflowRow::Broken)).collect()
}

impl Pane for Workflows {
    fn sync(&mut self, cx: &Cx, _: &mut Selection) -> Vec<Effect> {
        let all = rows(cx.state).len();
        self.selected = self.selected.min(all.saturating_sub(1));
        if cx.size.0 > 0 {
            let height = usize::from(list_area(Rect::new(0, 0, cx.size.0, cx.size.1), all).height);
            self.offset = keep_visible(self.offset, self.selected, all, height);
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, cx: &Cx, _: &mut Selection) {
        let all = rows(cx.state).len();
        self.selected = motion(action, self.selected, all, cx.rows()).unwrap_or(self.selected);
    }

    fn click(&mut self, column: usize, row: usize, cx: &Cx, _: &mut Selection) {
        let all = rows(cx.state).len();
        let area = list_area(Rect::new(0, 0, cx.size.0, cx.size.1), all);
        if column < usize::from(area.width) && row < usize::from(area.height) && self.offset + row < all {
            self.selected = self.offset + row;
        }
    }

    fn parent(&self) -> Option<Panel> {
        Some(Panel::Jobs)
    }

    fn scroll(&self, cx: &Cx, _: &Selection) -> Option<Scroll> {
        let all = rows(cx.state).len();
        let shown = list_area(Rect::new(0, 0, cx.size.0, cx.size.1), all).height.into();
        Some(Scroll { first: self.offset, shown, all })
    }

    fn times(&self, cx: &Cx, _: &Selection) -> Vec<Timestamp> {
        let visible = rows(cx.state).into_iter().skip(self.offset).take(cx.rows());
        visible.filter_map(|row| last_run(cx.state, row.path())).map(|run| run.info.created).collect()
    }

    fn draw(&self, cx: &Cx, _: &Selection, area: Rect, buffer: &mut Buffer) {
        let all = rows(cx.state);
        if all.is_empty() {
            let why = match cx.state.connection {
                Connection::Asking { .. } => "asking the server for runs",
                _ => "no workflow to start in .github/workflows here; `cuelight demo` shows a run that needs nothing",
            };
            return empty(why, cx, area, buffer);
        }
        let list = list_area(area, all.len());
        let tab = all.iter().map(|row| text::columns(file_name(row.path()))).max().unwrap_or_default() + 5;
        for (y, number) in (list.y..list.bottom()).zip(self.offset..all.len()) {
            let row = Rect { y, height: 1, ..list };
            draw_row(all[number], tab.min(list.width / 2), number == self.selected, cx, row, buffer);
        }
        let Some(WorkflowRow::Startable(workflow)) = all.get(self.selected) else { return };
        let beside = list.height == area.height;
        let (x, y) = if beside { (list.right() + 2, area.y) } else { (area.x + 2, list.bottom() + 1) };
        let about = Rect { x, y, width: area.right().saturating_sub(x), height: area.bottom().saturating_sub(y) };
        draw_workflow(workflow, cx, about, buffer);
    }
}

impl Workflows {
    /// Returns the selected row; `None` if there are no workflows.
    pub(in crate::app) fn selected<'s>(&self, state: &'s AppState) -> Option<WorkflowRow<'s>> {
        rows(state).get(self.selected).copied()
    }
}

/// Returns the part of the pane for the list: on the left or, on a narrow screen, at the top.
fn list_area(area: Rect, rows: usize) -> Rect {
    if area.width >= TWO_COLUMNS {
        return Rect { width: area.width * 45 / 100, ..area };
    }
    let height = (rows.min(usize::from(u16::MAX)) as u16).min(area.height / 2).max(area.height.min(1));
    Rect { height, ..area }
}

/// Returns the newest listed run of a workflow in this repository.
fn last_run<'s>(state: &'s AppState, workflow: &str) -> Option<&'s Summary> {
    state.summaries().find(|run| run.info.workflow == workflow && state.is_at_home(run))
}

fn draw_row(row: WorkflowRow, tab: u16, selected: bool, cx: &Cx, area: Rect, buffer: &mut Buffer) {
    let last = last_run(cx.state, row.path());
    let (glyph, style) = match last {
        Some(run) => (cx.theme.lamp(&run.phase, cx.state.now.0), cx.theme.phase(&run.phase)),
        None => (" ", Style::new()),
    };
    let (remark, hue) = match row {
        WorkflowRow::Startable(workflow) => (triggers(workflow), Hue::Dim),
        WorkflowRow::Broken(workflow) => (text::counted(workflow.errors as u64, "error"), Hue::Bad),
    };
    let line = ListRow {
        indent: 0,
        glyph,
        style,
        name: file_name(row.path()),
        tab,
        remark: &remark,
        remark_style: cx.theme.style(hue),
        right: &last.map(|run| text::ago(cx.state.now.since(run.info.created))).unwrap_or_default(),
        selected,
    };
    line.draw(cx, area, buffer);
}

/// Returns the name of a workflow, unless it is its path, and its triggers.
fn triggers(workflow: &StartableWorkflow) -> String {
    let events = workflow.events.join(", ");
    if workflow.name == workflow.workflow { events } else { format!("{}  {events}", workflow.name) }
}

/// Draws the jobs of a workflow, and below them the inputs and secrets that it takes.
fn draw_workflow(workflow: &StartableWorkflow, cx: &Cx, area: Rect, buffer: &mut Buffer) {
    let height = draw_jobs(&workflow.jobs, cx, area, buffer);
    let inputs: Vec<&str> = workflow.inputs.iter().map(|input| input.name.as_str()).collect();
    let secrets =
        workflow.secrets.iter().map(|(name, is_set)| if *is_set { name.clone() } else { format!("{name} (not set)") });
    let secrets: Vec<String> = secrets.collect();
    let facts = [("inputs", inputs.join(", ")), ("secrets", secrets.join(", "))];
    let facts = facts.iter().filter(|(_, text)| !text.is_empty());
    let lines = facts.flat_map(|(name, list)| text::wrap(&format!("{name}: {list}"), usize::from(area.width.max(1))));
    for (y, line) in (area.y + height + 1..area.bottom()).zip(lines) {
        text::put(buffer, area.x, y, area.width, &line, cx.theme.style(Hue::Dim));
    }
}

/// Draws the jobs as a graph of their needs, or one below the other if there is no room for a graph. Returns the number
/// of rows.
fn draw_jobs(jobs: &[StartableJob], cx: &Cx, area: Rect, buffer: &mut Buffer) -> u16 {
    let name =
        |job: &StartableJob, most: u16| text::clip(&job.name, usize::from(most), cx.theme.ellipsis()).into_owned();
    let nodes = |most: u16| -> Vec<Node> {
        let node =
            |job: &StartableJob| Node { width: text::columns(&name(job, most)), height: 1, needs: job.needs.clone() };
        jobs.iter().map(node).collect()
    };
    let routes = Routes::new(&nodes(0));
    for (most, gaps) in SHORTER {
        let layout = routes.layout(&nodes(most), gaps);
        if layout.width > area.width || layout.height > area.height {
            continue;
        }
        for cell in &layout.cells {
            text::put(buffer, area.x + cell.x, area.y + cell.y, 1, sign(cell, cx.theme.glyphs), Style::new());
        }
        for (job, (x, y)) in jobs.iter().zip(&layout.places) {
            text::put(buffer, area.x + x, area.y + y, most, &name(job, most), cx.theme.heading());
        }
        return layout.height;
    }
    let room = usize::from(area.height);
    let shown = if jobs.len() > room { room.saturating_sub(1) } else { jobs.len() };
    for (y, job) in (area.y..).zip(&jobs[..shown]) {
        text::put(buffer, area.x, y, area.width, &name(job, area.width), Style::new());
    }
    if shown < jobs.len() && room > 0 {
        let more = format!("and {} more", jobs.len() - shown);
        text::put(buffer, area.x, area.bottom() - 1, area.width, &more, cx.theme.style(Hue::Dim));
    }
    area.height.min(jobs.len() as u16)
}
