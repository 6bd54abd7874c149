//! Folders as archives: what an engine on another machine is given, and what it gives back.

use std::io;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

/// Packs what is in a folder, links as links.
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

/// Packs one file or folder under the name it has, for the folder above it.
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

/// Unpacks an archive into a folder. Entries that lead out of it are passed over, as `tar` does by itself.
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
    async fn a_folder_comes_back_as_it_was() {
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
