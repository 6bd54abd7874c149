//! Outlet of a run: masks, orders and writes the engine's records and logs.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::io::Write;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::engine::cancel::Cancellation;
use crate::engine::checkpoint::Checkpoint;
use crate::engine::mask::{MaskStream, Masker, RowMask};
use crate::engine::outlet::{Outlet, StepLog};
use crate::files;
use crate::model::RunInfo;
use crate::model::{Event, HeldOrder, Job, JobId, LineRange, Run, Step, StepNumber, Timestamp};
use crate::store::StoreError;
use crate::store::clock::now;
use crate::store::folder::RunFolder;
use crate::store::journal::JournalWriter;
use crate::store::logs::LogWriter;
use crate::store::runs::RunStore;

use super::checkpoints;

/// Minimum time between two notifications about a step's output, so that memory and journal grow with time and not with
/// the number of lines.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);

/// Size in bytes of a file that reserves space. Removing it makes room for the last records of a run whose disk is
/// full.
const BALLAST: u64 = 256 * 1024;

/// Maximum length in bytes of annotation messages. GitHub truncates longer ones.
const LONGEST_MESSAGE: usize = 4096;

/// Outlet that writes one attempt of a run to the folder of the run.
pub struct RunOutlet {
    folder: RunFolder,
    attempt: u32,
    masker: RwLock<Masker>,
    /// Held while a checkpoint is written, so that rewriting the file does not lose a checkpoint added meanwhile.
    checkpoints: Mutex<()>,
    /// Whether secrets were added since checkpoints were last scrubbed.
    masked_since: AtomicBool,
    written: Mutex<Written>,
    grown: watch::Sender<u64>,
    stop: watch::Sender<Cancellation>,
}

/// State that changes with every record.
struct Written {
    journal: JournalWriter,
    store: RunStore,
    ballast: Option<PathBuf>,
    failure: Option<String>,
    /// Events that could not be written to the journal yet, in order. They include the end of the run if the disk is
    /// full.
    unwritten: VecDeque<(Timestamp, Event)>,
}

impl RunOutlet {
    /// Creates the outlet for the next attempt of a run. It sends [`Cancellation::Force`] to `stop` once a file cannot
    /// be written.
    ///
    /// # Errors
    /// The journal cannot be opened.
    pub fn open(
        folder: &RunFolder,
        header: RunInfo,
        attempt: u32,
        store: RunStore,
        masker: Masker,
        grown: watch::Sender<u64>,
        stop: watch::Sender<Cancellation>,
    ) -> Result<Arc<Self>, StoreError> {
        let journal = JournalWriter::open(folder.journal())?;
        let mut store = store;
        store.open(header);
        let written = Written { journal, store, ballast: ballast(folder), failure: None, unwritten: VecDeque::new() };
        Ok(Arc::new(Self {
            folder: folder.clone(),
            attempt,
            masker: RwLock::new(masker),
            checkpoints: Mutex::new(()),
            masked_since: AtomicBool::new(false),
            written: Mutex::new(written),
            grown,
            stop,
        }))
    }

    /// Returns the run according to its records so far.
    #[must_use]
    pub fn run(&self) -> Run {
        self.written().store.run(self.folder.id()).expect("opened with the outlet").clone()
    }

    /// Returns a masker for all secrets known so far.
    #[must_use]
    pub fn masker(&self) -> Masker {
        self.masker.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Links the logs and summaries of a job's finished steps into this attempt.
    pub fn carry_over(&self, job: &Job, finished: &[Step]) {
        for step in finished {
            let log = |attempt| self.folder.log(&job.id, attempt, step.number);
            let summary = |attempt| self.folder.summary(&job.id, attempt, step.number);
            let (old, new) = (log(job.attempt), log(self.attempt));
            let index = (old.with_extension("idx"), new.with_extension("idx"));
            for (old, new) in [(old, new), index, (summary(job.attempt), summary(self.attempt))] {
                // A step without output or summary has no files.
                if old.exists() {
                    let _ = new.parent().map(fs::create_dir_all);
                    let _ = fs::hard_link(old, new);
                }
            }
        }
    }

    /// Removes what earlier tries of steps of a job wrote to its summary: the steps are about to run again.
    fn forget_summaries(&self, job: &JobId, steps: RangeInclusive<u32>) {
        for step in steps {
            let path = self.folder.summary(job, self.attempt, StepNumber(step));
            self.write(|| files::unless_missing(fs::remove_file(&path)).map_err(StoreError::io("remove", &path)));
        }
    }

    /// Fails like a write that is not possible if the folder of the run was removed or moved: nothing that the run does
    /// from now on would be recorded.
    pub fn check_folder(&self) {
        let journal = self.folder.journal();
        if let Err(error) = fs::symlink_metadata(&journal)
            && error.kind() == io::ErrorKind::NotFound
        {
            self.fail(&mut self.written(), &StoreError::io("find", journal)(error));
        }
    }

    /// Removes text that has become secret from the checkpoints of all jobs.
    fn scrub(&self) {
        if !self.masked_since.swap(false, Ordering::Relaxed) {
            return;
        }
        let _held = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        for job in self.run().jobs.keys() {
            let path = self.folder.checkpoint(job);
            let scrubbed = checkpoints::scrub(&path, &|text| self.holds_secret(text));
            if let Err(error) = scrubbed {
                // Text that has become secret must not stay, even if no job can resume afterwards.
                let _ = fs::remove_file(&path);
                self.fail(&mut self.written(), &StoreError::io("write", &path)(error));
            }
        }
    }

    /// Removes text that has become secret from the checkpoints, frees the reserved disk space, and writes the events
    /// that could not be written before.
    pub fn close(&self) {
        self.scrub();
        let mut written = self.written();
        if let Some(path) = written.ballast.take() {
            let _ = fs::remove_file(path);
        }
        self.write_down(&mut written);
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        // A panic between two writes leaves no inconsistent state.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn masked(&self, mut event: Event) -> Event {
        self.masker.read().unwrap_or_else(PoisonError::into_inner).mask_event(&mut event);
        event
    }

    fn append(&self, event: Event) {
        let mut written = self.written();
        written.unwritten.push_back((now(), event));
        self.write_down(&mut written);
    }

    /// Writes the unwritten events to the journal. Events that cannot be written wait for the next call.
    fn write_down(&self, written: &mut Written) {
        while let Some((at, event)) = written.unwritten.pop_front() {
            match written.journal.append(at, event.clone()) {
                Ok(record) => {
                    written.store.apply(self.folder.id(), &record);
                    self.grown.send_replace(record.seq);
                }
                Err(error) => {
                    written.unwritten.push_front((at, event));
                    return self.fail(written, &error);
                }
            }
        }
    }

    fn fail(&self, written: &mut Written, error: &StoreError) {
        if written.failure.is_none() {
            tracing::error!(%error, "cannot write to the run folder");
            written.failure = Some(error.to_string());
            self.stop.send_replace(Cancellation::Force);
        }
    }

    /// Writes a file of the run, unless an earlier one could not be written: on a full disk, the remaining space is for
    /// the last records of the run.
    fn write<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Option<T> {
        if self.written().failure.is_some() {
            return None;
        }
        write().map_err(|error| self.fail(&mut self.written(), &error)).ok()
    }
}

/// Reserves disk space with a file. Returns `None` if the file system does not support it.
fn ballast(folder: &RunFolder) -> Option<PathBuf> {
    let path = folder.ballast();
    let file = files::create_own(&path).ok()?;
    let reserved = rustix::fs::fallocate(file.as_fd(), rustix::fs::FallocateFlags::empty(), 0, BALLAST);
    if reserved.is_err() {
        let _ = fs::remove_file(&path);
        return None;
    }
    Some(path)
}

fn cut(mut event: Event) -> Event {
    match &mut event {
        Event::Annotated { annotation, .. } => {
            let message = &mut annotation.message;
            message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        }
        Event::Decided { explanation, .. } => explanation.shorten(),
        _ => {}
    }
    event
}

impl Outlet for RunOutlet {
    fn record(&self, event: Event) {
        if let Event::StepReleased { job, step, order: Some(order) } = &event {
            match order {
                HeldOrder::Retry => self.forget_summaries(job, step.0..=step.0),
                HeldOrder::RetryFrom(from) => self.forget_summaries(job, from.0..=step.0),
                HeldOrder::Skip | HeldOrder::Continue => {}
            }
        }
        // Truncated after masking: a truncated secret would not be found.
        self.append(cut(self.masked(event)));
    }

    fn log(self: Arc<Self>, job: &JobId, step: StepNumber) -> Box<dyn StepLog> {
        let path = self.folder.log(job, self.attempt, step);
        Box::new(RunLog {
            // A step that runs again continues its log.
            writer: LogWriter::new(path).on_new_line(),
            stream: MaskStream::default(),
            rows: RowMask::default(),
            untold: None,
            open: 0,
            told_open: 0,
            reported: None,
            masked: Vec::new(),
            job: job.clone(),
            step,
            outlet: self,
        })
    }

    fn summary(&self, job: &JobId, step: StepNumber, markdown: &str) {
        let path = self.folder.summary(job, self.attempt, step);
        let folder = path.parent().unwrap_or(&path).to_owned();
        let text = self.masker.read().unwrap_or_else(PoisonError::into_inner).mask_text(markdown);
        let append = || {
            fs::create_dir_all(&folder)?;
            files::append_own(&path)?.write_all(text.as_bytes())
        };
        self.write(|| append().map_err(StoreError::io("write", &path)));
    }

    fn checkpoint(&self, job: &JobId, checkpoint: &Checkpoint) {
        let path = self.folder.checkpoint(job);
        let held = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(|| checkpoints::append(&path, checkpoint).map_err(StoreError::io("write", &path)));
        drop(held);
        // Runs afterwards, because text sealed earlier may have become secret meanwhile.
        self.scrub();
    }

    fn add_mask(&self, secret: &[u8]) {
        self.masker.write().unwrap_or_else(PoisonError::into_inner).add(secret);
        self.masked_since.store(true, Ordering::Relaxed);
    }

    fn holds_secret(&self, text: &str) -> bool {
        self.masker.read().unwrap_or_else(PoisonError::into_inner).finds(text)
    }

    fn failure(&self) -> Option<String> {
        self.written().failure.clone()
    }
}

/// Log of one step.
struct RunLog {
    outlet: Arc<RunOutlet>,
    job: JobId,
    step: StepNumber,
    writer: LogWriter,
    stream: MaskStream,
    rows: RowMask,
    masked: Vec<u8>,
    untold: Option<LineRange>,
    /// Length in bytes of the last line while it has no newline.
    open: u64,
    /// Length of that line as last reported to readers.
    told_open: u64,
    reported: Option<Instant>,
}

impl RunLog {
    /// Appends to the log the text that `take` gets from the stream, masked with the secrets that are known now.
    fn masked(&mut self, take: impl FnOnce(&mut MaskStream, &Masker, &mut Vec<u8>)) {
        let masker = self.outlet.masker.read().unwrap_or_else(PoisonError::into_inner);
        take(&mut self.stream, &masker, &mut self.masked);
        drop(masker);
        self.append();
    }

    fn append(&mut self) {
        if self.masked.is_empty() {
            return;
        }
        self.rows.cover(&self.outlet.masker.read().unwrap_or_else(PoisonError::into_inner), &mut self.masked);
        let (writer, masked) = (&mut self.writer, &self.masked);
        let known = writer.lines();
        let written = self.outlet.write(|| writer.append(masked, now()));
        let first = written.map_or(known, |range| range.first);
        // The writer counts lines even if not all of the text could be written.
        let count = writer.lines() - first;
        let begun = memchr::memrchr(b'\n', masked).map(|newline| masked.len() - newline - 1);
        self.open = begun.map_or(self.open + masked.len() as u64, |begun| begun as u64);
        self.masked.clear();
        self.add(LineRange { first, count });
    }

    fn add(&mut self, range: LineRange) {
        if range.count > 0 {
            let untold = self.untold.get_or_insert(LineRange { first: range.first, count: 0 });
            untold.count += range.count;
        }
    }

    fn tell(&mut self) {
        if let Some(output) = self.untold.take() {
            self.reported = Some(Instant::now());
            self.told_open = 0;
            self.outlet.append(Event::Output { job: self.job.clone(), step: self.step, output });
        }
    }
}

impl StepLog for RunLog {
    fn write(&mut self, bytes: &[u8]) {
        self.masked(|stream, masker, out| stream.push(masker, bytes, out));
        if self.reported.is_none_or(|reported| reported.elapsed() >= REPORT_INTERVAL) {
            self.tell();
        }
    }

    fn flush(&mut self) {
        self.masked(MaskStream::flush);
        self.tell();
        if self.open > 0 && self.open != self.told_open {
            self.told_open = self.open;
            let (job, line) = (self.job.clone(), self.writer.lines());
            self.outlet.append(Event::LineGrew { job, step: self.step, line, bytes: self.open });
        }
    }

    fn finish(&mut self) {
        self.masked(MaskStream::finish);
        let last = self.writer.finish();
        self.add(last);
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Annotation, Level};

    #[test]
    fn a_long_message_is_truncated_between_characters() {
        let annotation = Annotation {
            level: Level::Error,
            message: format!("x{}", "é".repeat(LONGEST_MESSAGE)),
            title: None,
            file: None,
            line: None,
            end_line: None,
            column: None,
            end_column: None,
        };
        let event = Event::Annotated { job: JobId::new("a"), step: StepNumber(1), annotation };
        let Event::Annotated { annotation, .. } = cut(event) else { panic!("another event") };
        assert_eq!(annotation.message, format!("x{}", "é".repeat((LONGEST_MESSAGE - 1) / 2)));
    }
}
