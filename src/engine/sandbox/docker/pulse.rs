//! Whether a Docker engine that has answered still does.

use std::time::Duration;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout};

use super::client::{DockerClient, DockerError, reason};

/// Time between two questions whether the engine answers.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// How long an engine may take to answer one.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an engine may be restarted, and the time between two questions meanwhile.
const RESTART_TIMEOUT: Duration = Duration::from_secs(5);
const RESTART_POLL: Duration = Duration::from_millis(250);

impl DockerClient {
    /// Waits until the engine does not answer, and has not done so for about [`RESTART_TIMEOUT`]. A connection that ends is
    /// noticed at once, and one that is silent after at most [`PING_INTERVAL`].
    pub(super) async fn lost(&self) -> DockerError {
        loop {
            self.quiet().await;
            if let Err(error) = self.answers().await {
                return error;
            }
        }
    }

    /// Waits until the engine is to be asked whether it answers.
    async fn quiet(&self) {
        // No container has this label: the answer ends with its connection, and has nothing before that.
        let filters = [("label", vec!["dev.cuelight.pulse".to_owned()])].into();
        let mut events = self.api.events(Some(EventsOptionsBuilder::default().filters(&filters).build()));
        let ends = async {
            while let Some(Ok(_)) = events.next().await {}
            // An engine without events is asked now and then.
            sleep(RESTART_POLL).await;
        };
        let _ = timeout(PING_INTERVAL, ends).await;
    }

    /// Waits for an answer of the engine, which may be restarting.
    ///
    /// # Errors
    /// No engine answers within about [`RESTART_TIMEOUT`].
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

    /// Asks the engine once whether it answers.
    ///
    /// # Errors
    /// It does not within [`PING_TIMEOUT`].
    pub(super) async fn ping(&self) -> Result<(), DockerError> {
        match timeout(PING_TIMEOUT, self.api.ping()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.cut(reason(&error))),
            Err(_) => Err(self.cut(format!("no answer within {} s", PING_TIMEOUT.as_secs()))),
        }
    }

    /// Returns the error of a connection that ended, or was silent, for this reason.
    pub(super) fn cut(&self, reason: impl Into<String>) -> DockerError {
        DockerError::Lost { address: self.address().to_owned(), reason: reason.into() }
    }
}
