//! Evaluates the `if` and the matrix of jobs.

use crate::engine::scheduler::{Ending, Limits, NodeId};
use crate::model::{Conclusion, Event, Explanation};
use crate::workflow::expr::{NoFiles, Scope};
use crate::workflow::matrix;

use super::outline::outline;
use super::state::{Attempt, never_ran};

impl Attempt {
    /// Evaluates a node's `if` and matrix.
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
                self.expand(id, legs);
                self.explain(id, explanation);
            }
            Err(error) => {
                let reason = format!("{}: the matrix cannot be evaluated: {error}", self.position(id, error.span));
                self.skip(id, Conclusion::Failure, &reason);
            }
        }
    }

    /// Records the explanation of a node's condition, for each of its legs.
    fn explain(&mut self, id: NodeId, explanation: Option<Explanation>) {
        let Some(explanation) = explanation else { return };
        let fresh = self.nodes[id.index()].planned.iter().filter(|job| !self.carried.contains_key(&job.id));
        for job in fresh.map(|job| job.id.clone()).collect::<Vec<_>>() {
            self.record(Event::Decided { job, step: None, explanation: explanation.clone() });
        }
    }

    fn expand(&mut self, id: NodeId, legs: matrix::Legs) {
        let node = &mut self.nodes[id.index()];
        node.limits = Limits { fail_fast: legs.fail_fast, max_parallel: legs.max_parallel };
        if legs.legs.is_empty() {
            return self.skip(id, Conclusion::Skipped, "its matrix has no combinations");
        }
        let known = node.planned.len() == legs.legs.len() && node.planned.iter().all(|job| job.leg.is_some());
        let mut announced = None;
        if !known {
            let placeholder = node.planned[0].clone();
            node.planned = placeholder.expand(&legs.legs);
            let fresh = node.planned.iter().filter(|job| !self.carried.contains_key(&job.id));
            announced = Some(Event::JobsPlanned { jobs: fresh.map(outline).collect(), replaces: Some(placeholder.id) });
        }
        let ids: Vec<_> = node.planned.iter().map(|job| job.id.clone()).collect();
        node.legs = ids.iter().cloned().zip(legs.legs).collect();
        self.scheduler.expand(id, ids.clone(), node.limits);
        for leg in ids {
            if let Some(carried) = self.carried.get(&leg) {
                let ending = carried.ending;
                node.outputs.extend(carried.outputs.clone());
                self.verdict.count(ending.conclusion, ending.allowed_failure);
                self.scheduler.finished(&leg, ending);
            }
        }
        if let Some(event) = announced {
            self.record(event);
        }
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
