//! Connection to a Docker engine, with calls for containers, networks and volumes. Every error names the operation and
//! Docker's answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptionsBuilder, KillContainerOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::address::{Endpoint, candidates};
use super::dial::{DialError, dial};
use super::labels::Labels;
use super::states;
use crate::engine::sandbox::network::Network;
use crate::engine::sandbox::provider::{FollowedLine, ProviderError};

/// Name of the provider.
pub(crate) const NAME: &str = "docker";

/// How long an engine may take to report its version. podman is slow, because it queries the package manager of its
/// machine.
const VERSION_TIMEOUT: Duration = Duration::from_secs(30);

/// Number of lines of a container's log with which following it begins.
const FOLLOWED_LINES: usize = 1000;

/// Maximum length in bytes of a line of a followed log. A longer one is split.
const MAX_FOLLOWED_LINE: usize = 64 * 1024;

/// Maximum number of bytes of the last lines of a container's log. What comes before them is left out.
const MAX_LAST_BYTES: usize = 4 << 20;

/// Number of the newest lines of a container's log among which earlier ones are searched.
const EARLIER_LINES: usize = 2000;

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DockerError {
    /// No Docker engine responds.
    #[error("no container engine answers ({0}): start Docker or podman, or set DOCKER_HOST")]
    Unreachable(String),
    /// The engine responded before, but no longer does.
    #[error("lost the connection to the Docker engine at {address}: {reason}")]
    Lost {
        /// Address of the engine.
        address: String,
        /// Last error of the connection.
        reason: String,
    },
    /// The engine gave no answer: the connection failed or was closed, or the answer took too long. What was asked about may
    /// be well.
    #[error("{doing}: no answer from the container engine: {reason}")]
    NoAnswer {
        /// Operation that failed.
        doing: String,
        /// Error of the connection.
        reason: String,
    },
    /// The image, container, network or volume does not exist.
    #[error("{doing}: {answer}")]
    Missing {
        /// Operation that failed.
        doing: String,
        /// Answer of Docker.
        answer: String,
    },
    /// Docker refused, or failed.
    #[error("{doing}: {answer}")]
    Failed {
        /// Operation that failed.
        doing: String,
        /// Answer of Docker.
        answer: String,
    },
}

impl DockerError {
    /// Returns the error of a call.
    #[must_use]
    pub fn of(doing: impl Into<String>, error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        let doing = doing.into();
        match error {
            Error::DockerResponseServerError { status_code: 404, message } => Self::Missing { doing, answer: message },
            Error::DockerResponseServerError { message, .. } => Self::Failed { doing, answer: message },
            Error::DockerStreamError { error } => Self::Failed { doing, answer: error },
            Error::RequestTimeoutError
            | Error::IOError { .. }
            | Error::HyperResponseError { .. }
            | Error::HyperLegacyError { .. }
            | Error::SocketNotFoundError(_) => Self::NoAnswer { doing, reason: reason(&error) },
            other => Self::Failed { doing, answer: reason(&other) },
        }
    }

    /// Whether no engine answered, so that nothing is known about what was asked.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Lost { .. } | Self::NoAnswer { .. } => true,
            Self::Missing { .. } | Self::Failed { .. } => false,
        }
    }
}

impl From<DockerError> for ProviderError {
    fn from(error: DockerError) -> Self {
        let text = error.to_string();
        match error {
            DockerError::Unreachable(_) | DockerError::Lost { .. } => Self::Unavailable(text),
            DockerError::Missing { .. } => Self::NotFound(text),
            DockerError::NoAnswer { .. } | DockerError::Failed { .. } => Self::Failed(text),
        }
    }
}

/// Returns the message of an error of a call, including its causes.
pub(super) fn reason(error: &bollard::errors::Error) -> String {
    match error {
        // The message of the error itself only names the library.
        bollard::errors::Error::HyperLegacyError { err } => chain(err),
        other => chain(other),
    }
}

/// Returns the message of an error and its causes, without repeating a message.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

/// A connection to a Docker engine that has answered.
#[derive(Debug, Clone)]
pub struct DockerClient {
    pub(super) api: Docker,
    address: String,
    socket: Option<PathBuf>,
    version: String,
}

impl DockerClient {
    /// Connects to `DOCKER_HOST`, or to the current context of the docker CLI, or to the first socket that answers: of
    /// Docker, rootless Docker, or podman.
    ///
    /// # Errors
    /// No engine responds; the message lists each address that was tried.
    pub async fn find() -> Result<Self, DockerError> {
        let mut tried = Vec::new();
        for endpoint in candidates() {
            match Self::reach(&endpoint).await {
                Ok(client) => return Ok(client),
                Err(reason) => tried.push(format!("{}: {reason}", endpoint.address)),
            }
        }
        Err(DockerError::Unreachable(tried.join("; ")))
    }

    /// Connects to an address.
    ///
    /// # Errors
    /// No Docker engine answers there.
    pub async fn at(address: &str) -> Result<Self, DockerError> {
        let reached = Self::reach(&Endpoint::at(address)).await;
        reached.map_err(|reason| DockerError::Unreachable(format!("{address}: {reason}")))
    }

    async fn reach(endpoint: &Endpoint) -> Result<Self, DialError> {
        let api = dial(endpoint).await?;
        let greeting = async {
            let api = api.negotiate_version().await?;
            let version = api.version().await?;
            Ok::<_, bollard::errors::Error>((api, version))
        };
        let greeting = timeout(VERSION_TIMEOUT, greeting).await;
        let (api, found) = greeting.map_err(|_| DialError::Silent(VERSION_TIMEOUT))??;
        let podman = found.components.iter().flatten().any(|part| part.name.to_lowercase().contains("podman"));
        let program = if podman { "podman" } else { "docker" };
        let address = endpoint.address.clone();
        let socket = address.strip_prefix("unix://").map(PathBuf::from);
        Ok(Self { api, address, socket, version: format!("{program} {}", found.version.unwrap_or_default()) })
    }

    /// Returns the client of the engine's API.
    #[must_use]
    pub fn api(&self) -> &Docker {
        &self.api
    }

    /// Returns the name, version and address of the engine: `docker 20.10.24 at unix:///var/run/docker.sock`.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} at {}", self.version, self.address)
    }

    /// Whether the engine runs health checks itself. podman needs systemd timers for them, which may be missing.
    #[must_use]
    pub fn checks_health(&self) -> bool {
        !self.version.starts_with("podman")
    }

    /// Whether the engine maps user ids, so that root in a container is not root on this machine.
    pub async fn maps_users(&self) -> bool {
        let options = self.api.info().await.ok().and_then(|info| info.security_options).unwrap_or_default();
        options.iter().any(|option| option.contains("rootless") || option.contains("userns"))
    }

    /// Returns the address of the engine.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the socket of the engine. `None` if the engine is reached in another way: its containers cannot mount
    /// files of this machine, so files are copied as archives.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// Creates a network.
    ///
    /// # Errors
    /// Docker does not answer, or refuses, for instance because it has no address range left.
    pub async fn create_network(&self, name: &str, labels: &Labels) -> Result<(), DockerError> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(labels.all()),
            ..NetworkCreateRequest::default()
        };
        let made = self.api.create_network(request).await;
        made.map(drop).map_err(|error| DockerError::of(format!("cannot create the network {name}"), error))
    }

    /// Returns a network with the address of this machine in it. `None` if the network has no subnet.
    ///
    /// # Errors
    /// The network does not exist, or Docker does not answer.
    pub async fn network(&self, name: &str) -> Result<Option<Network>, DockerError> {
        let found = self.api.inspect_network(name, None).await;
        let found = found.map_err(|error| DockerError::of(format!("cannot inspect the network {name}"), error))?;
        let ranges = found.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        Ok(ranges.iter().find_map(|range| Network::parse(range.gateway.as_deref(), range.subnet.as_deref()?)))
    }

    /// Creates a volume.
    ///
    /// # Errors
    /// Docker refuses.
    pub async fn create_volume(&self, name: &str, labels: &Labels) -> Result<(), DockerError> {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(labels.all()),
            ..VolumeCreateRequest::default()
        };
        let made = self.api.create_volume(request).await;
        made.map(drop).map_err(|error| DockerError::of(format!("cannot create the volume {name}"), error))
    }

    /// Creates and starts a container. Returns its id.
    ///
    /// # Errors
    /// Docker refuses. In that case the container is removed again.
    pub async fn start(&self, name: &str, body: ContainerCreateBody) -> Result<String, DockerError> {
        let image = body.image.clone().unwrap_or_default();
        let id = self.create(name, body).await?;
        if let Err(error) = self.api.start_container(&id, None).await {
            self.remove(&id).await.ok();
            return Err(DockerError::of(format!("cannot start the container {name} of {image}"), error));
        }
        Ok(id)
    }

    /// Creates a container. Returns its id.
    ///
    /// # Errors
    /// Docker refuses.
    pub async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<String, DockerError> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let made = self.api.create_container(Some(options), body).await;
        made.map(|made| made.id).map_err(|error| DockerError::of(format!("cannot create the container {name}"), error))
    }

    /// Returns the description and state of a container.
    ///
    /// # Errors
    /// The container does not exist, or Docker does not answer.
    pub async fn inspect(&self, id: &str) -> Result<ContainerInspectResponse, DockerError> {
        let found = states::read_again(self.api.inspect_container(id, None).await);
        found.map_err(|error| DockerError::of(format!("container {}", short(id)), error))
    }

    /// Returns the last lines of the log of a container, at most [`MAX_LAST_BYTES`].
    ///
    /// # Errors
    /// The container does not exist, or Docker does not answer.
    pub async fn last_lines(&self, id: &str, lines: usize) -> Result<Vec<String>, DockerError> {
        self.log(id, LogsOptionsBuilder::default().tail(&lines.to_string())).await
    }

    /// Returns the last lines of the log of a container from before a time, as [`Self::last_lines`] does. Empty if
    /// [`EARLIER_LINES`] lines are newer.
    ///
    /// # Errors
    /// The container does not exist, or Docker does not answer.
    pub async fn lines_before(
        &self,
        id: &str,
        before: jiff::Timestamp,
        lines: usize,
    ) -> Result<Vec<String>, DockerError> {
        let options = LogsOptionsBuilder::default().tail(&EARLIER_LINES.to_string()).timestamps(true);
        // Docker takes whole seconds only, and zero for no limit.
        let until = i32::try_from(before.as_second() + 1).unwrap_or_default();
        let stamped = self.log(id, options.until(until)).await?;
        let earlier: Vec<&str> = stamped.iter().filter_map(|line| text_before(line, before)).collect();
        Ok(earlier[earlier.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect())
    }

    /// Returns the lines of the log of a container that `options` select, at most [`MAX_LAST_BYTES`].
    async fn log(&self, id: &str, options: LogsOptionsBuilder) -> Result<Vec<String>, DockerError> {
        let mut log = self.api.logs(id, Some(options.stdout(true).stderr(true).build()));
        let mut last = LastBytes::new(MAX_LAST_BYTES);
        while let Some(part) = log.next().await {
            let part = part.map_err(|error| DockerError::of(format!("log of {}", short(id)), error))?;
            last.add(part.as_ref());
        }
        Ok(last.lines())
    }

    /// Follows the log of a container until the container ends, or `line` breaks. `line` gets each line, without its
    /// line end, beginning with the last [`FOLLOWED_LINES`].
    ///
    /// # Errors
    /// The container does not exist, or Docker does not answer.
    pub async fn follow_log(&self, id: &str, line: &mut FollowedLine<'_>) -> Result<(), DockerError> {
        let tail = FOLLOWED_LINES.to_string();
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(true).tail(&tail).build();
        let mut log = self.api.logs(id, Some(options));
        let mut begun = Vec::new();
        while let Some(part) = log.next().await {
            let part = part.map_err(|error| DockerError::of(format!("log of {}", short(id)), error))?;
            begun.extend_from_slice(part.as_ref());
            let mut at = 0;
            loop {
                let rest = &begun[at..];
                let newline = memchr::memchr(b'\n', rest);
                let end = match newline {
                    Some(end) => end,
                    // A line that never ends must not fill the memory.
                    None if rest.len() > MAX_FOLLOWED_LINE => rest.len(),
                    None => break,
                };
                if line(&rest[..end]).is_break() {
                    return Ok(());
                }
                at += end + usize::from(newline.is_some());
            }
            begun.drain(..at);
        }
        if !begun.is_empty() {
            // The log has ended, so it does not matter whether `line` breaks.
            let _ = line(&begun);
        }
        Ok(())
    }

    /// Sends a signal to the main process of a container. A container that has ended or does not exist is not an error.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn kill(&self, id: &str, signal: &str) -> Result<(), DockerError> {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        match self.api.kill_container(id, Some(options)).await {
            Ok(()) => Ok(()),
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(DockerError::of(format!("cannot signal {}", short(id)), error)),
        }
    }

    /// Removes a container, running or not, with its anonymous volumes. A container that no longer exists is not an
    /// error.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn remove(&self, id: &str) -> Result<(), DockerError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.api.remove_container(id, Some(options)).await {
            // 409: another removal is in progress.
            Ok(()) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(DockerError::of(format!("cannot remove the container {}", short(id)), error)),
        }
    }

    /// Creates an image from the files of a container.
    ///
    /// # Errors
    /// Docker refuses.
    pub async fn commit(&self, id: &str, repository: &str, tag: &str) -> Result<(), DockerError> {
        let options = CommitContainerOptionsBuilder::default().container(id).repo(repository).tag(tag).build();
        let kept = self.api.commit_container(options, bollard::models::ContainerConfig::default()).await;
        kept.map(drop)
            .map_err(|error| DockerError::of(format!("cannot create a snapshot of the container {}", short(id)), error))
    }
}

/// The last bytes of a text that arrives in parts.
struct LastBytes {
    text: Vec<u8>,
    limit: usize,
    /// Whether the start of the text was left out.
    is_cut: bool,
}

impl LastBytes {
    fn new(limit: usize) -> Self {
        Self { text: Vec::new(), limit, is_cut: false }
    }

    fn add(&mut self, part: &[u8]) {
        self.text.extend_from_slice(part);
        // Bytes are dropped in portions of the limit, so that each is moved about once.
        if self.text.len() > 2 * self.limit {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let excess = self.text.len().saturating_sub(self.limit);
        self.text.drain(..excess);
        self.is_cut |= excess > 0;
    }

    /// Returns the lines, without the rest of a line whose start was left out, unless it is the only one.
    fn lines(mut self) -> Vec<String> {
        self.cut();
        let newline = memchr::memchr(b'\n', &self.text).filter(|_| self.is_cut);
        let start = newline.map(|newline| newline + 1).filter(|start| *start < self.text.len()).unwrap_or(0);
        String::from_utf8_lossy(&self.text[start..]).lines().map(str::to_owned).collect()
    }
}

/// Returns the text of a line of a log that begins with its time, if it is from before a time.
fn text_before(line: &str, before: jiff::Timestamp) -> Option<&str> {
    let (at, text) = line.split_once(' ').unwrap_or((line, ""));
    match at.parse::<jiff::Timestamp>() {
        Ok(at) => (at < before).then_some(text),
        // It is the rest of a longer line.
        Err(_) => Some(line),
    }
}

/// Whether a container runs.
pub(super) fn is_running(container: &ContainerInspectResponse) -> bool {
    container.state.as_ref().and_then(|state| state.running) == Some(true)
}

/// Returns the first 12 characters of an id, like `docker ps`.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_engine_is_an_answer_and_a_broken_connection_is_none() {
        use bollard::errors::Error;
        let server = |status_code| Error::DockerResponseServerError { status_code, message: "no".to_owned() };
        let io = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        for (error, is_unanswered) in [
            (server(409), false),
            (server(404), false),
            (server(500), false),
            (Error::DockerStreamError { error: "no".to_owned() }, false),
            (Error::RequestTimeoutError, true),
            (Error::IOError { err: io }, true),
        ] {
            let error = DockerError::of("asked", error);
            assert_eq!(error.is_unanswered(), is_unanswered, "{error}");
        }
    }

    #[test]
    fn only_lines_from_before_the_restart_of_the_process_are_kept() {
        let again: jiff::Timestamp = "2026-11-30T10:00:01.5Z".parse().expect("a time");
        for (line, expected) in [
            ("2026-11-30T10:00:01.400000000Z no database", Some("no database")),
            ("2026-11-30T10:00:01.400000000Z", Some("")),
            ("2026-11-30T10:00:01.600000000Z listening", None),
            ("2026-11-30T11:00:01.400000000+01:00 no database", Some("no database")),
            ("the rest of a line", Some("the rest of a line")),
        ] {
            assert_eq!(text_before(line, again), expected, "{line}");
        }
    }

    #[test]
    fn of_a_long_log_only_the_last_whole_lines_are_held() {
        let mut last = LastBytes::new(20);
        for number in 0..1000 {
            last.add(format!("line {number}\n").as_bytes());
            assert!(last.text.len() <= 40, "{}", last.text.len());
        }
        assert_eq!(last.lines(), ["line 998", "line 999"]);
        let lines = |parts: &[&str]| {
            let mut last = LastBytes::new(20);
            for part in parts {
                last.add(part.as_bytes());
            }
            last.lines()
        };
        assert_eq!(lines(&["one\ntw", "o\r\n\nend"]), ["one", "two", "", "end"]);
        assert_eq!(lines(&[&"x".repeat(50), "\n"]), ["x".repeat(19)], "the end of the only line");
        assert_eq!(lines(&[]), Vec::<String>::new());
    }
}
