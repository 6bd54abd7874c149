//! The checkpoints of a job on disk: a line of JSON for each step that has ended, so that the job can go on after any of
//! them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use indexmap::IndexMap;

use crate::engine::checkpoint::Checkpoint;
use crate::store::atomic;

/// A file that would grow beyond this keeps its latest line alone: every line repeats the outputs of all steps before it.
const MOST: u64 = 16 * 1024 * 1024;

/// What a job wrote down, the latest last. A line that was not written whole is left out; where nothing can be read there
/// is none.
#[must_use]
pub fn read(path: &Path) -> Vec<Checkpoint> {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// An attempt begins in which the job goes on after so many of its steps: what an earlier one wrote down of later steps is
/// none of its own.
///
/// # Errors
/// The file cannot be written.
pub fn begin(path: &Path, done: usize) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let mut kept = read(path);
    kept.retain(|checkpoint| checkpoint.done <= done);
    replace(path, &kept)
}

/// Adds what a job writes down after a step.
///
/// # Errors
/// The file cannot be written.
pub fn append(path: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
    let line = line(checkpoint);
    if fs::metadata(path).is_ok_and(|file| file.len() + line.len() as u64 > MOST) {
        return replace(path, std::slice::from_ref(checkpoint));
    }
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    OpenOptions::new().create(true).append(true).open(path)?.write_all(&line)
}

/// Takes out what is secret now and was not when it was written down; a job cannot go on from there any more.
///
/// # Errors
/// The file cannot be written.
pub fn scrub(path: &Path, holds_secret: &dyn Fn(&str) -> bool) -> io::Result<()> {
    let written = read(path);
    let scrubbed: Vec<_> = written.iter().map(|checkpoint| checkpoint.sealed(&IndexMap::new(), holds_secret)).collect();
    if scrubbed == written { Ok(()) } else { replace(path, &scrubbed) }
}

fn line(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut line = serde_json::to_vec(checkpoint).expect("a checkpoint always serialises");
    line.push(b'\n');
    line
}

/// All of the old or all of the new, whatever happens meanwhile.
fn replace(path: &Path, checkpoints: &[Checkpoint]) -> io::Result<()> {
    atomic::write_unsynced(path, &checkpoints.iter().flat_map(line).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(done: usize, token: &str) -> Checkpoint {
        Checkpoint { done, env: [("TOKEN".to_owned(), token.to_owned())].into(), ..Checkpoint::default() }
    }

    fn told(path: &Path) -> Vec<usize> {
        read(path).iter().map(|checkpoint| checkpoint.done).collect()
    }

    #[test]
    fn a_job_that_begins_again_has_only_what_it_builds_on() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("state/a.jsonl");
        begin(&path, 0).expect("there is nothing");
        (1..=3).for_each(|done| append(&path, &after(done, "x")).expect("written"));
        begin(&path, 1).expect("written");
        append(&path, &after(2, "y")).expect("written");
        assert_eq!(
            (told(&path), read(&path).pop().map(|last| last.env["TOKEN"].clone())),
            (vec![1, 2], Some("y".to_owned()))
        );
        begin(&path, 0).expect("written");
        assert!(told(&path).is_empty());
    }

    #[test]
    fn a_torn_line_costs_itself_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("a.jsonl");
        append(&path, &after(1, "日本")).expect("written");
        let whole = fs::read(&path).expect("there");
        // Cut in the middle of a character.
        let cut = whole.windows(2).position(|bytes| bytes[0] >= 0xe0).expect("one of three bytes") + 1;
        fs::write(&path, [&whole[..], &whole[..cut]].concat()).expect("written");
        assert_eq!(told(&path), [1]);
        begin(&path, 1).expect("written");
        append(&path, &after(2, "x")).expect("written");
        assert_eq!(told(&path), [1, 2]);
    }

    #[test]
    fn what_became_secret_is_taken_out() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("a.jsonl");
        append(&path, &after(1, "found-out")).expect("written");
        append(&path, &after(2, "harmless")).expect("written");
        scrub(&path, &|text| text.contains("found-out")).expect("written");
        assert!(!fs::read_to_string(&path).expect("text").contains("found-out"));
        let reasons: Vec<_> = read(&path).iter().map(|checkpoint| checkpoint.not_resumable.is_some()).collect();
        assert_eq!(reasons, [true, false]);
    }
}
