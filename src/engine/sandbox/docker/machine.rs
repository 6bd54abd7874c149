//! The machine of a job: its container if its steps run in one, its services, and its Docker actions.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};
use tokio::sync::OnceCell;

use super::body;
use super::client::{DockerClient, DockerError, NAME};
use super::connection::Connection;
use super::container::{JobContainer, Setup};
use super::labels::Labels;
use super::one_shot::OneShot;
use super::services::{Reach, ServiceContainers};
use super::{forward, snapshots};
use crate::engine::sandbox::Sandbox;
use crate::engine::sandbox::container::ContainerSpec;
use crate::engine::sandbox::network::Network;
use crate::engine::sandbox::provider::{
    Attachments, Base, Containers, HoldingKind, ImageBuild, Machine, MachineSpec, ProviderError, Say,
};
use crate::engine::sandbox::shared::{SharedFolder, pinned};
use crate::engine::services::Services;
use crate::engine::services::forward::routes;

/// How long Docker may take to create a container after the call was interrupted.
const INTERRUPTED_CREATE_TIMEOUT: Duration = Duration::from_millis(500);

/// Path of Docker's socket in containers.
const SOCKET: &str = "/var/run/docker.sock";

/// The machine of a job in Docker. For a job on this machine, it only runs the services and Docker actions.
pub(super) struct DockerMachine {
    connection: Arc<Connection>,
    spec: MachineSpec,
    labels: Labels,
    /// Set by the first call to Docker for the job.
    client: OnceCell<DockerClient>,
    /// Set once the engine no longer responds.
    lost: OnceCell<DockerError>,
    network: Option<String>,
    container: Option<Arc<JobContainer>>,
    services: Option<Services>,
}

impl DockerMachine {
    pub(super) fn new(connection: Arc<Connection>, spec: MachineSpec) -> Self {
        let labels = Labels::new(spec.run.state(), spec.run.id().as_str(), spec.job.as_str());
        let (client, lost) = (OnceCell::new(), OnceCell::new());
        Self { connection, spec, labels, client, lost, network: None, container: None, services: None }
    }

    async fn client(&self) -> Result<&DockerClient, ProviderError> {
        self.client.get_or_try_init(|| self.connection.of_run(&self.spec.run)).await
    }

    async fn start(&mut self, say: &mut Say<'_>) -> Result<(), ProviderError> {
        let client = self.client().await?.clone();
        tokio::select! {
            started = self.start_at(client.clone(), say) => started,
            error = client.lost() => Err(error.into()),
        }
    }

    async fn start_at(&mut self, client: DockerClient, say: &mut Say<'_>) -> Result<(), ProviderError> {
        let network = self.labels.name();
        client.create_network(&network, &self.labels).await?;
        say(&format!("Network {network}"));
        self.network = Some(network.clone());
        for container in self.spec.container.iter().chain(&self.spec.services) {
            for volume in body::volumes(container, &self.labels)? {
                client.create_volume(&volume, &self.labels).await?;
            }
            say(&format!("{}: {}", container.name, container.image));
        }
        let (routes, reached) = routes(&self.spec.services);
        let reach = match self.spec.base {
            Base::Machine => Reach::Machine,
            Base::Image(_) => Reach::Localhost(reached),
            Base::Container => Reach::Name,
        };
        let host = Arc::new(ServiceContainers::new(client.clone(), self.labels.clone(), network.clone(), reach));
        let services = Services::start(host, &self.spec.job, &self.spec.outlet, &self.spec.services);
        let container = async {
            match &self.spec.container {
                Some(container) => {
                    JobContainer::start(&client, self.setup(&client, container, &network)).await.map(Some)
                }
                None => Ok(None),
            }
        };
        let (services, container) = tokio::join!(services, container);
        // Both are stored before returning any error, so that `stop` removes them.
        let (services, failure) = match services {
            Ok(services) => (Some(services), None),
            Err(error) => (None, Some(error)),
        };
        self.services = services;
        if let Some(container) = container? {
            say(&container.way_in());
            if self.spec.socket && client.socket().is_some() {
                say("Docker's socket is mounted: a step can do everything on this machine (`docker.socket`).");
            }
            self.container = Some(Arc::new(container));
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if let (Some(container), Base::Image(image)) = (&self.container, &self.spec.base)
            && !routes.is_empty()
        {
            if client.socket().is_none() {
                say("Services can only be reached by name: `localhost` does not lead to an engine on another machine.");
            } else {
                forward::start(&client, &self.labels.of("forward"), image, container.id(), &routes).await?;
            }
        }
        match &self.services {
            Some(services) => services.ready(say).await,
            None => Ok(()),
        }
    }

    fn setup<'s>(&self, client: &DockerClient, container: &'s ContainerSpec, network: &'s str) -> Setup<'s> {
        let mut shared = self.spec.shared.clone();
        if client.socket().is_some() {
            shared.extend(self.spec.tools.iter().cloned());
        }
        let socket = client.socket().filter(|_| self.spec.socket);
        shared.extend(socket.map(|socket| SharedFolder::writable(socket, SOCKET)));
        Setup {
            container,
            labels: self.labels.of("job"),
            network: Some(network),
            shared: pinned(shared),
            workspace: self.spec.workspace.clone(),
            control: self.spec.control.clone(),
            supervised: self.spec.supervised,
            // As on GitHub, an image in place of the machine has bash. Any other image may only have `sh`.
            shells: if self.spec.base == Base::Container { &["sh"] } else { &["bash", "sh"] },
        }
    }

    async fn build_image(&self, build: &ImageBuild<'_>, say: &mut Say<'_>) -> Result<(), ProviderError> {
        let labels = Labels::kept(self.spec.run.state());
        let client = self.client().await?;
        tokio::select! {
            built = client.build(build, labels.all(), say) => Ok(built?),
            error = client.lost() => Err(error.into()),
        }
    }

    async fn one_shot(&self, image: &str, mut shared: Vec<SharedFolder>) -> Result<OneShot, ProviderError> {
        let client = self.client().await?;
        let Some(socket) = client.socket() else {
            return Err(ProviderError::Refused(format!(
                "Docker actions need an engine on this machine, but {} is another machine",
                client.address()
            )));
        };
        if self.spec.socket {
            shared.push(SharedFolder::writable(socket, SOCKET));
        }
        let found = client.ensure_image(image, None, &|_| ()).await?;
        Ok(OneShot::new(client, &found, image, self.labels.of("action"), self.network.clone(), pinned(shared)))
    }

    async fn snapshot(&self) -> Result<(), ProviderError> {
        let (Some(container), Some(client)) = (&self.container, self.client.get()) else { return Ok(()) };
        let keep = self.spec.max_snapshots;
        if keep == 0 || self.lost.get().is_some() {
            return Ok(());
        }
        client.answers().await?;
        let tag = snapshots::tag(self.spec.run.id().as_str(), self.spec.job.as_str());
        client.commit(container.id(), snapshots::REPOSITORY, &tag).await?;
        Ok(client.prune_snapshots(self.spec.run.state(), keep).await?)
    }

    async fn stop(&mut self, settled: bool, say: &mut Say<'_>) -> Result<(), ProviderError> {
        let Some(client) = self.client.get().cloned() else { return Ok(()) };
        // Checks first whether the engine answers: otherwise the calls below would wait much longer.
        match self.lost.get() {
            Some(error) if client.ping().await.is_err() => return Err(error.clone().into()),
            Some(_) => {}
            None => client.answers().await?,
        }
        tokio::select! {
            stopped = self.stop_at(client.clone(), settled, say) => stopped,
            error = client.lost() => Err(error.into()),
        }
    }

    async fn stop_at(&mut self, client: DockerClient, settled: bool, say: &mut Say<'_>) -> Result<(), ProviderError> {
        if let Some(services) = self.services.take() {
            services.stop(say).await;
        }
        if let Some(container) = self.container.as_ref().filter(|_| self.spec.return_files) {
            container.return_files().await;
        }
        let (state, run) = (self.spec.run.state(), self.spec.run.id().as_str());
        let remove = async || {
            let mut found = client.owned(state, Some(run), Some(self.spec.job.as_str())).await?;
            found.retain(|one| one.kind != HoldingKind::Image);
            client.remove_all(&found).await.map(|()| found)
        };
        let mut removed = remove().await?;
        // A call that was interrupted may still create a container.
        if !settled {
            tokio::time::sleep(INTERRUPTED_CREATE_TIMEOUT).await;
        }
        removed.extend(remove().await?);
        self.network = None;
        for one in &removed {
            say(&format!("Removed the {} {}", one.kind.word(), one.name));
        }
        Ok(())
    }
}

impl Machine for DockerMachine {
    fn describe(&self) -> String {
        self.spec.container.as_ref().map_or_else(|| NAME.to_owned(), |container| format!("{NAME} {}", container.image))
    }

    fn sandbox(&self) -> Option<Arc<dyn Sandbox>> {
        self.container.clone().map(|container| container as Arc<dyn Sandbox>)
    }

    fn start<'a>(&'a mut self, say: &'a mut Say<'_>) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.start(say).boxed()
    }

    fn build_image<'a>(
        &'a self,
        build: &'a ImageBuild<'a>,
        say: &'a mut Say<'_>,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.build_image(build, say).boxed()
    }

    fn one_shot<'a>(
        &'a self,
        image: &'a str,
        shared: Vec<SharedFolder>,
    ) -> BoxFuture<'a, Result<Arc<dyn Sandbox>, ProviderError>> {
        async move { Ok(Arc::new(self.one_shot(image, shared).await?) as Arc<dyn Sandbox>) }.boxed()
    }

    fn attachments(&self) -> Attachments {
        Attachments {
            network: self.network.clone(),
            container: self.container.as_ref().map(|container| container.id().to_owned()),
            services: self
                .services
                .iter()
                .flat_map(Services::iter)
                .map(|(service, id)| (service, id.to_owned()))
                .collect(),
        }
    }

    fn network(&self, of: Containers) -> BoxFuture<'_, Result<Option<Network>, ProviderError>> {
        async move {
            let client = self.client().await?;
            if client.socket().is_none() {
                return Ok(None);
            }
            // Without a network of the job, its Docker actions are in Docker's default network.
            let own = self.network.as_deref().filter(|_| of == Containers::OfJob);
            Ok(client.network(own.unwrap_or("bridge")).await?)
        }
        .boxed()
    }

    fn lost(&self) -> BoxFuture<'_, ProviderError> {
        let Some(client) = self.client.get().filter(|_| self.network.is_some()) else { return pending().boxed() };
        async { self.lost.get_or_init(|| client.lost()).await.clone().into() }.boxed()
    }

    fn container_end(&self) -> BoxFuture<'_, ProviderError> {
        match (self.client.get(), &self.container) {
            (Some(client), Some(container)) => client.container_end(container.id()).boxed(),
            _ => pending().boxed(),
        }
    }

    fn troubles(&self) -> Vec<String> {
        self.services.as_ref().map(Services::troubles).unwrap_or_default()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<(), ProviderError>> {
        self.snapshot().boxed()
    }

    fn stop<'a>(&'a mut self, settled: bool, say: &'a mut Say<'_>) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.stop(settled, say).boxed()
    }
}
