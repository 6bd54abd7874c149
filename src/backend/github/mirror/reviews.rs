//! Deployments of a remote run that wait for protection rules, and completed reviews.

use crate::backend::github::wire::deployments::{Approval, PendingDeployment, Reviewer};
use crate::backend::github::wire::words::DeploymentState;
use crate::model::{Event, Gate, PendingReview, Phase, Review, ReviewRefusal, Run, Timestamp};

use super::events::{Diff, Snapshot};

/// Records the waiting deployments if they have changed, and new reviews.
pub(super) fn add(diff: &mut Diff, snapshot: &Snapshot<'_>, at: Timestamp) {
    let pending: Vec<PendingReview> = snapshot
        .pending
        .iter()
        .filter(|pending| is_named(pending))
        .map(|one| with_jobs(review(one, ""), diff.run()))
        .collect();
    let is_known = |known: &[PendingReview]| {
        let same = |(a, b): (&PendingReview, &PendingReview)| PendingReview { since: None, ..a.clone() } == *b;
        known.len() == pending.len() && known.iter().zip(&pending).all(same)
    };
    if !is_known(&diff.run().reviews) {
        diff.add(at, Event::ReviewsPending { environments: pending });
    }
    for approval in snapshot.approvals {
        let event = reviewed(approval);
        if !diff.run().reviewed.iter().any(|known| is_of(known, &event)) {
            diff.add(at, event);
        }
    }
}

/// Whether the server names the environment of a deployment. A deployment without it cannot be reviewed.
fn is_named(pending: &PendingDeployment) -> bool {
    let environment = pending.environment.as_ref();
    environment.is_some_and(|environment| environment.id.is_some() && environment.name.is_some())
}

/// Returns the review that a deployment waits for. `name` is used if the server does not name the environment.
pub(in crate::backend::github) fn review(pending: &PendingDeployment, name: &str) -> PendingReview {
    let environment = pending.environment.as_ref();
    let id = environment.and_then(|environment| environment.id).unwrap_or_default();
    let name = environment.and_then(|environment| environment.name.clone()).unwrap_or_else(|| name.to_owned());
    let listed = pending.reviewers.as_ref().map(|reviewers| reviewers.items.as_slice()).unwrap_or_default();
    let reviewers: Vec<String> = listed.iter().filter_map(Reviewer::name).collect();
    let refusal = match pending.current_user_can_approve {
        Some(true) => None,
        _ if reviewers.is_empty() => Some(ReviewRefusal::NoReviewers),
        // The server does not report the reason.
        _ => Some(ReviewRefusal::Unknown),
    };
    let (wait_until, since, jobs) = (timer_end(pending), None, Vec::new());
    PendingReview { id, environment: name, reviewers, refusal, wait_until, since, jobs }
}

/// Returns a review with the jobs that it holds back.
fn with_jobs(review: PendingReview, run: &Run) -> PendingReview {
    let waits =
        |phase: &Phase| matches!(phase, Phase::Waiting(gate) if environment_of(gate) == Some(&review.environment));
    let jobs = run.jobs.values().filter(|job| job.attempt == run.attempt && waits(&job.phase));
    PendingReview { jobs: jobs.map(|job| job.id.clone()).collect(), ..review }
}

/// Returns the end of the wait timer of a deployment; `None` without a timer, or before it has started.
fn timer_end(pending: &PendingDeployment) -> Option<Timestamp> {
    let minutes = pending.wait_timer.filter(|minutes| *minutes > 0)?;
    let since = pending.wait_timer_started_at?.0;
    Some(Timestamp(since.0.saturating_add(minutes.saturating_mul(60_000))))
}

fn environment_of(gate: &Gate) -> Option<&String> {
    match gate {
        Gate::Review(environment) | Gate::Protection(environment) | Gate::Timer { environment, .. } => {
            Some(environment)
        }
        _ => None,
    }
}

fn is_of(known: &Review, event: &Event) -> bool {
    matches!(event, Event::Reviewed { environments, approved, by, comment }
        if (environments, approved, by, comment) == (&known.environments, &known.approved, &known.by, &known.comment))
}

fn reviewed(approval: &Approval) -> Event {
    let environments = approval.environments.iter().flat_map(|list| &list.items);
    Event::Reviewed {
        environments: environments.filter_map(|environment| environment.name.clone()).collect(),
        approved: approval.state == Some(DeploymentState::Approved),
        by: approval.user.as_ref().and_then(|user| user.login.clone()).unwrap_or_default(),
        comment: approval.comment.as_deref().unwrap_or_default().to_owned(),
    }
}
