//! Typed workflows and action manifests, as written, with positions. Nothing here is resolved or expanded.

use std::sync::Arc;

use crate::model::Explanation;

use super::expr::{EvalError, Expr, Scope};
use super::source::{Source, Span, Spanned};
use super::template::Template;

pub use super::computed::{Concurrency, NamedValueError, NamedValues, RunDefaults, Strategy};
pub use super::locked::LockedAction;

/// A workflow file.
#[derive(Debug)]
pub struct Workflow {
    /// Text of the file.
    pub source: Arc<Source>,
    /// `name`.
    pub name: Option<Spanned<String>>,
    /// `run-name`.
    pub run_name: Option<Template>,
    /// `on`.
    pub triggers: Vec<Trigger>,
    /// `env`: a mapping, or one expression for a mapping.
    pub env: Option<Template>,
    /// `defaults.run`.
    pub defaults: RunDefaults,
    /// `concurrency`.
    pub concurrency: Option<Concurrency>,
    /// `permissions`, as written.
    pub permissions: Option<Template>,
    /// `cache-mode`: `read`, `write`, `write-only` or `none`.
    pub cache_mode: Option<Spanned<String>>,
    /// `dependencies`: the commits that actions are locked to.
    pub dependencies: Vec<LockedAction>,
    /// `jobs`, in file order.
    pub jobs: Vec<Arc<JobDefinition>>,
}

/// One event of `on` with its filters.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// Name of the event.
    pub event: Spanned<String>,
    /// `types`.
    pub types: Vec<Spanned<String>>,
    /// `branches`, `branches-ignore`, `tags`, `tags-ignore`, `paths` and `paths-ignore`, by key.
    pub filters: Vec<(Spanned<String>, Vec<Spanned<String>>)>,
    /// `cron` entries of `schedule`, with their time zone if given.
    pub schedules: Vec<(Spanned<String>, Option<Spanned<String>>)>,
    /// `workflows` of `workflow_run`.
    pub workflows: Vec<Spanned<String>>,
    /// `inputs` of `workflow_dispatch` and `workflow_call`.
    pub inputs: Vec<InputDefinition>,
    /// `outputs` of `workflow_call`.
    pub outputs: Vec<(Spanned<String>, Template)>,
    /// `secrets` of `workflow_call`: name and whether it is required.
    pub secrets: Vec<(Spanned<String>, bool)>,
}

/// An input of a workflow.
#[derive(Debug, Clone)]
pub struct InputDefinition {
    /// Name of the input.
    pub name: Spanned<String>,
    /// `description`.
    pub description: Option<String>,
    /// `required`.
    pub required: bool,
    /// `type`; `string` when absent.
    pub kind: InputKind,
    /// `default`.
    pub default: Option<Template>,
}

/// The type of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    /// A string.
    String,
    /// A boolean.
    Boolean,
    /// A number.
    Number,
    /// One of several options.
    Choice(Vec<String>),
    /// Name of an environment.
    Environment,
}

/// A job as written.
#[derive(Debug)]
pub struct JobDefinition {
    /// Key of the job.
    pub id: Spanned<String>,
    /// `name`.
    pub name: Option<Template>,
    /// `needs`.
    pub needs: Vec<Spanned<String>>,
    /// `if`, including the implicit `success() &&`.
    pub condition: Condition,
    /// `strategy`.
    pub strategy: Option<Strategy>,
    /// `concurrency`.
    pub concurrency: Option<Concurrency>,
    /// `permissions`, as written.
    pub permissions: Option<Template>,
    /// `cache-mode`: `read`, `write`, `write-only` or `none`.
    pub cache_mode: Option<Spanned<String>>,
    /// Steps, or a called workflow.
    pub body: JobBody,
}

/// Body of a job.
#[derive(Debug)]
pub enum JobBody {
    /// The job runs steps.
    Steps(Box<StepsJob>),
    /// The job calls a workflow.
    Call {
        /// `uses`: reference of the called workflow.
        uses: Spanned<String>,
        /// `with`.
        with: Vec<(Spanned<String>, Template)>,
        /// `secrets`.
        secrets: CallSecrets,
    },
}

impl Workflow {
    /// Returns the paths of the called workflows that are in the workflow's own repository.
    #[must_use]
    pub fn local_calls(&self) -> Vec<String> {
        let called = self.jobs.iter().filter_map(|job| match &job.body {
            JobBody::Call { uses, .. } => local_path(&uses.value).map(str::to_owned),
            JobBody::Steps(_) => None,
        });
        called.collect()
    }
}

/// Returns the path of a workflow or action of the workflow's own repository: `./path`, or `$/path`, which needs no
/// checkout. `None` for any other reference.
#[must_use]
pub fn local_path(uses: &str) -> Option<&str> {
    uses.strip_prefix("./").or_else(|| uses.strip_prefix("$/"))
}

/// Resolves the `uses` of a job in the workflow named `caller`. In a workflow of another repository, `./path` refers to
/// a file of that repository at the same ref.
#[must_use]
pub fn resolve_call(uses: &str, caller: &str) -> String {
    let repository = caller.split_once('@').and_then(|(path, version)| {
        let mut parts = path.splitn(3, '/');
        Some((parts.next()?, parts.next()?, version))
    });
    match (local_path(uses), repository) {
        (Some(path), Some((owner, name, version))) => format!("{owner}/{name}/{path}@{version}"),
        _ => uses.to_owned(),
    }
}

/// Returns the name of the workflow that a job in the workflow `caller` calls: its path from the root of the
/// repository, or `owner/name/path@ref` for a workflow of another repository.
#[must_use]
pub fn callee_name(uses: &str, caller: &str) -> String {
    let resolved = resolve_call(uses, caller);
    local_path(&resolved).map(str::to_owned).unwrap_or(resolved)
}

/// `secrets` of a calling job.
#[derive(Debug, Default)]
pub enum CallSecrets {
    /// No secrets are passed.
    #[default]
    None,
    /// `inherit`: all secrets are passed.
    Inherit,
    /// Secrets by name.
    Named(Vec<(Spanned<String>, Template)>),
}

/// The parts of a job that runs steps.
#[derive(Debug)]
pub struct StepsJob {
    /// `runs-on`: a string, a sequence, or a mapping with `group` and `labels`.
    pub runs_on: Template,
    /// `environment`: a string, or a mapping with `name`, `url` and `deployment`.
    pub environment: Option<Template>,
    /// `outputs`.
    pub outputs: Vec<(Spanned<String>, Template)>,
    /// `env`.
    pub env: Option<Template>,
    /// `defaults.run`.
    pub defaults: RunDefaults,
    /// `timeout-minutes`.
    pub timeout_minutes: Option<Template>,
    /// `cancel-timeout-minutes`, which only lint reads.
    pub cancel_timeout_minutes: Option<Template>,
    /// `continue-on-error`.
    pub continue_on_error: Option<Template>,
    /// `container`: a string or a mapping.
    pub container: Option<Template>,
    /// `services`: name and definition.
    pub services: NamedValues,
    /// `snapshot`.
    pub snapshot: Option<Snapshot>,
    /// `steps`.
    pub steps: Vec<StepDefinition>,
}

/// `snapshot`: the custom image created from the runner when the job has ended.
#[derive(Debug)]
pub struct Snapshot {
    /// `image-name`, or the whole value if it is a string.
    pub image_name: Template,
    /// `version`.
    pub version: Option<Template>,
    /// `if`.
    pub condition: Condition,
}

/// `if` of a job or step.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The whole condition: `success()` by default, and `success() && (…)` if the written text calls no status
    /// function.
    pub expr: Expr,
    /// The written text, without `${{ }}`.
    pub written: Option<Spanned<String>>,
}

impl Condition {
    /// Evaluates the condition. Also returns an explanation if the file contains the condition.
    pub fn decide(&self, scope: &Scope<'_>) -> (Result<bool, EvalError>, Option<Explanation>) {
        let (value, explanation) = if self.written.is_some() {
            let (value, explanation) = self.expr.explain(scope);
            (value, Some(explanation))
        } else {
            (self.expr.evaluate(scope), None)
        };
        (value.map(|value| value.is_truthy()), explanation)
    }
}

/// A step as written.
#[derive(Debug)]
pub struct StepDefinition {
    /// Span of the step.
    pub span: Span,
    /// `id`, or a generated id such as `__run_2` or `__actions_checkout`.
    pub id: String,
    /// `name`.
    pub name: Option<Template>,
    /// `if`.
    pub condition: Condition,
    /// `env`.
    pub env: Option<Template>,
    /// `continue-on-error`.
    pub continue_on_error: Option<Template>,
    /// `timeout-minutes`.
    pub timeout_minutes: Option<Template>,
    /// `background`: later steps do not wait for this one.
    pub background: bool,
    /// The work of the step.
    pub action: StepAction,
}

impl StepDefinition {
    /// Whether the id is generated because the file gives the step none. Such a step is not part of the `steps`
    /// context.
    #[must_use]
    pub fn has_generated_id(&self) -> bool {
        self.id.starts_with("__")
    }
}

/// The work of a step: a script, an action, or control of background steps.
#[derive(Debug)]
pub enum StepAction {
    /// `run`.
    Run {
        /// The script.
        script: Template,
        /// `shell`.
        shell: Option<Template>,
        /// `working-directory`.
        working_directory: Option<Template>,
    },
    /// `uses`.
    Uses {
        /// Reference of the action as written.
        reference: Spanned<String>,
        /// `with`.
        with: NamedValues,
    },
    /// Control of background steps.
    Steer(Steering),
}

/// Control of background steps.
#[derive(Debug)]
pub enum Steering {
    /// `wait`: waits until the steps with these ids have ended.
    Wait(Vec<Spanned<String>>),
    /// `wait-all`: waits until all background steps have ended.
    WaitAll,
    /// `cancel`: cancels the step with this id.
    Cancel(Spanned<String>),
    /// `parallel`: runs steps in parallel.
    Parallel(Vec<StepDefinition>),
}

impl Steering {
    /// Returns the key that the step has in the file, such as `wait`.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Wait(_) => "wait",
            Self::WaitAll => "wait-all",
            Self::Cancel(_) => "cancel",
            Self::Parallel(_) => "parallel",
        }
    }
}

/// An action manifest (`action.yml`).
#[derive(Debug)]
pub struct Action {
    /// Text of the file.
    pub source: Arc<Source>,
    /// `name`.
    pub name: String,
    /// `inputs`.
    pub inputs: Vec<ActionInput>,
    /// `outputs`: name and value (composite only).
    pub outputs: Vec<(Spanned<String>, Option<Template>)>,
    /// `runs`.
    pub runs: ActionRuns,
}

/// An input of an action.
#[derive(Debug)]
pub struct ActionInput {
    /// Name of the input.
    pub name: Spanned<String>,
    /// `required`.
    pub required: bool,
    /// `default`.
    pub default: Option<Template>,
    /// `deprecationMessage`.
    pub deprecation: Option<String>,
}

/// `runs` of an action.
#[derive(Debug)]
pub enum ActionRuns {
    /// `using: composite`.
    Composite {
        /// `steps`.
        steps: Vec<StepDefinition>,
    },
    /// `using: node20` and the like.
    JavaScript {
        /// `using`.
        using: Spanned<String>,
        /// `main`.
        main: String,
        /// `pre`.
        pre: Option<String>,
        /// `pre-if`.
        pre_if: Option<Condition>,
        /// `post`.
        post: Option<String>,
        /// `post-if`.
        post_if: Option<Condition>,
    },
    /// `using: docker`.
    Docker {
        /// `image`.
        image: Spanned<String>,
        /// `entrypoint`.
        entrypoint: Option<String>,
        /// `pre-entrypoint`.
        pre_entrypoint: Option<String>,
        /// `pre-if`.
        pre_if: Option<Condition>,
        /// `post-entrypoint`.
        post_entrypoint: Option<String>,
        /// `post-if`.
        post_if: Option<Condition>,
        /// `args`.
        args: Vec<Template>,
        /// `env`.
        env: Option<Template>,
    },
}
