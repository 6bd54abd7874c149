//! Jobs as they are announced, before their expressions are evaluated.

use crate::model::JobOutline;

use super::plan::PlannedJob;
use super::syntax::JobBody;
use super::template::Template;

/// Returns the part of a job that readers see before it runs.
#[must_use]
pub fn outline(job: &PlannedJob) -> JobOutline {
    let is_deployment =
        |environment: &&Template| environment.entry("deployment").and_then(Template::literal) != Some("false");
    let environment = match &job.definition.body {
        JobBody::Steps(steps) => steps.environment.as_ref().filter(is_deployment).and_then(environment_name),
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

/// Returns the name of a job's environment, or `None` if it is an expression.
#[must_use]
pub fn environment_name(environment: &Template) -> Option<String> {
    environment.entry("name").unwrap_or(environment).literal().map(str::to_owned)
}
