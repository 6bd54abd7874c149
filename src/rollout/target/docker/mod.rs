//! A target of containers behind a router.
//!
//! Replicas are containers without published ports. The state of the target is read each time from the labels of the
//! containers and from the router, so nothing is lost with the state folder. The router has a place for every possible
//! replica. Steps move weights, drain places, and start and remove containers. See [`router`] for the connection to the
//! router, and [`lock`] for deployments from several machines.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join, pending, try_join_all};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::engine::sandbox::docker::client::{DockerClient, DockerError};
use crate::model::RunId;
use crate::model::deployment::{
    Counters, DockerSettings, EnvironmentSettings, Observed, Plan, PlanStep, Probe, ReleaseImage, Slot, image_of,
    written,
};
use crate::model::environment::Release;
use crate::rollout::check::Answer;
use crate::rollout::outlet::Progress;
use crate::rollout::shell::Shell;

use super::{ReplicaState, Target, TargetError};

mod commands;
mod config;
mod error;
mod health;
pub(super) mod images;
mod latency;
pub(super) mod lease;
mod leftovers;
mod lock;
pub(super) mod names;
mod observed;
mod probes;
mod replicas;
mod router;
mod state;
pub(super) mod status;
#[cfg(test)]
mod testing;
mod tunnel;
mod weights;

pub use error::DockerFault;
pub use images::ensure_built;
pub use leftovers::remove_service;

use lock::Lock;
use names::Names;
use observed::Scene;
use replicas::{Replica, Start};
use router::Router;

/// Time between two reads of the router's report while waiting for a state.
const POLL: Duration = Duration::from_millis(50);

/// A target of containers, for one deployment.
pub struct DockerTarget {
    settings: EnvironmentSettings,
    docker: DockerSettings,
    host: Option<String>,
    names: Names,
    deployment: RunId,
    shell: Shell,
    client: OnceCell<DockerClient>,
    router: Router,
    lock: tokio::sync::Mutex<Option<Lock>>,
    /// Counters of the new release from before it got traffic.
    before: Mutex<Option<Counters>>,
}

impl DockerTarget {
    /// Returns the target of an environment on one host. `host` is the address of its engine; `None` for the one that
    /// `docker` would use. `shell` has the variables of the containers, and runs the commands of checks.
    #[must_use]
    pub(super) fn new(
        settings: EnvironmentSettings,
        (docker, host): (DockerSettings, Option<String>),
        deployment: RunId,
        shell: Shell,
    ) -> Self {
        let names = Names::new(&docker, &settings.name);
        Self {
            router: Router::new(names.clone()),
            settings,
            docker,
            host,
            names,
            deployment,
            shell,
            client: OnceCell::new(),
            lock: tokio::sync::Mutex::new(None),
            before: Mutex::new(None),
        }
    }

    async fn client(&self) -> Result<&DockerClient, DockerFault> {
        let connect = async || match &self.host {
            Some(address) => DockerClient::at(address).await.map_err(|error| match error {
                DockerError::Unreachable(reason) => DockerFault::NoEngine(reason),
                error => error.into(),
            }),
            None => Ok(DockerClient::find().await?),
        };
        self.client.get_or_try_init(connect).await
    }

    /// Reads the replicas from the engine, and their places from the router. There are no places if the router does not
    /// run.
    async fn scene(&self) -> Result<Scene, DockerFault> {
        let client = self.client().await?;
        let mut replicas = replicas::list(client, &self.names).await?;
        let restarts = status::restarts(client, replicas.iter().map(Replica::suspect)).await?;
        for replica in &mut replicas {
            replica.restarts = restarts.get(&replica.id).copied().unwrap_or_default();
        }
        let places = match self.router.places(client).await {
            Ok(places) => places,
            Err(error) if self.router.is_running(client).await? => return Err(error),
            Err(_) => HashMap::new(),
        };
        Ok(Scene { replicas, places })
    }

    /// Returns the state of the environment. The note says which replicas end again and again, and how the first of them ended.
    async fn noted(&self, scene: &Scene) -> Observed {
        let mut observed = scene.observed();
        if let (Some(looping), Ok(client)) =
            (scene.replicas.iter().find(|replica| replica.is_looping()), self.client().await)
            && let Some(end) = status::last_end(client, looping.suspect()).await
        {
            observed.note = observed.note.map(|note| format!("{note}; {end}"));
        }
        observed
    }

    /// Returns the state of the environment. The note says if the router does not run, and which replicas end again and
    /// again.
    async fn observed(&self) -> Result<Observed, DockerFault> {
        let scene = self.scene().await?;
        let mut observed = self.noted(&scene).await;
        if scene.is_dark() {
            observed.add_note(format!("the router {} does not run: nothing is served", self.router.name()));
        }
        Ok(observed)
    }

    /// Returns the state with which a deployment would begin. It starts a router that does not run, which then has the
    /// shares again that it had.
    async fn foreseen(&self) -> Result<Observed, DockerFault> {
        let scene = self.scene().await?;
        if !scene.is_dark() {
            return Ok(scene.observed());
        }
        let places = self.router.saved(self.client().await?).await.unwrap_or_default();
        let mut observed = Scene { places, ..scene }.observed();
        let router = self.router.name();
        observed.add_note(format!(
            "the router {router} does not run, so nothing is served: the deployment starts it first"
        ));
        Ok(observed)
    }

    /// Starts the router unless it runs, with places for at least `replicas` replicas in each slot. A running router
    /// with a different configuration gets the new configuration.
    async fn ensure_router(&self, replicas: u32) -> Result<(), DockerFault> {
        let client = self.client().await?;
        let present = replicas::list(client, &self.names).await?;
        let most = present.iter().map(|replica| replica.number).chain([replicas, self.docker.replicas]).max();
        let (health, limit) = (self.settings.health_check.as_ref(), self.settings.health.timeout);
        let text = config::text(&self.docker, health, limit, &self.names, most.unwrap_or_default());
        self.router.ensure(client, &self.docker, &text).await
    }

    async fn start(&self, slot: Slot, count: u32, plan: &Plan, progress: &Progress) -> Result<(), DockerFault> {
        let Some(release) = plan.release(slot) else { return Ok(()) };
        let variables = replicas::variables(&self.docker, &self.shell.environment)?;
        let named = image_of(&self.docker.image, release)?;
        self.ensure_router(count).await?;
        let client = self.client().await?;
        let scene = self.scene().await?;
        let (same, other): (Vec<_>, Vec<_>) = scene.of(slot).partition(|replica| replica.sha == release.sha);
        if let Some(foreign) = other.first().filter(|_| scene.share(slot) > 0) {
            let (found, wanted) = (foreign.sha.clone(), release.sha.clone());
            return Err(DockerFault::OtherRelease { slot, found, wanted });
        }
        let image = if let Some(first) = same.first().filter(|first| !first.image.is_empty()) {
            first.image.clone()
        } else {
            images::ensure(client, &named, plan.images.get(&slot), progress).await?
        };
        let runs = |number: u32| same.iter().any(|replica| replica.number == number && replica.is_running());
        let missing: Vec<u32> = (1..=count).filter(|number| !runs(*number)).collect();
        // Stops replicas that another release left in the slot, with numbers above `count`.
        try_join_all(other.iter().filter(|one| one.number > count).map(|one| replicas::stop(client, one))).await?;
        let (names, deployment) = (&self.names, &self.deployment);
        let start = Start { names, slot, release, deployment, image, variables };
        try_join_all(missing.iter().map(|number| start.replica(client, *number))).await?;
        for number in &missing {
            progress.say(&format!("started {} of {named}", self.names.replica(slot, *number)));
        }
        let commands = commands::open(&scene, slot, count, &missing);
        self.router.set(client, &commands).await?;
        Ok(())
    }

    async fn weight(&self, slot: Slot, percent: u8, plan: &Plan, progress: &Progress) -> Result<(), DockerFault> {
        let scene = self.until_used(slot, plan, progress).await?;
        if slot == plan.new.slot && scene.share(slot) == 0 {
            *self.before.lock().unwrap_or_else(PoisonError::into_inner) = Some(state::counters(&scene.places, slot));
        }
        let (wanted, rest) = (percent, slot.other());
        let percent = commands::possible_share(&scene, slot, wanted);
        if percent != wanted {
            progress.say(&format!("no replica of {rest} can take traffic, so {slot} gets all of it"));
        }
        let commands = commands::shares(&scene, slot, percent, |replica| scene.is_open(replica))?;
        let took = self.router.set(self.client().await?, &commands).await?;
        let millis = took.as_secs_f64() * 1000.0;
        progress.say(&format!("{slot} {percent} %, {rest} {} %, in {millis:.1} ms", 100 - percent));
        Ok(())
    }

    /// Waits until the router uses all replicas of a slot that is about to get traffic: if it used none, it would answer
    /// requests with 503. A check of the router can be late on a busy machine. Continues after the time of two checks if
    /// the router uses a replica, or if the former release gets its traffic back. Returns what was observed last.
    async fn until_used(&self, slot: Slot, plan: &Plan, progress: &Progress) -> Result<Scene, DockerFault> {
        let limit = 2 * (config::CHECK_EVERY + self.settings.health.timeout);
        let end = Instant::now() + limit;
        loop {
            let scene = self.scene().await?;
            let Some(unused) = scene.of(slot).find(|one| scene.is_open(one) && !scene.is_used(one)) else {
                return Ok(scene);
            };
            if Instant::now() >= end {
                if slot == plan.new.slot && !scene.of(slot).any(|one| scene.is_open(one) && scene.is_used(one)) {
                    return Err(DockerFault::Unused { slot, limit, check: scene.check(unused).to_owned() });
                }
                progress.say(&format!("{}: the router does not use it{}", unused.name, scene.why(unused)));
                return Ok(scene);
            }
            sleep(POLL).await;
        }
    }

    /// Distributes the share of a slot over its replicas, including new ones. Does nothing if the slot gets no traffic.
    async fn spread(&self, slot: Slot) -> Result<(), DockerFault> {
        let scene = self.scene().await?;
        let percent = scene.share(slot);
        if percent == 0 {
            return Ok(());
        }
        let commands = commands::shares(&scene, slot, percent, |replica| scene.is_open(replica))?;
        self.router.set(self.client().await?, &commands).await.map(drop)
    }

    async fn drain(&self, slot: Slot, keep: u32, progress: &Progress) -> Result<(), DockerFault> {
        let scene = self.scene().await?;
        let mut open: Vec<&Replica> = scene.of(slot).filter(|replica| scene.is_open(replica)).collect();
        open.sort_by_key(|replica| (replica.is_looping(), !scene.is_healthy(replica), replica.number));
        let kept: Vec<&str> = open.iter().take(keep as usize).map(|replica| replica.id.as_str()).collect();
        let drained: Vec<&Replica> = scene.of(slot).filter(|replica| !kept.contains(&replica.id.as_str())).collect();
        let with_place = drained.iter().filter(|replica| scene.place(replica).is_some());
        let mut commands: Vec<String> =
            with_place.map(|replica| format!("set server {} state drain", config::server(&replica.place()))).collect();
        let percent = scene.share(slot);
        if percent > 0 && !kept.is_empty() {
            let is_open = |replica: &Replica| {
                scene.is_open(replica) && (replica.slot != slot || kept.contains(&replica.id.as_str()))
            };
            commands.extend(commands::shares(&scene, slot, percent, is_open)?);
        }
        let client = self.client().await?;
        self.router.set(client, &commands).await?;
        self.await_requests(client, &drained, progress).await
    }

    /// Waits until replicas have answered the requests in flight, at most for the `drain` time of the settings.
    async fn await_requests(
        &self,
        client: &DockerClient,
        drained: &[&Replica],
        progress: &Progress,
    ) -> Result<(), DockerFault> {
        let end = Instant::now() + self.docker.drain;
        loop {
            let places = self.router.places(client).await?;
            let sessions = |replica: &&Replica| places.get(&replica.place()).map_or(0, |place| place.sessions);
            let left: u32 = drained.iter().map(sessions).sum();
            if left == 0 {
                return Ok(());
            }
            if Instant::now() >= end {
                let limit = written(self.docker.drain);
                progress.say(&format!("{left} requests have no answer after {limit}: they are cut off"));
                return Ok(());
            }
            sleep(POLL).await;
        }
    }

    async fn stop(&self, slot: Slot, keep: u32, progress: &Progress) -> Result<(), DockerFault> {
        let scene = self.scene().await?;
        let mut all: Vec<&Replica> = scene.of(slot).collect();
        // A plan does not count on a replica that ends again and again, so it is stopped first.
        all.sort_by_key(|replica| {
            (replica.is_looping(), !scene.is_open(replica), !scene.is_healthy(replica), replica.number)
        });
        let stopped = all.split_off(all.len().min(keep as usize));
        let client = self.client().await?;
        // Their log is gone with them.
        let ended = stopped.iter().copied().filter(|replica| status::has_ended(&replica.status));
        status::evidence(client, ended.map(Replica::suspect), progress).await;
        let with_place = stopped.iter().filter(|replica| scene.place(replica).is_some());
        let commands: Vec<String> = with_place
            .flat_map(|replica| {
                // In maintenance, the router no longer calls it healthy. If this process ends now, the replica may run for
                // a while, and no later deployment must take it for one that keeps running.
                let server = config::server(&replica.place());
                [format!("set server {server} state maint"), format!("set weight {server} 0")]
            })
            .collect();
        self.router.set(client, &commands).await?;
        try_join_all(stopped.iter().map(|replica| replicas::stop(client, replica))).await?;
        for replica in stopped {
            progress.say(&format!("stopped {}", replica.name));
        }
        Ok(())
    }

    async fn carry_out(&self, step: &PlanStep, plan: &Plan, progress: &Progress) -> Result<(), DockerFault> {
        match step {
            PlanStep::Start { slot, replicas } => self.start(*slot, *replicas, plan, progress).await,
            PlanStep::Healthy { slot } => self.spread(*slot).await,
            PlanStep::Weight { slot, percent } => self.weight(*slot, *percent, plan, progress).await,
            PlanStep::Drain { slot, keep } => self.drain(*slot, *keep, progress).await,
            PlanStep::Stop { slot, keep, .. } => self.stop(*slot, *keep, progress).await,
            PlanStep::Check { .. } | PlanStep::Pause(_) => Ok(()),
        }
    }

    /// Returns the replicas of a slot that this deployment has started.
    fn own<'s>(&self, scene: &'s Scene, slot: Slot) -> Vec<&'s Replica> {
        scene.of(slot).filter(|replica| replica.deployment == self.deployment.as_str()).collect()
    }

    /// Makes sure that the lock is held, if it was taken.
    async fn confirm(&self) -> Result<(), DockerFault> {
        let mut lock = self.lock.lock().await;
        let Some(held) = lock.as_mut() else { return Ok(()) };
        if !held.has_ended() {
            return Ok(());
        }
        let client = self.client().await?;
        // The lock is in the router's container, which may have been stopped or removed.
        if matches!(self.router.is_running(client).await, Ok(false)) {
            self.ensure_router(0).await?;
        }
        held.take_again(client, &self.router.name()).await
    }
}

impl Target for DockerTarget {
    fn observe<'t>(&'t self, _: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>> {
        async { Ok(self.observed().await?) }.boxed()
    }

    fn foresee<'t>(&'t self, _: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>> {
        async { Ok(self.foreseen().await?) }.boxed()
    }

    fn image<'t>(
        &'t self,
        release: &'t Release,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Result<Option<ReleaseImage>, TargetError>> {
        async move {
            let name = image_of(&self.docker.image, release).map_err(DockerFault::from)?;
            let newest = images::newest(self.client().await?, name, progress).await;
            Ok(Some(newest.map_err(DockerFault::from)?))
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
            self.confirm().await?;
            Ok(self.carry_out(step, plan, progress).await?)
        }
        .boxed()
    }

    fn health<'t>(&'t self, slot: Slot, _: &'t Plan, _: &'t Progress) -> BoxFuture<'t, Answer> {
        health::answered(self.healthy(slot), self.settings.health.timeout).boxed()
    }

    fn check<'t>(
        &'t self,
        probe: &'t Probe,
        limit: Duration,
        slot: Slot,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Answer> {
        health::answered(self.checked(probe, limit, slot, plan, progress), limit).boxed()
    }

    fn replicas<'t>(&'t self, plan: &'t Plan) -> BoxFuture<'t, Option<Vec<ReplicaState>>> {
        async move {
            let (scene, client) = (self.scene().await.ok()?, self.client().await.ok()?);
            let own = self.own(&scene, plan.new.slot);
            status::replicas(client, own.into_iter().map(Replica::suspect)).await
        }
        .boxed()
    }

    fn evidence<'t>(&'t self, slot: Slot, progress: &'t Progress) -> BoxFuture<'t, Option<String>> {
        async move {
            let (scene, client) = (self.scene().await.ok()?, self.client().await.ok()?);
            let own = self.own(&scene, slot);
            let ended = status::first_ended(client, own.iter().copied().map(Replica::suspect)).await;
            let first = ended.and_then(|id| own.iter().copied().find(|one| one.id == id));
            let (well, ill): (Vec<_>, Vec<_>) = scene.of(slot).partition(|one| scene.is_healthy(one));
            let rest = if ill.is_empty() && first.is_none() { well } else { ill };
            let rest = rest.into_iter().filter(|one| first.is_none_or(|first| first.id != one.id));
            status::evidence(client, first.into_iter().chain(rest).map(Replica::suspect), progress).await
        }
        .boxed()
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        async {
            match self.client().await {
                Ok(client) => status::changed(client, self.names.common_labels()).await,
                Err(_) => pending().await,
            }
        }
        .boxed()
    }

    fn traffic(&self) -> BoxFuture<'_, Option<(Observed, [Counters; 2])>> {
        async {
            let scene = self.scene().await.ok()?;
            if scene.is_dark() {
                return None;
            }
            Some((self.noted(&scene).await, Slot::ALL.map(|slot| state::counters(&scene.places, slot))))
        }
        .boxed()
    }

    fn reach(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        async {
            let client = self.client().await?;
            replicas::list(client, &self.names).await?;
            Ok(())
        }
        .boxed()
    }

    fn lock<'t>(&'t self, owner: &'t str, is_patient: bool) -> BoxFuture<'t, Result<(), TargetError>> {
        async move {
            let client = self.client().await?;
            if !self.router.is_running(client).await? {
                self.ensure_router(0).await?;
            }
            // The connection to the router is opened at the same time, because the first step needs it.
            let router = self.router.name();
            let taking = Lock::take(client, &router, owner, is_patient);
            let (taken, _) = join(taking, self.router.places(client)).await;
            *self.lock.lock().await = Some(taken?);
            Ok(())
        }
        .boxed()
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
