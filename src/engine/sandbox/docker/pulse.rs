//! Monitors whether a Docker engine still responds.

use std::time::Duration;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout};

use super::client::{DockerClient, DockerError, reason};
use crate::engine::sandbox::provider::ProviderError;

/// Interval between two pings of the engine.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Time limit of a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an engine may take to restart, and the interval between two pings during this time.
const RESTART_TIMEOUT: Duration = Duration::from_secs(5);
const RESTART_POLL: Duration = Duration::from_millis(250);

impl DockerClient {
    /// Waits until the engine has not responded for about [`RESTART_TIMEOUT`]. A closed connection is noticed at once,
    /// an unresponsive one after at most [`PING_INTERVAL`].
    pub(super) async fn lost(&self) -> DockerError {
        loop {
            self.quiet().await;
            if let Err(error) = self.answers().await {
                return error;
            }
        }
    }

    /// Waits until a container was stopped or removed, and returns that as an error. An engine that does not respond is left to
    /// [`Self::lost`].
    pub(super) async fn container_end(&self, container: &str) -> ProviderError {
        loop {
            // Ends when the container or the connection does: the state of the container decides.
            let _ = self.api.wait_container(container, None).next().await;
            match self.api.inspect_container(container, None).await.map_err(|error| DockerError::of("", error)) {
                Ok(found) if found.state.as_ref().is_some_and(|state| state.running == Some(true)) => {}
                // A container that is removed by force is stopped first.
                Ok(_) | Err(DockerError::Missing { .. }) => {
                    return ProviderError::NotFound("the container of the job was stopped or removed".to_owned());
                }
                Err(_) => {}
            }
            sleep(RESTART_POLL).await;
        }
    }

    /// Waits until it is time for the next ping.
    async fn quiet(&self) {
        // No container has this label, so nothing arrives until the connection ends.
        let filters = [("label", vec!["dev.cuelight.pulse".to_owned()])].into();
        let mut events = self.api.events(Some(EventsOptionsBuilder::default().filters(&filters).build()));
        let ends = async {
            while let Some(Ok(_)) = events.next().await {}
            // Pauses, so that an engine without events is not pinged all the time.
            sleep(RESTART_POLL).await;
        };
        let _ = timeout(PING_INTERVAL, ends).await;
    }

    /// Waits until the engine responds, because it may be restarting.
    ///
    /// # Errors
    /// The engine does not respond within about [`RESTART_TIMEOUT`].
    pub(super) async fn answers(&self) -> Result<(), DockerError> {
        let since = Instant::now();
        loop {
            match self.ping().await {
                Err(error) if since.elapsed() >= RESTART_TIMEOUT => return Err(error),
                Err(_) => sleep(RESTART_POLL).await,
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Pings the engine once.
    ///
    /// # Errors
    /// The engine does not respond within [`PING_TIMEOUT`].
    pub(super) async fn ping(&self) -> Result<(), DockerError> {
        match timeout(PING_TIMEOUT, self.api.ping()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.cut(reason(&error))),
            Err(_) => Err(self.cut(format!("no answer within {} s", PING_TIMEOUT.as_secs()))),
        }
    }

    /// Returns the error for a connection that was closed, or on which nothing arrived, with the reason.
    pub(super) fn cut(&self, reason: impl Into<String>) -> DockerError {
        DockerError::Lost { address: self.address().to_owned(), reason: reason.into() }
    }
}
