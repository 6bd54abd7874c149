//! Paths of the state folder and of the run folders in it. All paths are defined here and nowhere else.
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
//!   oidc-key            key that signs the identity tokens of jobs
//!   launched            id of the run whose worker was started last
//!   last_id, ids.lock   the newest id that was given to a run
//! ```

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::model::{JobId, RunId, StepNumber, Timestamp};

use super::StoreError;
use super::digest::sha256;

/// The state folder, with the folders of all runs.
#[derive(Clone, Debug)]
pub struct RunsDir {
    state: PathBuf,
}

/// The folder of one run.
///
/// ```text
/// run.json            what was asked for, see [`super::spec`]
/// events.jsonl        journal, see [`super::journal`]
/// logs/<job>/<step>   output of steps, see [`super::logs`]
/// summary/<job>/...   job summaries in Markdown
/// state/<job>.jsonl   checkpoints of jobs
/// deployment.json     plan of a deployment, and its position in it
/// work/<job>/         workspace, temporary files and control folder of a job
/// artifacts/<id>/     artifacts that steps uploaded, see [`super::artifacts`]
/// uploads/            unfinished uploads of artifacts and caches
/// lock, control.sock, worker.log, ballast, engine, seal
/// ```
#[derive(Clone, Debug)]
pub struct RunFolder {
    id: RunId,
    path: PathBuf,
}

/// Returns the state folder of the user: `CUELIGHT_STATE_DIR`, else `$XDG_STATE_HOME/cuelight`, else the platform's folder
/// for state. Only rooms that close lost runs may call this, which `tests/integration/imports.rs` holds.
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

    /// `runs`: a folder per run.
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

    /// `trust.json`: repositories that may run workflows on this machine.
    #[must_use]
    pub fn trust(&self) -> PathBuf {
        self.state.join("trust.json")
    }

    /// `key`: the secret that seals the documents of runs, see [`super::seal`].
    pub(super) fn key(&self) -> PathBuf {
        self.state.join("key")
    }

    /// `launched`: rewritten whenever a worker starts, which wakes those who watch the state folder.
    #[must_use]
    pub fn launched(&self) -> PathBuf {
        self.state.join("launched")
    }

    /// `concurrency`: tickets of the concurrency groups.
    #[must_use]
    pub fn concurrency(&self) -> PathBuf {
        self.state.join("concurrency")
    }

    /// `environments`: the ledgers of repositories, and what their targets had last.
    #[must_use]
    pub fn environments(&self) -> PathBuf {
        self.state.join("environments")
    }

    /// `ports`: a lock file for each port that a job has claimed.
    #[must_use]
    pub fn ports(&self) -> PathBuf {
        self.state.join("ports")
    }

    /// `github`: what is kept of servers: `answers/`, `hosts/` and `tokens/`.
    #[must_use]
    pub fn github(&self) -> PathBuf {
        self.state.join("github")
    }

    /// `github/answers`: answers of all servers, for conditional requests.
    #[must_use]
    pub fn github_answers(&self) -> PathBuf {
        self.github().join("answers")
    }

    /// `github/hosts/<name>`: the lock and the time of the last change on a server.
    #[must_use]
    pub fn github_host(&self, name: &str) -> PathBuf {
        self.github().join("hosts").join(name)
    }

    /// `github/tokens/<name>`: the token that `cuelight auth login` got from a server.
    #[must_use]
    pub fn github_token(&self, name: &str) -> PathBuf {
        self.github().join("tokens").join(name)
    }

    /// `cache`: a folder per repository, see [`super::cache`].
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.state.join("cache")
    }

    /// `oidc-key`: the key that signs the identity tokens of jobs.
    #[must_use]
    pub fn oidc_key(&self) -> PathBuf {
        self.state.join("oidc-key")
    }

    /// `last_id`: the newest id that was assigned to a run.
    pub(super) fn last_id(&self) -> PathBuf {
        self.state.join("last_id")
    }

    /// `ids.lock`: locked while an id is assigned.
    pub(super) fn ids_lock(&self) -> PathBuf {
        self.state.join("ids.lock")
    }

    /// `active`: an empty file for each run that has not ended.
    pub(super) fn active(&self) -> PathBuf {
        self.state.join("active")
    }

    /// `active/<run id>`.
    pub(super) fn active_mark(&self, id: &RunId) -> PathBuf {
        self.active().join(id.as_str())
    }

    /// `index`: segments of the index over all runs.
    pub(super) fn index(&self) -> PathBuf {
        self.state.join("index")
    }

    /// `index.json`: fingerprint of the runs and segments at the time the index was complete.
    pub(super) fn index_state(&self) -> PathBuf {
        self.state.join("index.json")
    }

    /// `index.jsonl`: the index of earlier versions.
    pub(super) fn old_index(&self) -> PathBuf {
        self.state.join("index.jsonl")
    }

    /// Lists the ids of all runs, newest first. Reads the whole folder, which takes half a second for a million runs:
    /// lists for people use [`super::history::page`]. Without the folder there are no runs.
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

    /// Returns the mirrors of runs on servers by their [digest](mirror_digest); of several mirrors of one run, the first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn mirrors(&self) -> Result<HashMap<String, RunId>, StoreError> {
        let ids = self.list()?.into_iter().filter(|id| id.as_str().len() == MIRROR_ID_FORM.len());
        // Newest first: the first mirror of a run comes last, and stays.
        Ok(ids.map(|id| (id.as_str()[ID_TIME + 1..].to_owned(), id)).collect())
    }
}

/// Returns a builder for folders that only their owner may enter: logs may contain more than their author expects.
pub(super) fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// Creates a folder that only its owner may enter, with its parents. Removes the access of other users to an existing
/// folder.
///
/// # Errors
/// The folder cannot be created, or belongs to another user.
pub fn make_private(path: &Path) -> io::Result<()> {
    private().recursive(true).create(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700))?;
    }
    Ok(())
}

/// Form of the id of a run of this machine: `YYYYMMDD-HHMMSS-xxxx` in UTC. These ids only grow within a state folder, so
/// that sorting ids sorts runs by the order in which they were created.
const ID_FORM: &[u8] = b"00000000-000000-xxxx";

/// Form of the id of a mirror, see [`mirror_id`].
const MIRROR_ID_FORM: &[u8] = b"00000000-000000-xxxxxxxxxxxx";

/// Length of the time in an id, in bytes.
const ID_TIME: usize = 15;

/// Returns an id that is greater than `last`. If the current second is not later than that of `last` (several runs in a
/// second, or a clock that was set back), it is the time of `last` with the next last part.
pub(super) fn new_id(now: Timestamp, last: Option<&RunId>) -> RunId {
    // In the lower half of the range, so that there is room for the runs of the same second.
    let random = getrandom::u32().unwrap_or(std::process::id()) & 0x7fff;
    let new = |time: &str, part: u32| RunId::new(format!("{time}-{part:04x}"));
    let time = id_time(now);
    let Some(last) = last.filter(|last| is_local_id(last.as_str()) && last.as_str()[..ID_TIME] >= *time) else {
        return new(&time, random);
    };
    let (then, part) = last.as_str().split_at(ID_TIME);
    match u32::from_str_radix(&part[1..], 16).unwrap_or(u32::MAX) {
        part @ ..0xffff => new(then, part + 1),
        _ => new(&id_time(Timestamp(id_timestamp(last).0 + 1000)), random),
    }
}

/// Returns the id of the mirror of a run on a server. It depends on its arguments alone, so that every process finds the
/// folder of a remote run without an index. `name` is the run's name among all servers, `HOST/OWNER/REPOSITORY/ID`; its
/// digest has 48 bits, and only runs of the same second can share it.
#[must_use]
pub fn mirror_id(name: &str, created: Timestamp) -> RunId {
    RunId::new(format!("{}-{}", id_time(created), mirror_digest(name)))
}

/// Returns the last part of the id of a mirror, which depends on the run's name alone.
#[must_use]
pub fn mirror_digest(name: &str) -> String {
    let digits = MIRROR_ID_FORM.len() - ID_TIME - 1;
    sha256(name, digits / 2)
}

/// Returns the id of a run of this machine as a number that is unique in the state folder and grows with the ids:
/// `github.run_id`. `None` if the name of the folder is the id of a mirror, or not a run's id.
#[must_use]
pub fn id_number(id: &RunId) -> Option<u64> {
    let part = is_local_id(id.as_str()).then(|| u64::from_str_radix(&id.as_str()[ID_TIME + 1..], 16).ok())??;
    Some((id_timestamp(id).0 / 1000) << 16 | part)
}

/// Returns the time part of an id, `YYYYMMDD-HHMMSS`: ids of earlier runs sort before it.
pub(super) fn id_time(at: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or_default()).unwrap_or_default();
    time.strftime("%Y%m%d-%H%M%S").to_string()
}

/// Returns the time in an id; 1970 if the id has no time.
#[must_use]
pub fn id_timestamp(id: &RunId) -> Timestamp {
    let text = id.as_str().get(..ID_TIME).unwrap_or_default();
    let time =
        jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", text).and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC));
    let milliseconds = time.map(|time| time.timestamp().as_millisecond()).unwrap_or_default();
    Timestamp(u64::try_from(milliseconds).unwrap_or_default())
}

/// Whether a name is the id of a run. Other files beside the runs are ignored.
pub(super) fn is_run_id(name: &str) -> bool {
    is_local_id(name) || (name.len() == MIRROR_ID_FORM.len() && fits(name, MIRROR_ID_FORM))
}

/// Whether a name is the id of a run of this machine.
fn is_local_id(name: &str) -> bool {
    name.len() == ID_FORM.len() && fits(name, ID_FORM)
}

/// Whether a text can be the beginning of an id, and cannot be the end of the id of a run of this machine.
pub(super) fn is_id_prefix(text: &str) -> bool {
    (5..=MIRROR_ID_FORM.len()).contains(&text.len()) && fits(text, MIRROR_ID_FORM)
}

fn fits(text: &str, form: &[u8]) -> bool {
    text.bytes().zip(form).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_hexdigit(),
        _ => byte == *form,
    })
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

    /// Returns the identity of the folder on the disk: a moved folder keeps it, a copy has another one. Empty if the
    /// folder does not exist.
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

    /// `run.json`: what was asked for.
    #[must_use]
    pub fn spec_path(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// `seal`: proof that `run.json` was written on this machine, see [`super::seal`].
    pub(super) fn seal(&self) -> PathBuf {
        self.path.join("seal")
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

    /// `lock`: locked by the worker as long as it lives.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Diff of the uncommitted changes that the run used, if there were any.
    #[must_use]
    pub fn diff(&self) -> PathBuf {
        self.path.join("uncommitted.diff")
    }

    /// `worker.log`: diagnostics of the worker.
    #[must_use]
    pub fn worker_log(&self) -> PathBuf {
        self.path.join("worker.log")
    }

    /// `deployment.json`: the plan of a deployment, and its position in it.
    #[must_use]
    pub fn deployment(&self) -> PathBuf {
        self.path.join("deployment.json")
    }

    /// `ballast`: disk space that is freed for the last records when the disk is full.
    #[must_use]
    pub fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// `engine`: address of the container engine that the run uses, if any.
    #[must_use]
    pub fn engine(&self) -> PathBuf {
        self.path.join("engine")
    }

    /// `work`: a folder per job.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// Returns the folder of a job: its workspace, temporary files and control folder.
    #[must_use]
    pub fn job_work(&self, job: &JobId) -> PathBuf {
        self.work().join(&*file_name(job))
    }

    /// `artifacts`: a folder per artifact, see [`super::artifacts`].
    #[must_use]
    pub fn artifacts(&self) -> PathBuf {
        self.path.join("artifacts")
    }

    /// `uploads`: unfinished uploads of the attempt in progress. Whatever an earlier attempt left in it is removed.
    #[must_use]
    pub fn uploads(&self) -> PathBuf {
        self.path.join("uploads")
    }

    /// `logs`: a folder per job and attempt.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Returns the path of a step's log. Later attempts have separate folders, so no log is ever overwritten.
    #[must_use]
    pub fn log(&self, job: &JobId, attempt: u32, step: StepNumber) -> PathBuf {
        self.logs().join(of_attempt(job, attempt)).join(format!("{:03}.log", step.0))
    }

    /// Returns the path of the summary that a step wrote, in Markdown.
    #[must_use]
    pub fn summary(&self, job: &JobId, attempt: u32, step: StepNumber) -> PathBuf {
        self.path.join("summary").join(of_attempt(job, attempt)).join(format!("{:03}.md", step.0))
    }

    /// `state`: checkpoints of all jobs.
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Returns the path of a job's checkpoints, one line for each finished step.
    #[must_use]
    pub fn checkpoint(&self, job: &JobId) -> PathBuf {
        self.checkpoints().join(format!("{}.jsonl", file_name(job)))
    }
}

fn of_attempt(job: &JobId, attempt: u32) -> String {
    let name = file_name(job);
    if attempt <= 1 { name.into_owned() } else { format!("{name}@{attempt}") }
}

/// Returns a job's id as a file name. Ids of a plan are safe as they are; a journal from elsewhere may contain one that
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
    fn what_may_be_the_end_of_an_id_is_not_taken_for_its_beginning() {
        let id = new_id(Timestamp(1_700_000_000_000), None);
        for length in 1..20 {
            let (start, end) = (&id.as_str()[..length], &id.as_str()[20 - length..]);
            assert_eq!(is_id_prefix(start), length >= 5, "{start}");
            assert!(!is_id_prefix(end), "{end}");
        }
    }

    #[test]
    fn ids_and_their_numbers_only_grow_whatever_the_clock_does() {
        let mut last = new_id(Timestamp(1_700_000_000_000), None);
        // Within one second, back by an hour and by 50 years, and on again.
        let clock = [0, 0, 400, 999, -3_600_000, -1_500_000_000_000, -1, 1_000, 0, 5_000_000];
        for ahead in clock {
            let now = Timestamp(1_700_000_000_000_u64.saturating_add_signed(ahead));
            let next = new_id(now, Some(&last));
            assert!(next > last && id_number(&next) > id_number(&last), "{last} {next}");
            assert!(is_run_id(next.as_str()) && id_timestamp(&next) >= Timestamp(now.0 / 1000 * 1000), "{next}");
            last = next;
        }
        let full = RunId::new("20261231-235959-ffff");
        let next = new_id(Timestamp(0), Some(&full));
        assert!(next > full && next.as_str().starts_with("20270101-000000-"), "{next}");
        assert!(id_number(&next) > id_number(&full) && id_number(&RunId::new("copy")).is_none());
    }

    #[test]
    fn the_id_of_a_mirror_depends_on_its_run_alone_and_sorts_by_age() {
        let at = Timestamp(1_700_000_000_000);
        let id = mirror_id("github.com/octo/app/1", at);
        assert_eq!(id, mirror_id("github.com/octo/app/1", at));
        assert!(id != mirror_id("github.com/octo/app/2", at) && id != mirror_id("other.example/octo/app/1", at));
        assert!(is_run_id(id.as_str()) && id_number(&id).is_none() && id_timestamp(&id) == at, "{id}");
        assert!(id < new_id(Timestamp(at.0 + 1_000), None) && id > new_id(Timestamp(at.0 - 1_000), None));
        let next = new_id(at, Some(&id));
        assert!(id_number(&next).is_some(), "a mirror is not the last run of this machine: {next}");
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
