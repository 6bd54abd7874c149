//! Atomic writes of whole files: readers see all of the old content or all of the new, also after a crash.
//!
//! The new content goes into a temporary file beside the target, which a rename then puts in its place. Several
//! processes may write the same file at once: the last rename wins, and no reader ever sees a mixture.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Writes a file so that it also survives a power failure: for a person's decisions and for counters, which cannot be
/// reconstructed. Costs one `fsync`, which may take milliseconds.
///
/// # Errors
/// The folder does not exist or cannot be written.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, File::sync_all)
}

/// Writes a file without waiting for the disk: for caches, and for files that a power failure may lose together with
/// the run that wrote them.
///
/// # Errors
/// The folder does not exist or cannot be written.
pub fn write_unsynced(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, |_| Ok(()))
}

fn replace(path: &Path, content: &[u8], sync: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let (temporary, mut file) = create_beside(path)?;
    let written = file.write_all(content).and_then(|()| sync(&file)).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Number of the next temporary file of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Creates a file beside `path` that no other writer of this or another process uses. A name may be taken by a killed
/// process that had the number of this one, or by a process in a container; the next one is tried then.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    loop {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let temporary = path.with_file_name(name);
        // Only the owner may read it, whatever the umask.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return Ok((temporary, made?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        write(&path, b"old").expect("written");
        write_unsynced(&path, b"new").expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1);
    }

    #[test]
    fn what_a_killed_process_of_the_same_number_left_is_skipped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        let next = NEXT.load(Ordering::Relaxed);
        for number in next..next + 100 {
            let left = format!(".a.json.{}-{number}.tmp", std::process::id());
            fs::write(folder.path().join(left), "left").expect("written");
        }
        write(&path, b"new").expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 101, "files of others stay");
    }

    #[test]
    fn a_failed_write_keeps_the_old_content_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        write(&path, b"old").expect("written");
        let full = |_: &File| Err(io::Error::from(io::ErrorKind::StorageFull));
        let error = replace(&path, b"new", full).expect_err("the disk is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).expect("read"), b"old");
        assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1);
        assert!(write(&folder.path().join("missing/a"), b"x").is_err());
    }

    #[test]
    fn writers_at_once_leave_the_content_of_one_of_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        let contents = [vec![b'a'; 50_000], vec![b'b'; 70_000]];
        std::thread::scope(|scope| {
            for content in &contents {
                let path = &path;
                scope.spawn(move || (0..50).for_each(|_| write_unsynced(path, content).expect("written")));
            }
            for _ in 0..200 {
                if let Ok(text) = fs::read(&path) {
                    assert!(contents.contains(&text), "{} bytes of a mixture", text.len());
                }
            }
        });
    }
}
