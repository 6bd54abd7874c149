//! Checks that the slots hold what the plan expects, because another machine may deploy to the same target.

use crate::model::deployment::{Observed, PlanStep, Slot};
use crate::model::environment::{Release, title_of};

use super::{Driver, Position, Trouble};

impl Driver {
    /// Checks that each slot with replicas holds the release that the plan has for it. A slot that the plan has not
    /// filled yet may also hold the release that it held when the plan was made.
    pub(super) fn check_slots(&self, position: &Position, observed: &Observed) -> Result<(), Trouble> {
        let plan = &position.plan;
        let done = &plan.steps[..position.done.min(plan.steps.len())];
        for slot in Slot::ALL {
            let state = observed.slot(slot);
            let Some(found) = state.release.as_deref().filter(|_| state.replicas > 0) else { continue };
            let expected = plan.release(slot);
            let is_filled = done.iter().any(|step| matches!(step, PlanStep::Start { slot: of, .. } if *of == slot));
            let was_there = !is_filled && plan.found.slot(slot).release.as_deref() == Some(found);
            if !was_there && !expected.is_some_and(|release| self.is_release(found, release)) {
                let found = (self.tools.known)(found).map_or_else(|| found.to_owned(), |release| release.title());
                let expected = title_of(expected);
                return Err(Trouble::Taken { slot, found, expected });
            }
        }
        Ok(())
    }

    /// Whether a commit, as a target reports it, is the commit of a release.
    pub(super) fn is_release(&self, found: &str, release: &Release) -> bool {
        found == release.sha || (self.tools.known)(found).is_some_and(|known| known.sha == release.sha)
    }
}
