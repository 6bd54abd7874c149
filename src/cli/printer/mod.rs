//! What a headless run prints: the same records that the screen shows, as lines, as JSON, or as GitHub's commands.
//!
//! A printer folds records and log lines into text. It opens no file, no process and no terminal, so tests give it records
//! and compare what it writes.

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
use crate::store::StoreError;
use crate::store::folder::RunFolder;
use crate::store::logs::LogReader;
use crate::store::runs::RunStore;

pub(super) use ending::{first_line, table};
pub(super) use github::{GitHub, command};
pub(super) use json::Json;
pub(super) use lines::Lines;
pub(super) use protocol::Protocol;

/// Lines read at a time for printing.
const PORTION: usize = 10_000;

/// Prints one run as its records come.
pub(super) trait Printer {
    /// Prints what a record adds. `run` is the run with the record folded in.
    fn record(&mut self, run: &Run, record: &Record, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()>;

    /// Prints what comes after the last record.
    fn end(&mut self, run: &Run, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()>;
}

/// The logs of one run.
pub(super) trait Logs {
    /// Calls `act` with each line of a range of a step's log. Lines that are missing are left out.
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
        let Some(mut reader) = LogReader::open(self.log(job, attempt, step)).map_err(io_error)? else {
            return Ok(());
        };
        let (mut first, end) = (range.first, range.first.saturating_add(range.count));
        while first < end {
            let count = PORTION.min(usize::try_from(end - first).unwrap_or(PORTION));
            let page = reader.page(first, count).map_err(io_error)?;
            if page.lines.is_empty() {
                break;
            }
            first += page.lines.len() as u64;
            page.lines.iter().try_for_each(|line| act(line))?;
        }
        Ok(())
    }
}

fn io_error(error: StoreError) -> io::Error {
    io::Error::other(error.to_string())
}

/// A run that is printed as its records come.
pub(super) struct Printing<'p> {
    store: RunStore,
    folder: RunFolder,
    /// Earlier attempts are folded in and not printed.
    attempt: u32,
    printer: &'p mut dyn Printer,
}

impl<'p> Printing<'p> {
    /// Prints a run from this attempt on.
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

    /// Prints the end and returns how the run ended; `None` when its journal has no end.
    pub(super) fn end(self) -> io::Result<Option<Conclusion>> {
        let run = self.store.run(self.folder.id()).expect("opened above");
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        let mut out = Out::new(&mut stdout);
        self.printer.end(run, &self.folder, &mut out)?;
        out.flush()?;
        Ok(run.phase.conclusion())
    }
}
