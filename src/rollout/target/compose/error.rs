//! Errors of the target of Compose.

use std::path::PathBuf;
use std::time::Duration;

use crate::engine::sandbox::compose::ComposeError;
use crate::engine::sandbox::docker::client::DockerError;
use crate::model::deployment::{NoTag, Slot, written};
use crate::rollout::shell::CommandError;
use crate::store::StoreError;

/// Why a service of Compose is not in the state that a step requires, or cannot be deployed in this way.
#[derive(Debug, thiserror::Error)]
pub enum ComposeFault {
    /// The engine refused a request or did not answer.
    #[error(transparent)]
    Engine(#[from] DockerError),
    /// Compose is not installed, or failed.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The shell cannot be started.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The file with the image and the labels of the release cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Compose did not end in time.
    #[error("`{command}` did not end within {}: set a longer target.timeout", written(*limit))]
    TooSlow {
        /// The command line.
        command: String,
        /// The time limit.
        limit: Duration,
    },
    /// There is no Compose file in the folder.
    #[error("there is no Compose file in {}: name it in target.files", .0.display())]
    NoFiles(PathBuf),
    /// A file in the settings does not exist.
    #[error("target.files names {}, which does not exist", .0.display())]
    NoFile(PathBuf),
    /// The output of `docker compose config` is not YAML.
    #[error("the output of `docker compose config` cannot be read: {0}")]
    Config(String),
    /// The Compose file does not have the service.
    #[error("the Compose file has no service `{service}`: target.service must be one of {known}")]
    NoService {
        /// The service in the settings.
        service: String,
        /// The services of the file.
        known: String,
    },
    /// The project has containers that were made from another folder, and which are not found by the folder.
    #[error(
        "the project {project} also has containers of {service} from the folder {folder}: write project = \"{project}\" in the \
         target, so that they are replaced, or give one of the projects another name"
    )]
    OtherFolder {
        /// Name of the project.
        project: String,
        /// The service.
        service: String,
        /// The other folder.
        folder: String,
    },
    /// The service has containers in several projects.
    #[error("the service runs in the projects {0}: name one of them in target.project")]
    Projects(String),
    /// Several containers of the service would publish one port.
    #[error(
        "{service} publishes port {port}, which only one container at a time can: use the strategy `recreate` with one \
         replica, or kind = \"docker\", whose router publishes the port"
    )]
    Publishes {
        /// The service.
        service: String,
        /// Port of the machine.
        port: String,
    },
    /// Several containers of the service would have one name.
    #[error(
        "{service} has container_name: {name}, which only one container at a time can have: use the strategy `recreate` \
         with one replica, or remove container_name"
    )]
    Named {
        /// The service.
        service: String,
        /// The name.
        name: String,
    },
    /// Several containers of the service would use the network of the machine.
    #[error(
        "{service} uses the network of the machine, so two of its containers would listen on the same ports: use the \
         strategy `recreate` with one replica"
    )]
    OnMachine {
        /// The service.
        service: String,
    },
    /// Neither the service nor the settings have a health check.
    #[error(
        "{service} has no health check: write `healthcheck` in the Compose file, or a health check in the settings of \
         the environment"
    )]
    NoHealthCheck {
        /// The service.
        service: String,
    },
    /// The name of the image contains `{tag}`, and the release has no tag.
    #[error(transparent)]
    NoTag(#[from] NoTag),
    /// An image that was found running, and of which only the id is known, was removed since.
    #[error(
        "the image {0} is no longer on the engine, and nothing else is known of the release that it was: deploy a tag, \
         branch or commit"
    )]
    ImageGone(
        /// The short id.
        String,
    ),
    /// The slot runs a release that is not the one in the plan.
    #[error("{slot} runs {found}, not {wanted}: something else has started it")]
    OtherRelease {
        /// The slot.
        slot: Slot,
        /// What runs in the slot.
        found: String,
        /// Commit in the plan.
        wanted: String,
    },
}

impl ComposeFault {
    /// Whether the engine gave no answer, so that nothing is known about the containers.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_unanswered())
    }
}
