//! Whether an event fires a workflow, and why or why not. Rules after GitHub's pages on workflow syntax (`on`) and on
//! the events that trigger workflows.

use super::pattern::deciding_pattern;
use super::source::Spanned;
use super::syntax::{Trigger, Workflow};

/// What happened, as far as filters look at it.
#[derive(Debug, Clone)]
pub struct TriggerEvent {
    /// The event's name.
    pub name: String,
    /// The activity type (`action` of the payload), where it is known.
    pub activity: Option<String>,
    /// What branch and tag filters look at: the pushed ref in full, the branch that a pull request goes to, the branch
    /// of the run that a `workflow_run` tells about. `None` where the event has none.
    pub git_ref: Option<String>,
    /// The workflow that a `workflow_run` tells about.
    pub workflow: Option<String>,
    /// What changed.
    pub changes: ChangedFiles,
}

/// The files that changed.
#[derive(Debug, Clone)]
pub enum ChangedFiles {
    /// These, since a commit that can be named.
    Since(String, Vec<String>),
    /// It is not known, for this reason.
    Unknown(String),
}

/// What was decided, with the reason in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The workflow runs.
    Runs(String),
    /// It does not.
    Skipped(String),
}

/// The activities of an event that count when a workflow names none; other events count with all of theirs.
const COMMON: [(&str, [&str; 3]); 2] = [
    ("pull_request", ["opened", "synchronize", "reopened"]),
    ("pull_request_target", ["opened", "synchronize", "reopened"]),
];

/// Decides about a workflow.
#[must_use]
pub fn decide(workflow: &Workflow, event: &TriggerEvent) -> Decision {
    let name = event.name.as_str();
    let Some(trigger) = workflow.triggers.iter().find(|trigger| trigger.event.value == name) else {
        let known: Vec<_> = workflow.triggers.iter().map(|trigger| trigger.event.value.as_str()).collect();
        return Decision::Skipped(format!("it does not run on `{name}`; its events are {}", known.join(", ")));
    };
    let mut why = Vec::new();
    for check in [activity, workflow_names, git_ref, paths] {
        match check(trigger, event) {
            Ok(reason) => why.extend(reason),
            Err(reason) => return Decision::Skipped(reason),
        }
    }
    if why.is_empty() {
        why.push(format!("every `{name}`"));
    }
    Decision::Runs(why.join("; "))
}

/// Why one filter lets the event through, if that is worth telling, or why it does not.
type Passed = Result<Option<String>, String>;

fn activity(trigger: &Trigger, event: &TriggerEvent) -> Passed {
    let common = COMMON.iter().find(|(name, _)| *name == event.name).map(|(_, types)| types);
    let wanted: Vec<&str> = if trigger.types.is_empty() {
        common.map(|types| types.to_vec()).unwrap_or_default()
    } else {
        trigger.types.iter().map(|one| one.value.as_str()).collect()
    };
    let Some(happened) = &event.activity else {
        let unknown = format!("types ({}) not compared: the payload has no `action`", wanted.join(", "));
        return Ok((!trigger.types.is_empty()).then_some(unknown));
    };
    if wanted.is_empty() {
        return Ok(None);
    }
    if wanted.contains(&happened.as_str()) {
        Ok(Some(format!("`{happened}` is one of its types")))
    } else {
        Err(format!("`{happened}` is none of its types: {}", wanted.join(", ")))
    }
}

fn workflow_names(trigger: &Trigger, event: &TriggerEvent) -> Passed {
    let Some(name) = event.workflow.as_deref().filter(|_| !trigger.workflows.is_empty()) else { return Ok(None) };
    match deciding_pattern(texts(&trigger.workflows), name) {
        Some((_, true)) => Ok(Some(format!("it follows `{name}`"))),
        _ => Err(format!("it does not follow `{name}`; it follows {}", list(&trigger.workflows))),
    }
}

/// Branches and tags. A push with filters for one of the two alone does not count for the other.
fn git_ref(trigger: &Trigger, event: &TriggerEvent) -> Passed {
    let Some(full) = event.git_ref.as_deref() else { return Ok(None) };
    let (kind, name, other) = match (full.strip_prefix("refs/tags/"), full.strip_prefix("refs/heads/")) {
        (Some(tag), _) => ("tags", tag, "branches"),
        (None, Some(branch)) => ("branches", branch, "tags"),
        (None, None) => ("branches", full, "tags"),
    };
    let what = if kind == "tags" { "tag" } else { "branch" };
    let ignored = format!("{kind}-ignore");
    if let Some(patterns) = filter(trigger, kind) {
        return match deciding_pattern(texts(patterns), name) {
            Some((pattern, true)) => Ok(Some(format!("{what} `{name}` matches `{pattern}`"))),
            Some((pattern, false)) => Err(format!("{what} `{name}` is excluded by `{pattern}`")),
            None => Err(format!("{what} `{name}` matches none of its {kind}: {}", list(patterns))),
        };
    }
    if let Some(patterns) = filter(trigger, &ignored) {
        return match deciding_pattern(texts(patterns), name) {
            Some((pattern, true)) => Err(format!("{what} `{name}` matches `{pattern}` of `{ignored}`")),
            _ => Ok(Some(format!("{what} `{name}` matches nothing of `{ignored}`"))),
        };
    }
    let others = [other.to_owned(), format!("{other}-ignore")];
    if others.iter().any(|name| filter(trigger, name).is_some()) {
        return Err(format!("it runs on {other} alone, and `{name}` is a {what}"));
    }
    Ok(None)
}

/// Paths. They are not looked at when a tag is pushed.
fn paths(trigger: &Trigger, event: &TriggerEvent) -> Passed {
    if event.git_ref.as_deref().is_some_and(|full| full.starts_with("refs/tags/")) {
        return Ok(None);
    }
    let (patterns, ignored) = match (filter(trigger, "paths"), filter(trigger, "paths-ignore")) {
        (Some(patterns), _) => (patterns, false),
        (None, Some(patterns)) => (patterns, true),
        (None, None) => return Ok(None),
    };
    let (base, files) = match &event.changes {
        ChangedFiles::Since(base, files) => (base, files),
        ChangedFiles::Unknown(reason) => return Ok(Some(format!("paths not compared: {reason}"))),
    };
    let chosen = files.iter().find_map(|file| match (deciding_pattern(texts(patterns), file), ignored) {
        (Some((pattern, true)), false) => Some(format!("`{file}` matches `{pattern}`")),
        (None | Some((_, false)), true) => Some(format!("`{file}` matches nothing of `paths-ignore`")),
        _ => None,
    });
    chosen.map(Some).ok_or_else(|| {
        let since = format!("since {base}");
        match (files.len(), ignored) {
            (0, _) => format!("nothing changed {since}, and it looks at paths"),
            (count, false) => format!("no changed file of {count} {since} matches its paths: {}", list(patterns)),
            (count, true) => format!("all {count} changed files {since} match `paths-ignore`: {}", list(patterns)),
        }
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

    fn decided(on: &str, event: &TriggerEvent) -> Decision {
        let text = format!("on: {on}\njobs: {{a: {{runs-on: x, steps: [{{run: x}}]}}}}\n");
        let parsed = parse(&Source::new("a.yml", text));
        decide(&parsed.value.unwrap_or_else(|| panic!("{on}: {:?}", parsed.diagnostics)), event)
    }

    fn push(git_ref: &str, files: &[&str]) -> TriggerEvent {
        TriggerEvent {
            name: "push".to_owned(),
            activity: None,
            git_ref: Some(git_ref.to_owned()),
            workflow: None,
            changes: ChangedFiles::Since("abc".to_owned(), files.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn a_push_passes_the_filters_of_its_kind() {
        let (main, tag) = ("refs/heads/main", "refs/tags/v1");
        for (on, git_ref, files, fires, words) in [
            ("push", main, &[][..], true, "every `push`"),
            ("pull_request", main, &[], false, "its events are pull_request"),
            ("{push: {branches: [main]}}", main, &[], true, "branch `main` matches `main`"),
            ("{push: {branches: ['rel/**']}}", main, &[], false, "matches none of its branches: rel/**"),
            ("{push: {branches: ['**', '!main']}}", main, &[], false, "excluded by `!main`"),
            ("{push: {branches-ignore: [main]}}", main, &[], false, "of `branches-ignore`"),
            ("{push: {branches-ignore: [dev]}}", main, &[], true, "nothing of `branches-ignore`"),
            ("{push: {tags: ['v*']}}", main, &[], false, "runs on tags alone, and `main` is a branch"),
            ("{push: {tags: ['v*']}}", tag, &[], true, "tag `v1` matches `v*`"),
            ("{push: {branches: [main]}}", tag, &[], false, "runs on branches alone"),
            ("{push: {branches: [main], tags: ['v*']}}", tag, &[], true, "tag `v1`"),
            ("{push: {paths: ['src/**']}}", main, &["a.md", "src/x"], true, "`src/x` matches `src/**`"),
            ("{push: {paths: ['src/**']}}", main, &["a.md"], false, "no changed file of 1 since abc"),
            ("{push: {paths: ['src/**']}}", main, &[], false, "nothing changed since abc"),
            ("{push: {paths: ['src/**']}}", tag, &["a.md"], true, "every `push`"),
            ("{push: {paths: ['**', '!docs/**']}}", main, &["docs/a"], false, "matches its paths"),
            ("{push: {paths-ignore: ['**.md']}}", main, &["a.md"], false, "all 1 changed files"),
            ("{push: {paths-ignore: ['**.md']}}", main, &["a.md", "b.c"], true, "`b.c` matches nothing"),
            ("{push: {branches: [main], paths: [x]}}", main, &["x"], true, "matches `main`; `x` matches `x`"),
        ] {
            let (expected, reason) = match decided(on, &push(git_ref, files)) {
                Decision::Runs(reason) => (true, reason),
                Decision::Skipped(reason) => (false, reason),
            };
            assert!(expected == fires && reason.contains(words), "{on} at {git_ref}: {expected}, {reason}");
        }
    }

    #[test]
    fn a_pull_request_counts_by_its_activity_and_its_base() {
        let request = |activity: Option<&str>| TriggerEvent {
            name: "pull_request".to_owned(),
            activity: activity.map(str::to_owned),
            ..push("main", &[])
        };
        for (on, activity, fires) in [
            ("pull_request", Some("opened"), true),
            ("pull_request", Some("closed"), false),
            ("pull_request", None, true),
            ("{pull_request: {types: [closed]}}", Some("closed"), true),
            ("{pull_request: {types: [closed]}}", Some("opened"), false),
            ("{pull_request: {branches: [main]}}", Some("opened"), true),
            ("{pull_request: {branches: [dev]}}", Some("opened"), false),
        ] {
            let decision = decided(on, &request(activity));
            assert_eq!(matches!(decision, Decision::Runs(_)), fires, "{on} {activity:?}: {decision:?}");
        }
    }

    #[test]
    fn a_workflow_follows_those_it_names_and_unknown_changes_are_told() {
        let after =
            TriggerEvent { name: "workflow_run".to_owned(), workflow: Some("CI".to_owned()), ..push("main", &[]) };
        assert_eq!(decided("{workflow_run: {workflows: [CI]}}", &after), Decision::Runs("it follows `CI`".to_owned()));
        assert!(matches!(decided("{workflow_run: {workflows: [Other]}}", &after), Decision::Skipped(_)));
        let unknown =
            TriggerEvent { changes: ChangedFiles::Unknown("no git".to_owned()), ..push("refs/heads/main", &[]) };
        let told = Decision::Runs("paths not compared: no git".to_owned());
        assert_eq!(decided("{push: {paths: [x]}}", &unknown), told);
    }
}
