//! Workflows of servers for the faces: listed, enabled and disabled, dispatched with the mirror of the new run.

use std::time::Duration;

use tokio::time::sleep;

use crate::backend::github::address::Repository;
use crate::backend::github::client::{ApiError, Freshness};
use crate::backend::github::workflows::dispatch::{Dispatch, DispatchError, Dispatched, LOOKS};
use crate::backend::github::workflows::{ServerWorkflow, WorkflowError, Workflows};
use crate::store::folder::RunFolder;

use super::{PollError, Poller};

/// Why a workflow of a server is not started or changed.
#[derive(Debug, thiserror::Error)]
pub enum SteerError {
    /// The server cannot be connected to, or the run cannot be mirrored.
    #[error(transparent)]
    Poll(#[from] PollError),
    /// The workflow cannot be found or changed.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    /// The workflow is not started, or its run is not found.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// The server named the run, and does not have it yet.
    #[error(
        "{repository}/{run} was started, but the server does not have it after a minute: look again with `cuelight show {repository}/{run}`"
    )]
    Late {
        /// The repository.
        repository: String,
        /// Id of the run.
        run: u64,
    },
}

impl Poller {
    /// Lists the workflows of a repository.
    ///
    /// # Errors
    /// The server gives no answer, or refuses.
    pub async fn workflows(&self, repository: &Repository) -> Result<Vec<ServerWorkflow>, SteerError> {
        let client = self.client(&repository.host).await?;
        Ok(Workflows::of(&client, repository).list(Freshness::NOW).await?)
    }

    /// Enables or disables a workflow, and returns it.
    ///
    /// # Errors
    /// There is no such workflow, or the server refuses.
    pub async fn enable(
        &self,
        repository: &Repository,
        name: &str,
        enable: bool,
    ) -> Result<ServerWorkflow, SteerError> {
        let client = self.client(&repository.host).await?;
        let workflows = Workflows::of(&client, repository);
        let workflow = workflows.find(name).await?;
        workflows.enable(&workflow, enable).await?;
        Ok(workflow)
    }

    /// Starts a workflow, and makes the folder of its run.
    ///
    /// # Errors
    /// Nothing was started, or the run was not found. The errors of the second kind say so.
    pub async fn dispatch(
        &self,
        repository: &Repository,
        wanted: &Dispatch,
    ) -> Result<(RunFolder, Dispatched), SteerError> {
        let client = self.client(&repository.host).await?;
        let dispatched = Workflows::of(&client, repository).dispatch(wanted).await?;
        for delay in LOOKS {
            match self.find(repository, dispatched.run).await {
                // Servers name the run before they have it.
                Err(PollError::Api(error)) if error.is_transient() || is_missing(&error) => {}
                found => return Ok((found?, dispatched)),
            }
            sleep(Duration::from_secs(delay)).await;
        }
        Err(SteerError::Late { repository: repository.to_string(), run: dispatched.run })
    }
}

fn is_missing(error: &ApiError) -> bool {
    error.status() == Some(404)
}
