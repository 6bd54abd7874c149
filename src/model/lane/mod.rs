//! Environments of this machine side by side: what is live in each, what is being deployed, and what a person may do.

use std::borrow::Cow;

use super::capabilities::{Operation, Unavailable};
use super::deployment::{Cause, Lock, Observed, Slot, SlotState};
use super::environment::{DeploymentState, Environment, Impairment, Release, title_of};
use super::rollback::RollbackRequest;
use super::{RunId, Timestamp};

mod report;
mod request;

use report::minutes;
pub use report::{NoReport, Reported, Requests};
pub use request::{DeploymentPreview, DeploymentWay, LaneRequest};

/// An environment of this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lane {
    /// The environment with its rules, its newest deployments, and the difference to the environment before it, or to
    /// the checkout.
    pub environment: Environment,
    /// Release to offer for a deployment: the live release of the environment before it, or the checked-out commit.
    pub offered: Release,
    /// The lock; `None` if the environment is not locked.
    pub lock: Option<Lock>,
    /// The freeze window that holds back deployments now, as in the settings; `None` outside freeze windows.
    pub frozen: Option<String>,
    /// When the environment is stopped automatically; `None` if no deployment waits to do that.
    pub stops: Option<Timestamp>,
    /// The deployment that is in progress, waits, or was left halfway.
    pub open: Option<LaneDeployment>,
    /// What the target reported last; `None` if it was not asked, or has not answered since the last deployment.
    pub reported: Option<Reported>,
    /// Why the target reported nothing when it was asked last; `None` if it did, or was not asked. [`Lane::reported`] is from
    /// before then.
    pub no_report: Option<NoReport>,
    /// Whether the target is asked what it runs: it reports that, and the repository is trusted.
    pub is_asked: bool,
    /// The release that serves according to the target, although another one is recorded as live. While a deployment replaces
    /// it, it shares the traffic with the new release. `None` if the target does not contradict the record.
    pub serves: Option<Release>,
    /// Minimum number of replicas that the target should report: as many as the live release was deployed with. 0 if that is
    /// not known.
    pub wanted: u32,
}

/// A deployment to an environment that has not ended, or that was left halfway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneDeployment {
    /// The run that carries it out.
    pub run: RunId,
    /// Release that is deployed.
    pub release: Release,
    /// Release that was live when the deployment began or, until then, when it was requested.
    pub from: Option<Release>,
    /// Whether it is not known what was live, so that `from` is `None`.
    pub from_unknown: bool,
    /// Why the deployment was made.
    pub cause: Cause,
    /// Whether the worker of the deployment runs.
    pub is_running: bool,
    /// Whether the new release is live already, and the former one only has to be stopped.
    pub has_succeeded: bool,
    /// The former release that still runs after the success; `None` before, and if it is not kept.
    pub kept: Option<Kept>,
    /// Position in the plan; `None` until the deployment has passed its gates.
    pub step: Option<LaneStep>,
    /// What the deployment waits for, in a few words; `None` if it does not wait.
    pub waits: Option<String>,
    /// Whether the deployment waits for the approval of a person.
    pub waits_for_review: bool,
}

impl LaneDeployment {
    /// Returns the title of the release that was live before: `nothing` if none was, or `unknown` if that is not known.
    #[must_use]
    pub fn former(&self) -> String {
        title_of(self.from.as_ref(), !self.from_unknown)
    }

    /// Describes where the deployment was left without a worker, before its release went live: `interrupted at step 4/9 (Wait
    /// for 5m)`. `None` if it was not, or had changed nothing.
    #[must_use]
    pub fn interruption(&self) -> Option<String> {
        let step = self.step.as_ref().filter(|_| !self.is_running && !self.has_succeeded)?;
        Some(format!("interrupted at step {}/{} ({})", step.number, step.total, step.name))
    }

    /// Describes the former release that is kept running, see [`Kept::text`]. `None` without one.
    #[must_use]
    pub fn kept_text(&self, now: Timestamp, environment: &str) -> Option<String> {
        self.kept.as_ref().map(|kept| kept.text(now, environment, &self.cause))
    }
}

/// A former release that still runs after a successful deployment, so that a rollback to it is instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The release.
    pub release: Release,
    /// The slot that it runs in.
    pub slot: Slot,
    /// When it is stopped.
    pub until: Timestamp,
    /// Whether its target has reported that it runs, or reports nothing, so that only the record tells.
    pub is_confirmed: bool,
}

impl Kept {
    /// Returns how long the release is kept: `kept for 59m`.
    #[must_use]
    pub fn short(&self, now: Timestamp) -> String {
        format!("kept for {}", minutes(self.until.since(now)))
    }

    /// Describes the release and what it is good for: `v1.4.0 9093b37 still runs, kept for 59m: a rollback to it is
    /// instant`. After a rollback of an environment, it is the release that was left, so it must be named. Says so if its
    /// target has not reported that it runs.
    #[must_use]
    pub fn text(&self, now: Timestamp, environment: &str, cause: &Cause) -> String {
        let (title, kept) = (self.release.title(), self.short(now));
        match cause {
            _ if !self.is_confirmed => format!("{title} is {kept}, but its target has not reported whether it runs"),
            Cause::Rollback => {
                let to = self.release.name();
                format!(
                    "{title} still runs, {kept}: going forward to it is instant: `cuelight rollback {environment} --to {to}`"
                )
            }
            Cause::Manual | Cause::Job => format!("{title} still runs, {kept}: a rollback to it is instant"),
        }
    }

    /// Whether the release is still kept. It is not once it is live again, after a rollback to it. If the target has reported
    /// what runs, the release must be in its slot and healthy; a report of several hosts that differ does not have it.
    #[must_use]
    pub fn still_holds(&self, live: Option<&Release>, observed: Option<&Observed>) -> bool {
        let is_live = live.is_some_and(|live| live.sha == self.release.sha);
        !is_live
            && observed.is_none_or(|observed| {
                let slot = observed.slot(self.slot);
                slot.is_healthy() && slot.release.as_ref().is_none_or(|found| self.release.is(found))
            })
    }
}

/// A position in a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneStep {
    /// Number of the step, from 1.
    pub number: usize,
    /// Total number of steps.
    pub total: usize,
    /// The step in words.
    pub name: String,
    /// Whether the deployment rolls back.
    pub is_back: bool,
    /// Whether the step waits until a person promotes the deployment.
    pub waits_for_person: bool,
    /// Why the target waits for the decision of a person within the step, with the commands to decide: only a full promotion
    /// continues. `None` if it does not.
    pub decision: Option<String>,
    /// What a pause that a person has requested means for the step: `pauses after this step`. `None` without one.
    pub pause: Option<&'static str>,
}

impl Lane {
    /// Whether it is known which release is live, or that none is. Before the first success of a deployment from here, only
    /// the target can tell whether something else serves.
    #[must_use]
    pub fn knows_live(&self) -> bool {
        let Environment { deployments, unknown, .. } = &self.environment;
        let is_empty = |reported: &Reported| Slot::ALL.iter().all(|slot| reported.observed.slot(*slot).replicas == 0);
        let has_succeeded = || deployments.iter().any(|one| one.succeeded && !one.origin.is_found);
        let is_told = || has_succeeded() || self.reported.as_ref().is_some_and(is_empty);
        self.environment.live().is_some() || unknown.is_none() && is_told()
    }

    /// Returns the live release: the one that serves, whatever is recorded. `None` if none is live, or if that is not known.
    #[must_use]
    pub fn live(&self) -> Option<&Release> {
        self.serves.as_ref().or(self.environment.live().map(|live| &live.release))
    }

    /// Returns the title of the live release: `nothing` if none is live, or `unknown` if that is not known.
    #[must_use]
    pub fn live_title(&self) -> String {
        title_of(self.live(), self.knows_live())
    }

    /// Returns the name of the environment.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.environment.name
    }

    /// Returns the open deployment, if its release is not live yet.
    #[must_use]
    pub fn on_its_way(&self) -> Option<&LaneDeployment> {
        self.open.as_ref().filter(|open| !open.has_succeeded)
    }

    /// Returns the number of healthy replicas that serve, and the number of all that should. If a release is live and
    /// nothing takes traffic, no replica serves. `None` if that is not known.
    #[must_use]
    pub fn health(&self) -> Option<(u32, u32)> {
        let reported = self.reported.as_ref()?;
        let serving = reported.health();
        // The number of replicas that should serve is only known of the release that is recorded as live.
        if self.environment.live().is_none() || self.serves.is_some() {
            return serving;
        }
        let most = Slot::ALL.map(|slot| reported.observed.slot(slot).replicas).into_iter().max();
        let (healthy, all) = serving.unwrap_or((0, most.unwrap_or_default()));
        let all = all.max(self.wanted);
        (all > 0).then_some((healthy, all))
    }

    /// Returns the environment for a rollback: the release that serves is the live one, whatever is recorded.
    #[must_use]
    pub fn as_served(&self) -> Cow<'_, Environment> {
        match &self.serves {
            Some(serves) => Cow::Owned(self.environment.with_serving(serves)),
            None => Cow::Borrowed(&self.environment),
        }
    }

    /// Describes that another release serves than the one that is recorded as live: `recorded v2 3abf217, but v3 fa04af3
    /// serves`. `None` if the target does not contradict the record.
    #[must_use]
    pub fn contradicted(&self) -> Option<String> {
        let (live, serves) = self.environment.live().zip(self.serves.as_ref())?;
        Some(live.release.contradicted_by(serves))
    }

    /// Returns why the health of what is live is bad; `None` if it is good or not known. It is not good if another release
    /// serves.
    #[must_use]
    pub fn impairment(&self) -> Option<Impairment> {
        self.environment.live()?;
        match self.health() {
            _ if self.no_report.is_some() => Some(Impairment::Partial),
            Some((0, _)) => Some(Impairment::Down),
            Some((healthy, all)) if healthy < all || self.serves.is_some() => Some(Impairment::Partial),
            _ => None,
        }
    }

    /// Returns the word for the state of the release that is recorded as live, see [`Impairment::word`].
    #[must_use]
    pub fn live_word(&self) -> &'static str {
        // While a deployment changes the environment, fewer healthy replicas are not a fault.
        let impairment = self.impairment().filter(|_| !self.is_changing());
        Impairment::word(impairment, self.no_report.is_some() || self.serves.is_some())
    }

    /// Describes the health of the slots with traffic: `2/2 healthy` or, while two releases share the traffic, that of
    /// each: `v1.4.2 2/2, v1.4.1 3/3 healthy`. A release that is not the recorded one is named before that. `None` if no
    /// replicas are known in slots with traffic.
    #[must_use]
    pub fn health_text(&self) -> Option<String> {
        let reported = self.reported.as_ref()?;
        let (healthy, all) = self.health()?;
        let slots = Slot::ALL.map(|slot| (slot, reported.observed.slot(slot)));
        let mut serving: Vec<_> =
            slots.into_iter().filter(|(_, state)| state.weight > 0 && state.replicas > 0).collect();
        let live = self.environment.live().map(|live| &live.release.sha);
        // The new release comes first.
        serving.sort_by_key(|(_, state)| state.release.as_ref() == live);
        let [(one, first), (other, second)] = serving.as_slice() else {
            let health = format!("{healthy}/{all} healthy");
            return Some(self.contradicted().into_iter().chain([health]).collect::<Vec<_>>().join(", "));
        };
        let count = |slot: Slot, state: &SlotState| {
            let name = state.release.as_deref().map(|sha| self.name_of(sha));
            let name = name.filter(|_| first.release != second.release).unwrap_or_else(|| slot.to_string());
            format!("{name} {}/{}", state.healthy.min(state.replicas), state.replicas)
        };
        let health = format!("{}, {} healthy", count(*one, first), count(*other, second));
        Some(self.contradicted().into_iter().chain([health]).collect::<Vec<_>>().join(", "))
    }

    /// Describes how two slots share the traffic: `up to 80 % of the traffic goes to v1, up to 20 % to v2`. `None` if only one
    /// slot gets some.
    #[must_use]
    pub fn shares(&self, observed: &Observed) -> Option<String> {
        let share = |slot: Slot| {
            let state = observed.slot(slot);
            let name = state.release.as_deref().map_or_else(|| slot.to_string(), |sha| self.name_of(sha));
            (state.weight > 0).then_some((state.weight, name))
        };
        let ((blue, first), (green, second)) = share(Slot::Blue).zip(share(Slot::Green))?;
        Some(format!("up to {blue} % of the traffic goes to {first}, up to {green} % to {second}"))
    }

    /// Returns the name of the release of a commit or an image: its tag, if a deployment to the environment has it, or the
    /// short id.
    fn name_of(&self, sha: &str) -> String {
        let open = self.open.iter().flat_map(|open| std::iter::once(&open.release).chain(&open.from));
        let mut known = open.chain(self.environment.deployments.iter().map(|one| &one.release));
        let found = known.find(|release| release.sha == sha).map(|release| release.name().to_owned());
        found.unwrap_or_else(|| Release::short_of(sha).to_owned())
    }

    /// Whether the deployment on its way waits until a person promotes it.
    #[must_use]
    pub fn waits_for_person(&self) -> bool {
        let step = self.on_its_way().filter(|open| open.is_running).and_then(|open| open.step.as_ref());
        step.is_some_and(|step| step.waits_for_person && !step.is_back)
    }

    /// Whether a deployment changes the environment now, so that a report of its target is soon out of date.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.on_its_way().is_some_and(|open| open.is_running && open.step.is_some())
    }

    /// Returns the last report of the target; `None` if there is none, or if the target has reported nothing since.
    #[must_use]
    pub fn current_report(&self) -> Option<&Reported> {
        self.reported.as_ref().filter(|_| self.no_report.is_none())
    }

    /// Returns the requests that the target counted lately; `None` if it has not counted them twice, or no longer
    /// reports.
    #[must_use]
    pub fn requests(&self) -> Option<Requests> {
        self.current_report()?.requests
    }

    /// Whether a release was live before the one that is live now, and is not live. It was replaced perhaps because of a
    /// fault, so it is not offered for a deployment.
    #[must_use]
    pub fn has_replaced(&self, release: &Release) -> bool {
        let known = &self.environment.deployments;
        let live = known.iter().position(|one| one.state == DeploymentState::Success);
        let is_live = live.is_some_and(|live| known[live].release.sha == release.sha);
        let mut earlier = known.iter().skip(live.map_or(0, |live| live + 1));
        !is_live && earlier.any(|one| one.succeeded && one.release.sha == release.sha)
    }

    /// Whether the target reports that a release still runs and is healthy, so that going back to it only moves the
    /// traffic, as the plan of the rollback will show.
    #[must_use]
    pub fn is_running(&self, release: &Release) -> bool {
        let slots =
            self.current_report().into_iter().flat_map(|reported| Slot::ALL.map(|slot| reported.observed.slot(slot)));
        slots.into_iter().any(|slot| slot.is_healthy() && slot.release.as_ref() == Some(&release.sha))
    }

    /// Checks whether an operation on the environment is possible now.
    ///
    /// # Errors
    /// Returns why the operation is not possible.
    pub fn check(&self, operation: Operation) -> Result<(), Unavailable> {
        let check = |holds: bool, otherwise| if holds { Ok(()) } else { Err(otherwise) };
        let steered = || {
            let open = self.open.as_ref().ok_or(Unavailable::NothingOnItsWay)?;
            check(open.cause != Cause::Job, Unavailable::DeployedByJob)?;
            Ok(open)
        };
        match operation {
            Operation::PromoteDeployment | Operation::PauseDeployment => {
                let open = steered()?;
                check(open.is_running, Unavailable::DeploymentInterrupted)?;
                check(open.step.is_some(), Unavailable::GatesClosed)?;
                check(!open.step.as_ref().is_some_and(|step| step.is_back), Unavailable::GoingBack)?;
                check(operation == Operation::PromoteDeployment || !open.has_succeeded, Unavailable::AlreadyLive)
            }
            Operation::AbortDeployment => {
                let open = steered()?;
                check(!open.has_succeeded, Unavailable::AlreadyLive)?;
                let is_back = open.is_running && open.step.as_ref().is_some_and(|step| step.is_back);
                check(!is_back, Unavailable::GoingBack)
            }
            Operation::ReviewDeployment => {
                let waits = self.open.as_ref().is_some_and(|open| open.is_running && open.waits_for_review);
                check(waits, Unavailable::NothingToReview)
            }
            Operation::RollBack => {
                // A deployment that was interrupted or failed halfway is undone, too.
                if self.on_its_way().is_some_and(|open| open.step.is_some()) {
                    return self.check(Operation::AbortDeployment);
                }
                let environment = self.as_served();
                check(environment.is_known_to_roll_back(), Unavailable::LiveUnknown)?;
                check(environment.current().is_some(), Unavailable::NothingLive)?;
                // What the live release has replaced is not offered, but the user can choose it.
                let is_possible = environment.rollback(&RollbackRequest::default()).is_ok();
                check(is_possible || environment.others().next().is_some(), Unavailable::NoEarlierRelease)
            }
            Operation::LockEnvironment => check(self.lock.is_none(), Unavailable::Locked),
            Operation::UnlockEnvironment => check(self.lock.is_some(), Unavailable::NotLocked),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::deployment_of;

    #[test]
    fn the_replicas_of_two_releases_are_not_counted_together() {
        let deployed = |tag, state| deployment_of(tag, state, Timestamp(0));
        let live = deployed("v1", DeploymentState::Success);
        let next = deployed("v2", DeploymentState::InProgress).release;
        let state = |sha: &str, healthy, replicas| SlotState {
            release: Some(sha.to_owned()),
            replicas,
            healthy,
            open: replicas,
            weight: 50,
        };
        let text = |blue: SlotState, green: SlotState| {
            let mut observed = Observed::default();
            *observed.slot_mut(Slot::Blue) = blue;
            *observed.slot_mut(Slot::Green) = green;
            let in_progress = deployed("v2", DeploymentState::InProgress);
            let lane = Lane {
                environment: Environment { deployments: vec![in_progress, live.clone()], ..Environment::named("a") },
                offered: Release::default(),
                lock: None,
                frozen: None,
                stops: None,
                open: None,
                reported: Some(Reported { observed, at: Timestamp(0), requests: None }),
                no_report: None,
                is_asked: false,
                serves: None,
                wanted: 0,
            };
            lane.reported.as_ref().map(|reported| (lane.health_text(), lane.shares(&reported.observed)))
        };
        let shares = |blue, green| text(blue, green).and_then(|(_, shares)| shares);
        let text = |blue, green| text(blue, green).and_then(|(health, _)| health);
        let shared = shares(state(&live.release.sha, 3, 3), state(&next.sha, 1, 2));
        assert_eq!(shared.as_deref(), Some("up to 50 % of the traffic goes to v1, up to 50 % to v2"));
        let unknown = shares(state(&live.release.sha, 3, 3), state("sha256:fedcba9876543210", 1, 2));
        assert_eq!(unknown.as_deref(), Some("up to 50 % of the traffic goes to v1, up to 50 % to fedcba9"));
        assert_eq!(shares(state(&live.release.sha, 3, 3), SlotState::default()), None);
        let both = text(state(&live.release.sha, 3, 3), state(&next.sha, 1, 2));
        assert_eq!(both.as_deref(), Some("v2 1/2, v1 3/3 healthy"));
        let again = text(state(&live.release.sha, 3, 3), state(&live.release.sha, 1, 2));
        assert_eq!(again.as_deref(), Some("blue 3/3, green 1/2 healthy"));
        assert_eq!(text(state(&live.release.sha, 3, 3), SlotState::default()).as_deref(), Some("3/3 healthy"));
    }

    #[test]
    fn another_release_than_the_recorded_one_is_named_and_is_no_success() {
        let live = deployment_of("v2", DeploymentState::Success, Timestamp(0));
        let serves = deployment_of("v3", DeploymentState::Success, Timestamp(0)).release;
        let mut observed = Observed::default();
        let release = Some(serves.sha.clone());
        *observed.slot_mut(Slot::Green) = SlotState { release, replicas: 2, healthy: 2, open: 2, weight: 100 };
        assert_eq!(observed.serves(), Some(serves.sha.as_str()));
        let said = format!("recorded {}, but {} serves, 2/2 healthy", live.release.title(), serves.title());
        let lane = Lane {
            environment: Environment { deployments: vec![live], ..Environment::named("production") },
            offered: Release::default(),
            lock: None,
            frozen: None,
            stops: None,
            open: None,
            reported: Some(Reported { observed: observed.clone(), at: Timestamp(1), requests: None }),
            no_report: None,
            is_asked: false,
            serves: Some(serves),
            // As many replicas of v2 were deployed.
            wanted: 5,
        };
        assert_eq!((lane.health_text(), lane.impairment()), (Some(said), Some(Impairment::Partial)));
        assert_eq!(lane.live_word(), "recorded as live");
        observed.slot_mut(Slot::Blue).weight = 10;
        assert_eq!(observed.serves(), None, "two releases share the traffic");
        let recorded = Lane { serves: None, wanted: 2, ..lane };
        assert_eq!((recorded.health_text().as_deref(), recorded.impairment()), (Some("2/2 healthy"), None));
    }

    #[test]
    fn replicas_that_are_gone_or_take_no_traffic_are_not_healthy() {
        let live = deployment_of("v1", DeploymentState::Success, Timestamp(0));
        let with = |deployments: Vec<_>, (replicas, healthy, weight): (u32, u32, u8), wanted| {
            let mut observed = Observed::default();
            let release = Some(live.release.sha.clone());
            *observed.slot_mut(Slot::Blue) = SlotState { release, replicas, healthy, open: replicas, weight };
            let lane = Lane {
                environment: Environment { deployments, ..Environment::named("production") },
                offered: Release::default(),
                lock: None,
                frozen: None,
                stops: None,
                open: None,
                reported: Some(Reported { observed, at: Timestamp(1), requests: None }),
                no_report: None,
                is_asked: false,
                serves: None,
                wanted,
            };
            (lane.health_text().unwrap_or_default(), lane.impairment())
        };
        let of_live = |state, wanted| with(vec![live.clone()], state, wanted);
        let said = |text: &str, impairment| (text.to_owned(), impairment);
        assert_eq!(of_live((3, 3, 100), 3), said("3/3 healthy", None));
        // Two of three were killed: Docker lists them, Compose does not.
        assert_eq!(of_live((3, 1, 100), 3), said("1/3 healthy", Some(Impairment::Partial)));
        assert_eq!(of_live((1, 1, 100), 3), said("1/3 healthy", Some(Impairment::Partial)));
        // All were killed, or are started again and again: nothing takes traffic.
        assert_eq!(of_live((3, 0, 0), 3), said("0/3 healthy", Some(Impairment::Down)));
        assert_eq!(of_live((0, 0, 0), 3), said("0/3 healthy", Some(Impairment::Down)));
        assert_eq!(of_live((2, 0, 0), 0), said("0/2 healthy", Some(Impairment::Down)));
        // An autoscaler has added replicas.
        assert_eq!(of_live((5, 5, 100), 3), said("5/5 healthy", None));
        assert_eq!(with(Vec::new(), (2, 2, 0), 0), said("", None), "nothing was deployed from here");
    }

    #[test]
    fn a_release_is_kept_while_its_slot_has_its_replicas_and_they_are_healthy() {
        let release = |tag| deployment_of(tag, DeploymentState::Success, Timestamp(0)).release;
        let kept = Kept { release: release("v1"), slot: Slot::Green, until: Timestamp(60_000), is_confirmed: true };
        let text = |cause| kept.text(Timestamp(0), "production", &cause);
        assert!(text(Cause::Manual).ends_with(" still runs, kept for 1m: a rollback to it is instant"));
        let named =
            format!(": going forward to it is instant: `cuelight rollback production --to {}`", kept.release.name());
        let after_rollback = text(Cause::Rollback);
        assert!(after_rollback.ends_with(&named), "`cuelight rollback` alone refuses: {after_rollback}");
        let unknown = Kept { is_confirmed: false, ..kept.clone() };
        let unknown = unknown.text(Timestamp(0), "production", &Cause::Manual);
        assert!(unknown.ends_with(" is kept for 1m, but its target has not reported whether it runs"), "{unknown}");
        let release_of_v2 = release("v2");
        let with = |release: Option<String>, replicas, healthy| {
            let mut observed = Observed::default();
            *observed.slot_mut(Slot::Green) = SlotState { release, replicas, healthy, ..SlotState::default() };
            kept.still_holds(Some(&release_of_v2), Some(&observed))
        };
        assert!(with(Some(release("v1").sha), 2, 2) && with(None, 2, 2));
        assert!(!with(Some(release("v1").sha), 0, 0) && !with(Some(release("v2").sha), 2, 2));
        assert!(!with(Some(release("v1").sha), 2, 1), "a rollback to it would start replicas");
        assert!(kept.still_holds(Some(&release_of_v2), None), "the target was not asked");
        assert!(!kept.still_holds(Some(&release("v1")), None), "after a rollback to it, it is live");
    }

    #[test]
    fn nothing_is_live_only_if_a_success_or_the_target_tells_so() {
        let one = |state| deployment_of("v1", state, Timestamp(0));
        let with = |deployments: Vec<_>, replicas: Option<u32>| {
            let reported = replicas.map(|replicas| {
                let mut observed = Observed::default();
                observed.slot_mut(Slot::Blue).replicas = replicas;
                Reported { observed, at: Timestamp(1), requests: None }
            });
            let environment = Environment { deployments, ..Environment::named("production") };
            let lane = Lane {
                environment,
                offered: Release::default(),
                lock: None,
                frozen: None,
                open: None,
                reported,
                no_report: None,
                is_asked: false,
                serves: None,
                wanted: 0,
                stops: None,
            };
            lane.live_title()
        };
        assert_eq!(with(Vec::new(), None), "unknown");
        assert_eq!(with(Vec::new(), Some(0)), "nothing");
        assert_eq!(with(Vec::new(), Some(2)), "unknown", "something runs that was not deployed from here");
        assert_eq!(with(vec![one(DeploymentState::Inactive)], None), "nothing", "it was stopped");
        let live = one(DeploymentState::Success);
        assert_eq!(with(vec![live.clone()], None), live.release.title());
    }
}
