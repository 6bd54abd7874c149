//! A container engine: finding it, and what is asked of it. Every failure says what was tried and what the engine said.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ImageInspect, NetworkCreateRequest, VolumeCreateRequest,
};
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CommitContainerOptionsBuilder, CreateContainerOptionsBuilder, CreateImageOptionsBuilder,
    KillContainerOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::owned::Labels;
use crate::store::digest;

/// How long an engine may take to say its version.
const GREETING: Duration = Duration::from_secs(5);

/// For how long one call may wait for its answer to begin, in seconds.
const ANSWER: u64 = 120;

/// How often an image is asked for, and the longest pause before it is asked for again (the runner's figures: three
/// tries, one to ten seconds).
const PULLS: u32 = 3;
const PULL_PAUSE: Duration = Duration::from_secs(4);

/// Why an engine did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DockerError {
    /// No engine answers.
    #[error("no container engine answers ({0}): start Docker or podman, or set DOCKER_HOST")]
    Unreachable(String),
    /// There is no such thing.
    #[error("{doing}: {said}")]
    Missing {
        /// What was tried.
        doing: String,
        /// What the engine said.
        said: String,
    },
    /// It refused, or failed.
    #[error("{doing}: {said}")]
    Failed {
        /// What was tried.
        doing: String,
        /// What the engine said.
        said: String,
    },
}

impl DockerError {
    pub(super) fn of(doing: impl Into<String>, error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        let doing = doing.into();
        match error {
            Error::DockerResponseServerError { status_code: 404, message } => Self::Missing { doing, said: message },
            Error::DockerResponseServerError { message, .. } => Self::Failed { doing, said: message },
            Error::DockerStreamError { error } => Self::Failed { doing, said: error },
            other => Self::Failed { doing, said: chain(&other) },
        }
    }
}

/// An error with what caused it, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}

/// An engine that answers.
#[derive(Debug, Clone)]
pub struct DockerClient {
    pub(super) api: Docker,
    address: String,
    socket: Option<PathBuf>,
    version: String,
}

/// How far the pull of an image is, summed over its layers, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is here.
    pub done: u64,
    /// What there is, as far as it is known.
    pub total: u64,
}

impl DockerClient {
    /// Finds the engine: `DOCKER_HOST`, else the current context of the docker program, else the first socket that
    /// answers: Docker's, Docker's without root, podman's.
    ///
    /// # Errors
    /// None answers; each that was tried is named.
    pub async fn find() -> Result<Self, DockerError> {
        let mut tried = Vec::new();
        for address in candidates() {
            match Self::reach(&address).await {
                Ok(engine) => return Ok(engine),
                Err(reason) => tried.push(format!("{address}: {reason}")),
            }
        }
        Err(DockerError::Unreachable(tried.join("; ")))
    }

    /// The engine at an address.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn at(address: &str) -> Result<Self, DockerError> {
        Self::reach(address).await.map_err(|reason| DockerError::Unreachable(format!("{address}: {reason}")))
    }

    async fn reach(address: &str) -> Result<Self, String> {
        let version = bollard::API_DEFAULT_VERSION;
        let socket = address.strip_prefix("unix://").map(PathBuf::from);
        let api = match address.split_once("://") {
            Some(("unix", path)) => Docker::connect_with_unix(path, ANSWER, version),
            Some(("tcp" | "http", _)) if std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|set| !set.is_empty()) => {
                return Err("TLS is not spoken here: reach it through `ssh -L` and unset DOCKER_TLS_VERIFY".to_owned());
            }
            Some(("tcp" | "http", _)) => Docker::connect_with_http(address, ANSWER, version),
            Some((scheme, _)) => {
                return Err(format!("{scheme}:// is not spoken here: reach it through `ssh -L` as unix:// or tcp://"));
            }
            None => return Err("it has no scheme: write unix:///path or tcp://host:port".to_owned()),
        };
        let greeting = async {
            let api = api?.negotiate_version().await?;
            let version = api.version().await?;
            Ok::<_, bollard::errors::Error>((api, version))
        };
        match timeout(GREETING, greeting).await {
            Ok(Ok((api, told))) => {
                let podman = told.components.iter().flatten().any(|part| part.name.to_lowercase().contains("podman"));
                let program = if podman { "podman" } else { "docker" };
                let version = format!("{program} {}", told.version.unwrap_or_default());
                Ok(Self { api, address: address.to_owned(), socket, version })
            }
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err(format!("no answer within {} s", GREETING.as_secs())),
        }
    }

    /// The client, for what is asked of it elsewhere.
    pub(in crate::engine) fn api(&self) -> &Docker {
        &self.api
    }

    /// Name and version: `docker 20.10.24`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether it carries out health checks by itself. podman leaves that to timers of systemd, which may not be there.
    #[must_use]
    pub fn checks_health(&self) -> bool {
        !self.version.starts_with("podman")
    }

    /// Whether its containers have users of their own, so that their superuser is nobody special here.
    pub async fn maps_users(&self) -> bool {
        let options = self.api.info().await.ok().and_then(|info| info.security_options).unwrap_or_default();
        options.iter().any(|option| option.contains("rootless") || option.contains("userns"))
    }

    /// Where it is reached.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its socket on this machine. An engine with one shares this machine's files; any other is given them as archives.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// What is known of an image that is here.
    ///
    /// # Errors
    /// It is not here ([`DockerError::Missing`]), or the engine does not answer.
    pub async fn image(&self, image: &str) -> Result<ImageInspect, DockerError> {
        self.api.inspect_image(image).await.map_err(|error| DockerError::of(format!("image {image}"), error))
    }

    /// Brings an image here unless it is here.
    ///
    /// # Errors
    /// It is nowhere, or cannot be fetched. What a registry refuses is not asked for again; a line that breaks is.
    pub async fn ensure_image(
        &self,
        image: &str,
        credentials: Option<&(String, String)>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<ImageInspect, DockerError> {
        match self.image(image).await {
            Err(DockerError::Missing { .. }) => {}
            other => return other,
        }
        let mut tries = 1;
        loop {
            match self.pull(image, credentials, progress).await {
                Ok(()) => return self.image(image).await,
                Err(error) if tries < PULLS && may_pass(&error) => {
                    tries += 1;
                    sleep(PULL_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn pull(
        &self,
        image: &str,
        credentials: Option<&(String, String)>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), DockerError> {
        // Without a tag an engine would bring every tag there is.
        let last = image.rsplit('/').next().unwrap_or(image);
        let named = if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") };
        let options = CreateImageOptionsBuilder::default().from_image(&named).build();
        let credentials = credentials.map(|(username, password)| DockerCredentials {
            username: Some(username.clone()),
            password: Some(password.clone()),
            serveraddress: registry(image).map(str::to_owned),
            ..DockerCredentials::default()
        });
        let mut layers: HashMap<String, Progress> = HashMap::new();
        let mut news = self.api.create_image(Some(options), None, credentials);
        while let Some(news) = news.next().await {
            let news = news.map_err(|error| DockerError::of(format!("cannot pull {image}"), error))?;
            if let Some(said) = news.error_detail.and_then(|error| error.message) {
                return Err(DockerError::Failed { doing: format!("cannot pull {image}"), said });
            }
            if let (Some(layer), Some(detail)) = (news.id, news.progress_detail)
                && news.status.as_deref() == Some("Downloading")
            {
                let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
                layers.insert(layer, Progress { done: bytes(detail.current), total: bytes(detail.total) });
                progress(layers.values().fold(Progress::default(), |sum, layer| Progress {
                    done: sum.done + layer.done,
                    total: sum.total + layer.total,
                }));
            }
        }
        Ok(())
    }

    /// Builds an image from a folder with the engine's own builder, and says what it printed, line by line.
    ///
    /// # Errors
    /// The folder cannot be read, or the build failed.
    pub async fn build(
        &self,
        context: &Path,
        dockerfile: &str,
        tag: &str,
        labels: &Labels,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), DockerError> {
        let doing = || format!("cannot build {dockerfile} of {}", context.display());
        let archive = super::archive::pack(context)
            .await
            .map_err(|error| DockerError::Failed { doing: doing(), said: error.to_string() })?;
        let options = BuildImageOptionsBuilder::default()
            .dockerfile(dockerfile)
            .t(tag)
            .rm(true)
            .forcerm(true)
            .labels(&labels.all())
            .build();
        let mut news = std::pin::pin!(self.api.build_image(options, None, Some(bollard::body_full(archive.into()))));
        while let Some(news) = news.next().await {
            let news = news.map_err(|error| DockerError::of(doing(), error))?;
            if let Some(said) = news.error_detail.and_then(|error| error.message) {
                return Err(DockerError::Failed { doing: doing(), said });
            }
            for line in news.stream.iter().flat_map(|text| text.lines()).filter(|line| !line.trim().is_empty()) {
                say(line);
            }
        }
        Ok(())
    }

    /// Makes a network.
    ///
    /// # Errors
    /// The engine refuses, for instance as it has no address range left.
    pub async fn create_network(&self, name: &str, labels: &Labels) -> Result<(), DockerError> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(labels.all()),
            ..NetworkCreateRequest::default()
        };
        let made = self.api.create_network(request).await;
        made.map(drop).map_err(|error| DockerError::of(format!("cannot make the network {name}"), error))
    }

    /// Makes a volume.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn create_volume(&self, name: &str, labels: &Labels) -> Result<(), DockerError> {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(labels.all()),
            ..VolumeCreateRequest::default()
        };
        let made = self.api.create_volume(request).await;
        made.map(drop).map_err(|error| DockerError::of(format!("cannot make the volume {name}"), error))
    }

    /// Makes a container and starts it. Returns its id.
    ///
    /// # Errors
    /// The engine refuses; the container is then not there.
    pub async fn start(&self, name: &str, body: ContainerCreateBody) -> Result<String, DockerError> {
        let id = self.create(name, body).await?;
        if let Err(error) = self.api.start_container(&id, None).await {
            self.remove(&id).await.ok();
            return Err(DockerError::of(format!("cannot start the container {name}"), error));
        }
        Ok(id)
    }

    /// Makes a container. Returns its id.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<String, DockerError> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let made = self.api.create_container(Some(options), body).await;
        made.map(|made| made.id).map_err(|error| DockerError::of(format!("cannot make the container {name}"), error))
    }

    /// What is known of a container.
    ///
    /// # Errors
    /// It is gone, or the engine does not answer.
    pub async fn inspect(&self, id: &str) -> Result<ContainerInspectResponse, DockerError> {
        let found = self.api.inspect_container(id, None).await;
        found.map_err(|error| DockerError::of(format!("container {}", short(id)), error))
    }

    /// The last lines that a container wrote.
    ///
    /// # Errors
    /// It is gone, or the engine does not answer.
    pub async fn last_lines(&self, id: &str, lines: usize) -> Result<Vec<String>, DockerError> {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let mut log = self.api.logs(id, Some(options));
        let mut text = Vec::new();
        while let Some(part) = log.next().await {
            let part = part.map_err(|error| DockerError::of(format!("log of {}", short(id)), error))?;
            text.extend_from_slice(part.as_ref());
        }
        Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
    }

    /// Sends a signal to a container's main process. One that has ended is no error.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn kill(&self, id: &str, signal: &str) -> Result<(), DockerError> {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        match self.api.kill_container(id, Some(options)).await {
            Ok(()) => Ok(()),
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(DockerError::of(format!("cannot signal {}", short(id)), error)),
        }
    }

    /// Removes a container with its nameless volumes, whatever it does. One that is gone is no error.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn remove(&self, id: &str) -> Result<(), DockerError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.api.remove_container(id, Some(options)).await {
            // 409: somebody else is removing it.
            Ok(()) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(DockerError::of(format!("cannot remove the container {}", short(id)), error)),
        }
    }

    /// Keeps a container's files as an image, without the values of these variables, which may be secret.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn commit(&self, id: &str, repository: &str, tag: &str, without: &[String]) -> Result<(), DockerError> {
        let emptied = without.iter().fold(String::new(), |text, name| format!("{text}ENV {name}=\n"));
        let mut options = CommitContainerOptionsBuilder::default().container(id).repo(repository).tag(tag);
        // Engines refuse a list of no changes.
        if !emptied.is_empty() {
            options = options.changes(&emptied);
        }
        let options = options.build();
        let kept = self.api.commit_container(options, bollard::models::ContainerConfig::default()).await;
        kept.map(drop).map_err(|error| DockerError::of(format!("cannot keep the container {}", short(id)), error))
    }
}

/// The first characters of an id, as engines show it.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Whether asking again may help: a name that does not resolve, a refusal or a missing image stay what they are.
fn may_pass(error: &DockerError) -> bool {
    let DockerError::Failed { said, .. } = error else { return false };
    let said = said.to_lowercase();
    let stays = ["no such host", "not found", "denied", "unauthorized", "manifest unknown", "invalid reference"];
    !stays.iter().any(|words| said.contains(words))
}

/// The registry that an image's name begins with: the part before the first slash where it looks like a host.
fn registry(image: &str) -> Option<&str> {
    image.split_once('/').map(|(host, _)| host).filter(|host| host.contains(['.', ':']) || *host == "localhost")
}

/// Where an engine may be, best first.
fn candidates() -> Vec<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(host) = set("DOCKER_HOST") {
        return vec![host];
    }
    if let Some(host) = set("HOME").and_then(|home| context(Path::new(&home), set("DOCKER_CONTEXT"))) {
        return vec![host];
    }
    let own = set("XDG_RUNTIME_DIR").map(PathBuf::from);
    let own = |socket: &str| own.as_ref().map(|folder| folder.join(socket));
    let sockets = [
        Some(PathBuf::from("/var/run/docker.sock")),
        own("docker.sock"),
        own("podman/podman.sock"),
        Some(PathBuf::from("/run/podman/podman.sock")),
    ];
    let address = |socket: PathBuf| format!("unix://{}", socket.display());
    let there: Vec<_> = sockets.iter().flatten().filter(|socket| socket.exists()).cloned().map(address).collect();
    if there.is_empty() { vec!["unix:///var/run/docker.sock".to_owned()] } else { there }
}

/// The address of the docker program's current context, where that is not the default one: the program keeps it in a
/// folder named by the SHA-256 of the context's name.
fn context(home: &Path, named: Option<String>) -> Option<String> {
    let read = |path: PathBuf| serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).ok()?).ok();
    let docker = home.join(".docker");
    let named =
        named.or_else(|| Some(read(docker.join("config.json"))?.get("currentContext")?.as_str()?.to_owned()))?;
    if named == "default" {
        return None;
    }
    let meta = read(docker.join("contexts/meta").join(digest::sha256(named, 32)).join("meta.json"))?;
    Some(meta.get("Endpoints")?.get("docker")?.get("Host")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_told_from_owners() {
        assert_eq!(registry("redis:7"), None);
        assert_eq!(registry("library/redis"), None);
        assert_eq!(registry("ghcr.io/a/b:1"), Some("ghcr.io"));
        assert_eq!(registry("localhost/a"), Some("localhost"));
        assert_eq!(registry("localhost:5000/a"), Some("localhost:5000"));
    }

    #[test]
    fn only_what_may_pass_is_asked_for_again() {
        let said = |said: &str| may_pass(&DockerError::Failed { doing: String::new(), said: said.to_owned() });
        assert!(said("connection reset by peer") && said("i/o timeout"));
        assert!(!said("dial tcp: lookup registry.example: no such host") && !said("manifest unknown"));
        assert!(!said("pull access denied for nosuch/image"));
    }

    #[test]
    fn a_context_of_the_docker_program_is_followed() {
        let home = tempfile::tempdir().expect("a folder");
        let docker = home.path().join(".docker");
        let meta = docker.join("contexts/meta").join(digest::sha256("work", 32));
        std::fs::create_dir_all(&meta).expect("made");
        std::fs::write(docker.join("config.json"), r#"{"currentContext":"work"}"#).expect("written");
        std::fs::write(meta.join("meta.json"), r#"{"Endpoints":{"docker":{"Host":"tcp://10.0.0.1:1"}}}"#)
            .expect("written");
        assert_eq!(context(home.path(), None).as_deref(), Some("tcp://10.0.0.1:1"));
        assert_eq!(context(home.path(), Some("default".to_owned())), None);
        assert_eq!(context(home.path(), Some("other".to_owned())), None);
    }
}
