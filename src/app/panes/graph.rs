//! 2 Graph: who needs whom in the selected run.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::model::{Job, JobId, Run};
use crate::ui::theme::Hue;

use super::{Cx, ListRow, empty, keep_visible, motion};

/// The view of the graph. What is selected in it is what is selected among the jobs.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    offset: usize,
}

/// A job in the indented form, and the jobs it needs besides the one it stands under.
struct Row<'r> {
    job: &'r Job,
    depth: u16,
    also: Vec<&'r str>,
}

impl Graph {
    /// The job to select instead.
    pub(in crate::app) fn act(action: Action, run: &Run, selected: Option<&JobId>, height: usize) -> Option<JobId> {
        let rows = rows(run);
        let at = rows.iter().position(|row| Some(&row.job.id) == selected).unwrap_or_default();
        let to = motion(action, at, rows.len(), height)?;
        rows.get(to).map(|row| row.job.id.clone())
    }

    /// The job in a row of the pane.
    pub(in crate::app) fn click(&self, row: usize, run: &Run) -> Option<JobId> {
        rows(run).get(self.offset + row).map(|row| row.job.id.clone())
    }

    pub(in crate::app) fn settle(&mut self, run: Option<&Run>, selected: Option<&JobId>, height: usize) {
        let rows = run.map(rows).unwrap_or_default();
        let at = rows.iter().position(|row| Some(&row.job.id) == selected).unwrap_or_default();
        self.offset = keep_visible(self.offset, at, rows.len(), height);
    }

    pub(in crate::app) fn draw(
        &self,
        cx: &Cx,
        run: Option<&Run>,
        selected: Option<&JobId>,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let rows = run.map(rows).unwrap_or_default();
        if rows.is_empty() {
            empty("no jobs are planned yet", cx, area, buffer);
        }
        for (y, row) in (area.y..area.bottom()).zip(rows.iter().skip(self.offset)) {
            let also = if row.also.is_empty() { String::new() } else { format!("also needs {}", row.also.join(", ")) };
            let line = ListRow {
                indent: row.depth * 2,
                glyph: cx.theme.lamp(&row.job.phase, cx.facts.now.0),
                style: cx.theme.phase(&row.job.phase),
                name: &row.job.name,
                tab: 0,
                remark: &also,
                remark_style: cx.theme.style(Hue::Dim),
                right: "",
                selected: Some(&row.job.id) == selected,
            };
            line.draw(cx, Rect { y, height: 1, ..area }, buffer);
        }
    }
}

/// Every job once, under the first job it needs.
fn rows(run: &Run) -> Vec<Row<'_>> {
    let mut rows = Vec::with_capacity(run.jobs.len());
    let parent = |job: &Job| job.needs.iter().find(|need| run.jobs.contains_key(*need) && **need != job.id).cloned();
    // Depth first without recursion; jobs that nothing known leads to come last, as roots.
    let mut stack: Vec<(&Job, u16)> =
        run.jobs.values().rev().filter(|job| parent(job).is_none()).map(|job| (job, 0)).collect();
    let mut seen = std::collections::HashSet::new();
    while let Some((job, depth)) = stack.pop() {
        if !seen.insert(&job.id) {
            continue;
        }
        let above = parent(job);
        let others = job.needs.iter().filter(|need| Some(*need) != above.as_ref());
        let also = others.filter_map(|need| run.jobs.get(need)).map(|job| job.name.as_str()).collect();
        rows.push(Row { job, depth, also });
        let children = run.jobs.values().rev().filter(|child| parent(child).as_ref() == Some(&job.id));
        stack.extend(children.map(|child| (child, depth + 1)));
    }
    rows
}
