//! A process in a container, with its input and its output.

use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::engine::sandbox::docker::client::{DockerClient, DockerError};

/// Maximum number of bytes of output that are kept.
const MAX_OUTPUT: usize = 4 * 1024 * 1024;

/// A process in a container. Its input ends when the value is dropped, or when the current process ends.
pub(super) struct Tunnel {
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>,
}

/// Output of a process.
pub(super) struct Printed {
    /// Standard output.
    pub(super) output: Vec<u8>,
    /// Standard error.
    pub(super) errors: Vec<u8>,
    /// Whether no more output follows, because it has ended or is too long.
    pub(super) has_ended: bool,
}

impl Tunnel {
    /// Starts a process.
    pub(super) async fn open(client: &DockerClient, container: &str, command: &[&str]) -> Result<Self, DockerError> {
        let doing = || format!("cannot start a process in {container}");
        let options = CreateExecOptions {
            cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            user: Some("0".to_owned()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::<String>::default()
        };
        let made =
            client.api().create_exec(container, options).await.map_err(|error| DockerError::of(doing(), error))?;
        match client.api().start_exec(&made.id, None).await.map_err(|error| DockerError::of(doing(), error))? {
            StartExecResults::Attached { input, output } => Ok(Self { input, output }),
            StartExecResults::Detached => {
                Err(DockerError::Failed { doing: doing(), answer: "its output is not attached".to_owned() })
            }
        }
    }

    /// Returns a tunnel over any input and output.
    #[cfg(test)]
    pub(super) fn of(
        input: impl AsyncWrite + Send + 'static,
        output: impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send + 'static,
    ) -> Self {
        Self { input: Box::pin(input), output: Box::pin(output) }
    }

    /// Writes to the input of the process.
    pub(super) async fn send(&mut self, text: &str) -> std::io::Result<()> {
        self.input.write_all(text.as_bytes()).await?;
        self.input.flush().await
    }

    /// Whether the output of the process has ended, and so the process or the connection. Output that has come since the last
    /// read is dropped.
    pub(super) fn has_ended(&mut self) -> bool {
        loop {
            match self.output.next().now_or_never() {
                None => return false,
                Some(Some(Ok(_))) => {}
                Some(Some(Err(_)) | None) => return true,
            }
        }
    }

    /// Ends the input of the process, and waits until the process has ended.
    pub(super) async fn close(mut self) {
        // The process may have ended already.
        let _ = self.input.shutdown().await;
        self.read(|_| false).await;
    }

    /// Reads until `is_enough` accepts the standard output, or no more output follows.
    pub(super) async fn read(&mut self, is_enough: impl Fn(&[u8]) -> bool) -> Printed {
        let mut printed = Printed { output: Vec::new(), errors: Vec::new(), has_ended: false };
        while !is_enough(&printed.output) {
            match self.output.next().await {
                Some(Ok(LogOutput::StdErr { message })) => printed.errors.extend_from_slice(&message),
                Some(Ok(part)) => printed.output.extend_from_slice(part.as_ref()),
                Some(Err(_)) | None => {
                    printed.has_ended = true;
                    break;
                }
            }
            if printed.output.len() + printed.errors.len() > MAX_OUTPUT {
                printed.has_ended = true;
                break;
            }
        }
        printed
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[test]
    fn a_connection_has_ended_once_its_output_has() {
        let line = || Ok(LogOutput::StdOut { message: b"line".to_vec().into() });
        let mut open = Tunnel::of(tokio::io::sink(), stream::iter([line()]).chain(stream::pending()));
        assert!(!open.has_ended());
        let mut ended = Tunnel::of(tokio::io::sink(), stream::iter([line()]));
        assert!(ended.has_ended());
        let broken = bollard::errors::Error::RequestTimeoutError;
        assert!(
            Tunnel::of(tokio::io::sink(), stream::iter([line(), Err(broken)]).chain(stream::pending())).has_ended()
        );
    }
}
