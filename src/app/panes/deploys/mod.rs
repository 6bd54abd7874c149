//! Panel 6, Deploys: the environments of this machine, in the order in which releases go through them, then all other
//! environments. These are the environments of jobs in the listed runs, each with the latest deployment to it. Inside a
//! repository, only the runs of that repository count.
//!
//! If the selected run is on a server, the other environments are those of its repository as the server reports them:
//! the live release, its age, and how far it is behind the default branch. They are requested while the pane is on the
//! screen, and so is the state of the targets of this machine's environments.
//!
//! The list of runs comes in pages. While the pane has the focus and this machine has no environments, the pane
//! requests further pages, up to [`MAX_RUNS`]; while there are older runs, its border shows the number of runs
//! searched.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::environments::repository;
use crate::app::msg::Effect;
use crate::app::selection::Selection;
use crate::app::state::AppState;
use crate::model::environment::{Environment as ServerEnvironment, EnvironmentDeployment};
use crate::model::feed::Request;
use crate::model::lane::Lane;
use crate::model::{RunId, Summary, Timestamp};
use crate::ui::frame::Scroll;
use crate::ui::layout::Panel;
use crate::ui::text;

use super::list::filter_chip;
use super::{Cx, Pane, empty, motion};
use lanes::Columns;
use listed::{Environment, Others, Row, Rows, environments, on_server, version};
use page::Page;

mod lanes;
mod listed;
mod page;
mod rows;

/// Maximum number of runs that are searched for deployments. Older runs are left out, because each page of runs takes
/// memory.
const MAX_RUNS: usize = 2_000;

/// Maximum ages of reported environments while the pane has the focus, and while it is only on the screen.
const MAX_AGES: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(5)];

/// The list of environments.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Deploys {
    /// The last requested repository, the time of the request, and whether the selected run had ended by then; `None`
    /// before the first request.
    asked: Option<(String, Timestamp, bool)>,
    /// When the state of this machine's targets was last requested; `None` before the first request.
    looked: Option<Timestamp>,
    /// Name of the selected environment; `None` for the first row.
    selected: Option<String>,
    filter: String,
    offset: usize,
    /// The page of an environment of this machine, in place of the list while the pane has the focus; `None` for the
    /// list.
    page: Option<Page>,
}

/// Text of an empty list.
const EMPTY: &str = "no deployment in these runs";

/// Text of an empty list before the environments of this machine were read.
const READING: &str = "reading the environments of the repository";

/// Text of an empty list outside of repositories.
const OUTSIDE: &str = "no deployment in these runs; environments of this machine belong to a repository, so start \
                       cuelight in one to see them";

/// Text of an empty list, if this machine has no environments.
const NO_ENVIRONMENTS: &str = "no deployment in these runs, and no `[environments.NAME]` in the .cuelight.toml of the \
                               repository: `cuelight config --example` shows how to write one";

/// Part of the border while environments are shown as they were before, and the list fills its pane.
const OUTDATED: &str = "as before an error";

impl Pane for Deploys {
    fn sync(&mut self, cx: &Cx, selection: &mut Selection) -> Vec<Effect> {
        let rows = self.listed(cx.state, selection);
        self.offset = cx.scrolled(self.offset, self.at(&rows), rows.len());
        let lane = self.paged(cx.state, selection);
        if lane.is_none() {
            self.page = None;
        }
        let page = self.page.as_mut().filter(|_| cx.focused);
        let details = page.zip(lane).and_then(|(page, lane)| page.sync(lane, cx));
        self.ask(cx, selection).into_iter().chain(self.look(cx)).chain(details).collect()
    }

    fn act(&mut self, action: Action, cx: &Cx, selection: &mut Selection) {
        let lane = self.paged(cx.state, selection).filter(|_| cx.focused);
        if let Some((page, lane)) = self.page.as_mut().zip(lane) {
            page.act(action, lane, cx);
            return;
        }
        let rows = self.listed(cx.state, selection);
        if let Some(to) = motion(action, self.at(&rows), rows.len(), cx.rows()) {
            self.selected = rows.name(to).map(str::to_owned);
        }
    }

    fn click(&mut self, _: usize, row: usize, cx: &Cx, selection: &mut Selection) {
        if let Some(page) = self.page.as_mut().filter(|_| cx.focused) {
            page.click(row);
            return;
        }
        // Without the focus, the list is on the screen.
        self.page = None;
        let clicked = self.listed(cx.state, selection).name(self.offset + row).map(str::to_owned);
        self.selected = clicked.or(self.selected.take());
    }

    /// Selects the run of the deployment on the selected line of the page, or the listed run of the latest deployment
    /// to the selected environment. Does nothing for an environment of this machine, which has a page, or of a server.
    fn open(&mut self, cx: &Cx, selection: &mut Selection) -> Option<Panel> {
        let run = if self.shown(cx, selection).is_some() {
            self.page_run(cx, selection)?
        } else {
            let rows = self.listed(cx.state, selection);
            match rows.at(self.at(&rows))? {
                Row::InRuns(found) => found.latest.0.info.id.clone(),
                Row::Lane(_) | Row::OnServer(_) => return None,
            }
        };
        cx.state.summary(&run)?;
        selection.select_run(Some(run));
        Some(Panel::Jobs)
    }

    fn close(&mut self) -> bool {
        self.page.take().is_some()
    }

    fn needs_older_runs(&self, cx: &Cx) -> bool {
        cx.focused && cx.state.lanes.is_empty() && searched(cx.state) < MAX_RUNS
    }

    fn filter(&mut self) -> Option<&mut String> {
        self.page.is_none().then_some(&mut self.filter)
    }

    fn title(&self, cx: &Cx, _: &Selection) -> Option<String> {
        let page = self.page.as_ref().filter(|_| cx.focused)?;
        Some(format!("{}{}{}", Panel::Deploys.name(), cx.theme.arrow(), page.environment()))
    }

    fn title_suffix(&self, cx: &Cx, selection: &Selection) -> String {
        if cx.focused && self.page.is_some() {
            return String::new();
        }
        let outdated = self.outdated_without_row(cx, selection).then(|| OUTDATED.to_owned());
        let runs = || format!("newest {}", text::counted(searched(cx.state) as u64, "run"));
        let part = match on_server(cx.state, selection) {
            Some((repository, _)) => {
                Some(repository.split_once('/').map_or(repository.clone(), |(_, name)| name.to_owned()))
            }
            None => (cx.state.has_older() && cx.state.lanes.is_empty()).then(runs),
        };
        [filter_chip(&self.filter), outdated, part].into_iter().flatten().collect::<Vec<_>>().join(cx.theme.dot())
    }

    fn scroll(&self, cx: &Cx, selection: &Selection) -> Option<Scroll> {
        if let Some((page, lane)) = self.shown(cx, selection) {
            return Some(page.scroll(lane, cx));
        }
        let all = self.listed(cx.state, selection).len();
        Some(Scroll { first: self.offset, shown: cx.rows(), all })
    }

    fn times(&self, cx: &Cx, selection: &Selection) -> Vec<Timestamp> {
        if let Some((_, lane)) = self.shown(cx, selection) {
            return page::times(lane);
        }
        let rows = self.listed(cx.state, selection);
        let visible = (self.offset..rows.len()).take(cx.rows()).filter_map(|number| rows.at(number));
        let times = visible.flat_map(|row| match row {
            Row::Lane(lane) => [
                lane.environment.live().map(EnvironmentDeployment::at),
                lane.reported.as_ref().filter(|_| lane.on_its_way().is_none()).map(|reported| reported.at),
                lane.stops,
                lane.lock.as_ref().and_then(|lock| lock.until),
            ],
            Row::OnServer(environment) => {
                let shown = environment.live().or(environment.deployments.first());
                [shown.map(EnvironmentDeployment::at), None, None, None]
            }
            Row::InRuns(found) => [found.latest.1.at, None, None, None],
        });
        times.flatten().collect()
    }

    fn draw(&self, cx: &Cx, selection: &Selection, area: Rect, buffer: &mut Buffer) {
        if let Some((page, lane)) = self.shown(cx, selection) {
            return page.draw(lane, cx, area, buffer);
        }
        let rows = self.listed(cx.state, selection);
        if rows.len() == 0 {
            let why = match &cx.state.lanes_unreadable {
                _ if !self.filter.is_empty() => "no environment matches the filter",
                Some(reason) => reason,
                // A replay shows the environments of its run only.
                None if !cx.state.lanes.is_empty() || cx.state.replay.is_some() => EMPTY,
                None if cx.state.home.is_none() => OUTSIDE,
                None if !cx.state.has_read_lanes => READING,
                None => NO_ENVIRONMENTS,
            };
            empty(why, cx, area, buffer);
        }
        let (at, columns) = (self.at(&rows), Columns::of(&rows.lanes, area.width));
        let tab = (text::limited(rows.widest_other()) + 5).min(area.width / 2);
        for (y, number) in (area.y..area.bottom()).zip(self.offset..rows.len()) {
            let (selected, row) = (cx.focused && number == at, Rect { y, height: 1, ..area });
            match rows.at(number) {
                Some(Row::Lane(lane)) => lanes::draw(lane, &columns, selected, cx, row, buffer),
                Some(Row::OnServer(environment)) => rows::server(environment, tab, selected, cx, row, buffer),
                Some(Row::InRuns(found)) => rows::found(found, tab, selected, cx, row, buffer),
                None => {}
            }
        }
        if let Some(reason) = cx.state.lanes_unreadable.as_ref().filter(|_| !rows.lanes.is_empty()) {
            rows::outdated(reason, text::limited(rows.len().saturating_sub(self.offset)), cx, area, buffer);
        }
    }
}

/// Returns the age after which reported environments are requested again.
fn max_age(cx: &Cx) -> Duration {
    let [focused, visible] = MAX_AGES;
    if cx.focused { focused } else { visible }
}

/// Returns the number of runs that are searched for deployments.
fn searched(state: &AppState) -> usize {
    state.summaries().filter(|run| state.is_at_home(run)).count()
}

impl Deploys {
    /// Returns the request for the environments of the selected run's repository, unless they were requested for it
    /// within the maximum age and the run has not ended since. `None` in a replay, and while the pane is hidden.
    fn ask(&mut self, cx: &Cx, selection: &Selection) -> Option<Effect> {
        let state = cx.state;
        let run = state.summary(selection.run_id()?)?;
        let repository = repository(run).filter(|_| state.replay.is_none() && cx.size.0 > 0)?;
        if state.now == Timestamp::default() {
            return None;
        }
        let has_ended = run.phase.is_done();
        let is_known = self.asked.as_ref().is_some_and(|(of, at, had_ended)| {
            *of == repository && *had_ended == has_ended && state.now.since(*at) < max_age(cx)
        });
        if is_known {
            return None;
        }
        self.asked = Some((repository.clone(), state.now, has_ended));
        Some(Effect::Request(Request::ListEnvironments { repository }))
    }

    /// Returns the request for the state of the targets of this machine's environments, once per maximum age. `None`
    /// while the pane is hidden, and without environments of this machine.
    fn look(&mut self, cx: &Cx) -> Option<Effect> {
        let now = cx.state.now;
        let is_due = self.looked.is_none_or(|at| now.since(at) >= max_age(cx));
        if cx.size.0 == 0 || cx.state.lanes.is_empty() || now == Timestamp::default() || !is_due {
            return None;
        }
        self.looked = Some(now);
        Some(Effect::Request(Request::ListLanes))
    }

    /// Returns the selected environment, if it is on a server, with its repository.
    pub(in crate::app) fn selected_on_server<'s>(
        &self,
        state: &'s AppState,
        selection: &Selection,
    ) -> Option<(String, &'s ServerEnvironment)> {
        let (repository, _) = on_server(state, selection)?;
        let rows = self.listed(state, selection);
        match rows.at(self.at(&rows))? {
            Row::OnServer(environment) => Some((repository, environment)),
            Row::Lane(_) | Row::InRuns(_) => None,
        }
    }

    /// Opens the page of an environment of this machine.
    pub(in crate::app) fn open_page(&mut self, environment: &str) {
        self.selected = Some(environment.to_owned());
        self.page = Some(Page::new(environment));
    }

    /// Returns the environment whose page is open; `None` for the list of environments.
    pub(in crate::app) fn paged<'s>(&self, state: &'s AppState, selection: &Selection) -> Option<&'s Lane> {
        let name = self.page.as_ref()?.environment();
        Self::all_lanes(state, selection).iter().find(|lane| lane.name() == name)
    }

    /// Returns the page on the screen, with its environment. Without the focus, the pane is too small for a page and
    /// shows the list.
    fn shown<'p, 's>(&'p self, cx: &Cx<'s>, selection: &Selection) -> Option<(&'p Page, &'s Lane)> {
        self.page.as_ref().filter(|_| cx.focused).zip(self.paged(cx.state, selection))
    }

    /// Returns the run of the deployment on the selected line of the page; `None` for any other line, and without a
    /// page.
    pub(in crate::app) fn page_run(&self, cx: &Cx, selection: &Selection) -> Option<RunId> {
        let (page, lane) = self.shown(cx, selection)?;
        page.run(lane, cx)
    }

    /// Returns the selected environment, if it is one of this machine.
    pub(in crate::app) fn selected_lane<'s>(&self, state: &'s AppState, selection: &Selection) -> Option<&'s Lane> {
        if self.page.is_some() {
            return self.paged(state, selection);
        }
        let lanes = self.lanes(state, selection);
        // The first row is selected unless the selected environment is listed. Other rows are costly to list.
        match &self.selected {
            None => lanes.first().copied(),
            Some(selected) => lanes.iter().copied().find(|lane| lane.name() == selected).or_else(|| {
                let rows = self.listed(state, selection);
                let is_listed = (0..rows.len()).any(|at| rows.name(at) == Some(selected));
                lanes.first().copied().filter(|_| !is_listed)
            }),
        }
    }

    /// Returns the environments of this machine. Empty if the selected run belongs to another repository than the working
    /// directory.
    fn all_lanes<'s>(state: &'s AppState, selection: &Selection) -> &'s [Lane] {
        let is_home = selection.run_id().and_then(|run| state.summary(run)).is_none_or(|run| state.is_at_home(run));
        if is_home { &state.lanes } else { &[] }
    }

    /// Returns the environments of this machine that match the filter.
    fn lanes<'s>(&self, state: &'s AppState, selection: &Selection) -> Vec<&'s Lane> {
        Self::all_lanes(state, selection).iter().filter(|lane| self.holds(&lane.environment)).collect()
    }

    /// Whether an environment matches the filter.
    fn holds(&self, environment: &ServerEnvironment) -> bool {
        let live = environment.live().map(|live| live.release.title()).unwrap_or_default();
        text::holds(&self.filter, &[&environment.name, &live])
    }

    /// Returns the environments that match the filter. The environments besides those of this machine are those of the
    /// run's server if it has reported any, otherwise those in the listed runs.
    fn listed<'s>(&self, state: &'s AppState, selection: &Selection) -> Rows<'s> {
        let (all, lanes) = (Self::all_lanes(state, selection), self.lanes(state, selection));
        let is_other = |name: &str| all.iter().all(|lane| lane.name() != name);
        if let Some((_, known)) = on_server(state, selection) {
            let holds = |row: &&ServerEnvironment| is_other(&row.name) && self.holds(row);
            return Rows { lanes, others: Others::OnServer(known.iter().filter(holds).collect()) };
        }
        let mut found = self.found(state);
        found.retain(|row| is_other(row.name));
        Rows { lanes, others: Others::InRuns(found) }
    }

    /// Whether environments are shown as they were before an error in the settings, and the list leaves no row below it to
    /// say so.
    fn outdated_without_row(&self, cx: &Cx, selection: &Selection) -> bool {
        cx.state.lanes_unreadable.is_some() && {
            let rows = self.listed(cx.state, selection);
            !rows.lanes.is_empty() && rows.len().saturating_sub(self.offset) >= cx.rows()
        }
    }

    /// Returns the environments in runs that match the filter, by name.
    fn found<'s>(&self, state: &'s AppState) -> Vec<Environment<'s>> {
        let mut rows = environments(state);
        rows.retain(|Environment { name, latest: (run, deployment), .. }| {
            text::holds(&self.filter, &[name, deployment.phase.word(), &run.info.sha, &run.info.ref_name, &run.name])
        });
        rows
    }

    /// Returns the row of the selected environment in the list; the first row if the environment is not listed.
    fn at(&self, rows: &Rows<'_>) -> usize {
        (0..rows.len()).find(|at| self.selected.as_deref() == rows.name(*at)).unwrap_or_default()
    }
}

/// Whether the pane may have rows without its filter. Always true for a run on a server: its environments are requested
/// only while the pane is on the screen, so they are not known before.
pub(in crate::app) fn has_deployments(state: &AppState, selection: &Selection) -> bool {
    let selected = selection.run_id().and_then(|run| state.summary(run));
    !state.lanes.is_empty()
        || state.lanes_unreadable.is_some()
        || selected.is_some_and(|run| run.info.remote.is_some())
        || state.summaries().any(|run| state.is_at_home(run) && !run.deployments.is_empty())
}

/// Returns the version that is live in an environment that a run deploys to; `None` if no deployment succeeded. For an
/// environment of this machine, that is according to its ledger, because the run of a live release goes on while the
/// former one is kept; otherwise, according to the listed runs.
pub(in crate::app) fn live_version(state: &AppState, run: &Summary, environment: &str) -> Option<String> {
    let is_own = run.info.remote.is_none() && state.is_at_home(run);
    if let Some(lane) = state.lane(environment).filter(|_| is_own) {
        return lane.environment.live().map(|live| live.release.title());
    }
    let (run, _) = environments(state).into_iter().find(|row| row.name == environment)?.live?;
    Some(version(run))
}
