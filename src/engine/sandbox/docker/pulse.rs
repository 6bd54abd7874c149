//! Monitors whether a Docker engine still responds.

use std::time::Duration;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout};

use super::client::{DockerClient, DockerError, is_running, reason};
use crate::engine::sandbox::provider::ProviderError;

/// Interval between two pings of the engine.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Time limit of a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an engine may take to restart, and the interval between two pings during this time. It is longer than the
/// time limit of a ping, so that one slow answer on a busy machine does not end a job.
const RESTART_TIMEOUT: Duration = Duration::from_secs(10);
const RESTART_POLL: Duration = Duration::from_millis(250);

impl DockerClient {
    /// Waits until the engine has not responded for about [`RESTART_TIMEOUT`]. That time begins at once for a closed
    /// connection, and after at most [`PING_INTERVAL`] for an unresponsive one.
    pub(super) async fn lost(&self) -> DockerError {
        loop {
            self.quiet().await;
            if let Err(error) = self.answers().await {
                return error;
            }
        }
    }

    /// Waits until a container was stopped or removed, and returns that as an error. If the engine does not respond,
    /// keeps waiting; [`Self::lost`] detects that.
    pub(super) async fn container_end(&self, container: &str) -> ProviderError {
        loop {
            // This call ends when the container or the connection ends, so the state of the container is read next.
            let _ = self.api.wait_container(container, None).next().await;
            match self.inspect(container).await {
                Ok(found) if is_running(&found) => {}
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
            // Pauses, so that an engine that ends the stream at once is not pinged all the time.
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
    /// The engine does not respond within 5 s.
    pub async fn ping(&self) -> Result<(), DockerError> {
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;

    /// Serves the answers of a podman whose container has ended and is not cleaned up yet.
    fn podman(socket: &Path) {
        let listener = UnixListener::bind(socket).expect("bound");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
                let request = head.reduce(|request, _| request).unwrap_or_default();
                let body = if request.contains("/wait") {
                    r#"{"StatusCode":0}"#
                } else if request.contains("/json") {
                    r#"{"Id":"1","State":{"Status":"stopped","Running":false}}"#
                } else {
                    r#"{"Version":"5.0","ApiVersion":"1.41"}"#
                };
                let length = body.len();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
                let _ = write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}");
            }
        });
    }

    #[tokio::test]
    async fn the_end_of_a_container_is_noticed_before_podman_has_cleaned_it_up() {
        let home = tempfile::tempdir().expect("a folder");
        let socket = home.path().join("podman.sock");
        podman(&socket);
        let client = DockerClient::at(&format!("unix://{}", socket.display())).await.expect("answers");
        let end = timeout(Duration::from_secs(20), client.container_end("1")).await.expect("noticed");
        assert!(matches!(end, ProviderError::NotFound(_)), "{end}");
    }
}
