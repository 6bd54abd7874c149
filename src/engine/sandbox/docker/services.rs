//! Services as containers: starting them, and reading their state from Docker.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum, PortBinding};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use indexmap::IndexMap;
use tokio::time::sleep;

use super::body::{body, join};
use super::client::{DockerClient, DockerError};
use super::health::{self, Probe};
use super::labels::{Labels, service_role};
use crate::engine::sandbox::container::{ContainerSpec, Port};
use crate::engine::sandbox::provider::ProviderError;
use crate::engine::services::forward::Reached;
use crate::engine::services::{Board, Observation, ServiceHost, StartedService};
use crate::model::ServiceState;

/// Interval at which cuelight looks for health checks that are due, if the engine does not run them itself.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Time before events are requested again after a restart of the engine ended them.
const EVENTS_PAUSE: Duration = Duration::from_secs(1);

/// Where the services of a job are reached from.
#[derive(Clone, Debug)]
pub(super) enum Reach {
    /// From this machine: ports are published.
    Machine,
    /// From a container in place of the machine, at these ports of its `localhost`.
    Localhost(Reached),
    /// From the container of the job, by name.
    Name,
}

/// The services of one job as containers in its network.
pub(super) struct ServiceContainers {
    client: DockerClient,
    labels: Labels,
    network: String,
    reach: Reach,
    /// Results of the health checks that cuelight runs, by container.
    probed: Mutex<HashMap<String, (ServiceState, Option<String>)>>,
}

impl ServiceContainers {
    pub(super) fn new(client: DockerClient, labels: Labels, network: String, reach: Reach) -> Self {
        Self { client, labels, network, reach, probed: Mutex::default() }
    }

    async fn start(&self, service: &ContainerSpec) -> Result<StartedService, ProviderError> {
        let failed = |error: &dyn std::fmt::Display| {
            ProviderError::Failed(format!("service `{}` ({}): {error}", service.name, service.image))
        };
        let labels = self.labels.of(&service_role(&service.name));
        let mut body = body(service, &self.labels).map_err(|error| failed(&error))?;
        body.labels.get_or_insert_default().extend(labels.all());
        if !service.entrypoint.is_empty() {
            body.entrypoint = Some(service.entrypoint.clone());
        }
        if !service.command.is_empty() {
            body.cmd = Some(service.command.clone());
        }
        join(&mut body, &self.network, &service.name);
        if let Reach::Machine = self.reach {
            for port in &service.ports {
                let inside = port.inside();
                body.exposed_ports.get_or_insert_default().push(inside.clone());
                // By default, Docker publishes a port on all addresses. That would let other machines reach a service,
                // such as a test database.
                let address = port.address.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
                let outside = port.outside.map(|number| number.to_string()).unwrap_or_default();
                let binding = PortBinding { host_ip: Some(address), host_port: Some(outside) };
                let bindings = body.host_config.get_or_insert_default().port_bindings.get_or_insert_default();
                bindings.entry(inside).or_default().get_or_insert_default().push(binding);
            }
        }
        let id = self.client.start(&labels.name(), body).await.map_err(|error| failed(&error))?;
        let found = self.client.inspect(&id).await.map_err(|error| failed(&error))?;
        let ports = match &self.reach {
            Reach::Machine => published(&found),
            Reach::Name => IndexMap::new(),
            Reach::Localhost(reached) => {
                let outside = |port: &Port| reached.get(&(service.name.clone(), port.inside));
                let pairs =
                    service.ports.iter().filter_map(|port| Some((port.inside.to_string(), outside(port)?.to_string())));
                pairs.collect()
            }
        };
        let has_health_check = found.config.as_ref().is_some_and(|config| config.healthcheck.is_some());
        Ok(StartedService { id, ports, has_health_check, observation: observe(&found) })
    }

    async fn inspect(&self, id: &str) -> Result<Observation, DockerError> {
        let mut observation = observe(&self.client.inspect(id).await?);
        // An engine that does not run health checks only reports that the container runs.
        if observation.state == ServiceState::Starting
            && !self.client.checks_health()
            && let Some((state, detail)) = self.probed.lock().ok().and_then(|all| all.get(id).cloned())
        {
            (observation.state, observation.detail) = (state, detail);
        }
        Ok(observation)
    }

    async fn report(&self, id: &str, board: &Board) {
        // Ignores errors: the engine may be restarting, and a later event reports the state again.
        if let Ok(observation) = self.inspect(id).await {
            board.report(id, observation);
        }
    }

    async fn watch(&self, board: &Board) {
        let filters: HashMap<&str, Vec<String>> = [
            ("type", vec!["container".to_owned()]),
            ("container", board.ids().map(str::to_owned).collect()),
            ("event", ["health_status", "die", "oom", "start", "restart", "destroy"].map(str::to_owned).into()),
        ]
        .into();
        let mut probes = HashMap::new();
        loop {
            let mut events = self.client.api.events(Some(EventsOptionsBuilder::default().filters(&filters).build()));
            // Reports changes from before the events were requested.
            for id in board.ids() {
                self.report(id, board).await;
            }
            loop {
                let event = tokio::select! {
                    event = events.next() => event,
                    () = sleep(PROBE_INTERVAL), if !self.client.checks_health() => {
                        self.probe(board, &mut probes).await;
                        continue;
                    }
                };
                let Some(Ok(event)) = event else { break };
                let id = event.actor.and_then(|actor| actor.id).unwrap_or_default();
                if event.action.as_deref() == Some("destroy") {
                    board.report_removed(&id);
                } else {
                    self.report(&id, board).await;
                }
            }
            sleep(EVENTS_PAUSE).await;
        }
    }

    /// Runs the health checks of starting services.
    async fn probe(&self, board: &Board, probes: &mut HashMap<String, Probe>) {
        for id in board.ids() {
            let Some(last) = board.last(id).filter(|last| last.state == ServiceState::Starting) else { continue };
            let Some((state, detail)) = health::probe(&self.client, id, probes).await else { continue };
            if let Ok(mut all) = self.probed.lock() {
                all.insert(id.to_owned(), (state, detail.clone()));
            }
            board.report(id, Observation { state, detail, restarts: last.restarts });
        }
    }
}

impl ServiceHost for ServiceContainers {
    fn start<'a>(&'a self, service: &'a ContainerSpec) -> BoxFuture<'a, Result<StartedService, ProviderError>> {
        self.start(service).boxed()
    }

    fn inspect<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move { Ok(self.inspect(id).await?) }.boxed()
    }

    fn last_lines<'a>(&'a self, id: &'a str, lines: usize) -> BoxFuture<'a, Result<Vec<String>, ProviderError>> {
        async move { Ok(self.client.last_lines(id, lines).await?) }.boxed()
    }

    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move { Ok(self.client.remove(id).await?) }.boxed()
    }

    fn watch<'a>(&'a self, board: &'a Board) -> BoxFuture<'a, ()> {
        self.watch(board).boxed()
    }
}

/// Returns the ports of this machine that lead to the ports of a container, by port of the container.
pub(super) fn published(found: &ContainerInspectResponse) -> IndexMap<String, String> {
    let ports = found.network_settings.as_ref().and_then(|settings| settings.ports.as_ref());
    let mut all: Vec<_> = ports
        .into_iter()
        .flatten()
        .filter_map(|(inside, bindings)| {
            let outside = bindings.as_ref()?.first()?.host_port.clone()?;
            Some((inside.split('/').next()?.to_owned(), outside))
        })
        .collect();
    all.sort_unstable();
    all.into_iter().collect()
}

/// Returns the state of a service from the state of its container.
pub(super) fn observe(found: &ContainerInspectResponse) -> Observation {
    let restarts = found.restart_count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
    let Some(state) = &found.state else {
        return Observation { state: ServiceState::Starting, detail: None, restarts };
    };
    let running =
        matches!(state.status, Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::RESTARTING));
    if !running {
        let code = state.exit_code.unwrap_or_default();
        let memory = if state.oom_killed == Some(true) { ", out of memory" } else { "" };
        let detail = Some(format!("exit code {code}{memory}"));
        return Observation { state: ServiceState::Exited, detail, restarts };
    }
    let health = state.health.as_ref();
    let service_state = match health.and_then(|health| health.status) {
        None | Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) => ServiceState::Running,
        Some(HealthStatusEnum::STARTING) => ServiceState::Starting,
        Some(HealthStatusEnum::HEALTHY) => ServiceState::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => ServiceState::Unhealthy,
    };
    let last = health.and_then(|health| health.log.as_ref()?.last());
    let output = last.and_then(|check| check.output.as_deref()?.trim().lines().last());
    let code = last.and_then(|check| check.exit_code).filter(|code| *code != 0);
    let detail = match (output.filter(|output| !output.is_empty()), code) {
        (Some(output), Some(code)) => Some(format!("its health check exits with {code}: {output}")),
        (None, Some(code)) => Some(format!("its health check exits with {code}")),
        (output, None) => output.map(str::to_owned),
    };
    Observation { state: service_state, detail, restarts }
}
