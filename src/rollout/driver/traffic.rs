//! Samples the traffic of the slots while the steps of a deployment are carried out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::model::deployment::{Counters, Observed, Plan, Slot, SlotTraffic};
use crate::model::environment::{Release, title_of};
use crate::model::{Event, JobId};

use super::{KnownRelease, Outlet, Target, Tools};

/// Minimum time between two samples.
const EVERY: Duration = Duration::from_secs(2);

/// Divisor of the time since the first sample: the sampler waits for at least the quotient, so that the journal of a
/// long deployment stays short. A day has about 500 samples.
const PART: u32 = 60;

/// Records samples of the traffic.
pub(super) struct Sampler {
    target: Arc<dyn Target>,
    outlet: Arc<dyn Outlet>,
    known: KnownRelease,
    job: JobId,
    releases: Vec<Release>,
}

impl Sampler {
    /// Returns a sampler for the deployment of a plan.
    pub(super) fn new(tools: &Tools, job: &JobId, plan: &Plan) -> Self {
        let old = plan.old.iter().map(|old| old.release.clone());
        Self {
            target: Arc::clone(&tools.target),
            outlet: Arc::clone(&tools.outlet),
            known: Arc::clone(&tools.known),
            job: job.clone(),
            releases: old.chain([plan.new.release.clone()]).collect(),
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
            sleep(EVERY.max(begin.elapsed() / PART)).await;
        }
    }

    async fn sample(&self) {
        if let Some((observed, counters)) = self.target.traffic().await {
            self.record(&observed, Some(counters));
        } else if let Some(observed) = self.target.slots().await {
            self.record(&observed, None);
        }
    }

    /// Records the slots with replicas, with the counters of blue and green.
    pub(super) fn record(&self, observed: &Observed, counters: Option<[Counters; 2]>) {
        let slots = Slot::ALL.into_iter().zip(counters.map_or([None; 2], |counters| counters.map(Some)));
        let slots = slots.filter(|(slot, _)| observed.slot(*slot).replicas > 0).map(|(slot, counters)| {
            let state = observed.slot(slot).clone();
            SlotTraffic { slot, title: self.title(state.release.as_deref()), state, counters }
        });
        let (slots, note) = (slots.collect(), observed.note.clone());
        self.outlet.record(Event::TrafficObserved { job: self.job.clone(), slots, note });
    }

    /// Returns the title of the release of a commit, or the commit if the release is not known.
    fn title(&self, sha: Option<&str>) -> String {
        let Some(sha) = sha else { return title_of(None) };
        let of_plan = self.releases.iter().find(|release| release.sha == sha).cloned();
        of_plan.or_else(|| (self.known)(sha)).map_or_else(|| sha.to_owned(), |release| release.title())
    }
}
