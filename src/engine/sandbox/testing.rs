//! Scripted providers for tests.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending, ready};

use super::Sandbox;
use super::container::ContainerSpec;
use super::network::Network;
use super::provider::{
    Attachments, Base, Containers, ImageBuild, Machine, MachineSpec, Progress, Provider, ProviderError, Requirements,
    Say, Unmet,
};
use super::providers::Providers;
use super::shared::SharedFolder;
use super::terminal::{Shell, ShellRequest};

/// Behaviour of scripted providers, and the requests that they got.
#[derive(Default)]
pub(crate) struct Script {
    /// Requirements that cannot be met.
    pub(crate) unmet: Vec<Unmet>,
    /// Progress to report while images are fetched.
    pub(crate) progress: Vec<(&'static str, Progress)>,
    /// Requested images: the part of the job that needs each one, and its name.
    pub(crate) images: Mutex<Vec<String>>,
}

impl Script {
    /// Returns the providers `host` and `docker`, which follow the script.
    pub(crate) fn providers(self) -> (Arc<Self>, Providers) {
        let script = Arc::new(self);
        let provider = |name, is_host| Arc::new(Scripted { name, is_host, script: Arc::clone(&script) });
        let docker = provider("docker", false);
        (Arc::clone(&script), Providers::of(vec![provider("host", true), Arc::clone(&docker) as _], docker))
    }
}

struct Scripted {
    name: &'static str,
    is_host: bool,
    script: Arc<Script>,
}

impl Provider for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn check(&self) -> BoxFuture<'_, Result<Option<String>, ProviderError>> {
        ready(Ok(Some(self.name.to_owned()))).boxed()
    }

    fn base(&self, image: Option<&str>, default_image: &str) -> Option<Base> {
        let image = image.unwrap_or(default_image).to_owned();
        Some(if self.is_host { Base::Machine } else { Base::Image(image) })
    }

    fn check_container(&self, _container: &ContainerSpec) -> Result<(), ProviderError> {
        Ok(())
    }

    fn prepare<'a>(
        &'a self,
        requirements: &'a Requirements<'a>,
        progress: &'a (dyn Fn(&str, Progress) + Sync),
    ) -> BoxFuture<'a, Result<Option<String>, Vec<Unmet>>> {
        let asked = requirements.images.iter().map(|one| format!("{}: {}", one.needed_by, one.container.image));
        self.script.images.lock().expect("no panic").extend(asked);
        for (image, now) in &self.script.progress {
            progress(image, *now);
        }
        let unmet = self.script.unmet.clone();
        let answer = requirements.needs_containers.as_ref().map(|_| "docker 1 at unix:///here".to_owned());
        ready(if unmet.is_empty() { Ok(answer) } else { Err(unmet) }).boxed()
    }

    fn machine(&self, spec: MachineSpec) -> Box<dyn Machine> {
        let image = spec.container.map(|container| format!(" {}", container.image)).unwrap_or_default();
        Box::new(ScriptedMachine { description: format!("{}{image}", self.name) })
    }

    fn shell<'a>(&'a self, _request: &'a ShellRequest<'a>) -> BoxFuture<'a, Result<Box<dyn Shell>, ProviderError>> {
        ready(Err(ProviderError::Refused("scripted machines have no shell".to_owned()))).boxed()
    }

    fn fetch_image<'a>(
        &'a self,
        _image: &'a str,
        _progress: &'a (dyn Fn(Progress) + Sync),
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        ready(Ok(())).boxed()
    }
}

/// A machine without a sandbox.
struct ScriptedMachine {
    description: String,
}

impl Machine for ScriptedMachine {
    fn describe(&self) -> String {
        self.description.clone()
    }

    fn sandbox(&self) -> Option<Arc<dyn Sandbox>> {
        None
    }

    fn start<'a>(&'a mut self, _say: &'a mut Say<'_>) -> BoxFuture<'a, Result<(), ProviderError>> {
        ready(Ok(())).boxed()
    }

    fn build_image<'a>(
        &'a self,
        _build: &'a ImageBuild<'a>,
        _say: &'a mut Say<'_>,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        ready(Ok(())).boxed()
    }

    fn one_shot<'a>(
        &'a self,
        _image: &'a str,
        _shared: Vec<SharedFolder>,
    ) -> BoxFuture<'a, Result<Arc<dyn Sandbox>, ProviderError>> {
        ready(Err(ProviderError::Refused("scripted machines run no containers".to_owned()))).boxed()
    }

    fn attachments(&self) -> Attachments {
        Attachments::default()
    }

    fn network(&self, _of: Containers) -> BoxFuture<'_, Result<Option<Network>, ProviderError>> {
        ready(Ok(None)).boxed()
    }

    fn lost(&self) -> BoxFuture<'_, ProviderError> {
        pending().boxed()
    }

    fn container_end(&self) -> BoxFuture<'_, ProviderError> {
        pending().boxed()
    }

    fn troubles(&self) -> Vec<String> {
        Vec::new()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<(), ProviderError>> {
        ready(Ok(())).boxed()
    }

    fn stop<'a>(&'a mut self, _settled: bool, _say: &'a mut Say<'_>) -> BoxFuture<'a, Result<(), ProviderError>> {
        ready(Ok(())).boxed()
    }
}
