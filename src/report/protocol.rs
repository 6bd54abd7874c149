//! Prints log lines and the result as JSON lines, for programs that test a runner.

use std::io;

use serde_json::json;

use crate::model::{Conclusion, Event, Phase, Record, Run};
use crate::report::style::{Out, document};

use super::{Logs, Printer};

/// Prints `{"type":"log",…}` lines and, at the end, `{"type":"result",…}`.
pub struct Protocol;

impl Printer for Protocol {
    fn record(&mut self, run: &Run, record: &Record, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        let Event::Output { job, step, output } = &record.event else { return Ok(()) };
        let name = run.step(job, *step).map_or("", |step| step.name.as_str());
        logs.lines(run, job, *step, *output, &mut |line| {
            let line = json!({"type": "log", "job": job.as_str(), "step": name, "line": String::from_utf8_lossy(line)});
            out.line(document(&line)?)
        })
    }

    fn end(&mut self, run: &Run, _: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        let word = |phase: &Phase| match phase.conclusion() {
            Some(Conclusion::TimedOut | Conclusion::StartupFailure) => "failure",
            Some(conclusion) => conclusion.word(),
            None => "failure",
        };
        let jobs: Vec<_> = run
            .jobs
            .values()
            .map(|job| json!({"id": job.key, "name": job.name, "conclusion": word(&job.phase)}))
            .collect();
        let result = json!({"type": "result", "conclusion": word(&run.phase), "jobs": jobs});
        out.line(document(&result)?)
    }
}
