//! Health of the replicas of a slot, and the probes of smoke tests and analyses.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::join_all;

use super::error::DockerFault;
use super::replicas::Replica;
use super::{DockerTarget, probes, state};
use crate::model::deployment::{Plan, Probe, Slot};
use crate::rollout::check::{self, Answer};
use crate::rollout::outlet::Progress;

impl DockerTarget {
    /// Checks whether the replicas of a slot are healthy: according to Docker, the router, and a probe by this process.
    pub(super) async fn healthy(&self, slot: Slot) -> Result<Answer, DockerFault> {
        let scene = self.scene().await?;
        let client = self.client().await?;
        let replicas: Vec<&Replica> = scene.of(slot).collect();
        if replicas.is_empty() {
            return Ok(Answer::Bad(format!("no replica runs in {slot}")));
        }
        let limit = self.settings.health.timeout;
        let probe = self.settings.health_check.as_ref();
        let asked = replicas.iter().map(|replica| async {
            let docker = probes::docker(replica);
            if !matches!(docker, Answer::Good(_)) {
                return docker;
            }
            let own = probes::replica(client, &self.router.name(), replica, self.docker.port, probe, limit).await;
            if matches!(own, Answer::Good(_)) && !scene.is_healthy(replica) {
                let why = scene.why(replica);
                return Answer::Unknown(format!("{}: the router does not use it yet{why}", replica.name));
            }
            own
        });
        let answers = join_all(asked).await;
        let is_bad = |answer: &&Answer| matches!(answer, Answer::Bad(_));
        let is_unknown = |answer: &&Answer| matches!(answer, Answer::Unknown(_));
        let worst = answers.iter().find(is_bad).or_else(|| answers.iter().find(is_unknown));
        if let Some(worst) = worst {
            return Ok(worst.clone());
        }
        Ok(Answer::Good(format!("{slot}: {} of {} replicas are healthy", answers.len(), answers.len())))
    }

    /// Runs the probe of a smoke test or an analysis once.
    pub(super) async fn checked(
        &self,
        probe: &Probe,
        limit: Duration,
        slot: Slot,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<Answer, DockerFault> {
        match probe {
            Probe::Path(_) => {
                let scene = self.scene().await?;
                let (client, router) = (self.client().await?, self.router.name());
                let open = scene.of(slot).filter(|replica| scene.is_open(replica));
                let asked = open.map(|one| probes::replica(client, &router, one, self.docker.port, Some(probe), limit));
                let answers = join_all(asked).await;
                let bad = answers.iter().find(|answer| !matches!(answer, Answer::Good(_)));
                let none = || Answer::Bad(format!("no replica runs in {slot}"));
                Ok(bad.or_else(|| answers.first()).cloned().unwrap_or_else(none))
            }
            Probe::Router(limits) => {
                let scene = self.scene().await?;
                // Where few requests come, they say too little about a release that has ended.
                if let Some(unused) = scene.of(slot).find(|one| scene.is_open(one) && !scene.is_used(one)) {
                    let (name, why) = (&unused.name, scene.why(unused));
                    return Ok(Answer::Bad(format!("{name} is {}; the router does not use it{why}", unused.status)));
                }
                let now = state::counters(&scene.places, slot);
                let earlier = *self.before.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now);
                Ok(probes::judge(slot, *limits, now.since(earlier)))
            }
            Probe::Http(_) | Probe::Tcp(_) | Probe::Exec(_) => {
                Ok(check::ask_of_slot(probe, limit, &self.shell, (self.settings.name.as_str(), slot, plan), progress)
                    .await)
            }
        }
    }
}
