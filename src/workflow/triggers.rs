//! Decides whether an event triggers a workflow, with the reason. The rules are those of GitHub's pages on workflow
//! syntax (`on`) and on events that trigger workflows.

use std::cell::LazyCell;

use crate::model::nearest;

use super::pattern::deciding_pattern;
use super::schema::events::NAMES;
use super::source::Spanned;
use super::syntax::{Trigger, Workflow};

/// The parts of an event that filters use.
pub struct TriggerEvent<'a> {
    /// Name of the event.
    pub name: String,
    /// Activity type (`action` of the payload); `None` if it is unknown.
    pub activity: Option<String>,
    /// The ref for branch and tag filters: the full ref of a push, the base branch of a pull request, or the branch of
    /// the run of a `workflow_run`. `None` if the event has no ref.
    pub git_ref: Option<String>,
    /// Name of the workflow of a `workflow_run`; `None` for other events.
    pub workflow: Option<String>,
    /// Files for path filters. They are compared when the first path filter needs them, because the comparison starts
    /// git several times and most workflows have no path filter.
    pub changes: LazyCell<ChangedFiles, Comparison<'a>>,
}

/// Finds the files that changed.
pub type Comparison<'a> = Box<dyn FnOnce() -> ChangedFiles + 'a>;

/// The files that changed.
#[derive(Debug, Clone)]
pub enum ChangedFiles {
    /// Base of the comparison, and the files that changed since.
    Since(String, Vec<String>),
    /// The changed files are not known, with the reason.
    Unknown(String),
}

/// Whether a workflow runs, with the reason in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The workflow runs.
    Runs(String),
    /// The workflow is skipped.
    Skipped(String),
}

/// Default activity types of events; other events default to all types.
const COMMON: [(&str, [&str; 3]); 2] = [
    ("pull_request", ["opened", "synchronize", "reopened"]),
    ("pull_request_target", ["opened", "synchronize", "reopened"]),
];

/// Decides whether an event triggers a workflow.
#[must_use]
pub fn decide(workflow: &Workflow, event: &TriggerEvent<'_>) -> Decision {
    let name = event.name.as_str();
    let Some(trigger) = workflow.triggers.iter().find(|trigger| trigger.event.value == name) else {
        let known: Vec<_> = workflow.triggers.iter().map(|trigger| trigger.event.value.as_str()).collect();
        return Decision::Skipped(format!("does not run on `{name}`; its events are {}", known.join(", ")));
    };
    let mut why = Vec::new();
    for check in [activity, workflow_names, git_ref, paths] {
        match check(trigger, event) {
            Filtered::Passes(reason) => why.extend(reason),
            Filtered::Stops(reason) => return Decision::Skipped(reason),
        }
    }
    if why.is_empty() {
        why.push(format!("every `{name}`"));
    }
    Decision::Runs(why.join("; "))
}

/// Events that most likely start a workflow, the likeliest first.
const LIKELY: &[&str] =
    &["push", "pull_request", "workflow_dispatch", "pull_request_target", "schedule", "release", "workflow_call"];

/// Returns the event that most likely starts a workflow: `push` if the workflow has it; otherwise another common event,
/// or its first one. `None` for a workflow without events.
#[must_use]
pub fn likely_event(workflow: &Workflow) -> Option<&str> {
    let events = || workflow.triggers.iter().map(|trigger| trigger.event.value.as_str());
    LIKELY.iter().copied().find(|likely| events().any(|event| event == *likely)).or_else(|| events().next())
}

/// Returns GitHub's event that a mistyped name resembles. `None` for the name of an event, and if none is similar.
#[must_use]
pub fn event_meant_by(name: &str) -> Option<&'static str> {
    if NAMES.contains(&name) { None } else { nearest(name, NAMES.iter().copied()) }
}

/// Returns the end of a message about an event: the event that is probably meant, if the name is mistyped.
#[must_use]
pub fn event_hint(name: &str) -> String {
    event_meant_by(name).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// Result of one filter.
enum Filtered {
    /// The event passes. Holds the reason, if it is worth mentioning.
    Passes(Option<String>),
    /// The event does not pass, for this reason.
    Stops(String),
}

fn activity(trigger: &Trigger, event: &TriggerEvent<'_>) -> Filtered {
    let common = COMMON.iter().find(|(name, _)| *name == event.name).map(|(_, types)| types);
    let wanted: Vec<&str> = if trigger.types.is_empty() {
        common.map(|types| types.to_vec()).unwrap_or_default()
    } else {
        trigger.types.iter().map(|one| one.value.as_str()).collect()
    };
    let Some(happened) = &event.activity else {
        let unknown = format!("types ({}) not compared: the payload has no `action`", wanted.join(", "));
        return Filtered::Passes((!trigger.types.is_empty()).then_some(unknown));
    };
    if wanted.is_empty() {
        return Filtered::Passes(None);
    }
    if wanted.contains(&happened.as_str()) {
        Filtered::Passes(Some(format!("type `{happened}` matches")))
    } else {
        Filtered::Stops(format!("type `{happened}` is not one of {}", wanted.join(", ")))
    }
}

fn workflow_names(trigger: &Trigger, event: &TriggerEvent<'_>) -> Filtered {
    let Some(name) = event.workflow.as_deref().filter(|_| !trigger.workflows.is_empty()) else {
        return Filtered::Passes(None);
    };
    match deciding_pattern(texts(&trigger.workflows), name) {
        Some((_, true)) => Filtered::Passes(Some(format!("runs after `{name}`"))),
        _ => Filtered::Stops(format!("does not run after `{name}`, only after {}", list(&trigger.workflows))),
    }
}

/// Applies the branch and tag filters. A workflow with filters for only one of the two does not run for the other.
fn git_ref(trigger: &Trigger, event: &TriggerEvent<'_>) -> Filtered {
    let Some(full) = event.git_ref.as_deref() else { return Filtered::Passes(None) };
    let (kind, name, other) = match (full.strip_prefix("refs/tags/"), full.strip_prefix("refs/heads/")) {
        (Some(tag), _) => ("tags", tag, "branches"),
        (None, Some(branch)) => ("branches", branch, "tags"),
        (None, None) => ("branches", full, "tags"),
    };
    let what = match kind {
        "tags" => "tag",
        _ if full.starts_with("refs/") => "branch",
        _ => "detached commit",
    };
    let ignored = format!("{kind}-ignore");
    if let Some(patterns) = filter(trigger, kind) {
        return match deciding_pattern(texts(patterns), name) {
            Some((pattern, true)) => Filtered::Passes(Some(format!("{what} `{name}` matches `{pattern}`"))),
            Some((pattern, false)) => Filtered::Stops(format!("{what} `{name}` is excluded by `{pattern}`")),
            None => Filtered::Stops(format!("{what} `{name}` does not match `{kind}`: {}", list(patterns))),
        };
    }
    if let Some(patterns) = filter(trigger, &ignored) {
        return match deciding_pattern(texts(patterns), name) {
            Some((pattern, true)) => Filtered::Stops(format!("{what} `{name}` matches `{pattern}` of `{ignored}`")),
            _ => Filtered::Passes(Some(format!("{what} `{name}` does not match `{ignored}`"))),
        };
    }
    let others = [other.to_owned(), format!("{other}-ignore")];
    if others.iter().any(|name| filter(trigger, name).is_some()) {
        return Filtered::Stops(format!("runs on {other} only, and `{name}` is a {what}"));
    }
    Filtered::Passes(None)
}

/// Applies the path filters, which do not apply to a push of a tag.
fn paths(trigger: &Trigger, event: &TriggerEvent<'_>) -> Filtered {
    if event.git_ref.as_deref().is_some_and(|full| full.starts_with("refs/tags/")) {
        return Filtered::Passes(None);
    }
    let (patterns, ignored) = match (filter(trigger, "paths"), filter(trigger, "paths-ignore")) {
        (Some(patterns), _) => (patterns, false),
        (None, Some(patterns)) => (patterns, true),
        (None, None) => return Filtered::Passes(None),
    };
    let (base, files) = match &*event.changes {
        ChangedFiles::Since(base, files) => (base, files),
        ChangedFiles::Unknown(reason) => return Filtered::Passes(Some(format!("paths not compared: {reason}"))),
    };
    let chosen = files.iter().find_map(|file| match (deciding_pattern(texts(patterns), file), ignored) {
        (Some((pattern, true)), false) => Some(format!("`{file}` matches `{pattern}`")),
        (None | Some((_, false)), true) => Some(format!("`{file}` does not match `paths-ignore`")),
        _ => None,
    });
    if let Some(chosen) = chosen {
        return Filtered::Passes(Some(chosen));
    }
    let since = format!("since {base}");
    Filtered::Stops(match (files.len(), ignored) {
        (0, _) => format!("no file changed {since}"),
        (1, false) => format!("the changed file {since} does not match `paths`: {}", list(patterns)),
        (count, false) => format!("none of {count} changed files {since} matches `paths`: {}", list(patterns)),
        (1, true) => format!("the changed file {since} matches `paths-ignore`: {}", list(patterns)),
        (count, true) => format!("all {count} changed files {since} match `paths-ignore`: {}", list(patterns)),
    })
}

fn filter<'t>(trigger: &'t Trigger, name: &str) -> Option<&'t [Spanned<String>]> {
    trigger.filters.iter().find(|(filter, _)| filter.value == name).map(|(_, patterns)| patterns.as_slice())
}

fn texts(patterns: &[Spanned<String>]) -> impl Iterator<Item = &str> {
    patterns.iter().map(|pattern| pattern.value.as_str())
}

fn list(patterns: &[Spanned<String>]) -> String {
    texts(patterns).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::parse;
    use crate::workflow::source::Source;

    fn decided(on: &str, event: &TriggerEvent<'_>) -> Decision {
        let text = format!("on: {on}\njobs: {{a: {{runs-on: x, steps: [{{run: x}}]}}}}\n");
        let parsed = parse(&Source::new("a.yml", text));
        decide(&parsed.value.unwrap_or_else(|| panic!("{on}: {:?}", parsed.diagnostics)), event)
    }

    fn push(git_ref: &str, files: &[&str]) -> TriggerEvent<'static> {
        TriggerEvent {
            name: "push".to_owned(),
            activity: None,
            git_ref: Some(git_ref.to_owned()),
            workflow: None,
            changes: changes(ChangedFiles::Since("abc".to_owned(), files.iter().map(ToString::to_string).collect())),
        }
    }

    fn changes(files: ChangedFiles) -> LazyCell<ChangedFiles, Comparison<'static>> {
        LazyCell::new(Box::new(|| files))
    }

    #[test]
    fn a_mistyped_event_finds_the_intended_one() {
        for (name, meant) in [
            ("pul_request", Some("pull_request")),
            ("workflow-dispatch", Some("workflow_dispatch")),
            ("Push", Some("push")),
            ("push", None),
            ("pull_request_target", None),
            ("xyzzy", None),
        ] {
            assert_eq!(event_meant_by(name), meant, "{name}");
        }
        assert_eq!(event_hint("pul_request"), "; did you mean `pull_request`?");
        assert_eq!(event_hint("push"), "");
    }

    #[test]
    fn files_are_compared_only_for_path_filters() {
        let main =
            || TriggerEvent { changes: LazyCell::new(Box::new(|| panic!("compared"))), ..push("refs/heads/main", &[]) };
        for on in [
            "push",
            "{push: {branches: [main]}}",
            "{push: {branches: [dev], paths: [x]}}",
            "{pull_request: {paths: [x]}}",
        ] {
            decided(on, &main());
        }
    }

    #[test]
    fn a_push_is_filtered_by_branches_tags_and_paths() {
        let (main, tag) = ("refs/heads/main", "refs/tags/v1");
        for (on, git_ref, files, runs, words) in [
            ("push", main, &[][..], true, "every `push`"),
            ("pull_request", main, &[], false, "its events are pull_request"),
            ("{push: {branches: [main]}}", main, &[], true, "branch `main` matches `main`"),
            ("{push: {branches: ['rel/**']}}", main, &[], false, "does not match `branches`: rel/**"),
            ("{push: {branches: ['**', '!main']}}", main, &[], false, "excluded by `!main`"),
            ("{push: {branches-ignore: [main]}}", main, &[], false, "of `branches-ignore`"),
            ("{push: {branches-ignore: [dev]}}", main, &[], true, "does not match `branches-ignore`"),
            ("{push: {tags: ['v*']}}", main, &[], false, "runs on tags only, and `main` is a branch"),
            ("{push: {tags: ['v*']}}", tag, &[], true, "tag `v1` matches `v*`"),
            ("{push: {branches: [main]}}", tag, &[], false, "runs on branches only"),
            ("{push: {branches: [main], tags: ['v*']}}", tag, &[], true, "tag `v1`"),
            ("{push: {paths: ['src/**']}}", main, &["a.md", "src/x"], true, "`src/x` matches `src/**`"),
            ("{push: {paths: ['src/**']}}", main, &["a.md"], false, "the changed file since abc does not match"),
            ("{push: {paths: ['src/**']}}", main, &["a.md", "b"], false, "none of 2 changed files since abc"),
            ("{push: {paths: ['src/**']}}", main, &[], false, "no file changed since abc"),
            ("{push: {paths: ['src/**']}}", tag, &["a.md"], true, "every `push`"),
            ("{push: {paths: ['**', '!docs/**']}}", main, &["docs/a"], false, "does not match `paths`"),
            ("{push: {paths-ignore: ['**.md']}}", main, &["a.md"], false, "matches `paths-ignore`: **.md"),
            ("{push: {paths-ignore: ['**.md']}}", main, &["a.md", "b.md"], false, "all 2 changed files"),
            ("{push: {paths-ignore: ['**.md']}}", main, &["a.md", "b.c"], true, "`b.c` does not match"),
            ("{push: {branches: [main], paths: [x]}}", main, &["x"], true, "matches `main`; `x` matches `x`"),
        ] {
            let (expected, reason) = match decided(on, &push(git_ref, files)) {
                Decision::Runs(reason) => (true, reason),
                Decision::Skipped(reason) => (false, reason),
            };
            assert!(expected == runs && reason.contains(words), "{on} at {git_ref}: {expected}, {reason}");
        }
    }

    #[test]
    fn the_likely_event_is_a_push_or_the_most_common_of_the_others() {
        let likely = |on: &str| {
            let text = format!("on: {on}\njobs: {{a: {{runs-on: x}}}}\n");
            let workflow = parse(&Source::new("a.yml", text)).value.expect(on);
            likely_event(&workflow).map(str::to_owned)
        };
        for (on, event) in [
            ("[issues, push]", "push"),
            ("[workflow_dispatch, pull_request]", "pull_request"),
            ("{schedule: [{cron: '0 3 * * *'}], workflow_dispatch: }", "workflow_dispatch"),
            ("{schedule: [{cron: '0 3 * * *'}]}", "schedule"),
            ("[issues, label]", "issues"),
            ("workflow_call", "workflow_call"),
        ] {
            assert_eq!(likely(on).as_deref(), Some(event), "{on}");
        }
    }

    #[test]
    fn a_pull_request_is_filtered_by_activity_and_base_branch() {
        let request = |activity: Option<&str>| TriggerEvent {
            name: "pull_request".to_owned(),
            activity: activity.map(str::to_owned),
            ..push("main", &[])
        };
        for (on, activity, runs) in [
            ("pull_request", Some("opened"), true),
            ("pull_request", Some("closed"), false),
            ("pull_request", None, true),
            ("{pull_request: {types: [closed]}}", Some("closed"), true),
            ("{pull_request: {types: [closed]}}", Some("opened"), false),
            ("{pull_request: {branches: [main]}}", Some("opened"), true),
            ("{pull_request: {branches: [dev]}}", Some("opened"), false),
        ] {
            let decision = decided(on, &request(activity));
            assert_eq!(matches!(decision, Decision::Runs(_)), runs, "{on} {activity:?}: {decision:?}");
        }
    }

    #[test]
    fn a_workflow_run_is_filtered_by_workflow_and_unknown_changes_are_reported() {
        let after =
            TriggerEvent { name: "workflow_run".to_owned(), workflow: Some("CI".to_owned()), ..push("main", &[]) };
        assert_eq!(decided("{workflow_run: {workflows: [CI]}}", &after), Decision::Runs("runs after `CI`".to_owned()));
        assert!(matches!(decided("{workflow_run: {workflows: [Other]}}", &after), Decision::Skipped(_)));
        let unknown = TriggerEvent {
            changes: changes(ChangedFiles::Unknown("no git".to_owned())),
            ..push("refs/heads/main", &[])
        };
        let expected = Decision::Runs("paths not compared: no git".to_owned());
        assert_eq!(decided("{push: {paths: [x]}}", &unknown), expected);
    }
}
