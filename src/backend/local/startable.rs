//! The startable workflows of a repository, with the inputs and secrets that they take.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::launch::secrets;
use crate::model::feed::{BrokenWorkflow, Input, InputKind, StartableJob, StartableWorkflow};
use crate::repo::git::{GitError, Repository};
use crate::repo::lint;
use crate::repo::workflows;
use crate::workflow::diagnostic::Severity;
use crate::workflow::inputs::BY_HAND;
use crate::workflow::outline::environment_name;
use crate::workflow::source::Spanned;
use crate::workflow::syntax::{InputDefinition, InputKind as Kind, JobBody, Workflow};
use crate::workflow::template::Template;

/// Event of a workflow that other workflows call. Neither a user nor a change starts it.
const CALLED: &str = "workflow_call";

/// The workflows of a repository: startable ones, and those with errors.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Listed {
    pub(super) startable: Vec<StartableWorkflow>,
    pub(super) broken: Vec<BrokenWorkflow>,
}

/// Returns the workflows of the repository around a folder; empty outside a repository.
///
/// # Errors
/// Git cannot read the repository.
pub(super) fn list(folder: &Path) -> Result<Listed, GitError> {
    let repository = match Repository::discover(folder) {
        Ok(repository) => repository,
        Err(GitError::NoRepository(_)) => return Ok(Listed::default()),
        Err(error) => return Err(error),
    };
    let (mut parsed, mut broken) = (Vec::new(), Vec::new());
    for path in workflows::list(&repository.root) {
        let name = workflows::relative(&path, &repository.root);
        let (workflow, errors) = checked(&path, &name);
        parsed.extend(workflow.map(|workflow| (name.clone(), Arc::new(workflow))));
        if !errors.is_empty() {
            broken.push(BrokenWorkflow { workflow: name, errors: errors.len(), text: errors.join("\n\n") });
        }
    }
    let jobs = parsed.iter().flat_map(|(_, workflow)| &workflow.jobs);
    // If any name is an expression, the list would be incomplete: then the input is a text field.
    let environments: Option<BTreeSet<String>> =
        jobs.filter_map(|job| environment(&job.body)).map(environment_name).collect();
    let environments = environments.unwrap_or_default();
    let startable = parsed.into_iter().map(|(file, workflow)| {
        let by_hand = workflow.triggers.iter().filter(|trigger| trigger.event.value == BY_HAND);
        let events = workflow.triggers.iter().map(|trigger| trigger.event.value.clone());
        StartableWorkflow {
            name: workflow.name.as_ref().map_or_else(|| file.clone(), |name| name.value.clone()),
            events: events.filter(|event| event != CALLED).collect(),
            inputs: by_hand
                .flat_map(|trigger| &trigger.inputs)
                .map(|definition| input(definition, &environments))
                .collect(),
            secrets: secrets::needed_by(&workflow, &repository.root),
            jobs: jobs_of(&workflow),
            workflow: file,
            server: None,
        }
    });
    let startable = startable.filter(|workflow| !workflow.events.is_empty()).collect();
    Ok(Listed { startable, broken })
}

/// Returns the jobs of a workflow. Called workflows count as one job.
fn jobs_of(workflow: &Workflow) -> Vec<StartableJob> {
    let place = |id: &Spanned<String>| workflow.jobs.iter().position(|job| job.id.value == id.value);
    let jobs = workflow.jobs.iter().map(|job| StartableJob {
        name: job.name.as_ref().and_then(Template::literal).unwrap_or(&job.id.value).to_owned(),
        needs: job.needs.iter().filter_map(place).collect(),
    });
    jobs.collect()
}

/// Reads a workflow file. Returns the workflow, unless it has syntax errors, and all its errors.
fn checked(path: &Path, name: &str) -> (Option<Workflow>, Vec<String>) {
    match lint::file(path, name, None) {
        Ok((source, checked)) => {
            let errors = checked.found.iter().filter(|found| found.severity == Severity::Error);
            let errors = errors.map(|error| error.render(&source, false)).collect();
            (checked.workflow, errors)
        }
        Err(error) => (None, vec![format!("error: cannot read {name}: {error}")]),
    }
}

/// Returns the environment of a job; `None` if it names none, or calls a workflow.
fn environment(body: &JobBody) -> Option<&Template> {
    match body {
        JobBody::Steps(steps) => steps.environment.as_ref(),
        JobBody::Call { .. } => None,
    }
}

/// Returns the form field of an input. An input for an environment offers `environments`, with the default first; if
/// there are none, it is a text field.
pub(super) fn input(definition: &InputDefinition, environments: &BTreeSet<String>) -> Input {
    let default = definition.default.as_ref().and_then(|default| default.literal()).unwrap_or_default().to_owned();
    Input {
        name: definition.name.value.clone(),
        about: definition.description.clone().unwrap_or_default(),
        required: definition.required,
        kind: match &definition.kind {
            Kind::Boolean => InputKind::Boolean,
            Kind::Number => InputKind::Number,
            Kind::Choice(choices) => InputKind::Choice(choices.clone()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::git::git;

    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join(workflows::FOLDER);
        std::fs::create_dir_all(&folder).expect("made");
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("written");
        }
        git(root.path(), ["init", "--quiet"]).expect("git");
        root
    }

    const DEPLOY: &str = "name: Deploy
on:
  push:
  workflow_dispatch:
    inputs:
      target: {type: environment, required: true, description: where to}
      copies: {type: number, default: 2}
jobs:
  a: {runs-on: x, environment: staging, steps: [{run: \"echo ${{ secrets.TOKEN }}\"}]}
";

    #[test]
    fn workflows_are_listed_with_inputs_and_secrets() {
        let root = repository(&[
            ("deploy.yml", DEPLOY),
            ("called.yml", "on: workflow_call\njobs: {a: {runs-on: x, environment: prod, steps: [{run: x}]}}\n"),
            ("broken.yml", "jobs: ["),
        ]);
        let Listed { startable: listed, broken } = list(root.path()).expect("listed");
        let [broken] = broken.as_slice() else { panic!("{broken:?}") };
        assert_eq!((broken.workflow.as_str(), broken.errors), (".github/workflows/broken.yml", 1));
        assert!(broken.text.contains("--> .github/workflows/broken.yml:1:"), "{}", broken.text);
        let [deploy] = listed.as_slice() else { panic!("{listed:?}") };
        assert_eq!((deploy.name.as_str(), deploy.workflow.as_str()), ("Deploy", ".github/workflows/deploy.yml"));
        assert_eq!(deploy.events, ["push", "workflow_dispatch"]);
        let kinds: Vec<_> = deploy.inputs.iter().map(|input| (input.name.as_str(), &input.kind)).collect();
        let choices = ["", "prod", "staging"].map(str::to_owned).to_vec();
        assert_eq!(kinds, [("target", &InputKind::Choice(choices)), ("copies", &InputKind::Number)]);
        assert_eq!((deploy.inputs[0].required, deploy.inputs[1].default.as_str()), (true, "2"));
        assert_eq!(deploy.secrets, [("TOKEN".to_owned(), std::env::var_os("TOKEN").is_some())]);
    }

    #[test]
    fn an_environment_named_by_an_expression_makes_the_choices_unknown() {
        let other = "on: push\njobs: {a: {runs-on: x, environment: \"${{ github.ref_name }}\", steps: [{run: x}]}}\n";
        let root = repository(&[("deploy.yml", DEPLOY), ("other.yml", other)]);
        let listed = list(root.path()).expect("listed");
        assert_eq!(listed.startable[0].inputs[0].kind, InputKind::Text);
    }

    #[test]
    fn outside_a_repository_nothing_can_be_started() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(list(folder.path()).expect("no error"), Listed::default());
    }
}
