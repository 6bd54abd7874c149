//! The request for a run, and the run document that is made from it.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::event::Payload;
use super::event::derived::Facts;
use super::secrets::SecretSource;
use crate::config::Config;
use crate::model::RunInfo;
use crate::repo::git::{GitError, Repository};
use crate::store::cache::CacheLimits;
use crate::store::clock::now;
use crate::store::spec::{Breakpoints, WorkflowSpec, ref_name};
use crate::workflow::expr;
use crate::workflow::expr::Object;
use crate::workflow::inputs::typed;
use crate::workflow::plan::PlanContexts;
use crate::workflow::syntax::Workflow;
use crate::workflow::template::Template;

/// Request of a person or a program for a run.
#[derive(Clone, Debug, Default)]
pub struct LaunchRequest {
    /// Folder that relative paths are resolved from. The run uses the repository around it.
    pub folder: PathBuf,
    /// The repository around `folder`, if it was just read; `None` to read it.
    pub known: Option<Repository>,
    /// The workflow, in a form that [`crate::repo::workflows::find`] accepts; `None` for the only one.
    pub workflow: Option<String>,
    /// The event; `None` for the one that the workflow most likely runs on.
    pub event: Option<String>,
    /// The given parts of the event's payload.
    pub payload: Payload,
    /// Inputs of the workflow.
    pub inputs: IndexMap<String, String>,
    /// Secrets; a later source overrides an earlier one.
    pub secrets: Vec<SecretSource>,
    /// Configuration variables.
    pub vars: IndexMap<String, String>,
    /// Only these jobs and the jobs that they need; all jobs if empty.
    pub jobs: Vec<String>,
    /// Only legs with these values in their matrix.
    pub matrix: IndexMap<String, String>,
    /// Environment variables of all steps. They override the variables of the workflow and its jobs.
    pub env: IndexMap<String, String>,
    /// Maximum number of jobs at once; `None` for the setting.
    pub max_parallel: Option<usize>,
    /// Sandbox of jobs without a `container:`: `host`, `docker` or `docker:IMAGE`.
    pub sandbox: Option<String>,
    /// Whether to run in the repository's folder itself instead of a private copy per job.
    pub in_place: bool,
    /// Whether the run can succeed without the jobs that need another machine.
    pub skip_unrunnable: bool,
    /// Whether to use actions and workflows of other repositories only from the cache.
    pub offline: bool,
    /// Whether jobs start without the dependency folders of earlier runs.
    pub cold: bool,
    /// Whether to keep debug lines and set `RUNNER_DEBUG`.
    pub debug: bool,
    /// How many minutes a failed step is held; `None` to hold no step.
    pub hold_minutes: Option<u64>,
    /// Steps before which the run stops; `None` if it stops before none.
    pub breakpoints: Option<Breakpoints>,
    /// Whether to start this run even if the repository is not trusted.
    pub trust: bool,
    /// Whether to run every job on this machine and in place, without regard to its `runs-on`; for tests against the
    /// runner's contract.
    pub any_runner: bool,
    /// The repository's `owner/name`; `None` for the one that git knows.
    pub slug: Option<String>,
}

/// Returns the limits of the cache of a repository.
#[must_use]
pub fn cache_limits(config: &Config) -> CacheLimits {
    const GB: u64 = 1_000_000_000;
    CacheLimits { bytes: (config.cache_max_gb as u64).saturating_mul(GB), days: config.cache_max_days as u64 }
}

impl LaunchRequest {
    /// Returns a request for a workflow of the repository around `folder`; all other fields have their defaults.
    pub fn new(folder: impl Into<PathBuf>, workflow: impl Into<String>, event: impl Into<String>) -> Self {
        Self { folder: folder.into(), workflow: Some(workflow.into()), event: Some(event.into()), ..Self::default() }
    }

    /// Returns the repository around the request's folder.
    ///
    /// # Errors
    /// The folder is not in a repository, or git cannot read it.
    pub fn repository(&self) -> Result<Repository, GitError> {
        self.known.clone().map_or_else(|| Repository::discover(&self.folder), Ok).or_else(|error| match &self.slug {
            // A request with `any_runner` that names the repository needs no git.
            Some(slug) if self.any_runner => Ok(Repository::unversioned(&self.folder, slug)),
            _ => Err(error),
        })
    }

    /// Returns a payload without the inputs that are also given individually, which take precedence.
    fn without_given_inputs(&self, payload: &Map<String, Value>) -> Map<String, Value> {
        let mut payload = payload.clone();
        if let Some(inputs) = payload.get_mut("inputs").and_then(Value::as_object_mut) {
            inputs.retain(|name, _| !self.inputs.keys().any(|given| given.eq_ignore_ascii_case(name)));
        }
        payload
    }

    /// Whether the repository must be trusted. A request with `any_runner` has already decided where the jobs run.
    pub(super) fn needs_trust(&self) -> bool {
        !self.trust && !self.any_runner
    }

    /// Returns the description of the run and its spec, without its number, its secrets and the called workflows.
    pub(super) fn spec(
        &self,
        repository: &Repository,
        config: Config,
        workflow: &Workflow,
        event: &str,
        given: &Map<String, Value>,
    ) -> (RunInfo, WorkflowSpec) {
        let slug = self.slug.clone().unwrap_or_else(|| repository.slug.clone());
        let given = &self.without_given_inputs(given);
        let inputs: IndexMap<_, _> = self.inputs.clone().into_iter().chain(inputs(given)).collect();
        let payload = Facts { repository, slug: &slug, event, workflow, inputs: &inputs, given }.payload();
        let git_ref = git_ref(event, &payload, repository);
        let info = RunInfo {
            folder: repository.folder_of_name().filter(|_| self.slug.is_none()).map(Path::to_owned),
            repository: slug,
            workflow: workflow.source.name.clone(),
            event: event.to_owned(),
            ref_name: ref_name(&git_ref).to_owned(),
            sha: repository.sha.clone(),
            created: now(),
            ..RunInfo::default()
        };
        let (cache, warm_start) = (cache_limits(&config), config.warm_start());
        let spec = WorkflowSpec {
            repository: if self.any_runner { self.folder.clone() } else { repository.root.clone() },
            text: workflow.source.text.clone(),
            inputs,
            git_ref,
            payload,
            actor: repository.actor.clone(),
            vars: self.vars.clone(),
            jobs: self.jobs.clone(),
            matrix: self.matrix.clone(),
            env: self.env.clone(),
            max_parallel: self.max_parallel.unwrap_or(config.max_parallel),
            skip_unrunnable: self.skip_unrunnable || config.skip_unrunnable,
            runs_on: config.runs_on,
            sandbox: self.sandbox.clone(),
            image: config.image,
            supervisor: config.supervisor,
            docker_socket: config.docker_socket,
            git_objects: config.git_objects,
            keep_failed: config.keep_failed,
            cache,
            warm_start,
            cold: self.cold,
            actions: config.actions,
            offline: self.offline || config.offline,
            in_place: self.in_place || self.any_runner,
            any_runner: self.any_runner,
            debug: self.debug,
            hold_minutes: self.hold_minutes,
            breakpoints: self.breakpoints.clone(),
            ..WorkflowSpec::default()
        };
        (info, spec)
    }
}

/// Returns the contexts of a plan that are known without a run. `is_listed` is whether the workflow is in the folder of
/// workflows.
#[must_use]
pub fn contexts(workflow: &Workflow, event: &str, repository: Option<&Repository>, is_listed: bool) -> PlanContexts {
    let mut github = Object::default();
    github.insert("event_name", expr::Value::string(event));
    if let Some(repository) = repository {
        for (key, value) in [
            ("ref", repository.git_ref.as_str()),
            ("ref_name", ref_name(&repository.git_ref)),
            ("sha", &repository.sha),
            ("repository", &repository.slug),
            ("actor", &repository.actor),
        ] {
            github.insert(key, expr::Value::string(value));
        }
    }
    let (mut inputs, mut unknown_inputs) = (Object::default(), Vec::new());
    let trigger = workflow.triggers.iter().find(|trigger| trigger.event.value == event);
    for input in trigger.into_iter().flat_map(|trigger| &trigger.inputs) {
        let name = &input.name.value;
        let default = input.default.as_ref().and_then(Template::literal);
        match default.and_then(|default| typed(&input.kind, expr::Value::string(default)).ok()) {
            Some(value) => inputs.insert(name.clone(), value),
            None => unknown_inputs.push(name.clone()),
        }
    }
    PlanContexts { github, inputs, unknown_inputs, knows_every_file: is_listed, ..PlanContexts::default() }
}

/// Returns the inputs in the payload of a dispatch, as text.
fn inputs(payload: &Map<String, Value>) -> Vec<(String, String)> {
    let inputs = payload.get("inputs").and_then(Value::as_object).into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    inputs.map(|(name, value)| (name.clone(), text(value))).collect()
}

/// Returns the full ref of an event: the merge ref of a pull request, the tag of a release, otherwise the `ref` of the
/// payload, which is a short name for some events. If none of these exists, it is the ref that is checked out.
fn git_ref(event: &str, payload: &Value, repository: &Repository) -> String {
    let number =
        payload.get("pull_request").and_then(|request| request.get("number")).or_else(|| payload.get("number"));
    if let Some(number) = number.and_then(Value::as_u64) {
        return format!("refs/pull/{number}/merge");
    }
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let released = payload.get("release").filter(|_| event == "release");
    if let Some(tag) = text(released.and_then(|release| release.get("tag_name"))) {
        return format!("refs/tags/{tag}");
    }
    match text(payload.get("ref")) {
        // The branch or tag does not exist any more.
        Some(_) if event == "delete" => repository.git_ref.clone(),
        Some(name) if event == "create" && !name.starts_with("refs/") => {
            let kind = if text(payload.get("ref_type")).as_deref() == Some("tag") { "tags" } else { "heads" };
            format!("refs/{kind}/{name}")
        }
        Some(full) => full,
        None => repository.git_ref.clone(),
    }
}
