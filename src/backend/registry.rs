//! The backends of this build: each has one variant of [`Source`] and one line in [`open`].

use std::path::PathBuf;

use crate::store::StoreError;
use crate::store::folder::{RunFolder, RunsDir, locate};

use super::Backend;
use super::local::Local;
use super::replay::Replay;

/// A source of runs for a screen.
#[derive(Clone, Debug)]
pub enum Source {
    /// The runs of a state folder, and the workflows of the repository around a folder.
    Local(RunsDir, PathBuf),
    /// A past run.
    Replay(RunFolder),
}

impl Source {
    /// Returns the runs of this user, and the workflows of the repository around `folder`. Runs that lost their worker are
    /// closed while the screen is shown, so that its first frame does not wait for a provider.
    ///
    /// # Errors
    /// There is no home folder.
    pub fn of_user(folder: PathBuf) -> Result<Self, StoreError> {
        Ok(Self::Local(locate()?, folder))
    }
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
