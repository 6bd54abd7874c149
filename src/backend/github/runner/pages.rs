//! The log of a job while its runner writes it.
//!
//! The runner writes each line into two files: the page of the step and the page of the job. They are called
//! `<timeline>_<record>_<number>.log`, where the record is the step or the job. A page of 8 MB is followed by the next
//! one. A page that is complete is uploaded and removed within seconds: the pages of a step after its end, those of
//! the job after the job. Secrets are already masked in them.
//!
//! The runner buffers some 5 kB of each page, and writes the rest when the page ends. So the job's page has everything,
//! and the pages of steps have the last lines of each step earlier. Here, lines come from whichever page has them
//! first, and the second copy is skipped.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fs::File;
use std::io::Read;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{Folder, Links};

use super::job_message::MAX_FILES;
use super::{BYTE_ORDER_MARK, RunnerError};

/// Maximum number of bytes that are read at once of the pages of the job, and of those of all steps together.
const MAX_READ: usize = 1 << 20;

/// Maximum length of a line in bytes. Longer lines are returned in parts of this length.
const MAX_LINE: usize = 256 * 1024;

/// Maximum number of bytes of lines that the pages of steps have and the page of the job has not. The runner buffers less.
const MAX_AHEAD: usize = 1 << 20;

/// Number of lines in which the copy of a line is looked for. Lines that a step writes at the same time to its standard
/// output and its standard error may have another order in the page of the job.
const MAX_DISORDER: usize = 16;

/// Maximum number of steps whose pages are read. GitHub allows fewer in a job.
const MAX_STEPS: usize = 2000;

/// Maximum number of steps whose pages are open at once. The pages of a step are removed soon after its end, so more
/// only means many steps in the background; the lines of the others come from the page of the job.
const MAX_OPEN_STEPS: usize = 16;

/// Length of the time at the start of a line, such as `2026-11-28T14:16:56.2705489Z`.
const TIME: usize = 28;

/// A line of a log, or a part of a very long one, as it is in the file: with its time and, at its end, its newline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The record of the step that wrote the line; `None` if the line comes from the page of the job.
    pub step: Option<Arc<str>>,
    /// The text.
    pub text: Vec<u8>,
}

/// The growing log of a job.
#[derive(Debug)]
pub struct JobLog {
    path: PathBuf,
    folder: Folder,
    timeline: String,
    job: Pages,
    job_record: String,
    steps: BTreeMap<Arc<str>, Pages>,
    /// Steps whose pages have ended.
    ended: HashSet<Arc<str>>,
    /// Lines of steps that were returned and are not in the page of the job yet, with their times.
    ahead: VecDeque<Entry>,
    /// Number of bytes in `ahead`.
    ahead_bytes: usize,
    /// Time of the last line of the job's page.
    last: Vec<u8>,
}

/// A line with its time. Times have the same length, so they are compared as texts.
#[derive(Clone, Debug)]
struct Entry {
    time: Vec<u8>,
    line: Vec<u8>,
}

impl Entry {
    /// Returns the line without its time: copies of a line have different times.
    fn text(&self) -> &[u8] {
        self.line.strip_prefix(self.time.as_slice()).unwrap_or(&self.line)
    }
}

impl JobLog {
    /// Opens the log of a job in the folder `_diag` of a runner.
    pub(super) fn open(diagnostics: &Path, timeline: &str, job: &str) -> Result<Self, RunnerError> {
        let path = diagnostics.join("pages");
        let folder = Folder::open(&path).map_err(RunnerError::unreadable(&path))?;
        Ok(Self {
            path,
            folder,
            timeline: timeline.to_owned(),
            job: Pages::default(),
            job_record: job.to_owned(),
            steps: BTreeMap::new(),
            ended: HashSet::new(),
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            last: Vec::new(),
        })
    }

    /// Returns the lines that were written since the last call. Pages stay open, so the rest of a page that the runner
    /// removes is read as well.
    ///
    /// # Errors
    /// The folder or a page cannot be read.
    pub fn read(&mut self) -> Result<Vec<Line>, RunnerError> {
        let mut listed = self.list()?;
        let mut lines = Vec::new();
        // Pages of steps come first, because they show to which step a line belongs.
        if self.ahead_bytes < MAX_AHEAD {
            self.read_steps(&mut listed, &mut lines)?;
        }
        let (name, pages) = (self.name(&self.job_record), listed.remove(&self.job_record).unwrap_or_default());
        for entry in self.job.read(&self.folder, &self.path, &name, &pages, MAX_READ)? {
            self.last.clone_from(&entry.time);
            let copy = self
                .ahead
                .iter()
                .take(MAX_DISORDER)
                .position(|ahead| ahead.time <= entry.time && ahead.text() == entry.text());
            match copy.and_then(|at| self.ahead.remove(at)) {
                Some(copy) => self.ahead_bytes -= copy.line.len(),
                None => lines.push(Line { step: None, text: entry.line }),
            }
        }
        Ok(lines)
    }

    /// Reads the pages of all steps.
    fn read_steps(
        &mut self,
        listed: &mut BTreeMap<String, BTreeSet<u32>>,
        lines: &mut Vec<Line>,
    ) -> Result<(), RunnerError> {
        for record in listed.keys().filter(|record| **record != self.job_record) {
            let has_room = self.steps.len() < MAX_OPEN_STEPS && self.steps.len() + self.ended.len() < MAX_STEPS;
            if has_room && !self.ended.contains(record.as_str()) {
                self.steps.entry(Arc::from(record.as_str())).or_default();
            }
        }
        let mut found = Vec::new();
        let names: Vec<Arc<str>> = self.steps.keys().cloned().collect();
        let room = MAX_READ / names.len().max(1);
        for record in names {
            let name = self.name(&record);
            let listed = listed.remove(&*record).unwrap_or_default();
            let Some(pages) = self.steps.get_mut(&record) else { continue };
            let entries = pages.read(&self.folder, &self.path, &name, &listed, room)?;
            found.extend(entries.into_iter().map(|entry| (entry, Arc::clone(&record))));
            if pages.has_ended(&listed) {
                self.steps.remove(&record);
                self.ended.insert(record);
            }
        }
        // Lines until the last one of the job's page were returned, or are about to be.
        found.retain(|(entry, _)| entry.time > self.last);
        found.sort_by(|(one, _), (other, _)| one.time.cmp(&other.time));
        for (entry, record) in found {
            lines.push(Line { step: Some(record), text: entry.line.clone() });
            self.ahead_bytes += entry.line.len();
            self.ahead.push_back(entry);
        }
        Ok(())
    }

    /// Returns the numbers of the existing pages of each record.
    fn list(&self) -> Result<BTreeMap<String, BTreeSet<u32>>, RunnerError> {
        let entries = std::fs::read_dir(&self.path).map_err(RunnerError::unreadable(&self.path))?;
        let mut pages: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for name in entries.take(MAX_FILES).filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
            let page = name.strip_prefix(&self.timeline).and_then(|rest| rest.strip_prefix('_')?.strip_suffix(".log"));
            if let Some((record, number)) = page.and_then(|page| page.split_once('_'))
                && let Ok(number) = number.parse()
            {
                pages.entry(record.to_owned()).or_default().insert(number);
            }
        }
        Ok(pages)
    }

    /// Returns the names of the pages of a record without their numbers.
    fn name(&self, record: &str) -> String {
        format!("{}_{record}_", self.timeline)
    }
}

/// The pages of one record.
#[derive(Debug, Default)]
struct Pages {
    /// The open page with its number; `None` before the first one.
    open: Option<(u32, File)>,
    /// Number of the last page that was read to its end.
    done: u32,
    /// Whether the next byte is the first one of a page.
    is_start: bool,
    /// Whether the open page was read to its end.
    is_read: bool,
    /// The start of an incomplete line.
    rest: Vec<u8>,
    /// Time of the last line.
    time: Vec<u8>,
}

impl Pages {
    /// Reads the next lines, at most `room` bytes. `listed` are the numbers of the pages that existed before.
    fn read(
        &mut self,
        folder: &Folder,
        path: &Path,
        name: &str,
        listed: &BTreeSet<u32>,
        mut room: usize,
    ) -> Result<Vec<Entry>, RunnerError> {
        while room > 0 {
            let Some((number, file)) = &mut self.open else {
                let Some(next) = after(self.done, listed) else { break };
                let file_name = format!("{name}{next}.log");
                match folder.file(Path::new(&file_name), Links::Refuse) {
                    Ok(file) => (self.open, self.is_start) = (Some((next, file)), true),
                    Err(error) if error.is_missing() => self.done = next,
                    Err(error) => return Err(RunnerError::unreadable(path.join(file_name))(error)),
                }
                continue;
            };
            let before = self.rest.len();
            let unreadable = RunnerError::unreadable(path.join(format!("{name}{number}.log")));
            let count = file.by_ref().take(room as u64).read_to_end(&mut self.rest).map_err(unreadable)?;
            room -= count;
            if count > 0 && std::mem::take(&mut self.is_start) && self.rest[before..].starts_with(BYTE_ORDER_MARK) {
                self.rest.drain(before..before + BYTE_ORDER_MARK.len());
            }
            self.is_read = room > 0;
            // The runner starts a page after it has completed the previous one.
            if self.is_read && after(*number, listed).is_some() {
                (self.done, self.open) = (*number, None);
            } else {
                break;
            }
        }
        Ok(self.lines())
    }

    /// Takes the complete lines from the text.
    fn lines(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut at = 0;
        loop {
            let text = &self.rest[at..];
            let end = memchr::memchr(b'\n', &text[..text.len().min(MAX_LINE)]).map(|newline| newline + 1);
            let Some(end) = end.or_else(|| (text.len() >= MAX_LINE).then_some(MAX_LINE)) else { break };
            let line = text[..end].to_vec();
            // A message with newlines has one time, at its start.
            if let Some(time) = time_of(&line) {
                time.clone_into(&mut self.time);
            }
            entries.push(Entry { time: self.time.clone(), line });
            at += end;
        }
        self.rest.drain(..at);
        entries
    }

    /// Whether the runner has removed the last page, and everything was read of it if it was opened before. `listed` are
    /// the numbers of the existing pages.
    fn has_ended(&self, listed: &BTreeSet<u32>) -> bool {
        listed.is_empty() && (self.open.is_none() || self.is_read)
    }
}

/// Returns the first of the numbers after `number`.
fn after(number: u32, listed: &BTreeSet<u32>) -> Option<u32> {
    listed.range((Bound::Excluded(number), Bound::Unbounded)).next().copied()
}

/// Returns the time at the start of a line.
fn time_of(line: &[u8]) -> Option<&[u8]> {
    let time = line.get(..TIME)?;
    (time[10] == b'T' && time[TIME - 1] == b'Z' && line.get(TIME) == Some(&b' ')).then_some(time)
}
