//! Compares a deployment with what its target runs.

use super::{DeployError, PreparedDeployment};
use crate::model::deployment::{DeploymentPlan, Plan};
use crate::model::environment::Release;
use crate::model::rollback::TargetError;
use crate::rollout::release;

impl PreparedDeployment {
    /// Returns the release that the deployment replaces, and whether it is known which one that is; see
    /// [`DeploymentPlan::replaced`]. It is not known if the target was asked and gave no answer.
    #[must_use]
    pub fn replaced<'r>(&'r self, plan: Option<&'r DeploymentPlan>) -> (Option<&'r Release>, bool) {
        let recorded = if self.unobserved.is_some() { (None, false) } else { (self.live(), self.knows_live()) };
        DeploymentPlan::replaced(plan, self.settings().target.reports(), recorded)
    }

    /// Returns what a person should know about what the target runs, in sentences: that it is not the recorded release, what
    /// the target says about it, or why it is not known. `plan` is the plan that
    /// [`Deployments::foresee`](super::Deployments::foresee) has made.
    #[must_use]
    pub fn notes_of_target(&self, plan: Option<&DeploymentPlan>) -> Vec<String> {
        let recorded = || self.live().map(|live| format!("; {} is recorded as live", live.title())).unwrap_or_default();
        let unobserved = self.unobserved.as_ref().map(|why| format!("{why}{}", recorded()));
        let found = plan.into_iter().flat_map(DeploymentPlan::notes).map(str::to_owned);
        unobserved.into_iter().chain(plan.and_then(|plan| self.contradicted(plan))).chain(found).collect()
    }

    /// Returns the release that the ledger has as live, and the one that the target runs instead. `None` if the target does
    /// not contradict the ledger.
    fn contradiction<'r>(&'r self, plan: &'r DeploymentPlan) -> Option<(&'r Release, &'r Release)> {
        let recorded = self.live().filter(|_| self.settings().target.reports())?;
        Some((recorded, plan.unrecorded(recorded)?))
    }

    /// Returns a note about a release that the target runs and the ledger does not have as live. `None` without one.
    #[must_use]
    pub fn contradicted(&self, plan: &DeploymentPlan) -> Option<String> {
        self.contradiction(plan).map(|(recorded, found)| recorded.contradicted_by(found))
    }

    /// Checks a rollback against what the target runs, because the ledger lacks what others have deployed: it runs the release
    /// that is to be replaced, given as its tag or commit, and not already the one that is to be restored. Without the former,
    /// only the latter is checked. Nothing is checked for a target that does not report what it runs.
    ///
    /// # Errors
    /// The target runs another release, or already the one to restore.
    pub fn check_rollback(&self, plan: &DeploymentPlan, from: Option<&str>) -> Result<(), DeployError> {
        if !self.settings().target.reports() {
            return Ok(());
        }
        let environment = self.settings().name.clone();
        let runs = || plan.plans().filter_map(|plan| plan.old.as_ref()).map(|old| &old.release);
        if let Some((from, found)) =
            from.and_then(|from| Some((from, runs().find(|one| !release::is_named(self.consent.root(), one, from))?)))
        {
            let recorded = self.live().filter(|recorded| recorded.sha != found.sha);
            let actual = recorded.map(|recorded| recorded.contradicted_by(found));
            let (wanted, actual) = (from.to_owned(), actual.unwrap_or_else(|| format!("{} is live", found.title())));
            return Err(TargetError::Moved { environment, wanted, actual }.into());
        }
        let is_there = |plan: &Plan| plan.served().is_some_and(|served| served.sha == self.release().sha);
        if plan.plans().all(is_there) {
            return Err(TargetError::Same { environment, release: self.release().title() }.into());
        }
        Ok(())
    }
}
