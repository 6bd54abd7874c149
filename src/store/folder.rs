//! Where runs are kept: a folder per run, named by a time-ordered id.

use std::borrow::Cow;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::model::{JobId, RunId, StepNumber, Timestamp};

use super::StoreError;

/// The folder of all runs.
#[derive(Clone, Debug)]
pub struct RunsDir {
    state: PathBuf,
}

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    id: RunId,
    path: PathBuf,
}

impl RunsDir {
    /// The user's own: `CUELIGHT_STATE_DIR`, else `$XDG_STATE_HOME/cuelight`, else what the platform has for state.
    ///
    /// # Errors
    /// There is no home folder.
    pub fn locate() -> Result<Self, StoreError> {
        if let Some(path) = std::env::var_os("CUELIGHT_STATE_DIR").filter(|path| !path.is_empty()) {
            return Ok(Self::at(std::path::absolute(&path).unwrap_or_else(|_| PathBuf::from(&path))));
        }
        let home = directories::ProjectDirs::from("", "", "cuelight").ok_or(StoreError::NoHome)?;
        Ok(Self::at(home.state_dir().unwrap_or_else(|| home.data_local_dir())))
    }

    /// Another place, for tests.
    #[must_use]
    pub fn at(state: impl Into<PathBuf>) -> Self {
        Self { state: state.into() }
    }

    /// The state folder itself: trust and the history's index are beside the runs.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The folder that holds the runs' folders.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.state.join("runs")
    }

    /// Makes a folder for a new run. Two runs of one moment differ by their random part.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn create(&self, now: Timestamp) -> Result<RunFolder, StoreError> {
        let runs = self.runs();
        private().recursive(true).create(&runs).map_err(StoreError::io("make the folder", &runs))?;
        loop {
            let id = new_id(now);
            let path = runs.join(id.as_str());
            match private().create(&path) {
                Ok(()) => return Ok(RunFolder { id, path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::io("make the run's folder", path)(error)),
            }
        }
    }

    /// The ids of all runs, newest first. No folder means no runs.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<RunId>, StoreError> {
        let runs = self.runs();
        let entries = match fs::read_dir(&runs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read the folder", runs)(error)),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut ids: Vec<_> = names.filter(|name| is_run_id(name)).map(RunId::new).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    /// Finds a run by its id, the beginning or the end of its id, or `latest`.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn find(&self, wanted: &str) -> Result<RunFolder, StoreError> {
        let ids = self.list()?;
        if wanted == "latest" {
            let newest = ids.into_iter().next();
            return newest.map(|id| self.folder(id)).ok_or_else(|| no_such(wanted, None));
        }
        if let Some(id) = ids.iter().find(|id| id.as_str() == wanted) {
            return Ok(self.folder(id.clone()));
        }
        let fits =
            |id: &&RunId| !wanted.is_empty() && (id.as_str().starts_with(wanted) || id.as_str().ends_with(wanted));
        let mut candidates: Vec<_> = ids.iter().filter(fits).cloned().collect();
        match candidates.len() {
            0 => {
                let shared = |id: &RunId| id.as_str().bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
                let nearest = ids.iter().max_by_key(|id| shared(id)).filter(|id| shared(id) >= 4);
                Err(no_such(wanted, nearest.map(ToString::to_string)))
            }
            1 => Ok(self.folder(candidates.remove(0))),
            _ => Err(StoreError::Ambiguous {
                wanted: wanted.to_owned(),
                candidates: candidates.iter().take(5).map(ToString::to_string).collect(),
            }),
        }
    }

    /// The folder of a run that is known to exist.
    #[must_use]
    pub fn folder(&self, id: RunId) -> RunFolder {
        let path = self.runs().join(id.as_str());
        RunFolder { id, path }
    }
}

fn no_such(wanted: &str, nearest: Option<String>) -> StoreError {
    StoreError::NoSuchRun { wanted: wanted.to_owned(), nearest }
}

/// A folder that only its owner may enter: logs may tell more than their author thinks.
pub(super) fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// `YYYYMMDD-HHMMSS-xxxx` in UTC: sorting ids sorts runs by age.
fn new_id(now: Timestamp) -> RunId {
    let time = jiff::Timestamp::from_millisecond(i64::try_from(now.0).unwrap_or_default()).unwrap_or_default();
    let random = getrandom::u32().unwrap_or(std::process::id());
    RunId::new(format!("{}-{:04x}", time.strftime("%Y%m%d-%H%M%S"), random & 0xffff))
}

/// Whether a file has the name of a run. Whatever else somebody keeps beside the runs is not `latest`.
fn is_run_id(name: &str) -> bool {
    let form = b"00000000-000000-xxxx";
    let fits = |(byte, form): (u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_hexdigit(),
        _ => byte == *form,
    };
    name.len() == form.len() && name.bytes().zip(form).all(fits)
}

impl RunFolder {
    /// A run's folder wherever it is: a copy in a bug report is as good as one in the state folder.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let id = RunId::new(path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default());
        Self { id, path }
    }

    /// The run's id.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state folder: the one above all runs. A copy that is too high up for that stands for it.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.path.parent().and_then(Path::parent).unwrap_or(&self.path)
    }

    /// `run.json`: what was asked for.
    #[must_use]
    pub fn spec_path(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// `events.jsonl`: the journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// `control.sock`: the worker's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// `lock`: held by the worker as long as it lives.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// `worker.log`: the worker's own diagnostics.
    #[must_use]
    pub fn worker_log(&self) -> PathBuf {
        self.path.join("worker.log")
    }

    /// `work`: a folder per job.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// The log of a step. Later attempts have folders of their own, so nothing is ever overwritten.
    #[must_use]
    pub fn log(&self, job: &JobId, attempt: u32, step: StepNumber) -> PathBuf {
        self.path.join("logs").join(of_attempt(job, attempt)).join(format!("{:03}.log", step.0))
    }

    /// The summary that a step wrote.
    #[must_use]
    pub fn summary(&self, job: &JobId, attempt: u32, step: StepNumber) -> PathBuf {
        self.path.join("summary").join(of_attempt(job, attempt)).join(format!("{:03}.md", step.0))
    }

    /// How a job stood after each of its finished steps, a line each.
    #[must_use]
    pub fn checkpoint(&self, job: &JobId) -> PathBuf {
        self.path.join("state").join(format!("{}.jsonl", file_name(job)))
    }
}

fn of_attempt(job: &JobId, attempt: u32) -> String {
    let name = file_name(job);
    if attempt <= 1 { name.into_owned() } else { format!("{name}@{attempt}") }
}

/// A job's id as a file name. Ids of a plan are safe as they are; a journal that came from elsewhere may hold one that
/// leads out of the folder.
fn file_name(job: &JobId) -> Cow<'_, str> {
    let id = job.as_str();
    if !id.is_empty() && !id.starts_with('.') && !id.contains(['/', '\0']) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("_{}", id.replace(['/', '\0', '.'], "_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_age_and_are_found_by_their_ends() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        assert_eq!(runs.list().expect("empty"), []);
        assert!(matches!(runs.find("latest"), Err(StoreError::NoSuchRun { .. })));
        let first = runs.create(Timestamp(1_700_000_000_000)).expect("made");
        let second = runs.create(Timestamp(1_700_000_100_000)).expect("made");
        fs::create_dir(runs.runs().join("notes")).expect("made");
        assert_eq!(runs.list().expect("two"), [second.id().clone(), first.id().clone()]);
        assert_eq!(runs.find("latest").expect("newest").id(), second.id());
        assert_eq!(runs.find(first.id().as_str()).expect("whole").id(), first.id());
        assert_eq!(runs.find(&second.id().as_str()[..13]).expect("beginning").id(), second.id());
        assert!(matches!(runs.find("2023"), Err(StoreError::Ambiguous { .. })));
        let Err(StoreError::NoSuchRun { nearest, .. }) = runs.find("20231114-xxx") else { panic!("there is none") };
        assert!(nearest.is_some());
    }

    #[test]
    fn later_attempts_have_logs_of_their_own() {
        let folder = RunFolder::at("/r/1");
        let job = JobId::new("test-2");
        assert_eq!(folder.log(&job, 1, StepNumber(3)), Path::new("/r/1/logs/test-2/003.log"));
        assert_eq!(folder.log(&job, 2, StepNumber(3)), Path::new("/r/1/logs/test-2@2/003.log"));
    }

    #[test]
    fn no_job_of_a_journal_from_elsewhere_leads_out_of_the_folder() {
        let folder = RunFolder::at("/r/1");
        for hostile in ["..", "../../etc", "", "/etc", ".", "a/../../b", "\0"] {
            let job = JobId::new(hostile);
            for path in [folder.log(&job, 1, StepNumber(1)), folder.summary(&job, 2, StepNumber(1))] {
                assert_eq!(path.components().count(), 6, "{hostile:?}: {path:?}");
                assert!(!path.to_string_lossy().contains(".."), "{hostile:?}: {path:?}");
            }
            assert_eq!(folder.checkpoint(&job).components().count(), 5, "{hostile:?}");
        }
    }
}
