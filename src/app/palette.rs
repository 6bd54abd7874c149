//! The palette: a fuzzy search over actions, jobs, runs and workflows.

use crate::model::RunId;
use crate::model::capabilities::Unavailable;
use crate::model::feed::{Notice, Request};
use crate::model::lane::LaneRequest;
use crate::store::logs::query::SearchSlot;
use crate::ui::layout::Panel;
use crate::ui::text;

use super::App;
use super::action::{ACTIONS, Action, Context, Entry};
use super::availability::unavailable;
use super::msg::Effect;
use super::overlay::Overlay;
use super::overlay::faults::Faults;
use super::overlay::form::Form;
use super::overlay::picker::{Pick, PickRow, Picker};
use super::overlay::run_search::RunSearchBox;
use super::panes::file_name;
use super::selection::JobSelection;

/// Returns the notice about a run that the list of runs does not have: it was removed, or is older than the listed
/// ones.
pub(super) fn not_listed(run: &RunId) -> Notice {
    Notice::bad(format!("{run} is not among the listed runs: `cuelight show {run}` prints it, unless it was removed"))
}

impl App {
    /// Returns the palette with the actions of the focused panel, the jobs of the run, the startable workflows, the
    /// workflows with errors, and the listed runs. The actions that are not available follow, with the reason.
    pub(super) fn palette(&self) -> Overlay {
        let here = Context::Panel(self.view.focus);
        let means = |context: &Context| *context == here || *context == Context::Everywhere;
        // Motions are left out: they are useless in a palette.
        let actions = ACTIONS.iter().filter(|entry| {
            entry.action != Action::Palette
                && (!entry.action.is_of_replay() || self.state.replay.is_some())
                && entry.contexts.iter().any(means)
                && !entry.contexts.contains(&Context::Overlay)
        });
        let subject = self.subject();
        let (available, others): (Vec<_>, Vec<_>) = actions
            .map(|entry| (entry, unavailable(entry.action, &self.state, subject)))
            .partition(|(_, no)| no.is_none());
        let action = |(entry, reason): (&Entry, Option<Unavailable>)| {
            let key = self.keymap.keys(entry.action).first().map(ToString::to_string).unwrap_or_default();
            let about = reason.map_or_else(|| entry.doc.to_owned(), |reason| format!("not now: {reason}"));
            PickRow::new(entry.name, about, Pick::Act(entry.action)).with_key(key)
        };
        let jobs = self.run().into_iter().flat_map(|run| run.jobs.values());
        let jobs = jobs.map(|job| {
            let word = self.theme.look(job.progress()).word;
            PickRow::new(format!("job {}", job.name), word, Pick::Job(job.id.clone()))
        });
        let runs = self.state.summaries().map(|run| {
            let word = self.theme.look(&run.phase).word;
            let about = format!("{word}  {} {}  {}", run.info.version(), run.info.event, run.info.id);
            PickRow::new(format!("run {}", run.name), about, Pick::Run(run.info.id.clone()))
        });
        let available = available.into_iter().map(action);
        let rows = available.chain(jobs).chain(self.starts("start ")).chain(self.broken()).chain(runs);
        let rows = rows.chain(others.into_iter().map(action));
        Overlay::Picker(Picker::new("Do or go to", rows).with_commands())
    }

    /// Returns a row for every startable workflow and every event that it reacts to.
    pub(super) fn starts<'a>(&'a self, verb: &'a str) -> impl Iterator<Item = PickRow> {
        self.state.startable.iter().chain(&self.state.dispatchable).flat_map(move |workflow| {
            workflow.events.iter().map(move |event| {
                let file = file_name(&workflow.workflow);
                let is_named = workflow.name != workflow.workflow;
                let name = if is_named { format!("  ({})", workflow.name) } else { String::new() };
                let server = workflow.server.as_ref().map(|server| format!("  on {}", server.repository));
                let server = server.unwrap_or_default();
                let about = format!("{event}{name}{server}");
                PickRow::new(format!("{verb}{file}"), about, Pick::Fill(Form::new(workflow, event)))
            })
        })
    }

    /// Returns a row for every workflow with errors.
    pub(super) fn broken(&self) -> impl Iterator<Item = PickRow> {
        self.state.broken.iter().map(|workflow| {
            let errors = text::counted(workflow.errors as u64, "error");
            PickRow::new(file_name(&workflow.workflow), errors, Pick::Faults(Faults::new(workflow)))
        })
    }

    /// Opens the search in the logs of all steps of the run. Shows a notice if no run is selected.
    pub(super) fn search_run(&mut self, text: String) {
        match self.run().map(|run| RunSearchBox::new(run, text, self.theme)) {
            Some(search) => self.overlay = Some(Overlay::RunSearch(search)),
            None => self.toast = Some(Notice::bad("grep: no run is selected")),
        }
    }

    /// Returns the effect that starts the search for the typed text, or that cancels the running search once it is not
    /// needed.
    pub(super) fn sync_run_search(&mut self) -> Option<Effect> {
        let was_active = self.run_search_active;
        let Some(Overlay::RunSearch(search)) = &mut self.overlay else {
            self.run_search_active = false;
            return was_active.then_some(Effect::CancelSearch(SearchSlot::Run));
        };
        search.text().clone_into(&mut self.last_run_search);
        let request = search.request(&mut self.last_run_search_id).map(Effect::SearchRun);
        self.run_search_active = search.is_active();
        let is_cleared = was_active && search.text().is_empty();
        request.or_else(|| is_cleared.then_some(Effect::CancelSearch(SearchSlot::Run)))
    }

    /// Asks for what a deployment or a rollback would do, with a notice meanwhile, unless nothing may be changed.
    fn ask_for_preview(&mut self, action: Action, news: &str, request: Request) -> Vec<Effect> {
        if let Some(reason) = self.state.refusal() {
            self.toast = Some(Notice::refused(format!("{}: {reason}", action.entry().name), reason));
            return Vec::new();
        }
        self.toast = Some(Notice::news(news));
        vec![Effect::Request(request)]
    }

    /// Carries out the picked row.
    pub(super) fn pick(&mut self, pick: Pick) -> Vec<Effect> {
        match pick {
            Pick::Fill(form) => return self.fill(form),
            Pick::Faults(faults) => self.overlay = Some(Overlay::Faults(faults)),
            Pick::Act(action) => return self.act(action),
            Pick::Run(run) if self.state.summary(&run).is_none() => self.toast = Some(not_listed(&run)),
            Pick::Run(run) => {
                self.selection.select_run(Some(run));
                self.focus(Panel::Jobs);
            }
            Pick::Job(job) => {
                self.panes.jobs.clear_filter();
                self.selection.select(JobSelection::whole(job));
                self.focus(Panel::Jobs);
            }
            Pick::RollBack { repository, request } => {
                let request = Request::PlanRollback { repository, request };
                return self.ask_for_preview(Action::RollBack, "preparing the rollback", request);
            }
            Pick::Lane(request) => {
                let is_plan = matches!(request, LaneRequest::Plan { .. });
                let action = if is_plan { Action::Deploy } else { Action::RollBack };
                return self.ask_for_preview(action, "checking what runs on the target", Request::Lane(request));
            }
            Pick::Environment(name) => return self.roll_back(&name),
            Pick::Stored(run, file) => {
                if let Some(reason) = self.state.refusal() {
                    self.toast = Some(Notice::refused(format!("artifacts: {reason}"), reason));
                } else {
                    self.overlay = Some(Self::stored_question(run, file));
                }
            }
            Pick::Watch(workflow) => return vec![Effect::Request(Request::WatchFiles { workflow })],
            Pick::SearchRun(text) => self.search_run(text),
            Pick::Line { log, line, pattern } => {
                self.panes.jobs.clear_filter();
                self.selection.select_run(Some(log.run));
                self.selection.select(JobSelection { job: log.job, step: Some(log.step) });
                self.panes.log.jump_to_line(line, pattern);
                self.focus(Panel::Log);
            }
        }
        Vec::new()
    }
}
