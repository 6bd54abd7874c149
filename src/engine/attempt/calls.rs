//! Jobs that call a workflow: adds the jobs of the called workflow to the graph, and ends the caller after them.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::engine::job::end::JobEnd;
use crate::engine::reusable;
use crate::engine::reusable::{Call, CallError};
use crate::engine::scheduler::NodeId;
use crate::model::{Conclusion, Event, JobId};
use crate::workflow::expr::{Contexts, NoFiles, Scope, Status};
use crate::workflow::syntax::{JobBody, Workflow};

use super::state::{Attempt, CallScope, never_ran};

impl Attempt {
    /// Returns the jobs of the workflow that a leg calls, not including those of nested calls.
    pub(super) fn called_by(&self, caller: &JobId) -> Vec<JobId> {
        let called = self.plan.jobs().iter().filter(|job| job.caller.as_ref() == Some(caller));
        called.map(|job| job.id.clone()).collect()
    }

    /// Records as skipped the jobs of a workflow that is not called, including the jobs of nested calls.
    pub(super) fn skip_called(&mut self, caller: &JobId, reason: &str) {
        for job in self.called_by(caller) {
            self.record(never_ran(&job, Conclusion::Skipped, reason));
            self.skip_called(&job, reason);
        }
    }

    /// Starts a leg that calls a workflow: adds the jobs of that workflow to the graph. If the call is invalid, the leg
    /// fails.
    pub(super) fn start_call(&mut self, node: NodeId, id: &JobId, name: String, contexts: &Contexts) {
        let entry = &self.nodes[node.index()];
        let scope = Scope { contexts, status: self.status(node), host: &NoFiles };
        let secrets = &self.scopes[entry.scope].secrets;
        let bound = match self.called_workflow(id) {
            Some(called) => reusable::bind(&entry.definition, &called, &scope, secrets),
            None => Err(CallError::Elsewhere),
        };
        match bound {
            Ok(Call { inputs, secrets }) => {
                self.record(Event::JobStarted {
                    job: id.clone(),
                    name,
                    sandbox: "called workflow".to_owned(),
                    environment: None,
                });
                self.scopes.push(CallScope { caller: Some(id.clone()), inputs, secrets, nodes: IndexMap::new() });
                self.add_nodes(self.scopes.len() - 1, Some((node, id.clone())));
            }
            Err(error) => self.refuse(id, Conclusion::Failure, &error.to_string()),
        }
    }

    /// Returns the workflow that a leg calls. `None` if the leg has steps, or the plan does not have the workflow.
    pub(super) fn called_workflow(&self, id: &JobId) -> Option<Arc<Workflow>> {
        let node = self.nodes.iter().find(|node| node.legs.contains_key(id))?;
        match &node.definition.body {
            JobBody::Call { uses, .. } => self.plan.called(&uses.value, &node.workflow).cloned(),
            JobBody::Steps(_) => None,
        }
    }

    /// Ends a leg after every job of the workflow that it called has ended: evaluates the outputs of that workflow and
    /// records the end. The leg fails if an output cannot be evaluated.
    pub(super) fn complete_call(&mut self, node: NodeId, id: &JobId) {
        let Some(scope) = self.scopes.iter().find(|scope| scope.caller.as_ref() == Some(id)) else { return };
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
        let mut contexts = self.workflow_contexts(scope.inputs.clone());
        contexts.set("jobs", self.results(scope.nodes.iter().map(|(key, node)| (key.as_str(), *node))));
        let status = Status { success: conclusion == Conclusion::Success, failure: false, cancelled: false };
        let evaluated = Scope { contexts: &contexts, status, host: &NoFiles };
        let called = self.called_workflow(id);
        let (outputs, reason) = match called.map(|called| reusable::outputs(&called, &evaluated)).transpose() {
            Ok(outputs) => (outputs.unwrap_or_default(), None),
            Err(error) => (IndexMap::new(), Some(error.to_string())),
        };
        let conclusion = if reason.is_some() { Conclusion::Failure } else { conclusion };
        let end = JobEnd { reason, outputs, ..JobEnd::of(conclusion) };
        self.record(end.event(id));
        // As for the legs of a job with steps, an empty output does not replace a value.
        self.nodes[node.index()].outputs.extend(end.outputs.into_iter().filter(|(_, value)| !value.is_empty()));
        self.leg_ended(id, conclusion, false);
    }
}
