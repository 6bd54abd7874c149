//! A scripted run for tests: its records, and the output of its steps.

use std::collections::HashMap;
use std::io;

use crate::model::deployment::DEPLOYMENT_EVENT;
use crate::model::testing;
use crate::model::testing::{Script, job_finished, outline, step_finished};
use crate::model::{
    Annotation, Conclusion, Event, Gate, JobId, LineRange, Run, RunId, RunInfo, StepKind, StepNumber, StepOutline,
    Timestamp,
};
use crate::report::style::Out;
use crate::store::runs::RunStore;

use super::{LastRow, Logs, Printer, continues, print_chunk};

/// The records of a run in order, a tenth of a second apart, and its logs.
pub struct Story {
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

impl Story {
    /// Returns a run of independent jobs.
    pub fn new(jobs: &[&str]) -> Self {
        let info =
            RunInfo { sha: "0000000".to_owned(), ..testing::info(RunId::new("20261124-000000-0001"), Timestamp(0)) };
        let mut story = Self { info, script: Script::new(Timestamp(0)).paced(100), logs: Memory::default() };
        story.script.start(jobs.iter().map(|job| outline(job, job, &[])).collect());
        for job in jobs {
            let job = JobId::new(job);
            story.add(Event::JobStarted { name: job.to_string(), job, sandbox: "host".to_owned(), environment: None });
        }
        story
    }

    /// Returns a run with these records, whose steps print nothing.
    pub fn of(script: Script) -> Self {
        let info = testing::info(RunId::new("20261124-000000-0001"), Timestamp(0));
        Self { info, script, logs: Memory::default() }
    }

    /// Returns a deployment by this machine with these records.
    pub fn of_deployment(script: Script) -> Self {
        let mut story = Self::of(script);
        story.info.event = DEPLOYMENT_EVENT.to_owned();
        story
    }

    fn add(&mut self, event: Event) {
        self.script.event(event);
    }

    /// Adds the plan of a step, and returns the ids of its job and of the step.
    fn plan(&mut self, job: &str, number: u32, name: &str) -> (JobId, StepNumber) {
        let (job, step) = (JobId::new(job), StepNumber(number));
        let planned =
            StepOutline { number: step, name: name.to_owned(), kind: StepKind::Main, background: false, label: None };
        self.add(Event::StepsPlanned { job: job.clone(), steps: vec![planned] });
        (job, step)
    }

    /// Adds a step that is held until half an hour after the beginning: after its failure, or without `reason` before it
    /// runs.
    pub fn hold(&mut self, job: &str, number: u32, name: &str, reason: Option<&str>) {
        let (job, step) = self.plan(job, number, name);
        if reason.is_some() {
            self.add(Event::StepStarted { job: job.clone(), step, name: name.to_owned() });
        }
        let (reason, until) = (reason.map(str::to_owned), Timestamp(1_800_000));
        self.add(Event::StepHeld { job, step, reason, until });
    }

    /// Adds a step that prints these lines, in two portions if possible, and exits with this code.
    pub fn step(&mut self, job: &str, number: u32, name: &str, lines: &[&str], exit_code: i32) {
        let (job, step) = self.plan(job, number, name);
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

    /// Adds a step that succeeded in an earlier attempt and is not run again.
    pub fn kept(&mut self, job: &str, number: u32, name: &str, lines: &[&str], reason: &str) {
        let (id, step) = self.plan(job, number, name);
        self.add(step_finished(job, number, Conclusion::Success, 0, Some(reason)));
        self.add(Event::Output { job: id.clone(), step, output: LineRange { first: 0, count: lines.len() as u64 } });
        self.logs.0.insert((id, step), lines.iter().map(ToString::to_string).collect());
    }

    /// Adds the log of a step that has ended, one record for each line, like the log of a job on a server.
    pub fn late(&mut self, job: &str, step: u32, lines: &[&str]) {
        let (job, step) = (JobId::new(job), StepNumber(step));
        for first in 0..lines.len() {
            let output = LineRange { first: first as u64, count: 1 };
            self.add(Event::Output { job: job.clone(), step, output });
        }
        self.logs.0.insert((job, step), lines.iter().map(ToString::to_string).collect());
    }

    /// Adds steps that run at the same time and print their lines in turn.
    pub fn steps_at_once(&mut self, job: &str, steps: &[(u32, &str, &[&str])]) {
        let id = JobId::new(job);
        for (number, name, lines) in steps {
            let step = StepNumber(*number);
            let planned = StepOutline {
                number: step,
                name: (*name).to_owned(),
                kind: StepKind::Main,
                background: true,
                label: None,
            };
            self.add(Event::StepsPlanned { job: id.clone(), steps: vec![planned] });
            self.add(Event::StepStarted { job: id.clone(), step, name: (*name).to_owned() });
            self.logs.0.insert((id.clone(), step), lines.iter().map(ToString::to_string).collect());
        }
        let longest = steps.iter().map(|(.., lines)| lines.len()).max().unwrap_or(0);
        for first in 0..longest {
            for (number, ..) in steps.iter().filter(|(.., lines)| lines.len() > first) {
                let output = LineRange { first: first as u64, count: 1 };
                self.add(Event::Output { job: id.clone(), step: StepNumber(*number), output });
            }
        }
        for (number, ..) in steps {
            self.add(step_finished(job, *number, Conclusion::Success, 0, None));
        }
    }

    /// Sets the length of an incomplete line, in bytes.
    pub fn line_grew(&mut self, job: &str, step: u32, line: u64, bytes: u64) {
        self.add(Event::LineGrew { job: JobId::new(job), step: StepNumber(step), line, bytes });
    }

    /// Adds an annotation of a step.
    pub fn annotate(&mut self, job: &str, step: u32, annotation: Annotation) {
        self.add(Event::Annotated { job: JobId::new(job), step: StepNumber(step), annotation });
    }

    /// Makes jobs wait.
    pub fn wait(&mut self, jobs: &[&str], gate: &Gate) {
        for job in jobs {
            self.add(Event::JobWaiting { job: JobId::new(*job), gate: gate.clone() });
        }
    }

    /// Ends a job.
    pub fn finish(&mut self, job: &str, conclusion: Conclusion) {
        let reason = (conclusion != Conclusion::Success).then_some("exit code 1");
        self.add(job_finished(job, conclusion, reason));
    }

    /// Ends the run.
    pub fn end(&mut self, conclusion: Conclusion) {
        self.script.end(conclusion);
    }

    /// Returns a run in which every text of every event is `text`.
    pub fn hostile(text: &str) -> Self {
        let (info, script) = testing::hostile(text);
        let mut story = Self { info, script, logs: Memory::default() };
        let lines = ["##[group]", text, "##[endgroup]", text, &format!("##[error]{text}")].map(str::to_owned);
        story.logs.0.insert((JobId::new(text), StepNumber(2)), lines.to_vec());
        story
    }

    /// Returns the run with every record folded.
    pub fn run(&self) -> Run {
        let mut store = RunStore::default();
        store.open(self.info.clone());
        self.script.records.iter().for_each(|record| store.apply(&self.info.id, record));
        store.run(&self.info.id).expect("opened above").clone()
    }

    /// Returns the output of a function that prints the whole run.
    pub fn whole(&self, print: impl FnOnce(&Run, &dyn Logs, &mut Out<'_>) -> io::Result<()>) -> String {
        let mut bytes = Vec::new();
        let mut out = Out::read_by_runner(&mut bytes, false);
        print(&self.run(), &self.logs, &mut out).expect("memory");
        String::from_utf8(bytes).expect("text")
    }

    /// Ends a job whose failure is allowed.
    pub fn finish_allowed(&mut self, job: &str) {
        let ended = job_finished(job, Conclusion::Failure, Some("exit code 1"));
        let Event::JobFinished { job, conclusion, reason, outputs, environment_url, .. } = ended else { return };
        self.add(Event::JobFinished { job, conclusion, allowed_failure: true, reason, outputs, environment_url });
    }

    /// Ends a step that was cancelled while it ran.
    pub fn cancel_step(&mut self, job: &str, number: u32, name: &str) {
        let (id, step) = self.plan(job, number, name);
        self.add(Event::StepStarted { job: id, step, name: name.to_owned() });
        self.add(step_finished(job, number, Conclusion::Cancelled, 0, Some("cancelled")));
    }

    /// Returns the output of a printer.
    pub fn print(&self, printer: &mut dyn Printer) -> String {
        self.print_to(printer, false)
    }

    /// Returns the output of a printer for GitHub's runner, or for a terminal.
    pub fn print_to(&self, printer: &mut dyn Printer, in_actions: bool) -> String {
        let mut store = RunStore::default();
        store.open(self.info.clone());
        let mut bytes = Vec::new();
        let mut out = Out::read_by_runner(&mut bytes, in_actions);
        let merges = printer.merges_output();
        for chunk in self.script.records.chunk_by(|record, next| merges && continues(record, next)) {
            for record in chunk {
                store.apply(&self.info.id, record);
            }
            let run = store.run(&self.info.id).expect("opened above");
            print_chunk(printer, run, chunk, &self.logs, &mut out).expect("memory");
        }
        printer.end(store.run(&self.info.id).expect("opened above"), &self.logs, &mut out).expect("memory");
        String::from_utf8(bytes).expect("text")
    }
}

/// A terminal to which a run is printed while it happens.
pub struct Terminal<'p> {
    story: Story,
    /// Text that each step has printed.
    texts: HashMap<(JobId, StepNumber), String>,
    store: RunStore,
    printer: &'p mut dyn Printer,
    last_row: LastRow,
    screen: vt100::Parser,
    columns: u16,
}

impl<'p> Terminal<'p> {
    /// Returns a terminal after the first records of a story.
    pub fn new(story: Story, columns: u16, printer: &'p mut dyn Printer) -> Self {
        let mut store = RunStore::default();
        store.open(story.info.clone());
        let size = |length| std::num::NonZero::new(length).expect("not zero");
        let screen = vt100::Parser::new(size(30), size(columns), 0);
        let (texts, last_row) = (HashMap::new(), LastRow::default());
        let mut terminal = Self { story, texts, store, printer, last_row, screen, columns };
        terminal.print();
        terminal
    }

    /// Starts a step.
    pub fn step(&mut self, job: &str, number: u32, name: &str) {
        let (job, step) = self.story.plan(job, number, name);
        self.story.add(Event::StepStarted { job, step, name: name.to_owned() });
        self.print();
    }

    /// Makes a step print a text: any number of lines, complete or not.
    pub fn prints(&mut self, job: &str, number: u32, text: &str) {
        let (job, step) = (JobId::new(job), StepNumber(number));
        let whole = self.texts.entry((job.clone(), step)).or_default();
        let first = whole.matches('\n').count() as u64;
        whole.push_str(text);
        let lines: Vec<_> = whole.lines().map(str::to_owned).collect();
        let (count, open) = (text.matches('\n').count() as u64, !whole.ends_with('\n'));
        let bytes = lines.last().map_or(0, String::len) as u64;
        self.story.logs.0.insert((job.clone(), step), lines);
        if count > 0 {
            self.story.add(Event::Output { job: job.clone(), step, output: LineRange { first, count } });
        }
        if open {
            self.story.add(Event::LineGrew { job, step, line: first + count, bytes });
        }
        self.print();
    }

    fn print(&mut self) {
        let mut bytes = Vec::new();
        let mut out = Out::read_by_runner(&mut bytes, false);
        self.last_row.erase(&mut out).expect("memory");
        for record in &self.story.script.records {
            let known = self.store.run(&self.story.info.id).expect("opened above").seq;
            if record.seq > known {
                self.store.apply(&self.story.info.id, record);
                let run = self.store.run(&self.story.info.id).expect("opened above");
                self.printer.record(run, record, &self.story.logs, &mut out).expect("memory");
            }
        }
        let run = self.store.run(&self.story.info.id).expect("opened above");
        let line = self.printer.open_line(run, &self.story.logs, self.columns.into()).expect("memory");
        self.last_row.show(line, &mut out).expect("memory");
        self.screen.process(String::from_utf8(bytes).expect("text").replace('\n', "\r\n").as_bytes());
    }

    /// Returns the last rows that contain text.
    pub fn rows(&self, count: usize) -> Vec<String> {
        let contents = self.screen.screen().contents();
        let rows: Vec<_> = contents.trim_end().lines().map(|row| row.trim_end().to_owned()).collect();
        rows[rows.len().saturating_sub(count)..].to_vec()
    }
}
