//! The workflows that can be started from here, and what a person is asked who starts one.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::attempt::environment_name;
use crate::launch::secrets;
use crate::model::feed::{Input, InputKind, StartableWorkflow};
use crate::repo::git::{GitError, Repository};
use crate::repo::workflows;
use crate::workflow;
use crate::workflow::source::Source;
use crate::workflow::syntax::{InputDefinition, InputKind as Kind, JobBody};
use crate::workflow::template::Template;

/// The workflows of the repository that we are in; none outside one.
///
/// # Errors
/// Why the repository that is here cannot be looked at, in words.
pub(super) fn offers() -> Result<Vec<StartableWorkflow>, String> {
    let folder = std::env::current_dir().map_err(|error| error.to_string())?;
    let repository = match Repository::discover(&folder) {
        Ok(repository) => repository,
        Err(GitError::NoRepository(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let read = workflows::list(&repository.root).into_iter().filter_map(|path| {
        let text = workflows::read(&path).ok()?;
        let workflow = Arc::new(workflow::parse(&Source::new("", text)).value?);
        Some((path, secrets::needed_by(&workflow, &repository.root), workflow))
    });
    let workflows: Vec<_> = read.collect();
    let jobs = workflows.iter().flat_map(|(.., workflow)| &workflow.jobs);
    // Where one depends on something nobody knows which there are.
    let named: Vec<&Template> = jobs.filter_map(|job| environment(&job.body)).collect();
    let environments: Option<BTreeSet<String>> = named.into_iter().map(environment_name).collect();
    let environments = environments.unwrap_or_default();
    let offers = workflows.into_iter().map(|(path, secrets, workflow)| {
        let file = path.strip_prefix(&repository.root).unwrap_or(&path).to_string_lossy().into_owned();
        let name = workflow.name.as_ref().map_or_else(|| file.clone(), |name| name.value.clone());
        let by_hand = workflow.triggers.iter().filter(|trigger| trigger.event.value == "workflow_dispatch");
        let inputs =
            by_hand.flat_map(|trigger| trigger.inputs.iter().map(|input| asked(input, &environments))).collect();
        let events = workflow.triggers.iter().map(|trigger| trigger.event.value.clone());
        let events = events.filter(|event| event != "workflow_call").collect();
        StartableWorkflow { workflow: file, name, events, inputs, secrets }
    });
    Ok(offers.filter(|offer| !offer.events.is_empty()).collect())
}

/// The environment of a job.
fn environment(body: &JobBody) -> Option<&Template> {
    match body {
        JobBody::Steps(steps) => steps.environment.as_ref(),
        JobBody::Call { .. } => None,
    }
}

/// An input as a person is asked for it: an environment is one of those that the workflows name, where any does.
fn asked(input: &InputDefinition, environments: &BTreeSet<String>) -> Input {
    let default = input.default.as_ref().and_then(|default| default.literal()).unwrap_or_default().to_owned();
    Input {
        name: input.name.value.clone(),
        about: input.description.clone().unwrap_or_default(),
        required: input.required,
        kind: match &input.kind {
            Kind::Boolean => InputKind::Boolean,
            Kind::Number => InputKind::Number,
            Kind::Choice(choices) => InputKind::Choice(choices.clone()),
            // What is given otherwise comes first, and where that is nothing nothing is.
            Kind::Environment if !environments.is_empty() => InputKind::Choice(
                std::iter::once(default.clone())
                    .chain(environments.iter().filter(|name| **name != default).cloned())
                    .collect(),
            ),
            Kind::String | Kind::Environment => InputKind::Text,
        },
        default,
    }
}
