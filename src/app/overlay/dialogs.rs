//! Dialogs and pickers that precede an action.

use crate::app::App;
use crate::app::availability::capabilities;
use crate::app::msg::Effect;
use crate::app::panes::file_name;
use crate::model::capabilities::{Operation, RunState};
use crate::model::deployment::deployed_to;
use crate::model::environment::EnvironmentDeployment;
use crate::model::feed::{Request, StartableWorkflow};
use crate::model::rights::{Debugger, MAX_RERUNS};
use crate::model::rollback::RollbackRequest;
use crate::model::stored::{StoredFile, StoredKind};
use crate::model::{Command, Phase, RerunScope, RunId, ServerKind, StepKind, Summary};
use crate::ui::text;

use super::Overlay;
use super::order::OrderBox;
use super::picker::{LaterRows, Pick, PickRow, Picker};
use super::question::{Choice, Question};
use super::review::ReviewBox;
use super::summaries::Summaries;

/// Maximum number of runs that a question names; the others are counted.
const MAX_NAMED: usize = 8;

/// Maximum number of columns for the name of a stored file.
const MAX_FILE_NAME: usize = 36;

/// Returns the names of some runs, one per line. Runs of one workflow at one commit differ by their state and address.
fn names(runs: &[&Summary]) -> Vec<String> {
    let line = |run: &&Summary| format!("{}  {}  {}  {}", run.name, run.info.version(), run.phase.word(), address(run));
    let mut lines: Vec<String> = runs.iter().take(MAX_NAMED).map(line).collect();
    if let Some(more @ 1..) = runs.len().checked_sub(MAX_NAMED) {
        lines.push(format!("and {}", text::counted(more as u64, "other run")));
    }
    lines
}

/// Returns the name of a run for questions: its number on its server, or its id on this machine.
fn address(run: &Summary) -> String {
    match &run.info.remote {
        Some(remote) => format!("{}/{}", run.info.repository, remote.id),
        None => run.info.id.to_string(),
    }
}

/// Returns the request to delete a run. A run on a server is deleted there, too.
fn delete(run: &Summary) -> Effect {
    match run.info.remote {
        Some(_) => submit(run, Command::Delete),
        None => Effect::Request(Request::Delete(run.info.id.clone())),
    }
}

fn submit(run: &Summary, command: Command) -> Effect {
    Effect::Request(Request::Submit { run: run.info.id.clone(), command })
}

impl App {
    /// Opens the list of startable workflows, and requests the workflows of servers.
    pub(in crate::app) fn start_picker(&mut self) -> Vec<Effect> {
        self.overlay =
            Some(Overlay::Picker(Picker::new("Start a workflow", self.start_rows()).with_later(LaterRows::Starts)));
        let run = self.summary().filter(|run| run.info.remote.is_some()).map(|run| run.info.id.clone());
        let asks = self.state.has_servers().then_some(Request::ListDispatchable { run });
        asks.map(Effect::Request).into_iter().collect()
    }

    /// Returns the rows of the workflows that can be started, and of the workflows with errors.
    pub(in crate::app) fn start_rows(&self) -> Vec<PickRow> {
        self.starts("").chain(self.broken()).collect()
    }

    /// Returns a picker of the workflow that watch mode runs: one of the workflows that a push triggers, or all of
    /// them.
    pub(in crate::app) fn watch_picker(&self) -> Overlay {
        let on_push = |workflow: &&StartableWorkflow| workflow.events.iter().any(|event| event == "push");
        let one = |workflow: &StartableWorkflow| {
            let file = file_name(&workflow.workflow);
            PickRow::new(file, "when a change matches its paths", Pick::Watch(Some(workflow.workflow.clone())))
        };
        let all = PickRow::new("all", "every workflow that a push of the change would run", Pick::Watch(None));
        let rows = self.state.startable.iter().filter(on_push).map(one).chain([all]);
        Overlay::Picker(Picker::new("Run when files change", rows))
    }

    /// Opens the list of the artifacts of the selected run and the caches of its repository, and requests them.
    pub(in crate::app) fn stored_picker(&mut self) -> Vec<Effect> {
        let Some(run) = self.selection.run_id().cloned() else { return Vec::new() };
        let picker = Picker::new("Artifacts and caches", Vec::<PickRow>::new()).with_later(LaterRows::Stored);
        self.overlay = Some(Overlay::Picker(picker));
        vec![Effect::Request(Request::ListStored(run))]
    }

    /// Opens the job summaries of the selected run, and requests them.
    pub(in crate::app) fn summaries(&mut self) -> Vec<Effect> {
        let Some(run) = self.selection.run_id().cloned() else { return Vec::new() };
        self.overlay = Some(Overlay::Summaries(Summaries::new(run.clone())));
        vec![Effect::Request(Request::ListSummaries(run))]
    }

    /// Returns the rows of stored files: kind, name, size, age and source.
    pub(in crate::app) fn stored_rows(&self, run: &RunId, files: Vec<StoredFile>) -> Vec<PickRow> {
        let widest = files.iter().map(|file| text::width(&file.name)).max().unwrap_or_default().min(MAX_FILE_NAME);
        let row = |file: StoredFile| {
            let StoredFile { kind, name, size, created, source, .. } = &file;
            let (size, ago) = (text::bytes(*size), text::ago(self.state.now.since(*created)));
            let name = text::clip_middle(name, widest, self.theme.ellipsis());
            let space = " ".repeat(widest.saturating_sub(text::width(&name)));
            let label = format!("{:<8}  {name}{space}  {size:>8}  {ago:>4}  {source}", kind.word());
            PickRow::from((label, Pick::Stored(run.clone(), file)))
        };
        files.into_iter().map(row).collect()
    }

    /// Returns the dialog that asks what to do with a stored file.
    pub(in crate::app) fn stored_question(run: RunId, file: StoredFile) -> Overlay {
        let download = || {
            let request = Request::Download { run: run.clone(), file: file.clone() };
            Choice::new('d', "download it into the folder of the screen", vec![Effect::Request(request)])
        };
        let delete = || {
            let request = Request::DeleteStored { run: run.clone(), file: file.clone() };
            let text = if file.kind == StoredKind::RemoteArtifact { "delete it on its server" } else { "delete it" };
            Choice::new('x', text, vec![Effect::Request(request)])
        };
        let nothing = Choice::new('n', "nothing", Vec::new());
        // The first choice, which Enter takes, deletes nothing.
        let (title, choices) = match file.kind {
            StoredKind::Artifact | StoredKind::RemoteArtifact => ("Artifact", vec![download(), delete(), nothing]),
            StoredKind::Cache => ("Cache entry", vec![nothing, delete()]),
        };
        let lines = vec![file.name.clone(), format!("{} from {}", text::bytes(file.size), file.source)];
        Overlay::Question(Question::new(title, lines, choices))
    }

    /// Returns a picker of the deployments to the selected environment, to go back to one of them. `None` if no
    /// environment on a server is selected, or if it has no deployments.
    pub(in crate::app) fn deployments_picker(&self) -> Option<Overlay> {
        let (repository, environment) = self.panes.deploys.selected_on_server(&self.state, &self.selection)?;
        let current = environment.current().map(|current| current.release.sha.as_str());
        let request = RollbackRequest { environment: environment.name.clone(), ..RollbackRequest::default() };
        let good = environment.rollback(&request).ok().map(|(_, to)| to);
        let row = |deployment: &EnvironmentDeployment| {
            let state = deployment.state_words();
            let is_target = deployment.succeeded && current != Some(deployment.release.sha.as_str());
            let remark = if !is_target {
                ""
            } else if good == Some(deployment) {
                "last good"
            } else {
                "earlier"
            };
            let ago = text::ago(self.state.now.since(deployment.at()));
            let title = deployment.release.title();
            let label = format!("{title:<20} {state:<11} {ago:>4}  {remark:<9}  {}", deployment.creator);
            let to = Some(deployment.release.sha.clone());
            let request = RollbackRequest { to, ..request.clone() };
            (label, Pick::RollBack { repository: repository.clone(), request })
        };
        let rows: Vec<_> = environment.deployments.iter().map(row).collect();
        let title = format!("Deployments to {}: enter rolls back", environment.name);
        (!rows.is_empty()).then(|| Overlay::Picker(Picker::new(&title, rows)))
    }

    /// Returns the request to plan a rollback of the selected environment to its last good release; `None` if no
    /// environment on a server is selected.
    pub(in crate::app) fn rollback_request(&self) -> Option<Request> {
        let (repository, environment) = self.panes.deploys.selected_on_server(&self.state, &self.selection)?;
        let request = RollbackRequest { environment: environment.name.clone(), ..RollbackRequest::default() };
        Some(Request::PlanRollback { repository, request })
    }

    pub(in crate::app) fn stop_question(&self) -> Option<Overlay> {
        let run = self.summary()?;
        if run.info.is_deployment()
            && let Some((live, kept)) = self.state.kept_by(&run.info.id)
        {
            let text = vec![format!("{} is live and stays live, whatever you choose.", live.title())];
            let former = kept.release.name();
            let yes = format!("end it: {former} is not stopped automatically");
            let no = format!("let it stop {former} once a rollback is no longer instant");
            let choices =
                vec![Choice::new('n', no, Vec::new()), Choice::new('y', yes, vec![submit(run, Command::Cancel)])];
            return Some(Overlay::Question(Question::new("End the deployment?", text, choices)));
        }
        if run.info.is_deployment() && run.phase != Phase::Stopping {
            return Some(self.abort_of(run));
        }
        let (title, yes, no, command) = if run.phase == Phase::Stopping {
            let yes = "kill it: every process at once, without steps that clean up";
            ("Kill the run?", yes, "let it stop by itself", Command::ForceCancel)
        } else {
            ("Cancel the run?", "cancel it; steps with always() still run", "let it run", Command::Cancel)
        };
        let mut choices = vec![Choice::new('y', yes, vec![submit(run, command)]), Choice::new('n', no, Vec::new())];
        // Enter alone must not leave an environment between two releases.
        if run.info.is_deployment() {
            choices.reverse();
        }
        Some(Overlay::Question(Question::new(title, vec![run.name.clone()], choices)))
    }

    /// Returns the box that confirms an abort of the deployment that a run carries out. If the release is live already
    /// and the run only waits until it stops the environment, returns the question whether to end that wait.
    fn abort_of(&self, run: &Summary) -> Overlay {
        let open = self.state.open_of(&run.info.id);
        if let Some((lane, open)) = open.filter(|(_, open)| open.has_succeeded) {
            let (release, name) = (open.release.title(), lane.name());
            let text = vec![format!("{release} is live in {name}, whatever you choose.")];
            let yes = format!("end it: {name} is not stopped automatically");
            let no = Choice::new('n', format!("let it stop {name} later"), Vec::new());
            let choices = vec![no, Choice::new('y', yes, vec![submit(run, Command::Cancel)])];
            return Overlay::Question(Question::new("End the deployment?", text, choices));
        }
        let known = open.and_then(|(lane, _)| OrderBox::abort(lane));
        Overlay::Order(known.unwrap_or_else(|| OrderBox::abort_of(run, deployed_to(&run.info.workflow))))
    }

    /// Returns the question about cancelling several runs. Runs that are already stopping are force-cancelled.
    pub(in crate::app) fn stop_marked_question(runs: &[&Summary]) -> Overlay {
        let command = |run: &Summary| match run.phase {
            Phase::Stopping => Command::ForceCancel,
            _ => Command::Cancel,
        };
        let stop = runs.iter().map(|run| submit(run, command(run))).collect();
        let stopping = runs.iter().filter(|run| run.phase == Phase::Stopping).count() as u64;
        let mut text = names(runs);
        if stopping > 0 {
            text.push(format!("{stopping} already stopping: killed at once"));
        }
        let yes = format!("cancel {}; steps with always() still run", text::counted(runs.len() as u64, "run"));
        let choices = vec![Choice::new('n', "let them run", Vec::new()), Choice::new('y', yes, stop)];
        Overlay::Question(Question::new("Cancel the marked runs?", text, choices))
    }

    pub(in crate::app) fn review_box(&self) -> Option<Overlay> {
        Some(self.review_of(&[self.summary()?]))
    }

    /// Returns the box to review the deployments of these runs.
    pub(in crate::app) fn review_of(&self, runs: &[&Summary]) -> Overlay {
        let runs = runs.iter().map(|run| run.info.id.clone()).collect();
        Overlay::Review(ReviewBox::new(&self.state, runs))
    }

    pub(in crate::app) fn delete_question(&self) -> Option<Overlay> {
        let run = self.summary()?;
        let yes = match &run.info.remote {
            Some(remote) => format!("delete it at {} and here, with its logs", remote.host),
            None => "delete it, with its logs".to_owned(),
        };
        Some(Overlay::Question(Question::new(
            "Delete the run?",
            vec![format!("{}  {}", run.name, address(run))],
            vec![Choice::new('n', "keep it", Vec::new()), Choice::new('y', yes, vec![delete(run)])],
        )))
    }

    /// Returns the question about deleting several runs.
    pub(in crate::app) fn delete_marked_question(runs: &[&Summary]) -> Overlay {
        let there = runs.iter().filter(|run| run.info.remote.is_some()).count() as u64;
        let at_servers =
            if there == 0 { String::new() } else { format!(" ({there} of them on their servers as well)") };
        let yes = format!("delete {}, logs included{at_servers}", text::counted(runs.len() as u64, "run"));
        let delete = runs.iter().map(|run| delete(run)).collect();
        let choices = vec![Choice::new('n', "keep them", Vec::new()), Choice::new('y', yes, delete)];
        Overlay::Question(Question::new("Delete the marked runs?", names(runs), choices))
    }

    pub(in crate::app) fn delete_logs_question(&self) -> Option<Overlay> {
        let run = self.summary()?;
        let host = run.info.remote.as_ref()?.host.as_str();
        let text = vec![format!("{}  {}", run.name, address(run)), "What was downloaded here stays.".to_owned()];
        let yes = format!("delete the logs of all its jobs at {host}");
        let delete = vec![submit(run, Command::DeleteLogs)];
        let choices = vec![Choice::new('n', "keep them", Vec::new()), Choice::new('y', yes, delete)];
        Some(Overlay::Question(Question::new("Delete the logs?", text, choices)))
    }

    /// Returns the question about the run of a fork that waits for an approval; `None` for any other run.
    pub(in crate::app) fn fork_question(&self) -> Option<Overlay> {
        let run = self.summary().filter(|run| RunState::from(*run).waits_for_approval())?;
        let remote = run.info.remote.as_ref()?;
        let from = remote.fork.as_deref().unwrap_or("a fork");
        let text = vec![
            format!("{}  {}", run.name, address(run)),
            format!(
                "from {from}, started by {}",
                if remote.actor.is_empty() { "unknown" } else { remote.actor.as_str() }
            ),
            "Its workflow runs with the code of the fork: look at the change first.".to_owned(),
        ];
        let yes = format!("approve it: {} runs", file_name(&run.info.workflow));
        let approve = vec![submit(run, Command::ApproveFork)];
        let choices = vec![Choice::new('n', "let it wait", Vec::new()), Choice::new('y', yes, approve)];
        Some(Overlay::Question(Question::new("Approve the run of a fork?", text, choices)))
    }

    /// Returns the question about enabling or disabling the workflow of the selected run on its server; `None` if no
    /// run is selected.
    pub(in crate::app) fn workflow_question(&self, enable: bool) -> Option<Overlay> {
        let run = self.summary()?;
        let file = file_name(&run.info.workflow);
        let change = Effect::Request(Request::EnableWorkflow { run: run.info.id.clone(), enable });
        let (title, no, yes) = if enable {
            ("Enable the workflow?", "leave it as it is", format!("let {file} run again"))
        } else {
            ("Disable the workflow?", "let it run", format!("no event starts {file} until it is enabled"))
        };
        let choices = vec![Choice::new('n', no, Vec::new()), Choice::new('y', yes, vec![change])];
        Some(Overlay::Question(Question::new(title, vec![format!("{file} of {}", run.info.repository)], choices)))
    }

    /// Returns the question about running several runs again.
    pub(in crate::app) fn rerun_marked_question(&self, runs: &[&Summary]) -> Overlay {
        let rerun = |run: &&Summary, what| submit(run, Command::Rerun { what, debug: false });
        let can = |run: &&&Summary| capabilities(&self.state, Some(**run)).check(Operation::RerunFailed).is_ok();
        let failed: Vec<Effect> = runs.iter().filter(can).map(|run| rerun(run, RerunScope::Failed)).collect();
        let all = runs.iter().map(|run| rerun(run, RerunScope::All)).collect();
        let mut choices = vec![Choice::new('n', "nothing", Vec::new())];
        if !failed.is_empty() {
            let label = format!("the failed jobs of {}", text::counted(failed.len() as u64, "run"));
            choices.push(Choice::new('f', label, failed));
        }
        choices.push(Choice::new('a', format!("all jobs of {}", text::counted(runs.len() as u64, "run")), all));
        Overlay::Question(Question::new("Re-run the marked runs", names(runs), choices))
    }

    pub(in crate::app) fn rerun_question(&self) -> Option<Overlay> {
        let summary = self.summary()?;
        let capabilities = capabilities(&self.state, Some(summary));
        let can = |operation| capabilities.check(operation).is_ok();
        let is_limited = self.state.rights_of(summary).is_some_and(|rights| rights.limits_reruns);
        let limit = is_limited.then(|| format!("re-run {} of {MAX_RERUNS}", summary.attempt));
        let mut choices = Vec::new();
        let mut offer = |key, label: String, what| {
            choices.push(Choice::new(key, label, vec![submit(summary, Command::Rerun { what, debug: false })]));
        };
        let failed = self.run().map_or(0, |run| run.jobs_of(&RerunScope::Failed).len());
        if failed > 0 && can(Operation::RerunFailed) {
            let label = format!("failed jobs, and the jobs that they blocked: {}", text::counted(failed as u64, "job"));
            offer('f', label, RerunScope::Failed);
        }
        offer('a', "all jobs".to_owned(), RerunScope::All);
        if let Some(job) = self.selection.job(&self.state) {
            let label = format!("this job, and the jobs that need it: {}", job.name);
            offer('t', label, RerunScope::Job(job.id.clone()));
        }
        let step = self.selection.step(&self.state).filter(|(_, step)| step.kind == StepKind::Main);
        if let Some((job, step)) = step.filter(|_| can(Operation::RerunStep)) {
            let label = format!(
                "from step {} on, with the files of the last attempt: {} of {}",
                step.number, step.name, job.name
            );
            offer('s', label, RerunScope::Step { job: job.id.clone(), step: step.number });
        }
        if summary.info.server() == Some(ServerKind::GitHub) {
            let debug = Command::Rerun { what: RerunScope::All, debug: true };
            choices.push(Choice::new('d', "all jobs, with debug lines", vec![submit(summary, debug)]));
        }
        let has_debugger = self.state.rights_of(summary).is_some_and(|rights| rights.debugger == Debugger::Offered);
        let can_debug = has_debugger && can(Operation::RerunWithDebugger);
        if let Some(job) = self.selection.job(&self.state).filter(|_| can_debug) {
            let label = format!("this job, with GitHub's debugger (preview): {}", job.name);
            let debugger = Command::RerunWithDebugger { job: job.id.clone() };
            choices.push(Choice::new('g', label, vec![submit(summary, debugger)]));
        }
        Some(Overlay::Question(Question::new("Re-run", limit.into_iter().collect(), choices)))
    }

    /// Quits, or asks what to do with the active runs. Never asks if the screen refuses operations, nor about a
    /// deployment that is live and only keeps the former release running. Deployments are not cancelled here, because
    /// that needs the name of a production environment and a reason.
    pub(in crate::app) fn quit(&mut self) -> Vec<Effect> {
        if self.state.refusal().is_some() {
            return vec![Effect::Quit];
        }
        let active: Vec<&Summary> = self
            .state
            .active()
            .filter(|run| self.state.run(&run.info.id).is_some() && self.state.kept_by(&run.info.id).is_none())
            .collect();
        let [first, rest @ ..] = active.as_slice() else { return vec![Effect::Quit] };
        let text = match rest.len() {
            0 => format!("{} is still running.", first.name),
            more => format!("{} and {} are still running.", first.name, text::counted(more as u64, "other run")),
        };
        let deploying = active.iter().filter(|run| run.info.is_deployment()).count();
        let keep = match deploying {
            0 => "keep running and leave; cuelight attach shows it again",
            _ => "leave; the deployment goes on, and cuelight attach shows it again",
        };
        let stopped: Vec<&&Summary> = active.iter().filter(|run| !run.info.is_deployment()).collect();
        let stops = match (stopped.len(), deploying) {
            (1, 0) => "stop and leave".to_owned(),
            (count, 0) => format!("cancel {} and leave", text::counted(count as u64, "run")),
            (count, _) => {
                format!("cancel {} and leave; the deployment goes on", text::counted(count as u64, "run"))
            }
        };
        let stop = stopped.iter().map(|run| submit(run, Command::Cancel)).chain([Effect::Quit]).collect();
        let stop = (!stopped.is_empty()).then(|| Choice::new('s', stops, stop));
        let keep = Choice::new('k', keep, vec![Effect::Quit]);
        let choices = [keep].into_iter().chain(stop).chain([Choice::new('n', "stay", Vec::new())]).collect();
        self.overlay = Some(Overlay::Question(Question::new("Leave?", vec![text], choices)));
        Vec::new()
    }
}
