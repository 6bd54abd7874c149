//! Services of a job: containers that are started before its first step. Services with a health check must be healthy
//! by then.
//!
//! This code is the same for every provider: it starts all services at once, waits until they are healthy, and records
//! every change of their states. The provider implements [`ServiceHost`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use indexmap::IndexMap;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::model::service::log_title;
use crate::model::{Event, JobId, Service, ServiceState};

use super::outlet::Outlet;
use super::sandbox::container::ContainerSpec;
use super::sandbox::provider::ProviderError;

pub mod forward;
pub(super) mod ports;

/// Number of log lines to show of a failed service.
const LAST_LINES: usize = 20;

/// Maximum number of lines of a service's log that are kept after its job.
const KEPT_LINES: usize = 10_000;

/// Operations of a provider on services.
pub trait ServiceHost: Send + Sync {
    /// Starts a service.
    ///
    /// # Errors
    /// The service cannot be started.
    fn start<'a>(&'a self, service: &'a ContainerSpec) -> BoxFuture<'a, Result<StartedService, ProviderError>>;

    /// Returns the state of a service.
    ///
    /// # Errors
    /// The service no longer exists, or the provider does not answer.
    fn inspect<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Observation, ProviderError>>;

    /// Returns the last lines of the log of a service, at most some megabytes.
    ///
    /// # Errors
    /// The service no longer exists, or the provider does not answer.
    fn last_lines<'a>(&'a self, id: &'a str, lines: usize) -> BoxFuture<'a, Result<Vec<String>, ProviderError>>;

    /// Removes a service. A service that no longer exists is not an error.
    ///
    /// # Errors
    /// The provider does not answer.
    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// Reports changes to the board until the future is dropped. Never resolves.
    fn watch<'a>(&'a self, board: &'a Board) -> BoxFuture<'a, ()>;
}

/// A service that was started.
#[derive(Clone, Debug)]
pub struct StartedService {
    /// Id of the service's container at the provider.
    pub id: String,
    /// Ports at which the job's steps reach the service on `localhost`, by port of the container.
    pub ports: IndexMap<String, String>,
    /// Whether the service has a health check.
    pub has_health_check: bool,
    /// Initial state of the service.
    pub observation: Observation,
}

/// State of a service at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// State of the service.
    pub state: ServiceState,
    /// Last output of the health check, or how the service ended; `None` if neither is known.
    pub detail: Option<String>,
    /// Number of restarts of the service's container.
    pub restarts: u64,
}

/// States of the services of one job. A change of state is recorded as an event.
pub struct Board {
    job: JobId,
    outlet: Arc<dyn Outlet>,
    /// Names by id at the provider.
    names: IndexMap<String, String>,
    /// States by name.
    states: watch::Sender<IndexMap<String, Service>>,
}

impl Board {
    /// Returns the provider's ids of all services.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Returns the last reported state of a service; `None` for an unknown id.
    #[must_use]
    pub fn last(&self, id: &str) -> Option<Observation> {
        let states = self.states.borrow();
        let service = states.get(self.names.get(id)?)?;
        Some(Observation { state: service.state, detail: service.detail.clone(), restarts: service.restarts })
    }

    /// Reports the state of a service. A change of only the detail is ignored: the output of a health check is recorded
    /// with the state that it led to, not on every check.
    pub fn report(&self, id: &str, observation: Observation) {
        let is_news = |last: Observation| last.state != observation.state || last.restarts != observation.restarts;
        if self.last(id).is_some_and(is_news) {
            self.set(id, observation);
        }
    }

    /// Reports that a service was removed, but not by [`Services::stop`].
    pub fn report_removed(&self, id: &str) {
        let Some(last) = self.last(id) else { return };
        let detail = Some("its container was removed".to_owned());
        self.set(id, Observation { state: ServiceState::Exited, detail, restarts: last.restarts });
    }

    fn set(&self, id: &str, observation: Observation) {
        let Some(name) = self.names.get(id) else { return };
        let Some(service) = self.states.borrow().get(name).cloned() else { return };
        let Observation { state, detail, restarts } = observation;
        let service = Service { state, detail, restarts, ..service };
        self.record(service.clone());
        self.states.send_modify(|all| drop(all.insert(name.clone(), service)));
    }

    fn record(&self, service: Service) {
        self.outlet.record(Event::ServiceChanged { job: self.job.clone(), service });
    }
}

/// Running services of one job.
pub struct Services {
    host: Arc<dyn ServiceHost>,
    started: Vec<StartedService>,
    board: Arc<Board>,
    watcher: JoinHandle<()>,
}

impl Services {
    /// Starts all services in parallel, records their states, and watches them in a new task.
    ///
    /// # Errors
    /// A service cannot be started. The provider must then remove the services that did start; it finds them by their
    /// job.
    pub async fn start(
        host: Arc<dyn ServiceHost>,
        job: &JobId,
        outlet: &Arc<dyn Outlet>,
        services: &[ContainerSpec],
    ) -> Result<Self, ProviderError> {
        let started = join_all(services.iter().map(|service| host.start(service))).await;
        let started = started.into_iter().collect::<Result<Vec<_>, _>>()?;
        let first = services.iter().zip(&started).map(|(spec, one)| {
            let Observation { state, detail, restarts } = one.observation.clone();
            let (name, image, ports) = (spec.name.clone(), spec.image.clone(), one.ports.clone());
            (spec.name.clone(), Service { name, image, state, ports, detail, restarts })
        });
        let board = Arc::new(Board {
            job: job.clone(),
            outlet: Arc::clone(outlet),
            names: started.iter().zip(services).map(|(one, spec)| (one.id.clone(), spec.name.clone())).collect(),
            states: watch::Sender::new(first.collect()),
        });
        for service in board.states.borrow().values() {
            board.record(service.clone());
        }
        let watcher = tokio::spawn({
            let (host, board) = (Arc::clone(&host), Arc::clone(&board));
            async move { host.watch(&board).await }
        });
        Ok(Self { host, started, board, watcher })
    }

    /// Waits until no service is starting. `say` gets the last log lines of services that are unhealthy or have ended.
    ///
    /// # Errors
    /// A service is unhealthy, a service with a health check has ended, or the state of a service cannot be read.
    pub async fn ready(&self, say: &mut (dyn FnMut(&str) + Send)) -> Result<(), ProviderError> {
        let mut states = self.board.states.subscribe();
        let mut round = 0;
        while states.borrow_and_update().values().any(|service| service.state == ServiceState::Starting) {
            // The watcher usually reports first; polling covers events that it misses.
            tokio::select! {
                changed = states.changed() => if changed.is_err() { break },
                () = sleep(poll_pause(round)) => {
                    round += 1;
                    self.poll().await?;
                }
            }
        }
        let mut failed = Vec::new();
        for one in &self.started {
            let Some(service) = self.state_of(one) else { continue };
            let reason = match service.state {
                ServiceState::Unhealthy => "is unhealthy",
                ServiceState::Exited => "has ended",
                _ => continue,
            };
            let detail = service.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            let text = format!("service `{}` ({}) {reason}{detail}", service.name, service.image);
            let lines = self.host.last_lines(&one.id, LAST_LINES).await.unwrap_or_default();
            say(&group(&format!("{text}: last lines of its log"), &lines));
            let last = lines.last().map_or("(empty)", String::as_str);
            // As on GitHub, a service without a health check may simply have finished its work.
            if one.has_health_check || service.state == ServiceState::Unhealthy {
                failed.push(format!("{text}; its log ends: {last}"));
            } else {
                say(&format!("##[warning]{text}; its log ends: {last}"));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(ProviderError::Failed(failed.join("; "))) }
    }

    async fn poll(&self) -> Result<(), ProviderError> {
        for one in &self.started {
            match self.host.inspect(&one.id).await {
                Ok(observation) => self.board.report(&one.id, observation),
                Err(error) => {
                    let name = self.board.names.get(&one.id).map_or("", String::as_str);
                    return Err(ProviderError::Failed(format!("service `{name}` is gone: {error}")));
                }
            }
        }
        Ok(())
    }

    fn state_of(&self, started: &StartedService) -> Option<Service> {
        self.board.states.borrow().get(self.board.names.get(&started.id)?).cloned()
    }

    /// Returns each service with the provider's id of its container.
    pub fn iter(&self) -> impl Iterator<Item = (Service, &str)> {
        self.started.iter().filter_map(|one| Some((self.state_of(one)?, one.id.as_str())))
    }

    /// Describes the services that are unhealthy or have ended, for a job that failed.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let states = self.board.states.borrow();
        let bad = states.values().filter(|service| service.state.is_bad());
        bad.map(|service| {
            let detail = service.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            format!("service `{}` {}{detail}", service.name, service.state.word())
        })
        .collect()
    }

    /// Stops watching, removes all services in parallel, and records those that were still running as stopped. `say`
    /// gets the log of each service as a group, because the container and its own log are removed.
    pub async fn stop(self, say: &mut (dyn FnMut(&str) + Send)) {
        self.watcher.abort();
        // One log at a time, as each may have megabytes.
        for one in &self.started {
            let Some(service) = self.state_of(one) else { continue };
            // Without an answer there is no log to keep, and the removal below reports why.
            let Ok(lines) = self.host.last_lines(&one.id, KEPT_LINES).await else { continue };
            say(&group(&log_title(&service.name), &lines));
        }
        // A service that cannot be removed now is removed when the machine stops.
        join_all(self.started.iter().map(|one| self.host.remove(&one.id))).await;
        let last = self.board.states.borrow().clone();
        for service in last.into_values().filter(|service| service.state != ServiceState::Exited) {
            self.board.record(Service { state: ServiceState::Stopped, ..service });
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// Returns lines of a service's log as a group of the job's log. A runner command at the start of a line is indented, so
/// that the service can neither end the group nor start another one.
fn group(title: &str, lines: &[String]) -> String {
    let mut text = format!("##[group]{title}\n");
    for line in lines {
        let is_command =
            line.starts_with("##[") || line.strip_prefix("::").is_some_and(|command| command.contains("::"));
        text.push_str(if is_command { " " } else { "" });
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("##[endgroup]");
    text
}

/// Returns the pause before the states are polled again, as in GitHub's runner: 2 s, then twice as long each time, up
/// to 32 s.
fn poll_pause(round: u32) -> Duration {
    let factor = f64::from(2_u32.saturating_pow(round.min(8)) - 1);
    Duration::from_secs_f64(factor.mul_add(2.0, 2.0).min(32.0))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;

    use super::*;
    use crate::engine::testing::MemoryOutlet;

    #[test]
    fn a_service_cannot_leave_its_group() {
        let lines = ["up", "##[endgroup]", "##[group]Log of service `db`", "::endgroup::", "::1 - GET /", ""];
        let text = group("Log of service `web`", &lines.map(str::to_owned));
        let expected = [
            "##[group]Log of service `web`",
            "up",
            " ##[endgroup]",
            " ##[group]Log of service `db`",
            " ::endgroup::",
            "::1 - GET /",
            "",
            "##[endgroup]",
        ];
        assert_eq!(text.split('\n').collect::<Vec<_>>(), expected);
    }

    /// A host whose services have printed many lines.
    struct Talkative;

    impl ServiceHost for Talkative {
        fn start<'a>(&'a self, service: &'a ContainerSpec) -> BoxFuture<'a, Result<StartedService, ProviderError>> {
            let observation = Observation { state: ServiceState::Running, detail: None, restarts: 0 };
            let (id, ports) = (service.name.clone(), IndexMap::new());
            ready(Ok(StartedService { id, ports, has_health_check: false, observation })).boxed()
        }

        fn inspect<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Observation, ProviderError>> {
            ready(Err(ProviderError::NotFound(id.to_owned()))).boxed()
        }

        fn last_lines<'a>(&'a self, id: &'a str, lines: usize) -> BoxFuture<'a, Result<Vec<String>, ProviderError>> {
            ready(Ok((0..lines).map(|number| format!("{id} {number}")).collect())).boxed()
        }

        fn remove<'a>(&'a self, _id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
            ready(Ok(())).boxed()
        }

        fn watch<'a>(&'a self, _board: &'a Board) -> BoxFuture<'a, ()> {
            pending().boxed()
        }
    }

    #[tokio::test]
    async fn the_log_of_a_service_is_kept_at_once_and_not_line_by_line() {
        let outlet: Arc<dyn Outlet> = Arc::new(MemoryOutlet::default());
        let specs = ["db", "web"].map(|name| ContainerSpec { name: name.to_owned(), ..ContainerSpec::default() });
        let services = Services::start(Arc::new(Talkative), &JobId::new("a"), &outlet, &specs).await.expect("started");
        let mut said = Vec::new();
        services.stop(&mut |text| said.push(text.to_owned())).await;
        let counts: Vec<_> = said.iter().map(|text| text.lines().count()).collect();
        assert_eq!(counts, [KEPT_LINES + 2, KEPT_LINES + 2]);
        assert!(said[1].starts_with("##[group]Log of service `web`\nweb 0\n"), "{}", &said[1][..60]);
    }

    #[test]
    fn the_pause_matches_the_runner() {
        let seconds: Vec<_> = (0..6).map(|round| poll_pause(round).as_secs()).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 32]);
    }
}
