//! Adds an artifact to a run of this machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::results::archive;
use crate::files;
use crate::files::FileError;
use crate::model::RunId;
use crate::store::artifacts::{self, Artifact};
use crate::store::clock::now;
use crate::store::digest::sha256_of_file;
use crate::store::folder::RunFolder;
use crate::store::spec::RunSpec;
use crate::store::{StoreError, history, lock};

use super::Staging;

/// Media type of an archive.
const ARCHIVE: &str = "application/zip";

/// Maximum depth of folders below a path. Links that lead to a folder above them end there.
const MAX_DEPTH: usize = 64;

/// An artifact to add.
#[derive(Clone, Debug)]
pub struct ArtifactUpload<'u> {
    /// Name.
    pub name: &'u str,
    /// Files and folders.
    pub paths: &'u [PathBuf],
    /// Whether an artifact of this name is replaced.
    pub overwrites: bool,
    /// Whether files and folders whose names start with a dot are included.
    pub with_hidden: bool,
}

/// Why an artifact is not added.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactUploadError {
    /// The name is invalid.
    #[error("`{0}` cannot be the name of an artifact: it must be valid as the name of a file")]
    Name(String),
    /// The run has an artifact of this name.
    #[error("{run} has an artifact `{name}` already: --overwrite replaces it")]
    Taken {
        /// The run.
        run: RunId,
        /// The name.
        name: String,
    },
    /// The run is not a workflow on this machine.
    #[error("{0} is not a run of a workflow on this machine")]
    NotHere(RunId),
    /// The run is in progress, and no step of it is held.
    #[error("{0} is in progress: an artifact can be added once it has ended, or while a step is held")]
    InProgress(RunId),
    /// A path cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: FileError,
    },
    /// The paths contain no files that are included.
    #[error("there are no files to upload{}", if *.0 { "" } else { "; --include-hidden-files adds those whose names start with a dot" })]
    Empty(bool),
    /// There are too many files.
    #[error("{0} files are too many: an artifact has at most {most}", most = archive::MAX_FILES)]
    TooMany(usize),
    /// The files are larger than an artifact may be.
    #[error("the files have {size} bytes together, and an artifact at most {limit}")]
    TooLarge {
        /// Size of the files in bytes.
        size: u64,
        /// Maximum size in bytes.
        limit: u64,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive: {0}")]
    Archive(io::Error),
    /// The run cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A file of an artifact.
struct Source {
    path: PathBuf,
    size: u64,
}

/// Adds an artifact to a run of this machine that has ended, or whose step is held: later jobs and attempts can then
/// download it. The archive has the files below the deepest folder that contains all paths, uncompressed.
///
/// # Errors
/// The run is in progress or not of this machine, the name is invalid or taken, a path cannot be read, there are no
/// files or too many, they are too large, or the folder of the run cannot be written.
pub fn add(run: &RunFolder, upload: &ArtifactUpload<'_>) -> Result<Artifact, ArtifactUploadError> {
    if !artifacts::is_name(upload.name) {
        return Err(ArtifactUploadError::Name(upload.name.to_owned()));
    }
    let spec = RunSpec::read(run)?;
    let Some(workflow) = spec.work.workflow() else { return Err(ArtifactUploadError::NotHere(run.id().clone())) };
    let state = history::read(run)?;
    let is_held = state.jobs.values().any(|job| job.held().next().is_some());
    if lock::is_held(&run.lock()) && !is_held {
        return Err(ArtifactUploadError::InProgress(run.id().clone()));
    }
    let sources = sources(upload)?;
    if sources.len() > archive::MAX_FILES {
        return Err(ArtifactUploadError::TooMany(sources.len()));
    }
    let size = sources.iter().map(|source| source.size).sum();
    let limit = workflow.cache.bytes.min(archive::MAX_BYTES);
    if size > limit {
        return Err(ArtifactUploadError::TooLarge { size, limit });
    }
    let staging = Staging::below(&run.artifacts())?;
    let known = artifacts::list(run)?;
    let (earlier, next) = (known.iter().filter(|one| one.name == upload.name && one.attempt == state.attempt), &known);
    let earlier: Vec<u64> = earlier.map(|one| one.id).collect();
    if !earlier.is_empty() && !upload.overwrites {
        return Err(ArtifactUploadError::Taken { run: run.id().clone(), name: upload.name.to_owned() });
    }
    let data = staging.path().join("data");
    let size = write(&sources, upload.paths, &data).map_err(ArtifactUploadError::Archive)?;
    let digest = sha256_of_file(&data).map_err(ArtifactUploadError::Archive)?;
    let artifact = Artifact {
        id: next.last().map_or(1, |last| last.id + 1),
        name: upload.name.to_owned(),
        size,
        media_type: ARCHIVE.to_owned(),
        digest: Some(format!("sha256:{digest}")),
        created: now(),
        expires: None,
        job: String::new(),
        attempt: state.attempt,
    };
    let added = artifacts::publish_next(run, artifact, staging.path())?;
    earlier.into_iter().try_for_each(|id| artifacts::remove(run, id))?;
    artifacts::note_change(run)?;
    Ok(added)
}

/// Writes the archive. Returns its size in bytes.
fn write(sources: &[Source], paths: &[PathBuf], to: &Path) -> io::Result<u64> {
    let root = root(paths);
    let named = sources.iter().map(|source| {
        let below = source.path.strip_prefix(&root).unwrap_or(&source.path);
        (below.to_string_lossy().into_owned(), source.path.canonicalize())
    });
    let named: Vec<(String, PathBuf)> = named.map(|(name, path)| Ok((name, path?))).collect::<io::Result<_>>()?;
    let files = named.iter().map(|(name, path)| (name.as_str(), path.as_path(), false));
    archive::write(files, &files::create_own(to)?)
}

/// Returns the deepest folder that contains all paths.
fn root(paths: &[PathBuf]) -> PathBuf {
    let absolute = paths.iter().map(|path| absolute(path));
    let common = absolute.reduce(|common, path| {
        let same = common.components().zip(path.components()).take_while(|(left, right)| left == right);
        same.map(|(same, _)| same).collect()
    });
    let common = common.unwrap_or_default();
    if common.is_dir() { common } else { common.parent().map(Path::to_owned).unwrap_or_default() }
}

/// Returns an absolute path without `.`, `..` and a slash at its end.
fn absolute(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    // Only an empty path has no absolute form, and its file is missing.
    for part in std::path::absolute(path).unwrap_or_default().components() {
        match part {
            std::path::Component::ParentDir => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    clean
}

/// Returns the files of the paths, sorted, each once.
fn sources(upload: &ArtifactUpload<'_>) -> Result<Vec<Source>, ArtifactUploadError> {
    let mut found = Vec::new();
    for path in upload.paths {
        collect(&absolute(path), upload.with_hidden, MAX_DEPTH, &mut found)?;
    }
    found.sort_unstable_by(|left, right| left.path.cmp(&right.path));
    found.dedup_by(|left, right| left.path == right.path);
    if found.is_empty() { Err(ArtifactUploadError::Empty(upload.with_hidden)) } else { Ok(found) }
}

fn collect(path: &Path, with_hidden: bool, depth: usize, found: &mut Vec<Source>) -> Result<(), ArtifactUploadError> {
    let unreadable = |source: FileError| ArtifactUploadError::Unreadable { path: path.to_owned(), source };
    if !path.is_dir() {
        // Opened, so that a file without permission is named before anything is written.
        let file = files::open(path).map_err(unreadable)?;
        let size = file.metadata().map_err(|error| unreadable(error.into()))?.len();
        found.push(Source { path: path.to_owned(), size });
        return Ok(());
    }
    if depth == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(|error| unreadable(error.into()))? {
        let entry = entry.map_err(|error| unreadable(error.into()))?;
        if with_hidden || !entry.file_name().to_string_lossy().starts_with('.') {
            collect(&entry.path(), with_hidden, depth - 1, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Event, RunInfo};
    use crate::store::journal::JournalWriter;
    use crate::store::spec::WorkflowSpec;

    fn names(upload: &ArtifactUpload<'_>) -> Vec<String> {
        let root = root(upload.paths);
        let below = |source: Source| source.path.strip_prefix(&root).expect("below").display().to_string();
        sources(upload).expect("files").into_iter().map(below).collect()
    }

    #[test]
    fn the_archive_has_the_files_below_the_deepest_common_folder() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        fs::create_dir_all(at("out/sub")).expect("made");
        for file in ["out/a", "out/.hidden", "out/sub/b", "report"] {
            fs::write(at(file), file).expect("written");
        }
        std::os::unix::fs::symlink(at("report"), at("out/link")).expect("linked");
        let of = |paths: &[PathBuf], with_hidden| {
            names(&ArtifactUpload { name: "x", paths, overwrites: false, with_hidden })
        };
        assert_eq!(of(&[at("out")], false), ["a", "link", "sub/b"]);
        assert_eq!(of(&[at("out/")], true), [".hidden", "a", "link", "sub/b"]);
        assert_eq!(of(&[at("out/a")], false), ["a"]);
        assert_eq!(of(&[at("out/.hidden")], false), [".hidden"], "it is named");
        assert_eq!(of(&[at("out/sub"), at("report"), at("out/../report")], false), ["out/sub/b", "report"]);
        assert_eq!(of(&[at("out/a"), at("out/sub/b")], false), ["a", "sub/b"]);
        let missing = [at("none")];
        let upload = ArtifactUpload { name: "x", paths: &missing, overwrites: false, with_hidden: false };
        let error = sources(&upload).err().expect("missing").to_string();
        assert!(error.starts_with(&format!("{}: ", missing[0].display())), "{error}");
    }

    #[test]
    fn a_name_is_taken_until_it_is_overwritten_and_limits_hold() {
        let home = tempfile::tempdir().expect("a folder");
        let run = RunFolder::at(home.path().join("runs/20261124-000000-0001"));
        fs::create_dir_all(run.path()).expect("made");
        let mut spec = WorkflowSpec { text: "on: push".to_owned(), ..WorkflowSpec::default() };
        spec.cache.bytes = 4;
        RunSpec::of_workflow(RunInfo::default(), spec).write(&run).expect("written");
        let started = Event::RunStarted { attempt: 1, name: "CI".to_owned() };
        JournalWriter::open(run.journal()).and_then(|mut journal| journal.append(now(), started)).expect("written");
        let path = [home.path().join("data")];
        fs::write(&path[0], "data").expect("written");
        let upload = ArtifactUpload { name: "dist", paths: &path, overwrites: false, with_hidden: false };
        let added = add(&run, &upload).expect("added");
        assert_eq!((added.id, added.job.as_str(), added.is_archive()), (1, "", true));
        let taken = add(&run, &upload).expect_err("taken").to_string();
        assert_eq!(taken, "20261124-000000-0001 has an artifact `dist` already: --overwrite replaces it");
        let again = add(&run, &ArtifactUpload { overwrites: true, ..upload.clone() }).expect("replaced");
        assert_eq!(artifacts::list(&run).expect("listed"), [again]);
        fs::write(&path[0], "large").expect("written");
        let error = add(&run, &ArtifactUpload { name: "large", ..upload.clone() }).expect_err("large").to_string();
        assert_eq!(error, "the files have 5 bytes together, and an artifact at most 4");
        assert!(matches!(
            add(&run, &ArtifactUpload { name: "a/b", ..upload.clone() }),
            Err(ArtifactUploadError::Name(_))
        ));
        let worker = lock::take_free(&run.lock());
        assert!(matches!(add(&run, &upload), Err(ArtifactUploadError::InProgress(_))));
        drop(worker);
    }
}
