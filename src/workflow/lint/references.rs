//! Reports undefined inputs, secrets, outputs, steps and matrix keys in expressions.

use super::jobs::{is_known, values_of};
use super::{add_steps, span_of};
use crate::model::nearest;
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::expr::{Expr, ExprKind, Function, PathKey, Reference, Value};
use crate::workflow::source::Span;
use crate::workflow::syntax::{
    CallSecrets, Concurrency, Condition, JobBody, JobDefinition, RunDefaults, Steering, StepAction, StepDefinition,
    Strategy, Workflow,
};
use crate::workflow::template::{Piece, Template, TemplateKind};

/// Secrets that GitHub always provides.
const PREDEFINED_SECRETS: &[&str] = &["GITHUB_TOKEN", "ACTIONS_RUNNER_DEBUG", "ACTIONS_STEP_DEBUG"];

/// An expression and the span of the value that contains it.
pub(super) type SpannedExpr<'w> = (&'w Expr, Span);

/// Reports names that the file does not define, and results that are read before their step has ended. Their value is
/// empty on GitHub.
pub(super) fn check(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    let mut everywhere = of_workflow(workflow);
    let mut results = Vec::new();
    for trigger in &workflow.triggers {
        trigger.outputs.iter().for_each(|(_, value)| collect(value, &mut results));
        trigger
            .inputs
            .iter()
            .filter_map(|input| input.default.as_ref())
            .for_each(|value| collect(value, &mut everywhere));
    }
    outputs_of_jobs(workflow, &results, found);
    everywhere.extend(results);
    for job in &workflow.jobs {
        let own = of_job(job);
        steps_and_matrix(workflow, job, &own, found);
        outputs_of_needs(workflow, job, &own_outputs, found);
        everywhere.extend(own);
    }
    inputs_and_secrets(workflow, &everywhere, found);
}

/// Reports calls of `fromJSON` that fail in every run, and placeholders and arguments of `format` that do not match.
pub(super) fn calls(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for (expr, span) in workflow.jobs.iter().flat_map(|job| of_job(job)) {
        expr.walk(&mut |node| {
            let ExprKind::Call { function, arguments, .. } = &node.kind else { return };
            let Some(ExprKind::Literal(Value::String(text))) = arguments.first().map(|first| &first.kind) else {
                return;
            };
            let spelled = &expr.text()[node.extent.start..node.extent.end];
            let location = span_of(&workflow.source, span, spelled);
            match function {
                Function::FromJson => {
                    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
                        let message = format!("`{spelled}` fails in every run: {error}");
                        let hint = "JSON needs closed brackets and double quotes: fromJSON('{\"a\": [1]}')";
                        found.push(Diagnostic::error("expression", location, message).hint(hint));
                    }
                }
                Function::Format => {
                    let given = arguments.len() - 1;
                    let named = placeholders(text);
                    if let Some(beyond) = named.iter().find(|number| **number >= given) {
                        let message = format!("`{{{beyond}}}` has no argument: the call has {given}");
                        let hint = "placeholders count from `{0}`; write `{{` for a literal brace";
                        found.push(Diagnostic::warning("expression", location, message).hint(hint));
                    } else if let Some(unused) = (0..given).find(|number| !named.contains(number)) {
                        let message = format!("the argument for `{{{unused}}}` is never used");
                        let hint = format!("add `{{{unused}}}` to the format string, or remove the argument");
                        found.push(Diagnostic::warning("expression", location, message).hint(hint));
                    }
                }
                _ => {}
            }
        });
    }
}

/// Returns the numbers of `{0}`, `{1}`, … in a format string; `{{` is a literal brace.
fn placeholders(text: &str) -> Vec<usize> {
    let plain = text.replace("{{", "").replace("}}", "");
    let inside = plain.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    inside.filter_map(|(number, _)| number.parse().ok()).collect()
}

fn inputs_and_secrets(workflow: &Workflow, expressions: &[SpannedExpr<'_>], found: &mut Vec<Diagnostic>) {
    let inputs: Vec<_> =
        workflow.triggers.iter().flat_map(|trigger| &trigger.inputs).map(|input| &*input.name.value).collect();
    let only_called = workflow.triggers.iter().all(|trigger| trigger.event.value == "workflow_call");
    let declared: Vec<_> =
        workflow.triggers.iter().flat_map(|trigger| &trigger.secrets).map(|(name, _)| &*name.value).collect();
    for_each(expressions, |expr, span, reference| match first(reference) {
        Some(("inputs", name)) if !knows(&inputs, name) => {
            found.push(unknown(workflow, expr, span, reference, name, "the workflow has no input", &inputs));
        }
        // Without a declaration the caller may pass any secret with `secrets: inherit`.
        Some(("secrets", name))
            if only_called && !declared.is_empty() && !knows(&declared, name) && !knows(PREDEFINED_SECRETS, name) =>
        {
            found.push(unknown(workflow, expr, span, reference, name, "`workflow_call` declares no secret", &declared));
        }
        _ => {}
    });
}

fn outputs_of_jobs(workflow: &Workflow, expressions: &[SpannedExpr<'_>], found: &mut Vec<Diagnostic>) {
    let ids: Vec<_> = workflow.jobs.iter().map(|job| &*job.id.value).collect();
    for_each(expressions, |expr, span, reference| {
        let Some(("jobs", id)) = first(reference) else { return };
        match workflow.jobs.iter().find(|job| job.id.value.eq_ignore_ascii_case(id)) {
            None => found.push(unknown(workflow, expr, span, reference, id, "the workflow has no job", &ids)),
            Some(job) => output(workflow, job, expr, span, reference, &own_outputs, found),
        }
    });
}

/// Reports undefined outputs of needed jobs. `outputs` returns the outputs of a job, or `None` if they are not known.
pub(super) fn outputs_of_needs(
    workflow: &Workflow,
    job: &JobDefinition,
    outputs: &dyn Fn(&JobDefinition) -> Option<Vec<String>>,
    found: &mut Vec<Diagnostic>,
) {
    for_each(&of_job(job), |expr, span, reference| {
        let Some(("needs", id)) = first(reference) else { return };
        let needed = workflow.jobs.iter().find(|job| job.id.value.eq_ignore_ascii_case(id));
        if let Some(needed) = needed.filter(|_| job.needs.iter().any(|need| need.value.eq_ignore_ascii_case(id))) {
            output(workflow, needed, expr, span, reference, outputs, found);
        }
    });
}

/// Reports the reference if it reads an output that the job does not have.
fn output(
    workflow: &Workflow,
    job: &JobDefinition,
    expr: &Expr,
    span: Span,
    reference: &Reference<'_>,
    outputs: &dyn Fn(&JobDefinition) -> Option<Vec<String>>,
    found: &mut Vec<Diagnostic>,
) {
    if let [_, PathKey::Name(property, _), PathKey::Name(name, _), ..] = reference.path.as_slice()
        && property.eq_ignore_ascii_case("outputs")
        && let Some(outputs) = outputs(job)
    {
        let outputs: Vec<_> = outputs.iter().map(String::as_str).collect();
        if !knows(&outputs, name) {
            let what = format!("the job `{}` has no output", job.id.value);
            found.push(unknown(workflow, expr, span, reference, name, &what, &outputs));
        }
    }
}

/// Returns the outputs of a job with steps; `None` for a job that calls a workflow, whose outputs are in another file.
fn own_outputs(job: &JobDefinition) -> Option<Vec<String>> {
    match &job.body {
        JobBody::Steps(body) => Some(body.outputs.iter().map(|(name, _)| name.value.clone()).collect()),
        JobBody::Call { .. } => None,
    }
}

fn steps_and_matrix(
    workflow: &Workflow,
    job: &JobDefinition,
    expressions: &[SpannedExpr<'_>],
    found: &mut Vec<Diagnostic>,
) {
    let mut all = Vec::new();
    if let JobBody::Steps(body) = &job.body {
        add_steps(&body.steps, &mut all);
        earlier_steps(workflow, &body.steps, &all, &mut Earlier::default(), found);
    }
    let ids: Vec<_> = all.iter().map(|step| step.id.as_str()).collect();
    let needs: Vec<_> = job.needs.iter().map(|need| need.value.as_str()).collect();
    for_each(expressions, |expr, span, reference| match first(reference) {
        Some(("steps", id)) if !knows(&ids, id) => {
            let chosen: Vec<_> = ids.iter().copied().filter(|id| !id.starts_with("__")).collect();
            found.push(unknown(workflow, expr, span, reference, id, "the job has no step with the id", &chosen));
        }
        Some(("needs", id)) if !knows(&needs, id) => {
            found.push(unknown(workflow, expr, span, reference, id, "the job does not need", &needs));
        }
        Some(("matrix", key)) if !may_have(job.strategy.as_ref(), key) => {
            found.push(unknown(workflow, expr, span, reference, key, "the matrix of the job has no", &[]));
        }
        _ => {}
    });
}

/// The steps before a step, by whether their results are available to it.
#[derive(Default)]
struct Earlier<'w> {
    ended: Vec<&'w str>,
    /// Background steps that no step has waited for.
    background: Vec<&'w str>,
}

impl<'w> Earlier<'w> {
    /// Adds a step, and marks the background steps for which it waits as ended.
    fn add(&mut self, step: &'w StepDefinition) {
        match &step.action {
            StepAction::Steer(Steering::Wait(ids)) => ids.iter().for_each(|id| self.wait(&id.value)),
            StepAction::Steer(Steering::Cancel(id)) => self.wait(&id.value),
            StepAction::Steer(Steering::WaitAll) => self.ended.append(&mut self.background),
            _ => {}
        }
        if step.background { &mut self.background } else { &mut self.ended }.push(&step.id);
    }

    fn wait(&mut self, id: &str) {
        if let Some(at) = self.background.iter().position(|known| known.eq_ignore_ascii_case(id)) {
            self.ended.push(self.background.remove(at));
        }
    }
}

/// Reports steps that read the results of a step that has not ended before them.
fn earlier_steps<'w>(
    workflow: &Workflow,
    steps: &'w [StepDefinition],
    all: &[&StepDefinition],
    earlier: &mut Earlier<'w>,
    found: &mut Vec<Diagnostic>,
) {
    for step in steps {
        if let StepAction::Steer(Steering::Parallel(inner)) = &step.action {
            // The steps run at the same time, so none of them sees another. The group waits for all of them.
            for one in inner {
                step_reads(workflow, one, all, earlier, found);
            }
            earlier.ended.extend(inner.iter().map(|one| one.id.as_str()));
        } else {
            step_reads(workflow, step, all, earlier, found);
        }
        earlier.add(step);
    }
}

fn step_reads(
    workflow: &Workflow,
    step: &StepDefinition,
    all: &[&StepDefinition],
    earlier: &Earlier<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let mut expressions = Vec::new();
    of_step(step, &mut expressions);
    for_each(&expressions, |expr, span, reference| {
        let Some(("steps", id)) = first(reference) else { return };
        if !all.iter().any(|known| known.id.eq_ignore_ascii_case(id)) || knows(&earlier.ended, id) {
            return;
        }
        let text = &expr.text()[reference.extent.start..reference.extent.end];
        let location = span_of(&workflow.source, span, text);
        let (message, hint) = if knows(&earlier.background, id) {
            let hint = format!("write a step with `wait: {id}` before this one");
            (format!("the background step `{id}` may still run, so `{text}` is empty"), hint)
        } else {
            let hint = "a step sees the results of the steps before it: read it in a later step, or move this one";
            (format!("no step before this one has the id `{id}`, so `{text}` is empty"), hint.to_owned())
        };
        found.push(Diagnostic::warning("expression", location, message).hint(hint));
    });
}

/// Whether a matrix may have a key.
fn may_have(strategy: Option<&Strategy>, key: &str) -> bool {
    let Some(strategy) = strategy else { return false };
    match strategy.matrix() {
        Some(matrix) => !is_known(matrix) || !values_of(matrix, key).is_empty(),
        None => matches!(strategy, Strategy::Computed(_)),
    }
}

/// Returns the name of the context in lower case, and the first name read from it. `None` if the context is not checked
/// here, or if the name is computed.
fn first<'r>(reference: &'r Reference<'_>) -> Option<(&'static str, &'r str)> {
    const CONTEXTS: &[&str] = &["inputs", "secrets", "jobs", "needs", "steps", "matrix"];
    let context = CONTEXTS.iter().find(|name| name.eq_ignore_ascii_case(&reference.context.text))?;
    match reference.path.first()? {
        PathKey::Name(name, _) => Some((context, name)),
        PathKey::Every | PathKey::Computed(_) => None,
    }
}

fn knows(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn unknown(
    workflow: &Workflow,
    expr: &Expr,
    span: Span,
    reference: &Reference<'_>,
    name: &str,
    what: &str,
    known: &[&str],
) -> Diagnostic {
    let text = &expr.text()[reference.extent.start..reference.extent.end];
    let location = span_of(&workflow.source, span, text);
    let found = Diagnostic::warning("expression", location, format!("{what} `{name}`, so `{text}` is empty"));
    match nearest(name, known.iter().copied()) {
        Some(near) => found.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => found.hint(match first(reference) {
            Some(("inputs", _)) => "declare it under `inputs` of `workflow_dispatch` or `workflow_call`",
            Some(("secrets", _)) => "declare it under `secrets` of `workflow_call`",
            Some(("steps", _)) => "give a step of this job, before this one, that `id`",
            Some(("needs", _)) => "add it to `needs` of the job",
            Some(("matrix", _)) => "add it to `strategy.matrix` of the job",
            _ => "declare it under `outputs` of that job",
        }),
        None => found.hint(format!("available: {}", known.join(", "))),
    }
}

fn for_each<'e>(expressions: &[SpannedExpr<'e>], mut visit: impl FnMut(&'e Expr, Span, &Reference<'e>)) {
    for (expr, span) in expressions {
        expr.roots().iter().for_each(|reference| visit(expr, *span, reference));
    }
}

/// Returns all expressions outside jobs and events.
pub(super) fn of_workflow(workflow: &Workflow) -> Vec<SpannedExpr<'_>> {
    let mut found = Vec::new();
    workflow.run_name.iter().chain(&workflow.env).for_each(|template| collect(template, &mut found));
    workflow.concurrency.iter().for_each(|of_all| concurrency(of_all, &mut found));
    found
}

fn concurrency<'w>(concurrency: &'w Concurrency, found: &mut Vec<SpannedExpr<'w>>) {
    concurrency.values().for_each(|value| collect(value, found));
}

/// Returns all expressions of a job.
pub(super) fn of_job(job: &JobDefinition) -> Vec<SpannedExpr<'_>> {
    let mut found = Vec::new();
    job.name.iter().for_each(|name| collect(name, &mut found));
    condition(&job.condition, &mut found);
    job.strategy.iter().flat_map(Strategy::values).for_each(|part| collect(part, &mut found));
    job.concurrency.iter().for_each(|of_job| concurrency(of_job, &mut found));
    match &job.body {
        JobBody::Call { with, secrets, .. } => {
            let named = if let CallSecrets::Named(named) = secrets { named.as_slice() } else { &[] };
            with.iter().chain(named).for_each(|(_, value)| collect(value, &mut found));
        }
        JobBody::Steps(body) => {
            collect(&body.runs_on, &mut found);
            let limits = [&body.timeout_minutes, &body.cancel_timeout_minutes];
            let parts = [&body.environment, &body.env, &body.continue_on_error, &body.container];
            let RunDefaults { shell, working_directory, computed } = &body.defaults;
            let defaults = [shell, working_directory, computed];
            limits.into_iter().chain(parts).chain(defaults).flatten().for_each(|part| collect(part, &mut found));
            body.snapshot.iter().for_each(|snapshot| condition(&snapshot.condition, &mut found));
            let outputs = body.outputs.iter().map(|(_, value)| value);
            outputs.chain(body.services.values()).for_each(|value| collect(value, &mut found));
            body.steps.iter().for_each(|step| of_step(step, &mut found));
        }
    }
    found
}

/// Collects all expressions of a step.
pub(super) fn of_step<'w>(step: &'w StepDefinition, found: &mut Vec<SpannedExpr<'w>>) {
    condition(&step.condition, found);
    let parts = [&step.name, &step.env, &step.continue_on_error, &step.timeout_minutes];
    parts.into_iter().flatten().for_each(|part| collect(part, found));
    match &step.action {
        StepAction::Run { script, shell, working_directory } => {
            collect(script, found);
            shell.iter().chain(working_directory).for_each(|part| collect(part, found));
        }
        StepAction::Uses { with, .. } => with.values().for_each(|value| collect(value, found)),
        StepAction::Steer(Steering::Parallel(steps)) => steps.iter().for_each(|step| of_step(step, found)),
        StepAction::Steer(_) => {}
    }
}

fn condition<'w>(condition: &'w Condition, found: &mut Vec<SpannedExpr<'w>>) {
    if let Some(written) = &condition.written {
        found.push((&condition.expr, written.span));
    }
}

/// Collects all expressions in a value.
pub(super) fn collect<'w>(template: &'w Template, found: &mut Vec<SpannedExpr<'w>>) {
    match &template.kind {
        TemplateKind::Expression(expr) => found.push((expr, template.span)),
        TemplateKind::Interpolated(pieces) => {
            for piece in pieces {
                if let Piece::Expression(expr) = piece {
                    found.push((expr, template.span));
                }
            }
        }
        TemplateKind::Sequence(items) => items.iter().for_each(|item| collect(item, found)),
        TemplateKind::Mapping(entries) => {
            for (key, value) in entries {
                collect(key, found);
                collect(value, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::workflow::parse_partial;
    use crate::workflow::schema::workflow::ROOT;
    use crate::workflow::schema::{Fields, Schema, Shape};
    use crate::workflow::source::Source;

    /// How deep mappings and sequences are searched. Steps are nested without limit.
    const DEPTH: usize = 9;

    /// Returns a small valid value.
    fn least(schema: &Schema) -> Value {
        match &schema.shape {
            Shape::Nothing => Value::Null,
            Shape::Bool => json!(true),
            Shape::Number => json!(1),
            Shape::Word { allowed, .. } => json!(allowed[0]),
            Shape::Condition => json!("true"),
            Shape::Text { .. } | Shape::Scalar | Shape::Any => json!("x"),
            Shape::Sequence(item) => json!([least(item)]),
            Shape::Mapping(fields) => Value::Object(required(fields)),
            Shape::OneOf(schemas) => least(schemas[0]),
        }
    }

    /// Returns the required keys of a mapping.
    fn required(fields: &Fields) -> Map<String, Value> {
        let keys = fields.known.iter().filter(|field| field.required);
        keys.map(|field| (field.name.to_owned(), least(field.schema))).collect()
    }

    /// Returns small values, each with an expression at one of the places at which the schema allows expressions.
    fn places(schema: &Schema, is_available: bool, depth: usize) -> Vec<Value> {
        let is_available = is_available || schema.availability.is_some();
        if depth == 0 {
            return Vec::new();
        }
        let expression = json!("${{ github.sha }}");
        let whole = (is_available && schema.accepts_expression).then(|| expression.clone());
        let inside = |schema: &Schema| places(schema, is_available, depth - 1);
        let inner: Vec<Value> = match &schema.shape {
            Shape::OneOf(schemas) => {
                return schemas.iter().flat_map(|schema| places(schema, is_available, depth)).collect();
            }
            Shape::Nothing => return Vec::new(),
            Shape::Text { many: true, .. } | Shape::Word { many: true, .. } if is_available => {
                vec![json!(["x", expression])]
            }
            Shape::Sequence(item) => inside(item).into_iter().map(|value| json!([value])).collect(),
            Shape::Mapping(fields) => {
                let known = fields.known.iter().map(|field| (field.name, field.schema));
                let others = fields.others.map(|schema| ("other", schema));
                let with = |name: &str, value: Value| {
                    let mut mapping = required(fields);
                    mapping.insert(name.to_owned(), value);
                    Value::Object(mapping)
                };
                known
                    .chain(others)
                    .flat_map(|(name, of)| inside(of).into_iter().map(move |value| with(name, value)))
                    .collect()
            }
            _ => Vec::new(),
        };
        inner.into_iter().chain(whole).collect()
    }

    /// Returns all expressions of a workflow.
    fn all_of(workflow: &Workflow) -> Vec<SpannedExpr<'_>> {
        let mut found = of_workflow(workflow);
        for trigger in &workflow.triggers {
            trigger.outputs.iter().for_each(|(_, value)| collect(value, &mut found));
            trigger
                .inputs
                .iter()
                .filter_map(|input| input.default.as_ref())
                .for_each(|value| collect(value, &mut found));
        }
        workflow.jobs.iter().for_each(|job| found.extend(of_job(job)));
        found
    }

    #[test]
    fn every_expression_of_a_workflow_is_checked() {
        let all = places(&ROOT, false, DEPTH);
        assert!(all.len() > 100, "{}", all.len());
        let is_missed = |text: &String| {
            let (workflow, _) = parse_partial(&Source::new("a.yml", text.as_str()));
            all_of(&workflow.expect("a workflow")).is_empty()
        };
        let missed: Vec<String> = all.iter().map(Value::to_string).filter(is_missed).collect();
        assert!(missed.is_empty(), "{} of {}:\n{}", missed.len(), all.len(), missed.join("\n"));
    }
}
