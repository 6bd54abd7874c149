//! Replicas: containers without a published port, in the network of the router.

use std::collections::HashMap;
use std::ffi::OsString;

use bollard::models::{ContainerCreateBody, ContainerSummary, HostConfig};
use bollard::query_parameters::ListContainersOptions;

use super::error::DockerFault;
use super::names::{self, Names};
use super::{config, router, status};
use crate::engine::sandbox::docker::client::{DockerClient, DockerError};
use crate::model::RunId;
use crate::model::deployment::{DockerSettings, Slot};
use crate::model::environment::Release;

/// A replica, running or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Replica {
    /// Id of the container.
    pub(super) id: String,
    /// Name of the container.
    pub(super) name: String,
    /// Slot.
    pub(super) slot: Slot,
    /// Number in the slot, from 1.
    pub(super) number: u32,
    /// Commit.
    pub(super) sha: String,
    /// Id of the deployment that started it; empty if its label is missing.
    pub(super) deployment: String,
    /// Id of the image.
    pub(super) image: String,
    /// Address in the network of the router. `None` if it has no address there, for example before it runs.
    pub(super) address: Option<String>,
    /// State in the words of `docker ps`: `Up 3 seconds (healthy)`.
    pub(super) status: String,
    /// How often the engine has started it again after an end; 0 if it has run for a minute since. [`list`] does not ask for
    /// it.
    pub(super) restarts: u32,
}

impl Replica {
    /// Whether the process of the replica runs.
    pub(super) fn is_running(&self) -> bool {
        status::is_running(&self.status)
    }

    /// Whether the process of the replica runs, and Docker's health check succeeds if the image has one.
    pub(super) fn is_well(&self) -> bool {
        status::is_well(&self.status)
    }

    /// Whether the engine starts the replica again and again, so that it serves only between two ends.
    pub(super) fn is_looping(&self) -> bool {
        status::is_looping(&self.status, self.restarts)
    }

    /// Whether the health check of the image has no result yet.
    pub(super) fn is_starting(&self) -> bool {
        status::is_starting(&self.status)
    }

    /// Returns the container, for evidence of a failure.
    pub(super) fn suspect(&self) -> status::Suspect<'_> {
        status::Suspect { id: &self.id, name: &self.name, status: &self.status }
    }

    /// Returns the name of the replica's place at the router.
    pub(super) fn place(&self) -> String {
        config::place(self.slot, self.number)
    }
}

/// Lists the replicas of the environment, by slot and number.
pub(super) async fn list(client: &DockerClient, names: &Names) -> Result<Vec<Replica>, DockerFault> {
    let options =
        ListContainersOptions { all: true, filters: Some(names.replica_filters()), ..ListContainersOptions::default() };
    let found = client.api().list_containers(Some(options)).await;
    let found = found.map_err(|error| DockerError::of("cannot list the replicas", error))?;
    let mut replicas: Vec<Replica> = found.into_iter().filter_map(|one| replica(one, &names.network())).collect();
    replicas.sort_by_key(|replica| (replica.slot == Slot::Green, replica.number));
    Ok(replicas)
}

/// Reads a replica from the labels of its container. `None` if a label is missing or invalid.
fn replica(found: ContainerSummary, network: &str) -> Option<Replica> {
    let labels = found.labels.unwrap_or_default();
    let label = |name: &str| labels.get(name).map(String::as_str);
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let address = networks.get(network).and_then(|endpoint| endpoint.ip_address.clone());
    Some(Replica {
        slot: label(names::SLOT).and_then(Slot::named)?,
        number: label(names::NUMBER)?.parse().ok()?,
        sha: label(names::SHA)?.to_owned(),
        deployment: label(names::DEPLOYMENT).unwrap_or_default().to_owned(),
        name: found.names.iter().flatten().next()?.trim_start_matches('/').to_owned(),
        id: found.id?,
        image: found.image_id.unwrap_or_default(),
        address: address.filter(|address| !address.is_empty()),
        status: found.status.unwrap_or_default(),
        restarts: 0,
    })
}

/// Parameters for starting replicas of a slot.
pub(super) struct Start<'s> {
    pub(super) names: &'s Names,
    pub(super) slot: Slot,
    pub(super) release: &'s Release,
    pub(super) deployment: &'s RunId,
    /// Name of the image, or its id if replicas of the release already run.
    pub(super) image: String,
    /// Variables of the containers.
    pub(super) variables: Vec<String>,
}

impl Start<'_> {
    /// Starts a replica. An existing replica of the same name is replaced.
    pub(super) async fn replica(&self, client: &DockerClient, number: u32) -> Result<(), DockerFault> {
        let name = self.names.replica(self.slot, number);
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            env: Some(self.variables.clone()),
            labels: Some(self.names.replica_labels(self.slot, number, self.release, self.deployment)),
            host_config: Some(HostConfig {
                network_mode: Some(self.names.network()),
                restart_policy: Some(router::unless_stopped()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        while !router::create(client, &name, body.clone()).await? {
            match client.inspect(&name).await {
                Err(DockerError::Missing { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(found) => {
                    let labels: HashMap<_, _> = found.config.and_then(|config| config.labels).unwrap_or_default();
                    if !self.names.is_replica(&labels) {
                        return Err(DockerFault::NameTaken(name));
                    }
                    client.remove(&name).await?;
                }
            }
        }
        let started = client.api().start_container(&name, None).await;
        started.map_err(|error| DockerError::of(format!("cannot start {name} of {}", self.image), error))?;
        Ok(())
    }
}

/// Returns the environment variables of the replicas' containers, as `NAME=value`. A variable without a value in the
/// settings gets it from `environment`; it is an error if it is not set there.
pub(super) fn variables(
    settings: &DockerSettings,
    environment: &[(OsString, OsString)],
) -> Result<Vec<String>, DockerFault> {
    let of = |line: &String| {
        if line.contains('=') {
            return Ok(line.clone());
        }
        let value = environment.iter().find(|(name, _)| name == line.as_str()).and_then(|(_, value)| value.to_str());
        value.map(|value| format!("{line}={value}")).ok_or_else(|| DockerFault::Variable(line.clone()))
    };
    settings.variables.iter().map(of).collect()
}

/// Stops a replica and removes it. The image determines the signal and the time limit; the defaults are SIGTERM and 10
/// seconds.
pub(super) async fn stop(client: &DockerClient, replica: &Replica) -> Result<(), DockerFault> {
    client.stop(&replica.id, &replica.name).await?;
    Ok(client.remove(&replica.id).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::testing::docker;

    #[test]
    fn variables_without_a_value_are_those_of_the_deployment() {
        let settings = DockerSettings { variables: vec!["A=1=2".to_owned(), "B".to_owned()], ..docker(1) };
        let environment = [(OsString::from("B"), OsString::from("secret"))];
        assert_eq!(variables(&settings, &environment).expect("both"), ["A=1=2", "B=secret"]);
        let error = variables(&settings, &[]).expect_err("B is missing").to_string();
        assert!(error.starts_with("the variable B of target.env is not set here"), "{error}");
    }
}
