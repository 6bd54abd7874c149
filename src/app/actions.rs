//! Carries out actions of the user.

use crate::model::capabilities::Unavailable;
use crate::model::feed::{Connection, Notice, Request};
use crate::model::lane::LaneRequest;
use crate::model::service::{STOP_STEP, log_title};
use crate::model::{Command, HeldOrder, Job, Phase, Step, Summary};
use crate::store::logs::pattern::Pattern;
use crate::ui::layout::{PANELS, Panel, Zoom};

use super::action::{Action, Context};
use super::availability::{Subject, meant, refusal, unavailable};
use super::msg::Effect;
use super::overlay::Overlay;
use super::overlay::faults::Faults;
use super::overlay::form::Form;
use super::overlay::order::OrderBox;
use super::overlay::picker::{Pick, Picker};
use super::overlay::prompt::Kind;
use super::palette::not_listed;
use super::panes::{WorkflowRow, any_failed, next_failed};
use super::selection::JobSelection;
use super::state::has_failed;
use super::{App, cx};

impl App {
    /// Carries out an action, or shows why the action is not available. If runs are marked, `Review`, `Stop`, `Rerun`
    /// and `Delete` apply to them; in the Deploys pane, the first two apply to the selected environment.
    pub(super) fn act(&mut self, action: Action) -> Vec<Effect> {
        let is_for_marked = match action {
            Action::Rerun | Action::Delete => true,
            Action::Review | Action::Stop => self.view.focus != Panel::Deploys,
            _ => false,
        };
        if is_for_marked && self.panes.runs.has_marks() {
            self.act_on_marked(action);
            return Vec::new();
        }
        let action = meant(action, self.subject());
        if let Some(reason) = unavailable(action, &self.state, self.subject()) {
            self.toast = Some(Notice::refused(refusal(action, self.subject(), reason), reason));
            return Vec::new();
        }
        match action {
            Action::Go(panel) => self.focus(panel),
            Action::NextPanel => self.focus(self.neighbour(true)),
            Action::PreviousPanel => self.focus(self.neighbour(false)),
            Action::Zoom => {
                self.view.zoom = if self.view.zoom == Zoom::Full { Zoom::Normal } else { Zoom::Full };
            }
            Action::Larger => {
                self.view.zoom = if self.view.zoom == Zoom::Normal { Zoom::Half } else { Zoom::Full };
            }
            Action::Smaller => {
                self.view.zoom = if self.view.zoom == Zoom::Full { Zoom::Half } else { Zoom::Normal };
            }
            Action::Open if self.view.focus == Panel::Services => return self.open_service_log(),
            Action::Open if self.view.focus == Panel::Workflows => return self.open_workflow(),
            Action::Open => self.open(),
            Action::Back => self.back(),
            Action::Follow => {
                self.panes.log.follow();
                if self.view.focus != Panel::Log {
                    self.selection.follow();
                }
            }
            Action::NextError => self.go_to_failure(true),
            Action::PreviousError => self.go_to_failure(false),
            Action::FirstError => self.go_to_first_failure(),
            Action::NewestRun => {
                if let Some(newest) = self.state.listed().next().map(|run| run.info.id.clone()) {
                    self.selection.select_run(Some(newest));
                }
            }
            Action::Repositories => self.switch_repositories(),
            Action::Start
                if self.view.focus == Panel::Workflows && self.panes.workflows.selected(&self.state).is_some() =>
            {
                return self.open_workflow();
            }
            Action::Start => return self.start_picker(),
            Action::WatchFiles if self.state.watching.is_some() => {
                return vec![Effect::Request(Request::StopWatching)];
            }
            Action::WatchFiles => self.overlay = Some(self.watch_picker()),
            Action::Palette => self.overlay = Some(self.palette()),
            Action::Review => self.overlay = self.fork_question().or_else(|| self.review_box()),
            Action::Stop => self.overlay = self.stop_question(),
            Action::Deployments => {
                self.overlay = self.lane_deployments().or_else(|| self.deployments_picker());
            }
            Action::Deploy => return self.deploy_here(),
            Action::Promote => self.overlay = self.promote_question(),
            Action::PauseDeployment => {
                let lane = self.lane().and_then(|lane| Some((lane.name().to_owned(), lane.open.as_ref()?.run.clone())));
                let pause = lane.map(|(environment, run)| Request::Lane(LaneRequest::Pause { environment, run }));
                return pause.map(Effect::Request).into_iter().collect();
            }
            Action::Abort => self.overlay = self.lane().and_then(OrderBox::abort).map(Overlay::Order),
            Action::ReviewDeployment => self.overlay = self.lane_review(),
            Action::Lock | Action::Unlock => {
                self.overlay = self.lane().map(|lane| Overlay::Order(OrderBox::lock(lane, self.state.now)));
            }
            Action::RollBack => match self.rollback_request().filter(|_| self.lane().is_none()) {
                Some(request) => return vec![Effect::Request(request)],
                None => return self.roll_back_here(),
            },
            Action::Rerun => self.overlay = self.rerun_question(),
            Action::StartService | Action::StopService => return self.order_service(action == Action::StartService),
            Action::Artifacts => return self.stored_picker(),
            Action::Summary => return self.summaries(),
            Action::Delete => self.overlay = self.delete_question(),
            Action::DeleteLogs => self.overlay = self.delete_logs_question(),
            Action::EnableWorkflow | Action::DisableWorkflow => {
                self.overlay = self.workflow_question(action == Action::EnableWorkflow);
            }
            Action::Shell => return self.shell(),
            Action::Resume => return self.submit(Command::Resume),
            Action::SyncFiles => {
                let run = self.selection.run_id().cloned();
                let job = self.held_step().map(|(job, _)| job.id.clone());
                let sync = run.zip(job).map(|(run, job)| Effect::Request(Request::SyncHeld { run, job }));
                return sync.into_iter().collect();
            }
            Action::RetryStep => return self.order_held(HeldOrder::Retry),
            Action::RetryFromStep => return self.retry_from_selected(),
            Action::SkipStep => return self.order_held(HeldOrder::Skip),
            Action::ContinueStep => return self.order_held(HeldOrder::Continue),
            Action::HoldFailures => {
                let on = self.run().is_some_and(|run| !run.holds);
                return self.submit(Command::Hold { on });
            }
            Action::Yank => self.overlay = self.yank_menu(),
            Action::Edit => return self.edit(),
            Action::Find => self.find(),
            Action::Keep => self.prompt(Kind::Keep),
            Action::SearchRun => self.search_run(self.last_run_search.clone()),
            Action::NextMatch | Action::PreviousMatch => {
                if !self.panes.log.go_to_match(action == Action::NextMatch) {
                    self.toast = Some(Notice::news("no match"));
                }
            }
            Action::NextGroup | Action::PreviousGroup => self.go_to_group(action == Action::NextGroup),
            Action::Replay | Action::Explain | Action::Lint => return self.program(action),
            Action::Detach => return vec![Effect::Quit],
            Action::Mouse => {
                self.mouse = !self.mouse;
                let text = if self.mouse { "mouse captured" } else { "mouse released: select text as you like" };
                self.toast = Some(Notice::news(text));
                return vec![Effect::CaptureMouse(self.mouse)];
            }
            Action::Suspend => return vec![Effect::Suspend],
            Action::Redraw => return vec![Effect::Redraw],
            Action::Diagnostics => self.overlay = Some(Overlay::Diagnostics),
            Action::Help => self.overlay = Some(Overlay::help(Context::Panel(self.view.focus), self.hints_here())),
            Action::Quit => return self.quit(),
            action if action.is_of_replay() => self.act_in_replay(action),
            _ => self.act_in_pane(self.view.focus, action),
        }
        Vec::new()
    }

    /// Returns the effect that runs a command of this program for the selected run, or the selected job of it.
    fn program(&self, action: Action) -> Vec<Effect> {
        let run = self.selection.run_id().map(ToString::to_string);
        let job = self.selection.job_id().map(ToString::to_string);
        let arguments: Vec<String> = match action {
            Action::Replay => ["replay".to_owned()].into_iter().chain(run).collect(),
            Action::Explain => ["explain".to_owned()].into_iter().chain(run).chain(job).collect(),
            _ => vec!["lint".to_owned()],
        };
        vec![Effect::Program { arguments, has_screen: action == Action::Replay }]
    }

    /// Opens the question about an action on those marked runs that allow it. If none of them does, shows the reason.
    fn act_on_marked(&mut self, action: Action) {
        let marked: Vec<&Summary> = self.panes.runs.marked(&self.state).collect();
        let reasons: Vec<_> = marked
            .iter()
            .map(|run| {
                let subject = Subject { summary: Some(run), ..Subject::default() };
                unavailable(action, &self.state, subject).or_else(|| self.aborted_alone(action, run))
            })
            .collect();
        let able: Vec<&Summary> =
            marked.iter().zip(&reasons).filter(|(_, reason)| reason.is_none()).map(|(run, _)| *run).collect();
        if able.is_empty() {
            let reason = reasons.into_iter().flatten().next().unwrap_or(Unavailable::NoRun);
            self.toast = Some(Notice::refused(format!("{}: no marked run: {reason}", action.entry().name), reason));
            return;
        }
        self.overlay = Some(match action {
            Action::Review => self.review_of(&able),
            Action::Rerun => self.rerun_marked_question(&able),
            Action::Delete => Self::delete_marked_question(&able),
            _ => Self::stop_marked_question(&able),
        });
    }

    /// Returns why a run is not cancelled together with others: it is a deployment whose release is not live.
    fn aborted_alone(&self, action: Action, run: &Summary) -> Option<Unavailable> {
        let is_open = run.info.is_deployment() && run.phase != Phase::Stopping;
        let aborts = action == Action::Stop && is_open && self.state.kept_by(&run.info.id).is_none();
        aborts.then_some(Unavailable::AbortedAlone)
    }

    /// Lists the runs of all repositories, or only those of this one. If the list then lacks the selected run, selects
    /// the newest of the list.
    fn switch_repositories(&mut self) {
        self.state.is_everywhere = !self.state.is_everywhere;
        // The list may not be on the screen.
        let of = self.state.listed_repositories().unwrap_or_default();
        self.toast = Some(Notice::news(format!("the list has the runs of {of}")));
        if self.summary().is_some_and(|run| !self.state.is_everywhere && !self.state.is_near(run)) {
            let newest = self.state.listed().next().map(|run| run.info.id.clone());
            self.selection.select_run(newest);
        }
    }

    /// Passes an action to a pane.
    fn act_in_pane(&mut self, panel: Panel, action: Action) {
        let cx = cx(&self.state, self.theme, self.view, self.screen().as_ref(), panel);
        self.panes.get_mut(panel).act(action, &cx, &mut self.selection);
    }

    /// Opens the selected row of the focused pane. In the Deploys pane, opens the page of an environment of this
    /// machine, or the list of deployments to one of a server.
    fn open(&mut self) {
        let panel = self.view.focus;
        if panel == Panel::Deploys && self.panes.deploys.paged(&self.state, &self.selection).is_none() {
            if let Some(name) = self.lane().map(|lane| lane.name().to_owned()) {
                self.panes.deploys.open_page(&name);
                return;
            }
            if let Some(deployments) = self.deployments_picker() {
                self.overlay = Some(deployments);
                return;
            }
        }
        let cx = cx(&self.state, self.theme, self.view, self.screen().as_ref(), panel);
        if let Some(panel) = self.panes.get_mut(panel).open(&cx, &mut self.selection) {
            self.focus(panel);
        } else if panel == Panel::Deploys {
            self.toast = Some(match self.panes.deploys.page_run(&cx, &self.selection) {
                Some(run) => not_listed(&run),
                None if self.view.page => Notice::news("this line has no run: go to a deployment"),
                None => Notice::news("no deployment to open"),
            });
        }
    }

    /// Opens the log of the selected service. The log of a running service takes over the terminal; the log of a removed
    /// one is in the step that removed its container. Without a log, goes to the job.
    fn open_service_log(&mut self) -> Vec<Effect> {
        let Some((job, service)) = self.panes.services.selected.clone() else { return Vec::new() };
        let is_replay = self.state.connection == Connection::Replay;
        let Some(job) = job else {
            return if is_replay { Vec::new() } else { vec![Effect::FollowService { of: None, service }] };
        };
        let Some((run, found)) = self.run().and_then(|run| Some((run.info.id.clone(), run.jobs.get(&job)?))) else {
            return Vec::new();
        };
        let kept = found.steps.iter().find(|step| step.name == STOP_STEP && step.phase.is_done());
        if let Some(step) = kept.map(|step| step.number) {
            self.selection.select(JobSelection { job, step: Some(step) });
            self.panes.log.search_for(Pattern::parse(&log_title(&service), false));
            self.focus(Panel::Log);
            return Vec::new();
        }
        if found.phase.is_active() && !is_replay {
            return vec![Effect::FollowService { of: Some((run, job)), service }];
        }
        self.selection.select(JobSelection::whole(job));
        self.focus(Panel::Jobs);
        self.toast = Some(Notice::news(format!("the log of {service} was not kept")));
        Vec::new()
    }

    /// Opens the form that starts the selected workflow. Lists the events first unless there is exactly one, and opens
    /// the errors of an invalid workflow.
    fn open_workflow(&mut self) -> Vec<Effect> {
        let overlay = self.panes.workflows.selected(&self.state).map(|row| match row {
            WorkflowRow::Broken(workflow) => Overlay::Faults(Faults::new(workflow)),
            WorkflowRow::Startable(workflow) => match workflow.events.as_slice() {
                [event] => Overlay::Form(Form::new(workflow, event)),
                events => {
                    let row = |event: &String| (event.clone(), Pick::Fill(Form::new(workflow, event)));
                    let title = format!("Start {} as for", workflow.name);
                    Overlay::Picker(Picker::new(&title, events.iter().map(row)))
                }
            },
        });
        match overlay {
            Some(Overlay::Form(form)) => self.fill(form),
            overlay => {
                self.overlay = overlay;
                Vec::new()
            }
        }
    }

    /// Opens a form, and reads what is checked out if the form shows it.
    pub(super) fn fill(&mut self, form: Form) -> Vec<Effect> {
        let reads = form.shows_head();
        self.overlay = Some(Overlay::Form(form));
        self.state.head = None;
        reads.then_some(Effect::Request(Request::ReadHead)).into_iter().collect()
    }

    /// Restores the size of the pane, clears its filter, closes what is open in it, or goes to its parent: the first
    /// that applies.
    fn back(&mut self) {
        if self.view.zoom != Zoom::Normal {
            self.view.zoom = Zoom::Normal;
            return;
        }
        let pane = self.panes.get_mut(self.view.focus);
        let unfiltered = pane.filter().is_some_and(|filter| !std::mem::take(filter).is_empty());
        if unfiltered || pane.close() {
            return;
        }
        if let Some(parent) = pane.parent() {
            self.focus(parent);
        }
    }

    /// Goes to the next or previous error line in the log of the selected step. If the step has not failed or has no
    /// further error line, goes to the next or previous failed step.
    fn go_to_failure(&mut self, forward: bool) {
        let failed = self.selection.step(&self.state).is_some_and(|(_, step)| has_failed(&step.phase));
        if failed && self.panes.log.go_to_error(forward) {
            self.focus(Panel::Log);
            return;
        }
        self.go_to_failed_step(self.selection.job_selection().cloned().as_ref(), forward);
    }

    /// Goes to the first error line in the log of the first failed step.
    fn go_to_first_failure(&mut self) {
        self.go_to_failed_step(None, true);
    }

    /// Goes to the failed step after or before a selection, and to the first or last error line in its log. Shows a
    /// notice if nothing has failed, or nothing but the selected step, or if the failure is an allowed one.
    fn go_to_failed_step(&mut self, from: Option<&JobSelection>, forward: bool) {
        let Some(run) = self.run().filter(|run| any_failed(run)) else {
            self.toast = Some(Notice::news("nothing has failed in this run"));
            return;
        };
        if let Some(next) = next_failed(run, from, forward) {
            let is_allowed = run.jobs.get(&next.job).is_some_and(|job| job.allowed_failure);
            let text = match (from == Some(&next), is_allowed) {
                (true, _) => Some("nothing else has failed in this run"),
                (false, true) => Some("this failure is allowed"),
                (false, false) => None,
            };
            self.toast = text.map(Notice::news).or(self.toast.take());
            self.selection.select(next);
        }
        self.panes.log.jump_to_error(forward);
        self.focus(Panel::Log);
    }

    /// Goes to the next or previous group of the log, or to the next or previous step if the log has no further group.
    fn go_to_group(&mut self, forward: bool) {
        if !self.panes.log.go_to_group(forward) {
            self.panes.jobs.select_neighbour(forward, &self.state, &mut self.selection);
        }
    }

    /// Returns the panel after or before the focused one. The workflows take the whole screen, so they are not among
    /// these panels.
    fn neighbour(&self, forward: bool) -> Panel {
        let panels: Vec<Panel> =
            PANELS.iter().map(|info| info.panel).filter(|panel| *panel != Panel::Workflows).collect();
        let at = panels.iter().position(|panel| *panel == self.view.focus).unwrap_or_default();
        let steps = if forward { 1 } else { panels.len() - 1 };
        panels[(at + steps) % panels.len()]
    }

    /// Returns a held step: the selected one, else one of the selected job, else the first of the run.
    fn held_step(&self) -> Option<(&Job, &Step)> {
        let selected = self.selection.job_selection().and_then(|selection| selection.step);
        let here = self.selection.job(&self.state);
        let jobs = here.into_iter().chain(self.run().into_iter().flat_map(|run| run.jobs.values()));
        let held = || jobs.clone().flat_map(|job| job.held().map(move |step| (job, step)));
        let is_selected =
            |(job, step): &(&Job, &Step)| Some(step.number) == selected && here.is_some_and(|here| here.id == job.id);
        held().find(is_selected).or_else(|| held().next())
    }

    /// Sends an order for the [held step](Self::held_step). Shows a notice if no step is held.
    fn order_held(&mut self, order: HeldOrder) -> Vec<Effect> {
        let Some((job, step)) = self.held_step() else {
            self.toast = Some(Notice::bad(Unavailable::NotHeld.to_string()));
            return Vec::new();
        };
        let command = Command::Held { job: job.id.clone(), step: step.number, order };
        self.submit(command)
    }

    /// Sends the order to go back from a held step of the selected job to the selected step. Shows a notice if the
    /// selected step is not an earlier one.
    fn retry_from_selected(&mut self) -> Vec<Effect> {
        let from = self.selection.job_selection().and_then(|selection| selection.step);
        let earlier = self.held_step().zip(from).filter(|((job, step), from)| {
            *from < step.number && self.selection.job(&self.state).is_some_and(|here| here.id == job.id)
        });
        if let Some((_, from)) = earlier {
            return self.order_held(HeldOrder::RetryFrom(from));
        }
        self.toast = Some(Notice::bad("select a step before the held one, in the same job"));
        Vec::new()
    }

    /// Returns the request to start or stop the selected service of the Compose file. Shows a notice if the selected
    /// service belongs to a job.
    fn order_service(&mut self, starts: bool) -> Vec<Effect> {
        let verb = if starts { "starting" } else { "stopping" };
        match (self.panes.services.selected_of_compose(), self.state.refusal()) {
            (Some(service), None) => {
                let service = service.to_owned();
                self.toast = Some(Notice::news(format!("{verb} {service}")));
                vec![Effect::Request(Request::Compose { service, starts })]
            }
            (_, Some(reason)) => {
                self.toast = Some(Notice::refused(format!("{verb} a service: {reason}"), reason));
                Vec::new()
            }
            (None, None) => {
                let text = "only services of the repository's Compose file can be started and stopped";
                self.toast = Some(Notice::bad(text));
                Vec::new()
            }
        }
    }

    /// Returns the request that sends a command to the selected run; empty if no run is selected.
    fn submit(&mut self, command: Command) -> Vec<Effect> {
        let run = self.selection.run_id().cloned();
        run.map(|run| Effect::Request(Request::Submit { run, command })).into_iter().collect()
    }
}
