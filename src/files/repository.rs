//! Files of a repository, and files named on the command line.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::{Folder, Links};
use super::regular::{bounded, contents, open, read};
use super::{FileError, cleaned};

/// Maximum size of a file in bytes. GitHub accepts workflows of at most 1 MiB.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Reads a file of a repository: a regular file of at most [`MAX_BYTES`]. Follows only links that stay in the
/// repository, because any other link could show a private file of the user. The repository is the closest folder above
/// the path with a `.git` or `.github`; without one, every link is followed.
///
/// # Errors
/// The file does not exist, is not readable, is not a regular file, is larger, or has a link in its path that is
/// absolute or leads out of the repository.
pub fn read_repository(path: &Path) -> Result<Vec<u8>, FileError> {
    let found = match without_links(path) {
        Err(FileError::Outside) => match root(path)? {
            Some((root, below)) => Folder::open(&root)?.file(&below, Links::Within).map_err(|error| match error {
                FileError::Outside => FileError::OutsideRepository(root),
                error => error,
            })?,
            None => open(path)?,
        },
        found => found?,
    };
    contents(found, MAX_BYTES)
}

/// Reads a file of a repository, like [`read_repository`], as text. Bytes that are not UTF-8 become U+FFFD.
///
/// # Errors
/// Errors of [`read_repository`].
pub fn read_repository_text(path: &Path) -> Result<String, FileError> {
    read_repository(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Opens a file whose path has no links. Most paths have none, so their repository need not be found.
fn without_links(path: &Path) -> Result<File, FileError> {
    let (start, below) = path.strip_prefix("/").map_or((".", path), |below| ("/", below));
    Folder::open(Path::new(start))?.file(below, Links::Refuse)
}

/// Returns the root of the repository that a path is in, and the rest of the path; `None` outside of repositories.
fn root(path: &Path) -> io::Result<Option<(PathBuf, PathBuf)>> {
    let named = cleaned(&std::path::absolute(path)?);
    let is_root = |folder: &&Path| [".git", ".github"].iter().any(|name| folder.join(name).symlink_metadata().is_ok());
    let found = named.ancestors().skip(1).find(is_root);
    Ok(found.and_then(|root| Some((root.to_owned(), named.strip_prefix(root).ok()?.to_owned()))))
}

/// Reads a file that belongs to git as text: a regular file of at most [`MAX_BYTES`]. Follows links. Bytes that are not
/// UTF-8 become U+FFFD.
///
/// # Errors
/// The file does not exist, is not readable, is not a regular file, or is larger.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    read(path, MAX_BYTES).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads a file that a person names on the command line, of at most [`MAX_BYTES`]. It may be a pipe, such as the one
/// that a shell creates for `<(…)`.
///
/// # Errors
/// The file does not exist, is not readable, or is larger.
pub fn read_named(path: &Path) -> Result<Vec<u8>, FileError> {
    bounded(File::open(path)?, 0, MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_within_the_repository() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        fs::create_dir_all(at("repo/.github/workflows")).expect("made");
        fs::create_dir_all(at("repo/sub")).expect("made");
        fs::write(at("secret.yml"), "secret").expect("written");
        fs::write(at("repo/sub/own.yml"), "own").expect("written");
        let workflows = at("repo/.github/workflows");
        symlink("../../sub/own.yml", workflows.join("within.yml")).expect("linked");
        symlink("../../../secret.yml", workflows.join("out.yml")).expect("linked");
        symlink(at("secret.yml"), workflows.join("absolute.yml")).expect("linked");
        symlink("nowhere", workflows.join("missing.yml")).expect("linked");
        symlink(home.path(), at("repo/sub/up")).expect("linked");
        symlink("repo/sub/own.yml", at("users.yml")).expect("linked");
        let read = |path: &str| read_repository(&at(path));
        for path in ["repo/sub/own.yml", "repo/.github/workflows/within.yml", "users.yml", "repo/sub/../sub/own.yml"] {
            assert_eq!(read(path).expect(path), b"own", "{path}");
        }
        // A file that a person names is read even if the path starts within the repository.
        assert_eq!(read("repo/sub/../../secret.yml").expect("named"), b"secret");
        let workflow = |name: &str| format!("repo/.github/workflows/{name}.yml");
        for path in [workflow("out"), workflow("absolute"), "repo/sub/up/secret.yml".to_owned()] {
            let error = read(&path).expect_err(&path).to_string();
            assert!(error.starts_with("its path has a link that is absolute or leads out of "), "{path}: {error}");
        }
        assert!(read(&workflow("missing")).expect_err("missing").is_missing());
    }
}
