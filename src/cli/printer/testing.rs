//! A scripted run for tests: its records, and the output of its steps.

use std::collections::HashMap;
use std::io;

use crate::cli::style::Out;
use crate::model::testing;
use crate::model::testing::{Script, job_finished, outline, step_finished};
use crate::model::{
    Annotation, Command, Conclusion, EndReason, Event, Explanation, Gate, JobId, JobOutline, Level, LineRange, Outcome,
    Reply, Run, RunId, RunInfo, Service, ServiceState, StepKind, StepNumber, StepOutline, Timestamp,
};
use crate::store::runs::RunStore;

use super::{Logs, Printer};

/// The records of a run in order, a tenth of a second apart, and its logs.
pub(crate) struct Story {
    info: RunInfo,
    script: Script,
    logs: Memory,
}

#[derive(Default)]
struct Memory(HashMap<(JobId, StepNumber), Vec<String>>);

impl Logs for Memory {
    fn lines(
        &self,
        _: &Run,
        job: &JobId,
        step: StepNumber,
        range: LineRange,
        act: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let lines = self.0.get(&(job.clone(), step)).into_iter().flatten();
        let wanted = lines.skip(range.first as usize).take(usize::try_from(range.count).unwrap_or(usize::MAX));
        wanted.into_iter().try_for_each(|line| act(line.as_bytes()))
    }
}

/// Returns an error with a location.
pub(crate) fn annotation(file: &str, line: u32, message: &str) -> Annotation {
    Annotation {
        level: Level::Error,
        message: message.to_owned(),
        title: None,
        file: Some(file.to_owned()),
        line: Some(line),
        end_line: None,
        column: None,
        end_column: None,
    }
}

impl Story {
    fn empty() -> Self {
        let info =
            RunInfo { sha: "0000000".to_owned(), ..testing::info(RunId::new("20261124-000000-0001"), Timestamp(0)) };
        Self { info, script: Script::new(Timestamp(0)).paced(100), logs: Memory::default() }
    }

    /// Returns a run of independent jobs.
    pub(crate) fn new(jobs: &[&str]) -> Self {
        let mut story = Self::empty();
        story.script.start(jobs.iter().map(|job| outline(job, job, &[])).collect());
        for job in jobs {
            let job = JobId::new(job);
            story.add(Event::JobStarted { name: job.to_string(), job, sandbox: "host".to_owned() });
        }
        story
    }

    fn add(&mut self, event: Event) {
        self.script.event(event);
    }

    /// Adds a step that prints these lines, if possible in two portions, and exits with this code.
    pub(crate) fn step(&mut self, job: &str, number: u32, name: &str, lines: &[&str], exit_code: i32) {
        let (job, step) = (JobId::new(job), StepNumber(number));
        let planned = StepOutline { number: step, name: name.to_owned(), kind: StepKind::Main };
        self.add(Event::StepsPlanned { job: job.clone(), steps: vec![planned] });
        self.add(Event::StepStarted { job: job.clone(), step, name: name.to_owned() });
        let half = lines.len() / 2;
        for (first, count) in [(0, half), (half, lines.len() - half)].into_iter().filter(|(_, count)| *count > 0) {
            let output = LineRange { first: first as u64, count: count as u64 };
            self.add(Event::Output { job: job.clone(), step, output });
        }
        self.logs.0.insert((job.clone(), step), lines.iter().map(ToString::to_string).collect());
        let conclusion = if exit_code == 0 { Conclusion::Success } else { Conclusion::Failure };
        let reason = (exit_code != 0).then(|| format!("exit code {exit_code}"));
        self.add(step_finished(job.as_str(), number, conclusion, exit_code, reason.as_deref()));
    }

    pub(crate) fn annotate(&mut self, job: &str, step: u32, annotation: Annotation) {
        self.add(Event::Annotated { job: JobId::new(job), step: StepNumber(step), annotation });
    }

    pub(crate) fn finish(&mut self, job: &str, conclusion: Conclusion) {
        let reason = (conclusion != Conclusion::Success).then_some("exit code 1");
        self.add(job_finished(job, conclusion, reason));
    }

    pub(crate) fn end(&mut self, conclusion: Conclusion) {
        self.script.end(conclusion);
    }

    /// Returns a run in which every text of every event is `text`.
    pub(crate) fn hostile(text: &str) -> Self {
        let any = || text.to_owned();
        let mut story = Self::empty();
        let (id, number) = (JobId::new(text), StepNumber(2));
        let gate = Gate::Concurrency { group: any(), holder: any() };
        story.add(Event::RunWaiting { gate: gate.clone(), attempt: 1, name: any() });
        story.add(Event::RunStarted { attempt: 2, name: any() });
        let job = JobOutline { environment: Some(any()), ..outline(text, text, &[text]) };
        story.add(Event::JobsPlanned { jobs: vec![job], replaces: None });
        for gate in [gate, Gate::Resource(any()), Gate::Review(any())] {
            story.add(Event::JobWaiting { job: id.clone(), gate });
        }
        story.add(Event::JobStarted { name: any(), job: id.clone(), sandbox: any() });
        story.add(Event::ImagePulled { job: id.clone(), image: any(), done: 1, total: 2 });
        for state in [ServiceState::Healthy, ServiceState::Exited] {
            let ports = [(any(), any()), ("1".to_owned(), any())].into_iter().collect();
            let service = Service { name: any(), image: any(), state, ports, detail: Some(any()), restarts: 0 };
            story.add(Event::ServiceChanged { job: id.clone(), service });
        }
        story.step(text, number.0, text, &["##[group]", text, "##[endgroup]", text, &format!("##[error]{text}")], 1);
        let operand = Explanation { text: any(), outcome: Outcome::Failed(any()), operands: Vec::new() };
        let explanation = Explanation { text: any(), outcome: Outcome::Value(any()), operands: vec![operand] };
        story.add(Event::Decided { job: id.clone(), step: Some(number), explanation });
        for level in [Level::Notice, Level::Error] {
            let title = Some(any());
            story.annotate(text, number.0, Annotation { level, title, ..annotation(text, 3, text) });
        }
        let command = Command::Yield { group: any(), job: None, to: any() };
        story.add(Event::Ordered { command, reply: Reply::Rejected { reason: any() } });
        story.add(Event::JobFinished {
            job: id,
            conclusion: Conclusion::Failure,
            allowed_failure: true,
            reason: Some(any()),
            outputs: indexmap::IndexMap::from([(any(), any())]),
            environment_url: Some(any()),
        });
        story.add(Event::RunFinished { conclusion: Conclusion::Failure, reason: Some(EndReason::Message(any())) });
        for info in [&mut story.info.repository, &mut story.info.workflow, &mut story.info.event] {
            text.clone_into(info);
        }
        (story.info.ref_name, story.info.sha) = (any(), any());
        story
    }

    /// Returns the run with every record folded.
    pub(crate) fn run(&self) -> Run {
        let mut store = RunStore::default();
        store.open(self.info.clone());
        self.script.records.iter().for_each(|record| store.apply(&self.info.id, record));
        store.run(&self.info.id).expect("opened above").clone()
    }

    /// Returns the output of a printer.
    pub(crate) fn print(&self, printer: &mut dyn Printer) -> String {
        self.print_to(printer, false)
    }

    /// Returns the output of a printer for GitHub's runner, or for a terminal.
    pub(crate) fn print_to(&self, printer: &mut dyn Printer, in_actions: bool) -> String {
        let mut store = RunStore::default();
        store.open(self.info.clone());
        let mut bytes = Vec::new();
        let mut out = Out::read_by_runner(&mut bytes, in_actions);
        for record in &self.script.records {
            store.apply(&self.info.id, record);
            let run = store.run(&self.info.id).expect("opened above");
            printer.record(run, record, &self.logs, &mut out).expect("memory");
        }
        printer.end(store.run(&self.info.id).expect("opened above"), &self.logs, &mut out).expect("memory");
        String::from_utf8(bytes).expect("text")
    }
}
