//! Settings of the target of an environment: where its replicas run, and how.

use std::fmt;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};

use crate::model::environment::Release;

/// Where the replicas of an environment run, and how.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TargetSettings {
    /// Containers behind a router.
    Docker(DockerSettings),
    /// A service of a Compose file.
    Compose(ComposeSettings),
    /// A workload of a Kubernetes cluster.
    Kubernetes(KubernetesSettings),
    /// Commands of the user.
    Script(ScriptSettings),
}

impl TargetSettings {
    /// Returns the number of replicas; `None` to keep the current number.
    #[must_use]
    pub fn replicas(&self) -> Option<u32> {
        match self {
            Self::Docker(docker) => Some(docker.replicas),
            Self::Compose(compose) => compose.replicas,
            Self::Kubernetes(kubernetes) => kubernetes.replicas,
            Self::Script(script) => Some(script.replicas),
        }
    }

    /// Returns the number of releases whose images are kept; `None` to keep all, and for a target that fetches no images
    /// itself.
    #[must_use]
    pub fn keep_images(&self) -> Option<u32> {
        match self {
            Self::Docker(docker) => docker.keep_images,
            Self::Compose(compose) => compose.keep_images,
            Self::Kubernetes(_) | Self::Script(_) => None,
        }
    }

    /// Returns the addresses of the engines, one for each host. Empty if the target has no hosts.
    #[must_use]
    pub fn hosts(&self) -> &[String] {
        match self {
            Self::Docker(docker) => &docker.hosts,
            Self::Compose(_) | Self::Kubernetes(_) | Self::Script(_) => &[],
        }
    }

    /// Returns the number of hosts that are changed at the same time, once the first one serves the new release.
    #[must_use]
    pub fn hosts_at_once(&self) -> u32 {
        match self {
            Self::Docker(docker) => docker.hosts_at_once,
            Self::Compose(_) | Self::Kubernetes(_) | Self::Script(_) => 1,
        }
    }

    /// Whether the target itself replaces the replicas of one slot by those of the other, in the batches of the
    /// strategy `rolling`. Plans then do not have a step for each batch.
    #[must_use]
    pub fn rolls(&self) -> bool {
        matches!(self, Self::Kubernetes(_))
    }

    /// Whether the target can move shares of the traffic.
    #[must_use]
    pub fn moves_traffic(&self) -> bool {
        self.can(ScriptCommand::Weight)
    }

    /// Whether the target can take traffic away from single replicas.
    #[must_use]
    pub fn drains(&self) -> bool {
        self.can(ScriptCommand::Drain)
    }

    /// Whether the target finds out by itself whether replicas are healthy.
    #[must_use]
    pub fn knows_health(&self) -> bool {
        self.can(ScriptCommand::Healthy)
    }

    /// Whether the target reports what it runs. A script without a `status` command does not.
    #[must_use]
    pub fn reports(&self) -> bool {
        self.can(ScriptCommand::Status)
    }

    /// Describes how the target is asked what it runs: `runs the status command`. `None` for a target that
    /// does not report it.
    #[must_use]
    pub fn asks(&self) -> Option<&'static str> {
        match self {
            Self::Docker(_) => Some("asks the Docker engines of the target"),
            Self::Compose(_) => Some("runs Compose with the files of the target"),
            Self::Kubernetes(_) => Some("asks the cluster of the target"),
            Self::Script(_) => self.reports().then_some("runs the status command of the target"),
        }
    }

    /// Whether the target can do what `command` does. Docker can do everything. In Compose and in a Deployment of
    /// Kubernetes, each replica gets the same share of the traffic. The controller of a Rollout moves shares.
    fn can(&self, command: ScriptCommand) -> bool {
        match self {
            Self::Docker(_) => true,
            Self::Kubernetes(KubernetesSettings { workload: Workload::Rollout(_), .. }) => {
                command != ScriptCommand::Drain
            }
            Self::Compose(_) | Self::Kubernetes(_) => !matches!(command, ScriptCommand::Weight | ScriptCommand::Drain),
            Self::Script(script) => script.command(command).is_some(),
        }
    }
}

/// Containers of a Docker engine, behind a router.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DockerSettings {
    /// Name of the service. The names of all containers start with it and the name of the environment.
    pub service: String,
    /// Image of a release. It can contain the placeholders `{sha}`, `{short_sha}`, `{tag}` and `{release}`.
    pub image: String,
    /// Number of replicas.
    pub replicas: u32,
    /// Port of the service in its containers.
    pub port: u16,
    /// Port of the router on the machine of the engine.
    pub publish: u16,
    /// Network of the containers; `None` for a private one.
    pub network: Option<String>,
    /// Variables of the containers: `NAME=VALUE`, or `NAME` to pass on a variable of the deployment's environment.
    pub variables: Vec<String>,
    /// How long requests in flight may take when a replica is drained.
    pub drain: Duration,
    /// Image of the router.
    pub router: String,
    /// Addresses of the engines, one for each host; empty for the engine that `docker` would use.
    #[serde(default, alias = "host", deserialize_with = "hosts")]
    pub hosts: Vec<String>,
    /// Number of hosts that are changed at the same time, once the first one serves the new release.
    #[serde(default = "one")]
    pub hosts_at_once: u32,
    /// Number of releases whose images are kept, at least 2; `None` to keep all.
    #[serde(default)]
    pub keep_images: Option<u32>,
}

fn one() -> u32 {
    1
}

/// Reads the addresses of engines. Settings that were stored by older versions have one address, or `null`.
fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Hosts(Vec<String>),
        Host(Option<String>),
    }
    Ok(match Stored::deserialize(deserializer)? {
        Stored::Hosts(hosts) => hosts,
        Stored::Host(host) => host.into_iter().collect(),
    })
}

/// A service of a Compose file, whose containers are the replicas.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ComposeSettings {
    /// Name of the service in the Compose file.
    pub service: String,
    /// Image of a release, with the placeholders of [`IMAGE_PLACES`].
    pub image: String,
    /// Compose files, relative to the root of the repository. Empty for those that Compose reads there.
    pub files: Vec<String>,
    /// Name of the project; `None` for the one that Compose chooses.
    pub project: Option<String>,
    /// Number of containers; `None` to keep the current number.
    pub replicas: Option<u32>,
    /// Time limit of each call of Compose.
    pub timeout: Duration,
    /// Number of releases whose images are kept, at least 2; `None` to keep all.
    #[serde(default)]
    pub keep_images: Option<u32>,
}

/// Placeholders in the name of an image.
pub const IMAGE_PLACES: [&str; 4] = ["{sha}", "{short_sha}", "{tag}", "{release}"];

/// The name of an image contains `{tag}`, and the release has no tag.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{release} has no tag, and target.image is `{image}`: deploy a tag, or write {{release}} instead of {{tag}}")]
pub struct NoTag {
    /// The release.
    pub release: String,
    /// The image in the settings.
    pub image: String,
}

/// Returns the image of a release, for a name with placeholders. The image of a release that is known only by its
/// image is that image.
///
/// Characters of the inserted values that are invalid in an image tag become `-`.
///
/// # Errors
/// The name contains `{tag}`, and the release has no tag.
pub fn image_of(name: &str, release: &Release) -> Result<String, NoTag> {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' }).collect()
    };
    if release.is_image() {
        return Ok(release.sha.clone());
    }
    let values = [Some(&*release.sha), Some(release.short()), release.tag.as_deref(), Some(release.name())];
    let mut image = name.to_owned();
    for (place, value) in IMAGE_PLACES.into_iter().zip(values) {
        if image.contains(place) {
            let no_tag = || NoTag { release: release.title(), image: name.to_owned() };
            image = image.replace(place, &plain(value.ok_or_else(no_tag)?));
        }
    }
    Ok(image)
}

/// The object of a cluster that owns the pods of an environment, with its name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// A Deployment.
    Deployment(String),
    /// A Rollout of Argo Rollouts.
    Rollout(String),
}

impl Workload {
    /// Returns the name of the object.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Deployment(name) | Self::Rollout(name) => name,
        }
    }

    /// Returns the kind of the object, as manifests write it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Deployment(_) => "Deployment",
            Self::Rollout(_) => "Rollout",
        }
    }
}

/// Writes the kind and the name: `Deployment web`.
impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

/// A workload of a Kubernetes cluster, whose pods are the replicas.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KubernetesSettings {
    /// The workload.
    #[serde(flatten)]
    pub workload: Workload,
    /// Image of a release, with the placeholders of [`IMAGE_PLACES`].
    pub image: String,
    /// Name of the container that gets the image; `None` for the only one.
    pub container: Option<String>,
    /// Namespace; `None` for the one of the context.
    pub namespace: Option<String>,
    /// Context of the kubeconfig; `None` for the current one.
    pub context: Option<String>,
    /// Path of the kubeconfig; `None` for the one that `kubectl` would use.
    pub kubeconfig: Option<String>,
    /// Number of replicas; `None` to keep the current number, for instance because an autoscaler sets it.
    pub replicas: Option<u32>,
    /// How long the rollout may make no progress; `None` to keep the value of the workload.
    pub progress_deadline: Option<Duration>,
}

/// Commands that carry out a deployment, run by `sh` in the root of the repository, with `DEPLOY_…` variables.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScriptSettings {
    /// The commands, by what they do.
    pub commands: IndexMap<ScriptCommand, String>,
    /// Number of replicas.
    pub replicas: u32,
    /// Time limit of each command.
    pub timeout: Duration,
}

/// What a command of a target does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptCommand {
    /// Starts replicas.
    Start,
    /// Checks the health of a slot.
    Healthy,
    /// Moves traffic.
    Weight,
    /// Takes traffic from replicas.
    Drain,
    /// Stops replicas.
    Stop,
    /// Prints what runs.
    Status,
}

impl ScriptCommand {
    /// All commands, in the order of a deployment.
    pub const ALL: [Self; 6] = [Self::Start, Self::Healthy, Self::Weight, Self::Drain, Self::Stop, Self::Status];

    /// Returns the name in settings, which is also the value of `DEPLOY_ACTION`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Healthy => "healthy",
            Self::Weight => "weight",
            Self::Drain => "drain",
            Self::Stop => "stop",
            Self::Status => "status",
        }
    }
}

impl ScriptSettings {
    /// Returns a command; `None` if the target does not have it.
    #[must_use]
    pub fn command(&self, command: ScriptCommand) -> Option<&str> {
        self.commands.get(&command).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_of_a_release_has_its_names() {
        let release = |tag: Option<&str>| Release {
            sha: "0123456789abcdef".to_owned(),
            reference: "main".to_owned(),
            tag: tag.map(str::to_owned),
        };
        let of = |image: &str, tag| image_of(image, &release(tag));
        assert_eq!(of("r:5000/shop:{sha}", None).as_deref(), Ok("r:5000/shop:0123456789abcdef"));
        assert_eq!(of("shop:{release}", None).as_deref(), Ok("shop:0123456"));
        assert_eq!(of("shop:{release}", Some("v1+2/a")).as_deref(), Ok("shop:v1-2-a"));
        assert_eq!(of("shop:{tag}-{short_sha}", Some("v1")).as_deref(), Ok("shop:v1-0123456"));
        let no_tag = NoTag { release: release(None).title(), image: "shop:{tag}".to_owned() };
        assert_eq!(of("shop:{tag}", None), Err(no_tag));
    }
}
