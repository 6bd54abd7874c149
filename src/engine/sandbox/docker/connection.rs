//! The connection that all jobs of a run share, and the note in the folder of a run that says where its things are.

use std::fs;

use tokio::sync::OnceCell;

use super::client::{DockerClient, DockerError};
use crate::engine::sandbox::provider::ProviderError;
use crate::store::folder::RunFolder;

/// The file in the folder of a run with the address of the Docker engine that the run uses.
pub(super) const NOTE: &str = "engine";

/// A connection that is made when it is first needed.
#[derive(Default)]
pub(super) struct Connection {
    client: OnceCell<DockerClient>,
}

impl Connection {
    /// Returns the connection.
    pub(super) async fn client(&self) -> Result<&DockerClient, DockerError> {
        self.client.get_or_try_init(DockerClient::find).await
    }

    /// Returns the connection for something that is to be created for a run. The address is noted in the folder of the
    /// run first, so that it is found if the worker dies.
    pub(super) async fn of_run(&self, run: &RunFolder) -> Result<DockerClient, ProviderError> {
        let client = self.client().await?;
        if noted(run).as_deref() != Some(client.address()) {
            let written = fs::write(run.path().join(NOTE), client.address());
            written.map_err(|error| ProviderError::Failed(format!("the run's folder cannot be written: {error}")))?;
        }
        Ok(client.clone())
    }
}

/// Returns the address of the Docker engine that a run uses.
pub(super) fn noted(run: &RunFolder) -> Option<String> {
    fs::read_to_string(run.path().join(NOTE)).ok()
}
