//! Containers that Docker Compose made for a project, found by their labels.

use std::collections::HashMap;
use std::path::Path;

use bollard::models::ContainerSummary;
use bollard::query_parameters::{EventsOptionsBuilder, ListContainersOptions};
use futures_util::StreamExt;

use super::client::{DockerClient, DockerError};
use super::services::{observe, published};
use super::states;
use crate::engine::services::Observation;
use crate::model::{Service, ServiceState};

/// Label with the folder of the project.
const FOLDER: &str = "com.docker.compose.project.working_dir";

/// Label with the name of the project.
const PROJECT: &str = "com.docker.compose.project";

/// Label with the number of a container in its service, from 1.
const NUMBER: &str = "com.docker.compose.container-number";

/// Label with the name of the service.
const SERVICE: &str = "com.docker.compose.service";

/// Label that is `True` for a container of `docker compose run`, which runs one command and is not a replica of
/// its service.
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// Exit codes of a container that was stopped: ended by SIGTERM, ended by SIGKILL, and of a program that handles
/// SIGTERM and exits.
const STOPPED: [&str; 3] = ["exit code 143", "exit code 137", "exit code 0"];

/// A container of a service, running or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ComposeContainer {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Name of the project.
    pub project: String,
    /// Folder of the project, on the machine whose Compose made the container.
    pub folder: String,
    /// Number in the service, from 1; 0 if its label is missing.
    pub number: u32,
    /// Labels, including those of Compose.
    pub labels: HashMap<String, String>,
    /// Id of the image.
    pub image: String,
    /// State in the words of `docker ps`: `Up 3 seconds (healthy)`.
    pub status: String,
}

impl DockerClient {
    /// Returns the containers of a service, sorted by their numbers, in the project of this name or, without a name, in
    /// all projects of the folder. Containers of `docker compose run` are left out.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn compose_replicas(
        &self,
        folder: &Path,
        project: Option<&str>,
        service: &str,
    ) -> Result<Vec<ComposeContainer>, DockerError> {
        let listed = self.compose_containers(labels_of(folder, project, service)).await?;
        let container = |found: ContainerSummary| {
            let labels = found.labels.unwrap_or_default();
            Some(ComposeContainer {
                id: found.id?,
                name: found.names.iter().flatten().next()?.trim_start_matches('/').to_owned(),
                project: labels.get(PROJECT).cloned().unwrap_or_default(),
                folder: labels.get(FOLDER).cloned().unwrap_or_default(),
                number: labels.get(NUMBER).and_then(|number| number.parse().ok()).unwrap_or_default(),
                image: found.image_id.unwrap_or_default(),
                status: found.status.unwrap_or_default(),
                labels,
            })
        };
        let mut containers: Vec<_> = listed.into_iter().filter_map(container).collect();
        containers.sort_by_key(|container| container.number);
        Ok(containers)
    }

    /// Stops a container. Its settings determine the signal and the time limit; the defaults are SIGTERM and 10
    /// seconds. Does nothing if the container does not run, or does not exist.
    ///
    /// # Errors
    /// Docker does not answer, or cannot stop it.
    pub async fn stop(&self, id: &str, name: &str) -> Result<(), DockerError> {
        use bollard::errors::Error;
        match self.api.stop_container(id, None).await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 304 | 404, .. }) => Ok(()),
            Err(error) => Err(DockerError::of(format!("cannot stop {name}"), error)),
        }
    }

    /// Whether an image has a health check.
    ///
    /// # Errors
    /// The image does not exist here, or Docker does not answer.
    pub async fn image_checks_health(&self, image: &str) -> Result<bool, DockerError> {
        let check = self.image(image).await?.config.and_then(|config| config.healthcheck).and_then(|check| check.test);
        Ok(check.is_some_and(|test| test.first().is_some_and(|first| first != "NONE")))
    }

    /// Returns the services that have containers in the project in a folder, sorted by name. If a service has several
    /// containers, one in a bad state is preferred. Containers of `docker compose run` are left out.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn compose_services(&self, folder: &Path) -> Result<Vec<Service>, DockerError> {
        let mut services: Vec<Service> = Vec::new();
        for container in self.compose_containers(vec![label(folder)]).await? {
            let name = container.labels.and_then(|mut labels| labels.remove(SERVICE));
            let (Some(id), Some(name)) = (container.id, name) else { continue };
            let found = match self.inspect(&id).await {
                Err(DockerError::Missing { .. }) => continue,
                found => found?,
            };
            let Observation { mut state, detail, restarts } = observe(&found);
            if state == ServiceState::Exited && detail.as_deref().is_some_and(|detail| STOPPED.contains(&detail)) {
                state = ServiceState::Stopped;
            }
            let image = container.image.unwrap_or_default();
            let service = Service { name, image, state, ports: published(&found), detail, restarts };
            match services.iter_mut().find(|known| known.name == service.name) {
                Some(known) if service.state.is_bad() && !known.state.is_bad() => *known = service,
                Some(_) => {}
                None => services.push(service),
            }
        }
        services.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(services)
    }

    /// Returns the id of the newest container of a service in the project in a folder; `None` if there is none.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn compose_container(&self, folder: &Path, service: &str) -> Result<Option<String>, DockerError> {
        let labels = vec![label(folder), format!("{SERVICE}={service}")];
        let replicas = self.compose_containers(labels).await?;
        Ok(replicas.into_iter().max_by_key(|found| found.created).and_then(|found| found.id))
    }

    /// Returns the containers with these labels, without those of `docker compose run`.
    async fn compose_containers(&self, labels: Vec<String>) -> Result<Vec<ContainerSummary>, DockerError> {
        let filters = [("label".to_owned(), labels)].into();
        let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
        let listed = states::read_again(self.api.list_containers(Some(options)).await);
        let mut listed = listed.map_err(|error| DockerError::of("cannot list the containers of Compose", error))?;
        listed.retain(|container| !is_one_off(container));
        Ok(listed)
    }

    /// Waits until a container of the project in a folder changes. Returns `false` if the engine ends the connection or
    /// refuses it. `begun` starts once changes are noticed, always runs to its end, and returns whether to wait for a
    /// change.
    pub async fn compose_change(&self, folder: &Path, begun: impl Future<Output = bool>) -> bool {
        let filters: HashMap<&str, Vec<String>> = [
            ("type", vec!["container".to_owned()]),
            ("label", vec![label(folder)]),
            ("event", ["create", "health_status", "die", "oom", "start", "destroy"].map(str::to_owned).into()),
        ]
        .into();
        let mut events = self.api.events(Some(EventsOptionsBuilder::default().filters(&filters).build()));
        // The first poll of `next` sends the request for events, so it is polled before `begun`.
        let next = events.next();
        tokio::pin!(next, begun);
        tokio::select! {
            biased;
            next = &mut next => {
                begun.await;
                matches!(next, Some(Ok(_)))
            }
            waits = &mut begun => !waits || matches!(next.await, Some(Ok(_))),
        }
    }
}

/// Whether a container runs one command for `docker compose run`.
fn is_one_off(container: &ContainerSummary) -> bool {
    let one_off = container.labels.as_ref().and_then(|labels| labels.get(ONE_OFF));
    one_off.is_some_and(|one_off| one_off.eq_ignore_ascii_case("true"))
}

/// Returns the labels of the containers of a service, each as `name=value`, in the project of this name or, without a name, in
/// all projects of the folder.
#[must_use]
pub fn labels_of(folder: &Path, project: Option<&str>, service: &str) -> Vec<String> {
    let of = project.map_or_else(|| label(folder), |name| format!("{PROJECT}={name}"));
    vec![of, format!("{SERVICE}={service}")]
}

fn label(folder: &Path) -> String {
    format!("{FOLDER}={}", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn docker(args: &[&str]) -> Option<String> {
        let done = Command::new("docker").args(args).output().ok().filter(|done| done.status.success())?;
        Some(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    /// Containers that are removed on drop.
    #[derive(Default)]
    struct Containers(Vec<String>);

    impl Containers {
        fn run(&mut self, folder: &Path, service: &str, options: &[&str], command: &[&str]) {
            let labels = [label(folder), format!("{SERVICE}={service}")];
            let own: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
            let id = docker(&[&["run", "--detach"], &own[..], options, &["busybox:stable"], command].concat());
            self.0.push(id.expect("started"));
        }
    }

    impl Drop for Containers {
        fn drop(&mut self) {
            for id in &self.0 {
                docker(&["rm", "--force", id]);
            }
        }
    }

    #[tokio::test]
    async fn the_state_and_health_of_containers_of_compose_are_read_and_changes_noticed() {
        if docker(&["image", "inspect", "busybox:stable"]).is_none() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "no Docker engine with busybox:stable");
            eprintln!("SKIPPED: no Docker engine with busybox:stable");
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let client = DockerClient::find().await.expect("an engine");
        let mut containers = Containers::default();
        let health = ["--health-cmd", "true", "--health-interval", "200ms"];
        containers.run(folder.path(), "healthy", &health, &["sleep", "60"]);
        containers.run(folder.path(), "failed", &[], &["false"]);
        containers.run(folder.path(), "plain", &[], &["sleep", "60"]);
        // The end of a command that `docker compose run` has run is not that of the service.
        containers.run(folder.path(), "plain", &["--label", "com.docker.compose.oneoff=True"], &["false"]);
        containers.run(folder.path(), "task", &["--label", "com.docker.compose.oneoff=True"], &["sleep", "60"]);
        containers.run(Path::new("/another/project"), "other", &[], &["sleep", "60"]);
        let expected = [
            ("failed".to_owned(), ServiceState::Exited),
            ("healthy".to_owned(), ServiceState::Healthy),
            ("plain".to_owned(), ServiceState::Running),
        ];
        let mut states: Vec<_> = Vec::new();
        while states != expected {
            let look = async {
                let found = client.compose_services(folder.path()).await.expect("listed");
                states = found.into_iter().map(|service| (service.name, service.state)).collect();
                states != expected
            };
            client.compose_change(folder.path(), look).await;
        }
    }
}
