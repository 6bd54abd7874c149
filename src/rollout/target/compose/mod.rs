//! A target of Compose: a service of a Compose file, whose containers are the replicas.
//!
//! The program of Compose starts the containers, so they are those of the Compose file, except for their image and
//! their labels: those are in a further file, which Compose reads last. The state of the target is read each time from
//! the labels. Containers that Compose has started without this program belong to the service, too; the release of such
//! a container is its image.
//!
//! - With the strategy `recreate`, Compose replaces the stopped containers, as `docker compose up` does, and keeps
//!   their anonymous volumes.
//! - With `rolling`, Compose starts containers beside the others (`up --no-recreate --scale`), and those of the other
//!   release are removed. Other containers reach the service by its name, under which Docker returns the addresses of
//!   all its running containers. So a new container gets requests as soon as it runs, and a stopped one has the time of
//!   `stop_grace_period` to finish its requests.
//!
//! The lock against deployments from other machines is a [`Lease`] of the project and the service.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending, try_join_all};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::engine::sandbox::compose::{ComposeError, ComposeProgram};
use crate::engine::sandbox::docker::client::{DockerClient, DockerError};
use crate::engine::sandbox::docker::compose::labels_of;
use crate::model::RunId;
use crate::model::deployment::{
    ComposeSettings, EnvironmentSettings, Observed, Plan, PlanStep, Probe, ReleaseImage, Slot, Strategy, image_of,
};
use crate::model::environment::Release;
use crate::rollout::check::{self, Answer};
use crate::rollout::outlet::Progress;
use crate::rollout::shell::{CommandError, Output, Shell};
use crate::store::json;

use super::docker::lease::Lease;
use super::docker::{images, names, status};
use super::{ReplicaState, Target, TargetError};

mod error;
mod project;
mod scene;

pub use error::ComposeFault;

use project::{Project, Service};
use scene::{Replica, Scene};

/// A target of Compose, for one deployment.
pub struct ComposeTarget {
    settings: EnvironmentSettings,
    compose: ComposeSettings,
    deployment: RunId,
    shell: Shell,
    /// The file with the image and the labels of a release.
    last_file: PathBuf,
    program: OnceCell<ComposeProgram>,
    client: OnceCell<DockerClient>,
    /// The service as the files of the project described it when Compose was first asked.
    described: OnceCell<Service>,
    lock: tokio::sync::Mutex<Option<Lease>>,
    /// Whether the engine has no lock for this deployment, and the log does not say so yet.
    lacks_lock: AtomicBool,
    /// The holder of the lock, while this deployment waits for it.
    awaited: Mutex<Option<String>>,
}

impl ComposeTarget {
    /// Returns the target of an environment. `shell` runs Compose and the commands of checks. `last_file` is the path
    /// of the file that Compose reads after those of the project.
    #[must_use]
    pub(super) fn new(
        settings: EnvironmentSettings,
        compose: ComposeSettings,
        deployment: RunId,
        shell: Shell,
        last_file: PathBuf,
    ) -> Self {
        let (program, client, described) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        let (lock, lacks_lock) = (tokio::sync::Mutex::new(None), AtomicBool::new(false));
        let awaited = Mutex::default();
        Self { settings, compose, deployment, shell, last_file, program, client, described, lock, lacks_lock, awaited }
    }

    /// Notes for which holder of the lock this deployment waits.
    fn set_awaited(&self, holder: Option<&str>) {
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = holder.map(str::to_owned);
    }

    async fn client(&self) -> Result<&DockerClient, ComposeFault> {
        Ok(self.client.get_or_try_init(DockerClient::find).await?)
    }

    async fn program(&self) -> Result<ComposeProgram, ComposeFault> {
        Ok(*self.program.get_or_try_init(|| project::program(self.compose.timeout)).await?)
    }

    fn project(&self) -> Result<Project, ComposeFault> {
        Project::find(&self.compose, &self.shell)
    }

    /// Returns the service as the files of the project describe it. Compose is asked once in a deployment.
    async fn service(&self) -> Result<&Service, ComposeFault> {
        let describe = async || {
            let project = self.project()?;
            project.service(self.program().await?, &self.compose.service, &self.shell, self.compose.timeout).await
        };
        self.described.get_or_try_init(describe).await
    }

    /// Returns the name of the lock: of the project, as Compose names it, and of the service. Version 1 of Compose does not
    /// print the name, so it is read from the containers or, before there are any, formed as Compose does. Other environments
    /// of the same service have the same lock, because they have the same containers.
    async fn lock_name(&self) -> Result<String, ComposeFault> {
        let project = match (&self.compose.project, &self.service().await?.project) {
            (Some(name), _) | (None, Some(name)) => name.clone(),
            (None, None) => {
                let mut names = self.scene().await?.all.into_iter().map(|replica| replica.container.project);
                match names.find(|name| !name.is_empty()) {
                    Some(name) => name,
                    None => self.project()?.name_of_folder(),
                }
            }
        };
        Ok(lock_of(&project, &self.compose.service))
    }

    /// Makes sure that the lock is still held, if it was taken. If the engine cannot have one, says so once.
    async fn confirm(&self, progress: &Progress) -> Result<(), TargetError> {
        if self.lacks_lock.swap(false, Ordering::Relaxed) {
            let engine = self.client().await?.describe();
            progress.say(&format!(
                "{engine} cannot hold a lock, so a deployment from another machine at the same time is not prevented"
            ));
        }
        match self.lock.lock().await.as_mut() {
            Some(held) => Ok(held.confirm().await?),
            None => Ok(()),
        }
    }

    async fn scene(&self) -> Result<Scene, ComposeFault> {
        let (folder, name) = (self.project()?.folder, self.compose.project.as_deref());
        let found = self.client().await?.compose_replicas(&folder, name, &self.compose.service).await?;
        let mut projects: Vec<&str> = found.iter().map(|container| container.project.as_str()).collect();
        projects.sort_unstable();
        projects.dedup();
        if projects.len() > 1 {
            return Err(ComposeFault::Projects(projects.join(", ")));
        }
        let mut scene = Scene::new(found, &self.settings.name);
        let restarts = status::restarts(self.client().await?, scene.all.iter().map(Replica::suspect)).await?;
        for replica in &mut scene.all {
            replica.restarts = restarts.get(&replica.container.id).copied().unwrap_or_default();
        }
        Ok(scene)
    }

    fn recreates(&self) -> bool {
        self.settings.strategy == Strategy::Recreate
    }

    /// Checks that the containers of the project are those of its folder. Without `target.project`, they are found by the
    /// folder, but Compose itself goes by the name: it would take those of another folder for replicas of this one.
    async fn check_folder(&self, described: &Service) -> Result<(), ComposeFault> {
        let (None, Some(project)) = (&self.compose.project, &described.project) else { return Ok(()) };
        let (folder, service) = (self.project()?.folder, &self.compose.service);
        let all = self.client().await?.compose_replicas(&folder, Some(project.as_str()), service).await?;
        let other = all.into_iter().find(|container| Path::new(&container.folder) != folder);
        other.map_or(Ok(()), |other| {
            let (project, service) = (project.clone(), service.clone());
            Err(ComposeFault::OtherFolder { project, service, folder: other.folder })
        })
    }

    /// Checks that Compose can carry out a plan.
    async fn checked(&self, plan: &Plan) -> Result<(), ComposeFault> {
        let service = self.compose.service.clone();
        let found = self.service().await?;
        self.check_folder(found).await?;
        if self.recreates() && plan.new.replicas == 1 {
            return Ok(());
        }
        if let Some(port) = found.publishes.clone() {
            return Err(ComposeFault::Publishes { service, port });
        }
        if let Some(name) = found.container.clone() {
            return Err(ComposeFault::Named { service, name });
        }
        if found.is_on_machine { Err(ComposeFault::OnMachine { service }) } else { Ok(()) }
    }

    /// Makes sure that the image of a release is here, and that its health can be checked. Done before anything is
    /// stopped.
    async fn ensure_image(
        &self,
        release: &Release,
        former: Option<&String>,
        progress: &Progress,
    ) -> Result<String, ComposeFault> {
        let (client, name) = (self.client().await?, image_of(&self.compose.image, release)?);
        let image = images::ensure(client, &name, former, progress).await?;
        if self.settings.health_check.is_none() && !release.is_image() {
            let has_check = match self.service().await?.checks_health {
                Some(has_check) => has_check,
                None => client.image_checks_health(&image).await?,
            };
            if !has_check {
                return Err(ComposeFault::NoHealthCheck { service: self.compose.service.clone() });
            }
        }
        Ok(image)
    }

    /// Writes the file with the image and the labels of the containers of a slot.
    fn write_last_file(&self, slot: Slot, release: &Release, image: &str) -> Result<(), ComposeFault> {
        // Compose would replace a variable, and git allows `$` in the name of a tag.
        let labels = json!({
            names::ENVIRONMENT: self.settings.name,
            names::SLOT: slot.name(),
            names::SHA: release.sha,
            names::RELEASE: release.name().replace('$', "$$"),
            names::DEPLOYMENT: self.deployment.to_string(),
        });
        // The image is here, and Compose must not take another one that its name stands for by now.
        let service = json!({ "image": image, "pull_policy": "never", "labels": labels });
        // JSON is YAML, too.
        let text = json!({ "services": { self.compose.service.clone(): service } });
        Ok(json::write(&self.last_file, &text)?)
    }

    /// Runs Compose.
    async fn run(&self, args: &[&str], progress: &Progress) -> Result<(), ComposeFault> {
        let program = self.program().await?;
        let command = format!("{} {}", program.words(), args.join(" "));
        progress.say(&command);
        // The names of services are words, so nothing needs quotes.
        let text = format!("exec {command} 2>&1");
        let mut variables = self.project()?.variables(Some(&self.last_file));
        // Identifies the process when the worker has died.
        variables.push(("DEPLOY_ID", self.deployment.to_string()));
        let limit = self.compose.timeout;
        let ended = self.shell.run(&text, &variables, limit, (progress, Output::Kept)).await;
        let ended = ended.map_err(CommandError::Start)?;
        progress.write(&ended.output);
        match ended.status {
            None => Err(ComposeFault::TooSlow { command, limit }),
            Some(status) if status.success() => Ok(()),
            Some(_) => Err(ComposeError::failed(command, &String::from_utf8_lossy(&ended.output)).into()),
        }
    }

    async fn start(&self, slot: Slot, replicas: u32, plan: &Plan, progress: &Progress) -> Result<(), ComposeFault> {
        let Some(release) = plan.release(slot) else { return Ok(()) };
        let scene = self.scene().await?;
        let image = match scene.started(slot).next().filter(|replica| replica.release == release.sha) {
            // Its name may stand for another image by now.
            Some(first) => first.container.image.clone(),
            None => self.ensure_image(release, plan.images.get(&slot), progress).await?,
        };
        if let Some(foreign) = scene.started(slot).find(|replica| replica.release != release.sha) {
            let (found, wanted) = (foreign.release.clone(), release.sha.clone());
            return Err(ComposeFault::OtherRelease { slot, found, wanted });
        }
        let mut args = vec!["up", "--detach", "--no-deps", "--no-build"];
        if !self.recreates() {
            // Compose would start containers that have ended, instead of making new ones.
            let ended: Vec<&Replica> = scene.all.iter().filter(|replica| !replica.is_started()).collect();
            self.remove(&ended).await?;
            args.push("--no-recreate");
        }
        self.write_last_file(slot, release, &image)?;
        let service = &self.compose.service;
        let scale = format!("{service}={}", replicas + scene.count(slot.other()));
        args.extend(["--scale", &scale, service]);
        self.run(&args, progress).await?;
        for replica in self.scene().await?.started(slot) {
            progress.say(&format!("{} runs {image}", replica.container.name));
        }
        Ok(())
    }

    async fn stop(&self, slot: Slot, keep: u32, plan: &Plan, progress: &Progress) -> Result<(), ComposeFault> {
        if slot != plan.new.slot {
            // Without its image, the new release could not start.
            self.ensure_image(&plan.new.release, plan.images.get(&plan.new.slot), progress).await?;
        }
        let (scene, client) = (self.scene().await?, self.client().await?);
        let stopped = scene.beyond(slot, keep);
        try_join_all(stopped.iter().map(|one| client.stop(&one.container.id, &one.container.name))).await?;
        for replica in &stopped {
            progress.say(&format!("stopped {}", replica.container.name));
        }
        // Compose replaces stopped containers by those of the release that starts next, if there is one.
        if !self.recreates() || plan.old.is_none() {
            self.remove(&stopped).await?;
        }
        Ok(())
    }

    async fn remove(&self, replicas: &[&Replica]) -> Result<(), ComposeFault> {
        let client = self.client().await?;
        try_join_all(replicas.iter().map(|replica| client.remove(&replica.container.id))).await?;
        Ok(())
    }

    async fn carry_out(&self, step: &PlanStep, plan: &Plan, progress: &Progress) -> Result<(), ComposeFault> {
        match step {
            PlanStep::Start { slot, replicas } => self.start(*slot, *replicas, plan, progress).await,
            PlanStep::Stop { slot, keep, .. } => self.stop(*slot, *keep, plan, progress).await,
            // Plans for this target have no weights and do not drain.
            PlanStep::Healthy { .. } | PlanStep::Weight { .. } | PlanStep::Drain { .. } => Ok(()),
            PlanStep::Check { .. } | PlanStep::Pause(_) => Ok(()),
        }
    }

    /// Checks the health of a slot according to Docker, and then the probe of the settings.
    async fn healthy(&self, slot: Slot, plan: &Plan, progress: &Progress) -> Result<Answer, ComposeFault> {
        let scene = self.scene().await?;
        let ours = || scene.all.iter().filter(|replica| replica.slot == slot);
        let ended = ours().find(|replica| !replica.is_started());
        if let Some(Replica { container, .. }) = ended {
            // Docker starts a container again at once, if it is to be started again.
            return Ok(Answer::Hopeless(format!("{} has ended: {}", container.name, container.status)));
        }
        // The words of Docker have the age of the container, so they differ each time.
        let is_starting = |replica: &&Replica| status::is_starting(&replica.container.status);
        if let Some(Replica { container, .. }) = ours().find(|replica| !replica.is_well() && !is_starting(replica)) {
            let how = match container.status.as_str() {
                status if status::is_paused(status) => "is paused",
                status if status::is_running(status) => "is unhealthy",
                _ => "is started again and again",
            };
            return Ok(Answer::Bad(format!("{} {how}", container.name)));
        }
        if let Some(Replica { container, .. }) = ours().find(is_starting) {
            return Ok(Answer::Unknown(format!("the health check of {} has no result yet", container.name)));
        }
        if scene.count(slot) == 0 {
            return Ok(Answer::Bad(format!("no container of {} runs in {slot}", self.compose.service)));
        }
        let Some(probe) = &self.settings.health_check else {
            let count = scene.count(slot);
            return Ok(Answer::Good(format!("{slot}: {count} of {count} containers are healthy")));
        };
        Ok(self.check(probe, self.settings.health.timeout, slot, plan, progress).await)
    }
}

impl Target for ComposeTarget {
    fn observe<'t>(&'t self, _: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>> {
        async {
            let scene = self.scene().await?;
            let mut observed = scene.observed();
            if let (Some(looping), Ok(client)) =
                (scene.all.iter().find(|replica| replica.is_looping()), self.client().await)
                && let Some(end) = status::last_end(client, looping.suspect()).await
            {
                observed.note = observed.note.map(|note| format!("{note}; {end}"));
            }
            Ok(observed)
        }
        .boxed()
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        async {
            match (self.client().await, self.project()) {
                (Ok(client), Ok(project)) => {
                    let name = self.compose.project.as_deref();
                    status::changed(client, labels_of(&project.folder, name, &self.compose.service)).await;
                }
                _ => pending().await,
            }
        }
        .boxed()
    }

    fn can_carry_out<'t>(&'t self, plan: &'t Plan) -> BoxFuture<'t, Result<(), TargetError>> {
        async { Ok(self.checked(plan).await?) }.boxed()
    }

    fn image<'t>(
        &'t self,
        release: &'t Release,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Result<Option<ReleaseImage>, TargetError>> {
        async move {
            let name = image_of(&self.compose.image, release).map_err(ComposeFault::from)?;
            let client = self.client().await?;
            if release.is_image() && matches!(client.image(&name).await, Err(DockerError::Missing { .. })) {
                return Err(ComposeFault::ImageGone(release.short().to_owned()).into());
            }
            let newest = images::newest(client, name, progress).await;
            Ok(Some(newest.map_err(ComposeFault::from)?))
        }
        .boxed()
    }

    fn remove_images<'t>(&'t self, all: &'t [ReleaseImage]) -> BoxFuture<'t, Result<Vec<String>, TargetError>> {
        async move { Ok(images::remove(self.client().await?, all).await) }.boxed()
    }

    fn act<'t>(
        &'t self,
        step: &'t PlanStep,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Result<(), TargetError>> {
        async move {
            self.confirm(progress).await?;
            Ok(self.carry_out(step, plan, progress).await?)
        }
        .boxed()
    }

    fn health<'t>(&'t self, slot: Slot, plan: &'t Plan, progress: &'t Progress) -> BoxFuture<'t, Answer> {
        let asked = self.healthy(slot, plan, progress);
        let answer = |error: ComposeFault| {
            let text = error.to_string();
            if error.is_unanswered() { Answer::Unknown(text) } else { Answer::Bad(text) }
        };
        asked.map(move |asked| asked.unwrap_or_else(answer)).boxed()
    }

    fn check<'t>(
        &'t self,
        probe: &'t Probe,
        limit: std::time::Duration,
        slot: Slot,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Answer> {
        check::ask_of_slot(probe, limit, &self.shell, (self.settings.name.as_str(), slot, plan), progress).boxed()
    }

    fn replicas<'t>(&'t self, plan: &'t Plan) -> BoxFuture<'t, Option<Vec<ReplicaState>>> {
        async move {
            let (scene, client) = (self.scene().await.ok()?, self.client().await.ok()?);
            let own = scene.own(plan.new.slot, self.deployment.as_str());
            status::replicas(client, own.into_iter().map(Replica::suspect)).await
        }
        .boxed()
    }

    fn evidence<'t>(&'t self, slot: Slot, progress: &'t Progress) -> BoxFuture<'t, Option<String>> {
        async move {
            let (scene, client) = (self.scene().await.ok()?, self.client().await.ok()?);
            let own = scene.own(slot, self.deployment.as_str());
            let first = status::first_ended(client, own.into_iter().map(Replica::suspect)).await;
            let mut all: Vec<&Replica> = scene.all.iter().filter(|replica| replica.slot == slot).collect();
            all.sort_by_key(|replica| (first.as_ref() != Some(&replica.container.id), replica.is_well()));
            status::evidence(client, all.into_iter().map(Replica::suspect), progress).await
        }
        .boxed()
    }

    fn lock<'t>(&'t self, owner: &'t str, is_patient: bool) -> BoxFuture<'t, Result<(), TargetError>> {
        async move {
            let (client, name) = (self.client().await?, self.lock_name().await?);
            let id = self.deployment.to_string();
            let waits = |holder: &str| self.set_awaited(Some(holder));
            let taken = Lease::take(client, &name, (&id, owner), is_patient, &waits).await;
            self.set_awaited(None);
            let taken = taken?;
            self.lacks_lock.store(taken.is_none(), Ordering::Relaxed);
            *self.lock.lock().await = taken;
            Ok(())
        }
        .boxed()
    }

    fn awaited_lock(&self) -> Option<String> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn unlock(&self) -> BoxFuture<'_, ()> {
        async move {
            if let Some(held) = self.lock.lock().await.take() {
                held.release().await;
            }
        }
        .boxed()
    }
}

/// Returns the name of the lock of a service. The name of a project has no `.`, so no other project and service have the same
/// one.
fn lock_of(project: &str, service: &str) -> String {
    format!("cuelight-lock-{project}.{service}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_of_each_project_has_its_own_lock() {
        assert_ne!(lock_of("a-b", "c"), lock_of("a", "b-c"));
        assert_ne!(lock_of("a", "b.c"), lock_of("a-b", "c"));
    }
}
