//! Containers of an engine that speaks Docker's API: Docker itself, or podman.
//!
//! Nothing outside this folder names a type of it, except the registry of providers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::provider::{Holding, Progress, Provider, ProviderError};
use super::terminal::{Shell, ShellRequest};
use crate::store::folder::RunFolder;

mod address;
mod archive;
pub mod body;
pub mod client;
pub mod container;
mod exec;
mod images;
pub mod labels;
pub mod one_shot;
mod options;
mod owned;
mod shell;
pub mod snapshots;
mod supervisor;

use client::{DockerClient, DockerError, NAME};
use shell::ContainerShell;

/// The file in the folder of a run with the address of the Docker engine that the run uses.
const NOTE: &str = "engine";

/// Containers of one Docker engine.
#[derive(Default)]
pub struct DockerProvider {
    client: OnceCell<DockerClient>,
}

impl DockerProvider {
    /// Returns the connection, which is made by the first call that finds an engine.
    async fn client(&self) -> Result<&DockerClient, DockerError> {
        self.client.get_or_try_init(DockerClient::find).await
    }
}

impl Provider for DockerProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self) -> BoxFuture<'_, Result<Option<String>, ProviderError>> {
        async move { Ok(Some(self.client().await?.describe())) }.boxed()
    }

    fn fetch_image<'a>(
        &'a self,
        image: &'a str,
        progress: &'a (dyn Fn(Progress) + Sync),
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move { Ok(self.client().await?.ensure_image(image, None, progress).await.map(drop)?) }.boxed()
    }

    fn shell<'a>(&'a self, request: &'a ShellRequest<'a>) -> BoxFuture<'a, Result<Box<dyn Shell>, ProviderError>> {
        async move {
            let client = match noted(request.run) {
                Some(address) => DockerClient::at(&address).await?,
                None => self.client().await?.clone(),
            };
            Ok(Box::new(ContainerShell::find(client, request).await?) as Box<dyn Shell>)
        }
        .boxed()
    }

    fn holdings<'a>(&'a self, state: &'a Path) -> BoxFuture<'a, Result<Vec<Holding>, ProviderError>> {
        async move { Ok(self.client().await?.owned(state, None, None).await?) }.boxed()
    }

    fn remove<'a>(&'a self, holdings: &'a [Holding]) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move { Ok(self.client().await?.remove_all(holdings).await?) }.boxed()
    }

    fn prune_snapshots<'a>(&'a self, state: &'a Path, keep: usize) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move { Ok(self.client().await?.prune_snapshots(state, keep).await?) }.boxed()
    }

    fn forget<'a>(&'a self, runs: &'a [RunFolder]) -> BoxFuture<'a, Result<Vec<Holding>, ProviderError>> {
        async move {
            let (mut removed, mut failed) = (Vec::new(), None);
            for ((address, state), runs) in by_engine(runs) {
                match forget(&address, &state, &runs).await {
                    Ok(holdings) => removed.extend(holdings),
                    Err(error) => drop(failed.get_or_insert(error)),
                }
            }
            failed.map_or(Ok(removed), |error| Err(error.into()))
        }
        .boxed()
    }
}

/// Removes everything of runs that used one Docker engine.
async fn forget(address: &str, state: &Path, runs: &[&RunFolder]) -> Result<Vec<Holding>, DockerError> {
    let client = DockerClient::at(address).await?;
    let only = if let [run] = runs { Some(run.id().as_str()) } else { None };
    let mut found = client.owned(state, only, None).await?;
    found.retain(|one| runs.iter().any(|run| run.id().as_str() == one.run));
    client.remove_all(&found).await?;
    for run in runs {
        let _ = fs::remove_file(run.path().join(NOTE));
    }
    Ok(found)
}

/// Groups runs by the address of the Docker engine that they used, and by their state folder. Runs that used none are
/// left out.
fn by_engine(runs: &[RunFolder]) -> BTreeMap<(String, PathBuf), Vec<&RunFolder>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for run in runs {
        if let Some(address) = noted(run) {
            groups.entry((address, run.state().to_owned())).or_default().push(run);
        }
    }
    groups
}

/// Returns the address of the Docker engine that a run uses.
fn noted(run: &RunFolder) -> Option<String> {
    fs::read_to_string(run.path().join(NOTE)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_grouped_by_the_engine_that_they_used() {
        let home = tempfile::tempdir().expect("a folder");
        let runs: Vec<_> = [("1", Some("a")), ("2", None), ("3", Some("b")), ("4", Some("a"))]
            .map(|(id, address)| {
                let run = RunFolder::at(home.path().join("runs").join(id));
                fs::create_dir_all(run.path()).expect("made");
                if let Some(address) = address {
                    fs::write(run.path().join(NOTE), address).expect("written");
                }
                run
            })
            .into();
        let groups = by_engine(&runs);
        let ids = |runs: &[&RunFolder]| runs.iter().map(|run| run.id().to_string()).collect::<String>();
        let groups: Vec<_> = groups.iter().map(|((address, _), runs)| (address.as_str(), ids(runs))).collect();
        assert_eq!(groups, [("a", "14".to_owned()), ("b", "3".to_owned())]);
    }

    #[tokio::test]
    async fn runs_that_used_no_engine_are_forgotten_without_one() {
        let run = RunFolder::at("/nowhere/runs/1");
        assert_eq!(DockerProvider::default().forget(&[run]).await, Ok(Vec::new()));
    }
}
