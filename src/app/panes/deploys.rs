//! 6 Deploys: the environments of jobs, and the latest deployment to each in the listed runs. Inside a repository, only
//! its runs count.
//!
//! The list of runs comes in pages. While the pane has the focus it requests further ones, up to [`MAX_RUNS`]; while
//! there are older runs, its border shows the number of runs searched.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::selection::Selection;
use crate::app::state::AppState;
use crate::model::{Conclusion, Deployment, Gate, PendingReview, Phase, Summary};
use crate::ui::layout::Panel;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::list::{ListRow, filter_chip};
use super::{Cx, Pane, empty, keep_visible, motion};

/// Maximum number of runs that are searched for deployments. Older ones are left out, as each page of runs takes
/// memory.
const MAX_RUNS: usize = 2_000;

/// The list of environments.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Deploys {
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
    fn sync(&mut self, cx: &Cx, _: &mut Selection) -> Vec<Effect> {
        let rows = self.listed(cx.state);
        self.offset = keep_visible(self.offset, self.at(&rows), rows.len(), cx.rows());
        Vec::new()
    }

    fn act(&mut self, action: Action, cx: &Cx, _: &mut Selection) {
        let rows = self.listed(cx.state);
        if let Some(to) = motion(action, self.at(&rows), rows.len(), cx.rows()) {
            self.selected = rows.get(to).map(|row| row.name.to_owned());
        }
    }

    fn click(&mut self, _: usize, row: usize, cx: &Cx, _: &mut Selection) {
        let clicked = self.listed(cx.state).get(self.offset + row).map(|row| row.name.to_owned());
        self.selected = clicked.or(self.selected.take());
    }

    /// Selects the run of the latest deployment to the selected environment.
    fn open(&mut self, cx: &Cx, selection: &mut Selection) -> Option<Panel> {
        let rows = self.listed(cx.state);
        let run = rows.get(self.at(&rows))?.latest.0.info.id.clone();
        selection.select_run(Some(run));
        Some(Panel::Jobs)
    }

    fn needs_older_runs(&self, cx: &Cx) -> bool {
        cx.focused && cx.state.summaries().count() < MAX_RUNS
    }

    fn filter(&mut self) -> Option<&mut String> {
        Some(&mut self.filter)
    }

    fn title_suffix(&self, cx: &Cx, _: &Selection) -> String {
        let runs = || format!("newest {}", text::counted(cx.state.summaries().count() as u64, "run"));
        let part = cx.state.has_older().then(runs);
        filter_chip(&self.filter).into_iter().chain(part).collect::<Vec<_>>().join(cx.theme.dot())
    }

    fn draw(&self, cx: &Cx, _: &Selection, area: Rect, buffer: &mut Buffer) {
        let rows = self.listed(cx.state);
        if rows.is_empty() {
            let is_filtered = !self.filter.is_empty();
            let why = if is_filtered { "no environment has all of these words" } else { "no deployment in these runs" };
            empty(why, cx, area, buffer);
        }
        let at = self.at(&rows);
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
                    // First, as it is what to act on.
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
                tab: (widest as u16 + 5).min(area.width / 2),
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
    /// Returns the environments that match the filter, by name.
    fn listed<'s>(&self, state: &'s AppState) -> Vec<Environment<'s>> {
        let mut rows = environments(state);
        rows.retain(|Environment { name, latest: (run, deployment), .. }| {
            text::holds(&self.filter, &[name, deployment.phase.word(), &run.info.sha, &run.info.ref_name, &run.name])
        });
        rows
    }

    /// Returns the row of the selected environment in the list.
    fn at(&self, rows: &[Environment]) -> usize {
        rows.iter().position(|row| self.selected.as_deref() == Some(row.name)).unwrap_or_default()
    }
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

    /// A completed run with deployments to `prod` that ended at these times.
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
