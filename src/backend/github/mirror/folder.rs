//! The run folder of a mirror.
//!
//! The process that holds the folder's lock mirrors the run. The folder stays consistent when that process is
//! interrupted: the next one compares its snapshot with the journal and appends the rest.

use std::fs::File;

use crate::backend::github::wire::runs::Run as WireRun;
use crate::model::{Event, Record, Run, RunId, RunInfo, ServerKind, Timestamp};
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::ids::mirror_id;
use crate::store::journal::JournalWriter;
use crate::store::runs::RunStore;
use crate::store::spec::{RemoteSpec, RunSpec};
use crate::store::{StoreError, history};

use super::events::{Snapshot, Timed, events};

/// Address of a run on a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteId {
    /// Host name of the server, with its port if it has one.
    pub host: String,
    /// Repository as `owner/name`.
    pub repository: String,
    /// Id of the run.
    pub id: u64,
    /// Kind of the server.
    pub kind: ServerKind,
}

impl RemoteId {
    /// Returns the id of the run's mirror.
    #[must_use]
    pub fn mirror(&self, created: Timestamp) -> RunId {
        mirror_id(&self.name(), created)
    }

    /// Returns a name that is unique among all servers.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.host, self.repository, self.id).to_lowercase()
    }
}

/// Returns the spec for the mirror of a run. `None` if the server does not report when the run was created.
#[must_use]
pub fn spec(remote: &RemoteId, run: &WireRun) -> Option<RunSpec> {
    let created = run.created_at?.0;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let fork = run.head_repository.as_ref().and_then(|repository| repository.full_name.clone());
    let numbers = run.pull_requests.iter().flat_map(|requests| &requests.items).filter_map(|request| request.number);
    let info = RunInfo {
        id: remote.mirror(created),
        repository: remote.repository.clone(),
        workflow: run.workflow_path().to_owned(),
        event: text(&run.event),
        ref_name: text(&run.head_branch),
        sha: text(&run.head_sha),
        created,
        ..RunInfo::default()
    };
    let remote = RemoteSpec {
        host: remote.host.clone(),
        server: remote.kind,
        repository: remote.repository.clone(),
        id: remote.id,
        url: text(&run.html_url),
        run_number: run.run_number.unwrap_or_default(),
        workflow_id: run.workflow_id,
        workflow_name: text(&run.name),
        title: text(&run.display_title),
        actor: run.actor.as_ref().and_then(|actor| actor.login.clone()).unwrap_or_default(),
        fork: fork.filter(|fork| !fork.eq_ignore_ascii_case(&remote.repository)),
        pull_requests: numbers.collect(),
    };
    Some(RunSpec::of_remote(info, remote))
}

/// A run folder that this process mirrors a run into. Dropping it releases the lock.
#[derive(Debug)]
pub struct Mirror {
    folder: RunFolder,
    journal: JournalWriter,
    store: RunStore,
    _held: File,
}

impl Mirror {
    /// Opens or creates the folder of a mirror. `None` if another process mirrors the run.
    ///
    /// # Errors
    /// The state folder cannot be read or written.
    pub fn open(runs: &RunsDir, spec: &RunSpec) -> Result<Option<Self>, StoreError> {
        let Some((folder, held)) = runs.mirror(&spec.info.id)? else { return Ok(None) };
        // The document is written before the first record. It may be missing after a crash, but never if there are
        // records.
        let info = match RunSpec::read(&folder) {
            Ok(known) => known.info,
            Err(StoreError::Newer { path, version, supported }) => {
                return Err(StoreError::Newer { path, version, supported });
            }
            Err(_) => {
                spec.write(&folder)?;
                spec.info.clone()
            }
        };
        let journal = JournalWriter::open(folder.journal())?;
        let store = history::replay(&folder, info)?;
        let mirror = Self { folder, journal, store, _held: held };
        if history::is_marked(&mirror.folder) {
            // A previous process may have been interrupted between the end of the run and its entry in the index.
            mirror.note();
        }
        Ok(Some(mirror))
    }

    /// Returns the folder.
    #[must_use]
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Returns the run as recorded in its journal.
    #[must_use]
    pub fn run(&self) -> &Run {
        self.store.run(self.folder.id()).expect("the run was opened with the folder")
    }

    /// Appends the events that a snapshot adds, and returns their records.
    ///
    /// # Errors
    /// The journal or the state folder cannot be written.
    pub fn update(&mut self, snapshot: &Snapshot<'_>) -> Result<Vec<Record>, StoreError> {
        let events = events(self.run(), snapshot);
        self.append(events)
    }

    /// Appends events with one write, and returns their records.
    ///
    /// # Errors
    /// The journal or the state folder cannot be written.
    pub fn append(&mut self, events: Vec<Timed>) -> Result<Vec<Record>, StoreError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let starts = |(_, event): &Timed| matches!(event, Event::RunStarted { .. } | Event::RunWaiting { .. });
        if events.iter().any(starts) {
            history::begin(&self.folder)?;
        }
        let records = self.journal.append_all(events)?;
        for record in &records {
            self.store.apply(self.folder.id(), record);
        }
        self.note();
        Ok(records)
    }

    /// Adds the run to the index once it has ended. The journal already has the end of the run, so lists are correct
    /// even if this fails.
    fn note(&self) {
        let run = self.run();
        if run.phase.is_done()
            && let Err(error) = history::finish(&self.folder, run)
        {
            tracing::debug!(%error, "the index of runs cannot be written");
        }
    }
}

/// Result of writing a stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stub {
    /// The folder has everything that the list has.
    Current,
    /// The list and the folder disagree on whether the run has ended, so its jobs must be fetched. Jobs may have been
    /// in progress when the run was last fetched, and some servers do not report attempts in lists.
    NeedsJobs,
    /// Another process mirrors the run.
    Held,
    /// The server does not report when the run was created.
    Undated,
}

/// Mirrors a listed run without its jobs. Reads the journal of the run, so callers should skip runs that have not
/// changed since the last call.
///
/// # Errors
/// The state folder cannot be read or written.
pub fn stub(runs: &RunsDir, remote: &RemoteId, run: &WireRun) -> Result<Stub, StoreError> {
    let Some(spec) = spec(remote, run) else { return Ok(Stub::Undated) };
    let Some(mut mirror) = Mirror::open(runs, &spec)? else { return Ok(Stub::Held) };
    mirror.update(&Snapshot::listed(run))?;
    let has_ended = super::events::is_completed(run.status.as_ref(), run.conclusion.is_some());
    Ok(if has_ended == mirror.run().phase.is_done() { Stub::Current } else { Stub::NeedsJobs })
}
