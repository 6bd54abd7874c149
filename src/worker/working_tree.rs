//! The working tree of an attempt. Every attempt copies the user's files as they are then, not as they were when the run
//! was created, so each attempt records its own commit and uncommitted changes.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;

use crate::engine::Resumed;
use crate::engine::attempt::CarriedJob;
use crate::engine::mask::Masker;
use crate::engine::outlet::Outlet;
use crate::model::{Conclusion, Event, JobId, Run, RunInfo, WorkingTree};
use crate::repo::git::{Access, GitError, Repository};
use crate::repo::uncommitted::{Uncommitted, changed_files};
use crate::store::folder::RunFolder;
use crate::store::spec::{WorkflowSpec, ref_name};
use crate::store::{StoreError, atomic};

use super::outlet::RunOutlet;

/// The working tree of an attempt after the first.
pub(super) struct AttemptTree {
    pub(super) tree: WorkingTree,
    /// Full name of the ref, such as `refs/heads/main`.
    pub(super) git_ref: String,
    /// Uncommitted changes as a diff; empty if there are none.
    diff: String,
}

impl AttemptTree {
    /// Reads the working tree for an attempt in which some jobs keep the results or the files of earlier attempts:
    /// `carried` and `resumed`. A file also counts as changed if it differed from the commit for one of these jobs.
    ///
    /// # Errors
    /// Git cannot read the repository.
    pub(super) fn read(
        spec: &WorkflowSpec,
        before: &Run,
        carried: &IndexMap<JobId, CarriedJob>,
        resumed: &HashMap<JobId, Resumed>,
    ) -> Result<Self, GitError> {
        let root = &spec.repository;
        let repository = Repository::discover(root)?;
        let Uncommitted { mut files, diff } =
            Uncommitted::read(root, Access::Trusted, &repository.sha, &spec.secret_files)?;
        for attempt in kept(before, carried, resumed) {
            let Some(earlier) = before.trees.get(&attempt) else { continue };
            let names = if attempt == 1 && earlier.files.is_empty() { &spec.dirty } else { &earlier.files };
            files.extend(names.iter().cloned());
            if earlier.sha != repository.sha && !earlier.sha.is_empty() {
                files.extend(changed_files(root, Access::Trusted, &earlier.sha)?);
            }
        }
        let git_ref = git_ref(spec, &before.info, &repository);
        let tree = WorkingTree::new(ref_name(&git_ref), &repository.sha, files);
        Ok(Self { tree, git_ref, diff })
    }

    /// Records the working tree, and writes the diff of the attempt.
    pub(super) fn record(self, folder: &RunFolder, attempt: u32, outlet: &RunOutlet) {
        write_diff(folder, attempt, &self.diff, &outlet.masker());
        outlet.record(Event::WorkingTreeRead { attempt, tree: self.tree });
    }
}

/// Records the files that have changed since the attempt in progress started, and that it uses because they were brought
/// into a workspace, or because it waited before its first job.
///
/// # Errors
/// Git cannot read the repository, or does not have the commit of the attempt.
pub(super) fn record_changes(folder: &RunFolder, spec: &WorkflowSpec, outlet: &RunOutlet) -> Result<(), GitError> {
    let run = outlet.run();
    let (root, info) = (&spec.repository, &run.info);
    let is_of_request = run.attempt == 1 && run.uncommitted().is_empty();
    let mut files = if is_of_request { spec.dirty.clone() } else { run.uncommitted().to_vec() };
    files.extend(if info.sha.is_empty() {
        Uncommitted::read(root, Access::Trusted, "", &spec.secret_files)?.files
    } else {
        changed_files(root, Access::Trusted, &info.sha)?
    });
    let diff = Uncommitted::read(root, Access::Trusted, &info.sha, &spec.secret_files)?.diff;
    write_diff(folder, run.attempt, &diff, &outlet.masker());
    let mut tree = WorkingTree::new(&info.ref_name, &info.sha, files);
    // Only some of very many names are kept.
    tree.changed = tree.changed.max(info.changed);
    // Most runs that waited find the files as they were.
    if tree.changed == info.changed {
        return Ok(());
    }
    outlet.record(Event::WorkingTreeRead { attempt: run.attempt, tree });
    Ok(())
}

/// Returns the attempts whose files or results an attempt keeps. Jobs that were skipped used no files.
fn kept(before: &Run, carried: &IndexMap<JobId, CarriedJob>, resumed: &HashMap<JobId, Resumed>) -> BTreeSet<u32> {
    let ran = |carried: &&CarriedJob| carried.ending.conclusion != Conclusion::Skipped;
    let carried = carried.iter().filter(|(_, carried)| ran(carried)).map(|(id, _)| id);
    carried.chain(resumed.keys()).filter_map(|id| before.jobs.get(id)).map(|job| job.attempt).collect()
}

/// Returns the ref of an attempt: the one that is checked out, unless the event names a pull request or a tag, or the
/// commit is still the one of the earlier attempt.
fn git_ref(spec: &WorkflowSpec, before: &RunInfo, repository: &Repository) -> String {
    let is_of_event = ["refs/pull/", "refs/tags/"].iter().any(|kind| spec.git_ref.starts_with(kind));
    if is_of_event || before.sha == repository.sha && before.ref_name == ref_name(&spec.git_ref) {
        spec.git_ref.clone()
    } else {
        repository.git_ref.clone()
    }
}

/// Writes the diff of an attempt without the values of secrets. It is only shown to people, so an error is not fatal.
fn write_diff(folder: &RunFolder, attempt: u32, diff: &str, masker: &Masker) {
    if diff.is_empty() {
        return;
    }
    let path = folder.diff(attempt);
    let written = atomic::write_unsynced(&path, masker.mask_text(diff).as_bytes());
    if let Err(error) = written.map_err(StoreError::io("write", &path)) {
        tracing::warn!(%error, "the uncommitted changes are not recorded");
    }
}
