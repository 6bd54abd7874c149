//! A target of commands.
//!
//! Without a `status` command, the state of the target is the result of the steps so far. It is kept in a file of the
//! state folder, which is written before and after each command. With a `status` command, the output of the command is
//! the state, except for the number of replicas that are not drained: the command does not print that number, so it
//! comes from the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::model::RunId;
use crate::model::deployment::{
    EnvironmentSettings, Observed, Plan, PlanStep, Probe, ScriptCommand, ScriptSettings, Slot, SlotState,
};
use crate::model::environment::Release;
use crate::store::{StoreError, json};

use super::{Target, TargetError};
use crate::rollout::check::{self, Answer};
use crate::rollout::outlet::Progress;
use crate::rollout::shell::{CommandError, Ended, Output, Shell};

/// Maximum size in bytes of the file with the state of a target.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads the state of a target as its commands have left it. `kept` is the file with the state; without one, nothing runs.
///
/// # Errors
/// The file cannot be read.
pub fn recorded(kept: &Path) -> Result<Observed, StoreError> {
    Ok(json::read(kept, MAX_BYTES)?.unwrap_or_default())
}

/// A target of commands, for one deployment.
pub struct Script {
    settings: EnvironmentSettings,
    target: ScriptSettings,
    deployment: RunId,
    shell: Shell,
    kept: PathBuf,
}

impl Script {
    /// Returns the target of an environment with these commands. `kept` is the file with its saved state.
    #[must_use]
    pub(super) fn new(
        settings: EnvironmentSettings,
        target: ScriptSettings,
        deployment: RunId,
        shell: Shell,
        kept: PathBuf,
    ) -> Self {
        Self { settings, target, deployment, shell, kept }
    }

    /// Returns the environment variables that all commands get. Variables about the release are empty if `release` is
    /// `None`.
    fn variables(&self, action: &str, slot: Slot, release: Option<&Release>) -> Vec<(&'static str, String)> {
        let of = |value: fn(&Release) -> String| release.map(value).unwrap_or_default();
        vec![
            ("DEPLOY_ENVIRONMENT", self.settings.name.clone()),
            ("DEPLOY_ID", self.deployment.to_string()),
            ("DEPLOY_ACTION", action.to_owned()),
            ("DEPLOY_SLOT", slot.name().to_owned()),
            ("DEPLOY_RELEASE", of(|release| release.name().to_owned())),
            ("DEPLOY_SHA", of(|release| release.sha.clone())),
            ("DEPLOY_REF", of(|release| release.reference.clone())),
            ("DEPLOY_TAG", of(|release| release.tag.clone().unwrap_or_default())),
        ]
    }

    /// Runs a command of the target. Returns `None` for a command that the target does not define.
    async fn run(
        &self,
        command: ScriptCommand,
        variables: &[(&str, String)],
        progress: &Progress,
    ) -> Result<Option<Ended>, CommandError> {
        let Some(text) = self.target.command(command) else { return Ok(None) };
        let (name, limit) = (command.name(), self.target.timeout);
        let output = if command == ScriptCommand::Status { Output::Kept } else { Output::Logged };
        let ended = self.shell.run(text, variables, limit, (progress, output)).await.map_err(CommandError::Start)?;
        match ended.status {
            None => Err(CommandError::TooSlow { name, limit }),
            Some(status) if !status.success() => Err(CommandError::Failed { name, status }),
            Some(_) => Ok(Some(ended)),
        }
    }

    /// Reads the saved state.
    fn read(&self) -> Result<Observed, StoreError> {
        recorded(&self.kept)
    }

    fn write(&self, observed: &Observed) -> Result<(), StoreError> {
        json::write(&self.kept, observed)
    }

    async fn observed(&self, progress: &Progress) -> Result<Observed, TargetError> {
        let kept = self.read()?;
        if self.target.command(ScriptCommand::Status).is_none() {
            return Ok(kept);
        }
        let slot = kept.live().unwrap_or(Slot::Blue);
        let variables = self.variables(ScriptCommand::Status.name(), slot, None);
        let ended = self.run(ScriptCommand::Status, &variables, progress).await?;
        let output = ended.map(|ended| String::from_utf8_lossy(&ended.output).into_owned()).unwrap_or_default();
        let mut observed = Observed::default();
        for (line, text) in output.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let wrong = || TargetError::Status { line: line + 1, text: text.to_owned() };
            let (slot, state) = status(text).ok_or_else(wrong)?;
            *observed.slot_mut(slot) = state;
        }
        for slot in Slot::ALL {
            let known = kept.slot(slot);
            let state = observed.slot_mut(slot);
            state.open = match state.weight {
                _ if known.release == state.release => known.open.min(state.replicas),
                0 => 0,
                _ => state.replicas,
            };
        }
        Ok(observed)
    }

    async fn carry_out(&self, step: &PlanStep, plan: &Plan, progress: &Progress) -> Result<(), TargetError> {
        let (command, slot, variable) = match step {
            PlanStep::Start { slot, replicas } => {
                (ScriptCommand::Start, *slot, Some(("DEPLOY_REPLICAS", replicas.to_string())))
            }
            PlanStep::Weight { slot, percent } => {
                (ScriptCommand::Weight, *slot, Some(("DEPLOY_WEIGHT", percent.to_string())))
            }
            PlanStep::Drain { slot, keep } => (ScriptCommand::Drain, *slot, Some(("DEPLOY_KEEP", keep.to_string()))),
            PlanStep::Stop { slot, keep, .. } => (ScriptCommand::Stop, *slot, Some(("DEPLOY_KEEP", keep.to_string()))),
            PlanStep::Healthy { .. } | PlanStep::Check { .. } | PlanStep::Pause(_) => {
                return Ok(self.write(&self.read()?.after(step, plan))?);
            }
        };
        let mut variables = self.variables(command.name(), slot, plan.release(slot));
        variables.extend(variable);
        let before = self.read()?;
        // An interrupted command may have done everything, or nothing.
        self.write(&before.during(step, plan))?;
        self.run(command, &variables, progress).await?;
        Ok(self.write(&before.after(step, plan))?)
    }

    async fn healthy(&self, slot: Slot, plan: &Plan, progress: &Progress) -> Answer {
        let mut variables = self.variables(ScriptCommand::Healthy.name(), slot, plan.release(slot));
        variables.push(("DEPLOY_REPLICAS", plan.new.replicas.to_string()));
        let limit = self.settings.health.timeout;
        if let Some(command) = self.target.command(ScriptCommand::Healthy) {
            let probe = Probe::Exec(command.to_owned());
            let answer = check::ask(&probe, limit, &self.shell, (slot.name(), &variables), progress).await;
            if !matches!(answer, Answer::Good(_)) || self.settings.health_check.is_none() {
                return answer;
            }
        }
        match &self.settings.health_check {
            Some(probe) => check::ask(probe, limit, &self.shell, (slot.name(), &variables), progress).await,
            None => Answer::Unknown("the target has no health check".to_owned()),
        }
    }
}

/// Parses a line of the `status` command. `None` if the line is malformed.
fn status(line: &str) -> Option<(Slot, SlotState)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [slot, release, replicas, healthy, weight] = words.as_slice() else { return None };
    let slot = Slot::named(slot)?;
    let weight: u8 = weight.parse().ok().filter(|weight| *weight <= 100)?;
    let state = SlotState {
        release: Some((*release).to_owned()),
        replicas: replicas.parse().ok()?,
        healthy: healthy.parse().ok()?,
        open: 0,
        weight,
    };
    Some((slot, state))
}

impl Target for Script {
    fn observe<'t>(&'t self, progress: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>> {
        self.observed(progress).boxed()
    }

    fn act<'t>(
        &'t self,
        step: &'t PlanStep,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Result<(), TargetError>> {
        self.carry_out(step, plan, progress).boxed()
    }

    fn health<'t>(&'t self, slot: Slot, plan: &'t Plan, progress: &'t Progress) -> BoxFuture<'t, Answer> {
        self.healthy(slot, plan, progress).boxed()
    }

    fn check<'t>(
        &'t self,
        probe: &'t Probe,
        limit: Duration,
        slot: Slot,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Answer> {
        check::ask_of_slot(probe, limit, &self.shell, (self.settings.name.as_str(), slot, plan), progress).boxed()
    }
}
