//! The rows of the pane: environments of this machine, and those of the listed runs or of a server.

use std::collections::BTreeMap;

use crate::app::environments::repository;
use crate::app::selection::Selection;
use crate::app::state::AppState;
use crate::model::environment::Environment as ServerEnvironment;
use crate::model::lane::Lane;
use crate::model::{Conclusion, Deployment, Phase, Summary};
use crate::ui::text;

/// The deployments to one environment.
pub(super) struct Environment<'s> {
    pub(super) name: &'s str,
    /// The latest deployment, whatever its state.
    pub(super) latest: (&'s Summary, &'s Deployment),
    /// The latest deployment that succeeded; `None` if none has.
    pub(super) live: Option<(&'s Summary, &'s Deployment)>,
}

/// The rows of the pane.
pub(super) struct Rows<'s> {
    /// Environments of this machine.
    pub(super) lanes: Vec<&'s Lane>,
    /// Environments with other names.
    pub(super) others: Others<'s>,
}

/// Environments that this machine does not deploy to.
pub(super) enum Others<'s> {
    /// Environments of the listed runs.
    InRuns(Vec<Environment<'s>>),
    /// Environments of a server.
    OnServer(Vec<&'s ServerEnvironment>),
}

/// A row of the pane.
pub(super) enum Row<'r, 's> {
    Lane(&'s Lane),
    InRuns(&'r Environment<'s>),
    OnServer(&'s ServerEnvironment),
}

impl<'s> Rows<'s> {
    pub(super) fn len(&self) -> usize {
        let others = match &self.others {
            Others::InRuns(rows) => rows.len(),
            Others::OnServer(rows) => rows.len(),
        };
        self.lanes.len() + others
    }

    pub(super) fn at(&self, at: usize) -> Option<Row<'_, 's>> {
        let Some(other) = at.checked_sub(self.lanes.len()) else { return Some(Row::Lane(self.lanes[at])) };
        match &self.others {
            Others::InRuns(rows) => rows.get(other).map(Row::InRuns),
            Others::OnServer(rows) => rows.get(other).map(|row| Row::OnServer(row)),
        }
    }

    pub(super) fn name(&self, at: usize) -> Option<&str> {
        Some(match self.at(at)? {
            Row::Lane(lane) => lane.name(),
            Row::InRuns(row) => row.name,
            Row::OnServer(row) => &row.name,
        })
    }

    /// Returns the width of the widest name of the other environments, in columns.
    pub(super) fn widest_other(&self) -> usize {
        let names = (self.lanes.len()..self.len()).filter_map(|at| self.name(at));
        names.map(text::width).max().unwrap_or_default()
    }
}

/// Returns the environments of the selected run's repository, if its server has reported any.
pub(super) fn on_server<'s>(state: &'s AppState, selection: &Selection) -> Option<(String, &'s [ServerEnvironment])> {
    let repository = repository(state.summary(selection.run_id()?)?)?;
    let known = state.environments.of(&repository);
    (!known.is_empty()).then_some((repository, known))
}

/// Returns the version that a run deploys: its commit, and its branch or tag.
pub(super) fn version(run: &Summary) -> String {
    let commit = run.info.commit();
    [commit.as_str(), run.info.branch()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Returns the environments of the listed runs, by name. The latest deployment is the running one, else the one that
/// waits in an unfinished run, else the one that ended last. A deployment that never started is the latest only if no
/// deployment has started.
pub(super) fn environments(state: &AppState) -> Vec<Environment<'_>> {
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
    use crate::model::{RunId, Timestamp, testing};

    /// Returns a completed run with deployments to `prod` that ended at these times.
    fn run(id: &str, ends: &[(Conclusion, u64)]) -> Summary {
        let deployment = |(end, at): &(Conclusion, u64)| Deployment {
            environment: "prod".to_owned(),
            url: None,
            phase: Phase::Done(*end),
            at: Some(Timestamp(*at)),
        };
        let deployments = ends.iter().map(deployment).collect();
        let info = testing::info(RunId::new(id), Timestamp(0));
        Summary { deployments, ..testing::summary(info, "deploy", Phase::Done(Conclusion::Success)) }
    }

    #[test]
    fn the_latest_deployment_is_the_one_that_ended_last_in_any_run() {
        use Conclusion::{Failure, Success};
        let latest = |runs: Vec<Summary>| {
            let mut state = AppState::default();
            state.list(runs, false, None);
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
