//! Panel 1, Runs: the runs on this machine and on servers, newest first.

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::selection::Selection;
use crate::app::state::AppState;
use crate::model::feed::Connection;
use crate::model::{Gate, Phase, RunId, Summary, Timestamp};
use crate::ui::frame::Scroll;
use crate::ui::layout::Panel;
use crate::ui::run_columns::{Column, Columns, Naming, Row};
use crate::ui::text;
use crate::ui::theme::Hue;

use super::list::mark_row;
use super::run_filter::RunFilter;
use super::{Cx, Pane, empty, motion, waits};

/// Columns before the first text of a row: the bar of the selected row, the glyph of the state, and a blank.
const MARGIN: u16 = 3;

/// The list of runs.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Runs {
    filter: String,
    offset: usize,
    /// Row of the selected run, to select its neighbour when the run is removed.
    row: usize,
    /// Marked runs, for an action on all of them.
    marked: BTreeSet<RunId>,
}

impl Pane for Runs {
    fn sync(&mut self, cx: &Cx, selection: &mut Selection) -> Vec<Effect> {
        if selection.run_id().is_none_or(|id| cx.state.summary(id).is_none()) {
            selection.select_run(self.replacement(cx.state, selection.run_id()));
        }
        self.marked.retain(|run| cx.state.summary(run).is_some_and(|run| cx.state.is_in_list(run)));
        self.row = self.at(cx.state, selection);
        let count = self.listed(cx.state).count();
        self.offset = cx.scrolled(self.offset, self.row, count);
        Vec::new()
    }

    fn act(&mut self, action: Action, cx: &Cx, selection: &mut Selection) {
        let len = self.listed(cx.state).count();
        if action == Action::Mark {
            self.mark(selection.run_id());
            return self.select(self.at(cx.state, selection) + 1, cx.state, selection);
        }
        if let Some(to) = motion(action, self.at(cx.state, selection), len, cx.rows()) {
            self.select(to, cx.state, selection);
        }
    }

    fn click(&mut self, _: usize, row: usize, cx: &Cx, selection: &mut Selection) {
        self.select(self.offset + row, cx.state, selection);
    }

    fn open(&mut self, _: &Cx, _: &mut Selection) -> Option<Panel> {
        Some(Panel::Jobs)
    }

    /// Removes the marks.
    fn close(&mut self) -> bool {
        !std::mem::take(&mut self.marked).is_empty()
    }

    /// Whether fewer rows than a screenful are left below the visible ones.
    fn needs_older_runs(&self, cx: &Cx) -> bool {
        self.listed(cx.state).nth(self.offset + 2 * cx.rows()).is_none()
    }

    fn parent(&self) -> Option<Panel> {
        None
    }

    fn filter(&mut self) -> Option<&mut String> {
        Some(&mut self.filter)
    }

    /// Selects the first run of the list if the filter hides the selected one. A run that leaves the list later, or is
    /// selected elsewhere, stays selected.
    fn filtered(&mut self, cx: &Cx, selection: &mut Selection) {
        if !self.listed(cx.state).any(|run| selection.run_id() == Some(&run.info.id)) {
            let first = self.listed(cx.state).next().map(|run| run.info.id.clone());
            selection.select_run(first);
        }
    }

    /// Returns whose runs are listed; `None` outside of a repository, where there is no choice.
    fn title(&self, cx: &Cx, _: &Selection) -> Option<String> {
        Some(format!("{} of {}", Panel::Runs.name(), cx.state.listed_repositories()?))
    }

    /// Returns the filter, and the numbers of marked runs, of running ones and of those that wait. While there are older
    /// runs, also returns the number of listed runs.
    fn title_suffix(&self, cx: &Cx, _: &Selection) -> String {
        let counted = |word: &str, has_phase: fn(&Phase) -> bool| {
            let count = cx.state.listed().filter(|run| has_phase(&run.phase)).count();
            (count > 0).then(|| format!("{count} {word}"))
        };
        let running = counted("running", Phase::is_active);
        let waiting = counted("waiting", |phase: &Phase| !phase.is_active() && !phase.is_done());
        let more = cx.state.has_older().then(|| format!("{}+", text::count(cx.state.listed().count() as u64)));
        self.chips(cx).into_iter().chain(running).chain(waiting).chain(more).collect::<Vec<_>>().join(cx.theme.dot())
    }

    /// Returns the filter and the number of marked runs: the names of other panels need the rest of a narrow border.
    fn short_suffix(&self, cx: &Cx, _: &Selection) -> String {
        self.chips(cx).join(cx.theme.dot())
    }

    fn scroll(&self, cx: &Cx, _: &Selection) -> Option<Scroll> {
        Some(Scroll { first: self.offset, shown: cx.rows(), all: self.listed(cx.state).count() })
    }

    fn times(&self, cx: &Cx, _: &Selection) -> Vec<Timestamp> {
        self.listed(cx.state).skip(self.offset).take(cx.rows()).map(|run| run.info.created).collect()
    }

    fn draw(&self, cx: &Cx, selection: &Selection, area: Rect, buffer: &mut Buffer) {
        let rows: Vec<&Summary> = self.listed(cx.state).skip(self.offset).take(usize::from(area.height)).collect();
        if rows.is_empty() {
            let has_runs = cx.state.listed().next().is_some();
            let why = match (has_runs, cx.state.listed_repositories().is_some() && !cx.state.is_everywhere) {
                (false, _) => no_runs(cx.state),
                (true, true) => "no run of this repository matches the filter; R searches the runs of all repositories",
                (true, false) => "no run matches the filter",
            };
            empty(why, cx, area, buffer);
        }
        let texts: Vec<Row> = rows.iter().map(|run| self.row(run, cx)).collect();
        let columns = Columns::fit(&texts, Some(usize::from(area.width.saturating_sub(MARGIN + 1))), Naming::Cursor);
        for (y, (run, row)) in (area.y..).zip(rows.into_iter().zip(&texts)) {
            let line = Rect { y, height: 1, ..area };
            let glyph = cx.theme.lamp(&run.phase, cx.state.now.0);
            text::put(buffer, area.x + 1, y, 1, glyph, cx.theme.phase(&run.phase));
            let note = cx.theme.style(match &run.phase {
                Phase::Waiting(Gate::Review(_) | Gate::Held { .. }) => Hue::Review,
                _ if !run.reviews.is_empty() => Hue::Review,
                _ => Hue::Dim,
            });
            let mut x = area.x + MARGIN;
            for (column, text) in columns.cells(row, cx.theme.ellipsis()) {
                let style = match column {
                    Column::Status | Column::Workflow | Column::Time => Style::new(),
                    Column::Note => note,
                    _ => cx.theme.style(Hue::Dim),
                };
                x = text::put(buffer, x, y, area.right().saturating_sub(x), &text, style);
            }
            mark_row(selection.run_id() == Some(&run.info.id), cx, line, buffer);
        }
    }
}

impl Runs {
    /// Returns the parts of the border that every width has: the filter, and the number of marked runs.
    fn chips(&self, cx: &Cx) -> Vec<String> {
        let marked = (!self.marked.is_empty()).then(|| format!("{} marked", self.marked.len()));
        RunFilter::parse(&self.filter, cx.state.now).chips().chain(marked).collect()
    }

    /// Returns the texts of a run's row.
    fn row(&self, run: &Summary, cx: &Cx) -> Row {
        let note = match &run.phase {
            Phase::Waiting(gate @ Gate::Held { .. }) => waits(gate, cx.state),
            _ => run.why().unwrap_or_default(),
        };
        let row = Row::new(run, cx.theme.look(&run.phase).word, note, cx.state.now);
        let row = if cx.state.has_several_repositories() { row } else { row.without(Column::Repository) };
        if self.marked.contains(&run.info.id) { row.marked("[x] ") } else { row }
    }

    /// Whether any run is marked.
    pub(in crate::app) fn has_marks(&self) -> bool {
        !self.marked.is_empty()
    }

    /// Returns the marked runs, newest first.
    pub(in crate::app) fn marked<'s>(&'s self, state: &'s AppState) -> impl Iterator<Item = &'s Summary> {
        self.marked.iter().rev().filter_map(|run| state.summary(run))
    }

    /// Removes the mark of a run.
    pub(in crate::app) fn unmark(&mut self, run: &RunId) {
        self.marked.remove(run);
    }

    /// Marks a run, or removes its mark.
    fn mark(&mut self, run: Option<&RunId>) {
        if let Some(run) = run
            && !self.marked.remove(run)
        {
            self.marked.insert(run.clone());
        }
    }

    /// Returns the run to select while no run is selected, or after the selected one was removed. `None` if no run
    /// matches the filter or none is listed.
    fn replacement(&self, state: &AppState, removed: Option<&RunId>) -> Option<RunId> {
        // This is the run that moved into the row of the removed one, or the last run.
        let listed: Vec<&Summary> = self.listed(state).collect();
        let next = listed.get(self.row.min(listed.len().saturating_sub(1))).map(|run| run.info.id.clone());
        let newest = || state.listed().next().map(|run| run.info.id.clone());
        match (removed, self.filter.is_empty()) {
            (None, true) => newest(),
            // While no run is listed, a run that was requested by its id stays selected: it may be listed later.
            (Some(removed), true) => next.or_else(newest).or_else(|| Some(removed.clone())),
            (_, false) => next,
        }
    }

    /// Returns the runs that match the filter.
    fn listed<'s>(&'s self, state: &'s AppState) -> impl Iterator<Item = &'s Summary> {
        let filter = RunFilter::parse(&self.filter, state.now);
        state.listed().filter(move |run| filter.matches(run))
    }

    /// Returns the row of the selected run in the list.
    fn at(&self, state: &AppState, selection: &Selection) -> usize {
        self.listed(state).position(|run| selection.run_id() == Some(&run.info.id)).unwrap_or_default()
    }

    fn select(&self, row: usize, state: &AppState, selection: &mut Selection) {
        if let Some(run) = self.listed(state).nth(row) {
            selection.select_run(Some(run.info.id.clone()));
        }
    }
}

/// Returns the text of an empty list: the reason, and what to do about it.
pub(super) fn no_runs(state: &AppState) -> &'static str {
    let has_others = state.summaries().next().is_some();
    match (state.is_listed, state.startable.is_empty()) {
        (true, _) if matches!(state.connection, Connection::Asking { .. }) => "asking the server for runs",
        (false, _) => "looking for runs",
        (true, false) if has_others => "no runs of this repository yet: S starts a workflow, R lists the runs of all",
        (true, true) if has_others && state.broken.is_empty() => {
            "no runs of this repository, and no workflow in it: R lists the runs of all repositories"
        }
        (true, true) if !state.broken.is_empty() => "no runs yet, and the workflows have errors: S shows them",
        (true, false) => "no runs yet: S starts a workflow",
        (true, true) => {
            "no runs yet, and no workflow here: open it in a repository with .github/workflows, or run `cuelight demo`"
        }
    }
}
