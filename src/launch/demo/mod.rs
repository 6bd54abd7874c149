//! Unpacks the projects of the demo, and describes the runs of their pipelines.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::timeout;
use walkdir::{DirEntry, WalkDir};

use crate::engine::sandbox::provider::{Provider, ProviderError};
use crate::engine::sandbox::providers::Providers;
use crate::repo::git;
use crate::repo::git::GitError;
use crate::store::space_hint;

use super::{LaunchRequest, PUSH};

mod needs;
mod tour;

pub use needs::missing;
pub use tour::{STOPS, Tour, TourError, is_tour};

/// A file of a project: its path, its text, and whether it can be executed.
type File = (&'static str, &'static str, bool);

/// A line of a program of the plain project, and the wrong line that makes its test fail.
const FAULT: (&str, &str, &str) = ("bin/tally", "lines=$((lines + 1))", "lines=$((lines + 2))");

/// Address of the author of the projects' commits.
const AUTHOR: &str = "demo@cuelight.invalid";

/// A small project whose pipeline needs only a shell.
const TALLY: &[File] = &[
    (".github/workflows/pipeline.yml", include_str!("../../../assets/demo/.github/workflows/pipeline.yml"), false),
    (
        ".github/actions/measure/action.yml",
        include_str!("../../../assets/demo/.github/actions/measure/action.yml"),
        false,
    ),
    ("README.md", include_str!("../../../assets/demo/README.md"), false),
    ("bin/tally", include_str!("../../../assets/demo/bin/tally"), true),
    ("tests/run", include_str!("../../../assets/demo/tests/run"), true),
    ("tests/fixtures/sonnet.txt", include_str!("../../../assets/demo/tests/fixtures/sonnet.txt"), false),
    ("tests/fixtures/empty.txt", "", false),
    ("tests/fixtures/numbers.txt", include_str!("../../../assets/demo/tests/fixtures/numbers.txt"), false),
];

/// A Python service whose pipeline has services, builds an image and uses actions of other repositories.
const AURA: &[File] = &[
    (".dockerignore", include_str!("../../../assets/aura/.dockerignore"), false),
    (".github/workflows/ci.yml", include_str!("../../../assets/aura/.github/workflows/ci.yml"), false),
    (".gitignore", include_str!("../../../assets/aura/.gitignore"), false),
    ("Dockerfile", include_str!("../../../assets/aura/Dockerfile"), false),
    ("README.md", include_str!("../../../assets/aura/README.md"), false),
    ("config/aura.toml", include_str!("../../../assets/aura/config/aura.toml"), false),
    ("docker-compose.yml", include_str!("../../../assets/aura/docker-compose.yml"), false),
    ("pyproject.toml", include_str!("../../../assets/aura/pyproject.toml"), false),
    ("requirements.txt", include_str!("../../../assets/aura/requirements.txt"), false),
    ("src/__init__.py", "", false),
    ("src/config.py", include_str!("../../../assets/aura/src/config.py"), false),
    ("src/main.py", include_str!("../../../assets/aura/src/main.py"), false),
    ("src/queue.py", include_str!("../../../assets/aura/src/queue.py"), false),
    ("src/server.py", include_str!("../../../assets/aura/src/server.py"), false),
    ("src/store.py", include_str!("../../../assets/aura/src/store.py"), false),
    ("src/worker.py", include_str!("../../../assets/aura/src/worker.py"), false),
    ("tests/__init__.py", "", false),
    ("tests/conftest.py", include_str!("../../../assets/aura/tests/conftest.py"), false),
    ("tests/test_config.py", include_str!("../../../assets/aura/tests/test_config.py"), false),
    ("tests/test_server.py", include_str!("../../../assets/aura/tests/test_server.py"), false),
    ("tests/test_services.py", include_str!("../../../assets/aura/tests/test_services.py"), false),
    ("tests/test_worker.py", include_str!("../../../assets/aura/tests/test_worker.py"), false),
];

/// Image of the service in the plain project.
pub const SERVICE_IMAGE: &str = "redis:7-alpine";

/// Maximum time to fetch [`SERVICE_IMAGE`].
const FETCH_TIMEOUT: Duration = Duration::from_mins(1);

/// The demo projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Project {
    /// A project in plain shell: needs git and a POSIX shell, and has a service if Docker answers.
    Tally,
    /// A Python service: needs Docker, Python 3.11, Node.js, and actions from github.com.
    Aura,
}

/// Why the demo cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The folder exists and is not the demo.
    #[error("{} exists and is not the demo: remove it, or choose another folder with --into", .0.display())]
    Occupied(PathBuf),
    /// A file cannot be written.
    #[error("cannot unpack the demo into {}: {source}{}", folder.display(), space_hint(source))]
    Write {
        /// The project's folder.
        folder: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// Git cannot make the repository.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Why the plain project runs without its service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The image cannot be fetched.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The image was not fetched in time.
    #[error("{SERVICE_IMAGE} could not be fetched within {} s", FETCH_TIMEOUT.as_secs())]
    Timeout,
}

impl Project {
    /// Returns the name of the project's folder beside the runs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tally => "demo",
            Self::Aura => "aura",
        }
    }

    fn files(self) -> &'static [File] {
        match self {
            Self::Tally => TALLY,
            Self::Aura => AURA,
        }
    }

    /// Returns the path of the workflow in the repository.
    #[must_use]
    pub fn workflow(self) -> &'static str {
        match self {
            Self::Tally => ".github/workflows/pipeline.yml",
            Self::Aura => ".github/workflows/ci.yml",
        }
    }

    /// Writes the project into a folder and makes it a repository with one commit. In an existing copy, also one of
    /// another version, the files of the project are restored. What the user changed in it is committed before that:
    /// returns the short name of this commit, `None` if there is none.
    ///
    /// # Errors
    /// The folder has other content or cannot be written, or git is missing.
    pub fn unpack(self, folder: &Path) -> Result<Option<String>, DemoError> {
        let failed = |source: io::Error| DemoError::Write { folder: folder.to_owned(), source };
        if self.files().iter().all(|(name, text, _)| is_there(&folder.join(name), text)) && folder.join(".git").exists()
        {
            return Ok(None);
        }
        let is_copy = self.is_copy(folder);
        if !is_copy {
            check_empty(folder)?;
        }
        let is_changed = || Ok::<_, GitError>(!git::git(folder, ["status", "--porcelain"])?.trim().is_empty());
        let mut changes = None;
        if is_copy && is_changed()? && !is_only_broken(folder)? {
            commit(folder, "Your changes")?;
            changes = Some(git::git(folder, ["rev-parse", "--short", "HEAD"])?.trim().to_owned());
        }
        for (name, text, is_program) in self.files() {
            let path = folder.join(name);
            write(&path, text, *is_program).map_err(failed)?;
        }
        if !is_copy {
            git::git(folder, ["init", "--quiet", "--initial-branch", "main"])?;
            commit(folder, "Begin")?;
        } else if is_changed()? {
            commit(folder, "Restore")?;
        }
        Ok(changes)
    }

    /// Whether a folder is a copy of this project that [`Self::unpack`] made, and has no other files: those would be
    /// trusted with it, and a link would lead to a file that is not part of it.
    fn is_copy(self, folder: &Path) -> bool {
        let is_own = |entry: &DirEntry| {
            let name = entry.path().strip_prefix(folder).ok();
            entry.file_type().is_dir()
                || (entry.file_type().is_file() && self.files().iter().any(|(own, ..)| name == Some(Path::new(own))))
        };
        let inside = WalkDir::new(folder).min_depth(1).into_iter().filter_entry(|entry| entry.file_name() != ".git");
        let first = ["log", "--max-parents=0", "--format=%ae"];
        folder.join(".git").is_dir()
            && folder.join(self.workflow()).is_file()
            && inside.into_iter().all(|entry| entry.is_ok_and(|entry| is_own(&entry)))
            && git::git(folder, first).is_ok_and(|author| author.trim() == AUTHOR)
    }

    /// Returns the request for a run of the unpacked project. The project is part of this program, so it needs no
    /// trust. `has_service` is whether [`fetch_service`] succeeded.
    #[must_use]
    pub fn request(self, folder: &Path, has_service: bool) -> LaunchRequest {
        let service = has_service.then(|| ("SERVICE_IMAGE".to_owned(), SERVICE_IMAGE.to_owned()));
        let vars: IndexMap<_, _> = service.into_iter().collect();
        LaunchRequest { vars, trust: true, ..LaunchRequest::new(folder, self.workflow(), PUSH) }
    }
}

/// Checks that a folder has no content, which would be mixed with the files of a project.
fn check_empty(folder: &Path) -> Result<(), DemoError> {
    let is_occupied = folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if is_occupied { Err(DemoError::Occupied(folder.to_owned())) } else { Ok(()) }
}

/// Whether a file has this text.
fn is_there(path: &Path, text: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|found| found == text)
}

/// Writes a file, and the folders above it.
fn write(path: &Path, text: &str, is_program: bool) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::write(path, text)?;
    if is_program {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Whether the only change of a copy is the one that [`break_test`] makes.
fn is_only_broken(folder: &Path) -> Result<bool, GitError> {
    let (name, ..) = FAULT;
    let changed = git::git(folder, ["diff", "HEAD", "--name-only"])?;
    Ok(changed.trim() == name && is_there(&folder.join(name), &broken()))
}

/// Returns the program of the plain project with the wrong line.
fn broken() -> String {
    let (name, right, wrong) = FAULT;
    let whole = TALLY.iter().find(|(own, ..)| *own == name).map(|(_, text, _)| *text).unwrap_or_default();
    whole.replace(right, wrong)
}

/// Commits all files of a project.
fn commit(folder: &Path, message: &str) -> Result<(), GitError> {
    git::git(folder, ["add", "--all"])?;
    let address = format!("user.email={AUTHOR}");
    let author = ["-c", "user.name=cuelight", "-c", &address];
    let commit = ["commit", "--quiet", "--no-gpg-sign", "--message", message];
    git::git(folder, author.into_iter().chain(commit))?;
    Ok(())
}

/// Breaks a program of the unpacked plain project, so that its test fails and points at the line. Returns the path of
/// the file in the project. Changes that the user made to that file are lost.
///
/// # Errors
/// The file cannot be written.
pub fn break_test(folder: &Path) -> Result<&'static str, DemoError> {
    let (name, ..) = FAULT;
    fs::write(folder.join(name), broken()).map_err(|source| DemoError::Write { folder: folder.to_owned(), source })?;
    Ok(name)
}

/// Fetches the image of the plain project's service unless it exists. Returns whether a provider of containers answers
/// at all. `on_download` is called at most once, when a download begins.
///
/// # Errors
/// The provider answers, and the image cannot be fetched in time.
pub async fn fetch_service(on_download: &(dyn Fn() + Sync)) -> Result<bool, ServiceError> {
    let providers = Providers::of_this_process();
    fetch(providers.containers(), on_download).await
}

async fn fetch(containers: &dyn Provider, on_download: &(dyn Fn() + Sync)) -> Result<bool, ServiceError> {
    if containers.check().await.is_err() {
        return Ok(false);
    }
    let once = Once::new();
    let progress = |_| once.call_once(on_download);
    timeout(FETCH_TIMEOUT, containers.fetch_image(SERVICE_IMAGE, &progress))
        .await
        .map_err(|_| ServiceError::Timeout)??;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_unpacked_once_and_never_over_something_else() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("demo");
        Project::Tally.unpack(&folder).expect("unpacked");
        let mode = fs::metadata(folder.join("bin/tally")).expect("there").permissions().mode();
        assert_eq!(mode & 0o111, 0o111);
        let log = || git::git(&folder, ["log", "--format=%an %s"]).expect("a commit");
        assert_eq!(log().trim(), "cuelight Begin");
        Project::Tally.unpack(&folder).expect("kept");
        assert_eq!(log().trim(), "cuelight Begin");
        assert!(matches!(Project::Aura.unpack(&folder), Err(DemoError::Occupied(_))));
    }

    #[test]
    fn a_broken_copy_is_restored() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("demo");
        Project::Tally.unpack(&folder).expect("unpacked");
        let tally = || fs::read_to_string(folder.join("bin/tally")).expect("there");
        let (whole, status) = (tally(), || git::git(&folder, ["status", "--porcelain"]).expect("a repository"));
        assert_eq!(break_test(&folder).expect("broken"), "bin/tally");
        assert_ne!(tally(), whole);
        assert_eq!(Project::Tally.unpack(&folder).expect("restored"), None, "the user has changed nothing");
        assert_eq!((tally(), status().as_str()), (whole.clone(), ""));
        // Changes of the user are kept as a commit, with those of a broken program.
        break_test(&folder).expect("broken");
        fs::write(folder.join("README.md"), "mine").expect("written");
        let kept = Project::Tally.unpack(&folder).expect("restored").expect("a commit");
        assert_eq!((tally(), status().as_str()), (whole, ""));
        let show = |what: &str| git::git(&folder, ["show", what]).expect("in the commit");
        assert_eq!(show(&format!("{kept}:README.md")), "mine");
        // A copy that an earlier version made has other files in its commits.
        fs::write(folder.join("README.md"), "earlier").expect("written");
        commit(&folder, "Earlier").expect("a commit");
        Project::Tally.unpack(&folder).expect("restored");
        assert_eq!(status(), "");
        // A folder with other files, or with a link in place of one, is not touched.
        for make in
            [|path: &Path| fs::write(path, "mine"), |path: &Path| std::os::unix::fs::symlink("/etc/passwd", path)]
        {
            break_test(&folder).expect("broken");
            make(&folder.join("notes")).expect("made");
            assert!(matches!(Project::Tally.unpack(&folder), Err(DemoError::Occupied(_))));
            fs::remove_file(folder.join("notes")).expect("removed");
        }
        Project::Tally.unpack(&folder).expect("restored");
        // Nor is a repository of another author.
        git::git(&folder, ["checkout", "--quiet", "--orphan", "own"]).expect("a branch");
        fs::write(folder.join("README.md"), "own").expect("written");
        git::git(&folder, ["add", "--all"]).expect("added");
        let author = ["-c", "user.name=x", "-c", "user.email=x@x"];
        let commit = ["commit", "--quiet", "--no-gpg-sign", "--message", "Own"];
        git::git(&folder, author.into_iter().chain(commit)).expect("a commit");
        assert!(matches!(Project::Tally.unpack(&folder), Err(DemoError::Occupied(_))));
    }

    #[test]
    fn the_service_is_asked_for_by_a_variable() {
        let folder = Path::new("/demo");
        assert_eq!(Project::Tally.request(folder, true).vars["SERVICE_IMAGE"], SERVICE_IMAGE);
        let plain = Project::Aura.request(folder, false);
        assert_eq!(
            (plain.vars.len(), plain.workflow.as_deref(), plain.trust),
            (0, Some(".github/workflows/ci.yml"), true)
        );
    }
}
