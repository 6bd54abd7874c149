//! Describes the environments of this machine for screens that show them side by side.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use indexmap::IndexMap;
use tokio::time::timeout;

use super::prepared::observe;
use super::{DeployError, Deployments, masked, protection};
use crate::model::Timestamp;
use crate::model::deployment::{
    Cause, Counters, EnvironmentSettings, EnvironmentState, Ledger, Observed, Outcome, Slot,
};
use crate::model::environment::{DeploymentState, Drift, Environment, Release};
use crate::model::lane::{Kept, Lane, LaneDeployment, LaneStep, NoReport, Reported, Requests};
use crate::repo::git::git;
use crate::rollout::driver::Position;
use crate::rollout::gates::{self, Closed, GateFacts, GateKind};
use crate::rollout::ledger::Latest;
use crate::rollout::release;
use crate::rollout::target::Targets;
use crate::store::clock::{minute_of_week, now};

/// Maximum number of deployments of an environment that are shown and searched for open ones.
pub(super) const MAX_DEPLOYMENTS: usize = 50;

/// Length of time over which failed requests are counted, in which a fault shows and after which it is forgotten.
const COUNTED: Duration = Duration::from_mins(1);

/// Maximum time that a target has to report what it runs.
pub(super) const REPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Results that are expensive to determine, for later calls of [`Deployments::lanes`].
#[derive(Default)]
pub struct LaneMemory {
    /// Differences between two commits: numbers of commits that only the second and only the first has.
    drifts: HashMap<(String, String), Option<(u64, u64)>>,
    /// The releases of commits that serve although others are recorded as live.
    found: HashMap<String, Release>,
    /// The current commit.
    head: Option<Release>,
    /// The ledger, which is read again once it has grown.
    ledger: Option<Latest<Ledger>>,
    /// The last report of each target, by environment.
    reported: BTreeMap<String, Reported>,
    /// What targets that count requests have counted lately, by environment, the oldest first.
    counted: BTreeMap<String, VecDeque<Counted>>,
    /// Environments whose targets were asked at the last look.
    asked: BTreeSet<String>,
    /// Why targets reported nothing when they were asked last, by environment.
    silent: BTreeMap<String, NoReport>,
    /// The targets, with their connections, by environment, and the settings that they are for. Over SSH, to log in may take
    /// longer than a look may.
    targets: BTreeMap<String, (EnvironmentSettings, Arc<Targets>)>,
}

/// What a target has counted up to some time.
struct Counted {
    at: Timestamp,
    counters: [Counters; 2],
}

/// The answer of a target that was asked what it runs.
pub struct TargetReport {
    environment: String,
    /// What it runs, or why that is not known.
    observed: Result<Observed, NoReport>,
    /// The requests that it has counted, by slot; `None` if it does not count them.
    counters: Option<[Counters; 2]>,
    /// When the target was asked.
    at: Timestamp,
}

impl LaneMemory {
    /// Remembers the report of a target. If the target reported nothing, its last report is kept.
    pub fn remember(&mut self, report: TargetReport) {
        let TargetReport { environment, observed, counters, at } = report;
        match observed {
            Ok(observed) => {
                self.silent.remove(&environment);
                let requests = counters.and_then(|counters| self.count(&environment, &observed, counters, at));
                self.reported.insert(environment, Reported { observed, at, requests });
            }
            Err(why) => {
                // A connection that was slow to begin may answer the next look; after that one, a new one is tried.
                if self.silent.insert(environment.clone(), why).is_some() {
                    self.targets.remove(&environment);
                }
            }
        }
    }

    /// Returns the targets that the last look has used for these settings, or new ones.
    fn targets(&mut self, settings: &EnvironmentSettings, connect: impl FnOnce() -> Targets) -> Arc<Targets> {
        match self.targets.get(&settings.name) {
            Some((known, targets)) if known == settings => Arc::clone(targets),
            _ => {
                let targets = Arc::new(connect());
                self.targets.insert(settings.name.clone(), (settings.clone(), Arc::clone(&targets)));
                targets
            }
        }
    }

    /// Returns a future for each target that the last look has asked, which ends once the target reports that something may
    /// have changed what it runs.
    #[must_use]
    pub fn changes(&self) -> Vec<BoxFuture<'static, ()>> {
        let changed = |targets: Arc<Targets>| async move { targets.changed().await }.boxed();
        self.targets.values().map(|(_, targets)| changed(Arc::clone(targets))).collect()
    }

    /// Whether a target has counted its requests, so that another look shows how many fail.
    #[must_use]
    pub fn counts_requests(&self) -> bool {
        !self.counted.is_empty()
    }

    /// Adds a count of requests. Returns those since the oldest count within [`COUNTED`], in slots with traffic; `None`
    /// for the first count.
    fn count(
        &mut self,
        environment: &str,
        observed: &Observed,
        counters: [Counters; 2],
        at: Timestamp,
    ) -> Option<Requests> {
        let counted = self.counted.entry(environment.to_owned()).or_default();
        // After a long time without looks, the last count is compared with, however old it is.
        while counted.len() > 1 && counted.front().is_some_and(|first| at.since(first.at) > COUNTED) {
            counted.pop_front();
        }
        let of = |slot: Slot, before: &Counted| counters[slot as usize].since(before.counters[slot as usize]);
        let requests = counted.front().map(|before| {
            let serving = Slot::ALL.into_iter().filter(|slot| observed.slot(*slot).weight > 0);
            let all = serving.fold(Counters::default(), |all, slot| all.plus(of(slot, before)));
            Requests { counters: all, length: at.since(before.at) }
        });
        counted.push_back(Counted { at, counters });
        requests
    }
}

impl Deployments {
    /// Returns a future for the report of each target, or only of that of the environment `only`, for
    /// [`LaneMemory::remember`]. A target that hangs delays no other, because each has its own time limit. Reports of
    /// targets that are not asked are forgotten. Without trust in the repository, no target is asked.
    ///
    /// # Errors
    /// The settings are invalid, or the trust cannot be determined.
    pub fn look(
        self: &Arc<Self>,
        memory: &mut LaneMemory,
        only: Option<&str>,
    ) -> Result<Vec<BoxFuture<'static, TargetReport>>, DeployError> {
        let is_wanted = |settings: &&EnvironmentSettings| only.is_none_or(|name| name == settings.name);
        let mut reporting: Vec<&EnvironmentSettings> = self.all_settings()?.values().filter(is_wanted).collect();
        reporting.retain(|settings| settings.target.reports());
        if !reporting.is_empty() && !self.is_trusted()? {
            reporting.clear();
        }
        memory.asked = reporting.iter().map(|settings| settings.name.clone()).collect();
        let is_asked = |name: &str| reporting.iter().any(|settings| settings.name == name);
        memory.reported.retain(|name, _| is_asked(name));
        memory.silent.retain(|name, _| is_asked(name));
        memory.counted.retain(|name, _| is_asked(name));
        memory.targets.retain(|name, _| is_asked(name));
        let reports = reporting.into_iter().map(|settings| {
            let targets = memory.targets(settings, || self.targets(settings));
            report(settings.clone(), targets).boxed()
        });
        Ok(reports.collect())
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
        let mut latest = memory.ledger.take().unwrap_or_else(|| Latest::of(self.file(), |ledger| ledger));
        let ledger = latest.state()?;
        self.read_head(memory);
        let states = self.states(ledger)?;
        let ordered = in_order(all.values().collect());
        let lanes = ordered.into_iter().map(|settings| self.lane(settings, &states, memory)).collect();
        memory.ledger = Some(latest);
        Ok(lanes)
    }

    /// Reads the checked-out commit, unless it is known.
    pub(super) fn read_head(&self, memory: &mut LaneMemory) {
        if memory.head.as_ref().is_none_or(|head| head.sha != self.repository.sha) {
            memory.head = release::resolve(&self.repository.root, "HEAD").ok().map(|named| named.release);
        }
    }

    /// Asks all targets, or only that of the environment `only`, what they run, and waits for their answers; see
    /// [`Self::look`].
    ///
    /// # Errors
    /// As for [`Self::look`].
    pub async fn ask_targets(self: &Arc<Self>, memory: &mut LaneMemory, only: Option<&str>) -> Result<(), DeployError> {
        let looks = self.look(memory, only)?;
        for report in join_all(looks).await {
            memory.remember(report);
        }
        Ok(())
    }

    /// Returns all environments, or the one with this name, as [`Self::shown`] does, with what their targets report now. Takes
    /// as long as the slowest target, which has a limit.
    ///
    /// # Errors
    /// As for [`Self::look`], and the state folder cannot be read.
    pub async fn observed(self: &Arc<Self>, only: Option<&str>) -> Result<Vec<Environment>, DeployError> {
        let mut memory = LaneMemory::default();
        self.ask_targets(&mut memory, only).await?;
        // A deployment may have ended while the targets were asked.
        self.shown(&self.ledger()?, only, &mut memory)
    }

    /// Returns the lane of an environment.
    pub(super) fn lane(
        &self,
        settings: &EnvironmentSettings,
        states: &IndexMap<String, EnvironmentState>,
        memory: &mut LaneMemory,
    ) -> Lane {
        let (at, state) = (now(), &states[&settings.name]);
        let position = state.live().and_then(|live| Position::read(&self.runs.folder(live.run.clone())).ok().flatten());
        let stops = self.stops(state, position.as_ref());
        let mut environment = Environment { protection: Some(protection(settings, state, stops)), ..state.shown(at) };
        let live = environment.deployments.iter().position(|one| one.state == DeploymentState::Success);
        environment.deployments.truncate(MAX_DEPLOYMENTS.max(live.map_or(0, |live| live + 1)));
        let (name, offered) = source(settings, states, memory.head.clone().unwrap_or_default());
        if let Some(live) = environment.live() {
            environment.drift = self.drift(&live.release.sha, &offered.sha, memory).map(|(behind, ahead)| Drift {
                branch: name,
                behind,
                ahead,
            });
        }
        // A report from before the last deployment began or ended is outdated.
        let changed = state.deployments().map(|record| record.ended.unwrap_or(record.created)).max();
        let reported = memory.reported.get(&settings.name);
        let reported = reported.filter(|reported| changed.is_none_or(|changed| changed < reported.at)).cloned();
        let window = settings.freeze.iter().find(|window| window.contains(minute_of_week(at)));
        let mut open = self.open_lane(settings, state, at);
        if let Some(open) = &mut open {
            // A later deployment may have taken the slot, or have made the release live again.
            let (live, observed) = (environment.live(), reported.as_ref().map(|reported| &reported.observed));
            let kept = open.kept.take().filter(|kept| kept.still_holds(live.map(|live| &live.release), observed));
            let is_silent = observed.is_none() || memory.silent.contains_key(&settings.name);
            open.kept = kept.map(|kept| Kept { is_confirmed: !settings.target.reports() || !is_silent, ..kept });
        }
        let is_changing = open.as_ref().is_some_and(|open| !open.has_succeeded && open.step.is_some());
        let observed = reported.as_ref().filter(|_| !is_changing).map(|reported| &reported.observed);
        let serves = observed.and_then(|observed| self.serves_instead(observed, &environment, state, memory));
        let replaced = || {
            let from = open.as_ref().filter(|_| is_changing)?.from.clone()?;
            let serves = |observed: &Observed| {
                let slots = Slot::ALL.map(|slot| observed.slot(slot));
                slots.iter().any(|slot| slot.weight > 0 && slot.release.as_ref() == Some(&from.sha))
            };
            let is_recorded = environment.live().is_none_or(|live| live.release.sha == from.sha);
            (!is_recorded && reported.as_ref().is_some_and(|reported| serves(&reported.observed))).then_some(from)
        };
        let serves = serves.or_else(replaced);
        Lane {
            offered,
            lock: state.lock(at).cloned(),
            frozen: window.map(|window| window.written()),
            open,
            serves,
            reported,
            stops,
            no_report: memory.silent.get(&settings.name).cloned(),
            is_asked: memory.asked.contains(&settings.name),
            wanted: wanted(settings, state, position.as_ref()),
            environment,
        }
    }

    /// Returns the release that serves according to a report, if another one is recorded as live: it was deployed from
    /// elsewhere.
    fn serves_instead(
        &self,
        observed: &Observed,
        recorded: &Environment,
        state: &EnvironmentState,
        memory: &mut LaneMemory,
    ) -> Option<Release> {
        let live = &recorded.live()?.release;
        let sha = observed.serves().filter(|sha| *sha != live.sha)?;
        let found = memory.found.entry(sha.to_owned()).or_insert_with(|| self.release_of(state, sha)).clone();
        // A cluster may only tell the name of a release.
        (found.sha != live.sha).then_some(found)
    }

    /// Asks a target which release it runs. `None` if it runs the one that the ledger has as live, or none alone, if it does not
    /// report or answer that, and without trust.
    pub(super) async fn serves_instead_of_recorded(&self, name: &str) -> Result<Option<Release>, DeployError> {
        let settings = self.settings(name)?;
        if !settings.target.reports() || !self.is_trusted()? {
            return Ok(None);
        }
        let targets = self.targets(settings);
        let Ok(Ok((observed, _))) = timeout(REPORT_TIMEOUT, observe(&targets, name)).await else { return Ok(None) };
        let state = self.ledger()?.of(name);
        let found = observed.serves().map(|sha| self.release_of(&state, sha));
        Ok(found.filter(|found| state.live().is_none_or(|live| live.release.sha != found.sha)))
    }

    /// Describes what is live in an environment after a deployment that did not succeed. The target is asked, because the
    /// deployment may have failed exactly because it does not answer, or have given the traffic back to a release that is not
    /// recorded. With settings that have a fault by now, there is no target to ask.
    ///
    /// # Errors
    /// The state folder cannot be read.
    pub async fn live_after_failure(&self, name: &str) -> Result<String, DeployError> {
        let state = self.ledger()?.of(name);
        let reports = self.settings(name).ok().filter(|settings| settings.target.reports());
        let Some(settings) = reports.filter(|_| state.live().is_some()) else {
            return Ok(self.described(&state, None));
        };
        if !self.is_trusted()? {
            return Ok(self.described(&state, None));
        }
        let targets = self.targets(settings);
        Ok(match timeout(REPORT_TIMEOUT, observe(&targets, name)).await {
            Ok(Ok((observed, _))) => self.described(&state, Some(Ok(&observed))),
            Ok(Err(error)) => self.described(&state, Some(Err(NoReport::failed(&error.to_string())))),
            Err(_) => self.described(&state, Some(Err(NoReport::NoAnswer))),
        })
    }

    /// Describes what is live in an environment according to the ledger and to the answer of its target; `None` if it was not
    /// asked.
    pub(super) fn described(&self, state: &EnvironmentState, answer: Option<Result<&Observed, NoReport>>) -> String {
        let Some(live) = state.live() else { return "no deployment is live".to_owned() };
        let (title, recorded) = (live.release.title(), format!("{} is recorded as live", live.release.title()));
        let observed = match answer {
            None => return recorded,
            Some(Err(why)) => return format!("{recorded}; {}", why.text()),
            Some(Ok(observed)) => observed,
        };
        let Some(sha) = observed.serves() else {
            return format!("{recorded}; its target does not report that one release serves alone");
        };
        let found = self.release_of(state, sha);
        if found.sha == live.release.sha {
            format!("{title} is live")
        } else {
            format!("{} serves; {recorded}", found.title())
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
        let succeeded = record.ended.filter(|_| record.outcome == Some(Outcome::Succeeded) && open.is_running);
        let kept = succeeded.zip(position.as_ref()).and_then(|(since, position)| position.kept(since));
        let step = position.map(|position| {
            let (number, total) = position.step();
            let pause = position.pause(record.paused && open.is_running);
            let (is_back, waits_for_person) = (position.back.is_some(), position.waits_for_person());
            LaneStep {
                number,
                total,
                name: position.step_name(),
                is_back,
                waits_for_person,
                decision: position.decision,
                pause,
            }
        });
        let facts = GateFacts { settings, state, record: Some(record), now: at, minute_of_week: minute_of_week(at) };
        let closed = if step.is_none() && open.is_running { gates::closed(&facts) } else { Vec::new() };
        Some(LaneDeployment {
            run: record.run.clone(),
            release: record.release.clone(),
            from: record.from.clone(),
            from_unknown: record.from_unknown,
            cause: record.cause.clone(),
            is_running: open.is_running,
            has_succeeded: record.outcome == Some(Outcome::Succeeded),
            kept,
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

/// Asks the targets of an environment what they run.
async fn report(settings: EnvironmentSettings, targets: Arc<Targets>) -> TargetReport {
    let (at, environment) = (now(), settings.name.clone());
    let (observed, counters) = match timeout(REPORT_TIMEOUT, observe(&targets, &environment)).await {
        Ok(Ok((mut observed, counters))) => {
            // The note may have a line of the log of a container.
            observed.note = observed.note.map(|note| masked(&settings, &note));
            (Ok(observed), counters)
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, environment, "a target does not report what is running");
            (Err(NoReport::failed(&error.to_string())), None)
        }
        Err(_) => {
            tracing::debug!(limit = ?REPORT_TIMEOUT, environment, "a target does not answer");
            (Err(NoReport::NoAnswer), None)
        }
    };
    TargetReport { environment, observed, counters, at }
}

/// Returns the minimum number of replicas that the target should report: as many as the live release was deployed with or, if
/// something else sets their number, one. 0 if that is not known. `position` is that of the live deployment.
fn wanted(settings: &EnvironmentSettings, state: &EnvironmentState, position: Option<&Position>) -> u32 {
    let is_job = state.live().is_some_and(|live| live.cause == Cause::Job);
    let Some(position) = position.filter(|_| !is_job) else { return 0 };
    let deployed: u32 = position.plan.plans().map(|plan| plan.new.replicas).sum();
    if settings.target.replicas().is_some() { deployed } else { deployed.min(1) }
}

/// Returns the release to offer for an environment, after the name of where it is from: what is live in the environment
/// that comes before, or `head`, the checked-out commit. `states` has the environments that have settings.
pub(super) fn source(
    settings: &EnvironmentSettings,
    states: &IndexMap<String, EnvironmentState>,
    head: Release,
) -> (String, Release) {
    let previous = settings.after.iter().rev().find_map(|name| states.get_key_value(name));
    let live = previous.and_then(|(name, state)| Some((name.clone(), state.live()?.release.clone())));
    live.unwrap_or_else(|| (head_name(&head), head))
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
    use crate::model::RunId;
    use crate::model::deployment::Strategy;
    use crate::rollout::shell::Shell;
    use crate::rollout::target;
    use crate::rollout::testing::settings;

    #[test]
    fn a_target_that_reports_nothing_keeps_its_last_report_and_the_newest_reason() {
        let mut memory = LaneMemory::default();
        let report = |observed, at| TargetReport { environment: "a".to_owned(), observed, counters: None, at };
        memory.remember(report(Err(NoReport::NoAnswer), Timestamp(1)));
        assert!(memory.silent["a"] == NoReport::NoAnswer && memory.reported.is_empty());
        memory.remember(report(Ok(Observed::default()), Timestamp(2)));
        assert!(memory.silent.is_empty() && memory.reported["a"].at == Timestamp(2));
        for why in [NoReport::NoAnswer, NoReport::failed("exit code 1")] {
            memory.remember(report(Err(why.clone()), Timestamp(3)));
            assert!(memory.silent["a"] == why && memory.reported["a"].at == Timestamp(2));
        }
    }

    #[test]
    fn the_connections_of_a_look_are_used_by_the_next_one() {
        let mut memory = LaneMemory::default();
        let (first, other) = (settings(Strategy::Recreate, 1, &[]), settings(Strategy::Recreate, 2, &[]));
        let connect = |settings: &EnvironmentSettings| {
            let shell = Shell { folder: "/shop".into(), environment: Vec::new() };
            target::of(settings, &RunId::default(), shell, "/state".into())
        };
        let one = memory.targets(&first, || connect(&first));
        assert!(Arc::ptr_eq(&one, &memory.targets(&first, || panic!("connects again"))));
        let changed = memory.targets(&other, || connect(&other));
        assert!(!Arc::ptr_eq(&one, &changed), "for other settings");
        let silent = |at| TargetReport {
            environment: other.name.clone(),
            observed: Err(NoReport::NoAnswer),
            counters: None,
            at: Timestamp(at),
        };
        memory.remember(silent(1));
        assert!(Arc::ptr_eq(&changed, &memory.targets(&other, || panic!("a slow login goes on"))));
        memory.remember(silent(2));
        assert!(
            !Arc::ptr_eq(&changed, &memory.targets(&other, || connect(&other))),
            "after two looks without an answer"
        );
    }

    #[test]
    fn failed_requests_of_the_last_minute_are_counted_in_slots_with_traffic() {
        let mut memory = LaneMemory::default();
        let mut observed = Observed::default();
        observed.slot_mut(Slot::Green).weight = 100;
        let mut seen = |seconds: u64, requests, errors| {
            let green = Counters { requests, errors, ..Counters::default() };
            // Probes of the slot without traffic do not count.
            let blue = Counters { requests: 100 * requests, ..green };
            memory.remember(TargetReport {
                environment: "a".to_owned(),
                observed: Ok(observed.clone()),
                counters: Some([blue, green]),
                at: Timestamp(seconds * 1_000),
            });
            memory.reported["a"].requests.and_then(|requests| requests.failed())
        };
        assert_eq!(seen(100, 50, 0), None);
        assert_eq!(seen(110, 56, 6).as_deref(), Some("6/6 failed in 10s"));
        assert_eq!(seen(170, 60, 8).as_deref(), Some("2/4 failed in 1m"));
        assert_eq!(seen(230, 70, 8), None);
    }

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
