//! Objects of the repository, for the git folder of a job.
//!
//! The git folder of a job on this machine is whole wherever it is mounted: `docker run -v $PWD:/src` does not see the
//! repository. Git never changes an object, so the folder has hard links to them, like that of a local `git clone`. A
//! container of a job could change them, so there the folder refers to the repository's objects, which the container has
//! mounted at their own path and may only read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::copy_if_there;
use crate::files::read_text;

/// Returns the folders that have the objects of a repository: its own, and those that it borrows from.
pub(in crate::engine) fn folders(own: &Path) -> Vec<PathBuf> {
    let mut found = vec![own.to_owned()];
    let mut next = 0;
    while let Some(folder) = found.get(next).cloned() {
        next += 1;
        let alternates = read_text(&folder.join("info/alternates")).unwrap_or_default();
        // A relative path is relative to the folder of the objects.
        let others = alternates.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for other in others.map(|line| folder.join(line)) {
            if other.is_dir() && !found.contains(&other) {
                found.push(other);
            }
        }
    }
    found
}

/// Brings the objects of other folders into `target`, as hard links where that is possible, or copies them.
pub(super) fn bring(folders: &[PathBuf], target: &Path, link: bool) -> io::Result<()> {
    for folder in folders {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name());
        }
        let is_loose = |name: &[u8]| name.len() == 2 && name.iter().all(u8::is_ascii_hexdigit);
        names.retain(|name| name == "pack" || is_loose(name.as_encoded_bytes()));
        // An object that is packed meanwhile is in one or the other.
        names.sort_by_key(|name| name == "pack");
        for name in names {
            bring_files(&folder.join(&name), &target.join(&name), link)?;
        }
    }
    Ok(())
}

fn bring_files(from: &Path, to: &Path, link: bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        let bytes = name.as_encoded_bytes();
        // Files that git is still writing, and an index over packs that may be gone.
        if bytes.starts_with(b"tmp_") || bytes.ends_with(b".lock") || bytes.starts_with(b"multi-pack-index") {
            continue;
        }
        let (from, to) = (from.join(&name), to.join(&name));
        let linked = if link { fs::hard_link(&from, &to) } else { Err(io::ErrorKind::Unsupported.into()) };
        match linked {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {}
            // No links are wanted, or it is another file system, or a file of another user.
            Err(_) => copy_if_there(&from, &to)?,
        }
    }
    Ok(())
}
