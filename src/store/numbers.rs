//! Run numbers (`github.run_number`), counted from 1 for each workflow of a repository and never reused.
//!
//! The last number of every workflow is in `numbers.json` of the state folder, so removing runs frees no number. The
//! file is written under a lock, so runs that start at the same time get different numbers. If the file is missing or
//! damaged, every `run.json` is read once to find the highest numbers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::files;

use super::folder::{RunsDir, private};
use super::spec::RunSpec;
use super::{StoreError, json, lock};

/// Maximum size of the file in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Last number of every workflow, by [`key`].
type Numbers = BTreeMap<String, u64>;

/// Assigns the next number of a workflow, and returns it. `repository` is `owner/name`, `workflow` the path of the file
/// in it.
///
/// # Errors
/// The state folder cannot be read or written.
pub fn take(runs: &RunsDir, repository: &str, workflow: &str) -> Result<u64, StoreError> {
    let state = runs.state();
    private().recursive(true).create(state).map_err(StoreError::io("make the folder", state))?;
    let _one_at_a_time = lock::wait(&state.join("numbers.lock"))?;
    let mut numbers = read(runs)?;
    let number = numbers.entry(key(repository, workflow)).or_default();
    *number += 1;
    let number = *number;
    write(runs, &numbers)?;
    Ok(number)
}

/// Returns the number that the next run of a workflow gets if no other one is started before it.
///
/// # Errors
/// The state folder cannot be read.
pub fn next(runs: &RunsDir, repository: &str, workflow: &str) -> Result<u64, StoreError> {
    Ok(read(runs)?.get(&key(repository, workflow)).copied().unwrap_or_default() + 1)
}

/// Returns the key of a workflow. Names of repositories are compared without case, as on GitHub; paths are not.
fn key(repository: &str, workflow: &str) -> String {
    format!("{}: {workflow}", repository.to_lowercase())
}

fn path(runs: &RunsDir) -> PathBuf {
    runs.state().join("numbers.json")
}

fn read(runs: &RunsDir) -> Result<Numbers, StoreError> {
    let known = files::read_own(&path(runs), MAX_BYTES).ok().and_then(|text| serde_json::from_slice(&text).ok());
    known.map_or_else(|| in_folders(runs), Ok)
}

/// Returns the highest number of every workflow in the run folders. A folder without a readable `run.json` is ignored.
fn in_folders(runs: &RunsDir) -> Result<Numbers, StoreError> {
    let mut numbers = Numbers::new();
    for id in runs.list()? {
        let Ok(RunSpec { info, work, .. }) = RunSpec::read(&runs.folder(id)) else { continue };
        let Some(run) = work.workflow() else { continue };
        let highest = numbers.entry(key(&info.repository, &info.workflow)).or_default();
        *highest = run.run_number.max(*highest);
    }
    Ok(numbers)
}

/// Writes the numbers and syncs them to disk before a number is used. A step may publish the number in a tag or a
/// version, so it must not be assigned again after a power failure.
fn write(runs: &RunsDir, numbers: &Numbers) -> Result<(), StoreError> {
    json::write(&path(runs), numbers)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::thread;

    use super::*;
    use crate::model::{RunInfo, Timestamp};
    use crate::store::spec::WorkflowSpec;

    fn state() -> (tempfile::TempDir, RunsDir) {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        (home, runs)
    }

    /// Creates a run, and returns its number.
    fn run(runs: &RunsDir, workflow: &str) -> u64 {
        let run_number = take(runs, "o/r", workflow).expect("a number");
        folder(runs, workflow, run_number);
        run_number
    }

    fn folder(runs: &RunsDir, workflow: &str, run_number: u64) {
        let info = RunInfo { repository: "o/r".to_owned(), workflow: workflow.to_owned(), ..RunInfo::default() };
        let spec = WorkflowSpec { run_number, ..WorkflowSpec::default() };
        RunSpec::of_workflow(info, spec).write(&runs.create(Timestamp(0)).expect("made")).expect("written");
    }

    #[test]
    fn every_workflow_counts_from_one() {
        let (_home, runs) = state();
        assert_eq!([run(&runs, "ci.yml"), run(&runs, "ci.yml"), run(&runs, "deploy.yml")], [1, 2, 1]);
        assert_eq!(take(&runs, "o/other", "ci.yml").expect("a number"), 1);
        assert_eq!(take(&runs, "O/R", "ci.yml").expect("a number"), 3, "a repository's name in another case");
        assert_eq!(next(&runs, "o/r", "ci.yml").expect("a number"), 4);
        assert_eq!(next(&runs, "o/r", "ci.yml").expect("a number"), 4, "asking takes none");
    }

    #[test]
    fn runs_that_start_at_once_get_different_numbers() {
        let (_home, runs) = state();
        let taken = thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| run(&runs, "ci.yml"))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a number")).collect::<BTreeSet<_>>()
        });
        assert_eq!(taken, (1..=16).collect());
    }

    #[test]
    fn removed_runs_free_no_number() {
        let (_home, runs) = state();
        assert_eq!([run(&runs, "ci.yml"), run(&runs, "ci.yml")], [1, 2]);
        fs::remove_dir_all(runs.runs()).expect("removed");
        assert_eq!(run(&runs, "ci.yml"), 3);
    }

    #[test]
    fn without_a_readable_file_the_run_folders_count() {
        for damage in [None, Some(""), Some("{\"o/r: ci"), Some("[]"), Some("{\"o/r: ci.yml\": -3}")] {
            let (_home, runs) = state();
            folder(&runs, "ci.yml", 7);
            folder(&runs, "ci.yml", 4);
            fs::create_dir(runs.runs().join("20260101-000000-abcd")).expect("made");
            if let Some(text) = damage {
                fs::write(path(&runs), text).expect("written");
            }
            assert_eq!([run(&runs, "ci.yml"), run(&runs, "ci.yml")], [8, 9], "{damage:?}");
            assert_eq!(run(&runs, "deploy.yml"), 1, "{damage:?}");
        }
    }
}
