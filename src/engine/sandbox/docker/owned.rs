//! Finds the Docker resources of a run by their labels, and removes them.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::{
    ListContainersOptions, ListImagesOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveImageOptionsBuilder, RemoveVolumeOptionsBuilder,
};

use super::client::{DockerClient, DockerError, NAME};
use super::labels::{JOB, RUN, STATE, state_digest};
use super::states;
use crate::engine::sandbox::provider::{Holding, HoldingKind};

/// How long to wait for a container to leave its network while it is being removed, and the interval between two
/// attempts.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(10);
const NETWORK_POLL: Duration = Duration::from_millis(100);

impl DockerClient {
    /// Lists the resources of a state folder, of one of its runs, or of one job of that run, containers first.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn owned(&self, state: &Path, run: Option<&str>, job: Option<&str>) -> Result<Vec<Holding>, DockerError> {
        let mut labels = vec![format!("{STATE}={}", state_digest(state))];
        labels.extend(run.map(|run| format!("{RUN}={run}")));
        labels.extend(job.map(|job| format!("{JOB}={job}")));
        self.labelled(labels).await
    }

    /// Lists the resources that have all these labels, each as `NAME=VALUE`, containers first.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn labelled(&self, labels: Vec<String>) -> Result<Vec<Holding>, DockerError> {
        let filters: HashMap<String, Vec<String>> = [("label".to_owned(), labels)].into();
        let failed = |what: &str| {
            let doing = format!("cannot list {what}");
            move |error| DockerError::of(doing, error)
        };
        let run_of = |labels: Option<&HashMap<String, String>>| {
            labels.and_then(|labels| labels.get(RUN)).cloned().unwrap_or_default()
        };
        let holding = |kind, id: String, name: String, run: String| Holding { provider: NAME, kind, id, name, run };
        let mut found = Vec::new();
        let options =
            ListContainersOptions { all: true, filters: Some(filters.clone()), ..ListContainersOptions::default() };
        let containers = states::read_again(self.api.list_containers(Some(options)).await);
        for container in containers.map_err(failed("containers"))? {
            let name = container.names.iter().flatten().next().map(|name| name.trim_start_matches('/').to_owned());
            let (id, run) = (container.id.unwrap_or_default(), run_of(container.labels.as_ref()));
            let name = name.unwrap_or_else(|| id.clone());
            found.push(holding(HoldingKind::Container, id, name, run));
        }
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        for network in self.api.list_networks(Some(options)).await.map_err(failed("networks"))? {
            let (name, run) = (network.name.unwrap_or_default(), run_of(network.labels.as_ref()));
            found.push(holding(HoldingKind::Network, network.id.unwrap_or_else(|| name.clone()), name, run));
        }
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let volumes = self.api.list_volumes(Some(options)).await.map_err(failed("volumes"))?.volumes;
        for volume in volumes.unwrap_or_default() {
            let run = run_of(Some(&volume.labels));
            found.push(holding(HoldingKind::Volume, volume.name.clone(), volume.name, run));
        }
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        for image in self.api.list_images(Some(options)).await.map_err(failed("images"))? {
            // An image that lost its tag is listed with this placeholder, or without any tag.
            let name = image.repo_tags.into_iter().find(|tag| tag != "<none>:<none>").unwrap_or(image.id);
            found.push(holding(HoldingKind::Image, name.clone(), name, run_of(Some(&image.labels))));
        }
        Ok(found)
    }

    /// Removes resources, running or not. Resources that no longer exist are not an error.
    ///
    /// # Errors
    /// The first resource that could not be removed, after trying all others.
    pub async fn remove_all(&self, found: &[Holding]) -> Result<(), DockerError> {
        // podman refuses to remove a resource that another one depends on, so this repeats as long as there is
        // progress.
        let mut left: Vec<&Holding> = found.iter().collect();
        loop {
            let (mut stay, mut first) = (Vec::new(), None);
            for thing in &left {
                if let Err(error) = self.remove_one(thing).await {
                    stay.push(*thing);
                    first.get_or_insert(error);
                }
            }
            match first {
                None => return Ok(()),
                Some(error) if stay.len() == left.len() => return Err(error),
                Some(_) => left = stay,
            }
        }
    }

    async fn remove_one(&self, thing: &Holding) -> Result<(), DockerError> {
        let doing = || format!("cannot remove the {} {}", thing.kind.word(), thing.name);
        match thing.kind {
            HoldingKind::Container => self.remove(&thing.id).await,
            HoldingKind::Network => self.remove_network(thing).await,
            HoldingKind::Volume => {
                let options = RemoveVolumeOptionsBuilder::default().force(true).build();
                gone(self.api.remove_volume(&thing.id, Some(options)).await, doing)
            }
            HoldingKind::Image => {
                let options = RemoveImageOptionsBuilder::default().force(true).build();
                gone(self.api.remove_image(&thing.id, Some(options), None).await.map(drop), doing)
            }
        }
    }

    /// Removes a network once the last container has left it: Docker refuses while a container is being removed.
    async fn remove_network(&self, network: &Holding) -> Result<(), DockerError> {
        let mut left = NETWORK_TIMEOUT;
        loop {
            let doing = || format!("cannot remove the network {}", network.name);
            match gone(self.api.remove_network(&network.id).await, doing) {
                Err(_) if left > Duration::ZERO => {
                    tokio::time::sleep(NETWORK_POLL).await;
                    left = left.saturating_sub(NETWORK_POLL);
                }
                done => return done,
            }
        }
    }
}

fn gone(removed: Result<(), bollard::errors::Error>, doing: impl Fn() -> String) -> Result<(), DockerError> {
    match removed {
        Ok(()) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        Err(error) => Err(DockerError::of(doing(), error)),
    }
}
