//! The server that records deployments, as this module sees it. The room `backend` implements it.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::deployment::RecordedState;
use crate::model::{JobId, RunId};
use crate::store::folder::RunsDir;

/// A repository on a server that records deployments, as GitHub does.
pub trait DeploymentServer: Send + Sync {
    /// Returns the host name of the server.
    fn host(&self) -> &str;

    /// Returns the repository, as `owner/name`.
    fn repository(&self) -> String;

    /// Returns the page in a browser that lists the deployments to an environment.
    fn page(&self, environment: &str) -> String;

    /// Returns the id of the deployment that was created for a run or a job of it. `None` if there is none besides
    /// `others`, the ids of other deployments: each time a job runs again, it deploys again for the same run.
    fn find<'s>(
        &'s self,
        wanted: &'s NewDeployment,
        others: &'s [u64],
    ) -> BoxFuture<'s, Result<Option<u64>, ServerError>>;

    /// Creates a deployment, and returns its id. After an error that may pass, the deployment may nevertheless exist.
    fn create<'s>(&'s self, new: &'s NewDeployment) -> BoxFuture<'s, Result<u64, ServerError>>;

    /// Reports the state of a deployment.
    fn report<'s>(&'s self, id: u64, status: &'s Status) -> BoxFuture<'s, Result<(), ServerError>>;
}

/// Connects to the server of the repository in a folder, without a request to it. Its token comes from where other
/// commands find it.
pub type Connect = fn(PathBuf, RunsDir) -> BoxFuture<'static, Result<Arc<dyn DeploymentServer>, ServerError>>;

/// What a server is to record about a deployment when it begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDeployment {
    /// The run of the deployment, by which it is found again.
    pub run: RunId,
    /// The job of the run that deploys; `None` if the run itself is the deployment.
    pub job: Option<JobId>,
    /// Full id of the commit.
    pub sha: String,
    /// Name of the environment.
    pub environment: String,
    /// Description, of at most [`MAX_DESCRIPTION`] characters.
    pub description: String,
    /// Whether users work with the environment.
    pub is_production: bool,
    /// Whether the environment is stopped automatically.
    pub is_transient: bool,
    /// Name of the strategy.
    pub strategy: &'static str,
    /// Name of the release.
    pub release: String,
}

/// State of a deployment, for its server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// The state.
    pub state: RecordedState,
    /// Description, of at most [`MAX_DESCRIPTION`] characters; may be empty.
    pub description: String,
    /// URL of the deployed application; `None` if it is not configured.
    pub url: Option<String>,
}

/// Maximum number of characters of a description on GitHub.
pub const MAX_DESCRIPTION: usize = 140;

/// Why a server does not record a deployment.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The repository has no remote on such a server.
    #[error("{0}")]
    NoRepository(Box<dyn Error + Send + Sync>),
    /// The server is of a kind that records no deployments.
    #[error("{0} is a Gitea, which records no deployments")]
    RecordsNone(String),
    /// There is no token for the server.
    #[error("there is no token for {0}: `cuelight auth login` or the variable GH_TOKEN gives one")]
    NoToken(String),
    /// The release has no commit, which a deployment on the server needs.
    #[error("{0} is an image whose commit is not known, and GitHub records only deployments of commits")]
    NoCommit(String),
    /// The server does not have the commit.
    #[error("commit {sha} is not on {host}: push it before it is deployed")]
    NotPushed {
        /// Short id of the commit.
        sha: String,
        /// Host name of the server.
        host: String,
    },
    /// Another attempt may succeed.
    #[error("{0}")]
    Temporary(Box<dyn Error + Send + Sync>),
    /// Another attempt would fail, too.
    #[error("{0}")]
    Permanent(Box<dyn Error + Send + Sync>),
}

impl ServerError {
    /// Whether another attempt may succeed.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Temporary(_))
    }
}

/// Shortens a description to what a server accepts.
pub(super) fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= MAX_DESCRIPTION {
        return line.to_owned();
    }
    line.chars().take(MAX_DESCRIPTION - 1).chain(['…']).collect()
}
