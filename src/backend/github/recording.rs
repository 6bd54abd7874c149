//! Records deployments by this machine on GitHub.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::config::Config;
use crate::launch::deploy::Deployments;
use crate::model::deployment::{EnvironmentSettings, RecordOn};
use crate::model::{ServerKind, short_sha};
use crate::rollout::recording::{DeploymentServer, NewDeployment, ServerError, Status};
use crate::store::folder::RunsDir;

use super::address::{Repository, escaped, segment};
use super::client::{ApiError, Change, Client, Freshness, Mutation, Priority};
use super::poller::{PollError, Poller};
use super::wire::Page;
use super::wire::deployments::Deployment;

/// Maximum number of pages of deployments of a commit to an environment, a hundred each, that are searched for the
/// deployment of a run.
const MAX_PAGES: usize = 20;

/// The repository of a checkout on GitHub.
struct OnGitHub {
    client: Client,
    repository: Repository,
}

/// Connects to GitHub for the repository of the checkout at `folder`, without a request.
///
/// # Errors
/// No remote is on a known GitHub server, there is no token for it, or the settings are invalid.
#[must_use]
pub fn connect(folder: PathBuf, state: RunsDir) -> BoxFuture<'static, Result<Arc<dyn DeploymentServer>, ServerError>> {
    async move { Ok(Arc::new(OnGitHub::of(&folder, state).await?) as Arc<dyn DeploymentServer>) }.boxed()
}

/// Why the deployments to an environment cannot be recorded on a server.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: deployments to {environment} cannot be recorded on GitHub: {error}")]
pub struct Obstacle {
    /// Name of the environment.
    environment: String,
    /// Where the settings ask for the record.
    origin: String,
    /// The reason.
    error: ServerError,
}

impl Obstacle {
    /// Whether the settings ask for what no deployment can have.
    fn is_mistake(&self) -> bool {
        matches!(self.error, ServerError::NoRepository(_) | ServerError::RecordsNone(_))
    }
}

/// Returns why the deployments to an environment cannot be recorded on a server, as far as that is known without a
/// request. `None` if they can, or are not to be recorded.
///
/// # Errors
/// If `strict`: the settings ask for what no deployment can have. A rollback is never held up by that.
pub async fn obstacle(
    deployments: &Deployments,
    settings: &EnvironmentSettings,
    strict: bool,
) -> Result<Option<String>, Obstacle> {
    let Some(RecordOn::GitHub) = settings.record else { return Ok(None) };
    let folder = &deployments.repository().root;
    let Err(error) = OnGitHub::of(folder, deployments.runs().clone()).await else { return Ok(None) };
    let origin = deployments.origin_of_record(&settings.name).unwrap_or(".cuelight.toml").to_owned();
    let obstacle = Obstacle { environment: settings.name.clone(), origin, error };
    if strict && obstacle.is_mistake() { Err(obstacle) } else { Ok(Some(obstacle.to_string())) }
}

impl OnGitHub {
    async fn of(folder: &Path, state: RunsDir) -> Result<Self, ServerError> {
        let config = Config::load(None).map_err(permanent)?.github;
        let poller = Poller::new(state, config, |name| std::env::var(name).ok());
        let Some(repository) = poller.checkout(folder).map_err(permanent)? else {
            let why = poller.no_checkout(folder).map_err(permanent)?;
            return Err(ServerError::NoRepository(why.into()));
        };
        let client = poller.client(&repository.host).await.map_err(|error| match error {
            PollError::Api(error) => sorted(error),
            error => permanent(error),
        })?;
        if client.host().kind() != ServerKind::GitHub {
            return Err(ServerError::RecordsNone(repository.host));
        }
        if !client.has_token() {
            return Err(ServerError::NoToken(repository.host));
        }
        Ok(Self { client, repository })
    }

    fn path(&self, below: &str) -> String {
        format!("{}/deployments{below}", self.repository.path())
    }

    fn malformed(&self, what: &'static str) -> ServerError {
        ServerError::Temporary(PollError::Malformed { host: self.repository.host.clone(), what }.into())
    }

    /// Sends a change, and returns the id in the answer; `None` if the answer has none.
    async fn post(&self, path: String, body: Value) -> Result<Option<u64>, ApiError> {
        let mutation = Mutation { change: Change::Post, path, body: Some(body) };
        let done = self.client.send(&mutation).await?;
        Ok(serde_json::from_slice::<Value>(&done.body).ok().and_then(|answer| answer["id"].as_u64()))
    }
}

impl DeploymentServer for OnGitHub {
    fn host(&self) -> &str {
        &self.repository.host
    }

    fn repository(&self) -> String {
        self.repository.full_name()
    }

    fn page(&self, environment: &str) -> String {
        let name = self.repository.full_name();
        let filter = segment(environment);
        format!("{}/{name}/deployments/activity_log?environments_filter={filter}", self.client.host().web())
    }

    fn find<'s>(
        &'s self,
        wanted: &'s NewDeployment,
        others: &'s [u64],
    ) -> BoxFuture<'s, Result<Option<u64>, ServerError>> {
        async move {
            let environment = segment(&wanted.environment);
            let path = self.path(&format!("?sha={}&environment={environment}&per_page=100", escaped(&wanted.sha)));
            let job = wanted.job.as_ref().map(ToString::to_string);
            let is_wanted = |one: &Deployment| {
                let is_other = one.id.is_some_and(|id| others.contains(&id));
                !is_other
                    && one.payload.as_ref().is_some_and(|payload| {
                        payload.cuelight_run.as_deref() == Some(wanted.run.as_str()) && payload.cuelight_job == job
                    })
            };
            let mut pages = self.client.pages(&path, MAX_PAGES, Freshness::NOW, Priority::User);
            while let Some(answer) = pages.next().await.map_err(sorted)? {
                let listed = Page::<Deployment>::read(&answer.body, "deployments");
                let listed = listed.ok_or_else(|| self.malformed("a list"))?;
                if let Some(found) = listed.list.items.into_iter().find(is_wanted) {
                    return Ok(found.id);
                }
            }
            Ok(None)
        }
        .boxed()
    }

    fn create<'s>(&'s self, new: &'s NewDeployment) -> BoxFuture<'s, Result<u64, ServerError>> {
        async move {
            let mut body = json!({
                "ref": new.sha, "environment": new.environment, "description": new.description, "task": "deploy",
                // The gates of the environment have decided already, and nothing is to be merged.
                "auto_merge": false, "required_contexts": [],
                "production_environment": new.is_production, "transient_environment": new.is_transient,
                "payload": {"cuelight_run": new.run, "strategy": new.strategy, "release": new.release},
            });
            if let Some(job) = &new.job {
                body["payload"]["cuelight_job"] = json!(job);
            }
            match self.post(self.path(""), body).await {
                Ok(Some(id)) => Ok(id),
                // 202 without an id: GitHub has merged instead of creating a deployment.
                Ok(None) => Err(self.malformed("the id of the deployment")),
                Err(ApiError::Refused { status: 422, message, .. }) if message.contains("No ref found") => {
                    let sha = short_sha(&new.sha).to_owned();
                    Err(ServerError::NotPushed { sha, host: self.repository.host.clone() })
                }
                Err(error) => Err(sorted(error)),
            }
        }
        .boxed()
    }

    fn report<'s>(&'s self, id: u64, status: &'s Status) -> BoxFuture<'s, Result<(), ServerError>> {
        async move {
            // GitHub would mark the former deployment as inactive, and not undo that when this one is rolled back.
            let mut body = json!({
                "state": status.state.word(), "description": status.description, "auto_inactive": false,
            });
            if let Some(url) = &status.url {
                body["environment_url"] = json!(url);
            }
            self.post(self.path(&format!("/{id}/statuses")), body).await.map(drop).map_err(sorted)
        }
        .boxed()
    }
}

fn permanent(error: impl Error + Send + Sync + 'static) -> ServerError {
    ServerError::Permanent(error.into())
}

/// Sorts an error of the client by whether another attempt may succeed. A state that may have been reported is reported
/// again, and a deployment that may have been created is searched for first.
fn sorted(error: ApiError) -> ServerError {
    let is_busy = matches!(error.status(), Some(409 | 429));
    if is_busy || error.is_transient() || matches!(error, ApiError::Doubtful { .. }) {
        ServerError::Temporary(error.into())
    } else {
        permanent(error)
    }
}
