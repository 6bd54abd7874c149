//! The end of a deployment whose release is live: it keeps a release running for a time, and then stops it. That is the
//! former release or, with `auto_stop`, the new one.

use std::mem;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::model::Timestamp;
use crate::model::deployment::{
    Action, Cause, DeploymentPlan, DeploymentRecord, HostStep, Outcome, Plan, PlanStep, RecordedState, Slot, SlotState,
    written,
};
use crate::rollout::outlet::Progress;
use crate::rollout::target::TargetError;
use crate::store::StoreError;
use crate::store::clock::now;

use super::controls::{Interrupt, Purpose, Stage};
use super::slots::is_release;
use super::steps::{End, Running, all_ended};
use super::{Driver, Position, Trouble};

/// Time between two looks at the ledger for a later deployment.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Driver {
    /// Records the success of the deployment, waits until `after` has passed since then, and stops a slot of each host,
    /// unless a later deployment has succeeded or uses it. Other deployments may begin meanwhile, and the wait ends once
    /// one of them has taken the slot. Returns the end of the step of each host. `running` are these steps, of which
    /// there is at least one.
    ///
    /// A later deployment that has succeeded decides what runs: the time of this one must not end what was promised
    /// since.
    pub(super) async fn keep(
        &mut self,
        running: &[Running],
        after: Duration,
        plan: &DeploymentPlan,
    ) -> Result<Vec<End>, Trouble> {
        let Some(first) = running.first() else { return Ok(Vec::new()) };
        let is_live = plan.of(first.step.host).stops_new(&first.step.step);
        let since = self.succeeded(&first.progress);
        self.say_kept(running, is_live, after, plan);
        self.leave().await;
        self.controls.stage = if is_live { Stage::Live } else { Stage::Kept };
        self.controls.promoted = false;
        let mut seen = 0;
        loop {
            // By the clock, because the machine may sleep meanwhile, and the wait may be a resumed one.
            let left = after.saturating_sub(now().since(since));
            let is_ended = !is_live && self.controls.promoted;
            let later = self.later()?;
            if later == Later::Succeeded {
                return Ok(all_ended(running, Some(SUCCEEDED)));
            }
            if !is_live && !self.still_runs(running, plan, &mut seen).await? {
                return Ok(all_ended(running, Some(USED)));
            }
            // A later deployment that is in progress may still fail, and restore this release.
            let may_return = is_live && later == Later::Open;
            if is_ended || (left.is_zero() && !may_return) {
                break;
            }
            let pause = if left.is_zero() { LOOK_EVERY } else { left.min(LOOK_EVERY) };
            match self.controlled_until(Instant::now() + pause).await {
                Err(Trouble::Interrupted(Interrupt::Cancelled)) => return Ok(all_ended(running, Some(KEPT))),
                other => other?,
            }
        }
        self.controls.stage = if is_live { Stage::Live } else { Stage::Step };
        match self.wait_for_turn(Purpose::LateStop).await {
            Err(Trouble::Interrupted(Interrupt::Cancelled)) => return Ok(all_ended(running, Some(KEPT))),
            other => other?,
        }
        let later = self.later()?;
        if later == Later::Succeeded {
            return Ok(all_ended(running, Some(SUCCEEDED)));
        }
        let is_used = is_live && later == Later::Open;
        // A host that does not answer does not keep the others from being stopped.
        let mut silent = mem::take(&mut self.silent);
        let stops = running.iter().map(|one| {
            let host = one.step.host;
            self.stop_kept(one, silent.remove(&host), plan.of(host), is_used)
        });
        let stopped = join_all(stops).await;
        // The environment is not stopped while a host may still serve the release.
        let is_stopped = stopped.iter().all(Result::is_ok) && stopped.iter().any(|stopped| matches!(stopped, Ok(true)));
        let reason = |is_stopped: bool| (!is_stopped).then(|| USED.to_owned());
        let mut ends: Vec<End> = stopped.into_iter().map(|stopped| stopped.map(reason)).collect();
        if is_live && is_stopped {
            let why = format!("auto_stop, {} after the deployment", written(after));
            let recorded = self.append(Action::Stopped, why.clone());
            self.report_state(RecordedState::Inactive, &why);
            if let (Err(error), Some(end)) = (recorded, ends.first_mut()) {
                *end = Err(error.into());
            }
        }
        Ok(ends)
    }

    /// Stops a slot of a host, unless it is used by a later deployment: if `is_used` is set, or if the host reports it.
    /// Returns whether it was stopped. `silent` is why the host does not answer.
    async fn stop_kept(
        &self,
        running: &Running,
        silent: Option<TargetError>,
        plan: &Plan,
        is_used: bool,
    ) -> Result<bool, Trouble> {
        let Running { step: HostStep { host, step, .. }, progress, .. } = running;
        let PlanStep::Stop { slot, .. } = step else { return Ok(false) };
        let targets = &self.tools.targets;
        let (target, failed) = (targets.of(*host), |error| targets.failed(*host, error));
        if let Some(error) = silent {
            return Err(failed(error).into());
        }
        let observed = target.observe(progress).await.map_err(failed)?;
        let state = observed.slot(*slot);
        let is_used = is_used || (!plan.stops_new(step) && state.weight > 0);
        if is_used || !self.is_ours(plan, *slot, state) {
            progress.say(&format!("{slot} is used by a later deployment and left as it is"));
            return Ok(false);
        }
        target.act(step, plan, progress).await.map_err(failed)?;
        Ok(true)
    }

    /// Whether the kept release still runs on a host, or may run on one that does not answer. The hosts are asked only
    /// after later deployments did something since the number `seen` was taken.
    async fn still_runs(
        &mut self,
        running: &[Running],
        plan: &DeploymentPlan,
        seen: &mut usize,
    ) -> Result<bool, Trouble> {
        let done = self.done_since()?;
        if done == *seen {
            return Ok(true);
        }
        let mut still_runs = false;
        for Running { step: HostStep { host, step, .. }, progress, .. } in running {
            let PlanStep::Stop { slot, .. } = step else { continue };
            let Ok(observed) = self.tools.targets.of(*host).observe(progress).await else { return Ok(true) };
            let state = observed.slot(*slot);
            still_runs |= state.replicas > 0 && self.is_ours(plan.of(*host), *slot, state);
        }
        *seen = done;
        Ok(still_runs)
    }

    /// Whether a slot of a host holds the release that the plan has for it.
    fn is_ours(&self, plan: &Plan, slot: Slot, state: &SlotState) -> bool {
        let (found, expected) = (state.release.as_deref(), plan.release(slot));
        found.zip(expected).is_some_and(|(found, expected)| is_release(found, expected, &self.tools.known))
    }

    /// Returns the number of steps that later deployments have carried out, and of their ends.
    fn done_since(&mut self) -> Result<usize, StoreError> {
        let (run, runs) = (self.run_id().clone(), self.tools.folder.runs());
        let done = |record: &DeploymentRecord| {
            let position = Position::read(&runs.folder(record.run.clone())).ok().flatten();
            position.map_or(0, |position| position.done) + usize::from(record.outcome.is_some())
        };
        Ok(self.latest.state()?.begun_after(&run).map(done).sum())
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
            self.report_state(RecordedState::Success, "");
        }
        self.is_live = true;
        let run = self.run_id().clone();
        let state = self.latest.state().ok();
        state.and_then(|state| state.deployment(&run)?.ended).unwrap_or_else(now)
    }

    fn say_kept(&self, running: &[Running], is_live: bool, after: Duration, plan: &DeploymentPlan) {
        let Some(Running { step: HostStep { host, .. }, progress, .. }) = running.first() else { return };
        let (name, after) = (&self.subject.settings.name, written(after));
        // Short lines, so that the commands are not cut off on a small screen.
        if is_live {
            progress.say(&format!("{name} is stopped {after} after the deployment, unless a later one succeeds"));
            progress.say(&format!("`cuelight cancel {}` prevents it", self.run_id()));
            return;
        }
        let of_host = plan.of(*host);
        let slot = of_host.new.slot.other();
        // After a rollback, the way back is not to the release that was left.
        let (way, to) = match (&self.subject.cause, of_host.release(slot)) {
            (Cause::Rollback, Some(left)) => ("going forward to it", format!(" --to {}", left.name())),
            _ => ("a rollback", String::new()),
        };
        let on = plan.names(running.iter().map(|one| one.step.host));
        let on = on.map(|hosts| format!(" on {hosts}")).unwrap_or_default();
        progress.say(&format!("{slot} keeps running{on} for {after}; until then, {way} is instant:"));
        progress.say(&format!("`cuelight rollback {name}{to}`"));
        progress.say(&format!("`cuelight promote {name} --stop-kept` stops it now"));
    }

    /// Returns the state of the later deployments that have begun.
    fn later(&mut self) -> Result<Later, StoreError> {
        let run = self.run_id().clone();
        let later = self.latest.state()?.begun_after(&run);
        Ok(later.map(|record| Later::of(record.outcome)).max().unwrap_or_default())
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

/// Why a slot was not stopped, if it no longer holds the release that was kept.
const USED: &str = "used by a later deployment";

/// Why a slot was not stopped, if a later deployment has succeeded.
const SUCCEEDED: &str = "a later deployment has succeeded";

/// Why a slot was not stopped, for a cancelled run.
const KEPT: &str = "it keeps running: the run was cancelled";
