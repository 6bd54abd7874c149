//! Dialogs and pickers that precede an action.

use crate::app::App;
use crate::app::availability::capabilities;
use crate::app::msg::Effect;
use crate::model::capabilities::Operation;
use crate::model::feed::{Request, StartableWorkflow};
use crate::model::{Command, Phase, RerunScope, StepKind, Summary};
use crate::ui::text;

use super::Overlay;
use super::picker::{Pick, Picker};
use super::question::{Choice, Question};
use super::review::ReviewBox;

fn submit(run: &Summary, command: Command) -> Effect {
    Effect::Request(Request::Submit { run: run.info.id.clone(), command })
}

impl App {
    pub(in crate::app) fn start_picker(&self) -> Overlay {
        Overlay::Picker(Picker::new("Start a workflow", self.starts("").chain(self.broken()).collect()))
    }

    /// Returns a picker of the workflow that watch mode runs, or all.
    pub(in crate::app) fn watch_picker(&self) -> Overlay {
        let on_push = |workflow: &&StartableWorkflow| workflow.events.iter().any(|event| event == "push");
        let one = |workflow: &StartableWorkflow| {
            let file = workflow.workflow.rsplit('/').next().unwrap_or_default();
            (format!("{file}  when a change matches its paths"), Pick::Watch(Some(workflow.workflow.clone())))
        };
        let all = ("every workflow that a push of the change would run".to_owned(), Pick::Watch(None));
        let rows = self.state.startable.iter().filter(on_push).map(one).chain([all]).collect();
        Overlay::Picker(Picker::new("Run when files change", rows))
    }

    pub(in crate::app) fn stop_question(&self) -> Option<Overlay> {
        let run = self.summary()?;
        let (title, yes, no, command) = if run.phase == Phase::Stopping {
            let yes = "kill it: every process at once, without steps that clean up";
            ("Kill the run?", yes, "let it stop by itself", Command::ForceCancel)
        } else {
            ("Cancel the run?", "cancel it; steps with always() still run", "let it run", Command::Cancel)
        };
        let choices = vec![Choice::new('y', yes, vec![submit(run, command)]), Choice::new('n', no, Vec::new())];
        Some(Overlay::Question(Question::new(title, vec![run.name.clone()], choices)))
    }

    /// Returns the question about cancelling several runs.
    pub(in crate::app) fn stop_marked_question(runs: &[&Summary]) -> Overlay {
        let command = |run: &Summary| match run.phase {
            Phase::Stopping => Command::ForceCancel,
            _ => Command::Cancel,
        };
        let stop = runs.iter().map(|run| submit(run, command(run))).collect();
        let stopping = runs.iter().filter(|run| run.phase == Phase::Stopping).count() as u64;
        let text =
            if stopping == 0 { Vec::new() } else { vec![format!("{} already stopping: killed at once", stopping)] };
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
        let delete = Effect::Request(Request::Delete(run.info.id.clone()));
        Some(Overlay::Question(Question::new(
            "Delete the run?",
            vec![format!("{}  {}", run.name, run.info.id)],
            vec![Choice::new('n', "keep it", Vec::new()), Choice::new('y', "delete it, with its logs", vec![delete])],
        )))
    }

    pub(in crate::app) fn rerun_question(&self) -> Option<Overlay> {
        let summary = self.summary()?;
        let capabilities = capabilities(&self.state, Some(summary));
        let can = |operation| capabilities.check(operation).is_ok();
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
            let label = format!("from step {} on, in the files it left: {} of {}", step.number, step.name, job.name);
            offer('s', label, RerunScope::Step { job: job.id.clone(), step: step.number });
        }
        Some(Overlay::Question(Question::new("Re-run", Vec::new(), choices)))
    }

    /// Quits, or asks what to do with the active runs.
    pub(in crate::app) fn quit(&mut self) -> Vec<Effect> {
        if self.state.refusal().is_some() {
            return vec![Effect::Quit];
        }
        let active: Vec<&Summary> = self.state.active().filter(|run| self.state.run(&run.info.id).is_some()).collect();
        let [first, rest @ ..] = active.as_slice() else { return vec![Effect::Quit] };
        let text = match rest.len() {
            0 => format!("{} is still running.", first.name),
            more => format!("{} and {} are still running.", first.name, text::counted(more as u64, "other run")),
        };
        let stop = active.iter().map(|run| submit(run, Command::Cancel)).chain([Effect::Quit]).collect();
        self.overlay = Some(Overlay::Question(Question::new(
            "Leave?",
            vec![text],
            vec![
                Choice::new('k', "keep running and leave; cuelight attach shows it again", vec![Effect::Quit]),
                Choice::new('s', "stop and leave", stop),
                Choice::new('n', "stay", Vec::new()),
            ],
        )));
        Vec::new()
    }
}
