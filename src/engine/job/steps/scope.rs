//! What steps are, where they stand, and what comes of them.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::Instant;

use crate::engine::actions::resolve::ResolvedAction;
use crate::engine::checkpoint::{Status, StepResult};
use crate::engine::step::end::StepEnd;
use crate::engine::step::process::Limits;
use crate::model::{Conclusion, StepNumber};
use crate::workflow::expr::{Contexts, Object, Status as StatusFunctions, Value};
use crate::workflow::syntax;
use crate::workflow::syntax::{ActionRuns, JobBody, JobDefinition, StepDefinition};

/// A step of a job or of a composite action. It outlives the step's turn, as the action's `post` needs it.
#[derive(Clone)]
pub(crate) struct StepRef {
    home: Home,
    index: usize,
    key: String,
}

#[derive(Clone)]
enum Home {
    Job(Arc<JobDefinition>),
    Action(Arc<ResolvedAction>),
}

impl StepRef {
    /// Returns the steps of a job.
    pub(crate) fn of_job(job: &Arc<JobDefinition>) -> Vec<Self> {
        let count = match &job.body {
            JobBody::Steps(body) => body.steps.len(),
            JobBody::Call { .. } => 0,
        };
        let step = |index: usize| Self { home: Home::Job(Arc::clone(job)), index, key: index.to_string() };
        (0..count).map(step).collect()
    }

    /// Returns the steps of a composite action that a step uses.
    pub(crate) fn of_action(action: &Arc<ResolvedAction>, user: &Self) -> Vec<Self> {
        let count = match &action.action.runs {
            ActionRuns::Composite { steps } => steps.len(),
            _ => 0,
        };
        let key = |index: usize| format!("{}/{index}", user.key);
        let step = |index: usize| Self { home: Home::Action(Arc::clone(action)), index, key: key(index) };
        (0..count).map(step).collect()
    }

    /// Names this use of the step in its job: the indexes of the steps around it, outermost first, and its own.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

impl Deref for StepRef {
    type Target = StepDefinition;

    fn deref(&self) -> &StepDefinition {
        let steps = match &self.home {
            Home::Job(job) => match &job.body {
                JobBody::Steps(body) => &body.steps,
                JobBody::Call { .. } => panic!("only a job with steps has a step"),
            },
            Home::Action(action) => match &action.action.runs {
                ActionRuns::Composite { steps } => steps,
                _ => panic!("only a composite action has steps"),
            },
        };
        &steps[self.index]
    }
}

/// A sequence of steps that share a status: those of the job, or of one use of a composite action.
#[derive(Debug, Default)]
pub(crate) struct StepScope {
    /// The `steps` context.
    pub(crate) steps: IndexMap<String, StepResult>,
    /// `job.status`, or that of the composite action.
    pub(crate) status: Status,
    /// `env` of the step that uses the composite action: it covers the job's.
    pub(crate) overlay: IndexMap<String, String>,
    /// The composite action.
    pub(crate) action: Option<CompositeUse>,
    /// When the step that uses the composite action must have ended.
    pub(crate) deadline: Option<Instant>,
    /// What is to be done after the last step, in the order in which it was registered.
    pub(crate) posts: Vec<Post>,
}

impl StepScope {
    /// Returns what the status functions answer.
    pub(crate) fn functions(&self) -> StatusFunctions {
        StatusFunctions {
            success: self.status == Status::Success,
            failure: self.status == Status::Failure,
            cancelled: self.status == Status::Cancelled,
        }
    }
}

/// A composite action in use: what its steps see besides their job.
#[derive(Clone, Debug)]
pub(crate) struct CompositeUse {
    /// The `inputs` context.
    pub(crate) inputs: Value,
    /// The `github` context with `action_path`.
    pub(crate) github: Object,
    /// Number of composite actions around its steps, itself included.
    pub(crate) depth: usize,
}

/// What an action wants done after the last step.
pub(crate) struct Post {
    /// The step that uses the action.
    pub(crate) step: StepRef,
    /// The step's name when it ran.
    pub(crate) name: String,
    /// The action.
    pub(crate) action: Arc<ResolvedAction>,
    /// Scope of a composite action's steps.
    pub(crate) scope: Option<StepScope>,
    /// Posts of a composite action's steps, in the order in which they were registered.
    pub(crate) inner: Vec<Post>,
}

impl Post {
    /// The post of an action that is not composite.
    pub(crate) fn of(step: StepRef, action: Arc<ResolvedAction>, name: String) -> Self {
        Self { step, name, action, scope: None, inner: Vec::new() }
    }

    /// Registers the post. One that a composite action registered before the first step is completed with what its steps
    /// left since.
    pub(crate) fn register(self, posts: &mut Vec<Self>) {
        match posts.iter_mut().find(|known| known.step.key() == self.step.key()) {
            Some(known) => {
                known.name = self.name;
                known.scope = self.scope;
                known.inner.extend(self.inner);
            }
            // A composite action whose steps have no posts.
            None if self.scope.is_some() && self.inner.is_empty() => {}
            None => posts.push(self),
        }
    }
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Post").field("step", &self.step.key()).field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// When something is done.
#[derive(Clone, Copy)]
pub(crate) enum Condition<'c> {
    /// Whatever happened before.
    Always,
    /// If this holds.
    Written(&'c syntax::Condition),
}

/// A step whose condition holds.
pub(crate) struct PreparedStep {
    /// Everything that its expressions may see, its own `env` included.
    pub(crate) contexts: Contexts,
    /// Its own `env` over that of the steps around it.
    pub(crate) overlay: IndexMap<String, String>,
    /// Its name.
    pub(crate) name: String,
    /// Whether its condition would hold in a cancelled job too.
    pub(crate) survives_cancel: bool,
    /// `timeout-minutes`.
    pub(crate) timeout: Option<Duration>,
}

/// A step in progress.
pub(crate) struct RunningStep<'s> {
    /// What the file says.
    pub(crate) step: &'s StepRef,
    /// What was evaluated before it started.
    pub(crate) prepared: &'s PreparedStep,
    /// The step of the job whose record and log it has.
    pub(crate) number: StepNumber,
    /// When it must have ended: its own `timeout-minutes` or, inside a composite action, what is left of the outer one.
    pub(crate) deadline: Option<Instant>,
}

impl RunningStep<'_> {
    /// Returns when it is ended before it ends by itself.
    pub(crate) fn limits(&self) -> Limits {
        let PreparedStep { survives_cancel, timeout, .. } = *self.prepared;
        Limits { survives_cancel, timeout, deadline: self.deadline }
    }
}

/// What came of a step that was started.
pub(crate) struct Completed {
    /// How it ended.
    pub(crate) end: StepEnd,
    /// Its outputs.
    pub(crate) outputs: IndexMap<String, String>,
    /// What it left for its later phases.
    pub(crate) state: IndexMap<String, String>,
    /// What is to be done after the last step.
    pub(crate) post: Option<Post>,
}

impl Completed {
    /// A step that left nothing.
    pub(crate) fn of(end: StepEnd) -> Self {
        Self { end, outputs: IndexMap::new(), state: IndexMap::new(), post: None }
    }

    /// A success with outputs.
    pub(crate) fn with_outputs(outputs: IndexMap<String, String>) -> Self {
        Self { outputs, ..Self::of(StepEnd::of(Conclusion::Success)) }
    }

    /// A failure with its reason.
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self::of(StepEnd::failed(reason))
    }
}
