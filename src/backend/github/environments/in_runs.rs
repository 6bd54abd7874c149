//! Finds deployments in runs, as configured in the settings: for jobs that deploy without naming an environment, or
//! that set `deployment: false`.

use crate::backend::github::address::segment;
use crate::backend::github::client::Freshness;
use crate::backend::github::wire::runs::{Job, Run};
use crate::backend::github::wire::words::{Ending, Status};
use crate::backend::github::workflows::file_name;
use crate::config::EnvironmentConfig;
use crate::model::Timestamp;
use crate::model::environment::{
    DeploymentSource, DeploymentState, Environment, EnvironmentDeployment, Origin, Release,
};
use crate::workflow::parse_partial;
use crate::workflow::pattern::deciding_pattern;
use crate::workflow::source::Source;
use crate::workflow::template::TemplateKind;

use super::{Common, EnvironmentError, Environments, is_missing};

/// Number of runs of the workflow that are searched, newest first.
const SEARCHED: usize = 50;

impl Environments {
    /// Adds the deployments made by runs of the configured workflow until the environment has `limit`, and records the
    /// workflow as their source. Changes nothing if the repository does not have the workflow.
    pub(super) async fn add_from_runs(
        &self,
        environment: &mut Environment,
        settings: &EnvironmentConfig,
        common: &Common,
        limit: usize,
    ) -> Result<(), EnvironmentError> {
        let Some(workflow) = &settings.workflow else { return Ok(()) };
        let file = file_name(workflow);
        let path = format!("/actions/workflows/{}/runs?per_page={SEARCHED}", segment(file));
        let mut runs: Vec<Run> = match self.list("workflow_runs", &path, Freshness::NOW).await {
            Ok(runs) => runs,
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        environment.unknown = None;
        environment.source = DeploymentSource::Runs { workflow: file.to_owned() };
        let is_wanted = |run: &&Run| {
            let branch = run.head_branch.as_deref().unwrap_or_default();
            let patterns = settings.reference.as_deref().map(|patterns| patterns.split('|'));
            patterns.is_none_or(|patterns| deciding_pattern(patterns, branch).is_some_and(|(_, wanted)| wanted))
        };
        // An older run that was re-run may have deployed last.
        runs.sort_by_key(|run| std::cmp::Reverse(run.run_started_at.or(run.created_at)));
        let deployments = &mut environment.deployments;
        for run in runs.iter().filter(is_wanted) {
            if deployments.len() >= limit {
                break;
            }
            let job = match &settings.job {
                Some(job) => match self.job(run, job).await? {
                    Some(job) => Some(job),
                    None => continue,
                },
                None => None,
            };
            let Some(mut found) = deployment(run, job.as_ref(), common) else { continue };
            // A run that ended without success may have waited until its end. Only its jobs show that.
            if job.is_none() && !found.state.is_open() && !found.succeeded {
                found.began = self.jobs(run).await?.iter().any(Job::has_run);
            }
            deployments.push(found);
        }
        supersede(deployments);
        Ok(())
    }

    /// Finds the job that deploys in the newest attempt of a run, by its name or by its id in the workflow file. `None`
    /// if the run has no such job, or has not reached it.
    async fn job(&self, run: &Run, wanted: &str) -> Result<Option<Job>, EnvironmentError> {
        let jobs = self.jobs(run).await?;
        let named = |name: &str| jobs.iter().find(|job| is_named(job, name)).cloned();
        Ok(match named(wanted) {
            Some(job) => Some(job),
            None => self.name_of(run, wanted).await?.and_then(|name| named(&name)),
        })
    }

    /// Fetches the jobs of the newest attempt of a run.
    async fn jobs(&self, run: &Run) -> Result<Vec<Job>, EnvironmentError> {
        let (Some(id), attempt) = (run.id, run.run_attempt.unwrap_or(1).max(1)) else { return Ok(Vec::new()) };
        // The jobs of an attempt that has ended do not change.
        let freshness = if run.status == Some(Status::Completed) { Freshness::ANY } else { Freshness::NOW };
        let path = format!("/actions/runs/{id}/attempts/{attempt}/jobs?per_page=100");
        self.optional_list("jobs", &path, freshness).await
    }

    /// Returns the name of a job in the workflow file of a run. `None` if the file cannot be read, or if the job has no
    /// name or an expression as its name.
    async fn name_of(&self, run: &Run, id: &str) -> Result<Option<String>, EnvironmentError> {
        let path = run.workflow_path();
        let sha = run.head_sha.as_deref().unwrap_or_default();
        let found = self.client.file(&self.repository.path(), path, sha, Freshness::ANY, self.priority).await;
        let text = match found {
            Err(error) if error.is_transient() => return Err(error.into()),
            // The token may not read the file.
            Err(_) | Ok(None) => return Ok(None),
            Ok(Some(text)) => text,
        };
        let Some(workflow) = parse_partial(&Source::new(path, text)).0 else { return Ok(None) };
        let job = workflow.jobs.iter().find(|job| job.id.value == id);
        Ok(job.and_then(|job| match &job.name.as_ref()?.kind {
            TemplateKind::Text(name) => Some(name.to_string()),
            _ => None,
        }))
    }
}

/// Sorts deployments, newest first. All successful ones but the newest become inactive.
fn supersede(deployments: &mut [EnvironmentDeployment]) {
    deployments.sort_by_key(|deployment| std::cmp::Reverse(deployment.created));
    let succeeded = deployments.iter_mut().filter(|deployment| deployment.state == DeploymentState::Success);
    succeeded.skip(1).for_each(|deployment| deployment.state = DeploymentState::Inactive);
}

/// Whether a job has this name. A job of a called workflow also matches by its name in that workflow.
fn is_named(job: &Job, wanted: &str) -> bool {
    let name = job.name.as_deref().unwrap_or_default();
    let own = name.rsplit(" / ").next().unwrap_or(name);
    [name, own].iter().any(|name| name.eq_ignore_ascii_case(wanted))
}

/// Returns the deployment of a run, or of one of its jobs. `None` if it was skipped, has only been requested, or has no
/// status.
fn deployment(run: &Run, job: Option<&Job>, common: &Common) -> Option<EnvironmentDeployment> {
    let (status, ending) = match job {
        Some(job) => (&job.status, &job.conclusion),
        None => (&run.status, &run.conclusion),
    };
    let state = match (status.as_ref()?, ending) {
        (Status::Completed, Some(Ending::Success)) => DeploymentState::Success,
        (Status::Completed, Some(Ending::Skipped)) | (Status::Requested, _) => return None,
        (Status::Completed, Some(Ending::Failure | Ending::TimedOut)) => DeploymentState::Failure,
        (Status::Completed, Some(ending)) => DeploymentState::Other(ending.as_str().to_owned()),
        (Status::Completed, None) => DeploymentState::Other("ended".to_owned()),
        (Status::InProgress, _) => DeploymentState::InProgress,
        (Status::Waiting, _) => DeploymentState::Waiting,
        (Status::Queued, _) => DeploymentState::Queued,
        (Status::Pending, _) => DeploymentState::Pending,
        (Status::Other(word), _) => DeploymentState::Other(word.clone()),
    };
    let (started, ended) = match job {
        Some(job) => (job.started_at.or(job.created_at), job.completed_at),
        None => (run.run_started_at.or(run.created_at), run.updated_at),
    };
    let sha = run.head_sha.clone().unwrap_or_default();
    let reference = run.head_branch.clone().unwrap_or_default();
    let by = run.triggering_actor.as_ref().or(run.actor.as_ref());
    Some(EnvironmentDeployment {
        release: Release { tag: common.tag(&sha, &reference), sha, reference },
        succeeded: state == DeploymentState::Success,
        began: match state {
            DeploymentState::Success | DeploymentState::InProgress => true,
            DeploymentState::Waiting | DeploymentState::Queued | DeploymentState::Pending => false,
            _ => job.is_none_or(Job::has_run),
        },
        creator: by.and_then(|user| user.login.clone()).unwrap_or_default(),
        created: started.map_or(Timestamp(0), |time| time.0),
        ended: ended.filter(|_| !state.is_open()).map(|time| time.0),
        description: String::new(),
        origin: Origin::default(),
        outcome: None,
        run: run.id,
        local: None,
        job: job.and_then(|job| job.id),
        url: None,
        state,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::backend::github::wire::List;
    use crate::backend::github::wire::runs::Step;

    #[test]
    fn a_job_that_no_runner_took_did_not_begin() {
        let common = Common { default_branch: None, tags: HashMap::new() };
        let list = |count| List { items: vec![Step::default(); count], ..List::default() };
        for (status, ending, runner, steps, began) in [
            (Status::Completed, Some(Ending::Success), "", 0, Some(true)),
            (Status::Completed, Some(Ending::Cancelled), "", 0, Some(false)),
            (Status::Completed, Some(Ending::Cancelled), "runner-1", 0, Some(true)),
            (Status::Completed, Some(Ending::Cancelled), "", 3, Some(true)),
            (Status::Completed, Some(Ending::Failure), "", 0, Some(false)),
            (Status::Completed, Some(Ending::Failure), "runner-1", 3, Some(true)),
            (Status::Completed, Some(Ending::Skipped), "", 0, None),
            (Status::Completed, None, "", 0, Some(false)),
            (Status::Queued, None, "", 0, Some(false)),
            (Status::Waiting, None, "", 0, Some(false)),
            (Status::InProgress, None, "", 0, Some(true)),
            (Status::Other("new".to_owned()), None, "", 0, Some(false)),
        ] {
            let shown = format!("{status:?} {ending:?} {runner} {steps}");
            let (runner_name, steps) = (Some(runner.to_owned()), Some(list(steps)));
            let job = Job { status: Some(status), conclusion: ending, runner_name, steps, ..Job::default() };
            let found = deployment(&Run::default(), Some(&job), &common);
            assert_eq!(found.map(|found| found.began), began, "{shown}");
        }
    }
}
