//! The labels by which everything that was made in an engine is found again, and its removal.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::{
    ListContainersOptions, ListImagesOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveImageOptionsBuilder, RemoveVolumeOptionsBuilder,
};

use super::client::{DockerClient, DockerError};
use crate::store::digest;

/// The state folder that a thing belongs to: two folders may share an engine, and neither removes what is the other's.
const STATE: &str = "dev.cuelight.state";
/// How long an engine that does not answer is waited for, and how often it is asked.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(500);

/// How long a container that is being removed may stay in its network, and how often that is looked at.
const SETTLE: Duration = Duration::from_secs(10);
const LEAVE: Duration = Duration::from_millis(100);

const RUN: &str = "dev.cuelight.run";
const JOB: &str = "dev.cuelight.job";
/// What a container is for.
const ROLE: &str = "dev.cuelight.role";

/// Whose a container, network, volume or image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// Stands for the state folder.
    state: String,
    /// The run's id.
    run: String,
    /// The job's id.
    job: String,
    role: String,
}

impl Labels {
    /// The labels of a job's things.
    #[must_use]
    pub fn new(state: &Path, run: &str, job: &str) -> Self {
        Self { state: state_mark(state), run: run.to_owned(), job: job.to_owned(), role: String::new() }
    }

    /// The labels of what is kept for later runs, such as the image of an action.
    #[must_use]
    pub fn kept(state: &Path) -> Self {
        Self::new(state, "", "")
    }

    /// The same for a container with a purpose: `job`, a service's key, `action`.
    #[must_use]
    pub fn of(&self, role: &str) -> Self {
        Self { role: role.to_owned(), ..self.clone() }
    }

    /// The name of the thing. It carries the run's id, and what engines do not take in a name is a dash.
    #[must_use]
    pub fn name(&self) -> String {
        let of = if self.role.is_empty() { String::new() } else { format!(".{}", self.role) };
        let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
        format!("cuelight-{}-{}{of}", self.run, self.job).chars().map(plain).collect()
    }

    /// As engines take them.
    #[must_use]
    pub fn all(&self) -> HashMap<String, String> {
        let pairs = [(STATE, &self.state), (RUN, &self.run), (JOB, &self.job), (ROLE, &self.role)];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }
}

/// A short name for a state folder: its path may be long and private.
fn state_mark(state: &Path) -> String {
    let path = state.canonicalize().unwrap_or_else(|_| state.to_owned());
    digest::sha256(path.as_os_str().as_encoded_bytes(), 6)
}

/// Something that was found in an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What it is.
    pub kind: Kind,
    /// What the engine calls it.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The run it belongs to.
    pub run: String,
}

/// The kinds of things in an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// An image: what a failed job's container left.
    Image,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Image => "image",
        }
    }
}

impl DockerClient {
    /// Everything of a state folder, of one run of it, or of one job of that, containers first.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn owned(
        &self,
        state: &Path,
        run: Option<&str>,
        job: Option<&str>,
    ) -> Result<Vec<Resource>, DockerError> {
        let mut labels = vec![format!("{STATE}={}", state_mark(state))];
        labels.extend(run.map(|run| format!("{RUN}={run}")));
        labels.extend(job.map(|job| format!("{JOB}={job}")));
        let filters: HashMap<String, Vec<String>> = [("label".to_owned(), labels)].into();
        let failed = |what: &str| {
            let doing = format!("cannot list {what}");
            move |error| DockerError::of(doing, error)
        };
        let run_of = |labels: Option<&HashMap<String, String>>| {
            labels.and_then(|labels| labels.get(RUN)).cloned().unwrap_or_default()
        };
        let mut found = Vec::new();
        let options =
            ListContainersOptions { all: true, filters: Some(filters.clone()), ..ListContainersOptions::default() };
        for container in self.api.list_containers(Some(options)).await.map_err(failed("containers"))? {
            let name = container.names.iter().flatten().next().map(|name| name.trim_start_matches('/').to_owned());
            let (id, run) = (container.id.unwrap_or_default(), run_of(container.labels.as_ref()));
            found.push(Resource { kind: Kind::Container, name: name.unwrap_or_else(|| id.clone()), id, run });
        }
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        for network in self.api.list_networks(Some(options)).await.map_err(failed("networks"))? {
            let (name, run) = (network.name.unwrap_or_default(), run_of(network.labels.as_ref()));
            found.push(Resource { kind: Kind::Network, id: network.id.unwrap_or_else(|| name.clone()), name, run });
        }
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let volumes = self.api.list_volumes(Some(options)).await.map_err(failed("volumes"))?.volumes;
        for volume in volumes.unwrap_or_default() {
            let run = run_of(Some(&volume.labels));
            found.push(Resource { kind: Kind::Volume, id: volume.name.clone(), name: volume.name, run });
        }
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        for image in self.api.list_images(Some(options)).await.map_err(failed("images"))? {
            let name = image.repo_tags.first().cloned().unwrap_or_else(|| image.id.clone());
            found.push(Resource { kind: Kind::Image, id: name.clone(), name, run: run_of(Some(&image.labels)) });
        }
        Ok(found)
    }

    /// Everything of one job, from an engine that may be starting again just now.
    ///
    /// # Errors
    /// It does not answer for a minute.
    pub async fn owned_patiently(&self, state: &Path, run: &str, job: &str) -> Result<Vec<Resource>, DockerError> {
        let mut left = PATIENCE;
        loop {
            match self.owned(state, Some(run), Some(job)).await {
                Err(_) if left > Duration::ZERO => {
                    tokio::time::sleep(LOOK).await;
                    left = left.saturating_sub(LOOK);
                }
                other => return other,
            }
        }
    }

    /// Removes what was found, whatever it does. What is gone already is no error.
    ///
    /// # Errors
    /// The first thing that could not be removed; all the others were tried.
    pub async fn remove_found(&self, found: &[Resource]) -> Result<(), DockerError> {
        // Some engines remove nothing that something else still depends on: that comes first then.
        let mut left: Vec<&Resource> = found.iter().collect();
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

    async fn remove_one(&self, thing: &Resource) -> Result<(), DockerError> {
        let doing = || format!("cannot remove the {} {}", thing.kind.word(), thing.name);
        match thing.kind {
            Kind::Container => self.remove(&thing.id).await,
            Kind::Network => self.remove_network(thing).await,
            Kind::Volume => {
                let options = RemoveVolumeOptionsBuilder::default().force(true).build();
                gone(self.api.remove_volume(&thing.id, Some(options)).await, doing)
            }
            Kind::Image => {
                let options = RemoveImageOptionsBuilder::default().force(true).build();
                gone(self.api.remove_image(&thing.id, Some(options), None).await.map(drop), doing)
            }
        }
    }
}

impl DockerClient {
    /// Removes a network, once the last container has left it: an engine that is still removing one refuses until then.
    async fn remove_network(&self, network: &Resource) -> Result<(), DockerError> {
        let mut left = SETTLE;
        loop {
            let doing = || format!("cannot remove the network {}", network.name);
            match gone(self.api.remove_network(&network.id).await, doing) {
                Err(_) if left > Duration::ZERO => {
                    tokio::time::sleep(LEAVE).await;
                    left = left.saturating_sub(LEAVE);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_run_and_are_names_to_every_engine() {
        let labels = Labels::new(Path::new("/nowhere"), "20261126-120000-abcd", "test.2");
        assert_eq!(labels.name(), "cuelight-20261126-120000-abcd-test.2");
        assert_eq!(labels.of("my db").name(), "cuelight-20261126-120000-abcd-test.2.my-db");
        assert_eq!(labels.of("redis").all()[ROLE], "redis");
        assert_ne!(Labels::new(Path::new("/elsewhere"), "r", "j").all()[STATE], labels.all()[STATE]);
    }
}
