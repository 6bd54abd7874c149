//! What the rest of the program asks of a kind of machine.
//!
//! Everything that differs between kinds of machines is behind [`Provider`], one for each kind, and the [`Machine`] that it
//! makes for a job. Nothing above them names Docker or any other product.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::Sandbox;
use super::container::ContainerSpec;
use super::shared::SharedFolder;
use super::terminal::{Shell, ShellRequest};
use crate::engine::outlet::Outlet;
use crate::model::{JobId, Service};
use crate::store::folder::RunFolder;

/// Takes lines for the log of a step.
pub type Say<'s> = dyn FnMut(&str) + Send + 's;

/// Why a provider did not do what it was asked for. The text names what was tried and what the provider answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// The image, container, folder or snapshot does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The request does not fit the state of the job, or what the provider can do.
    #[error("{0}")]
    Refused(String),
    /// It answered with an error, or a service or container did not come up.
    #[error("{0}")]
    Failed(String),
}

/// A kind of machine that jobs run on, such as this machine itself, or containers of a Docker engine.
pub trait Provider: Send + Sync {
    /// Name in the configuration, and the first word of the description of its machines (`docker ci-base:local`).
    fn name(&self) -> &'static str;

    /// Connects, and returns what answered (`docker 20.10.24 at unix:///var/run/docker.sock`). `None` if there is nothing
    /// that could be missing.
    ///
    /// # Errors
    /// It cannot be used; the text says what to do.
    fn check(&self) -> BoxFuture<'_, Result<Option<String>, ProviderError>>;

    /// Returns what a job runs in that is placed at `NAME`, or at `NAME:IMAGE`. `None` if this provider has no such thing.
    /// `default_image` is the image of a job that names none.
    fn base(&self, image: Option<&str>, default_image: &str) -> Option<Base>;

    /// Checks the description of a container, before anything is fetched for the job.
    ///
    /// # Errors
    /// An option or volume cannot be used; the text begins with its place in the workflow.
    fn check_container(&self, container: &ContainerSpec) -> Result<(), ProviderError>;

    /// Connects if the job needs it, and fetches the images of the job, all at once. `progress` is called with the name of
    /// an image while it downloads. Returns what answered, like [`Provider::check`].
    ///
    /// # Errors
    /// All requirements that cannot be met.
    fn prepare<'a>(
        &'a self,
        requirements: &'a Requirements<'a>,
        progress: &'a (dyn Fn(&str, Progress) + Sync),
    ) -> BoxFuture<'a, Result<Option<String>, Vec<Unmet>>>;

    /// Makes a machine for a job. Nothing is started yet.
    fn machine(&self, spec: MachineSpec) -> Box<dyn Machine>;

    /// Finds where a shell for a job is opened: in the running job, in a service, or in the snapshot of a failed job.
    ///
    /// # Errors
    /// Nothing of the job is left to open a shell in, or the provider does not answer.
    fn shell<'a>(&'a self, request: &'a ShellRequest<'a>) -> BoxFuture<'a, Result<Box<dyn Shell>, ProviderError>>;

    /// Lists what it holds for the runs of a state folder, containers first. By default, nothing.
    ///
    /// # Errors
    /// It does not answer.
    fn holdings<'a>(&'a self, _state: &'a Path) -> BoxFuture<'a, Result<Vec<Holding>, ProviderError>> {
        ready(Ok(Vec::new())).boxed()
    }

    /// Removes what [`Provider::holdings`] listed, running or not. What is gone already is not an error.
    ///
    /// # Errors
    /// The first one that could not be removed; all others were tried.
    fn remove<'a>(&'a self, _holdings: &'a [Holding]) -> BoxFuture<'a, Result<(), ProviderError>> {
        ready(Ok(())).boxed()
    }

    /// Removes snapshots of failed jobs that are older than a day, and all but the newest `keep`.
    ///
    /// # Errors
    /// It does not answer.
    fn prune_snapshots<'a>(&'a self, _state: &'a Path, _keep: usize) -> BoxFuture<'a, Result<(), ProviderError>> {
        ready(Ok(())).boxed()
    }

    /// Removes everything that it holds for these runs, snapshots included, and returns what that was. The runs must have
    /// no worker, and their folders must still exist: they say where to look.
    ///
    /// # Errors
    /// It does not answer, or something could not be removed.
    fn forget<'a>(&'a self, _runs: &'a [RunFolder]) -> BoxFuture<'a, Result<Vec<Holding>, ProviderError>> {
        ready(Ok(Vec::new())).boxed()
    }

    /// Ends every process of a run whose worker died, and removes what it holds for the run. `groups` are the process
    /// groups that the run had recorded.
    ///
    /// # Errors
    /// It does not answer, or something could not be removed. [`Provider::holdings`] still lists it then.
    fn abandon<'a>(&'a self, run: &'a RunFolder, _groups: &'a [i32]) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move { self.forget(std::slice::from_ref(run)).await.map(drop) }.boxed()
    }

    /// Fetches an image unless it exists. `progress` is called while it downloads.
    ///
    /// # Errors
    /// It does not exist or cannot be fetched, or the provider runs no containers.
    fn fetch_image<'a>(
        &'a self,
        image: &'a str,
        progress: &'a (dyn Fn(Progress) + Sync),
    ) -> BoxFuture<'a, Result<(), ProviderError>>;
}

/// The machine of one job.
pub trait Machine: Send + Sync {
    /// Returns a description for people, which begins with the name of the provider: `host`, `docker ci-base:local`.
    fn describe(&self) -> String;

    /// Returns where the steps run. `None` until the machine has started, if they run in something that it starts.
    fn sandbox(&self) -> Option<Arc<dyn Sandbox>>;

    /// Starts the container of the job and its services, all at once, and waits until the services are healthy. May be
    /// dropped before it is ready: [`Machine::stop`] removes what was started.
    ///
    /// # Errors
    /// Something does not start, or a service does not get healthy.
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

    /// Returns a sandbox that runs each process in a new container of an image, which is fetched unless it exists. The
    /// containers are in the network of the job.
    ///
    /// # Errors
    /// The image cannot be fetched, or the provider does not answer.
    fn one_shot<'a>(
        &'a self,
        image: &'a str,
        shared: Vec<SharedFolder>,
    ) -> BoxFuture<'a, Result<Arc<dyn Sandbox>, ProviderError>>;

    /// Returns what the `job` context shows.
    fn attachments(&self) -> Attachments;

    /// Describes the services that are not well, for a job that failed.
    fn troubles(&self) -> Vec<String>;

    /// Keeps the files of the container of a failed job, for `cuelight shell`.
    ///
    /// # Errors
    /// The provider refuses or does not answer.
    fn snapshot(&self) -> BoxFuture<'_, Result<(), ProviderError>>;

    /// Removes everything that was made for the job, except its snapshot. `settled` is false if the job was cancelled, so
    /// that something may still be in the making.
    ///
    /// # Errors
    /// Something could not be removed. [`Provider::holdings`] lists it.
    fn stop<'a>(&'a mut self, settled: bool, say: &'a mut Say<'_>) -> BoxFuture<'a, Result<(), ProviderError>>;
}

/// What the steps of a job run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// The machine itself.
    Machine,
    /// A container of this image, which stands for the machine.
    Image(String),
    /// The container that the job asks for with `container:`.
    Container,
}

/// What a job needs of its provider before it can start.
pub struct Requirements<'r> {
    /// The run.
    pub run: &'r RunFolder,
    /// What the steps run in.
    pub base: &'r Base,
    /// The services of the job.
    pub services: &'r [ContainerSpec],
    /// What needs containers, for people: "its service `db`". `None` if nothing does.
    pub needs_containers: Option<String>,
    /// The images of the job.
    pub images: Vec<RequiredImage>,
}

/// An image that a job needs.
#[derive(Clone, Debug, PartialEq)]
pub struct RequiredImage {
    /// What needs it, for people: "service `db`".
    pub needed_by: String,
    /// The container that it is for.
    pub container: ContainerSpec,
}

/// A requirement that cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// The provider does not answer.
    #[error("{needed_by} needs a container engine: {error}")]
    Provider {
        /// What needs it.
        needed_by: String,
        /// Why it cannot be used.
        error: ProviderError,
    },
    /// An image cannot be fetched.
    #[error("{}{needed_by} needs the image {image}: {error}", if place.is_empty() { String::new() } else { format!("{place}: ") })]
    Image {
        /// Place of the image in the workflow, or empty.
        place: String,
        /// What needs it.
        needed_by: String,
        /// The image.
        image: String,
        /// Why it cannot be fetched.
        error: ProviderError,
    },
    /// The ports of a service would be published on another machine.
    #[error(
        "service `{service}` cannot be reached at localhost, as the engine at {address} is another machine: run the job \
         there too, with --sandbox docker"
    )]
    NotLocal {
        /// The service.
        service: String,
        /// Address of the engine.
        address: String,
    },
}

/// What a machine is made from.
pub struct MachineSpec {
    /// The run.
    pub run: RunFolder,
    /// The job.
    pub job: JobId,
    /// What its steps run in.
    pub base: Base,
    /// The container of the job, if its steps run in one.
    pub container: Option<ContainerSpec>,
    /// The services of the job.
    pub services: Vec<ContainerSpec>,
    /// What a container of the job sees of this machine.
    pub shared: Vec<SharedFolder>,
    /// Working directory of the steps, on this machine.
    pub workspace: PathBuf,
    /// Folder below one of [`shared`](Self::shared) that the provider may use to talk to the container.
    pub control: PathBuf,
    /// Whether steps may be started by a supervisor in the container, instead of by the provider.
    pub supervised: bool,
    /// Whether files that a container wrote are given to the user of this process when the machine stops.
    pub return_files: bool,
    /// Maximum number of snapshots of failed jobs; with 0, none is made.
    pub max_snapshots: usize,
    /// Takes the states of services.
    pub outlet: Arc<dyn Outlet>,
}

/// An image to build.
pub struct ImageBuild<'b> {
    /// Folder that the build sees.
    pub context: &'b Path,
    /// Name of the Dockerfile in that folder.
    pub dockerfile: &'b str,
    /// Name of the image.
    pub tag: &'b str,
}

/// What the `job` context shows of a machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attachments {
    /// Name of the network of the job. `None` if the job has no containers.
    pub network: Option<String>,
    /// Id of the container of the job.
    pub container: Option<String>,
    /// The services, with the ids of their containers.
    pub services: Vec<(Service, String)>,
}

/// Something that a provider holds for a run, such as a container or a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Name of the provider.
    pub provider: &'static str,
    /// What it is.
    pub kind: HoldingKind,
    /// The provider's id.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Id of the run; empty for what serves later runs too, such as the image of an action.
    pub run: String,
}

/// The kinds of things that providers hold.
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

/// How far the download of an image is, summed over its layers, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Downloaded so far.
    pub done: u64,
    /// Total, as far as it is known.
    pub total: u64,
}
