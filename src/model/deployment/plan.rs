//! The plan of a deployment: seven kinds of steps, and their effects.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::written;
use crate::model::environment::Release;

/// One of the two sets of replicas of an environment. Slots take turns: a deployment fills the one without traffic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// The first slot that is used.
    Blue,
    /// The other slot.
    Green,
}

impl Slot {
    /// Both slots.
    pub const ALL: [Self; 2] = [Self::Blue, Self::Green];

    /// Returns the other slot.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }

    /// Returns the name of the slot.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }

    /// Returns the slot with this name. `None` if there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.name() == name)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// State of a slot.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotState {
    /// Commit of the release; `None` for an empty slot.
    pub release: Option<String>,
    /// Number of replicas that were started and not stopped.
    pub replicas: u32,
    /// Number of these replicas that were last seen healthy.
    pub healthy: u32,
    /// Number of these replicas that are not drained.
    pub open: u32,
    /// Share of the traffic in percent.
    pub weight: u8,
}

impl SlotState {
    /// Returns the number of replicas that can take traffic, whatever the weight.
    #[must_use]
    pub fn ready(&self) -> u32 {
        self.healthy.min(self.open)
    }

    /// Whether the slot has replicas, all of which are healthy.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.replicas > 0 && self.healthy >= self.replicas
    }

    /// Returns the number of replicas that take traffic.
    #[must_use]
    pub fn serving(&self) -> u32 {
        if self.weight > 0 { self.ready() } else { 0 }
    }
}

/// State of both slots of an environment, as its target reports it or as the steps of a plan predict it.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Observed {
    blue: SlotState,
    green: SlotState,
    /// Whether the end of the last step was not observed, so that fewer replicas may run than this state shows.
    #[serde(default)]
    is_uncertain: bool,
    /// What else the target reports: what its controller says about a change in progress, such as why it waits, or which
    /// replicas end again and again. `None` if there is nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Observed {
    /// Returns the state of several hosts together, each with its name: all replicas, and the mean share of the traffic.
    /// A slot has a release only if all hosts that use it have the same one there. The note lists the hosts if they
    /// serve different releases.
    #[must_use]
    pub fn of_hosts(hosts: &[(Option<String>, Self)]) -> Self {
        if let [(_, only)] = hosts {
            return only.clone();
        }
        let mut all = Self { is_uncertain: hosts.iter().any(|(_, host)| host.is_uncertain), ..Self::default() };
        for slot in Slot::ALL {
            let used: Vec<&SlotState> =
                hosts.iter().map(|(_, host)| host.slot(slot)).filter(|state| state.replicas > 0).collect();
            let sum = |of: fn(&SlotState) -> u32| used.iter().map(|state| of(state)).sum();
            let release = used.first().and_then(|state| state.release.clone());
            let is_same = used.iter().all(|state| state.release == release);
            let weight = used.iter().map(|state| usize::from(state.weight)).sum::<usize>();
            *all.slot_mut(slot) = SlotState {
                release: release.filter(|_| is_same),
                replicas: sum(|state| state.replicas),
                healthy: sum(|state| state.healthy),
                open: sum(|state| state.open),
                weight: weight.checked_div(hosts.len()).and_then(|mean| u8::try_from(mean).ok()).unwrap_or_default(),
            };
        }
        let served = |host: &Self| host.live().map(|slot| host.slot(slot).release.clone());
        let differ = hosts.windows(2).any(|pair| served(&pair[0].1) != served(&pair[1].1));
        let of_host = |(name, host): &(Option<String>, Self)| {
            let short = |sha: String| Release::short_of(&sha).to_owned();
            let sha = match served(host) {
                None => "nothing".to_owned(),
                Some(release) => release.map_or_else(|| "an unknown release".to_owned(), short),
            };
            format!("{} {sha}", name.as_deref().unwrap_or_default())
        };
        let each = || hosts.iter().map(of_host).collect::<Vec<_>>().join(", ");
        let notes = hosts.iter().filter_map(|(_, host)| host.note.clone());
        let differ = differ.then(|| format!("the hosts serve different releases: {}", each()));
        let notes: Vec<String> = differ.into_iter().chain(notes).collect();
        all.note = (!notes.is_empty()).then(|| notes.join("; "));
        all
    }

    /// Adds a note before those that there are.
    pub fn add_note(&mut self, note: String) {
        self.note = Some([note].into_iter().chain(self.note.take()).collect::<Vec<_>>().join("; "));
    }

    /// Returns the state of a slot.
    #[must_use]
    pub fn slot(&self, slot: Slot) -> &SlotState {
        match slot {
            Slot::Blue => &self.blue,
            Slot::Green => &self.green,
        }
    }

    /// Returns a mutable reference to the state of a slot.
    pub fn slot_mut(&mut self, slot: Slot) -> &mut SlotState {
        match slot {
            Slot::Blue => &mut self.blue,
            Slot::Green => &mut self.green,
        }
    }

    /// Whether the end of the last step was observed. If not, the step must be carried out again, whatever the target
    /// reports.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        !self.is_uncertain
    }

    /// Returns the slot with the most traffic; `None` if no slot gets any.
    #[must_use]
    pub fn live(&self) -> Option<Slot> {
        let heaviest = if self.green.weight > self.blue.weight { Slot::Green } else { Slot::Blue };
        Some(heaviest).filter(|slot| self.slot(*slot).weight > 0)
    }

    /// Returns the commit of the release in the only slot with traffic. `None` if no slot has traffic, both have, or its
    /// release is not known.
    #[must_use]
    pub fn serves(&self) -> Option<&str> {
        let live = self.live().filter(|live| self.slot(live.other()).weight == 0)?;
        self.slot(live).release.as_deref()
    }

    /// Returns the state to assume while a step is carried out, and after an interruption. It combines the states
    /// before and after the step: the larger numbers of replicas and shares of traffic, and the smaller numbers of
    /// replicas that can serve.
    #[must_use]
    pub fn during(&self, step: &PlanStep, plan: &Plan) -> Self {
        let mut all = Self { is_uncertain: true, ..self.after(step, plan) };
        for slot in Slot::ALL {
            let (before, state) = (self.slot(slot), all.slot_mut(slot));
            state.release = state.release.take().or_else(|| before.release.clone());
            state.replicas = state.replicas.max(before.replicas);
            state.healthy = state.healthy.min(before.healthy);
            state.open = state.open.min(before.open);
            state.weight = state.weight.max(before.weight);
        }
        all
    }

    /// Returns the state after a successful step. `plan` provides the release of each slot.
    #[must_use]
    pub fn after(&self, step: &PlanStep, plan: &Plan) -> Self {
        let mut next = Self { is_uncertain: false, note: None, ..self.clone() };
        match step {
            PlanStep::Start { slot, replicas } => {
                let state = next.slot_mut(*slot);
                state.release = plan.release(*slot).map(|release| release.sha.clone());
                state.replicas = state.replicas.max(*replicas);
                state.open = state.open.max(*replicas);
            }
            PlanStep::Healthy { slot } => {
                let state = next.slot_mut(*slot);
                state.healthy = state.replicas;
            }
            PlanStep::Weight { slot, percent } => {
                next.slot_mut(*slot).weight = *percent;
                next.slot_mut(slot.other()).weight = 100 - percent;
            }
            PlanStep::Drain { slot, keep } => {
                let state = next.slot_mut(*slot);
                state.open = state.open.min(*keep);
                if state.open == 0 {
                    state.weight = 0;
                }
            }
            PlanStep::Stop { slot, keep, .. } => {
                let state = next.slot_mut(*slot);
                state.replicas = state.replicas.min(*keep);
                state.healthy = state.healthy.min(*keep);
                state.open = state.open.min(*keep);
                if state.replicas == 0 {
                    *state = SlotState::default();
                }
            }
            PlanStep::Check { .. } | PlanStep::Pause(_) => {}
        }
        next
    }
}

/// A wait between two steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// A length of time during which the new release is watched.
    For(Duration),
    /// A wait until a person promotes the deployment.
    Person,
}

/// A step of a plan. Every step names a target state, not a change, so carrying it out twice has the same effect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum PlanStep {
    /// At least this number of replicas runs, and none of them is drained.
    Start {
        /// The slot.
        slot: Slot,
        /// Number of replicas.
        replicas: u32,
    },
    /// Every replica of the slot is healthy.
    Healthy {
        /// The slot.
        slot: Slot,
    },
    /// The smoke test of the slot succeeds.
    Check {
        /// The slot.
        slot: Slot,
    },
    /// The slot gets this share of the traffic, the other slot the rest.
    Weight {
        /// The slot.
        slot: Slot,
        /// Share in percent.
        percent: u8,
    },
    /// The deployment waits.
    Pause(Pause),
    /// At most this number of replicas gets new requests, and the others have finished theirs. Replicas that are not
    /// healthy are drained first.
    Drain {
        /// The slot.
        slot: Slot,
        /// Number of replicas that are not drained.
        keep: u32,
    },
    /// At most this number of replicas runs. Drained replicas are stopped first.
    Stop {
        /// The slot.
        slot: Slot,
        /// Number of replicas that keep running.
        keep: u32,
        /// How long the other replicas keep running before they are stopped.
        after: Duration,
    },
}

impl PlanStep {
    /// Returns the step in a few characters: `green 10 %`.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Start { replicas, .. } => format!("start {replicas}"),
            Self::Healthy { .. } => "healthy".to_owned(),
            Self::Check { .. } => "smoke test".to_owned(),
            Self::Weight { slot, percent } => format!("{slot} {percent} %"),
            Self::Pause(Pause::For(length)) => format!("watch {}", written(*length)),
            Self::Pause(Pause::Person) => "promote".to_owned(),
            Self::Drain { slot, keep: 0 } => format!("drain {slot}"),
            Self::Drain { slot, keep } => format!("drain {slot} to {keep}"),
            Self::Stop { slot, keep: 0, .. } => format!("stop {slot}"),
            Self::Stop { slot, keep, .. } => format!("stop {slot} to {keep}"),
        }
    }

    /// Returns how long after the deployment the step stops a slot. `None` for a stop at once, and for any other step.
    #[must_use]
    pub fn late_stop(&self) -> Option<Duration> {
        match self {
            Self::Stop { after, .. } if !after.is_zero() => Some(*after),
            _ => None,
        }
    }
}

/// A release and the slot that it runs in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Versioned {
    /// The slot.
    pub slot: Slot,
    /// The release.
    pub release: Release,
    /// Number of replicas of the release when it is live.
    pub replicas: u32,
}

/// The plan of a deployment on one host: its releases, and its steps in order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Short name of the host; `None` unless the target has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Host of the engine's address, for checks: `web1`, `[fd00::1]`. `None` if the target has no hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The release that is deployed.
    pub new: Versioned,
    /// The release that was live before the deployment, even if none of its replicas served any more; `None` for the first
    /// deployment.
    pub old: Option<Versioned>,
    /// The steps.
    pub steps: Vec<PlanStep>,
    /// State of the host when the plan was made.
    #[serde(default)]
    pub found: Observed,
    /// Images to start in the slots, whatever the names of the images stand for now: those with which the former release
    /// and, in a rollback, the new one succeeded earlier.
    #[serde(default)]
    pub images: BTreeMap<Slot, String>,
}

impl Plan {
    /// Returns the release that the plan has in a slot; `None` if it has none there.
    #[must_use]
    pub fn release(&self, slot: Slot) -> Option<&Release> {
        let all = [Some(&self.new), self.old.as_ref()];
        all.into_iter().flatten().find(|versioned| versioned.slot == slot).map(|versioned| &versioned.release)
    }

    /// Returns the former release, if it served when the plan was made.
    #[must_use]
    pub fn served(&self) -> Option<&Release> {
        let old = self.old.as_ref()?;
        let found = self.found.slot(old.slot);
        (found.weight > 0 || found.ready() > 0).then_some(&old.release)
    }

    /// Returns the steps that put the release in place, and those that stop a release some time after the deployment.
    #[must_use]
    pub fn parts(&self) -> (&[PlanStep], &[PlanStep]) {
        let late = self.steps.iter().position(|step| step.late_stop().is_some());
        self.steps.split_at(late.unwrap_or(self.steps.len()))
    }

    /// Whether a step starts the new release.
    #[must_use]
    pub fn starts_new(&self, step: &PlanStep) -> bool {
        matches!(step, PlanStep::Start { slot, .. } if *slot == self.new.slot)
    }

    /// Whether a step stops the new release.
    #[must_use]
    pub fn stops_new(&self, step: &PlanStep) -> bool {
        matches!(step, PlanStep::Stop { slot, .. } if *slot == self.new.slot)
    }

    /// Whether this number of healthy replicas of the new release ran in the slot when the plan was made and is not
    /// stopped by an earlier step, so that none has to be started.
    fn still_runs(&self, slot: Slot, replicas: u32) -> bool {
        let found = self.found.slot(slot);
        let is_new = slot == self.new.slot && found.release.as_ref() == Some(&self.new.release.sha);
        let starts = |step: &PlanStep| matches!(step, PlanStep::Start { slot: started, .. } if *started == slot);
        let stops = |step: &PlanStep| matches!(step, PlanStep::Stop { slot: stopped, .. } if *stopped == slot);
        let is_stopped = self.steps.iter().take_while(|step| !starts(step)).any(stops);
        replicas > 0 && found.replicas >= replicas && found.healthy >= replicas && is_new && !is_stopped
    }

    /// Whether no step has to start a replica, so that the traffic only moves.
    #[must_use]
    pub fn is_instant(&self) -> bool {
        !self.steps.iter().any(|step| match step {
            PlanStep::Start { slot, replicas } => !self.still_runs(*slot, *replicas),
            _ => false,
        })
    }

    /// Returns a step in words: `Start 2 replicas of v1.4.2 9093b37 in green`.
    #[must_use]
    pub fn describe(&self, step: &PlanStep) -> String {
        let release = |slot: &Slot| self.release(*slot).map_or("what is there", Release::name);
        match step {
            PlanStep::Start { slot, replicas } if self.still_runs(*slot, *replicas) => {
                format!("Open {slot}, where {} still runs, for traffic", release(slot))
            }
            PlanStep::Start { slot, replicas: 1 } => format!("Start 1 replica of {} in {slot}", release(slot)),
            PlanStep::Start { slot, replicas } => format!("Start {replicas} replicas of {} in {slot}", release(slot)),
            PlanStep::Healthy { slot } => format!("Wait until {slot} is healthy"),
            PlanStep::Check { slot } => format!("Smoke test of {slot}"),
            PlanStep::Weight { slot, percent } => format!("Send {percent} % of the traffic to {slot}"),
            PlanStep::Pause(Pause::For(length)) => format!("Watch for {}", written(*length)),
            PlanStep::Pause(Pause::Person) => "Wait for `cuelight promote`".to_owned(),
            PlanStep::Drain { slot, keep: 0 } => format!("Drain {slot}"),
            PlanStep::Drain { slot, keep } => format!("Drain {slot} to {keep}"),
            PlanStep::Stop { slot, keep, after } => {
                let to = if *keep == 0 { String::new() } else { format!(" to {keep}") };
                let late = if after.is_zero() { String::new() } else { format!(" after {}", written(*after)) };
                format!("Stop {slot}{to}{late}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_serve_different_releases_are_listed_with_short_commits_and_images() {
        let host = |name: &str, sha: &str| {
            let mut host = Observed::default();
            *host.slot_mut(Slot::Blue) =
                SlotState { release: Some(sha.to_owned()), replicas: 1, healthy: 1, open: 1, weight: 100 };
            (Some(name.to_owned()), host)
        };
        let all = Observed::of_hosts(&[host("web1", "0123456789abcdef"), host("web2", "sha256:fedcba9876543210")]);
        let note = "the hosts serve different releases: web1 0123456, web2 fedcba9";
        assert_eq!(all.note.as_deref(), Some(note));
    }
}
