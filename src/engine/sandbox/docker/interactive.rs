//! A command in a container that somebody types into.

use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecResults};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::client::{DockerClient, DockerError};

/// What is typed, and how large the terminal is.
#[derive(Debug)]
pub enum Input {
    /// Bytes of standard input.
    Bytes(Vec<u8>),
    /// The terminal has another size: columns and rows.
    Resized(u16, u16),
    /// Standard input is at its end.
    End,
}

/// What is run, and how.
#[derive(Debug)]
pub struct Session {
    /// The container.
    pub container: String,
    /// The command.
    pub command: Vec<String>,
    /// Its environment, over the container's.
    pub env: Vec<String>,
    /// Where it starts.
    pub cwd: Option<String>,
    /// Whether somebody sits at a terminal.
    pub terminal: bool,
}

impl DockerClient {
    /// Runs a command to its end; what it writes goes to `out`. Returns its exit code.
    ///
    /// # Errors
    /// The container is gone, or the engine does not answer.
    pub async fn interact(
        &self,
        session: Session,
        mut input: mpsc::Receiver<Input>,
        mut out: impl FnMut(&[u8]),
    ) -> Result<i64, DockerError> {
        let failed = |error| DockerError::of("cannot open a shell in the container", error);
        let options = CreateExecOptions {
            cmd: Some(session.command),
            env: Some(session.env),
            working_dir: session.cwd,
            tty: Some(session.terminal),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let id = self.api.create_exec(&session.container, options).await.map_err(failed)?.id;
        let StartExecResults::Attached { mut output, input: mut typed } =
            self.api.start_exec(&id, None).await.map_err(failed)?
        else {
            return Err(DockerError::Failed {
                doing: "cannot open a shell in the container".to_owned(),
                said: "the engine does not attach to it".to_owned(),
            });
        };
        let mut typing = true;
        loop {
            tokio::select! {
                part = output.next() => match part {
                    Some(part) => out(part.map_err(failed)?.as_ref()),
                    None => break,
                },
                next = input.recv(), if typing => match next {
                    // A shell that has ended takes no more, and its end is on its way.
                    Some(Input::Bytes(bytes)) => typing = typed.write_all(&bytes).await.is_ok() && typed.flush().await.is_ok(),
                    Some(Input::Resized(width, height)) => {
                        self.api.resize_exec(&id, ResizeExecOptions { width, height }).await.ok();
                    }
                    Some(Input::End) | None => {
                        typed.shutdown().await.ok();
                        typing = false;
                    }
                },
            }
        }
        let ended = self.api.inspect_exec(&id).await.map_err(failed)?;
        Ok(ended.exit_code.unwrap_or(-1))
    }
}
