//! The working tree of an attempt. Every attempt copies the user's files as they are then, not as they were when the run
//! was created, so each attempt records its own commit and uncommitted changes. An attempt in which a job continues with
//! the files that it kept is one of the commit of these files; the current files count once a job copies them.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use indexmap::IndexMap;

use crate::engine::Resumed;
use crate::engine::attempt::CarriedJob;
use crate::engine::mask::Masker;
use crate::engine::outlet::Outlet;
use crate::engine::workspace::sync::{ctime, nanoseconds};
use crate::files;
use crate::model::{Conclusion, Event, JobId, Run, RunInfo, WorkingTree};
use crate::repo::git::{Abort, Access, GitError, NO_COMMIT, Repository};
use crate::repo::uncommitted::{Uncommitted, changed_files, files_between};
use crate::store::folder::RunFolder;
use crate::store::spec::{WorkflowSpec, ref_name};
use crate::store::{StoreError, atomic, history};

use super::outlet::RunOutlet;

/// The working tree of an attempt after the first.
pub(super) struct AttemptTree {
    pub(super) tree: WorkingTree,
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
        folder: &RunFolder,
        spec: &WorkflowSpec,
        before: &Run,
        carried: &IndexMap<JobId, CarriedJob>,
        resumed: &HashMap<JobId, Resumed>,
    ) -> Result<Self, GitError> {
        let root = &spec.repository;
        let continued = continued(spec, before, resumed);
        let StartingTree { sha, git_ref, mut files, diff } = match continued {
            Some((attempt, tree)) => StartingTree::of_attempt(folder, spec, attempt, tree),
            None => StartingTree::read(spec, &before.info)?,
        };
        let mut least = 0;
        for attempt in kept(before, carried, resumed) {
            let Some(earlier) = before.trees.get(&attempt) else {
                // Older versions recorded the files of the first attempt only.
                files.push(format!("(files of attempt {attempt}, which were not recorded)"));
                continue;
            };
            least = least.max(earlier.changed);
            files.extend_from_slice(files_of(attempt, earlier, &spec.dirty));
            if earlier.sha == sha || earlier.sha.is_empty() {
                continue;
            }
            files.extend(match continued {
                // No job has copied the current files.
                Some(_) if !sha.is_empty() => files_between(root, Access::Trusted, &earlier.sha, &sha)?,
                _ => changed_files(root, Access::Trusted, &earlier.sha)?,
            });
        }
        let tree = WorkingTree::new(ref_name(&git_ref), &sha, files).at_ref(&git_ref).at_least(least);
        Ok(Self { tree, diff })
    }

    /// Records the working tree, and writes the diff of the attempt.
    pub(super) fn record(self, folder: &RunFolder, attempt: u32, outlet: &RunOutlet) {
        if self.diff.is_empty() {
            let path = folder.diff(attempt);
            let removed = files::unless_missing(fs::remove_file(&path));
            unwritten(removed.map_err(StoreError::io("remove", &path)));
        }
        write_diff(folder, attempt, &self.diff, &outlet.masker());
        outlet.record(Event::WorkingTreeRead { attempt, tree: self.tree });
    }
}

/// The working tree from which an attempt starts: the commit, and what differs from it.
struct StartingTree {
    sha: String,
    git_ref: String,
    files: Vec<String>,
    diff: String,
}

impl StartingTree {
    /// Reads the working tree as it is now.
    ///
    /// # Errors
    /// Git cannot read the repository.
    fn read(spec: &WorkflowSpec, before: &RunInfo) -> Result<Self, GitError> {
        let root = &spec.repository;
        let repository = Repository::discover(root)?;
        // Another commit may be checked out by now.
        let Uncommitted { files, diff } =
            Uncommitted::since(root, Access::Trusted, &repository.sha, &spec.secret_files, None)?;
        let git_ref = git_ref(spec, before, &repository);
        Ok(Self { sha: repository.sha, git_ref, files, diff })
    }

    /// Returns the working tree of an earlier attempt, whose files were kept.
    fn of_attempt(folder: &RunFolder, spec: &WorkflowSpec, attempt: u32, tree: &WorkingTree) -> Self {
        let diff = history::diff(folder, attempt).unwrap_or_else(|error| {
            // It is only shown to people.
            tracing::warn!(%error, "the uncommitted changes of the earlier attempt are not known");
            None
        });
        let files = files_of(attempt, tree, &spec.dirty).to_vec();
        Self { sha: tree.sha.clone(), git_ref: spec.git_ref_of(tree), files, diff: diff.unwrap_or_default() }
    }
}

/// Returns the newest attempt whose files a job continues with, and the working tree of that attempt. `None` if no job
/// continues, or with the user's own folder, or if the attempt of an older version did not record its files.
fn continued<'r>(
    spec: &WorkflowSpec,
    before: &'r Run,
    resumed: &HashMap<JobId, Resumed>,
) -> Option<(u32, &'r WorkingTree)> {
    if spec.in_place {
        return None;
    }
    let attempt = resumed.keys().filter_map(|id| before.jobs.get(id)).map(|job| job.attempt).max()?;
    Some((attempt, before.trees.get(&attempt)?))
}

/// Records the files that have changed since the attempt in progress started, and that it uses because they were brought
/// into a workspace, or because the attempt waited before its first job. Ends early if it is interrupted.
///
/// # Errors
/// Git cannot read the repository, does not have the commit of the attempt, or was interrupted.
pub(super) fn record_changes(
    folder: &RunFolder,
    spec: &WorkflowSpec,
    outlet: &RunOutlet,
    abort: Option<&Abort>,
) -> Result<(), GitError> {
    let run = outlet.run();
    let Uncommitted { files, diff } = since_start(spec, &run, abort)?;
    write_diff(folder, run.attempt, &diff, &outlet.masker());
    record_files(spec, &files, false, outlet);
    Ok(())
}

/// Reads what differs from the commit of the attempt in progress.
fn since_start(spec: &WorkflowSpec, run: &Run, abort: Option<&Abort>) -> Result<Uncommitted, GitError> {
    Uncommitted::since(&spec.repository, Access::Trusted, &run.info.sha, &spec.secret_files, abort)
}

/// Records that the user's changes were brought into the workspace of a job of the attempt in progress. If git cannot
/// list them, that is recorded, and the attempt still counts as one with changed files.
///
/// # Errors
/// Git cannot read the repository, does not have the commit of the attempt, or was interrupted.
pub(super) fn record_sync(
    folder: &RunFolder,
    spec: &WorkflowSpec,
    job: &JobId,
    outlet: &RunOutlet,
    abort: &Abort,
) -> Result<(), GitError> {
    record_changes(folder, spec, outlet, Some(abort)).inspect_err(|_| {
        record_files(spec, &[format!("(files brought into {job} that git could not list)")], false, outlet);
    })
}

/// Times of checkouts of the user's files that are recorded together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CopyTimes {
    /// When the first copy was complete.
    first: SystemTime,
    /// When the last copy was complete.
    last: SystemTime,
}

impl CopyTimes {
    /// Adds a checkout whose copy was complete at `copied`.
    pub(super) fn with(before: Option<Self>, copied: SystemTime) -> Self {
        let Self { first, last } = before.unwrap_or(Self { first: copied, last: copied });
        Self { first: first.min(copied), last: last.max(copied) }
    }
}

/// Digest of the changed files that the last checkouts of an attempt copied; `None` before the first record.
pub(super) type CopyDigest = Option<u64>;

/// Records the changes of the files that jobs of the attempt in progress have copied, and whether they are others than
/// those of the record before. If git cannot list them, that is recorded, and the attempt counts as one with changed
/// files. Does nothing in a folder without git. Ends early if it is interrupted.
pub(super) fn record_checkouts(
    folder: &RunFolder,
    spec: &WorkflowSpec,
    outlet: &RunOutlet,
    (checkouts, digest): (CopyTimes, &mut CopyDigest),
    abort: &Abort,
) {
    let run = outlet.run();
    if run.info.sha == NO_COMMIT {
        return;
    }
    match since_start(spec, &run, Some(abort)) {
        Ok(Uncommitted { files, diff }) => {
            let all = files.len();
            let copied = CopiedFiles::among(files, &spec.repository, checkouts);
            let before = digest.replace(copied.digest);
            // A diff with later edits would show what no job has used.
            if before != Some(copied.digest) && copied.files.len() == all {
                write_diff(folder, run.attempt, &diff, &outlet.masker());
            }
            let edited = copied.edited || before.is_some_and(|before| before != copied.digest);
            record_files(spec, &copied.files, edited, outlet);
        }
        Err(error) => {
            tracing::warn!(%error, "the changes of the files that a job has copied are not known");
            record_files(spec, &["(files that a job copied and git could not list)".to_owned()], false, outlet);
        }
    }
}

/// The changed files that checkouts have copied.
struct CopiedFiles {
    files: Vec<String>,
    /// Digest of their names, lengths, modes and modification times.
    digest: u64,
    /// Whether one of them was edited after the first of the checkouts.
    edited: bool,
}

impl CopiedFiles {
    /// Returns those of the changed `files` that the checkouts have copied. A file with a ctime after the last copy was
    /// edited since. A ctime in the future is ignored: it is that of a file system with another clock. Missing files
    /// have no ctime, and count as removed before the copy.
    fn among(mut files: Vec<String>, root: &Path, checkouts: CopyTimes) -> Self {
        let (mut hasher, mut edited) = (DefaultHasher::new(), false);
        let [first, last, now] = [checkouts.first, checkouts.last, SystemTime::now()].map(nanoseconds);
        files.retain(|name| {
            let data = root.join(name).symlink_metadata().ok();
            if let Some(data) = &data {
                let changed = ctime(data);
                if changed > last && changed <= now {
                    return false;
                }
                edited |= changed > first && changed <= now;
            }
            let state = data.map(|data| (data.len(), data.mtime(), data.mtime_nsec(), data.mode()));
            (name, state).hash(&mut hasher);
            true
        });
        Self { files, digest: hasher.finish(), edited }
    }
}

/// Records more files that differ from the commit for a job of the attempt in progress, and whether they were `edited`
/// since another job copied them.
fn record_files(spec: &WorkflowSpec, more: &[String], edited: bool, outlet: &RunOutlet) {
    let run = outlet.run();
    let info = &run.info;
    let before = run.trees.get(&run.attempt);
    let (known, git_ref) = before.map_or((false, ""), |tree| (tree.edited, &*tree.git_ref));
    let files = [uncommitted(&run, &spec.dirty), more].concat();
    let tree = WorkingTree::new(&info.ref_name, &info.sha, files).at_ref(git_ref).at_least(info.changed);
    let tree = WorkingTree { edited: edited || known, ..tree };
    // Most attempts find the files as they were.
    if tree.changed != info.changed || tree.edited != known {
        outlet.record(Event::WorkingTreeRead { attempt: run.attempt, tree });
    }
}

/// Returns the files that differ from the commit for a job of the newest attempt, so far. `dirty` are those of the
/// request, which the first attempt uses.
pub(super) fn uncommitted<'f>(run: &'f Run, dirty: &'f [String]) -> &'f [String] {
    run.trees.last_key_value().map_or(dirty, |(attempt, tree)| files_of(*attempt, tree, dirty))
}

/// Returns the files that differ from the commit for a job of an attempt. The first attempt uses those of the request,
/// `dirty`, and has recorded all files only if it uses more.
fn files_of<'f>(attempt: u32, tree: &'f WorkingTree, dirty: &'f [String]) -> &'f [String] {
    if attempt > 1 || !tree.files.is_empty() { &tree.files } else { dirty }
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

/// Writes the diff of an attempt without the values of secrets. Without changes, an earlier diff stays: jobs may have
/// used what it shows. It is only shown to people, so an error is not fatal.
fn write_diff(folder: &RunFolder, attempt: u32, diff: &str, masker: &Masker) {
    if !diff.is_empty() {
        let path = folder.diff(attempt);
        let written = atomic::write_unsynced(&path, masker.mask_text(diff).as_bytes());
        unwritten(written.map_err(StoreError::io("write", &path)));
    }
}

/// Logs why a diff could not be written or removed.
fn unwritten(done: Result<(), StoreError>) {
    if let Err(error) = done {
        tracing::warn!(%error, "the uncommitted changes are not recorded");
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::watch;

    use super::*;
    use crate::engine::cancel::Cancellation;
    use crate::engine::checkpoint::Checkpoint;
    use crate::engine::scheduler::Ending;
    use crate::model::{Timestamp, testing};
    use crate::repo::git::git;
    use crate::store::folder::RunsDir;
    use crate::store::history;
    use crate::store::spec::RunSpec;

    /// A run in its first attempt, in whose repository the commit has the file `value`.
    pub(in crate::worker) struct Case {
        _home: tempfile::TempDir,
        pub(in crate::worker) folder: RunFolder,
        pub(in crate::worker) spec: WorkflowSpec,
        pub(in crate::worker) outlet: Arc<RunOutlet>,
    }

    impl Case {
        pub(in crate::worker) fn new(dirty: Vec<String>) -> Self {
            let home = tempfile::tempdir().expect("a folder");
            let root = home.path().join("repository");
            fs::create_dir(&root).expect("made");
            git(&root, ["init", "-q", "-b", "main"]).expect("git init");
            fs::write(root.join("value"), "bad\n").expect("written");
            git(&root, ["add", "--all"]).expect("git add");
            git(&root, ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "x"]).expect("git commit");
            let sha = git(&root, ["rev-parse", "HEAD"]).expect("a commit").trim().to_owned();
            let info = RunInfo {
                workflow: ".github/workflows/ci.yml".to_owned(),
                event: "push".to_owned(),
                ref_name: "main".to_owned(),
                sha,
                changed: dirty.len(),
                ..RunInfo::default()
            };
            let spec = WorkflowSpec {
                repository: root,
                git_ref: "refs/heads/main".to_owned(),
                text: "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}\n".to_owned(),
                dirty,
                ..WorkflowSpec::default()
            };
            let folder = RunsDir::at(home.path().join("state")).create(Timestamp(0)).expect("made");
            RunSpec::of_workflow(info, spec.clone()).write(&folder).expect("written");
            let info = history::info(&folder).expect("read");
            let store = history::replay(&folder, info.clone()).expect("read");
            let (grown, stop) = (watch::channel(0).0, watch::channel(Cancellation::None).0);
            let outlet = RunOutlet::open(&folder, info, 1, store, Masker::default(), grown, stop).expect("opened");
            outlet.record(testing::run_started(1));
            let jobs = vec![testing::outline("a", "a", &[])];
            outlet.record(Event::JobsPlanned { jobs, replaces: None });
            Self { _home: home, folder, spec, outlet }
        }

        pub(in crate::worker) fn write(&self, text: &str) {
            fs::write(self.spec.repository.join("value"), text).expect("written");
        }

        /// Makes the repository one that git cannot read.
        pub(in crate::worker) fn damage(&self) {
            fs::write(self.spec.repository.join(".git/index"), "no index").expect("written");
        }

        fn sync(&self) -> Result<(), GitError> {
            record_sync(&self.folder, &self.spec, &JobId::new("a"), &self.outlet, &Abort::default())
        }

        fn check_out(&self, checkouts: CopyTimes, digest: &mut CopyDigest) {
            record_checkouts(&self.folder, &self.spec, &self.outlet, (checkouts, digest), &Abort::default());
        }

        fn diff(&self) -> Option<String> {
            history::diff(&self.folder, 1).expect("read")
        }
    }

    #[test]
    fn a_sync_keeps_the_names_and_the_diff_of_changes_that_are_gone() {
        let case = Case::new(Vec::new());
        case.write("good\n");
        case.sync().expect("recorded");
        assert!(case.diff().is_some_and(|diff| diff.contains("-bad\n+good\n")), "{:?}", case.diff());
        case.write("bad\n");
        case.sync().expect("recorded");
        let run = case.outlet.run();
        assert_eq!((run.info.changed, uncommitted(&run, &[])), (1, &["value".to_owned()][..]));
        assert!(case.diff().is_some_and(|diff| diff.contains("-bad\n+good\n")), "a job has used it");
        AttemptTree { tree: WorkingTree::default(), diff: String::new() }.record(&case.folder, 1, &case.outlet);
        assert_eq!(case.diff(), None, "an attempt without changes has no diff");
    }

    #[test]
    fn a_sync_that_git_cannot_list_still_marks_the_attempt() {
        let case = Case::new(Vec::new());
        case.damage();
        case.sync().expect_err("git cannot read the index");
        let run = case.outlet.run();
        let names = uncommitted(&run, &[]);
        assert_eq!((run.info.changed, names.len()), (1, 1));
        assert!(names[0].contains("brought into a that git could not list"), "{names:?}");
    }

    #[test]
    fn an_attempt_that_continues_a_job_has_the_files_of_that_job_until_a_job_copies_others() {
        let case = Case::new(Vec::new());
        case.write("good\n");
        case.sync().expect("recorded");
        let before = case.outlet.run();
        case.write("worse\n");
        fs::write(case.spec.repository.join("new"), "").expect("written");
        git(&case.spec.repository, ["add", "--all"]).expect("git add");
        git(&case.spec.repository, ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "y"])
            .expect("commit");
        let resumed = || Resumed { checkpoint: Checkpoint::default(), finished: Vec::new(), why: String::new() };
        let resumed = HashMap::from([(JobId::new("a"), resumed())]);
        let read = |spec: &WorkflowSpec| {
            AttemptTree::read(&case.folder, spec, &before, &IndexMap::new(), &resumed).expect("read")
        };
        let kept = read(&case.spec);
        assert_eq!((&kept.tree.sha, &kept.tree.files), (&before.info.sha, &vec!["value".to_owned()]));
        assert!(kept.diff.contains("-bad\n+good\n") && kept.tree.git_ref == "refs/heads/main", "{}", kept.diff);
        let in_place = WorkflowSpec { in_place: true, ..case.spec.clone() };
        assert_ne!(read(&in_place).tree.sha, before.info.sha, "the folder of the user has the current files");

        kept.record(&case.folder, 2, &case.outlet);
        case.outlet.record(testing::run_started(2));
        let mut digest = None;
        let mut copy = || {
            case.check_out(CopyTimes::with(None, SystemTime::now()), &mut digest);
            case.outlet.run().trees[&2].edited
        };
        assert_eq!((copy(), copy()), (false, false));
        let run = case.outlet.run();
        assert_eq!((&run.info.sha, run.info.changed), (&before.info.sha, 2));
        assert_eq!(uncommitted(&run, &[]), ["new", "value"]);
        case.write("other\n");
        assert_eq!((copy(), copy()), (true, true), "the names are the same, but not the content");
    }

    #[test]
    fn files_are_edited_if_their_content_may_differ_whatever_the_diff_shows() {
        let case = Case::new(Vec::new());
        let file = case.spec.repository.join("image");
        fs::write(&file, b"\0 one").expect("written");
        let mut digest = None;
        let mut copy = || {
            case.check_out(CopyTimes::with(None, SystemTime::now()), &mut digest);
            case.outlet.run().trees[&1].edited
        };
        assert!(!copy(), "the first copy");
        git(&case.spec.repository, ["add", "--all"]).expect("git add");
        assert!(!copy(), "what is staged is the same file");
        fs::write(&file, b"\0 other").expect("written");
        assert!(copy(), "a diff does not show the content of a binary file");
    }

    #[test]
    fn what_was_edited_after_a_copy_is_not_recorded_as_copied() {
        let case = Case::new(Vec::new());
        let earlier = SystemTime::now() - Duration::from_mins(1);
        case.write("good\n");
        let mut digest = None;
        case.check_out(CopyTimes::with(None, earlier), &mut digest);
        assert_eq!((case.outlet.run().info.changed, case.diff()), (0, None));
        // Two checkouts share a record, and the file was edited between them.
        let both = CopyTimes::with(Some(CopyTimes::with(None, earlier)), SystemTime::now());
        case.check_out(both, &mut digest);
        let run = case.outlet.run();
        assert_eq!((run.info.changed, run.trees[&1].edited), (1, true));
        assert!(case.diff().is_some_and(|diff| diff.contains("-bad\n+good\n")), "{:?}", case.diff());
        // A job has used the change, so a copy without it leaves the record as it is.
        case.write("bad\n");
        case.check_out(CopyTimes::with(None, SystemTime::now()), &mut digest);
        assert_eq!((case.outlet.run().info.changed, case.diff().is_some()), (1, true));
    }

    #[test]
    fn an_attempt_that_continues_a_job_has_the_ref_of_that_job() {
        let case = Case::new(Vec::new());
        let resumed = Resumed { checkpoint: Checkpoint::default(), finished: Vec::new(), why: String::new() };
        let resumed = HashMap::from([(JobId::new("a"), resumed)]);
        let sha = case.outlet.run().info.sha;
        // A tag was checked out for the attempt. Older versions recorded only short names.
        for (git_ref, expected) in [("refs/tags/v1", "refs/tags/v1"), ("", "refs/heads/v1")] {
            let tree = WorkingTree::new("v1", &sha, Vec::new()).at_ref(git_ref);
            case.outlet.record(Event::WorkingTreeRead { attempt: 1, tree });
            case.write("good\n");
            case.sync().expect("recorded");
            let before = case.outlet.run();
            let read = AttemptTree::read(&case.folder, &case.spec, &before, &IndexMap::new(), &resumed).expect("read");
            assert_eq!((read.tree.git_ref.as_str(), read.tree.ref_name.as_str()), (expected, "v1"));
            assert_eq!(case.spec.git_ref_of(&before.trees[&1]), expected, "also after more files were recorded");
        }
    }

    #[test]
    fn an_attempt_that_keeps_a_job_has_at_least_as_many_changed_files() {
        let case = Case::new((0..1500).map(|number| format!("file {number}")).collect());
        let run = case.outlet.run();
        assert_eq!(uncommitted(&run, &case.spec.dirty).len(), 1500, "the first attempt uses the files of the request");
        case.write("good\n");
        for _ in 0..2 {
            case.sync().expect("recorded");
            assert_eq!(case.outlet.run().info.changed, 1501);
        }
        case.write("bad\n");
        let before = case.outlet.run();
        assert_eq!(before.uncommitted().len(), 1000, "the list is cut");
        let ending = Ending { conclusion: Conclusion::Success, allowed_failure: false };
        let carried = IndexMap::from([(JobId::new("a"), CarriedJob { ending, outputs: IndexMap::new() })]);
        let read = |before: &Run, carried: &IndexMap<JobId, CarriedJob>| {
            AttemptTree::read(&case.folder, &case.spec, before, carried, &HashMap::new()).expect("read").tree
        };
        assert_eq!(read(&before, &carried).changed, 1501);
        assert_eq!(read(&before, &IndexMap::new()).changed, 0, "no job keeps the files");
        // An older version carried out the second attempt.
        case.outlet.record(testing::run_started(2));
        let jobs = vec![testing::outline("a", "a", &[])];
        case.outlet.record(Event::JobsPlanned { jobs, replaces: None });
        assert_eq!(read(&case.outlet.run(), &carried).files, ["(files of attempt 2, which were not recorded)"]);
    }
}
