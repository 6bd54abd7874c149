//! 6 Deploys: the environments that jobs name, and what was brought there last, as far as the runs of this machine tell.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::facts::Facts;
use crate::model::{Conclusion, Phase, RunId};
use crate::store::history::{Deployment, Summary};
use crate::ui::text;
use crate::ui::theme::Hue;

use super::{Cx, ListRow, empty, keep_visible, motion};

/// The list of environments.
#[derive(Clone, Debug, Default)]
pub struct Deploys {
    /// The selected environment.
    selected: Option<String>,
    offset: usize,
}

/// What was brought into an environment.
struct Environment<'f> {
    name: &'f str,
    /// The latest of all.
    latest: (&'f Summary, &'f Deployment),
    /// The latest that succeeded.
    live: Option<&'f Summary>,
}

impl Deploys {
    /// Moves the selection.
    pub(in crate::app) fn act(&mut self, action: Action, facts: &Facts, height: usize) {
        let rows = rows(facts);
        if let Some(to) = motion(action, self.at(&rows), rows.len(), height) {
            self.selected = rows.get(to).map(|row| row.name.to_owned());
        }
    }

    /// Selects what is in a row of the pane.
    pub(in crate::app) fn click(&mut self, row: usize, facts: &Facts) {
        let clicked = rows(facts).get(self.offset + row).map(|row| row.name.to_owned());
        self.selected = clicked.or(self.selected.take());
    }

    /// The run that brought the latest into the selected environment.
    pub(in crate::app) fn run(&self, facts: &Facts) -> Option<RunId> {
        let rows = rows(facts);
        rows.get(self.at(&rows)).map(|row| row.latest.0.id.clone())
    }

    pub(in crate::app) fn settle(&mut self, facts: &Facts, height: usize) {
        let rows = rows(facts);
        self.offset = keep_visible(self.offset, self.at(&rows), rows.len(), height);
    }

    pub(in crate::app) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        let rows = rows(cx.facts);
        if rows.is_empty() {
            empty("no job names an environment", cx, area, buffer);
        }
        let at = self.at(&rows);
        let widest = rows.iter().map(|row| text::width(row.name)).max().unwrap_or_default();
        for (y, (number, row)) in (area.y..area.bottom()).zip(rows.iter().enumerate().skip(self.offset)) {
            let (run, deployment) = row.latest;
            let mut parts = vec![version(run)];
            match (&deployment.phase, row.live) {
                (Phase::Done(Conclusion::Success), _) => parts.extend(deployment.url.clone()),
                (Phase::Done(_), Some(live)) => parts.push(format!("live {}", version(live))),
                (phase, Some(live)) => parts.push(format!("{}, live {}", cx.theme.look(phase).word, version(live))),
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

    fn at(&self, rows: &[Environment]) -> usize {
        rows.iter().position(|row| self.selected.as_deref() == Some(row.name)).unwrap_or_default()
    }
}

/// What a run brought: its commit, and where that comes from.
fn version(run: &Summary) -> String {
    let sha = run.sha.get(..7).unwrap_or(&run.sha);
    [sha, run.ref_name.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// All environments by name. What has not begun counts only where nothing else ever did.
fn rows(facts: &Facts) -> Vec<Environment<'_>> {
    let mut rows: BTreeMap<&str, Environment> = BTreeMap::new();
    for run in facts.summaries() {
        for deployment in &run.deployments {
            let name = deployment.environment.as_str();
            let live = (deployment.phase == Phase::Done(Conclusion::Success)).then_some(run);
            let row = rows.entry(name).or_insert(Environment { name, latest: (run, deployment), live });
            row.live = row.live.or(live);
            let begun = |deployment: &Deployment| deployment.at.is_some() || deployment.phase.is_active();
            if !begun(row.latest.1) && begun(deployment) && row.latest.0.phase.is_done() {
                row.latest = (run, deployment);
            }
        }
    }
    rows.into_values().collect()
}
