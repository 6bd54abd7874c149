//! Rollbacks: finds a way to restore an earlier release, and sends the requests.
//!
//! The workflow that deployed the release is dispatched again if its inputs or its tag can select the release and the
//! environment, and if no rule of another environment to which it deploys would delay it. Otherwise the run of the
//! deployment is re-run, which servers allow for 30 days and 50 times. If the run cannot be re-run, a dispatch that
//! will be delayed is used after all. The environment is read again before anything is sent, and the rollback is
//! refused if there was another deployment since it was planned. Each request is sent once.

use std::time::Duration;

use indexmap::IndexMap;

use crate::backend::github::client::Freshness;
use crate::backend::github::poller::steer::SteerError;
use crate::backend::github::poller::{Poller, SubmitError};
use crate::backend::github::wire::runs::{Job, Run};
use crate::backend::github::workflows::dispatch::Dispatch;
use crate::backend::github::workflows::{Workflows, file_name};
use crate::model::environment::{DeploymentSource, Environment, EnvironmentDeployment, Release};
use crate::model::rights::{MAX_RERUN_AGE, is_rerun_too_often};
use crate::model::rollback::{
    ChangedCommit, Changes, NoMethod, Rollback, RollbackBy, RollbackMethod, RollbackRequest, TargetError,
};
use crate::model::{Command, RerunScope};
use crate::store::clock::now;
use crate::store::folder::RunFolder;
use crate::store::{StoreError, history};
use crate::workflow::inputs::{BY_HAND, declared};
use crate::workflow::syntax::{InputDefinition, InputKind, JobBody, Workflow};
use crate::workflow::template::Template;

use super::rules::{Planned, hold, refusal};
use super::{EnvironmentError, Environments};

/// Number of deployments that are searched for the target.
const SEARCHED: usize = 30;

/// Maximum number of commits to list.
const MAX_COMMITS: usize = 100;

/// Maximum age of a run that servers re-run.
const MAX_AGE: Duration = Duration::from_hours(24 * MAX_RERUN_AGE);

/// Names of inputs for an environment, a release and a reason.
const FOR_ENVIRONMENT: [&str; 4] = ["environment", "env", "target", "stage"];
const FOR_RELEASE: [&str; 7] = ["version", "tag", "ref", "sha", "commit", "release", "revision"];
const FOR_REASON: [&str; 4] = ["reason", "comment", "message", "description"];

/// Why a rollback is not possible.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// The environment cannot be read.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The environment has no valid target for the rollback, or a deployment to it is in progress.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The release cannot be restored by any method.
    #[error("{release} cannot be brought back: {}", joined(.reasons))]
    NoMethod {
        /// The release.
        release: String,
        /// Why each method is not possible.
        reasons: Vec<NoMethod>,
    },
    /// The workflow cannot be read or started.
    #[error(transparent)]
    Dispatch(#[from] SteerError),
    /// The run was not re-run.
    #[error(transparent)]
    Rerun(#[from] SubmitError),
    /// The folder of the run cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn joined(reasons: &[NoMethod]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A rollback whose run was started.
#[derive(Debug)]
pub struct Started {
    /// The folder that mirrors the run.
    pub folder: RunFolder,
    /// Number of the attempt that rolls back.
    pub attempt: u32,
}

impl Environments {
    /// Decides what a rollback would do, without changing anything.
    ///
    /// # Errors
    /// There is no release to roll back from or to, no method is possible, or the server does not respond.
    pub async fn rollback(&self, request: &RollbackRequest) -> Result<Rollback, RollbackError> {
        let environment = self.one(&request.environment, SEARCHED).await?;
        let (from, to) = environment.rollback(request)?;
        let (method, passed_over) = self.method(&environment, to, request).await?;
        let changes = self.changes(&to.release, &from.release).await?;
        Ok(Rollback {
            environment: environment.name.clone(),
            is_guarded: environment.is_guarded(),
            from: from.clone(),
            to: to.clone(),
            changes,
            method,
            passed_over,
        })
    }

    /// Starts a planned rollback, unless the environment has changed since it was planned.
    ///
    /// # Errors
    /// There was another deployment since the rollback was planned, the server refuses, or it is unknown whether the
    /// request was carried out.
    pub async fn roll_back(&self, poller: &Poller, rollback: &Rollback) -> Result<Started, RollbackError> {
        let environment = self.one(&rollback.environment, SEARCHED).await?;
        let (from, _) = environment.rollback(&RollbackRequest {
            environment: environment.name.clone(),
            from: Some(rollback.from.release.sha.clone()),
            to: Some(rollback.to.release.sha.clone()),
            ..RollbackRequest::default()
        })?;
        tracing::info!(environment = rollback.environment, from = %from.release.sha, "a rollback starts");
        match &rollback.method {
            RollbackMethod::Dispatch { workflow, git_ref, inputs } => {
                let wanted =
                    Dispatch { workflow: workflow.clone(), git_ref: Some(git_ref.clone()), inputs: inputs.clone() };
                let (folder, _) = poller.dispatch(&self.repository, &wanted).await?;
                Ok(Started { folder, attempt: 1 })
            }
            RollbackMethod::Rerun { run, job } => {
                let folder = poller.find(&self.repository, *run).await.map_err(SubmitError::Poll)?;
                poller.open(&folder).await.map_err(SubmitError::Poll)?;
                let mirrored = history::read(&folder)?;
                let named = job.as_ref().and_then(|name| mirrored.jobs.values().find(|job| job.name == *name));
                let what = named.map_or(RerunScope::All, |job| RerunScope::Job(job.id.clone()));
                let attempt = mirrored.attempt + 1;
                poller.submit(&folder, &Command::Rerun { what, debug: false }).await?;
                Ok(Started { folder, attempt })
            }
        }
    }

    /// Returns the commits of `head` that `base` does not have, newest first; empty if the server cannot compare them.
    async fn changes(&self, base: &Release, head: &Release) -> Result<Changes, RollbackError> {
        let Some(compared) = self.compare(&base.sha, &head.sha, MAX_COMMITS).await? else {
            return Ok(Changes::default());
        };
        let listed = compared.commits.unwrap_or_default().items.into_iter().rev();
        let commits = listed.filter_map(|listed| {
            let text = listed.commit.unwrap_or_default();
            let author = listed.author.and_then(|user| user.login);
            Some(ChangedCommit {
                sha: listed.sha?,
                subject: text.message.unwrap_or_default().lines().next().unwrap_or_default().to_owned(),
                author: author.or_else(|| text.author.and_then(|author| author.name)).unwrap_or_default(),
            })
        });
        Ok(Changes { count: compared.ahead_by.or(compared.total_commits), commits: commits.collect() })
    }

    /// Returns the first possible method, and why the others are not used.
    async fn method(
        &self,
        environment: &Environment,
        to: &EnvironmentDeployment,
        request: &RollbackRequest,
    ) -> Result<(RollbackMethod, Vec<NoMethod>), RollbackError> {
        let no_method = |reasons| RollbackError::NoMethod { release: to.release.title(), reasons };
        let Some(id) = to.run else { return Err(no_method(vec![NoMethod::NoRun])) };
        let path = format!("{}/actions/runs/{id}", self.repository.path());
        let run: Run = match self.get(&path, Freshness::NOW).await {
            Ok(run) => run,
            Err(error) if super::is_missing(&error) => return Err(no_method(vec![NoMethod::RunGone(id)])),
            Err(error) => return Err(error.into()),
        };
        let (mut reasons, mut held) = (Vec::new(), None);
        if request.by != Some(RollbackBy::Rerun) {
            match self.dispatch(environment, to, &run, request).await? {
                Ok((method, None)) => return Ok((method, reasons)),
                Ok((method, Some(hold))) => {
                    held = Some(method);
                    reasons.push(hold);
                }
                Err(reason) => reasons.push(reason),
            }
        }
        if request.by != Some(RollbackBy::Dispatch) {
            match self.rerun(to, &run, id).await? {
                Ok(method) => return Ok((method, reasons)),
                Err(reason) => reasons.push(reason),
            }
        }
        match held {
            Some(method) => Ok((method, reasons)),
            None => Err(no_method(reasons)),
        }
    }

    /// Returns the dispatch that deploys a release again with the workflow that deployed it, and what would delay that;
    /// or why the workflow cannot be dispatched.
    async fn dispatch(
        &self,
        environment: &Environment,
        to: &EnvironmentDeployment,
        run: &Run,
        request: &RollbackRequest,
    ) -> Result<Result<(RollbackMethod, Option<NoMethod>), NoMethod>, RollbackError> {
        let path = run.workflow_path().to_owned();
        let workflows = Workflows::of(&self.client, &self.repository);
        let git_ref = match &to.release.tag {
            Some(tag) => tag.clone(),
            None => workflows.default_branch().await.map_err(SteerError::Workflow)?,
        };
        let file = file_name(&path).to_owned();
        let text = workflows.file(&path, &git_ref, Freshness::NOW).await.map_err(SteerError::Workflow)?;
        let Some(workflow) = text else { return Ok(Err(NoMethod::NoFile { file, git_ref })) };
        let inputs = match inputs(&workflow, &file, environment, &to.release, &request.reason) {
            Ok(inputs) => inputs,
            Err(reason) => return Ok(Err(reason)),
        };
        let is_tag = to.release.tag.is_some();
        let called = workflows.called(&workflow, &git_ref).await.map_err(SteerError::Workflow)?;
        let deployed_to = Planned::new(&workflow, &inputs, &git_ref, is_tag).environments(&called);
        let mut held = None;
        for mut other in self.named().await? {
            let is_asked = other.name == environment.name;
            if !is_asked && !deployed_to.iter().any(|name| name.eq_ignore_ascii_case(&other.name)) {
                continue;
            }
            self.add_rules(&mut other).await?;
            if let Some(reason) = refusal(&other, &file, &git_ref, is_tag) {
                return Ok(Err(reason));
            }
            // The rules of the environment itself apply to every method.
            if !is_asked && held.is_none() {
                held = hold(&other, &file);
            }
        }
        Ok(Ok((RollbackMethod::Dispatch { workflow: path, git_ref, inputs }, held)))
    }

    /// Returns the re-run of the run that deployed a release, or why the run cannot be re-run.
    async fn rerun(
        &self,
        to: &EnvironmentDeployment,
        run: &Run,
        id: u64,
    ) -> Result<Result<RollbackMethod, NoMethod>, RollbackError> {
        let is_old = run.created_at.is_none_or(|created| now().since(created.0) > MAX_AGE);
        if is_old {
            return Ok(Err(NoMethod::TooOld(id)));
        }
        if is_rerun_too_often(run.run_attempt.unwrap_or(1)) {
            return Ok(Err(NoMethod::TooOften(id)));
        }
        if run.conclusion.is_none() {
            return Ok(Err(NoMethod::NotEnded(id)));
        }
        let Some(job) = to.job else { return Ok(Ok(RollbackMethod::Rerun { run: id, job: None })) };
        let job: Job = self.get(&format!("{}/actions/jobs/{job}", self.repository.path()), Freshness::ANY).await?;
        Ok(Ok(RollbackMethod::Rerun { run: id, job: job.name }))
    }
}

/// Returns the inputs with which a workflow deploys a release to an environment, or why there are none. Other inputs
/// keep their defaults.
fn inputs(
    workflow: &Workflow,
    file: &str,
    environment: &Environment,
    release: &Release,
    reason: &str,
) -> Result<IndexMap<String, String>, NoMethod> {
    let (source, environment) = (&environment.source, environment.name.as_str());
    if !workflow.triggers.iter().any(|trigger| trigger.event.value == BY_HAND) {
        return Err(NoMethod::NotByHand(file.to_owned()));
    }
    let declared = declared(workflow, BY_HAND);
    let is_for =
        |input: &InputDefinition, names: &[&str]| names.iter().any(|name| input.name.value.eq_ignore_ascii_case(name));
    let takes = |input: &InputDefinition| match &input.kind {
        InputKind::Environment => true,
        InputKind::String => is_for(input, &FOR_ENVIRONMENT),
        InputKind::Choice(options) => options.iter().any(|option| option.eq_ignore_ascii_case(environment)),
        InputKind::Boolean | InputKind::Number => false,
    };
    let mut given = IndexMap::new();
    let (mut has_environment, mut has_release) = (false, release.tag.is_some());
    for input in declared {
        let name = &input.name.value;
        let value = if !has_environment && takes(input) {
            has_environment = true;
            let of_choice = match &input.kind {
                InputKind::Choice(options) => options.iter().find(|option| option.eq_ignore_ascii_case(environment)),
                _ => None,
            };
            of_choice.cloned().unwrap_or_else(|| environment.to_owned())
        } else if input.kind == InputKind::String && is_for(input, &FOR_RELEASE) {
            has_release = true;
            release.tag.clone().unwrap_or_else(|| release.sha.clone())
        } else if input.kind == InputKind::String && is_for(input, &FOR_REASON) && !reason.is_empty() {
            reason.to_owned()
        } else if input.required && input.default.as_ref().and_then(Template::literal).is_none() {
            return Err(NoMethod::NeedsInput { file: file.to_owned(), input: name.clone() });
        } else {
            continue;
        };
        given.insert(name.clone(), value);
    }
    if !has_environment {
        let (file, environment) = (file.to_owned(), environment.to_owned());
        match deploys_only_to(workflow, &environment) {
            Some(true) => {}
            // The settings name the workflow that deploys to the environment.
            None if matches!(source, DeploymentSource::Runs { workflow } if *workflow == file) => {}
            None => return Err(NoMethod::NotNamed { file, environment }),
            Some(false) => return Err(NoMethod::NoEnvironment { file, environment }),
        }
    }
    if !has_release {
        return Err(NoMethod::NoVersion(file.to_owned()));
    }
    Ok(given)
}

/// Whether all jobs of a workflow that name an environment name this one, and no job calls another workflow. `None` if
/// no job does either.
fn deploys_only_to(workflow: &Workflow, environment: &str) -> Option<bool> {
    let named = workflow.jobs.iter().filter_map(|job| match &job.body {
        JobBody::Steps(steps) => steps.environment.as_ref(),
        JobBody::Call { .. } => None,
    });
    let named: Vec<&Template> = named.collect();
    let is_this = |named: &Template| {
        let name = named.entry("name").unwrap_or(named);
        name.literal().is_some_and(|name| name.eq_ignore_ascii_case(environment))
    };
    let calls = workflow.jobs.iter().any(|job| matches!(job.body, JobBody::Call { .. }));
    if calls || !named.is_empty() { Some(!calls && named.into_iter().all(is_this)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::parse_partial;
    use crate::workflow::source::Source;

    #[test]
    fn a_workflow_is_started_only_with_inputs_that_it_takes() {
        let tagged = Release { sha: "abcdef0123".to_owned(), reference: "main".to_owned(), tag: Some("v1".to_owned()) };
        let bare = Release { tag: None, ..tagged.clone() };
        let given = |on: &str, environment: &str, release: &Release| -> Result<String, String> {
            let job =
                format!("jobs:\n  a:\n    runs-on: x\n    environment: {environment}\n    steps: [{{run: 'true'}}]\n");
            let workflow = parse_partial(&Source::new("d.yml", format!("on:\n{on}{job}"))).0.expect("a workflow");
            let of = Environment::named("production");
            let inputs = inputs(&workflow, "d.yml", &of, release, "it burns").map_err(|why| why.to_string())?;
            Ok(inputs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
        };
        let full = "  workflow_dispatch:\n    inputs:\n      environment: {type: choice, options: [staging, Production], required: true}\n      \
                    version: {type: string, required: true}\n      reason: {type: string}\n      dry_run: {type: boolean, default: false}\n";
        assert_eq!(given(full, "x", &tagged), Ok("environment=Production version=v1 reason=it burns".to_owned()));
        assert_eq!(given(full, "x", &bare), Ok("environment=Production version=abcdef0123 reason=it burns".to_owned()));
        assert_eq!(given("  workflow_dispatch:\n", "production", &tagged), Ok(String::new()));
        let refused =
            |on: &str, environment: &str, release: &Release| given(on, environment, release).expect_err("refused");
        assert_eq!(refused("  push:\n", "production", &tagged), "d.yml has no `workflow_dispatch`");
        let other = refused("  workflow_dispatch:\n", "staging", &tagged);
        assert_eq!(other, "d.yml has no input for the environment, and deploys to others than production");
        let no_version = refused("  workflow_dispatch:\n", "production", &bare);
        assert_eq!(no_version, "the release has no tag, and d.yml takes no version");
        let more = "  workflow_dispatch:\n    inputs:\n      region: {type: string, required: true}\n";
        assert_eq!(refused(more, "production", &tagged), "d.yml needs the input `region`");
    }

    #[test]
    fn a_workflow_that_names_no_environment_is_started_only_if_the_settings_name_it() {
        let text = "on: workflow_dispatch\njobs: {a: {runs-on: x, steps: [{run: 'true'}]}}\n";
        let workflow = parse_partial(&Source::new("d.yml", text)).0.expect("a workflow");
        let release =
            Release { sha: "abcdef0123".to_owned(), reference: "main".to_owned(), tag: Some("v1".to_owned()) };
        let given = |source: DeploymentSource| {
            let environment = Environment { source, ..Environment::named("production") };
            inputs(&workflow, "d.yml", &environment, &release, "").map_err(|why| why.to_string())
        };
        let runs = |workflow: &str| DeploymentSource::Runs { workflow: workflow.to_owned() };
        assert_eq!(given(runs("d.yml")), Ok(IndexMap::new()));
        for source in [DeploymentSource::Server, runs("other.yml")] {
            let reason = "d.yml has no input for the environment, and none of its jobs names production";
            assert_eq!(given(source), Err(reason.to_owned()));
        }
    }
}
