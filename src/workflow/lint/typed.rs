//! Reports expressions of a wrong type, as far as the file determines the types of the contexts.

use super::jobs::{is_known, values_of};
use super::references::{collect, of_job, of_workflow};
use super::types::{Type, Typing, of_template};
use super::{add_steps, span_of};
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::expr::Expr;
use crate::workflow::parse::get;
use crate::workflow::source::Span;
use crate::workflow::syntax::{InputKind, JobBody, JobDefinition, StepAction, Strategy, Trigger, Workflow};
use crate::workflow::template::{Template, TemplateKind};

const RULE: &str = "expression-type";

/// String properties of the `github` context, from GitHub's page on contexts and the runner's source.
const GITHUB: &[&str] = &[
    "action",
    "action_path",
    "action_ref",
    "action_repository",
    "action_status",
    "actor",
    "actor_id",
    "api_url",
    "artifact_cache_size_limit",
    "base_ref",
    "env",
    "event_name",
    "event_path",
    "graphql_url",
    "head_ref",
    "job",
    "job_workflow_sha",
    "output",
    "path",
    "ref",
    "ref_name",
    "ref_type",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "repository_visibility",
    "repositoryUrl",
    "retention_days",
    "run_attempt",
    "run_id",
    "run_number",
    "secret_source",
    "server_url",
    "sha",
    "state",
    "step_summary",
    "token",
    "triggering_actor",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "workspace",
];

/// Types of the contexts of a workflow.
struct ContextTypes {
    github: Type,
    inputs: Type,
}

impl ContextTypes {
    fn of(workflow: &Workflow) -> Self {
        let mut github: Vec<_> = GITHUB.iter().map(|name| ((*name).to_owned(), Type::Text)).collect();
        github.push(("ref_protected".to_owned(), Type::Any));
        let form = workflow.triggers.iter().find(|trigger| trigger.event.value == "workflow_dispatch");
        // In the payload, inputs of `workflow_dispatch` are strings, whatever their type.
        let answers = form.map_or(Type::Any, |form| {
            Type::object(form.inputs.iter().map(|input| (input.name.value.as_str(), Type::Text)))
        });
        github
            .push(("event".to_owned(), Type::Object(vec![("inputs".to_owned(), answers)], Some(Box::new(Type::Any)))));
        Self {
            github: Type::Object(github, None),
            inputs: inputs(workflow.triggers.iter().flat_map(|trigger| &trigger.inputs)),
        }
    }

    /// Returns the type of a context, in a job whose matrix has the type `matrix`.
    fn context(&self, name: &str, matrix: &Type) -> Type {
        match name.to_ascii_lowercase().as_str() {
            "github" => self.github.clone(),
            "inputs" => self.inputs.clone(),
            "matrix" => matrix.clone(),
            "env" | "vars" | "secrets" => Type::of_names(Type::Text),
            "strategy" => Type::object([
                ("fail-fast", Type::Bool),
                ("job-index", Type::Number),
                ("job-total", Type::Number),
                ("max-parallel", Type::Number),
            ]),
            "runner" => Type::of_names(Type::Any),
            "steps" | "needs" | "jobs" => {
                let one = vec![("outputs".to_owned(), Type::of_names(Type::Text))];
                Type::of_names(Type::Object(one, Some(Box::new(Type::Text))))
            }
            "job" => {
                let service = [("id", Type::Text), ("network", Type::Text), ("ports", Type::of_names(Type::Text))];
                let named = [
                    ("container", Type::object([("id", Type::Text), ("network", Type::Text)])),
                    ("services", Type::of_names(Type::object(service))),
                ];
                let named = named.into_iter().map(|(name, of)| (name.to_owned(), of)).collect();
                Type::Object(named, Some(Box::new(Type::Any)))
            }
            _ => Type::Any,
        }
    }
}

fn inputs<'i>(inputs: impl Iterator<Item = &'i super::super::syntax::InputDefinition>) -> Type {
    let mut named: Vec<(String, Type)> = Vec::new();
    for input in inputs {
        let of = of_input(&input.kind);
        match named.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(&input.name.value)) {
            // Two events may declare the same input with different types.
            Some((_, known)) => *known = known.clone().or(of),
            None => named.push((input.name.value.clone(), of)),
        }
    }
    Type::Object(named, Some(Box::new(Type::Any)))
}

/// Returns the type of an input.
pub(super) fn of_input(kind: &InputKind) -> Type {
    match kind {
        InputKind::Boolean => Type::Bool,
        InputKind::Number => Type::Number,
        InputKind::String | InputKind::Choice(_) | InputKind::Environment => Type::Text,
    }
}

/// Reports expressions whose type is always wrong.
pub(super) fn check(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    let known = ContextTypes::of(workflow);
    let no_matrix = Type::of_names(Type::Any);
    let outside = |name: &str| known.context(name, &no_matrix);
    for (expr, span) in of_workflow(workflow) {
        type_errors(workflow, expr, span, &outside, found);
    }
    workflow.env.iter().for_each(|env| must_be_mapping("env", env, &outside, found));
    for trigger in &workflow.triggers {
        defaults(workflow, trigger, found);
    }
    for job in &workflow.jobs {
        let matrix = matrix(job, &outside);
        let context = |name: &str| known.context(name, &matrix);
        for (expr, span) in of_job(job) {
            type_errors(workflow, expr, span, &context, found);
        }
        check_values(workflow, job, &context, found);
    }
}

/// Reports an expression for a whole mapping whose value is never a mapping, for which the job fails on GitHub.
fn must_be_mapping(key: &str, value: &Template, context: &dyn Fn(&str) -> Type, found: &mut Vec<Diagnostic>) {
    let of = of_template(value, context);
    if matches!(value.kind, TemplateKind::Expression(_)) && !matches!(of, Type::Any | Type::Object(..)) {
        let message = format!("`{key}` must be a mapping, not {}", of.name());
        let hint = "write the entries, or an expression for an object, such as `fromJSON(…)`";
        found.push(Diagnostic::error(RULE, value.span, message).hint(hint));
    }
}

/// Returns the type of the `matrix` context in a job.
fn matrix(job: &JobDefinition, context: &dyn Fn(&str) -> Type) -> Type {
    let matrix = job.strategy.as_ref().and_then(Strategy::matrix);
    let Some(matrix) = matrix.filter(|matrix| is_known(matrix)) else { return Type::of_names(Type::Any) };
    let TemplateKind::Mapping(keys) = &matrix.kind else { return Type::of_names(Type::Any) };
    let included = get(matrix, "include").into_iter().flat_map(|include| match &include.kind {
        TemplateKind::Sequence(items) => items.as_slice(),
        _ => &[],
    });
    let keys = keys.iter().chain(included.flat_map(|item| match &item.kind {
        TemplateKind::Mapping(keys) => keys.as_slice(),
        _ => &[],
    }));
    let mut named: Vec<(String, Type)> = Vec::new();
    for key in keys.filter_map(|(key, _)| key.literal()).filter(|key| !matches!(*key, "include" | "exclude")) {
        if !named.iter().any(|(name, _)| name.eq_ignore_ascii_case(key)) {
            let values = values_of(matrix, key).into_iter().map(|value| of_template(value, context));
            named.push((key.to_owned(), Type::one_of(values)));
        }
    }
    Type::Object(named, Some(Box::new(Type::Any)))
}

fn type_errors(
    workflow: &Workflow,
    expr: &Expr,
    span: Span,
    context: &dyn Fn(&str) -> Type,
    found: &mut Vec<Diagnostic>,
) {
    let Some(tree) = expr.tree() else { return };
    let mut typing = Typing::new(expr.text(), context);
    typing.of(tree);
    for error in typing.errors {
        let spelled = expr.text().get(error.extent.start..error.extent.end).unwrap_or_default();
        // A name can also occur before the expression, so it is searched for within the expression.
        let location = span_of(&workflow.source, whole(workflow, expr, span), spelled);
        let warning = Diagnostic::warning(RULE, location, error.message);
        found.push(Diagnostic { hint: error.hint, ..warning });
    }
}

/// Returns the span of an expression, or of its whole value if the file spells the expression differently.
fn whole(workflow: &Workflow, expr: &Expr, span: Span) -> Span {
    span_of(&workflow.source, span, expr.text().trim())
}

/// Reports values of the wrong type in a job: scripts, `runs-on`, `credentials`, and expressions for whole mappings.
fn check_values(workflow: &Workflow, job: &JobDefinition, context: &dyn Fn(&str) -> Type, found: &mut Vec<Diagnostic>) {
    if let Some(Strategy::Computed(whole)) = &job.strategy {
        must_be_mapping("strategy", whole, context, found);
    }
    let JobBody::Steps(body) = &job.body else { return };
    let mut steps = Vec::new();
    add_steps(&body.steps, &mut steps);
    let of_job = body.env.iter().map(|env| ("env", env));
    let of_job = of_job.chain(body.defaults.computed.iter().map(|run| ("defaults.run", run)));
    let of_job = of_job.chain(body.services.computed().map(|services| ("services", services)));
    let of_steps = steps.iter().flat_map(|step| {
        let with = match &step.action {
            StepAction::Uses { with, .. } => with.computed(),
            _ => None,
        };
        step.env.iter().map(|env| ("env", env)).chain(with.map(|with| ("with", with)))
    });
    of_job.chain(of_steps).for_each(|(key, value)| must_be_mapping(key, value, context, found));
    for step in steps {
        let StepAction::Run { script, .. } = &step.action else { continue };
        let mut expressions = Vec::new();
        collect(script, &mut expressions);
        for (expr, span) in expressions {
            let Some(tree) = expr.tree() else { continue };
            let of = Typing::new(expr.text(), context).of(tree);
            let spelled = expr.text().trim();
            let (message, hint) = match of {
                Type::Null => {
                    let hint = "remove the expression".to_owned();
                    (format!("`{spelled}` is null: it becomes an empty string"), hint)
                }
                Type::Object(..) => {
                    let hint = format!("use `toJSON({spelled})` or a property");
                    (format!("`{spelled}` is an object: it becomes the string `Object`"), hint)
                }
                Type::Array(_) | Type::Filtered(_) => {
                    let hint = format!("use `toJSON({spelled})` or `join({spelled}, ' ')`");
                    (format!("`{spelled}` is an array: it becomes the string `Array`"), hint)
                }
                _ => continue,
            };
            found.push(Diagnostic::warning(RULE, whole(workflow, expr, span), message).hint(hint));
        }
    }
    let mut wanted = |value: &Template, fits: &dyn Fn(&Type) -> bool, what: &str, hint: &str| {
        let of = of_template(value, context);
        if !fits(&of) {
            let message = format!("{what}, not {}", of.name());
            found.push(Diagnostic::warning(RULE, value.span, message).hint(hint));
        }
    };
    let runs_on = |of: &Type| match of {
        Type::Object(names, others) => {
            others.is_some() || names.iter().any(|(name, _)| matches!(name.as_str(), "group" | "labels"))
        }
        other => !matches!(other, Type::Null),
    };
    let labels = "`runs-on` must be a label, an array of labels, or an object with `group` or `labels`";
    wanted(&body.runs_on, &runs_on, labels, "use the property that holds the label");
    let is_object = |of: &Type| matches!(of, Type::Any | Type::Object(..));
    let services = body.services.iter().map(|(_, service)| service);
    for credentials in body.container.iter().chain(services).filter_map(|container| get(container, "credentials")) {
        let object = "`credentials` must be an object with `username` and `password`";
        wanted(credentials, &is_object, object, "write both keys, or use `fromJSON` of a string with both");
    }
}

/// Reports defaults of inputs that have another type than the input, or read the input itself or one that comes later.
fn defaults(workflow: &Workflow, trigger: &Trigger, found: &mut Vec<Diagnostic>) {
    for (at, input) in trigger.inputs.iter().enumerate() {
        let Some(default) = &input.default else { continue };
        let before = inputs(trigger.inputs[..at].iter());
        let context = |name: &str| if name.eq_ignore_ascii_case("inputs") { before.clone() } else { Type::Any };
        let mut expressions = Vec::new();
        collect(default, &mut expressions);
        for (expr, span) in expressions {
            for reference in expr.roots().iter().filter(|root| root.context.text.eq_ignore_ascii_case("inputs")) {
                let late = trigger.inputs[at..].iter().any(|later| reference.names(&later.name.value));
                if late {
                    let text = &expr.text()[reference.extent.start..reference.extent.end];
                    let message = format!("`{text}` has no value yet: inputs are evaluated in file order");
                    let location = span_of(&workflow.source, span, text);
                    found.push(Diagnostic::warning(RULE, location, message).hint("move that input above this one"));
                }
            }
        }
        let of = of_template(default, &context);
        let fits =
            of == Type::Any || of == of_input(&input.kind) || !matches!(default.kind, TemplateKind::Expression(_));
        if !fits && input.kind != InputKind::String {
            let wanted = of_input(&input.kind).name();
            let message = format!("the default of `{}` must be {wanted}, not {}", input.name.value, of.name());
            let hint = "write a default of the input's type, or change `type`";
            found.push(Diagnostic::warning(RULE, default.span, message).hint(hint));
        }
    }
}
