//! Whether the slots hold what the plan expects. Another machine may deploy to the same target.

use crate::model::deployment::{Observed, PlanStep, Slot};
use crate::model::environment::Release;

use super::{Driver, Position, Trouble};

impl Driver {
    /// Checks that no slot holds another release than the one that the plan has for it, or that it had when the plan
    /// was made and the slot was not filled yet.
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
                let expected = expected.map_or_else(|| "nothing".to_owned(), Release::title);
                return Err(Trouble::Taken { slot, found, expected });
            }
        }
        Ok(())
    }

    /// Whether a commit, as a target reports it, is that of a release.
    pub(super) fn is_release(&self, found: &str, release: &Release) -> bool {
        found == release.sha || (self.tools.known)(found).is_some_and(|known| known.sha == release.sha)
    }
}
