//! Past runs at a glance: one line per finished attempt in `index.jsonl`, so that a list of thousands is one read.
//!
//! The index is a cache. Runs that it does not know (unfinished ones, or all of them after it was removed) are read
//! from their journals, and what has ended is put into it.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{Phase, Run, RunId, Timestamp};

use super::StoreError;
use super::folder::{RunFolder, RunsDir};
use super::journal::JournalReader;
use super::runs::{RunHeader, RunStore};
use super::spec::RunSpec;

/// A run in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Its id.
    pub id: RunId,
    /// Its name.
    pub name: String,
    /// The workflow's file.
    pub workflow: String,
    /// The event.
    pub event: String,
    /// The branch or tag, short.
    pub ref_name: String,
    /// The commit.
    pub sha: String,
    /// Which attempt this tells of.
    pub attempt: u32,
    /// How far it is.
    pub phase: Phase,
    /// Why it ended so, when no job tells it.
    #[serde(default)]
    pub reason: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// When the attempt began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
}

impl From<&Run> for Summary {
    fn from(run: &Run) -> Self {
        Self {
            id: run.id.clone(),
            name: run.name.clone(),
            workflow: run.workflow.clone(),
            event: run.event.clone(),
            ref_name: run.ref_name.clone(),
            sha: run.sha.clone(),
            attempt: run.attempt,
            phase: run.phase.clone(),
            reason: run.reason.clone(),
            created: run.created,
            started: run.started,
            finished: run.finished,
        }
    }
}

/// What is known of a run before its first record.
///
/// # Errors
/// Its `run.json` cannot be read.
pub fn header(folder: &RunFolder) -> Result<RunHeader, StoreError> {
    let spec = RunSpec::read(folder)?;
    Ok(RunHeader {
        id: folder.id().clone(),
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
    let mut store = RunStore::default();
    store.open(header(folder)?);
    for record in JournalReader::new(folder.journal()).poll()? {
        store.apply(folder.id(), &record);
    }
    Ok(store.run(folder.id()).expect("opened above").clone())
}

/// All runs, newest first. Folders that hold no run are passed over.
///
/// # Errors
/// The state folder cannot be read.
pub fn list(runs: &RunsDir) -> Result<Vec<Summary>, StoreError> {
    let mut known = index(runs);
    let mut summaries = Vec::new();
    for id in runs.list()? {
        let folder = runs.folder(id.clone());
        let summary = match known.remove(&id) {
            // A later attempt may be under way: the lock says so without the journal being read.
            Some(summary) if !super::lock::is_held(&folder.lock()) => Some(summary),
            _ => read(&folder).ok().map(|run| Summary::from(&run)),
        };
        summaries.extend(summary);
    }
    Ok(summaries)
}

/// Puts a finished attempt into the index.
///
/// # Errors
/// The state folder cannot be written.
pub fn add(runs: &RunsDir, run: &Run) -> Result<(), StoreError> {
    let path = path(runs);
    let mut line = serde_json::to_vec(&Summary::from(run)).expect("a summary always serialises");
    line.push(b'\n');
    // One write call in append mode: lines of several writers do not mix.
    let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(StoreError::io("open", &path))?;
    file.write_all(&line).map_err(StoreError::io("write", path))
}

/// Forgets the index; the next list makes do with the journals.
///
/// # Errors
/// It exists and cannot be removed.
pub fn forget(runs: &RunsDir) -> Result<(), StoreError> {
    let path = path(runs);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn path(runs: &RunsDir) -> PathBuf {
    runs.state().join("index.jsonl")
}

/// The last line about each run counts; a torn line is none.
fn index(runs: &RunsDir) -> HashMap<RunId, Summary> {
    let text = fs::read(path(runs)).unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Summary>(line).ok());
    lines.map(|summary| (summary.id.clone(), summary)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conclusion, Event};
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
            listed.iter().map(|run| run.id.clone()).collect::<Vec<_>>(),
            [second.id().clone(), first.id().clone()]
        );
        assert_eq!(listed[1].phase, Phase::Done(Conclusion::Success));
        assert_eq!(listed[0].phase, Phase::Running);
        forget(&runs).expect("removed");
        assert_eq!(list(&runs).expect("listed"), listed);
    }
}
