//! Environments that wait for a review, and the reviews that were given.

use crate::model::{PendingReview, Run, Timestamp};

/// Replaces the list of pending reviews. Jobs that have not started wait for them.
pub(super) fn pend(run: &mut Run, environments: &[PendingReview], at: Timestamp) {
    let known = std::mem::take(&mut run.reviews);
    for environment in environments {
        let before = known.iter().find(|review| review.id == environment.id).and_then(|review| review.since);
        let since = before.or(environment.since).or(Some(at));
        for job in &environment.jobs {
            if let Some(job) = run.jobs.get_mut(job).filter(|job| !job.phase.is_active() && !job.phase.is_done()) {
                job.phase = environment.phase();
            }
        }
        run.reviews.push(PendingReview { since, ..environment.clone() });
    }
}
