//! Types for steps: references, scopes, and results.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::Instant;

use crate::engine::actions::reference::Remote;
use crate::engine::actions::resolve::ResolvedAction;
use crate::engine::checkpoint::{Status, StepResult};
use crate::engine::step::end::StepEnd;
use crate::engine::step::process::Limits;
use crate::model::{Conclusion, StepNumber};
use crate::workflow::expr::{Contexts, Object, Status as StatusFunctions, Value};
use crate::workflow::syntax;
use crate::workflow::syntax::{ActionRuns, JobBody, JobDefinition, Steering, StepAction, StepDefinition};

/// Reference to a step of a job or of a composite action. It keeps the definition of the step alive for the action's
/// `post`.
#[derive(Clone)]
pub(crate) struct StepRef {
    home: Home,
    index: usize,
    /// Position in the `parallel` group at `index`; `None` if the step is not in a group.
    in_group: Option<usize>,
    key: String,
}

#[derive(Clone)]
enum Home {
    Job(Arc<JobDefinition>),
    Action(Arc<ResolvedAction>),
}

impl StepRef {
    /// Returns the steps of a job. A `parallel` step follows the steps of its group, for which it waits.
    pub(crate) fn of_job(job: &Arc<JobDefinition>) -> Vec<Self> {
        let steps: &[StepDefinition] = match &job.body {
            JobBody::Steps(body) => &body.steps,
            JobBody::Call { .. } => &[],
        };
        let step = |index: usize, in_group: Option<usize>| {
            let key = in_group.map_or_else(|| index.to_string(), |inner| format!("{index}/{inner}"));
            Self { home: Home::Job(Arc::clone(job)), index, in_group, key }
        };
        let group = |index: usize| match &steps[index].action {
            StepAction::Steer(Steering::Parallel(inner)) => inner.len(),
            _ => 0,
        };
        let with_group = |index| (0..group(index)).map(Some).chain([None]).map(move |inner| step(index, inner));
        (0..steps.len()).flat_map(with_group).collect()
    }

    /// Whether the next step of the job starts before this one has ended.
    pub(crate) fn is_background(&self) -> bool {
        self.in_group.is_some() || self.background
    }

    /// Whether the step belongs to the group of the `parallel` step `group`.
    pub(crate) fn is_in_group(&self, group: &Self) -> bool {
        self.in_group.is_some() && self.index == group.index
    }

    /// Returns the steps of the composite action that the step `user` uses. Empty for other kinds of actions.
    pub(crate) fn of_action(action: &Arc<ResolvedAction>, user: &Self) -> Vec<Self> {
        let count = match &action.action.runs {
            ActionRuns::Composite { steps } => steps.len(),
            _ => 0,
        };
        let key = |index: usize| format!("{}/{index}", user.key);
        let home = || Home::Action(Arc::clone(action));
        let step = |index: usize| Self { home: home(), index, in_group: None, key: key(index) };
        (0..count).map(step).collect()
    }

    /// Returns the repository, path and version of the composite action that contains this step. `None` for a step of
    /// the job, or of an action in the workspace.
    pub(crate) fn within(&self) -> Option<&Remote> {
        self.action().and_then(|action| action.remote.as_ref())
    }

    /// Returns the composite action that contains this step; `None` for a step of the job.
    pub(crate) fn action(&self) -> Option<&ResolvedAction> {
        match &self.home {
            Home::Job(_) => None,
            Home::Action(action) => Some(action),
        }
    }

    /// Returns the unique key of this use of the step in its job: the indexes of the steps around it, outermost first,
    /// and its own index, separated by slashes.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Whether a key belongs to this step, or to a step of the composite action that it uses.
    pub(crate) fn covers(&self, key: &str) -> bool {
        key.strip_prefix(&self.key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
        match (&steps[self.index].action, self.in_group) {
            (StepAction::Steer(Steering::Parallel(group)), Some(inner)) => &group[inner],
            _ => &steps[self.index],
        }
    }
}

/// State of a sequence of steps: the steps of the job, or the steps of one use of a composite action.
#[derive(Debug, Default)]
pub(crate) struct StepScope {
    /// The `steps` context.
    pub(crate) steps: IndexMap<String, StepResult>,
    /// `job.status` for the steps of a job. For the steps of a composite action, `github.action_status`; in its `pre`
    /// and `post` phases, `job.status`.
    pub(crate) status: Status,
    /// `env` of the step that uses the composite action, over `env` of the steps around that one. Overrides `env` of
    /// the job. Empty for the steps of a job.
    pub(crate) overlay: IndexMap<String, String>,
    /// The composite action that contains the steps; `None` for the steps of a job.
    pub(crate) action: Option<CompositeUse>,
    /// Time limit of the step that uses the composite action; `None` if it has none.
    pub(crate) deadline: Option<Instant>,
    /// Posts to run after the last step, in the order of registration.
    pub(crate) posts: Vec<Post>,
}

impl StepScope {
    /// Returns the results of the status functions. As on GitHub, `success()` and `failure()` check the composite
    /// action that contains the steps, and `cancelled()` checks the job.
    pub(crate) fn functions(&self) -> StatusFunctions {
        StatusFunctions {
            success: self.status == Status::Success,
            failure: self.status == Status::Failure,
            cancelled: self.job_status() == Status::Cancelled,
        }
    }

    /// Returns the `job.status` that the steps see.
    pub(crate) fn job_status(&self) -> Status {
        self.action.as_ref().map_or(self.status, |action| action.job)
    }

    /// Sets the status of the scope, and the job's status that its steps see.
    pub(crate) fn follow_job(&mut self, status: Status) {
        self.status = status;
        if let Some(action) = &mut self.action {
            action.job = status;
        }
    }

    /// Applies the cancellation of the job. If the step of a composite action continues in a cancelled job, the action
    /// keeps its status, so that its steps continue too.
    pub(crate) fn job_cancelled(&mut self) {
        match &mut self.action {
            Some(action) if action.survives_cancel => action.job = Status::Cancelled,
            _ => self.follow_job(Status::Cancelled),
        }
    }

    /// Updates the status after a step. A cancelled step of a composite action cancels the action. A cancelled step of
    /// a job does not cancel the job.
    pub(crate) fn merge(&mut self, step: Conclusion) {
        if self.action.is_some() && step == Conclusion::Cancelled && self.status == Status::Success {
            self.status = Status::Cancelled;
        }
        self.status.merge(step);
    }
}

/// One use of a composite action: the contexts, nesting depth and status that its steps share.
#[derive(Clone, Debug)]
pub(crate) struct CompositeUse {
    /// The `inputs` context.
    pub(crate) inputs: Value,
    /// The `github` context with `action_path`.
    pub(crate) github: Object,
    /// Nesting depth of its steps: the number of composite actions around them, including this one.
    pub(crate) depth: usize,
    /// Status of the job, which the steps of the action do not change.
    pub(crate) job: Status,
    /// Whether the step that uses the action continues in a cancelled job.
    pub(crate) survives_cancel: bool,
}

/// A `post` phase to run after the last step.
pub(crate) struct Post {
    /// The step that uses the action.
    pub(crate) step: StepRef,
    /// Name of the step when it ran.
    pub(crate) name: String,
    /// Action of the step.
    pub(crate) action: Arc<ResolvedAction>,
    /// Scope of the steps of a composite action; `None` for other actions.
    pub(crate) scope: Option<StepScope>,
    /// Posts of the steps of a composite action, in the order of registration.
    pub(crate) inner: Vec<Post>,
}

impl Post {
    /// Creates a post without a scope or inner posts, as for an action that is not composite.
    pub(crate) fn of(step: StepRef, action: Arc<ResolvedAction>, name: String) -> Self {
        Self { step, name, action, scope: None, inner: Vec::new() }
    }

    /// Adds the post to `posts`. If a composite action registered a post in its `pre` phase, that post is updated
    /// instead. A composite action without inner posts is not added.
    pub(crate) fn register(self, posts: &mut Vec<Self>) {
        match posts.iter_mut().find(|known| known.step.key() == self.step.key()) {
            Some(known) => {
                known.name = self.name;
                known.scope = self.scope;
                known.inner.extend(self.inner);
            }
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

/// When a step, or a phase of an action, runs.
#[derive(Clone, Copy)]
pub(crate) enum Condition<'c> {
    /// Always.
    Always,
    /// If the condition holds.
    Written(&'c syntax::Condition),
}

/// A step whose expressions have been evaluated and that is about to run.
pub(crate) struct PreparedStep {
    /// Contexts for the step's expressions, including its `env`.
    pub(crate) contexts: Contexts,
    /// `env` of the step, merged over `env` of the steps around it.
    pub(crate) overlay: IndexMap<String, String>,
    /// Name of the step.
    pub(crate) name: String,
    /// Whether the step's condition would also hold in a cancelled job.
    pub(crate) survives_cancel: bool,
    /// `timeout-minutes`; `None` if the step has no limit.
    pub(crate) timeout: Option<Duration>,
}

/// A step that is running.
pub(crate) struct RunningStep<'s> {
    /// Definition of the step.
    pub(crate) step: &'s StepRef,
    /// Values evaluated before the step started.
    pub(crate) prepared: &'s PreparedStep,
    /// Number of the step of the job whose record and log this step uses.
    pub(crate) number: StepNumber,
    /// When the step must end: by its own `timeout-minutes`, or earlier if the composite action around it must end
    /// earlier. `None` if there is no limit.
    pub(crate) deadline: Option<Instant>,
}

impl RunningStep<'_> {
    /// Returns the conditions under which the process of the step is ended early.
    pub(crate) fn limits(&self) -> Limits {
        let PreparedStep { survives_cancel, timeout, .. } = *self.prepared;
        Limits { survives_cancel, timeout, deadline: self.deadline }
    }
}

/// Results of a step that has ended.
pub(crate) struct Completed {
    /// How the step ended.
    pub(crate) end: StepEnd,
    /// Outputs of the step.
    pub(crate) outputs: IndexMap<String, String>,
    /// State saved for later phases.
    pub(crate) state: IndexMap<String, String>,
    /// Post to run after the last step; `None` if the step has none, or its post is already registered.
    pub(crate) post: Option<Post>,
}

impl Completed {
    /// Creates the result of a step without outputs, state or post.
    pub(crate) fn of(end: StepEnd) -> Self {
        Self { end, outputs: IndexMap::new(), state: IndexMap::new(), post: None }
    }

    /// Creates a success with outputs.
    pub(crate) fn with_outputs(outputs: IndexMap<String, String>) -> Self {
        Self { outputs, ..Self::of(StepEnd::of(Conclusion::Success)) }
    }

    /// Creates a failure with its reason.
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self::of(StepEnd::failed(reason))
    }
}
