//! Reads past and present runs: single runs, and pages of runs from the newest to the oldest.
//!
//! The cost of a page without a filter does not depend on the number of runs: ids sort by age, and an [index] has the
//! summaries of finished runs. The index is a cache: a summary is valid only while the run's journal has the length
//! that it had when the summary was made; any other run is read from its journal. So a page is correct whatever
//! happened to the index.
//!
//! Each run that has not ended has a marker file in the state folder, so that runs with a lost worker are found without
//! reading all runs.

mod expected;
mod filter;
mod find;
mod index;

use std::collections::HashSet;
use std::convert::Infallible;
use std::fs::{self, File};
use std::io;

use crate::files;
use crate::model::{Conclusion, EndReason, Event, Phase, Record, Run, RunId, RunInfo, Summary, Timestamp};

use super::folder::{RunFolder, RunsDir, private};
use super::ids::{id_number, id_time, id_timestamp, is_run_id, new_id};
use super::journal::{self, JournalReader};
use super::runs::{RunStore, chronological};
use super::spec::{RunSpec, WorkSpec};
use super::{StoreError, atomic, lock};

pub use expected::expected;
pub use filter::{Filter, StatusFilter, parse_since, since};
pub use find::held;

use index::{Cached, Index, Line, Writer, journal_length};

/// Returns the [`RunInfo`] in the `run.json` of a run.
///
/// # Errors
/// The `run.json` of the run cannot be read.
pub fn info(folder: &RunFolder) -> Result<RunInfo, StoreError> {
    Ok(RunSpec::read(folder)?.info)
}

/// Whether a run is on a server, and its folder a mirror; false if its `run.json` cannot be read.
#[must_use]
pub fn is_mirror(folder: &RunFolder) -> bool {
    info(folder).is_ok_and(|info| info.remote.is_some())
}

/// Returns a run as its journal describes it now.
///
/// # Errors
/// The folder of the run cannot be read.
pub fn read(folder: &RunFolder) -> Result<Run, StoreError> {
    let RunSpec { info, work, .. } = RunSpec::read(folder)?;
    let run = replay(folder, info)?.run(folder.id()).expect("it was replayed").clone();
    Ok(with_first_files(run, &work))
}

/// Adds the names of the changed files of the first attempt, which are in the request only.
fn with_first_files(mut run: Run, work: &WorkSpec) -> Run {
    if let (Some(workflow), Some(first)) = (work.workflow(), run.trees.get_mut(&1))
        && first.files.is_empty()
    {
        first.files.clone_from(&workflow.dirty);
    }
    run
}

/// Returns a run as its journal describes it at the end of an attempt, or now if the attempt is in progress. `None` if
/// the attempt has not started.
///
/// # Errors
/// The folder of the run cannot be read.
pub fn read_attempt(folder: &RunFolder, attempt: u32) -> Result<Option<Run>, StoreError> {
    let RunSpec { info, work, .. } = RunSpec::read(folder)?;
    let records = records(folder, &info)?;
    let mut store = RunStore::default();
    store.open(info);
    let is_later = |event: &Event| match event {
        Event::RunStarted { attempt: number, .. }
        | Event::RunWaiting { attempt: number, .. }
        | Event::WorkingTreeRead { attempt: number, .. } => *number > attempt,
        _ => false,
    };
    for record in records.iter().take_while(|record| !is_later(&record.event)) {
        store.apply(folder.id(), record);
    }
    // Before its first attempt, the number of a run's attempt is 0.
    let run = store.run(folder.id()).filter(|run| attempt > 0 && run.attempt == attempt).cloned();
    Ok(run.map(|run| with_first_files(run, &work)))
}

/// Returns all records of a run in the order of their times, to replay it.
///
/// # Errors
/// The journal cannot be read.
pub fn records(folder: &RunFolder, info: &RunInfo) -> Result<Vec<Record>, StoreError> {
    let records = journal::read(&folder.journal())?;
    Ok(if info.remote.is_some() { chronological(records) } else { records })
}

/// Returns a store that contains one run in its current state. Later records can be applied to it.
///
/// # Errors
/// The folder of the run cannot be read.
pub fn replay(folder: &RunFolder, info: RunInfo) -> Result<RunStore, StoreError> {
    let mut store = RunStore::default();
    store.open(info);
    let mut journal = JournalReader::new(folder.journal());
    loop {
        let records = journal.poll()?;
        if records.is_empty() {
            return Ok(store);
        }
        for record in &records {
            store.apply(folder.id(), record);
        }
    }
}

/// Maximum size in bytes of a diff that is read. A run keeps 1 MiB, but masking secrets may lengthen it.
const MAX_DIFF: u64 = 16 * 1024 * 1024;

/// Returns the uncommitted changes that an attempt used, as a diff. `None` if it used exactly its commit.
///
/// # Errors
/// The file cannot be read.
pub fn diff(folder: &RunFolder, attempt: u32) -> Result<Option<String>, StoreError> {
    let path = folder.diff(attempt);
    match files::read_own(&path, MAX_DIFF) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// A page of runs, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The runs.
    pub runs: Vec<Summary>,
    /// Whether there are older runs that match the filter.
    pub more: bool,
}

/// Returns the newest runs that match a filter, at most `limit`; with `before`, those older than that run. Folders
/// without a run are ignored. An incomplete index is rebuilt, and summaries that had to be read from journals are added
/// to it.
///
/// # Errors
/// The state folder cannot be read.
pub fn page(runs: &RunsDir, filter: &Filter, before: Option<&RunId>, limit: usize) -> Result<Page, StoreError> {
    let pager = Pager { runs, filter, before, limit };
    match pager.read(Index::open(runs)?) {
        Err(StoreError::Damaged { .. }) => pager.read(Index::remake(runs, true)?),
        read => read,
    }
}

/// Parameters of a page.
struct Pager<'p> {
    runs: &'p RunsDir,
    filter: &'p Filter,
    before: Option<&'p RunId>,
    limit: usize,
}

/// Runs that the page read from their journals: those to add to the index, and those to mark as not ended.
#[derive(Default)]
struct Learned {
    ended: Vec<Line>,
    active: Vec<RunId>,
}

impl Pager<'_> {
    fn read(&self, index: Index) -> Result<Page, StoreError> {
        let (mut page, mut learned) = (Page::default(), Learned::default());
        let needles = self.filter.needles();
        // A new attempt may be of another branch than the line of its run.
        let active = if self.filter.branch.is_some() { marked(self.runs).unwrap_or_default() } else { HashSet::new() };
        let oldest = self.filter.since.map(id_time);
        index.visit(self.before.map(RunId::as_str), |id, cached| {
            if oldest.as_ref().is_some_and(|oldest| id.as_str() < oldest.as_str()) {
                return false;
            }
            // The needles come from fields that do not change otherwise, so even an outdated line shows that a run does
            // not match.
            let lacks = |cached: &Cached| !needles.iter().all(|needle| cached.summary.contains(needle));
            if cached.is_some_and(lacks) && !active.contains(id.as_str()) {
                return true;
            }
            let Some(run) = self.summary(id, cached, &mut learned).filter(|run| self.filter.matches(run)) else {
                return true;
            };
            page.more = page.runs.len() == self.limit;
            if !page.more {
                page.runs.push(run);
            }
            !page.more
        })?;
        // Writers of the index wait for its readers, and the next call may write.
        drop(index);
        learned.remember(self.runs);
        Ok(page)
    }

    /// Returns a run's summary: from the index if its line is up to date, else from the journal. `None` if the folder
    /// contains no run.
    fn summary(&self, id: &RunId, cached: Option<&Cached>, learned: &mut Learned) -> Option<Summary> {
        let folder = self.runs.folder(id.clone());
        // The length is determined before the journal is read: if the journal grows meanwhile, the line is outdated at
        // once.
        let journal = journal_length(&folder);
        if let Some(cached) = cached.filter(|cached| cached.journal == journal)
            && let Ok(run) = serde_json::from_str(&cached.summary)
        {
            return Some(run);
        }
        let run = match read(&folder) {
            Ok(run) => Summary::from(&run),
            Err(error) => return unreadable(&folder, &error),
        };
        // A marked run is added to the index by the process that removes the mark.
        if !is_marked(&folder) {
            if run.phase.is_done() {
                learned.ended.push(Line { id: id.clone(), cached: Some(Cached::new(journal, &run)) });
            } else {
                learned.active.push(id.clone());
            }
        }
        Some(run)
    }
}

/// Returns a summary of a run that a newer version wrote, or whose files are damaged. `None` for a folder with neither
/// `run.json` nor a journal, which contains no run: it is being created or removed.
fn unreadable(folder: &RunFolder, error: &StoreError) -> Option<Summary> {
    let is_run =
        matches!(error, StoreError::Newer { .. } | StoreError::UnknownKind { .. } | StoreError::Damaged { .. })
            || folder.journal().exists();
    is_run.then(|| Summary {
        info: RunInfo { id: folder.id().clone(), created: id_timestamp(folder.id()), ..RunInfo::default() },
        name: "unreadable".to_owned(),
        attempt: 0,
        phase: Phase::Done(Conclusion::Neutral),
        reason: Some(EndReason::Unreadable(error.to_string())),
        started: None,
        finished: None,
        deployments: Vec::new(),
        reviews: Vec::new(),
    })
}

impl Learned {
    /// Writes the summaries to the index, so that the next page need not read the journals.
    fn remember(&self, runs: &RunsDir) {
        for id in &self.active {
            let _ = index::mark_active(runs, id);
        }
        if !self.ended.is_empty() {
            let _ = note(runs, &self.ended);
        }
    }
}

/// Adds lines to the index.
fn note(runs: &RunsDir, lines: &[Line]) -> Result<(), StoreError> {
    let Ok(()) = Writer::lock(runs)?.change(|| Ok::<_, Infallible>(()), |writer, ()| writer.add(lines));
    Ok(())
}

/// Returns the runs that are marked as not ended, oldest first: runs in progress, and runs that lost their worker.
/// Rebuilds an incomplete index first, and removes the marks of runs that no longer exist.
///
/// # Errors
/// The state folder cannot be read.
pub fn unfinished(runs: &RunsDir) -> Result<Vec<RunId>, StoreError> {
    // An incomplete index is rebuilt, which marks unfinished runs.
    drop(Index::open(runs)?);
    let mut ids: Vec<_> = marked(runs)?.into_iter().filter(|name| is_run_id(name)).map(RunId::new).collect();
    // A mark is created after the folder of its run, so a mark without a folder is stale.
    ids.retain(|id| {
        let exists = runs.folder(id.clone()).path().exists();
        if !exists {
            unmark(runs, id);
        }
        exists
    });
    ids.sort_unstable();
    Ok(ids)
}

/// Returns the names of the marks of runs that are marked as not ended.
fn marked(runs: &RunsDir) -> Result<HashSet<String>, StoreError> {
    let entries = match fs::read_dir(runs.active()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(StoreError::io("read the folder", runs.active())(error)),
    };
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Marks a run as not ended, before the first record of an attempt. The caller holds the run's lock.
///
/// # Errors
/// The state folder cannot be written.
pub fn begin(folder: &RunFolder) -> Result<(), StoreError> {
    let runs = folder.runs();
    index::mark_active(&runs, folder.id()).map_err(StoreError::io("write", runs.active_mark(folder.id())))
}

/// Whether a run is marked as not ended.
#[must_use]
pub fn is_marked(folder: &RunFolder) -> bool {
    folder.runs().active_mark(folder.id()).exists()
}

/// Adds an ended attempt to the index, after its last record, and removes the run's mark. The caller holds the run's
/// lock.
///
/// # Errors
/// The state folder cannot be written.
pub fn finish(folder: &RunFolder, run: &Run) -> Result<(), StoreError> {
    let runs = folder.runs();
    let cached = Cached::new(journal_length(folder), &Summary::from(run));
    note(&runs, &[Line { id: folder.id().clone(), cached: Some(cached) }])?;
    unmark(&runs, folder.id());
    Ok(())
}

/// Removes a run's mark. If that fails, the next command reads the run once more.
fn unmark(runs: &RunsDir, id: &RunId) {
    let _ = fs::remove_file(runs.active_mark(id));
}

/// Removes a run: its folder, its lines in the index, and its mark. The caller holds the run's lock, so that no worker
/// starts in the folder meanwhile.
///
/// # Errors
/// The folder cannot be removed completely.
pub fn remove(folder: &RunFolder) -> Result<(), StoreError> {
    let failed = || StoreError::io("remove", folder.path());
    let runs = folder.runs();
    // These files are removed first, so that the remains of an interrupted removal do not count as a run.
    files::unless_missing(fs::remove_file(folder.spec_path())).map_err(failed())?;
    let _ = fs::remove_file(folder.journal());
    // Removing the files may take a while, so the index is not locked during it.
    for entry in fs::read_dir(folder.path()).map_err(failed())?.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if is_folder { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        removed.map_err(failed())?;
    }
    let removed = || fs::remove_dir_all(folder.path()).map_err(failed());
    match Writer::lock(&runs) {
        Ok(writer) => writer.change(removed, |writer, ()| writer.forget(folder.id()))?,
        Err(_) => removed()?,
    }
    unmark(&runs, folder.id());
    Ok(())
}

/// Rebuilds the index from the folder of all runs, whatever its state. Returns the number of run folders.
///
/// # Errors
/// The state folder cannot be read.
pub fn rebuild(runs: &RunsDir) -> Result<usize, StoreError> {
    let mut count = 0;
    Index::remake(runs, true)?.visit(None, |_, _| {
        count += 1;
        true
    })?;
    Ok(count)
}

impl RunsDir {
    /// Creates the folder of a new run and adds the run to the index. The run has no worker.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn create(&self, now: Timestamp) -> Result<RunFolder, StoreError> {
        Ok(self.create_locked(now)?.0)
    }

    /// Creates the folder of a new run and takes its lock for its worker, before other processes can see the run and
    /// close it as one whose worker died.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn create_locked(&self, now: Timestamp) -> Result<(RunFolder, File), StoreError> {
        let state = self.state();
        private().recursive(true).create(state).map_err(StoreError::io("make the folder", state))?;
        let _one_at_a_time = lock::wait(&self.ids_lock())?;
        let mut last = self.last_given_id()?;
        let mut make = || {
            let runs = self.runs();
            private().recursive(true).create(&runs).map_err(StoreError::io("make the folder", &runs))?;
            loop {
                let folder = self.folder(new_id(now, last.as_ref()));
                last = Some(folder.id().clone());
                match private().create(folder.path()) {
                    Ok(()) => {
                        // If this fails, the next id is derived from the newest folder.
                        let _ = atomic::write_unsynced(&self.last_id(), folder.id().as_str().as_bytes());
                        return Ok(folder);
                    }
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(StoreError::io("make the run's folder", folder.path())(error)),
                }
            }
        };
        let mut make = || {
            let folder = make()?;
            let path = folder.lock();
            let held = lock::take(&path)?
                .ok_or_else(|| StoreError::Damaged { path, reason: "another process locked it".to_owned() })?;
            Ok((folder, held))
        };
        let Ok(writer) = Writer::lock(self) else { return make() };
        writer.change(make, |writer, (folder, _)| {
            index::mark_active(self, folder.id())?;
            writer.add(&[Line { id: folder.id().clone(), cached: None }])
        })
    }

    /// Creates or opens the folder of the mirror with this id, and takes its lock. `None` if another process mirrors
    /// the run.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn mirror(&self, id: &RunId) -> Result<Option<(RunFolder, File)>, StoreError> {
        let folder = self.folder(id.clone());
        if !folder.path().is_dir() {
            let runs = self.runs();
            private().recursive(true).create(&runs).map_err(StoreError::io("make the folder", &runs))?;
            let make = || match private().create(folder.path()) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    Err(StoreError::io("make the run's folder", folder.path())(error))
                }
                _ => Ok(()),
            };
            Writer::lock(self)?.change(make, |writer, ()| {
                index::mark_active(self, id)?;
                writer.add(&[Line { id: id.clone(), cached: None }])
            })?;
        }
        Ok(lock::take(&folder.lock())?.map(|held| (folder, held)))
    }

    /// Returns the newest id that was ever assigned, even to a removed run; if unknown, the newest id of the existing
    /// runs of this machine.
    fn last_given_id(&self) -> Result<Option<RunId>, StoreError> {
        let noted = files::read_own_text(&self.last_id(), 64).ok().filter(|id| is_run_id(id)).map(RunId::new);
        match noted {
            Some(noted) => Ok(Some(noted)),
            None => Ok(self.list()?.into_iter().find(|id| id_number(id).is_some())),
        }
    }
}

#[cfg(test)]
mod tests;
