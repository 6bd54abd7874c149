//! The plan of a deployment and the position in it, written before each step.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::model::deployment::{DeploymentPlan, HostStep, Pause, Plan, PlanStep};
use crate::model::lane::Kept;
use crate::store::folder::RunFolder;
use crate::store::{StoreError, json};

use super::restarts::Restarts;

/// Maximum size in bytes of the position file.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A position in a plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// The plan.
    pub plan: DeploymentPlan,
    /// Number of steps that are done, of all hosts. Steps that are carried out at the same time count together, once all
    /// of them are done.
    pub done: usize,
    /// Why the deployment rolls back; `None` while it goes forward.
    pub back: Option<String>,
    /// Whether the deployment has ended, so that nothing is left to do or to undo.
    pub has_ended: bool,
    /// Whether the deployment waits before the current step, because a person has paused it.
    #[serde(default)]
    pub is_paused: bool,
    /// Whether the deployment waits in the current step for the decision of a person, because its analysis knows nothing.
    #[serde(default)]
    pub is_undecided: bool,
    /// Why the target waits for the decision of a person within the current step, with the commands to decide; `None` if it
    /// does not.
    #[serde(default)]
    pub decision: Option<String>,
    /// Restarts of the replicas when the new release was first found healthy.
    #[serde(default)]
    pub(super) restarts: Restarts,
}

impl Position {
    /// Reads the position of a deployment; `None` if it has not passed its gates.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(folder: &RunFolder) -> Result<Option<Self>, StoreError> {
        json::read(&folder.deployment(), MAX_BYTES)
    }

    /// Writes the position.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &RunFolder) -> Result<(), StoreError> {
        json::write(&folder.deployment(), self)
    }

    /// Returns the steps that are carried out now; empty at the end.
    #[must_use]
    pub fn wave(&self) -> Vec<HostStep> {
        self.plan.wave(self.done)
    }

    /// Returns the steps that are done, of all hosts.
    fn done_steps(&self) -> Vec<HostStep> {
        let mut steps = self.plan.steps();
        steps.truncate(self.done);
        steps
    }

    /// Returns the number of steps that are done on a host.
    #[must_use]
    pub fn done_on(&self, host: usize) -> usize {
        self.done_steps().iter().filter(|step| step.host == host).count()
    }

    /// Returns the number of the current step, from 1, and the number of all steps.
    #[must_use]
    pub fn step(&self) -> (usize, usize) {
        let all = self.plan.steps().len();
        ((self.done + 1).min(all), all)
    }

    /// Returns the current step, or the last one if all are done; `None` for a plan without steps.
    fn current(&self) -> Option<HostStep> {
        self.plan.steps().into_iter().nth(self.step().0.saturating_sub(1))
    }

    /// Returns the current step in words, after its host if there are several; empty for a plan without steps.
    #[must_use]
    pub fn step_name(&self) -> String {
        self.current().map(|step| self.plan.describe(&step)).unwrap_or_default()
    }

    /// Whether the deployment waits until a person promotes it: in the current step, or before it.
    #[must_use]
    pub fn waits_for_person(&self) -> bool {
        let is_pause = |step: &HostStep| step.step == PlanStep::Pause(Pause::Person);
        self.back.is_none() && (self.is_paused || self.is_open() || self.wave().iter().any(is_pause))
    }

    /// Whether the current step waits for the decision of a person, although the plan has no pause there.
    fn is_open(&self) -> bool {
        self.is_undecided || self.decision.is_some()
    }

    /// Returns the hosts on which a step that is done has started replicas of the new release.
    #[must_use]
    pub(super) fn started(&self) -> Vec<usize> {
        let done = self.done_steps();
        let is_started =
            |(host, plan): &(usize, &Plan)| done.iter().any(|step| step.host == *host && plan.starts_new(&step.step));
        self.plan.plans().enumerate().filter(is_started).map(|(host, _)| host).collect()
    }

    /// Returns the hosts on which the new release was found healthy and has got no further replicas since, so that it can be
    /// watched.
    #[must_use]
    pub(super) fn watched(&self) -> Vec<usize> {
        let done = self.done_steps();
        let is_watched = |(host, plan): &(usize, &Plan)| {
            let is_healthy = |step: &PlanStep| *step == PlanStep::Healthy { slot: plan.new.slot };
            let mut of_host = done.iter().rev().filter(|step| step.host == *host).map(|step| &step.step);
            of_host.find(|step| is_healthy(step) || plan.starts_new(step)).is_some_and(is_healthy)
        };
        self.plan.plans().enumerate().filter(is_watched).map(|(host, _)| host).collect()
    }

    /// Returns what a pause means for the current step. `is_requested` is whether a person has requested one.
    /// `None` without a request, and during a rollback, which does not pause.
    #[must_use]
    pub fn pause(&self, is_requested: bool) -> Option<&'static str> {
        match (is_requested && self.back.is_none(), self.is_paused) {
            (false, _) => None,
            (true, false) => Some("pauses after this step"),
            (true, true) => Some("paused before this step"),
        }
    }

    /// Returns the former release that still runs, if the current step waits to stop it. `since` is the time of the
    /// success.
    #[must_use]
    pub fn kept(&self, since: Timestamp) -> Option<Kept> {
        let (step, after) = self.stop_after()?;
        let plan = self.plan.of(step.host);
        let slot = plan.new.slot.other();
        let release = plan.release(slot).filter(|_| !plan.stops_new(&step.step))?.clone();
        Some(Kept { release, slot, until: since.after(after), is_confirmed: false })
    }

    /// Returns how long after the deployment the environment is stopped, if that is the current step.
    #[must_use]
    pub fn auto_stop(&self) -> Option<Duration> {
        self.stop_after().filter(|(step, _)| self.plan.of(step.host).stops_new(&step.step)).map(|(_, after)| after)
    }

    /// Returns the current step, if it stops a slot some time after the success, and that time.
    fn stop_after(&self) -> Option<(HostStep, Duration)> {
        let step = self.wave().into_iter().next()?;
        let after = step.step.late_stop()?;
        Some((step, after))
    }

    /// Returns the position in words: `step 4/9, Wait until green is healthy`, or `step 4/9 on web2, …` if there are
    /// several hosts. A step that waits only for the decision of a person says so.
    #[must_use]
    pub fn text(&self) -> String {
        let (at, all) = self.step();
        let back = if self.back.is_some() { ", rolling back" } else { "" };
        let hosts = self.plan.names(self.wave().iter().map(|step| step.host));
        let on = hosts.map(|hosts| format!(" on {hosts}")).unwrap_or_default();
        let words = self.current().map(|step| self.plan.words(&step)).unwrap_or_default();
        let waits = if self.is_open() && self.back.is_none() { "; waits for a person" } else { "" };
        format!("step {at}/{all}{on}{back}, {words}{waits}")
    }

    /// Returns the position in words, with what a pause means for it: `step 4/9, Watch for 8s; pauses after this step`. As for
    /// [`Self::pause`], `is_requested` is whether a person has requested one.
    #[must_use]
    pub fn text_with_pause(&self, is_requested: bool) -> String {
        let pause = self.pause(is_requested).map(|pause| format!("; {pause}")).unwrap_or_default();
        format!("{}{pause}", self.text())
    }
}
