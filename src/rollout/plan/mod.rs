//! Plans: the steps of each strategy and of its rollback, on one host and over several. The functions are pure.
//!
//! Tests check every point of every plan and rollback, for all small environments: no slot gets more traffic than its
//! replicas can carry, even if as many are missing as the strategy allows.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::deployment::{EnvironmentSettings, Observed, Plan, PlanStep, Slot, SlotState, Strategy, Versioned};
use crate::model::environment::Release;

mod back;
mod batches;
mod hosts;
mod strategies;
#[cfg(test)]
mod tests;

pub use back::back;
pub use hosts::over;

/// Why no plan can be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlanError {
    /// An earlier deployment stopped halfway.
    #[error(
        "{environment} is between two releases: up to {blue} % of the traffic goes to blue and up to {green} % to green; \
         resume or abort the deployment that left it in this state: `cuelight abort {environment}`"
    )]
    Between {
        /// Name of the environment.
        environment: String,
        /// Share of the slot in percent.
        blue: u8,
        /// Share of the slot in percent.
        green: u8,
    },
    /// Traffic goes to a release that this machine did not deploy.
    #[error(
        "{environment} serves {sha}, which is not a commit or tag of the repository here: fetch it, so that a rollback is \
         possible"
    )]
    UnknownRelease {
        /// Name of the environment.
        environment: String,
        /// The commit, or the name that the target reports instead.
        sha: String,
    },
    /// One of several hosts is the cause.
    #[error("{host}: {error}")]
    Host {
        /// Name of the host.
        host: String,
        /// The error.
        error: Box<PlanError>,
    },
}

impl PlanError {
    /// Whether an earlier deployment left a host between two releases.
    #[must_use]
    pub fn is_between(&self) -> bool {
        match self {
            Self::Between { .. } => true,
            Self::Host { error, .. } => error.is_between(),
            Self::UnknownRelease { .. } => false,
        }
    }
}

/// Abilities of a target on which plans depend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Supports {
    /// Whether the target moves shares of the traffic.
    pub weights: bool,
    /// Whether the target takes traffic from single replicas.
    pub drains: bool,
    /// Whether the target itself replaces replicas in batches, so that a plan needs only one batch.
    pub rolls: bool,
}

impl Supports {
    /// Returns what the target of an environment can do.
    #[must_use]
    pub fn of(settings: &EnvironmentSettings) -> Self {
        let target = &settings.target;
        Self { weights: target.moves_traffic(), drains: target.drains(), rolls: target.rolls() }
    }

    /// Returns how many replicas a plan may start beyond `replicas`, and how many of them may be missing.
    fn batch(self, max_surge: u32, max_unavailable: u32, replicas: u32) -> (u32, u32) {
        if self.rolls { (replicas, 0) } else { (max_surge, max_unavailable) }
    }

    /// Returns the number of replicas of a slot that take traffic. Without weights, all ready replicas do.
    fn serving(self, slot: &SlotState) -> u32 {
        if self.weights { slot.serving() } else { slot.ready() }
    }

    /// Whether the target can carry out a step.
    fn has(self, step: &PlanStep) -> bool {
        match step {
            PlanStep::Weight { .. } => self.weights,
            PlanStep::Drain { .. } => self.drains,
            _ => true,
        }
    }
}

/// Returns the plan that puts a release into an environment, on one host. `known` returns the release of a commit.
///
/// If enough healthy replicas of the release still run in the slot that does not serve, the plan only moves the
/// traffic, unless the strategy is `recreate` or the target cannot move traffic. This is also so if the other slot has
/// stopped serving: then the release is needed most.
///
/// # Errors
/// The environment is between two releases, or serves a release that is not known.
pub fn plan(
    settings: &EnvironmentSettings,
    observed: &Observed,
    release: &Release,
    known: impl Fn(&str) -> Option<Release>,
) -> Result<Plan, PlanError> {
    let supports = Supports::of(settings);
    let live = live(observed);
    let running = live.map_or(1, |live| observed.slot(live).replicas);
    let replicas = settings.target.replicas().unwrap_or(running);
    let is_kept = |slot: Slot| {
        let kept = observed.slot(slot);
        kept.release.as_deref() == Some(release.sha.as_str())
            && kept.replicas >= replicas
            && kept.healthy >= replicas
            && settings.strategy != Strategy::Recreate
            && supports.weights
    };
    let found = |slot: Slot| {
        let SlotState { release, replicas, .. } = observed.slot(slot);
        let release = release.as_deref().and_then(&known)?;
        Some(Versioned { slot, release, replicas: *replicas })
    };
    let (slot, old) = match live {
        // A target that rolls by itself removes the replicas in the other slot only once the new release is healthy.
        None if supports.rolls && observed.slot(Slot::Blue).replicas > 0 => (Slot::Green, None),
        None if supports.rolls => (Slot::Blue, None),
        None => {
            let (slot, old) = idle(observed, is_kept);
            // After an interrupted command, nothing is known to have served.
            (slot, old.filter(|_| observed.is_certain()).and_then(found))
        }
        Some(live) => {
            let rest = observed.slot(live.other());
            if supports.serving(rest) > 0 {
                let (blue, green) = (observed.slot(Slot::Blue).weight, observed.slot(Slot::Green).weight);
                return Err(PlanError::Between { environment: settings.name.clone(), blue, green });
            }
            let sha = || observed.slot(live).release.as_deref();
            let named = || sha().unwrap_or("a release that the target does not name").to_owned();
            let unknown = || PlanError::UnknownRelease { environment: settings.name.clone(), sha: named() };
            (live.other(), Some(found(live).ok_or_else(unknown)?))
        }
    };
    let new = Versioned { slot, release: release.clone(), replicas };
    let kept = observed.slot(slot);
    let mut steps = Vec::new();
    // An interrupted deployment may have left replicas without traffic in the other slot.
    let left = (old.is_none() && observed.slot(slot.other()).replicas > 0).then_some(PlanStep::Stop {
        slot: slot.other(),
        keep: 0,
        after: Duration::ZERO,
    });
    if is_kept(slot) && (old.is_some() || !supports.rolls) {
        // What has ended is not kept, because nothing could go back to it at once.
        let keep_old = if live.is_some() { settings.keep_old } else { Duration::ZERO };
        steps.extend(strategies::switch(&new, old.as_ref(), keep_old, (kept.open < replicas, supports.rolls)));
        steps.extend(left);
    } else {
        // A target that rolls by itself replaces these replicas as well.
        if kept.replicas > 0 && !supports.rolls {
            steps.push(PlanStep::Stop { slot, keep: 0, after: Duration::ZERO });
        }
        let is_recreated = settings.strategy == Strategy::Recreate;
        steps.extend(left.clone().filter(|_| is_recreated));
        match &old {
            Some(old) if live.is_none() => steps.extend(strategies::revival(settings, &new, old)),
            old => steps.extend(strategies::steps(settings, &new, old.as_ref())),
        }
        steps.extend(left.filter(|_| !is_recreated));
    }
    steps.retain(|step| supports.has(step));
    steps.extend(settings.auto_stop.map(|after| PlanStep::Stop { slot, keep: 0, after }));
    Ok(Plan { host: None, address: None, new, old, steps, found: observed.clone(), images: BTreeMap::new() })
}

/// Returns the slot to fill while no slot serves, and the slot whose release is replaced: the one that served last.
/// `is_kept` is whether a slot only has to be opened.
///
/// Otherwise the slot is filled in which less runs, because what runs may recover, or be what a person goes back to.
fn idle(observed: &Observed, is_kept: impl Fn(Slot) -> bool) -> (Slot, Option<Slot>) {
    let is_used = |slot: &Slot| observed.slot(*slot).replicas > 0;
    if let Some(kept) = Slot::ALL.into_iter().find(|slot| is_kept(*slot)) {
        return (kept, Some(kept.other()).filter(is_used));
    }
    let runs = |slot: &Slot| {
        let SlotState { open, healthy, replicas, .. } = observed.slot(*slot);
        (*healthy, *open, *replicas)
    };
    match Slot::ALL.into_iter().filter(is_used).max_by_key(runs) {
        None => (Slot::Blue, None),
        Some(slot) => {
            // Healthy replicas without traffic were drained, so they did not serve last.
            let state = observed.slot(slot);
            (slot.other(), Some(slot).filter(|_| state.open > 0 || state.healthy == 0))
        }
    }
}

/// Returns the slot that serves. Without weights, it is the one with the most replicas that can take traffic. `None` if
/// no slot serves.
fn live(observed: &Observed) -> Option<Slot> {
    observed.live().or_else(|| {
        let fullest = Slot::ALL.into_iter().max_by_key(|slot| observed.slot(*slot).ready())?;
        Some(fullest).filter(|slot| observed.slot(*slot).ready() > 0)
    })
}

/// Appends a step, unless it repeats the last one.
fn push(steps: &mut Vec<PlanStep>, step: PlanStep) {
    if steps.last() != Some(&step) {
        steps.push(step);
    }
}
