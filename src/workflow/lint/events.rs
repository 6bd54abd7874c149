//! `on`: filters and schedules.

use std::collections::BTreeSet;

use super::super::diagnostic::Diagnostic;
use super::super::pattern::Pattern;
use super::super::syntax::{Trigger, Workflow};

/// GitHub runs nothing more often, after its documentation of `schedule`. Minutes.
const SHORTEST_INTERVAL: u32 = 5;

/// Filters that exclude each other, and schedules that are too close.
pub(super) fn check(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for trigger in &workflow.triggers {
        exclusive(trigger, found);
        if trigger.event.value == "schedule" && trigger.schedules.is_empty() {
            let message = "`schedule` without a `cron` never comes";
            found.push(
                Diagnostic::warning("events", trigger.event.span, message)
                    .hint("write `schedule: [{cron: '0 3 * * *'}]`"),
            );
        }
        for input in trigger.inputs.iter().filter(|input| input.required && trigger.event.value == "workflow_call") {
            if let Some(default) = &input.default {
                let message = format!("the default of `{}` is never used: the input is required", input.name.value);
                let hint = "leave `default` away, or `required: true`";
                found.push(Diagnostic::warning("events", default.span, message).hint(hint));
            }
        }
        for (cron, _) in &trigger.schedules {
            if let Some(minutes) = interval(&cron.value).filter(|minutes| *minutes < SHORTEST_INTERVAL) {
                let message = format!(
                    "`{}` comes every {minutes} min; GitHub's shortest interval is {SHORTEST_INTERVAL} min",
                    cron.value
                );
                found.push(Diagnostic::warning("events", cron.span, message).hint("write `*/5` for the minutes"));
            }
        }
    }
}

fn exclusive(trigger: &Trigger, found: &mut Vec<Diagnostic>) {
    for (ignored, _) in &trigger.filters {
        let Some(positive) = ignored.value.strip_suffix("-ignore") else { continue };
        if let Some((filter, _)) = trigger.filters.iter().find(|(filter, _)| filter.value == positive) {
            let second = if filter.span.start > ignored.span.start { filter.span } else { ignored.span };
            let message = format!("`{positive}` and `{positive}-ignore` cannot both filter `{}`", trigger.event.value);
            let hint = format!("write the patterns of `{positive}-ignore` into `{positive}`, each with `!` before it");
            found.push(Diagnostic::warning("events", second, message).hint(hint));
        }
    }
}

/// Patterns that can match nothing.
pub(super) fn globs(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for (filter, patterns) in workflow.triggers.iter().flat_map(|trigger| &trigger.filters) {
        let of_paths = filter.value.starts_with("paths");
        for pattern in patterns {
            let text = pattern.value.strip_prefix('!').unwrap_or(&pattern.value);
            if let Err(reason) = Pattern::parse(text) {
                let message = format!("`{text}` is no pattern: {reason}");
                let hint = "filters are glob patterns; write `\\\\` before a special character that is meant as itself";
                found.push(Diagnostic::warning("glob", pattern.span, message).hint(hint));
            } else if of_paths && (text.starts_with("./") || text.starts_with("../")) {
                let message = format!("`{text}` matches no path: paths begin at the top of the repository");
                let hint = format!("write `{}`", text.trim_start_matches(['.', '/']));
                found.push(Diagnostic::warning("glob", pattern.span, message).hint(hint));
            } else if let (false, Some(never)) = (of_paths, text.chars().find(|c| matches!(c, '~' | '^' | ':' | ' '))) {
                let message = format!("`{text}` matches no branch or tag: git allows no `{never}` in names");
                let hint = "filters are glob patterns, not regular expressions";
                found.push(Diagnostic::warning("glob", pattern.span, message).hint(hint));
            }
        }
    }
}

/// The shortest time between two runs of a schedule in minutes, as far as its minutes and hours tell.
fn interval(cron: &str) -> Option<u32> {
    let mut fields = cron.split_whitespace();
    let minutes = field(fields.next()?, 59)?;
    let hours = field(fields.next()?, 23)?;
    let within = minutes.iter().zip(minutes.iter().skip(1)).map(|(before, after)| after - before);
    let one_after_another = hours.iter().any(|hour| hours.contains(&((hour + 1) % 24)));
    let across = (minutes.first()? + 60 - minutes.last()?, one_after_another);
    within.chain(across.1.then_some(across.0)).min()
}

/// The numbers that a field of a schedule stands for: `*`, `a`, `a-b`, each with `/step`, in a list.
fn field(written: &str, last: u32) -> Option<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    for part in written.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (first, end) = match (range, range.split_once('-')) {
            ("*", _) => (0, last),
            (_, Some((first, end))) => (first.parse().ok()?, end.parse().ok()?),
            (one, None) => (one.parse().ok()?, if step.is_some() { last } else { one.parse().ok()? }),
        };
        let step = step.map_or(Some(1), |step| step.parse::<usize>().ok().filter(|step| *step > 0))?;
        numbers.extend((first..=end.min(last)).step_by(step));
    }
    (!numbers.is_empty()).then_some(numbers)
}
