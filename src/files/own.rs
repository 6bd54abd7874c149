//! The program's own files. A step on this machine runs as the same user and can replace one of them by a FIFO, a link
//! or a device. These functions neither block on such a file nor follow a link.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::FileError;
use super::regular::{LOOK, check, contents, readable};

/// Opens a file for reading, if it is a regular file and not a link.
///
/// # Errors
/// The file does not exist, is not readable, or is not a regular file.
pub fn open_own(path: &Path) -> io::Result<File> {
    let found = rustix::fs::open(path, LOOK | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    readable(found).map_err(linked)
}

/// Reads a file of at most `limit` bytes, if it is a regular file and not a link.
///
/// # Errors
/// The file does not exist, is not readable, is not a regular file, or is larger.
pub fn read_own(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    Ok(contents(open_own(path)?, limit)?)
}

/// Reads a text of at most `limit` bytes, like [`read_own`].
///
/// # Errors
/// Errors of [`read_own`], or the text is not UTF-8.
pub fn read_own_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read_own(path, limit)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Returns the size in bytes of the entry at a path, without following a link.
///
/// # Errors
/// The entry does not exist, or its metadata cannot be read.
pub fn own_size(path: &Path) -> io::Result<u64> {
    Ok(fs::symlink_metadata(path)?.len())
}

/// Opens a file for reading and appending. A missing file is created, accessible only to its owner.
///
/// # Errors
/// The file is not a regular file, or cannot be written.
pub fn append_own(path: &Path) -> io::Result<File> {
    writable(path, OFlags::APPEND)
}

/// Opens a file for writing at any position. A missing file is created, accessible only to its owner.
///
/// # Errors
/// The file is not a regular file, or cannot be written.
pub fn update_own(path: &Path) -> io::Result<File> {
    writable(path, OFlags::empty())
}

/// Opens a file for writing and discards its earlier content. Only its owner may read it.
///
/// # Errors
/// The file is not a regular file, or cannot be written.
pub fn create_own(path: &Path) -> io::Result<File> {
    let file = writable(path, OFlags::empty())?;
    // The file is truncated here because `open` must not do it before the type of the file is known.
    file.set_len(0)?;
    Ok(file)
}

fn writable(path: &Path, how: OFlags) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags | how, Mode::from_raw_mode(0o600))?);
    check(&file)?;
    Ok(file)
}

/// Converts an error. For these files, [`FileError::Outside`] means that the file is a symbolic link.
fn linked(error: FileError) -> io::Error {
    match error {
        FileError::Outside => FileError::NotRegular("a link").into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_stands_in_the_place_of_a_file_is_neither_waited_for_nor_followed() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), mode).expect("made");
        fs::write(at("real"), "kept").expect("written");
        symlink(at("real"), at("link")).expect("linked");
        symlink("/dev/zero", at("zero")).expect("linked");
        symlink(at("new"), at("nowhere")).expect("linked");
        fs::create_dir(at("folder")).expect("made");
        for name in ["fifo", "link", "zero", "nowhere", "folder"] {
            read_own(&at(name), 100).expect_err(name);
            append_own(&at(name)).expect_err(name);
            update_own(&at(name)).expect_err(name);
            create_own(&at(name)).expect_err(name);
        }
        assert_eq!(fs::read(at("real")).expect("there"), b"kept");
        assert!(!at("new").exists());
        assert_eq!(read_own(&at("link"), 9).expect_err("a link").to_string(), "a link, not a regular file");
    }

    #[test]
    fn files_are_made_appended_to_and_replaced() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("file");
        append_own(&path).and_then(|mut file| file.write_all(b"one")).expect("made");
        append_own(&path).and_then(|mut file| file.write_all(b"two")).expect("appended");
        assert_eq!(read_own_text(&path, 6).expect("fits"), "onetwo");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        create_own(&path).and_then(|mut file| file.write_all(b"new")).expect("replaced");
        assert_eq!((read_own(&path, 3).expect("fits"), own_size(&path).expect("there")), (b"new".to_vec(), 3));
    }
}
