//! Artifacts of a run: files that its steps uploaded for later jobs and for people.
//!
//! Each is a folder `artifacts/<id>/` of the run, with its description in `artifact.json` and its bytes in `data`. The
//! folder appears by one rename, so an artifact is either whole or absent.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::files;
use crate::model::Timestamp;

use super::folder::{RunFolder, make_private};
use super::{StoreError, atomic, described, json};

/// Maximum size of a description in bytes.
const MAX_DESCRIPTION: u64 = 64 * 1024;

/// Maximum length of a name in bytes. A name must also be valid as the name of a file.
const MAX_NAME: usize = 240;

/// Media type of an archive.
pub const ARCHIVE: &str = "application/zip";

/// An artifact of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Number within the run, from 1 in the order of the uploads.
    pub id: u64,
    /// Name, which is unique within an attempt.
    pub name: String,
    /// Size of the data in bytes.
    pub size: u64,
    /// Media type: [`ARCHIVE`], or another type if a single file was uploaded without an archive.
    pub media_type: String,
    /// Digest of the data, `sha256:…`, if the client sent one.
    pub digest: Option<String>,
    /// Time of the upload.
    pub created: Timestamp,
    /// Time after which `cuelight clean` may remove the artifact, if the step chose one.
    pub expires: Option<Timestamp>,
    /// Id of the job that uploaded the artifact; empty if a person added it.
    pub job: String,
    /// Attempt in which the artifact was uploaded.
    pub attempt: u32,
}

impl Artifact {
    /// Whether the data is a zip archive of the uploaded files.
    #[must_use]
    pub fn is_archive(&self) -> bool {
        self.media_type == ARCHIVE
    }

    /// Returns the file name for a download: the name of the archive, or of the single file.
    #[must_use]
    pub fn file_name(&self) -> String {
        if self.is_archive() { format!("{}.zip", self.name) } else { self.name.clone() }
    }
}

/// Whether a text can be the name of an artifact, which must also be valid as the name of a file.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || "\"<>|*?:/\\".contains(c);
    !name.is_empty() && name.len() <= MAX_NAME && name != "." && name != ".." && !name.contains(forbidden)
}

/// Lists the artifacts of a run by id. Artifacts with a damaged folder are left out.
///
/// # Errors
/// The folder cannot be read. A run without artifacts is not an error.
pub fn list(run: &RunFolder) -> Result<Vec<Artifact>, StoreError> {
    let folders = described::below(&run.artifacts())?;
    let ids = folders.iter().filter_map(|folder| folder.file_name()?.to_str()?.parse().ok());
    let mut artifacts: Vec<_> = ids.filter_map(|id| read(run, id)).collect();
    artifacts.sort_unstable_by_key(|artifact| artifact.id);
    Ok(artifacts)
}

fn read(run: &RunFolder, id: u64) -> Option<Artifact> {
    let text = files::read_own(&folder(run, id).join("artifact.json"), MAX_DESCRIPTION).ok()?;
    let artifact: Artifact = serde_json::from_slice(&text).ok()?;
    let whole = files::own_size(&data(run, id)).is_ok_and(|size| size == artifact.size);
    (artifact.id == id && whole && is_name(&artifact.name)).then_some(artifact)
}

/// Returns the path of the data of an artifact.
#[must_use]
pub fn data(run: &RunFolder, id: u64) -> PathBuf {
    folder(run, id).join("data")
}

fn folder(run: &RunFolder, id: u64) -> PathBuf {
    run.artifacts().join(id.to_string())
}

/// Makes `staged` the folder of an artifact.
///
/// # Errors
/// The folder cannot be written, or the run has an artifact with this id.
fn publish(run: &RunFolder, artifact: &Artifact, staged: &Path) -> Result<(), StoreError> {
    json::write_unsynced(&staged.join("artifact.json"), artifact)?;
    let folder = folder(run, artifact.id);
    make_private(&run.artifacts()).and_then(|()| fs::rename(staged, &folder)).map_err(StoreError::io("write", folder))
}

/// Returns the id for the next artifact: above those of `known`, the artifacts of the run, and of removed ones.
#[must_use]
pub fn next_id(run: &RunFolder, known: &[Artifact]) -> u64 {
    known.last().map_or(0, |last| last.id).max(last_removed(run)).saturating_add(1)
}

/// Returns the highest id of a removed artifact; 0 if none was removed.
fn last_removed(run: &RunFolder) -> u64 {
    let text = files::read_own_text(&run.artifacts().join(LAST_REMOVED), MAX_ID).unwrap_or_default();
    text.trim().parse().unwrap_or_default()
}

/// Adds an artifact. `staged` is a folder of the run with the file `data`; it becomes the folder of the artifact. Its id
/// is that of `artifact` or, if the run has one with this id, the next free one. Returns the artifact.
///
/// # Errors
/// The folder cannot be written.
pub fn publish_next(run: &RunFolder, mut artifact: Artifact, staged: &Path) -> Result<Artifact, StoreError> {
    loop {
        match publish(run, &artifact, staged) {
            Ok(()) => return Ok(artifact),
            Err(StoreError::Io { source, .. }) if is_taken(&source) => artifact.id += 1,
            Err(error) => return Err(error),
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}

/// Name of the file with the highest id of a removed artifact.
const LAST_REMOVED: &str = "last_removed";

/// Maximum size of this file in bytes.
const MAX_ID: u64 = 32;

/// Name of the file whose modification time is that of the last change by a person.
const CHANGED: &str = "changed";

/// Records that a person has added or replaced an artifact, for the worker of the run.
///
/// # Errors
/// The folder cannot be written.
pub fn note_change(run: &RunFolder) -> Result<(), StoreError> {
    let path = run.artifacts().join(CHANGED);
    let noted = files::append_own(&path).and_then(|file| file.set_modified(SystemTime::now()));
    noted.map_err(StoreError::io("write", path))
}

/// Returns the time of the last change by a person; `None` if there was none.
#[must_use]
pub fn last_change(run: &RunFolder) -> Option<SystemTime> {
    fs::symlink_metadata(run.artifacts().join(CHANGED)).and_then(|found| found.modified()).ok()
}

/// Removes an artifact, and records its id for [`next_id`]. A missing artifact is not an error.
///
/// # Errors
/// The folder cannot be removed.
pub fn remove(run: &RunFolder, id: u64) -> Result<(), StoreError> {
    if id > last_removed(run) {
        // On a full disk, the removal matters more than the id.
        let _ = atomic::write_unsynced(&run.artifacts().join(LAST_REMOVED), id.to_string().as_bytes());
    }
    described::remove(&folder(run, id), "artifact.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(id: u64, name: &str, size: u64) -> Artifact {
        Artifact {
            id,
            name: name.to_owned(),
            size,
            media_type: "application/zip".to_owned(),
            digest: None,
            created: Timestamp(1),
            expires: None,
            job: "build".to_owned(),
            attempt: 1,
        }
    }

    #[test]
    fn only_whole_artifacts_are_listed() {
        let state = tempfile::tempdir().expect("a folder");
        let run = RunFolder::at(state.path().join("runs/r"));
        assert_eq!(list(&run).expect("read"), []);
        let staged = |content: &str| {
            let staged = run.uploads().join("u");
            fs::create_dir_all(&staged).expect("made");
            fs::write(staged.join("data"), content).expect("written");
            staged
        };
        let (whole, torn) = (artifact(1, "dist", 4), artifact(2, "torn", 9));
        publish(&run, &whole, &staged("data")).expect("published");
        publish(&run, &torn, &staged("data")).expect("published");
        assert!(publish(&run, &whole, &staged("more")).is_err(), "its id is taken");
        fs::create_dir_all(run.artifacts().join("7")).expect("made");
        assert_eq!(list(&run).expect("read"), std::slice::from_ref(&whole));
        remove(&run, 1).expect("removed");
        remove(&run, 1).expect("removed already");
        assert_eq!(list(&run).expect("read"), []);
        assert_eq!(next_id(&run, &[]), 2, "links have contained the id of the removed one");
        remove(&run, 9).expect("it is missing");
        remove(&run, 2).expect("removed");
        assert_eq!((next_id(&run, &[]), next_id(&run, &[Artifact { id: 12, ..whole }])), (10, 13));
    }

    #[test]
    fn names_are_names_of_files() {
        for name in ["dist", "a b", "wheel-3.11.zip", ".hidden", "é"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a\\b", "a\nb", "a:b", &"x".repeat(241)] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
