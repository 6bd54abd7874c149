//! What the state of the screen knows about deployments by this machine.

use crate::model::RunId;
use crate::model::environment::{EnvironmentDeployment, Release};
use crate::model::lane::Kept;
use crate::model::lane_details::LaneDetails;

use super::state::AppState;

impl AppState {
    /// Returns the details of an environment of this machine; `None` before they were read.
    pub(super) fn details(&self, environment: &str) -> Option<&LaneDetails> {
        self.details.get(environment)?.as_deref().ok()
    }

    /// Returns a deployment by this machine; `None` for any other run.
    pub(super) fn deployment(&self, run: &RunId) -> Option<&EnvironmentDeployment> {
        let mut all = self.lanes.iter().flat_map(|lane| &lane.environment.deployments);
        all.find(|one| one.local.as_ref() == Some(run))
    }

    /// Returns the live release of a successful deployment, and the former one that it keeps running; `None` for any
    /// other run.
    pub(super) fn kept_by(&self, run: &RunId) -> Option<(&Release, &Kept)> {
        let mut open = self.lanes.iter().filter_map(|lane| lane.open.as_ref());
        let open = open.find(|open| open.run == *run)?;
        Some((&open.release, open.kept.as_ref()?))
    }

    /// Returns what a pause that a person has requested means for the current step of a deployment; `None` without one.
    pub(super) fn pause_of(&self, run: &RunId) -> Option<&'static str> {
        let mut open = self.lanes.iter().filter_map(|lane| lane.open.as_ref());
        open.find(|open| open.run == *run)?.step.as_ref()?.pause
    }
}
