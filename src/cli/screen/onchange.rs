//! Watch mode: what a change of the repository's files fires is run again.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::app::msg::Watching;
use crate::cli::fired::{self, Decided};
use crate::cli::{Exit, Failure};
use crate::engine::git::Repository;
use crate::model::RunId;

use super::files::{Files, belonging};

/// Files that are written one after the other belong together unless nothing is written for so long.
const QUIET: Duration = Duration::from_millis(500);

/// What is watched for, and what has changed.
pub(super) struct OnChange {
    repository: Repository,
    /// The only workflow that is run; otherwise all that a push of the change would fire.
    workflow: Option<String>,
    files: Files,
    changed: BTreeSet<String>,
    /// When the files have been quiet for long enough.
    quiet_at: Option<Instant>,
    /// The runs that were started last.
    pub(super) runs: Vec<RunId>,
}

/// Files that were written, and what comes of it.
pub(super) struct Change {
    /// The files, by their paths from the root; at least one.
    pub(super) files: Vec<String>,
    /// Every workflow that is looked at.
    pub(super) decided: Vec<Decided>,
}

impl Change {
    /// The files in a few words.
    pub(super) fn what(&self) -> String {
        match self.files.as_slice() {
            [only] => only.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
            [] => String::new(),
        }
    }
}

/// What has happened to the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Happened {
    /// Some were written, and more may be.
    Written,
    /// They are quiet again.
    Quiet,
}

impl OnChange {
    pub(super) fn start(workflow: Option<String>) -> Result<Self, Failure> {
        let found = Repository::discover(&std::env::current_dir()?);
        let repository = found.map_err(|error| Failure::new(Exit::NotFound, error.to_string()))?;
        let files = Files::watch(&repository.root)
            .map_err(|reason| Failure::new(Exit::Unavailable, format!("the files cannot be watched: {reason}")))?;
        Ok(Self { repository, workflow, files, changed: BTreeSet::new(), quiet_at: None, runs: Vec::new() })
    }

    /// Waits until something has happened to the files.
    pub(super) async fn happened(&mut self) -> Happened {
        let quiet_at = self.quiet_at;
        let quiet = async {
            match quiet_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            written = self.files.written() => {
                self.changed.extend(written);
                self.quiet_at = Some(Instant::now() + QUIET);
                Happened::Written
            }
            () = quiet => {
                self.quiet_at = None;
                Happened::Quiet
            }
        }
    }

    /// Whether something changed that nothing was decided about.
    pub(super) fn is_open(&self) -> bool {
        !self.changed.is_empty() && self.quiet_at.is_none()
    }

    /// What has changed and what it fires; nothing when only files changed that git ignores.
    pub(super) fn decide(&mut self) -> Result<Option<Change>, Failure> {
        let changed: Vec<String> = std::mem::take(&mut self.changed).into_iter().collect();
        let files = belonging(&self.repository.root, &changed)
            .map_err(|error| Failure::new(Exit::Unavailable, error.to_string()))?;
        if files.is_empty() {
            return Ok(None);
        }
        // What the change does to the branch or to the commit is looked at anew.
        self.repository = Repository::discover(&self.repository.root)
            .map_err(|error| Failure::new(Exit::NotFound, error.to_string()))?;
        let decided = fired::by_change(&self.repository, self.workflow.as_deref(), &files)?;
        Ok(Some(Change { files, decided }))
    }

    /// How it stands, for the screen.
    pub(super) fn told(&self) -> Watching {
        let what = self.workflow.as_deref().map(|path| path.rsplit('/').next().unwrap_or(path).to_owned());
        Watching { workflow: what, changed: self.changed.iter().cloned().collect(), quiet: QUIET }
    }
}
