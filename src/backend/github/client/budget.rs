//! Decides when each resource is polled, within the server's rate limit.
//!
//! Every watched resource has an interval within the bounds of its kind. The interval drops to the lower bound when the
//! resource has changed, and grows by half when it has not. The expected hourly cost of all polls is compared with the
//! rest of the limit, minus a tenth that is reserved for the user's own actions. If the cost is too high, the intervals
//! of background resources are stretched first, then the intervals of visible ones, and the interval of the focused run
//! last.
//!
//! The schedule uses neither a clock nor random numbers: both are arguments.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::model::Timestamp;

use super::Rate;

/// Kind of a resource, which determines the bounds of its interval. Due polls are sent in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Jobs and growing logs of the active run that the user is looking at, on a server without a rate limit.
    LiveRun,
    /// Jobs of the active run that the user is looking at.
    FocusedRun,
    /// Jobs of another active run on the screen.
    VisibleRun,
    /// List of the runs of a repository on the screen.
    RunList,
    /// Reviews and timers that a run waits for.
    Waiting,
    /// Deployments and environments.
    Environment,
    /// A repository that is not on the screen.
    Background,
}

impl Kind {
    /// Returns the shortest and the longest interval.
    #[must_use]
    pub const fn bounds(self) -> (Duration, Duration) {
        let (least, most) = match self {
            Self::LiveRun => (1, 2),
            Self::FocusedRun => (3, 10),
            Self::VisibleRun => (10, 30),
            Self::RunList => (10, 60),
            Self::Waiting => (15, 60),
            Self::Environment | Self::Background => (60, 300),
        };
        (Duration::from_secs(least), Duration::from_secs(most))
    }

    /// Whether the resource is polled at this attention.
    const fn is_polled(self, attention: Attention) -> bool {
        match attention {
            Attention::Here => true,
            Attention::Elsewhere => !matches!(self, Self::RunList | Self::Environment | Self::Background),
            Attention::Away => matches!(self, Self::LiveRun | Self::FocusedRun | Self::VisibleRun),
        }
    }

    /// Returns the number of the group of kinds that is slowed down together with this one. Group 0 is slowed down
    /// first.
    const fn group(self) -> usize {
        match self {
            Self::Environment | Self::Background => 0,
            Self::VisibleRun | Self::RunList | Self::Waiting => 1,
            Self::LiveRun | Self::FocusedRun => 2,
        }
    }
}

/// Whether the user is looking at the screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Attention {
    /// The terminal has the focus.
    #[default]
    Here,
    /// The terminal does not have the focus: every interval is its longest, and only runs, and what they wait for, are
    /// polled.
    Elsewhere,
    /// The terminal has not had the focus for a while: every interval is twice its longest, and only runs in progress
    /// are polled, because their failure alerts the user.
    Away,
}

/// Result of a poll.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Polled {
    /// Whether the resource changed.
    pub changed: bool,
    /// Number of requests that count against the limit.
    pub charged: u32,
}

/// Why polls are slower than usual.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Slowed {
    /// The rate limit that slows them down.
    pub rate: Rate,
    /// Largest of the factors by which intervals are stretched.
    pub factor: f64,
}

/// The polls of one host and token. `K` names a resource, usually by its path.
#[derive(Debug)]
pub struct Schedule<K> {
    watched: HashMap<K, Watched>,
    rate: Option<Rate>,
    attention: Attention,
    factors: [f64; GROUPS],
}

#[derive(Debug)]
struct Watched {
    kind: Kind,
    interval: Duration,
    due: Timestamp,
    /// Moving average of the charged requests of a poll.
    charged: f64,
    /// Times of the extra polls after a change by the user.
    soon: Vec<Timestamp>,
}

const GROUPS: usize = 3;
/// Largest factor of each group.
const MAX_FACTOR: f64 = 20.0;
/// Weight of the last poll in the moving average.
const WEIGHT: f64 = 0.2;
/// Share of the limit that polls leave to the user's own actions.
const RESERVE: f64 = 0.1;
/// Delays of the polls after a change by the user, in seconds.
const AFTER_CHANGE: [u64; 3] = [1, 2, 4];

impl<K: Clone + Eq + Hash + Ord> Default for Schedule<K> {
    fn default() -> Self {
        Self { watched: HashMap::new(), rate: None, attention: Attention::default(), factors: [1.0; GROUPS] }
    }
}

impl<K: Clone + Eq + Hash + Ord> Schedule<K> {
    /// Watches a resource as this kind from now on. A new resource is due at once.
    pub fn watch(&mut self, key: K, kind: Kind, now: Timestamp) {
        let (least, most) = kind.bounds();
        let watched = self.watched.entry(key).or_insert(Watched {
            kind,
            interval: least,
            due: now,
            charged: 1.0,
            soon: Vec::new(),
        });
        if watched.kind != kind {
            watched.kind = kind;
            watched.interval = watched.interval.clamp(least, most);
            watched.due = watched.due.min(now.after(watched.interval));
        }
        self.balance(now);
    }

    /// Watches a resource whose state is known. Unlike with [`Self::watch`], a new resource is due only after its
    /// shortest interval.
    pub fn watch_known(&mut self, key: K, kind: Kind, now: Timestamp) {
        let is_new = !self.watched.contains_key(&key);
        self.watch(key.clone(), kind, now);
        if let Some(watched) = self.watched.get_mut(&key).filter(|_| is_new) {
            watched.due = now.after(watched.interval);
        }
    }

    /// Stops watching a resource.
    pub fn forget(&mut self, key: &K) {
        self.watched.remove(key);
    }

    /// Returns the resources that are watched.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.watched.keys()
    }

    /// Sets whether the user is looking at the screen. When the user comes back, everything becomes due within its
    /// shortest interval.
    pub fn attend(&mut self, attention: Attention, now: Timestamp) {
        if attention == Attention::Here && self.attention != Attention::Here {
            for watched in self.watched.values_mut() {
                watched.due = watched.due.min(now.after(watched.kind.bounds().0));
            }
        }
        self.attention = attention;
        self.balance(now);
    }

    /// Records the rate limit that the server reported last.
    pub fn limit(&mut self, rate: Rate, now: Timestamp) {
        self.rate = Some(rate);
        self.balance(now);
    }

    /// Returns the most important resource that is due now, if any.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Option<K> {
        let due = self.watched.iter().filter(|(_, watched)| self.is_polled(watched) && watched.next() <= now);
        due.min_by_key(|(key, watched)| (watched.kind, watched.next(), *key)).map(|(key, _)| key.clone())
    }

    /// Returns when the next resource is due; `None` if none is polled.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.watched.values().filter(|watched| self.is_polled(watched)).map(Watched::next).min()
    }

    /// Returns whether the user is looking at the screen.
    #[must_use]
    pub fn attention(&self) -> Attention {
        self.attention
    }

    fn is_polled(&self, watched: &Watched) -> bool {
        watched.kind.is_polled(self.attention)
    }

    /// Records the result of a poll, `None` if it failed, and schedules the next poll. `dice` is a random number for
    /// the jitter.
    pub fn polled(&mut self, key: &K, polled: Option<Polled>, now: Timestamp, dice: u32) {
        let attention = self.attention;
        let factors = self.factors;
        let Some(watched) = self.watched.get_mut(key) else { return };
        let (least, most) = watched.kind.bounds();
        // A resource that fails is polled less and less often, like one that does not change.
        if polled.is_none_or(|polled| !polled.changed) {
            watched.interval = watched.interval.mul_f64(1.5).min(most);
        }
        if let Some(polled) = polled {
            watched.charged += WEIGHT * (f64::from(polled.charged) - watched.charged);
            if polled.changed {
                watched.interval = least;
            }
        }
        watched.soon.retain(|soon| *soon > now);
        let interval = watched.paced(attention).mul_f64(factors[watched.kind.group()]);
        watched.due = now.after(interval.mul_f64(0.9 + 0.2 * f64::from(dice) / f64::from(u32::MAX)));
        self.balance(now);
    }

    /// Schedules extra polls of a resource within the next seconds, because the user has just changed it.
    pub fn changed_by_user(&mut self, key: &K, now: Timestamp) {
        if let Some(watched) = self.watched.get_mut(key) {
            watched.soon = AFTER_CHANGE.iter().map(|seconds| now.after(Duration::from_secs(*seconds))).collect();
        }
    }

    /// Returns why polls are slower than usual; `None` if they are not.
    #[must_use]
    pub fn slowed(&self) -> Option<Slowed> {
        let factor = self.factors.iter().copied().fold(1.0, f64::max);
        self.rate.filter(|_| factor > 1.0).map(|rate| Slowed { rate, factor })
    }

    /// Returns the expected number of charged requests per hour.
    #[must_use]
    pub fn hourly_cost(&self) -> f64 {
        self.costs().iter().zip(self.factors).map(|(cost, factor)| cost / factor).sum()
    }

    /// Returns the hourly cost of each group, without the factors that stretch intervals.
    fn costs(&self) -> [f64; GROUPS] {
        let mut costs = [0.0; GROUPS];
        for watched in self.watched.values().filter(|watched| self.is_polled(watched)) {
            let polls = 3600.0 / watched.paced(self.attention).as_secs_f64() + watched.soon.len() as f64;
            costs[watched.kind.group()] += polls * watched.charged;
        }
        costs
    }

    /// Sets the factors so that the polls stay within the rest of the limit.
    fn balance(&mut self, now: Timestamp) {
        self.factors = [1.0; GROUPS];
        let Some(rate) = self.rate else { return };
        // After the reset the whole limit is available again, which the next answer confirms.
        let (remaining, left) = if rate.reset <= now {
            (rate.limit, Duration::from_hours(1))
        } else {
            (rate.remaining, rate.reset.since(now))
        };
        let spendable = (remaining as f64 - rate.limit as f64 * RESERVE).max(0.0);
        let allowed = 3600.0 * spendable / left.as_secs_f64().max(60.0);
        let costs = self.costs();
        let mut excess = costs.iter().sum::<f64>() - allowed;
        for (factor, cost) in self.factors.iter_mut().zip(costs) {
            if excess > 0.0 && cost > 0.0 {
                let kept = (cost - excess).max(cost / MAX_FACTOR);
                *factor = cost / kept;
                excess -= cost - kept;
            }
        }
    }
}

impl Watched {
    fn next(&self) -> Timestamp {
        self.soon.iter().copied().fold(self.due, Timestamp::min)
    }

    fn paced(&self, attention: Attention) -> Duration {
        let (_, most) = self.kind.bounds();
        match attention {
            Attention::Here => self.interval,
            Attention::Elsewhere => most,
            Attention::Away => 2 * most,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600_000;
    const LIMIT: u64 = 5000;

    /// Small pseudorandom number generator (xorshift).
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> u32 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 32) as u32
        }

        fn share(&mut self) -> f64 {
            f64::from(self.roll()) / f64::from(u32::MAX)
        }
    }

    /// Cost of an hour of polling.
    #[derive(Debug, Default)]
    struct Hour {
        polls: u64,
        charged: u64,
        least_left: u64,
    }

    /// Polls resources for an hour. Each is given with the mean time between its changes in seconds; 0 for none.
    fn simulate(resources: &[(Kind, f64)], attention: Attention) -> Hour {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let mut schedule = Schedule::default();
        schedule.attend(attention, Timestamp(0));
        let mut last = vec![None; resources.len()];
        for (at, (kind, _)) in resources.iter().enumerate() {
            schedule.watch(at, *kind, Timestamp(0));
        }
        let mut hour = Hour { least_left: LIMIT, ..Hour::default() };
        while let Some(now) = schedule.next().filter(|now| now.0 < HOUR) {
            let at = schedule.due(now).expect("due");
            let mean = resources[at].1;
            // Whether the resource has changed since the last poll, given the mean time between its changes.
            let changed = last[at].is_none_or(|then: Timestamp| {
                mean > 0.0 && dice.share() < 1.0 - (-now.since(then).as_secs_f64() / mean).exp()
            });
            last[at] = Some(now);
            hour.polls += 1;
            hour.charged += u64::from(changed);
            let remaining = LIMIT.saturating_sub(hour.charged);
            hour.least_left = hour.least_left.min(remaining);
            schedule.limit(Rate { limit: LIMIT, remaining, reset: Timestamp(HOUR) }, now);
            schedule.polled(&at, Some(Polled { changed, charged: u32::from(changed) }), now, dice.roll());
        }
        hour
    }

    #[test]
    fn an_hour_of_quiet_repositories_costs_little() {
        let fifty = simulate(&vec![(Kind::Background, 0.0); 50], Attention::Here);
        assert!(fifty.charged <= 60 && fifty.polls <= 50 * 20, "{fifty:?}");
        let one = [(Kind::RunList, 0.0), (Kind::Environment, 0.0), (Kind::Background, 0.0)];
        let one = simulate(&one, Attention::Here);
        assert!(one.charged <= 20, "{one:?}");
        let away = simulate(&vec![(Kind::Background, 0.0); 50], Attention::Away);
        assert_eq!(away.polls, 0, "{away:?}");
    }

    // Measured: the jobs of an active run changed in 11 of 18 polls that were 10 s apart, and the list of runs in 1 of
    // 18.
    const JOBS: f64 = 10.6;
    const LIST: f64 = 175.0;

    #[test]
    fn an_hour_of_one_active_run_costs_at_most_440_requests() {
        let hour = simulate(&[(Kind::FocusedRun, JOBS), (Kind::RunList, LIST)], Attention::Here);
        assert!(hour.charged <= 440, "{hour:?}");
        // Every poll finds a change, and every interval is the longest.
        let worst = simulate(&[(Kind::FocusedRun, 0.001), (Kind::RunList, LIST)], Attention::Elsewhere);
        assert!(worst.charged <= 440, "{worst:?}");
    }

    #[test]
    fn an_hour_of_twenty_active_runs_stays_inside_the_limit() {
        let mut resources = vec![(Kind::VisibleRun, JOBS); 19];
        resources.extend([(Kind::FocusedRun, JOBS), (Kind::RunList, LIST)]);
        let hour = simulate(&resources, Attention::Here);
        assert!(hour.charged < LIMIT && hour.least_left > 0, "{hour:?}");
        // Even if every poll of every resource finds a change, including a hundred repositories.
        let mut all: Vec<_> = resources.iter().map(|(kind, _)| (*kind, 0.001)).collect();
        all.extend(vec![(Kind::Background, 0.001); 100]);
        let worst = simulate(&all, Attention::Here);
        assert!(worst.charged < LIMIT && worst.least_left >= LIMIT / 20, "{worst:?}");
    }

    #[test]
    fn every_request_of_a_poll_counts_and_polls_after_a_change_too() {
        let mut schedule = Schedule::default();
        schedule.watch((), Kind::VisibleRun, Timestamp(0));
        let cost = schedule.hourly_cost();
        for _ in 0..100 {
            schedule.polled(&(), Some(Polled { changed: true, charged: 4 }), Timestamp(0), 0);
        }
        assert!((schedule.hourly_cost() - 4.0 * cost).abs() < 0.01, "{}", schedule.hourly_cost());
        schedule.changed_by_user(&(), Timestamp(0));
        assert!((schedule.hourly_cost() - 4.0 * (cost + 3.0)).abs() < 0.01, "{}", schedule.hourly_cost());
    }

    #[test]
    fn lists_are_polled_only_while_the_user_looks_at_the_screen() {
        let mut schedule = Schedule::default();
        schedule.watch("list", Kind::RunList, Timestamp(0));
        schedule.attend(Attention::Elsewhere, Timestamp(0));
        assert_eq!((schedule.due(Timestamp(HOUR)), schedule.next()), (None, None));
        schedule.watch("run", Kind::FocusedRun, Timestamp(0));
        assert_eq!(schedule.due(Timestamp(HOUR)), Some("run"));
        schedule.forget(&"run");
        schedule.attend(Attention::Here, Timestamp(HOUR));
        assert_eq!(schedule.due(Timestamp(HOUR)), Some("list"));
    }

    #[test]
    fn only_runs_in_progress_are_polled_while_the_user_is_away() {
        let kinds = [
            (Kind::LiveRun, true),
            (Kind::FocusedRun, true),
            (Kind::VisibleRun, true),
            (Kind::RunList, false),
            (Kind::Waiting, false),
            (Kind::Environment, false),
            (Kind::Background, false),
        ];
        for (kind, is_polled) in kinds {
            let hour = simulate(&[(kind, 0.0)], Attention::Away);
            assert_eq!(hour.polls > 0, is_polled, "{kind:?}: {hour:?}");
            let longest = 3600.0 / (2.0 * kind.bounds().1.as_secs_f64());
            assert!(hour.polls as f64 <= 1.0 + longest / 0.9, "{kind:?}: {hour:?}");
        }
    }

    #[test]
    fn a_resource_whose_state_is_known_is_not_due_at_once() {
        let mut schedule = Schedule::default();
        schedule.watch_known(1, Kind::FocusedRun, Timestamp(0));
        assert_eq!((schedule.due(Timestamp(2_999)), schedule.due(Timestamp(3_000))), (None, Some(1)));
    }

    #[test]
    fn the_background_is_slowed_first_and_the_focused_run_last() {
        let mut schedule = Schedule::default();
        for (at, kind) in [Kind::FocusedRun, Kind::VisibleRun, Kind::Background].into_iter().enumerate() {
            schedule.watch(at, kind, Timestamp(0));
        }
        let mut factors = |remaining| {
            schedule.limit(Rate { limit: LIMIT, remaining, reset: Timestamp(HOUR) }, Timestamp(0));
            schedule.factors
        };
        // The resources cost 1200, 360 and 60 requests an hour.
        assert!(factors(LIMIT).iter().all(|factor| (factor - 1.0).abs() < 0.01));
        let [background, visible, focused] = factors(500 + 1590);
        assert!(background > 1.0 && (visible - 1.0).abs() < 0.01 && (focused - 1.0).abs() < 0.01);
        let [background, visible, focused] = factors(500 + 1400);
        assert!((background - MAX_FACTOR).abs() < 0.01 && visible > 1.0 && (focused - 1.0).abs() < 0.01);
        assert!(factors(500).iter().all(|factor| (factor - MAX_FACTOR).abs() < 0.01));
        assert!((schedule.slowed().expect("slowed").factor - MAX_FACTOR).abs() < 0.01);
        assert!(schedule.hourly_cost() < 90.0, "{}", schedule.hourly_cost());
    }

    #[test]
    fn a_change_by_the_user_is_looked_for_at_once_and_three_times() {
        let mut schedule = Schedule::default();
        schedule.watch("run", Kind::Background, Timestamp(0));
        let quiet = Some(Polled { changed: false, charged: 0 });
        schedule.polled(&"run", quiet, Timestamp(0), 0);
        schedule.changed_by_user(&"run", Timestamp(10_000));
        for at in [11_000, 12_000, 14_000] {
            assert_eq!(schedule.next(), Some(Timestamp(at)));
            assert_eq!((schedule.due(Timestamp(at - 1)), schedule.due(Timestamp(at))), (None, Some("run")));
            schedule.polled(&"run", quiet, Timestamp(at), 0);
        }
        assert!(schedule.next() > Some(Timestamp(60_000)));
        schedule.forget(&"run");
        assert_eq!((schedule.next(), schedule.keys().count()), (None, 0));
    }

    proptest! {
        #[test]
        fn whatever_is_polled_the_next_poll_is_within_the_bounds(
            kinds in proptest::collection::vec(0_usize..6, 1..20),
            polls in proptest::collection::vec((0_usize..20, 0_u8..5, any::<u32>(), 0_u64..100_000, 0_u64..6000), 1..100),
        ) {
            let all = [Kind::FocusedRun, Kind::VisibleRun, Kind::RunList, Kind::Waiting, Kind::Environment, Kind::Background];
            let mut schedule = Schedule::default();
            for (at, kind) in kinds.iter().enumerate() {
                schedule.watch(at, all[*kind], Timestamp(0));
            }
            let mut now = 0;
            for (key, what, dice, step, remaining) in polls {
                now += step;
                let key = key % kinds.len();
                schedule.limit(Rate { limit: LIMIT, remaining, reset: Timestamp(HOUR) }, Timestamp(now));
                let polled = (what < 4).then_some(Polled { changed: what & 1 == 1, charged: u32::from(what & 2) });
                schedule.polled(&key, polled, Timestamp(now), dice);
                let wait = schedule.watched[&key].due.since(Timestamp(now)).as_secs_f64();
                let (least, most) = all[kinds[key]].bounds();
                prop_assert!(wait >= least.as_secs_f64() * 0.89 && wait <= most.as_secs_f64() * 1.11 * MAX_FACTOR, "{wait}");
                prop_assert!(schedule.factors[2] <= schedule.factors[0].max(schedule.factors[1]).max(MAX_FACTOR));
            }
        }
    }
}
