//! Steers the controller of a Rollout: promotes, aborts and retries it, as `kubectl argo rollouts` does.

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::{Call, Resource, Verb};
use super::change::patch;
use super::error::KubernetesFault;
use super::objects::Controller;
use super::scene::{Scene, Stage};
use super::{KubernetesTarget, LOOK_EVERY};
use crate::model::deployment::{Plan, PlanStep, Slot};
use crate::rollout::outlet::Progress;

/// An order to the controller of a Rollout, which is a field of its status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// Continue with the next step.
    Promote,
    /// Skip all steps, pauses and analyses.
    PromoteFully,
    /// Move all traffic to the former pods.
    Abort,
    /// Begin again after an abort.
    Retry,
}

impl Order {
    /// Returns the path of the field, and its value.
    fn field(self) -> (&'static str, Value) {
        match self {
            Self::Promote => ("/status/pauseConditions", json!([])),
            Self::PromoteFully => ("/status/promoteFull", json!(true)),
            Self::Abort => ("/status/abort", json!(true)),
            Self::Retry => ("/status/abort", json!(false)),
        }
    }
}

impl KubernetesTarget {
    /// Gives an order. Returns `false` if it was not given, because the Rollout has changed since it was read. With
    /// `patient`, waits while the API server is unavailable.
    async fn order(&self, order: Order, scene: &Scene, patient: Option<&Progress>) -> Result<bool, KubernetesFault> {
        self.confirm(patient).await?;
        let patch = patch(scene, [order.field()]);
        let call = Call::send(Verb::Patch, Resource::RolloutStatus, Some(self.kubernetes.workload.name()), &patch);
        match self.cluster().await?.send::<Controller>(&call, patient).await {
            Ok(_) => Ok(true),
            Err(KubernetesFault::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Aborts a Rollout that is between two releases, so that all traffic goes to the former pods at once. Returns
    /// whether the Rollout must be read again. A user who may not abort it can still restore the former template.
    pub(super) async fn abort(&self, scene: &Scene, progress: &Progress) -> Result<bool, KubernetesFault> {
        let Some(rollout) = &scene.rollout else { return Ok(false) };
        if rollout.status.abort || rollout.is_stable() || !scene.is_seen() {
            return Ok(false);
        }
        match self.order(Order::Abort, scene, Some(progress)).await {
            Ok(is_given) => {
                if is_given {
                    let workload = &self.kubernetes.workload;
                    progress.say(&format!("the {workload} is aborted: the former pods get all traffic"));
                }
                Ok(true)
            }
            Err(error @ KubernetesFault::Forbidden { .. }) => {
                progress.say(&error.to_string());
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Retries a Rollout whose current release was aborted.
    pub(super) async fn retry(&self, progress: &Progress) -> Result<(), KubernetesFault> {
        let limit = self.settings.health.deadline;
        let end = Instant::now() + limit;
        loop {
            let scene = self.scene(Some(progress)).await?;
            if !scene.rollout.as_ref().is_some_and(|rollout| rollout.status.abort) {
                return Ok(());
            }
            progress.say(&format!("the {} was aborted with this release, and is retried", self.kubernetes.workload));
            self.order(Order::Retry, &scene, Some(progress)).await?;
            if Instant::now() >= end {
                return Err(KubernetesFault::TooSlow { what: "the aborted Rollout did not begin again", limit });
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Promotes a Rollout fully, if it is between two releases.
    pub(super) async fn promote_rollout_fully(&self) -> Result<(), KubernetesFault> {
        let limit = self.settings.health.deadline;
        let end = Instant::now() + limit;
        loop {
            let scene = self.scene(None).await?;
            let is_between = scene.rollout.as_ref().is_some_and(|rollout| !rollout.is_stable());
            if !is_between || self.order(Order::PromoteFully, &scene, None).await? {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(KubernetesFault::TooSlow { what: "the Rollout changed too often to be promoted", limit });
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Returns why a Rollout waits for the decision of a person, and how to decide; `None` if it does not.
    pub(super) fn decision_in(&self, stage: &Stage) -> Option<String> {
        match stage {
            Stage::Undecided(text) => Some(format!("{text}; {}", self.decision())),
            _ => None,
        }
    }

    /// Returns what a person can do about an inconclusive analysis.
    pub(super) fn decision(&self) -> String {
        let name = &self.settings.name;
        format!("a person decides: `cuelight promote {name} --full` or `cuelight abort {name}`")
    }

    /// Waits until the controller of a Rollout has begun to give a slot a share of the traffic, and promotes the Rollout
    /// where it waits before that. A Rollout that was aborted, or that fails, is left to the next check of its health.
    pub(super) async fn advance(
        &self,
        slot: Slot,
        percent: u8,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<(), KubernetesFault> {
        let limit = self.settings.health.deadline;
        let (mut end, mut said) = (Instant::now() + limit, String::new());
        loop {
            let scene = self.scene(Some(progress)).await?;
            let Some(rollout) = &scene.rollout else { return Ok(()) };
            if scene.slot() != slot || !scene.is_of(slot, plan, &self.kubernetes) {
                return Ok(());
            }
            let stage = scene.stage();
            progress.decide(self.decision_in(&stage));
            let mut is_promoted = false;
            match &stage {
                Stage::Stalled(_) | Stage::Done => return Ok(()),
                // The status is about an earlier change until the controller has seen the last one.
                _ if scene.current().is_some() && scene.is_seen() && rollout.has_begun(percent) => return Ok(()),
                Stage::Held(_) => {
                    let skips = rollout.has_steps() && is_switch(plan, slot);
                    let order = if skips { Order::PromoteFully } else { Order::Promote };
                    is_promoted = self.order(order, &scene, Some(progress)).await?;
                }
                // The time that a person takes does not count.
                Stage::Paused | Stage::Undecided(_) => end = Instant::now() + limit,
                Stage::Going(_) => {}
            }
            let text = match stage {
                Stage::Held(text) if is_promoted => format!("promoted: {text}"),
                Stage::Undecided(text) => format!("{text}; {}", self.decision()),
                Stage::Paused => format!("the {} is paused", self.kubernetes.workload),
                Stage::Held(text) | Stage::Going(text) | Stage::Stalled(text) => text,
                Stage::Done => String::new(),
            };
            if said != text {
                progress.say(&text);
                said = text;
            }
            if Instant::now() >= end {
                return Err(KubernetesFault::TooSlow { what: "the Rollout did not move the traffic", limit });
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Whether a plan moves all traffic at once, because the pods of the release still run or none serve.
fn is_switch(plan: &Plan, slot: Slot) -> bool {
    let is_part =
        |step: &PlanStep| matches!(step, PlanStep::Weight { slot: of, percent } if *of == slot && *percent < 100);
    !plan.steps.iter().any(is_part)
}
