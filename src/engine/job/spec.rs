//! What a job is started with.

use std::sync::Arc;

use crate::engine::Resumed;
use crate::model::JobId;
use crate::workflow::expr::{Contexts, NoFiles, Scope, Status};
use crate::workflow::syntax::{JobDefinition, Workflow};

/// One leg of a job, decided and ready to start.
pub(in crate::engine) struct JobSpec {
    /// Its id in the run.
    pub(in crate::engine) id: JobId,
    /// Its name with all expressions evaluated.
    pub(in crate::engine) name: String,
    /// What the file says of it.
    pub(in crate::engine) definition: Arc<JobDefinition>,
    /// The file.
    pub(in crate::engine) workflow: Arc<Workflow>,
    /// `github needs strategy matrix secrets vars inputs`.
    pub(in crate::engine) contexts: Contexts,
    /// What the status functions answered when its `if` was decided.
    pub(in crate::engine) status: Status,
    /// Whether the run had been cancelled before the job was started (`if: always()`): that cancel is not meant for it.
    pub(in crate::engine) ignores_cancel: bool,
    /// Where it goes on, if it does not begin with its first step.
    pub(in crate::engine) resumed: Option<Resumed>,
}

impl JobSpec {
    /// What expressions see before the job has a workspace.
    pub(in crate::engine) fn scope(&self) -> Scope<'_> {
        Scope { contexts: &self.contexts, status: self.status, host: &NoFiles }
    }
}
