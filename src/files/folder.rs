//! A folder whose contents are not trusted.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, fchmod, fstat, linkat, mkdirat, mkfifoat, renameat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::regular::{LOOK, contents, readable, size_of};
use super::{FileError, beneath};

/// Which links a path may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// No links.
    Refuse,
    /// Links that stay in the folder.
    Within,
    /// No links and no mount points, because a file system that an untrusted process mounted may never answer. Refuses
    /// every path where the kernel cannot check this.
    RefuseMounts,
}

/// An open folder, through which the files below it are accessed. All paths are relative to it; an empty path is the
/// folder itself.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens a folder. Follows links, so no other user may be able to change its path.
    ///
    /// # Errors
    /// The folder does not exist, is not a folder, or is not readable.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens the folder above a path, and returns it with the last name of the path.
    ///
    /// # Errors
    /// Like [`Folder::open`], or the path has no file name.
    pub fn above(path: &Path) -> io::Result<(Self, &Path)> {
        let (above, name) = path.parent().zip(path.file_name()).ok_or(io::ErrorKind::InvalidInput)?;
        Ok((Self::open(above)?, Path::new(name)))
    }

    /// Opens a folder below this one.
    ///
    /// # Errors
    /// Like [`Folder::open`], or the path has a link or leads out of this folder.
    pub fn folder(&self, path: &Path) -> io::Result<Self> {
        self.folder_by(path, Links::Refuse)
    }

    /// Opens a folder below this one. Follows links that stay in this folder.
    ///
    /// # Errors
    /// Like [`Folder::open`], or the path leads out of this folder.
    pub fn folder_within(&self, path: &Path) -> io::Result<Self> {
        self.folder_by(path, Links::Within)
    }

    /// Opens a folder below this one, on the same mount, without waiting for another file system.
    ///
    /// # Errors
    /// Like [`Folder::folder`], or the path has a mount point, or the kernel cannot rule one out.
    pub fn folder_at_once(&self, path: &Path) -> io::Result<Self> {
        self.folder_by(path, Links::RefuseMounts)
    }

    fn folder_by(&self, path: &Path, links: Links) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        Ok(Self(self.beneath(path, flags, Mode::empty(), links)?))
    }

    /// Opens a folder below this one. Creates it, and the folders above it, if they are missing.
    ///
    /// # Errors
    /// Like [`Folder::folder`], or a folder cannot be created.
    pub fn make_folders(&self, path: &Path) -> io::Result<Self> {
        let mut folder = self.folder(Path::new(""))?;
        for name in path {
            match mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => folder = folder.folder(Path::new(name))?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(folder)
    }

    /// Opens the folder of this name, creating it if it is missing. A file or a link in its place is removed.
    ///
    /// # Errors
    /// Like [`Folder::make_folders`], or the entry in its place cannot be removed.
    pub fn make_in_place(&self, name: &Path) -> io::Result<Self> {
        match self.folder(name) {
            Err(_) => {
                self.remove_any(name)?;
                self.make_folders(name)
            }
            found => found,
        }
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// The file does not exist, is not readable, is not a regular file, or has a link in its path that is not allowed.
    pub fn file(&self, path: &Path, links: Links) -> Result<File, FileError> {
        readable(self.found(path, links)?)
    }

    /// Returns the size in bytes of a regular file on the mount of this folder, without waiting for another file
    /// system.
    ///
    /// # Errors
    /// The file does not exist, is not a regular file, or has a link or mount point in its path; or the kernel cannot
    /// rule one out.
    pub fn size_at_once(&self, path: &Path) -> Result<u64, FileError> {
        size_of(self.found(path, Links::RefuseMounts)?)
    }

    /// Returns a handle to a file for its metadata, without opening the file itself.
    fn found(&self, path: &Path, links: Links) -> Result<OwnedFd, FileError> {
        let last = if links == Links::Within { OFlags::empty() } else { OFlags::NOFOLLOW };
        self.beneath(path, LOOK | last, Mode::empty(), links)
    }

    fn beneath(&self, path: &Path, flags: OFlags, mode: Mode, links: Links) -> Result<OwnedFd, FileError> {
        beneath::open(self.as_fd(), path, flags, mode, links).map_err(|error| {
            if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) { FileError::Outside } else { error.into() }
        })
    }

    /// Reads a regular file of at most `limit` bytes.
    ///
    /// # Errors
    /// Like [`Folder::file`], or the file is larger.
    pub fn read(&self, path: &Path, links: Links, limit: u64) -> Result<Vec<u8>, FileError> {
        contents(self.file(path, links)?, limit)
    }

    /// Creates an empty file for writing. An existing file or link at the path is removed first; nothing is written
    /// through it.
    ///
    /// # Errors
    /// The file cannot be created, a folder has its path, or the path above it has a link.
    pub fn create(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let make = || self.beneath(path, flags, Mode::from_raw_mode(0o644), Links::Refuse).map_err(io::Error::from);
        let made = match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.remove(path)?;
                make()
            }
            made => made,
        };
        Ok(File::from(made?))
    }

    /// Creates a file with this content. An existing file or link at the path is replaced.
    ///
    /// # Errors
    /// Like [`Folder::create`], or the file cannot be written.
    pub fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.create(path)?.write_all(content)
    }

    /// Creates a symbolic link in this folder. An existing entry with its name is removed first, even a folder with its
    /// contents.
    ///
    /// # Errors
    /// The link cannot be created, or the existing entry cannot be removed.
    pub fn link(&self, name: &Path, target: &Path) -> io::Result<()> {
        self.remove_any(name)?;
        Ok(symlinkat(target, self, name)?)
    }

    /// Creates a hard link in this folder to a file elsewhere.
    ///
    /// # Errors
    /// The name is taken, the file is on another file system, or the system refuses the link.
    pub fn hard_link(&self, name: &Path, file: &Path) -> io::Result<()> {
        Ok(linkat(CWD, file, self, name, AtFlags::empty())?)
    }

    /// Creates a FIFO that every user may read and write.
    ///
    /// # Errors
    /// The FIFO cannot be created.
    pub fn make_fifo(&self, name: &str) -> io::Result<()> {
        mkfifoat(self, name, Mode::from_raw_mode(0o666))?;
        // Opening a FIFO for both reading and writing does not block.
        fchmod(self.fifo(name, OFlags::RDWR)?, Mode::from_raw_mode(0o666))?;
        Ok(())
    }

    /// Opens a FIFO for reading, without waiting for a writer.
    ///
    /// # Errors
    /// The FIFO does not exist, or the entry is not a FIFO.
    pub fn fifo_to_read(&self, name: &str) -> io::Result<File> {
        self.fifo(name, OFlags::RDONLY)
    }

    /// Opens a FIFO for writing, without waiting for a reader.
    ///
    /// # Errors
    /// Like [`Folder::fifo_to_read`].
    pub fn fifo_to_write(&self, name: &str) -> io::Result<File> {
        self.fifo(name, OFlags::RDWR)
    }

    fn fifo(&self, name: &str, access: OFlags) -> io::Result<File> {
        let flags = access | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let found = beneath::open(self.as_fd(), Path::new(name), flags, Mode::empty(), Links::Refuse)?;
        match FileType::from_raw_mode(fstat(&found)?.st_mode) {
            FileType::Fifo => Ok(File::from(found)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is not a FIFO"))),
        }
    }

    /// Removes a file, or a link to one.
    ///
    /// # Errors
    /// The file does not exist, is a folder, or cannot be removed.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        let (above, name) = self.parent(path)?;
        Ok(unlinkat(above.as_ref().unwrap_or(self), name, AtFlags::empty())?)
    }

    /// Removes a folder with everything in it. Links are removed, not followed.
    ///
    /// # Errors
    /// The folder does not exist, or something in it cannot be removed.
    pub fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let (above, name) = self.parent(path)?;
        std::fs::remove_dir_all(above.as_ref().unwrap_or(self).path().join(name))
    }

    /// Empties this folder. Links are removed, not followed.
    ///
    /// # Errors
    /// Something in it cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        self.names()?.iter().try_for_each(|name| self.remove_any(Path::new(name)))
    }

    /// Moves everything in this folder to another one on the same file system. Folders that exist in both are merged;
    /// any other entry of the other folder with the same name is replaced.
    ///
    /// # Errors
    /// Something cannot be moved.
    pub fn move_into(&self, other: &Self) -> io::Result<()> {
        for name in self.names()? {
            let name = Path::new(&name);
            if let (Ok(own), Ok(others)) = (self.folder(name), other.folder(name)) {
                own.move_into(&others)?;
                continue;
            }
            other.remove_any(name)?;
            renameat(self, name, other, name)?;
        }
        Ok(())
    }

    /// Moves the folder at `from`, on the same file system, to a path below this folder. Creates the folders above the
    /// path.
    ///
    /// # Errors
    /// Something other than an empty folder is at the path, the path above it has a link, or the folder cannot be
    /// moved.
    pub fn place(&self, from: &Path, path: &Path) -> io::Result<()> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let above = self.make_folders(path.parent().unwrap_or(Path::new("")))?;
        Ok(renameat(CWD, from, &above, name)?)
    }

    /// Removes a file, a link or a folder, if it exists.
    ///
    /// # Errors
    /// The entry cannot be removed.
    pub fn remove_any(&self, name: &Path) -> io::Result<()> {
        match self.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(_) if self.folder(name).is_ok() => self.remove_folder(name),
            removed => removed,
        }
    }

    fn names(&self) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(self.path())?.map(|entry| Ok(entry?.file_name())).collect()
    }

    /// Sets the permissions of a regular file.
    ///
    /// # Errors
    /// Like [`Folder::file`] without links, or the permissions cannot be set.
    pub fn set_mode(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        Ok(fchmod(self.file(path, Links::Refuse)?, Mode::from_raw_mode(mode)).map_err(io::Error::from)?)
    }

    /// Sets the permissions of this folder.
    ///
    /// # Errors
    /// The permissions cannot be set.
    pub fn set_own_mode(&self, mode: u32) -> io::Result<()> {
        Ok(fchmod(self, Mode::from_raw_mode(mode))?)
    }

    /// Lets every user change this folder, if its file system has permission bits.
    pub fn open_to_all(&self) {
        let _ = self.set_own_mode(0o777);
    }

    /// Returns a path that names this folder as long as it is open, even if its own path was renamed.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.0.as_raw_fd().to_string())
    }

    /// Returns the parent folder of a path, and the file name. The parent is `None` if it is this folder.
    fn parent<'p>(&self, path: &'p Path) -> io::Result<(Option<Self>, &'p Path)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        Ok((above.map(|above| self.folder(above)).transpose()?, Path::new(name)))
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Case {
        home: tempfile::TempDir,
        folder: Folder,
    }

    impl Case {
        fn new() -> Self {
            let home = tempfile::tempdir().expect("a folder");
            fs::create_dir(home.path().join("root")).expect("made");
            fs::write(home.path().join("outer"), "outer").expect("written");
            let folder = Folder::open(&home.path().join("root")).expect("opened");
            Self { home, folder }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.home.path().join("root").join(name)
        }
    }

    #[test]
    fn links_are_followed_only_where_they_may_be_and_never_out() {
        let case = Case::new();
        fs::create_dir(case.at("real")).expect("made");
        fs::write(case.at("real/file"), "inner").expect("written");
        symlink("real", case.at("within")).expect("linked");
        symlink("../outer", case.at("out")).expect("linked");
        let read = |path: &str, links| case.folder.read(Path::new(path), links, 100);
        assert_eq!(read("within/file", Links::Within).expect("stays"), b"inner");
        for (path, links) in [
            ("within/file", Links::Refuse),
            ("out", Links::Within),
            ("out", Links::Refuse),
            ("../outer", Links::Within),
        ] {
            let error = read(path, links).expect_err(path);
            assert!(matches!(error, FileError::Outside), "{path}: {error:?}");
        }
    }

    #[test]
    fn a_file_is_made_new_and_never_through_a_link() {
        let case = Case::new();
        symlink("../outer", case.at("file")).expect("linked");
        case.folder.create(Path::new("file")).and_then(|mut file| file.write_all(b"new")).expect("written");
        assert_eq!(fs::read_to_string(case.at("file")).expect("there"), "new");
        symlink("..", case.at("up")).expect("linked");
        case.folder.create(Path::new("up/file")).expect_err("a link above it");
        case.folder.make_folders(Path::new("up/folder")).expect_err("a link above it");
        case.folder.remove(Path::new("up/outer")).expect_err("a link above it");
        case.folder.set_mode(Path::new("up/outer"), 0o777).expect_err("a link above it");
        assert_eq!(fs::read_to_string(case.home.path().join("outer")).expect("there"), "outer");
    }

    #[test]
    fn a_folder_is_moved_into_another_one_and_never_through_a_link() {
        let case = Case::new();
        for name in ["from/a/1", "from/a/2", "from/b/3", "from/c", "from/d", "to/a/1", "to/a/4", "to/d/5", "outer/6"] {
            fs::create_dir_all(case.at(name).parent().expect("a parent")).expect("made");
            fs::write(case.at(name), name).expect("written");
        }
        symlink(case.at("outer"), case.at("to/b")).expect("linked");
        symlink(case.at("outer/6"), case.at("to/c")).expect("linked");
        let folder = |name: &str| case.folder.folder(Path::new(name)).expect("there");
        folder("from").move_into(&folder("to")).expect("moved");
        let text = |name: &str| fs::read_to_string(case.at(name)).expect(name);
        for name in ["a/1", "a/2", "b/3", "c", "d"] {
            assert_eq!(text(&format!("to/{name}")), format!("from/{name}"));
        }
        assert_eq!((text("to/a/4"), text("outer/6")), ("to/a/4".to_owned(), "outer/6".to_owned()));
        assert_eq!(fs::read_dir(case.at("outer")).expect("there").count(), 1);
        symlink(case.at("outer"), case.at("to/link")).expect("linked");
        folder("to").clear().expect("emptied");
        assert_eq!(fs::read_dir(case.at("to")).expect("there").count(), 0);
        assert_eq!(text("outer/6"), "outer/6");
    }

    #[test]
    fn folders_are_made_and_removed_in_place_also_when_their_path_becomes_a_link() {
        let case = Case::new();
        let made = case.folder.make_folders(Path::new("a/b")).expect("made");
        made.open_to_all();
        assert_eq!(fs::metadata(case.at("a/b")).expect("there").permissions().mode() & 0o777, 0o777);
        fs::create_dir_all(case.home.path().join("precious/1")).expect("made");
        fs::create_dir(case.at("a/b/1")).expect("made");
        fs::rename(case.at("a/b"), case.at("moved")).expect("moved");
        symlink(case.home.path().join("precious"), case.at("a/b")).expect("linked");
        made.remove_folder(Path::new("1")).expect("removed");
        assert!(case.home.path().join("precious/1").exists() && !case.at("moved/1").exists());
    }

    #[test]
    fn fifos_open_without_waiting_and_nothing_else_does() {
        let case = Case::new();
        case.folder.make_fifo("fifo").expect("made");
        case.folder.fifo_to_read("fifo").expect("opened");
        case.folder.fifo_to_write("fifo").expect("opened");
        symlink("fifo", case.at("link")).expect("linked");
        case.folder.fifo_to_read("link").expect_err("a link");
        fs::write(case.at("file"), "").expect("written");
        case.folder.fifo_to_write("file").expect_err("a file");
    }
}
