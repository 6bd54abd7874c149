//! The container of a job: one container for all steps, which exists as long as the job.
//!
//! The container has the folder of the job, the tool cache and the actions at the paths of GitHub's runner. They are
//! mounted if the Docker engine is on this machine, and copied as archives otherwise. Steps are started by a
//! [`supervisor`](super::supervisor) in the container. Without a supervisor, and for steps that run in parallel with
//! others, they are started through Docker's API.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bollard::errors::Error;
use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::io::AsyncReadExt;

use super::archive;
use super::body::{body, environment, join, mount};
use super::client::{DockerClient, DockerError, is_running};
use super::labels::{Labels, SHARED};
use super::supervisor::{Control, Supervisor};
use crate::engine::sandbox::container::ContainerSpec;
use crate::engine::sandbox::provider::ProviderError;
use crate::engine::sandbox::shared::{self, SharedFolder};
use crate::engine::sandbox::{Child, Launch, Sandbox};
use crate::files::FileError;

/// Shell script that prints the path of a program on `PATH`. `command -v` would also find shell builtins.
const FIND_PROGRAM: &str = r#"
case $1 in /*) [ -x "$1" ] && echo "$1"; exit;; esac
IFS=:
for folder in $PATH; do
  if [ -f "$folder/$1" ] && [ -x "$folder/$1" ]; then echo "$folder/$1"; exit; fi
done"#;

/// Definition of a job's container.
pub struct Setup<'s> {
    /// Description in the workflow.
    pub container: &'s ContainerSpec,
    /// Labels and name.
    pub labels: Labels,
    /// Network of the job, if it has one.
    pub network: Option<&'s str>,
    /// Folders of this machine that the container sees.
    pub shared: Vec<SharedFolder>,
    /// Working directory, on this machine.
    pub workspace: PathBuf,
    /// Folder of the supervisor, on this machine, below one of the shared folders.
    pub control: PathBuf,
    /// Shells for steps without `shell:`, in the order of preference.
    pub shells: &'static [&'static str],
    /// Whether a supervisor in the container may start the steps.
    pub supervised: bool,
}

/// The container of a job.
pub struct JobContainer {
    client: DockerClient,
    id: String,
    image: String,
    image_id: Option<String>,
    environment: Vec<(OsString, OsString)>,
    /// Environment of the image, without the variables of the workflow.
    of_image: Vec<(OsString, OsString)>,
    shared: Vec<SharedFolder>,
    control: Control,
    supervisor: Option<Supervisor>,
    /// Number of processes that were started through Docker's API.
    execs: AtomicU64,
    /// Why there is no supervisor, for messages.
    unsupervised: String,
    shells: &'static [&'static str],
    /// Paths of programs, by name and search path. `None` for a program that was not found.
    found: Mutex<HashMap<(String, OsString), Option<PathBuf>>>,
}

impl JobContainer {
    /// Creates and starts the container of a job.
    ///
    /// # Errors
    /// An option is invalid, Docker refuses, the container ends at once, or files cannot be copied to it.
    pub async fn start(client: &DockerClient, setup: Setup<'_>) -> Result<Self, ProviderError> {
        let container = setup.container;
        let mut body = body(container, &setup.labels)?;
        // As in GitHub's runner, a process that never ends replaces the command of the image.
        body.entrypoint = Some(vec!["tail".to_owned()]);
        body.cmd = Some(vec!["-f".to_owned(), "/dev/null".to_owned()]);
        let inside = |path: &Path| shared::inside(&setup.shared, path);
        body.working_dir.get_or_insert_with(|| inside(&setup.workspace).to_string_lossy().into_owned());
        let host = body.host_config.get_or_insert_default();
        let local = client.socket().is_some();
        if local {
            host.mounts.get_or_insert_default().extend(setup.shared.iter().map(mount));
        }
        // This label lists the folders, so that a shell in a snapshot of the container can mount them as well.
        let folders = serde_json::to_string(&setup.shared).unwrap_or_default();
        body.labels.get_or_insert_default().insert(SHARED.to_owned(), folders);
        if let Some(network) = setup.network {
            join(&mut body, network, &container.name);
        }
        // The variables are passed to each process instead, because the environment of a container becomes part of the
        // images made from it.
        let given = body.env.take().unwrap_or_default();
        let id = client.start(&setup.labels.name(), body).await?;
        let control = Control { inside: inside(&setup.control), outside: setup.control };
        let supervised = local && setup.supervised;
        let mut started = Self {
            client: client.clone(),
            id,
            image: container.image.clone(),
            image_id: None,
            environment: Vec::new(),
            of_image: Vec::new(),
            shared: setup.shared,
            control,
            supervisor: None,
            execs: AtomicU64::new(0),
            unsupervised: "`docker.supervisor` is off".to_owned(),
            shells: setup.shells,
            found: Mutex::default(),
        };
        started.set_up(local, supervised, &given).await?;
        Ok(started)
    }

    /// Reads the environment of the image and adds `given`, copies files to an engine on another machine, and starts
    /// the supervisor. Returns an error if the container has ended or files cannot be copied, but not if the supervisor
    /// cannot start.
    async fn set_up(&mut self, local: bool, supervised: bool, given: &[String]) -> Result<(), ProviderError> {
        let found = self.client.inspect(&self.id).await?;
        if !is_running(&found) {
            let lines = self.client.last_lines(&self.id, 5).await.unwrap_or_default().join("\n");
            let text = format!("the job's container of {} ended at once: {lines}", self.image);
            return Err(ProviderError::Failed(text));
        }
        self.image_id = found.image;
        let env = found.config.and_then(|config| config.env).unwrap_or_default();
        self.of_image = environment(&env);
        self.environment = environment(env.iter().chain(given));
        if !local {
            let folders: Vec<_> = self.shared.iter().map(|shared| shared.inside.to_string_lossy()).collect();
            let made: Vec<&str> = ["mkdir", "-p"].into_iter().chain(folders.iter().map(AsRef::as_ref)).collect();
            self.client.run_quietly(&self.id, &made).await?;
            "it is on another machine".clone_into(&mut self.unsupervised);
            for shared in self.shared.clone() {
                // A folder inside another folder was copied with it.
                if shared::is_covered(&self.shared, &shared) {
                    continue;
                }
                let sent = self.upload(&shared.outside).await;
                sent.map_err(|error| ProviderError::Failed(error.to_string()))?;
            }
            return Ok(());
        }
        if !supervised {
            return Ok(());
        }
        match self.supervise().await {
            Ok(supervisor) => self.supervisor = Some(supervisor),
            Err(error) => self.unsupervised = error.to_string(),
        }
        Ok(())
    }

    async fn supervise(&self) -> io::Result<Supervisor> {
        let control = self.control.prepare()?;
        let started = self.client.start_detached(&self.id, self.control.command()).await.map_err(io::Error::other)?;
        let alive = || {
            let (client, started) = (self.client.clone(), started.clone());
            async move { client.is_running(&started).await }.boxed()
        };
        Supervisor::connect(control, alive).await
    }

    /// Returns the id of the container.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Gives the files written by the container to the user of this process, who may not be root.
    pub async fn return_files(&self) {
        // With mapped user ids, files of root in the container already belong to the user.
        if self.client.maps_users().await {
            return;
        }
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let owner = format!("{user}:{group}");
        let folders: Vec<_> = self.shared.iter().filter(|shared| shared.writable && shared.outside.is_dir()).collect();
        let folders: Vec<_> = folders.iter().map(|shared| shared.inside.to_string_lossy()).collect();
        let command: Vec<&str> = ["chown", "-R", &owner].into_iter().chain(folders.iter().map(AsRef::as_ref)).collect();
        if let Err(error) = self.client.run_quietly(&self.id, &command).await {
            tracing::warn!(%error, "cannot change the owner of files written by the container");
        }
    }

    /// Describes how steps are started.
    #[must_use]
    pub fn way_in(&self) -> String {
        match &self.supervisor {
            Some(_) => "Steps are started by a supervisor inside.".to_owned(),
            None => format!("Steps are started by Docker, not by a supervisor ({}).", self.unsupervised),
        }
    }

    /// Whether a supervisor starts the steps, not Docker's API.
    #[must_use]
    pub fn is_supervised(&self) -> bool {
        self.supervisor.is_some()
    }

    async fn find_program(&self, program: &str, path: &OsStr) -> Option<PathBuf> {
        let key = (program.to_owned(), path.to_owned());
        let known = self.found.lock().ok().and_then(|found| found.get(&key).cloned());
        if let Some(known) = known {
            return known;
        }
        let launch = Launch {
            program: "sh".into(),
            args: ["-c".into(), FIND_PROGRAM.into(), "sh".into(), program.into()].into(),
            cwd: "/".into(),
            env: vec![("PATH".into(), path.to_owned())],
            background: false,
        };
        let mut text = String::new();
        let mut child = self.start(&launch).await.ok()?;
        child.output.read_to_string(&mut text).await.ok()?;
        child.exit.await.ok()?;
        let found = text.lines().next().map(PathBuf::from).filter(|path| path.is_absolute());
        if let Ok(mut all) = self.found.lock() {
            all.insert(key, found.clone());
        }
        found
    }

    async fn upload(&self, path: &Path) -> io::Result<()> {
        let inside = self.inside(path);
        let into = if path.is_dir() { &inside } else { inside.parent().unwrap_or(Path::new("/")) };
        let options = UploadToContainerOptionsBuilder::default().path(&into.to_string_lossy()).build();
        let (parts, packing) = archive::pack(path);
        let sent = self.client.api.upload_to_container(&self.id, Some(options), bollard::body_try_stream(parts)).await;
        packing.end().await.map_err(io::Error::other)?;
        sent.map_err(|error| io::Error::other(DockerError::of("cannot copy files to the container", error)))
    }

    async fn download(&self, path: &Path, limit: u64) -> io::Result<()> {
        let inside = self.inside(path);
        let options = DownloadFromContainerOptionsBuilder::default().path(&inside.to_string_lossy()).build();
        let parts = self.client.api.download_from_container(&self.id, Some(options));
        let parts = parts.map(|part| {
            part.map_err(|error| match error {
                Error::DockerResponseServerError { status_code: 404, message } => {
                    io::Error::new(io::ErrorKind::NotFound, message)
                }
                other => io::Error::other(DockerError::of("cannot copy files from the container", other)),
            })
        });
        archive::unpack(Box::pin(parts), path, limit).await
    }
}

impl Sandbox for JobContainer {
    fn describe(&self) -> String {
        format!("docker {}", self.image)
    }

    fn is_container(&self) -> bool {
        true
    }

    fn image(&self) -> Option<&str> {
        Some(&self.image)
    }

    fn image_id(&self) -> Option<&str> {
        self.image_id.as_deref()
    }

    fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }

    fn inherited(&self) -> &[(OsString, OsString)] {
        &self.of_image
    }

    fn shells(&self) -> &'static [&'static str] {
        self.shells
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

    fn find<'a>(&'a self, program: &'a str, path: &'a OsStr) -> BoxFuture<'a, Option<PathBuf>> {
        self.find_program(program, path).boxed()
    }

    fn start<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, io::Result<Child>> {
        async move {
            // The supervisor is reserved for foreground steps, because a background step may run as long as the job.
            let idle = |supervisor: &&Supervisor| !launch.background && supervisor.is_idle();
            if let Some(supervisor) = self.supervisor.as_ref().filter(idle) {
                return supervisor.start(launch).await;
            }
            let mark = format!("/tmp/.cuelight-group-{}", self.execs.fetch_add(1, Ordering::Relaxed));
            self.client.exec(&self.id, launch, Path::new(&mark)).await
        }
        .boxed()
    }

    fn is_elsewhere(&self) -> bool {
        self.client.socket().is_none()
    }

    fn send<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        async move { if self.is_elsewhere() { self.upload(path).await } else { Ok(()) } }.boxed()
    }

    fn fetch<'a>(&'a self, path: &'a Path, limit: u64) -> BoxFuture<'a, io::Result<()>> {
        async move { if self.is_elsewhere() { self.download(path, limit).await } else { Ok(()) } }.boxed()
    }

    /// Does nothing: all processes end with the container, at the end of the job.
    fn reap<'a>(&'a self, _tracking_id: &'a str) -> BoxFuture<'a, usize> {
        async { 0 }.boxed()
    }
}
