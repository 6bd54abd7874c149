//! Health of the replicas of a slot, and the probes of smoke tests and analyses.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::error::DockerFault;
use super::replicas::Replica;
use super::{DockerTarget, probes, state};
use crate::model::deployment::{Plan, Probe, Slot, written};
use crate::rollout::check::{self, Answer};
use crate::rollout::outlet::Progress;

/// How long the engine and the router may take to report the replicas for a check, besides the time limit of its probe. A
/// request to an engine that hangs would last much longer than the deadline of most checks.
const REPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the answer of a check whose probe has this time limit. An error is a bad answer, unless nothing has answered: then
/// nothing is known about the replicas.
pub(super) async fn answered(asked: impl Future<Output = Result<Answer, DockerFault>>, limit: Duration) -> Answer {
    let limit = REPORT_TIMEOUT + limit;
    match timeout(limit, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) if error.is_unanswered() => Answer::Unknown(error.to_string()),
        Ok(Err(error)) => Answer::Bad(error.to_string()),
        Err(_) => Answer::Unknown(format!("no answer from the Docker engine and the router within {}", written(limit))),
    }
}

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
                if scene.is_dark() {
                    return Ok(Answer::Bad(format!("the router {router} does not run")));
                }
                let open = scene.of(slot).filter(|replica| scene.is_open(replica));
                let asked = open.map(|one| probes::replica(client, &router, one, self.docker.port, Some(probe), limit));
                let answers = join_all(asked).await;
                let bad = answers.iter().find(|answer| !matches!(answer, Answer::Good(_)));
                let none = || Answer::Bad(format!("no replica runs in {slot}"));
                Ok(bad.or_else(|| answers.first()).cloned().unwrap_or_else(none))
            }
            Probe::Router(limits) => {
                let scene = self.scene().await?;
                if scene.is_dark() {
                    return Ok(Answer::Bad(format!("the router {} does not run", self.router.name())));
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sandbox::docker::client::DockerError;

    #[tokio::test]
    async fn a_check_is_unknown_if_nothing_answers_and_bad_if_the_engine_refuses() {
        let (doing, router) = ("asked".to_owned(), "shop-router".to_owned());
        let limit = Duration::from_secs(1);
        let reason = "connection refused".to_owned();
        let unanswered: [DockerFault; 4] = [
            DockerError::NoAnswer { doing: doing.clone(), reason: reason.clone() }.into(),
            DockerError::Unreachable(reason.clone()).into(),
            DockerFault::NoEngine(reason),
            DockerFault::Silent { router, limit },
        ];
        for error in unanswered {
            let text = error.to_string();
            assert_eq!(answered(async { Err(error) }, limit).await, Answer::Unknown(text));
        }
        let refused = DockerError::Failed { doing: doing.clone(), answer: "no space left".to_owned() };
        let missing = DockerError::Missing { doing, answer: "no such container".to_owned() };
        for error in [refused, missing] {
            let text = error.to_string();
            assert_eq!(answered(async { Err(error.into()) }, limit).await, Answer::Bad(text));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_hangs_does_not_hold_a_check() {
        let answer = answered(std::future::pending(), Duration::from_secs(5)).await;
        assert_eq!(answer, Answer::Unknown("no answer from the Docker engine and the router within 35s".to_owned()));
    }
}
