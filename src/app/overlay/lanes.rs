//! Dialogs and pickers about the environments of this machine.

use std::time::Duration;

use crate::app::App;
use crate::app::availability::Subject;
use crate::app::msg::Effect;
use crate::model::capabilities::Operation;
use crate::model::environment::{DeploymentState, EnvironmentDeployment, title_of};
use crate::model::feed::{Notice, Request};
use crate::model::is_production;
use crate::model::lane::{Lane, LaneRequest};
use crate::model::rollback::RollbackRequest;
use crate::ui::layout::Panel;
use crate::ui::text;

use super::Overlay;
use super::picker::{Pick, PickRow, Picker};
use super::question::{Choice, Question};

/// Length of time below which ages are not given in figures.
const MINUTE: Duration = Duration::from_mins(1);

/// Returns how long ago something happened: `2d ago`, `just now`.
fn past(age: Duration) -> String {
    if age < MINUTE { "just now".to_owned() } else { format!("{} ago", text::ago(age)) }
}

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

    /// Opens the list of releases that an environment can go back to, and asks its target what still runs. If no
    /// environment is selected, the user picks one first, unless only one can be rolled back.
    pub(in crate::app) fn roll_back_here(&mut self) -> Vec<Effect> {
        if let Some(name) = self.lane().map(|lane| lane.name().to_owned()) {
            return self.roll_back(&name);
        }
        let is_possible = |lane: &Lane| lane.check(Operation::RollBack).is_ok();
        let mut possible = self.state.lanes.iter().filter(|lane| is_possible(lane));
        if let (Some(only), None) = (possible.next(), possible.next()) {
            let name = only.name().to_owned();
            return self.roll_back(&name);
        }
        let mut lanes: Vec<&Lane> = self.state.lanes.iter().collect();
        lanes.sort_by_key(|lane| (!is_possible(lane), !is_production(lane.name())));
        let row = |lane: &&Lane| {
            let live = lane.environment.live().map(|live| {
                let length = text::ago(self.state.now.since(live.at()));
                format!("{} live for {length}", live.release.title())
            });
            let why = lane.check(Operation::RollBack).err().map(|reason| reason.to_string());
            let about = live.into_iter().chain(why).collect::<Vec<_>>().join(self.theme.dot());
            PickRow::new(lane.name(), about, Pick::Environment(lane.name().to_owned()))
        };
        self.overlay = Some(Overlay::Picker(Picker::new("Roll back which environment?", lanes.iter().map(row))));
        vec![Effect::Request(Request::ListLanes)]
    }

    /// Opens the list of releases that an environment of this machine can go back to, and asks its target what still
    /// runs. Shows why if that is not possible.
    pub(in crate::app) fn roll_back(&mut self, environment: &str) -> Vec<Effect> {
        let Some(lane) = self.state.lanes.iter().find(|lane| lane.name() == environment) else { return Vec::new() };
        if let Err(reason) = lane.check(Operation::RollBack) {
            self.toast = Some(Notice::bad(format!("roll-back: {environment}: {reason}")));
            return Vec::new();
        }
        let live =
            lane.environment.live().map(|live| format!(", {} is live", live.release.title())).unwrap_or_default();
        let live = if lane.on_its_way().is_some() { String::new() } else { live };
        let picker = Picker::new(&format!("Roll back {environment}{live}"), self.releases(lane));
        self.overlay = Some(Overlay::Picker(picker));
        vec![Effect::Request(Request::ListLanes)]
    }

    /// Shows the newest state of the environments in the open list of releases.
    pub(in crate::app) fn refresh_rollback(&mut self) {
        let Some(Overlay::Picker(picker)) = &self.overlay else { return };
        let Some(lane) = self.state.lanes.iter().find(|lane| picker.rolls_back(lane.name())) else { return };
        let rows = self.releases(lane);
        if let Some(Overlay::Picker(picker)) = &mut self.overlay {
            picker.replace(rows);
        }
    }

    /// Returns the releases that an environment can go back to: first the usual one, then those that still run, then
    /// the newest. While a deployment is carrying out its steps, the only choice is to abort it.
    fn releases(&self, lane: &Lane) -> Vec<PickRow> {
        let environment = lane.name().to_owned();
        if let Some(open) = lane.on_its_way().filter(|open| open.is_running && open.step.is_some()) {
            let back = title_of(open.from.as_ref());
            let label = format!("{back}  by aborting {}, which is in progress", open.release.title());
            return vec![(label, Pick::Lane(LaneRequest::PlanRollback { environment, to: None })).into()];
        }
        let current = lane.environment.current().map(|current| current.release.sha.as_str());
        let mut known: Vec<&EnvironmentDeployment> = Vec::new();
        for one in lane.environment.deployments.iter().filter(|one| one.succeeded) {
            let sha = one.release.sha.as_str();
            if current != Some(sha) && known.iter().all(|known| known.release.sha != sha) {
                known.push(one);
            }
        }
        // The release that a rollback goes to unless another one is named: never one that was left as bad.
        let usual = lane.environment.rollback(&RollbackRequest::default()).ok().map(|(_, to)| &to.release.sha);
        known.sort_by_key(|one| (usual != Some(&one.release.sha), !lane.is_running(&one.release)));
        let widest = known.iter().map(|one| text::width(&one.release.title())).max().unwrap_or_default();
        let row = |one: &&EnvironmentDeployment| {
            let title = one.release.title();
            let instant = if lane.is_running(&one.release) { "still running, instant" } else { "" };
            let label = format!("{title:<widest$}  {instant:<22}  {}", self.was_live(lane, one));
            let to = Some(one.release.sha.clone());
            (label, Pick::Lane(LaneRequest::PlanRollback { environment: environment.clone(), to })).into()
        };
        known.iter().map(row).collect()
    }

    /// Describes how long a release was live after a deployment, who deployed it, and why.
    fn was_live(&self, lane: &Lane, one: &EnvironmentDeployment) -> String {
        // The deployments are sorted, the newest first.
        let later = lane.environment.deployments.iter().take_while(|later| *later != one).filter(|it| it.succeeded);
        let until = later.last().map_or(self.state.now, EnvironmentDeployment::at);
        let length = match until.since(one.at()) {
            length if length < MINUTE => "briefly".to_owned(),
            length => text::ago(length),
        };
        format!("live {length}, until {}, {}", past(self.state.now.since(until)), one.by())
    }

    /// Returns the list of the deployments to the environment of this machine: what, when, who and why. `None` if no
    /// such environment is selected, or if it has no deployments.
    pub(in crate::app) fn lane_deployments(&self) -> Option<Overlay> {
        let lane = self.lane()?;
        let all = &lane.environment.deployments;
        let widest = all.iter().map(|one| text::width(&one.release.title())).max().unwrap_or_default();
        let row = |one: &EnvironmentDeployment| {
            let state = match one.state {
                DeploymentState::Success => "live".to_owned(),
                DeploymentState::Inactive if one.succeeded => "was live".to_owned(),
                _ => one.state.word().replace('_', " "),
            };
            let (title, ago) = (one.release.title(), past(self.state.now.since(one.at())));
            let label = format!("{title:<widest$}  {state:<11}  {ago:>8}, {}", one.by());
            Some((label, Pick::Run(one.local.clone()?)))
        };
        let title = format!("Deployments to {}: enter shows the run", lane.name());
        (!all.is_empty()).then(|| Overlay::Picker(Picker::new(&title, all.iter().filter_map(row))))
    }

    /// Returns the question whether a paused deployment continues past this pause only, or past all later pauses, too.
    /// If the deployment only keeps the former release running, returns the question whether to stop that one.
    pub(in crate::app) fn promote_question(&self) -> Option<Overlay> {
        let lane = self.lane()?;
        let open = lane.open.as_ref()?;
        let step = open.step.as_ref().map(|step| format!("step {}/{}, {}", step.number, step.total, step.name));
        let lines = [format!("{} to {}", open.release.title(), lane.name())].into_iter().chain(step).collect();
        let promote = |full| {
            let (environment, run) = (lane.name().to_owned(), open.run.clone());
            vec![Effect::Request(Request::Lane(LaneRequest::Promote { environment, run, full }))]
        };
        if let Some(kept) = &open.kept {
            let name = format!("{} ({})", kept.release.name(), kept.slot);
            let lines = vec![
                format!("{} is live in {}.", open.release.title(), lane.name()),
                format!("{name} still runs: {}.", kept.short(self.state.now)),
            ];
            let yes = format!("stop {name} now; a rollback to it is then no longer instant");
            let choices = vec![Choice::new('n', "keep it running", Vec::new()), Choice::new('y', yes, promote(false))];
            return Some(Overlay::Question(Question::new("Stop the former release?", lines, choices)));
        }
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
