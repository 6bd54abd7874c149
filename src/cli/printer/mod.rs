//! What a headless run prints: the same records that the screen shows, as lines, as JSON, or as GitHub's commands.
//!
//! A printer is a fold of records and log lines into text. It knows no file, no process and no terminal, so it is tested
//! with what it is given and what it wrote.

mod ending;
mod github;
mod json;
mod lines;
mod protocol;
#[cfg(test)]
mod testing;
mod text;

use std::io::{self, Write};

use crate::model::RunInfo;
use crate::model::{Conclusion, JobId, LineRange, Record, Run, StepNumber};
use crate::store::StoreError;
use crate::store::folder::RunFolder;
use crate::store::logs::LogReader;
use crate::store::runs::RunStore;

pub(super) use ending::table;
pub(super) use github::GitHub;
pub(super) use json::Json;
pub(super) use lines::Lines;
pub(super) use protocol::Protocol;
pub(super) use text::shown;

/// Lines read at a time for printing.
const PORTION: usize = 10_000;

/// Prints one run as its records come.
pub(super) trait Printer {
    /// Prints what a record adds. `run` is the run with the record folded in.
    fn record(&mut self, run: &Run, record: &Record, logs: &dyn Logs, out: &mut dyn Write) -> io::Result<()>;

    /// Prints what is to be said at the end.
    fn end(&mut self, run: &Run, logs: &dyn Logs, out: &mut dyn Write) -> io::Result<()>;
}

/// The logs of one run.
pub(super) trait Logs {
    /// Hands over lines of a step's log, one by one. Lines that are not there are left out.
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
        let mut out = io::BufWriter::new(io::stdout().lock());
        for record in records {
            self.store.apply(self.folder.id(), record);
            let run = self.store.run(self.folder.id()).expect("opened above");
            if run.attempt >= self.attempt {
                self.printer.record(run, record, &self.folder, &mut out)?;
            }
        }
        out.flush()
    }

    /// How the run ended; nothing when nobody told.
    pub(super) fn end(self) -> io::Result<Option<Conclusion>> {
        let run = self.store.run(self.folder.id()).expect("opened above");
        let mut out = io::BufWriter::new(io::stdout().lock());
        self.printer.end(run, &self.folder, &mut out)?;
        out.flush()?;
        Ok(run.phase.conclusion())
    }
}
