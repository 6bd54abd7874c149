//! The typed workflow: what a file says, with the place of everything it says. Nothing here is resolved or expanded.

use std::sync::Arc;

use crate::model::Explanation;

use super::expr::{EvalError, Expr, Scope};
use super::source::{Source, Span, Spanned};
use super::template::Template;

/// A workflow file.
#[derive(Debug)]
pub struct Workflow {
    /// The file.
    pub source: Arc<Source>,
    /// `name`.
    pub name: Option<Spanned<String>>,
    /// `run-name`.
    pub run_name: Option<Template>,
    /// `on`.
    pub triggers: Vec<Trigger>,
    /// `env`: always a mapping (or one expression that gives one).
    pub env: Option<Template>,
    /// `defaults.run`.
    pub defaults: RunDefaults,
    /// `concurrency`.
    pub concurrency: Option<Concurrency>,
    /// `permissions`, as written.
    pub permissions: Option<Template>,
    /// `jobs`, in file order.
    pub jobs: Vec<Arc<JobDefinition>>,
}

/// One event of `on` with its filters.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// The event's name.
    pub event: Spanned<String>,
    /// `types`.
    pub types: Vec<Spanned<String>>,
    /// `branches`, `branches-ignore`, `tags`, `tags-ignore`, `paths`, `paths-ignore`, by that name.
    pub filters: Vec<(Spanned<String>, Vec<Spanned<String>>)>,
    /// `cron` entries of `schedule`, with their time zone where given.
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
    /// Its name.
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
    /// Text.
    String,
    /// Truth.
    Boolean,
    /// A number.
    Number,
    /// One of these.
    Choice(Vec<String>),
    /// The name of an environment.
    Environment,
}

/// `defaults.run`.
#[derive(Debug, Default, Clone)]
pub struct RunDefaults {
    /// `shell`.
    pub shell: Option<Template>,
    /// `working-directory`.
    pub working_directory: Option<Template>,
}

/// `concurrency`.
#[derive(Debug, Clone)]
pub struct Concurrency {
    /// `group`.
    pub group: Template,
    /// `cancel-in-progress`.
    pub cancel_in_progress: Option<Template>,
    /// `queue: max`: those who wait all keep their place; otherwise only the last of them does.
    pub queue_all: bool,
}

/// A job of the file.
#[derive(Debug)]
pub struct JobDefinition {
    /// Its key.
    pub id: Spanned<String>,
    /// `name`.
    pub name: Option<Template>,
    /// `needs`.
    pub needs: Vec<Spanned<String>>,
    /// `if`, with the implied `success() &&` already in it.
    pub condition: Condition,
    /// `strategy`.
    pub strategy: Option<Strategy>,
    /// `concurrency`.
    pub concurrency: Option<Concurrency>,
    /// `permissions`, as written.
    pub permissions: Option<Template>,
    /// Steps of its own, or a called workflow.
    pub body: JobBody,
}

/// What a job does.
#[derive(Debug)]
pub enum JobBody {
    /// Steps.
    Steps(Box<StepsJob>),
    /// `uses`: calls a workflow.
    Call {
        /// The workflow's reference.
        uses: Spanned<String>,
        /// `with`.
        with: Vec<(Spanned<String>, Template)>,
        /// `secrets`.
        secrets: CallSecrets,
    },
}

/// `secrets` of a calling job.
#[derive(Debug, Default)]
pub enum CallSecrets {
    /// None are passed.
    #[default]
    None,
    /// `inherit`.
    Inherit,
    /// These.
    Named(Vec<(Spanned<String>, Template)>),
}

/// The parts of a job that runs steps.
#[derive(Debug)]
pub struct StepsJob {
    /// `runs-on`: text, a sequence, or a mapping with `group` and `labels`.
    pub runs_on: Template,
    /// `environment`: text, or a mapping with `name` and `url`.
    pub environment: Option<Template>,
    /// `outputs`.
    pub outputs: Vec<(Spanned<String>, Template)>,
    /// `env`.
    pub env: Option<Template>,
    /// `defaults.run`.
    pub defaults: RunDefaults,
    /// `timeout-minutes`.
    pub timeout_minutes: Option<Template>,
    /// `continue-on-error`.
    pub continue_on_error: Option<Template>,
    /// `container`: text, or a mapping.
    pub container: Option<Template>,
    /// `services`: name and definition.
    pub services: Vec<(Spanned<String>, Template)>,
    /// `snapshot`.
    pub snapshot: Option<Snapshot>,
    /// `steps`.
    pub steps: Vec<StepDefinition>,
}

/// `snapshot`: the image that is made of the machine when the job has ended.
#[derive(Debug)]
pub struct Snapshot {
    /// `image-name`, or the whole when it is one text.
    pub image_name: Template,
    /// `version`.
    pub version: Option<Template>,
    /// `if`.
    pub condition: Condition,
}

/// `strategy`.
#[derive(Debug, Clone)]
pub struct Strategy {
    /// `matrix`: a mapping, or one expression that gives one.
    pub matrix: Option<Template>,
    /// `fail-fast`.
    pub fail_fast: Option<Template>,
    /// `max-parallel`.
    pub max_parallel: Option<Template>,
}

/// `if`, of a job or a step.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The whole condition: `success()` when nothing was written, `success() && (…)` when what was written names no
    /// status function.
    pub expr: Expr,
    /// What was written, without `${{ }}`.
    pub written: Option<Spanned<String>>,
}

impl Condition {
    /// Whether it holds and, where something is written, why.
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

/// A step of the file.
#[derive(Debug)]
pub struct StepDefinition {
    /// Where the step begins.
    pub span: Span,
    /// `id`, or a generated one such as `__run_2` or `__actions_checkout`.
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
    /// `background`: the steps after it do not wait for it.
    pub background: bool,
    /// What it does.
    pub action: StepAction,
}

impl StepDefinition {
    /// Whether the file gives the step no `id`. Such a step is not part of the `steps` context.
    #[must_use]
    pub fn has_generated_id(&self) -> bool {
        self.id.starts_with("__")
    }
}

/// What a step does.
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
        /// The action's reference as written.
        reference: Spanned<String>,
        /// `with`.
        with: Vec<(Spanned<String>, Template)>,
    },
    /// It steers background steps.
    Steer(Steering),
}

/// A step that steers background steps.
#[derive(Debug)]
pub enum Steering {
    /// `wait`: until these have ended.
    Wait(Vec<Spanned<String>>),
    /// `wait-all`: until all have ended.
    WaitAll,
    /// `cancel`: this one.
    Cancel(Spanned<String>),
    /// `parallel`: runs these side by side.
    Parallel(Vec<StepDefinition>),
}

impl Steering {
    /// The key that it is written with.
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

/// An action's manifest (`action.yml`).
#[derive(Debug)]
pub struct Action {
    /// The file.
    pub source: Arc<Source>,
    /// `name`.
    pub name: String,
    /// `inputs`: name, required, default.
    pub inputs: Vec<ActionInput>,
    /// `outputs`: name and value (composite only).
    pub outputs: Vec<(Spanned<String>, Option<Template>)>,
    /// `runs`.
    pub runs: ActionRuns,
}

/// An input of an action.
#[derive(Debug)]
pub struct ActionInput {
    /// Its name.
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
        /// Its steps.
        steps: Vec<StepDefinition>,
    },
    /// `using: node20` and the like.
    JavaScript {
        /// The `using` text.
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
