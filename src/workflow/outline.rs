//! Outlines of jobs, which are shown before the jobs run, and the environments to which jobs deploy.

use crate::model::JobOutline;

use super::expr::{Scope, Value};
use super::plan::PlannedJob;
use super::syntax::{JobBody, JobDefinition, StepsJob};
use super::template::Template;

/// Returns the outline of a planned job.
#[must_use]
pub fn outline(job: &PlannedJob) -> JobOutline {
    JobOutline {
        id: job.id.clone(),
        key: job.key.clone(),
        name: job.name.clone(),
        needs: job.needs.clone(),
        environment: written_deployment(&job.definition),
        caller: job.caller.clone(),
        remote: None,
    }
}

/// Returns the environment that a job deploys to, as written. `None` if the job does not deploy, or if the name of the
/// environment is an expression.
#[must_use]
pub fn written_deployment(job: &JobDefinition) -> Option<String> {
    let is_deployment =
        |environment: &&Template| environment.entry("deployment").and_then(Template::literal) != Some("false");
    match &job.body {
        JobBody::Steps(steps) => steps.environment.as_ref().filter(is_deployment).and_then(environment_name),
        JobBody::Call { .. } => None,
    }
}

/// Returns the environment that a job deploys to, with its expressions evaluated. `None` if the job does not deploy, if
/// the name is empty, or if an expression fails; the job reports such a failure elsewhere.
#[must_use]
pub fn deployment(body: &StepsJob, scope: &Scope<'_>) -> Option<String> {
    let environment = body.environment.as_ref()?;
    let deploys = environment.entry("deployment").map(|deploys| deploys.evaluate(scope)).transpose().ok()?;
    let name = environment.entry("name").unwrap_or(environment).evaluate(scope).ok()?.to_text();
    let is_off = deploys.is_some_and(|deploys| deploys == Value::Bool(false) || deploys.to_text() == "false");
    (!is_off && !name.is_empty()).then_some(name)
}

/// Returns the name of a job's environment; `None` if it is an expression.
#[must_use]
pub fn environment_name(environment: &Template) -> Option<String> {
    environment.entry("name").unwrap_or(environment).literal().map(str::to_owned)
}
