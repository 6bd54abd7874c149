//! Adds an artifact to a run of this machine.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::results::archive;
use crate::files;
use crate::files::FileError;
use crate::model::RunId;
use crate::store::artifacts::{self, ARCHIVE, Artifact};
use crate::store::clock::now;
use crate::store::digest::sha256_of_file;
use crate::store::folder::RunFolder;
use crate::store::spec::RunSpec;
use crate::store::{StoreError, history, lock};

use super::{Staging, lock_of};

/// Maximum depth of folders, including the one that is named.
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

/// An artifact that was added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadedArtifact {
    /// The artifact.
    pub artifact: Artifact,
    /// Paths of folders that are a folder above them, by a link, and are therefore not in the artifact.
    pub circles: Vec<PathBuf>,
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
    /// Another process adds an artifact to the run.
    #[error("another upload is in progress: try again once it has ended")]
    Busy,
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
    /// There are too many files, or folders to read.
    #[error("there are more than {most} files or folders, the maximum for an artifact", most = archive::MAX_FILES)]
    TooMany,
    /// The files are larger than an artifact may be.
    #[error("the files have more than {limit} bytes together, the maximum for an artifact")]
    TooLarge {
        /// Maximum size in bytes.
        limit: u64,
    },
    /// Folders are nested too deep.
    #[error("{}: folders are nested more than {most} deep: name the folders below", .0.display(), most = MAX_DEPTH)]
    TooDeep(PathBuf),
    /// The archive cannot be written.
    #[error("cannot write the archive: {0}")]
    Archive(io::Error),
    /// The run cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Adds an artifact to a run of this machine that has ended, or whose step is held: later jobs and attempts can then
/// download it. The archive has the files below the deepest folder that contains all paths, uncompressed.
///
/// # Errors
/// The run is in progress or not of this machine, another upload to it is in progress, the name is invalid or taken, a
/// path cannot be read, there are no files or too many, they are too large or nested too deep, or the folder of the run
/// cannot be written.
pub fn add(run: &RunFolder, upload: &ArtifactUpload<'_>) -> Result<UploadedArtifact, ArtifactUploadError> {
    if !artifacts::is_name(upload.name) {
        return Err(ArtifactUploadError::Name(upload.name.to_owned()));
    }
    let spec = RunSpec::read(run)?;
    let Some(workflow) = spec.work.workflow() else { return Err(ArtifactUploadError::NotHere(run.id().clone())) };
    let in_progress = || ArtifactUploadError::InProgress(run.id().clone());
    let Some((attempt, ended)) = open_attempt(run)? else {
        // Another upload holds the lock of a run that has ended, too.
        let is_uploading = lock::is_held(&lock_of(&run.artifacts()));
        return Err(if is_uploading { ArtifactUploadError::Busy } else { in_progress() });
    };
    let Sources { files, circles, .. } = sources(upload, workflow.cache.bytes.min(archive::MAX_BYTES))?;
    let staging = Staging::below(&run.artifacts())?.ok_or(ArtifactUploadError::Busy)?;
    replaced(run, attempt, upload)?;
    let data = staging.path().join("data");
    let size = write(&files, upload.paths, &data).map_err(ArtifactUploadError::Archive)?;
    let digest = sha256_of_file(&data).map_err(ArtifactUploadError::Archive)?;
    // Meanwhile, the attempt of a held step may have ended or gone on, and its steps may have added artifacts.
    let _ended = match ended {
        Some(held) => Some(held),
        None => match open_attempt(run)? {
            Some((again, held)) if again == attempt => held,
            _ => return Err(in_progress()),
        },
    };
    let (earlier, id) = replaced(run, attempt, upload)?;
    let artifact = Artifact {
        id,
        name: upload.name.to_owned(),
        size,
        media_type: ARCHIVE.to_owned(),
        digest: Some(format!("sha256:{digest}")),
        created: now(),
        expires: None,
        job: String::new(),
        attempt,
    };
    let artifact = artifacts::publish_next(run, artifact, staging.path())?;
    earlier.into_iter().try_for_each(|id| artifacts::remove(run, id))?;
    artifacts::note_change(run)?;
    Ok(UploadedArtifact { artifact, circles })
}

/// Returns the attempt to which an artifact can be added, and the lock of a run that has ended: as long as it is held,
/// the run is not removed, and no attempt begins. `None` if the run is in progress and no step of it is held.
fn open_attempt(run: &RunFolder) -> Result<Option<(u32, Option<File>)>, StoreError> {
    let ended = lock::take(&run.lock())?;
    let state = history::read(run)?;
    Ok((ended.is_some() || state.is_held()).then_some((state.attempt, ended)))
}

/// Returns the ids of the artifacts that an upload replaces, and the id of the next artifact.
fn replaced(
    run: &RunFolder,
    attempt: u32,
    upload: &ArtifactUpload<'_>,
) -> Result<(Vec<u64>, u64), ArtifactUploadError> {
    let known = artifacts::list(run)?;
    let earlier = known.iter().filter(|one| one.name == upload.name && one.attempt == attempt);
    let earlier: Vec<u64> = earlier.map(|one| one.id).collect();
    if !earlier.is_empty() && !upload.overwrites {
        return Err(ArtifactUploadError::Taken { run: run.id().clone(), name: upload.name.to_owned() });
    }
    Ok((earlier, artifacts::next_id(run, &known)))
}

/// Writes the archive. Returns its size in bytes.
fn write(sources: &BTreeSet<PathBuf>, paths: &[PathBuf], to: &Path) -> io::Result<u64> {
    let root = root(paths);
    let named = sources.iter().map(|source| {
        let below = source.strip_prefix(&root).unwrap_or(source);
        (below.to_string_lossy().into_owned(), source.canonicalize())
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
    // Only an empty path has no absolute form, and its file is missing.
    files::cleaned(&std::path::absolute(path).unwrap_or_default())
}

/// Returns the files of the paths. `limit` is the maximum of their size together, in bytes.
fn sources(upload: &ArtifactUpload<'_>, limit: u64) -> Result<Sources, ArtifactUploadError> {
    let mut found = Sources { with_hidden: upload.with_hidden, left: limit, limit, ..Sources::default() };
    for path in upload.paths {
        found.collect(&absolute(path), &mut Vec::new())?;
    }
    if found.files.is_empty() { Err(ArtifactUploadError::Empty(upload.with_hidden)) } else { Ok(found) }
}

/// The files of an artifact, as far as they are found.
#[derive(Default)]
struct Sources {
    files: BTreeSet<PathBuf>,
    /// Folders that are a folder above them.
    circles: Vec<PathBuf>,
    /// Number of paths of folders.
    folders: usize,
    with_hidden: bool,
    /// Number of bytes that further files may have together, of `limit`.
    left: u64,
    limit: u64,
}

impl Sources {
    /// Adds a file, or the files below a folder. `above` are the folders above it, without links in their paths.
    fn collect(&mut self, path: &Path, above: &mut Vec<PathBuf>) -> Result<(), ArtifactUploadError> {
        let unreadable = |source: FileError| ArtifactUploadError::Unreadable { path: path.to_owned(), source };
        if !path.is_dir() {
            // Opened, so that a file without permission is named before anything is written.
            let file = files::open(path).map_err(unreadable)?;
            let size = file.metadata().map_err(|error| unreadable(error.into()))?.len();
            if self.files.insert(path.to_owned()) {
                self.left = self.left.checked_sub(size).ok_or(ArtifactUploadError::TooLarge { limit: self.limit })?;
            }
            return self.check_number();
        }
        let real = path.canonicalize().map_err(|error| unreadable(error.into()))?;
        // Circles, too, because links to folders beside each other multiply them.
        self.folders += 1;
        self.check_number()?;
        if above.contains(&real) {
            self.circles.push(path.to_owned());
            return Ok(());
        }
        if above.len() == MAX_DEPTH {
            return Err(ArtifactUploadError::TooDeep(path.to_owned()));
        }
        above.push(real);
        for entry in fs::read_dir(path).map_err(|error| unreadable(error.into()))? {
            let entry = entry.map_err(|error| unreadable(error.into()))?;
            if self.with_hidden || !entry.file_name().to_string_lossy().starts_with('.') {
                self.collect(&entry.path(), above)?;
            }
        }
        above.pop();
        Ok(())
    }

    fn check_number(&self) -> Result<(), ArtifactUploadError> {
        let number = self.files.len().max(self.folders);
        if number > archive::MAX_FILES { Err(ArtifactUploadError::TooMany) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::upload::tests::until;
    use crate::model::{Event, RunInfo};
    use crate::store::journal::JournalWriter;
    use crate::store::spec::WorkflowSpec;

    fn names(upload: &ArtifactUpload<'_>) -> Vec<String> {
        let root = root(upload.paths);
        let below = |source: PathBuf| source.strip_prefix(&root).expect("below").display().to_string();
        sources(upload, u64::MAX).expect("files").files.into_iter().map(below).collect()
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
        let error = sources(&upload, u64::MAX).err().expect("missing").to_string();
        assert!(error.starts_with(&format!("{}: ", missing[0].display())), "{error}");
    }

    #[test]
    fn a_folder_that_contains_itself_by_a_link_is_added_once() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        for folder in ["out/left", "out/right", "out/deep/er"] {
            fs::create_dir_all(at(folder)).expect("made");
            fs::write(at(folder).join("file"), folder).expect("written");
        }
        for (target, link) in [
            (".", "out/latest"),
            ("../right", "out/left/right"),
            ("../left", "out/right/left"),
            ("../..", "out/deep/er/up"),
        ] {
            std::os::unix::fs::symlink(target, at(link)).expect("linked");
        }
        let paths = [at("out")];
        let upload = ArtifactUpload { name: "x", paths: &paths, overwrites: false, with_hidden: false };
        let found = sources(&upload, u64::MAX).expect("files");
        let below = |path: &PathBuf| path.strip_prefix(at("out")).expect("below").display().to_string();
        let files: Vec<_> = found.files.iter().map(below).collect();
        assert_eq!(files, ["deep/er/file", "left/file", "left/right/file", "right/file", "right/left/file"]);
        let mut circles: Vec<_> = found.circles.iter().map(below).collect();
        circles.sort_unstable();
        assert_eq!(circles, ["deep/er/up", "latest", "left/right/left", "right/left/right"]);
    }

    #[test]
    fn limits_hold_while_files_are_collected() {
        let home = tempfile::tempdir().expect("a folder");
        let deepest = |depth: usize| {
            (1..depth).fold(home.path().join(depth.to_string()), |folder, _| folder.join("a")).join("file")
        };
        for depth in [MAX_DEPTH, MAX_DEPTH + 1] {
            let file = deepest(depth);
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            fs::write(&file, "12").expect("written");
        }
        let of = |paths: &[PathBuf], limit| {
            let upload = ArtifactUpload { name: "x", paths, overwrites: false, with_hidden: false };
            sources(&upload, limit).map(|found| found.files.len())
        };
        let [fits, deep] = [MAX_DEPTH, MAX_DEPTH + 1].map(|depth| home.path().join(depth.to_string()));
        assert_eq!(of(&[fits.clone(), fits.clone()], 2).expect("it is the same file"), 1);
        assert!(matches!(of(&[fits], 1), Err(ArtifactUploadError::TooLarge { limit: 1 })));
        let error = of(&[deep], 2).expect_err("too deep").to_string();
        assert!(error.ends_with("a: folders are nested more than 64 deep: name the folders below"), "{error}");
        // Each folder has links to the other ones, so there are as many paths as orders of the folders.
        let web: Vec<_> = (0..4).map(|folder| home.path().join(format!("web/{folder}"))).collect();
        for folder in &web {
            fs::create_dir_all(folder).expect("made");
            for (number, other) in web.iter().enumerate().filter(|(_, other)| *other != folder) {
                std::os::unix::fs::symlink(other, folder.join(number.to_string())).expect("linked");
            }
        }
        let mut found = Sources { folders: archive::MAX_FILES - 20, ..Sources::default() };
        let refused = found.collect(&home.path().join("web"), &mut Vec::new());
        assert!(matches!(refused, Err(ArtifactUploadError::TooMany)), "{:?}", found.circles);
    }

    /// Adds an artifact. Repeats it while a lock is taken, see [`until`].
    fn settled(run: &RunFolder, upload: &ArtifactUpload<'_>) -> Result<UploadedArtifact, ArtifactUploadError> {
        let mut result = add(run, upload);
        until(|| {
            let is_locked = matches!(result, Err(ArtifactUploadError::InProgress(_) | ArtifactUploadError::Busy));
            if is_locked {
                result = add(run, upload);
            }
            !is_locked
        });
        result
    }

    /// Creates a run without a worker whose first attempt has started.
    fn started(home: &Path, spec: WorkflowSpec) -> RunFolder {
        let run = RunFolder::at(home.join("runs/20261124-000000-0001"));
        fs::create_dir_all(run.path()).expect("made");
        let spec = WorkflowSpec { text: "on: push".to_owned(), ..spec };
        RunSpec::of_workflow(RunInfo::default(), spec).write(&run).expect("written");
        let started = Event::RunStarted { attempt: 1, name: "CI".to_owned() };
        JournalWriter::open(run.journal()).and_then(|mut journal| journal.append(now(), started)).expect("written");
        run
    }

    #[test]
    fn a_name_is_taken_until_it_is_overwritten_and_limits_hold() {
        let home = tempfile::tempdir().expect("a folder");
        let mut spec = WorkflowSpec::default();
        spec.cache.bytes = 4;
        let run = started(home.path(), spec);
        let path = [home.path().join("data")];
        fs::write(&path[0], "data").expect("written");
        let upload = ArtifactUpload { name: "dist", paths: &path, overwrites: false, with_hidden: false };
        let added = settled(&run, &upload).expect("added");
        assert_eq!((added.artifact.id, added.artifact.job.as_str(), added.artifact.is_archive()), (1, "", true));
        let taken = settled(&run, &upload).expect_err("taken").to_string();
        assert_eq!(taken, "20261124-000000-0001 has an artifact `dist` already: --overwrite replaces it");
        let again = settled(&run, &ArtifactUpload { overwrites: true, ..upload.clone() }).expect("replaced");
        assert_eq!(again.artifact.id, 2);
        assert_eq!(artifacts::list(&run).expect("listed"), [again.artifact]);
        fs::write(&path[0], "large").expect("written");
        let error = settled(&run, &ArtifactUpload { name: "large", ..upload.clone() }).expect_err("large").to_string();
        assert_eq!(error, "the files have more than 4 bytes together, the maximum for an artifact");
        assert!(matches!(
            add(&run, &ArtifactUpload { name: "a/b", ..upload.clone() }),
            Err(ArtifactUploadError::Name(_))
        ));
        let worker = lock::take_free(&run.lock());
        until(|| matches!(add(&run, &upload), Err(ArtifactUploadError::InProgress(_))));
        // Another upload has both locks of a run that has ended.
        let staging = lock::take_free(&lock_of(&run.artifacts()));
        assert!(matches!(add(&run, &upload), Err(ArtifactUploadError::Busy)));
        drop((staging, worker));
        // The last artifact is removed, and its id is not given again.
        artifacts::remove(&run, 2).expect("removed");
        fs::write(&path[0], "data").expect("written");
        assert_eq!(settled(&run, &upload).expect("added").artifact.id, 3);
    }

    #[test]
    fn a_run_that_has_ended_is_locked_until_the_artifact_is_added() {
        let home = tempfile::tempdir().expect("a folder");
        let run = started(home.path(), WorkflowSpec::default());
        let mut ended = None;
        until(|| {
            ended = open_attempt(&run).expect("read");
            ended.is_some()
        });
        assert!(matches!(ended, Some((1, Some(_)))));
        assert!(lock::take(&run.lock()).expect("there").is_none(), "neither removal nor another attempt can begin");
        assert!(open_attempt(&run).expect("read").is_none());
    }
}
