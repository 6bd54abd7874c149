//! Services of a repository's Compose file: their containers are watched through the engine, and the program of Compose
//! starts and stops them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::docker::client::{DockerClient, DockerError};
use super::provider::{FollowedLine, ProviderError};
use crate::engine::blocking::in_place;
use crate::files;
use crate::model::{Service, ServiceState, in_one_line};
use crate::workflow::yaml;
use crate::workflow::yaml::YamlKind;

/// Names of Compose files, in the order in which Compose looks for them.
const FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// Names of files that Compose reads after a Compose file, in the order in which it looks for them.
const OVERRIDES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// Pause after the engine has ended the connection, or did not answer.
const RECONNECT: Duration = Duration::from_secs(5);

/// Time before the services are read again after a change, because changes of containers arrive in bursts.
const BURST: Duration = Duration::from_millis(100);

/// Maximum length in bytes of the messages of Compose that are shown.
const MAX_MESSAGE: usize = 400;

/// Why an order for a service failed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// Neither the plugin of the docker CLI nor `docker-compose` is installed.
    #[error("neither `docker compose` nor `docker-compose` is installed here: install the Compose plugin of Docker")]
    NotInstalled,
    /// Compose failed. Holds its last messages.
    #[error("`{command}` failed: {messages}")]
    Failed {
        /// The command line.
        command: String,
        /// The messages, in one line.
        messages: String,
    },
    /// The program cannot be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Name of the program.
        program: String,
        /// The cause.
        source: std::io::Error,
    },
}

/// The Compose file of a repository.
#[derive(Clone, Debug)]
pub struct Compose {
    folder: PathBuf,
    /// Names of the services when the file was last read.
    names: Vec<String>,
}

impl Compose {
    /// Reads the Compose file in a folder. `None` if there is none, or if it names no services.
    #[must_use]
    pub fn find(folder: &Path) -> Option<Self> {
        let names = services(&text(folder)?)?;
        (!names.is_empty()).then(|| Self { folder: folder.to_owned(), names })
    }

    /// Reads the names of the services again. Keeps the former names while the file is invalid, for example because it
    /// is being edited.
    fn read_again(&mut self) {
        let names = in_place(|| text(&self.folder).map_or(Some(Vec::new()), |text| services(&text)));
        self.names = names.unwrap_or_else(|| std::mem::take(&mut self.names));
    }

    /// Returns the services of the file in its order, and after them other services that have containers. A service
    /// without a container is stopped.
    fn merged(&self, mut found: Vec<Service>) -> Vec<Service> {
        let of_file = self.names.iter().map(|name| match found.iter().position(|service| service.name == *name) {
            Some(at) => found.remove(at),
            None => absent(name, ServiceState::Stopped, None),
        });
        let mut all: Vec<_> = of_file.collect();
        all.append(&mut found);
        all
    }

    /// Returns the services of the file in the state `Unknown`, with the reason.
    fn unknown(&self, error: &DockerError) -> Vec<Service> {
        let reason = match error {
            DockerError::Unreachable(_) => "no container engine answers".to_owned(),
            other => in_one_line(&other.to_string()),
        };
        self.names.iter().map(|name| absent(name, ServiceState::Unknown, Some(reason.clone()))).collect()
    }

    /// Follows the log of a service until its container ends, or `line` breaks. `line` gets each line, beginning with
    /// the last ones.
    ///
    /// # Errors
    /// The service has no container, or the engine does not answer.
    pub async fn follow_log(&self, service: &str, line: &mut FollowedLine<'_>) -> Result<(), ProviderError> {
        let client = DockerClient::find().await?;
        let container = client.compose_container(&self.folder, service).await?;
        let missing = || ProviderError::NotFound(format!("service `{service}` has no container here: start it first"));
        Ok(client.follow_log(&container.ok_or_else(missing)?, line).await?)
    }

    /// Reports the services now and whenever one of them changes, until the receiver is dropped. Without an engine, the
    /// states of all of them are unknown, with the reason.
    pub async fn watch(mut self, report: mpsc::Sender<Vec<Service>>) {
        loop {
            let fault = match DockerClient::find().await {
                Ok(client) => self.watch_at(&client, &report).await,
                Err(error) => Some(error),
            };
            let Some(error) = fault else { return };
            tracing::debug!(%error, "the services of Compose are not watched");
            self.read_again();
            if report.send(self.unknown(&error)).await.is_err() {
                return;
            }
            sleep(RECONNECT).await;
        }
    }

    /// Reports the services as [`Self::watch`] does, as long as the engine answers. Returns its error, or `None` once
    /// the receiver was dropped.
    async fn watch_at(&mut self, client: &DockerClient, report: &mpsc::Sender<Vec<Service>>) -> Option<DockerError> {
        let folder = self.folder.clone();
        loop {
            let mut end = None;
            let look = async {
                self.read_again();
                end = match client.compose_services(&folder).await {
                    Err(error) => Some(Some(error)),
                    Ok(found) => report.send(self.merged(found)).await.is_err().then_some(None),
                };
                end.is_none()
            };
            let has_changed = client.compose_change(&folder, look).await;
            if let Some(end) = end {
                return end;
            }
            if report.is_closed() {
                return None;
            }
            sleep(if has_changed { BURST } else { RECONNECT }).await;
        }
    }

    /// Starts a service and those that it depends on, or stops it. Compose runs with the environment of this process.
    ///
    /// # Errors
    /// Compose is not installed, or fails.
    pub async fn order(&self, service: &str, starts: bool) -> Result<(), ComposeError> {
        let args: &[&str] = if starts { &["up", "--detach"] } else { &["stop"] };
        let program = ComposeProgram::find().await?;
        let mut command = program.command();
        command.args(args).arg("--").arg(service).current_dir(&self.folder);
        let words = format!("{} {} {service}", program.words(), args.join(" "));
        program.run(command, words).await.map(drop)
    }
}

/// The program of Compose that is installed.
#[derive(Clone, Copy, Debug)]
pub struct ComposeProgram {
    name: &'static str,
    first: &'static [&'static str],
}

impl ComposeProgram {
    /// The plugin of the docker CLI, and the separate program.
    const ALL: [Self; 2] = [Self { name: "docker", first: &["compose"] }, Self { name: "docker-compose", first: &[] }];

    /// Finds the program.
    ///
    /// # Errors
    /// Compose is not installed.
    pub async fn find() -> Result<Self, ComposeError> {
        for program in Self::ALL {
            let mut command = program.command();
            command.arg("version").stdout(Stdio::null()).stderr(Stdio::null());
            if command.status().await.is_ok_and(|status| status.success()) {
                return Ok(program);
            }
        }
        Err(ComposeError::NotInstalled)
    }

    /// Returns the words that start the program: `docker compose`.
    #[must_use]
    pub fn words(self) -> String {
        [&[self.name], self.first].concat().join(" ")
    }

    /// Returns a command without arguments, and without input.
    #[must_use]
    pub fn command(self) -> Command {
        let mut command = Command::new(self.name);
        command.args(self.first).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end, and returns its output. `words` is the command line, for the error.
    ///
    /// # Errors
    /// The program cannot be started, or fails.
    pub async fn run(self, mut command: Command, words: String) -> Result<String, ComposeError> {
        let start = |source| ComposeError::Start { program: self.name.to_owned(), source };
        let ended = command.output().await.map_err(start)?;
        if ended.status.success() {
            return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
        }
        Err(ComposeError::failed(words, &String::from_utf8_lossy(&ended.stderr)))
    }
}

impl ComposeError {
    /// Returns the error of a command that has failed, with its last messages.
    #[must_use]
    pub fn failed(command: String, output: &str) -> Self {
        let lines: Vec<_> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let mut messages = in_one_line(&lines[lines.len().saturating_sub(3)..].join("; "));
        messages.truncate(messages.floor_char_boundary(MAX_MESSAGE));
        Self::Failed { command, messages }
    }
}

/// Returns the files that Compose reads in a folder: its file and, if there is one, the file that overrides parts of
/// it. Empty if there is no Compose file.
#[must_use]
pub fn files_in(folder: &Path) -> Vec<PathBuf> {
    let first = |names: [&str; 4]| names.into_iter().map(|name| folder.join(name)).find(|path| path.is_file());
    let Some(file) = first(FILES) else { return Vec::new() };
    [file].into_iter().chain(first(OVERRIDES)).collect()
}

/// Returns the text of the Compose file in a folder.
fn text(folder: &Path) -> Option<String> {
    FILES.iter().find_map(|name| files::read_repository_text(&folder.join(name)).ok())
}

/// Returns the names of the services in a Compose file. `None` if it is not valid, or has no services.
fn services(text: &str) -> Option<Vec<String>> {
    let document = yaml::read(text).ok()?;
    let YamlKind::Mapping(entries) = &document.root.kind else { return None };
    let text_of = |kind: &YamlKind<'_>| match kind {
        YamlKind::Text(text, _) => Some(text.to_string()),
        _ => None,
    };
    let services = entries.iter().find(|(key, _)| text_of(&key.kind).as_deref() == Some("services"));
    let Some(YamlKind::Mapping(services)) = services.map(|(_, value)| &value.kind) else { return None };
    Some(services.iter().filter_map(|(key, _)| text_of(&key.kind)).collect())
}

/// Returns a service without a container.
fn absent(name: &str, state: ServiceState, detail: Option<String>) -> Service {
    let ports = indexmap::IndexMap::new();
    Service { name: name.to_owned(), image: String::new(), state, ports, detail, restarts: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_the_file_come_in_its_order() {
        let home = tempfile::tempdir().expect("a folder");
        assert!(Compose::find(home.path()).is_none());
        std::fs::write(home.path().join("docker-compose.yml"), "services: []\n").expect("written");
        assert!(Compose::find(home.path()).is_none(), "no services");
        let text = "version: '3.8'\nservices:\n  web: {build: ., depends_on: [db]}\n  db: {image: postgres}\n";
        std::fs::write(home.path().join("docker-compose.yml"), text).expect("written");
        let compose = Compose::find(home.path()).expect("a file");
        let one = |name, state| absent(name, state, None);
        let merged = compose.merged(vec![one("old", ServiceState::Stopped), one("db", ServiceState::Healthy)]);
        let named: Vec<_> = merged.iter().map(|service| (service.name.as_str(), service.state)).collect();
        assert_eq!(
            named,
            [("web", ServiceState::Stopped), ("db", ServiceState::Healthy), ("old", ServiceState::Stopped)]
        );
    }

    #[test]
    fn the_file_is_read_again_and_a_broken_one_changes_nothing() {
        let home = tempfile::tempdir().expect("a folder");
        let write = |text: &str| std::fs::write(home.path().join("compose.yaml"), text).expect("written");
        write("services:\n  web: {}\n");
        let mut compose = Compose::find(home.path()).expect("a file");
        for (text, names) in [
            ("services:\n  web: {}\n  db: {}\n", &["web", "db"][..]),
            ("services: {web: {}, \n", &["web", "db"]),
            ("services: {}\n", &[]),
        ] {
            write(text);
            compose.read_again();
            assert_eq!(compose.names, names, "{text:?}");
        }
        std::fs::remove_file(home.path().join("compose.yaml")).expect("removed");
        compose.names = vec!["web".to_owned()];
        compose.read_again();
        assert!(compose.names.is_empty());
    }

    #[test]
    fn without_an_engine_no_state_is_claimed() {
        let compose = Compose { folder: PathBuf::from("/nowhere"), names: vec!["web".to_owned()] };
        let unknown = compose.unknown(&DockerError::Unreachable("unix:///x: refused".to_owned()));
        let reason = Some("no container engine answers".to_owned());
        assert_eq!(unknown, [absent("web", ServiceState::Unknown, reason)]);
    }

    /// The engine answers the request for its version, and then refuses every connection.
    #[tokio::test]
    async fn an_engine_that_is_gone_is_reported() {
        let home = tempfile::tempdir().expect("a folder");
        let socket = home.path().join("engine.sock");
        let listener = tokio::net::UnixListener::bind(&socket).expect("bound");
        let engine = tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            loop {
                let (mut peer, _) = listener.accept().await.expect("a client");
                let mut asked = [0; 4096];
                if peer.read(&mut asked).await.is_err() {
                    continue;
                }
                let body = r#"{"Version": "1", "ApiVersion": "1.41", "Components": []}"#;
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
                let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _ = peer.write_all(answer.as_bytes()).await;
            }
        });
        let client = DockerClient::at(&format!("unix://{}", socket.display())).await.expect("an engine");
        engine.abort();
        std::fs::remove_file(&socket).expect("removed");
        let mut compose = Compose { folder: home.path().to_owned(), names: vec!["web".to_owned()] };
        let (report, _reports) = mpsc::channel(1);
        let watch = compose.watch_at(&client, &report);
        let error = tokio::time::timeout(Duration::from_mins(1), watch).await.expect("it ends").expect("an error");
        assert!(error.to_string().starts_with("cannot list the containers of Compose"), "{error}");
    }
}
