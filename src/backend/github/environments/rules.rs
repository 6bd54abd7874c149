//! Determines which environments a workflow deploys to, and which of their rules block it.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;

use crate::model::environment::{BranchRule, Environment};
use crate::model::rollback::NoMethod;
use crate::workflow::expr::{Contexts, Expr, NoFiles, Object, Scope, Status, Value};
use crate::workflow::inputs::{BY_HAND, declared, empty, of_call, typed};
use crate::workflow::pattern::deciding_pattern;
use crate::workflow::plan::MAX_CALL_DEPTH;
use crate::workflow::source::Spanned;
use crate::workflow::syntax::{JobBody, JobDefinition, Workflow, local_path};
use crate::workflow::template::{Piece, Template, TemplateKind};

/// The event of a workflow that others call.
const CALL: &str = "workflow_call";

/// Properties of the `github` context that are known before a workflow is dispatched.
const KNOWN: [&str; 3] = ["event_name", "ref_name", "ref_type"];

/// A workflow that would be started by hand, or called by such a workflow.
pub(super) struct Planned<'w> {
    workflow: &'w Workflow,
    inputs: Value,
    /// The inputs whose values are known before the run; `None` if all are.
    known: Option<Vec<&'w str>>,
    github: Value,
}

impl<'w> Planned<'w> {
    /// Plans a dispatch with these inputs. Inputs that are not given have their defaults.
    pub(super) fn new(workflow: &'w Workflow, given: &IndexMap<String, String>, git_ref: &str, is_tag: bool) -> Self {
        let inputs = declared(workflow, BY_HAND).iter().map(|input| {
            let name = &input.name.value;
            let text = given.get(name).map(String::as_str);
            let text = text.or_else(|| input.default.as_ref().and_then(Template::literal));
            let value = text.and_then(|text| typed(&input.kind, Value::string(text)).ok());
            (name.clone(), value.unwrap_or_else(|| empty(&input.kind)))
        });
        let inputs = Value::object(inputs.collect());
        let known = None;
        let kind = if is_tag { "tag" } else { "branch" };
        let github = [("event_name", BY_HAND), ("ref_name", git_ref), ("ref_type", kind)];
        let github: Object = github.into_iter().map(|(name, value)| (name, Value::string(value))).collect();
        Self { workflow, inputs, known, github: Value::object(github) }
    }

    /// Plans the call of a workflow by a job of this one, with the inputs in the job's `with`.
    fn call<'c>(&self, workflow: &'c Workflow, with: &[(Spanned<String>, Template)]) -> Planned<'c> {
        let contexts = self.contexts();
        let declared = declared(workflow, CALL);
        let callee = |inputs: &Object, unknown: &[&str]| Planned {
            workflow,
            inputs: Value::object(inputs.clone()),
            known: Some(
                declared.iter().map(|input| input.name.value.as_str()).filter(|name| !unknown.contains(name)).collect(),
            ),
            github: self.github.clone(),
        };
        let default = |value: &Template, inputs: &Object, unknown: &[&str]| {
            let callee = callee(inputs, unknown);
            callee.value(value, &callee.contexts())
        };
        let (inputs, unknown) = of_call(declared, with, |value| self.value(value, &contexts), default);
        callee(&inputs, &unknown)
    }

    /// Returns the names of the environments to which the jobs of the workflow, and of the workflows that it calls,
    /// deploy. `called` contains the called workflows by their paths. Jobs that are known to be skipped, and names that
    /// are not known before the run, are left out.
    pub(super) fn environments(&self, called: &HashMap<String, Workflow>) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.add_environments(called, MAX_CALL_DEPTH - 1, &mut names);
        names
    }

    fn add_environments(&self, called: &HashMap<String, Workflow>, levels: usize, names: &mut BTreeSet<String>) {
        let contexts = self.contexts();
        for job in self.workflow.jobs.iter().filter(|job| !self.is_skipped(job, &contexts)) {
            match &job.body {
                JobBody::Steps(steps) => {
                    let written = steps.environment.as_ref();
                    let name = written.map(|written| written.entry("name").unwrap_or(written));
                    let name = name.and_then(|name| self.value(name, &contexts)).map(|name| name.to_text());
                    names.extend(name.filter(|name| !name.is_empty()));
                }
                JobBody::Call { uses, with, .. } if levels > 0 => {
                    if let Some(workflow) = local_path(&uses.value).and_then(|path| called.get(path)) {
                        self.call(workflow, with).add_environments(called, levels - 1, names);
                    }
                }
                JobBody::Call { .. } => {}
            }
        }
    }

    /// Whether it is known before the run that a job is skipped.
    fn is_skipped(&self, job: &JobDefinition, contexts: &Contexts) -> bool {
        let condition = &job.condition;
        self.knows(&condition.expr) && condition.decide(&scope(contexts)).0.is_ok_and(|runs| !runs)
    }

    /// Returns the value of a template; `None` if it is not known before the run.
    fn value(&self, template: &Template, contexts: &Contexts) -> Option<Value> {
        let expressions: Vec<&Expr> = match &template.kind {
            TemplateKind::Expression(expr) => vec![expr],
            TemplateKind::Interpolated(pieces) => pieces.iter().filter_map(expression).collect(),
            _ => Vec::new(),
        };
        let is_known = expressions.into_iter().all(|expr| self.knows(expr));
        is_known.then(|| template.evaluate(&scope(contexts)).ok()).flatten()
    }

    /// Whether an expression reads only values that are known before the run.
    fn knows(&self, expr: &Expr) -> bool {
        expr.roots().iter().all(|read| match read.context.text.to_ascii_lowercase().as_str() {
            "inputs" => self.known.as_ref().is_none_or(|known| known.iter().any(|input| read.names(input))),
            "github" => KNOWN.iter().any(|known| read.names(known)),
            _ => false,
        })
    }

    fn contexts(&self) -> Contexts {
        [("inputs", self.inputs.clone()), ("github", self.github.clone())].into_iter().collect()
    }
}

fn scope(contexts: &Contexts) -> Scope<'_> {
    Scope { contexts, status: Status::default(), host: &NoFiles }
}

fn expression(piece: &Piece) -> Option<&Expr> {
    match piece {
        Piece::Expression(expr) => Some(expr),
        Piece::Text(_) => None,
    }
}

/// Returns why the rules of an environment reject a branch or tag. `None` if they accept it, or are unknown.
pub(super) fn refusal(environment: &Environment, file: &str, git_ref: &str, is_tag: bool) -> Option<NoMethod> {
    let takes = match &environment.protection.as_ref()?.branches {
        BranchRule::Protected if is_tag => "protected branches".to_owned(),
        BranchRule::Patterns(patterns) if !patterns.is_empty() => {
            let found = deciding_pattern(patterns.iter().map(String::as_str), git_ref);
            if found.is_some_and(|(_, takes)| takes) {
                return None;
            }
            patterns.join(", ")
        }
        _ => return None,
    };
    Some(NoMethod::Refused {
        file: file.to_owned(),
        git_ref: git_ref.to_owned(),
        environment: environment.name.clone(),
        takes,
    })
}

/// Returns what a deployment to an environment would wait for. `None` if it would not wait, or if the rules are
/// unknown.
pub(super) fn hold(environment: &Environment, file: &str) -> Option<NoMethod> {
    let rules = environment.protection.as_ref().filter(|rules| rules.holds_back())?;
    Some(NoMethod::Held { file: file.to_owned(), environment: environment.name.clone(), rules: rules.waits() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::environment::Protection;
    use crate::workflow::parse_partial;
    use crate::workflow::source::Source;

    #[test]
    fn the_environments_of_a_workflow_are_those_of_jobs_that_would_run() {
        let text = "on:\n  workflow_dispatch:\n    inputs:\n      to: {type: string, default: staging}\n      quick: {type: boolean}\n\
            jobs:\n\
            \x20 a: {runs-on: x, environment: staging, if: \"!inputs.quick\", steps: [{run: 'true'}]}\n\
            \x20 b: {runs-on: x, environment: {name: \"${{ inputs.to }}\"}, steps: [{run: 'true'}]}\n\
            \x20 c: {runs-on: x, environment: tags, if: github.ref_type == 'tag', steps: [{run: 'true'}]}\n\
            \x20 d: {runs-on: x, environment: canary, if: vars.CANARY == '1', steps: [{run: 'true'}]}\n\
            \x20 e: {runs-on: x, environment: \"pr-${{ github.actor }}\", steps: [{run: 'true'}]}\n\
            \x20 f: {runs-on: x, steps: [{run: 'true'}]}\n";
        let workflow = parse_partial(&Source::new("d.yml", text)).0.expect("a workflow");
        let environments = |given: &[(&str, &str)], is_tag: bool| {
            let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let called = HashMap::new();
            let names = Planned::new(&workflow, &given, "v1", is_tag).environments(&called);
            names.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(environments(&[], true), "canary staging tags");
        assert_eq!(environments(&[("to", "production"), ("quick", "true")], false), "canary production");
    }

    #[test]
    fn the_environments_of_called_workflows_are_known_with_what_they_are_given() {
        let parse = |name: &str, text: &str| parse_partial(&Source::new(name, text)).0.expect("a workflow");
        let root = parse(
            "d.yml",
            "on:\n  workflow_dispatch:\n    inputs:\n      to: {type: string, default: staging}\n\
            jobs:\n\
            \x20 a: {uses: ./.github/workflows/one.yml, with: {target: \"${{ inputs.to }}\"}}\n\
            \x20 b: {uses: ./.github/workflows/one.yml, with: {target: dev}, if: github.ref_type == 'branch'}\n\
            \x20 c: {uses: ./.github/workflows/one.yml, with: {target: \"${{ vars.TARGET }}\"}}\n\
            \x20 d: {uses: other/repo/.github/workflows/x.yml@v1}\n",
        );
        let one = "on:\n  workflow_call:\n    inputs:\n      target: {type: string, required: true}\n      also: {type: string, default: canary}\n\
            jobs:\n\
            \x20 x: {runs-on: x, environment: \"${{ inputs.target }}\", steps: [{run: 'true'}]}\n\
            \x20 y: {uses: ./.github/workflows/two.yml, with: {name: \"${{ inputs.also }}-eu\"}}\n";
        let two = "on:\n  workflow_call:\n    inputs:\n      name: {type: string}\n\
            jobs:\n\
            \x20 z: {runs-on: x, environment: {name: \"${{ inputs.name }}\"}, steps: [{run: 'true'}]}\n\
            \x20 again: {uses: ./.github/workflows/two.yml, with: {name: again}}\n";
        let files = [(".github/workflows/one.yml", one), (".github/workflows/two.yml", two)];
        let called = files.map(|(path, text)| (path.to_owned(), parse(path, text))).into_iter().collect();
        let environments = |is_tag: bool| {
            let names = Planned::new(&root, &IndexMap::new(), "v1", is_tag).environments(&called);
            names.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(environments(true), "again canary-eu staging", "a circle of calls ends");
        assert_eq!(environments(false), "again canary-eu dev staging");
    }

    #[test]
    fn the_default_of_an_input_sees_the_inputs_of_its_own_workflow() {
        let parse = |name: &str, text: &str| parse_partial(&Source::new(name, text)).0.expect("a workflow");
        let root = parse(
            "d.yml",
            "on:\n  workflow_dispatch:\n    inputs:\n      to: {type: string, default: staging}\n\
            jobs: {a: {uses: ./.github/workflows/one.yml, with: {target: dev}}}\n",
        );
        let one = "on:\n  workflow_call:\n    inputs:\n      target: {type: string}\n\
            \x20     name: {type: string, default: \"${{ inputs.target }}-${{ github.ref_type }}\"}\n\
            \x20     to: {type: string, default: \"${{ inputs.to || 'canary' }}\"}\n\
            jobs:\n\
            \x20 x: {runs-on: x, environment: \"${{ inputs.name }}\", steps: [{run: 'true'}]}\n\
            \x20 y: {runs-on: x, environment: \"${{ inputs.to }}\", steps: [{run: 'true'}]}\n";
        let path = ".github/workflows/one.yml";
        let called = HashMap::from([(path.to_owned(), parse(path, one))]);
        let names = Planned::new(&root, &IndexMap::new(), "v1", true).environments(&called);
        let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        assert_eq!(names, "canary dev-tag", "the input `to` of the caller is another one");
    }

    #[test]
    fn an_environment_takes_the_refs_of_its_patterns() {
        let with = |branches: BranchRule| {
            let protection = Some(Protection { branches, ..Protection::default() });
            Environment { protection, ..Environment::named("staging") }
        };
        let patterns = with(BranchRule::Patterns(vec!["main".to_owned(), "release/*".to_owned()]));
        let refused = |environment: &Environment, git_ref: &str, is_tag: bool| {
            refusal(environment, "d.yml", git_ref, is_tag).map(|reason| reason.to_string())
        };
        let message = "d.yml on v1 is refused by staging, which takes main, release/*";
        assert_eq!(refused(&patterns, "v1", true).as_deref(), Some(message));
        assert_eq!(refused(&patterns, "release/2", false), None);
        assert_eq!(refused(&with(BranchRule::All), "v1", true), None);
        assert_eq!(refused(&with(BranchRule::Patterns(Vec::new())), "v1", true), None, "they are not known");
        assert!(refused(&with(BranchRule::Protected), "v1", true).is_some());
        assert_eq!(refused(&with(BranchRule::Protected), "main", false), None);
    }
}
