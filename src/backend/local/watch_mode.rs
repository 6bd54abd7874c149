//! Watch mode: runs the workflows that a push of the changed files would run.
//!
//! [`WatchMode`] collects changes until no file changes for a while, decides which workflows run, and remembers the
//! runs that were started, because a newer run of the same workflow replaces them. It starts no run itself.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::launch::triggers;
use crate::launch::triggers::TriggerDecision;
use crate::model::RunId;
use crate::model::feed::{Notice, Waits, Watching};
use crate::repo::git::{GitError, Repository};
use crate::repo::workflows;
use crate::repo::workflows::WorkflowFileError;

use super::fs_watch::{RepositoryWatch, WatchError, belonging};
use super::until;

/// Time without a change of any file after which watch mode decides about all changes together.
const QUIET: Duration = Duration::from_millis(500);

/// Why watch mode cannot start, or cannot decide about a change.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchModeError {
    /// Git cannot read the repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The files cannot be watched.
    #[error("cannot watch the files: {0}")]
    Watch(#[from] WatchError),
    /// A workflow cannot be read.
    #[error(transparent)]
    Workflow(#[from] WorkflowFileError),
}

/// Watch mode while it is on.
pub(super) struct WatchMode {
    repository: Repository,
    /// The only workflow to run; `None` for every workflow that a push of the change would run.
    workflow: Option<String>,
    files: RepositoryWatch,
    /// All files of the repository seen so far, to recognize removed files that were never tracked.
    known: HashSet<String>,
    /// Files that were written or removed since the last decision, and those that git could not be asked about at it.
    changed: BTreeSet<String>,
    /// Files of changes whose decision failed, or found workflows with errors. They are added to the next change.
    undecided: Vec<String>,
    /// Time at which watch mode decides about the changes if no further file changes; `None` if there are none.
    quiet_at: Option<Instant>,
    /// The change whose runs start once the runs that they replace have ended.
    pub(super) pending: Option<Change>,
    /// The runs that were started and are still in progress.
    pub(super) started: Vec<StartedRun>,
}

/// A run started by a change.
pub(super) struct StartedRun {
    pub(super) run: RunId,
    /// Path of the workflow file.
    pub(super) workflow: PathBuf,
    /// Whether the run was cancelled for a newer one.
    pub(super) is_cancelled: bool,
}

/// Written or removed files, and the trigger decisions for a push of them.
pub(super) struct Change {
    /// Paths from the root of the repository; at least one.
    files: Vec<String>,
    /// The decision about every workflow.
    decisions: Vec<TriggerDecision>,
    /// The only workflow that is decided about.
    workflow: Option<String>,
}

impl Change {
    /// Returns a short description of the files.
    pub(super) fn summary(&self) -> String {
        match self.files.as_slice() {
            [only] => only.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
            [] => String::new(),
        }
    }

    /// Returns the workflows that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &TriggerDecision> {
        self.decisions.iter().filter(|one| one.runs())
    }

    /// Returns the errors in workflow files, in one line; `None` without errors.
    pub(super) fn errors(&self) -> Option<String> {
        let errors: Vec<String> = self.decisions.iter().filter_map(TriggerDecision::errors).collect();
        (!errors.is_empty()).then(|| errors.join("; "))
    }

    /// Whether there is no workflow to decide about.
    pub(super) fn lacks_workflow(&self) -> bool {
        self.decisions.is_empty()
    }

    /// Returns why no workflow runs, in one line: the errors of workflow files, if there are any.
    pub(super) fn why_nothing(&self) -> Notice {
        if let Some(errors) = self.errors() {
            return Notice::bad(format!("nothing runs: {errors}"));
        }
        let why = match self.decisions.as_slice() {
            [] => match &self.workflow {
                Some(path) => format!("nothing runs. {path} does not exist"),
                None => format!("nothing runs. There is no workflow in {}", workflows::FOLDER),
            },
            [one] => format!("nothing runs. {}: {}", one.name, one.reason()),
            all => format!("none of {} workflows runs", all.len()),
        };
        Notice::news(format!("{} changed: {why}", self.summary()))
    }
}

/// An event of watch mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WatchEvent {
    /// Files were written, and more may be.
    Written,
    /// No file has changed for long enough to decide.
    Quiet,
}

impl WatchMode {
    /// Starts watching the repository that contains `folder`.
    pub(super) fn start(folder: &Path, workflow: Option<String>) -> Result<Self, WatchModeError> {
        let repository = Repository::discover(folder)?;
        let files = RepositoryWatch::watch(&repository.root)?;
        let known = files.list()?.into_iter().collect();
        Ok(Self {
            known,
            repository,
            workflow,
            files,
            changed: BTreeSet::new(),
            undecided: Vec::new(),
            quiet_at: None,
            pending: None,
            started: Vec::new(),
        })
    }

    /// Returns the watched repository.
    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Waits for the next event of the files.
    pub(super) async fn event(&mut self) -> WatchEvent {
        tokio::select! {
            written = self.files.written() => {
                self.changed.extend(written);
                self.quiet_at = Some(Instant::now() + QUIET);
                WatchEvent::Written
            }
            () = until(self.quiet_at) => {
                self.quiet_at = None;
                WatchEvent::Quiet
            }
        }
    }

    /// Decides which workflows run for the files that changed since the last decision, together with the files of a
    /// pending change and undecided ones. `None` if git ignores all files that changed.
    pub(super) fn decide(&mut self) -> Result<Option<Change>, WatchModeError> {
        let changed: Vec<String> = self.changed.iter().cloned().collect();
        // If git fails, it is asked about these files again at the next change.
        let mut files = belonging(&self.repository.root, &changed)?;
        self.changed.clear();
        let is_gone = |name: &&String| self.repository.root.join(name.as_str()).symlink_metadata().is_err();
        let removed: Vec<String> = changed.iter().filter(is_gone).filter_map(|name| self.known.take(name)).collect();
        self.known.extend(files.iter().cloned());
        files.extend(removed);
        if files.is_empty() {
            return Ok(None);
        }
        files.extend(self.pending.iter().flat_map(|pending| pending.files.clone()));
        files.append(&mut self.undecided);
        files.sort();
        files.dedup();
        // If the decision fails, all files are added to the next change.
        self.undecided.clone_from(&files);
        // The change may have switched the branch or made a commit.
        self.repository = Repository::discover(&self.repository.root)?;
        let decisions = triggers::by_change(&self.repository, self.workflow.as_deref(), &files)?;
        if !decisions.iter().any(TriggerDecision::is_broken) {
            self.undecided.clear();
        }
        Ok(Some(Change { files, decisions, workflow: self.workflow.clone() }))
    }

    /// Returns the runs that the pending change replaces: runs in progress of the workflows that the change runs.
    pub(super) fn replaced(&self) -> Vec<&StartedRun> {
        let running: Vec<&PathBuf> = self.pending.iter().flat_map(Change::running).map(|one| &one.path).collect();
        self.started.iter().filter(|started| running.contains(&&started.workflow)).collect()
    }

    /// Returns the state for the screen.
    pub(super) fn state(&self) -> Watching {
        let workflow = self.workflow.as_deref().map(|path| path.rsplit('/').next().unwrap_or(path).to_owned());
        let pending = self.pending.iter().flat_map(|pending| &pending.files);
        let is_quiet = self.quiet_at.is_none();
        let changed: Vec<&String> = if is_quiet { pending.collect() } else { self.changed.iter().collect() };
        Watching {
            workflow,
            changed: changed.first().map(|first| ((*first).clone(), changed.len())),
            waits: if is_quiet { Waits::ForRun } else { Waits::ForQuiet(QUIET) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::git::git;

    /// Creates a repository with two workflows: `code.yml` for `src`, `docs.yml` for `docs`.
    fn repository() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().expect("a folder");
        let root = home.path().canonicalize().expect("there");
        for folder in ["src", "docs", workflows::FOLDER] {
            std::fs::create_dir_all(root.join(folder)).expect("made");
        }
        for name in ["code", "docs"] {
            write(&root, &workflow(name), &text(if name == "code" { "src" } else { "docs" }));
        }
        write(&root, ".gitignore", "*.log\n");
        // Git does not list empty folders, so they are not watched.
        for name in ["src/first", "docs/first"] {
            write(&root, name, "x");
        }
        git(&root, ["init", "--quiet", "--initial-branch", "main"]).expect("git");
        (home, root)
    }

    fn workflow(name: &str) -> String {
        format!("{}/{name}.yml", workflows::FOLDER)
    }

    fn text(folder: &str) -> String {
        format!("on: {{push: {{paths: ['{folder}/**']}}}}\njobs: {{a: {{runs-on: x, steps: [{{run: x}}]}}}}\n")
    }

    fn write(root: &Path, name: &str, text: &str) {
        std::fs::write(root.join(name), text).expect("written");
    }

    /// Returns the next event; fails after a timeout.
    async fn event(watch: &mut WatchMode) -> WatchEvent {
        tokio::time::timeout(Duration::from_secs(20), watch.event()).await.expect("an event")
    }

    /// Writes files, waits until watch mode is ready to decide, and decides.
    async fn change(watch: &mut WatchMode, files: &[&str]) -> Result<Option<Change>, WatchModeError> {
        let root = watch.repository.root.clone();
        for name in files {
            write(&root, name, "x");
        }
        while !files.iter().all(|name| watch.changed.contains(*name)) {
            assert_eq!(event(watch).await, WatchEvent::Written);
        }
        while event(watch).await != WatchEvent::Quiet {}
        watch.decide()
    }

    fn running(change: &Change) -> Vec<&str> {
        change.running().map(|one| one.name.rsplit('/').next().unwrap_or_default()).collect()
    }

    #[tokio::test]
    async fn a_change_runs_the_workflows_of_its_paths() {
        let (_home, root) = repository();
        let mut watch = WatchMode::start(&root, None).expect("watches");
        let both = change(&mut watch, &["src/a", "docs/b"]).await.expect("decided").expect("a change");
        assert_eq!((running(&both), both.summary().as_str()), (vec!["code.yml", "docs.yml"], "docs/b and 1 more"));
        let one = change(&mut watch, &["src/a"]).await.expect("decided").expect("a change");
        assert_eq!((running(&one), one.errors()), (vec!["code.yml"], None));
        let none = change(&mut watch, &["README"]).await.expect("decided").expect("a change");
        assert_eq!(
            (running(&none), none.why_nothing().text.as_str()),
            (vec![], "README changed: none of 2 workflows runs")
        );
        assert!(change(&mut watch, &["x.log"]).await.expect("decided").is_none(), "git ignores it");
    }

    #[tokio::test]
    async fn the_removal_of_a_file_that_git_never_had_is_a_change() {
        let (_home, root) = repository();
        let mut watch = WatchMode::start(&root, None).expect("watches");
        for name in ["src/first", "src/later"] {
            if name == "src/later" {
                change(&mut watch, &[name]).await.expect("decided").expect("a change");
            }
            std::fs::remove_file(root.join(name)).expect("removed");
            while event(&mut watch).await != WatchEvent::Quiet {}
            let removal = watch.decide().expect("decided").expect("a change");
            assert_eq!((running(&removal), removal.summary().as_str()), (vec!["code.yml"], name));
        }
    }

    #[tokio::test]
    async fn only_the_workflow_that_is_watched_runs() {
        let (_home, root) = repository();
        let mut watch = WatchMode::start(&root, Some(workflow("docs"))).expect("watches");
        assert_eq!(
            watch.state(),
            Watching { workflow: Some("docs.yml".to_owned()), changed: None, waits: Waits::ForRun }
        );
        let change = change(&mut watch, &["src/a"]).await.expect("decided").expect("a change");
        assert_eq!(running(&change), Vec::<&str>::new());
        assert!(
            change.why_nothing().text.starts_with("src/a changed: nothing runs. .github/workflows/docs.yml: "),
            "{:?}",
            change.why_nothing()
        );
    }

    #[tokio::test]
    async fn files_of_a_pending_change_and_of_broken_workflows_count_again() {
        let (_home, root) = repository();
        let mut watch = WatchMode::start(&root, None).expect("watches");
        watch.pending = change(&mut watch, &["src/a"]).await.expect("decided");
        let state = watch.state();
        assert_eq!((state.changed, state.waits), (Some(("src/a".to_owned(), 1)), Waits::ForRun));
        let both = change(&mut watch, &["docs/b"]).await.expect("decided").expect("a change");
        assert_eq!(running(&both), ["code.yml", "docs.yml"], "what was pending is decided again");
        watch.pending = None;

        let broken = workflow("code");
        write(&root, &broken, "jobs: [");
        let change_of_docs = change(&mut watch, &["docs/b", "src/a"]).await.expect("decided").expect("a change");
        assert_eq!(running(&change_of_docs), ["docs.yml"]);
        let errors = change_of_docs.errors().expect("errors");
        assert!(errors.starts_with("code.yml, line 1: ") && errors.len() < 70, "{errors}");
        write(&root, &broken, &text("src"));
        while event(&mut watch).await != WatchEvent::Quiet {}
        let mended = watch.decide().expect("decided").expect("a change");
        assert_eq!(
            running(&mended),
            ["code.yml", "docs.yml"],
            "the files are remembered until every workflow is decided"
        );
    }

    #[tokio::test]
    async fn files_that_git_could_not_be_asked_about_count_again() {
        let (_home, root) = repository();
        let mut watch = WatchMode::start(&root, None).expect("watches");
        write(&root, ".git/index", "damaged");
        assert!(change(&mut watch, &["src/a"]).await.is_err(), "git cannot read its index");
        assert_eq!((watch.state().changed, watch.state().waits), (None, Waits::ForRun), "nothing is waited for");
        std::fs::remove_file(root.join(".git/index")).expect("removed");
        let both = change(&mut watch, &["docs/b"]).await.expect("decided").expect("a change");
        assert_eq!(running(&both), ["code.yml", "docs.yml"]);
    }

    #[tokio::test]
    async fn without_workflows_the_reason_says_so() {
        let (_home, root) = repository();
        let reason = |change: Change| change.why_nothing().text;
        let mut all = WatchMode::start(&root, None).expect("watches");
        let mut one = WatchMode::start(&root, Some(workflow("code"))).expect("watches");
        for name in ["code", "docs"] {
            std::fs::remove_file(root.join(workflow(name))).expect("removed");
        }
        let decided = change(&mut all, &["src/a"]).await.expect("decided").expect("a change");
        let expected = "nothing runs. There is no workflow in .github/workflows";
        assert!(reason(decided).ends_with(expected));
        let decided = change(&mut one, &["src/b"]).await.expect("decided").expect("a change");
        assert!(reason(decided).ends_with("nothing runs. .github/workflows/code.yml does not exist"));
    }

    #[tokio::test]
    async fn a_run_is_replaced_by_a_newer_one_of_its_workflow() {
        let (_home, root) = repository();
        let mut watch = WatchMode::start(&root, None).expect("watches");
        watch.started = ["code", "docs"]
            .map(|name| StartedRun { run: RunId::new(name), workflow: root.join(workflow(name)), is_cancelled: false })
            .into();
        assert!(watch.replaced().is_empty(), "nothing is pending");
        watch.pending = change(&mut watch, &["src/a"]).await.expect("decided");
        assert_eq!(watch.replaced().iter().map(|started| started.run.as_str()).collect::<Vec<_>>(), ["code"]);
    }
}
