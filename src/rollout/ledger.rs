//! The file of a repository's ledger. It only grows: each entry is a line of JSON.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files;
use crate::model::deployment::{Actor, Entry, Ledger};
use crate::repo::git::Repository;
use crate::store::folder::{RunsDir, make_private};
use crate::store::{StoreError, digest, lock};

/// Maximum size of a ledger in bytes.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Length in bytes of the digest in a file name.
const DIGEST: usize = 12;

/// The ledger of one repository on this machine, with all its worktrees. Two clones of one origin share none: every
/// repository can name the origin of another one.
#[derive(Clone, Debug)]
pub struct LedgerFile {
    runs: RunsDir,
    /// Folder of objects and refs of the repository.
    scope: PathBuf,
}

impl LedgerFile {
    /// Returns the ledger of a repository.
    #[must_use]
    pub fn of(runs: &RunsDir, scope: &Path) -> Self {
        Self { runs: runs.clone(), scope: scope.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.runs.environments().join(format!("{}.jsonl", digest::sha256(self.scope.as_os_str().as_bytes(), DIGEST)))
    }

    /// Returns the path of what a target without a `status` command had after the last step.
    #[must_use]
    pub fn observed(&self, environment: &str) -> PathBuf {
        let name = format!("{}\n{environment}", self.scope.display());
        self.runs.environments().join(format!("{}.json", digest::sha256(name, DIGEST)))
    }

    /// Reads the entries. Without a file there are none; an incomplete line is skipped.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self) -> Result<Ledger, StoreError> {
        let path = self.path();
        let bytes = match files::read_own(&path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ledger::default()),
            Err(error) => return Err(StoreError::io("read", path)(error)),
        };
        let lines = bytes.split(|byte| *byte == b'\n');
        Ok(Ledger::new(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()))
    }

    /// Appends an entry, durably.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&self, entry: &Entry) -> Result<(), StoreError> {
        self.append_if(|_| Some(entry.clone())).map(drop)
    }

    /// Appends the entry that a decision about the entries so far returns. No other process writes in between. Returns it.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn append_if(&self, decide: impl FnOnce(&Ledger) -> Option<Entry>) -> Result<Option<Entry>, StoreError> {
        let folder = self.runs.environments();
        make_private(&folder).map_err(StoreError::io("make the folder", &folder))?;
        let path = self.path();
        let _one_at_a_time = lock::wait(&path.with_extension("lock"))?;
        let Some(entry) = decide(&self.read()?) else { return Ok(None) };
        let mut line = serde_json::to_vec(&entry).expect("an entry always serialises");
        line.push(b'\n');
        let write = || {
            let mut file = files::append_own(&path)?;
            // What a crash left of an entry must not swallow this one.
            if !ends_line(&files::read_own(&path, MAX_BYTES)?) {
                file.write_all(b"\n")?;
            }
            file.write_all(&line)?;
            file.sync_data()
        };
        write().map_err(StoreError::io("write", &path))?;
        Ok(Some(entry))
    }
}

fn ends_line(bytes: &[u8]) -> bool {
    bytes.last().is_none_or(|last| *last == b'\n')
}

/// Returns the person at this machine. `email` is that of git's settings.
#[must_use]
pub fn actor(repository: &Repository) -> Actor {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok().filter(|user| !user.is_empty());
    let user = user.unwrap_or_else(|| printed("id", "-un"));
    let host = printed("uname", "-n");
    Actor { user, host, email: repository.email.clone() }
}

/// Returns what a program prints; empty if it cannot be started.
fn printed(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::model::Timestamp;
    use crate::model::deployment::Action;

    fn locked(at: u64, reason: &str) -> Entry {
        Entry {
            at: Timestamp(at),
            by: Actor::default(),
            environment: "production".to_owned(),
            deployment: None,
            action: Action::Locked { until: None },
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn entries_are_appended_and_a_torn_line_costs_itself_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let file = LedgerFile::of(&RunsDir::at(home.path()), Path::new("/shop/.git"));
        assert_eq!(file.read().expect("nothing"), Ledger::default());
        file.append(&locked(1, "a")).expect("written");
        let mut torn = OpenOptions::new().append(true).open(file.path()).expect("there");
        torn.write_all(b"{\"at\": 7, \"by").expect("written");
        file.append(&locked(2, "b")).expect("written");
        let reasons: Vec<_> = file.read().expect("read").entries().iter().map(|entry| entry.reason.clone()).collect();
        assert_eq!(reasons, ["a", "b"]);
        let other = LedgerFile::of(&RunsDir::at(home.path()), Path::new("/other/.git"));
        assert_eq!(other.read().expect("nothing"), Ledger::default());
    }

    #[test]
    fn of_two_that_decide_at_once_one_is_first() {
        let home = tempfile::tempdir().expect("a folder");
        let file = LedgerFile::of(&RunsDir::at(home.path()), Path::new("/shop/.git"));
        let lock = |reason: &str| {
            let free = |ledger: &Ledger| ledger.lock("production", Timestamp(5)).is_none().then(|| locked(3, reason));
            file.append_if(free).expect("written").is_some()
        };
        let won = std::thread::scope(|scope| {
            let all = [scope.spawn(|| lock("a")), scope.spawn(|| lock("b"))];
            all.map(|one| one.join().expect("no panic"))
        });
        assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
    }
}
