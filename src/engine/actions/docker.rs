//! Docker actions: one new container per phase, with the paths of GitHub's runner.

use std::path::Path;

use indexmap::IndexMap;

use crate::engine::blocking::in_place;
use crate::engine::job::environment::JobEnvironment;
use crate::engine::outlet::StepLog;
use crate::engine::results::Client;
use crate::engine::sandbox::provider::{ImageBuild, ProviderError};
use crate::engine::sandbox::shared::SharedFolder;
use crate::engine::step::invocation::Invocation;
use crate::engine::step::shell;
use crate::files::{FileError, Folder, Links};
use crate::store::digest;
use crate::workflow::expr::Scope;
use crate::workflow::syntax::ActionRuns;
use crate::workflow::template::TemplateError;

use super::resolve::ResolvedAction;
use super::{Phase, inputs};

/// Why a Docker action does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DockerActionError {
    #[error("`{0}` is not a Docker action")]
    OtherKind(String),
    #[error("`{dockerfile}` of {action} is not a file")]
    NotAFile { dockerfile: String, action: String },
    #[error("`{dockerfile}` of {action}: {source}")]
    Dockerfile { dockerfile: String, action: String, source: FileError },
    #[error("`{field}`: {source}")]
    Manifest { field: &'static str, source: TemplateError },
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// Inputs of an action, evaluated.
pub(crate) struct Inputs<'i> {
    /// `with` of the step.
    pub(crate) given: &'i IndexMap<String, String>,
    /// All inputs, including defaults.
    pub(crate) all: &'i IndexMap<String, String>,
    /// Whether `env` of the job or the step sets a variable. Such a variable overrides `env` of the manifest.
    pub(crate) is_set: &'i (dyn Fn(&str) -> bool + Sync),
}

/// Returns the invocation of a `docker://` step: a process in a new container of `image`. Fetches the image if
/// necessary.
///
/// # Errors
/// No container engine answers, the image cannot be fetched, or the home folder of containers cannot be written.
pub(crate) async fn image(
    job: &JobEnvironment,
    image: &str,
    given: &IndexMap<String, String>,
) -> Result<Invocation, DockerActionError> {
    let args = given.get("args").map(|args| shell::cut(args)).unwrap_or_default();
    container(job, image, given.get("entrypoint").cloned(), args, inputs::variables(given)).await
}

/// Returns the invocation of one phase of an action: a process in a new container. Fetches the image, or builds it if
/// the action has a Dockerfile.
///
/// # Errors
/// The action is not a Docker action, no container engine answers, the image cannot be fetched or built, an expression
/// of the manifest cannot be evaluated, or the home folder of containers cannot be written.
pub(crate) async fn invocation(
    job: &JobEnvironment,
    action: &ResolvedAction,
    phase: Phase,
    inputs: &Inputs<'_>,
    scope: &Scope<'_>,
    log: &mut dyn StepLog,
) -> Result<Invocation, DockerActionError> {
    let ActionRuns::Docker { image, entrypoint, pre_entrypoint, post_entrypoint, args, env, .. } = &action.action.runs
    else {
        return Err(DockerActionError::OtherKind(action.reference.clone()));
    };
    let image = match image.value.strip_prefix("docker://") {
        Some(image) => image.to_owned(),
        None => build(job, action, &image.value, log).await?,
    };
    let mut contexts = scope.contexts.clone();
    contexts.set("inputs", inputs::context(inputs.all));
    let scope = Scope { contexts: &contexts, ..*scope };
    let evaluated = args.iter().map(|arg| arg.evaluate(&scope).map(|value| value.to_text()));
    let fault = |field| move |source| DockerActionError::Manifest { field, source };
    let args: Vec<_> = evaluated.collect::<Result<_, _>>().map_err(fault("runs.args"))?;
    // `args` of the step applies only if the manifest has none.
    let args = match inputs.given.get("args") {
        Some(given) if args.is_empty() => shell::cut(given),
        _ => args,
    };
    let mut variables = inputs::variables(inputs.all);
    if let Some(env) = env {
        let env = env.texts(&scope).map_err(fault("runs.env"))?;
        variables.extend(env.into_iter().filter(|(name, _)| !(inputs.is_set)(name)));
    }
    let entrypoint = match phase {
        Phase::Pre => pre_entrypoint.as_ref(),
        Phase::Main => inputs.given.get("entrypoint").or(entrypoint.as_ref()),
        Phase::Post => post_entrypoint.as_ref(),
    };
    container(job, &image, entrypoint.cloned(), args, variables).await
}

/// Builds the image of an action from its Dockerfile, and returns the tag of the image. As in GitHub's runner, the
/// folder of the Dockerfile is the build context. The tag is derived from the path of the Dockerfile, so that
/// concurrent builds of different actions do not interfere.
async fn build(
    job: &JobEnvironment,
    action: &ResolvedAction,
    dockerfile: &str,
    log: &mut dyn StepLog,
) -> Result<String, DockerActionError> {
    let file = action.folder.join(dockerfile.trim_start_matches("./"));
    let open = || -> Result<Folder, FileError> {
        let below = file.strip_prefix(&action.root).map_err(|_| FileError::Outside)?;
        let root = Folder::open(&action.root)?;
        root.file(below, Links::Within)?;
        Ok(root.folder_within(below.parent().unwrap_or(Path::new("")))?)
    };
    // Docker gets the whole folder of the Dockerfile. The folder is held open, so that a step that is still running
    // cannot replace it.
    let context = in_place(open).map_err(|source| DockerActionError::Dockerfile {
        dockerfile: dockerfile.to_owned(),
        action: action.reference.clone(),
        source,
    })?;
    let (Some(place), Some(name)) = (file.parent(), file.file_name()) else {
        let (dockerfile, action) = (dockerfile.to_owned(), action.reference.clone());
        return Err(DockerActionError::NotAFile { dockerfile, action });
    };
    let tag = format!("cuelight-action-{}:latest", digest::sha256(file.as_os_str().as_encoded_bytes(), 8));
    log.write(format!("##[group]Build {} for {} ({})\n", dockerfile, action.reference, action.origin).as_bytes());
    log.flush();
    let name = name.to_string_lossy();
    let mut say = |line: &str| {
        log.write(format!("{line}\n").as_bytes());
        log.flush();
    };
    let build = ImageBuild { context: &context, place, dockerfile: &name, tag: &tag };
    let built = job.machine().build_image(&build, &mut say).await;
    log.write(b"##[endgroup]\n");
    built?;
    Ok(tag)
}

/// Returns the invocation of a process in a new container of `image`. Fetches the image if necessary, and prepares the
/// home folder of containers.
async fn container(
    job: &JobEnvironment,
    image: &str,
    entrypoint: Option<String>,
    args: Vec<String>,
    variables: IndexMap<String, String>,
) -> Result<Invocation, DockerActionError> {
    let temp = &job.temp;
    let mut shared = vec![
        SharedFolder::writable(&job.workspace, "/github/workspace"),
        SharedFolder::writable(temp, "/github/runner_temp"),
        SharedFolder::writable(temp.join("_github_home"), "/github/home"),
        SharedFolder::writable(temp.join("_github_workflow"), "/github/workflow"),
        SharedFolder::writable(temp.join("_runner_file_commands"), "/github/file_commands"),
    ];
    shared.extend(job.borrowed_objects());
    job.prepare_home()?;
    let sandbox = job.machine().one_shot(image, shared).await?;
    Ok(Invocation {
        program: entrypoint.filter(|entrypoint| !entrypoint.is_empty()).unwrap_or_default().into(),
        args: args.into_iter().map(Into::into).collect(),
        cwd: "/github/workspace".into(),
        variables,
        sandbox: Some(sandbox),
        client: Client::Container,
        ..Invocation::default()
    })
}
