//! The run, its jobs and its artifacts, as the REST API describes them.

use hyper::header::{HeaderValue, LOCATION};
use hyper::{StatusCode, Uri};
use serde_json::{Value, json};

use crate::model::{Conclusion, Job, Phase, Run, Timestamp};
use crate::store::artifacts::Artifact;
use crate::store::history;

use super::super::answer::{Answer, empty};
use super::super::error::ServiceError;
use super::super::links::Target;
use super::super::numbers::written;
use super::super::router::parameter;
use super::{Context, json, page};

/// Answers a request about the run. `None` if only GitHub can answer it.
pub(super) fn of_run(context: &Context<'_>, rest: &[&str], uri: &Uri) -> Result<Option<Answer>, ServiceError> {
    let Context { service, base, .. } = context;
    let jobs = |run: &Run| {
        let jobs: Vec<_> = run.jobs.values().enumerate().map(|(at, job)| job_of(context, at + 1, job)).collect();
        page(&jobs, uri, base, |page, count| json!({"total_count": count, "jobs": page}))
    };
    let answer = match rest {
        [] => json(&described(context)),
        ["attempts", attempt] if *attempt == service.facts.attempt.to_string() => json(&described(context)),
        ["jobs"] => jobs(&history::read(&service.run)?),
        ["attempts", attempt, "jobs"] => {
            let run = attempt.parse().map(|attempt| history::read_attempt(&service.run, attempt)).ok().transpose()?;
            jobs(&run.flatten().ok_or(ServiceError::NotFound("attempt"))?)
        }
        ["artifacts"] => {
            let name = parameter(uri, "name");
            let mut found = service.artifacts.all();
            found.retain(|artifact| name.as_ref().is_none_or(|name| artifact.name == *name));
            let artifacts: Vec<_> = found.iter().rev().map(|artifact| described_artifact(context, artifact)).collect();
            page(&artifacts, uri, base, |page, count| json!({"total_count": count, "artifacts": page}))
        }
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// Answers a request about an artifact with its description, or with a redirect to its data.
pub(super) fn artifact(context: &Context<'_>, rest: &[&str]) -> Result<Answer, ServiceError> {
    let missing = || ServiceError::NotFound("artifact");
    let (id, rest) = rest.split_first().ok_or_else(missing)?;
    let artifact = context.service.artifacts.get(id.parse().map_err(|_| missing())?)?;
    match rest {
        [] => Ok(json(&described_artifact(context, &artifact))),
        ["zip"] => {
            // The answer has no content type: with one, clients would try to parse its empty body as JSON.
            let mut answer = empty(StatusCode::FOUND);
            let link = HeaderValue::from_str(&context.links.read(&Target::Artifact(artifact.id)));
            answer.headers_mut().insert(LOCATION, link.map_err(|_| missing())?);
            Ok(answer)
        }
        _ => Err(missing()),
    }
}

fn described(context: &Context<'_>) -> Value {
    let facts = &context.service.facts;
    let Context { base, name, .. } = context;
    let id: u64 = facts.run_id.parse().unwrap_or_default();
    let branch = facts.git_ref.strip_prefix("refs/heads/").or_else(|| facts.git_ref.strip_prefix("refs/tags/"));
    json!({
        "id": id,
        "name": facts.workflow,
        "path": facts.workflow_path,
        "event": facts.event_name,
        "status": "in_progress",
        "conclusion": null,
        "head_branch": branch,
        "head_sha": facts.sha,
        "run_number": facts.run_number,
        "run_attempt": facts.attempt,
        "actor": {"login": facts.actor},
        "triggering_actor": {"login": facts.actor},
        "repository": {"full_name": name},
        "pull_requests": [],
        "url": format!("{base}/repos/{name}/actions/runs/{id}"),
        "html_url": format!("https://github.com/{name}/actions/runs/{id}"),
    })
}

fn job_of(context: &Context<'_>, id: usize, job: &Job) -> Value {
    let status = match job.phase {
        Phase::Running => "in_progress",
        _ if job.phase.is_done() => "completed",
        _ => "queued",
    };
    let time = |time: Option<Timestamp>| time.map(written);
    json!({
        "id": id,
        "run_id": context.service.facts.run_id.parse::<u64>().ok(),
        "run_attempt": job.attempt,
        "name": job.name,
        "status": status,
        "conclusion": job.phase.conclusion().map(Conclusion::word),
        "started_at": time(job.started),
        "completed_at": time(job.finished),
        "html_url": format!("https://github.com/{}/actions/runs/{}", context.name, context.service.facts.run_id),
    })
}

fn described_artifact(context: &Context<'_>, artifact: &Artifact) -> Value {
    let Context { service, base, name, .. } = context;
    let url = format!("{base}/repos/{name}/actions/artifacts/{}", artifact.id);
    json!({
        "id": artifact.id,
        "name": artifact.name,
        "size_in_bytes": artifact.size,
        "url": url,
        "archive_download_url": format!("{url}/zip"),
        "expired": false,
        "created_at": written(artifact.created),
        "updated_at": written(artifact.created),
        "expires_at": artifact.expires.map(written),
        "digest": artifact.digest,
        "workflow_run": {"id": service.facts.run_id.parse::<u64>().ok(), "head_sha": service.facts.sha},
    })
}
