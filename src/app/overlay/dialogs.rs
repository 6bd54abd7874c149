//! What is asked before something is done.

use crate::app::availability::capabilities;
use crate::model;
use crate::model::Summary;
use crate::model::capabilities::Operation;
use crate::model::{Command, Conclusion, Job, Phase, StepKind};
use crate::ui::text;

use super::{Choice, Overlay, Pick, Picker, Question};
use crate::app::App;
use crate::app::msg::Effect;
use crate::model::feed::{Request, StartableWorkflow};

impl App {
    pub(in crate::app) fn start_picker(&self) -> Overlay {
        let title = "Start a workflow".to_owned();
        Overlay::Picker(Picker {
            title,
            filter: String::new(),
            commands: false,
            rows: self.starts("").collect(),
            at: 0,
        })
    }

    /// What is to be run when files change.
    pub(in crate::app) fn watch_picker(&self) -> Overlay {
        let pushed = self.state.startable.iter().filter(|offer| offer.events.iter().any(|event| event == "push"));
        let one = |offer: &StartableWorkflow| {
            let file = offer.workflow.rsplit('/').next().unwrap_or_default();
            (format!("{file}  when its paths have the change"), Pick::Watch(Some(offer.workflow.clone())))
        };
        let all = ("every workflow that a push of the change would fire".to_owned(), Pick::Watch(None));
        let rows = pushed.map(one).chain([all]).collect();
        let title = "Run when files change".to_owned();
        Overlay::Picker(Picker { title, filter: String::new(), commands: false, rows, at: 0 })
    }

    pub(in crate::app) fn stop_question(&self) -> Option<Overlay> {
        let run = self.summary()?;
        let (title, label, no, command) = if run.phase == Phase::Stopping {
            let label = "end it now: kill every process, start no further step";
            ("End the run at once?", label, "let it stop by itself", Command::ForceCancel)
        } else {
            ("Cancel the run?", "cancel it; steps with always() still run", "let it run", Command::Cancel)
        };
        let order = Request::Submit { run: run.info.id.clone(), command };
        Some(Overlay::Question(Question {
            title: title.to_owned(),
            text: vec![run.name.clone()],
            choices: vec![
                Choice { key: 'y', label: label.to_owned(), effects: vec![Effect::Request(order)] },
                Choice { key: 'n', label: no.to_owned(), effects: Vec::new() },
            ],
            at: 0,
        }))
    }

    pub(in crate::app) fn delete_question(&self) -> Option<Overlay> {
        let run = self.summary()?;
        let delete = Effect::Request(Request::Delete(run.info.id.clone()));
        Some(Overlay::Question(Question {
            title: "Remove the run?".to_owned(),
            text: vec![format!("{}  {}", run.name, run.info.id)],
            choices: vec![
                Choice { key: 'n', label: "keep it".to_owned(), effects: Vec::new() },
                Choice { key: 'y', label: "remove it, with its logs".to_owned(), effects: vec![delete] },
            ],
            at: 0,
        }))
    }

    pub(in crate::app) fn rerun_question(&self) -> Option<Overlay> {
        let run = self.selection.run_id().cloned()?;
        let known = self.run();
        let capabilities = capabilities(&self.state, self.summary());
        let can = |operation| capabilities.check(operation).is_ok();
        let mut choices = Vec::new();
        let mut offer = |key, label: String, what| {
            let order = Request::Submit { run: run.clone(), command: Command::Rerun { what } };
            choices.push(Choice { key, label, effects: vec![Effect::Request(order)] });
        };
        let bad = |job: &&Job| job.phase.conclusion() != Some(Conclusion::Success);
        let failed = known.map_or(0, |run| run.jobs.values().filter(bad).count());
        if failed > 0 && can(Operation::RerunFailed) {
            let label = format!("what failed and what that held back: {}", text::counted(failed as u64, "job"));
            offer('f', label, model::RerunScope::Failed);
        }
        offer('a', "all jobs".to_owned(), model::RerunScope::All);
        if let Some(job) = self.selection.job(&self.state) {
            offer('t', format!("this job, and what needs it: {}", job.name), model::RerunScope::Job(job.id.clone()));
        }
        let from_step = can(Operation::RerunStep);
        let shown = self.selection.step(&self.state);
        if let Some((job, step)) = shown.filter(|(_, step)| from_step && step.kind == StepKind::Main) {
            let label = format!("from step {} on, in the files it left: {} of {}", step.number, step.name, job.name);
            offer('s', label, model::RerunScope::Step { job: job.id.clone(), step: step.number });
        }
        let title = "Run again".to_owned();
        Some(Overlay::Question(Question { title, text: Vec::new(), choices, at: 0 }))
    }

    pub(in crate::app) fn quit(&mut self) -> Vec<Effect> {
        if self.state.refusal().is_some() {
            return vec![Effect::Quit];
        }
        let alive: Vec<&Summary> = self.state.active().filter(|run| self.state.run(&run.info.id).is_some()).collect();
        let [first, rest @ ..] = alive.as_slice() else { return vec![Effect::Quit] };
        let text = match rest.len() {
            0 => format!("{} is still running.", first.name),
            more => {
                format!("{} and {} are still running.", first.name, text::counted(more as u64, "other run"))
            }
        };
        let order =
            |run: &&Summary| Effect::Request(Request::Submit { run: run.info.id.clone(), command: Command::Cancel });
        let stop: Vec<Effect> = alive.iter().map(order).chain([Effect::Quit]).collect();
        let choice = |key, label: &str, effects| Choice { key, label: label.to_owned(), effects };
        self.overlay = Some(Overlay::Question(Question {
            title: "Leave?".to_owned(),
            text: vec![text],
            choices: vec![
                choice('k', "keep running and leave; cuelight attach shows it again", vec![Effect::Quit]),
                choice('s', "stop and leave", stop),
                choice('n', "stay", Vec::new()),
            ],
            at: 0,
        }));
        Vec::new()
    }
}
