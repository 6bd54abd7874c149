//! Downloads artifacts: copies artifacts of runs on this machine, and prepares downloads from servers. Deletes
//! artifacts of runs on this machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files;
use crate::files::PartialFile;
use crate::store::artifacts::{Artifact, data};
use crate::store::folder::RunFolder;
use crate::store::{StoreError, artifacts, lock};

/// Why an artifact is not downloaded.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The run has no artifact of this name.
    #[error("no artifact `{name}`; the run has {}", listed(known))]
    Unknown {
        /// The name.
        name: String,
        /// Names of the artifacts of the run.
        known: Vec<String>,
    },
    /// The name of an artifact on a server is not a valid file name.
    #[error("`{0}` is not a valid file name")]
    Name(String),
    /// A file would be replaced.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The run cannot be read, or the file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why artifacts are not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// A name is unknown.
    #[error(transparent)]
    Unknown(#[from] DownloadError),
    /// The run is in progress, so that its steps may still need the artifact.
    #[error("the run is in progress: its artifacts can be deleted once it has ended")]
    InProgress,
    /// The run cannot be read, or an artifact cannot be removed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Deletes the artifacts of a run on this machine with these names, of all attempts. Returns them.
///
/// # Errors
/// A name is unknown, in which case nothing is deleted; the run is in progress; or an artifact cannot be removed.
pub fn delete(run: &RunFolder, names: &[String]) -> Result<Vec<Artifact>, DeleteError> {
    let unwanted = named(artifacts::list(run)?, names)?;
    if lock::is_held(&run.lock()) {
        return Err(DeleteError::InProgress);
    }
    unwanted.iter().try_for_each(|artifact| artifacts::remove(run, artifact.id))?;
    Ok(unwanted)
}

/// Returns the artifacts with these names, of all attempts.
///
/// # Errors
/// A name is unknown.
pub fn named(mut all: Vec<Artifact>, names: &[String]) -> Result<Vec<Artifact>, DownloadError> {
    newest(all.clone(), names)?;
    all.retain(|artifact| names.contains(&artifact.name));
    Ok(all)
}

/// Deletes one artifact of a run on this machine. Other artifacts of the same name are kept.
///
/// # Errors
/// The run has no artifact with this id, or is in progress; or the artifact cannot be removed.
pub fn delete_one(run: &RunFolder, id: &str, name: &str) -> Result<(), DeleteError> {
    let artifact = one(artifacts::list(run)?, id, name)?;
    if lock::is_held(&run.lock()) {
        return Err(DeleteError::InProgress);
    }
    Ok(artifacts::remove(run, artifact.id)?)
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Copies the artifacts of a run with these names, or all of them, into a folder, which is created if it is missing. If
/// several attempts uploaded a name, the newest artifact is copied. Returns the new files.
///
/// # Errors
/// A name is unknown or a file exists (both are checked before anything is copied), or a file cannot be read or
/// written.
pub fn download(run: &RunFolder, names: &[String], into: &Path) -> Result<Vec<PathBuf>, DownloadError> {
    copied(run, &prepare(artifacts::list(run)?, names, into)?, into)
}

/// Copies one artifact of a run into a folder, which is created if it is missing. Returns the new file.
///
/// # Errors
/// The run has no artifact with this id, the file exists, or a file cannot be read or written.
pub fn download_one(run: &RunFolder, id: &str, name: &str, into: &Path) -> Result<PathBuf, DownloadError> {
    let wanted = prepare(vec![one(artifacts::list(run)?, id, name)?], &[], into)?;
    Ok(copied(run, &wanted, into)?.remove(0))
}

/// Returns the artifact with an id. `name` is for the error.
///
/// # Errors
/// No artifact has this id.
pub fn one(all: Vec<Artifact>, id: &str, name: &str) -> Result<Artifact, DownloadError> {
    let known = all.iter().map(|artifact| artifact.name.clone()).collect();
    let found = all.into_iter().find(|artifact| artifact.id.to_string() == id);
    found.ok_or_else(|| DownloadError::Unknown { name: name.to_owned(), known })
}

fn copied(run: &RunFolder, wanted: &[Artifact], into: &Path) -> Result<Vec<PathBuf>, DownloadError> {
    let files: Vec<_> = wanted.iter().map(|artifact| into.join(artifact.file_name())).collect();
    for (artifact, file) in wanted.iter().zip(&files) {
        copy(&data(run, artifact.id), file).map_err(StoreError::io("write", file))?;
    }
    Ok(files)
}

/// Returns the artifacts to download (the newest of each name; no names mean all) and creates the folder for them.
///
/// # Errors
/// A name is unknown or not a valid file name, a file exists already, or the folder cannot be created.
pub fn prepare(all: Vec<Artifact>, names: &[String], into: &Path) -> Result<Vec<Artifact>, DownloadError> {
    let wanted = newest(all, names)?;
    if let Some(artifact) = wanted.iter().find(|artifact| !artifacts::is_name(&artifact.name)) {
        return Err(DownloadError::Name(artifact.name.clone()));
    }
    // Whether an artifact of a server is an archive or a single file is known only after the download.
    let mut files = wanted.iter().flat_map(|artifact| [into.join(artifact.file_name()), into.join(&artifact.name)]);
    let existing = files.find(|file| file.symlink_metadata().is_ok_and(|found| !found.is_dir()));
    if let Some(file) = existing {
        return Err(DownloadError::Exists(file));
    }
    fs::create_dir_all(into).map_err(StoreError::io("make the folder", into))?;
    Ok(wanted)
}

/// Returns the newest artifact of each name.
fn newest(all: Vec<Artifact>, names: &[String]) -> Result<Vec<Artifact>, DownloadError> {
    if let Some(name) = names.iter().find(|name| !all.iter().any(|artifact| artifact.name == **name)) {
        let known = all.into_iter().map(|artifact| artifact.name).collect();
        return Err(DownloadError::Unknown { name: name.clone(), known });
    }
    let mut newest: Vec<Artifact> = Vec::new();
    // The list is sorted by id, so a later artifact replaces an earlier one.
    for artifact in all.into_iter().filter(|artifact| names.is_empty() || names.contains(&artifact.name)) {
        newest.retain(|earlier| earlier.name != artifact.name);
        newest.push(artifact);
    }
    Ok(newest)
}

/// Copies a file to a path that does not exist. The new file appears only once it is complete.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut part = PartialFile::new(to, 0o666)?;
    io::copy(&mut files::open_own(from)?, part.file())?;
    part.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn artifact(run: &RunFolder, id: u64, name: &str, media_type: &str, content: &str) {
        let staged = run.uploads().join("u");
        fs::create_dir_all(&staged).expect("made");
        fs::write(staged.join("data"), content).expect("written");
        let artifact = Artifact {
            id,
            name: name.to_owned(),
            size: content.len() as u64,
            media_type: media_type.to_owned(),
            digest: None,
            created: Timestamp(1),
            expires: None,
            job: "build".to_owned(),
            attempt: 1,
        };
        artifacts::publish_next(run, artifact, &staged).expect("published");
    }

    #[test]
    fn the_newest_of_each_name_is_copied_and_no_file_is_replaced() {
        let state = tempfile::tempdir().expect("a folder");
        let run = RunFolder::at(state.path().join("runs/r"));
        for (id, name, media_type, content) in [
            (1, "dist", "application/zip", "old"),
            (2, "report.html", "text/html", "report"),
            (3, "dist", "application/zip", "new"),
        ] {
            artifact(&run, id, name, media_type, content);
        }
        let into = state.path().join("into/here");
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let unknown = download(&run, &names(&["dist", "none"]), &into).expect_err("unknown").to_string();
        assert_eq!(unknown, "no artifact `none`; the run has dist, report.html, dist");
        assert!(!into.exists(), "nothing is made");
        let files = download(&run, &names(&["dist"]), &into).expect("copied");
        assert_eq!(files, [into.join("dist.zip")]);
        assert_eq!(fs::read_to_string(&files[0]).expect("read"), "new");
        assert!(matches!(download(&run, &[], &into), Err(DownloadError::Exists(_))));
        assert_eq!(download(&run, &[], &state.path().join("all")).expect("copied").len(), 2);
        assert_eq!(fs::read_dir(&into).expect("read").count(), 1, "no part is left");
    }

    #[test]
    fn artifacts_of_a_run_that_has_ended_are_deleted_by_name() {
        let state = tempfile::tempdir().expect("a folder");
        let run = RunFolder::at(state.path().join("runs/r"));
        for (id, name) in [(1, "dist"), (2, "report"), (3, "dist")] {
            artifact(&run, id, name, "application/zip", "x");
        }
        let names = |name: &str| vec![name.to_owned()];
        let unknown = delete(&run, &names("none")).expect_err("unknown").to_string();
        assert_eq!(unknown, "no artifact `none`; the run has dist, report, dist");
        let worker = lock::take_free(&run.lock());
        assert!(matches!(delete(&run, &names("dist")), Err(DeleteError::InProgress)));
        lock::release(worker, &run.lock());
        assert_eq!(delete(&run, &names("dist")).expect("deleted").len(), 2);
        assert_eq!(artifacts::list(&run).expect("listed").iter().map(|one| one.id).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn one_of_several_artifacts_with_a_name_is_copied_or_deleted() {
        let state = tempfile::tempdir().expect("a folder");
        let run = RunFolder::at(state.path().join("runs/r"));
        for (id, content) in [(1, "first"), (2, "second"), (3, "third")] {
            artifact(&run, id, "dist", "application/zip", content);
        }
        let file = download_one(&run, "2", "dist", &state.path().join("into")).expect("copied");
        assert_eq!(fs::read_to_string(file).expect("read"), "second");
        delete_one(&run, "2", "dist").expect("deleted");
        assert_eq!(artifacts::list(&run).expect("listed").iter().map(|one| one.id).collect::<Vec<_>>(), [1, 3]);
        let gone = delete_one(&run, "2", "dist").expect_err("gone").to_string();
        assert_eq!(gone, "no artifact `dist`; the run has dist, dist");
    }

    #[test]
    fn a_part_that_a_killed_process_left_does_not_stop_a_download() {
        let state = tempfile::tempdir().expect("a folder");
        let run = RunFolder::at(state.path().join("runs/r"));
        artifact(&run, 1, "dist", "application/zip", "new");
        let into = state.path().join("into");
        fs::create_dir_all(&into).expect("made");
        let mut killed = std::process::Command::new("true").spawn().expect("starts");
        killed.wait().expect("ends");
        for left in [format!(".{}.part", std::process::id()), format!(".dist.zip.{}-00000001.part", killed.id())] {
            let file = fs::File::create(into.join(left)).expect("made");
            file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_mins(2)).expect("set");
        }
        let files = download(&run, &[], &into).expect("copied");
        assert_eq!(fs::read_to_string(&files[0]).expect("read"), "new");
        let mut left: Vec<_> = fs::read_dir(&into).expect("read").flatten().map(|entry| entry.file_name()).collect();
        left.retain(|name| name != &*format!(".{}.part", std::process::id()));
        assert_eq!(left, ["dist.zip"]);
    }
}
