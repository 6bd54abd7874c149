//! The interface that every kind of machine implements.
//!
//! Everything that differs between kinds of machines is behind [`Provider`], implemented once for each kind, and the
//! [`Machine`] that it creates for a job. The code that uses them names neither Docker nor any other product.
//!
//! # Adding a provider
//!
//! A provider is a folder beside this file with types that implement [`Provider`], [`Machine`], [`Sandbox`] and, for
//! `cuelight shell`, [`Shell`]. `mod.rs` declares the folder, [`Providers::new`](super::providers::Providers::new)
//! creates the provider, and `SANDBOXES` in `config/mod.rs` lists its name at the same position. A resource that the
//! provider leaves behind is a [`Holding`].

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::Sandbox;
use super::container::ContainerSpec;
use super::network::Network;
use super::shared::SharedFolder;
use super::terminal::{Shell, ShellRequest};
use crate::engine::outlet::Outlet;
use crate::files::Folder;
use crate::model::{JobId, Service};
use crate::store::folder::RunFolder;

/// Function that is called with text for the log of a step: a line without its line end, or several lines at once.
pub type Say<'s> = dyn FnMut(&str) + Send + 's;

/// Function that is called with each line of a log that is followed. Following ends once it breaks.
pub type FollowedLine<'l> = dyn FnMut(&[u8]) -> ControlFlow<()> + Send + 'l;

/// Why a provider refused or failed. The message names the operation and the provider's answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The provider does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// The image, container, folder or snapshot does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The request does not fit the state of the job, or the provider does not support it.
    #[error("{0}")]
    Refused(String),
    /// The provider answered with an error, or a service or container did not start.
    #[error("{0}")]
    Failed(String),
}

/// A kind of machine that jobs run on, such as this machine itself, or containers of a Docker engine.
pub trait Provider: Send + Sync {
    /// Returns the name in the configuration, which is also the first word of the description of its machines (`docker
    /// ci-base:local`).
    fn name(&self) -> &'static str;

    /// Connects, and returns a description of the engine (`docker 20.10.24 at unix:///var/run/docker.sock`). `None` if
    /// the provider needs no engine.
    ///
    /// # Errors
    /// The provider cannot be used; the message contains the way to fix it.
    fn check(&self) -> BoxFuture<'_, Result<Option<String>, ProviderError>>;

    /// Returns the base of a job that is placed at `NAME` or `NAME:IMAGE`, or `None` if the provider does not support
    /// it. `default_image` is the image of a job that names none.
    fn base(&self, image: Option<&str>, default_image: &str) -> Option<Base>;

    /// Validates the description of a container, before anything is fetched for the job.
    ///
    /// # Errors
    /// An option or volume is invalid; the message starts with its position in the workflow.
    fn check_container(&self, container: &ContainerSpec) -> Result<(), ProviderError>;

    /// Connects if the job needs it, and fetches all images of the job in parallel. `progress` is called with the name
    /// of an image while it downloads. Returns the same description as [`Provider::check`], or `None` if the job needs
    /// no containers.
    ///
    /// # Errors
    /// All requirements that cannot be met.
    fn prepare<'a>(
        &'a self,
        requirements: &'a Requirements<'a>,
        progress: &'a (dyn Fn(&str, Progress) + Sync),
    ) -> BoxFuture<'a, Result<Option<String>, Vec<Unmet>>>;

    /// Creates the machine of a job. Nothing is started yet.
    fn machine(&self, spec: MachineSpec) -> Box<dyn Machine>;

    /// Finds where to open a shell for a job: in the running job, in a service, or in the snapshot of a failed job.
    ///
    /// # Errors
    /// The job has no container or folder left, or the provider does not answer.
    fn shell<'a>(&'a self, request: &'a ShellRequest<'a>) -> BoxFuture<'a, Result<Box<dyn Shell>, ProviderError>>;

    /// Follows the log of a service of a running job until its container ends, or `line` breaks. `line` gets each line,
    /// without its line end, beginning with the last ones.
    ///
    /// # Errors
    /// The request names no service, the container of the service does not run, or the provider does not answer.
    fn follow_log<'a>(
        &'a self,
        _request: &'a ShellRequest<'a>,
        _line: &'a mut FollowedLine<'_>,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        ready(Err(ProviderError::Refused("services of this job have no logs that can be followed".to_owned()))).boxed()
    }

    /// Lists the resources of the runs of a state folder, containers first. By default, the list is empty.
    ///
    /// # Errors
    /// The provider does not answer.
    fn holdings<'a>(&'a self, _state: &'a Path) -> BoxFuture<'a, Result<Vec<Holding>, ProviderError>> {
        ready(Ok(Vec::new())).boxed()
    }

    /// Removes resources that [`Provider::holdings`] listed, running or not. Resources that no longer exist are not an
    /// error.
    ///
    /// # Errors
    /// The first resource that could not be removed, after trying all others.
    fn remove<'a>(&'a self, _holdings: &'a [Holding]) -> BoxFuture<'a, Result<(), ProviderError>> {
        ready(Ok(())).boxed()
    }

    /// Removes the snapshots that are older than a day, and all others except the newest `keep`.
    ///
    /// # Errors
    /// The provider does not answer.
    fn prune_snapshots<'a>(&'a self, _state: &'a Path, _keep: usize) -> BoxFuture<'a, Result<(), ProviderError>> {
        ready(Ok(())).boxed()
    }

    /// Removes all resources of these runs, including snapshots, and returns them. The runs must have no worker. Their
    /// folders must still exist, because they contain the address of the engine.
    ///
    /// # Errors
    /// The provider does not answer, or a resource could not be removed.
    fn forget<'a>(&'a self, _runs: &'a [RunFolder]) -> BoxFuture<'a, Result<Vec<Holding>, ProviderError>> {
        ready(Ok(Vec::new())).boxed()
    }

    /// Ends every process of a run whose worker died, and removes the run's resources. `groups` are the process groups
    /// that the run recorded.
    ///
    /// # Errors
    /// The provider does not answer, or a resource could not be removed. [`Provider::holdings`] still lists the
    /// resource then.
    fn abandon<'a>(&'a self, run: &'a RunFolder, _groups: &'a [i32]) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move { self.forget(std::slice::from_ref(run)).await.map(drop) }.boxed()
    }

    /// Fetches an image unless it exists. `progress` is called while it downloads.
    ///
    /// # Errors
    /// The image does not exist or cannot be fetched, or the provider runs no containers.
    fn fetch_image<'a>(
        &'a self,
        image: &'a str,
        progress: &'a (dyn Fn(Progress) + Sync),
    ) -> BoxFuture<'a, Result<(), ProviderError>>;
}

/// The machine of one job. No method has a default: a machine that wraps another one must pass on every call.
pub trait Machine: Send + Sync {
    /// Returns a description for users that starts with the name of the provider: `host`, `docker ci-base:local`.
    fn describe(&self) -> String;

    /// Returns the sandbox of the steps. `None` until the machine has started, if the steps run in a container.
    fn sandbox(&self) -> Option<Arc<dyn Sandbox>>;

    /// Starts the container of the job and all its services in parallel, and waits until the services are healthy. The
    /// future may be dropped early: [`Machine::stop`] removes what was started.
    ///
    /// # Errors
    /// A container does not start, or a service does not become healthy.
    fn start<'a>(&'a mut self, say: &'a mut Say<'_>) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// Builds the image of an action.
    ///
    /// # Errors
    /// The build failed, or the provider does not answer.
    fn build_image<'a>(
        &'a self,
        build: &'a ImageBuild<'a>,
        say: &'a mut Say<'_>,
    ) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// Returns a sandbox that runs each process in a new container of an image, fetching the image if necessary. The
    /// containers are in the network of the job.
    ///
    /// # Errors
    /// The image cannot be fetched, or the provider does not answer.
    fn one_shot<'a>(
        &'a self,
        image: &'a str,
        shared: Vec<SharedFolder>,
    ) -> BoxFuture<'a, Result<Arc<dyn Sandbox>, ProviderError>>;

    /// Returns the entries of the machine in the `job` context.
    fn attachments(&self) -> Attachments;

    /// Returns the network through which containers reach this machine. `None` if the containers run on another
    /// machine.
    ///
    /// # Errors
    /// The provider does not answer.
    fn network(&self, of: Containers) -> BoxFuture<'_, Result<Option<Network>, ProviderError>>;

    /// Waits until the connection to the running machine is lost for good, and returns the reason. The job cannot
    /// succeed after that. Never resolves for a machine that cannot be lost.
    fn lost(&self) -> BoxFuture<'_, ProviderError>;

    /// Waits until the container of the steps was stopped or removed, and returns that as an error. Never resolves for
    /// a machine whose steps do not run in a container.
    fn container_end(&self) -> BoxFuture<'_, ProviderError>;

    /// Describes the services that are unhealthy or have ended, for a job that failed.
    fn troubles(&self) -> Vec<String>;

    /// Creates a snapshot of the container of a failed job, for `cuelight shell`, and removes snapshots that exceed the
    /// limits. Does nothing if the job has no container, or if snapshots are disabled.
    ///
    /// # Errors
    /// The provider refuses or does not answer.
    fn snapshot(&self) -> BoxFuture<'_, Result<(), ProviderError>>;

    /// Removes all resources of the job except its snapshot. `settled` is false if the job was cancelled: then a
    /// container may still be starting.
    ///
    /// # Errors
    /// A resource could not be removed. [`Provider::holdings`] still lists it; after [`ProviderError::Unavailable`],
    /// only once the provider responds again.
    fn stop<'a>(&'a mut self, settled: bool, say: &'a mut Say<'_>) -> BoxFuture<'a, Result<(), ProviderError>>;
}

/// Where the steps of a job run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// The machine itself.
    Machine,
    /// A container of this image in place of the machine.
    Image(String),
    /// The container that the job defines with `container:`.
    Container,
}

/// What a job requires from its provider.
pub struct Requirements<'r> {
    /// Folder of the run.
    pub run: &'r RunFolder,
    /// Where the steps run.
    pub base: &'r Base,
    /// Services of the job.
    pub services: &'r [ContainerSpec],
    /// Description of the part of the job that needs containers: "its service `db`". `None` if the job needs no
    /// containers.
    pub needs_containers: Option<String>,
    /// Images of the job.
    pub images: Vec<RequiredImage>,
}

/// An image that a job needs.
#[derive(Clone, Debug, PartialEq)]
pub struct RequiredImage {
    /// Description of the part that needs the image: "service `db`".
    pub needed_by: String,
    /// Container that uses the image.
    pub container: ContainerSpec,
}

/// An unmet requirement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// The provider does not answer.
    #[error("{needed_by} needs a container engine: {error}")]
    Provider {
        /// Part of the job that needs the provider.
        needed_by: String,
        /// Why the provider cannot be used.
        error: ProviderError,
    },
    /// An image cannot be fetched.
    #[error("{}{needed_by} needs the image {image}: {error}", if place.is_empty() { String::new() } else { format!("{place}: ") })]
    Image {
        /// Position of the image in the workflow, or empty.
        place: String,
        /// Part of the job that needs the image.
        needed_by: String,
        /// Name of the image.
        image: String,
        /// Why the image cannot be fetched.
        error: ProviderError,
    },
    /// The ports of a service would be published on another machine.
    #[error(
        "service `{service}` cannot be reached at localhost, as the engine at {address} is another machine: run the job \
         there too, with --sandbox docker"
    )]
    NotLocal {
        /// Name of the service.
        service: String,
        /// Address of the engine.
        address: String,
    },
}

/// Definition of a job's machine.
pub struct MachineSpec {
    /// Folder of the run.
    pub run: RunFolder,
    /// Id of the job.
    pub job: JobId,
    /// Where the steps run.
    pub base: Base,
    /// Container of the job, if its steps run in one.
    pub container: Option<ContainerSpec>,
    /// Services of the job.
    pub services: Vec<ContainerSpec>,
    /// Folders of this machine that a container of the job sees.
    pub shared: Vec<SharedFolder>,
    /// Tools of this machine that a container of the job sees if it is on this machine. They are too large to copy to
    /// another one.
    pub tools: Vec<SharedFolder>,
    /// Working directory of the steps, on this machine.
    pub workspace: PathBuf,
    /// Folder below one of [`shared`](Self::shared) that the provider may use to communicate with the container.
    pub control: PathBuf,
    /// Whether a supervisor in the container may start the steps.
    pub supervised: bool,
    /// Whether containers get the socket of the provider's engine, and with it all rights of the engine.
    pub socket: bool,
    /// Whether files written by a container are given to the user of this process when the machine stops.
    pub return_files: bool,
    /// Maximum number of snapshots of failed jobs; 0 disables snapshots.
    pub max_snapshots: usize,
    /// Outlet that receives the states of services.
    pub outlet: Arc<dyn Outlet>,
}

/// An image to build.
pub struct ImageBuild<'b> {
    /// Build context: the folder that the build sees. It is open, because steps of the job may change its path.
    pub context: &'b Folder,
    /// Path of the context, for messages.
    pub place: &'b Path,
    /// Name of the Dockerfile in that folder.
    pub dockerfile: &'b str,
    /// Name of the image.
    pub tag: &'b str,
}

/// Entries of a machine in the `job` context.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attachments {
    /// Name of the job's network. `None` if the job has no containers.
    pub network: Option<String>,
    /// Id of the job's container; `None` if the steps do not run in a container.
    pub container: Option<String>,
    /// Services, with the ids of their containers.
    pub services: Vec<(Service, String)>,
}

/// Containers that reach this machine through a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containers {
    /// Those that the machine starts for the job: the container of its steps, its services and its actions.
    OfJob,
    /// Those that a step starts without naming a network.
    Default,
}

/// A resource that a provider holds for a run, such as a container or a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Name of the provider.
    pub provider: &'static str,
    /// Kind of the resource.
    pub kind: HoldingKind,
    /// Id of the resource at the provider.
    pub id: String,
    /// Name of the resource for users.
    pub name: String,
    /// Id of the run. Empty for resources that serve later runs too, such as the image of an action.
    pub run: String,
}

/// Kinds of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldingKind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// An image: the snapshot of a failed job, or an action that was built.
    Image,
}

impl HoldingKind {
    /// Returns the name of the kind.
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

/// Download progress of an image in bytes, summed over its layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes downloaded so far.
    pub done: u64,
    /// Total number of bytes, as far as it is known.
    pub total: u64,
}
