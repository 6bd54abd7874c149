//! Ends and restarts of the replicas that a deployment has started. A replica that ends again and again looks healthy in
//! between.
//!
//! Until the new release was first found healthy, its replicas may end and be started again: a service may do so until its
//! database is there. Only the limits of the health check end such a start. Afterwards, each end fails the deployment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::model::StepNumber;
use crate::model::deployment::{Plan, Slot};
use crate::rollout::check::Answer;
use crate::rollout::outlet::Progress;
use crate::rollout::target::{ReplicaState, Target, Targets};

use super::{Driver, Halt, Position, Trouble};

/// How long a target may take to report the ends of its replicas.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a target may take to find the evidence of a failure: the traffic is moved back only afterwards, because the
/// replicas are gone then.
const EVIDENCE_TIMEOUT: Duration = Duration::from_secs(5);

/// Number of restarts that each replica had when the new release was first found healthy, by its id.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Restarts(BTreeMap<String, u32>);

impl Restarts {
    /// Returns which replica has ended since it was first found healthy, in words; `None` if none has. `is_healthy` is
    /// whether the release is, or was, found healthy with these replicas: those that are not known yet are noted then.
    fn compare(&mut self, replicas: &[ReplicaState], is_healthy: bool) -> Option<String> {
        let has_ended = |replica: &&ReplicaState| match self.0.get(&replica.id) {
            Some(before) => replica.is_down || replica.restarts > *before,
            None => is_healthy && replica.is_down,
        };
        if let Some(ended) = replicas.iter().find(has_ended) {
            return Some(ended.end.clone());
        }
        if is_healthy {
            for replica in replicas {
                self.0.entry(replica.id.clone()).or_insert(replica.restarts);
            }
        }
        None
    }
}

/// Returns the answer of a health check of the new release, unless a replica has ended since the first good answer.
pub(super) async fn checked(target: &dyn Target, plan: &Plan, answer: Answer, restarts: &Mutex<Restarts>) -> Answer {
    let Some(replicas) = target.replicas(plan).await else { return answer };
    let is_healthy = matches!(answer, Answer::Good(_));
    let ended = restarts.lock().unwrap_or_else(PoisonError::into_inner).compare(&replicas, is_healthy);
    ended.map_or(answer, Answer::Hopeless)
}

/// Returns an error with the evidence if a replica of the new release has ended since it was first found healthy.
async fn compared(
    targets: &Targets,
    position: &Position,
    restarts: &Mutex<Restarts>,
    progress: &Progress,
) -> Result<(), Trouble> {
    let healthy = position.watched();
    for host in position.started() {
        let (target, plan) = (targets.of(host), position.plan.of(host));
        let Ok(Some(replicas)) = timeout(REPORT_TIMEOUT, target.replicas(plan)).await else { continue };
        let is_healthy = healthy.contains(&host);
        let ended = restarts.lock().unwrap_or_else(PoisonError::into_inner).compare(&replicas, is_healthy);
        if let Some(what) = ended {
            let evidence = evidence(target, plan.new.slot, progress).await;
            return Err(Trouble::Ended { what, evidence });
        }
    }
    Ok(())
}

/// Returns the target's evidence about the replicas of a slot, to be added to a sentence. Empty if there is none within
/// [`EVIDENCE_TIMEOUT`].
pub(super) async fn evidence(target: &dyn Target, slot: Slot, progress: &Progress) -> String {
    let found = timeout(EVIDENCE_TIMEOUT, target.evidence(slot, progress)).await.ok().flatten();
    found.map(|found| format!("; {found}")).unwrap_or_default()
}

impl Driver {
    /// Returns the restarts that were noted so far, for the position.
    pub(super) fn noted_restarts(&self) -> Restarts {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns an error if a replica of the new release has ended since it was first found healthy.
    pub(super) async fn check_replicas(&mut self, position: &Position, progress: &Progress) -> Result<(), Trouble> {
        if self.has_succeeded() {
            return Ok(());
        }
        let (targets, restarts) = (Arc::clone(&self.tools.targets), Arc::clone(&self.restarts));
        let work = compared(&targets, position, &restarts, progress);
        self.controlled(work).await.map_err(Trouble::Interrupted)?
    }

    /// Checks that no replica of the new release has ended, once all steps are done.
    pub(super) async fn check_end(&self, position: &Position) -> Result<(), Halt> {
        if self.has_succeeded() {
            return Ok(());
        }
        let progress = Progress::new(&self.tools.outlet, &self.job, StepNumber(position.done as u32));
        match compared(&self.tools.targets, position, &self.restarts, &progress).await {
            Ok(()) => Ok(()),
            Err(trouble) => Err(self.after_failure(&trouble, format!("after the last step, {trouble}"), position)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(id: &str, restarts: u32, is_down: bool) -> ReplicaState {
        ReplicaState { id: id.to_owned(), restarts, is_down, end: format!("{id} has ended") }
    }

    #[test]
    fn only_an_end_after_the_release_was_found_healthy_counts() {
        let mut known = Restarts::default();
        assert_eq!(known.compare(&[replica("a", 2, true)], false), None);
        assert_eq!(known.compare(&[replica("a", 3, false)], true), None);
        assert_eq!(known.compare(&[replica("a", 3, false)], false), None);
        // The next batch may end, and the first one may not.
        assert_eq!(known.compare(&[replica("a", 3, false), replica("b", 1, true)], false), None);
        let ended = Some("a has ended".to_owned());
        assert_eq!(known.compare(&[replica("a", 4, false), replica("b", 1, true)], false), ended);
        assert_eq!(known.compare(&[replica("a", 3, true)], false), ended);
        assert_eq!(known.compare(&[replica("b", 1, true)], true), Some("b has ended".to_owned()));
        let text = serde_json::to_string(&known).expect("serializes");
        assert_eq!(text, r#"{"a":3}"#);
    }
}
