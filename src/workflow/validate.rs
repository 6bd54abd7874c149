//! Validation after the schema: values of the right type that GitHub still rejects.

use super::cron;
use super::diagnostic::Diagnostic;
use super::parse::{entries, get};
use super::source::Span;
use super::template::{Template, TemplateKind};

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
        if matches!(event.value.as_str(), "workflow_dispatch" | "workflow_call") {
            get(value, "inputs").into_iter().flat_map(entries).for_each(|(_, input)| check_input(input, &mut found));
        }
    }
    for (_, job) in get(root, "jobs").into_iter().flat_map(entries) {
        check_job(job, &mut found);
    }
    found
}

/// Checks the syntax of a schedule.
fn check_cron(cron: &Template, found: &mut Vec<Diagnostic>) {
    let Some(Err(reason)) = cron.literal().filter(|text| !text.is_empty()).map(cron::check) else { return };
    let message = format!("invalid schedule `{}`: {reason}", cron.literal().unwrap_or_default());
    let hint = "write minute, hour, day of the month, month, day of the week: `30 5 * * 1-5`";
    found.push(Diagnostic::error("events", cron.span, message).hint(hint));
}

/// Checks that a default has the type of its input, and that a choice has options.
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
    let services = get(job, "services").into_iter().flat_map(entries).map(|(_, service)| service);
    get(job, "container").into_iter().chain(services).for_each(|container| check_container(container, found));
    if let Some(TemplateKind::Sequence(steps)) = get(job, "steps").map(|steps| &steps.kind) {
        steps.iter().filter_map(|step| get(step, "uses")).for_each(|uses| check_reference(uses, found));
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

/// Checks that a container written as a mapping has an image.
fn check_container(container: &Template, found: &mut Vec<Diagnostic>) {
    if let TemplateKind::Mapping(keys) = &container.kind
        && keys.iter().all(|(key, _)| key.literal().is_some())
        && get(container, "image").is_none()
    {
        found.push(error(container.span, "a container needs an `image`").hint("add `image: name:tag`"));
    }
}

/// Checks the `uses` of a step: `./folder`, `docker://image` or `owner/repository[/folder]@ref`.
fn check_reference(uses: &Template, found: &mut Vec<Diagnostic>) {
    let Some(text) = uses.literal() else { return };
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
        assert_eq!(lines(&job("steps: [{run: x, env: '${{ fromJSON(vars.x) }}'}]")), [5]);
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
}
