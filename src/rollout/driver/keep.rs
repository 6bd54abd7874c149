//! The end of a deployment whose release is live: it keeps a release running for a time, and then stops it. That is the
//! former release or, with `auto_stop`, the new one.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::Timestamp;
use crate::model::deployment::{Action, Cause, Outcome, Plan, PlanStep, Slot, written};
use crate::rollout::outlet::Progress;
use crate::store::StoreError;
use crate::store::clock::now;

use super::controls::{Interrupt, Stage};
use super::{Driver, Trouble};

/// Time between two looks at the ledger for a later deployment.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Driver {
    /// Records the success of the deployment, waits until `after` has passed since then, and stops a slot, unless a
    /// later deployment has succeeded or uses it. Other deployments may begin meanwhile. Returns why the slot was not
    /// stopped.
    ///
    /// A later deployment that has succeeded decides what runs: the time of this one must not end what was promised
    /// since.
    pub(super) async fn keep(
        &mut self,
        step: &PlanStep,
        slot: Slot,
        after: Duration,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<Option<String>, Trouble> {
        let is_live = slot == plan.new.slot;
        let since = self.succeeded(progress);
        self.say_kept(slot, after, plan, progress);
        self.leave().await;
        self.controls.stage = if is_live { Stage::Live } else { Stage::Pause };
        self.controls.promoted = false;
        loop {
            // By the clock, because the machine may sleep meanwhile, and the wait may be a resumed one.
            let left = after.saturating_sub(now().since(since));
            let is_ended = !is_live && (self.controls.promoted || self.controls.full);
            let later = self.later()?;
            if later == Later::Succeeded {
                return Ok(Some(SUCCEEDED.to_owned()));
            }
            // A later deployment that is in progress may still fail, and restore this release.
            let may_return = is_live && later == Later::Open;
            if is_ended || (left.is_zero() && !may_return) {
                break;
            }
            let pause = if left.is_zero() { LOOK_EVERY } else { left.min(LOOK_EVERY) };
            match self.controlled_until(Instant::now() + pause).await {
                Err(Trouble::Interrupted(Interrupt::Cancelled)) => return Ok(Some(KEPT.to_owned())),
                other => other?,
            }
        }
        self.controls.stage = if is_live { Stage::Live } else { Stage::Step };
        match self.wait_for_turn(true).await {
            Err(Trouble::Interrupted(Interrupt::Cancelled)) => return Ok(Some(KEPT.to_owned())),
            other => other?,
        }
        let later = self.later()?;
        if later == Later::Succeeded {
            return Ok(Some(SUCCEEDED.to_owned()));
        }
        let observed = self.tools.target.observe(progress).await?;
        let state = observed.slot(slot);
        let is_used = if is_live { later == Later::Open } else { state.weight > 0 };
        let is_ours = |found: &str| plan.release(slot).is_some_and(|release| self.is_release(found, release));
        if is_used || !state.release.as_deref().is_some_and(is_ours) {
            progress.say(&format!("{slot} is used by a later deployment and left as it is"));
            return Ok(Some("used by a later deployment".to_owned()));
        }
        self.tools.target.act(step, plan, progress).await?;
        if is_live {
            self.append(Action::Stopped, format!("auto_stop, {} after the deployment", written(after)))?;
        }
        Ok(None)
    }

    /// Records the success of the deployment, unless it is recorded. Returns its time.
    fn succeeded(&mut self, progress: &Progress) -> Timestamp {
        // Recorded before anything is printed: readers that see a line find the success in the ledger.
        if !self.has_succeeded() {
            self.notify_end(Outcome::Succeeded, None);
            if let Err(error) = self.append(Action::Ended { outcome: Outcome::Succeeded }, String::new()) {
                // The driver tries again at the end of the deployment.
                progress.say(&format!("the ledger lacks the success: {error}"));
            }
        }
        let run = self.run_id().clone();
        let state = self.latest.state().ok();
        state.and_then(|state| state.deployment(&run)?.ended).unwrap_or_else(now)
    }

    fn say_kept(&self, slot: Slot, after: Duration, plan: &Plan, progress: &Progress) {
        let (name, after) = (&self.subject.settings.name, written(after));
        // Short lines, so that the commands are not cut off on a small screen.
        if slot == plan.new.slot {
            progress.say(&format!("{name} is stopped {after} after the deployment, unless a later one succeeds"));
            progress.say(&format!("`cuelight cancel {}` prevents it", self.run_id()));
        } else {
            // After a rollback, the way back is not to the release that was left.
            let (way, to) = match (&self.subject.cause, plan.release(slot)) {
                (Cause::Rollback, Some(left)) => ("going forward to it", format!(" --to {}", left.name())),
                _ => ("a rollback", String::new()),
            };
            progress.say(&format!("{slot} keeps running for {after}; until then, {way} is instant:"));
            progress.say(&format!("`cuelight rollback {name}{to}`"));
            progress.say(&format!("`cuelight promote {name}` stops it now"));
        }
    }

    /// Returns the state of the later deployments that have begun.
    fn later(&mut self) -> Result<Later, StoreError> {
        let run = self.run_id().clone();
        let began = self.latest.state()?.deployments().take_while(|record| record.run != run);
        Ok(began.filter(|record| record.began).map(|record| Later::of(record.outcome)).max().unwrap_or_default())
    }
}

/// What later deployments mean for the end of this one's release.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
enum Later {
    /// There is none, or all of them were undone.
    #[default]
    None,
    /// One is in progress, or was left halfway.
    Open,
    /// One has succeeded, so the environment is its own.
    Succeeded,
}

impl Later {
    fn of(outcome: Option<Outcome>) -> Self {
        match outcome {
            Some(Outcome::Succeeded) => Self::Succeeded,
            None | Some(Outcome::Interrupted | Outcome::Failed) => Self::Open,
            Some(Outcome::RolledBack | Outcome::Cancelled) => Self::None,
        }
    }
}

/// Why a slot was not stopped, if a later deployment has succeeded.
const SUCCEEDED: &str = "a later deployment has succeeded";

/// Why a slot was not stopped, for a cancelled run.
const KEPT: &str = "it keeps running: the run was cancelled";
