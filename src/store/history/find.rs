//! Finds runs by full or partial ids, and those with held steps.

use crate::model::{RepositoryId, Run, RunId, RunInfo};
use crate::store::StoreError;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::ids::{is_id_prefix, is_run_id};
use crate::store::spec::RunSpec;

use super::index::{Cached, Index};
use super::{read, unfinished};

/// Maximum number of candidates that an error names.
const CANDIDATES: usize = 5;

/// Minimum number of characters that an id must share with a mistyped one to be suggested.
const MIN_SHARED: usize = 4;

/// Returns the runs that have a held step, newest first: those of a repository, or of all repositories. Only runs that
/// have not ended are read; one that cannot be read is left out.
///
/// # Errors
/// The state folder cannot be read.
pub fn held(runs: &RunsDir, repository: Option<&RepositoryId>) -> Result<Vec<Run>, StoreError> {
    let is_here = |run: &Run| repository.is_none_or(|repository| repository.has(&run.info));
    let found = unfinished(runs)?.into_iter().rev().filter_map(|id| read(&runs.folder(id)).ok());
    Ok(found.filter(|run| is_here(run) && run.is_held()).collect())
}

impl RunsDir {
    /// Finds a run by its id, or the beginning or the end of its id. `latest` is the newest run of this machine. Only a
    /// search for the end of an id visits all runs; the others take the same time for any number of runs.
    ///
    /// # Errors
    /// No run matches, more than one does, or the state folder cannot be read.
    pub fn find(&self, wanted: &str) -> Result<RunFolder, StoreError> {
        let none = |nearest: Option<&RunId>| StoreError::NoSuchRun {
            wanted: wanted.to_owned(),
            nearest: nearest.map(ToString::to_string),
        };
        if wanted == "latest" {
            return self.newest()?.ok_or_else(|| none(None));
        }
        if is_run_id(wanted) && self.folder(RunId::new(wanted)).path().is_dir() {
            return Ok(self.folder(RunId::new(wanted)));
        }
        let mut candidates = if is_id_prefix(wanted) { self.with_prefix(wanted)? } else { Vec::new() };
        if candidates.is_empty() {
            candidates = self.with_end(wanted)?;
        }
        match candidates.as_slice() {
            [] => {
                let ids = self.list()?;
                let shared = |id: &RunId| id.as_str().bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
                let nearest = ids.iter().max_by_key(|id| shared(id));
                Err(none(nearest.filter(|id| shared(id) >= MIN_SHARED)))
            }
            [only] => Ok(self.folder(only.clone())),
            several => Err(StoreError::Ambiguous {
                wanted: wanted.to_owned(),
                candidates: several.iter().take(CANDIDATES).map(ToString::to_string).collect(),
            }),
        }
    }

    /// Finds the newest run of a repository on this machine.
    ///
    /// # Errors
    /// The repository has no run, or the state folder cannot be read.
    pub fn newest_of(&self, repository: &RepositoryId) -> Result<RunFolder, StoreError> {
        let mut newest = None;
        // The name is escaped like the JSON of the summaries in the index, because the name of a folder may have any
        // character.
        let lower = serde_json::Value::from(&*repository.name).to_string().to_ascii_lowercase();
        self.visit(None, |id, cached| {
            // The repository of a run never changes, so even an outdated line shows that a run belongs to another
            // repository.
            if cached.is_some_and(|cached| !cached.summary.to_ascii_lowercase().contains(&lower)) {
                return true;
            }
            let folder = self.folder(id.clone());
            let is_of = |info: &RunInfo| info.remote.is_none() && repository.has(info);
            let is_of = RunSpec::read(&folder).is_ok_and(|spec| is_of(&spec.info));
            newest = is_of.then_some(folder);
            !is_of
        })?;
        newest.ok_or_else(|| StoreError::NoRunOf { repository: repository.name.clone() })
    }

    /// Finds the newest run of this machine. Skips folders that are damaged, or are being created or removed. `None` if
    /// there is no run.
    fn newest(&self) -> Result<Option<RunFolder>, StoreError> {
        let mut newest = None;
        self.visit(None, |id, _| {
            let folder = self.folder(id.clone());
            let is_run = matches!(
                RunSpec::read(&folder),
                Ok(RunSpec { info: RunInfo { remote: None, .. }, .. })
                    | Err(StoreError::Newer { .. } | StoreError::UnknownKind { .. })
            );
            newest = is_run.then_some(folder);
            !is_run
        })?;
        Ok(newest)
    }

    /// Returns the newest runs whose ids begin with this text, at most [`CANDIDATES`].
    fn with_prefix(&self, prefix: &str) -> Result<Vec<RunId>, StoreError> {
        let mut found = Vec::new();
        // `~` sorts after every character of an id.
        self.visit(Some(&format!("{prefix}~")), |id, _| {
            let fits = id.as_str().starts_with(prefix);
            found.extend(fits.then(|| id.clone()));
            fits && found.len() < CANDIDATES
        })?;
        Ok(found)
    }

    /// Returns the runs whose ids end or begin with this text: a short text may be either.
    fn with_end(&self, wanted: &str) -> Result<Vec<RunId>, StoreError> {
        let mut ids = if wanted.is_empty() { Vec::new() } else { self.list()? };
        ids.retain(|id| id.as_str().ends_with(wanted) || id.as_str().starts_with(wanted));
        Ok(ids)
    }

    fn visit(
        &self,
        before: Option<&str>,
        mut visit: impl FnMut(&RunId, Option<&Cached>) -> bool,
    ) -> Result<(), StoreError> {
        // The separate statement closes the index before it is rebuilt.
        let visited = Index::open(self)?.visit(before, &mut visit);
        match visited {
            Err(StoreError::Damaged { .. }) => Index::remake(self, true)?.visit(before, &mut visit),
            visited => visited,
        }
    }
}
