//! Containers of a Docker-compatible engine: Docker itself, or podman.
//!
//! In the module `engine`, only the registry of providers uses types of this folder. Deployments to Docker use its
//! client, too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};

use super::container::ContainerSpec;
use super::provider::{
    Base, FollowedLine, Holding, Machine, MachineSpec, Progress, Provider, ProviderError, RequiredImage, Requirements,
    Unmet,
};
use super::terminal::{Shell, ShellRequest};
use crate::store::folder::RunFolder;

mod address;
mod archive;
mod body;
pub mod client;
pub mod compose;
mod connection;
pub mod container;
mod dial;
mod exec;
mod forward;
mod health;
mod ignored;
mod images;
pub mod labels;
mod machine;
mod one_shot;
mod options;
mod owned;
mod pulse;
mod services;
mod shell;
mod snapshots;
mod states;
mod supervisor;

use client::{DockerClient, DockerError, NAME};
use connection::{Connection, noted};
use labels::Labels;
use machine::DockerMachine;
use shell::ContainerShell;

/// Provider for the containers of one Docker engine.
#[derive(Default)]
pub struct DockerProvider {
    connection: Arc<Connection>,
}

impl DockerProvider {
    async fn client(&self) -> Result<&DockerClient, DockerError> {
        self.connection.client().await
    }

    /// Returns the client of the engine that a run used.
    async fn client_of(&self, run: &RunFolder) -> Result<DockerClient, ProviderError> {
        Ok(match noted(run) {
            Some(address) => DockerClient::at(&address).await?,
            None => self.client().await?.clone(),
        })
    }

    async fn prepare(
        &self,
        requirements: &Requirements<'_>,
        progress: &(dyn Fn(&str, Progress) + Sync),
    ) -> Result<Option<String>, Vec<Unmet>> {
        let Some(needed_by) = &requirements.needs_containers else { return Ok(None) };
        let client = self.connection.of_run(requirements.run).await;
        let client = client.map_err(|error| vec![Unmet::Provider { needed_by: needed_by.clone(), error }])?;
        let mut unmet = Vec::new();
        let published = requirements.services.iter().find(|service| !service.ports.is_empty());
        if let (None, Base::Machine, Some(service)) = (client.socket(), requirements.base, published) {
            let address = client.address().to_owned();
            unmet.push(Unmet::NotLocal { service: service.name.clone(), address });
        }
        let fetched = join_all(requirements.images.iter().map(|required| fetch(&client, required, progress)));
        tokio::select! {
            fetched = fetched => unmet.extend(fetched.into_iter().filter_map(Result::err)),
            error = client.lost() => {
                unmet.push(Unmet::Provider { needed_by: needed_by.clone(), error: error.into() });
            }
        }
        if unmet.is_empty() { Ok(Some(client.describe())) } else { Err(unmet) }
    }
}

async fn fetch(
    client: &DockerClient,
    required: &RequiredImage,
    progress: &(dyn Fn(&str, Progress) + Sync),
) -> Result<(), Unmet> {
    let RequiredImage { needed_by, container } = required;
    let progress = |now| progress(&container.image, now);
    let fetched = client.ensure_image(&container.image, container.credentials.as_ref(), &progress).await;
    fetched.map(drop).map_err(|error| Unmet::Image {
        place: container.place.clone(),
        needed_by: needed_by.clone(),
        image: container.image.clone(),
        error: error.into(),
    })
}

impl Provider for DockerProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self) -> BoxFuture<'_, Result<Option<String>, ProviderError>> {
        async move { Ok(Some(self.client().await?.describe())) }.boxed()
    }

    fn base(&self, image: Option<&str>, default_image: &str) -> Option<Base> {
        Some(Base::Image(image.unwrap_or(default_image).to_owned()))
    }

    fn check_container(&self, container: &ContainerSpec) -> Result<(), ProviderError> {
        body::body(container, &Labels::new(Path::new(""), "", "")).map(drop)
    }

    fn prepare<'a>(
        &'a self,
        requirements: &'a Requirements<'a>,
        progress: &'a (dyn Fn(&str, Progress) + Sync),
    ) -> BoxFuture<'a, Result<Option<String>, Vec<Unmet>>> {
        self.prepare(requirements, progress).boxed()
    }

    fn machine(&self, spec: MachineSpec) -> Box<dyn Machine> {
        Box::new(DockerMachine::new(Arc::clone(&self.connection), spec))
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
            let client = self.client_of(request.run).await?;
            Ok(Box::new(ContainerShell::find(client, request).await?) as Box<dyn Shell>)
        }
        .boxed()
    }

    fn follow_log<'a>(
        &'a self,
        request: &'a ShellRequest<'a>,
        line: &'a mut FollowedLine<'_>,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move {
            let client = self.client_of(request.run).await?;
            let service = ContainerShell::find(client.clone(), request).await?;
            Ok(client.follow_log(service.container(), line).await?)
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

/// Removes all resources of runs that used one Docker engine, and the files with its address. Returns the resources.
async fn forget(address: &str, state: &Path, runs: &[&RunFolder]) -> Result<Vec<Holding>, DockerError> {
    let client = DockerClient::at(address).await?;
    let only = if let [run] = runs { Some(run.id().as_str()) } else { None };
    let mut found = client.owned(state, only, None).await?;
    found.retain(|one| runs.iter().any(|run| run.id().as_str() == one.run));
    client.remove_all(&found).await?;
    for run in runs {
        let _ = fs::remove_file(run.engine());
    }
    Ok(found)
}

/// Groups runs by the address of their Docker engine and by their state folder. Runs without an engine are left out.
fn by_engine(runs: &[RunFolder]) -> BTreeMap<(String, PathBuf), Vec<&RunFolder>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for run in runs {
        if let Some(address) = noted(run) {
            groups.entry((address, run.state().to_owned())).or_default().push(run);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_grouped_by_their_engine() {
        let home = tempfile::tempdir().expect("a folder");
        let runs: Vec<_> = [("1", Some("a")), ("2", None), ("3", Some("b")), ("4", Some("a"))]
            .map(|(id, address)| {
                let run = RunFolder::at(home.path().join("runs").join(id));
                fs::create_dir_all(run.path()).expect("made");
                if let Some(address) = address {
                    connection::note(&run, address).expect("written");
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
    async fn runs_without_an_engine_are_forgotten_without_connecting() {
        let run = RunFolder::at("/nowhere/runs/1");
        assert_eq!(DockerProvider::default().forget(&[run]).await, Ok(Vec::new()));
    }
}
