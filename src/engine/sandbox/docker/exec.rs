//! The compatible way to start a step in a container: `docker exec`. It works with every engine, including one on
//! another machine, and costs about 60 ms per step.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecInspectResponse;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio::time::interval;

use super::client::{DockerClient, DockerError, reason};
use crate::engine::sandbox::{Child, Exit, Interrupt, Launch};

/// Interval for checking whether a process has ended while its output is still open.
const LOOK: Duration = Duration::from_millis(250);

/// Maximum size in bytes of output that waits to be read.
const BUFFER: usize = 256 * 1024;

/// Shell script that writes its process group to the file `$0`, and then runs the program. The group is needed to
/// signal the process, because Docker cannot signal the process of an `exec`. If the file cannot be written, signals
/// have no effect.
const WRAPPER: &str = r#"(echo $$ >"$0") 2>/dev/null; exec "$@""#;

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

impl DockerClient {
    /// Starts a process in a container. `mark` is the path of the file in the container to which the process writes its
    /// process group.
    pub(super) async fn exec(&self, container: &str, launch: &Launch, mark: &Path) -> io::Result<Child> {
        let text = |word: &OsStr| word.to_string_lossy().into_owned();
        let mark = mark.to_string_lossy().into_owned();
        let mut cmd = vec!["sh".to_owned(), "-c".to_owned(), WRAPPER.to_owned(), mark.clone()];
        cmd.push(text(launch.program.as_os_str()));
        cmd.extend(launch.args.iter().map(|arg| text(arg)));
        let env = launch.env.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect();
        let options = CreateExecOptions {
            cmd: Some(cmd),
            env: Some(env),
            working_dir: Some(text(launch.cwd.as_os_str())),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let (id, output) = self.attached(container, options).await.map_err(io::Error::other)?;
        let (reader, writer) = tokio::io::simplex(BUFFER);
        let (tell, ended) = oneshot::channel();
        let engine = self.clone();
        tokio::spawn(async move { copy(&engine, &id, output, writer, tell).await });
        let (engine, container) = (self.clone(), container.to_owned());
        let signal = move |interrupt: Interrupt| {
            let (engine, container) = (engine.clone(), container.clone());
            let script = format!("kill -{} -$(cat '{mark}')", interrupt.name());
            tokio::spawn(async move {
                // A group or container that no longer exists is not an error.
                let _ = engine.run_quietly(&container, &["sh", "-c", &script]).await;
            });
        };
        let exit =
            async move { ended.await.unwrap_or_else(|_| Err(io::Error::other("the process is no longer followed"))) };
        Ok(Child { group: None, output: Box::new(reader), exit: exit.boxed(), signal: Box::new(signal) })
    }

    async fn attached(
        &self,
        container: &str,
        options: CreateExecOptions<String>,
    ) -> Result<(String, Output), DockerError> {
        let failed = |error| DockerError::of("cannot start a process in the container", error);
        let made = self.api.create_exec(container, options).await.map_err(failed)?;
        match self.api.start_exec(&made.id, None).await.map_err(failed)? {
            StartExecResults::Attached { output, .. } => Ok((made.id, output)),
            StartExecResults::Detached => Err(DockerError::Failed {
                doing: "cannot start a process in the container".to_owned(),
                answer: "its output is not attached".to_owned(),
            }),
        }
    }

    /// Starts a detached process as the container's default user, and returns its exec id.
    pub(super) async fn start_detached(&self, container: &str, command: Vec<String>) -> Result<String, DockerError> {
        let failed = |error| DockerError::of("cannot start a process in the container", error);
        let options = CreateExecOptions { cmd: Some(command), ..CreateExecOptions::default() };
        let made = self.api.create_exec(container, options).await.map_err(failed)?;
        let how = StartExecOptions { detach: true, ..StartExecOptions::default() };
        self.api.start_exec(&made.id, Some(how)).await.map_err(failed)?;
        Ok(made.id)
    }

    /// Whether a started process is still running. `false` if Docker does not answer.
    pub(super) async fn is_running(&self, exec: &str) -> bool {
        self.api.inspect_exec(exec).await.is_ok_and(|found| found.running == Some(true))
    }

    /// Runs a short command in a container as root, and returns its exit code and output. The exit code is -1 if Docker
    /// does not report one.
    ///
    /// # Errors
    /// The container no longer exists, or Docker does not answer.
    pub async fn run_quietly(&self, container: &str, command: &[&str]) -> Result<(i64, String), DockerError> {
        let options = CreateExecOptions {
            cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            user: Some("0".to_owned()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let (id, mut output) = self.attached(container, options).await?;
        let mut text = Vec::new();
        while let Some(Ok(part)) = output.next().await {
            text.extend_from_slice(part.as_ref());
        }
        let found = self.api.inspect_exec(&id).await;
        let found = found.map_err(|error| DockerError::of("cannot inspect the process", error))?;
        Ok((found.exit_code.unwrap_or(-1), String::from_utf8_lossy(&text).into_owned()))
    }
}

/// Copies output until it ends, and sends the exit of the process as soon as Docker reports it, because a daemon
/// started by the process may keep the output open longer.
async fn copy(
    engine: &DockerClient,
    id: &str,
    mut output: Output,
    mut writer: tokio::io::WriteHalf<tokio::io::SimplexStream>,
    tell: oneshot::Sender<io::Result<Exit>>,
) {
    let mut tell = Some(tell);
    let mut looks = interval(LOOK);
    loop {
        tokio::select! {
            part = output.next() => match part {
                // Even if the reader is gone, wait for the end of the process.
                Some(Ok(part)) => drop(writer.write_all(part.as_ref()).await),
                Some(Err(error)) => {
                    tell.take().map(|tell| tell.send(Err(io::Error::other(engine.cut(reason(&error))))));
                    break;
                }
                None => break,
            },
            _ = looks.tick(), if tell.is_some() => {
                if let Ok(found) = engine.api.inspect_exec(id).await
                    && has_ended(&found)
                {
                    tell.take().map(|tell| tell.send(exit(found.exit_code)));
                }
            }
        }
    }
    // The reader may be gone.
    let _ = writer.shutdown().await;
    if let Some(tell) = tell {
        let found = match engine.api.inspect_exec(id).await {
            Ok(found) if found.running == Some(true) => Err(io::Error::other(engine.cut("its output ended before it"))),
            Ok(found) => exit(found.exit_code),
            Err(error) => Err(io::Error::other(engine.cut(reason(&error)))),
        };
        let _ = tell.send(found);
    }
}

/// Whether a process has ended. Docker opens its output before it starts it, and until then reports a process that
/// neither runs nor has an exit code.
fn has_ended(found: &ExecInspectResponse) -> bool {
    found.running == Some(false) && found.exit_code.is_some()
}

fn exit(code: Option<i64>) -> io::Result<Exit> {
    code.map_or_else(
        || Err(io::Error::other("the container ended during the step")),
        |code| Ok(Exit::Code(i32::try_from(code).unwrap_or(-1))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_not_started_has_not_ended() {
        let found = |running, exit_code| ExecInspectResponse { running, exit_code, ..ExecInspectResponse::default() };
        assert!(!has_ended(&found(Some(false), None)), "its output is open, and it is about to start");
        assert!(!has_ended(&found(Some(true), None)));
        assert!(has_ended(&found(Some(false), Some(7))));
    }
}
