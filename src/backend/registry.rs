//! The backends of this build: each has one variant of [`Source`] and one line in [`open`].

use std::path::PathBuf;

use crate::store::StoreError;
use crate::store::folder::{RunFolder, RunsDir};

use super::Backend;
use super::local::Local;
use super::replay::Replay;

/// A source of runs that a screen can be opened on.
#[derive(Clone, Debug)]
pub enum Source {
    /// The runs of a state folder, and the workflows of the repository around a folder.
    Local(RunsDir, PathBuf),
    /// A past run.
    Replay(RunFolder),
}

/// Opens the backend of a source.
///
/// # Errors
/// A past run cannot be read.
pub fn open(source: Source) -> Result<Box<dyn Backend>, StoreError> {
    Ok(match source {
        Source::Local(runs, folder) => Box::new(Local::new(runs, folder)),
        Source::Replay(run) => Box::new(Replay::open(&run)?),
    })
}
