//! What commands print for people and scripts: runs, logs, environments and diagnostics, as lines, tables, JSON or
//! GitHub's commands. Also how commands end: the message of a [`failure`] and its [exit code](exit).
//!
//! A printer turns records and log lines into text. It has no access to files, processes or terminals, so tests give it
//! records and compare its output.

pub mod arguments;
mod bell;
mod clauses;
pub mod conditions;
pub mod debugger;
pub mod deployments;
pub mod diagnosis;
mod ending;
pub mod environments;
pub mod exit;
pub mod failure;
mod github;
pub mod held;
mod json;
pub mod keys;
mod linear;
mod lines;
pub mod lint;
pub mod lists;
mod logs;
mod next_steps;
mod orders;
pub mod other_tools;
pub mod plan;
mod protocol;
mod reviews;
pub mod runs;
pub mod sentences;
mod shell;
pub mod standing;
pub mod style;
#[cfg(test)]
pub mod testing;
mod watched;

use std::io;
use std::path::PathBuf;

use crate::model::{Conclusion, Event, Gate, Job, JobId, LineRange, Phase, Record, Run, RunInfo, StepNumber};
use crate::report::bell::Bell;
use crate::report::style::{Out, Stdout};
use crate::store::folder::RunFolder;
use crate::store::logs::{LogReader, repository};
use crate::store::runs::RunStore;
use crate::ui::terminal_text::TerminalText;

pub use ending::{first_line, search, table};
pub use github::{GitHub, command};
pub use json::Json;
pub use linear::Linear;
pub use lines::{Lines, ends_group, log_line};
pub use logs::{LogSelection, is_bad, service_log};
pub use protocol::Protocol;
pub use reviews::{quoted, since, waiting};
pub use shell::failed_script;
pub use watched::{RunLines, RunTable, Watched};

/// Size in bytes of the buffer before standard output, for runs that print millions of lines.
const BUFFER: usize = 128 * 1024;

/// Prints one run while its records arrive.
pub trait Printer {
    /// Prints a record. `run` is the run after the record.
    ///
    /// # Errors
    /// The output cannot be written, or a log cannot be read.
    fn record(&mut self, run: &Run, record: &Record, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()>;

    /// Prints that several jobs wait for the same gate. Only called for printers that merge records.
    ///
    /// # Errors
    /// The output cannot be written.
    fn waiting(&mut self, _run: &Run, _jobs: &[&JobId], _gate: &Gate, _out: &mut Out<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Whether consecutive output of a step is printed as one record, and consecutive jobs that wait for the same gate
    /// as one.
    fn merges_output(&self) -> bool {
        true
    }

    /// Returns the incomplete line that a step is printing, for a row of this many columns. `None` if every line is
    /// complete, or if the printer only prints complete lines.
    ///
    /// # Errors
    /// A log cannot be read.
    fn open_line(&self, _run: &Run, _logs: &dyn Logs, _columns: usize) -> io::Result<Option<TerminalText>> {
        Ok(None)
    }

    /// Prints the summary after the last record.
    ///
    /// # Errors
    /// The output cannot be written, or a log cannot be read.
    fn end(&mut self, run: &Run, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()>;
}

/// Prints nothing.
pub struct Silent;

impl Printer for Silent {
    fn record(&mut self, _: &Run, _: &Record, _: &dyn Logs, _: &mut Out<'_>) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, _: &Run, _: &dyn Logs, _: &mut Out<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// The logs of one run.
pub trait Logs {
    /// Calls `act` with each line of a range of a step's log. Missing lines are left out, and a missing log has no
    /// lines.
    ///
    /// # Errors
    /// The log cannot be read, or `act` returns an error.
    fn lines(
        &self,
        run: &Run,
        job: &JobId,
        step: StepNumber,
        range: LineRange,
        act: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()>;

    /// Returns the root of the run's repository on this machine, which has the files that the log names; `None` if it is
    /// not known.
    fn repository(&self) -> Option<PathBuf> {
        None
    }
}

impl Logs for RunFolder {
    fn lines(
        &self,
        run: &Run,
        job: &JobId,
        step: StepNumber,
        range: LineRange,
        act: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let attempt = run.jobs.get(job).map_or(run.attempt, |job| job.attempt);
        let Some(mut reader) = LogReader::open(self.log(job, attempt, step)).map_err(io::Error::other)? else {
            return Ok(());
        };
        reader.for_each_line(range, act)
    }

    fn repository(&self) -> Option<PathBuf> {
        repository(self)
    }
}

/// The last row of a terminal. It shows the incomplete line that a step is printing, until another line is printed.
#[derive(Default)]
pub struct LastRow {
    shown: bool,
}

impl LastRow {
    /// Erases the row, so that a line can be printed in it.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn erase(&mut self, out: &mut Out<'_>) -> io::Result<()> {
        if std::mem::take(&mut self.shown) { out.erase_row() } else { Ok(()) }
    }

    /// Shows a line, which must fit into the row. The row must be empty.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn show(&mut self, line: Option<TerminalText>, out: &mut Out<'_>) -> io::Result<()> {
        self.shown = line.is_some();
        line.map_or(Ok(()), |line| out.print(&line))
    }
}

/// Whether `next` is output that follows the output of `record` in the same log, or another job that waits for the same
/// gate.
fn continues(record: &Record, next: &Record) -> bool {
    match (&record.event, &next.event) {
        (Event::Output { job, step, output }, Event::Output { job: of, step: number, output: more }) => {
            (job, step) == (of, number) && more.first == output.first + output.count
        }
        (Event::JobWaiting { gate, .. }, Event::JobWaiting { gate: next, .. }) => gate == next,
        _ => false,
    }
}

/// Prints records that continue each other. `run` is the run after them.
fn print_chunk(
    printer: &mut dyn Printer,
    run: &Run,
    chunk: &[Record],
    logs: &dyn Logs,
    out: &mut Out<'_>,
) -> io::Result<()> {
    let waiting = chunk.iter().map(|record| match &record.event {
        Event::JobWaiting { job, gate } => Some((job, gate)),
        _ => None,
    });
    match waiting.collect::<Option<Vec<_>>>().as_deref() {
        Some(several @ [(_, gate), _, ..]) => {
            let jobs: Vec<_> = several.iter().map(|(job, _)| *job).collect();
            printer.waiting(run, &jobs, gate, out)
        }
        _ => printer.record(run, &joined(chunk), logs, out),
    }
}

/// Joins records that continue each other: returns the last one with the lines of all of them.
///
/// # Panics
/// If `chunk` is empty.
fn joined(chunk: &[Record]) -> Record {
    let mut last = chunk.last().expect("a chunk has a record").clone();
    if let (Some(Event::Output { output: first, .. }), Event::Output { output, .. }) =
        (chunk.first().map(|record| &record.event), &mut last.event)
    {
        *output = LineRange { first: first.first, count: output.first + output.count - first.first };
    }
    last
}

/// A run that is printed while its records arrive.
pub struct Printing<'p> {
    store: RunStore,
    folder: RunFolder,
    /// First attempt to print. Earlier attempts are only folded.
    attempt: u32,
    printer: &'p mut dyn Printer,
    last_row: LastRow,
    bell: Bell,
}

impl<'p> Printing<'p> {
    /// Returns a printer for a run, from this attempt on.
    pub fn new(folder: &RunFolder, header: RunInfo, attempt: u32, printer: &'p mut dyn Printer) -> Self {
        let mut store = RunStore::default();
        store.open(header);
        Self { store, folder: folder.clone(), attempt, printer, last_row: LastRow::default(), bell: Bell::new() }
    }

    /// Prints records that arrived.
    ///
    /// # Errors
    /// The output cannot be written, or a log cannot be read.
    pub fn records(&mut self, records: &[Record]) -> io::Result<()> {
        let mut stdout = io::BufWriter::with_capacity(BUFFER, Stdout::lock());
        let mut out = Out::new(&mut stdout);
        self.last_row.erase(&mut out)?;
        let merges = self.printer.merges_output();
        for chunk in records.chunk_by(|record, next| merges && continues(record, next)) {
            for record in chunk {
                self.store.apply(self.folder.id(), record);
            }
            let run = self.store.run(self.folder.id()).expect("opened above");
            if run.attempt >= self.attempt {
                print_chunk(self.printer, run, chunk, &self.folder, &mut out)?;
            }
        }
        self.bell.ring(records, &mut out)?;
        if let (Some(run), Some(columns)) = (self.store.run(self.folder.id()), style::columns()) {
            self.last_row.show(self.printer.open_line(run, &self.folder, columns)?, &mut out)?;
        }
        out.flush()
    }

    /// Whether the attempt that is printed has ended.
    pub fn has_ended(&self) -> bool {
        self.current().is_some_and(|run| run.phase.is_done())
    }

    /// Whether a job of the attempt that is printed has failed.
    pub fn has_failed_job(&self) -> bool {
        self.current().is_some_and(|run| run.jobs.values().any(Job::has_failed))
    }

    /// Whether a step of the attempt that is printed is held, and no cancel ends the hold.
    pub fn is_held(&self) -> bool {
        self.current().is_some_and(|run| run.is_held() && run.phase != Phase::Stopping)
    }

    /// Returns the run; `None` until the attempt that is printed has begun.
    fn current(&self) -> Option<&Run> {
        self.store.run(self.folder.id()).filter(|run| run.attempt >= self.attempt)
    }

    /// Erases the incomplete line, so that a message can be printed. The next records show it again.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn make_room(&mut self) -> io::Result<()> {
        let mut stdout = Stdout::lock();
        let mut out = Out::new(&mut stdout);
        self.last_row.erase(&mut out)?;
        out.flush()
    }

    /// Prints the summary and returns the conclusion; `None` if the journal does not contain the end of the run.
    ///
    /// # Errors
    /// The output cannot be written, or a log cannot be read.
    pub fn end(mut self) -> io::Result<Option<Conclusion>> {
        let run = self.store.run(self.folder.id()).expect("opened above");
        let mut stdout = io::BufWriter::new(Stdout::lock());
        let mut out = Out::new(&mut stdout);
        self.last_row.erase(&mut out)?;
        self.printer.end(run, &self.folder, &mut out)?;
        out.flush()?;
        Ok(run.phase.conclusion())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{Script, info, outline};
    use crate::model::{Command, Reply, Timestamp};

    #[test]
    fn what_earlier_attempts_did_is_not_of_the_one_that_is_printed() {
        let (job, step) = (JobId::new("a"), StepNumber(1));
        let held = Event::StepHeld { job, step, reason: Some("exit code 1".to_owned()), until: Timestamp(9_000) };
        let mut script = Script::new(Timestamp(0));
        script.start(vec![outline("a", "a", &[])]).job("a", "a", &["Test"]).event(held);
        let printed = |attempt: u32| {
            let run = RunFolder::at("/nowhere/20261124-000000-0001");
            let mut silent = Silent;
            let mut printing = Printing::new(&run, info(run.id().clone(), Timestamp(0)), attempt, &mut silent);
            printing.records(&script.records).expect("printed");
            (printing.is_held(), printing.has_failed_job(), printing.has_ended())
        };
        assert_eq!(printed(1), (true, false, false));
        assert_eq!(printed(2), (false, false, false));
        script.event(Event::Ordered { command: Command::Cancel, reply: Reply::Accepted, by: None });
        let mut silent = Silent;
        let run = RunFolder::at("/nowhere/20261124-000000-0001");
        let mut printing = Printing::new(&run, info(run.id().clone(), Timestamp(0)), 1, &mut silent);
        printing.records(&script.records).expect("printed");
        assert!(!printing.is_held(), "a cancel ends the hold");
    }
}
