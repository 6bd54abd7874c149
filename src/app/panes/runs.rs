//! 1 Runs: all runs on this machine, newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::state::AppState;
use crate::model::Summary;
use crate::model::{Phase, RunId};
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

use super::{Cx, ListRow, chip, empty, keep_visible, motion};

/// The list of runs.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// The run that every other pane shows.
    pub selected: Option<RunId>,
    /// Words that a run must have to be listed.
    pub filter: String,
    /// The repository that we are in: its newest run is selected first.
    pub home: Option<String>,
    offset: usize,
    /// The row of the selected run, for when that is gone.
    row: usize,
}

impl Runs {
    /// Moves the selection.
    pub(in crate::app) fn act(&mut self, action: Action, facts: &AppState, height: usize) {
        let len = self.listed(facts).count();
        if let Some(to) = motion(action, self.at(facts), len, height) {
            self.select(to, facts);
        }
    }

    /// Selects the run in a row of the pane.
    pub(in crate::app) fn click(&mut self, row: usize, facts: &AppState) {
        self.select(self.offset + row, facts);
    }

    /// Selects the newest run when none is, and keeps the selected one in sight.
    pub(in crate::app) fn settle(&mut self, facts: &AppState, height: usize) {
        if self.selected.as_ref().is_none_or(|id| facts.summary(id).is_none()) {
            // What takes its place in the list: the next one, or the last.
            let listed: Vec<&Summary> = self.listed(facts).collect();
            let next = listed.get(self.row.min(listed.len().saturating_sub(1))).map(|run| run.info.id.clone());
            let at_home = |run: &&Summary| self.home.as_ref().is_none_or(|home| run.info.repository == *home);
            let newest = || facts.summaries().find(at_home).or(facts.summaries().next()).map(|run| run.info.id.clone());
            self.selected = match (&self.selected, self.filter.is_empty()) {
                (None, true) => newest(),
                (Some(_), true) => next.or_else(newest).or(self.selected.take()),
                (_, false) => next,
            };
        }
        self.row = self.at(facts);
        self.offset = keep_visible(self.offset, self.at(facts), self.listed(facts).count(), height);
    }

    /// Returns the number of rows below those that are shown.
    pub(in crate::app) fn rows_below(&self, facts: &AppState, height: usize) -> usize {
        self.listed(facts).count().saturating_sub(self.offset + height)
    }

    /// Selects the first run of the list when the filter has come to leave out the selected one. A run that leaves the
    /// list by itself, or is gone to from elsewhere, stays selected.
    pub(in crate::app) fn narrow(&mut self, facts: &AppState) {
        if !self.listed(facts).any(|run| self.selected.as_ref() == Some(&run.info.id)) {
            let first = self.listed(facts).next().map(|run| run.info.id.clone());
            self.selected = first;
        }
    }

    /// How many there are and how many go on.
    pub(in crate::app) fn remark(&self, facts: &AppState, theme: Theme) -> String {
        let alive = Some(facts.alive().count()).filter(|alive| *alive > 0).map(|alive| format!("{alive} running"));
        chip(&self.filter).into_iter().chain(alive).collect::<Vec<_>>().join(theme.dot())
    }

    /// The runs that the filter lets through.
    fn listed<'f>(&'f self, facts: &'f AppState) -> impl Iterator<Item = &'f Summary> {
        let found = |run: &&Summary| {
            let texts = [
                &run.name,
                &run.info.repository,
                &run.info.workflow,
                &run.info.event,
                &run.info.ref_name,
                run.phase.word(),
                run.info.id.as_str(),
                &run.info.sha,
            ];
            text::holds(&self.filter, &texts)
        };
        facts.summaries().filter(found)
    }

    pub(in crate::app) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        let rows: Vec<&Summary> = self.listed(cx.facts).skip(self.offset).take(usize::from(area.height)).collect();
        if rows.is_empty() {
            let why =
                if cx.facts.summaries().next().is_some() { "no run has all of these words" } else { none(cx.facts) };
            empty(why, cx, area, buffer);
        }
        let names = rows.iter().map(|run| text::width(title(run))).max().unwrap_or_default().min(24) as u16;
        for (y, run) in (area.y..).zip(rows) {
            let time = match (run.started, run.finished) {
                (Some(started), Some(finished)) => text::duration(finished.since(started)),
                (Some(started), None) => text::duration(cx.facts.now.since(started)),
                (None, _) => String::new(),
            };
            let repository = if cx.facts.has_several_repositories() { project(&run.info.repository) } else { "" };
            let facts = [
                repository,
                run.info.ref_name.as_str(),
                run.info.event.as_str(),
                &text::ago(cx.facts.now.since(run.info.created)),
            ];
            let facts: Vec<&str> = facts.into_iter().filter(|part| !part.is_empty()).collect();
            let remark = match &run.phase {
                Phase::Waiting(gate) => gate.reason(),
                _ => facts.join("  "),
            };
            let row = ListRow {
                indent: 0,
                glyph: cx.theme.lamp(&run.phase, cx.facts.now.0),
                style: cx.theme.phase(&run.phase),
                name: title(run),
                tab: names + 5,
                remark: &remark,
                remark_style: cx.theme.style(Hue::Dim),
                right: &time,
                selected: self.selected.as_ref() == Some(&run.info.id),
            };
            row.draw(cx, Rect { y, height: 1, ..area }, buffer);
        }
    }

    fn at(&self, facts: &AppState) -> usize {
        self.listed(facts).position(|run| self.selected.as_ref() == Some(&run.info.id)).unwrap_or_default()
    }

    fn select(&mut self, row: usize, facts: &AppState) {
        let run = self.listed(facts).nth(row).map(|run| run.info.id.clone());
        self.selected = run.or(self.selected.take());
    }
}

/// What is said where there is no run, and what to do about it.
pub(super) fn none(facts: &AppState) -> &'static str {
    match (facts.is_listed, facts.offers.is_empty()) {
        (false, _) => "looking for runs",
        (true, false) => "no runs yet: S starts a workflow",
        (true, true) => {
            "no runs yet, and no workflow here: open it in a repository with .github/workflows, or run `cuelight demo`"
        }
    }
}

/// What a run is called: its name, or its file's.
fn title(run: &Summary) -> &str {
    if run.name.is_empty() { file(&run.info.workflow) } else { &run.name }
}

/// The name of a repository without its owner.
pub(super) fn project(repository: &str) -> &str {
    repository.rsplit('/').next().unwrap_or(repository)
}

/// The name of a workflow's file, without its folder.
pub(super) fn file(workflow: &str) -> &str {
    workflow.rsplit('/').next().unwrap_or(workflow)
}
