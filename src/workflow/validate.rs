//! Validation after the schema: reports values of the right type that GitHub still rejects.
//!
//! A workflow with errors from [`check`] does not run. Errors from [`check_tolerated`] never stop a run.

use super::cron;
use super::diagnostic::Diagnostic;
use super::locked;
use super::parse::{entries, get, is_computed};
use super::source::Span;
use super::template::{Template, TemplateKind};
use crate::model::nearest;

/// Maximum number of inputs of `workflow_dispatch`, as on GitHub.
const MAX_DISPATCH_INPUTS: usize = 25;

/// Validates a whole workflow.
pub(super) fn check(root: &Template) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (event, value) in get(root, "on").into_iter().flat_map(entries) {
        if let ("schedule", TemplateKind::Sequence(items)) = (event.value.as_str(), &value.kind) {
            items.iter().filter_map(|item| get(item, "cron")).for_each(|cron| check_cron(cron, &mut found));
        }
        if let ("workflow_dispatch", Some(inputs)) = (event.value.as_str(), get(value, "inputs"))
            && entries(inputs).count() > MAX_DISPATCH_INPUTS
        {
            let message = format!(
                "`workflow_dispatch` has {} inputs; GitHub allows {MAX_DISPATCH_INPUTS}",
                entries(inputs).count()
            );
            found.push(error(event.span, message).hint("combine some of them, or pass JSON in one input"));
        }
    }
    for input in inputs(root) {
        check_input(input, &mut found);
    }
    check_concurrency(root, &mut found);
    locked::check(root, &mut found);
    for (_, job) in get(root, "jobs").into_iter().flat_map(entries) {
        check_job(job, &mut found);
    }
    found
}

/// Reports errors that GitHub's editor shows although GitHub runs the workflow: a boolean or number as the default of a
/// text input, which GitHub converts to text, and an empty image of a job's container, with which no container is
/// started.
pub(super) fn check_tolerated(root: &Template) -> Vec<Diagnostic> {
    let wrong = |input: &Template| {
        let kind = get(input, "type").and_then(Template::literal).unwrap_or("string");
        let default = get(input, "default")
            .filter(|default| matches!(default.kind, TemplateKind::Bool(_) | TemplateKind::Number(..)))?;
        let written = default.literal().unwrap_or_default();
        let message = format!("the default of a `{kind}` input must be a string");
        let hint = format!("write `'{written}'` in quotes, or add `type: boolean` or `type: number`");
        let is_text = matches!(kind, "string" | "choice" | "environment");
        is_text.then(|| error(default.span, message).hint(hint))
    };
    let containers = get(root, "jobs").into_iter().flat_map(entries).filter_map(|(_, job)| get(job, "container"));
    let images =
        containers.filter(|container| !is_computed(container)).filter_map(|container| container.entry("image"));
    let empty = images
        .filter(|image| image.literal() == Some(""))
        .map(|image| error(image.span, "`image` must not be empty").hint("write `name:tag`, or remove `container`"));
    inputs(root).filter_map(wrong).chain(empty).collect()
}

/// Returns all inputs of `workflow_dispatch` and `workflow_call`.
fn inputs(root: &Template) -> impl Iterator<Item = &Template> {
    let events = get(root, "on").into_iter().flat_map(entries);
    let events = events.filter(|(event, _)| matches!(event.value.as_str(), "workflow_dispatch" | "workflow_call"));
    events.filter_map(|(_, event)| get(event, "inputs")).flat_map(entries).map(|(_, input)| input)
}

/// Checks the syntax of a schedule.
fn check_cron(cron: &Template, found: &mut Vec<Diagnostic>) {
    let Some(Err(reason)) = cron.literal().filter(|text| !text.is_empty()).map(cron::check) else { return };
    let message = format!("invalid schedule `{}`: {reason}", cron.literal().unwrap_or_default());
    let hint = "write minute, hour, day of the month, month, day of the week: `30 5 * * 1-5`";
    found.push(Diagnostic::error("events", cron.span, message).hint(hint));
}

/// Checks that the default of a boolean input is a boolean, and that exactly the inputs of type `choice` have options.
fn check_input(input: &Template, found: &mut Vec<Diagnostic>) {
    let kind = get(input, "type").and_then(Template::literal).unwrap_or("string");
    let options = get(input, "options");
    let none = options.is_none_or(|options| matches!(&options.kind, TemplateKind::Sequence(items) if items.is_empty()));
    if kind == "choice" && none {
        let hint = "add `options: [first, second]`";
        found.push(error(input.span, "an input of type `choice` needs `options`").hint(hint));
    } else if let (Some(options), true) = (options, kind != "choice") {
        let message = format!("`options` needs `type: choice`, not `{kind}`");
        found.push(error(options.span, message).hint("write `type: choice`, or remove the options"));
    }
    if let (Some(default), "boolean") = (get(input, "default"), kind)
        && matches!(default.kind, TemplateKind::Text(_) | TemplateKind::Number(..))
    {
        let hint = "write `true` or `false` without quotes";
        found.push(error(default.span, "the default of a `boolean` input must be `true` or `false`").hint(hint));
    }
}

fn check_job(job: &Template, found: &mut Vec<Diagnostic>) {
    if let Some(group) = get(job, "runs-on").and_then(|runs_on| get(runs_on, "group")) {
        check_group(group, found);
    }
    let matrix = get(job, "strategy").and_then(|strategy| get(strategy, "matrix"));
    for (name, values) in matrix.into_iter().flat_map(entries) {
        let vector = !matches!(name.value.as_str(), "include" | "exclude");
        if vector && matches!(&values.kind, TemplateKind::Sequence(items) if items.is_empty()) {
            let message = format!("the matrix key `{}` has no values", name.value);
            found.push(error(values.span, message).hint("add values, such as `[a, b]`, or remove the key"));
        }
    }
    if let Some(container) = get(job, "container") {
        check_container(container, true, found);
    }
    if let Some(services) = get(job, "services") {
        let may_be_empty = has_expression(services);
        entries(services).for_each(|(_, service)| check_container(service, may_be_empty, found));
    }
    check_concurrency(job, found);
    if let Some(TemplateKind::Sequence(steps)) = get(job, "steps").map(|steps| &steps.kind) {
        check_steps(steps, found);
    }
}

/// Checks the name of a runner group, which may have its owner as a prefix.
fn check_group(group: &Template, found: &mut Vec<Diagnostic>) {
    let Some((owner, name)) = group.literal().and_then(|name| name.split_once('/')) else { return };
    let known = matches!(owner, "org" | "organization" | "ent" | "enterprise");
    if !known || name.is_empty() || name.contains('/') {
        let message = format!("invalid runner group `{owner}/{name}`");
        found.push(error(group.span, message).hint("write `name`, `organization/name` or `enterprise/name`"));
    }
}

/// Checks the image of a container. An empty image, with which no container is started, is an error unless
/// `may_be_empty`. GitHub accepts it for the container of a job, and for a service only if `services` has an
/// expression.
fn check_container(container: &Template, may_be_empty: bool, found: &mut Vec<Diagnostic>) {
    let image = match &container.kind {
        TemplateKind::Mapping(_) if is_computed(container) => return,
        TemplateKind::Mapping(_) => {
            let Some(image) = container.entry("image") else {
                found.push(error(container.span, "a container needs an `image`").hint("add `image: name:tag`"));
                return;
            };
            image
        }
        _ => container,
    };
    let Some(literal) = image.literal() else { return };
    if literal == "docker://" || (literal.is_empty() && !may_be_empty) {
        found.push(error(image.span, "the image of a container must not be empty").hint("write `name:tag`"));
    }
}

/// Checks that `queue: max`, which keeps every run, is not combined with `cancel-in-progress`.
fn check_concurrency(owner: &Template, found: &mut Vec<Diagnostic>) {
    let Some(concurrency) = get(owner, "concurrency") else { return };
    let is = |key: &str, value: &str| get(concurrency, key).and_then(Template::literal) == Some(value);
    if let Some(queue) = get(concurrency, "queue").filter(|_| is("queue", "max") && is("cancel-in-progress", "true")) {
        let message = "`queue: max` cannot be combined with `cancel-in-progress: true`";
        let hint = "remove `cancel-in-progress` to run one after the other, or `queue` to keep only the newest";
        found.push(error(queue.span, message).hint(hint));
    }
}

fn has_expression(template: &Template) -> bool {
    match &template.kind {
        TemplateKind::Expression(_) | TemplateKind::Interpolated(_) => true,
        TemplateKind::Sequence(items) => items.iter().any(has_expression),
        TemplateKind::Mapping(entries) => {
            entries.iter().any(|(key, value)| has_expression(key) || has_expression(value))
        }
        _ => false,
    }
}

/// Checks the action references of steps and the rules of background steps, for example that `wait` and `cancel` name
/// earlier steps.
fn check_steps(steps: &[Template], found: &mut Vec<Diagnostic>) {
    let mut before: Vec<&str> = Vec::new();
    for step in steps {
        if let Some(uses) = get(step, "uses") {
            check_reference(uses, found);
        }
        let own = get(step, "id").and_then(Template::literal);
        let targets = ["wait", "cancel"].into_iter().filter_map(|key| get(step, key)).flat_map(items);
        targets.for_each(|target| check_target(target, own, &before, found));
        if let Some(value) = step.entry("wait-all").filter(|value| matches!(value.kind, TemplateKind::Bool(false))) {
            found.push(error(value.span, "`wait-all` must be `true` or empty").hint("write `wait-all:`"));
        }
        if let Some(TemplateKind::Sequence(inner)) = get(step, "parallel").map(|inner| &inner.kind) {
            check_parallel(inner, found);
            check_steps(inner, found);
        }
        before.extend(own);
    }
}

/// Reports keys that are not allowed in the steps of a `parallel` group, such as `wait`.
fn check_parallel(steps: &[Template], found: &mut Vec<Diagnostic>) {
    const CONTROL: &[&str] = &["wait", "wait-all", "cancel", "parallel", "background"];
    for (key, _) in steps.iter().flat_map(entries).filter(|(key, _)| CONTROL.contains(&key.value.as_str())) {
        let message = format!("`{}` is not allowed inside `parallel`", key.value);
        let hint = match key.value.as_str() {
            "background" => "remove it: all steps of the group run at once",
            "parallel" => "move the inner steps to the outer group",
            _ => "move it after the group, which ends when all of its steps have ended",
        };
        found.push(error(key.span, message).hint(hint));
    }
}

/// Checks a step id in `wait` or `cancel`.
fn check_target(target: &Template, own: Option<&str>, before: &[&str], found: &mut Vec<Diagnostic>) {
    let Some(id) = target.literal().filter(|id| !id.is_empty()) else { return };
    let (message, hint) = if own.is_some_and(|own| own.eq_ignore_ascii_case(id)) {
        (format!("the step `{id}` cannot wait for itself"), "name a background step before it".to_owned())
    } else if before.contains(&id) {
        return;
    } else {
        let hint = match nearest(id, before.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if before.is_empty() => "give an earlier step with `background: true` this `id`".to_owned(),
            None => format!("the steps before this one are {}", before.join(", ")),
        };
        (format!("no step before this one has the id `{id}`"), hint)
    };
    found.push(error(target.span, message).hint(hint));
}

/// Returns the items of a sequence, or the value itself.
fn items(value: &Template) -> &[Template] {
    match &value.kind {
        TemplateKind::Sequence(items) => items,
        _ => std::slice::from_ref(value),
    }
}

/// Checks the `uses` of a step: `./folder`, `$/folder`, `docker://image` or `owner/repository[/folder]@ref`.
fn check_reference(uses: &Template, found: &mut Vec<Diagnostic>) {
    let Some(text) = uses.literal() else { return };
    if let Some(path) = text.strip_prefix("$/").filter(|path| path.contains('@')) {
        let hint = format!(
            "write `$/{}`: it is the repository of the workflow at the same commit",
            path.split('@').next().unwrap_or_default()
        );
        found.push(error(uses.span, format!("`{text}` has a version")).hint(hint));
        return;
    }
    let local = ["./", ".\\", "$/", "docker://"].iter().any(|start| text.starts_with(start));
    let remote = text.split_once('@').is_some_and(|(name, version)| {
        let mut parts = name.split(['/', '\\']).filter(|part| !part.is_empty());
        parts.next().is_some() && parts.next().is_some() && !version.is_empty() && !version.contains('@')
    });
    if !local && !remote {
        let hint = "write `owner/repository@ref`, `./folder` or `docker://image`";
        found.push(error(uses.span, format!("invalid action reference `{text}`")).hint(hint));
    }
}

fn error(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(super::elaborate::SYNTAX, span, message)
}

#[cfg(test)]
mod tests {
    use crate::workflow::parse;
    use crate::workflow::source::Source;

    fn lines(text: &str) -> Vec<u32> {
        parse(&Source::new("a.yml", text)).diagnostics.iter().map(|found| found.span.line).collect()
    }

    fn job(body: &str) -> String {
        format!("on: push\njobs:\n  a:\n    runs-on: x\n    {body}\n")
    }

    #[test]
    fn invalid_values_are_reported_at_their_position() {
        for uses in ["a/b@v1", "a/b/c@main", "./x", "docker://alpine:3"] {
            assert_eq!(lines(&job(&format!("steps: [uses: '{uses}']"))), Vec::<u32>::new(), "{uses}");
        }
        for uses in ["a@v1", "a/b", "a/b@", "x"] {
            assert_eq!(lines(&job(&format!("steps: [uses: '{uses}']"))), [5], "{uses}");
        }
        assert_eq!(lines(&job("steps: [{run: x, env: '${{ fromJSON(vars.x) }}'}]")), Vec::<u32>::new());
        assert!(!lines(&job("outputs: '${{ fromJSON(vars.x) }}'")).is_empty());
        assert_eq!(lines(&job("strategy: {matrix: {os: []}}")), [5]);
        assert_eq!(lines(&job("container: {options: -x}")), [5]);
        assert_eq!(lines(&job("container: {image: alpine}")), Vec::<u32>::new());
        for (group, good) in [("a", true), ("org/a", true), ("asdf/a", false), ("ent/", false), ("org/a/b", false)] {
            let text = format!("on: push\njobs:\n  a:\n    runs-on:\n      group: {group}\n");
            assert_eq!(lines(&text).is_empty(), good, "{group}");
        }
    }

    #[test]
    fn the_number_of_dispatch_inputs_is_limited() {
        let with = |count: usize| {
            let inputs: Vec<_> = (0..count).map(|number| format!("      i{number}: {{type: string}}")).collect();
            let inputs = inputs.join("\n");
            lines(&format!("on:\n  workflow_dispatch:\n    inputs:\n{inputs}\njobs: {{a: {{runs-on: x}}}}\n"))
        };
        assert_eq!(with(25), Vec::<u32>::new());
        assert_eq!(with(26), [2]);
    }

    #[test]
    fn options_and_defaults_of_inputs_are_checked() {
        let input = |keys: &str| format!("on: {{workflow_dispatch: {{inputs: {{a: {{{keys}}}}}}}}}\n");
        let whole = |keys: &str| lines(&(input(keys) + "jobs: {a: {runs-on: x}}\n"));
        for keys in ["type: choice, options: [a]", "type: boolean, default: true", "default: x"] {
            assert_eq!(whole(keys), Vec::<u32>::new(), "{keys}");
        }
        for keys in ["type: choice", "options: [a]", "type: boolean, default: 'true'"] {
            assert_eq!(whole(keys), [1], "{keys}");
        }
    }

    #[test]
    fn the_default_of_a_text_input_must_be_text_but_never_stops_a_run() {
        let input = |keys: &str| {
            let text =
                format!("on: {{workflow_dispatch: {{inputs: {{a: {{{keys}}}}}}}}}\njobs: {{a: {{runs-on: x}}}}\n");
            let parsed = parse(&Source::new("a.yml", text));
            (parsed.diagnostics.len(), parsed.value.is_some())
        };
        for wrong in [
            "default: true",
            "type: string, default: 3",
            "type: choice, options: [a], default: 1",
            "type: environment, default: false",
        ] {
            assert_eq!(input(wrong), (1, true), "{wrong}");
        }
        for right in ["default: 'true'", "type: number, default: 3", "type: boolean, default: true", "default: "] {
            assert_eq!(input(right), (0, true), "{right}");
        }
    }

    #[test]
    fn a_queue_that_keeps_everything_cannot_cancel() {
        let both = |keys: &str| {
            let of_job = lines(&job(&format!("concurrency: {{group: g, {keys}}}")));
            let of_all = lines(&format!("on: push\nconcurrency: {{group: g, {keys}}}\njobs: {{a: {{runs-on: x}}}}\n"));
            (of_job, of_all)
        };
        let good = (vec![], vec![]);
        assert_eq!(both("queue: max"), good);
        assert_eq!(both("queue: single, cancel-in-progress: true"), good);
        assert_eq!(both("queue: max, cancel-in-progress: false"), good);
        assert_eq!(both("queue: max, cancel-in-progress: true"), (vec![5], vec![2]));
        assert_eq!(both("queue: many"), (vec![5], vec![2]));
    }

    #[test]
    fn an_empty_image_starts_no_container() {
        let tolerated = parse(&Source::new("a.yml", job("container: {image: ''}")));
        assert!(tolerated.value.is_some() && tolerated.diagnostics.len() == 1);
        for good in ["container: ''", "services: {a: {image: ''}, b: '${{ github.x }}'}"] {
            assert_eq!(lines(&job(good)), Vec::<u32>::new(), "{good}");
        }
        for bad in
            ["container: 'docker://'", "services: {a: {image: ''}}", "services: {a: ''}", "container: {options: x}"]
        {
            assert_eq!(lines(&job(bad)), [5], "{bad}");
        }
    }

    #[test]
    fn background_steps_follow_githubs_rules() {
        let steps = |steps: &str| lines(&job(&format!("steps:\n      - {}", steps.replace('\n', "\n      - "))));
        for good in [
            "{id: a, run: x, background: true}\nwait: a",
            "{id: a, run: x, background: true}\n{id: b, uses: a/b@v1, background: true}\n{name: n, wait: [a, b], continue-on-error: true}",
            "{id: a, run: x, background: true}\ncancel: a\nwait-all:\nwait-all: true",
            "parallel: [{run: x}, {uses: a/b@v1, id: c}]",
        ] {
            assert_eq!(steps(good), Vec::<u32>::new(), "{good}");
        }
        for (bad, line) in [
            ("wait: a\n{id: a, run: x, background: true}", 6),
            ("{id: a, run: x, background: true}\nwait: [a, b]", 7),
            ("{id: a, run: x, background: true}\n{id: c, cancel: c}", 7),
            ("{id: a, run: x, background: true}\n{wait: a, if: always()}", 7),
            ("wait-all: false", 6),
            ("parallel: [{run: x, background: true}]", 6),
            ("parallel: [{parallel: [{run: x}]}]", 6),
            ("parallel: [{wait-all: }]", 6),
            ("{parallel: [{run: x}], name: n}", 6),
            ("parallel: [{run: x, id: a}, {run: x, id: a}]", 6),
            ("{run: x, background: sure}", 6),
        ] {
            assert_eq!(steps(bad), [line], "{bad}");
        }
        assert_eq!(steps("uses: $/act"), Vec::<u32>::new());
        assert_eq!(steps("uses: $/act@v1"), [6]);
    }
}
