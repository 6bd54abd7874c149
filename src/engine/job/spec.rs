//! Input of a job's task.

use std::sync::Arc;

use crate::engine::Resumed;
use crate::model::JobId;
use crate::workflow::expr::{Contexts, NoFiles, Scope, Status};
use crate::workflow::syntax::{JobDefinition, Workflow};

/// One leg of a job, ready to start.
pub(in crate::engine) struct JobSpec {
    /// Id of the job.
    pub(in crate::engine) id: JobId,
    /// Name of the job with all expressions evaluated.
    pub(in crate::engine) name: String,
    /// Definition of the job in the file.
    pub(in crate::engine) definition: Arc<JobDefinition>,
    /// Workflow of the job.
    pub(in crate::engine) workflow: Arc<Workflow>,
    /// The contexts `github needs strategy matrix secrets vars inputs`.
    pub(in crate::engine) contexts: Contexts,
    /// Results of the status functions at the time when `if` was evaluated.
    pub(in crate::engine) status: Status,
    /// Whether the run was cancelled before the job started (`if: always()`). The job ignores that cancellation.
    pub(in crate::engine) ignores_cancel: bool,
    /// State from which the job resumes; `None` if it starts with its first step.
    pub(in crate::engine) resumed: Option<Resumed>,
}

impl JobSpec {
    /// Returns the scope for expressions before the job has a workspace.
    pub(in crate::engine) fn scope(&self) -> Scope<'_> {
        Scope { contexts: &self.contexts, status: self.status, host: &NoFiles }
    }
}
