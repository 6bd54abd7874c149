//! Jobs as readers are told of them before anything has a value.

use crate::model::JobOutline;
use crate::workflow::plan::PlannedJob;
use crate::workflow::syntax::JobBody;
use crate::workflow::template::Template;

/// A job as readers are told of it before it runs.
#[must_use]
pub fn outline(job: &PlannedJob) -> JobOutline {
    let environment = match &job.definition.body {
        JobBody::Steps(steps) => steps.environment.as_ref().and_then(environment_name),
        JobBody::Call { .. } => None,
    };
    JobOutline {
        id: job.id.clone(),
        key: job.key.clone(),
        name: job.name.clone(),
        needs: job.needs.clone(),
        environment,
        caller: job.caller.clone(),
    }
}

/// The environment's name as written: a job's outline comes before its expressions have values.
#[must_use]
pub fn environment_name(environment: &Template) -> Option<String> {
    environment.entry("name").unwrap_or(environment).literal().map(str::to_owned)
}
