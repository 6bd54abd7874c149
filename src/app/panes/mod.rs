//! The panes, and the dispatch of messages and actions to them.
//!
//! A pane has scroll positions, a filter, and selections that no other pane shows. All panes share the [`Selection`].
//! After every message, [`Panes::sync`] updates the panes to the state, so that drawing changes nothing.
//!
//! # Adding a pane
//!
//! A new pane changes three files of code:
//!
//! 1. A file of this folder: a type that implements [`Pane`]. Only `act` and `draw` have no default.
//! 2. `ui/layout.rs`: a variant of [`Panel`], a row of `PANELS` (name, action, key, help line), and the area of the
//!    panel on each size of screen.
//! 3. This file: the module, a field of [`Panes`], and a line in [`Panes::get`] and [`Panes::get_mut`].
//!
//! Keys, mouse, filter prompt, borders, help and `cuelight keys` follow from these. A test prints the new table for
//! `assets/keys.md`. The pane shows data from [`AppState`]; a pane is the content of a panel, and a panel the part of the
//! screen in which it is shown.

mod deploys;
mod events;
pub mod graph;
mod job_filter;
mod jobs;
mod list;
pub(super) mod log;
mod run_filter;
mod runs;
mod services;
mod status_filter;
mod workflows;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::model::{Gate, Timestamp};
use crate::ui::frame;
use crate::ui::frame::Scroll;
use crate::ui::layout::{PANELS, Panel, Screen};
use crate::ui::text;
use crate::ui::theme::Theme;

use super::action::Action;
use super::msg::Effect;
use super::selection::Selection;
use super::state::AppState;
use deploys::Deploys;
use events::Events;
use graph::Graph;
use jobs::Jobs;
use log::Log;
use runs::Runs;
use services::Services;
use workflows::Workflows;

pub(super) use crate::ui::run_columns::file_name;
pub(super) use deploys::{has_deployments, live_version};
pub(super) use jobs::{any_failed, next_failed};
pub(super) use list::{empty, keep_visible, motion};
pub(super) use services::has_services;
pub(super) use workflows::WorkflowRow;

/// Data that a pane may read besides its own state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cx<'a> {
    pub(super) state: &'a AppState,
    pub(super) theme: Theme,
    /// Whether keys go to this pane.
    pub(super) focused: bool,
    /// Columns and rows inside the pane's borders; `(0, 1)` if the pane is not on the screen.
    pub(super) size: (u16, u16),
}

impl Cx<'_> {
    /// Rows inside the pane's borders, at least 1.
    pub(super) fn rows(&self) -> usize {
        usize::from(self.size.1)
    }

    /// Returns the first row to draw of a list with `len` rows so that row `at` is visible. A list that is not on the
    /// screen stays where it is: it has no height yet in which the row must be visible.
    fn scrolled(&self, offset: usize, at: usize, len: usize) -> usize {
        if self.size.0 == 0 { offset } else { keep_visible(offset, at, len, self.rows()) }
    }
}

/// A part of the screen with a border.
pub(super) trait Pane {
    /// Updates the pane after a message, and returns the effects that fetch missing data.
    fn sync(&mut self, _: &Cx, _: &mut Selection) -> Vec<Effect> {
        Vec::new()
    }

    /// Carries out an action that concerns this pane alone: a motion, or a display option.
    fn act(&mut self, action: Action, cx: &Cx, selection: &mut Selection);

    /// Handles a click on a column and row inside the borders.
    fn click(&mut self, _column: usize, _row: usize, _: &Cx, _: &mut Selection) {}

    /// Handles a turn of the mouse wheel by one notch.
    fn wheel(&mut self, down: bool, cx: &Cx, selection: &mut Selection) {
        self.act(if down { Action::Down } else { Action::Up }, cx, selection);
    }

    /// Opens the selected row, and returns the panel that shows it; `None` if the focus stays.
    fn open(&mut self, _: &Cx, _: &mut Selection) -> Option<Panel> {
        Some(Panel::Log)
    }

    /// Closes the opened part of the pane. Returns `false` if there is nothing to close.
    fn close(&mut self) -> bool {
        false
    }

    /// Whether the pane would show more if older runs were listed.
    fn needs_older_runs(&self, _: &Cx) -> bool {
        false
    }

    /// Returns the panel that the action "back" leads to; `None` if the focus stays.
    fn parent(&self) -> Option<Panel> {
        Some(Panel::Runs)
    }

    /// Returns the words that listed rows must contain, if the pane has a filter.
    fn filter(&mut self) -> Option<&mut String> {
        None
    }

    /// Handles a change of the filter's words while they are typed.
    fn filtered(&mut self, _: &Cx, _: &mut Selection) {}

    /// Returns the title in the border; `None` for the name of the panel.
    fn title(&self, _: &Cx, _: &Selection) -> Option<String> {
        None
    }

    /// Returns the text at the right end of the upper border; may be empty.
    fn title_suffix(&self, _: &Cx, _: &Selection) -> String {
        String::new()
    }

    /// Returns a shorter text in place of [`title_suffix`](Self::title_suffix) if there is little room; empty for none.
    fn short_suffix(&self, _: &Cx, _: &Selection) -> String {
        String::new()
    }

    /// Returns the visible part of the list; `None` for a pane without a list.
    fn scroll(&self, _: &Cx, _: &Selection) -> Option<Scroll> {
        None
    }

    /// Returns the times whose ages the visible rows show.
    fn times(&self, _: &Cx, _: &Selection) -> Vec<Timestamp> {
        Vec::new()
    }

    /// Draws the inside of the pane.
    fn draw(&self, cx: &Cx, selection: &Selection, area: Rect, buffer: &mut Buffer);
}

/// All panes.
#[derive(Clone, Debug, Default)]
pub(super) struct Panes {
    pub(super) workflows: Workflows,
    pub(super) runs: Runs,
    pub(super) graph: Graph,
    pub(super) jobs: Jobs,
    pub(super) log: Log,
    pub(super) services: Services,
    pub(super) deploys: Deploys,
    pub(super) events: Events,
}

impl Panes {
    /// Returns the pane of a panel.
    pub(super) fn get(&self, panel: Panel) -> &dyn Pane {
        match panel {
            Panel::Workflows => &self.workflows,
            Panel::Runs => &self.runs,
            Panel::Graph => &self.graph,
            Panel::Jobs => &self.jobs,
            Panel::Log => &self.log,
            Panel::Services => &self.services,
            Panel::Deploys => &self.deploys,
            Panel::Events => &self.events,
        }
    }

    /// Returns the pane of a panel, mutably.
    pub(super) fn get_mut(&mut self, panel: Panel) -> &mut dyn Pane {
        match panel {
            Panel::Workflows => &mut self.workflows,
            Panel::Runs => &mut self.runs,
            Panel::Graph => &mut self.graph,
            Panel::Jobs => &mut self.jobs,
            Panel::Log => &mut self.log,
            Panel::Services => &mut self.services,
            Panel::Deploys => &mut self.deploys,
            Panel::Events => &mut self.events,
        }
    }

    /// Whether a pane would show more if older runs were listed.
    pub(super) fn need_older_runs<'a>(&self, cx: impl Fn(Panel) -> Cx<'a>) -> bool {
        PANELS.iter().any(|info| self.get(info.panel).needs_older_runs(&cx(info.panel)))
    }

    /// Updates every pane after a change. Runs and Jobs come first, because they move the selection that the other
    /// panes show.
    pub(super) fn sync<'a>(&mut self, cx: impl Fn(Panel) -> Cx<'a>, selection: &mut Selection) -> Vec<Effect> {
        const FIRST: [Panel; 2] = [Panel::Runs, Panel::Jobs];
        let others = PANELS.iter().map(|info| info.panel).filter(|panel| !FIRST.contains(panel));
        FIRST.into_iter().chain(others).flat_map(|panel| self.get_mut(panel).sync(&cx(panel), selection)).collect()
    }
}

/// Returns the columns and rows inside the borders of a panel.
pub(super) fn size(screen: Option<&Screen>, panel: Panel) -> (u16, u16) {
    let area = screen.and_then(|screen| screen.panel(panel)).map(frame::inside).unwrap_or_default();
    (area.width, area.height.max(1))
}

/// Returns the reason of a wait; for a held step, also the time until the hold ends.
fn waits(gate: &Gate, state: &AppState) -> String {
    match gate {
        Gate::Held { reason, until } => {
            let left = text::spent(state.now, None, *until);
            match reason {
                Some(reason) => format!("held, {left} left: {reason}"),
                None => format!("held before it runs, {left} left"),
            }
        }
        _ => gate.reason(),
    }
}
