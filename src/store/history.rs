//! Past runs at a glance: one line per finished attempt in `index.jsonl`, so that a list of thousands is one read.
//!
//! The index is a cache and never the truth. A line counts only while the run's journal is as long as it was when the line
//! was written; any other run is read from its journal, and gets a line when it has ended. So a list is right, and mends the
//! index, when that is missing, torn, written by several processes, or behind: a later attempt makes a journal longer.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{Run, RunId, RunInfo, Summary};

use super::folder::{RunFolder, RunsDir};
use super::journal::JournalReader;
use super::runs::RunStore;
use super::spec::RunSpec;
use super::{StoreError, atomic};

/// Returns what is known of a run before its first record.
///
/// # Errors
/// Its `run.json` cannot be read.
pub fn info(folder: &RunFolder) -> Result<RunInfo, StoreError> {
    let spec = RunSpec::read(folder)?;
    Ok(RunInfo {
        id: folder.id().clone(),
        repository: spec.slug.clone(),
        ref_name: spec.ref_name().to_owned(),
        workflow: spec.workflow,
        event: spec.event,
        sha: spec.sha,
        created: spec.created,
    })
}

/// A run as its journal tells it now.
///
/// # Errors
/// Its folder cannot be read.
pub fn read(folder: &RunFolder) -> Result<Run, StoreError> {
    Ok(replay(folder, info(folder)?)?.run(folder.id()).expect("it was replayed").clone())
}

/// A store with one run, as its header and journal tell it now, to go on from.
///
/// # Errors
/// Its folder cannot be read.
pub fn replay(folder: &RunFolder, info: RunInfo) -> Result<RunStore, StoreError> {
    let mut store = RunStore::default();
    store.open(info);
    for record in JournalReader::new(folder.journal()).poll()? {
        store.apply(folder.id(), &record);
    }
    Ok(store)
}

/// A line of the index.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// Length of the journal that the summary was made from.
    journal: u64,
    #[serde(flatten)]
    run: Summary,
}

/// All runs, newest first. Folders that hold no run are passed over.
///
/// # Errors
/// The state folder cannot be read.
pub fn list(runs: &RunsDir) -> Result<Vec<Summary>, StoreError> {
    let ids = runs.list()?;
    let mut index = Index::read(runs);
    let mut unknown = Vec::new();
    let mut summaries = Vec::with_capacity(ids.len());
    for id in &ids {
        let folder = runs.folder(id.clone());
        // Before the journal is read: what comes meanwhile makes the line a wrong one, not a lie.
        let journal = journal_length(&folder);
        if let Some(entry) = index.entries.remove(id).filter(|entry| entry.journal == journal) {
            summaries.push(entry.run);
        } else if let Ok(run) = read(&folder) {
            let run = Summary::from(&run);
            if run.phase.is_done() {
                unknown.push(Entry { journal, run: run.clone() });
            }
            summaries.push(run);
        }
    }
    // The list is right without it: on a disk that cannot be written it is made anew every time.
    let _ = append(runs, &unknown);
    if index.lines > 2 * ids.len() + SPARE_LINES {
        let _ = compact(runs, &ids);
    }
    Ok(summaries)
}

/// Puts a finished attempt into the index, once its last record is written.
///
/// # Errors
/// The state folder cannot be written.
pub fn add(runs: &RunsDir, run: &Run) -> Result<(), StoreError> {
    let journal = journal_length(&runs.folder(run.info.id.clone()));
    append(runs, &[Entry { journal, run: Summary::from(run) }])
}

/// Forgets the index; the next list makes a new one from the journals.
///
/// # Errors
/// It exists and cannot be removed.
pub fn forget(runs: &RunsDir) -> Result<(), StoreError> {
    let path = path(runs);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The index may have this many lines more than two for each run before it is written anew: lines of removed runs and of
/// earlier attempts cost a microsecond each.
const SPARE_LINES: usize = 1000;

fn path(runs: &RunsDir) -> PathBuf {
    runs.state().join("index.jsonl")
}

fn journal_length(folder: &RunFolder) -> u64 {
    fs::metadata(folder.journal()).map_or(0, |journal| journal.len())
}

/// The index as it is on disk.
struct Index {
    /// The last line about each run; a torn line, or one of another version, is none.
    entries: HashMap<RunId, Entry>,
    lines: usize,
}

impl Index {
    fn read(runs: &RunsDir) -> Self {
        let text = fs::read(path(runs)).unwrap_or_default();
        let mut index = Self { entries: HashMap::new(), lines: 0 };
        for line in text.split(|byte| *byte == b'\n') {
            index.lines += 1;
            if let Ok(entry) = serde_json::from_slice::<Entry>(line) {
                index.entries.insert(entry.run.info.id.clone(), entry);
            }
        }
        index
    }
}

/// One write call in append mode: lines of several writers do not mix.
fn append(runs: &RunsDir, entries: &[Entry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let path = path(runs);
    let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(StoreError::io("open", &path))?;
    file.write_all(&lines(entries)).map_err(StoreError::io("write", path))
}

/// Writes the index anew, with one line per run. A line that somebody adds meanwhile is lost; the next list adds it again.
fn compact(runs: &RunsDir, ids: &[RunId]) -> io::Result<()> {
    let index = Index::read(runs);
    let path = path(runs);
    atomic::write_unsynced(&path, &lines(ids.iter().rev().filter_map(|id| index.entries.get(id))))
}

fn lines<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Vec<u8> {
    let mut text = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut text, entry).expect("a summary always serialises");
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conclusion, Event, Phase, Timestamp};
    use crate::store::journal::JournalWriter;

    fn run(runs: &RunsDir, at: u64, ended: bool) -> RunFolder {
        let folder = runs.create(Timestamp(at)).expect("made");
        let spec = RunSpec { workflow: "ci.yml".to_owned(), created: Timestamp(at), ..RunSpec::default() };
        spec.write(&folder).expect("written");
        let mut journal = JournalWriter::open(folder.journal()).expect("made");
        journal.append(Timestamp(at), Event::RunStarted { attempt: 1, name: "CI".to_owned() }).expect("written");
        if ended {
            let end = Event::RunFinished { conclusion: Conclusion::Success, reason: None };
            journal.append(Timestamp(at + 5), end).expect("written");
            add(runs, &read(&folder).expect("read")).expect("added");
        }
        folder
    }

    #[test]
    fn the_list_is_the_same_with_and_without_the_index() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        let first = run(&runs, 1_700_000_000_000, true);
        let second = run(&runs, 1_700_000_100_000, false);
        fs::create_dir(runs.runs().join("no-run")).expect("made");
        let listed = list(&runs).expect("listed");
        assert_eq!(
            listed.iter().map(|run| run.info.id.clone()).collect::<Vec<_>>(),
            [second.id().clone(), first.id().clone()]
        );
        assert_eq!(listed[1].phase, Phase::Done(Conclusion::Success));
        assert_eq!(listed[0].phase, Phase::Running);
        forget(&runs).expect("removed");
        assert_eq!(list(&runs).expect("listed"), listed);
    }

    fn index_text(runs: &RunsDir) -> String {
        fs::read_to_string(path(runs)).unwrap_or_default()
    }

    #[test]
    fn a_finished_run_is_read_once_and_known_from_then_on() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        let folder = run(&runs, 1_700_000_000_000, true);
        run(&runs, 1_700_000_100_000, false);
        forget(&runs).expect("removed");
        let listed = list(&runs).expect("listed");
        assert_eq!(index_text(&runs).lines().count(), 1, "only what has ended is kept");
        let length = journal_length(&folder);
        fs::write(folder.journal(), vec![b'x'; length as usize]).expect("written");
        assert_eq!(list(&runs).expect("listed"), listed, "the journal was not read");
        assert_eq!(index_text(&runs).lines().count(), 1);
    }

    #[test]
    fn a_later_attempt_is_seen_though_the_first_is_in_the_index_and_its_worker_is_gone() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        let folder = run(&runs, 1_700_000_000_000, true);
        let mut journal = JournalWriter::open(folder.journal()).expect("opened");
        journal.append(Timestamp(9), Event::RunStarted { attempt: 2, name: "CI".to_owned() }).expect("written");
        let listed = list(&runs).expect("listed");
        assert_eq!((listed[0].attempt, &listed[0].phase), (2, &Phase::Running));
        let end = Event::RunFinished { conclusion: Conclusion::Failure, reason: None };
        journal.append(Timestamp(10), end).expect("written");
        let listed = list(&runs).expect("listed");
        assert_eq!((listed[0].attempt, &listed[0].phase), (2, &Phase::Done(Conclusion::Failure)));
        assert_eq!(list(&runs).expect("listed"), listed);
    }

    #[test]
    fn an_index_cut_at_any_byte_or_mixed_up_is_mended() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        for second in 1..=3 {
            run(&runs, second * 1000, true);
        }
        let whole = index_text(&runs);
        let listed = list(&runs).expect("listed");
        for cut in 0..whole.len() {
            for text in [whole[..cut].to_owned(), format!("{}{whole}", &whole[..cut])] {
                fs::write(path(&runs), text).expect("written");
                assert_eq!(list(&runs).expect("listed"), listed, "cut at {cut}");
                assert_eq!(list(&runs).expect("listed"), listed, "cut at {cut}");
                assert_eq!(Index::read(&runs).entries.len(), 3, "cut at {cut}");
            }
        }
    }

    #[test]
    fn an_index_full_of_old_lines_is_written_anew() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        run(&runs, 1000, true);
        fs::write(path(&runs), index_text(&runs).repeat(1200)).expect("written");
        let listed = list(&runs).expect("listed");
        assert_eq!(index_text(&runs).lines().count(), 1);
        assert_eq!(list(&runs).expect("listed"), listed);
    }
}
