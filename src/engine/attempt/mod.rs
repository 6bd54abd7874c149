//! Carries out one attempt of a run: takes turns with the scheduler, decides conditions and matrices, starts jobs, and
//! folds their ends into the run's conclusion.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::model::{Conclusion, Event, Explanation, JobId};
use crate::store::concurrency::Ticket;
use crate::workflow::display_names;
use crate::workflow::expr::{NoFiles, Scope, Value};
use crate::workflow::matrix;
use crate::workflow::matrix::Leg;
use crate::workflow::plan::{Plan, PlannedJob};
use crate::workflow::syntax::{JobBody, JobDefinition, StepAction, Workflow};

mod calls;
mod concurrency;
mod contexts;
mod outline;
mod verdict;

pub use outline::{environment_name, outline};
use verdict::Verdict;

use super::cancel::Cancellation;
use super::job::end::JobEnd;
use super::job::spec::JobSpec;
use super::job::task::JobTask;
use super::scheduler::{Decision, Ending, Limits, NodeId, Scheduler};
use super::{Resumed, RunContext};

/// A job whose result of an earlier attempt stands.
#[derive(Clone, Debug)]
pub struct CarriedJob {
    /// How it ended.
    pub ending: Ending,
    /// Its outputs.
    pub outputs: IndexMap<String, String>,
}

/// What is asked of an attempt while it goes on.
#[derive(Debug)]
pub struct Orders {
    /// How the run is cancelled.
    pub stop: watch::Receiver<Cancellation>,
    /// Jobs whose turns in a concurrency group others want, and why they end.
    pub displaced: mpsc::Receiver<(JobId, String)>,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// The run's conclusion.
    pub conclusion: Conclusion,
    /// Why, where no single job tells it.
    pub reason: Option<String>,
}

/// One job of one workflow file within one call of it.
struct Node {
    scope: usize,
    definition: Arc<JobDefinition>,
    workflow: Arc<Workflow>,
    planned: Vec<PlannedJob>,
    legs: HashMap<JobId, Leg>,
    limits: Limits,
    outputs: IndexMap<String, String>,
}

/// A workflow as it was started: the run's own, or one that a leg called.
struct CallScope {
    inputs: Value,
    secrets: IndexMap<String, String>,
    nodes: IndexMap<String, NodeId>,
}

/// An attempt in progress.
pub struct Attempt {
    shared: Arc<RunContext>,
    plan: Plan,
    kept: IndexMap<JobId, CarriedJob>,
    resumed: HashMap<JobId, Resumed>,
    scheduler: Scheduler,
    nodes: Vec<Node>,
    scopes: Vec<CallScope>,
    tasks: JoinSet<(JobId, JobEnd)>,
    stops: HashMap<JobId, watch::Sender<Cancellation>>,
    /// Jobs that stand in line for their concurrency groups.
    lines: JoinSet<(JobId, concurrency::Acquired)>,
    in_line: HashMap<JobId, AbortHandle>,
    /// The turns of jobs that are to start, run, or call a workflow that does.
    tickets: HashMap<JobId, Vec<Ticket>>,
    verdict: Verdict,
}

impl Attempt {
    /// Prepares an attempt. `kept` are the jobs whose earlier results stand, `resumed` those that go on in the middle;
    /// `slots` is how many jobs may run at once on this machine.
    #[must_use]
    pub fn new(
        shared: Arc<RunContext>,
        plan: Plan,
        kept: IndexMap<JobId, CarriedJob>,
        resumed: HashMap<JobId, Resumed>,
        slots: usize,
    ) -> Self {
        Self {
            shared,
            plan,
            kept,
            resumed,
            scheduler: Scheduler::new(slots),
            nodes: Vec::new(),
            scopes: Vec::new(),
            tasks: JoinSet::new(),
            stops: HashMap::new(),
            lines: JoinSet::new(),
            in_line: HashMap::new(),
            tickets: HashMap::new(),
            verdict: Verdict::default(),
        }
    }

    /// Runs to the end.
    pub async fn run(mut self, orders: Orders) -> RunEnd {
        let Orders { mut stop, mut displaced } = orders;
        self.announce();
        let root = CallScope {
            inputs: Value::object(self.shared.facts.inputs.clone()),
            secrets: self.shared.facts.secrets.clone(),
            nodes: IndexMap::new(),
        };
        self.add_scope(root, None);
        let mut watching = true;
        loop {
            while let Some(turn) = self.scheduler.next_decision() {
                self.take(turn);
            }
            if self.scheduler.is_done() && self.tasks.is_empty() {
                return match self.shared.outlet.failure() {
                    Some(failure) => RunEnd { conclusion: Conclusion::Failure, reason: Some(failure) },
                    None => self.verdict.conclude(),
                };
            }
            if self.shared.outlet.failure().is_some() {
                self.stop_all(Cancellation::Force);
            }
            tokio::select! {
                Some(ended) = self.tasks.join_next() => {
                    if let Ok((id, end)) = ended {
                        self.ended(&id, end);
                    }
                }
                Some(turned) = self.lines.join_next() => {
                    if let Ok((id, turn)) = turned {
                        self.turned(&id, turn);
                    }
                }
                Some((id, reason)) = displaced.recv() => self.give_way(&id, reason),
                changed = stop.changed(), if watching => {
                    watching = changed.is_ok();
                    let asked = *stop.borrow_and_update();
                    self.stop_all(asked);
                }
            }
        }
    }

    /// Tells readers which jobs there are. Jobs whose results are kept were told in an earlier attempt.
    fn announce(&mut self) {
        let fresh = self.plan.jobs().iter().filter(|job| !self.kept.contains_key(&job.id));
        let jobs: Vec<_> = fresh.map(outline).collect();
        self.shared.outlet.record(Event::JobsPlanned { jobs, replaces: None });
    }

    /// Brings the jobs of a workflow into the graph.
    fn add_scope(&mut self, scope: CallScope, caller: Option<(NodeId, JobId)>) {
        let place = self.scopes.len();
        self.scopes.push(scope);
        let caller_id = caller.as_ref().map(|(_, id)| id.clone());
        let planned: Vec<_> = self.plan.jobs().iter().filter(|job| job.caller == caller_id).cloned().collect();
        for job in planned {
            if let Some(node) = self.scopes[place].nodes.get(&job.key) {
                self.nodes[node.index()].planned.push(job);
                continue;
            }
            let calls = matches!(job.definition.body, JobBody::Call { .. });
            let node = self.scheduler.add(calls, caller.clone());
            self.scopes[place].nodes.insert(job.key.clone(), node);
            self.nodes.push(Node {
                scope: place,
                definition: Arc::clone(&job.definition),
                workflow: Arc::clone(&job.workflow),
                planned: vec![job],
                legs: HashMap::new(),
                limits: Limits { fail_fast: true, max_parallel: None },
                outputs: IndexMap::new(),
            });
        }
        for node in self.scopes[place].nodes.values() {
            let needs = self.nodes[node.index()].definition.needs.iter();
            let needs = needs.filter_map(|need| self.scopes[place].nodes.get(&need.value).copied()).collect();
            self.scheduler.set_needs(*node, needs);
        }
    }

    fn take(&mut self, turn: Decision) {
        match turn {
            Decision::Decide(node) => self.decide(node),
            Decision::Start(node, id) => self.start(node, id),
            Decision::Cancel(id) => self.stop_leg(&id, Cancellation::Cancel),
            Decision::Complete(node, id) => self.complete_call(node, &id),
            Decision::Drop(id, conclusion) => {
                self.verdict.count(conclusion, false);
                self.leave_line(&id);
                let reason = "cancelled before it started".to_owned();
                self.shared.outlet.record(never_ran(&id, conclusion, Some(reason)));
            }
        }
    }

    /// Evaluates a node's `if` and matrix.
    fn decide(&mut self, id: NodeId) {
        let node = &self.nodes[id.index()];
        if node.planned.iter().all(|job| self.kept.contains_key(&job.id)) {
            return self.keep(id);
        }
        let contexts = self.contexts(id);
        let scope = Scope { contexts: &contexts, status: self.status(id), host: &NoFiles };
        let condition = &node.definition.condition;
        let (holds, explanation) = condition.decide(&scope);
        match holds {
            Ok(true) => {}
            Ok(false) => {
                let reason = self.why_skipped(id, &scope);
                self.explain(id, explanation);
                return self.skip(id, Conclusion::Skipped, &reason);
            }
            Err(error) => {
                self.explain(id, explanation);
                let span = condition.written.as_ref().map_or(node.definition.id.span, |written| written.span);
                let reason = format!("{}: `if` cannot be evaluated: {error}", self.place(id, span));
                return self.skip(id, Conclusion::Failure, &reason);
            }
        }
        match matrix::expand(node.definition.strategy.as_ref(), &scope) {
            Ok(legs) => {
                self.expand(id, legs);
                self.explain(id, explanation);
            }
            Err(error) => {
                let reason = format!("{}: the matrix cannot be evaluated: {error}", self.place(id, error.span));
                self.skip(id, Conclusion::Failure, &reason);
            }
        }
    }

    /// Tells why the condition of a node came out as it did, for each of its legs.
    fn explain(&self, id: NodeId, explanation: Option<Explanation>) {
        let Some(explanation) = explanation else { return };
        for job in self.nodes[id.index()].planned.iter().filter(|job| !self.kept.contains_key(&job.id)) {
            let (job, explanation) = (job.id.clone(), explanation.clone());
            self.shared.outlet.record(Event::Decided { job, step: None, explanation });
        }
    }

    fn expand(&mut self, id: NodeId, legs: matrix::Legs) {
        let node = &mut self.nodes[id.index()];
        node.limits = Limits { fail_fast: legs.fail_fast, max_parallel: legs.max_parallel };
        if legs.legs.is_empty() {
            return self.skip(id, Conclusion::Skipped, "its matrix has no combinations");
        }
        let known = node.planned.len() == legs.legs.len() && node.planned.iter().all(|job| job.leg.is_some());
        if !known {
            let placeholder = node.planned[0].clone();
            node.planned = placeholder.expand(&legs.legs);
            let kept = &self.kept;
            let jobs = node.planned.iter().filter(|job| !kept.contains_key(&job.id)).map(outline).collect();
            self.shared.outlet.record(Event::JobsPlanned { jobs, replaces: Some(placeholder.id) });
        }
        let ids: Vec<_> = node.planned.iter().map(|job| job.id.clone()).collect();
        node.legs = ids.iter().cloned().zip(legs.legs).collect();
        let limits = node.limits;
        self.scheduler.expand(id, ids.clone(), limits);
        for leg in ids {
            if let Some(kept) = self.kept.get(&leg) {
                let ending = kept.ending;
                self.nodes[id.index()].outputs.extend(kept.outputs.clone());
                self.verdict.count(ending.conclusion, ending.allowed_failure);
                self.scheduler.finished(&leg, ending);
            }
        }
    }

    /// Takes a node's results over from an earlier attempt.
    fn keep(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.index()];
        let mut legs = Vec::new();
        for job in &node.planned {
            let kept = &self.kept[&job.id];
            node.outputs.extend(kept.outputs.clone());
            self.verdict.count(kept.ending.conclusion, kept.ending.allowed_failure);
            legs.push((job.id.clone(), kept.ending));
        }
        self.scheduler.add_finished(id, legs);
    }

    /// Ends a node without starting any of it.
    fn skip(&mut self, id: NodeId, conclusion: Conclusion, reason: &str) {
        let jobs: Vec<_> = self.nodes[id.index()].planned.iter().map(|job| job.id.clone()).collect();
        for job in &jobs {
            self.verdict.count(conclusion, false);
            self.shared.outlet.record(never_ran(job, conclusion, Some(reason.to_owned())));
        }
        let ending = Ending { conclusion, allowed_failure: false };
        self.scheduler.add_finished(id, jobs.iter().map(|job| (job.clone(), ending)).collect());
        if conclusion != Conclusion::Skipped {
            return;
        }
        for caller in &jobs {
            self.skip_called(caller, "the job that calls its workflow was skipped");
        }
    }

    fn start(&mut self, node: NodeId, id: JobId) {
        let contexts = self.leg_contexts(node, &id);
        if !self.has_its_turn(node, &id, &contexts) {
            return;
        }
        let entry = &self.nodes[node.index()];
        let scope = Scope { contexts: &contexts, status: self.status(node), host: &NoFiles };
        let leg = &entry.legs[&id];
        let prefix =
            entry.planned.iter().find(|job| job.id == id).map(|job| job.name_prefix.as_str()).unwrap_or_default();
        let name = format!("{prefix}{}", display_names::job_name(&entry.definition, leg, &scope));
        if let JobBody::Call { .. } = &entry.definition.body {
            return self.start_call(node, &id, name, &contexts);
        }
        if let Some(what) = unsupported(&entry.definition.body) {
            self.verdict.not_runnable(id.as_str(), &what);
            return self.refuse(&id, Conclusion::Skipped, format!("not runnable here ({what})"));
        }
        let (stop, stopped) = watch::channel(Cancellation::None);
        self.stops.insert(id.clone(), stop);
        let spec = JobSpec {
            id: id.clone(),
            name,
            definition: Arc::clone(&entry.definition),
            workflow: Arc::clone(&entry.workflow),
            contexts,
            ignores_cancel: self.scheduler.is_cancelled(),
            status: self.status(node),
            resumed: self.resumed.remove(&id),
        };
        let task = JobTask::new(Arc::clone(&self.shared), spec, stopped);
        // A job's future is large, and would be moved about with its task.
        self.tasks.spawn(async move { (id, Box::pin(task.run()).await) });
    }

    fn ended(&mut self, id: &JobId, end: JobEnd) {
        self.stops.remove(id);
        if let Some(node) = self.nodes.iter_mut().find(|node| node.legs.contains_key(id)) {
            // Legs write the outputs of their node in the order in which they end; an empty one never hides another.
            let told = end.outputs.iter().filter(|(_, value)| !value.is_empty());
            node.outputs.extend(told.map(|(name, value)| (name.clone(), value.clone())));
        }
        if let Some(what) = &end.not_runnable {
            self.verdict.not_runnable(id.as_str(), what);
        }
        self.ended_quietly(id, end.conclusion, end.allowed_failure);
    }

    fn ended_quietly(&mut self, id: &JobId, conclusion: Conclusion, allowed_failure: bool) {
        self.tickets.remove(id);
        self.verdict.count(conclusion, allowed_failure);
        self.scheduler.finished(id, Ending { conclusion, allowed_failure });
    }

    fn stop_all(&mut self, asked: Cancellation) {
        if asked == Cancellation::None {
            return;
        }
        self.verdict.cancel();
        self.scheduler.cancel();
        for (id, stop) in &self.stops {
            if asked.ask(stop) {
                tracing::debug!(job = %id, ?asked, "told to stop");
            }
        }
    }

    fn stop_leg(&mut self, id: &JobId, asked: Cancellation) {
        if let Some(stop) = self.stops.get(id) {
            asked.ask(stop);
        }
        self.scheduler.cancel_called(id);
        for id in self.called_by(id) {
            self.stop_leg(&id, asked);
        }
    }
}

/// What a job asks for that no part of this program carries out.
fn unsupported(body: &JobBody) -> Option<String> {
    let JobBody::Steps(body) = body else { return None };
    let steps = body.steps.iter().find_map(|step| match &step.action {
        StepAction::Steer(steering) => Some(steering.key()),
        _ => step.background.then_some("background"),
    });
    let what = steps.or_else(|| body.snapshot.as_ref().map(|_| "snapshot"))?;
    Some(format!("`{what}` is not supported in this version"))
}

fn never_ran(id: &JobId, conclusion: Conclusion, reason: Option<String>) -> Event {
    JobEnd { reason, ..JobEnd::of(conclusion) }.event(id)
}
