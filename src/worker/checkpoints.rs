//! Checkpoints of a job on disk: a line of JSON for each step that has ended, so that the job can resume after any of
//! them.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::engine::checkpoint::Checkpoint;
use crate::files;
use crate::store::atomic;

/// Maximum size in bytes of a checkpoint file. Beyond it, only the latest line is kept: each line repeats the outputs
/// of all earlier steps.
const MOST: u64 = 16 * 1024 * 1024;

/// Returns the checkpoints of a job, the latest last. Incomplete lines are skipped; an unreadable file counts as empty.
#[must_use]
pub fn read(path: &Path) -> Vec<Checkpoint> {
    let bytes = files::read_own(path, 2 * MOST).unwrap_or_default();
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// Keeps only the checkpoints of the first `done` steps, for an attempt in which the job resumes after them: later ones
/// belong to an earlier attempt.
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

/// Appends a checkpoint. If the file would become larger than [`MOST`], the checkpoint replaces all earlier ones. If
/// the checkpoint alone is larger, writes one from which the job cannot resume instead.
///
/// # Errors
/// The file cannot be written.
pub fn append(path: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
    let line = line(checkpoint);
    if line.len() as u64 > MOST {
        let reason = format!("the state that its steps left is larger than {} MiB", MOST >> 20);
        let small = Checkpoint { done: checkpoint.done, not_resumable: Some(reason), ..Checkpoint::default() };
        return replace(path, &[small]);
    }
    if files::own_size(path).is_ok_and(|size| size + line.len() as u64 > MOST) {
        return replace(path, std::slice::from_ref(checkpoint));
    }
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    files::append_own(path)?.write_all(&line)
}

/// Replaces each checkpoint whose text has become secret since it was written with one from which the job cannot
/// resume.
///
/// # Errors
/// The file cannot be written.
pub fn scrub(path: &Path, holds_secret: &dyn Fn(&str) -> bool) -> io::Result<()> {
    let written = read(path);
    let scrubbed: Vec<_> = written.iter().map(|checkpoint| checkpoint.scrubbed(holds_secret)).collect();
    if scrubbed == written { Ok(()) } else { replace(path, &scrubbed) }
}

fn line(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut line = serde_json::to_vec(checkpoint).expect("a checkpoint always serialises");
    line.push(b'\n');
    line
}

/// Replaces the file atomically.
fn replace(path: &Path, checkpoints: &[Checkpoint]) -> io::Result<()> {
    atomic::write_unsynced(path, &checkpoints.iter().flat_map(line).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(done: usize, token: &str) -> Checkpoint {
        Checkpoint { done, env: [("TOKEN".to_owned(), token.to_owned())].into(), ..Checkpoint::default() }
    }

    fn done(path: &Path) -> Vec<usize> {
        read(path).iter().map(|checkpoint| checkpoint.done).collect()
    }

    #[test]
    fn a_resumed_job_keeps_only_earlier_checkpoints() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("state/a.jsonl");
        begin(&path, 0).expect("there is nothing");
        (1..=3).for_each(|done| append(&path, &after(done, "x")).expect("written"));
        begin(&path, 1).expect("written");
        append(&path, &after(2, "y")).expect("written");
        assert_eq!(
            (done(&path), read(&path).pop().map(|last| last.env["TOKEN"].clone())),
            (vec![1, 2], Some("y".to_owned()))
        );
        begin(&path, 0).expect("written");
        assert!(done(&path).is_empty());
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_the_reason_is() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("a.jsonl");
        append(&path, &after(1, "x")).expect("written");
        append(&path, &after(2, &"x".repeat(MOST as usize))).expect("written");
        assert!(fs::metadata(&path).expect("there").len() < 1000);
        let kept = read(&path).pop().expect("one");
        assert_eq!(
            (kept.done, kept.not_resumable.as_deref()),
            (2, Some("the state that its steps left is larger than 16 MiB"))
        );
        append(&path, &after(3, "x")).expect("written");
        assert_eq!(done(&path), [2, 3]);
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
        assert_eq!(done(&path), [1]);
        begin(&path, 1).expect("written");
        append(&path, &after(2, "x")).expect("written");
        assert_eq!(done(&path), [1, 2]);
    }

    #[test]
    fn a_new_secret_leaves_sealed_checkpoints_resumable() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("a.jsonl");
        let secrets = [("KEY".to_owned(), "hunter2".to_owned())].into();
        let sealed = after(1, "Bearer hunter2").sealed(&secrets, &|text| text.contains("hunter2"));
        append(&path, &sealed).expect("written");
        append(&path, &after(2, "found-out")).expect("written");
        scrub(&path, &|text| text.contains("hunter2") || text.contains("found-out")).expect("written");
        let opened: Vec<_> = read(&path).into_iter().map(|checkpoint| checkpoint.opened(&secrets).ok()).collect();
        assert_eq!(opened, [Some(after(1, "Bearer hunter2")), None]);
    }

    #[test]
    fn checkpoints_with_new_secrets_are_removed() {
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
