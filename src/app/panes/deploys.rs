//! Panel 6, Deploys: the environments of jobs, and the latest deployment to each of them in the listed runs. Inside a
//! repository, only the runs of that repository count.
//!
//! If the selected run is on a server, the pane shows the environments of its repository as the server reports them:
//! what is live, since when, and how far behind the default branch. They are requested while the pane is on the screen.
//!
//! The list of runs comes in pages. While the pane has the focus it requests further ones, up to [`MAX_RUNS`]; while
//! there are older runs, its border shows the number of runs searched.

use std::collections::BTreeMap;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::environments::repository;
use crate::app::msg::Effect;
use crate::app::selection::Selection;
use crate::app::state::AppState;
use crate::model::environment::{Drift, Environment as ServerEnvironment};
use crate::model::feed::Request;
use crate::model::{Conclusion, Deployment, Gate, PendingReview, Phase, Summary, Timestamp};
use crate::ui::layout::Panel;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::list::{ListRow, filter_chip};
use super::{Cx, Pane, empty, keep_visible, motion};

/// Maximum number of runs that are searched for deployments. Older runs are left out, because each page of runs takes
/// memory.
const MAX_RUNS: usize = 2_000;

/// Maximum age of the environments of a server while the pane has the focus, and while it is only on the screen.
const MAX_AGES: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(5)];

/// The list of environments.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Deploys {
    /// The last requested repository, the time of the request, and whether the selected run had ended by then.
    asked: Option<(String, Timestamp, bool)>,
    /// Name of the selected environment.
    selected: Option<String>,
    filter: String,
    offset: usize,
}

/// The deployments to one environment.
struct Environment<'s> {
    name: &'s str,
    /// The latest deployment, whatever its state.
    latest: (&'s Summary, &'s Deployment),
    /// The latest deployment that succeeded.
    live: Option<(&'s Summary, &'s Deployment)>,
}

impl Pane for Deploys {
    fn sync(&mut self, cx: &Cx, selection: &mut Selection) -> Vec<Effect> {
        let rows = self.listed(cx.state, selection);
        self.offset = keep_visible(self.offset, self.at(&rows), rows.len(), cx.rows());
        self.ask(cx, selection).into_iter().collect()
    }

    fn act(&mut self, action: Action, cx: &Cx, selection: &mut Selection) {
        let rows = self.listed(cx.state, selection);
        if let Some(to) = motion(action, self.at(&rows), rows.len(), cx.rows()) {
            self.selected = rows.name(to).map(str::to_owned);
        }
    }

    fn click(&mut self, _: usize, row: usize, cx: &Cx, selection: &mut Selection) {
        let clicked = self.listed(cx.state, selection).name(self.offset + row).map(str::to_owned);
        self.selected = clicked.or(self.selected.take());
    }

    /// Selects the run of the latest deployment to the selected environment.
    fn open(&mut self, cx: &Cx, selection: &mut Selection) -> Option<Panel> {
        let rows = self.listed(cx.state, selection);
        let Rows::InRuns(found) = &rows else { return None };
        let run = found.get(self.at(&rows))?.latest.0.info.id.clone();
        selection.select_run(Some(run));
        Some(Panel::Jobs)
    }

    fn needs_older_runs(&self, cx: &Cx) -> bool {
        cx.focused && cx.state.summaries().count() < MAX_RUNS
    }

    fn filter(&mut self) -> Option<&mut String> {
        Some(&mut self.filter)
    }

    fn title_suffix(&self, cx: &Cx, selection: &Selection) -> String {
        if let Some((repository, _)) = on_server(cx.state, selection) {
            let name = repository.split_once('/').map_or(repository.clone(), |(_, name)| name.to_owned());
            return filter_chip(&self.filter).into_iter().chain([name]).collect::<Vec<_>>().join(cx.theme.dot());
        }
        let runs = || format!("newest {}", text::counted(cx.state.summaries().count() as u64, "run"));
        let part = cx.state.has_older().then(runs);
        filter_chip(&self.filter).into_iter().chain(part).collect::<Vec<_>>().join(cx.theme.dot())
    }

    fn draw(&self, cx: &Cx, selection: &Selection, area: Rect, buffer: &mut Buffer) {
        let rows = self.listed(cx.state, selection);
        if rows.len() == 0 {
            let is_filtered = !self.filter.is_empty();
            let why = if is_filtered { "no environment matches the filter" } else { "no deployment in these runs" };
            empty(why, cx, area, buffer);
        }
        let at = self.at(&rows);
        match &rows {
            Rows::InRuns(rows) => self.draw_found(rows, at, cx, area, buffer),
            Rows::OnServer(rows) => self.draw_server(rows, at, cx, area, buffer),
        }
    }
}

impl Deploys {
    /// Draws environments of a server.
    fn draw_server(&self, rows: &[&ServerEnvironment], at: usize, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        let widest = rows.iter().map(|row| text::width(&row.name)).max().unwrap_or_default();
        for (y, (number, row)) in (area.y..area.bottom()).zip(rows.iter().enumerate().skip(self.offset)) {
            let newest = row.deployments.first();
            let phase = newest.map_or(Phase::Done(Conclusion::Neutral), |newest| newest.state.phase(&row.name));
            // The pending deployment comes first, because the user may act on it.
            let pending = row
                .pending()
                .map(|newest| format!("{} {}", newest.release.name(), newest.state.word().replace('_', " ")));
            let live = row.live().map(|live| format!("live {}", live.release.title()));
            let nothing = || if row.unknown.is_some() { "not shown" } else { "nothing live" }.to_owned();
            let drift = row.drift.as_ref().map(Drift::short);
            let parts = pending.into_iter().chain([live.unwrap_or_else(nothing)]).chain(drift);
            let age = row.live().or(newest).map(|one| text::ago(cx.state.now.since(one.at())));
            let line = ListRow {
                indent: 0,
                glyph: if newest.is_some() { cx.theme.lamp(&phase, cx.state.now.0) } else { " " },
                style: cx.theme.phase(&phase),
                name: &row.name,
                tab: (widest as u16 + 5).min(area.width / 2),
                remark: &parts.collect::<Vec<_>>().join("  "),
                remark_style: cx.theme.style(Hue::Dim),
                right: &age.unwrap_or_default(),
                selected: cx.focused && number == at,
            };
            line.draw(cx, Rect { y, height: 1, ..area }, buffer);
        }
    }

    /// Draws environments that were found in the listed runs.
    fn draw_found(&self, rows: &[Environment], at: usize, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        let widest = rows.iter().map(|row| text::width(row.name)).max().unwrap_or_default();
        for (y, (number, row)) in (area.y..area.bottom()).zip(rows.iter().enumerate().skip(self.offset)) {
            let (run, deployment) = row.latest;
            let mut parts = vec![version(run)];
            match (&deployment.phase, row.live) {
                (Phase::Done(Conclusion::Success), _) => parts.extend(deployment.url.clone()),
                (Phase::Done(_), Some((live, _))) => parts.push(format!("live {}", version(live))),
                (Phase::Waiting(Gate::Review(_)), live) => {
                    let is_here = |review: &&PendingReview| review.environment == row.name;
                    let reviewers = run.reviews.iter().find(is_here).map(|review| review.reviewers.join(", "));
                    let reviewers = reviewers.filter(|names| !names.is_empty());
                    let review = reviewers.map_or("needs review".to_owned(), |names| format!("review by {names}"));
                    // The review comes first, because the user may act on it.
                    parts.insert(0, review);
                    parts.extend(live.map(|(live, _)| format!("live {}", version(live))));
                }
                (phase, Some((live, _))) => {
                    parts.push(format!("{}, live {}", cx.theme.look(phase).word, version(live)));
                }
                (phase, None) => parts.push(cx.theme.look(phase).word.to_owned()),
            }
            let ago = deployment.at.map(|at| text::ago(cx.state.now.since(at))).unwrap_or_default();
            let line = ListRow {
                indent: 0,
                glyph: cx.theme.lamp(&deployment.phase, cx.state.now.0),
                style: cx.theme.phase(&deployment.phase),
                name: row.name,
                tab: (text::limited(widest) + 5).min(area.width / 2),
                remark: &parts.join("  "),
                remark_style: cx.theme.style(Hue::Dim),
                right: &ago,
                selected: cx.focused && number == at,
            };
            line.draw(cx, Rect { y, height: 1, ..area }, buffer);
        }
    }
}

impl Deploys {
    /// Returns the request for the environments of the selected run's repository, if the known ones are too old.
    fn ask(&mut self, cx: &Cx, selection: &Selection) -> Option<Effect> {
        let state = cx.state;
        let run = state.summary(selection.run_id()?)?;
        let repository = repository(run).filter(|_| state.replay.is_none() && cx.size.0 > 0)?;
        if state.now == Timestamp::default() {
            return None;
        }
        let (has_ended, [focused, visible]) = (run.phase.is_done(), MAX_AGES);
        let age = if cx.focused { focused } else { visible };
        let is_known = self.asked.as_ref().is_some_and(|(of, at, had_ended)| {
            *of == repository && *had_ended == has_ended && state.now.since(*at) < age
        });
        if is_known {
            return None;
        }
        self.asked = Some((repository.clone(), state.now, has_ended));
        Some(Effect::Request(Request::ListEnvironments { repository }))
    }

    /// Returns the selected environment, if it is on a server, with its repository.
    pub(in crate::app) fn selected_on_server<'s>(
        &self,
        state: &'s AppState,
        selection: &Selection,
    ) -> Option<(String, &'s ServerEnvironment)> {
        let (repository, _) = on_server(state, selection)?;
        let rows = self.listed(state, selection);
        let Rows::OnServer(known) = &rows else { return None };
        Some((repository, *known.get(self.at(&rows))?))
    }

    /// Returns the environments that match the filter: those of the server if it has reported any, else those in runs.
    fn listed<'s>(&self, state: &'s AppState, selection: &Selection) -> Rows<'s> {
        if let Some((_, known)) = on_server(state, selection) {
            let holds = |row: &&ServerEnvironment| {
                let live = row.live().map(|live| live.release.title()).unwrap_or_default();
                text::holds(&self.filter, &[&row.name, &live])
            };
            return Rows::OnServer(known.iter().filter(holds).collect());
        }
        Rows::InRuns(self.found(state))
    }

    /// Returns the environments in runs that match the filter, by name.
    fn found<'s>(&self, state: &'s AppState) -> Vec<Environment<'s>> {
        let mut rows = environments(state);
        rows.retain(|Environment { name, latest: (run, deployment), .. }| {
            text::holds(&self.filter, &[name, deployment.phase.word(), &run.info.sha, &run.info.ref_name, &run.name])
        });
        rows
    }

    /// Returns the row of the selected environment in the list.
    fn at(&self, rows: &Rows<'_>) -> usize {
        (0..rows.len()).find(|at| self.selected.as_deref() == rows.name(*at)).unwrap_or_default()
    }
}

/// The rows of the pane.
enum Rows<'s> {
    /// Environments of the listed runs.
    InRuns(Vec<Environment<'s>>),
    /// Environments of a server.
    OnServer(Vec<&'s ServerEnvironment>),
}

impl Rows<'_> {
    fn len(&self) -> usize {
        match self {
            Self::InRuns(rows) => rows.len(),
            Self::OnServer(rows) => rows.len(),
        }
    }

    fn name(&self, at: usize) -> Option<&str> {
        match self {
            Self::InRuns(rows) => rows.get(at).map(|row| row.name),
            Self::OnServer(rows) => rows.get(at).map(|row| row.name.as_str()),
        }
    }
}

/// Returns the environments of the selected run's repository, if its server has reported any.
fn on_server<'s>(state: &'s AppState, selection: &Selection) -> Option<(String, &'s [ServerEnvironment])> {
    let repository = repository(state.summary(selection.run_id()?)?)?;
    let known = state.environments.of(&repository);
    (!known.is_empty()).then_some((repository, known))
}

/// Returns the version that a run deploys: its commit, and its branch or tag.
fn version(run: &Summary) -> String {
    let commit = run.info.commit();
    [commit.as_str(), run.info.branch()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Returns the version that is live in an environment.
pub(in crate::app) fn live_version(state: &AppState, environment: &str) -> Option<String> {
    let (run, _) = environments(state).into_iter().find(|row| row.name == environment)?.live?;
    Some(version(run))
}

/// Returns all environments by name. The latest deployment is the running one, else the one that waits in a running
/// run, else the one that ended last. A deployment that never started counts only if no deployment did.
fn environments(state: &AppState) -> Vec<Environment<'_>> {
    let mut rows: BTreeMap<&str, Environment> = BTreeMap::new();
    let rank = |(run, deployment): (&Summary, &Deployment)| match &deployment.phase {
        phase if phase.is_active() => (3, deployment.at),
        phase if !phase.is_done() && !run.phase.is_done() => (2, Some(run.info.created)),
        _ if deployment.at.is_some() => (1, deployment.at),
        _ => (0, None),
    };
    let runs = state.summaries().filter(|run| state.is_at_home(run));
    let deployments = runs.flat_map(|run| run.deployments.iter().map(move |deployment| (run, deployment)));
    for (run, deployment) in deployments {
        let name = deployment.environment.as_str();
        let latest = (run, deployment);
        let row = rows.entry(name).or_insert(Environment { name, latest, live: None });
        if rank(latest) > rank(row.latest) {
            row.latest = latest;
        }
        let is_live = deployment.phase == Phase::Done(Conclusion::Success);
        if is_live && row.live.is_none_or(|(_, live)| deployment.at > live.at) {
            row.live = Some(latest);
        }
    }
    rows.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing;
    use crate::model::{RunId, Timestamp};

    /// Returns a completed run with deployments to `prod` that ended at these times.
    fn run(id: &str, ends: &[(Conclusion, u64)]) -> Summary {
        let deployment = |(end, at): &(Conclusion, u64)| Deployment {
            environment: "prod".to_owned(),
            url: None,
            phase: Phase::Done(*end),
            at: Some(Timestamp(*at)),
        };
        let deployments = ends.iter().map(deployment).collect();
        Summary {
            info: testing::info(RunId::new(id), Timestamp(0)),
            name: "deploy".to_owned(),
            attempt: 1,
            phase: Phase::Done(Conclusion::Success),
            reason: None,
            started: None,
            finished: None,
            deployments,
            reviews: Vec::new(),
        }
    }

    #[test]
    fn the_latest_deployment_is_the_one_that_ended_last_in_any_run() {
        use Conclusion::{Failure, Success};
        let latest = |runs: Vec<Summary>| {
            let mut state = AppState::default();
            state.list(runs, false);
            let rows = environments(&state);
            let row = rows.first().expect("an environment");
            (row.latest.0.info.id.to_string(), row.live.map(|(run, _)| run.info.id.to_string()))
        };
        // The older run was re-run after the newer one had ended.
        let again = latest(vec![run("b", &[(Success, 5)]), run("a", &[(Success, 9)])]);
        assert_eq!(again, ("a".to_owned(), Some("a".to_owned())));
        let failed = latest(vec![run("b", &[(Success, 5), (Failure, 7)]), run("a", &[(Success, 6)])]);
        assert_eq!(failed, ("b".to_owned(), Some("a".to_owned())));
    }
}
