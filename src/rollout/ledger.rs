//! The file of a repository's ledger. It is append-only: after a line with the version, each line is an entry as JSON.
//!
//! An incomplete last line was left by a crash and was never reported as written, so readers skip it, and the next
//! writer removes it. Other lines that are not entries are kept and reported by number. A file without a version has
//! version 1.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::files;
use crate::model::deployment::{Actor, Entry, EnvironmentState, Ledger, UnreadableLine};
use crate::repo::git::Repository;
use crate::store::folder::{RunsDir, make_private};
use crate::store::{StoreError, digest, lock};

/// Version of the file that this program writes.
const VERSION: u32 = 1;

/// Maximum size of a ledger in bytes.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Extension of the file in which a target of Compose keeps its state, beside that of [`LedgerFile::observed`].
pub(super) const COMPOSE_STATE: &str = "compose.json";

/// Maximum length in bytes of the line with the version.
const MAX_HEADER: usize = 64;

/// Length in bytes of the digest in a file name.
const DIGEST: usize = 12;

/// First line of the file.
#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(rename = "cuelight_ledger")]
    version: u32,
}

/// The ledger of one repository on this machine, with all its worktrees. Two clones of one origin do not share a
/// ledger: any repository can claim the origin of another one.
#[derive(Clone, Debug)]
pub struct LedgerFile {
    runs: RunsDir,
    /// Folder of objects and refs of the repository.
    scope: PathBuf,
}

/// Interval between two checks of the ledger while a gate is closed, because another process may open the gate.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A value that is derived from the ledger, such as the state of an environment. The file is read again only if its
/// size has changed.
pub struct Latest<T = EnvironmentState> {
    file: LedgerFile,
    fold: Box<dyn Fn(Ledger) -> T + Send + Sync>,
    /// Size of the file in bytes before it was read, and the state. `None` before the first read.
    known: Option<(u64, T)>,
}

impl Latest {
    /// Creates a reader of the state of an environment. The ledger is read when the state is first requested.
    #[must_use]
    pub fn new(file: LedgerFile, environment: String) -> Self {
        Self::of(file, move |ledger| ledger.of(&environment))
    }
}

impl<T> Latest<T> {
    /// Creates a reader of the value that `fold` derives from the ledger. The ledger is read when the value is first
    /// requested.
    #[must_use]
    pub fn of(file: LedgerFile, fold: impl Fn(Ledger) -> T + Send + Sync + 'static) -> Self {
        Self { file, fold: Box::new(fold), known: None }
    }

    /// Returns the current state. Reads the file again if its size has changed.
    ///
    /// # Errors
    /// The file cannot be read, or is of a newer version.
    pub fn state(&mut self) -> Result<&T, StoreError> {
        let size = self.file.size();
        let known = match self.known.take() {
            Some(known) if known.0 == size => known,
            _ => (size, (self.fold)(self.file.read()?)),
        };
        Ok(&self.known.insert(known).1)
    }
}

impl LedgerFile {
    /// Returns the ledger of a repository. `scope` is the folder of its objects and refs.
    #[must_use]
    pub fn of(runs: &RunsDir, scope: &Path) -> Self {
        Self { runs: runs.clone(), scope: scope.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.runs.environments().join(format!("{}.jsonl", digest::sha256(self.scope.as_os_str().as_bytes(), DIGEST)))
    }

    /// Returns the path of the file with the state of a target after the last step.
    #[must_use]
    pub fn observed(&self, environment: &str) -> PathBuf {
        let name = format!("{}\n{environment}", self.scope.display());
        self.runs.environments().join(format!("{}.json", digest::sha256(name, DIGEST)))
    }

    /// Reads the entries, and the lines that are not entries. A missing file counts as empty, and an incomplete last
    /// line is skipped.
    ///
    /// # Errors
    /// The file cannot be read, or is of a newer version.
    pub fn read(&self) -> Result<Ledger, StoreError> {
        let path = self.path();
        let bytes = match files::read_own(&path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ledger::default()),
            Err(error) => return Err(StoreError::io("read", path)(error)),
        };
        let is_versioned = is_versioned(&bytes, &path)?;
        let (mut entries, mut unreadable) = (Vec::new(), Vec::new());
        for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
            if line.trim_ascii().is_empty() || (number == 1 && is_versioned) {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(entry) => entries.push(entry),
                Err(_) if !line.ends_with(b"\n") && !is_object(line) => {}
                Err(error) => unreadable.push(UnreadableLine {
                    position: format!("{}:{number}", path.display()),
                    // The position within the line does not help a person.
                    reason: error.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
                    environment: named_environment(line),
                    after: entries.len(),
                }),
            }
        }
        Ok(Ledger::with_unreadable(entries, unreadable))
    }

    /// Removes the ledger, and the states of the targets of these environments. A missing file is not an error. The
    /// lock file stays: another process may wait for it, and must not meet one that takes a new file.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove<'e>(&self, environments: impl Iterator<Item = &'e str>) -> Result<(), StoreError> {
        let _one_at_a_time = self.lock()?;
        let observed = environments.map(|name| self.observed(name));
        let states = observed.flat_map(|path| [path.with_extension(COMPOSE_STATE), path]);
        for path in states.chain([self.path()]) {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the size of the file in bytes, which grows with each entry; 0 without a file.
    #[must_use]
    pub fn size(&self) -> u64 {
        files::own_size(&self.path()).unwrap_or_default()
    }

    /// Appends an entry, and returns once it is on the disk.
    ///
    /// # Errors
    /// The file cannot be written, or is of a newer version.
    pub fn append(&self, entry: &Entry) -> Result<(), StoreError> {
        let _one_at_a_time = self.lock()?;
        self.add(entry)
    }

    /// Appends the entry that `decide` returns for the entries so far, and returns it. No other process writes
    /// meanwhile.
    ///
    /// # Errors
    /// The file cannot be read or written, or is of a newer version.
    pub fn append_if(&self, decide: impl FnOnce(&Ledger) -> Option<Entry>) -> Result<Option<Entry>, StoreError> {
        let _one_at_a_time = self.lock()?;
        let Some(entry) = decide(&self.read()?) else { return Ok(None) };
        self.add(&entry)?;
        Ok(Some(entry))
    }

    /// Appends an entry, unless the ledger already has this entry, whatever its time and its person.
    ///
    /// # Errors
    /// The file cannot be read or written, or is of a newer version.
    pub fn append_once(&self, entry: Entry) -> Result<(), StoreError> {
        let is_same = |known: &Entry| *known == Entry { at: known.at, by: known.by.clone(), ..entry.clone() };
        self.append_if(|ledger| (!ledger.entries().iter().any(is_same)).then(|| entry.clone())).map(drop)
    }

    fn lock(&self) -> Result<File, StoreError> {
        let folder = self.runs.environments();
        make_private(&folder).map_err(StoreError::io("make the folder", &folder))?;
        lock::wait(&self.path().with_extension("lock"))
    }

    /// Appends an entry. The caller holds the lock.
    fn add(&self, entry: &Entry) -> Result<(), StoreError> {
        let path = self.path();
        let failed = |error| StoreError::io("write", &path)(error);
        let mut file = files::append_own(&path).map_err(failed)?;
        let mut line = Vec::new();
        let length = whole(&file, &path)?;
        if length == 0 {
            serde_json::to_writer(&mut line, &Header { version: VERSION }).expect("a number always serialises");
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, entry).expect("an entry always serialises");
        line.push(b'\n');
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        if written.is_err() {
            // Readers skip an incomplete line, and a complete one was not reported as written.
            let _ = file.set_len(length);
        }
        written.map_err(failed)
    }
}

/// Whether a file begins with its version. Files of earlier versions of cuelight do not.
fn is_versioned(bytes: &[u8], path: &Path) -> Result<bool, StoreError> {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match serde_json::from_slice(first) {
        Ok(Header { version }) if version > VERSION => {
            Err(StoreError::Newer { path: path.to_owned(), version, supported: VERSION })
        }
        header => Ok(header.is_ok()),
    }
}

/// Makes a file end with a whole line, and returns its length in bytes. Adds a missing newline to a last line that is
/// a JSON object, and removes any other incomplete line.
fn whole(file: &File, path: &Path) -> Result<u64, StoreError> {
    let unread = |error| StoreError::io("read", path)(error);
    let length = file.metadata().map_err(unread)?.len();
    let mut start = [0; MAX_HEADER];
    let count = file.read_at(&mut start, 0).map_err(unread)?;
    is_versioned(&start[..count], path)?;
    let mut last = [b'\n'];
    file.read_at(&mut last, length.saturating_sub(1)).map_err(unread)?;
    if last == [b'\n'] {
        return Ok(length);
    }
    let bytes = files::read_own(path, MAX_BYTES).map_err(unread)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let mended = if is_object(&bytes[end..]) {
        // Only its newline is missing: an editor removed it. It may be an entry of a newer version.
        let mut file = file;
        file.write_all(b"\n").map(|()| length + 1)
    } else {
        file.set_len(end as u64).map(|()| end as u64)
    };
    mended.map_err(StoreError::io("mend", path))
}

/// Whether a line is a whole JSON object: an entry, also one with an action that this version does not know.
fn is_object(line: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, Value>>(line).is_ok()
}

/// Returns the environment that an unreadable line names, if the line is a JSON object.
fn named_environment(line: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(line).ok()?;
    Some(document.get("environment")?.as_str()?.to_owned())
}

/// Returns the local user, with the mail address of git's settings.
#[must_use]
pub fn actor(repository: &Repository) -> Actor {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok().filter(|user| !user.is_empty());
    let user = user.unwrap_or_else(name_of_user);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    Actor { user, host, email: repository.email.clone() }
}

/// Returns the name of the user of this process, as `id` prints it; empty if `id` cannot be started.
fn name_of_user() -> String {
    let output = Command::new("id").arg("-un").output();
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
            job: None,
            action: Action::Locked { until: None },
            reason: reason.to_owned(),
        }
    }

    fn reasons(ledger: &Ledger) -> Vec<&str> {
        ledger.entries().iter().map(|entry| entry.reason.as_str()).collect()
    }

    fn file_in(home: &tempfile::TempDir) -> LedgerFile {
        LedgerFile::of(&RunsDir::at(home.path()), Path::new("/shop/.git"))
    }

    fn add_text(file: &LedgerFile, text: &[u8]) {
        let mut torn = OpenOptions::new().append(true).open(file.path()).expect("there");
        torn.write_all(text).expect("written");
    }

    #[test]
    fn entries_are_appended_and_a_torn_last_line_is_removed_by_the_next() {
        let home = tempfile::tempdir().expect("a folder");
        let file = file_in(&home);
        assert_eq!(file.read().expect("nothing"), Ledger::default());
        file.append(&locked(1, "a")).expect("written");
        add_text(&file, b"{\"at\": 7, \"by");
        let read = file.read().expect("read");
        assert_eq!((reasons(&read), read.unreadable()), (vec!["a"], &[][..]));
        file.append(&locked(2, "b")).expect("written");
        let read = file.read().expect("read");
        assert_eq!((reasons(&read), read.unreadable()), (vec!["a", "b"], &[][..]));
        // An editor has removed the last newline: the entry stays.
        let text = std::fs::read(file.path()).expect("there");
        std::fs::write(file.path(), text.trim_ascii_end()).expect("written");
        file.append(&locked(3, "c")).expect("written");
        assert_eq!(reasons(&file.read().expect("read")), ["a", "b", "c"]);
        let other = LedgerFile::of(&RunsDir::at(home.path()), Path::new("/other/.git"));
        assert_eq!(other.read().expect("nothing"), Ledger::default());
    }

    #[test]
    fn lines_that_are_no_entries_are_reported_with_their_numbers_and_a_newer_version_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let file = file_in(&home);
        file.append(&locked(1, "a")).expect("written");
        add_text(&file, b"<<<<<<< ours\n\n");
        let teleported = r#"{"at":2,"by":{"user":"ada","host":"web"},"environment":"staging","action":"teleported"}"#;
        add_text(&file, format!("{teleported}\n").as_bytes());
        file.append(&locked(2, "b")).expect("written");
        let read = file.read().expect("read");
        let lines = read.unreadable().iter().map(|line| (line.to_string(), line.environment.clone(), line.after));
        let lines: Vec<_> = lines.collect();
        let path = file.path().display().to_string();
        assert_eq!(reasons(&read), ["a", "b"]);
        assert_eq!(lines[0], (format!("{path}:3 is not an entry of the ledger: expected value"), None, 1));
        assert!(
            lines[1].0.starts_with(&format!("{path}:5 is not an entry of the ledger: unknown variant `teleported`"))
        );
        assert_eq!((lines[1].1.as_deref(), lines[1].2, lines.len()), (Some("staging"), 1, 2));
        // The first versions of cuelight wrote no line with the version.
        let text = std::fs::read_to_string(file.path()).expect("there");
        let (version, rest) = text.split_once('\n').expect("lines");
        assert_eq!(version, r#"{"cuelight_ledger":1}"#);
        std::fs::write(file.path(), rest).expect("written");
        file.append(&locked(3, "c")).expect("written");
        assert_eq!(reasons(&file.read().expect("read")), ["a", "b", "c"]);
        std::fs::write(file.path(), "{\"cuelight_ledger\":2}\n").expect("written");
        let refusal = "is of version 2, and this cuelight reads up to version 1: update cuelight";
        for error in [file.read().expect_err("newer"), file.append(&locked(4, "d")).expect_err("newer")] {
            assert!(error.to_string().ends_with(refusal), "{error}");
        }
    }

    #[test]
    fn what_a_newer_version_wrote_is_never_lost() {
        let home = tempfile::tempdir().expect("a folder");
        let file = file_in(&home);
        file.append(&locked(1, "a")).expect("written");
        // Fields of a newer version do not hide what this version knows.
        let known = r#"{"at":2,"by":{"user":"ada","host":"web","team":"ops"},"environment":"production","action":"locked","until":null,"scope":"eu","reason":"b"}"#;
        // The last line has an unknown action, and an editor has removed its newline.
        let unknown =
            r#"{"at":3,"by":{"user":"ada","host":"web"},"environment":"production","action":"teleported","to":"mars"}"#;
        add_text(&file, format!("{known}\n{unknown}").as_bytes());
        let read = file.read().expect("read");
        assert_eq!((reasons(&read), read.unreadable().len()), (vec!["a", "b"], 1));
        file.append(&locked(4, "c")).expect("written");
        let read = file.read().expect("read");
        assert_eq!((reasons(&read), read.unreadable().len()), (vec!["a", "b", "c"], 1));
        let text = std::fs::read_to_string(file.path()).expect("there");
        assert!(text.contains(&format!("{known}\n{unknown}\n{{")), "{text}");
    }

    #[test]
    fn a_removed_ledger_leaves_only_its_lock() {
        let home = tempfile::tempdir().expect("a folder");
        let file = file_in(&home);
        file.append(&locked(1, "a")).expect("written");
        let observed = file.observed("production");
        for path in [&observed, &observed.with_extension(COMPOSE_STATE)] {
            std::fs::write(path, "{}").expect("written");
        }
        file.remove(["production", "staging"].into_iter()).expect("removed");
        let left = std::fs::read_dir(file.runs.environments()).expect("a folder").flatten().map(|entry| entry.path());
        assert_eq!(left.collect::<Vec<_>>(), [file.path().with_extension("lock")]);
    }

    #[test]
    fn of_two_that_decide_at_once_one_is_first() {
        let home = tempfile::tempdir().expect("a folder");
        let file = file_in(&home);
        let lock = |reason: &str| {
            let free =
                |ledger: &Ledger| ledger.of("production").lock(Timestamp(5)).is_none().then(|| locked(3, reason));
            file.append_if(free).expect("written").is_some()
        };
        let won = std::thread::scope(|scope| {
            let all = [scope.spawn(|| lock("a")), scope.spawn(|| lock("b"))];
            all.map(|one| one.join().expect("no panic"))
        });
        assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
    }
}
