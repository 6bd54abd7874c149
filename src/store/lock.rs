//! The run's lock, held by its worker until the worker exits, however it dies.
//!
//! The lock is the kernel's (`flock`), so it disappears with a killed worker, and a reused process id is not mistaken
//! for the worker. It belongs to an open file that the launcher passes to the worker as standard output, so a run that
//! is being started never appears dead.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::StoreError;

/// Number of attempts to take the lock. [`is_held`] holds it for some microseconds in another process, which must not be
/// taken for a worker.
const TRIES: u32 = 4;

/// Pause between two attempts.
const BETWEEN: Duration = Duration::from_micros(200);

/// Takes the lock. `None` if a worker holds it.
///
/// # Errors
/// The file cannot be created or locked.
pub fn take(path: &Path) -> Result<Option<File>, StoreError> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::io("open the lock", path))?;
    for tries_left in (0..TRIES).rev() {
        match flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) if tries_left > 0 => std::thread::sleep(BETWEEN),
            Err(rustix::io::Errno::WOULDBLOCK) => break,
            Err(error) => return Err(StoreError::io("take the lock", path)(io::Error::from(error))),
        }
    }
    Ok(None)
}

/// Waits for a lock that is only ever held for a moment, and takes it.
///
/// # Errors
/// The file cannot be created or locked.
pub fn wait(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::io("open the lock", path))?;
    flock(file.as_fd(), FlockOperation::LockExclusive)
        .map_err(|error| StoreError::io("take the lock", path)(io::Error::from(error)))?;
    Ok(file)
}

/// Takes a lock shared with other readers. Waits while [`wait`] holds it.
///
/// # Errors
/// The file does not exist or cannot be locked.
pub fn shared(path: &Path) -> Result<File, StoreError> {
    let file = File::open(path).map_err(StoreError::io("open the lock", path))?;
    flock(file.as_fd(), FlockOperation::LockShared)
        .map_err(|error| StoreError::io("take the lock", path)(io::Error::from(error)))?;
    Ok(file)
}

/// Whether a worker holds the lock. A folder without a lock file has no worker.
#[must_use]
pub fn is_held(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    // A shared lock is enough for the check, and two simultaneous checks do not mistake each other for a worker.
    matches!(flock(file.as_fd(), FlockOperation::NonBlockingLockShared), Err(rustix::io::Errno::WOULDBLOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_none_after_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        assert!(!is_held(&path));
        let held = take(&path).expect("made").expect("free");
        assert!(is_held(&path) && take(&path).expect("there").is_none());
        drop(held);
        assert!(!is_held(&path) && take(&path).expect("there").is_some());
    }
}
