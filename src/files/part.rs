//! Files that appear at their path only once they are complete.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// A file that is being written, beside the path at which it will appear. Removed on drop unless it was finished.
pub struct PartialFile {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

/// Minimum age of a partial file that is removed because its process is not found. The process of a younger file may be
/// in a container, where this process cannot see it.
const LEFTOVER_AGE: Duration = Duration::from_mins(1);

impl PartialFile {
    /// Creates a partial file for a target, with these permissions before the umask. Partial files for the same target
    /// that killed processes left are removed.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn new(target: &Path, mode: u32) -> io::Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let start = format!(".{name}.");
        remove_leftovers(target.parent().unwrap_or(Path::new(".")), &start);
        // The number of a process may be that of a killed one, or of one in a container.
        let random = getrandom::u64().map_err(io::Error::other)?;
        let path = target.with_file_name(format!("{start}{}-{random:016x}.part", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        Ok(Self { file, path, target: target.to_owned() })
    }

    /// Returns the file, for writing.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Moves the file to its target. An existing file is replaced.
    ///
    /// # Errors
    /// The file cannot be moved.
    pub fn finish(self) -> io::Result<()> {
        fs::rename(&self.path, &self.target)
    }
}

/// Removes the partial files of killed processes.
fn remove_leftovers(folder: &Path, start: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(start)?.strip_suffix(".part")?.split_once('-'));
        let Some(process) = number.and_then(|(number, _)| Pid::from_raw(number.parse().ok()?)) else { continue };
        let age = entry.metadata().and_then(|file| file.modified()).ok().and_then(|time| time.elapsed().ok());
        if test_kill_process(process) == Err(Errno::SRCH) && age.is_some_and(|age| age >= LEFTOVER_AGE) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        // Fails after `finish`, which has moved the file.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn partial_files_of_killed_processes_are_removed() {
        let home = tempfile::tempdir().expect("a folder");
        let mut child = std::process::Command::new("true").spawn().expect("starts");
        child.wait().expect("ends");
        let (dead, alive) = (child.id(), std::process::id());
        let old = SystemTime::now() - 2 * LEFTOVER_AGE;
        for (name, time) in [
            (format!(".a.{dead}-1.part"), old),
            (format!(".a.{dead}-2.part"), SystemTime::now()),
            (format!(".a.{alive}-3.part"), old),
            (format!(".b.{dead}-4.part"), old),
            (".a.x-5.part".to_owned(), old),
        ] {
            File::create(home.path().join(name)).and_then(|file| file.set_modified(time)).expect("made");
        }
        let part = PartialFile::new(&home.path().join("a"), 0o600).expect("made");
        let left = |number: u32| {
            let mut entries = fs::read_dir(home.path()).expect("a folder").flatten();
            entries.any(|entry| entry.file_name().to_string_lossy().ends_with(&format!("-{number}.part")))
        };
        assert_eq!([1, 2, 3, 4, 5].map(left), [false, true, true, true, true]);
        drop(part);
    }

    #[test]
    fn a_file_appears_when_it_is_finished() {
        let home = tempfile::tempdir().expect("a folder");
        let target = home.path().join("a");
        let count = || fs::read_dir(home.path()).expect("a folder").count();
        let mut dropped = PartialFile::new(&target, 0o600).expect("made");
        dropped.file().write_all(b"one").expect("written");
        assert!(!target.exists() && count() == 1);
        drop(dropped);
        assert_eq!(count(), 0);
        let mut finished = PartialFile::new(&target, 0o600).expect("made");
        finished.file().write_all(b"two").expect("written");
        finished.finish().expect("moved");
        assert_eq!((fs::read(&target).expect("read"), count()), (b"two".to_vec(), 1));
    }
}
