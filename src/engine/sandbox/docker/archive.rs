//! Folders as tar archives, to copy files to and from an engine on another machine.

use std::io;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

/// Packs the content of a folder. Links stay links.
pub(super) async fn pack(folder: &Path) -> io::Result<Vec<u8>> {
    let folder = folder.to_owned();
    let packed = spawn_blocking(move || {
        let mut archive = tar::Builder::new(Vec::new());
        archive.follow_symlinks(false);
        archive.append_dir_all(".", &folder)?;
        archive.into_inner()
    });
    packed.await.map_err(io::Error::other)?
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
}
