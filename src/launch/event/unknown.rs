//! Finds the paths of the event that a workflow reads and that this machine cannot fill in.

use serde_json::Value;

use crate::workflow::expr::{Expr, PathKey};
use crate::workflow::lint;
use crate::workflow::syntax::Workflow;

/// Keys of payloads that only GitHub fills in, by event. Source: "Webhook events and payloads" of GitHub's
/// documentation.
const KEYS: &[(&str, &[&str])] = &[
    ("check_run", &["check_run"]),
    ("check_suite", &["check_suite"]),
    ("deployment", &["deployment"]),
    ("deployment_status", &["deployment", "deployment_status"]),
    ("discussion", &["discussion"]),
    ("discussion_comment", &["comment", "discussion"]),
    ("fork", &["forkee"]),
    ("issue_comment", &["comment", "issue"]),
    ("issues", &["assignee", "issue", "label"]),
    ("label", &["label"]),
    ("milestone", &["milestone"]),
    ("pull_request", &["assignee", "label", "pull_request", "requested_reviewer"]),
    ("pull_request_review", &["pull_request", "review"]),
    ("pull_request_review_comment", &["comment", "pull_request"]),
    ("pull_request_target", &["assignee", "label", "pull_request", "requested_reviewer"]),
    ("release", &["release"]),
    ("repository_dispatch", &["client_payload"]),
    ("status", &["context", "description", "sha", "state", "target_url"]),
    ("workflow_run", &["workflow", "workflow_run"]),
];

/// Returns the paths below `github.event` that the expressions of a workflow read, that GitHub fills in for this event,
/// and that are missing in the payload; each once, in the order of the file.
///
/// Paths that GitHub leaves empty for this event as well (`pull_request` of a push) are not included.
pub(in crate::launch) fn paths(workflow: &Workflow, event: &str, payload: &Value) -> Vec<String> {
    let of_jobs = workflow.jobs.iter().flat_map(|job| lint::expressions(job));
    let mut unknown: Vec<String> = Vec::new();
    for path in lint::outer_expressions(workflow).into_iter().chain(of_jobs).flat_map(paths_of) {
        let name = path.join(".");
        if is_unknown(&path, event, payload) && !unknown.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            unknown.push(name);
        }
    }
    unknown
}

/// Returns the paths below `github.event` that an expression reads, each up to its first computed index.
fn paths_of(expression: &Expr) -> Vec<Vec<&str>> {
    let mut paths = Vec::new();
    for reference in expression.roots() {
        let names = reference.path.iter().map_while(|key| match key {
            PathKey::Name(name, _) => Some(*name),
            PathKey::Every | PathKey::Computed(_) => None,
        });
        let mut names = names.peekable();
        if reference.context.text.eq_ignore_ascii_case("github")
            && names.next_if(|first| first.eq_ignore_ascii_case("event")).is_some()
            && names.peek().is_some()
        {
            paths.push(names.collect());
        }
    }
    paths
}

fn is_unknown(path: &[&str], event: &str, payload: &Value) -> bool {
    let sent = KEYS.iter().find(|(name, _)| *name == event).map(|(_, keys)| *keys).unwrap_or_default();
    if !sent.iter().any(|key| key.eq_ignore_ascii_case(path[0])) {
        return false;
    }
    let found = path.iter().try_fold(payload, |value, key| {
        value.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    });
    found.is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::worker::prepare;

    fn unknown(event: &str, payload: &Value, expressions: &[&str]) -> Vec<String> {
        let steps: Vec<_> = expressions.iter().map(|text| format!("\n      - run: echo ${{{{ {text} }}}}")).collect();
        let steps = steps.concat();
        let text = format!("on: {event}\njobs:\n  a:\n    runs-on: x\n    steps:{steps}\n");
        paths(&prepare::parse("ci.yml", &text).expect(&text), event, payload)
    }

    #[test]
    fn what_the_payload_lacks_is_found_once() {
        let payload = json!({"pull_request": {"number": 0, "head": {"ref": "side"}}});
        let read = [
            "github.event.pull_request.title",
            "github.event.pull_request['title']",
            "github.event.pull_request.number",
            "github.event.pull_request.head.ref",
            "github.event.pull_request.Head.Repo.fork",
            "github.event.label.name",
            "contains(github.event.pull_request.labels.*.name, 'x')",
        ];
        assert_eq!(
            unknown("pull_request", &payload, &read),
            ["pull_request.title", "pull_request.Head.Repo.fork", "label.name", "pull_request.labels"]
        );
    }

    #[test]
    fn what_the_event_does_not_have_is_not_missed() {
        let read = ["github.event.pull_request.title", "github.event.inputs.x", "github.ref", "github.event"];
        assert_eq!(unknown("push", &json!({}), &read), Vec::<String>::new());
        assert_eq!(unknown("issues", &json!({}), &["github.event.issue.number"]), ["issue.number"]);
    }
}
