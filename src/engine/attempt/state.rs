//! The state of an attempt: a state machine that turns inputs into effects.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;

use crate::engine::Resumed;
use crate::engine::cancel::Cancellation;
use crate::engine::concurrency::{AcquireError, GroupRequest};
use crate::engine::context::{RunFacts, texts};
use crate::engine::job::end::JobEnd;
use crate::engine::job::spec::JobSpec;
use crate::engine::panics::Panic;
use crate::engine::scheduler::{Decision, Ending, Limits, NodeId, Scheduler};
use crate::model::{Conclusion, Event, JobId};
use crate::workflow::expr::{Object, Value};
use crate::workflow::matrix::Leg;
use crate::workflow::outline::outline;
use crate::workflow::plan::{Plan, PlannedJob};
use crate::workflow::syntax::{JobBody, JobDefinition, Workflow};

use super::verdict::Verdict;
use super::{AttemptStart, CarriedJob, RunEnd};

/// Input of an attempt's state machine.
#[derive(Debug)]
pub(super) enum Input {
    /// The attempt begins. The first input.
    Begin,
    /// The task of a job has ended. Its end is not recorded yet.
    JobEnded(JobId, JobEnd),
    /// The task of a job panicked. Its end is not recorded yet.
    JobPanicked(JobId, Panic),
    /// A job has acquired its concurrency groups, or failed to.
    GroupsAcquired(JobId, Result<(), AcquireError>),
    /// A running job waits for the rules of an environment or is held, without its slot.
    SlotReleased(JobId),
    /// A job that waited without its slot wants one again.
    SlotWanted(JobId),
    /// A job must leave its concurrency groups to another run or job; holds the reason.
    Displaced(JobId, String),
    /// The run is cancelled.
    Cancelled(Cancellation),
    /// Nothing more can be recorded; holds the reason.
    OutletFailed(String),
}

/// Effect of an update, to be carried out by the driver.
pub(super) enum Effect {
    /// Record a fact.
    Record(Event),
    /// Start the task of a job.
    StartJob(Box<JobSpec>),
    /// Ask a running job to end.
    CancelJob(JobId, Cancellation),
    /// Notify a job that it has a slot again.
    GrantSlot(JobId),
    /// Acquire the concurrency groups of a job, one after the other.
    AcquireGroups(JobId, Vec<GroupRequest>),
    /// Give up the concurrency groups that a job holds or waits for.
    ReleaseGroups(JobId),
}

/// One job of a workflow file, within one call of that workflow.
pub(super) struct Node {
    /// Index of the job's scope.
    pub(super) scope: usize,
    pub(super) definition: Arc<JobDefinition>,
    pub(super) workflow: Arc<Workflow>,
    /// Planned legs; in a restricted run, only the selected ones. A single job while the matrix is unknown.
    pub(super) planned: Vec<PlannedJob>,
    /// Number of all legs; 0 while the matrix is unknown.
    pub(super) total: usize,
    pub(super) legs: HashMap<JobId, Leg>,
    pub(super) limits: Limits,
    pub(super) outputs: IndexMap<String, String>,
}

/// A workflow of the run: the one that was started, or one that a leg called.
pub(super) struct CallScope {
    /// The leg that calls the workflow; `None` for the workflow that was started.
    pub(super) caller: Option<JobId>,
    pub(super) inputs: Value,
    pub(super) secrets: IndexMap<String, String>,
    /// Jobs of the workflow, by key.
    pub(super) nodes: IndexMap<String, NodeId>,
}

/// An attempt in progress.
pub(super) struct Attempt {
    pub(super) plan: Plan,
    /// The `github` context.
    pub(super) github: Value,
    /// The `vars` context.
    pub(super) vars: Value,
    /// Value of `secrets.GITHUB_TOKEN` if no secret has that name.
    pub(super) token: String,
    pub(super) carried: IndexMap<JobId, CarriedJob>,
    pub(super) resumed: HashMap<JobId, Resumed>,
    pub(super) scheduler: Scheduler,
    pub(super) nodes: Vec<Node>,
    pub(super) scopes: Vec<CallScope>,
    /// Jobs whose tasks are running.
    pub(super) running: BTreeSet<JobId>,
    /// Jobs that wait for their concurrency groups.
    pub(super) waiting: BTreeSet<JobId>,
    /// Jobs that hold their concurrency groups. Such a job is about to start, is running, or has called a workflow.
    pub(super) holding: BTreeSet<JobId>,
    pub(super) verdict: Verdict,
    /// Why individual running jobs were cancelled, by job. Does not include jobs that end because the whole run is
    /// cancelled.
    causes: HashMap<JobId, String>,
    /// Whether no further job may start.
    pub(super) ended: bool,
    failure: Option<String>,
    effects: Vec<Effect>,
}

impl Attempt {
    /// Creates an attempt that has not begun.
    pub(super) fn new(start: AttemptStart, facts: &RunFacts, github: Object) -> Self {
        let AttemptStart { plan, carried, resumed, slots, skips_unrunnable } = start;
        let root = CallScope {
            caller: None,
            inputs: Value::object(facts.inputs.clone()),
            secrets: facts.secrets.clone(),
            nodes: IndexMap::new(),
        };
        Self {
            plan,
            github: Value::object(github),
            vars: texts(&facts.vars),
            token: facts.token.clone(),
            carried,
            resumed,
            scheduler: Scheduler::new(slots),
            nodes: Vec::new(),
            scopes: vec![root],
            running: BTreeSet::new(),
            waiting: BTreeSet::new(),
            holding: BTreeSet::new(),
            verdict: Verdict::new(skips_unrunnable),
            causes: HashMap::new(),
            ended: false,
            failure: None,
            effects: Vec::new(),
        }
    }

    /// Handles an input, and returns the effects to carry out, in order.
    pub(super) fn update(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Begin => self.begin(),
            Input::JobEnded(id, end) => self.job_ended(&id, end),
            Input::JobPanicked(id, panic) => {
                self.job_ended(&id, JobEnd::panicked(&panic));
            }
            Input::GroupsAcquired(id, result) => self.groups_acquired(&id, result),
            Input::SlotReleased(id) => self.scheduler.park(&id),
            Input::SlotWanted(id) => self.scheduler.unpark(&id),
            Input::Displaced(id, reason) => self.displace(&id, reason),
            Input::Cancelled(asked) => self.cancel(asked),
            Input::OutletFailed(reason) => {
                self.failure = Some(reason);
                self.cancel(Cancellation::Force);
            }
        }
        while let Some(decision) = self.scheduler.next_decision() {
            self.follow(decision);
        }
        std::mem::take(&mut self.effects)
    }

    /// Returns how the attempt ended, or `None` while it is in progress.
    pub(super) fn end(&self) -> Option<RunEnd> {
        if !self.scheduler.is_done() || !self.running.is_empty() {
            return None;
        }
        Some(match &self.failure {
            Some(failure) => RunEnd { conclusion: Conclusion::Failure, reason: Some(failure.clone()) },
            None => self.verdict.conclude(),
        })
    }

    pub(super) fn record(&mut self, event: Event) {
        self.effects.push(Effect::Record(event));
    }

    pub(super) fn want(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Records the planned jobs, except those whose results are carried over, and adds the jobs of the workflow that
    /// was started to the graph.
    fn begin(&mut self) {
        let fresh = self.plan.jobs().iter().filter(|job| !self.carried.contains_key(&job.id));
        let jobs: Vec<_> = fresh.map(outline).collect();
        self.record(Event::JobsPlanned { jobs, replaces: None });
        self.add_nodes(0, None);
    }

    /// Adds the jobs of a scope's workflow to the graph.
    pub(super) fn add_nodes(&mut self, scope: usize, caller: Option<(NodeId, JobId)>) {
        let caller_id = caller.as_ref().map(|(_, id)| id);
        let planned: Vec<_> = self.plan.jobs().iter().filter(|job| job.caller.as_ref() == caller_id).cloned().collect();
        for job in planned {
            if let Some(node) = self.scopes[scope].nodes.get(&job.key) {
                self.nodes[node.index()].planned.push(job);
                continue;
            }
            let calls = matches!(job.definition.body, JobBody::Call { .. });
            let node = self.scheduler.add(calls, caller.clone());
            self.scopes[scope].nodes.insert(job.key.clone(), node);
            self.nodes.push(Node {
                scope,
                definition: Arc::clone(&job.definition),
                workflow: Arc::clone(&job.workflow),
                planned: vec![job],
                total: 0,
                legs: HashMap::new(),
                limits: Limits { fail_fast: true, max_parallel: None },
                outputs: IndexMap::new(),
            });
        }
        let nodes = &self.scopes[scope].nodes;
        for node in nodes.values() {
            let needs = self.nodes[node.index()].definition.needs.iter();
            self.scheduler.set_needs(*node, needs.filter_map(|need| nodes.get(&need.value).copied()).collect());
        }
    }

    fn follow(&mut self, decision: Decision) {
        match decision {
            Decision::Decide(node) => self.decide(node),
            Decision::Start(node, id) => self.start(node, id),
            Decision::Resume(id) => self.want(Effect::GrantSlot(id)),
            Decision::Cancel(id, failed) => {
                let cause = self.failed_fast(&failed);
                self.cancel_leg(&id, Cancellation::Cancel, &cause);
            }
            Decision::Complete(node, id) => self.complete_call(node, &id),
            Decision::Drop(id, failed) => {
                self.verdict.count(Conclusion::Cancelled, false);
                self.release_groups(&id);
                let cause = failed.map(|failed| format!(" ({})", self.failed_fast(&failed))).unwrap_or_default();
                self.record(never_ran(&id, Conclusion::Cancelled, &format!("cancelled before it started{cause}")));
            }
        }
    }

    /// Returns the reason for cancelling a leg after another leg of its matrix failed.
    fn failed_fast(&self, failed: &JobId) -> String {
        format!("fail-fast: {} failed", self.planned(failed).map_or(failed.as_str(), |job| &job.name))
    }

    /// Returns the planned job with an id; `None` if it is not in the graph.
    fn planned(&self, id: &JobId) -> Option<&PlannedJob> {
        self.nodes.iter().flat_map(|node| &node.planned).find(|job| job.id == *id)
    }

    /// Records the end of a job, keeps its outputs, and updates the attempt.
    pub(super) fn job_ended(&mut self, id: &JobId, mut end: JobEnd) {
        self.running.remove(id);
        if let (Conclusion::Cancelled, Some(cause)) = (end.conclusion, self.causes.remove(id)) {
            end.reason = Some(match end.reason.take() {
                Some(reason) => format!("{reason} ({cause})"),
                None => cause,
            });
        }
        self.record(end.event(id));
        if let Some(node) = self.nodes.iter_mut().find(|node| node.legs.contains_key(id)) {
            // Legs write the outputs of their node in the order in which they end; empty outputs never replace others.
            node.outputs.extend(end.outputs.into_iter().filter(|(_, value)| !value.is_empty()));
        }
        if let Some(why) = end.not_runnable {
            let name = self.planned(id).map(|job| (job.key.clone(), job.name.clone()));
            let (key, name) = name.unwrap_or_else(|| (id.to_string(), id.to_string()));
            self.verdict.not_runnable(&key, &name, why);
        }
        self.leg_ended(id, end.conclusion, end.allowed_failure);
    }

    /// Updates the attempt after the end of a leg, and releases its concurrency groups. The caller records the end
    /// itself.
    pub(super) fn leg_ended(&mut self, id: &JobId, conclusion: Conclusion, allowed_failure: bool) {
        self.release_groups(id);
        self.verdict.count(conclusion, allowed_failure);
        self.scheduler.finished(id, Ending { conclusion, allowed_failure });
    }

    /// Records the end of a leg that does not start, and skips the jobs of the workflow that it calls.
    pub(super) fn refuse(&mut self, id: &JobId, conclusion: Conclusion, reason: &str) {
        self.record(never_ran(id, conclusion, reason));
        self.skip_called(id, "the job that calls its workflow did not start");
        self.leg_ended(id, conclusion, false);
    }

    fn cancel(&mut self, asked: Cancellation) {
        if asked == Cancellation::None {
            return;
        }
        self.ended |= asked == Cancellation::Force;
        self.verdict.cancel();
        self.scheduler.cancel();
        for id in self.running.clone() {
            self.want(Effect::CancelJob(id, asked));
        }
    }

    /// Cancels a leg and, if it calls a workflow, the jobs of that workflow. `cause` becomes a part of the reason of
    /// each running job.
    pub(super) fn cancel_leg(&mut self, id: &JobId, asked: Cancellation, cause: &str) {
        if self.running.contains(id) {
            self.causes.entry(id.clone()).or_insert_with(|| cause.to_owned());
            self.want(Effect::CancelJob(id.clone(), asked));
        }
        self.scheduler.cancel_called(id);
        for called in self.called_by(id) {
            self.cancel_leg(&called, asked, cause);
        }
    }
}

/// Returns the event that ends a job which never ran.
pub(super) fn never_ran(id: &JobId, conclusion: Conclusion, reason: &str) -> Event {
    JobEnd { reason: Some(reason.to_owned()), ..JobEnd::of(conclusion) }.event(id)
}
