//! Folders of this machine that a container sees, and the translation of their paths.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{FileError, Folder, Links};

/// A folder or file of this machine that a container sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedFolder {
    /// Path on this machine.
    pub outside: PathBuf,
    /// Path in the container.
    pub inside: PathBuf,
    /// Whether the container may write to it.
    pub writable: bool,
}

impl SharedFolder {
    /// Returns a folder that the container may write to.
    #[must_use]
    pub fn writable(outside: impl Into<PathBuf>, inside: impl Into<PathBuf>) -> Self {
        Self { outside: outside.into(), inside: inside.into(), writable: true }
    }

    /// Returns a folder that the container may only read.
    #[must_use]
    pub fn readable(outside: impl Into<PathBuf>, inside: impl Into<PathBuf>) -> Self {
        Self { writable: false, ..Self::writable(outside, inside) }
    }
}

/// Translates a path of this machine to the path in the container. A path outside all folders is unchanged.
#[must_use]
pub fn inside(shared: &[SharedFolder], path: &Path) -> PathBuf {
    translate(shared.iter().map(|one| (&one.outside, &one.inside)), path)
}

/// Translates a path in the container to the path on this machine. A path outside all folders is unchanged.
#[must_use]
pub fn outside(shared: &[SharedFolder], path: &Path) -> PathBuf {
    translate(shared.iter().map(|one| (&one.inside, &one.outside)), path)
}

/// Whether a folder is inside another one, at the same relative path on both sides.
#[must_use]
pub fn is_covered(shared: &[SharedFolder], folder: &SharedFolder) -> bool {
    let others = shared.iter().filter(|other| *other != folder);
    let mut around = others.filter_map(|other| folder.outside.strip_prefix(&other.outside).ok().zip(Some(other)));
    around.any(|(below, other)| other.inside.join(below) == folder.inside)
}

/// Adds mount points for folders that are inside others, and for their parent folders, because a container cannot
/// replace a mount point. Without one, the container could put a link in place of a folder that it may write to.
/// Containers that start later would then see the target of the link, which can be any folder of this machine.
#[must_use]
pub fn pinned(shared: Vec<SharedFolder>) -> Vec<SharedFolder> {
    let mut pins: Vec<SharedFolder> = Vec::new();
    for outer in shared.iter().filter(|outer| outer.writable) {
        for below in shared.iter().filter_map(|inner| inner.outside.strip_prefix(&outer.outside).ok()) {
            for part in below.ancestors().filter(|part| !part.as_os_str().is_empty()) {
                let pin = SharedFolder::writable(outer.outside.join(part), outer.inside.join(part));
                if !pins.contains(&pin) && !shared.iter().any(|one| one.inside == pin.inside) {
                    pins.push(pin);
                }
            }
        }
    }
    // If two entries have the same path in the container, the last one wins.
    pins.extend(shared);
    pins
}

/// Reads a file by its path in the container. Links are followed only inside the shared folder.
///
/// # Errors
/// The file cannot be read, is larger than `limit` bytes, or is in none of the folders.
pub fn read(shared: &[SharedFolder], path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let containing = shared.iter().filter(|one| path.starts_with(&one.inside));
    let folder = containing.max_by_key(|one| one.inside.components().count()).ok_or(FileError::Outside)?;
    let below = path.strip_prefix(&folder.inside).map_err(|_| FileError::Outside)?;
    Folder::open(&folder.outside)?.read(below, Links::Within, limit)
}

/// Replaces the longest matching prefix of a path. Returns the path unchanged if no prefix matches.
fn translate<'s>(pairs: impl Iterator<Item = (&'s PathBuf, &'s PathBuf)>, path: &Path) -> PathBuf {
    let below = pairs.filter(|(from, _)| path.starts_with(from));
    let Some((from, to)) = below.max_by_key(|(from, _)| from.components().count()) else { return path.to_owned() };
    match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => to.clone(),
        Ok(rest) => to.join(rest),
        Err(_) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_matching_folder_translates_a_path() {
        let shared = [
            SharedFolder::writable("/r/work/test", "/__w"),
            SharedFolder::readable("/cache/actions", "/__w/_actions"),
            SharedFolder::writable("/r/work/test/_temp/_github_home", "/github/home"),
        ];
        let inside = |path: &str| inside(&shared, Path::new(path));
        let outside = |path: &str| outside(&shared, Path::new(path));
        assert_eq!(inside("/r/work/test/aura/aura"), Path::new("/__w/aura/aura"));
        assert_eq!(inside("/r/work/test"), Path::new("/__w"));
        assert_eq!(inside("/r/work/test/_temp/_github_home/.gitconfig"), Path::new("/github/home/.gitconfig"));
        assert_eq!(inside("/r/work/testing"), Path::new("/r/work/testing"));
        assert_eq!(outside("/__w/_actions/a/b"), Path::new("/cache/actions/a/b"));
        assert_eq!(outside("/usr/bin/env"), Path::new("/usr/bin/env"));
    }

    #[test]
    fn a_mount_inside_another_one_is_covered_by_it() {
        let shared = [
            SharedFolder::writable("/r/work/test", "/__w"),
            SharedFolder::writable("/r/work/test/_temp", "/__w/_temp"),
            SharedFolder::writable("/r/work/test/_temp/_github_home", "/github/home"),
        ];
        assert_eq!(shared.each_ref().map(|one| is_covered(&shared, one)), [false, true, false]);
    }

    #[test]
    fn folders_in_others_are_mount_points_wherever_they_can_be_written() {
        let shared = vec![
            SharedFolder::writable("/r/job", "/__w"),
            SharedFolder::writable("/r/job/_temp", "/__w/_temp"),
            SharedFolder::writable("/r/job/_temp/_home", "/github/home"),
            SharedFolder::writable("/r/job/_tools", "/__t"),
            SharedFolder::writable("/r/job/a/b", "/work"),
            SharedFolder::readable("/cache/one", "/__w/_actions/one"),
            SharedFolder::readable("/cache/one/node", "/node"),
        ];
        let pinned = pinned(shared.clone());
        let mut pins: Vec<_> = pinned[..pinned.len() - shared.len()].iter().map(|pin| pin.inside.to_str()).collect();
        pins.sort_unstable();
        assert_eq!(pins, ["/__w/_temp/_home", "/__w/_tools", "/__w/a", "/__w/a/b"].map(Some));
        assert_eq!(inside(&pinned, Path::new("/r/job/_temp/_home/x")), Path::new("/github/home/x"));
    }

    #[test]
    fn a_container_has_only_shared_files_read() {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(home.path().join("work")).expect("made");
        std::fs::write(home.path().join("work/file"), "inner").expect("written");
        std::fs::write(home.path().join("file"), "outer").expect("written");
        std::os::unix::fs::symlink("../file", home.path().join("work/link")).expect("linked");
        let shared = [SharedFolder::writable(home.path().join("work"), "/__w")];
        let read = |path: &str| super::read(&shared, Path::new(path), 100);
        assert_eq!(read("/__w/file").expect("shared"), b"inner");
        for path in ["/__w/link", "/__w/../file", "/etc/hostname"] {
            assert!(matches!(read(path), Err(FileError::Outside)), "{path}");
        }
    }
}
