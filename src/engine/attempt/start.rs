//! Starts legs: evaluates the name of a leg, and builds the [`JobSpec`] for its task.

use std::sync::Arc;

use crate::engine::job::spec::JobSpec;
use crate::engine::scheduler::NodeId;
use crate::model::{Conclusion, JobId};
use crate::workflow::display_names;
use crate::workflow::expr::{NoFiles, Scope};
use crate::workflow::syntax::JobBody;

use super::state::{Attempt, Effect};

impl Attempt {
    /// Starts a leg, or lets it wait for its concurrency groups. After a forced cancellation, ends the leg as
    /// cancelled.
    pub(super) fn start(&mut self, node: NodeId, id: JobId) {
        if self.ended {
            return self.refuse(&id, Conclusion::Cancelled, "cancelled before it started");
        }
        let contexts = self.leg_contexts(node, &id);
        if !self.holds_its_groups(node, &id, &contexts) {
            return;
        }
        let entry = &self.nodes[node.index()];
        let status = self.status(node);
        let scope = Scope { contexts: &contexts, status, host: &NoFiles };
        let leg = &entry.legs[&id];
        let prefix =
            entry.planned.iter().find(|job| job.id == id).map(|job| job.name_prefix.as_str()).unwrap_or_default();
        let name = format!("{prefix}{}", display_names::job_name(&entry.definition, leg, &scope));
        if let JobBody::Call { .. } = &entry.definition.body {
            return self.start_call(node, &id, name, &contexts);
        }
        let spec = JobSpec {
            id: id.clone(),
            name,
            definition: Arc::clone(&entry.definition),
            workflow: Arc::clone(&entry.workflow),
            contexts,
            status,
            ignores_cancel: self.scheduler.is_cancelled(),
            resumed: self.resumed.remove(&id),
        };
        self.running.insert(id);
        self.want(Effect::StartJob(Box::new(spec)));
    }
}
