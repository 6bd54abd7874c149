//! Which environments a workflow deploys to, and which rules of them stop it.

use indexmap::IndexMap;

use crate::backend::github::workflows::BY_HAND;
use crate::model::environment::{BranchRule, Environment};
use crate::model::rollback::NoMethod;
use crate::workflow::expr::{Contexts, Expr, NoFiles, Object, Scope, Status, Value};
use crate::workflow::inputs::{declared, empty, typed};
use crate::workflow::pattern::deciding_pattern;
use crate::workflow::syntax::{JobBody, JobDefinition, Workflow};
use crate::workflow::template::{Piece, Template, TemplateKind};

/// Properties of the context `github` that are known before a run is started by hand.
const KNOWN: [&str; 3] = ["event_name", "ref_name", "ref_type"];

/// A workflow, as it would be started by hand.
pub(super) struct Planned<'w> {
    workflow: &'w Workflow,
    contexts: Contexts,
}

impl<'w> Planned<'w> {
    /// Plans a start with these inputs; the others have their defaults.
    pub(super) fn new(workflow: &'w Workflow, given: &IndexMap<String, String>, git_ref: &str, is_tag: bool) -> Self {
        let inputs = declared(workflow, BY_HAND).iter().map(|input| {
            let name = &input.name.value;
            let text = given.get(name).map(String::as_str);
            let text = text.or_else(|| input.default.as_ref().and_then(Template::literal));
            let value = text.and_then(|text| typed(&input.kind, Value::string(text)).ok());
            (name.clone(), value.unwrap_or_else(|| empty(&input.kind)))
        });
        let inputs = Value::object(inputs.collect());
        let kind = if is_tag { "tag" } else { "branch" };
        let github = [("event_name", BY_HAND), ("ref_name", git_ref), ("ref_type", kind)];
        let github: Object = github.into_iter().map(|(name, value)| (name, Value::string(value))).collect();
        Self { workflow, contexts: [("inputs", inputs), ("github", Value::object(github))].into_iter().collect() }
    }

    /// Returns the names of the environments that its jobs deploy to, without those of jobs that are skipped and of
    /// workflows that it calls. A name that is not known before the run is left out.
    pub(super) fn environments(&self) -> Vec<String> {
        let mut names: Vec<String> = self.workflow.jobs.iter().filter_map(|job| self.environment(job)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn environment(&self, job: &JobDefinition) -> Option<String> {
        let JobBody::Steps(steps) = &job.body else { return None };
        let written = steps.environment.as_ref()?;
        let name = written.entry("name").unwrap_or(written);
        let condition = &job.condition;
        if is_known(&condition.expr) && condition.decide(&self.scope()).0.is_ok_and(|runs| !runs) {
            return None;
        }
        let expressions: Vec<&Expr> = match &name.kind {
            TemplateKind::Expression(expr) => vec![expr],
            TemplateKind::Interpolated(pieces) => pieces.iter().filter_map(expression).collect(),
            _ => Vec::new(),
        };
        if !expressions.into_iter().all(is_known) {
            return None;
        }
        let name = name.evaluate(&self.scope()).ok()?.to_text();
        (!name.is_empty()).then_some(name)
    }

    fn scope(&self) -> Scope<'_> {
        Scope { contexts: &self.contexts, status: Status::default(), host: &NoFiles }
    }
}

/// Whether an expression reads only what is known before the run.
fn is_known(expr: &Expr) -> bool {
    expr.roots().iter().all(|read| {
        let context = &read.context.text;
        context.eq_ignore_ascii_case("inputs")
            || (context.eq_ignore_ascii_case("github") && KNOWN.iter().any(|known| read.names(known)))
    })
}

fn expression(piece: &Piece) -> Option<&Expr> {
    match piece {
        Piece::Expression(expr) => Some(expr),
        Piece::Text(_) => None,
    }
}

/// Returns why the rules of an environment do not take a branch or tag. `None` if they do, or are not known.
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

/// Returns what a deployment to an environment would wait for. `None` if for nothing, or if it is not known.
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
            Planned::new(&workflow, &given, "v1", is_tag).environments().join(" ")
        };
        assert_eq!(environments(&[], true), "canary staging tags");
        assert_eq!(environments(&[("to", "production"), ("quick", "true")], false), "canary production");
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
