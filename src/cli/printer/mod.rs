//! Headless output of a run: the records that the screen shows, as lines, as JSON, or as GitHub's commands.
//!
//! A printer turns records and log lines into text. It has no access to files, processes or terminals, so tests give it
//! records and compare its output.

mod ending;
mod github;
mod json;
mod lines;
mod protocol;
#[cfg(test)]
pub(super) mod testing;

use std::io;

use crate::cli::style::Out;
use crate::model::{Conclusion, JobId, LineRange, Record, Run, RunInfo, StepNumber};
use crate::store::folder::RunFolder;
use crate::store::logs::LogReader;
use crate::store::runs::RunStore;

pub(super) use ending::{first_line, search, table};
pub(super) use github::{GitHub, command};
pub(super) use json::Json;
pub(super) use lines::Lines;
pub(super) use protocol::Protocol;

/// Prints one run while its records arrive.
pub(super) trait Printer {
    /// Prints a record. `run` is the run after the record.
    fn record(&mut self, run: &Run, record: &Record, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()>;

    /// Prints the summary after the last record.
    fn end(&mut self, run: &Run, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()>;
}

/// The logs of one run.
pub(super) trait Logs {
    /// Calls `act` with each line of a range of a step's log. Missing lines are left out.
    fn lines(
        &self,
        run: &Run,
        job: &JobId,
        step: StepNumber,
        range: LineRange,
        act: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()>;
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
}

/// A run that is printed while its records arrive.
pub(super) struct Printing<'p> {
    store: RunStore,
    folder: RunFolder,
    /// First attempt to print. Earlier ones are folded only.
    attempt: u32,
    printer: &'p mut dyn Printer,
}

impl<'p> Printing<'p> {
    /// Returns a printing of a run from this attempt on.
    pub(super) fn new(folder: &RunFolder, header: RunInfo, attempt: u32, printer: &'p mut dyn Printer) -> Self {
        let mut store = RunStore::default();
        store.open(header);
        Self { store, folder: folder.clone(), attempt, printer }
    }

    pub(super) fn records(&mut self, records: &[Record]) -> io::Result<()> {
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        let mut out = Out::new(&mut stdout);
        for record in records {
            self.store.apply(self.folder.id(), record);
            let run = self.store.run(self.folder.id()).expect("opened above");
            if run.attempt >= self.attempt {
                self.printer.record(run, record, &self.folder, &mut out)?;
            }
        }
        out.flush()
    }

    /// Prints the summary and returns the conclusion; `None` if the journal has no end.
    pub(super) fn end(self) -> io::Result<Option<Conclusion>> {
        let run = self.store.run(self.folder.id()).expect("opened above");
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        let mut out = Out::new(&mut stdout);
        self.printer.end(run, &self.folder, &mut out)?;
        out.flush()?;
        Ok(run.phase.conclusion())
    }
}
