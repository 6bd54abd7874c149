//! Connection shared by all jobs of a run, and the note in the run folder with the address of the engine.

use std::fs;

use tokio::sync::OnceCell;

use super::client::{DockerClient, DockerError};
use crate::engine::sandbox::provider::ProviderError;
use crate::store::folder::RunFolder;

/// File in the run folder with the address of the Docker engine that the run uses.
pub(super) const NOTE: &str = "engine";

/// A connection that is opened on first use.
#[derive(Default)]
pub(super) struct Connection {
    client: OnceCell<DockerClient>,
}

impl Connection {
    /// Returns the connection.
    pub(super) async fn client(&self) -> Result<&DockerClient, DockerError> {
        self.client.get_or_try_init(DockerClient::find).await
    }

    /// Returns the connection, to create resources for a run. The address is written to the run folder first, so that
    /// the resources are found even if the worker dies.
    pub(super) async fn of_run(&self, run: &RunFolder) -> Result<DockerClient, ProviderError> {
        let client = self.client().await?;
        if noted(run).as_deref() != Some(client.address()) {
            let written = fs::write(run.path().join(NOTE), client.address());
            written.map_err(|error| ProviderError::Failed(format!("cannot write to the run folder: {error}")))?;
        }
        Ok(client.clone())
    }
}

/// Returns the address of the Docker engine that a run uses.
pub(super) fn noted(run: &RunFolder) -> Option<String> {
    fs::read_to_string(run.path().join(NOTE)).ok()
}
