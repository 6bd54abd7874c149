//! Jobs that call a workflow: how its jobs come into the graph, and what their ends come to.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::engine::context::texts;
use crate::engine::job::end::JobEnd;
use crate::engine::reusable;
use crate::engine::reusable::Call;
use crate::engine::scheduler::NodeId;
use crate::model::{Conclusion, Event, JobId};
use crate::workflow::expr::{Contexts, NoFiles, Scope, Status, Value};
use crate::workflow::syntax::Workflow;

use super::{Attempt, CallScope, never_ran};

impl Attempt {
    /// The jobs of the workflow that a leg calls, without those of workflows that they call.
    pub(super) fn called_by(&self, caller: &JobId) -> Vec<JobId> {
        let called = self.plan.jobs().iter().filter(|job| job.caller.as_ref() == Some(caller));
        called.map(|job| job.id.clone()).collect()
    }

    /// Tells of the jobs of a workflow that is not called: they never run either.
    pub(super) fn skip_called(&mut self, caller: &JobId, reason: &str) {
        for job in self.called_by(caller) {
            self.shared.outlet.record(never_ran(&job, Conclusion::Skipped, Some(reason.to_owned())));
            self.skip_called(&job, reason);
        }
    }

    /// Brings a called workflow's jobs into the graph.
    pub(super) fn start_call(&mut self, node: NodeId, id: &JobId, name: String, contexts: &Contexts) {
        let entry = &self.nodes[node.index()];
        let scope = Scope { contexts, status: self.status(node), host: &NoFiles };
        let callee = self.callee(id);
        let secrets = &self.scopes[entry.scope].secrets;
        let bound = callee
            .ok_or_else(|| "the workflow it calls cannot run here: only workflows of this repository can".to_owned())
            .and_then(|callee| reusable::bind(&entry.definition, &callee, &scope, secrets));
        match bound {
            Ok(Call { inputs, secrets }) => {
                self.shared.outlet.record(Event::JobStarted {
                    job: id.clone(),
                    name,
                    sandbox: "called workflow".to_owned(),
                });
                self.add_scope(CallScope { inputs, secrets, nodes: IndexMap::new() }, Some((node, id.clone())));
            }
            Err(reason) => self.refuse(id, Conclusion::Failure, reason),
        }
    }

    /// The workflow that a leg calls.
    pub(super) fn callee(&self, id: &JobId) -> Option<Arc<Workflow>> {
        let called = self.plan.jobs().iter().find(|job| job.caller.as_ref() == Some(id));
        called.map(|job| Arc::clone(&job.workflow))
    }

    /// Every job of a called workflow has ended.
    pub(super) fn complete_call(&mut self, node: NodeId, id: &JobId) {
        let Some(place) = self.scopes.iter().position(|scope| {
            let mut nodes = scope.nodes.values();
            nodes.any(|inner| self.nodes[inner.index()].planned[0].caller.as_ref() == Some(id))
        }) else {
            return;
        };
        let scope = &self.scopes[place];
        let results: Vec<_> = scope.nodes.values().filter_map(|node| self.scheduler.result(*node)).collect();
        let conclusion = if results.contains(&Conclusion::Failure) {
            Conclusion::Failure
        } else if results.contains(&Conclusion::Cancelled) {
            Conclusion::Cancelled
        } else if results.iter().all(|result| *result == Conclusion::Skipped) {
            Conclusion::Skipped
        } else {
            Conclusion::Success
        };
        let mut contexts = Contexts::default();
        contexts.set("github", Value::object(self.shared.github.clone()));
        contexts.set("vars", texts(&self.shared.facts.vars));
        contexts.set("inputs", scope.inputs.clone());
        contexts.set("jobs", self.results(scope.nodes.iter().map(|(key, node)| (key.as_str(), *node)), "outputs"));
        let status = Status { success: conclusion == Conclusion::Success, failure: false, cancelled: false };
        let evaluated = Scope { contexts: &contexts, status, host: &NoFiles };
        let callee = scope.nodes.values().next().map(|inner| Arc::clone(&self.nodes[inner.index()].workflow));
        let (outputs, reason) = match callee.map(|callee| reusable::outputs(&callee, &evaluated)).transpose() {
            Ok(outputs) => (outputs.unwrap_or_default(), None),
            Err(reason) => (IndexMap::new(), Some(reason)),
        };
        let conclusion = if reason.is_some() { Conclusion::Failure } else { conclusion };
        let end = JobEnd { reason, outputs, ..JobEnd::of(conclusion) };
        self.shared.outlet.record(end.event(id));
        self.nodes[node.index()].outputs.extend(end.outputs);
        self.ended_quietly(id, conclusion, false);
    }
}
