//! Rewrites requests into the form of Gitea's API before they are sent, and its answers into GitHub's form before they
//! are parsed. The differences, verified with Gitea 1.26:
//!
//! - There are no endpoints for attempts, reviews, deployments, concurrency groups, check runs and caches. Runs cannot
//!   be cancelled.
//! - The runs of a workflow cannot be listed; they are selected from the runs of the repository.
//! - The page size is called `limit`, and raw files have another path.
//! - Inputs of a dispatch are strings. A dispatch returns the id of the run only if the query asks for it.
//! - A missing time is a time in the year 1970 or 1, never null.
//! - A run or job that waits for other jobs or a concurrency group is `waiting`; so is a run between two jobs. A run
//!   with a failed job is `completed` before its last job.
//! - A run has `started_at` and `completed_at` instead of GitHub's times, and no attempt: each job counts its own. Its
//!   ref follows the path of its workflow: `ci.yml@refs/heads/main`.
//! - Steps are numbered from 0, and version 1.26 gives every step the state of its job. Their times are correct.
//! - The id of a workflow is its file name. The commit of a branch has its hash in `id` instead of `sha`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::backend::github::address::segment;
use crate::model::Timestamp;
use crate::repo::workflows;

use super::runs::{Job, Run};
use super::words::{Ending, Status};
use super::{Time, time};

/// Query parameter that Gitea ignores: the file of the workflow whose runs are requested.
const WORKFLOW: &str = "workflow";

/// Folder of a workflow file that is given by its name only.
const FOLDER: &str = ".gitea/workflows";

/// Parts of paths that Gitea does not support: below a run, below a repository, and below its `actions`.
const MISSING_OF_RUN: &[&str] =
    &["pending_deployments", "approvals", "concurrency_groups", "approve", "cancel", "force-cancel", "timing", "logs"];
const MISSING: &[&str] = &["environments", "deployments", "check-runs", "check-suites"];
const MISSING_OF_ACTIONS: &[&str] = &["caches", "cache", "concurrency_groups"];

/// Returns the path of a request in Gitea's form; `None` if Gitea has no equivalent. `is_raw` requests the raw bytes of
/// a file.
#[must_use]
pub fn request(path: &str, is_raw: bool) -> Option<String> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let path = match parts.as_slice() {
        ["rate_limit"] => return None,
        ["repos", _, _, "actions", "runs", _, "attempts", _, "jobs"] => {
            format!("/{}/jobs", parts[..6].join("/"))
        }
        ["repos", _, _, "actions", "runs", _, "attempts", ..] => return None,
        ["repos", _, _, "actions", "runs", _, what] if MISSING_OF_RUN.contains(what) => return None,
        ["repos", owner, name, "actions", "workflows", file, "runs"] => {
            let query = format!("{WORKFLOW}={file}&{}", changed_query(query));
            return Some(format!("/repos/{owner}/{name}/actions/runs?{}", query.trim_end_matches('&')));
        }
        ["repos", _, _, "actions", "workflows", _, "timing"] => return None,
        ["repos", _, _, "actions", what, ..] if MISSING_OF_ACTIONS.contains(what) => return None,
        ["repos", _, _, what, ..] if MISSING.contains(what) => return None,
        ["repos", _, _, "commits", _, what] if MISSING.contains(what) => return None,
        ["repos", owner, name, "commits", sha] => format!("/repos/{owner}/{name}/git/commits/{sha}"),
        ["repos", owner, name, "contents", file @ ..] if is_raw => {
            format!("/repos/{owner}/{name}/raw/{}", file.join("/"))
        }
        _ => path.to_owned(),
    };
    let query = changed_query(query);
    Some(if query.is_empty() { path } else { format!("{path}?{query}") })
}

/// Whether a parameter is a condition on runs that Gitea does not support: it ignores a time, fails for an unknown
/// user, and refuses states that only GitHub has.
fn is_foreign(parameter: &str) -> bool {
    match parameter.split_once('=') {
        Some(("created" | "actor", _)) => true,
        Some(("status", word)) => {
            !["queued", "waiting", "in_progress", "success", "failure", "cancelled", "skipped"].contains(&word)
        }
        _ => false,
    }
}

fn changed_query(query: &str) -> String {
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty() && !is_foreign(parameter));
    let changed = parameters.map(|parameter| match parameter.strip_prefix("per_page=") {
        Some(count) => format!("limit={count}"),
        None => parameter.to_owned(),
    });
    changed.collect::<Vec<_>>().join("&")
}

/// Returns the path for re-running one job. Gitea also needs the id of the run.
#[must_use]
pub fn rerun_of_job(repository: &str, run: u64, job: u64) -> String {
    format!("/repos/{repository}/actions/runs/{run}/jobs/{job}/rerun")
}

/// Rewrites the body of an answer into GitHub's form, and removes runs that do not match the query.
pub fn answer(query: Option<&str>, body: &mut Value) {
    rewrite(body);
    let wanted =
        query.and_then(|query| query.split('&').find_map(|part| part.strip_prefix(WORKFLOW)?.strip_prefix('=')));
    let runs = body.get_mut("workflow_runs").and_then(Value::as_array_mut);
    if let (Some(wanted), Some(runs)) = (wanted, runs) {
        let file = |run: &Value| Some(segment(run.get("path")?.as_str()?.rsplit('/').next()?));
        runs.retain(|run| file(run).as_deref() == Some(wanted));
    }
}

/// Returns the path and the body of a change in Gitea's form; `None` if Gitea has no equivalent.
#[must_use]
pub fn change(path: &str, body: Option<&Value>) -> Option<(String, Option<Value>)> {
    let path = request(path, false)?;
    let mut body = body.cloned();
    let is_dispatch = path.ends_with("/dispatches") && path.contains("/actions/workflows/");
    let fields = body.as_mut().and_then(Value::as_object_mut).filter(|_| is_dispatch);
    let Some(fields) = fields else { return Some((path, body)) };
    let wants_run = fields.remove("return_run_details") == Some(Value::Bool(true));
    for value in fields.get_mut("inputs").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        if !value.is_string() {
            *value = Value::String(value.to_string());
        }
    }
    Some((if wants_run { format!("{path}?return_run_details=true") } else { path }, body))
}

/// Completes a run from its jobs. Unless it was cancelled, it is in progress from the start of the first job to the end
/// of the last, although Gitea reports it as waiting between two jobs, and as completed once a job has failed. Its
/// attempt and those of its jobs are found, unless the server reports them.
pub fn complete(run: &mut Run, jobs: &mut [Job]) {
    if run.run_attempt.is_none() {
        number(run, jobs);
    }
    if jobs.iter().any(has_begun) && !jobs.iter().all(has_ended) && run.conclusion != Some(Ending::Cancelled) {
        run.status = Some(Status::InProgress);
        run.conclusion = None;
    }
}

/// Numbers the attempts of a run and its jobs. Gitea 1.26 counts the starts of each job: a job that waits to be
/// repeated has the number of its previous attempt, and jobs that were repeated alone have higher numbers than others.
fn number(run: &mut Run, jobs: &mut [Job]) {
    for job in &mut *jobs {
        let starts = job.run_attempt.unwrap_or(0);
        job.run_attempt = Some(if has_begun(job) { starts.max(1) } else { starts.saturating_add(1) });
    }
    run.run_attempt = jobs.iter().filter_map(|job| job.run_attempt).max().or(Some(1));
    for job in jobs {
        // The start of a run is that of its attempt. It is recorded after the start of its first job.
        let is_earlier = |started: Time| run.run_started_at.is_none_or(|run| run.0.since(started.0) > START_DELAY);
        if !(has_ended(job) && job.started_at.is_some_and(is_earlier)) {
            job.run_attempt = run.run_attempt;
        }
    }
}

/// Maximum time between the recorded starts of a job and of its run, which the job sets in motion: both are in seconds.
const START_DELAY: Duration = Duration::from_secs(1);

fn has_ended(job: &Job) -> bool {
    job.status == Some(Status::Completed)
}

fn has_begun(job: &Job) -> bool {
    has_ended(job) || job.status == Some(Status::InProgress)
}

/// Returns the path of a workflow file in `.github/workflows` instead of `.gitea/workflows`, because answers do not
/// contain the folder. `None` if the path is not in `.gitea/workflows`.
#[must_use]
pub fn other_path(path: &str) -> Option<String> {
    path.strip_prefix(FOLDER).map(|file| format!("{}{file}", workflows::FOLDER))
}

/// Returns the path of a run's workflow in the folder that its repository uses. `known` are the paths of its workflows
/// on the default branch: a file that is not among them is assumed to be in the same folder. `None` if the path is
/// already right.
#[must_use]
pub fn path_in(path: &str, known: &[String]) -> Option<String> {
    let other = other_path(path)?;
    let is_known = |wanted: &str| known.iter().any(|known| known == wanted);
    let is_other =
        is_known(&other) || (!is_known(path) && known.iter().any(|path| path.starts_with(workflows::FOLDER)));
    is_other.then_some(other)
}

/// Returns the path and the body of a request that changes nothing in a repository, but is refused to a token without
/// the scope for changes: it reads the contents of no files, and Gitea requires that scope for every `POST`.
#[must_use]
pub fn scope_probe(repository: &str) -> (String, &'static str) {
    (format!("{repository}/file-contents"), r#"{"files":[]}"#)
}

/// Name of the scope that changes of runs and workflows need.
pub const WRITE_SCOPE: &str = "write:repository";

/// Name of the scope for reading a repository.
pub const READ_SCOPE: &str = "read:repository";

/// Whether a read was refused because the token lacks [`READ_SCOPE`].
#[must_use]
pub fn lacks_read_scope(message: &str) -> bool {
    message.contains("required=[read:repository]")
}

/// Returns the permission whose lack caused a refusal, in GitHub's form. `None` if the message names no known scope.
#[must_use]
pub fn needs(message: &str) -> Option<&'static str> {
    message.contains("required=[write:repository]").then_some("actions=write")
}

/// Rewrites a body of any kind: runs, jobs and other elements are recognised by their fields.
fn rewrite(body: &mut Value) {
    match body {
        Value::Array(values) => values.iter_mut().for_each(rewrite),
        Value::Object(fields) => {
            fields.values_mut().for_each(rewrite);
            fields.retain(|name, value| !(name.ends_with("_at") && is_unset(value)));
            if fields.contains_key("run_number") {
                rewrite_run(fields);
            } else if fields.contains_key("run_id") && fields.contains_key("steps") {
                rewrite_job(fields);
            } else if fields.contains_key("commit") && fields.contains_key("protected") {
                rename(fields.get_mut("commit").and_then(Value::as_object_mut), "id", "sha");
            }
        }
        _ => {}
    }
}

fn is_unset(value: &Value) -> bool {
    value.as_str().is_some_and(|text| time(text).is_none_or(|at| at == Timestamp(0)))
}

fn rename(fields: Option<&mut Map<String, Value>>, from: &str, to: &str) {
    if let Some(fields) = fields
        && !fields.contains_key(to)
        && let Some(value) = fields.get(from).cloned()
    {
        fields.insert(to.to_owned(), value);
    }
}

fn rewrite_run(run: &mut Map<String, Value>) {
    rewrite_wait(run);
    rename(Some(run), "trigger_actor", "triggering_actor");
    rename(Some(run), "started_at", "run_started_at");
    rename(Some(run), "completed_at", "updated_at");
    drop_unset_attempt(run);
    let path = run.get("path").and_then(Value::as_str).map(str::to_owned);
    if let Some((file, git_ref)) = path.as_deref().map(|path| path.split_once('@').unwrap_or((path, ""))) {
        let whole = if file.contains('/') { file.to_owned() } else { format!("{FOLDER}/{file}") };
        run.insert("path".to_owned(), json!(whole));
        let name = git_ref.strip_prefix("refs/heads/").or_else(|| git_ref.strip_prefix("refs/tags/"));
        if let (None, Some(name)) = (run.get("head_branch").and_then(Value::as_str), name) {
            run.insert("head_branch".to_owned(), json!(name));
        }
    }
}

/// Changes the status `waiting` to `pending`: environments have no rules, so a waiting run or job waits for other jobs
/// or its concurrency group.
fn rewrite_wait(fields: &mut Map<String, Value>) {
    if fields.get("status").is_some_and(|status| status == "waiting") {
        fields.insert("status".to_owned(), json!("pending"));
    }
}

/// Removes the attempt 0, which Gitea 1.26 reports for every run, and for a job that no runner has started yet.
fn drop_unset_attempt(fields: &mut Map<String, Value>) {
    if fields.get("run_attempt").and_then(Value::as_u64) == Some(0) {
        fields.remove("run_attempt");
    }
}

fn rewrite_job(job: &mut Map<String, Value>) {
    rewrite_wait(job);
    drop_unset_attempt(job);
    let status = job.get("status").cloned();
    let Some(steps) = job.get_mut("steps").and_then(Value::as_array_mut) else { return };
    for step in steps.iter_mut().filter_map(Value::as_object_mut) {
        if let Some(number) = step.get("number").and_then(Value::as_u64) {
            step.insert("number".to_owned(), json!(number.saturating_add(1)));
        }
        let has = |name: &str| step.contains_key(name);
        let by_times = match (has("started_at"), has("completed_at")) {
            (_, true) => "completed",
            (true, false) => "in_progress",
            (false, false) => "queued",
        };
        // Only for running jobs: in a completed job all steps have ended, even without times.
        if status == Some(json!("in_progress")) {
            step.insert("status".to_owned(), json!(by_times));
            if by_times == "completed" && !step.contains_key("conclusion") {
                step.insert("conclusion".to_owned(), json!("success"));
            }
        }
    }
    if status == Some(json!("completed")) {
        mend_conclusions(steps);
    }
}

/// Corrects the steps of a failed or cancelled job, which all have the conclusion of the job. Steps that never started
/// get the conclusion `skipped`. The answer does not show which of the others failed.
fn mend_conclusions(steps: &mut [Value]) {
    let ran: Vec<bool> = steps.iter().map(|step| step.get("started_at").is_some()).collect();
    let conclusion = |step: &Value| step.get("conclusion").and_then(Value::as_str).map(str::to_owned);
    let first = steps.first().and_then(conclusion);
    let all_same = steps.iter().all(|step| conclusion(step) == first);
    if steps.len() < 2 || !all_same || first.as_deref() == Some("success") {
        return;
    }
    for (step, ran) in steps.iter_mut().zip(&ran) {
        if let (false, Some(step)) = (ran, step.as_object_mut()) {
            step.insert("conclusion".to_owned(), json!("skipped"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Page;
    use super::super::words::{Ending, Status};
    use super::*;

    /// Returns a list with one run, as Gitea 1.26 sends it, shortened.
    fn run() -> Value {
        json!({"total_count": 1, "workflow_runs": [{
            "id": 12, "html_url": "http://127.0.0.1:30364/aura/platform/actions/runs/12", "display_title": "Log everything",
            "path": "failing.yml@refs/heads/broken/logging", "event": "push", "run_attempt": 0, "run_number": 12,
            "head_sha": "532e4cef38be4826053bba01873e391f5e16a12a", "status": "completed", "actor": {"id": 2, "login": "olu"},
            "trigger_actor": {"id": 2, "login": "olu"}, "repository": {"id": 1}, "conclusion": "failure",
            "started_at": "2026-11-28T14:14:10Z", "completed_at": "2026-11-28T14:14:12Z"}]})
    }

    #[test]
    fn requests_have_the_paths_of_gitea() {
        let run = "/repos/o/r/actions/runs/7";
        for (path, raw, expected) in [
            (
                "/repos/o/r/actions/runs?per_page=30&branch=main",
                false,
                Some("/repos/o/r/actions/runs?limit=30&branch=main"),
            ),
            (
                "/repos/o/r/actions/runs/7/attempts/2/jobs?per_page=100",
                false,
                Some("/repos/o/r/actions/runs/7/jobs?limit=100"),
            ),
            (
                "/repos/o/r/actions/runs?actor=x&created=%3E%3D2026&status=completed&branch=a",
                false,
                Some("/repos/o/r/actions/runs?branch=a"),
            ),
            ("/repos/o/r/actions/runs?status=failure", false, Some("/repos/o/r/actions/runs?status=failure")),
            ("/repos/o/r/actions/runs/7/attempts/2/logs", false, None),
            (run, false, Some(run)),
            ("/repos/o/r/actions/runs/7/cancel", false, None),
            ("/repos/o/r/actions/runs/7/pending_deployments", false, None),
            ("/repos/o/r/actions/runs/7/rerun-failed-jobs", false, Some("/repos/o/r/actions/runs/7/rerun-failed-jobs")),
            ("/repos/o/r/actions/jobs/5/logs", false, Some("/repos/o/r/actions/jobs/5/logs")),
            ("/repos/o/r/contents/a/b.yml?ref=main", true, Some("/repos/o/r/raw/a/b.yml?ref=main")),
            ("/repos/o/r/contents/a/b.yml?ref=main", false, Some("/repos/o/r/contents/a/b.yml?ref=main")),
            (
                "/repos/o/r/actions/workflows/long.yml/runs?event=push&per_page=30",
                false,
                Some("/repos/o/r/actions/runs?workflow=long.yml&event=push&limit=30"),
            ),
            ("/repos/o/r/environments", false, None),
            ("/repos/o/r/commits/main/check-runs", false, None),
            ("/repos/o/r/commits/main", false, Some("/repos/o/r/git/commits/main")),
            ("/repos/o/r/commits?per_page=1", false, Some("/repos/o/r/commits?limit=1")),
            ("/rate_limit", false, None),
            ("/user", false, Some("/user")),
        ] {
            assert_eq!(request(path, raw).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_run_has_the_folder_of_its_repository() {
        let known = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let of_github = known(&[".github/workflows/ci.yml"]);
        for (path, known, expected) in [
            (".gitea/workflows/ci.yml", &of_github, Some(".github/workflows/ci.yml")),
            (".gitea/workflows/gone.yml", &of_github, Some(".github/workflows/gone.yml")),
            (".github/workflows/ci.yml", &of_github, None),
            (".gitea/workflows/ci.yml", &known(&[".gitea/workflows/ci.yml"]), None),
            (".gitea/workflows/gone.yml", &known(&[".gitea/workflows/ci.yml"]), None),
            (".gitea/workflows/ci.yml", &known(&[]), None),
        ] {
            assert_eq!(path_in(path, known).as_deref(), expected, "{path} {known:?}");
        }
    }

    #[test]
    fn a_run_is_in_progress_from_its_first_job_to_its_last() {
        let after = |run: &str, jobs: &[&str]| {
            let mut run: Run = serde_json::from_str(run).expect("a run");
            let jobs = jobs.iter().map(|status| serde_json::from_value(json!({"status": status})).expect("a job"));
            complete(&mut run, &mut jobs.collect::<Vec<Job>>());
            (run.status.expect("a status"), run.conclusion)
        };
        let failed = r#"{"status": "completed", "conclusion": "failure"}"#;
        assert_eq!(after(failed, &["completed", "pending"]), (Status::InProgress, None));
        assert_eq!(after(failed, &["completed", "completed"]), (Status::Completed, Some(Ending::Failure)));
        assert_eq!(after(r#"{"status": "pending"}"#, &["completed", "queued"]), (Status::InProgress, None));
        assert_eq!(after(r#"{"status": "pending"}"#, &["pending", "queued"]), (Status::Pending, None));
        let cancelled = r#"{"status": "completed", "conclusion": "cancelled"}"#;
        assert_eq!(after(cancelled, &["completed", "pending"]).0, Status::Completed);
    }

    #[test]
    fn jobs_that_wait_to_be_repeated_belong_to_the_attempt_of_their_run() {
        let attempts = |run: Value, jobs: &[(&str, u64, Option<&str>)]| {
            let mut run: Run = serde_json::from_value(run).expect("a run");
            let job = |(status, starts, started): &(&str, u64, Option<&str>)| {
                let mut job = json!({"id": 1, "run_id": 7, "steps": [], "status": status, "run_attempt": starts});
                if let Some(started) = started {
                    job["started_at"] = json!(format!("2026-11-28T14:{started}Z"));
                }
                rewrite(&mut job);
                serde_json::from_value(job).expect("a job")
            };
            let mut jobs: Vec<Job> = jobs.iter().map(job).collect();
            complete(&mut run, &mut jobs);
            (
                run.run_attempt.expect("a number"),
                jobs.iter().map(|job| job.run_attempt.unwrap_or(0)).collect::<Vec<_>>(),
            )
        };
        let run = |started: Option<&str>| match started {
            Some(started) => json!({"run_started_at": format!("2026-11-28T14:{started}Z")}),
            None => json!({}),
        };
        let (first, second) = (Some("10:00"), Some("20:00"));
        for (started, jobs, expected) in [
            (None, &[("queued", 0, None), ("waiting", 0, None)][..], (1, vec![1, 1])),
            (first, &[("in_progress", 1, first), ("waiting", 0, None)], (1, vec![1, 1])),
            (Some("10:01"), &[("completed", 1, first), ("completed", 0, None)], (1, vec![1, 1])),
            // Run again, and not started yet.
            (None, &[("queued", 1, None), ("waiting", 1, None)], (2, vec![2, 2])),
            (None, &[("queued", 1, None), ("completed", 1, first)], (2, vec![2, 1])),
            (second, &[("in_progress", 2, second), ("waiting", 1, None)], (2, vec![2, 2])),
            (second, &[("completed", 2, second), ("completed", 1, first)], (2, vec![2, 1])),
            (second, &[("completed", 2, second), ("completed", 1, None)], (2, vec![2, 2])),
            // The first job had been repeated alone before all were.
            (second, &[("completed", 4, second), ("completed", 2, Some("20:05"))], (4, vec![4, 4])),
        ] {
            assert_eq!(attempts(run(started), jobs), expected, "{started:?} {jobs:?}");
        }
        let newer = json!({"run_attempt": 3, "run_started_at": "2026-11-28T14:20:00Z"});
        assert_eq!(attempts(newer, &[("queued", 3, None)]), (3, vec![3]), "the server reports it");
    }

    #[test]
    fn the_runs_of_a_workflow_are_found_among_those_of_the_repository() {
        let mut others = run();
        answer(Some("workflow=long.yml&limit=30"), &mut others);
        assert_eq!(others["workflow_runs"], json!([]));
        for query in [Some("workflow=failing.yml&limit=30"), Some("limit=30"), None] {
            let mut body = run();
            answer(query, &mut body);
            assert_eq!(body["workflow_runs"][0]["path"], ".gitea/workflows/failing.yml", "{query:?}");
        }
    }

    #[test]
    fn a_dispatch_has_texts_and_asks_for_its_run_in_the_query() {
        let path = "/repos/o/r/actions/workflows/d.yml/dispatches";
        let body = json!({"ref": "main", "inputs": {"a": true, "b": 7, "c": "x"}, "return_run_details": true});
        let (path, body) = change(path, Some(&body)).expect("a change");
        assert_eq!(path, "/repos/o/r/actions/workflows/d.yml/dispatches?return_run_details=true");
        assert_eq!(body, Some(json!({"ref": "main", "inputs": {"a": "true", "b": "7", "c": "x"}})));
        assert_eq!(change("/repos/o/r/actions/runs/7/cancel", None), None);
        let rerun = "/repos/o/r/actions/runs/7/rerun";
        assert_eq!(change(rerun, None), Some((rerun.to_owned(), None)));
    }

    #[test]
    fn a_run_gets_the_fields_of_github() {
        let mut body = run();
        rewrite(&mut body);
        let run = Page::<Run>::read(body.to_string().as_bytes(), "workflow_runs").expect("a page").list.items.remove(0);
        assert_eq!(run.path.as_deref(), Some(".gitea/workflows/failing.yml"));
        assert_eq!((run.head_branch.as_deref(), run.run_attempt), (Some("broken/logging"), None));
        assert_eq!(run.created_at, None);
        assert!(run.updated_at > run.run_started_at && run.triggering_actor == run.actor);
    }

    #[test]
    fn steps_of_a_running_job_go_by_their_times() {
        let step = |name: &str, number: u64, started: &str, completed: &str| json!({"name": name, "number": number, "status": "in_progress", "started_at": started, "completed_at": completed});
        let (set, unset) = ("2026-11-28T14:16:02Z", "1970-01-01T00:00:00Z");
        let steps = [step("Warm up", 0, set, set), step("Count", 1, set, unset), step("After", 2, unset, unset)];
        let mut body = json!({"id": 240, "run_id": 51, "name": "Slow", "run_attempt": 0, "status": "in_progress",
            "steps": steps, "started_at": set, "completed_at": unset});
        rewrite(&mut body);
        let job: Job = serde_json::from_value(body).expect("a job");
        assert_eq!((job.run_attempt, job.completed_at), (None, None));
        let steps = job.steps.expect("steps").items;
        let states: Vec<_> = steps.iter().map(|step| (step.number, step.status.clone())).collect();
        assert_eq!(
            states,
            [(Some(1), Some(Status::Completed)), (Some(2), Some(Status::InProgress)), (Some(3), Some(Status::Queued))]
        );
    }

    #[test]
    fn steps_of_a_failed_job_that_never_started_were_skipped() {
        let step = |number: u64, started: &str| json!({"number": number, "status": "failure", "conclusion": "failure", "started_at": started});
        let mut body = json!({"id": 1, "run_id": 1, "status": "completed", "conclusion": "failure",
            "steps": [step(0, "2026-11-28T14:16:02Z"), step(1, "1970-01-01T00:00:00Z")]});
        rewrite(&mut body);
        let job: Job = serde_json::from_value(body).expect("a job");
        let endings: Vec<_> = job.steps.expect("steps").items.into_iter().map(|step| step.conclusion).collect();
        assert_eq!(endings, [Some(Ending::Failure), Some(Ending::Skipped)]);
    }
}
