//! Incomplete copies of actions and tools. Each one is a folder next to the complete copy, and the name of the folder
//! contains the id of the process that makes the copy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// Text in the folder's name that separates the name of the copy from the process id and a number.
const MARK: &str = ".partial-";

/// Depth of a copy below the cache: the server, the owner, the repository, and the copy itself.
const DEPTH: usize = 4;

/// Number of the next incomplete copy of this process.
static CREATED: AtomicU32 = AtomicU32::new(0);

/// Folder of an incomplete copy. Dropping this value removes the folder unless it was renamed, so a cancelled fetch
/// leaves no files.
pub(in crate::engine) struct Partial(PathBuf);

impl Partial {
    /// Creates the folder of a copy in the folder `above`. First removes the incomplete copies in `above` whose
    /// processes have ended.
    pub(in crate::engine) fn create(above: &Path, name: &str) -> io::Result<Self> {
        fs::create_dir_all(above)?;
        for left in entries(above).filter(|path| is_abandoned(path)) {
            // A folder that cannot be removed only takes up space.
            let _ = fs::remove_dir_all(left);
        }
        loop {
            let number = CREATED.fetch_add(1, Ordering::Relaxed);
            let path = above.join(format!("{name}{MARK}{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                // A killed process that had the number of this one left it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(path)),
            }
        }
    }

    pub(in crate::engine) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // A killed git may still be writing into the folder, so its removal is tried again.
        const ATTEMPTS: usize = 20;
        for _ in 0..ATTEMPTS {
            match fs::remove_dir_all(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                // After a complete fetch the folder has another name.
                _ => break,
            }
        }
    }
}

/// Returns the incomplete copies in a cache whose processes have ended.
#[must_use]
pub fn abandoned(cache: &Path) -> Vec<PathBuf> {
    let folders = walkdir::WalkDir::new(cache).min_depth(DEPTH).max_depth(DEPTH).into_iter().flatten();
    folders.map(walkdir::DirEntry::into_path).filter(|path| is_abandoned(path)).collect()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Whether a path is an incomplete copy whose process has ended.
fn is_abandoned(path: &Path) -> bool {
    let process = || {
        let (_, rest) = path.file_name()?.to_str()?.rsplit_once(MARK)?;
        // In folders of older versions the process id is the last part of the name.
        Pid::from_raw(rest.split('-').next()?.parse().ok().filter(|process| *process > 0)?)
    };
    process().is_some_and(|process| test_kill_process(process) == Err(Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_ended_processes_are_removed_by_the_next_fetch_and_by_cleaning() {
        let cache = tempfile::tempdir().expect("a folder");
        let above = cache.path().join("github.com/o/n");
        let mut ended = std::process::Command::new("true").spawn().expect("started");
        ended.wait().expect("ended");
        let left = [format!("c.partial-{}", ended.id()), format!("d.partial-{}-3", ended.id())];
        let kept = [format!("c.partial-{}-9", std::process::id()), "c".to_owned(), "c.partial-x".to_owned()];
        for name in left.iter().chain(&kept) {
            fs::create_dir_all(above.join(name).join(".git")).expect("made");
        }
        let mut found = abandoned(cache.path());
        found.sort();
        assert_eq!(found, left.map(|name| above.join(name)));
        let partial = Partial::create(&above, "c").expect("made");
        let other = Partial::create(&above, "c").expect("made");
        assert!(partial.path() != other.path() && partial.path().is_dir() && abandoned(cache.path()).is_empty());
        assert!(kept.iter().all(|name| above.join(name).is_dir()));
        drop((partial, other));
        assert_eq!(entries(&above).count(), kept.len());
    }

    #[test]
    fn a_copy_that_a_killed_process_of_the_same_number_left_is_skipped() {
        let cache = tempfile::tempdir().expect("a folder");
        let next = CREATED.load(Ordering::Relaxed);
        for number in next..next + 100 {
            fs::create_dir(cache.path().join(format!("c{MARK}{}-{number}", std::process::id()))).expect("made");
        }
        let partial = Partial::create(cache.path(), "c").expect("made");
        assert!(partial.path().is_dir());
        drop(partial);
        assert_eq!(entries(cache.path()).count(), 100, "copies of others stay");
    }
}
