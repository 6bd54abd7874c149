//! Dialogs and pickers about the environments of this machine.

use crate::app::App;
use crate::app::availability::Subject;
use crate::app::msg::Effect;
use crate::model::capabilities::Operation;
use crate::model::environment::EnvironmentDeployment;
use crate::model::feed::{Notice, Request};
use crate::model::is_production;
use crate::model::lane::{Lane, LaneRequest};
use crate::ui::layout::Panel;
use crate::ui::text;

use super::Overlay;
use super::picker::{Pick, PickRow, Picker};
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
            let live = lane.contradicted().or(live);
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
        let Some(lane) = self.state.lane(environment) else { return Vec::new() };
        if let Err(reason) = lane.check(Operation::RollBack) {
            self.toast = Some(Notice::bad(format!("roll-back: {environment}: {reason}")));
            return Vec::new();
        }
        self.open_rollback(environment)
    }

    /// Returns the list of the deployments to the environment of this machine: what, when, who and why. `None` if no
    /// such environment is selected, or if it has no deployments.
    pub(in crate::app) fn lane_deployments(&self) -> Option<Overlay> {
        let lane = self.lane()?;
        let all = &lane.environment.deployments;
        let widest = all.iter().map(|one| text::width(&one.release.title())).max().unwrap_or_default();
        let row = |one: &EnvironmentDeployment| {
            let (title, ago) = (one.release.title(), text::past(self.state.now.since(one.at())));
            let label = format!("{title:<widest$}  {:<11}  {ago:>8}, {}", one.state_words(), one.by_and_why());
            Some((label, Pick::Run(one.local.clone()?)))
        };
        let title = format!("Deployments to {}: enter shows the run", lane.name());
        (!all.is_empty()).then(|| Overlay::Picker(Picker::new(&title, all.iter().filter_map(row))))
    }

    /// Returns the question whether a deployment continues past its pause only, or past all later pauses, too, or
    /// whether it stops before its next step. If the deployment only keeps the former release running, returns the
    /// question whether to stop that one.
    pub(in crate::app) fn promote_question(&self) -> Option<Overlay> {
        let lane = self.lane()?;
        let open = lane.open.as_ref()?;
        let step = open.step.as_ref().map(|step| format!("step {}/{}, {}", step.number, step.total, step.name));
        let decision = open.step.as_ref().and_then(|step| step.decision.clone());
        let head = [format!("{} to {}", open.release.title(), lane.name())];
        let lines = head.into_iter().chain(step).chain(decision.clone()).collect();
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
            let (environment, run) = (lane.name().to_owned(), open.run.clone());
            let stop = vec![Effect::Request(Request::Lane(LaneRequest::StopKept { environment, run }))];
            let choices = vec![Choice::new('n', "keep it running", Vec::new()), Choice::new('y', yes, stop)];
            return Some(Overlay::Question(Question::new("Stop the former release?", lines, choices)));
        }
        let mut choices = if decision.is_some() {
            vec![Choice::new('f', "promote it fully: past this decision and all later pauses", promote(true))]
        } else {
            vec![
                Choice::new('y', "continue past this pause", promote(false)),
                Choice::new('f', "continue past this pause and all later ones", promote(true)),
            ]
        };
        if lane.check(Operation::PauseDeployment).is_ok() {
            let (environment, run) = (lane.name().to_owned(), open.run.clone());
            let pause = vec![Effect::Request(Request::Lane(LaneRequest::Pause { environment, run }))];
            choices.push(Choice::new('s', "stop it before its next step, until it is promoted", pause));
        }
        choices.push(Choice::new('n', "leave it as it is", Vec::new()));
        Some(Overlay::Question(Question::new("Promote the deployment?", lines, choices)))
    }

    /// Returns the box to review the open deployment to the environment.
    pub(in crate::app) fn lane_review(&self) -> Option<Overlay> {
        let run = &self.lane()?.open.as_ref()?.run;
        Some(self.review_of(&[self.state.summary(run)?]))
    }
}
