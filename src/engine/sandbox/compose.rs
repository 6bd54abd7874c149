//! Services of a repository's Compose file: their containers are watched through the engine, and the program of Compose
//! starts and stops them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::docker::client::{DockerClient, DockerError};
use super::provider::ProviderError;
use crate::files;
use crate::model::{Service, ServiceState, in_one_line};
use crate::workflow::yaml;
use crate::workflow::yaml::YamlKind;

/// Names of Compose files, in the order in which Compose looks for them.
const FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// Pause after the engine has ended the connection, or did not answer.
const RECONNECT: Duration = Duration::from_secs(5);

/// Pause between two readings, because the changes of containers arrive in bursts.
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

/// Services, and why they are not watched, if they are not.
pub type Reported = (Vec<Service>, Option<ProviderError>);

/// The Compose file of a repository.
#[derive(Clone, Debug)]
pub struct Compose {
    folder: PathBuf,
    names: Vec<String>,
}

impl Compose {
    /// Reads the Compose file in a folder. `None` if there is none, or if it names no services.
    #[must_use]
    pub fn find(folder: &Path) -> Option<Self> {
        let text = FILES.iter().find_map(|name| files::read_repository_text(&folder.join(name)).ok())?;
        let names = services(&text);
        (!names.is_empty()).then(|| Self { folder: folder.to_owned(), names })
    }

    /// Returns the services of the file in its order, and after them other services that have containers. A service
    /// without a container is stopped.
    fn merged(&self, mut found: Vec<Service>) -> Vec<Service> {
        let of_file = self.names.iter().map(|name| match found.iter().position(|service| service.name == *name) {
            Some(at) => found.remove(at),
            None => stopped(name),
        });
        let mut all: Vec<_> = of_file.collect();
        all.append(&mut found);
        all
    }

    /// Reports the services now and whenever one of them changes, until the receiver is dropped. Without an engine, all
    /// of them are reported as stopped, with the reason.
    pub async fn watch(self, report: mpsc::Sender<Reported>) {
        loop {
            let fault = match DockerClient::find().await {
                Ok(client) => self.watch_at(&client, &report).await,
                Err(error) => Some(error),
            };
            let Some(error) = fault else { return };
            if report.send((self.merged(Vec::new()), Some(error.into()))).await.is_err() {
                return;
            }
            sleep(RECONNECT).await;
        }
    }

    /// Reports the services as [`Self::watch`] does, as long as the engine answers. Returns its error, or `None` once
    /// the receiver was dropped.
    async fn watch_at(&self, client: &DockerClient, report: &mpsc::Sender<Reported>) -> Option<DockerError> {
        loop {
            let mut end = None;
            let look = async {
                end = match client.compose_services(&self.folder).await {
                    Err(error) => Some(Some(error)),
                    Ok(found) => report.send((self.merged(found), None)).await.is_err().then_some(None),
                };
                end.is_none()
            };
            client.compose_change(&self.folder, look).await;
            if let Some(end) = end {
                return end;
            }
            if report.is_closed() {
                return None;
            }
            sleep(BURST).await;
        }
    }

    /// Starts a service and those that it depends on, or stops it. The program of Compose gets the environment of this
    /// process.
    ///
    /// # Errors
    /// Compose is not installed, or fails.
    pub async fn order(&self, service: &str, starts: bool) -> Result<(), ComposeError> {
        let args: &[&str] = if starts { &["up", "--detach"] } else { &["stop"] };
        let (program, before) = program().await?;
        let start = |source| ComposeError::Start { program: program.to_owned(), source };
        let mut command = Command::new(program);
        command.args(before).args(args).arg("--").arg(service).current_dir(&self.folder);
        let ended = command.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(start)?;
        if ended.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&ended.stderr);
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let mut messages = in_one_line(&lines[lines.len().saturating_sub(3)..].join("; "));
        messages.truncate(messages.floor_char_boundary(MAX_MESSAGE));
        let words = [&[program][..], before, args, &[service]].concat();
        Err(ComposeError::Failed { command: words.join(" "), messages })
    }
}

/// Returns the program of Compose that is installed, and its first arguments.
async fn program() -> Result<(&'static str, &'static [&'static str]), ComposeError> {
    const PROGRAMS: [(&str, &[&str]); 2] = [("docker", &["compose"]), ("docker-compose", &[])];
    for (program, before) in PROGRAMS {
        let mut command = Command::new(program);
        command.args(before).arg("version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().await.is_ok_and(|status| status.success()) {
            return Ok((program, before));
        }
    }
    Err(ComposeError::NotInstalled)
}

/// Returns the names of the services in a Compose file; none if it is not valid.
fn services(text: &str) -> Vec<String> {
    let Ok(document) = yaml::read(text) else { return Vec::new() };
    let YamlKind::Mapping(entries) = &document.root.kind else { return Vec::new() };
    let text_of = |kind: &YamlKind<'_>| match kind {
        YamlKind::Text(text, _) => Some(text.to_string()),
        _ => None,
    };
    let services = entries.iter().find(|(key, _)| text_of(&key.kind).as_deref() == Some("services"));
    let Some(YamlKind::Mapping(services)) = services.map(|(_, value)| &value.kind) else { return Vec::new() };
    services.iter().filter_map(|(key, _)| text_of(&key.kind)).collect()
}

fn stopped(name: &str) -> Service {
    Service {
        name: name.to_owned(),
        image: String::new(),
        state: ServiceState::Stopped,
        ports: indexmap::IndexMap::new(),
        detail: None,
        restarts: 0,
    }
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
        let running = Service { state: ServiceState::Healthy, ..stopped("db") };
        let merged = compose.merged(vec![stopped("old"), running]);
        let named: Vec<_> = merged.iter().map(|service| (service.name.as_str(), service.state)).collect();
        assert_eq!(
            named,
            [("web", ServiceState::Stopped), ("db", ServiceState::Healthy), ("old", ServiceState::Stopped)]
        );
    }
}
