//! Watch mode for a command line, which starts the runs itself and follows them one after another.

use std::path::Path;

use crate::launch::triggers::TriggerDecision;

use super::watch_mode::{WatchEvent, WatchMode, WatchModeError};

/// Why files cannot be watched, or it cannot be decided what a change runs.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct FileWatchError(#[from] WatchModeError);

/// A watch on the files of a repository.
pub struct FileWatch(WatchMode);

/// A change of files.
#[derive(Clone, Debug)]
pub struct FileChange {
    /// A short description of the files.
    pub files: String,
    /// The workflows that a push of the change would run.
    pub runs: Vec<TriggerDecision>,
    /// Errors in workflow files, in one line; `None` without errors.
    pub errors: Option<String>,
    /// Why no workflow would run, in one line.
    pub why_nothing: String,
    /// Whether there is no workflow to decide about, whatever files change.
    pub lacks_workflow: bool,
}

impl FileWatch {
    /// Starts to watch the repository around a folder. With `workflow`, its path in the repository, only this one is
    /// decided about.
    ///
    /// # Errors
    /// The folder is not in a repository, or its files cannot be watched.
    pub fn start(folder: &Path, workflow: Option<String>) -> Result<Self, FileWatchError> {
        Ok(Self(WatchMode::start(folder, workflow)?))
    }

    /// Waits until files have changed and none has changed for a moment. Files that git ignores do not count.
    ///
    /// # Errors
    /// Git or a workflow cannot be read. The change is then part of the next one.
    pub async fn change(&mut self) -> Result<FileChange, FileWatchError> {
        loop {
            if self.0.event().await == WatchEvent::Quiet
                && let Some(change) = self.0.decide()?
            {
                return Ok(FileChange {
                    files: change.summary(),
                    runs: change.running().cloned().collect(),
                    errors: change.errors(),
                    why_nothing: change.why_nothing().text,
                    lacks_workflow: change.lacks_workflow(),
                });
            }
        }
    }
}
