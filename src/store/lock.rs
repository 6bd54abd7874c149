//! Locks on files: the lock of a run, which its worker holds until it exits or is killed, and locks that are held for a
//! moment.
//!
//! The locks are the kernel's (`flock`), so the lock of a killed worker is released, and a reused process id is not
//! mistaken for the worker. A lock belongs to an open file: for a run, the one that the launcher passes to the worker
//! as standard output, so a run that is being started never appears dead.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::StoreError;
use crate::files;

/// How long [`take`] waits for processes that only check the lock. Each holds it for a few microseconds, or longer if
/// it is not scheduled.
const CHECKS_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause between two attempts to take a lock.
const BETWEEN: Duration = Duration::from_micros(200);

/// Takes the lock. `None` if a worker holds it, or if checks hold it for two seconds without a gap.
///
/// # Errors
/// The file cannot be created or locked.
pub fn take(path: &Path) -> Result<Option<File>, StoreError> {
    let file = files::append_own(path).map_err(StoreError::io("open the lock", path))?;
    let try_lock = |how| match flock(file.as_fd(), how) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(StoreError::io("take the lock", path)(io::Error::from(error))),
    };
    let started = Instant::now();
    while !try_lock(FlockOperation::NonBlockingLockExclusive)? {
        // A worker excludes shared locks. A check does not, so it is not mistaken for a worker.
        if !try_lock(FlockOperation::NonBlockingLockShared)? || started.elapsed() > CHECKS_TIMEOUT {
            return Ok(None);
        }
        flock(file.as_fd(), FlockOperation::Unlock)
            .map_err(|error| StoreError::io("take the lock", path)(io::Error::from(error)))?;
        std::thread::sleep(BETWEEN);
    }
    Ok(Some(file))
}

/// Waits for a lock that is only ever held for a moment, and takes it.
///
/// # Errors
/// The file cannot be created or locked.
pub fn wait(path: &Path) -> Result<File, StoreError> {
    let file = files::append_own(path).map_err(StoreError::io("open the lock", path))?;
    flock(file.as_fd(), FlockOperation::LockExclusive)
        .map_err(|error| StoreError::io("take the lock", path)(io::Error::from(error)))?;
    Ok(file)
}

/// Takes a lock shared with other readers. Waits while [`wait`] holds it.
///
/// # Errors
/// The file does not exist or cannot be locked.
pub fn shared(path: &Path) -> Result<File, StoreError> {
    let file = files::open_own(path).map_err(StoreError::io("open the lock", path))?;
    flock(file.as_fd(), FlockOperation::LockShared)
        .map_err(|error| StoreError::io("take the lock", path)(io::Error::from(error)))?;
    Ok(file)
}

/// Whether a worker holds the lock. A folder without a lock file has no worker.
#[must_use]
pub fn is_held(path: &Path) -> bool {
    let Ok(file) = files::open_own(path) else { return false };
    // The check takes a shared lock, so that two simultaneous checks do not mistake each other for a worker.
    matches!(flock(file.as_fd(), FlockOperation::NonBlockingLockShared), Err(rustix::io::Errno::WOULDBLOCK))
}

/// Takes a lock that no process should hold, in a test. Retries for 20 seconds, because a program that another test
/// starts at this moment has a copy of every open file until its `exec`.
#[cfg(test)]
pub(crate) fn take_free(path: &Path) -> File {
    let started = Instant::now();
    loop {
        if let Some(held) = take(path).expect("made") {
            return held;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{} is held", path.display());
        std::thread::sleep(BETWEEN);
    }
}

/// Releases a lock in a test. Waits up to 20 seconds until it is free, for the same reason as [`take_free`].
#[cfg(test)]
pub(crate) fn release(held: File, path: &Path) {
    drop(held);
    let started = Instant::now();
    while is_held(path) {
        assert!(started.elapsed() < Duration::from_secs(20), "{} is held", path.display());
        std::thread::sleep(BETWEEN);
    }
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
        release(held, &path);
        drop(take_free(&path));
    }

    #[test]
    fn a_check_that_takes_long_is_not_a_holder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        drop(take(&path).expect("made").expect("free"));
        let check = shared(&path).expect("there");
        let (started, start) = std::sync::mpsc::channel();
        let taken = std::thread::scope(|scope| {
            let taker = scope.spawn(|| {
                started.send(()).expect("the test waits");
                take(&path).expect("there")
            });
            start.recv().expect("starts");
            std::thread::sleep(20 * BETWEEN);
            drop(check);
            taker.join().expect("ends")
        });
        assert!(taken.is_some() && is_held(&path));
    }
}
