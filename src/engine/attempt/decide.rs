//! Evaluates the `if` and the matrix of jobs.

use std::sync::Arc;

use crate::engine::scheduler::{Ending, Limits, NodeId};
use crate::model::{Conclusion, Event, Explanation};
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::display_names;
use crate::workflow::expr::{Contexts, NoFiles, Scope, Status};
use crate::workflow::matrix;
use crate::workflow::matrix::Leg;
use crate::workflow::outline::outline;
use crate::workflow::source::Source;

use super::state::{Attempt, never_ran};

/// Errors in planning a called workflow, each with its source file.
type Errors = Vec<(Arc<Source>, Diagnostic)>;

impl Attempt {
    /// Evaluates a node's `if` and matrix, and then adds its legs or ends the node without them. If all its jobs are
    /// carried over, their results apply without an evaluation.
    pub(super) fn decide(&mut self, id: NodeId) {
        let node = &self.nodes[id.index()];
        if node.planned.iter().all(|job| self.carried.contains_key(&job.id)) {
            return self.carry_over(id);
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
                let span = condition.written.as_ref().map_or(node.definition.id.span, |written| written.span);
                let reason = format!("{}: `if` cannot be evaluated: {error}", self.position(id, span));
                self.explain(id, explanation);
                return self.skip(id, Conclusion::Failure, &reason);
            }
        }
        match matrix::expand(node.definition.strategy.as_ref(), &scope) {
            Ok(legs) => {
                self.expand(id, &contexts, legs);
                self.explain(id, explanation);
            }
            Err(error) => {
                let reason = format!("{}: the matrix cannot be evaluated: {error}", self.position(id, error.span));
                self.skip(id, Conclusion::Failure, &reason);
            }
        }
    }

    /// Records the explanation of a node's condition for each of its legs, except those that are carried over.
    fn explain(&mut self, id: NodeId, explanation: Option<Explanation>) {
        let Some(explanation) = explanation else { return };
        let fresh = self.nodes[id.index()].planned.iter().filter(|job| !self.carried.contains_key(&job.id));
        for job in fresh.map(|job| job.id.clone()).collect::<Vec<_>>() {
            self.record(Event::Decided { job, step: None, explanation: explanation.clone() });
        }
    }

    /// Ends a node as a failure because the workflow that it calls cannot be planned.
    fn refuse_call(&mut self, id: NodeId, errors: &[(Arc<Source>, Diagnostic)]) {
        let shown = errors.iter().map(|(source, error)| {
            format!("{}:{}:{}: {}", source.name, error.span.line, error.span.column, error.message)
        });
        let reason = shown.collect::<Vec<_>>().join("; ");
        self.skip(id, Conclusion::Failure, &format!("the workflow that it calls cannot run: {reason}"));
    }

    fn expand(&mut self, id: NodeId, contexts: &Contexts, legs: matrix::Legs) {
        let node = &mut self.nodes[id.index()];
        node.limits = Limits { fail_fast: legs.fail_fast, max_parallel: legs.max_parallel };
        if legs.legs.is_empty() {
            return self.skip(id, Conclusion::Skipped, "its matrix has no combinations");
        }
        node.total = legs.legs.len();
        let known = node.planned.iter().all(|job| job.leg.is_some() && job.place() < node.total);
        if !known && let Err(errors) = self.plan_legs(id, contexts, &legs) {
            return self.refuse_call(id, &errors);
        }
        let node = &mut self.nodes[id.index()];
        let ids: Vec<_> = node.planned.iter().map(|job| job.id.clone()).collect();
        let legs = node.planned.iter().filter_map(|job| Some((job.id.clone(), legs.legs.get(job.place())?.clone())));
        node.legs = legs.collect();
        self.scheduler.expand(id, ids.clone(), node.limits);
        for leg in ids {
            if let Some(carried) = self.carried.get(&leg) {
                let ending = carried.ending;
                node.outputs.extend(carried.outputs.clone());
                self.verdict.count(ending.conclusion, ending.allowed_failure);
                self.scheduler.finished(&leg, ending);
            }
        }
    }

    /// Replaces a job whose legs were unknown with its legs and the jobs of the workflows that they call, and records
    /// the new jobs, except those that are carried over.
    fn plan_legs(&mut self, id: NodeId, contexts: &Contexts, legs: &matrix::Legs) -> Result<(), Errors> {
        let placeholder = self.nodes[id.index()].planned[0].clone();
        let of_leg = |index: usize, leg: &Leg| {
            let mut contexts = contexts.clone();
            contexts.set("matrix", leg.matrix.clone());
            contexts.set("strategy", legs.strategy(index));
            contexts
        };
        let planned = placeholder.expand(&legs.legs, |index, leg| {
            let contexts = of_leg(index, leg);
            let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
            display_names::job_name(&placeholder.definition, leg, &scope)
        });
        let mut announced = Vec::new();
        for (index, (job, leg)) in planned.iter().zip(&legs.legs).enumerate() {
            if !self.carried.contains_key(&job.id) {
                let called = self.plan.add_called(job, &of_leg(index, leg))?;
                announced.extend([job].into_iter().chain(&called).map(outline));
            }
        }
        self.nodes[id.index()].planned = planned;
        self.record(Event::JobsPlanned { jobs: announced, replaces: Some(placeholder.id) });
        Ok(())
    }

    /// Carries the results of a node over from an earlier attempt.
    fn carry_over(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.index()];
        let mut legs = Vec::new();
        for job in &node.planned {
            let carried = &self.carried[&job.id];
            node.outputs.extend(carried.outputs.clone());
            self.verdict.count(carried.ending.conclusion, carried.ending.allowed_failure);
            legs.push((job.id.clone(), carried.ending));
        }
        self.scheduler.add_finished(id, legs);
    }

    /// Ends a node without starting any of its legs.
    fn skip(&mut self, id: NodeId, conclusion: Conclusion, reason: &str) {
        let jobs: Vec<_> = self.nodes[id.index()].planned.iter().map(|job| job.id.clone()).collect();
        for job in &jobs {
            self.verdict.count(conclusion, false);
            self.record(never_ran(job, conclusion, reason));
        }
        let ending = Ending { conclusion, allowed_failure: false };
        self.scheduler.add_finished(id, jobs.iter().map(|job| (job.clone(), ending)).collect());
        if conclusion == Conclusion::Skipped {
            for caller in &jobs {
                self.skip_called(caller, "the job that calls its workflow was skipped");
            }
        }
    }
}
