//! Resolves all actions that the steps of a job use, directly or through composite actions, before the first step runs,
//! and lists missing requirements.
//!
//! This check makes a job fail before its first step, with a list of everything that is missing. Without it, a missing
//! action would fail the job only when its step runs.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::process::Command;

use crate::files::{Folder, Links};
use crate::workflow;
use crate::workflow::source::Source;
use crate::workflow::syntax::{Action, ActionRuns, LockedAction, NamedValues, Steering, StepAction, StepDefinition};

use super::advice;
use super::error::{ActionError, FetchError, ManifestError, NodeError};
use super::reference::{Reference, Remote};
use super::store::Fetched;
use crate::engine::RunContext;
use crate::engine::blocking::in_place;
use crate::engine::program;
use crate::engine::program::VERSION_TIMEOUT;
use crate::engine::sandbox::host;

/// Maximum size of an action's manifest, in bytes.
const MAX_MANIFEST: u64 = 1024 * 1024;

/// Maximum nesting depth of composite actions. GitHub's limit.
pub(crate) const MAX_DEPTH: usize = 9;

/// An action whose files are on this machine.
#[derive(Debug)]
pub(crate) struct ResolvedAction {
    /// Reference to the action: as `uses` writes it, or `owner/name/path@ref` if `uses` writes `$/path`.
    pub(crate) reference: String,
    /// Manifest of the action.
    pub(crate) action: Action,
    /// Root folder of its repository's files, the workspace for a local action, or the folder to which the
    /// configuration maps the action.
    pub(crate) root: PathBuf,
    /// Folder of the action, in `root`.
    pub(crate) folder: PathBuf,
    /// Repository, path and version of the action; `None` for an action in the workspace.
    pub(crate) remote: Option<Remote>,
    /// Commit of the files. `None` for an action in the workspace, a mapped action, and a `$/path`.
    pub(crate) commit: Option<String>,
    /// Origin of the files, for messages: the commit, the folder to which the action is mapped, the workspace, or the
    /// repository of a `$/path`.
    pub(crate) origin: String,
}

/// The repository of a called workflow, if it is not the run's repository. `$/path` in a step of its jobs is an action
/// of that repository.
#[derive(Debug)]
pub(crate) struct WorkflowRepository {
    /// Name and version of the repository.
    remote: Remote,
    /// Root folder of its files.
    root: PathBuf,
    /// Commit of the files; `None` if the configuration maps the repository to a folder.
    pub(crate) commit: Option<String>,
}

impl WorkflowRepository {
    /// Returns the repository of the workflow with this name, fetching its files if they are not in the cache. `None`
    /// for a workflow of the run's repository. The commit is the one from which the text of the workflow was read, so
    /// that the text and the files match, and the server need not resolve the ref again.
    ///
    /// # Errors
    /// The repository cannot be fetched.
    pub(crate) async fn of(name: &str, shared: &RunContext) -> Result<Option<Self>, FetchError> {
        let Ok(Reference::Remote(workflow)) = Reference::parse(name) else { return Ok(None) };
        let remote = workflow.beside("");
        let commit = shared.options.called_commits.get(name).map(String::as_str);
        let Fetched { root, commit, .. } = shared.actions.folder_at(&remote, commit).await?;
        Ok(Some(Self { remote, root, commit }))
    }
}

impl ResolvedAction {
    /// Returns an action in a folder of the workspace.
    pub(crate) fn local(reference: &str, action: Action, workspace: &Path, folder: PathBuf) -> Self {
        let (origin, root) = ("of the workspace".to_owned(), workspace.to_owned());
        Self { reference: reference.to_owned(), action, root, folder, remote: None, commit: None, origin }
    }

    /// Reads the action of another repository, fetching its files if they are not in the cache. Returns the action, and
    /// a remark for the job's log if there is one.
    ///
    /// # Errors
    /// The action cannot be fetched, its folder has no action, or its manifest cannot be read or is invalid.
    pub(crate) async fn fetch(
        reference: &str,
        remote: Remote,
        shared: &RunContext,
    ) -> Result<(Self, Option<String>), ActionError> {
        let Fetched { root, folder, commit, origin, remark } = shared.actions.folder(&remote).await?;
        let action = match read(&root, folder.strip_prefix(&root).unwrap_or(Path::new("."))) {
            Some(read) => read.map_err(|source| ActionError::Manifest { reference: reference.to_owned(), source })?,
            None => return Err(ActionError::NoManifest { reference: reference.to_owned(), of: origin }),
        };
        let known =
            Self { reference: reference.to_owned(), action, root, folder, remote: Some(remote), commit, origin };
        Ok((known, remark))
    }

    /// Reads the action at `path` in the repository of the action `within`. If `within` is `None` or an action of the
    /// workspace, reads it in the repository of the job's workflow: `called`, or the run's repository.
    ///
    /// # Errors
    /// The folder has no action, or its manifest cannot be read or is invalid.
    pub(crate) fn own(
        path: &str,
        within: Option<&Self>,
        called: Option<&WorkflowRepository>,
        shared: &RunContext,
    ) -> Result<Self, ActionError> {
        let within = within.and_then(|action| Some((&action.root, action.remote.as_ref()?)));
        let of = within.or(called.map(|called| (&called.root, &called.remote)));
        let (root, remote) = if let Some((root, remote)) = of {
            (root.clone(), remote.beside(path))
        } else {
            let (repository, version) = (shared.facts.repository.clone(), shared.facts.sha.clone());
            (shared.repository.clone(), Remote { repository, path: path.to_owned(), version })
        };
        let folder = root.join(path);
        let origin = format!("of {}", remote.repository);
        let action = match read(&root, Path::new(path)) {
            Some(read) => read.map_err(|source| ActionError::Manifest { reference: format!("$/{path}"), source })?,
            None => return Err(ActionError::NoManifest { reference: format!("$/{path}"), of: origin }),
        };
        Ok(Self { reference: remote.to_string(), action, root, folder, remote: Some(remote), commit: None, origin })
    }

    /// Returns the entries that the action adds to the `github` context while it runs; empty for an action in the
    /// workspace.
    pub(crate) fn identity(&self) -> Vec<(&'static str, String)> {
        let Some(remote) = &self.remote else { return Vec::new() };
        vec![("action_repository", remote.repository.clone()), ("action_ref", remote.version.clone())]
    }

    /// Whether the action itself has a `post` phase. A composite action has none: only its steps have posts.
    pub(crate) fn has_post(&self) -> bool {
        match &self.action.runs {
            ActionRuns::JavaScript { post, .. } => post.is_some(),
            ActionRuns::Docker { post_entrypoint, .. } => post_entrypoint.is_some(),
            ActionRuns::Composite { .. } => false,
        }
    }

    /// Whether the action, or a step of a composite action, has a `pre` phase.
    fn has_pre(&self, actions: &Actions) -> bool {
        match &self.action.runs {
            ActionRuns::JavaScript { pre, .. } => pre.is_some(),
            ActionRuns::Docker { pre_entrypoint, .. } => pre_entrypoint.is_some(),
            ActionRuns::Composite { steps } => {
                steps.iter().any(|step| with_pre(actions, step, self.remote.as_ref()).is_some())
            }
        }
    }

    /// Returns the path at which containers see the action's repository, relative to the folder that holds all actions.
    pub(crate) fn place(&self) -> PathBuf {
        let remote = self.remote.as_ref();
        let name = remote.map(|remote| format!("{}/{}", remote.repository, remote.version.replace(':', "_")));
        PathBuf::from(name.unwrap_or_else(|| self.reference.replace('@', "/")))
    }
}

/// Actions by their keys; see [`key`].
pub(crate) type Actions = HashMap<String, Arc<ResolvedAction>>;

/// Returns the key of the action that a step uses: its reference as written, except that `$/path` in a step of the
/// action `within` becomes `owner/name/path@ref` in the repository of that action.
pub(crate) fn key(reference: &str, within: Option<&Remote>) -> String {
    match (Reference::parse(reference), within) {
        (Ok(Reference::Own(path)), Some(within)) => within.beside(&path).to_string(),
        _ => reference.to_owned(),
    }
}

/// Returns the action that a step uses, if it is not in the workspace and has a `pre` phase.
pub(crate) fn with_pre<'k>(
    actions: &'k Actions,
    step: &StepDefinition,
    within: Option<&Remote>,
) -> Option<&'k Arc<ResolvedAction>> {
    let StepAction::Uses { reference, .. } = &step.action else { return None };
    let Ok(Reference::Remote(_) | Reference::Own(_)) = Reference::parse(&reference.value) else { return None };
    actions.get(&key(&reference.value, within)).filter(|action| action.has_pre(actions))
}

/// Requirements of a job's steps.
#[derive(Default)]
pub(crate) struct Needs {
    /// Actions that the steps use, by [`key`], except those in the workspace and built-in checkouts.
    pub(crate) actions: Actions,
    /// Images of `docker://` steps, and of Docker actions that have no Dockerfile.
    pub(crate) images: Vec<String>,
    /// Remarks for the log of the step "Set up job".
    pub(crate) remarks: Vec<String>,
    /// Missing requirements, as messages.
    pub(crate) missing: Vec<String>,
    /// Reference of the first JavaScript action; `None` if no step uses one.
    pub(crate) node: Option<String>,
    /// Reference of the first Docker action or `docker://` step; `None` if no step uses a container.
    pub(crate) container: Option<String>,
    /// Repository of the job's workflow, if it is not the run's repository.
    pub(crate) called: Option<WorkflowRepository>,
}

impl Needs {
    fn lacks(&mut self, what: String) {
        if !self.missing.contains(&what) {
            self.missing.push(what);
        }
    }
}

/// Collects the requirements of the steps of a job in the workflow of this name, and of the actions that they use.
/// Fetches these actions.
pub(crate) async fn needs(steps: &[StepDefinition], workflow: &str, shared: &RunContext) -> Needs {
    let mut needs = Needs::default();
    match WorkflowRepository::of(workflow, shared).await {
        Ok(called) => needs.called = called,
        Err(error) => needs.lacks(error.to_string()),
    }
    look(steps, None, shared, 0, &mut needs).await;
    needs
}

/// Adds to [`Needs::missing`] the actions whose commits differ from those that the workflow locks.
pub(crate) fn check_locks(needs: &mut Needs, locks: &[LockedAction]) {
    let mut wrong = Vec::new();
    for (reference, action) in &needs.actions {
        let locked = locks.iter().find(|locked| locked.locks(reference));
        if let (Some(locked), Some(commit)) = (locked, &action.commit)
            && locked.commit != *commit
        {
            wrong.push(format!("`{reference}` is commit {commit}, but `dependencies` locks it to {}", locked.commit));
        }
    }
    wrong.sort_unstable();
    needs.missing.extend(wrong);
}

fn look<'a>(
    steps: &'a [StepDefinition],
    within: Option<&'a ResolvedAction>,
    shared: &'a RunContext,
    depth: usize,
    needs: &'a mut Needs,
) -> BoxFuture<'a, ()> {
    async move {
        for step in steps {
            let (reference, with) = match &step.action {
                StepAction::Uses { reference, with } => (reference, with),
                StepAction::Steer(Steering::Parallel(group)) => {
                    look(group, within, shared, depth, needs).await;
                    continue;
                }
                StepAction::Run { .. } | StepAction::Steer(_) => continue,
            };
            match Reference::parse(&reference.value) {
                Err(error) => needs.lacks(error.to_string()),
                Ok(Reference::Image(image)) => {
                    needs.container.get_or_insert_with(|| reference.value.clone());
                    needs.images.push(image);
                }
                Ok(Reference::Own(path)) => {
                    let key = key(&reference.value, within.and_then(|within| within.remote.as_ref()));
                    if !needs.actions.contains_key(&key) {
                        match ResolvedAction::own(&path, within, needs.called.as_ref(), shared) {
                            Ok(known) => add(key, known, shared, depth, needs).await,
                            Err(error) => needs.lacks(error.to_string()),
                        }
                    }
                }
                Ok(Reference::Remote(remote)) if is_own_checkout(&remote, with, shared) => {}
                Ok(Reference::Remote(remote)) if reads_coverage(&remote, shared).is_some() => {}
                Ok(Reference::Remote(remote)) => {
                    if !needs.actions.contains_key(&reference.value) {
                        find(&reference.value, remote, shared, depth, needs).await;
                    }
                }
                // An earlier step may create this local action, so it does not count as missing. If it does not exist
                // when its step runs, the step fails.
                Ok(Reference::Local(path)) => {
                    if let Some(Ok(action)) = read(&shared.repository, Path::new(&path)) {
                        inside(&reference.value, &action, None, shared, depth, needs).await;
                    }
                }
            }
        }
    }
    .boxed()
}

async fn find(reference: &str, remote: Remote, shared: &RunContext, depth: usize, needs: &mut Needs) {
    let (known, remark) = match ResolvedAction::fetch(reference, remote, shared).await {
        Ok(found) => found,
        Err(error) => return needs.lacks(error.to_string()),
    };
    needs.remarks.extend(remark);
    add(reference.to_owned(), known, shared, depth, needs).await;
}

/// Adds a resolved action and its requirements.
async fn add(key: String, known: ResolvedAction, shared: &RunContext, depth: usize, needs: &mut Needs) {
    inside(&key, &known.action, Some(&known), shared, depth, needs).await;
    needs.actions.insert(key, Arc::new(known));
}

/// Adds what an action requires: Node.js, a container, or the requirements of a composite action's steps.
async fn inside(
    reference: &str,
    action: &Action,
    within: Option<&ResolvedAction>,
    shared: &RunContext,
    depth: usize,
    needs: &mut Needs,
) {
    match &action.runs {
        ActionRuns::Composite { .. } if depth >= MAX_DEPTH => {
            needs.lacks(format!("`{reference}` nests composite actions deeper than {MAX_DEPTH}"));
        }
        ActionRuns::Composite { steps } => look(steps, within, shared, depth + 1, needs).await,
        ActionRuns::JavaScript { .. } => {
            needs.node.get_or_insert_with(|| reference.to_owned());
        }
        ActionRuns::Docker { image, .. } => {
            needs.container.get_or_insert_with(|| reference.to_owned());
            needs.images.extend(image.value.strip_prefix("docker://").map(str::to_owned));
        }
    }
}

/// Whether a step is a checkout of the run's repository that cuelight handles itself. Always false if the configuration
/// maps the action.
pub(crate) fn is_own_checkout(remote: &Remote, with: &NamedValues, shared: &RunContext) -> bool {
    let given = with.iter().find(|(name, _)| name.value.eq_ignore_ascii_case("repository"));
    // An expression is evaluated only when the step runs; until then it counts as the run's repository.
    let other = given.and_then(|(_, value)| value.literal()).filter(|named| !named.is_empty());
    let own = other.is_none_or(|named| named.eq_ignore_ascii_case(&shared.facts.repository));
    remote.is_checkout() && own && !shared.actions.is_mapped(remote)
}

/// Returns the message about the built-in reader of coverage reports, if it takes the place of the action. Always
/// `None` if the configuration maps the action.
pub(crate) fn reads_coverage(remote: &Remote, shared: &RunContext) -> Option<&'static str> {
    advice::reads_coverage(remote).filter(|_| !shared.actions.is_mapped(remote))
}

/// Reads the action in the folder `below` of `root`: its manifest, or a Dockerfile alone. Returns `None` if there is
/// neither, or if `root` cannot be opened.
///
/// # Errors
/// The manifest cannot be read, for example because a link leads out of `root`, or it is invalid.
pub(crate) fn read(root: &Path, below: &Path) -> Option<Result<Action, ManifestError>> {
    in_place(|| {
        let folder = Folder::open(root).ok()?;
        let path = |name: &str| (below.join(name), root.join(below).join(name).to_string_lossy().into_owned());
        for name in ["action.yml", "action.yaml"] {
            let (below, name) = path(name);
            match folder.read(&below, Links::Within, MAX_MANIFEST) {
                Ok(bytes) => return Some(parse(name, String::from_utf8_lossy(&bytes).into_owned())),
                Err(error) if error.is_missing() => {}
                Err(source) => return Some(Err(ManifestError::File { file: name, source })),
            }
        }
        let is_file = |name: &&str| folder.file(&path(name).0, Links::Within).is_ok();
        let found = ["Dockerfile", "dockerfile"].into_iter().find(is_file)?;
        let text = format!("name: Dockerfile\ndescription: ''\nruns: {{using: docker, image: {found}}}\n");
        Some(parse(path(found).1, text))
    })
}

fn parse(file: String, text: String) -> Result<Action, ManifestError> {
    let parsed = workflow::parse_action(&Source::new(file.clone(), text));
    parsed
        .value
        .ok_or_else(|| ManifestError::Syntax { file, problem: parsed.diagnostics.into_iter().next().map(Box::new) })
}

/// Returns the path and the version of the Node.js that runs JavaScript actions on this machine. Node.js 20 and newer
/// runs almost all actions: few that were written for a newer one need it. Versions 16 to 19 run only actions that were
/// written for old versions, so a warning is appended to the returned version.
///
/// # Errors
/// Node.js is not on `path`, does not start, does not print its version in time, or is older than version 16.
pub(crate) async fn node(path: &OsStr) -> Result<(PathBuf, String), NodeError> {
    let program = host::find_program("node", path).ok_or(NodeError::NotOnPath)?;
    let said = match program::call(Command::new(&program).arg("--version"), VERSION_TIMEOUT).await {
        Ok(said) => said,
        Err(error) => return Err(NodeError::Start { program, source: error.into() }),
    };
    let version = String::from_utf8_lossy(&said.output).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(20..) => Ok((program, version)),
        Some(16..) => Ok((program, format!("{version}, older than what newer actions need: 20"))),
        _ => Err(NodeError::TooOld { program, version }),
    }
}
