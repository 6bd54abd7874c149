//! Opens and reads regular files.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat};

use super::FileError;

/// Opens a regular file for reading. Follows links: the caller decides whether the path can be trusted.
///
/// # Errors
/// The file does not exist, is not readable, or is not a regular file.
pub fn open(path: &Path) -> Result<File, FileError> {
    readable(rustix::fs::open(path, LOOK | OFlags::CLOEXEC, Mode::empty()).map_err(std::io::Error::from)?)
}

/// Reads a regular file of at most `limit` bytes. Follows links.
///
/// # Errors
/// The file does not exist, is not readable, is not a regular file, or is larger.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    contents(open(path)?, limit)
}

/// Flags for an `open` that neither blocks nor affects the opened file.
#[cfg(target_os = "linux")]
pub(super) const LOOK: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
pub(super) const LOOK: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Returns the size in bytes of a regular file without opening it. Follows links.
///
/// # Errors
/// The file does not exist, or is not a regular file.
pub fn size(path: &Path) -> Result<u64, FileError> {
    regular(&rustix::fs::stat(path).map_err(std::io::Error::from)?)
}

/// Returns the size in bytes from the metadata of a file, if it is a regular one.
fn regular(found: &Stat) -> Result<u64, FileError> {
    Err(FileError::NotRegular(match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => return Ok(found.st_size.cast_unsigned()),
        FileType::Directory => "a folder",
        FileType::Symlink => return Err(FileError::Outside),
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown kind",
    }))
}

/// Returns the size in bytes of an open file, if it is a regular one.
pub(super) fn size_of(found: impl AsFd) -> Result<u64, FileError> {
    regular(&fstat(found).map_err(std::io::Error::from)?)
}

/// Checks that an open file is a regular file.
pub(super) fn check(found: impl AsFd) -> Result<(), FileError> {
    size_of(found).map(drop)
}

/// Turns a handle opened with [`LOOK`] into a file for reading, if it is a regular file.
pub(super) fn readable(found: OwnedFd) -> Result<File, FileError> {
    check(&found)?;
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        // A device is never opened, because opening one can have side effects.
        Ok(File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?)
    }
    #[cfg(not(target_os = "linux"))]
    Ok(File::from(found))
}

/// Reads a file of at most `limit` bytes.
pub(super) fn contents(file: File, limit: u64) -> Result<Vec<u8>, FileError> {
    let size = file.metadata()?.len();
    if size > limit { Err(FileError::TooLarge { limit }) } else { bounded(file, size, limit) }
}

/// Reads a file of at most `limit` bytes. Does not rely on the expected size, because the file may have grown since it
/// was determined, and a pipe has none.
pub(super) fn bounded(file: File, expected: u64, limit: u64) -> Result<Vec<u8>, FileError> {
    // With room for one more byte, the end of the file is found without another buffer.
    let mut bytes = Vec::with_capacity(usize::try_from(expected.min(limit)).unwrap_or_default() + 1);
    let read = file.take(limit + 1).read_to_end(&mut bytes)?;
    if read as u64 > limit { Err(FileError::TooLarge { limit }) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_not_a_regular_file_of_fitting_size_is_refused_at_once() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        fs::write(at("file"), "12345").expect("written");
        assert_eq!(read(&at("file"), 5).expect("fits"), b"12345");
        let refused = |name: &str, limit| read(&at(name), limit).expect_err(name).to_string();
        assert_eq!(refused("file", 4), "larger than the limit of 4 bytes");
        File::create(at("sparse")).and_then(|file| file.set_len(300 << 30)).expect("made");
        assert_eq!(refused("sparse", 1024), "larger than the limit of 1024 bytes");
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), Mode::from_raw_mode(0o600)).expect("made");
        assert_eq!(refused("fifo", 5), "a FIFO, not a regular file");
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("bound");
        assert_eq!(refused("socket", 5), "a socket, not a regular file");
        std::os::unix::fs::symlink("/dev/zero", at("zero")).expect("linked");
        assert_eq!(refused("zero", 5), "a device, not a regular file");
        assert_eq!(refused("", 5), "a folder, not a regular file");
        assert_eq!(size(&at("file")).expect("there"), 5);
        assert_eq!(size(&at("fifo")).expect_err("no file").to_string(), "a FIFO, not a regular file");
        assert!(read(&at("missing"), 5).expect_err("missing").is_missing());
    }
}
