//! The Docker sandbox: a job's processes in one container that lives as long as the job.
//!
//! The container sees the job's folder, the tool cache and the actions at the paths that GitHub's runner gives them. On
//! an engine of this machine they are mounts; an engine elsewhere is given archives, and gives archives back. Steps are
//! started by a [`supervisor`] inside, or one by one through the engine.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::io::AsyncReadExt;

use super::archive;
use super::body::{body, join, mount};
use super::client::DockerClient;
use super::labels::{Labels, SHARED};
use super::supervisor::{Control, Supervisor};
use crate::engine::job::container::Container;
use crate::engine::sandbox::shared::{self, SharedFolder};
use crate::engine::sandbox::{Child, Launch, Sandbox};

/// Prints where a program is on PATH. `command -v` would name a shell's own commands, which are no programs.
const LOOK: &str = r#"
case $1 in /*) [ -x "$1" ] && echo "$1"; exit;; esac
IFS=:
for folder in $PATH; do
  if [ -f "$folder/$1" ] && [ -x "$folder/$1" ]; then echo "$folder/$1"; exit; fi
done"#;

/// Everything a job's container is made from.
pub struct Setup<'s> {
    /// As the workflow describes it.
    pub container: &'s Container,
    /// Whose it is.
    pub labels: Labels,
    /// The job's network, where it has one.
    pub network: Option<&'s str>,
    /// What it sees of this machine.
    pub shared: Vec<SharedFolder>,
    /// Its working directory, as this machine calls it.
    pub workspace: PathBuf,
    /// A folder among the shared ones for talking to it.
    pub control: PathBuf,
    /// The shells of steps without one, best first.
    pub shells: &'static [&'static str],
    /// Whether a supervisor may be put into the container.
    pub supervised: bool,
}

/// A job's container.
pub struct Docker {
    engine: DockerClient,
    id: String,
    image: String,
    environment: Vec<(OsString, OsString)>,
    /// The variables that the workflow gives it.
    given: Vec<String>,
    shared: Vec<SharedFolder>,
    control: Control,
    supervisor: Option<Supervisor>,
    /// Why there is no supervisor.
    unsupervised: String,
    shells: &'static [&'static str],
    found: Mutex<HashMap<(String, OsString), Option<PathBuf>>>,
}

impl Docker {
    /// Makes and starts a job's container.
    ///
    /// # Errors
    /// In words: an option cannot be used, or the engine refuses.
    pub async fn start(engine: &DockerClient, setup: Setup<'_>) -> Result<Self, String> {
        let container = setup.container;
        let mut body = body(container, &setup.labels)?;
        // As the runner does it: something that stays, whatever the image would do by itself.
        body.entrypoint = Some(vec!["tail".to_owned()]);
        body.cmd = Some(vec!["-f".to_owned(), "/dev/null".to_owned()]);
        let inside = |path: &Path| shared::inside(&setup.shared, path);
        body.working_dir.get_or_insert_with(|| inside(&setup.workspace).to_string_lossy().into_owned());
        let host = body.host_config.get_or_insert_default();
        let local = engine.socket().is_some();
        if local {
            host.mounts.get_or_insert_default().extend(setup.shared.iter().map(mount));
        }
        // Who opens a shell in what is kept of it needs to know what it saw.
        let seen = serde_json::to_string(&setup.shared).unwrap_or_default();
        body.labels.get_or_insert_default().insert(SHARED.to_owned(), seen);
        if let Some(network) = setup.network {
            join(&mut body, network, &container.name);
        }
        let given =
            body.env.iter().flatten().filter_map(|entry| entry.split_once('=')).map(|(name, _)| name.to_owned());
        let given = given.collect();
        let id = engine.start(&setup.labels.name(), body).await.map_err(|error| error.to_string())?;
        let control = Control { inside: inside(&setup.control), outside: setup.control };
        let supervised = local && setup.supervised;
        let mut docker = Self {
            engine: engine.clone(),
            id,
            image: container.image.clone(),
            environment: Vec::new(),
            given,
            shared: setup.shared,
            control,
            supervisor: None,
            unsupervised: "the settings say so".to_owned(),
            shells: setup.shells,
            found: Mutex::default(),
        };
        docker.settle(local, supervised).await?;
        Ok(docker)
    }

    /// Learns the container's environment, and finds the way into it.
    async fn settle(&mut self, local: bool, supervised: bool) -> Result<(), String> {
        let found = self.engine.inspect(&self.id).await.map_err(|error| error.to_string())?;
        if found.state.as_ref().and_then(|state| state.running) != Some(true) {
            let said = self.engine.last_lines(&self.id, 5).await.unwrap_or_default().join("\n");
            return Err(format!("the job's container of {} ended at once: {said}", self.image));
        }
        let env = found.config.and_then(|config| config.env).unwrap_or_default();
        let pairs = env.iter().filter_map(|entry| entry.split_once('='));
        self.environment = pairs.map(|(name, value)| (name.into(), value.into())).collect();
        // The runner's home in a container. What a step keeps there lives as long as the job.
        self.environment.retain(|(name, _)| name != "HOME");
        self.environment.push(("HOME".into(), "/github/home".into()));
        if !local {
            let folders: Vec<_> = self.shared.iter().map(|shared| shared.inside.to_string_lossy()).collect();
            let made: Vec<&str> = ["mkdir", "-p"].into_iter().chain(folders.iter().map(AsRef::as_ref)).collect();
            self.engine.run_quietly(&self.id, &made).await.map_err(|error| error.to_string())?;
            "it is on another machine".clone_into(&mut self.unsupervised);
            for shared in self.shared.clone() {
                self.send(&shared.outside).await.map_err(|error| error.to_string())?;
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
        self.control.prepare()?;
        let started = self.engine.start_detached(&self.id, self.control.command()).await.map_err(io::Error::other)?;
        let alive = || {
            let (engine, started) = (self.engine.clone(), started.clone());
            async move { engine.is_running(&started).await }.boxed()
        };
        Supervisor::connect(self.control.clone(), alive).await
    }

    /// What the engine calls the container.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Makes what the container wrote the user's of this machine, who may not be its superuser.
    pub async fn give_back(&self) {
        // Where users are mapped, what the container's superuser wrote is ours already.
        if self.engine.maps_users().await {
            return;
        }
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let owner = format!("{user}:{group}");
        let folders: Vec<_> = self.shared.iter().filter(|shared| shared.writable && shared.outside.is_dir()).collect();
        let folders: Vec<_> = folders.iter().map(|shared| shared.inside.to_string_lossy()).collect();
        let command: Vec<&str> = ["chown", "-R", &owner].into_iter().chain(folders.iter().map(AsRef::as_ref)).collect();
        if let Err(error) = self.engine.run_quietly(&self.id, &command).await {
            tracing::warn!(%error, "files that the container wrote stay its user's");
        }
    }

    /// The names of the variables that the workflow gave it.
    #[must_use]
    pub fn given(&self) -> &[String] {
        &self.given
    }

    /// How steps are started, in a sentence.
    #[must_use]
    pub fn way_in(&self) -> String {
        match &self.supervisor {
            Some(_) => "Steps are started by a supervisor inside.".to_owned(),
            None => format!("Steps are started by the engine ({}).", self.unsupervised),
        }
    }

    /// Whether steps are started by a supervisor, without the engine.
    #[must_use]
    pub fn is_supervised(&self) -> bool {
        self.supervisor.is_some()
    }

    async fn look_for(&self, program: &str, path: &OsStr) -> Option<PathBuf> {
        let key = (program.to_owned(), path.to_owned());
        let known = self.found.lock().ok().and_then(|found| found.get(&key).cloned());
        if let Some(known) = known {
            return known;
        }
        let launch = Launch {
            program: "sh".into(),
            args: ["-c".into(), LOOK.into(), "sh".into(), program.into()].into(),
            cwd: "/".into(),
            env: vec![("PATH".into(), path.to_owned())],
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
        let (archive, into) = if path.is_dir() {
            (archive::pack(path).await?, inside)
        } else {
            (archive::pack_one(path).await?, inside.parent().unwrap_or(Path::new("/")).to_owned())
        };
        let options = UploadToContainerOptionsBuilder::default().path(&into.to_string_lossy()).build();
        let sent = self.engine.api.upload_to_container(&self.id, Some(options), bollard::body_full(archive.into()));
        sent.await.map_err(io::Error::other)
    }

    async fn download(&self, path: &Path) -> io::Result<()> {
        let inside = self.inside(path);
        let options = DownloadFromContainerOptionsBuilder::default().path(&inside.to_string_lossy()).build();
        let mut parts = self.engine.api.download_from_container(&self.id, Some(options));
        let mut whole = Vec::new();
        while let Some(part) = parts.next().await {
            whole.extend_from_slice(&part.map_err(io::Error::other)?);
        }
        // The archive's first entry is the folder itself.
        archive::unpack(whole, path.parent().unwrap_or(path)).await
    }
}

impl Sandbox for Docker {
    fn describe(&self) -> String {
        format!("docker {}", self.image)
    }

    fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
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

    fn find<'a>(&'a self, program: &'a str, path: &'a OsStr) -> BoxFuture<'a, Option<PathBuf>> {
        self.look_for(program, path).boxed()
    }

    fn start<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, io::Result<Child>> {
        async move {
            match &self.supervisor {
                Some(supervisor) => supervisor.start(launch).await,
                None => self.engine.exec(&self.id, launch, Path::new("/tmp/.cuelight-group")).await,
            }
        }
        .boxed()
    }

    fn send<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        async move { if self.engine.socket().is_some() { Ok(()) } else { self.upload(path).await } }.boxed()
    }

    fn fetch<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        async move { if self.engine.socket().is_some() { Ok(()) } else { self.download(path).await } }.boxed()
    }

    /// The container goes at the end of the job, and with it all that is in it.
    fn reap<'a>(&'a self, _tracking_id: &'a str) -> BoxFuture<'a, usize> {
        async { 0 }.boxed()
    }
}
