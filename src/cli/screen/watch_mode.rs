//! Watch mode: what a change of the repository's files fires is run again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::cli::{Exit, Failure};
use crate::launch::triggers::TriggerDecision;
use crate::launch::trust::Trust;
use crate::launch::{triggers, trust};
use crate::model::RunId;
use crate::model::feed::{Waits, Watching};
use crate::repo::git::Repository;
use crate::repo::workflows;
use crate::store::folder::RunsDir;

use super::at;
use super::fs_watch::{RepositoryWatch, belonging};

/// Files that are written one after the other belong together unless nothing is written for so long.
const QUIET: Duration = Duration::from_millis(500);

/// What is watched for, and what has changed.
pub(super) struct WatchMode {
    repository: Repository,
    /// The only workflow that is run; otherwise all that a push of the change would fire.
    workflow: Option<String>,
    files: RepositoryWatch,
    changed: BTreeSet<String>,
    /// Files about which not every workflow could be asked: one of them is broken.
    undecided: Vec<String>,
    /// When the files have been quiet for long enough.
    quiet_at: Option<Instant>,
    /// What is to be started once the runs that it overtakes have ended.
    pub(super) pending: Option<Change>,
    /// The runs that were started last, each with its workflow, and whether it was asked to end.
    pub(super) runs: Vec<Started>,
}

/// A run that a change started.
pub(super) struct Started {
    pub(super) run: RunId,
    pub(super) workflow: PathBuf,
    /// Whether it was asked to end for a newer one.
    pub(super) overtaken: bool,
}

/// Files that were written, and what comes of it.
pub(super) struct Change {
    /// The files, by their paths from the root; at least one.
    pub(super) files: Vec<String>,
    /// Every workflow that is looked at.
    pub(super) decided: Vec<TriggerDecision>,
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

    /// The workflows that it fires.
    pub(super) fn fires(&self) -> impl Iterator<Item = &TriggerDecision> {
        self.decided.iter().filter(|one| one.runs())
    }
}

/// What has happened to the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WatchEvent {
    /// Some were written, and more may be.
    Written,
    /// They are quiet again.
    Quiet,
}

impl WatchMode {
    pub(super) fn start(workflow: Option<String>) -> Result<Self, Failure> {
        let repository = Repository::discover(&std::env::current_dir()?)?;
        let files = RepositoryWatch::watch(&repository.root)
            .map_err(|reason| Failure::new(Exit::Unavailable, format!("the files cannot be watched: {reason}")))?;
        Ok(Self {
            repository,
            workflow,
            files,
            changed: BTreeSet::new(),
            undecided: Vec::new(),
            quiet_at: None,
            pending: None,
            runs: Vec::new(),
        })
    }

    /// Whether the repository may run here.
    pub(super) fn is_trusted(&self, runs: &RunsDir) -> Result<bool, Failure> {
        Ok(trust::of(runs, &self.repository)? == Trust::Given)
    }

    /// One of its workflows.
    pub(super) fn any_workflow(&self) -> Option<String> {
        workflows::list(&self.repository.root).first().map(|path| path.to_string_lossy().into_owned())
    }

    /// Waits until something has happened to the files.
    pub(super) async fn happened(&mut self) -> WatchEvent {
        tokio::select! {
            written = self.files.written() => {
                self.changed.extend(written);
                self.quiet_at = Some(Instant::now() + QUIET);
                WatchEvent::Written
            }
            () = at(self.quiet_at) => {
                self.quiet_at = None;
                WatchEvent::Quiet
            }
        }
    }

    /// What has changed and what it fires, with what is pending; nothing when only files changed that git ignores.
    pub(super) fn decide(&mut self) -> Result<Option<Change>, Failure> {
        let changed: Vec<String> = std::mem::take(&mut self.changed).into_iter().collect();
        let mut files = belonging(&self.repository.root, &changed)
            .map_err(|error| Failure::new(Exit::Unavailable, error.to_string()))?;
        if files.is_empty() {
            return Ok(None);
        }
        files.extend(self.pending.iter().flat_map(|pending| pending.files.clone()));
        files.append(&mut self.undecided);
        files.sort();
        files.dedup();
        // Until all is decided nothing of it is forgotten.
        self.undecided.clone_from(&files);
        // What the change does to the branch or to the commit is looked at anew.
        self.repository = Repository::discover(&self.repository.root)?;
        let decided = triggers::by_change(&self.repository, self.workflow.as_deref(), &files)?;
        if !decided.iter().any(TriggerDecision::is_broken) {
            self.undecided.clear();
        }
        Ok(Some(Change { files, decided }))
    }

    /// The runs that what is pending overtakes: those of the workflows that it fires.
    pub(super) fn overtaken(&mut self) -> impl Iterator<Item = &mut Started> {
        let fires = self.pending.iter().flat_map(Change::fires).map(|one| one.path.clone());
        let fires: Vec<PathBuf> = fires.collect();
        self.runs.iter_mut().filter(move |started| fires.contains(&started.workflow))
    }

    /// How it stands, for the screen.
    pub(super) fn told(&self) -> Watching {
        let what = self.workflow.as_deref().map(|path| path.rsplit('/').next().unwrap_or(path).to_owned());
        let pending = self.pending.iter().flat_map(|pending| &pending.files);
        let changed: Vec<&String> =
            if self.changed.is_empty() { pending.collect() } else { self.changed.iter().collect() };
        Watching {
            workflow: what,
            changed: changed.first().map(|first| ((*first).clone(), changed.len())),
            waits: if self.changed.is_empty() { Waits::ForRun } else { Waits::ForQuiet(QUIET) },
        }
    }
}
