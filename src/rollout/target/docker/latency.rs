//! Adds up the times of the answers of a router's places.
//!
//! `HAProxy` reports no sum, but a mean in whole milliseconds: of all answers while these are at most 512, then one that
//! follows slowly, in which each answer counts as much as 511/512 of the next one (`TIME_STATS_SAMPLES` and
//! `swrate_add_dynamic` in its source, the same from 2.6 to 3.5). A release that answers slowly after a thousand quick
//! answers of an earlier one in the same place would therefore be noticed far too late. Two means and the number of
//! answers between them give the mean of the answers in between. As the router rounds each of the three times that make
//! up the mean, that is within 3 ms for many answers, and within 1,536 ms divided by their number for few.

use std::collections::HashMap;
use std::time::Duration;

use super::state::Place;

/// Number of answers after which the router's mean follows slowly.
const WINDOW: u64 = 512;

/// Times of the answers of all places, as far as they were reported.
#[derive(Default)]
pub(super) struct Times(HashMap<String, Seen>);

/// What was last reported about a place.
#[derive(Clone, Copy, Default)]
struct Seen {
    answers: u64,
    mean: Duration,
    time: Duration,
}

impl Times {
    /// Adds the time of the answers since the last report to the counters of each place.
    pub(super) fn add_to(&mut self, places: &mut HashMap<String, Place>) {
        for (name, place) in places {
            let answers = place.counters.answers;
            let last = self.0.get(name).copied().filter(|last| last.answers <= answers).unwrap_or_default();
            let new = Seen { answers, mean: place.mean, time: Duration::ZERO };
            place.counters.time = last.time + time_between(last, new);
            self.0.insert(name.clone(), Seen { time: place.counters.time, ..new });
        }
    }
}

/// Returns the time of the answers between two reports, all of them together.
fn time_between(first: Seen, second: Seen) -> Duration {
    let answers = second.answers - first.answers;
    if answers == 0 {
        return Duration::ZERO;
    }
    let sum = |seen: Seen| seen.mean.as_secs_f64() * seen.answers.min(WINDOW) as f64;
    // The first of the new answers were only added; at each later one the sum lost its 512th part.
    let added = second.answers.min(WINDOW) - first.answers.min(WINDOW);
    let kept = (1.0 - 1.0 / WINDOW as f64).powf((answers - added) as f64);
    let weight = added as f64 * kept + WINDOW as f64 * (1.0 - kept);
    let mean = (sum(second) - sum(first) * kept) / weight;
    Duration::try_from_secs_f64(mean * answers as f64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_n;

    use proptest::prelude::*;

    use super::*;
    use crate::model::deployment::Counters;

    /// The mean as the router computes it, in milliseconds.
    #[derive(Default)]
    struct Router {
        answers: u64,
        sum: u64,
    }

    impl Router {
        fn answer(&mut self, millis: u64) {
            self.answers += 1;
            let lost = if self.answers > WINDOW { self.sum.div_ceil(WINDOW) } else { 0 };
            self.sum = self.sum - lost + millis;
        }

        fn place(&self) -> Place {
            let mean = Duration::from_millis(self.sum.div_ceil(self.answers.clamp(1, WINDOW)));
            let counters = Counters { requests: self.answers, answers: self.answers, ..Counters::default() };
            Place { counters, mean, ..Place::default() }
        }
    }

    /// Returns the counters of a place after the router's next report.
    fn report(times: &mut Times, router: &Router) -> Counters {
        let mut places = HashMap::from([("green1".to_owned(), router.place())]);
        times.add_to(&mut places);
        places["green1"].counters
    }

    proptest! {
        #[test]
        fn the_mean_between_two_reports_is_that_of_the_answers_between(
            parts in prop::collection::vec((1_u64..1_500, 0_u64..3_000), 1..8)
        ) {
            let (mut router, mut times) = (Router::default(), Times::default());
            let mut before = Counters::default();
            for (answers, millis) in parts {
                repeat_n(millis, answers as usize).for_each(|millis| router.answer(millis));
                let after = report(&mut times, &router);
                let latency = after.since(before).latency().as_secs_f64() * 1_000.0;
                let most = 2.0 + 1.1 * WINDOW as f64 / answers as f64;
                prop_assert!((latency - millis as f64).abs() <= most, "{latency} for {answers} of {millis} ms");
                before = after;
            }
        }
    }

    #[test]
    fn slow_answers_after_many_quick_ones_and_a_restarted_router_are_seen() {
        let (mut router, mut times) = (Router::default(), Times::default());
        repeat_n(3, 5_000).for_each(|millis| router.answer(millis));
        let before = report(&mut times, &router);
        repeat_n(2_000, 12).for_each(|millis| router.answer(millis));
        let after = report(&mut times, &router);
        assert!(router.place().mean < Duration::from_millis(60), "the router itself: {:?}", router.place().mean);
        let latency = after.since(before).latency().as_millis();
        assert!((1_950..=2_050).contains(&latency), "{latency}");
        assert_eq!(report(&mut times, &router), after);

        let mut restarted = Router::default();
        repeat_n(100, 8).for_each(|millis| restarted.answer(millis));
        let first = report(&mut times, &restarted);
        assert_eq!((first.requests, first.since(after).latency()), (8, Duration::from_millis(100)));
    }
}
