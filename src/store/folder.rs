//! Paths in the state folder and in the run folders. The modules for `numbers.json` and `tools` define their own paths.
//!
//! ```text
//! state/
//!   runs/<run id>/      one folder per run, see [`RunFolder`]
//!   index.json, index/  cache over all runs, see [`super::history`]
//!   active/<run id>     empty file for each run that has not ended
//!   concurrency/        tickets of concurrency groups
//!   ports/              locks on ports of this machine
//!   key                 secret that seals the documents of runs
//!   trust.json          repositories that may run workflows here
//!   github/             answers of servers, locks of changes, tokens
//!   cache/<repository>/ what steps saved with `actions/cache`, see [`super::cache`]
//!   warm/<repository>/  dependency folders of successful runs, see [`super::warm`]
//!   uploads/            `staging`: a cache entry that a person adds, while it is prepared, with its lock
//!   oidc-key            key that signs the identity tokens of jobs
//!   launched            id of the run whose worker was started last
//!   last_id, ids.lock   the newest id that was given to a run
//!   environments/       ledgers of repositories, and saved states of their deployment targets
//!   numbers.json        last run number of every workflow, see [`super::numbers`]
//!   tools               installations of languages that the user added
//! ```

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::model::{JobId, RunId, StepNumber};

use super::StoreError;
use super::ids::{ID_TIME, MIRROR_ID_FORM, is_run_id};

/// The state folder, with the folders of all runs.
#[derive(Clone, Debug)]
pub struct RunsDir {
    state: PathBuf,
}

/// The folder of one run.
///
/// ```text
/// run.json            the request of the run, see [`super::spec`]
/// events.jsonl        journal, see [`super::journal`]
/// logs/<job>/<step>   output of steps, see [`super::logs`]
/// summary/<job>/...   job summaries in Markdown
/// state/<job>.jsonl   checkpoints of jobs
/// deployment.json     plan of a deployment, and its position in it
/// uncommitted.diff    uncommitted changes that the first attempt used; `uncommitted-2.diff` those of the second
/// work/<job>/         workspace, temporary files and control folder of a job
/// artifacts/<id>/     artifacts that steps uploaded, see [`super::artifacts`]
/// artifacts/staging   an artifact that a person adds, while it is prepared; `staging.lock` is its lock
/// artifacts/changed   empty file with the time at which a person has last added an artifact
/// artifacts/last_removed  the highest id of a removed artifact
/// uploads/            unfinished uploads of artifacts and caches
/// lock, control.sock, worker.log, ballast, engine, seal
/// ```
#[derive(Clone, Debug)]
pub struct RunFolder {
    id: RunId,
    path: PathBuf,
}

/// Returns the state folder of the user: `CUELIGHT_STATE_DIR`, else `$XDG_STATE_HOME/cuelight`, else the platform's
/// folder for state. Only modules that close lost runs may call this; `tests/integration/imports.rs` checks it.
///
/// # Errors
/// There is no home folder, or the path is not UTF-8.
pub fn locate() -> Result<RunsDir, StoreError> {
    let named = std::env::var_os("CUELIGHT_STATE_DIR").filter(|path| !path.is_empty());
    let state = if let Some(path) = named {
        std::path::absolute(&path).unwrap_or_else(|_| PathBuf::from(&path))
    } else {
        let home = directories::ProjectDirs::from("", "", "cuelight").ok_or(StoreError::NoHome)?;
        home.state_dir().unwrap_or_else(|| home.data_local_dir()).to_owned()
    };
    if state.to_str().is_some() { Ok(RunsDir::at(state)) } else { Err(StoreError::NotUtf8(state)) }
}

impl RunsDir {
    /// Returns the state folder at a path.
    #[must_use]
    pub fn at(state: impl Into<PathBuf>) -> Self {
        Self { state: state.into() }
    }

    /// Returns the path of the state folder.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Returns the path of `runs`: a folder per run.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.state.join("runs")
    }

    /// Returns the folder of a run, whether it exists or not.
    #[must_use]
    pub fn folder(&self, id: RunId) -> RunFolder {
        let path = self.runs().join(id.as_str());
        RunFolder { id, path }
    }

    /// Returns the path of `trust.json`: repositories that may run workflows on this machine.
    #[must_use]
    pub fn trust(&self) -> PathBuf {
        self.state.join("trust.json")
    }

    /// Returns the path of `key`: the secret that seals the documents of runs, see [`super::seal`].
    pub(super) fn key(&self) -> PathBuf {
        self.state.join("key")
    }

    /// Returns the path of `launched`: rewritten whenever a worker starts, which wakes watchers of the state folder.
    #[must_use]
    pub fn launched(&self) -> PathBuf {
        self.state.join("launched")
    }

    /// Returns the path of `concurrency`: tickets of the concurrency groups.
    #[must_use]
    pub fn concurrency(&self) -> PathBuf {
        self.state.join("concurrency")
    }

    /// Returns the path of `environments`: the ledgers of repositories, and the saved states of their targets.
    #[must_use]
    pub fn environments(&self) -> PathBuf {
        self.state.join("environments")
    }

    /// Returns the path of `ports`: a lock file for each port that a job has claimed.
    #[must_use]
    pub fn ports(&self) -> PathBuf {
        self.state.join("ports")
    }

    /// Returns the path of `github`: data of servers, in `answers/`, `branches/`, `hosts/` and `tokens/`.
    #[must_use]
    pub fn github(&self) -> PathBuf {
        self.state.join("github")
    }

    /// Returns the path of `github/branches`: notes about temporary branches on servers.
    #[must_use]
    pub fn github_branches(&self) -> PathBuf {
        self.github().join("branches")
    }

    /// Returns the path of `github/answers`: answers of all servers, for conditional requests.
    #[must_use]
    pub fn github_answers(&self) -> PathBuf {
        self.github().join("answers")
    }

    /// Returns the path of `github/hosts/<name>`: a file about a server: the lock for changes, a pause that the
    /// server asked for, or permissions that a token lacks.
    #[must_use]
    pub fn github_host(&self, name: &str) -> PathBuf {
        self.github().join("hosts").join(name)
    }

    /// Returns the path of `github/tokens/<name>`: the token that `cuelight auth login` got from a server.
    #[must_use]
    pub fn github_token(&self, name: &str) -> PathBuf {
        self.github().join("tokens").join(name)
    }

    /// Returns the path of `cache`: a folder per repository, see [`super::cache`].
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.state.join("cache")
    }

    /// Returns the path of `uploads`: a folder in which entries of caches are prepared that a person adds.
    #[must_use]
    pub fn uploads(&self) -> PathBuf {
        self.state.join("uploads")
    }

    /// Returns the path of `warm`: a folder per repository, see [`super::warm`].
    #[must_use]
    pub fn warm(&self) -> PathBuf {
        self.state.join("warm")
    }

    /// Returns the path of `oidc-key`: the key that signs the identity tokens of jobs.
    #[must_use]
    pub fn oidc_key(&self) -> PathBuf {
        self.state.join("oidc-key")
    }

    /// Returns the path of `last_id`: the newest id that was assigned to a run.
    pub(super) fn last_id(&self) -> PathBuf {
        self.state.join("last_id")
    }

    /// Returns the path of `ids.lock`: locked while an id is assigned.
    pub(super) fn ids_lock(&self) -> PathBuf {
        self.state.join("ids.lock")
    }

    /// Returns the path of `active`: an empty file for each run that has not ended.
    pub(super) fn active(&self) -> PathBuf {
        self.state.join("active")
    }

    /// Returns the path of `active/<run id>`.
    pub(super) fn active_mark(&self, id: &RunId) -> PathBuf {
        self.active().join(id.as_str())
    }

    /// Returns the path of `index`: segments of the index over all runs.
    pub(super) fn index(&self) -> PathBuf {
        self.state.join("index")
    }

    /// Returns the path of `index.json`: fingerprint of the runs and segments at the time the index was complete.
    pub(super) fn index_state(&self) -> PathBuf {
        self.state.join("index.json")
    }

    /// Returns the path of `index.jsonl`: the index of earlier versions.
    pub(super) fn old_index(&self) -> PathBuf {
        self.state.join("index.jsonl")
    }

    /// Lists the ids of all runs, newest first. Reads the whole folder, which takes half a second for a million runs,
    /// so lists for people use [`super::history::page`]. Without the folder there are no runs.
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

    /// Returns the mirrors of runs on servers by their [digest](super::ids::mirror_digest). If a run has several
    /// mirrors, the oldest is returned.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn mirrors(&self) -> Result<HashMap<String, RunId>, StoreError> {
        let ids = self.list()?.into_iter().filter(|id| id.as_str().len() == MIRROR_ID_FORM.len());
        // The ids are sorted newest first, so the oldest mirror of a run comes last and replaces the others in the map.
        Ok(ids.map(|id| (id.as_str()[ID_TIME + 1..].to_owned(), id)).collect())
    }
}

/// Returns a builder for folders that only their owner may enter, because logs may contain private data.
pub(super) fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// Creates a folder that only its owner may enter, with its parents. Removes the access of other users to an existing
/// folder.
///
/// # Errors
/// The folder cannot be created, or other users have access to it and it belongs to one of them.
pub fn make_private(path: &Path) -> io::Result<()> {
    private().recursive(true).create(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700))?;
    }
    Ok(())
}

impl RunFolder {
    /// Returns the folder of a run at any path, such as an unpacked bug report.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let id = RunId::new(path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default());
        Self { id, path }
    }

    /// Returns the id of the run: the name of the folder.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Returns the identity of the folder on the disk. A moved folder keeps its identity; a copy has a different one.
    /// Empty if the folder does not exist.
    #[must_use]
    pub fn identity(&self) -> String {
        fs::metadata(&self.path).map(|folder| format!("{:x}-{:x}", folder.dev(), folder.ino())).unwrap_or_default()
    }

    /// Returns the path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the state folder: two folders up. A copy near the root of the file system is its own state folder.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.path.parent().and_then(Path::parent).unwrap_or(&self.path)
    }

    /// Returns the folder of all runs that contains this one.
    #[must_use]
    pub fn runs(&self) -> RunsDir {
        RunsDir::at(self.state())
    }

    /// Returns the path of `run.json`: the request of the run.
    #[must_use]
    pub fn spec_path(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// Returns the path of `seal`: proof that `run.json` was written on this machine, see [`super::seal`].
    pub(super) fn seal(&self) -> PathBuf {
        self.path.join("seal")
    }

    /// Returns the path of `events.jsonl`: the journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// Returns the path of `control.sock`: the worker's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// Returns the path of `lock`: locked by the worker as long as it lives.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Returns the path of the uncommitted changes that an attempt used: `uncommitted.diff` for the first one,
    /// `uncommitted-2.diff` for the second one. The file exists only if there were any.
    #[must_use]
    pub fn diff(&self, attempt: u32) -> PathBuf {
        self.path.join(if attempt > 1 { format!("uncommitted-{attempt}.diff") } else { "uncommitted.diff".to_owned() })
    }

    /// Returns the path of `worker.log`: diagnostics of the worker.
    #[must_use]
    pub fn worker_log(&self) -> PathBuf {
        self.path.join("worker.log")
    }

    /// Returns the path of `deployment.json`: the plan of a deployment, and its position in it.
    #[must_use]
    pub fn deployment(&self) -> PathBuf {
        self.path.join("deployment.json")
    }

    /// Returns the path of `ballast`: disk space that is freed for the last records when the disk is full.
    #[must_use]
    pub fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Returns the path of `engine`: address of the container engine that the run uses, if any.
    #[must_use]
    pub fn engine(&self) -> PathBuf {
        self.path.join("engine")
    }

    /// Returns the path of `work`: a folder per job.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// Returns the folder of a job: its workspace, temporary files and control folder.
    #[must_use]
    pub fn job_work(&self, job: &JobId) -> PathBuf {
        self.work().join(&*file_name(job))
    }

    /// Returns the path of `artifacts`: a folder per artifact, see [`super::artifacts`].
    #[must_use]
    pub fn artifacts(&self) -> PathBuf {
        self.path.join("artifacts")
    }

    /// Returns the path of `uploads`: unfinished uploads of the attempt in progress. Those of earlier attempts are
    /// removed.
    #[must_use]
    pub fn uploads(&self) -> PathBuf {
        self.path.join("uploads")
    }

    /// Returns the path of `logs`: a folder per job and attempt.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Returns the path of a step's log. Every attempt has its own folder, so it does not overwrite the logs of earlier
    /// ones.
    #[must_use]
    pub fn log(&self, job: &JobId, attempt: u32, step: StepNumber) -> PathBuf {
        self.logs().join(of_attempt(job, attempt)).join(format!("{:03}.log", step.0))
    }

    /// Returns the path of the summary that a step wrote, in Markdown.
    #[must_use]
    pub fn summary(&self, job: &JobId, attempt: u32, step: StepNumber) -> PathBuf {
        self.path.join("summary").join(of_attempt(job, attempt)).join(format!("{:03}.md", step.0))
    }

    /// Returns the path of `state`: checkpoints of all jobs.
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Returns the path of a job's checkpoints, one line for each finished step.
    #[must_use]
    pub fn checkpoint(&self, job: &JobId) -> PathBuf {
        self.checkpoints().join(format!("{}.jsonl", file_name(job)))
    }

    /// Returns the path of the note about the repositories that a job checked out.
    #[must_use]
    pub fn checkouts(&self, job: &JobId) -> PathBuf {
        self.checkpoints().join(format!("{}.checkouts.json", file_name(job)))
    }

    /// Returns the path of the note about the dependency folders of a job.
    #[must_use]
    pub fn dependencies(&self, job: &JobId) -> PathBuf {
        self.checkpoints().join(format!("{}.dependencies.json", file_name(job)))
    }
}

fn of_attempt(job: &JobId, attempt: u32) -> String {
    let name = file_name(job);
    if attempt <= 1 { name.into_owned() } else { format!("{name}@{attempt}") }
}

/// Returns a job's id as a file name. Ids of a plan are always safe, but a journal from elsewhere may contain an id
/// that leads out of the folder.
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
    use crate::model::Timestamp;
    use crate::store::ids::{id_time, id_timestamp, new_id};

    #[test]
    fn ids_sort_by_age_and_foreign_names_are_ignored() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        assert_eq!(runs.list().expect("empty"), []);
        let [first, second] = [1_700_000_000_000, 1_700_000_100_000].map(|at| new_id(Timestamp(at), None));
        for name in [first.as_str(), "notes", second.as_str()] {
            fs::create_dir_all(runs.runs().join(name)).expect("made");
        }
        assert_eq!(runs.list().expect("two"), [second.clone(), first]);
        assert_eq!(id_timestamp(&second), Timestamp(1_700_000_100_000));
        assert!(second.as_str() > id_time(Timestamp(1_700_000_100_000)).as_str());
        assert!(second.as_str() < id_time(Timestamp(1_700_000_101_000)).as_str());
    }

    #[test]
    fn later_attempts_have_separate_logs() {
        let folder = RunFolder::at("/r/1");
        let job = JobId::new("test-2");
        assert_eq!(folder.log(&job, 1, StepNumber(3)), Path::new("/r/1/logs/test-2/003.log"));
        assert_eq!(folder.log(&job, 2, StepNumber(3)), Path::new("/r/1/logs/test-2@2/003.log"));
    }

    #[test]
    fn no_job_id_of_a_foreign_journal_leads_out_of_the_folder() {
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
