//! Checks `on`: filters, schedules and inputs.

use crate::workflow::cron;
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::pattern::FilterPattern;
use crate::workflow::syntax::{InputDefinition, InputKind, Trigger, Workflow};

/// Minimum interval of a schedule on GitHub, in minutes.
const MIN_INTERVAL: u32 = 5;

/// Reports conflicting or empty filters, schedules that GitHub would not run as written, and invalid options and
/// defaults of inputs.
pub(super) fn check(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for trigger in &workflow.triggers {
        exclusive(trigger, found);
        for (filter, _) in trigger.filters.iter().filter(|(_, patterns)| patterns.is_empty()) {
            let message = format!("`{}` of `{}` is empty", filter.value, trigger.event.value);
            let hint = "add patterns, such as `[main, 'release/**']`, or remove the key";
            found.push(Diagnostic::warning("events", filter.span, message).hint(hint));
        }
        trigger.inputs.iter().for_each(|input| values(input, found));
        if trigger.event.value == "schedule" && trigger.schedules.is_empty() {
            let message = "`schedule` without a `cron` never runs";
            found.push(
                Diagnostic::warning("events", trigger.event.span, message)
                    .hint("write `schedule: [{cron: '0 3 * * *'}]`"),
            );
        }
        for input in trigger.inputs.iter().filter(|input| input.required && trigger.event.value == "workflow_call") {
            if let Some(default) = &input.default {
                let message = format!("the default of `{}` is never used: the input is required", input.name.value);
                let hint = "remove `default` or `required: true`";
                found.push(Diagnostic::warning("events", default.span, message).hint(hint));
            }
        }
        for (written, timezone) in &trigger.schedules {
            if let Some(minutes) = cron::interval(&written.value).filter(|minutes| *minutes < MIN_INTERVAL) {
                let message = format!(
                    "`{}` runs every {minutes} min; GitHub's shortest interval is {MIN_INTERVAL} min",
                    written.value
                );
                found.push(Diagnostic::warning("events", written.span, message).hint("write `*/5` for the minutes"));
            }
            if let Some(zone) = timezone.as_ref().filter(|zone| !is_zone(&zone.value)) {
                let message = format!("unknown time zone `{}`", zone.value);
                let hint = "write a name of the IANA time zone database, such as `Europe/Berlin`";
                found.push(Diagnostic::warning("events", zone.span, message).hint(hint));
            }
        }
    }
}

/// Areas of the IANA time zone database. Most of its names begin with an area, such as `Europe/Berlin`.
const AREAS: &[&str] = &[
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Etc",
    "Europe",
    "Indian",
    "Pacific",
    "US",
    "Canada",
    "Brazil",
    "Chile",
    "Mexico",
];

/// Whether a name has the form of a name in the IANA time zone database: an area and a place, or one word such as
/// `UTC`.
fn is_zone(name: &str) -> bool {
    match name.split_once('/') {
        Some((area, place)) => AREAS.contains(&area) && place.starts_with(|c: char| c.is_ascii_uppercase()),
        None => name.starts_with(|c: char| c.is_ascii_uppercase()),
    }
}

/// Checks that the options of a choice are distinct, and that the default of a choice or number is valid.
fn values(input: &InputDefinition, found: &mut Vec<Diagnostic>) {
    let default = input.default.as_ref().and_then(|default| Some((default.literal()?, default.span)));
    let default = default.filter(|(text, _)| !text.is_empty());
    match (&input.kind, default) {
        (InputKind::Choice(options), default) => {
            let twice = options.iter().enumerate().find(|(position, option)| options[..*position].contains(option));
            if let Some((_, option)) = twice {
                let message = format!("duplicate option `{option}` of `{}`", input.name.value);
                let hint = "remove one of the two";
                found.push(Diagnostic::warning("events", input.name.span, message).hint(hint));
            }
            if let Some((text, span)) = default.filter(|(text, _)| !options.iter().any(|option| option == text)) {
                let message = format!("the default `{text}` is not one of the options of `{}`", input.name.value);
                let hint = format!("the options are {}", options.join(", "));
                found.push(Diagnostic::warning("events", span, message).hint(hint));
            }
        }
        (InputKind::Number, Some((text, span))) if text.trim().parse::<f64>().is_err() => {
            let message = format!("the default `{text}` of `{}` is not a number", input.name.value);
            found.push(Diagnostic::warning("events", span, message).hint("write a number without quotes"));
        }
        _ => {}
    }
}

fn exclusive(trigger: &Trigger, found: &mut Vec<Diagnostic>) {
    for (ignored, _) in &trigger.filters {
        let Some(positive) = ignored.value.strip_suffix("-ignore") else { continue };
        if let Some((filter, _)) = trigger.filters.iter().find(|(filter, _)| filter.value == positive) {
            let second = if filter.span.start > ignored.span.start { filter.span } else { ignored.span };
            let message = format!("`{positive}` and `{positive}-ignore` cannot both filter `{}`", trigger.event.value);
            let hint = format!("move the patterns of `{positive}-ignore` to `{positive}`, each with a leading `!`");
            found.push(Diagnostic::warning("events", second, message).hint(hint));
        }
    }
}

/// Reports invalid patterns and patterns that can never match.
pub(super) fn globs(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for (filter, patterns) in workflow.triggers.iter().flat_map(|trigger| &trigger.filters) {
        let of_paths = filter.value.starts_with("paths");
        for pattern in patterns {
            let text = pattern.value.strip_prefix('!').unwrap_or(&pattern.value);
            if let Err(reason) = FilterPattern::parse(text) {
                let message = format!("invalid pattern `{text}`: {reason}");
                let hint = "filters are glob patterns; escape a special character with `\\`";
                found.push(Diagnostic::warning("glob", pattern.span, message).hint(hint));
            } else if of_paths && (text.starts_with("./") || text.starts_with("../")) {
                let message = format!("`{text}` matches no path: paths are relative to the root of the repository");
                let hint = format!("write `{}`", text.trim_start_matches(['.', '/']));
                found.push(Diagnostic::warning("glob", pattern.span, message).hint(hint));
            } else if let (false, Some(never)) = (of_paths, text.chars().find(|c| matches!(c, '~' | '^' | ':' | ' '))) {
                let message = format!("`{text}` matches no branch or tag: git does not allow `{never}` in names");
                let hint = "filters are glob patterns, not regular expressions";
                found.push(Diagnostic::warning("glob", pattern.span, message).hint(hint));
            }
        }
    }
}
