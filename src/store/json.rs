//! Files that hold one JSON document each, and are replaced as a whole.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{StoreError, atomic};
use crate::files;

/// Reads a document of at most `limit` bytes; `None` if there is no file.
///
/// # Errors
/// The file cannot be read, is larger, or does not contain a valid `T`.
pub fn read<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<Option<T>, StoreError> {
    match files::read_own(path, limit) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| StoreError::Damaged { path: path.to_owned(), reason: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// Writes a document durably, replacing an earlier one. Panics if the document cannot be serialised.
///
/// # Errors
/// The file cannot be written.
pub fn write<T: Serialize>(path: &Path, document: &T) -> Result<(), StoreError> {
    let text = serde_json::to_vec_pretty(document).expect("numbers and texts always serialise");
    atomic::write(path, &text).map_err(StoreError::io("write", path))
}

/// Writes a document like [`write()`], in one line and without waiting for the disk.
///
/// # Errors
/// The file cannot be written, or the document cannot be serialised, for example because of a path that is not UTF-8.
pub fn write_unsynced<T: Serialize>(path: &Path, document: &T) -> Result<(), StoreError> {
    let text = serde_json::to_vec(document).map_err(io::Error::from);
    text.and_then(|text| atomic::write_unsynced(path, &text)).map_err(StoreError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_as_it_was_written_and_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        assert_eq!(read::<Vec<u8>>(&path, 100).expect("no file"), None);
        write(&path, &vec![1_u8, 2]).expect("written");
        assert_eq!(read::<Vec<u8>>(&path, 100).expect("read"), Some(vec![1, 2]));
        write_unsynced(&path, &vec![3_u8]).expect("written");
        assert_eq!(read::<Vec<u8>>(&path, 100).expect("read"), Some(vec![3]));
        let error = read::<String>(&path, 100).expect_err("another form").to_string();
        assert!(error.starts_with(&format!("{} is damaged: ", path.display())), "{error}");
    }
}
