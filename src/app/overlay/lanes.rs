//! Dialogs and pickers about the environments of this machine.

use crate::app::App;
use crate::app::availability::Subject;
use crate::app::msg::Effect;
use crate::model::environment::{EnvironmentDeployment, title_of};
use crate::model::feed::Request;
use crate::model::lane::{Lane, LaneRequest};
use crate::ui::layout::Panel;
use crate::ui::text;

use super::Overlay;
use super::picker::{Pick, Picker};
use super::question::{Choice, Question};

impl App {
    /// Returns the environment of this machine that actions apply to: in the Deploys pane the selected one, elsewhere
    /// the one that the selected run deploys to.
    pub(in crate::app) fn lane(&self) -> Option<&Lane> {
        if self.view.focus == Panel::Deploys {
            return self.panes.deploys.selected_lane(&self.state, &self.selection);
        }
        let run = self.selection.run_id()?;
        let deploys = |lane: &&Lane| {
            let mut others = lane.environment.deployments.iter();
            lane.open.as_ref().is_some_and(|open| open.run == *run) || others.any(|one| one.local.as_ref() == Some(run))
        };
        let mut lanes = self.state.lanes.iter().filter(deploys);
        match (lanes.next(), lanes.next()) {
            // Jobs of the run deploy to several environments: the selected job decides.
            (Some(_), Some(_)) => {
                let name = self.selection.job(&self.state)?.environment.as_deref()?;
                self.state.lanes.iter().filter(deploys).find(|lane| lane.name().eq_ignore_ascii_case(name))
            }
            (only, _) => only,
        }
    }

    /// Returns the run and the environment that actions apply to.
    pub(in crate::app) fn subject(&self) -> Subject<'_> {
        Subject { summary: self.summary(), lane: self.lane(), in_deploys: self.view.focus == Panel::Deploys }
    }

    /// Returns a picker of the releases to roll back to: first those that still run, then the newest. While a
    /// deployment is carrying out its steps, the only choice is to abort it.
    pub(in crate::app) fn rollback_picker(&self) -> Option<Overlay> {
        let lane = self.lane()?;
        let environment = lane.name().to_owned();
        if let Some(open) = lane.on_its_way().filter(|open| open.is_running && open.step.is_some()) {
            let back = title_of(open.from.as_ref());
            let label = format!("{back}  by aborting {}, which is in progress", open.release.title());
            let row = (label, Pick::Lane(LaneRequest::PlanRollback { environment, to: None }));
            return Some(Overlay::Picker(Picker::new(&format!("Roll back {}", lane.name()), vec![row])));
        }
        let current = lane.environment.current().map(|current| current.release.sha.as_str());
        let mut known: Vec<&EnvironmentDeployment> = Vec::new();
        for one in lane.environment.deployments.iter().filter(|one| one.succeeded) {
            let sha = one.release.sha.as_str();
            if current != Some(sha) && known.iter().all(|known| known.release.sha != sha) {
                known.push(one);
            }
        }
        known.sort_by_key(|one| !lane.is_running(&one.release));
        let widest = known.iter().map(|one| text::width(&one.release.title())).max().unwrap_or_default();
        let row = |one: &&EnvironmentDeployment| {
            let title = one.release.title();
            let instant = if lane.is_running(&one.release) { "still running, instant" } else { "" };
            let ago = text::ago(self.state.now.since(one.at()));
            let label = format!("{title:<widest$}  {instant:<22}  {ago:>4}  by {}", one.creator);
            let to = Some(one.release.sha.clone());
            (label, Pick::Lane(LaneRequest::PlanRollback { environment: environment.clone(), to }))
        };
        let live =
            lane.environment.live().map(|live| format!(", {} is live", live.release.title())).unwrap_or_default();
        let title = format!("Roll back {environment}{live}");
        Some(Overlay::Picker(Picker::new(&title, known.iter().map(row))))
    }

    /// Returns the question whether a paused deployment continues past this pause only, or past all later pauses, too.
    pub(in crate::app) fn promote_question(&self) -> Option<Overlay> {
        let lane = self.lane()?;
        let open = lane.open.as_ref()?;
        let step = open.step.as_ref().map(|step| format!("step {}/{}, {}", step.number, step.total, step.name));
        let lines = [format!("{} to {}", open.release.title(), lane.name())].into_iter().chain(step).collect();
        let promote = |full| {
            let (environment, run) = (lane.name().to_owned(), open.run.clone());
            vec![Effect::Request(Request::Lane(LaneRequest::Promote { environment, run, full }))]
        };
        let choices = vec![
            Choice::new('y', "continue past this pause", promote(false)),
            Choice::new('f', "continue past this pause and all later ones", promote(true)),
            Choice::new('n', "leave it as it is", Vec::new()),
        ];
        Some(Overlay::Question(Question::new("Promote the deployment?", lines, choices)))
    }

    /// Returns the box to review the open deployment to the environment.
    pub(in crate::app) fn lane_review(&self) -> Option<Overlay> {
        let run = &self.lane()?.open.as_ref()?.run;
        Some(self.review_of(&[self.state.summary(run)?]))
    }
}
