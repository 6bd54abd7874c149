//! The services of a job: containers beside it that are up, and healthy, before its first step.
//!
//! They start all at once, in a network of the job's own, where each is reached by its key. For a job on the host their
//! ports are published on this machine; for a job in a container a [`forward`]er makes `localhost` lead to them.
//! While the job runs, the engine's events are watched, and every change of a service is a record.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum, PortBinding};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::future::join_all;
use indexmap::IndexMap;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::model::{Event, JobId, Service, ServiceState};

use super::job::container::{Container, Port};
use super::outlet::Outlet;
use super::sandbox::docker::body::{body, join};
use super::sandbox::docker::client::{DockerClient, DockerError};
use super::sandbox::docker::labels::{Labels, service_role};

pub mod forward;
mod health;
pub(super) mod ports;

use forward::Route;

/// How many of a service's last lines are shown when it is in the way.
const LAST_LINES: usize = 20;

/// How often a service is asked how it is, where its engine does not do it.
const PROBE: Duration = Duration::from_secs(1);

/// The services of one job.
pub(super) struct Services {
    engine: DockerClient,
    running: Vec<Running>,
    owner: Owner,
    tell: Arc<watch::Sender<IndexMap<String, Service>>>,
    states: watch::Receiver<IndexMap<String, Service>>,
    watcher: JoinHandle<()>,
}

struct Running {
    id: String,
    service: Service,
    /// Whether its health is checked.
    checked: bool,
}

/// Where a job's services are reached from.
#[derive(Clone, Copy)]
pub(super) enum Reach<'r> {
    /// This machine: ports are published.
    Machine,
    /// A container that stands for the machine, by these ports of its `localhost`.
    Localhost(&'r Reached),
    /// The container that the job asked for, by name.
    Name,
}

/// The port by which a port of a service is reached.
pub(super) type Reached = HashMap<(String, u16), u16>;

/// Whose services they are.
#[derive(Clone)]
pub(super) struct Owner {
    pub(super) job: JobId,
    pub(super) labels: Labels,
    pub(super) outlet: Arc<dyn Outlet>,
}

impl Services {
    /// Starts all of them at once. What was started is the engine's to find by its labels if this fails.
    ///
    /// # Errors
    /// In words: the service, its image, and what the engine said.
    pub(super) async fn start(
        engine: &DockerClient,
        owner: Owner,
        definitions: &[Container],
        network: &str,
        reach: Reach<'_>,
    ) -> Result<Self, String> {
        let starting = definitions.iter().map(|container| start_one(engine, &owner, container, network, reach));
        let running = join_all(starting).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let known: IndexMap<_, _> = running.iter().map(|one| (one.service.name.clone(), one.service.clone())).collect();
        for service in known.values() {
            owner.outlet.record(Event::ServiceChanged { job: owner.job.clone(), service: service.clone() });
        }
        let (tell, states) = watch::channel(known);
        let ids = running.iter().map(|one| (one.id.clone(), one.service.name.clone())).collect();
        let tell = Arc::new(tell);
        let watcher = tokio::spawn(watch_over(engine.clone(), owner.clone(), ids, Arc::clone(&tell)));
        Ok(Self { engine: engine.clone(), running, owner, tell, states, watcher })
    }

    /// Waits until each is healthy, or has no health check.
    ///
    /// # Errors
    /// In words, with the service's own last lines: one of them is unhealthy, or ended before it was healthy.
    pub(super) async fn ready(&mut self, say: &mut (dyn FnMut(&str) + Send)) -> Result<(), String> {
        let mut round = 0;
        loop {
            let now = self.states.borrow_and_update().clone();
            if now.values().all(|service| service.state != ServiceState::Starting) {
                break;
            }
            // The engine's events come first; asking again is for an engine that has none to tell.
            tokio::select! {
                changed = self.states.changed() => if changed.is_err() { break },
                () = sleep(back_off(round)) => {
                    round += 1;
                    if let Some(gone) = self.look_again().await {
                        return Err(gone);
                    }
                }
            }
        }
        let now = self.states.borrow().clone();
        let mut wrong = Vec::new();
        for running in &self.running {
            let Some(service) = now.get(&running.service.name) else { continue };
            let reason = match service.state {
                ServiceState::Unhealthy => "is unhealthy",
                ServiceState::Exited => "has ended",
                _ => continue,
            };
            let detail = service.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            let text = format!("service `{}` ({}) {reason}{detail}", service.name, service.image);
            say(&format!("##[group]{text}: its last lines"));
            let last = self.engine.last_lines(&running.id, LAST_LINES).await.unwrap_or_default();
            for line in &last {
                say(line);
            }
            say("##[endgroup]");
            let own = last.last().map_or("it wrote nothing", String::as_str);
            // As on GitHub: one without a check may have done its work already.
            if running.checked || service.state == ServiceState::Unhealthy {
                wrong.push(format!("{text}; its log ends: {own}"));
            } else {
                say(&format!("##[warning]{text}; its log ends: {own}"));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    /// Asks the engine about every service; says what is wrong when it does not answer.
    async fn look_again(&self) -> Option<String> {
        for running in &self.running {
            let name = &running.service.name;
            if let Err(error) = look(&self.engine, &self.owner, &self.tell, &running.id, name).await {
                return Some(format!("service `{name}` is gone: {error}"));
            }
        }
        None
    }

    /// `job.services`: what steps may know of them.
    pub(super) fn facts<'s>(&'s self, network: &'s str) -> impl Iterator<Item = (&'s Service, &'s str, &'s str)> {
        self.running.iter().map(move |one| (&one.service, one.id.as_str(), network))
    }

    /// Which of them are not well, in words, for a job that failed.
    pub(super) fn troubles(&self) -> Vec<String> {
        let now = self.states.borrow();
        let bad = now.values().filter(|service| service.state.is_bad());
        bad.map(|service| {
            let detail = service.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            format!("service `{}` {}{detail}", service.name, service.state.word())
        })
        .collect()
    }

    /// Stops watching, and removes them all at once.
    pub(super) async fn stop(self, owner: &Owner) {
        self.watcher.abort();
        let last = self.states.borrow().clone();
        join_all(self.running.iter().map(|one| self.engine.remove(&one.id))).await;
        for service in last.into_values().filter(|service| service.state != ServiceState::Exited) {
            let service = Service { state: ServiceState::Stopped, ..service };
            owner.outlet.record(Event::ServiceChanged { job: owner.job.clone(), service });
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// The routes for `localhost` of a job in a container, and the port by which each port of a service is reached. A port
/// that is not fixed keeps its number where that is free.
pub(super) fn routes(definitions: &[Container]) -> (Vec<Route>, Reached) {
    let all = definitions.iter().flat_map(|container| container.ports.iter().map(move |port| (container, port)));
    // Only TCP is forwarded.
    let all = all.filter(|(_, port)| port.protocol == "tcp");
    let (fixed, free): (Vec<_>, Vec<_>) = all.partition(|(_, port)| port.outside.is_some());
    let mut routes: Vec<Route> = Vec::new();
    let mut reached = HashMap::new();
    for (container, port) in fixed.into_iter().chain(free) {
        if reached.contains_key(&(container.name.clone(), port.inside)) && port.outside.is_none() {
            continue;
        }
        let mut outside = port.outside.unwrap_or(port.inside);
        while port.outside.is_none() && routes.iter().any(|route| route.port == outside) {
            outside = outside.checked_add(1).unwrap_or(1024);
        }
        routes.push(Route { port: outside, to: format!("{}:{}", container.name, port.inside) });
        reached.insert((container.name.clone(), port.inside), outside);
    }
    (routes, reached)
}

async fn start_one(
    engine: &DockerClient,
    owner: &Owner,
    container: &Container,
    network: &str,
    reach: Reach<'_>,
) -> Result<Running, String> {
    let failed = |error: String| format!("service `{}` ({}): {error}", container.name, container.image);
    let labels = owner.labels.of(&service_role(&container.name));
    let mut body = body(container, &owner.labels).map_err(failed)?;
    body.labels.get_or_insert_default().extend(labels.all());
    if !container.entrypoint.is_empty() {
        body.entrypoint = Some(container.entrypoint.clone());
    }
    if !container.command.is_empty() {
        body.cmd = Some(container.command.clone());
    }
    join(&mut body, network, &container.name);
    if let Reach::Machine = reach {
        for port in &container.ports {
            let inside = port.inside();
            body.exposed_ports.get_or_insert_default().push(inside.clone());
            // Only for this machine: a database for tests is nobody else's.
            let address = port.address.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
            let outside = port.outside.map(|number| number.to_string()).unwrap_or_default();
            let binding = PortBinding { host_ip: Some(address), host_port: Some(outside) };
            let bindings = body.host_config.get_or_insert_default().port_bindings.get_or_insert_default();
            bindings.entry(inside).or_default().get_or_insert_default().push(binding);
        }
    }
    let id = engine.start(&labels.name(), body).await.map_err(|error| failed(error.to_string()))?;
    let found = engine.inspect(&id).await.map_err(|error| failed(error.to_string()))?;
    let mut service = Service {
        name: container.name.clone(),
        image: container.image.clone(),
        state: ServiceState::Starting,
        ports: IndexMap::new(),
        detail: None,
        restarts: 0,
    };
    service.ports = match reach {
        Reach::Machine => published(&found),
        Reach::Name => IndexMap::new(),
        Reach::Localhost(reached) => {
            let outside = |port: &Port| reached.get(&(container.name.clone(), port.inside));
            let pairs =
                container.ports.iter().filter_map(|port| Some((port.inside.to_string(), outside(port)?.to_string())));
            pairs.collect()
        }
    };
    seen(&mut service, &found);
    let checked = found.config.as_ref().is_some_and(|config| config.healthcheck.is_some());
    Ok(Running { id, service, checked })
}

/// The ports of this machine that a container's ports are published on.
fn published(found: &ContainerInspectResponse) -> IndexMap<String, String> {
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

/// Takes in what the engine knows of a service.
fn seen(service: &mut Service, found: &ContainerInspectResponse) {
    let Some(state) = &found.state else { return };
    service.restarts = found.restart_count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
    let running =
        matches!(state.status, Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::RESTARTING));
    if !running {
        service.state = ServiceState::Exited;
        let code = state.exit_code.unwrap_or_default();
        let memory = if state.oom_killed == Some(true) { ", killed as its memory was used up" } else { "" };
        service.detail = Some(format!("exit code {code}{memory}"));
        return;
    }
    let health = state.health.as_ref();
    service.state = match health.and_then(|health| health.status) {
        None | Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) => ServiceState::Running,
        Some(HealthStatusEnum::STARTING) => ServiceState::Starting,
        Some(HealthStatusEnum::HEALTHY) => ServiceState::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => ServiceState::Unhealthy,
    };
    let last = health.and_then(|health| health.log.as_ref()?.last());
    let said = last.and_then(|check| check.output.as_deref()?.trim().lines().last());
    let code = last.and_then(|check| check.exit_code).filter(|code| *code != 0);
    service.detail = match (said.filter(|said| !said.is_empty()), code) {
        (Some(said), Some(code)) => Some(format!("its check ends with {code}: {said}")),
        (None, Some(code)) => Some(format!("its check ends with {code}")),
        (said, None) => said.map(str::to_owned),
    };
}

/// Follows what happens to services, until it is aborted.
async fn watch_over(
    engine: DockerClient,
    owner: Owner,
    ids: HashMap<String, String>,
    tell: Arc<watch::Sender<IndexMap<String, Service>>>,
) {
    let filters: HashMap<&str, Vec<String>> = [
        ("type", vec!["container".to_owned()]),
        ("container", ids.keys().cloned().collect()),
        ("event", ["health_status", "die", "oom", "start", "restart", "destroy"].map(str::to_owned).into()),
    ]
    .into();
    let mut asked = HashMap::new();
    // An engine that is restarted ends its events; they are asked for again as long as somebody waits.
    loop {
        let mut events = engine.api.events(Some(EventsOptionsBuilder::default().filters(&filters).build()));
        // What happened before the events were asked for.
        for (id, name) in &ids {
            look(&engine, &owner, &tell, id, name).await.ok();
        }
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = sleep(PROBE), if !engine.checks_health() => {
                    health::probe(&engine, &ids, &mut asked, |name, state, detail| {
                        let Some(mut service) = tell.borrow().get(name).cloned() else { return };
                        (service.state, service.detail) = (state, detail);
                        owner.outlet.record(Event::ServiceChanged { job: owner.job.clone(), service: service.clone() });
                        tell.send_modify(|all| drop(all.insert(name.to_owned(), service)));
                    }, |name| tell.borrow().get(name).map(|service| service.state)).await;
                    continue;
                }
            };
            let Some(Ok(event)) = event else { break };
            let actor = event.actor.and_then(|actor| actor.id).unwrap_or_default();
            let Some(name) = ids.get(&actor) else { continue };
            if event.action.as_deref() == Some("destroy") {
                lose(&owner, &tell, name);
            } else {
                look(&engine, &owner, &tell, &actor, name).await.ok();
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Asks the engine how a service is, and tells it when that is news.
async fn look(
    engine: &DockerClient,
    owner: &Owner,
    tell: &watch::Sender<IndexMap<String, Service>>,
    id: &str,
    name: &str,
) -> Result<(), DockerError> {
    let found = engine.inspect(id).await?;
    let Some(mut service) = tell.borrow().get(name).cloned() else { return Ok(()) };
    let before = service.clone();
    seen(&mut service, &found);
    // Where the engine checks no health, what we found by asking stands.
    let ours = !engine.checks_health() && service.state == ServiceState::Starting && before.state != service.state;
    // What a check says is told with the state that it led to, not each time it is said.
    if !ours && (service.state != before.state || service.restarts != before.restarts) {
        owner.outlet.record(Event::ServiceChanged { job: owner.job.clone(), service: service.clone() });
        tell.send_modify(|all| drop(all.insert(name.to_owned(), service)));
    }
    Ok(())
}

/// A service that somebody removed.
fn lose(owner: &Owner, tell: &watch::Sender<IndexMap<String, Service>>, name: &str) {
    let Some(mut service) = tell.borrow().get(name).cloned() else { return };
    service.state = ServiceState::Exited;
    service.detail = Some("its container was removed".to_owned());
    owner.outlet.record(Event::ServiceChanged { job: owner.job.clone(), service: service.clone() });
    tell.send_modify(|all| drop(all.insert(name.to_owned(), service)));
}

/// The runner's pause before it looks again (Worker/ContainerOperationProvider.cs): from 2 s up, doubling, 32 s at most.
fn back_off(round: u32) -> Duration {
    let factor = f64::from(2_u32.saturating_pow(round.min(8)) - 1);
    Duration::from_secs_f64(factor.mul_add(2.0, 2.0).min(32.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str, ports: &[&str]) -> Container {
        let mut container = Container::plain(name, "x");
        container.ports = ports.iter().map(|port| Port::parse(port).expect("a port")).collect();
        container
    }

    #[test]
    fn fixed_ports_keep_their_number_and_free_ones_give_way() {
        let (routes, reached) =
            routes(&[container("a", &["5432"]), container("b", &["5432:5432"]), container("c", &["80:8080"])]);
        let told: Vec<_> = routes.iter().map(|route| format!("{}={}", route.port, route.to)).collect();
        assert_eq!(told, ["5432=b:5432", "80=c:8080", "5433=a:5432"]);
        assert_eq!(reached[&("a".to_owned(), 5432)], 5433);
    }

    #[test]
    fn the_pause_is_the_runners() {
        let seconds: Vec<_> = (0..6).map(|round| back_off(round).as_secs()).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 32]);
    }
}
