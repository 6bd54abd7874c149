//! Seals, which prove that the document of a run, or a note in its folder, was written on this machine.
//!
//! A run can be started again from its document alone, but the folder of a run may be a copy from a bug report or an
//! untrusted archive, and its document may name a repository that is trusted here. The seal is an HMAC of the document
//! under a key that does not leave the state folder.

use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use crate::files;

use super::digest::{hexadecimal, hmac_sha256};
use super::folder::{RunFolder, RunsDir};
use super::{StoreError, atomic, spec};

/// Length of the key in bytes.
const KEY_BYTES: usize = 32;

/// Seals the document of a run.
///
/// # Errors
/// The state folder cannot be read or written.
pub(super) fn write(folder: &RunFolder, document: &[u8]) -> Result<(), StoreError> {
    let seal = hexadecimal(&hmac_sha256(&key(&folder.runs())?, document));
    let path = folder.seal();
    atomic::write_unsynced(&path, seal.as_bytes()).map_err(StoreError::io("write", path))
}

/// Whether the document of a run was written on this machine.
///
/// # Errors
/// The document cannot be read, or the key can neither be read nor made. A missing seal is not an error: returns
/// `false`.
pub fn is_valid(folder: &RunFolder) -> Result<bool, StoreError> {
    let path = folder.spec_path();
    let document = files::read_own(&path, spec::MAX_BYTES).map_err(StoreError::io("read", &path))?;
    let seal = hexadecimal(&hmac_sha256(&key(&folder.runs())?, &document));
    Ok(files::read_own(&folder.seal(), 1024).is_ok_and(|written| written == seal.as_bytes()))
}

/// Returns the seal of a note in the folder of a run. It is valid for this folder only, not for a copy of it.
///
/// # Errors
/// The key cannot be read or written.
pub fn of_note(folder: &RunFolder, note: &str) -> Result<String, StoreError> {
    let text = format!("{}\0{}\0{note}", folder.id(), folder.identity());
    Ok(hexadecimal(&hmac_sha256(&key(&folder.runs())?, text.as_bytes())))
}

/// Returns the key of the state folder. The first process that needs it creates it.
fn key(runs: &RunsDir) -> Result<Vec<u8>, StoreError> {
    let path = runs.key();
    let known = || files::read_own(&path, 1024).ok().filter(|key| key.len() == KEY_BYTES);
    if let Some(key) = known() {
        return Ok(key);
    }
    let made = || -> io::Result<()> {
        let (mut key, mut name) = ([0; KEY_BYTES], [0; 8]);
        getrandom::fill(&mut key).and_then(|()| getrandom::fill(&mut name)).map_err(io::Error::other)?;
        let temporary = path.with_extension(hexadecimal(&name));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?.write_all(&key)?;
        let linked = fs::hard_link(&temporary, &path);
        fs::remove_file(&temporary)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    };
    fs::create_dir_all(runs.state()).and_then(|()| made()).map_err(StoreError::io("write", &path))?;
    let damaged = "it does not have 32 bytes; remove it to make another one".to_owned();
    known().ok_or(StoreError::Damaged { path, reason: damaged })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RunInfo;
    use crate::store::spec::{RunSpec, WorkflowSpec};

    #[test]
    fn a_document_of_elsewhere_or_that_was_changed_has_no_valid_seal() {
        let home = tempfile::tempdir().expect("a folder");
        let (here, there) = (RunsDir::at(home.path().join("here")), RunsDir::at(home.path().join("there")));
        let made = |runs: &RunsDir| {
            let folder = runs.create(crate::model::Timestamp(0)).expect("made");
            RunSpec::of_workflow(RunInfo::default(), WorkflowSpec::default()).write(&folder).expect("written");
            folder
        };
        let (own, foreign) = (made(&here), made(&there));
        assert!(is_valid(&own).expect("readable"));
        let copy = here.folder(crate::model::RunId::new("20260101-000000-abcd"));
        fs::create_dir_all(copy.path()).expect("made");
        for (from, to) in [(foreign.spec_path(), copy.spec_path()), (foreign.seal(), copy.seal())] {
            fs::copy(from, to).expect("copied");
        }
        assert!(!is_valid(&copy).expect("readable"), "its key is elsewhere");
        fs::remove_file(copy.seal()).expect("removed");
        assert!(!is_valid(&copy).expect("readable"), "without a seal");
        fs::write(
            own.spec_path(),
            fs::read_to_string(own.spec_path()).expect("text").replace("\"text\": \"\"", "\"text\": \"x\""),
        )
        .expect("written");
        assert!(!is_valid(&own).expect("readable"), "the document was changed");
        fs::write(here.key(), "short").expect("written");
        assert!(matches!(is_valid(&own), Err(StoreError::Damaged { .. } | StoreError::Io { .. })));
    }
}
