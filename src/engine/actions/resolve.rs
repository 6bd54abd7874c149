//! What a job's steps use, found before its first step: every action as deep as they nest, and what cannot be had.
//!
//! A job that would fail in its seventh step because an action is not there fails before the first one, and says so,
//! with everything else that it lacks.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::workflow;
use crate::workflow::source::{Source, Spanned};
use crate::workflow::syntax::{Action, ActionRuns, StepAction, StepDefinition};
use crate::workflow::template::Template;

use super::reference::{Reference, Remote};
use super::store::Fetched;
use crate::engine::RunContext;
use crate::engine::sandbox::host;

/// How deep composite actions may nest: GitHub's limit.
pub(crate) const MAX_DEPTH: usize = 9;

/// An action whose files are on this machine.
#[derive(Debug)]
pub(crate) struct ResolvedAction {
    /// As the workflow names it.
    pub(crate) reference: String,
    /// Its manifest.
    pub(crate) action: Action,
    /// The files of its repository.
    pub(crate) root: PathBuf,
    /// Its folder among them.
    pub(crate) folder: PathBuf,
    /// The repository that it comes from, if that is not the run's.
    pub(crate) remote: Option<Remote>,
    /// For people: its commit, or the folder it is mapped to.
    pub(crate) origin: String,
}

impl ResolvedAction {
    /// An action of the workspace.
    pub(crate) fn local(reference: &str, action: Action, folder: PathBuf) -> Self {
        let origin = "of the workspace".to_owned();
        Self { reference: reference.to_owned(), action, root: folder.clone(), folder, remote: None, origin }
    }

    /// Fetches the action of another repository. Returns it with a remark for the job's log.
    ///
    /// # Errors
    /// It cannot be fetched or read.
    pub(crate) async fn fetch(
        reference: &str,
        remote: Remote,
        shared: &RunContext,
    ) -> Result<(Self, Option<String>), String> {
        let Fetched { root, folder, origin, remark } = shared.actions.folder(&remote).await?;
        let action = match read(&folder) {
            Some(read) => read.map_err(|reason| format!("`{reference}`: {reason}"))?,
            None => return Err(format!("`{reference}` has no action.yml, action.yaml or Dockerfile ({origin})")),
        };
        let known = Self { reference: reference.to_owned(), action, root, folder, remote: Some(remote), origin };
        Ok((known, remark))
    }

    /// Returns the entries that it adds to the `github` context while it runs.
    pub(crate) fn identity(&self) -> Vec<(&'static str, String)> {
        let Some(remote) = &self.remote else { return Vec::new() };
        vec![("action_repository", remote.repository.clone()), ("action_ref", remote.version.clone())]
    }

    /// Whether it has something to do after the last step. The steps of a composite action have their own posts.
    pub(crate) fn has_post(&self) -> bool {
        match &self.action.runs {
            ActionRuns::JavaScript { post, .. } => post.is_some(),
            ActionRuns::Docker { post_entrypoint, .. } => post_entrypoint.is_some(),
            ActionRuns::Composite { .. } => false,
        }
    }

    /// Whether it, or a step of a composite action, has something to do before the first step.
    fn has_pre(&self, actions: &Actions) -> bool {
        match &self.action.runs {
            ActionRuns::JavaScript { pre, .. } => pre.is_some(),
            ActionRuns::Docker { pre_entrypoint, .. } => pre_entrypoint.is_some(),
            ActionRuns::Composite { steps } => steps.iter().any(|step| with_pre(actions, step).is_some()),
        }
    }

    /// Returns where a container finds its repository, below the folder of all actions.
    pub(crate) fn place(&self) -> PathBuf {
        let remote = self.remote.as_ref();
        let name = remote.map(|remote| format!("{}/{}", remote.repository, remote.version.replace(':', "_")));
        PathBuf::from(name.unwrap_or_else(|| self.reference.replace('@', "/")))
    }
}

/// Actions of other repositories, by what the workflow names them.
pub(crate) type Actions = HashMap<String, Arc<ResolvedAction>>;

/// Returns the action of another repository that a step uses, if it has something to do before the first step.
pub(crate) fn with_pre<'k>(actions: &'k Actions, step: &StepDefinition) -> Option<&'k Arc<ResolvedAction>> {
    let StepAction::Uses { reference, .. } = &step.action else { return None };
    let Ok(Reference::Remote(_)) = Reference::parse(&reference.value) else { return None };
    actions.get(&reference.value).filter(|action| action.has_pre(actions))
}

/// What the steps of a job need.
#[derive(Default)]
pub(crate) struct Needs {
    /// Actions of other repositories, by what the workflow names them.
    pub(crate) actions: Actions,
    /// Images of actions, by what names them.
    pub(crate) images: Vec<String>,
    /// What a step's log cannot say any more, as lines.
    pub(crate) remarks: Vec<String>,
    /// What is not to be had, as sentences.
    pub(crate) missing: Vec<String>,
    /// The first action that runs in node.
    pub(crate) node: Option<String>,
    /// The first action that runs in a container of its own.
    pub(crate) container: Option<String>,
}

impl Needs {
    fn lacks(&mut self, what: String) {
        if !self.missing.contains(&what) {
            self.missing.push(what);
        }
    }
}

/// Looks at everything that steps use.
pub(crate) async fn needs(steps: &[StepDefinition], shared: &RunContext) -> Needs {
    let mut needs = Needs::default();
    look(steps, shared, 0, &mut needs).await;
    needs
}

fn look<'a>(
    steps: &'a [StepDefinition],
    shared: &'a RunContext,
    depth: usize,
    needs: &'a mut Needs,
) -> BoxFuture<'a, ()> {
    async move {
        for step in steps {
            let StepAction::Uses { reference, with } = &step.action else { continue };
            match Reference::parse(&reference.value) {
                Err(reason) => needs.lacks(reason),
                Ok(Reference::Image(image)) => {
                    needs.container.get_or_insert_with(|| reference.value.clone());
                    needs.images.push(image);
                }
                Ok(Reference::Remote(remote)) if is_own_checkout(&remote, with, shared) => {}
                Ok(Reference::Remote(remote)) => {
                    if !needs.actions.contains_key(&reference.value) {
                        find(&reference.value, remote, shared, depth, needs).await;
                    }
                }
                // An action that an earlier step will only make (a generated folder) is not missing yet: the step tells.
                Ok(Reference::Local(path)) => {
                    if let Some(Ok(action)) = read(&shared.repository.join(path)) {
                        inside(&reference.value, &action, shared, depth, needs).await;
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
        Err(reason) => return needs.lacks(reason),
    };
    needs.remarks.extend(remark);
    inside(reference, &known.action, shared, depth, needs).await;
    needs.actions.insert(reference.to_owned(), Arc::new(known));
}

/// What an action needs itself.
async fn inside(reference: &str, action: &Action, shared: &RunContext, depth: usize, needs: &mut Needs) {
    match &action.runs {
        ActionRuns::Composite { .. } if depth >= MAX_DEPTH => {
            needs.lacks(format!("`{reference}` nests composite actions deeper than {MAX_DEPTH}"));
        }
        ActionRuns::Composite { steps } => look(steps, shared, depth + 1, needs).await,
        ActionRuns::JavaScript { .. } => {
            needs.node.get_or_insert_with(|| reference.to_owned());
        }
        ActionRuns::Docker { image, .. } => {
            needs.container.get_or_insert_with(|| reference.to_owned());
            needs.images.extend(image.value.strip_prefix("docker://").map(str::to_owned));
        }
    }
}

/// Whether it is a checkout of the repository that runs: then this program brings the files itself, unless the
/// configuration says where the action comes from.
pub(crate) fn is_own_checkout(remote: &Remote, with: &[(Spanned<String>, Template)], shared: &RunContext) -> bool {
    let given = with.iter().find(|(name, _)| name.value.eq_ignore_ascii_case("repository"));
    // One whose repository only an expression tells is looked at when the step runs.
    let other = given.and_then(|(_, value)| value.literal()).filter(|named| !named.is_empty());
    let own = other.is_none_or(|named| named.eq_ignore_ascii_case(&shared.facts.repository));
    remote.is_checkout() && own && !shared.actions.is_mapped(remote)
}

/// The action in a folder: its manifest, or a Dockerfile alone. `None` when there is neither.
///
/// # Errors
/// What is wrong with the manifest, with its place.
pub(crate) fn read(folder: &Path) -> Option<Result<Action, String>> {
    let manifest = ["action.yml", "action.yaml"].iter().find_map(|name| {
        let path = folder.join(name);
        Some((path.to_string_lossy().into_owned(), fs::read_to_string(path).ok()?))
    });
    let (name, text) = if let Some(manifest) = manifest {
        manifest
    } else {
        let found = ["Dockerfile", "dockerfile"].iter().find(|name| folder.join(name).is_file())?;
        let text = format!("name: Dockerfile\ndescription: ''\nruns: {{using: docker, image: {found}}}\n");
        (folder.join(found).to_string_lossy().into_owned(), text)
    };
    let parsed = workflow::parse_action(&Source::new(name.clone(), text));
    Some(parsed.value.ok_or_else(|| {
        let first = parsed.diagnostics.first();
        first.map_or_else(
            || format!("{name} cannot be read"),
            |problem| format!("{name}:{}:{}: {}", problem.span.line, problem.span.column, problem.message),
        )
    }))
}

/// The node that runs JavaScript actions on this machine, and its version. Actions name the one they were written for
/// (`node16`, `node20`); any from 20 on runs them all, and an older one those that are old too.
///
/// # Errors
/// There is none, or it is too old; in words.
pub(crate) async fn node(path: &OsStr) -> Result<(PathBuf, String), String> {
    let program = host::find_program("node", path).ok_or("node is not on PATH: install Node.js 20 or newer")?;
    let said = tokio::process::Command::new(&program).arg("--version").output().await;
    let said = said.map_err(|error| format!("{} does not start: {error}", program.display()))?;
    let version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(20..) => Ok((program, version)),
        Some(16..) => Ok((program, format!("{version}, older than what newer actions need: 20"))),
        _ => Err(format!("{} is {version}: actions need Node.js 20 or newer", program.display())),
    }
}
