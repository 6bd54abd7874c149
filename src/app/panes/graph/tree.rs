//! The graph in a narrow pane: each job appears once, below the first job that it needs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::model::{Job, JobId, Run};
use crate::ui::text;
use crate::ui::theme::Hue;

use crate::app::panes::Cx;
use crate::app::panes::list::ListRow;

/// A job of the tree, and the jobs that it needs besides its parent.
struct Row<'r> {
    job: &'r Job,
    depth: u16,
    also: Vec<&'r str>,
}

/// Draws the rows from `offset` on.
pub(super) fn draw(
    offset: usize,
    filter: &str,
    cx: &Cx,
    run: &Run,
    selected: Option<&JobId>,
    area: Rect,
    buffer: &mut Buffer,
) {
    for (y, row) in (area.y..area.bottom()).zip(rows(run, filter).iter().skip(offset)) {
        let (also, hue) = match run.review_of(row.job) {
            Some(review) => (review.reason(), Hue::Review),
            None if row.also.is_empty() => (String::new(), Hue::Dim),
            None => (format!("also needs {}", row.also.join(", ")), Hue::Dim),
        };
        let line = ListRow {
            indent: row.depth * 2,
            glyph: cx.theme.lamp(row.job.progress(), cx.state.now.0),
            style: cx.theme.phase(row.job.progress()),
            name: &row.job.name,
            tab: 0,
            remark: &also,
            remark_style: cx.theme.style(hue),
            right: "",
            selected: Some(&row.job.id) == selected,
        };
        line.draw(cx, Rect { y, height: 1, ..area }, buffer);
    }
}

/// Returns the jobs in the order of the rows.
pub(super) fn jobs(run: &Run, filter: &str) -> Vec<JobId> {
    rows(run, filter).iter().map(|row| row.job.id.clone()).collect()
}

/// Returns the jobs that match the filter, each below the first job that it needs.
fn rows<'r>(run: &'r Run, filter: &str) -> Vec<Row<'r>> {
    let mut rows = Vec::with_capacity(run.jobs.len());
    let parent = |job: &Job| job.needs.iter().find(|need| run.jobs.contains_key(*need) && **need != job.id).cloned();
    // Depth first without recursion. Jobs that need no known job are the roots.
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
    rows.retain(|row| text::holds(filter, &[&row.job.name, row.job.key.as_str(), row.job.phase.word()]));
    rows
}
