//! Installations that the user added, stored in a file of the state folder: one folder per line.

use std::io;
use std::path::{Path, PathBuf};

use crate::files;
use crate::store::atomic;
use crate::store::folder::make_private;

/// Maximum size in bytes of the file.
const MAX_FILE: u64 = 1024 * 1024;

fn file(state: &Path) -> PathBuf {
    state.join("tools")
}

/// Returns the folders that the user added, newest first. Empty if the file cannot be read.
#[must_use]
pub fn list(state: &Path) -> Vec<PathBuf> {
    read(state).unwrap_or_default()
}

/// Reads the folders that the user added, newest first. A missing file counts as an empty list.
fn read(state: &Path) -> io::Result<Vec<PathBuf>> {
    let text = match files::read_own_text(&file(state), MAX_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    Ok(text.lines().filter(|line| !line.is_empty()).map(PathBuf::from).collect())
}

/// Adds a folder at the beginning of the list. Its path must be text without line breaks.
///
/// # Errors
/// The list cannot be read, so that writing it would lose the other folders, or the state folder cannot be written.
pub fn add(state: &Path, folder: &Path) -> io::Result<()> {
    let others = read(state)?.into_iter().filter(|known| known != folder);
    write(state, &[folder.to_owned()].into_iter().chain(others).collect::<Vec<_>>())
}

/// Removes a folder. Returns whether it had been added.
///
/// # Errors
/// The list cannot be read, or the state folder cannot be written.
pub fn remove(state: &Path, folder: &Path) -> io::Result<bool> {
    let all = read(state)?;
    let others: Vec<_> = all.iter().filter(|known| *known != folder).cloned().collect();
    let was_added = others.len() < all.len();
    if was_added {
        write(state, &others)?;
    }
    Ok(was_added)
}

fn write(state: &Path, folders: &[PathBuf]) -> io::Result<()> {
    let lines: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    make_private(state)?;
    atomic::write(&file(state), (lines.join("\n") + "\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_added_once_and_removed() {
        let state = tempfile::tempdir().expect("a folder");
        let state = &state.path().join("new");
        assert_eq!(list(state), Vec::<PathBuf>::new());
        for folder in ["/a", "/b", "/a"] {
            add(state, Path::new(folder)).expect("added");
        }
        assert_eq!(list(state), ["/a", "/b"].map(PathBuf::from));
        assert!(remove(state, Path::new("/a")).expect("removed"));
        assert!(!remove(state, Path::new("/a")).expect("unchanged"));
        assert_eq!(list(state), [PathBuf::from("/b")]);

        std::fs::write(file(state), b"/b\n/\xff\n").expect("written");
        add(state, Path::new("/c")).expect_err("the other folders would be lost");
        remove(state, Path::new("/b")).expect_err("the other folders would be lost");
        assert_eq!(std::fs::read(file(state)).expect("read"), b"/b\n/\xff\n");
    }
}
