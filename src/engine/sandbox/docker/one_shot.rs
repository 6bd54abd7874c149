//! A new container for each process: created, started, followed and removed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, HostConfig, ImageInspect};
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures_util::future::{BoxFuture, ready};
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use super::body::{environment, mount};
use super::client::{DockerClient, DockerError, reason};
use super::labels::Labels;
use crate::engine::sandbox::shared::{self, SharedFolder};
use crate::engine::sandbox::{Child, Exit, Interrupt, Launch, Sandbox};
use crate::files::FileError;

/// Maximum size in bytes of output that waits to be read.
const BUFFER: usize = 256 * 1024;

/// Sandbox that runs each process in a new container.
pub(super) struct OneShot {
    client: DockerClient,
    image: String,
    environment: Vec<(OsString, OsString)>,
    labels: Labels,
    network: Option<String>,
    shared: Vec<SharedFolder>,
}

impl OneShot {
    /// Returns a sandbox for containers of an existing image.
    #[must_use]
    pub(super) fn new(
        client: &DockerClient,
        found: &ImageInspect,
        image: &str,
        labels: Labels,
        network: Option<String>,
        shared: Vec<SharedFolder>,
    ) -> Self {
        let env = found.config.as_ref().and_then(|config| config.env.clone()).unwrap_or_default();
        let environment = environment(&env);
        Self { client: client.clone(), image: image.to_owned(), environment, labels, network, shared }
    }

    async fn run(&self, launch: &Launch) -> Result<Child, DockerError> {
        let text = |word: &OsStr| word.to_string_lossy().into_owned();
        let mounts = self.shared.iter().map(mount).collect();
        let program = text(launch.program.as_os_str());
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: (!program.is_empty()).then(|| vec![program]),
            cmd: (!launch.args.is_empty()).then(|| launch.args.iter().map(|arg| text(arg)).collect()),
            env: Some(launch.env.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect()),
            working_dir: Some(text(launch.cwd.as_os_str())),
            labels: Some(self.labels.all()),
            host_config: Some(HostConfig {
                mounts: Some(mounts),
                network_mode: self.network.clone(),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let name = format!("{}-{:08x}", self.labels.name(), getrandom::u32().unwrap_or_default());
        let id = self.client.create(&name, body).await?;
        let failed = |error| DockerError::of(format!("cannot start the container {name} of {}", self.image), error);
        let options = AttachContainerOptionsBuilder::default().stdout(true).stderr(true).stream(true).build();
        let attached = self.client.api.attach_container(&id, Some(options)).await.map_err(failed);
        // Attaches before the start, so that no output is missed.
        let started = match attached {
            Ok(attached) => self.client.api.start_container(&id, None).await.map_err(failed).map(|()| attached),
            Err(error) => Err(error),
        };
        let attached = match started {
            Ok(attached) => attached,
            Err(error) => {
                self.client.remove(&id).await.ok();
                return Err(error);
            }
        };
        let (reader, writer) = tokio::io::simplex(BUFFER);
        let (sender, ended) = oneshot::channel();
        tokio::spawn(follow(self.client.clone(), id.clone(), attached.output, writer, sender));
        let client = self.client.clone();
        let signal = move |interrupt: Interrupt| {
            let (client, id) = (client.clone(), id.clone());
            // A container that has ended needs no signal.
            tokio::spawn(async move { client.kill(&id, &format!("SIG{}", interrupt.name())).await.ok() });
        };
        let exit =
            async move { ended.await.unwrap_or_else(|_| Err(io::Error::other("the container is no longer followed"))) };
        Ok(Child { group: None, output: Box::new(reader), exit: exit.boxed(), signal: Box::new(signal) })
    }
}

/// Copies the output of a container until its end, removes the container, and sends its exit. Does not remove it if the
/// connection to the engine is lost.
async fn follow(
    client: DockerClient,
    id: String,
    mut output: Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>,
    mut writer: tokio::io::WriteHalf<tokio::io::SimplexStream>,
    sender: oneshot::Sender<io::Result<Exit>>,
) {
    let ends = async {
        while let Some(Ok(part)) = output.next().await {
            // The reader may be gone; still wait for the end of the container.
            let _ = writer.write_all(part.as_ref()).await;
        }
        let _ = writer.shutdown().await;
        match client.api.wait_container(&id, None).next().await {
            Some(Ok(ended)) => Ok(ended.status_code),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(client.cut(reason(&error))),
            None => Err(client.cut("it did not report how the container ended")),
        }
    };
    let exit = tokio::select! {
        exit = ends => exit,
        error = client.lost() => Err(error),
    };
    if let Err(error @ DockerError::Lost { .. }) = exit {
        // The machine removes the container once the engine answers.
        let _ = sender.send(Err(io::Error::other(error)));
        return;
    }
    let memory = match &exit {
        Ok(137) => client.inspect(&id).await.ok().and_then(|found| found.state?.oom_killed) == Some(true),
        _ => false,
    };
    let exit = exit.map_err(io::Error::other).map(|code| match code {
        _ if memory => Exit::OutOfMemory,
        code => Exit::Code(i32::try_from(code).unwrap_or(-1)),
    });
    client.remove(&id).await.ok();
    // The receiver may be gone.
    let _ = sender.send(exit);
}

impl Sandbox for OneShot {
    fn describe(&self) -> String {
        format!("docker {}", self.image)
    }

    fn is_container(&self) -> bool {
        true
    }

    fn image(&self) -> Option<&str> {
        Some(&self.image)
    }

    fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }

    fn inside(&self, path: &Path) -> PathBuf {
        shared::inside(&self.shared, path)
    }

    fn outside(&self, path: &Path) -> PathBuf {
        shared::outside(&self.shared, path)
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
        shared::read(&self.shared, path, limit)
    }

    /// Returns the program unchanged: the container does not exist before its process starts.
    fn find<'a>(&'a self, program: &'a str, _path: &'a OsStr) -> BoxFuture<'a, Option<PathBuf>> {
        ready(Some(PathBuf::from(program))).boxed()
    }

    fn start<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, io::Result<Child>> {
        async move { self.run(launch).await.map_err(io::Error::other) }.boxed()
    }

    fn reap<'a>(&'a self, _tracking_id: &'a str) -> BoxFuture<'a, usize> {
        ready(0).boxed()
    }
}
