//! Describes the environments of this machine for screens that show them side by side.

use std::collections::{BTreeMap, HashMap};

use super::{DeployError, Deployments, protection};
use crate::launch::trust::{self, Trust};
use crate::model::Timestamp;
use crate::model::deployment::{
    EnvironmentSettings, EnvironmentState, Ledger, Observed, Outcome, ScriptCommand, Slot, TargetSettings,
};
use crate::model::environment::{Drift, Environment, Release};
use crate::model::lane::{Lane, LaneDeployment, LaneStep, Reported};
use crate::repo::git::git;
use crate::rollout::driver::Position;
use crate::rollout::gates::{self, Closed, GateFacts, GateKind};
use crate::rollout::release;
use crate::store::clock::{minute_of_week, now};

/// Maximum number of deployments of an environment that are shown and searched for open ones.
const MAX_DEPLOYMENTS: usize = 50;

/// Results that are expensive to determine, for later calls of [`Deployments::lanes`].
#[derive(Default)]
pub struct LaneMemory {
    /// Differences between two commits: numbers of commits that only the second and only the first has.
    drifts: HashMap<(String, String), Option<(u64, u64)>>,
    /// The current commit.
    head: Option<Release>,
    /// States of the targets when they were last observed, by environment.
    seen: BTreeMap<String, Seen>,
}

/// State of a target when it was last observed.
struct Seen {
    observed: Observed,
    at: Timestamp,
    /// Whether the target reported the state; otherwise it is the state that the last deployment left.
    is_reported: bool,
}

impl Deployments {
    /// Observes the targets of all environments, and remembers their states. The state of a target that does not answer
    /// is forgotten. Without trust in the repository, no target is asked, and all states are forgotten.
    ///
    /// # Errors
    /// The settings are invalid, or the trust cannot be determined.
    pub async fn look(&self, memory: &mut LaneMemory) -> Result<(), DeployError> {
        if trust::of(&self.runs, &self.repository, &self.named)? != Trust::Given {
            memory.seen.clear();
            return Ok(());
        }
        for settings in self.all_settings()?.values() {
            match self.observe(settings).await {
                Ok(observed) => {
                    let seen = Seen { observed, at: now(), is_reported: reports(&settings.target) };
                    memory.seen.insert(settings.name.clone(), seen);
                }
                Err(error) => {
                    tracing::debug!(%error, environment = settings.name, "a target does not report what is running");
                    memory.seen.remove(&settings.name);
                }
            }
        }
        Ok(())
    }

    /// Returns the lanes of all environments, each after the environments in which its releases must succeed first.
    ///
    /// # Errors
    /// The settings are invalid, or the state folder cannot be read.
    pub fn lanes(&self, memory: &mut LaneMemory) -> Result<Vec<Lane>, DeployError> {
        let all = self.all_settings()?;
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let ledger = self.ledger()?;
        if memory.head.as_ref().is_none_or(|head| head.sha != self.repository.sha) {
            memory.head = release::resolve(&self.repository.root, "HEAD").ok().map(|named| named.release);
        }
        let mut lanes: Vec<Lane> = Vec::with_capacity(all.len());
        for settings in in_order(all.values().collect()) {
            let lane = self.lane(settings, &ledger, &lanes, memory);
            lanes.push(lane);
        }
        Ok(lanes)
    }

    /// Returns the lane of an environment. `before` contains the lanes of the environments that come before it.
    fn lane(&self, settings: &EnvironmentSettings, ledger: &Ledger, before: &[Lane], memory: &mut LaneMemory) -> Lane {
        let (at, state) = (now(), ledger.of(&settings.name));
        let mut environment = Environment { protection: Some(protection(settings)), ..state.shown(at) };
        environment.deployments.truncate(MAX_DEPLOYMENTS);
        let head = memory.head.clone().unwrap_or_default();
        let previous =
            settings.after.iter().filter_map(|name| before.iter().find(|lane| lane.name() == name)).next_back();
        let source = previous.and_then(|lane| Some((lane.name().to_owned(), lane.environment.live()?.release.clone())));
        let (name, offered) = source.unwrap_or_else(|| (head_name(&head), head));
        if let Some(live) = environment.live() {
            environment.drift = self.drift(&live.release.sha, &offered.sha, memory).map(|(behind, ahead)| Drift {
                branch: name,
                behind,
                ahead,
            });
        }
        // A state that was seen before the last deployment began or ended is outdated.
        let changed = state.deployments().map(|record| record.ended.unwrap_or(record.created)).max();
        let seen = memory.seen.get(&settings.name).filter(|seen| changed.is_none_or(|changed| changed < seen.at));
        let running = seen.map(|seen| Slot::ALL.map(|slot| seen.observed.slot(slot).clone()));
        let running = running.into_iter().flatten().filter(|slot| slot.replicas > 0).filter_map(|slot| slot.release);
        let window = settings.freeze.iter().find(|window| window.contains(minute_of_week(at)));
        Lane {
            after: settings.after.clone(),
            offered,
            lock: state.lock(at).cloned(),
            frozen: window.map(|window| window.written()),
            open: self.open_lane(settings, &state, at),
            reported: seen
                .filter(|seen| seen.is_reported)
                .map(|seen| Reported { observed: seen.observed.clone(), at: seen.at }),
            running: running.collect(),
            environment,
        }
    }

    /// Returns the open deployment of an environment. `None` if none of the last [`MAX_DEPLOYMENTS`] is open.
    fn open_lane(
        &self,
        settings: &EnvironmentSettings,
        state: &EnvironmentState,
        at: Timestamp,
    ) -> Option<LaneDeployment> {
        let open = self.newest_open(state, MAX_DEPLOYMENTS)?;
        let record = &open.record;
        let position = Position::read(&open.folder).ok().flatten().filter(|_| record.began);
        let step = position.map(|position| LaneStep {
            number: (position.done + 1).min(position.plan.steps.len()),
            total: position.plan.steps.len(),
            name: position.plan.steps.get(position.done).map(|step| position.plan.describe(step)).unwrap_or_default(),
            is_back: position.back.is_some(),
        });
        let facts = GateFacts { settings, state, record: Some(record), now: at, minute_of_week: minute_of_week(at) };
        let closed = if step.is_none() && open.is_running { gates::closed(&facts) } else { Vec::new() };
        Some(LaneDeployment {
            run: record.run.clone(),
            release: record.release.clone(),
            from: record.from.clone(),
            cause: record.cause.clone(),
            is_running: open.is_running,
            has_succeeded: record.outcome == Some(Outcome::Succeeded),
            waits: closed.first().map(|closed| waits(closed, settings)),
            waits_for_review: closed.iter().any(|closed| closed.kind == GateKind::Approval),
            step,
        })
    }

    /// Returns the number of commits that only `other` has, and the number that only `live` has. `None` if `other` is
    /// empty, or git cannot compare them.
    fn drift(&self, live: &str, other: &str, memory: &mut LaneMemory) -> Option<(u64, u64)> {
        let key = (live.to_owned(), other.to_owned());
        let count = || {
            let counts = git(
                &self.repository.root,
                ["rev-list", "--left-right", "--count", "--end-of-options", &format!("{other}...{live}")],
            )
            .ok()?;
            let (behind, ahead) = counts.trim().split_once('\t')?;
            Some((behind.parse().ok()?, ahead.parse().ok()?))
        };
        if other.is_empty() {
            return None;
        }
        *memory.drifts.entry(key).or_insert_with(count)
    }
}

/// Whether a target reports what it runs. A script without a `status` command does not.
fn reports(target: &TargetSettings) -> bool {
    match target {
        TargetSettings::Docker(_) => true,
        TargetSettings::Script(script) => script.command(ScriptCommand::Status).is_some(),
    }
}

/// Returns the name of the checkout: its branch, or `the checkout`.
fn head_name(head: &Release) -> String {
    if head.reference.is_empty() { "the checkout".to_owned() } else { head.reference.clone() }
}

/// Returns what a deployment waits for, in a few words.
fn waits(closed: &Closed, settings: &EnvironmentSettings) -> String {
    match closed.kind {
        GateKind::Approval => format!("waits for approval by {}", settings.reviewers.join(", ")),
        GateKind::Lock => "waits for the lock".to_owned(),
        GateKind::Freeze => "waits for the end of the freeze".to_owned(),
        GateKind::Policy | GateKind::After | GateKind::Wait => closed.sentence.clone(),
    }
}

/// Orders environments so that each comes after the environments in its `after`; otherwise the order stays.
fn in_order(mut rest: Vec<&EnvironmentSettings>) -> Vec<&EnvironmentSettings> {
    let mut ordered: Vec<&EnvironmentSettings> = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let is_ready =
            |one: &&EnvironmentSettings| one.after.iter().all(|name| ordered.iter().any(|before| before.name == *name));
        // In a cycle, the first one goes next.
        let next = rest.iter().position(is_ready).unwrap_or_default();
        ordered.push(rest.remove(next));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deployment::Strategy;
    use crate::rollout::testing::settings;

    #[test]
    fn environments_stand_after_those_that_come_first_and_circles_end() {
        let of = |name: &str, after: &[&str]| EnvironmentSettings {
            name: name.to_owned(),
            after: after.iter().map(|name| (*name).to_owned()).collect(),
            ..settings(Strategy::Recreate, 1, &[])
        };
        let order = |all: &[EnvironmentSettings]| -> Vec<String> {
            in_order(all.iter().collect()).into_iter().map(|one| one.name.clone()).collect()
        };
        let all =
            [of("production", &["staging"]), of("staging", &["development"]), of("demo", &[]), of("development", &[])];
        assert_eq!(order(&all), ["demo", "development", "staging", "production"]);
        assert_eq!(order(&[of("a", &["b"]), of("b", &["a"]), of("c", &["a"])]), ["a", "b", "c"]);
    }
}
