//! Deployments of a remote run that wait for protection rules, and the reviews that were given.

use crate::backend::github::wire::deployments::{Approval, PendingDeployment, Reviewer};
use crate::backend::github::wire::words::DeploymentState;
use crate::model::{Event, Gate, PendingReview, Phase, Review, ReviewRefusal, Run, Timestamp};

use super::events::{Diff, Snapshot, timer_end};

/// Adds the list of what waits, if it differs from the known one, and reviews that are not known yet.
pub(super) fn add(diff: &mut Diff, snapshot: &Snapshot<'_>, at: Timestamp) {
    let pending: Vec<PendingReview> =
        snapshot.pending.iter().filter_map(|pending| review(pending, diff.run())).collect();
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

/// `None` for a deployment whose environment the server does not name: it cannot be reviewed.
fn review(pending: &PendingDeployment, run: &Run) -> Option<PendingReview> {
    let environment = pending.environment.as_ref()?;
    let (id, name) = (environment.id?, environment.name.clone()?);
    let listed = pending.reviewers.as_ref().map(|reviewers| reviewers.items.as_slice()).unwrap_or_default();
    let reviewer = |one: &Reviewer| {
        let named = one.reviewer.as_ref()?;
        named.login.clone().or_else(|| named.slug.clone()).or_else(|| named.name.clone())
    };
    let reviewers: Vec<String> = listed.iter().filter_map(reviewer).collect();
    let refusal = match pending.current_user_can_approve {
        Some(true) => None,
        _ if reviewers.is_empty() => Some(ReviewRefusal::NoReviewers),
        // The server does not say why not.
        _ => Some(ReviewRefusal::Unknown),
    };
    let waits = |phase: &Phase| matches!(phase, Phase::Waiting(gate) if environment_of(gate) == Some(&name));
    let jobs = run.jobs.values().filter(|job| job.attempt == run.attempt && waits(&job.phase));
    let jobs = jobs.map(|job| job.id.clone()).collect();
    let wait_until = timer_end(pending);
    Some(PendingReview { id, environment: name, reviewers, refusal, wait_until, since: None, jobs })
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
        comment: approval.comment.clone().unwrap_or_default(),
    }
}
