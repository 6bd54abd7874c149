//! Requests the concurrency groups of legs, which a leg must hold before it starts.

use crate::engine::cancel::Cancellation;
use crate::engine::concurrency::{AcquireError, GroupError, GroupRequest};
use crate::engine::reusable;
use crate::engine::reusable::CallError;
use crate::engine::scheduler::NodeId;
use crate::model::{Conclusion, JobId};
use crate::workflow::expr::{Contexts, NoFiles, Scope};
use crate::workflow::syntax::{Concurrency, JobBody};

use super::state::{Attempt, Effect};

/// Why the groups of a leg cannot be determined.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    /// A `concurrency` is invalid. `position` has the form `file:line:column`.
    #[error("{position}: {source}")]
    Group { position: String, source: GroupError },
    /// The call of the leg's workflow is invalid.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Attempt {
    /// Returns whether a leg holds all its concurrency groups. If not, requests them and makes the leg wait; if they
    /// cannot be determined, ends the leg as a failure.
    pub(super) fn holds_its_groups(&mut self, node: NodeId, id: &JobId, contexts: &Contexts) -> bool {
        if self.holding.contains(id) {
            return true;
        }
        match self.requests(node, id, contexts) {
            Ok(requests) if requests.is_empty() => return true,
            Ok(requests) => {
                self.scheduler.hold(id);
                self.waiting.insert(id.clone());
                self.want(Effect::AcquireGroups(id.clone(), requests));
            }
            Err(error) => self.refuse(id, Conclusion::Failure, &error.to_string()),
        }
        false
    }

    /// Returns requests for the groups of a leg: the group of its job, and the group of the workflow that it calls.
    fn requests(&self, node: NodeId, id: &JobId, contexts: &Contexts) -> Result<Vec<GroupRequest>, RequestError> {
        let entry = &self.nodes[node.index()];
        let scope = Scope { contexts, status: self.status(node), host: &NoFiles };
        let evaluate = |concurrency: &Concurrency, source: &str, scope: &Scope<'_>| {
            let span = concurrency.span();
            GroupRequest::new(concurrency, scope).map_err(|error| RequestError::Group {
                position: format!("{source}:{}:{}", span.line, span.column),
                source: error,
            })
        };
        let mut requests = Vec::new();
        if let Some(concurrency) = &entry.definition.concurrency {
            requests.push(evaluate(concurrency, &entry.workflow.source.name, &scope)?);
        }
        let called = matches!(entry.definition.body, JobBody::Call { .. }).then(|| self.called_workflow(id)).flatten();
        if let Some((called, concurrency)) =
            called.as_ref().and_then(|called| Some((called, called.concurrency.as_ref()?)))
        {
            let call = reusable::bind(&entry.definition, called, &scope, &self.scopes[entry.scope].secrets)?;
            let contexts = self.workflow_contexts(call.inputs);
            let scope = Scope { contexts: &contexts, ..scope };
            requests.push(evaluate(concurrency, &called.source.name, &scope)?);
        }
        Ok(requests)
    }

    /// Lets a leg that waited for its groups start, or ends it if they cannot be acquired.
    pub(super) fn groups_acquired(&mut self, id: &JobId, result: Result<(), AcquireError>) {
        if !self.waiting.remove(id) {
            // The leg has ended in the meantime.
            return self.want(Effect::ReleaseGroups(id.clone()));
        }
        match result {
            Ok(()) => {
                self.holding.insert(id.clone());
                self.scheduler.admit(id);
            }
            Err(AcquireError::Deadlock(reason)) => self.refuse(id, Conclusion::Cancelled, &reason),
            Err(AcquireError::Failed(reason)) => self.refuse(id, Conclusion::Failure, &reason),
        }
    }

    /// Cancels a leg because another run or job takes a group that the leg holds or waits for.
    pub(super) fn displace(&mut self, id: &JobId, reason: String) {
        if self.scheduler.running().any(|(_, leg)| leg == id) {
            self.cancel_leg(id, Cancellation::Cancel, &reason);
        } else if self.waiting.contains(id) || self.holding.contains(id) {
            self.refuse(id, Conclusion::Cancelled, &reason);
        }
    }

    /// Releases the groups of a leg.
    pub(super) fn release_groups(&mut self, id: &JobId) {
        let (held, waited) = (self.holding.remove(id), self.waiting.remove(id));
        if held || waited {
            self.want(Effect::ReleaseGroups(id.clone()));
        }
    }
}
