//! Runs the working tree on the server of its checkout: commits its files, pushes the commit to a temporary branch, and
//! starts the workflow on the branch. The branch is removed once the run is no longer followed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::config::ConfigError;
use crate::launch::branches::{Branch, BranchError, TemporaryBranch, new_name};
use crate::launch::trust::{self, Distrust, Untrusted};
use crate::model::short_sha;
use crate::repo::git::{Access, GitError, Repository as GitRepository};
use crate::repo::snapshot::{self, SnapshotError};
use crate::repo::workflows::{self, WorkflowFileError};
use crate::store::folder::{RunFolder, RunsDir, make_private};
use crate::store::{StoreError, history};
use crate::workflow::inputs::BY_HAND;
use crate::workflow::parse_partial;
use crate::workflow::source::Source;
use crate::workflow::syntax::Workflow;

use super::github::address::Repository;
use super::github::checkout;
use super::github::client::ApiError;
use super::github::poller::steer::SteerError;
use super::github::poller::{PollError, Poller};
use super::github::workflows::dispatch::Dispatch;
use super::runs::Runs;

/// Names of new files that often hold secrets, and are not sent to a server. Files with these names that are in the
/// current commit are sent.
const LEFT_OUT: [&str; 2] = [".secrets", ".env"];

/// How long a server may take until it knows a branch that was pushed, or has the run that the push starts.
const PATIENCE: Duration = Duration::from_mins(1);

/// Pause between two requests.
const BETWEEN: Duration = Duration::from_millis(500);

/// Request for a run of the working tree.
#[derive(Clone, Debug)]
pub struct RemoteRequest {
    /// A folder of the repository.
    pub folder: PathBuf,
    /// The workflow: its file or its name.
    pub workflow: String,
    /// Inputs, by name.
    pub inputs: IndexMap<String, String>,
    /// Whether a person trusts the repository for this run, so that git may use the programs that it names.
    pub trust: bool,
}

/// A run of the working tree that was started.
pub struct RemoteRun {
    /// The run's folder.
    pub folder: RunFolder,
    /// The repository on the server.
    pub repository: Repository,
    /// The branch of the run. Dropping it removes the branch from the server.
    pub branch: TemporaryBranch,
    /// Number of files that were sent and differ from the commit of the checkout.
    pub changed: usize,
}

/// Why the working tree is not run on a server.
#[derive(Debug, thiserror::Error)]
pub enum RemoteRunError {
    /// The settings are invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The repository is not trusted: git would use filters and programs that it names.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// There is no such workflow here.
    #[error(transparent)]
    File(#[from] WorkflowFileError),
    /// The workflow cannot be started by a push or a dispatch.
    #[error("{0} has neither `workflow_dispatch` nor `push` among its events: a server does not start it for a branch")]
    NotStartable(String),
    /// Inputs are given to a workflow that takes none.
    #[error("{0} has no `workflow_dispatch` among its events: only that takes inputs")]
    NoInputs(String),
    /// No remote of the repository is on a known server.
    #[error(
        "no remote of this folder is on a known server: add one, or name its host in the `[github.hosts]` of the settings"
    )]
    NoRemote,
    /// The working tree cannot be committed.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The branch cannot be pushed.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// The server does not respond, or refuses.
    #[error(transparent)]
    Poll(#[from] PollError),
    /// The workflow cannot be started.
    #[error(transparent)]
    Steer(#[from] SteerError),
    /// The server does not have the branch.
    #[error("{repository} does not have the branch {branch} a minute after it was pushed")]
    NoBranch {
        /// The repository.
        repository: String,
        /// Name of the branch.
        branch: String,
    },
    /// The push started no run.
    #[error("the push of {branch} started no run of {workflow} within a minute: its `push` filters may exclude it")]
    NoRun {
        /// Name of the branch.
        branch: String,
        /// Path of the workflow.
        workflow: String,
    },
    /// The work was interrupted.
    #[error("git was interrupted")]
    Interrupted,
}

/// How the workflow is started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Dispatch,
    Push,
}

impl Runs {
    /// Commits the working tree, pushes it to a temporary branch on the server of its checkout, and starts a workflow
    /// on it. Waits up to a minute until the server knows the branch, and up to a minute for the run.
    ///
    /// # Errors
    /// The tree cannot be committed or pushed, or the workflow does not start. The branch is then removed from the
    /// server.
    pub async fn run_remote(&self, request: &RemoteRequest) -> Result<RemoteRun, RemoteRunError> {
        let poller = self.poller()?;
        let repository = poller.checkout(&request.folder)?.ok_or(RemoteRunError::NoRemote)?;
        let remote = checkout::remote_of(&request.folder, &repository).ok_or(RemoteRunError::NoRemote)?;
        // Checked before anything is pushed.
        poller.check_workflows(&repository).await?;
        let (runs, wanted, name) = (self.dir().clone(), request.clone(), repository.full_name());
        let sending = spawn_blocking(move || {
            let prepared = Prepared::new(&wanted, &runs)?;
            let branch = prepared.branch(&runs.github_branches(), name, remote)?;
            let changed = snapshot::changed(&branch.root, &branch.sha)?;
            let branch = TemporaryBranch::push(&runs, branch)?;
            Ok::<_, RemoteRunError>((prepared.workflow, prepared.start, changed, branch))
        });
        let (workflow, start, changed, branch) = sending.await.map_err(|_| RemoteRunError::Interrupted)??;
        let started = match start {
            Start::Dispatch => dispatched(poller, &repository, &branch, workflow, request.inputs.clone()).await,
            Start::Push => pushed(poller, &repository, &branch, workflow).await,
        };
        Ok(RemoteRun { folder: started?, repository, branch, changed })
    }
}

/// A working tree whose workflow was read.
struct Prepared {
    git: GitRepository,
    access: Access,
    /// Path of the workflow, relative to the root.
    workflow: String,
    start: Start,
}

impl Prepared {
    fn new(request: &RemoteRequest, runs: &RunsDir) -> Result<Self, RemoteRunError> {
        let git = GitRepository::discover(&request.folder)?;
        let access = if request.trust { Access::Trusted } else { trust::access(runs, &git) };
        if access == Access::Guarded {
            return Err(Untrusted { root: git.root, reason: Distrust::Unknown }.into());
        }
        let path = workflows::find(Some(&request.workflow), &request.folder, &git.root)?;
        let workflow = workflows::relative(&path, &git.root);
        let start = start(&workflow, parse_partial(&Source::new(&*workflow, workflows::read(&path)?)).0)?;
        if start == Start::Push && !request.inputs.is_empty() {
            return Err(RemoteRunError::NoInputs(workflow));
        }
        Ok(Self { git, access, workflow, start })
    }

    /// Commits the working tree for a branch. `scratch` is a folder for a temporary file.
    fn branch(&self, scratch: &Path, repository: String, remote: String) -> Result<Branch, RemoteRunError> {
        let name = new_name();
        let of = self.git.git_ref.trim_start_matches("refs/heads/");
        let title = format!("The working tree of {of} at {}", short_sha(&self.git.sha));
        // The push of a branch for a dispatch must not start any workflow.
        let message = if self.start == Start::Dispatch { format!("{title}\n\n[skip ci]") } else { title };
        make_private(scratch).map_err(StoreError::io("make the folder", scratch)).map_err(BranchError::from)?;
        let index = scratch.join(format!("{}.index", name.replace('/', "-")));
        let sha = snapshot::commit(&self.git, self.access, &index, &LEFT_OUT, &message)?;
        Ok(Branch { name, sha, repository, root: self.git.root.clone(), remote })
    }
}

/// Decides how a server starts a workflow for a branch.
fn start(path: &str, workflow: Option<Workflow>) -> Result<Start, RemoteRunError> {
    let events = workflow.map(|workflow| workflow.triggers).unwrap_or_default();
    let has = |event: &str| events.iter().any(|trigger| trigger.event.value == event);
    match (has(BY_HAND), has("push")) {
        (true, _) => Ok(Start::Dispatch),
        (false, true) => Ok(Start::Push),
        (false, false) => Err(RemoteRunError::NotStartable(path.to_owned())),
    }
}

/// Starts a workflow on a branch, once the server knows the branch.
async fn dispatched(
    poller: &Poller,
    repository: &Repository,
    branch: &TemporaryBranch,
    workflow: String,
    inputs: IndexMap<String, String>,
) -> Result<RunFolder, RemoteRunError> {
    let Branch { name, sha, .. } = branch.branch();
    let until = Instant::now() + PATIENCE;
    loop {
        match poller.commit(repository, name).await {
            Ok(found) if found == *sha => break,
            Ok(_) | Err(PollError::Api(ApiError::Refused { status: 404 | 422, .. })) => {}
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() > until {
            return Err(RemoteRunError::NoBranch { repository: repository.to_string(), branch: name.clone() });
        }
        sleep(BETWEEN).await;
    }
    let wanted = Dispatch { workflow, git_ref: Some(name.clone()), inputs };
    Ok(poller.dispatch(repository, &wanted).await?.0)
}

/// Waits for the run that the push of a branch starts.
async fn pushed(
    poller: &Poller,
    repository: &Repository,
    branch: &TemporaryBranch,
    workflow: String,
) -> Result<RunFolder, RemoteRunError> {
    let Branch { name, sha, .. } = branch.branch();
    let until = Instant::now() + PATIENCE;
    loop {
        let listed = match poller.runs_of(repository, sha).await {
            Err(error) if error.is_transient() => Vec::new(),
            listed => listed?,
        };
        for folder in listed {
            let info = history::info(&folder).map_err(PollError::from)?;
            if info.workflow == workflow {
                return Ok(folder);
            }
        }
        if Instant::now() > until {
            return Err(RemoteRunError::NoRun { branch: name.clone(), workflow });
        }
        sleep(BETWEEN).await;
    }
}
