//! Samples the traffic of the slots while the steps of a deployment are carried out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::model::deployment::{DeploymentPlan, Slot, SlotTraffic};
use crate::model::environment::{Release, title_of};
use crate::model::{Event, JobId};

use crate::rollout::outlet::Progress;
use crate::rollout::target::{HostTraffic, Targets};

use super::{KnownRelease, Outlet, Tools};

/// Minimum time between two samples.
const EVERY: Duration = Duration::from_secs(2);

/// Divisor of the time since the first sample: the sampler waits for at least the quotient, so that the journal of a
/// long deployment stays short. A day has about 500 samples.
const PART: u32 = 60;

/// How long a target may take to be observed for the screen.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Time until the next look at a target that reports its traffic by itself, so that there is nothing to look at.
const NO_LOOK: Duration = Duration::from_hours(1);

/// Records samples of the traffic.
pub(super) struct Sampler {
    targets: Arc<Targets>,
    outlet: Arc<dyn Outlet>,
    known: KnownRelease,
    job: JobId,
    releases: Vec<Release>,
}

impl Sampler {
    /// Returns a sampler for the deployment of a plan.
    pub(super) fn new(tools: &Tools, job: &JobId, plan: &DeploymentPlan) -> Self {
        let old = plan.plans().flat_map(|plan| &plan.old).map(|old| old.release.clone());
        Self {
            targets: Arc::clone(&tools.targets),
            outlet: Arc::clone(&tools.outlet),
            known: Arc::clone(&tools.known),
            job: job.clone(),
            releases: old.chain([plan.first().new.release.clone()]).collect(),
        }
    }

    /// Carries out `work`. Records samples while it runs, and one after it.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let done = tokio::select! {
            done = work => done,
            never = self.sample_on() => match never {},
        };
        self.sample().await;
        done
    }

    async fn sample_on(&self) -> Infallible {
        let begin = Instant::now();
        loop {
            self.sample().await;
            sleep(interval(begin)).await;
        }
    }

    async fn sample(&self) {
        let hosts = self.targets.traffic().await;
        if !hosts.is_empty() {
            self.record(&hosts);
        }
    }

    /// Records the slots after a step has changed them. A target that does not report its traffic for the screen is
    /// observed, as it is before a step. Records nothing if the target does not answer.
    pub(super) async fn look(&self, progress: &Progress) {
        let mut hosts = self.targets.traffic().await;
        if hosts.is_empty() {
            let observed = timeout(LOOK_TIMEOUT, self.targets.observe(progress)).await;
            let observed = observed.ok().and_then(Result::ok).unwrap_or_default();
            hosts.extend(observed.into_iter().map(|(host, observed)| HostTraffic { host, observed, counters: None }));
        }
        if !hosts.is_empty() {
            self.record(&hosts);
        }
    }

    /// Records the slots with replicas of all hosts.
    pub(super) fn record(&self, hosts: &[HostTraffic]) {
        let (mut slots, mut notes) = (Vec::new(), Vec::new());
        for HostTraffic { host, observed, counters } in hosts {
            for slot in Slot::ALL.into_iter().filter(|slot| observed.slot(*slot).replicas > 0) {
                let state = observed.slot(slot).clone();
                let counters = counters.map(|counters| counters[slot as usize]);
                let title = self.title(state.release.as_deref());
                slots.push(SlotTraffic { host: host.clone(), slot, title, state, counters });
            }
            notes.extend(observed.note.clone());
        }
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        self.outlet.record(Event::TrafficObserved { job: self.job.clone(), slots, note });
    }

    /// Returns the title of the release of a commit, or the commit if the release is not known. `None` is the release of
    /// replicas whose target does not name one.
    fn title(&self, sha: Option<&str>) -> String {
        let Some(sha) = sha else { return title_of(None, false) };
        let of_plan = self.releases.iter().find(|release| release.sha == sha).cloned();
        of_plan.or_else(|| (self.known)(sha)).map_or_else(|| sha.to_owned(), |release| release.title())
    }
}

/// Returns the time between two samples, for a sampler that began at `begin`.
fn interval(begin: Instant) -> Duration {
    EVERY.max(begin.elapsed() / PART)
}

/// The looks at a target while a deployment waits, because no step observes the target meanwhile.
pub(super) struct Looks {
    sampler: Sampler,
    begin: Instant,
    /// Time of the next look.
    next: Instant,
    /// Whether the target reports its traffic by itself, so that the sampler of the deployment records it.
    is_reported: bool,
}

impl Looks {
    /// Returns the looks of a wait that begins now. The target was observed at the end of the step before.
    pub(super) fn new(sampler: Sampler, is_reported: bool) -> Self {
        let begin = Instant::now();
        Self { sampler, begin, next: begin + if is_reported { NO_LOOK } else { EVERY }, is_reported }
    }

    /// Returns the time of the next look.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Looks at the target, if that is due.
    pub(super) async fn look(&mut self, progress: &Progress) {
        if Instant::now() < self.next {
            return;
        }
        if self.is_reported {
            self.next = Instant::now() + NO_LOOK;
            return;
        }
        self.sampler.look(progress).await;
        self.next = Instant::now() + interval(self.begin);
    }
}
