//! The index over all runs: their ids in order, and a line with the summary of each finished run.
//!
//! The index is only a cache. It is split into segments of some hundred runs. A segment is a file named by its first
//! id; it contains every line about the runs from there up to the next segment. So a page is read from one or two
//! files, even among a hundred thousand runs.
//!
//! `index.json` contains the fingerprint of a complete index: modification time and number of entries of the folder of
//! all runs, and the size of the segments in bytes. Any change that bypasses the index (a run copied or removed by
//! hand, a torn file, a crash between two writes, an older version of the program) invalidates the fingerprint, and the
//! next reader rebuilds the index from the folder. Writers hold an exclusive lock, readers a shared one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::files;
use crate::model::{RunId, Summary};
use crate::store::folder::{RunFolder, RunsDir, private};
use crate::store::ids::is_run_id;
use crate::store::{StoreError, atomic, journal, lock};

/// Version of the index's format. An index with any other version is rebuilt.
const VERSION: u32 = 1;

/// Maximum number of runs in a segment before a new one begins; [`SEGMENT_BYTES`] is the limit in bytes.
const SEGMENT_RUNS: usize = 512;
const SEGMENT_BYTES: usize = 256 * 1024;

/// A segment that has grown to this many bytes is rewritten: without lines of earlier attempts, and in several segments
/// if it is still too large.
const REWRITE_BYTES: u64 = 4 * SEGMENT_BYTES as u64;

/// Maximum size in bytes of a file of the index that is read.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Returns the length of a run's journal in bytes; 0 without one.
pub(super) fn journal_length(folder: &RunFolder) -> u64 {
    files::own_size(&folder.journal()).unwrap_or(0)
}

/// A line of a segment: the run's id and, for a finished run, the length of the journal that the summary was made from
/// and the summary as JSON.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) id: RunId,
    pub(super) cached: Option<Cached>,
}

/// Summary of a finished run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cached {
    /// Length of the journal in bytes. The summary is valid only while the journal has this length: a later attempt
    /// makes it longer.
    pub(super) journal: u64,
    /// The summary as JSON.
    pub(super) summary: String,
}

impl Cached {
    pub(super) fn new(journal: u64, run: &Summary) -> Self {
        Self { journal, summary: serde_json::to_string(run).expect("a summary always serialises") }
    }
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let (id, cached) = line.split_once(' ').map_or((line, None), |(id, cached)| (id, Some(cached)));
        let cached = match cached {
            None => None,
            Some(cached) => {
                let (journal, summary) = cached.split_once(' ')?;
                Some(Cached { journal: journal.parse().ok()?, summary: summary.to_owned() })
            }
        };
        is_run_id(id).then(|| Self { id: RunId::new(id), cached })
    }

    fn write(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(self.id.as_str().as_bytes());
        if let Some(Cached { journal, summary }) = &self.cached {
            text.extend_from_slice(format!(" {journal} {summary}").as_bytes());
        }
        text.push(b'\n');
    }
}

/// The summaries in one segment by run: the newest of each run, or `None` if the run has none.
pub(super) type Segment = BTreeMap<RunId, Option<Cached>>;

/// Parses a segment. `None` if a line is damaged or missing, as after a power failure, which can leave truncated or
/// zeroed text.
fn parse(text: &str) -> Option<Segment> {
    let mut segment = Segment::new();
    if !text.ends_with('\n') || text.contains('\0') {
        return None;
    }
    for line in text.lines() {
        let Line { id, cached } = Line::parse(line)?;
        let known = segment.entry(id).or_default();
        *known = cached.or(known.take());
    }
    Some(segment)
}

/// State of the files that a complete index was built from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Fingerprint {
    version: u32,
    /// Modification time of the folder of all runs, in seconds and nanoseconds.
    changed: (i64, i64),
    /// Number of links of that folder. Some file systems count its entries there, which distinguishes two changes at
    /// the same time.
    links: u64,
    /// Size of all segments in bytes.
    bytes: u64,
}

impl Fingerprint {
    fn recorded(runs: &RunsDir) -> Option<Self> {
        let recorded: Self = serde_json::from_slice(&files::read_own(&runs.index_state(), MAX_BYTES).ok()?).ok()?;
        (recorded.version == VERSION).then_some(recorded)
    }

    /// Returns the fingerprint of the folder of all runs with segments of this size in bytes.
    fn of(runs: &RunsDir, bytes: u64) -> io::Result<Self> {
        let folder = fs::metadata(runs.runs())?;
        Ok(Self { version: VERSION, changed: (folder.mtime(), folder.mtime_nsec()), links: folder.nlink(), bytes })
    }

    fn record(self, runs: &RunsDir) -> io::Result<()> {
        atomic::write_unsynced(&runs.index_state(), &serde_json::to_vec(&self).expect("numbers always serialise"))
    }
}

/// The index, open for reading.
pub(super) struct Index {
    runs: RunsDir,
    segments: Segments,
    /// Lock that is shared with other readers. Writers wait until it is released.
    _lock: Option<File>,
}

enum Segments {
    /// Names of the segments' files, in order.
    Files(Vec<String>),
    /// A rebuilt index, which may not be on disk.
    Made(Segment),
}

impl Index {
    /// Opens the index; rebuilds it from the folder of all runs if it is not complete.
    ///
    /// # Errors
    /// The folder of all runs cannot be read.
    pub(super) fn open(runs: &RunsDir) -> Result<Self, StoreError> {
        if let Some(index) = Self::complete(runs) {
            return Ok(index);
        }
        Self::remake(runs, false)
    }

    /// Opens the index on disk if it is complete.
    fn complete(runs: &RunsDir) -> Option<Self> {
        let lock = lock::shared(&lock_path(runs)).ok()?;
        let segments = Segments::Files(complete_segments(runs)?);
        Some(Self { runs: runs.clone(), segments, _lock: Some(lock) })
    }

    /// Rebuilds the index from the folder of all runs. Existing lines are kept. Runs without an up-to-date line that
    /// have not ended are marked as active. `force` rebuilds the index even if it seems to be complete.
    ///
    /// # Errors
    /// The folder of all runs cannot be read. If the index cannot be written, only this reader uses it, which is not an
    /// error.
    pub(super) fn remake(runs: &RunsDir, force: bool) -> Result<Self, StoreError> {
        if !runs.runs().exists() {
            return Ok(Self { runs: runs.clone(), segments: Segments::Made(Segment::new()), _lock: None });
        }
        let writer = Writer::lock(runs).ok();
        if !force
            && writer.is_some()
            && let Some(index) = writer.as_ref().and_then(Writer::complete)
        {
            // Another process rebuilt it meanwhile.
            return Ok(index);
        }
        // Taken before the folder is read: any later change invalidates the fingerprint.
        let before = Fingerprint::of(runs, 0).map_err(StoreError::io("read", runs.runs()))?;
        let ids = runs.list()?;
        let mut known = known(runs);
        let mut made = Segment::new();
        for id in ids {
            let cached = known.remove(&id).flatten();
            let folder = runs.folder(id.clone());
            let is_up_to_date = cached.as_ref().is_some_and(|cached| cached.journal == journal_length(&folder));
            if !is_up_to_date && !journal::has_ended(&folder.journal()) {
                // Lists work without the mark, which only lets the next command find a run whose worker was lost.
                let _ = mark_active(runs, &id);
            }
            made.insert(id, cached);
        }
        if let Some(writer) = &writer
            && let Err(error) = writer.replace_all(&made, before)
        {
            tracing::debug!(%error, "the index over all runs cannot be written");
        }
        Ok(Self { runs: runs.clone(), segments: Segments::Made(made), _lock: None })
    }

    /// Visits runs from the newest to the oldest, with the index entry of each, until `visit` returns `false`. Begins
    /// with the newest run that is older than `before`.
    ///
    /// # Errors
    /// A segment is damaged or cannot be read.
    pub(super) fn visit(
        &self,
        before: Option<&str>,
        mut visit: impl FnMut(&RunId, Option<&Cached>) -> bool,
    ) -> Result<(), StoreError> {
        let is_older = |id: &str| before.is_none_or(|before| id < before);
        let mut newest_first = |segment: &Segment| {
            segment.iter().rev().filter(|(id, _)| is_older(id.as_str())).all(|(id, cached)| visit(id, cached.as_ref()))
        };
        match &self.segments {
            Segments::Made(all) => {
                newest_first(all);
            }
            Segments::Files(names) => {
                // The first segment may contain runs older than its name.
                for (_, name) in names.iter().enumerate().rev().filter(|(at, name)| *at == 0 || is_older(name)) {
                    let text = files::read_own_text(&self.runs.index().join(name), MAX_BYTES).ok();
                    let segment = text.as_deref().and_then(parse).ok_or_else(|| StoreError::Damaged {
                        path: self.runs.index().join(name),
                        reason: "a line cannot be read".to_owned(),
                    })?;
                    if !newest_first(&segment) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns the entries of all segments, complete or not, and of the index of earlier versions.
fn known(runs: &RunsDir) -> Segment {
    let mut known = Segment::new();
    let old = files::read_own(&runs.old_index(), MAX_BYTES).unwrap_or_default();
    for line in old.split(|byte| *byte == b'\n') {
        #[derive(Deserialize)]
        struct Old {
            journal: u64,
            #[serde(flatten)]
            run: Summary,
        }
        if let Ok(Old { journal, run }) = serde_json::from_slice(line) {
            known.insert(run.info.id.clone(), Some(Cached::new(journal, &run)));
        }
    }
    for name in segment_names(runs).unwrap_or_default() {
        let text = files::read_own(&runs.index().join(name), MAX_BYTES).unwrap_or_default();
        for line in String::from_utf8_lossy(&text).lines() {
            if let Some(Line { id, cached: Some(cached) }) = Line::parse(line) {
                known.insert(id, Some(cached));
            }
        }
    }
    known
}

fn lock_path(runs: &RunsDir) -> PathBuf {
    runs.index().join("lock")
}

/// Returns the names of the segments, in order.
fn segment_names(runs: &RunsDir) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(runs.index())? {
        names.extend(entry?.file_name().into_string().ok().filter(|name| is_run_id(name)));
    }
    names.sort_unstable();
    Ok(names)
}

/// Returns the names of the segments if the index is complete.
fn complete_segments(runs: &RunsDir) -> Option<Vec<String>> {
    let recorded = Fingerprint::recorded(runs)?;
    let names = segment_names(runs).ok()?;
    let mut bytes = 0;
    for name in &names {
        bytes += files::own_size(&runs.index().join(name)).ok()?;
    }
    (recorded == Fingerprint::of(runs, bytes).ok()?).then_some(names)
}

/// Converts a size to a signed difference.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Marks a run as not ended.
pub(super) fn mark_active(runs: &RunsDir, id: &RunId) -> io::Result<()> {
    private().recursive(true).create(runs.active())?;
    files::create_own(&runs.active_mark(id)).map(drop)
}

/// The index, locked for writing.
pub(super) struct Writer<'r> {
    runs: &'r RunsDir,
    _lock: File,
}

impl<'r> Writer<'r> {
    /// Waits for the lock.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub(super) fn lock(runs: &'r RunsDir) -> Result<Self, StoreError> {
        private().recursive(true).create(runs.index()).map_err(StoreError::io("make the folder", runs.index()))?;
        Ok(Self { runs, _lock: lock::wait(&lock_path(runs))? })
    }

    fn complete(&self) -> Option<Index> {
        let segments = Segments::Files(complete_segments(self.runs)?);
        Some(Index { runs: self.runs.clone(), segments, _lock: None })
    }

    /// Changes the folder of all runs and updates the index: `change` adds or removes folders there, `note` writes the
    /// lines about the change, and returns by how many bytes the segments have grown. The index stays complete if it
    /// was, and incomplete otherwise.
    ///
    /// # Errors
    /// Errors of `change`. An index that cannot be written is left incomplete.
    pub(super) fn change<T, E>(
        &self,
        change: impl FnOnce() -> Result<T, E>,
        note: impl FnOnce(&Self, &T) -> io::Result<i64>,
    ) -> Result<T, E> {
        let recorded = Fingerprint::recorded(self.runs);
        let complete = match (recorded, Fingerprint::of(self.runs, 0)) {
            (Some(recorded), Ok(now)) => (Fingerprint { bytes: 0, ..recorded } == now).then_some(recorded.bytes),
            // The first run of the state folder.
            (None, Err(_)) => Some(0),
            _ => None,
        };
        let done = change()?;
        let noted = note(self, &done).and_then(|grown| {
            let Some(bytes) = complete else { return Ok(()) };
            Fingerprint::of(self.runs, bytes.saturating_add_signed(grown))?.record(self.runs)
        });
        if let Err(error) = noted {
            tracing::debug!(%error, "the index over all runs cannot be written");
        }
        Ok(done)
    }

    /// Adds each line to its segment. Returns the number of bytes by which the segments have grown.
    ///
    /// # Errors
    /// A segment cannot be written.
    pub(super) fn add(&self, lines: &[Line]) -> io::Result<i64> {
        let mut names = segment_names(self.runs)?;
        let mut grown = 0;
        for line in lines {
            let id = line.id.as_str();
            let at = names.partition_point(|name| name.as_str() <= id);
            let last = at == names.len();
            let name = match names.get(at.saturating_sub(1)) {
                Some(name) if !(last && line.cached.is_none() && self.is_full(name)?) => name.clone(),
                _ => {
                    names.insert(at, id.to_owned());
                    id.to_owned()
                }
            };
            let path = self.runs.index().join(&name);
            let mut file = files::append_own(&path)?;
            let mut text = Vec::new();
            line.write(&mut text);
            file.write_all(&text)?;
            grown += signed(text.len() as u64);
            if file.metadata()?.len() > REWRITE_BYTES {
                grown += self.rewrite(&name, |_| true)?;
                names = segment_names(self.runs)?;
            }
        }
        Ok(grown)
    }

    /// Whether a segment takes no further runs.
    fn is_full(&self, name: &str) -> io::Result<bool> {
        let text = files::read_own(&self.runs.index().join(name), MAX_BYTES)?;
        Ok(text.len() >= SEGMENT_BYTES || memchr::memchr_iter(b'\n', &text).count() >= 2 * SEGMENT_RUNS)
    }

    /// Removes all lines about a run. Returns the number of bytes by which the segments have grown, which is not
    /// positive.
    ///
    /// # Errors
    /// A segment cannot be written.
    pub(super) fn forget(&self, id: &RunId) -> io::Result<i64> {
        let names = segment_names(self.runs)?;
        let at = names.partition_point(|name| name.as_str() <= id.as_str());
        names.get(at.saturating_sub(1)).map_or(Ok(0), |name| self.rewrite(name, |known| known != id))
    }

    fn rewrite(&self, name: &str, keep: impl Fn(&RunId) -> bool) -> io::Result<i64> {
        let path = self.runs.index().join(name);
        let text = files::read_own_text(&path, MAX_BYTES)?;
        let mut segment = parse(&text).ok_or(io::ErrorKind::InvalidData)?;
        segment.retain(|id, _| keep(id));
        let (names, written) = self.write_segments(&segment)?;
        if !names.iter().any(|written| written.as_str() == name) {
            fs::remove_file(&path)?;
        }
        Ok(signed(written) - signed(text.len() as u64))
    }

    /// Writes lines into new segments. Returns the names of the segments and their size in bytes.
    fn write_segments(&self, lines: &Segment) -> io::Result<(Vec<RunId>, u64)> {
        let (mut names, mut written) = (Vec::new(), 0);
        let mut lines = lines.iter().peekable();
        while let Some((first, _)) = lines.peek() {
            let path = self.runs.index().join(first.as_str());
            names.push((*first).clone());
            let mut text = Vec::new();
            for (id, cached) in lines.by_ref().take(SEGMENT_RUNS) {
                Line { id: id.clone(), cached: cached.clone() }.write(&mut text);
                if text.len() >= SEGMENT_BYTES {
                    break;
                }
            }
            atomic::write_unsynced(&path, &text)?;
            written += text.len() as u64;
        }
        Ok((names, written))
    }

    /// Replaces all lines. `before` is the fingerprint of the folder that they were read from.
    fn replace_all(&self, lines: &Segment, before: Fingerprint) -> io::Result<()> {
        // Without this file the index is incomplete, even if one of the next steps fails.
        let _ = fs::remove_file(self.runs.index_state());
        for name in segment_names(self.runs)? {
            fs::remove_file(self.runs.index().join(name))?;
        }
        let (_, bytes) = self.write_segments(lines)?;
        Fingerprint { bytes, ..before }.record(self.runs)?;
        match fs::remove_file(self.runs.old_index()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
