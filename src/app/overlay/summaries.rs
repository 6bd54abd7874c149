//! The job summaries of a run: what its steps wrote to `GITHUB_STEP_SUMMARY`, drawn from Markdown.

use std::cell::Cell;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::panes::{Cx, empty, motion};
use crate::model::RunId;
use crate::model::stored::JobSummary;
use crate::ui::frame::Scroll;
use crate::ui::markdown;
use crate::ui::text;

/// Maximum number of bytes that are drawn.
const MAX_DRAWN: usize = 256 * 1024;

/// The job summaries of a run, and the visible part of them.
#[derive(Clone, Debug)]
pub(in crate::app) struct Summaries {
    run: RunId,
    shown: Shown,
    /// First row on the screen.
    offset: usize,
    /// Number of rows when they were drawn last. It depends on the width of the screen.
    rows: Cell<usize>,
}

#[derive(Clone, Debug)]
enum Shown {
    Loading,
    /// Why there is nothing.
    Nothing(String),
    Markdown(String),
}

impl Summaries {
    /// Returns a view that waits for the summaries of a run.
    pub(in crate::app) fn new(run: RunId) -> Self {
        Self { run, shown: Shown::Loading, offset: 0, rows: Cell::new(0) }
    }

    /// Shows the summaries of a run, if it is the one of this view.
    pub(in crate::app) fn take(&mut self, run: &RunId, summaries: &[JobSummary], missing: Option<String>) {
        if *run != self.run {
            return;
        }
        self.shown = if summaries.is_empty() {
            Shown::Nothing(missing.unwrap_or_else(|| "no job of the run has written a summary".to_owned()))
        } else {
            let titled = |summary: &JobSummary| format!("# {}\n\n{}\n\n", summary.job, summary.markdown);
            let mut markdown: String = summaries.iter().map(titled).collect();
            if markdown.len() > MAX_DRAWN {
                markdown.truncate(markdown.floor_char_boundary(MAX_DRAWN));
                markdown
                    .push_str("\n\n---\n\nThe rest is not shown: `cuelight logs RUN --summary` prints everything.\n");
            }
            Shown::Markdown(markdown)
        };
    }

    pub(super) fn act(&mut self, action: Action, height: usize) {
        let last = self.rows.get().saturating_sub(height);
        self.offset = motion(action, self.offset, last + 1, height).unwrap_or(self.offset);
    }

    /// Draws the summaries. Returns their visible part.
    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) -> Scroll {
        let rows = match &self.shown {
            Shown::Loading => {
                empty("loading the summaries", cx, area, buffer);
                Vec::new()
            }
            Shown::Nothing(why) => {
                empty(why, cx, area, buffer);
                Vec::new()
            }
            Shown::Markdown(markdown) => markdown::rows(markdown, usize::from(area.width.saturating_sub(2)), cx.theme),
        };
        self.rows.set(rows.len());
        let shown = usize::from(area.height);
        let offset = self.offset.min(rows.len().saturating_sub(shown));
        for (row, y) in rows.iter().skip(offset).zip(area.y..area.bottom()) {
            let mut x = area.x + 1;
            for (found, style) in row {
                x = text::put(buffer, x, y, area.right().saturating_sub(x + 1), found, *style);
            }
        }
        Scroll { first: self.offset, shown, all: rows.len() }
    }
}
