//! Checks that the slots hold what the plan expects, because another machine may deploy to the same target.

use crate::model::deployment::{Observed, Plan, PlanStep, Slot};
use crate::model::environment::{Release, title_of};

use super::{KnownRelease, Trouble};

/// Checks that each slot of a host with replicas holds the release that the plan has for it. A slot that the first `done`
/// steps have not filled may also hold the release that it held when the plan was made.
pub(super) fn check(plan: &Plan, done: usize, observed: &Observed, known: &KnownRelease) -> Result<(), Trouble> {
    let done = &plan.steps[..done.min(plan.steps.len())];
    for slot in Slot::ALL {
        let state = observed.slot(slot);
        let Some(found) = state.release.as_deref().filter(|_| state.replicas > 0) else { continue };
        let expected = plan.release(slot);
        let is_filled = done.iter().any(|step| matches!(step, PlanStep::Start { slot: of, .. } if *of == slot));
        let was_there = !is_filled && plan.found.slot(slot).release.as_deref() == Some(found);
        if !was_there && !expected.is_some_and(|release| is_release(found, release, known)) {
            let found = known(found).map_or_else(|| found.to_owned(), |release| release.title());
            let expected = title_of(expected, true);
            return Err(Trouble::Taken { slot, found, expected });
        }
    }
    Ok(())
}

/// Whether a commit, as a target reports it, is the commit of a release.
pub(super) fn is_release(found: &str, release: &Release, known: &KnownRelease) -> bool {
    found == release.sha || known(found).is_some_and(|known| known.sha == release.sha)
}
