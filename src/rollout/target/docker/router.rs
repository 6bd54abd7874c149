//! The router of an environment: one container with `HAProxy`, which publishes the port.
//!
//! The command socket of the router listens only inside the container. Commands reach it through an `nc` process there
//! that is kept running, so a command takes about a millisecond, even if the engine is on another machine. After every
//! change the weights are written to a file in the container, which a restarted router reads.

use std::collections::HashMap;
use std::io::Read;
use std::pin::pin;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, NetworkConnectRequest, NetworkCreateRequest,
    PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptions, ListContainersOptions, UploadToContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::sync::Mutex;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout};

use super::error::DockerFault;
use super::latency::Times;
use super::names::Names;
use super::tunnel::Tunnel;
use crate::engine::sandbox::docker::client::{DockerClient, DockerError};
use crate::model::deployment::DockerSettings;

use super::state::Place;
use super::{config, state};

/// How long the router may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the router may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Interval between two checks of whether the router has started.
const START_POLL: Duration = Duration::from_millis(50);

/// Folder and name of the router's configuration file.
const FOLDER: &str = "/etc";
const CONFIGURATION: &str = "cuelight-router.cfg";
/// Name of a configuration that the router has not accepted yet.
const NEW: &str = "cuelight-router.new";
/// Name of the configuration that the running router has read: the process that replaced its file may have been killed
/// before the router read it.
const LOADED: &str = "cuelight-router.loaded";

/// Maximum size in bytes of the archive with the file of the places.
const MAX_SAVED: usize = 4 * 1024 * 1024;

/// Prompt that the socket prints after each answer.
const PROMPT: &str = "\n> ";

/// The router of an environment.
pub(super) struct Router {
    names: Names,
    /// The connection to the router's command socket; `None` before the first command.
    session: Mutex<Option<Tunnel>>,
    /// Times of the answers of the places.
    times: Mutex<Times>,
}

impl Router {
    pub(super) fn new(names: Names) -> Self {
        Self { names, session: Mutex::new(None), times: Mutex::default() }
    }

    /// Returns the name of the router's container.
    pub(super) fn name(&self) -> String {
        self.names.router()
    }

    /// Sends commands, connecting first if necessary, and returns the answer to each.
    pub(super) async fn ask(&self, client: &DockerClient, commands: &[String]) -> Result<Vec<String>, DockerFault> {
        let mut session = self.session.lock().await;
        let silent = || DockerFault::Silent { router: self.name(), limit: ANSWER_TIMEOUT };
        if let Some(answers) = ask_open(&mut session, commands).await.map_err(|_| silent())? {
            return Ok(answers);
        }
        // There is no connection, or the router was restarted since.
        let port = config::COMMANDS.to_string();
        let mut open = Tunnel::open(client, &self.name(), &["nc", "127.0.0.1", &port]).await?;
        let asked = async {
            exchange(&mut open, &["prompt".to_owned()]).await?;
            exchange(&mut open, commands).await
        };
        let answers = timeout(ANSWER_TIMEOUT, asked).await.map_err(|_| silent())?.ok_or_else(silent)?;
        *session = Some(open);
        Ok(answers)
    }

    /// Sends commands, and then `show info`. Returns the answers of the process that takes the requests: if the router has got
    /// another configuration, by another deployment, the open connection still leads to the process from before.
    async fn ask_current(&self, client: &DockerClient, commands: &[String]) -> Result<Vec<String>, DockerFault> {
        let commands = [commands, &["show info".to_owned()]].concat();
        let answers = self.ask(client, &commands).await?;
        if answers.last().is_some_and(|info| state::is_stopping(info)) {
            *self.session.lock().await = None;
            return self.ask(client, &commands).await;
        }
        Ok(answers)
    }

    /// Returns the places by name.
    pub(super) async fn places(&self, client: &DockerClient) -> Result<HashMap<String, Place>, DockerFault> {
        let answers = self.ask_current(client, &report()).await?;
        let mut places = state::places(&answers[0], &answers[1]).ok_or_else(|| DockerFault::Command {
            router: self.name(),
            command: report()[0].clone(),
            answer: answers[0].clone(),
        })?;
        self.times.lock().await.add_to(&mut places);
        Ok(places)
    }

    /// Changes the state of places, and writes the new state to the file in the container. Returns how long the change
    /// took, excluding the time to write the file.
    pub(super) async fn set(&self, client: &DockerClient, commands: &[String]) -> Result<Duration, DockerFault> {
        if commands.is_empty() {
            return Ok(Duration::ZERO);
        }
        // A change of a process that was replaced would be lost.
        self.ask_current(client, &[]).await?;
        let began = Instant::now();
        let answers = self.ask(client, commands).await?;
        let took = began.elapsed();
        if let Some((command, answer)) = commands.iter().zip(&answers).find(|(_, answer)| !answer.trim().is_empty()) {
            let (command, answer) = (command.clone(), answer.trim().to_owned());
            return Err(DockerFault::Command { router: self.name(), command, answer });
        }
        self.keep_state(client).await?;
        Ok(took)
    }

    /// Writes the state of the places to a file in the container, which a restarted router reads.
    async fn keep_state(&self, client: &DockerClient) -> Result<(), DockerFault> {
        let command = "show servers state".to_owned();
        let (file, port) = (config::STATE, config::COMMANDS);
        // Several deployments may write at the same time, so each first writes to a separate file.
        let script = format!("echo '{command}' | nc 127.0.0.1 {port} >{file}.$$ && mv {file}.$$ {file}");
        let router = self.name();
        let silent = |_: Elapsed| DockerFault::Silent { router: router.clone(), limit: ANSWER_TIMEOUT };
        match timeout(ANSWER_TIMEOUT, client.run_quietly(&router, &["sh", "-c", &script])).await.map_err(silent)?? {
            (0, _) => Ok(()),
            (_, answer) => Err(DockerFault::Command { router: self.name(), command, answer }),
        }
    }

    /// Returns the places with which a router that does not run will start again. `None` if it has no file with them, or
    /// if that cannot be read.
    pub(super) async fn saved(&self, client: &DockerClient) -> Option<HashMap<String, Place>> {
        let options = DownloadFromContainerOptions { path: config::STATE.to_owned() };
        let name = self.name();
        let mut parts = pin!(client.api().download_from_container(&name, Some(options)));
        let mut packed = Vec::new();
        while let Some(part) = parts.next().await {
            packed.extend_from_slice(&part.ok()?);
            if packed.len() > MAX_SAVED {
                return None;
            }
        }
        let mut archive = tar::Archive::new(packed.as_slice());
        let mut text = String::new();
        archive.entries().ok()?.next()?.ok()?.read_to_string(&mut text).ok()?;
        state::saved(&text)
    }

    /// Whether the router runs.
    pub(super) async fn is_running(&self, client: &DockerClient) -> Result<bool, DockerFault> {
        match client.inspect(&self.name()).await {
            Ok(found) => Ok(is_running(&found)),
            Err(DockerError::Missing { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Starts the router, with its network, unless it runs. A running router with another configuration gets this one,
    /// without losing connections.
    pub(super) async fn ensure(
        &self,
        client: &DockerClient,
        settings: &DockerSettings,
        configuration: &str,
    ) -> Result<(), DockerFault> {
        let name = self.name();
        loop {
            match client.inspect(&name).await {
                Err(DockerError::Missing { .. }) => {
                    if !self.create(client, settings).await? {
                        // Another deployment was faster.
                        continue;
                    }
                }
                Err(error) => return Err(error.into()),
                Ok(found) => {
                    self.check(&found, settings)?;
                    self.join_network(client, &found).await?;
                    if is_running(&found) {
                        return self.configure(client, configuration).await;
                    }
                }
            }
            self.upload(client, configuration, &[CONFIGURATION, LOADED]).await?;
            if let Err(error) = client.api().start_container(&name, None).await {
                let error = DockerError::of(format!("cannot start the router {name}"), error);
                let reason = error.to_string();
                let is_port = ["already allocated", "already in use", "cannot assign"];
                if is_port.iter().any(|words| reason.contains(words)) {
                    return Err(DockerFault::Port { port: settings.publish, reason });
                }
                return Err(error.into());
            }
            return self.started(client).await;
        }
    }

    /// Waits until the router answers.
    async fn started(&self, client: &DockerClient) -> Result<(), DockerFault> {
        let began = Instant::now();
        loop {
            match self.ask(client, &["show info".to_owned()]).await {
                Ok(_) => return Ok(()),
                Err(error) if began.elapsed() > START_TIMEOUT => return Err(error),
                Err(_) => {}
            }
            if !self.is_running(client).await? {
                let lines = client.last_lines(&self.name(), 10).await?;
                let alerts: Vec<_> = lines.into_iter().filter(|line| line.contains("ALERT")).collect();
                return Err(DockerFault::RouterEnded { router: self.name(), lines: alerts.join("; ") });
            }
            sleep(START_POLL).await;
        }
    }

    /// Checks that a container with the name of the router is the router, and publishes the port of the settings.
    fn check(&self, found: &ContainerInspectResponse, settings: &DockerSettings) -> Result<(), DockerFault> {
        let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
        if !labels.is_some_and(|labels| self.names.is_router(labels)) {
            return Err(DockerFault::NameTaken(self.name()));
        }
        let bindings = found.host_config.as_ref().and_then(|host| host.port_bindings.as_ref());
        let bindings = bindings.into_iter().flat_map(HashMap::values).flatten().flatten();
        let published: Vec<&str> = bindings.filter_map(|binding| binding.host_port.as_deref()).collect();
        if published != [settings.publish.to_string()] {
            let (router, published) = (self.name(), published.join(", "));
            return Err(DockerFault::OtherPort { router, published, wanted: settings.publish });
        }
        Ok(())
    }

    /// Creates the container, after fetching its image and creating its network if necessary. Returns whether its name
    /// was free.
    async fn create(&self, client: &DockerClient, settings: &DockerSettings) -> Result<bool, DockerFault> {
        check_port(client, settings.publish).await?;
        client
            .ensure_image(&settings.router, None, &|_| {})
            .await
            .map_err(|error| DockerFault::RouterImage { image: settings.router.clone(), reason: error.to_string() })?;
        let network = self.names.network();
        if let Err(error) = client.network(&network).await {
            // An engine accepts a second network of the same name, after which neither can be used by its name.
            if !matches!(error, DockerError::Missing { .. }) {
                return Err(error.into());
            }
            let request = NetworkCreateRequest {
                name: network.clone(),
                driver: Some("bridge".to_owned()),
                labels: Some(self.names.router_labels()),
                ..NetworkCreateRequest::default()
            };
            let made = client.api().create_network(request).await;
            made.map_err(|error| DockerError::of(format!("cannot create the network {network}"), error))?;
        }
        let inside = format!("{}/tcp", config::PORT);
        let published = PortBinding { host_ip: None, host_port: Some(settings.publish.to_string()) };
        let file = format!("{FOLDER}/{CONFIGURATION}");
        let body = ContainerCreateBody {
            image: Some(settings.router.clone()),
            entrypoint: Some(Vec::new()),
            cmd: Some(["haproxy", "-W", "-db", "-f", &file].map(str::to_owned).into()),
            user: Some("0".to_owned()),
            labels: Some(self.names.router_labels()),
            exposed_ports: Some(vec![inside.clone()]),
            host_config: Some(HostConfig {
                network_mode: Some(network),
                port_bindings: Some([(inside, Some(vec![published]))].into()),
                restart_policy: Some(unless_stopped()),
                // With this option, the engine's resolver does not pass on the names of replicas that do not run.
                dns_options: Some(vec!["ndots:1".to_owned()]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        create(client, &self.name(), body).await
    }

    /// Connects the router to the network of the replicas, if it is not connected.
    async fn join_network(&self, client: &DockerClient, found: &ContainerInspectResponse) -> Result<(), DockerFault> {
        let network = self.names.network();
        let joined = found.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        if joined.is_some_and(|networks| networks.contains_key(&network)) {
            return Ok(());
        }
        let request = NetworkConnectRequest { container: self.name(), ..NetworkConnectRequest::default() };
        let joined = client.api().connect_network(&network, request).await;
        joined
            .map_err(|error| DockerError::of(format!("cannot connect the router to the network {network}"), error))?;
        Ok(())
    }

    /// Writes a configuration to files of these names.
    async fn upload(&self, client: &DockerClient, configuration: &str, names: &[&str]) -> Result<(), DockerFault> {
        let mut archive = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(configuration.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, configuration.as_bytes()).expect("a vector takes all bytes");
        }
        let packed = archive.into_inner().expect("a vector takes all bytes");
        let options = UploadToContainerOptionsBuilder::default().path(FOLDER).build();
        let sent =
            client.api().upload_to_container(&self.name(), Some(options), bollard::body_full(packed.into())).await;
        sent.map_err(|error| DockerError::of("cannot write the configuration of the router", error))?;
        Ok(())
    }

    /// Returns the ids of all processes in the container.
    async fn processes(&self, client: &DockerClient) -> Result<Vec<u32>, DockerFault> {
        let (status, listed) = client.run_quietly(&self.name(), &["ls", "/proc"]).await?;
        if status != 0 {
            let (router, command) = (self.name(), "ls /proc".to_owned());
            return Err(DockerFault::Command { router, command, answer: listed });
        }
        Ok(listed.split_whitespace().filter_map(|name| name.parse().ok()).collect())
    }

    /// Gives a running router this configuration, if it has another one. A configuration that the router rejects changes
    /// nothing. If this process ends in between, the next deployment begins again.
    async fn configure(&self, client: &DockerClient, configuration: &str) -> Result<(), DockerFault> {
        let (_, loaded) = client.run_quietly(&self.name(), &["cat", &format!("{FOLDER}/{LOADED}")]).await?;
        if loaded == configuration {
            return Ok(());
        }
        self.upload(client, configuration, &[NEW]).await?;
        let file = format!("{FOLDER}/{NEW}");
        let (status, answer) = client.run_quietly(&self.name(), &["haproxy", "-c", "-f", &file]).await?;
        if status != 0 {
            let command = format!("haproxy -c -f {file}");
            return Err(DockerFault::Command { router: self.name(), command, answer });
        }
        self.keep_state(client).await?;
        self.upload(client, configuration, &[CONFIGURATION]).await?;
        let before = self.processes(client).await?;
        client.kill(&self.name(), "USR2").await?;
        // The open connection still leads to the old process.
        *self.session.lock().await = None;
        let wanted = configuration.matches("\n  server ").count();
        let began = Instant::now();
        loop {
            // A process that was just replaced may not answer.
            let answers = self.ask_current(client, &report()).await;
            if answers.is_ok_and(|answers| is_reloaded(&answers, &before, wanted)) {
                return self.upload(client, configuration, &[LOADED]).await;
            }
            *self.session.lock().await = None;
            if began.elapsed() > START_TIMEOUT {
                return Err(DockerFault::Silent { router: self.name(), limit: START_TIMEOUT });
            }
            sleep(START_POLL).await;
        }
    }
}

/// Returns the commands for the state of the places.
fn report() -> [String; 2] {
    [format!("show servers state {}", config::BACKEND), "show stat".to_owned()]
}

/// Whether the answers to [`report`] and `show info` are from a process that has read the new configuration: it has this number
/// of places, and did not run before. Until it has started, an older one answers, which may have as many places.
fn is_reloaded(answers: &[String], before: &[u32], wanted: usize) -> bool {
    let [servers, statistics, info] = answers else { return false };
    let is_new = state::process(info).is_some_and(|id| !before.contains(&id));
    is_new && state::places(servers, statistics).is_some_and(|places| places.len() == wanted)
}

/// Sends commands over the open connection, and returns the answer to each. `None` if there is no connection, or it has
/// ended.
async fn ask_open(session: &mut Option<Tunnel>, commands: &[String]) -> Result<Option<Vec<String>>, Elapsed> {
    // The connection is put back only once all answers were read. If the caller is stopped before, the next command
    // would read the answers to these commands.
    let Some(mut open) = session.take() else { return Ok(None) };
    let answers = timeout(ANSWER_TIMEOUT, exchange(&mut open, commands)).await?;
    *session = answers.is_some().then_some(open);
    Ok(answers)
}

/// Sends commands over a connection. Returns the answers; `None` if the connection has ended.
async fn exchange(session: &mut Tunnel, commands: &[String]) -> Option<Vec<String>> {
    session.send(&format!("{}\n", commands.join(";"))).await.ok()?;
    let prompts = |output: &[u8]| memchr::memmem::find_iter(output, PROMPT).count();
    let printed = session.read(|output| prompts(output) >= commands.len()).await;
    let text = String::from_utf8_lossy(&printed.output).into_owned();
    let answers: Vec<String> = text.split(PROMPT).take(commands.len()).map(str::to_owned).collect();
    (!printed.has_ended && answers.len() == commands.len()).then_some(answers)
}

/// Whether a container runs.
fn is_running(found: &ContainerInspectResponse) -> bool {
    found.state.as_ref().and_then(|state| state.running) == Some(true)
}

/// Returns the restart policy of all containers: the engine restarts them, even after it was itself restarted.
pub(super) fn unless_stopped() -> RestartPolicy {
    RestartPolicy { name: Some(RestartPolicyNameEnum::UNLESS_STOPPED), maximum_retry_count: None }
}

/// Creates a container. Returns whether its name was free.
pub(super) async fn create(client: &DockerClient, name: &str, body: ContainerCreateBody) -> Result<bool, DockerFault> {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    match client.api().create_container(Some(options), body).await {
        Ok(_) => Ok(true),
        Err(Error::DockerResponseServerError { status_code: 409, .. }) => Ok(false),
        Err(error) => Err(DockerError::of(format!("cannot create the container {name}"), error).into()),
    }
}

/// Checks that no container publishes a port.
async fn check_port(client: &DockerClient, port: u16) -> Result<(), DockerFault> {
    let filters: HashMap<String, Vec<String>> = [("publish".to_owned(), vec![port.to_string()])].into();
    let options = ListContainersOptions { filters: Some(filters), ..ListContainersOptions::default() };
    let found = client.api().list_containers(Some(options)).await;
    let found = found.map_err(|error| DockerError::of("cannot list containers", error))?;
    // Engines differ in which ports the filter includes. Only published ports of the machine count here.
    let publishes = |ports: &bollard::models::PortSummary| ports.public_port == Some(port);
    let taken = found.into_iter().find(|one| one.ports.iter().flatten().any(publishes));
    let Some(taken) = taken else { return Ok(()) };
    let name = taken.names.iter().flatten().next().map(|name| name.trim_start_matches('/').to_owned());
    let container = name.or(taken.id).unwrap_or_default();
    Err(DockerFault::PortTaken { port, container, image: taken.image.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use bollard::container::LogOutput;
    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;

    /// Returns a connection with this output.
    fn connection(printed: &str) -> Tunnel {
        let part = LogOutput::StdOut { message: printed.as_bytes().to_vec().into() };
        Tunnel::of(tokio::io::sink(), stream::iter([Ok(part)]).chain(stream::pending()))
    }

    #[tokio::test]
    async fn a_connection_whose_answers_were_not_all_read_is_not_used_again() {
        let commands = ["set weight app/blue1 5".to_owned(), "show stat".to_owned()];
        let mut session = Some(connection("\n> table\n> "));
        let answers = ask_open(&mut session, &commands).await.expect("in time");
        assert_eq!(answers, Some(vec![String::new(), "table".to_owned()]));
        assert!(session.is_some());
        let mut session = Some(connection("\n> "));
        assert!(ask_open(&mut session, &commands).now_or_never().is_none(), "the second answer is missing");
        assert!(session.is_none());
    }

    #[test]
    fn a_configuration_is_read_once_a_new_process_answers_with_its_places() {
        let servers = "1\n# be_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n3 blue1 - 2 0 200\n";
        let answers = |process: &str| [servers, "# pxname,svname\napp,blue1\n", process].map(str::to_owned);
        let before = [1, 8, 24];
        assert!(!is_reloaded(&answers("Name: HAProxy\nPid: 8\n"), &before, 1), "it ran before");
        assert!(is_reloaded(&answers("Name: HAProxy\nPid: 27\n"), &before, 1));
        assert!(!is_reloaded(&answers("Name: HAProxy\nPid: 27\n"), &before, 2));
        assert!(!is_reloaded(&answers("Name: HAProxy\n"), &before, 1));
    }
}
