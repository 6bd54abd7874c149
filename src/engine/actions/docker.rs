//! Docker actions: a container of its own for each phase, with the runner's paths.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::engine::cancel::{CancelWatch, KillReason};
use crate::engine::job::environment::JobEnvironment;
use crate::engine::outlet::StepLog;
use crate::engine::sandbox::docker::client::DockerClient;
use crate::engine::sandbox::docker::labels::Labels;
use crate::engine::sandbox::docker::one_shot::Once;
use crate::engine::sandbox::shared::SharedFolder;
use crate::engine::step::process;
use crate::engine::step::process::Invocation;
use crate::engine::step::shell;
use crate::engine::step::{Ran, StepEnd, StepScope, Steps, Task};
use crate::engine::workspace::hash_files::WorkspaceFiles;
use crate::model::Conclusion;
use crate::store::digest;
use crate::workflow::expr::Scope;
use crate::workflow::syntax::ActionRuns;

use super::resolve::Known;
use super::{Phase, inputs};

/// Runs a `docker://` step.
pub(super) async fn run_image(
    steps: &mut Steps<'_>,
    frame: &StepScope,
    task: &Task<'_>,
    image: &str,
    given: &IndexMap<String, String>,
    log: &mut dyn StepLog,
) -> Ran {
    let args = given.get("args").map(|args| shell::cut(args)).unwrap_or_default();
    let container = Container {
        image: image.to_owned(),
        entrypoint: given.get("entrypoint").cloned(),
        args,
        variables: inputs::variables(given),
        github: Vec::new(),
    };
    container.run(steps, frame, task, log).await
}

/// Runs one phase of an action: with what the step gave, and with all inputs.
pub(super) async fn run(
    steps: &mut Steps<'_>,
    frame: &StepScope,
    task: &Task<'_>,
    known: &Arc<Known>,
    (given, inputs): (&IndexMap<String, String>, &IndexMap<String, String>),
    phase: Phase,
    log: &mut dyn StepLog,
) -> Ran {
    let ActionRuns::Docker { image, entrypoint, pre_entrypoint, post_entrypoint, args, env, .. } = &known.action.runs
    else {
        return Ran::failed("it is no Docker action");
    };
    let image = match image.value.strip_prefix("docker://") {
        Some(image) => image.to_owned(),
        None => match unless_stopped(&mut steps.stop, task, build(steps.place, known, &image.value, log)).await {
            Ok(tag) => tag,
            Err(end) => return Ran::of(end),
        },
    };
    let mut contexts = task.ready.contexts.clone();
    contexts.set("inputs", inputs::context(inputs));
    let host = WorkspaceFiles::at(&steps.place.workspace);
    let scope = Scope { contexts: &contexts, status: frame.functions(), host: &host };
    let evaluated =
        args.iter().map(|arg| arg.evaluate(&scope).map(|value| value.to_text())).collect::<Result<Vec<_>, _>>();
    let own = match (evaluated, given.get("args")) {
        (Err(error), _) => return Ran::failed(format!("`args`: {error}")),
        // What the step gives counts only where the manifest says nothing.
        (Ok(args), Some(given)) if args.is_empty() => shell::cut(given),
        (Ok(args), _) => args,
    };
    let mut variables = inputs::variables(inputs);
    if let Some(env) = env {
        match env.texts(&scope) {
            // The step's environment comes before the manifest's.
            Ok(texts) => {
                for (name, value) in texts {
                    if !steps.env.contains_key(&name) && !task.ready.overlay.contains_key(&name) {
                        variables.insert(name, value);
                    }
                }
            }
            Err(error) => return Ran::failed(format!("`env` of the action: {error}")),
        }
    }
    variables.extend(super::states(steps, task));
    let (entrypoint, args) = match phase {
        Phase::Pre => (pre_entrypoint.clone(), own),
        Phase::Main => (given.get("entrypoint").cloned().or_else(|| entrypoint.clone()), own),
        Phase::Post => (post_entrypoint.clone(), own),
    };
    let container = Container { image, entrypoint, args, variables, github: super::identity(known) };
    container.run(steps, frame, task, log).await
}

/// The image of an action's Dockerfile, built with the Dockerfile's folder as its context, as GitHub's runner does it. The
/// engine's cache makes a second build of the same files short. The name is that of the files, so that two builds at once
/// are not in each other's way.
async fn build(
    place: &JobEnvironment,
    known: &Known,
    dockerfile: &str,
    log: &mut dyn StepLog,
) -> Result<String, String> {
    let engine = place.engine().await?;
    let file = known.folder.join(dockerfile.trim_start_matches("./"));
    let (Some(context), Some(name)) = (file.parent(), file.file_name()) else {
        return Err(format!("`{dockerfile}` of {} is no file", known.reference));
    };
    let tag = format!("cuelight-action-{}:latest", digest::sha256(file.as_os_str().as_encoded_bytes(), 8));
    log.write(format!("##[group]Build {} for {} ({})\n", dockerfile, known.reference, known.origin).as_bytes());
    log.flush();
    let labels = Labels::kept(&place.shared.state);
    let name = name.to_string_lossy();
    let mut say = |line: &str| {
        log.write(format!("{line}\n").as_bytes());
        log.flush();
    };
    let built = engine.build(context, &name, &tag, &labels, &mut say).await;
    log.write(b"##[endgroup]\n");
    built.map_err(|error| error.to_string())?;
    Ok(tag)
}

/// What is done before the process, unless the step must end meanwhile.
async fn unless_stopped<T>(
    stop: &mut CancelWatch,
    task: &Task<'_>,
    act: impl Future<Output = Result<T, String>>,
) -> Result<T, StepEnd> {
    tokio::select! {
        done = act => done.map_err(StepEnd::failed),
        why = stop.must_end(task.ready.survives_cancel, task.deadline) => Err(match why {
            KillReason::TimedOut => StepEnd::failed("timed out before its container started"),
            KillReason::Cancelled | KillReason::Forced => {
                StepEnd { reason: Some("cancelled".to_owned()), ..StepEnd::of(Conclusion::Cancelled) }
            }
        }),
    }
}

/// A container of an action.
struct Container {
    image: String,
    entrypoint: Option<String>,
    args: Vec<String>,
    variables: IndexMap<String, String>,
    github: Vec<(&'static str, String)>,
}

impl Container {
    async fn run(self, steps: &mut Steps<'_>, frame: &StepScope, task: &Task<'_>, log: &mut dyn StepLog) -> Ran {
        let once = match unless_stopped(&mut steps.stop, task, self.prepare(steps.place)).await {
            Ok(once) => once,
            Err(end) => return Ran::of(end),
        };
        let entrypoint = self.entrypoint.filter(|entrypoint| !entrypoint.is_empty());
        let invocation = Invocation {
            program: entrypoint.unwrap_or_default().into(),
            args: self.args.into_iter().map(Into::into).collect(),
            cwd: "/github/workspace".into(),
            variables: self.variables,
            github: self.github,
            sandbox: Some(Arc::new(once)),
            files: Vec::new(),
        };
        process::execute(steps, frame, task, &invocation, log).await
    }

    async fn prepare(&self, place: &JobEnvironment) -> Result<Once, String> {
        let engine: &DockerClient = place.engine().await?;
        if engine.socket().is_none() {
            return Err(format!(
                "Docker actions need an engine on this machine, and {} is another one",
                engine.address()
            ));
        }
        let image = engine.ensure_image(&self.image, None, &|_| ()).await.map_err(|error| error.to_string())?;
        let temp = &place.temp;
        let mut shared = vec![
            SharedFolder::writable(&place.workspace, "/github/workspace"),
            SharedFolder::writable(temp, "/github/runner_temp"),
            SharedFolder::writable(temp.join("_github_home"), "/github/home"),
            SharedFolder::writable(temp.join("_github_workflow"), "/github/workflow"),
            SharedFolder::writable(temp.join("_runner_file_commands"), "/github/file_commands"),
        ];
        shared.extend(engine.socket().map(|socket| SharedFolder::writable(socket, "/var/run/docker.sock")));
        let network = place.network.clone();
        Ok(Once::new(engine, &image, &self.image, place.labels.of("action"), network, shared))
    }
}
