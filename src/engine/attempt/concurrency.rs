//! Jobs that stand in line for a concurrency group before they start.

use futures_util::FutureExt;

use crate::engine::cancel::Cancellation;
use crate::engine::concurrency::{AcquireError, GroupRequest};
use crate::engine::context::texts;
use crate::engine::reusable;
use crate::engine::scheduler::NodeId;
use crate::model::{Conclusion, JobId};
use crate::store::concurrency::Ticket;
use crate::workflow::expr::{Contexts, NoFiles, Scope, Value};
use crate::workflow::syntax::{Concurrency, JobBody};

use super::{Attempt, never_ran};

/// What came of standing in line.
pub(super) type Acquired = Result<Vec<Ticket>, AcquireError>;

impl Attempt {
    /// Whether the job has every turn that it wants. If it has not, it stands in line now, or was refused.
    pub(super) fn has_its_turn(&mut self, node: NodeId, id: &JobId, contexts: &Contexts) -> bool {
        if self.tickets.contains_key(id) {
            return true;
        }
        match self.wanted(node, id, contexts) {
            Ok(wanted) if wanted.is_empty() => return true,
            Ok(wanted) => self.stand_in_line(id, wanted),
            Err(reason) => self.refuse(id, Conclusion::Failure, reason),
        }
        false
    }

    /// The turns that a job wants: its own, and that of the workflow that it calls.
    fn wanted(&self, node: NodeId, id: &JobId, contexts: &Contexts) -> Result<Vec<GroupRequest>, String> {
        let entry = &self.nodes[node.index()];
        let scope = Scope { contexts, status: self.status(node), host: &NoFiles };
        let evaluate = |concurrency: &Concurrency, source: &str, scope: &Scope<'_>| {
            let span = concurrency.group.span;
            GroupRequest::new(concurrency, scope)
                .map_err(|error| format!("{source}:{}:{}: {error}", span.line, span.column))
        };
        let mut wanted = Vec::new();
        if let Some(concurrency) = &entry.definition.concurrency {
            wanted.push(evaluate(concurrency, &entry.workflow.source.name, &scope)?);
        }
        let callee = matches!(entry.definition.body, JobBody::Call { .. }).then(|| self.callee(id)).flatten();
        if let Some((callee, concurrency)) =
            callee.as_ref().and_then(|callee| Some((callee, callee.concurrency.as_ref()?)))
        {
            let call = reusable::bind(&entry.definition, callee, &scope, &self.scopes[entry.scope].secrets)?;
            let mut contexts = Contexts::default();
            contexts.set("github", Value::object(self.shared.github.clone()));
            contexts.set("vars", texts(&self.shared.facts.vars));
            contexts.set("inputs", call.inputs);
            let scope = Scope { contexts: &contexts, ..scope };
            wanted.push(evaluate(concurrency, &callee.source.name, &scope)?);
        }
        Ok(wanted)
    }

    fn stand_in_line(&mut self, id: &JobId, wanted: Vec<GroupRequest>) {
        self.scheduler.hold(id);
        let (turns, job) = (self.shared.turns.clone(), id.clone());
        let mut wanted = wanted.into_iter();
        let first = wanted.next().map(|first| turns.clone().turn(job.clone(), first));
        let turn = async move {
            let mut tickets = Vec::new();
            let mut next = first;
            while let Some(turn) = next.take() {
                match turn.await {
                    Ok(ticket) => tickets.push(ticket),
                    Err(none) => return (job, Err(none)),
                }
                next = wanted.next().map(|wanted| turns.clone().turn(job.clone(), wanted));
            }
            (job, Ok(tickets))
        };
        let place = self.lines.spawn(turn.boxed());
        self.in_line.insert(id.clone(), place);
    }

    /// Standing in line came to something.
    pub(super) fn turned(&mut self, id: &JobId, turn: Acquired) {
        // One that left the line meanwhile lets go of its turn.
        if self.in_line.remove(id).is_none() {
            return;
        }
        match turn {
            Ok(tickets) => {
                self.tickets.insert(id.clone(), tickets);
                self.scheduler.admit(id);
            }
            Err(AcquireError::Deadlock(reason)) => self.refuse(id, Conclusion::Cancelled, reason),
            Err(AcquireError::Failed(reason)) => self.refuse(id, Conclusion::Failure, reason),
        }
    }

    /// Another run or job wants the turn of this one, which has it or waits for it.
    pub(super) fn give_way(&mut self, id: &JobId, reason: String) {
        let runs = self.scheduler.running().any(|(_, leg)| leg == id);
        if runs {
            self.stop_leg(id, Cancellation::Cancel);
        } else if self.in_line.contains_key(id) || self.tickets.contains_key(id) {
            self.leave_line(id);
            self.refuse(id, Conclusion::Cancelled, reason);
        }
    }

    /// The job needs no turn any more.
    pub(super) fn leave_line(&mut self, id: &JobId) {
        self.tickets.remove(id);
        if let Some(place) = self.in_line.remove(id) {
            place.abort();
        }
    }

    /// Ends a job that was to start.
    pub(super) fn refuse(&mut self, id: &JobId, conclusion: Conclusion, reason: String) {
        self.shared.outlet.record(never_ran(id, conclusion, Some(reason)));
        self.skip_called(id, "the job that calls its workflow did not start");
        self.ended_quietly(id, conclusion, false);
    }
}
