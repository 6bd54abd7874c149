//! Folders as tar archives: to copy files to and from an engine on another machine, and as the context of a build.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use crate::files::{FileError, Folder, Links};

/// Maximum size in bytes of the files of an archive, and of an archive of the engine. It is in memory until the other side
/// has it.
pub(super) const MAX_BYTES: u64 = 2 << 30;

/// Why a folder is not packed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackError {
    #[error(transparent)]
    Walk(#[from] walkdir::Error),
    #[error("cannot pack {}: {source}", path.display())]
    File { path: PathBuf, source: FileError },
    #[error("its files are larger than the limit of {MAX_BYTES} bytes, from {} on", path.display())]
    TooLarge { path: PathBuf },
    #[error("cannot write the archive: {0}")]
    Write(#[from] io::Error),
}

/// Packs the content of a folder: regular files of at most [`MAX_BYTES`] bytes together, folders, and links as links.
pub(super) async fn pack(folder: &Path) -> Result<Vec<u8>, PackError> {
    let folder = folder.to_owned();
    spawn_blocking(move || archive(&folder)).await.map_err(io::Error::other)?
}

fn archive(root: &Path) -> Result<Vec<u8>, PackError> {
    let folder = Folder::open(root)?;
    let mut archive = tar::Builder::new(Vec::new());
    archive.follow_symlinks(false);
    let mut left = MAX_BYTES;
    for entry in walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name() {
        let entry = entry?;
        let Ok(name) = entry.path().strip_prefix(root) else { continue };
        if entry.file_type().is_dir() || entry.file_type().is_symlink() {
            archive.append_path_with_name(entry.path(), name)?;
            continue;
        }
        // A step that still runs may put something else here, so that only what was opened counts.
        let failed = |source| PackError::File { path: name.to_owned(), source };
        let file = folder.file(name, Links::Refuse).map_err(failed)?;
        let metadata = file.metadata()?;
        let size = metadata.len();
        left = left.checked_sub(size).ok_or_else(|| PackError::TooLarge { path: name.to_owned() })?;
        let mut header = tar::Header::new_gnu();
        header.set_metadata(&metadata);
        // A file that becomes longer is cut, and one that becomes shorter is filled, as `tar` does.
        archive.append_data(&mut header, name, file.chain(io::repeat(0)).take(size))?;
    }
    Ok(archive.into_inner()?)
}

/// Packs a file or folder under its name, relative to its parent.
pub(super) async fn pack_one(path: &Path) -> io::Result<Vec<u8>> {
    let path = path.to_owned();
    let packed = spawn_blocking(move || {
        let name = path.file_name().map_or_else(|| PathBuf::from("."), PathBuf::from);
        let mut archive = tar::Builder::new(Vec::new());
        archive.follow_symlinks(false);
        if path.is_dir() {
            archive.append_dir_all(&name, &path)?;
        } else {
            archive.append_path_with_name(&path, &name)?;
        }
        archive.into_inner()
    });
    packed.await.map_err(io::Error::other)?
}

/// Unpacks an archive into a folder. Like `tar`, skips entries that lead out of it.
pub(super) async fn unpack(archive: Vec<u8>, into: &Path) -> io::Result<()> {
    let into = into.to_owned();
    let unpacked = spawn_blocking(move || {
        let mut archive = tar::Archive::new(io::Cursor::new(archive));
        archive.set_preserve_permissions(true);
        archive.set_overwrite(true);
        archive.unpack(&into)
    });
    unpacked.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_survives_the_round_trip() {
        let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(from.path().join("a")).expect("made");
        std::fs::write(from.path().join("a/b"), "text").expect("written");
        std::os::unix::fs::symlink("b", from.path().join("a/link")).expect("linked");
        unpack(pack(from.path()).await.expect("packed"), to.path()).await.expect("unpacked");
        assert_eq!(std::fs::read_to_string(to.path().join("a/link")).expect("there"), "text");
        let one = pack_one(&from.path().join("a")).await.expect("packed");
        let other = tempfile::tempdir().expect("a folder");
        unpack(one, other.path()).await.expect("unpacked");
        assert_eq!(std::fs::read_to_string(other.path().join("a/b")).expect("there"), "text");
    }

    #[tokio::test]
    async fn a_context_has_files_folders_and_links_and_nothing_else() {
        use std::fs::{self, File};
        let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let at = |name: &str| from.path().join(name);
        fs::create_dir_all(at("a/empty")).expect("made");
        fs::write(at("a/b"), "text").expect("written");
        fs::write(at(&"long".repeat(40)), "long").expect("written");
        std::os::unix::fs::symlink("/dev/zero", at("a/link")).expect("linked");
        unpack(pack(from.path()).await.expect("packed"), to.path()).await.expect("unpacked");
        assert_eq!(fs::read_to_string(to.path().join("a/b")).expect("there"), "text");
        assert_eq!(fs::read_to_string(to.path().join("long".repeat(40))).expect("there"), "long");
        assert_eq!(fs::read_link(to.path().join("a/link")).expect("a link"), Path::new("/dev/zero"));
        assert!(to.path().join("a/empty").is_dir());

        let refused = async || pack(from.path()).await.expect_err("refused").to_string();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("a/queue"), rustix::fs::Mode::from_raw_mode(0o600)).expect("made");
        assert_eq!(refused().await, "cannot pack a/queue: a FIFO, not a regular file");
        fs::remove_file(at("a/queue")).expect("removed");
        let socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("bound");
        assert_eq!(refused().await, "cannot pack socket: a socket, not a regular file");
        drop(socket);
        fs::remove_file(at("socket")).expect("removed");
        for name in ["big", "bigger"] {
            File::create(at(name)).and_then(|file| file.set_len(300 << 30)).expect("made");
        }
        assert_eq!(refused().await, "its files are larger than the limit of 2147483648 bytes, from big on");
        fs::remove_file(at("big")).expect("removed");
        assert!(refused().await.ends_with("from bigger on"));
    }
}
