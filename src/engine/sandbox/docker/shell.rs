//! Shells in containers: of a running job, of a service, or of the snapshot of a failed job.

use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecResults};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::io::AsyncWriteExt;

use super::client::{DockerClient, DockerError};
use super::labels::{Labels, service_role};
use super::supervisor::{export, quoted, surroundings};
use crate::engine::checkpoint::FailedStep;
use crate::engine::sandbox::provider::ProviderError;
use crate::engine::sandbox::terminal::{Input, Shell, ShellRequest, Terminal};

/// Shell command that starts bash if the image has it, or sh otherwise.
const SHELL: &str = "command -v bash >/dev/null 2>&1 && exec bash || exec sh";

/// A shell in a container.
pub(super) struct ContainerShell {
    client: DockerClient,
    container: String,
    /// Script that sets the environment and folder of a step.
    setup: String,
    job: String,
    /// Whether the container was created for the shell.
    temporary: bool,
}

impl ContainerShell {
    /// Finds the container for a shell, or creates one from the snapshot of the job.
    pub(super) async fn find(client: DockerClient, request: &ShellRequest<'_>) -> Result<Self, ProviderError> {
        let ShellRequest { run, job, service, failed } = request;
        let labels = Labels::new(run.state(), run.id().as_str(), job.id.as_str());
        let shell = |container, setup, temporary| Self {
            client: client.clone(),
            container,
            setup,
            job: job.name.clone(),
            temporary,
        };
        if job.phase.is_active() {
            let role = service.map_or_else(|| "job".to_owned(), service_role);
            let name = labels.of(&role).name();
            let found = client.owned(run.state(), Some(run.id().as_str()), Some(job.id.as_str())).await?;
            let Some(container) = found.into_iter().find(|one| one.name == name) else {
                let what = service.map_or_else(|| "container".to_owned(), |name| format!("service `{name}`"));
                return Err(ProviderError::NotFound(format!("{} has no running {what}", job.name)));
            };
            let running = || surroundings(&run.job_work(&job.id).join("_control"));
            let step = failed.as_ref().map(script).or_else(|| service.is_none().then(running).flatten());
            return Ok(shell(container.id, step.unwrap_or_default(), false));
        }
        if service.is_some() {
            return Err(ProviderError::Refused("services are removed at the end of their job".to_owned()));
        }
        let opened = client.open_snapshot(run.id().as_str(), job.id.as_str(), &labels.of("shell")).await;
        let container = opened.map_err(|error| match error {
            DockerError::Missing { .. } => ProviderError::NotFound(format!(
                "{} has no snapshot: only failed jobs keep one, the newest few, for a day",
                job.name
            )),
            other => other.into(),
        })?;
        Ok(shell(container, failed.as_ref().map(script).unwrap_or_default(), true))
    }

    /// Returns the id of the container.
    pub(super) fn container(&self) -> &str {
        &self.container
    }

    async fn interact(&self, terminal: &mut dyn Terminal) -> Result<i32, ProviderError> {
        let failed = |error| DockerError::of("cannot open a shell in the container", error);
        let is_terminal = terminal.is_terminal();
        let term = format!("TERM={}", std::env::var("TERM").unwrap_or_default());
        let options = CreateExecOptions {
            cmd: Some(vec!["sh".to_owned(), "-c".to_owned(), format!("{}\n{SHELL}", self.setup)]),
            env: is_terminal.then(|| vec![term]),
            tty: Some(is_terminal),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let attached = terminal.attach();
        let mut input = attached
            .map_err(|error| ProviderError::Failed(format!("cannot set up the terminal for a shell: {error}")))?;
        let id = self.client.api.create_exec(&self.container, options).await.map_err(failed)?.id;
        let StartExecResults::Attached { mut output, input: mut typed } =
            self.client.api.start_exec(&id, None).await.map_err(failed)?
        else {
            return Err(ProviderError::Failed("the shell in the container was started detached".to_owned()));
        };
        let mut typing = true;
        loop {
            tokio::select! {
                part = output.next() => match part {
                    Some(part) => terminal.write(part.map_err(failed)?.as_ref()),
                    None => break,
                },
                next = input.recv(), if typing => match next {
                    // A shell that has ended reads no more input, but may still have output.
                    Some(Input::Bytes(bytes)) => typing = typed.write_all(&bytes).await.is_ok() && typed.flush().await.is_ok(),
                    Some(Input::Resized(width, height)) => {
                        self.client.api.resize_exec(&id, ResizeExecOptions { width, height }).await.ok();
                    }
                    Some(Input::End) | None => {
                        typed.shutdown().await.ok();
                        typing = false;
                    }
                },
            }
        }
        let ended = self.client.api.inspect_exec(&id).await.map_err(failed)?;
        Ok(ended.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(1))
    }
}

impl Shell for ContainerShell {
    fn place(&self) -> String {
        format!("the container of {}", self.job)
    }

    fn run(self: Box<Self>, terminal: &mut dyn Terminal) -> BoxFuture<'_, Result<i32, ProviderError>> {
        async move {
            let done = self.interact(terminal).await;
            if self.temporary {
                self.client.remove(&self.container).await?;
            }
            done
        }
        .boxed()
    }
}

/// Returns a script that sets the environment and folder of a step.
fn script(step: &FailedStep) -> String {
    let exports = step.env.iter().filter_map(|(name, value)| export(name.as_bytes(), value.as_bytes()));
    let mut text = exports.collect::<Vec<_>>().concat();
    // If the folder does not exist, the shell stays in the image's working directory.
    text.extend([b"cd ", quoted(step.cwd.as_bytes()).as_slice(), b" 2>/dev/null\n"].concat());
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gets_the_environment_and_folder_of_the_step() {
        let env = [("A", "it's"), ("INPUT_A-B", "dropped"), ("N", "1\n2")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let text = script(&FailedStep { env, cwd: "/__w/a b".to_owned(), script: None });
        assert_eq!(text, "export A='it'\\''s'\nexport N='1\n2'\ncd '/__w/a b' 2>/dev/null\n");
    }
}
