//! Registry of providers, and operations over all of them.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::docker::DockerProvider;
use super::host::{Host, HostProvider};
use super::provider::{Base, Holding, HoldingKind, Provider, ProviderError};
use crate::model::RunId;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::lock;

/// Provider and base of the machine that a job runs on.
#[derive(Clone)]
pub struct Placement {
    /// Provider of the machine.
    pub provider: Arc<dyn Provider>,
    /// Where the steps run.
    pub base: Base,
}

/// All providers.
#[derive(Clone)]
pub struct Providers {
    all: Vec<Arc<dyn Provider>>,
    containers: Arc<dyn Provider>,
}

impl Providers {
    /// Returns the registry. Processes on this machine start from the environment of `host`.
    ///
    /// Add a new provider here.
    #[must_use]
    pub fn new(host: &Arc<Host>) -> Self {
        let docker: Arc<dyn Provider> = Arc::new(DockerProvider::default());
        let host = Arc::new(HostProvider::new(Arc::clone(host), Arc::clone(&docker)));
        Self::of(vec![host, Arc::clone(&docker)], docker)
    }

    /// Returns a registry of these providers. `containers` is the provider of containers for jobs on this machine.
    #[must_use]
    pub fn of(all: Vec<Arc<dyn Provider>>, containers: Arc<dyn Provider>) -> Self {
        Self { all, containers }
    }

    /// Returns the registry for commands of the user, with the environment of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self::new(&Arc::new(Host::new(std::env::vars_os())))
    }

    /// Returns all providers.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Provider> {
        self.all.iter().map(AsRef::as_ref)
    }

    /// Returns the provider of containers for jobs on this machine, used for their services and Docker actions.
    #[must_use]
    pub fn containers(&self) -> &dyn Provider {
        self.containers.as_ref()
    }

    /// Returns the placement of a job at `NAME` or `NAME:IMAGE`, such as `host` or `docker:python:3.12`. `None` if
    /// the provider does not exist, or it does not support the image. `default_image` is the image of a job that names
    /// none.
    #[must_use]
    pub fn place(&self, sandbox: &str, default_image: &str) -> Option<Placement> {
        let (name, image) = sandbox.split_once(':').map_or((sandbox, None), |(name, image)| (name, Some(image)));
        let provider = self.all.iter().find(|provider| provider.name() == name)?;
        Some(Placement { provider: Arc::clone(provider), base: provider.base(image, default_image)? })
    }

    /// Returns the placement of a job that has a `container`. If `placement` is this machine itself, the container runs
    /// at the provider of containers for this machine; otherwise the provider stays the same.
    #[must_use]
    pub fn in_container(&self, placement: Placement) -> Placement {
        let provider = if placement.base == Base::Machine { Arc::clone(&self.containers) } else { placement.provider };
        Placement { provider, base: Base::Container }
    }

    /// Finds the provider of a machine by the machine's description (`docker ci-base:local`).
    #[must_use]
    pub fn of_machine(&self, description: &str) -> Option<&dyn Provider> {
        let name = description.split_once(' ').map_or(description, |(name, _)| name);
        self.iter().find(|provider| provider.name() == name)
    }

    /// Lists the resources of the runs of a state folder. A provider that does not answer is skipped, as its resources
    /// cannot be removed either.
    ///
    /// # Errors
    /// A provider answered with an error.
    pub async fn holdings(&self, state: &Path) -> Result<Vec<Holding>, ProviderError> {
        let mut all = Vec::new();
        for provider in self.iter() {
            match provider.holdings(state).await {
                Err(ProviderError::Unavailable(_)) => {}
                found => all.extend(found?),
            }
        }
        Ok(all)
    }

    /// Removes resources that [`Providers::holdings`] listed.
    ///
    /// # Errors
    /// The first resource that could not be removed, after trying all others.
    pub async fn remove(&self, holdings: &[Holding]) -> Result<(), ProviderError> {
        let mut done = Ok(());
        for provider in self.iter() {
            let own: Vec<_> = holdings.iter().filter(|one| one.provider == provider.name()).cloned().collect();
            if !own.is_empty() {
                done = done.and(provider.remove(&own).await);
            }
        }
        done
    }

    /// Removes the snapshots that are older than a day, and all others except the newest `keep`.
    ///
    /// # Errors
    /// A provider answered with an error. A provider that does not answer is skipped.
    pub async fn prune_snapshots(&self, state: &Path, keep: usize) -> Result<(), ProviderError> {
        for provider in self.iter() {
            match provider.prune_snapshots(state, keep).await {
                Err(ProviderError::Unavailable(_)) => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Removes all resources of these runs: containers, networks, volumes, and the snapshots of failed jobs. Returns
    /// what was removed. Must be called while the caller holds the locks of the runs, and before their folders are
    /// removed, because they contain the addresses of engines.
    ///
    /// # Errors
    /// The first provider that does not answer or could not remove a resource, after trying all others. The folders may
    /// still be removed then: `cuelight clean` finds the remaining resources later.
    pub async fn forget(&self, runs: &[RunFolder]) -> Result<Vec<Holding>, ProviderError> {
        let (mut removed, mut first) = (Vec::new(), None);
        for provider in self.iter() {
            match provider.forget(runs).await {
                Ok(holdings) => removed.extend(holdings),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        first.map_or(Ok(removed), Err)
    }

    /// Ends every process of a run whose worker died, and removes the run's resources. Resources that cannot be removed
    /// now are listed by `cuelight doctor` and removed by `cuelight clean`.
    pub async fn abandon(&self, run: &RunFolder, groups: &[i32]) {
        for provider in self.iter() {
            if let Err(error) = provider.abandon(run, groups).await {
                tracing::warn!(provider = provider.name(), run = %run.id(), %error, "cannot clean up a lost run");
            }
        }
    }
}

/// Selects leftovers: the resources of runs without a worker, except those kept on purpose (snapshots of runs that
/// still exist, and images that serve all runs).
#[must_use]
pub fn left_over(holdings: Vec<Holding>, runs: &RunsDir) -> Vec<Holding> {
    let is_left = |one: &Holding| {
        let folder = runs.folder(RunId::new(&one.run));
        let kept = one.kind == HoldingKind::Image && (one.run.is_empty() || folder.path().exists());
        !kept && (one.run.is_empty() || !lock::is_held(&folder.lock()))
    };
    holdings.into_iter().filter(is_left).collect()
}

/// Selects the holdings of these runs.
#[must_use]
pub fn of_runs(holdings: &[Holding], runs: &[RunFolder]) -> Vec<Holding> {
    let ids: HashSet<&str> = runs.iter().map(|run| run.id().as_str()).collect();
    holdings.iter().filter(|one| ids.contains(one.run.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(kind: HoldingKind, run: &str) -> Holding {
        Holding { provider: "docker", kind, id: String::new(), name: kind.word().to_owned(), run: run.to_owned() }
    }

    #[test]
    fn leftovers_have_no_worker_and_are_not_kept_on_purpose() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        for run in ["alive", "ended"] {
            std::fs::create_dir_all(runs.folder(RunId::new(run)).path()).expect("made");
        }
        let _worker = lock::take_free(&runs.folder(RunId::new("alive")).lock());
        let kinds = [HoldingKind::Container, HoldingKind::Image];
        let all = ["alive", "ended", "removed", ""].iter().flat_map(|run| kinds.map(|kind| holding(kind, run)));
        let left = left_over(all.collect(), &runs);
        let left: Vec<_> = left.iter().map(|one| (one.kind.word(), one.run.as_str())).collect();
        assert_eq!(left, [("container", "ended"), ("container", "removed"), ("image", "removed"), ("container", "")]);
    }

    #[test]
    fn jobs_are_placed_by_the_name_of_a_provider_and_an_image() {
        let providers = Providers::of_this_process();
        let place = |sandbox| providers.place(sandbox, "default:1").map(|found| (found.provider.name(), found.base));
        let image = |image: &str| Base::Image(image.to_owned());
        assert_eq!(place("host"), Some(("host", Base::Machine)));
        assert_eq!(place("docker"), Some(("docker", image("default:1"))));
        assert_eq!(place("docker:python:3.12"), Some(("docker", image("python:3.12"))));
        assert_eq!((place("host:x"), place("moon")), (None, None));
        let on_host = providers.place("host", "").expect("there is a host");
        let contained = providers.in_container(on_host);
        assert_eq!((contained.provider.name(), contained.base), ("docker", Base::Container));
    }

    #[test]
    fn the_settings_name_every_provider_and_whether_it_takes_an_image() {
        let providers = Providers::of_this_process();
        let known = providers.iter().map(|provider| (provider.name(), provider.base(Some("image"), "").is_some()));
        assert_eq!(known.collect::<Vec<_>>(), crate::config::SANDBOXES);
    }

    #[test]
    fn machines_are_found_by_the_first_word_of_their_description() {
        let providers = Providers::of_this_process();
        let name = |description| providers.of_machine(description).map(Provider::name);
        assert_eq!(name("docker ci-base:local"), Some("docker"));
        assert_eq!(name("host"), Some("host"));
        assert_eq!(name("moon 1"), None);
    }
}
