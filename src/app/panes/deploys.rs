//! 6 Deploys: the environments that jobs name, and what was brought there last, as far as the runs of this machine tell.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::state::AppState;
use crate::model::{Conclusion, Phase, RunId};
use crate::model::{Deployment, Summary};
use crate::ui::text;
use crate::ui::theme::Hue;

use super::{Cx, ListRow, chip, empty, keep_visible, motion};

/// The list of environments.
#[derive(Clone, Debug, Default)]
pub struct Deploys {
    /// The selected environment.
    selected: Option<String>,
    /// Words that an environment must have to be listed.
    pub filter: String,
    offset: usize,
}

/// What was brought into an environment.
struct Environment<'f> {
    name: &'f str,
    /// The latest of all.
    latest: (&'f Summary, &'f Deployment),
    /// The latest that succeeded.
    live: Option<(&'f Summary, &'f Deployment)>,
}

impl Deploys {
    /// Moves the selection.
    pub(in crate::app) fn act(&mut self, action: Action, facts: &AppState, height: usize) {
        let rows = self.listed(facts);
        if let Some(to) = motion(action, self.at(&rows), rows.len(), height) {
            self.selected = rows.get(to).map(|row| row.name.to_owned());
        }
    }

    /// Selects what is in a row of the pane.
    pub(in crate::app) fn click(&mut self, row: usize, facts: &AppState) {
        let clicked = self.listed(facts).get(self.offset + row).map(|row| row.name.to_owned());
        self.selected = clicked.or(self.selected.take());
    }

    /// The run that brought the latest into the selected environment.
    pub(in crate::app) fn run(&self, facts: &AppState) -> Option<RunId> {
        let rows = self.listed(facts);
        rows.get(self.at(&rows)).map(|row| row.latest.0.info.id.clone())
    }

    pub(in crate::app) fn settle(&mut self, facts: &AppState, height: usize) {
        let rows = self.listed(facts);
        self.offset = keep_visible(self.offset, self.at(&rows), rows.len(), height);
    }

    pub(in crate::app) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        let rows = self.listed(cx.facts);
        if rows.is_empty() {
            let why =
                if self.filter.is_empty() { "no job names an environment" } else { "none has all of these words" };
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
                (phase, Some((live, _))) => {
                    parts.push(format!("{}, live {}", cx.theme.look(phase).word, version(live)));
                }
                (phase, None) => parts.push(cx.theme.look(phase).word.to_owned()),
            }
            let ago = deployment.at.map(|at| text::ago(cx.facts.now.since(at))).unwrap_or_default();
            let line = ListRow {
                indent: 0,
                glyph: cx.theme.lamp(&deployment.phase, cx.facts.now.0),
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

    /// What shows that the list is filtered.
    pub(in crate::app) fn remark(&self) -> String {
        chip(&self.filter).unwrap_or_default()
    }

    /// The environments that the filter lets through.
    fn listed<'f>(&self, facts: &'f AppState) -> Vec<Environment<'f>> {
        let mut rows = rows(facts);
        rows.retain(|Environment { name, latest: (run, deployment), .. }| {
            text::holds(&self.filter, &[name, deployment.phase.word(), &run.info.sha, &run.info.ref_name, &run.name])
        });
        rows
    }

    fn at(&self, rows: &[Environment]) -> usize {
        rows.iter().position(|row| self.selected.as_deref() == Some(row.name)).unwrap_or_default()
    }
}

/// What a run brought: its commit, and where that comes from.
fn version(run: &Summary) -> String {
    let sha = run.info.sha.get(..7).unwrap_or(&run.info.sha);
    [sha, run.info.ref_name.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// All environments by name. The latest deployment is the one that goes on, else the one that waits in a run that goes on,
/// else the one that ended last; what never began counts only where nothing else did.
fn rows(facts: &AppState) -> Vec<Environment<'_>> {
    let mut rows: BTreeMap<&str, Environment> = BTreeMap::new();
    let rank = |(run, deployment): (&Summary, &Deployment)| match &deployment.phase {
        phase if phase.is_active() => (3, deployment.at),
        phase if !phase.is_done() && !run.phase.is_done() => (2, Some(run.info.created)),
        _ if deployment.at.is_some() => (1, deployment.at),
        _ => (0, None),
    };
    let brought = facts.summaries().flat_map(|run| run.deployments.iter().map(move |deployment| (run, deployment)));
    for (run, deployment) in brought {
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
    use crate::model::RunInfo;
    use crate::model::Timestamp;

    /// A run that has ended, with deployments to `prod` that ended at these times.
    fn run(id: &str, brought: &[(Conclusion, u64)]) -> Summary {
        let deployment = |(end, at): &(Conclusion, u64)| Deployment {
            environment: "prod".to_owned(),
            url: None,
            phase: Phase::Done(*end),
            at: Some(Timestamp(*at)),
        };
        let deployments = brought.iter().map(deployment).collect();
        Summary {
            info: RunInfo {
                id: RunId::new(id),
                repository: String::new(),
                workflow: "deploy.yml".to_owned(),
                event: "push".to_owned(),
                ref_name: "main".to_owned(),
                sha: String::new(),
                created: Timestamp(0),
            },
            name: "deploy".to_owned(),
            attempt: 1,
            phase: Phase::Done(Conclusion::Success),
            reason: None,
            started: None,
            finished: None,
            deployments,
        }
    }

    #[test]
    fn what_ended_last_is_the_latest_whichever_run_it_is_of() {
        use Conclusion::{Failure, Success};
        let latest = |runs: Vec<Summary>| {
            let mut facts = AppState::default();
            facts.list(runs, false);
            let rows = rows(&facts);
            let row = rows.first().expect("an environment");
            (row.latest.0.info.id.to_string(), row.live.map(|(run, _)| run.info.id.to_string()))
        };
        // The older run was started again after the newer had ended.
        let again = latest(vec![run("b", &[(Success, 5)]), run("a", &[(Success, 9)])]);
        assert_eq!(again, ("a".to_owned(), Some("a".to_owned())));
        let failed = latest(vec![run("b", &[(Success, 5), (Failure, 7)]), run("a", &[(Success, 6)])]);
        assert_eq!(failed, ("b".to_owned(), Some("a".to_owned())));
    }
}
