//! Names and labels of the containers of an environment. Replicas are found and described by their labels alone.

use std::collections::HashMap;

use crate::model::RunId;
use crate::model::deployment::{DockerSettings, Slot};
use crate::model::environment::Release;

/// Label with the name of the service.
pub(super) const SERVICE: &str = "dev.cuelight.service";
/// Label with the name of the environment.
pub(in crate::rollout::target) const ENVIRONMENT: &str = "dev.cuelight.environment";
/// Label with what a container is: [`REPLICA`] or [`ROUTER`].
const ROLE: &str = "dev.cuelight.role";
/// Label with the slot of a replica.
pub(in crate::rollout::target) const SLOT: &str = "dev.cuelight.slot";
/// Label with the number of a replica in its slot, from 1.
pub(super) const NUMBER: &str = "dev.cuelight.replica";
/// Label with the commit of a replica.
pub(in crate::rollout::target) const SHA: &str = "dev.cuelight.sha";
/// Label with the name of the release of a replica.
pub(in crate::rollout::target) const RELEASE: &str = "dev.cuelight.release";
/// Label with the id of the deployment that started a replica.
pub(in crate::rollout::target) const DEPLOYMENT: &str = "dev.cuelight.deployment";

/// Role of replicas.
const REPLICA: &str = "replica";
/// Role of the router.
const ROUTER: &str = "router";

/// Names of the containers of an environment.
#[derive(Clone, Debug)]
pub(super) struct Names {
    service: String,
    environment: String,
    network: Option<String>,
}

impl Names {
    pub(super) fn new(settings: &DockerSettings, environment: &str) -> Self {
        Self {
            service: settings.service.clone(),
            environment: environment.to_owned(),
            network: settings.network.clone(),
        }
    }

    /// Returns the beginning of all names: `shop-production`. It is in lower case, because Docker's resolver finds no
    /// other names.
    fn prefix(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c.to_ascii_lowercase() } else { '-' };
        format!("{}-{}", self.service, self.environment).chars().map(plain).collect()
    }

    /// Returns the name of the network.
    pub(super) fn network(&self) -> String {
        self.network.clone().unwrap_or_else(|| self.prefix())
    }

    /// Returns the name of the router's container.
    pub(super) fn router(&self) -> String {
        format!("{}-router", self.prefix())
    }

    /// Returns the name of a replica's container, by which the router finds it.
    pub(super) fn replica(&self, slot: Slot, number: u32) -> String {
        format!("{}-{slot}-{number}", self.prefix())
    }

    fn labels(&self, role: &str) -> HashMap<String, String> {
        let pairs = [(SERVICE, self.service.as_str()), (ENVIRONMENT, &self.environment), (ROLE, role)];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Returns the labels of the router.
    pub(super) fn router_labels(&self) -> HashMap<String, String> {
        self.labels(ROUTER)
    }

    /// Returns the labels of a replica.
    pub(super) fn replica_labels(
        &self,
        slot: Slot,
        number: u32,
        release: &Release,
        deployment: &RunId,
    ) -> HashMap<String, String> {
        let own = [
            (SLOT, slot.name().to_owned()),
            (NUMBER, number.to_string()),
            (SHA, release.sha.clone()),
            (RELEASE, release.name().to_owned()),
            (DEPLOYMENT, deployment.to_string()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        self.labels(REPLICA).into_iter().chain(own).collect()
    }

    /// Returns filters for the replicas of the environment.
    pub(super) fn replica_filters(&self) -> HashMap<String, Vec<String>> {
        let labels = self.labels(REPLICA).into_iter().map(|(name, value)| format!("{name}={value}"));
        [("label".to_owned(), labels.collect())].into()
    }

    /// Returns labels of the replicas and of the router, each as `name=value`.
    pub(super) fn common_labels(&self) -> Vec<String> {
        vec![format!("{SERVICE}={}", self.service), format!("{ENVIRONMENT}={}", self.environment)]
    }

    /// Whether these are the labels of the environment's router.
    pub(super) fn is_router(&self, labels: &HashMap<String, String>) -> bool {
        self.has_role(ROUTER, labels)
    }

    /// Whether these are the labels of a replica of the environment.
    pub(super) fn is_replica(&self, labels: &HashMap<String, String>) -> bool {
        self.has_role(REPLICA, labels)
    }

    fn has_role(&self, role: &str, labels: &HashMap<String, String>) -> bool {
        self.labels(role).iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}
