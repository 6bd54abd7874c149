//! A run made up for tests: its records, and the lines its steps printed.

use std::collections::HashMap;
use std::io;

use crate::model::RunInfo;
use crate::model::{
    Annotation, Conclusion, Event, JobId, JobOutline, Level, LineRange, Record, Run, RunId, StepKind, StepNumber,
    StepOutline, Timestamp,
};
use crate::store::runs::RunStore;

use super::{Logs, Printer};

/// Records in the order of telling; each takes a tenth of a second.
pub(super) struct Story {
    records: Vec<Record>,
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

/// An error with a place.
pub(super) fn annotation(file: &str, line: u32, message: &str) -> Annotation {
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
    /// A run of jobs that need nothing.
    pub(super) fn new(jobs: &[&str]) -> Self {
        let mut story = Self { records: Vec::new(), logs: Memory::default() };
        story.tell(Event::RunStarted { attempt: 1, name: "CI".to_owned() });
        let outline = |job: &&str| JobOutline {
            id: JobId::new(job),
            key: (*job).to_owned(),
            name: (*job).to_owned(),
            needs: Vec::new(),
            environment: None,
            caller: None,
        };
        story.tell(Event::JobsPlanned { jobs: jobs.iter().map(outline).collect(), replaces: None });
        for job in jobs {
            let job = JobId::new(job);
            story.tell(Event::JobStarted { name: job.to_string(), job, sandbox: "host".to_owned() });
        }
        story
    }

    fn tell(&mut self, event: Event) {
        let seq = self.records.len() as u64 + 1;
        self.records.push(Record { seq, at: Timestamp(seq * 100), event });
    }

    /// A step that prints these lines, in two portions where it can, and exits so.
    pub(super) fn step(&mut self, job: &str, number: u32, name: &str, lines: &[&str], exit_code: i32) {
        let (job, step) = (JobId::new(job), StepNumber(number));
        let outline = StepOutline { number: step, name: name.to_owned(), kind: StepKind::Main };
        self.tell(Event::StepsPlanned { job: job.clone(), steps: vec![outline] });
        self.tell(Event::StepStarted { job: job.clone(), step, name: name.to_owned() });
        let half = lines.len() / 2;
        for (first, count) in [(0, half), (half, lines.len() - half)].into_iter().filter(|(_, count)| *count > 0) {
            let output = LineRange { first: first as u64, count: count as u64 };
            self.tell(Event::Output { job: job.clone(), step, output });
        }
        self.logs.0.insert((job.clone(), step), lines.iter().map(ToString::to_string).collect());
        let conclusion = if exit_code == 0 { Conclusion::Success } else { Conclusion::Failure };
        self.tell(Event::StepFinished {
            job,
            step,
            outcome: conclusion,
            conclusion,
            exit_code: Some(exit_code),
            signal: None,
            reason: (exit_code != 0).then(|| format!("exit code {exit_code}")),
        });
    }

    pub(super) fn annotate(&mut self, job: &str, step: u32, annotation: Annotation) {
        self.tell(Event::Annotated { job: JobId::new(job), step: StepNumber(step), annotation });
    }

    pub(super) fn finish(&mut self, job: &str, conclusion: Conclusion) {
        let reason = (conclusion != Conclusion::Success).then(|| "exit code 1".to_owned());
        self.tell(Event::JobFinished {
            job: JobId::new(job),
            conclusion,
            allowed_failure: false,
            reason,
            outputs: indexmap::IndexMap::new(),
            environment_url: None,
        });
    }

    pub(super) fn end(&mut self, conclusion: Conclusion) {
        self.tell(Event::RunFinished { conclusion, reason: None });
    }

    /// What a printer writes of it.
    pub(super) fn print(&self, printer: &mut dyn Printer) -> String {
        let id = RunId::new("20261124-000000-0001");
        let mut store = RunStore::default();
        store.open(RunInfo {
            id: id.clone(),
            repository: "octo/app".to_owned(),
            workflow: ".github/workflows/ci.yml".to_owned(),
            event: "push".to_owned(),
            ref_name: "main".to_owned(),
            sha: "0000000".to_owned(),
            created: Timestamp(0),
        });
        let mut out = Vec::new();
        for record in &self.records {
            store.apply(&id, record);
            printer.record(store.run(&id).expect("opened above"), record, &self.logs, &mut out).expect("memory");
        }
        printer.end(store.run(&id).expect("opened above"), &self.logs, &mut out).expect("memory");
        String::from_utf8(out).expect("text")
    }
}
