//! Workflows of servers, for the screen and the command line: lists, enables, disables and dispatches them, and mirrors
//! the new run.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use crate::backend::github::address::Repository;
use crate::backend::github::client::{ApiError, Client, Freshness};
use crate::backend::github::workflows::dispatch::{Dispatch, DispatchError, Dispatched, LOOKS};
use crate::backend::github::workflows::{Dispatchable, ServerWorkflow, WorkflowError, Workflows};
use crate::model::{Command, Event, Reply};
use crate::store::folder::RunFolder;
use crate::workflow::syntax::InputKind;

use super::order::user;
use super::{Ask, PollError, Poller};

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
    /// The server returned the id of the run, but does not have the run yet.
    #[error(
        "{repository}/{run} was started, but the server does not have it after a minute: \
         `cuelight show {repository}/{run}` looks again"
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

    /// Lists the workflows of a repository that can be started by a dispatch, with its default branch. Also returns the
    /// names of its environments, if the token may read them and an input of a workflow is an environment.
    ///
    /// # Errors
    /// The server gives no answer, or the token may not start any workflow.
    pub async fn dispatchable(
        &self,
        repository: &Repository,
    ) -> Result<(Vec<Dispatchable>, String, BTreeSet<String>), SteerError> {
        self.check_workflows(repository).await?;
        let client = self.client(&repository.host).await?;
        let workflows = Workflows::of(&client, repository);
        let branch = workflows.default_branch().await?;
        let found = workflows.dispatchable(&branch).await?;
        let mut inputs = found.iter().flat_map(|one| &one.inputs);
        let needs_environments = inputs.any(|input| input.kind == InputKind::Environment);
        let environments = if needs_environments { workflows.environments().await? } else { None };
        Ok((found, branch, environments.unwrap_or_default()))
    }

    /// Enables or disables a workflow, and returns it.
    ///
    /// # Errors
    /// The workflow does not exist, the token may not change it, or the server gives no answer or refuses.
    pub async fn enable(
        &self,
        repository: &Repository,
        name: &str,
        enable: bool,
    ) -> Result<ServerWorkflow, SteerError> {
        self.check_workflows(repository).await?;
        let client = self.client(&repository.host).await?;
        let workflows = Workflows::of(&client, repository);
        let workflow = workflows.find(name).await?;
        workflows.enable(&workflow, enable).await?;
        Ok(workflow)
    }

    /// Starts a workflow, waits for its run, and creates the folder of the run.
    ///
    /// # Errors
    /// Nothing was started, or the run was started but not found; the error distinguishes these.
    pub async fn dispatch(
        &self,
        repository: &Repository,
        wanted: &Dispatch,
    ) -> Result<(RunFolder, Dispatched), SteerError> {
        self.check_workflows(repository).await?;
        let client = self.client(&repository.host).await?;
        let dispatched = Workflows::of(&client, repository).dispatch(wanted).await?;
        for delay in LOOKS {
            match self.find(repository, dispatched.run).await {
                // Servers return the id of a run before the run exists.
                Err(PollError::Api(error)) if error.is_transient() || is_missing(&error) => {}
                found => {
                    let folder = found?;
                    self.record_dispatch(&client, &folder, &dispatched).await;
                    return Ok((folder, dispatched));
                }
            }
            sleep(Duration::from_secs(delay)).await;
        }
        Err(SteerError::Late { repository: repository.to_string(), run: dispatched.run })
    }
}

impl Poller {
    /// Records in the journal of a run how it was dispatched. Errors are ignored, as the run has started.
    async fn record_dispatch(&self, client: &Client, folder: &RunFolder, dispatched: &Dispatched) {
        let inputs = dispatched.inputs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let command = Command::Dispatch { git_ref: dispatched.git_ref.clone(), inputs };
        let event = Event::Ordered { command, reply: Reply::Accepted, by: user(client).await };
        let recorded = async {
            self.refresh(folder).await?;
            let (run, event) = (folder.id().clone(), Box::new(event));
            self.host(client.host().name()).await?.ask(|answer| Ask::Record { run, event, answer }).await
        };
        if let Err(error) = recorded.await {
            tracing::debug!(run = %folder.id(), %error, "the dispatch of a run is not recorded");
        }
    }
}

fn is_missing(error: &ApiError) -> bool {
    error.status() == Some(404)
}
