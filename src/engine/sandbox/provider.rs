//! What the rest of the program asks of a kind of machine: [`Provider`], one per entry of the registry
//! ([`Providers`](super::providers::Providers)).
//!
//! Everything that differs between kinds of machines is behind this trait. Nothing above it names Docker or any other
//! product.

use std::path::Path;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::terminal::{Shell, ShellRequest};
use crate::store::folder::RunFolder;

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
